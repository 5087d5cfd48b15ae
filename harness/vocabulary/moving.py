"""More ops that move elements: diagonals, windows, rotations, repetitions, joining, padding."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from harness.programs import Param, Spec
from harness.vocabulary.checks import REQUIRED, Call, Interval, Op, Required, Shape
from harness.vocabulary.trial import by_trial

__all__ = ["ROWS", "with_zero"]

_X = ("x",)
_XS = ("*xs",)
Calls = Callable[[Shape], Iterable[Call]]


def with_zero(tensors: Sequence[Interval], params: Mapping[str, Param], shape: Shape, out: Shape) -> Interval:
    """Between the smallest and the largest, zero and the numbers among the parameters included."""
    numbers = [float(v) for k, v in params.items() if k == "value" and isinstance(v, int | float)]
    ends = [0.0, *numbers, *(end for interval in tensors for end in interval)]
    return min(ends), max(ends)


def _listed(*rows: dict[str, Param], rank: int = 0) -> Calls:
    """The same calls for every shape of at least that rank; inference leaves out what does not fit."""
    return lambda shape: [(row, ()) for row in rows] if len(shape) >= rank else []


def _diagonal(shape: Shape) -> Iterable[Call]:
    pairs = list(itertools.permutations(range(len(shape)), 2))
    return [({"offset": k, "dim1": a, "dim2": b}, ()) for a, b in [*pairs, (-1, -2)] for k in (0, 1, -1) if pairs]


def _diag_embed(shape: Shape) -> Iterable[Call]:
    rows: list[dict[str, Param]] = [{}, {"offset": 1}, {"offset": -1}, {"dim1": 0, "dim2": -1}, {"dim1": -1, "dim2": 0}]
    return [(row, ()) for row in rows] if 1 <= len(shape) < 3 else []


def _unfold(shape: Shape) -> Iterable[Call]:
    return [
        ({"dimension": d, "size": size, "step": step}, ())
        for d in (*range(len(shape)), -1)
        for size in (1, 2, 3)
        for step in (1, 2)
        if shape and size <= shape[d] and len(shape) < 3
    ]


def _roll(shape: Shape) -> Iterable[Call]:
    rows: list[dict[str, Param]] = [{"shifts": 1}, {"shifts": -1}]
    rows += [{"shifts": k, "dims": d} for d in range(-1, len(shape)) for k in (1, -1, 2, 4) if shape]
    rows += [{"shifts": (1, -1), "dims": (0, 1)}] if len(shape) > 1 else []
    return [(row, ()) for row in rows]


def _rot90(shape: Shape) -> Iterable[Call]:
    planes = [(0, 1), (1, 0), (-1, 0)] if len(shape) > 1 else []
    return [({"k": k, "dims": dims}, ()) for dims in planes for k in (1, 2, 3, -1, 0)]


def _movedim(shape: Shape) -> Iterable[Call]:
    rank = len(shape)
    rows: list[dict[str, Param]] = [
        {"source": a, "destination": b} for a in range(rank) for b in (0, -1) if a != b % rank
    ]
    rows += [{"source": (0, 1), "destination": (1, 0)}] if rank > 1 else []
    return [(row, ()) for row in rows]


def _tile(shape: Shape) -> Iterable[Call]:
    rank = len(shape)
    rows = [(2,), (1, 2), (2, 1), (2, 2), (1,), (2, 1, 2)]
    return [({"dims": times}, ()) for times in rows if rank <= 3 and len(times) <= 3]


def _repeat(shape: Shape) -> Iterable[Call]:
    rows = [(2,), (2, 1), (1, 2), (2, 2), (1, 1, 2), (2, 1, 1), (0, 2)]
    return [({"repeats": times}, ()) for times in rows if len(times) >= len(shape)]


def _repeat_interleave(shape: Shape) -> Iterable[Call]:
    return [({"repeats": k, **more}, ()) for more in ({}, *({"dim": d} for d in range(len(shape)))) for k in (2, 3, 1)]


def _narrow(shape: Shape) -> Iterable[Call]:
    return [
        ({"dim": d, "start": start, "length": n}, ())
        for d in range(len(shape))
        for start in (0, 1)
        for n in (1, 2, 0)
        if start + n <= shape[d]
    ]


def _select(shape: Shape) -> Iterable[Call]:
    return [
        ({"dim": d, "index": i}, ()) for d in (*range(len(shape)), -1) for i in (0, -1, 1) if shape and i < shape[d] > 0
    ]


def _joining(axis: int, *, grows: bool = True) -> Calls:
    """The tensor with itself, with another of its shape, and with one that is longer or shorter along an axis."""

    def calls(shape: Shape) -> Iterable[Call]:
        found: list[Call] = [({}, (Spec(shape),)), ({}, ()), ({}, (Spec(shape), Spec(shape)))]
        if grows and len(shape) > axis:
            found += [({}, (Spec((*shape[:axis], n, *shape[axis + 1 :])),)) for n in (1, 2)]
        return found

    return calls


def _blocks(shape: Shape) -> Iterable[Call]:
    others: list[Shape] = [(2, 1), (1, 2), (2,), ()]
    return (
        [({}, ()), *(({}, (Spec(other),)) for other in others), ({}, (Spec((1, 1)), Spec((2,))))]
        if len(shape) < 3 and 0 not in shape
        else []
    )


def _unflatten(shape: Shape) -> Iterable[Call]:
    sizes: list[tuple[int, ...]] = [(1, -1), (-1, 1), (2, -1), (-1, 2), (2, 2)]
    return [({"dim": d, "sizes": s}, ()) for d in range(len(shape)) for s in sizes if shape and len(shape) < 3]


def _flatten(shape: Shape) -> Iterable[Call]:
    ends = [(0, -1), (0, 1), (1, 2), (1, -1)]
    return [({"start_dim": a, "end_dim": b}, ()) for a, b in ends if len(shape) > 1]


def _broadcast_to(shape: Shape) -> Iterable[Call]:
    grown = itertools.product(*([n, 2, 3] if n == 1 else [n] for n in shape))
    return [({"size": (*lead, *s)}, ()) for s in grown for lead in ((), (2,), (1,), (2, 2)) if len(lead) + len(s) <= 3]


def _pad(shape: Shape) -> Iterable[Call]:
    rows: list[dict[str, Param]] = [{"pad": p} for p in ((1, 0), (1, 2), (-1, 1), (0, -1), (1, 1, 0, 1), (-1, 0, 1, 0))]
    rows += [{"pad": (1, 1), "value": 1.5}, {"pad": (0, 1, 2, 0), "value": -0.5}]
    for mode in ("reflect", "replicate", "circular"):
        rows += [{"pad": p, "mode": mode} for p in ((1, 1), (1, 0), (0, 2), (2, 2), (1, 0, 0, 1))]
    return [(row, ()) for row in rows if 2 * len(shape) >= len(row["pad"]) and 0 not in shape]  # type: ignore[arg-type]


def _row(
    name: str,
    calls: Calls,
    params: Mapping[str, Param | Required] | None = None,
    *,
    tensors: tuple[str, ...] = _X,
    zeros: bool = False,
) -> Op:
    return Op(name, "call", tensors, by_trial(name), params or {}, calls=calls, values=with_zero if zeros else None)


ROWS: Final = (
    _row("diagonal", _diagonal, {"offset": 0, "dim1": 0, "dim2": 1}),
    _row("diag", _listed({}, {"diagonal": 1}, {"diagonal": -1}, rank=1), {"diagonal": 0}, zeros=True),
    _row("diag_embed", _diag_embed, {"offset": 0, "dim1": -2, "dim2": -1}, zeros=True),
    _row("diagflat", _listed({}, {"offset": 1}, {"offset": -1}), {"offset": 0}, zeros=True),
    _row("unfold", _unfold, {"dimension": REQUIRED, "size": REQUIRED, "step": REQUIRED}),
    _row("roll", _roll, {"shifts": REQUIRED, "dims": None}),
    _row("rot90", _rot90, {"k": 1, "dims": (0, 1)}),
    _row("fliplr", _listed({}, rank=2)),
    _row("flipud", _listed({}, rank=1)),
    _row("movedim", _movedim, {"source": REQUIRED, "destination": REQUIRED}),
    _row("tile", _tile, {"dims": REQUIRED}),
    _row("repeat", _repeat, {"repeats": REQUIRED}),
    _row("repeat_interleave", _repeat_interleave, {"repeats": REQUIRED, "dim": None}),
    _row("narrow", _narrow, {"dim": REQUIRED, "start": REQUIRED, "length": REQUIRED}),
    _row("select", _select, {"dim": REQUIRED, "index": REQUIRED}),
    _row("hstack", _joining(1), tensors=_XS),
    _row("vstack", _joining(0), tensors=_XS),
    _row("dstack", _joining(2), tensors=_XS),
    _row("column_stack", _joining(1), tensors=_XS),
    _row("block_diag", _blocks, tensors=_XS, zeros=True),
    _row("unflatten", _unflatten, {"dim": REQUIRED, "sizes": REQUIRED}),
    _row("flatten", _flatten, {"start_dim": 0, "end_dim": -1}),
    _row("ravel", _listed({})),
    _row("broadcast_to", _broadcast_to, {"size": REQUIRED}),
    _row("atleast_2d", _listed({})),
    _row("atleast_3d", _listed({})),
    _row("pad", _pad, {"pad": REQUIRED, "mode": "constant", "value": None}, zeros=True),
)
