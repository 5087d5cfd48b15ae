"""What `adjudge bench --against` does: time two revisions or two environments against each other in paired fresh processes.

Both revisions' sources are laid into folders of their own. Pair after pair of fresh processes is started, one for each side;
within a pair they take turns in short blocks on the same core, each block's last result is checked, and counts are compared
exactly. What it says about each series is decided by `harness.comparison`. A process that hangs or dies costs its series,
never the rows of the others.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import selectors
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.bench import WHATS, LeftOut, Progress, noted
from harness.comparison import (
    LEAST_PAIRS,
    LEAST_ROUNDS,
    THRESHOLD,
    PairTimes,
    compare_counts,
    decide,
    estimate,
    holm,
)
from harness.counting import GATED
from harness.environment import code_hash, describe_run
from harness.records import ComparisonRow, RunInfo, TimingRow
from harness.timing import thread_variables
from harness.workloads import Workload, select

__all__ = [
    "THRESHOLD",
    "BrokenSide",
    "Limits",
    "PairedResult",
    "Side",
    "compare_sides",
    "environments",
    "revisions",
    "series_name",
]

PAIRS = 12
BLOCK_SECONDS = 2e-3
HANG_SECONDS = 60.0
_LEAST_SHARE_SECONDS = 0.05
MOST_ROUNDS = 400

_WORKER = Path(__file__).with_name("paired_worker.py")
_PACKAGES = ("harness", "reference_impl")


class BrokenSide(Exception):
    """A revision or an environment that cannot be measured; the message says which, and why."""


@dataclass(frozen=True)
class Side:
    """One of the two that are compared.

    Attributes:
        label: what rows and messages call it: a commit, with "+" for changes, or a path.
        tree: the folder that holds its packages; None for what is installed in its Python.
        python: its Python executable.
    """

    label: str
    tree: Path | None
    python: str = sys.executable


@dataclass(frozen=True)
class Limits:
    """What is fixed for a comparison.

    Attributes:
        pairs: most pairs of processes; where starting them is slow the budget allows fewer.
        rounds: most rounds of a pair, of two blocks a side; time ends most of them before.
        threads: threads of every backend.
        block_seconds: about how long a process is timed before it is the other's turn.
        hang_seconds: a process that does not answer for so long is taken to hang.
        threshold: smallest relative change that counts, by series name.
    """

    pairs: int = PAIRS
    rounds: int = MOST_ROUNDS
    threads: int = 1
    block_seconds: float = BLOCK_SECONDS
    hang_seconds: float = HANG_SECONDS
    threshold: Callable[[str], float] = lambda series: THRESHOLD


@dataclass(frozen=True)
class PairedResult:
    """The answers of one run, the samples behind them, and everything that has none."""

    info: RunInfo
    comparisons: tuple[ComparisonRow, ...]
    timings: tuple[TimingRow, ...]
    left_out: tuple[LeftOut, ...]


@contextlib.contextmanager
def environments(python: str) -> Iterator[tuple[Side, Side]]:
    """Adjudge as it is installed for another Python, and this one with its own."""
    found = shutil.which(python)
    if found is None:
        raise BrokenSide(f"{python} is no program that can be run")
    yield Side(python, None, found), Side(sys.executable, Path(__file__).parents[1])


@contextlib.contextmanager
def revisions(against: str, *, python: str | None = None) -> Iterator[tuple[Side, Side]]:
    """The sources of a revision and of this checkout as it is now, each in a folder of its own while the context lasts.

    Args:
        against: anything that git takes for a commit.
        python: the Python that runs the revision; this one by default.

    Raises:
        BrokenSide: this is no checkout, or the revision is unknown or does not hold Adjudge.
    """
    root = Path(__file__).parents[1]
    commit = _git(root, "rev-parse", "--verify", "--quiet", f"{against}^{{commit}}")
    if commit is None:
        inside = _git(root, "rev-parse", "--show-toplevel")
        why = f"git knows no commit {against!r}" if inside else f"{root} is no git checkout"
        raise BrokenSide(f"{why}: there is nothing to compare with")
    with tempfile.TemporaryDirectory(prefix="adjudge-") as folder:
        old, new = Path(folder, "before"), Path(folder, "after_")  # paths of one length
        _extract(root, commit, old)
        for package in _PACKAGES:
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(root / package, new / package, ignore=ignored)
            if not (old / package / "__init__.py").is_file():
                raise BrokenSide(f"revision {against} ({commit[:10]}) does not build: it has no package {package}")
        head = (_git(root, "rev-parse", "HEAD") or "")[:10]
        changed = bool(_git(root, "status", "--porcelain", "--untracked-files=no"))
        yield Side(commit[:10], old, python or sys.executable), Side(f"{head}{'+' if changed else ''}", new)


def series_name(workload: str, size: int, what: str, backend: str, dtype: str) -> str:
    """What thresholds and acceptances call a series: workload/size/what/backend/dtype."""
    return f"{workload}/{size}/{what}/{backend}/{dtype}"


@dataclass
class _Series:
    """One series while it is measured."""

    workload: Workload
    size: int
    what: str
    backend: str
    dtype: str
    pairs: list[PairTimes] = field(default_factory=list)
    sides: tuple[_SideTimes, _SideTimes] = field(default_factory=lambda: (_SideTimes(), _SideTimes()))
    elements: int = 0
    calls: int = 1
    dead: str = ""
    kind: str = "refused"
    waiting_known: bool = True

    @property
    def name(self) -> str:
        return series_name(self.workload.name, self.size, self.what, self.backend, self.dtype)


@dataclass
class _SideTimes:
    """All blocks of one side of a series."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    waited: list[float] = field(default_factory=list)
    rounds: list[int] = field(default_factory=list)
    processes: list[int] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    engine: tuple[str, str, str] = ("", "", "")
    error: float = 0.0
    overhead: float = 0.0
    counts: list[dict[str, int]] = field(default_factory=list)
    trusted: dict[str, float] = field(default_factory=dict)


