"""What a framework must offer so that a user's own function can be judged: bind it, trace its forward, run its backward.

A `Subject` is a function with its example arguments, seen as arrays. `trace` records what the forward computes as a
program, whatever the backward says; `run` asks the framework, and so the user's backward, for values and gradients.
`subject(fn, args)` finds the frontend of a function. `Builder` is what tracers write programs with.

>>> b = Builder()
>>> x = b.leaf((3,))
>>> y = b.emit("mul", b.emit("sin", x), 2.0)
>>> print(b.traced([y]).program)
def program(x0):  # x0: float[3]
    v1 = sin(x0)
    v2 = mul(v1, 2.0)
    return v2
"""

from __future__ import annotations

import importlib
import importlib.util
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from harness.cases import Array, Outcome
from harness.inference import OPS, ProgramError, infer_op
from harness.programs import Instr, Param, Program, Scalar, Spec
from harness.vocabulary.checks import Required

__all__ = [
    "Answer",
    "Builder",
    "Fillings",
    "Node",
    "Subject",
    "Traced",
    "Untraceable",
    "framework_of",
    "is_filled",
    "subject",
]


class Untraceable(Exception):
    """The forward computes something that no program holds; the message says what."""


@dataclass(frozen=True, eq=False)
class Traced:
    """The forward of a function at a point, as a program.

    Attributes:
        program: its first inputs are the arrays that a gradient is wanted of, in order; constants follow.
        constants: the values of the inputs behind them: other arguments, and whatever did not depend on the wanted
            arrays at that point, decisions and indices included. They hold near the point.
        live: for each output whether the framework says that a gradient flows through it.
        dtype: the float type of least precision on the way.
        largest: the largest magnitude on the way.
        random: a random number generator was asked.
        operators: the framework's operators on the way whose results depend on the leaves, sorted.
    """

    program: Program
    constants: tuple[Array, ...]
    live: tuple[bool, ...]
    dtype: str = "float64"
    largest: float = 0.0
    random: bool = False
    operators: tuple[str, ...] = ()


@dataclass(eq=False)
class Fillings:
    """Large numbers that a function puts into places to take them out of play, such as the -1e9 of a masked softmax.

    They are copied, or added to numbers that they swallow, and say nothing about the rounding of the others.

    >>> fillings = Fillings()
    >>> fillings.of(np.array(-1e9))
    >>> fillings.largest_of(np.array([0.5, -2.0, -1e9 - 2.0, np.inf]))
    2.0
    """

    sizes: list[float] = field(default_factory=list)

    def of(self, values: Array) -> None:
        """Learn from what places are filled with."""
        with np.errstate(invalid="ignore"):
            sizes = np.unique(np.abs(np.asarray(values, dtype=np.float64)))
        large = sizes[(sizes > LARGE) & np.isfinite(sizes)]
        if 0 < large.size <= 2:
            self.sizes += [v for v in large.tolist() if v not in self.sizes]

    def of_mask(self, values: Array) -> None:
        """Learn from an added array, if it is a mask: zeros, and large numbers."""
        sizes = np.abs(np.asarray(values, dtype=np.float64))
        if ((sizes == 0) | (sizes > LARGE)).all() and (sizes == 0).any():
            self.of(sizes)

    def largest_of(self, values: Array) -> float:
        """The largest finite magnitude that fills no place; 0 if there is none."""
        sizes = np.abs(np.asarray(values, dtype=np.float64))
        kept = np.isfinite(sizes)
        for v in self.sizes:
            kept &= np.abs(sizes - v) > 2.0**-6 * v
        return float(sizes[kept].max(initial=0.0))


LARGE = 2.0**10


@dataclass(frozen=True, eq=False)
class Answer:
    """What the framework made of a function at a point.

    Attributes:
        outcome: values, and one gradient for each wanted array.
        live: for each output whether the framework says that a gradient flows through it.
        stage: where it raised: "forward" or "backward"; "" if it did not.
        complaints: what is wrong with the gradients as the user's backward returned them: shape, dtype.
        mutated: names of what the function wrote into: arguments or cotangents.
        dtype: the float type of least precision on the way, if `watched`.
        largest: the largest magnitude on the way, forward and backward, if `watched`.
        filling: the smallest of the large numbers that places are filled with, such as the -1e9 of a mask, if `watched`.
    """

    outcome: Outcome
    live: tuple[bool, ...] = ()
    stage: str = ""
    complaints: tuple[str, ...] = ()
    mutated: tuple[str, ...] = ()
    dtype: str = "float64"
    largest: float = 0.0
    filling: float = math.inf


