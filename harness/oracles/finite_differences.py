"""Gradients from values alone: extrapolated difference quotients with an error estimate, for any engine.

`gradient(case, engine)` estimates every element, `directional(case, engine, direction)` the one number <g, d>. Each
estimate carries the error that it may have and a note on how it was made; an estimate at a kink has an error as large
as the kink. `FiniteDifferences` offers the same as a backend.

All points are evaluated in float64, whatever the dtype of the case: the question is the derivative at the exact inputs,
and a float32 quotient would have three digits. What detach returns is computed once and held, so that the quotient
belongs to the function that the tape differentiates.

Source: C. J. F. Ridders, Accurate computation of F'(x) and F'(x) F''(x), Adv. Eng. Software 4 (1982) 75-76; the error
of an entry as in W. H. Press et al., Numerical Recipes, 3rd ed., section 5.7, with a term for rounding added.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness import backends
from harness.backends import Engine
from harness.cases import Array, Case, Outcome, Thunk, failed
from harness.programs import Instr, Program, Spec

__all__ = ["Estimate", "FiniteDifferences", "Gradients", "derivative", "directional", "gradient", "hold_detached"]

LEVELS = 10  # step sizes in one table, each half of the one before
SAFETY = 4.0  # by how much the observed differences between entries are enlarged
EPS = 2.0**-52


class Estimate(NamedTuple):
    """A derivative, the error it may have, and how it came about.

    `note` is "" (central differences), "one-sided" (the other side leaves the domain), "kink" (the derivatives from the
    left and from the right differ; `error` covers both), "unsettled" (no step is small enough; error inf) or "not finite"
    (no stencil fits; value nan, error inf).
    """

    value: float
    error: float
    note: str = ""


class Gradients(NamedTuple):
    """Estimates for every input that requires grad: three arrays of the input's shape each."""

    values: tuple[NDArray[np.float64], ...]
    errors: tuple[NDArray[np.float64], ...]
    notes: tuple[NDArray[np.str_], ...]


Sample = Callable[[float], tuple[float, float]]


def derivative(sample: Sample, *, scales: Sequence[float] = (1.0,)) -> Estimate:
    """Estimate the derivative at 0 of a function of one number.

    Args:
        sample: t -> (value, magnitude); rounding errors of the value are expected to be a few ulp of the magnitude.
        scales: lengths over which the function may be expected to change, tried in this order and then finer.

    Returns:
        The estimate of the first step range that is good to six digits, else the one with most digits.
    """
    centre, magnitude = sample(0.0)
    if not math.isfinite(centre):
        return Estimate(math.nan, math.inf, "not finite")
    best = Estimate(math.nan, math.inf, "not finite")
    for start in _starts(scales):
        new = _from_table(sample, centre, magnitude, start)
        rounding = 64 * EPS * magnitude / start
        if _rank(new, rounding) < _rank(best, rounding):
            best = new
        if best.note == "" and best.error <= 1e-6 * abs(best.value) + rounding:
            break
    if best.note == "" and best.error > max(0.1 * abs(best.value), 1e-6 * max(1.0, magnitude)):
        # Quotients that never settle may still agree by accident: a fast oscillation seen at too few points.
        return best._replace(error=math.inf, note="unsettled")
    return best


def _rank(estimate: Estimate, rounding: float) -> tuple[int, float]:
    """Two-sided estimates first, then the one with most digits: absolute errors of unlike step ranges do not compare.

    A derivative of 0 has no digits of its own: it is good if its error is one of rounding.
    """
    scale = max(abs(estimate.value), rounding)
    relative = estimate.error / scale if scale else math.inf
    return ("", "one-sided", "kink", "not finite").index(estimate.note), relative


def _starts(scales: Sequence[float]) -> Iterator[float]:
    seen = set()
    for shift in (3, 9, 15, 21, 27):
        for scale in scales:
            start = math.ldexp(1.0, math.frexp(scale)[1] - 1 - shift)  # a power of two makes x + h exact more often
            if start > 1e-300 and start not in seen:
                seen.add(start)
                yield start


def _from_table(sample: Sample, centre: float, magnitude: float, start: float) -> Estimate:
    """Central and both one-sided tables over the same points, and what their agreement says."""
    steps = [start / 2.0**k for k in range(LEVELS)]
    ups, downs = [sample(h) for h in steps], [sample(-h) for h in steps]
    top = max((m for _, m in [*ups, *downs] if math.isfinite(m)), default=magnitude)
    noise = [EPS * max(top, magnitude) / h for h in steps]
    right = _extrapolate([(v - centre) / h for (v, _), h in zip(ups, steps, strict=True)], 2.0, noise)
    left = _extrapolate([(centre - v) / h for (v, _), h in zip(downs, steps, strict=True)], 2.0, noise)
    quotients = [(u - d) / (2 * h) for (u, _), (d, _), h in zip(ups, downs, steps, strict=True)]
    both = _extrapolate(quotients, 4.0, noise)
    if math.isfinite(both.error):
        gap = abs(right.value - left.value)
        if gap > right.error + left.error:
            return Estimate(both.value, max(both.error, gap), "kink")
        return both
    one = min(right, left, key=lambda e: e.error)
    return one._replace(note="one-sided") if math.isfinite(one.error) else one


