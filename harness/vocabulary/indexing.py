"""Ops that pick elements by position. Indices are parameters: nested tuples of ints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from harness.programs import Param, Spec
from harness.vocabulary.checks import (
    KINDS,
    REQUIRED,
    Arg,
    Op,
    ProgramError,
    Shape,
    axis_of,
    integer,
    integers,
    tensor_of,
)

__all__ = ["ROWS", "getitem_shape"]


def getitem_shape(shape: Shape, index: Param) -> Shape:
    """Return the shape of ``x[index]`` for a basic index; raise ProgramError for any other index.

    Args:
        index: a tuple of ints, None (a new axis), "..." and ("slice", start, stop, step) with step None or > 0.
    """
    if not isinstance(index, tuple):
        raise ProgramError(f"index is {index!r}, want a tuple of items")
    consumed = sum(item is not None and item != "..." for item in index)
    dots = [i for i, item in enumerate(index) if item == "..."]
    if len(dots) > 1:
        raise ProgramError(f"index is {index!r}: '...' appears twice")
    if consumed > len(shape):
        raise ProgramError(f"index is {index!r}: {consumed} axes indexed, x has shape {shape}")
    rest = len(shape) - consumed
    out: list[int] = []
    axis = 0
    for item in index if dots else (*index, "..."):
        if item is None:
            out.append(1)
        elif item == "...":
            out.extend(shape[axis : axis + rest])
            axis += rest
        elif type(item) is int:
            if not -shape[axis] <= item < shape[axis]:
                raise ProgramError(f"index is {index!r}: {item} is out of range for axis {axis} of shape {shape}")
            axis += 1
        elif isinstance(item, tuple) and len(item) == 4 and item[0] == "slice":
            out.append(len(range(*_slice(item).indices(shape[axis]))))
            axis += 1
        else:
            raise ProgramError(f"index item {item!r} is not an int, None, '...' or ('slice', start, stop, step)")
    return tuple(out)


def _slice(item: tuple[Param, ...]) -> slice:
    start, stop, step = (None if part is None else integer(part, "a part of a slice") for part in item[1:])
    if step is not None and step <= 0:
        raise ProgramError(f"index item {item!r}: step must be greater than zero")
    return slice(start, stop, step)


def _getitem(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    x = tensor_of(args, 0, "x", KINDS)
    return Spec(getitem_shape(x.shape, params["index"]), x.kind)


def _in_range(index: Iterable[int], size: int) -> None:
    for i in index:
        if not 0 <= i < size:
            raise ProgramError(f"index {i} is out of range for an axis of size {size} (negative ones are not allowed)")


def _index_select(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    x = tensor_of(args, 0, "x", KINDS)
    dim, index = axis_of(params["dim"], x.shape), integers(params["index"], "index")
    _in_range(index, x.shape[dim])
    return Spec((*x.shape[:dim], len(index), *x.shape[dim + 1 :]), x.kind)


def _nested(index: Param, rank: int, leaves: list[int]) -> Shape:
    """Return the shape of a nested tuple of ints that is `rank` deep, and append its ints to `leaves`."""
    if rank == 0:
        leaves.append(integer(index, "an element of index"))
        return ()
    if not isinstance(index, tuple) or not index:
        raise ProgramError(f"index must be a tuple of ints nested as deep as x has axes and not empty, got {index!r}")
    shapes = {_nested(item, rank - 1, leaves) for item in index}
    if len(shapes) > 1:
        raise ProgramError(f"index is ragged: rows of shapes {sorted(shapes)}")
    return (len(index), *shapes.pop())


def _gather(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    x = tensor_of(args, 0, "x", KINDS)
    dim, leaves = axis_of(params["dim"], x.shape), list[int]()
    shape = _nested(params["index"], len(x.shape), leaves)
    if any(n > m for d, (n, m) in enumerate(zip(shape, x.shape, strict=True)) if d != dim):
        raise ProgramError(f"index has shape {shape}, larger than x's shape {x.shape} off axis {dim}")
    _in_range(leaves, x.shape[dim])
    return Spec(shape, x.kind)


# --- the table

_X = ("x",)

ROWS: Final = (
    Op("getitem", "indexing", _X, _getitem, {"index": REQUIRED}),
    Op("index_select", "indexing", _X, _index_select, {"dim": REQUIRED, "index": REQUIRED}),
    Op("gather", "indexing", _X, _gather, {"dim": REQUIRED, "index": REQUIRED}),
)
