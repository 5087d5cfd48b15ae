"""Steps in histories: when a series of times became slower or faster for good, and what is only noise.

`find_steps` looks at each series on its own; `steps_of` looks at a whole history and tells the steps of single series from
those that many series took on the same night, which is what a new compiler or another machine looks like.

The rule is a moving window on the logarithm of the times: the median of `AFTER` moments against the median of up to
`BEFORE` moments before them. A step is flagged where the medians differ by at least

- `LEAST` (7 %), so that it matters,
- `NOISE` robust standard deviations of the moments before,
- `WANDER` times the furthest that any `AFTER` consecutive moments before have wandered off, which is what keeps series with a
  memory quiet,

and where all but one of the moments after lie beyond the outer tenth of those before. Its place is where two medians fit best.
Moving windows on both sides of a candidate are how Mozilla's Perfherder alerts; means and Student's t are replaced by
medians and ranges, because times have outliers. The three constants were chosen on one half of the tools of GradBench's
nightly table; how often the rule is wrong on the other half is measured: `suites/benchmarks/history_rates.py`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

__all__ = ["AFTER", "BEFORE", "COMMON_SHARE", "LEAST", "RATES", "RULE", "Rule", "Step", "find_steps", "steps_of"]

BEFORE, FEWEST_BEFORE, AFTER = 20, 10, 5
LEAST = 0.07
NOISE = 2.0
WANDER = 1.75
COMMON_SHARE = 0.05
"""A step is common if so large a share of all series measured then step within a moment of it, the same way or not."""

RATES = (
    "(measured on 6,284 series of unchanged code, 30 and 51 nights, with constants chosen on other tools: 1.7 % have a step "
    "of their own, and 83 % of planted +10 % steps are placed within a night, five nights after them)"
)

Floats = NDArray[np.float64]


class Rule(NamedTuple):
    """What it takes to be a step: see the head of this module."""

    least: float = LEAST
    noise: float = NOISE
    wander: float = WANDER


RULE = Rule()


class Step(NamedTuple):
    """A step of one series.

    Attributes:
        at: index of the first time after it.
        before, after: median times on both sides, in the series' unit.
        noise: robust standard deviation before it, relative.
        error: standard error of the logarithm of after / before, as if moments were independent.
    """

    at: int
    before: float
    after: float
    noise: float
    error: float

    @property
    def change(self) -> float:
        """Relative change: 0.1 is 10 % slower."""
        return self.after / self.before - 1

    @property
    def interval(self) -> tuple[float, float]:
        """Where the relative change lies, at 95 % if moments are independent and normal."""
        reach = float(np.exp(1.96 * self.error))
        return (1 + self.change) / reach - 1, (1 + self.change) * reach - 1


def find_steps(times: Floats, rule: Rule = RULE) -> list[Step]:
    """The steps of one series, oldest first; times that are no times (nan, zero, negative, infinite) are passed over.

    Args:
        times: one time a moment, in order.
    """
    values = np.asarray(times, dtype=np.float64)
    good = np.flatnonzero(np.isfinite(values) & (values > 0))
    logs = np.log(values[good])
    found = [
        Step(int(good[k]), float(np.exp(low)), float(np.exp(high)), noise, _error(noise, behind))
        for k, low, high, noise, behind in _split(logs, 0, rule)
    ]
    return sorted(found)


def steps_of(history: pd.DataFrame, rule: Rule = RULE) -> pd.DataFrame:
    """The steps of all series of a history.

    Args:
        history: columns series, moment (sortable), seconds; one line a series and moment, or the median is taken. Other
            columns are ignored, but for `revision` and `conditions`: a series is taken apart where its conditions differ.

    Columns: series, conditions, moment (first after the step), revision (of that moment; "" if unknown), revision_before,
    before_seconds, after_seconds, change, low and high (its interval, see `Step.interval`), noise (relative), common, moments
    (that the series has). Largest change first, common steps last.
    """
    frame = history.assign(conditions=history.get("conditions", ""))
    frame = frame.assign(revision=frame.get("revision", ""))
    keys = ["series", "conditions"]
    ordered = frame.sort_values([*keys, "moment"], kind="stable")
    grouped = ordered.groupby([*keys, "moment"], observed=True, sort=True)
    points = grouped.agg(seconds=("seconds", "median"), revision=("revision", "first")).reset_index()
    found = []
    for key, part in points.groupby(keys, observed=True, sort=True):
        if len(part) >= FEWEST_BEFORE + AFTER:
            moments, revisions = part["moment"].to_numpy(), part["revision"].to_numpy()
            found += [
                [
                    *key,
                    moments[s.at],
                    revisions[s.at],
                    revisions[s.at - 1],
                    s.before,
                    s.after,
                    s.change,
                    *s.interval,
                    s.noise,
                    len(part),
                ]
                for s in find_steps(part["seconds"].to_numpy(dtype=np.float64), rule)
            ]
    names = [
        "series",
        "conditions",
        "moment",
        "revision",
        "revision_before",
        "before_seconds",
        "after_seconds",
        "change",
    ]
    table = pd.DataFrame(found, columns=[*names, "low", "high", "noise", "moments"])
    table["common"] = _common(table, points)
    order = table.assign(size=np.abs(np.log1p(table["change"].to_numpy(dtype=np.float64))))
    order = order.sort_values(["common", "size"], ascending=[True, False], kind="stable")
    return order.drop(columns="size").reset_index(drop=True)


def _error(noise: float, behind: int) -> float:
    """Standard error of the difference of both medians; 1.2533 is what a median loses against a mean of normal noise."""
    return 1.2533 * noise * float(np.sqrt(1 / behind + 1 / AFTER))


def _split(logs: Floats, start: int, rule: Rule) -> list[tuple[int, float, float, float, int]]:
    """The steps of a segment: the clearest one, and those of the segments on both sides of it."""
    if len(logs) < FEWEST_BEFORE + AFTER:
        return []
    step = _clearest(logs, rule)
    if step is None:
        return []
    k, low, high, noise, behind = step
    return [*_split(logs[:k], start, rule), (start + k, low, high, noise, behind), *_split(logs[k:], start + k, rule)]


def _clearest(logs: Floats, rule: Rule) -> tuple[int, float, float, float, int] | None:
    """Place, both medians, the noise and the moments before of the step that stands out most, if any does."""
    places = np.arange(FEWEST_BEFORE, len(logs) - AFTER + 1)
    padded = np.concatenate([np.full(BEFORE, np.nan), logs])
    before = sliding_window_view(padded, BEFORE)[places]  # the first of them begin with nan, which sorts to the end
    after = sliding_window_view(logs, AFTER)[places]
    counts = np.minimum(places, BEFORE)
    low = _quantile(before, counts, 0.5)
    noise = 1.4826 * _quantile(np.abs(before - low[:, None]), counts, 0.5)
    levels = np.sort(sliding_window_view(before, AFTER, axis=1), axis=2)
    levels = np.where(np.isnan(levels[:, :, -1]), low[:, None], levels[:, :, AFTER // 2])
    wander = np.abs(levels - low[:, None]).max(axis=1)
    high = np.median(after, axis=1)
    change = high - low
    up = np.where(change > 0, 1.0, -1.0)[:, None]
    edge = _quantile(up * before, counts, 0.9)
    beyond = np.sort(up * after, axis=1)[:, 1] > edge
    least = np.maximum(np.log1p(rule.least), np.maximum(rule.noise * noise, rule.wander * wander))
    clear = np.where(beyond & (np.abs(change) >= least), np.abs(change), 0.0)
    best = int(np.argmax(clear))
    if clear[best] == 0:
        return None
    k = _placed(logs, int(places[best]))
    return k, float(low[best]), float(high[best]), float(noise[best]), int(counts[best])


def _quantile(rows: Floats, counts: NDArray[np.intp], q: float) -> Floats:
    """A quantile of the first `counts` sorted values of each row; nan sorts to the end and is not among them."""
    ordered = np.sort(rows, axis=1)
    place = q * (counts - 1)
    whole = place.astype(np.intp)
    lines = np.arange(len(rows))
    left, right = ordered[lines, whole], ordered[lines, np.minimum(whole + 1, counts - 1)]
    return np.asarray(left + (place - whole) * (right - left), dtype=np.float64)


def _placed(logs: Floats, k: int) -> int:
    """Where near `k` two medians fit best, by the sum of absolute deviations."""
    first, last = max(0, k - FEWEST_BEFORE), min(len(logs), k + AFTER + 2)
    costs = {
        j: sum(float(np.abs(part - np.median(part)).sum()) for part in (logs[first:j], logs[j:last]))
        for j in range(max(first + 3, k - 2), min(last - 2, k + 3))
    }
    return min(costs, key=lambda j: (costs[j], abs(j - k)))


def _common(steps: pd.DataFrame, points: pd.DataFrame) -> list[bool]:
    """Whether each step is one of many on its moment, the one before or the one after."""
    moments = sorted(points["moment"].unique())
    place = {moment: i for i, moment in enumerate(moments)}
    series = points.drop_duplicates(["series", "conditions", "moment"]).groupby("moment", observed=True).size()
    here = np.zeros(len(moments) + 2)
    for moment in steps["moment"]:
        here[place[moment] + 1] += 1
    near = here[:-2] + here[1:-1] + here[2:]
    total = series.reindex(moments).to_numpy(dtype=np.float64)
    # Of two or three series that step together nobody can say that it was the machine.
    many = (near >= COMMON_SHARE * total) & (near >= 10)
    return [bool(many[place[moment]]) for moment in steps["moment"]]
