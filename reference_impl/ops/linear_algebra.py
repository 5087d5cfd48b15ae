"""Solving, inverting and factorising square matrices; leading dimensions are batches.

Source of the derivatives: M. B. Giles, Collected matrix derivative results for forward and reverse mode algorithmic
differentiation (2008); of Cholesky's, I. Murray, Differentiation of the Cholesky decomposition (2016), section 3.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from reference_impl.ops.contraction import matmul
from reference_impl.ops.elementwise import eq, where, zeros_like
from reference_impl.ops.movement import transpose, tril, triu, unsqueeze
from reference_impl.primitives import CONTRACTION, primitive, unbroadcast

__all__ = [
    "LinAlgError",
    "cholesky_factor",
    "determinant",
    "log_abs_determinant",
    "matrix_inverse",
    "matrix_solve",
    "triangular_solve",
]


class LinAlgError(RuntimeError):
    """A matrix is singular or not positive definite."""


def _t(x: Any) -> Any:
    return transpose(x, dim0=-1, dim1=-2)


def _solve_left(ct: Any, y: Any, a: Any) -> Any:
    return unbroadcast(-matmul(matrix_solve(_t(a), ct), _t(y)), tuple(a.shape))


@primitive(
    CONTRACTION,
    vjps=[_solve_left, lambda ct, a, b_shape: unbroadcast(matrix_solve(_t(a), ct), b_shape)],
    domain="a is not singular",
    node_name="LinalgSolveExBackward0",
)
def matrix_solve(a: Any, b: Any) -> Any:
    """The x with a x = b, for a (..., n, n) and b (..., n, k)."""
    try:
        return np.linalg.solve(a, b)
    except np.linalg.LinAlgError:
        raise LinAlgError("torch.linalg.solve: The solver failed because the input matrix is singular.") from None


@primitive(
    CONTRACTION,
    vjps=[lambda ct, y: -matmul(matmul(_t(y), ct), _t(y))],
    domain="x is not singular",
    node_name="LinalgInvExBackward0",
)
def matrix_inverse(x: Any) -> Any:
    """The inverse of x (..., n, n)."""
    try:
        return np.linalg.inv(x)
    except np.linalg.LinAlgError:
        raise LinAlgError(
            "linalg.inv: The diagonal element is zero, the inversion could not be completed because the input matrix is "
            "singular."
        ) from None


def _wide(x: Any) -> Any:
    """A number a matrix as a matrix of one element."""
    return unsqueeze(unsqueeze(x, dim=-1), dim=-1)


def _det_vjp(ct: Any, x: Any, y: Any) -> Any:
    singular = _wide(eq(y, 0.0))
    eye = where(np.eye(x.shape[-1], dtype=bool), 1.0, zeros_like(x))
    inverse = matrix_inverse(where(singular, eye, x))
    return where(singular, 0.0, _wide(ct * y) * _t(inverse))


@primitive(CONTRACTION, vjps=[_det_vjp], kinks="determinant 0: 0, as PyTorch has it; the derivative is the adjugate")
def determinant(x: Any) -> Any:
    """The determinant of x (..., n, n)."""
    return np.linalg.det(x)


@primitive(CONTRACTION, vjps=[lambda ct, x: _wide(ct) * _t(matrix_inverse(x))], domain="x is not singular", floats=True)
def log_abs_determinant(x: Any) -> Any:
    """log(abs(det(x))) of x (..., n, n)."""
    return np.linalg.slogdet(x)[1]


def _cholesky_vjp(ct: Any, y: Any) -> Any:
    inner = tril(matmul(_t(y), ct), diagonal=0)
    inner = where(np.eye(y.shape[-1], dtype=bool), inner * 0.5, inner)
    half = triangular_solve(_t(y), inner, upper=True)
    grad = _t(triangular_solve(_t(y), _t(half), upper=True))
    return (grad + _t(grad)) * 0.5


@primitive(CONTRACTION, vjps=[_cholesky_vjp], domain="x is symmetric and positive definite")
def cholesky_factor(x: Any) -> Any:
    """The lower triangular L with L L^T = x; reads the lower triangle, yet the gradient is symmetric, as in PyTorch."""
    try:
        return np.linalg.cholesky(x)
    except np.linalg.LinAlgError:
        raise LinAlgError(
            "linalg.cholesky: The factorization could not be completed because the input is not positive-definite."
        ) from None


def _triangle(x: Any, upper: bool) -> Any:
    return triu(x, diagonal=0) if upper else tril(x, diagonal=0)


def _triangular_left(ct: Any, y: Any, a: Any, upper: bool) -> Any:
    grad = -matmul(triangular_solve(_t(a), ct, upper=not upper), _t(y))
    return _triangle(unbroadcast(grad, tuple(a.shape)), upper)


@primitive(
    CONTRACTION,
    vjps=[
        _triangular_left,
        lambda ct, a, b_shape, upper: unbroadcast(triangular_solve(_t(a), ct, upper=not upper), b_shape),
    ],
    domain="no zero on the diagonal of a",
)
def triangular_solve(a: Any, b: Any, *, upper: bool) -> Any:
    """The x with t x = b, for the upper or lower triangle t of a (..., n, n) and b (..., n, k), by substitution."""
    n = a.shape[-1]
    lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    x = np.empty((*lead, n, b.shape[-1]), b.dtype)
    for i in range(n - 1, -1, -1) if upper else range(n):
        known = slice(i + 1, n) if upper else slice(0, i)
        row = b[..., i, :] - np.matmul(a[..., i, None, known], x[..., known, :])[..., 0, :]
        x[..., i, :] = row / a[..., i, i, None]
    return x
