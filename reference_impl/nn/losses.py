"""Losses and distances, each with `reduction` "none", "mean" or "sum"."""

from __future__ import annotations

import functools
import inspect
import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from reference_impl import functions as F
from reference_impl.dtypes import scalar_type
from reference_impl.ops import activations
from reference_impl.tensor import Tensor, rename

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cosine_embedding_loss",
    "cosine_similarity",
    "cross_entropy",
    "gaussian_nll_loss",
    "hinge_embedding_loss",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "margin_ranking_loss",
    "mse_loss",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "nll_loss",
    "normalize",
    "pairwise_distance",
    "poisson_nll_loss",
    "smooth_l1_loss",
    "soft_margin_loss",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
]


def _reduced(loss: Any, reduction: str) -> Tensor:
    """Return the loss of every element, their mean or their sum.

    Raises:
        ValueError: another reduction.
    """
    if reduction == "mean":
        return F.mean(loss)
    if reduction == "sum":
        return F.sum(loss)
    if reduction != "none":
        raise ValueError(f"{reduction} is not a valid value for reduction")
    out: Tensor = loss
    return out


def _as_one(loss: Tensor, name: str) -> Tensor:
    """Let the last node of a loss have the name of PyTorch's only one."""
    rename(loss._node, f"{name}Backward0")
    return loss


def _weighted(loss: Any, weight: Tensor | None) -> Any:
    return loss if weight is None else F.mul(loss, weight)


# -- of differences


def _difference(input: Tensor, target: Tensor) -> Any:
    """Return input - target, with a warning where one of them has to be broadcast: hardly anybody means that."""
    if input.array.shape != target.array.shape:
        warnings.warn(
            f"Using a target size ({target.shape}) that is different to the input size ({input.shape}). This will likely lead "
            "to incorrect results due to broadcasting. Please ensure they have the same size.",
            UserWarning,
            stacklevel=3,
        )
    return F.sub(input, target)


def _by_weight(loss: Any, weight: Tensor | None, reduction: str) -> Tensor:
    """Return the reduced loss; its mean with a weight for every element is over the weights.

    Raises:
        ValueError: the weight has another shape.
    """
    if weight is None:
        return _reduced(loss, reduction)
    if tuple(weight.shape) != tuple(loss.shape):
        raise ValueError("Weights and input must have the same size.")
    total = _reduced(F.mul(loss, weight), "sum" if reduction == "mean" else reduction)
    return F.div(total, F.sum(weight)) if reduction == "mean" else total


def mse_loss(input: Tensor, target: Tensor, *, reduction: str = "mean", weight: Tensor | None = None) -> Tensor:
    """(input - target)²."""
    return _as_one(_by_weight(F.square(_difference(input, target)), weight, reduction), "MseLoss")


def l1_loss(input: Tensor, target: Tensor, *, reduction: str = "mean", weight: Tensor | None = None) -> Tensor:
    """|input - target|; gradient 0 where they are equal."""
    return _by_weight(F.abs(_difference(input, target)), weight, reduction)


def _quadratic_near_zero(apart: Any, width: float) -> Any:
    """d²/2 up to |d| = width, then width (|d| - width / 2), as one product without a branch."""
    near = F.clamp(apart, min=-width, max=width)
    return F.mul(near, F.sub(apart, F.mul(near, 0.5)))


def smooth_l1_loss(input: Tensor, target: Tensor, *, reduction: str = "mean", beta: float = 1.0) -> Tensor:
    """d² / (2 beta) for a difference d below beta, |d| - beta / 2 beyond; with beta = 0 the same as `l1_loss`.

    Raises:
        RuntimeError: beta is negative.
    """
    if beta < 0:
        raise RuntimeError(f"smooth_l1_loss does not support negative values for beta, got {beta}")
    if beta == 0:
        return l1_loss(input, target, reduction=reduction)
    loss = _quadratic_near_zero(_difference(input, target), beta)
    return _as_one(_reduced(loss if beta == 1 else F.div(loss, beta), reduction), "SmoothL1Loss")


