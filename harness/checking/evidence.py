"""The portfolio: evidence about a gradient that needs the function's own answers alone, each kind a claim of its own.

`PORTFOLIO` names them. Where a certificate proves the gradient, an estimate that differs is off, and says so; where there
is none, it tells that the gradient is wrong, once it has said so beside the point, too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from harness.cases import Array, Outcome
from harness.checking.asking import Check, failure_of, largest_of
from harness.checking.claims import Ask
from harness.checking.estimates import (
    Ray,
    drawn_directions,
    judge_by_quotients,
    located,
    rounding_room,
    slope_of,
    unit_directions,
)
from harness.checking.report import Claim, Word
from harness.checking.seeing import Seen, uncut
from harness.checking.settling import middle
from harness.frontends import Answer
from harness.gradient_points import Point, nearby, widened
from harness.judgement import SURE, UNITS, Verdict, judge, judge_against_estimates, judge_sharply, judge_twin
from harness.oracles.certificate import certify
from harness.oracles.complex_step import on_circle
from harness.oracles.finite_differences import Estimate

__all__ = ["PORTFOLIO", "WITHOUT_PROOF", "Found", "Sides", "as_evidence", "identity", "unit_of"]

FEW = 2  # directions for each kind of evidence
RADII = tuple(2.0**-k for k in (3, 6, 10, 14, 18))  # of circles around a point, in units of its size
NEIGHBOURS = 6  # points of a float64 twin

Found = Verdict | tuple[Word, str]
Look = Callable[[Check, Sequence[Array], Answer, Sequence[Array | None]], Found]


def as_evidence(
    name: str, look: Look, *, of_values: bool, smooth: Callable[[Seen, Sequence[Array | None]], bool] | None = None
) -> Ask:
    """Make a claim of a way to look at a gradient.

    Args:
        name: of the claim.
        look: judges the gradient in an answer, or says why it cannot.
        of_values: it looks at values alone, so that what is cut off by detach stays unseen.
        smooth: tells that what is looked at has a derivative at a point, so that none beside it need be asked.
    """

    def ask(check: Check, point: Point, answer: Answer, cotangents: Sequence[Array | None], seen: Seen | None) -> Claim:
        if of_values and seen is not None and _is_cut(seen):
            return Claim(
                name, "not applicable", "gradients are cut off (detach), which values do not show", None, False
            )
        arrays = widened(point.arrays, check.dtype)
        found = look(check, arrays, answer, cotangents)
        proved = seen is not None and seen.certificate.status == "certified" and seen.vjp.kind == "agree"
        off = isinstance(found, Verdict) and found.kind == "disagree" and not (of_values and proved)
        if off and not (proved and smooth is not None and seen is not None and smooth(seen, cotangents)):
            beside = nearby(arrays, check.subject.wanted, check.rng, 2.0**-12)
            other = check.run(beside, cotangents)
            again = look(check, beside, other, cotangents) if other.outcome.failure is None else found
            if isinstance(again, Verdict) and again.kind != "disagree":
                elements = again.elements
                found = Verdict("inconclusive", name, reason="kink", elements=elements, undecided=elements)
            elif look is _against_forward and seen is not None and _is_cut(seen):
                found = "not applicable", "gradients are cut off (no_grad), which forward mode does not know"
        return _claim(name, found, overruled=of_values and proved)

    return ask


def _is_cut(seen: Seen) -> bool:
    """Whether what the function cuts off changes its gradient; the maximum that a softmax subtracts does not."""
    whole = uncut(seen.case.program)
    if whole is seen.case.program:
        return False
    moving = [x for x, w in zip(seen.case.primals, seen.case.requires_grad, strict=True) if w]
    true = certify(replace(seen.case, program=whole))
    grads = tuple(middle(g, x).astype(x.dtype) for g, x in zip(true.grads, moving, strict=False))
    if true.status != "certified":
        return True
    outcome = Outcome(seen.answer.outcome.values, grads)
    return judge(seen.case, outcome, seen.certificate, seen.bound)[1].kind != "agree"


def _claim(name: str, found: Found, *, overruled: bool = False) -> Claim:
    if not isinstance(found, Verdict):
        return Claim(name, found[0], found[1], proved=False)
    if found.kind == "disagree" and overruled:
        if found.aspect == "accuracy":
            return Claim(name, "right", "as far as the bound lets it be", proved=False, elements=found.elements)
        return Claim(
            name, "inconclusive", f"the gradient is proved, so the estimate is off: {found.reason}", None, False
        )
    if found.kind == "disagree":
        word: Word = "digits lost" if found.aspect == "accuracy" else "wrong"
        return Claim(name, word, found.reason, None, False, found.elements)
    if found.kind == "inconclusive":
        return Claim(name, "inconclusive", found.reason, proved=False)
    text = f"{found.elements - found.undecided} of {found.elements} slopes" if found.undecided else ""
    text = text or f"{found.elements} slopes"
    return Claim(name, "right", f"{text}, {_margin(found)}", proved=False, elements=found.elements)


def _margin(verdict: Verdict) -> str:
    return f"largest error / estimated error {verdict.error_over_bound:.2g}"


def _by_quotients(check: Check, arrays: Sequence[Array], answer: Answer, cotangents: Sequence[Array | None]) -> Found:
    """Hold <gradient, d> against difference quotients of the values along d."""
    verdict, _ = judge_by_quotients(check, arrays, answer, cotangents, directions=FEW)
    return verdict


def _by_complex_step(
    check: Check, arrays: Sequence[Array], answer: Answer, cotangents: Sequence[Array | None]
) -> Found:
    """Hold <gradient, d> against the derivative along d that values at complex numbers give."""
    if check.dtype != "float64" or check.rounding != "float64":
        return "not applicable", f"numbers are rounded to {check.rounding}"
    moving = check.moving(arrays)
    found: Found = "not applicable", "no time is left"
    for directions in (drawn_directions(check, arrays, FEW), unit_directions(moving)):
        estimates: list[Estimate] = []
        unit = UNITS[check.rounding]
        for along in directions:
            ray = Ray(check, arrays, along, [cotangents])
            refusal = _refusal(ray)
            if refusal:
                return "not applicable", f"the function does not take complex numbers: {refusal}"
            estimates.append(_around(ray))
            unit = max(unit, ray.unit())
            if check.late():
                return found
        if not directions:
            break
        slopes = [slope_of(answer.outcome.grads, along) for along in directions]
        values, errors = (np.array(column) for column in zip(*[e[:2] for e in estimates], strict=True))
        errors = np.maximum(errors, rounding_room(check, arrays, answer, cotangents) / SURE)
        got, sizes = np.array([s for s, _ in slopes]), [m for _, m in slopes]
        verdict = judge_sharply("complex step", got, values, errors, sizes, unit)
        if isinstance(found, Verdict):  # the second time, to name the element
            return located(check, verdict, moving) if verdict.kind == "disagree" else found
        if verdict.kind != "disagree" and any(e.note == "not analytic" for e in estimates):
            return "not applicable", "the function is not analytic: its values at complex numbers depend on conjugates"
        if verdict.kind != "disagree":
            return verdict
        found = verdict
    return found


def _around(ray: Ray) -> Estimate:
    """The derivative along a ray from values on a circle around its point."""
    radii = [ray.reach * r for r in RADII]
    return on_circle(lambda z: _complex_total(ray, z)[0], lambda t: ray.totals(t)[0], radii=radii)


def _refusal(ray: Ray) -> str:
    """Why the function gives no value at a complex point; "" if it does."""
    return _complex_total(ray, complex(0.0, ray.reach * RADII[-1]))[1]


def _complex_total(ray: Ray, z: complex) -> tuple[complex, str]:
    """<cotangents, f> at a complex step, with the reason if there is none.

    All floats are made complex, so that they mix; if the function does not take that, those alone that move.
    """
    moved = ray.moved(z, np.complex128)
    every = [x.astype(np.complex128) if x.dtype.kind == "f" else x for x in moved]
    outcome = ray.check.values(every)
    if outcome.failure is not None:
        outcome = ray.check.values(moved)
    if outcome.failure is not None:
        return complex(
            math.nan
        ), f"{outcome.failure.kind}: {outcome.failure.message.strip().partition(chr(10))[0][:120]}"
    if any(c is not None and c.shape != y.shape for c, y in zip(ray.cotangents[0], outcome.values, strict=False)):
        return complex(math.nan), "its results have other shapes then"
    with np.errstate(all="ignore"):
        pairs = zip(ray.cotangents[0], outcome.values, strict=True)
        return sum((complex(np.sum(np.multiply(c, y))) for c, y in pairs if c is not None), 0j), ""


def _against_forward(
    check: Check, arrays: Sequence[Array], answer: Answer, cotangents: Sequence[Array | None]
) -> Found:
    """Hold <J'ct, v> of reverse mode against <ct, J v> of forward mode."""
    sides: list[Sides] = []
    unit = 0.0
    for along in drawn_directions(check, arrays, FEW):
        tangents = [np.asarray(d).astype(check.dtype) for d in along]
        with check.patiently():
            outcome = check.subject.jvp(arrays, tangents)
        if outcome.failure is not None:
            return "not promised", f"raised {outcome.failure.kind}: {outcome.failure.message[:120]}"
        if not outcome.values:
            return "not promised", ""
        sides.append((slope_of(answer.outcome.grads, tangents), slope_of(cotangents, outcome.values)))
        unit = max(unit, unit_of(check, arrays, along, cotangents))
    return identity("forward against reverse", sides, unit, rounding_room(check, arrays, answer, cotangents))


