"""What of a comparison fails a run: the rules, the thresholds of single series, and the changes that somebody has accepted.

Thresholds and acceptances live in a TOML file that the user keeps beside the code::

    [[threshold]]
    series = "d2l_*/4/*"          # workload/size/what/backend/dtype; * stands for anything
    percent = 10

    [[accept]]
    series = "mlp_step/64/gradient/reference/float64"
    reason = "softmax is computed twice for the sake of accuracy"
    expires = 2030-01-31

An acceptance does not turn "slower" into "no change": the row keeps its verdict and carries the reason. Past its expiry it
covers nothing.

>>> parse('[[threshold]]\\nseries = "chain/*"\\npercent = 10').threshold("chain/10/vjp/reference/float64")
0.1
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from harness.comparison import THRESHOLD
from harness.records import ComparisonRow

__all__ = [
    "FAIL_ON",
    "Acceptance",
    "Gate",
    "GateError",
    "Threshold",
    "describe",
    "failing",
    "failures",
    "load",
    "parse",
]

FAIL_ON = ("counts", "slower", "cannot-tell", "nothing")
"""What may end a run with exit code 1: deterministic counts that grew, a slower series, one that cannot be told."""


class GateError(ValueError):
    """The file is wrong; the message names the file, the entry and the key."""


@dataclass(frozen=True)
class Threshold:
    """The smallest relative change that counts for some series."""

    series: str
    percent: float


@dataclass(frozen=True)
class Acceptance:
    """A change that is known and wanted.

    Attributes:
        series: pattern of the series that it covers.
        reason: why it is wanted.
        expires: last day on which it holds.
        link: where it was decided; may be empty.
    """

    series: str
    reason: str
    expires: date
    link: str = ""


@dataclass(frozen=True)
class Gate:
    """The thresholds and acceptances of one file; without a file there are none."""

    thresholds: tuple[Threshold, ...] = ()
    acceptances: tuple[Acceptance, ...] = ()

    def threshold(self, series: str) -> float:
        """The smallest relative change of a series that counts: of the first entry that matches, or 2 %."""
        for entry in self.thresholds:
            if fnmatchcase(series, entry.series):
                return entry.percent / 100
        return THRESHOLD

    def accept(self, rows: Sequence[ComparisonRow], *, today: date | None = None) -> tuple[ComparisonRow, ...]:
        """The rows, with the reason of the acceptance that covers each slower series and each count that grew."""
        day = today or datetime.now(UTC).date()

        def accepted(row: ComparisonRow) -> ComparisonRow:
            if row.verdict == "slower" or row.counts in ("more", "other"):
                for entry in self.acceptances:
                    if day <= entry.expires and fnmatchcase(row.series, entry.series):
                        return replace(row, accepted=entry.reason)
            return row

        return tuple(map(accepted, rows))

    def expired(self, *, today: date | None = None) -> tuple[Acceptance, ...]:
        """The acceptances that no longer hold and must be renewed or removed."""
        day = today or datetime.now(UTC).date()
        return tuple(entry for entry in self.acceptances if day > entry.expires)


def failing(rows: Sequence[ComparisonRow], fail_on: Sequence[str]) -> dict[str, str]:
    """The series that fail, each with its reasons."""
    found = {row.series: [line.removeprefix(f"{row.series}: ") for line in failures([row], fail_on)] for row in rows}
    return {series: ", ".join(reasons) for series, reasons in found.items() if reasons}


def failures(rows: Sequence[ComparisonRow], fail_on: Sequence[str]) -> tuple[str, ...]:
    """One sentence for each reason to fail, acceptances left aside."""
    found = []
    for row in rows:
        if row.accepted:
            continue
        if "counts" in fail_on and row.counts in ("more", "other"):
            found.append(f"{row.series}: {_grown(row)}")
        if "slower" in fail_on and row.verdict == "slower":
            found.append(f"{row.series}: {100 * (row.ratio - 1):.1f} % slower")
        if "cannot-tell" in fail_on and row.verdict == "cannot tell":
            found.append(f"{row.series}: cannot tell, {row.reason}")
    return tuple(found)


def describe(row: ComparisonRow) -> str:
    """One line about a series: the answer, the change with its interval, what could have been seen, the counts.

    The line names the counts that differ.
    """
    parts = [f"{row.verdict:<11}"]
    if row.low == row.low:
        change = f"{_percent(row.ratio)} ({_percent(row.low)} to {_percent(row.high)})"
        parts += [f"{change:<26}", f"sees {100 * row.smallest_effect:.1f} %".ljust(12)]
    parts.append(row.series)
    if row.counts in ("more", "fewer", "other"):
        parts.append(f"counts {row.counts}: {_grown(row)}")
    elif row.counts == "same":
        parts.append("counts same")
    if row.reason:
        parts.append(f"[{row.reason}]")
    if row.accepted:
        parts.append(f"[accepted: {row.accepted}]")
    return "  ".join(parts)


def load(path: str | Path) -> Gate:
    """Read a file of thresholds and acceptances.

    Raises:
        GateError: it cannot be read, is not TOML, or an entry is wrong.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise GateError(f"{path}: cannot be read: {error}") from error
    return parse(text, name=str(path))


