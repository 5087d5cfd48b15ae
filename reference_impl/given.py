"""What PyTorch lets one write in several ways, made one: sizes, tensors; and a part along an axis."""

from __future__ import annotations

from typing import Any

import numpy as np

from reference_impl.ops import indexing
from reference_impl.tensor import Tensor

__all__ = ["at_least", "cut", "flat_sizes", "tensors_of"]


def flat_sizes(sizes: tuple[Any, ...], keyword: Any = None) -> tuple[int, ...]:
    """Sizes or dimensions that were given as numbers, as one sequence, or by keyword."""
    if keyword is not None:
        return tuple(int(n) for n in keyword)
    if len(sizes) == 1 and isinstance(sizes[0], str | float):
        raise TypeError(f"argument 'size' (position 1) must be tuple of ints, not {type(sizes[0]).__name__}")
    if len(sizes) == 1 and not isinstance(sizes[0], int | Tensor | np.integer):
        return tuple(int(n) for n in sizes[0])
    return tuple(int(n) for n in sizes)


def tensors_of(given: tuple[Any, ...]) -> list[Tensor]:
    """Tensors that were given one by one or as one sequence."""
    return list(given[0]) if len(given) == 1 and isinstance(given[0], list | tuple) else list(given)


def cut(x: Tensor, axis: int, part: Any) -> Tensor:
    """A part along one axis, as a view."""
    out: Tensor = indexing.getitem(x, index=(slice(None),) * axis + (part,))
    return out


def at_least(x: Tensor, name: str, rank: int) -> None:
    """Refuse a tensor of fewer dimensions.

    Raises:
        RuntimeError: it has fewer.
    """
    if x.array.ndim < rank:
        raise RuntimeError(f"{name} requires a tensor with at least {rank} dimension, got shape {list(x.shape)}")
