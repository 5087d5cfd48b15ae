"""Products that sum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from harness.programs import Param, Spec
from harness.vocabulary.checks import (
    Arg,
    Op,
    ProgramError,
    broadcast,
    tensor_of,
)

__all__ = ["ROWS"]


def _matmul(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    a, b = tensor_of(args, 0, "a").shape, tensor_of(args, 1, "b").shape
    if not a or not b:
        raise ProgramError(f"a has shape {a}, b has shape {b}; both need at least 1 axis")
    if a[-1] != (b[-2] if len(b) > 1 else b[0]):
        raise ProgramError(f"a has shape {a}, b has shape {b}: the inner sizes differ")
    return Spec(broadcast(a[:-2], b[:-2]) + a[-2:-1] + (b[-1:] if len(b) > 1 else ()))


def _vectors(args: Sequence[Arg]) -> tuple[int, int]:
    a, b = tensor_of(args, 0, "a").shape, tensor_of(args, 1, "b").shape
    if len(a) != 1 or len(b) != 1:
        raise ProgramError(f"a has shape {a}, b has shape {b}, want two vectors")
    return a[0], b[0]


def _dot(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    m, n = _vectors(args)
    if m != n:
        raise ProgramError(f"a has shape ({m},), b has shape ({n},): the sizes differ")
    return Spec(())


def _outer(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    return Spec(_vectors(args))


# --- the table

_AB = ("a", "b")

ROWS: Final = (
    Op("matmul", "contraction", _AB, _matmul),
    Op("dot", "contraction", _AB, _dot),
    Op("outer", "contraction", _AB, _outer),
)
