"""Twins on the reference tape: custom functions with a planted defect."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

import reference_impl
from harness import tracing
from harness.backends.reference import OPS
from harness.cases import same_layout
from harness.defects.twins import Twin, as_function
from harness.inference import OPS as VOCABULARY

__all__ = ["ARRAYS", "CHECKERS", "arguments", "build", "can_build", "plain"]

_api: Any = reference_impl  # most of its names are made at import, where no type checker sees them


class _ReferenceArrays:
    """The tape's tensors, and their stand-ins while a forward is recorded; see `harness.defects.twins.Arrays`."""

    in_place = True

    def op(self, name: str, xs: Sequence[Any], params: dict[str, Any]) -> Any:
        if any(isinstance(x, tracing.Traced) for x in xs):
            several = VOCABULARY[name].tensors[0] == "*xs"
            return getattr(tracing.ops, name)(*((list(xs),) if several else xs), **params)
        return OPS[name](*xs, **params)

    def pull(self, function: Callable[..., Any], xs: Sequence[Any], ct: Any) -> list[Any]:
        again = _api.is_grad_enabled()
        with _api.enable_grad():
            given = [x if again and x.requires_grad else x.detach().requires_grad_() for x in xs]
            grads = _api.autograd.grad(function(*given), given, ct, create_graph=again, allow_unused=True)
        zeros = (_api.Tensor(np.zeros(tuple(x.shape), x.array.dtype)) for x in given)
        return [z if g is None else g for g, z in zip(grads, zeros, strict=True)]

    def detach(self, x: Any) -> Any:
        return x.detach()

    def take(self, x: Any, index: Any) -> Any:
        flat = x.reshape(-1)
        return _api.index_select(flat, 0, _api.tensor(np.ravel(index))).reshape(tuple(index.shape))

    def spread(self, x: Any, shape: Sequence[int]) -> Any:
        return x.expand(tuple(shape)).clone()

    def cast(self, x: Any, dtype: str) -> Any:
        return (x if isinstance(x, _api.Tensor) else _api.Tensor(np.array(x))).to(getattr(_api, dtype))

    def dtype(self, x: Any) -> str:
        return str(x.array.dtype)

    def layout(self, x: Any) -> str:
        if x.array.flags.c_contiguous:
            return "dense"
        expanded = any(s == 0 and n > 1 for n, s in zip(x.array.shape, x.array.strides, strict=True))
        return "expanded" if expanded else "other"

    def write(self, x: Any, values: Any) -> None:
        x.array[...] = values.array


ARRAYS = _ReferenceArrays()
CHECKERS: Mapping[str, Callable[[Callable[..., Any], Sequence[Any]], str]] = {}


def can_build(twin: Twin) -> str:
    """Why the twin cannot be written on the tape; "" if it can."""
    return "" if twin.site.op in OPS else f"the reference has no {twin.site.op}"


def build(twin: Twin) -> Callable[..., Any]:
    """The function with the twin's backward."""
    return as_function(twin, ARRAYS, _api.autograd.Function, lambda x: isinstance(x, tracing.Traced))


def plain(twin: Twin) -> Callable[..., Any]:
    """The forward without a backward of its own: what is meant."""
    return lambda *xs: twin.forward(ARRAYS, *xs)


def arguments(arrays: Sequence[Any]) -> tuple[Any, ...]:
    """The arrays as tensors that require grad, in their layout in memory."""
    return tuple(_api.Tensor(same_layout(x)).requires_grad_() for x in arrays)
