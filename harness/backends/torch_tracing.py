"""PyTorch functions as subjects: the forward recorded below autograd, the backward run as the user wrote it.

`bind` makes a `harness.frontends.Subject` of a function, an `nn.Module`, or whatever `torch.autograd.Function.apply`
returns. The recorder is a dispatch mode, which sees every ATen operator, inside the forward of an autograd function and
of a Python custom operator, too. A value is known by the memory it lies in, so views and in-place writes are followed.
What autograd cuts off (detach, no_grad) is told by `requires_grad` of the tensors that are read.
"""

from __future__ import annotations

import contextlib
import math
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from harness.backends.torch_eager import same_layout
from harness.backends.torch_modes import COMPOSED, has_own_rules, nests_own_rules
from harness.backends.torch_rows import CONSTANT, LINEAR, MOVES, PICKS, ROWS, SAME, plain
from harness.cases import Array, Outcome, failed
from harness.frontends import Answer, Builder, Fillings, Node, Traced, Untraceable, is_filled
from harness.gradient_scripts import torch_script
from harness.inference import OPS

__all__ = ["TorchSubject", "bind"]

_APPLY = torch.autograd.Function.apply.__func__.__code__  # type: ignore[attr-defined]  # a class method
_LOW = (torch.float16, torch.bfloat16)
_SEED = 20_011


# -- binding


@dataclass(frozen=True, eq=False)
class _Place:
    """Where a tensor of the function lives that is no argument: a parameter, a closure cell or a global."""

    label: str
    put: Callable[[Any], contextlib.AbstractContextManager[None]]


