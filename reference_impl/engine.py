"""Backward: sweep the tape from the outputs down, handing each node's cotangent to its rules.

The whole algorithm is `sweep`. Nodes are numbered as they are made, so falling numbers are a topological order: when a
node's turn comes, everything that used its output has run, and its cotangent is complete.
"""

from __future__ import annotations

import functools
import itertools
import math
import operator
import sys
import threading
import warnings
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np

from reference_impl.anomaly import anomaly
from reference_impl.edges import GradientEdge, root_at, target_at
from reference_impl.hooks import run_accumulated, run_after, run_before, run_tensor_hooks
from reference_impl.inplace import check_memory
from reference_impl.modes import mode
from reference_impl.primitives import PRIMITIVES, apply, counted, unbroadcast
from reference_impl.tensor import (
    Cotangents,
    JointNode,
    Node,
    Storage,
    Target,
    Tensor,
    detached,
    is_out_of_reach,
    refresh,
    rename,
    target_of,
    type_name,
)

__all__ = [
    "DETACHED",
    "FREED",
    "Pass",
    "accumulate",
    "backward",
    "current_pass",
    "grad",
    "overwritten",
    "pull_back",
    "saved_value",
    "sweep",
]

_accumulating = threading.Lock()
_warned_of_cycles = False


def backward(
    tensors: Tensor | GradientEdge | Sequence[Tensor | GradientEdge],
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    grad_variables: Any = None,
    inputs: Tensor | GradientEdge | Sequence[Tensor | GradientEdge] | dict[Any, Tensor | GradientEdge] | None = None,
) -> None:
    """Add to `.grad` of every leaf the vector-Jacobian product of the roots, in one pass.

    Args:
        tensors: the roots.
        grad_tensors: one cotangent a root, of its shape; None for a root of one element stands for 1.
        retain_graph: keep what nodes saved, so that the graph can be walked again. Default: `create_graph`.
        create_graph: record the backward pass, so that gradients can be differentiated.
        grad_variables: the old name of `grad_tensors`.
        inputs: accumulate into these only, or into the values of a dict; non-leaves are allowed.

    Raises:
        RuntimeError: a root needs no gradient, a cotangent is missing or has another shape, or the graph was freed.
    """
    if grad_variables is not None:
        warnings.warn("`grad_variables` is deprecated. Use `grad_tensors` instead.", FutureWarning, stacklevel=2)
        if grad_tensors is not None:
            raise RuntimeError(
                "`grad_tensors` and `grad_variables` (deprecated) arguments both passed to `backward()`. Please only use "
                "`grad_tensors`."
            )
        grad_tensors = grad_variables
    roots, seeds = _seeds(_sequence(tensors, "tensors"), grad_tensors, create_graph)
    wanted = None
    if inputs is not None:
        places = _sequence(inputs.values() if isinstance(inputs, dict) else inputs, "inputs")
        if not places:
            raise RuntimeError("`inputs` argument to `backward()` cannot be empty.")
        for x in places:
            if isinstance(x, Tensor):
                x.retain_grad()  # from now on, if it is no leaf; the sweep adds to its `.grad`
        wanted = [_target(x) for x in places]
    if create_graph:
        _warn_of_cycles()
    sweep(roots, seeds, _retain(retain_graph, create_graph), create_graph, wanted, accumulate=True)


