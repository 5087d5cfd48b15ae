"""Nodes whose rules do not see what the op saw: float16 values are widened, packed values are unpacked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from reference_impl.engine import FREED, as_tensors, refused
from reference_impl.primitives import PRIMITIVES, apply, unbroadcast
from reference_impl.tensor import JointNode, Node, Tensor

__all__ = ["IndirectNode", "Packed"]

_F2, _F4 = np.dtype(np.float16), np.dtype(np.float32)


class Packed:
    """A saved value as a pack hook left it."""

    __slots__ = ("unpack", "value")

    def __init__(self, value: Any, unpack: Callable[[Any], Any]) -> None:
        self.value = value
        self.unpack = unpack

    def array(self) -> Any:
        """Return the array of the tensor that the unpack hook makes of it.

        Raises:
            TypeError: the hook returned something else.
        """
        found = self.unpack(self.value)
        if not isinstance(found, Tensor):
            raise TypeError(
                f"Output of saved tensor unpack_hook expected to be a Tensor but got result of type {type(found).__name__}"
            )
        return found.array


class IndirectNode(JointNode):
    """An application of a primitive, made from its ordinary node.

    A float16 op computes in float32 and rounds once, and so do its rules: cotangents and saved values are widened, the
    results rounded. With `saved_tensors_hooks` the saved values are `Packed`.
    """

    __slots__ = ("kept",)

    def __init__(self, node: Node) -> None:
        super().__init__(node.primitive, node.edges, None, node.versions, node.shapes, node.frees)
        self.kept = node.saved

    @property
    def values(self) -> tuple[tuple[Any, ...], ...] | None:
        """What was saved; None once freed."""
        return self.kept

    @values.setter
    def values(self, saved: tuple[tuple[Any, ...], ...]) -> None:
        self.kept = saved

    def free(self) -> None:
        """Drop the saved values."""
        if self.frees:
            self.kept = None

    def pull_back(self, ct: Any, create_graph: bool) -> Sequence[Any]:
        """Run the rules, each on the values that stand in for what it names.

        Raises:
            RuntimeError: the graph was freed, or a saved value was overwritten.
        """
        if ct is None:
            return [None] * len(self.edges)
        if self.kept is None:
            raise RuntimeError(FREED)
        for storage, version in self.versions:
            if storage.version != version:
                raise refused(self, self.kept, storage, version)
        saved = tuple(tuple(v.array() if isinstance(v, Packed) else v for v in values) for values in self.kept)
        if create_graph:
            saved = as_tensors(self, saved)
        p = self.primitive
        half = _dtype(ct) is _F2 and p.name != "to"
        parts: list[Any] = []
        for i, (end, values) in enumerate(zip(self.edges, saved, strict=True)):
            if end is None:
                parts.append(None)
                continue
            if half:
                values = tuple(_cast(v, _F2, _F4) for v in values)
            part = p.rule(i).function(_cast(ct, _F2, _F4) if half else ct, *values)
            if self.shapes is not None:
                part = unbroadcast(part, self.shapes[i])
            parts.append(_cast(part, _F4, _F2) if half else part)
        return parts


def _dtype(x: Any) -> Any:
    return getattr(x.array if isinstance(x, Tensor) else x, "dtype", None)


def _cast(x: Any, before: Any, after: Any) -> Any:
    """Return a tensor or an array in the second type if it is of the first, anything else as it is."""
    if _dtype(x) != before:
        return x
    return apply(PRIMITIVES["to"], x, dtype=after) if isinstance(x, Tensor) else x.astype(after)
