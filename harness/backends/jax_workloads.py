"""JAX as an engine for workloads: compiled whole or op by op, float64 enabled, every result awaited."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from harness.workload_adapters import Engine, Thunk
from harness.workloads import Array, Input, Workload

__all__ = ["load_jax"]

_configure: Any = jax.config.update
_awaited: Any = jax.block_until_ready


def load_jax(*, compiled: bool) -> Engine:
    """The engine; for the rest of the process JAX computes in float64 where asked and reads no compiled code from disk."""
    _configure("jax_enable_x64", True)
    _configure("jax_enable_compilation_cache", False)  # a first call has to compile

    def prepare(workload: Workload, inputs: Sequence[Input], what: str, cotangent: Array) -> Thunk:
        places = [i for i, a in enumerate(inputs) if isinstance(a, np.ndarray)]
        arrays = [jax.numpy.array(inputs[i]) for i in places]
        ct = jax.numpy.array(cotangent)

        def value(arrays: Sequence[Any]) -> Any:
            args: list[Any] = list(inputs)
            for i, a in zip(places, arrays, strict=True):
                args[i] = a
            return workload.function_jax(jax, *args)

        def both(arrays: Sequence[Any], ct: Any) -> tuple[Any, ...]:
            def of_leaves(*leaves: Any) -> Any:
                moved = list(arrays)
                for i, leaf in zip(workload.wrt, leaves, strict=True):
                    moved[places.index(i)] = leaf
                return value(moved)

            y, pull_back = jax.vjp(of_leaves, *(arrays[places.index(i)] for i in workload.wrt))
            return (y, *pull_back(ct))

        # Every array is an argument: what a compiled function closes over is folded away before it is timed.
        value_run = jax.jit(lambda arrays: (value(arrays),)) if compiled else lambda arrays: (value(arrays),)
        both_run = jax.jit(both) if compiled else both
        if what == "value":
            return lambda: _awaited(value_run(arrays))
        return lambda: _awaited(both_run(arrays, ct))

    def to_arrays(results: Sequence[Any]) -> tuple[Array, ...]:
        return tuple(np.array(r) for r in results)

    name, mode = ("jax-jit", "jit") if compiled else ("jax", "eager")
    return Engine(name, "jax", mode, jax.__version__, "jax", prepare, to_arrays)
