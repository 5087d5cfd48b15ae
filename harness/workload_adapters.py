"""How each backend runs a workload: leaves made once, then a thunk that can be called again and again.

`load_engine(name)` gives an `Engine`, whose `prepare` returns the thunk that is both checked and timed: it returns the
framework's own results, ready, and `to_arrays` copies them out after the clock has stopped. Where nothing but the
spelling of PyTorch is needed, one function serves the reference and PyTorch; further questions (JVP, HVP, Jacobian,
Hessian) are answered as a user of a tape would, by pulling back again and again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.environment import installed
from harness.workloads import PLAIN, Array, Input, Workload
from harness.workloads.nested import descend

__all__ = ["ENGINES", "Engine", "MissingFramework", "Prepare", "Question", "Thunk", "load_engine", "tape_engine"]

ENGINES = ("numpy", "reference", "torch", "torch-func", "torch-compile", "jax", "jax-jit")

Thunk = Callable[[], tuple[Any, ...]]
Prepare = Callable[[Workload, Sequence[Input], str, Array], Thunk]
Question = Callable[[Callable[..., Any], Sequence[Any], Any, Any], tuple[Any, ...]]
"""`question(function, leaves, direction, T)` for the function of the leaves alone."""


class MissingFramework(ImportError):
    """A backend's framework is not installed or cannot be loaded; the message says which."""


@dataclass(frozen=True)
class Engine:
    """A backend for workloads.

    Attributes:
        name: its name on the command line.
        backend: the framework's name in rows.
        mode: "eager", "func", "compile" or "jit".
        version: the framework's version.
        module: what a user imports to get it, such as "torch".
        prepare: `prepare(workload, inputs, what, direction)` makes the thunk: it returns the value, followed by the
            gradients if `what` is "gradient" or "vjp", or what `Workload.more` says. Results are ready, never pending.
        to_arrays: copies of such results as NumPy arrays.
        stages: a context that gives the seconds of what happens in it before anything is computed, by phase ("trace",
            "compile"); None for a backend that has no such stages.
    """

    name: str
    backend: str
    mode: str
    version: str
    module: str
    prepare: Prepare
    to_arrays: Callable[[Sequence[Any]], tuple[Array, ...]]
    stages: Callable[[], AbstractContextManager[dict[str, float]]] | None = None


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
            from harness.backends.reference import OPS

            version = installed("adjudge") or "unknown"
            return tape_engine("reference", reference_impl, version=version, module="reference_impl", ops=OPS)
        if framework == "torch":
            from harness.backends.torch_workloads import load_torch

            return load_torch(name.partition("-")[2] or "eager", threads=threads)
        from harness.backends.jax_workloads import load_jax

        return load_jax(compiled=name == "jax-jit")
    except ImportError as error:
        raise MissingFramework(f"{framework} cannot be imported: {error}") from error


def tape_engine(
    name: str,
    T: Any,
    *,
    version: str,
    module: str,
    ops: Mapping[str, Callable[..., Any]] | None = None,
    questions: Mapping[str, Question] | None = None,
) -> Engine:
    """The engine of a namespace `T` that is spelled as PyTorch: tensors with `requires_grad`, `autograd.grad`.

    Args:
        ops: its table of ops, for workloads that are programs.
        questions: how it answers some questions instead of pulling back again and again.
    """
    answers = {**_QUESTIONS, **(questions or {})}

    def prepare(workload: Workload, inputs: Sequence[Input], what: str, direction: Array) -> Thunk:
        backward = what != "value"
        args = [
            T.tensor(a, requires_grad=backward and i in workload.wrt) if isinstance(a, np.ndarray) else a
            for i, a in enumerate(inputs)
        ]
        if what == "script":
            script = workload.script
            assert script is not None
            return lambda: tuple(script(T, *args))
        function = function_of(workload, ops, inputs)
        if not backward:
            return lambda: (function(T, *args),)
        leaves = [args[i] for i in workload.wrt]
        if what == "gradient":

            def gradient() -> tuple[Any, ...]:
                y = function(T, *args)
                return (y, *T.autograd.grad(y, leaves))

            return gradient
        ct = T.tensor(direction)
        if what == "vjp":

            def vjp() -> tuple[Any, ...]:
                y = function(T, *args)
                return (y, *T.autograd.grad(y, leaves, ct))

            return vjp
        key = "columns" if what == "jacobian" and workload.seeds is not None and workload.seeds.forward else what
        answer = answers[key]

        def of_leaves(*leaves: Any) -> Any:
            moved = list(args)
            for i, leaf in zip(workload.wrt, leaves, strict=True):
                moved[i] = leaf
            return function(T, *moved)

        return lambda: answer(of_leaves, leaves, ct, T)

    def to_arrays(results: Sequence[Any]) -> tuple[Array, ...]:
        return tuple(np.array(r.detach().numpy()) for r in results)

    return Engine(name, name, "eager", version, module, prepare, to_arrays)


