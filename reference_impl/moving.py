"""Moving elements around under PyTorch's names and signatures: shapes, order, repeating.

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
from reference_impl.dtypes import DType, scalar_type
from reference_impl.given import cut, flat_sizes, tensors_of
from reference_impl.ops import elementwise, indexing, movement
from reference_impl.primitives import broadcast_error
from reference_impl.tensor import Tensor, not_a_view, rename

__all__ = [
    "adjoint",
    "atleast_1d",
    "atleast_2d",
    "atleast_3d",
    "broadcast_shapes",
    "broadcast_tensors",
    "broadcast_to",
    "expand",
    "expand_as",
    "flatten",
    "flip",
    "fliplr",
    "flipud",
    "meshgrid",
    "moveaxis",
    "movedim",
    "permute",
    "ravel",
    "repeat",
    "repeat_interleave",
    "reshape",
    "roll",
    "rot90",
    "squeeze",
    "swapaxes",
    "swapdims",
    "t",
    "tile",
    "transpose",
    "unflatten",
    "unsqueeze",
    "view",
]


# -- shape


def reshape(input: Tensor, *sizes: Any, shape: Any = None) -> Tensor:
    """The same elements under another shape, one length of which may be -1: a view where strides allow, else a copy.

    Raises:
        RuntimeError: the shape does not hold that many elements.
    """
    wanted = flat_sizes(sizes, shape)
    try:
        out: Tensor = movement.reshape(input, shape=wanted)
    except (RuntimeError, ValueError):
        if wanted.count(-1) > 1:
            raise RuntimeError(f"only one dimension can be inferred, got shape {list(wanted)}") from None
        if -1 in wanted and 0 in wanted and not input.array.size:
            raise RuntimeError(
                f"cannot reshape tensor of 0 elements into shape {list(wanted)} because the unspecified dimension size -1 "
                "can be any value and is ambiguous"
            ) from None
        raise RuntimeError(f"shape '{list(wanted)}' is invalid for input of size {input.array.size}") from None
    return out


def view(input: Tensor, *sizes: Any, size: Any = None, dtype: DType | None = None) -> Tensor:
    """The same memory under another shape.

    Raises:
        RuntimeError: the strides do not allow it.
    """
    sizes = sizes if size is None else (size,)
    if dtype is not None or (len(sizes) == 1 and isinstance(sizes[0], DType)):
        return _reinterpreted(input, dtype or sizes[0])
    out = reshape(input, *sizes)
    if out.array.size and not np.may_share_memory(out.array, input.array):
        raise RuntimeError(
            "view size is not compatible with input tensor's size and stride (at least one dimension spans across two "
            "contiguous subspaces). Use .reshape(...) instead."
        )
    return out


def _reinterpreted(x: Tensor, dtype: DType) -> Tensor:
    """Return the same bytes as elements of another type, which autograd does not follow.

    Raises:
        RuntimeError: elements of another length do not lie side by side, or do not come out even.
    """
    old, new = x.array.itemsize, dtype.itemsize
    if old != new:
        if not x.array.ndim:
            raise RuntimeError(
                f"self.dim() cannot be 0 to view {scalar_type(x.dtype)} as {scalar_type(dtype)} (different element sizes)"
            )
        if x.array.shape[-1] * old % new:
            raise RuntimeError(
                f"self.size(-1) must be divisible by {new // old} to view {scalar_type(x.dtype)} as {scalar_type(dtype)} "
                f"(different element sizes), but got {x.array.shape[-1]}"
            )
        if x.stride(-1) != 1:
            raise RuntimeError(
                f"self.stride(-1) must be 1 to view {scalar_type(x.dtype)} as {scalar_type(dtype)} (different element "
                f"sizes), but got {x.stride(-1)}"
            )
    out = Tensor(x.array.view(dtype.numpy))
    out.storage = x.storage
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
    lengths = flat_sizes((sizes,))
    if not lengths:
        raise RuntimeError("unflatten: sizes must be non-empty")
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
    return tuple(function(x) for x in tensors_of(tensors))


# -- order


def permute(input: Tensor, *sizes: Any, dims: Any = None) -> Tensor:
    """Dimension i of the result is dimension dims[i] of the input; a view.

    Raises:
        RuntimeError: not one entry a dimension.
    """
    order = flat_sizes(sizes, dims)
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
    out = reshape(input, tuple(input.shape)) if input.array.ndim < 2 else transpose(input, 0, 1)
    if out._node is not None:
        rename(out._node, "TBackward0")
    return out


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
    for name, dims, said in zip(("source", "destination"), (sources, targets), given, strict=True):
        if len(set(dims)) < len(dims):
            raise RuntimeError(f"movedim: repeated dim in `{name}` ({list(said)})")
    if not ndim:
        return input
    places = dict(zip(targets, sources, strict=True))
    rest = iter(d for d in range(ndim) if d not in sources)
    return permute(input, [places[d] if d in places else next(rest) for d in range(ndim)])


moveaxis = movedim


def flip(input: Tensor, *sizes: Any, dims: Any = None) -> Tensor:
    """The order of the elements reversed along `dims`; a copy."""
    axes = flat_sizes(sizes, dims)
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
    if not input.array.ndim:
        raise IndexError(f"Dimension specified as {axes[0]} but tensor has no dimensions")
    for step, d in zip(steps, axes, strict=True):
        input = _rolled(input, step, axis_of(d, input.array.ndim))
    return input


def _rolled(x: Tensor, step: int, axis: int) -> Tensor:
    if not x.array.size or not x.array.ndim:
        out: Tensor = elementwise.clone(x)
        return out
    split = -step % x.array.shape[axis]
    out = movement.cat(cut(x, axis, slice(split, None)), cut(x, axis, slice(None, split)), dim=axis)
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


# -- repeating


def expand(input: Tensor, *sizes: Any, shape: Any = None) -> Tensor:
    """The tensor repeated along dimensions of length 1 and along new leading ones, without copying; -1 keeps a length.

    Raises:
        RuntimeError: a length differs where it is not 1, or there are fewer lengths than dimensions.
    """
    wanted = flat_sizes(sizes, shape)
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
            "Attempting to broadcast a dimension: shape mismatch: objects cannot be broadcast to a single shape: "
            f"{', '.join(str(s) for s in shapes)}"
        ) from None


def broadcast_tensors(*tensors: Any) -> tuple[Tensor, ...]:
    """The tensors expanded to the shape that they broadcast to; views."""
    xs = tensors_of(tensors)
    shape: tuple[int, ...] = ()
    for x in xs:
        if error := broadcast_error(shape, x.array.shape):
            raise error
        shape = np.broadcast_shapes(shape, x.array.shape)
    return tuple(expand(x, shape) for x in xs)


def repeat(input: Tensor, *repeats: Any) -> Tensor:
    """The tensor laid out several times along each dimension; more numbers than dimensions add leading ones.

    Raises:
        RuntimeError: there are fewer numbers than dimensions.
    """
    times = flat_sizes(repeats)
    if builtins.min(times, default=0) < 0:
        raise RuntimeError(f"Trying to create tensor with negative dimension: repeats are {list(times)}")
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
    times = flat_sizes(dims)
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
    xs = [reshape(x, (-1,)) for x in tensors_of(tensors)]
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
