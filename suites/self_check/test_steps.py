"""A bound from the steps of the certificate is the bound that the tape gives, cell by cell, or none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from harness.cases import Case
from harness.generation import draw
from harness.kernels import measured_ops
from harness.oracles import bound, steps
from harness.oracles.balls import BallArray
from harness.oracles.bound import Bound, enclose_backend
from harness.oracles.certificate import certify
from harness.points import point
from harness.programs import Instr, Program, Scalar, Spec

ORDERS = (("reference", "torch"), ("torch", "reference"), ("jax-jit", "torch"))


def cases(count: int) -> Iterator[Case]:
    for k in range(count):
        program, kind = draw(k).program, ("random", "edge")[k % 2]
        yield point(program, seed=k + 1, kind=kind, dtype=("float64", "float32")[k // 2 % 2])


def cells(found: Bound) -> list[Any]:
    arrays = [x for x in (*found.values, *found.grads) if x is not None]
    return [
        [(str(c.mid()), str(c.rad())) for c in x.cells.ravel().tolist()] if type(x) is BallArray else x.tolist()
        for x in arrays
    ]


@pytest.mark.parametrize("order", ORDERS, ids=" then ".join)
def test_steps_give_the_bound_that_the_tape_gives(order: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    ran = []
    whole = bound._run_again

    def counted(*args: Any, **options: Any) -> Bound:
        found = whole(*args, **options)
        ran.append(found)
        return found

    monkeypatch.setattr(bound, "_run_again", counted)
    asked = 0
    for case in cases(60):
        made = certify(case)
        if made.steps is None or made.status == "undecided":
            continue
        listed = made.steps.steps()
        assert listed is not None, "every ball on the way comes from a primitive"
        for backend in order:
            if {i.op for i in case.program.instrs} & measured_ops("torch", case.dtype) - measured_ops(
                backend, case.dtype
            ):
                continue  # an op that JAX has not
            asked += 1
            by_steps, by_tape = enclose_backend(case, backend, steps=listed), enclose_backend(case, backend)
            assert cells(by_steps) == cells(by_tape)
            assert (by_steps.left_range, len(by_steps.others)) == (by_tape.left_range, len(by_tape.others))
    assert asked >= 90
    assert len(ran) >= 0.7 * asked, "most bounds need no tape"


def test_a_decision_that_comes_out_otherwise_is_not_passed_over() -> None:
    """At 1 the program takes the other branch than at -1, where its steps were recorded."""
    program = Program(
        (Spec((1,)),), (Instr("gt", (0, Scalar(0.0))), Instr("sin", (0,)), Instr("where", (1, 2, 0))), (3,)
    )
    below, above = point(program), point(program)
    below.primals[0][...] = -1.0  # type: ignore[index]  # arrays can be written to
    above.primals[0][...] = 1.0  # type: ignore[index]
    recorded = certify(below).steps
    assert recorded is not None
    listed = recorded.steps()
    assert listed is not None
    moved = [BallArray.from_floats(above.primals[0]), *listed.inputs[1:]]
    with pytest.raises(steps.Differs):
        listed.run(moved, lambda *given: (given[-1], False), backward=bound.sums_in_any_order)


def test_a_step_that_computes_otherwise_shows_in_the_bound() -> None:
    """The planted defect of the comparison above: sin where the program has cos."""
    case = point(Program((Spec((2,)),), (Instr("cos", (0,)), Instr("square", (1,))), (2,)), seed=1)
    recorded, wrong = certify(case).steps, certify(point(replaced(case.program), seed=1)).steps
    assert recorded is not None
    assert wrong is not None
    listed, other = recorded.steps(), wrong.steps()
    assert cells(enclose_backend(case, "torch", steps=listed)) == cells(enclose_backend(case, "torch"))
    assert cells(enclose_backend(case, "torch", steps=other)) != cells(enclose_backend(case, "torch"))


def replaced(program: Program) -> Program:
    return Program(program.inputs, (Instr("sin", (0,)), *program.instrs[1:]), program.outputs)


def test_what_rounds_alike_is_shared_and_what_does_not_is_not() -> None:
    """torch declares 4 units for a division, the reference 1; both declare the same for a product."""
    case = point(Program((Spec((2,)), Spec((2,))), (Instr("mul", (0, 1)), Instr("div", (2, 1))), (2, 3)), seed=1)
    recorded = certify(case).steps
    assert recorded is not None
    listed = recorded.steps()
    by_reference, by_torch = (enclose_backend(case, name, steps=listed) for name in ("reference", "torch"))
    assert by_reference.values[0] is by_torch.values[0]
    assert (np.asarray(by_torch.values[1].radii()) > by_reference.values[1].radii()).all()
