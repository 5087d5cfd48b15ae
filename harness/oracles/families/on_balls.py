"""Enclosures on balls: the tools that every family is written with, and the first families themselves.

Functions that only move cells or add and multiply them work on series as well: `GENERIC` holds them, and
`harness.oracles.families.on_series` takes them from here.

>>> x = BallArray.from_floats(np.array([0.0, 1.0]))
>>> ENCLOSURES["softmax"](x, dim=0).midpoints().round(3)
array([0.269, 0.731])
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from flint import arb
from numpy.typing import DTypeLike, NDArray

from harness.oracles.balls import (
    A,
    BallArray,
    Cells,
    Undecidable,
    add,
    as_cells,
    compare,
    current_policy,
    div,
    filled,
    is_mask,
    matmul,
    mul,
    neg,
    pair,
    power,
    power_cell,
    sub,
    unit_ball,
)
from harness.oracles.worlds import choose, order

__all__ = [
    "ENCLOSURES",
    "GENERIC",
    "Dims",
    "Enclosure",
    "accumulated",
    "along",
    "basic_index",
    "comparison",
    "elementwise",
    "flat_positions",
    "integers",
    "overwritten",
    "pairwise",
]

Enclosure = Callable[..., Any]
Dims = int | tuple[int, ...] | None

_ZERO = arb(0)
_ONE = arb(1)
_NAN = arb("nan")

# -- cell by cell


def elementwise(function: Callable[[arb], arb]) -> Enclosure:
    """The enclosure of a function of one number, from a function of one ball."""
    loop = np.frompyfunc(function, 1, 1)

    def enclosure(x: BallArray) -> BallArray:
        return x.like(loop(x.cells))

    return enclosure


def pairwise(function: Callable[[arb, arb], arb]) -> Enclosure:
    """The same for a function of two numbers; the arrays broadcast."""
    loop = np.frompyfunc(function, 2, 1)

    def enclosure(a: Any, b: Any) -> BallArray:
        a, b = pair(a, b)
        merged: BallArray = a.merge(b, loop(a.cells, b.cells))
        return merged

    return enclosure


def hull(*numbers: arb) -> arb:
    """A ball that contains all of them."""
    result = numbers[0]
    for number in numbers[1:]:
        result = result.union(number)
    return result


def between(x: arb, function: Callable[[arb], arb]) -> arb:
    """The enclosure of a monotone function from its two ends: tighter than by formula when the ball is fat."""
    if x.is_nan():  # of an unknown number without a radius, as its ends are, FLINT's asin is -pi / 2
        return _NAN
    return hull(function(x.lower()), function(x.upper()))


def larger(p: arb, q: arb) -> arb:
    """The maximum; the operand itself where the order is certain."""
    if p >= q or p is q:
        return p
    if p <= q:
        return q
    return p.max(q)


def smaller(p: arb, q: arb) -> arb:
    """The minimum; the operand itself where the order is certain."""
    if p <= q or p is q:
        return p
    if p >= q:
        return q
    return p.min(q)


def absolute(c: arb) -> arb:
    """|c|; the operand itself where it is certainly not negative."""
    if c >= 0:
        return c
    if c <= 0:
        return -c
    return hull(_ZERO, c.abs_upper()) if c.is_finite() else abs(c)


def magnitudes(x: BallArray) -> Cells:
    """|x|, the same cells at every call: a norm that picks one of them equals the one it picked."""
    if x.known_magnitudes is None:
        x.known_magnitudes = as_cells(_absolute_loop(x.cells))
    return x.known_magnitudes


_absolute_loop = np.frompyfunc(absolute, 1, 1)


def _abs(x: BallArray) -> BallArray:
    return x.like(magnitudes(x))


def root_of_nonnegative(c: arb) -> arb:
    """The square root of a number that is known to be >= 0 although its ball may reach below 0."""
    if c > 0 or c == 0:
        return c.sqrt()
    return hull(_ZERO, c.upper().sqrt()) if c.is_finite() else c.sqrt()


def power_of_nonnegative(c: arb, exponent: arb) -> arb:
    """c ** exponent for an exact exponent and a number that is known to be >= 0 although its ball may reach below 0."""
    if c > 0 or c == 0 or not exponent > 0 or not c.is_finite():
        return power_cell(c, exponent)
    return hull(_ZERO, power_cell(c.upper(), exponent))


def square_of(c: arb) -> arb:
    return c * c if c > 0 or c < 0 or c.is_exact() else absolute(c) ** 2


def _reciprocal(c: arb) -> arb:
    return _ONE / c


def _sigmoid(c: arb) -> arb:
    value = _ONE / (_ONE + (-c).exp())
    if value.is_finite():
        return value
    e = c.exp()  # exp(-c) left the range of exponents; then e is tiny
    return e / (_ONE + e)


def _tanh(c: arb) -> arb:
    return c.tanh()


def _atan2(y: arb, x: arb) -> arb:
    if y.is_nan() or x.is_nan():
        return _NAN
    # a float -0.0 converts to 0, so on the cut, and at the origin, the sign of the angle is not known
    if (y.contains(0) and not x > 0) or not (y.is_finite() and x.is_finite()):
        if x < 0 and y.is_finite() and x.is_finite() and current_policy() == "choose":
            above = choose([True, False], Undecidable("atan2", (), y))
            return arb.atan2(-y, -x) + (arb.pi() if above else -arb.pi())
        return hull(-arb.pi(), arb.pi())
    return arb.atan2(y, x)


def _logaddexp(a: arb, b: arb) -> arb:
    return _log_sum_exp([a, b])


def _sign(x: BallArray) -> BallArray:
    cells: list[arb] = []
    for i, c in enumerate(x.cells.ravel().tolist()):
        if c > 0:
            cells.append(arb(1))
        elif c < 0:
            cells.append(arb(-1))
        elif c == 0:
            cells.append(arb(0))
        elif current_policy() == "raise":
            raise Undecidable("sign", position(i, x.shape), c)
        elif current_policy() == "choose" and c.is_finite():
            cells.append(arb(order(c, _ZERO, Undecidable("sign", position(i, x.shape), c))))
        else:
            cells.append(_NAN if c.is_nan() else arb(0, 1))
    return x.like(filled(x.shape, cells))


def position(flat: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(flat, shape))


def _relu(c: arb) -> arb:
    if c >= 0:
        return c
    if c <= 0:
        return arb(0)
    return hull(_ZERO, c.upper()) if c.is_finite() else c.max(_ZERO)


def _clamp(x: BallArray, *, min: float | None = None, max: float | None = None) -> BallArray:
    low = None if min is None else arb(min)
    high = None if max is None else arb(max)
    cells = []
    for c in x.cells.ravel().tolist():
        if low is not None:
            c = larger(c, low)
        if high is not None:
            c = smaller(c, high)
        cells.append(c)
    return x.like(filled(x.shape, cells))


def comparison(name: str) -> Enclosure:
    """The enclosure of one of gt, ge, lt, le, eq, ne."""

    def enclosure(a: Any, b: Any) -> Any:
        return compare(name, a, b)

    return enclosure


def _choose(condition: arb, p: arb, q: arb) -> arb:
    if condition == 0:
        return q
    if not condition.contains(0):
        return p
    return p if p is q else hull(p, q)


def _logical_and(a: Any, b: Any) -> Any:
    return a & b


def _logical_or(a: Any, b: Any) -> Any:
    return a | b


def _logical_not(x: Any) -> Any:
    return ~x


_choose_loop = np.frompyfunc(_choose, 3, 1)


def where(condition: Any, a: Any, b: Any) -> Any:
    """`a` where the condition holds, else `b`, broadcasting; the union of both where a mask does not tell."""
    if not (hasattr(type(a), "lift") or hasattr(type(b), "lift")):
        if not is_mask(condition):
            raise TypeError("where: no operand is an array of balls or series")
        a = BallArray.from_floats(a)
    a, b = pair(a, b)
    if type(condition) is BallArray:
        return a.merge(b, _choose_loop(condition.cells, a.cells, b.cells))
    return a.merge(b, np.where(np.asarray(condition, bool), a.cells, b.cells))


# -- movement: NumPy moves the cells, nothing is computed


def _reshape(x: A, *, shape: Sequence[int]) -> A:
    return x.like(x.cells.reshape(shape))


def _permute(x: A, *, dims: Sequence[int]) -> A:
    return x.like(x.cells.transpose(tuple(dims)))


def _transpose(x: A, *, dim0: int, dim1: int) -> A:
    return x if x.ndim == 0 else x.like(np.swapaxes(x.cells, dim0, dim1))


def _expand(x: A, *, shape: Sequence[int]) -> A:
    lead = len(shape) - x.ndim
    full = tuple(x.shape[i - lead] if s == -1 else s for i, s in enumerate(shape))
    return x.like(np.broadcast_to(x.cells, full))


def _unsqueeze(x: A, *, dim: int) -> A:
    return x.like(np.expand_dims(x.cells, dim))


def _squeeze(x: A, *, dim: Dims = None) -> A:
    if dim is None:
        return x.like(x.cells.squeeze())
    dims = (dim,) if isinstance(dim, int) else dim
    return x.like(x.cells.squeeze(tuple(d for d in dims if x.ndim and x.shape[d] == 1)))


def _flip(x: A, *, dims: Dims) -> A:
    return x if x.ndim == 0 else x.like(np.flip(x.cells, dims))


def _aligned(xs: tuple[Any, ...]) -> list[Any]:
    arrays = list(xs[0]) if len(xs) == 1 and isinstance(xs[0], list | tuple) else list(xs)
    known = [x for x in arrays if hasattr(type(x), "lift")]
    first = next((x for x in known if type(x) is not BallArray), known[0])  # series win over balls
    return [first.lift(x) if type(x) is not type(first) else x for x in arrays]


def _joined(arrays: list[Any], cells: Cells) -> Any:
    result = arrays[0]
    for other in arrays[1:]:
        result = result.merge(other, cells)
    return result.like(cells)


def _cat(*xs: Any, dim: int = 0) -> Any:
    arrays = _aligned(xs)
    rank = max(a.ndim for a in arrays)
    kept = [a for a in arrays if a.ndim == rank]  # PyTorch ignores empty 1-d tensors
    return _joined(kept, np.concatenate([a.cells for a in kept], axis=dim))


def _stack(*xs: Any, dim: int = 0) -> Any:
    arrays = _aligned(xs)
    return _joined(arrays, np.stack([a.cells for a in arrays], axis=dim))


def _triangle(keep: Callable[..., NDArray[Any]]) -> Enclosure:
    def enclosure(x: A, *, diagonal: int = 0) -> A:
        mask = keep(np.ones(x.shape[-2:], bool), diagonal)
        return x.like(np.where(mask, x.cells, as_cells(x.constant(_ZERO))))

    return enclosure


def _same(x: A) -> A:
    return x


def _to(x: A, *, dtype: DTypeLike) -> A:
    return x.like(x.cells, np.dtype(dtype))


def _like_with(value: float) -> Enclosure:
    def enclosure(x: A) -> A:
        return _full_like(x, fill_value=value)

    return enclosure


def _full_like(x: A, *, fill_value: float) -> A:
    return x.like(filled(x.shape, [x.constant(arb(fill_value))] * x.size))


# -- indexing


def basic_index(index: Any) -> Any:
    """An index in the form that programs keep as one that NumPy takes; NumPy's own forms pass through."""
    if not isinstance(index, tuple) or (index and isinstance(index[0], str) and index[0] == "slice"):
        return _index_item(index)
    return tuple(_index_item(item) for item in index)


