"""Losses, distances, normalisations and attention."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from harness.programs import Param, Spec
from harness.vocabulary.checks import REQUIRED, Call, Interval, Op, Required, Shape, like_reference

__all__ = ["LOSSES", "ROWS"]

Listed = Callable[[Shape], Iterable[Call]]
Rows = tuple[dict[str, Param], ...]

_REDUCTIONS: Final[Rows] = ({}, {"reduction": "sum"}, {"reduction": "none"})


def _with(specs: Sequence[Shape | Spec], row: Mapping[str, Param]) -> Call:
    return row, tuple(s if isinstance(s, Spec) else Spec(s) for s in specs)


def _combined(*parts: Rows) -> Rows:
    return tuple({k: v for part in row for k, v in part.items()} for row in itertools.product(*parts))


def _beside(*domains: str, rows: Rows = ()) -> Listed:
    """Calls with one more tensor of the first one's shape for each domain, with every reduction."""

    def listed(shape: Shape) -> Iterable[Call]:
        if 0 in shape:
            return []
        others = [Spec(shape, "float", domain) for domain in domains]
        return [_with(others, row) for row in _combined(_REDUCTIONS, rows or ({},))]

    return listed


def _largest(x: Interval) -> float:
    return max(abs(x[0]), abs(x[1]))


def _squares(intervals: Sequence[Interval], params: Mapping[str, Param], shape: Shape, out: Shape) -> Interval:
    """Below the square of the sum of all, times the number of elements."""
    size = (sum(map(_largest, intervals)) + 2.0) ** 2 * max(math.prod(shape), 1)
    return -size, size


def _exponentials(
    intervals: Sequence[Interval], params: Mapping[str, Param], shape: Shape, out: Shape
) -> Interval | None:
    size = max(map(_largest, intervals))
    top = math.exp(size) * (1 + size) * (1 + size) * max(math.prod(shape), 1) if size < 6.0 else math.inf
    return (-top, top) if top < 1e4 else None


def _of_variances(
    intervals: Sequence[Interval], params: Mapping[str, Param], shape: Shape, out: Shape
) -> Interval | None:
    if intervals[2][0] < 1e-2:
        return None
    size = (sum(map(_largest, intervals)) + 5.0) ** 2 * max(math.prod(shape), 1) / intervals[2][0]
    return -size, size


def _of_targets(
    intervals: Sequence[Interval], params: Mapping[str, Param], shape: Shape, out: Shape
) -> Interval | None:
    return (
        _squares(intervals, params, shape, out)
        if params.get("log_target") is None and intervals[1][0] >= 1e-3
        else (_exponentials(intervals, params, shape, out) if params.get("log_target") else None)
    )


def _class_calls(rows: Rows) -> Listed:
    """Classes for the elements of (c,), (n, c) or (n, c, d)."""

    def listed(shape: Shape) -> Iterable[Call]:
        if not shape or 0 in shape:
            return []
        c = shape[1] if len(shape) > 1 else shape[0]
        kept = shape[:1] + shape[2:] if len(shape) > 1 else ()
        targets = [_nested(kept, [(3 * i + k) % c for i in range(math.prod(kept))]) for k in range(2)]
        found: list[Call] = [({"target": t, **row}, ()) for row in _combined(_REDUCTIONS, rows) for t in targets]
        return found + [({"target": targets[0], "ignore_index": 0, **row}, ()) for row in _REDUCTIONS[1:]]

    return listed


def _nested(shape: Shape, flat: Sequence[int]) -> Param:
    if not shape:
        return flat[0]
    step = len(flat) // shape[0]
    return tuple(_nested(shape[1:], flat[i * step : (i + 1) * step]) for i in range(shape[0]))


def _logarithms(intervals: Sequence[Interval], params: Mapping[str, Param], shape: Shape, out: Shape) -> Interval:
    low, high = intervals[0]
    size = (high - low + math.log(max(math.prod(shape), 1)) + _largest(intervals[0])) * max(math.prod(shape), 1)
    return -size, size


