"""The workloads under pytest-benchmark: ``pytest suites/benchmarks --benchmark-only``, one group a workload and question.

A benchmark is timed only after its thunk gave the known answer, and its last timed result is checked again. `extra_info`
carries the fields of Adjudge's timing row; the samples are where pytest-benchmark keeps them (``stats.data`` in its JSON,
with ``--benchmark-save-data``).
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import asdict

import numpy as np
import pytest

from harness.environment import describe_run
from harness.records import RunInfo, TimingRow
from harness.timing import threads_limited
from harness.workload_adapters import Engine, MissingFramework, load_engine
from harness.workload_checks import KnownAnswer, check, known_answer
from harness.workloads import Array, Input, Workload, workloads

pytest.importorskip("pytest_benchmark")
from pytest_benchmark.fixture import BenchmarkFixture

THREADS = 1
DTYPE = "float64"
TABLE = {name: w for name, w in workloads().items() if not name.startswith("gmm") or name == "gmm_adbench_d2_K5"}
QUESTIONS = [(name, what) for name, workload in TABLE.items() for what in workload.whats]


@pytest.fixture(scope="module")
def run() -> Iterator[RunInfo]:
    with threads_limited(THREADS):
        yield describe_run(command="pytest --benchmark-only", threads_per_backend=THREADS)


@functools.cache
def engine_of(backend: str) -> Engine:
    try:
        return load_engine(backend, threads=THREADS)
    except MissingFramework as error:
        pytest.skip(str(error))


@functools.cache
def question(name: str) -> tuple[Workload, tuple[Input, ...], Array, KnownAnswer]:
    workload = TABLE[name]
    rng = np.random.default_rng(5)
    inputs = workload.make_inputs(workload.sizes[0], DTYPE, rng)
    shape = np.shape(workload.by_hand(*inputs)[0])
    cotangent = np.ones(()) if workload.scalar else rng.standard_normal(shape)
    return workload, inputs, cotangent, known_answer(workload, inputs, cotangent, dtype=DTYPE, rng=rng)


@pytest.mark.benchmark(min_rounds=5, min_time=2e-4, max_time=0.05, disable_gc=True, warmup=False)
@pytest.mark.parametrize("backend", ["numpy", "reference", "torch", "jax-jit"])
@pytest.mark.parametrize(("name", "what"), QUESTIONS)
def test_bench_workload(name: str, what: str, backend: str, benchmark: BenchmarkFixture, run: RunInfo) -> None:
    workload, inputs, cotangent, answer = question(name)
    if what == "value":
        answer = answer.value_only()
    engine = engine_of(backend)
    thunk = engine.prepare(workload, inputs, what, cotangent)
    before = check(answer, engine.to_arrays(thunk()))
    assert before.reason == ""

    size = max(a.size for a in inputs if isinstance(a, np.ndarray))
    benchmark.group = f"{name} {size} {what}"
    after = check(answer, engine.to_arrays(benchmark(thunk)))
    assert after.reason == ""
    if benchmark.stats is None:  # --benchmark-disable: called, checked, not timed
        return
    row = TimingRow(
        run_id=run.run_id, workload=name, size=size, what=what, backend=engine.backend, backend_version=engine.version,
        mode=engine.mode, dtype=DTYPE, threads=THREADS, phase="steady", samples_seconds=(),
        calls_per_sample=benchmark.stats.iterations, asked_size=workload.sizes[0],
        check_error=max(before.error, after.error),
    )  # fmt: skip
    # The samples are pytest-benchmark's; of the other columns those that hold one sample each are empty.
    benchmark.extra_info.update({name: value for name, value in asdict(row).items() if not isinstance(value, tuple)})
