"""Special functions: elementwise, under the names that `torch.special` gives them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from harness.programs import Param, Spec
from harness.vocabulary.checks import Arg, Interval, Op, Shape, tensor_of

__all__ = ["ROWS"]

Values = Callable[[Sequence[Interval], Mapping[str, Param], Shape, Shape], Interval | None]


def _same(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    return Spec(tensor_of(args, 0, "x").shape)


def _between(low: float, high: float) -> Values:
    return lambda xs, params, shape, out: (low, high)


_X = ("x",)

ROWS: Final = (
    Op("erf", "unary", _X, _same, values=_between(-1.0, 1.0)),
    Op("ndtr", "unary", _X, _same, values=_between(0.0, 1.0)),
)
