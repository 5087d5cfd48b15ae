"""Is a user's own gradient right? `check_gradients(fn, *args)` proves what it should be and judges what came.

The forward of the function is recorded as a program, whatever its backward says; the program's derivative is certified
like that of a drawn program, and what the framework's backward returns, the user's code included, is held against it
with the bound of the framework's kernels. A function that cannot be recorded is judged by estimates instead.

    report = check_gradients(Tanh.apply, torch.linspace(-2, 2, 5))

raises `WrongGradient` if a claim is wrong and `Undecided` if nothing could be said about the gradient; otherwise it
returns the `Report`. `harness/docs/check_gradients.md` tells how hard cases are told apart.
"""

from __future__ import annotations

import contextlib
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import FrameType
from typing import Any, Literal

import numpy as np

from harness import frontends
from harness.cases import Array, Case, Outcome
from harness.frontends import Answer, Subject, Traced, Untraceable
from harness.gradient_points import Point, draw, halved, nearby, simpler, widened
from harness.inference import infer
from harness.judgement import (
    UNITS,
    Verdict,
    agree_exactly,
    is_rounding,
    is_worth_telling,
    judge,
    judge_against_estimates,
    judge_between,
    judge_scaling,
    judge_zero,
)
from harness.oracles.bound import Bound, enclose_backend, enlarged
from harness.oracles.certificate import Certificate, certify, direction
from harness.oracles.finite_differences import derivative
from harness.oracles.forward_mode import bound_jvp, certify_jvp, judge_jvp
from harness.oracles.second_order import bound_hvp, certify_hvp, judge_hvp
from harness.programs import Instr, Program

__all__ = ["CheckFailed", "Claim", "Report", "Undecided", "Witness", "WrongGradient", "check_gradients"]

Word = Literal["right", "wrong", "digits lost", "inconclusive", "not promised"]


@dataclass(frozen=True, eq=False)
class Witness:
    """A point at which a claim is wrong.

    Attributes:
        point: where.
        cotangents: what was pulled back.
        element: which array, and which element of it.
        got: what came.
        true: an interval that holds the true value.
    """

    point: Point
    cotangents: tuple[Array | None, ...]
    element: tuple[str, tuple[int, ...]]
    got: float
    true: tuple[float, float]


@dataclass(frozen=True, eq=False)
class Claim:
    """What was decided about one claim.

    Attributes:
        name: "value", "vjp", "linearity", ...
        verdict: "right": proved right at these points to within the bound, or for an opaque function right as far as
            estimates tell. "digits lost": the rule is right, the digits are not. "not promised": the framework refuses,
            aloud.
        text: the figures, or what is wrong, or why nothing was decided.
        witness: a point that shows it, if it is wrong.
        proved: the verdict rests on a certificate, not on estimates.
        elements: how many numbers were compared.
    """

    name: str
    verdict: Word
    text: str = ""
    witness: Witness | None = None
    proved: bool = True
    elements: int = 0


@dataclass(frozen=True, eq=False)
class Report:
    """Everything that was decided about a function.

    Attributes:
        name: the function.
        framework: its framework.
        claims: one entry a claim.
        notes: what the reader should know: refused points, randomness, how the truth was found.
        script: a stand-alone program that shows the first wrong claim; "" if there is none.
        seconds: how long it took.
    """

    name: str
    framework: str
    claims: tuple[Claim, ...]
    notes: tuple[str, ...] = ()
    script: str = ""
    seconds: float = 0.0

    @property
    def verdict(self) -> Word:
        """wrong if a claim is; else inconclusive if nothing is decided on the gradient; digits lost; right."""
        words = {c.name: c.verdict for c in self.claims}
        if "wrong" in words.values():
            return "wrong"
        if words.get("vjp", "inconclusive") in ("inconclusive", "not promised"):
            return "inconclusive"
        return "digits lost" if "digits lost" in words.values() else "right"

    @property
    def ok(self) -> bool:
        """No claim is wrong, and something was decided about the gradient."""
        return self.verdict in ("right", "digits lost")

    def __getitem__(self, name: str) -> Claim:
        for claim in self.claims:
            if claim.name == name:
                return claim
        raise KeyError(f"no claim {name!r}; there are {', '.join(c.name for c in self.claims)}")

    def __str__(self) -> str:
        lines = [f"{self.name} ({self.framework}): {self.verdict}  [{self.seconds:.2f} s]"]
        width = max((len(c.name) for c in self.claims), default=0)
        for c in self.claims:
            lines.append(f"  {c.name:<{width}}  {c.verdict}{': ' if c.text else ''}{c.text}")
        lines += [f"  note: {n}" for n in self.notes]
        if self.script:
            lines += ["", "A script that shows it:", "", self.script.rstrip()]
        return "\n".join(lines)


class CheckFailed(AssertionError):
    """A check did not end well; `report` has all that was decided."""

    def __init__(self, report: Report) -> None:
        super().__init__(str(report))
        self.report = report


class WrongGradient(CheckFailed):
    """A claim about the function is wrong."""


class Undecided(CheckFailed):
    """Nothing could be decided about the gradient; the report says why."""


def check_gradients(
    fn: Callable[..., Any],
    *args: Any,
    kwargs: Mapping[str, Any] | None = None,
    spec: Callable[..., Any] | None = None,
    against: Callable[..., Any] | None = None,
    strategies: Any = None,
    raises: bool = True,
    around: bool = True,
    only: Sequence[str] | None = None,
    seed: int = 0,
    budget_seconds: float = 20.0,
    call_seconds: float = 30.0,
) -> Report:
    """Judge the gradient of a function of PyTorch, JAX or the reference.

    Args:
        fn: the function: a plain one, `torch.autograd.Function.apply`, an `nn.Module`, a custom operator,
            `jax.custom_vjp`, `jax.custom_jvp`, a jitted one.
        args: an example of its arguments: arrays or tensors, nested as the function takes them, and anything else.
            Gradients are wanted of the tensors that require grad, of all floating-point ones if none does.
        kwargs: keyword arguments of the function.
        spec: a plain function of the same framework whose derivative is meant: for a kernel that cannot be recorded, and
            for an intended surrogate such as a straight-through estimator. Its value may differ.
        against: the same function in another framework; its certified derivative is the truth, and its value, too.
        strategies: Hypothesis strategies, one an argument, in the place of `args`.
        raises: raise if the verdict is "wrong" or "inconclusive".
        around: draw further points: near the example, at ties and edges, at other sizes and in other layouts.
        only: names of claims to judge besides value and vjp; all by default.
        seed: decides all that is drawn.
        budget_seconds: no further point is begun after this time.
        call_seconds: a single call of the function may last so long.

    Raises:
        WrongGradient: a claim is wrong.
        Undecided: nothing could be decided about the gradient.
        TypeError: the arguments hold no floating-point tensor, or `fn` names no framework.
    """
    if strategies is not None:
        from harness.gradient_strategies import check_drawn

        if args:
            raise TypeError("strategies: they stand in the place of args; give one or the other")
        options: dict[str, Any] = {"kwargs": kwargs, "spec": spec, "against": against, "only": only}
        return check_drawn(
            fn,
            strategies,
            raises=raises,
            budget_seconds=budget_seconds,
            seed=seed,
            call_seconds=call_seconds,
            **options,
        )
    if spec is not None and against is not None:
        raise TypeError("spec and against: both say what the derivative is; give one")
    started = time.monotonic()
    subject = frontends.subject(fn, args, kwargs)
    if not any(w and x.size for w, x in zip(subject.wanted, subject.arrays, strict=True)):
        kinds = ", ".join(f"{x.dtype}{list(x.shape)}" for x in subject.arrays) or "none"
        raise TypeError(f"args: a gradient needs a floating-point tensor with elements; the tensors are {kinds}")
    other = None
    if spec is not None:
        other = frontends.subject(spec, args, kwargs, framework=subject.framework)
    elif against is not None:
        other = _in_other_framework(against, args, kwargs, subject)
    check = _Check(
        subject,
        other if other is not None else subject,
        surrogate=spec is not None,
        foreign=against is not None,
        rng=np.random.default_rng(seed),
        deadline=started + budget_seconds,
        call_seconds=call_seconds,
        around=around,
        only=None if only is None else frozenset(only),
    )
    report = replace(check.report(), seconds=time.monotonic() - started)
    if raises and report.verdict == "wrong":
        raise WrongGradient(report)
    if raises and report.verdict == "inconclusive":
        raise Undecided(report)
    return report