def _index_item(item: Any) -> Any:
    if isinstance(item, str):
        if item == "...":
            return Ellipsis
        raise ValueError(f"index: expected an int, None, '...' or a slice, got {item!r}")
    if isinstance(item, tuple):
        if len(item) == 4 and item[0] == "slice":
            return slice(*item[1:])
        return np.asarray(item, np.int64)
    return np.asarray(item) if isinstance(item, list) else item


def _getitem(x: A, *, index: Any) -> A:
    return x.like(x.cells[basic_index(index)])


def accumulated(x: A, shape: Sequence[int], targets: NDArray[Any]) -> A:
    """Zeros of `shape` with every cell of x added at the flat position that `targets` gives for it."""
    shape = tuple(shape)
    zero = x.constant(_ZERO)
    sums = [zero] * math.prod(shape)
    taken = bytearray(len(sums))
    cells = np.broadcast_to(x.cells, targets.shape).ravel().tolist()
    for position, cell in zip(targets.ravel().tolist(), cells, strict=True):
        # the first one is moved, not added to 0, so that it stays the same cell
        sums[position] = sums[position] + cell if taken[position] else cell
        taken[position] = 1
    return x.like(filled(shape, sums))


def flat_positions(shape: Sequence[int]) -> NDArray[np.int64]:
    """The position of each element of an array of `shape` in row-major order."""
    return np.arange(math.prod(shape), dtype=np.int64).reshape(shape)