def _paired_rows(rows: Rows, others: int = 1) -> Listed:
    """One or two more tensors of the same shape, of at least one axis; reductions are up to `rows`."""

    def listed(shape: Shape) -> Iterable[Call]:
        return [_with([shape] * others, row) for row in rows] if shape and 0 not in shape else []

    return listed


def _dim_rows(paired: bool) -> Listed:
    def listed(shape: Shape) -> Iterable[Call]:
        if not shape or 0 in shape:
            return []
        return [_with([shape] * int(paired), {"dim": d}) for d in (*range(len(shape)), -1)]

    return listed


def _around_one(intervals: Sequence[Interval], params: Mapping[str, Param], shape: Shape, out: Shape) -> Interval:
    return -1.0, 1.0


# --- normalisations


def _trailing_calls(bias: bool) -> Listed:
    def listed(shape: Shape) -> Iterable[Call]:
        if not shape or 0 in shape:
            return []
        found: list[Call] = []
        for k in range(1, min(len(shape), 2) + 1):
            last = shape[-k:]
            if math.prod(last) == 1:
                continue
            for more in ((), (last,), *([(last, last)] if bias else [])):
                found += [_with(more, {"normalized_shape": last, **row}) for row in ({}, {"eps": 0.5})]
        return found

    return listed


def _channel_calls(count: Callable[[Shape], int], rows: Callable[[int], Rows]) -> Listed:
    """A weight and a bias a channel, or none, for (n, c, ...) where enough elements share their statistics."""

    def listed(shape: Shape) -> Iterable[Call]:
        if len(shape) < 2 or 0 in shape or count(shape) < 2:
            return []
        c = shape[1]
        return [_with(more, row) for row in rows(c) for more in ((), ((c,), (c,)), ((c,),))]

    return listed


def _normal(intervals: Sequence[Interval], params: Mapping[str, Param], shape: Shape, out: Shape) -> Interval:
    """At most the root of the number of elements, times the weight, plus the bias."""
    size = math.sqrt(max(math.prod(shape), 1))
    for x in intervals[1:2]:
        size *= max(_largest(x), 1.0)
    for x in intervals[2:]:
        size += _largest(x)
    return -size, size


def _attention_calls(shape: Shape) -> Iterable[Call]:
    if len(shape) < 2 or 0 in shape:
        return []
    lead, d = shape[:-2], shape[-1]
    found: list[Call] = []
    for m, v in ((1, 1), (2, d), (3, 2)):
        pair = [(*lead, m, d), (*lead, m, v)]
        found += [_with(pair, {}), _with(pair, {"scale": 0.5}), _with([*pair, (shape[-2], m)], {})]
    return found


def _attended(intervals: Sequence[Interval], params: Mapping[str, Param], shape: Shape, out: Shape) -> Interval | None:
    scores = _largest(intervals[0]) * _largest(intervals[1]) * shape[-1]
    return intervals[2] if scores < 100.0 else None


# --- the table


def _call(
    name: str,
    tensors: tuple[str, ...],
    calls: Listed,
    params: Mapping[str, Param | Required] = MappingProxyType({}),
    values: Callable[..., Interval | None] | None = _squares,
    *,
    optional: int = 0,
    refuses: bool = False,
) -> Op:
    result = like_reference(name, *tensors)
    return Op(name, "call", tensors, result, params, calls=calls, values=values, optional=optional, refuses=refuses)


_IT: Final = ("input", "target")
_MEAN: Final[Mapping[str, Param | Required]] = {"reduction": "mean"}
_HALVES: Final[Rows] = ({}, {"beta": 0.5}, {"beta": 2.0})
_TRIPLETS: Final = _combined(_REDUCTIONS, ({}, {"margin": 0.5, "swap": True}, {"p": 1.0}))

# What every framework's table spells as PyTorch does, in torch.nn.functional.
LOSSES: Final = (
    "mse_loss l1_loss smooth_l1_loss huber_loss binary_cross_entropy_with_logits kl_div "
    "poisson_nll_loss gaussian_nll_loss margin_ranking_loss triplet_margin_loss pairwise_distance "
    "normalize cosine_similarity layer_norm rms_norm group_norm scaled_dot_product_attention"
).split()

