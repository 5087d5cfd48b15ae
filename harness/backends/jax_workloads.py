"""JAX as an engine for workloads: compiled whole or op by op, float64 enabled, every result awaited."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np

from harness.workload_adapters import Engine, Thunk, function_of
from harness.workloads import Array, Input, NumpySpelling, Workload
from harness.workloads.nested import descend

__all__ = ["load_jax"]

_configure: Any = jax.config.update
_awaited: Any = jax.block_until_ready


def _value_and_gradient(f: Callable[[Any], Any], x: Any) -> Any:
    return jax.value_and_grad(f)(x)


_T = NumpySpelling(jax.numpy, _value_and_gradient)


# What JAX reports while it compiles, in seconds; where several ops are compiled, all of them.
_STAGES = {
    "/jax/core/compile/jaxpr_trace_duration": "trace",
    "/jax/core/compile/jaxpr_to_mlir_module_duration": "trace",
    "/jax/core/compile/backend_compile_duration": "compile",
}
_heard: list[tuple[str, float]] = []


@functools.cache
def _listen() -> None:
    def hear(event: str, duration_secs: float, **_: Any) -> None:
        if event in _STAGES:
            _heard.append((_STAGES[event], duration_secs))

    jax.monitoring.register_event_duration_secs_listener(hear)


@contextlib.contextmanager
def _stages() -> Iterator[dict[str, float]]:
    """Seconds that JAX traces (and lowers) and compiles in the context, as it reports them itself."""
    _listen()
    _heard.clear()
    seconds: dict[str, float] = {}
    yield seconds
    for stage, spent in _heard:
        seconds[stage] = seconds.get(stage, 0.0) + spent


def load_jax(*, compiled: bool) -> Engine:
    """The engine; for the rest of the process JAX computes in float64 where asked and reads no compiled code from disk."""
    _configure("jax_enable_x64", True)
    _configure("jax_enable_compilation_cache", False)  # a first call has to compile

    def prepare(workload: Workload, inputs: Sequence[Input], what: str, direction: Array) -> Thunk:
        if what == "script":
            raise ValueError("JAX has no tape to script")
        places = [i for i, a in enumerate(inputs) if isinstance(a, np.ndarray)]
        arrays = [jax.numpy.array(inputs[i]) for i in places]
        ct = jax.numpy.array(direction)
        function = _function(workload, inputs)

        def value(arrays: Sequence[Any]) -> Any:
            args: list[Any] = list(inputs)
            for i, a in zip(places, arrays, strict=True):
                args[i] = a
            return function(*args)

        def answer(arrays: Sequence[Any], ct: Any) -> Any:
            def of_leaves(*leaves: Any) -> Any:
                moved = list(arrays)
                for i, leaf in zip(workload.wrt, leaves, strict=True):
                    moved[places.index(i)] = leaf
                return value(moved)

            leaves = [arrays[places.index(i)] for i in workload.wrt]
            return _QUESTIONS[_key(workload, what)](of_leaves, leaves, ct)

        if what == "argmin":
            return _argmin(value, arrays, places.index(workload.wrt[0]), compiled)

        # Every array is an argument: what a compiled function closes over is folded away before it is timed.
        run = jax.jit(answer) if compiled else answer
        return lambda: _awaited(run(arrays, ct))

    def to_arrays(results: Sequence[Any]) -> tuple[Array, ...]:
        return tuple(np.array(r) for r in results)

    name, mode = ("jax-jit", "jit") if compiled else ("jax", "eager")
    return Engine(name, "jax", mode, jax.__version__, "jax", prepare, to_arrays, _stages)


def _function(workload: Workload, inputs: Sequence[Input]) -> Callable[..., Any]:
    if workload.function_jax is not None:
        own = workload.function_jax
        return lambda *args: own(jax, *args)
    if workload.program is not None:
        from harness.backends.jax_backend import OPS

        function = function_of(workload, OPS, inputs)
    else:
        function = function_of(workload, None, inputs)
    return lambda *args: function(_T, *args)


def _argmin(value: Callable[..., Any], arrays: Sequence[Any], place: int, compiled: bool) -> Thunk:
    """The descent runs in Python; the value and its gradient are what JAX computes."""
    both = jax.value_and_grad(lambda leaf, rest: value([*rest[:place], leaf, *rest[place + 1 :]]))
    run = jax.jit(both) if compiled else both

    def evaluate(x: Array) -> tuple[float, Array]:
        y, g = run(jax.numpy.array(x), arrays)
        return float(y), np.asarray(g)

    return lambda: (descend(evaluate, np.asarray(arrays[place])),)


def _key(workload: Workload, what: str) -> str:
    if what == "jacobian" and workload.seeds is not None and workload.seeds.forward:
        return "columns"
    return "vjp" if what == "gradient" else what


Leaves = Sequence[Any]


def _value(f: Callable[..., Any], leaves: Leaves, _: Any) -> tuple[Any, ...]:
    return (f(*leaves),)


def _vjp(f: Callable[..., Any], leaves: Leaves, ct: Any) -> tuple[Any, ...]:
    y, pull_back = jax.vjp(f, *leaves)
    return (y, *pull_back(ct))


def _jvp(f: Callable[..., Any], leaves: Leaves, tangent: Any) -> tuple[Any, ...]:
    return tuple(jax.jvp(f, tuple(leaves), (tangent,)))


def _hvp(f: Callable[..., Any], leaves: Leaves, way: Any) -> tuple[Any, ...]:
    # Forward over reverse, as JAX's cookbook advises.
    return (jax.jvp(jax.grad(f), tuple(leaves), (way,))[1],)


def _jacobian(f: Callable[..., Any], leaves: Leaves, seeds: Any) -> tuple[Any, ...]:
    _, pull_back = jax.vjp(f, *leaves)
    return tuple(jax.vmap(pull_back)(seeds))


def _columns(f: Callable[..., Any], leaves: Leaves, seeds: Any) -> tuple[Any, ...]:
    return (jax.vmap(lambda seed: jax.jvp(f, tuple(leaves), (seed,))[1])(seeds),)


def _hessian(f: Callable[..., Any], leaves: Leaves, _: Any) -> tuple[Any, ...]:
    return (jax.hessian(f)(*leaves),)


def _diagonal(f: Callable[..., Any], leaves: Leaves, _: Any) -> tuple[Any, ...]:
    (x,) = leaves
    return tuple(jax.jvp(jax.grad(f), (x,), (jax.numpy.ones_like(x),)))


_QUESTIONS: dict[str, Callable[..., tuple[Any, ...]]] = {
    "value": _value,
    "vjp": _vjp,
    "jvp": _jvp,
    "hvp": _hvp,
    "jacobian": _jacobian,
    "columns": _columns,
    "hessian": _hessian,
    "diagonal": _diagonal,
}