def _extrapolate(quotients: Sequence[float], ratio: float, noise: Sequence[float]) -> Estimate:
    """Neville's table to step 0 for an error series in powers of `ratio`; the entry with the least error estimate.

    A quotient that is not finite starts the table anew: the points further out left the domain.
    """
    value, error = math.nan, math.inf
    row: list[float] = []
    read: list[float] = []
    for quotient, rounding in zip(quotients, noise, strict=True):
        if not math.isfinite(quotient):
            row = []
            continue
        new = [quotient]
        factor = 1.0
        for j, old in enumerate(row):
            factor *= ratio
            new.append(new[j] + (new[j] - old) / (factor - 1.0))
            change = max(abs(new[j + 1] - new[j]), abs(new[j + 1] - old))
            estimate = SAFETY * (change + 2.0 * rounding)
            if estimate < error:
                value, error = new[j + 1], estimate
        row = new
        read.append(quotient)
        last = rounding
    if math.isfinite(error):
        # Shorter steps must come nearer. Where the function jumps within the longer ones entries may agree by accident.
        gap = abs(read[-1] - value)
        if gap > error + SAFETY * 2.0 * last + max(abs(q - value) for q in read) / 8.0:
            error = gap
    return Estimate(value, error)


def gradient(case: Case, engine: Engine) -> Gradients:
    """Estimate the VJP of the case's cotangents, element by element, from values of `engine`.

    Raises:
        RuntimeError: the engine failed on the program itself.
    """
    total = _total(case, engine)
    values, errors, notes = [], [], []
    for i, wanted in enumerate(case.requires_grad):
        if not wanted:
            continue
        x = np.asarray(case.primals[i], dtype=np.float64)
        found = [derivative(_along(total, i, k, x), scales=_scales(float(x.flat[k]), 1.0)) for k in range(x.size)]
        values.append(np.array([e.value for e in found], dtype=np.float64).reshape(x.shape))
        errors.append(np.array([e.error for e in found], dtype=np.float64).reshape(x.shape))
        notes.append(np.array([e.note for e in found], dtype="<U10").reshape(x.shape))
    return Gradients(tuple(values), tuple(errors), tuple(notes))


def directional(case: Case, engine: Engine, direction: Sequence[Array]) -> Estimate:
    """Estimate <g, d>: the VJP of the case's cotangents against one direction for every input that requires grad.

    Args:
        case: the question.
        engine: whose values are used.
        direction: one array an input that requires grad, of the input's shape.

    Raises:
        ValueError: `direction` has another length or shape than the inputs that require grad.
        RuntimeError: the engine failed on the program itself.
    """
    wanted = [i for i, w in enumerate(case.requires_grad) if w]
    if len(direction) != len(wanted):
        raise ValueError(f"direction: {len(wanted)} inputs require grad, got {len(direction)} arrays")
    rays = []
    for i, d in zip(wanted, direction, strict=True):
        x = np.asarray(case.primals[i], dtype=np.float64)
        if np.shape(d) != x.shape:
            raise ValueError(f"direction: input {i} has shape {x.shape}, its direction has shape {np.shape(d)}")
        rays.append((i, x, np.asarray(d, dtype=np.float64)))
    moving = [(float(a), float(b)) for _, x, d in rays for a, b in zip(x.flat, d.flat, strict=True) if b]
    if not moving:
        return Estimate(0.0, 0.0)
    total = _total(case, engine)
    scales = [min(s) for s in zip(*[_scales(a, b) for a, b in moving], strict=True)]

    def sample(t: float) -> tuple[float, float]:
        return total({i: x + t * d for i, x, d in rays})

    return derivative(sample, scales=scales)


def _scales(x: float, d: float) -> tuple[float, float]:
    """The step lengths to try for a coordinate: its unit, and its own size (log near 0 changes over |x|)."""
    size = abs(x) if x and math.isfinite(x) else 1.0
    return max(1.0, size) / abs(d), size / abs(d)


def _along(total: Callable[[Mapping[int, Array]], tuple[float, float]], i: int, k: int, x: Array) -> Sample:
    def sample(t: float) -> tuple[float, float]:
        moved = np.array(x, order="C")
        moved.reshape(-1)[k] += t
        return total({i: moved})

    return sample