Sides = tuple[tuple[float, float], tuple[float, float]]  # of an identity: a sum and the magnitude of its terms, twice


def unit_of(check: Check, arrays: Sequence[Array], along: Sequence[Array], cotangents: Sequence[Array | None]) -> float:
    """The unit in the last place of the least precise numbers on the way, seen or felt as noise."""
    noise = Ray(check, arrays, along, [cotangents]).unit()
    return max(noise if math.isfinite(noise) else 0.0, UNITS[check.rounding])


def identity(name: str, sides: Sequence[Sides], unit: float, room: float) -> Verdict:
    """Judge two sides of an identity that differ by rounding alone, by `room` for what cancels on the way."""
    left, right = (np.array([side[k][0] for side in sides]) for k in (0, 1))
    verdict = judge_sharply(name, left, right, np.full(len(sides), room / SURE), [a[1] + b[1] for a, b in sides], unit)
    # Two ways to compute the same thing: no telling which of them lost the digits.
    return replace(verdict, kind="agree") if verdict.aspect == "accuracy" else verdict


def _adjoint(check: Check, arrays: Sequence[Array], answer: Answer, cotangents: Sequence[Array | None]) -> Found:
    """Hold <J'u, v> against <u, J v> for several u, with J v by difference quotients."""
    chosen = _further_cotangents(check, cotangents)
    if not chosen:
        return "not applicable", "one output of one element: its cotangents are multiples of one another"
    grads = []
    for cts in chosen:
        pulled = check.run(arrays, cts)
        if pulled.outcome.failure is not None:
            return Verdict("disagree", "adjoint identity", "structure", f"backward raised {failure_of(pulled)}")
        grads.append(pulled.outcome.grads)
    (along,) = drawn_directions(check, arrays, 1)
    ray = Ray(check, arrays, along, chosen)
    slopes = [slope_of(g, along)[0] for g in grads]
    estimates = [ray.slope(k) for k in range(len(chosen))]
    values, errors = (np.array(column) for column in zip(*[e[:2] for e in estimates], strict=True))
    rooms = np.maximum(errors, rounding_room(check, arrays, answer, cotangents) / SURE)
    verdict = judge_against_estimates("adjoint identity", [np.array(slopes)], [values], [rooms])
    if verdict.worst is None:
        return verdict
    w = verdict.worst
    text = f"<J'u, v> is {w.got!r}, <u, J v> is {w.true!r} +/- {w.bound:.2g} for u {_KINDS[w.index[0]]}"
    return replace(verdict, reason=text)


