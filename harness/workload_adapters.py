"""How each backend runs a workload: leaves made once, then a thunk that can be called again and again.

`load_engine(name)` gives an `Engine`, whose `prepare` returns the thunk that is both checked and timed: it returns the
framework's own results, ready, and `to_arrays` copies them out after the clock has stopped. Where nothing but the
spelling of PyTorch is needed, one function serves the reference and PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.environment import installed
from harness.workloads import Array, Input, Workload

__all__ = ["ENGINES", "Engine", "MissingFramework", "Prepare", "load_engine", "tape_engine"]

ENGINES = ("numpy", "reference", "torch", "jax", "jax-jit")

Thunk = Callable[[], tuple[Any, ...]]
Prepare = Callable[[Workload, Sequence[Input], str, Array], Thunk]


class MissingFramework(ImportError):
    """A backend's framework is not installed or cannot be loaded; the message says which."""


@dataclass(frozen=True)
class Engine:
    """A backend for workloads.

    Attributes:
        name: its name on the command line.
        backend: the framework's name in rows.
        mode: "eager" or "jit".
        version: the framework's version.
        module: what a user imports to get it, such as "torch".
        prepare: `prepare(workload, inputs, what, cotangent)` makes the thunk: it returns the value, followed by the
            gradients if `what` is "gradient" or "vjp". Results are ready, never pending.
        to_arrays: copies of such results as NumPy arrays.
    """

    name: str
    backend: str
    mode: str
    version: str
    module: str
    prepare: Prepare
    to_arrays: Callable[[Sequence[Any]], tuple[Array, ...]]


def load_engine(name: str, *, threads: int = 1) -> Engine:
    """Import a backend's framework and tell it how many threads it may use.

    Raises:
        ValueError: no backend has that name.
        MissingFramework: its framework cannot be imported.
    """
    if name not in ENGINES:
        raise ValueError(f"backend {name!r} is not known; the backends are {', '.join(ENGINES)}")
    if name == "numpy":
        return Engine(name, name, "eager", np.__version__, name, _prepare_by_hand, _copies)
    framework = name.partition("-")[0]
    try:
        if framework == "reference":
            import reference_impl

            return tape_engine(
                "reference", reference_impl, version=installed("adjudge") or "unknown", module="reference_impl"
            )
        if framework == "torch":
            from harness.backends.torch_workloads import load_torch

            return load_torch(threads=threads)
        from harness.backends.jax_workloads import load_jax

        return load_jax(compiled=name == "jax-jit")
    except ImportError as error:
        raise MissingFramework(f"{framework} cannot be imported: {error}") from error


def tape_engine(name: str, T: Any, *, version: str, module: str) -> Engine:
    """The engine of a namespace `T` that is spelled as PyTorch: tensors with `requires_grad`, `autograd.grad`."""

    def prepare(workload: Workload, inputs: Sequence[Input], what: str, cotangent: Array) -> Thunk:
        backward = what != "value"
        args = [
            T.tensor(a, requires_grad=backward and i in workload.wrt) if isinstance(a, np.ndarray) else a
            for i, a in enumerate(inputs)
        ]
        if not backward:
            return lambda: (workload.function(T, *args),)
        leaves = [args[i] for i in workload.wrt]
        if what == "gradient":

            def gradient() -> tuple[Any, ...]:
                y = workload.function(T, *args)
                return (y, *T.autograd.grad(y, leaves))

            return gradient
        ct = T.tensor(cotangent)

        def vjp() -> tuple[Any, ...]:
            y = workload.function(T, *args)
            return (y, *T.autograd.grad(y, leaves, ct))

        return vjp

    def to_arrays(results: Sequence[Any]) -> tuple[Array, ...]:
        return tuple(np.array(r.detach().numpy()) for r in results)

    return Engine(name, name, "eager", version, module, prepare, to_arrays)


def _prepare_by_hand(workload: Workload, inputs: Sequence[Input], what: str, cotangent: Array) -> Thunk:
    args = [a.copy() if isinstance(a, np.ndarray) else a for a in inputs]
    if what == "value":
        return lambda: (workload.by_hand(*args)[0],)
    ct = cotangent.copy()

    def both() -> tuple[Any, ...]:
        value, pull_back = workload.by_hand(*args)
        return (value, *pull_back(ct))

    return both


def _copies(results: Sequence[Any]) -> tuple[Array, ...]:
    return tuple(np.array(r) for r in results)