def _in_other_framework(
    against: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any] | None, subject: Subject
) -> Subject:
    name = frontends.framework_of(against)
    if subject.framework == name:
        return frontends.subject(against, args, kwargs)
    plain = [subject.arrays[i] for i in range(subject.arguments)]
    if len(subject.arrays) != subject.arguments:
        raise TypeError("against: the function has parameters of its own, which the other one does not get")
    return frontends.subject(against, plain, kwargs, framework=name)


# -- one point


@dataclass(frozen=True, eq=False)
class _Seen:
    """One point, examined."""

    point: Point
    case: Case
    answer: Answer
    certificate: Certificate
    bound: Bound
    value: Verdict
    vjp: Verdict


class _Refused(Exception):
    """The function does not answer at a point that the example does not promise."""


class _OutOfTime(BaseException):
    """A call lasted too long. No `except Exception` takes it for an outcome."""


@dataclass(eq=False)
class _Tally:
    """The verdicts of one claim over many points."""

    name: str
    seen: int = 0
    elements: int = 0
    undecided: int = 0
    largest: float = 0.0
    lost: list[str] = field(default_factory=list)
    reasons: dict[str, int] = field(default_factory=dict)
    wrong: list[tuple[str, Witness | None]] = field(default_factory=list)
    conventions: int = 0

    def add(self, verdict: Verdict) -> None:
        self.seen += 1
        self.elements += verdict.elements - verdict.undecided
        self.undecided += verdict.undecided
        if verdict.ratios and verdict.kind == "agree":
            self.largest = max(self.largest, verdict.error_over_bound)
        for reason, n in (
            verdict.reasons or ({verdict.reason: verdict.undecided} if verdict.undecided else {})
        ).items():
            self.reasons[reason] = self.reasons.get(reason, 0) + n

    def claim(self) -> Claim:
        where = f"{self.elements:,} numbers at {self.seen} points"
        if self.wrong:
            text, witness = self.wrong[0]
            return Claim(self.name, "wrong", text, witness, elements=self.elements)
        if not self.elements:
            common = max(self.reasons, key=lambda r: self.reasons[r]) if self.reasons else "nothing to compare"
            return Claim(self.name, "inconclusive", common)
        text = f"{where}, largest error / bound {self.largest:.2g}"
        if self.undecided:
            text += f", {self.undecided:,} undecided ({', '.join(sorted(self.reasons))})"
        if self.conventions:
            text += f", another convention at {self.conventions} kinks"
        if self.lost:
            return Claim(self.name, "digits lost", f"{self.lost[0]}; {text}", elements=self.elements)
        return Claim(self.name, "right", text, elements=self.elements)


