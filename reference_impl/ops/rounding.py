"""Rounding, remainders, signs and maxima that pass over nan. Where a function jumps its derivative is that beside the jump."""

from __future__ import annotations

from typing import Any

import numpy as np

from reference_impl.ops.elementwise import eq, ge, le, logical_or, ne, sign, where, zeros_like
from reference_impl.primitives import ELEMENTWISE, primitive

__all__ = ["ceil", "copysign", "floor", "fmax", "fmin", "fmod", "remainder", "round_", "trunc"]


def _kept(function: Any, x: Any) -> Any:
    """Return the function of floats; integers are round already."""
    x = np.asarray(x)
    return function(x) if x.dtype.kind == "f" else np.array(x)


@primitive(ELEMENTWISE, vjps=[lambda ct: zeros_like(ct)], kinks="integers: 0")
def floor(x: Any) -> Any:
    """The largest integer not above x; its derivative is 0 everywhere."""
    return _kept(np.floor, x)


@primitive(ELEMENTWISE, vjps=[lambda ct: zeros_like(ct)], kinks="integers: 0")
def ceil(x: Any) -> Any:
    """The smallest integer not below x; its derivative is 0 everywhere."""
    return _kept(np.ceil, x)


@primitive(ELEMENTWISE, vjps=[lambda ct: zeros_like(ct)], kinks="integers: 0")
def trunc(x: Any) -> Any:
    """x without its fraction; its derivative is 0 everywhere."""
    return _kept(np.trunc, x)


@primitive(ELEMENTWISE, vjps=[lambda ct: zeros_like(ct)], kinks="halves: 0")
def round_(x: Any) -> Any:
    """The integer nearest to x, the even one of two; its derivative is 0 everywhere."""
    return _kept(np.rint, x)


@primitive(
    ELEMENTWISE,
    vjps=[lambda ct: ct, lambda ct, a, b: -ct * trunc(a / b)],
    domain="b != 0",
    kinks="a / b an integer: as beside it, away from 0",
)
def fmod(a: Any, b: Any) -> Any:
    """a - b trunc(a / b), exactly: the sign is that of a."""
    return np.fmod(a, b)


@primitive(
    ELEMENTWISE,
    vjps=[lambda ct: ct, lambda ct, a, b: -ct * floor(a / b)],
    domain="b != 0",
    kinks="a / b an integer: as above it",
)
def remainder(a: Any, b: Any) -> Any:
    """a - b floor(a / b): the sign is that of b."""
    return np.remainder(a, b)


@primitive(
    ELEMENTWISE,
    vjps=[lambda ct, a, y: where(eq(a, 0.0), 0.0, ct * (sign(y) * sign(a))), lambda ct: zeros_like(ct)],
    kinks="a = 0: 0",
    floats=True,
)
def copysign(a: Any, b: Any) -> Any:
    """|a| with the sign of b, that of -0 included."""
    return np.copysign(a, b)


@primitive(
    ELEMENTWISE,
    vjps=[
        lambda ct, a, b: where(logical_or(ge(a, b), ne(b, b)), ct, 0.0),
        lambda ct, a, b: where(logical_or(ge(a, b), ne(b, b)), 0.0, ct),
    ],
    kinks="a = b: a gets it all",
)
def fmax(a: Any, b: Any) -> Any:
    """The larger of two; of a number and nan, the number."""
    return np.fmax(a, b)


@primitive(
    ELEMENTWISE,
    vjps=[
        lambda ct, a, b: where(logical_or(le(a, b), ne(b, b)), ct, 0.0),
        lambda ct, a, b: where(logical_or(le(a, b), ne(b, b)), 0.0, ct),
    ],
    kinks="a = b: a gets it all",
)
def fmin(a: Any, b: Any) -> Any:
    """The smaller of two; of a number and nan, the number."""
    return np.fmin(a, b)
