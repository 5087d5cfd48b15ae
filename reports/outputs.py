"""Outputs for other programs: what runs have found as Markdown, JUnit XML, annotations of GitHub, CSV, Parquet and pandas.

`digest` boils runs down to one verdict line and one `Result` for each thing that was judged, timed or compared;
`step_digest` does so for the steps of a history. `markdown`, `junit` and `annotation_lines` spell a digest, `to_pandas` and
`write_table` give the rows themselves.

Names in rows are somebody else's text. Whatever they hold (pipes, backticks, newlines, ``]]>``, control characters,
``::error``) stays text in every format, and characters that cannot be shown are spelled out:

>>> visible("a\\x1b[31m\\nb")
'a\\\\x1b[31m\\\\nb'
"""

from __future__ import annotations

import io
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from xml.etree import ElementTree

import pandas as pd

from harness.records import ROW_TYPES, ComparisonRow, Dataset, Run, TimingRow, read_dataset, write_file
from reports import tables
from reports.statistics import spread
from reports.summary import headline, seconds, totals

__all__ = [
    "MARKDOWN_BYTES",
    "ROWS",
    "Digest",
    "Result",
    "annotation_lines",
    "digest",
    "junit",
    "markdown",
    "step_digest",
    "to_pandas",
    "visible",
    "write_table",
]

MARKDOWN_BYTES: Final = 65_000
"""Most bytes of a Markdown summary: a comment on GitHub may have 65,536 characters."""

ROWS: Final = ("verdicts", "timings", "comparisons")
"""The kinds of rows that a run is made for; those that go with them have to be asked for."""

_NOTE_BYTES = 2_000  # kept free for the sentence that says what was left out
_MOST_NAME = 200
_MOST_LISTED = 50
_MOST_MESSAGE = 2_000
_MOST_ANNOTATIONS = 10  # of each level in a step; GitHub drops what is more
_STATUSES = ("failed", "error", "skipped", "passed")
_CHANGES = ("slower", "faster", "cannot tell", "no change")


@dataclass(frozen=True)
class Result:
    """One thing that was judged, timed or compared.

    Attributes:
        suite: who or what it belongs to, such as "torch" or "comparison of a and b".
        name: what it is, the same from run to run where it passes.
        status: "passed", "failed", "error" (it broke) or "skipped" (nothing can be said, or it is known).
        message: why, in one line.
        details: more lines, such as a script that shows it.
        seconds: time of a call; 0 if none was taken.
        file: the source file that it names; empty if none.
    """

    suite: str
    name: str
    status: str
    message: str = ""
    details: str = ""
    seconds: float = 0.0
    file: str = ""


@dataclass(frozen=True)
class _Section:
    """A table of Markdown: cells are Markdown already, `words` are what its lines are counted by if they do not fit."""

    title: str
    head: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    words: tuple[str, ...]


@dataclass(frozen=True)
class Digest:
    """What runs have found.

    Attributes:
        line: the verdict in one line of plain text.
        results: one for each thing.
        facts: sentences about the runs: machine, commit, command.
        warnings: what is missing from them, or has to be known.
        sections: tables for the Markdown summary, most important first.
        started: ISO 8601 in UTC; empty if unknown.
    """

    line: str
    results: tuple[Result, ...]
    facts: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    sections: tuple[_Section, ...] = field(default=(), repr=False)
    started: str = ""

    @property
    def state(self) -> str:
        """ "failed", "passed", or "nothing" where no thing passed or failed."""
        statuses = {result.status for result in self.results}
        if statuses & {"failed", "error"}:
            return "failed"
        return "passed" if "passed" in statuses else "nothing"


