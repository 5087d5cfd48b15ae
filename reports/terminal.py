"""The end of a run in the terminal: the verdict in one line, then a table, the reasons and the first disagreements."""

from __future__ import annotations

import pandas as pd
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from harness.records import Run
from reports import tables
from reports.summary import headline, percent, seconds, totals

__all__ = ["print_summary", "summary"]

_MOST_FINDINGS = 5
_MOST_REASONS = 5


def print_summary(run: Run, console: Console | None = None) -> None:
    """Print the summary of a run."""
    (console or Console()).print(summary(run))


def summary(run: Run) -> RenderableType:
    """The summary of a run as something that rich can print; it names partial runs as such and fails on none."""
    verdicts = tables.verdict_frame(run.verdicts)
    total = totals([run], verdicts)
    colour = "red" if total.found else "green" if total.elements else "yellow"
    parts: list[RenderableType] = [Text(headline(total), style=f"bold {colour}")]
    if total.interrupted:
        parts.append(Text("Partial: the run was stopped before its end.", style="yellow"))
    if len(verdicts):
        parts += [_verdict_table(verdicts), *_reason_lines(verdicts), *_finding_lines(verdicts)]
    if run.timings:
        parts.append(_timing_table(run))
    return Group(*parts)


def _verdict_table(verdicts: pd.DataFrame) -> Table:
    errors = {(line["label"], line["dtype"]): line for line in tables.lines(tables.error_quantiles(verdicts))}
    table = Table("", "", box=None, pad_edge=False, header_style="dim")
    for name in ("agree", "disagree", "undecided", "unsup-\nported", "median", "largest\nerr/bound"):
        table.add_column(name, justify="right", vertical="bottom")
    for line in tables.lines(tables.verdict_counts(verdicts)):
        error = errors.get((line["label"], line["dtype"]))
        share = percent(line["inconclusive_share"]) if line["elements"] else ""
        counts = (f"{line['agree']:,}", f"{line['disagree']:,}", share, f"{line['unsupported']:,}")
        bounds = (f"{error['median']:.2g}", f"{error['largest']:.2g}") if error else ("", "")
        table.add_row(Text(line["label"]), Text(line["dtype"]), *counts, *bounds)
    return table


def _reason_lines(verdicts: pd.DataFrame) -> list[Text]:
    reasons = tables.lines(tables.inconclusive_by_reason(verdicts, by=()))
    words = [f"{r['reason']} {percent(r['share'])}" for r in reasons[:_MOST_REASONS]]
    more = [f"{len(reasons) - _MOST_REASONS} more reasons"] if len(reasons) > _MOST_REASONS else []
    return [Text("Undecided: " + ", ".join([*words, *more]))] if reasons else []


def _finding_lines(verdicts: pd.DataFrame) -> list[Text]:
    wrong = tables.lines(tables.disagreements(verdicts))
    found = []
    for line in wrong[:_MOST_FINDINGS]:
        known = f", waived by {line['waiver']}" if line["waiver"] else ""
        where = f"{line['label']} {line['dtype']}, {line['claim']} ({line['aspect']}), owner {line['owner']}{known}"
        seen = f" in {line['programs']:,} programs" if line["programs"] > 1 else ""
        error = f"error / bound {line['error_over_bound']:.3g}"
        found.append(Text(f"  {line['ops']}{seen}: {where}, {error} {line['reason']}"))
    if len(wrong) > _MOST_FINDINGS:
        found.append(Text(f"  and {len(wrong) - _MOST_FINDINGS} more in the report"))
    return [Text("Disagreements"), *found] if found else []


def _timing_table(run: Run) -> Table:
    times = tables.timing_table(run.timings)
    steady = times.loc[times["phase"] == "steady"].sort_values(["workload", "size", "what"])
    pairs = sorted(set(zip(steady["label"], steady["dtype"], strict=True)))
    table = Table("median time per call", "elements", "", box=None, pad_edge=False, header_style="dim")
    for label, dtype in pairs:
        table.add_column(Text(f"{label}\n{dtype}"), justify="right")
    medians: dict[tuple[str, int, str], dict[tuple[str, str], str]] = {}
    for line in tables.lines(steady):
        row = medians.setdefault((line["workload"], line["size"], line["what"]), {})
        row[line["label"], line["dtype"]] = seconds(line["median_seconds"])
    for (workload, size, what), row in medians.items():
        table.add_row(Text(workload), f"{size:,}", Text(what), *(row.get(pair, "") for pair in pairs))
    return table
