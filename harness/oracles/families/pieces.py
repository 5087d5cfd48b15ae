"""Functions of one real number that are put together from pieces: on a ball and on a truncated power series.

A piece is a function that takes either; what differs between the two is in `expm1`, `constant` and the like. On a ball
that reaches over a break the result is the union of the pieces; a series whose constant is not certainly beside every
break raises `Undecidable`: it has no derivative there, or none that is known.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from flint import arb, arb_series

from harness.oracles.balls import A, filled
from harness.oracles.families.on_balls import Enclosure, hull
from harness.oracles.families.on_series import known, side_of, with_constant

__all__ = ["Pieces", "cellwise", "constant", "expm1", "same", "series_cellwise"]

Cell = Any  # arb or arb_series


@dataclass(frozen=True)
class Pieces:
    """A function of one number.

    Attributes:
        name: the op, for `Undecidable`.
        breaks: in rising order.
        functions: one more than breaks.
        left: whether a break itself belongs to the piece on its left.
    """

    name: str
    breaks: Sequence[arb]
    functions: Sequence[Callable[[Cell], Cell]]
    left: bool = True

    def on_ball(self, c: arb) -> arb:
        """The enclosure of the function on a ball."""
        first = sum(1 for b in self.breaks if (c > b if self.left else c >= b))
        last = sum(1 for b in self.breaks if not (c <= b if self.left else c < b))
        if first == last:
            result: arb = self.functions[first](c)
            return result
        if not c.is_finite():
            return arb("nan")
        parts = []
        for i in range(first, last + 1):
            low = c.lower() if i == first else self.breaks[i - 1]
            high = c.upper() if i == last else self.breaks[i]
            parts.append(self.functions[i](hull(low, high)))
        return hull(*parts)

    def on_series(self, p: arb_series) -> arb_series:
        """The composition with a series."""
        result: arb_series = self.functions[sum(1 for b in self.breaks if side_of(self.name, p, b, ()) > 0)](p)
        return result


def same(t: Cell) -> Cell:
    """The number itself."""
    return t


def constant(value: float | arb) -> Callable[[Cell], Cell]:
    """The function that is that number everywhere."""
    return lambda t: arb_series([value]) if isinstance(t, arb_series) else arb(value)


def expm1(t: Cell) -> Cell:
    """exp(t) - 1."""
    if isinstance(t, arb_series):
        return with_constant(t.exp(), t[0].expm1())
    return t.expm1()


def cellwise(function: Callable[..., Cell]) -> Enclosure:
    """The map over an array of a function of one cell and of parameters."""

    def enclosure(x: A, **params: Any) -> A:
        return x.like(filled(x.shape, [function(c, **params) for c in x.cells.ravel().tolist()]))

    return enclosure


def series_cellwise(function: Callable[..., Cell]) -> Enclosure:
    """The same on series: nothing is known of a result whose constant is not."""
    return cellwise(lambda p, **params: known(lambda q: function(q, **params))(p))
