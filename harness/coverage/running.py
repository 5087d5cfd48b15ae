"""The run over all functions: a worker process for each engine, a row as each function is done.

A worker that crashes, or is silent for too long, is replaced; the function that it was at keeps the calls that had been
answered, and its row says what happened.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from harness.coverage.checks import Found, engine
from harness.coverage.rows import CoverageRow, row_of
from harness.waivers import Waiver, load, match

__all__ = ["ENGINES", "KNOWN", "Worker", "WorkerLost", "known_differences", "listed", "run", "waived"]

ENGINES = ("torch", "jax")
KNOWN = Path(__file__).with_name("known.toml")
CALLS = {"torch": 3, "jax": 2}  # calls of a function
AROUND = {"torch": 3, "jax": 1}  # those that are checked at points around them, too; JAX compiles for each shape
BUDGET_SECONDS = {"torch": 5.0, "jax": 15.0}  # no further point of a call is begun after this time
CALL_SECONDS = {"torch": 5.0, "jax": 20.0}  # one call of the framework may last so long, compilation and all
SILENT_SECONDS = 120.0  # a worker that says nothing for so long hangs


def listed(engines: Iterable[str], chosen: Collection[str] | None = None) -> dict[tuple[str, str], str]:
    """(engine, name) of every function, with its area; those that are chosen by name, or all.

    Raises:
        ImportError: a framework is not installed.
    """
    found: dict[tuple[str, str], str] = {}
    for name in engines:
        found |= {(name, n): area for n, area in engine(name).names().items() if chosen is None or n in chosen}
    return found


def run(
    functions: Sequence[tuple[str, str, str]],
    *,
    waivers: Sequence[Waiver] = (),
    budget_seconds: float | None = None,
    silent_seconds: float = SILENT_SECONDS,
    begun: Callable[[str, str], None] | None = None,
) -> Iterator[CoverageRow]:
    """Yield the row of each function (engine, name, area) as it is done, until the time is up.

    Args:
        waivers: known differences; the row of a function that one covers carries its id.
        budget_seconds: no function is begun after this time.
        silent_seconds: a worker that is silent for so long is stopped.
        begun: is told engine and name of each function that is begun.
    """
    started = time.monotonic()
    workers: dict[str, Worker] = {}
    try:
        for name, function, area in functions:
            if budget_seconds is not None and time.monotonic() - started > budget_seconds:
                return
            if begun is not None:
                begun(name, function)
            worker = workers.get(name)
            if worker is None:
                worker = workers[name] = Worker(name, silent_seconds)
            about = {"engine": name, "engine_version": engine(name).version(), "area": area, "name": function}
            yield waived(_row(worker, about), waivers)
    finally:
        for worker in workers.values():
            worker.stop()


def _row(worker: Worker, about: dict[str, str]) -> CoverageRow:
    started = time.monotonic()
    found: list[Found] = []
    reason = label = ended = ""
    try:
        for answer in worker.ask(about["name"]):
            if "begun" in answer:
                label = answer["begun"]
            elif "found" in answer:
                fields = answer["found"] | {k: tuple(answer["found"][k]) for k in ("claims", "operators")}
                found.append(Found(**fields))
            else:
                reason = answer["reason"]
    except WorkerLost as error:
        found.append(Found("not covered", str(error), label=label))
        ended = f"{label or 'drawing samples'}: {error}"
    return row_of(about, found, reason=reason, ended=ended, seconds=time.monotonic() - started)


def known_differences() -> tuple[Waiver, ...]:
    """The waivers of programs, and those of calls that programs do not make."""
    return (*load(), *load(KNOWN))


def waived(row: CoverageRow, waivers: Sequence[Waiver]) -> CoverageRow:
    """The row with the id of the waiver that covers what is wrong."""
    if row.status != "wrong":
        return replace(row, waiver="")
    short = row.name.rpartition(".")[2]
    asked = SimpleNamespace(
        backend=row.engine,
        backend_version=row.engine_version,
        claim=row.claim,
        ops=short,
        dtype="float64",
        difference="",
    )
    waiver = match(waivers, asked)
    return replace(row, waiver="" if waiver is None else waiver.id)


class WorkerLost(Exception):
    """The worker crashed or hung; the message says which."""


class Worker:
    """A process that checks functions; it is started again when it is lost."""

    def __init__(self, engine: str, silent_seconds: float) -> None:
        self.engine = engine
        self.command = [sys.executable, "-m", "harness.coverage.worker", engine]
        self.silent_seconds = silent_seconds
        self.process: subprocess.Popen[bytes] | None = None
        self.buffer = b""

    def ask(self, name: str) -> Iterator[dict[str, Any]]:
        """Yield the answers about one function.

        Raises:
            WorkerLost: the process ended, or said nothing for too long.
        """
        process = self.process or self.start()
        request = {"name": name, "calls": CALLS[self.engine], "around": AROUND[self.engine]}
        request |= {"budget_seconds": BUDGET_SECONDS[self.engine], "call_seconds": CALL_SECONDS[self.engine]}
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
        except BrokenPipeError:
            raise self.lost() from None
        while True:
            answer = json.loads(self.line(process))
            yield answer
            if answer.get("done"):
                return

    def start(self) -> subprocess.Popen[bytes]:
        """Start the process."""
        self.buffer = b""
        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the process that keeps the rows
            env=os.environ | {"OMP_NUM_THREADS": "1", "JAX_PLATFORMS": "cpu"},
        )
        return self.process

    def line(self, process: subprocess.Popen[bytes]) -> bytes:
        """The next line that the process writes."""
        assert process.stdout is not None
        until = time.monotonic() + self.silent_seconds
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while b"\n" not in self.buffer:
                if not selector.select(max(0.0, until - time.monotonic())):
                    self.stop()
                    raise WorkerLost(f"no answer within {self.silent_seconds:g} s: it hangs")
                read = os.read(process.stdout.fileno(), 1 << 16)
                if not read:
                    raise self.lost()
                self.buffer += read
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line

    def lost(self) -> WorkerLost:
        """Forget the process that ended, and say how it ended."""
        assert self.process is not None
        code = self.process.wait()
        self.stop()
        if code < 0:
            return WorkerLost(f"the process was killed by {signal.Signals(-code).name}")
        return WorkerLost(f"the process ended with exit code {code}")

    def stop(self) -> None:
        """End the process, if there is one."""
        process, self.process = self.process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                try:
                    stream.close()
                except BrokenPipeError:  # what it had not read is lost with it
                    continue