def digest(
    runs: Sequence[Run],
    *,
    failed: Mapping[str, str] | None = None,
    warnings: Sequence[str] = (),
    problems: Sequence[str] = (),
) -> Digest:
    """What runs have found.

    Args:
        failed: comparisons that fail, by series, with the reason; None takes all that are slower and not accepted, and
            all whose counts grew.
        warnings: sentences about what is missing, such as files that could not be read.
        problems: what else makes the runs no success, such as too much that is inconclusive.
    """
    verdicts = tables.verdict_frame([row for run in runs for row in run.verdicts])
    comparisons = [row for run in runs for row in run.comparisons]
    timings = [row for run in runs if not run.comparisons for row in run.timings]
    left_out = [entry for run in runs for entry in run.info.left_out]
    wrong = _failing(comparisons) if failed is None else failed
    parts, sections = [], []
    results = [Result("the run", "limits", "error", problem) for problem in problems]
    if len(verdicts):
        parts.append(headline(totals(runs, verdicts)))
        results += _of_verdicts(verdicts)
        sections += _verdict_sections(verdicts)
    if comparisons:
        parts.append(_compared(comparisons, wrong))
        results += [_of_comparison(row, wrong) for row in comparisons]
        sections.append(_comparison_section(comparisons, wrong))
    steady = [row for row in timings if row.phase == "steady" and row.samples_seconds]
    refused = sum(entry["kind"] == "refused" for entry in left_out)
    if steady or (left_out and not comparisons):
        missing = sum(entry["kind"] not in ("refused", "unsupported") for entry in left_out)
        lacking = f", {missing:,} not timed" if missing else ""
        parts.append(f"{_count(len(steady), 'series')} timed, {refused:,} refused{lacking}")
    elif refused:
        parts.append(f"{refused:,} refused")
    results += [_of_timing(row) for row in steady] + [_of_left_out(entry) for entry in left_out]
    sections += _left_out_sections(left_out)
    if steady:
        sections.append(_timing_section(steady))
    stopped = [f"run {run.info.run_id} was stopped before its end: a part" for run in runs if run.info.interrupted]
    return Digest(
        "; ".join(parts) or "nothing was judged, timed or compared",
        _unique(results),
        tuple(map(_fact, runs)),
        (*stopped, *warnings),
        tuple(sections),
        runs[-1].info.started_utc if runs else "",
    )


def step_digest(
    steps: pd.DataFrame,
    series: Iterable[tuple[str, str]],
    *,
    fail: bool = True,
    note: str = "",
    warnings: Sequence[str] = (),
) -> Digest:
    """What the steps of a history are.

    Args:
        steps: of `reports.steps.steps_of`.
        series: series and conditions of everything that was searched.
        fail: whether series that became slower on their own fail.
        note: a sentence for the end, such as how often the rule is wrong.
    """
    own, common = (tables.lines(steps.loc[steps["common"] == flag]) for flag in (False, True))
    slower = sum(line["change"] > 0 for line in own)
    searched = list(dict.fromkeys(series))
    stepped = {(line["series"], line["conditions"]) for line in own}
    results = [
        Result(
            "history", _joined(line["series"], line["conditions"], f"step of {line['moment']}"),
            "failed" if fail and line["change"] > 0 else "passed", _step_words(line), seconds=line["after_seconds"],
            file=_file_of(line["series"]),
        )
        for line in own
    ]  # fmt: skip
    together = Counter(line["moment"] for line in common)
    results += [
        Result("history", f"common step of {moment}", "skipped", f"{n:,} series stepped together")
        for moment, n in sorted(together.items())
    ]
    results += [Result("history", _joined(*key), "passed") for key in searched if key not in stepped]
    section = _Section(
        "Steps of single series",
        ("series", "first moment after", "commits", "change", "before", "after", "noise", "conditions"),
        tuple(
            (
                code(line["series"]), code(line["moment"]),
                f"{code(line['revision_before'] or '?')} → {code(line['revision'] or '?')}",
                f"{100 * line['change']:+.1f} %", seconds(line["before_seconds"]), seconds(line["after_seconds"]),
                f"{100 * line['noise']:.1f} %", code(line["conditions"]),
            )
            for line in own
        ),
        tuple("slower" if line["change"] > 0 else "faster" for line in own),
    )  # fmt: skip
    words = f"{_count(len(searched), 'series')} searched: {_count(len(own), 'step')} of single series"
    words += f" ({slower:,} slower, {len(own) - slower:,} faster)" if own else ""
    nights = [f"{moment}: {n:,} series stepped together" for moment, n in sorted(together.items())]
    return Digest(words, _unique(results), (note,) if note else (), (*warnings, *nights), (section,) if own else ())


