"""Timing keeps samples of right values only, apart by phase, interleaved, and within its budget."""

from __future__ import annotations

import contextlib
import functools
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from harness.bench import BenchResult, run_bench
from harness.timing import Measured, Timed, import_seconds, measure, pending
from harness.workload_adapters import Engine, load_engine
from harness.workload_checks import Checked, check, known_answer
from harness.workloads import Array, Input, Workload, select

RIGHT = Checked("", 0.0, 0.0)


def run(entries: dict[str, Timed], **options: Any) -> Measured:
    settings: dict[str, Any] = {"rounds": 3, "rng": np.random.default_rng(0), "min_sample_seconds": 1e-5} | options
    return measure(entries, **settings)


def timed(thunk: Callable[[], Any], check: Callable[[Any], Checked] = lambda _: RIGHT) -> Timed:
    return Timed(lambda: thunk, check)


def tampered(change: Callable[[tuple[Array, ...]], Sequence[Array]]) -> Engine:
    """The hand-written engine with its results changed."""
    engine = load_engine("numpy")

    def prepare(
        workload: Workload, inputs: Sequence[Input], what: str, cotangent: Array
    ) -> Callable[[], tuple[Any, ...]]:
        thunk = engine.prepare(workload, inputs, what, cotangent)
        return lambda: tuple(change(thunk()))

    return replace(engine, name="tampered", backend="tampered", module="", prepare=prepare)


def bench(engine: Engine, workload: str = "logsumexp", **options: Any) -> BenchResult:
    settings: dict[str, Any] = {"sizes": (10,), "what": ("gradient",), "budget_seconds": 20.0, "rounds": 2} | options
    return run_bench([workload], backends=[engine], **settings)


def first_gradient(edit: Callable[[Array], Array]) -> Callable[[tuple[Array, ...]], Sequence[Array]]:
    return lambda arrays: (arrays[0], edit(np.array(arrays[1])), *arrays[2:])


def put(value: float) -> Callable[[Array], Array]:
    def edit(grad: Array) -> Array:
        grad[np.unravel_index(int(np.argmin(np.abs(grad))), grad.shape)] = value
        return grad

    return edit


PLANTED: dict[str, tuple[Callable[[tuple[Array, ...]], Sequence[Array]], str]] = {
    "nan": (first_gradient(put(np.nan)), "is nan at"),
    "infinity": (first_gradient(put(np.inf)), "is inf at"),
    "smallest element set to zero": (first_gradient(put(0.0)), "times what rounding explains"),
    "off by 2e-4": (first_gradient(lambda g: g + 2e-4), "times what rounding explains"),
    "factor 1 + 1e-8": (first_gradient(lambda g: g * (1 + 1e-8)), "times what rounding explains"),
    "flipped sign": (first_gradient(lambda g: -g), "times what rounding explains"),
    "another shape": (first_gradient(lambda g: g[None]), r"has shape \(1, 10\)"),
    "another dtype": (first_gradient(lambda g: g.astype(np.float32)), "has dtype float32"),
    "missing": (lambda arrays: arrays[:1], "1 arrays were returned, 2 were asked for"),
    "wrong value": (lambda arrays: (arrays[0] + 1e-9, *arrays[1:]), "the value is"),
}


@pytest.mark.parametrize("defect", PLANTED)
def test_planted_wrong_result_never_gets_a_row(defect: str) -> None:
    change, message = PLANTED[defect]
    result = bench(tampered(change))
    assert not [row for row in result.rows if row.backend == "tampered"]
    assert [item.kind for item in result.left_out] == ["refused"]
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(result.refused[0].reason)
    (kept,) = result.info.left_out
    assert (kept["kind"], kept["backend"], kept["reason"]) == ("refused", "tampered", result.refused[0].reason)
    assert int(kept["size"]) > 0 and kept["asked_size"]


def test_untampered_engine_gets_rows_of_both_phases() -> None:
    result = bench(tampered(lambda arrays: arrays))
    assert [(row.phase, len(row.samples_seconds), row.checked) for row in result.rows] == [
        ("first_call", 1, True),
        ("steady", 2, True),
    ]
    assert result.left_out == ()


