"""JAX's functions and a few calls of each: the modules are enumerated, arguments are declared below or probed.

`names()` lists every public function of the modules, so that one which a new version brings shows up. A function without a
declared call is tried with one, two and three arrays of numbers in (0.15, 0.85) and of both signs, and the calls that it takes
and answers with finite real or complex numbers are its examples. Complex results are pairs of real ones on the way out.
"""

from __future__ import annotations

import importlib
import types
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from harness.backends.jax_calls import CALLS, REASONS, Draw
from harness.backends.jax_versions import enable_x64
from harness.coverage.examples import Example, NoExample, different

__all__ = ["AREAS", "examples", "names", "version"]

AREAS = ("jax.numpy", "jax.numpy.linalg", "jax.numpy.fft", "jax.lax", "jax.nn", "jax.scipy.special")


def version() -> str:
    """The version of JAX."""
    return str(jax.__version__)


def names() -> dict[str, str]:
    """Every public function of the modules under its full name, each with its module."""
    found: dict[str, str] = {}
    for area in AREAS:
        module = importlib.import_module(area)
        for name in sorted(dir(module)):
            if not name.startswith("_") and _is_function(getattr(module, name)):
                found[f"{area}.{name}"] = area
    return found


def examples(name: str, count: int) -> list[Example]:
    """Up to `count` calls of a function.

    Raises:
        NoExample: none of its arguments is an array whose numbers its result depends on; the message says why.
    """
    if name in REASONS:
        raise NoExample(REASONS[name])
    area, _, short = name.rpartition(".")
    fn = getattr(importlib.import_module(area), short)
    with enable_x64(True):
        found = list(_declared(name, fn) if name in CALLS else _probed(name, fn))
    if not found:
        raise NoExample("takes none of the arrays that were tried")
    real = [e for e in found if isinstance(e, Example)]
    if not real:
        raise NoExample(str(found[0]))
    return different(real, count)


def _is_function(value: Any) -> bool:
    if isinstance(value, (type, types.ModuleType)) or not callable(value):
        return False
    return isinstance(value, (types.FunctionType, types.BuiltinFunctionType, jnp.ufunc)) or hasattr(
        value, "__wrapped__"
    )


def _declared(name: str, fn: Any) -> Iterator[Example]:
    for k, call in enumerate(CALLS[name]):
        called, *args = call(fn, Draw(name))
        yield _example(name, called, tuple(args), (k,))


def _probed(name: str, fn: Any) -> Iterator[Example | str]:
    """The calls with arrays that the function takes; where none of them has a gradient, what it takes or returns is told."""
    d = Draw(name)
    draws = {
        "inside": [d.inside(2, 3), d.inside(2, 3), d.inside(2, 3)],
        "both signs": [d(2, 3), d(2, 3), d(2, 3)],
        "square": [d.square(3), d.square(3)],
        "vectors": [d(3), d(3)],
        "matrices": [d(2, 3), d(3, 2)],
        "above": [d.above(2, 3), d.above(2, 3), d.above(2, 3)],
        "cube": [d(2, 2, 2)],
    }
    said: list[str] = []
    for n in (1, 2, 3):
        taken = 0
        for kind, arrays in draws.items():
            if len(arrays) < n or taken == 2:
                continue
            args = tuple(arrays[:n])
            leaves = _results(fn, args)
            numbers = [v for v in leaves or () if jnp.issubdtype(v.dtype, jnp.inexact) and v.size]
            if any(bool(jnp.isfinite(v).any()) for v in numbers):
                taken += 1
                yield _example(name, fn, args, (n, kind))
            elif leaves is not None and not numbers:
                dtypes = ", ".join(sorted({str(v.dtype) for v in leaves})) or "nothing that is an array"
                said.append(f"returns {dtypes}")
        if taken:
            return
    whole = np.arange(1, 4)
    if not said and any(_results(fn, args) is not None for args in ((whole,), (whole, whole), (3,), (3, 4), ((3,),))):
        said.append("takes whole numbers only")
    yield from said[:1]


def _results(fn: Any, args: tuple[Any, ...]) -> list[Any] | None:
    """The arrays that a call returns; None if the function does not take the arguments."""
    try:
        returned = jax.tree_util.tree_leaves(fn(*args))
        return [jnp.asarray(v) for v in returned if isinstance(v, (jax.Array, np.ndarray))]
    except Exception:  # whatever a function says of arguments that it does not take
        return None


def _example(name: str, fn: Any, args: tuple[Any, ...], kind: tuple[Any, ...]) -> Example:
    size = sum(x.size for x in jax.tree_util.tree_leaves(args) if isinstance(x, jax.Array))
    return Example(_on_reals(fn) if _is_complex_valued(fn, args) else fn, args, {}, name, kind, size)


def _is_complex_valued(fn: Any, args: tuple[Any, ...]) -> bool:
    try:
        return any(
            jnp.issubdtype(v.dtype, jnp.complexfloating) for v in jax.tree_util.tree_leaves(jax.eval_shape(fn, *args))
        )
    except Exception:  # a function that asks for values: what it returns tells
        return any(jnp.iscomplexobj(v) for v in _results(fn, args) or ())


def _on_reals(fn: Any) -> Callable[..., Any]:
    """The function with pairs of real numbers in the place of complex results."""

    def call(*args: Any) -> Any:
        if any(jnp.iscomplexobj(x) for x in jax.tree_util.tree_leaves(args) if isinstance(x, (jax.Array, np.ndarray))):
            raise TypeError("real numbers are wanted: the results are pairs of them")
        return jax.tree_util.tree_map(_real, fn(*args))

    return call


def _real(value: Any) -> Any:
    if isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jnp.complexfloating):
        return jnp.stack([value.real, value.imag], axis=-1)
    return value
