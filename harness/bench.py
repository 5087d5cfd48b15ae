"""What `adjudge bench` does: time named workloads on several backends, against each other, and keep rows of right values only.

`run_bench` loads the backends, checks every one of them against the hand-written gradient at the very inputs that are
timed, and returns rows for what was right and a reason for what was not. It keeps to its budget: small sizes of all
workloads come first, each comparison gets an equal share of the time that is left, and what did not fit is named.
"""

from __future__ import annotations

import functools
import hashlib
import math
import os
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from harness.counting import measured
from harness.environment import describe_run
from harness.records import RunInfo, TimingRow
from harness.timing import Series, Timed, import_seconds, measure, threads_limited
from harness.workload_adapters import ENGINES, Engine, MissingFramework, load_engine
from harness.workload_checks import Checked, KnownAnswer, check, known_answer, remembered
from harness.workloads import PLAIN, QUESTIONS, Array, Input, Workload, select

__all__ = ["DEFAULT_BACKENDS", "BenchResult", "Keep", "LeftOut", "Posed", "Progress", "noted", "pose", "run_bench"]

DEFAULT_BACKENDS = ("numpy", "reference", "torch", "jax-jit")
WHATS = QUESTIONS
DTYPES = ("float64", "float32")

_IMPORT_SHARE = 0.2
_IMPORT_REPEATS = 3

Progress = Callable[[int, int, str], None]
Keep = Callable[[RunInfo, Sequence[TimingRow]], None]


@dataclass(frozen=True)
class LeftOut:
    """Something that has no row, and why.

    Attributes:
        kind: "missing" (a framework is not there), "refused" (wrong value, error, too many threads), "input" (no inputs
            of that size), "unsupported" (the backend cannot do that, or not at that size), or "budget" (no time was left).
        elements: the size that its row would show; 0 where it is not known.
    """

    kind: str
    backend: str
    workload: str
    size: int
    what: str
    reason: str
    elements: int = 0

    def __str__(self) -> str:
        place = " ".join(word for word in (self.workload, str(self.size or ""), self.what, self.backend) if word)
        return f"{place}: {self.reason}"


def noted(left_out: Iterable[LeftOut], *, dtype: str) -> tuple[dict[str, str], ...]:
    """What was left out, as a run's info keeps it."""
    return tuple(
        {
            "kind": item.kind, "workload": item.workload, "size": str(item.elements or ""),
            "asked_size": str(item.size or ""), "what": item.what, "backend": item.backend, "dtype": dtype,
            "reason": item.reason,
        }
        for item in left_out
    )  # fmt: skip


@dataclass(frozen=True)
class BenchResult:
    """The rows of one run, and everything that has none."""

    info: RunInfo
    rows: tuple[TimingRow, ...]
    left_out: tuple[LeftOut, ...]

    @property
    def refused(self) -> tuple[LeftOut, ...]:
        """What was left out because it was wrong or broke: a run with any of these is no success."""
        return tuple(item for item in self.left_out if item.kind == "refused")


@dataclass(frozen=True)
class _Comparison:
    """One workload at one size: what all backends are timed on, in turn."""

    workload: Workload
    size: int
    what: str


@dataclass(frozen=True, eq=False)
class _Question:
    """What every backend gets, and what it has to answer."""

    inputs: tuple[Input, ...]
    cotangent: Array
    work_out: Callable[[], KnownAnswer]

    @functools.cached_property
    def answer(self) -> KnownAnswer:
        return self.work_out()


@dataclass(frozen=True)
class Posed:
    """One question to one engine.

    Attributes:
        timed: makes a fresh thunk, and checks what it returns.
        elements: elements of the largest input.
        digest: hash of the inputs and the cotangent: equal questions have equal ones.
        to_arrays: copies of what the thunk returned as NumPy arrays.
    """

    timed: Timed
    elements: int
    digest: str
    to_arrays: Callable[[Any], Sequence[Array]]


def pose(workload: Workload, size: int, what: str, engine: Engine, *, dtype: str, seed: int) -> Posed:
    """The question that `run_bench` asks an engine; the same arguments ask the same at any time and in any process.

    Its known answer is worked out when the first result is checked.
    """
    asked = _question(workload, size, _shared(what), dtype=dtype, seed=seed)
    elements = workload.row_size(size, asked.inputs)
    return Posed(_timed(engine, workload, what, asked), elements, _digest(asked), engine.to_arrays)


