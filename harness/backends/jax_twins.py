"""Twins in JAX: functions with `custom_vjp` and a planted defect, and JAX's own checker of gradients.

JAX's arrays cannot be written into, have no strides that a function sees, and a backward keeps nothing between calls;
defects of that kind cannot be written there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.test_util import check_grads

from harness.backends import jax_backend
from harness.defects.twins import IN_PLACE, Kept, Twin

__all__ = ["ARRAYS", "CHECKERS", "arguments", "build", "can_build", "plain"]


OPS = dict(jax_backend.OPS)  # a copy: whoever puts a twin into that table must not find it here


class _JaxArrays:
    """JAX's arrays; see `harness.defects.twins.Arrays`."""

    in_place = False

    def op(self, name: str, xs: Sequence[Any], params: dict[str, Any]) -> Any:
        return OPS[name](*xs, **params)

    def pull(self, function: Callable[..., Any], xs: Sequence[Any], ct: Any) -> list[Any]:
        return list(jax.vjp(function, *xs)[1](ct))

    def detach(self, x: Any) -> Any:
        return jax.lax.stop_gradient(x)

    def take(self, x: Any, index: Any) -> Any:
        return x.reshape(-1)[index]

    def spread(self, x: Any, shape: Sequence[int]) -> Any:
        return jnp.broadcast_to(x, tuple(shape))

    def cast(self, x: Any, dtype: str) -> Any:
        return jnp.asarray(x).astype(dtype)

    def dtype(self, x: Any) -> str:
        return str(x.dtype)

    def layout(self, x: Any) -> str:
        return "dense"

    def write(self, x: Any, values: Any) -> None:
        raise TypeError("JAX's arrays cannot be written into")


ARRAYS = _JaxArrays()


def can_build(twin: Twin) -> str:
    """Why the twin cannot be written in JAX; "" if it can."""
    if twin.site.op not in OPS:
        return f"JAX has no {twin.site.op}"
    if twin.defect.kind in IN_PLACE:
        return "JAX's arrays cannot be written into, and nothing is kept between calls"
    if twin.defect.where in ("non-contiguous", "expanded"):
        return "JAX's functions see no layout in memory"
    if twin.defect.kind == "dtype":
        return "JAX refuses a gradient of another dtype aloud"
    return ""


def build(twin: Twin) -> Callable[..., Any]:
    """The function with the twin's backward."""

    @jax.custom_vjp
    def planted(*xs: Any) -> Any:
        return twin.forward(ARRAYS, *xs)

    def forward(*xs: Any) -> Any:
        return twin.forward(ARRAYS, *xs), xs

    def backward(xs: Any, ct: Any) -> Any:
        return tuple(twin.backward(ARRAYS, Kept(xs), ct))

    planted.defvjp(forward, backward)
    return planted


def plain(twin: Twin) -> Callable[..., Any]:
    """The forward without a backward of its own: what is meant."""
    return lambda *xs: twin.forward(ARRAYS, *xs)


def arguments(arrays: Sequence[Any]) -> tuple[Any, ...]:
    """The arrays as JAX's."""
    return tuple(jnp.asarray(x) for x in arrays)


def _check_grads(function: Callable[..., Any], xs: Sequence[Any], order: int) -> str:
    try:
        check: Any = check_grads
        check(function, tuple(xs), order=order, modes=["rev"])  # a custom_vjp has no forward mode
    except Exception as error:  # what it raises is its answer
        return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    return ""


CHECKERS: Mapping[str, Callable[[Callable[..., Any], Sequence[Any]], str]] = {
    "check_grads order 1": lambda function, xs: _check_grads(function, xs, 1),
    "check_grads order 2": lambda function, xs: _check_grads(function, xs, 2),
}
"""Name -> a function that returns what the checker complains of; "" if it is content."""
