"""Moving elements around under PyTorch's names and signatures: shapes, order, cutting, joining, repeating, padding.

What PyTorch returns as a view is a view here: it shares the memory, and writing to it in place changes its base.

>>> import reference_impl as torch
>>> x = torch.zeros(2, 2)
>>> _ = torch.diagonal(x).add_(1)
>>> x
tensor([[1., 0.],
        [0., 1.]])
"""

from __future__ import annotations

import builtins
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from reference_impl.checks import axes_of, axis_of, index_array
from reference_impl.dtypes import DType
from reference_impl.ops import elementwise, indexing, movement
from reference_impl.tensor import Tensor, not_a_view

__all__ = [
    "adjoint",
    "atleast_1d",
    "atleast_2d",
    "atleast_3d",
    "block_diag",
    "broadcast_shapes",
    "broadcast_tensors",
    "broadcast_to",
    "cartesian_prod",
    "cat",
    "chunk",
    "column_stack",
    "concat",
    "concatenate",
    "diag",
    "diag_embed",
    "diagflat",
    "diagonal",
    "dsplit",
    "dstack",
    "expand",
    "expand_as",
    "flatten",
    "flip",
    "fliplr",
    "flipud",
    "hsplit",
    "hstack",
    "meshgrid",
    "moveaxis",
    "movedim",
    "narrow",
    "pad",
    "permute",
    "pixel_shuffle",
    "pixel_unshuffle",
    "ravel",
    "repeat",
    "repeat_interleave",
    "reshape",
    "roll",
    "rot90",
    "row_stack",
    "select",
    "split",
    "split_with_sizes",
    "squeeze",
    "stack",
    "swapaxes",
    "swapdims",
    "t",
    "tensor_split",
    "tile",
    "transpose",
    "unbind",
    "unflatten",
    "unfold",
    "unsqueeze",
    "view",
    "vsplit",
    "vstack",
]


def _flat(sizes: tuple[Any, ...], keyword: Any = None) -> tuple[int, ...]:
    if keyword is not None:
        return tuple(int(n) for n in keyword)
    if len(sizes) == 1 and not isinstance(sizes[0], int | Tensor):
        return tuple(int(n) for n in sizes[0])
    return tuple(int(n) for n in sizes)


def _tensors(given: tuple[Any, ...]) -> list[Tensor]:
    return list(given[0]) if len(given) == 1 and isinstance(given[0], list | tuple) else list(given)


def _cut(x: Tensor, axis: int, part: Any) -> Tensor:
    out: Tensor = indexing.getitem(x, index=(slice(None),) * axis + (part,))
    return out


def _at_least(x: Tensor, name: str, rank: int) -> None:
    if x.array.ndim < rank:
        raise RuntimeError(f"{name} requires a tensor with at least {rank} dimension, got shape {list(x.shape)}")


# -- shape


def reshape(input: Tensor, *sizes: Any, shape: Any = None) -> Tensor:
    """The same elements under another shape, one length of which may be -1: a view where strides allow, else a copy.

    Raises:
        RuntimeError: the shape does not hold that many elements.
    """
    wanted = _flat(sizes, shape)
    try:
        out: Tensor = movement.reshape(input, shape=wanted)
    except (RuntimeError, ValueError):
        raise RuntimeError(f"shape '{list(wanted)}' is invalid for input of size {input.array.size}") from None
    return out


def view(input: Tensor, *sizes: Any) -> Tensor:
    """The same memory under another shape.

    Raises:
        RuntimeError: the strides do not allow it.
    """
    if len(sizes) == 1 and isinstance(sizes[0], DType):
        raise RuntimeError(f"view(dtype) is not supported, got {sizes[0]}")
    out = reshape(input, *sizes)
    if out.array.size and not np.may_share_memory(out.array, input.array):
        raise RuntimeError(
            "view size is not compatible with input tensor's size and stride (at least one dimension spans across two "
            "contiguous subspaces). Use .reshape(...) instead."
        )
    return out


