"""Digits that a right rule loses inside its bound: `1 - tanh(x)**2` is 0 at 20, where the derivative is 1.7e-17.

The bound allows it, as it holds what every step of the rule may round. But numbers that differ from these in the last place
have gradients that differ by far less: the digits are lost by the rule, not by the question.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from harness.cases import Array
from harness.checking.asking import Check
from harness.checking.claims import Ask
from harness.checking.report import Claim
from harness.checking.seeing import Seen
from harness.checking.settling import middle
from harness.frontends import Answer
from harness.gradient_points import Point
from harness.judgement import is_short_of_digits, lost_by_the_rule
from harness.oracles.certificate import certify

__all__ = ["DIGITS"]

_TURNS, _ALONE = 3, 6


def _digits(
    check: Check, point: Point, answer: Answer, cotangents: Sequence[Array | None], seen: Seen | None
) -> Claim | None:
    if seen is None or seen.certificate.status != "certified" or seen.vjp.kind != "agree":
        return None
    if check.dtype != "float64" or check.rounding != "float64" or point.label != "the example":
        return None
    moving = [x for x, r in zip(seen.case.primals, seen.case.requires_grad, strict=True) if r]
    grads = zip(answer.outcome.grads, moving, strict=True)
    got = [np.zeros(x.shape) if g is None else np.asarray(g, np.float64) for g, x in grads]
    true = [middle(g, x) for g, x in zip(seen.certificate.grads, moving, strict=True)]
    if not any(is_short_of_digits(g, t).any() for g, t in zip(got, true, strict=True)):
        return Claim("digits", "right", "all elements have half of them at least")
    beside: list[list[Array]] = []
    everything = range(len(seen.case.primals))
    # One array alone, too: what moves together may cancel.
    for moved_ones in [everything] * _TURNS + [[k] for k in everything][:_ALONE]:
        case = replace(
            seen.case,
            primals=tuple(
                _in_the_last_place(x, check.rng) if k in moved_ones else x for k, x in enumerate(seen.case.primals)
            ),
            cotangents=tuple(None if c is None else _in_the_last_place(c, check.rng) for c in seen.case.cotangents),
        )
        moved = certify(case)
        if moved.status != "certified":
            return None
        beside.append([middle(g, x) for g, x in zip(moved.grads, moving, strict=True)])
    for k, label in enumerate(check.asked):
        lost = lost_by_the_rule(got[k], true[k], [b[k] for b in beside])
        if lost.any():
            index = tuple(int(i) for i in np.unravel_index(int(np.argmax(lost)), lost.shape))
            where = f"{label}, element {index}" if index else label
            return Claim(
                "digits",
                "digits lost",
                f"gradient of {where} is {float(got[k][index])!r}, true {float(true[k][index])!r}: within the bound of the "
                f"rule, which loses them",
            )
    return Claim("digits", "right", "what is missing is lost for numbers that differ in the last place, too")


def _in_the_last_place(x: Array, rng: np.random.Generator) -> Array:
    """The numbers, each moved by one unit in the last place at most."""
    if x.dtype.kind != "f":
        return x
    moved: Array = np.nextafter(x, np.where(rng.random(x.shape) < 0.5, -np.inf, np.inf).astype(x.dtype))
    return np.asarray(np.where(x == 0, x, moved), x.dtype)


DIGITS: dict[str, Ask] = {"digits": _digits}
