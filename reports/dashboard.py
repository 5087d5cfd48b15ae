"""The dashboard: one self-contained HTML file with the times of many runs, to filter, plot, compare and export.

`write_dashboard(source, path)` writes it from a folder of rows. What it shows is made here as plain tables
(`series_points`, `exponents`); the page only draws them. Numbers travel as compact arrays (`pack_times`): a time takes two
bytes and is right to 0.04 %, its quartiles a byte each, so that 2,000 series of 300 runs fit into 5 MB. The rows
themselves lie beside the page, as Parquet.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray

from harness.records import Dataset, RecordError, Run, read_dataset
from reports.page import FACTOR
from reports.statistics import spread
from reports.tables import lines

__all__ = ["exponents", "pack_times", "render_dashboard", "series_points", "unpack_times", "write_dashboard"]

KEYS: Final = ("workload", "what", "label", "dtype", "size")
LOWEST, OCTAVES = -40.0, 60.0  # what two bytes span: 2^-40 s to 2^20 s
LEVELS: Final = 65_535
SPREAD_OCTAVES: Final = 4.0  # what a quartile's byte spans: a factor of 16 from the median


def write_dashboard(
    source: str | os.PathLike[str] | Run | Sequence[Run] | Dataset, path: str | os.PathLike[str]
) -> Path:
    """Write the dashboard of some runs and return its path; the file appears whole or not at all.

    Args:
        source: a folder, file or URL of rows, or what was read from one.

    Raises:
        RecordError: nothing can be read, there are no times in it, or the page cannot be written.
    """
    if isinstance(source, str | os.PathLike):
        source = read_dataset(source)
    if isinstance(source, Run):
        source = [source]
    runs = source.runs if isinstance(source, Dataset) else tuple(source)
    broken = [str(error) for error in source.broken] if isinstance(source, Dataset) else []
    points = series_points(runs)
    if points.empty and not any(run.comparisons for run in runs):
        raise RecordError("the runs hold no times and no comparisons; `adjudge bench` makes them")
    page = render_dashboard(points, _run_lines(runs), comparisons=_comparisons(runs), broken=broken)
    target = Path(path)
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        part.write_text(page, encoding="utf-8")
        part.replace(target)
    except OSError as error:
        raise RecordError(f"{target}: the dashboard cannot be written: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)
    return target


def series_points(runs: Sequence[Run]) -> pd.DataFrame:
    """One line a series and run: the steady times.

    Columns: `KEYS`, run (position among the runs), median, q25, q75 (seconds a call), n, check_error, saved_bytes,
    peak_bytes, tape_nodes (-1 where not counted), device, threads.
    """
    found: list[dict[str, Any]] = []
    for index, run in enumerate(runs):
        for row in run.timings:
            if row.phase != "steady" or not row.samples_seconds:
                continue
            s = spread(row.samples_seconds)
            label = row.backend if row.mode in ("eager", "") or row.mode in row.backend else f"{row.backend} {row.mode}"
            found.append(
                {
                    "workload": row.workload, "what": row.what, "label": label, "dtype": row.dtype, "size": row.size,
                    "run": index, "median": s.median, "q25": s.q25, "q75": s.q75, "n": s.n,
                    "check_error": row.check_error, "saved_bytes": row.saved_bytes, "peak_bytes": row.peak_bytes,
                    "tape_nodes": row.tape_nodes, "device": row.device, "threads": row.threads,
                }
            )  # fmt: skip
    names = [*KEYS, "run", "median", "q25", "q75", "n", "check_error", "saved_bytes", "peak_bytes", "tape_nodes"]
    frame = pd.DataFrame(found, columns=[*names, "device", "threads"])
    return frame.drop_duplicates([*KEYS, "run"], keep="last").reset_index(drop=True)


def exponents(points: pd.DataFrame) -> pd.DataFrame:
    """The fitted growth of time with size: time ~ size^exponent, by least squares on logarithms of the newest times.

    Fitted where a series has at least three sizes of 100 elements or more: below that the cost is the interpreter's.

    Columns: workload, what, label, dtype, exponent, low, high (one standard error each way), sizes.
    """
    rows = []
    newest = points.sort_values("run").drop_duplicates(list(KEYS), keep="last")
    for key, group in newest[newest["size"] >= 100].groupby(["workload", "what", "label", "dtype"], observed=True):
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
    return pd.DataFrame(rows, columns=["workload", "what", "label", "dtype", "exponent", "low", "high", "sizes"])


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
    """How far a quartile lies from the median, as base64 of a byte each: the logarithm of the factor in steps of 1 %."""
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
) -> str:
    """Return the page.

    Args:
        points: what `series_points` makes.
        runs: one mapping a run, oldest first: run_id, started, cpu, threads, commit, versions.
        comparisons: rows of a paired comparison, as `reports.tables.comparison_table` has them.
        broken: what could not be read, in words.
        changes: change points: series (a mapping of `KEYS`), run, ratio, low, high.
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
    words: dict[str, list[str]] = {
        k: sorted(set(series[k].astype(str))) for k in ("workload", "what", "label", "dtype")
    }
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
        },
        "median": pack_times(median.ravel()),
        "low": _pack_spread(matrix("q25").ravel(), median.ravel()),
        "high": _pack_spread(matrix("q75").ravel(), median.ravel()),
        "scale": {"lowest": LOWEST, "octaves": OCTAVES, "levels": LEVELS, "spread": SPREAD_OCTAVES},
        "runs": list(runs),
        "exponents": lines(exponents(points)),
        "comparisons": list(comparisons),
        "changes": list(changes),
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
            found.append({"run": run.info.run_id, **line})
    return found
