"""Special functions, and multiplication by mathematical constants, which their derivatives need.

NumPy has none of these functions: bodies compute in float64, element by element or by series, and round once.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from reference_impl.ops.elementwise import exp, square
from reference_impl.primitives import ELEMENTWISE, primitive

__all__ = ["CONSTANTS", "density", "erf", "ndtr", "scaled"]

# A rule must not multiply by a float near an irrational number: exact arithmetic would find the rule wrong in the 17th
# digit. It multiplies by `scaled`, which stands for the number itself.
CONSTANTS: dict[str, float] = {
    "2/sqrt(pi)": 2.0 / math.sqrt(math.pi),
    "1/sqrt(2 pi)": 1.0 / math.sqrt(2.0 * math.pi),
    "sqrt(2/pi)": math.sqrt(2.0 / math.pi),
    "0.044715": 0.044715,
    "1/6": 1.0 / 6.0,
    "selu scale": 1.0507009873554805,
    "selu alpha scale": 1.0507009873554805 * 1.6732632423543772,
}


@primitive(ELEMENTWISE, vjps=[lambda ct, by: scaled(ct, by=by)], floats=True)
def scaled(x: Any, *, by: str) -> Any:
    """x times one of `CONSTANTS`, by its name: times the number that the name says, not times the float next to it."""
    return np.multiply(x, CONSTANTS[by])


def by_element(function: Callable[[float], float], x: Any) -> Any:
    """Apply a function of one float to every element; the results are rounded to x's dtype."""
    x = np.asarray(x)
    return np.fromiter(map(function, x.ravel().tolist()), np.float64, x.size).reshape(x.shape).astype(x.dtype)


@primitive(ELEMENTWISE, vjps=[lambda ct, x: ct * scaled(exp(-square(x)), by="2/sqrt(pi)")], floats=True)
def erf(x: Any) -> Any:
    """The error function. Source: DLMF 7.2.1."""
    return by_element(math.erf, x)


def density(x: Any) -> Any:
    """Return the density of the standard normal distribution, exp(-x^2 / 2) / sqrt(2 pi)."""
    return scaled(exp(square(x) * -0.5), by="1/sqrt(2 pi)")


def _ndtr(x: float) -> float:
    return 0.5 * math.erfc(-x * math.sqrt(0.5))


@primitive(ELEMENTWISE, vjps=[lambda ct, x: ct * density(x)], floats=True)
def ndtr(x: Any) -> Any:
    """The distribution function of the standard normal distribution. Source: DLMF 7.2.2."""
    return by_element(_ndtr, x)
