"""The page: one self-contained HTML file that shows what runs have found and what it cost.

The page needs no network and no script. Every number in it comes from `reports.tables` or `reports.summary`; every
figure states its unit, its n and its machine, and has its numbers in a table below it.
"""

from __future__ import annotations

import math
import os
import secrets
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from harness.records import VERDICTS, CoverageRow, Dataset, RecordError, Run, RunInfo, read_dataset
from reports import figures, tables
from reports.power import milliseconds, power_table
from reports.summary import headline, percent, seconds, totals

__all__ = ["render", "write_report"]

FACTOR = 5.0
"""A gradient costs at most about 5 values (Griewank and Walther, Evaluating Derivatives): the ratio figure's line."""

_CLAIMS = ("value", "vjp", "hvp", "accumulation", "zeroing", "detach", "kink", "error")
_MOST_FINDINGS = 100
_MOST_TEXT = 8_000
_MARK_SIGNS = ("●", "■", "▲", "◆", "▼", "✚", "✖", "★")
_STATES = {
    "agree": ("✓", "No disagreement"),
    "waived": ("✓", "Only known differences"),
    "disagree": ("✗", "Disagreements"),
    "inconclusive": ("?", "Nothing compared"),
    "timed": ("◷", "Timings only"),
    "asked": ("◷", "Power of checkers only"),
}


def write_report(
    source: str | os.PathLike[str] | Run | Sequence[Run] | Dataset,
    path: str | os.PathLike[str],
    *,
    run_ids: Collection[str] | None = None,
) -> Path:
    """Write the page of some runs and return its path; the file appears whole or not at all.

    Args:
        source: a folder, file or URL of rows, or what was read from one.
        run_ids: the runs to show; all by default.

    Raises:
        RecordError: nothing can be read, or the page cannot be written.
    """
    if isinstance(source, str | os.PathLike):
        source = read_dataset(source)
    if isinstance(source, Run):
        source = Dataset((source,))
    elif not isinstance(source, Dataset):
        source = Dataset(tuple(source))
    if run_ids is not None:
        known = {run.info.run_id for run in source.runs}
        if absent := sorted(set(run_ids) - known):
            raise RecordError(f"run {absent[0]!r} is not among {', '.join(sorted(known))}")
        source = Dataset(tuple(run for run in source.runs if run.info.run_id in run_ids), source.broken)
    target = Path(path)
    text = render(source.runs, broken=[str(error) for error in source.broken])
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, target)
    except OSError as error:
        raise RecordError(f"{target}: cannot write the report: {error}") from error
    finally:
        if temporary.exists():
            temporary.unlink()
    return target


def render(runs: Sequence[Run], *, broken: Sequence[str] = ()) -> str:
    """The page as a string.

    Args:
        runs: at least one run; verdicts of all are put together, times are shown for the newest run that has any.
        broken: one message for each file that could not be read.

    Raises:
        ValueError: there is no run.
    """
    if not runs:
        raise ValueError("runs is empty: there is nothing to report")
    verdicts = tables.verdict_frame([row for run in runs for row in run.verdicts])
    timed = [run for run in runs if run.timings]
    timings = tables.timing_frame(timed[-1].timings if timed else ())
    total = totals(runs, verdicts)
    asked = [run for run in runs if run.power]
    numbers = figures.series_numbers([*verdicts["label"], *timings["label"]])
    state = (
        "asked"
        if asked and not total.rows and not timed
        else _state(total.rows, total.elements, total.found, total.waived)
    )
    return _environment().get_template("page.html").render(
        headline=f"{len(asked[-1].power):,} answers of checkers of gradients" if state == "asked" else headline(total),
        state=state,
        sign=_STATES[state][0],
        state_text=_STATES[state][1],
        total=total,
        broken=broken,
        runs=[run.info for run in runs],
        run_machines=[_machine(run.info) for run in runs],
        verdict_machine=_machines([run.info for run in runs if run.verdicts]),
        verdicts=_verdict_part(verdicts, numbers) if len(verdicts) else None,
        findings=_findings(verdicts),
        drawn=_drawn_part([row for run in runs for row in run.coverage]),
        timings=_timing_part(timings, timed[-1].info, numbers) if timed else None,
        timed_runs=len(timed),
        left_out=_left_out(runs),
        power=_power_part(asked[-1]) if asked else None,
        factor=FACTOR,
        limits=(figures.LOWEST, figures.HIGHEST),
        now=datetime.now(UTC).isoformat(timespec="seconds"),
        version=runs[-1].info.versions.get("adjudge", ""),
    )  # fmt: skip