def overwritten(x: Any, value: Any, places: NDArray[Any]) -> Any:
    """x with the cells of `value` at the flat positions `places`, in order."""
    x, value = pair(x, value)
    cells = x.cells.ravel().tolist()
    for place, cell in zip(
        places.ravel().tolist(), np.broadcast_to(value.cells, places.shape).ravel().tolist(), strict=True
    ):
        cells[place] = cell
    return x.like(filled(x.shape, cells))


def _index_put(x: Any, value: Any, *, index: Any) -> Any:
    return overwritten(x, value, np.asarray(flat_positions(x.shape)[basic_index(index)]))


def _view_scatter(x: Any, value: Any, *, path: Any) -> Any:
    places: Any = flat_positions(x.shape)
    for step, params in path:
        places = step.body(places, **params)
    return overwritten(x, value, np.asarray(places))


def _overwrite(x: Any, value: Any) -> Any:
    x, value = pair(x, value)
    return x.like(np.broadcast_to(value.cells, x.shape))


def _getitem_adjoint(ct: A, *, shape: Sequence[int], index: Any) -> A:
    return accumulated(ct, shape, np.asarray(flat_positions(shape)[basic_index(index)]))


def integers(index: Any) -> NDArray[np.int64]:
    """An index as an array of int64; nothing but integers is one."""
    array = np.asarray(index)
    if array.size and array.dtype.kind not in "iu":
        raise TypeError(f"index: expected integers, got dtype {array.dtype}")
    return array.astype(np.int64)


