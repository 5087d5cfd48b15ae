"""Detach: what comes through it counts as a constant, wherever in a program it stands."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import backends
from harness.cases import Case
from harness.examine import examine
from harness.inference import infer
from harness.judgement import compare_arrays
from harness.oracles.certificate import certify
from harness.points import point
from harness.programs import Instr, Program, Scalar
from harness.strategies import programs
from suites.tally import Tally, share

AVAILABLE = [name for name, reason in backends.available().items() if reason is None]
EAGER = [n for n in ("reference", "torch") if n in AVAILABLE]


def with_detach_at(program: Program, instr: int, arg: int) -> Program:
    """The program in which one argument of one instruction goes through `detach` first."""
    n = len(program.inputs)
    where = n + instr  # the new instruction takes this slot, all later slots move up

    def moved(slot: Any) -> Any:
        return slot if isinstance(slot, Scalar) or slot < where else slot + 1

    cut = program.instrs[instr].args[arg]
    instrs = [replace(i, args=tuple(moved(a) for a in i.args)) for i in program.instrs]
    args = list(instrs[instr].args)
    args[arg] = where
    instrs[instr] = replace(instrs[instr], args=tuple(args))
    instrs.insert(instr, Instr("detach", (cut,)))
    return Program(program.inputs, tuple(instrs), tuple(moved(s) for s in program.outputs))


@st.composite
def detached_programs(draw: st.DrawFn) -> Program:
    """Programs with at least one detach, at a drawn place."""
    program = draw(programs(max_instrs=10))
    for _ in range(draw(st.integers(1, 2))):
        specs = infer(program)  # a detach shifts the places behind it
        places = [
            (k, j)
            for k, instr in enumerate(program.instrs)
            if instr.op != "detach"
            for j, a in enumerate(instr.args)
            if not isinstance(a, Scalar) and specs[a].kind == "float"
        ]
        if places:
            program = with_detach_at(program, *draw(st.sampled_from(places)))
    return program


@pytest.mark.parametrize("name", EAGER)
def test_gradient_past_a_detach_equals_the_certificate(name: str) -> None:
    """The power series of the certificate drop their higher coefficients at a detach: no rule of ours decides it."""
    backend, tally = backends.get(name), Tally()
    detached = 0

    @given(detached_programs())
    def check(program: Program) -> None:
        nonlocal detached
        for k, dtype in enumerate(("float64", "float32")):
            case = point(program, seed=2 + k, dtype=dtype)
            certificate = certify(case)
            assert certificate.status != "refuted", f"{certificate.reason}\n{program}"
            tally.add(examine(case, backend, certificate=certificate), case)
        detached += any(i.op == "detach" for i in program.instrs)

    check()
    tally.finish(at_least=50)
    assert detached > 0


@pytest.mark.parametrize("name", EAGER)
def test_detached_output_has_no_gradient(name: str) -> None:
    """An output that is cut off takes no part: PyTorch leaves `.grad` None, and so does the reference."""
    backend = backends.get(name)
    compared = 0

    @share(0.5)
    @given(programs(max_instrs=6))
    def check(program: Program) -> None:
        nonlocal compared
        case = point(program, seed=2)
        n = len(program.inputs) + len(program.instrs)
        slots = [s for s, ct in zip(program.outputs, case.cotangents, strict=True) if ct is not None]
        cut = Program(
            program.inputs,
            program.instrs + tuple(Instr("detach", (s,)) for s in slots),
            tuple(range(n, n + len(slots))),
        )
        cotangents = tuple(ct for ct in case.cotangents if ct is not None)
        outcome = backend.prepare(Case(cut, case.primals, case.requires_grad, cotangents))()
        assert outcome.failure is None
        assert outcome.grads == (None,) * sum(case.requires_grad)
        compared += len(outcome.grads)

    check()
    assert compared > 0


@pytest.mark.parametrize("name", EAGER)
def test_straight_through_estimator_is_the_identity_in_reverse(name: str) -> None:
    """x + (sign(x) - x).detach() has the value of sign(x) and the gradient of x, bit for bit."""
    backend = backends.get(name)
    compared = 0

    @given(programs(ops=("clone",), max_instrs=1))
    def check(program: Program) -> None:
        nonlocal compared
        spec = program.inputs[0]
        estimator = Program(
            (spec,),
            (Instr("sign", (0,)), Instr("sub", (1, 0)), Instr("detach", (2,)), Instr("add", (0, 3))),
            (4,),
        )
        case = point(estimator, seed=4)
        outcome = backend.prepare(case)()
        assert outcome.failure is None
        assert compare_arrays(outcome.grads[0], np.asarray(case.cotangents[0])) == ""
        tally.add(examine(case, backend, outcome=outcome), case)
        compared += spec.shape.count(0) == 0

    tally = Tally()
    check()
    tally.finish()
    assert compared > 0


@pytest.mark.parametrize("name", EAGER)
def test_detach_changes_no_value(name: str) -> None:
    backend = backends.get(name)
    compared = 0

    @share(0.5)
    @given(detached_programs())
    def check(program: Program) -> None:
        nonlocal compared
        plain = replace(
            program, instrs=tuple(replace(i, op="clone") if i.op == "detach" else i for i in program.instrs)
        )
        case = point(plain, seed=3)
        cut, whole = (backend.value_thunk(replace(case, program=p))() for p in (program, plain))
        for a, b in zip(cut.values, whole.values, strict=True):
            assert compare_arrays(a, b) == "", str(program)
            compared += a.size

    check()
    assert compared > 0
