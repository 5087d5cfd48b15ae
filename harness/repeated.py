"""A bench repeated in fresh processes: what differs between processes of the same code shows, and one that hangs is stopped.

Each process is an `adjudge bench` of its own with its share of the time. It saves its rows as it goes; when it is killed, or
does not end in time, the rows that it had stay, and the reason is told.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from harness.bench import Progress
from harness.environment import describe_run
from harness.records import LEFT_OUT, RecordError, Run, TimingRow, read_dataset

__all__ = ["run_processes"]


def run_processes(
    words: Sequence[str],
    *,
    processes: int,
    budget_seconds: float,
    hang_seconds: float,
    threads: int,
    seed: int,
    command: str,
    progress: Progress,
) -> tuple[Run, tuple[str, ...]]:
    """Run ``adjudge bench WORDS`` in so many processes, one after another.

    Args:
        words: options of the command, but for budget and folder.
        budget_seconds: time for all of them together.
        hang_seconds: a process that takes so much longer than its share is stopped.

    Returns:
        One run with the rows of all, `processes` set, and a sentence for each process that did not end well.
    """
    started = time.perf_counter()
    info = describe_run(command=command, seed=seed, budget_seconds=budget_seconds, threads_per_backend=threads)
    rows: list[TimingRow] = []
    reasons: list[str] = []
    left_out: dict[tuple[str, ...], dict[str, str]] = {}  # of many processes once
    interrupted = False
    for number in range(processes):
        progress(number, processes, f"process {number + 1} of {processes}")
        with tempfile.TemporaryDirectory(prefix="adjudge-") as folder:
            share = (budget_seconds - (time.perf_counter() - started)) / (processes - number)
            try:
                reason = _one(words, folder, max(share, 0.1), hang_seconds)
            except KeyboardInterrupt:
                interrupted, reason = True, ""
            try:
                runs = read_dataset(folder).runs
            except RecordError:
                runs = ()
            found = [row for run in runs for row in run.timings]
            for entry in (entry for run in runs for entry in run.info.left_out):
                left_out.setdefault(tuple(entry[key] for key in LEFT_OUT if key != "reason"), entry)
            rows += [replace(row, run_id=info.run_id, processes=(number,) * len(row.samples_seconds)) for row in found]
        if reason:
            reasons.append(f"process {number + 1} of {processes} {reason}; {len(found)} rows of it are kept")
        if interrupted:
            break
    info = replace(
        info,
        interrupted=interrupted,
        elapsed_seconds=time.perf_counter() - started,
        left_out=tuple(left_out.values()),
    )
    return Run(info, timings=tuple(rows)), tuple(reasons)


def _one(words: Sequence[str], folder: str, budget_seconds: float, hang_seconds: float) -> str:
    """Run one process; why it did not end well, or ""."""
    line = [
        sys.executable,
        "-m",
        "harness",
        "bench",
        *words,
        "--no-report",
        "--out",
        folder,
        "--budget",
        f"{budget_seconds:.3f}s",
    ]
    with open(Path(folder) / "errors", "w+") as errors:
        process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=errors)
        try:
            process.wait(timeout=budget_seconds + hang_seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return f"hangs: it did not end {hang_seconds:g} s after its time of {budget_seconds:.1f} s"
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)  # where the terminal has not done so
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=10)
            process.kill()
            process.wait()
            raise
        errors.seek(0)
        text = errors.read().strip().splitlines()
    if process.returncode < 0:
        return f"was killed by signal {-process.returncode}"
    if process.returncode != 0:
        wrong = [line for line in text if line.startswith(("refused", "Error", "missing"))] or text
        return f"ended with status {process.returncode}: {wrong[-1] if wrong else 'it says nothing'}"
    return ""
