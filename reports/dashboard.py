"""The dashboard: one self-contained HTML file with the times of many runs, to filter, plot, compare and export.

`write_dashboard(source, path)` writes it from a folder of rows. What it shows is made here as plain tables
(`series_points`, `exponents`); the page only draws them. Numbers travel as compact arrays (`pack_times`): a time takes two
bytes and is right to 0.04 %, its quartiles a byte each, so that 2,000 series of 300 runs fit into 5 MB. The rows
themselves lie beside the page, as Parquet. Steps are those of `reports.steps`.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray

from harness.records import PHASES, Dataset, RecordError, Run, TimingRow, read_dataset, write_file
from reports.history import History, is_history, read_any
from reports.page import FACTOR
from reports.statistics import spread
from reports.steps import AFTER, FEWEST_BEFORE, LEAST, NOISE, RATES, steps_of
from reports.tables import label_of, lines

__all__ = [
    "change_points",
    "exponents",
    "history_points",
    "left_out",
    "pack_times",
    "render_dashboard",
    "series_points",
    "unpack_times",
    "write_dashboard",
]

KEYS: Final = ("workload", "what", "label", "dtype", "conditions", "size")
FACTS: Final = {"n": 0, "check_error": np.nan, "saved_bytes": -1, "peak_bytes": -1, "tape_nodes": -1, "asked_size": 0}
LOWEST, OCTAVES = -40.0, 60.0  # what two bytes span: 2^-40 s to 2^20 s
LEVELS: Final = 65_535
SPREAD_OCTAVES: Final = 4.0  # what a quartile's byte spans: a factor of 16 from the median


def write_dashboard(
    source: str | os.PathLike[str] | Run | Sequence[Run] | Dataset,
    path: str | os.PathLike[str],
    *,
    tell: Callable[[str], None] = lambda reason: None,
) -> Path:
    """Write the dashboard of some runs, or of a history, and return its path; the file appears whole or not at all.

    Args:
        source: a folder, file or URL of rows, what was read from one, or whatever `reports.history.read_any` reads.
        tell: called with a sentence for each file that cannot be read; the page says it, too.

    Raises:
        RecordError: nothing can be read, there are no times in it, or the page cannot be written.
    """
    if isinstance(source, str | os.PathLike):
        if is_history(source):
            found = read_any(source)
            for reason in found.broken:
                tell(reason)
            return _write(path, _of_history(found))
        source = read_dataset(source)
    if isinstance(source, Run):
        source = [source]
    runs = source.runs if isinstance(source, Dataset) else tuple(source)
    broken = [str(error) for error in source.broken] if isinstance(source, Dataset) else []
    for reason in broken:
        tell(reason)
    points, wrong = series_points(runs), left_out(runs)
    if points.empty and not wrong and not any(run.comparisons for run in runs):
        raise RecordError("the runs hold no times and no comparisons; `adjudge bench` makes them")
    about = _run_lines(runs)
    changes = change_points(points, about)
    page = render_dashboard(
        points, about, comparisons=_comparisons(runs), broken=broken, changes=changes, left_out=wrong
    )
    return _write(path, page)


def _write(path: str | os.PathLike[str], page: str) -> Path:
    target = Path(path)
    if not target.parent.is_dir():
        raise RecordError(f"{target}: the dashboard cannot be written: there is no folder {str(target.parent)!r}")
    try:
        write_file(target, page.encode())
    except RecordError as error:
        reason = str(error).removeprefix(f"{target}: cannot write: ")
        raise RecordError(f"{target}: the dashboard cannot be written: {reason}") from error
    return target


def _of_history(found: History) -> str:
    points, about = history_points(found.points)
    changes = change_points(points, about)
    # Other people's times are what they say; Adjudge's own are kept for right values only.
    checked = bool((points["dtype"] != "").all())
    return render_dashboard(points, about, broken=found.broken, changes=changes, checked=checked)


def series_points(runs: Sequence[Run]) -> pd.DataFrame:
    """One line a series and run: the steady times, of all its processes together.

    Series of different processors, devices or numbers of threads are different series. Of a comparison's two revisions it
    is the later one, the checkout that ran.

    Columns: `KEYS`, run (position among the runs), median, q25, q75 (seconds a call), and `FACTS`: n, check_error,
    saved_bytes, peak_bytes, tape_nodes (-1 where not counted), asked_size (0 where unknown).
    """
    found: list[dict[str, Any]] = []
    for index, run in enumerate(runs):
        series: dict[tuple[Any, ...], dict[str, list[TimingRow]]] = {}
        for row in run.timings:
            if row.phase == "steady" and row.samples_seconds:
                threads = f"{row.threads} thread{'' if row.threads == 1 else 's'}"
                conditions = ", ".join(filter(None, (row.device, threads, run.info.cpu)))
                key = (row.workload, row.what, label_of(replace(row, revision="")), row.dtype, conditions, row.size)
                series.setdefault(key, {}).setdefault(row.revision, []).append(row)
        for key, revisions in series.items():
            rows = list(revisions.values())[-1]
            s = spread([seconds for row in rows for seconds in row.samples_seconds])
            facts = {name: getattr(rows[-1], name) for name in FACTS if name != "n"}
            times = {"median": s.median, "q25": s.q25, "q75": s.q75, "n": s.n}
            found.append({**dict(zip(KEYS, key, strict=True)), "run": index, **times, **facts})
    return pd.DataFrame(found, columns=[*KEYS, "run", "median", "q25", "q75", *FACTS])


def history_points(history: pd.DataFrame) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    """The points of a history as those of `series_points`, and one line for each moment in place of a run.

    Args:
        history: columns as in `reports.history.COLUMNS`. Of Adjudge's own series those of the phase "steady" are taken.
    """
    moments = sorted(history["moment"].unique())
    place = {moment: i for i, moment in enumerate(moments)}
    kinds = history[["series", "conditions", "source"]].drop_duplicates(["series", "conditions"])
    names = {(s, c): _parts(s, c, kind) for s, c, kind in kinds.itertuples(index=False, name=None)}
    keys = [names[key] for key in zip(history["series"], history["conditions"], strict=True)]
    points = pd.DataFrame(keys, columns=list(KEYS)).assign(
        run=[place[moment] for moment in history["moment"]], median=history["seconds"].to_numpy(), q25=np.nan, q75=np.nan,
        **FACTS,
    )  # fmt: skip
    points["n"] = history["samples"].to_numpy()
    points = points.loc[points["what"] != ""].drop_duplicates([*KEYS, "run"], keep="last").reset_index(drop=True)
    first = history.drop_duplicates("moment").set_index("moment")["revision"]
    blank = {"cpu": "", "cores": 0, "threads": 0, "versions": "", "interrupted": False}
    about = [{"run_id": m, "started": m, "commit": str(first[m])[:12], **blank} for m in moments]
    return points, about


def _parts(series: str, conditions: str, source: str) -> tuple[str, str, str, str, str, int]:
    """The `KEYS` of a series of a history, by its name; `what` is empty for what is no steady time."""
    parts = series.split("/")
    if len(parts) >= 5 and parts[-1] in PHASES and parts[-4].isdigit():
        workload, size, what, backend, phase = "/".join(parts[:-4]), *parts[-4:]
        dtype, _, rest = conditions.partition(", ")
        return workload, what if phase == "steady" else "", backend.replace("-", " ", 1), dtype, rest, int(size)
    if source == "gradbench" and len(parts) >= 4:
        what = "value" if parts[-1] == "primal" else parts[-1]
        return "/".join(parts[:-2]), what, parts[-2], "", conditions, 0
    return series, "call", "pytest", "", conditions, 0


def change_points(points: pd.DataFrame, runs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The steps in the series of some points, by `reports.steps`.

    Returns:
        One mapping each: `KEYS`, run (position of the first one after it), revision_before, revision, ratio (after / before),
        low, high, noise, before and after (seconds), common.
    """
    series = points.drop_duplicates(list(KEYS))[list(KEYS)]
    index = pd.MultiIndex.from_frame(series)
    history = pd.DataFrame(
        {
            "series": index.get_indexer(pd.MultiIndex.from_frame(points[list(KEYS)])),
            "moment": points["run"].astype(int), "seconds": points["median"],
            "revision": [runs[run]["commit"] for run in points["run"]],
        }
    )  # fmt: skip
    if len(runs) < FEWEST_BEFORE + AFTER:
        return []
    found = []
    for step in lines(steps_of(history)):
        found.append(
            {
                **dict(zip(KEYS, series.iloc[int(step["series"])], strict=True)), "run": int(step["moment"]),
                "revision_before": step["revision_before"], "revision": step["revision"], "ratio": 1 + step["change"],
                "low": 1 + step["low"], "high": 1 + step["high"], "noise": step["noise"],
                "before": step["before_seconds"], "after": step["after_seconds"], "common": bool(step["common"]),
            }
        )  # fmt: skip
    return found