class Subject(Protocol):
    """A function with example arguments; arrays are those of the arguments and parameters that are tensors, in order.

    Attributes:
        name: what the user calls it.
        framework: "torch", "jax" or "reference".
        kernels: the backend whose declared kernel errors hold for it.
        arrays: the example, one array a tensor.
        wanted: for each array whether its gradient is asked for.
        labels: for each array a name such as "argument 0" or "parameter weight".
        arguments: how many of the arrays come from the arguments; parameters and closures follow.
        asked: the user said which gradients are wanted; if not, an argument that gets none was not promised one.
    """

    name: str
    framework: str
    kernels: str
    arrays: tuple[Array, ...]
    wanted: tuple[bool, ...]
    labels: tuple[str, ...]
    arguments: int
    asked: bool

    def trace(self, arrays: Sequence[Array]) -> Traced:
        """Record the forward at these arrays.

        Raises:
            Untraceable: it cannot be recorded.
        """
        ...

    def run(
        self,
        arrays: Sequence[Array],
        cotangents: Sequence[Array | None] | None,
        *,
        wanted: Sequence[bool] | None = None,
        watched: bool = False,
    ) -> Answer:
        """Run forward and backward on copies that keep the arrays' strides; no backward if `cotangents` is None."""
        ...

    def histories(self, points: Sequence[Sequence[Array]], cotangents: Sequence[Array | None]) -> Mapping[str, Answer]:
        """Ask for the gradient at the first point in ways that a sound backward answers alike, by name.

        Such as: a second time through a retained graph; after another forward at the other point came in between.
        """
        ...

    def hvp(
        self,
        arrays: Sequence[Array],
        cotangents: Sequence[Array | None],
        directions: Sequence[Array],
        *,
        squares: bool = True,
    ) -> Outcome:
        """Ask for the second order of <cotangents, f> + sum(f * f) / 2 along the directions, or without the squares; no
        values and no grads if none is promised."""
        ...

    def jvp(self, arrays: Sequence[Array], directions: Sequence[Array]) -> Outcome:
        """Ask forward mode for tangents, which stand as `values`; none if forward mode is not promised."""
        ...

    def combined(
        self,
        mode: str,
        arrays: Sequence[Array],
        cotangents: Sequence[Array | None],
        along: Sequence[Array],
        across: Sequence[Array],
    ) -> Outcome:
        """Ask for the second order of the same by two modes in one another, as `harness.checking.combined` names them.

        H along stands as `grads`; across' H along as the one value for "forward over forward"; neither if that is not
        promised.
        """
        ...

    def has_own_rules(self, arrays: Sequence[Array]) -> bool:
        """Say whether the backward applies a rule of the user's own, where forward mode depends on it."""
        ...

    def transposed(
        self, arrays: Sequence[Array], cotangents: Sequence[Array | None], directions: Sequence[Array]
    ) -> Outcome:
        """Ask for J d as the derivative of <J'u, d> by the cotangents u, which stands as `values`: the backward pulled
        back; none if no second backward is promised."""
        ...

    def batched(self, stacks: Sequence[Array], cotangents: Sequence[Array | None]) -> Outcome:
        """Ask for values and gradients of all points in a stack at once; none if batching is not promised."""
        ...

    def script(
        self,
        arrays: Sequence[Array],
        cotangents: Sequence[Array | None],
        truth: Sequence[tuple[Array, Array] | None],
        note: str,
    ) -> str:
        """Write a stand-alone script that asks the framework for the gradient and compares it with the truth.

        `truth` has a pair for each wanted array: the true gradient and how far a right one may lie from it.
        """
        ...


_FRONTENDS = {"torch": "harness.backends.torch_tracing", "jax": "harness.backends.jax_tracing"}


def subject(
    fn: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any] | None = None,
    *,
    framework: str | None = None,
) -> Subject:
    """Bind a function to its example arguments in the framework that it belongs to, or in the one named.

    Raises:
        TypeError: `fn` is no function, or nothing says which framework it belongs to.
    """
    if not callable(fn):
        raise TypeError(f"fn: a function is wanted, got {type(fn).__name__}")
    name = framework or framework_of(fn, list(args) + list((kwargs or {}).values()))
    if name == "reference":
        return importlib.import_module("harness.backends.reference_tracing").bind(fn, args, kwargs or {})  # type: ignore[no-any-return]
    return importlib.import_module(_FRONTENDS[name]).bind(fn, args, kwargs or {})  # type: ignore[no-any-return]


