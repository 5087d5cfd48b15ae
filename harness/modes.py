"""Forward and reverse mode and their compositions, each held against the same proof.

For f(x) = <cotangents, outputs> the tangents J d come from forward mode alone, and the product of the Hessian with a
direction from reverse over reverse, forward over reverse and reverse over forward; forward over forward gives the mixed
partial u'H d, once for each order of the directions. The truth is that of `harness.oracles.forward_mode` and
`second_order`, which knows nothing of modes: so each is compared with the others by way of it.

How far a composition may be from the truth by rounding is bounded for reverse over reverse alone. The others compute the
same by as many steps in another order: what lies outside SLACK such bounds is run once more in the other precision, and only
what does not shrink there is called wrong.
"""

from __future__ import annotations

import importlib
import math
import warnings
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from harness.cases import Array, Case, Failure, Outcome
from harness.conventions import following
from harness.examine import twin
from harness.judgement import Verdict, settle
from harness.oracles.balls import BallArray, Undecidable, precision
from harness.oracles.bound import Bound, enlarged
from harness.oracles.certificate import Certificate, direction
from harness.oracles.enclosures import enclose
from harness.oracles.forward_mode import bound_jvp, certify_jvp, judge_jvp
from harness.oracles.second_order import SecondOrder, bound_hvp, certify_hvp, judge_hvp

__all__ = ["BACKENDS", "MODES", "examine_modes", "run_mode"]

BACKENDS: Final = ("torch", "jax")
MODES: Final = (
    "forward",
    "reverse over reverse",
    "forward over reverse",
    "reverse over forward",
    "forward over forward",
    "forward over forward, exchanged",
)
SLACK: Final = 16.0
_BITS: Final = 192

Directions = Sequence[Array | None]


@dataclass(frozen=True)
class _Engine:
    """What the modes need of a framework: its arrays, a program as a function of them, and its transformations."""

    array: Callable[[Array], Any]
    evaluate: Callable[[Sequence[Any]], list[Any]]
    jvp: Callable[..., Any]
    grad: Callable[..., Any]
    back: Callable[[Any], Array]


def _engine(case: Case, backend: str) -> _Engine:
    if backend == "torch":
        torch_eager: Any = importlib.import_module("harness.backends.torch_eager")
        func = importlib.import_module("torch.func")

        def back(t: Any) -> Array:
            # Some zeros have no memory behind them; added to others they have.
            dense: Array = torch_eager.torch.zeros(t.shape, dtype=t.dtype).add_(t.detach()).numpy()
            return dense

        return _Engine(
            torch_eager.same_layout, torch_eager._evaluator(case.program), func.jvp, func.grad,
            back,
        )  # fmt: skip
    if backend == "jax":
        jax_backend: Any = importlib.import_module("harness.backends.jax_backend")
        backends: Any = importlib.import_module("harness.backends")
        jax = jax_backend.jax
        return _Engine(
            jax_backend.jnp.array, backends.straighten(case.program, jax_backend.OPS), jax.jvp, jax.grad, np.array
        )
    raise ValueError(f"backend: modes are asked of {', '.join(BACKENDS)}, got {backend!r}")


def run_mode(case: Case, backend: str, mode: str, d: Directions, u: Directions) -> Outcome:
    """Ask "torch" or "jax" for one of MODES along d, and u where two directions are needed; exceptions become failures.

    Returns:
        Tangents of all outputs as values for "forward"; H d as grads; u'H d as the one value for forward over forward.

    Raises:
        ValueError: another backend or mode.
    """
    if mode not in MODES:
        raise ValueError(f"mode is {mode!r}, want one of {', '.join(MODES)}")
    on = _engine(case, backend)
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what the frameworks remark on is not asked here
            return _run(case, on, mode, d, u)
    except Exception as error:  # whatever the framework raises is its outcome
        return Outcome(failure=Failure(type(error).__name__, str(error)))


def _run(case: Case, on: _Engine, mode: str, d: Directions, u: Directions) -> Outcome:
    wanted = [i for i, r in enumerate(case.requires_grad) if r]
    fixed = [on.array(x) for x in case.primals]
    along, across = ([on.array(np.asarray(v[i], case.dtype)) for i in wanted] for v in (d, u))
    cotangents = [None if ct is None else on.array(np.ascontiguousarray(ct)) for ct in case.cotangents]
    floats = [k for k, s in enumerate(_kinds(case)) if s == "float"]

    def outputs(*xs: Any) -> list[Any]:
        given = list(fixed)
        for i, x in zip(wanted, xs, strict=True):
            given[i] = x
        return on.evaluate(given)

    def scalar(*xs: Any) -> Any:
        parts = [(y * ct).sum() for y, ct in zip(outputs(*xs), cotangents, strict=True) if ct is not None]
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return total

    def slope(directions: Sequence[Any]) -> Callable[..., Any]:
        return lambda *xs: on.jvp(scalar, tuple(xs), tuple(directions))[1]

    primals = tuple(fixed[i] for i in wanted)
    every = tuple(range(len(wanted)))
    gradient = on.grad(scalar, every)
    match mode:
        case "forward":
            _, tangents = on.jvp(lambda *xs: tuple(outputs(*xs)[k] for k in floats), primals, tuple(along))
            found = dict(zip(floats, tangents, strict=True))
            plain = outputs(*primals)
            whole = [
                on.back(found[k]) if k in found else np.zeros(tuple(plain[k].shape), case.dtype)
                for k in range(len(plain))
            ]
            return Outcome(tuple(whole))
        case "reverse over reverse":

            def product(*xs: Any) -> Any:
                total: Any = 0.0
                for g, v in zip(gradient(*xs), along, strict=True):
                    total = total + (g * v).sum()
                return total

            products = on.grad(product, every)(*primals)
        case "forward over reverse":
            products = on.jvp(gradient, primals, tuple(along))[1]
        case "reverse over forward":
            products = on.grad(slope(along), every)(*primals)
        case _:
            first, second = (along, across) if mode == "forward over forward" else (across, along)
            return Outcome((on.back(on.jvp(slope(first), primals, tuple(second))[1]),))
    return Outcome((np.zeros((), case.dtype),), tuple(on.back(p) for p in products))


