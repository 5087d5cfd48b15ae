"""Which element is the largest, the next, the middle one, on balls and series; and what is built from such choices.

A position is given where it is certain. Where balls overlap an index has no interval: `Undecidable` is raised, or inside
`worlds.worlds` one of the possible positions is chosen, in each run another. Equal exact numbers are ordered by position
where PyTorch promises that; on series a tie is a kink, always.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from flint import arb, arb_series
from numpy.typing import NDArray

from harness.oracles.balls import (
    A,
    BallArray,
    Undecidable,
    as_cells,
    current_policy,
    filled,
    pair,
    undecided,
    unit_ball,
)
from harness.oracles.families.on_balls import (
    ENCLOSURES as FIRST,
)
from harness.oracles.families.on_balls import (
    Dims,
    Enclosure,
    basic_index,
    dims_of,
    flat_positions,
    hull,
    lanes,
    lanewise,
    root_of_nonnegative,
)
from harness.oracles.families.on_series import SERIES as FIRST_SERIES
from harness.oracles.families.on_series import Series, SeriesArray, product
from harness.oracles.worlds import choose

__all__ = ["ENCLOSURES", "MOVEMENT", "SERIES"]

MOVEMENT = frozenset(
    [
        *("argmax", "argmin", "argsort", "cummax_positions", "cummin_positions", "median_position", "nth_position"),
        *("isnan", "max", "min", "median", "diagonal", "unfold"),
    ]
)


# -- positions


def _constant(cell: Any) -> Any:
    return cell if type(cell) is arb else cell[0]


def _same(p: Any, q: Any) -> bool:
    """Whether two balls are certainly one number. Two series that agree at 0 are two functions all the same.

    What is not finite is one object wherever it comes up, and no number.
    """
    return type(p) is arb and ((p is q and p.is_finite()) or (p.is_exact() and p == q))


def _ranking(name: str, cells: Sequence[Any], sign: int, *, stable: bool, first: int | None = None) -> list[int]:
    """The positions of the first cells in rising (sign 1) or falling (-1) order, or of one of the orders that may be."""
    middles = [_constant(c).mid() for c in cells]
    for i, m in enumerate(middles):
        if not m.is_finite():
            raise Undecidable(name, (i,), _constant(cells[i]))
    order = sorted(range(len(cells)), key=lambda i: (_Key(sign * middles[i]), i))
    if all(_follows(cells, i, j, sign, stable) for i, j in itertools.pairwise(order)):
        return order[:first]
    certain: list[int] = []
    while len(certain) < (len(cells) if first is None else first):
        # What may come next: an element that none of those left certainly precedes.
        left = [i for i in order if i not in certain]
        free = [i for i in left if not any(j != i and _follows(cells, j, i, sign, stable) for j in left)]
        certain.append(free[0] if len(free) == 1 else _choice(name, free, cells))
    return certain


def _follows(cells: Sequence[Any], i: int, j: int, sign: int, stable: bool) -> bool:
    """Whether cell j certainly comes after cell i."""
    if sign * (_constant(cells[j]) - _constant(cells[i])) > 0:
        return True
    return stable and i < j and _same(cells[i], cells[j])


def _choice(name: str, options: list[int], cells: Sequence[Any]) -> int:
    """One of the positions that may be meant."""
    gap = _constant(cells[options[0]]) - _constant(cells[options[1]])
    otherwise = Undecidable(name, (options[1],), gap)
    if current_policy() == "raise":
        raise otherwise
    return choose(options, otherwise)


def _nth(name: str, cells: Sequence[Any], rank: int) -> int:
    """The position of the cell that `rank` others precede, in rising order, or one that may be it."""
    for i, c in enumerate(cells):
        if not _constant(c).mid().is_finite():
            raise Undecidable(name, (i,), _constant(c))
    n = len(cells)
    options = []
    for i in range(n):
        before = sum(_follows(cells, j, i, 1, False) for j in range(n))
        after = sum(_follows(cells, i, j, 1, False) for j in range(n))
        if before <= rank < n - after:
            options.append(i)
    return options[0] if len(options) == 1 else _choice(name, options, cells)


class _Key:
    """An exact ball as a key to sort by."""

    __slots__ = ("value",)

    def __init__(self, value: arb) -> None:
        self.value = value

    def __lt__(self, other: _Key) -> bool:
        return bool(self.value < other.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and bool(self.value == other.value)

    __hash__ = object.__hash__


def _first_extreme(name: str, sign: int) -> Enclosure:
    def enclosure(x: Any, *, dim: int | None = None, keepdim: bool = False) -> NDArray[np.int64]:
        shape, rows = lanes(x, dim)
        found = np.array([_best(name, cells, sign) for cells in rows], np.int64).reshape(shape)
        if not keepdim:
            return found
        gone = dims_of(x.ndim, dim)
        return found.reshape(tuple(1 if d in gone else n for d, n in enumerate(x.shape)))

    return enclosure


def _best(name: str, cells: Sequence[Any], sign: int) -> int:
    for i, c in enumerate(cells):
        if not _constant(c).mid().is_finite():
            raise Undecidable(name, (i,), _constant(c))
    best = 0
    for i in range(1, len(cells)):
        if sign * (_constant(cells[i]) - _constant(cells[best])) > 0:
            best = i
    options = [best]
    for i, cell in enumerate(cells):
        gap = sign * (_constant(cells[best]) - _constant(cell))
        if i != best and not gap > 0 and not (i > best and _same(cell, cells[best])):
            options.append(i)
    return best if len(options) == 1 else _choice(name, options, cells)


def _along(function: Callable[[list[Any]], list[int]]) -> Enclosure:
    """Positions of x's shape, or with that many a lane, from a function of the lane's cells."""

    def enclosure(x: Any, dim: int) -> NDArray[np.int64]:
        if not x.ndim:
            return np.zeros((), np.int64)
        (axis,) = dims_of(x.ndim, dim)
        moved = np.moveaxis(x.cells, axis, -1)
        if not moved.size:
            return np.zeros(x.shape, np.int64)
        rows = [function(list(row)) for row in moved.reshape(-1, moved.shape[-1])]
        found = np.array(rows, np.int64).reshape((*moved.shape[:-1], -1 if moved.size else moved.shape[-1]))
        return np.moveaxis(found, -1, axis)

    return enclosure


def _argsort(
    x: Any, *, dim: int, descending: bool = False, stable: bool = True, first: int | None = None
) -> NDArray[np.int64]:
    def order(cells: list[Any]) -> list[int]:
        return _ranking("argsort", cells, -1 if descending else 1, stable=stable, first=first)

    found: NDArray[np.int64] = _along(order)(x, dim)
    return found if first is None or not x.ndim else found[(slice(None),) * (dim % x.ndim) + (slice(first),)]


def _median_position(x: Any, *, dim: int, ignore_nan: bool = False) -> NDArray[np.int64]:
    def middle(cells: list[Any]) -> list[int]:
        return [_nth("median_position", cells, (len(cells) - 1) // 2)]

    found: NDArray[np.int64] = _along(middle)(x, dim)
    return found


def _nth_position(x: Any, *, dim: int, n: int) -> NDArray[np.int64]:
    found: NDArray[np.int64] = _along(lambda cells: [_nth("nth_position", cells, n)])(x, dim)
    return found


def _running(name: str, sign: int) -> Enclosure:
    def places(cells: list[Any]) -> list[int]:
        best, found = 0, [0]
        for i in range(1, len(cells)):
            gap = sign * (_constant(cells[i]) - _constant(cells[best]))
            if gap > 0 or _same(cells[i], cells[best]):
                best = i
            elif not gap < 0:
                best = _choice(name, [i, best], cells)
            found.append(best)
        return found

    def enclosure(x: Any, *, dim: int) -> NDArray[np.int64]:
        result: NDArray[np.int64] = _along(places)(x, dim)
        return result

    return enclosure


# -- values


def _middle(x: BallArray, *, ignore_nan: bool = False) -> BallArray:
    cells = x.cells.ravel().tolist()
    k = (len(cells) - 1) // 2
    if any(c.is_nan() for c in cells):
        return x.like(as_cells(arb("nan")))  # an unknown number may stand anywhere in the order
    try:
        with undecided("raise"):
            chosen = cells[_ranking("median", cells, 1, stable=True)[k]]
    except Undecidable:
        ends = [sorted((f(c) for c in cells), key=_Key)[k] for f in (arb.lower, arb.upper)]
        chosen = hull(*ends)
    return x.like(as_cells(chosen))


def _middle_series(x: SeriesArray, *, ignore_nan: bool = False) -> SeriesArray:
    cells = x.cells.ravel().tolist()
    return x.like(as_cells(cells[_ranking("median", cells, 1, stable=False)[(len(cells) - 1) // 2]]))


def _isnan(x: Any) -> Any:
    cells = x.cells.ravel().tolist()
    known = [_constant(c).is_finite() for c in cells]
    if all(known):
        return np.zeros(x.shape, bool)
    if current_policy() == "raise":
        raise Undecidable("isnan", (known.index(False),), _constant(cells[known.index(False)]))
    return BallArray(filled(x.shape, [arb(0) if k else unit_ball() for k in known]), np.bool_)


def _std(x: BallArray, *, dim: Dims = None, correction: float = 1, keepdim: bool = False) -> BallArray:
    squares = FIRST["var"](x, dim=dim, correction=correction, keepdim=keepdim)
    result: BallArray = squares.like(
        filled(squares.shape, [root_of_nonnegative(c) for c in squares.cells.ravel().tolist()])
    )
    return result


def _std_series(x: SeriesArray, *, dim: Dims = None, correction: float = 1, keepdim: bool = False) -> SeriesArray:
    squares = FIRST_SERIES["var"](x, dim=dim, correction=correction, keepdim=keepdim)
    for c in squares.cells.ravel().tolist():
        if c[0].is_finite() and not c[0] > 0:
            raise Undecidable("std", (), c[0])
    result: SeriesArray = FIRST_SERIES["sqrt"](squares)
    return result


def _running_products(times: Callable[[Any, Any], Any]) -> Callable[[Sequence[Any]], list[Any]]:
    def lane(cells: Sequence[Any]) -> list[Any]:
        products = [cells[0]]
        for c in cells[1:]:
            products.append(times(products[-1], c))
        return products

    return lane


# -- movement and indexing


def _diagonal(x: A, *, offset: int = 0, dim1: int = 0, dim2: int = 1) -> A:
    return x.like(np.diagonal(x.cells, offset, dim1, dim2))


def _unfold(x: A, *, dim: int, size: int, step: int) -> A:
    windows = np.lib.stride_tricks.sliding_window_view(x.cells, size, dim)
    return x.like(windows[(slice(None),) * (dim % x.ndim) + (slice(None, None, step),)])


def _add_at(x: Any, value: Any, *, index: Any) -> Any:
    x, value = pair(x, value)
    places = np.asarray(flat_positions(x.shape)[basic_index(index)])
    cells = x.cells.ravel().tolist()
    parts = np.broadcast_to(value.cells, places.shape).ravel().tolist()
    for place, part in zip(places.ravel().tolist(), parts, strict=True):
        cells[place] = cells[place] + part
    return x.merge(value, filled(x.shape, cells))


_POSITIONS: dict[str, Enclosure] = {
    "argmax": _first_extreme("argmax", 1),
    "argmin": _first_extreme("argmin", -1),
    "argsort": _argsort,
    "cummax_positions": _running("cummax_positions", 1),
    "cummin_positions": _running("cummin_positions", -1),
    "median_position": _median_position,
    "nth_position": _nth_position,
    "isnan": _isnan,
    "diagonal": _diagonal,
    "unfold": _unfold,
    "add_at": _add_at,
}

ENCLOSURES: dict[str, Enclosure] = {
    **_POSITIONS,
    "max": lambda x: FIRST["amax"](x, dim=None),
    "min": lambda x: FIRST["amin"](x, dim=None),
    "median": _middle,
    "std": _std,
    "cumprod": lanewise(_running_products(lambda p, q: p * q)),
}


def _times(p: Series, q: Series) -> arb_series:
    return product(p, q)


SERIES: dict[str, Enclosure] = {
    **_POSITIONS,
    "max": lambda x: FIRST_SERIES["amax"](x, dim=None),
    "min": lambda x: FIRST_SERIES["amin"](x, dim=None),
    "median": _middle_series,
    "std": _std_series,
    "cumprod": lanewise(_running_products(_times)),
}
