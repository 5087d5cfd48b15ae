"""What PyTorch refuses about dimensions and indices, in its words."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np

from reference_impl.tensor import Tensor

__all__ = ["axes_of", "axis_of", "in_range", "index_array", "not_empty"]


def axis_of(dim: int, ndim: int) -> int:
    """Return a dimension counted from 0; a number counts as having one.

    Raises:
        IndexError: there is no such dimension.
    """
    low = builtins.max(ndim, 1)
    if not -low <= dim < low:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-low}, {low - 1}], but got {dim})")
    return int(dim) % low


def axes_of(x: Tensor, dim: Any) -> int | tuple[int, ...] | None:
    """Check the dimensions of a reduction and return them as PyTorch means them: an empty list is all of them.

    Raises:
        IndexError: one of them does not exist.
        RuntimeError: one of them appears twice.
    """
    if dim is None:
        return None
    if isinstance(dim, str | float):
        raise TypeError(
            f"received an invalid combination of arguments - got ({type(dim).__name__}) for tuple of ints dim"
        )
    if not isinstance(dim, int):
        dim = tuple(int(d) for d in dim)
        if not dim:
            return None
    ndim = x.array.ndim
    seen = set()
    for d in (dim,) if isinstance(dim, int) else dim:
        axis = axis_of(d, ndim)
        if axis in seen:
            raise RuntimeError(f"dim {axis} appears multiple times in the list of dims")
        seen.add(axis)
    return None if ndim == 0 else dim


def not_empty(name: str, x: Tensor, dim: Any, kind: type[Exception] = RuntimeError) -> Tensor:
    """Return x if the reduction has something to reduce.

    Raises:
        RuntimeError: x has no elements and no dimension is named (or an error of `kind`).
        IndexError: a named dimension has length 0.
    """
    shape = x.array.shape
    if x.array.size:
        return x
    if dim is None or dim == ():
        raise kind(
            f"{name}(): Expected reduction dim to be specified for input.numel() == 0. Specify the reduction dim with "
            "the 'dim' argument."
        )
    for d in (dim,) if isinstance(dim, int) else dim:
        if shape[axis_of(d, len(shape))] == 0:
            raise IndexError(f"{name}(): Expected reduction dim {d} to have non-zero size.")
    return x


def index_array(index: Any, name: str = "index") -> Any:
    """Return a tensor of positions as an array of int64.

    Raises:
        RuntimeError: its dtype is neither int32 nor int64.
    """
    array = np.asarray(index.array if isinstance(index, Tensor) else index)
    if array.dtype.kind not in "iu" and array.size:
        raise RuntimeError(f"{name}: Expected dtype int32/int64 for index, got {array.dtype}")
    return array.astype(np.int64)


def in_range(name: str, index: Any, n: int) -> Any:
    """Return positions if all of them lie in 0 .. n - 1.

    Raises:
        IndexError: one does not.
    """
    if index.size and not (index.min() >= 0 and index.max() < n):
        bad = index.min() if index.min() < 0 else index.max()
        raise IndexError(f"{name}(): index {bad} is out of bounds for dimension with size {n}")
    return index