def huber_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0, weight: Tensor | None = None
) -> Tensor:
    """d² / 2 for a difference d below delta, delta (|d| - delta / 2) beyond.

    Raises:
        RuntimeError: delta is not positive.
    """
    if delta <= 0:
        raise RuntimeError(f"huber_loss does not support non-positive values for delta, got {delta}")
    loss = _weighted(_quadratic_near_zero(_difference(input, target), delta), weight)
    return _as_one(_reduced(loss, reduction), "HuberLoss")


# -- of probabilities


def _classes(name: str, target: Any, input: Tensor, ignore_index: int) -> tuple[Any, Any]:
    """Return the class of every element, 0 where it is ignored, and which are not.

    Raises:
        ValueError: the target has not the shape of the input without its classes.
        IndexError: a class is out of range.
        RuntimeError: the classes are neither int64 nor uint8.
    """
    places = np.asarray(target.array if isinstance(target, Tensor) else target)
    shape = input.shape[:1] + input.shape[2:] if input.array.ndim > 1 else ()
    if places.dtype.name not in ("int64", "uint8"):
        raise RuntimeError(f"{name}: expected target dtype to be Long or Byte, but got {scalar_type(places.dtype)}")
    if places.ndim and shape and places.shape[0] != shape[0]:
        raise ValueError(
            f"{name}: Expected input batch_size ({shape[0]}) to match target batch_size ({places.shape[0]})."
        )
    if tuple(places.shape) != tuple(shape):
        raise ValueError(f"{name}: expected a target of shape {tuple(shape)}, got {tuple(places.shape)}")
    counted = places != ignore_index
    n = input.array.shape[1 if input.array.ndim > 1 else 0]
    kept = np.where(counted, places, 0).astype(np.int64)
    if kept.size and not (kept.min() >= 0 and kept.max() < n):
        raise IndexError(f"Target {kept.min() if kept.min() < 0 else kept.max()} is out of bounds.")
    return kept, counted


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    *,
    reduction: str = "mean",
) -> Tensor:
    """-input at the class of each element, times the class's weight; the mean is over the weights.

    Args:
        input: log-probabilities (c,), (n, c) or (n, c, ...).
        target: a class for each element of the input without its classes; `ignore_index` counts as nothing.
    """
    classes, counted = _classes("nll_loss", target, input, ignore_index)
    dim = 1 if input.array.ndim > 1 else 0
    picked = F.neg(F.squeeze(F.gather(input, dim, np.expand_dims(classes, dim)), dim))
    if weight is not None:
        picked = F.mul(picked, F.reshape(F.index_select(weight.detach(), 0, classes.reshape(-1)), classes.shape))
    if not counted.all():
        picked = F.where(Tensor(counted), picked, 0.0)
    out = _reduced(picked, reduction) if reduction != "mean" else F.div(F.sum(picked), _total(weight, classes, counted))
    return _as_one(out, "NllLoss" if input.array.ndim < 3 else "NllLoss2D")


def _total(weight: Tensor | None, classes: Any, counted: Any) -> Any:
    """Return the sum of the weights of the elements that count."""
    if weight is None:
        return float(np.count_nonzero(counted))
    return F.sum(F.index_select(weight.detach(), 0, classes[counted]))


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    *,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """`nll_loss` of the log-softmax of the input, for classes or, in the shape of the input, probabilities of classes.

    Args:
        label_smoothing: this share of every target is spread over all classes.

    Raises:
        RuntimeError: label_smoothing is not between 0 and 1.
    """
    if not 0.0 <= label_smoothing <= 1.0:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
    dim = 1 if input.array.ndim > 1 else 0
    n = input.array.shape[dim]
    logs = F.log_softmax(input, dim)
    spread = (-1, *(1,) * (input.array.ndim - 2)) if dim else (-1,)
    if target.array.dtype.kind == "f" and target.shape == input.shape:
        if label_smoothing:
            target = F.add(F.mul(target, 1 - label_smoothing), label_smoothing / n)
        terms = F.mul(logs, target)
        if weight is not None:
            terms = F.mul(terms, F.reshape(weight, spread))
        losses = F.neg(F.sum(terms, dim))
        return F.div(F.sum(losses), float(losses.numel())) if reduction == "mean" else _reduced(losses, reduction)
    nll = nll_loss(logs, target, weight, ignore_index, reduction=reduction)
    if not label_smoothing:
        return nll
    classes, counted = _classes("cross_entropy", target, input, ignore_index)
    terms = logs if weight is None else F.mul(logs, F.reshape(weight.detach(), spread))
    smooth = F.neg(F.sum(terms, dim))
    if not counted.all():
        smooth = F.where(Tensor(counted), smooth, 0.0)
    if reduction == "mean":
        smooth = F.div(F.sum(smooth), _total(weight, classes, counted))
    else:
        smooth = _reduced(smooth, reduction)
    out: Tensor = F.add(F.mul(nll, 1 - label_smoothing), F.mul(smooth, label_smoothing / n))
    return out