def grad(
    outputs: Tensor | GradientEdge | Sequence[Tensor | GradientEdge],
    inputs: Tensor | GradientEdge | Sequence[Tensor | GradientEdge] | dict[Any, Tensor | GradientEdge],
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> Any:
    """Return the vector-Jacobian products for `inputs`, touching no `.grad`: a tuple, or a dict for a dict of inputs.

    Args:
        outputs: the roots.
        inputs: what to differentiate with respect to; leaves or not, in any order, repeats allowed.
        grad_outputs: one cotangent a root; None for a root of one element stands for 1.
        retain_graph: as in `backward`.
        create_graph: as in `backward`.
        only_inputs: of old; ignored, with a warning if it is not True.
        allow_unused: give None for an input that the outputs do not depend on, instead of an error.
        is_grads_batched: the first dimension of each cotangent counts cotangents; the results are stacked along it.
        materialize_grads: give zeros for an input that was not used.

    Raises:
        RuntimeError: as `backward`; or an input was not used and `allow_unused` is not set.
        TypeError: `inputs` is a subclass of dict.
        ValueError: `materialize_grads` together with ``allow_unused=False``.
    """
    if isinstance(inputs, dict):
        if type(inputs) is not dict:
            raise TypeError(f"inputs must be a dict, not a subclass of it, got {type(inputs).__name__}")
        found = grad(
            outputs,
            list(inputs.values()),
            grad_outputs,
            retain_graph,
            create_graph,
            only_inputs,
            allow_unused,
            is_grads_batched,
            materialize_grads,
        )
        return dict(zip(inputs, found, strict=True))
    if not only_inputs:
        warnings.warn(
            "only_inputs argument is deprecated and is ignored now (defaults to True). To accumulate gradient for other parts "
            "of the graph, please use torch.autograd.backward.",
            FutureWarning,
            stacklevel=2,
        )
    if materialize_grads and allow_unused is False:
        raise ValueError(
            "Expected allow_unused to be True or not passed when materialize_grads=True, but got: allow_unused=False."
        )
    starts, wanted = _sequence(outputs, "outputs"), _sequence(inputs, "inputs")
    if not wanted:
        raise RuntimeError("`inputs` argument to `grad()` cannot be empty.")
    if is_grads_batched:
        return _batched(
            starts,
            wanted,
            grad_outputs,
            _retain(retain_graph, create_graph),
            create_graph,
            allow_unused,
            materialize_grads,
        )
    roots, seeds = _seeds(starts, grad_outputs, create_graph)
    for i, x in enumerate(wanted):
        if isinstance(x, Tensor) and not x.requires_grad:
            raise RuntimeError(f"One of the differentiated Tensors does not require grad (inputs[{i}])")
    targets = [_target(x) for x in wanted]
    captured = sweep(roots, seeds, _retain(retain_graph, create_graph), create_graph, targets, accumulate=False)
    results: list[Tensor | None] = []
    for i, (x, target) in enumerate(zip(wanted, targets, strict=True)):
        ct = None if isinstance(x, Tensor) and is_out_of_reach(x) else captured.get(target)
        if ct is None and materialize_grads:
            results.append(_zeros(x, requires_grad=create_graph))
        elif ct is None and not allow_unused:
            raise RuntimeError(
                f"The differentiated Tensor at index {i} appears to not have been used in the graph. Set "
                "allow_unused=True if this is the desired behavior."
            )
        else:
            results.append(ct if ct is None or isinstance(ct, Tensor) else _wrap(ct))
    return tuple(results)


def _zeros(x: Tensor | GradientEdge, shape: tuple[int, ...] | None = None, *, requires_grad: bool = False) -> Tensor:
    """Return the gradient of what was not used, or of a batch of no cotangents."""
    if not isinstance(x, Tensor):
        raise RuntimeError("materialize_grads cannot be used when the given input is a GradientEdge")
    made = Tensor(np.zeros_like(x.array, shape=shape))
    made._requires_grad = requires_grad
    return made


def _batched(
    starts: list[Tensor | GradientEdge],
    wanted: list[Tensor | GradientEdge],
    cotangents: Any,
    retain: bool,
    create_graph: bool,
    allow_unused: bool | None,
    materialize: bool,
) -> tuple[Tensor | None, ...]:
    """Return `grad` for each of a batch of cotangents, stacked."""
    given = _given(cotangents, len(starts))
    for i, (start, ct) in enumerate(zip(starts, given, strict=True)):
        if ct is None or ct.array.ndim == 0:
            raise ValueError(
                f"is_grads_batched: grad_outputs[{i}] has no first dimension to count cotangents, got {ct}"
            )
        root = (
            start if isinstance(start, Tensor) else root_at(start, Tensor(np.zeros_like(ct.array, shape=ct.shape[1:])))
        )
        if ct.array.shape[1:] != root.array.shape:
            raise RuntimeError(
                "If `is_grads_batched=True`, we interpret the first dimension of each grad_output as the batch dimension. "
                "The sizes of the remaining dimensions are expected to match the shape of corresponding output, but a "
                "mismatch was detected: "
                f"grad_output[{i}] has a shape of {ct.shape} and output[{i}] has a shape of {root.shape}."
            )
    sizes = [ct.array.shape[0] for ct in given if ct is not None]
    if len(set(sizes)) != 1:
        raise ValueError(f"Expected all tensors to have the same size in the mapped dimension, got sizes {sizes}")
    rows = [
        grad(
            starts,
            wanted,
            [ct[k] for ct in given if ct is not None],
            retain or k + 1 < sizes[0],
            create_graph,
            allow_unused=allow_unused or materialize,
        )
        for k in range(sizes[0])
    ]
    found: list[Tensor | None] = []
    stack = PRIMITIVES["stack"]
    for i, x in enumerate(wanted):
        parts = [row[i] for row in rows if row[i] is not None]
        if parts:
            found.append(apply(stack, *parts, dim=0))
        elif materialize or not rows:
            found.append(_zeros(x, ((0,) if not rows else ()) + tuple(x.shape) if isinstance(x, Tensor) else None))
        else:
            found.append(None)
    return tuple(found)


def sweep(
    roots: Sequence[Tensor],
    seeds: Sequence[Any],
    retain: bool,
    create_graph: bool,
    wanted: Sequence[Target] | None,
    *,
    accumulate: bool,
) -> dict[Target, Any]:
    """Run the tape backwards once.

    Args:
        roots: where to start.
        seeds: the cotangent of each root: arrays, or tensors when `create_graph` is set.
        retain: keep what the nodes saved.
        create_graph: rules are handed tensors and are recorded.
        wanted: only nodes on a path to one of these run; None means all.
        accumulate: add what arrives at leaves to their `.grad`; otherwise return what arrives at `wanted`.

    Returns:
        The cotangents of `wanted` by target, if they are not accumulated.
    """
    pending: dict[Target, Any] = {}
    ours: set[Target] = set()  # sums that we made ourselves and may add to in place
    for root, seed in zip(roots, seeds, strict=True):
        target = target_of(root)
        pending[target] = pending[target] + seed if target in pending else seed
    lone = target if len(roots) == 1 else None
    starts = [t for t in pending if isinstance(t, Node)]
    goals: set[Target] | None = None
    runs: set[Target] | None = None
    if wanted is None:
        order = _reachable(starts)
    else:
        goals = set(wanted)
        order = _reachable(starts, min((t.number if isinstance(t, Node) else 0 for t in goals), default=0))
        runs = _on_a_path(order, goals)
        if accumulate:
            runs |= goals
    path = None if goals is None or runs is None else runs | goals
    captured: dict[Target, Any] = {}
    watched: Pass | None = None  # made when something happens that is more than arithmetic
    if detached:
        _mark_detached(order)

    anomalous = anomaly.enabled
    before, mode.enabled = mode.enabled, create_graph and not mode.inference
    node: Node | None = None
    try:
        with np.errstate(all="ignore"):
            for node in order:
                ct = pending.pop(node, None)
                if ct is None and not isinstance(node, JointNode):
                    continue
                saved = node.saved
                if saved is None or node._hooks is not None or anomalous:
                    if watched is None:
                        watched = Pass(order, pending, captured, goals, runs, lone, accumulate, retain, create_graph)
                    watched.run(node, ct)
                    continue
                if path is not None:
                    if node in goals:  # type: ignore[operator]  # there are goals where there is a path
                        captured[node] = ct
                    if node not in runs:  # type: ignore[operator]
                        continue
                for storage, version in node.versions:
                    if storage.version != version:
                        raise refused(node, saved, storage, version)
                if create_graph:
                    saved = as_tensors(node, saved)
                p, shapes = node.primitive, node.shapes
                pulls, add_into = p.pulls, p.add_into
                if p.variadic:
                    pulls *= len(saved)
                for i, end in enumerate(node.edges):
                    if end is None or (path is not None and end not in path):
                        continue
                    values = saved[i]
                    if add_into is not None and end in ours:
                        add_into(pending[end], ct, *values)
                        continue
                    # A call with a star costs three times a plain one, and nearly every rule needs one value.
                    pull = pulls[i]
                    part = pull(ct, values[0]) if len(values) == 1 else pull(ct, *values) if values else pull(ct)
                    if shapes is not None:
                        part = unbroadcast(part, shapes[i])
                    if end not in pending:
                        pending[end] = part
                        if add_into is not None and type(part) is np.ndarray:
                            ours.add(end)
                    elif end in ours:
                        pending[end] += part
                    elif is_private(part):
                        part += pending[end]
                        pending[end] = part
                        ours.add(end)
                    else:
                        pending[end] = total = pending[end] + part
                        if type(total) is np.ndarray:
                            ours.add(end)
                if node.frees and not retain:
                    node.saved = None
            # What is left are leaves.
            node = None
            for leaf in pending:
                if leaf._hooks is not None and watched is None:
                    watched = Pass(order, pending, captured, goals, runs, lone, accumulate, retain, create_graph)
            if watched is not None:
                watched.settle(-1)
            else:
                arrived, pending = pending, {}
                for leaf, ct in arrived.items():
                    if goals is not None and leaf not in goals:
                        continue
                    if accumulate:
                        _accumulate(leaf, ct, create_graph, own=leaf in ours)  # type: ignore[arg-type]  # no node is left
                    else:
                        captured[leaf] = ct
    except BaseException:
        # As in PyTorch, the leaves whose gradients were complete have got them.
        watched = watched or Pass(order, pending, captured, goals, runs, lone, accumulate, retain, create_graph)
        watched.settle(-1 if node is None else node.number)
        raise
    finally:
        mode.enabled = before
    return captured


def pull_back(node: Node, cotangents: Sequence[Any]) -> Any:
    """Run the rules of one node, and nothing else: what calling a node does.

    Args:
        node: of an op.
        cotangents: one tensor, of the node's output.

    Raises:
        TypeError: another number of cotangents, or something that is no tensor.
        RuntimeError: the graph was freed, or a saved value was overwritten.
    """
    ct = _the_only(cotangents)
    record = mode.enabled
    once = Pass([node], {}, {}, None, None, None, accumulate=False, retain=True, create_graph=record)
    with np.errstate(all="ignore"):
        parts = once.pull_back(node, once.unwrapped(ct))
    found = tuple([None if part is None else _wrap(part) for part in parts])
    return found[0] if len(found) == 1 else found


def accumulate(leaf: Tensor, cotangents: Sequence[Any]) -> tuple[()]:
    """Add one cotangent to a leaf's `.grad`.

    Raises:
        TypeError: another number of cotangents, or something that is no tensor.
    """
    _accumulate(leaf, _the_only(cotangents), create_graph=False)
    return ()


def _the_only(cotangents: Sequence[Any]) -> Tensor:
    if len(cotangents) != 1:
        raise TypeError(f"expected 1 arguments, got {len(cotangents)} instead")
    (ct,) = cotangents
    if not isinstance(ct, Tensor):
        raise TypeError(f"argument 0 is not a Variable: {ct!r}")
    return ct


_pass_numbers = itertools.count()


class Pass:
    """One run of the tape backwards as far as it is more than arithmetic: hooks, retained gradients, arrivals at leaves.

    A hook may look at everything, so before one runs each leaf whose gradient is complete has got it (`settle`).
    """

    __slots__ = (
        "__weakref__",
        "accumulate",
        "captured",
        "create_graph",
        "goals",
        "lone",
        "number",
        "order",
        "pending",
        "ready",
        "retain",
        "runs",
    )

    def __init__(
        self,
        order: list[Node],
        pending: dict[Target, Any],
        captured: dict[Target, Any],
        goals: set[Target] | None,
        runs: set[Target] | None,
        lone: Target | None,
        accumulate: bool,
        retain: bool,
        create_graph: bool,
    ) -> None:
        self.number = next(_pass_numbers)
        self.order = order
        self.pending = pending
        self.captured = captured
        self.goals = goals
        self.runs = runs
        self.lone = lone  # the root, if there is one only: PyTorch runs its tensor hooks whatever is asked for
        self.accumulate = accumulate
        self.retain = retain
        self.create_graph = create_graph
        # The youngest node number at which the gradient of a leaf is not complete yet: that of its oldest user.
        self.ready: dict[Target, int] = {}
        for node in order:
            if runs is None or node in runs:
                for end in node.edges:
                    if isinstance(end, Tensor):
                        self.ready[end] = node.number

    def will_run(self, target: Target) -> bool:
        """Tell whether this pass computes the gradient of a target."""
        known = target in self.ready or target in self.order or target in self.pending or target in self.captured
        return known and self.wants(target)

    def run(self, node: Node, ct: Any) -> None:
        """Run a node that has hooks, or whose rule is a function of the user."""
        self.settle(node.number)
        hooks = node._hooks
        runs = self.runs is None or node in self.runs
        if not runs and self.goals is not None and node not in self.goals and node is not self.lone:
            return
        if self.goals is not None and node in self.goals:
            self.captured[node] = ct  # what PyTorch gives for a node that runs: before its hooks
        with self:
            if hooks is not None and ct is not None and not isinstance(ct, Cotangents):
                ct = self.unwrapped(run_tensor_hooks(hooks.tensor, _wrap(ct)))
                kept = None if hooks.retain is None else hooks.retain()
                if kept is not None:
                    kept._grad = _wrap(ct).clone() if kept._grad is None else kept._grad + _wrap(ct)
            if not runs:
                if self.goals is not None and node in self.goals:
                    self.captured[node] = ct
                return
            taken: tuple[Tensor | None, ...] = ()
            if hooks is not None and (hooks.before or hooks.after):
                taken = run_before(hooks.before, _as_tuple(node, ct))
                ct = self.joined(node, ct, taken)
            if anomaly.enabled:
                parts = anomaly.checked(node, functools.partial(self.pull_back, node, ct))
            else:
                parts = self.pull_back(node, ct)
            if hooks is not None and hooks.after:
                wrapped = tuple(None if part is None else _wrap(part) for part in parts)
                parts = [None if g is None else self.unwrapped(g) for g in run_after(hooks.after, wrapped, taken)]
        for end, part in zip(node.edges, parts, strict=True):
            if end is not None and part is not None:
                self.pending[end] = self.pending[end] + part if end in self.pending else part
        if not self.retain:
            node.free()

    def unwrapped(self, gradient: Tensor) -> Any:
        """Return a gradient as this pass computes with it: a tensor if it records, else the array."""
        return gradient if self.create_graph else gradient.array

    def joined(self, node: Node, ct: Any, taken: tuple[Tensor | None, ...]) -> Any:
        """Return what pre-hooks made of the cotangents of a node as its rule takes it: the inverse of `_as_tuple`."""
        if isinstance(ct, Cotangents):
            return Cotangents(ct.like, {k: self.unwrapped(g) for k, g in enumerate(taken) if g is not None})
        return None if taken[0] is None else self.unwrapped(taken[0])

    def pull_back(self, node: Node, ct: Any) -> Sequence[Any]:
        """Return what the rules of a node make of its cotangent, one entry an edge; None where it is not asked for."""
        if isinstance(node, JointNode):
            parts = node.pull_back(ct, self.create_graph)
            return [
                part if end is not None and self.wants(end) else None
                for end, part in zip(node.edges, parts, strict=True)
            ]
        if ct is None:
            return [None] * len(node.edges)
        saved = node.saved
        if saved is None:
            raise RuntimeError(FREED)
        for storage, version in node.versions:
            if storage.version != version:
                raise refused(node, saved, storage, version)
        if self.create_graph:
            saved = as_tensors(node, saved)
        found: list[Any] = []
        for i, end in enumerate(node.edges):
            if end is None or not self.wants(end):
                found.append(None)
                continue
            part = node.primitive.rule(i).function(ct, *saved[i])
            found.append(part if node.shapes is None else unbroadcast(part, node.shapes[i]))
        return found

    def wants(self, target: Target) -> bool:
        """Tell whether the cotangent of a target is asked for."""
        return self.runs is None or self.goals is None or target in self.runs or target in self.goals

    def settle(self, number: int) -> None:
        """Hand their gradients to the leaves whose users all are younger than the node of this number."""
        leaves = [t for t in self.pending if isinstance(t, Tensor) and self.ready.get(t, number + 1) > number]
        leaves.sort(key=lambda leaf: self.ready.get(leaf, math.inf), reverse=True)
        for leaf in leaves:
            ct = self.pending.pop(leaf)
            try:
                if self.goals is None or leaf in self.goals:
                    self.arrive(leaf, ct)
                elif leaf is self.lone and leaf._hooks is not None:
                    with self:
                        run_tensor_hooks(leaf._hooks.tensor, _wrap(ct))
            except BaseException:
                self.pending.clear()  # nothing more arrives anywhere
                raise

    def arrive(self, leaf: Tensor, ct: Any) -> None:
        """Hand the whole gradient to a leaf."""
        hooks = leaf._hooks
        if hooks is None:
            if self.accumulate:
                _accumulate(leaf, ct, self.create_graph)
            else:
                self.captured[leaf] = ct
            return
        with self:
            gradient = run_tensor_hooks(hooks.tensor, _wrap(ct))
            if not self.accumulate:
                self.captured[leaf] = gradient
                return
            (given,) = run_before(hooks.before, (gradient,))
            if given is not None:
                fresh = leaf._grad is None and not self.create_graph
                _accumulate(leaf, given if self.create_graph else given.array, self.create_graph)
                if fresh:
                    given = leaf._grad  # PyTorch makes the gradient itself `.grad`; its last hooks see one tensor
                run_accumulated(hooks.accumulated, leaf)
            run_after(hooks.after, (), (given,))

    def __enter__(self) -> None:
        _passes.running.append(self)

    def __exit__(self, *error: object) -> None:
        _passes.running.pop()


class _Passes(threading.local):
    def __init__(self) -> None:
        self.running: list[Pass] = []


_passes = _Passes()


def current_pass() -> Pass | None:
    """Return the pass whose hooks this thread runs, the innermost one; None outside of hooks."""
    return _passes.running[-1] if _passes.running else None


LARGE = 4096  # elements from which on new memory costs as much as the addition


def _references(array: Any) -> int:
    return sys.getrefcount(array)


def _when_private() -> int:
    array = np.zeros(())
    return _references(array)


def _when_shared() -> int:
    array = other = np.zeros(())
    return _references(array if other is array else other)


# What `_references` counts for a local variable's array that nobody else holds; it depends on the version of Python.
PRIVATE = _when_private() if _when_private() < _when_shared() else -1


def is_private(part: Any) -> bool:
    """Tell whether an array is large and held by the caller's variable alone, so that it may be written.

    A rule may return its cotangent itself or a saved array; those are held by others, and a view has a base.
    """
    return (
        type(part) is np.ndarray
        and part.size >= LARGE
        and part.base is None
        and part.flags.writeable
        and _references(part) == PRIVATE + 1  # this function's own
    )


FREED = (
    "Trying to backward through the graph a second time (or directly access saved tensors after they have already been "
    "freed). Saved intermediate values of the graph are freed when you call .backward() or autograd.grad(). Specify "
    "retain_graph=True if you need to backward through the graph a second time or if you need to access saved tensors "
    "after calling backward."
)


DETACHED = (
    "Trying to use a saved tensor that has been detached in-place, i.e. with .detach_(). This is not supported, please use "
    "out-of-place `.detach()` instead"
)


_number = operator.attrgetter("number")


def _reachable(starts: list[Node], oldest: int = 0) -> list[Node]:
    """Return all nodes below `starts`, youngest first. No recursion: chains are long.

    Args:
        oldest: number of the oldest node that matters. A node leads to older ones only, so what is older than every goal is
            on no path to one: a loop that differentiates each of its steps does not walk all steps before it again.
    """
    seen = set(starts)
    found = list(starts)
    for node in found:  # which grows meanwhile
        for target in node.edges:
            kind = target.__class__  # asking for a class itself is faster than `isinstance`
            if (
                (kind is Node or (kind is not Tensor and isinstance(target, Node)))
                and target not in seen
                and target.number >= oldest  # type: ignore[union-attr]  # it is a node
            ):
                seen.add(target)  # type: ignore[arg-type]
                found.append(target)  # type: ignore[arg-type]
    found.sort(key=_number, reverse=True)
    return found


def _on_a_path(order: list[Node], goals: set[Target]) -> set[Target]:
    """Return the nodes whose rules must run so that cotangents arrive at the goals."""
    runs: set[Target] = set()
    for node in reversed(order):
        for target in node.edges:
            if target is not None and (target in goals or target in runs):
                runs.add(node)
                break
    return runs


def as_tensors(node: Node, saved: tuple[tuple[Any, ...], ...]) -> tuple[tuple[Any, ...], ...]:
    """Return what the rules need as tensors in the graph, so that the rules themselves are recorded."""
    p = node.primitive

    def value(name: str, array: Any) -> Any:
        if name == "y":
            return _attached(array, node)
        if name in p.arg_names and not isinstance(array, (int, float)):
            target = node.edges[p.arg_names.index(name)]
            return Tensor(array) if target is None else _attached(array, target)
        return array

    return tuple(
        tuple(value(name, a) for name, a in zip(p.rule(i).needs, values, strict=True)) if values else ()
        for i, values in enumerate(saved)
    )


def saved_value(node: Node, what: str) -> Any:
    """Return a value that a node saved, under PyTorch's name for it; None if it was not needed.

    Raises:
        RuntimeError: the graph was freed, or the value was overwritten since.
        AttributeError: no rule of this op needs such a value.
    """
    p = node.primitive
    name = {"self": p.arg_names[0], "result": "y", "other": p.arg_names[-1], "exponent": p.arg_names[-1]}.get(
        what, what
    )
    if not any(name in rule.needs for rule in p.rules):
        raise AttributeError(f"'{node.name()}' object has no attribute '_saved_{what}'")
    saved = node.saved
    if saved is None:
        raise RuntimeError(FREED)
    for storage, version in node.versions:
        if storage.version != version:
            raise refused(node, saved, storage, version)
    for i, values in enumerate(as_tensors(node, saved)):
        if values and name in p.rule(i).needs:
            return values[p.rule(i).needs.index(name)]
    return None


def _attached(array: Any, target: Target) -> Tensor:
    return target if isinstance(target, Tensor) else Tensor(array, target)


def _as_tuple(node: Node, ct: Any) -> tuple[Tensor | None, ...]:
    """Return the cotangents of all outputs of a node, None for those that did not arrive."""
    if isinstance(ct, Cotangents):
        return tuple(None if (part := ct.arrived.get(k)) is None else _wrap(part) for k in range(len(ct.like)))
    return (None if ct is None else _wrap(ct),)


def _mark_detached(order: list[Node]) -> None:
    """Make nodes refuse to run that saved as an input a tensor which was cut off with `detach_` since."""
    for node in order:
        if not node.primitive.rules:  # a custom function, which looks for itself
            continue
        places = {k - 1 for i, end in enumerate(node.edges) if end is not None for k in node.primitive.rule(i).values}
        if any(k >= 0 and isinstance(e := node.edges[k], Node) and weakref.ref(e) in detached for k in places):
            node.versions = ((_cut, 1),)


_cut = Storage()
_cut.version = 0


def _accumulate(leaf: Tensor, ct: Any, create_graph: bool, *, own: bool = False) -> None:
    """Add a cotangent to `.grad`: in place, unless the sum must itself be differentiable.

    Args:
        own: the pass made the array itself, and nobody else holds it.
    """
    if leaf._node is not None:
        raise RuntimeError("leaf variable has been moved into the graph interior")
    if not leaf._requires_grad or (leaf._view is not None and is_out_of_reach(leaf)):
        return
    with _accumulating:
        held = leaf._grad
        if create_graph:
            if held is None:
                leaf._grad = ct.clone()
                rename(leaf._grad._node, "torch::autograd::CopyBackwards")
            else:
                leaf._grad = held + ct
        elif held is None:
            if own and ct.flags.c_contiguous and leaf.array.flags.c_contiguous:
                leaf._grad = _wrap(ct)
            else:
                leaf._grad = _wrap(_copy(ct.array if isinstance(ct, Tensor) else ct, leaf.array))
        else:
            normal = held.storage.__class__ is Storage
            if not normal or (type(held.array) is np.ndarray and 0 in held.array.strides):
                check_memory(held)
            held.array += ct.array if isinstance(ct, Tensor) else ct
            if normal:
                held.storage.version += 1


def _copy(array: Any, like: Any) -> Any:
    """Return a copy of a leaf's new gradient, laid out as the leaf is if that has its elements without gaps."""
    if type(array) is not np.ndarray:
        return array.copy() if hasattr(array, "copy") else np.array(array)
    if array.ndim > 1 and not like.flags.c_contiguous:
        made = np.empty_like(like)  # keeps the order of the dimensions
        if made.strides == like.strides:
            made[...] = array
            return made
    return array.copy()


def _warn_of_cycles() -> None:
    global _warned_of_cycles
    if not _warned_of_cycles:
        _warned_of_cycles = True
        warnings.warn(
            "Using backward() with create_graph=True will create a reference cycle between the parameter and its gradient "
            "which can cause a memory leak. We recommend using autograd.grad when creating the graph to avoid this. If "
            "you have to use this function, make sure to reset the .grad fields of your parameters to None after use to "
            "break the cycle and avoid the leak.",
            UserWarning,
            stacklevel=4,
        )


def _wrap(array: Any) -> Tensor:
    if isinstance(array, Tensor):
        return array
    return Tensor(np.asarray(array) if isinstance(array, np.generic) else array)


def _retain(retain_graph: bool | None, create_graph: bool) -> bool:
    return create_graph if retain_graph is None else retain_graph


def _sequence(tensors: Any, name: str) -> list[Tensor | GradientEdge]:
    items: list[Any] = [tensors] if isinstance(tensors, (Tensor, GradientEdge)) else list(tensors)
    for i, t in enumerate(items):
        if isinstance(t, (Tensor, GradientEdge)):
            continue
        if name == "inputs":
            raise RuntimeError(f"all inputs have to be Tensors or GradientEdges, but got {type(t).__name__}")
        raise TypeError(f"{name}[{i}] must be a Tensor or a GradientEdge, got {type(t).__name__}: {t!r}")
    return items


def _target(x: Tensor | GradientEdge) -> Target:
    return target_of(x) if isinstance(x, Tensor) else target_at(x)


def _given(cotangents: Any, count: int) -> list[Tensor | None]:
    """Return what a user gave as cotangents of so many roots as a list."""
    if cotangents is None:
        given: list[Any] = [None] * count
    elif isinstance(cotangents, Tensor):
        given = [cotangents]
    elif isinstance(cotangents, (list, tuple)):
        given = list(cotangents)
    else:
        raise TypeError(f"gradients can be either Tensors, tuples of them or None, but got {type(cotangents).__name__}")
    for ct in given:
        if ct is not None and not isinstance(ct, Tensor):
            raise TypeError(f"gradients can be either Tensors or None, but got {type(ct).__name__}")
    if len(given) != count:
        raise RuntimeError(f"got {count} tensors and {len(given)} gradients")
    return given


def _seeds(starts: list[Tensor | GradientEdge], cotangents: Any, create_graph: bool) -> tuple[list[Tensor], list[Any]]:
    """Return the roots, a tensor in the place of an edge, and their cotangents.

    All are checked before anything runs, so that a refused call changes nothing.
    """
    if cotangents is None and len(starts) == 1 and not create_graph:  # the commonest: a scalar
        root = starts[0]
        if type(root) is Tensor and root._view is None and root._requires_grad:
            array = root.array
            if type(array) is np.ndarray and not array.ndim:
                return [root], [np.array(1.0, array.dtype)]
    given = _given(cotangents, len(starts))
    roots = [x if isinstance(x, Tensor) else root_at(x, ct) for x, ct in zip(starts, given, strict=True)]
    seeds: list[Any] = []
    for i, (root, ct) in enumerate(zip(roots, given, strict=True)):
        if ct is not None and ct.array.shape != root.array.shape:
            raise RuntimeError(
                f"Mismatch in shape: grad_output[{i}] has a shape of {ct.shape} and output[{i}] has a shape of {root.shape}."
            )
        if ct is None:
            if root.array.size != 1 and root.requires_grad:
                raise RuntimeError(
                    f"grad can be implicitly created only for scalar outputs, but output[{i}] has shape {list(root.shape)}"
                )
            ct = Tensor(
                np.ones(root.array.shape, root.array.dtype)
                if type(root.array) is np.ndarray
                else root.array * 0.0 + 1.0
            )
        elif type(ct.array) is np.ndarray and ct.array.dtype != root.array.dtype:
            ct = Tensor(ct.array.astype(root.array.dtype))
        seeds.append(ct)
    for i, root in enumerate(roots):
        if root._view is not None:
            refresh(root, asked=True)
        if not root.requires_grad or is_out_of_reach(root):
            raise RuntimeError(f"element {i} of tensors does not require grad and does not have a grad_fn")
    return roots, seeds if create_graph else [s.array for s in seeds]


def refused(node: Node, saved: tuple[tuple[Any, ...], ...], storage: Storage, version: int) -> RuntimeError:
    """Return the error for a node one of whose saved values is not what it was."""
    if storage is _cut:
        return RuntimeError(DETACHED)
    place = [s for s, _ in node.versions].index(storage)
    what, made_by = _saved_values(node, saved)[place]
    return overwritten(what, made_by, storage, version)


def overwritten(array: Any, made_by: Node | None, storage: Storage, version: int) -> RuntimeError:
    """Return the error of a backward pass that would need a value which was written to since a node saved it.

    Args:
        array: the value.
        made_by: the node whose output it is; None for a leaf.
        storage: its storage.
        version: the storage's version when it was saved.
    """
    source = "" if made_by is None else f", which is output 0 of {made_by.name().removesuffix('Backward0')},"
    shape = f"[{type_name(array.dtype)} {list(array.shape)}]"
    return RuntimeError(
        f"one of the variables needed for gradient computation has been modified by an inplace operation: {shape}{source} is "
        f"at version {storage.version}; expected version {version} instead. Hint: enable anomaly detection to find the "
        "operation that failed to compute its gradient, with torch.autograd.set_detect_anomaly(True, check_nan=False)."
    )


def _saved_values(node: Node, saved: tuple[tuple[Any, ...], ...]) -> list[tuple[Any, Node | None]]:
    """Return the saved arrays in the order of the node's versions, each with the node that made it, None for a leaf."""
    found: list[tuple[Any, Node | None]] = []
    for i, j, name in counted(node, saved):
        source = node if name == "y" else node.edges[node.primitive.arg_names.index(name)]
        found.append((saved[i][j], source if isinstance(source, Node) else None))
    return found
