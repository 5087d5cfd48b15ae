"""How far solving, inverting and factorising may round: backward-error bounds, carried over by the certified inverse.

Elimination with partial pivoting solves a system that differs by at most gamma_3n |L| |U| from the given one (Higham,
Accuracy and Stability of Numerical Algorithms, 2nd ed., theorem 9.4), where the entries of |L| |U| are at most
(2^n - 1) max|A| for small n (section 9.4; for larger n the growth that is met in practice is far less, and n^2 stands for
it). Cholesky's factor is that of a matrix within gamma_(n+1) sqrt(a_ii a_jj) (theorem 10.3), substitution solves a
triangle within gamma_n |T| (theorem 8.5). A is not known to the kernel but its inverse is to us, in balls.

The sums are floats that were rounded up; a margin of 1 % covers their own rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from flint import arb
from numpy.typing import NDArray

from harness.floats import DTYPES, about
from harness.kernels import gamma
from harness.oracles.balls import BallArray, filled
from harness.oracles.enclosures import ENCLOSURES

__all__ = ["FORMULAE"]

Floats = NDArray[np.float64]
Formula = Callable[[tuple[Any, ...], Mapping[str, Any], BallArray, float, Callable[[str], float]], Any]

_UNKNOWN = arb("nan")
_MARGIN = 1.01


def _info(u: float) -> Any:
    return about(next(name for name in DTYPES if u == about(name).eps / 2))


def _spread(radii: Floats) -> Any:
    """Balls around 0 with these radii; unbounded where a radius is."""
    values = (radii * _MARGIN).ravel().tolist()
    return filled(radii.shape, [arb(0, r) if math.isfinite(r) else _UNKNOWN for r in values])


def _sizes(x: Any) -> Floats:
    balls = x if type(x) is BallArray else BallArray.from_floats(x)
    sizes: Floats = balls.upper_abs()
    return sizes


def _growth(n: int) -> float:
    return 2.0**n - 1 if n <= 6 else float(n * n)


def _backward(a: Floats, n: int, steps: float, u: float) -> Floats:
    """How far each entry of the matrix that elimination really solves may lie off, one figure a matrix."""
    info = _info(u)
    largest = np.asarray(a.max(axis=(-1, -2), initial=0.0))
    with np.errstate(all="ignore"):
        top = largest * _growth(n)
        # Where the factors may leave the range nothing is known.
        off: Floats = np.where(top < float(info.max), gamma(steps, u) * top + 4 * n * float(info.tiny), np.inf)
    return off


def _limited(size: Floats, limit: float) -> Floats:
    """The factor by which a first-order bound falls short; unbounded where it does not converge."""
    with np.errstate(all="ignore"):
        factor: Floats = np.where(size < limit, 1 / (1 - size), np.inf)
    return factor


def _solve(args: tuple[Any, ...], params: Mapping[str, Any], result: BallArray, u: float, k: Any) -> Any:
    a, n = args[0], args[0].shape[-1]
    if not result.size:
        return _spread(np.zeros(result.shape))
    inverse = _sizes(ENCLOSURES["matrix_inverse"](_as_balls(a)))
    off = _backward(_sizes(a), n, 3 * n, u)[..., None, None]
    rows = inverse.sum(axis=-1, keepdims=True)
    with np.errstate(all="ignore"):
        more = _limited(off * rows.sum(axis=-2, keepdims=True), 0.5)
        x = _sizes(result).sum(axis=-2, keepdims=True)
        radii = off * rows * x * more + rows * (4 * n * _info(u).tiny) + 0 * _sizes(result)
    return _spread(_known(radii))


def _as_balls(x: Any) -> BallArray:
    return x if type(x) is BallArray else BallArray.from_floats(x)


def _known(radii: Floats) -> Floats:
    return np.where(np.isnan(radii), np.inf, radii)


def _inverse(args: tuple[Any, ...], params: Mapping[str, Any], result: BallArray, u: float, k: Any) -> Any:
    n = result.shape[-1]
    off = _backward(_sizes(args[0]), n, 6 * n, u)[..., None, None]
    x = _sizes(result)
    with np.errstate(all="ignore"):
        rows, columns = x.sum(axis=-1, keepdims=True), x.sum(axis=-2, keepdims=True)
        radii = off * rows * columns * _limited(off * rows.sum(axis=-2, keepdims=True), 0.5)
    return _spread(_known(radii))


def _determinant_radii(x: Any, u: float) -> Floats:
    sizes = _sizes(x)
    n = sizes.shape[-1]
    info = _info(u)
    off = _backward(sizes, n, n, u)[..., None]
    with np.errstate(all="ignore"):
        rows = sizes.sum(axis=-1) + n * off
        # Changing each entry by `off` changes the sum over permutations by at most this: one factor at a time.
        others = np.stack([np.delete(rows, i, axis=-1).prod(axis=-1) for i in range(n)], axis=-1) if n else rows
        radii = (n * off * others).sum(axis=-1) + gamma(n + 2, u) * rows.prod(axis=-1)
        peak = np.maximum(rows, 1.0).prod(axis=-1) * 2.0**n
        radii = np.where(peak < float(info.max), radii + n * float(info.tiny) * peak, np.inf)
    return _known(radii)


def _determinant(args: tuple[Any, ...], params: Mapping[str, Any], result: BallArray, u: float, k: Any) -> Any:
    return _spread(_determinant_radii(args[0], u))


def _log_determinant(args: tuple[Any, ...], params: Mapping[str, Any], result: BallArray, u: float, k: Any) -> Any:
    x = _as_balls(args[0])
    n = x.shape[-1]
    cells = ENCLOSURES["determinant"](x).cells.ravel().tolist()
    least = np.array([float(c.abs_lower()) for c in cells], np.float64).reshape(result.shape)
    with np.errstate(all="ignore"):
        relative = _determinant_radii(x, u) / least
        top = np.log(_sizes(x).max(axis=(-1, -2), initial=0.0) * 2.0**n)  # no pivot is larger
        deepest = np.abs(np.log(least) - (n - 1) * top)  # and none smaller
        sums = n * np.maximum(np.abs(top), deepest)
        radii = relative * _limited(2 * relative, 1.0) + (k("log") + n + 1) * u * sums
    return _spread(_known(radii))


def _cholesky(args: tuple[Any, ...], params: Mapping[str, Any], result: BallArray, u: float, k: Any) -> Any:
    n = result.shape[-1]
    eye = BallArray.from_floats(np.broadcast_to(np.eye(n), result.shape))
    inverse = _sizes(ENCLOSURES["triangular_solve"](result, eye, upper=False))
    low = np.tril(_sizes(result))
    with np.errstate(all="ignore"):
        roots = np.sqrt(np.einsum("...ii->...i", _sizes(args[0])))[..., None]
        v = inverse @ roots
        g = gamma(n + 2, u)
        size = g * (v * v).sum(axis=(-1, -2), keepdims=True)
        inner = np.tril(g * v * np.swapaxes(v, -1, -2))
        radii = np.tril(2 * (low @ inner) * _limited(4 * size, 1.0)) + 4 * n * _info(u).tiny
    return _spread(_known(radii))


def _substitution(args: tuple[Any, ...], params: Mapping[str, Any], result: BallArray, u: float, k: Any) -> Any:
    n, upper = result.shape[-2], params["upper"]
    if not result.size:
        return _spread(np.zeros(result.shape))
    a = _as_balls(args[0])
    eye = BallArray.from_floats(np.broadcast_to(np.eye(n), a.shape))
    inverse = _sizes(ENCLOSURES["triangular_solve"](a, eye, upper=upper))
    triangle = np.triu(_sizes(a)) if upper else np.tril(_sizes(a))
    g = gamma(2 * n + 2, u)
    with np.errstate(all="ignore"):
        condition = inverse @ triangle
        more = _limited(g * condition.sum(axis=(-1, -2), keepdims=True), 0.5)
        tiny = inverse.sum(axis=-1, keepdims=True) * (4 * n * _info(u).tiny)
        radii = g * (condition @ _sizes(result)) * more + tiny
    return _spread(_known(radii))


FORMULAE: dict[str, Formula] = {
    "matrix_solve": _solve,
    "matrix_inverse": _inverse,
    "determinant": _determinant,
    "log_abs_determinant": _log_determinant,
    "cholesky_factor": _cholesky,
    "triangular_solve": _substitution,
}
