"""Interleaved timing of thunks whose results are checked in the very samples that are timed.

`measure` calls several thunks in turn, in a new random order each round, so that a slow minute of the machine falls on all of
them; it keeps every sample, and gives none for a thunk whose result was wrong, still pending, or computed with more threads
than allowed. `import_seconds` times an import in a fresh process; `threads_limited` makes threads equal before anything is
loaded.
"""

from __future__ import annotations

import contextlib
import gc
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import threadpoolctl

from harness.allocator import settle_allocator
from harness.time_limits import OutOfTime, last_resort, within
from harness.workload_checks import Checked

__all__ = [
    "Measured",
    "Series",
    "Timed",
    "clock_overhead",
    "import_seconds",
    "measure",
    "pending",
    "thread_variables",
    "threads_limited",
]

MIN_SAMPLE_SECONDS = 200e-6
OVERHEAD_SHARE = 1e-3
_MAX_CALLS = 1_000_000
_CPU_SLACK = 1.25
_CPU_SECONDS = 0.05
_COUNTED_SECONDS = 0.05  # a call that takes longer is not called again to be counted

Clock = Callable[[], float]


@dataclass(frozen=True)
class Timed:
    """What is to be timed.

    Attributes:
        prepare: makes a fresh thunk; its first call may compile.
        check: judges what the thunk returned; called only while the clock stands.
        stages: a context around the first call that gives the seconds of its stages by name; None if it has none.
        count: counts what a call does, once its times are taken; None if nothing is counted.
    """

    prepare: Callable[[], Callable[[], Any]]
    check: Callable[[Any], Checked]
    stages: Callable[[], contextlib.AbstractContextManager[dict[str, float]]] | None = None
    count: Callable[[Callable[[], Any]], dict[str, int]] | None = None


@dataclass(frozen=True)
class Series:
    """All samples of one thunk.

    Attributes:
        first_call_seconds: the first call of the fresh thunk.
        samples_seconds: seconds per call of each steady sample, in the order taken.
        rounds: the round of each sample; samples of one round are pairs.
        calls_per_sample: calls that one sample averages over.
        check_error: largest relative error of any checked result.
        cpus: CPU seconds of the process per second of its samples.
        cpu_seconds: CPU seconds per call of each sample, all threads together.
        clock_share: share of the median sample that reading the clock takes.
        stages: seconds of the stages of the first call, by name.
        counts: what one call does, by name; empty where a call takes too long to count.
    """

    first_call_seconds: float
    samples_seconds: tuple[float, ...]
    rounds: tuple[int, ...]
    calls_per_sample: int
    check_error: float
    cpus: float
    cpu_seconds: tuple[float, ...]
    clock_share: float
    stages: Mapping[str, float]
    counts: Mapping[str, int]


@dataclass(frozen=True)
class Measured:
    """What `measure` found: a series for each thunk that was right, a reason for each other one.

    Attributes:
        interrupted: Ctrl-C ended it early; the series are what was there.
    """

    series: Mapping[str, Series]
    refused: Mapping[str, str]
    interrupted: bool = False


@dataclass
class _Run:
    """One thunk while it is measured."""

    thunk: Callable[[], Any]
    first_call_seconds: float
    calls: int = 1
    samples: list[float] = field(default_factory=list)
    rounds: list[int] = field(default_factory=list)
    error: float = 0.0
    wall: float = 0.0
    cpu: float = 0.0
    cpus: list[float] = field(default_factory=list)
    stages: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)


class _Refused(Exception):
    pass


