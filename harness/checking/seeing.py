"""Examine one point: record the forward there, certify it, and judge what the framework returned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from harness.cases import Array, Case, Outcome
from harness.checking.asking import Check, cast, failure_of
from harness.frontends import Answer, Traced, Untraceable
from harness.gradient_points import Point, widened
from harness.inference import infer
from harness.judgement import UNITS, Verdict, judge
from harness.oracles.bound import Bound, enclose_backend, enlarged
from harness.oracles.certificate import Certificate, certify
from harness.programs import Instr, Program, Scalar
from harness.time_limits import OutOfTime

__all__ = ["Refused", "Seen", "enclosed", "must_answer", "see", "uncut", "value_verdict"]


@dataclass(frozen=True, eq=False)
class Seen:
    """One point, examined."""

    point: Point
    case: Case
    answer: Answer
    certificate: Certificate
    bound: Bound
    value: Verdict
    vjp: Verdict


class Refused(Exception):
    """The function does not answer at a point that the example does not promise."""


def see(check: Check, point: Point, turn: int = 0, *, cotangents: Sequence[Array | None] | None = None) -> Seen:
    """Examine a point.

    Raises:
        Untraceable: the forward cannot be recorded.
        Refused: the function does not answer there and need not.
        OutOfTime: it does not come back where it must.
    """
    try:
        return _seen(check, point, turn, cotangents)
    except OutOfTime as error:
        if point.promised:
            raise
        raise Refused(str(error)) from error


def _seen(check: Check, point: Point, turn: int, cotangents: Sequence[Array | None] | None) -> Seen:
    arrays = widened(point.arrays, check.dtype)
    if cotangents is None and check.source is not check.subject:
        answer = check.run(arrays, None)
        must_answer(check, point, answer)
        cotangents = check.cotangents(answer.outcome.values, answer.live, turn)
    try:
        traced = check.trace(arrays)
    except Untraceable:
        raise
    except Exception as error:  # the function, or its spec, refuses the point
        raise Refused(f"{type(error).__name__}: {error}") from error
    check.random = check.random or traced.random
    if cotangents is None:
        shapes = [np.zeros(s.shape, check.dtype if s.kind == "float" else s.kind) for s in output_specs(traced.program)]
        cotangents = check.cotangents(shapes, traced.live, turn)
    answer = check.run(arrays, cotangents)
    if answer.stage == "forward":
        raise Refused(failure_of(answer))
    if answer.outcome.failure is None:
        must_answer(check, point, answer)
    return _judged(check, point, arrays, traced, answer, cotangents)


def must_answer(check: Check, point: Point, answer: Answer) -> None:
    """Raise `Refused` if the function raised, or gave no finite number where the example promises none."""
    if answer.outcome.failure is not None:
        raise Refused(failure_of(answer))
    floats = [v for v, flows in zip(answer.outcome.values, answer.live, strict=True) if flows and v.size]
    if not point.promised and floats and not any(np.isfinite(v).any() for v in floats):
        raise Refused("no finite value")


def _judged(
    check: Check,
    point: Point,
    arrays: Sequence[Array],
    traced: Traced,
    answer: Answer,
    cotangents: Sequence[Array | None],
) -> Seen:
    case = _case(check, arrays, traced, answer, cotangents)
    certificate = certify(case)
    bound = Bound((), ()) if certificate.status == "undecided" else enclosed(check, case, traced.dtype)
    value, vjp = judge(case, cast(answer.outcome, check.dtype), certificate, bound)
    return Seen(point, case, answer, certificate, bound, value, vjp)


def enclosed(check: Check, case: Case, least: str = "float64") -> Bound:
    """Where the backend's numbers may lie, with the rounding of the least precise type on the way."""
    rounding = max(check.rounding, least, key=lambda d: UNITS[d])
    measured = rounding if rounding == "float64" else "float32"
    try:
        bound = enclose_backend(case, check.subject.kernels, rounding=measured)
    except KeyError as error:
        raise Untraceable(f"no declared error: {error}") from None
    return bound if rounding == measured else enlarged(bound, UNITS[rounding] / UNITS[measured])


def _case(
    check: Check, arrays: Sequence[Array], traced: Traced, answer: Answer, cotangents: Sequence[Array | None]
) -> Case:
    moving = [np.array(x, order="C") for x, w in zip(arrays, check.subject.wanted, strict=True) if w]
    extra = len(traced.program.inputs) - len(traced.constants) - len(moving)
    if extra:
        raise Untraceable(
            f"the recorded function has {len(moving) + extra} differentiable arrays, the judged one {len(moving)}"
        )
    shapes = [s.shape for s in output_specs(traced.program)]
    if any(c is not None and c.shape != s for c, s in zip(cotangents, shapes, strict=False)):
        raise Refused(f"the shapes of the outputs are {shapes} here")
    got = [v.shape for v in answer.outcome.values] if answer.outcome.failure is None else shapes
    if shapes != got:
        raise Untraceable(f"the recorded function returns shapes {shapes}, the judged one {got}")
    constants = [c.astype(check.dtype) if c.dtype.kind == "f" else c for c in traced.constants]
    return Case(
        traced.program,
        (*moving, *constants),
        (True,) * len(moving) + (False,) * len(constants),
        tuple(None if c is None else c.astype(check.dtype, copy=False) for c in cotangents),
        check.dtype,
    )


def value_verdict(check: Check, case: Case, answer: Answer) -> Verdict:
    """Judge the values of an answer alone."""
    still = replace(case, cotangents=(None,) * len(case.cotangents))
    certificate = certify(still)
    bound = enclosed(check, still)
    wanted = sum(case.requires_grad)
    outcome = Outcome(answer.outcome.values, (None,) * wanted)
    return judge(still, cast(outcome, check.dtype), certificate, bound)[0]


def uncut(program: Program) -> Program:
    """The program with nothing cut off from gradients; the program itself if nothing is."""
    if all(i.op != "detach" for i in program.instrs):
        return program
    one = Scalar(1.0)
    return replace(
        program, instrs=tuple(Instr("mul", (*i.args, one)) if i.op == "detach" else i for i in program.instrs)
    )


def output_specs(program: Program) -> list[Any]:
    specs = infer(program)
    return [specs[i] for i in program.outputs]