def run_bench(
    workloads: Iterable[str | Workload] | None = None,
    *,
    families: Iterable[str] | None = None,
    backends: Sequence[str | Engine] = DEFAULT_BACKENDS,
    sizes: Sequence[int] | None = None,
    what: Sequence[str] = WHATS,
    dtype: str = "float64",
    budget_seconds: float = 60.0,
    rounds: int = 30,
    threads: int = 1,
    hang_seconds: float = math.inf,
    seed: int = 0,
    adbench: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    keep: Keep | None = None,
    command: str | None = None,
) -> BenchResult:
    """Time workloads on backends and return rows of what was right.

    Args:
        workloads: names (see `harness.workloads.select`) or workloads; None is all of the families.
        families: names out of `harness.workloads.FAMILIES`; None is "core".
        backends: names out of `harness.workload_adapters.ENGINES`, or engines.
        sizes: sizes instead of each workload's own.
        what: out of `harness.workloads.QUESTIONS`; a workload is asked those that it has an answer to.
        dtype: "float64" or "float32".
        budget_seconds: after that time no comparison begins, and one that has begun ends its first round.
        rounds: most samples of one series.
        threads: threads of every backend; a backend seen to use more gets no row.
        hang_seconds: a backend of which one step lasts longer is left out of that comparison (see `harness.timing.measure`).
        adbench: folder of ADBench's input files; None generates inputs.
        progress: called as ``progress(done, total, text)`` before each comparison and at the end.
        keep: called after each comparison with the info of a partial run and its rows so far, so that a process that is
            killed or hangs later has saved them.
        command: what is recorded as the command line.

    Returns:
        The rows so far if Ctrl-C ended it, with ``info.interrupted`` set.

    Raises:
        ValueError: an unknown workload, backend, dtype or `what`, a size or a budget that is not positive.
    """
    chosen = _choose(workloads, adbench, families)
    _check_arguments(
        backends=backends, sizes=sizes, what=what, dtype=dtype, budget_seconds=budget_seconds, rounds=rounds
    )
    started = time.perf_counter()
    deadline = started + budget_seconds
    info = describe_run(
        command=" ".join(sys.argv) if command is None else command,
        seed=seed, budget_seconds=budget_seconds, threads_per_backend=threads,
    )  # fmt: skip
    book = _Book(info.run_id, dtype, threads)
    comparisons = _plan(chosen, sizes, what)
    question = functools.lru_cache(maxsize=1)(functools.partial(_question, dtype=dtype, seed=seed))
    tell = progress or (lambda done, total, text: None)
    interrupted = False
    try:
        with threads_limited(threads):
            engines = _load(backends, threads, book)
        with threads_limited(threads):  # again, for the libraries that came with the frameworks
            tell(0, len(comparisons), "imports")
            _time_imports(engines, book, until=started + _IMPORT_SHARE * budget_seconds, threads=threads)
            for done, one in enumerate(comparisons):
                now = time.perf_counter()
                if now >= deadline:
                    book.leave_out("budget", "", one, f"the budget of {budget_seconds:g} s was used up")
                    continue
                tell(done, len(comparisons), f"{one.workload.name} {one.size} {one.what}")
                until = now + (deadline - now) / (len(comparisons) - done)
                try:
                    asked = question(one.workload, one.size, _shared(one.what))
                    asked.answer  # noqa: B018  worked out here, before any engine is asked
                except ValueError as error:
                    book.leave_out("input", "", one, str(error))
                    continue
                interrupted = _compare(
                    one, asked, engines, book, rounds=rounds, until=until, deadline=deadline, hang_seconds=hang_seconds
                )
                if keep is not None:
                    so_far = noted(book.left_out, dtype=dtype)
                    elapsed = time.perf_counter() - started
                    keep(replace(info, interrupted=True, elapsed_seconds=elapsed, left_out=so_far), book.rows)
                if interrupted:
                    break
    except KeyboardInterrupt:
        interrupted = True
    tell(len(comparisons), len(comparisons), "done")
    info = replace(
        info,
        interrupted=interrupted,
        elapsed_seconds=time.perf_counter() - started,
        left_out=noted(book.left_out, dtype=dtype),
    )
    return BenchResult(info, tuple(book.rows), tuple(book.left_out))


