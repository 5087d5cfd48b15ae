"""Normalisation over features, batches, groups and channels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from reference_impl import functions as F
from reference_impl.modes import no_grad
from reference_impl.ops.convolution import convolution
from reference_impl.tensor import Tensor, rename

__all__ = ["batch_norm", "group_norm", "instance_norm", "layer_norm", "local_response_norm", "rms_norm"]


def _standardised(x: Any, dims: Any, eps: float) -> Any:
    """(x - mean) / sqrt(variance + eps) over the dimensions; the variance is over all n elements."""
    apart = F.sub(x, F.mean(x, dims, keepdim=True))
    return F.mul(apart, F.rsqrt(F.add(F.var(x, dims, correction=0, keepdim=True), eps)))


def _affine(y: Any, weight: Tensor | None, bias: Tensor | None, shape: tuple[int, ...]) -> Tensor:
    if weight is not None:
        y = F.mul(y, F.reshape(weight, shape))
    out: Tensor = y if bias is None else F.add(y, F.reshape(bias, shape))
    return out


def _trailing(
    name: str, input: Tensor, normalized_shape: Any, weight: Tensor | None, bias: Tensor | None = None
) -> tuple[int, ...]:
    """Return the dimensions that `normalized_shape` names.

    Raises:
        RuntimeError: they are not the last of the input, or not those of the weight and the bias.
    """
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    if not shape:
        raise RuntimeError(f"{name}: Expected normalized_shape to be at least 1-dimensional, got {list(shape)}")
    for what, x in (("weight", weight), ("bias", bias)):
        if x is not None and tuple(x.shape) != shape:
            raise RuntimeError(
                f"{name}: Expected {what} to be of same shape as normalized_shape, but got {what} of shape {list(x.shape)} "
                f"and normalized_shape = {list(shape)}"
            )
    if tuple(input.shape[-len(shape) :]) != shape:
        raise RuntimeError(
            f"{name}: Given normalized_shape={list(shape)}, expected input with shape [*, {', '.join(map(str, shape))}], "
            f"but got input of size {list(input.shape)}"
        )
    return tuple(range(-len(shape), 0))


def layer_norm(
    input: Tensor,
    normalized_shape: Any,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """The input with mean 0 and variance 1 over its last dimensions, times a weight, plus a bias."""
    dims = _trailing("layer_norm", input, normalized_shape, weight, bias)
    out = _affine(_standardised(input, dims, eps), weight, bias, tuple(input.shape[-len(dims) :]))
    rename(out._node, "NativeLayerNormBackward0")
    return out


def rms_norm(input: Tensor, normalized_shape: Any, weight: Tensor | None = None, eps: float | None = None) -> Tensor:
    """The input over the root of its mean square over the last dimensions, times a weight; eps is that of the dtype."""
    dims = _trailing("rms_norm", input, normalized_shape, weight)
    small = float(np.finfo(input.array.dtype).eps) if eps is None else eps
    y = F.mul(input, F.rsqrt(F.add(F.mean(F.square(input), dims, keepdim=True), small)))
    return _affine(y, weight, None, tuple(input.shape[-len(dims) :]))


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """(n, c, ...) with mean 0 and variance 1 in every channel, times a weight, plus a bias.

    Args:
        running_mean: of training batches; in training it moves by `momentum` towards the batch's, in place.
        running_var: likewise, the variance with n - 1.
        training: use the batch's own mean and variance.

    Raises:
        RuntimeError: outside training there are no running statistics, or they require grad.
        ValueError: one value a channel in training.
    """
    if input.array.ndim < 2:
        raise RuntimeError(f"batch_norm: expected at least 2D input, got {input.array.ndim}D")
    shape = (1, -1, *(1,) * (input.array.ndim - 2))
    if not training:
        if running_mean is None or running_var is None:
            raise RuntimeError("Expected running_mean and running_var to be defined when training=False")
        for name, x in (("running_mean", running_mean), ("running_var", running_var)):
            if x.requires_grad:
                raise RuntimeError(
                    f"The function 'native_batch_norm' is not differentiable with respect to argument {name!r}. This "
                    "input cannot have requires_grad True."
                )
        scale = F.rsqrt(F.add(running_var, eps))
        scale = scale if weight is None else F.mul(scale, weight)
        shift = F.neg(F.mul(running_mean, scale))
        shift = shift if bias is None else F.add(shift, bias)
        out: Tensor = F.add(F.mul(input, F.reshape(scale, shape)), F.reshape(shift, shape))
        return out
    dims = (0, *range(2, input.array.ndim))
    count = math.prod(input.array.shape[d] for d in dims)
    if count == 1:
        raise ValueError(f"Expected more than 1 value per channel when training, got input size {input.shape}")
    with no_grad():
        if running_mean is not None:
            running_mean.mul_(1 - momentum).add_(F.mul(F.mean(input.detach(), dims), momentum))
        if running_var is not None:
            running_var.mul_(1 - momentum).add_(F.mul(F.var(input.detach(), dims), momentum))
    return _affine(_standardised(input, dims, eps), weight, bias, shape)


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """(n, c, ...) with mean 0 and variance 1 in every channel of every sample, times a weight, plus a bias."""
    if not use_input_stats:
        return batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    dims = tuple(range(2, input.array.ndim))
    if math.prod(input.array.shape[2:]) == 1:
        raise ValueError(f"Expected more than 1 spatial element when training, got input size {input.shape}")
    with no_grad():
        for running, of in ((running_mean, F.mean), (running_var, F.var)):
            if running is not None:
                running.mul_(1 - momentum).add_(F.mul(F.mean(of(input.detach(), dims), 0), momentum))
    shape = (1, -1, *(1,) * len(dims))
    return _affine(_standardised(input, dims, eps), weight, bias, shape)


def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """(n, c, ...) with mean 0 and variance 1 in every group of channels of every sample, times a weight, plus a bias.

    Raises:
        RuntimeError: the channels do not divide into so many groups.
    """
    if input.array.ndim < 2:
        raise RuntimeError(f"Expected at least 2 dimensions for input tensor but received {input.array.ndim}")
    n, c = input.array.shape[:2]
    if num_groups <= 0:
        raise RuntimeError(f"Expected num groups to be greater than 0, got {num_groups}")
    for what, x in (("weight", weight), ("bias", bias)):
        if x is not None and tuple(x.shape) != (c,):
            raise RuntimeError(
                f"Expected {what} to be a vector of size equal to the number of channels in input, but got {what} of shape "
                f"{list(x.shape)} and input of shape {list(input.shape)}"
            )
    if c % num_groups:
        raise RuntimeError(
            f"Expected number of channels in input to be divisible by num_groups, but got input of shape "
            f"{list(input.shape)} and num_groups={num_groups}"
        )
    wide = F.reshape(input, (n, num_groups, input.array.size // max(n * num_groups, 1)))
    y = F.reshape(_standardised(wide, (2,), eps), tuple(input.shape))
    return _affine(y, weight, bias, (1, -1, *(1,) * (input.array.ndim - 2)))


def local_response_norm(input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Tensor:
    """(n, c, ...) over (k + alpha mean(x²))^beta, the mean over `size` neighbouring channels with zeros beyond the last."""
    if input.array.ndim < 3:
        raise ValueError(f"Expected 3D or higher dimensionality input (got {input.array.ndim} dimensions)")
    n, c = input.array.shape[:2]
    squares = F.reshape(F.square(input), (n, 1, c, math.prod(input.array.shape[2:])))
    ones = Tensor(np.ones((1, 1, size, 1), input.array.dtype))
    sums = convolution(
        squares,
        ones,
        stride=(1, 1),
        padding=((size // 2, (size - 1) // 2), (0, 0)),
        dilation=(1, 1),
        groups=1,
    )
    mean = F.div(F.reshape(sums, tuple(input.shape)), float(size))
    out: Tensor = F.div(input, F.pow(F.add(F.mul(mean, alpha), k), beta))
    return out
