"""`torch.utils`: checkpoints, which compute again in backward what forward did not keep."""

from __future__ import annotations

from reference_impl.uncovered import teller_of
from reference_impl.utils import checkpoint

__all__ = ["checkpoint"]

__getattr__ = teller_of(__name__)