@dataclass(eq=False)
class _Check:
    subject: Subject
    source: Subject  # whose forward is recorded
    surrogate: bool
    foreign: bool
    rng: np.random.Generator
    deadline: float
    call_seconds: float
    around: bool
    only: frozenset[str] | None
    dtype: str = "float64"
    rounding: str = "float64"
    notes: list[str] = field(default_factory=list)
    refused: int = 0
    script: str = ""
    whole: tuple[Array, ...] | None = None
    random: bool = False

    # asking, within the time

    def run(self, arrays: Sequence[Array], cotangents: Sequence[Array | None] | None, **how: Any) -> Answer:
        with _within(self.call_seconds):
            return self.subject.run(arrays, cotangents, **how)

    def trace(self, arrays: Sequence[Array]) -> Traced:
        given = arrays
        if self.source is not self.subject and len(self.source.arrays) != len(arrays):
            given = list(arrays[: self.subject.arguments]) + list(
                widened(self.source.arrays[self.source.arguments :], self.dtype)
            )
        with _within(self.call_seconds):
            return self.source.trace(given)

    def late(self) -> bool:
        return time.monotonic() > self.deadline

    # the whole

    def report(self) -> Report:
        claims: list[Claim]
        try:
            claims = self.claims()
        except _OutOfTime as error:
            claims = [Claim("vjp", "inconclusive", str(error))]
        if self.random:
            self.notes.append("random numbers are drawn; every call got the same seed")
        if self.refused:
            self.notes.append(
                f"{self.refused} drawn points were refused by the function (another shape, or no finite value)"
            )
        return Report(self.subject.name, self.subject.framework, tuple(claims), tuple(self.notes), self.script)

    def claims(self) -> list[Claim]:
        stop = self.prepare()
        if stop is not None:
            return stop
        base = Point("the example", widened(self.subject.arrays, self.dtype), promised=True)
        try:
            first = self.see(base)
            self.find_rounding(first)
            if self.rounding != self.dtype:
                first = self.see(base, cotangents=first.case.cotangents)
        except (Untraceable, _Refused) as reason:
            return self.opaque(base, str(reason))
        if first.certificate.status == "refuted":
            return self.opaque(base, "no certificate at the example")
        if first.vjp.kind == "disagree" and first.answer.stage == "backward":
            return [Claim("vjp", "wrong", f"backward raised {_failure(first.answer)} at the example")]
        unfaithful = self.replay(first)
        if unfaithful:
            return self.opaque(base, unfaithful)
        value, vjp = _Tally("value"), _Tally("vjp")
        self.points(first, value, vjp)
        claims = [self.value_claim(value), vjp.claim()]
        if not vjp.wrong and (text := self.whole_example()):
            claims[1] = Claim("vjp", "wrong", text, proved=False)
            return claims
        if vjp.wrong and vjp.wrong[0][1] is not None:
            self.script, small = self.shrunk(vjp.wrong[0][1])
            claims[1] = replace(claims[1], witness=small)
        if vjp.wrong:
            return claims
        smooth = self.smooth(first)
        for name, ask in _CLAIMS.items():
            if self.only is not None and name not in self.only:
                continue
            if self.late():
                self.notes.append(f"out of time before the claim {name}")
                break
            claim = ask(self, smooth.point, smooth.answer, smooth.case.cotangents, smooth)
            if claim is not None:
                claims.append(claim)
        return claims

    def prepare(self) -> list[Claim] | None:
        """Find the dtype to work in, and whether there is anything to judge."""
        native = self.subject.arrays
        answer = self.run(native, None)
        if answer.outcome.failure is not None:
            return [Claim("vjp", "inconclusive", f"forward raised {_failure(answer)} at the example")]
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
        text = agree_exactly(answer.outcome, self.run(native, None).outcome)
        if text:
            cause = "hidden state, or randomness that no seed of the framework governs"
            return [Claim("vjp", "inconclusive", f"two calls at the example differ ({text}): {cause}")]
        wide = self.run(widened(native), None)
        if wide.outcome.failure is not None or not any(wide.live):
            self.dtype = "float32"
            self.notes.append(f"the function does not run in float64 ({_failure(wide)}); judged in float32")
        self.rounding = self.dtype
        self.leave_out()
        self.cut_down()
        return None

    def cut_down(self) -> None:
        """Take a corner of a large example, if the function takes it; the whole is judged by estimates."""
        whole = self.subject.arrays
        while sum(x.size for x in self.subject.arrays) > LARGE:
            for arrays in halved(self.subject.arrays, self.subject.arguments):
                answer = self.run(widened(arrays, self.dtype), None)
                if answer.outcome.failure is None and any(answer.live):
                    alone = self.source is self.subject
                    self.subject = replace(self.subject, arrays=arrays)  # type: ignore[type-var]  # a dataclass
                    self.source = self.subject if alone else self.source
                    self.whole = whole
                    break
            else:
                return

    def whole_example(self) -> str:
        """Judge the whole of an example of which a corner was proved; return what is wrong."""
        if self.whole is None or self.surrogate:
            return ""
        shapes = ", ".join(str(x.shape) for x in self.subject.arrays)
        self.notes.append(
            f"proved for a corner of the example, of shapes {shapes}; the whole agrees with finite differences"
        )
        arrays = widened(self.whole, self.dtype)
        answer = self.run(arrays, None)
        if answer.outcome.failure is not None:
            return ""
        verdict, _ = self.estimated(arrays, None, self.cotangents(answer.outcome.values, answer.live))
        if verdict.kind != "disagree":
            return ""
        self.notes.pop()
        return f"at the whole example: {verdict.reason}"

    def leave_out(self) -> None:
        """Ask no gradient of arguments that get none, unless the user asked for it."""
        if self.subject.asked:
            return
        arrays = widened(self.subject.arrays, self.dtype)
        answer = self.run(arrays, None)
        answer = self.run(arrays, self.cotangents(answer.outcome.values, answer.live))
        if answer.outcome.failure is not None:
            return
        grads = iter(answer.outcome.grads)
        given = tuple(w and next(grads) is not None for w in self.subject.wanted)
        if given == self.subject.wanted or not any(given):
            return
        names = [n for n, w, g in zip(self.subject.labels, self.subject.wanted, given, strict=True) if w and not g]
        self.notes.append(
            f"{', '.join(names)}: no gradient is returned (None); let it require grad to have that judged"
        )
        whole = self.source is self.subject
        self.subject = replace(self.subject, wanted=given)  # type: ignore[type-var]  # subjects are dataclasses
        if whole:
            self.source = self.subject
        elif len(self.source.wanted) >= self.subject.arguments:
            kept = given[: self.subject.arguments] + self.source.wanted[self.subject.arguments :]
            self.source = replace(self.source, wanted=kept)  # type: ignore[type-var]  # as above

    # points

    def cotangents(self, values: Sequence[Array], live: Sequence[bool], turn: int = 0) -> tuple[Array | None, ...]:
        """Draw cotangents, in several layouts by turns."""
        made: list[Array | None] = []
        for v, flows in zip(values, live, strict=True):
            if not flows or v.dtype.kind != "f":
                made.append(None)
                continue
            sizes = self.rng.uniform(0.25, 2.0, v.shape) * self.rng.choice([-1.0, 1.0], v.shape)
            ct: Array = np.asarray(sizes, dtype=v.dtype)
            if turn % 4 == 1 and v.ndim:
                ct = np.broadcast_to(ct.ravel()[:1].reshape((1,) * v.ndim) if v.size else ct, v.shape)
            elif turn % 4 == 2 and v.ndim > 1:
                ct = np.ascontiguousarray(ct.swapaxes(-1, -2)).swapaxes(-1, -2)
            elif turn % 4 == 3 and v.ndim and v.shape[-1] > 1:
                ct = np.repeat(ct, 2, axis=-1)[..., ::2]
            made.append(ct)
        return tuple(made)

    def see(self, point: Point, turn: int = 0, *, cotangents: Sequence[Array | None] | None = None) -> _Seen:
        """Examine a point.

        Raises:
            Untraceable: the forward cannot be recorded.
            _Refused: the function does not answer there and need not.
        """
        arrays = widened(point.arrays, self.dtype)
        if cotangents is None and self.source is not self.subject:
            answer = self.run(arrays, None)
            self.must_answer(point, answer)
            cotangents = self.cotangents(answer.outcome.values, answer.live, turn)
        try:
            traced = self.trace(arrays)
        except Untraceable:
            raise
        except Exception as error:  # the function, or its spec, refuses the point
            raise _Refused(f"{type(error).__name__}: {error}") from error
        self.random = self.random or traced.random
        if cotangents is None:
            shapes = [
                np.zeros(s.shape, self.dtype if s.kind == "float" else s.kind) for s in _output_specs(traced.program)
            ]
            cotangents = self.cotangents(shapes, traced.live, turn)
        answer = self.run(arrays, cotangents)
        if answer.stage == "forward":
            raise _Refused(_failure(answer))
        if answer.outcome.failure is None:
            self.must_answer(point, answer)
        return self.judged(point, arrays, traced, answer, cotangents)

    def must_answer(self, point: Point, answer: Answer) -> None:
        if answer.outcome.failure is not None:
            raise _Refused(_failure(answer))
        floats = [v for v, flows in zip(answer.outcome.values, answer.live, strict=True) if flows and v.size]
        if not point.promised and floats and not any(np.isfinite(v).any() for v in floats):
            raise _Refused("no finite value")

    def judged(
        self, point: Point, arrays: Sequence[Array], traced: Traced, answer: Answer, cotangents: Sequence[Array | None]
    ) -> _Seen:
        case = self.case(arrays, traced, answer, cotangents)
        certificate = certify(case)
        bound = Bound((), ()) if certificate.status == "undecided" else self.enclosed(case, traced.dtype)
        value, vjp = judge(case, _cast(answer.outcome, self.dtype), certificate, bound)
        return _Seen(point, case, answer, certificate, bound, value, vjp)

    def enclosed(self, case: Case, least: str = "float64") -> Bound:
        """Where the backend's numbers may lie, with the rounding of the least precise type on the way."""
        rounding = max(self.rounding, least, key=lambda d: UNITS[d])
        measured = rounding if rounding == "float64" else "float32"
        try:
            bound = enclose_backend(case, self.subject.kernels, rounding=measured)
        except KeyError as error:
            raise Untraceable(f"no declared error: {error}") from None
        return bound if rounding == measured else enlarged(bound, UNITS[rounding] / UNITS[measured])

    def case(self, arrays: Sequence[Array], traced: Traced, answer: Answer, cotangents: Sequence[Array | None]) -> Case:
        moving = [np.array(x, order="C") for x, w in zip(arrays, self.subject.wanted, strict=True) if w]
        extra = len(traced.program.inputs) - len(traced.constants) - len(moving)
        if extra:
            raise Untraceable(
                f"the recorded function has {len(moving) + extra} differentiable arrays, the judged one {len(moving)}"
            )
        shapes = [s.shape for s in _output_specs(traced.program)]
        if any(c is not None and c.shape != s for c, s in zip(cotangents, shapes, strict=False)):
            raise _Refused(f"the shapes of the outputs are {shapes} here")
        got = [v.shape for v in answer.outcome.values] if answer.outcome.failure is None else shapes
        if shapes != got:
            raise Untraceable(f"the recorded function returns shapes {shapes}, the judged one {got}")
        constants = [c.astype(self.dtype) if c.dtype.kind == "f" else c for c in traced.constants]
        return Case(
            traced.program,
            (*moving, *constants),
            (True,) * len(moving) + (False,) * len(constants),
            tuple(None if c is None else c.astype(self.dtype, copy=False) for c in cotangents),
            self.dtype,
        )

    def replay(self, seen: _Seen) -> str:
        """Tell why the recorded forward is not the function near the point; "" if it is."""
        if self.source is self.subject and seen.value.kind == "disagree" and not self.lost(seen, seen.value):
            return f"the recorded forward does not give its value: {seen.value.reason}"
        if self.source is not self.subject:
            return ""
        tried = []
        # Steps far longer than rounding, and shorter ones for a point beside a kink.
        for size in (2.0**-12, 2.0**-24, 2.0**-34) if self.rounding == "float64" else (2.0**-4, 2.0**-6, 2.0**-8):
            arrays = nearby(widened(seen.point.arrays, self.dtype), self.subject.wanted, self.rng, size)
            answer = self.run(arrays, None)
            if answer.outcome.failure is not None:
                continue
            moving = [x for x, w in zip(arrays, self.subject.wanted, strict=True) if w]
            case = replace(seen.case, primals=(*moving, *seen.case.primals[len(moving) :]))
            again = self.value_verdict(case, answer)
            if again.kind != "disagree":
                return ""
            moved = replace(seen, case=case, answer=answer, value=again, point=replace(seen.point, arrays=arrays))
            if self.lost(moved, again):
                return ""
            tried.append(again.reason)
        return f"the recorded forward does not hold beside the point: {tried[0]}" if tried else ""

    def value_verdict(self, case: Case, answer: Answer) -> Verdict:
        still = replace(case, cotangents=(None,) * len(case.cotangents))
        certificate = certify(still)
        bound = self.enclosed(still)
        wanted = sum(case.requires_grad)
        outcome = Outcome(answer.outcome.values, (None,) * wanted)
        return judge(still, _cast(outcome, self.dtype), certificate, bound)[0]

    def points(self, first: _Seen, value: _Tally, vjp: _Tally) -> None:
        """Examine the example, in its own dtype, too, and as many points as its size allows."""
        work = sum(x.size for x in first.case.primals) * max(len(first.case.program.instrs), 1)
        count = int(np.clip(60_000 / max(work, 1), 3, 24))
        self.note(first, value, vjp)
        self.in_own_dtype(first, value, vjp)
        for k, point in enumerate(draw(self.subject, self.rng)):
            if k == 0 or vjp.wrong:
                continue
            if k >= count or self.late() or not self.around:
                break
            try:
                seen = self.see(point, k)
            except _Refused as error:
                self.refused += 1
                if point.promised:
                    self.notes.append(f"refused {point.label}: {error}")
                continue
            except Untraceable as error:
                self.notes.append(f"not judged at {point.label}: {error}")
                continue
            self.note(seen, value, vjp)

    def smooth(self, first: _Seen) -> _Seen:
        """The example, or a point beside it if the example is at a kink."""
        if first.certificate.status == "certified" and first.vjp.kind == "agree":
            return first
        moved = nearby(widened(first.point.arrays, self.dtype), self.subject.wanted, self.rng, 0.125)
        try:
            return self.see(Point("beside the example", moved))
        except (Untraceable, _Refused):
            return first

    def far(self, one: Outcome, scaled: Outcome, exponent: int, sign: int) -> bool:
        """Whether a scaled cotangent gives a gradient that is off by more than half of the digits."""
        for g, h in zip(one.grads, scaled.grads, strict=True):
            if g is not None and h is not None:
                errors = 2.0**-20 * np.abs(np.ldexp(g, exponent)).max(initial=0.0) + np.zeros(g.shape)
                if (
                    judge_against_estimates("linearity", [h], [np.ldexp(g, exponent) * sign], [errors]).kind
                    == "disagree"
                ):
                    return True
        return False

    def find_rounding(self, first: _Seen) -> None:
        """Ask once for the least precise float type on the way."""
        answer = self.run(widened(first.point.arrays, self.dtype), first.case.cotangents, watched=True)
        if answer.outcome.failure is None and UNITS[answer.dtype] > UNITS[self.dtype]:
            self.rounding = answer.dtype
            self.notes.append(f"an argument of {self.dtype} is computed with in {answer.dtype}")

    def in_own_dtype(self, first: _Seen, value: _Tally, vjp: _Tally) -> None:
        """Examine the example in float32 if that is what it is in; only digits can be lost there."""
        own = {x.dtype.name for x, w in zip(self.subject.arrays, self.subject.wanted, strict=True) if w}
        if self.dtype != "float64" or "float32" not in own:
            return
        narrow = replace_check(self, dtype="float32", rounding="float32")
        try:
            seen = narrow.see(Point("the example in float32", self.subject.arrays, promised=True))
        except (Untraceable, _Refused) as error:
            self.notes.append(f"not judged in float32: {error}")
            return
        for verdict, tally in ((seen.value, value), (seen.vjp, vjp)):
            if verdict.kind == "disagree" and verdict.worst is not None:
                if is_worth_telling(verdict):
                    tally.lost.append(f"in float32 {verdict.reason}")
                verdict = replace(verdict, kind="agree")
            tally.add(verdict)

    def note(self, seen: _Seen, value: _Tally, vjp: _Tally) -> None:
        """Settle what a point tells, and count it."""
        if seen.answer.stage == "backward" and not seen.point.promised:
            # Aloud, and at a point that the user did not give.
            self.notes.append(f"backward raises at {seen.point.label}: {_failure(seen.answer)}")
            return
        if seen.value.kind == "disagree" and self.source is self.subject:
            if not self.lost(seen, seen.value):
                value.reasons["the recorded forward does not give the value there"] = 1
                value.undecided += 1
                self.notes.append(
                    f"{seen.point.label}: the recorded forward does not give the value there: {seen.value.reason}"
                )
                return
            if seen.point.ordinary and is_worth_telling(seen.value):
                value.lost.append(f"{seen.point.label}: {seen.value.reason}")
            value.add(replace(seen.value, kind="agree", ratios=()))
        elif seen.value.kind == "disagree":
            if self.surrogate:
                value.reasons["the value is not that of the spec"] = 1
            elif not self.lost(seen, seen.value):
                value.wrong.append((f"{seen.point.label}: {seen.value.reason}", self.witness(seen, seen.value)))
        else:
            value.add(seen.value)
        verdict = self.settled(seen)
        if verdict.kind == "disagree" and verdict.aspect == "accuracy":
            if seen.point.ordinary and is_worth_telling(verdict):
                vjp.lost.append(f"{seen.point.label}: {verdict.reason}")
            elif not seen.point.ordinary and is_worth_telling(verdict):
                self.notes.append(f"digits are lost at {seen.point.label}: {self.labelled(verdict)}")
            vjp.add(replace(verdict, kind="agree", ratios=()))
        elif verdict.kind == "disagree":
            vjp.wrong.append((self.told(seen, verdict), self.witness(seen, verdict)))
        else:
            vjp.conventions += verdict.reason == "another convention at a kink"
            vjp.add(verdict)

    def told(self, seen: _Seen, verdict: Verdict) -> str:
        text = f"at {seen.point.label}: {self.labelled(verdict)}"
        if all(g is None or not np.any(g.midpoints()) for g in seen.certificate.grads):
            text += (
                "; the true derivative is zero, as the forward is constant around the point: if this is an intended "
                "surrogate such as a straight-through estimator, name what is meant with spec="
            )
        return text

    def labelled(self, verdict: Verdict) -> str:
        w = verdict.worst
        if w is None:
            return verdict.reason
        label = [n for n, f in zip(self.subject.labels, self.subject.wanted, strict=True) if f][w.array]
        where = f"{label}, element {w.index}" if w.index else label
        if "kink" in verdict.reason:
            return verdict.reason.replace(f"element {w.index} of array {w.array}", f"gradient of {where}", 1)
        return f"gradient of {where} is {w.got!r}, true {w.true!r} +/- {w.bound:.2g}"

    def witness(self, seen: _Seen, verdict: Verdict) -> Witness | None:
        w = verdict.worst
        if w is None:
            return None
        labels = [n for n, f in zip(self.subject.labels, self.subject.wanted, strict=True) if f]
        name = labels[w.array] if verdict.claim != "value" else f"output {w.array}"
        room = w.bound
        return Witness(
            seen.point, seen.case.cotangents, (name, w.index), w.got, (_down(w.true - room), _up(w.true + room))
        )

    # what a disagreement means

    def lost(self, seen: _Seen, verdict: Verdict) -> bool:
        """Whether a value or gradient outside its bound has lost digits rather than a wrong rule."""
        if verdict.worst is None:
            return False
        arrays = widened(seen.point.arrays, self.dtype)
        backward = verdict.claim != "value"
        watched = self.run(arrays, seen.case.cotangents if backward else None, watched=True)
        if not math.isfinite(verdict.worst.got):
            return not seen.point.ordinary
        largest = max(watched.largest, _largest(arrays), _largest(seen.case.cotangents) if backward else 0.0)
        twin_gap = None
        if self.dtype == "float64" and self.rounding == "float64":
            narrow = replace_check(self, dtype="float32", rounding="float32")
            with contextlib.suppress(Untraceable, _Refused):
                casts = tuple(None if c is None else c.astype(np.float32) for c in seen.case.cotangents)
                other = narrow.see(seen.point, cotangents=casts)
                twin_gap = _gap(verdict, other)
        return is_rounding(verdict, largest, self.rounding, _gap(verdict, seen), twin_gap)

    def settled(self, seen: _Seen) -> Verdict:
        """Settle a disagreement: lost digits, another convention at a kink, or wrong."""
        verdict = seen.vjp
        if (
            seen.certificate.status == "refuted"
        ):  # a rule of the reference is wrong there: nothing is said of the user's
            return _inconclusive(verdict, "no certificate")
        if verdict.kind == "agree" or (
            verdict.kind == "inconclusive" and not {"tie", "kink"} & set(verdict.reasons or {verdict.reason: 1})
        ):
            return verdict
        if seen.answer.stage == "backward":
            return replace(verdict, reason=f"backward raised {_failure(seen.answer)}")
        if verdict.kind == "disagree":
            if verdict.worst is None:
                return verdict
            if self.lost(seen, verdict):
                return replace(verdict, aspect="accuracy")
            if self.replay(seen):
                return Verdict("inconclusive", "vjp", reason="the recorded forward does not hold beside the point")
        return self.beside(seen, verdict)

    def beside(self, seen: _Seen, verdict: Verdict) -> Verdict:
        """Hold a gradient at a possible kink against the derivatives around it."""
        corners: list[list[Array]] = []
        rooms: list[list[Array]] = []
        arrays = widened(seen.point.arrays, self.dtype)
        size = 2.0**-30 if self.dtype == "float64" else 2.0**-14
        for _ in range(4):
            state = self.rng.bit_generator.state
            for sign in (1.0, -1.0):
                self.rng.bit_generator.state = state  # the same step, to the other side
                moved = replace(seen.point, arrays=nearby(arrays, self.subject.wanted, self.rng, size, sign))
                try:
                    other = self.see(moved, cotangents=seen.case.cotangents)
                except (Untraceable, _Refused):
                    continue
                if other.certificate.status != "certified" or any(
                    g is not None and not g.is_finite().all() for g in other.certificate.grads
                ):
                    continue
                if other.vjp.kind == "disagree" and other.vjp.worst is not None and not self.lost(other, other.vjp):
                    # It is wrong at points of no special kind, too.
                    return verdict if verdict.kind == "disagree" else other.vjp
                corners.append(
                    [_middle(g, x) for g, x in zip(other.certificate.grads, _moving(self, arrays), strict=True)]
                )
                rooms.append([_radius(g, x) for g, x in zip(other.bound.grads, _moving(self, arrays), strict=True)])
        if len(corners) < 2:
            return verdict if verdict.kind == "inconclusive" else _inconclusive(verdict, "kink")
        slack = [_slack([r[i] for r in rooms], [c[i] for c in corners], size) for i in range(len(corners[0]))]
        got = [
            np.zeros(x.shape) if g is None else g
            for g, x in zip(seen.answer.outcome.grads, _moving(self, arrays), strict=True)
        ]
        return judge_between("vjp", got, corners, slack)

    def shrunk(self, witness: Witness) -> tuple[str, Witness]:
        """Look for a smaller, rounder point that shows the same, for a short while; write the script of the best."""
        until = min(self.deadline, time.monotonic() + SHRINK_SECONDS)
        best: tuple[_Seen, Verdict] | None = None
        candidates = [Point(witness.point.label, witness.point.arrays, witness.point.promised, witness.point.ordinary)]
        quiet = replace_check(self)
        while candidates and time.monotonic() < until:
            point = candidates.pop(0)
            for plain in (True, False) if best is None else (True,):
                try:
                    cts = None if plain else witness.cotangents
                    seen = quiet.see(point, cotangents=cts)
                    verdict = quiet.settled(seen)
                except (Untraceable, _Refused):
                    continue
                if verdict.kind == "disagree" and verdict.aspect != "accuracy" and verdict.worst is not None:
                    best = (seen, verdict)
                    candidates = [
                        Point(f"{witness.point.label}, made smaller", a, False, point.ordinary)
                        for a in simpler(point.arrays, self.subject.wanted, self.subject.arguments)
                    ]
                    break
        if best is None:
            return "", witness
        seen, verdict = best
        found = self.witness(seen, verdict)
        assert found is not None
        truth: list[tuple[Array, Array] | None] = []
        for true, room, x in zip(
            seen.certificate.grads, seen.bound.grads, _moving(self, widened(seen.point.arrays, self.dtype)), strict=True
        ):
            middle, radius = _middle(true, x), _radius(room, x)
            truth.append((middle, radius) if np.isfinite(middle).all() and np.isfinite(radius).all() else None)
        if "kink" in verdict.reason:
            truth = [None] * len(truth)
        note = f"At {found.point.label}: {self.labelled(verdict)}."
        return self.subject.script(widened(seen.point.arrays, self.dtype), seen.case.cotangents, truth, note), found

    def value_claim(self, tally: _Tally) -> Claim:
        if self.surrogate and not tally.elements:
            return Claim("value", "not promised", "the value is not that of the spec, which names a surrogate")
        return tally.claim()

    # an opaque function

    def opaque(self, base: Point, reason: str) -> list[Claim]:
        """Judge by estimates: the forward is not recorded."""
        self.notes.append(f"opaque: {reason}; judged by finite differences, not proved")
        rough, digits = _Tally("vjp"), 16.0
        points = [p for p in draw(self.subject, self.rng) if p.ordinary]
        first: tuple[Point, Answer, tuple[Array | None, ...]] | None = None
        for k, point in enumerate([base, *map(self.as_symmetric, points[1:])][: OPAQUE_POINTS if self.around else 1]):
            if self.late() or rough.wrong:
                break
            arrays = widened(point.arrays, self.dtype)
            before = self.run(arrays, None)
            try:
                self.must_answer(point, before)
            except _Refused:
                self.refused += 1
                continue
            cts = self.cotangents(before.outcome.values, before.live, k)
            answer = self.run(arrays, cts)
            if answer.outcome.failure is not None:
                if point.promised:
                    return [Claim("vjp", "wrong", f"backward raised {_failure(answer)} at {point.label}", proved=False)]
                self.refused += 1
                continue
            if first is None:
                first = (point, answer, cts)
            verdict, seen_digits = self.estimated(arrays, answer, cts)
            if verdict.kind == "disagree":  # which element?
                found, _ = self.estimated(arrays, answer, cts, elementwise=True)
                verdict = found if found.kind == "disagree" else verdict
            if verdict.kind == "disagree":
                confirmed, _ = self.estimated(nearby(arrays, self.subject.wanted, self.rng, 2.0**-12), None, cts)
                if confirmed.kind != "disagree" and k:
                    verdict = _inconclusive(verdict, "kink")
            if verdict.kind == "disagree":
                rough.wrong.append((f"at {point.label}: {verdict.reason}; {_HINT}", None))
            else:
                rough.add(verdict)
                if verdict.kind == "agree":
                    digits = min(digits, seen_digits)
        claim = rough.claim()
        if claim.verdict == "right":
            text = f"{rough.elements:,} numbers at {rough.seen} points agree with finite differences, "
            claim = replace(claim, text=f"{text}which are good to {digits:.0f} digits there", proved=False)
        claims = [replace(claim, proved=False)]
        if first is not None and claim.verdict != "wrong":
            claims += self.exact_claims(*first)
        return claims

    def as_symmetric(self, point: Point) -> Point:
        """The point with those matrices symmetric that are so in the example: a function may promise no more."""
        made = tuple(
            np.asarray(np.add(x, x.swapaxes(-1, -2)) * 0.5, dtype=x.dtype)
            if w and _is_symmetric(base) and base.shape == x.shape
            else x
            for x, base, w in zip(point.arrays, self.subject.arrays, self.subject.wanted, strict=True)
        )
        return replace(point, arrays=made)

    def estimated(
        self,
        arrays: Sequence[Array],
        answer: Answer | None,
        cotangents: Sequence[Array | None],
        *,
        elementwise: bool = False,
    ) -> tuple[Verdict, float]:
        """Judge the gradient at a point by difference quotients; return the digits that they have, too."""
        answer = answer or self.run(arrays, cotangents)
        moving = _moving(self, arrays)
        if answer.outcome.failure is not None:
            return Verdict("inconclusive", "vjp", reason=_failure(answer)), 0.0
        grads = [np.zeros(x.shape) if g is None else g for g, x in zip(answer.outcome.grads, moving, strict=True)]
        size = sum(x.size for x in moving)
        directions: list[list[Any]] = []
        symmetric = [_is_symmetric(x) for x in moving]
        elementwise = elementwise and size <= ELEMENTWISE and not any(symmetric)
        if elementwise:
            for i, x in enumerate(moving):
                for k in range(x.size):
                    d: list[Any] = [np.zeros(y.shape) for y in moving]
                    d[i].flat[k] = 1.0
                    directions.append(d)
        else:
            for _ in range(DIRECTIONS):
                drawn: list[Any] = [np.asarray(direction(x.shape, self.rng)) for x in moving]
                # A function of symmetric matrices is defined on those alone.
                directions.append([d + d.swapaxes(-1, -2) if s else d for d, s in zip(drawn, symmetric, strict=True)])
        values, errors, slopes = [], [], []
        for along in directions:
            if self.late():
                break
            estimate = self.slope(arrays, cotangents, along)
            values.append(estimate.value)
            errors.append(estimate.error)
            slopes.append(
                math.fsum(float(np.sum(np.multiply(g, e, dtype=np.float64))) for g, e in zip(grads, along, strict=True))
            )
        verdict = judge_against_estimates("vjp", [np.array(slopes)], [np.array(values)], [np.array(errors)])
        if verdict.worst is not None and elementwise:
            k, labels = (
                verdict.worst.index[0],
                [n for n, f in zip(self.subject.labels, self.subject.wanted, strict=True) if f],
            )
            for label, x in zip(labels, moving, strict=True):
                if k < x.size:
                    at = tuple(int(j) for j in np.unravel_index(k, x.shape))
                    text = f"gradient of {label}, element {at} is {verdict.worst.got!r}"
                    verdict = replace(
                        verdict, reason=f"{text}, estimate {verdict.worst.true!r} +/- {verdict.worst.bound:.2g}"
                    )
                    break
                k -= x.size
        scale = max(map(abs, values), default=0.0)
        sure = [e for e in errors if math.isfinite(e) and scale and e < scale]
        return verdict, -math.log10(max(sure) / scale) if sure and scale and max(sure) > 0 else 16.0

    def slope(self, arrays: Sequence[Array], cotangents: Sequence[Array | None], along: Sequence[Any]) -> Any:
        """Estimate the derivative of <cotangents, f> along a direction, with an error that the function's noise is in."""

        def total(t: float) -> tuple[float, float]:
            steps = iter(along)
            moved = [
                (x.astype(np.float64) + t * next(steps)).astype(x.dtype) if w else x
                for x, w in zip(arrays, self.subject.wanted, strict=True)
            ]
            outcome = self.run(moved, None).outcome
            if outcome.failure is not None:
                return math.nan, math.nan
            with np.errstate(all="ignore"):
                terms = [
                    np.multiply(c, y, dtype=np.float64)
                    for c, y in zip(cotangents, outcome.values, strict=True)
                    if c is not None
                ]
                value = float(sum(np.sum(p) for p in terms))
                return value, float(sum(np.sum(np.abs(p)) for p in terms))

        centre, magnitude = total(0.0)
        if not math.isfinite(centre):
            return derivative(total)
        unit = float(np.finfo(self.dtype).eps)
        reach = max(_largest(_moving(self, arrays)), 1e-3)
        noise = 0.0
        for step in (unit * 2.0**8, 2.0**-18, 2.0**-9):
            values = [total(k * step * reach)[0] for k in range(-4, 5)]
            noise = _noise(values)
            if len(set(values)) > 3:
                break
            # Rounded to a narrower type on the way, the function is a staircase; longer steps show its noise.
        factor = max(unit, noise / magnitude if magnitude else 0.0) / 2.0**-52

        def noisy(t: float) -> tuple[float, float]:
            value, size = total(t)
            return value, size * factor

        return derivative(noisy, scales=(max(reach, 1.0), reach))

    # claims that need no truth, or little

    def exact_claims(self, point: Point, answer: Answer, cotangents: Sequence[Array | None]) -> list[Claim]:
        claims = []
        for name, ask in _EXACT.items():
            if (self.only is None or name in self.only) and not self.late():
                claims.append(ask(self, point, answer, cotangents, None))
        return [c for c in claims if c is not None]


