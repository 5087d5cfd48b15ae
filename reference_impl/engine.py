"""Backward: sweep the tape from the outputs down, handing each node's cotangent to its rules.

The whole algorithm is `sweep`. Nodes are numbered as they are made, so falling numbers are a topological order: when a
node's turn comes, everything that used its output has run, and its cotangent is complete.
"""

from __future__ import annotations

import operator
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from reference_impl.modes import mode
from reference_impl.primitives import unbroadcast
from reference_impl.tensor import JointNode, Node, Target, Tensor, target_of

__all__ = ["FREED", "backward", "grad", "overwritten", "sweep"]

_accumulating = threading.Lock()


def backward(
    tensors: Tensor | Sequence[Tensor],
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Tensor | Sequence[Tensor] | None = None,
) -> None:
    """Add to `.grad` of every leaf the vector-Jacobian product of the roots, in one pass.

    Args:
        tensors: the roots.
        grad_tensors: one cotangent a root, of its shape; None for a root of one element stands for 1.
        retain_graph: keep what nodes saved, so that the graph can be walked again. Default: `create_graph`.
        create_graph: record the backward pass, so that gradients can be differentiated.
        inputs: accumulate into these only; non-leaves are allowed.

    Raises:
        RuntimeError: a root needs no gradient, a cotangent is missing or has another shape, or the graph was freed.
    """
    roots = _sequence(tensors, "tensors")
    seeds = _seeds(roots, grad_tensors, create_graph)
    wanted = None
    if inputs is not None:
        wanted = _sequence(inputs, "inputs")
        if not wanted:
            raise RuntimeError("`inputs` argument to `backward()` cannot be empty.")
        for i, x in enumerate(wanted):
            if not x.requires_grad:
                raise RuntimeError(f"One of the differentiated Tensors does not require grad (inputs[{i}])")
        for x in wanted:
            if not x.is_leaf:
                x.retain_grad()  # from now on; the sweep adds to its `.grad`
    pending, captured = sweep(roots, seeds, _retain(retain_graph, create_graph), create_graph, wanted)
    arrived = pending if wanted is None else captured
    before, mode.enabled = mode.enabled, create_graph
    try:
        for leaf, ct in arrived.items():
            if isinstance(leaf, Tensor) and leaf._requires_grad:
                _accumulate(leaf, ct, create_graph)
    finally:
        mode.enabled = before


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool | None = None,
    materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]:
    """Return the vector-Jacobian products for `inputs`, touching no `.grad`.

    Args:
        outputs: the roots.
        inputs: what to differentiate with respect to; leaves or not, in any order, repeats allowed.
        grad_outputs: one cotangent a root; None for a root of one element stands for 1.
        retain_graph: as in `backward`.
        create_graph: as in `backward`.
        allow_unused: give None for an input that the outputs do not depend on, instead of an error.
        materialize_grads: give zeros for such an input.

    Raises:
        RuntimeError: as `backward`; or an input was not used and `allow_unused` is not set.
        ValueError: `materialize_grads` together with ``allow_unused=False``.
    """
    if materialize_grads and allow_unused is False:
        raise ValueError(
            "Expected allow_unused to be True or not passed when materialize_grads=True, but got: allow_unused=False."
        )
    roots, wanted = _sequence(outputs, "outputs"), _sequence(inputs, "inputs")
    if not wanted:
        raise RuntimeError("`inputs` argument to `grad()` cannot be empty.")
    seeds = _seeds(roots, grad_outputs, create_graph)
    for i, x in enumerate(wanted):
        if not x.requires_grad:
            raise RuntimeError(f"One of the differentiated Tensors does not require grad (inputs[{i}])")
    _, captured = sweep(roots, seeds, _retain(retain_graph, create_graph), create_graph, wanted)
    results: list[Tensor | None] = []
    for i, x in enumerate(wanted):
        ct = captured.get(target_of(x))
        if ct is None and materialize_grads:
            results.append(Tensor(np.zeros_like(x.array)))
        elif ct is None and not allow_unused:
            raise RuntimeError(
                f"The differentiated Tensor at index {i} appears to not have been used in the graph. Set "
                "allow_unused=True if this is the desired behavior."
            )
        else:
            results.append(ct if ct is None or isinstance(ct, Tensor) else _wrap(ct))
    return tuple(results)


