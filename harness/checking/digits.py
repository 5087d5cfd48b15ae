"""Digits that a right rule loses inside its bound: `1 - tanh(x)**2` is 0 at 20, where the derivative is 1.7e-17.

The bound allows it, as it holds what every step of the rule may round. But numbers that differ from these in the last place
have gradients that differ by far less: the digits are lost by the rule, not by the question.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from harness.cases import Array, Case
from harness.checking.asking import Check
from harness.checking.claims import Ask
from harness.checking.report import Claim
from harness.checking.seeing import Seen
from harness.checking.settling import middle
from harness.frontends import Answer
from harness.gradient_points import Point
from harness.judgement import is_short_of_digits, lost_by_the_rule
from harness.oracles.certificate import Certificate, certify

__all__ = ["DIGITS", "what_is_lost"]

_TURNS, _ALONE = 3, 6


def what_is_lost(
    check: Check, case: Case, grads: Sequence[Array | None], truth: Certificate, prove: Callable[[Case], Certificate]
) -> str | None:
    """Say which element its rule has lost the digits of.

    Args:
        case: what was asked.
        grads: what came.
        truth: a certificate of it.
        prove: makes a certificate of a case; it is asked at numbers that differ in the last place.

    Returns:
        The element, what came there and what is true; "" if there is none; None if the neighbours have no certificate.
    """
    moving = [x for x, r in zip(case.primals, case.requires_grad, strict=True) if r]
    got = [np.zeros(x.shape) if g is None else np.asarray(g, np.float64) for g, x in zip(grads, moving, strict=True)]
    true = [middle(g, x) for g, x in zip(truth.grads, moving, strict=True)]
    if not any(is_short_of_digits(g, t).any() for g, t in zip(got, true, strict=True)):
        return ""
    beside: list[list[Array]] = []
    everything = range(len(case.primals))
    # One array alone, too: what moves together may cancel.
    for ones in [everything] * _TURNS + [[k] for k in everything][:_ALONE]:
        primals = tuple(_in_the_last_place(x, check.rng) if k in ones else x for k, x in enumerate(case.primals))
        cotangents = tuple(None if c is None else _in_the_last_place(c, check.rng) for c in case.cotangents)
        moved = prove(replace(case, primals=primals, cotangents=cotangents))
        if moved.status == "certified":
            beside.append([middle(g, x) for g, x in zip(moved.grads, moving, strict=True)])
    if len(beside) < 2:
        return None
    for k, label in enumerate(check.asked):
        lost = lost_by_the_rule(got[k], true[k], [b[k] for b in beside])
        if lost.any():
            index = tuple(int(i) for i in np.unravel_index(int(np.argmax(lost)), lost.shape))
            where = f"{label}, element {index}" if index else label
            return f"{where} is {float(got[k][index])!r}, true {float(true[k][index])!r}"
    return ""


def _in_the_last_place(x: Array, rng: np.random.Generator) -> Array:
    """The numbers, each moved by one unit in the last place."""
    if x.dtype.kind != "f":
        return x
    moved: Array = np.nextafter(x, np.where(rng.random(x.shape) < 0.5, -np.inf, np.inf).astype(x.dtype))
    return np.asarray(np.where(x == 0, x, moved), x.dtype)


def _digits(
    check: Check, point: Point, answer: Answer, cotangents: Sequence[Array | None], seen: Seen | None
) -> Claim | None:
    if seen is None or seen.certificate.status != "certified" or answer.outcome.failure is not None:
        return None
    if check.dtype != "float64" or check.rounding != "float64" or check.surrogate:
        return None
    text = what_is_lost(check, seen.case, answer.outcome.grads, seen.certificate, certify)
    if text is None:
        return None
    if text:
        return Claim("digits", "digits lost", f"gradient of {text}: within the bound of the rule, which loses them")
    return Claim("digits", "right", "half of them at least, but for what the numbers given do not have")


DIGITS: dict[str, Ask] = {"digits": _digits}
