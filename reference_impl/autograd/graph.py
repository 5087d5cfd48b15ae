"""`torch.autograd.graph`: nodes, and hooks of what they save."""

from __future__ import annotations

from reference_impl.saving import disable_saved_tensors_hooks, save_on_cpu, saved_tensors_hooks
from reference_impl.tensor import Node, Tensor

__all__ = ["Node", "disable_saved_tensors_hooks", "increment_version", "save_on_cpu", "saved_tensors_hooks"]


def increment_version(tensor: Tensor | list[Tensor] | tuple[Tensor, ...]) -> None:
    """Count a write that the tape could not see, to memory that is shared with others."""
    for x in (tensor,) if isinstance(tensor, Tensor) else tensor:
        x.storage.version += 1
