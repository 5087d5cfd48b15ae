"""Pooling of spatial dimensions."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from reference_impl import functions as F
from reference_impl.nn.convolution import sizes_of
from reference_impl.ops.contraction import matmul
from reference_impl.ops.convolution import convolution
from reference_impl.ops.elementwise import div
from reference_impl.ops.indexing import index_select
from reference_impl.ops.movement import reshape
from reference_impl.ops.pooling import first_largest, largest_position
from reference_impl.tensor import Tensor, rename

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "lp_pool1d",
    "lp_pool2d",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
]

Sizes = tuple[int, ...]


def _places(space: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, ceil_mode: bool) -> Sizes:
    """Return how many windows there are; with `ceil_mode` the last may reach over the edge, but not start beyond it."""
    counts = []
    for n, k, s, p, d in zip(space, kernel, stride, padding, dilation, strict=True):
        room = n + 2 * p - d * (k - 1) - 1
        count = (-(-room // s) if ceil_mode else room // s) + 1
        if ceil_mode and (count - 1) * s >= n + p:
            count -= 1
        counts.append(count)
    if len(counts) == 1 and counts[0] < 1:
        raise RuntimeError(
            f"pooling of {space[0]} with a kernel of {kernel[0]}: Invalid computed output size: {counts[0]}"
        )
    if any(count < 1 for count in counts):
        raise RuntimeError(
            f"Given input size: ({_by(space)}), kernel ({_by(kernel)}). Calculated output size: ({_by(counts)}). Output size "
            "is too small"
        )
    return tuple(counts)


def _by(sizes: Sequence[int]) -> str:
    return "x".join(map(str, sizes))


def _settings(
    name: str, input: Tensor, rank: int, kernel_size: Any, stride: Any, padding: Any, dilation: Any = 1
) -> tuple[Sizes, Sizes, Sizes, Sizes]:
    shape = input.array.shape
    wrong_shape = RuntimeError(
        "non-empty 4D or 5D (batch mode) tensor expected for input"
        if rank == 3
        else f"{name}() Expected {rank + 1}D or {rank + 2}D (batch mode) tensor with optional 0 dim batch size for input, but "
        f"got: {list(shape)}"
    )
    if len(shape) not in (rank + 1, rank + 2):
        raise wrong_shape
    kernel = sizes_of(kernel_size, rank, name, "kernel_size")
    given = kernel if stride is None or stride == () else sizes_of(stride, rank, name, "stride")
    pads = sizes_of(padding, rank, name, "padding")
    dilations = sizes_of(dilation, rank, name, "dilation")
    for what, sizes in (("kernel_size", kernel), ("stride", given), ("dilation", dilations)):
        if min(sizes) <= 0:
            raise RuntimeError(f"{name}() {what} must be greater than zero, but got {min(sizes)}")
    for k, p, d in zip(kernel, pads, dilations, strict=True):
        if p < 0:
            raise RuntimeError(f"{name}() pad must be non-negative, but got pad={p}")
        if p > (d * (k - 1) + 1) // 2:
            raise RuntimeError(
                f"{name}() pad should be at most half of effective kernel size, but got pad={p}, kernel_size={k} and "
                f"dilation={d}"
            )
    if 0 not in shape[len(shape) - rank - 1 :]:
        return kernel, given, pads, dilations
    if rank == 3:
        raise RuntimeError(
            f"{name}(): Expected input's non-batch dimensions to have positive length, but input has a shape of {list(shape)} "
            "and non-batch dimension 0 has length zero!"
        )
    raise wrong_shape


@functools.lru_cache(maxsize=256)
def _windows(space: Sizes, places: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes) -> Any:
    """Return the flat positions of every window's elements, (places, kernel); beyond the edge stands the first inside."""
    grids = []
    for n, m, k, s, p, d in zip(space, places, kernel, stride, padding, dilation, strict=True):
        at = np.arange(m)[:, None] * s - p + np.arange(k) * d
        inside = (at >= 0) & (at < n)
        first = np.take_along_axis(at, inside.argmax(axis=1)[:, None], axis=1)
        grids.append(np.where(inside, at, first))
    flat: Any = 0
    rank = len(space)
    for i, (n, grid) in enumerate(zip(space, grids, strict=True)):
        shape = [1] * (2 * rank)
        shape[i], shape[rank + i] = grid.shape
        flat = flat * n + grid.reshape(shape)
    return flat.reshape(math.prod(places), math.prod(kernel))


