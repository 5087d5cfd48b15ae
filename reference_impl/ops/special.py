"""Special functions, and multiplication by mathematical constants, which their derivatives need.

NumPy has none of these functions: bodies compute in float64, element by element or by series, and round once.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from reference_impl.ops.elementwise import (
    cos,
    eq,
    exp,
    ge,
    gt,
    le,
    log,
    log1p,
    logical_and,
    logical_or,
    lt,
    sign,
    square,
    where,
)
from reference_impl.primitives import ELEMENTWISE, primitive

__all__ = [
    "CONSTANTS",
    "density",
    "digamma",
    "entr",
    "erf",
    "erfc",
    "erfcx",
    "erfinv",
    "i0",
    "i0e",
    "i1",
    "i1e",
    "lgamma",
    "log_ndtr",
    "logit",
    "ndtr",
    "polygamma",
    "scaled",
    "sinc",
    "xlog1py",
    "xlogy",
]

# A rule must not multiply by a float near an irrational number: exact arithmetic would find the rule wrong in the 17th
# digit. It multiplies by `scaled`, which stands for the number itself.
CONSTANTS: dict[str, float] = {
    "2/sqrt(pi)": 2.0 / math.sqrt(math.pi),
    "1/sqrt(2 pi)": 1.0 / math.sqrt(2.0 * math.pi),
    "sqrt(2/pi)": math.sqrt(2.0 / math.pi),
    "0.044715": 0.044715,
    "1/6": 1.0 / 6.0,
    "sqrt(pi)/2": math.sqrt(math.pi) / 2.0,
    "-1/sqrt(2)": -math.sqrt(0.5),
    "pi": math.pi,
    "pi/180": math.pi / 180.0,
    "pi^2/3": math.pi**2 / 3.0,
    "180/pi": 180.0 / math.pi,
    "log 2": math.log(2.0),
    "1/log 2": 1.0 / math.log(2.0),
    "log 10": math.log(10.0),
    "1/log 10": 1.0 / math.log(10.0),
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


# -- relatives of the error function


@primitive(ELEMENTWISE, vjps=[lambda ct, x: -ct * scaled(exp(-square(x)), by="2/sqrt(pi)")], floats=True)
def erfc(x: Any) -> Any:
    """1 - erf(x) without cancellation. Source: DLMF 7.2.2."""
    return by_element(math.erfc, x)


def _erfcx(x: float) -> float:
    if x < 2.0:
        return math.exp(x * x) * math.erfc(x) if x > -26.64 else math.inf  # too large from -26.63 on
    if math.isinf(x):
        return 0.0
    fraction = 0.0
    for k in range(120, 0, -1):
        fraction = k / 2.0 / (x + fraction)
    return 1.0 / (math.sqrt(math.pi) * (x + fraction))


@primitive(ELEMENTWISE, vjps=[lambda ct, x, y: ct * (2 * x * y) - scaled(ct, by="2/sqrt(pi)")], floats=True)
def erfcx(x: Any) -> Any:
    """exp(x^2) erfc(x). Source: DLMF 7.2.7, and 7.9.1 for the continued fraction."""
    return by_element(_erfcx, x)


def _erfinv(y: float) -> float:
    if not -1.0 < y < 1.0:
        return math.copysign(math.inf, y) if abs(y) == 1.0 else math.nan
    size = abs(y)
    tail = 1.0 - size  # exact from 1/2 on
    w = math.log(tail * (1.0 + size))
    a = 2.0 / (math.pi * 0.147) + w / 2.0
    x = math.sqrt(max(math.sqrt(a * a - w / 0.147) - a, 0.0))  # within 0.2 %
    for _ in range(4):  # Halley's step, on whichever of erf and erfc is small
        gap = math.erf(x) - size if size < 0.5 else tail - math.erfc(x)
        step = gap / (2.0 / math.sqrt(math.pi) * math.exp(-x * x))
        x -= step / (1.0 + x * step)
    return math.copysign(x, y)


@primitive(
    ELEMENTWISE,
    vjps=[lambda ct, y: ct * scaled(exp(square(y)), by="sqrt(pi)/2")],
    domain="|x| < 1",
    kinks="x = -1, x = 1: inf",
    floats=True,
)
def erfinv(x: Any) -> Any:
    """The inverse of erf. Source: DLMF 7.17."""
    return by_element(_erfinv, x)


def _log_ndtr(x: float) -> float:
    if x < -1e20:
        return -x * x / 2.0
    if x < -1.0:
        return math.log(_erfcx(-x * math.sqrt(0.5)) / 2.0) - x * x / 2.0
    return math.log1p(-math.erfc(x * math.sqrt(0.5)) / 2.0)


@primitive(
    ELEMENTWISE, vjps=[lambda ct, x: scaled(ct / erfcx(scaled(x, by="-1/sqrt(2)")), by="sqrt(2/pi)")], floats=True
)
def log_ndtr(x: Any) -> Any:
    """The logarithm of `ndtr`, also where that underflows."""
    return by_element(_log_ndtr, x)


# -- the gamma function


def _lgamma(x: float) -> float:
    try:
        return math.lgamma(x)
    except (ValueError, OverflowError):  # a pole, -inf, or too large
        return math.inf


@primitive(ELEMENTWISE, vjps=[lambda ct, x: ct * digamma(x)], domain="x is no integer below 1", floats=True)
def lgamma(x: Any) -> Any:
    """log |gamma(x)|. Source: DLMF 5.2."""
    return by_element(_lgamma, x)


_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798, -174611 / 330)


def _digamma(x: float) -> float:
    if x == 0.0:
        return -math.copysign(math.inf, x)
    if math.isinf(x):
        return x if x > 0.0 else math.nan
    if x < 0.0 and x == math.floor(x):
        return math.nan
    if x < -20.0:
        return _digamma(1.0 - x) - math.pi / math.tan(math.pi * (x - round(x)))
    below = 0.0
    while x < 15.0:
        below -= 1.0 / x
        x += 1.0
    square_ = 1.0 / (x * x)
    tail, power = 0.0, square_
    for k, b in enumerate(_BERNOULLI, 1):
        tail -= b / (2 * k) * power
        power *= square_
    return math.log(x) - 0.5 / x + tail + below


@primitive(ELEMENTWISE, vjps=[lambda ct, x: ct * polygamma(x, n=1)], domain="x is no integer below 1", floats=True)
def digamma(x: Any) -> Any:
    """The logarithmic derivative of the gamma function. Source: DLMF 5.2.2, 5.5.2, 5.5.4, 5.11.2."""
    return by_element(_digamma, x)


def _power(x: float, n: int) -> float:
    try:
        return float(x**n)
    except OverflowError:
        return math.inf if x > 0.0 or n % 2 == 0 else -math.inf


def _polygamma(x: float, n: int) -> float:
    if n == 0:
        return _digamma(x)
    if math.isinf(x):
        return 0.0 if x > 0.0 else math.nan
    if x <= 0.0 and x == math.floor(x):
        return math.inf if n % 2 else -math.inf
    if x < 0.0:  # the terms of negative arguments, summed from the other side
        part = x - math.floor(x)
        across = _polygamma(1.0 - part, n) - _polygamma(1.0 - x, n)
        return _polygamma(part, n) + (across if n % 2 else -across)
    terms = []
    while x < 15.0 + n:
        terms.append(_power(x, -n - 1))
        x += 1.0
    factorial = math.factorial(n)
    # n! times the Hurwitz zeta function at n + 1, by its asymptotic series
    tail = math.factorial(n - 1) / _power(x, n) + factorial / (2.0 * _power(x, n + 1))
    for k, b in enumerate(_BERNOULLI, 1):
        tail += b * math.factorial(2 * k + n - 1) / math.factorial(2 * k) / _power(x, 2 * k + n)
    whole = sum(terms[::-1]) if any(map(math.isinf, terms)) else math.fsum(terms)
    return (1.0 if n % 2 else -1.0) * (whole * factorial + tail)


@primitive(
    ELEMENTWISE, vjps=[lambda ct, x, n: ct * polygamma(x, n=n + 1)], domain="x is no integer below 1", floats=True
)
def polygamma(x: Any, *, n: int) -> Any:
    """The derivative of order n of digamma. Source: DLMF 5.15.8, 25.11.10, 25.11.43."""
    return by_element(lambda v: _polygamma(v, n), x)


# -- modified Bessel functions


def _bessel_scaled(x: float, n: int) -> float:
    """exp(-|x|) I_n(x). Source: DLMF 10.25.2 up to 25, 10.40.1 above."""
    size = abs(x)
    if math.isinf(size):
        return 0.0
    if size <= 25.0:
        quarter, term = size * size / 4.0, 0.5 * size if n else 1.0
        terms = [term]
        for k in range(1, 80):
            term *= quarter / (k * (k + n))
            terms.append(term)
        y = math.fsum(terms) * math.exp(-size)
    else:
        term, terms = 1.0, [1.0]
        for k in range(1, 30):
            term *= -(4 * n * n - (2 * k - 1) ** 2) / (8.0 * k * size)
            terms.append(term)
        y = math.fsum(terms) / (math.sqrt(2.0 * math.pi) * math.sqrt(size))
    return math.copysign(y, x) if n else y


def _bessel(x: float, n: int) -> float:
    y = _bessel_scaled(x, n)
    if math.isinf(x):
        return math.copysign(math.inf, x) if n else math.inf
    half = math.exp(abs(x) / 2.0) if abs(x) < 1400.0 else math.inf  # exp(|x|) may overflow where the product does not
    return y * half * half if y else y


def _i1_over_x(x: Any, y: Any) -> Any:
    """Return y / x, where y is i1 or i1e of x: 1/2 at 0."""
    return where(eq(x, 0.0), 0.5, y / where(eq(x, 0.0), 1.0, x))


@primitive(ELEMENTWISE, vjps=[lambda ct, x: ct * i1(x)], floats=True)
def i0(x: Any) -> Any:
    """The modified Bessel function of order 0. Source: DLMF 10.25."""
    return by_element(lambda v: _bessel(v, 0), x)


@primitive(ELEMENTWISE, vjps=[lambda ct, x, y: ct * (i1e(x) - sign(x) * y)], kinks="x = 0: 0, a maximum", floats=True)
def i0e(x: Any) -> Any:
    """exp(-|x|) i0(x)."""
    return by_element(lambda v: _bessel_scaled(v, 0), x)


@primitive(ELEMENTWISE, vjps=[lambda ct, x, y: ct * (i0(x) - _i1_over_x(x, y))], floats=True)
def i1(x: Any) -> Any:
    """The modified Bessel function of order 1. Source: DLMF 10.25, 10.29.4."""
    return by_element(lambda v: _bessel(v, 1), x)


@primitive(ELEMENTWISE, vjps=[lambda ct, x, y: ct * (i0e(x) - sign(x) * y - _i1_over_x(x, y))], floats=True)
def i1e(x: Any) -> Any:
    """exp(-|x|) i1(x)."""
    return by_element(lambda v: _bessel_scaled(v, 1), x)


# -- products with logarithms, and others of one line


@primitive(
    ELEMENTWISE,
    vjps=[
        lambda ct, a, b: where(logical_and(eq(a, 0.0), le(b, 0.0)), 0.0, ct * log(b)),
        lambda ct, a, b: ct * a / b,
    ],
    domain="b > 0",
    kinks="a = 0, b <= 0: 0 in a",
    floats=True,
)
def xlogy(a: Any, b: Any) -> Any:
    """A log(b), and 0 where a is 0 and b no nan."""
    return np.where(np.logical_and(np.equal(a, 0), ~np.isnan(b)), 0, np.multiply(a, np.log(b)))


@primitive(
    ELEMENTWISE,
    vjps=[
        lambda ct, a, b: where(logical_and(eq(a, 0.0), le(b, -1.0)), 0.0, ct * log1p(b)),
        lambda ct, a, b: ct * a / (b + 1),
    ],
    domain="b > -1",
    kinks="a = 0, b <= -1: 0 in a",
    floats=True,
)
def xlog1py(a: Any, b: Any) -> Any:
    """A log(1 + b), and 0 where a is 0 and b no nan."""
    return np.where(np.logical_and(np.equal(a, 0), ~np.isnan(b)), 0, np.multiply(a, np.log1p(b)))


@primitive(ELEMENTWISE, vjps=[lambda ct, x: ct * (-log(x) - 1)], domain="x >= 0", kinks="x = 0: inf", floats=True)
def entr(x: Any) -> Any:
    """-x log(x): 0 at 0, -inf below."""
    return np.where(np.greater(x, 0), np.negative(np.multiply(x, np.log(x))), np.where(np.equal(x, 0), 0, x * np.inf))


def _logit_vjp(ct: Any, x: Any, eps: float | None) -> Any:
    slope = ct / (x * (1 - x))
    if eps is None:
        return where(logical_or(lt(x, 0.0), gt(x, 1.0)), float("nan"), slope)
    return where(logical_and(ge(x, eps), le(x, 1 - eps)), slope, 0.0)


@primitive(
    ELEMENTWISE,
    vjps=[_logit_vjp],
    domain="0 < x < 1, or any with eps",
    kinks="x = eps, x = 1 - eps: as inside",
    floats=True,
)
def logit(x: Any, *, eps: float | None = None) -> Any:
    """log(x / (1 - x)), with x limited to [eps, 1 - eps] if eps is given."""
    if eps is not None:
        x = np.minimum(np.maximum(x, eps), 1 - eps)
    return np.log(np.true_divide(x, np.subtract(1, x)))


@primitive(
    ELEMENTWISE,
    # At 0 the series -pi^2 x / 3, whose derivative is that of the slope there.
    vjps=[
        lambda ct, x, y: (
            ct
            * where(eq(x, 0.0), 0.0 - scaled(x, by="pi^2/3"), (cos(scaled(x, by="pi")) - y) / where(eq(x, 0.0), 1.0, x))
        )
    ],
    floats=True,
)
def sinc(x: Any) -> Any:
    """sin(pi x) / (pi x), 1 at 0."""
    z = np.multiply(x, math.pi)
    return np.where(np.equal(z, 0), 1, np.true_divide(np.sin(z), np.where(np.equal(z, 0), 1, z)))
