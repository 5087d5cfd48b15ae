"""Hooks of saved tensors: `pack` sees what a node saves, and `unpack` gives it back when backward needs it.

>>> import reference_impl as torch
>>> x = torch.tensor([2.0], requires_grad=True)
>>> with saved_tensors_hooks(lambda t: t.tolist(), lambda values: torch.tensor(values)):
...     y = x * x
>>> y.backward()
>>> x.grad
tensor([4.])
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Any

from reference_impl.indirect import IndirectNode, Packed
from reference_impl.modes import no_grad
from reference_impl.primitives import CONSTANT, NUMBER, WANTED, unwatch, watch
from reference_impl.tensor import Node, Tensor

__all__ = [
    "allow_mutation_on_saved_tensors",
    "disable_saved_tensors_hooks",
    "pack",
    "save_on_cpu",
    "saved_tensors_hooks",
]


class _Hooks(threading.local):
    def __init__(self) -> None:
        self.stack: list[saved_tensors_hooks] = []
        self.refusal: str | None = None


_hooks = _Hooks()


class saved_tensors_hooks:  # noqa: N801 - PyTorch's name
    """Call the hooks for every tensor that is saved for backward inside the block; the innermost block counts.

    Args:
        pack_hook: takes a tensor, returns anything.
        unpack_hook: takes that, returns a tensor of the same values.
    """

    def __init__(self, pack_hook: Callable[[Tensor], Any], unpack_hook: Callable[[Any], Tensor]) -> None:
        self.pack_hook = pack_hook
        self.unpack_hook = unpack_hook

    def __enter__(self) -> None:
        if _hooks.refusal is not None:
            raise RuntimeError(_hooks.refusal)
        _hooks.stack.append(self)
        watch(_packed)

    def __exit__(self, *error: object) -> None:
        if _hooks.stack:  # an exit too many, from within an unpack hook, is ignored
            unwatch(_packed)
            _hooks.stack.pop()


class save_on_cpu(saved_tensors_hooks):  # noqa: N801 - PyTorch's name
    """Keep copies of what is saved. There is no other device here, so the copies alone are what one can see."""

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda") -> None:
        super().__init__(lambda x: x.clone(), lambda x: x)


class allow_mutation_on_saved_tensors(saved_tensors_hooks):  # noqa: N801 - PyTorch's name
    """Let tensors be written to inside the block although a node saved them: backward, inside too, sees the old values.

    What is saved is copied at once, where PyTorch waits until it is written to.
    """

    _active = False

    def __init__(self) -> None:
        super().__init__(lambda x: x.clone(), self._kept)

    def _kept(self, copy: Tensor) -> Tensor:
        if not self._active:
            raise AssertionError(
                "Trying to backward outside of the 'allow_mutation_on_saved_tensors' context in which the graph was "
                "originally recorded."
            )
        return copy

    def __enter__(self) -> None:
        if any(isinstance(hooks, allow_mutation_on_saved_tensors) for hooks in _hooks.stack):
            raise RuntimeError("allow_mutation_on_saved_tensors contexts cannot be nested")
        super().__enter__()
        self._active = True

    def __exit__(self, *error: object) -> None:
        self._active = False
        super().__exit__(*error)


class disable_saved_tensors_hooks(contextlib.ContextDecorator):  # noqa: N801 - PyTorch's name
    """Refuse `saved_tensors_hooks` inside the block, or the decorated function, with this message."""

    def __init__(self, error_message: str) -> None:
        self._message = error_message
        self._before: list[str | None] = []

    def __enter__(self) -> None:
        if _hooks.stack:
            raise RuntimeError(self._message)
        self._before.append(_hooks.refusal)
        _hooks.refusal = self._message

    def __exit__(self, *error: object) -> None:
        _hooks.refusal = self._before.pop()


def pack(array: Any, *, requires_grad: bool) -> Packed | None:
    """Return an array as the innermost pack hook of this thread leaves it; None if there is none.

    Raises:
        RuntimeError: the hook wrote to its argument.
    """
    if not _hooks.stack:
        return None
    hooks = _hooks.stack[-1]
    x = Tensor(array)
    x._requires_grad = requires_grad
    with no_grad():
        value = hooks.pack_hook(x)
    if x.storage.version:
        raise RuntimeError(
            "A saved tensor pack hook is modifying its input in place. Tensors provided as input to pack hook cannot be "
            "modified by in-place operations as this can lead to unexpected side-effects. Please open an issue if you need to "
            "perform in-place operations on the input to a pack hook."
        )
    return Packed(value, hooks.unpack_hook)


def _packed(node: Node, kinds: tuple[int, ...]) -> Node:
    """Return the node with what it saved packed."""
    if not _hooks.stack or node.saved is None:
        return node
    p = node.primitive

    def value(name: str, array: Any) -> Any:
        if name == "y":
            return pack(array, requires_grad=True)
        kind = kinds[p.arg_names.index(name)] if name in p.arg_names else NUMBER
        return pack(array, requires_grad=kind == WANTED) if kind in (CONSTANT, WANTED) else array

    kept = tuple(
        tuple(value(name, a) for name, a in zip(p.rule(i).needs, values, strict=True)) if values else ()
        for i, values in enumerate(node.saved)
    )
    if not any(isinstance(v, Packed) for values in kept for v in values):
        return node
    node.saved, node.versions = kept, ()
    return IndirectNode(node)