def compare_sides(
    before: Side,
    after: Side,
    *,
    workloads: Sequence[str] | None = None,
    families: Sequence[str] | None = None,
    backends: Sequence[str] = ("reference",),
    sizes: Sequence[int] | None = None,
    what: Sequence[str] = WHATS,
    dtype: str = "float64",
    budget_seconds: float = 60.0,
    limits: Limits | None = None,
    seed: int = 0,
    adbench: str | None = None,
    progress: Progress | None = None,
    command: str | None = None,
) -> PairedResult:
    """Time both sides on the same questions in pairs of fresh processes and decide what changed.

    Args:
        budget_seconds: time for all of it; it is shared equally between pairs, and within a pair between the series.

    Raises:
        BrokenSide: a side's first process does not start, or lacks every backend.
        ValueError: an unknown workload, or a budget that is not positive.
    """
    if not budget_seconds > 0:
        raise ValueError(f"budget_seconds is {budget_seconds}, it must be positive")
    limits = limits or Limits()
    started = time.perf_counter()
    info = describe_run(
        command=" ".join(sys.argv) if command is None else command,
        seed=seed, budget_seconds=budget_seconds, threads_per_backend=limits.threads,
    )  # fmt: skip
    chosen = (
        [w for name in workloads for w in select([name], adbench=adbench)] if workloads else select(adbench=adbench)
    )
    ranked = [
        (rank, _Series(workload, size, word, backend, dtype))
        for workload in chosen
        for rank, size in enumerate(workload.sizes if sizes is None else sizes)
        for word in workload.whats
        if word in what
        for backend in backends
    ]
    series = [one for _, one in sorted(ranked, key=lambda pair: pair[0])]
    for one in series:
        if reason := one.workload.lacking(one.backend, one.size, one.what):
            one.dead, one.kind = reason, "unsupported"
    tell = progress or (lambda *_: None)
    run = _Run(before, after, series, limits, seed, adbench, started + budget_seconds, tell, dtype)
    interrupted = False
    try:
        run.measure()
    except KeyboardInterrupt:
        interrupted = True
    info = replace(info, interrupted=interrupted, elapsed_seconds=time.perf_counter() - started)
    return run.result(info)