def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Dimensions start_dim to end_dim joined into one; the input itself if that is one already.

    Raises:
        RuntimeError: start_dim comes after end_dim.
    """
    shape = tuple(input.array.shape) or (1,)
    first, last = axis_of(start_dim, len(shape)), axis_of(end_dim, len(shape))
    if first > last:
        raise RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim")
    if first == last and input.array.ndim:
        return input
    return reshape(input, (*shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :]))


def unflatten(input: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """One dimension cut into several, one length of which may be -1.

    Raises:
        RuntimeError: the lengths do not multiply to that of the dimension.
    """
    axis = axis_of(dim, input.array.ndim)
    shape, n = tuple(input.array.shape), input.array.shape[axis]
    lengths = _flat((sizes,))
    known = math.prod(k for k in lengths if k != -1)
    full = tuple(n // builtins.max(known, 1) if k == -1 else k for k in lengths)
    if math.prod(full) != n:
        raise RuntimeError(
            f"unflatten: Provided sizes {list(lengths)} don't multiply up to the size of dim {axis} ({n}) in the input tensor"
        )
    return reshape(input, (*shape[:axis], *full, *shape[axis + 1 :]))


def ravel(input: Tensor) -> Tensor:
    """All elements in row-major order in one dimension."""
    return reshape(input, (-1,))


def squeeze(input: Tensor, dim: Any = None) -> Tensor:
    """The tensor without dimensions of length 1: all of them, or those named; a view."""
    if dim is not None and not isinstance(dim, int) and not len(dim):
        out: Tensor = movement.squeeze(input, dim=())
        return out
    out = movement.squeeze(input, dim=axes_of(input, dim))
    return out


def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """A dimension of length 1 inserted at `dim`; a view."""
    out: Tensor = movement.unsqueeze(input, dim=axis_of(dim, input.array.ndim + 1))
    return out


def atleast_1d(*tensors: Any) -> Any:
    """The tensors with at least one dimension; one for one, a tuple for several."""
    return _each(tensors, lambda x: x if x.array.ndim else reshape(x, (1,)))


def atleast_2d(*tensors: Any) -> Any:
    """The tensors with at least two dimensions; one for one, a tuple for several."""
    return _each(tensors, lambda x: x if x.array.ndim > 1 else reshape(x, (1, builtins.max(x.array.size, 0))))


def atleast_3d(*tensors: Any) -> Any:
    """The tensors with at least three dimensions; one for one, a tuple for several."""

    def lifted(x: Tensor) -> Tensor:
        if x.array.ndim > 2:
            return x
        return unsqueeze(x, -1) if x.array.ndim == 2 else reshape(x, (1, x.array.size, 1))

    return _each(tensors, lifted)


def _each(tensors: tuple[Any, ...], function: Any) -> Any:
    if len(tensors) == 1 and isinstance(tensors[0], Tensor):
        return function(tensors[0])
    return tuple(function(x) for x in _tensors(tensors))


# -- order


def permute(input: Tensor, *sizes: Any, dims: Any = None) -> Tensor:
    """Dimension i of the result is dimension dims[i] of the input; a view.

    Raises:
        RuntimeError: not one entry a dimension.
    """
    order = _flat(sizes, dims)
    if len(order) != input.array.ndim:
        raise RuntimeError(
            f"permute(sparse_coo): number of dimensions in the tensor input does not match the length of the desired "
            f"ordering of dimensions i.e. input.dim() = {input.array.ndim} is not equal to len(dims) = {len(order)}"
        )
    if len({axis_of(d, len(order)) for d in order}) < len(order):
        raise RuntimeError("permute(): duplicate dims are not allowed.")
    out: Tensor = movement.permute(input, dims=order)
    return out


def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """Two dimensions exchanged; a view."""
    ndim = input.array.ndim
    out: Tensor = movement.transpose(input, dim0=axis_of(dim0, ndim), dim1=axis_of(dim1, ndim))
    return out


swapaxes = swapdims = transpose


def t(input: Tensor) -> Tensor:
    """The transpose of a matrix; vectors and numbers stay as they are.

    Raises:
        RuntimeError: there are more than two dimensions.
    """
    if input.array.ndim > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {input.array.ndim}D")
    return reshape(input, tuple(input.shape)) if input.array.ndim < 2 else transpose(input, 0, 1)


def adjoint(input: Tensor) -> Tensor:
    """The last two dimensions exchanged: of real numbers, the conjugate transpose."""
    if input.array.ndim < 2:
        raise RuntimeError(
            f"tensor.adjoint() is only supported on matrices or batches of matrices. Got {input.array.ndim}-D tensor."
        )
    return transpose(input, -2, -1)


def movedim(input: Tensor, source: Any, destination: Any) -> Tensor:
    """Dimensions moved to other positions; the others keep their order. A view.

    Raises:
        RuntimeError: not as many sources as destinations, or one of them appears twice.
    """
    ndim = input.array.ndim
    given = [(d,) if isinstance(d, int) else tuple(d) for d in (source, destination)]
    if len(given[0]) != len(given[1]):
        raise RuntimeError(
            f"movedim: Invalid source or destination dims: source ({list(given[0])} dims) should contain the same number "
            f"of dims as destination ({list(given[1])} dims)"
        )
    sources, targets = ([axis_of(d, ndim) for d in dims] for dims in given)
    for name, dims in (("source", sources), ("destination", targets)):
        if len(set(dims)) < len(dims):
            raise RuntimeError(f"movedim: repeated dim in `{name}` ({dims})")
    if not ndim:
        return input
    places = dict(zip(targets, sources, strict=True))
    rest = iter(d for d in range(ndim) if d not in sources)
    return permute(input, [places[d] if d in places else next(rest) for d in range(ndim)])


moveaxis = movedim


def flip(input: Tensor, *sizes: Any, dims: Any = None) -> Tensor:
    """The order of the elements reversed along `dims`; a copy."""
    axes = _flat(sizes, dims)
    checked = [axis_of(d, input.array.ndim) for d in axes]
    if len(set(checked)) < len(checked):
        raise RuntimeError(f"dim {checked[0]} appears multiple times in the list of dims")
    out: Tensor = movement.flip(input, dims=axes if input.array.ndim else ())
    return out


def fliplr(input: Tensor) -> Tensor:
    """The order of the columns reversed."""
    if input.array.ndim < 2:
        raise RuntimeError("Input must be >= 2-d.")
    return flip(input, (1,))


def flipud(input: Tensor) -> Tensor:
    """The order of the rows reversed."""
    if input.array.ndim < 1:
        raise RuntimeError("Input must be >= 1-d.")
    return flip(input, (0,))


def roll(input: Tensor, shifts: Any, dims: Any = None) -> Tensor:
    """The elements moved along `dims`, what leaves at one end enters at the other; without `dims`, of all in a row.

    Raises:
        RuntimeError: not one shift a dimension.
    """
    steps = (shifts,) if isinstance(shifts, int) else tuple(shifts)
    axes = () if dims is None else (dims,) if isinstance(dims, int) else tuple(dims)
    if not axes and len(steps) == 1:
        return not_a_view(reshape(_rolled(ravel(input), steps[0], 0), tuple(input.shape)))
    if not steps or len(steps) != len(axes):
        raise RuntimeError(
            f"shifts and dimensions must align. shifts: {len(steps)}, dims:{len(axes)}"
            if steps
            else "`shifts` required"
        )
    for step, d in zip(steps, axes, strict=True):
        input = _rolled(input, step, axis_of(d, input.array.ndim))
    return input


def _rolled(x: Tensor, step: int, axis: int) -> Tensor:
    if not x.array.size or not x.array.ndim:
        out: Tensor = elementwise.clone(x)
        return out
    split = -step % x.array.shape[axis]
    out = movement.cat(_cut(x, axis, slice(split, None)), _cut(x, axis, slice(None, split)), dim=axis)
    return out


def rot90(input: Tensor, k: int = 1, dims: Sequence[int] = (0, 1)) -> Tensor:
    """The tensor turned k times by 90 degrees in the plane of two dimensions, from the first towards the second.

    Raises:
        RuntimeError: not two different dimensions.
    """
    ndim = input.array.ndim
    if len(dims) != 2:
        raise RuntimeError(f"expected total rotation dims == 2, but got dims = {len(dims)}")
    if ndim < 2:
        raise RuntimeError(f"expected total dims >= 2, but got total dims = {ndim}")
    a, b = (axis_of(d, ndim) for d in dims)
    if a == b:
        raise RuntimeError(f"expected rotation dims to be different, but got dim0 = {dims[0]} and dim1 = {dims[1]}")
    match k % 4:
        case 1:
            return not_a_view(transpose(flip(input, (b,)), a, b))
        case 2:
            return flip(input, (a, b))
        case 3:
            return not_a_view(transpose(flip(input, (a,)), a, b))
    out: Tensor = elementwise.clone(input)
    return out


# -- cutting


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
    return _cut(input, axis, place)


def narrow(input: Tensor, dim: int, start: Any, length: int) -> Tensor:
    """The part of `length` from `start` along `dim`; a view.

    Raises:
        RuntimeError: it leaves the tensor.
        IndexError: it starts outside.
    """
    if not input.array.ndim:
        raise RuntimeError("narrow() cannot be applied to a 0-dim tensor.")
    axis = axis_of(dim, input.array.ndim)
    n, first = input.array.shape[axis], int(start)
    if length < 0:
        raise RuntimeError("narrow(): length must be non-negative.")
    if not -n <= first <= n:
        raise IndexError(f"start out of range (expected to be in range of [{-n}, {n}], but got {first})")
    first = first + n if first < 0 else first
    if first + length > n:
        raise RuntimeError(f"start ({first}) + length ({length}) exceeds dimension size ({n}).")
    return _cut(input, axis, slice(first, first + length))


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
    return _several("Unbind", [_cut(input, axis, i) for i in range(input.array.shape[axis])])


def split(input: Tensor, split_size_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """The tensor cut along `dim` into pieces of one size, or of the sizes in a list; views.

    Raises:
        RuntimeError: the size is not positive, or the sizes do not add up.
    """
    if not input.array.ndim:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    size = split_size_or_sections
    axis = axis_of(dim, input.array.ndim)
    n = input.array.shape[axis]
    if not isinstance(size, int):
        return split_with_sizes(input, size, dim)
    if size < 0:
        raise RuntimeError(f"split expects split_size be non-negative, but got split_size={size}")
    if not size and n:
        raise RuntimeError(f"split_size can only be 0 if dimension size is 0, but got dimension size of {n}")
    starts = range(0, n, size) if n else (0,)
    return _several("Split", [_cut(input, axis, slice(i, builtins.min(i + size, n))) for i in starts])


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
        "SplitWithSizes", [_cut(input, axis, slice(end - k, end)) for k, end in zip(sizes, ends, strict=True)]
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
    return tuple(_cut(input, axis, slice(a, b)) for a, b in zip(starts, ends, strict=True))


def _split_along(name: str, x: Tensor, given: Any, dim: int, rank: int) -> tuple[Tensor, ...]:
    if x.array.ndim < rank:
        raise RuntimeError(
            f"torch.{name} requires a tensor with at least {rank} dimension, but got a tensor with {x.array.ndim} dimensions!"
        )
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
        return reshape(input, (size,)) if size else _cut(reshape(input, (1,)), 0, slice(0, 0))
    if not size:
        shape = tuple((n // step + 1) if d == axis else k for d, k in enumerate(input.array.shape))
        return _cut(expand(unsqueeze(_cut(input, axis, slice(0, 1)), -1), (*shape, 1)), len(shape), slice(0, 0))
    out: Tensor = movement.unfold(input, dim=axis, size=size, step=step)
    return out


# -- repeating


def expand(input: Tensor, *sizes: Any, shape: Any = None) -> Tensor:
    """The tensor repeated along dimensions of length 1 and along new leading ones, without copying; -1 keeps a length.

    Raises:
        RuntimeError: a length differs where it is not 1, or there are fewer lengths than dimensions.
    """
    wanted = _flat(sizes, shape)
    own = tuple(input.array.shape)
    extra = len(wanted) - len(own)
    if extra < 0:
        raise RuntimeError(
            f"expand({list(own)}, size={list(wanted)}): the number of sizes provided ({len(wanted)}) must be greater or "
            f"equal to the number of dimensions in the tensor ({len(own)})"
        )
    if -1 in wanted[:extra]:
        place = wanted.index(-1)
        raise RuntimeError(
            f"The expanded size of the tensor (-1) isn't allowed in a leading, non-existing dimension {place}"
        )
    full = tuple(own[i - extra] if n == -1 else n for i, n in enumerate(wanted))
    for i, n in enumerate(own, extra):
        if n not in (1, full[i]):
            raise RuntimeError(
                f"The expanded size of the tensor ({full[i]}) must match the existing size ({n}) at non-singleton dimension "
                f"{i}.  Target sizes: {list(wanted)}.  Tensor sizes: {list(own)}"
            )
    out: Tensor = movement.expand(input, shape=full)
    return out


broadcast_to = expand


def expand_as(input: Tensor, other: Tensor) -> Tensor:
    """The tensor expanded to another's shape."""
    return expand(input, tuple(other.shape))