def test_result_that_turns_wrong_while_timed_is_refused() -> None:
    calls = iter(range(10**9))
    judged = run({"a": timed(lambda: next(calls), lambda n: Checked("late" if n > 50 else "", 0.0))}, rounds=100)
    assert dict(judged.series) == {}
    assert judged.refused["a"] == "wrong: late"


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_rounding_of_another_order_of_summation_is_no_error(dtype: str) -> None:
    (workload,) = select(["d2l_sum"])
    rng = np.random.default_rng(3)
    (x,) = workload.make_inputs(100_000, dtype, rng)
    answer = known_answer(workload, (x,), np.ones((), dtype), dtype=dtype, rng=rng)
    in_order = np.cumsum(x)[-1]
    assert check(answer, (np.asarray(in_order), np.ones_like(x))).reason == ""


def test_comparison_of_empty_arrays_is_refused() -> None:
    (workload,) = select(["d2l_square"])
    rng = np.random.default_rng(0)
    empty = np.zeros(0)
    answer = known_answer(workload, (empty,), empty, dtype="float64", rng=rng)
    assert "nothing was compared" in check(answer, (empty, empty)).reason


class Promise:
    """A result that is not there yet."""

    def is_ready(self) -> bool:
        return False


@pytest.mark.parametrize("result", [Promise(), (1, [Promise()]), {"y": Promise()}])
def test_pending_result_is_refused(result: Any) -> None:
    assert pending(result)
    assert "still pending" in run({"a": timed(lambda: result)}).refused["a"]


def test_jax_results_are_ready() -> None:
    pytest.importorskip("jax")
    (workload,) = select(["chain"])
    inputs = workload.make_inputs(100_000, "float64", np.random.default_rng(0))
    thunk = load_engine("jax-jit").prepare(workload, inputs, "vjp", np.ones(100_000))
    assert not any(pending(thunk()) for _ in range(3))


def test_more_threads_than_allowed_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.timing.time.process_time", lambda: 1.9 * time.perf_counter())
    refused = run({"a": timed(lambda: time.sleep(0.02))}, rounds=5).refused["a"]
    assert refused.startswith("kept 1.9")
    assert run({"a": timed(lambda: time.sleep(0.02))}, rounds=5, threads=2).refused == {}