ROWS: Final = (
    _call("mse_loss", _IT, _beside("real"), _MEAN),
    _call("l1_loss", _IT, _beside("real"), _MEAN),
    _call("smooth_l1_loss", _IT, _beside("real", rows=_HALVES), {**_MEAN, "beta": 1.0}),
    _call("huber_loss", _IT, _beside("real", rows=({}, {"delta": 0.5}, {"delta": 2.0})), {**_MEAN, "delta": 1.0}),
    _call(
        "cross_entropy",
        ("input",),
        _class_calls(({}, {"label_smoothing": 0.25})),
        {"target": REQUIRED, "ignore_index": -100, **_MEAN, "label_smoothing": 0.0},
        _logarithms,
    ),
    _call(
        "nll_loss", ("input",), _class_calls(({},)), {"target": REQUIRED, "ignore_index": -100, **_MEAN}, _logarithms
    ),
    _call("binary_cross_entropy_with_logits", _IT, _beside("unit"), _MEAN),
    _call(
        "kl_div", _IT, _beside("positive", rows=({}, {"log_target": True})), {**_MEAN, "log_target": False}, _of_targets
    ),
    _call("poisson_nll_loss", _IT, _beside("positive"), _MEAN, _exponentials),
    _call(
        "gaussian_nll_loss",
        ("input", "target", "var"),
        _beside("real", "positive", rows=({}, {"full": True})),
        {"full": False, "eps": 1e-6, **_MEAN},
        _of_variances,
        refuses=True,
    ),
    _call(
        "margin_ranking_loss",
        ("input1", "input2", "target"),
        _beside("real", "real", rows=({}, {"margin": 0.5})),
        {"margin": 0, **_MEAN},
    ),
    _call(
        "triplet_margin_loss",
        ("anchor", "positive", "negative"),
        _paired_rows(_TRIPLETS, 2),
        {"margin": 1.0, "p": 2.0, "eps": 1e-6, "swap": False, **_MEAN},
    ),
    _call(
        "pairwise_distance",
        ("x1", "x2"),
        _paired_rows(({}, {"p": 1.0}, {"p": 3.0}, {"keepdim": True})),
        {"p": 2.0, "eps": 1e-6, "keepdim": False},
    ),
    _call("normalize", ("input",), _dim_rows(False), {"p": 2.0, "dim": 1, "eps": 1e-12}, _around_one),
    _call("cosine_similarity", ("x1", "x2"), _dim_rows(True), {"dim": 1, "eps": 1e-8}, _around_one),
    _call(
        "layer_norm",
        ("input", "weight", "bias"),
        _trailing_calls(True),
        {"normalized_shape": REQUIRED, "eps": 1e-5},
        _normal,
        optional=2,
    ),
    _call(
        "rms_norm",
        ("input", "weight"),
        _trailing_calls(False),
        {"normalized_shape": REQUIRED, "eps": None},
        _normal,
        optional=1,
    ),
    _call(
        "batch_norm",
        ("input", "weight", "bias"),
        _channel_calls(lambda s: math.prod(s) // s[1], lambda c: ({}, {"eps": 0.5})),
        {"eps": 1e-5},
        _normal,
        optional=2,
    ),
    _call(
        "instance_norm",
        ("input", "weight", "bias"),
        _channel_calls(lambda s: math.prod(s[2:]), lambda c: ({}, {"eps": 0.5})),
        {"eps": 1e-5},
        _normal,
        optional=2,
    ),
    _call(
        "group_norm",
        ("input", "weight", "bias"),
        _channel_calls(lambda s: math.prod(s[2:]), lambda c: tuple({"num_groups": g} for g in (1, c))),
        {"num_groups": REQUIRED, "eps": 1e-5},
        _normal,
        optional=2,
    ),
    _call(
        "scaled_dot_product_attention",
        ("query", "key", "value", "attn_mask"),
        _attention_calls,
        {"scale": None},
        _attended,
        optional=1,
    ),
)
