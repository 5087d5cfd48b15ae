"""`torch.nn.functional`: what layers compute, as functions of tensors.

>>> import reference_impl as torch
>>> import reference_impl.nn.functional as F
>>> F.relu(torch.tensor([-1.0, 2.0]))
tensor([0., 2.])
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from reference_impl import functions
from reference_impl.dtypes import DType
from reference_impl.functions import hardshrink, prelu, sigmoid, tanh
from reference_impl.nn.attention import scaled_dot_product_attention
from reference_impl.nn.columns import fold, unfold
from reference_impl.nn.convolution import (
    conv1d,
    conv2d,
    conv3d,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
)
from reference_impl.nn.linear import bilinear, linear
from reference_impl.nn.lookup import embedding, one_hot
from reference_impl.nn.losses import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cosine_embedding_loss,
    cosine_similarity,
    cross_entropy,
    gaussian_nll_loss,
    hinge_embedding_loss,
    huber_loss,
    kl_div,
    l1_loss,
    margin_ranking_loss,
    mse_loss,
    multi_margin_loss,
    multilabel_margin_loss,
    multilabel_soft_margin_loss,
    nll_loss,
    normalize,
    pairwise_distance,
    poisson_nll_loss,
    smooth_l1_loss,
    soft_margin_loss,
    triplet_margin_loss,
    triplet_margin_with_distance_loss,
)
from reference_impl.nn.noise import (
    alpha_dropout,
    dropout,
    dropout1d,
    dropout2d,
    dropout3d,
    feature_alpha_dropout,
    gumbel_softmax,
)
from reference_impl.nn.normalization import (
    batch_norm,
    group_norm,
    instance_norm,
    layer_norm,
    local_response_norm,
    rms_norm,
)
from reference_impl.nn.pooling import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    adaptive_max_pool3d,
    avg_pool1d,
    avg_pool2d,
    avg_pool3d,
    lp_pool1d,
    lp_pool2d,
    max_pool1d,
    max_pool2d,
    max_pool3d,
)
from reference_impl.nn.resampling import interpolate
from reference_impl.ops import activations
from reference_impl.padding import channel_shuffle, pad, pixel_shuffle, pixel_unshuffle
from reference_impl.products import pdist
from reference_impl.tensor import Tensor

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
    "alpha_dropout",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "batch_norm",
    "bilinear",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "celu",
    "celu_",
    "channel_shuffle",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "cosine_embedding_loss",
    "cosine_similarity",
    "cross_entropy",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "elu",
    "elu_",
    "embedding",
    "feature_alpha_dropout",
    "fold",
    "gaussian_nll_loss",
    "gelu",
    "glu",
    "group_norm",
    "gumbel_softmax",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "hardtanh_",
    "hinge_embedding_loss",
    "huber_loss",
    "instance_norm",
    "interpolate",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "leaky_relu_",
    "linear",
    "local_response_norm",
    "log_softmax",
    "logsigmoid",
    "lp_pool1d",
    "lp_pool2d",
    "margin_ranking_loss",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "mish",
    "mse_loss",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "nll_loss",
    "normalize",
    "one_hot",
    "pad",
    "pairwise_distance",
    "pdist",
    "pixel_shuffle",
    "pixel_unshuffle",
    "poisson_nll_loss",
    "prelu",
    "relu",
    "relu6",
    "relu_",
    "rms_norm",
    "rrelu",
    "rrelu_",
    "scaled_dot_product_attention",
    "selu",
    "selu_",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "soft_margin_loss",
    "softmax",
    "softmin",
    "softplus",
    "softshrink",
    "softsign",
    "tanh",
    "tanhshrink",
    "threshold",
    "threshold_",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
    "unfold",
]


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(input, 0); gradient 0 at 0."""
    return _applied(functions.relu, input, inplace=inplace)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """Input limited to [0, 6]; gradient 0 at both ends."""
    return _applied(activations.relu6, input, inplace=inplace)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """Input above 0, negative_slope * input below; gradient negative_slope at 0."""
    return _applied(activations.leaky_relu, input, inplace=inplace, negative_slope=negative_slope)


def rrelu(
    input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False, inplace: bool = False
) -> Tensor:
    """`leaky_relu` with the mean of the two slopes, as outside of training.

    Raises:
        NotImplementedError: training, which draws the slopes.
    """
    if lower > upper:
        raise RuntimeError(f"Lower bound should be less than or equal to the upper bound, got {lower} and {upper}")
    if training:
        raise NotImplementedError("rrelu(training=True) draws random slopes, which the reference does not")
    return leaky_relu(input, (lower + upper) / 2, inplace)


def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """Input limited to [min_val, max_val]; gradient 0 at both ends.

    Raises:
        ValueError: min_val is larger than max_val.
    """
    if min_val > max_val:
        raise ValueError("min_val cannot be greater than max_val")
    return _applied(activations.hardtanh, input, inplace=inplace, min_val=min_val, max_val=max_val)


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """(input + 3) / 6 limited to [0, 1]; gradient 0 at both ends."""
    return _applied(activations.hardsigmoid, input, inplace=inplace)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """Input times its `hardsigmoid`; gradient 0 at -3, 1 at 3."""
    return _applied(activations.hardswish, input, inplace=inplace)