# Of the logarithms in `binary_cross_entropy` and their slope at 0; PyTorch keeps its 1e-12 as a float32.
_LOWEST, _STEEPEST = -100.0, 1 / float(np.float32(1e-12))


def _log_of(x: Any, apart: Any, log: Any, function: Any) -> Any:
    """The logarithm of a probability, at least -100, with slope 1e12 at 0 and, where it is 0, none.

    Args:
        x: the probability.
        apart: 1 - x.
        log: what `function` takes: x for log, -apart for log1p.
    """
    zero, one = F.eq(x, 0.0), F.eq(apart, 0.0)
    inside = F.clamp(function(F.where(F.logical_or(zero, one), -0.5 if function is F.log1p else 0.5, log)), min=_LOWEST)
    return F.where(zero, F.add(F.mul(x, _STEEPEST), _LOWEST), F.where(one, 0.0, inside))


def binary_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None, *, reduction: str = "mean"
) -> Tensor:
    """-(target log(input) + (1 - target) log(1 - input)) of probabilities; the logarithms are at least -100.

    At an input of exactly 0 or 1 the gradient is (input - target) 1e12, as in PyTorch.

    Raises:
        ValueError: the shapes differ.
        RuntimeError: a number is not between 0 and 1.
    """
    if tuple(target.shape) != tuple(input.shape):
        raise ValueError(
            f"Using a target size ({tuple(target.shape)}) that is different to the input size ({tuple(input.shape)}) is "
            "deprecated. Please ensure they have the same size."
        )
    for name, x in (("input", input), ("target", target)):
        if isinstance(x.array, np.ndarray) and not ((x.array >= 0) & (x.array <= 1)).all():
            raise RuntimeError(f"all elements of {name} should be between 0 and 1")
    apart = F.sub(1.0, input)
    there = F.mul(target, _log_of(input, apart, input, F.log))
    elsewhere = F.mul(F.sub(target, 1.0), _log_of(apart, input, F.neg(input), F.log1p))
    return _as_one(_reduced(_weighted(F.sub(elsewhere, there), weight), reduction), "BinaryCrossEntropy")


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """`binary_cross_entropy` of sigmoid(input), without its overflow; `pos_weight` weighs the target's part."""
    if tuple(target.shape) != tuple(input.shape):
        raise ValueError(f"Target size ({tuple(target.shape)}) must be the same as input size ({tuple(input.shape)})")
    logs = activations.logsigmoid(input)
    if pos_weight is not None:
        logs = F.mul(logs, F.add(F.mul(F.sub(pos_weight, 1.0), target), 1.0))
    loss = F.sub(F.mul(F.sub(1.0, target), input), logs)
    return _as_one(_reduced(_weighted(loss, weight), reduction), "BinaryCrossEntropyWithLogits")


def kl_div(input: Tensor, target: Tensor, *, reduction: str = "mean", log_target: bool = False) -> Tensor:
    """target (log(target) - input) of log-probabilities; "batchmean" is the sum over the length of the first dimension.

    At a target of 0 the slope in the target is infinite; the gradient there is nan, as in PyTorch.

    Args:
        log_target: the target holds logarithms, too.
    """
    if log_target:
        loss = F.mul(F.exp(target), F.sub(target, input))
    else:
        loss = F.sub(F.xlogy(target, target), F.mul(target, input))
    if reduction == "batchmean":
        out: Tensor = F.div(F.sum(loss), float(input.array.shape[0]))
        return out
    return _reduced(loss, reduction)


