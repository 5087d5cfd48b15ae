"""`torch.autograd.grad_mode`: the modes by the name of PyTorch's module."""

from __future__ import annotations

from reference_impl.inference import inference_mode
from reference_impl.modes import enable_grad, no_grad, set_grad_enabled, set_multithreading_enabled

__all__ = ["enable_grad", "inference_mode", "no_grad", "set_grad_enabled", "set_multithreading_enabled"]
