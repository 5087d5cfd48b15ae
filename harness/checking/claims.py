"""Claims that need no truth, since bits must be equal; with a certificate at hand they may differ within its bound.

`EXACT` names them. Each is asked of one point and its answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from harness.cases import Array, Outcome
from harness.checking.asking import Check, cast, failure_of
from harness.checking.report import Claim
from harness.checking.seeing import Seen, see
from harness.checking.settling import lost, settled, witness_of
from harness.frontends import Answer
from harness.gradient_points import Point, nearby, widened
from harness.judgement import (
    agree_exactly,
    judge,
    judge_against_estimates,
    judge_same,
    judge_scaling,
    judge_zero,
)
from harness.time_limits import OutOfTime

__all__ = ["EXACT", "Ask", "ask_claims"]

Ask = Callable[[Check, Point, Answer, Sequence[Array | None], "Seen | None"], Claim | None]


def _same(check: Check, name: str, answer: Answer, other: Answer, seen: Seen | None, what: str) -> Claim | None:
    """A claim that fails if another answer to the same question is neither the same nor inside the bound."""
    text = agree_exactly(answer.outcome, other.outcome)
    if not text:
        return None
    if other.outcome.failure is not None:
        return Claim(name, "wrong", f"{what}: raised {failure_of(other)}", proved=False)
    if seen is not None:
        value, vjp = judge(seen.case, cast(other.outcome, check.dtype), seen.certificate, seen.bound)
        if value.kind != "disagree" and vjp.kind != "disagree":
            return None
        found = replace(seen, answer=other)
        if vjp.worst is not None and not lost(check, found, vjp):
            return Claim(name, "wrong", f"{what}: {check.labelled(vjp)}", witness_of(check, seen, vjp))
        if vjp.worst is not None or (value.worst is not None and lost(check, found, value)):
            return None
    elif what in _OTHER_KERNELS or name == "needs_input_grad":
        one, two = ((*o.values, *o.grads) for o in (answer.outcome, other.outcome))
        if judge_same(name, one, two).kind != "disagree":
            return None
    return Claim(name, "wrong", f"{what}: {text}", proved=False)


# What a compiler makes of the whole is not what the operators give one by one: digits may differ.
_OTHER_KERNELS = ("op by op",)


def _linearity(
    check: Check, point: Point, answer: Answer, cotangents: Sequence[Array | None], seen: Seen | None
) -> Claim:
    arrays = widened(point.arrays, check.dtype)
    asked = 0
    for exponent, sign in ((2, -1), (12, 1), (-12, 1)):
        scaled = tuple(
            None if c is None else np.asarray(np.ldexp(c, exponent) * c.dtype.type(sign)) for c in cotangents
        )
        other = check.run(arrays, scaled)
        if other.outcome.failure is not None:
            return Claim("linearity", "wrong", f"cotangent times {sign * 2.0**exponent:g}: raised {failure_of(other)}")
        verdict = judge_scaling("linearity", answer.outcome, other.outcome, exponent, sign)
        if verdict.kind == "disagree":
            if seen is not None:
                again = see(check, point, cotangents=scaled)
                if settled(check, again).kind != "disagree" or settled(check, again).aspect == "accuracy":
                    asked += again.vjp.elements
                    continue
            elif not _far(check, answer.outcome, other.outcome, exponent, sign):
                asked += verdict.elements
                continue
            return Claim("linearity", "wrong", verdict.reason, proved=seen is not None)
        asked += verdict.elements
    return Claim("linearity", "right", f"in the cotangent, at {asked:,} numbers", elements=asked)


def _far(check: Check, one: Outcome, scaled: Outcome, exponent: int, sign: int) -> bool:
    """Whether a scaled cotangent gives a gradient that is off by more than half of the digits."""
    for g, h in zip(one.grads, scaled.grads, strict=True):
        if g is not None and h is not None:
            errors = 2.0**-20 * np.abs(np.ldexp(g, exponent)).max(initial=0.0) + np.zeros(g.shape)
            if judge_against_estimates("linearity", [h], [np.ldexp(g, exponent) * sign], [errors]).kind == "disagree":
                return True
    return False


def _zero(
    check: Check, point: Point, answer: Answer, cotangents: Sequence[Array | None], seen: Seen | None
) -> Claim | None:
    arrays = widened(point.arrays, check.dtype)
    zeros = tuple(None if c is None else np.zeros_like(c) for c in cotangents)
    other = check.run(arrays, zeros)
    if other.outcome.failure is not None:
        return Claim("zero cotangent", "wrong", f"raised {failure_of(other)}")
    if any(g is not None and not np.isfinite(g).all() for g in answer.outcome.grads):
        return Claim("zero cotangent", "inconclusive", "the gradient is not finite at the example")
    verdict = judge_zero("zero cotangent", other.outcome)
    if verdict.kind == "disagree":
        return Claim("zero cotangent", "wrong", verdict.reason)
    return Claim("zero cotangent", "right", f"{verdict.elements} zeros", elements=verdict.elements)


def _histories(
    check: Check, point: Point, answer: Answer, cotangents: Sequence[Array | None], seen: Seen | None
) -> Claim | None:
    arrays = widened(point.arrays, check.dtype)
    other = nearby(arrays, check.subject.wanted, check.rng, 0.25)
    with check.patiently():
        answers = check.subject.histories((arrays, other), cotangents)
    for what, again in answers.items():
        claim = _same(check, "repeatability", answer, again, seen, what)
        if claim is not None:
            return claim
    return Claim("repeatability", "right", ", ".join(answers)) if answers else None


def _unwritten(
    check: Check, point: Point, answer: Answer, cotangents: Sequence[Array | None], seen: Seen | None
) -> Claim:
    asked = {n for n, w in zip(check.subject.labels, check.subject.wanted, strict=True) if w}
    wrong = [n for n in answer.mutated if n in asked or n.startswith("cotangent")]
    kept = [n for n in answer.mutated if n not in wrong]
    if wrong:
        return Claim("arguments unwritten", "wrong", f"{', '.join(wrong)} changed during the call")
    return Claim(
        "arguments unwritten", "right", f"but for {', '.join(kept)}, of which no gradient is asked" if kept else ""
    )


def _shapes(check: Check, point: Point, answer: Answer, cotangents: Sequence[Array | None], seen: Seen | None) -> Claim:
    native = check.subject.arrays
    own = check.run(native, None)
    cts = check.cotangents(own.outcome.values, own.live)
    got = check.run(native, cts)
    if got.outcome.failure is not None:
        return Claim("shape and dtype", "wrong", f"backward raised {failure_of(got)}")
    if got.complaints:
        return Claim("shape and dtype", "wrong", got.complaints[0])
    moving = check.moving(native)
    for g, x, label in zip(
        got.outcome.grads,
        moving,
        check.asked,
        strict=True,
    ):
        if g is not None and (g.shape != x.shape or g.dtype != x.dtype):
            return Claim(
                "shape and dtype", "wrong", f"gradient of {label} is {g.dtype}{g.shape}, it is {x.dtype}{x.shape}"
            )
    return Claim("shape and dtype", "right", f"{len(moving)} gradients")


def _needs(
    check: Check, point: Point, answer: Answer, cotangents: Sequence[Array | None], seen: Seen | None
) -> Claim | None:
    """Ask for the gradient of each array alone, and of all but it."""
    wanted = check.subject.wanted
    moving = [i for i, w in enumerate(wanted) if w]
    if len(moving) < 2:
        return None
    arrays = widened(point.arrays, check.dtype)
    asked = 0
    for i in moving[:4]:
        for chosen in ([i], [j for j in moving if j != i]):
            flags = tuple(j in chosen for j in range(len(wanted)))
            other = check.run(arrays, cotangents, wanted=flags)
            label = " and ".join(check.subject.labels[j] for j in chosen)
            if other.outcome.failure is not None:
                return Claim(
                    "needs_input_grad", "wrong", f"with {label} alone: {other.stage} raised {failure_of(other)}"
                )
            expected = replace(
                answer.outcome, grads=tuple(g for g, j in zip(answer.outcome.grads, moving, strict=True) if j in chosen)
            )
            given = iter(other.outcome.grads)
            merged = tuple(next(given) if j in chosen else g for g, j in zip(answer.outcome.grads, moving, strict=True))
            text = agree_exactly(expected, replace(other.outcome, values=expected.values))
            if text:
                whole = replace(other, outcome=replace(answer.outcome, grads=merged))
                claim = _same(check, "needs_input_grad", answer, whole, seen, f"with {label} alone")
                if claim is not None:
                    return claim
            asked += 1
    return Claim("needs_input_grad", "right", f"{asked} choices of what requires grad")


EXACT: dict[str, Ask] = {
    "shape and dtype": _shapes,
    "linearity": _linearity,
    "zero cotangent": _zero,
    "repeatability": _histories,
    "arguments unwritten": _unwritten,
    "needs_input_grad": _needs,
}


def ask_claims(
    check: Check,
    table: Mapping[str, Ask],
    point: Point,
    answer: Answer,
    cotangents: Sequence[Array | None],
    seen: Seen | None,
) -> list[Claim]:
    """Ask the claims of a table, as far as they are wanted, until the time is up."""
    claims = []
    for name, ask in table.items():
        if check.only is not None and name not in check.only:
            continue
        if check.late():
            check.notes.append(f"out of time before the claim {name}")
            break
        try:
            claims.append(ask(check, point, answer, cotangents, seen))
        except OutOfTime as error:  # what was asked before stays
            claims.append(Claim(name, "inconclusive", str(error)))
    return [c for c in claims if c is not None]
