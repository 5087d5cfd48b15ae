"""`torch.special`: special functions under the names that PyTorch gives them there.

>>> import reference_impl as torch
>>> torch.special.expm1(torch.zeros(2))
tensor([0., 0.])
"""

from __future__ import annotations

from reference_impl.assembled import mvlgamma as multigammaln
from reference_impl.functions import (
    digamma,
    erf,
    erfc,
    erfinv,
    exp2,
    expm1,
    i0,
    log1p,
    log_softmax,
    logit,
    logsumexp,
    polygamma,
    round,
    sigmoid,
    sinc,
    softmax,
    xlogy,
)
from reference_impl.ops.special import entr, erfcx, i0e, i1, i1e, lgamma, log_ndtr, ndtr, xlog1py

expit, gammaln, psi = sigmoid, lgamma, digamma

__all__ = [
    "digamma",
    "entr",
    "erf",
    "erfc",
    "erfcx",
    "erfinv",
    "exp2",
    "expit",
    "expm1",
    "gammaln",
    "i0",
    "i0e",
    "i1",
    "i1e",
    "log1p",
    "log_ndtr",
    "log_softmax",
    "logit",
    "logsumexp",
    "multigammaln",
    "ndtr",
    "polygamma",
    "psi",
    "round",
    "sinc",
    "softmax",
    "xlog1py",
    "xlogy",
]
