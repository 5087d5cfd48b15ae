"""Padding under PyTorch's names, and elements moved between channels and space."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any

import numpy as np

from reference_impl.given import at_least, flat_sizes
from reference_impl.moving import permute, reshape
from reference_impl.ops import elementwise, indexing
from reference_impl.tensor import Tensor, not_a_view

__all__ = ["pad", "pixel_shuffle", "pixel_unshuffle"]


def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """The tensor enlarged at its borders, or cut where a number is negative: (left, right) of the last dimension first.

    Args:
        mode: "constant" (`value`, 0 by default), "reflect" (mirrored at the border element), "replicate" (the border
            element) or "circular" (from the other end). All but "constant" pad 1 to 3 dimensions behind two others, or
            behind one.

    Raises:
        RuntimeError: an odd number of lengths, more than dimensions, or more than the mode can fill.
        NotImplementedError: not that mode for that many dimensions.
    """
    ends = flat_sizes((pad,))
    ndim = input.array.ndim
    if len(ends) % 2:
        raise RuntimeError(f"Padding length must be divisible by 2, got {len(ends)}")
    if len(ends) // 2 > ndim:
        raise RuntimeError(
            f"Padding length should be less than or equal to two times the input dimension but got padding length "
            f"{len(ends)} and input of dimension {ndim}"
        )
    if mode == "constant":
        return _pad_with(input, ends, 0.0 if value is None else value)
    if mode not in ("reflect", "replicate", "circular"):
        raise NotImplementedError(f"Unrecognised padding mode {mode}")
    if value not in (None, 0):
        raise RuntimeError(f'Padding mode "{mode}" doesn\'t take in value argument')
    if len(ends) not in (2, 4, 6) or ndim - len(ends) // 2 not in (1, 2):
        raise NotImplementedError(
            "Only 2D, 3D, 4D, 5D padding with non-constant padding are supported for now, got padding "
            f"{ends} and an input of {ndim} dimensions"
        )
    for i in range(len(ends) // 2):
        axis = ndim - 1 - i
        places = _padded(input.array.shape[axis], ends[2 * i], ends[2 * i + 1], mode, axis)
        input = indexing.index_select(input, dim=axis, index=places)
    return input


def _pad_with(x: Tensor, ends: tuple[int, ...], value: float) -> Tensor:
    inner: list[Any] = [slice(None)] * x.array.ndim
    outer: list[Any] = [slice(None)] * x.array.ndim
    shape = list(x.array.shape)
    for i in range(len(ends) // 2):
        axis, (left, right) = x.array.ndim - 1 - i, ends[2 * i : 2 * i + 2]
        n = shape[axis]
        if n + left + right < 0:
            raise RuntimeError(
                f"The input size {n}, plus negative padding {left} and {right}, resulted in a negative output size, which "
                f"is invalid. Check dimension {axis} of your input."
            )
        kept = builtins.max(n + builtins.min(left, 0) + builtins.min(right, 0), 0)
        inner[axis] = slice(builtins.max(-left, 0), builtins.max(-left, 0) + kept)
        outer[axis] = slice(builtins.max(left, 0), builtins.max(left, 0) + kept)
        shape[axis] = n + left + right
    part = indexing.getitem(x, index=tuple(inner))
    if builtins.all(k <= 0 for k in ends):
        out: Tensor = elementwise.clone(part)
        return out
    out = indexing.getitem_adjoint(part, shape=tuple(shape), index=tuple(outer))
    if value:
        border = np.ones(tuple(shape), bool)
        border[tuple(outer)] = False
        out = elementwise.where(Tensor(border), x.array.dtype.type(value).item(), out)
    return out


def _padded(n: int, left: int, right: int, mode: str, axis: int) -> Any:
    """Return the positions that a padded dimension takes its elements from."""
    places = np.arange(-left, n + right)
    if mode == "circular" and builtins.min(left, right) < 0:  # what is cut does not come round again
        kept = np.arange(n)[builtins.max(-left, 0) : n - builtins.max(-right, 0)]
        return kept[_padded(kept.size, builtins.max(left, 0), builtins.max(right, 0), mode, axis)]
    if n + left + right < 0:
        raise RuntimeError(f"padding ({left}, {right}) cuts more than dimension {axis} of length {n} has")
    if mode == "replicate":
        return np.clip(places, 0, n - 1)
    if mode == "circular":
        if builtins.max(left, right) > n:
            raise RuntimeError("Padding value causes wrapping around more than once.")
        return places % builtins.max(n, 1)
    if builtins.max(left, right) >= n:
        raise RuntimeError(
            f"Padding size should be less than the corresponding input dimension, but got: padding ({left}, {right}) at "
            f"dimension {axis} of length {n}"
        )
    return (n - 1) - np.abs((n - 1) - np.abs(places))


def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """Channels in groups of r * r spread over r times r as many pixels, r = upscale_factor.

    Raises:
        RuntimeError: fewer than three dimensions, or channels that do not divide.
    """
    at_least(input, "pixel_shuffle", 3)
    *batch, c, h, w = input.array.shape
    r = upscale_factor
    if r <= 0 or c % (r * r):
        raise RuntimeError(
            f"pixel_shuffle expects its input's 'channel' dimension to be divisible by the square of upscale_factor, but "
            f"input.size(-3)={c} is not divisible by {r * r}"
        )
    if r == 1:
        out: Tensor = elementwise.clone(input)
        return out
    k = len(batch)
    apart = reshape(input, (*batch, c // (r * r), r, r, h, w))
    return not_a_view(
        reshape(permute(apart, (*range(k), k, k + 3, k + 1, k + 4, k + 2)), (*batch, c // (r * r), h * r, w * r))
    )


def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """The inverse of `pixel_shuffle`.

    Raises:
        RuntimeError: fewer than three dimensions, or pixels that do not divide.
    """
    at_least(input, "pixel_unshuffle", 3)
    *batch, c, h, w = input.array.shape
    r = downscale_factor
    if r <= 0 or h % r or w % r:
        raise RuntimeError(
            f"pixel_unshuffle expects height and width to be divisible by downscale_factor, but got {h}, {w} and {r}"
        )
    if r == 1:
        out: Tensor = elementwise.clone(input)
        return out
    k = len(batch)
    apart = reshape(input, (*batch, c, h // r, r, w // r, r))
    return not_a_view(
        reshape(permute(apart, (*range(k), k, k + 2, k + 4, k + 1, k + 3)), (*batch, c * r * r, h // r, w // r))
    )


def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """Channels in so many groups, taken in turn from each.

    Raises:
        RuntimeError: fewer than three dimensions, or channels that do not divide.
    """
    if input.array.ndim < 3:
        raise RuntimeError(
            f"channel_shuffle expects input with > 2 dims, but got input with sizes {list(input.array.shape)}"
        )
    if groups <= 0:
        raise RuntimeError(f"Number of groups to divide channels in must be positive. Value of groups:{groups}")
    n, c, *space = input.array.shape
    if c % groups:
        raise RuntimeError(f"Number of channels must be divisible by groups. Got {c} channels and {groups} groups.")
    apart = reshape(input, (n, groups, c // groups, *space))
    return not_a_view(reshape(permute(apart, (0, 2, 1, *range(3, apart.array.ndim))), (n, c, *space)))
