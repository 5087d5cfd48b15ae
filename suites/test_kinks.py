"""Kinks: at a tie each engine keeps its stated convention, and what it gives lies between the one-sided derivatives.

The one-sided derivatives come from power series a step to either side, x + eps d and x - eps d, which are exact floats:
the functions here are linear or homogeneous near the kink, so the step changes nothing but the side.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from harness import backends
from harness.backends import measure_conventions
from harness.cases import Case, Outcome
from harness.examine import examine
from harness.judgement import UNITS, room_for_rounding
from harness.oracles.balls import precision, undecided
from harness.oracles.certificate import certify, push_forward_series
from harness.oracles.series import SeriesArray, series_length
from harness.points import point
from harness.programs import Instr, Program, Scalar, Spec
from harness.strategies import programs
from suites.tally import Tally

AVAILABLE = [name for name, reason in backends.available().items() if reason is None and name != "finite-differences"]
EPS = 2.0**-10
KINKED = ("abs", "relu", "sign", "clamp", "maximum", "minimum", "amax", "amin", "vector_norm", "sqrt", "where", "prod")


@dataclass(frozen=True)
class Kink:
    """An op at a point where its derivative jumps, and directions across the jump."""

    name: str
    instr: Instr
    inputs: tuple[tuple[float, ...], ...]
    directions: tuple[tuple[tuple[float, ...], ...], ...]
    undefined_in_jax: bool = False  # JAX gives nan there, by its own documentation or by the chain rule

    @property
    def case(self) -> Case:
        primals = tuple(np.array(x) for x in self.inputs)
        program = Program(tuple(Spec(x.shape) for x in primals), (self.instr,), (len(primals),))
        made = point(program)
        ones = np.ones_like(np.asarray(made.cotangents[0]))
        return Case(program, primals, (True,) * len(primals), (ones,))


def _params(**params: Any) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted(params.items()))


KINKS = [
    Kink("abs at 0", Instr("abs", (0,)), ((0.0,),), (((1.0,),), ((-1.0,),))),
    Kink("abs at -0", Instr("abs", (0,)), ((-0.0,),), (((1.0,),),)),
    Kink("relu at 0", Instr("relu", (0,)), ((0.0,),), (((1.0,),), ((-2.0,),))),
    Kink("clamp at its lower end", Instr("clamp", (0,), _params(min=0.5, max=2.0)), ((0.5,),), (((1.0,),),)),
    Kink("clamp at its upper end", Instr("clamp", (0,), _params(min=0.5, max=2.0)), ((2.0,),), (((1.0,),),)),
    Kink(
        "maximum of equals",
        Instr("maximum", (0, 1)),
        ((1.5,), (1.5,)),
        (((1.0,), (0.0,)), ((0.0,), (1.0,)), ((1.0,), (-1.0,))),
    ),
    Kink(
        "minimum of equals",
        Instr("minimum", (0, 1)),
        ((1.5,), (1.5,)),
        (((1.0,), (0.0,)), ((0.0,), (1.0,)), ((1.0,), (-1.0,))),
    ),
    Kink(
        "amax with two largest",
        Instr("amax", (0,)),
        ((1.0, 3.0, 3.0),),
        (((0.0, 1.0, 0.0),), ((0.0, 1.0, -1.0),), ((1.0, 0.5, 2.0),)),
    ),
    Kink(
        "amin with three least",
        Instr("amin", (0,)),
        ((1.0, 1.0, 1.0),),
        (((1.0, 0.0, -0.5),), ((1.0, -1.0, 0.5),)),
    ),
    Kink(
        "vector_norm at 0",
        Instr("vector_norm", (0,)),
        ((0.0, 0.0),),
        (((1.0, 0.0),), ((3.0, -4.0),)),
        undefined_in_jax=True,
    ),
    Kink(
        "vector_norm of order 1 with a zero",
        Instr("vector_norm", (0,), _params(ord=1.0)),
        ((0.0, 1.0),),
        (((1.0, 0.0),), ((1.0, 1.0),)),
    ),
    Kink(
        "vector_norm of order inf with a tie",
        Instr("vector_norm", (0,), _params(ord=math.inf)),
        ((2.0, -2.0),),
        (((1.0, 0.0),), ((1.0, 0.5),)),
    ),
]


def gradients(name: str, case: Case) -> tuple[Any, ...]:
    """What a backend gives for a case that it must answer."""
    outcome = backends.get(name).prepare(case)()
    assert outcome.failure is None
    return outcome.grads


def one_sided(case: Case, directions: tuple[Any, ...]) -> tuple[float, float]:
    """The derivatives of the summed output along d just before and just behind the point."""
    found = []
    for side in (-EPS, EPS):
        shifted = replace(
            case, primals=tuple(x + side * np.array(d) for x, d in zip(case.primals, directions, strict=True))
        )
        with precision(256), series_length(2), undecided("raise"):
            (y,) = push_forward_series(shifted, [np.array(d) for d in directions])
            assert isinstance(y, SeriesArray)
            found.append(float(y.tangent.midpoints().sum()))
    return found[0], found[1]


@pytest.mark.parametrize("name", AVAILABLE)
def test_backend_keeps_its_stated_conventions(name: str) -> None:
    backend = backends.get(name)
    assert measure_conventions(backend) == dict(backend.conventions)


@pytest.mark.parametrize("kink", KINKS, ids=[k.name for k in KINKS])
@pytest.mark.parametrize("name", AVAILABLE)
def test_gradient_at_a_kink_lies_between_the_one_sided_derivatives(name: str, kink: Kink) -> None:
    grads = gradients(name, kink.case)
    if kink.undefined_in_jax and name.startswith("jax"):
        assert all(np.isnan(g).all() for g in grads if g is not None)
        return
    for directions in kink.directions:
        left, right = one_sided(kink.case, directions)
        slope = sum(float((g * np.array(d)).sum()) for g, d in zip(grads, directions, strict=True) if g is not None)
        room = room_for_rounding(max(abs(left), abs(right)), UNITS["float64"])
        assert min(left, right) - room <= slope <= max(left, right) + room, (left, slope, right)


@pytest.mark.parametrize("kink", KINKS, ids=[k.name for k in KINKS])
def test_every_listed_kink_is_one(kink: Kink) -> None:
    """Along one of its directions the two sides differ, and the certificate says that there is no derivative."""
    sides = [one_sided(kink.case, d) for d in kink.directions]
    assert any(left != right for left, right in sides), sides
    assert certify(kink.case).status in ("kink", "tie")


@pytest.mark.parametrize("kink", KINKS, ids=[k.name for k in KINKS])
@pytest.mark.parametrize("name", [n for n in ("reference", "torch") if n in AVAILABLE])
def test_convention_is_that_of_the_certificate(name: str, kink: Kink) -> None:
    """The certificate runs the rules, so it follows the conventions that the reference shares with PyTorch."""
    case = kink.case
    value, vjp = examine(case, backends.get(name))
    assert value.kind == "agree", value.reason
    # Where rounding may leave the kink, the bound holds both sides, and at a norm of 0 it has no end.
    assert vjp.kind == "agree" or vjp.reason in ("tie", "overflow"), (vjp.kind, vjp.reason)
    assert value.elements > 0
    assert vjp.elements > 0


@pytest.mark.parametrize("name", [n for n in ("reference", "torch") if n in AVAILABLE])
def test_programs_at_ties_follow_the_chain_rule_of_the_conventions(name: str) -> None:
    backend, tally = backends.get(name), Tally(most_undecided=0.6)
    kinks = 0

    @given(programs(ops=(*KINKED, "gt", "mul", "add"), max_instrs=5))
    def check(program: Program) -> None:
        nonlocal kinks
        for k in range(3):
            case = point(program, seed=k, kind="edge")
            certificate = certify(case)
            assert certificate.status != "refuted", f"{certificate.reason}\n{program}\n{case.primals}"
            kinks += certificate.status == "kink"
            tally.add(examine(case, backend, certificate=certificate), case)

    check()
    tally.finish(at_least=50)
    assert kinks > 5


# -- where JAX does something else at a kink, its results are judged by that: per result, and not excused by the program

OF_JAX = [
    # an op with an exact tie, its arguments, what JAX gives for cotangents 2, 3, ... and something else
    (Instr("max", (0,), _params(dim=0)), ((1.0, 3.0, 3.0),), ((0.0, 1.0, 1.0),), ((0.0, 2.0, 0.0),)),
    (Instr("min", (0,), _params(dim=0)), ((1.0, 1.0, 3.0),), ((1.0, 1.0, 0.0),), ((2.0, 0.0, 0.0),)),
    (Instr("copysign", (0, 1)), ((0.0, -2.0), (1.0, 1.0)), ((2.0, -3.0), (0.0, 0.0)), ((0.0, -3.0), (0.0, 0.0))),
    (Instr("hypot", (0, 1)), ((0.0, 3.0), (0.0, 4.0)), ((1.0, 1.8), (1.0, 2.4)), ((1.0, 1.8), (1.0, 2.5))),
    (Instr("vector_norm", (0,), _params(ord=math.inf)), ((0.0,),), ((1.0,),), ((2.0,),)),
    (Instr("vector_norm", (0,), _params(ord=-math.inf)), ((0.0,),), ((2.0,),), ((1.0,),)),
    (Instr("vector_norm", (0,), _params(ord=math.inf, dim=0)), ((0.0, 0.0),), ((0.5, 0.5),), ((1.0, 1.0),)),
]


@pytest.mark.parametrize(("instr", "inputs", "theirs", "others"), OF_JAX, ids=[str(row[0]) for row in OF_JAX])
def test_jax_is_judged_by_its_own_conventions(
    instr: Instr, inputs: tuple[Any, ...], theirs: tuple[Any, ...], others: tuple[Any, ...]
) -> None:
    backend = pytest.importorskip("jax") and backends.get("jax")
    primals = tuple(np.array(x) for x in inputs)
    program = Program(tuple(Spec(x.shape) for x in primals), (instr,), (len(primals),))
    values = np.asarray(backends.get("reference").prepare(point(program))().values[0])
    ct = np.arange(2.0, 2.0 + values.size).reshape(values.shape)
    case = Case(program, primals, (True,) * len(primals), (ct,))
    own = backend.prepare(case)()
    assert [g.tolist() for g in own.grads] == [pytest.approx(g) for g in theirs]
    assert [v.kind for v in examine(case, backend, outcome=own)] == ["agree", "agree"]
    assert [v.undecided for v in examine(case, backend, outcome=own)] == [0, 0]
    for wrong in (others, tuple(np.multiply(g, 1.0005) for g in theirs)):
        planted = replace(own, grads=tuple(np.array(g) for g in wrong))
        assert examine(case, backend, outcome=planted)[1].kind == "disagree"


# -- documented exceptions: the chain rule of conventions is not always a derivative


@pytest.mark.parametrize("name", AVAILABLE)
def test_relu_x_minus_relu_minus_x_has_gradient_zero_at_zero(name: str) -> None:
    """The function is x, with derivative 1; both conventions give 0 - 0, and that is what is claimed of a backend."""
    instrs = (Instr("relu", (0,)), Instr("neg", (0,)), Instr("relu", (2,)), Instr("sub", (1, 3)))
    case = Case(Program((Spec(()),), instrs, (4,)), (np.array(0.0),), (True,), (np.array(1.0),))
    assert one_sided(case, (1.0,)) == (1.0, 1.0)
    assert gradients(name, case)[0] == 0.0
    assert certify(case).status == "kink"


@pytest.mark.parametrize("name", AVAILABLE)
def test_square_root_grows_without_limit_towards_zero(name: str) -> None:
    case = point(Program((Spec(()),), (Instr("sqrt", (0,)),), (1,)))
    slopes = []
    for power in (10, 20, 40, 80):
        at = replace(case, primals=(np.array(2.0**-power),), cotangents=(np.array(1.0),))
        with precision(256), series_length(2):
            (y,) = push_forward_series(at, [np.array(1.0)])
        slopes.append(float(y.tangent.midpoints()))
    assert slopes == [2.0 ** (power // 2 - 1) for power in (10, 20, 40, 80)]
    at_0 = replace(case, primals=(np.array(0.0),), cotangents=(np.array(1.0),))
    assert gradients(name, at_0)[0] == math.inf


@pytest.mark.parametrize("name", AVAILABLE)
def test_branch_not_taken_spoils_the_gradient_of_where(name: str) -> None:
    """where(x > 0, sqrt(x), x) at 0 takes x, yet inf * 0 makes nan of its gradient in every engine."""
    instrs = (Instr("gt", (0, Scalar(0.0))), Instr("sqrt", (0,)), Instr("where", (1, 2, 0)))
    case = Case(Program((Spec(()),), instrs, (3,)), (np.array(0.0),), (True,), (np.array(1.0),))
    assert np.isnan(gradients(name, case)[0]).all()


@pytest.mark.parametrize("name", AVAILABLE)
@pytest.mark.parametrize(
    ("x", "gradient"),
    [((0.0, 2.0, 3.0), (6.0, 0.0, 0.0)), ((0.0, 0.0, 3.0), (0.0, 0.0, 0.0)), ((-0.0, 2.0, -1.0), (-2.0, 0.0, 0.0))],
)
def test_product_with_zeros_is_smooth(name: str, x: tuple[float, ...], gradient: tuple[float, ...]) -> None:
    """No kink: the product of the others, which the certificate proves and no division can give."""
    case = Case(Program((Spec((3,)),), (Instr("prod", (0,)),), (1,)), (np.array(x),), (True,), (np.array(1.0),))
    certificate = certify(case)
    assert certificate.status == "certified"
    np.testing.assert_array_equal(certificate.grads[0].midpoints(), gradient)
    (value, vjp) = examine(case, backends.get(name), certificate=certificate)
    assert (value.kind, vjp.kind) == ("agree", "agree"), (value.reason, vjp.reason)
    assert vjp.elements == 3


@pytest.mark.parametrize("name", AVAILABLE)
@pytest.mark.parametrize(("exponent", "gradient"), [(1.0, 1.0), (2.0, 0.0), (2, 0.0), (3.0, 0.0), (0.0, 0.0), (1, 1.0)])
def test_power_of_zero_to_a_number_has_the_derivative_of_the_polynomial(
    name: str, exponent: float, gradient: float
) -> None:
    instr = Instr("pow", (0, Scalar(exponent)))
    case = Case(Program((Spec(()),), (instr,), (1,)), (np.array(0.0),), (True,), (np.array(1.0),))
    (gradient_of_x,) = gradients(name, case)
    if name.startswith("jax") and exponent == 0.0:
        assert np.isnan(gradient_of_x).all()  # JAX: 0.0 * 0.0 ** -1.0, as its table of conventions states
        return
    assert gradient_of_x == gradient


@pytest.mark.parametrize("name", [n for n in ("torch", "jax") if backends.available()[n] is None])
def test_other_version_is_asked_what_it_does_at_kinks(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = backends.get(name)
    table = dict(engine.conventions)
    monkeypatch.setattr(type(engine), "version", property(lambda engine: "99.0"))
    monkeypatch.setattr(backends, "_measured_now", {})
    assert engine.conventions == table
    assert [*backends._measured_now] == [(name, "99.0")]


@pytest.mark.skipif(backends.available()["torch"] is not None, reason="PyTorch is not installed")
def test_convention_that_changed_is_no_wrong_derivative(monkeypatch: pytest.MonkeyPatch) -> None:
    """As that of `fmax` did in PyTorch 2.14: half to each at a tie, where 2.13 gave all to the first."""
    engine = backends.get("torch")
    program = Program((Spec((2,)), Spec((2,))), (Instr("fmax", (0, 1)),), (2,))
    case = Case(program, (np.array([1.0, 3.0]), np.array([1.0, 2.0])), (True, True), (np.array([2.0, 1.0]),))
    halves = Outcome((np.array([1.0, 3.0]),), (np.array([1.0, 1.0]), np.array([1.0, 0.0])))
    assert examine(case, engine, outcome=halves)[1].kind == "disagree"
    now = {**engine.conventions, "fmax": "at [1, 1]; [1, 2]: [0.5, 0]; [0.5, 1]"}
    monkeypatch.setattr(type(engine), "version", property(lambda engine: "99.0"))
    monkeypatch.setattr(backends, "_measured_now", {("torch", "99.0"): now})
    verdict = examine(case, engine, outcome=halves)[1]
    assert (verdict.kind, verdict.reason) == ("inconclusive", "kink")
    apart = replace(case, primals=(np.array([1.5, 3.0]), np.array([1.0, 2.0])))
    assert examine(apart, engine)[1].kind == "agree"
    assert examine(apart, engine, outcome=replace(halves, values=(np.array([1.5, 3.0]),)))[1].kind == "disagree"