_KINDS = ("that is drawn anew", "with one element", "of the other elements")


def _further_cotangents(check: Check, cotangents: Sequence[Array | None]) -> list[tuple[Array | None, ...]]:
    """Other cotangents: drawn anew; of one element alone; of all elements but that one. None if there is one element."""
    sizes = [0 if c is None else c.size for c in cotangents]
    live = [k for k, n in enumerate(sizes) if n]
    if sum(sizes) < 2:
        return []
    shapes = [np.zeros(0) if c is None else c for c in cotangents]
    anew = check.cotangents(shapes, [c is not None for c in cotangents])
    k = live[int(check.rng.integers(len(live)))]
    alone: list[Array | None] = [None if c is None else np.zeros_like(c) for c in anew]
    rest: list[Array | None] = [None if c is None else np.array(c) for c in anew]
    one, other = alone[k], rest[k]
    assert one is not None and other is not None
    at = int(check.rng.integers(one.size))
    one.flat[at], other.flat[at] = other.flat[at], 0.0
    return [anew, tuple(alone), tuple(rest)]


def _twice(check: Check, arrays: Sequence[Array], answer: Answer, cotangents: Sequence[Array | None]) -> Found:
    """Hold <J'u, v> against <u, J v>, with J v as the derivative of <J'u, v> by u, through the backward itself."""
    (along,) = drawn_directions(check, arrays, 1)
    tangents = [np.asarray(d).astype(check.dtype) for d in along]
    with check.patiently():
        outcome = check.subject.transposed(arrays, cotangents, tangents)
    if outcome.failure is not None:
        return "not promised", f"raised {outcome.failure.kind}: {outcome.failure.message[:120]}"
    if not outcome.values:
        return "not promised", ""
    sides: list[Sides] = []
    for cts in (cotangents, *_further_cotangents(check, cotangents)):
        pulled = answer if cts is cotangents else check.run(arrays, cts)
        if pulled.outcome.failure is not None:
            return Verdict("disagree", "transposed twice", "structure", f"backward raised {failure_of(pulled)}")
        sides.append((slope_of(pulled.outcome.grads, tangents), slope_of(cts, outcome.values)))
    verdict = identity(
        "transposed twice",
        sides,
        unit_of(check, arrays, along, cotangents),
        rounding_room(check, arrays, answer, cotangents),
    )
    if verdict.worst is None:
        return verdict
    w = verdict.worst
    text = (
        f"<J'u, v> is {w.got!r}, <u, J v> through the backward is {w.true!r} +/- {w.bound:.2g}: it is not linear in its "
        f"cotangent, or a second backward misses a part; if no second is meant, say so (once_differentiable in PyTorch)"
    )
    return replace(verdict, reason=text)


