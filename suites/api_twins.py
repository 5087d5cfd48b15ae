"""One call on the reference and on PyTorch: values, gradients and errors side by side.

The numbers are small integers, so that sums and products are exact and equality is the comparison.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

import reference_impl
from harness.judgement import same_bits, same_to_rounding

__all__ = ["differences", "whole"]

Function = Callable[..., Any]


def whole(shapes: Sequence[Any], seed: int = 0, low: int = -4, high: int = 4) -> list[Any]:
    """Arrays of small integers as floats, one a shape; what is an array already stays."""
    rng = np.random.default_rng(seed)
    return [s if isinstance(s, np.ndarray) else rng.integers(low, high + 1, s).astype(np.float64) for s in shapes]


def differences(
    function: Function, arrays: Sequence[Any], dtype: str = "float64", *, rounds: bool = False
) -> list[str]:
    """Run ``function(module, *tensors)`` on both; say in which of value, dtype, gradients or error they differ.

    Args:
        rounds: the arithmetic is not exact, so that two right results may lie as far apart as rounding leaves them, by the
            largest number in sight.
    """
    ours = _outcome(function, reference_impl, [_leaf(reference_impl, a, dtype) for a in arrays])
    theirs = _outcome(function, torch, [_leaf(torch, a, dtype) for a in arrays])
    if isinstance(ours, Exception) or isinstance(theirs, Exception):
        return [] if _kind(ours) == _kind(theirs) else [f"raised: {ours!r}, PyTorch {theirs!r}"]
    numbers = [x for x in (*arrays, *ours, *theirs) if x is not None and x.dtype.kind == "f"]
    largest = max((float(np.abs(x[np.isfinite(x)]).max(initial=0.0)) for x in numbers), default=0.0)
    found = []
    for name, a, b in zip(("value", *(f"gradient {k}" for k in range(len(arrays)))), ours, theirs, strict=True):
        same = same_bits(a, b) if a is None or b is None or not rounds else same_to_rounding(a, b, largest)
        if not same:
            found.append(f"{name}: {a!r}, PyTorch {b!r}")
    return found


def _kind(error: Any) -> str:
    return type(error).__name__.removeprefix("_")  # PyTorch's LinAlgError has an underscore where it is made


def _leaf(module: Any, array: Any, dtype: str) -> Any:
    is_float = array.dtype.kind == "f"
    return module.tensor(array.astype(dtype) if is_float else array, requires_grad=is_float)


def _outcome(function: Function, module: Any, tensors: list[Any]) -> Any:
    try:
        y = function(module, *tensors)
    except (RuntimeError, IndexError, ValueError, TypeError) as error:
        return error
    if y.requires_grad:
        ct = np.random.default_rng(7).integers(-3, 4, tuple(y.shape))
        y.backward(module.tensor(ct.astype(y.detach().numpy().dtype)))
    return [y.detach().numpy(), *(None if x.grad is None else x.grad.numpy() for x in tensors)]