def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    eps: float = 1e-8,
    *,
    reduction: str = "mean",
) -> Tensor:
    """exp(input) - target input; of a rate, not its logarithm, input - target log(input + eps).

    Args:
        full: adds Stirling's approximation of log(target!) where the target is above 1.
    """
    if log_input:
        loss = F.sub(F.exp(input), F.mul(target, input))
    else:
        loss = F.sub(input, F.mul(target, F.log(F.add(input, eps))))
    if full:
        safe = F.where(F.gt(target, 1.0), target, 1.0)
        half_log = F.mul(F.log(F.mul(safe, 2 * math.pi)), 0.5)
        stirling = F.add(F.sub(F.mul(safe, F.log(safe)), safe), half_log)
        loss = F.add(loss, F.where(F.gt(target, 1.0), stirling, 0.0))
    return _reduced(loss, reduction)


def gaussian_nll_loss(
    input: Tensor, target: Tensor, var: Any, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Tensor:
    """(log(var) + (input - target)² / var) / 2; a variance below eps counts as eps and keeps its gradient.

    Raises:
        ValueError: a variance is negative, or its shape fits neither the input nor the input without its last dimension.
    """
    variance = F.add(F.mul(input.detach(), 0.0), var) if isinstance(var, float) else var
    if variance.array.shape != input.array.shape:
        if variance.array.shape == input.array.shape[:-1]:
            variance = F.unsqueeze(variance, dim=-1)
        elif variance.array.shape != (*input.array.shape[:-1], 1):
            raise ValueError("var is of incorrect size")
    if isinstance(variance.array, np.ndarray) and (variance.array < 0).any():
        raise ValueError("var has negative entry/entries")
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not valid")
    variance = _at_least(variance, eps)
    loss = F.mul(F.add(F.log(variance), F.div(F.square(_difference(input, target)), variance)), 0.5)
    return _reduced(F.add(loss, 0.5 * math.log(2 * math.pi)) if full else loss, reduction)


def _at_least(x: Any, lowest: float) -> Any:
    """x, `lowest` where it is below, and the gradient of x everywhere: what writing without gradient does."""
    return F.where(F.lt(x, lowest), F.add(F.sub(x, x.detach()), lowest), x)


# -- of margins


def hinge_embedding_loss(input: Tensor, target: Tensor, margin: float = 1.0, *, reduction: str = "mean") -> Tensor:
    """The input where the target is 1, max(0, margin - input) where it is -1."""
    beyond = F.where(F.ne(target, 1), F.clamp(F.sub(margin, input), min=0.0), 0.0)
    return _reduced(F.add(beyond, F.where(F.ne(target, -1), input, 0.0)), reduction)


def margin_ranking_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0, *, reduction: str = "mean"
) -> Tensor:
    """max(0, margin - target (input1 - input2)).

    Raises:
        RuntimeError: the three have different numbers of dimensions.
    """
    if not input1.array.ndim == input2.array.ndim == target.array.ndim:
        raise RuntimeError(
            "margin_ranking_loss : All input tensors should have same dimension but got sizes: "
            f"input1: {list(input1.shape)}, input2: {list(input2.shape)}, target: {list(target.shape)}"
        )
    loss = F.add(F.mul(F.neg(target), F.sub(input1, input2)), margin)
    return _reduced(F.clamp(loss, min=0.0), reduction)


def soft_margin_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """log(1 + exp(-target input)).

    Raises:
        RuntimeError: the target requires grad.
    """
    if target.requires_grad:
        raise RuntimeError(
            "The function 'soft_margin_loss' is not differentiable with respect to argument 'target'. This input cannot "
            "have requires_grad True."
        )
    return _reduced(F.log1p(F.exp(F.mul(input, F.neg(target)))), reduction)