def sweep(
    roots: Sequence[Tensor], seeds: Sequence[Any], retain: bool, create_graph: bool, wanted: Sequence[Tensor] | None
) -> tuple[dict[Target, Any], dict[Target, Any]]:
    """Run the tape backwards once.

    Args:
        roots: where to start.
        seeds: the cotangent of each root: arrays, or tensors when `create_graph` is set.
        retain: keep what the nodes saved.
        create_graph: rules are handed tensors and are recorded.
        wanted: only nodes on a path to one of these run; None means all.

    Returns:
        The cotangents that arrived at leaves, and those of `wanted`, by target.
    """
    pending: dict[Target, Any] = {}
    ours: set[Target] = set()  # sums that we made ourselves and may add to in place
    for root, seed in zip(roots, seeds, strict=True):
        target = target_of(root)
        pending[target] = pending[target] + seed if target in pending else seed
    order = _reachable([t for t in pending if isinstance(t, Node)])
    goals = set() if wanted is None else {target_of(x) for x in wanted}
    path = None if wanted is None else _on_a_path(order, goals) | goals
    captured: dict[Target, Any] = {}

    before, mode.enabled = mode.enabled, create_graph
    try:
        with np.errstate(all="ignore"):
            for node in order:
                ct = pending.pop(node, None)
                if ct is None and not isinstance(node, JointNode):
                    continue
                if node.hooks is not None or node.retain is not None:
                    ct = _run_hooks(node, ct, create_graph)
                if path is not None:
                    if node in goals:
                        captured[node] = ct
                    if not any(target in path for target in node.edges):
                        continue
                saved = node.saved
                if saved is None:
                    if not isinstance(node, JointNode):
                        raise RuntimeError(FREED)
                    for end, part in zip(node.edges, node.pull_back(ct, create_graph), strict=True):
                        if part is not None and end is not None and (path is None or end in path):
                            pending[end] = pending[end] + part if end in pending else part
                    if not retain:
                        node.free()
                    continue
                for storage, version in node.versions:
                    if storage.version != version:
                        raise overwritten(node, storage, version)
                if create_graph:
                    saved = _as_tensors(node)
                p, shapes = node.primitive, node.shapes
                rules, variadic, add_into = p.rules, p.variadic, p.add_into
                for i, end in enumerate(node.edges):
                    if end is None or (path is not None and end not in path):
                        continue
                    rule, values = rules[0 if variadic else i].function, saved[i]
                    if add_into is not None and end in ours:
                        add_into(pending[end], ct, *values)
                        continue
                    # A call with a star costs three times a plain one, and nearly every rule needs one value.
                    part = rule(ct, values[0]) if len(values) == 1 else rule(ct, *values) if values else rule(ct)
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
            for target in [t for t in pending if isinstance(t, Tensor)]:
                if target._hooks:
                    pending[target] = _run_tensor_hooks(target._hooks, pending[target], create_graph)
                if target in goals:
                    captured[target] = pending[target]
    finally:
        mode.enabled = before
    return pending, captured


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


def _reachable(starts: list[Node]) -> list[Node]:
    """Return all nodes below `starts`, youngest first. No recursion: chains are long."""
    seen = set(starts)
    found = list(starts)
    stack = list(starts)
    while stack:
        for target in stack.pop().edges:
            # Asking for the class itself first is the faster question.
            if (target.__class__ is Node or isinstance(target, Node)) and target not in seen:
                seen.add(target)
                found.append(target)
                stack.append(target)
    found.sort(key=operator.attrgetter("number"), reverse=True)
    return found


def _on_a_path(order: list[Node], goals: set[Target]) -> set[Target]:
    """Return the nodes whose rules must run so that cotangents arrive at the goals."""
    runs: set[Target] = set()
    for node in reversed(order):
        if any(t is not None and (t in goals or t in runs) for t in node.edges):
            runs.add(node)
    return runs


