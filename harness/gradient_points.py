"""Where a user's function is asked: points drawn around the example, at ties, at other sizes, shapes and layouts.

`draw(subject, rng)` yields `Point`s, the most telling first. A function may refuse a point that the example does not
promise (another shape, a number outside its domain); whoever asks must take a refusal as no answer.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.cases import Array
from harness.frontends import Subject

__all__ = ["Point", "draw", "halved", "nearby", "simpler", "widened"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Point:
    """Arrays for a subject, and how they came about.

    Attributes:
        label: what is special, such as "the example" or "a tie".
        arrays: one an array of the subject; floats are float64.
        promised: the function must answer here, since the example has these shapes and an ordinary size.
        ordinary: numbers of the size of the example's: no formula needs to overflow.
        mixed: one argument has another shape, as if it were broadcast, which means something for some functions only.

    One array in two places stands for two tensors in one memory.
    """

    label: str
    arrays: tuple[Array, ...]
    promised: bool = False
    ordinary: bool = True
    mixed: bool = False


def widened(arrays: Sequence[Array], dtype: str = "float64") -> tuple[Array, ...]:
    """The floats as another dtype, in the same layout."""
    return _shared(arrays, [x.astype(dtype, copy=False) if x.dtype.kind == "f" else x for x in arrays])


def _shared(before: Sequence[Array], made: Sequence[Array]) -> tuple[Array, ...]:
    """What was made of arrays, the same object where they were one."""
    first = {id(x): k for k, x in reversed(list(enumerate(before)))}
    return tuple(made[first[id(x)]] for x in before)


def nearby(
    arrays: Sequence[Array], wanted: Sequence[bool], rng: np.random.Generator, size: float, sign: float = 1.0
) -> tuple[Array, ...]:
    """The arrays with every wanted element moved by about `size` of its array, each by another amount."""
    moved = []
    for x, w in zip(arrays, wanted, strict=True):
        if not w or not x.size:
            moved.append(x)
            continue
        steps = rng.uniform(0.5, 1.0, x.shape) * rng.choice([-1.0, 1.0], x.shape)
        with np.errstate(all="ignore"):
            reach = np.maximum(np.abs(x), min(1.0, _scale(x)))
            moved.append(np.asarray(x + sign * size * steps * reach, dtype=x.dtype))
    return tuple(moved)


def draw(
    subject: Subject, rng: np.random.Generator, *, elements: int = 400, grads: Sequence[Array | None] = ()
) -> Iterator[Point]:
    """Yield points, the most telling first.

    Args:
        subject: the function with its example.
        rng: where numbers come from.
        elements: how many a grown shape may have.
        grads: a gradient at the example for each array that wants one: where it is 0, a wrong rule does not show.
    """
    base = widened(subject.arrays)
    wanted = subject.wanted
    yield Point("the example", base, promised=True)
    yield Point("near the example", _each(base, wanted, lambda x: _jittered(x, rng)), promised=True)
    tied = _one_tie(base, wanted, rng)
    if tied is not None:
        yield Point("a tie", tied)
    yield Point("a zero", _one_special(base, wanted, rng, 0.0))
    given = tuple(w and i < subject.arguments for i, w in enumerate(wanted))  # parameters lie as they lie
    yield from _layouts(base, given, grads)
    yield from _indices(subject, base, rng)
    yield from _sizes(subject, base, rng, elements)
    yield from _one_alone(base, given, grads)
    yield from _in_one_memory(base, given)
    yield Point("numbers of both signs", _each(base, wanted, lambda x: rng.uniform(-2, 2, x.shape)))
    yield Point("zeros, ones and ties", _each(base, wanted, lambda x: rng.choice([-1.0, 0.0, 0.5, 1.0], x.shape)))
    sizes = lambda x: x * 10.0 ** rng.uniform(-3, 3, x.shape)
    yield Point("numbers of many sizes", _each(base, wanted, sizes), ordinary=False)
    either = lambda x: x * 10.0 ** rng.uniform(0, 3, x.shape) * rng.choice([-1.0, 1.0], x.shape)
    yield Point("numbers of many sizes and both signs", _each(base, wanted, either), ordinary=False)
    yield Point("a row that is tiny", _each(base, wanted, lambda x: _with_row(x, 1e-14, rng)), ordinary=False)
    yield Point("6 times the example", _each(base, wanted, lambda x: x * 6), ordinary=False)
    yield Point("30 times the example", _each(base, wanted, lambda x: x * 30), ordinary=False)
    yield Point("1,000 times the example", _each(base, wanted, lambda x: x * 1e3), ordinary=False)
    yield Point("1e6 times the example", _each(base, wanted, lambda x: x * 1e6), ordinary=False)
    yield Point("a thousandth of the example", _each(base, wanted, lambda x: x * 1e-3), ordinary=False)
    yield Point("all equal", _each(base, wanted, lambda x: np.full(x.shape, x.flat[0] if x.size else 0.0)))
    yield Point("ones", _each(base, wanted, lambda x: np.ones(x.shape)))
    yield Point("zeros", _each(base, wanted, lambda x: np.zeros(x.shape)))
    yield Point("near the example again", _each(base, wanted, lambda x: _jittered(x, rng)))


def halved(arrays: Sequence[Array], arguments: int) -> Iterator[tuple[Array, ...]]:
    """Yield corners of the arguments with one size halved, the largest first; sizes of parameters stay."""
    frozen = {m for x in arrays[arguments:] for m in x.shape}
    for size in sorted({m for x in arrays[:arguments] for m in x.shape if m > 1} - frozen, reverse=True):
        cut = tuple(
            x[tuple(slice(0, size // 2) if m == size else slice(None) for m in x.shape)] for x in arrays[:arguments]
        )
        yield (*cut, *arrays[arguments:])


def simpler(arrays: Sequence[Array], wanted: Sequence[bool], arguments: int) -> Iterator[tuple[Array, ...]]:
    """Yield smaller and rounder versions of a point, the boldest first."""
    for made in _simpler(arrays, wanted, arguments):
        yield _shared(arrays, made)


def _simpler(arrays: Sequence[Array], wanted: Sequence[bool], arguments: int) -> Iterator[tuple[Array, ...]]:
    sizes = sorted({m for x in arrays[:arguments] for m in x.shape if m > 1}, reverse=True)
    frozen = {m for x in arrays[arguments:] for m in x.shape}
    for new in (1, 2, 3):
        for size in sizes:
            if size <= new or size in frozen:
                continue
            cut = tuple(
                x[tuple(slice(0, new) if m == size else slice(None) for m in x.shape)] for x in arrays[:arguments]
            )
            yield (*cut, *arrays[arguments:])
            if size > 2 * new:
                last = tuple(
                    x[tuple(slice(m - new, m) if m == size else slice(None) for m in x.shape)]
                    for x in arrays[:arguments]
                )
                yield (*last, *arrays[arguments:])
    if any(not x.flags.c_contiguous for x in arrays):
        yield tuple(np.ascontiguousarray(x) if x.ndim else x for x in arrays)
    for digits in (0, 1, 3):
        rounder: tuple[Array, ...] = tuple(
            np.array(np.round(x.astype(np.float64), digits)) if w else x for x, w in zip(arrays, wanted, strict=True)
        )
        if any(bool(np.any(np.not_equal(x, y))) for x, y in zip(arrays, rounder, strict=True)):
            yield rounder


def _scale(x: Array) -> float:
    finite = np.abs(x[np.isfinite(x)])
    return float(finite.max(initial=0.0)) or 1.0


def _each(base: Sequence[Array], wanted: Sequence[bool], make: Callable[[Floats], Floats]) -> tuple[Array, ...]:
    return tuple(
        np.array(make(x.astype(np.float64)), dtype=np.float64) if w else x for x, w in zip(base, wanted, strict=True)
    )


def _jittered(x: Floats, rng: np.random.Generator) -> Floats:
    """Other numbers of the same signs and sizes."""
    moved: Floats = np.array(x * rng.uniform(0.6, 1.4, x.shape))
    zeros = x == 0
    moved[zeros] = rng.uniform(-0.5, 0.5, int(np.sum(zeros)))
    return moved


def _with_row(x: Floats, factor: float, rng: np.random.Generator) -> Floats:
    """One row along the last axis times a factor: it may fall below what a formula guards its denominators with."""
    made: Floats = np.array(x)
    if x.size:
        rows = made.reshape(-1, x.shape[-1] if x.ndim else 1)
        rows[int(rng.integers(len(rows)))] *= factor
    return made


def _one_tie(base: Sequence[Array], wanted: Sequence[bool], rng: np.random.Generator) -> tuple[Array, ...] | None:
    """One pair of equal elements: in the same place of two arrays of one shape, else in one array."""
    made = list(_each(base, wanted, lambda x: _jittered(x, rng)))
    moving = [i for i, w in enumerate(wanted) if w and made[i].size]
    for i in moving:
        for j in moving:
            if i < j and made[i].shape == made[j].shape:
                at = _some_place(made[i].shape, rng)
                made[j][at] = made[i][at]
                return tuple(made)
    for i in moving:
        if made[i].size > 1:
            x = made[i]
            # The largest element is the one that a reduction picks, so it is the one that is doubled, in its row.
            at = tuple(int(i) for i in np.unravel_index(int(np.argmax(x)), x.shape))
            other = list(at)
            d = max(k for k, n in enumerate(x.shape) if n > 1)
            other[d] = (at[d] + 1) % x.shape[d]
            x[tuple(other)] = x[at]
            return tuple(made)
    return None


def _some_place(shape: tuple[int, ...], rng: np.random.Generator) -> tuple[int, ...]:
    return tuple(int(rng.integers(n)) for n in shape)


def _one_special(
    base: Sequence[Array], wanted: Sequence[bool], rng: np.random.Generator, value: float
) -> tuple[Array, ...]:
    """One element of each array is `value`."""
    made = _each(base, wanted, lambda x: _jittered(x, rng))
    for x, w in zip(made, wanted, strict=True):
        if w and x.size:
            x[_some_place(x.shape, rng)] = value
    return made


def _layouts(base: Sequence[Array], wanted: Sequence[bool], grads: Sequence[Array | None]) -> Iterator[Point]:
    """The same numbers, differently in memory; one row repeated with stride 0."""
    if any(x.ndim >= 2 and min(x.shape[-2:]) > 1 for x in base):
        turned = tuple(
            np.ascontiguousarray(x.swapaxes(-1, -2)).swapaxes(-1, -2) if w and x.ndim >= 2 else x
            for x, w in zip(base, wanted, strict=True)
        )
        yield Point("transposed in memory", turned, promised=True)
    if any(x.ndim and x.shape[-1] > 1 for x in base):
        yield Point(
            "every other element of memory",
            tuple(np.repeat(x, 2, axis=-1)[..., ::2] if w and x.ndim else x for x, w in zip(base, wanted, strict=True)),
            promised=True,
        )
    expanded = _expanded(base, wanted, grads)
    if expanded:
        yield Point("expanded in memory", tuple(expanded.get(i, x) for i, x in enumerate(base)))


def _one_alone(base: Sequence[Array], wanted: Sequence[bool], grads: Sequence[Array | None]) -> Iterator[Point]:
    """One array expanded: beside the numbers of the example its own row has the gradient that it has there."""
    for k, y in _expanded(base, wanted, grads).items() if sum(wanted) > 1 else ():
        yield Point(f"array {k} expanded in memory", tuple(y if i == k else x for i, x in enumerate(base)))


def _expanded(base: Sequence[Array], wanted: Sequence[bool], grads: Sequence[Array | None]) -> dict[int, Array]:
    """The arrays with one row in the place of all: that where the gradient is largest."""
    moving = [i for i, w in enumerate(wanted) if w]
    slopes = dict(zip(moving, grads, strict=False))  # those of parameters follow
    made = {}
    for i in moving:
        x, slope, row = base[i], slopes.get(i), 0
        if not x.ndim or x.shape[0] < 2:
            continue
        if slope is not None and slope.shape == x.shape and slope.size:
            row = int(np.argmax(np.nan_to_num(np.abs(slope)).reshape(len(slope), -1).sum(axis=1)))
        made[i] = np.broadcast_to(x[row : row + 1], x.shape)
    return made


def _in_one_memory(base: Sequence[Array], wanted: Sequence[bool]) -> Iterator[Point]:
    """One array for two arguments of one shape, as in f(x, x)."""
    moving = [i for i, w in enumerate(wanted) if w and base[i].size]
    for i, j in itertools.pairwise(moving):
        if base[i].shape == base[j].shape:
            arrays = tuple(base[i] if k == j else x for k, x in enumerate(base))
            yield Point(f"arrays {i} and {j} in one memory", arrays)
            return


def _indices(subject: Subject, base: Sequence[Array], rng: np.random.Generator) -> Iterator[Point]:
    """One index of each array of whole numbers is that of its neighbour: a place is named twice, and another one less.

    What is sorted stays so. A permutation stays as it is: a function of one may rely on it.
    """
    found = False
    made = list(_each(base, subject.wanted, lambda x: _jittered(x, rng)))
    for i, x in enumerate(base[: subject.arguments]):
        if x.dtype.kind not in "iu" or x.size < 2 or x.shape[-1] < 2:
            continue
        if _is_permutation(x):
            continue
        rows = x.copy().reshape(-1, x.shape[-1])
        apart = np.argwhere(rows[:, 1:] != rows[:, :-1])
        if not len(apart):
            continue
        row, k = apart[int(rng.integers(len(apart)))]
        rows[row, k + 1] = rows[row, k]
        made[i], found = rows.reshape(x.shape), True
    if found:
        yield Point("an index twice", tuple(made))


def _is_permutation(x: Array) -> bool:
    return x.dtype.kind in "iu" and x.ndim == 1 and x.size > 1 and np.array_equal(np.sort(x), np.arange(x.size))


def _sizes(subject: Subject, base: Sequence[Array], rng: np.random.Generator, elements: int) -> Iterator[Point]:
    """Each size of the arguments' axes replaced by 1, by one more, by 0; then single axes of single arguments by 1."""
    n = subject.arguments
    frozen = {m for x in base[n:] for m in x.shape}
    sizes = sorted({m for x in base[:n] for m in x.shape if m > 0} - frozen)

    def resized(size: int, new: int) -> tuple[Array, ...]:
        shapes = [tuple(new if m == size else m for m in x.shape) for x in base[:n]]
        return tuple(_refilled(x, s, rng) for x, s in zip(base[:n], shapes, strict=True)) + tuple(base[n:])

    for new in (1, None, 0):
        for size in sizes:
            target = size + 1 if new is None else new
            if target == size or (size == 1 and target == 0):
                continue
            if target > size and any(size in x.shape and _is_permutation(x) for x in base[:n]):
                continue  # made longer, it would name a place twice
            arrays = resized(size, target)
            if sum(x.size for x in arrays) <= elements:
                yield Point(f"an axis of size {target} for {size}", arrays)
    for i, x in enumerate(base[:n]):
        if not subject.wanted[i] or len(base[:n]) < 2:
            continue
        for d, m in enumerate(x.shape):
            if m > 1:
                shape = tuple(1 if e == d else k for e, k in enumerate(x.shape))
                yield Point(
                    f"argument {i} broadcast from {shape}",
                    tuple(_refilled(y, shape, rng) if j == i else y for j, y in enumerate(base)),
                    mixed=True,
                )
                break
    for i, x in enumerate(base[:n]):
        # Where a size stands for several things, the leading axis alone: a batch may be empty.
        if (
            subject.wanted[i]
            and x.ndim
            and x.shape[0] > 1
            and sum(m == x.shape[0] for y in base[:n] for m in y.shape) > 1
        ):
            shape = (0, *x.shape[1:])
            yield Point(
                f"argument {i} of shape {shape}",
                tuple(_refilled(y, shape, rng) if j == i else y for j, y in enumerate(base)),
            )


def _refilled(x: Array, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """An array of another shape with numbers like those of x, in another order; ints and flags are repeated."""
    if shape == x.shape:
        return x
    n = math.prod(shape)
    filled = np.resize(np.asarray(x).ravel(), n) if x.size else np.zeros(n, x.dtype)
    filled = filled.reshape(shape)
    if x.dtype.kind != "f":
        return filled
    return _jittered(rng.permuted(filled.astype(np.float64)), rng)
