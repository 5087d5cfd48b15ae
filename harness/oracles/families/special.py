"""Special functions: `ON_BALLS` and `ON_SERIES` are functions of one cell, with parameters as keywords.

`CONSTANTS` are the numbers that the primitive `scaled` multiplies by, which no float equals.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import flint
from flint import arb, arb_series

from harness.oracles.families.on_balls import Enclosure, between, hull, pairwise
from harness.oracles.families.on_series import pairwise as series_pairwise
from harness.oracles.families.on_series import positive, product, quotient, side_of, unknown_series
from harness.oracles.families.pieces import Pieces, cellwise, constant, series_cellwise

__all__ = [
    "CONSTANTS",
    "ENCLOSURES",
    "ON_BALLS",
    "ON_SERIES",
    "PAIRS_ON_BALLS",
    "PAIRS_ON_SERIES",
    "SERIES",
    "ndtr",
    "taylor",
]

_NAN = arb("nan")

CONSTANTS: Final[Mapping[str, Callable[[], arb]]] = {
    "2/sqrt(pi)": lambda: 2 / arb.pi().sqrt(),
    "1/sqrt(2 pi)": lambda: 1 / (2 * arb.pi()).sqrt(),
    "sqrt(2/pi)": lambda: (2 / arb.pi()).sqrt(),
    "0.044715": lambda: arb(0.044715),
    "1/6": lambda: 1 / arb(6),
    "sqrt(pi)/2": lambda: arb.pi().sqrt() / 2,
    "-1/sqrt(2)": lambda: -1 / arb(2).sqrt(),
    "pi": arb.pi,
    "pi/180": lambda: arb.pi() / 180,
    "pi^2/3": lambda: arb.pi() ** 2 / 3,
    "180/pi": lambda: 180 / arb.pi(),
    "log 2": arb.const_log2,
    "1/log 2": lambda: 1 / arb.const_log2(),
    "log 10": lambda: arb.const_log10(),
    "1/log 10": lambda: 1 / arb.const_log10(),
    "selu scale": lambda: arb(1.0507009873554805),
    "selu alpha scale": lambda: arb(1.0507009873554805) * arb(1.6732632423543772),
}


def ndtr(t: Any) -> Any:
    """The distribution function of the standard normal distribution."""
    if isinstance(t, arb_series):
        return (-t / arb(2).sqrt()).erfc() / 2
    return between(t, lambda c: (-c / arb(2).sqrt()).erfc() / 2)


def taylor(p: arb_series, coefficients: Sequence[arb]) -> arb_series:
    """The composition with p of a function that has these Taylor coefficients at the constant of p."""
    step = arb_series([0, *(p[k] for k in range(1, flint.ctx.cap))])
    result, power = arb_series([coefficients[0]]), arb_series([1])
    for c in coefficients[1:]:
        power = power * step
        result = result + power * c
    return result


@contextmanager
def _length(length: int) -> Iterator[None]:
    """Series of that length inside the block."""
    before, flint.ctx.cap = flint.ctx.cap, length
    try:
        yield
    finally:
        flint.ctx.cap = before


# -- relatives of the error function


def _erfcx(t: Any) -> Any:
    if isinstance(t, arb_series):
        return (t * t).exp() * t.erfc()
    return between(t, lambda c: (c * c).exp() * c.erfc())


def _erfinv(c: arb) -> arb:
    return between(c, arb.erfinv)


def _erfinv_series(p: arb_series) -> arb_series:
    y = p[0].erfinv()
    if not y.is_finite():
        return unknown_series()
    there = arb_series([y, 1]).erf()
    back = arb_series([0, *(there[k] for k in range(1, flint.ctx.cap))]).reversion()
    return taylor(p, [y, *(back[k] for k in range(1, flint.ctx.cap))])


def _log_ndtr(t: Any) -> Any:
    if isinstance(t, arb_series):
        return ndtr(t).log()
    return between(t, lambda c: ndtr(c).log())


# -- the gamma function


def _lgamma(c: arb) -> arb:
    value: arb = c.lgamma() if c > 0 else -(abs(c.rgamma()).log())
    return value


def _lgamma_series(p: arb_series) -> arb_series:
    if p[0] > 0:
        return p.lgamma()
    r = p.rgamma()
    return -((r if r[0] > 0 else -r).log()) if r[0] > 0 or r[0] < 0 else unknown_series()


def _polygamma_coefficients(c: arb, n: int, count: int) -> list[arb]:
    """The Taylor coefficients of polygamma of order n: FLINT's of log gamma, n + 1 derivatives further."""
    with _length(n + 1 + count):
        logs = _lgamma_series(arb_series([c, 1]))
        return [logs[n + 1 + k] * (math.factorial(n + 1 + k) // math.factorial(k)) for k in range(count)]


def _polygamma(c: arb, n: int) -> arb:
    return c.digamma() if n == 0 else _polygamma_coefficients(c, n, 1)[0]


def _polygamma_series(p: arb_series, n: int) -> arb_series:
    return taylor(p, _polygamma_coefficients(p[0], n, flint.ctx.cap))


# -- modified Bessel functions


def _bessel_coefficients(c: arb, n: int) -> list[arb]:
    """The Taylor coefficients of I_n. Source: DLMF 10.29.5."""

    def derivative(k: int) -> arb:
        terms = (c.bessel_i(abs(n - k + 2 * j)) * math.comb(k, j) for j in range(k + 1))
        whole: arb = sum(terms, arb(0)) / (2**k * math.factorial(k))
        return whole

    return [derivative(k) for k in range(flint.ctx.cap)]


def _bessel(n: int) -> Callable[[Any], Any]:
    def cell(t: Any) -> Any:
        return taylor(t, _bessel_coefficients(t[0], n)) if isinstance(t, arb_series) else t.bessel_i(n)

    return cell


def _bessel_scaled(n: int) -> Callable[[Any], Any]:
    name = f"i{n}e"

    def cell(t: Any) -> Any:
        if isinstance(t, arb_series):
            return _bessel(n)(t) * (-t if side_of(name, t, arb(0), ()) > 0 else t).exp()
        if t > 0 or t < 0:
            y = abs(t).bessel_i(n, scaled=True)
            return -y if n and t < 0 else y
        size = t.abs_upper()
        if n:  # odd, at most |t| / 2 and below 0.22
            return hull(-size.min(arb(0.44)) / 2, size.min(arb(0.44)) / 2) if t.is_finite() else _NAN
        return hull(size.bessel_i(0, scaled=True), arb(1)) if t.is_finite() else _NAN

    return cell


# -- products with logarithms


def _xlogy(a: Any, b: Any) -> Any:
    if isinstance(a, arb_series):
        return product(a, positive(arb_series.log)(b))
    return arb(0) if a == 0 and not b.is_nan() else a * b.log()


def _xlog1py(a: Any, b: Any) -> Any:
    if isinstance(a, arb_series):
        return product(a, positive(arb_series.log)(b + 1))
    return arb(0) if a == 0 and not b.is_nan() else a * b.log1p()


def _entr(t: Any) -> Any:
    if isinstance(t, arb_series):
        return -product(t, positive(arb_series.log)(t))
    return arb(0) if t == 0 else -t * t.log()


def _logit_of(t: Any) -> Any:
    if isinstance(t, arb_series):
        return (t / (1 - t)).log() if t[0] > 0 and t[0] < 1 else unknown_series()
    return between(t, lambda c: (c / (1 - c)).log())


def _logit(eps: float | None) -> Pieces:
    if eps is None:
        return Pieces("logit", [], [_logit_of])
    low, high = arb(eps), 1 - arb(eps)
    ends = [_logit_of(low), _logit_of(high)]
    return Pieces("logit", [low, high], [constant(ends[0]), _logit_of, constant(ends[1])])


def _sinc(t: Any) -> Any:
    if isinstance(t, arb_series):
        if t[0] == 0:
            return taylor(t, [arb(1), arb(0), -(arb.pi() ** 2) / 6][: flint.ctx.cap])
        return quotient(t.sin_pi(), t * arb.pi())
    return t.sinc_pi()


_BOTH: Final[Mapping[str, Callable[..., Any]]] = {
    "erfcx": _erfcx,
    "ndtr": ndtr,
    "log_ndtr": _log_ndtr,
    "i0": _bessel(0),
    "i1": _bessel(1),
    "i0e": _bessel_scaled(0),
    "i1e": _bessel_scaled(1),
    "entr": _entr,
    "sinc": _sinc,
}
ON_BALLS: Final[Mapping[str, Callable[..., arb]]] = {
    **_BOTH,
    "scaled": lambda c, by: c * CONSTANTS[by](),
    "erf": lambda c: between(c, arb.erf),
    "erfc": lambda c: between(c, arb.erfc),
    "erfinv": _erfinv,
    "lgamma": _lgamma,
    "digamma": arb.digamma,
    "polygamma": _polygamma,
    "logit": lambda c, eps=None: _logit(eps).on_ball(c),
}
ON_SERIES: Final[Mapping[str, Callable[..., arb_series]]] = {
    **_BOTH,
    "scaled": lambda p, by: p * CONSTANTS[by](),
    "erf": arb_series.erf,
    "erfc": arb_series.erfc,
    "erfinv": _erfinv_series,
    "lgamma": _lgamma_series,
    "digamma": lambda p: _polygamma_series(p, 0),
    "polygamma": _polygamma_series,
    "logit": lambda p, eps=None: _logit(eps).on_series(p),
}
PAIRS_ON_BALLS: Final[Mapping[str, Callable[[arb, arb], arb]]] = {"xlogy": _xlogy, "xlog1py": _xlog1py}
PAIRS_ON_SERIES: Final[Mapping[str, Callable[[arb_series, arb_series], arb_series]]] = {
    "xlogy": _xlogy,
    "xlog1py": _xlog1py,
}

ENCLOSURES: Final[Mapping[str, Enclosure]] = {
    **{name: cellwise(cell) for name, cell in ON_BALLS.items()},
    **{name: pairwise(cell) for name, cell in PAIRS_ON_BALLS.items()},
}
SERIES: Final[Mapping[str, Enclosure]] = {
    **{name: series_cellwise(cell) for name, cell in ON_SERIES.items()},
    **{name: series_pairwise(cell) for name, cell in PAIRS_ON_SERIES.items()},
}
