"""What draws random numbers: dropout of elements or channels, and the Gumbel softmax."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from reference_impl import functions as F
from reference_impl import random
from reference_impl.tensor import Tensor

__all__ = ["alpha_dropout", "dropout", "dropout1d", "dropout2d", "dropout3d", "feature_alpha_dropout", "gumbel_softmax"]


def _probability(p: float) -> None:
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")


def _scaled(input: Tensor, shape: tuple[int, ...], p: float, inplace: bool) -> Tensor:
    kept = random.rand(*shape).array >= p
    scale = Tensor((kept / (1 - p) if p < 1 else np.zeros(shape)).astype(input.array.dtype))
    out: Tensor = input.mul_(scale) if inplace else F.mul(input, scale)
    return out


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """In training each element becomes 0 with probability p and is divided by 1 - p otherwise; else the input itself.

    Raises:
        ValueError: p is no probability.
    """
    _probability(p)
    return input if not training or p == 0 else _scaled(input, input.array.shape, p, inplace)


def _of_channels(name: str, rank: int, input: Tensor, p: float, training: bool, inplace: bool) -> Tensor:
    _probability(p)
    ndim = input.array.ndim
    if ndim not in (rank + 1, rank + 2):
        message = f"{name}: Received a {ndim}-D input to {name}, which expects {rank + 1}-D or {rank + 2}-D inputs"
        if rank == 1:
            raise RuntimeError(message)
        warnings.warn(message, stacklevel=3)
    if not training or p == 0:
        return input
    lead = 1 if ndim == rank + 1 and rank != 2 else 2  # PyTorch takes three dimensions of dropout2d for (n, c, length)
    return _scaled(input, (*input.array.shape[:lead], *(1,) * (ndim - lead)), p, inplace)


def dropout1d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """The same for whole channels of (n, c, length) or (c, length)."""
    return _of_channels("dropout1d", 1, input, p, training, inplace)


def dropout2d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """The same for whole channels of (n, c, height, width) or (c, height, width)."""
    return _of_channels("dropout2d", 2, input, p, training, inplace)


def dropout3d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """The same for whole channels of (n, c, depth, height, width) or (c, depth, height, width)."""
    return _of_channels("dropout3d", 3, input, p, training, inplace)


_LEAST = -1.7580993408473766  # of selu: -scale * alpha


def _alpha(input: Tensor, shape: tuple[int, ...], p: float, inplace: bool) -> Tensor:
    """Elements that fall out get selu's least value; a scale and a shift keep mean and variance (Klambauer et al. 2017)."""
    if p == 1:
        nothing: Tensor = F.mul(input, 0.0)
        return nothing
    kept = (random.rand(*shape).array >= p).astype(input.array.dtype)
    scale = ((1 - p) * (1 + p * _LEAST**2)) ** -0.5
    shift = Tensor((kept - 1) * -_LEAST * scale + scale * -_LEAST * p)
    out: Tensor = F.add(F.mul(input, Tensor(kept * scale)), shift)
    return input.copy_(out) if inplace else out


def alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """Dropout that keeps the mean and the variance of what selu gives.

    Raises:
        ValueError: p is no probability.
    """
    _probability(p)
    return input if not training or p == 0 else _alpha(input, input.array.shape, p, inplace)


def feature_alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """The same for whole channels.

    Raises:
        ValueError: p is no probability.
    """
    _probability(p)
    shape = (*input.array.shape[:2], *(1,) * (input.array.ndim - 2))
    return input if not training or p == 0 else _alpha(input, shape, p, inplace)


def gumbel_softmax(logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1) -> Tensor:
    """A sample of a category, softened by a temperature (Jang et al. 2017).

    Args:
        logits: logarithms of probabilities, not normalised.
        tau: the temperature.
        hard: give the category itself, with the gradient of the soft sample.
        eps: taken for PyTorch's sake.
        dim: along which the categories lie.
    """
    uniform = random.rand(*logits.shape, dtype=logits.dtype).array
    tiny: Any = np.finfo(uniform.dtype).tiny
    noise = Tensor(-np.log(np.maximum(-np.log(np.maximum(uniform, tiny)), tiny)))
    soft: Tensor = F.softmax(F.div(F.add(logits, noise), tau), dim)
    if not hard:
        return soft
    picked = np.zeros(soft.array.shape, soft.array.dtype)
    np.put_along_axis(picked, np.expand_dims(soft.array.argmax(dim), dim), 1, dim)
    out: Tensor = F.add(F.sub(Tensor(picked), soft.detach()), soft)
    return out
