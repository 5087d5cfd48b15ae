"""Rows: what is kept of a run, one frozen dataclass a row type, written to Parquet whole or not at all.

`write_run` writes ``OUT/verdicts-<run_id>.parquet``, ``timings-...``, ``comparisons-...`` and
``coverage-...``; `read_run` reads one file
back, `read_dataset` a whole folder. A path may also be any fsspec URL (``s3://bucket/runs``). The fields of the
dataclasses are the columns: the Parquet schema, its documentation and the checks on what is read are derived from them.

>>> [c.unit for c in columns(TimingRow) if c.name == "samples_seconds"]
['s per call']
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import IO, Any, NamedTuple, TypeVar, cast, get_type_hints

import pyarrow as pa
import pyarrow.parquet as pq

__all__ = [
    "ANSWERS",
    "CHANGES",
    "COUNTS",
    "LEFT_OUT",
    "OWNERS",
    "PHASES",
    "ROW_TYPES",
    "SCHEMA_VERSION",
    "VERDICTS",
    "Column",
    "ComparisonRow",
    "CoverageRow",
    "Dataset",
    "PowerRow",
    "RecordError",
    "RowType",
    "Run",
    "RunInfo",
    "TimingRow",
    "VerdictRow",
    "check_writable",
    "columns",
    "list_files",
    "open_file",
    "read_dataset",
    "read_run",
    "remove_file",
    "to_parquet",
    "write_file",
    "write_run",
]

SCHEMA_VERSION = 3
"""Raised when a column is added; the new column says `since`. Files of every older version are still read."""

VERDICTS = ("agree", "disagree", "inconclusive", "unsupported")
OWNERS = ("", "reference", "harness", "bound", "framework")
PHASES = ("import", "first_call", "trace", "compile", "steady")
CHANGES = ("slower", "faster", "no change", "cannot tell")
ANSWERS = ("complains", "passes", "undecided")
COUNTS = ("same", "more", "fewer", "other", "not counted")

LEFT_OUT = ("kind", "workload", "size", "asked_size", "what", "backend", "dtype", "reason")
"""Keys of `RunInfo.left_out`. Kinds are "refused" (a wrong value, an error), "missing", "unsupported", "input", "budget";
sizes are text, empty where they are not known; `backend` is what `--backends` calls it, such as "jax-jit"."""

_KEY = b"adjudge"
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_MAX_ROWS = 50_000_000
_MAX_BYTES = 8 << 30


class RecordError(ValueError):
    """A file or folder of rows cannot be read or written; the message names it and says what is wrong."""


def _column(doc: str, *, unit: str = "", default: Any = MISSING, since: int = 1) -> Any:
    """A column; one that is younger than version 1 has a default, which rows of older files get."""
    return field(default=default, metadata={"doc": doc, "unit": unit, "since": since})


@dataclass(frozen=True, kw_only=True, slots=True)
class VerdictRow:
    """One claim judged on one backend at one point of one program.

    Raises:
        ValueError: `verdict` or `owner` is not in its list, or a disagreement names no owner.
    """

    schema_version: int = _column("version of this schema", default=SCHEMA_VERSION)
    run_id: str = _column("the run that judged it")
    program_id: str = _column("first 16 hexadecimal digits of the SHA-256 of the program's JSON")
    seed: int = _column("seed that draws the program and its points again; below 2**63")
    point: int = _column("number of the point among the program's points, from 0")
    backend: str = _column('who was judged: "reference", "torch", "jax", ...')
    backend_version: str = _column("version of the framework behind the backend")
    mode: str = _column('how the backend ran it: "eager", "in place", "jit" or "jit quick"', default="eager")
    dtype: str = _column("dtype of the float inputs and of the computation")
    claim: str = _column(
        'what was asked: "value", "vjp", "accumulation", "zeroing", "detach", "hvp", "kink", "error", ...'
    )
    aspect: str = _column('which side of the claim was judged: "derivative", "accuracy" or "structure"')
    ops: str = _column("names of the program's ops in order, separated by spaces")
    verdict: str = _column('"agree", "disagree", "inconclusive" or "unsupported"')
    reason: str = _column("why, where the verdict is not agree: a keyword, then details after a colon", default="")
    owner: str = _column('whose fault a disagreement is: "reference", "harness", "bound" or "framework"', default="")
    element_count: int = _column("elements compared or found undecidable", unit="elements", default=0)
    inconclusive_count: int = _column("those of them that could not be decided", unit="elements", default=0)
    error_over_bound: float = _column(
        "largest error / bound over the elements; nan if none", unit="1", default=float("nan")
    )
    median_error_over_bound: float = _column("median of the same; nan if none", unit="1", default=float("nan"))
    waiver: str = _column("id of the waiver that covers a disagreement", default="")
    reproducer: str = _column("stand-alone script that shows a disagreement", default="")
    oracle: str = _column('what it was judged against: "certificate", "finite-difference", ...', default="")
    program: str = _column("JSON of the program of a disagreement", default="")
    difference: str = _column(
        'kind of difference of a disagreement: "value", "not finite", "raises", "digits lost", ...; see harness/triage.py',
        default="",
        since=3,
    )
    bucket: str = _column(
        "the disagreements that it is counted as one with: who, dtype, claim, ops after shrinking, kind of difference",
        default="",
        since=3,
    )

    def __post_init__(self) -> None:
        _check_choice("verdict", self.verdict, VERDICTS)
        _check_choice("owner", self.owner, OWNERS)
        if self.verdict == "disagree" and not self.owner:
            raise ValueError(
                f"owner is empty for a disagreement on {self.backend}; name one of {', '.join(OWNERS[1:])}"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class TimingRow:
    """All samples of one workload at one size on one backend, for a value that was checked.

    Raises:
        ValueError: `phase` is not in its list, a sample is no time, the value was not checked, or `rounds` and samples
            differ in number.
    """

    schema_version: int = _column("version of this schema", default=SCHEMA_VERSION)
    run_id: str = _column("the run that took it")
    workload: str = _column("name of the workload")
    size: int = _column("elements of the largest input", unit="elements")
    what: str = _column('what a call computes: "value", "gradient" or "vjp"')
    backend: str = _column("who was timed")
    backend_version: str = _column("version of the framework behind the backend")
    mode: str = _column('how the backend ran it: "eager" or "jit"', default="eager")
    dtype: str = _column("dtype of the computation")
    device: str = _column("where it ran", default="cpu")
    threads: int = _column("threads that the backend was allowed", unit="threads")
    phase: str = _column('"import", "first_call" (with tracing and compilation), "trace", "compile" or "steady"')
    samples_seconds: tuple[float, ...] = _column("every sample, in the order taken", unit="s per call")
    calls_per_sample: int = _column("calls that one sample averages over", unit="calls", default=1)
    rounds: tuple[int, ...] = _column(
        "interleaving round of each sample (samples of one round are pairs); empty if not interleaved", default=()
    )
    checked: bool = _column("the timed value was judged right; always true in a row that is kept", default=True)
    check_error: float = _column(
        "largest relative difference from the reference's value", unit="1", default=float("nan")
    )
    processes: tuple[int, ...] = _column(
        "process that took each sample, numbered from 0; empty if one took all", default=(), since=2
    )
    cpu_seconds: tuple[float, ...] = _column(
        "CPU time of each sample, all threads together; empty if not taken", unit="s per call", default=(), since=2
    )
    waited_seconds: tuple[float, ...] = _column(
        "time of each sample that the process was ready to run but had no core; empty if the system does not say",
        unit="s per call",
        default=(),
        since=2,
    )
    clock_share: float = _column(
        "share of a sample that reading the clock takes; -1 if unknown", unit="1", default=-1.0, since=2
    )
    tape_nodes: int = _column("nodes that one call puts on the tape; -1 if not counted", default=-1, since=2)
    primitive_calls: int = _column(
        "primitives that one call runs, backward included; -1 if not counted", default=-1, since=2
    )
    vjp_calls: int = _column("VJP rules that one call runs; -1 if not counted", default=-1, since=2)
    saved_bytes: int = _column(
        "bytes of the distinct arrays that the tape keeps for backward; -1 if not counted",
        unit="bytes",
        default=-1,
        since=2,
    )
    peak_bytes: int = _column(
        "most bytes allocated at once by Python and NumPy in one call; -1 if not counted",
        unit="bytes",
        default=-1,
        since=2,
    )
    peak_rss_bytes: int = _column(
        "growth of the process's resident memory at its peak in one call; -1 if the system does not say",
        unit="bytes",
        default=-1,
        since=2,
    )
    python_calls: int = _column("Python and C functions that one call enters; -1 if not counted", default=-1, since=2)
    revision: str = _column("commit or environment whose code was timed, where a run has several", default="", since=2)
    code_hash: str = _column("hash of the timed code's sources", default="", since=2)
    asked_size: int = _column(
        "size that the workload was asked for (`--sizes`); 0 if unknown", unit="", default=0, since=3
    )

    def __post_init__(self) -> None:
        for name in ("samples_seconds", "rounds", "processes", "cpu_seconds", "waited_seconds"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        _check_choice("phase", self.phase, PHASES)
        for seconds in self.samples_seconds:
            if not (math.isfinite(seconds) and (seconds > 0 or (seconds == 0 and self.phase != "steady"))):
                raise ValueError(f"samples_seconds holds {seconds!r}, which is no time that a clock could show")
        if self.checked is not True:
            raise ValueError(f"checked is {self.checked!r}: a time is kept only for a value that was judged right")
        for name in ("rounds", "processes", "cpu_seconds", "waited_seconds"):
            entries = len(getattr(self, name))
            if entries and entries != len(self.samples_seconds):
                raise ValueError(f"{name} has {entries} entries, samples_seconds has {len(self.samples_seconds)}")


@dataclass(frozen=True, kw_only=True, slots=True)
class ComparisonRow:
    """One series timed before and after a change, in paired processes, and what that says.

    Raises:
        ValueError: `verdict` or `counts` is not in its list.
    """

    schema_version: int = _column("version of this schema", default=SCHEMA_VERSION, since=2)
    run_id: str = _column("the run that compared", since=2)
    series: str = _column("workload/size/what/backend/dtype, with which thresholds and acceptances name it", since=2)
    workload: str = _column("name of the workload", since=2)
    size: int = _column("elements of the largest input", unit="elements", since=2)
    what: str = _column('what a call computes: "value", "gradient" or "vjp"', since=2)
    backend: str = _column("who was timed", since=2)
    mode: str = _column('how the backend ran it: "eager" or "jit"', default="eager", since=2)
    dtype: str = _column("dtype of the computation", since=2)
    device: str = _column("where it ran", default="cpu", since=2)
    threads: int = _column("threads that the backend was allowed", unit="threads", since=2)
    before: str = _column("commit or environment before the change", since=2)
    after: str = _column("commit or environment after the change", since=2)
    verdict: str = _column('"slower", "faster", "no change" or "cannot tell"', since=2)
    reason: str = _column("why it cannot be told, or what else has to be known", default="", since=2)
    ratio: float = _column("time after / time before; nan if none", unit="1", default=float("nan"), since=2)
    low: float = _column("lower end of the interval of the ratio", unit="1", default=float("nan"), since=2)
    high: float = _column("upper end of the interval of the ratio", unit="1", default=float("nan"), since=2)
    p: float = _column("probability of a difference as large if there is none", unit="1", default=float("nan"), since=2)
    p_adjusted: float = _column(
        "the same, corrected for all series of the run (Holm)", unit="1", default=float("nan"), since=2
    )
    threshold: float = _column("smallest relative change that counts", unit="1", default=float("nan"), since=2)
    smallest_effect: float = _column(
        "smallest relative change that this run would have called in 8 of 10 repetitions",
        unit="1",
        default=float("nan"),
        since=2,
    )
    control_ratio: float = _column(
        "time before / time before, from interleaved halves: drift that no change explains",
        unit="1",
        default=float("nan"),
        since=2,
    )
    control_low: float = _column("lower end of the control's interval", unit="1", default=float("nan"), since=2)
    control_high: float = _column("upper end of the control's interval", unit="1", default=float("nan"), since=2)
    before_seconds: float = _column("median before", unit="s per call", default=float("nan"), since=2)
    after_seconds: float = _column("median after", unit="s per call", default=float("nan"), since=2)
    log_ratios: tuple[float, ...] = _column("log of after / before in each pair of processes", default=(), since=2)
    blocks: int = _column("timed blocks of each side, over all processes", default=0, since=2)
    clock: str = _column('"on core" (time without a core taken off) or "wall"', default="", since=2)
    counts: str = _column('"same", "more", "fewer", "other", or "not counted"', default="not counted", since=2)
    counts_before: str = _column("JSON of the deterministic counts before", default="{}", since=2)
    counts_after: str = _column("JSON of the deterministic counts after", default="{}", since=2)
    accepted: str = _column("reason of the acceptance that covers the change", default="", since=2)
    asked_size: int = _column(
        "size that the workload was asked for (`--sizes`); 0 if unknown", unit="", default=0, since=3
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "log_ratios", tuple(self.log_ratios))
        _check_choice("verdict", self.verdict, CHANGES)
        _check_choice("counts", self.counts, COUNTS)


@dataclass(frozen=True, kw_only=True, slots=True)
class CoverageRow:
    """How often something was drawn; 0 for what belongs to the run and never was.

    Raises:
        ValueError: the count is negative.
    """

    schema_version: int = _column("version of this schema", default=SCHEMA_VERSION, since=3)
    run_id: str = _column("the run that drew it", since=3)
    op: str = _column("the op that it is counted for; empty for all ops together", since=3)
    facet: str = _column('what is counted: "op", "pair", "rank", "dtype", "edge", ...; see harness/drawn.py', since=3)
    value: str = _column("which of it: of a pair the op that takes what `op` makes", since=3)
    count: int = _column("programs or points in which it came", since=3)

    def __post_init__(self) -> None:
        if self.count < 0:
            raise ValueError(f"count is {self.count}: want at least 0")


@dataclass(frozen=True, kw_only=True, slots=True)
class PowerRow:
    """What one checker of gradients said of one function with a planted defect, or of the same function without it.

    Raises:
        ValueError: `answer` is not in its list.
    """

    schema_version: int = _column("version of this schema", default=SCHEMA_VERSION, since=3)
    run_id: str = _column("the run that asked", since=3)
    defect: str = _column("the defect in words", since=3)
    op: str = _column("the op whose gradient is wrong", since=3)
    argument: int = _column("position of the argument whose gradient is wrong", since=3)
    kind: str = _column("what is wrong; see harness/defects/declared.py", since=3)
    group: str = _column("what it is counted among: no-op, sign, scale, ...", since=3)
    size: float = _column("of a factor 1 + size; 0 otherwise", unit="1", default=0.0, since=3)
    where: str = _column('where it shows: "everywhere", "float32", "size 1", ...', default="everywhere", since=3)
    structural: bool = _column("wrong in kind, or grossly, rather than by a factor near 1", since=3)
    planted: bool = _column("false for the function with the right gradient", since=3)
    form: str = _column("what the function is: op(xs), op(x) x, ...", since=3)
    dtype: str = _column("dtype of the example", since=3)
    engine: str = _column("framework that the function is written in", since=3)
    checker: str = _column("who was asked", since=3)
    answer: str = _column('"complains", "passes" or "undecided"', since=3)
    detail: str = _column("what it said", default="", since=3)
    seconds: float = _column("time of the answer", unit="s", since=3)
    bounds: float = _column(
        "size of a factor in bounds of the element that shows it best; nan if none",
        unit="1",
        default=float("nan"),
        since=3,
    )

    def __post_init__(self) -> None:
        _check_choice("answer", self.answer, ANSWERS)


@dataclass(frozen=True, kw_only=True, slots=True)
class RunInfo:
    """What is true of a whole run: how it was started, on which machine, how far it came.

    Raises:
        ValueError: `run_id` could not be part of a file name.
    """

    run_id: str = _column("names the run and its files: letters, digits, dot, dash, underscore")
    started_utc: str = _column("start, ISO 8601 in UTC")
    command: str = _column("command line")
    seed: int = _column("the run's seed", default=0)
    budget_seconds: float | None = _column("time the run was allowed; null if unlimited", unit="s", default=None)
    elapsed_seconds: float | None = _column("time the run took", unit="s", default=None)
    versions: dict[str, str] = field(
        metadata={"doc": "version of Python and of each package that matters", "unit": "", "since": 1}
    )
    cpu: str = _column("the processor's name", default="")
    cores: int = _column("cores that the process may use", unit="cores", default=0)
    threads: int = _column("threads that each backend is allowed", unit="threads", default=0)
    platform: str = _column("operating system and architecture", default="")
    git_commit: str = _column("commit of the checkout that ran; empty if it is none", default="")
    git_dirty: bool | None = _column("whether that checkout had changes; null if unknown", default=None)
    interrupted: bool = _column("the run was stopped before it was done: its rows are a part", default=False)
    programs: int = _column("programs judged", unit="programs", default=0)
    points: int = _column("points judged, over all programs", unit="points", default=0)
    rejected: int = _column("programs that were drawn and thrown away", unit="programs", default=0)
    governor: str = _column(
        "how the system sets the processor's frequency; empty if it does not say", default="", since=2
    )
    affinity: str = _column("numbers of the cores that the process may use", default="", since=2)
    blas: str = _column("linear algebra libraries that NumPy has loaded, with their threads", default="", since=2)
    code_hash: str = _column("hash of the sources of harness and reference_impl", default="", since=2)
    left_out: tuple[dict[str, str], ...] = field(
        default=(),
        metadata={
            "doc": "what has no row, and why: one mapping for each, of the keys in `LEFT_OUT`", "unit": "", "since": 3,
        },
    )  # fmt: skip

    def __post_init__(self) -> None:
        object.__setattr__(self, "left_out", tuple(dict(entry) for entry in self.left_out))
        for entry in self.left_out:
            if set(entry) != set(LEFT_OUT):
                raise ValueError(f"left_out holds an entry of {', '.join(sorted(entry))}: want {', '.join(LEFT_OUT)}")
        if not _RUN_ID.fullmatch(self.run_id):
            raise ValueError(f"run_id is {self.run_id!r}: use 1 to 100 letters, digits, dots, dashes, underscores")


Row = VerdictRow | TimingRow | ComparisonRow | CoverageRow | PowerRow
RowType = type[VerdictRow] | type[TimingRow] | type[ComparisonRow] | type[CoverageRow] | type[PowerRow]
T = TypeVar("T")


class Column(NamedTuple):
    """Documentation of one column: name, Python type, unit ("" where there is none, "1" for a ratio) and meaning."""

    name: str
    type: str
    unit: str
    doc: str


class Run(NamedTuple):
    """One run as it was read: its info, its verdict rows, its timing rows, its comparisons and what it drew."""

    info: RunInfo
    verdicts: tuple[VerdictRow, ...] = ()
    timings: tuple[TimingRow, ...] = ()
    comparisons: tuple[ComparisonRow, ...] = ()
    coverage: tuple[CoverageRow, ...] = ()
    power: tuple[PowerRow, ...] = ()


class Dataset(NamedTuple):
    """Every run of a folder, oldest first, and one error for each file that could not be read."""

    runs: tuple[Run, ...]
    broken: tuple[RecordError, ...] = ()


def columns(row_type: RowType | type[RunInfo]) -> tuple[Column, ...]:
    """The documented columns of a row type, in order."""
    hints = get_type_hints(row_type)

    def word(hint: Any) -> str:
        return hint.__name__ if isinstance(hint, type) else str(hint)

    about = [(f.name, f.metadata) for f in fields(row_type)]
    return tuple(Column(name, word(hints[name]), m["unit"], m["doc"]) for name, m in about)


def check_writable(out: str | os.PathLike[str]) -> None:
    """Make the folder if it is missing and prove, before anything is computed, that a file can be written there.

    Raises:
        RecordError: it cannot be made, is a file, or refuses a new file.
    """
    probe = _join(out, f".adjudge-{secrets.token_hex(4)}.tmp")
    try:
        _write_whole(probe, b"adjudge")
        _remove(probe)
    except Exception as error:  # a remote file system may raise any type
        raise RecordError(f"out: cannot write to folder {os.fspath(out)!r}: {_describe(error)}") from error


def write_run(
    out: str | os.PathLike[str],
    info: RunInfo,
    *,
    verdicts: Sequence[VerdictRow] | None = None,
    timings: Sequence[TimingRow] | None = None,
    comparisons: Sequence[ComparisonRow] | None = None,
    coverage: Sequence[CoverageRow] | None = None,
    power: Sequence[PowerRow] | None = None,
) -> tuple[str, ...]:
    """Write the run's rows, one file for each row type that is not None; return the paths.

    A file of the same run is replaced, so a run may save what it has so far as often as it likes.
    """
    paths = []
    given: dict[str, Sequence[Row] | None] = {
        "verdicts": verdicts,
        "timings": timings,
        "comparisons": comparisons,
        "coverage": coverage,
        "power": power,
    }
    for stem, rows in given.items():
        row_type = ROW_TYPES[stem]
        if rows is not None:
            path = _join(out, f"{stem}-{info.run_id}.parquet")
            to_parquet(path, rows, info, row_type=row_type)
            paths.append(path)
    return tuple(paths)


def to_parquet(
    path: str | os.PathLike[str], rows: Sequence[Row], info: RunInfo, *, row_type: RowType | None = None
) -> None:
    """Write rows of one type to one Parquet file, whole or not at all.

    Args:
        path: a path, or a URL that fsspec understands. An existing file is replaced in one step.
        rows: all of one type, all of the run `info.run_id`.
        row_type: needed when `rows` is empty.

    Raises:
        RecordError: the rows do not fit their schema, or the file cannot be written. Nothing is left behind.
    """
    name = os.fspath(path)
    if row_type is None:
        if not rows:
            raise RecordError(f"{name}: rows is empty and row_type is not given")
        row_type = type(rows[0])
    data = _encode(name, rows, info, row_type)
    try:
        _write_whole(name, data)
    except Exception as error:  # a remote file system may raise any type
        raise RecordError(f"{name}: cannot write: {_describe(error)}") from error


def read_run(path: str | os.PathLike[str]) -> Run:
    """Read one file that `to_parquet` wrote.

    Raises:
        RecordError: it is missing, truncated, not Adjudge's, of another schema version, or holds what no run writes.
    """
    name = os.fspath(path)
    try:
        with _open(name) as file:
            return _decode(name, file)
    except RecordError:
        raise
    except FileNotFoundError:
        raise RecordError(f"{name}: no such file") from None
    except Exception as error:  # a hostile file may break the decoder in any way
        raise RecordError(f"{name}: not a readable Parquet file: {_describe(error)}") from error


def read_dataset(path: str | os.PathLike[str]) -> Dataset:
    """Read every ``*.parquet`` file of a folder (or a single file) and join the files of each run.

    A file that cannot be read is reported in `Dataset.broken`; the others are kept.

    Raises:
        RecordError: there is no such folder, it holds no Parquet file, or none of them can be read.
    """
    name = os.fspath(path)
    paths = _list(name)
    if not paths:
        raise RecordError(f"{name}: the folder holds no run files (*.parquet)")
    runs: dict[str, Run] = {}
    broken: list[RecordError] = []
    for one in paths:
        try:
            run = read_run(one)
        except RecordError as error:
            broken.append(error)
            continue
        known = runs.get(run.info.run_id)
        runs[run.info.run_id] = run if known is None else _join_runs(known, run)
    if not runs:
        raise RecordError(f"{name}: no run file can be read; " + "; ".join(map(str, broken)))
    ordered = sorted(runs.values(), key=lambda r: (r.info.started_utc, r.info.run_id))
    return Dataset(tuple(ordered), tuple(broken))


def _join_runs(a: Run, b: Run) -> Run:
    info = replace(
        a.info,
        interrupted=a.info.interrupted or b.info.interrupted,
        left_out=a.info.left_out or b.info.left_out,
    )
    return Run(
        info,
        a.verdicts + b.verdicts,
        a.timings + b.timings,
        a.comparisons + b.comparisons,
        a.coverage + b.coverage,
        a.power + b.power,
    )


def _check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise ValueError(f"{name} is {value!r}, not one of {', '.join(map(repr, choices))}")


# The schema, from the dataclasses.

_ARROW: dict[Any, Any] = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
    tuple[float, ...]: pa.list_(pa.float64()),
    tuple[int, ...]: pa.list_(pa.int64()),
}
ROW_TYPES: dict[str, RowType] = {
    "verdicts": VerdictRow,
    "timings": TimingRow,
    "comparisons": ComparisonRow,
    "coverage": CoverageRow,
    "power": PowerRow,
}


def _schema(row_type: RowType, version: int = SCHEMA_VERSION) -> Any:
    """The Parquet schema as it was in a version: of the columns that it had."""
    hints = get_type_hints(row_type)
    old = {f.name for f in fields(row_type) if f.metadata["since"] <= version}
    return pa.schema(
        [
            pa.field(c.name, _ARROW[hints[c.name]], False, {"unit": c.unit, "doc": c.doc})
            for c in columns(row_type)
            if c.name in old
        ]
    )


def _encode(name: str, rows: Sequence[Row], info: RunInfo, row_type: RowType) -> bytes:
    for row in rows:
        if type(row) is not row_type:
            raise RecordError(f"{name}: rows holds a {type(row).__name__} among {row_type.__name__}s")
        if row.run_id != info.run_id:
            raise RecordError(f"{name}: a row has run_id {row.run_id!r}, the run is {info.run_id!r}")
    schema = _schema(row_type)
    arrays = []
    for f in schema:
        try:
            array = pa.array([getattr(row, f.name) for row in rows], type=f.type)
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            raise RecordError(f"{name}: column {f.name} does not hold {f.type}: {_describe(error)}") from error
        if array.null_count:
            raise RecordError(f"{name}: column {f.name} has {array.null_count} missing values")
        arrays.append(array)
    stem = next(s for s, t in ROW_TYPES.items() if t is row_type)
    head = {"schema_version": SCHEMA_VERSION, "rows": stem, "info": asdict(info)}
    table = pa.table(arrays, schema=schema.with_metadata({_KEY: json.dumps(head).encode()}))
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    return cast(bytes, sink.getvalue().to_pybytes())


def _decode(name: str, file: IO[bytes]) -> Run:
    parquet = pq.ParquetFile(file, page_checksum_verification=True)
    head = _read_head(name, parquet)
    row_type, version = ROW_TYPES[head["rows"]], head["schema_version"]
    schema = _schema(row_type, version)
    if not parquet.schema_arrow.equals(schema, check_metadata=False):
        raise RecordError(f"{name}: {_schema_difference(parquet.schema_arrow, schema)}")
    meta = parquet.metadata
    size = sum(meta.row_group(i).total_byte_size for i in range(meta.num_row_groups))
    if meta.num_rows > _MAX_ROWS or size > _MAX_BYTES:
        raise RecordError(
            f"{name}: claims {meta.num_rows:,} rows in {size:,} bytes; the most is {_MAX_ROWS:,} in {_MAX_BYTES:,}"
        )
    try:
        info = _read_info(head["info"])
        rows = _read_rows(parquet.read(), row_type, info, version)
    except (TypeError, ValueError) as error:
        raise RecordError(f"{name}: {_describe(error)}") from error
    kept: dict[str, Any] = {head["rows"]: rows}
    return Run(info, **kept)


def _read_head(name: str, parquet: Any) -> dict[str, Any]:
    text = (parquet.schema_arrow.metadata or {}).get(_KEY)
    if text is None:
        raise RecordError(
            f"{name}: a Parquet file, but not one of Adjudge's (its metadata has no {_KEY.decode()!r} entry)"
        )
    try:
        head = json.loads(text)
        version, stem = head["schema_version"], head["rows"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise RecordError(
            f"{name}: its {_KEY.decode()!r} metadata is not what Adjudge writes: {_describe(error)}"
        ) from error
    if type(version) is not int or not 1 <= version <= SCHEMA_VERSION:
        newer = " (written by a newer Adjudge: update this one)" if type(version) is int and version > 0 else ""
        raise RecordError(
            f"{name}: has schema version {version!r}, this Adjudge reads versions 1 to {SCHEMA_VERSION}{newer}"
        )
    if not isinstance(stem, str) or stem not in ROW_TYPES or not isinstance(head.get("info"), dict):
        raise RecordError(f"{name}: its {_KEY.decode()!r} metadata names no rows of Adjudge's, or has no run info")
    return cast("dict[str, Any]", head)


def _read_info(values: Mapping[str, Any]) -> RunInfo:
    known = {c.name for c in columns(RunInfo)}
    if unknown := sorted(set(values) - known):
        raise ValueError(f"run info has an unknown entry {unknown[0]!r}")
    hints = get_type_hints(RunInfo)
    for key, value in values.items():
        if not _fits(value, hints[key]):
            raise ValueError(f"run info {key} is {value!r}, which is not {hints[key]}")
    return RunInfo(**values)


def _fits(value: object, hint: Any) -> bool:
    if hint == dict[str, str]:
        return isinstance(value, dict) and all(isinstance(v, str) for v in value.values())
    if hint == tuple[dict[str, str], ...]:
        return isinstance(value, list) and all(_fits(entry, dict[str, str]) for entry in value)
    if hint == float | None:
        return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
    if hint is int and isinstance(value, bool):
        return False
    return isinstance(value, hint)


def _read_rows(table: Any, row_type: RowType, info: RunInfo, version: int) -> tuple[Row, ...]:
    """The rows; columns that are younger than the file have their defaults, and the rows are of today's version."""
    names = table.column_names
    data: list[Iterable[Any]] = []
    for key in names:
        column = table.column(key)
        if column.null_count:
            raise ValueError(f"column {key} has {column.null_count} missing values")
        data.append(_values(column))
    build = cast("Callable[..., Row]", row_type)
    rows = tuple(build(**dict(zip(names, values, strict=True))) for values in zip(*data, strict=True))
    for row in rows:
        if row.run_id != info.run_id:
            raise ValueError(f"a row has run_id {row.run_id!r}, the file is of run {info.run_id!r}")
        if row.schema_version != version:
            raise ValueError(f"a row has schema version {row.schema_version}, the file has version {version}")
    return rows if version == SCHEMA_VERSION else tuple(replace(row, schema_version=SCHEMA_VERSION) for row in rows)


