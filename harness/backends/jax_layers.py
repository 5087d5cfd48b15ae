"""How layers of neural networks are spelled in JAX, where it has them with PyTorch's meaning."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

__all__ = ["OPS"]

Sizes = tuple[int, ...]


def _sizes(value: Any, rank: int) -> Sizes:
    return (value,) * rank if isinstance(value, int) else tuple(value)


def _conv(rank: int) -> Callable[..., Any]:
    def conv(
        x: Any,
        weight: Any,
        bias: Any = None,
        *,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Any:
        single = x.ndim == rank + 1
        strides, dilations = _sizes(stride, rank), _sizes(dilation, rank)
        if padding == "same":  # the odd zero goes behind, as in PyTorch
            totals = [d * (k - 1) for k, d in zip(weight.shape[2:], dilations, strict=True)]
            pads = [(t // 2, t - t // 2) for t in totals]
        else:
            pads = [(p, p) for p in _sizes(0 if padding == "valid" else padding, rank)]
        y = jax.lax.conv_general_dilated(
            x[None] if single else x,
            weight,
            strides,
            pads,
            rhs_dilation=dilations,
            dimension_numbers=_NUMBERS[rank],
            feature_group_count=groups,
        )
        y = y if bias is None else y + bias.reshape(-1, *(1,) * rank)
        return y[0] if single else y

    return conv


_NUMBERS = {1: ("NCH", "OIH", "NCH"), 2: ("NCHW", "OIHW", "NCHW")}


def _conv_transpose(rank: int) -> Callable[..., Any]:
    """The convolution of the input, with zeros between its elements, by the weight turned round."""

    def conv_transpose(
        x: Any,
        weight: Any,
        bias: Any = None,
        *,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        dilation: Any = 1,
    ) -> Any:
        single = x.ndim == rank + 1
        kernel = weight.shape[2:]
        dilations, pads, extra = _sizes(dilation, rank), _sizes(padding, rank), _sizes(output_padding, rank)
        turned = jnp.flip(weight, range(2, 2 + rank)).reshape(groups, -1, *weight.shape[1:])
        turned = jnp.swapaxes(turned, 1, 2).reshape(groups * weight.shape[1], -1, *kernel)
        reach = [d * (k - 1) for k, d in zip(kernel, dilations, strict=True)]
        y = jax.lax.conv_general_dilated(
            x[None] if single else x,
            turned,
            (1,) * rank,
            [(r - p, r - p + e) for r, p, e in zip(reach, pads, extra, strict=True)],
            lhs_dilation=_sizes(stride, rank),
            rhs_dilation=dilations,
            dimension_numbers=_NUMBERS[rank],
            feature_group_count=groups,
        )
        y = y if bias is None else y + bias.reshape(-1, *(1,) * rank)
        return y[0] if single else y

    return conv_transpose


def _behind(space: Sizes, kernel: Sizes, strides: Sizes, pads: Sizes, dilations: Sizes, ceil_mode: bool) -> Sizes:
    """How many places the last window of each dimension needs beyond the padding."""
    found = []
    for n, k, s, p, d in zip(space, kernel, strides, pads, dilations, strict=True):
        room = n + 2 * p - d * (k - 1) - 1
        count = (-(-room // s) if ceil_mode else room // s) + 1
        count -= int(ceil_mode and (count - 1) * s >= n + p)
        found.append(max((count - 1) * s + d * (k - 1) + 1 - n - 2 * p, 0))
    return tuple(found)


def _windows(x: Any, rank: int, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool) -> Any:
    kernel = _sizes(kernel_size, rank)
    strides = kernel if stride is None else _sizes(stride, rank)
    pads, dilations = _sizes(padding, rank), _sizes(dilation, rank)
    more = _behind(x.shape[-rank:], kernel, strides, pads, dilations, ceil_mode)
    lead = x.ndim - rank
    around = [(0, 0)] * lead + [(p, p + m) for p, m in zip(pads, more, strict=True)]
    ones = (1,) * lead
    return (
        kernel,
        strides,
        pads,
        {
            "window_dimensions": (*ones, *kernel),
            "window_strides": (*ones, *strides),
            "padding": around,
            "window_dilation": (*ones, *dilations),
        },
    )


def _max_pool(rank: int) -> Callable[..., Any]:
    def max_pool(
        x: Any, *, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False
    ) -> Any:
        *_, words = _windows(x, rank, kernel_size, stride, padding, dilation, ceil_mode)
        return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, **words)

    return max_pool


def _avg_pool(rank: int) -> Callable[..., Any]:
    def avg_pool(
        x: Any,
        *,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> Any:
        kernel, strides, pads, words = _windows(x, rank, kernel_size, stride, padding, 1, ceil_mode)
        sums = jax.lax.reduce_window(x, 0.0, jax.lax.add, **words)
        counts: Any = 1
        places = sums.shape[x.ndim - rank :]
        for i, (n, m, k, s, p) in enumerate(zip(x.shape[-rank:], places, kernel, strides, pads, strict=True)):
            start = np.arange(m) * s - p
            low, high = (-p, n + p) if count_include_pad else (0, n)
            sizes = np.minimum(start + k, high) - np.maximum(start, low)
            counts = counts * sizes.reshape((1,) * i + (m,) + (1,) * (rank - i - 1))
        return sums / jnp.asarray(counts, x.dtype)

    return avg_pool


def _adaptive(rank: int) -> Callable[..., Any]:
    def adaptive(x: Any, *, output_size: Any) -> Any:
        space, wanted = x.shape[-rank:], _sizes(output_size, rank)
        means = []
        for at in itertools.product(*map(range, wanted)):
            part = tuple(slice(i * n // m, -(-(i + 1) * n // m)) for i, n, m in zip(at, space, wanted, strict=True))
            means.append(jnp.mean(x[(..., *part)], axis=tuple(range(-rank, 0))))
        return jnp.stack(means, axis=-1).reshape(*x.shape[:-rank], *wanted)

    return adaptive


def _interpolate(x: Any, *, size: Any = None, scale_factor: Any = None) -> Any:
    rank = x.ndim - 2
    scales = [None] * rank if scale_factor is None else [scale_factor] * rank
    for d in range(rank):
        n, scale = x.shape[2 + d], scales[d]
        m = _sizes(size, rank)[d] if scale is None else math.floor(n * scale)
        step = np.float32(n) / np.float32(m) if scale is None else np.float32(1 / scale)
        index = np.minimum((np.arange(m, dtype=np.float32) * step).astype(np.int64), n - 1)
        x = jnp.take(x, index, axis=2 + d)
    return x


def _linear(x: Any, weight: Any, bias: Any = None) -> Any:
    y = x @ weight.T
    return y if bias is None else y + bias


def _embedding(weight: Any, *, index: Any) -> Any:
    return jnp.take(weight, np.array(index, np.int64), axis=0)


OPS: dict[str, Callable[..., Any]] = {
    "linear": _linear,
    **{f"conv{r}d": _conv(r) for r in (1, 2)},
    **{f"conv_transpose{r}d": _conv_transpose(r) for r in (1, 2)},
    **{f"max_pool{r}d": _max_pool(r) for r in (1, 2)},
    **{f"avg_pool{r}d": _avg_pool(r) for r in (1, 2)},
    **{f"adaptive_avg_pool{r}d": _adaptive(r) for r in (1, 2)},
    "interpolate": _interpolate,
    "embedding": _embedding,
}
