"""Examine one case on one backend: prove the truth, run the backend, bound its errors, judge, and settle whose fault it is.

`examine(case, backend)` is the whole check of one point; `harness.verify` repeats it over drawn programs. `expected`
gives what a stand-alone script needs to show a disagreement.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import numpy as np

from harness.backends import Engine, get
from harness.backends import reference as reference_backend
from harness.cases import Array, Case, Outcome
from harness.conventions import as_in, declared_ops, following, only_rounds
from harness.floats import HALF, to_dtype
from harness.gradient_points import nearby
from harness.judgement import (
    STEADY_POINTS,
    Seen,
    Verdict,
    is_wrong_in_one_precision,
    judge,
    judge_choices,
    judge_estimates,
    settle,
)
from harness.kernels import RUN_HALVES, measured_ops
from harness.oracles.bound import enclose_backend, nearest_bound
from harness.oracles.certificate import Certificate, certify, rounded
from harness.programs import Program

__all__ = ["examine", "expected", "twin"]


def examine(
    case: Case,
    backend: Engine,
    *,
    seed: int = 0,
    certificate: Certificate | None = None,
    outcome: Outcome | None = None,
) -> tuple[Verdict, ...]:
    """Judge what the backend makes of the case.

    Args:
        case: the program at a point.
        backend: who is asked.
        seed: direction of the certificate's second pass.
        certificate: the case's certificate, if it was made already.
        outcome: the backend's outcome, if it was run already.

    Returns:
        One verdict on the claim "value" and one on "vjp"; for finite differences only the second.
    """
    certificate = certificate or certify(case, seed=seed)
    why_not = backend.supports(case.program)
    if why_not is not None:
        return tuple(Verdict("unsupported", claim, reason=why_not) for claim in ("value", "vjp"))
    if case.dtype in HALF and backend.name not in RUN_HALVES:
        why_not = f"does not run {case.dtype}"
        return tuple(Verdict("unsupported", claim, reason=why_not) for claim in ("value", "vjp"))
    if backend.name == "finite-differences":
        return (_examine_estimate(case, backend, certificate),)
    outcome = outcome or backend.prepare(case)()
    if case.dtype in HALF and (why_not := _lacks(outcome, case, backend)):
        return tuple(Verdict("unsupported", claim, reason=why_not) for claim in ("value", "vjp"))
    try:
        told = _judged(case, backend, certificate, outcome, seed)
    except KeyError as error:
        if case.dtype not in HALF:
            raise
        # A rule uses a primitive whose kernel the framework has not, or has not been measured, in half precision.
        return tuple(Verdict("unsupported", claim, reason=str(error.args[0])) for claim in ("value", "vjp"))
    if all(v.kind != "disagree" for v in told.verdicts):
        return told.verdicts
    with _conventions(case, backend):
        return tuple(_settled(v, case, backend, told.certificate, outcome, seed) for v in told.verdicts)


def _judged(case: Case, backend: Engine, certificate: Certificate, outcome: Outcome, seed: int) -> Seen:
    """Judge an outcome under the conventions of its backend, and where rounding may tip decisions, one way at a time.

    Where the ops of the program have the reference's conventions, its own rules come first, whose bound costs less. What
    keeps that is right; what does not is judged under the rules and formulae of the framework.
    """
    differs = not only_rounds(backend.name) and _differs(case, backend)
    seen = _judged_so(case, backend, certificate, outcome, seed, differs=differs)
    if differs or all(v.kind != "disagree" for v in seen.verdicts):
        return seen
    return _judged_so(case, backend, certificate, outcome, seed, differs=True)


def _judged_so(
    case: Case, backend: Engine, certificate: Certificate, outcome: Outcome, seed: int, *, differs: bool
) -> Seen:
    with _conventions(case, backend) if differs else nullcontext():
        meant = replace(case, program=as_in(backend.name, case.program)) if differs else case
        if differs and certificate.status in ("kink", "tie", "undecided", "unbounded"):
            certificate = certify(meant, seed=seed)
        steps = None if differs or certificate.steps is None else certificate.steps.steps()
        bound = None if certificate.status == "undecided" else enclose_backend(meant, backend.name, steps=steps)
        convention = _follows(backend, meant.program)
        verdicts = judge(case, outcome, certificate, bound, convention=convention)
        find = functools.partial(nearest_bound, meant, backend.name)
        verdicts = judge_choices(case, outcome, certificate, verdicts, find, convention=convention)
    return Seen(case, outcome, certificate, bound, verdicts)


def _differs(case: Case, backend: Engine) -> bool:
    return not (_departures(backend) | declared_ops(backend.name)).isdisjoint(i.op for i in case.program.instrs)


def _conventions(case: Case, backend: Engine) -> AbstractContextManager[None]:
    return following(backend.name, {i.op for i in case.program.instrs})


def _lacks(outcome: Outcome, case: Case, backend: Engine) -> str:
    """Return why the backend says nothing of a program in half precision: a kernel that it has not; "" if it has all."""
    message = "" if outcome.failure is None else outcome.failure.message
    if any(words in message for words in _NO_HALF):
        return f"no kernel in {case.dtype}: {message.splitlines()[0]}"
    unknown = sorted({i.op for i in case.program.instrs} & _elementwise() - measured_ops(backend.name, case.dtype))
    return f"the error of {', '.join(unknown)} in {case.dtype} was not measured" if unknown else ""


# How PyTorch and JAX say that a kernel has no half.
_NO_HALF = (
    *("not implemented for 'Half'", "not implemented for 'BFloat16'", "Low precision dtypes not supported"),
    *("Unsupported dtype", "must be either float or double dtype"),
)


def _elementwise() -> frozenset[str]:
    return measured_ops("torch", "float32") | measured_ops("jax", "float32")


def _examine_estimate(case: Case, backend: Any, certificate: Certificate) -> Verdict:
    reason = _not_estimable(case, certificate)
    if reason:
        n = sum(x.size for x, r in zip(case.primals, case.requires_grad, strict=True) if r)
        return Verdict("inconclusive", "vjp", reason=reason, elements=n, undecided=n, reasons={reason: n})
    estimate = backend.estimate(replace(case, program=rounded(case.program, case.dtype)))
    return judge_estimates("vjp", certificate.grads, estimate.values, estimate.errors)


def _not_estimable(case: Case, certificate: Certificate) -> str:
    """Return why values near the point say nothing about the derivative at it; "" if they do."""
    if certificate.status != "certified":
        return "kink" if certificate.status in ("kink", "tie", "undecided") else "not finite"
    if any(i.op in _DECISIONS for i in case.program.instrs):
        return "decision"  # a function with a jump beside the point has a derivative at it
    sizes = np.concatenate([np.abs(x).ravel() for x in case.primals if x.dtype.kind == "f"])
    nonzero = sizes[sizes > 0]
    if nonzero.size and (nonzero.max() > 2.0**20 or nonzero.min() < 2.0**-60):
        return "extreme"  # a step that moves one number is nothing, or everything, to another
    return ""


_DECISIONS = frozenset(  # atan2 jumps at its cut, softplus at its threshold
    "gt ge lt le eq ne atan2 softplus hardshrink threshold floor ceil trunc round frac fmod remainder copysign".split()
)


def _departures(backend: Engine) -> frozenset[str]:
    """Return the ops at whose kinks the backend does something else than PyTorch, from the measured tables."""
    ours, theirs = reference_backend.CONVENTIONS, backend.conventions
    known = _known_departures.get(backend.name)
    if known is None or known[0] is not theirs:
        found = frozenset(key.split()[0] for key in ours if theirs.get(key) != ours[key])
        known = _known_departures[backend.name] = (theirs, found)
    return known[1]


_known_departures: dict[str, tuple[Mapping[str, str], frozenset[str]]] = {}  # name -> the table and what came of it


def _follows(backend: Engine, program: Program) -> bool:
    """Tell whether the truth was made with the conventions that the backend has for all ops of the program."""
    return not (_departures(backend) - declared_ops(backend.name)) & {instr.op for instr in program.instrs}


def _settled(
    verdict: Verdict, case: Case, backend: Engine, certificate: Certificate, outcome: Outcome, seed: int
) -> Verdict:
    if verdict.kind != "disagree":
        return verdict
    if verdict.owner == "framework" and backend.name == "reference":
        verdict = replace(verdict, owner="reference")
    if verdict.worst is None or verdict.aspect != "derivative":
        return verdict
    other = twin(case)
    truth = certify(other, seed=seed)
    gaps = [_gap(verdict, c, o) for c, o in ((certificate, outcome), (truth, backend.prepare(other)()))]
    settled = settle(verdict, *gaps, wide=case.dtype == "float64")
    if settled.aspect == "accuracy" and verdict.claim == "vjp" and case.dtype != "float64":
        if _wrong_here_alone(verdict, case, backend, seed):
            return replace(verdict, reason=f"in {case.dtype} alone: {verdict.reason}")
    if settled.aspect == "accuracy" and settled.error_over_bound < 8:
        settled = replace(settled, owner="bound")  # the declared error of a kernel may be too small
    return settled


def _wrong_here_alone(verdict: Verdict, case: Case, backend: Engine, seed: int) -> bool:
    """Tell whether the rule is wrong in the dtype of the case alone, from what it does at points beside this one."""
    return is_wrong_in_one_precision(verdict, case.dtype, _beside(case, backend, seed))


def _beside(case: Case, backend: Engine, seed: int) -> Iterator[tuple[Seen, Seen, tuple[Array, ...]]]:
    """Yield what the backend makes of points beside a case, in its dtype and in float64, and all numbers on the way."""
    rng = np.random.default_rng(seed)
    wide = twin(case)
    given = [k for k, ct in enumerate(wide.cotangents) if ct is not None]
    n = len(case.program.inputs) + len(case.program.instrs)
    for _ in range(STEADY_POINTS + 2):
        # Numbers with all digits of float64: with fewer, what loses digits there may happen to be exact.
        primals = nearby(wide.primals, wide.requires_grad, rng, 2.0**-5)
        cotangents = list(wide.cotangents)
        moved = nearby([cotangents[k] for k in given], [True] * len(given), rng, 2.0**-5)  # type: ignore[misc]  # none is None
        for k, ct in zip(given, moved, strict=True):
            cotangents[k] = ct
        beside = replace(wide, primals=primals, cotangents=tuple(cotangents))
        everything = replace(beside, program=replace(case.program, outputs=tuple(range(n))), cotangents=(None,) * n)
        on_the_way = get("reference").value_thunk(everything)()
        if on_the_way.failure is None:
            low, high = (
                _judged(c, backend, certify(c, seed=seed), backend.prepare(c)(), seed)
                for c in (_narrowed(beside, case.dtype), beside)
            )
            yield low, high, (*beside.primals, *(ct for ct in cotangents if ct is not None), *on_the_way.values)


def _narrowed(case: Case, dtype: str) -> Case:
    def narrow(x: Array | None) -> Array | None:
        return x if x is None or x.dtype.kind != "f" else to_dtype(x, dtype)

    primals = tuple(np.asarray(narrow(x)) for x in case.primals)
    return replace(case, primals=primals, cotangents=tuple(narrow(ct) for ct in case.cotangents), dtype=dtype)


def twin(case: Case) -> Case:
    """Return the same program at the same point in the other of float64 and float32; of a half in float64."""
    dtype = "float32" if case.dtype == "float64" else "float64"  # also of a half

    def convert(x: Array | None) -> Array | None:
        with np.errstate(all="ignore"):
            return x if x is None or x.dtype.kind != "f" else x.astype(dtype)

    primals = tuple(np.asarray(convert(x)) for x in case.primals)
    return replace(case, primals=primals, cotangents=tuple(convert(ct) for ct in case.cotangents), dtype=dtype)


def _gap(verdict: Verdict, certificate: Certificate, outcome: Outcome) -> float:
    """Return how far the array of the worst element is from the truth, relative to its largest element."""
    if outcome.failure is not None or verdict.worst is None or certificate.status == "undecided":
        return math.inf
    k = verdict.worst.array
    got = (outcome.values if verdict.claim == "value" else outcome.grads)[k]
    true = (certificate.values if verdict.claim == "value" else certificate.grads)[k]
    middle: Any = 0.0 if true is None else true if isinstance(true, np.ndarray) else true.midpoints()
    here = np.zeros(np.shape(middle)) if got is None else got.astype(np.float64)
    with np.errstate(all="ignore"):
        error = np.abs(here - middle).max(initial=0.0)
        scale = np.abs(middle).max(initial=0.0)
        gap = float(error / scale) if scale > 0 else float(error)
    return gap if math.isfinite(gap) else math.inf


def expected(case: Case, backend: str, certificate: Certificate) -> list[tuple[Any, Any] | None]:
    """Return the true gradients and how far right ones may lie from them, as `to_source` takes them."""
    with following(backend, {i.op for i in case.program.instrs}):
        case = replace(case, program=as_in(backend, case.program))
        bound = enclose_backend(case, backend)
        certificate = certificate if certificate.status == "certified" else certify(case)
    result: list[tuple[Any, Any] | None] = []
    for true, allowed, x in zip(
        certificate.grads,
        bound.grads,
        [x for x, r in zip(case.primals, case.requires_grad, strict=True) if r],
        strict=True,
    ):
        if true is None or allowed is None:
            result.append((np.zeros(x.shape), 0.0))
            continue
        middle = true.midpoints()
        room = np.maximum(allowed.radii(), allowed.distances(middle)) if np.isfinite(middle).all() else None
        result.append(None if room is None or not np.isfinite(room).all() else (middle, room))
    return result
