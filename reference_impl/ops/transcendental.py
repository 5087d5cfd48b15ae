"""More elementary functions: inverse trigonometric and hyperbolic ones, logarithms and powers of 2 and 10."""

from __future__ import annotations

from typing import Any

import numpy as np

from reference_impl.ops.elementwise import rsqrt, square
from reference_impl.ops.special import scaled
from reference_impl.primitives import ELEMENTWISE, primitive

__all__ = ["acos", "acosh", "asin", "asinh", "atanh", "exp2", "hypot", "log2", "log10", "logaddexp2"]


# Source of the derivatives: DLMF 4.24, 4.38
@primitive(
    ELEMENTWISE,
    vjps=[lambda ct, x: ct * rsqrt(1 - square(x))],
    domain="|x| <= 1",
    kinks="x = -1, x = 1: inf",
    floats=True,
)
def asin(x: Any) -> Any:
    """Inverse sine, in radians."""
    return np.arcsin(x)


@primitive(
    ELEMENTWISE,
    vjps=[lambda ct, x: -ct * rsqrt(1 - square(x))],
    domain="|x| <= 1",
    kinks="x = -1, x = 1: -inf",
    floats=True,
)
def acos(x: Any) -> Any:
    """Inverse cosine, in radians."""
    return np.arccos(x)


@primitive(ELEMENTWISE, vjps=[lambda ct, x: ct * rsqrt(square(x) + 1)], floats=True)
def asinh(x: Any) -> Any:
    """Inverse hyperbolic sine."""
    return np.arcsinh(x)


@primitive(
    ELEMENTWISE, vjps=[lambda ct, x: ct * rsqrt(square(x) - 1)], domain="x >= 1", kinks="x = 1: inf", floats=True
)
def acosh(x: Any) -> Any:
    """Inverse hyperbolic cosine."""
    return np.arccosh(x)


@primitive(ELEMENTWISE, vjps=[lambda ct, x: ct / (1 - square(x))], domain="|x| < 1", floats=True)
def atanh(x: Any) -> Any:
    """Inverse hyperbolic tangent."""
    return np.arctanh(x)


@primitive(ELEMENTWISE, vjps=[lambda ct, x: scaled(ct / x, by="1/log 2")], domain="x > 0", floats=True)
def log2(x: Any) -> Any:
    """The logarithm to base 2."""
    return np.log2(x)


@primitive(ELEMENTWISE, vjps=[lambda ct, x: scaled(ct / x, by="1/log 10")], domain="x > 0", floats=True)
def log10(x: Any) -> Any:
    """The logarithm to base 10."""
    return np.log10(x)


@primitive(ELEMENTWISE, vjps=[lambda ct, y: scaled(ct * y, by="log 2")], floats=True)
def exp2(x: Any) -> Any:
    """2 to the x."""
    return np.exp2(x)


@primitive(
    ELEMENTWISE,
    vjps=[lambda ct, a, b: ct / (1 + exp2(b - a)), lambda ct, a, b: ct / (1 + exp2(a - b))],
    floats=True,
)
def logaddexp2(a: Any, b: Any) -> Any:
    """log2(2^a + 2^b) without overflow."""
    return np.logaddexp2(a, b)


@primitive(
    ELEMENTWISE,
    vjps=[lambda ct, a, y: ct * (a / y), lambda ct, b, y: ct * (b / y)],
    kinks="a = b = 0: nan",
    floats=True,
)
def hypot(a: Any, b: Any) -> Any:
    """sqrt(a^2 + b^2) without overflow."""
    return np.hypot(a, b)
