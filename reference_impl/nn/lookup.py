"""Rows of a table by number."""

from __future__ import annotations

from typing import Any

import numpy as np

from reference_impl.modes import no_grad
from reference_impl.ops.elementwise import where
from reference_impl.ops.indexing import index_select
from reference_impl.ops.movement import reshape
from reference_impl.tensor import Tensor, rename

__all__ = ["embedding", "one_hot"]


def _integers(name: str, x: Any) -> Any:
    array = np.asarray(x.array if isinstance(x, Tensor) else x)
    if array.dtype.kind not in "iu" and array.size:
        raise RuntimeError(f"{name}: expected an index tensor of integers, got {array.dtype}")
    return array.astype(np.int64)


def embedding(
    input: Any,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """The rows of weight (rows, features) at the integers of the input; the row `padding_idx` gets no gradient.

    Args:
        max_norm: rows that are read and longer than this are shortened first, in place and unrecorded.
        norm_type: of which norm.
        scale_grad_by_freq: the gradient of a row is divided by how often it was read.

    Raises:
        IndexError: an integer is out of range.
        NotImplementedError: `sparse`, which the tape has not.
    """
    if sparse:
        raise NotImplementedError("embedding(sparse=True): the tape has dense gradients")
    places = _integers("embedding", input)
    if weight.array.ndim != 2:
        raise RuntimeError("'weight' must be 2-D")
    n = weight.array.shape[0]
    if places.size and not (places.min() >= 0 and places.max() < n):
        raise IndexError(f"index out of range in self: {places.min()} to {places.max()} in a table of {n} rows")
    read, counts = np.unique(places, return_counts=True)
    if max_norm is not None:
        _shorten(weight, read, max_norm, norm_type)
    rows = index_select(weight, dim=0, index=places.reshape(-1))
    if scale_grad_by_freq and places.size:
        often = counts[np.searchsorted(read, places.reshape(-1))].astype(weight.array.dtype)[:, None]
        rows = rows.detach() + (rows - rows.detach()) / Tensor(often)
    if padding_idx is not None:
        if not -n <= padding_idx < n:
            raise AssertionError(f"padding_idx must be within num_embeddings, got {padding_idx} of {n}")
        padded = Tensor(places.reshape(-1, 1) == padding_idx % n)
        rows = where(padded, rows.detach(), rows)
    out: Tensor = reshape(rows, shape=(*places.shape, weight.array.shape[1]))
    rename(out._node, "EmbeddingBackward0")
    return out


def _shorten(weight: Tensor, read: Any, longest: float, p: float) -> None:
    sizes = np.linalg.norm(weight.array[read], ord=p, axis=1, keepdims=True)
    factors = np.where(sizes > longest, longest / (sizes + 1e-7), 1.0).astype(weight.array.dtype)
    with no_grad():
        weight[Tensor(read)] = Tensor(weight.array[read] * factors)


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """Integers as rows that are 1 at that place and 0 elsewhere; as many classes as the largest asks for, or given.

    Raises:
        RuntimeError: a class is negative or not below `num_classes`.
    """
    classes = _integers("one_hot", tensor)
    if classes.size and classes.min() < 0:
        raise RuntimeError("Class values must be non-negative.")
    if num_classes == -1:
        if not classes.size:
            raise RuntimeError("Can not infer total number of classes from empty tensor.")
        num_classes = int(classes.max()) + 1
    if classes.size and classes.max() >= num_classes:
        raise RuntimeError("Class values must be smaller than num_classes.")
    return Tensor((classes[..., None] == np.arange(num_classes)).astype(np.int64))
