"""Accumulation and zeroing: backward adds to `.grad`, zero_() and None clear it, losses add up."""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import reference_impl
from harness import backends
from harness.backends import straighten
from harness.backends.reference import OPS
from harness.cases import Case, Outcome
from harness.examine import examine
from harness.judgement import compare_arrays, judge
from harness.oracles.balls import precision, widening
from harness.oracles.bound import Bound, enclose_backend, widener
from harness.oracles.certificate import certify
from harness.points import point
from harness.programs import Program
from harness.strategies import programs
from suites.tally import Tally

AVAILABLE = [name for name, reason in backends.available().items() if reason is None]
EAGER = [n for n in ("reference", "torch") if n in AVAILABLE]
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # PyTorch's remark on var of too few elements


class Tape:
    """A case on the tape of one engine, whose leaves stay between backwards, as in a training loop."""

    def __init__(self, case: Case, name: str) -> None:
        self.case = case
        if name == "torch":
            import torch

            from harness.backends import torch_eager

            ops = torch_eager.OPS

            self.tensor: Any = lambda x: torch.from_numpy(x.copy())
            self.engine: Any = torch.autograd
        else:
            ops = OPS
            self.tensor = lambda x: reference_impl.Tensor(x.copy())
            self.engine = reference_impl.autograd
        self.evaluate = straighten(case.program, ops)
        self.leaves = [self.tensor(x) for x in case.primals]
        for leaf, wants in zip(self.leaves, case.requires_grad, strict=True):
            leaf.requires_grad_(wants)
        self.wanted = [x for x, wants in zip(self.leaves, case.requires_grad, strict=True) if wants]

    def forward(self) -> list[tuple[Any, Any]]:
        with np.errstate(all="ignore"):
            outputs = self.evaluate(self.leaves)
        return [
            (y, self.tensor(ct))
            for y, ct in zip(outputs, self.case.cotangents, strict=True)
            if ct is not None and y.requires_grad
        ]

    def backward(self, **options: Any) -> None:
        pairs = self.forward()
        if pairs:
            self.engine.backward([y for y, _ in pairs], [ct for _, ct in pairs], **options)

    def grads(self) -> tuple[Any, ...]:
        return tuple(None if x.grad is None else np.array(x.grad.numpy()) for x in self.wanted)


def same(left: Sequence[Any], right: Sequence[Any]) -> list[str]:
    return [text for a, b in zip(left, right, strict=True) if (text := compare_arrays(a, b))]


def elements(grads: Sequence[Any]) -> int:
    return sum(g.size for g in grads if g is not None)


@pytest.mark.parametrize("name", EAGER)
def test_n_backwards_add_up_to_n_times_the_gradient(name: str) -> None:
    """Two and four backwards are exactly 2 and 4 times one, away from the ends of the range."""
    compared = 0

    @given(programs(), st.sampled_from(["float64", "float32"]))
    def check(program: Program, dtype: str) -> None:
        nonlocal compared
        case = point(program, seed=3, dtype=dtype)
        once, many = Tape(case, name), Tape(case, name)
        once.backward()
        for n in range(1, 5):
            many.backward()
            if n == 3:
                continue
            for a, b in zip(once.grads(), many.grads(), strict=True):
                assert (a is None) == (b is None)
                if a is None:
                    continue
                with np.errstate(all="ignore"):
                    safe = np.isfinite(n * a)
                    assert compare_arrays(np.where(safe, n * a, 0).astype(dtype), np.where(safe, b, 0)) == ""
                compared += int(safe.sum())

    check()
    assert compared > 50


@pytest.mark.parametrize("name", EAGER)
def test_accumulated_gradient_is_the_certified_one(name: str) -> None:
    """What two backwards left in `.grad`, halved, is judged as the gradient that it must be."""
    backend, tally = backends.get(name), Tally()

    @given(programs())
    def check(program: Program) -> None:
        case = point(program, seed=3)
        tape = Tape(case, name)
        tape.backward()
        tape.backward()
        values = backend.value_thunk(case)().values
        grads = tuple(None if g is None else g / 2.0 for g in tape.grads())
        tally.add(examine(case, backend, outcome=Outcome(values, grads))[1:], case)

    check()
    tally.finish(at_least=50)


@pytest.mark.parametrize("clear", ["zero_()", "None"])
@pytest.mark.parametrize("name", EAGER)
def test_cleared_gradient_starts_again(name: str, clear: str) -> None:
    compared = 0

    @given(programs())
    def check(program: Program) -> None:
        nonlocal compared
        case = point(program, seed=2)
        fresh, used = Tape(case, name), Tape(case, name)
        fresh.backward()
        used.backward()
        for x in used.wanted:
            if clear == "None":
                x.grad = None
            elif x.grad is not None:
                x.grad.zero_()
                assert compare_arrays(np.array(x.grad.numpy()), np.zeros_like(x.detach().numpy())) == ""
        used.backward()
        assert same(fresh.grads(), used.grads()) == [], str(program)
        compared += elements(fresh.grads())

    check()
    assert compared > 50


@pytest.mark.parametrize("name", EAGER)
def test_retained_graph_gives_the_same_bits_again(name: str) -> None:
    compared = 0

    @given(programs())
    def check(program: Program) -> None:
        nonlocal compared
        tape = Tape(point(program, seed=2), name)
        pairs = tape.forward()
        if not pairs:
            return
        roots, seeds = [y for y, _ in pairs], [ct for _, ct in pairs]
        results = []
        for _ in range(2):
            tape.engine.backward(roots, seeds, retain_graph=True)
            results.append(tape.grads())
            for x in tape.wanted:
                x.grad = None
        assert same(*results) == [], str(program)
        compared += elements(results[0])

    check()
    assert compared > 50


@pytest.mark.parametrize("name", EAGER)
def test_losses_one_by_one_add_up_to_the_losses_together(name: str) -> None:
    """A backward an output leaves in `.grad` what one backward from all outputs leaves: judged by one certificate.

    The bound is that of each backward, added up with the rounding of the additions: a + b times c is not a c + b c.
    """
    backend, tally = backends.get(name), Tally()

    @given(programs().filter(lambda program: len(program.outputs) > 1))
    def check(program: Program) -> None:
        case = point(program, seed=5)
        tape = Tape(case, name)
        certificate = certify(case)
        if certificate.status not in ("certified", "kink"):
            return
        bounds = []
        for k, ct in enumerate(case.cotangents):
            if ct is None:
                continue
            tape.case = replace(case, cotangents=tuple(c if i == k else None for i, c in enumerate(case.cotangents)))
            tape.backward()
            bounds.append(enclose_backend(tape.case, name))
        if any(b.undecided for b in bounds):
            return
        with precision(96), widening(widener(name, case.dtype)):
            grads = tuple(_total(parts) for parts in zip(*(b.grads for b in bounds), strict=True))
        outcome = Outcome(backend.value_thunk(case)().values, tape.grads())
        tally.add(judge(case, outcome, certificate, Bound(bounds[0].values, grads))[1:], case)

    check()
    tally.finish(at_least=50)


def _total(parts: Sequence[Any]) -> Any:
    there = [p for p in parts if p is not None]
    return functools.reduce(operator.add, there) if there else None