def left_out(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """What the newest run that asked for it has left out, one line for each series that is known well enough to be placed."""
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for index, run in enumerate(runs):
        for entry in run.info.left_out:
            if entry["workload"] and entry["size"].isdigit() and entry["backend"] and entry["kind"] != "budget":
                label = entry["backend"].replace("-", " ", 1)
                key = (entry["workload"], entry["what"], label, entry["dtype"], entry["size"])
                asked = int(entry["asked_size"]) if entry["asked_size"].isdigit() else 0
                found[key] = {
                    "workload": key[0], "what": key[1], "label": label, "dtype": key[3], "size": int(key[4]), "run": index,
                    "kind": entry["kind"], "reason": entry["reason"], "asked": asked,
                }  # fmt: skip
    return list(found.values())


def exponents(points: pd.DataFrame) -> pd.DataFrame:
    """The fitted growth of time with size: time ~ size^exponent, by least squares on logarithms of the newest times.

    Fitted where a series has at least three sizes of 100 elements or more: below that the cost is the interpreter's.

    Columns: workload, what, label, dtype, conditions, exponent, low, high (one standard error each way), sizes.
    """
    rows = []
    newest = points.sort_values("run").drop_duplicates(list(KEYS), keep="last")
    for key, group in newest[newest["size"] >= 100].groupby(list(KEYS[:-1]), observed=True):
        if group["size"].nunique() < 3:
            continue
        x, y = np.log(group["size"].to_numpy(float)), np.log(group["median"].to_numpy(float))
        design = np.stack([np.ones_like(x), x], axis=1)
        fit, residual, *_ = np.linalg.lstsq(design, y, rcond=None)
        freedom = max(len(x) - 2, 1)
        variance = float(residual[0]) / freedom if len(residual) else 0.0
        error = float(np.sqrt(variance / np.sum((x - x.mean()) ** 2)))
        slope = float(fit[1])
        rows.append((*key, slope, slope - error, slope + error, len(x)))
    return pd.DataFrame(rows, columns=[*KEYS[:-1], "exponent", "low", "high", "sizes"])


# -- compact arrays


def pack_times(seconds: NDArray[np.float64]) -> str:
    """Times as base64 of two bytes each: 0 for nan, else the logarithm in steps of 0.06 %.

    >>> unpack_times(pack_times(np.array([1e-6, np.nan, 2.5]))).round(8).tolist()
    [1e-06, nan, 2.49970292]
    """
    with np.errstate(all="ignore"):
        steps = np.rint((np.log2(seconds) - LOWEST) / OCTAVES * (LEVELS - 1)) + 1
    codes = np.where(np.isfinite(steps), np.clip(steps, 1, LEVELS), 0).astype("<u2")
    return base64.b64encode(codes.tobytes()).decode("ascii")


def unpack_times(text: str) -> NDArray[np.float64]:
    """The times that `pack_times` packed; the page does the same."""
    codes = np.frombuffer(base64.b64decode(text), "<u2").astype(np.float64)
    return np.where(codes == 0, np.nan, 2.0 ** (LOWEST + (codes - 1) / (LEVELS - 1) * OCTAVES))


def _pack_spread(quartile: NDArray[np.float64], median: NDArray[np.float64]) -> str:
    """How far a quartile lies from the median, as base64 of a byte each: the logarithm of the factor in steps of 1 %; "" if
    none is known."""
    if np.isnan(quartile).all():
        return ""
    with np.errstate(all="ignore"):
        steps = np.rint(np.abs(np.log2(quartile / median)) / SPREAD_OCTAVES * 255)
    codes = np.where(np.isfinite(steps), np.clip(steps, 0, 255), 0).astype(np.uint8)
    return base64.b64encode(codes.tobytes()).decode("ascii")


# -- the page


def render_dashboard(
    points: pd.DataFrame,
    runs: Sequence[dict[str, Any]],
    *,
    comparisons: Sequence[dict[str, Any]] = (),
    broken: Sequence[str] = (),
    changes: Sequence[dict[str, Any]] = (),
    left_out: Sequence[dict[str, Any]] = (),
    checked: bool = True,
) -> str:
    """Return the page.

    Args:
        points: what `series_points` makes.
        runs: one mapping a run, oldest first: run_id, started, cpu, threads, commit, versions.
        comparisons: rows of a paired comparison, with the columns of `ComparisonRow` and their label.
        broken: what could not be read, in words.
        changes: what `change_points` finds.
        left_out: what has no time, and why; see `left_out`.
        checked: whether every time is of a value that was judged right, as in Adjudge's own rows.
    """
    series = points.drop_duplicates(list(KEYS))[list(KEYS)].sort_values(list(KEYS)).reset_index(drop=True)
    place = pd.MultiIndex.from_frame(series)
    rows = place.get_indexer(pd.MultiIndex.from_frame(points[list(KEYS)]))
    columns = points["run"].to_numpy(int)

    def matrix(name: str) -> NDArray[np.float64]:
        cells = np.full((len(series), len(runs)), np.nan)
        cells[rows, columns] = points[name].to_numpy(float)
        return cells

    median = matrix("median")
    newest = points.sort_values("run").drop_duplicates(list(KEYS), keep="last").set_index(list(KEYS))
    facts = newest.loc[place] if len(series) else newest
    besides = [*left_out, *comparisons]  # filters name what has no time, too
    words: dict[str, list[str]] = {
        k: sorted({*series[k].astype(str), *(str(one[k]) for one in besides if k in one)}) for k in KEYS[:-1]
    }
    steps = [{k: v for k, v in one.items() if k not in KEYS} for one in changes]
    where = place.get_indexer(pd.MultiIndex.from_tuples([tuple(one[k] for k in KEYS) for one in changes], names=KEYS))
    for one, i in zip(steps, where, strict=True):
        one["series"] = int(i)
    payload = {
        "words": words,
        "series": {
            **{k: [words[k].index(str(v)) for v in series[k]] for k in words},
            "size": series["size"].astype(int).tolist(),
            "n": facts["n"].astype(int).tolist(),
            "error": [None if np.isnan(v) else float(f"{v:.3g}") for v in facts["check_error"]],
            "saved": facts["saved_bytes"].astype(int).tolist(),
            "peak": facts["peak_bytes"].astype(int).tolist(),
            "nodes": facts["tape_nodes"].astype(int).tolist(),
            "asked": facts["asked_size"].astype(int).tolist(),
        },
        "median": pack_times(median.ravel()),
        "low": _pack_spread(matrix("q25").ravel(), median.ravel()),
        "high": _pack_spread(matrix("q75").ravel(), median.ravel()),
        "rule": {"least": LEAST, "noise": NOISE, "rates": RATES},
        "scale": {"lowest": LOWEST, "octaves": OCTAVES, "levels": LEVELS, "spread": SPREAD_OCTAVES},
        "runs": list(runs),
        "exponents": lines(exponents(points)),
        "comparisons": list(comparisons),
        "changes": steps,
        "left_out": list(left_out),
        "factor": FACTOR,
    }
    environment = Environment(loader=PackageLoader("reports"), autoescape=True, undefined=StrictUndefined)
    static = resources.files("reports") / "static"
    return environment.get_template("dashboard.html").render(
        style=Markup((resources.files("reports") / "templates" / "style.css").read_text("utf-8")),
        plot_style=Markup((static / "uPlot.min.css").read_text("utf-8")),
        plot_script=Markup((static / "uPlot.iife.min.js").read_text("utf-8")),
        script=Markup((resources.files("reports") / "templates" / "dashboard.js").read_text("utf-8")),
        payload=Markup(_json_for_script(payload)),
        series=len(series),
        runs=len(runs),
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        broken=list(broken),
        checked=checked,
    )


def _json_for_script(value: Any) -> str:
    """JSON that may stand inside a script element: no text in it can end the element or open a comment."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"), default=_plain)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{value!r} is no JSON")


def _run_lines(runs: Sequence[Run]) -> list[dict[str, Any]]:
    return [
        {
            "run_id": run.info.run_id,
            "started": run.info.started_utc,
            "cpu": run.info.cpu,
            "cores": run.info.cores,
            "threads": run.info.threads,
            "commit": run.info.git_commit[:12] + ("+" if run.info.git_dirty else ""),
            "versions": " ".join(f"{k} {v}" for k, v in sorted(run.info.versions.items())),
            "interrupted": run.info.interrupted,
        }
        for run in runs
    ]


def _comparisons(runs: Sequence[Run]) -> list[dict[str, Any]]:
    names = (
        "workload",
        "size",
        "what",
        "dtype",
        "asked_size",
        "series",
        "verdict",
        "reason",
        "ratio",
        "low",
        "high",
        "smallest_effect",
        "threshold",
        "counts",
        "accepted",
    )
    more = ("control_low", "control_high", "before", "after", "before_seconds", "after_seconds")
    found = []
    for run in runs:
        for row in run.comparisons:
            line = {name: getattr(row, name) for name in (*names, *more)}
            line = {k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in line.items()}
            found.append({"run": run.info.run_id, "label": label_of(row) or "pytest", **line})
    return found
