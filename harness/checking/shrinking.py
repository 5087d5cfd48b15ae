"""Make a point that shows a wrong gradient smaller and rounder, and write the script that shows it."""

from __future__ import annotations

import time

import numpy as np

from harness.cases import Array
from harness.checking.asking import Check, another
from harness.checking.report import Witness
from harness.checking.seeing import Refused, Seen, see
from harness.checking.settling import middle, radius, settled, witness_of
from harness.frontends import Untraceable
from harness.gradient_points import Point, simpler, widened
from harness.judgement import Verdict

__all__ = ["shrunk"]

SHRINK_SECONDS = 1.5


def _alone(verdict: Verdict, k: int, shape: tuple[int, ...]) -> tuple[Array, Array] | None:
    """Where the worst element must lie, if it is one of array k; anything goes for the others."""
    w = verdict.worst
    if w is None or w.array != k:
        return None
    true, room = np.zeros(shape), np.full(shape, np.inf)
    true[w.index], room[w.index] = w.true, w.bound / 2  # scripts allow twice as much
    return true, room


def shrunk(check: Check, witness: Witness) -> tuple[str, Witness]:
    """Look for a smaller, rounder point that shows the same, for a short while; write the script of the best."""
    until = min(check.deadline, time.monotonic() + SHRINK_SECONDS)
    best: tuple[Seen, Verdict] | None = None
    candidates = [Point(witness.point.label, witness.point.arrays, witness.point.promised, witness.point.ordinary)]
    if check.dtype == "float64" and any(x.dtype.name == "float32" for x in witness.point.arrays):
        check = another(check, dtype="float32", rounding="float32", beside=True)
    quiet = another(check)
    while candidates and time.monotonic() < until:
        point = candidates.pop(0)
        for plain in (True, False) if best is None else (True,):
            try:
                cts = None if plain else witness.cotangents
                seen = see(quiet, point, cotangents=cts)
                verdict = settled(quiet, seen)
            except (Untraceable, Refused):
                continue
            if verdict.kind == "disagree" and verdict.aspect != "accuracy" and verdict.worst is not None:
                best = (seen, verdict)
                candidates = [
                    Point(f"{witness.point.label}, made smaller", a, False, point.ordinary)
                    for a in simpler(point.arrays, check.subject.wanted, check.subject.arguments)
                ]
                break
    if best is None:
        return "", witness
    seen, verdict = best
    found = witness_of(check, seen, verdict)
    assert found is not None
    truth: list[tuple[Array, Array] | None] = []
    for true, room, x in zip(
        seen.certificate.grads, seen.bound.grads, check.moving(widened(seen.point.arrays, check.dtype)), strict=True
    ):
        pair = middle(true, x), radius(room, x)
        truth.append(pair if np.isfinite(pair).all() else None)
    if "kink" in verdict.reason:  # of the worst element alone it is known where it must lie
        truth = [_alone(verdict, k, x.shape) for k, x in enumerate(check.moving(seen.point.arrays))]
    note = f"At {found.point.label}: {check.labelled(verdict)}."
    return check.subject.script(widened(seen.point.arrays, check.dtype), seen.case.cotangents, truth, note), found
