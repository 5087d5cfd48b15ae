"""Judge a gradient by difference quotients, with an error estimate that holds the function's own noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from harness.cases import Array
from harness.checking.asking import Check, failure_of, largest_of
from harness.frontends import Answer
from harness.judgement import Verdict, judge_against_estimates
from harness.oracles.certificate import direction
from harness.oracles.finite_differences import derivative

__all__ = ["is_symmetric", "judge_by_quotients"]

ELEMENTWISE = 40
DIRECTIONS = 6


def judge_by_quotients(
    check: Check,
    arrays: Sequence[Array],
    answer: Answer | None,
    cotangents: Sequence[Array | None],
    *,
    elementwise: bool = False,
) -> tuple[Verdict, float]:
    """Judge the gradient at a point by difference quotients; return the digits that they have, too."""
    answer = answer or check.run(arrays, cotangents)
    moving = check.moving(arrays)
    if answer.outcome.failure is not None:
        return Verdict("inconclusive", "vjp", reason=failure_of(answer)), 0.0
    grads = [np.zeros(x.shape) if g is None else g for g, x in zip(answer.outcome.grads, moving, strict=True)]
    size = sum(x.size for x in moving)
    directions: list[list[Any]] = []
    symmetric = [is_symmetric(x) for x in moving]
    elementwise = elementwise and size <= ELEMENTWISE and not any(symmetric)
    if elementwise:
        for i, x in enumerate(moving):
            for k in range(x.size):
                d: list[Any] = [np.zeros(y.shape) for y in moving]
                d[i].flat[k] = 1.0
                directions.append(d)
    else:
        for _ in range(DIRECTIONS):
            drawn: list[Any] = [np.asarray(direction(x.shape, check.rng)) for x in moving]
            # A function of symmetric matrices is defined on those alone.
            directions.append([d + d.swapaxes(-1, -2) if s else d for d, s in zip(drawn, symmetric, strict=True)])
    values, errors, slopes = [], [], []
    for along in directions:
        if check.late():
            break
        estimate = _slope(check, arrays, cotangents, along)
        values.append(estimate.value)
        errors.append(estimate.error)
        slopes.append(
            math.fsum(float(np.sum(np.multiply(g, e, dtype=np.float64))) for g, e in zip(grads, along, strict=True))
        )
    verdict = judge_against_estimates("vjp", [np.array(slopes)], [np.array(values)], [np.array(errors)])
    if verdict.worst is not None and elementwise:
        k = verdict.worst.index[0]
        for label, x in zip(check.asked, moving, strict=True):
            if k < x.size:
                at = tuple(int(j) for j in np.unravel_index(k, x.shape))
                text = f"gradient of {label}, element {at} is {verdict.worst.got!r}"
                verdict = replace(
                    verdict, reason=f"{text}, estimate {verdict.worst.true!r} +/- {verdict.worst.bound:.2g}"
                )
                break
            k -= x.size
    scale = max(map(abs, values), default=0.0)
    sure = [e for e in errors if math.isfinite(e) and scale and e < scale]
    return verdict, -math.log10(max(sure) / scale) if sure and scale and max(sure) > 0 else 16.0


def _slope(check: Check, arrays: Sequence[Array], cotangents: Sequence[Array | None], along: Sequence[Any]) -> Any:
    """Estimate the derivative of <cotangents, f> along a direction, with an error that the function's noise is in."""

    def total(t: float) -> tuple[float, float]:
        steps = iter(along)
        moved = [
            (x.astype(np.float64) + t * next(steps)).astype(x.dtype) if w else x
            for x, w in zip(arrays, check.subject.wanted, strict=True)
        ]
        outcome = check.run(moved, None).outcome
        if outcome.failure is not None:
            return math.nan, math.nan
        with np.errstate(all="ignore"):
            terms = [
                np.multiply(c, y, dtype=np.float64)
                for c, y in zip(cotangents, outcome.values, strict=True)
                if c is not None
            ]
            value = float(sum(np.sum(p) for p in terms))
            return value, float(sum(np.sum(np.abs(p)) for p in terms))

    centre, magnitude = total(0.0)
    if not math.isfinite(centre):
        return derivative(total)
    unit = float(np.finfo(check.dtype).eps)
    reach = max(largest_of(check.moving(arrays)), 1e-3)
    noise = 0.0
    for step in (unit * 2.0**8, 2.0**-18, 2.0**-9):
        values = [total(k * step * reach)[0] for k in range(-4, 5)]
        noise = _noise(values)
        if len(set(values)) > 3:
            break
        # Rounded to a narrower type on the way, the function is a staircase; longer steps show its noise.
    factor = max(unit, noise / magnitude if magnitude else 0.0) / 2.0**-52

    def noisy(t: float) -> tuple[float, float]:
        value, size = total(t)
        return value, size * factor

    return derivative(noisy, scales=(max(reach, 1.0), reach))


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


def is_symmetric(x: Array) -> bool:
    """Whether the array holds symmetric matrices of more than one row."""
    return x.ndim >= 2 and x.shape[-1] == x.shape[-2] > 1 and np.array_equal(x, x.swapaxes(-1, -2))
