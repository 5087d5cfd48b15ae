"""PyTorch's spelling over a module that is spelled as NumPy, so that a workload is written once.

`NumpySpelling(jax.numpy)` is the `T` of `Workload.function` for JAX; NumPy itself and the `autograd` package work alike. It
has the functions that workloads use, with `dim` and `keepdim`.

>>> import numpy as np
>>> T = NumpySpelling(np)
>>> T.sum(T.exp(np.zeros((2, 3))), dim=0).tolist()
[2.0, 2.0, 2.0]
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

__all__ = ["NumpySpelling"]

_SAME = "exp log sin cos tan tanh sqrt square abs sign maximum minimum where matmul dot outer log1p expm1 zeros".split()


class NumpySpelling:
    """A namespace of functions over `xp`.

    Args:
        xp: a module such as `numpy`.
        value_and_gradient: ``value_and_gradient(f, x)`` of that module's differentiation, for functions that
            differentiate inside.
    """

    def __init__(self, xp: Any, value_and_gradient: Callable[..., Any] | None = None) -> None:
        self.xp = xp
        self.value_and_gradient = value_and_gradient
        for name in _SAME:
            setattr(self, name, getattr(xp, name))

    def sum(self, x: Any, dim: Any = None, keepdim: bool = False) -> Any:
        """The sum over `dim`."""
        return self.xp.sum(x, axis=dim, keepdims=keepdim)

    def mean(self, x: Any, dim: Any = None, keepdim: bool = False) -> Any:
        """The mean over `dim`."""
        return self.xp.mean(x, axis=dim, keepdims=keepdim)

    def amax(self, x: Any, dim: Any = None, keepdim: bool = False) -> Any:
        """The largest over `dim`."""
        return self.xp.max(x, axis=dim, keepdims=keepdim)

    def amin(self, x: Any, dim: Any = None, keepdim: bool = False) -> Any:
        """The smallest over `dim`."""
        return self.xp.min(x, axis=dim, keepdims=keepdim)

    def prod(self, x: Any, dim: Any = None) -> Any:
        """The product over `dim`."""
        return self.xp.prod(x, axis=dim)

    def logsumexp(self, x: Any, dim: Any) -> Any:
        """The logarithm of the sum of exponentials over `dim`, the largest taken out first."""
        top = self.xp.max(x, axis=dim, keepdims=True)
        total = self.xp.sum(self.xp.exp(x - top), axis=dim, keepdims=True)
        return self.xp.squeeze(self.xp.log(total) + top, axis=dim)

    def sigmoid(self, x: Any) -> Any:
        """The logistic function."""
        return 0.5 * (self.xp.tanh(0.5 * x) + 1)

    def relu(self, x: Any) -> Any:
        """The positive part."""
        return self.xp.maximum(x, 0)

    def cat(self, xs: Sequence[Any], dim: int = 0) -> Any:
        """Arrays joined along `dim`."""
        return self.xp.concatenate(xs, axis=dim)

    def stack(self, xs: Sequence[Any], dim: int = 0) -> Any:
        """Arrays joined along a new dimension."""
        return self.xp.stack(xs, axis=dim)

    def reshape(self, x: Any, shape: tuple[int, ...]) -> Any:
        """The elements in another shape."""
        return self.xp.reshape(x, shape)

    def permute(self, x: Any, dims: tuple[int, ...]) -> Any:
        """The dimensions in another order."""
        return self.xp.transpose(x, dims)

    def transpose(self, x: Any, dim0: int, dim1: int) -> Any:
        """Two dimensions exchanged."""
        return self.xp.swapaxes(x, dim0, dim1)

    def unsqueeze(self, x: Any, dim: int) -> Any:
        """A new dimension of size 1."""
        return self.xp.expand_dims(x, dim)

    def index_select(self, x: Any, dim: int, index: Any) -> Any:
        """Slices of x along `dim` at the positions of the index."""
        return x[(slice(None),) * dim + (index,)]

    def zeros_like(self, x: Any) -> Any:
        """Zeros of the shape and dtype of x."""
        return self.xp.zeros(x.shape, dtype=x.dtype)
