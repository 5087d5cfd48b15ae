"""Order statistics, running extremes and further reductions. Each has one result: of those that return indices, the values."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from harness.programs import Param, Spec
from harness.vocabulary.checks import REQUIRED, Call, Interval, Op, Required, Shape
from harness.vocabulary.trial import by_trial

__all__ = ["ROWS"]

_X = ("x",)
_REDUCE: Final[Mapping[str, Param | Required]] = {"dim": None, "keepdim": False}


def _dims(shape: Shape, *, tuples: bool = False, none: bool = True) -> list[dict[str, Param]]:
    """The dims that a reduction of elements can take, simplest first, and some with keepdim."""
    rank = len(shape)
    dims: list[Param] = [*range(rank), *range(-1, -rank - 1, -1)]
    if tuples:
        dims += [c for n in range(2, rank + 1) for c in itertools.combinations(range(rank), n)]
    rows: list[dict[str, Param]] = [{}] if none else []
    rows += [{"dim": d} for d in dims] + [{"dim": d, "keepdim": True} for d in dims]
    return rows


def _length(shape: Shape, dim: Param) -> int:
    if dim is None:
        return math.prod(shape)
    return math.prod(shape[d] for d in (dim if isinstance(dim, tuple) else (dim,)) if isinstance(d, int))


def _plain_calls(shape: Shape, *, tuples: bool = False) -> Iterable[Call]:
    return [(row, ()) for row in _dims(shape, tuples=tuples) if 0 not in shape]


def _any_dims(shape: Shape) -> Iterable[Call]:
    return _plain_calls(shape, tuples=True)


def _along(shape: Shape) -> Iterable[Call]:
    return [({"dim": d}, ()) for d in [*range(len(shape)), *range(-1, -len(shape) - 1, -1)]]


def _std(shape: Shape) -> Iterable[Call]:
    rows = [{**row, **more} for row in _dims(shape, tuples=True) for more in ({}, {"correction": 0})]
    return [(row, ()) for row in rows if 0 not in shape and _length(shape, row.get("dim")) > 1]


def _norms(shape: Shape) -> Iterable[Call]:
    rows = _dims(shape, tuples=True)
    return [({"p": p, **row}, ()) for row in rows for p in (2.0, 1.0, 3.0, math.inf) if 0 not in shape]


def _dist(shape: Shape) -> Iterable[Call]:
    return [({"p": p}, (Spec(shape),)) for p in (2.0, 1.0, 3.0) if 0 not in shape]


def _kthvalue(shape: Shape) -> Iterable[Call]:
    rows = [row for row in _dims(shape, none=False) if 0 not in shape]
    return [({"k": k, **row}, ()) for row in rows for k in (1, 2, 3) if k <= _length(shape, row["dim"])]


def _topk(shape: Shape) -> Iterable[Call]:
    return [
        ({"k": k, "dim": d, "largest": largest}, ())
        for d in (*range(len(shape)), -1)
        for k in (1, 2, 3)
        for largest in (True, False)
        if shape and k <= shape[d]
    ]


def _sort(shape: Shape) -> Iterable[Call]:
    return [({"dim": d, **more}, ()) for d in (*range(len(shape)), -1) for more in ({}, {"descending": True}) if shape]


def _quantile(shape: Shape) -> Iterable[Call]:
    rows = [row for row in _dims(shape) if 0 not in shape]
    return [({"q": q, **row}, ()) for row in rows for q in (0.5, 0.25, 0.9, 0.0, 1.0)]


def _plain(shape: Shape) -> Iterable[Call]:
    return [({}, ())]


def _matrix(shape: Shape) -> Iterable[Call]:
    return [({}, ())] if len(shape) == 2 else []


# -- where the values lie


def _spread(tensors: Sequence[Interval], params: Mapping[str, Param], shape: Shape, out: Shape) -> Interval:
    return 0.0, tensors[0][1] - tensors[0][0]


def _summed(tensors: Sequence[Interval], params: Mapping[str, Param], shape: Shape, out: Shape) -> Interval:
    n = max(math.prod(shape) // max(math.prod(out), 1), 1)
    low, high = tensors[0]
    return min(low, n * low), max(high, n * high)


def _sized(tensors: Sequence[Interval], params: Mapping[str, Param], shape: Shape, out: Shape) -> Interval:
    return 0.0, sum(max(abs(low), abs(high)) for low, high in tensors) * max(math.prod(shape), 1)


def _multiplied(tensors: Sequence[Interval], params: Mapping[str, Param], shape: Shape, out: Shape) -> Interval | None:
    dim = params["dim"]
    n = shape[dim] if isinstance(dim, int) and shape else 1
    largest = max(abs(tensors[0][0]), abs(tensors[0][1]), 1.0)
    return (-(largest**n), largest**n) if n * math.log2(largest + 1) < 60 else None


# -- the table

ROWS: Final = (
    *(Op(name, "call", _X, by_trial(name), _REDUCE, calls=_plain_calls) for name in ("max", "min", "median")),
    Op(
        "std", "call", _X, by_trial("std"), {"dim": None, "correction": 1, "keepdim": False}, calls=_std, values=_spread
    ),
    Op("nansum", "call", _X, by_trial("nansum"), _REDUCE, calls=_any_dims, values=_summed),
    Op("nanmean", "call", _X, by_trial("nanmean"), _REDUCE, calls=_any_dims),
    Op("norm", "call", _X, by_trial("norm"), {"p": 2.0, **_REDUCE}, calls=_norms, values=_sized),
    Op("dist", "call", ("x", "other"), by_trial("dist"), {"p": 2.0}, calls=_dist, values=_sized),
    Op("trace", "call", _X, by_trial("trace"), calls=_matrix, values=_summed),
    Op("kthvalue", "call", _X, by_trial("kthvalue"), {"k": REQUIRED, "dim": -1, "keepdim": False}, calls=_kthvalue),
    Op("topk", "call", _X, by_trial("topk"), {"k": REQUIRED, "dim": -1, "largest": True}, calls=_topk),
    Op("sort", "call", _X, by_trial("sort"), {"dim": -1, "descending": False}, calls=_sort),
    Op("msort", "call", _X, by_trial("msort"), calls=lambda shape: _plain(shape) if shape else []),
    Op("quantile", "call", _X, by_trial("quantile"), {"q": REQUIRED, **_REDUCE}, calls=_quantile),
    Op("cumprod", "call", _X, by_trial("cumprod"), {"dim": REQUIRED}, calls=_along, values=_multiplied),
    *(Op(name, "call", _X, by_trial(name), {"dim": REQUIRED}, calls=_along) for name in ("cummax", "cummin")),
)
