"""One of two processes that are timed against each other: it prepares thunks and times a block of calls when it is told.

The process of `harness.paired` runs this file by its path, with the sources of one revision on the module path, and talks
to it in lines of JSON on standard input and output. Everything that defines what is timed (workloads, adapters, checks, the
tape) is that revision's; the clock, the counting and this protocol are the newer side's, the same for both.
"""

from __future__ import annotations

import functools
import gc
import importlib.util
import json
import os
import sys
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any

__all__ = ["main"]

_LEAST_BLOCK_SECONDS = 1e-3
_OVERHEAD_SHARE = 1e-3
_MAX_CALLS = 1_000_000


class _Refused(Exception):
    """This thunk gets no times; the message says why."""


@dataclass
class _Prepared:
    """A thunk that was right on its first call."""

    thunk: Callable[[], Any]
    judge: _Judge
    backend: str
    mode: str


def main() -> None:
    """Answer requests until standard input ends."""
    # What a framework prints must not be taken for an answer.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    worker = _Worker()
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = getattr(worker, request.pop("do"))(**request)
        except _Refused as error:
            answer = {"refused": str(error)}
        except Exception as error:  # a broken revision is an outcome; the other series go on
            answer = {"refused": f"raised {type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


class _Worker:
    """The requests, one method each; every one returns what is sent back."""

    def __init__(self) -> None:
        self.engines: dict[str, Any] = {}
        self.prepared: dict[str, _Prepared] = {}
        self.threads = 1
        self.core: int | None = None
        self.cores: set[int] = set()
        self.here: set[int] = set()
        self.waiting = _Waiting()
        self.counting = _neighbour("counting")
        self.overhead = _clock_overhead()
        _neighbour("allocator").settle_allocator()

    def open(self, *, backends: list[str], threads: int, core: int | None, tree: str | None) -> dict[str, Any]:
        """Load the backends with that many threads; blocks will run on that core alone if one is given."""
        started = time.perf_counter()
        import harness

        home = Path(str(harness.__file__)).resolve().parents[1]
        if tree is not None and home != Path(tree).resolve():
            raise _Refused(f"harness was imported from {home}, not from the revision's sources")
        from harness.timing import threads_limited
        from harness.workload_adapters import MissingFramework, load_engine

        self.threads = threads
        self.limits = threads_limited(threads)
        self.limits.__enter__()  # for the life of the process
        missing: dict[str, str] = {}
        for name in backends:
            try:
                self.engines[name] = load_engine(name, threads=threads)
            except MissingFramework as error:
                missing[name] = str(error)
        self.limits = threads_limited(threads)
        self.limits.__enter__()  # again, for the libraries that came with the frameworks
        self.core = core
        affinity = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        self.cores = set(affinity)
        return {
            "home": str(home),
            "python": sys.version.split()[0],
            "engines": {n: [e.backend, e.mode, e.version] for n, e in self.engines.items()},
            "missing": missing,
            "affinity": affinity,
            "waiting_known": self.waiting.known,
            "open_seconds": time.perf_counter() - started,
        }

    def prepare(
        self,
        *,
        key: str,
        workload: str,
        size: int,
        what: str,
        backend: str,
        dtype: str,
        seed: int,
        adbench: str | None,
        block_seconds: float,
        trusted: dict[str, float],
    ) -> dict[str, Any]:
        """Make a thunk, call it once, check it, warm it up and say how many calls last a block.

        Args:
            trusted: what earlier processes of this side found right, by fingerprint, with its error.
        """
        from harness.workloads import select

        self._move(self.cores)  # both sides prepare at the same time
        if backend not in self.engines:
            raise _Refused(f"the backend {backend} is missing here")
        (chosen,) = select([workload], adbench=adbench)
        prepare, judge, elements, digest = _pose(chosen, size, what, self.engines[backend], dtype, seed)
        judge.trusted |= trusted
        started = time.perf_counter()
        thunk = prepare()
        prepared_seconds = time.perf_counter() - started
        seconds, result = self._call(thunk, 1)[:2]
        judge(result)
        self.prepared[key] = _Prepared(thunk, judge, self.engines[backend].backend, self.engines[backend].mode)
        calls = self._calls(thunk, max(block_seconds, _LEAST_BLOCK_SECONDS, self.overhead / _OVERHEAD_SHARE))
        return {
            "first_call_seconds": seconds,
            "prepare_seconds": prepared_seconds,
            "elements": elements,
            "digest": digest,
            "calls": calls,
            "trusted": judge.trusted,
            "overhead_seconds": self.overhead,
        }

    def count(self, *, key: str) -> dict[str, Any]:
        """Counts and memory of one call."""
        entry = self.prepared[key]
        own = None
        if entry.backend == "torch" and entry.mode == "eager":
            own = _neighbour("backends/torch_counting").count_tape
        return {"counts": self.counting.measured(entry.thunk, backend=entry.backend, count_tape=own)}

    def block(self, *, key: str, calls: int) -> dict[str, Any]:
        """Time so many calls, check the last result, and say the time per call on every clock."""
        entry = self.prepared[key]
        if self.core is not None:
            self._move({self.core})
        seconds, result, cpu, waited = self._call(entry.thunk, calls)
        entry.judge(result)
        return {"wall": seconds, "cpu": cpu, "waited": waited, "error": entry.judge.error}

    def _move(self, cores: set[int]) -> None:
        if cores and cores != self.here and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, cores)
            self.here = cores

    def _call(self, thunk: Callable[[], Any], calls: int) -> tuple[float, Any, float, float]:
        from harness.timing import pending

        enabled = gc.isenabled()
        gc.disable()
        try:
            result = None
            waited = self.waiting.seconds()
            cpu = time.process_time()
            start = time.perf_counter()
            for _ in range(calls):
                result = thunk()
            seconds = time.perf_counter() - start
            if pending(result):
                raise _Refused("the result was still pending when the clock stopped")
            return seconds, result, time.process_time() - cpu, self.waiting.seconds() - waited
        finally:
            if enabled:
                gc.enable()

    def _calls(self, thunk: Callable[[], Any], block: float) -> int:
        calls = 1
        while True:
            seconds = min(self._call(thunk, calls)[0] for _ in range(3 if calls > 1 else 2))
            if seconds >= 0.8 * block or calls >= _MAX_CALLS:
                return calls
            calls = min(_MAX_CALLS, max(calls + 1, min(10 * calls, int(1.1 * calls * block / max(seconds, 1e-9)))))


