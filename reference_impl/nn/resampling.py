"""Resampling of spatial dimensions: one dimension after the other, each new place a weighted sum of a few old ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from reference_impl import functions as F
from reference_impl.nn.convolution import sizes_of
from reference_impl.nn.pooling import adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d
from reference_impl.ops.indexing import index_select
from reference_impl.tensor import Tensor

__all__ = ["interpolate"]

_RANKS = {"linear": 1, "bilinear": 2, "bicubic": 2, "trilinear": 3}
_MODES = (*_RANKS, "nearest", "nearest-exact", "area")
_CUBIC = -0.75  # the slope of the cubic kernel at distance 1, as in PyTorch


def interpolate(
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
) -> Tensor:
    """Resample the spatial dimensions of (n, c, *space).

    Args:
        mode: "nearest" takes the element at or before each place, "nearest-exact" the nearest to its middle; "linear",
            "bilinear", "trilinear" and "bicubic" weigh the 2 or 4 next to it in each dimension; "area" takes means.
        align_corners: the first and last elements lie on the first and last places, else the edges of elements do.
        recompute_scale_factor: the steps are those of the whole sizes that `scale_factor` gives, not its own.

    Raises:
        NotImplementedError: an unknown mode, or an input of another rank than it has.
        ValueError: `align_corners` with another mode than the linear and cubic ones; neither or both of `size` and
            `scale_factor`, or of another length than there are dimensions.
    """
    rank = input.array.ndim - 2
    if mode not in _MODES or not 1 <= rank <= 3:
        raise NotImplementedError(
            f"Input Error: Only 3D, 4D and 5D input Tensors supported (got {input.array.ndim}D) for the modes: "
            f"{' | '.join(_MODES)} (got {mode})"
        )
    if _RANKS.get(mode, rank) != rank:
        raise NotImplementedError(f"Got {rank + 2}D input, but {mode} mode needs {_RANKS[mode] + 2}D input")
    if align_corners is not None and mode not in _RANKS:
        raise ValueError(
            "align_corners option can only be set with the interpolating modes: linear | bilinear | bicubic | trilinear, got "
            f"{align_corners} with {mode}"
        )
    if recompute_scale_factor and size is not None:
        raise ValueError("recompute_scale_factor is not meaningful with an explicit size.")
    if (size is None) == (scale_factor is None):
        raise ValueError(
            f"only one of size or scale_factor should be defined, got size={size} and scale_factor={scale_factor}"
        )
    space = tuple(input.shape[2:])
    for what, given in (("size", size), ("scale_factor", scale_factor)):
        if isinstance(given, list | tuple) and len(given) != rank:
            raise ValueError(
                f"Input and output must have the same number of spatial dimensions, but got input with spatial dimensions of "
                f"{list(space)} and {what} of {list(given)}"
            )
    scales: list[float | None] = [None] * rank
    if scale_factor is not None:
        factors = tuple(scale_factor) if isinstance(scale_factor, list | tuple) else (scale_factor,) * rank
        scales = [None if recompute_scale_factor else float(f) for f in factors]
        sizes = tuple(int(n * f) for n, f in zip(space, factors, strict=True))
    else:
        sizes = sizes_of(size, rank, "interpolate", "size")
    if mode == "area":
        return (adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d)[rank - 1](input, sizes)
    y: Tensor = input
    for d, (n, m, scale) in enumerate(zip(space, sizes, scales, strict=True)):
        y = _along(y, 2 + d, _taps(n, m, scale, mode, bool(align_corners)))
    return y


Taps = list[tuple[Any, Any]]  # positions, and their weights or None for 1


def _along(x: Tensor, dim: int, taps: Taps) -> Tensor:
    parts = []
    for index, weight in taps:
        part = index_select(x, dim=dim, index=index)
        if weight is not None:
            part = F.mul(part, Tensor(weight.astype(x.array.dtype).reshape((-1,) + (1,) * (x.array.ndim - dim - 1))))
        parts.append(part)
    total: Tensor = parts[0]
    for part in parts[1:]:
        total = F.add(total, part)
    return total


def _taps(n: int, m: int, scale: float | None, mode: str, align_corners: bool) -> Taps:
    """Return which of n elements each of m places is made of."""
    places = np.arange(m)
    if mode.startswith("nearest"):
        step = np.float32(1 / scale) if scale is not None else np.float32(n) / np.float32(m)
        at = (places.astype(np.float32) + np.float32(0.5 * (mode != "nearest"))) * step
        return [(np.minimum(at.astype(np.int64), n - 1), None)]
    if align_corners:
        where = places * ((n - 1) / (m - 1) if m > 1 else 0.0)
    else:
        where = (places + 0.5) * (1 / scale if scale is not None else n / m) - 0.5
    if mode != "bicubic":
        where = np.maximum(where, 0.0)
    first = np.floor(where).astype(np.int64)
    t = where - first
    if mode != "bicubic":
        return [(np.minimum(first, n - 1), 1 - t), (np.minimum(first + 1, n - 1), t)]
    weights = (_far(t + 1), _near(t), _near(1 - t), _far(2 - t))
    return [(np.clip(first + k, 0, n - 1), weight) for k, weight in zip((-1, 0, 1, 2), weights, strict=True)]


def _near(x: Any) -> Any:
    """The cubic kernel up to distance 1. Source: Keys, Cubic convolution interpolation for digital image processing, 1981."""
    return ((_CUBIC + 2) * x - (_CUBIC + 3)) * x * x + 1


def _far(x: Any) -> Any:
    """The cubic kernel from distance 1 to 2."""
    return ((_CUBIC * x - 5 * _CUBIC) * x + 8 * _CUBIC) * x - 4 * _CUBIC