class _Run:
    """The processes of a comparison, pair after pair."""

    def __init__(
        self,
        before: Side,
        after: Side,
        series: Sequence[_Series],
        limits: Limits,
        seed: int,
        adbench: str | None,
        deadline: float,
        progress: Progress,
        dtype: str,
    ) -> None:
        self.before, self.after = before, after
        self.series, self.limits = series, limits
        self.seed, self.adbench, self.deadline, self.progress = seed, adbench, deadline, progress
        self.dtype = dtype
        self.missing: list[LeftOut] = []
        self.hashes: dict[str, str] = {}
        self.starting = 0.0  # seconds that starting and preparing took in the pair at hand

    def measure(self) -> None:
        number, planned = 0, self.limits.pairs
        self._compile()
        while number < planned:
            now = time.perf_counter()
            if now >= self.deadline:
                break
            self.progress(number, planned, f"pair {number + 1} of {planned}")
            self.starting = 0.0
            self._pair(number, now + (self.deadline - now) / (planned - number))
            number += 1
            # Where a busy machine makes the start of processes slow, fewer pairs with more rounds say more.
            fit = (self.deadline - time.perf_counter()) / max(2 * self.starting, 1e-9)
            planned = min(self.limits.pairs, max(LEAST_PAIRS + 1, number + int(min(fit, self.limits.pairs))))
        self.progress(planned, planned, "done")

    def _compile(self) -> None:
        """Start and stop a process of each side where its sources are not compiled yet: that is no part of the first pair."""
        trees = [side.tree for side in (self.before, self.after) if side.tree is not None]
        if not all(Path(tree, package, "__pycache__").is_dir() for tree in trees for package in _PACKAGES):
            with contextlib.ExitStack() as stack:
                self._start(0, stack)

    def _pair(self, number: int, until: float) -> None:
        """One pair of processes; after one that hangs or dies another is started for the series that are left."""
        left = [one for one in self.series if not one.dead]
        while left:
            with contextlib.ExitStack() as stack:
                workers = self._start(number, stack)
                if workers is None:
                    return
                try:
                    while left:
                        now = time.perf_counter()
                        share = (until - now) / len(left)
                        one = left.pop(0)
                        if now < until or not one.pairs:
                            self._series(number, one, workers, min(now + share, self.deadline))
                except _Dead as error:
                    one.dead = str(error)

    def _start(self, number: int, stack: contextlib.ExitStack) -> tuple[_Process, _Process] | None:
        started = time.perf_counter()
        cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        core = cores[number % len(cores)] if cores and self.limits.threads == 1 else None
        both = [self.before, self.after]
        # Which one starts first alternates, too.
        order = both if number % 2 == 0 else both[::-1]
        made = {id(side): stack.enter_context(_Process(side, self.limits)) for side in order}
        backends = list(dict.fromkeys(one.backend for one in self.series))
        for side in order:
            tree = None if side.tree is None else str(side.tree)
            made[id(side)].send("open", backends=backends, threads=self.limits.threads, core=core, tree=tree)
        opened = []
        for side in both:
            try:
                answer = made[id(side)].receive()
            except _Dead as error:
                raise BrokenSide(f"{side.label} does not build: {error}") from None
            if "refused" in answer:
                raise BrokenSide(f"{side.label} does not build: {answer['refused']}")
            opened.append(answer)
            self.hashes.setdefault(side.label, code_hash(Path(answer["home"])))
        for side, answer in zip(both, opened, strict=True):
            for backend, reason in answer["missing"].items():
                if not any(item.backend == backend for item in self.missing):
                    self.missing.append(LeftOut("missing", backend, "", 0, "", f"{reason} ({side.label})"))
            if not answer["engines"]:
                raise BrokenSide(f"{side.label} has none of the backends: " + "; ".join(answer["missing"].values()))
        if opened[0]["affinity"] != opened[1]["affinity"]:
            raise BrokenSide(
                f"the sides may use different cores, {opened[0]['affinity']} and {opened[1]['affinity']}: no comparison"
            )
        for one in self.series:
            one.waiting_known = opened[0]["waiting_known"] and opened[1]["waiting_known"] and self.limits.threads == 1
            for times, answer in zip(one.sides, opened, strict=True):
                if one.backend in answer["engines"]:
                    times.engine = tuple(answer["engines"][one.backend])
                elif not one.dead:
                    one.dead, one.kind = f"the backend {one.backend} is missing", "missing"
        self.starting += time.perf_counter() - started
        return made[id(self.before)], made[id(self.after)]

    def _series(self, number: int, one: _Series, workers: tuple[_Process, _Process], until: float) -> None:
        """Prepare one series on both sides, count in the first two pairs, then take turns until the time is over."""
        if one.dead:
            return
        words = {
            "key": one.name, "workload": one.workload.name, "size": one.size, "what": one.what, "backend": one.backend,
            "dtype": one.dtype, "seed": self.seed, "adbench": self.adbench, "block_seconds": self.limits.block_seconds,
        }  # fmt: skip
        started = time.perf_counter()
        try:
            for place in (0, 1):  # both at the same time: a known answer may take long to work out
                workers[place].send("prepare", trusted=one.sides[place].trusted, **words)
            prepared = []
            for answer in [self._answer(place, workers) for place in (0, 1)]:
                if isinstance(answer, _Skip):
                    raise answer
                prepared.append(answer)
            if prepared[0]["digest"] != prepared[1]["digest"]:
                raise _Skip("the sides were given different inputs: the workload itself has changed")
            one.elements, one.calls = prepared[0]["elements"], prepared[0]["calls"]
            for times, answer in zip(one.sides, prepared, strict=True):
                times.first.append(answer["first_call_seconds"])
                times.trusted = answer["trusted"]
                times.overhead = max(times.overhead, answer["overhead_seconds"])
            if number < 2:  # twice, to tell what is deterministic
                for place in (0, 1):
                    one.sides[place].counts.append(self._ask(one, place, workers, "count", key=one.name)["counts"])
            self.starting += time.perf_counter() - started
            self._take_turns(number, one, workers, until)
        except _Skip as error:
            one.dead = str(error)

    def _take_turns(self, number: int, one: _Series, workers: tuple[_Process, _Process], until: float) -> None:
        found: tuple[list[float], list[float]] = ([], [])
        turns = (0, 1, 1, 0) if number % 2 == 0 else (1, 0, 0, 1)
        rounds = 0
        while rounds < LEAST_ROUNDS or (rounds < self.limits.rounds and time.perf_counter() < until):
            for place in turns:
                answer = self._ask(one, place, workers, "block", key=one.name, calls=one.calls)
                wall, cpu, waited = (answer[k] / one.calls for k in ("wall", "cpu", "waited"))
                if wall <= 0:  # the clock went back, or stood: the round has no ratio
                    found[place].append(math.nan)
                    continue
                times = one.sides[place]
                times.wall.append(wall)
                times.cpu.append(cpu)
                times.waited.append(waited)
                times.rounds.append(2 * rounds + len(found[place]) % 2 + 2 * self.limits.rounds * number)
                times.processes.append(2 * number + place)
                times.error = max(times.error, answer["error"])
                found[place].append(on_core(wall, cpu, waited) if one.waiting_known else wall)
            rounds += 1
        one.pairs.append(PairTimes(tuple(found[0]), tuple(found[1])))

    def _ask(
        self, one: _Series, place: int, workers: tuple[_Process, _Process], do: str, **words: Any
    ) -> dict[str, Any]:
        workers[place].send(do, **words)
        answer = self._answer(place, workers)
        if isinstance(answer, _Skip):
            raise answer
        return answer

    def _answer(self, place: int, workers: tuple[_Process, _Process]) -> dict[str, Any] | _Skip:
        """What a process answers; a refusal is returned, so that the other's answer can be read, too."""
        answer = workers[place].receive()
        if "refused" in answer:
            return _Skip(f"{(self.before, self.after)[place].label}: {answer['refused']}")
        return answer

    def result(self, info: RunInfo) -> PairedResult:
        """The decisions over all series that have times, and reasons for the others."""
        timed = [one for one in self.series if one.pairs]
        estimates = [estimate(one.pairs, series=len(timed)) for one in timed]
        adjusted = holm([found.p for found in estimates])
        rows = []
        for one, found, p_adjusted in zip(timed, estimates, adjusted, strict=True):
            control = estimate(one.pairs, control=True)
            threshold = self.limits.threshold(one.name)
            decision = decide(found, control, p_adjusted, threshold=threshold)
            if one.dead:
                reason = f"{one.dead} (after {len(one.pairs)} pairs)"
                decision = decision._replace(verdict="cannot tell", reason=reason)
            counts = [_steady_counts(times.counts) for times in one.sides]
            b, a = one.sides
            versions = "" if b.engine[2] == a.engine[2] else f"{b.engine[0]} {b.engine[2]} against {a.engine[2]}"
            row = ComparisonRow(
                run_id=info.run_id, series=one.name, workload=one.workload.name, size=one.elements, what=one.what,
                backend=b.engine[0], mode=b.engine[1], dtype=one.dtype, threads=self.limits.threads,
                before=self.before.label, after=self.after.label,
                verdict=decision.verdict, reason="; ".join(filter(None, (decision.reason, versions))),
                ratio=found.ratio, low=found.low, high=found.high, p=found.p, p_adjusted=p_adjusted,
                threshold=threshold, smallest_effect=decision.smallest_effect,
                control_ratio=control.ratio, control_low=control.low, control_high=control.high,
                before_seconds=_median(s for pair in one.pairs for s in pair.before),
                after_seconds=_median(s for pair in one.pairs for s in pair.after),
                log_ratios=found.log_ratios, blocks=len(b.wall), clock="on core" if one.waiting_known else "wall",
                counts=compare_counts(counts[0], counts[1], GATED),
                counts_before=json.dumps(counts[0]), counts_after=json.dumps(counts[1]), asked_size=one.size,
            )  # fmt: skip
            rows.append(row)
        timings = [row for one in timed for place in (0, 1) for row in self._timings(info, one, place)]
        left_out = (*self.missing, *self._left_out())
        info = replace(info, left_out=noted(left_out, dtype=self.dtype))
        return PairedResult(info, tuple(rows), tuple(timings), left_out)

    def _left_out(self) -> Iterator[LeftOut]:
        for one in self.series:
            if one.dead and one.kind != "missing":
                yield LeftOut(one.kind, one.backend, one.workload.name, one.size, one.what, one.dead, one.elements)
            elif not one.pairs and not one.dead:
                reason = "no time was left in the budget"
                yield LeftOut("budget", one.backend, one.workload.name, one.size, one.what, reason, one.elements)

    def _timings(self, info: RunInfo, one: _Series, place: int) -> Iterator[TimingRow]:
        times, side = one.sides[place], (self.before, self.after)[place]
        backend, mode, version = times.engine
        common: dict[str, Any] = {
            "run_id": info.run_id, "workload": one.workload.name, "size": one.elements, "what": one.what,
            "backend": backend, "backend_version": version, "mode": mode, "dtype": one.dtype,
            "threads": self.limits.threads, "revision": side.label, "check_error": times.error,
            "code_hash": self.hashes[side.label], "asked_size": one.size,
        }  # fmt: skip
        counts: dict[str, Any] = _steady_counts(times.counts)
        yield TimingRow(phase="first_call", samples_seconds=tuple(times.first), **common)
        if not times.wall:
            return
        yield TimingRow(
            phase="steady", samples_seconds=tuple(times.wall), cpu_seconds=tuple(times.cpu),
            waited_seconds=tuple(times.waited) if one.waiting_known else (), rounds=tuple(times.rounds),
            processes=tuple(times.processes), calls_per_sample=one.calls,
            clock_share=times.overhead / (statistics.median(times.wall) * one.calls),
            **common, **counts,
        )  # fmt: skip


