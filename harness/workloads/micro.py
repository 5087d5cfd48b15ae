"""One primitive at a time, forward and VJP, over sizes: what a node costs.

`ROWS` is the table: the op, how its arguments are made for a number of elements, NumPy's forward and its derivatives by
hand. `size` is the number of elements of the first argument, rounded to a square where it is a matrix.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from harness.programs import Instr, Param, Program, Scalar, Spec
from harness.workloads.base import Array, Input, PullBack, Workload

__all__ = ["ROWS", "Row", "rows"]

Shapes = Callable[[int], tuple[tuple[int, ...], ...]]
Params = Callable[[Sequence[tuple[int, ...]]], Mapping[str, Param]]
Back = Callable[..., tuple[Array, ...]]


def _vectors(count: int) -> Shapes:
    return lambda n: ((n,),) * count


def _square(n: int) -> tuple[tuple[int, ...], ...]:
    side = max(1, math.isqrt(n))
    return ((side, side),)


def _squares(n: int) -> tuple[tuple[int, ...], ...]:
    return _square(n) * 2


@dataclass(frozen=True)
class Row:
    """A primitive to time.

    Attributes:
        forward: NumPy's function of the arguments and parameters.
        back: `back(ct, y, *arguments, **parameters)` gives one cotangent an argument.
        shapes: shapes of the arguments for a number of elements.
        params: the op's parameters for those shapes.
        low, high: where the arguments lie.
        mask: the op's first argument is the mask ``x > 0`` of the first argument.
    """

    op: str
    forward: Callable[..., Any]
    back: Back
    shapes: Shapes = field(default_factory=lambda: _vectors(1))
    params: Params = field(default_factory=lambda: lambda shapes: MappingProxyType({}))
    low: float = -2.0
    high: float = 2.0
    mask: bool = False

    def program(self, shapes: Sequence[tuple[int, ...]]) -> Program:
        """The op as a program."""
        params = tuple(sorted(self.params(shapes).items()))
        specs = tuple(Spec(shape) for shape in shapes)
        places = tuple(range(len(shapes)))
        if self.mask:
            mask = Instr("gt", (0, Scalar(0.0)))
            return Program(specs, (mask, Instr(self.op, (len(shapes), *places), params)), (len(shapes) + 1,))
        return Program(specs, (Instr(self.op, places, params),), (len(shapes),))


def rows() -> list[Workload]:
    """One workload a primitive, named ``micro_<op>``."""
    return [_workload(row) for row in ROWS]


def _workload(row: Row) -> Workload:
    def make_inputs(n: int, dtype: str, rng: np.random.Generator) -> tuple[Input, ...]:
        return tuple(rng.uniform(row.low, row.high, shape).astype(dtype) for shape in row.shapes(n))

    def by_hand(*arrays: Array) -> tuple[Array, PullBack]:
        params = row.params([a.shape for a in arrays])
        y = np.asarray(row.forward(*arrays, **params))
        return y, lambda ct: tuple(np.asarray(g) for g in row.back(ct, y, *arrays, **params))

    return Workload(
        f"micro_{row.op}", f"the primitive {row.op} alone", (1, 100, 10_000, 1_000_000), make_inputs, None, None, by_hand,
        wrt=tuple(range(len(row.shapes(1)))), scalar=False, family="micro",
        program=lambda *arrays: row.program([tuple(a.shape) for a in arrays]),
    )  # fmt: skip


# The table


def _unary(
    op: str, forward: Callable[..., Any], slope: Callable[[Any, Any], Any], low: float = -2.0, high: float = 2.0
) -> Row:
    return Row(op, forward, lambda ct, y, x: (ct * slope(x, y),), low=low, high=high)


def _binary(op: str, forward: Callable[..., Any], slopes: Callable[..., tuple[Any, Any]], low: float = -2.0) -> Row:
    def back(ct: Array, y: Array, a: Array, b: Array) -> tuple[Array, ...]:
        da, db = slopes(a, b, y)
        return ct * da, ct * db

    return Row(op, forward, back, _vectors(2), low=low)


def _logistic(x: Array) -> Array:
    return 0.5 * (np.tanh(0.5 * x) + 1)


def _along(op: str, forward: Callable[..., Any], back: Back, low: float = -2.0, **params: Param) -> Row:
    """An op of a matrix along its last dimension."""
    return Row(op, forward, back, _square, lambda shapes: {"dim": 1, **params}, low=low)


def _extreme(op: str, forward: Callable[..., Any]) -> Row:
    def back(ct: Array, y: Array, x: Array, dim: int) -> tuple[Array, ...]:
        mask = x == y[:, None]
        return (ct[:, None] * mask / mask.sum(axis=1, keepdims=True, dtype=x.dtype),)

    return _along(op, lambda x, dim: forward(x, axis=dim), back)


def _log_sum(x: Array, dim: int) -> Array:
    top = x.max(axis=dim, keepdims=True)
    total: Array = np.log(np.exp(x - top).sum(axis=dim)) + top[:, 0]
    return total


def _softmax(x: Array, dim: int) -> Array:
    e = np.exp(x - x.max(axis=dim, keepdims=True))
    shares: Array = e / e.sum(axis=dim, keepdims=True)
    return shares


def _moved(op: str, forward: Callable[..., Any], inverse: Callable[..., Any], params: Params) -> Row:
    """An op that moves the elements of a matrix; its VJP moves them back."""
    return Row(op, forward, lambda ct, y, x, **p: (inverse(ct, x, **p),), _square, params)


def _picked(ct: Array, x: Array, place: Any) -> Array:
    full = np.zeros_like(x)
    np.add.at(full, place, ct)
    return full


def _places(n: int) -> tuple[int, ...]:
    return tuple((7 * i) % n for i in range(n))


ROWS: tuple[Row, ...] = (
    _unary("neg", np.negative, lambda x, y: -1),
    _unary("abs", np.abs, lambda x, y: np.sign(x)),
    _unary("exp", np.exp, lambda x, y: y),
    _unary("expm1", np.expm1, lambda x, y: y + 1),
    _unary("log", np.log, lambda x, y: 1 / x, 0.25),
    _unary("log1p", np.log1p, lambda x, y: 1 / (1 + x), -0.5),
    _unary("sqrt", np.sqrt, lambda x, y: 0.5 / y, 0.25),
    _unary("rsqrt", lambda x: 1 / np.sqrt(x), lambda x, y: -0.5 * y / x, 0.25),
    _unary("reciprocal", np.reciprocal, lambda x, y: -y * y, 0.25),
    _unary("square", np.square, lambda x, y: 2 * x),
    _unary("sin", np.sin, lambda x, y: np.cos(x)),
    _unary("cos", np.cos, lambda x, y: -np.sin(x)),
    _unary("tan", np.tan, lambda x, y: 1 + y * y, -1.0, 1.0),
    _unary("sinh", np.sinh, lambda x, y: np.cosh(x)),
    _unary("cosh", np.cosh, lambda x, y: np.sinh(x)),
    _unary("tanh", np.tanh, lambda x, y: 1 - y * y),
    _unary("atan", np.arctan, lambda x, y: 1 / (1 + x * x)),
    _unary("sigmoid", _logistic, lambda x, y: y * (1 - y)),
    _unary("relu", lambda x: np.maximum(x, 0), lambda x, y: x > 0),
    _binary("add", np.add, lambda a, b, y: (1, 1)),
    _binary("sub", np.subtract, lambda a, b, y: (1, -1)),
    _binary("mul", np.multiply, lambda a, b, y: (b, a)),
    _binary("div", np.divide, lambda a, b, y: (1 / b, -y / b), 0.25),
    _binary("pow", np.power, lambda a, b, y: (b * a ** (b - 1), y * np.log(a)), 0.25),
    _binary("maximum", np.maximum, lambda a, b, y: (a > b, b > a)),
    _binary("minimum", np.minimum, lambda a, b, y: (a < b, b < a)),
    _binary("logaddexp", np.logaddexp, lambda a, b, y: (np.exp(a - y), np.exp(b - y))),
    _binary("atan2", np.arctan2, lambda a, b, y: (b / (a * a + b * b), -a / (a * a + b * b)), 0.25),
    Row(
        "where", lambda a, b: np.where(a > 0, a, b), lambda ct, y, a, b: (ct * (a > 0), ct * (a <= 0)), _vectors(2), mask=True
    ),
    Row(
        "clamp", lambda x, min, max: np.clip(x, min, max), lambda ct, y, x, min, max: (ct * ((x > min) & (x < max)),),
        params=lambda shapes: {"min": -1.0, "max": 1.0},
    ),
    _along("sum", lambda x, dim: x.sum(axis=dim), lambda ct, y, x, dim: (ct[:, None] + 0 * x,)),
    _along("mean", lambda x, dim: x.mean(axis=dim), lambda ct, y, x, dim: (ct[:, None] / x.shape[1] + 0 * x,)),
    _extreme("amax", np.max),
    _extreme("amin", np.min),
    _along(
        "logsumexp", _log_sum, lambda ct, y, x, dim: (ct[:, None] * np.exp(x - y[:, None]),),
    ),
    _along("cumsum", lambda x, dim: x.cumsum(axis=dim), lambda ct, y, x, dim: (ct[:, ::-1].cumsum(axis=1)[:, ::-1],)),
    _along("softmax", _softmax, lambda ct, y, x, dim: (y * (ct - (ct * y).sum(axis=1, keepdims=True)),)),
    _along(
        "log_softmax", lambda x, dim: x - _log_sum(x, dim)[:, None],
        lambda ct, y, x, dim: (ct - np.exp(y) * ct.sum(axis=1, keepdims=True),),
    ),
    _along(
        "vector_norm", lambda x, dim: np.sqrt((x * x).sum(axis=dim)), lambda ct, y, x, dim: ((ct / y)[:, None] * x,), 0.25
    ),
    _moved(
        "reshape", lambda x, shape: x.reshape(shape), lambda ct, x, shape: ct.reshape(x.shape),
        lambda shapes: {"shape": (math.prod(shapes[0]),)},
    ),
    _moved(
        "permute", lambda x, dims: x.transpose(dims), lambda ct, x, dims: ct.T, lambda shapes: {"dims": (1, 0)}
    ),
    _moved(
        "transpose", lambda x, dim0, dim1: x.swapaxes(dim0, dim1), lambda ct, x, dim0, dim1: ct.T,
        lambda shapes: {"dim0": 0, "dim1": 1},
    ),
    _moved(
        "unsqueeze", lambda x, dim: np.expand_dims(x, dim), lambda ct, x, dim: ct[:, 0], lambda shapes: {"dim": 1}
    ),
    _moved(
        "flip", lambda x, dims: np.flip(x, dims), lambda ct, x, dims: np.flip(ct, dims), lambda shapes: {"dims": (0, 1)}
    ),
    _moved(
        "expand", lambda x, shape: np.broadcast_to(x, shape), lambda ct, x, shape: ct.sum(axis=0),
        lambda shapes: {"shape": (2, *shapes[0])},
    ),
    _moved(
        "tril", lambda x, diagonal: np.tril(x, diagonal), lambda ct, x, diagonal: np.tril(ct, diagonal),
        lambda shapes: {"diagonal": 0},
    ),
    _moved(
        "triu", lambda x, diagonal: np.triu(x, diagonal), lambda ct, x, diagonal: np.triu(ct, diagonal),
        lambda shapes: {"diagonal": 0},
    ),
    _moved(
        "getitem", lambda x, index: x[:, ::2], lambda ct, x, index: _picked(ct, x, (slice(None), slice(None, None, 2))),
        lambda shapes: {"index": (("slice", None, None, None), ("slice", None, None, 2))},
    ),
    _moved(
        "index_select", lambda x, dim, index: x[np.array(index)], lambda ct, x, dim, index: _picked(ct, x, np.array(index)),
        lambda shapes: {"dim": 0, "index": _places(shapes[0][0])},
    ),
    Row(
        "cat", lambda a, b, dim: np.concatenate([a, b], axis=dim), lambda ct, y, a, b, dim: (ct[: len(a)], ct[len(a) :]),
        _squares, lambda shapes: {"dim": 0},
    ),
    Row(
        "stack", lambda a, b, dim: np.stack([a, b], axis=dim), lambda ct, y, a, b, dim: (ct[0], ct[1]),
        _squares, lambda shapes: {"dim": 0},
    ),
    Row("matmul", np.matmul, lambda ct, y, a, b: (ct @ b.T, a.T @ ct), lambda n: _squares(min(n, 40_000))),
    Row("dot", np.dot, lambda ct, y, a, b: (ct * b, ct * a), _vectors(2)),
    Row(
        "outer", np.multiply.outer, lambda ct, y, a, b: (ct @ b, a @ ct), lambda n: ((max(1, math.isqrt(n)),),) * 2
    ),
)  # fmt: skip