def function_of(
    workload: Workload, ops: Mapping[str, Callable[..., Any]] | None, inputs: Sequence[Input]
) -> Callable[..., Any]:
    """The workload's function over a namespace: as written, or its program for these inputs on a table of ops.

    Raises:
        ValueError: the table lacks an op of the program.
    """
    if workload.program is None:
        assert workload.function is not None
        return workload.function
    from harness.backends import straighten

    program = workload.program(*inputs)
    evaluate, count = straighten(program, ops or {}), len(program.inputs)
    return lambda T, *args: evaluate(args[:count])[0]


# Questions to a tape, each the way that needs nothing but reverse mode


def _jvp(f: Callable[..., Any], leaves: Sequence[Any], tangent: Any, T: Any) -> tuple[Any, ...]:
    """The tangent of the value: pull back a dummy cotangent, and pull back what comes out, which is linear in it."""
    y = f(*leaves)
    dummy = T.zeros(tuple(y.shape), dtype=y.dtype, requires_grad=True)
    (pulled,) = T.autograd.grad(y, leaves, dummy, create_graph=True)
    return (y, *T.autograd.grad(pulled, [dummy], tangent))


def _hvp(f: Callable[..., Any], leaves: Sequence[Any], way: Any, T: Any) -> tuple[Any, ...]:
    (g,) = T.autograd.grad(f(*leaves), leaves, create_graph=True)
    return tuple(T.autograd.grad(g, leaves, way))


def _jacobian_by_rows(f: Callable[..., Any], leaves: Sequence[Any], seeds: Any, T: Any) -> tuple[Any, ...]:
    y = f(*leaves)
    last = seeds.shape[0] - 1
    passes = [T.autograd.grad(y, leaves, seeds[i], retain_graph=i < last) for i in range(last + 1)]
    return tuple(T.stack(parts) for parts in zip(*passes, strict=True))


def _jacobian_by_columns(f: Callable[..., Any], leaves: Sequence[Any], seeds: Any, T: Any) -> tuple[Any, ...]:
    y = f(*leaves)
    dummy = T.zeros(tuple(y.shape), dtype=y.dtype, requires_grad=True)
    (pulled,) = T.autograd.grad(y, leaves, dummy, create_graph=True)
    last = seeds.shape[0] - 1
    passes = [T.autograd.grad(pulled, [dummy], seeds[i], retain_graph=i < last)[0] for i in range(last + 1)]
    return (T.stack(passes),)


def _hessian(f: Callable[..., Any], leaves: Sequence[Any], _: Any, T: Any) -> tuple[Any, ...]:
    (x,) = leaves
    (g,) = T.autograd.grad(f(x), [x], create_graph=True)
    n = x.shape[0]
    units = T.eye(n, dtype=x.dtype)
    return (T.stack([T.autograd.grad(g, [x], units[i], retain_graph=i < n - 1)[0] for i in range(n)]),)


def _diagonal(f: Callable[..., Any], leaves: Sequence[Any], _: Any, T: Any) -> tuple[Any, ...]:
    """The gradient and the diagonal of a Hessian that has nothing beside it: the Hessian times ones."""
    (x,) = leaves
    (g,) = T.autograd.grad(f(x), [x], create_graph=True)
    return (g, *T.autograd.grad(g, [x], T.ones_like(g)))


def _argmin(f: Callable[..., Any], leaves: Sequence[Any], _: Any, T: Any) -> tuple[Any, ...]:
    def evaluate(x: Array) -> tuple[float, Array]:
        leaf = T.tensor(x, requires_grad=True)
        y = f(leaf)
        (g,) = T.autograd.grad(y, [leaf])
        return y.item(), g.numpy()

    return (T.tensor(descend(evaluate, leaves[0].detach().numpy())),)


_QUESTIONS: dict[str, Question] = {
    "jvp": _jvp,
    "hvp": _hvp,
    "jacobian": _jacobian_by_rows,
    "columns": _jacobian_by_columns,
    "hessian": _hessian,
    "diagonal": _diagonal,
    "argmin": _argmin,
}


# By hand


def _prepare_by_hand(workload: Workload, inputs: Sequence[Input], what: str, direction: Array) -> Thunk:
    args = [a.copy() if isinstance(a, np.ndarray) else a for a in inputs]
    if what == "value":
        return lambda: (workload.by_hand(*args)[0],)
    ct = direction.copy()
    if what not in PLAIN:
        answer = workload.more[what]
        return lambda: answer(*args, ct)

    def both() -> tuple[Any, ...]:
        value, pull_back = workload.by_hand(*args)
        return (value, *pull_back(ct))

    return both


def _copies(results: Sequence[Any]) -> tuple[Array, ...]:
    return tuple(np.array(r) for r in results)
