"""The certificate: what the value and the gradient of a case truly are, proved in two passes.

Pass (a) runs the program and the reference's own backward in ball arithmetic: an interval for every element, valid if
the reference's rules are right. Pass (b) runs the program once on power series truncated after the first order, along a
random direction d: FLINT's derivative arithmetic and no rule of ours. Its derivative of <cotangents, outputs> must
overlap <gradient, d>. A wrong rule moves that sum away from it for all directions but a set of measure zero, so one
direction certifies all elements at once, however many there are.

The primals are the exact floats that the backends get.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

import reference_impl
from harness.backends import straighten
from harness.backends.reference import OPS
from harness.cases import Array, Case
from harness.conventions import formulae
from harness.oracles.balls import BallArray, Undecidable, precision, undecided
from harness.oracles.enclosures import enclose
from harness.oracles.series import SERIES, SeriesArray, series_length
from harness.oracles.steps import Recording, recording
from harness.oracles.worlds import MOST, TooManyError, worlds
from harness.points import rounded

__all__ = ["Certificate", "Pulled", "Status", "certify", "pull_back_balls", "push_forward_series", "rounded"]
from harness.programs import Program
from harness.spelling import TORCH

reference_impl.register_array_type(BallArray, enclose)
reference_impl.register_array_type(SeriesArray, lambda name, args, params: SERIES[name](*args, **params))

Pulled = tuple[tuple[Any, ...], tuple[BallArray | None, ...]]
"""The values and the gradients of a case, as balls."""

Status = Literal["certified", "kink", "tie", "refuted", "unbounded", "undecided"]
FIRST_BITS, TIE_BITS, LAST_BITS = 128, 256, 1024
WIDTH_BITS = 80  # relative width of an interval below which more precision would tell nothing new


@dataclass(frozen=True, eq=False)
class Certificate:
    """What is proved of a case.

    Attributes:
        values: one entry an output: balls, or a bool array.
        grads: one entry an input that requires grad: balls, None where no path leads to it (a gradient of exact zero).
        status: "certified": pass (b) agrees. "kink": the point is one where the function has no derivative along the
            direction, so the balls are the chain rule under PyTorch's conventions, not a derivative. "refuted": pass (b)
            contradicts pass (a): a rule of the reference is wrong. "unbounded": a value or gradient is not finite
            (overflow of the balls, a domain edge), so the sum cannot be compared. "tie": a decision between numbers
            that are equal or closer than any precision tells; the balls hold the results of both outcomes.
            "undecided": the same, where even that is not possible; there are no balls.
        reason: what happened, in words, unless certified.
        bits: the working precision at which the balls settled.
        others: where equal elements had to be chosen from, the values and gradients of the other choices; those of the
            certificate itself belong to the first.
        steps: the primitives that pass (a) ran, where no choice was made, for the bounds.
    """

    values: tuple[Any, ...]
    grads: tuple[BallArray | None, ...]
    status: Status
    reason: str = ""
    bits: int = FIRST_BITS
    others: tuple[Pulled, ...] = ()
    steps: Recording | None = field(default=None, repr=False)

    @property
    def lost(self) -> float:
        """Share of the values and gradients whose truth is not finite: outside a domain, at a pole."""
        arrays = [a for a in (*self.values, *self.grads) if type(a) is BallArray]
        cells = [c for a in arrays for c in a.cells.ravel().tolist()]
        return sum(not c.is_finite() for c in cells) / len(cells) if cells else 0.0


def certify(case: Case, *, seed: int = 0) -> Certificate:
    """Prove the value and gradient of a case; `seed` chooses the direction of pass (b)."""
    bits = FIRST_BITS
    tie = ""
    while True:
        try:
            with precision(bits), undecided("union" if tie else "raise"), recording() as steps:
                (values, grads), *others = worlds(functools.partial(pull_back_balls, case, record=steps), MOST)
        except Undecidable as error:
            # Two numbers that are equal, or nearly: more bits may tell. If not, the balls hold both outcomes.
            if tie:
                return Certificate((), (), "undecided", f"{error.primitive} cannot be decided", bits)
            tie = error.primitive if bits >= TIE_BITS else ""
            bits = max(bits, min(2 * bits, TIE_BITS))
            continue
        except TooManyError as error:
            return Certificate((), (), "undecided", f"{tie} cannot be decided: {error}", bits)
        if tie:
            return Certificate(values, grads, "tie", f"{tie} cannot be decided", bits, tuple(others))
        if bits >= LAST_BITS or _settled(grads):
            break
        bits *= 2
    status, reason = _second_pass(case, grads, seed, bits)
    return Certificate(values, grads, status, reason, bits, steps=None if others else steps)


def _composed(op: Callable[..., Any]) -> Callable[..., Any]:
    """Return an op of the reference that is made of primitives as a function of series: only its primitives have one."""

    def on_series(*args: Any, **params: Any) -> Any:
        arrays = (SeriesArray, BallArray, np.ndarray)
        with reference_impl.no_grad():
            y = op(*(reference_impl.Tensor(a) if isinstance(a, arrays) else a for a in args), **params)
        return y.array

    return on_series


# An op that `harness.spelling` writes out may share its name, but not its parameters, with a primitive that it is made of.
_ON_SERIES = {name: SERIES[name] if name in SERIES and name not in TORCH else _composed(op) for name, op in OPS.items()}


@functools.lru_cache(maxsize=256)
def _evaluator(program: Program, dtype: str, on_series: bool) -> Callable[[Sequence[Any]], list[Any]]:
    """Return the program as one function, its literals rounded to the dtype as every backend rounds them."""
    return straighten(rounded(program, dtype), _ON_SERIES if on_series else OPS)


def _as_computed(program: Program, dtype: str) -> Callable[[Sequence[Any]], list[Any]]:
    """Return the program as one function on balls, its ops as the framework computes them whose conventions are in force."""
    others = formulae()
    if not any(instr.op in others for instr in program.instrs):
        return _evaluator(program, dtype, False)
    return straighten(rounded(program, dtype), {**OPS, **others})


def pull_back_balls(
    case: Case,
    convert: Callable[[Array], BallArray] = BallArray.from_floats,
    backward: Callable[[], AbstractContextManager[None]] = nullcontext,
    record: Recording | None = None,
) -> Pulled:
    """Run the case on the reference tape with balls for floats; return its values and gradients as balls.

    Args:
        case: the program at a point.
        convert: makes balls of float primals and cotangents; exact ones by default.
        backward: a context for the backward half.
        record: what the primitives are noted in, to be told what goes in and comes out.
    """
    evaluate = _as_computed(case.program, case.dtype)
    inputs = []
    for x, wants in zip(case.primals, case.requires_grad, strict=True):
        t = reference_impl.Tensor(convert(x) if x.dtype.kind == "f" else x)
        t._requires_grad = wants
        inputs.append(t)
    outputs = evaluate(inputs)
    roots, seeds = [], []
    for y, ct in zip(outputs, case.cotangents, strict=True):
        if ct is not None and y.requires_grad:
            roots.append(y)
            seeds.append(reference_impl.Tensor(convert(ct)))
    wanted = [x for x in inputs if x._requires_grad]
    grads: Sequence[Any] = [None] * len(wanted)
    if record is not None:
        record.inputs = [x.array for x in (*inputs, *seeds) if type(x.array) is BallArray]
        record.backward = len(record.noted)
    if roots and wanted:
        with backward():
            grads = reference_impl.autograd.grad(roots, wanted, seeds, allow_unused=True)
    results = tuple(y.array for y in outputs), tuple(None if g is None else g.array for g in grads)
    if record is not None:
        record.results = results
    return results


def push_forward_series(case: Case, directions: Sequence[Array | None], length: int = 2) -> list[Any]:
    """Run the program on power series: input i along `directions[i]`, None for an input that stays fixed."""
    inputs = [
        x if x.dtype.kind != "f" else SeriesArray.from_floats(x, 0.0 if d is None else d)
        for x, d in zip(case.primals, directions, strict=True)
    ]
    return _evaluator(case.program, case.dtype, True)(inputs)


def direction(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Return a random direction whose entries are exact in any float dtype, none of them zero."""
    sizes: Array = rng.integers(1, 1 << 20, shape) * (2 * rng.integers(0, 2, shape) - 1) / (1 << 20)
    return sizes


