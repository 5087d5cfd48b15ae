"""Tables: every number that a report shows, as a pandas DataFrame made from rows.

Each function takes rows (a list of `VerdictRow` or `TimingRow`, or the DataFrame that `verdict_frame` or `timing_frame`
made of them) and returns a new DataFrame with a plain index. A table of no rows has its columns and no lines.

In the tables `label` is the backend with its mode where that is not in its name, and with the revision where a run has
several: "torch", "jax jit", "reference @0123456789".
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from harness.records import VERDICTS, ComparisonRow, CoverageRow, RowType, TimingRow, VerdictRow, columns
from reports.statistics import ratio, spread

__all__ = [
    "backend_ratios",
    "comparison_table",
    "coverage_by_op",
    "coverage_counts",
    "disagreements",
    "error_quantiles",
    "gradient_ratios",
    "inconclusive_by_reason",
    "judged_by_op",
    "label_of",
    "lines",
    "row_frame",
    "timing_frame",
    "timing_table",
    "verdict_counts",
    "verdict_frame",
    "verdict_matrix",
]

Verdicts = Sequence[VerdictRow] | pd.DataFrame
Timings = Sequence[TimingRow] | pd.DataFrame
Comparisons = Sequence[ComparisonRow] | pd.DataFrame

QUANTILES = {"median": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999, "largest": 1.0}


def verdict_frame(rows: Verdicts) -> pd.DataFrame:
    """One line a row, the columns of `VerdictRow` and `label`."""
    return rows if isinstance(rows, pd.DataFrame) else row_frame(rows, VerdictRow)


def timing_frame(rows: Timings) -> pd.DataFrame:
    """One line a row, the columns of `TimingRow` and `label`."""
    return rows if isinstance(rows, pd.DataFrame) else row_frame(rows, TimingRow)


def verdict_counts(rows: Verdicts) -> pd.DataFrame:
    """Verdicts and elements per backend and dtype.

    Columns: label, dtype, one count of rows per verdict, rows, elements, inconclusive_elements, inconclusive_share
    (of the elements), waived (disagreeing rows that a waiver covers).
    """
    frame = verdict_frame(rows)
    keys = ["label", "dtype"]
    table = _count_verdicts(frame, keys)
    sums = frame.groupby(keys, observed=True)[["element_count", "inconclusive_count"]].sum()
    table = table.join(
        sums.rename(columns={"element_count": "elements", "inconclusive_count": "inconclusive_elements"})
    )
    table["inconclusive_share"] = table["inconclusive_elements"] / table["elements"].where(table["elements"] > 0)
    return table.reset_index()


def verdict_matrix(rows: Verdicts) -> pd.DataFrame:
    """Verdicts per op, backend and claim; a row counts once for every op that its program contains.

    Columns: op, label, claim, one count of rows per verdict, rows, waived.
    """
    frame = verdict_frame(rows).copy()
    # Programs repeat their op lists, so count before taking the lists apart.
    frame["waived"] = (frame["verdict"] == "disagree") & (frame["waiver"] != "")
    keys = ["ops", "label", "claim", "verdict"]
    sizes = frame.groupby(keys, observed=True).agg(rows=("verdict", "size"), waived=("waived", "sum")).reset_index()
    single = sizes.assign(op=sizes["ops"].map(_distinct)).explode("op").dropna(subset=["op"])
    if single.empty:
        return pd.DataFrame(columns=["op", "label", "claim", *VERDICTS, "rows", "waived"])
    table = single.pivot_table(
        index=["op", "label", "claim"], columns="verdict", values="rows", aggfunc="sum", fill_value=0
    )
    table = table.reindex(columns=list(VERDICTS), fill_value=0).astype("int64")
    table["rows"] = table.sum(axis=1)
    table["waived"] = single.groupby(["op", "label", "claim"])["waived"].sum().astype("int64")
    table.columns.name = None
    return table.reset_index()


def error_quantiles(rows: Verdicts, *, by: Sequence[str] = ("label", "dtype")) -> pd.DataFrame:
    """Quantiles of error / bound (each row's largest element) per group; rows without a bound are left out.

    Args:
        by: columns to group by; may contain "op", and then a row counts once for every op of its program.

    Columns: those of `by`, n (rows), median, p90, p99, p99.9, largest: each an observed value, the upper of two.
    """
    frame = verdict_frame(rows)
    frame = frame.loc[frame["error_over_bound"].notna()]
    if "op" in by:
        frame = frame.assign(op=frame["ops"].map(_distinct)).explode("op")
    groups = frame.groupby([*by], observed=True)["error_over_bound"]
    found: list[list[Any]] = []
    for key, values in groups:
        levels = np.quantile(values.to_numpy(dtype=np.float64), list(QUANTILES.values()), method="higher")
        found.append([*_tuple(key), len(values), *levels.tolist()])
    return pd.DataFrame(found, columns=[*by, "n", *QUANTILES])


def inconclusive_by_reason(rows: Verdicts, *, by: Sequence[str] = ("label", "dtype")) -> pd.DataFrame:
    """Elements that could not be decided, per group and reason (its keyword, before a colon or bracket).

    Args:
        by: columns to group by, besides the reason; none for all rows together.

    Columns: those of `by`, reason, rows, elements (undecided), share (of all elements of the group); largest first.
    """
    frame = verdict_frame(rows)
    names = [*by, "reason", "rows", "elements", "share"]
    undecided = frame.loc[(frame["inconclusive_count"] > 0) | (frame["verdict"] == "inconclusive")]
    if undecided.empty:
        return pd.DataFrame(columns=names)
    grouped = undecided.assign(reason=_keyword(undecided["reason"])).groupby([*by, "reason"], observed=True)
    table = grouped.agg(rows=("verdict", "size"), elements=("inconclusive_count", "sum")).reset_index()
    if by:
        whole = table[[*by]].merge(frame.groupby([*by])["element_count"].sum().reset_index(), how="left")[
            "element_count"
        ]
    else:
        whole = pd.Series(int(frame["element_count"].sum()), index=table.index)
    table["share"] = (table["elements"] / whole.where(whole > 0)).fillna(0.0)
    return table.sort_values(["share", "rows"], ascending=False, ignore_index=True)[names]


def judged_by_op(rows: Verdicts) -> pd.DataFrame:
    """How much of what programs with an op gave was decided; an element counts once for every op of its program.

    Columns: op, label, dtype, rows, elements, judged (share of the elements; nan if there are none), reason (of most of the
    undecided ones).
    """
    frame = verdict_frame(rows)
    keys = ["op", "label", "dtype"]
    # Programs repeat their op lists, so add up before taking the lists apart.
    sums = frame.assign(keyword=_keyword(frame["reason"])).groupby(["ops", "label", "dtype", "keyword"], observed=True)
    parts = sums.agg(
        rows=("verdict", "size"), elements=("element_count", "sum"), undecided=("inconclusive_count", "sum")
    ).reset_index()
    single = parts.assign(op=parts["ops"].map(_distinct)).explode("op").dropna(subset=["op"])
    names = [*keys, "rows", "elements", "judged", "reason"]
    if single.empty:
        return pd.DataFrame(columns=names)
    by_reason = single.groupby([*keys, "keyword"])["undecided"].sum().reset_index()
    worst = by_reason.sort_values("undecided", ascending=False, kind="stable").drop_duplicates(keys)
    worst = worst.assign(reason=worst["keyword"].where(worst["undecided"] > 0, ""))
    table = single.groupby(keys)[["rows", "elements", "undecided"]].sum().reset_index()
    table["judged"] = 1 - table["undecided"] / table["elements"].where(table["elements"] > 0)
    return table.merge(worst[[*keys, "reason"]], on=keys, how="left")[names]


def coverage_counts(rows: Sequence[CoverageRow]) -> pd.DataFrame:
    """What was drawn, over all ops: one line for each facet and value, 0 for what never came.

    Columns: facet, value, count. Of ops and of pairs of ops, which are many, there is a line for how many different ones
    came and, of ops, one for each that never did.
    """
    counts: dict[tuple[str, str], int] = {}
    ops, pairs = set(), set()
    for row in rows:
        if row.facet == "op" and row.count:
            ops.add(row.op)
        elif row.facet == "pair":
            pairs.add((row.op, row.value))
        elif row.op == "" or row.facet == "op":
            counts[row.facet, row.value] = counts.get((row.facet, row.value), 0) + row.count
    lines = [("op", "different ones", len(ops)), ("pair", "different ones", len(pairs))] if rows else []
    lines += [(facet, value, n) for (facet, value), n in counts.items() if facet != "op" or value not in ops]
    return pd.DataFrame(lines, columns=["facet", "value", "count"])


def coverage_by_op(rows: Sequence[CoverageRow]) -> pd.DataFrame:
    """What was drawn of each op.

    Columns: op, programs, before (different ops that take what it makes), after (whose results it takes), and for each of
    ranks, sizes, dtypes, layouts (of primals), cotangents and edges the values that came, in words.
    """
    facets = {
        "ranks": "rank",
        "sizes": "size",
        "dtypes": "dtype",
        "layouts": "primal layout",
        "cotangents": "cotangent",
    }
    facets["edges"] = "edge"
    seen: dict[str, dict[str, set[str]]] = {}
    programs: dict[str, int] = {}
    after: dict[str, set[str]] = {}
    for row in rows:
        if not row.op:
            continue
        seen.setdefault(row.op, {})
        if row.facet == "op":
            programs[row.op] = programs.get(row.op, 0) + row.count
        elif row.count:
            seen[row.op].setdefault(row.facet, set()).add(row.value)
            if row.facet == "pair":
                after.setdefault(row.value, set()).add(row.op)
    names = ["op", "programs", "before", "after", *facets]
    found = [
        [op, programs.get(op, 0), len(values.get("pair", ())), len(after.get(op, ()))]
        + [", ".join(sorted(values.get(facet, ()))) for facet in facets.values()]
        for op, values in sorted(seen.items())
    ]
    return pd.DataFrame(found, columns=names)


def disagreements(rows: Verdicts) -> pd.DataFrame:
    """One line for each bucket of disagreements, unwaived ones first; of older rows for each program and claim.

    Columns: those of `VerdictRow` (of the smallest program that has a reproducer), label, points (at which it disagrees),
    programs (in which) and largest (error / bound over all of them).
    """
    frame = verdict_frame(rows)
    wrong = frame.loc[frame["verdict"] == "disagree"]
    alone = (
        wrong["run_id"]
        + " "
        + wrong["program_id"]
        + " "
        + wrong["dtype"]
        + " "
        + wrong["claim"]
        + " "
        + wrong["aspect"]
    )
    wrong = wrong.assign(key=wrong["label"] + " " + wrong["bucket"].where(wrong["bucket"] != "", alone))
    groups = wrong.groupby("key")
    wrong = wrong.assign(
        points=groups["point"].transform("size"),
        programs=groups["program_id"].transform("nunique"),
        largest=groups["error_over_bound"].transform("max"),
        bare=wrong["reproducer"] == "",
        known=wrong["waiver"] != "",
        length=wrong["ops"].str.count(" "),
    )
    order = ["known", "bare", "length", "element_count", "error_over_bound"]
    wrong = wrong.sort_values(order, ascending=[True, True, True, True, False], kind="stable")
    wrong = wrong.drop_duplicates("key").sort_values(["known", "aspect", "label", "claim", "ops"], kind="stable")
    return wrong.drop(columns=["key", "bare", "known", "length"]).reset_index(drop=True)


def timing_table(rows: Timings) -> pd.DataFrame:
    """Median and spread of every series of samples, in seconds per call.

    Columns: run_id, workload, size, what, label, backend_version, dtype, device, threads, phase, n, median_seconds,
    q25_seconds, q75_seconds, iqr_seconds, smallest_seconds, calls_per_sample.
    """
    frame = timing_frame(rows)
    frame = frame.loc[[len(s) > 0 for s in frame["samples_seconds"]]]
    spreads = [spread(s) for s in frame["samples_seconds"]]
    keys = ["run_id", "workload", "size", "what", "label", "backend_version", "dtype", "device", "threads", "phase"]
    table = frame[keys].assign(
        n=[s.n for s in spreads],
        median_seconds=[s.median for s in spreads],
        q25_seconds=[s.q25 for s in spreads],
        q75_seconds=[s.q75 for s in spreads],
        iqr_seconds=[s.iqr for s in spreads],
        smallest_seconds=[s.smallest for s in spreads],
        calls_per_sample=frame["calls_per_sample"],
    )
    return table.sort_values(["workload", "what", "label", "dtype", "size", "phase"], ignore_index=True)


def gradient_ratios(rows: Timings) -> pd.DataFrame:
    """Steady time of a gradient or VJP over the time of the value alone, on the same backend.

    Columns: run_id, workload, size, label, dtype, device, threads, what, ratio, low and high (95 %), n, paired,
    resolution.
    """
    frame = _steady(rows)
    keys = ["run_id", "workload", "size", "label", "dtype", "device", "threads"]
    return _ratios(frame.loc[frame["what"] != "value"], frame.loc[frame["what"] == "value"], keys, "what")


def backend_ratios(rows: Timings, *, baseline: str) -> pd.DataFrame:
    """Steady time of each backend over that of the baseline, at the same run, dtype, device and threads only.

    Args:
        baseline: the `label` to divide by.

    Columns: run_id, workload, size, what, dtype, device, threads, label, ratio, low and high (95 %), n, paired,
    resolution.
    """
    frame = _steady(rows)
    keys = ["run_id", "workload", "size", "what", "dtype", "device", "threads"]
    return _ratios(frame.loc[frame["label"] != baseline], frame.loc[frame["label"] == baseline], keys, "label")


def comparison_table(rows: Comparisons) -> pd.DataFrame:
    """One line for each series that was compared, what changed first.

    Columns: run_id, series, before, after, verdict, reason, change, low, high (relative, 95 %), p_adjusted, threshold,
    smallest_effect, control (relative), before_seconds, after_seconds, pairs, blocks, clock, counts, changed_counts,
    accepted.
    """
    frame = rows if isinstance(rows, pd.DataFrame) else row_frame(rows, ComparisonRow)
    keep = ["run_id", "series", "before", "after", "verdict", "reason", "p_adjusted", "threshold", "smallest_effect"]
    table = frame[keep].assign(
        change=frame["ratio"] - 1,
        low=frame["low"] - 1,
        high=frame["high"] - 1,
        control=frame["control_ratio"] - 1,
        before_seconds=frame["before_seconds"],
        after_seconds=frame["after_seconds"],
        pairs=[len(logs) for logs in frame["log_ratios"]],
        blocks=frame["blocks"],
        clock=frame["clock"],
        counts=frame["counts"],
        changed_counts=[
            _changed_counts(b, a) for b, a in zip(frame["counts_before"], frame["counts_after"], strict=True)
        ],
        accepted=frame["accepted"],
    )
    order = table["verdict"].map(
        {verdict: i for i, verdict in enumerate(("slower", "faster", "cannot tell", "no change"))}
    )
    return table.loc[order.sort_values(kind="stable").index].reset_index(drop=True)


def _changed_counts(before: str, after: str) -> str:
    """The counts that differ, memory at its peak aside, such as "tape_nodes 20 -> 21"."""
    old, new = json.loads(before), json.loads(after)
    names = [name for name in old if name in new and old[name] != new[name] and not name.startswith("peak")]
    return ", ".join(f"{name} {old[name]:,} -> {new[name]:,}" for name in names)


def lines(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The lines of a table as dictionaries."""
    return [{str(k): v for k, v in line.items()} for line in table.to_dict("records")]


def row_frame(rows: Sequence[Any], row_type: RowType) -> pd.DataFrame:
    """One line a row of any type: its columns, and `label` where the rows are about a backend."""
    names = columns(row_type)
    frame = pd.DataFrame({c.name: [getattr(row, c.name) for row in rows] for c in names})
    if "backend" in frame:
        frame["label"] = [label_of(row) for row in rows]
    if not rows:  # an empty column has no dtype of its own to infer
        kinds = {"str": "str", "int": "int64", "float": "float64", "bool": "bool"}
        frame = frame.astype({c.name: kinds[c.type] for c in names if c.type in kinds})
        frame = frame.astype({"label": "str"} if "label" in frame else {})
    return frame


def label_of(row: VerdictRow | TimingRow | ComparisonRow) -> str:
    """Who a row is about: the backend with its mode where that is not in its name, and with the revision if it has one."""
    name = row.backend if row.mode in ("", "eager") or row.mode in row.backend else f"{row.backend} {row.mode}"
    # Two revisions of one run are two things that were timed.
    revision = getattr(row, "revision", "")
    return f"{name} @{revision}" if revision else name


def _count_verdicts(frame: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    table = pd.DataFrame({v: (frame["verdict"] == v).astype("int64") for v in VERDICTS}, index=frame.index)
    table["rows"] = 1
    table["waived"] = ((frame["verdict"] == "disagree") & (frame["waiver"] != "")).astype("int64")
    return pd.concat([frame[keys], table], axis=1).groupby(keys, observed=True).sum()


def _steady(rows: Timings) -> pd.DataFrame:
    frame = timing_frame(rows)
    return frame.loc[
        (frame["phase"] == "steady") & np.array([len(s) > 0 for s in frame["samples_seconds"]], dtype=bool)
    ]


def _ratios(tops: pd.DataFrame, bottoms: pd.DataFrame, keys: list[str], kind: str) -> pd.DataFrame:
    below = {
        key: (samples, rounds)
        for *key_list, samples, rounds in bottoms[[*keys, "samples_seconds", "rounds"]].itertuples(
            index=False, name=None
        )
        for key in [tuple(key_list)]
    }
    found = []
    for *key, word, samples, rounds in tops[[*keys, kind, "samples_seconds", "rounds"]].itertuples(
        index=False, name=None
    ):
        if tuple(key) in below:
            base, base_rounds = below[tuple(key)]
            r = ratio(samples, base, numerator_rounds=rounds, denominator_rounds=base_rounds)
            found.append([*key, word, r.median, r.low, r.high, r.n, r.paired, r.resolution])
    names = [*keys, kind, "ratio", "low", "high", "n", "paired", "resolution"]
    order = ["workload", kind, *(k for k in ("what", "label", "dtype", "size") if k in keys)]
    return pd.DataFrame(found, columns=names).sort_values(order, ignore_index=True)


def _keyword(reasons: pd.Series[str]) -> pd.Series[str]:
    return reasons.str.extract(r"^\s*([^:(]*)", expand=False).str.strip().replace("", "not stated")


def _distinct(ops: str) -> list[str]:
    return sorted(set(ops.split()))


def _tuple(key: Any) -> tuple[Any, ...]:
    return key if isinstance(key, tuple) else (key,)
