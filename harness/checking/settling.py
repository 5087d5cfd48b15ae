"""What a disagreement at a point means.

Digits are lost, the convention at a kink is another, the recording does not hold beside the point, or the gradient is
wrong.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from harness.cases import Array
from harness.checking.asking import Check, another, failure_of, largest_of
from harness.checking.report import Witness
from harness.checking.seeing import Refused, Seen, see, value_verdict
from harness.frontends import Untraceable
from harness.gradient_points import nearby, widened
from harness.judgement import (
    STEADY_POINTS,
    Verdict,
    farthest,
    have_a_limit,
    is_continuous,
    is_half_right,
    is_rounding,
    is_steady,
    judge_between,
)

__all__ = [
    "has_own_branch",
    "inconclusive",
    "lost",
    "middle",
    "radius",
    "settled",
    "told",
    "why_unfaithful",
    "witness_of",
]


def settled(check: Check, seen: Seen) -> Verdict:
    """Settle a disagreement: lost digits, another convention at a kink, or wrong."""
    verdict = seen.vjp
    if seen.certificate.status == "refuted":  # a rule of the reference is wrong there: nothing is said of the user's
        return inconclusive(verdict, "no certificate")
    if verdict.kind == "agree":
        return _of_a_branch_alone(check, seen)
    if verdict.kind == "inconclusive" and not {"tie", "kink"} & set(verdict.reasons or {verdict.reason: 1}):
        return verdict
    if seen.answer.stage == "backward":
        return replace(verdict, reason=f"backward raised {failure_of(seen.answer)}")
    if verdict.kind == "disagree":
        if verdict.worst is None:
            return verdict
        alone = has_own_branch(check, seen)
        if alone and (found := _singled_out(check, seen, verdict)).kind != "inconclusive":
            return found
        if lost(check, seen, verdict):
            return found if alone else replace(verdict, aspect="accuracy")
        if _is_as_wrong_beside(check, seen):
            return verdict
        if why_unfaithful(check, seen):
            return _singled_out(check, seen, verdict)
    return _beside(check, seen, verdict)


def lost(check: Check, seen: Seen, verdict: Verdict) -> bool:
    """Whether a value or gradient outside its bound has lost digits rather than a wrong rule."""
    if verdict.worst is None:
        return False
    arrays = widened(seen.point.arrays, check.dtype)
    backward = verdict.claim != "value"
    watched = check.run(arrays, seen.case.cotangents if backward else None, watched=True)
    if not math.isfinite(verdict.worst.got):
        return not seen.point.ordinary
    if not seen.point.ordinary and watched.largest >= watched.filling:
        return True  # what a mask fills in is no longer the smallest there: the function is out of its range
    if not seen.point.ordinary and backward and is_half_right(_gap(verdict.claim, verdict.worst.array, seen)):
        return True
    gots, _, _ = sides = _sides(verdict.claim, seen)
    given = max(largest_of(check.moving(arrays)), largest_of(seen.case.cotangents) if backward else 0.0)
    largest = max(watched.largest, given)
    other = None
    if check.dtype == "float64" and check.rounding == "float64":
        narrow = another(check, dtype="float32", rounding="float32")
        with contextlib.suppress(Untraceable, Refused):
            casts = tuple(None if c is None else c.astype(np.float32) for c in seen.case.cotangents)
            other = see(narrow, replace(seen.point, promised=False), cotangents=casts)
    rounded = all(
        is_rounding(
            replace(verdict, worst=element),
            largest,
            check.rounding,
            _gap(verdict.claim, element.array, seen),
            None if other is None else _gap(verdict.claim, element.array, other),
            shown=max(given, largest_of(gots)),
        )
        for element in [verdict.worst, *farthest(*sides)]
    )
    if check.dtype == check.rounding == "float32" and backward and (rounded or check.beside):
        # No wider type tells an unfortunate formula from a wrong rule; what the error does beside the point may.
        return not _steady(check, seen, verdict.worst.array, largest)
    return rounded


def _steady(check: Check, seen: Seen, k: int, largest: float) -> bool:
    """Whether gradient k is wrong in the same way at points beside this one."""
    rows: list[tuple[Array, Array, Array]] = []
    for turn in range(STEADY_POINTS + 2):
        one = seen
        if turn:
            arrays = nearby(widened(seen.point.arrays, check.dtype), check.subject.wanted, check.rng, 2.0**-5)
            try:
                one = see(check, replace(seen.point, arrays=arrays), cotangents=seen.case.cotangents)
            except (Untraceable, Refused):
                continue
        got = one.answer.outcome.grads[k] if one.answer.outcome.failure is None else None
        true, room = (grads[k] if k < len(grads) else None for grads in (one.certificate.grads, one.bound.grads))
        if got is None or true is None or room is None or one.certificate.status != "certified":
            continue
        rows.append((got.ravel(), true.midpoints().ravel(), (room.radii() + true.radii()).ravel()))
    if not rows:
        return False
    gots, trues, rooms = (np.array(side, dtype=np.float64) for side in zip(*rows, strict=True))
    return is_steady(gots, trues, rooms, check.dtype, largest)


def has_own_branch(check: Check, seen: Seen) -> bool:
    """Whether zeros at the point took the function through a branch that is not its own beside them."""
    return any((x == 0).any() for x in check.moving(seen.point.arrays)) and bool(why_unfaithful(check, seen, far=True))


def why_unfaithful(check: Check, seen: Seen, *, far: bool = False) -> str:
    """Tell why the recorded forward is not the function near the point; "" if it is.

    With `far` only steps count that are far longer than rounding: over a short one a function that is flat hardly moves.
    """
    if check.source is check.subject and seen.value.kind == "disagree" and not lost(check, seen, seen.value):
        return f"the recorded forward does not give its value: {seen.value.reason}"
    given = check.for_source(seen.point.arrays)
    if check.source is not check.subject:
        # The question is whether the recording is the spec, or the other framework's function.
        check = another(check, subject=check.source, surrogate=False, foreign=False)
    tried = []
    # Steps far longer than rounding, and shorter ones for a point beside a kink.
    sizes = (2.0**-12, 2.0**-24, 2.0**-34) if check.rounding == "float64" else (2.0**-4, 2.0**-6, 2.0**-8)
    for size in (sizes[0], sizes[0] / 16) if far else sizes:
        arrays = nearby(widened(given, check.dtype), check.subject.wanted, check.rng, size)
        answer = check.run(arrays, None)
        if answer.outcome.failure is not None:
            continue
        moving = [x for x, w in zip(arrays, check.subject.wanted, strict=True) if w]
        case = replace(seen.case, primals=(*moving, *seen.case.primals[len(moving) :]))
        again = value_verdict(check, case, answer)
        if again.kind != "disagree":
            return ""
        moved = replace(seen, case=case, answer=answer, value=again, point=replace(seen.point, arrays=arrays))
        if lost(check, moved, again):
            return ""
        tried.append(again.reason)
    return f"the recorded forward does not hold beside the point: {tried[0]}" if tried else ""


def _beside(check: Check, seen: Seen, verdict: Verdict) -> Verdict:
    """Hold a gradient at a possible kink against the derivatives around it."""
    arrays = widened(seen.point.arrays, check.dtype)
    size = 2.0**-30 if check.dtype == "float64" else 2.0**-14
    found = _between(check, seen, verdict, arrays, size)
    if isinstance(found, Verdict):
        return found
    if check.dtype == "float64" and _is_blind(*found):
        # So close to the kink, digits cancel in the formula beside it, as in (exp(x) - 1) / x; farther off, they do not.
        size = 2.0**-20
        found = _between(check, seen, verdict, arrays, size)
        if isinstance(found, Verdict):
            return found
    got = [
        np.zeros(x.shape) if g is None else g
        for g, x in zip(seen.answer.outcome.grads, check.moving(arrays), strict=True)
    ]
    corners, slack = found
    judged = judge_between("vjp", got, corners, slack)
    for _ in range(3):
        if judged.kind != "disagree":
            break
        # Two kinks may have been crossed together by every step until now, as if they were one.
        more = _between(check, seen, verdict, arrays, size)
        if isinstance(more, Verdict):
            return more
        corners = [*corners, *more[0]]
        slack = [np.maximum(one, other) for one, other in zip(slack, more[1], strict=True)]
        judged = judge_between("vjp", got, corners, slack)
    return judged


def _is_as_wrong_beside(check: Check, seen: Seen) -> bool:
    """Whether the gradient is wrong a step away, too, that is small for each element, so that this is no kink.

    A step that is small for the largest element may lead a tiny one out of the region where a formula is another one.
    """
    moving = check.moving(widened(seen.point.arrays, check.dtype))
    if any((x == 0).any() for x in moving):  # which no such step moves
        return False
    size = 2.0**-20 if check.dtype == "float64" else 2.0**-10
    arrays = tuple(
        np.asarray(
            x * (1 + size * check.rng.uniform(0.5, 1.0, x.shape) * check.rng.choice([-1.0, 1.0], x.shape)), x.dtype
        )
        if w
        else x
        for x, w in zip(widened(seen.point.arrays, check.dtype), check.subject.wanted, strict=True)
    )
    try:
        other = see(check, replace(seen.point, arrays=arrays), cotangents=seen.case.cotangents)
    except (Untraceable, Refused):
        return False
    wrong = other.value.kind == "agree" and other.vjp.kind == "disagree" and other.vjp.worst is not None
    return wrong and not lost(check, other, other.vjp)


def _of_a_branch_alone(check: Check, seen: Seen) -> Verdict:
    """Hold a gradient that is the derivative of a branch which a zero alone takes against those around it.

    `where(x == 0, 1, expm1(x) / x)` has the slope 1/2 at 0, and its branch there the slope 0.
    """
    verdict = seen.vjp
    if check.surrogate or seen.certificate.status != "certified" or seen.value.kind != "agree":
        return verdict
    if not has_own_branch(check, seen):
        return verdict
    found = _singled_out(check, seen, verdict, smooth=True)
    if found.kind != "disagree":
        return verdict
    return replace(
        found, reason=f"{found.reason}; the forward takes a branch there that is not its own beside the point"
    )


def _singled_out(check: Check, seen: Seen, verdict: Verdict, *, smooth: bool = False) -> Verdict:
    """Hold a gradient at a point with a branch of its own, as of `where(x == 0, 1, sin(x) / x)`, against those around.

    Where the function is smooth there, points around it agree on what the gradient is, at both of two distances. With
    `smooth`, nothing is said where they do not.
    """
    unknown = inconclusive(verdict, "the recorded forward does not hold beside the point")
    if check.dtype != "float64" or check.rounding != "float64" or seen.answer.outcome.failure is not None:
        return unknown
    arrays = widened(seen.point.arrays, check.dtype)
    got = [
        np.zeros(x.shape) if g is None else g
        for g, x in zip(seen.answer.outcome.grads, check.moving(arrays), strict=True)
    ]
    found: list[Verdict] = []
    met: list[list[Array]] = []
    for size in (2.0**-20, 2.0**-16):
        around = _between(check, seen, verdict, arrays, size, alike=True)
        if isinstance(around, Verdict):
            return unknown
        found.append(judge_between("vjp", got, *around))
        met += around[0]
        if smooth and not have_a_limit(met, around[1]):
            return unknown
    kinds = {v.kind for v in found}
    return found[0] if len(kinds) == 1 and kinds != {"inconclusive"} else unknown


def _is_blind(corners: Sequence[Sequence[Array]], slack: Sequence[Array]) -> bool:
    """Whether rounding beside a kink is as large as a part of the derivatives there."""
    largest = max((np.abs(c).max(initial=0.0) for corner in corners for c in corner), default=0.0)
    return bool(max((s.max(initial=0.0) for s in slack), default=0.0) > 2.0**-8 * (largest + 1.0))


def _between(
    check: Check, seen: Seen, verdict: Verdict, arrays: Sequence[Array], size: float, *, alike: bool = False
) -> Verdict | tuple[list[list[Array]], list[Array]]:
    """The derivatives at points around this one, and how far off they may be; or the verdict, if they tell it.

    With `alike` every point around must have an answer whose values are near those here.
    """
    corners: list[list[Array]] = []
    rooms: list[list[Array]] = []
    wanted = check.subject.wanted
    # One array alone, too: an element that meets many of another one is then on the same side of all of them.
    alone = [tuple(i == j for j in range(len(wanted))) for i, w in enumerate(wanted) if w]
    for moving in [wanted] * 4 + (alone if 1 < len(alone) <= 4 else []):
        state = check.rng.bit_generator.state
        for sign in (1.0, -1.0):
            check.rng.bit_generator.state = state  # the same step, to the other side
            moved = replace(seen.point, arrays=nearby(arrays, moving, check.rng, size, sign))
            try:
                other = see(check, moved, cotangents=seen.case.cotangents)
            except (Untraceable, Refused):
                if alike:
                    return inconclusive(verdict, "kink")
                continue
            if alike and (
                other.value.kind != "agree"
                or not is_continuous(seen.answer.outcome.values, other.answer.outcome.values, size)
            ):
                return inconclusive(verdict, "kink")
            if other.certificate.status != "certified" or any(
                g is not None and not g.is_finite().all() for g in other.certificate.grads
            ):
                continue
            if other.vjp.kind == "disagree" and other.vjp.worst is not None and not lost(check, other, other.vjp):
                # It is wrong at points of no special kind, too.
                return verdict if verdict.kind == "disagree" else other.vjp
            corners.append([middle(g, x) for g, x in zip(other.certificate.grads, check.moving(arrays), strict=True)])
            rooms.append([radius(g, x) for g, x in zip(other.bound.grads, check.moving(arrays), strict=True)])
    if len(corners) < 2:
        return verdict if verdict.kind == "inconclusive" else inconclusive(verdict, "kink")
    return corners, [_slack([r[i] for r in rooms], [c[i] for c in corners], size) for i in range(len(corners[0]))]


def told(check: Check, seen: Seen, verdict: Verdict) -> str:
    """Say where a gradient is wrong, with a hint if a surrogate may be meant."""
    text = f"at {seen.point.label}: {check.labelled(verdict)}"
    if all(g is None or not np.any(g.midpoints()) for g in seen.certificate.grads):
        text += (
            "; the true derivative is zero, as the forward is constant around the point: if this is an intended "
            "surrogate such as a straight-through estimator, name what is meant with spec="
        )
    return text


def witness_of(check: Check, seen: Seen, verdict: Verdict) -> Witness | None:
    """The point, element and true interval of the worst element of a disagreement."""
    w = verdict.worst
    if w is None:
        return None
    name = check.asked[w.array] if verdict.claim != "value" else f"output {w.array}"
    room = w.bound
    return Witness(seen.point, seen.case.cotangents, (name, w.index), w.got, (_down(w.true - room), _up(w.true + room)))


def inconclusive(verdict: Verdict, reason: str) -> Verdict:
    """The verdict with none of its elements decided."""
    n = verdict.elements
    return Verdict("inconclusive", verdict.claim, reason=reason, elements=n, undecided=n, reasons={reason: n})


def _sides(claim: str, seen: Seen) -> tuple[Sequence[Array | None], Sequence[Any], Sequence[Any]]:
    """What came, the truth and the bound, of values or of gradients."""
    if claim == "value":
        return seen.answer.outcome.values, seen.certificate.values, seen.bound.values
    return seen.answer.outcome.grads, seen.certificate.grads, seen.bound.grads


def _gap(claim: str, k: int, seen: Seen) -> float:
    """How far array k is from the truth, relative to its largest element."""
    gots, trues, _ = _sides(claim, seen)
    if seen.answer.outcome.failure is not None or k >= len(gots) or k >= len(trues):
        return math.inf
    got, true = gots[k], trues[k]
    center: Any = 0.0 if true is None else true if isinstance(true, np.ndarray) else true.midpoints()
    here = np.zeros(np.shape(center)) if got is None else got.astype(np.float64)
    with np.errstate(all="ignore"):
        error, scale = np.abs(here - center).max(initial=0.0), np.abs(center).max(initial=0.0)
        gap = float(error / scale) if scale > 0 else float(error)
    return gap if math.isfinite(gap) else math.inf


def middle(balls: Any, x: Array) -> Array:
    """The midpoints of balls; zeros of the shape of x where there are none."""
    return np.zeros(x.shape) if balls is None else np.asarray(balls.midpoints())


def radius(balls: Any, x: Array) -> Array:
    """The radii of balls; zeros of the shape of x where there are none."""
    return np.zeros(x.shape) if balls is None else np.asarray(balls.radii())


def _slack(rooms: Sequence[Array], corners: Sequence[Array], size: float) -> Array:
    """Room for rounding, and for what a smooth derivative may change over the step: as much as its own size per unit."""
    room: Array = np.max(rooms, axis=0)
    spread = np.abs(np.array(corners)).max(initial=0.0)
    widest = float(room.max(initial=0.0))
    slack: Array = np.maximum(room, widest) + 2.0**10 * size * (spread + 1.0)
    return slack


def _down(x: float) -> float:
    return math.nextafter(x, -math.inf)


def _up(x: float) -> float:
    return math.nextafter(x, math.inf)
