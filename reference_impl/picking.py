"""Picking and writing elements by position or mask, under PyTorch's names and signatures.

Positions are tensors of int64 or int32, masks tensors of bool. Where an op writes to one place twice, which value stays is
not promised, as in PyTorch; where it adds, both count.

>>> import reference_impl as torch
>>> x = torch.zeros(3)
>>> torch.index_add(x, 0, torch.tensor([0, 2, 0]), torch.tensor([1.0, 2.0, 3.0]))
tensor([4., 0., 2.])
"""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np

from reference_impl.checks import axis_of, in_range, index_array
from reference_impl.dtypes import DType, int64, scalar_type
from reference_impl.keywords import placed
from reference_impl.ops import elementwise, indexing, movement, reductions
from reference_impl.primitives import FAST, PRIMITIVES, cut_out
from reference_impl.tensor import Tensor, not_a_view, rename

__all__ = [
    "argwhere",
    "gather",
    "getitem",
    "index_add",
    "index_copy",
    "index_fill",
    "index_put",
    "index_select",
    "masked_fill",
    "masked_scatter",
    "masked_select",
    "nonzero",
    "put",
    "scatter",
    "scatter_add",
    "scatter_reduce",
    "take",
    "take_along_dim",
    "tril_indices",
    "triu_indices",
    "where",
]


def _flat(x: Tensor) -> Tensor:
    out: Tensor = movement.reshape(x, shape=(-1,))
    return out


def _along(axis: int, places: Any) -> tuple[Any, ...]:
    return (slice(None),) * axis + (places,)


def _value_for(x: Tensor, value: Any) -> Tensor:
    """Return a value as a tensor of x's dtype, a number rounded to it."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, complex):
        raise RuntimeError(f"value cannot be converted to type {x.dtype} without overflow, got {value}")
    return Tensor(np.asarray(value, dtype=x.array.dtype))


def _same_dtype(name: str, x: Tensor, source: Tensor) -> None:
    both = (x.array, source.array)
    if all(isinstance(a, np.ndarray) for a in both) and both[0].dtype != both[1].dtype:
        raise RuntimeError(
            f"{name}: self and source expected to have the same dtype, but got {x.dtype} and {source.dtype}"
        )


# -- by an index in brackets

_GETITEM = PRIMITIVES["getitem"]


def getitem(input: Tensor, index: Any) -> Tensor:
    """input[index]: a view for integers, slices, None and Ellipsis, a copy for lists and tensors."""
    array = input.array
    if type(index) is slice and index.step is None and array.ndim:  # the commonest one
        params = {"index": indexing.BasicIndex((index, ...))}
        if input._view is None and type(array) is np.ndarray and array.dtype in FAST:
            return cut_out(_GETITEM, input, array, array[index], params)
        piece: Tensor = indexing.getitem(input, **params)
        return piece
    plain, picks = indexing.in_two_steps(index, input.array.shape)
    out: Tensor = input
    if plain is not None:
        out = indexing.getitem(out, index=plain)
    if picks is not None:
        out = indexing.getitem(out, index=picks)
    return out


# -- reading


def index_select(input: Tensor, dim: int, index: Any) -> Tensor:
    """The slices along `dim` at the positions of a 1-d index; repeats allowed.

    Raises:
        IndexError: a position is out of range, or the index is not 1-d.
    """
    places = index_array(index)
    if places.ndim > 1:
        raise IndexError(f"index_select(): Index is supposed to be a vector, but got dim: {places.ndim}")
    axis = axis_of(dim, input.array.ndim)
    n = input.array.shape[axis] if input.array.ndim else 1
    in_range("index_select", places, n)
    if not input.array.ndim:
        picked: Tensor = indexing.getitem(_flat(input), index=(places.reshape(()) if places.size == 1 else places,))
        return picked
    out: Tensor = indexing.index_select(input, dim=dim, index=places.reshape(-1))
    return out


def _places_along(name: str, x: Tensor, dim: int, index: Any, src: Tensor | None = None) -> tuple[int, Any]:
    """Return the dimension and the positions of gather and scatter, which have x's rank and are in range."""
    places = index_array(index, f"{name}()")
    ndim = x.array.ndim
    if builtins.max(places.ndim, 1) != builtins.max(ndim, 1):
        if not places.size and src is None:
            return axis_of(dim, ndim), places
        raise RuntimeError("Index tensor must have the same number of dimensions as self tensor")
    if src is not None and builtins.max(places.ndim, 1) != builtins.max(src.array.ndim, 1):
        raise RuntimeError("Index tensor must have the same number of dimensions as src tensor")
    axis = axis_of(dim, ndim)
    if not ndim:
        places = places.reshape(())
    elif not places.ndim:
        places = places.reshape(1)
    limits = [(x.array.shape, True)] + ([] if src is None else [(src.array.shape or (1,), False)])
    for shape, but_axis in limits:
        too_long = [
            i
            for i, (k, n) in enumerate(zip(places.shape, shape, strict=False))
            if k > n and not (but_axis and i == axis)
        ]
        if too_long:
            more = "" if src is None else f" and to be no larger size than src {list(src.shape)}"
            raise RuntimeError(
                f"Size does not match at dimension {too_long[0]} expected index {list(places.shape)} to be no larger than "
                f"self {list(x.shape)} apart from dimension {axis}{more}"
            )
    n = x.array.shape[axis] if ndim else 1
    if places.size and not (places.min() >= 0 and places.max() < n):
        bad = places.min() if places.min() < 0 else places.max()
        raise RuntimeError(f"index {bad} is out of bounds for dimension {axis} with size {n}")
    return axis, places


