"""Nothing passes without having compared anything: verdicts say how much they saw, and suites that saw nothing fail."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness import backends
from harness.cases import Case, Outcome
from harness.examine import examine
from harness.judgement import Verdict, judge
from harness.oracles.bound import enclose_backend
from harness.oracles.certificate import Certificate, certify
from harness.points import point
from harness.programs import Instr, Program, Spec
from suites.tally import Tally, VacuousError

EMPTY = Program((Spec((0, 2)),), (Instr("exp", (0,)),), (1,))
SUITES = Path(__file__).parents[1]


def empty_case() -> Case:
    zeros = np.zeros((0, 2))
    return Case(EMPTY, (zeros,), (True,), (zeros,))


def test_verdict_on_no_elements_is_not_agreement() -> None:
    case = empty_case()
    for verdict in examine(case, backends.get("reference")):
        assert (verdict.kind, verdict.reason, verdict.elements) == ("inconclusive", "nothing to compare", 0)


def test_verdict_on_no_arrays_is_not_agreement() -> None:
    case = replace(empty_case(), requires_grad=(False,), cotangents=(None,))
    vjp = judge(case, Outcome((np.zeros((0, 2)),), ()), certify(case), enclose_backend(case, "reference"))[1]
    assert (vjp.kind, vjp.reason) == ("inconclusive", "nothing to compare")


def test_outcome_without_what_was_asked_is_not_agreement() -> None:
    case = point(Program((Spec((2,)),), (Instr("exp", (0,)),), (1,)))
    value, vjp = judge(case, Outcome(), certify(case), enclose_backend(case, "reference"))
    assert (value.kind, vjp.kind) == ("disagree", "disagree")


def test_undecided_certificate_agrees_with_nothing() -> None:
    case = point(Program((Spec((2,)),), (Instr("exp", (0,)),), (1,)))
    outcome = backends.get("reference").prepare(case)()
    for verdict in judge(case, outcome, Certificate((), (), "undecided", "x"), None):
        assert verdict.kind == "inconclusive"
        assert verdict.elements == verdict.undecided == 2


@pytest.mark.parametrize("kind", ["agree", "disagree", "inconclusive", "unsupported"])
def test_verdict_has_no_truth_value(kind: Any) -> None:
    verdict = Verdict(kind, "value")
    with pytest.raises(TypeError, match="no truth value"):
        bool(verdict)
    with pytest.raises(TypeError, match="no truth value"):
        assert verdict


def test_suite_that_compared_nothing_fails() -> None:
    with pytest.raises(VacuousError, match="only 0 elements"):
        Tally().finish()
    tally = Tally()
    tally.add(examine(empty_case(), backends.get("reference")))
    with pytest.raises(VacuousError, match="only 0 elements"):
        tally.finish()


def test_suite_that_decided_too_little_fails() -> None:
    tally = Tally(most_undecided=0.5)
    tally.add([Verdict("agree", "vjp", elements=10, undecided=8, reasons={"tie": 8})])
    with pytest.raises(VacuousError, match="8 of 10"):
        tally.finish()
    with pytest.raises(VacuousError, match="only 2 elements"):
        tally.finish(at_least=3)


def test_suite_with_a_disagreement_fails_at_once() -> None:
    with pytest.raises(AssertionError, match="off by one"):
        Tally().add([Verdict("disagree", "vjp", reason="off by one")])


def test_unsupported_counts_as_nothing() -> None:
    tally = Tally()
    tally.add([Verdict("unsupported", "vjp", reason="has no op foo")])
    with pytest.raises(VacuousError):
        tally.finish()


PROPERTY_SUITES = (
    "test_values.py",
    "test_scalar_backward.py",
    "test_vjp.py",
    "test_accumulation.py",
    "test_detach.py",
    "test_second_order.py",
)


@pytest.mark.parametrize("name", PROPERTY_SUITES)
def test_every_generated_property_counts_what_it_compared(name: str) -> None:
    """A test that draws examples ends in `tally.finish(...)` or asserts a count after the last example."""
    tree = ast.parse((SUITES / name).read_text())
    tests = [f for f in tree.body if isinstance(f, ast.FunctionDef) and f.name.startswith("test_")]
    assert tests
    for test in tests:
        if not any(isinstance(node, ast.FunctionDef) for node in test.body):
            continue  # draws nothing
        calls = [ast.unparse(node) for node in test.body if isinstance(node, ast.Expr | ast.Assert)]
        after = calls[calls.index("check()") + 1 :]
        assert any(c.startswith(("tally.finish(", "assert compared", "assert checked")) for c in after), test.name


@pytest.mark.parametrize(
    ("op", "owner", "waived"), [("celu", "framework", True), ("celu", "reference", False), ("exp", "framework", False)]
)
def test_a_known_difference_of_a_framework_counts_as_undecided(op: str, owner: Any, waived: bool) -> None:
    case = point(Program((Spec((2,)),), (Instr(op, (0,)),), (1,)))
    verdict = Verdict("disagree", "vjp", aspect="derivative", owner=owner, elements=2)
    tally = Tally()
    if not waived:
        with pytest.raises(AssertionError):
            tally.add([verdict], case)
        return
    tally.add([verdict], case)
    assert (tally.elements, tally.undecided) == (2, 2)
