"""`torch.nn`: the functional form, and utilities of training loops."""

from __future__ import annotations

from reference_impl.nn import functional, utils
from reference_impl.uncovered import teller_of

__all__ = ["functional", "utils"]

__getattr__ = teller_of(__name__)