# -- Markdown


def markdown(found: Digest, *, most_bytes: int = MARKDOWN_BYTES) -> str:
    """A summary in GitHub's Markdown: the verdict in the first line, then what failed, then the tables.

    What does not fit into `most_bytes` of UTF-8 is left out and counted at the end.

    Raises:
        ValueError: `most_bytes` is below 4,000.
    """
    if most_bytes < 4_000:
        raise ValueError(f"most_bytes is {most_bytes}, want at least 4,000")
    sign = {"failed": "❌", "passed": "✅", "nothing": "⚠️"}[found.state]
    writer = _Writer(most_bytes - _NOTE_BYTES)
    writer.add(f"{sign} **{_escaped(found.line)}**\n")
    for title, texts in (("warnings", [f"⚠️ {text}" for text in found.warnings]), ("facts", found.facts)):
        writer.lines(title, "", [f"\n{_escaped(text)}\n" for text in texts], [""] * len(texts))
    wrong = [result for result in found.results if result.status in ("failed", "error")]
    if wrong:
        lines = [f"- {code(result.name)} ({code(result.suite)}): {_escaped(result.message)}\n" for result in wrong]
        head = f"\n### Failed ({len(wrong):,})\n\n"
        # The tables begin with what failed, too, and must have their share.
        writer.lines("what failed", head, lines, [r.status for r in wrong], most=_MOST_LISTED)
    for section in found.sections:
        head = f"\n### {section.title}\n\n| {' | '.join(section.head)} |\n|{'---|' * len(section.head)}\n"
        lines = [f"| {' | '.join(line)} |\n" for line in section.lines]
        writer.lines(section.title, head, lines, section.words)
    shown = [result for result in wrong if result.details]
    writer.lines("scripts", "", [_folded(result) for result in shown], ["script"] * len(shown))
    return writer.text()


def code(text: object) -> str:
    """A name as Markdown that shows it as it is: nothing in it is a sign, a link, a mention or a tag."""
    shown = visible(str(text))
    shown = shown if len(shown) <= _MOST_NAME else shown[: _MOST_NAME - 1] + "…"
    # GitHub looks for mentions and issue numbers in what it has rendered, but not within code.
    return f"<code>{_referenced(shown)}</code>" if shown else ""


def visible(text: str) -> str:
    """The text in one line, with characters that cannot be shown, or that change how others are, spelled out."""
    return "".join(_spelled(c) for c in text)


class _Writer:
    """Markdown up to a number of bytes, and what did not fit."""

    def __init__(self, most_bytes: int) -> None:
        self.left = most_bytes
        self.parts: list[str] = []
        self.omitted: list[str] = []

    def add(self, text: str) -> bool:
        size = len(text.encode())
        if size > self.left:
            return False
        self.left -= size
        self.parts.append(text)
        return True

    def lines(
        self, title: str, head: str, lines: Sequence[str], words: Sequence[str], *, most: int | None = None
    ) -> None:
        """Add the lines from the first on, as many as fit below their heading, and at most `most`."""
        if not lines:
            return
        kept = 0
        if len((head + lines[0]).encode()) <= self.left:
            self.add(head)
            while kept < (len(lines) if most is None else min(most, len(lines))) and self.add(lines[kept]):
                kept += 1
        if kept < len(lines):
            by_word = Counter(word for word in words[kept:] if word)
            counts = ", ".join(f"{n:,} {_escaped(word)}" for word, n in by_word.most_common(6))
            whole = f"{len(lines) - kept:,} of {len(lines):,} lines of “{title}”"
            self.omitted.append(whole + (f" ({counts})" if counts else ""))

    def text(self) -> str:
        if not self.omitted:
            return "".join(self.parts)
        return (
            "".join(self.parts) + f"\nLeft out here for lack of space: {'; '.join(self.omitted)}. The rows have all.\n"
        )


def _folded(result: Result) -> str:
    """A script or text of a result, folded away."""
    text = "\n".join(visible(line) if line != "" else "" for line in result.details.split("\n"))
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    summary = f"<summary>{code(result.name)} ({code(result.suite)})</summary>"
    return f"\n<details>{summary}\n\n{fence}\n{text}\n{fence}\n\n</details>\n"


