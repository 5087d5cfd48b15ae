"""A choice among equal elements is judged: value, index and gradient must belong to one way to choose."""

from __future__ import annotations

import numpy as np
import pytest

from harness.cases import Case, Outcome
from harness.judgement import judge
from harness.oracles.bound import enclose_backend
from harness.oracles.certificate import certify
from harness.oracles.worlds import TooManyError, worlds
from harness.programs import Instr, Program, Spec

X = np.array([3.0, 5.0, 5.0, 4.0])
KTH = Program((Spec((4,)),), (Instr("kthvalue", (0,), (("dim", 0), ("k", 3))),), (1,))
# A constant that no input reaches is added where the largest stands: what comes forward tells which one was chosen.
TOPK = Program(
    (Spec((4,)), Spec((4,))),
    (Instr("mul", (0, 1)), Instr("topk", (2,), (("dim", 0), ("k", 1), ("largest", True)))),
    (3,),
)


def verdicts(case: Case, values: tuple[np.ndarray, ...], grads: tuple[np.ndarray, ...]) -> list[str]:
    """What is made of an outcome: on its values, on its gradients."""
    pair = judge(case, Outcome(values, grads), certify(case), enclose_backend(case, "reference"))
    return [v.kind for v in pair]


@pytest.mark.parametrize(
    ("grad", "kind"),
    [
        ([0.0, 2.0, 0.0, 0.0], "agree"),
        ([0.0, 0.0, 2.0, 0.0], "agree"),
        ([0.0, 1.0, 1.0, 0.0], "disagree"),  # shared, which is no choice
        ([0.0, 2.0, 2.0, 0.0], "disagree"),
        ([0.0, 0.0, 0.0, 2.0], "disagree"),
        ([0.0, 0.0, 0.0, 0.0], "disagree"),
        ([0.0, 2.0 + 1e-12, 0.0, 0.0], "disagree"),
    ],
)
def test_gradient_of_an_element_that_has_an_equal(grad: list[float], kind: str) -> None:
    case = Case(KTH, (X,), (True,), (np.array(2.0),))
    certificate = certify(case)
    assert (certificate.status, len(certificate.others)) == ("tie", 1)
    assert verdicts(case, (np.array(5.0),), (np.array(grad),)) == ["agree", kind]
    assert verdicts(case, (np.array(4.0),), (np.array(grad),))[0] == "disagree"


def test_gradients_of_two_choices_do_not_mix() -> None:
    """d(a b)/da is b of the element that was chosen, and d(a b)/db its a: the two must tell of one element."""
    a, b = np.array([1.0, 2.0, 6.0, 3.0]), np.array([1.0, 6.0, 2.0, 4.0])  # the products 12 stand in three places
    case = Case(TOPK, (a, b), (True, True), (np.array([1.0]),))
    assert len(certify(case).others) == 2

    def at(k: int, x: np.ndarray) -> np.ndarray:
        grad = np.zeros(4)
        grad[k] = x[k]
        return grad

    value = (np.array([12.0]),)
    for k in (1, 2, 3):
        assert verdicts(case, value, (at(k, b), at(k, a))) == ["agree", "agree"]
    assert verdicts(case, value, (at(1, b), at(2, a))) == ["agree", "disagree"]


def test_too_many_ways_to_choose_are_inconclusive() -> None:
    case = Case(
        Program((Spec((9,)),), (Instr("topk", (0,), (("dim", 0), ("k", 5), ("largest", True))),), (1,)),
        (np.ones(9),),
        (True,),
        (np.ones(5),),
    )
    certificate = certify(case)
    assert certificate.status == "undecided"
    value, vjp = judge(case, Outcome((np.ones(5),), (np.ones(9),)), certificate, None)
    assert [value.kind, vjp.kind] == ["inconclusive", "inconclusive"]


def test_worlds_that_never_end_are_refused() -> None:
    from harness.oracles.worlds import choose

    def run() -> int:
        return choose([0, 1], ValueError()) + 2 * choose([0, 1], ValueError())

    assert [*worlds(run, 4)] == [0, 2, 1, 3]
    with pytest.raises(TooManyError, match="more than 3"):
        list(worlds(run, 3))
    with pytest.raises(ZeroDivisionError):
        choose([0, 1], ZeroDivisionError())
