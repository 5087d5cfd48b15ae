"""One call on the reference and on PyTorch: values, gradients and errors side by side.

The numbers are small integers, so that sums and products are exact and equality is the comparison.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

import reference_impl

__all__ = ["differences", "whole"]

Function = Callable[..., Any]


def whole(shapes: Sequence[Any], seed: int = 0, low: int = -4, high: int = 4) -> list[Any]:
    """Arrays of small integers as floats, one a shape; what is an array already stays."""
    rng = np.random.default_rng(seed)
    return [s if isinstance(s, np.ndarray) else rng.integers(low, high + 1, s).astype(np.float64) for s in shapes]


def differences(function: Function, arrays: Sequence[Any], dtype: str = "float64", *, units: int = 0) -> list[str]:
    """Run ``function(module, *tensors)`` on both; say in which of value, dtype, gradients or error they differ.

    Args:
        units: how many units in the last place of an array's largest element two right results may lie apart; 0 where the
            arithmetic is exact.
    """
    ours = _outcome(function, reference_impl, [_leaf(reference_impl, a, dtype) for a in arrays])
    theirs = _outcome(function, torch, [_leaf(torch, a, dtype) for a in arrays])
    if isinstance(ours, Exception) or isinstance(theirs, Exception):
        return [] if _kind(ours) == _kind(theirs) else [f"raised: {ours!r}, PyTorch {theirs!r}"]
    found = []
    for name, a, b in zip(("value", *(f"gradient {k}" for k in range(len(arrays)))), ours, theirs, strict=True):
        if (a is None) != (b is None) or (a is not None and not _same(a, b, units)):
            found.append(f"{name}: {a!r}, PyTorch {b!r}")
    return found


def _kind(error: Any) -> str:
    return type(error).__name__.removeprefix("_")  # PyTorch's LinAlgError has an underscore where it is made


def _leaf(module: Any, array: Any, dtype: str) -> Any:
    is_float = array.dtype.kind == "f"
    return module.tensor(array.astype(dtype) if is_float else array, requires_grad=is_float)


def _same(a: Any, b: Any, units: int) -> bool:
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    if np.array_equal(a, b, equal_nan=a.dtype.kind == "f"):
        return True
    sound = np.isfinite(a)
    if units == 0 or not np.array_equal(sound, np.isfinite(b)) or not _same(a[~sound], b[~sound], 0):
        return False
    return bool(np.abs(a[sound] - b[sound]).max() <= units * np.finfo(a.dtype).eps * np.abs(b[sound]).max())


def _outcome(function: Function, module: Any, tensors: list[Any]) -> Any:
    try:
        y = function(module, *tensors)
    except (RuntimeError, IndexError, ValueError, TypeError) as error:
        return error
    if y.requires_grad:
        ct = np.random.default_rng(7).integers(-3, 4, tuple(y.shape))
        y.backward(module.tensor(ct.astype(y.detach().numpy().dtype)))
    return [y.detach().numpy(), *(None if x.grad is None else x.grad.numpy() for x in tensors)]