def parse(text: str, *, name: str = "gate") -> Gate:
    """The thresholds and acceptances of a TOML text; `name` is what errors call it.

    Raises:
        GateError: the text is not TOML, or an entry is wrong.
    """
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise GateError(f"{name}: not TOML: {error}") from error
    if strange := sorted(set(data) - {"threshold", "accept"}):
        raise GateError(
            f"{name}: unknown key {strange[0]!r} at the top; entries begin with [[threshold]] or [[accept]]"
        )
    thresholds = tuple(_threshold(where, entry) for where, entry in _entries(name, data, "threshold"))
    acceptances = tuple(_acceptance(where, entry) for where, entry in _entries(name, data, "accept"))
    return Gate(thresholds, acceptances)


def _entries(name: str, data: dict[str, Any], kind: str) -> list[tuple[str, dict[str, Any]]]:
    entries = data.get(kind, [])
    if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
        raise GateError(f"{name}: {kind!r} is not a list of tables; entries begin with [[{kind}]]")
    return [(f"{name}: {kind} {i}", entry) for i, entry in enumerate(entries, start=1)]


def _threshold(where: str, entry: dict[str, Any]) -> Threshold:
    _check_keys(where, entry, {"series", "percent"}, set())
    percent = entry["percent"]
    if isinstance(percent, bool) or not isinstance(percent, int | float) or not 0 < percent <= 1000:
        raise GateError(f"{where}: percent is {percent!r}, not a number above 0 and at most 1000")
    return Threshold(_text(where, entry, "series"), float(percent))


def _acceptance(where: str, entry: dict[str, Any]) -> Acceptance:
    _check_keys(where, entry, {"series", "reason", "expires"}, {"link"})
    day = entry["expires"]
    if not isinstance(day, date) or isinstance(day, datetime):
        raise GateError(f"{where}: expires is {day!r}, not a date like 2030-01-31 (without quotes)")
    link = _text(where, entry, "link") if "link" in entry else ""
    return Acceptance(_text(where, entry, "series"), _text(where, entry, "reason"), day, link)


def _check_keys(where: str, entry: dict[str, Any], needed: set[str], optional: set[str]) -> None:
    if missing := sorted(needed - set(entry)):
        raise GateError(f"{where}: {missing[0]} is missing")
    if strange := sorted(set(entry) - needed - optional):
        raise GateError(f"{where}: unknown key {strange[0]!r}")


def _text(where: str, entry: dict[str, Any], key: str) -> str:
    value = entry[key]
    if not isinstance(value, str) or not value.strip():
        raise GateError(f"{where}: {key} is {value!r}, not a text")
    return value


def _grown(row: ComparisonRow) -> str:
    before, after = json.loads(row.counts_before), json.loads(row.counts_after)
    return ", ".join(
        f"{name} {before[name]:,} -> {after[name]:,}"
        for name in ("tape_nodes", "primitive_calls", "vjp_calls", "saved_bytes")
        if name in before and name in after and before[name] != after[name]
    )


def _percent(ratio: float) -> str:
    return f"{100 * (ratio - 1):+.1f} %"