def _values(column: Any) -> list[Any]:
    """The column as Python values; equal texts are one object, since most columns repeat a few of them."""
    if column.type != pa.string():
        return cast("list[Any]", column.to_pylist() if pa.types.is_nested(column.type) else column.to_numpy().tolist())
    encoded = column.combine_chunks().dictionary_encode()
    texts = encoded.dictionary.to_pylist()
    return [texts[i] for i in encoded.indices.to_numpy().tolist()]


def _schema_difference(found: Any, wanted: Any) -> str:
    names = set(found.names), set(wanted.names)
    if missing := sorted(names[1] - names[0]):
        return f"column {missing[0]!r} is missing"
    if extra := sorted(names[0] - names[1]):
        return f"column {extra[0]!r} is unknown"
    for f in wanted:
        if found.field(f.name).type != f.type:
            return f"column {f.name!r} holds {found.field(f.name).type}, not {f.type}"
    return "its columns are not in Adjudge's order, or may be missing values"


# Files: local paths by the operating system, URLs by fsspec.


def list_files(name: str | os.PathLike[str]) -> list[str]:
    """The ``*.parquet`` files of a folder or URL in order of their names, or the file itself.

    Raises:
        RecordError: there is no such file or folder.
    """
    return _list(os.fspath(name))


def open_file(name: str | os.PathLike[str]) -> IO[bytes]:
    """Open a file or URL to read bytes."""
    return _open(os.fspath(name))