def cosine_embedding_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0, *, reduction: str = "mean"
) -> Tensor:
    """1 - cos of the angle between rows where the target is 1, max(0, cos - margin) where it is -1."""
    dim = 1 if target.array.ndim == 1 else 0
    sizes = [F.add(F.sum(F.mul(x, x), dim), 1e-12) for x in (input1, input2)]
    cosines = F.div(F.sum(F.mul(input1, input2), dim), F.sqrt(F.mul(*sizes)))
    near = F.where(F.eq(target, 1), F.sub(1.0, cosines), 0.0)
    far = F.where(F.eq(target, -1), F.clamp(F.sub(cosines, margin), min=0.0), 0.0)
    return _reduced(F.add(near, far), reduction)


def pairwise_distance(x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Tensor:
    """The p-norm of x1 - x2 + eps along the last dimension."""
    return F.norm(F.add(F.sub(x1, x2), eps), p, -1, keepdim)


def _of_one_rank(anchor: Tensor, positive: Tensor, negative: Tensor) -> None:
    ranks = [x.array.ndim for x in (anchor, positive, negative)]
    if len(set(ranks)) > 1:
        raise RuntimeError(
            "The anchor, positive, and negative tensors are expected to have the same number of dimensions, but got: anchor "
            f"{ranks[0]}D, positive {ranks[1]}D, and negative {ranks[2]}D inputs"
        )


def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    *,
    reduction: str = "mean",
) -> Tensor:
    """max(0, margin + distance(anchor, positive) - distance(anchor, negative)).

    Args:
        swap: the distance of positive and negative counts where it is smaller than that of anchor and negative.
    """
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    _of_one_rank(anchor, positive, negative)
    near = pairwise_distance(anchor, positive, p, eps)
    far = pairwise_distance(anchor, negative, p, eps)
    if swap:
        far = F.minimum(far, pairwise_distance(positive, negative, p, eps))
    return _reduced(F.clamp(F.sub(F.add(near, margin), far), min=0.0), reduction)


def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """max(0, margin + distance(anchor, positive) - distance(anchor, negative)) of any distance.

    Args:
        distance_function: of two tensors; `pairwise_distance` by default.
        swap: the distance of positive and negative counts where it is smaller than that of anchor and negative.
    """
    _reduction(reduction)
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    _of_one_rank(anchor, positive, negative)
    distance = pairwise_distance if distance_function is None else distance_function
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = F.minimum(far, distance(positive, negative))
    return _reduced(F.clamp(F.add(F.sub(near, far), margin), min=0.0), reduction)


# -- of several classes


def _reduction(name: str) -> None:
    if name not in ("mean", "sum", "none"):
        raise ValueError(f"{name} is not a valid value for reduction")


def _rows(input: Tensor) -> Tensor:
    """The input as a matrix, of one row if it is a vector.

    Raises:
        RuntimeError: it has other dimensions, or no classes.
    """
    if input.array.ndim > 2 or (input.array.ndim and not input.array.shape[-1]):
        raise RuntimeError(
            f"Expected non-empty vector or matrix with optional 0-dim batch size, but got: {list(input.array.shape)}"
        )
    return input if input.array.ndim == 2 else F.reshape(input, (1, -1))


def _longs(target: Tensor) -> Any:
    if target.array.dtype != np.int64:
        raise RuntimeError(f"expected scalar type Long but found {scalar_type(target.array.dtype)}")
    return target.array


def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    *,
    reduction: str = "mean",
) -> Tensor:
    """The mean over the other classes of max(0, margin - x[target] + x)^p; where it is 0 the gradient is.

    Args:
        input: of shape (N, C) or (C,).
        target: the right class of each row.
        p: 1 or 2.
        weight: of each class.

    Raises:
        ValueError: p is something else.
        RuntimeError: the shapes do not fit.
    """
    if p not in (1, 2):
        raise ValueError("only p == 1 and p == 2 supported")
    _reduction(reduction)
    if weight is not None and weight.array.ndim != 1:
        raise ValueError("weight must be one-dimensional")
    rows = _rows(input)
    count, classes = rows.array.shape
    if target.array.ndim > 1 or target.array.size != count:
        raise RuntimeError(
            f"target tensor should be 1-D with size equal to the batch size. Expected target size [{count}], but got "
            f"{list(target.array.shape)}"
        )
    if weight is not None and weight.array.size != classes:
        raise RuntimeError(f"inconsistent weight size, expected {classes} but got {list(weight.array.shape)}")
    labels = _longs(target).reshape(-1)
    own = F.gather(rows, 1, Tensor(labels[:, None]))
    over = F.relu(F.add(F.sub(rows, own), margin))
    powers = over if p == 1 else F.mul(over, over)
    if weight is not None:
        powers = F.mul(powers, F.reshape(F.index_select(weight, 0, Tensor(labels)), (-1, 1)))
    others = np.arange(classes) != labels[:, None]
    losses = F.div(F.sum(F.where(Tensor(others), powers, 0.0), 1), float(classes))
    return _reduced(losses if input.array.ndim == 2 else F.reshape(losses, ()), reduction)


