"""Picking elements by position. Each rule adds the cotangent back where the elements came from; repeats add up."""

from __future__ import annotations

from typing import Any

import numpy as np

from reference_impl.primitives import INDEXING, primitive, unbroadcast
from reference_impl.tensor import Node, Tensor

__all__ = [
    "BasicIndex",
    "add_at",
    "gather",
    "gather_adjoint",
    "getitem",
    "getitem_adjoint",
    "in_two_steps",
    "index_put",
    "index_select",
    "index_select_adjoint",
    "is_basic",
    "places_of",
    "plain_index",
    "with_ellipsis",
]


def _add_at(total: Any, ct: Any, x_shape: tuple[int, ...], index: Any) -> None:
    place = index if type(index) is BasicIndex else _for_numpy(index)
    if type(place) is BasicIndex:
        part = total[place]
        part += ct
    else:  # arrays of integers, which may repeat
        np.add.at(total, place, ct)


def _name(node: Node) -> str:
    """Return PyTorch's name for an index: it applies the items one after the other, and the last one counts."""
    assert node.values is not None  # it keeps no values, so it is never freed
    _, index = node.values[0]
    items = [i for i in (index if isinstance(index, tuple) else (index,)) if i is not Ellipsis]
    items = [i for i in items if type(i) is not slice or i != slice(None)]
    kinds = {int: "Select", slice: "Slice", type(None): "Unsqueeze"}
    if any(type(i) not in kinds for i in items):
        return "IndexBackward0"
    return f"{kinds[type(items[-1])] if items else 'Alias'}Backward0"


@primitive(
    INDEXING,
    vjps=[lambda ct, x_shape, index: getitem_adjoint(ct, shape=x_shape, index=index)],
    view=True,
    add_into=_add_at,
    node_name=_name,
)
def getitem(x: Any, *, index: Any) -> Any:
    """x[index]: a view for integers, slices, None and Ellipsis; a copy for arrays of integers or bools."""
    return x[index if type(index) is BasicIndex else _for_numpy(index)]


@primitive(INDEXING, vjps=[lambda ct, index: getitem(ct, index=index)])
def getitem_adjoint(x: Any, *, shape: tuple[int, ...], index: Any) -> Any:
    """Zeros of `shape`, to which x is added at `index`."""
    out = np.zeros(shape, x.dtype)
    place = index if type(index) is BasicIndex else _for_numpy(index)
    if type(place) is BasicIndex:
        out[place] = x
    else:  # arrays of integers, which may repeat
        np.add.at(out, index, x)
    return out


class BasicIndex(tuple[Any, ...]):
    """An index of integers, slices and None around an Ellipsis: NumPy gives a view for it, never a number."""

    __slots__ = ()


def _for_numpy(index: Any) -> Any:
    """Return a basic index as a `BasicIndex`, any other as it is."""
    if type(index) is BasicIndex or not is_basic(index):
        return index
    return BasicIndex(with_ellipsis(index))


def is_basic(index: Any) -> bool:
    """Tell whether an index is made of integers, slices, None and Ellipsis alone, so that NumPy gives a view."""
    return _BASIC.issuperset(map(type, index if isinstance(index, tuple) else (index,)))


_BASIC = frozenset({int, slice, type(None), type(Ellipsis)})


def with_ellipsis(index: Any) -> tuple[Any, ...]:
    """Return the index with an Ellipsis: NumPy then gives a 0-d view where it would give a number."""
    items = index if isinstance(index, tuple) else (index,)
    return items if Ellipsis in items else (*items, Ellipsis)