def bind(fn: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> TorchSubject:
    """Bind a PyTorch function to example arguments: tensors, arrays, or nested lists, tuples and dicts of them.

    Gradients are wanted of the tensors that require grad, of all floating-point ones if none does, and of the parameters
    and tensors that require grad which the function reaches as a module, in its closure or among its globals.

    Raises:
        TypeError: a tensor is on another device than the CPU, complex or sparse.
    """
    given, layout = pytree.tree_flatten((tuple(args), dict(kwargs)))
    leaves = [torch.from_numpy(np.array(v)) if isinstance(v, np.ndarray) else v for v in given]
    tensors = [(i, v) for i, v in enumerate(leaves) if isinstance(v, torch.Tensor)]
    for i, v in tensors:
        if v.device.type != "cpu" or v.is_complex() or v.layout is not torch.strided:
            raise TypeError(
                f"argument {i} is a {v.layout} tensor of {v.dtype} on {v.device}, want a dense real one on cpu"
            )
    asked = any(v.requires_grad for _, v in tensors)
    wanted = [v.is_floating_point() and (v.requires_grad or not asked) for _, v in tensors]
    labels = [f"argument {i}" for i, _ in tensors]
    values = [v for _, v in tensors]
    modules, cells = _reached(fn)
    for prefix, module in modules:
        for key, p in [*module.named_parameters(), *module.named_buffers()]:
            values.append(p)
            wanted.append(bool(p.requires_grad) and p.is_floating_point())
            labels.append(f"parameter {prefix}{key}")
    for place, value in cells:
        values.append(value)
        wanted.append(True)
        labels.append(place.label)
    return TorchSubject(
        name=_name(fn),
        arrays=tuple(_numpy(v) for v in values),
        wanted=tuple(wanted),
        labels=tuple(labels),
        arguments=len(tensors),
        fn=fn,
        leaves=tuple(leaves),
        layout=layout,
        modules=tuple(m for _, m in modules),
        cells=tuple(p for p, _ in cells),
        dtypes=tuple(v.dtype for v in values),
        asked=asked,
    )


def _name(fn: Any) -> str:
    owner = getattr(fn, "__self__", None)
    name = getattr(fn, "__name__", None) or type(fn).__name__
    return f"{owner.__name__}.{name}" if isinstance(owner, type) else str(name)


def _numpy(t: Any) -> Array:
    with torch.no_grad():
        return _as_numpy(t.detach().resolve_neg().resolve_conj())


def _as_numpy(t: Any) -> Array:
    if t.dtype in _LOW:
        t = t.float()
    try:
        array: Array = t.numpy()
    except RuntimeError:  # zeros without memory behind them
        array = torch.zeros(t.shape, dtype=t.dtype).add_(t).numpy()
    return array.copy(order="K") if 0 not in array.strides else np.array(array)


def _reached(fn: Any) -> tuple[list[tuple[str, Any]], list[tuple[_Place, Any]]]:
    """The modules that a function is or names, and the tensors that require grad in its closure and globals."""
    modules: list[tuple[str, Any]] = []
    cells: list[tuple[_Place, Any]] = []
    if isinstance(fn, torch.nn.Module):
        return [("", fn)], cells
    owner = getattr(fn, "__self__", None)
    if isinstance(owner, torch.nn.Module):
        return [("", owner)], cells
    inner = getattr(fn, "func", fn)
    code = getattr(inner, "__code__", None)
    if code is None:
        return modules, cells
    named = [
        (n, c.cell_contents, c) for n, c in zip(code.co_freevars, inner.__closure__ or (), strict=True) if is_filled(c)
    ]
    space = inner.__globals__
    named += [(n, space[n], None) for n in code.co_names if n in space]
    for name, value, cell in named:
        if isinstance(value, torch.nn.Module):
            if all(value is not m for _, m in modules):
                modules.append((f"{name}.", value))
        elif isinstance(value, torch.Tensor) and value.requires_grad and value.is_leaf:
            put = _in_cell(cell) if cell is not None else _in_globals(space, name)
            cells.append((_Place(f"tensor {name}", put), value))
    return modules, cells


def _in_cell(cell: Any) -> Callable[[Any], contextlib.AbstractContextManager[None]]:
    @contextlib.contextmanager
    def put(value: Any) -> Iterator[None]:
        before = cell.cell_contents
        cell.cell_contents = value
        try:
            yield
        finally:
            cell.cell_contents = before

    return put


def _in_globals(space: dict[str, Any], name: str) -> Callable[[Any], contextlib.AbstractContextManager[None]]:
    @contextlib.contextmanager
    def put(value: Any) -> Iterator[None]:
        before = space[name]
        space[name] = value
        try:
            yield
        finally:
            space[name] = before

    return put


# -- the subject


@dataclass(frozen=True, eq=False)
class TorchSubject:
    """A PyTorch function with example arguments; see `harness.frontends.Subject`."""

    name: str
    arrays: tuple[Array, ...]
    wanted: tuple[bool, ...]
    labels: tuple[str, ...]
    arguments: int
    fn: Callable[..., Any]
    leaves: tuple[Any, ...]
    layout: Any
    modules: tuple[Any, ...]
    cells: tuple[_Place, ...]
    dtypes: tuple[Any, ...]
    asked: bool
    framework: str = "torch"
    kernels: str = "torch"

    def trace(self, arrays: Sequence[Array]) -> Traced:
        """Record the forward below autograd."""
        inputs = self._inputs([x[...] for x in arrays], self.wanted)  # each in a memory of its own
        recorder = _Recorder([x for x, w in zip(inputs, self.wanted, strict=True) if w])
        with _quiet(), _eagerly(), self._in_place(inputs), recorder:
            outputs = self._outputs(self._call(inputs))
        if not outputs:
            raise Untraceable("the function returns no tensor")
        return recorder.finish(outputs)

    def run(
        self,
        arrays: Sequence[Array],
        cotangents: Sequence[Array | None] | None,
        *,
        wanted: Sequence[bool] | None = None,
        watched: bool = False,
    ) -> Answer:
        """Run forward and backward on new leaves."""
        flags = self.wanted if wanted is None else wanted
        inputs = self._inputs(arrays, flags)
        before = [x.detach().clone() for x in inputs]
        watch = _Watch() if watched else None
        stage = "forward"
        live: tuple[bool, ...] = ()
        complaints: list[str] = []
        try:
            with _quiet(), self._in_place(inputs), watch or contextlib.nullcontext():
                outputs = self._outputs(self._call(inputs))
                live = tuple(bool(y.requires_grad) for y in outputs)
                values = tuple(_numpy(y) for y in outputs)
                grads: tuple[Array | None, ...] = ()
                mutated = [self.labels[i] for i, (x, y) in enumerate(zip(inputs, before, strict=True)) if _differ(x, y)]
                if cotangents is not None:
                    stage = "backward"
                    seeds = [None if c is None else same_layout(c) for c in cotangents]
                    kept = [None if c is None else c.clone() for c in seeds]
                    leaves = [x for x, w in zip(inputs, flags, strict=True) if w]
                    with _overheard(outputs) as complaints:
                        found = _pull_back(outputs, seeds, leaves)
                    grads = tuple(None if g is None else _numpy(g) for g in found)
                    mutated += [
                        f"cotangent {k}"
                        for k, (c, d) in enumerate(zip(seeds, kept, strict=True))
                        if c is not None and _differ(c, d)
                    ]
        except Exception as error:  # whatever the framework or the user's backward raises is its outcome
            outcome = failed(error)
            return Answer(outcome, live, stage)
        answer = Answer(Outcome(values, grads), live, "", tuple(complaints), tuple(mutated))
        if watch is None:
            return answer
        filling = min(watch.fillings.sizes, default=math.inf)
        return replace(answer, dtype=watch.least, largest=watch.largest, filling=filling)

    def histories(self, points: Sequence[Sequence[Array]], cotangents: Sequence[Array | None]) -> Mapping[str, Answer]:
        """The gradient at the first point: again; through a retained graph; with another forward in between."""
        answers: dict[str, Answer] = {}
        first, other = points
        seeds = [None if c is None else same_layout(c) for c in cotangents]

        def ask(name: str, how: Callable[[], tuple[Any, Any]]) -> None:
            try:
                with _quiet():
                    outputs, grads = how()
                    values = tuple(_numpy(y) for y in outputs)
                    found = tuple(None if g is None else _numpy(g) for g in grads)
            except Exception as error:  # as in `run`
                answers[name] = Answer(failed(error), (), "backward")
                return
            answers[name] = Answer(Outcome(values, found), tuple(bool(y.requires_grad) for y in outputs))

        @contextlib.contextmanager
        def forward(arrays: Sequence[Array]) -> Iterator[tuple[Any, Any]]:
            inputs = self._inputs(arrays, self.wanted)
            with self._in_place(inputs):
                outputs = self._outputs(self._call(inputs))
                yield outputs, [x for x, w in zip(inputs, self.wanted, strict=True) if w]

        def again() -> tuple[Any, Any]:
            with forward(first) as (outputs, leaves):
                return outputs, _pull_back(outputs, seeds, leaves)

        def retained() -> tuple[Any, Any]:
            with forward(first) as (outputs, leaves):
                _pull_back(outputs, seeds, leaves, retain_graph=True)
                return outputs, _pull_back(outputs, seeds, leaves)

        def interleaved() -> tuple[Any, Any]:
            with forward(first) as (outputs, leaves):
                with contextlib.suppress(Exception), forward(other):  # the other point may be outside the domain
                    pass
                return outputs, _pull_back(outputs, seeds, leaves)

        ask("a second time", again)
        ask("backward twice through one graph", retained)
        ask("after another forward", interleaved)
        return answers

    def hvp(
        self,
        arrays: Sequence[Array],
        cotangents: Sequence[Array | None],
        directions: Sequence[Array],
        *,
        squares: bool = True,
    ) -> Outcome:
        """Backward through backward of <cotangents, f> + sum(f * f) / 2, or without the squares."""
        inputs = self._inputs(arrays, self.wanted)
        leaves = [x for x, w in zip(inputs, self.wanted, strict=True) if w]
        with _quiet(), self._in_place(inputs):
            outputs = self._outputs(self._call(inputs))
            total = None
            for y, c in zip(outputs, cotangents, strict=True):
                if c is not None and y.requires_grad:
                    part = (y * same_layout(c)).sum()
                    part = part + (y * y).sum() / 2 if squares else part
                    total = part if total is None else total + part
            if total is None:
                return Outcome()
            try:
                firsts = torch.autograd.grad(total, leaves, create_graph=True, allow_unused=True)
                slope = None
                for g, d in zip(firsts, directions, strict=True):
                    if g is not None and g.requires_grad:
                        part = (g * same_layout(d)).sum()
                        slope = part if slope is None else slope + part
                if slope is None:
                    return Outcome()
                # Not `grad`, which leaves out the nodes that only raise: the mark once_differentiable is one.
                slope.backward()
                seconds = [x.grad for x in leaves]
            except RuntimeError as error:
                if _unpromised(error):
                    return Outcome()
                return failed(error)
            except Exception as error:  # as in `run`
                return failed(error)
        return Outcome((_numpy(slope),), tuple(None if s is None else _numpy(s) for s in seconds))

    def jvp(self, arrays: Sequence[Array], directions: Sequence[Array]) -> Outcome:
        """Forward mode on dual tensors."""
        import torch.autograd.forward_ad as dual_numbers

        forward_ad: Any = dual_numbers

        inputs = self._inputs(arrays, self.wanted)
        along = iter(directions)
        try:
            with _quiet(), forward_ad.dual_level():
                duals = [
                    forward_ad.make_dual(x, same_layout(next(along))) if w else x
                    for x, w in zip(inputs, self.wanted, strict=True)
                ]
                with self._in_place(duals):
                    outputs = self._outputs(self._call(duals))
                parts = [forward_ad.unpack_dual(y) for y in outputs]
                tangents = tuple(
                    np.zeros(tuple(p.primal.shape)) if p.tangent is None else _numpy(p.tangent) for p in parts
                )
        except (RuntimeError, NotImplementedError) as error:
            if _unpromised(error) or "forward" in str(error).lower() or "jvp" in str(error).lower():
                return Outcome()
            return failed(error)
        except Exception as error:  # as in `run`
            return failed(error)
        return Outcome(tangents)

    def combined(
        self,
        mode: str,
        arrays: Sequence[Array],
        cotangents: Sequence[Array | None],
        along: Sequence[Array],
        across: Sequence[Array],
    ) -> Outcome:
        """Two modes in one another, of the same total as in `hvp`."""
        if mode == "forward over forward" and self.has_own_rules(arrays) and not nests_own_rules():
            return Outcome()

        def total(*moving: Any) -> Any:
            given = iter(moving)
            full = [next(given) if w else same_layout(x) for x, w in zip(arrays, self.wanted, strict=True)]
            with self._in_place(full):
                outputs = self._outputs(self._call(full))
            return sum(
                (y * same_layout(c)).sum() + (y * y).sum() / 2
                for y, c in zip(outputs, cotangents, strict=True)
                if c is not None
            )

        points = [same_layout(x) for x, w in zip(arrays, self.wanted, strict=True) if w]
        directions = ([same_layout(d) for d in v] for v in (along, across))
        try:
            with _quiet():
                found = COMPOSED[mode](total, points, *directions)
                if isinstance(found, torch.Tensor):
                    return Outcome((_numpy(found),))
                return Outcome(
                    (),
                    tuple(
                        np.zeros(tuple(x.shape)) if g is None else _numpy(g) for g, x in zip(found, points, strict=True)
                    ),
                )
        except Exception:  # whatever keeps two modes from working was not promised
            return Outcome()

    def has_own_rules(self, arrays: Sequence[Array]) -> bool:
        """Walk the graph of a forward."""
        inputs = self._inputs(arrays, self.wanted)
        with _quiet(), self._in_place(inputs):
            return has_own_rules(self._outputs(self._call(inputs)))

    def transposed(
        self, arrays: Sequence[Array], cotangents: Sequence[Array | None], directions: Sequence[Array]
    ) -> Outcome:
        """Backward through backward, to the cotangents."""
        inputs = self._inputs(arrays, self.wanted)
        leaves = [x for x, w in zip(inputs, self.wanted, strict=True) if w]
        seeds = [None if c is None else same_layout(c).requires_grad_() for c in cotangents]
        try:
            with _quiet(), self._in_place(inputs):
                outputs = self._outputs(self._call(inputs))
                pairs = [(y, c) for y, c in zip(outputs, seeds, strict=True) if c is not None and y.requires_grad]
                if not pairs:
                    return Outcome()
                roots, cts = zip(*pairs, strict=True)
                grads = torch.autograd.grad(roots, leaves, cts, create_graph=True, allow_unused=True)
                if any(g is not None and not g.requires_grad for g in grads):
                    return Outcome()  # computed where autograd does not look: no second backward is promised
                parts = [(g * same_layout(d)).sum() for g, d in zip(grads, directions, strict=True) if g is not None]
                if not parts:
                    return Outcome()
                slope: Any = torch.stack(parts).sum()
                slope.backward()  # not `grad`: see `hvp`
        except RuntimeError as error:
            if _unpromised(error):
                return Outcome()
            return failed(error)
        except Exception as error:  # as in `run`
            return failed(error)
        found = [None if c is None else c.grad for c in seeds]
        zeros = [np.zeros(tuple(y.shape)) for y in outputs]
        return Outcome(tuple(z if t is None else _numpy(t) for t, z in zip(found, zeros, strict=True)))

    def batched(self, stacks: Sequence[Array], cotangents: Sequence[Array | None]) -> Outcome:
        """`torch.func.vmap` over `torch.func.vjp`."""
        inputs = [torch.from_numpy(np.array(x)) for x in stacks]
        seeds = [None if c is None else torch.from_numpy(np.array(c)) for c in cotangents]
        picked = [k for k, c in enumerate(seeds) if c is not None]

        def one(points: Sequence[Any], cts: Sequence[Any]) -> Any:
            leaves = [x for x, w in zip(points, self.wanted, strict=True) if w]

            def forward(*moving: Any) -> Any:
                given = iter(moving)
                full = [next(given) if w else x for x, w in zip(points, self.wanted, strict=True)]
                with self._in_place(full):
                    outputs = self._outputs(self._call(full))
                return tuple(outputs[k] for k in picked), tuple(outputs)

            _, pull, outputs = torch.func.vjp(forward, *leaves, has_aux=True)  # type: ignore[misc]  # three with aux
            return outputs, pull(tuple(cts))

        try:
            with _quiet():
                values, grads = torch.func.vmap(one)(inputs, [c for c in seeds if c is not None])
                return Outcome(tuple(_numpy(v) for v in values), tuple(_numpy(g) for g in grads))
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
        return torch_script(
            self.fn, self.leaves, self.layout.unflatten, arrays, self.wanted, cotangents, truth, note, self.arguments
        )

    def _inputs(self, arrays: Sequence[Array], wanted: Sequence[bool]) -> list[Any]:
        """Leaves of the arrays, in one memory where two that want gradients are one array."""
        made: dict[int, Any] = {}
        leaves = []
        for x, w in zip(arrays, wanted, strict=True):
            known = made.get(id(x)) if w else None
            leaves.append((same_layout(x) if known is None else known.detach()).requires_grad_(bool(w)))
            if w:
                made[id(x)] = leaves[-1]
        return leaves

    @contextlib.contextmanager
    def _in_place(self, inputs: Sequence[Any]) -> Iterator[None]:
        """Put tensors in the place of parameters and closed-over ones: during the backward, too, which may recompute."""
        given = iter(inputs[self.arguments :])
        with contextlib.ExitStack() as stack:
            for module in self.modules:
                names = [k for k, _ in [*module.named_parameters(), *module.named_buffers()]]
                values = {k: next(given) for k in names}
                stack.enter_context(torch.nn.utils.stateless._reparametrize_module(module, values))
            for place in self.cells:
                stack.enter_context(place.put(next(given)))
            yield

    def _call(self, inputs: Sequence[Any]) -> Any:
        """Call the function with tensors in the place of its arguments; the others stand `_in_place`."""
        given = iter(inputs)
        leaves = [next(given) if isinstance(v, torch.Tensor) else v for v in self.leaves]
        args, kwargs = pytree.tree_unflatten(leaves, self.layout)
        state = torch.random.get_rng_state()
        torch.default_generator.manual_seed(_SEED)  # `torch.manual_seed` formats a traceback for other devices
        try:
            return self.fn(*args, **kwargs)
        finally:
            torch.random.set_rng_state(state)

    def _outputs(self, returned: Any) -> list[Any]:
        return [y for y in pytree.tree_leaves(returned) if isinstance(y, torch.Tensor)]


def _pull_back(outputs: Sequence[Any], seeds: Sequence[Any], leaves: Sequence[Any], **how: Any) -> Sequence[Any]:
    pairs = [(y, c) for y, c in zip(outputs, seeds, strict=True) if c is not None and y.requires_grad]
    if not pairs or not leaves:
        return [None] * len(leaves)
    roots, cts = zip(*pairs, strict=True)
    try:
        return torch.autograd.grad(roots, leaves, cts, allow_unused=True, **how)
    except RuntimeError as error:
        if "use_reentrant" not in str(error):  # a checkpoint that knows only `backward`
            raise
    for x in leaves:
        x.grad = None
    torch.autograd.backward(roots, cts, **how)
    return [x.grad for x in leaves]


def _unpromised(error: BaseException) -> bool:
    text = str(error)
    return any(
        words in text
        for words in (
            "once_differentiable",
            "does not require grad",
            "is not implemented",
            "not implemented for",
            "Trying to use forward AD",
            "One of the differentiated Tensors",
        )
    )


def _differ(x: Any, y: Any) -> bool:
    return not (x.shape == y.shape and bool(((x == y) | ((x != x) & (y != y))).all()))


@contextlib.contextmanager
def _overheard(outputs: Sequence[Any]) -> Iterator[list[str]]:
    """Listen to the custom backwards of the graph: the list fills with what is wrong with the gradients they return.

    The engine casts and sums a gradient of another dtype or shape before any hook sees it, so the static methods are
    wrapped for the while.
    """
    complaints: list[str] = []
    classes: dict[Any, str] = {}
    seen: set[Any] = set()
    stack = [y.grad_fn for y in outputs if y.grad_fn is not None]
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        if isinstance(node, torch.autograd.function.BackwardCFunction):
            cls = type(node)._forward_cls  # type: ignore[attr-defined]  # set by the metaclass of Function
            own = cls.backward is not torch.autograd.Function.backward
            classes[cls] = "backward" if own else "vjp"
        stack += [n for n, _ in node.next_functions if n is not None]
    with contextlib.ExitStack() as exits:
        for cls, name in classes.items():
            exits.enter_context(_listening(cls, name, complaints))
        yield complaints


@contextlib.contextmanager
def _listening(cls: Any, name: str, complaints: list[str]) -> Iterator[None]:
    method = getattr(cls, name)
    before = cls.__dict__.get(name)

    def listened(ctx: Any, *cts: Any) -> Any:
        returned = method(ctx, *cts)
        complaints.extend(_complaints(cls.__name__, ctx, returned))
        return returned

    setattr(cls, name, staticmethod(listened))
    try:
        yield
    finally:
        if before is None:
            delattr(cls, name)
        else:
            setattr(cls, name, before)


def _complaints(name: str, ctx: Any, returned: Any) -> Iterator[str]:
    """What is wrong with the shapes and dtypes that a backward returned."""
    grads = returned if isinstance(returned, (tuple, list)) else (returned,)
    befores = [(node, k) for node, k in ctx.next_functions if node is not None]
    needed = [i for i, needs in enumerate(ctx.needs_input_grad) if needs]
    for i, (node, k) in zip(needed, befores, strict=False):
        g = grads[i] if i < len(grads) else None
        if not isinstance(g, torch.Tensor):
            continue
        like = node.variable if hasattr(node, "variable") else node._input_metadata[k]
        if tuple(g.shape) != tuple(like.shape):
            yield f"{name} returned shape {tuple(g.shape)} for its input {i} of shape {tuple(like.shape)}"
        elif g.dtype != like.dtype:
            yield f"{name} returned {g.dtype} for its input {i} of {like.dtype}"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def _eagerly() -> Iterator[None]:
    """Let compiled functions run as they were written."""
    if "torch._dynamo" not in sys.modules:
        yield
        return
    with torch.compiler.set_stance("force_eager"):
        yield


# -- the recorder


_ORDER = {"bfloat16": 0, "float16": 1, "float32": 2, "float64": 3}
_FILLS = {
    "where",
    "masked_fill",
    "masked_scatter",
    "scatter",
    "scatter_reduce",
    "index_fill",
    "index_put",
    "constant_pad_nd",
}
_PARTS = {"complex32": "float16", "complex64": "float32"}  # what a complex number is made of


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes the float type of least precision and the largest magnitude among all results.

    What a factory makes, and what is made of that alone, is no step of the way: `where(mask, eps, 0.0)` has the default
    type, whatever the type of what it is added to. Nor is the magnitude of what only fills a place, as the -1e9 of a
    masked softmax, which is copied and never rounded.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.least = "float64"
        self.largest = 0.0
        self.apart: dict[int, Any] = {}  # the memory of what depends on no number from outside, kept alive
        self.fillings = Fillings()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        given = [a for a in pytree.tree_leaves((args, kwargs or {})) if isinstance(a, torch.Tensor)]
        made = [t for t in pytree.tree_leaves(out) if isinstance(t, torch.Tensor)]
        if any(a.is_floating_point() and a.untyped_storage()._cdata not in self.apart for a in given):
            for t in made:
                self.apart.pop(t.untyped_storage()._cdata, None)
            self.fill(func, args, kwargs or {})
            self.note(made)
        else:
            for t in made:
                if t.is_floating_point() and all(t is not a for a in given):
                    self.apart[t.untyped_storage()._cdata] = t.untyped_storage()
        return out

    def fill(self, func: Any, args: Any, kwargs: Any) -> None:
        """Learn what an operator that selects fills places with, and what an added mask does."""
        name = func._schema.name.removeprefix("aten::").rstrip("_")
        if name in ("add", "sub"):
            for a in args[:2]:
                if isinstance(a, torch.Tensor) and a.is_floating_point() and a.numel() and not a._is_zerotensor():
                    self.fillings.of_mask(_numpy(a))
        elif name in _FILLS:
            for a in pytree.tree_leaves((args, kwargs)):
                if isinstance(a, torch.Tensor) and a.untyped_storage()._cdata in self.apart and a.numel():
                    self.fillings.of(_numpy(a))
                elif isinstance(a, float):
                    self.fillings.of(np.array(a))

    def note(self, out: Any) -> None:
        for t in out if isinstance(out, (tuple, list)) else (out,):
            # A zero without memory behind it has no kernels below dispatch: PyTorch ends the process there.
            if not isinstance(t, torch.Tensor) or not t.numel() or t._is_zerotensor():
                continue
            name = str(t.dtype).removeprefix("torch.")
            name = _PARTS.get(name, name)
            if _ORDER.get(name, 3) < _ORDER[self.least]:
                self.least = name
            if t.is_floating_point():
                top = float(t.detach().abs().max())
                if top > self.largest:
                    self.largest = max(self.largest, self.fillings.largest_of(_numpy(t)))


@dataclass(eq=False)
class _Memory:
    """What lies in a storage: nodes by layout, for the state after the last write; a cut-off twin beside each."""

    owner: Any
    nodes: dict[Any, Node] = field(default_factory=dict)
    cuts: dict[Any, Node] = field(default_factory=dict)


def _layout(t: Any) -> Any:
    strides = tuple(s if n > 1 else 0 for n, s in zip(t.shape, t.stride(), strict=True))
    return (t.storage_offset(), tuple(t.shape), strides, t.dtype)


def _flat_layout(n: int, dtype: Any) -> Any:
    return (0, (n,), (1 if n > 1 else 0,), dtype)


def _elements(layout: Any) -> Array:
    """The places in its storage of the elements of a layout."""
    offset, shape, strides, _ = layout
    places = np.full(shape, offset, np.int64)
    for d, (n, s) in enumerate(zip(shape, strides, strict=True)):
        places += (np.arange(n) * s).reshape([-1 if e == d else 1 for e in range(len(shape))])
    return places


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Writes down what is computed from the leaves."""

    def __init__(self, leaves: Sequence[Any]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.builder = Builder()
        self.memories: dict[int, _Memory] = {}
        self.watch = _Watch()
        self.random = False
        self.operators: set[str] = set()
        self.inside: dict[Any, bool] | None = None  # while an operator is taken apart: which of its tensors are cut off
        self.apart: list[Any] = []  # the operators that are being taken apart
        self.whole: Any = None  # the call of an autograd function that is on the stack
        self.whole_cuts: dict[Any, bool] = {}
        for x in leaves:
            self.write(x, self.builder.leaf(tuple(x.shape)))
            self.watch.note(x)

    # what lies where

    def memory(self, t: Any) -> _Memory | None:
        return self.memories.get(t.untyped_storage()._cdata)

    def write(self, t: Any, node: Node) -> None:
        """Note that a new tensor holds a node."""
        storage = t.untyped_storage()
        memory = self.memories.get(storage._cdata)
        if memory is None:
            memory = self.memories[storage._cdata] = _Memory(storage)
        memory.nodes[_layout(t)] = node

    def overwrite(self, t: Any, node: Node, before: Node | None) -> None:
        """Note that an existing tensor got other elements; `before` is the whole storage as it was, unless known."""
        layout = _layout(t)
        places = _elements(layout)
        size = t.untyped_storage().nbytes() // t.element_size()
        memory = self.memories.get(t.untyped_storage()._cdata)
        if places.size == size and len(np.unique(places)) == size:
            self.memories[t.untyped_storage()._cdata] = _Memory(t.untyped_storage(), {layout: node})
            return
        base = self.base(memory, size, t.dtype) if memory is not None else before
        assert base is not None
        index = np.arange(size)
        index[places.ravel()] = size + np.arange(places.size)
        flat = self.builder.moved([base, node], index)
        nodes = {_flat_layout(size, t.dtype): flat, layout: node}
        self.memories[t.untyped_storage()._cdata] = _Memory(t.untyped_storage(), nodes)

    def base(self, memory: _Memory, size: int, dtype: Any) -> Node:
        """The whole storage in a row."""
        flat = _flat_layout(size, dtype)
        if flat in memory.nodes:
            return memory.nodes[flat]
        for layout, node in memory.nodes.items():
            places = _elements(layout).ravel()
            if places.size and layout[3] == dtype and len(np.unique(places)) == size:
                index = np.empty(size, np.int64)
                index[places] = np.arange(places.size)
                memory.nodes[flat] = self.builder.moved([node], index)
                return memory.nodes[flat]
        raise Untraceable("a view that reaches beyond its tensor")

    def read(self, t: Any) -> Node:
        """The node that a tensor holds, cut off where autograd has it so."""
        memory = self.memory(t)
        if memory is None or not t.numel():
            return self.builder.constant(_numpy(t))
        layout = _layout(t)
        node = memory.nodes.get(layout)
        if node is None:
            if all(known[3] != t.dtype for known in memory.nodes):
                raise Untraceable(f"the memory of a tensor is read as {t.dtype}")
            size = t.untyped_storage().nbytes() // t.element_size()
            node = memory.nodes[layout] = self.builder.moved([self.base(memory, size, t.dtype)], _elements(layout))
        if not node.moving or not self.is_cut(t, layout):
            return node
        cut = memory.cuts.get(layout)
        if cut is None:
            cut = memory.cuts[layout] = self.builder.emit("detach", node)
        return cut

    def is_cut(self, t: Any, layout: Any) -> bool:
        """Whether no gradient flows through the tensor, as autograd sees it.

        Inside the forward of an autograd function nothing requires grad; there the arguments of the call count.
        """
        if self.inside is not None:
            return self.inside.get((t.untyped_storage()._cdata, layout), False)
        if self.whole is not None:
            return self.whole_cuts.get((t.untyped_storage()._cdata, layout), False)
        return not t.requires_grad

    def find_whole(self) -> None:
        """Look on the stack for the outermost call of an autograd function."""
        frame = sys._getframe(2)
        found = None
        while frame is not None:
            if frame.f_code is _APPLY:
                found = frame
            frame = frame.f_back  # type: ignore[assignment]  # None at the bottom
        if found is None:
            self.whole = None
        elif found is not self.whole:
            self.whole = found
            self.whole_cuts = {}
            for t in pytree.tree_leaves(list(found.f_locals["args"])):
                if isinstance(t, torch.Tensor):
                    key = (t.untyped_storage()._cdata, _layout(t))
                    self.whole_cuts[key] = self.whole_cuts.get(key, True) and not t.requires_grad

    # one operator

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if self.inside is None:
            self.find_whole()
        if torch.Tag.nondeterministic_seeded in func.tags:
            self.random = True
        tensors = [t for t in pytree.tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)]
        writes = _written(func, args, kwargs)
        if not any(self.memory(t) is not None and t.numel() for t in tensors):
            return func(*args, **kwargs)
        befores = {
            id(t): self.builder.constant(_whole(t)) for t in writes if self.memory(t) is None and t.is_floating_point()
        }
        if func._schema.name == "aten::_local_scalar_dense":
            return func(*args, **kwargs)  # a number, constant near the point unless replay tells otherwise
        nodes = {id(t): self.read(t) for t in tensors if t.numel()}
        if writes and func._schema.name == "aten::copy_":
            return self.copied(func, args, kwargs, befores)
        if not any(n.moving for n in nodes.values()):
            out = func(*args, **kwargs)
            for t in writes:
                self.overwrite(t, self.builder.constant(_numpy(t)), befores.get(id(t)))
            if not writes:
                self.forget_or_alias(out, nodes)
            return out
        if writes:
            return self.in_place(func, args, kwargs, nodes, writes, befores)
        return self.functional(func, args, kwargs)

    def forget_or_alias(self, out: Any, nodes: Mapping[int, Node]) -> None:
        """A view of memory that is followed, made where nothing moves: its elements are constants of now."""
        for t in pytree.tree_leaves(out):
            if isinstance(t, torch.Tensor) and t.numel():
                memory = self.memory(t)
                if memory is not None and _layout(t) not in memory.nodes:
                    memory.nodes[_layout(t)] = self.builder.constant(_numpy(t))

    def copied(self, func: Any, args: Any, kwargs: Any, befores: Mapping[int, Node]) -> Any:
        target, source = args[0], args[1]
        if not target.is_floating_point():
            return func(*args, **kwargs)
        node = self.builder.floats(self.read(source))
        if node.shape != tuple(target.shape):
            node = self.builder.emit("expand", node, shape=tuple(target.shape))
        out = func(*args, **kwargs)
        self.overwrite(target, node, befores.get(id(target)))
        self.watch.note(target)
        return out

    def in_place(
        self, func: Any, args: Any, kwargs: Any, nodes: Any, writes: Sequence[Any], befores: Mapping[int, Node]
    ) -> Any:
        """An operator that writes: what its functional form returns is what the written tensors hold then."""
        plain_form = _functional_form(func)
        if plain_form is None or len(writes) != 1:
            raise Untraceable(f"the operator {func}")
        rest = {k: v for k, v in kwargs.items() if k != "out" and v is not writes[0]}
        _, node = self.record(plain_form, args, rest)
        target = writes[0]
        out = func(*args, **kwargs)
        if node is None:
            node = self.builder.constant(_numpy(target))
        if not isinstance(node, Node):
            raise Untraceable(f"the operator {func}")
        if node.shape != tuple(target.shape):
            node = self.builder.emit("expand", node, shape=tuple(target.shape))
        if target.is_floating_point():
            self.overwrite(target, node, befores.get(id(target)))
        self.watch.note(target)
        self.use(func, target)
        return out

    def functional(self, func: Any, args: Any, kwargs: Any) -> Any:
        out = self.record(func, args, kwargs)[0]
        self.use(func, out)
        return out

    def use(self, func: Any, out: Any) -> None:
        """Note an operator that the function calls, not a part of another one, if its result moves."""
        if self.apart:
            return
        memories = [self.memory(t) for t in pytree.tree_leaves(out) if isinstance(t, torch.Tensor)]
        if any(node.moving for memory in memories if memory is not None for node in memory.nodes.values()):
            self.operators.add(str(func))

    def record(self, func: Any, args: Any, kwargs: Any) -> tuple[Any, Any]:
        """Run an operator that writes nothing, and enter its results; return them with their node or nodes."""
        name = func._schema.name.removeprefix("aten::")
        overload = f"{name}.{func._overloadname}"
        if name.removeprefix("prims::") in CONSTANT or (name == "div" and kwargs.get("rounding_mode") is not None):
            out = func(*args, **kwargs)
            return out, None
        if name in ("_to_copy", "to"):
            return self.converted(func, args, kwargs)
        try:
            out, node = self.written(func, name, overload, args, kwargs)
        except Untraceable as error:
            return self.taken_apart(func, args, kwargs, error)
        if out is None:
            return self.taken_apart(func, args, kwargs, None)
        self.enter(out, node, func)
        return out, node

    def written(self, func: Any, name: str, overload: str, args: Any, kwargs: Any) -> tuple[Any, Any]:
        """Write an operator by its row, by the op of its name or as a movement; (None, None) if nothing serves."""
        as_node = lambda v: self.read(v) if isinstance(v, torch.Tensor) else v
        row = ROWS.get(overload)
        if name in MOVES and row is None:
            return self.movement(func, args, kwargs)
        if name in LINEAR and row is None:
            return self.linear(func, args, kwargs)
        if row is None and SAME.get(name, name) not in OPS:
            return None, None
        nodes, named = pytree.tree_map(as_node, (args, kwargs))
        out = func(*args, **kwargs)  # before its row is asked: what it refuses, the function refuses
        if row is None:
            node = plain(self.builder, func, nodes, dict(named))
        elif name in PICKS or overload in PICKS:
            node = row(self.builder, list(out), *nodes, **named)
        else:
            node = row(self.builder, *nodes, **named)
        return (None, None) if node is None else (out, node)

    def movement(self, func: Any, args: Any, kwargs: Any) -> tuple[Any, Any]:
        """Run the operator on the places of elements to see where they go."""
        sources: list[Node] = []
        start = 0

        def place(v: Any) -> Any:
            nonlocal start
            if not isinstance(v, torch.Tensor) or not v.is_floating_point():
                return v
            n = v.numel()
            sources.append(self.read(v))
            places = torch.arange(start, start + n, dtype=torch.float64).reshape(v.shape)
            start += n
            return places

        moved_args, moved_kwargs = pytree.tree_map(place, (args, kwargs))
        moved = func(*moved_args, **moved_kwargs)
        out = func(*args, **kwargs)
        name = func._schema.name
        if name in ("aten::scatter", "aten::index_copy") and len(sources) == 2:
            put = args[2].numel() if name == "aten::scatter" else math.prod(sources[1].shape)
            if int((moved >= math.prod(sources[0].shape)).sum()) < put:
                raise Untraceable(f"the operator {func} with an index that names a place twice")
        parts = moved if isinstance(moved, (tuple, list)) else (moved,)
        nodes = [self.builder.moved(sources, p.numpy().astype(np.int64)) for p in parts]
        if name == "aten::embedding":
            nodes = [self.padded(nodes[0], args[1], args[2] if len(args) > 2 else kwargs.get("padding_idx", -1))]
        return out, nodes if isinstance(moved, (tuple, list)) else nodes[0]

    def padded(self, node: Node, index: Any, padding: int) -> Node:
        """Rows of an embedding, of which that for padding gets no gradient."""
        hit = _numpy(index == padding)
        if not hit.any():
            return node
        mask = self.builder.constant(np.broadcast_to(hit[..., None], node.shape))
        return self.builder.emit("where", mask, self.builder.emit("detach", node), node)

    def linear(self, func: Any, args: Any, kwargs: Any) -> tuple[Any, Any]:
        """Write an operator that is linear in the one tensor that moves as a product with its matrix."""
        leaves, layout = pytree.tree_flatten((args, kwargs))
        moving = [
            i for i, v in enumerate(leaves)
            if isinstance(v, torch.Tensor) and v.is_floating_point() and v.numel() and self.read(v).moving
        ]  # fmt: skip
        reduce = next((v for v in leaves if isinstance(v, str)), "sum")
        mode = args[4] if func._schema.name == "aten::_embedding_bag" and len(args) > 4 else 0
        if len(moving) != 1 or reduce not in ("sum", "mean") or mode not in (0, 1):
            raise Untraceable(f"the operator {func}, which is not linear there")
        place = moving[0]
        node = self.read(leaves[place])
        out = func(*args, **kwargs)
        result = out[0] if isinstance(out, (tuple, list)) else out
        n = math.prod(node.shape)
        if n * result.numel() > 1 << 18:
            raise Untraceable(f"the operator {func} on {n} elements")

        def at(value: Any) -> Any:
            given = [*leaves[:place], value, *leaves[place + 1 :]]
            changed_args, changed = pytree.tree_unflatten(given, layout)
            found = func(*changed_args, **changed)
            return (found[0] if isinstance(found, (tuple, list)) else found).to(torch.float64)

        base = at(torch.zeros(node.shape, dtype=result.dtype))
        units = torch.eye(n, dtype=result.dtype)
        columns = [(at(u.reshape(node.shape)) - base).reshape(-1).numpy() for u in units]
        matrix = self.builder.constant(np.array(columns).T.reshape(-1, n))
        product = self.builder.shaped(self.builder.emit("matmul", matrix, self.builder.flat(node)), tuple(result.shape))
        node = self.builder.emit("add", product, self.builder.constant(base.numpy()))
        return out, [node] + [None] * (len(out) - 1) if isinstance(out, (tuple, list)) else node

    def converted(self, func: Any, args: Any, kwargs: Any) -> tuple[Any, Any]:
        out = func(*args, **kwargs)
        node = self.read(args[0])
        if not out.is_floating_point():
            if out.is_complex():
                raise Untraceable("complex numbers")
            return out, None
        node = self.builder.floats(node)
        self.enter(out, node, func)
        return out, node

    def taken_apart(self, func: Any, args: Any, kwargs: Any, error: Untraceable | None) -> tuple[Any, Any]:
        """Let the operator be computed by others that are recorded: its decomposition, or its Python kernel."""
        name = func._schema.name
        if func in self.apart:  # a decomposition that ends in the operator itself
            raise Untraceable(f"the operator {func}")
        table = torch._decomp.decomposition_table
        key = torch._C.DispatchKeySet(torch._C.DispatchKey.CPU)
        if func in table:
            call = lambda: table[func](*args, **kwargs)
        elif func._can_decompose():
            call = lambda: func.decompose(*args, **kwargs)
        elif not name.startswith("aten::"):
            call = lambda: func.redispatch(key, *args, **kwargs)
        else:
            raise error or Untraceable(f"the operator {func}")
        outer = self.inside
        flags = {}
        for t in pytree.tree_leaves((args, kwargs)):
            if isinstance(t, torch.Tensor) and self.memory(t) is not None:
                flags[t.untyped_storage()._cdata, _layout(t)] = self.is_cut(t, _layout(t))
        self.inside = flags
        self.apart.append(func)
        try:
            with self:
                out = call()  # type: ignore[no-untyped-call]  # PyTorch's decompositions
            for t in pytree.tree_leaves(out):
                if isinstance(t, torch.Tensor) and t.is_floating_point() and t.numel() and self.memory(t) is None:
                    if not name.startswith("aten::"):
                        raise Untraceable(f"the operator {func}, whose kernel is not made of PyTorch operators")
            node = self.read(out) if isinstance(out, torch.Tensor) and out.is_floating_point() else None
        finally:
            self.inside = outer
            self.apart.pop()
        return out, node

    def enter(self, out: Any, node: Any, func: Any) -> None:
        """Note what the results hold."""
        outs = out if isinstance(out, (tuple, list)) else (out,)
        nodes = node if isinstance(node, (tuple, list)) else (node,)
        for t, n in zip(outs, nodes, strict=False):
            if isinstance(t, torch.Tensor) and t.is_floating_point() and isinstance(n, Node):
                if n.shape != tuple(t.shape):
                    raise Untraceable(f"the operator {func} gives shape {tuple(t.shape)}, its row {n.shape}")
                if t.numel():
                    self.write(t, n)
        self.watch.note(out)

    def finish(self, outputs: Sequence[Any]) -> Traced:
        """The program that returns these tensors."""
        self.whole = self.inside = None
        nodes = [self.read(y) for y in outputs]
        live = [bool(y.requires_grad) for y in outputs]
        return self.builder.traced(
            nodes,
            live=live,
            dtype=self.watch.least,
            largest=self.watch.largest,
            random=self.random,
            operators=tuple(self.operators),
        )


def _whole(t: Any) -> Array:
    size = t.untyped_storage().nbytes() // t.element_size()
    return _numpy(torch.as_strided(t.detach(), (size,), (1,), 0))


def _written(func: Any, args: Any, kwargs: Any) -> list[Any]:
    """The tensors that an operator writes into."""
    found: list[Any] = []
    for i, a in enumerate(func._schema.arguments):
        if a.alias_info is not None and a.alias_info.is_write:
            value = kwargs.get(a.name) if a.kwarg_only or i >= len(args) else args[i]
            found += [t for t in pytree.tree_leaves(value) if isinstance(t, torch.Tensor)]
    return found


def _functional_form(func: Any) -> Any:
    """The operator that returns what this one writes: add for add_ and add.out."""
    space, _, name = func._schema.name.partition("::")
    packet = getattr(getattr(torch.ops, space), name.removesuffix("_"), None)
    if packet is None:
        return None
    wanted = [a.name for a in func._schema.arguments if not (a.kwarg_only and a.alias_info is not None)]
    for overload in packet.overloads():
        candidate = getattr(packet, overload)
        if [a.name for a in candidate._schema.arguments] == wanted and not any(
            a.alias_info is not None and a.alias_info.is_write for a in candidate._schema.arguments
        ):
            types = [str(a.type) for a in candidate._schema.arguments]
            given = [str(a.type) for a in func._schema.arguments if not (a.kwarg_only and a.alias_info is not None)]
            if types == given:
                return candidate
    return None
