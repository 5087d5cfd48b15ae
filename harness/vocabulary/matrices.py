"""Solving, inverting and factorising.

A drawn matrix may be singular, which is an error and no derivative. So these ops have two parameters that PyTorch has not,
neutral by default: `plus` adds so many times the identity first, `gram` multiplies the matrix by its transpose before. The
generator asks for a `plus` that makes the matrix dominant by its diagonal.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from harness.programs import Param, Spec
from harness.vocabulary.checks import (
    REQUIRED,
    Arg,
    Call,
    Interval,
    Op,
    ProgramError,
    Required,
    Shape,
    broadcast,
    flag,
    integer,
    number,
    tensor_of,
)

__all__ = ["ROWS"]

PLUS: Final = 8.0


def _largest(x: Interval) -> float:
    return max(abs(x[0]), abs(x[1]))


def _matrix(args: Sequence[Arg], params: Mapping[str, Param], name: str) -> Shape:
    shape = tensor_of(args, 0, name).shape
    number(params["plus"], "plus")
    if len(shape) < 2 or (shape[-1] != shape[-2] and not params.get("gram")):
        raise ProgramError(f"{name} has shape {shape}, want square matrices")
    return (*shape[:-1], shape[-2])


def _same_matrix(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    return Spec(_matrix(args, params, "A"))


def _factor(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    flag(params["gram"], "gram")
    flag(params["upper"], "upper")
    return Spec(_matrix(args, params, "A"))


def _one_number(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    return Spec(_matrix(args, params, "A")[:-2])


def _power(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    integer(params["n"], "n")
    return Spec(_matrix(args, params, "A"))


def _solution(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    a, b = _matrix(args, params, "A"), tensor_of(args, 1, "B").shape
    if "upper" in params:
        flag(params["upper"], "upper")
    elif len(b) == 1 or (len(a) - 1 == len(b) and b == a[:-1]):
        if b[-1] != a[-1]:
            raise ProgramError(f"A has shape {a}, B has shape {b}: the sizes differ")
        return Spec(broadcast(a[:-2], b[:-1]) + b[-1:])
    if len(b) < 2 or b[-2] != a[-1]:
        raise ProgramError(f"A has shape {a}, B has shape {b}: the sizes differ")
    return Spec(broadcast(a[:-2], b[:-2]) + b[-2:])


def _is_square(shape: Shape) -> bool:
    return len(shape) >= 2 and shape[-1] == shape[-2] > 0 and 0 not in shape


def _calls(*rows: dict[str, Param]) -> Callable[[Shape], Iterable[Call]]:
    def listed(shape: Shape) -> Iterable[Call]:
        return [({"plus": PLUS, **row}, ()) for row in rows] if _is_square(shape) else []

    return listed


def _gram_calls(shape: Shape) -> Iterable[Call]:
    rows: list[dict[str, Param]] = [{}, {"upper": True}]
    return [({"plus": 1.0, "gram": True, **row}, ()) for row in rows] if len(shape) >= 2 and 0 not in shape else []


def _solve_calls(*rows: dict[str, Param]) -> Callable[[Shape], Iterable[Call]]:
    def listed(shape: Shape) -> Iterable[Call]:
        if not _is_square(shape):
            return []
        n = shape[-1]
        rights: list[Shape] = [(n, 1), (n, 2), (*shape[:-2], n, 2)]
        if "upper" not in rows[0]:
            rights += [(n,), shape[:-1]]
        return [({"plus": PLUS, **row}, (Spec(right),)) for row in rows for right in rights]

    return listed


def _dominant(size: Callable[[float, int], float]) -> Callable[..., Interval | None]:
    """Values up to size(largest entry, n), where the diagonal is twice all else in its row."""

    def values(intervals: Sequence[Interval], params: Mapping[str, Param], shape: Shape, out: Shape) -> Interval | None:
        largest, n = _largest(intervals[0]), shape[-1]
        if largest * n > PLUS / 1.3:
            return None
        top = size(largest, n) * (_largest(intervals[1]) if len(intervals) > 1 else 1.0)
        return -top, top

    return values


def _gram_values(
    intervals: Sequence[Interval], params: Mapping[str, Param], shape: Shape, out: Shape
) -> Interval | None:
    top = math.sqrt(_largest(intervals[0]) ** 2 * shape[-1] + 1.0)
    return -top, top


_A: Final = ("A",)
_AB: Final = ("A", "B")
_PLUS: Final[Mapping[str, Param | Required]] = {"plus": 0.0}

ROWS: Final = (
    Op("solve", "call", _AB, _solution, _PLUS, calls=_solve_calls({}), values=_dominant(lambda x, n: float(n))),
    Op("inv", "call", _A, _same_matrix, _PLUS, calls=_calls({}), values=_dominant(lambda x, n: 1.0)),
    Op("det", "call", _A, _one_number, _PLUS, calls=_calls({}), values=_dominant(lambda x, n: (PLUS + n * x) ** n)),
    Op("logabsdet", "call", _A, _one_number, _PLUS, calls=_calls({}), values=_dominant(lambda x, n: 3.0 * n)),
    Op(
        "cholesky",
        "call",
        _A,
        _factor,
        {"upper": False, "gram": False, **_PLUS},
        calls=_gram_calls,
        values=_gram_values,
    ),
    Op(
        "solve_triangular",
        "call",
        _AB,
        _solution,
        {"upper": REQUIRED, **_PLUS},
        calls=_solve_calls({"upper": True}, {"upper": False}),
        values=_dominant(lambda x, n: float(n)),
    ),
    Op(
        "matrix_power",
        "call",
        _A,
        _power,
        {"n": REQUIRED, **_PLUS},
        calls=_calls({"n": 2, "plus": 0.0}, {"n": 3, "plus": 0.0}, {"n": 1, "plus": 0.0}, {"n": -1}),
        values=lambda intervals, params, shape, out: (
            _dominant(lambda x, n: 1.0)(intervals, params, shape, out)
            if params["n"] == -1
            else (lambda top: (-top, top))(max(_largest(intervals[0]) * shape[-1], 1.0) ** 3)
        ),
    ),
)