def broadcast_shapes(*shapes: Any) -> tuple[int, ...]:
    """The shape that shapes broadcast to.

    Raises:
        RuntimeError: they do not.
    """
    from reference_impl.tensor import Size

    try:
        return Size(np.broadcast_shapes(*((s,) if isinstance(s, int) else tuple(s) for s in shapes)))
    except ValueError:
        raise RuntimeError(
            f"Shape mismatch: objects cannot be broadcast to a single shape: {', '.join(str(list(s)) for s in shapes)}"
        ) from None


def broadcast_tensors(*tensors: Any) -> tuple[Tensor, ...]:
    """The tensors expanded to the shape that they broadcast to; views."""
    xs = _tensors(tensors)
    shape = broadcast_shapes(*(x.array.shape for x in xs))
    return tuple(expand(x, shape) for x in xs)


def repeat(input: Tensor, *repeats: Any) -> Tensor:
    """The tensor laid out several times along each dimension; more numbers than dimensions add leading ones.

    Raises:
        RuntimeError: there are fewer numbers than dimensions.
    """
    times = _flat(repeats)
    extra = len(times) - input.array.ndim
    if extra < 0:
        raise RuntimeError("Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor")
    own = (1,) * extra + tuple(input.array.shape)
    if builtins.all(k == 1 for k in times):
        out: Tensor = elementwise.clone(reshape(input, own))
        return out
    apart = reshape(input, tuple(n for k in own for n in (1, k)))
    wide = movement.expand(apart, shape=tuple(n for k, m in zip(times, own, strict=True) for n in (k, m)))
    return not_a_view(reshape(wide, tuple(k * m for k, m in zip(times, own, strict=True))))


