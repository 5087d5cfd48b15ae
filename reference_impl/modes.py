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
import warnings
from collections.abc import Callable
from types import TracebackType
from typing import Any, overload

__all__ = [
    "Decorator",
    "enable_grad",
    "is_grad_enabled",
    "is_multithreading_enabled",
    "mode",
    "no_grad",
    "set_grad_enabled",
    "set_multithreading_enabled",
]


class _Mode(threading.local):
    """The modes of a thread.

    Attributes:
        enabled: operations are recorded.
        inference: the thread is in inference mode (see `inference`), where nothing is ever recorded.
        multithreading: what `set_multithreading_enabled` said.
        asked: in inference mode, what `is_grad_enabled` says: recording would be on elsewhere.
    """

    # Class attributes, so that every new thread starts recording.
    enabled = True
    inference = False
    multithreading = True
    asked = False

    @property
    def grad(self) -> bool:
        """Grad mode as the user sees it."""
        return self.asked if self.inference else self.enabled

    @grad.setter
    def grad(self, flag: bool) -> None:
        if self.inference:
            self.asked = flag
        else:
            self.enabled = flag


mode = _Mode()


def is_grad_enabled() -> bool:
    """Tell whether this thread records operations."""
    return mode.grad


class Decorator:
    """A context manager that decorates functions too: each call, or each step of a generator, runs inside a new one."""

    def again(self) -> Any:
        """Return another context manager like this one."""
        raise NotImplementedError

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Decorate a function."""
        if inspect.isclass(function):
            warnings.warn(
                "Decorating classes is deprecated and will be disabled in future versions. You should only decorate "
                "functions or methods. To preserve the current behavior of class decoration, you can directly decorate "
                "the `__init__` method and nothing else.",
                FutureWarning,
                stacklevel=2,
            )
        if inspect.isgeneratorfunction(function):
            return self._generator(function)

        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            with self.again():
                return function(*args, **kwargs)

        return wrapper

    def _generator(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def generator(*args: Any, **kwargs: Any) -> Any:
            # Each step runs in the decorator's mode, each yield hands the caller's own mode back.
            steps = function(*args, **kwargs)
            step, given = steps.send, None
            while True:
                try:
                    with self.again():
                        value = step(given)
                except StopIteration as stop:
                    return stop.value
                try:
                    step, given = steps.send, (yield value)
                except GeneratorExit:
                    with self.again():
                        steps.close()
                    raise
                except BaseException as error:
                    step, given = steps.throw, error

        return generator


class _GradMode(Decorator):
    """Set the mode on entry, restore what was there on exit; one object can be entered again and again."""

    def __init__(self, enabled: bool) -> None:
        self._enabled = enabled
        self._before: list[bool] = []

    def again(self) -> _GradMode:
        return _GradMode(self._enabled)

    def __enter__(self) -> None:
        self._before.append(mode.grad)
        mode.grad = self._enabled

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        mode.grad = self._before.pop()


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
            raise TypeError(
                f"set_grad_enabled(): argument 'enabled' (position 1) must be bool, not {type(mode).__name__}"
            )
        super().__init__(mode)
        self._at_call = _swap(mode)

    def __enter__(self) -> None:
        self._before.append(self._at_call)
        mode.grad = self._enabled

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Decorate a function."""
        mode.grad = self._at_call  # as a decorator it changes the mode inside the function only
        return super().__call__(function)


class set_multithreading_enabled(Decorator):  # noqa: N801 - PyTorch's name
    """Say at once whether backward may use other threads; as a context manager also restore it on exit.

    Nothing else depends on it: backward runs in the thread that calls it, as PyTorch's does on the CPU.
    """

    def __init__(self, mode: bool) -> None:
        self._enabled, self._at_call = mode, is_multithreading_enabled()
        _set_multithreading(mode)

    def again(self) -> set_multithreading_enabled:
        """Return a new one, for another run of a decorated function."""
        return set_multithreading_enabled(self._enabled)

    def __enter__(self) -> None:
        _set_multithreading(self._enabled)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        _set_multithreading(self._at_call)


def is_multithreading_enabled() -> bool:
    """Return what `set_multithreading_enabled` said last in this thread; True by default."""
    return mode.multithreading


def _set_multithreading(enabled: bool) -> None:
    mode.multithreading = enabled


def _swap(enabled: bool) -> bool:
    before, mode.grad = mode.grad, enabled
    return before
