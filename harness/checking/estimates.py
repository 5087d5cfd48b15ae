"""Judge a gradient by difference quotients, with an error estimate that holds the function's own noise."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from harness.cases import Array, Outcome
from harness.checking.asking import Check, failure_of, largest_of
from harness.frontends import Answer
from harness.judgement import SURE, UNITS, Verdict, is_symmetric, judge_against_estimates, room_for_rounding
from harness.oracles.certificate import direction
from harness.oracles.finite_differences import Estimate, derivative

__all__ = [
    "DIRECTIONS",
    "Ray",
    "drawn_directions",
    "judge_by_quotients",
    "located",
    "rounding_room",
    "slope_of",
    "unit_directions",
]

ELEMENTWISE = 40
DIRECTIONS = 6


class Ray:
    """A function along a direction from a point, seen through <cotangents, f> for several cotangents at once.

    The function is the judged one, or what `ask` gives as values.
    """

    def __init__(
        self,
        check: Check,
        arrays: Sequence[Array],
        along: Sequence[Array],
        cotangents: Sequence[Sequence[Array | None]],
        ask: Callable[[Sequence[Array]], Outcome] | None = None,
    ) -> None:
        self.check = check
        self.ask = ask or check.values
        self.arrays = arrays
        self.along = along
        self.cotangents = cotangents
        self.seen: dict[float, tuple[tuple[float, float], ...]] = {}
        self.reach = max(largest_of(check.moving(arrays)), 1e-3)

    def moved(self, t: Any, dtype: Any = None) -> list[Array]:
        """The arrays a step t along the direction, in another dtype if one is named."""
        steps = iter(self.along)
        return [
            np.asarray(x.astype(np.float64) + t * next(steps)).astype(dtype or x.dtype) if w else x
            for x, w in zip(self.arrays, self.check.subject.wanted, strict=True)
        ]

    def totals(self, t: float) -> tuple[tuple[float, float], ...]:
        """For each of the cotangents the value of <cotangents, f> at a step t, and the magnitude of its terms."""
        if t not in self.seen:
            outcome = self.ask(self.moved(t))
            if outcome.failure is not None:
                self.seen[t] = ((math.nan, math.nan),) * len(self.cotangents)
            else:
                self.seen[t] = tuple(_total(cts, outcome.values) for cts in self.cotangents)
        return self.seen[t]

    def unit(self, k: int = 0) -> float:
        """The unit in the last place that the function rounds to, by its noise; at least that of its dtype."""
        unit = UNITS[self.check.dtype]
        magnitude = self.totals(0.0)[k][1]
        noise = 0.0
        for step in (unit * 2.0**8, 2.0**-18, 2.0**-9):
            values = [self.totals(j * step * self.reach)[k][0] for j in range(-4, 5)]
            noise = _noise(values)
            if len(set(values)) > 3:
                break
            # Rounded to a narrower type on the way, the function is a staircase; longer steps show its noise.
        return max(unit, noise / magnitude if magnitude else 0.0)

    def slope(self, k: int = 0) -> Estimate:
        """Estimate the derivative of <cotangents, f> for the k-th cotangents, with the function's noise in the error."""
        if not math.isfinite(self.totals(0.0)[k][0]):
            return derivative(lambda t: self.totals(t)[k])
        factor = self.unit(k) / UNITS["float64"]

        def noisy(t: float) -> tuple[float, float]:
            value, size = self.totals(t)[k]
            return value, size * factor

        return derivative(noisy, scales=(max(self.reach, 1.0), self.reach))


def _total(cotangents: Sequence[Array | None], values: Sequence[Array]) -> tuple[float, float]:
    with np.errstate(all="ignore"):
        pairs = zip(cotangents, values, strict=True)
        terms = [np.multiply(c, y, dtype=np.float64) for c, y in pairs if c is not None]
        return float(sum(np.sum(p) for p in terms)), float(sum(np.sum(np.abs(p)) for p in terms))


def slope_of(grads: Sequence[Array | None], along: Sequence[Array]) -> tuple[float, float]:
    """<gradient, direction>, and the magnitude of its terms; no gradient is one of zeros."""
    with np.errstate(all="ignore"):
        pairs = zip(grads, along, strict=True)
        terms = [np.multiply(g, d, dtype=np.float64) for g, d in pairs if g is not None]
        return math.fsum(float(np.sum(p)) for p in terms), math.fsum(float(np.sum(np.abs(p))) for p in terms)


