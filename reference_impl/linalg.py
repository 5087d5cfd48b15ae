"""`torch.linalg`: norms, products, solving, inverting and factorising.

>>> import reference_impl as torch
>>> a = torch.tensor([[2.0, 0.0], [1.0, 4.0]])
>>> torch.linalg.solve(a, torch.tensor([2.0, 9.0]))
tensor([1., 2.])
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from reference_impl import functions, products, return_types
from reference_impl.assembled import powers_of
from reference_impl.functions import matmul, vector_norm
from reference_impl.functions import norm as _vector_like_norm
from reference_impl.keywords import add_keywords
from reference_impl.ops import linear_algebra as ops
from reference_impl.ops.linear_algebra import LinAlgError
from reference_impl.ops.movement import reshape, squeeze, transpose, unsqueeze
from reference_impl.products import multi_dot, vecdot
from reference_impl.tensor import Tensor
from reference_impl.uncovered import teller_of

__all__ = [
    "LinAlgError",
    "cholesky",
    "cross",
    "det",
    "diagonal",
    "inv",
    "matmul",
    "matrix_norm",
    "matrix_power",
    "multi_dot",
    "norm",
    "slogdet",
    "solve",
    "solve_triangular",
    "tensorinv",
    "tensorsolve",
    "vander",
    "vecdot",
    "vector_norm",
]


def cross(input: Tensor, other: Tensor, *, dim: int = -1) -> Tensor:
    """The cross product of vectors of three elements along `dim`."""
    return products.cross(input, other, dim)


def diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """The diagonals of a batch of matrices, as a view."""
    return functions.diagonal(A, offset, dim1, dim2)


def tensorsolve(A: Tensor, B: Tensor, dims: Sequence[int] | None = None) -> Tensor:
    """The X with tensordot(A, X, X.ndim) = B.

    Args:
        dims: dimensions of A that are moved to its end first.

    Raises:
        RuntimeError: the shapes do not fit.
        LinAlgError: A is singular.
    """
    rank = A.array.ndim
    if dims is not None:
        last = [d % rank for d in dims]
        A = functions.permute(A, [*(d for d in range(rank) if d not in last), *last])
    shape = tuple(A.array.shape[B.array.ndim :])
    if math.prod(shape) != B.array.size or math.prod(A.array.shape) != B.array.size**2:
        raise RuntimeError(
            f"Expected self to satisfy the requirement prod(self.shape[other.ndim:]) == prod(self.shape[:other.ndim]), but "
            f"got {math.prod(shape)} != {math.prod(A.array.shape[: B.array.ndim])}"
        )
    x = solve(functions.reshape(A, (B.array.size, -1)), functions.reshape(B, (-1,)))
    return functions.reshape(x, shape)


def tensorinv(A: Tensor, ind: int = 2) -> Tensor:
    """The inverse of tensordot with A over its last A.ndim - ind dimensions.

    Raises:
        RuntimeError: `ind` is not positive, or the sizes before and after it differ.
        LinAlgError: A is singular.
    """
    if ind <= 0:
        raise RuntimeError("Expected a strictly positive integer for 'ind'")
    before, after = A.array.shape[:ind], A.array.shape[ind:]
    if math.prod(before) != math.prod(after):
        raise RuntimeError(
            f"Expected self to satisfy the requirement prod(self.shape[ind:]) == prod(self.shape[:ind]), but got "
            f"{math.prod(after)} != {math.prod(before)}"
        )
    return functions.reshape(inv(functions.reshape(A, (math.prod(before), -1))), (*after, *before))


def vander(x: Tensor, *, N: int | None = None) -> Tensor:
    """The rising powers of the elements of vectors, a row each.

    Args:
        x: of shape (..., n); a number counts as a vector.
        N: how many powers; n by default.

    Raises:
        RuntimeError: N is less than 2.
    """
    if not x.ndim:
        x = reshape(x, shape=(1,))
    if N is not None and N <= 1:
        raise RuntimeError("linalg.vander: N must be greater than 1.")
    return functions.stack(powers_of(x, x.shape[-1] if N is None else N), -1)


def _square(name: str, x: Tensor) -> Tensor:
    """Return x if it is a batch of square matrices of floats.

    Raises:
        RuntimeError: it is not.
    """
    if x.array.ndim < 2:
        raise RuntimeError(f"{name}: The input tensor must have at least 2 dimensions.")
    if x.array.shape[-1] != x.array.shape[-2]:
        raise RuntimeError(
            f"{name}: A must be batches of square matrices, but they are {x.array.shape[-2]} by {x.array.shape[-1]} matrices"
        )
    if x.array.dtype.kind != "f":
        raise RuntimeError(f"{name}: Expected a floating point or complex tensor as input. Got {x.array.dtype}")
    return x


def solve(A: Tensor, B: Tensor, *, left: bool = True) -> Tensor:
    """The X with A X = B, or X A = B if not `left`; B may be a vector, or a batch of as many vectors as A has matrices.

    Raises:
        LinAlgError: A is singular.
    """
    _square("linalg.solve", A)
    vector = B.array.ndim == 1 or (A.array.ndim - 1 == B.array.ndim and B.array.shape == A.array.shape[:-1])
    if vector and not left:
        raise RuntimeError("linalg.solve: Vector broadcasting of the left hand side is not supported for left=False.")
    b: Any = unsqueeze(B, dim=-1) if vector else B
    if not left:
        b = transpose(b, dim0=-1, dim1=-2)
    if b.shape[-2] != A.array.shape[-1]:
        raise RuntimeError(
            f"linalg.solve: Incompatible shapes of A and B for the equation {'AX' if left else 'XA'} = B "
            f"({A.array.shape[-2]}x{A.array.shape[-1]} and {B.array.shape[-2] if not vector else B.array.shape[-1]}x"
            f"{1 if vector else B.array.shape[-1]})"
        )
    x = ops.matrix_solve(A if left else transpose(A, dim0=-1, dim1=-2), b)
    out: Tensor = squeeze(x, dim=-1) if vector else x if left else transpose(x, dim0=-1, dim1=-2)
    return out


def inv(A: Tensor) -> Tensor:
    """The inverse of a square matrix, or of a batch of them.

    Raises:
        LinAlgError: a matrix is singular.
    """
    out: Tensor = ops.matrix_inverse(_square("linalg.inv", A))
    return out


def det(A: Tensor) -> Tensor:
    """The determinant. Where it is exactly 0 so is the gradient, as in PyTorch, though the derivative is the adjugate."""
    out: Tensor = ops.determinant(_square("linalg.det", A))
    return out


def slogdet(A: Tensor) -> return_types.SignLogabsdet:
    """The sign of the determinant, which has no gradient, and the logarithm of its magnitude."""
    _square("linalg.slogdet", A)
    sign = Tensor(np.asarray(np.linalg.slogdet(A.array)[0])) if isinstance(A.array, np.ndarray) else A.detach()
    return return_types.linalg_slogdet(sign, ops.log_abs_determinant(A))


def cholesky(A: Tensor, *, upper: bool = False) -> Tensor:
    """The lower triangular L with L L^T = A, or the upper L^T. Reads the lower triangle (with `upper`, the upper).

    Raises:
        LinAlgError: A is not positive definite.
    """
    _square("linalg.cholesky", A)
    if upper:
        out: Tensor = transpose(ops.cholesky_factor(transpose(A, dim0=-1, dim1=-2)), dim0=-1, dim1=-2)
        return out
    out = ops.cholesky_factor(A)
    return out


def solve_triangular(
    A: Tensor,
    B: Tensor,
    *,
    upper: bool,
    left: bool = True,
    unitriangular: bool = False,
) -> Tensor:
    """The X with T X = B, or X T = B if not `left`, for the upper or lower triangle T of A.

    Args:
        unitriangular: the diagonal counts as ones and gets no gradient.
    """
    _square("linalg.solve_triangular", A)
    a: Any = A
    if unitriangular:
        a = functions.where(Tensor(np.eye(A.array.shape[-1], dtype=bool)), 1.0, a)
    if left:
        out: Tensor = ops.triangular_solve(a, B, upper=upper)
        return out
    flipped = ops.triangular_solve(transpose(a, dim0=-1, dim1=-2), transpose(B, dim0=-1, dim1=-2), upper=not upper)
    out = transpose(flipped, dim0=-1, dim1=-2)
    return out


def matrix_power(A: Tensor, n: int) -> Tensor:
    """A multiplied n times by itself; a negative n takes the inverse.

    Raises:
        LinAlgError: n is negative and A singular.
    """
    _square("linalg.matrix_power", A)
    if n == 0:
        eye = Tensor(np.broadcast_to(np.eye(A.array.shape[-1], dtype=A.array.dtype), A.array.shape).copy())
        zeroth: Tensor = functions.add(functions.mul(A, 0.0), eye)
        return zeroth
    base = A if n > 0 else inv(A)
    power: Any = None
    digits = abs(n)
    if digits == 3:
        cube: Tensor = matmul(matmul(base, base), base)
        return cube
    while True:  # PyTorch's order, but for the cube: by squares, from the lowest binary digit
        if digits & 1:
            power = base if power is None else matmul(power, base)
        digits >>= 1
        if not digits:
            out: Tensor = power
            return out
        base = matmul(base, base)


def matrix_norm(A: Tensor, ord: Any = "fro", dim: Any = (-2, -1), keepdim: bool = False) -> Tensor:
    """The Frobenius norm of matrices, or the largest (ord 1, inf) or smallest (-1, -inf) sum of a column or row.

    Raises:
        NotImplementedError: an order that needs singular values.
        RuntimeError: an order that there is not.
    """
    if ord in ("fro", None):
        return vector_norm(A, 2, tuple(dim), keepdim)
    if ord in ("nuc", 2, -2):
        raise NotImplementedError(f"linalg.matrix_norm: the reference has no singular values, so no order {ord!r}")
    if ord not in (1, -1, math.inf, -math.inf):
        raise RuntimeError(f"linalg.matrix_norm: Order {ord} not supported.")
    rows, columns = (d % A.array.ndim for d in dim)
    summed, other = (rows, columns) if abs(ord) == 1 else (columns, rows)
    sums = functions.sum(functions.abs(A), summed, True)
    largest = (functions.amax if ord > 0 else functions.amin)(sums, other, True)
    shape = tuple(n for d, n in enumerate(largest.shape) if keepdim or d not in (rows, columns))
    out: Tensor = reshape(largest, shape=shape)
    return out


def norm(A: Tensor, ord: Any = None, dim: Any = None, keepdim: bool = False) -> Tensor:
    """The norm of vectors, or of matrices where `dim` names two dimensions or `ord` is given for a matrix."""
    if (isinstance(dim, (tuple, list)) and len(dim) == 2 and ord is not None) or (
        dim is None and ord is not None and A.array.ndim == 2
    ):
        return matrix_norm(A, ord, (0, 1) if dim is None else dim, keepdim)
    return _vector_like_norm(A, 2 if ord is None else ord, dim, keepdim)


add_keywords(__all__, globals())


__getattr__ = teller_of(__name__)
