"""Twins in PyTorch: autograd functions with a planted defect, and PyTorch's own checkers of gradients.

`build(twin)` returns what `torch.autograd.Function.apply` of the twin is; `CHECKERS` names `gradcheck` and `gradgradcheck`,
each called with the default settings.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from harness.backends import torch_eager
from harness.backends.torch_eager import same_layout
from harness.defects.twins import Twin, as_function

__all__ = ["ARRAYS", "CHECKERS", "arguments", "build", "can_build", "plain"]


OPS = dict(torch_eager.OPS)  # a copy: whoever puts a twin into that table must not find it here


class _TorchArrays:
    """PyTorch's tensors; see `harness.defects.twins.Arrays`."""

    in_place = True

    def op(self, name: str, xs: Sequence[Any], params: dict[str, Any]) -> Any:
        return OPS[name](*xs, **params)

    def pull(self, function: Callable[..., Any], xs: Sequence[Any], ct: Any) -> list[Any]:
        again = torch.is_grad_enabled()
        with torch.enable_grad():
            given = [x if again and x.requires_grad else x.detach().requires_grad_() for x in xs]
            y = function(*given)
            grads = torch.autograd.grad(y, given, ct, create_graph=again, allow_unused=True, materialize_grads=True)
        return list(grads)

    def detach(self, x: Any) -> Any:
        return x.detach()

    def take(self, x: Any, index: Any) -> Any:
        return x.reshape(-1)[torch.from_numpy(np.ascontiguousarray(index))].reshape(index.shape)

    def spread(self, x: Any, shape: Sequence[int]) -> Any:
        return x.expand(tuple(shape)).clone()

    def cast(self, x: Any, dtype: str) -> Any:
        return torch.as_tensor(x).to(getattr(torch, dtype))

    def dtype(self, x: Any) -> str:
        return str(x.dtype).removeprefix("torch.")

    def layout(self, x: Any) -> str:
        if x.is_contiguous():
            return "dense"
        return "expanded" if any(s == 0 and n > 1 for n, s in zip(x.shape, x.stride(), strict=True)) else "other"

    def write(self, x: Any, values: Any) -> None:
        x.data.copy_(values)


ARRAYS = _TorchArrays()


def can_build(twin: Twin) -> str:
    """Why the twin cannot be written in PyTorch; "" if it can."""
    return "" if twin.site.op in OPS else f"PyTorch has no {twin.site.op}"


def build(twin: Twin) -> Callable[..., Any]:
    """The function with the twin's backward."""
    return as_function(twin, ARRAYS, torch.autograd.Function, lambda x: False)


def plain(twin: Twin) -> Callable[..., Any]:
    """The forward without a backward of its own: what is meant."""
    return lambda *xs: twin.forward(ARRAYS, *xs)


def arguments(arrays: Sequence[Any]) -> tuple[Any, ...]:
    """The arrays as tensors that require grad, in their layout in memory."""
    return tuple(same_layout(x).requires_grad_() for x in arrays)


def _gradcheck(function: Callable[..., Any], xs: Sequence[Any], *, fast: bool, twice: bool = False) -> str:
    check = torch.autograd.gradgradcheck if twice else torch.autograd.gradcheck
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the inputs are float32, which it goes on with
        try:
            check(function, tuple(xs), fast_mode=fast)
        except Exception as error:  # what it raises is its answer
            return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    return ""


CHECKERS: Mapping[str, Callable[[Callable[..., Any], Sequence[Any]], str]] = {
    "gradcheck slow": lambda function, xs: _gradcheck(function, xs, fast=False),
    "gradcheck fast": lambda function, xs: _gradcheck(function, xs, fast=True),
    "gradgradcheck": lambda function, xs: _gradcheck(function, xs, fast=False, twice=True),
}
"""Name -> a function that returns what the checker complains of; "" if it is content."""
