"""Functions of matrices that PyTorch has at its top level, over `reference_impl.linalg`."""

from __future__ import annotations

import numpy as np

from reference_impl import functions, linalg, return_types
from reference_impl.keywords import add_keywords
from reference_impl.linalg import det, matrix_power, slogdet
from reference_impl.linalg import inv as inverse
from reference_impl.ops import linear_algebra as ops
from reference_impl.ops.indexing import getitem
from reference_impl.ops.movement import transpose
from reference_impl.tensor import Tensor

__all__ = [
    "cholesky",
    "cholesky_inverse",
    "cholesky_solve",
    "det",
    "inverse",
    "logdet",
    "matrix_power",
    "slogdet",
    "trace",
    "triangular_solve",
]


def cholesky(input: Tensor, upper: bool = False) -> Tensor:
    """The Cholesky factor; see `reference_impl.linalg.cholesky`."""
    return linalg.cholesky(input, upper=upper)


def cholesky_solve(B: Tensor, L: Tensor, upper: bool = False) -> Tensor:
    """The X with A X = B for the matrix A of which L is the Cholesky factor; the other triangle of L gets no gradient."""
    factor = transpose(L, dim0=-1, dim1=-2) if upper else L
    half = ops.triangular_solve(factor, B, upper=False)
    out: Tensor = ops.triangular_solve(transpose(factor, dim0=-1, dim1=-2), half, upper=True)
    return out


def cholesky_inverse(L: Tensor, upper: bool = False) -> Tensor:
    """The inverse of the matrix of which L is the Cholesky factor."""
    eye = np.eye(L.array.shape[-1], dtype=L.array.dtype)
    return cholesky_solve(Tensor(np.broadcast_to(eye, L.array.shape).copy()), L, upper)


def logdet(input: Tensor) -> Tensor:
    """The logarithm of the determinant; nan where it is negative."""
    sign, size = slogdet(input)
    out: Tensor = functions.where(functions.lt(sign, 0.0), float("nan"), size)
    return out


def trace(input: Tensor) -> Tensor:
    """The sum of the diagonal of a matrix.

    Raises:
        RuntimeError: the input is no matrix.
    """
    if input.array.ndim != 2:
        raise RuntimeError(f"trace: expected a matrix, but got tensor with dim {input.array.ndim}")
    places = np.arange(min(input.array.shape))
    return functions.sum(getitem(input, index=(places, places)))


def triangular_solve(
    b: Tensor,
    A: Tensor,
    upper: bool = True,
    transpose: bool = False,
    unitriangular: bool = False,
) -> return_types.SolutionAndCoefficient:
    """The X with T X = b, or T^T X = b with `transpose`, for a triangle T of A."""
    a = functions.transpose(A, dim0=-1, dim1=-2) if transpose else A
    x = linalg.solve_triangular(a, b, upper=upper != transpose, unitriangular=unitriangular)
    return return_types.triangular_solve(x, functions.clone(A))


add_keywords(__all__, globals())
