"""`torch.autograd`: `backward` and `grad`, which are the two ways into the engine, and what builds on them."""

from __future__ import annotations

from reference_impl.autograd import function, functional
from reference_impl.autograd.function import Function
from reference_impl.engine import backward, grad
from reference_impl.modes import enable_grad, no_grad, set_grad_enabled

__all__ = ["Function", "backward", "enable_grad", "function", "functional", "grad", "no_grad", "set_grad_enabled"]
