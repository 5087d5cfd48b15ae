"""One mode of differentiation in another: forward over reverse, reverse over forward, forward over forward.

Each is held against reverse over reverse, whose truth is the claim "second order". A framework's rules of forward mode may
be right and yet lose a part when they are differentiated again (PyTorch's of `det`, `solve`, `batch_norm`: see
`harness/docs/findings.md`). That is no defect of the code of a user who composes them: such a difference counts if the
function has rules of its own, or if it was asked for; else a note tells of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from harness.cases import Array
from harness.checking.asking import Check
from harness.checking.certified import second_order_case
from harness.checking.claims import Ask
from harness.checking.estimates import drawn_directions, rounding_room, slope_of
from harness.checking.evidence import Found, Sides, as_evidence, identity, unit_of
from harness.checking.report import Claim
from harness.checking.seeing import Seen, uncut
from harness.frontends import Answer
from harness.gradient_points import Point, widened
from harness.judgement import Verdict
from harness.oracles.second_order import certify_hvp

__all__ = ["COMBINED"]

MODES = ("forward over reverse", "reverse over forward", "forward over forward")
_PAIRS = 2  # of directions


def _claim(mode: str) -> Ask:
    def look(check: Check, arrays: Sequence[Array], answer: Answer, cotangents: Sequence[Array | None]) -> Found:
        return _against_reverse(mode, check, arrays, answer, cotangents)

    evidence = as_evidence(mode, look, of_values=False, smooth=_is_smooth)

    def ask(
        check: Check, point: Point, answer: Answer, cotangents: Sequence[Array | None], seen: Seen | None
    ) -> Claim | None:
        asked = check.modes or (check.only is not None and mode in check.only)
        if not asked and (check.modes is False or check.subject.framework != "torch"):
            return None
        if check.surrogate or check.dtype != check.rounding:
            return None
        if seen is not None and uncut(seen.case.program) is not seen.case.program:
            return None  # forward mode knows nothing of no_grad
        claim = evidence(check, point, answer, cotangents, seen)
        if claim is None or claim.verdict != "wrong" or asked:
            return claim
        if check.subject.has_own_rules(widened(point.arrays, check.dtype)):
            return claim
        check.notes.append(
            f"{mode}: {claim.text}: the framework's own rules lose a part there, which counts with modes=True alone"
        )
        return None

    return ask


def _is_smooth(seen: Seen, cotangents: Sequence[Array | None]) -> bool:
    """Whether the second order is certified, and so no convention at a kink."""
    return certify_hvp(second_order_case(seen, cotangents)).certificate.status == "certified"


def _against_reverse(
    mode: str, check: Check, arrays: Sequence[Array], answer: Answer, cotangents: Sequence[Array | None]
) -> Found:
    """Hold <H d, u> of two modes against that of reverse over reverse."""
    sides: list[Sides] = []
    unit = 0.0
    drawn = drawn_directions(check, arrays, 2)
    for turn in range(_PAIRS):
        along, across = (
            [np.asarray(d).astype(check.dtype) for d in drawn[(turn + k) % 2]] for k in (0, 1)
        )  # and exchanged
        with check.patiently():
            truth = check.subject.hvp(arrays, cotangents, along)
            found = check.subject.combined(mode, arrays, cotangents, along, across)
        if found.failure is not None:
            return "not promised", f"raised {found.failure.kind}: {found.failure.message[:120]}"
        if truth.failure is not None or not truth.grads or not (found.values or found.grads):
            return "not promised", ""
        right = slope_of(truth.grads, across)
        left = slope_of(found.grads, across) if found.grads else (float(found.values[0]), right[1])
        if math.isfinite(right[0]) and not math.isfinite(left[0]):
            return Verdict(
                "disagree", mode, "derivative", reason=f"{left[0]} where reverse over reverse has {right[0]:.6g}"
            )
        sides.append((left, right))
        unit = max(unit, unit_of(check, arrays, along, cotangents))
    verdict = identity(mode, sides, unit, rounding_room(check, arrays, answer, cotangents))
    if verdict.worst is None:
        return verdict
    w = verdict.worst
    return replace(verdict, reason=f"<H d, u> is {w.got!r}, by reverse over reverse {w.true!r} +/- {w.bound:.2g}")


COMBINED: dict[str, Ask] = {mode: _claim(mode) for mode in MODES}
