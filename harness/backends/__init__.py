"""The engines that can run a case, by name: `get("torch")`, `names()`, `available()`.

Each engine lives in its own file with its own spelling table (op name -> callable of that framework) and is imported only
when it is asked for, so this package needs no framework. `straighten` turns a program and a spelling table into one fast
function; `measure_conventions` asks a backend what it does at kinks.

>>> "torch" in names()
True
>>> get("torhc")
Traceback (most recent call last):
    ...
ValueError: backend: unknown name 'torhc'; known: finite-differences, jax, jax-jit, reference, torch
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from harness.cases import Array, Backend, Case, Outcome, Thunk, failed
from harness.kernels import load_kernel_errors
from harness.programs import Instr, Program, Scalar, Spec

__all__ = [
    "BackendUnavailable",
    "Compiling",
    "Engine",
    "Rendering",
    "available",
    "basic_index",
    "conventions_of",
    "get",
    "install_command",
    "measure_conventions",
    "missing_ops",
    "names",
    "straighten",
    "value_thunk",
]


class BackendUnavailable(ImportError):
    """The framework behind a backend is not installed; the message has the command that installs it."""


class Engine(Backend, Protocol):
    """A backend that can also run forward only and says what it does at kinks."""

    @property
    def conventions(self) -> Mapping[str, str]:
        """What the framework does at kinks and singular points, in the words of `measure_conventions`."""
        ...

    def value_thunk(self, case: Case) -> Thunk:
        """As `prepare`, without the backward: the outcome has values and no grads."""
        ...


@runtime_checkable
class Rendering(Protocol):
    """A backend that can also run programs in place (`harness.rendering`)."""

    def in_place(self) -> Engine:
        """The backend that does so."""
        ...


@runtime_checkable
class Compiling(Protocol):
    """A backend that can also compile programs in less time than its framework does by default."""

    def quickly(self) -> Engine:
        """The backend that does so."""
        ...


@dataclass(frozen=True)
class _Entry:
    module: str
    factory: str
    package: str
    install: str


_ENTRIES: dict[str, _Entry] = {
    "reference": _Entry(
        "harness.backends.reference",
        "ReferenceBackend",
        "reference_impl",
        "pip install adjudge",
    ),
    "torch": _Entry(
        "harness.backends.torch_eager",
        "TorchBackend",
        "torch",
        'pip install "adjudge[torch]"',
    ),
    "jax": _Entry("harness.backends.jax_backend", "eager", "jax", 'pip install "adjudge[jax]"'),
    "jax-jit": _Entry("harness.backends.jax_backend", "jitted", "jax", 'pip install "adjudge[jax]"'),
    "finite-differences": _Entry(
        "harness.oracles.finite_differences",
        "FiniteDifferences",
        "reference_impl",
        "pip install adjudge",
    ),
}


def names() -> tuple[str, ...]:
    """Every backend name, installed or not, sorted."""
    return tuple(sorted(_ENTRIES))


def install_command(name: str) -> str:
    """The command that installs what the backend `name` needs."""
    return _entry(name).install


def available() -> dict[str, str | None]:
    """For every backend None if its framework is there, else the reason why it cannot be used. Imports no framework."""
    return {name: _missing(name) for name in names()}


def get(name: str) -> Engine:
    """Return the backend of that name; the same object each time.

    Raises:
        ValueError: no backend has that name.
        BackendUnavailable: its framework is not installed.
    """
    _entry(name)
    return _load(name)


@functools.cache
def _load(name: str) -> Engine:
    reason = _missing(name)
    if reason is not None:
        raise BackendUnavailable(reason)
    entry = _entry(name)
    engine: Engine = getattr(importlib.import_module(entry.module), entry.factory)()
    return engine


def _entry(name: str) -> _Entry:
    if name not in _ENTRIES:
        raise ValueError(f"backend: unknown name {name!r}; known: {', '.join(names())}")
    return _ENTRIES[name]


def _missing(name: str) -> str | None:
    entry = _entry(name)
    if importlib.util.find_spec(entry.package) is None:
        return f"backend {name!r} needs the package {entry.package!r}, which is not installed: {entry.install}"
    return None


def missing_ops(program: Program, ops: Mapping[str, Callable[..., Any]]) -> str | None:
    """None if the table has every op of the program, else a sentence that names those it lacks."""
    if all(instr.op in ops for instr in program.instrs):
        return None
    lacking = sorted({instr.op for instr in program.instrs} - ops.keys())
    return f"has no op {', '.join(lacking)}" if lacking else None


def value_thunk(
    evaluate: Callable[[Sequence[Any]], Sequence[Any]],
    inputs: Sequence[Any],
    quiet: Callable[[], Any],
    no_grad: Callable[[], Any],
    to_array: Callable[[Any], Array],
) -> Thunk:
    """A thunk that runs forward only, in two contexts that are entered anew; what is raised there is its outcome."""

    def thunk() -> Outcome:
        try:
            with quiet(), no_grad():
                outputs = evaluate(inputs)
        except Exception as error:  # whatever the tape or the framework raises is its outcome
            return failed(error)
        return Outcome(tuple([to_array(y) for y in outputs]))

    return thunk


def straighten(program: Program, ops: Mapping[str, Callable[..., Any]]) -> Callable[[Sequence[Any]], list[Any]]:
    """Turn a program into one function from its inputs to its outputs, with every lookup done beforehand.

    It computes what `harness.programs.run` computes, without finding ops, literals and parameters again at each call.

    Raises:
        ValueError: the table lacks an op of the program.
    """
    lacking = missing_ops(program, ops)
    if lacking:
        raise ValueError(f"ops: the table {lacking}; it has {', '.join(sorted(ops))}")
    n, m = len(program.inputs), len(program.instrs)
    rest: list[Any] = [None] * m  # the slots that instructions define; literals follow behind them
    steps: list[tuple[int, Callable[..., Any], tuple[int, ...]]] = []
    for k, instr in enumerate(program.instrs):
        where = []
        for arg in instr.args:
            if isinstance(arg, Scalar):
                rest.append(arg.value)
                where.append(n + len(rest) - 1)
            else:
                where.append(arg)
        op = ops[instr.op]
        steps.append(
            (
                n + k,
                functools.partial(op, **dict(instr.params)) if instr.params else op,
                tuple(where),
            )
        )
    outputs = program.outputs

    def evaluate(inputs: Sequence[Any]) -> list[Any]:
        slots = [*inputs, *rest]
        for target, op, where in steps:
            slots[target] = op(*[slots[i] for i in where])
        return [slots[i] for i in outputs]

    return evaluate


@functools.lru_cache(maxsize=4096)
def basic_index(index: tuple[Any, ...]) -> tuple[Any, ...]:
    """Turn the index of a program's getitem into a Python index.

    >>> basic_index((0, None, "...", ("slice", 1, None, 2)))
    (0, None, Ellipsis, slice(1, None, 2))
    """
    return tuple(_index_item(item) for item in index)


def _index_item(item: Any) -> Any:
    if isinstance(item, tuple):
        if len(item) != 4 or item[0] != "slice":
            raise ValueError(f"index: a slice is ('slice', start, stop, step), got {item!r}")
        return slice(*item[1:])
    return Ellipsis if item == "..." else item


def _probe(op: str, *rows: Sequence[float], args: tuple[int | Scalar, ...] = (), **params: Any) -> Case:
    inputs = tuple(np.array(row, dtype=np.float64) for row in rows)
    instr = Instr(op, args or tuple(range(len(rows))), tuple(sorted(params.items())))
    program = Program(tuple(Spec(x.shape) for x in inputs), (instr,), (len(inputs),))
    shape = () if op in {"amax", "amin", "max", "min", "std", "prod", "vector_norm"} else inputs[0].shape
    return Case(program, inputs, (True,) * len(inputs), (np.ones(shape),))


@functools.cache
def _where_probe() -> Case:
    """where(x > 0, sqrt(x), x): the branch that is not taken has an infinite derivative at 0."""
    instrs = (
        Instr("gt", (0, Scalar(0.0))),
        Instr("sqrt", (0,)),
        Instr("where", (1, 2, 0)),
    )
    program = Program((Spec((2,)),), instrs, (3,))
    return Case(program, (np.array([0.0, 1.0]),), (True,), (np.ones(2),))


@functools.cache
def _probes() -> dict[str, Case]:
    """One float64 case for each op with a kink or a singular point; cotangents of ones, so the text is the derivative."""
    return {
        "abs": _probe("abs", [-1.0, 0.0, -0.0, 1.0]),
        "relu": _probe("relu", [-1.0, 0.0, -0.0, 1.0]),
        "sign": _probe("sign", [-1.0, 0.0, 1.0]),
        "clamp": _probe("clamp", [-1.0, 0.0, 0.5, 1.0, 2.0], min=0.0, max=1.0),
        "maximum": _probe("maximum", [1.0, 2.0, 3.0], [1.0, 3.0, 2.0]),
        "minimum": _probe("minimum", [1.0, 2.0, 3.0], [1.0, 3.0, 2.0]),
        "amax": _probe("amax", [1.0, 3.0, 3.0, 2.0]),
        "amin": _probe("amin", [1.0, 1.0, 1.0]),
        "max": _probe("max", [1.0, 3.0, 3.0, 2.0], dim=0),
        "min": _probe("min", [1.0, 1.0, 1.0], dim=0),
        "cummax": _probe("cummax", [1.0, 1.0, 2.0, 2.0], dim=0),
        "cummin": _probe("cummin", [2.0, 1.0, 1.0], dim=0),
        "sort": _probe("sort", [2.0, 1.0, 1.0]),
        "std": _probe("std", [1.0, 1.0]),
        "vector_norm": _probe("vector_norm", [0.0, 0.0]),
        "vector_norm ord=1": _probe("vector_norm", [0.0, 1.0], ord=1.0),
        "sqrt": _probe("sqrt", [0.0, 1.0, -1.0]),
        "rsqrt": _probe("rsqrt", [0.0, 1.0]),
        "log": _probe("log", [0.0, 1.0, -1.0]),
        "reciprocal": _probe("reciprocal", [0.0]),
        "atan2": _probe("atan2", [0.0], [0.0]),
        "pow": _probe("pow", [0.0, 0.0, 0.0, 2.0, -2.0], [0.0, 1.0, 2.0, 0.0, 2.0]),
        "pow exponent 0.0": _probe("pow", [0.0, 2.0], args=(0, Scalar(0.0))),
        "pow exponent 0.5": _probe("pow", [0.0, 4.0, -1.0], args=(0, Scalar(0.5))),
        "pow exponent 2": _probe("pow", [0.0, -1.0], args=(0, Scalar(2))),
        "pow base 0.0": _probe("pow", [0.0, 1.0, -1.0], args=(Scalar(0.0), 0)),
        "where": _where_probe(),
        "prod": _probe("prod", [0.0, 2.0, 3.0]),
        "prod two zeros": _probe("prod", [0.0, 0.0, 3.0]),
        "leaky_relu": _probe("leaky_relu", [-1.0, 0.0, -0.0, 1.0], negative_slope=0.1),
        "elu": _probe("elu", [-1.0, 0.0, 1.0], alpha=2.0),
        "selu": _probe("selu", [0.0]),
        "celu": _probe("celu", [0.0], alpha=2.0),
        "hardtanh": _probe("hardtanh", [-1.0, 0.0, 1.0]),
        "hardtanh with limits": _probe("hardtanh", [-0.5, 0.0, 2.0], min_val=-0.5, max_val=2.0),
        "relu6": _probe("relu6", [0.0, 1.0, 6.0]),
        "hardsigmoid": _probe("hardsigmoid", [-3.0, 3.0]),
        "hardswish": _probe("hardswish", [-3.0, 3.0]),
        "softshrink": _probe("softshrink", [-0.5, 0.0, 0.5, 1.0]),
        "hardshrink": _probe("hardshrink", [-0.5, 0.0, 0.5, 1.0]),
        "softplus": _probe("softplus", [20.0]),
        "threshold": _probe("threshold", [0.0, 0.5, 1.0], threshold=0.5, value=1.0),
        "softsign": _probe("softsign", [-1.0, 0.0, 1.0]),
        "prelu": _probe("prelu", [-1.0, 0.0, -0.0, 1.0], [0.25]),
        "asin": _probe("asin", [-1.0, 1.0]),
        "acos": _probe("acos", [-1.0, 1.0]),
        "acosh": _probe("acosh", [1.0]),
        "atanh": _probe("atanh", [-1.0, 1.0]),
        "erfinv": _probe("erfinv", [-1.0, 1.0]),
        "log2": _probe("log2", [0.0, 1.0]),
        "hypot": _probe("hypot", [0.0], [0.0]),
        "floor": _probe("floor", [0.5, 1.0]),
        "ceil": _probe("ceil", [0.5, 1.0]),
        "trunc": _probe("trunc", [0.5, 1.0]),
        "round": _probe("round", [0.5, 1.5]),
        "frac": _probe("frac", [0.5, 1.0]),
        "fmod": _probe("fmod", [3.0, -3.0, 4.0], [2.0, 2.0, 2.0]),
        "remainder": _probe("remainder", [3.0, -3.0, 4.0], [2.0, 2.0, 2.0]),
        "copysign": _probe("copysign", [0.0, -0.0, -2.0], [1.0, 1.0, 1.0]),
        "fmax": _probe("fmax", [1.0, 1.0], [1.0, 2.0]),
        "fmin": _probe("fmin", [1.0, 2.0], [1.0, 1.0]),
        "xlogy": _probe("xlogy", [0.0, 0.0], [0.0, 1.0]),
        "xlog1py": _probe("xlog1py", [0.0, 0.0], [-1.0, 1.0]),
        "entr": _probe("entr", [0.0, 1.0]),
        "logit": _probe("logit", [0.0, 1.0]),
        "logit with eps": _probe("logit", [0.0, 0.125, 0.875, 1.0], eps=0.125),
        "sinc": _probe("sinc", [0.0]),
        "i0e": _probe("i0e", [0.0]),
        "i1": _probe("i1", [0.0]),
        "i1e": _probe("i1e", [0.0]),
        "lgamma": _probe("lgamma", [0.0]),
        "digamma": _probe("digamma", [0.0]),
        "log_ndtr": _probe("log_ndtr", [0.0]),
    }


def measure_conventions(backend: Backend) -> dict[str, str]:
    """Run the backend at kinks and singular points and say what derivative it gives, as "at [x]: [derivative]".

    Ops that the backend has not are left out.

    Keys are op names, some with a word behind it for a second probe ("prod two zeros"). Backends keep the answer as a
    table, `conventions`, so that judgement needs no run; a test compares the two.
    """
    probes = {name: case for name, case in _probes().items() if backend.supports(case.program) is None}
    return {name: _describe(case, backend.prepare(case)()) for name, case in probes.items()}


def conventions_of(backend: Backend, framework: str, table: Mapping[str, str]) -> Mapping[str, str]:
    """Return what a framework does at kinks: the table, or of another version than the table's what is measured now.

    PyTorch 2.14 shares the cotangent of `fmax` at a tie, where 2.13 gave all of it to the first: no version is wrong.

    Args:
        backend: the framework as it is installed.
        framework: its name in the table of kernel errors, which holds for the same version.
        table: what was measured of that version.
    """
    known = load_kernel_errors().versions[framework].partition("+")[0]
    if backend.version.partition("+")[0] == known:
        return table
    key = (framework, backend.version)
    if key not in _measured_now:
        _measured_now[key] = measure_conventions(backend)
    return _measured_now[key]


_measured_now: dict[tuple[str, str], Mapping[str, str]] = {}


def _describe(case: Case, outcome: Outcome) -> str:
    if outcome.failure is not None:
        return f"{outcome.failure.kind}: {outcome.failure.message.splitlines()[0]}"
    points = "; ".join(map(_plain, case.primals))
    return f"at {points}: {'; '.join('None' if g is None else _plain(g) for g in outcome.grads)}"


def _plain(values: Array) -> str:
    return f"[{', '.join(f'{float(v):.6g}' for v in values)}]"
