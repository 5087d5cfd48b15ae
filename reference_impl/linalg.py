"""`torch.linalg`: norms."""

from __future__ import annotations

from reference_impl.functions import norm, vector_norm

__all__ = ["norm", "vector_norm"]