def on_core(wall: float, cpu: float, waited: float) -> float:
    """Seconds of a block less those in which the process was ready and had no core; waiting for anything else stays in."""
    return max(wall - waited, min(cpu, wall))


class _Dead(Exception):
    """A process hangs or has ended."""


class _Skip(Exception):
    """A series cannot be compared; the others can."""


class _Process:
    """A worker of one side, stopped when its context ends."""

    def __init__(self, side: Side, limits: Limits) -> None:
        environment = os.environ | thread_variables(limits.threads)
        environment.pop("PYTHONPATH", None)  # another Python must not get this one's packages
        if side.tree is not None:
            environment["PYTHONPATH"] = str(side.tree)
        self.label, self.hang_seconds = side.label, limits.hang_seconds
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115  closed when the context ends
        try:
            self.process = subprocess.Popen(
                [side.python, "-P", str(_WORKER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors,
                env=environment, cwd=side.tree,
            )  # fmt: skip
        except OSError as error:
            self.errors.close()
            raise BrokenSide(f"{side.label}: {side.python} cannot be started: {error.strerror}") from error
        assert self.process.stdin is not None and self.process.stdout is not None
        self.requests, self.answers = self.process.stdin, self.process.stdout
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.answers, selectors.EVENT_READ)

    def send(self, do: str, **words: Any) -> None:
        try:
            self.requests.write(json.dumps({"do": do, **words}).encode() + b"\n")
            self.requests.flush()
        except OSError:
            raise _Dead(self._last_words()) from None

    def receive(self) -> dict[str, Any]:
        if not self.selector.select(self.hang_seconds):
            raise _Dead(f"{self.label} hangs: no answer for {self.hang_seconds:g} s")
        line = self.answers.readline()
        try:
            answer: dict[str, Any] = json.loads(line)
        except ValueError:
            raise _Dead(self._last_words()) from None
        return answer

    def _last_words(self) -> str:
        """Why the process has ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=5)
        code = self.process.poll()
        self.errors.seek(0)
        text = self.errors.read().decode(errors="replace").strip().splitlines()
        how = f"was killed by signal {-code}" if code is not None and code < 0 else f"ended with status {code}"
        return f"{self.label} {how}" + (f": {text[-1]}" if text and (code is None or code > 0) else "")

    def __enter__(self) -> _Process:
        return self

    def __exit__(self, *_: object) -> None:
        self.selector.close()
        with contextlib.suppress(OSError):
            self.requests.close()
        self.process.kill()  # it holds nothing that is worth the time of an orderly end
        self.process.wait()
        self.answers.close()
        self.errors.close()


def _median(seconds: Iterable[float]) -> float:
    """The median of those that are times; nan if there is none."""
    found = [s for s in seconds if s > 0]
    return statistics.median(found) if found else math.nan


def _steady_counts(counts: Sequence[dict[str, int]]) -> dict[str, int]:
    """The counts that were the same in every process; those of memory may differ by what a page holds."""
    if not counts:
        return {}
    first = counts[0]
    same = {name: n for name, n in first.items() if all(other.get(name) == n for other in counts)}
    memory = {
        name: max(c[name] for c in counts if name in c) for name in ("peak_bytes", "peak_rss_bytes") if name in first
    }
    return same | memory


def _git(root: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _extract(root: Path, commit: str, target: Path) -> None:
    """The sources of a commit. An archive and no worktree: a killed run must leave nothing in the repository."""
    target.mkdir()
    with tempfile.TemporaryFile() as archive:
        words = ["git", "-C", str(root), "archive", "--format=tar", commit]
        done = subprocess.run(words, stdout=archive, stderr=subprocess.PIPE, timeout=300, check=False)
        if done.returncode != 0:
            raise BrokenSide(f"revision {commit[:10]} cannot be read: {done.stderr.decode(errors='replace').strip()}")
        archive.seek(0)
        with tarfile.open(fileobj=archive) as files:
            files.extractall(target, filter="data")