def _left_out(runs: Sequence[Run]) -> dict[str, Any]:
    """What the newest run that left anything out has no times for."""
    entries = next((run.info.left_out for run in reversed(runs) if run.timings or run.info.left_out), ())
    return {
        "refused": [entry for entry in entries if entry["kind"] == "refused"],
        "others": [entry for entry in entries if entry["kind"] not in ("refused", "budget")],
        "late": sum(entry["kind"] == "budget" for entry in entries),
    }


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"count": lambda n: f"{n:,}", "percent": percent, "seconds": seconds, "figure": _number}
    return environment


def _power_part(run: Run) -> dict[str, Any]:
    table = power_table(run.power)
    lines = [
        {"name": name.strip("*"), "sum": name.startswith("**"), "n": n, "shares": shares, "alarm": alarm}
        for alarm, part in ((False, table.lines), (True, table.alarms))
        for name, n, shares in part
    ]
    times = [milliseconds(s) for s in table.seconds]
    return {"run_id": run.info.run_id, "machine": _machine(run.info), "table": table, "lines": lines, "times": times}


def _state(rows: int, elements: int, found: int, waived: int) -> str:
    if found:
        return "disagree"
    if rows == 0:
        return "timed"
    if waived:
        return "waived"
    return "agree" if elements else "inconclusive"


def _legend(numbers: dict[str, int], table: pd.DataFrame) -> dict[str, Any]:
    present = set(table["label"])
    series = [{"label": x, "number": i, "sign": _MARK_SIGNS[i]} for x, i in numbers.items() if x in present]
    return {"series": series, "dtypes": sorted(set(table["dtype"]))}


def _verdict_part(verdicts: pd.DataFrame, numbers: dict[str, int]) -> dict[str, Any]:
    return {
        "counts": tables.lines(tables.verdict_counts(verdicts)),
        "matrix": _matrix(tables.verdict_matrix(verdicts)),
        "rows": len(verdicts),
        "bounded": int(verdicts["error_over_bound"].notna().sum()),
        "error_figure": Markup(figures.error_over_bound(verdicts, numbers, name="error")),
        "errors": tables.lines(tables.error_quantiles(verdicts)),
        "errors_by_op": tables.lines(tables.error_quantiles(verdicts, by=("op", "label", "dtype"))),
        "reasons": tables.lines(tables.inconclusive_by_reason(verdicts, by=())),
        "reasons_by_backend": tables.lines(tables.inconclusive_by_reason(verdicts)),
        "judged_by_op": tables.lines(tables.judged_by_op(verdicts)),
        "legend": _legend(numbers, verdicts),
    }


def _drawn_part(rows: Sequence[CoverageRow]) -> dict[str, Any] | None:
    if not rows:
        return None
    counts = tables.lines(tables.coverage_counts(rows))
    return {
        "counts": counts,
        "never": [f"{line['facet']} {line['value']}" for line in counts if not line["count"]],
        "by_op": tables.lines(tables.coverage_by_op(rows)),
    }


def _matrix(table: pd.DataFrame) -> dict[str, Any]:
    """Columns grouped by backend and a cell for each op and column, shaded by how often it was judged."""
    groups: dict[str, list[str]] = {}
    for label, claim in sorted(
        set(zip(table["label"], table["claim"], strict=True)), key=lambda x: (x[0] != "reference", x)
    ):
        groups.setdefault(label, []).append(claim)
    most = max([1, *table["rows"]])
    cells = {(line["op"], line["label"], line["claim"]): _cell(line, most) for line in tables.lines(table)}
    for claims in groups.values():
        claims.sort(key=lambda claim: (_CLAIMS.index(claim) if claim in _CLAIMS else len(_CLAIMS), claim))
    order = [(label, claim) for label, claims in groups.items() for claim in claims]
    first = [claim == groups[label][0] for label, claim in order]
    ops = sorted(set(table["op"]))
    return {
        "groups": groups,
        "lines": [(op, list(zip(first, (cells.get((op, *key)) for key in order), strict=True))) for op in ops],
    }


def _cell(line: dict[str, Any], most: int) -> dict[str, Any]:
    wrong = line["disagree"] - line["waived"]
    if wrong:
        kind = "wrong"
    elif line["waived"]:
        kind = "known"
    elif line["agree"]:
        kind = "right"
    else:
        kind = "open" if line["inconclusive"] else "none"
    depth = 1 + round(4 * math.log1p(line["rows"]) / math.log1p(most))
    words = [f"{line[v]:,} {v}" for v in VERDICTS if line[v]]
    title = f"{line['op']}, {line['label']}, {line['claim']}: " + ", ".join(words)
    return line | {"wrong": wrong, "kind": kind, "depth": depth, "title": title}