def _escaped(text: str) -> str:
    """Plain text as Markdown: it mentions nobody and nothing in it is a sign."""
    shown = visible(text)
    shown = shown if len(shown) <= _MOST_MESSAGE else shown[: _MOST_MESSAGE - 1] + "…"
    return re.sub("&#(35|64);", r"<code>&#\1;</code>", _referenced(shown))


def _referenced(text: str) -> str:
    """The text with a character reference for every sign that could mean something in Markdown."""
    return re.sub(r"[\\`*\[\]<>#|~@&$]|:(?! )|(?<![^\W_])_|_(?![^\W_])", lambda m: f"&#{ord(m[0])};", text)


def _spelled(c: str) -> str:
    category = unicodedata.category(c)
    if category == "Zs":
        return " "
    if c.isprintable() and category != "Cf":
        return c
    # As in a string of Python: \n, \x1b, \u202e.
    return ascii(c)[1:-1]


# -- JUnit


def junit(found: Digest) -> bytes:
    """A JUnit XML file: a suite for each `Result.suite`, a test case for each result."""
    root = ElementTree.Element("testsuites", {"name": "adjudge", **_numbers(found.results)})
    suites: dict[str, list[Result]] = {}
    for result in found.results:
        suites.setdefault(result.suite, []).append(result)
    for name, results in suites.items():
        attributes = {"name": visible(name), **_numbers(results)}
        if found.started:
            attributes["timestamp"] = visible(found.started)
        suite = ElementTree.SubElement(root, "testsuite", attributes)
        for result in results:
            suite.append(_test_case(result))
    ElementTree.indent(root)
    sink = io.BytesIO()
    ElementTree.ElementTree(root).write(sink, encoding="utf-8", xml_declaration=True)
    return sink.getvalue() + b"\n"


def _test_case(result: Result) -> ElementTree.Element:
    case = ElementTree.Element(
        "testcase",
        {"classname": "adjudge." + visible(result.suite), "name": visible(result.name), "time": _time(result.seconds)},
    )
    if result.file:
        case.set("file", visible(result.file))
    message = visible(result.message)
    if result.status == "passed":
        if message or result.details:
            ElementTree.SubElement(case, "system-out").text = _lines(result)
        return case
    tag = {"failed": "failure", "error": "error", "skipped": "skipped"}[result.status]
    inner = ElementTree.SubElement(case, tag, {"message": message})
    if tag != "skipped":
        inner.set("type", f"adjudge.{result.status}")
        inner.text = _lines(result)
    return case


def _lines(result: Result) -> str:
    """Message and details with their newlines, and without what XML cannot hold."""
    text = f"{visible(result.message)}\n\n{result.details}" if result.details else visible(result.message)
    return "\n".join(visible(line) for line in text.split("\n"))


def _numbers(results: Sequence[Result]) -> dict[str, str]:
    count = Counter(result.status for result in results)
    return {
        "tests": str(len(results)), "failures": str(count["failed"]), "errors": str(count["error"]),
        "skipped": str(count["skipped"]), "time": _time(sum(result.seconds for result in results)),
    }  # fmt: skip


def _time(value: float) -> str:
    return f"{value:.9f}".rstrip("0").rstrip(".")


# -- GitHub's annotations


def annotation_lines(found: Digest) -> list[str]:
    """Lines that GitHub's runner shows at the run, and at the file where a result names one: at most ten of a level."""
    wrong = [result for result in found.results if result.status in ("failed", "error")]
    errors = [
        _annotation("error", f"{result.name}: {result.message}", title=f"Adjudge: {result.suite}", file=result.file)
        for result in wrong
    ]
    warnings = [_annotation("warning", text, title="Adjudge") for text in found.warnings]
    return [*_at_most("error", errors), *_at_most("warning", warnings)]


def _at_most(level: str, lines: list[str]) -> list[str]:
    if len(lines) <= _MOST_ANNOTATIONS:
        return lines
    kept = lines[: _MOST_ANNOTATIONS - 1]
    return [*kept, _annotation(level, f"and {len(lines) - len(kept):,} more, see the summary", title="Adjudge")]