def measure(
    entries: Mapping[str, Timed],
    *,
    rounds: int,
    rng: np.random.Generator,
    threads: int = 1,
    least_rounds: int = 5,
    deadline: float = math.inf,
    last_deadline: float = math.inf,
    min_sample_seconds: float = MIN_SAMPLE_SECONDS,
    overhead_share: float = OVERHEAD_SHARE,
    hang_seconds: float = math.inf,
    clock: Clock = time.perf_counter,
) -> Measured:
    """Time thunks against each other and check what they return.

    Each thunk is prepared, called once (the first call), checked, warmed up and given a number of calls per sample such that
    a sample lasts at least `min_sample_seconds` and the clock takes at most `overhead_share` of it. Then in each round every
    thunk gives one sample, and the last result of that sample is checked.

    Args:
        rounds: samples of each thunk.
        threads: CPUs that a thunk may keep busy; one that used more (where that can be told) is refused.
        deadline: reading of `clock` after which no round begins beyond `least_rounds`.
        last_deadline: reading of `clock` after which none begins but the first.
        hang_seconds: a thunk of which one step (preparing and the first call, a sample, counting) lasts longer is refused;
            where it stays in C, which cannot be interrupted, the process ends after twice that time.

    Returns:
        A series or a reason for every label, in the order of `entries`.
    """
    runs: dict[str, _Run] = {}
    refused: dict[str, str] = {}
    interrupted = False
    settle_allocator()
    overhead = clock_overhead(clock)
    block = max(min_sample_seconds, overhead / overhead_share)

    def attempt(label: str, action: Callable[..., None], *args: Any) -> None:
        alive()
        try:
            with within(hang_seconds, "one step"):
                action(label, *args)
        except OutOfTime as error:
            refused[label] = f"hangs: {error}"
        except _Refused as error:
            refused[label] = str(error)
        except Exception as error:  # a broken backend is an outcome; the others go on
            refused[label] = f"raised {type(error).__name__}: {error}"

    def start(label: str) -> None:
        thunk = entries[label].prepare()
        with (entries[label].stages or contextlib.nullcontext)() as stages:
            seconds, result, _ = _sample(thunk, 1, clock)
        if seconds < 0:
            raise _Refused(f"the clock went back by {-seconds:g} s during the first call")
        run = _Run(thunk, seconds, stages=stages or {})
        _judge(run, entries[label], result)
        run.calls = _calls_per_sample(thunk, block, clock)
        runs[label] = run

    def sample(label: str, number: int) -> None:
        run = runs[label]
        seconds, result, cpu = _sample(run.thunk, run.calls, clock)
        _judge(run, entries[label], result)
        if seconds <= 0:  # the clock went back, or stood: that is no time, and the round has no sample of this one
            return
        run.samples.append(seconds / run.calls)
        run.rounds.append(number)
        run.wall += seconds
        run.cpu += cpu
        run.cpus.append(cpu / run.calls)
        if run.wall > _CPU_SECONDS and run.cpu > threads * _CPU_SLACK * run.wall:
            raise _Refused(f"kept {run.cpu / run.wall:.2f} CPUs busy, {threads} allowed: threads are not equal")

    def count(label: str) -> None:
        run, counting = runs[label], entries[label].count
        if counting is not None and run.samples and sorted(run.samples)[len(run.samples) // 2] <= _COUNTED_SECONDS:
            run.counts = counting(run.thunk)

    with contextlib.ExitStack() as stack:
        alive = stack.enter_context(last_resort(2 * hang_seconds))
        try:
            for label in entries:
                attempt(label, start)
            for number in range(rounds):
                if number and clock() >= (last_deadline if number < least_rounds else deadline):
                    break
                for place in rng.permutation(len(runs)):
                    label = list(runs)[int(place)]
                    if label not in refused:
                        attempt(label, sample, number)
            for label in runs:
                if label not in refused:
                    attempt(label, count)
        except KeyboardInterrupt:
            interrupted = True
    good = {label: run for label, run in runs.items() if run.samples and label not in refused}
    return Measured({label: _series(run, overhead) for label, run in good.items()}, refused, interrupted)


def clock_overhead(clock: Clock = time.perf_counter) -> float:
    """Seconds that reading the clock twice adds to a sample: the median of many."""
    readings = []
    for _ in range(101):
        start = clock()
        readings.append(clock() - start)
    return sorted(readings)[50]


def pending(result: Any) -> bool:
    """Whether a result, or a part of it, says that it is still being computed."""
    if isinstance(result, tuple | list):
        return any(map(pending, result))
    if isinstance(result, Mapping):
        return any(map(pending, result.values()))
    ready = getattr(result, "is_ready", None)
    return callable(ready) and not ready()


def import_seconds(module: str, *, threads: int = 1, timeout_seconds: float = 300.0) -> float:
    """Seconds that ``import module`` takes in a fresh Python process, start of the interpreter not counted.

    Raises:
        ImportError: it cannot be imported there.
    """
    code = f"import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
    environment = os.environ | thread_variables(threads)
    environment["PYTHONPATH"] = os.pathsep.join(os.path.abspath(folder) for folder in sys.path)
    try:
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ImportError(f"import {module} did not end within {timeout_seconds:g} s") from error
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
        raise ImportError(f"import {module} failed in a fresh process: {last[0]}")
    return float(done.stdout.split()[-1])


def thread_variables(threads: int) -> dict[str, str]:
    """Environment variables that numerical libraries read, once, when they are loaded."""
    # NPROC is what XLA takes for the number of CPUs; its own flags do not reach all of its thread pools.
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NPROC")
    return dict.fromkeys(names, str(threads))


@contextlib.contextmanager
def threads_limited(threads: int) -> Iterator[None]:
    """Limit numerical libraries to that many threads: those that are loaded, and those that will be.

    A framework that was imported before may keep its own pool; `measure` tells by the CPU time that it used.
    """
    variables = thread_variables(threads)
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        with threadpoolctl.threadpool_limits(threads):
            yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _sample(thunk: Callable[[], Any], calls: int, clock: Clock) -> tuple[float, Any, float]:
    """Seconds, the last result and CPU seconds of so many calls, the garbage collector at rest."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        result = None
        cpu = time.process_time()
        start = clock()
        for _ in range(calls):
            result = thunk()
        seconds = clock() - start
        if pending(result):
            raise _Refused("the result was still pending when the clock stopped: what was timed is not the computation")
        return seconds, result, time.process_time() - cpu
    finally:
        if enabled:
            gc.enable()


def _judge(run: _Run, entry: Timed, result: Any) -> None:
    found = entry.check(result)
    if found.reason:
        raise _Refused(f"wrong: {found.reason}")
    run.error = max(run.error, found.error)


def _calls_per_sample(thunk: Callable[[], Any], block: float, clock: Clock) -> int:
    """Warm up, and find how many calls last at least `block` seconds."""
    calls = 1
    while True:
        # The least of three: a cold call must not pass for a long one.
        seconds = _sample(thunk, calls, clock)[0]
        for _ in range(2 if seconds < 100 * block else 0):
            seconds = min(seconds, _sample(thunk, calls, clock)[0])
        if seconds >= block or calls >= _MAX_CALLS:
            return calls
        calls = min(_MAX_CALLS, max(calls + 1, min(10 * calls, int(1.2 * calls * block / max(seconds, 1e-9)))))


def _series(run: _Run, overhead: float) -> Series:
    return Series(
        first_call_seconds=run.first_call_seconds,
        samples_seconds=tuple(run.samples),
        rounds=tuple(run.rounds),
        calls_per_sample=run.calls,
        check_error=run.error,
        cpus=run.cpu / run.wall if run.wall else float("nan"),
        cpu_seconds=tuple(run.cpus),
        clock_share=overhead / (sorted(run.samples)[len(run.samples) // 2] * run.calls),
        stages=run.stages,
        counts=run.counts,
    )
