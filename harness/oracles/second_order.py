"""Second order: what the product of the Hessian with a direction truly is, proved in two passes like the first order.

For f(x) = <cotangents, outputs> the question is ``H d``, the gradient of <grad f, d>. Pass (a) runs the reference's
double backward (`create_graph`) in ball arithmetic. Pass (b) runs the program alone on power series of length 3, whose
second coefficient along u is u'Hu / 2; from f'' along u + d and along u - d polarisation gives <u, H d> without any
rule of ours. For a random u the two must overlap.

`run_hvp` asks a backend, `bound_hvp` says how far it may lie, `judge_hvp` decides.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from harness.backends import straighten
from harness.backends.reference import OPS
from harness.cases import Array, Case, Outcome, failed
from harness.judgement import Verdict, judge
from harness.oracles.balls import BallArray, Undecidable, precision, undecided, widening
from harness.oracles.bound import BITS, Bound, sums_in_any_order, widener
from harness.oracles.certificate import Certificate, direction, push_forward_series, rounded
from harness.oracles.enclosures import enclose
from harness.oracles.series import SeriesArray, series_length
from reference_impl import autograd
from reference_impl.tensor import Tensor

__all__ = ["SecondOrder", "bound_hvp", "certify_hvp", "judge_hvp", "run_hvp"]

BITS_USED = 192


@dataclass(frozen=True, eq=False)
class SecondOrder:
    """What is proved of the second order of a case.

    Attributes:
        certificate: as for the first order, its `grads` being H d, one entry an input that requires grad; its one value
            is <grad f, d>.
        directions: d, one an input, None for one that stays fixed.
    """

    certificate: Certificate
    directions: tuple[Array | None, ...]


def certify_hvp(case: Case, *, seed: int = 0) -> SecondOrder:
    """Prove H d for a random direction d chosen by `seed`."""
    rng = np.random.default_rng([seed, 2])
    d, u = (
        tuple(
            np.asarray(direction(x.shape, rng)) if r else None
            for x, r in zip(case.primals, case.requires_grad, strict=True)
        )
        for _ in range(2)
    )
    try:
        with precision(BITS_USED), undecided("raise"):
            slope, products = _double_backward_on_balls(case, d)
    except Undecidable as error:
        return SecondOrder(Certificate((), (), "undecided", f"{error.primitive} cannot be decided"), d)
    status, reason = "certified", ""
    try:
        with precision(BITS_USED), series_length(3), undecided("raise"):
            # u'Hd = (f''(u + d) - f''(u - d)) / 4, and coefficient 2 of the series is f'' / 2.
            left = (_curvature(case, u, d, 1.0) - _curvature(case, u, d, -1.0)) * 0.5
            right = _total(
                [_inner(p, v) for p, v in zip(products, [v for v in u if v is not None], strict=True) if p is not None]
            )
        if not (left.is_finite()[()] and right.is_finite()[()]):
            status, reason = "unbounded", "a second derivative is not finite"
        elif not left.overlaps(right)[()]:
            status, reason = "refuted", f"the second derivative is {left.cells[()]}, the rules give {right.cells[()]}"
    except Undecidable as error:
        status, reason = "kink", f"{error.primitive} has no derivative here"
    values = (BallArray.from_floats(np.zeros(())),) if slope is None else (slope,)
    return SecondOrder(Certificate(values, tuple(products), status, reason, BITS_USED), d)  # type: ignore[arg-type]  # status is one of Status


def bound_hvp(case: Case, directions: Sequence[Array | None], backend: str) -> Bound:
    """Say where H d may lie as the backend computes it: every primitive of the double backward widened.

    Both backwards add up the cotangents of a value in an order of the engine's own.
    """
    try:
        with (
            precision(BITS[case.dtype]),
            undecided("union"),
            widening(widener(backend, case.dtype)),
            sums_in_any_order(),
        ):
            slope, products = _double_backward_on_balls(case, directions)
    except Undecidable:
        return Bound((), (), undecided=True)
    return Bound((BallArray.from_floats(np.zeros(())) if slope is None else slope,), tuple(products))


def run_hvp(case: Case, directions: Sequence[Array | None], backend: str) -> Outcome:
    """Ask "reference" or "torch" for <grad f, d> and H d by backward through backward; exceptions become failures.

    Raises:
        ValueError: another backend.
    """
    if backend not in ("reference", "torch"):
        raise ValueError(f"backend: second order is asked of 'reference' and 'torch', got {backend!r}")
    try:
        with np.errstate(all="ignore"):
            on = _on_torch() if backend == "torch" else _on_reference(np.array)
            slope, products = _double_backward(case, directions, on)
    except Exception as error:  # whatever the framework raises is its outcome
        return failed(error)
    return Outcome((np.zeros((), case.dtype) if slope is None else slope,), tuple(products))


def judge_hvp(case: Case, outcome: Outcome, truth: SecondOrder, bound: Bound) -> Verdict:
    """Judge H d; the claim is "hvp". A framework that says that it has no such derivative is unsupported, not wrong."""
    message = "" if outcome.failure is None else outcome.failure.message
    if "derivative for" in message and "not implemented" in message:
        return Verdict("unsupported", "hvp", reason=message)
    # Cotangents and directions went in; what cancels is as large as their product.
    size = max([float(np.abs(v).max()) for v in truth.directions if v is not None and v.size], default=1.0)
    scaled = replace(
        case, cotangents=tuple(None if ct is None else np.multiply(ct, max(size, 1.0)) for ct in case.cotangents)
    )
    return replace(judge(scaled, outcome, truth.certificate, bound)[1], claim="hvp")


@dataclass(frozen=True)
class _Engine:
    """What double backward needs of a tape: its ops, leaves, constants, `grad`, and the way back to arrays."""

    ops: Mapping[str, Callable[..., Any]]
    leaf: Callable[[Array, bool], Any]
    constant: Callable[[Array], Any]
    grad: Callable[..., Any]
    array: Callable[[Any], Any]


def _on_reference(lift: Callable[[Array], Any]) -> _Engine:
    """The reference tape on the arrays that `lift` makes of floats."""

    def leaf(x: Array, wants: bool) -> Any:
        t = Tensor(lift(x) if x.dtype.kind == "f" else x)
        t._requires_grad = wants
        return t

    return _Engine(OPS, leaf, lambda x: Tensor(lift(x)), autograd.grad, lambda t: t.array)


def _on_torch() -> _Engine:
    engine: Any = importlib.import_module("harness.backends.torch_eager")

    def leaf(x: Array, wants: bool) -> Any:
        return engine.same_layout(x).requires_grad_(wants)

    def array(t: Any) -> Array:
        # PyTorch gives some zeros without memory behind them, which `numpy(force=True)` reads all the same.
        with engine.torch.no_grad():
            dense: Array = engine.torch.zeros(t.shape, dtype=t.dtype).add_(t).numpy()
        return dense

    return _Engine(engine.OPS, leaf, engine.same_layout, engine.torch.autograd.grad, array)


def _double_backward_on_balls(case: Case, directions: Sequence[Array | None]) -> tuple[Any, list[Any]]:
    exact = replace(case, program=rounded(case.program, case.dtype))
    return _double_backward(exact, directions, _on_reference(BallArray.from_floats))


def _double_backward(case: Case, directions: Sequence[Array | None], on: _Engine) -> tuple[Any, list[Any]]:
    """Return <grad f, d> and H d by backward through backward; None where nothing depends on anything."""
    inputs = [on.leaf(x, r) for x, r in zip(case.primals, case.requires_grad, strict=True)]
    outputs = straighten(case.program, on.ops)(inputs)
    rooted = [
        (y, on.constant(ct))
        for y, ct in zip(outputs, case.cotangents, strict=True)
        if ct is not None and y.requires_grad
    ]
    wanted = [x for x, r in zip(inputs, case.requires_grad, strict=True) if r]
    nothing: list[Any] = [None] * len(wanted)
    if not rooted or not wanted:
        return None, nothing
    roots, seeds = (list(side) for side in zip(*rooted, strict=True))
    grads = on.grad(roots, wanted, seeds, create_graph=True, allow_unused=True)
    along = [np.asarray(d, case.dtype) for d in directions if d is not None]
    slope: Any = None
    for g, d in zip(grads, along, strict=True):
        if g is not None:
            part = (g * on.constant(d)).sum()
            slope = part if slope is None else slope + part
    if slope is None or not slope.requires_grad:
        return (None if slope is None else on.array(slope)), nothing
    products = on.grad([slope], wanted, allow_unused=True)
    return on.array(slope), [None if p is None else on.array(p) for p in products]


def _curvature(case: Case, u: Sequence[Array | None], d: Sequence[Array | None], sign: float) -> Any:
    """Coefficient 2 of <cotangents, f> along u + sign * d; the sum is exact, as the directions are short."""
    along = [None if a is None or b is None else np.add(a, np.multiply(sign, b)) for a, b in zip(u, d, strict=True)]
    outputs = push_forward_series(case, along, 3)
    return _total(
        [
            _inner(y.coefficient(2), ct)
            for y, ct in zip(outputs, case.cotangents, strict=True)
            if ct is not None and isinstance(y, SeriesArray)
        ]
    )


def _inner(balls: BallArray, numbers: Array) -> BallArray:
    total: BallArray = enclose("sum", (balls * BallArray.from_floats(np.asarray(numbers)),), {})
    return total


def _total(parts: Sequence[BallArray]) -> BallArray:
    total = BallArray.from_floats(np.zeros(()))
    for part in parts:
        total = total + part
    return total
