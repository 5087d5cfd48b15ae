"""The published objectives compute what was published: known answers, hand-written derivatives, planted wrong ones."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.bench import run_bench
from harness.judgement import ADBENCH_TOLERANCE, adbench_distance
from harness.workload_adapters import Engine, load_engine
from harness.workload_checks import KnownAnswer, check, known_answer
from harness.workloads import ADBENCH_VARIABLE, Array, Input, Workload, gmm, read_gmm, workloads
from harness.workloads.bundle import bundle_adjustment, jacobian_values, read_bundle
from harness.workloads.hand import dense_jacobian, hand, read_hand, read_model
from harness.workloads.lstm import lstm, read_lstm

ENGINES = ("numpy", "reference", "torch", "torch-func", "jax-jit")
OBJECTIVES = {
    w.name: w
    for w in (
        gmm(3, 4, convention="gradbench", sizes=(20,)),
        lstm(2, sizes=(9,)),
        bundle_adjustment(sizes=(6,)),
        hand(sizes=(5,)),
        hand(complicated=True, sizes=(5,)),
    )
} | {
    name: workloads(families=["objectives"])[name]
    for name in "llsq ode kmeans det_by_minors lse particle saddle".split()
}
QUESTIONS = [(name, what) for name, w in OBJECTIVES.items() for what in w.whats if what not in ("value", "argmin")]


@pytest.fixture
def adbench() -> Path:
    """The folder of ADBench's inputs, named by an environment variable."""
    folder = os.environ.get(ADBENCH_VARIABLE)
    if not folder:
        pytest.skip(f"{ADBENCH_VARIABLE} does not name a folder with ADBench's inputs")
    return Path(folder)


def engine_of(name: str) -> Engine:
    if name.startswith(("torch", "jax")):
        pytest.importorskip(name.partition("-")[0])
    return load_engine(name)


def question(workload: Workload, what: str, dtype: str = "float64") -> tuple[tuple[Input, ...], Array, KnownAnswer]:
    rng = np.random.default_rng(7)
    inputs = workload.make_inputs(workload.sizes[0], dtype, rng)
    direction = workload.direction(what, inputs, dtype, rng)
    return inputs, direction, known_answer(workload, inputs, direction, dtype=dtype, rng=rng, what=what)


# Published answers


def mixture(folder: Path, file: str) -> tuple[Workload, tuple[Input, ...], str]:
    return gmm(2, 3), read_gmm(folder / file), "gradient"


def memory(folder: Path, file: str) -> tuple[Workload, tuple[Input, ...], str]:
    return lstm(2), read_lstm(folder / file), "gradient"


def bundle(folder: Path, file: str) -> tuple[Workload, tuple[Input, ...], str]:
    columns, features, _ = read_bundle(folder / file)
    return bundle_adjustment(), (columns, features), "jacobian"


def simple(folder: Path, file: str) -> tuple[Workload, tuple[Input, ...], str]:
    return hand(), read_hand(folder / file, read_model(folder / "hand" / "model")), "jacobian"


def complicated(folder: Path, file: str) -> tuple[Workload, tuple[Input, ...], str]:
    model = read_model(folder / "hand" / "model")
    return hand(complicated=True), read_hand(folder / file, model, complicated=True), "jacobian"


def flat(arrays: tuple[Array, ...]) -> Array:
    return np.concatenate([a.reshape(-1) for a in arrays])