def write_file(name: str | os.PathLike[str], data: bytes) -> None:
    """Write a file or URL, whole or not at all.

    Raises:
        RecordError: it cannot be written. Nothing is left behind.
    """
    try:
        _write_whole(os.fspath(name), data)
    except Exception as error:  # a remote file system may raise any type
        raise RecordError(f"{os.fspath(name)}: cannot write: {_describe(error)}") from error


def remove_file(name: str | os.PathLike[str]) -> None:
    """Remove a file or URL."""
    _remove(os.fspath(name))


def _is_url(name: str) -> bool:
    return "://" in name


def _file_system(name: str) -> tuple[Any, str]:
    try:
        import fsspec.core
    except ImportError as error:
        raise RecordError(f"{name}: a URL needs fsspec; install it with: pip install fsspec") from error
    try:
        return cast("tuple[Any, str]", fsspec.core.url_to_fs(name))
    except (ImportError, ValueError) as error:
        raise RecordError(f"{name}: {_describe(error)}") from error


def _join(out: str | os.PathLike[str], name: str) -> str:
    folder = os.fspath(out)
    return f"{folder.rstrip('/')}/{name}" if _is_url(folder) else str(Path(folder) / name)


def _open(name: str) -> IO[bytes]:
    if _is_url(name):
        fs, path = _file_system(name)
        return cast("IO[bytes]", fs.open(path, "rb"))
    return open(name, "rb")


