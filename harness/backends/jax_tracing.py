"""JAX functions as subjects: the forward read from its jaxpr, the gradient asked of `jax.vjp`.

The jaxpr is walked with values beside it, into jitted functions, loops that are unrolled, branches that are taken, and
the bodies of `custom_vjp` and `custom_jvp`, whose rules are the user's: what they return is judged, not followed.
Numbers have 64 bits inside these calls, whatever the process has set.
"""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from harness.backends.jax_versions import QUICK, enable_x64, jit
from harness.cases import Array, Outcome, failed
from harness.frontends import Answer, Builder, Fillings, Node, Traced, Untraceable
from harness.gradient_scripts import jax_script
from harness.inference import OPS

__all__ = ["JaxSubject", "bind"]


def bind(fn: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> JaxSubject:
    """Bind a JAX function to example arguments: arrays, floats, and nested containers of them.

    Gradients are wanted of all floating-point arrays.

    Raises:
        TypeError: an array is complex.
    """
    leaves, layout = jax.tree_util.tree_flatten((tuple(args), dict(kwargs)))
    places = [i for i, v in enumerate(leaves) if isinstance(v, (float, np.ndarray, np.generic, jax.Array))]
    subject = _bound(fn, leaves, layout, places)
    numbers = [i for i in places if isinstance(leaves[i], float)]
    if numbers and not _traces(subject):  # one of nondiff_argnums, say, or one that is branched on
        return _bound(fn, leaves, layout, [i for i in places if i not in numbers])
    return subject


def _traces(subject: JaxSubject) -> bool:
    """Whether a function takes all that gradients are wanted of as tracers; whatever else it raises is told later."""
    try:
        with enable_x64(True):
            jax.make_jaxpr(subject._forward(subject.arrays))(*subject._moving(subject.arrays))
    except (jax.errors.UnexpectedTracerError, jax.errors.ConcretizationTypeError):
        return False
    except Exception:
        return True
    return True


def _bound(fn: Callable[..., Any], leaves: Sequence[Any], layout: Any, places: Sequence[int]) -> JaxSubject:
    arrays = []
    for i in places:
        array = np.asarray(leaves[i])
        if array.dtype.kind == "c":
            raise TypeError(f"argument {i} is complex ({array.dtype}), want real numbers")
        if array.dtype.kind not in "fiub":
            array = array.astype(np.float32)  # bfloat16
        arrays.append(array)
    name = getattr(fn, "__name__", None) or getattr(getattr(fn, "__wrapped__", None), "__name__", None) or str(fn)
    return JaxSubject(
        name=str(name),
        arrays=tuple(arrays),
        wanted=tuple(a.dtype.kind == "f" for a in arrays),
        labels=tuple(f"argument {i}" for i in places),
        arguments=len(arrays),
        fn=fn,
        leaves=tuple(leaves),
        layout=layout,
        places=tuple(places),
    )


@dataclass(frozen=True, eq=False)
class JaxSubject:
    """A JAX function with example arguments; see `harness.frontends.Subject`."""

    name: str
    arrays: tuple[Array, ...]
    wanted: tuple[bool, ...]
    labels: tuple[str, ...]
    arguments: int
    fn: Callable[..., Any]
    leaves: tuple[Any, ...]
    layout: Any
    places: tuple[int, ...]
    compiled: dict[Any, Callable[..., Any]] = field(default_factory=dict)
    loops: list[bool] = field(default_factory=list)  # whether there are any, once it was asked
    asked: bool = True
    framework: str = "jax"
    kernels: str = "jax"

    def trace(self, arrays: Sequence[Array]) -> Traced:
        """Read the jaxpr of the forward at these arrays."""
        with enable_x64(True):
            moving = self._moving(arrays)
            try:
                closed = jax.make_jaxpr(self._forward(arrays))(*moving)
            except jax.errors.ConcretizationTypeError as error:
                raise Untraceable(f"the function asks for a value: {str(error).splitlines()[0]}") from error
            walk = _Walk()
            inputs = [(walk.builder.leaf(x.shape), x) for x in moving]
            outputs = walk.run(closed.jaxpr, closed.consts, inputs)
        if not outputs:
            raise Untraceable("the function returns no array")
        nodes = [walk.node(o) for o in outputs]
        live = [n.kind == "float" for n in nodes]
        return walk.builder.traced(
            nodes, live=live, dtype=walk.least, largest=walk.largest, operators=tuple(walk.operators)
        )

    def run(
        self,
        arrays: Sequence[Array],
        cotangents: Sequence[Array | None] | None,
        *,
        wanted: Sequence[bool] | None = None,
        watched: bool = False,
    ) -> Answer:
        """Run `jax.vjp` and its pull back; or the function alone."""
        flags = self.wanted if wanted is None else tuple(wanted)
        return self._answer(arrays, cotangents, flags, watched=watched, compiled=True)

    def _answer(
        self,
        arrays: Sequence[Array],
        cotangents: Sequence[Array | None] | None,
        flags: Sequence[bool],
        *,
        watched: bool,
        compiled: bool,
    ) -> Answer:
        stage = ["forward"]
        try:
            with enable_x64(True):
                moving = [np.array(x) for x, w in zip(arrays, flags, strict=True) if w]
                if cotangents is None:
                    # Complex points are for the complex step, whose error is estimated.
                    what = "estimate" if any(x.dtype.kind == "c" for x in moving) else "value"
                    values = self._compiled(what, arrays, flags, (), compiled)(moving)
                    return Answer(Outcome(tuple(map(_numpy, values))), tuple(_is_float(v) for v in values))
                picked = tuple(k for k, c in enumerate(cotangents) if c is not None)
                seeds = [np.array(c) for c in cotangents if c is not None]
                values, grads = self._compiled("pull back", arrays, flags, picked, compiled, stage)(moving, seeds)
                live = tuple(_is_float(v) for v in values)
                outcome = Outcome(tuple(map(_numpy, values)), tuple(map(_numpy, grads)))
                least, largest = self._watched(arrays, cotangents) if watched else ("float64", 0.0)
        except jax.errors.ConcretizationTypeError as error:
            if compiled:
                return self._answer(arrays, cotangents, flags, watched=watched, compiled=False)
            return Answer(failed(error), (), stage[0])
        except Exception as error:  # whatever the framework or the user's rule raises is its outcome
            return Answer(failed(error), (), stage[0])
        return Answer(outcome, live, dtype=least, largest=largest)

    def _compiled(
        self,
        what: str,
        arrays: Sequence[Array],
        flags: Sequence[bool],
        picked: tuple[int, ...],
        compiled: bool,
        stage: list[str] | None = None,
    ) -> Callable[..., Any]:
        """The value, or values and pull back, as one function: compiled once for arrays of the same shapes.

        It is compiled as users get it for arrays like the example's. There are few others of each shape around it, and
        what is only estimated needs no more.
        """
        fixed = _fixed(arrays, flags)
        here = [(x.shape, x.dtype) for x in arrays] == [(x.shape, x.dtype) for x in self.arrays]
        key = (what, tuple(flags), picked, compiled, fixed, here)
        found = self.compiled.get(key)
        if found is not None:
            return found
        forward = self._forward(arrays, flags)

        def pull_back(moving: Sequence[Any], seeds: Sequence[Any]) -> Any:
            return _pulled_back(forward, list(map(jnp.asarray, moving)), picked, list(map(jnp.asarray, seeds)), stage)

        def value(moving: Sequence[Any]) -> Any:
            return forward(*map(jnp.asarray, moving))

        made = pull_back if what == "pull back" else value
        quick = what == "estimate" or not here
        made = made if not compiled else jit(made, QUICK) if quick else jax.jit(made)
        self.compiled[key] = _interruptible(made) if self._loops() else made
        return self.compiled[key]

    def _loops(self) -> bool:
        """Whether forward or backward has a loop that ends when its numbers say so."""
        if not self.loops:
            forward = self._forward(self.arrays)

            def whole(*xs: Any) -> Any:
                outputs, pull = jax.vjp(lambda *ys: [y for y in forward(*ys) if _is_float(y)], *xs)
                return pull(outputs)

            texts = []
            for asked in (forward, whole):
                with contextlib.suppress(Exception), enable_x64(True):  # what fails here fails where it is asked
                    texts.append(str(jax.make_jaxpr(asked)(*self._moving(self.arrays))))
            self.loops.append(any("while[" in text for text in texts))
        return self.loops[0]

    def _pushed(self, arrays: Sequence[Array]) -> Callable[..., Any]:
        """Forward mode as one function of points and tangents, compiled once for arrays of the same shapes."""
        fixed = _fixed(arrays, self.wanted)
        if ("push", fixed) not in self.compiled:
            forward = self._forward(arrays)
            self.compiled["push", fixed] = jax.jit(lambda xs, ts: jax.jvp(forward, xs, ts))
        return self.compiled["push", fixed]

    def _watched(self, arrays: Sequence[Array], cotangents: Sequence[Array | None]) -> tuple[str, float]:
        """The least precise type and the largest magnitude in the jaxpr of forward and backward."""
        forward = self._forward(arrays)
        moving = self._moving(arrays)
        picked = [k for k, c in enumerate(cotangents) if c is not None]
        seeds = [jnp.asarray(cotangents[k]) for k in picked]

        def whole(*xs: Any) -> Any:
            outputs, pull = jax.vjp(lambda *ys: [forward(*ys)[k] for k in picked], *xs)
            return pull([s.astype(o.dtype) for s, o in zip(seeds, outputs, strict=True)])

        closed = jax.make_jaxpr(whole)(*moving)
        walk = _Walk(writing=False)
        walk.run(closed.jaxpr, closed.consts, [(walk.builder.leaf(x.shape), x) for x in moving])
        return walk.least, walk.largest

    def histories(self, points: Sequence[Sequence[Array]], cotangents: Sequence[Array | None]) -> Mapping[str, Answer]:
        """The gradient at the first point again; JAX keeps nothing between calls but what the function hides."""
        self.run(points[1], cotangents)
        return {
            "after another call": self.run(points[0], cotangents),
            "op by op": self._answer(points[0], cotangents, self.wanted, watched=False, compiled=False),
        }

    def hvp(
        self,
        arrays: Sequence[Array],
        cotangents: Sequence[Array | None],
        directions: Sequence[Array],
        *,
        squares: bool = True,
    ) -> Outcome:
        """Reverse over reverse of <cotangents, f> + sum(f * f) / 2, or without the squares."""
        try:
            with enable_x64(True):
                value, grads = self._second(arrays, cotangents)(
                    self._moving(arrays), [c for c in cotangents if c is not None], list(directions), float(squares)
                )
                return Outcome((_numpy(value),), tuple(map(_numpy, grads)))
        except Exception:  # what refuses the second order did not promise it
            return Outcome()

    def _second(self, arrays: Sequence[Array], cotangents: Sequence[Array | None]) -> Callable[..., Any]:
        """The product of the Hessian, with the squares times a number, as one function that is compiled once."""
        picked = tuple(k for k, c in enumerate(cotangents) if c is not None)
        fixed = _fixed(arrays, self.wanted)
        if ("second", picked, fixed) in self.compiled:
            return self.compiled["second", picked, fixed]
        forward = self._forward(arrays)

        def total(xs: Any, seeds: Any, squares: Any) -> Any:
            outputs = forward(*xs)
            return _with_squares([outputs[k] for k in picked], seeds, squares)

        def slope(xs: Any, seeds: Any, directions: Any, squares: Any) -> Any:
            return sum((g * d).sum() for g, d in zip(jax.grad(total)(xs, seeds, squares), directions, strict=True))

        self.compiled["second", picked, fixed] = jit(jax.value_and_grad(slope), QUICK)
        return self.compiled["second", picked, fixed]

    def jvp(self, arrays: Sequence[Array], directions: Sequence[Array]) -> Outcome:
        """`jax.jvp`."""
        try:
            with enable_x64(True):
                moving = self._moving(arrays)
                tangents = [jnp.asarray(d, dtype=x.dtype) for x, d in zip(moving, directions, strict=True)]
                outputs, found = self._pushed(arrays)(moving, tangents)
                return Outcome(
                    tuple(_numpy(t) if _is_float(y) else np.zeros(y.shape) for y, t in zip(outputs, found, strict=True))
                )
        except TypeError as error:
            if "custom_vjp" in str(error):
                return Outcome()
            return failed(error)
        except Exception as error:  # as in `run`
            if "JVP" in str(error) or "jvp" in str(error):
                return Outcome()
            return failed(error)

    def combined(
        self,
        mode: str,
        arrays: Sequence[Array],
        cotangents: Sequence[Array | None],
        along: Sequence[Array],
        across: Sequence[Array],
    ) -> Outcome:
        """Two modes in one another, of the same total as in `hvp`."""
        forward = self._forward(arrays)

        def total(xs: Any) -> Any:
            pairs = [(y, c) for y, c in zip(forward(*xs), cotangents, strict=True) if c is not None]
            return _with_squares(*zip(*pairs, strict=True))

        def slope(xs: Any, d: Any) -> Any:
            return jax.jvp(total, (xs,), (d,))[1]

        composed: dict[str, Callable[[Any, Any, Any], Any]] = {
            "forward over reverse": lambda xs, d, u: jax.jvp(jax.grad(total), (xs,), (d,))[1],
            "reverse over forward": lambda xs, d, u: jax.grad(slope)(xs, d),
            "forward over forward": lambda xs, d, u: jax.jvp(lambda x: slope(x, d), (xs,), (u,))[1],
        }
        try:
            with enable_x64(True):
                moving = self._moving(arrays)
                d, u = (
                    [jnp.asarray(v, dtype=x.dtype) for x, v in zip(moving, vs, strict=True)] for vs in (along, across)
                )
                found = _once(composed[mode], moving, d, u)
                if mode == "forward over forward":
                    return Outcome((_numpy(found),))
                return Outcome((), tuple(map(_numpy, found)))
        except Exception:  # whatever keeps two modes from working was not promised
            return Outcome()

    def has_own_rules(self, arrays: Sequence[Array]) -> bool:
        """Nothing is asked that depends on it: JAX derives all modes from one rule."""
        return False

    def transposed(
        self, arrays: Sequence[Array], cotangents: Sequence[Array | None], directions: Sequence[Array]
    ) -> Outcome:
        """`jax.vjp` of the pull back."""
        picked = [k for k, c in enumerate(cotangents) if c is not None]
        forward = self._forward(arrays)

        def twice(moving: Sequence[Any], seeds: Sequence[Any], along: Sequence[Any]) -> Any:
            outputs, pull = jax.vjp(lambda *xs: [forward(*xs)[k] for k in picked], *moving)
            cts = [s.astype(y.dtype) for s, y in zip(seeds, outputs, strict=True)]
            return jax.vjp(pull, cts)[1](tuple(along))[0]

        try:
            with enable_x64(True):
                moving = self._moving(arrays)
                seeds = [jnp.asarray(cotangents[k]) for k in picked]
                along = [jnp.asarray(d, dtype=x.dtype) for x, d in zip(moving, directions, strict=True)]
                found = dict(zip(picked, map(_numpy, _once(twice, moving, seeds, along)), strict=True))
        except Exception:  # what refuses a second backward did not promise it
            return Outcome()
        return Outcome(tuple(found.get(k, np.zeros(0)) for k in range(len(cotangents))))

    def batched(self, stacks: Sequence[Array], cotangents: Sequence[Array | None]) -> Outcome:
        """`jax.vmap` over `jax.vjp`."""
        picked = [k for k, c in enumerate(cotangents) if c is not None]

        def one(points: Sequence[Any], cts: Sequence[Any]) -> Any:
            moving = [x for x, w in zip(points, self.wanted, strict=True) if w]
            return _pulled_back(self._forward(points), moving, picked, cts)

        try:
            with enable_x64(True):
                seeds = [jnp.asarray(cotangents[k]) for k in picked]
                values, grads = _once(jax.vmap(one), [jnp.asarray(x) for x in stacks], seeds)
                return Outcome(tuple(map(_numpy, values)), tuple(map(_numpy, grads)))
        except Exception:  # whatever keeps vmap from working was not promised
            return Outcome()

    def script(
        self,
        arrays: Sequence[Array],
        cotangents: Sequence[Array | None],
        truth: Sequence[tuple[Array, Array] | None],
        note: str,
    ) -> str:
        """A script around the source of the function, or its import."""
        return jax_script(
            self.fn, self.leaves, self.layout.unflatten, arrays, self.wanted, cotangents, truth, note, self.places
        )

    def _moving(self, arrays: Sequence[Array]) -> list[Any]:
        return [jnp.asarray(x) for x, w in zip(arrays, self.wanted, strict=True) if w]

    def _forward(self, arrays: Sequence[Any], wanted: Sequence[bool] | None = None) -> Callable[..., list[Any]]:
        """The function of the wanted arrays alone, with a flat list of arrays as its result."""
        flags = self.wanted if wanted is None else wanted
        fixed = [None if w else jnp.asarray(x) for x, w in zip(arrays, flags, strict=True)]

        def forward(*moving: Any) -> list[Any]:
            given = iter(moving)
            leaves = list(self.leaves)
            for place, x in zip(self.places, fixed, strict=True):
                leaves[place] = next(given) if x is None else x
            args, kwargs = jax.tree_util.tree_unflatten(self.layout, leaves)
            returned = jax.tree_util.tree_leaves(self.fn(*args, **kwargs))
            return [jnp.asarray(y) for y in returned if isinstance(y, (jax.Array, np.ndarray, np.generic, float))]

        return forward


_when_ready: Any = jax.block_until_ready


def _interruptible(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wait for a function in another thread: no signal reaches a compiled loop that never ends.

    The loop goes on when the waiting is ended, until the process does.
    """

    def waited_for(*given: Any) -> Any:
        found: list[Any] = []

        def work() -> None:
            try:
                with enable_x64(True):
                    found.extend((_when_ready(function(*given)), None))
            except BaseException as error:  # raised again below
                found.extend((None, error))

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        thread.join()
        result, error = found
        if error is not None:
            raise error
        return result

    return waited_for


def _with_squares(outputs: Sequence[Any], cotangents: Sequence[Any], squares: Any = 1.0) -> Any:
    """<cotangents, f> + squares * sum(f * f) / 2."""
    return sum((y * c).sum() + squares * (y * y).sum() / 2 for y, c in zip(outputs, cotangents, strict=True))


def _fixed(arrays: Sequence[Array], wanted: Sequence[bool]) -> tuple[Any, ...]:
    """What of the arrays is compiled into a function: those that do not move."""
    return tuple((x.tobytes(), x.shape) for x, w in zip(arrays, wanted, strict=True) if not w)


def _pulled_back(
    forward: Callable[..., list[Any]],
    moving: Sequence[Any],
    picked: Sequence[int],
    seeds: Sequence[Any],
    stage: list[str] | None = None,
) -> tuple[list[Any], Any]:
    """All values, and the pull back of the picked ones. `stage` learns when the backward begins."""

    def split(*xs: Any) -> Any:
        values = forward(*xs)
        return [values[k] for k in picked], values

    # The values that the rule's own forward gives come out here, in the place of the function's.
    outputs, pull, values = jax.vjp(split, *moving, has_aux=True)
    for k, y in zip(picked, outputs, strict=True):
        values[k] = y
    if stage is not None:
        stage[0] = "backward"
    return values, pull([s.astype(y.dtype) for s, y in zip(seeds, outputs, strict=True)])


def _once(function: Callable[..., Any], *args: Any) -> Any:
    """Compile for a single call: quickly, since compiling takes longer than whatever is computed."""
    return jit(function, QUICK)(*args)


def _numpy(x: Any) -> Array:
    if x.dtype == jax.dtypes.float0:
        return np.zeros(x.shape)
    if not jnp.issubdtype(x.dtype, jnp.inexact) or x.dtype.itemsize >= 4:
        return np.array(x)
    return np.array(x.astype(jnp.float32))


def _is_float(x: Any) -> bool:
    return bool(jnp.issubdtype(x.dtype, jnp.floating))


# -- walking a jaxpr


Pair = tuple[Node | None, Any]  # a node, None for what does not move, and the value

_CALLS = {
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "closed_call": "call_jaxpr",
    "core_call": "call_jaxpr",
    "remat2": "jaxpr",
    "checkpoint": "jaxpr",
    "custom_vjp_call": "call_jaxpr",
    "custom_vjp_call_jaxpr": "fun_jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_lin": "jaxpr",
}
_UNARY = {
    "neg": "neg",
    "sin": "sin",
    "cos": "cos",
    "tan": "tan",
    "tanh": "tanh",
    "sinh": "sinh",
    "cosh": "cosh",
    "asin": "asin",
    "acos": "acos",
    "atan": "atan",
    "asinh": "asinh",
    "acosh": "acosh",
    "atanh": "atanh",
    "exp": "exp",
    "exp2": "exp2",
    "log": "log",
    "log1p": "log1p",
    "expm1": "expm1",
    "sqrt": "sqrt",
    "rsqrt": "rsqrt",
    "logistic": "sigmoid",
    "abs": "abs",
    "erf": "erf",
    "erfc": "erfc",
    "erf_inv": "erfinv",
    "lgamma": "lgamma",
    "digamma": "digamma",
    "square": "square",
    "bessel_i0e": "i0e",
    "bessel_i1e": "i1e",
}
_BINARY = {"add": "add", "add_any": "add", "sub": "sub", "mul": "mul", "div": "div", "max": "maximum", "min": "minimum"}
_BINARY |= {"pow": "pow", "atan2": "atan2", "rem": "fmod"}
_CONSTANT = {"floor", "ceil", "round", "sign", "argmax", "argmin", "is_finite", "nextafter", "clz", "population_count"}
_MOVES = {
    "broadcast_in_dim",
    "concatenate",
    "copy",
    "copy_p",
    "dynamic_slice",
    "dynamic_update_slice",
    "expand_dims",
    "gather",
    "pad",
    "rev",
    "scatter",
    "slice",
    "split",
    "squeeze",
    "tile",
}
_LINEAR = {
    "scatter-add",
    "scatter_add",
    "scatter-sub",
    "conv_general_dilated",
    "reduce_window_sum",
    "cumsum",
    "fft_none",
}
_FILLS = {"add", "sub", "select_n", "scatter", "pad", "dynamic_update_slice"}
_SAME = {
    "stop_gradient_none",
    "optimization_barrier",
    "reduce_precision",
    "copy",
    "copy_p",
    "pvary",
    "sharding_constraint",
}


class _Walk:
    """Evaluates a jaxpr on values and writes down what moves; `writing` off, it only notes magnitudes and types."""

    def __init__(self, *, writing: bool = True) -> None:
        self.builder = Builder()
        self.writing = writing
        self.least = "float64"
        self.largest = 0.0
        self.fillings = Fillings()
        self.operators: set[str] = set()
        self.cuts: set[Node | None] = set()  # what stop_gradient returned

    def node(self, pair: Pair) -> Node:
        node, value = pair
        return self.builder.constant(_numpy(jnp.asarray(value))) if node is None else node

    def run(self, jaxpr: Any, consts: Sequence[Any], args: Sequence[Pair]) -> list[Pair]:
        """Evaluate a jaxpr."""
        env: dict[Any, Pair] = {}

        def read(atom: Any) -> Pair:
            return (None, atom.val) if hasattr(atom, "val") else env[atom]

        env.update({v: (None, c) for v, c in zip(jaxpr.constvars, consts, strict=True)})
        env.update(dict(zip(jaxpr.invars, args, strict=True)))
        for eqn in jaxpr.eqns:
            given = [read(a) for a in eqn.invars]
            if eqn.primitive.name in _FILLS:
                self.fill(eqn.primitive.name, given)
            results = self.equation(eqn, given)
            for var, pair in zip(eqn.outvars, results, strict=True):
                env[var] = pair
                self.note(pair[1])
        return [read(a) for a in jaxpr.outvars]

    def note(self, value: Any) -> None:
        if not hasattr(value, "dtype") or not jnp.issubdtype(value.dtype, jnp.floating) or not value.size:
            return
        name = str(value.dtype)
        order = {"bfloat16": 0, "float16": 1, "float32": 2, "float64": 3}
        if order.get(name, 3) < order[self.least]:
            self.least = name
        sizes = np.abs(np.asarray(value, dtype=np.float64))
        if not sizes.max() <= self.largest:
            self.largest = max(self.largest, self.fillings.largest_of(sizes))

    def fill(self, name: str, args: Sequence[Pair]) -> None:
        """Learn what a primitive that selects fills places with, and what an added mask does."""
        for node, value in args:
            if not hasattr(value, "dtype") or not jnp.issubdtype(value.dtype, jnp.floating) or not value.size:
                continue
            if name in ("add", "sub"):
                self.fillings.of_mask(np.asarray(value, dtype=np.float64))
            elif node is None:
                self.fillings.of(np.asarray(value, dtype=np.float64))

    def equation(self, eqn: Any, args: Sequence[Pair]) -> list[Pair]:
        """Evaluate one equation."""
        name, params = eqn.primitive.name, eqn.params
        if name in _CALLS:
            inner = params[_CALLS[name]]
            closed = hasattr(inner, "jaxpr")
            return self.run(inner.jaxpr if closed else inner, inner.consts if closed else (), args)
        if name == "cond":
            index = int(np.asarray(args[0][1]))
            branch = params["branches"][min(max(index, 0), len(params["branches"]) - 1)]
            return self.run(branch.jaxpr, branch.consts, args[1:])
        if name == "while":
            return self.loop(params, args)
        if name == "scan":
            return self.scan(params, args)
        if name == "custom_linear_solve":
            return self.solved(eqn, params, args)
        values = self.bound(eqn, [v for _, v in args])
        if all(node is None or not node.moving for node, _ in args) or name in _CONSTANT:
            return [(None, v) for v in values]
        if not self.writing:
            moving = next(n for n, _ in args if n is not None)
            return [(moving if _is_float(v) else None, v) for v in values]
        if name == "lu" and args[0][0] in self.cuts:
            return [(None, v) for v in values]  # what a solver factorises; where a gradient flows it solves for it anew
        if any(jnp.issubdtype(jnp.asarray(v).dtype, jnp.complexfloating) for v in values):
            raise Untraceable("complex numbers")
        if not any(_is_float(v) for v in values):
            return [(None, v) for v in values]
        nodes = self.written(eqn, name, params, args, values)
        for node, v in zip(nodes, values, strict=True):
            if node is not None and node.shape != tuple(v.shape):
                raise Untraceable(f"the primitive {name} gives shape {v.shape}, its row {node.shape}")
        self.operators.add(name)
        return list(zip(nodes, values, strict=True))

    def bound(self, eqn: Any, values: Sequence[Any]) -> list[Any]:
        """Evaluate the equation's primitive: in NumPy where that says the same, since JAX compiles for each shape."""
        name = eqn.primitive.name
        if "callback" in name and self.writing:
            raise Untraceable(f"the primitive {name}")
        if all(
            (hasattr(v, "dtype") and getattr(v.dtype, "kind", "") in tuple("fiub")) or isinstance(v, (bool, int, float))
            for v in values
        ):
            quick = _NUMPY.get(name)
            if quick is not None:
                with np.errstate(all="ignore"):
                    result = quick(eqn.params, *map(np.asarray, values))
                return [np.asarray(result, dtype=eqn.outvars[0].aval.dtype)]
        if name == "gather":
            _in_bounds(eqn, values)
        result = eqn.primitive.bind(*values, **eqn.params)
        return list(result) if eqn.primitive.multiple_results else [result]

    def written(
        self, eqn: Any, name: str, params: Any, args: Sequence[Pair], values: Sequence[Any]
    ) -> list[Node | None]:
        b = self.builder
        if name == "stop_gradient":
            nodes = [b.emit("detach", self.node(a)) for a in args]
            self.cuts.update(nodes)
            return list(nodes)
        if name in _SAME:
            return [self.node(a) for a in args]
        if name in _UNARY and _UNARY[name] in OPS:
            return [b.emit(_UNARY[name], self.node(args[0]))]
        if name in _BINARY:
            x, y = (b.floats(self.node(a)) for a in args)
            return [b.emit(_BINARY[name], *self.literals(_BINARY[name], x, y))]
        if name == "integer_pow":
            return [self.power(self.node(args[0]), int(params["y"]))]
        if name == "convert_element_type":
            return [b.floats(self.node(args[0]))]
        if name == "select_n":
            return [self.selected(args)]
        if name == "clamp":
            low, x, high = (self.node(a) for a in args)
            return [b.emit("minimum", b.emit("maximum", x, low), high)]
        if name == "erfc" and "erf" in OPS:
            return [b.emit("sub", 1.0, b.emit("erf", self.node(args[0])))]
        if name == "exp2":
            return [b.emit("exp", b.emit("mul", self.node(args[0]), math.log(2.0)))]
        if name == "reshape":
            return [b.shaped(self.arranged(self.node(args[0]), params["dimensions"]), params["new_sizes"])]
        if name == "transpose":
            return [b.emit("permute", self.node(args[0]), dims=tuple(params["permutation"]))]
        if name == "broadcast_in_dim":
            return [self.broadcast(self.node(args[0]), params)]
        if name in ("reduce_sum", "reduce_max", "reduce_min", "reduce_prod"):
            return [self.reduced(name, self.node(args[0]), params["axes"])]
        if name in ("cumsum", "cumprod") and not params["reverse"] and name in OPS:
            return [b.emit(name, self.node(args[0]), dim=params["axis"])]
        if name == "dot_general":
            return [self.contracted(self.node(args[0]), self.node(args[1]), params)]
        if name == "sort":
            return self.sorted(params, args)
        if name in ("cummax", "cummin") and not params["reverse"]:
            return [b.emit(name, self.node(args[0]), dim=params["axis"])]
        if name == "cumlogsumexp" and not params["reverse"]:
            return [self.running(self.node(args[0]), params["axis"])]
        if name == "cbrt":
            x = self.node(args[0])
            size = b.emit("pow", b.emit("abs", x), 1.0 / 3.0)
            return [b.emit("mul", b.constant(np.sign(np.asarray(args[0][1]))), size)]
        if name == "stack":
            return [b.emit("stack", *[b.floats(self.node(a)) for a in args], dim=params["axis"])]
        if name == "unstack":
            x = self.node(args[0])
            return [b.moved([x], np.take(_places(x), k, axis=params["axis"])) for k in range(len(values))]
        if name in ("top_k", "approx_top_k"):
            x = self.node(args[0])
            axis = params["axis"] if name == "top_k" else params["reduction_dimension"]
            return [b.moved([x], np.take_along_axis(_places(x), np.asarray(values[1]), axis=axis)), None]
        if name == "psum" and all(isinstance(a, int) for a in params["axes"]) and params["axis_index_groups"] is None:
            return [self.reduced("reduce_sum", self.node(a), params["axes"]) for a in args]
        if name == "conv_general_dilated" and all(node is not None and node.moving for node, _ in args):
            return [self.convolved(self.node(args[0]), self.node(args[1]), params)]
        if name in _MOVES:
            return self.moves(eqn, args, values)
        if name in _LINEAR:
            return [self.linear(eqn, args, values[0])]
        raise Untraceable(f"the primitive {name}")

    def literals(self, op: str, x: Node, y: Node) -> tuple[Any, Any]:
        """A number in the place of a 0-d constant, where the op takes one."""
        if not OPS[op].scalars:
            return x, y
        if y.value is not None and y.shape == () and x.value is None:
            return x, float(y.value)
        if x.value is not None and x.shape == () and y.value is None:
            return float(x.value), y
        return x, y

    def power(self, x: Node, n: int) -> Node:
        return (
            self.builder.emit("pow", x, n)
            if n >= 0
            else self.builder.emit("reciprocal", self.builder.emit("pow", x, -n))
        )

    def selected(self, args: Sequence[Pair]) -> Node:
        which = np.asarray(args[0][1]).astype(np.int64)
        result = self.node(args[1])
        for k, case in enumerate(args[2:], 1):
            condition = self.builder.constant(np.broadcast_to(which == k, result.shape))
            result = self.builder.emit("where", condition, self.node(case), result)
        return result

    def broadcast(self, x: Node, params: Any) -> Node:
        shape = tuple(params["shape"])
        full = [1] * len(shape)
        for d, n in zip(params["broadcast_dimensions"], x.shape, strict=True):
            full[d] = n
        y = self.builder.shaped(x, full)
        return y if y.shape == shape else self.builder.emit("expand", y, shape=shape)

    def reduced(self, name: str, x: Node, axes: Sequence[int]) -> Node:
        op = {"reduce_sum": "sum", "reduce_max": "amax", "reduce_min": "amin", "reduce_prod": "prod"}[name]
        if not axes:
            return x
        if op == "prod":
            for d in sorted(axes, reverse=True):
                x = self.builder.emit("prod", x, dim=d)
            return x
        if len(axes) == len(x.shape):
            return self.builder.emit(op, x)
        return self.builder.emit(op, x, dim=tuple(axes) if len(axes) > 1 else axes[0])

    def contracted(self, x: Node, y: Node, params: Any) -> Node:
        """dot_general as a product of matrices: batch dimensions first, the contracted ones as one."""
        b = self.builder
        (cx, cy), (bx, by) = params["dimension_numbers"]
        rest_x = [d for d in range(len(x.shape)) if d not in cx and d not in bx]
        rest_y = [d for d in range(len(y.shape)) if d not in cy and d not in by]
        batch = tuple(x.shape[d] for d in bx)
        inner = math.prod(x.shape[d] for d in cx)
        left = self.arranged(x, [*bx, *rest_x, *cx])
        right = self.arranged(y, [*by, *cy, *rest_y])
        outer_x, outer_y = tuple(x.shape[d] for d in rest_x), tuple(y.shape[d] for d in rest_y)
        left = b.shaped(left, (*batch, math.prod(outer_x), inner))
        right = b.shaped(right, (*batch, inner, math.prod(outer_y)))
        return b.shaped(b.emit("matmul", left, right), (*batch, *outer_x, *outer_y))

    def arranged(self, x: Node, dims: Sequence[int] | None) -> Node:
        return (
            x
            if dims is None or list(dims) == list(range(len(dims)))
            else self.builder.emit("permute", x, dims=tuple(dims))
        )

    def sorted(self, params: Any, args: Sequence[Pair]) -> list[Node | None]:
        """What moves follows the places that the keys give."""
        shape = np.shape(args[0][1])
        places = np.arange(math.prod(shape)).reshape(shape)
        keys = jax.lax.sort(
            [*[jnp.asarray(v) for _, v in args], jnp.asarray(places)],
            dimension=params["dimension"],
            is_stable=params["is_stable"],
            num_keys=params["num_keys"],
        )
        order = np.asarray(keys[-1])
        return [None if node is None else self.builder.moved([node], order) for node, _ in args]

    def running(self, x: Node, axis: int) -> Node:
        """A running logarithm of a sum of exponentials, as one of each beginning."""
        b = self.builder
        begins = [b.moved([x], np.take(_places(x), range(k + 1), axis=axis)) for k in range(x.shape[axis])]
        return b.emit("stack", *[b.emit("logsumexp", y, dim=axis) for y in begins], dim=axis)

    def convolved(self, x: Node, kernel: Node, params: Any) -> Node:
        """A convolution as one product of matrices over its windows."""
        if params["batch_group_count"] != 1:
            raise Untraceable("a convolution over groups of the batch")
        b, groups = self.builder, params["feature_group_count"]
        x_dims, kernel_dims, out_dims = params["dimension_numbers"]
        kernel = self.arranged(kernel, kernel_dims)
        places = _places(x).transpose(x_dims)
        # Places from 1 on: the padding of the windows is 0.
        windows = jax.lax.conv_general_dilated_patches(
            jnp.asarray(places + 1, dtype=jnp.float64),
            kernel.shape[2:],
            params["window_strides"],
            params["padding"],
            lhs_dilation=params["lhs_dilation"],
            rhs_dilation=params["rhs_dilation"],
        )
        index = np.asarray(windows).astype(np.int64) - 1
        batch, _, *sizes = index.shape
        index = np.where(index < 0, places.size, index).reshape(batch, groups, -1, math.prod(sizes)).swapaxes(2, 3)
        columns = b.moved([x, b.constant(np.zeros(1))], index)
        outer = kernel.shape[0]
        matrix = b.shaped(kernel, (groups, outer // groups, math.prod(kernel.shape[1:])))
        product = b.emit("matmul", columns, b.emit("transpose", matrix, dim0=1, dim1=2))
        y = b.shaped(b.emit("transpose", product, dim0=2, dim1=3), (batch, outer, *sizes))
        return self.arranged(y, tuple(int(d) for d in np.argsort(out_dims)))

    def solved(self, eqn: Any, params: Any, args: Sequence[Pair]) -> list[Pair]:
        """A linear solve, whatever it is solved with: its operator on unit vectors gives the matrix."""
        values = self.bound(eqn, [v for _, v in args])
        lengths, operator = params["const_lengths"], params["jaxprs"].matvec
        sides = args[sum(lengths) :]
        if all(node is None or not node.moving for node, _ in args):
            return [(None, v) for v in values]
        n = math.prod(np.shape(sides[0][1]))
        if len(sides) != 1 or n > 64 or not self.writing:
            raise Untraceable(f"a linear solve of {len(sides)} right sides, {n} elements")
        b, shape = self.builder, np.shape(sides[0][1])
        kept = args[: lengths.matvec]
        columns = []
        for k in range(n):
            unit = jnp.asarray(np.eye(n)[k].reshape(shape), dtype=jnp.asarray(sides[0][1]).dtype)
            image = self.run(operator.jaxpr, operator.consts, [*kept, (None, unit)])[0]
            columns.append(b.flat(self.node(image)))
        side = b.shaped(self.node(sides[0]), (n, 1))
        x = b.emit("solve", b.emit("stack", *columns, dim=1), side)
        self.operators.add(eqn.primitive.name)
        return [(b.shaped(x, shape), values[0])]

    def moves(self, eqn: Any, args: Sequence[Pair], values: Sequence[Any]) -> list[Node | None]:
        """Run the primitive on the places of elements to see where they go."""
        sources: list[Node] = []
        start = 0
        placed = []
        for pair in args:
            value = pair[1]
            if not _is_float(jnp.asarray(value)):
                placed.append(value)
                continue
            node = self.node(pair)
            n = math.prod(node.shape)
            sources.append(node)
            placed.append(jnp.arange(start, start + n, dtype=jnp.float64).reshape(node.shape))
            start += n
        moved = self.bound(eqn, placed)
        indices = [np.asarray(m) for m in moved]
        for m in indices:
            if (
                not np.isfinite(m).all()
                or (m != np.round(m)).any()
                or m.min(initial=0) < 0
                or m.max(initial=0) >= max(start, 1)
            ):
                raise Untraceable(f"the primitive {eqn.primitive.name} fills in elements")
        return [self.builder.moved(sources, m.astype(np.int64)) for m in indices]

    def linear(self, eqn: Any, args: Sequence[Pair], value: Any) -> Node:
        """A primitive that is linear in what moves, as a product with its matrix."""
        moving = [i for i, (n, _) in enumerate(args) if n is not None and n.moving]
        if eqn.primitive.name == "conv_general_dilated" and len(moving) > 1:
            raise Untraceable("a convolution whose kernel is differentiated, too")
        others = [v if i not in moving else jnp.zeros_like(v) for i, (_, v) in enumerate(args)]
        base = np.asarray(self.bound(eqn, others)[0])
        total = self.builder.constant(base)
        for i in moving:
            node = args[i][0]
            assert node is not None
            n = math.prod(node.shape)
            if n * base.size > 1 << 18:
                raise Untraceable(f"the primitive {eqn.primitive.name} on {n} elements")
            columns = []
            for k in range(n):
                one = np.zeros(n)
                one[k] = 1.0
                given = list(others)
                given[i] = jnp.asarray(one.reshape(node.shape), dtype=jnp.asarray(args[i][1]).dtype)
                columns.append((np.asarray(self.bound(eqn, given)[0]) - base).ravel())
            matrix = self.builder.constant(np.array(columns).T.reshape(base.size, n))
            part = self.builder.shaped(self.builder.emit("matmul", matrix, self.builder.flat(node)), base.shape)
            total = self.builder.emit("add", total, part)
        return total

    def loop(self, params: Any, args: Sequence[Pair]) -> list[Pair]:
        """A while loop, unrolled as often as it runs at these values."""
        n, m = params["cond_nconsts"], params["body_nconsts"]
        test, body = params["cond_jaxpr"], params["body_jaxpr"]
        fixed, kept, state = args[:n], args[n : n + m], list(args[n + m :])
        quiet = _Walk(writing=False)
        for _ in range(TURNS):
            if not bool(quiet.run(test.jaxpr, test.consts, [*fixed, *state])[0][1]):
                return state
            state = self.run(body.jaxpr, body.consts, [*kept, *state])
        raise Untraceable(f"a loop of more than {TURNS} turns")

    def scan(self, params: Any, args: Sequence[Pair]) -> list[Pair]:
        """A scan, unrolled."""
        n, m, length = params["num_consts"], params["num_carry"], params["length"]
        body = params["jaxpr"]
        if length > TURNS:
            raise Untraceable(f"a scan of {length} turns")
        kept, state, rows = args[:n], list(args[n : n + m]), args[n + m :]
        turns = range(length - 1, -1, -1) if params["reverse"] else range(length)
        slices: dict[int, list[Pair]] = {}
        for t in turns:
            now = [self.sliced(r, t) for r in rows]
            results = self.run(body.jaxpr, body.consts, [*kept, *state, *now])
            state, slices[t] = results[:m], results[m:]
        stacked = []
        for k in range(len(body.jaxpr.outvars) - m):
            parts = [slices[t][k] for t in range(length)]
            value = jnp.stack([v for _, v in parts]) if parts else jnp.zeros((0, *body.out_avals[m + k].shape))
            node = None
            if any(p is not None and p.moving for p, _ in parts):
                node = self.builder.emit("stack", *[self.node(p) for p in parts], dim=0)
            stacked.append((node, value))
        return [*state, *stacked]

    def sliced(self, pair: Pair, t: int) -> Pair:
        node, value = pair
        return (None if node is None else self.builder.emit("getitem", node, index=(t,))), value[t]


TURNS = 200


def _in_bounds(eqn: Any, values: Sequence[Any]) -> None:
    """Refuse a gather beyond the array: there JAX promises nothing that a derivative could be held to."""
    operand, starts = values
    numbers, sizes = eqn.params["dimension_numbers"], eqn.params["slice_sizes"]
    index = np.asarray(starts)
    if not index.size:
        return
    for k, d in enumerate(numbers.start_index_map):
        column = index[..., k]
        if column.min() < 0 or column.max() > np.shape(operand)[d] - sizes[d]:
            raise Untraceable("an index beyond its axis")


def _places(x: Node) -> Any:
    return np.arange(math.prod(x.shape)).reshape(x.shape)


def _dot(params: Any, x: Any, y: Any) -> Any:
    (cx, cy), (bx, by) = params["dimension_numbers"]
    letters = "abcdefghijklmnopqrstuvwxyz"
    left = list(letters[: x.ndim])
    right = list(letters[x.ndim : x.ndim + y.ndim])
    for i, j in [*zip(cx, cy, strict=True), *zip(bx, by, strict=True)]:
        right[j] = left[i]
    out = [left[d] for d in bx]
    out += [c for d, c in enumerate(left) if d not in cx and d not in bx]
    out += [c for d, c in enumerate(right) if d not in cy and d not in by]
    return np.einsum(f"{''.join(left)},{''.join(right)}->{''.join(out)}", x, y)


def _spread(params: Any, x: Any) -> Any:
    full = [1] * len(params["shape"])
    for d, n in zip(params["broadcast_dimensions"], x.shape, strict=True):
        full[d] = n
    return np.broadcast_to(x.reshape(full), params["shape"])


def _sliced(params: Any, x: Any) -> Any:
    steps = params["strides"] or (1,) * x.ndim
    limits = zip(params["start_indices"], params["limit_indices"], steps, strict=True)
    return x[tuple(slice(a, z, s) for a, z, s in limits)]


_NUMPY: dict[str, Callable[..., Any]] = {
    "neg": lambda p, x: -x,
    "abs": lambda p, x: np.abs(x),
    "sign": lambda p, x: np.sign(x),
    "floor": lambda p, x: np.floor(x),
    "ceil": lambda p, x: np.ceil(x),
    **{
        name: (lambda f: lambda p, x: f(x))(getattr(np, spelt))
        for name, spelt in [
            *((n, n) for n in ("sin", "cos", "tan", "sinh", "cosh", "tanh", "exp", "expm1", "log", "log1p", "sqrt")),
            ("asin", "arcsin"),
            ("acos", "arccos"),
            ("atan", "arctan"),
            ("asinh", "arcsinh"),
            ("acosh", "arccosh"),
            ("atanh", "arctanh"),
            ("square", "square"),
            ("is_finite", "isfinite"),
            ("stop_gradient", "asarray"),
            ("copy", "asarray"),
            ("copy_p", "asarray"),
        ]
    },
    "rsqrt": lambda p, x: 1 / np.sqrt(x),
    "logistic": lambda p, x: 1 / (1 + np.exp(-x)),
    "integer_pow": lambda p, x: x.astype(np.float64) ** p["y"],
    "add": lambda p, x, y: x + y,
    "add_any": lambda p, x, y: x + y,
    "sub": lambda p, x, y: x - y,
    "mul": lambda p, x, y: x * y,
    "max": lambda p, x, y: np.maximum(x, y),
    "min": lambda p, x, y: np.minimum(x, y),
    "atan2": lambda p, x, y: np.arctan2(x, y),
    **{
        name: (lambda f: lambda p, x, y: f(x, y))(getattr(np, spelt))
        for name, spelt in [
            ("gt", "greater"),
            ("ge", "greater_equal"),
            ("lt", "less"),
            ("le", "less_equal"),
            ("eq", "equal"),
            ("ne", "not_equal"),
        ]
    },
    "select_n": lambda p, which, *cases: np.select([which == k for k in range(len(cases))], cases),
    "clamp": lambda p, low, x, high: np.minimum(np.maximum(x, low), high),
    "convert_element_type": lambda p, x: x.astype(p["new_dtype"]),
    "broadcast_in_dim": _spread,
    "reshape": lambda p, x: (x if p["dimensions"] is None else x.transpose(p["dimensions"])).reshape(p["new_sizes"]),
    "squeeze": lambda p, x: np.squeeze(x, tuple(p["dimensions"])),
    "expand_dims": lambda p, x: np.expand_dims(x, tuple(p["dimensions"])),
    "transpose": lambda p, x: np.transpose(x, p["permutation"]),
    "slice": _sliced,
    "rev": lambda p, x: np.flip(x, tuple(p["dimensions"])),
    "concatenate": lambda p, *xs: np.concatenate(xs, axis=p["dimension"]),
    "reduce_sum": lambda p, x: x.sum(axis=tuple(p["axes"])),
    "reduce_max": lambda p, x: x.max(axis=tuple(p["axes"])),
    "reduce_min": lambda p, x: x.min(axis=tuple(p["axes"])),
    "reduce_prod": lambda p, x: x.prod(axis=tuple(p["axes"])),
    "dot_general": _dot,
    "iota": lambda p: np.broadcast_to(
        np.arange(p["shape"][p["dimension"]]).reshape(
            [-1 if d == p["dimension"] else 1 for d in range(len(p["shape"]))]
        ),
        p["shape"],
    ),
}
