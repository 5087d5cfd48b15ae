"""Activations: `ON_BALLS` and `ON_SERIES` are functions of one cell, with parameters as keywords."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from flint import arb, arb_series

from harness.oracles.families import special
from harness.oracles.families.on_balls import Enclosure, between
from harness.oracles.families.on_series import with_constant
from harness.oracles.families.pieces import Pieces, cellwise, constant, expm1, same, series_cellwise

__all__ = ["ENCLOSURES", "MOVEMENT", "ON_BALLS", "ON_SERIES", "SERIES"]

_ONE = arb(1)
_SCALE, _ALPHA = arb(1.0507009873554805), arb(1.6732632423543772)  # PyTorch's floats


# -- put together from pieces


def _leaky_relu(negative_slope: float = 0.01) -> Pieces:
    return Pieces("leaky_relu", [arb(0)], [lambda t: t * arb(negative_slope), same])


def _hardtanh(min_val: float = -1.0, max_val: float = 1.0) -> Pieces:
    return Pieces("hardtanh", [arb(min_val), arb(max_val)], [constant(min_val), same, constant(max_val)])


def _relu6() -> Pieces:
    return Pieces("relu6", [arb(0), arb(6)], [constant(0.0), same, constant(6.0)])


def _hardsigmoid() -> Pieces:
    return Pieces("hardsigmoid", [arb(-3), arb(3)], [constant(0.0), lambda t: (t + 3) / 6, constant(1.0)])


def _hardswish() -> Pieces:
    return Pieces("hardswish", [arb(-3), arb(3)], [constant(0.0), lambda t: t * (t + 3) / 6, same])


def _softshrink(lambd: float = 0.5) -> Pieces:
    size = arb(lambd)
    return Pieces("softshrink", [-size, size], [lambda t: t + size, constant(0.0), lambda t: t - size])


def _elu(alpha: float = 1.0) -> Pieces:
    return Pieces("elu", [arb(0)], [lambda t: expm1(t) * arb(alpha), same])


def _selu() -> Pieces:
    return Pieces("selu", [arb(0)], [lambda t: expm1(t) * (_ALPHA * _SCALE), lambda t: t * _SCALE])


def _celu(alpha: float = 1.0) -> Pieces:
    return Pieces("celu", [arb(0)], [lambda t: expm1(t / arb(alpha)) * arb(alpha), same])


def _softplus(beta: float = 1.0, threshold: float = 20.0) -> Pieces:
    def smooth(t: Any) -> Any:
        return _log1p_exp(t * arb(beta)) / arb(beta)

    breaks = [] if math.isinf(threshold) else [arb(threshold) / arb(beta)]
    return Pieces("softplus", breaks, [smooth, same][: len(breaks) + 1])


class _Hardshrink:
    """The one with a jump on either side of [-lambd, lambd], which holds both breaks."""

    def __init__(self, lambd: float = 0.5) -> None:
        size = arb(lambd)
        self.above = Pieces("hardshrink", [size], [constant(0.0), same])
        self.whole = Pieces("hardshrink", [-size], [same, self.above.on_ball], left=False)
        self.on_series = Pieces("hardshrink", [-size, size], [same, constant(0.0), same]).on_series

    def on_ball(self, c: arb) -> arb:
        return self.whole.on_ball(c)


def _log1p_exp(t: Any) -> Any:
    """log(1 + exp(t)); the smaller exponential, so that nothing leaves the range of exponents."""
    if isinstance(t, arb_series):
        up = t[0] > 0
        e = (-t if up else t).exp()
        smooth = (e + 1).log()
        return with_constant(smooth + t if up else smooth, _log1p_exp(t[0]))
    return between(t, lambda c: c + (-c).exp().log1p() if c > 0 else c.exp().log1p())


# -- smooth


def _sigmoid(t: Any) -> Any:
    if t[0] < 0 if isinstance(t, arb_series) else t < 0:
        e = t.exp()
        return e / (1 + e)
    return 1 / (1 + (-t).exp())


def _tanh_of(t: Any) -> Any:
    """tanh of a number that is not negative."""
    if isinstance(t, arb_series):
        e = (-2 * t).exp()
        return with_constant((1 - e) / (1 + e), t[0].tanh())
    return t.tanh()


def _silu(t: Any) -> Any:
    return t * _sigmoid(t)


def _mish(t: Any) -> Any:
    return t * _tanh_of(_log1p_exp(t))


def _gelu(t: Any, approximate: str = "none") -> Any:
    if approximate == "none":
        return t * special.ndtr(t)
    inner = (t + t * t * t * arb(0.044715)) * (2 / arb.pi()).sqrt()
    # (1 + tanh(z)) / 2 = 1 / (1 + exp(-2 z)), which does not cancel
    return t * _sigmoid(2 * inner)


_BROKEN: Final[Mapping[str, Callable[..., Any]]] = {
    "leaky_relu": _leaky_relu,
    "hardtanh": _hardtanh,
    "relu6": _relu6,
    "hardsigmoid": _hardsigmoid,
    "hardswish": _hardswish,
    "softshrink": _softshrink,
    "hardshrink": _Hardshrink,
    "elu": _elu,
    "selu": _selu,
    "celu": _celu,
    "softplus": _softplus,
}
_SMOOTH: Final[Mapping[str, Callable[..., Any]]] = {
    "logsigmoid": lambda t: -_log1p_exp(-t),
    "silu": _silu,
    "mish": _mish,
    "gelu": _gelu,
}

ON_BALLS: Final[Mapping[str, Callable[..., arb]]] = {
    **{name: lambda c, make=make, **params: make(**params).on_ball(c) for name, make in _BROKEN.items()},
    **_SMOOTH,
}
ON_SERIES: Final[Mapping[str, Callable[..., arb_series]]] = {
    **{name: lambda p, make=make, **params: make(**params).on_series(p) for name, make in _BROKEN.items()},
    **_SMOOTH,
}

ENCLOSURES: Final[Mapping[str, Enclosure]] = {name: cellwise(cell) for name, cell in ON_BALLS.items()}
SERIES: Final[Mapping[str, Enclosure]] = {name: series_cellwise(cell) for name, cell in ON_SERIES.items()}
MOVEMENT: Final = ("hardtanh", "relu6", "hardshrink")