def _index_select(x: A, *, dim: int, index: Any) -> A:
    taken = integers(index)
    return x.like(
        np.take(x.cells if x.ndim else x.cells.reshape(1), np.atleast_1d(taken), axis=dim).reshape(
            (*x.shape[: dim % x.ndim], taken.size, *x.shape[dim % x.ndim + 1 :]) if x.ndim else ()
        )
    )


def _index_select_adjoint(ct: A, *, shape: Sequence[int], dim: int, index: Any) -> A:
    positions = flat_positions(shape)
    targets = np.take(positions, np.atleast_1d(integers(index)), axis=dim) if positions.ndim else positions
    return accumulated(ct, shape, targets)


def along(shape: Sequence[int], dim: int, index: Any) -> NDArray[np.int64]:
    """The flat positions in an array of `shape` that gather reads."""
    where_ = integers(index)
    if not len(shape):
        return where_.reshape(())
    if where_.size == 0:
        return where_
    dim %= len(shape)
    part = tuple(slice(None) if d == dim else slice(0, n) for d, n in enumerate(where_.shape))
    taken: NDArray[np.int64] = np.take_along_axis(flat_positions(shape)[part], where_, axis=dim)
    return taken


def _gather(x: A, *, dim: int, index: Any) -> A:
    positions = along(x.shape, dim, index)
    cells = x.cells.ravel()
    return x.like(filled(positions.shape, [cells[i] for i in positions.ravel().tolist()]))


