"""Inference mode: nothing is recorded, and what is made in it can never take part in a graph, nor count its writes.

>>> import reference_impl as torch
>>> with torch.inference_mode():
...     x = torch.ones(2)
>>> x.is_inference(), x.clone().is_inference()
(True, False)
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

from reference_impl.modes import Decorator, mode
from reference_impl.tensor import Storage, Tensor, make_storages

__all__ = ["inference_mode", "is_inference", "is_inference_mode_enabled"]


class _InferenceStorage(Storage):
    """The memory of a tensor that was made in inference mode. A node that wants to save the tensor asks its version."""

    __slots__ = ()

    @property
    def version(self) -> int:
        raise RuntimeError(
            "Inference tensors cannot be saved for backward. Please do not use Tensors created in inference mode in "
            "computation tracked by autograd. To work around this, you can make a clone to get a normal tensor and use it "
            "in autograd, or use `torch.no_grad()` instead of `torch.inference_mode()`."
        )

    @version.setter
    def version(self, number: int) -> None:
        """Count nothing."""


def is_inference_mode_enabled() -> bool:
    """Tell whether this thread is in inference mode."""
    return mode.inference


def is_inference(input: Tensor) -> bool:
    """Tell whether a tensor was made in inference mode."""
    return input.is_inference()


# While any thread is in inference mode, making a tensor asks for the mode; otherwise that would slow down every op.
_inside = 0
_lock = threading.Lock()


def _new_storage() -> Storage:
    return _InferenceStorage() if mode.inference else Storage()


def _count(more: int) -> None:
    global _inside
    with _lock:
        _inside += more
        make_storages(_new_storage if _inside else Storage)


class inference_mode(Decorator):  # noqa: N801 - PyTorch's name
    """Enter inference mode, or with ``mode=False`` leave it: ``with inference_mode():``, or a decorator."""

    def __new__(cls, mode: bool | Callable[..., Any] = True) -> Any:
        """Return the mode, or the function that was decorated without parentheses."""
        return super().__new__(cls) if isinstance(mode, bool) else cls(True)(mode)

    def __init__(self, mode: bool = True) -> None:
        self._mode = mode
        self._before: list[tuple[bool, bool, bool]] = []

    def again(self) -> inference_mode:
        """Return another context manager like this one."""
        made: inference_mode = inference_mode(self._mode)
        return made

    def __enter__(self) -> None:
        self._before.append((mode.inference, mode.enabled, mode.asked))
        mode.inference, mode.enabled, mode.asked = self._mode, not self._mode, False
        _count(int(self._mode))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        _count(-int(self._mode))
        mode.inference, mode.enabled, mode.asked = self._before.pop()
