"""Anomaly mode: backward names the function that made a nan or failed, and shows where forward called it."""

from __future__ import annotations

import threading
import traceback
import warnings
import weakref
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

import numpy as np

from reference_impl.primitives import unwatch, watch
from reference_impl.tensor import Node, Tensor

__all__ = ["anomaly", "detect_anomaly", "is_anomaly_check_nan_enabled", "is_anomaly_enabled", "set_detect_anomaly"]


class _Anomaly:
    """Whether the mode is on, for all threads, and what it knows."""

    def __init__(self) -> None:
        self.enabled = False
        self.check_nan = True
        self.traces: weakref.WeakKeyDictionary[Node, str] = weakref.WeakKeyDictionary()
        self.parents: weakref.WeakKeyDictionary[Node, Node] = weakref.WeakKeyDictionary()
        self.running = threading.local()

    def set(self, enabled: bool, check_nan: bool) -> None:
        if enabled and not self.enabled:
            watch(self.remember)
        elif self.enabled and not enabled:
            unwatch(self.remember)
        self.enabled, self.check_nan = enabled, check_nan

    def remember(self, node: Node, kinds: tuple[int, ...]) -> Node:
        """Note where a node was recorded, and by which node's backward, if it was."""
        self.traces[node] = "".join(traceback.format_stack()[:-3])
        parent = getattr(self.running, "node", None)
        if parent is not None:
            self.parents[node] = parent
        return node

    def checked(self, node: Node, run: Callable[[], Sequence[Any]]) -> Sequence[Any]:
        """Run the backward of one node.

        Raises:
            RuntimeError: a gradient has a nan; other errors keep their type, after a warning that shows the forward call.
        """
        before = getattr(self.running, "node", None)
        self.running.node = node
        try:
            parts = run()
        except Exception:
            self.warn(node)
            raise
        finally:
            self.running.node = before
        for i, part in enumerate(parts if self.check_nan else ()):
            array = part.array if isinstance(part, Tensor) else part
            if isinstance(array, (np.ndarray, np.generic)) and np.isnan(array).any():
                self.warn(node)
                raise RuntimeError(f"Function '{node.name()}' returned nan values in its {i}th output.")
        return parts

    def warn(self, node: Node) -> None:
        """Show the forward call of a node, and of the nodes whose backward recorded it."""
        found = self.traces.get(node)
        message = f"Error detected in {node.name()}. "
        if found is None:
            message += (
                "No forward pass information available. Enable detect anomaly during forward pass for more information."
            )
        else:
            message += f"Traceback of forward call that caused the error:\n{found}"
        warnings.warn(message, UserWarning, stacklevel=5)
        parent = self.parents.get(node)
        while parent is not None:
            warnings.warn(
                f"\n\nPrevious calculation was induced by {parent.name()}. Traceback of forward call that induced the "
                f"previous calculation:\n{self.traces.get(parent, 'No forward pass information available.')}",
                UserWarning,
                stacklevel=5,
            )
            parent = self.parents.get(parent)


anomaly = _Anomaly()


class set_detect_anomaly:  # noqa: N801 - PyTorch's name
    """Turn the mode on or off at once; as a context manager also restore it on exit.

    Args:
        mode: whether backward is watched.
        check_nan: whether a nan is an error.
    """

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self._before = (anomaly.enabled, anomaly.check_nan)
        anomaly.set(mode, check_nan)

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        anomaly.set(*self._before)


class detect_anomaly:  # noqa: N801 - PyTorch's name
    """Turn the mode on inside the block.

    >>> import reference_impl as torch
    >>> x = torch.tensor([0.0], requires_grad=True)
    >>> import warnings; warnings.simplefilter("ignore")
    >>> with torch.autograd.detect_anomaly():
    ...     (x.sqrt() * 0).sum().backward()
    Traceback (most recent call last):
    ...
    RuntimeError: Function 'SqrtBackward0' returned nan values in its 0th output.
    """

    def __init__(self, check_nan: bool = True) -> None:
        self._check_nan = check_nan
        self._before: list[tuple[bool, bool]] = []
        warnings.warn(
            "Anomaly Detection has been enabled. This mode will increase the runtime and should only be enabled for "
            "debugging.",
            UserWarning,
            stacklevel=2,
        )

    def __enter__(self) -> None:
        self._before.append((anomaly.enabled, anomaly.check_nan))
        anomaly.set(True, self._check_nan)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        anomaly.set(*self._before.pop())


def is_anomaly_enabled() -> bool:
    """Tell whether backward is watched."""
    return anomaly.enabled


def is_anomaly_check_nan_enabled() -> bool:
    """Tell whether a nan is an error in anomaly mode."""
    return anomaly.check_nan
