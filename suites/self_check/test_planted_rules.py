"""Planted wrong rules are caught: every primitive, every kind of defect, in the tape and in the certificate itself.

The programs are drawn from one op, the points are random and at edges; nothing is chosen by hand for a defect. What the
suites cannot see here they would not see in earnest.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import find, settings

import reference_impl as tape
from harness import backends
from harness.cases import Array, Case, Failure, Outcome
from harness.defects import Defect, PlantedBackend, defects, planted
from harness.examine import examine
from harness.inference import OPS
from harness.judgement import agree_exactly, judge
from harness.oracles.bound import enclose_backend
from harness.oracles.certificate import Certificate, certify
from harness.oracles.second_order import bound_hvp, certify_hvp, judge_hvp, run_hvp
from harness.points import point
from harness.programs import Instr, Program, Scalar, Spec
from harness.strategies import programs, programs_of
from reference_impl.primitives import PRIMITIVES

PROGRAMS = (24, 400)  # drawn for one op; the second figure where the first shows nothing
POINTS = 8  # of each program
REFERENCE = backends.get("reference")

ROUND = ("sign", "floor", "ceil", "trunc", "round")  # whose derivative is 0 everywhere
# Primitives that programs use under the name of what is composed of them.
NAMED_BY = {
    "convolution": "conv2d",
    "convolution_input": "conv_transpose1d",
    "first_largest": "max_pool1d",
    "matrix_solve": "solve",
    "matrix_inverse": "inv",
    "determinant": "det",
    "log_abs_determinant": "logabsdet",
    "cholesky_factor": "cholesky",
    "triangular_solve": "solve_triangular",
}
IN_PROGRAMS = tuple(name for name, p in PRIMITIVES.items() if p.rules and (name in OPS or name in NAMED_BY))
OUTSIDE = tuple(
    name for name, p in PRIMITIVES.items() if p.rules and name not in IN_PROGRAMS
)  # adjoints, in-place, casts
ADJOINTS = {
    "getitem_adjoint": "getitem",
    "index_select_adjoint": "index_select",
    "gather_adjoint": "gather",
    "convolution_weight": "conv1d",
    "scaled": "erf",
    "add_at": "index_add",
}


@dataclass
class Try:
    """A drawn case with what is known of it, computed when it is first asked for."""

    case: Case
    _known: dict[str, Any] = field(default_factory=dict)

    @property
    def certificate(self) -> Certificate:
        if "certificate" not in self._known:
            self._known["certificate"] = certify(self.case)
        return self._known["certificate"]

    @property
    def plain(self) -> Outcome:
        if "plain" not in self._known:
            self._known["plain"] = REFERENCE.prepare(self.case)()
        return self._known["plain"]

    def is_sharp(self) -> bool:
        """Whether the bound of some gradient element is below 1e-9 of it."""
        if "sharp" not in self._known:
            self._known["sharp"] = self._find_sharp()
        return self._known["sharp"]

    def _find_sharp(self) -> bool:
        if self.certificate.status != "certified":
            return False
        bound = enclose_backend(self.case, "reference")
        if bound.undecided:
            return False
        for true, allowed in zip(self.certificate.grads, bound.grads, strict=True):
            if true is None or allowed is None:
                continue
            middle, radius = np.abs(true.midpoints()), allowed.radii()
            with np.errstate(all="ignore"):
                if np.any((middle > 0) & (radius < 1e-9 * middle)):
                    return True
        return False


def drawn_programs(name: str, count: int = PROGRAMS[0]) -> tuple[Program, ...]:
    return programs_of(NAMED_BY.get(name, name), count, count)


@functools.cache
def tries(op: str, count: int = PROGRAMS[0]) -> tuple[Try, ...]:
    kinds = ("random", "random", "random", "edge")
    return tuple(
        Try(point(program, seed=1 + k + POINTS * i, kind=kinds[k % 4]))
        for i, program in enumerate(drawn_programs(op, count))
        for k in range(POINTS)
    )


def differing(defect: Defect, op: str) -> Iterator[tuple[Try, Outcome]]:
    """The drawn cases on which the defect changes anything at all, with the wrong outcome."""
    backend = PlantedBackend(defect)
    for attempt in (t for count in PROGRAMS for t in tries(op, count)):
        outcome = backend.prepare(attempt.case)()
        if agree_exactly(attempt.plain, outcome):
            yield attempt, outcome


def is_caught(defect: Defect, op: str) -> bool:
    for attempt, outcome in differing(defect, op):
        verdict = examine(attempt.case, PlantedBackend(defect), certificate=attempt.certificate, outcome=outcome)[1]
        if verdict.kind == "disagree" and verdict.aspect in ("derivative", "structure"):
            assert verdict.owner == "reference" or verdict.aspect == "structure"
            return True
    return False


@pytest.mark.parametrize("op", IN_PROGRAMS)
def test_structural_defects_of_every_rule_are_caught(op: str) -> None:
    planted_here = [d for d in defects(op) if d.structural]
    assert planted_here
    assert [str(d) for d in planted_here if not is_caught(d, op)] == []


@pytest.mark.parametrize("op", IN_PROGRAMS)
def test_factors_near_one_are_caught(op: str) -> None:
    planted_here = [d for d in defects(op) if not d.structural]
    if not any(t.is_sharp() for t in tries(op)):
        assert op in ROUND, f"no drawn case of {op} has a bound below 1e-9 of a gradient element"
        return
    assert [str(d) for d in planted_here if not is_caught(d, op)] == []


def test_nearly_every_primitive_has_a_sharp_case(record_property: Callable[[str, object], None]) -> None:
    sharp = [op for op in IN_PROGRAMS if any(t.is_sharp() for t in tries(op))]
    share = len(sharp) / len(IN_PROGRAMS)
    record_property("share of primitives with a bound below 1e-9", share)
    print(f"bound below 1e-9 of an element: {len(sharp)} of {len(IN_PROGRAMS)} primitives ({share:.1%})")
    assert share >= 0.95


# -- the same rules inside the certificate


@pytest.mark.parametrize("op", IN_PROGRAMS)
def test_a_wrong_rule_shared_by_both_engines_is_refuted(op: str) -> None:
    """The balls of the first pass run the same wrong rule as the tape; the power series of the second does not."""
    missed = []
    for defect in defects(op):
        if defect.kind in ("zero", "sign", "factor", "dropped element", "not zero") and not _is_refuted(defect, op):
            missed.append(str(defect))
    assert missed == []


def _is_refuted(defect: Defect, op: str) -> bool:
    for attempt, outcome in differing(defect, op):
        if attempt.certificate.status != "certified":
            continue
        with planted(defect):
            shared = certify(attempt.case)
        if shared.status == "refuted":
            bound = enclose_backend(attempt.case, "reference")
            verdict = judge(attempt.case, outcome, shared, bound)[1]
            assert (verdict.kind, verdict.owner) == ("disagree", "reference")
            return True
    return False


# -- primitives that no program names: adjoints run in the second order, the others in place


@pytest.mark.parametrize(("adjoint", "op"), ADJOINTS.items())
def test_defects_of_adjoints_are_caught_in_the_second_order(adjoint: str, op: str) -> None:
    missed = []
    for defect in defects(adjoint):
        if not any(_caught_in_hvp(defect, program) for program in _squared(op)):
            missed.append(str(defect))
    assert missed == []


def _squared(op: str) -> Iterator[Program]:
    """Programs of one op, with their outputs squared so that there is a second derivative."""
    for program in drawn_programs(op):
        n = len(program.inputs) + len(program.instrs)
        squares = tuple(Instr("exp", (slot,)) for slot in program.outputs)
        yield Program(program.inputs, program.instrs + squares, tuple(range(n, n + len(squares))))


def _caught_in_hvp(defect: Defect, program: Program) -> bool:
    case = point(program, seed=3)
    truth = certify_hvp(case)
    if truth.certificate.status != "certified":
        return False
    with planted(defect):
        wrong = run_hvp(case, truth.directions, "reference")
    return judge_hvp(case, wrong, truth, bound_hvp(case, truth.directions, "reference")).kind == "disagree"


def _masked(x: Any, value: Any, mask: Array) -> Program:
    instr = Instr("where", (2, 1, 0))
    return Program((Spec(x.shape), Spec(value.shape), Spec(mask.shape, "bool")), (instr,), (3,))


X, VALUE = np.array([0.5, -1.25, 2.0, 0.75]), np.array([3.0, -0.5])
WRITTEN = np.array([False, True, True, False])


def _copy_into(x: Any, value: Any) -> Any:
    out = x.clone()
    return out.copy_(value)


def _write_slice(x: Any, value: Any) -> Any:
    out = x.clone()
    out[1:3] = value
    return out


def _in_float32(x: Any, value: Any) -> Any:
    return x.float() * value.float()


IN_PLACE: dict[str, tuple[Callable[[Any, Any], Any], tuple[Array, Array], Program]] = {
    # a function that uses the primitive, its arguments, and a program that computes the same without it
    "overwrite": (
        _copy_into,
        (X, np.array([3.0])),
        Program(
            (Spec((4,)), Spec((1,))),
            (Instr("mul", (0, Scalar(0.0))), Instr("add", (2, 1))),
            (3,),
        ),
    ),
    "view_scatter": (
        _write_slice,
        (X, VALUE),
        Program(
            (Spec((4,)), Spec((2,))),
            (
                Instr("getitem", (0,), (("index", (("slice", 0, 1, None),)),)),
                Instr("getitem", (0,), (("index", (("slice", 3, 4, None),)),)),
                Instr("cat", (2, 1, 3), (("dim", 0),)),
            ),
            (4,),
        ),
    ),
    "to": (
        _in_float32,
        (X, np.array([3.0, -0.5, 1.0, 2.0])),
        Program((Spec((4,)), Spec((4,))), (Instr("mul", (0, 1)),), (2,)),
    ),
}


@pytest.mark.parametrize("name", IN_PLACE)
def test_defects_of_in_place_primitives_are_caught(name: str) -> None:
    """Writing in place is judged against the program that builds the same array without writing."""
    function, arguments, program = IN_PLACE[name]
    case = point(program)  # short binary fractions: a gradient through float32 is exact
    case = Case(program, arguments, (True, True), case.cotangents)
    certificate, bound = certify(case), enclose_backend(case, "reference")
    assert [v.kind for v in judge(case, _run(function, case), certificate, bound)] == ["agree", "agree"]
    missed = []
    for defect in defects(name):
        with planted(defect):
            wrong = _run(function, case)
        if wrong.failure is None and judge(case, wrong, certificate, bound)[1].kind != "disagree":
            missed.append(str(defect))
    assert missed == []


def _run(function: Callable[[Any, Any], Any], case: Case) -> Outcome:
    x, value = (tape.Tensor(a.copy()).requires_grad_() for a in case.primals)
    try:
        y = function(x, value)
        y.backward(tape.Tensor(case.cotangents[0]))
    except Exception as error:
        return Outcome(failure=Failure(type(error).__name__, str(error)))
    grads = tuple(None if t.grad is None else t.grad.array.copy() for t in (x, value))
    return Outcome((y.detach().array.astype("float64"),), grads)


def test_every_primitive_with_rules_is_planted() -> None:
    assert set(OUTSIDE) == set(ADJOINTS) | set(IN_PLACE)


# -- shrinking


@pytest.mark.parametrize("op", IN_PROGRAMS)
def test_a_planted_rule_shrinks_to_two_instructions(op: str) -> None:
    defect = next(d for d in defects(op) if d.kind in ("sign", "not zero"))
    backend = PlantedBackend(defect)

    def differs(program: Program) -> bool:
        case = point(program, seed=2)
        plain, wrong = REFERENCE.prepare(case)(), backend.prepare(case)()
        return any(
            a is not None and b is not None and a.size and np.all(np.isfinite(a)) and np.any(np.abs(a - b) > 1e-3)
            for a, b in zip(plain.grads, wrong.grads, strict=False)
        )

    company = {NAMED_BY.get(op, op), "mul", "sum", "exp", "gt", "reshape", "sub", "sin"}
    smallest = find(
        programs(ops=sorted(company), max_instrs=6),
        differs,
        settings=settings(max_examples=600, database=None, deadline=None, derandomize=True),
    )
    assert len(smallest.instrs) <= 2, str(smallest)
    assert math.prod(max((s.shape for s in smallest.inputs), key=math.prod)) <= 4, str(smallest)
    case = point(smallest, seed=2)
    assert examine(case, backend, certificate=certify(case))[1].kind == "disagree"