def tile(input: Tensor, *dims: Any) -> Tensor:
    """As `repeat`, where missing leading numbers are 1."""
    times = _flat(dims)
    return repeat(input, (1,) * builtins.max(input.array.ndim - len(times), 0) + times)


def repeat_interleave(
    input: Tensor, repeats: Any = None, dim: int | None = None, *, output_size: int | None = None
) -> Tensor:
    """Each slice along `dim` several times in a row, one number for all or one for each; without `dim`, of all elements.

    Raises:
        RuntimeError: not one number a slice, or a negative one.
    """
    if repeats is None:
        counts = index_array(input, "repeats")
        return Tensor(np.repeat(np.arange(counts.size), counts))
    x = ravel(input) if dim is None else input
    if not x.array.ndim:
        x = reshape(x, (1,))
    axis = 0 if dim is None else axis_of(dim, x.array.ndim)
    n = x.array.shape[axis]
    given = index_array(repeats, "repeats").reshape(-1)
    if given.size not in (1, n):
        raise RuntimeError(
            f"repeats must have the same size as input along dim, but got repeats.size(0) = {given.size} and "
            f"input.size({axis}) = {n}"
        )
    if given.size and given.min() < 0:
        raise RuntimeError("repeats can not be negative")
    places = np.repeat(np.arange(n), np.broadcast_to(given, (n,)))
    out: Tensor = indexing.index_select(x, dim=axis, index=places)
    return out