def _findings(verdicts: pd.DataFrame) -> dict[str, Any]:
    table = tables.disagreements(verdicts)
    shown = tables.lines(table.head(_MOST_FINDINGS))
    for line in shown:
        for key in ("reproducer", "program"):
            if len(line[key]) > _MOST_TEXT:
                rest = f"\n... cut here; the Parquet file has all {len(line[key]):,} characters"
                line[key] = line[key][:_MOST_TEXT] + rest
    return {"shown": shown, "hidden": len(table) - len(shown)}


def _timing_part(timings: pd.DataFrame, info: RunInfo, numbers: dict[str, int]) -> dict[str, Any]:
    table = tables.timing_table(timings)
    ratios = tables.gradient_ratios(timings)
    labels = sorted(set(timings["label"]))
    baseline = "torch" if "torch" in labels else labels[0]
    steady = table.loc[table["phase"] == "steady"]
    return {
        "run_id": info.run_id,
        "machine": _machine(info),
        "legend": _legend(numbers, timings),
        "table": tables.lines(table),
        "cold": tables.lines(table.loc[table["phase"] != "steady"]),
        "workloads": _time_panels(steady, numbers),
        "ratio_table": tables.lines(ratios),
        "ratio_panels": _ratio_panels(ratios, numbers),
        "baseline": baseline,
        "against": tables.lines(tables.backend_ratios(timings, baseline=baseline)),
    }


def _time_panels(steady: pd.DataFrame, numbers: dict[str, int]) -> list[dict[str, Any]]:
    found = []
    for i, (workload, group) in enumerate(steady.groupby("workload")):
        limits = figures.time_limits(group)
        panels: list[dict[str, Any]] = []
        for what in sorted(set(group["what"]), key=_what_order):
            part = group.loc[group["what"] == what]
            svg = figures.time_against_size(
                part, numbers, limits=limits, title=f"{workload}, {what}", name=f"time-{i}-{len(panels)}"
            )
            panels.append({"title": what, "svg": Markup(svg), "n": _n(part["n"])})
        found.append({"name": workload, "panels": panels, "conditions": _conditions(group)})
    return found


def _ratio_panels(ratios: pd.DataFrame, numbers: dict[str, int]) -> list[dict[str, Any]]:
    found = []
    for i, ((workload, what), part) in enumerate(ratios.groupby(["workload", "what"])):
        title = f"{workload}, {what}"
        svg = figures.ratio_against_size(part, numbers, factor=FACTOR, title=title, name=f"ratio-{i}")
        pairs = "pairs" if part["paired"].all() else "samples"
        found.append({"title": title, "svg": Markup(svg), "n": f"{_n(part['n'])} {pairs}"})
    return found


def _n(counts: pd.Series[int]) -> str:
    low, high = int(counts.min()), int(counts.max())
    return f"n = {low:,}" if low == high else f"n = {low:,} to {high:,}"


def _conditions(group: pd.DataFrame) -> str:
    threads = sorted(set(group["threads"]))
    words = [", ".join(sorted(set(group["device"]))), ", ".join(sorted(set(group["dtype"])))]
    return " · ".join([*words, f"{', '.join(map(str, threads))} thread{'' if threads == [1] else 's'}"])


def _what_order(what: str) -> tuple[int, str]:
    order = ("value", "gradient", "vjp")
    return (order.index(what) if what in order else len(order), what)


def _machine(info: RunInfo) -> str:
    cores = f"{info.cores} core{'' if info.cores == 1 else 's'}"
    threads = f"{info.threads} thread{'' if info.threads == 1 else 's'} a backend"
    return ", ".join(part for part in (info.cpu or "unknown processor", cores, threads, info.platform) if part)


def _machines(infos: Sequence[RunInfo]) -> str:
    found = list(dict.fromkeys(_machine(info) for info in infos))
    return found[0] if len(found) == 1 else f"{len(found)} machines (see Environment)"


def _number(value: float) -> str:
    """A plain number with three digits.

    >>> _number(0.123456), _number(float("nan")), _number(123456.0)
    ('0.123', 'none', '1.23e+05')
    """
    return "none" if math.isnan(value) else f"{value:.3g}"
