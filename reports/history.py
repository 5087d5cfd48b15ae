"""Histories: one point a series and moment, from many runs, kept in one dataset of Parquet files that only grows.

`append` adds a file to a folder or URL, `read_history` reads all of them, `compact` makes one of many. Points come from
Adjudge's own rows (`read_rows`), from GradBench's nightly table (`read_gradbench`), or from dictionaries (`points`).
`reports.steps` finds what changed in them.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import secrets
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from harness.records import RecordError, Run, list_files, open_file, read_dataset, remove_file, write_file

__all__ = [
    "COLUMNS",
    "History",
    "append",
    "compact",
    "is_history",
    "points",
    "read_any",
    "read_gradbench",
    "read_history",
    "read_pytest_benchmark",
    "read_rows",
    "write_steps",
]

COLUMNS: dict[str, str] = {
    "series": "what is timed; for Adjudge's rows workload/elements/what/backend/phase",
    "conditions": "dtype, device, threads, processor: points of different conditions are never compared",
    "moment": "when, as sortable text: a date, or a time in UTC",
    "revision": "commit of the code that was timed; empty if unknown",
    "seconds": "median time of a call",
    "samples": "samples behind the median; 0 if unknown",
    "source": "run, file or table that it comes from",
}
SCHEMA_VERSION = 1

_KEY = b"adjudge"
_GRADBENCH = ("night", "source_commit", "objective", "tool", "workload", "primal_seconds", "derivative_seconds")


class History(NamedTuple):
    """Points of many runs, and one sentence for each file that could not be read."""

    points: pd.DataFrame
    broken: tuple[str, ...] = ()


def points(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """A frame of points from dictionaries by the names of `COLUMNS`; all but series, moment and seconds may be missing."""
    optional = {"conditions": "", "revision": "", "samples": 0, "source": ""}
    return _typed(pd.DataFrame([{**optional, **row} for row in rows], columns=list(COLUMNS)))


def read_rows(source: str | os.PathLike[str]) -> History:
    """The points of the timing rows in a folder, a file or a URL: the median of each series of samples.

    Raises:
        RecordError: nothing can be read.
    """
    data = read_dataset(source)
    found = [point for run in data.runs for point in _of_run(run)]
    return History(points(found), tuple(map(str, data.broken)))


def read_gradbench(path: str | os.PathLike[str]) -> pd.DataFrame:
    """The points of GradBench's nightly table: two series, primal and derivative, for each objective, workload and tool.

    Raises:
        RecordError: it cannot be read, or lacks one of its columns.
    """
    table = _table(path)
    if missing := [name for name in _GRADBENCH if name not in table.column_names]:
        raise RecordError(f"{os.fspath(path)}: no table of GradBench's: column {missing[0]!r} is missing")
    frame = table.select(list(_GRADBENCH)).to_pandas()
    parts = ("objective", "workload", "tool")
    name = frame["objective"].astype(str).str.cat([frame[part].astype(str) for part in parts[1:]], sep="/")
    common = {
        "conditions": "", "moment": frame["night"].astype(str), "revision": frame["source_commit"].astype(str),
        "samples": 0, "source": "gradbench",
    }  # fmt: skip
    both = [
        pd.DataFrame({"series": name + f"/{what}", "seconds": frame[f"{what}_seconds"], **common})
        for what in ("primal", "derivative")
    ]
    return _typed(pd.concat(both, ignore_index=True).dropna(subset=["seconds"]))


def read_any(source: str | os.PathLike[str]) -> History:
    """The points of a history dataset, of run files, of GradBench's table or of a JSON file of pytest-benchmark.

    Raises:
        RecordError: it is none of them, or cannot be read.
    """
    name = os.fspath(source)
    if name.endswith(".json"):
        return History(read_pytest_benchmark(name))
    paths = list_files(name)
    if not paths:
        raise RecordError(f"{name}: the folder holds neither a history nor run files (*.parquet)")
    if any("history-" in path.rsplit("/", 1)[-1] for path in paths):
        return read_history(name)
    if is_history(name):
        return History(read_gradbench(name))
    return read_rows(name)


def is_history(source: str | os.PathLike[str]) -> bool:
    """Whether `read_any` takes a source for something else than run files.

    Raises:
        RecordError: there is no such file or folder, or it is no Parquet file.
    """
    name = os.fspath(source)
    if name.endswith(".json"):
        return True
    paths = list_files(name)
    if any("history-" in path.rsplit("/", 1)[-1] for path in paths):
        return True
    return paths == [name] and "objective" in _columns(name)


def read_pytest_benchmark(path: str | os.PathLike[str]) -> pd.DataFrame:
    """The points of a JSON file that pytest-benchmark saved: the median of each benchmark.

    Raises:
        RecordError: it cannot be read, or is none.
    """
    name = os.fspath(path)
    try:
        with open_file(name) as file:
            data = json.load(file)
        commit, machine = data.get("commit_info") or {}, data.get("machine_info") or {}
        cpu = (machine.get("cpu") or {}).get("brand_raw", "")
        return points(
            {
                "series": one["fullname"],
                "conditions": ", ".join(filter(None, (_extra(one), cpu))),
                "moment": data["datetime"],
                "revision": commit.get("id") or "",
                "seconds": one["stats"]["median"],
                "samples": one["stats"]["rounds"],
                "source": name.rsplit("/", 1)[-1],
            }
            for one in data["benchmarks"]
        )
    except FileNotFoundError:
        raise RecordError(f"{name}: no such file") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise RecordError(f"{name}: not a file of pytest-benchmark's: {reason}") from error


def write_steps(steps: pd.DataFrame, path: str | os.PathLike[str]) -> str:
    """Write a table of steps to a CSV file, or a Parquet file if its name ends so; return its path.

    Raises:
        RecordError: it cannot be written.
    """
    name = os.fspath(path)
    sink = io.BytesIO()
    if name.endswith(".parquet"):
        steps.to_parquet(sink, index=False)
    else:
        sink.write(steps.to_csv(index=False).encode())
    write_file(name, sink.getvalue())
    return name


def append(to: str | os.PathLike[str], frame: pd.DataFrame) -> str:
    """Add points to a dataset as a file of its own, whole or not at all; return its path.

    Raises:
        RecordError: the frame is no history, or the file cannot be written.
    """
    frame = _typed(frame)
    if frame.empty:
        raise RecordError(f"{os.fspath(to)}: there are no points to add")
    last = "".join(c for c in str(frame["moment"].max()) if c.isalnum())
    name = f"{os.fspath(to).rstrip('/')}/history-{last}-{secrets.token_hex(4)}.parquet"
    write_file(name, _encoded(frame))
    return name


def read_history(source: str | os.PathLike[str]) -> History:
    """All points of a dataset; a point that was added twice counts once, and a file that cannot be read is named.

    Raises:
        RecordError: there is no dataset, or none of its files can be read.
    """
    frame, broken, _ = _read(source)
    return History(frame, broken)


def compact(source: str | os.PathLike[str]) -> str:
    """Replace all readable files of a dataset by one and return its path; the points are the same before, during and after.

    Raises:
        RecordError: as `read_history`, or the file cannot be written.
    """
    frame, _, files = _read(source)
    data = _encoded(frame)
    name = f"{os.fspath(source).rstrip('/')}/history-all-{hashlib.sha256(data).hexdigest()[:16]}.parquet"
    write_file(name, data)
    base = name.rsplit("/", 1)[-1]
    for old in files:  # a crash here leaves points twice, which count once
        if old.rsplit("/", 1)[-1].rsplit(os.sep, 1)[-1] != base:
            remove_file(old)
    return name


def _read(source: str | os.PathLike[str]) -> tuple[pd.DataFrame, tuple[str, ...], list[str]]:
    name = os.fspath(source)
    found, broken, read = [], [], []
    paths = [path for path in list_files(name) if path == name or "history-" in path.rsplit("/", 1)[-1]]
    if not paths:
        raise RecordError(f"{name}: the folder holds no history (history-*.parquet)")
    for path in paths:
        try:
            found.append(_decoded(path))
            read.append(path)
        except RecordError as error:
            broken.append(str(error))
    if not found:
        raise RecordError(f"{name}: no history file can be read; " + "; ".join(broken))
    frame = pd.concat(found, ignore_index=True).drop_duplicates(ignore_index=True)
    frame = frame.sort_values(["series", "conditions", "moment", "source", "seconds"], ignore_index=True)
    return frame, tuple(broken), read


def _of_run(run: Run) -> Iterable[dict[str, Any]]:
    for row in run.timings:
        if row.samples_seconds:
            backend = row.backend if row.mode == "eager" else f"{row.backend}-{row.mode}"
            yield {
                "series": f"{row.workload}/{row.size}/{row.what}/{backend}/{row.phase}",
                "conditions": f"{row.dtype}, {row.device}, {row.threads} threads, {run.info.cpu}",
                "moment": run.info.started_utc,
                "revision": row.revision or run.info.git_commit,
                "seconds": float(pd.Series(row.samples_seconds).median()),
                "samples": len(row.samples_seconds),
                "source": run.info.run_id,
            }


def _extra(benchmark: Mapping[str, Any]) -> str:
    """Dtype, device and threads, where the benchmark is one of Adjudge's."""
    extra = benchmark.get("extra_info") or {}
    words = [str(extra[key]) for key in ("dtype", "device") if key in extra]
    return ", ".join([*words, *([f"{extra['threads']} threads"] if "threads" in extra else [])])


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    """The columns in order and of their types.

    Raises:
        RecordError: a column is missing, or holds what it cannot.
    """
    if missing := [name for name in COLUMNS if name not in frame.columns]:
        raise RecordError(f"a history needs the column {missing[0]!r}: {COLUMNS[missing[0]]}")
    kinds = dict.fromkeys(COLUMNS, "str") | {"seconds": "float64", "samples": "int64"}
    try:
        return frame[list(COLUMNS)].astype(kinds)
    except (TypeError, ValueError) as error:
        raise RecordError(f"a history cannot hold this: {error}") from error