def _settled(grads: Sequence[BallArray | None]) -> bool:
    for g in grads:
        for c in () if g is None else g.cells.ravel().tolist():
            if c.is_finite() and not c.is_exact() and c.rel_accuracy_bits() < WIDTH_BITS and not c.is_zero():
                # A ball around 0 has no relative accuracy; what counts there is that it is tiny.
                if float(c.rad()) > 2.0 ** (-WIDTH_BITS - 1022):
                    return False
    return True


def _second_pass(case: Case, grads: Sequence[BallArray | None], seed: int, bits: int) -> tuple[Status, str]:
    rng = np.random.default_rng(seed)
    directions = [
        direction(x.shape, rng) if wants else None for x, wants in zip(case.primals, case.requires_grad, strict=True)
    ]
    try:
        with precision(bits), series_length(2), undecided("raise"):
            outputs = push_forward_series(case, directions)
            left: Any = BallArray.from_floats(np.zeros(()))
            for y, ct in zip(outputs, case.cotangents, strict=True):
                if ct is not None and isinstance(y, SeriesArray):
                    left = left + _inner(y.tangent, ct)
            right: Any = BallArray.from_floats(np.zeros(()))
            for g, d in zip(grads, [d for d in directions if d is not None], strict=True):
                if g is not None:
                    right = right + _inner(g, d)
    except Undecidable as error:
        return "kink", f"{error.primitive} has no derivative here"
    if right.is_finite()[()] and not left.is_finite()[()]:
        return "kink", "the function has no power series here"
    if not (left.is_finite()[()] and right.is_finite()[()]):
        return "unbounded", "a value or derivative is not finite"
    if not left.overlaps(right)[()]:
        return (
            "refuted",
            f"along a random direction the derivative is {left.cells[()]}, the rules give {right.cells[()]}",
        )
    return "certified", ""


def _inner(balls: BallArray, numbers: Array) -> BallArray:
    total: BallArray = enclose("sum", (balls * BallArray.from_floats(np.asarray(numbers)),), {})
    return total