def replace_check(check: _Check, **changes: Any) -> _Check:
    """The same check in another dtype; what it notes is its own."""
    return replace(check, notes=[], **changes)


LARGE = 20_000  # elements beyond which a corner of the example is proved
OPAQUE_POINTS = 5
ELEMENTWISE = 40
DIRECTIONS = 6
SHRINK_SECONDS = 1.5
_HINT = "if a surrogate is meant, name it with spec="


def _noise(values: Sequence[float]) -> float:
    """The noise level of a function from values at neighbouring points: what no smooth function does between them.

    Source: J. J. More and S. M. Wild, Estimating computational noise, SIAM J. Sci. Comput. 33 (2011) 1292-1314.
    """
    table = np.array(values)
    if not np.isfinite(table).all():
        return math.inf
    levels = []
    gamma = 1.0
    for k in range(1, len(values) - 2):
        table = np.diff(table)
        gamma *= 0.5 * k / (2 * k - 1)
        levels.append(math.sqrt(gamma * float(np.mean(table**2))))
    return min(levels[-2:])


# -- the further claims; each is asked of the example, and answered without a truth where bits must be equal

Ask = Callable[[_Check, Point, Answer, Sequence[Array | None], "_Seen | None"], Claim | None]


def _same(check: _Check, name: str, answer: Answer, other: Answer, seen: _Seen | None, what: str) -> Claim | None:
    """A claim that fails if another answer to the same question is neither the same nor inside the bound."""
    text = agree_exactly(answer.outcome, other.outcome)
    if not text:
        return None
    if other.outcome.failure is not None:
        return Claim(name, "wrong", f"{what}: raised {_failure(other)}", proved=False)
    if seen is not None:
        value, vjp = judge(seen.case, _cast(other.outcome, check.dtype), seen.certificate, seen.bound)
        if value.kind != "disagree" and vjp.kind != "disagree":
            return None
        if vjp.worst is not None:
            return Claim(name, "wrong", f"{what}: {check.labelled(vjp)}", check.witness(seen, vjp))
    return Claim(name, "wrong", f"{what}: {text}", proved=False)


