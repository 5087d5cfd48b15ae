"""Arrays of real balls: every cell is an interval that is certain to contain the exact real number it stands for.

Make one with `BallArray.from_floats` (floats convert exactly), compute with operators or with the table in
`harness.oracles.enclosures`, and read it with `midpoints`, `radii`, `contains` and `distances`. `precision` sets the
working precision, `undecided` says what a comparison does when its balls overlap, `widening` adds a declared error
after every inexact operation.

A cell is an immutable `flint.arb` object and stands for one real number. An operation that returns one of its operands
(a maximum, a movement) hands on the same object, so two cells that are the same object are equal numbers even where
the ball is fat; no operation fills two cells with one fat ball unless they are the same number.

>>> x = BallArray.from_floats(np.array([1.0, 2.0]))
>>> y = (x * x - 3.0) / x
>>> y.midpoints()
array([-2. ,  0.5])
>>> y.contains(np.array([-2.0, 0.5]))
array([ True,  True])
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, Literal, Protocol, Self, TypeVar

import flint
import numpy as np
from flint import arb
from numpy.typing import DTypeLike, NDArray

from harness.oracles.worlds import order

__all__ = [
    "BallArray",
    "CellArray",
    "Cells",
    "Undecidable",
    "Widen",
    "add",
    "compare",
    "current_policy",
    "div",
    "is_mask",
    "matmul",
    "mul",
    "neg",
    "noted",
    "power",
    "precision",
    "promoted",
    "sub",
    "undecided",
    "widened",
    "widening",
]

Cells = NDArray[np.object_]
Policy = Literal["raise", "union", "choose"]
Widen = Callable[[str, tuple[Any, ...], Mapping[str, Any], "BallArray"], "BallArray"]

_FLOAT64 = np.dtype(np.float64)
_BOOL = np.dtype(np.bool_)
_ZERO = arb(0)
_NAN = arb("nan")

flint.ctx.prec = 256  # the working precision outside any `precision` block; FLINT starts with that of a float

_policy: Policy = "raise"
_widen: Widen | None = None


class Undecidable(ArithmeticError):
    """A discrete decision about real numbers whose balls overlap, or that meet exactly where a derivative jumps.

    Attributes:
        primitive: the op that had to decide.
        index: the cell of the result.
        ball: what is known of the number that was compared.
    """

    def __init__(self, primitive: str, index: tuple[int, ...], ball: object) -> None:
        super().__init__(f"{primitive} at {index}: cannot decide with {ball}")
        self.primitive = primitive
        self.index = index
        self.ball = ball


@contextmanager
def precision(bits: int = 256) -> Iterator[None]:
    """Compute with `bits` bits inside the block."""
    before = flint.ctx.prec
    flint.ctx.prec = bits
    try:
        yield
    finally:
        flint.ctx.prec = before


@contextmanager
def undecided(policy: Policy) -> Iterator[None]:
    """Choose what an undecidable comparison does inside the block.

    "raise" raises `Undecidable`. "union" lets the comparison return a mask of balls, in which a cell that could be
    either is the ball [0, 1]; `where` then returns the union of its branches, and arithmetic with the mask encloses the
    result of both choices. "choose" takes one of the outcomes, as `harness.oracles.worlds` says, inside a run of it.
    """
    global _policy
    if policy not in ("raise", "union", "choose"):
        raise ValueError(f"policy: expected 'raise', 'union' or 'choose', got {policy!r}")
    before = _policy
    _policy = policy
    try:
        yield
    finally:
        _policy = before


@contextmanager
def widening(widen: Widen | None) -> Iterator[None]:
    """Pass the result of every inexact operation inside the block through `widen(name, args, params, result)`."""
    global _widen
    before = _widen
    _widen = widen
    try:
        yield
    finally:
        _widen = before


def current_policy() -> Policy:
    """The policy for undecidable comparisons that is in force."""
    return _policy


def widened(name: str, args: tuple[Any, ...], params: Mapping[str, Any], result: BallArray) -> BallArray:
    """`result` with the error added that the current `widening` declares for the primitive."""
    return result if _widen is None else _widen(name, args, params, result)


Note = Callable[[str, Callable[..., Any], tuple[Any, ...], Mapping[str, Any], bool, Any], None]
recorder: Note | None = None  # sees every primitive that runs on balls; see `harness.oracles.steps`


def noted(
    name: str, function: Callable[..., Any], args: tuple[Any, ...], params: Mapping[str, Any], rounds: bool, result: Any
) -> Any:
    """Return the result of a primitive, noted if somebody records."""
    if recorder is not None:
        recorder(name, function, args, params, rounds, result)
    return result


class CellArray(Protocol):
    """What balls and series have in common: an object array of exact cells that NumPy may move but not compare."""

    cells: Cells
    dtype: np.dtype[Any]

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def ndim(self) -> int: ...

    @property
    def size(self) -> int: ...

    def like(self, cells: Any, dtype: np.dtype[Any] | None = None) -> Self:
        """An array of the same type around other cells."""
        ...

    def lift(self, value: Any) -> Self:
        """A number, NumPy array or array of balls as an array of the same type."""
        ...

    def merge(self, other: Self, cells: Any) -> Self:
        """An array around cells that were computed from both."""
        ...

    @staticmethod
    def constant(ball: arb) -> Any:
        """The cell that stands for a number."""
        ...


A = TypeVar("A", bound=CellArray)


def as_cells(result: Any) -> Cells:
    """An object ndarray, also where NumPy unwrapped a 0-d result to a bare object."""
    if type(result) is np.ndarray:
        return result
    cells = np.empty((), object)
    cells[()] = result
    return cells


def filled(shape: tuple[int, ...], cells: list[Any]) -> Cells:
    """The list as an object array of that shape; cells that look like sequences stay whole."""
    return np.fromiter(cells, dtype=object, count=len(cells)).reshape(shape)


def _exact(value: Any) -> Cells:
    """The balls of radius 0 of a number or an array of bools, integers or floats."""
    if type(value) in (float, int, bool, arb):
        return as_cells(arb(value))
    array = np.asarray(value)
    if array.dtype.kind not in "fiub" or array.dtype.itemsize > 8:
        if array.dtype.kind in "OUSmMc" or array.dtype.itemsize > 8:
            raise TypeError(f"cannot convert {type(value).__name__} of dtype {array.dtype} to balls exactly")
        array = array.astype(np.float64)  # an extension float such as bfloat16
    return filled(array.shape, [arb(v) for v in array.ravel().tolist()])


def _round_up(x: arb) -> float:
    """The smallest convenient float that is at least the exact number x >= 0."""
    if x.is_nan():
        return math.inf
    value = float(x)
    return value if value >= x else math.nextafter(value, math.inf)


class BallArray:
    """An array of real balls (`flint.arb`) that stands for an array of `dtype`."""

    __slots__ = ("cells", "dtype", "known_magnitudes")
    __array_ufunc__: ClassVar[None] = None
    __hash__ = object.__hash__

    # the loops over cells that differ between balls and series; set at the end of this module
    multiply: ClassVar[Callable[..., Any]]
    divide: ClassVar[Callable[..., Any]]
    raise_to: ClassVar[Callable[..., Any]]
    contract: ClassVar[Callable[..., Any]]

    def __init__(self, cells: Cells, dtype: DTypeLike = _FLOAT64) -> None:
        self.cells = cells
        self.dtype = np.dtype(dtype)
        self.known_magnitudes: Cells | None = None  # kept by `abs`, so that |x| is the same cells every time

    # -- making one

    @classmethod
    def from_floats(cls, values: Any, dtype: DTypeLike | None = None) -> BallArray:
        """The exact numbers of an array or a number; `dtype` defaults to the array's."""
        if dtype is None:
            dtype = values.dtype if isinstance(values, np.ndarray | np.generic) else _FLOAT64
        return cls(_exact(values), dtype)

    @classmethod
    def from_midpoints(cls, midpoints: Any, radii: Any, dtype: DTypeLike = _FLOAT64) -> BallArray:
        """The balls with these exact midpoints and at least these radii."""
        mids, rads = np.broadcast_arrays(_exact(midpoints), _exact(radii))
        cells = [arb(m, r) for m, r in zip(mids.ravel().tolist(), rads.ravel().tolist(), strict=True)]
        return cls(filled(mids.shape, cells), dtype)

    def like(self, cells: Any, dtype: np.dtype[Any] | None = None) -> BallArray:
        return _ball(as_cells(cells), self.dtype if dtype is None else dtype)

    def lift(self, value: Any) -> BallArray:
        if type(value) is BallArray:
            return value
        # a Python number is weak, as in PyTorch
        if type(value) is float and self.dtype.kind == "f":
            return _ball(as_cells(arb(value)), self.dtype)
        dtype = value.dtype if isinstance(value, np.ndarray | np.generic) else self.dtype
        if type(value) is float and dtype.kind != "f":
            dtype = _FLOAT64
        return _ball(_exact(value), dtype)

    @staticmethod
    def constant(ball: arb) -> arb:
        return ball

    def merge(self, other: BallArray, cells: Any) -> BallArray:
        return _ball(as_cells(cells), promoted(self.dtype, other.dtype))

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

    def midpoints(self) -> NDArray[np.float64]:
        """The floats nearest to the midpoints. They may differ from the midpoints by more than the radius."""
        return np.array([float(c.mid()) for c in self.cells.ravel().tolist()], np.float64).reshape(self.shape)

    def radii(self) -> NDArray[np.float64]:
        """The balls' radii, rounded up; infinite for a ball that is not finite."""
        cells = self.cells.ravel().tolist()
        radii = [_round_up(c.rad()) if c.is_finite() else math.inf for c in cells]
        return np.array(radii, np.float64).reshape(self.shape)

    def upper_abs(self) -> NDArray[np.float64]:
        """Bounds of |x| from above, rounded up; infinite for a ball that is not finite."""
        cells = self.cells.ravel().tolist()
        bounds = [_round_up(c.abs_upper()) if c.is_finite() else math.inf for c in cells]
        return np.array(bounds, np.float64).reshape(self.shape)

    def distances(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Bounds of |x - value| from above for all x in the ball, rounded up; infinite where either is not finite."""
        gap: BallArray = sub(self, self._same_shape(values))
        return gap.upper_abs()

    def contains(self, values: NDArray[Any]) -> NDArray[np.bool_]:
        """Whether each float lies in its ball: True is certain and so is False."""
        numbers = _exact(self._same_shape(values)).ravel().tolist()
        cells = self.cells.ravel().tolist()
        return np.array([c.contains(v) for c, v in zip(cells, numbers, strict=True)], bool).reshape(self.shape)

    def overlaps(self, other: BallArray) -> NDArray[np.bool_]:
        """Whether each ball has a number in common with the ball in its place; if not, they stand for other numbers."""
        if other.shape != self.shape:
            raise ValueError(f"other has shape {other.shape}, the balls have shape {self.shape}")
        pairs = zip(self.cells.ravel().tolist(), other.cells.ravel().tolist(), strict=True)
        return np.array([p.overlaps(q) for p, q in pairs], bool).reshape(self.shape)

    def is_finite(self) -> NDArray[np.bool_]:
        """Whether each ball is bounded: a domain error, an overflow or an infinity gives one that is not."""
        return np.array([c.is_finite() for c in self.cells.ravel().tolist()], bool).reshape(self.shape)

    def is_exact(self) -> NDArray[np.bool_]:
        """Whether each ball has radius 0."""
        return np.array([c.is_exact() for c in self.cells.ravel().tolist()], bool).reshape(self.shape)

    def _same_shape(self, values: Any) -> NDArray[Any]:
        array = np.asarray(values)
        if array.shape != self.shape:
            raise ValueError(f"values has shape {array.shape}, the balls have shape {self.shape}")
        return array

    def __repr__(self) -> str:
        return f"BallArray({self.cells.tolist()}, shape={self.shape}, dtype={self.dtype})"

    # -- arithmetic; each operator is the enclosure of the primitive of that name, widened like it

    def __add__(self, other: Any) -> BallArray:
        return _operate("add", add, self, other)

    def __radd__(self, other: Any) -> BallArray:
        return _operate("add", add, other, self)

    def __sub__(self, other: Any) -> BallArray:
        return _operate("sub", sub, self, other)

    def __rsub__(self, other: Any) -> BallArray:
        return _operate("sub", sub, other, self)

    def __mul__(self, other: Any) -> BallArray:
        return _operate("mul", mul, self, other)

    def __rmul__(self, other: Any) -> BallArray:
        return _operate("mul", mul, other, self)

    def __truediv__(self, other: Any) -> BallArray:
        return _operate("div", div, self, other)

    def __rtruediv__(self, other: Any) -> BallArray:
        return _operate("div", div, other, self)

    def __pow__(self, other: Any) -> BallArray:
        return _operate("pow", power, self, other)

    def __rpow__(self, other: Any) -> BallArray:
        return _operate("pow", power, other, self)

    def __matmul__(self, other: Any) -> BallArray:
        return _operate("matmul", matmul, self, other)

    def __rmatmul__(self, other: Any) -> BallArray:
        return _operate("matmul", matmul, other, self)

    def __neg__(self) -> BallArray:
        return noted("neg", neg, (self,), {}, False, neg(self))  # type: ignore[no-any-return]  # of the type that it is given

    def __pos__(self) -> BallArray:
        return self

    # -- decisions

    def __gt__(self, other: Any) -> BallArray | NDArray[np.bool_]:
        return _compared("gt", self, other)

    def __ge__(self, other: Any) -> BallArray | NDArray[np.bool_]:
        return _compared("ge", self, other)

    def __lt__(self, other: Any) -> BallArray | NDArray[np.bool_]:
        return _compared("lt", self, other)

    def __le__(self, other: Any) -> BallArray | NDArray[np.bool_]:
        return _compared("le", self, other)

    def __eq__(self, other: object) -> Any:
        raise TypeError("== on balls is ambiguous: use enclosures eq(a, b) for a mask, `is` for identity")

    def __ne__(self, other: object) -> Any:
        raise TypeError("!= on balls is ambiguous: use enclosures ne(a, b) for a mask, `is not` for identity")

    def __invert__(self) -> BallArray:
        return _ball(as_cells(np.subtract(1, _mask_cells(self))), _BOOL)

    def __and__(self, other: Any) -> BallArray:
        return _ball(as_cells(np.multiply(_mask_cells(self), _mask_cells(self.lift(other)))), _BOOL)

    __rand__ = __and__

    def __or__(self, other: Any) -> BallArray:
        return ~(~self & ~self.lift(other))

    __ror__ = __or__

    def any(self, *args: Any, **kwargs: Any) -> bool:
        """Whether a cell is certainly not 0; what `np.any` of a mask calls.

        Raises:
            Undecidable: no cell is certainly nonzero and not all are certainly 0.
        """
        cells = self.cells.ravel().tolist()
        found = any(not c.contains(0) for c in cells)
        for i, c in enumerate(() if found else cells):
            if c != 0 or not c.is_exact():
                raise Undecidable("any", tuple(int(k) for k in np.unravel_index(i, self.shape)), c)
        return noted("any", BallArray.any, (self,), {}, False, found)  # type: ignore[no-any-return]  # as it was given

    # -- what would silently choose a side or lose the radius

    def __bool__(self) -> bool:
        raise TypeError("a BallArray has no truth value: compare it, then handle an undecided cell")

    def __iter__(self) -> Iterator[Any]:
        raise TypeError("a BallArray is not iterable: use .cells for the balls or getitem for a part")

    def __len__(self) -> int:
        raise TypeError("a BallArray has no len(): use .shape or .size")

    def __float__(self) -> float:
        raise TypeError("a BallArray is not a float: use midpoints() and radii()")

    def __array__(self, *args: Any, **kwargs: Any) -> NDArray[Any]:
        raise TypeError("a BallArray does not convert to a NumPy array: use midpoints() and radii(), or .cells")


def _operate(name: str, function: Callable[[Any, Any], Any], a: Any, b: Any) -> BallArray:
    """An operator is the enclosure of a primitive, widened like it."""
    result: BallArray = function(a, b)
    if _widen is not None:
        result = _widen(name, (a, b), {}, result)
    if recorder is not None:
        recorder(name, function, (a, b), {}, True, result)
    return result


def _compared(name: str, a: Any, b: Any) -> BallArray | NDArray[np.bool_]:
    result = compare(name, a, b)
    if recorder is not None:
        recorder(name, functools.partial(compare, name), (a, b), {}, False, result)
    return result


def promoted(a: np.dtype[Any], b: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype of a result, as PyTorch has it: a float with an integer stays the float that it is."""
    if a == b or (a.kind == "f") > (b.kind == "f"):
        return a
    return b if (b.kind == "f") > (a.kind == "f") else np.promote_types(a, b)


def _ball(cells: Cells, dtype: np.dtype[Any]) -> BallArray:
    """A BallArray without the conversions of its constructor, which would dominate small operations."""
    made = BallArray.__new__(BallArray)
    made.cells = cells
    made.dtype = dtype
    made.known_magnitudes = None
    return made


def is_mask(value: Any) -> bool:
    """Whether it is a mask of balls, as a comparison returns under the policy "union"."""
    return type(value) is BallArray and value.dtype == _BOOL


def _mask_cells(mask: BallArray) -> Cells:
    if mask.dtype != _BOOL:
        raise TypeError(f"logical operators take masks, got a BallArray of dtype {mask.dtype}")
    return mask.cells


def pair(a: Any, b: Any) -> tuple[Any, Any]:
    """Both operands as arrays of one type; at least one of them is an array of cells, and series win over balls."""
    kind = type(a)
    if kind is type(b):
        if kind is BallArray or hasattr(kind, "lift"):
            return a, b
    elif hasattr(kind, "lift") and not (kind is BallArray and hasattr(type(b), "lift")):
        return a, a.lift(b)
    elif hasattr(type(b), "lift"):
        return b.lift(a), b
    raise TypeError(f"expected an array of balls or series, got {kind.__name__} and {type(b).__name__}")


def add(a: Any, b: Any) -> Any:
    """a + b, broadcasting, on balls or series."""
    a, b = pair(a, b)
    return a.merge(b, np.add(a.cells, b.cells))


def sub(a: Any, b: Any) -> Any:
    """a - b, broadcasting, on balls or series."""
    a, b = pair(a, b)
    return a.merge(b, np.subtract(a.cells, b.cells))


def mul(a: Any, b: Any) -> Any:
    """a b, broadcasting, on balls or series."""
    a, b = pair(a, b)
    return a.merge(b, a.multiply(a.cells, b.cells))


def div(a: Any, b: Any) -> Any:
    """a / b, broadcasting, on balls or series; not finite where b may be 0."""
    a, b = pair(a, b)
    return a.merge(b, a.divide(a.cells, b.cells))


def power(a: Any, b: Any) -> Any:
    """a ** b, broadcasting, on balls or series; see `power_cell` for the domain."""
    a, b = pair(a, b)
    return a.merge(b, a.raise_to(a.cells, b.cells))


def neg(x: A) -> A:
    """-x, on balls or series."""
    return x.like(np.negative(x.cells))


def matmul(a: Any, b: Any) -> Any:
    """The matrix product of arrays of rank >= 1, with NumPy's and PyTorch's rules for 1-d and batched operands."""
    a, b = pair(a, b)
    x, y = a.cells, b.cells
    if x.ndim == 0 or y.ndim == 0:
        raise ValueError(f"matmul needs rank >= 1, got shapes {x.shape} and {y.shape}")
    if 0 in x.shape or 0 in y.shape:
        shape = np.matmul(np.empty(x.shape), np.empty(y.shape)).shape
        return a.merge(b, filled(shape, [a.constant(_ZERO)] * math.prod(shape)))
    return a.merge(b, a.contract(x, y))


def _contract(x: Cells, y: Cells) -> Any:
    """x @ y: NumPy's loop, or FLINT's for matrices from the size where its setup pays."""
    if x.ndim == 2 and y.ndim == 2 and x.shape[1] == y.shape[0] and x.size * y.shape[1] >= _FLINT_MATMUL_FROM:
        left = flint.arb_mat(x.shape[0], x.shape[1], x.ravel().tolist())
        right = flint.arb_mat(y.shape[0], y.shape[1], y.ravel().tolist())
        return filled((x.shape[0], y.shape[1]), (left * right).entries())
    return np.matmul(x, y)


_FLINT_MATMUL_FROM = 400


def power_cell(a: arb, b: arb) -> arb:
    """a ** b for one pair of balls.

    Finite wherever a finite value is certain: an exact integer b takes any base (0 ** 0 is 1), 0 ** b is 0 for b > 0;
    otherwise a must be positive.
    """
    if b.is_exact() and (b.is_integer() or (2 * b).is_integer()):
        if a.contains(0) and not a.is_exact() and a.is_finite() and b.is_integer():
            return _power_around_zero(a, b)
        return a**b
    if a == 0 and b > 0:
        return _ZERO
    return a**b


def _power_around_zero(a: arb, n: arb) -> arb:
    """a ** n of a ball that holds 0, for an integer n: FLINT gives nan where the midpoint is 0."""
    if not n > 0:
        return arb(1) if n == 0 else _NAN
    ends = (-a.lower()) ** n, a.upper() ** n  # of two numbers >= 0
    if (n / 2).is_integer():
        return _ZERO.union(ends[0]).union(ends[1])
    return (-ends[0]).union(ends[1])


# -- discrete decisions


# for each comparison: when it is certain, when its opposite is, and what it says of a number and itself
_CERTAIN: dict[str, tuple[Callable[[arb, arb], bool], Callable[[arb, arb], bool], bool]] = {
    "gt": (operator.gt, operator.le, False),
    "ge": (operator.ge, operator.lt, True),
    "lt": (operator.lt, operator.ge, False),
    "le": (operator.le, operator.gt, True),
    "eq": (operator.eq, operator.ne, True),
    "ne": (operator.ne, operator.eq, False),
}


def _decision(name: str) -> np.ufunc:
    yes, no, of_itself = _CERTAIN[name]

    def decide(p: arb, q: arb) -> bool | None:
        if yes(p, q):
            return True
        if no(p, q):
            return False
        return of_itself if p is q and not p.is_nan() else None

    return np.frompyfunc(decide, 2, 1)


_DECISIONS = {name: _decision(name) for name in _CERTAIN}


def unit_ball() -> arb:
    """A fresh ball around [0, 1]: a decision that could be either."""
    return arb(0.5, 0.5)


def compare(name: str, a: Any, b: Any) -> BallArray | NDArray[np.bool_]:
    """The comparison `name` (gt ge lt le eq ne) of two arrays of balls, broadcasting.

    Equality is certain for balls of radius 0 and for one cell compared with itself. Where a cell is not decided the
    policy of `undecided` applies.

    Returns:
        a bool ndarray if every cell is decided or chosen, else (policy "union") a mask of balls.
    Raises:
        Undecidable: a cell is not decided and the policy is "raise".
    """
    a, b = pair(a, b)
    result = as_cells(_DECISIONS[name](a.cells, b.cells))
    answers = result.ravel().tolist()
    if None not in answers:
        return result.astype(bool)
    if _policy == "raise":
        index = tuple(int(i) for i in np.unravel_index(answers.index(None), result.shape))
        raise Undecidable(name, index, as_cells(np.subtract(a.cells, b.cells))[index])
    if _policy == "choose" and all(c.is_finite() for cells in (a.cells, b.cells) for c in cells.ravel().tolist()):
        outcome: Callable[[int, int], bool] = getattr(operator, name)
        pairs = zip(*(x.ravel().tolist() for x in np.broadcast_arrays(a.cells, b.cells)), strict=True)
        chosen = [
            outcome(order(p, q, Undecidable(name, (), p)), 0) if answer is None else answer
            for answer, (p, q) in zip(answers, pairs, strict=True)
        ]
        return np.array(chosen, bool).reshape(result.shape)
    cells = [unit_ball() if answer is None else arb(int(answer)) for answer in answers]
    return _ball(filled(result.shape, cells), _BOOL)


BallArray.multiply = np.multiply
BallArray.divide = np.true_divide
BallArray.raise_to = np.frompyfunc(power_cell, 2, 1)
BallArray.contract = staticmethod(_contract)
