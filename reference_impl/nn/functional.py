"""`torch.nn.functional`: what layers compute, as functions of tensors.

>>> import reference_impl as torch
>>> import reference_impl.nn.functional as F
>>> F.relu(torch.tensor([-1.0, 2.0]))
tensor([0., 2.])
"""

from __future__ import annotations

from typing import Any

from reference_impl import functions
from reference_impl.dtypes import DType
from reference_impl.functions import sigmoid, tanh
from reference_impl.nn.linear import bilinear, linear
from reference_impl.tensor import Tensor

__all__ = ["bilinear", "linear", "log_softmax", "relu", "sigmoid", "softmax", "softmin", "tanh"]


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(input, 0); gradient 0 at 0."""
    out: Tensor = functions.relu(input)
    return _written(input, out, inplace=inplace)


def softmax(input: Tensor, dim: int | None = None, *, dtype: DType | None = None) -> Tensor:
    """exp(input) / sum(exp(input)) along `dim`.

    Raises:
        TypeError: no `dim` is given.
    """
    return functions.softmax(_of_type(input, dtype), _given("softmax", dim))


def softmin(input: Tensor, dim: int | None = None, *, dtype: DType | None = None) -> Tensor:
    """The softmax of -input.

    Raises:
        TypeError: no `dim` is given.
    """
    return functions.softmax(-_of_type(input, dtype), _given("softmin", dim))


def log_softmax(input: Tensor, dim: int | None = None, *, dtype: DType | None = None) -> Tensor:
    """The logarithm of `softmax`, without cancellation.

    Raises:
        TypeError: no `dim` is given.
    """
    return functions.log_softmax(_of_type(input, dtype), _given("log_softmax", dim))


def _of_type(x: Tensor, dtype: DType | None) -> Tensor:
    return x if dtype is None else functions.to(x, dtype)


def _given(name: str, dim: int | None) -> int:
    """Return the dimension. PyTorch guesses a missing one, with a warning that it will not do so for ever."""
    if dim is None:
        raise TypeError(f"{name}() missing required argument: 'dim'")
    return dim


def _written(x: Tensor, y: Any, *, inplace: bool) -> Tensor:
    """Return y, or x overwritten with it."""
    out: Tensor = x.copy_(y) if inplace else y
    return out