def _annotation(level: str, message: str, **properties: str) -> str:
    """One workflow command; GitHub takes percent signs and line ends for its own, in properties colons and commas, too."""

    def data(text: str) -> str:
        shown = visible(text)[:_MOST_MESSAGE]
        return shown.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")

    def value(text: str) -> str:
        return data(text).replace(":", "%3A").replace(",", "%2C")

    given = ",".join(f"{name}={value(text)}" for name, text in properties.items() if text)
    return f"::{level} {given}::{data(message)}"


# -- tables


def to_pandas(source: str | os.PathLike[str] | Run | Sequence[Run] | Dataset, rows: str | None = None) -> pd.DataFrame:
    """The rows of runs, one a line: the columns of their type, `label`, and of their run `started_utc`, `cpu`, `git_commit`.

    Rows of "coverage" and "power" have no label.

    Args:
        source: a folder, file or URL of rows, or what was read from one.
        rows: "verdicts", "timings", "comparisons", "coverage" or "power"; needed where several of the first three are there.

    Raises:
        RecordError: nothing can be read.
        ValueError: `rows` is none of them, or there are several kinds and it is None.
    """
    if rows is not None and rows not in ROW_TYPES:
        raise ValueError(f"rows is {rows!r}, not one of {', '.join(ROW_TYPES)}")
    if isinstance(source, str | os.PathLike):
        source = read_dataset(source)
    runs = source.runs if isinstance(source, Dataset) else (source,) if isinstance(source, Run) else tuple(source)
    if rows is None:
        held = [kind for kind in ROWS if any(getattr(run, kind) for run in runs)]
        if len(held) > 1:
            raise ValueError(f"the runs hold {' and '.join(held)}: say which rows are wanted")
        rows = held[0] if held else "verdicts"
    found = [row for run in runs for row in getattr(run, rows)]
    frame = tables.row_frame(found, ROW_TYPES[rows])
    infos = {run.info.run_id: run.info for run in runs}
    for name in ("started_utc", "cpu", "git_commit"):
        frame[name] = [getattr(infos[run_id], name) for run_id in frame["run_id"]]
    return frame


def write_table(frame: pd.DataFrame, path: str | os.PathLike[str], *, kind: str = "csv") -> None:
    """Write a table as CSV or as Parquet, whole or not at all.

    In CSV a list is its entries with spaces between them, and a text that a spreadsheet would take for a formula begins with
    an apostrophe; Parquet keeps both as they are.

    Args:
        kind: "csv" or "parquet".

    Raises:
        RecordError: it cannot be written.
        ValueError: `kind` is neither.
    """
    if kind not in ("csv", "parquet"):
        raise ValueError(f"kind is {kind!r}, not csv or parquet")
    name = os.fspath(path)
    sink = io.BytesIO()
    if kind == "parquet":
        frame.to_parquet(sink, index=False)
    else:
        safe = pd.DataFrame({column: [_cell(value) for value in frame[column]] for column in frame.columns})
        sink.write(safe.to_csv(index=False).encode("utf-8", "backslashreplace"))
    write_file(name, sink.getvalue())


