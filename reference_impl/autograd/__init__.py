"""`torch.autograd`: `backward` and `grad`, which are the two ways into the engine, and what builds on them."""

from __future__ import annotations

from reference_impl.anomaly import detect_anomaly, set_detect_anomaly
from reference_impl.autograd import forward_ad, function, functional, grad_mode, graph
from reference_impl.autograd.function import Function
from reference_impl.autograd.gradcheck import gradcheck, gradgradcheck
from reference_impl.autograd.variable import Variable
from reference_impl.engine import backward, grad
from reference_impl.inference import inference_mode
from reference_impl.modes import (
    enable_grad,
    is_multithreading_enabled,
    no_grad,
    set_grad_enabled,
    set_multithreading_enabled,
)
from reference_impl.uncovered import teller_of

__all__ = [
    "Function",
    "Variable",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "forward_ad",
    "function",
    "functional",
    "grad",
    "grad_mode",
    "gradcheck",
    "gradgradcheck",
    "graph",
    "inference_mode",
    "is_multithreading_enabled",
    "no_grad",
    "set_detect_anomaly",
    "set_grad_enabled",
    "set_multithreading_enabled",
]

__getattr__ = teller_of(__name__)
