"""Convolutions of one to three spatial dimensions, and their transposes."""

from __future__ import annotations

from typing import Any

import numpy as np

from reference_impl.ops import convolution as ops
from reference_impl.ops.elementwise import add
from reference_impl.ops.movement import reshape
from reference_impl.padding import pad
from reference_impl.tensor import Tensor

__all__ = [
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "sizes_of",
]


def sizes_of(value: Any, rank: int, name: str, what: str) -> tuple[int, ...]:
    """Return one number a spatial dimension; a single number stands for all.

    Raises:
        RuntimeError: another count of numbers.
    """
    sizes = (value,) * rank if isinstance(value, int) else tuple(value)
    sizes = sizes * rank if len(sizes) == 1 else sizes
    if len(sizes) != rank:
        raise RuntimeError(f"{name}: expected {what} to be a single integer or a list of {rank} values, got {value!r}")
    return sizes


def _batched(name: str, input: Tensor, rank: int) -> tuple[Tensor, bool]:
    """Return the input with a batch dimension, and whether one was added.

    Raises:
        RuntimeError: it has neither `rank` + 1 nor `rank` + 2 dimensions.
    """
    if input.array.ndim == rank + 2:
        return input, False
    if input.array.ndim != rank + 1:
        raise RuntimeError(
            f"Expected {rank + 1}D (unbatched) or {rank + 2}D (batched) input to {name}, but got input of size: "
            f"{list(input.shape)}"
        )
    return reshape(input, shape=(1, *input.shape)), True


def _same_dtypes(input: Tensor, weight: Tensor, bias: Tensor | None) -> None:
    for name, x in (("weight", weight), ("bias", bias)):
        if x is not None and all(isinstance(t.array, np.ndarray) for t in (input, x)) and x.dtype != input.dtype:
            raise RuntimeError(f"Input type ({input.dtype}) and {name} type ({x.dtype}) should be the same")


def _finished(y: Any, bias: Tensor | None, added: bool, weight: Tensor) -> Tensor:
    if bias is not None:
        if bias.shape != y.shape[1:2]:
            raise RuntimeError(
                f"Given weight of size {list(weight.shape)}, expected bias to be 1-dimensional with {y.shape[1]} elements, "
                f"but got bias of size {list(bias.shape)} instead"
            )
        y = add(y, reshape(bias, shape=(-1, *(1,) * (y.ndim - 2))))
    out: Tensor = reshape(y, shape=tuple(y.shape[1:])) if added else y
    return out


def _conv(
    rank: int,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
) -> Tensor:
    name = f"conv{rank}d"
    x, added = _batched(name, input, rank)
    strides, dilations = sizes_of(stride, rank, name, "stride"), sizes_of(dilation, rank, name, "dilation")
    kernel = tuple(weight.shape[2:])
    if weight.array.ndim < 3:
        raise RuntimeError(
            f"{name}: weight should have at least three dimensions, got weight of size {list(weight.shape)}"
        )
    if len(kernel) != rank:
        k = weight.array.ndim
        raise RuntimeError(
            f"Expected {k}-dimensional input for {k}-dimensional weight {list(weight.shape)}, but got {rank + 2}-dimensional "
            f"input of size {list(x.shape)} instead"
        )
    _same_dtypes(input, weight, bias)
    if groups <= 0:
        raise RuntimeError(f"non-positive groups is not supported, got groups={groups}")
    if min(strides) <= 0:
        raise RuntimeError(f"non-positive stride is not supported, got stride={strides}")
    if min(dilations) <= 0:
        raise RuntimeError(f"dilation should be greater than zero, got dilation={dilations}")
    if isinstance(padding, str):
        pads = _named_padding(padding, kernel, strides, dilations)
    else:
        pads = tuple((p, p) for p in sizes_of(padding, rank, name, "padding"))
        if min(p for p, _ in pads) < 0:
            raise RuntimeError(f"negative padding is not supported, got padding={padding}")
    c = x.array.shape[1]
    if weight.array.shape[0] < groups:
        raise RuntimeError(
            f"Given groups={groups}, expected weight to be at least {groups} at dimension 0, but got weight of size "
            f"{list(weight.shape)} instead"
        )
    if weight.array.shape[1] * groups != c or weight.array.shape[0] % groups:
        raise RuntimeError(
            f"Given groups={groups}, weight of size {list(weight.shape)}, expected input{list(x.shape)} to have "
            f"{weight.array.shape[1] * groups} channels, but got {c} channels instead"
        )
    for n, k, d, p in zip(x.shape[2:], kernel, dilations, pads, strict=True):
        if n + sum(p) < d * (k - 1) + 1:
            raise RuntimeError(
                f"Calculated padded input size per channel: {n + sum(p)}. Kernel size: {d * (k - 1) + 1}. Kernel size "
                "can't be greater than actual input size"
            )
    y = ops.convolution(x, weight, stride=strides, padding=pads, dilation=dilations, groups=groups)
    return _finished(y, bias, added, weight)


