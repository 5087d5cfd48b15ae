"""Examine the example and points around it, and count what they tell."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from harness.checking.asking import Check, another, failure_of
from harness.checking.seeing import Refused, Seen, see
from harness.checking.settling import lost, settled, told, witness_of
from harness.checking.tally import Tally
from harness.frontends import Untraceable
from harness.gradient_points import Point, draw, nearby, widened
from harness.judgement import is_worth_telling

__all__ = ["ask_around", "smooth_point"]


def ask_around(check: Check, first: Seen, value: Tally, vjp: Tally) -> None:
    """Examine the example, in its own dtype, too, and as many points as its size allows."""
    work = sum(x.size for x in first.case.primals) * max(len(first.case.program.instrs), 1)
    most = int(np.clip(60_000 / max(work, 1), 3, 32))
    check.mixes = _is_broadcasting(check, first)
    _count(check, first, value, vjp)
    _in_own_dtype(check, first, value, vjp)
    for k, point in enumerate(draw(check.subject, check.rng, grads=first.answer.outcome.grads)):
        if k == 0 or vjp.wrong:
            continue
        if k >= most or check.late() or not check.around:
            break
        try:
            seen = see(check, point, k)
        except Refused as error:
            check.refused += 1
            if point.promised:
                check.notes.append(f"refused {point.label}: {error}")
            continue
        except Untraceable as error:
            check.notes.append(f"not judged at {point.label}: {error}")
            continue
        _count(check, seen, value, vjp)


def smooth_point(check: Check, first: Seen) -> Seen:
    """The example, or a point beside it if the example is at a kink."""
    if first.certificate.status == "certified" and first.vjp.kind == "agree":
        return first
    moved = nearby(widened(first.point.arrays, check.dtype), check.subject.wanted, check.rng, 0.125)
    try:
        return see(check, Point("beside the example", moved))
    except (Untraceable, Refused):
        return first


def _is_broadcasting(check: Check, first: Seen) -> bool:
    """Whether an output has the shape that the arguments have together, as that of a function of each element has."""
    arrays = check.subject.arrays[: check.subject.arguments]
    shapes = [x.shape for x, w in zip(arrays, check.subject.wanted, strict=False) if w]
    try:
        whole = np.broadcast_shapes(*shapes)
    except ValueError:
        return False
    return any(v.shape == whole for v in first.answer.outcome.values)


def _in_own_dtype(check: Check, first: Seen, value: Tally, vjp: Tally) -> None:
    """Examine the example in float32 if that is what it is in."""
    own = {x.dtype.name for x, w in zip(check.subject.arrays, check.subject.wanted, strict=True) if w}
    if check.dtype != "float64" or "float32" not in own:
        return
    narrow = another(check, dtype="float32", rounding="float32", beside=True)
    point = Point("the example in float32", check.subject.arrays, promised=True)
    if first.vjp.kind == "disagree":  # at a kink, as float64 has told
        moved = nearby(widened(check.subject.arrays, "float32"), check.subject.wanted, check.rng, 0.125)
        point = Point("beside the example in float32", moved)
    try:
        seen = see(narrow, point)
    except (Untraceable, Refused) as error:
        check.notes.append(f"not judged in float32: {error}")
        return
    if seen.vjp.kind == "disagree" and seen.vjp.worst is not None and not lost(narrow, seen, seen.vjp):
        vjp.wrong.append((told(narrow, seen, seen.vjp), witness_of(narrow, seen, seen.vjp)))
        return
    for verdict, tally in ((seen.value, value), (seen.vjp, vjp)):
        if verdict.kind == "disagree" and verdict.worst is not None:
            if is_worth_telling(verdict):
                tally.lost.append(f"in float32 {verdict.reason}")
            verdict = replace(verdict, kind="agree")
        tally.add(verdict)


def _count(check: Check, seen: Seen, value: Tally, vjp: Tally) -> None:
    """Settle what a point tells, and count it."""
    if seen.answer.stage == "backward" and not seen.point.promised:
        # Aloud, and at a point that the user did not give.
        check.notes.append(f"backward raises at {seen.point.label}: {failure_of(seen.answer)}")
        return
    if seen.value.kind == "disagree" and check.source is check.subject:
        if not lost(check, seen, seen.value):
            value.reasons["the recorded forward does not give the value there"] = 1
            value.undecided += 1
            check.notes.append(
                f"{seen.point.label}: the recorded forward does not give the value there: {seen.value.reason}"
            )
            return
        if seen.point.ordinary and is_worth_telling(seen.value):
            value.lost.append(f"{seen.point.label}: {seen.value.reason}")
        value.add(replace(seen.value, kind="agree", ratios=()))
    elif seen.value.kind == "disagree":
        if check.surrogate:
            value.reasons["the value is not that of the spec"] = 1
        elif not lost(check, seen, seen.value):
            value.wrong.append((f"{seen.point.label}: {seen.value.reason}", witness_of(check, seen, seen.value)))
    else:
        value.add(seen.value)
    verdict = settled(check, seen)
    if verdict.kind == "disagree" and verdict.aspect == "accuracy":
        if seen.point.ordinary and is_worth_telling(verdict):
            vjp.lost.append(f"{seen.point.label}: {verdict.reason}")
        elif not seen.point.ordinary and is_worth_telling(verdict):
            check.notes.append(f"digits are lost at {seen.point.label}: {check.labelled(verdict)}")
        vjp.add(replace(verdict, kind="agree", ratios=()))
    elif verdict.kind == "disagree" and seen.point.mixed and not check.mixes:
        # Loud, but no verdict: the shapes of the example do not say that the function broadcasts.
        check.notes.append(f"not right {told(check, seen, verdict)}; nothing says that shapes may be mixed there")
    elif verdict.kind == "disagree":
        vjp.wrong.append((told(check, seen, verdict), witness_of(check, seen, verdict)))
    else:
        if verdict.kind == "inconclusive" and verdict.reason == "not finite at a kink":
            check.notes.append(f"the gradient is not finite at {seen.point.label}, at a kink, where the value is")
        vjp.conventions += verdict.reason == "another convention at a kink"
        vjp.add(verdict)
