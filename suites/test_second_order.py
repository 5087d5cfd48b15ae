"""Second order: backward through backward gives the certified product of the Hessian with a direction."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from harness import backends
from harness.cases import Failure, Outcome
from harness.inference import OPS
from harness.oracles.second_order import bound_hvp, certify_hvp, judge_hvp, run_hvp
from harness.points import point
from harness.programs import Instr, Program, Scalar, Spec
from harness.strategies import programs
from reference_impl.primitives import PRIMITIVES
from suites.tally import Tally, share

AVAILABLE = [name for name, reason in backends.available().items() if reason is None]
EAGER = [n for n in ("reference", "torch") if n in AVAILABLE]
ROUND = ("sign", "floor", "ceil", "trunc", "round")  # whose derivative is 0 everywhere
DIFFERENTIABLE = [name for name, p in PRIMITIVES.items() if p.rules and name in OPS and name not in ROUND]
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # PyTorch's remark on var of too few elements


@pytest.mark.parametrize("name", EAGER)
def test_hessian_product_equals_the_certificate(name: str) -> None:
    tally = Tally()

    @given(programs(max_instrs=8))
    def check(program: Program) -> None:
        for k, dtype in enumerate(("float64", "float32")):
            case = point(program, seed=1 + k, dtype=dtype)
            truth = certify_hvp(case, seed=k)
            assert truth.certificate.status != "refuted", f"{truth.certificate.reason}\n{program}\n{case.primals}"
            if truth.certificate.status == "undecided":
                continue
            bound = bound_hvp(case, truth.directions, name)
            verdict = judge_hvp(case, run_hvp(case, truth.directions, name), truth, bound)
            tally.add([verdict], case)

    check()
    tally.finish(at_least=50)


@pytest.mark.parametrize("name", EAGER)
@pytest.mark.parametrize("op", DIFFERENTIABLE)
def test_every_rule_can_be_differentiated_again(op: str, name: str) -> None:
    """tanh over each op: the second derivative is not zero, and every rule is recorded and walked."""
    unsupported: set[str] = set()
    tally = Tally(most_undecided=1.0)  # an op over itself (log1p, rsqrt) often leaves its domain; some case must not

    @share(0.1)
    @given(programs(ops=(op,), max_instrs=2))
    def check(program: Program) -> None:
        n = len(program.inputs) + len(program.instrs)
        curved = Program(
            program.inputs,
            program.instrs + tuple(Instr("tanh", (s,)) for s in program.outputs),
            tuple(range(n, n + len(program.outputs))),
        )
        case = point(curved, seed=2)
        truth = certify_hvp(case)
        assert truth.certificate.status != "refuted", f"{truth.certificate.reason}\n{curved}\n{case.primals}"
        if truth.certificate.status == "undecided":
            return
        bound = bound_hvp(case, truth.directions, name)
        verdict = judge_hvp(case, run_hvp(case, truth.directions, name), truth, bound)
        unsupported.update([verdict.reason] if verdict.kind == "unsupported" else [])
        tally.add([verdict], case)

    check()
    if unsupported and not tally.decided:
        pytest.skip(f"{name} has no second derivative of {op}: {unsupported.pop()}")
    tally.finish()


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("derivative for aten::hardsigmoid_backward is not implemented", "unsupported"),
        ("the derivative for '_cdist_backward' is not implemented.", "unsupported"),
        ("the derivative is wrong", "disagree"),
    ],
)
def test_only_a_derivative_that_is_not_implemented_is_unsupported(message: str, kind: str) -> None:
    case = point(Program((Spec(()),), (Instr("sin", (0,)),), (1,)))
    truth = certify_hvp(case)
    bound = bound_hvp(case, truth.directions, "torch")
    outcome = Outcome(failure=Failure("RuntimeError", message))
    assert judge_hvp(case, outcome, truth, bound).kind == kind


def test_quadratic_form_has_its_matrix_as_hessian() -> None:
    """A case by hand: f(x) = x0^2 x1 at (2, 3) has the Hessian ((6, 4), (4, 0))."""
    instrs = (
        Instr("getitem", (0,), (("index", (0,)),)),
        Instr("getitem", (0,), (("index", (1,)),)),
        Instr("pow", (1, Scalar(2))),
        Instr("mul", (3, 2)),
    )
    case = point(Program((Spec((2,)),), instrs, (4,)))
    case = type(case)(case.program, (np.array([2.0, 3.0]),), (True,), (np.array(1.0),))
    truth = certify_hvp(case)
    (d,) = truth.directions
    expected = np.array([[6.0, 4.0], [4.0, 0.0]]) @ np.asarray(d)
    assert truth.certificate.status == "certified"
    outcome = run_hvp(case, truth.directions, "reference")
    np.testing.assert_array_equal(outcome.grads[0], expected)
    assert truth.certificate.grads[0].contains(expected).all()


@pytest.mark.skipif("torch" not in EAGER, reason="PyTorch is not installed")
def test_a_framework_without_a_second_derivative_is_unsupported_and_one_that_fails_is_not() -> None:
    case = point(Program((Spec((1, 2)), Spec((2, 2))), (Instr("cdist", (0, 1)),), (2,)))
    truth = certify_hvp(case)
    bound = bound_hvp(case, truth.directions, "torch")
    verdict = judge_hvp(case, run_hvp(case, truth.directions, "torch"), truth, bound)
    assert (verdict.kind, verdict.claim) == ("unsupported", "hvp")
    assert "not implemented" in verdict.reason
    broken = Outcome(failure=Failure("RuntimeError", "not implemented"))
    assert judge_hvp(case, broken, truth, bound).kind == "disagree"
