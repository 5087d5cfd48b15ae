"""Disagreements are counted by what is wrong: one defect is one line with one small reproducer, two defects are two."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from harness import backends, verify
from harness.backends.reference import ReferenceBackend
from harness.cases import Case, Thunk, failed
from harness.defects import Defect
from harness.examine import examine
from harness.generation import Draw
from harness.judgement import Element, Verdict
from harness.points import point
from harness.programs import Instr, Program, Spec
from harness.records import VerdictRow
from harness.serial import loads_case
from harness.triage import DIFFERENCES, bucket, difference, isolated, size, smallest
from harness.verify import run_verify
from suites.framework_twins import in_torch

AVAILABLE = backends.available()
OPS = ("tanh", "mul", "sin", "sum", "transpose")
EQUAL_ROWS = np.broadcast_to(np.array([3.0, 1.0]), (2, 2))
"""Its first column, read without its stride, has the median 1."""

needs_torch = pytest.mark.skipif(AVAILABLE["torch"] is not None, reason="PyTorch is not installed")


def wrong(got: float, **changes: object) -> Verdict:
    return Verdict("disagree", "vjp", owner="framework", worst=Element(0, (), got, 2.0, 1e-15), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("verdict", "kind"),
    [
        (wrong(2.5), "value"),
        (wrong(0.0), "value"),
        (wrong(math.nan), "not finite"),
        (wrong(-math.inf), "not finite"),
        (wrong(2.5, aspect="accuracy"), "digits lost"),
        (Verdict("disagree", "vjp", "structure", "raised RuntimeError: dtype"), "raises"),
        (Verdict("disagree", "vjp", "structure", "output 0 has shape (2,), expected (3,)"), "shape"),
        (Verdict("disagree", "vjp", "structure", "output 0 has dtype float32, expected float64"), "dtype"),
        (Verdict("disagree", "vjp", "structure", "2 gradients for 1 inputs that require grad"), "structure"),
        (Verdict("disagree", "vjp", reason="the reference's own rules are refuted: ..."), "refuted"),
    ],
)
def test_a_disagreement_is_of_one_kind(verdict: Verdict, kind: str) -> None:
    assert difference(verdict) == kind
    assert kind in DIFFERENCES


def disagreeing(defects: Sequence[Defect], programs: int, seed: int = 4) -> list[VerdictRow]:
    """What a run over PyTorch finds with the defects in it; this seed draws no point that saturates tanh in float32."""
    with ExitStack() as stack:
        for defect in defects:
            stack.enter_context(in_torch(defect))
        result = run_verify(
            backends_=("torch",), dtypes=("float64",), ops=OPS, max_programs=programs, budget_seconds=60.0, seed=seed
        )
    assert result.failure is None
    # A twin gives its int arguments gradients, which PyTorch refuses: that is the twin's and not the defect's.
    return [r for r in result.rows if r.verdict == "disagree" and r.difference != "raises"]


@needs_torch
def test_one_defect_in_many_programs_is_one_bucket_with_one_small_reproducer() -> None:
    rows = disagreeing([Defect("tanh", 0, "factor", 1e-5)], programs=60)
    assert len({row.program_id for row in rows}) >= 10
    assert {row.bucket for row in rows} == {"torch float64 vjp: tanh: value"}
    kept = [row for row in rows if row.reproducer]
    best = min((loads_case(row.program) for row in kept), key=size)
    assert size(best) <= (1, 2, 1)
    script = next(row.reproducer for row in kept if size(loads_case(row.program)) == size(best))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, "the script is of PyTorch without the defect, and right"


@needs_torch
def test_two_defects_are_two_buckets_even_where_they_meet() -> None:
    rows = disagreeing([Defect("tanh", 0, "factor", 1e-3), Defect("sin", 0, "sign")], programs=60)
    assert {row.bucket for row in rows} == {"torch float64 vjp: tanh: value", "torch float64 vjp: sin: value"}


@needs_torch
def test_what_is_wrong_alone_is_found_among_what_is_right() -> None:
    program = Program((Spec((2, 3)),), (Instr("sin", (0,)), Instr("tanh", (1,)), Instr("mul", (2, 1))), (3,))
    case, engine = point(program, seed=5), backends.get("torch")
    with in_torch(Defect("tanh", 0, "factor", 1e-6)):
        verdict = examine(case, engine)[1]
        ((part, again),) = isolated(case, engine, verdict)
        best, _ = smallest(part, engine, again)
    assert [i.op for i in part.program.instrs] == ["tanh"]
    assert bucket(again, part, engine).ops == ("tanh",)
    assert sum(x.size for x in best.primals) == 1


@needs_torch
@pytest.mark.parametrize("moved", [False, True], ids=["as it lies", "moved by a view"])
def test_a_gradient_that_follows_a_wrong_value_is_put_down_to_it(moved: bool) -> None:
    """PyTorch's median along a stride of 0 reads elsewhere; the slope of exp is that of what it read."""
    views = (Instr("movedim", (0,), (("destination", (1,)), ("source", (0,)))),) if moved else ()
    last = len(views)
    program = Program(
        (Spec((2, 2)),), (*views, Instr("median", (last,), (("dim", last),)), Instr("exp", (last + 1,))), (last + 2,)
    )
    case, engine = replace(point(program), primals=(EQUAL_ROWS,)), backends.get("torch")
    value, gradient = examine(case, engine)
    assert (value.kind, gradient.kind) == ("disagree", "disagree")
    ((part, again),) = isolated(case, engine, gradient)
    assert ([i.op for i in part.program.instrs], again.claim) == (["median"], "value")


