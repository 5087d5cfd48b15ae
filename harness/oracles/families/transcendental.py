"""Inverse trigonometric and hyperbolic functions, logarithms and powers of 2 and 10, and `hypot`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from flint import arb, arb_series

from harness.oracles.families.on_balls import Enclosure, between, pairwise, root_of_nonnegative, square_of
from harness.oracles.families.on_series import pairwise as series_pairwise
from harness.oracles.families.on_series import positive, product, unknown_series, with_constant
from harness.oracles.families.pieces import cellwise, series_cellwise

__all__ = ["ENCLOSURES", "ON_BALLS", "ON_SERIES", "PAIRS_ON_BALLS", "PAIRS_ON_SERIES", "SERIES"]


def _asinh(p: arb_series) -> arb_series:
    if p[0] < 0:  # the sum would cancel
        return -_asinh(-p)
    return with_constant((p + (p * p + 1).sqrt()).log(), p[0].asinh())


def _acosh(p: arb_series) -> arb_series:
    return with_constant((p + ((p - 1) * (p + 1)).sqrt()).log(), p[0].acosh()) if p[0] > 1 else unknown_series()


def _atanh(p: arb_series) -> arb_series:
    if not abs(p[0]) < 1:
        return unknown_series()
    return with_constant(((1 + p) / (1 - p)).log() / 2, p[0].atanh())


def _inside(function: Callable[[arb_series], arb_series]) -> Callable[[arb_series], arb_series]:
    return lambda p: function(p) if abs(p[0]) < 1 else unknown_series()


def _hypot(a: arb, b: arb) -> arb:
    return root_of_nonnegative(square_of(a) + square_of(b))


def _hypot_series(a: arb_series, b: arb_series) -> arb_series:
    return positive(arb_series.sqrt)(product(a, a) + product(b, b))


def _logaddexp2(a: Any, b: Any) -> Any:
    """log2(2^a + 2^b); the smaller power over the larger one."""
    far = a[0] > b[0] if isinstance(a, arb_series) else a.mid() > b.mid()
    high, low = (a, b) if far else (b, a)
    powers = ((low - high) * arb.const_log2()).exp()
    smooth = (powers + 1).log() if isinstance(powers, arb_series) else powers.log1p()
    return high + smooth / arb.const_log2()


ON_BALLS: Final[Mapping[str, Callable[..., arb]]] = {
    "asin": lambda c: between(c, arb.asin),
    "acos": lambda c: between(c, arb.acos),
    "asinh": arb.asinh,
    "acosh": arb.acosh,
    "atanh": arb.atanh,
    "log2": lambda c: c.log() / arb.const_log2(),
    "log10": lambda c: c.log() / arb.const_log10(),
    "exp2": lambda c: (c * arb.const_log2()).exp(),
}
ON_SERIES: Final[Mapping[str, Callable[..., arb_series]]] = {
    "asin": _inside(arb_series.asin),
    "acos": _inside(arb_series.acos),
    "asinh": _asinh,
    "acosh": _acosh,
    "atanh": _atanh,
    "log2": lambda p: positive(arb_series.log)(p) / arb.const_log2(),
    "log10": lambda p: positive(arb_series.log)(p) / arb.const_log10(),
    "exp2": lambda p: (p * arb.const_log2()).exp(),
}
PAIRS_ON_BALLS: Final[Mapping[str, Callable[[arb, arb], arb]]] = {"hypot": _hypot, "logaddexp2": _logaddexp2}
PAIRS_ON_SERIES: Final[Mapping[str, Callable[[arb_series, arb_series], arb_series]]] = {
    "hypot": _hypot_series,
    "logaddexp2": _logaddexp2,
}

ENCLOSURES: Final[Mapping[str, Enclosure]] = {
    **{name: cellwise(cell) for name, cell in ON_BALLS.items()},
    **{name: pairwise(cell) for name, cell in PAIRS_ON_BALLS.items()},
}
SERIES: Final[Mapping[str, Enclosure]] = {
    **{name: series_cellwise(cell) for name, cell in ON_SERIES.items()},
    **{name: series_pairwise(cell) for name, cell in PAIRS_ON_SERIES.items()},
}
