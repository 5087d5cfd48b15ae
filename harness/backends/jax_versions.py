"""What JAX calls differently in the versions that Adjudge runs with."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import jax
import jax.experimental

__all__ = ["QUICK", "enable_x64", "jit"]

enable_x64: Callable[[bool], AbstractContextManager[None]]
"""``with enable_x64(True):`` numbers have 64 bits inside, in this thread."""
try:
    enable_x64 = jax.enable_x64
except AttributeError:  # before 0.8
    enable_x64 = vars(jax.experimental)["enable_x64"]

QUICK: dict[str, Any] = {
    "xla_backend_optimization_level": 0,
    "xla_cpu_use_fusion_emitters": False,
    "xla_cpu_parallel_codegen_split_count": 1,
}
"""Passes over XLA's graph, which rewrite the mathematics, stay; machine code is made by the older emitter of fusions, in one
piece, and is not optimised, in a fifth of the time."""

_TAKES_OPTIONS = "compiler_options" in inspect.signature(jax.jit).parameters


def jit(function: Callable[..., Any], options: dict[str, Any]) -> Callable[..., Any]:
    """Compile a function at its first call with options for XLA, of which those that this XLA lacks are left out.

    Args:
        function: of nested lists of arrays.
        options: names of XLA's options with their values.
    """
    known = {name: value for name, value in options.items() if _known(name, value)}
    if _TAKES_OPTIONS or not known:
        compiled: Callable[..., Any] = jax.jit(function, compiler_options=known) if known else jax.jit(function)
        return compiled
    staged = jax.jit(function)
    executables: dict[Any, Callable[..., Any]] = {}

    def call(*args: Any) -> Any:
        leaves, layout = jax.tree_util.tree_flatten(args)
        key = layout, tuple([(x.shape, x.dtype) for x in leaves])
        if key not in executables:
            executables[key] = staged.lower(*args).compile(compiler_options=known)
        return executables[key](*args)

    return call


@functools.cache
def _known(name: str, value: Any) -> bool:
    try:
        jax.jit(lambda x: x).lower(0.0).compile(compiler_options={name: value})
    except Exception as error:  # what XLA raises has no public name
        if name not in str(error):
            raise
        return False
    return True