class _Waiting:
    """Time that the main thread was ready to run and had no core, as Linux counts it (/proc/self/schedstat)."""

    def __init__(self) -> None:
        self.known = False
        try:
            self.file = os.open("/proc/self/schedstat", os.O_RDONLY)
            self.known = True
            self.seconds()
        except (OSError, ValueError, IndexError):
            self.known = False

    def seconds(self) -> float:
        return int(os.pread(self.file, 100, 0).split()[1]) * 1e-9 if self.known else 0.0


class _Judge:
    """Checks results: those that equal, bit for bit, one that was found right at once, others against the known answer.

    Most backends compute the same every time, and working out a known answer and holding a large result against it may
    take longer than all of the timing.
    """

    def __init__(self, to_arrays: Callable[[Any], Any], check: Callable[[Any], Any]) -> None:
        self.to_arrays, self.check = to_arrays, check
        self.trusted: dict[str, float] = {}
        self.error = 0.0

    def __call__(self, result: Any) -> None:
        hashed = sha256()
        for a in self.to_arrays(result):
            hashed.update(f"{a.dtype} {a.shape}".encode())
            hashed.update(a.tobytes())
        fingerprint = hashed.hexdigest()
        if fingerprint not in self.trusted:
            found = self.check(result)
            if found.reason:
                raise _Refused(f"wrong: {found.reason}")
            if len(self.trusted) < 100:  # a backend that never computes the same twice
                self.trusted[fingerprint] = float(found.error)
            self.error = max(self.error, float(found.error))
        else:
            self.error = max(self.error, self.trusted[fingerprint])


def _pose(
    workload: Any, size: int, what: str, engine: Any, dtype: str, seed: int
) -> tuple[Callable[[], Callable[[], Any]], _Judge, int, str]:
    """What makes a fresh thunk, what checks its result, the elements of the largest input, and a hash of the inputs."""
    try:
        from harness.bench import pose
    except ImportError:
        pass
    else:
        posed = pose(workload, size, what, engine, dtype=dtype, seed=seed)
        return posed.timed.prepare, _Judge(posed.to_arrays, posed.timed.check), posed.elements, posed.digest
    # A revision from before `pose`: put together as its `run_bench` did.
    import numpy as np

    from harness.workload_checks import check, known_answer

    rng = np.random.default_rng([seed, zlib.crc32(workload.name.encode()), size])
    inputs = workload.make_inputs(size, dtype, rng)
    plain = what in ("value", "gradient", "vjp")
    words: dict[str, Any] = {}
    if hasattr(workload, "direction"):
        words["what"] = "value" if plain else what
        cotangent = workload.direction(words["what"], inputs, dtype, rng)
    else:
        shape = np.shape(workload.by_hand(*inputs)[0])
        cotangent = np.ones((), dtype) if workload.scalar else rng.standard_normal(shape).astype(dtype)
    hashed = sha256()
    for a in (*inputs, cotangent):
        hashed.update(np.ascontiguousarray(a).tobytes())
    elements = max(a.size for a in inputs if isinstance(a, np.ndarray))

    @functools.cache
    def answer() -> Any:
        found = known_answer(workload, inputs, cotangent, dtype=dtype, rng=rng, **words)
        return found.value_only() if what == "value" else found

    judge = _Judge(engine.to_arrays, lambda result: check(answer(), engine.to_arrays(result)))
    return lambda: engine.prepare(workload, inputs, what, cotangent), judge, elements, hashed.hexdigest()[:16]


def _clock_overhead() -> float:
    readings = []
    for _ in range(101):
        start = time.perf_counter()
        readings.append(time.perf_counter() - start)
    return sorted(readings)[50]


def _neighbour(name: str) -> ModuleType:
    """A module that lies beside this file, whatever revision's `harness` is on the path."""
    path = Path(__file__).parent / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"_adjudge_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()
