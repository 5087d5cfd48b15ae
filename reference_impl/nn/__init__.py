"""`torch.nn`: the functional form."""

from __future__ import annotations

from reference_impl.nn import functional

__all__ = ["functional"]