def _second_order(check: Check, arrays: Sequence[Array], answer: Answer, cotangents: Sequence[Array | None]) -> Found:
    """Hold <H d, u> against difference quotients of <gradient, u> along d."""
    along, across = drawn_directions(check, arrays, 2)
    with check.patiently():
        outcome = check.subject.hvp(arrays, cotangents, along, squares=False)
    if outcome.failure is not None:
        return "not promised", f"raised {outcome.failure.kind}: {outcome.failure.message[:120]}"
    if not outcome.grads:
        return "not promised", ""

    def gradient(moved: Sequence[Array]) -> Outcome:
        found = check.run(moved, cotangents).outcome
        if found.failure is not None:
            return found
        grads = [np.zeros(x.shape) if g is None else g for g, x in zip(found.grads, check.moving(moved), strict=True)]
        return Outcome(tuple(grads))

    estimate = Ray(check, arrays, along, [across], gradient).slope()
    room = max(estimate.error, rounding_room(check, arrays, answer, cotangents) / SURE)
    got, _ = slope_of(outcome.grads, across)
    verdict = judge_against_estimates(
        "second order", [np.array([got])], [np.array([estimate.value])], [np.array([room])]
    )
    if verdict.worst is None:
        return verdict
    w = verdict.worst
    text = f"<H d, u> is {w.got!r}, the gradient changes by {w.true!r} +/- {w.bound:.2g}; the first order is right"
    return replace(verdict, reason=text)


