"""Hooks: functions that see, and may replace, the cotangent of a tensor during backward."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from types import TracebackType

from reference_impl.tensor import Tensor, refresh

__all__ = ["RemovableHandle", "register_hook"]

_keys = itertools.count()


class RemovableHandle:
    """Ends a hook: by `remove`, which may be repeated, or on leaving a ``with`` block."""

    def __init__(self, hooks: dict[int, Callable[[Tensor], Tensor | None]], key: int) -> None:
        self._hooks = hooks
        self._key = key

    def remove(self) -> None:
        """End the hook."""
        self._hooks.pop(self._key, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.remove()


def register_hook(x: Tensor, hook: Callable[[Tensor], Tensor | None]) -> RemovableHandle:
    """Call `hook` with the whole gradient of x in every backward; a tensor that it returns replaces the gradient.

    Raises:
        RuntimeError: x does not require grad.
    """
    refresh(x)
    if not x._requires_grad:
        raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
    hooks = x._hooks if x._node is None else x._node.hooks
    if hooks is None:
        hooks = {}
        if x._node is None:
            x._hooks = hooks
        else:
            x._node.hooks = hooks
    key = next(_keys)
    hooks[key] = hook
    return RemovableHandle(hooks, key)