def meshgrid(*tensors: Any, indexing: str | None = None) -> tuple[Tensor, ...]:
    """The coordinates of the points of a grid whose axes are given as vectors; views.

    Args:
        indexing: "ij" (the default): the first vector runs along dimension 0; "xy": along dimension 1.
    """
    xs = [reshape(x, (-1,)) for x in _tensors(tensors)]
    if indexing not in (None, "ij", "xy"):
        raise RuntimeError(f'torch.meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}')
    swap = indexing == "xy" and len(xs) > 1
    if swap:
        xs[0], xs[1] = xs[1], xs[0]
    shape = tuple(x.array.size for x in xs)
    grids = [
        expand(reshape(x, tuple(n if j == i else 1 for j, n in enumerate(shape))), shape) for i, x in enumerate(xs)
    ]
    if swap:
        grids[0], grids[1] = grids[1], grids[0]
    return tuple(grids)


def cartesian_prod(*tensors: Tensor) -> Tensor:
    """All combinations of one element of each vector, one a row; of a single vector, that vector."""
    xs = _tensors(tensors)
    if len(xs) == 1:
        return xs[0]
    return stack([ravel(g) for g in meshgrid(*xs)], 1)


# -- joining


def cat(tensors: Sequence[Tensor], dim: int = 0, *, axis: int | None = None) -> Tensor:
    """The tensors one after the other along `dim`. A vector of no elements takes no part.

    Raises:
        RuntimeError: there are none, or their shapes differ elsewhere.
    """
    xs = list(tensors)
    if not xs:
        raise ValueError("torch.cat(): expected a non-empty list of Tensors")
    rank = xs[0].array.ndim
    if axis is None and type(dim) is int and -rank <= dim < rank and all(x.array.ndim == rank for x in xs):
        try:
            joined: Tensor = movement.cat(*xs, dim=dim % rank)
        except RuntimeError:
            _refuse_to_join(xs, xs[0].array.shape, dim % rank)
            raise
        return joined
    # What is left is wrong, or has vectors of no elements.
    for i, x in enumerate(xs):
        if not x.array.ndim:
            raise RuntimeError(f"zero-dimensional tensor (at position {i}) cannot be concatenated")
    first = next((x.array.shape for x in xs if x.array.shape != (0,)), (0,))
    place = axis_of(dim if axis is None else axis, len(first))
    nothing = tuple(0 if d == place else n for d, n in enumerate(first))
    xs = [reshape(x, nothing) if x.array.shape == (0,) else x for x in xs]
    _refuse_to_join(xs, first, place)
    out: Tensor = movement.cat(*xs, dim=place)
    return out