def framework_of(fn: Any, args: Sequence[Any] = ()) -> str:
    """Tell the framework from the types of arguments, then from what the function is and what its globals mention.

    Raises:
        TypeError: nothing tells.
    """
    kinds: set[str] = set()
    stack = list(args)
    while stack:
        value = stack.pop()
        if isinstance(value, (list, tuple)):
            stack.extend(value)
        elif isinstance(value, dict):
            stack.extend(value.values())
        else:
            kinds.update(t.__module__.partition(".")[0] for t in type(value).__mro__)
    for name, modules in (("torch", {"torch"}), ("jax", {"jax", "jaxlib"}), ("reference", {"reference_impl"})):
        if kinds & modules:
            return name
    found = {t.__module__.partition(".")[0] for t in type(fn).__mro__}
    inner = fn
    for _ in range(8):
        inner = getattr(inner, "__wrapped__", None) or getattr(inner, "func", None) or inner
        found.update(t.__module__.partition(".")[0] for t in type(inner).__mro__)
    found.add(str(getattr(inner, "__module__", "")).partition(".")[0])
    owner = getattr(inner, "__self__", None)
    if owner is not None:
        found.update(
            t.__module__.partition(".")[0] for t in (owner if isinstance(owner, type) else type(owner)).__mro__
        )
    found.update(_mentioned(inner))
    for name, modules in (("jax", {"jax", "jaxlib"}), ("torch", {"torch"}), ("reference", {"reference_impl"})):
        if found & modules:
            return name
    loaded = [n for n in ("torch", "jax") if sys.modules.get(n) is not None]
    if len(loaded) == 1:
        return loaded[0]
    raise TypeError(
        f"fn: {getattr(fn, '__name__', fn)!r} names no framework; pass example arguments that are PyTorch or JAX arrays"
    )


def _mentioned(fn: Any) -> set[str]:
    """The packages behind the names in a function's code, one level deep."""
    code = getattr(fn, "__code__", None)
    if code is None:
        return set()
    values = [getattr(fn, "__globals__", {}).get(n) for n in code.co_names]
    values += [c.cell_contents for c in fn.__closure__ or () if is_filled(c)]
    names = set()
    for value in values:
        module = value.__name__ if isinstance(value, type(sys)) else getattr(value, "__module__", None)
        names.add(str(module or "").partition(".")[0])
        if isinstance(value, type):
            names.update(t.__module__.partition(".")[0] for t in value.__mro__)
        owner = getattr(value, "__self__", None)
        if isinstance(owner, type):
            names.update(t.__module__.partition(".")[0] for t in owner.__mro__)
    return names


def is_filled(cell: Any) -> bool:
    """Whether a cell of a closure holds a value already."""
    try:
        cell.cell_contents  # noqa: B018 (an empty cell raises)
    except ValueError:
        return False
    return True


# -- writing programs

# A constant of minus infinity is a mask before a softmax; a number far below all others does the same, and has balls. What
# it should not stand for shows in the value. The products of numbers a million times the usual are small beside it, and
# float32 and bfloat16 have it.
MASKED = -(2.0**100)


@dataclass(frozen=True, eq=False)
class Node:
    """A value of the trace: a result of an instruction, a leaf, or a constant with its value.

    `moving` says that it depends on a leaf.
    """

    shape: tuple[int, ...]
    kind: str = "float"
    moving: bool = True
    value: Array | None = None


