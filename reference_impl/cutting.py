"""Cutting tensors into parts under PyTorch's names: slices, pieces, diagonals, windows; views where PyTorch has views."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any

import numpy as np

from reference_impl.checks import axis_of
from reference_impl.given import cut, flat_sizes
from reference_impl.modes import mode
from reference_impl.moving import expand, permute, ravel, reshape, unsqueeze
from reference_impl.ops import elementwise, indexing, movement
from reference_impl.tensor import Tensor, not_a_view, rename

__all__ = [
    "as_strided",
    "chunk",
    "diag",
    "diag_embed",
    "diagflat",
    "diagonal",
    "dsplit",
    "hsplit",
    "narrow",
    "select",
    "split",
    "split_with_sizes",
    "tensor_split",
    "unbind",
    "unfold",
    "vsplit",
]


def select(input: Tensor, dim: int, index: int) -> Tensor:
    """The slice at one index along `dim`; a view.

    Raises:
        IndexError: there is no such slice.
    """
    if not input.array.ndim:
        raise IndexError("select() cannot be applied to a 0-dim tensor.")
    axis = axis_of(dim, input.array.ndim)
    n, place = input.array.shape[axis], int(index)
    if not -n <= place < n:
        raise IndexError(
            f"select(): index {place} out of range for tensor of size {list(input.shape)} at dimension {axis}"
        )
    return cut(input, axis, place)


def narrow(input: Tensor, dim: int, start: Any, length: int) -> Tensor:
    """The part of `length` from `start` along `dim`; a view.

    Raises:
        RuntimeError: it leaves the tensor.
        IndexError: it starts outside.
    """
    if not input.array.ndim:
        raise RuntimeError("narrow() cannot be applied to a 0-dim tensor.")
    if isinstance(start, Tensor) and (start.array.ndim or start.array.dtype.kind not in "iu"):
        raise RuntimeError(f"start must be an 0-dim integral Tensor. Got {list(start.shape)} of {start.dtype}")
    axis = axis_of(dim, input.array.ndim)
    n, first = input.array.shape[axis], int(start)
    if length < 0:
        raise RuntimeError("narrow(): length must be non-negative.")
    if not -n <= first <= n:
        raise IndexError(f"start out of range (expected to be in range of [{-n}, {n}], but got {first})")
    first = first + n if first < 0 else first
    if first + length > n:
        raise RuntimeError(f"start ({first}) + length ({length}) exceeds dimension size ({n}).")
    return cut(input, axis, slice(first, first + length))


def _several(op: str, views: list[Tensor]) -> tuple[Tensor, ...]:
    """Mark views as the outputs of one op."""
    for i, x in enumerate(views):
        if x._view is not None and x._view.kind in ("", "custom"):
            x._view.kind = f"Output {i} of {op}"
    return tuple(views)


def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """The slices along `dim`, one tensor each: views that cannot be written to in place where gradients flow."""
    if not input.array.ndim:
        raise IndexError("Dimension specified as 0 but tensor has no dimensions")
    axis = axis_of(dim, input.array.ndim)
    return _several("Unbind", [cut(input, axis, i) for i in range(input.array.shape[axis])])


def split(tensor: Tensor, split_size_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """The tensor cut along `dim` into pieces of one size, or of the sizes in a list; views.

    Raises:
        RuntimeError: the size is not positive, or the sizes do not add up.
    """
    if not tensor.array.ndim:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    size = split_size_or_sections
    axis = axis_of(dim, tensor.array.ndim)
    n = tensor.array.shape[axis]
    if not isinstance(size, int):
        return split_with_sizes(tensor, size, dim)
    if size < 0:
        raise RuntimeError(f"split expects split_size be non-negative, but got split_size={size}")
    if not size and n:
        raise RuntimeError(f"split_size can only be 0 if dimension size is 0, but got dimension size of {n}")
    starts = range(0, n, size) if n else (0,)
    return _several("Split", [cut(tensor, axis, slice(i, builtins.min(i + size, n))) for i in starts])


def split_with_sizes(input: Tensor, split_sizes: Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """The tensor cut along `dim` into pieces of the given sizes; views.

    Raises:
        RuntimeError: the sizes do not add up.
    """
    axis = axis_of(dim, input.array.ndim)
    n, sizes = input.array.shape[axis], [int(k) for k in split_sizes]
    if builtins.sum(sizes) != n or builtins.min(sizes, default=0) < 0:
        raise RuntimeError(
            f"split_with_sizes expects split_sizes to sum exactly to {n} (input tensor's size at dimension {dim}), but "
            f"got split_sizes={sizes}"
        )
    ends = np.cumsum(sizes).tolist()
    return _several(
        "SplitWithSizes", [cut(input, axis, slice(end - k, end)) for k, end in zip(sizes, ends, strict=True)]
    )


def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """The tensor cut along `dim` into at most that many pieces of equal size; views.

    Raises:
        RuntimeError: the number is not positive.
    """
    if not input.array.ndim:
        raise RuntimeError("chunk expects at least a 1-dimensional tensor")
    if chunks <= 0:
        raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    n = input.array.shape[axis_of(dim, input.array.ndim)]
    size = -(-n // chunks)
    return split(input, size, dim) if n else split_with_sizes(input, [0] * chunks, dim)


def tensor_split(input: Tensor, indices_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """The tensor cut along `dim` into that many pieces, or before each of the given positions; views.

    Raises:
        RuntimeError: the number is not positive, or the tensor has no dimensions.
    """
    if not input.array.ndim:
        raise RuntimeError("tensor_split expected at least a 1-dimensional tensor, but got a tensor with 0 dims")
    axis = axis_of(dim, input.array.ndim)
    n, given = input.array.shape[axis], indices_or_sections
    if isinstance(given, Tensor):
        given = given.tolist()
    if isinstance(given, int):
        if given <= 0:
            raise RuntimeError(f"number of sections must be larger than 0, got {given}")
        sizes = [n // given + (i < n % given) for i in range(given)]
        return split_with_sizes(input, sizes, axis)
    ends = [*(int(i) for i in given), n]
    starts = [0, *ends[:-1]]
    return tuple(cut(input, axis, slice(a, b)) for a, b in zip(starts, ends, strict=True))


def _split_along(name: str, x: Tensor, given: Any, dim: int, rank: int) -> tuple[Tensor, ...]:
    if x.array.ndim < rank:
        raise RuntimeError(
            f"torch.{name} requires a tensor with at least {rank} dimension, but got a tensor with {x.array.ndim} dimensions!"
        )
    if isinstance(given, str):
        raise TypeError(f"{name}() received an invalid combination of arguments. Got {given!r} for indices_or_sections")
    n = x.array.shape[dim]
    if isinstance(given, int) and (given <= 0 or n % given):
        raise RuntimeError(
            f"torch.{name} attempted to split along dimension {dim}, but the size of the dimension {n} is not divisible by "
            f"the split_size {given}!"
        )
    return tensor_split(x, given, dim)


def hsplit(input: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """The tensor cut along its columns; views."""
    return _split_along("hsplit", input, indices_or_sections, 0 if input.array.ndim == 1 else 1, 1)


def vsplit(input: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """The tensor cut along its rows; views."""
    return _split_along("vsplit", input, indices_or_sections, 0, 2)


def dsplit(input: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """The tensor cut along its third dimension; views."""
    return _split_along("dsplit", input, indices_or_sections, 2, 3)


def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """The diagonal of two dimensions, as the last one of the result; a view.

    Raises:
        RuntimeError: the dimensions are one.
    """
    a, b = axis_of(dim1, input.array.ndim), axis_of(dim2, input.array.ndim)
    if a == b:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    out: Tensor = movement.diagonal(input, offset=offset, dim1=a, dim2=b)
    return out


def diag_embed(input: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """Zeros whose diagonals in two dimensions are the last dimension of the input.

    Raises:
        RuntimeError: the dimensions are one.
    """
    rank = input.array.ndim + 1
    a, b = axis_of(dim1, rank), axis_of(dim2, rank)
    if a == b:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    n = input.array.shape[-1] + builtins.abs(offset)
    places = movement.diagonal_places(n, n, offset)
    square = indexing.getitem_adjoint(input, shape=(*input.array.shape[:-1], n, n), index=(Ellipsis, *places))
    out: Tensor = movement.permute(square, dims=movement.inverse(movement.to_the_end(rank, a, b)))
    return not_a_view(out)


def diag(input: Tensor, diagonal: int = 0) -> Tensor:
    """The diagonal of a matrix, or the matrix with that diagonal of a vector; a copy.

    Raises:
        RuntimeError: the input is neither.
    """
    if input.array.ndim == 1:
        return diag_embed(input, diagonal)
    if input.array.ndim != 2:
        raise RuntimeError(f"diag(): Supports 1D or 2D tensors. Got {input.array.ndim}D")
    out: Tensor = elementwise.clone(movement.diagonal(input, offset=diagonal, dim1=0, dim2=1))
    return out


def diagflat(input: Tensor, offset: int = 0) -> Tensor:
    """The matrix whose diagonal holds all elements of the input."""
    return diag_embed(ravel(input), offset)


def unfold(input: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """All slices of `size` elements along a dimension, `step` apart, in a new last dimension; a view.

    Raises:
        RuntimeError: a slice is longer than the dimension, or the step is not positive.
    """
    axis = axis_of(dimension, input.array.ndim)
    n = input.array.shape[axis] if input.array.ndim else 1
    if size < 0:
        raise RuntimeError(f"size is {size} but must be >= 0")
    if size > n:
        raise RuntimeError(f"maximum size for tensor at dimension {axis} is {n} but size is {size}")
    if step <= 0:
        raise RuntimeError(f"step is {step} but must be > 0")
    if not input.array.ndim:
        return reshape(input, (size,)) if size else cut(reshape(input, (1,)), 0, slice(0, 0))
    if not size:
        shape = tuple((n // step + 1) if d == axis else k for d, k in enumerate(input.array.shape))
        return cut(expand(unsqueeze(cut(input, axis, slice(0, 1)), -1), (*shape, 1)), len(shape), slice(0, 0))
    out: Tensor = movement.unfold(input, dim=axis, size=size, step=step)
    return out


def as_strided(input: Tensor, size: Sequence[int], stride: Sequence[int], storage_offset: int | None = None) -> Tensor:
    """The memory that the input lies in, under any shape, steps and offset, all counted in elements; a view.

    It is cut out of the input where that lies densely and holds all of it, else out of the input's base.

    Raises:
        RuntimeError: a step is negative, there are not as many steps as lengths, the view leaves the memory, or that is not
            dense.
    """
    lengths, steps = flat_sizes((size,)), flat_sizes((stride,))
    start = input.storage_offset() if storage_offset is None else int(storage_offset)
    if len(lengths) != len(steps):
        raise RuntimeError(f"mismatch in length of strides and shape: {list(steps)} and {list(lengths)}")
    if builtins.min(steps, default=0) < 0:
        raise RuntimeError(f"as_strided: Negative strides are not supported at the moment, got strides: {list(steps)}")
    if start < 0:
        raise RuntimeError(f"Tensor: invalid storage offset {start}")
    flat, first = _memory_of(input), start - input.storage_offset()
    span = builtins.sum((n - 1) * s for n, s in zip(lengths, steps, strict=True)) + 1 if 0 not in lengths else 0
    if (flat is None or not 0 <= first <= flat.array.size - span) and input._base is not None:
        flat, first = _memory_of(input._base), start
    if flat is None:
        raise RuntimeError(f"as_strided: of a tensor whose memory has gaps, strides {list(input.stride())}")
    if first + span > flat.array.size:
        item = input.element_size()
        raise RuntimeError(
            f"setStorage: sizes {list(lengths)}, strides {list(steps)}, storage offset {start}, and itemsize {item} requiring "
            f"a storage size of {(start + span) * item} are out of bounds for storage of size {flat.array.size * item}"
        )
    if not span:
        out = reshape(cut(flat, 0, slice(0, 0)), lengths)
    else:
        out = cut(flat, 0, slice(first, first + span))
        for length, step in zip(lengths, steps, strict=True):
            # The last dimension is what is left of the memory: windows of it, one a position of this dimension.
            left = out.array.shape[-1] - (length - 1) * step
            if step:
                out = movement.unfold(out, dim=out.ndim - 1, size=left, step=step)
            else:
                out = expand(unsqueeze(out, -2), (*out.shape[:-1], length, left))
        out = cut(out, len(lengths), 0)
    if out._node is not None and mode.enabled:
        rename(out._node, "AsStridedBackward0")
    return out


def _memory_of(x: Tensor) -> Tensor | None:
    """Return the elements of a tensor in the order in which they lie in memory, as a view; None where there are gaps."""
    if x.array.flags.c_contiguous:
        return reshape(x, (-1,))
    turned = permute(x, sorted(range(x.ndim), key=lambda d: x.array.strides[d], reverse=True))
    return reshape(turned, (-1,)) if turned.array.flags.c_contiguous else None
