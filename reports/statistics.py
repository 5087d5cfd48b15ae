"""Statistics of times: medians with spread, and ratios with an interval that says what effect could have been seen.

Times have long upper tails, so everything here rests on medians. Ratios are taken sample by sample where both sides
were measured in the same interleaving round, because a slow moment of the machine then slows both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Ratio", "Spread", "pair", "paired_ratio", "ratio", "spread", "unpaired_ratio"]

_RESAMPLES = 2000
_LEVEL = 0.95


class Spread(NamedTuple):
    """Median, quartiles and smallest of n samples, in the samples' unit."""

    n: int
    median: float
    q25: float
    q75: float
    smallest: float

    @property
    def iqr(self) -> float:
        """Distance between the quartiles."""
        return self.q75 - self.q25


class Ratio(NamedTuple):
    """A ratio of times with its 95 % bootstrap interval.

    Attributes:
        median: the ratio.
        low, high: ends of the interval; nan with fewer than two samples.
        n: pairs, or samples of the smaller side where `paired` is false.
        paired: whether it is the median of ratios within rounds, or the ratio of medians.
    """

    median: float
    low: float
    high: float
    n: int
    paired: bool

    @property
    def resolution(self) -> float:
        """Half the interval relative to the ratio: a smaller change than this could not have been seen."""
        return (self.high - self.low) / 2 / self.median


def spread(samples: Sequence[float]) -> Spread:
    """Summarise samples.

    Raises:
        ValueError: there are none.
    """
    if len(samples) == 0:
        raise ValueError("samples is empty: nothing was measured")
    q25, median, q75 = np.quantile(np.asarray(samples, dtype=np.float64), [0.25, 0.5, 0.75])
    return Spread(len(samples), float(median), float(q25), float(q75), float(np.min(samples)))


def ratio(
    numerator: Sequence[float],
    denominator: Sequence[float],
    *,
    numerator_rounds: Sequence[int] = (),
    denominator_rounds: Sequence[int] = (),
) -> Ratio:
    """The ratio of two series of times: paired where they share at least two rounds, unpaired otherwise."""
    a, b = pair(numerator, numerator_rounds, denominator, denominator_rounds)
    return paired_ratio(a, b) if len(a) >= 2 else unpaired_ratio(numerator, denominator)


def pair(
    a: Sequence[float], a_rounds: Sequence[int], b: Sequence[float], b_rounds: Sequence[int]
) -> tuple[list[float], list[float]]:
    """The samples of both series in the rounds that both have, in order of the rounds."""
    in_a, in_b = dict(zip(a_rounds, a, strict=False)), dict(zip(b_rounds, b, strict=False))
    shared = sorted(in_a.keys() & in_b.keys())
    return [in_a[r] for r in shared], [in_b[r] for r in shared]


def paired_ratio(numerator: Sequence[float], denominator: Sequence[float], *, seed: int = 0) -> Ratio:
    """Median of the ratios within pairs, with a bootstrap over pairs.

    Raises:
        ValueError: the series are empty or differ in length.
    """
    if len(numerator) != len(denominator):
        raise ValueError(f"numerator has {len(numerator)} samples, denominator has {len(denominator)}")
    if len(numerator) == 0:
        raise ValueError("numerator is empty: nothing was measured")
    ratios = np.asarray(numerator, dtype=np.float64) / np.asarray(denominator, dtype=np.float64)
    rng = np.random.default_rng(seed)
    low, high = _interval(_resampled_medians(ratios, rng)) if len(ratios) > 1 else (np.nan, np.nan)
    return Ratio(float(np.median(ratios)), float(low), float(high), len(ratios), True)


def unpaired_ratio(numerator: Sequence[float], denominator: Sequence[float], *, seed: int = 0) -> Ratio:
    """Ratio of the medians, with a bootstrap of both sides on their own.

    Raises:
        ValueError: a series is empty.
    """
    for name, samples in (("numerator", numerator), ("denominator", denominator)):
        if len(samples) == 0:
            raise ValueError(f"{name} is empty: nothing was measured")
    a, b = np.asarray(numerator, dtype=np.float64), np.asarray(denominator, dtype=np.float64)
    rng = np.random.default_rng(seed)
    n = min(len(a), len(b))
    low, high = _interval(_resampled_medians(a, rng) / _resampled_medians(b, rng)) if n > 1 else (np.nan, np.nan)
    return Ratio(float(np.median(a) / np.median(b)), float(low), float(high), n, False)


def _resampled_medians(values: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    picks = rng.integers(0, len(values), size=(_RESAMPLES, len(values)))
    return np.asarray(np.median(values[picks], axis=1), dtype=np.float64)


def _interval(values: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return float(low), float(high)
