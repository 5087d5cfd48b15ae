"""The comparator: pairs that must not agree, and pairs that must, for exact comparison and for judgement by a bound."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from harness.cases import Case, Failure, Outcome
from harness.judgement import Verdict, agree_exactly, compare_arrays, judge, same_bits, same_to_rounding, settle
from harness.oracles.bound import enclose_backend
from harness.oracles.certificate import certify
from harness.programs import Instr, Program, Scalar, Spec

nan, inf = np.nan, np.inf


def a(*values: float, dtype: str = "float64") -> Any:
    return np.array(values, dtype)


UNEQUAL: dict[str, tuple[Any, Any]] = {
    "another value": (a(1.0, 2.0), a(1.0, 2.5)),
    "one unit in the last place": (a(1.0), a(np.nextafter(1.0, 2.0))),
    "the smallest subnormal against 0": (a(5e-324), a(0.0)),
    "an extra axis of size 1": (a(1.0), a(1.0).reshape(1, 1)),
    "a number against an array of one": (np.array(1.0), a(1.0)),
    "shapes that broadcast": (np.ones((2, 3)), np.ones((3,))),
    "sizes 0 of different shape": (np.ones((0, 2)), np.ones((2, 0))),
    "transposed": (np.ones((2, 3)), np.ones((3, 2))),
    "float32 against float64": (a(1.0, dtype="float32"), a(1.0)),
    "int against float": (np.array([1]), a(1.0)),
    "bool against int": (np.array([True]), np.array([1])),
    "nan in the first only": (a(nan, 1.0), a(0.0, 1.0)),
    "nan in the second only": (a(0.0, 1.0), a(nan, 1.0)),
    "nan in different places": (a(nan, 1.0), a(1.0, nan)),
    "infinities of different sign": (a(inf), a(-inf)),
    "infinity against the largest number": (a(inf), a(np.finfo(float).max)),
    "infinity against nan": (a(inf), a(nan)),
    "None against zeros": (None, a(0.0)),
    "zeros against None": (a(0.0), None),
    "the last element": (np.arange(100.0), np.concatenate([np.arange(99.0), [99.5]])),
    "a bool": (np.array([True, False]), np.array([True, True])),
}
EQUAL: dict[str, tuple[Any, Any]] = {
    "the same": (a(1.0, 2.0), a(1.0, 2.0)),
    "nan in the same place": (a(nan, 1.0), a(nan, 1.0)),
    "infinities of one sign": (a(inf, -inf), a(inf, -inf)),
    "zeros of both signs": (a(0.0), a(-0.0)),
    "None and None": (None, None),
    "nothing of one shape": (np.ones((0, 2)), np.ones((0, 2))),
    "other strides": (np.arange(6.0).reshape(2, 3).T, np.arange(6.0).reshape(2, 3).T.copy()),
    "stride 0": (np.broadcast_to(a(1.0), (3,)), np.ones(3)),
}


@pytest.mark.parametrize("pair", UNEQUAL.values(), ids=UNEQUAL)
def test_pair_that_differs_is_told_apart_in_words(pair: tuple[Any, Any]) -> None:
    assert compare_arrays(*pair) != ""
    assert compare_arrays(*reversed(pair)) != ""
    if pair[0] is not None and pair[1] is not None:
        assert not same_bits(*pair)
    left, right = Outcome((), (pair[0],)), Outcome((), (pair[1],))
    assert agree_exactly(left, right).startswith("gradient 0")


@pytest.mark.parametrize("pair", EQUAL.values(), ids=EQUAL)
def test_pair_that_is_the_same_is_not(pair: tuple[Any, Any]) -> None:
    assert compare_arrays(*pair) == ""
    assert agree_exactly(Outcome((), (pair[0],)), Outcome((), (pair[1],))) == ""


OUTCOME = Outcome((a(1.0),), (a(2.0),))
OTHER_OUTCOMES = {
    "one value more": Outcome((a(1.0), a(1.0)), (a(2.0),)),
    "no gradient": Outcome((a(1.0),), ()),
    "None as gradient": Outcome((a(1.0),), (None,)),
    "a failure": Outcome(failure=Failure("ValueError", "no")),
    "another value": Outcome((a(1.5),), (a(2.0),)),
}


@pytest.mark.parametrize("other", OTHER_OUTCOMES.values(), ids=OTHER_OUTCOMES)
def test_outcomes_that_differ_are_told_apart(other: Outcome) -> None:
    assert agree_exactly(OUTCOME, other) != ""
    assert agree_exactly(other, OUTCOME) != ""


def test_failures_with_other_messages_differ() -> None:
    assert agree_exactly(Outcome(failure=Failure("E", "a")), Outcome(failure=Failure("E", "b"))) != ""


# -- judgement by certificate and bound: f(x) = x * 3 and sin(x), where the truth is known


PROGRAM = Program((Spec((3,)), Spec((3,))), (Instr("mul", (0, Scalar(3.0))), Instr("sin", (0,))), (2, 3))
PRIMAL = a(0.5, -1.25, 2.0)
CASE = Case(PROGRAM, (PRIMAL, PRIMAL), (True, True), (a(1.0, 2.0, -1.0), a(0.5, 0.5, 0.5)))
TRUTH, BOUND = certify(CASE), enclose_backend(CASE, "reference")
RIGHT = Outcome((PRIMAL * 3.0, np.sin(PRIMAL)), (a(3.0, 6.0, -3.0) + 0.5 * np.cos(PRIMAL), None))


def judged(outcome: Outcome) -> tuple[Verdict, Verdict]:
    return judge(CASE, outcome, TRUTH, BOUND)


def beyond(k: float) -> Any:
    """The gradient off by k times its bound in its last element."""
    grad = np.array(RIGHT.grads[0])
    grad[2] = TRUTH.grads[0].midpoints()[2] + k * BOUND.grads[0].radii()[2]
    return grad


def with_grad(grad: Any) -> Outcome:
    return replace(RIGHT, grads=(grad, None))


def test_right_outcome_agrees() -> None:
    assert [v.kind for v in judged(RIGHT)] == ["agree", "agree"]
    assert [v.elements for v in judged(RIGHT)] == [6, 6]


ACCEPTED = {
    "zeros where the truth is zero": replace(RIGHT, grads=(RIGHT.grads[0], np.zeros(3))),
    "minus zeros where the truth is zero": replace(RIGHT, grads=(RIGHT.grads[0], -np.zeros(3))),
    "half of the bound": with_grad(beyond(0.5)),
    "half of the bound below": with_grad(beyond(-0.5)),
}


@pytest.mark.parametrize("outcome", ACCEPTED.values(), ids=ACCEPTED)
def test_outcome_within_the_bound_agrees(outcome: Outcome) -> None:
    assert judged(outcome)[1].kind == "agree"


REFUSED_GRADS: dict[str, Any] = {
    "twice the bound": beyond(2.0),
    "twice the bound below": beyond(-2.0),
    "None where the truth is not zero": None,
    "zeros where the truth is not": np.zeros(3),
    "nan where the truth is finite": np.where([True, False, False], nan, RIGHT.grads[0]),
    "all nan": np.full(3, nan),
    "infinity where the truth is finite": np.where([True, False, False], inf, RIGHT.grads[0]),
    "the sign": -np.array(RIGHT.grads[0]),
    "the order": np.array(RIGHT.grads[0])[::-1],
    "a factor 1 + 1e-12": np.array(RIGHT.grads[0]) * (1 + 1e-12),
    "another shape": np.array(RIGHT.grads[0]).reshape(3, 1),
    "the shape before unbroadcasting": np.tile(RIGHT.grads[0], (2, 1)),  # type: ignore[arg-type]
    "another dtype": np.array(RIGHT.grads[0]).astype("float32"),
}


@pytest.mark.parametrize("grad", REFUSED_GRADS.values(), ids=REFUSED_GRADS)
def test_wrong_gradient_disagrees(grad: Any) -> None:
    value, vjp = judged(with_grad(grad))
    assert value.kind == "agree"
    assert vjp.kind == "disagree"
    assert vjp.reason
    assert vjp.owner


REFUSED: dict[str, Outcome] = {
    "a gradient where there is none": replace(RIGHT, grads=(RIGHT.grads[0], a(0.0, 1e-300, 0.0))),
    "too few gradients": replace(RIGHT, grads=(RIGHT.grads[0],)),
    "too many gradients": replace(RIGHT, grads=(*RIGHT.grads, a(0.0, 0.0, 0.0))),
    "an exception": Outcome(failure=Failure("RuntimeError", "no")),
}


@pytest.mark.parametrize("outcome", REFUSED.values(), ids=REFUSED)
def test_wrong_structure_disagrees(outcome: Outcome) -> None:
    assert judged(outcome)[1].kind == "disagree"


REFUSED_VALUES: dict[str, tuple[Any, ...]] = {
    "another value": (PRIMAL * 3.0 + 1e-9, np.sin(PRIMAL)),
    "nan": (np.full(3, nan), np.sin(PRIMAL)),
    "swapped outputs": (np.sin(PRIMAL), PRIMAL * 3.0),
    "one output less": (PRIMAL * 3.0,),
    "another dtype": ((PRIMAL * 3.0).astype("float32"), np.sin(PRIMAL)),
    "another shape": ((PRIMAL * 3.0)[None], np.sin(PRIMAL)),
}


@pytest.mark.parametrize("values", REFUSED_VALUES.values(), ids=REFUSED_VALUES)
def test_wrong_value_disagrees(values: tuple[Any, ...]) -> None:
    assert judged(replace(RIGHT, values=values))[0].kind == "disagree"


def test_wrong_mask_disagrees() -> None:
    case = Case(
        Program((Spec((2,)),), (Instr("gt", (0, Scalar(0.0))), Instr("exp", (0,))), (1, 2)),
        (a(1.0, -1.0),),
        (True,),
        (None, a(1.0, 1.0)),
    )
    truth, bound = certify(case), enclose_backend(case, "reference")
    y = np.exp(a(1.0, -1.0))
    for mask, kind in (([True, False], "agree"), ([True, True], "disagree")):
        assert judge(case, Outcome((np.array(mask), y), (y,)), truth, bound)[0].kind == kind


@pytest.mark.parametrize(
    ("wide", "gap", "twin_gap", "aspect"),
    [
        (False, 1e-3, 1e-3, "derivative"),  # as wrong in float64 as in float32
        (False, 1e-3, 1e-12, "accuracy"),  # float64 brings it nearer: rounding
        (True, 1e-3, 1e-3, "derivative"),
        (True, 1e-8, 1e-7, "derivative"),  # float32 cannot see a factor of 1 + 1e-8, yet it is no rounding of float64
        (True, 1e-12, 1e-3, "accuracy"),
        (False, np.inf, np.inf, "derivative"),
    ],
)
def test_settling_needs_the_gap_to_shrink(wide: bool, gap: float, twin_gap: float, aspect: str) -> None:
    wrong = Verdict("disagree", "vjp", "derivative", "off")
    settled = settle(wrong, gap, twin_gap, wide=wide)
    assert (settled.kind, settled.aspect) == ("disagree", aspect)


def test_settling_touches_disagreements_alone() -> None:
    for kind in ("agree", "inconclusive", "unsupported"):
        verdict = Verdict(kind, "vjp")  # type: ignore[arg-type]  # one of Kind
        assert settle(verdict, 1e-3, 1e-12, wide=False) is verdict


ROUNDED = ("one unit in the last place", "the smallest subnormal against 0")


@pytest.mark.parametrize("name", [n for n in UNEQUAL if n not in ROUNDED and "None" not in n])
def test_more_than_rounding_is_seen(name: str) -> None:
    x, y = UNEQUAL[name]
    assert not same_to_rounding(x, y, 1.0)


def test_rounding_is_measured_by_the_largest_number_on_the_way() -> None:
    one, off = a(1.0, nan, inf), a(1.0 + 1e-12, nan, inf)
    assert not same_to_rounding(one, off, 1.0)
    assert same_to_rounding(one, off, 100.0)
    assert same_to_rounding(one, a(np.nextafter(1.0, 2.0), nan, inf), 0.0)