def _named_padding(
    padding: str, kernel: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]
) -> tuple[tuple[int, int], ...]:
    if padding == "valid":
        return ((0, 0),) * len(kernel)
    if padding != "same":
        raise RuntimeError(f"Invalid padding string: {padding!r}, want 'same' or 'valid'")
    if any(s != 1 for s in stride):
        raise RuntimeError("padding='same' is not supported for strided convolutions")
    totals = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    return tuple((t // 2, t - t // 2) for t in totals)


def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """The correlation of (n, c, length) or (c, length) with a weight (out, c / groups, kernel), plus a bias (out,).

    Args:
        padding: zeros on either side, or "valid" (none) or "same" (as many places as the input has; one more zero
            behind where they cannot be even).
    """
    return _conv(1, input, weight, bias, stride, padding, dilation, groups)


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """As `conv1d` for (n, c, height, width) and a weight (out, c / groups, rows, columns)."""
    return _conv(2, input, weight, bias, stride, padding, dilation, groups)


def conv3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """As `conv1d` for three spatial dimensions."""
    return _conv(3, input, weight, bias, stride, padding, dilation, groups)


def _transposed(
    rank: int,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: int,
    dilation: Any,
) -> Tensor:
    name = f"conv_transpose{rank}d"
    t, added = _batched(name, input, rank)
    strides, dilations = sizes_of(stride, rank, name, "stride"), sizes_of(dilation, rank, name, "dilation")
    pads = tuple((p, p) for p in sizes_of(padding, rank, name, "padding"))
    extra = sizes_of(output_padding, rank, name, "output_padding")
    kernel = tuple(weight.shape[2:])
    if t.array.shape[1] != weight.array.shape[0] or weight.array.shape[0] % groups:
        raise RuntimeError(
            f"Given transposed=1, weight of size {list(weight.shape)}, expected input{list(t.shape)} to have "
            f"{weight.array.shape[0]} channels, but got {t.array.shape[1]} channels instead"
        )
    for e, s, d in zip(extra, strides, dilations, strict=True):
        if e >= max(s, d):
            raise RuntimeError(f"output padding must be smaller than either stride or dilation, but got {e}")
    space = tuple(
        (n - 1) * s - sum(p) + d * (k - 1) + e + 1
        for n, k, s, p, d, e in zip(t.shape[2:], kernel, strides, pads, dilations, extra, strict=True)
    )
    if any(n <= 0 for n in space):
        raise RuntimeError(f"Given input size per channel: {list(t.shape[2:])}. Calculated output size: {list(space)}")
    # Output padding takes away from the padding behind, so that the windows are as many as the input has places; what it
    # adds beyond that no window reaches.
    beyond = tuple(max(e - p[1], 0) for e, p in zip(extra, pads, strict=True))
    ends = tuple((p[0], max(p[1] - e, 0)) for e, p in zip(extra, pads, strict=True))
    reached = tuple(n - b for n, b in zip(space, beyond, strict=True))
    y = ops.convolution_input(t, weight, space=reached, stride=strides, padding=ends, dilation=dilations, groups=groups)
    if any(beyond):
        y = pad(y, [n for b in reversed(beyond) for n in (0, b)])
    return _finished(y, bias, added, weight)


def conv_transpose1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor:
    """The adjoint of `conv1d` in its input: (n, c, length) with a weight (c, out / groups, kernel), plus a bias."""
    return _transposed(1, input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor:
    """The adjoint of `conv2d` in its input."""
    return _transposed(2, input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor:
    """The adjoint of `conv3d` in its input."""
    return _transposed(3, input, weight, bias, stride, padding, output_padding, groups, dilation)