def _list(name: str) -> list[str]:
    if _is_url(name):
        fs, path = _file_system(name)
        if fs.isfile(path):
            return [name]
        found = [fs.unstrip_protocol(p) for p in fs.glob(f"{path.rstrip('/')}/*.parquet")]
        return sorted(p for p in found if not p.rsplit("/", 1)[-1].startswith("."))
    folder = Path(name)
    if folder.is_file():
        return [name]
    if not folder.is_dir():
        raise RecordError(f"{name}: no such file or folder")
    return sorted(str(p) for p in folder.glob("*.parquet") if not p.name.startswith("."))


def _remove(name: str) -> None:
    if _is_url(name):
        fs, path = _file_system(name)
        fs.rm(path)
    else:
        os.unlink(name)


def _write_whole(name: str, data: bytes) -> None:
    """Write beside the target under a hidden name, make it durable, then rename; leave nothing behind on failure."""
    if _is_url(name):
        fs, path = _file_system(name)
        folder, _, base = path.rpartition("/")
        draft = f"{folder}/.{base}.{secrets.token_hex(4)}.tmp"
        fs.makedirs(folder, exist_ok=True)
        try:
            with fs.open(draft, "wb") as file:
                file.write(data)
            fs.mv(draft, path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                fs.rm(draft)
            raise
        return
    target = Path(name)
    if target.exists() and not target.is_file():  # a device or a pipe has no whole that could be replaced
        with open(target, "wb") as file:
            file.write(data)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.parent / f".{target.name}.{secrets.token_hex(4)}.tmp"
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _describe(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return text[0] if text else type(error).__name__
