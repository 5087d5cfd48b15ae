"""Difference quotients come with an error estimate that covers their error, and kinks are seen."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest

from harness import backends
from harness.backends import Engine
from harness.cases import Case
from harness.examine import examine
from harness.generation import random_program
from harness.oracles.finite_differences import FiniteDifferences, derivative, directional, gradient, hold_detached
from harness.points import point
from harness.programs import Instr, Program, Scalar, Spec

ENGINES = [n for n in ("reference", "torch") if backends.available()[n] is None]


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Engine:
    return backends.get(request.param)


def case_of(program: Program, *primals: Any, cotangent: Any = None) -> Case:
    """A float64 case with one output; the cotangent is all ones unless given."""
    arrays = tuple(np.array(x, dtype=np.float64) for x in primals)
    ct = np.array(1.0 if cotangent is None else cotangent)
    return Case(program, arrays, (True,) * len(arrays), (ct,))


def unary(op: str, x: Any, **params: Any) -> Case:
    """The op alone at x, with all-ones cotangent."""
    x = np.array(x, dtype=np.float64)
    program = Program((Spec(x.shape),), (Instr(op, (0,), tuple(params.items())),), (1,))
    return case_of(program, x, cotangent=np.ones_like(x))


# name, function, derivative, points: smooth, steep, nearly singular, huge and tiny arguments
SMOOTH: list[tuple[str, Any, Any, list[float]]] = [
    ("sin", np.sin, np.cos, [0.0, 0.5, 3.0, 100.0, 1e-9]),
    ("exp", np.exp, np.exp, [0.0, 1.0, -30.0, 300.0]),
    ("log", np.log, lambda x: 1 / x, [1.0, 1e-3, 1e-8, 1e-200, 1e200]),
    ("sqrt", np.sqrt, lambda x: 0.5 / np.sqrt(x), [1.0, 1e-4, 1e-12, 1e30]),
    ("reciprocal", np.reciprocal, lambda x: -1 / x**2, [1.0, -0.01, 1e-5, 1e8]),
    ("tanh", np.tanh, lambda x: 1 / np.cosh(x) ** 2, [0.0, 2.0, -20.0]),
    ("cubic", lambda x: x**3 - 2 * x, lambda x: 3 * x**2 - 2, [0.0, 1.0, -1e4, 0.8164965809277260]),
    ("fast", lambda x: np.sin(50 * x), lambda x: 50 * np.cos(50 * x), [0.0, 0.3, 1.1]),
    ("cancelling", lambda x: (x + 1e6) - 1e6, np.ones_like, [0.0, 0.3, 7.0]),
    ("offset", lambda x: 1e8 + np.sin(x), np.cos, [0.0, 0.3]),
    ("narrow", lambda x: np.exp(-1e4 * x * x), lambda x: -2e4 * x * np.exp(-1e4 * x * x), [0.0, 0.01, 0.03]),
    ("atan", lambda x: np.arctan(1e3 * x), lambda x: 1e3 / (1 + 1e6 * x * x), [0.0, 0.001, 0.2]),
]


@pytest.mark.parametrize("f, df, x", [pytest.param(f, df, x, id=f"{n}-{x}") for n, f, df, xs in SMOOTH for x in xs])
def test_the_error_estimate_covers_the_error(f: Any, df: Any, x: float) -> None:
    def sample(t: float) -> tuple[float, float]:
        with np.errstate(all="ignore"):
            y = float(f(np.float64(x + t)))
        return y, abs(y)

    size = abs(x) or 1.0
    got = derivative(sample, scales=(max(1.0, size), size))
    want = float(df(np.float64(x)))
    assert abs(got.value - want) <= got.error + 1e-15 * abs(want)
    assert got.note == ""


@pytest.mark.parametrize(
    "name, x, digits", [("sin", 0.5, 10), ("exp", 1.0, 10), ("log", 1e-200, 9), ("cubic", 1.0, 10)]
)
def test_the_error_estimate_is_small_where_the_function_is_smooth(name: str, x: float, digits: int) -> None:
    f, df = next((f, df) for n, f, df, _ in SMOOTH if n == name)

    def sample(t: float) -> tuple[float, float]:
        with np.errstate(all="ignore"):
            y = float(f(np.float64(x + t)))
        return y, abs(y)

    assert derivative(sample, scales=(max(1.0, x), x)).error <= abs(float(df(x))) * 10.0**-digits


PROGRAM = Program(
    (Spec((2, 3)), Spec((3,))),
    (
        Instr("mul", (0, 1)),
        Instr("tanh", (2,)),
        Instr("logsumexp", (3,), (("dim", 1),)),
        Instr("exp", (0,)),
        Instr("div", (5, Scalar(3.0))),
        Instr("sum", (6,), (("dim", (0, 1)),)),
        Instr("add", (4, 7)),
    ),
    (8,),
)


def test_gradient_covers_the_engines_own_gradient(engine: Engine) -> None:
    rng = np.random.default_rng(3)
    for _ in range(5):
        case = case_of(PROGRAM, rng.normal(size=(2, 3)), rng.normal(size=3), cotangent=rng.normal(size=2))
        found = gradient(case, engine)
        outcome: Any = engine.prepare(case)()
        assert outcome.failure is None
        for value, error, own in zip(found.values, found.errors, outcome.grads, strict=True):
            assert value.shape == np.shape(own)
            assert np.all(np.abs(value - own) <= error)
            assert np.all(error <= 1e-8 * (1 + np.abs(value)))


def test_directional_is_the_gradient_against_the_direction(engine: Engine) -> None:
    rng = np.random.default_rng(4)
    case = case_of(PROGRAM, rng.normal(size=(2, 3)), rng.normal(size=3), cotangent=rng.normal(size=2))
    direction = (rng.normal(size=(2, 3)), rng.normal(size=3))
    outcome: Any = engine.prepare(case)()
    want = sum(float((g * d).sum()) for g, d in zip(outcome.grads, direction, strict=True))
    got = directional(case, engine, direction)
    assert abs(got.value - want) <= got.error <= 1e-8


def test_a_factor_off_by_one_millionth_is_outside_the_error(engine: Engine) -> None:
    case = unary("sin", [0.5, 1.0])
    found = gradient(case, engine)
    assert np.all(np.abs(found.values[0] - np.cos([0.5, 1.0]) * (1 + 1e-6)) > found.errors[0])


@pytest.mark.parametrize("op, x", [("abs", 0.0), ("relu", 0.0)])
def test_at_a_kink_the_estimate_says_so_and_covers_both_sides(engine: Engine, op: str, x: float) -> None:
    found = gradient(unary(op, [x]), engine)
    assert found.notes[0][0] == "kink"
    left, right = (-1.0, 1.0) if op == "abs" else (0.0, 1.0)
    for side in (left, right):
        assert abs(found.values[0][0] - side) <= found.errors[0][0]


@pytest.mark.parametrize("distance", [1e-2, 1e-4, 1e-6])
def test_a_kink_near_by_is_stepped_round(engine: Engine, distance: float) -> None:
    found = gradient(unary("abs", [distance, -distance]), engine)
    assert list(found.notes[0]) == ["", ""]
    assert np.all(np.abs(found.values[0] - [1.0, -1.0]) <= found.errors[0])
    assert np.all(found.errors[0] < 1e-5)


def test_at_the_edge_of_the_domain_the_stencil_is_one_sided(engine: Engine) -> None:
    program = Program((Spec((1,)),), (Instr("sqrt", (0,)), Instr("mul", (1, 0))), (2,))
    found = gradient(case_of(program, [0.0], cotangent=[1.0]), engine)
    assert found.notes[0][0] == "one-sided"
    assert abs(found.values[0][0]) <= found.errors[0][0] < 0.05


def test_an_infinite_slope_is_no_estimate_to_rely_on(engine: Engine) -> None:
    found = gradient(unary("sqrt", [0.0]), engine)
    assert found.errors[0][0] > 1.0


def test_an_oscillation_faster_than_every_step_is_unsettled() -> None:
    def sample(t: float) -> tuple[float, float]:
        y = math.tan(math.sinh(math.tan(1.13542706 + t) * 12.0))
        return y, abs(y)

    got = derivative(sample)
    assert got.error == math.inf or abs(got.error) < 0.1 * abs(got.value)


def test_outside_the_domain_there_is_no_estimate(engine: Engine) -> None:
    found = gradient(unary("log", [-1.0, 0.0]), engine)
    assert list(found.notes[0]) == ["not finite"] * 2
    assert np.all(np.isinf(found.errors[0]))


def test_detached_values_are_held(engine: Engine) -> None:
    program = Program((Spec((2,)),), (Instr("detach", (0,)), Instr("mul", (0, 1)), Instr("exp", (2,))), (3,))
    x = np.array([0.5, 1.5])
    found = gradient(case_of(program, x, cotangent=np.ones(2)), engine)
    assert np.all(np.abs(found.values[0] - x * np.exp(x * x)) <= found.errors[0])


def test_hold_detached_leaves_a_program_without_detach_alone() -> None:
    def never(*_: Any) -> Any:
        raise AssertionError("no value is needed")

    primals = (np.ones((2, 3)), np.ones(3))
    assert hold_detached(PROGRAM, primals, never) == (PROGRAM, primals)


def test_zero_dimensional_and_empty_inputs_have_estimates_of_their_shape(engine: Engine) -> None:
    program = Program(
        (Spec(()), Spec((0, 2))),
        (Instr("mul", (0, 1)), Instr("sum", (2,)), Instr("exp", (0,)), Instr("add", (3, 4))),
        (5,),
    )
    found = gradient(case_of(program, 0.5, np.zeros((0, 2))), engine)
    assert [v.shape for v in found.values] == [(), (0, 2)]
    assert abs(float(found.values[0]) - math.exp(0.5)) <= float(found.errors[0])


def test_an_input_that_does_not_matter_has_estimate_zero(engine: Engine) -> None:
    program = Program((Spec((2,)), Spec(())), (Instr("sum", (0,)),), (2,))
    found = gradient(case_of(program, [1.0, 2.0], 3.0), engine)
    assert found.values[1] == 0.0


def test_without_cotangents_the_gradient_is_zero(engine: Engine) -> None:
    case = unary("exp", [1.0])
    found = gradient(Case(case.program, case.primals, (True,), (None,)), engine)
    assert found.values[0] == 0.0
    assert found.errors[0] == 0.0


def test_a_float32_case_is_estimated_in_float64(engine: Engine) -> None:
    x = np.array([0.1, 0.7], dtype=np.float32)
    program = Program((Spec((2,)),), (Instr("exp", (0,)),), (1,))
    found = gradient(Case(program, (x,), (True,), (np.ones(2, dtype=np.float32),), "float32"), engine)
    assert np.all(np.abs(found.values[0] - np.exp(x.astype(np.float64))) <= found.errors[0])
    assert np.all(found.errors[0] < 1e-8)


def test_a_direction_of_another_shape_is_refused(engine: Engine) -> None:
    with pytest.raises(ValueError, match=r"input 0 has shape \(2,\), its direction has shape \(3,\)"):
        directional(unary("sin", [0.0, 1.0]), engine, [np.ones(3)])


def test_failing_values_are_an_outcome_of_the_backend() -> None:
    program = Program((Spec((2,)), Spec((3,))), (Instr("matmul", (0, 1)),), (2,))
    outcome = FiniteDifferences(ENGINES[0]).prepare(case_of(program, np.ones(2), np.ones(3)))()
    assert outcome.failure is not None


def test_the_backend_fills_gradients_of_the_cases_dtype() -> None:
    x = np.array([0.1, 0.7], dtype=np.float32)
    program = Program((Spec((2,)),), (Instr("sin", (0,)),), (1,))
    case = Case(program, (x,), (True,), (np.ones(2, dtype=np.float32),), "float32")
    outcome = FiniteDifferences(ENGINES[0]).prepare(case)()
    assert outcome.failure is None
    (grad,) = outcome.grads
    assert grad is not None
    assert grad.dtype == np.float32
    assert np.max(np.abs(grad - np.cos(x))) < 1e-6


def test_estimates_are_judged_against_the_certificate() -> None:
    """Drawn programs at random points: estimates that were compared agree, and most points can be compared."""
    engine = backends.get("finite-differences")
    compared = 0
    for seed in range(60):
        program = random_program(random.Random(seed), max_instrs=5)
        case = point(program, seed=seed + 1)
        (verdict,) = examine(case, engine)
        assert verdict.kind != "disagree", f"{verdict.reason}\n{program}"
        compared += len(verdict.ratios)
    assert compared > 50


@pytest.mark.parametrize("slope", [0.0, 1.0])
def test_jumps_within_the_steps_are_no_slope(slope: float) -> None:
    # Quotients over a jump double as the step halves; two entries of the table may agree by accident.
    stairs = lambda t: (slope * math.sin(t) + math.floor(20 * t + 2.5) * 2.1 + 0.3 * math.floor(33 * t + 0.3), 3.0)
    estimate = derivative(stairs)
    assert estimate.error < 1e-9
    assert abs(estimate.value - slope) <= estimate.error
