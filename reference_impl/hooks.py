"""Hooks: functions that see, and may replace, the cotangents of a tensor or a node during backward.

At a node they run in this order: hooks of its tensor, `retain_grad`, pre-hooks of the node, the node's rules, hooks of
the node. At a leaf: hooks of the tensor, pre-hooks of its `AccumulateGrad`, the accumulation, post-accumulate hooks,
hooks of its `AccumulateGrad`. Hooks of one kind run in the order in which they were registered, each on what the one
before made.

>>> import reference_impl as torch
>>> x = torch.tensor([1.0, 2.0], requires_grad=True)
>>> with x.register_hook(lambda gradient: gradient * 10):
...     x.sum().backward()
>>> x.grad
tensor([10., 10.])
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reference_impl.tensor import Tensor

__all__ = [
    "Hooks",
    "RemovableHandle",
    "hooks_of",
    "register_hook",
    "register_post_accumulate_grad_hook",
    "run_accumulated",
    "run_after",
    "run_before",
    "run_tensor_hooks",
]

_keys = itertools.count()


class Registered(dict[int, Callable[..., Any]]):
    """Functions by key, in the order in which they were registered; a class, so that handles can refer to it weakly."""


class Hooks:
    """What runs at a node, or at a leaf. Few nodes have any, so a node holds one of these or None.

    Attributes:
        tensor: functions of the cotangent of the node's output, or of the leaf.
        retain: a weak reference to the tensor whose `.grad` wants that cotangent, or None.
        before: functions of the cotangents that the node, or the leaf's `AccumulateGrad`, is about to take.
        accumulated: functions of a leaf whose `.grad` was just updated.
        after: functions of the cotangents that a node gave and took.
    """

    __slots__ = ("accumulated", "after", "before", "retain", "tensor")

    def __init__(self) -> None:
        self.tensor: Registered = Registered()
        self.retain: weakref.ref[Tensor] | None = None
        self.before: Registered = Registered()
        self.accumulated: Registered = Registered()
        self.after: Registered = Registered()


def hooks_of(owner: Any) -> Hooks:
    """Return the object that holds the hooks of a node, or of a tensor as a leaf; make it if there is none yet."""
    if owner._hooks is None:
        owner._hooks = Hooks()
    hooks: Hooks = owner._hooks
    return hooks


class RemovableHandle:
    """Ends a hook: by `remove`, which may be repeated, or on leaving a ``with`` block."""

    def __init__(self, registered: Registered, hook: Callable[..., Any]) -> None:
        self.id = next(_keys)
        self._registered = weakref.ref(registered)
        registered[self.id] = hook

    def remove(self) -> None:
        """End the hook."""
        registered = self._registered()
        if registered is not None:
            registered.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.remove()


# -- registering


def register_hook(x: Tensor, hook: Callable[[Tensor], Tensor | None]) -> RemovableHandle:
    """Call `hook` with the whole gradient of x in every backward; a tensor that it returns replaces the gradient.

    The hook belongs to the value that x has now: after an in-place operation it still sees the gradient of the old one.

    Raises:
        RuntimeError: x does not require grad.
    """
    if not x.requires_grad:
        raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
    return RemovableHandle(hooks_of(x if x.grad_fn is None else x._node).tensor, hook)


def register_post_accumulate_grad_hook(x: Tensor, hook: Callable[[Tensor], None]) -> RemovableHandle:
    """Call `hook` with the leaf x each time that backward has updated its `.grad`, which it may change or drop.

    Raises:
        RuntimeError: x does not require grad, or is not a leaf.
    """
    if not x.requires_grad:
        raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
    if x.grad_fn is not None:
        raise RuntimeError("post accumulate grad hooks cannot be registered on non-leaf tensors")
    return RemovableHandle(hooks_of(x).accumulated, hook)


# -- running; the engine calls these


def run_tensor_hooks(hooks: Registered, gradient: Tensor) -> Tensor:
    """Hand a gradient through the hooks of a tensor and return what they made of it."""
    for hook in list(hooks.values()):
        result = hook(gradient)
        if result is not None:
            gradient = _checked(hook, result, gradient)
    return gradient


def run_before(hooks: Registered, gradients: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
    """Hand the cotangents that a node is about to take through its pre-hooks."""
    for hook in list(hooks.values()):
        gradients = _replaced(hook, hook(gradients), gradients)
    return gradients


def run_after(
    hooks: Registered, given: tuple[Tensor | None, ...], taken: tuple[Tensor | None, ...]
) -> tuple[Tensor | None, ...]:
    """Hand the cotangents that a node gave through its hooks, which also see those that it took."""
    for hook in list(hooks.values()):
        given = _replaced(hook, hook(given, taken), given)
    return given


def run_accumulated(hooks: Registered, leaf: Tensor) -> None:
    """Show a leaf to its post-accumulate hooks.

    Raises:
        TypeError: a hook returned something that is neither None nor a tensor.
        RuntimeError: a hook returned another tensor.
    """
    for hook in list(hooks.values()):
        result = hook(leaf)
        if result is None or result is leaf:
            continue
        if not hasattr(result, "_requires_grad"):
            raise TypeError(f"expected Variable, but hook returned '{type(result).__name__}'")
        raise RuntimeError("Tensor post accumulate grad hooks should return None.")


def _replaced(hook: Any, result: Any, old: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
    if result is None:
        return old
    if not isinstance(result, tuple):
        raise TypeError(f"expected tuple, but hook returned '{type(result).__name__}'")
    if len(result) != len(old):
        raise RuntimeError(
            f"hook '{_name(hook)}' has returned an incorrect number of values (got {len(result)}, but expected {len(old)})"
        )
    return tuple(None if new is None else _checked(hook, new, was) for new, was in zip(result, old, strict=True))


def _checked(hook: Any, result: Any, old: Tensor | None) -> Tensor:
    """Return what a hook made of a gradient.

    Raises:
        TypeError: it is no tensor.
        RuntimeError: it has another shape or dtype than the gradient had.
    """
    if not hasattr(result, "_requires_grad"):
        raise TypeError(f"expected Variable, but hook returned '{type(result).__name__}'")
    if old is None:
        raise RuntimeError(f"can't replace a None gradient with a non-None value (hook '{_name(hook)}')")
    if result.shape != old.shape:
        raise RuntimeError(
            f"hook '{_name(hook)}' has changed the size of value (was {list(old.shape)} got {list(result.shape)})"
        )
    if result.dtype is not old.dtype:
        raise RuntimeError(f"hook '{_name(hook)}' has changed the type of value (was {old.type()} got {result.type()})")
    made: Tensor = result
    return made


def _name(hook: Any) -> str:
    return getattr(hook, "__name__", "<unknown>")