def plain_index(index: Any, ndim: int) -> Any:
    """Return a user's index with tensors and lists replaced by arrays.

    Raises:
        IndexError: too many indices, or a float among them.
        ValueError: a step that is not positive.
    """
    if type(index) is slice and index.step is None and ndim:
        return BasicIndex((index, ...))
    items: list[Any] = []
    used = 0  # dimensions
    for given in index if isinstance(index, tuple) or _stands_for_tuple(index) else (index,):
        item = given if type(given) is int or given is None or given is Ellipsis else _plain_item(given)
        items.append(item)
        if type(item) is int or type(item) is slice:
            used += 1
        elif isinstance(item, np.ndarray):
            used += item.ndim if item.dtype == bool else 1
    if used > ndim:
        if ndim == 0 and len(items) == 1 and isinstance(items[0], int):
            raise IndexError(
                "invalid index of a 0-dim tensor. Use `tensor.item()` in Python or `tensor.item<T>()` in C++ to convert a "
                "0-dim tensor to a number"
            )
        raise IndexError(f"too many indices for tensor of dimension {ndim}: {index!r}")
    return _for_numpy(tuple(items))


def _stands_for_tuple(index: Any) -> bool:
    """Tell whether a list means its items one by one, as in ``x[[[0, 1], [1, 0]]]``: what NumPy once did, PyTorch does."""
    return isinstance(index, list) and len(index) < 32 and any(i is None or isinstance(i, _SEVERAL) for i in index)


_SEVERAL = (slice, type(Ellipsis), list, tuple, np.ndarray, Tensor)


def in_two_steps(index: Any, shape: tuple[int, ...]) -> tuple[Any, Any]:
    """Return a user's index as a basic one, which gives a view, and one of arrays to apply to that view; None for nothing.

    PyTorch means ``x[0, :, i]`` as ``x[0][:, i]``, where NumPy would take the 0 for another array of positions.

    Raises:
        IndexError: too many indices, an array that does not fit or is out of range.
    """
    plain = plain_index(index, len(shape))
    if is_basic(plain):
        return plain, None
    if Ellipsis not in [i for i in plain if not isinstance(i, np.ndarray)]:
        plain = (*plain, Ellipsis)
    used = sum(_takes(i) for i in plain)
    basic: list[Any] = []
    picks: list[Any] = []
    axis = 0
    for place, item in enumerate(plain):
        if isinstance(item, np.ndarray):
            _check_array(item, shape, axis, place)
            basic += [slice(None)] * _takes(item)
            picks.append(item)
            axis += _takes(item)
        elif item is Ellipsis:
            rest = len(shape) - used
            basic += [slice(None)] * rest
            picks += [slice(None)] * rest
            axis += rest
        else:
            basic.append(item)
            if type(item) is not int:
                picks.append(slice(None))
            axis += _takes(item)
    while picks and not isinstance(picks[-1], np.ndarray):
        picks.pop()
    trivial = all(isinstance(i, slice) and i == slice(None) for i in basic)
    return None if trivial else tuple(basic), tuple(picks)


def _takes(item: Any) -> int:
    if isinstance(item, np.ndarray):
        return item.ndim if item.dtype == bool else 1
    return int(type(item) is int or type(item) is slice)


def _check_array(item: Any, shape: tuple[int, ...], axis: int, place: int) -> None:
    if item.dtype == bool:
        for k, n in enumerate(item.shape):
            if n != shape[axis + k]:
                raise IndexError(
                    f"The shape of the mask {list(item.shape)} at index {k} does not match the shape of the indexed tensor "
                    f"{list(shape)} at index {axis + k}"
                )
    elif item.size and not (item.min() >= -shape[axis] and item.max() < shape[axis]):
        bad = item.min() if item.min() < -shape[axis] else item.max()
        raise IndexError(f"index {bad} is out of bounds for dimension {axis} with size {shape[axis]}")


def _plain_item(item: Any) -> Any:
    if item is None or item is Ellipsis:
        return item
    if isinstance(item, slice):
        if item.step is not None and item.step <= 0:
            raise ValueError("step must be greater than zero" if item.step else "slice step cannot be zero")
        return item
    if isinstance(item, (bool, np.bool_)):
        return np.array(item)
    if isinstance(item, (int, np.integer)):
        return int(item)
    if isinstance(item, str):
        raise TypeError(f"new(): invalid data type 'str': {item!r} is no index")
    if not isinstance(item, Tensor | list | tuple | range | np.ndarray):
        raise IndexError(
            "only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid indices (got "
            f"{type(item).__name__})"
        )
    array = np.asarray(getattr(item, "array", item))
    is_list = isinstance(item, list | tuple)
    if array.dtype not in _INDEX_TYPES and not (is_list and not array.size):
        raise IndexError(f"tensors used as indices must be long, int, byte or bool tensors, got {array.dtype}")
    if array.dtype.char == "B":  # bytes were the booleans of old
        return array != 0
    array = array if array.dtype.kind == "b" else array.astype(np.int64)
    # A 0-d integer tensor counts as a plain integer, so that it gives a view.
    return int(array) if array.ndim == 0 and array.dtype.kind != "b" else array


