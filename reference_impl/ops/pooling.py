"""The largest element with the first of ties in the lead, as pooling wants it."""

from __future__ import annotations

from typing import Any

import numpy as np

from reference_impl.ops.elementwise import eq, logical_and, logical_not, logical_or, where
from reference_impl.ops.indexing import getitem
from reference_impl.ops.movement import stack, unsqueeze
from reference_impl.primitives import REDUCTION, primitive

__all__ = ["first_largest", "largest_position"]


def largest_position(x: Any) -> Any:
    """Return where the first of the largest elements of an array stands along the last dimension; of nan, the last."""
    missing = np.isnan(x)
    last = x.shape[-1] - 1 - missing[..., ::-1].argmax(axis=-1)
    return np.where(missing.any(axis=-1), last, x.argmax(axis=-1))


def _to_first(ct: Any, x: Any, y: Any) -> Any:
    """Give the cotangent to the first of the elements equal to the largest; to the last nan, if there is one."""
    hits = eq(x, unsqueeze(y, dim=-1))
    raw = getattr(x, "array", x)
    missing = np.isnan(raw) if isinstance(raw, np.ndarray) else np.zeros(1, bool)
    if missing.any():
        hits = logical_or(hits, missing & (np.arange(raw.shape[-1]) == largest_position(raw)[..., None]))
    parts, taken = [], None
    for k in range(x.shape[-1]):
        hit = getitem(hits, index=(..., k))
        first = hit if taken is None else logical_and(hit, logical_not(taken))
        taken = hit if taken is None else logical_or(taken, hit)
        parts.append(where(first, ct, 0.0))
    return stack(*parts, dim=-1)


@primitive(REDUCTION, vjps=[_to_first], kinks="ties: the first takes all; of nan, the last")
def first_largest(x: Any) -> Any:
    """The largest element along the last dimension, nan if there is one."""
    return x.max(axis=-1)