def _cell(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return " ".join(map(str, value))
    if isinstance(value, str):
        return "'" + value if value.startswith(("=", "+", "-", "@", "\t", "\r")) else value
    return value


# -- what results are made of


def _of_verdicts(verdicts: pd.DataFrame) -> list[Result]:
    """A disagreement is one result whatever ops it has; what agrees is one for each op, claim and backend."""
    found = []
    for line in tables.lines(tables.disagreements(verdicts)):
        lost, waived = line["aspect"] == "accuracy", line["waiver"]
        words = f"{line['claim']} ({line['aspect']}) disagrees at {_count(line['points'], 'point')}"
        words += f", owner {line['owner']}, error / bound {line['error_over_bound']:.3g}"
        words += f"; {line['reason']}" if line["reason"] else ""
        words += f"; waived by {waived}" if waived else "; the rule is right, digits are lost" if lost else ""
        name = f"{line['claim']} of {line['ops']}, {line['dtype']}, {line['aspect']}"
        status = "skipped" if waived or lost else "failed"
        found.append(Result(line["label"], name, status, words, line["reproducer"] or line["program"]))
    for line in tables.lines(tables.verdict_matrix(verdicts)):
        name = f"{line['claim']} of {line['op']}"
        if line["agree"]:
            found.append(Result(line["label"], name, "passed", f"{line['agree']:,} verdicts agree"))
        elif not line["disagree"]:
            counts = ", ".join(f"{line[v]:,} {v}" for v in ("inconclusive", "unsupported") if line[v])
            found.append(Result(line["label"], name, "skipped", counts))
    return found


def _of_comparison(row: ComparisonRow, failed: Mapping[str, str]) -> Result:
    suite = f"comparison of {row.before} and {row.after}"
    words = _change_words(row)
    if row.series in failed:
        status, words = "failed", f"{failed[row.series]}; {words}"
    elif row.accepted:
        status, words = "skipped", f"{words}; accepted: {row.accepted}"
    elif row.verdict == "cannot tell":
        status, words = "skipped", f"{words}; {row.reason}"
    else:
        status = "passed"
    seconds_ = row.after_seconds if row.after_seconds == row.after_seconds else 0.0
    return Result(suite, row.series, status, words, seconds=seconds_, file=_file_of(row.series))


def _of_timing(row: TimingRow) -> Result:
    s = spread(row.samples_seconds)
    words = f"median {seconds(s.median)}, quartiles {seconds(s.q25)} to {seconds(s.q75)}, n = {s.n:,}"
    name = f"{row.workload}/{row.size}/{row.what}/{row.dtype}"
    return Result(f"times of {tables.label_of(row)}", name, "passed", words, seconds=s.median)


def _of_left_out(entry: Mapping[str, str]) -> Result:
    place = "/".join(entry[key] for key in ("workload", "size", "what") if entry[key]) or "all"
    status = "failed" if entry["kind"] == "refused" else "skipped"
    suite = f"times of {entry['backend'] or 'all'}"
    return Result(suite, f"{place}/{entry['dtype']}", status, f"{entry['kind']}: {entry['reason']}")


def _failing(rows: Sequence[ComparisonRow]) -> dict[str, str]:
    found = {}
    for row in rows:
        reasons = ["slower"] * (row.verdict == "slower") + ["counts grew"] * (row.counts in ("more", "other"))
        if reasons and not row.accepted:
            found[row.series] = ", ".join(reasons)
    return found


def _compared(rows: Sequence[ComparisonRow], failed: Mapping[str, str]) -> str:
    counts = Counter(row.verdict for row in rows)
    words = ", ".join(f"{counts[verdict]:,} {verdict}" for verdict in _CHANGES if counts[verdict])
    grown = sum(row.counts in ("more", "other") for row in rows)
    accepted = sum(bool(row.accepted) for row in rows)
    return f"{_count(len(rows), 'series')} compared: {words}" + "".join(
        f", {n:,} {what}"
        for n, what in ((grown, "with counts that grew"), (accepted, "accepted"), (len(failed), "failed"))
        if n
    )


def _change_words(row: ComparisonRow) -> str:
    words = row.verdict
    if row.low == row.low:
        words += f" {_percent(row.ratio)} ({_percent(row.low)} to {_percent(row.high)})"
    return words + (f", counts {row.counts}" if row.counts != "not counted" else "")


def _step_words(line: Mapping[str, Any]) -> str:
    commits = f"{line['revision_before'] or '?'} -> {line['revision'] or '?'}"
    times = f"{seconds(line['before_seconds'])} -> {seconds(line['after_seconds'])}"
    return f"{100 * line['change']:+.1f} % at {line['moment']} ({commits}), {times}"


def _verdict_sections(verdicts: pd.DataFrame) -> list[_Section]:
    counts = tables.lines(tables.verdict_counts(verdicts))
    head = ("backend", "dtype", "agree", "disagree", "of it waived", "inconclusive", "unsupported", "elements")
    keys = ("agree", "disagree", "waived", "inconclusive", "unsupported", "elements")
    lines = tuple((code(c["label"]), code(c["dtype"]), *(f"{c[key]:,}" for key in keys)) for c in counts)
    return [_Section("Verdicts", head, lines, ("",) * len(lines))]


def _comparison_section(rows: Sequence[ComparisonRow], failed: Mapping[str, str]) -> _Section:
    def rank(row: ComparisonRow) -> tuple[bool, int, float]:
        size = abs(row.ratio - 1) if row.ratio == row.ratio else 0.0
        return row.series not in failed, _CHANGES.index(row.verdict), -size

    ordered = sorted(rows, key=rank)
    lines = []
    for row in ordered:
        known = row.low == row.low
        change = _percent(row.ratio) if row.ratio == row.ratio else ""
        interval = f"{_percent(row.low)} to {_percent(row.high)}" if known else ""
        sees = f"{100 * row.smallest_effect:.1f} %" if known and row.smallest_effect < 10 else ""
        why = f"accepted: {row.accepted}" if row.accepted else row.reason
        verdict = f"**{row.verdict}**" if row.series in failed else row.verdict
        lines.append((verdict, code(row.series), change, interval, sees, row.counts, _escaped(why)))
    head = ("verdict", "series", "change", "95 % interval", "could have seen", "counts", "why")
    return _Section("Comparisons", head, tuple(lines), tuple(row.verdict for row in ordered))


def _left_out_sections(left_out: Sequence[Mapping[str, str]]) -> list[_Section]:
    ordered = sorted((e for e in left_out if e["kind"] != "budget"), key=lambda e: e["kind"] != "refused")
    late = len(left_out) - len(ordered)
    lines = [
        (
            code(e["workload"]),
            code(e["size"]),
            code(e["what"]),
            code(e["backend"]),
            code(e["kind"]),
            _escaped(e["reason"]),
        )
        for e in ordered
    ]
    if late:
        lines.append(("", "", "", "", code("budget"), f"{late:,} did not fit into the budget"))
    head = ("workload", "size", "what", "backend", "kind", "why")
    words = (*(e["kind"] for e in ordered), *(["budget"] if late else []))
    return [_Section("No times", head, tuple(lines), words)] if lines else []


def _timing_section(rows: Sequence[TimingRow]) -> _Section:
    table = tables.lines(tables.timing_table(list(rows)))
    lines = tuple(
        (
            code(t["workload"]), f"{t['size']:,}", code(t["what"]), code(t["label"]), code(t["dtype"]),
            seconds(t["median_seconds"]), f"{seconds(t['q25_seconds'])} to {seconds(t['q75_seconds'])}", f"{t['n']:,}",
        )
        for t in table
    )  # fmt: skip
    head = ("workload", "size", "what", "backend", "dtype", "median", "quartiles", "n")
    return _Section("Times", head, lines, tuple(t["label"] for t in table))


def _fact(run: Run) -> str:
    info = run.info
    commit = f"commit {info.git_commit[:10]}{'+' if info.git_dirty else ''}" if info.git_commit else ""
    threads = _count(info.threads, "thread")
    return ", ".join(filter(None, (f"Run {info.run_id}", commit, info.cpu, threads, info.command)))


def _unique(results: Sequence[Result]) -> tuple[Result, ...]:
    """Results whose names are unique in their suite: consumers take equal names for the same test."""
    seen: Counter[tuple[str, str]] = Counter()
    found = []
    for result in results:
        key = (result.suite, result.name)
        seen[key] += 1
        again = {} if seen[key] == 1 else {"name": f"{result.name} ({seen[key]})"}
        found.append(Result(**{**vars(result), **again}))
    return tuple(found)


def _file_of(series: str) -> str:
    """The test file that the name of a pytest benchmark begins with."""
    found = re.match(r"([^\s:]+\.py)::", series)
    return found[1] if found else ""


def _joined(*words: str) -> str:
    return ", ".join(filter(None, words))


def _percent(ratio: float) -> str:
    return f"{100 * (ratio - 1):+.1f} %"


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}" if n == 1 or noun == "series" else f"{n:,} {noun}s"