PUBLISHED: dict[str, tuple[Callable[..., tuple[Workload, tuple[Input, ...], str]], Callable[[Any], Array], Any]] = {
    "gmm": (mixture, lambda a: np.array([a["objective"], *a["gradient"]]), flat),
    "lstm": (memory, lambda a: np.array([a["objective"], *a["gradient"]]), flat),
    "ba": (bundle, lambda a: np.array(a["jacobian_values_csr"]), lambda arrays: jacobian_values(arrays[0])),
    "hand_simple": (simple, lambda a: np.array(a["jacobian"]), lambda arrays: dense_jacobian(arrays[0])),
    "hand_complicated": (complicated, lambda a: np.array(a["jacobian"]), lambda arrays: dense_jacobian(arrays[0])),
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", PUBLISHED)
def test_published_derivative_is_reproduced(name: str, engine: str, adbench: Path) -> None:
    answers = json.loads((adbench / "known_answers.json").read_text())
    load, published, arrange = PUBLISHED[name]
    workload, inputs, what = load(adbench, answers[name]["input"])
    backend = engine_of(engine)
    direction = workload.direction(what, inputs, "float64", np.random.default_rng(0))
    found = arrange(backend.to_arrays(backend.prepare(workload, inputs, what, direction)()))
    assert adbench_distance(found, published(answers[name])) <= answers["tolerance"]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", ["ba", "hand_simple", "hand_complicated"])
def test_published_residuals_are_reproduced(name: str, engine: str, adbench: Path) -> None:
    answers = json.loads((adbench / "known_answers.json").read_text())
    workload, inputs, _ = PUBLISHED[name][0](adbench, answers[name]["input"])
    backend = engine_of(engine)
    (value,) = backend.to_arrays(backend.prepare(workload, inputs, "value", np.zeros(0))())
    if name == "ba":
        published = np.array([*answers[name]["reprojection_error"], *answers[name]["weight_error"]])
        value = np.concatenate([value[:2].T.reshape(-1), value[2]])
    else:
        published, value = np.array(answers[name]["objective"]), value.reshape(-1)
    assert adbench_distance(value, published) <= answers["tolerance"]


@pytest.mark.parametrize("engine", ENGINES)
def test_the_two_conventions_of_the_prior_are_told_apart(engine: str, adbench: Path) -> None:
    inputs, backend = read_gmm(adbench / "gmm" / "test.txt"), engine_of(engine)
    found = [
        backend.to_arrays(backend.prepare(gmm(2, 3, convention=c), inputs, "value", np.ones(()))())[0]
        for c in ("adbench", "gradbench")
    ]
    tolerance = json.loads((adbench / "known_answers.json").read_text())["tolerance"]
    assert adbench_distance(np.array(found), np.array([8.07380408004975791, -20.067360546658307])) <= tolerance
    assert adbench_distance(found[0], found[1]) > tolerance


def test_published_lstm_of_four_layers(adbench: Path) -> None:
    value, _ = lstm(4).by_hand(*read_lstm(adbench / "lstm" / "lstm_l4_c4096.txt"))
    published = float(f"{float(value):.8f}")
    assert published == 0.68726840


def test_workloads_read_the_published_files(adbench: Path) -> None:
    for workload in workloads(adbench=adbench, families=("objectives",)).values():
        if workload.origin != "generated":
            inputs = workload.make_inputs(workload.sizes[0], "float64", np.random.default_rng(0))
            assert all(np.isfinite(a).all() for a in inputs if isinstance(a, np.ndarray))


PUBLISHED_MINIMA = {"particle": [0.2071918746486116], "saddle": [8.246324826140356e-06] * 2}


@pytest.mark.parametrize("engine", ["numpy", "jax-jit"])
@pytest.mark.parametrize("name", PUBLISHED_MINIMA)
def test_published_minimum_is_found(name: str, engine: str) -> None:
    workload, backend = OBJECTIVES[name], engine_of(engine)
    inputs = workload.make_inputs(1, "float64", np.random.default_rng(0))
    (found,) = backend.to_arrays(backend.prepare(workload, inputs, "argmin", np.zeros(0))())
    assert adbench_distance(found, np.array(PUBLISHED_MINIMA[name])) <= ADBENCH_TOLERANCE


PLANTED: dict[str, Callable[[Array], Array]] = {
    "nan": lambda y: np.where(np.arange(y.size) == 3, np.nan, y),
    "infinity": lambda y: np.where(np.arange(y.size) == 3, np.inf, y),
    "zero where 8e-6 is true": lambda y: np.where(np.abs(y - 8.246324826140356e-06) == 0, 0.0, y),
    "off by 2e-4": lambda y: y + 2e-4,
    "off by 2e-8": lambda y: y + 2e-8,
}


@pytest.mark.parametrize("defect", PLANTED)
def test_planted_defects_are_no_published_answer(defect: str) -> None:
    true = np.array([0.25, -0.5, 8.246324826140356e-06, 0.125])
    assert adbench_distance(true, true) == 0
    assert adbench_distance(PLANTED[defect](true), true) > ADBENCH_TOLERANCE


# Known answers by hand


@pytest.mark.parametrize(
    ("engine", "dtype"), [*((e, "float64") for e in ENGINES), *((e, "float32") for e in ENGINES[:3])]
)
@pytest.mark.parametrize(("name", "what"), QUESTIONS)
def test_every_engine_gives_the_known_answer(name: str, what: str, engine: str, dtype: str) -> None:
    workload, backend = OBJECTIVES[name], engine_of(engine)
    if reason := workload.lacking(engine, workload.sizes[0], what):
        pytest.skip(reason)
    inputs, direction, answer = question(workload, what, dtype)
    assert check(answer, backend.to_arrays(backend.prepare(workload, inputs, what, direction)())).reason == ""


@pytest.mark.parametrize("name", OBJECTIVES)
def test_hand_written_derivative_is_the_slope_of_the_hand_written_value(name: str) -> None:
    workload = OBJECTIVES[name]
    inputs, cotangent, answer = question(workload, "vjp")
    rng = np.random.default_rng(8)
    ways = [rng.standard_normal(g.shape) for g in answer.arrays[1:]]
    wide = [a.astype(np.longdouble) if isinstance(a, np.ndarray) and a.dtype.kind == "f" else a for a in inputs]

    def along(step: float) -> Array:
        moved = list(wide)
        for place, way in zip(workload.wrt, ways, strict=True):
            moved[place] = moved[place] + step * way
        return np.asarray((workload.by_hand(*moved)[0] * cotangent).sum())

    # The truncation error of a central difference falls by four when its step is halved.
    h = 2.0**-13
    fine, coarse = ((along(s) - along(-s)) / (2 * s) for s in (h, 2 * h))
    rounding = 100 * np.finfo(np.longdouble).eps * (abs(along(0.0)) + 1) * cotangent.size / h
    slope = sum((g * way).sum() for g, way in zip(answer.arrays[1:], ways, strict=True))
    assert abs(slope - (4 * fine - coarse) / 3) <= abs(fine - coarse) + rounding


@pytest.mark.parametrize("name", ["ba", "hand_simple", "hand_complicated"])
def test_hand_written_jacobian_is_the_hand_written_pull_back(name: str) -> None:
    workload = OBJECTIVES[name]
    inputs, seeds, answer = question(workload, "jacobian")
    assert workload.seeds is not None
    (jacobian,) = answer.arrays
    _, pull_back = workload.by_hand(*inputs)
    cotangents = np.random.default_rng(1).standard_normal((2, *np.shape(workload.by_hand(*inputs)[0])))
    for ct in cotangents:
        (pulled,) = pull_back(ct)
        if workload.seeds.forward:  # <ct, J s> = <J' ct, s>
            left, right = (jacobian * ct).sum(axis=(1, 2)), (seeds * pulled).sum(axis=1)
        else:
            left, right = (jacobian * ct[:, None]).sum(axis=0), pulled
        assert adbench_distance(np.asarray(left, float), np.asarray(right, float)) <= ADBENCH_TOLERANCE


def tampered(change: Callable[[Array], Array]) -> Engine:
    """The hand-written engine with its last array changed."""
    engine = load_engine("numpy")

    def prepare(workload: Workload, inputs: Any, what: str, direction: Array) -> Callable[[], tuple[Any, ...]]:
        thunk = engine.prepare(workload, inputs, what, direction)

        def changed() -> tuple[Any, ...]:
            *rest, last = thunk()
            return (*rest, change(np.array(last)))

        return changed

    return replace(engine, name="tampered", backend="tampered", module="", prepare=prepare)


def put(value: float) -> Callable[[Array], Array]:
    def edit(a: Array) -> Array:
        nonzero = np.where(a == 0, np.inf, np.abs(a))
        a[np.unravel_index(int(np.argmin(nonzero)), a.shape)] = value
        return a

    return edit


@pytest.mark.parametrize("change", [put(np.nan), put(np.inf), put(0.0), lambda a: a + 2e-4, lambda a: a * (1 + 1e-8)])
@pytest.mark.parametrize("name", [name for name in OBJECTIVES if name not in ("particle", "saddle")])
def test_planted_wrong_derivative_never_gets_a_row(name: str, change: Callable[[Array], Array]) -> None:
    workload = OBJECTIVES[name]
    what = workload.whats[1]
    result = run_bench(
        [workload], backends=[tampered(change)], what=(what,), sizes=workload.sizes[:1], budget_seconds=20.0, rounds=1
    )
    assert [item.kind for item in result.left_out] == ["refused"]
    assert not [row for row in result.rows if row.what == what]


def test_flipped_prior_never_gets_a_row() -> None:
    right, wrong = (gmm(2, 3, convention=c, sizes=(10,)) for c in ("adbench", "gradbench"))
    flipped = replace(right, function=wrong.function)
    result = run_bench([flipped], backends=["reference"], budget_seconds=20.0, rounds=1)
    assert [item.kind for item in result.refused] == ["refused", "refused"]
    assert not [row for row in result.rows if row.workload == right.name]
