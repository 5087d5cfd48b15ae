"""The opt-in families: every question on every tape gives the known answer, and the work grows no faster than the graph."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import reference_impl as ref
from harness.bench import run_bench
from harness.workload_adapters import Engine, load_engine
from harness.workload_checks import KnownAnswer, check, known_answer
from harness.workloads import FAMILIES, Array, Input, Workload, generated, select, workloads

TABLE = workloads(families=("operators", "tape"))
QUESTIONS = [(name, what) for name, w in TABLE.items() for what in w.whats]
ENGINES = ("numpy", "reference", "torch", "torch-func")


def engine_of(name: str) -> Engine:
    if name.startswith(("torch", "jax")):
        pytest.importorskip(name.partition("-")[0])
    return load_engine(name)


def question(
    workload: Workload, what: str, size: int, dtype: str = "float64"
) -> tuple[tuple[Input, ...], Array, KnownAnswer]:
    rng = np.random.default_rng(7)
    inputs = workload.make_inputs(size, dtype, rng)
    direction = workload.direction(what, inputs, dtype, rng)
    answer = known_answer(workload, inputs, direction, dtype=dtype, rng=rng, what=what)
    return inputs, direction, answer.value_only() if what == "value" else answer


@pytest.mark.parametrize(
    ("engine", "dtype"), [*((e, "float64") for e in ENGINES), ("reference", "float32"), ("torch", "float32")]
)
@pytest.mark.parametrize(("name", "what"), QUESTIONS)
def test_every_engine_gives_the_known_answer(name: str, what: str, engine: str, dtype: str) -> None:
    workload = TABLE[name]
    if reason := workload.lacking(engine, workload.sizes[0], what):
        pytest.skip(reason)
    backend = engine_of(engine)
    inputs, direction, answer = question(workload, what, workload.sizes[0], dtype)
    assert check(answer, backend.to_arrays(backend.prepare(workload, inputs, what, direction)())).reason == ""


@pytest.mark.parametrize(("name", "what"), [q for q in QUESTIONS if q[0] in ("op_softplus", "op_layer", "tape_rnn")])
def test_jax_gives_the_known_answer(name: str, what: str) -> None:
    test_every_engine_gives_the_known_answer(name, what, "jax-jit", "float64")


@pytest.mark.parametrize(("name", "what"), QUESTIONS)
def test_a_factor_of_1_plus_1e_8_never_gets_a_row(name: str, what: str) -> None:
    engine = load_engine("numpy")

    def prepare(workload: Workload, inputs: Any, what: str, direction: Array) -> Callable[[], tuple[Any, ...]]:
        thunk = engine.prepare(workload, inputs, what, direction)

        def changed() -> tuple[Any, ...]:
            *rest, last = thunk()
            return (*rest, np.asarray(last * (1 + 1e-8)))

        return changed

    tampered = replace(engine, name="tampered", backend="tampered", module="", prepare=prepare)
    workload = replace(TABLE[name], script=None, asks=TABLE[name].whats)
    if what == "script":  # a script is refused on an engine that is no tape, so it is put under another name
        workload = replace(workload, more={"hvp": TABLE[name].more["script"]}, asks=("hvp",))
        what = "hvp"
    result = run_bench(
        [workload], backends=[tampered], what=(what,), sizes=workload.sizes[:1], budget_seconds=20.0, rounds=1
    )
    assert [item.kind for item in result.left_out] == ["refused"]
    assert not [row for row in result.rows if row.what == what]


PROGRAMS = {w.name: w for w in workloads(families=("micro", "generated")).values()}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("engine", ["numpy", "reference", "torch"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_every_engine_gives_the_known_answer_to_a_program(name: str, engine: str, dtype: str) -> None:
    workload, backend = PROGRAMS[name], engine_of(engine)
    inputs, direction, answer = question(workload, "vjp", 30, dtype)
    assert check(answer, backend.to_arrays(backend.prepare(workload, inputs, "vjp", direction)())).reason == ""


@pytest.mark.parametrize("name", ["micro_logsumexp", "micro_where", "generated_s1"])
def test_jax_gives_the_known_answer_to_a_program(name: str) -> None:
    pytest.importorskip("jax")
    test_every_engine_gives_the_known_answer_to_a_program(name, "jax-jit", "float64")


@pytest.mark.parametrize("name", PROGRAMS)
def test_hand_written_vjp_of_a_program_is_the_slope_of_its_value(name: str) -> None:
    workload = PROGRAMS[name]
    inputs, cotangent, answer = question(workload, "vjp", 30)
    rng = np.random.default_rng(8)
    ways = [rng.standard_normal(g.shape) for g in answer.arrays[1:]]

    def along(step: float) -> Any:
        moved = [
            np.asarray(a, np.longdouble) + step * ways[workload.wrt.index(i)] if i in workload.wrt else a
            for i, a in enumerate(inputs)
        ]
        return (workload.by_hand(*moved)[0] * cotangent).sum()

    # The truncation error of a central difference falls by four when its step is halved.
    h = 2.0**-13
    fine, coarse = ((along(s) - along(-s)) / (2 * s) for s in (h, 2 * h))
    rounding = 100 * np.finfo(np.longdouble).eps * (abs(along(0.0)) + 1) * cotangent.size / h
    slope = sum((g * way).sum() for g, way in zip(answer.arrays[1:], ways, strict=True))
    assert abs(slope - (4 * fine - coarse) / 3) <= abs(fine - coarse) + rounding


@pytest.mark.parametrize("seed", generated.SEEDS)
def test_every_instruction_of_a_generated_program_is_used(seed: int) -> None:
    made = generated.program(seed, 200)
    used = {slot for instr in made.instrs for slot in instr.slots} | set(made.outputs)
    assert len(made.instrs) == 200
    assert used >= set(range(len(made.inputs), len(made.inputs) + 200))
    assert made == generated.program(seed, 200)


def calls(thunk: Callable[[], Any]) -> int:
    """Python and C functions that a call enters: a count of work that no other process disturbs."""
    count = 0

    def note(frame: Any, event: str, arg: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        thunk()
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.parametrize("name", ["tape_chain", "tape_fan_out", "tape_rnn", "generated_s1"])
def test_work_of_the_reference_grows_with_the_graph(name: str) -> None:
    workload, engine = (TABLE | PROGRAMS)[name], load_engine("reference")
    counted = []
    for size in (200, 400, 800):
        inputs, direction, _ = question(workload, workload.whats[1], size)
        thunk = engine.prepare(workload, inputs, workload.whats[1], direction)
        thunk()
        counted.append(calls(thunk))
    small, middle, large = counted
    assert large - middle <= 2.2 * (middle - small)  # 2 if it is linear, 4 if it is quadratic


def test_the_gradient_of_a_step_does_not_walk_the_steps_before_it() -> None:
    def descend(steps: int) -> None:
        w = ref.tensor([0.5, 2.0], requires_grad=True)
        x = w * 1.0
        for _ in range(steps):
            (slope,) = ref.autograd.grad((x * x * w).sum(), x, create_graph=True)
            x = x - 0.01 * slope

    small, middle, large = (calls(lambda n=n: descend(n)) for n in (50, 100, 200))  # type: ignore[misc]
    assert large - middle <= 2.2 * (middle - small)


@pytest.mark.parametrize("engine", ["reference", "torch"])
def test_a_chain_of_100_000_nodes_goes_backward(engine: str) -> None:
    workload, backend = TABLE["tape_chain"], engine_of(engine)
    inputs, direction, answer = question(workload, "gradient", 100_000)
    found = backend.to_arrays(backend.prepare(workload, inputs, "gradient", direction)())
    assert check(answer, found).reason == ""


def test_scripts_are_left_to_tapes() -> None:
    pytest.importorskip("jax")
    result = run_bench(["tape_detach"], backends=["jax-jit"], sizes=[4], budget_seconds=20.0, rounds=1)
    assert [item.kind for item in result.left_out] == ["unsupported"]
    assert [row for row in result.rows if row.what == "script"] == []


def test_every_workload_is_of_its_family() -> None:
    for family in FAMILIES:
        assert {w.family for w in workloads(families=(family,)).values()} == {family}


def test_a_pattern_looks_in_the_families_asked_for_first() -> None:
    assert {w.family for w in select(["gmm*"])} == {"core"}
    assert {w.family for w in select(["tape_*"])} == {"tape"}
    assert {w.family for w in select(["gmm*"], families=["objectives"])} == {"objectives"}


def test_unknown_family_is_named() -> None:
    with pytest.raises(ValueError, match="family 'objective' is not known; the families are core"):
        workloads(families=["objective"])
