"""`torch.linalg`: norms and products."""

from __future__ import annotations

from reference_impl import products
from reference_impl.functions import matmul, norm, vector_norm
from reference_impl.products import multi_dot, vecdot
from reference_impl.tensor import Tensor

__all__ = ["cross", "matmul", "multi_dot", "norm", "vecdot", "vector_norm"]


def cross(input: Tensor, other: Tensor, *, dim: int = -1) -> Tensor:
    """The cross product of vectors of three elements along `dim`."""
    return products.cross(input, other, dim)