def _linearity(
    check: _Check, point: Point, answer: Answer, cotangents: Sequence[Array | None], seen: _Seen | None
) -> Claim:
    arrays = widened(point.arrays, check.dtype)
    asked = 0
    for exponent, sign in ((2, -1), (12, 1), (-12, 1)):
        scaled = tuple(
            None if c is None else np.asarray(np.ldexp(c, exponent) * c.dtype.type(sign)) for c in cotangents
        )
        other = check.run(arrays, scaled)
        if other.outcome.failure is not None:
            return Claim("linearity", "wrong", f"cotangent times {sign * 2.0**exponent:g}: raised {_failure(other)}")
        verdict = judge_scaling("linearity", answer.outcome, other.outcome, exponent, sign)
        if verdict.kind == "disagree":
            if seen is not None:
                again = check.see(point, cotangents=scaled)
                if check.settled(again).kind != "disagree" or check.settled(again).aspect == "accuracy":
                    asked += again.vjp.elements
                    continue
            elif not check.far(answer.outcome, other.outcome, exponent, sign):
                asked += verdict.elements
                continue
            return Claim("linearity", "wrong", verdict.reason, proved=seen is not None)
        asked += verdict.elements
    return Claim("linearity", "right", f"in the cotangent, at {asked:,} numbers", elements=asked)


