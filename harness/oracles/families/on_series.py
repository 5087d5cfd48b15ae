"""Arrays of truncated power series: directional derivatives by FLINT's own series arithmetic, with no rule of ours.

`SeriesArray.from_floats(x, d, length)` is x + d t + O(t^length), exactly; a program that runs on it through `SERIES`
returns f(x + d t), whose coefficient k is the k-th derivative along d divided by k!. The coefficients are balls.

`series_length` must be in force while series are made and used. An op with a kink decides its branch on the constant
coefficient and raises `Undecidable` where that is not certain, also where it is certain to be at the kink: the caller
then knows that the program has no derivative there by this route.

>>> with series_length(3):
...     y = SERIES["exp"](SeriesArray.from_floats(np.array(0.0), np.array(2.0)))
>>> [float(y.coefficient(k).midpoints()) for k in range(3)]
[1.0, 2.0, 2.0]
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import flint
import numpy as np
from flint import arb, arb_series
from numpy.typing import DTypeLike, NDArray

from harness.oracles.balls import BallArray, Cells, Undecidable, as_cells, compare, filled, pair, power_cell, promoted
from harness.oracles.families.on_balls import (
    ENCLOSURES,
    GENERIC,
    Dims,
    Enclosure,
    lanes,
    lanewise,
    position,
    reduction,
    restored,
    shift_of,
    total,
)

__all__ = [
    "SERIES",
    "Series",
    "SeriesArray",
    "deciding",
    "elementwise",
    "known",
    "pairwise",
    "positive",
    "product",
    "quotient",
    "series_length",
    "side_of",
    "unknown_series",
    "with_constant",
]

_ZERO = arb(0)
_NAN = arb("nan")


@contextmanager
def series_length(length: int = 2) -> Iterator[None]:
    """Keep `length` coefficients inside the block: 2 for a first derivative, 3 for a second."""
    if length < 1:
        raise ValueError(f"length: expected at least 1, got {length}")
    before = flint.ctx.cap
    flint.ctx.cap = length
    try:
        yield
    finally:
        flint.ctx.cap = before


class SeriesArray:
    """An array of truncated power series (`flint.arb_series`) that stands for an array of `dtype`."""

    __slots__ = ("cells", "dtype", "length")
    __array_ufunc__: ClassVar[None] = None
    __hash__ = object.__hash__

    multiply: ClassVar[Callable[..., Any]]
    divide: ClassVar[Callable[..., Any]]
    raise_to: ClassVar[Callable[..., Any]]
    contract: ClassVar[Callable[..., Any]]

    def __init__(self, cells: Cells, length: int, dtype: DTypeLike = np.float64) -> None:
        self.cells = cells
        self.length = length
        self.dtype = np.dtype(dtype)

    # -- making one

    @classmethod
    def from_floats(cls, values: Any, direction: Any = 0.0, *, dtype: DTypeLike | None = None) -> SeriesArray:
        """values + direction t, exactly; the direction broadcasts to the shape of the values."""
        base = BallArray.from_floats(values, dtype)
        slope = np.broadcast_to(BallArray.from_floats(direction).cells, base.shape)
        cells = [arb_series([c, d]) for c, d in zip(base.cells.ravel().tolist(), slope.ravel().tolist(), strict=True)]
        return cls(filled(base.shape, cells), flint.ctx.cap, base.dtype)

    @classmethod
    def from_coefficients(cls, coefficients: Sequence[BallArray]) -> SeriesArray:
        """The series with these coefficients, all of one shape."""
        rows = [c.cells.ravel().tolist() for c in coefficients]
        cells = [arb_series(list(parts)) for parts in zip(*rows, strict=True)]
        return cls(filled(coefficients[0].shape, cells), flint.ctx.cap, coefficients[0].dtype)

    def like(self, cells: Any, dtype: np.dtype[Any] | None = None) -> SeriesArray:
        made = SeriesArray.__new__(SeriesArray)
        made.cells = as_cells(cells)
        made.length = self.length
        made.dtype = self.dtype if dtype is None else dtype
        return made

    def lift(self, value: Any) -> SeriesArray:
        if type(value) is SeriesArray:
            return value
        balls = value if type(value) is BallArray else BallArray.lift(_LIFTER, value)
        dtype = self.dtype if not isinstance(value, np.ndarray | np.generic | BallArray) else balls.dtype
        cells = [arb_series([c]) for c in balls.cells.ravel().tolist()]
        return self.like(filled(balls.shape, cells), dtype)

    @staticmethod
    def constant(ball: arb) -> arb_series:
        return unknown_series() if ball.is_nan() else arb_series([ball])

    def merge(self, other: SeriesArray, cells: Any) -> SeriesArray:
        return self.like(cells, promoted(self.dtype, other.dtype))

    # -- reading one

    @property
    def shape(self) -> tuple[int, ...]:
        return self.cells.shape

    @property
    def ndim(self) -> int:
        return self.cells.ndim

    @property
    def size(self) -> int:
        return self.cells.size

    def coefficient(self, k: int) -> BallArray:
        """The balls of coefficient k: the value for 0, the directional derivative for 1, half the second for 2."""
        if not 0 <= k < self.length:
            raise IndexError(f"coefficient {k} of series of length {self.length}")
        return BallArray(filled(self.shape, [s[k] for s in self.cells.ravel().tolist()]), self.dtype)

    @property
    def value(self) -> BallArray:
        return self.coefficient(0)

    @property
    def tangent(self) -> BallArray:
        return self.coefficient(1)

    def __repr__(self) -> str:
        return f"SeriesArray({self.cells.tolist()}, shape={self.shape}, dtype={self.dtype})"

    # -- arithmetic

    def __add__(self, other: Any) -> Any:
        return GENERIC["add"](self, other)

    def __radd__(self, other: Any) -> Any:
        return GENERIC["add"](other, self)

    def __sub__(self, other: Any) -> Any:
        return GENERIC["sub"](self, other)

    def __rsub__(self, other: Any) -> Any:
        return GENERIC["sub"](other, self)

    def __mul__(self, other: Any) -> Any:
        return GENERIC["mul"](self, other)

    def __rmul__(self, other: Any) -> Any:
        return GENERIC["mul"](other, self)

    def __truediv__(self, other: Any) -> Any:
        return GENERIC["div"](self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return GENERIC["div"](other, self)

    def __pow__(self, other: Any) -> Any:
        return GENERIC["pow"](self, other)

    def __rpow__(self, other: Any) -> Any:
        return GENERIC["pow"](other, self)

    def __matmul__(self, other: Any) -> Any:
        return GENERIC["matmul"](self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return GENERIC["matmul"](other, self)

    def __neg__(self) -> Any:
        return GENERIC["neg"](self)

    def __eq__(self, other: object) -> Any:
        raise TypeError("== on series is ambiguous: use SERIES['eq'](a, b) for a mask, `is` for identity")

    def __bool__(self) -> bool:
        raise TypeError("a SeriesArray has no truth value")

    def __iter__(self) -> Iterator[Any]:
        raise TypeError("a SeriesArray is not iterable: use .cells")

    def __len__(self) -> int:
        raise TypeError("a SeriesArray has no len(): use .shape or .length")

    def __array__(self, *args: Any, **kwargs: Any) -> NDArray[Any]:
        raise TypeError("a SeriesArray does not convert to a NumPy array: use coefficient(k).midpoints()")


_LIFTER = BallArray(as_cells(_ZERO))


# -- the series of one cell

Series = arb_series


def unknown_series() -> Series:
    """A series of which nothing is known."""
    return arb_series([_NAN] * flint.ctx.cap)


def product(p: Series, q: Series) -> Series:
    """p q; FLINT drops zero coefficients before it multiplies, so 0 times a series that is not finite would be 0."""
    if (p.length() == 0 and not _is_finite(q)) or (q.length() == 0 and not _is_finite(p)):
        return unknown_series()
    return p * q


def _is_finite(p: Series) -> bool:
    return all(p[k].is_finite() for k in range(p.length()))


def quotient(p: Series, q: Series) -> Series:
    """p / q; not finite where q(0) may be 0, although FLINT would cancel a common power of t and so take a limit."""
    if q[0].contains(0) or not q[0].is_finite():
        return unknown_series()
    return product(p, q.inv())


def known(function: Callable[[Series], Series]) -> Callable[[Series], Series]:
    """The function, with every coefficient unknown where the first is, or where FLINT has to divide by what may be 0."""

    def cell(p: Series) -> Series:
        try:
            result = function(p)
        except ValueError as error:
            if "leading term" not in str(error):
                raise
            return unknown_series()
        return result if result[0].is_finite() else unknown_series()

    return cell


def positive(function: Callable[[Series], Series]) -> Callable[[Series], Series]:
    """The function on series whose constant is certainly positive, not finite elsewhere."""

    def cell(p: Series) -> Series:
        return function(p) if p[0] > 0 and p[0].is_finite() else unknown_series()

    return cell


def with_constant(p: Series, constant: arb) -> Series:
    """p with a tighter enclosure of the same constant."""
    coefficients = [p[k] for k in range(flint.ctx.cap)]
    coefficients[0] = constant
    return arb_series(coefficients)


_exp = known(arb_series.exp)


def _expm1(p: Series) -> Series:
    return known(lambda s: with_constant(s.exp(), s[0].expm1()))(p)


def _log1p(p: Series) -> Series:
    shifted = p + 1
    return with_constant(shifted.log(), p[0].log1p()) if shifted[0] > 0 else unknown_series()


def _reciprocal(p: Series) -> Series:
    return quotient(arb_series([1]), p)


def _sinh(p: Series) -> Series:
    e = p.exp()
    return with_constant((e - (-p).exp()) / 2, p[0].sinh())


def _cosh(p: Series) -> Series:
    return (p.exp() + (-p).exp()) / 2


def _tanh(p: Series) -> Series:
    if p[0] < 0:  # exp of a large number would cancel
        return -_tanh(-p)
    e = (-2 * p).exp()
    return with_constant((1 - e) * (1 + e).inv(), p[0].tanh())


def _sigmoid(p: Series) -> Series:
    if p[0] < 0:
        e = p.exp()
        return e * (1 + e).inv()
    return (1 + (-p).exp()).inv()


def _atan2(y: Series, x: Series) -> Series:
    constant = ENCLOSURES["atan2"](BallArray(as_cells(y[0])), BallArray(as_cells(x[0]))).cells[()]
    steep = abs(x[0].mid()) < abs(y[0].mid())
    angle = -quotient(x, y).atan() if steep else quotient(y, x).atan()
    return with_constant(angle, constant) if angle[0].is_finite() else unknown_series()


def _power(p: Series, q: Series) -> Series:
    """p ** q: an exact integer exponent takes any base, another one a positive base."""
    exponent = q[0]
    if q.length() <= 1 and exponent.is_exact() and exponent.is_integer():
        if exponent >= 0:
            return _power_of_integer(p, int(exponent.fmpz()))
        return quotient(arb_series([1]), _power_of_integer(p, -int(exponent.fmpz())))
    if not (p[0] > 0 and p[0].is_finite()):
        unknown = unknown_series()
        return with_constant(unknown, power_cell(p[0], exponent))
    if q.length() <= 1 and exponent == 0.5:
        return p.sqrt()
    return with_constant(_exp(q * p.log()), power_cell(p[0], exponent))


def _power_of_integer(p: Series, n: int) -> Series:
    result = arb_series([1])
    while n:
        if n & 1:
            result = product(result, p)
        n >>= 1
        if n:
            p = product(p, p)
    return result


def _log_sum_exp(cells: Sequence[Series], x: Any = None) -> Series:
    if not cells:
        return unknown_series()
    shift = shift_of([s[0] for s in cells])
    whole = total([_exp(s - shift) for s in cells], SeriesArray)
    return whole.log() + shift if whole[0] > 0 else unknown_series()


def _softmax_lane(cells: Sequence[Series]) -> list[Series]:
    shift = shift_of([s[0] for s in cells])
    exps = [_exp(s - shift) for s in cells]
    whole = total(exps, SeriesArray)
    return [quotient(e, whole) for e in exps]


def _log_softmax_lane(cells: Sequence[Series]) -> list[Series]:
    whole = _log_sum_exp(cells)
    return [s - whole for s in cells]


# -- kinks: the branch is decided on the constant coefficient


def side_of(name: str, p: Series, at: arb, index: tuple[int, ...]) -> int:
    """1 or -1 as the series is certainly above or below the number."""
    if p[0] > at:
        return 1
    if p[0] < at:
        return -1
    raise Undecidable(name, index, p[0])


def deciding(name: str, choose: Callable[[Series, int], Series], at: arb = _ZERO) -> Enclosure:
    """The elementwise function `choose(cell, side)` of which side of the kink the cell is on."""

    def enclosure(x: SeriesArray) -> SeriesArray:
        flat = x.cells.ravel().tolist()
        cells = [choose(p, side_of(name, p, at, position(i, x.shape))) for i, p in enumerate(flat)]
        return x.like(filled(x.shape, cells))

    return enclosure


def _clamp(x: SeriesArray, *, min: float | None = None, max: float | None = None) -> SeriesArray:
    cells = []
    for i, p in enumerate(x.cells.ravel().tolist()):
        index = position(i, x.shape)
        if min is not None and side_of("clamp", p, arb(min), index) < 0:
            p = arb_series([min if max is None or min < max else max])
        elif max is not None and side_of("clamp", p, arb(max), index) > 0:
            p = arb_series([max])
        cells.append(p)
    return x.like(filled(x.shape, cells))


def larger_of(sign: int, name: str) -> Callable[[Series, Series], Series]:
    def choose(p: Series, q: Series) -> Series:
        return p if sign * side_of(name, p - q, _ZERO, ()) > 0 else q

    return choose


def _extreme(name: str, sign: int) -> Enclosure:
    """The one cell that is certainly above (or below) every other."""

    def fold(cells: Sequence[Series], x: Any) -> Series:
        if not cells:
            raise ValueError(f"{name}: a dim of size 0 has no extreme")
        best = 0
        for i in range(1, len(cells)):
            if sign * (cells[i][0] - cells[best][0]) > 0:
                best = i
        for i, cell in enumerate(cells):
            if i != best and not sign * (cells[best][0] - cell[0]) > 0:
                raise Undecidable(name, (i,), cells[best][0] - cell[0])
        return cells[best]

    return reduction(fold)


def _comparison(name: str) -> Enclosure:
    def enclosure(a: Any, b: Any) -> Any:
        a, b = pair(a, b)
        return compare(name, a.value, b.value)

    return enclosure


def _vector_norm(
    x: SeriesArray,
    *,
    ord: float = 2.0,
    dim: Dims = None,
    keepdim: bool = False,
) -> SeriesArray:
    if math.isinf(ord):
        result: SeriesArray = SERIES["amax" if ord > 0 else "amin"](SERIES["abs"](x), dim=dim, keepdim=keepdim)
        return result
    shape, rows = lanes(x, dim)
    return restored(x, dim, shape, [_norm(cells, float(ord)) for cells in rows], keepdim)


def _norm(cells: Sequence[Series], order: float) -> Series:
    if not cells:
        return arb_series([0])
    if order == 0:
        count = sum(1 for i, p in enumerate(cells) if side_of("vector_norm", p, _ZERO, (i,)))
        return arb_series([count])
    if order == 2:
        whole = total([product(p, p) for p in cells], SeriesArray)
    else:
        whole = total([_power_of_magnitude(p, order, i) for i, p in enumerate(cells)], SeriesArray)
    if not whole[0] > 0:
        raise Undecidable("vector_norm", (), whole[0])
    return whole.sqrt() if order == 2 else _power(whole, arb_series([1 / arb(order)]))


def _power_of_magnitude(p: Series, order: float, i: int) -> Series:
    # |p|^order = O(t^order) where p(0) = 0, so no coefficient below that order is left
    if p[0] == 0 and order > flint.ctx.cap - 1:
        return arb_series([0])
    side = side_of("vector_norm", p, _ZERO, (i,))
    return _power(p if side > 0 else -p, arb_series([order]))


def _detach(x: SeriesArray) -> SeriesArray:
    return x.like(filled(x.shape, [arb_series([p[0]]) for p in x.cells.ravel().tolist()]))


# -- the table


def elementwise(function: Callable[[Series], Series]) -> Enclosure:
    """The function of an array from a function of one series."""
    loop = np.frompyfunc(function, 1, 1)

    def enclosure(x: SeriesArray) -> SeriesArray:
        return x.like(loop(x.cells))

    return enclosure


def pairwise(function: Callable[[Series, Series], Series]) -> Enclosure:
    """The same for a function of two series; the arrays broadcast."""
    loop = np.frompyfunc(function, 2, 1)

    def enclosure(a: Any, b: Any) -> Any:
        a, b = pair(a, b)
        return a.merge(b, loop(a.cells, b.cells))

    return enclosure


def _product_of_all(cells: Sequence[Series], x: Any) -> Series:
    result = cells[0] if cells else arb_series([1])
    for p in cells[1:]:
        result = product(result, p)
    return result


def _square(p: Series) -> Series:
    return product(p, p)


def _constant_one(p: Series, side: int) -> Series:
    return arb_series([side])


SERIES: dict[str, Enclosure] = {
    **GENERIC,
    "prod": reduction(_product_of_all),
    "detach": _detach,
    "exp": elementwise(_exp),
    "expm1": elementwise(_expm1),
    "log": elementwise(positive(arb_series.log)),
    "log1p": elementwise(_log1p),
    "sqrt": elementwise(positive(arb_series.sqrt)),
    "rsqrt": elementwise(positive(arb_series.rsqrt)),
    "reciprocal": elementwise(_reciprocal),
    "square": elementwise(_square),
    "sin": elementwise(known(arb_series.sin)),
    "cos": elementwise(known(arb_series.cos)),
    "tan": elementwise(known(arb_series.tan)),
    "sinh": elementwise(known(_sinh)),
    "cosh": elementwise(known(_cosh)),
    "tanh": elementwise(known(_tanh)),
    "atan": elementwise(known(arb_series.atan)),
    "sigmoid": elementwise(known(_sigmoid)),
    "abs": deciding("abs", lambda p, side: p if side > 0 else -p),
    "relu": deciding("relu", lambda p, side: p if side > 0 else arb_series([0])),
    "sign": deciding("sign", _constant_one),
    "clamp": _clamp,
    "maximum": pairwise(larger_of(1, "maximum")),
    "minimum": pairwise(larger_of(-1, "minimum")),
    "logaddexp": pairwise(lambda a, b: _log_sum_exp([a, b])),
    "atan2": pairwise(_atan2),
    "gt": _comparison("gt"),
    "ge": _comparison("ge"),
    "lt": _comparison("lt"),
    "le": _comparison("le"),
    "eq": _comparison("eq"),
    "ne": _comparison("ne"),
    "amax": _extreme("amax", 1),
    "amin": _extreme("amin", -1),
    "logsumexp": reduction(_log_sum_exp),
    "softmax": lanewise(_softmax_lane),
    "log_softmax": lanewise(_log_softmax_lane),
    "vector_norm": _vector_norm,
}


def _contract(x: Cells, y: Cells) -> Any:
    """x @ y by the cells' own arithmetic; by matrices of coefficients where that pays, by `product` if not finite."""
    if x.ndim == 2 and y.ndim == 2 and x.shape[1] == y.shape[0] and x.size * y.shape[1] >= _MATRICES_FROM:
        return _contract_coefficients(x, y)
    if all(_is_finite(p) for p in x.ravel().tolist()) and all(_is_finite(p) for p in y.ravel().tolist()):
        return np.matmul(x, y)
    left, right = (x[None] if x.ndim == 1 else x), (y[:, None] if y.ndim == 1 else y)
    products = SeriesArray.multiply(left[..., :, :, None], right[..., None, :, :])
    result = np.add.reduce(products, axis=-2)
    if x.ndim == 1:
        result = result[..., 0, :]
    return result[..., 0] if y.ndim == 1 else result


_MATRICES_FROM = 400


def _contract_coefficients(x: Cells, y: Cells) -> Cells:
    """The product of two matrices of series as the product of two series of matrices, each multiplied by FLINT."""
    left, right = _coefficient_matrices(x), _coefficient_matrices(y)
    columns = []
    for k in range(flint.ctx.cap):
        whole = left[0] * right[k]
        for i in range(1, k + 1):
            whole = whole + left[i] * right[k - i]
        columns.append(whole.entries())
    return filled((x.shape[0], y.shape[1]), [arb_series(list(c)) for c in zip(*columns, strict=True)])


def _coefficient_matrices(x: Cells) -> list[flint.arb_mat]:
    flat = x.ravel().tolist()
    return [flint.arb_mat(x.shape[0], x.shape[1], [p[k] for p in flat]) for k in range(flint.ctx.cap)]


SeriesArray.multiply = np.frompyfunc(product, 2, 1)
SeriesArray.divide = np.frompyfunc(quotient, 2, 1)
SeriesArray.raise_to = np.frompyfunc(_power, 2, 1)
SeriesArray.contract = staticmethod(_contract)
