"""Judging what pytest-benchmark has saved: files from before a change against files from after it, of any project.

`read_file` reads one JSON file (`--benchmark-json`, `--benchmark-save`), `compare_files` answers for each benchmark slower,
faster, no change or cannot tell, as rows that the gate of `adjudge bench --against` understands, too.

A file is one process, and two processes of the same code differ. With several files a side that is measured; what is not
measured is assumed: `SPREAD`, 2 %, or as much as the medians of stretches of the file itself differ, where it has its rounds.
So one file a side can only call large changes, and says how large; one that was taken while the machine changed its pace can
call none but the largest.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.comparison import ALPHA, LEVEL, THRESHOLD, Decision, Estimate, decide, holm
from harness.records import ComparisonRow, open_file

__all__ = ["SPREAD", "BenchmarkFile", "BenchmarkFileError", "compare_files", "read_file"]

SPREAD = 0.02
"""How much the medians of two processes of the same code differ at least (standard deviation, relative)."""


_STRETCHES = 8


class BenchmarkFileError(ValueError):
    """A file cannot be read or is none of pytest-benchmark's; the message names it and says why."""


@dataclass(frozen=True)
class _Times:
    """One benchmark in one file: the median of its rounds, the error of that median (relative), and what it ran under.

    `drift` is how much the medians of its stretches differ (standard deviation, relative); 0 where rounds are not known.
    """

    median: float
    error: float
    drift: float
    rounds: int
    conditions: Mapping[str, Any]


@dataclass(frozen=True)
class BenchmarkFile:
    """One file.

    Attributes:
        name: its path.
        commit: the commit that it says, shortened; the path if it says none.
        machine: processor and machine type that it says.
        python: the implementation and version of Python.
        benchmarks: by full name.
    """

    name: str
    commit: str
    machine: str
    python: str
    benchmarks: Mapping[str, _Times]


def read_file(path: str | os.PathLike[str]) -> BenchmarkFile:
    """Read a file.

    Raises:
        BenchmarkFileError: it is missing, cut short, or none of pytest-benchmark's.
    """
    name = os.fspath(path)
    try:
        with open_file(name) as file:
            data = json.load(file)
        machine, commit = data.get("machine_info") or {}, data.get("commit_info") or {}
        return BenchmarkFile(
            name=name,
            commit=commit["id"][:10] + "+" * bool(commit.get("dirty")) if commit.get("id") else name,
            machine=" ".join(filter(None, ((machine.get("cpu") or {}).get("brand_raw"), machine.get("machine")))),
            python=" ".join(filter(None, (machine.get("python_implementation"), machine.get("python_version")))),
            benchmarks={_name(one["fullname"]): _times(one) for one in data["benchmarks"]},
        )
    except FileNotFoundError:
        raise BenchmarkFileError(f"{name}: no such file") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise BenchmarkFileError(f"{name}: not a file of pytest-benchmark's: {reason}") from error


def compare_files(
    before: Sequence[BenchmarkFile],
    after: Sequence[BenchmarkFile],
    *,
    run_id: str,
    threshold: Mapping[str, float] | None = None,
) -> tuple[tuple[ComparisonRow, ...], tuple[str, ...]]:
    """The answers for all benchmarks that both sides have, and a sentence for each that one side lacks.

    Args:
        threshold: smallest relative change that counts, by benchmark; 2 % for those that are not named.

    Raises:
        ValueError: a side has no file.
    """
    if not before or not after:
        raise ValueError("a comparison needs at least one file before and one after")
    names = {side: dict.fromkeys(n for f in files for n in f.benchmarks) for side, files in enumerate((before, after))}
    shared = [name for name in names[0] if name in names[1]]
    left_out = [f"{name}: only before" for name in names[0] if name not in names[1]]
    left_out += [f"{name}: only after" for name in names[1] if name not in names[0]]
    estimates = [_estimate(_of(before, name), _of(after, name), len(shared)) for name in shared]
    adjusted = holm([found.p for found in estimates])
    rows = []
    for name, found, p_adjusted in zip(shared, estimates, adjusted, strict=True):
        limit = (threshold or {}).get(name, THRESHOLD)
        olds, news = _of(before, name), _of(after, name)
        decision = _decide(found, p_adjusted, limit, _difference(before, after, olds, news))
        extra = olds[0].conditions
        row = ComparisonRow(
            run_id=run_id, series=name, workload=name, size=0, what="call", backend=str(extra.get("backend", "")),
            dtype=str(extra.get("dtype", "")), threads=int(extra.get("threads", 0)),
            before=_commits(before), after=_commits(after), verdict=decision.verdict, reason=decision.reason,
            ratio=found.ratio, low=found.low, high=found.high, p=found.p, p_adjusted=p_adjusted, threshold=limit,
            smallest_effect=decision.smallest_effect, log_ratios=found.log_ratios,
            before_seconds=float(np.median([t.median for t in olds])),
            after_seconds=float(np.median([t.median for t in news])),
            blocks=sum(t.rounds for t in olds), clock="wall",
        )  # fmt: skip
        rows.append(row)
    return tuple(rows), tuple(left_out)