def _kinds(case: Case) -> list[str]:
    from harness.inference import infer

    specs = infer(case.program)
    return [specs[slot].kind for slot in case.program.outputs]


def examine_modes(case: Case, backend: str, *, seed: int = 0, modes: Sequence[str] = MODES) -> dict[str, Verdict]:
    """Judge each of the modes; the claims are "jvp" and "hvp".

    What a framework cannot do in some mode is unsupported; where the function has no derivative nothing is claimed.
    """
    if not any(ct is not None for ct in case.cotangents) or not any(case.requires_grad):
        raise ValueError("case: no cotangent, or no input that requires grad: there is nothing to differentiate")
    with following(backend) if backend == "jax" else nullcontext():
        return {mode: _examine(case, backend, mode, seed) for mode in modes}


def _examine(case: Case, backend: str, mode: str, seed: int) -> Verdict:
    verdict, gap = _judged(case, backend, mode, seed)
    if verdict.kind != "disagree" or verdict.worst is None:
        return verdict
    _, other = _judged(twin(case), backend, mode, seed)
    return settle(verdict, gap, other, wide=case.dtype == "float64")


def _judged(case: Case, backend: str, mode: str, seed: int) -> tuple[Verdict, float]:
    """The verdict in the case's own precision, and how far the worst array is from the truth, relative to its largest."""
    truth = certify_hvp(case, seed=seed)
    d = truth.directions
    rng = np.random.default_rng([seed, 7])
    u = [None if v is None else np.asarray(direction(v.shape, rng)) for v in d]
    claim = "jvp" if mode == "forward" else "hvp"
    outcome = run_mode(case, backend, mode, d, u)
    if outcome.failure is not None and any(words in outcome.failure.message for words in _CANNOT):
        return Verdict("unsupported", claim, reason=f"{mode}: {outcome.failure.message.splitlines()[0]}"), math.inf
    if mode == "forward":
        proof = certify_jvp(case, d)
        if proof.status != "certified":
            return _nothing(claim, outcome, proof), math.inf
        try:
            bound = enlarged(bound_jvp(case, d, backend), SLACK)
        except Undecidable:
            return _nothing(claim, outcome, replace(proof, status="undecided")), math.inf
        return judge_jvp(case, outcome, proof, bound), _gap(outcome.values, proof.values)
    if truth.certificate.status != "certified":
        return _nothing(claim, outcome, truth.certificate), math.inf
    bound = bound_hvp(case, d, backend)
    if bound.undecided:
        return _nothing(claim, outcome, truth.certificate), math.inf
    if mode != "reverse over reverse":
        bound = enlarged(bound, SLACK)
    if mode.startswith("forward over forward"):
        return _mixed(case, outcome, truth, bound, u)
    return judge_hvp(case, outcome, truth, bound), _gap(outcome.grads, truth.certificate.grads)


def _mixed(case: Case, outcome: Outcome, truth: SecondOrder, bound: Bound, u: Directions) -> tuple[Verdict, float]:
    """Judge u'H d, one number."""
    with precision(_BITS):
        exact, allowed = (_inner(products, u) for products in (truth.certificate.grads, bound.grads))
    alone = replace(truth, certificate=replace(truth.certificate, values=(exact,), grads=()))
    whole = replace(case, requires_grad=(False,) * len(case.primals))
    verdict = judge_jvp(whole, outcome, alone.certificate, replace(bound, values=(allowed,), grads=()))
    return replace(verdict, claim="hvp"), _gap(outcome.values, (exact,))


def _inner(products: Sequence[BallArray | None], u: Directions) -> BallArray:
    total = BallArray.from_floats(np.zeros(()))
    for p, v in zip(products, [v for v in u if v is not None], strict=True):
        if p is not None:
            total = total + enclose("sum", (p * BallArray.from_floats(v),), {})
    return total


def _nothing(claim: str, outcome: Outcome, proof: Certificate) -> Verdict:
    n = sum(v.size for v in (*outcome.values, *outcome.grads) if v is not None)
    reason = {"unbounded": "not finite", "refuted": "refuted"}.get(proof.status, "kink")
    return Verdict("inconclusive", claim, reason=reason, elements=n, undecided=n, reasons={reason: n})


def _gap(got: Sequence[Array | None], truth: Sequence[Any]) -> float:
    gaps = [0.0]
    for g, t in zip(got, truth, strict=False):
        middle = np.zeros(()) if t is None else t.midpoints()
        with np.errstate(all="ignore"):
            off = np.abs(np.asarray(0.0 if g is None else g, np.float64) - middle).max(initial=0.0)
            scale = np.abs(middle).max(initial=0.0)
            gaps.append(float(off / scale) if scale > 0 else float(off))
    return max(gaps) if all(math.isfinite(x) for x in gaps) else math.inf


# How PyTorch and JAX say that an op has no rule in some mode, or none of second order.
_CANNOT: Final = (
    *("that does not support it", "not implemented", "forward AD", "no forward", "batching rule", "does not support"),
    *("Forward-mode differentiation rule", "differentiation rule for", "custom_vjp", "data-dependent"),
)
