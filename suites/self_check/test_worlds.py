"""A choice among equal elements is judged: value, index and gradient must belong to one way to choose."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness import backends
from harness.cases import Case, Outcome
from harness.examine import examine
from harness.judgement import judge
from harness.oracles.bound import enclose_backend
from harness.oracles.certificate import certify
from harness.oracles.worlds import TooManyError, worlds
from harness.programs import Instr, Program, Spec

TORCH = [backends.get("torch")] if backends.available()["torch"] is None else []
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


@pytest.mark.parametrize(("name", "end"), [("cummax", 1.0), ("cummin", -1.0)])
def test_two_numbers_out_of_range_are_not_equal_for_certain(name: str, end: float) -> None:
    """Outside the domain of atanh stand nan and infinity; that both are unknown does not make them one number."""
    program = Program((Spec((3,)),), (Instr("atanh", (0,)), Instr(name, (1,), (("dim", 0),))), (2,))
    case = Case(program, (np.array([-2.0, 0.0, end]),), (True,), (np.array([-0.75, -0.5, 1.75]),))
    for backend in (backends.get("reference"), *TORCH):
        right = backend.prepare(case)()
        assert [v.kind for v in examine(case, backend, outcome=right)] == ["inconclusive", "agree"]
        wrong = replace(right, grads=tuple(None if g is None else 2 * g for g in right.grads))
        assert examine(case, backend, outcome=wrong)[1].kind == "disagree"


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


# -- comparisons that rounding can tip: one way to compare at a time, where the union of both is too wide to decide


# The float product of 0.1 and 3 is above the float 0.3, the exact one is not: which is the larger one, rounding decides.
NEARLY = Case(
    Program((Spec(()), Spec(()), Spec(())), (Instr("mul", (0, 1)), Instr("maximum", (3, 2))), (4,)),
    (np.array(0.1), np.array(3.0), np.array(0.3)),
    (True, True, True),
    (np.array(2.0),),
)


def looked_into(case: Case, values: tuple[np.ndarray, ...], grads: tuple[np.ndarray, ...]) -> list[str]:
    """What is made of an outcome in the end."""
    return [v.kind for v in examine(case, backends.get("reference"), outcome=Outcome(values, grads))]


@pytest.mark.parametrize(
    ("grads", "kind"),
    [
        ((6.0, 0.2, 0.0), "agree"),
        ((0.0, 0.0, 2.0), "agree"),
        ((3.0, 0.1, 1.0), "agree"),  # two floats may be equal
        ((6.0, 0.2, 2.0), "disagree"),  # each may be the larger one, but not both
        ((6.0, 0.0, 0.0), "disagree"),
        ((0.0, 0.0, 0.0), "disagree"),
        ((6.0 + 1e-11, 0.2, 0.0), "disagree"),
        ((3.0, 0.1 + 1e-12, 1.0), "disagree"),
    ],
)
def test_gradients_at_a_comparison_that_rounding_tips_belong_to_one_outcome(
    grads: tuple[float, ...], kind: str
) -> None:
    assert certify(NEARLY).status == "certified"
    arrays = tuple(np.array(g) for g in grads)
    assert judge(NEARLY, Outcome((np.array(0.3),), arrays), certify(NEARLY), enclose_backend(NEARLY, "reference"))[
        1
    ].reasons == {"bound too wide": 3}  # without a choice nothing is decided
    assert looked_into(NEARLY, (np.array(0.3),), arrays) == ["agree", kind]


@pytest.mark.parametrize(("grads", "kind"), [((6.0, 0.2), "agree"), ((0.0, 0.0), "agree"), ((6.0, 0.0), "disagree")])
def test_a_mask_that_rounding_tips_is_one_or_the_other(grads: tuple[float, ...], kind: str) -> None:
    instrs = (Instr("mul", (0, 1)), Instr("le", (3, 2)), Instr("masked_fill", (3, 4), (("value", 0.0),)))
    case = replace(NEARLY, program=Program(NEARLY.program.inputs, instrs, (5,)), requires_grad=(True, True, False))
    arrays = tuple(np.array(g) for g in grads)
    value = np.array(0.1 * 3.0 if any(grads) else 0.0)
    assert looked_into(case, (value,), arrays)[1] == kind


def test_an_outcome_that_fits_one_of_too_many_ways_agrees_and_another_stays_undecided() -> None:
    """Each row has its largest element twice, which is 2 ** 8 ways to choose."""
    x = np.tile(np.array([1.0, 4.0, 4.0, 2.0]), (8, 1))
    third = Instr("kthvalue", (0,), (("dim", -1), ("k", 3)))
    case = Case(Program((Spec(x.shape),), (third,), (1,)), (x,), (True,), (np.ones(8),))
    assert certify(case).status == "undecided"
    grad = np.zeros((8, 4))
    for row in range(8):
        grad[row, 1 + row % 2] = 1.0
    assert looked_into(case, (np.full(8, 4.0),), (grad,)) == ["agree", "agree"]
    grad[5, 2] += 1e-12
    assert looked_into(case, (np.full(8, 4.0),), (grad,))[1] == "inconclusive"


@pytest.mark.parametrize(
    ("op", "allowed", "refused"),
    [
        ("floor", (0.0, -1.0), (1.0, -0.25)),
        ("ceil", (0.0, 1.0), (-1.0, 0.25)),
        ("sign", (0.0, 1.0, -1.0), (0.5, 2.0)),
    ],
)
def test_values_at_a_jump_that_rounding_tips_are_those_beside_it(
    op: str, allowed: tuple[float, ...], refused: tuple[float, ...]
) -> None:
    """0.1 * 3 - 0.3 is 0, or as near to it as rounding brings it."""
    instrs = (Instr("mul", (0, 1)), Instr("sub", (3, 2)), Instr(op, (4,)))
    case = replace(NEARLY, program=Program(NEARLY.program.inputs, instrs, (5,)))
    grads = (np.zeros(()), np.zeros(()), np.zeros(()))
    assert [looked_into(case, (np.array(v),), grads)[0] for v in allowed] == ["agree"] * len(allowed)
    assert [looked_into(case, (np.array(v),), grads)[0] for v in refused] == ["disagree"] * len(refused)


@pytest.mark.parametrize(("n", "kind"), [(16, "disagree"), (17, "agree")])
def test_a_sort_of_more_than_16_that_was_not_asked_to_keep_equals_may_swap_them(n: int, kind: str) -> None:
    """PyTorch promises their order on request alone; up to 16 elements it keeps it, and so does the tape."""
    x = np.arange(float(n))
    x[3] = x[4]
    sorting = Instr("msort", (0,))
    case = Case(Program((Spec((n,)),), (sorting,), (1,)), (x,), (True,), (np.arange(1.0, n + 1),))
    kept = np.arange(1.0, n + 1)
    swapped = kept.copy()
    swapped[[3, 4]] = kept[[4, 3]]
    assert looked_into(case, (np.sort(x),), (kept,)) == ["agree", "agree"]
    assert looked_into(case, (np.sort(x),), (swapped,)) == ["agree", kind]
    swapped[[3, 5]] = swapped[[5, 3]]
    assert looked_into(case, (np.sort(x),), (swapped,)) == ["agree", "disagree"]


@pytest.mark.skipif(backends.available()["jax-jit"] is not None, reason="JAX is not installed")
@pytest.mark.parametrize(("op", "second"), [("cummax", 5e-324), ("cummin", -5e-324)])
def test_cotangent_that_is_shared_out_where_an_engine_sees_a_tie_proves_nothing(op: str, second: float) -> None:
    """JAX flushes subnormal numbers: 0 and the least one are equal to it, and halves go to both, which is no choice."""
    case = Case(
        Program((Spec((2,)),), (Instr(op, (0,), (("dim", 0),)),), (1,)),
        (np.array([0.0, second]),),
        (True,),
        (np.array([2.0, -1.0]),),
    )
    jax = backends.get("jax-jit")
    assert [v.kind for v in examine(case, jax)] == ["agree", "inconclusive"]
    apart = replace(case, primals=(np.array([0.0, second * 1e300]),))
    assert [v.kind for v in examine(apart, jax)] == ["agree", "agree"]
    doubled = Outcome((np.array([0.0, second * 1e300]),), (np.array([4.0, -2.0]),))
    assert examine(apart, jax, outcome=doubled)[1].kind == "disagree"
