"""What a workload is made of: the record, its questions, and the few pieces of NumPy that several families share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.programs import Program

__all__ = [
    "PLAIN",
    "QUESTIONS",
    "Array",
    "ByHand",
    "Input",
    "PullBack",
    "Seeds",
    "Workload",
    "inner_gradient",
    "log_sum_exp",
    "no_direction",
    "unit_vector",
    "vector",
]

Array = NDArray[Any]
Input = Array | float
PullBack = Callable[[Array], tuple[Array, ...]]
ByHand = Callable[..., tuple[Array, PullBack]]

QUESTIONS = ("value", "gradient", "vjp", "jvp", "hvp", "jacobian", "hessian", "diagonal", "argmin", "script")
PLAIN = ("value", "gradient", "vjp")
"""The questions that `Workload.by_hand` answers; the others have their own answer in `Workload.more`."""


@dataclass(frozen=True)
class Seeds:
    """The directions that together give every entry of a Jacobian, so that a sparse one costs as many passes as it needs.

    Attributes:
        forward: they are tangents of the one input that requires grad (each pass is a JVP), else cotangents of the value
            (each pass is a VJP).
        make: `make(*inputs)` returns them, one a row: (k, *shape).
    """

    forward: bool
    make: Callable[..., Array]


@dataclass(frozen=True)
class Workload:
    """A function worth timing, with inputs of any of its sizes.

    Attributes:
        name: its name in rows and on the command line.
        doc: what it computes, in one sentence.
        sizes: the arguments of `make_inputs` that are timed unless others are asked for.
        make_inputs: `make_inputs(size, dtype, rng)`: float arrays of `dtype`, int64 arrays, and Python numbers that are
            constants of the function. The exact values that every backend gets.
        function: PyTorch's spelling, `function(T, *inputs)`. What is spelled with functions of `T`, operators and indices
            alone runs over every namespace, JAX included.
        function_jax: JAX's own spelling where the function cannot be the same, `function_jax(jax, *inputs)`; else None.
        by_hand: `by_hand(*inputs)` returns the value and `pull_back(ct)`, which gives one gradient for each of `wrt`.
            It keeps the dtype of its inputs, extended precision included.
        wrt: positions of the inputs that require grad.
        scalar: the value is 0-d, so it has a gradient; otherwise it has a VJP.
        origin: where the inputs come from: "generated", or the file's folder.
        family: the family that it belongs to.
        more: further questions with their answers by hand: `more[what](*inputs, direction)` returns the arrays that a
            backend has to return. "jvp": value and tangent; "hvp": Hessian times direction; "jacobian": one array an
            input, stacked over the seeds; "hessian"; "diagonal": the gradient and the Hessian's diagonal, where it is
            known to be diagonal; "argmin": where gradient descent from the input ends; "script": what `script` returns.
        asks: all questions; None: the value, the gradient or VJP, and those of `more`.
        seeds: of the "jacobian"; None: the unit cotangents.
        program: `program(*inputs)` gives a program instead of `function`, run with each backend's own table of ops on as
            many of the inputs as it takes.
        script: `script(T, *inputs)`: what is done with a tape, as a user would write it; it returns tensors.
        limits: largest size for an engine by name ("jax"), or for a question to it ("jax hessian"), with 0 for what it
            cannot run at all or not in the time of a benchmark.
        counts: rows say the size that was asked for, such as a number of steps, instead of the elements of the largest
            input.
    """

    name: str
    doc: str
    sizes: tuple[int, ...]
    make_inputs: Callable[[int, str, np.random.Generator], tuple[Input, ...]]
    function: Callable[..., Any] | None
    function_jax: Callable[..., Any] | None
    by_hand: ByHand
    wrt: tuple[int, ...] = (0,)
    scalar: bool = True
    origin: str = "generated"
    family: str = "core"
    more: Mapping[str, Callable[..., tuple[Array, ...]]] = field(
        default_factory=lambda: MappingProxyType({}), hash=False
    )
    asks: tuple[str, ...] | None = None
    seeds: Seeds | None = None
    program: Callable[..., Program] | None = None
    script: Callable[..., Any] | None = None
    limits: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    counts: bool = False

    @property
    def whats(self) -> tuple[str, ...]:
        """What can be timed of it."""
        if self.asks is not None:
            return self.asks
        return ("value", "gradient" if self.scalar else "vjp", *self.more)

    def direction(self, what: str, inputs: Sequence[Input], dtype: str, rng: np.random.Generator) -> Array:
        """What a question is asked along: a cotangent, a tangent, the seeds of a Jacobian, or nothing."""
        if what == "vjp" or (what in PLAIN and not self.scalar):
            return rng.standard_normal(np.shape(self.by_hand(*inputs)[0])).astype(dtype)
        if what in PLAIN:
            return np.ones((), dtype)
        if what in ("jvp", "hvp"):
            return rng.standard_normal(np.shape(inputs[self.wrt[0]])).astype(dtype)
        if what == "jacobian" and self.seeds is not None:
            return self.seeds.make(*inputs).astype(dtype)
        if what == "jacobian":
            shape = np.shape(self.by_hand(*inputs)[0])
            return np.eye(int(np.prod(shape)), dtype=dtype).reshape(-1, *shape)
        return no_direction(dtype)

    def row_size(self, size: int, inputs: Sequence[Input]) -> int:
        """The size that rows show."""
        return size if self.counts else max(a.size for a in inputs if isinstance(a, np.ndarray))

    def lacking(self, engine: str, size: int, what: str) -> str:
        """Why an engine does not run this size of a question; "" if it does."""
        if what == "script" and engine not in _TAPES:
            return f"{engine} has no tape to work on"
        limit = self.limits.get(f"{engine} {what}", self.limits.get(engine))
        if limit is None or size <= limit:
            return ""
        if limit == 0:
            return f"{engine} does not run it, or not in the time of a benchmark"
        return f"{size} is more than {engine} can be asked for in the time of a benchmark; {limit} is its limit"


_TAPES = ("numpy", "reference", "torch")  # by hand, what the tape would do is computed


def no_direction(dtype: str = "float64") -> Array:
    """What a question without a direction is asked along."""
    return np.zeros(0, dtype)


# Pieces that several families share


def vector(size: int, dtype: str, rng: np.random.Generator) -> tuple[Input, ...]:
    """One vector of normal numbers."""
    return (rng.standard_normal(size).astype(dtype),)


def unit_vector(size: int, dtype: str, rng: np.random.Generator) -> tuple[Input, ...]:
    """One vector of numbers between 0.1 and 0.9."""
    return (rng.uniform(0.1, 0.9, size).astype(dtype),)


def log_sum_exp(x: Array) -> tuple[Array, Array]:
    """Logsumexp over the last axis, and its derivative, the softmax."""
    top = x.max(axis=-1, keepdims=True)
    e = np.exp(x - top)
    total = e.sum(axis=-1, keepdims=True)
    return (np.log(total) + top)[..., 0], e / total


def inner_gradient(T: Any, f: Callable[[Any], Any], x: Any, *outer: Any) -> tuple[Any, Any]:
    """The value of a scalar function and its gradient, for functions that differentiate inside.

    Args:
        outer: what else the function depends on. Where x or one of these requires grad, the result can be differentiated
            again.
    """
    own = getattr(T, "value_and_gradient", None)
    if own is not None:
        value, gradient = own(f, x)
        return value, gradient
    again = x.requires_grad or any(a.requires_grad for a in outer)
    x = x if x.requires_grad else x.detach().requires_grad_()
    y = f(x)
    (gradient,) = T.autograd.grad(y, [x], create_graph=again)
    return (y if again else y.detach()), gradient