def _as_tensors(node: Node) -> tuple[tuple[Any, ...], ...]:
    """Return what the rules need as tensors in the graph, so that the rules themselves are recorded."""
    p = node.primitive
    assert node.saved is not None

    def value(name: str, array: Any) -> Any:
        if name == "y":
            return _attached(array, node)
        if name in p.arg_names and not isinstance(array, (int, float)):
            target = node.edges[p.arg_names.index(name)]
            return Tensor(array) if target is None else _attached(array, target)
        return array

    return tuple(
        tuple(value(name, a) for name, a in zip(p.rule(i).needs, values, strict=True)) if values else ()
        for i, values in enumerate(node.saved)
    )


def _attached(array: Any, target: Target) -> Tensor:
    return target if isinstance(target, Tensor) else Tensor(array, target)


def _run_hooks(node: Node, ct: Any, create_graph: bool) -> Any:
    if node.hooks:
        ct = _run_tensor_hooks(node.hooks, ct, create_graph)
    kept = node.retain() if node.retain is not None else None
    if kept is not None:
        _accumulate(kept, ct, create_graph)
    return ct


def _run_tensor_hooks(hooks: dict[Any, Callable[[Tensor], Tensor | None]], ct: Any, create_graph: bool) -> Any:
    for hook in list(hooks.values()):
        given = ct if isinstance(ct, Tensor) else _wrap(ct)
        result = hook(given)
        if result is None:
            continue
        if not isinstance(result, Tensor):
            raise TypeError(f"expected Variable, but hook returned '{type(result).__name__}'")
        if result.shape != given.shape:
            raise RuntimeError(f"hook '{hook.__name__}' has changed the size of value: {list(result.shape)}")
        if result.dtype is not given.dtype:
            raise RuntimeError(
                f"hook '{hook.__name__}' has changed the type of value (was {given.dtype} got {result.dtype})"
            )
        ct = result if create_graph else result.array
    return ct


def _accumulate(leaf: Tensor, ct: Any, create_graph: bool) -> None:
    """Add a cotangent to `.grad`: in place, unless the sum must itself be differentiable."""
    with _accumulating:
        held = leaf._grad
        if create_graph:
            leaf._grad = ct.clone() if held is None else held + ct
        elif held is None:
            array = ct.array if isinstance(ct, Tensor) else ct
            leaf._grad = _wrap(array.copy() if hasattr(array, "copy") else np.array(array))
        else:
            held.array += ct.array if isinstance(ct, Tensor) else ct
            held.storage.version += 1


def _wrap(array: Any) -> Tensor:
    return Tensor(np.asarray(array) if isinstance(array, np.generic) else array)


def _retain(retain_graph: bool | None, create_graph: bool) -> bool:
    return create_graph if retain_graph is None else retain_graph


def _sequence(tensors: Any, name: str) -> list[Tensor]:
    items = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    for i, t in enumerate(items):
        if not isinstance(t, Tensor):
            raise TypeError(f"{name}[{i}] must be a Tensor, got {type(t).__name__}: {t!r}")
    return items


def _seeds(roots: list[Tensor], cotangents: Any, create_graph: bool) -> list[Any]:
    """Check every root and cotangent before anything runs, so that a refused call changes nothing."""
    if cotangents is None:
        given: list[Any] = [None] * len(roots)
    elif isinstance(cotangents, Tensor):
        given = [cotangents]
    elif isinstance(cotangents, (list, tuple)):
        given = list(cotangents)
    else:
        raise TypeError(f"gradients can be either Tensors, tuples of them or None, but got {type(cotangents).__name__}")
    for ct in given:
        if ct is not None and not isinstance(ct, Tensor):
            raise TypeError(f"gradients can be either Tensors or None, but got {type(ct).__name__}")
    if len(given) != len(roots):
        raise RuntimeError(f"got {len(roots)} tensors and {len(given)} gradients")
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
        if not root.requires_grad:
            raise RuntimeError(f"element {i} of tensors does not require grad and does not have a grad_fn")
    return seeds if create_graph else [s.array for s in seeds]


def overwritten(node: Node, storage: Any, version: int) -> RuntimeError:
    """Return the error of a backward pass that would need a value which was written to since `node` saved it."""
    return RuntimeError(
        "one of the variables needed for gradient computation has been modified by an inplace operation: a tensor saved "
        f"by {node.name()} is at version {storage.version}; expected version {version} instead. Hint: enable anomaly "
        "detection to find the operation that failed to compute its gradient, with torch.autograd.set_detect_anomaly(True)."
    )
