"""The second order at an example that has no certificate of it: held against differences of the gradient on both sides.

Where a function is smooth and its program is not, as `exp(abs(x)) * i0e(x)` at 0, or `where(x == 0, 1, sin(x) / x)`, the
differences of the gradient tell what the second derivative is: those to one side and those to the other agree. At a true kink
of the gradient they do not, and nothing is said. What differs is a note, and a claim if it is asked for by name: who writes a
branch for zero seldom means its second order.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness.cases import Array
from harness.checking.asking import Check
from harness.checking.claims import Ask
from harness.checking.estimates import drawn_directions, slope_of
from harness.checking.report import Claim
from harness.checking.seeing import Seen
from harness.frontends import Answer
from harness.gradient_points import Point, widened
from harness.judgement import is_off_both_sides

__all__ = ["CURVATURE"]

NAME = "second order at the example"
_STEPS = (2.0**-12, 2.0**-14)


def _curvature(
    check: Check, point: Point, answer: Answer, cotangents: Sequence[Array | None], seen: Seen | None
) -> Claim | None:
    if check.surrogate or check.dtype != "float64" or check.rounding != "float64" or answer.outcome.failure is not None:
        return None
    arrays = widened(point.arrays, check.dtype)
    (along, across) = drawn_directions(check, arrays, 2)
    with check.patiently():
        outcome = check.subject.hvp(arrays, cotangents, along)
    if outcome.failure is not None or not outcome.grads:
        return None
    here = _slope_of_total(check, arrays, cotangents, across)
    sides: list[list[float]] = []
    for sign in (1.0, -1.0):
        for step in _STEPS:
            steps = iter(along)
            moved = [
                np.asarray(x + np.multiply(next(steps), sign * step), x.dtype) if w else x
                for x, w in zip(arrays, check.subject.wanted, strict=True)
            ]
            there = _slope_of_total(check, moved, cotangents, across)
            if here is None or there is None:
                return None
            sides.append([sign * (there - here) / step])
    got = slope_of(outcome.grads, across)[0]
    if is_off_both_sides(got, [s[0] for s in sides]):
        text = (
            f"<H d, u> is {got!r} at the example, where differences of the gradient tend to {float(np.mean(sides)):.4g} on "
            "both sides; the first order is right"
        )
        if check.only is not None:
            return Claim(NAME, "wrong", text, None, False)
        check.notes.append(f"{NAME}: {text}")
    return None


def _slope_of_total(
    check: Check, arrays: Sequence[Array], cotangents: Sequence[Array | None], across: Sequence[Array]
) -> float | None:
    """<gradient of <cotangents, f> + sum(f * f) / 2, across>, which is what the second order is asked of."""
    values = check.run(arrays, None)
    if values.outcome.failure is not None:
        return None
    seeds = tuple(
        None if c is None else np.asarray(np.add(c, y), c.dtype)
        for c, y in zip(cotangents, values.outcome.values, strict=True)
    )
    answer = check.run(arrays, seeds)
    if answer.outcome.failure is not None or any(
        g is not None and not np.isfinite(g).all() for g in answer.outcome.grads
    ):
        return None
    return slope_of(answer.outcome.grads, across)[0]


CURVATURE: dict[str, Ask] = {NAME: _curvature}