_INDEX_TYPES = frozenset(map(np.dtype, ("int64", "int32", "uint8", "bool")))


@primitive(
    INDEXING, vjps=[lambda ct, x_shape, dim, index: index_select_adjoint(ct, shape=x_shape, dim=dim, index=index)]
)
def index_select(x: Any, *, dim: int, index: Any) -> Any:
    """The slices of x along `dim` at the positions of a 1-d index."""
    return np.take(x, np.asarray(index, dtype=np.int64), dim)


@primitive(INDEXING, vjps=[lambda ct, dim, index: index_select(ct, dim=dim, index=index)])
def index_select_adjoint(x: Any, *, shape: tuple[int, ...], dim: int, index: Any) -> Any:
    """Zeros of `shape`, to which the slices of x along `dim` are added at the positions of the index."""
    out, index = np.zeros(shape, x.dtype), np.asarray(index, dtype=np.int64)
    there = (slice(None),) * (dim % max(len(shape), 1)) + (index,)
    if len(shape) < 2 or _repeats(index, shape[dim]):
        np.add.at(out, there, x)
    else:  # a third to a tenth of the time
        out[there] = x + x.dtype.type(0)  # what is added to 0 is never -0
    return out


def _repeats(index: Any, n: int) -> bool:
    """Tell whether a 1-d index names one of `n` positions twice."""
    last, order = np.empty(n, np.int64), np.arange(index.size)
    last[index] = order
    return bool((last[index] != order).any())


@primitive(
    INDEXING,
    vjps=[
        lambda ct, index: index_put(ct, 0.0, index=index),
        lambda ct, value_shape, index: unbroadcast(getitem(ct, index=index), value_shape),
    ],
)
def index_put(x: Any, value: Any, *, index: Any) -> Any:
    """A copy of x with `value`, broadcast, at `index`; of repeats the last stays, yet each gets its gradient."""
    out = np.array(x)
    out[index] = value
    return out


@primitive(
    INDEXING,
    vjps=[
        lambda ct: ct,
        lambda ct, value_shape, index: unbroadcast(getitem(ct, index=index), value_shape),
    ],
)
def add_at(x: Any, value: Any, *, index: Any) -> Any:
    """A copy of x to which `value`, broadcast, is added at `index`; repeats add up."""
    out = np.array(x)
    np.add.at(out, index, value)
    return out


def places_of(dim: int, index: Any) -> tuple[Any, ...]:
    """Return the NumPy index of ``gather``: along `dim` the given positions, along the others their own coordinate."""
    grid: list[Any] = list(np.ogrid[tuple(slice(n) for n in index.shape)])
    grid[dim] = index
    return tuple(grid)


@primitive(INDEXING, vjps=[lambda ct, x_shape, dim, index: gather_adjoint(ct, shape=x_shape, dim=dim, index=index)])
def gather(x: Any, *, dim: int, index: Any) -> Any:
    """out[i, j] = x[index[i, j], j] for dim 0, and so on: an index of x's rank, in no dimension longer but `dim`."""
    index = np.asarray(index, dtype=np.int64)
    return x[places_of(dim, index)] if x.ndim else np.array(x)


@primitive(INDEXING, vjps=[lambda ct, dim, index: gather(ct, dim=dim, index=index)])
def gather_adjoint(x: Any, *, shape: tuple[int, ...], dim: int, index: Any) -> Any:
    """Zeros of `shape`, to which x is added where ``gather`` with this index would read."""
    out = np.zeros(shape, x.dtype)
    index = np.asarray(index, dtype=np.int64)
    if not shape:
        return out + x
    np.add.at(out, places_of(dim, index), x)
    return out
