"""Grad mode: whether operations are recorded. Per thread, a stack of context managers that also decorate functions.

>>> import reference_impl as torch
>>> with torch.no_grad():
...     torch.is_grad_enabled()
False
"""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, overload

__all__ = ["enable_grad", "is_grad_enabled", "mode", "no_grad", "set_grad_enabled"]


class _Mode(threading.local):
    enabled = True  # a class attribute, so that every new thread starts recording


mode = _Mode()


def is_grad_enabled() -> bool:
    """Tell whether this thread records operations."""
    return mode.enabled


class _GradMode:
    """Set the mode on entry, restore what was there on exit; one object can be entered again and again."""

    def __init__(self, enabled: bool) -> None:
        self._enabled = enabled
        self._before: list[bool] = []

    def __enter__(self) -> None:
        self._before.append(mode.enabled)
        mode.enabled = self._enabled

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        mode.enabled = self._before.pop()

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        enabled = self._enabled
        if inspect.isgeneratorfunction(function):

            @functools.wraps(function)
            def generator(*args: Any, **kwargs: Any) -> Any:
                # Each step runs in the decorator's mode, each yield hands the caller's own mode back.
                steps = function(*args, **kwargs)
                sent: Any = None
                while True:
                    try:
                        with _GradMode(enabled):
                            value = steps.send(sent)
                    except StopIteration as stop:
                        return stop.value
                    sent = yield value

            return generator

        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            with _GradMode(enabled):
                return function(*args, **kwargs)

        return wrapper


@overload
def no_grad() -> _GradMode: ...
@overload
def no_grad(function: Callable[..., Any]) -> Callable[..., Any]: ...
def no_grad(function: Callable[..., Any] | None = None) -> _GradMode | Callable[..., Any]:
    """Stop recording: ``with no_grad():``, ``@no_grad()`` or ``@no_grad``."""
    return _GradMode(False) if function is None else _GradMode(False)(function)


@overload
def enable_grad() -> _GradMode: ...
@overload
def enable_grad(function: Callable[..., Any]) -> Callable[..., Any]: ...
def enable_grad(function: Callable[..., Any] | None = None) -> _GradMode | Callable[..., Any]:
    """Record again inside a `no_grad` region; used like `no_grad`."""
    return _GradMode(True) if function is None else _GradMode(True)(function)


class set_grad_enabled(_GradMode):  # noqa: N801 - PyTorch's name
    """Set the mode at once; as a context manager also restore it on exit.

    Raises:
        TypeError: `mode` is not a bool.
    """

    def __init__(self, mode: bool) -> None:
        if not isinstance(mode, bool):
            raise TypeError(f"set_grad_enabled(): argument 'enabled' must be bool, not {type(mode).__name__}")
        super().__init__(mode)
        self._at_call = _swap(mode)

    def __enter__(self) -> None:
        self._before.append(self._at_call)
        mode.enabled = self._enabled

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Decorate a function."""
        mode.enabled = self._at_call  # as a decorator it changes the mode inside the function only
        return super().__call__(function)


def _swap(enabled: bool) -> bool:
    before, mode.enabled = mode.enabled, enabled
    return before
