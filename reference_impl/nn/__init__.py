"""`torch.nn`: the functional form, and utilities of training loops."""

from __future__ import annotations

from reference_impl.nn import functional, utils

__all__ = ["functional", "utils"]