def _max_pool(
    name: str,
    rank: int,
    input: Tensor,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
    return_indices: bool,
) -> Any:
    kernel, given, pads, dilations = _settings(name, input, rank, kernel_size, stride, padding, dilation)
    lead, space = tuple(input.shape[:-rank]), tuple(input.shape[-rank:])
    places = _places(space, kernel, given, pads, dilations, ceil_mode)
    index = _windows(space, places, kernel, given, pads, dilations)
    flat = reshape(input, shape=(*lead, math.prod(space)))
    taken = index_select(flat, dim=len(lead), index=index.reshape(-1))
    windows = reshape(taken, shape=(*lead, *index.shape))
    out: Tensor = reshape(first_largest(windows), shape=(*lead, *places))
    rename(out._node, f"MaxPool{rank}DWithIndicesBackward0")
    if not return_indices:
        return out
    first = largest_position(windows.array)[..., None]
    at = np.take_along_axis(np.broadcast_to(index, windows.array.shape), first, axis=-1)
    return out, Tensor(at.reshape(*lead, *places))


def max_pool1d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest of each window of (n, c, length) or (c, length); of ties the first gets the gradient.

    Args:
        stride: the kernel's size by default.
        padding: places on either side that take no part.
        ceil_mode: the last window may reach over the edge.
        return_indices: return where each of them stands too, counted through the spatial dimensions of the input.
    """
    return _max_pool("max_pool1d", 1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool2d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest of each window of (n, c, height, width); of ties the first, row by row, gets the gradient."""
    return _max_pool("max_pool2d", 2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool3d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest of each window of (n, c, depth, height, width); of ties the first gets the gradient."""
    return _max_pool("max_pool3d", 3, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def _avg_pool(
    name: str,
    rank: int,
    input: Tensor,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Tensor:
    kernel, given, pads, ones = _settings(name, input, rank, kernel_size, stride, padding)
    lead, space = tuple(input.shape[:-rank]), tuple(input.shape[-rank:])
    places = _places(space, kernel, given, pads, ones, ceil_mode)
    counts: Any = 1
    behind = []
    for i, (n, m, k, s, p) in enumerate(zip(space, places, kernel, given, pads, strict=True)):
        start = np.arange(m) * s - p
        low, high = (-p, n + p) if count_include_pad else (0, n)
        sizes = np.minimum(start + k, high) - np.maximum(start, low)
        counts = counts * sizes.reshape((1,) * i + (m,) + (1,) * (rank - i - 1))
        behind.append(max((m - 1) * s + k - n - p, 0))
    if divisor_override is not None:
        counts = np.array(divisor_override)
    # A convolution whose weights are ones adds up, and exact products do not round.
    x = reshape(input, shape=(math.prod(lead), 1, *space))
    weight = Tensor(np.ones((1, 1, *kernel), input.array.dtype))
    sums = convolution(x, weight, stride=given, padding=tuple(zip(pads, behind, strict=True)), dilation=ones, groups=1)
    out: Tensor = div(reshape(sums, shape=(*lead, *places)), Tensor(counts.astype(input.array.dtype)))
    rename(out._node, f"AvgPool{rank}DBackward0")
    return out


def avg_pool1d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """The mean of each window of (n, c, length); padding counts as zeros unless `count_include_pad` is false."""
    return _avg_pool("avg_pool1d", 1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


def avg_pool2d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window of (n, c, height, width), or its sum over `divisor_override`."""
    if divisor_override == 0:
        raise RuntimeError("divisor must be not zero")
    return _avg_pool(
        "avg_pool2d", 2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


def avg_pool3d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window of (n, c, depth, height, width), or its sum over `divisor_override`."""
    if divisor_override == 0:
        raise RuntimeError("divisor must be not zero")
    return _avg_pool(
        "avg_pool3d", 3, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


@functools.lru_cache(maxsize=256)
def _parts(space: Sizes, places: Sizes) -> tuple[Any, Any]:
    """Return which elements each place of an adaptive pool averages, (space, places) of 0 and 1, and how many."""
    member: Any = np.ones((1, 1))
    for n, m in zip(space, places, strict=True):
        at = np.arange(n)[:, None]
        i = np.arange(m)
        mine = (at >= i * n // m) & (at < -(-(i + 1) * n // m))
        member = np.kron(member, mine.astype(float))
    return member, member.sum(axis=0).reshape(places)


def _adaptive_places(name: str, rank: int, input: Tensor, output_size: Any) -> tuple[Sizes, Sizes, Sizes]:
    """The leading dimensions, the spatial ones, and how many parts they are cut into."""
    if input.array.ndim not in (rank + 1, rank + 2):
        if rank > 1 and input.array.ndim <= rank:
            raise ValueError(f"Input dimension should be at least {rank + 1}, got {input.array.ndim}")
        raise RuntimeError(f"{name}(): Expected {rank + 1}D or {rank + 2}D tensor, but got {list(input.shape)}")
    lead, space = tuple(input.shape[:-rank]), tuple(input.shape[-rank:])
    wanted = output_size if isinstance(output_size, (tuple, list)) else (output_size,) * rank
    if len(wanted) != rank:
        what = "'output_size' should contain one int" if rank == 1 else f"output_size must be {rank}"
        raise RuntimeError(f"{name}: {what}, got {output_size}")
    if any(m is not None and m < 0 for m in wanted):
        raise RuntimeError(
            f"{name}(): elements of output_size must be greater than or equal to 0, but received {wanted}"
        )
    return lead, space, tuple(n if m is None else m for n, m in zip(space, wanted, strict=True))


def _adaptive(name: str, rank: int, input: Tensor, output_size: Any) -> Tensor:
    lead, space, places = _adaptive_places(name, rank, input, output_size)
    if all(n % m == 0 for n, m in zip(space, places, strict=True) if m) and 0 not in places:
        kernel = tuple(n // m for n, m in zip(space, places, strict=True))
        return _avg_pool(name, rank, input, kernel, kernel, 0, False, True, None)
    member, counts = _parts(space, places)
    dtype = input.array.dtype
    sums = matmul(reshape(input, shape=(*lead, math.prod(space))), Tensor(member.astype(dtype)))
    out: Tensor = div(reshape(sums, shape=(*lead, *places)), Tensor(counts.astype(dtype)))
    return out


def adaptive_avg_pool1d(input: Tensor, output_size: Any) -> Tensor:
    """The means of `output_size` parts of (n, c, length), which may overlap where the length does not divide."""
    return _adaptive("adaptive_avg_pool1d", 1, input, output_size)


def adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Tensor:
    """The means of a grid of parts of (n, c, height, width); None keeps a size."""
    return _adaptive("adaptive_avg_pool2d", 2, input, output_size)


def adaptive_avg_pool3d(input: Tensor, output_size: Any) -> Tensor:
    """The means of a grid of parts of (n, c, depth, height, width); None keeps a size."""
    return _adaptive("adaptive_avg_pool3d", 3, input, output_size)


def _adaptive_max(name: str, rank: int, input: Tensor, output_size: Any, return_indices: bool) -> Any:
    """Parts have different sizes: each is filled up with its own last element, which is no other's first."""
    if rank > 1 and isinstance(output_size, list | tuple) and len(output_size) != rank:
        raise RuntimeError(f"{name}(): internal error: output_size.size() must be {rank}, got {output_size}")
    for m in output_size if isinstance(output_size, list | tuple) else (output_size,):
        if m is not None and m < 0:
            raise RuntimeError(f"Trying to create tensor with negative dimension {m}: {output_size}")
    lead, space, places = _adaptive_places(name, rank, input, output_size)
    index: Any = np.zeros((1, 1), np.int64)
    for n, m in zip(space, places, strict=True):
        i = np.arange(m)
        first, last = i * n // max(m, 1), -(-(i + 1) * n // max(m, 1))
        width = int((last - first).max(initial=0))
        own = np.minimum(first[:, None] + np.arange(width), last[:, None] - 1)
        index = (index[:, None, :, None] * n + own[None, :, None, :]).reshape(len(index) * m, -1)
    flat = reshape(input, shape=(*lead, math.prod(space)))
    windows = reshape(index_select(flat, dim=len(lead), index=index.reshape(-1)), shape=(*lead, *index.shape))
    out: Tensor = reshape(first_largest(windows), shape=(*lead, *places))
    if not return_indices:
        return out
    at = np.take_along_axis(
        np.broadcast_to(index, windows.array.shape), largest_position(windows.array)[..., None], axis=-1
    )
    return out, Tensor(at.reshape(*lead, *places))


def adaptive_max_pool1d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """The largest of each of `output_size` parts of (n, c, length); of ties the first gets the gradient."""
    return _adaptive_max("adaptive_max_pool1d", 1, input, output_size, return_indices)


def adaptive_max_pool2d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """The largest of each of a grid of parts of (n, c, height, width); None keeps a size."""
    return _adaptive_max("adaptive_max_pool2d", 2, input, output_size, return_indices)


def adaptive_max_pool3d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """The largest of each of a grid of parts of (n, c, depth, height, width); None keeps a size."""
    return _adaptive_max("adaptive_max_pool3d", 3, input, output_size, return_indices)


def _lp_pool(rank: int, input: Tensor, norm_type: float, kernel_size: Any, stride: Any, ceil_mode: bool) -> Tensor:
    pool = avg_pool1d if rank == 1 else avg_pool2d
    means = pool(F.pow(input, norm_type), kernel_size, stride, 0, ceil_mode)
    count = math.prod(sizes_of(kernel_size, rank, f"lp_pool{rank}d", "kernel_size"))
    out: Tensor = F.pow(F.mul(F.mul(F.sign(means), F.relu(F.abs(means))), count), 1.0 / norm_type)
    return out


def lp_pool1d(input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Tensor:
    """The p-th root of the sum of p-th powers of each window, p = norm_type."""
    return _lp_pool(1, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool2d(input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Tensor:
    """The same of windows of (n, c, height, width)."""
    return _lp_pool(2, input, norm_type, kernel_size, stride, ceil_mode)
