"""Wrong enclosures are caught: each planted defect makes the checker of test_containment report an escape.

A checker that stays silent on these would prove nothing when it is silent on the table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from flint import arb
from hypothesis import find, settings
from hypothesis.errors import NoSuchExample

from harness.oracles.balls import BallArray, Undecidable, compare, filled, undecided
from harness.oracles.enclosures import ENCLOSURES
from harness.oracles.series import SERIES, SeriesArray, series_length

from .exact_results import TRIES, Try, ball_arguments, escapes


def mapped(function: Callable[[arb], arb]) -> Callable[..., BallArray]:
    def wrong(x: BallArray) -> BallArray:
        return x.like(filled(x.shape, [function(c) for c in x.cells.ravel().tolist()]))

    return wrong


def radius_dropped(name: str) -> Callable[..., BallArray]:
    def wrong(*args: Any, **params: Any) -> BallArray:
        result: BallArray = ENCLOSURES[name](*args, **params)
        return result.like(filled(result.shape, [c.mid() for c in result.cells.ravel().tolist()]))

    return wrong


def sides_by_midpoint(x: BallArray, threshold: float = 0.0) -> Any:
    """What np.where(x > 0, ...) on an object array does: an undecidable comparison counts as false."""
    return np.array([bool(c > threshold) for c in x.cells.ravel().tolist()]).reshape(x.shape)


def larger_by_midpoint(a: BallArray, b: BallArray) -> BallArray:
    left, right = np.broadcast_arrays(a.cells, b.cells)
    pairs = zip(left.ravel().tolist(), right.ravel().tolist(), strict=True)
    return a.like(filled(left.shape, [p if p.mid() > q.mid() else q for p, q in pairs]))


def sum_without_the_last(x: BallArray, *, dim: Any = None, keepdim: bool = False) -> Any:
    kept = x.cells.copy()
    kept[..., -1:] = arb(0)
    return ENCLOSURES["sum"](x.like(kept), dim=dim, keepdim=keepdim)


def softmax_with_a_lost_term(x: BallArray, *, dim: int) -> Any:
    shifted = ENCLOSURES["exp"](x)
    return shifted / (ENCLOSURES["sum"](shifted, dim=dim, keepdim=True) - arb(10) ** -30)


def scatter_that_overwrites(ct: BallArray, *, shape: Any, dim: int, index: Any) -> Any:
    kept = ct.cells.copy()
    kept[0, :2] = arb(0)  # of the three cells for one place only the last one counts
    return ENCLOSURES["gather_adjoint"](ct.like(kept), shape=shape, dim=dim, index=index)


@dataclass(frozen=True)
class Defect:
    """A wrong enclosure of a primitive, and whether it shows on fat balls only."""

    name: str
    primitive: str
    enclosure: Callable[..., Any]
    fat: bool


DEFECTS = [
    Defect("relu by np.where", "relu", lambda x: ENCLOSURES["where"](sides_by_midpoint(x), x, 0.0), fat=True),
    Defect("abs by np.where", "abs", lambda x: ENCLOSURES["where"](sides_by_midpoint(x), x, -x), fat=True),
    Defect("maximum picks a side", "maximum", larger_by_midpoint, fat=True),
    Defect("comparison by midpoint", "gt", lambda a, b: sides_by_midpoint(a - b), fat=True),
    Defect("sign by midpoint", "sign", mapped(lambda c: arb(1) if c.mid() > 0 else arb(-1)), fat=True),
    *[
        Defect(f"{name} drops the radius", name, radius_dropped(name), fat=True)
        for name in (
            "exp",
            "mul",
            "matmul",
            "sum",
            "softmax",
            "logsumexp",
            "vector_norm",
            "pow",
            "amax",
            "clamp",
            "convolution",
            "first_largest",
        )
    ],
    Defect("square of the ends only", "square", mapped(lambda c: (c.lower() ** 2).union(c.upper() ** 2)), fat=True),
    Defect("cosh of the ends only", "cosh", mapped(lambda c: c.lower().cosh().union(c.upper().cosh())), fat=True),
    Defect("tanh off by 1e-20", "tanh", mapped(lambda c: c.tanh() + arb(10) ** -20), fat=False),
    Defect("log1p in working precision of a float", "log1p", mapped(lambda c: arb(float((1 + c).log()))), fat=False),
    Defect("sum misses an element", "sum", sum_without_the_last, fat=False),
    Defect("softmax loses a term", "softmax", softmax_with_a_lost_term, fat=False),
    Defect("var divides by n", "var", lambda x, **p: ENCLOSURES["var"](x, **{**p, "correction": 0}), fat=False),
    Defect(
        "tril one diagonal up", "tril", lambda x, diagonal=0: ENCLOSURES["tril"](x, diagonal=diagonal + 1), fat=False
    ),
    Defect("gather_adjoint overwrites", "gather_adjoint", scatter_that_overwrites, fat=False),
    Defect("atan2 with its arguments swapped", "atan2", lambda a, b: ENCLOSURES["atan2"](b, a), fat=False),
    Defect("cumsum starts late", "cumsum", lambda x, *, dim: ENCLOSURES["cumsum"](x, dim=dim) - x, fat=False),
]


@pytest.mark.parametrize("defect", DEFECTS, ids=[d.name for d in DEFECTS])
def test_planted_defect_is_caught(defect: Defect) -> None:
    attempts = [t for t in TRIES if t.name == defect.primitive]
    assert any(catches(defect, attempt) for attempt in attempts)


def catches(defect: Defect, attempt: Try) -> bool:
    """Whether the checker finds an example on which the defect escapes, within the examples that a run draws."""

    def is_caught(drawn: tuple[list[Any], list[Any]]) -> bool:
        balls, points = drawn
        return bool(escapes(defect.enclosure, attempt, balls, points))

    strategy = ball_arguments(attempt, fat=defect.fat)
    try:
        find(strategy, is_caught, settings=settings(max_examples=50, deadline=None, database=None))
    except NoSuchExample:
        return False
    return True


def test_checker_is_silent_on_the_table_itself() -> None:
    sound = Defect("none", "tanh", ENCLOSURES["tanh"], fat=True)
    assert not any(catches(sound, attempt) for attempt in TRIES if attempt.name == "tanh")


def test_mask_that_forgets_the_other_branch_is_caught() -> None:
    x = BallArray.from_midpoints(np.array([0.25]), 0.5)
    a, b = BallArray.from_floats(np.array([1.0])), BallArray.from_floats(np.array([2.0]))
    with undecided("union"):
        honest = ENCLOSURES["where"](compare("gt", x, 0.0), a, b)
    planted = ENCLOSURES["where"](sides_by_midpoint(x), a, b)
    assert honest.contains(np.array([1.0])).all()
    assert honest.contains(np.array([2.0])).all()
    assert not planted.contains(np.array([1.0])).all()


def test_kink_that_the_series_would_cross_in_silence_raises() -> None:
    with series_length(2):
        x = SeriesArray.from_coefficients([BallArray.from_midpoints(0.1, 0.2), BallArray.from_floats(1.0)])
        for name in ("relu", "abs", "sign"):
            with pytest.raises(Undecidable):
                SERIES[name](x)