class _Book:
    """The rows and reasons of one run, as they come in."""

    def __init__(self, run_id: str, dtype: str, threads: int) -> None:
        self.run_id, self.dtype, self.threads = run_id, dtype, threads
        self.rows: list[TimingRow] = []
        self.left_out: list[LeftOut] = []

    def leave_out(self, kind: str, backend: str, one: _Comparison | None, reason: str, elements: int = 0) -> None:
        name, size, what = ("", 0, "") if one is None else (one.workload.name, one.size, one.what)
        self.left_out.append(LeftOut(kind, backend, name, size, what, reason, elements))

    def add(self, engine: Engine, *, workload: str, size: int, what: str, phase: str, **measured: Any) -> None:
        row = TimingRow(
            run_id=self.run_id, workload=workload, size=size, what=what, phase=phase, dtype=self.dtype, threads=self.threads,
            backend=engine.backend, backend_version=engine.version, mode=engine.mode, **measured,
        )  # fmt: skip
        self.rows.append(row)

    def add_series(self, engine: Engine, one: _Comparison, size: int, series: Series) -> None:
        add = functools.partial(
            self.add, engine, workload=one.workload.name, size=size, what=one.what, asked_size=one.size
        )
        add(phase="first_call", samples_seconds=(series.first_call_seconds,), check_error=series.check_error)
        for stage, seconds in series.stages.items():
            add(phase=stage, samples_seconds=(seconds,), check_error=series.check_error)
        counts: dict[str, Any] = dict(series.counts)
        add(
            phase="steady", samples_seconds=series.samples_seconds, rounds=series.rounds,
            calls_per_sample=series.calls_per_sample, check_error=series.check_error, cpu_seconds=series.cpu_seconds,
            clock_share=series.clock_share, **counts,
        )  # fmt: skip


def _choose(
    workloads: Iterable[str | Workload] | None,
    adbench: str | os.PathLike[str] | None,
    families: Iterable[str] | None,
) -> list[Workload]:
    if workloads is None:
        return select(adbench=adbench, families=families)
    families = None if families is None else tuple(families)
    return [
        found
        for item in workloads
        for found in ([item] if isinstance(item, Workload) else select([item], adbench=adbench, families=families))
    ]


def _check_arguments(
    *,
    backends: Sequence[str | Engine],
    sizes: Sequence[int] | None,
    what: Sequence[str],
    dtype: str,
    budget_seconds: float,
    rounds: int,
) -> None:
    for backend in backends:
        if isinstance(backend, str) and backend not in ENGINES:
            raise ValueError(f"backends: {backend!r} is not known; the backends are {', '.join(ENGINES)}")
    for word in what:
        if word not in WHATS:
            raise ValueError(f"what: {word!r} is not known; it is one of {', '.join(WHATS)}")
    if dtype not in DTYPES:
        raise ValueError(f"dtype: {dtype!r} is not known; it is one of {', '.join(DTYPES)}")
    for size in sizes or ():
        if size < 1:
            raise ValueError(f"sizes: {size} is not positive")
    if not budget_seconds > 0:
        raise ValueError(f"budget_seconds is {budget_seconds}, it must be positive")
    if rounds < 1:
        raise ValueError(f"rounds is {rounds}, it must be at least 1")


def _plan(workloads: Sequence[Workload], sizes: Sequence[int] | None, what: Sequence[str]) -> list[_Comparison]:
    """All comparisons, the smallest size of every workload first."""
    ranked = [
        (rank, _Comparison(workload, size, word))
        for workload in workloads
        for rank, size in enumerate(workload.sizes if sizes is None else sizes)
        for word in workload.whats
        if word in what
    ]
    return [one for _, one in sorted(ranked, key=lambda pair: pair[0])]


