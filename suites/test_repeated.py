"""A bench repeated in fresh processes keeps the rows of all of them, and of one that hangs or dies those that it had."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.records import Run, read_dataset

ROOT = Path(__file__).parents[1]
PLANT = """

_load_engine = load_engine


def load_engine(name, *, threads=1):
    from dataclasses import replace
    import os, signal, time

    engine = _load_engine(name, threads=threads)

    def prepare(workload, inputs, what, cotangent):
        if workload.name == "d2l_sum":
            {body}
        if workload.name == "d2l_dot":
            time.sleep(2.5)  # so that the rows are saved after it
        return engine.prepare(workload, inputs, what, cotangent)

    return replace(engine, prepare=prepare)
"""
UNWATCHED = "import faulthandler; faulthandler.cancel_dump_traceback_later(); signal.setitimer(signal.ITIMER_REAL, 0)"
WORDS = ["--workloads", "d2l_dot,d2l_sum", "--sizes", "10", "--what", "value", "--backends", "numpy", "--rounds", "3"]


def bench(tree: Path, out: Path, *words: str) -> tuple[subprocess.CompletedProcess[str], Run]:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "harness", "bench", *WORDS, "--no-report", "--out", str(out), *words],
        env=os.environ | {"PYTHONPATH": str(tree)}, cwd=tree, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    (run,) = read_dataset(out).runs
    return done, run


def test_every_process_has_its_rows(tmp_path: Path) -> None:
    done, run = bench(ROOT, tmp_path, "--processes", "2", "--budget", "40s")
    assert done.returncode == 0, done.stderr
    steady = [row for row in run.timings if row.phase == "steady"]
    assert sorted((row.workload, row.processes) for row in steady) == [
        (name, (i,) * 3) for name in ("d2l_dot", "d2l_sum") for i in (0, 1)
    ]
    assert {row.run_id for row in run.timings} == {run.info.run_id}


@pytest.mark.parametrize(
    ("body", "words", "budget"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", "was killed by signal 9", "120s"),
        ("time.sleep(200)", "ended with status 1: refused: d2l_sum 10 value numpy: hangs: one step lasted", "30s"),
        (f"{UNWATCHED}; time.sleep(200)", "hangs: it did not end 5 s after its time", "20s"),
    ],
)
def test_a_process_that_dies_or_hangs_leaves_what_it_had(body: str, words: str, budget: str, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for package in ("harness", "reference_impl", "reports"):
        shutil.copytree(ROOT / package, tree / package, ignore=shutil.ignore_patterns("__pycache__"))
    with open(tree / "harness" / "workload_adapters.py", "a") as file:
        file.write(PLANT.replace("{body}", body))
    done, run = bench(tree, tmp_path / "out", "--processes", "2", "--budget", budget, "--hang", "5s")
    assert done.returncode == 1
    assert f"process 1 of 2 {words}" in done.stderr
    assert {row.workload for row in run.timings if row.phase == "steady"} == {"d2l_dot"}
    assert 0 in {row.processes[0] for row in run.timings}