def _twin(check: Check, point: Point, answer: Answer, cotangents: Sequence[Array | None], seen: Seen | None) -> Claim:
    """Hold the gradient that the function gives in float32 against the one that it gives in float64."""
    name = "float64 twin"
    own = [x.dtype.name for x, w in zip(check.subject.arrays, check.subject.wanted, strict=True) if w]
    if check.dtype != "float64":
        return Claim(name, "not applicable", "the function does not run in float64", None, False)
    if "float32" not in own:
        return Claim(name, "not applicable", f"the example is in {own[0]}", None, False)
    base = tuple(np.asarray(x) for x in widened(check.subject.arrays, "float32"))
    size = 2.0**-10  # many float32 units, so that rounding errs anew, and small for what is smooth
    points = [base] + [nearby(base, check.subject.wanted, check.rng, size) for _ in range(NEIGHBOURS - 1)]
    given = [None if c is None else c.astype(np.float32) for c in cotangents]
    values: tuple[list[Sequence[Array]], list[Sequence[Array]]] = ([], [])
    grads: tuple[list[Sequence[Array]], list[Sequence[Array]]] = ([], [])
    largest = 1.0
    for arrays in points:
        for k, dtype in enumerate(("float32", "float64")):
            moved = widened(arrays, dtype)
            cts = widened([np.zeros(0) if c is None else c for c in given], dtype)
            seeds = [None if c is None else s for c, s in zip(given, cts, strict=True)]
            other = check.run(moved, seeds, watched=True)
            if other.outcome.failure is not None:
                return Claim(name, "inconclusive", f"in {dtype}: {failure_of(other)}", None, False)
            values[k].append([v for v in other.outcome.values if v.dtype.kind == "f"])
            pairs = zip(other.outcome.grads, check.moving(moved), strict=True)
            grads[k].append([np.zeros(x.shape) if g is None else g for g, x in pairs])
            numbers = (*other.outcome.values, *other.outcome.grads, *moved, *seeds)
            largest = max(largest, other.largest, largest_of(numbers))
    shapes = [[[x.shape for x in arrays] for arrays in side] for side in (*values, *grads)]
    if shapes[0] != shapes[1] or shapes[2] != shapes[3]:
        return Claim(name, "inconclusive", "the outputs have other shapes in float32", None, False)
    same = judge_twin(name, *values, largest, "float32")
    if same.kind == "disagree":
        return Claim(
            name, "inconclusive", f"the function itself is another in float32: output {same.reason}", None, False
        )
    verdict = judge_twin(name, *grads, largest, "float32")
    if verdict.worst is not None:
        w = verdict.worst
        where = f"gradient of {check.asked[w.array]}, element {w.index}"
        text = f"{where} is {w.got!r} in float32, {w.true!r} +/- {w.bound:.2g} in float64"
        return Claim(name, "wrong", f"{text}, and alike beside the point", None, False, verdict.elements)
    if verdict.kind == "inconclusive":
        return Claim(name, "inconclusive", verdict.reason, None, False)
    text = f"{verdict.elements - verdict.undecided} numbers at {len(points)} points, {_margin(verdict)}"
    return Claim(name, "right", text, None, False, verdict.elements)


PORTFOLIO: dict[str, Ask] = {
    "finite differences": as_evidence("finite differences", _by_quotients, of_values=True),
    "complex step": as_evidence("complex step", _by_complex_step, of_values=True),
    "forward against reverse": as_evidence("forward against reverse", _against_forward, of_values=False),
    "adjoint identity": as_evidence("adjoint identity", _adjoint, of_values=True),
    "transposed twice": as_evidence("transposed twice", _twice, of_values=False),
    "float64 twin": _twin,
}

WITHOUT_PROOF: dict[str, Ask] = {
    "second order": as_evidence("second order", _second_order, of_values=False),
}
"""What is proved where the forward is recorded."""
