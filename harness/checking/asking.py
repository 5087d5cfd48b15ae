"""Ask a function for values and gradients, within the time that a call may last."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from harness.cases import Array, Outcome
from harness.frontends import Answer, Subject, Traced
from harness.gradient_points import widened
from harness.judgement import Verdict
from harness.time_limits import within

__all__ = ["Check", "another", "cast", "failure_of", "largest_of"]


ENOUGH_SECONDS = 5.0


@dataclass(eq=False)
class Check:
    """One check: the function, how it is asked, and what is noted on the way."""

    subject: Subject
    source: Subject  # whose forward is recorded
    surrogate: bool
    foreign: bool
    rng: np.random.Generator
    deadline: float
    call_seconds: float
    around: bool
    only: frozenset[str] | None
    modes: bool | None = None
    dtype: str = "float64"
    rounding: str = "float64"
    beside: bool = False  # in float32, where float64 is judged, too
    notes: list[str] = field(default_factory=list)
    refused: int = 0
    script: str = ""
    whole: tuple[Array, ...] | None = None
    random: bool = False
    mixes: bool = True  # a shape of one argument may be broadcast to that of another
    longest: float = 0.0  # seconds of the longest call until now

    def run(self, arrays: Sequence[Array], cotangents: Sequence[Array | None] | None, **how: Any) -> Answer:
        """Ask the judged function, as `Subject.run` does."""
        with self.patiently():
            return self.subject.run(arrays, cotangents, **how)

    @contextlib.contextmanager
    def patiently(self) -> Iterator[None]:
        """Let a call last as long as it may: once one has come back, not many times longer than that.

        A loop that ends when numbers meet a tolerance need not end at other numbers, or in another precision.
        """
        usual = min(self.call_seconds, max(ENOUGH_SECONDS, 10 * self.longest)) if self.longest else self.call_seconds
        began = time.monotonic()
        with within(usual):
            yield
        self.longest = max(self.longest, time.monotonic() - began)

    def values(self, arrays: Sequence[Array]) -> Outcome:
        """Ask for the values of the function whose derivative is meant: the spec of a surrogate, else the judged one."""
        subject, given = (self.source, self.for_source(arrays)) if self.surrogate else (self.subject, arrays)
        with self.patiently():
            return subject.run(given, None).outcome

    def trace(self, arrays: Sequence[Array]) -> Traced:
        """Record the forward whose derivative is meant: that of the function, or of what stands for it."""
        with self.patiently():
            return self.source.trace(self.for_source(arrays))

    def for_source(self, arrays: Sequence[Array]) -> Sequence[Array]:
        """The arrays that the source takes: arguments from here, parameters of its own."""
        if self.source is self.subject or len(self.source.arrays) == len(arrays):
            return arrays
        own = widened(self.source.arrays[self.source.arguments :], self.dtype)
        return [*arrays[: self.subject.arguments], *own]

    def late(self) -> bool:
        """The time is up: nothing further is begun."""
        return time.monotonic() > self.deadline

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

    def labelled(self, verdict: Verdict) -> str:
        """Say what a verdict on gradients found, with the label of the argument."""
        w = verdict.worst
        if w is None:
            return verdict.reason
        label = self.asked[w.array]
        where = f"{label}, element {w.index}" if w.index else label
        if "kink" in verdict.reason:
            return verdict.reason.replace(f"element {w.index} of array {w.array}", f"gradient of {where}", 1)
        return f"gradient of {where} is {w.got!r}, true {w.true!r} +/- {w.bound:.2g}"

    @property
    def asked(self) -> list[str]:
        """The labels of the arrays that a gradient is asked of."""
        return [n for n, w in zip(self.subject.labels, self.subject.wanted, strict=True) if w]

    def moving(self, arrays: Sequence[Array]) -> list[Array]:
        """Those of the arrays that a gradient is asked of."""
        return [x for x, w in zip(arrays, self.subject.wanted, strict=True) if w]


def another(check: Check, **changes: Any) -> Check:
    """The same check in another dtype; what it notes is its own."""
    return replace(check, notes=[], **changes)


def failure_of(answer: Answer) -> str:
    """The error that an answer ended with, on one line."""
    failure = answer.outcome.failure
    if failure is None:
        return "nothing"
    first = failure.message.strip().splitlines()
    return f"{failure.kind}: {first[0][:200] if first else ''}"


def cast(outcome: Outcome, dtype: str) -> Outcome:
    """The outcome with its floats in another dtype."""

    def one(x: Array | None) -> Any:
        return x if x is None or x.dtype.kind != "f" else x.astype(dtype, copy=False)

    return replace(outcome, values=tuple(map(one, outcome.values)), grads=tuple(map(one, outcome.grads)))


def largest_of(arrays: Sequence[Array | None]) -> float:
    """The largest finite magnitude in floating-point arrays; 0 if there is none."""
    sizes = [np.abs(x[np.isfinite(x)]).max(initial=0.0) for x in arrays if x is not None and x.dtype.kind == "f"]
    return float(max(sizes, default=0.0))
