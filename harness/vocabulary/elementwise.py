"""Elementwise ops: shapes broadcast, a number may stand for a tensor where `scalars` says so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from harness.programs import Param, Scalar, Spec
from harness.vocabulary.checks import (
    Arg,
    Op,
    ProgramError,
    broadcast,
    number,
    shapes_of,
    tensor_of,
)

__all__ = ["ROWS"]


def _unary(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    return Spec(tensor_of(args, 0, "x").shape)


def _unary_keeping_ints(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    x = tensor_of(args, 0, "x", ("float", "int"))
    return Spec(x.shape, x.kind)


def _arithmetic_kind(args: Sequence[Arg], names: Sequence[str]) -> str:
    """float if any tensor is float; int if all are; a float literal among int tensors is refused."""
    tensors = [tensor_of(args, i, name, ("float", "int")) for i, name in enumerate(names) if isinstance(args[i], Spec)]
    if any(t.kind == "float" for t in tensors):
        return "float"
    for arg in args:
        if isinstance(arg, Scalar) and isinstance(arg.value, float):
            raise ProgramError(f"the float literal {arg} meets int tensors only; the result would have a default dtype")
    return "int"


def _arithmetic(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    return Spec(broadcast(*shapes_of(args)), _arithmetic_kind(args, ("a", "b")))


def _float_arithmetic(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    spec = _arithmetic(args, params)
    if spec.kind != "float":
        raise ProgramError("both operands are int; at least one must be a float tensor")
    return spec


def _float_binary(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    return Spec(broadcast(tensor_of(args, 0, "a").shape, tensor_of(args, 1, "b").shape))


def _comparison(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    _arithmetic_kind(args, ("a", "b"))
    return Spec(broadcast(*shapes_of(args)), "bool")


def _where(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    condition = tensor_of(args, 0, "condition", ("bool",))
    return Spec(broadcast(condition.shape, *shapes_of(args[1:])), _arithmetic_kind(args[1:], ("a", "b")))


def _clamp(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    bounds = [number(params[key], key) for key in ("min", "max") if params[key] is not None]
    if not bounds:
        raise ProgramError("min and max are both None; give at least one")
    return Spec(tensor_of(args, 0, "x").shape)


# --- the table

_X = ("x",)
_AB = ("a", "b")
_UNARY = "exp expm1 log log1p sqrt rsqrt reciprocal sin cos tan sinh cosh tanh atan sigmoid"

ROWS: Final = (
    *(Op(name, "unary", _X, _unary) for name in _UNARY.split()),
    *(Op(name, "unary", _X, _unary_keeping_ints) for name in ("neg", "abs", "sign", "square", "relu")),
    *(Op(name, "binary", _AB, _arithmetic, scalars=True) for name in ("add", "sub", "mul")),
    *(Op(name, "binary", _AB, _float_arithmetic, scalars=True) for name in ("div", "pow")),
    *(Op(name, "binary", _AB, _arithmetic) for name in ("maximum", "minimum")),
    *(Op(name, "binary", _AB, _float_binary) for name in ("logaddexp", "atan2")),
    *(
        Op(name, "comparison", _AB, _comparison, scalars=True, differentiable=())
        for name in ("gt", "ge", "lt", "le", "eq", "ne")
    ),
    Op("where", "where", ("condition", "a", "b"), _where, scalars=True, differentiable=(1, 2)),
    Op("clamp", "unary", _X, _clamp, {"min": None, "max": None}),
)