def _load(backends: Sequence[str | Engine], threads: int, book: _Book) -> list[Engine]:
    engines: dict[str, Engine] = {}
    for backend in backends:
        try:
            engine = backend if isinstance(backend, Engine) else load_engine(backend, threads=threads)
        except MissingFramework as error:
            book.leave_out("missing", str(backend), None, str(error))
            continue
        engines[engine.name] = engine
    return list(engines.values())


def _time_imports(engines: Sequence[Engine], book: _Book, *, until: float, threads: int) -> None:
    """One row for each module, interleaved; nothing is begun after `until`."""
    modules: dict[str, Engine] = {}
    for engine in engines:
        if engine.module:
            modules.setdefault(engine.module, engine)
    samples: dict[str, list[float]] = {module: [] for module in modules}
    broken: dict[str, str] = {}
    try:
        for module in [*modules] * _IMPORT_REPEATS:
            if module not in broken and time.perf_counter() < until:
                try:
                    samples[module].append(import_seconds(module, threads=threads))
                except ImportError as error:
                    broken[module] = str(error)
    finally:
        for module, engine in modules.items():
            seconds = tuple(samples[module])
            if module in broken:
                book.leave_out("refused", engine.name, None, broken[module])
            elif seconds:
                book.add(engine, workload="import", size=0, what="import", phase="import", samples_seconds=seconds)
            else:
                book.leave_out("budget", engine.name, None, f"no time was left to time import {module}")


def _shared(what: str) -> str:
    """The question that is answered along with this one: a value comes with its gradient."""
    return "value" if what in PLAIN else what


def _question(workload: Workload, size: int, what: str = "value", *, dtype: str, seed: int) -> _Question:
    """Inputs, direction and known answer, the same whenever the workload, the size, the dtype and the seed are."""
    rng = np.random.default_rng([seed, zlib.crc32(workload.name.encode()), size])
    inputs = workload.make_inputs(size, dtype, rng)
    direction = workload.direction(what, inputs, dtype, rng)
    work_out = functools.partial(known_answer, workload, inputs, direction, dtype=dtype, rng=rng, what=what)
    return _Question(inputs, direction, work_out)


def _digest(asked: _Question) -> str:
    hashed = hashlib.sha256()
    for a in (*asked.inputs, asked.cotangent):
        hashed.update(np.ascontiguousarray(a).tobytes())
    return hashed.hexdigest()[:16]


def _compare(
    one: _Comparison,
    asked: _Question,
    engines: Sequence[Engine],
    book: _Book,
    *,
    rounds: int,
    until: float,
    deadline: float,
    hang_seconds: float,
) -> bool:
    """Time one workload at one size on all engines; whether Ctrl-C ended it."""
    elements = one.workload.row_size(one.size, asked.inputs)
    able = []
    for engine in engines:
        if reason := one.workload.lacking(engine.name, one.size, one.what):
            book.leave_out("unsupported", engine.name, one, reason, elements)
        else:
            able.append(engine)
    engines = able
    entries = {engine.name: _timed(engine, one.workload, one.what, asked) for engine in engines}
    found = measure(
        entries,
        rounds=rounds,
        rng=np.random.default_rng(one.size),
        threads=book.threads,
        deadline=until,
        last_deadline=deadline,
        hang_seconds=hang_seconds,
    )
    for engine in engines:
        if engine.name in found.series:
            book.add_series(engine, one, elements, found.series[engine.name])
        elif engine.name in found.refused:
            book.leave_out("refused", engine.name, one, found.refused[engine.name], elements)
    return found.interrupted


def _timed(engine: Engine, workload: Workload, what: str, asked: _Question) -> Timed:
    def prepare() -> Callable[[], Any]:
        return engine.prepare(workload, asked.inputs, what, asked.cotangent)

    def judge(arrays: Sequence[Array]) -> Checked:
        return check(asked.answer.value_only() if what == "value" else asked.answer, arrays)

    def count(thunk: Callable[[], Any]) -> dict[str, int]:
        if engine.backend == "torch" and engine.mode == "eager":
            from harness.backends.torch_counting import count_tape

            return measured(thunk, backend=engine.backend, count_tape=count_tape)
        return measured(thunk, backend=engine.backend)

    judged = remembered(judge)
    return Timed(prepare, lambda result: judged(engine.to_arrays(result)), engine.stages, count)