def gather(input: Tensor, dim: int, index: Any, *, sparse_grad: bool = False) -> Tensor:
    """out[i, j] = input[index[i, j], j] for dim 0, and so on.

    Raises:
        RuntimeError: the index has another rank, is longer than the input in a dimension other than `dim`, or a position
            is out of range.
    """
    shape = np.shape(index.array if isinstance(index, Tensor) else index)
    axis, places = _places_along("gather", input, dim, index)
    if not places.size or not input.array.ndim:
        out: Tensor = indexing.getitem(_flat(input), index=(places.reshape(shape),))
        return out
    out = indexing.gather(input, dim=axis, index=places)
    return out


def take(input: Tensor, index: Any) -> Tensor:
    """The elements at positions counted in row-major order, under the shape of the index.

    Raises:
        IndexError: a position is out of range.
    """
    places = _flat_places("take", input, index)
    out: Tensor = indexing.getitem(_flat(input), index=(places,))
    return out


def _flat_places(name: str, x: Tensor, index: Any) -> Any:
    places, n = index_array(index, f"{name}()"), x.array.size
    outside = places[(places < -n) | (places >= n)]
    if outside.size:
        raise IndexError(f"out of range: tried to access index {outside.flat[0]} on a tensor of {n} elements.")
    return places


def take_along_dim(input: Tensor, indices: Any, dim: int | None = None) -> Tensor:
    """As `gather`, with input and index broadcast elsewhere than along `dim`; without `dim`, of all elements in a row.

    Raises:
        RuntimeError: the ranks differ, a position is out of range, or the dtype is not int64.
    """
    places = index_array(indices, "torch.take_along_dim()")
    length = input.array.size if dim is None else input.array.shape[axis_of(dim, input.array.ndim)]
    places = np.where((places < 0) & (places >= -length), places + length, places)
    if dim is None:
        return gather(_flat(input), 0, places.reshape(-1))
    if places.ndim != input.array.ndim:
        raise RuntimeError(
            f"torch.take_along_dim(): input and indices should have the same number of dimensions, but got "
            f"{input.array.ndim} dimensions for input, and {places.ndim} dimensions for indices"
        )
    axis = axis_of(dim, input.array.ndim)
    off = [1 if d == axis else n for d, n in enumerate(input.array.shape)]
    joint = np.broadcast_shapes(tuple(off), tuple(1 if d == axis else n for d, n in enumerate(places.shape)))
    wide = tuple(input.array.shape[d] if d == axis else n for d, n in enumerate(joint))
    x = input if tuple(input.array.shape) == wide else movement.expand(input, shape=wide)
    return gather(
        x, axis, np.broadcast_to(places, tuple(places.shape[d] if d == axis else n for d, n in enumerate(joint)))
    )


def masked_select(input: Tensor, mask: Tensor) -> Tensor:
    """The elements where the mask is true, in one dimension; input and mask broadcast.

    Raises:
        RuntimeError: the mask is not bool, or they do not broadcast.
    """
    wide = _mask_for("masked_select", input, mask)
    x = input if tuple(input.array.shape) == wide.shape else movement.expand(input, shape=wide.shape)
    out: Tensor = indexing.getitem(x, index=np.nonzero(wide) if wide.ndim else (wide,))
    return out


