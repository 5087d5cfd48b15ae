"""Attention."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from reference_impl import functions as F
from reference_impl.nn.noise import dropout
from reference_impl.tensor import Tensor

__all__ = ["scaled_dot_product_attention"]


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """softmax(query key^T scale + mask) value over the last two dimensions; scale is 1 / sqrt(features) by default.

    Args:
        attn_mask: bool, true where a key takes part, or floats to add; broadcasts to (..., queries, keys). A query that no
            key takes part in gets zeros.
        is_causal: key j takes part for the queries from j on.
        enable_gqa: several heads of the query share a head of key and value.

    Raises:
        RuntimeError: both a mask and `is_causal`.
    """
    if is_causal and attn_mask is not None:
        raise RuntimeError("_scaled_dot_product_attention: Explicit attn_mask should not be set when is_causal=True")
    if enable_gqa:
        times = query.array.shape[-3] // key.array.shape[-3]
        key, value = (_repeated(x, times) for x in (key, value))
    factor = 1 / math.sqrt(query.array.shape[-1]) if scale is None else scale
    # The root of the scale on either side, as PyTorch does, keeps large products in range.
    root = math.sqrt(abs(factor))
    left = F.mul(query, math.copysign(root, factor))
    scores = F.matmul(left, F.transpose(F.mul(key, root), dim0=-2, dim1=-1))
    if is_causal:
        attn_mask = Tensor(np.tri(*scores.shape[-2:], dtype=bool))
    weights = _masked_softmax(scores, attn_mask)
    if dropout_p:
        weights = dropout(weights, dropout_p)
    out: Tensor = F.matmul(weights, value)
    return out


def _masked_softmax(scores: Any, mask: Any) -> Tensor:
    if mask is None:
        return F.softmax(scores, -1)
    if mask.array.dtype.kind != "b":
        return F.softmax(F.add(scores, mask), -1)
    # A query without keys would be 0 / 0.
    some = mask.array.any(axis=-1, keepdims=True)
    weights = F.softmax(F.where(Tensor(mask.array | ~some), scores, -math.inf), -1)
    return weights if some.all() else F.where(Tensor(some), weights, 0.0)


def _repeated(x: Tensor, times: int) -> Tensor:
    *lead, heads, n, m = x.shape
    wide = F.expand(F.reshape(x, (*lead, heads, 1, n, m)), (*lead, heads, times, n, m))
    return F.reshape(wide, (*lead, heads * times, n, m))
