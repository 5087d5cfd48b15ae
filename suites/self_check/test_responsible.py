"""What stays undecided is put down to the primitive where it arises."""

from __future__ import annotations

import numpy as np
import pytest

from harness import backends
from harness.cases import Case
from harness.examine import examine
from harness.oracles.responsible import responsible
from harness.programs import Instr, Program, Scalar, Spec
from harness.verify import run_verify


def at(x: float, *instrs: Instr) -> Case:
    program = Program((Spec(()),), instrs, (len(instrs),))
    return Case(program, (np.array(x),), (True,), (np.array(1.0),))


@pytest.mark.parametrize(
    ("case", "reason", "op"),
    [
        (at(-2.0, Instr("sin", (0,)), Instr("log", (1,)), Instr("exp", (2,))), "not finite", "log"),
        (at(0.0, Instr("sin", (0,)), Instr("sqrt", (1,)), Instr("exp", (2,))), "not finite", "div"),  # in its rule
        (at(600.0, Instr("exp", (0,)), Instr("square", (1,)), Instr("mul", (2, Scalar(3.0)))), "overflow", "square"),
    ],
)
def test_the_first_primitive_that_is_unbounded_is_named(case: Case, reason: str, op: str) -> None:
    verdicts = examine(case, backends.get("reference"))
    assert any(v.reasons.get(reason) for v in verdicts)
    assert responsible(case, "reference", reason) == op


def test_a_comparison_that_rounding_can_tip_is_named() -> None:
    case = at(0.1, Instr("mul", (0, Scalar(3.0))), Instr("sub", (1, Scalar(0.3))), Instr("abs", (2,)))
    assert responsible(case, "reference", "tie") in ("sign", "abs")


def test_a_run_counts_every_undecided_element_once() -> None:
    result = run_verify(backends_=["reference"], ops=["acosh", "mul"], max_programs=30, seed=3, dtypes=["float64"])
    counted = {}
    for row in result.rows:
        counted[row.dtype] = counted.get(row.dtype, 0) + row.inconclusive_count
    assert counted["float64"] == sum(result.undecided_by.values()) > 0
    assert {op for _, _, _, op in result.undecided_by} <= {"rsqrt", "div", "acosh", "mul"}


def test_a_kernel_that_a_framework_has_not_is_not_asked_for() -> None:
    """JAX has no erfcx in float32, and its rule of log_ndtr uses none: an overflow there has its primitive all the same."""
    program = Program((Spec((1,)),), (Instr("log_ndtr", (0,)), Instr("exp", (0,))), (1, 2))
    case = Case(
        program, (np.array([100.0], np.float32),), (True,), (np.ones(1, np.float32), np.ones(1, np.float32)), "float32"
    )
    assert responsible(case, "jax", "overflow") == "exp"