@needs_torch
def test_a_gradient_is_put_down_to_a_wrong_gradient_rather_than_to_a_wrong_value() -> None:
    program = Program((Spec((2, 2)),), (Instr("median", (0,), (("dim", 0),)), Instr("tanh", (1,))), (2,))
    case, engine = replace(point(program), primals=(EQUAL_ROWS,)), backends.get("torch")
    with in_torch(Defect("tanh", 0, "factor", 1e-6)):
        ((part, again),) = isolated(case, engine, examine(case, engine)[1])
    assert ([i.op for i in part.program.instrs], again.claim) == (["tanh"], "vjp")


@needs_torch
def test_what_needs_two_instructions_is_not_put_down_to_one() -> None:
    """A backend that loses one of two cotangents is right in each instruction."""
    program = Program((Spec((2,)),), (Instr("sin", (0,)), Instr("cos", (0,)), Instr("mul", (1, 2))), (3,))
    engine = backends.get("torch")
    lost = Verdict("disagree", "vjp", owner="framework", worst=Element(0, (0,), 1.0, 2.0, 1e-15))
    assert not list(isolated(point(program, seed=5), engine, lost))


class RefusesMul(ReferenceBackend):
    """A backend that raises where a program multiplies, so that no instruction can be looked at alone."""

    def prepare(self, case: Case) -> Thunk:
        thunk = super().prepare(case)
        refused = any(instr.op == "mul" for instr in case.program.instrs)
        return lambda: failed(RuntimeError("no mul")) if refused else thunk()

    value_thunk = prepare


def test_what_was_shrunk_once_is_recognised_in_other_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    searches: list[Program] = []

    def shrunk(made: Draw, *rest: Any) -> tuple[Case, Verdict]:
        searches.append(made.program)
        return search(made, *rest)

    search = verify._shrunk
    monkeypatch.setattr(verify, "_shrunk", shrunk)
    monkeypatch.setattr(backends, "get", lambda name: RefusesMul())
    result = run_verify(
        backends_=("reference",), dtypes=("float64", "float32"), ops=("tanh", "mul", "sin"), max_programs=40, seed=1
    )
    rows = [r for r in result.rows if r.verdict == "disagree"]
    assert len({r.program_id for r in rows}) >= 10
    assert {(r.dtype, r.claim, r.bucket.split(": ")[1]) for r in rows} == {
        (dtype, claim, "mul") for dtype in ("float64", "float32") for claim in ("value", "vjp")
    }
    assert len(searches) == 1


class LacksSin(RefusesMul):
    """One that moreover has no sine, and fails on a program that it does not support."""

    def supports(self, program: Program) -> str | None:
        return "no sin" if any(instr.op == "sin" for instr in program.instrs) else None

    def prepare(self, case: Case) -> Thunk:
        if self.supports(case.program) is not None:
            raise ValueError("the table has no op sin")
        return super().prepare(case)

    value_thunk = prepare


def test_shrinking_to_an_op_that_a_backend_lacks_ends_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "get", lambda name: LacksSin())
    result = run_verify(backends_=("reference",), dtypes=("float64",), ops=("mul", "sin"), max_programs=12, seed=2)
    assert result.failure is None
    assert {r.bucket.split(": ")[1] for r in result.rows if r.verdict == "disagree"} == {"mul"}
    assert any(r.verdict == "unsupported" for r in result.rows)