def _zero(
    check: _Check, point: Point, answer: Answer, cotangents: Sequence[Array | None], seen: _Seen | None
) -> Claim | None:
    arrays = widened(point.arrays, check.dtype)
    zeros = tuple(None if c is None else np.zeros_like(c) for c in cotangents)
    other = check.run(arrays, zeros)
    if other.outcome.failure is not None:
        return Claim("zero cotangent", "wrong", f"raised {_failure(other)}")
    if any(g is not None and not np.isfinite(g).all() for g in answer.outcome.grads):
        return Claim("zero cotangent", "inconclusive", "the gradient is not finite at the example")
    verdict = judge_zero("zero cotangent", other.outcome)
    if verdict.kind == "disagree":
        return Claim("zero cotangent", "wrong", verdict.reason)
    return Claim("zero cotangent", "right", f"{verdict.elements} zeros", elements=verdict.elements)


def _histories(
    check: _Check, point: Point, answer: Answer, cotangents: Sequence[Array | None], seen: _Seen | None
) -> Claim | None:
    arrays = widened(point.arrays, check.dtype)
    other = nearby(arrays, check.subject.wanted, check.rng, 0.25)
    with _within(check.call_seconds):
        answers = check.subject.histories((arrays, other), cotangents)
    for what, again in answers.items():
        claim = _same(check, "repeatability", answer, again, seen, what)
        if claim is not None:
            return claim
    return Claim("repeatability", "right", ", ".join(answers)) if answers else None


