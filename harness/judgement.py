"""The one module that judges: an outcome against a certificate and a bound gives verdicts, and nothing else does.

`judge` compares in a fixed order: did it raise, structure, shape, dtype, then values element by element. Every element
ends as agree, disagree or inconclusive with a reason; a verdict sums that up. A verdict has no truth value, and one that
compared nothing says so.

Two aspects are kept apart. A *derivative* verdict of "disagree" means the rule is wrong: the value lies outside the
bound, and computing in a higher precision does not bring it nearer. An *accuracy* verdict of "disagree" means the rule
is right but digits are lost: the gap shrinks when the precision rises.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from harness.cases import Array, Case, Outcome
from harness.floats import about, carrier, is_of

__all__ = [
    "ADBENCH_TOLERANCE",
    "Element",
    "Kind",
    "Seen",
    "Verdict",
    "adbench_distance",
    "agree_exactly",
    "compare_arrays",
    "farthest",
    "have_a_limit",
    "is_continuous",
    "is_half_right",
    "is_hidden_beside",
    "is_off_both_sides",
    "is_rounding",
    "is_short_of_digits",
    "is_steady",
    "is_symmetric",
    "is_worth_telling",
    "is_wrong_in_one_precision",
    "judge",
    "judge_against_estimates",
    "judge_between",
    "judge_choices",
    "judge_estimates",
    "judge_same",
    "judge_scaling",
    "judge_sharply",
    "judge_twin",
    "judge_zero",
    "lost_by_the_rule",
    "room_for_rounding",
    "same_bits",
    "same_to_rounding",
    "settle",
]

Kind = Literal["agree", "disagree", "inconclusive", "unsupported"]
RESOLUTION = 0.5  # a bound above this share of the largest gradient element cannot tell the gradient from zero
CANCELLED = 2.0**-12  # ... unless it is below this share of the cotangents that went into it


@dataclass(frozen=True)
class Element:
    """One element that disagrees: where it is, what came, what is true and how far off it may be."""

    array: int
    index: tuple[int, ...]
    got: float
    true: float
    bound: float


@dataclass(frozen=True)
class Verdict:
    """What was decided about one claim of one outcome.

    Attributes:
        kind: "agree", "disagree", "inconclusive" or "unsupported".
        claim: what was asked: "value", "vjp", ...
        aspect: "derivative", "accuracy" or "structure".
        reason: why, unless it agrees; for a mixture the most frequent reason of the undecided elements.
        owner: who is wrong in a disagreement: "reference", "harness", "bound" or "framework"; "" otherwise.
        elements: how many elements were compared.
        undecided: how many of them could not be decided.
        ratios: error / bound of every decided element.
        worst: the element of the largest error / bound, if it disagrees.
        reasons: how many elements are undecided for each reason.
    """

    kind: Kind
    claim: str
    aspect: str = "derivative"
    reason: str = ""
    owner: str = ""
    elements: int = 0
    undecided: int = 0
    ratios: tuple[float, ...] = ()
    worst: Element | None = None
    reasons: dict[str, int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        raise TypeError("a verdict has no truth value: compare its kind")

    @property
    def error_over_bound(self) -> float:
        """The largest error / bound; nan if no element was decided."""
        return max(self.ratios, default=math.nan)


def judge(
    case: Case, outcome: Outcome, certificate: Any, bound: Any, *, convention: bool = True
) -> tuple[Verdict, Verdict]:
    """Judge the values and the gradients of one outcome.

    Args:
        case: what was asked.
        outcome: what the backend returned.
        certificate: a `harness.oracles.certificate.Certificate`: the truth.
        bound: a `harness.oracles.bound.Bound`: where this backend's floats may lie.
        convention: the backend follows the conventions at kinks that the certificate was made with; if not, gradients
            at a kink are inconclusive.

    Returns:
        The verdicts on the claims "value" and "vjp".
    """
    if outcome.failure is not None and _may_leave_domain(outcome.failure.kind, certificate, bound):
        n = sum(x.size for x, r in zip(case.primals, case.requires_grad, strict=True) if r)
        return tuple(  # type: ignore[return-value]  # two claims
            Verdict("inconclusive", c, reason="domain", elements=n, undecided=n, reasons={"domain": n})
            for c in ("value", "vjp")
        )
    if outcome.failure is not None:
        text = f"raised {outcome.failure.kind}: {outcome.failure.message}"
        return tuple(Verdict("disagree", c, "structure", text, "framework") for c in ("value", "vjp"))  # type: ignore[return-value]  # two claims
    if certificate.status == "undecided" or (bound is not None and bound.undecided):
        counts = (sum(v.size for v in outcome.values), sum(g.size for g in outcome.grads if g is not None))
        # No precision tells the numbers apart: they are equal, and which of them is chosen nobody promises. Else rounding
        # alone can tip the choice.
        why = "kink" if certificate.status == "undecided" else "tie"
        return tuple(  # type: ignore[return-value]  # two claims
            Verdict("inconclusive", c, reason=why, elements=n, undecided=n, reasons={why: n})
            for c, n in zip(("value", "vjp"), counts, strict=True)
        )
    if bound is not None and bound.others and not bound.undecided:
        # Which of two elements is chosen, rounding or the engine decides; all that follows must belong to one choice.
        ways = (replace(bound, others=()), *bound.others)

        def best(truth: Any) -> tuple[Verdict, Verdict]:
            pairs = [
                _judge_choice(
                    case, outcome, replace(truth, values=b.values, grads=b.grads, others=()), b, convention=convention
                )
                for b in ways
            ]
            return min(pairs, key=lambda p: (sum(v.kind == "disagree" for v in p), sum(v.undecided for v in p)))

        found = best(certificate)
        if convention or found[1].kind != "disagree":
            return found
        # What rounding makes equal is a tie for the engine, which may share the cotangent out where these ways give it to one.
        return best(replace(certificate, status="tie"))
    return _judge_choice(case, outcome, certificate, bound, convention=convention)


def judge_choices(
    case: Case,
    outcome: Outcome,
    certificate: Any,
    verdicts: tuple[Verdict, Verdict],
    find: Callable[[Callable[[Any], int]], tuple[Any, bool] | None],
    *,
    convention: bool = True,
) -> tuple[Verdict, Verdict]:
    """Judge once more where rounding could tip decisions that left elements undecided: by one way to decide them all.

    An outcome that fits one way keeps its word. One that fits none is wrong if all were tried, and else undecided still.

    Args:
        case: what was asked.
        outcome: what the backend returned.
        certificate: the truth.
        verdicts: those that left something undecided.
        find: given a misfit of a bound, the bound that fits best and whether all ways were tried.
        convention: as for `judge`; without it a misfit proves nothing.

    Returns:
        The new verdicts where they decide more, else those given.
    """
    if outcome.failure is not None or certificate.status == "refuted" or not any(_left_to_choice(v) for v in verdicts):
        return verdicts
    status = "tie" if certificate.status == "undecided" else certificate.status

    def judged(bound: Any) -> tuple[Verdict, Verdict]:
        truth = replace(certificate, status=status, values=bound.values, grads=bound.grads, others=())
        return _judge_choice(case, outcome, truth, bound, convention=True)

    def misfit(bound: Any) -> int:
        pair = judged(bound)
        wrong = sum(max(sum(r > 1 for r in v.ratios), 1) for v in pair if v.kind == "disagree")
        return wrong * 1_000_000 + sum(v.undecided for v in pair)

    found = find(misfit)
    if found is None:
        return verdicts
    bound, exhausted = found
    pair = judged(bound)
    if any(v.kind == "disagree" for v in pair):
        return pair if exhausted and convention and not any(v.undecided for v in pair) else verdicts
    return pair if sum(v.undecided for v in pair) < sum(v.undecided for v in verdicts) else verdicts


def _left_to_choice(verdict: Verdict) -> bool:
    return verdict.kind != "disagree" and any(
        verdict.reasons.get(r) for r in ("kink", "tie", "bound too wide", "overflow")
    )


def _judge_choice(
    case: Case, outcome: Outcome, certificate: Any, bound: Any, *, convention: bool
) -> tuple[Verdict, Verdict]:
    doubt = "tie" if certificate.status in ("kink", "tie") else "bound too wide"
    size = max([float(np.abs(x).max()) for x in case.primals if x.dtype.kind == "f" and x.size], default=1.0)
    values = _judge_arrays(
        "value", case, outcome.values, certificate.values, bound.values, None, size, doubt, left_range=bound.left_range
    )
    blanket = None
    if certificate.status == "refuted":
        return values, Verdict(
            "disagree", "vjp", reason=f"the reference's own rules are refuted: {certificate.reason}", owner="reference"
        )
    if certificate.status in ("kink", "tie") and not convention:
        blanket = "kink"
    wanted = [x for x, r in zip(case.primals, case.requires_grad, strict=True) if r]
    grads = [np.zeros(x.shape, x.dtype) if g is None else g for g, x in zip(outcome.grads, wanted, strict=False)]
    if len(outcome.grads) != len(wanted):
        return values, _broken("vjp", f"{len(outcome.grads)} gradients for {len(wanted)} inputs that require grad")
    for i, (g, x) in enumerate(zip(grads, wanted, strict=True)):
        if g.shape != x.shape:
            return values, _broken("vjp", f"gradient {i} has shape {g.shape}, its input {x.shape}")
    size = max([float(np.abs(ct).max()) for ct in case.cotangents if ct is not None and ct.size], default=1.0)
    return values, _judge_arrays(
        "vjp",
        case,
        grads,
        certificate.grads,
        bound.grads,
        blanket,
        size,
        doubt,
        outcome.values,
        left_range=bound.left_range,
    )


def _may_leave_domain(kind: str, certificate: Any, bound: Any) -> bool:
    """Tell whether a factorisation was refused where rounding may make the matrix singular, or where it overflowed.

    The balls then are unbounded: those of the outputs, or of a number on the way that no output shows. Where a choice
    before it cannot be decided, nothing is known of the matrix.
    """
    if "LinAlgError" not in kind:
        return False
    if certificate.status == "undecided" or bound is None or bound.undecided:
        return True
    for way in (bound, *bound.others):
        balls = [v for v in way.values if v is not None and hasattr(v, "is_finite")]
        if way.left_range or any(not v.is_finite().all() for v in balls):
            return True
    return False


def _broken(claim: str, reason: str) -> Verdict:
    return Verdict("disagree", claim, "structure", reason, "framework")


def _judge_arrays(
    claim: str,
    case: Case,
    got: Sequence[Array],
    truth: Sequence[Any],
    bounds: Sequence[Any],
    blanket: str | None,
    size: float,
    doubt: str,
    beside: Sequence[Array] = (),
    *,
    left_range: bool,
) -> Verdict:
    if len(got) != len(truth):
        return _broken(claim, f"{len(got)} arrays where {len(truth)} were expected")
    ratios: list[float] = []
    reasons: dict[str, int] = {}
    elements = 0
    worst: Element | None = None
    for k, (array, true, allowed) in enumerate(zip(got, truth, bounds, strict=True)):
        if true is not None and true.dtype.kind in "biu":  # a decision, or a number that is not differentiated
            if array.shape != true.shape or array.dtype.kind != true.dtype.kind:
                return _broken(claim, f"output {k} is {array.dtype}{array.shape}, expected {true.dtype}{true.shape}")
            elements += array.size
            sure = isinstance(true, np.ndarray) and isinstance(allowed, np.ndarray)
            wrong = np.argwhere(array != true) if isinstance(true, np.ndarray) else np.argwhere(np.ones(true.shape))
            if not sure and len(wrong):  # rounding may tip the comparison
                reasons["tie"] = reasons.get("tie", 0) + len(wrong)
            elif len(wrong):
                at = tuple(int(i) for i in wrong[0])
                worst = worst or Element(k, at, float(array[at]), float(true[at]), 0.0)
                ratios.append(math.inf)
            ratios.extend([0.0] * (array.size - len(wrong)))
            continue
        shape = array.shape if true is None else true.shape
        if array.shape != shape:
            return _broken(claim, f"output {k} has shape {array.shape}, expected {shape}")
        if not is_of(array, case.dtype):
            found = f"dtype {array.dtype}" if array.dtype != carrier(case.dtype) else "a number of a wider dtype"
            return _broken(claim, f"output {k} has {found}, expected {case.dtype}")
        elements += array.size
        if not array.size:
            continue
        if blanket is not None:
            reasons[blanket] = reasons.get(blanket, 0) + array.size
            continue
        errors, limits, why = _errors_and_limits(array, true, allowed, size, doubt)
        if math.inf in errors and (excuse := _excuse(case, got, truth, beside, left_range)):
            why = [w or (excuse if e == math.inf else "") for e, w in zip(errors, why, strict=True)]
        for i, (error, limit) in enumerate(zip(errors, limits, strict=True)):
            if why[i]:
                reasons[why[i]] = reasons.get(why[i], 0) + 1
                continue
            ratio = 0.0 if error == 0 else math.inf if limit == 0 else error / limit
            if ratio > 1 and (worst is None or ratio > max(ratios)):
                at = tuple(int(j) for j in np.unravel_index(i, array.shape))
                center = 0.0 if true is None else float(true.cells[at].mid())
                worst = Element(k, at, float(array[at]), center, limit)
            ratios.append(ratio)
    undecided = sum(reasons.values())
    common = max(reasons, key=lambda r: reasons[r]) if reasons else ""
    if elements == 0:
        return Verdict("inconclusive", claim, reason="nothing to compare", reasons={})
    if worst is not None:
        text = f"element {worst.index} of array {worst.array} is {worst.got!r}, true {worst.true!r}, bound {worst.bound:.3g}"
        return Verdict(
            "disagree", claim, "derivative", text, "framework", elements, undecided, tuple(ratios), worst, reasons
        )
    if not ratios:
        return Verdict("inconclusive", claim, "derivative", common, "", elements, undecided, (), None, reasons)
    return Verdict("agree", claim, "derivative", common, "", elements, undecided, tuple(ratios), None, reasons)


def _excuse(case: Case, got: Sequence[Array], truth: Sequence[Any], beside: Sequence[Array], left_range: bool) -> str:
    """Return why a nan or an infinity where the truth is finite proves nothing about the rule; "" if it does.

    Outside the domain a value is nan, and a gradient that the formula makes of it may be nan or not. Where numbers are
    so large or small that their squares leave the range, some formula may overflow on the way. And where a number on the
    way is infinite, as the derivative of the root at 0, a formula that multiplies it by 0 gives nan.
    """
    if left_range or any(x.dtype.kind == "f" and not np.isfinite(x).all() for x in beside):
        return "not finite"
    return "overflow" if _is_extreme(case, got, truth) else ""


def _is_extreme(case: Case, got: Sequence[Array], truth: Sequence[Any]) -> bool:
    info = about(case.dtype)
    high, low = math.sqrt(info.max), math.sqrt(info.tiny)
    arrays: list[Array] = [x for x in (*case.primals, *got) if x.dtype.kind == "f"]
    arrays += [t.midpoints() for t in truth if t is not None and t.dtype.kind == "f"]
    for a in arrays:
        sizes = np.abs(a[np.isfinite(a) & (a != 0)])
        if sizes.size and (sizes.max() > high or sizes.min() < low):
            return True
    return False


def _errors_and_limits(
    array: Array, true: Any, allowed: Any, size: float, doubt: str
) -> tuple[list[float], list[float], list[str]]:
    """Return for each element its distance from the truth, the largest that the bound allows, and why it is undecided."""
    flat = array.ravel().tolist()
    n = len(flat)
    if true is None:  # no path leads to this input: the gradient is exactly zero
        return [abs(v) for v in flat], [0.0] * n, [""] * n
    errors: list[float] = []
    limits: list[float] = []
    why: list[str] = []
    largest = 0.0
    for v, t, c in zip(flat, true.cells.ravel().tolist(), allowed.cells.ravel().tolist(), strict=True):
        # The backend keeps its word if its value lies in the ball `allowed`, which holds the truth, too.
        limit = _upward(c.rad()) if c.is_finite() else math.inf
        limits.append(limit)
        why.append("" if t.is_finite() and limit < math.inf else "overflow" if t.is_finite() else "not finite")
        errors.append(_upward(abs(c.mid() - v)) if math.isfinite(v) and limit < math.inf else math.inf)
        if why[-1] == "":
            largest = max(largest, abs(float(t.mid())))
    # An element that is zero by structure has radius 0; another formula may leave a rounding error of its neighbours' size.
    floor = max([x for x in limits if x < math.inf], default=0.0)
    # A bound decides nothing if it is as large as the result, unless the result is a cancellation: then what was
    # cancelled is as large as the cotangents (for a value, the primals), and the bound may be measured by them.
    widest = max(RESOLUTION * largest, CANCELLED * size)
    for i in range(n):
        if limits[i] == 0:
            limits[i] = floor
        if not why[i] and limits[i] > widest and errors[i] > 0:
            why[i] = doubt
    return errors, limits, why


def _upward(x: Any) -> float:
    """Return a float that is at least the exact number x >= 0."""
    value = float(x)
    return value if value >= x else math.nextafter(value, math.inf)


def settle(verdict: Verdict, gap: float, twin_gap: float, *, wide: bool) -> Verdict:
    """Decide the aspect and the owner of a disagreement by doing the same case in the other precision.

    A wrong rule is as wrong in float64 as in float32. Rounding shrinks by 2^29 from float32 to float64; half of the
    digits are asked for.

    Args:
        verdict: a disagreement on the aspect "derivative".
        gap: distance from the truth of the worst element, relative to the largest element of its array.
        twin_gap: the same for the twin: the same program at the same point in the other of float64 and float32.
        wide: the verdict is about float64, the twin about float32; else the other way round.

    Returns:
        The verdict with the aspect "accuracy" if the gap is one of rounding.
    """
    if verdict.kind != "disagree" or verdict.aspect != "derivative":
        return verdict
    low, high = (twin_gap, gap) if wide else (gap, twin_gap)
    if high < low * 2.0**-14:
        return replace(verdict, aspect="accuracy", reason=f"digits lost: {verdict.reason}")
    return verdict


def judge_estimates(claim: str, truth: Sequence[Any], estimates: Sequence[Array], errors: Sequence[Array]) -> Verdict:
    """Judge finite differences against the truth: evidence that needs no rule at all.

    Args:
        claim: what was asked.
        truth: balls, None for an exact zero.
        estimates: the estimated gradients.
        errors: their error estimates; where one is as large as the gradient, nothing is decided.

    Returns:
        A verdict whose ratios are gap / error estimate. Its owner is the harness: an estimate is not a backend.
    """
    ratios: list[float] = []
    worst: Element | None = None
    elements = 0
    reasons: dict[str, int] = {}
    for k, (true, estimate, error) in enumerate(zip(truth, estimates, errors, strict=True)):
        middle = np.zeros(estimate.shape) if true is None else true.midpoints()
        scale = float(np.abs(middle[np.isfinite(middle)]).max()) if np.isfinite(middle).any() else 0.0
        for at in np.ndindex(*estimate.shape):
            elements += 1
            gap, room = abs(float(estimate[at]) - float(middle[at])), float(error[at])
            if not (math.isfinite(gap) and math.isfinite(room)):
                reasons["no estimate"] = reasons.get("no estimate", 0) + 1
            elif room > RESOLUTION * scale and gap > 0:
                reasons["estimate too rough"] = reasons.get("estimate too rough", 0) + 1
            else:
                ratio = 0.0 if gap == 0 else math.inf if room == 0 else gap / room
                if ratio > 1 and (worst is None or ratio > max(ratios)):
                    worst = Element(k, at, float(estimate[at]), float(middle[at]), room)
                ratios.append(ratio)
    undecided = sum(reasons.values())
    if worst is not None:
        where = f"element {worst.index} of array {worst.array}"
        text = f"{where}: estimate {worst.got!r} +/- {worst.bound:.3g}, true {worst.true!r}"
        return Verdict(
            "disagree", claim, "derivative", text, "harness", elements, undecided, tuple(ratios), worst, reasons
        )
    common = max(reasons, key=lambda r: reasons[r]) if reasons else "" if elements else "nothing to compare"
    return Verdict(
        "agree" if ratios else "inconclusive",
        claim,
        "derivative",
        common,
        "",
        elements,
        undecided,
        tuple(ratios),
        None,
        reasons,
    )


# -- comparing without a truth: two outcomes that must be the same


def same_bits(a: Array, b: Array) -> bool:
    """Tell whether two arrays have one shape, one dtype and one value everywhere; nan equals nan in the same place."""
    return compare_arrays(a, b) == ""


def compare_arrays(a: NDArray[Any] | None, b: NDArray[Any] | None) -> str:
    """Return how two arrays that must be identical differ, in words; "" if they do not.

    The order is structure, shape, dtype, place of nan, place and sign of infinities, values. -0.0 equals 0.0.
    """
    if (a is None) != (b is None):
        return f"one is None: {a!r} against {b!r}"
    if a is None or b is None:
        return ""
    if a.shape != b.shape:
        return f"shape {a.shape} against {b.shape}"
    if a.dtype != b.dtype:
        return f"dtype {a.dtype} against {b.dtype}"
    if a.dtype.kind == "f":
        for name, test in (("nan", np.isnan), ("infinity", np.isinf)):
            where = np.argwhere(test(a) != test(b))
            if len(where):
                return f"{name} in one only at {tuple(int(i) for i in where[0])}"
        differ = (a != b) & ~(np.isnan(a) & np.isnan(b))
    else:
        differ = a != b
    where = np.argwhere(differ)
    if len(where):
        at = tuple(int(i) for i in where[0])
        return f"value at {at}: {a[at]!r} against {b[at]!r}"
    return ""


ADBENCH_TOLERANCE = 1e-8
"""What the authors of ADBench and GradBench allow between two tools, by `adbench_distance`."""


def adbench_distance(x: Array, y: Array) -> float:
    """The largest ``|x - y| / max(1, |x| + |y|)``, ADBench's comparator; infinity if an element is not finite.

    Raises:
        ValueError: the shapes differ, or there is nothing to compare.

    >>> adbench_distance(np.array([1.0, 2.0]), np.array([1.0, 3.0]))
    0.2
    >>> adbench_distance(np.array([np.nan]), np.array([np.nan]))
    inf
    """
    if x.shape != y.shape or not x.size:
        raise ValueError(f"x has shape {x.shape}, y has shape {y.shape}: they must be the same and not empty")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        return math.inf
    distance: Array = np.abs(np.subtract(x, y)) / np.maximum(1, np.abs(x) + np.abs(y))
    return float(distance.max())


def agree_exactly(a: Outcome, b: Outcome) -> str:
    """Return how two outcomes that must be identical differ, in words; "" if they do not."""
    if a.failure != b.failure:
        return f"failure {a.failure} against {b.failure}"
    for name, left, right in (("output", a.values, b.values), ("gradient", a.grads, b.grads)):
        if len(left) != len(right):
            return f"{len(left)} {name}s against {len(right)}"
        for k, (x, y) in enumerate(zip(left, right, strict=True)):
            text = compare_arrays(x, y)
            if text:
                return f"{name} {k}: {text}"
    return ""


# -- a user's own gradient, where there are other things to hold it against than a ball


def judge_between(
    claim: str, got: Sequence[Array], corners: Sequence[Sequence[Array]], room: Sequence[Array]
) -> Verdict:
    """Judge a gradient at a kink: it must lie between the derivatives on the sides of it.

    Args:
        claim: what was asked.
        got: the gradients.
        corners: the true gradients at points around the kink.
        room: how far off each element may be, for rounding and for the distance of those points.

    Where there are just two sides, the gradient must be one mixture of both, the same in all elements; where there are
    more, every element must lie between the least and the greatest. If all sides agree on the sum of an array's elements,
    the gradient has that sum, too.
    """
    elements = sum(g.size for g in got)
    flat = np.concatenate([np.asarray(g, np.float64).ravel() for g in got])
    rows = np.array([np.concatenate([np.asarray(c, np.float64).ravel() for c in corner]) for corner in corners])
    slack = np.concatenate([np.asarray(r, np.float64).ravel() for r in room])
    if not (np.isfinite(rows).all() and np.isfinite(slack).all()):
        return Verdict("inconclusive", claim, reason="kink", elements=elements, undecided=elements)
    if not np.isfinite(flat).all():
        k = int(np.argmin(np.isfinite(flat)))
        if (rows.max(axis=0) - rows.min(axis=0) > 2 * slack).any():
            return Verdict("inconclusive", claim, reason="not finite at a kink", elements=elements, undecided=elements)
        array, index = _place_of(k, got)
        worst = Element(array, index, float(flat[k]), float(rows[0, k]), float(slack[k]))
        text = f"element {index} of array {array} is {worst.got!r}, the derivative there is {worst.true!r}"
        return Verdict("disagree", claim, reason=text, owner="framework", elements=elements, worst=worst)
    low, high = rows.min(axis=0) - slack, rows.max(axis=0) + slack
    outside = np.maximum(low - flat, flat - high)
    # An element that many kinks reach takes more values around the point than were seen.
    several = ((rows - low > 3 * slack) & (high - rows > 3 * slack)).any(axis=0)
    if several.any() and (outside[several] > 0).any():
        outside = np.where(several, -1.0, outside)
        if outside.max() <= 0:
            return Verdict("inconclusive", claim, reason="many kinks", elements=elements, undecided=elements)
    if elements and outside.max() > 0:
        k = int(outside.argmax())
        array, index = _place_of(k, got)
        text = (
            f"element {index} of array {array} is {float(flat[k])!r}, "
            f"the derivatives on the sides of the kink are {float(low[k])!r} to {float(high[k])!r}"
        )
        middle = float((low[k] + high[k]) / 2)
        worst = Element(array, index, float(flat[k]), middle, float((high[k] - low[k]) / 2))
        return Verdict("disagree", claim, reason=text, owner="framework", elements=elements, worst=worst)
    # A step to both sides crosses every kink at the point. Where all of them leave the sum of an array's gradient alone, as
    # those of a maximum do, which number is the largest is open, and the sum is not.
    start = 0
    for array, g in enumerate(got):
        part = slice(start, start + g.size)
        start += g.size
        sums, span = rows[:, part].sum(axis=1), float(slack[part].sum())
        here, there = float(flat[part].sum()), float(sums.mean())
        if float(sums.max() - sums.min()) <= 2 * span and abs(here - there) > 4 * span:
            k = part.start + int(np.abs(flat[part] - rows[:, part].mean(axis=0)).argmax())
            _, index = _place_of(k, got)
            text = (
                f"the elements of array {array} have the sum {here!r}, the derivatives on all sides of the kink have "
                f"{there!r} +/- {span:.2g}"
            )
            worst = Element(array, index, float(flat[k]), float(flat[k] - here + there), 2 * span)
            return Verdict("disagree", claim, reason=text, owner="framework", elements=elements, worst=worst)
    sides = _distinct(rows, slack)
    if len(sides) == 2:
        first, second = sides
        gap = second - first
        k = int(np.abs(gap).argmax())
        share = (flat[k] - first[k]) / gap[k]
        off = np.abs(flat - (first + share * gap)) - 2 * slack
        if off.max() > 0:
            k = int(off.argmax())
            array, index = _place_of(k, got)
            text = (
                f"element {index} of array {array} is {float(flat[k])!r}: no mixture of the two sides of the kink, "
                f"whose derivatives there are {float(first[k])!r} and {float(second[k])!r}, fits all elements"
            )
            worst = Element(array, index, float(flat[k]), float(first[k] + share * gap[k]), float(2 * slack[k]))
            return Verdict("disagree", claim, reason=text, owner="framework", elements=elements, worst=worst)
    return Verdict("agree", claim, reason="another convention at a kink", elements=elements, ratios=(0.0,) * elements)


def _distinct(rows: NDArray[Any], slack: NDArray[Any]) -> list[NDArray[Any]]:
    kept: list[NDArray[Any]] = []
    for r in rows:
        if all((np.abs(r - s) > 2 * slack).any() for s in kept):
            kept.append(r)
    return kept


def _place_of(k: int, arrays: Sequence[Array]) -> tuple[int, tuple[int, ...]]:
    for i, a in enumerate(arrays):
        if k < a.size:
            return i, tuple(int(j) for j in np.unravel_index(k, a.shape))
        k -= a.size
    raise IndexError(k)


def is_rounding(
    verdict: Verdict, largest: float, dtype: str, gap: float, twin_gap: float | None, *, shown: float = math.inf
) -> bool:
    """Tell whether a gradient outside its bound has the right rule and lost digits.

    Args:
        verdict: a disagreement with its worst element.
        largest: the largest magnitude on the way, forward and backward.
        dtype: the least precise float type on the way.
        gap: distance of the worst element, relative to the largest of its array, in the wider precision.
        twin_gap: the same in float32; None if the function does not run in it.
        shown: the largest magnitude of arguments, cotangents and results.

    Rounding leaves errors of the size of a unit in the last place of the largest number on the way; a rule that is
    wrong by less than ROUNDED such units cannot be told from one. Beyond that, rounding shrinks with the precision.
    """
    if verdict.worst is None or not math.isfinite(verdict.worst.got):
        return False
    unit = UNITS[dtype] * max(largest, float(np.finfo(np.float32).tiny) * (dtype != "float64"))
    if gap <= ROUNDED * UNITS[dtype]:
        return (
            True  # it is nothing beside the largest gradient, as of 1 - 1 / (1 + exp(x)) where exp overflows elsewhere
        )
    if twin_gap is not None and largest > shown * 2.0**20 and twin_gap < min(gap * 2.0**14, 2.0**-6):
        # Huge numbers came and went, as in 1 / (exp(90) - 1), and float32, which has half the digits, is as near.
        return False
    if abs(verdict.worst.got - verdict.worst.true) <= ROUNDED * unit:
        return True
    return twin_gap is not None and math.isfinite(twin_gap) and gap < twin_gap * 2.0**-14


def is_off_both_sides(got: float, slopes: Sequence[float]) -> bool:
    """Tell whether a second derivative is not what differences of the gradient tend to, the same on both sides of a point.

    Args:
        got: the second derivative along a direction.
        slopes: differences of the gradient over a step, two sizes to one side, then two to the other.
    """
    middle, scale = float(np.mean(slopes)), max(map(abs, slopes))
    if not np.isfinite([*slopes]).all() or max(slopes) - min(slopes) > 2.0**-7 * scale:
        return False
    return not abs(got - middle) <= 2.0**-4 * scale


def is_short_of_digits(got: NDArray[Any], true: NDArray[Any]) -> NDArray[np.bool_]:
    """Tell which elements have fewer than 20 bits right, of those whose true value is a normal number."""
    with np.errstate(all="ignore"):
        short: NDArray[np.bool_] = np.abs(got - true) > 2.0**-20 * np.abs(true)
        return np.asarray(short & (np.abs(true) > 2.0**-1000) & np.isfinite(got), bool)


def is_hidden_beside(part: NDArray[Any], whole: NDArray[Any]) -> bool:
    """Tell whether some elements of a part of a sum are so small that half the digits of the part do not show in the sum."""
    with np.errstate(all="ignore"):
        return bool((np.abs(part) < 2.0**-24 * np.abs(whole)).any())


def lost_by_the_rule(got: NDArray[Any], true: NDArray[Any], beside: Sequence[NDArray[Any]]) -> NDArray[np.bool_]:
    """Tell which of the elements that are short of digits are so by the rule that computed them.

    Args:
        got: the gradient.
        true: the true one.
        beside: true gradients at numbers that differ in the last place. Where they differ by a 64th of the error or more,
            no rule that sees rounded numbers could do much better.
    """
    with np.errstate(all="ignore"):
        error = np.abs(got - true)
        spread: NDArray[Any] = np.max(np.abs(np.array(beside) - true), axis=0)
        return np.asarray(is_short_of_digits(got, true) & (spread * 64.0 < error), bool)


def have_a_limit(corners: Sequence[Sequence[Array]], room: Sequence[Array]) -> bool:
    """Tell whether the true gradients at points around a point are one to within the room for each element."""
    for k, slack in enumerate(room):
        rows = np.array([np.asarray(corner[k], np.float64) for corner in corners])
        with np.errstate(all="ignore"):
            if not (rows.max(axis=0) - rows.min(axis=0) <= slack).all():
                return False
    return True


def is_continuous(here: Sequence[Array], beside: Sequence[Array], step: float) -> bool:
    """Tell whether values a step apart differ as those of a function with no jump do: by some thousand steps at most."""
    for a, b in zip(here, beside, strict=True):
        if a.shape != b.shape or a.dtype.kind != "f":
            return False
        x, y = a.astype(np.float64), b.astype(np.float64)
        with np.errstate(all="ignore"):
            if not (np.abs(x - y) <= 2.0**10 * step * (np.abs(x) + 1.0)).all():
                return False
    return True


def farthest(got: Sequence[Array | None], truth: Sequence[Any], bounds: Sequence[Any]) -> list[Element]:
    """Return, for each array, the element outside its bound whose error is the largest, as a plain difference.

    The worst element of a verdict is that with the largest error in units of its bound, mostly a small one. What is
    called rounding has to be rounding in the others, too.
    """
    found: list[Element] = []
    for k, (array, true, allowed) in enumerate(zip(got, truth, bounds, strict=False)):
        if array is None or array.dtype.kind != "f" or true is None or allowed is None or isinstance(true, np.ndarray):
            continue
        center, room = true.midpoints(), true.radii() + allowed.radii()
        with np.errstate(all="ignore"):
            errors = np.abs(array.astype(np.float64) - center)
            errors = np.where(np.isfinite(errors) & (errors > room), errors, 0.0)
        if errors.size and errors.max() > 0:
            at = tuple(int(i) for i in np.unravel_index(int(errors.argmax()), errors.shape))
            found.append(Element(k, at, float(array[at]), float(center[at]), float(room[at])))
    return found


def is_steady(gots: NDArray[Any], trues: NDArray[Any], rooms: NDArray[Any], dtype: str, largest: float) -> bool:
    """Tell whether one gradient is wrong in the same way at several points, which rounding, erratic as it is, never is.

    Either all elements at all points are off by one factor, to within their bounds, and several by more than STEADY bounds;
    or one element is off to one side at all points, by more than any rounding on the way.

    Args:
        gots, trues, rooms: what came, the truth and the bound; one row a point, one column an element.
        dtype: the float type that they were computed in.
        largest: the largest magnitude on the way. An error of few units of it in the last place is rounding.
    """
    unit = UNITS[dtype]
    with np.errstate(all="ignore"):
        errors = gots - trues
        sizes = np.abs(errors)
        usable = np.isfinite(errors) & np.isfinite(rooms) & (np.abs(trues) > STEADY * rooms)
        if len(gots) < STEADY_POINTS or usable.sum() < STEADY_POINTS:
            return False
        wide = rooms + unit * np.abs(trues)  # the factor itself is rounded
        ends = np.stack([(errors - wide) / trues, (errors + wide) / trues])[:, usable]
        low, high = ends.min(axis=0).max(), ends.max(axis=0).min()
        least = low if low > 0 else -high if high < 0 else 0.0
        clear = least > STEADY * unit and (least * np.abs(trues) > STEADY * rooms)[usable].sum() >= STEADY_POINTS
        # Digits that are lost altogether leave a factor, too: 0.
        told = sizes[usable].max() > 4 * unit * largest or max(-low, high) < 1 / STEADY
        if told and low <= high and clear:
            return True
        k = int(np.argmax(np.where(usable.all(axis=0), sizes.min(axis=0), -1.0)))
        one, size = errors[:, k], sizes[:, k]
        aside = bool(np.all(one > 0) or np.all(one < 0))
        far = bool(usable[:, k].all() and np.all(size > np.maximum(ROUNDED * unit * largest, STEADY * rooms[:, k])))
    return aside and far and bool(size.max() <= 4 * size.min())


@dataclass(frozen=True, eq=False)
class Seen:
    """A case, what a backend made of it, and what came of judging that.

    Attributes:
        certificate, bound: what it was judged by; bound is None if nothing is known of the truth.
        verdicts: on the value and on the vjp.
    """

    case: Case
    outcome: Outcome
    certificate: Any
    bound: Any
    verdicts: tuple[Verdict, Verdict]


def is_wrong_in_one_precision(
    verdict: Verdict, dtype: str, beside: Iterable[tuple[Seen, Seen, tuple[Array, ...]]]
) -> bool:
    """Tell whether a gradient that is outside its bound in a narrow dtype, and right in float64, has a wrong rule there.

    Where digits are lost they are lost in float64, too, in proportion: the bounds shrink as the errors do. And they are
    lost erratically. So a rule is wrong in the narrow dtype alone if, at points around, all gradients in float64 lie
    inside their bounds, and those in the narrow dtype are off in one way (`is_steady`) though all values are right. Where
    numbers come near the ends of a range, which float64 has not, nothing is said.

    Args:
        verdict: a disagreement with its worst element.
        dtype: the narrow dtype.
        beside: the case at points around, in the narrow dtype and in float64, each with all numbers on the way forward.
            No more of them are asked for once it is decided.
    """
    if verdict.worst is None:
        return False
    k = verdict.worst.array
    rows: list[tuple[Array, Array, Array]] = []
    largest = 1.0  # a kernel may add and subtract a number of this size
    for low, high, on_the_way in beside:
        if not (_is_plain(low, on_the_way) and _is_plain(high, on_the_way)):
            continue
        kinds = [v.kind for v in (*high.verdicts, low.verdicts[0])]
        if "disagree" in kinds:
            return False
        if kinds != ["agree"] * 3:
            continue
        got, true, room = low.outcome.grads[k], low.certificate.grads[k], low.bound.grads[k]
        if got is None or true is None or room is None:
            return False
        rows.append((got.ravel(), true.midpoints().ravel(), (room.radii() + true.radii()).ravel()))
        for x in (*on_the_way, *(g for g in low.outcome.grads if g is not None)):
            largest = max(largest, float(np.abs(x).max(initial=0.0))) if x.dtype.kind == "f" else largest
    if not rows:
        return False
    gots, trues, rooms = (np.array(side, dtype=np.float64) for side in zip(*rows, strict=True))
    return is_steady(gots, trues, rooms, dtype, largest)


def _is_plain(seen: Seen, on_the_way: Sequence[Array]) -> bool:
    """Whether there is one truth, and every number on the way lies well inside the range of the dtype."""
    if seen.certificate.status == "refuted" or seen.bound is None or seen.outcome.failure is not None:
        return False
    if seen.bound.undecided or seen.bound.left_range or seen.bound.others:
        return False
    return not _is_extreme(seen.case, (*seen.outcome.values, *on_the_way), seen.certificate.grads)


STEADY = 2.0**4
STEADY_POINTS = 6
ROUNDED = 2.0**8
UNITS = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}


def is_half_right(gap: float) -> bool:
    """Tell whether a gradient has half the digits of float64 or more, beside the largest of its array.

    Far from the example that may be another function: softplus as PyTorch has it is x itself from 20 on, and the rule of
    the function that is meant differs there by 1e-9.
    """
    return gap <= HALF_OF_THE_DIGITS


HALF_OF_THE_DIGITS = 2.0**-26


def is_worth_telling(verdict: Verdict) -> bool:
    """Tell whether a gradient of the right rule lost more digits than another formula does that is as good."""
    return verdict.error_over_bound > LOST


LOST = 2.0**6


def judge_scaling(claim: str, one: Outcome, scaled: Outcome, exponent: int, sign: int) -> Verdict:
    """Judge the gradient of a cotangent times sign * 2**exponent: the same digits, shifted."""
    for k, (g, h) in enumerate(zip(one.grads, scaled.grads, strict=True)):
        if g is None or h is None:
            if (g is None) != (h is None):
                return _broken(claim, f"gradient {k} is None for one of two cotangents that are multiples")
            continue
        with np.errstate(all="ignore"):
            text = compare_arrays(np.ldexp(g, exponent) * g.dtype.type(sign), h)
        if text:
            return Verdict(
                "disagree",
                claim,
                reason=f"gradient {k}, cotangent times {sign * 2**exponent}: {text}",
                owner="framework",
            )
    n = sum(g.size for g in one.grads if g is not None)
    return Verdict("agree" if n else "inconclusive", claim, elements=n, ratios=(0.0,) * n)


def judge_zero(claim: str, outcome: Outcome) -> Verdict:
    """Judge the gradient of a cotangent of zeros: zeros, or none."""
    elements = 0
    for k, g in enumerate(outcome.grads):
        if g is None:
            continue
        elements += g.size
        wrong = np.argwhere(~(g == 0))
        if len(wrong):
            at = tuple(int(i) for i in wrong[0])
            text = f"element {at} of array {k} is {float(g[at])!r}, true 0.0"
            return Verdict("disagree", claim, reason=text, owner="framework", elements=elements)
    return Verdict("agree" if elements else "inconclusive", claim, elements=elements, ratios=(0.0,) * elements)


def judge_against_estimates(
    claim: str,
    grads: Sequence[Array | None],
    estimates: Sequence[Array],
    errors: Sequence[Array],
    *,
    sharply: bool = False,
) -> Verdict:
    """Judge gradients by estimates that carry their errors, where nothing is proved.

    An estimate whose error is more than ROUGH of the gradient decides nothing; the others do where the gradient is
    farther off than SURE times the error, and, unless `sharply`, than KERNEL times the largest: values and gradient come
    from kernels of whose accuracy nothing is known.
    """
    floor = 0.0 if sharply else KERNEL
    ratios: list[float] = []
    reasons: dict[str, int] = {}
    worst: Element | None = None
    elements = 0
    for k, (g, estimate, error) in enumerate(zip(grads, estimates, errors, strict=True)):
        got = np.zeros(estimate.shape) if g is None else np.asarray(g, np.float64)
        scale = float(np.abs(estimate[np.isfinite(estimate)]).max(initial=0.0))
        scale = max(scale, float(np.abs(got[np.isfinite(got)]).max(initial=0.0)))
        for at in np.ndindex(*estimate.shape):
            elements += 1
            room = max(float(error[at]), floor * scale / SURE)
            gap = abs(float(got[at]) - float(estimate[at]))
            if not math.isfinite(room) or not math.isfinite(float(estimate[at])):
                reasons["no estimate"] = reasons.get("no estimate", 0) + 1
            elif room > ROUGH * scale and gap > 0:
                reasons["estimate too rough"] = reasons.get("estimate too rough", 0) + 1
            else:
                ratio = (
                    math.inf
                    if not math.isfinite(gap)
                    else 0.0
                    if gap == 0
                    else gap / (SURE * room)
                    if room
                    else math.inf
                )
                if ratio > 1 and (worst is None or ratio > max(ratios)):
                    worst = Element(k, at, float(got[at]), float(estimate[at]), SURE * room)
                ratios.append(ratio)
    undecided = sum(reasons.values())
    common = max(reasons, key=lambda r: reasons[r]) if reasons else "" if elements else "nothing to compare"
    if worst is not None:
        text = f"element {worst.index} of array {worst.array} is {worst.got!r}, estimate {worst.true!r} +/- {worst.bound:.3g}"
        return Verdict(
            "disagree", claim, "derivative", text, "framework", elements, undecided, tuple(ratios), worst, reasons
        )
    kind: Kind = "agree" if ratios else "inconclusive"
    return Verdict(kind, claim, "derivative", common, "", elements, undecided, tuple(ratios), None, reasons)


ROUGH = 2.0**-6
SURE = 8.0
KERNEL = 2.0**-26


def room_for_rounding(magnitude: float, unit: float) -> float:
    """How far off rounding to a unit in the last place may leave a sum of terms of this magnitude: ROUNDED of them."""
    return ROUNDED * unit * magnitude


def same_to_rounding(a: Array, b: Array, largest: float) -> bool:
    """Tell whether two arrays of one shape and dtype differ by what rounding on two ways to them may leave.

    Args:
        a, b: two results of which neither is the truth; what is not finite must be the same in both.
        largest: the largest magnitude on the way.
    """
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if a.dtype.kind != "f":
        return same_bits(a, b)
    sound = np.isfinite(a) & np.isfinite(b)
    if not same_bits(a[~sound], b[~sound]):
        return False
    gap = float(np.abs(np.subtract(a[sound], b[sound])).max(initial=0.0))
    scale = max(largest, float(np.abs(b[sound]).max(initial=0.0)))
    return gap <= room_for_rounding(scale, UNITS[a.dtype.name])


def is_symmetric(x: Array) -> bool:
    """Tell whether an array holds matrices of more than one row that are symmetric to within rounding."""
    if x.ndim < 2 or x.shape[-1] != x.shape[-2] or x.shape[-1] < 2 or x.dtype.name not in UNITS:
        return False
    gap = float(np.abs(np.subtract(x, x.swapaxes(-1, -2))).max(initial=0.0))
    return gap <= room_for_rounding(float(np.abs(x).max(initial=0.0)), UNITS[x.dtype.name])


def judge_same(claim: str, one: Sequence[Array | None], other: Sequence[Array | None]) -> Verdict:
    """Judge gradients that were asked for in two ways, which may have gone through other kernels; None is zeros."""
    both = [(g, h) for g, h in zip(one, other, strict=True) if g is not None or h is not None]
    first: list[Array] = [np.zeros_like(h) if g is None and h is not None else np.asarray(g) for g, h in both]
    return judge_against_estimates(claim, [h for _, h in both], first, [np.zeros(g.shape) for g in first])


def judge_sharply(
    claim: str, got: Array, estimates: Array, errors: Array, magnitudes: Sequence[float], unit: float
) -> Verdict:
    """Judge slopes of a gradient by estimates that are nearly as good as the arithmetic.

    Args:
        claim: what was asked.
        got: one slope <gradient, direction> a direction.
        estimates: the same by other means.
        errors: how far off those may be.
        magnitudes: the sum of the magnitudes of what each slope is a sum of.
        unit: one in the last place of the least precise numbers on the way.

    Returns:
        A disagreement on "derivative" where `judge_against_estimates` disagrees; on "accuracy" where the gradient keeps
        half of the digits, but loses more of the others than is worth telling.
    """
    rooms = np.maximum(errors, [room_for_rounding(m, unit) / SURE for m in magnitudes])
    verdict = judge_against_estimates(claim, [got], [estimates], [rooms])
    if verdict.kind != "agree":
        return verdict
    sharp = judge_against_estimates(claim, [got], [estimates], [rooms], sharply=True)
    if sharp.kind == "disagree" and is_worth_telling(sharp):
        return replace(sharp, aspect="accuracy")
    return verdict


def judge_twin(
    claim: str, narrow: Sequence[Sequence[Array]], wide: Sequence[Sequence[Array]], largest: float, dtype: str
) -> Verdict:
    """Judge numbers of a narrow dtype by those that the same function gives in float64, at several points close together.

    Rounding errs to one side at one point and to the other at the next; what is wrong errs alike at all. So an element
    disagrees if its middle error exceeds SURE times the spread of its errors, and what rounding may leave of the largest
    number on the way.

    Args:
        claim: what was asked.
        narrow: for each point the arrays in the narrow dtype.
        wide: for each point the same arrays in float64.
        largest: the largest magnitude on the way.
        dtype: the narrow dtype.
    """
    ratios: list[float] = []
    reasons: dict[str, int] = {}
    worst: Element | None = None
    elements = 0
    for k, (lows, highs) in enumerate(zip(zip(*narrow, strict=True), zip(*wide, strict=True), strict=True)):
        low, high = (np.array([np.asarray(x, np.float64) for x in side]) for side in (lows, highs))
        with np.errstate(all="ignore"):
            errors = low - high
            middle: Array = np.median(errors, axis=0)
            spread: Array = errors.max(axis=0) - errors.min(axis=0)
        scale = float(np.abs(high[np.isfinite(high)]).max(initial=0.0))
        for at in np.ndindex(*middle.shape):
            elements += 1
            gap = abs(float(middle[at]))
            room = SURE * float(spread[at]) + room_for_rounding(max(largest, scale), UNITS[dtype])
            if not (math.isfinite(gap) and math.isfinite(room)):
                reasons["not finite"] = reasons.get("not finite", 0) + 1
            elif room > RESOLUTION * scale and gap > 0:
                reasons["estimate too rough"] = reasons.get("estimate too rough", 0) + 1
            else:
                ratio = 0.0 if gap == 0 else gap / room
                if ratio > 1 and (worst is None or ratio > max(ratios)):
                    worst = Element(k, at, float(low[(0, *at)]), float(high[(0, *at)]), room)
                ratios.append(ratio)
    undecided = sum(reasons.values())
    common = max(reasons, key=lambda r: reasons[r]) if reasons else "" if elements else "nothing to compare"
    kind: Kind = "disagree" if worst is not None else "agree" if ratios else "inconclusive"
    if worst is not None:
        where = f"element {worst.index} of array {worst.array}"
        common = f"{where} is {worst.got!r} in {dtype}, {worst.true!r} +/- {worst.bound:.2g} in float64"
    owner = "framework" if worst is not None else ""
    return Verdict(kind, claim, "derivative", common, owner, elements, undecided, tuple(ratios), worst, reasons)