def test_failing_thunk_leaves_the_others_their_samples() -> None:
    judged = run({"broken": timed(lambda: 1 // 0), "whole": timed(lambda: 1)})
    assert judged.refused == {"broken": "raised ZeroDivisionError: integer division or modulo by zero"}
    assert len(judged.series["whole"].samples_seconds) == 3


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timer that interrupts a call")
def test_a_thunk_that_hangs_leaves_the_others_their_samples() -> None:
    def hang() -> None:
        while True:
            with contextlib.suppress(Exception):  # no code of a user's can swallow the limit
                time.sleep(0.001)

    found = run({"good": timed(lambda: 1.0), "stuck": timed(hang), "other": timed(lambda: 2.0)}, hang_seconds=0.3)
    assert set(found.series) == {"good", "other"}
    assert found.refused == {"stuck": "hangs: one step lasted longer than 0.3 s"}


STUCK_IN_C = """
import collections, itertools
from dataclasses import replace
from harness.bench import run_bench
from harness.workload_adapters import load_engine

numpy = load_engine("numpy")
def prepare(workload, inputs, what, cotangent):
    if what == "value":
        return numpy.prepare(workload, inputs, what, cotangent)
    return lambda: collections.deque(itertools.repeat(0), maxlen=0)  # for ever in C, which asks for no signal
def keep(info, rows):
    print(*(row.backend for row in rows), flush=True)
stuck = replace(numpy, name="stuck", backend="stuck", prepare=prepare)
run_bench(["logsumexp"], backends=[stuck], sizes=[10], what=["value", "gradient"], budget_seconds=60.0, rounds=2,
          hang_seconds=0.5, keep=keep)
"""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timer that interrupts a call")
def test_a_process_stuck_in_c_ends_and_has_kept_its_rows() -> None:
    done = subprocess.run([sys.executable, "-c", STUCK_IN_C], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "stuck stuck" in done.stdout  # first call and steady of the value
    assert "Timeout" in done.stderr and "in _sample" in done.stderr


def test_slow_first_call_is_no_steady_sample() -> None:
    waits = iter([0.05])
    series = run({"a": timed(lambda: time.sleep(next(waits, 0.0)))}).series["a"]
    assert series.first_call_seconds >= 0.05
    assert statistics.median(series.samples_seconds) < 0.01


def test_every_round_has_one_sample_of_each() -> None:
    judged = run({"a": timed(lambda: 1), "b": timed(lambda: 2)}, rounds=7)
    assert [series.rounds for series in judged.series.values()] == [tuple(range(7))] * 2


def test_order_within_a_round_changes() -> None:
    order: list[str] = []

    def judge(label: str) -> Checked:
        order.append(label)
        return RIGHT

    run({label: timed(functools.partial(str, label), judge) for label in "abc"}, rounds=20)
    steady = "".join(order[3:])
    assert {frozenset(steady[i : i + 3]) for i in range(0, 60, 3)} == {frozenset("abc")}
    assert len({steady[i : i + 3] for i in range(0, 60, 3)}) > 2


def test_sample_is_long_enough_for_the_clock() -> None:
    # A clock that costs 10 us a reading asks for samples of at least 10 ms.
    now = 0.0

    def clock() -> float:
        nonlocal now
        now += 1e-5
        return now

    def thunk() -> None:
        nonlocal now
        now += 1e-4

    series = run({"a": timed(thunk)}, clock=clock).series["a"]
    assert series.calls_per_sample * 1e-4 >= 0.0099


@pytest.mark.parametrize("jump", [-3600.0, 0.0])
def test_a_clock_that_goes_back_or_stands_costs_its_sample_alone(jump: float) -> None:
    now, first, calls = 0.0, 0, 0

    def clock() -> float:
        return now

    def thunk() -> None:
        nonlocal now, calls
        calls += 1
        now += jump if calls == first else 1e-3

    quiet = run({"a": timed(thunk)}, clock=clock, rounds=5, deadline=1e9, last_deadline=1e9).series["a"]
    first = calls - 1  # in the last round but one of an equal run
    now, calls = 0.0, 0
    series = run({"a": timed(thunk)}, clock=clock, rounds=5, deadline=1e9, last_deadline=1e9).series["a"]
    assert len(quiet.samples_seconds) == 5 and quiet.calls_per_sample == 1
    assert len(series.samples_seconds) == len(series.rounds) == len(series.cpu_seconds) == 4
    assert min(series.samples_seconds) > 0


def test_a_clock_that_goes_back_in_the_first_call_is_said() -> None:
    readings = iter([*range(100_000), 50])
    last = 0

    def clock() -> float:
        nonlocal last
        last = next(readings, last + 1)
        return float(last)

    def thunk() -> None:
        for _ in readings:  # to the last one, which is smaller
            if _ == 99_999:
                return

    assert "the clock went back" in run({"a": timed(thunk)}, clock=clock).refused["a"]


def test_deadline_ends_after_the_least_rounds() -> None:
    assert len(run({"a": timed(lambda: 1)}, rounds=50, deadline=0.0).series["a"].rounds) == 5
    assert len(run({"a": timed(lambda: 1)}, rounds=50, last_deadline=0.0).series["a"].rounds) == 1


def test_interrupt_keeps_the_samples_so_far() -> None:
    rounds = iter(range(10))

    def judge(_: Any) -> Checked:
        if next(rounds) == 4:
            raise KeyboardInterrupt
        return RIGHT

    judged = run({"a": timed(lambda: 1, judge)}, rounds=50)
    assert judged.interrupted
    assert len(judged.series["a"].samples_seconds) == 3


def test_interrupted_bench_returns_its_rows() -> None:
    def progress(done: int, total: int, text: str) -> None:
        if done == 1 and text != "done":
            raise KeyboardInterrupt

    result = bench(tampered(lambda arrays: arrays), what=("value", "gradient"), progress=progress)
    assert result.info.interrupted
    assert {row.what for row in result.rows} == {"value"}


def test_spent_budget_is_said() -> None:
    result = bench(tampered(lambda arrays: arrays), budget_seconds=1e-9)
    assert result.rows == ()
    assert {item.kind for item in result.left_out} == {"budget"}


def test_missing_framework_leaves_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jax", None)
    monkeypatch.delitem(sys.modules, "harness.backends.jax_workloads", raising=False)
    result = run_bench(
        ["d2l_sum"], backends=["numpy", "jax-jit"], sizes=[4], what=["value"], budget_seconds=20, rounds=2
    )
    assert {row.backend for row in result.rows} == {"numpy"}
    assert [(item.kind, item.backend) for item in result.left_out] == [("missing", "jax-jit")]


def test_rows_are_the_same_question_on_every_run() -> None:
    kept: list[tuple[Array, ...]] = []

    def keep(arrays: tuple[Array, ...]) -> tuple[Array, ...]:
        kept.append(arrays)
        return arrays

    for _ in range(2):
        bench(tampered(keep), rounds=1)
    assert np.array_equal(kept[0][1], kept[-1][1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backends": ["tensorflow"]}, "backends: 'tensorflow' is not known"),
        ({"what": ["slope"]}, "what: 'slope' is not known"),
        ({"dtype": "float16"}, "dtype: 'float16' is not known"),
        ({"sizes": [0]}, "sizes: 0 is not positive"),
        ({"budget_seconds": 0}, "budget_seconds is 0"),
        ({"rounds": 0}, "rounds is 0"),
        ({"workloads": ["nothing"]}, "workload 'nothing' is not known"),
    ],
)
def test_wrong_argument_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run_bench(**options)


def test_import_is_timed_in_a_fresh_process() -> None:
    assert 0 < import_seconds("json") < 60
    with pytest.raises(ImportError, match="no_such_module"):
        import_seconds("no_such_module")


def test_import_row_names_its_module() -> None:
    result = run_bench(["d2l_sum"], backends=["numpy"], sizes=[4], what=["value"], budget_seconds=30, rounds=1)
    (row,) = [row for row in result.rows if row.phase == "import"]
    assert (row.workload, row.what, row.backend, row.size) == ("import", "import", "numpy", 0)
    assert row.samples_seconds


def test_module_that_cannot_be_imported_leaves_the_other_imports() -> None:
    broken = replace(tampered(lambda arrays: arrays), module="no_such_module")
    result = run_bench(["d2l_sum"], backends=[broken, "numpy"], sizes=[4], what=["value"], budget_seconds=30, rounds=1)
    assert [row.backend for row in result.rows if row.phase == "import"] == ["numpy"]
    assert "no_such_module" in result.refused[0].reason


def test_rows_carry_counts_cpu_time_and_the_clocks_share() -> None:
    result = run_bench(
        ["d2l_dot"], backends=["reference", "torch"], sizes=[1000], what=["gradient"], budget_seconds=60, rounds=3
    )
    rows = {row.backend: row for row in result.rows if row.phase == "steady"}
    if "torch" in rows:
        assert rows["torch"].tape_nodes == rows["reference"].tape_nodes == 2
        assert rows["torch"].saved_bytes == rows["reference"].saved_bytes == 8000  # x, once
    row = rows["reference"]
    assert (row.primitive_calls, row.vjp_calls) == (2, 3)
    assert row.peak_bytes >= 8000 and row.python_calls > 0
    assert len(row.cpu_seconds) == len(row.samples_seconds) == 3
    assert 0 < row.clock_share <= 2e-3


def test_a_call_that_takes_long_is_not_called_again_to_be_counted() -> None:
    def counting(thunk: Callable[[], Any]) -> dict[str, int]:
        raise AssertionError("it was counted")

    entry = Timed(lambda: lambda: time.sleep(0.06), lambda _: RIGHT, count=counting)
    assert run({"a": entry}, rounds=1).series["a"].counts == {}


def test_tracing_and_compiling_are_rows_of_their_own() -> None:
    pytest.importorskip("jax")
    result = run_bench(["logsumexp"], backends=["jax-jit"], sizes=[10], what=["gradient"], budget_seconds=60, rounds=2)
    seconds = {row.phase: row.samples_seconds for row in result.rows}
    assert set(seconds) == {"import", "first_call", "trace", "compile", "steady"}
    assert 0 < seconds["trace"][0] + seconds["compile"][0] < seconds["first_call"][0]