def _encoded(frame: pd.DataFrame) -> bytes:
    head = json.dumps({"schema_version": SCHEMA_VERSION, "rows": "history"})
    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata({_KEY: head.encode()})
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    return sink.getvalue()


def _decoded(path: str) -> pd.DataFrame:
    table = _table(path)
    try:
        head = json.loads((table.schema.metadata or {})[_KEY])
        version, rows = head["schema_version"], head["rows"]
    except (KeyError, ValueError, TypeError):
        raise RecordError(f"{path}: not a history of Adjudge's") from None
    if rows != "history" or type(version) is not int or version < 1:
        raise RecordError(f"{path}: not a history of Adjudge's")
    if version > SCHEMA_VERSION:
        raise RecordError(
            f"{path}: has history version {version}, this Adjudge reads versions up to {SCHEMA_VERSION}: update it"
        )
    try:
        return _typed(table.to_pandas())
    except RecordError as error:
        raise RecordError(f"{path}: {error}") from None


def _columns(name: str) -> list[str]:
    return list(_parquet(name, lambda file: file.schema_arrow.names))


def _table(path: str | os.PathLike[str]) -> Any:
    return _parquet(os.fspath(path), lambda file: file.read())


def _parquet(name: str, take: Callable[[Any], Any]) -> Any:
    try:
        with open_file(name) as file:
            return take(pq.ParquetFile(file, page_checksum_verification=True))
    except RecordError:
        raise
    except FileNotFoundError:
        raise RecordError(f"{name}: no such file") from None
    except Exception as error:  # a hostile or cut file may break the decoder in any way
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise RecordError(f"{name}: not a readable Parquet file: {reason}") from error