@dataclass(eq=False)
class Builder:
    """Writes a program instruction by instruction; what no output needs is left out in the end."""

    leaves: list[Node] = field(default_factory=list)
    steps: list[tuple[str, tuple[Node | Scalar, ...], tuple[tuple[str, Param], ...], Node]] = field(
        default_factory=list
    )
    unshaped: dict[Node, Node] = field(default_factory=dict)  # what a reshaped node was before

    def leaf(self, shape: Sequence[int]) -> Node:
        """A new input that a gradient is wanted of."""
        node = Node(tuple(shape))
        self.leaves.append(node)
        return node

    def constant(self, value: Any) -> Node:
        """An input that holds this value; the copy is made now."""
        array = np.array(value)
        kind = {"f": "float", "b": "bool", "i": "int", "u": "int"}.get(array.dtype.kind)
        if kind is None:
            raise Untraceable(f"a constant of dtype {array.dtype}")
        if kind == "int":
            array = array.astype(np.int64)
        if kind == "float":
            lowest = max(MASKED, float(np.finfo(array.dtype).min))
            array = np.where(array == -np.inf, array.dtype.type(lowest), array)
        return Node(array.shape, kind, False, array)

    def emit(self, op: str, *args: Node | float | int, **params: Any) -> Node:
        """Append one instruction; parameters that equal their default are left out.

        Raises:
            Untraceable: the vocabulary lacks the op, or the op does not take such arguments.
        """
        if op not in OPS:
            raise Untraceable(f"no op {op} in the vocabulary")
        defaults = OPS[op].params
        given: dict[str, Param] = {k: _plain(v) for k, v in params.items()}
        kept = {k: v for k, v in given.items() if isinstance(defaults.get(k), Required) or defaults.get(k) != v}
        if op == "pow" and isinstance(args[1], float) and not _steps_down(args[1]):
            args = (args[0], self.constant(args[1]))
        operands = tuple(a if isinstance(a, Node) else Scalar(MASKED if a == -math.inf else a) for a in args)
        try:
            spec = infer_op(op, [Spec(a.shape, a.kind) if isinstance(a, Node) else a for a in operands], kept)
        except ProgramError as error:
            raise Untraceable(f"{op}: {error}") from None
        moving = any(isinstance(a, Node) and a.moving for a in operands)
        node = Node(spec.shape, spec.kind, moving)
        self.steps.append((op, operands, tuple(sorted(kept.items())), node))
        return node

    def moved(self, sources: Sequence[Node], index: Array) -> Node:
        """The elements of the sources, laid one behind the other, at the places that `index` names, in its shape."""
        flat = [self.flat(s) for s in sources]
        whole = flat[0] if len(flat) == 1 else self.emit("cat", *flat, dim=0)
        places = np.asarray(index)
        if places.size == math.prod(whole.shape) and np.array_equal(places.ravel(), np.arange(places.size)):
            picked = whole
        else:
            picked = self.emit("index_select", whole, dim=0, index=tuple(places.ravel().tolist()))
        return self.shaped(picked, places.shape)

    def flat(self, x: Node) -> Node:
        """The elements in a row."""
        return self.shaped(x, (math.prod(x.shape),))

    def shaped(self, x: Node, shape: Sequence[int]) -> Node:
        """The same elements in another shape; the node itself if it has that shape."""
        x = self.unshaped.get(x, x)
        if x.shape == tuple(shape):
            return x
        y = self.emit("reshape", x, shape=tuple(shape))
        self.unshaped[y] = x
        return y

    def floats(self, x: Node) -> Node:
        """A bool or int node as a constant float; a float as it is."""
        if x.kind == "float":
            return x
        if x.value is None:
            raise Untraceable(f"a {x.kind} that is computed becomes a float")
        return self.constant(x.value.astype(np.float64))

    def traced(
        self,
        outputs: Sequence[Node],
        *,
        live: Sequence[bool] | None = None,
        dtype: str = "float64",
        largest: float = 0.0,
        random: bool = False,
        operators: Sequence[str] = (),
    ) -> Traced:
        """Finish: number the slots, leave out what no output needs."""
        needed = {id(n) for n in outputs}
        steps = []
        for step in reversed(self.steps):
            if id(step[3]) in needed:
                steps.append(step)
                needed.update(id(a) for a in step[1] if isinstance(a, Node))
        steps.reverse()
        constants: dict[int, Node] = {}
        for node in [a for s in steps for a in s[1] if isinstance(a, Node)] + list(outputs):
            if node.value is not None:
                constants.setdefault(id(node), node)
        inputs = [*self.leaves, *constants.values()]
        place = {id(n): i for i, n in enumerate(inputs)}
        instrs: list[Instr] = []
        for op, args, params, node in steps:
            slots = tuple(a if isinstance(a, Scalar) else place[id(a)] for a in args)
            place[id(node)] = len(inputs) + len(instrs)
            instrs.append(Instr(op, slots, params))
        specs = tuple(Spec(n.shape, n.kind) for n in inputs)
        program = Program(specs, tuple(instrs), tuple(place[id(n)] for n in outputs))
        values = tuple(n.value for n in constants.values() if n.value is not None)
        flags = tuple(live) if live is not None else tuple(n.moving for n in outputs)
        return Traced(program, values, flags, dtype, largest, random, tuple(sorted(operators)))


def _steps_down(exponent: float) -> bool:
    """Whether the exponents of the first derivatives are floats, too; where they round, a rule in Python numbers gives the
    derivative of another power, and the exponent has to be an array, which balls compute with exactly."""
    steps = [exponent - k for k in range(4)]
    return not math.isfinite(exponent) or all(math.fsum((exponent, -k, -s)) == 0.0 for k, s in enumerate(steps))


def _plain(value: Any) -> Param:
    if isinstance(value, (list, tuple)):
        return tuple(_plain(v) for v in value)
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise Untraceable(f"a parameter that is {value!r}")
