"""`torch.autograd`: `backward` and `grad`, which are the two ways into the engine."""

from __future__ import annotations

from reference_impl.engine import backward, grad
from reference_impl.modes import enable_grad, no_grad, set_grad_enabled

__all__ = ["backward", "enable_grad", "grad", "no_grad", "set_grad_enabled"]
