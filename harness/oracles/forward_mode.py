"""Forward mode: what the tangents J d of a case truly are, and how far a backend may be from them.

The truth needs no rule of ours: the program runs on power series along d. The bound runs the reference twice in reverse
on balls: J d is the gradient, in its cotangent, of <J'ct, d>; after each primitive the result is widened by the declared
error of the backend's kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from harness.backends import straighten
from harness.backends.reference import OPS
from harness.cases import Array, Case, Outcome
from harness.judgement import Verdict, judge
from harness.oracles.balls import BallArray, Undecidable, precision, undecided, widening
from harness.oracles.bound import BITS, Bound, widener
from harness.oracles.certificate import Certificate, push_forward_series, rounded
from harness.oracles.series import SeriesArray, series_length
from reference_impl import autograd
from reference_impl.tensor import Tensor

__all__ = ["bound_jvp", "certify_jvp", "judge_jvp"]

BITS_USED = 192


def certify_jvp(case: Case, directions: Sequence[Array | None]) -> Certificate:
    """Prove the tangents of all outputs along the directions: one an input, None for one that stays fixed."""
    try:
        with precision(BITS_USED), series_length(2), undecided("raise"):
            outputs = push_forward_series(case, directions)
            tangents = tuple(y.tangent if isinstance(y, SeriesArray) else _zeros(y) for y in outputs)
    except Undecidable as error:
        return Certificate((), (), "undecided", f"{error.primitive} has no derivative here")
    return Certificate(tangents, (), "certified", "", BITS_USED)


def bound_jvp(case: Case, directions: Sequence[Array | None], backend: str, *, rounding: str | None = None) -> Bound:
    """Say where the tangents may lie as the backend computes them."""
    dtype = rounding or case.dtype
    exact = rounded(case.program, case.dtype)
    with precision(BITS[dtype]), undecided("union"), widening(widener(backend, dtype)):
        inputs = []
        for x, wants in zip(case.primals, case.requires_grad, strict=True):
            t = Tensor(BallArray.from_floats(x) if x.dtype.kind == "f" else x)
            t._requires_grad = wants
            inputs.append(t)
        outputs = straighten(exact, OPS)(inputs)
        seeds = [_leaf(y) if y.requires_grad else None for y in outputs]
        roots = [y for y in outputs if y.requires_grad]
        leaves = [x for x in inputs if x._requires_grad]
        slope: Any = None
        if roots:
            given = [s for s in seeds if s is not None]
            grads = autograd.grad(roots, leaves, given, create_graph=True, allow_unused=True)
            for g, d in zip(grads, [d for d in directions if d is not None], strict=True):
                if g is not None:
                    part = (g * Tensor(BallArray.from_floats(d))).sum()
                    slope = part if slope is None else slope + part
        tangents: list[Any] = []
        for y, seed in zip(outputs, seeds, strict=True):
            found = None
            if seed is not None and slope is not None and slope.requires_grad:
                found = autograd.grad([slope], [seed], allow_unused=True, retain_graph=True)[0]
            tangents.append(_zeros(y.array) if found is None else found.array)
    return Bound(tuple(tangents), ())


def judge_jvp(case: Case, outcome: Outcome, truth: Certificate, bound: Bound) -> Verdict:
    """Judge tangents, which stand as the outcome's values; the claim is "jvp"."""
    return replace(
        judge(replace(case, requires_grad=(False,) * len(case.primals)), outcome, truth, bound)[0], claim="jvp"
    )


def _leaf(y: Any) -> Any:
    t = Tensor(BallArray.from_floats(np.ones(y.shape)))
    t._requires_grad = True
    return t


def _zeros(y: Any) -> BallArray:
    return BallArray.from_floats(np.zeros(y.shape))
