"""What PyTorch's tape keeps of one call: nodes and bytes saved. Imports nothing of Adjudge's, as `harness.counting`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

__all__ = ["count_tape"]


def count_tape(thunk: Callable[[], Any]) -> dict[str, int]:
    """Nodes that lie below the first result of a thunk, leaves not counted, and bytes of the storages that they save."""
    saved: dict[int, Any] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        saved[storage.data_ptr()] = storage  # held, so that no address is used twice
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        result = thunk()
    first = result[0] if isinstance(result, tuple | list) else result
    return {"tape_nodes": _nodes(first.grad_fn), "saved_bytes": sum(s.nbytes() for s in saved.values())}


def _nodes(start: Any) -> int:
    seen: set[Any] = set()
    stack = [start] if start is not None else []
    while stack:
        node = stack.pop()
        if node in seen or node.name().endswith("AccumulateGrad"):
            continue
        seen.add(node)
        stack += [below for below, _ in node.next_functions if below is not None]
    return len(seen)
