"""The known answer of a workload and the one place that decides whether a timed value is right.

`known_answer` evaluates the hand-written gradient in extended precision and derives, element by element, how far rounding
alone can carry a working-precision result. `check` holds a backend's arrays against it. There is no tolerance to choose:
the bound follows from the inputs, the dtype and the number of terms of the longest sum.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.workloads import PLAIN, Array, Input, Workload

__all__ = ["Checked", "KnownAnswer", "check", "known_answer", "remembered"]

# Errors of t roundings add up like a random walk: beyond LAMBDA sqrt(t) unit roundoffs with a probability of less than
# 2 exp(-LAMBDA**2 / 2) for each element. Source: Higham, Mary, A new approach to probabilistic rounding error analysis,
# SIAM J. Sci. Comput. 41 (2019) A2815. Kernels that err by a few ulps where NumPy's do not are within it too.
LAMBDA = 16.0
_JITTERS = 3

Exact = NDArray[np.longdouble]


@dataclass(frozen=True, eq=False)
class KnownAnswer:
    """The value and the gradients of a workload at some inputs, with what rounding may do to each element.

    Attributes:
        arrays: the value, then one gradient an input that requires grad, in extended precision.
        bounds: absolute error that rounding in the working dtype can explain, of the same shapes.
        dtype: the working dtype, which the arrays of a backend must have.
    """

    arrays: tuple[Exact, ...]
    bounds: tuple[Exact, ...]
    dtype: str

    def value_only(self) -> KnownAnswer:
        """The part of it that a backend without gradients is held against."""
        return KnownAnswer(self.arrays[:1], self.bounds[:1], self.dtype)


@dataclass(frozen=True)
class Checked:
    """What a comparison found.

    Attributes:
        reason: why the arrays are wrong; "" if they are right.
        error: largest ``max |x - y| / max |y|`` over the arrays, y the known answer; nan where none could be compared.
        error_over_bound: largest error / bound over all elements.
    """

    reason: str = ""
    error: float = float("nan")
    error_over_bound: float = float("nan")


def known_answer(
    workload: Workload,
    inputs: Sequence[Input],
    cotangent: Array,
    *,
    dtype: str,
    rng: np.random.Generator,
    what: str = "vjp",
) -> KnownAnswer:
    """Evaluate the hand-written value and gradient, and bound the rounding errors of any other evaluation.

    Another question `what` gets its own answer by hand; `cotangent` is then the direction that it is asked along.

    The error of an element is seen on evaluations in the working dtype whose inputs are moved by one rounding each: that
    shows how the function magnifies roundings of its inputs and of its intermediates alike. The bound is
    ``LAMBDA sqrt(t) (u |y| + largest error seen)`` with t the elements of the largest input.

    Raises:
        ValueError: the known answer is not finite, so nothing could be held against it.
    """
    exact = _evaluate(workload, [_widen(a) for a in inputs], cotangent.astype(np.longdouble), what)
    if not all(np.isfinite(a).all() for a in exact):
        raise ValueError(f"workload {workload.name!r}: the known answer is not finite at these inputs")
    u = float(np.finfo(dtype).eps) / 2
    seen = [np.zeros_like(a) for a in exact]
    for _ in range(_JITTERS):
        moved = [_jitter(a, u, rng) for a in inputs]
        for most, got, y in zip(seen, _evaluate(workload, moved, cotangent, what), exact, strict=True):
            np.maximum(most, np.abs(got - y), out=most)
    terms = max(a.size for a in inputs if isinstance(a, np.ndarray))
    allowed = LAMBDA * max(1, terms) ** 0.5
    tiny = float(np.finfo(dtype).tiny)  # results below it may be flushed to zero
    bounds = tuple(allowed * (u * np.abs(y) + e + tiny) for y, e in zip(exact, seen, strict=True))
    return KnownAnswer(tuple(exact), bounds, dtype)


def check(answer: KnownAnswer, arrays: Sequence[Array]) -> Checked:
    """Hold a backend's arrays against the known answer: number, shape, dtype, finiteness, then every element."""
    if len(arrays) != len(answer.arrays):
        return Checked(f"{len(arrays)} arrays were returned, {len(answer.arrays)} were asked for")
    error = over = 0.0
    elements = 0
    for place, (x, y, bound) in enumerate(zip(arrays, answer.arrays, answer.bounds, strict=True)):
        name = "the value" if place == 0 else f"gradient {place - 1}"
        if x.shape != y.shape:
            return Checked(f"{name} has shape {x.shape}, the known answer {y.shape}")
        if str(x.dtype) != answer.dtype:
            return Checked(f"{name} has dtype {x.dtype}, the inputs {answer.dtype}")
        if not np.isfinite(x).all():
            where = tuple(int(i) for i in np.argwhere(~np.isfinite(x))[0])
            return Checked(f"{name} is {float(x[where])} at {where}, the known answer {float(y[where])!r}")
        if not x.size:
            continue
        elements += x.size
        gap = np.abs(x - y)
        ratio = gap / bound
        worst = np.unravel_index(int(np.argmax(ratio)), ratio.shape)
        if ratio[worst] > 1:
            where = tuple(int(i) for i in worst)
            return Checked(
                f"{name} is {float(x[worst])!r} at {where}, the known answer {float(y[worst])!r}: "
                f"the error is {float(ratio[worst]):.3g} times what rounding explains"
            )
        over = max(over, float(ratio[worst]))
        top = float(np.abs(y).max())
        error = max(error, float(gap.max()) / top if top else float(gap.max()))
    if not elements:
        return Checked("nothing was compared: all arrays are empty")
    return Checked("", error, over)


def remembered(judge: Callable[[Sequence[Array]], Checked]) -> Callable[[Sequence[Array]], Checked]:
    """A check that answers at once for arrays that equal, bit for bit but for the sign of zero, those it found right last.

    Most backends compute the same in every sample, and holding a large result against its bound takes longer than timing it.
    """
    last: tuple[Sequence[Array], Checked] | None = None

    def again(arrays: Sequence[Array]) -> Checked:
        nonlocal last
        if last is not None and _same(arrays, last[0]):
            return last[1]
        found = judge(arrays)
        last = None if found.reason else (arrays, found)
        return found

    return again


def _same(a: Sequence[Array], b: Sequence[Array]) -> bool:
    return len(a) == len(b) and all(
        x.dtype == y.dtype and x.shape == y.shape and bool((x == y).all()) for x, y in zip(a, b, strict=True)
    )


def _evaluate(workload: Workload, inputs: Sequence[Input], cotangent: Array, what: str) -> list[Exact]:
    if what not in PLAIN:
        return [np.asarray(a, dtype=np.longdouble) for a in workload.more[what](*inputs, cotangent)]
    value, pull_back = workload.by_hand(*inputs)
    return [np.asarray(a, dtype=np.longdouble) for a in (value, *pull_back(cotangent))]


def _widen(a: Input) -> Input:
    return a.astype(np.longdouble) if isinstance(a, np.ndarray) and a.dtype.kind == "f" else a


def _jitter(a: Input, u: float, rng: np.random.Generator) -> Input:
    if not (isinstance(a, np.ndarray) and a.dtype.kind == "f"):
        return a
    step = rng.choice(np.array([-2 * u, 2 * u], dtype=a.dtype), a.shape)
    moved: Array = a + a * step
    return moved
