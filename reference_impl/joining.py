"""Joining tensors under PyTorch's names: along a dimension, as blocks of a matrix, in all combinations."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any

from reference_impl.checks import axis_of
from reference_impl.given import tensors_of
from reference_impl.moving import atleast_1d, atleast_2d, atleast_3d, meshgrid, ravel, reshape
from reference_impl.ops import movement
from reference_impl.padding import pad
from reference_impl.primitives import PRIMITIVES, at_once
from reference_impl.tensor import Tensor

__all__ = [
    "block_diag",
    "cartesian_prod",
    "cat",
    "column_stack",
    "concat",
    "concatenate",
    "dstack",
    "hstack",
    "row_stack",
    "stack",
    "vstack",
]


def cat(tensors: Sequence[Tensor], dim: int = 0, *, axis: int | None = None) -> Tensor:
    """The tensors one after the other along `dim`. A vector of no elements takes no part.

    Raises:
        RuntimeError: their shapes differ elsewhere.
        TypeError: one is no tensor.
        ValueError: there are none.
    """
    if axis is None and type(dim) is int and (type(tensors) is list or type(tensors) is tuple) and tensors:
        joined = at_once(PRIMITIVES["cat"], tuple(tensors), {"dim": dim})
        if joined is not None:
            return joined
    if isinstance(tensors, Tensor):
        raise TypeError("cat(): argument 'tensors' (position 1) must be tuple of Tensors, not Tensor")
    xs = list(tensors)
    if not xs:
        raise ValueError("torch.cat(): expected a non-empty list of Tensors")
    _only_tensors(xs)
    # What is left is wrong, or has vectors of no elements.
    for i, x in enumerate(xs):
        if not x.array.ndim:
            raise RuntimeError(f"zero-dimensional tensor (at position {i}) cannot be concatenated")
    first = next((x.array.shape for x in xs if x.array.shape != (0,)), (0,))
    place = axis_of(dim if axis is None else axis, len(first))
    nothing = tuple(0 if d == place else n for d, n in enumerate(first))
    xs = [reshape(x, nothing) if x.array.shape == (0,) else x for x in xs]
    _refuse_to_join(xs, first, place)
    out: Tensor = movement.cat(*xs, dim=place)
    return out


def _only_tensors(xs: Sequence[Any]) -> None:
    for i, x in enumerate(xs):
        if not isinstance(x, Tensor):
            raise TypeError(f"expected Tensor as element {i} in argument 0, but got {type(x).__name__}")


def _refuse_to_join(xs: Sequence[Tensor], first: tuple[int, ...], place: int) -> None:
    """Raise if a tensor does not fit the first one, saying where."""
    for i, x in enumerate(xs):
        shape = x.array.shape
        if len(shape) != len(first):
            raise RuntimeError(f"Tensors must have same number of dimensions: got {len(first)} and {len(shape)}")
        for d, (n, m) in enumerate(zip(first, shape, strict=True)):
            if d != place and n != m:
                raise RuntimeError(
                    f"Sizes of tensors must match except in dimension {place}. Expected size {n} but got size {m} for "
                    f"tensor number {i} in the list."
                )


concat = concatenate = cat


def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """The tensors, all of one shape, along a new dimension.

    Raises:
        RuntimeError: there are none, or their shapes differ.
    """
    if isinstance(tensors, Tensor):
        raise TypeError("stack(): argument 'tensors' (position 1) must be tuple of Tensors, not Tensor")
    xs = list(tensors)
    if not xs:
        raise RuntimeError("stack expects a non-empty TensorList")
    _only_tensors(xs)
    for i, x in enumerate(xs):
        if x.array.shape != xs[0].array.shape:
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {list(xs[0].shape)} at entry 0 and {list(x.shape)} at "
                f"entry {i}"
            )
    out: Tensor = movement.stack(*xs, dim=axis_of(dim, xs[0].array.ndim + 1))
    return out


def _some(name: str, tensors: Sequence[Tensor]) -> Sequence[Tensor]:
    if not len(tensors):
        raise RuntimeError(f"{name} expects a non-empty TensorList")
    return tensors


def hstack(tensors: Sequence[Tensor]) -> Tensor:
    """The tensors side by side: along dimension 1, vectors along dimension 0."""
    xs = [atleast_1d(x) for x in _some("hstack", tensors)]
    return cat(xs, 0 if xs and xs[0].array.ndim == 1 else 1)


def vstack(tensors: Sequence[Tensor]) -> Tensor:
    """The tensors one above the other, vectors as rows."""
    return cat([atleast_2d(x) for x in _some("vstack", tensors)], 0)


row_stack = vstack


def dstack(tensors: Sequence[Tensor]) -> Tensor:
    """The tensors one behind the other, along dimension 2."""
    return cat([atleast_3d(x) for x in _some("dstack", tensors)], 2)


def column_stack(tensors: Sequence[Tensor]) -> Tensor:
    """The tensors side by side, vectors as columns."""
    return hstack([x if x.array.ndim > 1 else reshape(x, (x.array.size, 1)) for x in tensors])


def block_diag(*tensors: Any) -> Tensor:
    """A matrix of zeros with the given matrices along its diagonal.

    Raises:
        RuntimeError: one of them has more than two dimensions.
    """
    xs = []
    for i, x in enumerate(tensors_of(tensors)):
        if x.array.ndim > 2:
            raise RuntimeError(
                f"torch.block_diag: Input tensors must have 2 or fewer dimensions. Input {i} has {x.array.ndim} dimensions"
            )
        xs.append(atleast_2d(x))
    width = builtins.sum(x.array.shape[1] for x in xs)
    rows, before = [], 0
    for x in xs:
        n = x.array.shape[1]
        rows.append(pad(x, (before, width - before - n)))
        before += n
    return cat(rows, 0)


def cartesian_prod(*tensors: Tensor) -> Tensor:
    """All combinations of one element of each vector, one a row; of a single vector, that vector."""
    xs = tensors_of(tensors)
    if len(xs) == 1:
        return xs[0]
    return stack([ravel(g) for g in meshgrid(*xs)], 1)
