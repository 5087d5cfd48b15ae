"""Reductions, and scans that keep the shape."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from harness.programs import Param, Spec
from harness.vocabulary.checks import (
    KINDS,
    NUMBERS,
    REQUIRED,
    Arg,
    Op,
    ProgramError,
    Required,
    Shape,
    axes_of,
    axis_of,
    flag,
    number,
    tensor_of,
)

__all__ = ["ROWS"]


def _reduced(x: Spec, params: Mapping[str, Param]) -> tuple[Shape, Shape]:
    """Return the axes that a reduction sums over and the shape it leaves."""
    keepdim, dim = flag(params["keepdim"], "keepdim"), params["dim"]
    if dim is None:
        if keepdim:
            raise ProgramError("keepdim is True without dim")
        return tuple(range(len(x.shape))), ()
    if dim == ():
        raise ProgramError("dim is (); name the axes or leave dim out")
    dims = axes_of(dim, x.shape)
    if keepdim:
        return dims, tuple(1 if i in dims else n for i, n in enumerate(x.shape))
    return dims, tuple(n for i, n in enumerate(x.shape) if i not in dims)


def _reduction(kinds: Sequence[str] = ("float",), *, empty: bool = True, one_dim: bool = False) -> Callable[..., Spec]:
    """A reduction of tensors of `kinds`; not `empty`: no reduced axis has size 0; `one_dim`: dim is no tuple."""

    def result(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
        x = tensor_of(args, 0, "x", kinds)
        if one_dim and isinstance(params["dim"], tuple):
            raise ProgramError(f"dim is {params['dim']!r}, want an int or None")
        dims, shape = _reduced(x, params)
        if not empty and any(x.shape[d] == 0 for d in dims):
            raise ProgramError(f"it has no value over an axis of size 0 (shape {x.shape}, dim {params['dim']!r})")
        return Spec(shape, "int" if x.kind == "bool" else x.kind)

    return result


def _logsumexp(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    if params["dim"] is None:
        raise ProgramError("dim is None, want an int or a tuple of ints")
    return Spec(_reduced(tensor_of(args, 0, "x"), params)[1])


def _vector_norm(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    x, order = tensor_of(args, 0, "x"), number(params["ord"], "ord")
    dims, shape = _reduced(x, params)
    if (order < 0 or order == math.inf) and any(x.shape[d] == 0 for d in dims):
        raise ProgramError(f"ord {order!r} has no value over an axis of size 0 (shape {x.shape})")
    return Spec(shape)


def _var(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    number(params["correction"], "correction")
    return Spec(_reduced(tensor_of(args, 0, "x"), params)[1])


def _scan(kinds: Sequence[str] = ("float",)) -> Callable[..., Spec]:
    def result(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
        x = tensor_of(args, 0, "x", kinds)
        axis_of(params["dim"], x.shape)
        return Spec(x.shape, x.kind)

    return result


# --- the table

_X = ("x",)
_REDUCE: Final[Mapping[str, Param | Required]] = {"dim": None, "keepdim": False}

ROWS: Final = (
    Op("sum", "reduction", _X, _reduction(KINDS), _REDUCE),
    Op("mean", "reduction", _X, _reduction(), _REDUCE),
    Op("amax", "reduction", _X, _reduction(NUMBERS, empty=False), _REDUCE),
    Op("amin", "reduction", _X, _reduction(NUMBERS, empty=False), _REDUCE),
    Op("prod", "reduction", _X, _reduction(NUMBERS, one_dim=True), _REDUCE),
    Op("logsumexp", "reduction", _X, _logsumexp, {"dim": REQUIRED, "keepdim": False}),
    Op("vector_norm", "reduction", _X, _vector_norm, {"ord": 2.0, **_REDUCE}),
    Op("var", "reduction", _X, _var, {"dim": None, "correction": 1, "keepdim": False}),
    Op("cumsum", "scan", _X, _scan(NUMBERS), {"dim": REQUIRED}),
    Op("softmax", "scan", _X, _scan(), {"dim": REQUIRED}),
    Op("log_softmax", "scan", _X, _scan(), {"dim": REQUIRED}),
)
