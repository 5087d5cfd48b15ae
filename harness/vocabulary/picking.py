"""More ops that pick or write elements by position or mask. Positions are parameters: nested tuples of ints or bools.

An op that writes gets every position once at most: which value stays where two are written is promised by nobody.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from harness.programs import Param, Spec
from harness.vocabulary.checks import REQUIRED, Call, Interval, Op, Required, Shape
from harness.vocabulary.moving import with_zero
from harness.vocabulary.trial import by_trial

__all__ = ["ROWS"]

Calls = Callable[[Shape], Iterable[Call]]
_PARTS: Final[tuple[Shape, ...]] = ((2,), (3,), (1,), (2, 2), (1, 3))


def _nested(flat: Sequence[Any], shape: Shape) -> Param:
    if not shape:
        return flat[0]  # type: ignore[no-any-return]
    step = len(flat) // shape[0] if shape[0] else 0
    return tuple(_nested(flat[i * step : (i + 1) * step], shape[1:]) for i in range(shape[0]))


def _drawn(shape: Shape, n: int, seed: int) -> Param:
    rng = random.Random(seed)
    return _nested([rng.randrange(n) for _ in range(math.prod(shape))], shape)


def _masks(shape: Shape) -> list[Param]:
    rng = random.Random(len(shape))
    size = math.prod(shape)
    flats = [[i % 2 == 0 for i in range(size)], [rng.random() < 0.6 for _ in range(size)], [True] * size]
    return [_nested(flat, shape) for flat in flats] if size and shape else []


def _take(shape: Shape) -> Iterable[Call]:
    n = math.prod(shape)
    return [({"index": _drawn(part, n, i)}, ()) for i, part in enumerate(_PARTS)] if n else []


def _take_along_dim(shape: Shape) -> Iterable[Call]:
    return [
        ({"dim": d, "indices": _drawn((*shape[:d], k, *shape[d + 1 :]), shape[d], d + k)}, ())
        for d in range(len(shape))
        for k in (1, 2, 3)
        if 0 not in shape
    ]


def _masked_fill(shape: Shape) -> Iterable[Call]:
    masks = [shape, shape[-1:], (1,) * len(shape), ()]
    return [({"value": v}, (Spec(m, "bool"),)) for m in masks for v in (0.0, -1.5, 2)]


def _masked_select(shape: Shape) -> Iterable[Call]:
    return [({"mask": mask}, ()) for mask in _masks(shape)]


def _masked_scatter(shape: Shape) -> Iterable[Call]:
    n = math.prod(shape)
    return [({"mask": mask}, (Spec(source),)) for mask in _masks(shape) for source in ((n,), shape, (n + 1,))]


def _slices(*, repeats: bool, more: Sequence[Mapping[str, Param]] = ({},)) -> Calls:
    """A vector of positions along each dim, and a source with as many slices."""

    def calls(shape: Shape) -> Iterable[Call]:
        found: list[Call] = []
        for d, n in enumerate(shape):
            picks: list[tuple[int, ...]] = [(0,), tuple(range(n))[::-1], (n - 1, 0)[: min(n, 2)]] if n else []
            picks += [(0, 0), (n - 1, 0, n - 1)] if n and repeats else []
            for place, index in enumerate(picks):
                source = Spec((*shape[:d], len(index), *shape[d + 1 :]))
                found += [
                    ({"dim": d if place % 2 else d - len(shape), "index": index, **row}, (source,)) for row in more
                ]
        return found

    return calls


def _index_fill(shape: Shape) -> Iterable[Call]:
    return [
        ({"dim": d, "index": index, "value": v}, ())
        for d, n in enumerate(shape)
        for index in ((0,), (0, n - 1))
        for v in (0.0, 1.5)
        if n
    ]


def _index_put(shape: Shape) -> Iterable[Call]:
    found: list[Call] = []
    if not shape or 0 in shape:
        return found
    n = shape[0]
    rest = shape[1:]
    for index, adds in (((0,), False), (tuple(range(n)), False), ((n - 1, 0, n - 1), True), ((0, 0), True)):
        values = [(len(index), *rest), rest, ()]
        found += [({"indices": (index,), "accumulate": adds}, (Spec(v),)) for v in values]
    if rest:
        pairs = ((0, n - 1), (0, rest[0] - 1))
        found += [({"indices": pairs, "accumulate": True}, (Spec((2, *rest[1:])),))]
        found += [({"indices": ((0,), (rest[0] - 1,)), "accumulate": False}, (Spec((1, *rest[1:])),))]
    return found


def _put(shape: Shape) -> Iterable[Call]:
    n = math.prod(shape)
    rows: list[tuple[tuple[int, ...], bool]] = [((0,), False), ((n - 1, 0)[: min(n, 2)], False), ((0, n - 1, 0), True)]
    return [({"index": i, "accumulate": adds}, (Spec((len(i),)),)) for i, adds in rows] if n else []


def _along(*, repeats: bool, more: Sequence[Mapping[str, Param]] = ({},)) -> Calls:
    """Positions as `gather` takes them, and a source of their shape: PyTorch has no gradient to a larger one."""

    def calls(shape: Shape) -> Iterable[Call]:
        if 0 in shape or not shape:
            return []
        found: list[Call] = []
        for d, n in enumerate(shape):
            part = (*shape[:d], 1, *shape[d + 1 :])
            whole = [_permuted(shape, d), _drawn(shape, n, d)] if repeats else [_permuted(shape, d)]
            for row in more:
                found += [({"dim": d, "index": index, **row}, (Spec(shape),)) for index in whole]
                found.append(({"dim": d - len(shape), "index": _drawn(part, n, 7 + d), **row}, (Spec(part),)))
                found.append(({"dim": d, "index": _drawn((1,) * len(shape), n, d), **row}, (Spec((1,) * len(shape)),)))
        return found

    return calls


def _permuted(shape: Shape, dim: int) -> Param:
    """Positions of every element of a shape, no two alike: each lane in another order."""
    flat = []
    for i in range(math.prod(shape)):
        place, rest = list[int](), i
        for n in reversed(shape):
            place.insert(0, rest % n)
            rest //= n
        flat.append((place[dim] + sum(place[:dim] + place[dim + 1 :])) % shape[dim])
    return _nested(flat, shape)


_REDUCTIONS: Final = [
    {"reduce": name, "include_self": own} for own in (True, False) for name in ("sum", "mean", "prod", "amax", "amin")
]


def _added(tensors: Sequence[Interval], params: Mapping[str, Param], shape: Shape, out: Shape) -> Interval:
    (low, high), (least, most) = tensors
    n = 3 * math.prod(shape)
    return min(low, low + n * least), max(high, high + n * most)


def _multiplied(tensors: Sequence[Interval], params: Mapping[str, Param], shape: Shape, out: Shape) -> Interval | None:
    if params["reduce"] != "prod":
        return _added(tensors, params, shape, out)
    largest = max(1.0, *(abs(end) for interval in tensors for end in interval))
    n = max(shape) + 1
    return (-(largest**n), largest**n) if n * math.log2(largest + 1) < 60 else None


def _row(
    name: str,
    calls: Calls,
    params: Mapping[str, Param | Required],
    *more: str,
    values: Any = None,
    kinds: tuple[str, ...] = ("float",),
    differentiable: tuple[int, ...] | None = None,
) -> Op:
    return Op(
        name,
        "call",
        ("x", *more),
        by_trial(name, *kinds),
        params,
        calls=calls,
        values=values,
        differentiable=differentiable,
    )


_DIM: Final[Mapping[str, Param | Required]] = {"dim": REQUIRED, "index": REQUIRED}

ROWS: Final = (
    _row("take", _take, {"index": REQUIRED}),
    _row("take_along_dim", _take_along_dim, {"indices": REQUIRED, "dim": REQUIRED}),
    _row(
        "masked_fill",
        _masked_fill,
        {"value": REQUIRED},
        "mask",
        values=lambda tensors, params, shape, out: with_zero(tensors[:1], params, shape, out),
        kinds=("float", "bool"),
        differentiable=(0,),
    ),
    _row("masked_select", _masked_select, {"mask": REQUIRED}),
    _row("masked_scatter", _masked_scatter, {"mask": REQUIRED}, "source"),
    _row(
        "index_add",
        _slices(repeats=True, more=({}, {"alpha": -1.5})),
        {**_DIM, "alpha": 1},
        "source",
        values=lambda tensors, params, shape, out: _added(
            (tensors[0], _scaled(tensors[1], params.get("alpha", 1))), params, shape, out
        ),
    ),
    _row("index_copy", _slices(repeats=False), _DIM, "source"),
    _row("index_fill", _index_fill, {**_DIM, "value": REQUIRED}, values=with_zero),
    _row("index_put", _index_put, {"indices": REQUIRED, "accumulate": False}, "values", values=_added),
    _row("put", _put, {"index": REQUIRED, "accumulate": False}, "source", values=_added),
    _row("scatter", _along(repeats=False), _DIM, "src"),
    _row("scatter_add", _along(repeats=True), _DIM, "src", values=_added),
    _row(
        "scatter_reduce",
        _along(repeats=True, more=_REDUCTIONS),
        {**_DIM, "reduce": REQUIRED, "include_self": True},
        "src",
        values=_multiplied,
    ),
)


def _scaled(interval: Interval, factor: Param) -> Interval:
    ends = [end * factor for end in interval] if isinstance(factor, int | float) else [*interval]
    return min(ends), max(ends)
