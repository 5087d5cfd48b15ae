"""Activations: elementwise functions of one tensor, most with parameters, and `glu` and `prelu`, which look at an axis."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from harness.programs import Param, Spec
from harness.vocabulary.checks import (
    Arg,
    Call,
    Interval,
    Op,
    ProgramError,
    Shape,
    axis_of,
    number,
    tensor_of,
)

__all__ = ["ROWS", "called", "falls_and_rises"]


def _same(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    for name, value in params.items():
        if name != "approximate":
            number(value, name)
    return Spec(tensor_of(args, 0, "x").shape)


def _gelu(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    if params["approximate"] not in ("none", "tanh"):
        raise ProgramError(f"approximate is {params['approximate']!r}, want 'none' or 'tanh'")
    return _same(args, params)


def _celu(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    if number(params["alpha"], "alpha") == 0:
        raise ProgramError("alpha is 0, want another number")
    return _same(args, params)


def _shrink(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    if number(params["lambd"], "lambd") < 0:
        raise ProgramError(f"lambd is {params['lambd']!r}, want a number >= 0")
    return _same(args, params)


def _hardtanh(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    if not number(params["min_val"], "min_val") <= number(params["max_val"], "max_val"):
        raise ProgramError(f"min_val is {params['min_val']!r}, above max_val, which is {params['max_val']!r}")
    return _same(args, params)


def _glu(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    shape = tensor_of(args, 0, "x").shape
    dim = axis_of(params["dim"], shape)
    if shape[dim] % 2:
        raise ProgramError(f"axis {dim} of shape {shape} has an odd size")
    return Spec((*shape[:dim], shape[dim] // 2, *shape[dim + 1 :]))


def _prelu(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    shape, weight = tensor_of(args, 0, "x").shape, tensor_of(args, 1, "weight").shape
    channels = shape[1] if len(shape) > 1 else 1
    if len(weight) > 1 or math.prod(weight) not in (1, channels):
        raise ProgramError(f"weight has shape {weight}, want one number, or one for each of {channels} channels")
    return Spec(shape)


# --- the table

Values = Callable[[Sequence[Interval], Mapping[str, Param], Shape, Shape], Interval | None]


def called(*params: Mapping[str, Param]) -> Callable[[Shape], Iterable[Call]]:
    """Calls on the first tensor alone, with one set of parameters or another."""
    return lambda shape: [(row, ()) for row in params]


def falls_and_rises(lowest: float) -> Values:
    """Values of a function between min(x, lowest) and max(x, 0)."""
    return lambda xs, params, shape, out: (min(xs[0][0], lowest), max(xs[0][1], 0.0))


def _between(low: float, high: float) -> Values:
    return lambda xs, params, shape, out: (low, high)


def _glu_calls(shape: Shape) -> Iterable[Call]:
    return [({"dim": d} if d != -1 else {}, ()) for d in (-1, *range(len(shape)))]


def _prelu_calls(shape: Shape) -> Iterable[Call]:
    return [({}, (Spec((1,)),)), ({}, (Spec(()),))] + [({}, (Spec((n,)),)) for n in shape[1:2]]


def _largest_product(xs: Sequence[Interval], params: Mapping[str, Param], shape: Shape, out: Shape) -> Interval:
    size = max(abs(v) for x in xs for v in x)
    return -size * max(size, 1.0), size * max(size, 1.0)


_X = ("x",)

ROWS: Final = (
    *(Op(name, "unary", _X, _same, values=falls_and_rises(-0.4)) for name in ("silu", "mish", "hardswish")),
    Op("relu6", "unary", _X, _same, values=_between(0.0, 6.0)),
    Op("selu", "unary", _X, _same, values=lambda xs, *_: (min(1.06 * xs[0][0], 0.0), max(1.06 * xs[0][1], 0.0))),
    Op("logsigmoid", "unary", _X, _same, values=lambda xs, *_: (min(xs[0][0], 0.0) - 0.7, 0.0)),
    Op("hardsigmoid", "unary", _X, _same, values=_between(0.0, 1.0)),
    Op("softsign", "unary", _X, _same, values=_between(-1.0, 1.0)),
    Op("tanhshrink", "unary", _X, _same),
    Op(
        "leaky_relu", "call", _X, _same, {"negative_slope": 0.01},
        calls=called({}, {"negative_slope": 0.25}, {"negative_slope": -0.5}, {"negative_slope": 0.0}),
    ),
    Op("elu", "call", _X, _same, {"alpha": 1.0}, calls=called({}, {"alpha": 0.5}, {"alpha": 1.7}),
       values=falls_and_rises(-1.7)),
    Op("celu", "call", _X, _celu, {"alpha": 1.0}, calls=called({}, {"alpha": 0.5}, {"alpha": 1.5}),
       values=falls_and_rises(-1.5)),
    Op("gelu", "call", _X, _gelu, {"approximate": "none"}, calls=called({}, {"approximate": "tanh"}),
       values=falls_and_rises(-0.2)),
    Op(
        "softplus", "call", _X, _same, {"beta": 1.0, "threshold": 20.0},
        calls=called({}, {"beta": 2.0}, {"beta": 0.5, "threshold": 1.0}, {"threshold": 30.0}),
        values=lambda xs, *_: (0.0, max(xs[0][1], 0.0) + 1.4),
    ),
    Op("softshrink", "call", _X, _shrink, {"lambd": 0.5}, calls=called({}, {"lambd": 1.0}, {"lambd": 0.0}),
       values=falls_and_rises(0.0)),
    Op("hardshrink", "call", _X, _shrink, {"lambd": 0.5}, calls=called({}, {"lambd": 1.0}, {"lambd": 0.0}),
       values=falls_and_rises(0.0)),
    Op(
        "hardtanh", "call", _X, _hardtanh, {"min_val": -1.0, "max_val": 1.0},
        calls=called({}, {"min_val": -0.5, "max_val": 2.0}, {"min_val": 0.25, "max_val": 0.5}),
        values=_between(-1.0, 2.0),
    ),
    Op(
        "threshold", "call", _X, _same, {"threshold": 0.0, "value": 0.0},
        calls=called({"threshold": 0.5, "value": 1.0}, {"threshold": -0.25, "value": -2.0}),
        values=lambda xs, *_: (min(xs[0][0], -2.0), max(xs[0][1], 1.0)),
    ),
    Op("glu", "call", _X, _glu, {"dim": -1}, calls=_glu_calls, values=lambda xs, *_: (min(xs[0][0], 0.0), max(xs[0][1], 0.0))),
    Op("prelu", "call", ("x", "weight"), _prelu, calls=_prelu_calls, values=_largest_product),
)  # fmt: skip