def multilabel_margin_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """The sum over right and wrong classes of max(0, 1 - x[right] + x[wrong]), over the number of classes.

    Args:
        input: of shape (N, C) or (C,).
        target: of the same shape: the right classes of each row, up to the first -1.

    Raises:
        RuntimeError: the shapes differ.
    """
    _reduction(reduction)
    rows = _rows(input)
    if input.array.shape != target.array.shape:
        raise RuntimeError(
            f"inconsistent target size: {list(target.array.shape)} for input of size: {list(input.array.shape)}"
        )
    labels = _longs(target).reshape(rows.array.shape)
    classes = labels.shape[1]
    listed = np.logical_and.accumulate(labels >= 0, axis=1)
    right = ((labels[:, :, None] == np.arange(classes)) & listed[:, :, None]).any(axis=1)
    own = F.gather(rows, 1, Tensor(np.where(listed, labels, 0)))
    over = F.relu(F.add(F.sub(F.unsqueeze(rows, 1), F.unsqueeze(own, 2)), 1.0))
    counts = listed[:, :, None] & ~right[:, None, :]
    losses = F.div(F.sum(F.where(Tensor(counts), over, 0.0), (1, 2)), float(max(classes, 1)))
    return _reduced(losses if input.array.ndim == 2 else F.reshape(losses, ()), reduction)


def multilabel_soft_margin_loss(
    input: Tensor, target: Tensor, weight: Tensor | None = None, *, reduction: str = "mean"
) -> Tensor:
    """The mean over the classes, the last dimension, of the cross entropy of each label with its logit."""
    right, wrong = activations.logsigmoid(input), activations.logsigmoid(F.neg(input))
    losses = F.neg(F.add(F.mul(target, right), F.mul(F.rsub(target, 1), wrong)))
    return _reduced(F.mean(_weighted(losses, weight), -1), reduction)


# -- directions


def normalize(input: Tensor, p: float = 2.0, dim: Any = 1, eps: float = 1e-12) -> Tensor:
    """The input over its p-norm along `dim`, which counts as at least eps."""
    out: Tensor = F.div(input, F.clamp(F.norm(input, p, dim, keepdim=True), min=eps))
    return out


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """The cosine of the angle between vectors along `dim`; a norm below eps counts as eps and keeps its gradient."""
    if x1.array.shape != x2.array.shape:  # the vectors are those of the common shape
        shape = np.broadcast_shapes(x1.array.shape, x2.array.shape)
        x1, x2 = F.expand(x1, shape), F.expand(x2, shape)
    units = [F.div(x, _at_least(F.vector_norm(x, 2, dim, keepdim=True), eps)) for x in (x1, x2)]
    return F.sum(F.mul(*units), dim)


# -- what PyTorch had before `reduction`


def _with_old_arguments(loss: Callable[..., Tensor]) -> Callable[..., Tensor]:
    @functools.wraps(loss)
    def reduced(*args: Any, size_average: bool | None = None, reduce: bool | None = None, **named: Any) -> Tensor:
        if size_average is not None or reduce is not None:
            named["reduction"] = "none" if reduce is False else "sum" if size_average is False else "mean"
            warnings.warn(
                f"size_average and reduce args will be deprecated, please use reduction='{named['reduction']}' instead.",
                UserWarning,
                stacklevel=2,
            )
        return loss(*args, **named)

    return reduced


for _name in __all__:
    if "reduction" in inspect.signature(globals()[_name]).parameters:
        globals()[_name] = _with_old_arguments(globals()[_name])
