"""Claims beyond the gradient that are held against a certificate: single outputs, second order, forward mode, batches.

`CERTIFIED` names them. Each is asked of one point, its answer and its certificate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from harness.cases import Array, Case, Outcome
from harness.checking.asking import Check, cast, largest_of
from harness.checking.claims import Ask
from harness.checking.digits import what_is_lost
from harness.checking.report import Claim
from harness.checking.seeing import Refused, Seen, see, uncut
from harness.checking.settling import has_own_branch, lost, settled, witness_of
from harness.frontends import Answer, Untraceable
from harness.gradient_points import Point, nearby, widened
from harness.judgement import is_hidden_beside, is_rounding, is_worth_telling, judge
from harness.oracles.certificate import direction
from harness.oracles.forward_mode import bound_jvp, certify_jvp, judge_jvp
from harness.oracles.second_order import SecondOrder, bound_hvp, certify_hvp, judge_hvp
from harness.programs import Instr

__all__ = ["CERTIFIED", "second_order_case"]


def _outputs_alone(
    check: Check, point: Point, answer: Answer, cotangents: Sequence[Array | None], seen: Seen | None
) -> Claim | None:
    live = [k for k, c in enumerate(cotangents) if c is not None]
    if len(live) < 2 or seen is None:
        return None
    for k in live[:4]:
        alone = tuple(c if j == k else None for j, c in enumerate(cotangents))
        again = see(check, point, cotangents=alone)
        verdict = settled(check, again)
        if verdict.kind == "disagree" and verdict.aspect != "accuracy":
            text = f"cotangent of output {k} alone: {check.labelled(verdict)}"
            return Claim("undefined cotangents", "wrong", text, witness_of(check, again, verdict))
    return Claim("undefined cotangents", "right", f"each of {len(live)} outputs pulled back alone")


def second_order_case(seen: Seen, cotangents: Sequence[Array | None]) -> Case:
    """The program of <cotangents, f> + sum(f * f) / 2, which has a second order even where f is linear."""
    live = [k for k, c in enumerate(cotangents) if c is not None]
    program = seen.case.program
    n = len(program.inputs) + len(program.instrs)
    squares = tuple(Instr("mul", (program.outputs[k], program.outputs[k])) for k in live)
    extended = replace(
        program,
        instrs=program.instrs + squares,
        outputs=program.outputs + tuple(n + j for j in range(len(squares))),
    )
    halves = tuple(np.full_like(np.asarray(cotangents[k]), 0.5) for k in live)
    return replace(seen.case, program=extended, cotangents=(*seen.case.cotangents, *halves))


def _second_order(
    check: Check, point: Point, answer: Answer, cotangents: Sequence[Array | None], seen: Seen | None
) -> Claim | None:
    # A spec speaks of the first order; what a surrogate's own value does to the second is not in it.
    if seen is None or check.surrogate or seen.certificate.status != "certified" or check.dtype != check.rounding:
        return None
    case = second_order_case(seen, cotangents)
    truth = certify_hvp(case)
    if truth.certificate.status != "certified":
        return Claim("second order", "inconclusive", truth.certificate.reason or truth.certificate.status)
    along = [d for d in truth.directions if d is not None]
    arrays = widened(point.arrays, check.dtype)
    with check.patiently():
        outcome = check.subject.hvp(arrays, cotangents, along)
    claim = _second(check, seen, case, cotangents, truth, outcome)
    if claim.verdict == "right" and check.dtype == "float64" and point.label == "the example":
        # The squares bring products of first derivatives, beside which the second may be too small to be seen.
        with check.patiently():
            alone = check.subject.hvp(arrays, cotangents, along, squares=False)
        pairs = zip(alone.grads, outcome.grads, strict=False)
        if any(g is not None and h is not None and is_hidden_beside(g, h) for g, h in pairs):
            truth = certify_hvp(seen.case)
            if truth.certificate.status == "certified":
                hidden = _second(check, seen, seen.case, cotangents, truth, alone)
                return hidden if hidden.verdict in ("wrong", "digits lost") else claim
    return claim


def _second(
    check: Check,
    seen: Seen,
    case: Case,
    cotangents: Sequence[Array | None],
    truth: SecondOrder,
    outcome: Outcome,
) -> Claim:
    """Hold an answer about the second order against its proof."""
    if outcome.failure is not None:
        return Claim("second order", "not promised", f"raised {outcome.failure.kind}: {outcome.failure.message[:120]}")
    if not outcome.grads:
        return Claim("second order", "not promised")
    bound = bound_hvp(case, truth.directions, check.subject.kernels)
    verdict = judge_hvp(case, cast(outcome, check.dtype), truth, bound)
    if verdict.kind == "disagree" and verdict.worst is not None:
        arrays = widened(seen.point.arrays, check.dtype)
        watched = check.run(arrays, cotangents, watched=True)
        largest = max(watched.largest, largest_of(arrays), 1.0) ** 2
        if not is_rounding(verdict, largest, check.rounding, math.inf, None):
            if has_own_branch(check, seen):
                return Claim(
                    "second order", "inconclusive", "the forward takes a branch that is not its own beside zeros"
                )
            text = (
                f"{check.labelled(verdict).replace('gradient', 'second derivative along a direction')}: the first order is "
                f"right; if the second is not meant, say so (once_differentiable in PyTorch)"
            )
            return Claim("second order", "wrong", text, witness_of(check, seen, verdict))
        if is_worth_telling(verdict):
            return Claim("second order", "digits lost", verdict.reason)
        verdict = replace(verdict, kind="agree")
    if verdict.kind == "disagree":
        return Claim("second order", "wrong", verdict.reason)
    if verdict.kind == "inconclusive":
        return Claim("second order", "inconclusive", verdict.reason)
    if check.dtype == check.rounding == "float64" and seen.point.label == "the example":
        lost_one = what_is_lost(check, case, outcome.grads, truth.certificate, lambda c: certify_hvp(c).certificate)
        if lost_one:
            text = f"second derivative along a direction of {lost_one}, within the bound"
            return Claim("second order", "digits lost", text)
    return Claim(
        "second order", "right", f"{verdict.elements} numbers, largest error / bound {verdict.error_over_bound:.2g}"
    )


def _forward_mode(
    check: Check, point: Point, answer: Answer, cotangents: Sequence[Array | None], seen: Seen | None
) -> Claim | None:
    if seen is None or seen.certificate.status != "certified" or check.dtype != check.rounding:
        return None
    arrays = widened(point.arrays, check.dtype)
    along = [np.asarray(direction(x.shape, check.rng)).astype(check.dtype) for x in check.moving(arrays)]
    with check.patiently():
        outcome = check.subject.jvp(arrays, along)
    if outcome.failure is not None:
        return Claim("forward mode", "wrong", f"raised {outcome.failure.kind}: {outcome.failure.message[:200]}")
    if not outcome.values:
        return Claim("forward mode", "not promised")
    fixed: list[Array | None] = [None] * (len(seen.case.primals) - len(along))
    truth = certify_jvp(seen.case, [*along, *fixed])
    if truth.status != "certified":
        return Claim("forward mode", "inconclusive", truth.reason)
    bound = bound_jvp(seen.case, [*along, *fixed], check.subject.kernels, rounding=check.rounding)
    verdict = judge_jvp(seen.case, cast(outcome, check.dtype), truth, bound)
    whole = replace(seen.case, program=uncut(seen.case.program))
    if verdict.kind == "disagree" and whole.program is not seen.case.program:
        # What no_grad cuts off in reverse mode moves in forward mode.
        truth = certify_jvp(whole, [*along, *fixed])
        bound = bound_jvp(whole, [*along, *fixed], check.subject.kernels, rounding=check.rounding)
        other = judge_jvp(whole, cast(outcome, check.dtype), truth, bound)
        verdict = other if other.kind == "agree" else verdict
    if verdict.kind == "disagree":
        watched = check.run(arrays, cotangents, watched=True)
        if verdict.worst is None or not is_rounding(
            verdict, max(watched.largest, largest_of(arrays), 1.0), check.rounding, math.inf, None
        ):
            return Claim("forward mode", "wrong", verdict.reason)
        if is_worth_telling(verdict):
            return Claim("forward mode", "digits lost", verdict.reason)
    if verdict.kind == "inconclusive":
        return Claim("forward mode", "inconclusive", verdict.reason)
    return Claim(
        "forward mode", "right", f"{verdict.elements} numbers, largest error / bound {verdict.error_over_bound:.2g}"
    )


def _batched(
    check: Check, point: Point, answer: Answer, cotangents: Sequence[Array | None], seen: Seen | None
) -> Claim | None:
    if seen is None:
        return None
    arrays = widened(point.arrays, check.dtype)
    moved = nearby(arrays, check.subject.wanted, check.rng, 0.25)
    try:
        beside = see(check, replace(point, arrays=moved), cotangents=cotangents)
    except (Untraceable, Refused):
        return None
    stacks = [np.stack([x, y]) for x, y in zip(arrays, moved, strict=True)]
    cts = [None if c is None else np.stack([c, c]) for c in cotangents]
    with check.patiently():
        outcome = check.subject.batched(stacks, cts)
    if not outcome.values:
        return Claim("batched", "not promised")
    elements = 0
    for k, one in enumerate((seen, beside)):
        part = Outcome(tuple(v[k] for v in outcome.values), tuple(None if g is None else g[k] for g in outcome.grads))
        for verdict in judge(one.case, cast(part, check.dtype), one.certificate, one.bound):
            if verdict.kind == "disagree":
                found = replace(one, answer=replace(one.answer, outcome=part), vjp=verdict)
                own = one.vjp if verdict.claim == "vjp" else one.value
                if own.kind == "disagree" or (verdict.worst is not None and lost(check, found, verdict)):
                    continue
                return Claim("batched", "wrong", f"point {k} of a batch, {verdict.claim}: {verdict.reason}")
            elements += verdict.elements
    return Claim("batched", "right", f"{elements} numbers of 2 points at once")


CERTIFIED: dict[str, Ask] = {
    "undefined cotangents": _outputs_alone,
    "second order": _second_order,
    "forward mode": _forward_mode,
    "batched": _batched,
}
