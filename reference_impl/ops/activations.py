"""Activations of `torch.nn.functional` with a derivative of their own. What they return at kinks is PyTorch's, measured."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from reference_impl.ops.elementwise import clamp, exp, ge, gt, le, lt, sigmoid, square, tanh, where
from reference_impl.ops.special import density, ndtr, scaled
from reference_impl.primitives import ELEMENTWISE, primitive

__all__ = [
    "celu",
    "elu",
    "gelu",
    "gelu_slope",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "leaky_relu",
    "logsigmoid",
    "mish",
    "relu6",
    "selu",
    "silu",
    "softplus",
    "softshrink",
]


def _exp_below(x: Any) -> Any:
    """Return exp(x) for x <= 0 and 1 above, where it would overflow in a branch that is not taken."""
    return exp(clamp(x, min=None, max=0.0))


# -- broken lines


@primitive(
    ELEMENTWISE,
    vjps=[lambda ct, x, negative_slope: where(gt(x, 0.0), ct, ct * negative_slope)],
    kinks="x = 0: negative_slope",
)
def leaky_relu(x: Any, *, negative_slope: float = 0.01) -> Any:
    """x above 0, negative_slope x below."""
    return np.where(np.greater(x, 0), x, np.multiply(x, negative_slope))


@primitive(
    ELEMENTWISE,
    vjps=[lambda ct, x, min_val, max_val: where(le(x, min_val), 0.0, where(ge(x, max_val), 0.0, ct))],
    kinks="x = min_val, x = max_val: 0",
)
def hardtanh(x: Any, *, min_val: float = -1.0, max_val: float = 1.0) -> Any:
    """x limited to [min_val, max_val]."""
    return np.minimum(np.maximum(x, min_val), max_val)


@primitive(
    ELEMENTWISE,
    vjps=[lambda ct, x: where(le(x, 0.0), 0.0, where(ge(x, 6.0), 0.0, ct))],
    kinks="x = 0, x = 6: 0",
)
def relu6(x: Any) -> Any:
    """x limited to [0, 6]."""
    return np.minimum(np.maximum(x, 0), 6)


@primitive(
    ELEMENTWISE,
    vjps=[lambda ct, x: where(gt(x, -3.0), where(lt(x, 3.0), scaled(ct, by="1/6"), 0.0), 0.0)],
    kinks="x = -3, x = 3: 0",
    floats=True,
)
def hardsigmoid(x: Any) -> Any:
    """(x + 3) / 6 limited to [0, 1]."""
    return np.true_divide(np.minimum(np.maximum(np.add(x, 3), 0), 6), 6)


@primitive(
    ELEMENTWISE,
    vjps=[lambda ct, x, lambd: where(ge(x, -lambd), where(le(x, lambd), 0.0, ct), ct)],
    kinks="x = -lambd, x = lambd: 0",
)
def softshrink(x: Any, *, lambd: float = 0.5) -> Any:
    """x moved towards 0 by lambd, 0 nearer to 0 than that."""
    return np.where(np.greater(x, lambd), np.subtract(x, lambd), np.where(np.less(x, -lambd), np.add(x, lambd), x * 0))


@primitive(
    ELEMENTWISE,
    vjps=[lambda ct, x, lambd: where(ge(x, -lambd), where(le(x, lambd), 0.0, ct), ct)],
    kinks="x = -lambd, x = lambd, where it jumps: 0",
)
def hardshrink(x: Any, *, lambd: float = 0.5) -> Any:
    """x, and 0 in [-lambd, lambd]."""
    return np.where(np.logical_and(np.greater_equal(x, -lambd), np.less_equal(x, lambd)), 0, x)


# -- lines and exponentials


@primitive(
    ELEMENTWISE,
    vjps=[lambda ct, x, alpha: where(le(x, 0.0), ct * (alpha * _exp_below(x)), ct)],
    kinks="x = 0: alpha",
    floats=True,
)
def elu(x: Any, *, alpha: float = 1.0) -> Any:
    """x above 0, alpha (exp(x) - 1) below."""
    return np.where(np.less_equal(x, 0), np.multiply(np.expm1(np.minimum(x, 0)), alpha), x)


@primitive(
    ELEMENTWISE,
    vjps=[
        lambda ct, x: where(le(x, 0.0), scaled(ct * _exp_below(x), by="selu alpha scale"), scaled(ct, by="selu scale"))
    ],
    kinks="x = 0: alpha scale",
    floats=True,
)
def selu(x: Any) -> Any:
    """scale x above 0, scale alpha (exp(x) - 1) below, with PyTorch's floats scale and alpha.

    Source: Klambauer et al., Self-Normalizing Neural Networks, section 2.
    """
    scale, alpha = 1.0507009873554805, 1.6732632423543772
    return np.where(np.less_equal(x, 0), np.multiply(np.expm1(np.minimum(x, 0)), alpha * scale), np.multiply(x, scale))


@primitive(
    ELEMENTWISE,
    vjps=[lambda ct, x, alpha: where(le(x, 0.0), ct * exp(clamp(x / alpha, min=None, max=0.0)), ct)],
    kinks="x = 0: 1",
    floats=True,
)
def celu(x: Any, *, alpha: float = 1.0) -> Any:
    """x above 0, alpha (exp(x / alpha) - 1) below."""
    return np.where(np.less_equal(x, 0), np.multiply(np.expm1(np.minimum(np.true_divide(x, alpha), 0)), alpha), x)


@primitive(
    ELEMENTWISE,
    vjps=[lambda ct, x, beta, threshold: where(gt(x * beta, threshold), ct, ct * sigmoid(x * beta))],
    kinks="beta x = threshold, where it jumps a little",
    floats=True,
)
def softplus(x: Any, *, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """log(1 + exp(beta x)) / beta, and x itself where beta x > threshold."""
    z = np.multiply(x, beta)
    smooth = np.true_divide(np.add(np.log1p(np.exp(-np.abs(z))), np.maximum(z, 0)), beta)
    return np.where(np.greater(z, threshold), x, smooth)


# -- smooth


@primitive(ELEMENTWISE, vjps=[lambda ct, x: ct * sigmoid(-x)], floats=True, node_name="LogSigmoidBackward0")
def logsigmoid(x: Any) -> Any:
    """log(sigmoid(x)), without cancellation."""
    return np.subtract(np.minimum(x, 0), np.log1p(np.exp(-np.abs(x))))


def _silu_slope(x: Any) -> Any:
    s = sigmoid(x)
    return s * (x * (1 - s) + 1)


@primitive(ELEMENTWISE, vjps=[lambda ct, x: ct * _silu_slope(x)], floats=True)
def silu(x: Any) -> Any:
    """x sigmoid(x)."""
    return np.multiply(x, sigmoid(x))


def _mish_slope(x: Any) -> Any:
    t = tanh(softplus(x, beta=1.0, threshold=float("inf")))
    return t + x * (sigmoid(x) * (1 - t * t))


@primitive(ELEMENTWISE, vjps=[lambda ct, x: ct * _mish_slope(x)], floats=True)
def mish(x: Any) -> Any:
    """x tanh(log(1 + exp(x)))."""
    return np.multiply(x, np.tanh(np.add(np.log1p(np.exp(-np.abs(x))), np.maximum(x, 0))))


def gelu_slope(x: Any, approximate: str) -> Any:
    """Return the derivative of `gelu`."""
    if approximate == "none":
        return ndtr(x) + x * density(x)
    t = tanh(scaled(x + scaled(x * square(x), by="0.044715"), by="sqrt(2/pi)"))
    slope = scaled(scaled(square(x), by="0.044715") * 3 + 1, by="sqrt(2/pi)")
    return (t + 1) * 0.5 + (x * 0.5) * ((1 - t * t) * slope)


@primitive(ELEMENTWISE, vjps=[lambda ct, x, approximate: ct * gelu_slope(x, approximate)], floats=True)
def gelu(x: Any, *, approximate: str = "none") -> Any:
    """x times the distribution function of the standard normal distribution, or Hendrycks and Gimpel's tanh formula.

    Source: Gaussian Error Linear Units, equation 2.
    """
    if approximate == "none":
        return np.multiply(x, ndtr(x))
    if approximate != "tanh":
        raise RuntimeError(f"approximate argument must be either none or tanh. Got {approximate!r}")
    inner = np.multiply(x + np.multiply(x * x * x, 0.044715), math.sqrt(2 / math.pi))
    return np.multiply(x * 0.5, np.tanh(inner) + 1)


@primitive(
    ELEMENTWISE,
    vjps=[lambda ct, x: where(le(x, -3.0), 0.0, where(lt(x, 3.0), ct * (x / 3 + 0.5), ct))],
    kinks="x = -3: 0; x = 3: 1",
    floats=True,
)
def hardswish(x: Any) -> Any:
    """x times `hardsigmoid`."""
    return np.true_divide(np.multiply(x, np.minimum(np.maximum(np.add(x, 3), 0), 6)), 6)
