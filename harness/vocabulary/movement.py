"""Ops that move elements: shapes, order, joining, and the cut of `detach`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

from harness.programs import Param, Spec
from harness.vocabulary.checks import (
    KINDS,
    REQUIRED,
    Arg,
    Op,
    ProgramError,
    axes_of,
    axis_of,
    integer,
    integers,
    new_shape,
    same,
    tensor_of,
)

__all__ = ["ROWS"]


def _reshape(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    x, shape = tensor_of(args, 0, "x", KINDS), new_shape(params["shape"])
    if math.prod(shape) != math.prod(x.shape):
        raise ProgramError(f"shape {shape} holds {math.prod(shape)} elements, x has shape {x.shape}")
    return Spec(shape, x.kind)


def _permute(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    x = tensor_of(args, 0, "x", KINDS)
    dims = axes_of(integers(params["dims"], "dims"), x.shape, "dims")
    if len(dims) != len(x.shape):
        raise ProgramError(f"dims is {params['dims']!r}, want every axis of shape {x.shape} once")
    return Spec(tuple(x.shape[d] for d in dims), x.kind)


def _transpose(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    x = tensor_of(args, 0, "x", KINDS)
    i, j = axis_of(params["dim0"], x.shape, "dim0"), axis_of(params["dim1"], x.shape, "dim1")
    shape = list(x.shape)
    shape[i], shape[j] = shape[j], shape[i]
    return Spec(tuple(shape), x.kind)


def _expand(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    x, shape = tensor_of(args, 0, "x", KINDS), new_shape(params["shape"])
    tail = shape[len(shape) - len(x.shape) :] if len(shape) >= len(x.shape) else None
    if tail is None or any(n not in (1, m) for n, m in zip(x.shape, tail, strict=True)):
        raise ProgramError(f"x has shape {x.shape}, which does not expand to shape {shape}")
    return Spec(shape, x.kind)


def _unsqueeze(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    x = tensor_of(args, 0, "x", KINDS)
    dim = axis_of(params["dim"], x.shape, extra=1)
    return Spec((*x.shape[:dim], 1, *x.shape[dim:]), x.kind)


def _squeeze(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    x = tensor_of(args, 0, "x", KINDS)
    dim = axis_of(params["dim"], x.shape)
    return Spec(x.shape[:dim] + x.shape[dim + 1 :], x.kind) if x.shape[dim] == 1 else Spec(x.shape, x.kind)


def _flip(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    x = tensor_of(args, 0, "x", KINDS)
    axes_of(integers(params["dims"], "dims"), x.shape, "dims")
    return Spec(x.shape, x.kind)


def _triangle(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    x = tensor_of(args, 0, "x", KINDS)
    integer(params["diagonal"], "diagonal")
    if len(x.shape) < 2:
        raise ProgramError(f"x has shape {x.shape}, want at least 2 axes")
    return Spec(x.shape, x.kind)


def _joined(args: Sequence[Arg]) -> list[Spec]:
    xs = [tensor_of(args, i, f"xs[{i}]", KINDS) for i in range(len(args))]
    for i, x in enumerate(xs):
        if x.kind != xs[0].kind:
            raise ProgramError(f"xs[{i}] is {x}, xs[0] is {xs[0]}: the kinds differ")
    return xs


def _cat(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    xs = _joined(args)
    first = xs[0].shape
    dim = axis_of(params["dim"], first)
    for i, x in enumerate(xs):
        if len(x.shape) != len(first) or any(d != dim and x.shape[d] != n for d, n in enumerate(first)):
            raise ProgramError(f"xs[{i}] has shape {x.shape}, xs[0] has shape {first}: they differ off axis {dim}")
    return Spec((*first[:dim], sum(x.shape[dim] for x in xs), *first[dim + 1 :]), xs[0].kind)


def _stack(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    xs = _joined(args)
    first = xs[0].shape
    for i, x in enumerate(xs):
        if x.shape != first:
            raise ProgramError(f"xs[{i}] has shape {x.shape}, xs[0] has shape {first}")
    dim = axis_of(params["dim"], first, extra=1)
    return Spec((*first[:dim], len(xs), *first[dim:]), xs[0].kind)


# --- the table

_X = ("x",)

ROWS: Final = (
    Op("reshape", "movement", _X, _reshape, {"shape": REQUIRED}),
    Op("permute", "movement", _X, _permute, {"dims": REQUIRED}),
    Op("transpose", "movement", _X, _transpose, {"dim0": REQUIRED, "dim1": REQUIRED}),
    Op("expand", "movement", _X, _expand, {"shape": REQUIRED}),
    Op("unsqueeze", "movement", _X, _unsqueeze, {"dim": REQUIRED}),
    Op("squeeze", "movement", _X, _squeeze, {"dim": REQUIRED}),
    Op("flip", "movement", _X, _flip, {"dims": REQUIRED}),
    Op("tril", "movement", _X, _triangle, {"diagonal": 0}),
    Op("triu", "movement", _X, _triangle, {"diagonal": 0}),
    Op("clone", "movement", _X, same(KINDS)),
    Op("cat", "join", ("*xs",), _cat, {"dim": 0}),
    Op("stack", "join", ("*xs",), _stack, {"dim": 0}),
    Op("detach", "cut", _X, same(KINDS), differentiable=()),
)