def _total(case: Case, engine: Engine) -> Callable[[Mapping[int, Array]], tuple[float, float]]:
    """The function of some replaced primals whose gradient is the VJP: (sum <ct, y>, sum |ct y|)."""
    primals = tuple(_widen(x) for x in case.primals)
    outputs = tuple(s for s, ct in zip(case.program.outputs, case.cotangents, strict=True) if ct is not None)
    cotangents = [np.asarray(ct, dtype=np.float64) for ct in case.cotangents if ct is not None]
    program, primals = hold_detached(
        Program(case.program.inputs, case.program.instrs, outputs), primals, lambda p, xs: _values(engine, p, xs)
    )

    def total(moved: Mapping[int, Array]) -> tuple[float, float]:
        if not cotangents:
            return 0.0, 0.0
        values = _values(engine, program, [moved.get(i, x) for i, x in enumerate(primals)])
        with np.errstate(all="ignore"):
            terms = np.concatenate(
                [np.multiply(ct, y, dtype=np.float64).ravel() for ct, y in zip(cotangents, values, strict=True)]
            )
            magnitude = float(np.abs(terms).sum())
        # fsum raises on infinities of both signs; a sum that is not finite is no use here anyway.
        return (math.fsum(terms), magnitude) if math.isfinite(magnitude) else (math.nan, math.nan)

    return total


def _widen(x: Array) -> Array:
    return x.astype(np.float64) if x.dtype.kind == "f" else x


def _values(engine: Engine, program: Program, primals: Sequence[Array]) -> tuple[Array, ...]:
    case = Case(program, tuple(primals), (False,) * len(primals), (None,) * len(program.outputs))
    outcome = engine.value_thunk(case)()
    if outcome.failure is not None:
        raise RuntimeError(f"{engine.name} failed on the values: {outcome.failure.kind}: {outcome.failure.message}")
    return outcome.values


def hold_detached(
    program: Program, primals: tuple[Array, ...], values: Callable[[Program, Sequence[Array]], tuple[Array, ...]]
) -> tuple[Program, tuple[Array, ...]]:
    """Replace every detach by a further input that holds what it returned at `primals`.

    The new program has the same outputs at `primals`, and its derivative with respect to the old inputs is what the tape
    means: detached values are constants.
    """
    n = len(program.inputs)
    cuts = [n + k for k, instr in enumerate(program.instrs) if instr.op == "detach"]
    if not cuts:
        return program, primals
    held = values(Program(program.inputs, program.instrs, tuple(cuts)), primals)
    kinds = {"f": "float", "b": "bool"}
    inputs = (*program.inputs, *(Spec(h.shape, kinds.get(h.dtype.kind, "int")) for h in held))
    place = {slot: slot for slot in range(n)} | {cut: n + j for j, cut in enumerate(cuts)}
    instrs: list[Instr] = []
    for k, instr in enumerate(program.instrs):
        if instr.op == "detach":
            continue
        args = tuple(place[a] if isinstance(a, int) else a for a in instr.args)
        place[n + k] = len(inputs) + len(instrs)
        instrs.append(Instr(instr.op, args, instr.params))
    return Program(inputs, tuple(instrs), tuple(place[s] for s in program.outputs)), (*primals, *held)


@dataclass(frozen=True)
class FiniteDifferences:
    """A backend whose gradients are difference quotients of another engine's values; `estimate` has their errors too."""

    of: str = "reference"
    name: str = "finite-differences"
    conventions: Mapping[str, str] = field(default_factory=dict)

    @property
    def engine(self) -> Engine:
        """The engine whose values are used."""
        return backends.get(self.of)

    @property
    def version(self) -> str:
        """Version of that engine."""
        return self.engine.version

    def supports(self, program: Program) -> str | None:
        """As the engine."""
        return self.engine.supports(program)

    def estimate(self, case: Case) -> Gradients:
        """Gradients with their error estimates and notes."""
        return gradient(case, self.engine)

    def prepare(self, case: Case) -> Thunk:
        """The thunk computes values and all quotients; grads have the dtype of the case, nan where no stencil fits."""
        value = self.value_thunk(case)

        def thunk() -> Outcome:
            outcome = value()
            if outcome.failure is not None:
                return outcome
            try:
                found = self.estimate(case)
            except RuntimeError as error:
                return failed(error)
            grads: tuple[Any, ...] = tuple(g.astype(case.dtype) for g in found.values)
            return Outcome(outcome.values, grads)

        return thunk

    def value_thunk(self, case: Case) -> Thunk:
        """As the engine."""
        return self.engine.value_thunk(case)
