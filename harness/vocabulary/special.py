"""Special functions, inverse elementary ones, rounding and remainders: elementwise, under PyTorch's names."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from harness.programs import Param, Spec
from harness.vocabulary.activations import called
from harness.vocabulary.checks import (
    REQUIRED,
    Arg,
    Call,
    Interval,
    Op,
    ProgramError,
    Shape,
    broadcast,
    integer,
    number,
    shapes_of,
    tensor_of,
)

__all__ = ["ROWS"]

Values = Callable[[Sequence[Interval], Mapping[str, Param], Shape, Shape], Interval | None]


def _same(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    return Spec(tensor_of(args, 0, "x").shape)


def _together(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    for i in range(len(args)):
        tensor_of(args, i, f"argument {i}")
    if "value" in params:
        number(params["value"], "value")
    return Spec(broadcast(*shapes_of(args)))


def _logit(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    eps = params["eps"]
    if eps is not None and not 0 <= number(eps, "eps") <= 0.5:
        raise ProgramError(f"eps is {eps!r}, want None or a number from 0 to 1/2")
    return _same(args, params)


def _polygamma(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    if integer(params["n"], "n") < 0:
        raise ProgramError(f"n is {params['n']!r}, want a number >= 0")
    return _same(args, params)


# --- where values lie


def _between(low: float, high: float) -> Values:
    return lambda xs, params, shape, out: (low, high)


def _within(low: float, high: float, f: Callable[[float], float]) -> Values:
    """A monotone f, for arguments inside [low, high] only."""

    def values(xs: Sequence[Interval], params: Mapping[str, Param], shape: Shape, out: Shape) -> Interval | None:
        lo, hi = xs[0]
        if not (low <= lo and hi <= high):
            return None
        return min(f(lo), f(hi)), max(f(lo), f(hi))

    return values


def _if(low: float, high: float, values: Interval) -> Values:
    """Fixed values, for arguments inside [low, high] only."""
    return lambda xs, params, shape, out: values if low <= xs[0][0] and xs[0][1] <= high else None


def _rounded(xs: Sequence[Interval], params: Mapping[str, Param], shape: Shape, out: Shape) -> Interval:
    return xs[0][0] - 1.0, xs[0][1] + 1.0


def _size(x: Interval) -> float:
    return max(abs(x[0]), abs(x[1]))


def _symmetric(f: Callable[..., float]) -> Values:
    """Between -f and f of the largest sizes of the arguments."""

    def values(xs: Sequence[Interval], params: Mapping[str, Param], shape: Shape, out: Shape) -> Interval:
        size = f(*map(_size, xs))
        return -size, size

    return values


def _beside(low: float, f: Callable[..., float]) -> Values:
    """As `_symmetric`, where the second argument is above a number only."""

    def values(xs: Sequence[Interval], params: Mapping[str, Param], shape: Shape, out: Shape) -> Interval | None:
        return _symmetric(f)(xs, params, shape, out) if xs[1][0] >= low else None

    return values


def _addcdiv_values(xs: Sequence[Interval], params: Mapping[str, Param], shape: Shape, out: Shape) -> Interval | None:
    if xs[2][0] < 1e-2:
        return None
    size = _size(xs[0]) + 2 * _size(xs[1]) / xs[2][0]
    return -size, size


# --- how to call them


def _beside_positive(shape: Shape) -> Iterable[Call]:
    """A second tensor that is positive: of the same shape, a number, one axis less or more, one axis of size 1."""
    shapes: list[Shape] = [shape, (), (2, *shape), *([shape[1:], (1, *shape[1:])] if shape else [])]
    return [({}, (Spec(s, "float", "positive"),)) for s in dict.fromkeys(shapes)]


def _with_two(*params: Mapping[str, Param], last: str = "real") -> Callable[[Shape], Iterable[Call]]:
    def calls(shape: Shape) -> Iterable[Call]:
        shapes: list[tuple[Shape, Shape]] = [(shape, shape), (shape, ()), *([(shape[1:], shape)] if shape else [])]
        return [(row, (Spec(a), Spec(b, "float", last))) for row in params for a, b in shapes]

    return calls


# --- the table

_X = ("x",)
_AB = ("a", "b")


def _unary(name: str, values: Values, domain: str = "real") -> Op:
    return Op(name, "unary", _X, _same, values=values, domain=domain)


ROWS: Final = (
    _unary("erf", _between(-1.0, 1.0)),
    _unary("erfc", _between(0.0, 2.0)),
    _unary("erfcx", _if(-2.5, 1e3, (0.0, 1e3))),
    _unary("erfinv", _if(-0.99, 0.99, (-2.0, 2.0)), "unit"),
    _unary("ndtr", _between(0.0, 1.0)),
    _unary("log_ndtr", _if(-30.0, 1e3, (-460.0, 0.0))),
    _unary("lgamma", _if(0.05, 100.0, (-0.13, 365.0)), "positive"),
    _unary("digamma", _if(0.05, 1e3, (-21.0, 7.0)), "positive"),
    _unary("i0", _if(-9.0, 9.0, (1.0, 1.1e3))),
    _unary("i1", _if(-9.0, 9.0, (-1.1e3, 1.1e3))),
    _unary("i0e", _between(0.0, 1.0)),
    _unary("i1e", _between(-0.3, 0.3)),
    _unary("entr", _if(1e-3, 100.0, (-461.0, 0.4)), "positive"),
    _unary("sinc", _if(-50.0, 50.0, (-0.3, 1.0))),
    _unary("asin", _if(-0.99, 0.99, (-1.5, 1.5)), "unit"),
    _unary("acos", _if(-0.99, 0.99, (0.0, 3.1)), "unit"),
    _unary("asinh", _within(-1e4, 1e4, math.asinh)),
    _unary("acosh", _within(1.001, 1e4, math.acosh), "above one"),
    _unary("atanh", _within(-0.99, 0.99, math.atanh), "unit"),
    _unary("log2", _within(1e-3, 1e4, math.log2), "positive"),
    _unary("log10", _within(1e-3, 1e4, math.log10), "positive"),
    _unary("exp2", _within(-40.0, 13.0, math.exp2)),
    _unary("deg2rad", _within(-1e4, 1e4, math.radians)),
    _unary("rad2deg", _within(-100.0, 100.0, math.degrees)),
    *(_unary(name, _rounded) for name in ("floor", "ceil", "trunc", "round")),
    _unary("frac", _between(-1.0, 1.0)),
    Op(
        "logit", "call", _X, _logit, {"eps": None}, calls=called({}, {"eps": 0.125}),
        values=lambda xs, params, shape, out: (
            (-7.0, 7.0) if params.get("eps") is not None or (xs[0][0] >= 0.01 and xs[0][1] <= 0.99) else None
        ),
        domain="fraction",
    ),
    Op("polygamma", "call", _X, _polygamma, {"n": REQUIRED}, calls=called({"n": 1}, {"n": 2}, {"n": 0}),
       values=_if(0.15, 1e3, (-600.0, 50.0)), domain="positive"),
    Op("hypot", "binary", _AB, _together, values=lambda xs, *_: (0.0, _size(xs[0]) + _size(xs[1]))),
    Op("logaddexp2", "binary", _AB, _together,
       values=lambda xs, *_: (max(xs[0][0], xs[1][0]), max(xs[0][1], xs[1][1]) + 1.0)),
    Op("copysign", "binary", _AB, _together, values=lambda xs, *_: (-_size(xs[0]), _size(xs[0]))),
    Op("fmax", "binary", _AB, _together),
    Op("fmin", "binary", _AB, _together),
    Op("fmod", "call", _AB, _together, calls=_beside_positive, values=_beside(1e-2, lambda a, b: b)),
    Op("remainder", "call", _AB, _together, calls=_beside_positive, values=_beside(1e-2, lambda a, b: b)),
    Op("xlogy", "call", _AB, _together, calls=_beside_positive,
       values=_beside(1e-3, lambda a, b: a * (7.0 + math.log1p(b)))),
    Op("xlog1py", "call", _AB, _together, calls=_beside_positive,
       values=_beside(-0.9, lambda a, b: a * (3.0 + math.log1p(b)))),
    Op("lerp", "call", ("x", "end", "weight"), _together, calls=_with_two({}),
       values=_symmetric(lambda x, end, weight: x + weight * (x + end))),
    Op("addcmul", "call", ("x", "a", "b"), _together, {"value": 1}, calls=_with_two({}, {"value": 2}, {"value": -0.5}),
       values=_symmetric(lambda x, a, b: x + 2 * a * b)),
    Op("addcdiv", "call", ("x", "a", "b"), _together, {"value": 1},
       calls=_with_two({}, {"value": 2}, {"value": -0.5}, last="positive"), values=_addcdiv_values),
)  # fmt: skip