def drawn_directions(check: Check, arrays: Sequence[Array], count: int) -> list[list[Array]]:
    """Random directions for the wanted arrays; symmetric where those are, for a function of symmetric matrices is defined
    on those alone."""
    moving = check.moving(arrays)
    symmetric = [is_symmetric(x) for x in moving]
    directions: list[list[Array]] = []
    for _ in range(count):
        drawn = [np.asarray(direction(x.shape, check.rng)) for x in moving]
        directions.append(
            [np.asarray(np.add(d, d.swapaxes(-1, -2))) if s else d for d, s in zip(drawn, symmetric, strict=True)]
        )
    return directions


def judge_by_quotients(
    check: Check,
    arrays: Sequence[Array],
    answer: Answer | None,
    cotangents: Sequence[Array | None],
    *,
    elementwise: bool = False,
    directions: int = DIRECTIONS,
) -> tuple[Verdict, float]:
    """Judge the gradient at a point by difference quotients; return the digits that they have, too."""
    answer = answer or check.run(arrays, cotangents)
    moving = check.moving(arrays)
    if answer.outcome.failure is not None:
        return Verdict("inconclusive", "vjp", reason=failure_of(answer)), 0.0
    units = unit_directions(moving) if elementwise else []
    elementwise = bool(units)
    rays = units or drawn_directions(check, arrays, directions)
    values, errors, slopes = [], [], []
    for along in rays:
        if check.late():
            break
        estimate = Ray(check, arrays, along, [cotangents]).slope()
        values.append(estimate.value)
        errors.append(estimate.error)
        slopes.append(slope_of(answer.outcome.grads, along)[0])
    room = rounding_room(check, arrays, answer, cotangents)
    rooms = np.maximum(errors, room / SURE)
    verdict = judge_against_estimates("vjp", [np.array(slopes)], [np.array(values)], [rooms])
    if elementwise:
        verdict = located(check, verdict, moving)
    scale = max(map(abs, values), default=0.0)
    sure = [e for e in errors if math.isfinite(e) and scale and e < scale]
    return verdict, -math.log10(max(sure) / scale) if sure and scale and max(sure) > 0 else 16.0


def rounding_room(check: Check, arrays: Sequence[Array], answer: Answer, cotangents: Sequence[Array | None]) -> float:
    """How far off rounding may leave a gradient, by the largest number in sight: a cancelled one is all rounding."""
    numbers = (*arrays, *cotangents, *answer.outcome.values, *answer.outcome.grads)
    return room_for_rounding(largest_of(numbers), UNITS[check.rounding])


def unit_directions(moving: Sequence[Array]) -> list[list[Array]]:
    """One direction an element; none if there are many, or if a function of symmetric matrices would leave them."""
    if sum(x.size for x in moving) > ELEMENTWISE or any(is_symmetric(x) for x in moving):
        return []
    directions: list[list[Array]] = []
    for i, x in enumerate(moving):
        for k in range(x.size):
            d: list[Array] = [np.zeros(y.shape) for y in moving]
            d[i].flat[k] = 1.0
            directions.append(d)
    return directions


def located(check: Check, verdict: Verdict, moving: Sequence[Array]) -> Verdict:
    """A disagreement along unit directions, told as one about an element."""
    if verdict.worst is None:
        return verdict
    k = verdict.worst.index[0]
    for label, x in zip(check.asked, moving, strict=True):
        if k < x.size:
            at = tuple(int(j) for j in np.unravel_index(k, x.shape))
            text = f"gradient of {label}, element {at} is {verdict.worst.got!r}"
            return replace(verdict, reason=f"{text}, estimate {verdict.worst.true!r} +/- {verdict.worst.bound:.2g}")
        k -= x.size
    raise IndexError(verdict.worst.index)


def _noise(values: Sequence[float]) -> float:
    """The noise level of a function from values at neighbouring points: what no smooth function does between them.

    Source: J. J. More and S. M. Wild, Estimating computational noise, SIAM J. Sci. Comput. 33 (2011) 1292-1314.
    """
    table = np.array(values)
    if not np.isfinite(table).all():
        return math.inf
    levels = []
    gamma = 1.0
    for k in range(1, len(values) - 2):
        table = np.diff(table)
        gamma *= 0.5 * k / (2 * k - 1)
        levels.append(math.sqrt(gamma * float(np.mean(table**2))))
    return min(levels[-2:])
