"""The statistics of a paired comparison: what the times of processes before and after a change say, and what they cannot.

The unit is a pair of fresh processes, one of each side, that took turns in short blocks (before, after, after, before, ...).
Within a pair the log ratio is the median over such rounds, so that whatever slows the machine for a while falls on both
sides. Between pairs it differs by what differs between any two processes (layout of memory, hash seeds), so pairs are what
the bootstrap draws first, and rounds within them second. `decide` answers for one series, `holm` corrects over all series
of a report.

>>> [round(p, 3) for p in holm([0.01, 0.2, 0.02])]
[0.03, 0.2, 0.04]
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "ALPHA",
    "LEAST_PAIRS",
    "LEAST_ROUNDS",
    "LEVEL",
    "THRESHOLD",
    "Decision",
    "Estimate",
    "PairTimes",
    "compare_counts",
    "decide",
    "estimate",
    "exact_interval",
    "holm",
]

ALPHA = 0.01
"""Chance that a whole report of unchanged code calls any series slower or faster, by the correction."""

LEVEL = 0.95
"""Level of the intervals that are shown; each is for its series alone."""

THRESHOLD = 0.02
"""Smallest relative change that counts, unless a series has its own."""

LEAST_PAIRS = 5
LEAST_ROUNDS = 3
_POWER_QUANTILE = 0.8416  # of the normal distribution at 0.8
_RESAMPLES = 9_999
_BETWEEN = 0.01  # about how much two processes of the same code differ; it only sets weights

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PairTimes:
    """Seconds per call of the blocks of one pair of processes, in the order taken; two blocks a side make a round."""

    before: tuple[float, ...]
    after: tuple[float, ...]


class Estimate(NamedTuple):
    """A ratio over pairs of processes.

    Attributes:
        ratio: exp of the mean log ratio, pairs weighted by their rounds; nan without pairs.
        low, high: its interval at `LEVEL`; nan below `LEAST_PAIRS` pairs.
        p: of no difference, two-sided; 1.0 below `LEAST_PAIRS` pairs.
        error: standard error of the mean log ratio.
        critical: how many standard errors the level `ALPHA` over all series asks for.
        log_ratios: one a pair.
    """

    ratio: float
    low: float
    high: float
    p: float
    error: float
    critical: float
    log_ratios: tuple[float, ...]


class Decision(NamedTuple):
    """The answer for one series.

    Attributes:
        verdict: "slower", "faster", "no change" or "cannot tell".
        reason: why it cannot be told; "" otherwise.
        smallest_effect: relative change that would have been called in 8 of 10 repetitions; infinite if none would.
    """

    verdict: str
    reason: str
    smallest_effect: float


def round_ratios(pair: PairTimes) -> tuple[Floats, Floats]:
    """Log ratios after / before of the rounds of a pair, and before / before of their interleaved halves.

    A drift that is linear in time cancels in both: in a round, because the outer two blocks are of one side; in the halves,
    because the sign alternates from round to round.
    """
    rounds = min(len(pair.before), len(pair.after)) // 2
    b = np.log(_times(pair.before[: 2 * rounds])).reshape(rounds, 2)
    a = np.log(_times(pair.after[: 2 * rounds])).reshape(rounds, 2)
    ratios = (a.sum(axis=1) - b.sum(axis=1)) / 2
    gaps = (b[:, 1] - b[:, 0]) * np.where(np.arange(rounds) % 2, -1.0, 1.0)
    halves = (gaps[0 : rounds - 1 : 2] + gaps[1:rounds:2]) / 2
    return ratios[np.isfinite(ratios)], halves[np.isfinite(halves)]


def estimate(pairs: Sequence[PairTimes], *, series: int = 1, control: bool = False) -> Estimate:
    """The ratio over pairs, by a bootstrap of their studentised mean.

    Args:
        series: how many series the report has, for `Estimate.critical`.
        control: of the halves of `before` instead of `after` over `before`.
    """
    found = [
        rounds for pair in pairs if len(rounds := round_ratios(pair)[int(control)]) >= (1 if control else LEAST_ROUNDS)
    ]
    x = np.array([np.median(rounds) for rounds in found], dtype=np.float64)
    n, logs = len(x), tuple(x.tolist())
    noise = _within(found)
    weights = 1 / (_BETWEEN**2 + noise**2)
    if n < LEAST_PAIRS:
        ratio = math.exp(float(np.average(x, weights=weights))) if n else math.nan
        return Estimate(ratio, math.nan, math.nan, 1.0, math.nan, math.inf, logs)
    middles, errors = _weighted(x[None, :], weights[None, :])
    mean, error = float(middles[0]), float(errors[0])
    if error == 0:  # a clock that shows the same in every pair has told nothing about its noise
        return Estimate(math.exp(mean), math.exp(mean), math.exp(mean), 1.0, 0.0, math.inf, logs)
    draws = np.sort(_studentised(x, noise, weights, mean, max(_RESAMPLES, math.ceil(4 * series / ALPHA))))
    at_least = len(draws) - int(np.searchsorted(draws, abs(mean) / error, side="left"))
    reach = error * float(np.quantile(draws, LEVEL))
    return Estimate(
        ratio=math.exp(mean),
        low=math.exp(mean - reach),
        high=math.exp(mean + reach),
        p=(1 + at_least) / (1 + len(draws)),
        error=error,
        critical=float(np.quantile(draws, 1 - ALPHA / series, method="higher")),
        log_ratios=logs,
    )


def decide(found: Estimate, control: Estimate, p_adjusted: float, *, threshold: float) -> Decision:
    """Slower or faster if it is significant over the whole report and at least `threshold`; no change if all of the
    interval is within `threshold`; otherwise it cannot be told.

    Args:
        p_adjusted: `found.p` after `holm`.
        threshold: smallest relative change that counts, such as 0.02.
    """
    limit = math.log1p(threshold)
    n = len(found.log_ratios)
    if n < LEAST_PAIRS:
        return Decision("cannot tell", f"only {n} pairs of processes gave times, {LEAST_PAIRS} are needed", math.nan)
    if found.error == 0:
        return Decision(
            "cannot tell", "all pairs of processes gave the very same ratio: the clock is too coarse", math.nan
        )
    smallest = math.inf  # so few pairs, that over so many series nothing is significant
    if math.isfinite(found.critical):
        smallest = math.expm1(max(limit, found.critical * found.error) + _POWER_QUANTILE * found.error)
    drift = math.log(control.ratio) if control.ratio > 0 else math.nan
    if control.p <= ALPHA and abs(drift) > limit / 2:
        reason = f"the control moved by {100 * math.expm1(drift):+.1f} %: before was not equal to itself"
        return Decision("cannot tell", reason, smallest)
    change = math.log(found.ratio)
    if p_adjusted <= ALPHA and abs(change) >= limit:
        return Decision("slower" if change > 0 else "faster", "", smallest)
    if -limit < math.log(found.low) and math.log(found.high) < limit:
        return Decision("no change", "", smallest)
    low, high = 100 * (found.low - 1), 100 * (found.high - 1)
    return Decision("cannot tell", f"{low:+.1f} to {high:+.1f} %: the times vary too much", smallest)


def holm(ps: Sequence[float]) -> list[float]:
    """p-values corrected for all of them together (Holm, A simple sequentially rejective multiple test procedure, 1979)."""
    corrected = [1.0] * len(ps)
    largest = 0.0
    for rank, i in enumerate(sorted(range(len(ps)), key=lambda i: ps[i])):
        largest = max(largest, min(1.0, (len(ps) - rank) * ps[i]))
        corrected[i] = largest
    return corrected


def compare_counts(before: dict[str, int], after: dict[str, int], names: Sequence[str]) -> str:
    """ "same", "more" (some grew, none shrank), "fewer", "other" (both), or "not counted" (no count is on both sides)."""
    shared = [name for name in names if name in before and name in after]
    if not shared:
        return "not counted"
    grown = any(after[name] > before[name] for name in shared)
    shrunk = any(after[name] < before[name] for name in shared)
    return {(False, False): "same", (True, False): "more", (False, True): "fewer", (True, True): "other"}[grown, shrunk]


def exact_interval(hits: int, n: int, *, level: float = LEVEL) -> tuple[float, float]:
    """The interval of a rate of which `hits` of `n` were seen, that covers it at least with that level.

    Source: Clopper and Pearson, The use of confidence or fiducial limits, Biometrika 26 (1934).

    >>> [round(end, 4) for end in exact_interval(0, 100)], [round(end, 4) for end in exact_interval(95, 100)]
    ([0.0, 0.0362], [0.8872, 0.9836])

    Raises:
        ValueError: `hits` is not between 0 and `n`, or `n` is 0.
    """
    if n < 1 or not 0 <= hits <= n:
        raise ValueError(f"hits is {hits} of n = {n}")
    tail = (1 - level) / 2
    low = 0.0 if hits == 0 else _solve(lambda p: 1 - _at_most(hits - 1, n, p) - tail)
    high = 1.0 if hits == n else _solve(lambda p: tail - _at_most(hits, n, p))
    return low, high


def _solve(rising: Callable[[float], float]) -> float:
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if rising(middle) > 0 else (middle, high)
    return (low + high) / 2


def _at_most(hits: int, n: int, p: float) -> float:
    if p <= 0 or p >= 1:
        return 1.0 if p <= 0 or hits >= n else 0.0
    whole = math.lgamma(n + 1)
    logs = [
        whole - math.lgamma(k + 1) - math.lgamma(n - k + 1) + k * math.log(p) + (n - k) * math.log1p(-p)
        for k in range(hits + 1)
    ]
    return math.fsum(map(math.exp, logs))


def _times(seconds: Sequence[float]) -> Floats:
    """The times; one that no clock can show is nan, and its round is left out."""
    x = np.asarray(seconds, dtype=np.float64)
    return np.where(np.isfinite(x) & (x > 0), x, np.nan)


def _within(rounds: Sequence[Floats]) -> Floats:
    """Standard error of each pair's median, from the spread of rounds that is usual over all pairs: a pair that a busy
    machine gave three rounds is less certain than one of a hundred, whatever its three say."""
    spreads = [float(r.std(ddof=1)) for r in rounds if len(r) > 1]
    usual = 1.25 * float(np.median(spreads)) if spreads else 0.0  # of a median, with normal noise
    return np.array([usual / math.sqrt(len(r)) for r in rounds], dtype=np.float64)


def _weighted(x: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Weighted means of rows, and their standard errors."""
    share = weights / weights.sum(axis=1, keepdims=True)
    mean = (share * x).sum(axis=1)
    n = x.shape[1]
    variance = (share**2 * (x - mean[:, None]) ** 2).sum(axis=1) * n / (n - 1)
    return mean, np.sqrt(variance)


def _studentised(x: Floats, noise: Floats, weights: Floats, mean: float, resamples: int) -> Floats:
    """Absolute studentised means of bootstrap samples around the mean, one a resample.

    Two levels are drawn: pairs, and within each drawn pair what its median owes to its rounds. Drawing few pairs alone would
    often draw one of them again and again, which has no spread, and would then see nothing.
    """
    rng = np.random.default_rng(len(x))
    picks = rng.integers(0, len(x), size=(resamples, len(x)))
    drawn = x[picks] + noise[picks] * rng.standard_normal(picks.shape)
    means, errors = _weighted(drawn, weights[picks])
    gap = np.abs(means - mean)
    return np.asarray(np.divide(gap, errors, out=np.full_like(gap, np.inf), where=errors > 0), dtype=np.float64)