def _mask_for(name: str, x: Tensor, mask: Tensor) -> Any:
    """Return the mask under the shape that it has in common with x."""
    return np.broadcast_to(mask.array, _joint_shape(name, x, mask))


def _joint_shape(name: str, x: Tensor, mask: Tensor) -> tuple[int, ...]:
    """Return the shape that a mask has in common with x."""
    if mask.array.dtype != np.bool_:
        raise RuntimeError(f"{name} only supports boolean masks, but got mask with dtype {mask.dtype}")
    a, b = x.array.shape, mask.array.shape
    try:
        return np.broadcast_shapes(a, b)
    except ValueError:
        for k in range(1, builtins.min(len(a), len(b)) + 1):
            if a[-k] != b[-k] and 1 not in (a[-k], b[-k]):
                break
        raise RuntimeError(
            f"The size of tensor a ({b[-k]}) must match the size of tensor b ({a[-k]}) at non-singleton dimension "
            f"{builtins.max(len(a), len(b)) - k}"
        ) from None


def nonzero(input: Tensor, *, as_tuple: bool = False) -> Any:
    """Where the elements are not zero: one row a place, or with `as_tuple` one vector a dimension."""
    array = input.array
    found = np.nonzero(array if array.ndim or not as_tuple else array.reshape(1)) if array.ndim or as_tuple else ()
    if as_tuple:
        return tuple(Tensor(i) for i in found)
    if not array.ndim:
        return Tensor(np.zeros((int(bool(array)), 0), np.int64))
    return Tensor(np.stack(found, 1))


def argwhere(input: Tensor) -> Tensor:
    """Where the elements are not zero, one row a place."""
    out: Tensor = nonzero(input)
    return out


def where(condition: Any, input: Any = None, other: Any = None) -> Any:
    """Input where the condition holds, else other; of the condition alone, where it holds."""
    if input is None and other is None:
        return nonzero(condition, as_tuple=True)
    if isinstance(condition, Tensor) and condition.array.dtype.char not in "?B":
        raise RuntimeError(
            "where expected condition to be a boolean tensor, but got a tensor with dtype "
            f"{scalar_type(condition.array.dtype)}"
        )
    return elementwise.where(condition, input, other)


@placed
def tril_indices(row: int, col: int, offset: int = 0, *, dtype: DType = int64) -> Tensor:
    """The positions of the lower triangle of a matrix, rows above columns."""
    return Tensor(np.stack(np.tril_indices(row, offset, col)).astype(dtype.numpy))


@placed
def triu_indices(row: int, col: int, offset: int = 0, *, dtype: DType = int64) -> Tensor:
    """The positions of the upper triangle of a matrix, rows above columns."""
    return Tensor(np.stack(np.triu_indices(row, offset, col)).astype(dtype.numpy))


# -- writing


def masked_fill(input: Tensor, mask: Tensor, value: Any) -> Tensor:
    """One value, a number or a 0-d tensor, where the mask is true; input and mask broadcast.

    Raises:
        RuntimeError: the mask is not bool, the value has dimensions, or the shapes do not broadcast.
    """
    if isinstance(value, Tensor):
        if value.array.ndim:
            raise RuntimeError(
                f"masked_fill_ only supports a 0-dimensional value tensor, but got tensor with {value.array.ndim} "
                "dimension(s)."
            )
        value = (
            elementwise.overwrite(Tensor(np.zeros((), input.array.dtype)), value) if _differs(input, value) else value
        )
    else:
        value = _value_for(input, value)
    _joint_shape("masked_fill_", input, mask)
    out: Tensor = elementwise.where(mask, value, input)
    rename(out._node, "MaskedFillBackward0")
    return out


def _differs(x: Tensor, value: Tensor) -> bool:
    return bool(x.array.dtype != value.array.dtype)