def _refuse_to_join(xs: Sequence[Tensor], first: tuple[int, ...], place: int) -> None:
    """Raise if a tensor does not fit the first one, saying where."""
    for i, x in enumerate(xs):
        shape = x.array.shape
        if len(shape) != len(first):
            raise RuntimeError(f"Tensors must have same number of dimensions: got {len(first)} and {len(shape)}")
        for d, (n, m) in enumerate(zip(first, shape, strict=True)):
            if d != place and n != m:
                raise RuntimeError(
                    f"Sizes of tensors must match except in dimension {place}. Expected size {n} but got size {m} for "
                    f"tensor number {i} in the list."
                )


concat = concatenate = cat


def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """The tensors, all of one shape, along a new dimension.

    Raises:
        RuntimeError: there are none, or their shapes differ.
    """
    xs = list(tensors)
    if not xs:
        raise RuntimeError("stack expects a non-empty TensorList")
    for i, x in enumerate(xs):
        if x.array.shape != xs[0].array.shape:
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {list(xs[0].shape)} at entry 0 and {list(x.shape)} at "
                f"entry {i}"
            )
    out: Tensor = movement.stack(*xs, dim=axis_of(dim, xs[0].array.ndim + 1))
    return out


def hstack(tensors: Sequence[Tensor]) -> Tensor:
    """The tensors side by side: along dimension 1, vectors along dimension 0."""
    xs = [atleast_1d(x) for x in tensors]
    return cat(xs, 0 if xs and xs[0].array.ndim == 1 else 1)


def vstack(tensors: Sequence[Tensor]) -> Tensor:
    """The tensors one above the other, vectors as rows."""
    return cat([atleast_2d(x) for x in tensors], 0)


row_stack = vstack


def dstack(tensors: Sequence[Tensor]) -> Tensor:
    """The tensors one behind the other, along dimension 2."""
    return cat([atleast_3d(x) for x in tensors], 2)


def column_stack(tensors: Sequence[Tensor]) -> Tensor:
    """The tensors side by side, vectors as columns."""
    return hstack([x if x.array.ndim > 1 else reshape(x, (x.array.size, 1)) for x in tensors])


def block_diag(*tensors: Any) -> Tensor:
    """A matrix of zeros with the given matrices along its diagonal.

    Raises:
        RuntimeError: one of them has more than two dimensions.
    """
    xs = []
    for i, x in enumerate(_tensors(tensors)):
        if x.array.ndim > 2:
            raise RuntimeError(
                f"torch.block_diag: Input tensors must have 2 or fewer dimensions. Input {i} has {x.array.ndim} dimensions"
            )
        xs.append(atleast_2d(x))
    width = builtins.sum(x.array.shape[1] for x in xs)
    rows, before = [], 0
    for x in xs:
        n = x.array.shape[1]
        rows.append(pad(x, (before, width - before - n)))
        before += n
    return cat(rows, 0)


# -- padding


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
    ends = _flat((pad,))
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
    _at_least(input, "pixel_shuffle", 3)
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
    _at_least(input, "pixel_unshuffle", 3)
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