def _unwritten(
    check: _Check, point: Point, answer: Answer, cotangents: Sequence[Array | None], seen: _Seen | None
) -> Claim:
    asked = {n for n, w in zip(check.subject.labels, check.subject.wanted, strict=True) if w}
    wrong = [n for n in answer.mutated if n in asked or n.startswith("cotangent")]
    kept = [n for n in answer.mutated if n not in wrong]
    if wrong:
        return Claim("arguments unwritten", "wrong", f"{', '.join(wrong)} changed during the call")
    return Claim(
        "arguments unwritten", "right", f"but for {', '.join(kept)}, of which no gradient is asked" if kept else ""
    )


def _shapes(
    check: _Check, point: Point, answer: Answer, cotangents: Sequence[Array | None], seen: _Seen | None
) -> Claim:
    native = check.subject.arrays
    own = check.run(native, None)
    cts = check.cotangents(own.outcome.values, own.live)
    got = check.run(native, cts)
    if got.outcome.failure is not None:
        return Claim("shape and dtype", "wrong", f"backward raised {_failure(got)}")
    if got.complaints:
        return Claim("shape and dtype", "wrong", got.complaints[0])
    moving = _moving(check, native)
    for g, x, label in zip(
        got.outcome.grads,
        moving,
        [n for n, w in zip(check.subject.labels, check.subject.wanted, strict=True) if w],
        strict=True,
    ):
        if g is not None and (g.shape != x.shape or g.dtype != x.dtype):
            return Claim(
                "shape and dtype", "wrong", f"gradient of {label} is {g.dtype}{g.shape}, it is {x.dtype}{x.shape}"
            )
    return Claim("shape and dtype", "right", f"{len(moving)} gradients")


def _needs(
    check: _Check, point: Point, answer: Answer, cotangents: Sequence[Array | None], seen: _Seen | None
) -> Claim | None:
    """Ask for the gradient of each array alone, and of all but it."""
    wanted = check.subject.wanted
    moving = [i for i, w in enumerate(wanted) if w]
    if len(moving) < 2:
        return None
    arrays = widened(point.arrays, check.dtype)
    asked = 0
    for i in moving[:4]:
        for chosen in ([i], [j for j in moving if j != i]):
            flags = tuple(j in chosen for j in range(len(wanted)))
            other = check.run(arrays, cotangents, wanted=flags)
            label = " and ".join(check.subject.labels[j] for j in chosen)
            if other.outcome.failure is not None:
                return Claim("needs_input_grad", "wrong", f"with {label} alone: {other.stage} raised {_failure(other)}")
            expected = replace(
                answer.outcome, grads=tuple(g for g, j in zip(answer.outcome.grads, moving, strict=True) if j in chosen)
            )
            given = iter(other.outcome.grads)
            merged = tuple(next(given) if j in chosen else g for g, j in zip(answer.outcome.grads, moving, strict=True))
            text = agree_exactly(expected, replace(other.outcome, values=expected.values))
            if text:
                claim = _same(
                    check,
                    "needs_input_grad",
                    answer,
                    replace(other, outcome=replace(answer.outcome, grads=merged)),
                    seen,
                    f"with {label} alone",
                )
                if claim is not None and not (seen is None and _both_zero(expected, other.outcome)):
                    return claim
            asked += 1
    return Claim("needs_input_grad", "right", f"{asked} choices of what requires grad")


def _both_zero(a: Outcome, b: Outcome) -> bool:
    """None and zeros are the same gradient."""
    return all((g is None or not g.any()) and (h is None or not h.any()) for g, h in zip(a.grads, b.grads, strict=True))


def _outputs_alone(
    check: _Check, point: Point, answer: Answer, cotangents: Sequence[Array | None], seen: _Seen | None
) -> Claim | None:
    live = [k for k, c in enumerate(cotangents) if c is not None]
    if len(live) < 2 or seen is None:
        return None
    for k in live[:4]:
        alone = tuple(c if j == k else None for j, c in enumerate(cotangents))
        again = check.see(point, cotangents=alone)
        verdict = check.settled(again)
        if verdict.kind == "disagree" and verdict.aspect != "accuracy":
            text = f"cotangent of output {k} alone: {check.labelled(verdict)}"
            return Claim("undefined cotangents", "wrong", text, check.witness(again, verdict))
    return Claim("undefined cotangents", "right", f"each of {len(live)} outputs pulled back alone")


def _second_order(
    check: _Check, point: Point, answer: Answer, cotangents: Sequence[Array | None], seen: _Seen | None
) -> Claim | None:
    # A spec speaks of the first order; what a surrogate's own value does to the second is not in it.
    if seen is None or check.surrogate or seen.certificate.status != "certified" or check.dtype != check.rounding:
        return None
    live = [k for k, c in enumerate(cotangents) if c is not None]
    program = seen.case.program
    n = len(program.inputs) + len(program.instrs)
    squares = tuple(Instr("mul", (program.outputs[k], program.outputs[k])) for k in live)
    extended = replace(
        program,
        instrs=program.instrs + squares,
        outputs=program.outputs + tuple(n + j for j in range(len(squares))),
    )
    halves = tuple(np.full_like(np.asarray(cotangents[k]), 0.5) for k in live)
    case = replace(seen.case, program=extended, cotangents=(*seen.case.cotangents, *halves))
    truth = certify_hvp(case)
    if truth.certificate.status != "certified":
        return Claim("second order", "inconclusive", truth.certificate.reason or truth.certificate.status)
    along = [d for d in truth.directions if d is not None]
    arrays = widened(point.arrays, check.dtype)
    with _within(check.call_seconds):
        outcome = check.subject.hvp(arrays, cotangents, along)
    if outcome.failure is not None:
        return Claim("second order", "not promised", f"raised {outcome.failure.kind}: {outcome.failure.message[:120]}")
    if not outcome.grads:
        return Claim("second order", "not promised")
    bound = bound_hvp(case, truth.directions, check.subject.kernels)
    verdict = judge_hvp(case, _cast(outcome, check.dtype), truth, bound)
    if verdict.kind == "disagree" and verdict.worst is not None:
        watched = check.run(arrays, cotangents, watched=True)
        largest = max(watched.largest, _largest(arrays), 1.0) ** 2
        if not is_rounding(verdict, largest, check.rounding, math.inf, None):
            text = (
                f"{check.labelled(verdict).replace('gradient', 'second derivative along a direction')}: the first order is "
                f"right; if the second is not meant, say so (once_differentiable in PyTorch)"
            )
            return Claim("second order", "wrong", text, check.witness(seen, verdict))
        if is_worth_telling(verdict):
            return Claim("second order", "digits lost", verdict.reason)
        verdict = replace(verdict, kind="agree")
    if verdict.kind == "disagree":
        return Claim("second order", "wrong", verdict.reason)
    if verdict.kind == "inconclusive":
        return Claim("second order", "inconclusive", verdict.reason)
    return Claim(
        "second order", "right", f"{verdict.elements} numbers, largest error / bound {verdict.error_over_bound:.2g}"
    )