def masked_scatter(input: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """The elements of the source, in order, where the mask is true.

    Raises:
        RuntimeError: the mask is not bool, the dtypes differ, or the source has too few elements.
    """
    _same_dtype("masked_scatter", input, source)
    wide = _mask_for("masked_scatter_", input, mask)
    x = input if tuple(input.array.shape) == wide.shape else movement.expand(input, shape=wide.shape)
    n = int(np.count_nonzero(wide))
    if source.array.size < n:
        raise RuntimeError("masked_scatter: expected self and source to have same number of elements")
    part = indexing.getitem(_flat(source), index=(slice(0, n),))
    whole = indexing.index_put(_flat(x), part, index=(np.flatnonzero(wide),))
    out: Tensor = movement.reshape(whole, shape=wide.shape)
    return not_a_view(out)


def _vector_index(name: str, x: Tensor, dim: int, index: Any, kind: type[Exception]) -> tuple[int, Any]:
    places = index_array(index, f"{name}()")
    if places.ndim > 1:
        raise IndexError(f"{name}(): Index is supposed to be 1-dimensional, got {places.ndim}")
    axis = axis_of(dim, x.array.ndim)
    places, n = places.reshape(-1), x.array.shape[axis] if x.array.ndim else 1
    if places.size and not (places.min() >= 0 and places.max() < n):
        bad = places.min() if places.min() < 0 else places.max()
        raise kind(f"{name}(): index {bad} is out of bounds for dimension {axis} with size {n}")
    return axis, places


def _slices_for(name: str, x: Tensor, axis: int, places: Any, source: Tensor) -> tuple[Tensor, Tensor]:
    """Check that the source has one slice a position and return both with at least one dimension."""
    if not x.array.ndim:
        x = movement.reshape(x, shape=(1,))
    if not source.array.ndim:
        source = movement.reshape(source, shape=(1,))
    wanted = (*x.array.shape[:axis], places.size, *x.array.shape[axis + 1 :])
    if tuple(source.array.shape) != wanted:
        raise RuntimeError(
            f"{name}(): source tensor shape must match self tensor shape, excluding the specified dimension. Got self.shape "
            f"= {list(x.shape)} source.shape = {list(source.shape)}, expected {list(wanted)}: as many slices along dim {axis} "
            f"as there are indices ({places.size})"
        )
    return x, source


def index_add(input: Tensor, dim: int, index: Any, source: Tensor, *, alpha: float = 1) -> Tensor:
    """The input with alpha times the slices of the source added along `dim` at the positions of a 1-d index.

    Raises:
        RuntimeError: the shapes or dtypes do not fit, or a position is out of range.
    """
    axis, places = _vector_index("index_add_", input, dim, index, RuntimeError)
    _same_dtype("index_add_()", input, source)
    x, part = _slices_for("index_add_", input, axis, places, source)
    part = part if alpha == 1 else elementwise.mul(part, alpha)
    out: Tensor = indexing.add_at(x, part, index=_along(axis, places))
    return out if input.array.ndim else not_a_view(movement.reshape(out, shape=()))


def index_copy(input: Tensor, dim: int, index: Any, source: Tensor) -> Tensor:
    """The input with the slices of the source along `dim` at the positions of a 1-d index.

    Raises:
        RuntimeError: the shapes or dtypes do not fit.
        IndexError: a position is out of range, or the shapes do not fit.
    """
    axis, places = _vector_index("index_copy_", input, dim, index, IndexError)
    _same_dtype("index_copy_()", input, source)
    x, part = _slices_for("index_copy_", input, axis, places, source)
    out: Tensor = indexing.index_put(x, part, index=_along(axis, places))
    return out if input.array.ndim else not_a_view(movement.reshape(out, shape=()))


def index_fill(input: Tensor, dim: int, index: Any, value: Any) -> Tensor:
    """One value, a number or a 0-d tensor, in the slices along `dim` at the positions of a 1-d index.

    Raises:
        IndexError: a position is out of range.
        RuntimeError: the value has dimensions.
    """
    places = index_array(index, "index_fill_()").reshape(-1)
    axis = axis_of(dim, input.array.ndim)
    n = input.array.shape[axis] if input.array.ndim else 1
    outside = places[(places < -n) | (places >= n)]
    if outside.size:
        raise IndexError(f"index {outside.flat[0]} is out of bounds for dimension {axis} with size {n}")
    if isinstance(value, Tensor) and value.array.ndim:
        raise RuntimeError(
            f"index_fill_ only supports a 0-dimensional value tensor, but got tensor with {value.array.ndim} dimension(s)."
        )
    mask = np.zeros(input.array.shape or (1,), bool)
    mask[_along(axis, places)] = True
    out: Tensor = elementwise.where(Tensor(mask.reshape(input.array.shape)), _value_for(input, value), input)
    return out


def index_put(input: Tensor, indices: Any, values: Any, accumulate: bool = False) -> Tensor:
    """The input with the values, broadcast, at indices (one tensor a dimension), or added there.

    Raises:
        IndexError: an index is out of range.
        RuntimeError: the dtypes differ, or the values do not broadcast.
    """
    if isinstance(indices, Tensor):
        raise TypeError("index_put(): argument 'indices' (position 2) must be tuple of Tensors, not Tensor")
    values = _value_for(input, values)
    if values.array.dtype != input.array.dtype:
        raise RuntimeError(
            f"Index put requires the source and destination dtypes match, got {input.dtype} for the destination and "
            f"{values.dtype} for the source."
        )
    _, picks = indexing.in_two_steps(tuple(slice(None) if i is None else i for i in indices), input.array.shape)
    if picks is None:
        picks = (slice(None),)
    out: Tensor = (indexing.add_at if accumulate else indexing.index_put)(input, values, index=picks)
    return out


def put(input: Tensor, index: Any, source: Tensor, accumulate: bool = False) -> Tensor:
    """The input with the elements of the source at positions counted in row-major order, or added there.

    Raises:
        IndexError: a position is out of range.
        RuntimeError: the dtypes differ, or there are not as many elements as positions.
    """
    places = _flat_places("put", input, index)
    _same_dtype("put_()", input, source)
    if places.size != source.array.size:
        raise RuntimeError(
            f"put_(): Expected source and index to have the same number of elements, but got source.numel() = "
            f"{source.array.size}, index.numel() = {places.size}"
        )
    write = indexing.add_at if accumulate else indexing.index_put
    whole = write(_flat(input), _flat(source), index=(places.reshape(-1),))
    out: Tensor = movement.reshape(whole, shape=tuple(input.array.shape))
    return not_a_view(out)


def _part_for(x: Tensor, src: Any, places: Any) -> Tensor:
    """Return the part of the source that positions take, or a number under their shape."""
    if not isinstance(src, Tensor):
        out: Tensor = movement.expand(_value_for(x, src), shape=places.shape)
        return out
    if tuple(src.array.shape) == places.shape:
        return src
    source = src if src.array.ndim or not places.ndim else movement.reshape(src, shape=(1,))
    part: Tensor = indexing.getitem(source, index=tuple(slice(0, n) for n in places.shape))
    return part


def _written_along(write: Any, x: Tensor, axis: int, places: Any, part: Tensor) -> Tensor:
    if not x.array.ndim:
        whole = write(movement.reshape(x, shape=(1,)), movement.reshape(part, shape=(1,)), index=(places.reshape(1),))
        out: Tensor = movement.reshape(whole, shape=())
        return not_a_view(out)
    out = write(x, part, index=indexing.places_of(axis, places))
    return out


def scatter(
    input: Tensor, dim: int, index: Any, src: Any = None, value: Any = None, *, reduce: str | None = None
) -> Tensor:
    """The input with the source, or a number, written where `gather` with this index would read.

    Raises:
        RuntimeError: the shapes or dtypes do not fit, or a position is out of range.
    """
    given = value if src is None else src
    source = given if isinstance(given, Tensor) else None
    axis, places = _places_along("scatter", input, dim, index, source)
    if source is not None and source.array.dtype != input.array.dtype:
        raise RuntimeError("scatter(): Expected self.dtype to be equal to src.dtype")
    if reduce is not None:
        if reduce not in ("add", "multiply"):
            raise RuntimeError("reduce argument must be either add or multiply.")
        return scatter_reduce(
            input, dim, index, _part_for(input, given, places), "sum" if reduce == "add" else "prod", include_self=True
        )
    if not places.size:
        out: Tensor = elementwise.clone(input)
        return out
    return _written_along(indexing.index_put, input, axis, places, _part_for(input, given, places))


def scatter_add(input: Tensor, dim: int, index: Any, src: Tensor) -> Tensor:
    """The input with the source added where `gather` with this index would read; repeats add up.

    Raises:
        RuntimeError: the shapes or dtypes do not fit, or a position is out of range.
    """
    axis, places = _places_along("scatter_add", input, dim, index, src)
    if src.array.dtype != input.array.dtype:
        raise RuntimeError("scatter(): Expected self.dtype to be equal to src.dtype")
    if not places.size:
        out: Tensor = elementwise.clone(input)
        return out
    return _written_along(indexing.add_at, input, axis, places, _part_for(input, src, places))


def scatter_reduce(
    input: Tensor, dim: int, index: Any, src: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """The input reduced with the source elements that go to the same place: "sum", "mean", "prod", "amax" or "amin".

    Args:
        include_self: the input's own element takes part; without it, only where nothing comes. Ties of "amax" and "amin"
            share the gradient evenly.

    Raises:
        RuntimeError: the shapes or dtypes do not fit, a position is out of range, or there is no such reduction.
    """
    if reduce not in ("sum", "mean", "prod", "amax", "amin"):
        raise RuntimeError(f"reduce argument must be either sum, prod, mean, amax or amin, got {reduce}")
    axis, places = _places_along("scatter_reduce", input, dim, index, src)
    if src.array.dtype != input.array.dtype:
        raise RuntimeError("scatter(): Expected self.dtype to be equal to src.dtype")
    if not places.size:
        out: Tensor = elementwise.clone(input)
        return out
    part = _part_for(input, src, places)
    x, shape = input, tuple(input.array.shape)
    if not shape:
        x, part, places, axis = (
            movement.reshape(x, shape=(1,)),
            movement.reshape(part, shape=(1,)),
            places.reshape(1),
            0,
        )
    out = _reduced_at(x, part, indexing.places_of(axis, places), reduce, include_self=include_self)
    return out if shape else not_a_view(movement.reshape(out, shape=()))


def _reduced_at(x: Tensor, part: Tensor, index: Any, reduce: str, *, include_self: bool) -> Tensor:
    counts = np.zeros(x.array.shape, np.int64)
    np.add.at(counts, index, 1)
    hit = Tensor(counts > 0)
    if reduce in ("sum", "mean"):
        start = x if include_self else elementwise.where(hit, elementwise.zeros_like(x), x)
        total = indexing.add_at(start, part, index=index)
        number = np.maximum(counts + (1 if include_self else 0), 1).astype(x.array.dtype)
        mean: Tensor = total if reduce == "sum" else elementwise.div(total, Tensor(number))
        return mean
    return _folded_at(x, part, index, counts, reduce, include_self=include_self)


def _neutral(reduce: str, dtype: Any) -> Any:
    """Return the number that changes no product, maximum or minimum."""
    if reduce == "prod" or dtype.kind == "b":
        return reduce != "amax" if dtype.kind == "b" else 1
    low, high = (-np.inf, np.inf) if dtype.kind == "f" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    return float(low if reduce == "amax" else high) if dtype.kind == "f" else int(low if reduce == "amax" else high)


def _folded_at(x: Tensor, part: Tensor, index: Any, counts: Any, reduce: str, *, include_self: bool) -> Tensor:
    """Reduce by laying all candidates of a place side by side: the input, and as many slots as one place has at most."""
    places = np.arange(counts.size).reshape(counts.shape)[index]
    places = np.broadcast_to(places, part.array.shape).reshape(-1)
    slots, rank, seen = int(counts.max(initial=0)), np.zeros(places.shape, np.int64), dict[int, int]()
    for i, p in enumerate(places.tolist()):
        rank[i] = seen[p] = seen.get(p, -1) + 1
    taken = np.zeros((counts.size, slots), bool)
    taken[places, rank] = True
    flat = movement.reshape(x, shape=(-1, 1))
    table = movement.expand(flat, shape=(counts.size, slots))
    table = indexing.index_put(table, movement.reshape(part, shape=(-1,)), index=(places, rank))
    own = np.full((counts.size, 1), include_self)
    own[counts.reshape(-1) == 0] = True
    all_of = movement.cat(flat, table, dim=1)
    counted = np.concatenate([own, taken], 1)
    neutral = _neutral(reduce, x.array.dtype)
    filled = elementwise.where(Tensor(counted), all_of, neutral)
    fold = {"prod": reductions.prod, "amax": reductions.amax, "amin": reductions.amin}[reduce]
    out: Tensor = movement.reshape(fold(filled, dim=1), shape=tuple(x.array.shape))
    return not_a_view(out)
