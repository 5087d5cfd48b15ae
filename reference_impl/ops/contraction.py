"""Products that sum: dot, outer, matmul. Their rules are contractions again."""

from __future__ import annotations

from typing import Any

import numpy as np

from reference_impl.ops.movement import reshape, transpose
from reference_impl.primitives import CONTRACTION, primitive, unbroadcast
from reference_impl.tensor import Node

__all__ = ["dot", "matmul", "outer"]


def _check_dtypes(name: str, a: Any, b: Any) -> None:
    if a.dtype != b.dtype:
        raise RuntimeError(f"{name}: expected both tensors to have same dtype, but got {a.dtype} and {b.dtype}")


@primitive(CONTRACTION, vjps=[lambda ct, b: ct * b, lambda ct, a: ct * a])
def dot(a: Any, b: Any) -> Any:
    """The inner product of two vectors of one length."""
    if a.ndim != 1 or b.ndim != 1:
        raise RuntimeError(f"1D tensors expected, but got {a.ndim}D and {b.ndim}D tensors")
    if a.dtype != b.dtype:
        raise RuntimeError(f"dot : expected both vectors to have same dtype, but found {a.dtype} and {b.dtype}")
    if a.shape != b.shape:
        raise RuntimeError(
            "inconsistent tensor size, expected tensor and src to have the same number of elements, but got "
            f"{a.shape[0]} and {b.shape[0]} elements respectively"
        )
    return np.dot(a, b)


@primitive(CONTRACTION, vjps=[lambda ct, b: matmul(ct, b), lambda ct, a: matmul(a, ct)])
def outer(a: Any, b: Any) -> Any:
    """The matrix a_i b_j of two vectors."""
    if a.ndim != 1 or b.ndim != 1:
        raise RuntimeError(f"outer: Expected 1-D argument vec2, but got {a.ndim}-D and {b.ndim}-D")
    return np.multiply.outer(a, b)


def _as_matrix(ct: Any, a_ndim: int, b_ndim: int) -> Any:
    """Put back the dimension that matmul drops for a vector operand."""
    shape = tuple(ct.shape)
    if b_ndim == 1:
        shape = (*shape, 1)
    if a_ndim == 1:
        shape = (*shape[:-1], 1, shape[-1])
    return reshape(ct, shape=shape)


def _row(a: Any) -> Any:
    return reshape(a, shape=(1, *a.shape)) if a.ndim == 1 else a


def _column(b: Any) -> Any:
    return reshape(b, shape=(*b.shape, 1)) if b.ndim == 1 else b


def _transposed(x: Any) -> Any:
    return transpose(x, dim0=-2, dim1=-1)


def _left(ct: Any, a_shape: tuple[int, ...], b: Any) -> Any:
    if len(a_shape) == b.ndim == 2:
        return matmul(ct, _transposed(b))
    part = matmul(_as_matrix(ct, len(a_shape), b.ndim), _transposed(_column(b)))
    shape = (1, *a_shape) if len(a_shape) == 1 else a_shape
    return reshape(unbroadcast(part, shape), shape=a_shape)


def _right(ct: Any, a: Any, b_shape: tuple[int, ...]) -> Any:
    if a.ndim == len(b_shape) == 2:
        return matmul(_transposed(a), ct)
    part = matmul(_transposed(_row(a)), _as_matrix(ct, a.ndim, len(b_shape)))
    shape = (*b_shape, 1) if len(b_shape) == 1 else b_shape
    return reshape(unbroadcast(part, shape), shape=b_shape)


def _name(node: Node) -> str:
    """Return PyTorch's name of a product, which has one for each kind of operands."""
    for saved in node.values or ():
        if saved:
            ranks = tuple(
                len(s) if isinstance(s, tuple) else getattr(s, "ndim", 2) for s in saved
            )  # a packed one tells none
            return _NAMES.get(ranks, "UnsafeViewBackward0" if min(ranks) > 1 else "SqueezeBackward1")
    return "MmBackward0"


_NAMES: dict[tuple[int, ...], str] = {(2, 2): "MmBackward0", (2, 1): "MvBackward0", (1, 1): "DotBackward0"}


@primitive(CONTRACTION, vjps=[_left, _right], node_name=_name)
def matmul(a: Any, b: Any) -> Any:
    """The matrix product over the last dimension of a and the last but one of b; leading dimensions broadcast.

    A vector operand counts as a row on the left and as a column on the right, and its extra dimension is dropped.
    """
    if a.ndim == 0 or b.ndim == 0:
        raise RuntimeError(f"both arguments to matmul need to be at least 1D, but they are {a.ndim}D and {b.ndim}D")
    _check_dtypes("matmul", a, b)
    if a.shape[-1] != b.shape[-2 if b.ndim > 1 else -1]:
        if (a.ndim, b.ndim) == (2, 1):
            raise RuntimeError(
                f"size mismatch, got input ({a.shape[0]}), mat ({a.shape[0]}x{a.shape[1]}), vec ({b.shape[0]})"
            )
        raise RuntimeError(
            f"mat1 and mat2 shapes cannot be multiplied ({'x'.join(map(str, a.shape))} and {'x'.join(map(str, b.shape))})"
        )
    return a.dot(b) if a.ndim <= 2 and b.ndim <= 2 else np.matmul(a, b)  # the same sums; `dot` starts twice as fast