def _forward_mode(
    check: _Check, point: Point, answer: Answer, cotangents: Sequence[Array | None], seen: _Seen | None
) -> Claim | None:
    if seen is None or seen.certificate.status != "certified" or check.dtype != check.rounding:
        return None
    arrays = widened(point.arrays, check.dtype)
    along = [np.asarray(direction(x.shape, check.rng)).astype(check.dtype) for x in _moving(check, arrays)]
    with _within(check.call_seconds):
        outcome = check.subject.jvp(arrays, along)
    if outcome.failure is not None:
        return Claim("forward mode", "wrong", f"raised {outcome.failure.kind}: {outcome.failure.message[:200]}")
    if not outcome.values:
        return Claim("forward mode", "not promised")
    fixed: list[Array | None] = [None] * (len(seen.case.primals) - len(along))
    truth = certify_jvp(seen.case, [*along, *fixed])
    if truth.status != "certified":
        return Claim("forward mode", "inconclusive", truth.reason)
    bound = bound_jvp(seen.case, [*along, *fixed], check.subject.kernels, rounding=check.rounding)
    verdict = judge_jvp(seen.case, _cast(outcome, check.dtype), truth, bound)
    if verdict.kind == "disagree":
        watched = check.run(arrays, cotangents, watched=True)
        if verdict.worst is None or not is_rounding(
            verdict, max(watched.largest, _largest(arrays), 1.0), check.rounding, math.inf, None
        ):
            return Claim("forward mode", "wrong", verdict.reason)
        if is_worth_telling(verdict):
            return Claim("forward mode", "digits lost", verdict.reason)
    if verdict.kind == "inconclusive":
        return Claim("forward mode", "inconclusive", verdict.reason)
    return Claim(
        "forward mode", "right", f"{verdict.elements} numbers, largest error / bound {verdict.error_over_bound:.2g}"
    )


def _batched(
    check: _Check, point: Point, answer: Answer, cotangents: Sequence[Array | None], seen: _Seen | None
) -> Claim | None:
    if seen is None:
        return None
    arrays = widened(point.arrays, check.dtype)
    moved = nearby(arrays, check.subject.wanted, check.rng, 0.25)
    try:
        beside = check.see(replace(point, arrays=moved), cotangents=cotangents)
    except (Untraceable, _Refused):
        return None
    stacks = [np.stack([x, y]) for x, y in zip(arrays, moved, strict=True)]
    cts = [None if c is None else np.stack([c, c]) for c in cotangents]
    with _within(check.call_seconds):
        outcome = check.subject.batched(stacks, cts)
    if not outcome.values:
        return Claim("batched", "not promised")
    elements = 0
    for k, one in enumerate((seen, beside)):
        part = Outcome(tuple(v[k] for v in outcome.values), tuple(None if g is None else g[k] for g in outcome.grads))
        for verdict in judge(one.case, _cast(part, check.dtype), one.certificate, one.bound):
            if verdict.kind == "disagree":
                found = replace(one, answer=replace(one.answer, outcome=part), vjp=verdict)
                own = one.vjp if verdict.claim == "vjp" else one.value
                if own.kind == "disagree" or (verdict.worst is not None and check.lost(found, verdict)):
                    continue
                return Claim("batched", "wrong", f"point {k} of a batch, {verdict.claim}: {verdict.reason}")
            elements += verdict.elements
    return Claim("batched", "right", f"{elements} numbers of 2 points at once")


_EXACT: dict[str, Ask] = {
    "shape and dtype": _shapes,
    "linearity": _linearity,
    "zero cotangent": _zero,
    "repeatability": _histories,
    "arguments unwritten": _unwritten,
    "needs_input_grad": _needs,
}
_CLAIMS: dict[str, Ask] = {
    **_EXACT,
    "undefined cotangents": _outputs_alone,
    "second order": _second_order,
    "forward mode": _forward_mode,
    "batched": _batched,
}


def _output_specs(program: Program) -> list[Any]:
    specs = infer(program)
    return [specs[i] for i in program.outputs]


def _failure(answer: Answer) -> str:
    failure = answer.outcome.failure
    if failure is None:
        return "nothing"
    first = failure.message.strip().splitlines()
    return f"{failure.kind}: {first[0][:200] if first else ''}"


def _cast(outcome: Outcome, dtype: str) -> Outcome:
    def cast(x: Array | None) -> Any:
        return x if x is None or x.dtype.kind != "f" else x.astype(dtype, copy=False)

    return replace(outcome, values=tuple(map(cast, outcome.values)), grads=tuple(map(cast, outcome.grads)))


def _largest(arrays: Sequence[Array | None]) -> float:
    sizes = [np.abs(x[np.isfinite(x)]).max(initial=0.0) for x in arrays if x is not None and x.dtype.kind == "f"]
    return float(max(sizes, default=0.0))


def _gap(verdict: Verdict, seen: _Seen) -> float:
    """How far the array of the worst element is from the truth, relative to its largest element."""
    assert verdict.worst is not None
    k = verdict.worst.array
    pairs = (
        (seen.answer.outcome.values, seen.certificate.values)
        if verdict.claim == "value"
        else (seen.answer.outcome.grads, seen.certificate.grads)
    )
    if seen.answer.outcome.failure is not None or k >= len(pairs[0]) or k >= len(pairs[1]):
        return math.inf
    got, true = pairs[0][k], pairs[1][k]
    middle: Any = 0.0 if true is None else true if isinstance(true, np.ndarray) else true.midpoints()
    here = np.zeros(np.shape(middle)) if got is None else got.astype(np.float64)
    with np.errstate(all="ignore"):
        error, scale = np.abs(here - middle).max(initial=0.0), np.abs(middle).max(initial=0.0)
        gap = float(error / scale) if scale > 0 else float(error)
    return gap if math.isfinite(gap) else math.inf


def _moving(check: _Check, arrays: Sequence[Array]) -> list[Array]:
    return [x for x, w in zip(arrays, check.subject.wanted, strict=True) if w]


def _middle(balls: Any, x: Array) -> Array:
    return np.zeros(x.shape) if balls is None else np.asarray(balls.midpoints())


def _radius(balls: Any, x: Array) -> Array:
    return np.zeros(x.shape) if balls is None else np.asarray(balls.radii())


def _slack(rooms: Sequence[Array], corners: Sequence[Array], size: float) -> Array:
    """Room for rounding, and for what a smooth derivative may change over the step: as much as its own size per unit."""
    room: Array = np.max(rooms, axis=0)
    spread = np.abs(np.array(corners)).max(initial=0.0)
    widest = float(room.max(initial=0.0))
    slack: Array = np.maximum(room, widest) + 2.0**10 * size * (spread + 1.0)
    return slack


def _is_symmetric(x: Array) -> bool:
    return x.ndim >= 2 and x.shape[-1] == x.shape[-2] > 1 and np.array_equal(x, x.swapaxes(-1, -2))


def _inconclusive(verdict: Verdict, reason: str) -> Verdict:
    n = verdict.elements
    return Verdict("inconclusive", verdict.claim, reason=reason, elements=n, undecided=n, reasons={reason: n})


def _down(x: float) -> float:
    return math.nextafter(x, -math.inf)


def _up(x: float) -> float:
    return math.nextafter(x, math.inf)


@contextlib.contextmanager
def _within(seconds: float) -> Iterator[None]:
    """Raise if the block lasts longer; in the main thread of a Unix process, where a signal can tell."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    def ring(number: int, frame: FrameType | None) -> None:
        raise _OutOfTime(f"a call of the function lasted longer than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
