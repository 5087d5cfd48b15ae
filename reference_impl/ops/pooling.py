"""The largest element with the first of ties in the lead, as pooling wants it."""

from __future__ import annotations

from typing import Any

from reference_impl.ops.elementwise import eq, logical_and, logical_not, logical_or, where
from reference_impl.ops.indexing import getitem
from reference_impl.ops.movement import stack, unsqueeze
from reference_impl.primitives import REDUCTION, primitive

__all__ = ["first_largest"]


def _to_first(ct: Any, x: Any, y: Any) -> Any:
    """Give the cotangent to the first of the elements equal to the largest."""
    hits = eq(x, unsqueeze(y, dim=-1))
    parts, taken = [], None
    for k in range(x.shape[-1]):
        hit = getitem(hits, index=(..., k))
        first = hit if taken is None else logical_and(hit, logical_not(taken))
        taken = hit if taken is None else logical_or(taken, hit)
        parts.append(where(first, ct, 0.0))
    return stack(*parts, dim=-1)


@primitive(REDUCTION, vjps=[_to_first], kinks="ties: the first takes all")
def first_largest(x: Any) -> Any:
    """The largest element along the last dimension, nan if there is one."""
    return x.max(axis=-1)
