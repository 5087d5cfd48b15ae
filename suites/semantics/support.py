"""What catalogue tests share: exact comparison of a tensor with numbers, and memory sharing.

The tests draw values on which float arithmetic is exact (small integers, powers of two), so equality is equality of
every element and no tolerance is needed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["assert_equal", "assert_untouched", "d2l_f", "share_memory", "snapshot", "values"]


def values(tensor: Any) -> NDArray[Any]:
    """Return a copy of the tensor's values."""
    return np.array(tensor.detach().numpy(), copy=True)


def assert_equal(tensor: Any, expected: ArrayLike, *, nan_matches_nan: bool = False) -> None:
    """Fail unless the tensor has the shape of `expected` and equals it at every element (0 equals -0)."""
    assert tensor is not None, "there is no tensor to compare (None)"
    actual, wanted = values(tensor), np.asarray(expected)
    assert actual.shape == wanted.shape, f"shape {actual.shape}, expected {wanted.shape}"
    same = actual == wanted
    if nan_matches_nan:
        same |= np.isnan(actual) & np.isnan(wanted)
    assert bool(np.all(same)), f"{actual!r}, expected {wanted!r}"


def share_memory(a: Any, b: Any) -> bool:
    """Say whether a write to one of the two tensors can show in the other."""
    return bool(np.shares_memory(a.detach().numpy(), b.detach().numpy()))


def snapshot(*tensors: Any) -> list[tuple[Any, ...]]:
    """Copy what a refused call must leave alone: values, flags, version and gradient of each tensor."""
    return [
        (
            values(t).tolist(),
            t.requires_grad,
            t.is_leaf,
            t._version,
            None if not t.is_leaf or t.grad is None else values(t.grad).tolist(),
        )
        for t in tensors
    ]


def assert_untouched(before: list[tuple[Any, ...]], *tensors: Any) -> None:
    """Fail unless the tensors are as they were when `before` was taken."""
    assert snapshot(*tensors) == before


def d2l_f(a: Any) -> Any:
    """The function of control flow in Dive into Deep Learning 2.5: linear in `a` on each path."""
    b = a * 2
    while b.norm() < 1000:
        b = b * 2
    return b if b.sum() > 0 else 100 * b