def _gather_adjoint(ct: A, *, shape: Sequence[int], dim: int, index: Any) -> A:
    return accumulated(ct, shape, along(shape, dim, index))


# -- reductions


def dims_of(ndim: int, dim: Dims) -> tuple[int, ...]:
    """The dims that a reduction removes, as sorted non-negative numbers."""
    if dim is None or dim == ():
        return tuple(range(ndim))
    chosen = (dim,) if isinstance(dim, int | np.integer) else tuple(dim)
    rank = max(ndim, 1)
    for d in chosen:
        if not -rank <= d < rank:
            raise IndexError(f"dim {d} is out of range for {ndim} dimensions")
    normal = tuple(sorted(d % rank for d in chosen))
    if len(set(normal)) < len(normal):
        raise ValueError(f"dim appears twice in {dim}")
    return normal if ndim else ()


def lanes(x: Any, dim: Dims) -> tuple[tuple[int, ...], list[list[Any]]]:
    """The shape that is kept and, for each of its cells in order, the cells that reduce to it."""
    removed = dims_of(x.ndim, dim)
    kept = tuple(d for d in range(x.ndim) if d not in removed)
    shape = tuple(x.shape[d] for d in kept)
    length = math.prod(x.shape[d] for d in removed)
    rows = x.cells.transpose(kept + removed).reshape(math.prod(shape), length)
    return shape, rows.tolist()


def restored(x: A, dim: Dims, shape: tuple[int, ...], cells: list[Any], keepdim: bool) -> A:
    """The reduced cells as an array, with the removed dims kept as 1 on request."""
    if keepdim:
        removed = dims_of(x.ndim, dim)
        shape = tuple(1 if d in removed else n for d, n in enumerate(x.shape))
    return x.like(filled(shape, cells))


def reduction(function: Callable[[list[Any], Any], Any]) -> Enclosure:
    """A reduction from a function of the lane's cells and of the array (which knows how to make a constant)."""

    def enclosure(x: A, *, dim: Dims = None, keepdim: bool = False) -> A:
        shape, rows = lanes(x, dim)
        return restored(x, dim, shape, [function(row, x) for row in rows], keepdim)

    return enclosure


def total(cells: Sequence[Any], x: Any) -> Any:
    """The sum of the cells; a lone cell is itself."""
    if not cells:
        return x.constant(_ZERO)
    result = cells[0]
    for c in cells[1:]:
        result = result + c
    return result


def _product(cells: Sequence[Any], x: Any) -> Any:
    if not cells:
        return x.constant(_ONE)
    result = cells[0]
    for c in cells[1:]:
        result = result * c
    return result


def _mean(cells: Sequence[Any], x: Any) -> Any:
    return total(cells, x) / len(cells) if cells else x.constant(_NAN)


def _extreme(name: str, choose: Callable[[arb, arb], arb]) -> Enclosure:
    def fold(cells: Sequence[arb], x: Any) -> arb:
        if not cells:
            raise ValueError(f"{name}: a dim of size 0 has no extreme")
        result = cells[0]
        for c in cells[1:]:
            result = choose(result, c)
        return result

    return reduction(fold)


def shift_of(cells: Sequence[arb]) -> arb:
    """An exact number near the largest of them, so that exp of the differences stays in range."""
    best = cells[0].mid()
    for c in cells[1:]:
        mid = c.mid()
        if mid > best:
            best = mid
    return best if best.is_finite() else _ZERO


def _log_sum_exp(cells: Sequence[arb], x: Any = None) -> arb:
    if not cells:
        return _NAN
    if len(cells) == 1:
        return cells[0]
    shift = shift_of(cells)
    result = (cells[0] - shift).exp()
    for c in cells[1:]:
        result = result + (c - shift).exp()
    return result.log() + shift