def _name(text: object) -> str:
    """The name; JSON may hold halves of characters, which no file of rows can."""
    return str(text).encode("utf-8", "backslashreplace").decode()


def _times(benchmark: Mapping[str, Any]) -> _Times:
    stats = benchmark["stats"]
    data = np.asarray(stats.get("data") or [], dtype=np.float64)
    median, rounds = float(stats["median"]), int(stats["rounds"])
    # Robust: times have long upper tails, and 0.74 interquartile ranges are a standard deviation.
    spread = float(np.subtract(*np.quantile(data, [0.75, 0.25]))) if len(data) > 1 else float(stats["iqr"])
    if not (math.isfinite(median) and median > 0 and math.isfinite(spread) and rounds >= 1):
        raise ValueError(f"{benchmark['fullname']} has the median {median!r}, which is no time")
    error = 1.25 * 0.74 * spread / median / math.sqrt(rounds)
    return _Times(median, error, _drift(data), rounds, benchmark.get("extra_info") or {})


def _drift(data: NDArray[np.float64]) -> float:
    """How much the medians of stretches of the rounds differ, beyond what the spread within a stretch makes them differ."""
    if len(data) < 4 * _STRETCHES or not (data > 0).all():
        return 0.0
    stretches = np.array_split(np.log(data), _STRETCHES)
    medians = [float(np.median(part)) for part in stretches]
    within = 0.74 * float(np.median([np.subtract(*np.quantile(part, [0.75, 0.25])) for part in stretches]))
    expected = (1.25 * within) ** 2 / (len(data) / _STRETCHES)
    return math.sqrt(max(float(np.var(medians, ddof=1)) - expected, 0.0))


def _of(files: Sequence[BenchmarkFile], name: str) -> list[_Times]:
    return [file.benchmarks[name] for file in files if name in file.benchmarks]


def _estimate(before: Sequence[_Times], after: Sequence[_Times], series: int) -> Estimate:
    """The ratio of the sides' mean log medians, with normal errors from `SPREAD`, the files' own spread and their rounds."""
    (b, b_error), (a, a_error) = _side(before), _side(after)
    error = math.hypot(b_error, a_error)
    gap = a - b
    reach = _quantile(1 - (1 - LEVEL) / 2) * error
    pairs = tuple(math.log(y.median / x.median) for x, y in zip(before, after, strict=False))
    return Estimate(
        ratio=math.exp(gap), low=math.exp(gap - reach), high=math.exp(gap + reach),
        p=math.erfc(abs(gap) / error / math.sqrt(2)), error=error, critical=_quantile(1 - ALPHA / 2 / series),
        log_ratios=pairs,
    )  # fmt: skip


def _side(times: Sequence[_Times]) -> tuple[float, float]:
    logs = np.log([t.median for t in times])
    own = float(logs.std(ddof=1)) if len(logs) > 2 else max(t.drift for t in times)
    within = float(np.mean([t.error**2 for t in times]))
    return float(logs.mean()), math.sqrt((max(SPREAD, own) ** 2 + within) / len(logs))


def _decide(found: Estimate, p_adjusted: float, threshold: float, difference: str) -> Decision:
    # No control can be taken afterwards; and the pairs that `decide` asks for are here files, whose spread is assumed.
    still = Estimate(1.0, 1.0, 1.0, 1.0, 0.0, math.inf, ())
    enough = found._replace(log_ratios=(0.0,) * 100)
    decision = decide(enough, still, p_adjusted, threshold=threshold)
    if difference:
        return decision._replace(verdict="cannot tell", reason=difference)
    return decision


def _difference(
    before: Sequence[BenchmarkFile], after: Sequence[BenchmarkFile], olds: Sequence[_Times], news: Sequence[_Times]
) -> str:
    """What was not equal, so that the times are not comparable; "" if nothing is known to differ."""
    for what in ("machine", "python"):
        values = sorted({getattr(file, what) for file in (*before, *after)})
        if len(values) > 1:
            return f"the {what} differs: {' and '.join(values)}"
    for key in ("threads", "dtype", "device"):
        found = sorted({str(t.conditions[key]) for t in (*olds, *news) if key in t.conditions})
        if len(found) > 1:
            return f"{key} differs: {' and '.join(found)}"
    return ""


def _commits(files: Sequence[BenchmarkFile]) -> str:
    return ", ".join(dict.fromkeys(file.commit for file in files))


def _quantile(p: float) -> float:
    """The quantile of the normal distribution."""
    low, high = 0.0, 40.0
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if 0.5 * math.erfc(middle / math.sqrt(2)) > 1 - p else (low, middle)
    return low
