"""A factorisation that a framework refuses is its failure, unless rounding may make the matrix singular."""

from __future__ import annotations

import numpy as np
import pytest

from harness.cases import Case, Failure, Outcome
from harness.judgement import judge
from harness.oracles.bound import enclose_backend
from harness.oracles.certificate import certify
from harness.programs import Instr, Program, Spec

PROGRAM = Program((Spec((2, 2)),), (Instr("cholesky", (0,)),), (1,))
REFUSED = Outcome(failure=Failure("_LinAlgError", "the input is not positive-definite"))


@pytest.mark.parametrize(
    ("off_diagonal", "kind"), [(0.5, "disagree"), (2.0, "inconclusive")], ids=["positive definite", "indefinite"]
)
def test_a_refused_matrix_is_a_failure_only_where_it_has_a_factor(off_diagonal: float, kind: str) -> None:
    matrix = np.array([[1.0, off_diagonal], [off_diagonal, 1.0]])
    case = Case(PROGRAM, (matrix,), (True,), (np.ones((2, 2)),))
    verdicts = judge(case, REFUSED, certify(case), enclose_backend(case, "torch"))
    assert [v.kind for v in verdicts] == [kind, kind]


def test_another_failure_at_a_bad_matrix_stays_a_failure() -> None:
    matrix = np.array([[1.0, 2.0], [2.0, 1.0]])
    case = Case(PROGRAM, (matrix,), (True,), (np.ones((2, 2)),))
    broken = Outcome(failure=Failure("RuntimeError", "something else"))
    verdicts = judge(case, broken, certify(case), enclose_backend(case, "torch"))
    assert [v.kind for v in verdicts] == ["disagree", "disagree"]


@pytest.mark.parametrize(("size", "kind"), [(1.0, "disagree"), (1e300, "inconclusive")], ids=["in range", "overflow"])
def test_a_factor_that_no_output_shows_is_judged_by_what_goes_into_it(size: float, kind: str) -> None:
    """x x^T + 1 has a factor; at 1e300 its elements are infinite, and all of the factor is overwritten afterwards."""
    program = Program(
        (Spec((2, 2)),),
        (
            Instr("cholesky", (0,), (("gram", True), ("plus", 1.0))),
            Instr("index_copy", (1, 0), (("dim", 0), ("index", (1, 0)))),
        ),
        (2,),
    )
    case = Case(program, (np.full((2, 2), size),), (True,), (np.ones((2, 2)),))
    verdicts = judge(case, REFUSED, certify(case), enclose_backend(case, "torch"))
    assert [v.kind for v in verdicts] == [kind, kind]


@pytest.mark.parametrize(("second", "kind"), [(0.25, "disagree"), (np.inf, "inconclusive")], ids=["known", "undecided"])
def test_a_factor_of_numbers_that_no_choice_can_be_made_of_may_be_refused(second: float, kind: str) -> None:
    """The largest of two infinities is no number; the matrix that is made of it is refused, or not."""
    program = Program(
        (Spec((2, 1)),),
        (
            Instr("max", (0,), (("dim", 0), ("keepdim", True))),
            Instr("cholesky", (1,), (("gram", True), ("plus", 1.0))),
        ),
        (2,),
    )
    case = Case(program, (np.array([[0.5 if second < 1 else second], [second]]),), (True,), (np.ones((1, 1)),))
    certificate = certify(case)
    bound = None if certificate.status == "undecided" else enclose_backend(case, "torch")
    assert [v.kind for v in judge(case, REFUSED, certificate, bound)] == [kind, kind]