def _odds_against(cells: Sequence[arb]) -> tuple[list[arb], list[arb], arb]:
    """exp of the shifted cells, for each the sum of the others divided by it, and the sum of all.

    Each operand enters an odds ratio once above and once below the line, as in sum_j exp(x_j - x_i), at linear cost.
    """
    shift = shift_of(cells)
    exps = [(c - shift).exp() for c in cells]
    before = [_ZERO]
    for e in exps[:-1]:
        before.append(before[-1] + e)
    after = [_ZERO]
    for e in exps[:0:-1]:
        after.append(after[-1] + e)
    after.reverse()
    odds = [(p + q) / e for p, q, e in zip(before, after, exps, strict=True)]
    return exps, odds, total(exps, None)


def _softmax_lane(cells: Sequence[arb]) -> list[arb]:
    exps, odds, whole = _odds_against(cells)
    values = [_ONE / (_ONE + o) for o in odds]
    # an exponential that underflowed even here has no odds, but its share is tiny all the same
    return [v if v.is_finite() else e / whole for v, e in zip(values, exps, strict=True)]


def _log_softmax_lane(cells: Sequence[arb]) -> list[arb]:
    _, odds, _ = _odds_against(cells)
    values = [-(o.log1p()) for o in odds]
    if all(v.is_finite() for v in values):
        return values
    whole = _log_sum_exp(cells)
    return [v if v.is_finite() else c - whole for v, c in zip(values, cells, strict=True)]


def lanewise(function: Callable[[Sequence[Any]], list[Any]]) -> Enclosure:
    """A map along one dim that keeps the shape, from a function of the lane's cells."""

    def enclosure(x: A, *, dim: int) -> A:
        if x.size == 0 or x.ndim == 0:
            return x.like(filled(x.shape, function(list(x.cells.ravel())) if x.size else []))
        (axis,) = dims_of(x.ndim, dim)
        moved = np.moveaxis(x.cells, axis, -1)
        rows = [function(list(row)) for row in moved.reshape(-1, moved.shape[-1])]
        cells = filled(moved.shape, [c for row in rows for c in row])
        return x.like(np.moveaxis(cells, -1, axis))

    return enclosure


def _running_sums(cells: Sequence[Any]) -> list[Any]:
    sums = [cells[0]]
    for c in cells[1:]:
        sums.append(sums[-1] + c)
    return sums


def _var(x: A, *, dim: Dims = None, correction: float = 1, keepdim: bool = False) -> A:
    shape, rows = lanes(x, dim)
    results = []
    for cells in rows:
        if not cells:
            results.append(x.constant(_NAN))
            continue
        n = len(cells)
        mean = total(cells, x) / n
        squares = [(c - mean) * (c - mean) for c in cells]
        degrees = arb(n) - arb(correction)
        results.append(total(squares, x) / degrees if degrees > 0 else x.constant(_NAN))
    return restored(x, dim, shape, results, keepdim)


def _vector_norm(x: BallArray, *, ord: float = 2.0, dim: Dims = None, keepdim: bool = False) -> BallArray:
    shape, rows = lanes(_abs(x) if math.isinf(ord) else x, dim)
    return restored(x, dim, shape, [_norm(cells, float(ord)) for cells in rows], keepdim)


def _norm(cells: Sequence[arb], order: float) -> Any:
    if math.isinf(order):
        if not cells:
            raise ValueError(f"vector_norm: a dim of size 0 has no norm of order {order}")
        choose = larger if order > 0 else smaller
        result = cells[0]  # magnitudes already
        for c in cells[1:]:
            result = choose(result, c)
        return result
    if order == 0:
        return total([_is_nonzero(c) for c in cells], BallArray)
    if len(cells) == 1:
        return absolute(cells[0]) if order > 0 or not cells[0].contains(0) else _NAN
    if order == 1:
        return total([absolute(c) for c in cells], BallArray)
    if order == 2:
        return root_of_nonnegative(total([square_of(c) for c in cells], BallArray))
    exponent = arb(order)
    powers = total([power_of_nonnegative(absolute(c), exponent) for c in cells], BallArray)
    if powers == 0:
        return _ZERO if order > 0 else _NAN
    if not powers > 0:
        return hull(_ZERO, powers.upper() ** (1 / exponent)) if order > 0 and powers.is_finite() else _NAN
    return powers ** (1 / exponent)


