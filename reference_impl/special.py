"""`torch.special`: special functions under the names that PyTorch gives them there.

>>> import reference_impl as torch
>>> torch.special.expm1(torch.zeros(2))
tensor([0., 0.])
"""

from __future__ import annotations

from reference_impl.functions import erf, expm1, log1p, log_softmax, logsumexp, softmax
from reference_impl.ops.special import ndtr

__all__ = ["erf", "expm1", "log1p", "log_softmax", "logsumexp", "ndtr", "softmax"]
