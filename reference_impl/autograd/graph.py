"""`torch.autograd.graph`: nodes, hooks of what they save, and hooks that look at several tensors at once.

>>> import reference_impl as torch
>>> a, b = (torch.ones(2, requires_grad=True) for _ in range(2))
>>> with torch.autograd.graph.register_multi_grad_hook((a, b), lambda gradients: print(len(gradients))):
...     (a * b).sum().backward()
2
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

from reference_impl.edges import GradientEdge, get_gradient_edge
from reference_impl.engine import Pass, current_pass
from reference_impl.hooks import RemovableHandle, register_hook
from reference_impl.saving import (
    allow_mutation_on_saved_tensors,
    disable_saved_tensors_hooks,
    save_on_cpu,
    saved_tensors_hooks,
)
from reference_impl.tensor import Node, Target, Tensor, target_of

__all__ = [
    "GradientEdge",
    "Node",
    "allow_mutation_on_saved_tensors",
    "disable_saved_tensors_hooks",
    "get_gradient_edge",
    "increment_version",
    "register_multi_grad_hook",
    "save_on_cpu",
    "saved_tensors_hooks",
]


def increment_version(tensor: Tensor | list[Tensor] | tuple[Tensor, ...]) -> None:
    """Count a write that the tape could not see, to memory that is shared with others."""
    for x in (tensor,) if isinstance(tensor, Tensor) else tensor:
        x.storage.version += 1


class _Handles:
    """Ends several hooks at once."""

    def __init__(self, handles: Sequence[RemovableHandle]) -> None:
        self._handles = handles

    def remove(self) -> None:
        """End the hooks."""
        for handle in self._handles:
            handle.remove()

    def __enter__(self) -> _Handles:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.remove()


class _Arrivals:
    """What arrived so far in one pass at the tensors of a multi-grad hook."""

    def __init__(self, current: Pass, targets: Sequence[Target]) -> None:
        self.gradients: list[Tensor | None] = [None] * len(targets)
        self.expected = sum(map(current.will_run, targets))
        self.count = 0


def register_multi_grad_hook(tensors: Sequence[Tensor], fn: Callable[[Any], None], *, mode: str = "all") -> _Handles:
    """Call `fn` once in each backward that reaches one of the tensors.

    Args:
        tensors: they must require grad.
        fn: with mode "all" it is called when the last of the gradients is there, with a list of one gradient a tensor, None
            for those that the backward does not compute; with mode "any" when the first is there, with that gradient.
        mode: "all" or "any".

    Raises:
        ValueError: another mode.
        RuntimeError: a tensor does not require grad.
    """
    if mode not in ("all", "any"):
        raise ValueError(f"Expects mode to be one of ('all', 'any') but got {mode}")
    targets = [target_of(x) for x in tensors]
    lock = threading.Lock()
    # By pass: two threads may run backward at once.
    arrivals: dict[int, _Arrivals] = {}

    def note(i: int, gradient: Tensor) -> None:
        current = current_pass()
        assert current is not None  # hooks run in a pass
        with lock:
            if current.number not in arrivals:
                arrivals[current.number] = _Arrivals(current, targets)
            here = arrivals[current.number]
            here.gradients[i] = gradient
            here.count += 1
            first, last = here.count == 1, here.count == here.expected
            if last:
                del arrivals[current.number]
        if mode == "any" and first:
            fn(gradient)
        elif mode == "all" and last:
            fn(here.gradients)

    def noting(i: int) -> Callable[[Tensor], None]:
        return lambda gradient: note(i, gradient)

    return _Handles([register_hook(x, noting(i)) for i, x in enumerate(tensors)])
