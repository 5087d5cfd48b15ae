"""The course of a check: the example, points around it, further claims; or the portfolio for an opaque function."""

from __future__ import annotations

from dataclasses import replace

from harness.checking.around import ask_around, smooth_point
from harness.checking.asking import Check, failure_of
from harness.checking.certified import CERTIFIED
from harness.checking.claims import EXACT, ask_claims
from harness.checking.combined import COMBINED
from harness.checking.curvature import CURVATURE
from harness.checking.digits import DIGITS
from harness.checking.evidence import PORTFOLIO
from harness.checking.example import find_rounding, prepare, whole_example
from harness.checking.portfolio import portfolio
from harness.checking.report import Claim, Report
from harness.checking.seeing import Refused, see
from harness.checking.settling import has_own_branch, why_unfaithful
from harness.checking.shrinking import shrunk
from harness.checking.tally import Tally
from harness.frontends import Untraceable
from harness.gradient_points import Point, nearby, widened
from harness.time_limits import OutOfTime

__all__ = ["decide"]


def decide(check: Check) -> Report:
    """Judge all claims."""
    try:
        claims = _claims(check)
    except OutOfTime as error:
        claims = [Claim("vjp", "inconclusive", str(error))]
    if check.random:
        check.notes.append("random numbers are drawn; every call got the same seed")
    if check.refused:
        check.notes.append(
            f"{check.refused} drawn points were refused by the function (another shape, or no finite value)"
        )
    return Report(check.subject.name, check.subject.framework, tuple(claims), tuple(check.notes), check.script)


def _claims(check: Check) -> list[Claim]:
    stop = prepare(check)
    if stop is not None:
        return stop
    base = Point("the example", widened(check.subject.arrays, check.dtype), promised=True)
    try:
        first = see(check, base)
        find_rounding(check, widened(base.arrays, check.dtype), first.case.cotangents)
        if check.rounding != check.dtype:
            first = see(check, base, cotangents=first.case.cotangents)
    except (Untraceable, Refused) as reason:
        return portfolio(check, base, str(reason))
    if first.certificate.status == "refuted":
        return portfolio(check, base, "no certificate at the example")
    if first.vjp.kind == "disagree" and first.answer.stage == "backward":
        return [Claim("vjp", "wrong", f"backward raised {failure_of(first.answer)} at the example")]
    unfaithful = why_unfaithful(check, first)
    if unfaithful and not _holds_beside(check, base):
        return portfolio(check, base, unfaithful)
    value, vjp = Tally("value"), Tally("vjp")
    ask_around(check, first, value, vjp)
    if not vjp.wrong and not vjp.elements and vjp.reasons and set(vjp.reasons) <= _NO_BOUND:
        # An iteration, say, that contracts in exact numbers: bounds of its roundings grow with every step.
        return portfolio(check, base, f"no bound of the rounding ({', '.join(sorted(vjp.reasons))})")
    claims = [_value_claim(check, value), vjp.claim()]
    if not vjp.wrong and (text := whole_example(check)):
        claims[1] = Claim("vjp", "wrong", text, proved=False)
        return claims
    if vjp.wrong and vjp.wrong[0][1] is not None:
        check.script, small = shrunk(check, vjp.wrong[0][1])
        claims[1] = replace(claims[1], witness=small)
    if vjp.wrong:
        return claims
    if first.vjp.kind == "inconclusive" and vjp.elements:
        check.notes.append(
            f"at the example itself {first.vjp.undecided} of {first.vjp.elements} numbers are undecided: {first.vjp.reason}"
        )
    claims += ask_claims(check, DIGITS, first.point, first.answer, first.case.cotangents, first)
    smooth = smooth_point(check, first)
    if smooth is not first or has_own_branch(check, first):
        claims += ask_claims(check, CURVATURE, first.point, first.answer, first.case.cotangents, first)
    table = {**EXACT, **CERTIFIED, **COMBINED, **PORTFOLIO}
    return claims + ask_claims(check, table, smooth.point, smooth.answer, smooth.case.cotangents, smooth)


_NO_BOUND = frozenset({"overflow", "bound too wide"})


def _holds_beside(check: Check, base: Point) -> bool:
    """Whether the example alone has a branch of its own, as a zero has in `where(x == 0, 1, sin(x) / x)`."""
    if check.source is not check.subject or check.rounding != "float64":
        return False
    arrays = nearby(base.arrays, check.subject.wanted, check.rng, 0.125)
    try:
        beside = see(check, Point("beside the example", arrays))
    except (Untraceable, Refused):
        return False
    return beside.value.kind == "agree" and not why_unfaithful(check, beside)


def _value_claim(check: Check, tally: Tally) -> Claim:
    if check.surrogate and not tally.elements:
        return Claim("value", "not promised", "the value is not that of the spec, which names a surrogate")
    return tally.claim()
