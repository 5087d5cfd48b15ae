"""Judge a function whose forward is not recorded: by estimates, and by what needs no truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from harness.cases import Array
from harness.checking.asking import Check, failure_of
from harness.checking.claims import EXACT, ask_claims
from harness.checking.combined import COMBINED
from harness.checking.estimates import judge_by_quotients
from harness.checking.evidence import PORTFOLIO, WITHOUT_PROOF
from harness.checking.example import find_rounding
from harness.checking.report import Claim
from harness.checking.seeing import Refused, must_answer
from harness.checking.settling import inconclusive
from harness.checking.tally import Tally
from harness.frontends import Answer
from harness.gradient_points import Point, draw, nearby, widened
from harness.judgement import is_symmetric

__all__ = ["portfolio"]

OPAQUE_POINTS = 5
_HINT = "if a surrogate is meant, name it with spec="


def portfolio(check: Check, base: Point, reason: str) -> list[Claim]:
    """Judge by estimates: the forward is not recorded."""
    check.notes.append(f"opaque: {reason}; judged by finite differences, not proved")
    rough, digits = Tally("vjp"), 16.0
    points = [p for p in draw(check.subject, check.rng) if p.ordinary]
    first: tuple[Point, Answer, tuple[Array | None, ...]] | None = None
    for k, point in enumerate(
        [base, *(_as_symmetric(check, p) for p in points[1:])][: OPAQUE_POINTS if check.around else 1]
    ):
        if check.late() or rough.wrong:
            break
        arrays = widened(point.arrays, check.dtype)
        before = check.run(arrays, None)
        try:
            must_answer(check, point, before)
        except Refused:
            check.refused += 1
            continue
        cts = check.cotangents(before.outcome.values, before.live, k)
        answer = check.run(arrays, cts)
        if answer.outcome.failure is not None:
            if point.promised:
                return [Claim("vjp", "wrong", f"backward raised {failure_of(answer)} at {point.label}", proved=False)]
            check.refused += 1
            continue
        if first is None:
            first = (point, answer, cts)
            find_rounding(check, arrays, cts)
        verdict, seen_digits = judge_by_quotients(check, arrays, answer, cts)
        if verdict.kind == "disagree":  # which element?
            found, _ = judge_by_quotients(check, arrays, answer, cts, elementwise=True)
            verdict = found if found.kind == "disagree" else verdict
        if verdict.kind == "disagree":
            confirmed, _ = judge_by_quotients(
                check, nearby(arrays, check.subject.wanted, check.rng, 2.0**-12), None, cts
            )
            if confirmed.kind != "disagree" and k:
                verdict = inconclusive(verdict, "kink")
        if verdict.kind == "disagree":
            rough.wrong.append((f"at {point.label}: {verdict.reason}; {_HINT}", None))
        else:
            rough.add(verdict)
            if verdict.kind == "agree":
                digits = min(digits, seen_digits)
    claim = rough.claim()
    if claim.verdict == "right":
        text = f"{rough.elements:,} numbers at {rough.seen} points agree with finite differences, "
        claim = replace(claim, text=f"{text}which are good to {digits:.0f} digits there", proved=False)
    claims = [replace(claim, proved=False)]
    if first is not None and claim.verdict != "wrong":
        table = {**EXACT, **COMBINED, **PORTFOLIO, **WITHOUT_PROOF}
        del table["finite differences"]  # which the gradient was just judged by
        claims += ask_claims(check, table, *first, None)
    return claims


def _as_symmetric(check: Check, point: Point) -> Point:
    """The point with those matrices symmetric that are so in the example: a function may promise no more."""
    made = tuple(
        np.asarray(np.add(x, x.swapaxes(-1, -2)) * 0.5, dtype=x.dtype)
        if w and is_symmetric(base) and base.shape == x.shape
        else x
        for x, base, w in zip(point.arrays, check.subject.arrays, check.subject.wanted, strict=True)
    )
    return replace(point, arrays=made)