def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """Input moved towards 0 by lambd, 0 in [-lambd, lambd]; gradient 0 at both ends.

    Raises:
        RuntimeError: lambd is negative.
    """
    if not 0 <= lambd <= np.finfo(input.array.dtype).max:
        raise RuntimeError(f"lambda must be in range [0, the largest {input.dtype}] for input dtype, but found {lambd}")
    out: Tensor = activations.softshrink(input, lambd=lambd)
    return out


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """Input above 0, alpha * (exp(input) - 1) below; gradient alpha at 0."""
    return _applied(activations.elu, input, inplace=inplace, alpha=alpha)


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """`elu` with the scale and alpha that keep mean 0 and variance 1."""
    return _applied(activations.selu, input, inplace=inplace)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """Input above 0, alpha * (exp(input / alpha) - 1) below; gradient 1 at 0.

    Raises:
        RuntimeError: alpha is 0.
    """
    if alpha == 0:
        raise RuntimeError("ZeroDivisionError: alpha cannot be 0 for CELU")
    return _applied(activations.celu, input, inplace=inplace, alpha=alpha)


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """Input times the distribution function of the standard normal distribution, or a formula with tanh for it.

    Raises:
        RuntimeError: `approximate` is neither "none" nor "tanh".
    """
    out: Tensor = activations.gelu(input, approximate=approximate)
    return out


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """Input times its sigmoid."""
    return _applied(activations.silu, input, inplace=inplace)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """Input times tanh(log(1 + exp(input)))."""
    return _applied(activations.mish, input, inplace=inplace)


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + exp(beta * input)) / beta, and input itself where beta * input is above the threshold."""
    out: Tensor = activations.softplus(input, beta=beta, threshold=threshold)
    return out


def softsign(input: Tensor) -> Tensor:
    """input / (1 + abs(input))."""
    out: Tensor = input / (functions.abs(input) + 1)
    return out


def logsigmoid(input: Tensor) -> Tensor:
    """log(sigmoid(input)), without cancellation."""
    out: Tensor = activations.logsigmoid(input)
    return out


def tanhshrink(input: Tensor) -> Tensor:
    """input - tanh(input)."""
    out: Tensor = input - tanh(input)
    return out


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """Input above the threshold, else a value; gradient 0 at the threshold."""
    return _applied(functions.threshold, input, inplace=inplace, threshold=threshold, value=value)


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """The first half along `dim` times the sigmoid of the second.

    Raises:
        RuntimeError: the dimension has an odd length.
    """
    n = input.array.shape[dim] if input.array.ndim else 1
    if n % 2:
        raise RuntimeError(f"Halving dimension must be even, but dimension {dim} is size {n}")
    half = n // 2
    out: Tensor = functions.narrow(input, dim, 0, half) * sigmoid(functions.narrow(input, dim, half, half))
    return out


def softmax(input: Tensor, dim: int | None = None, *, dtype: DType | None = None) -> Tensor:
    """exp(input) / sum(exp(input)) along `dim`."""
    return functions.softmax(_of_type(input, dtype), _given("softmax", dim, input))


def softmin(input: Tensor, dim: int | None = None, *, dtype: DType | None = None) -> Tensor:
    """The softmax of -input."""
    return functions.softmax(-_of_type(input, dtype), _given("softmin", dim, input))


def log_softmax(input: Tensor, dim: int | None = None, *, dtype: DType | None = None) -> Tensor:
    """The logarithm of `softmax`, without cancellation."""
    return functions.log_softmax(_of_type(input, dtype), _given("log_softmax", dim, input))


def _of_type(x: Tensor, dtype: DType | None) -> Tensor:
    return x if dtype is None else functions.to(x, dtype)


def _given(name: str, dim: int | None, x: Tensor) -> int:
    """Return the dimension; a missing one is guessed, with a warning: that of the classes, if batches come first."""
    if dim is None:
        warnings.warn(
            f"Implicit dimension choice for {name} has been deprecated. Change the call to include dim=X as an argument.",
            UserWarning,
            stacklevel=3,
        )
        return 0 if x.array.ndim in (0, 1, 3) else 1
    return dim


def _applied(function: Callable[..., Any], x: Tensor, *, inplace: bool, **params: Any) -> Tensor:
    """Return the function of x, or x overwritten with it; the backward then uses a copy of the old values."""
    y: Tensor = function(functions.clone(x) if inplace else x, **params)
    return x.copy_(y) if inplace else y


def _overwriting(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def form(input: Tensor, *args: Any, **params: Any) -> Tensor:
        return function(input, *args, **params, inplace=True)

    form.__name__ = form.__qualname__ = f"{function.__name__}_"
    form.__doc__ = f"`{function.__name__}`, in place."
    return form


celu_, elu_, hardtanh_, leaky_relu_ = (_overwriting(f) for f in (celu, elu, hardtanh, leaky_relu))
relu_, rrelu_, selu_, threshold_ = (_overwriting(f) for f in (relu, rrelu, selu, threshold))