def _is_nonzero(c: arb) -> arb:
    if c == 0:
        return _ZERO
    if not c.contains(0):
        return _ONE
    undecidable = Undecidable("vector_norm", (), c)
    if current_policy() == "raise":
        raise undecidable
    if current_policy() == "choose" and c.is_finite():
        return arb(abs(order(c, _ZERO, undecidable)))
    return unit_ball()


# -- contraction


def _outer(a: Any, b: Any) -> Any:
    a, b = pair(a, b)
    return a.merge(b, a.multiply(a.cells.reshape(-1, 1), b.cells.reshape(1, -1)))


def _dot(a: Any, b: Any) -> Any:
    a, b = pair(a, b)
    if a.ndim != 1 or b.ndim != 1 or a.shape != b.shape:
        raise ValueError(f"dot: expected two vectors of one length, got shapes {a.shape} and {b.shape}")
    return matmul(a, b)


# -- the table

GENERIC: dict[str, Enclosure] = {
    "add": add,
    "sub": sub,
    "mul": mul,
    "div": div,
    "pow": power,
    "neg": neg,
    "where": where,
    "sum": reduction(total),
    "mean": reduction(_mean),
    "prod": reduction(_product),
    "cumsum": lanewise(_running_sums),
    "var": _var,
    "reshape": _reshape,
    "permute": _permute,
    "transpose": _transpose,
    "expand": _expand,
    "unsqueeze": _unsqueeze,
    "squeeze": _squeeze,
    "flip": _flip,
    "cat": _cat,
    "stack": _stack,
    "tril": _triangle(np.tril),
    "triu": _triangle(np.triu),
    "clone": _same,
    "logical_and": _logical_and,
    "logical_or": _logical_or,
    "logical_not": _logical_not,
    "overwrite": _overwrite,
    "index_put": _index_put,
    "view_scatter": _view_scatter,
    "getitem": _getitem,
    "getitem_adjoint": _getitem_adjoint,
    "index_select": _index_select,
    "index_select_adjoint": _index_select_adjoint,
    "gather": _gather,
    "gather_adjoint": _gather_adjoint,
    "matmul": matmul,
    "dot": _dot,
    "outer": _outer,
    "to": _to,
    "zeros_like": _like_with(0.0),
    "ones_like": _like_with(1.0),
    "full_like": _full_like,
}

ENCLOSURES: dict[str, Enclosure] = {
    **GENERIC,
    "detach": _same,
    "exp": elementwise(arb.exp),
    "expm1": elementwise(arb.expm1),
    "log": elementwise(arb.log),
    "log1p": elementwise(arb.log1p),
    "sqrt": elementwise(arb.sqrt),
    "rsqrt": elementwise(arb.rsqrt),
    "reciprocal": elementwise(_reciprocal),
    "square": elementwise(square_of),
    "sin": elementwise(arb.sin),
    "cos": elementwise(arb.cos),
    "tan": elementwise(arb.tan),
    "sinh": elementwise(arb.sinh),
    "cosh": elementwise(arb.cosh),
    "tanh": elementwise(_tanh),
    "atan": elementwise(arb.atan),
    "sigmoid": elementwise(_sigmoid),
    "abs": _abs,
    "relu": elementwise(_relu),
    "sign": _sign,
    "clamp": _clamp,
    "maximum": pairwise(larger),
    "minimum": pairwise(smaller),
    "logaddexp": pairwise(_logaddexp),
    "atan2": pairwise(_atan2),
    "gt": comparison("gt"),
    "ge": comparison("ge"),
    "lt": comparison("lt"),
    "le": comparison("le"),
    "eq": comparison("eq"),
    "ne": comparison("ne"),
    "amax": _extreme("amax", larger),
    "amin": _extreme("amin", smaller),
    "logsumexp": reduction(_log_sum_exp),
    "softmax": lanewise(_softmax_lane),
    "log_softmax": lanewise(_log_softmax_lane),
    "vector_norm": _vector_norm,
}
