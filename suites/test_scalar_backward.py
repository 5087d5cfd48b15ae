"""Scalar backward: `backward()` of a one-element output gives the gradient, with no cotangent named."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given

import reference_impl
from harness import backends
from harness.backends import straighten
from harness.backends.reference import OPS
from harness.cases import Case, Outcome
from harness.examine import examine
from harness.inference import infer
from harness.points import point
from harness.programs import Instr, Program
from harness.strategies import programs
from suites.tally import Tally

AVAILABLE = [name for name, reason in backends.available().items() if reason is None]


def summed(program: Program) -> Program:
    """The program with one output of one element: the first differentiable one, summed unless it has one element."""
    case = point(program)
    slot = next(s for s, ct in zip(program.outputs, case.cotangents, strict=True) if ct is not None)
    if math.prod(infer(program)[slot].shape) == 1:
        return replace(program, outputs=(slot,))
    n = len(program.inputs) + len(program.instrs)
    return replace(program, instrs=(*program.instrs, Instr("sum", (slot,))), outputs=(n,))


def run_scalar(case: Case, name: str) -> Outcome:
    """As a user does it: leaves, forward, `backward()`."""
    if name == "torch":
        import torch

        from harness.backends import torch_eager

        ops = torch_eager.OPS

        leaves: list[Any] = [torch.tensor(x) for x in case.primals]
    else:
        ops = OPS
        leaves = [reference_impl.Tensor(x.copy()) for x in case.primals]
    for leaf, wants in zip(leaves, case.requires_grad, strict=True):
        leaf.requires_grad_(wants)
    (y,) = straighten(case.program, ops)(leaves)
    y.backward()
    grads = [leaf.grad for leaf, wants in zip(leaves, case.requires_grad, strict=True) if wants]
    return Outcome((np.array(y.detach().numpy()),), tuple(None if g is None else np.array(g.numpy()) for g in grads))


@pytest.mark.parametrize("name", [n for n in ("reference", "torch") if n in AVAILABLE])
@pytest.mark.filterwarnings("ignore::UserWarning")  # PyTorch's remark on var of too few elements
def test_backward_of_one_element_equals_the_certificate(name: str) -> None:
    backend, tally = backends.get(name), Tally()

    @given(programs())
    def check(program: Program) -> None:
        scalar = summed(program)
        for k, dtype in enumerate(("float64", "float32", "float64")):
            case = point(scalar, seed=1 + k, kind="edge" if k == 2 else "random", dtype=dtype)
            if case.cotangents[0] is None:
                continue
            case = replace(case, cotangents=(np.ones_like(case.cotangents[0]),))
            with np.errstate(all="ignore"):
                outcome = run_scalar(case, name)
            tally.add(examine(case, backend, outcome=outcome), case)

    check()
    tally.finish(at_least=50)
