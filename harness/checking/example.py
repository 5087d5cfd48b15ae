"""Prepare the example: is there anything to judge, in which dtype, of which arguments, on which corner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from harness.cases import Array
from harness.checking.asking import Check, failure_of
from harness.checking.estimates import judge_by_quotients
from harness.checking.report import Claim
from harness.gradient_points import halved, widened
from harness.judgement import UNITS, agree_exactly

__all__ = ["find_rounding", "prepare", "whole_example"]

LARGE = 20_000  # elements beyond which a corner of the example is proved


def prepare(check: Check) -> list[Claim] | None:
    """Find the dtype to work in, and whether there is anything to judge."""
    native = check.subject.arrays
    answer = check.run(native, None)
    if answer.outcome.failure is not None:
        return [Claim("vjp", "inconclusive", f"forward raised {failure_of(answer)} at the example")]
    if not answer.outcome.values:
        return [Claim("vjp", "inconclusive", "the function returns no tensor")]
    if not any(answer.live):
        kinds = ", ".join(f"{v.dtype}{list(v.shape)}" for v in answer.outcome.values)
        return [
            Claim(
                "vjp",
                "inconclusive",
                f"no output carries a gradient: {kinds}; the graph is cut (detach, no_grad, integers), or the output "
                f"is marked as not differentiable",
            )
        ]
    floats = [v for v, flows in zip(answer.outcome.values, answer.live, strict=True) if flows]
    if not any(v.size for v in floats):
        return [Claim("vjp", "inconclusive", "the outputs have no elements")]
    if not any(v.dtype.kind == "f" for v in floats):
        return [Claim("vjp", "inconclusive", f"the outputs are {floats[0].dtype}, real numbers are wanted")]
    if not any(np.isfinite(v).any() for v in floats):
        return [Claim("vjp", "inconclusive", "the value at the example is not finite")]
    text = agree_exactly(answer.outcome, check.run(native, None).outcome)
    if text:
        cause = "hidden state, or randomness that no seed of the framework governs"
        return [Claim("vjp", "inconclusive", f"two calls at the example differ ({text}): {cause}")]
    wide = check.run(widened(native), None)
    if wide.outcome.failure is not None or not any(wide.live):
        check.dtype = "float32"
        check.notes.append(f"the function does not run in float64 ({failure_of(wide)}); judged in float32")
    check.rounding = check.dtype
    _leave_out(check)
    _cut_down(check)
    return None


def _cut_down(check: Check) -> None:
    """Take a corner of a large example, if the function takes it; the whole is judged by estimates."""
    whole = check.subject.arrays
    while sum(x.size for x in check.subject.arrays) > LARGE:
        for arrays in halved(check.subject.arrays, check.subject.arguments):
            answer = check.run(widened(arrays, check.dtype), None)
            if answer.outcome.failure is None and any(answer.live):
                alone = check.source is check.subject
                check.subject = replace(check.subject, arrays=arrays)  # type: ignore[type-var]  # a dataclass
                check.source = check.subject if alone else check.source
                check.whole = whole
                break
        else:
            return


def _leave_out(check: Check) -> None:
    """Ask no gradient of arguments that get none, unless the user asked for it."""
    if check.subject.asked:
        return
    arrays = widened(check.subject.arrays, check.dtype)
    answer = check.run(arrays, None)
    answer = check.run(arrays, check.cotangents(answer.outcome.values, answer.live))
    if answer.outcome.failure is not None:
        return
    grads = iter(answer.outcome.grads)
    given = tuple(w and next(grads) is not None for w in check.subject.wanted)
    if given == check.subject.wanted or not any(given):
        return
    names = [n for n, w, g in zip(check.subject.labels, check.subject.wanted, given, strict=True) if w and not g]
    check.notes.append(f"{', '.join(names)}: no gradient is returned (None); let it require grad to have that judged")
    whole = check.source is check.subject
    check.subject = replace(check.subject, wanted=given)  # type: ignore[type-var]  # subjects are dataclasses
    if whole:
        check.source = check.subject
    elif len(check.source.wanted) >= check.subject.arguments:
        kept = given[: check.subject.arguments] + check.source.wanted[check.subject.arguments :]
        check.source = replace(check.source, wanted=kept)  # type: ignore[type-var]  # as above


def whole_example(check: Check) -> str:
    """Judge the whole of an example of which a corner was proved; return what is wrong."""
    if check.whole is None or check.surrogate:
        return ""
    shapes = ", ".join(str(x.shape) for x in check.subject.arrays)
    check.notes.append(
        f"proved for a corner of the example, of shapes {shapes}; the whole agrees with finite differences"
    )
    arrays = widened(check.whole, check.dtype)
    answer = check.run(arrays, None)
    if answer.outcome.failure is not None:
        return ""
    verdict, _ = judge_by_quotients(check, arrays, None, check.cotangents(answer.outcome.values, answer.live))
    if verdict.kind != "disagree":
        return ""
    check.notes.pop()
    return f"at the whole example: {verdict.reason}"


def find_rounding(check: Check, arrays: Sequence[Array], cotangents: Sequence[Array | None]) -> None:
    """Ask once for the least precise float type on the way."""
    answer = check.run(arrays, cotangents, watched=True)
    if answer.outcome.failure is None and UNITS[answer.dtype] > UNITS[check.dtype]:
        check.rounding = answer.dtype
        check.notes.append(f"an argument of {check.dtype} is computed with in {answer.dtype}")
