"""A gradient that a framework makes by its own formula is judged by that: what it rounds away is no disagreement."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from harness import backends, examine
from harness.cases import Case
from harness.examine import expected
from harness.floats import carrier
from harness.oracles.certificate import certify
from harness.programs import Instr, Param, Program, Spec

NEEDS_TORCH = pytest.mark.skipif(backends.available()["torch"] is not None, reason="PyTorch is not installed")
NEEDS_JAX = pytest.mark.skipif(backends.available()["jax"] is not None, reason="JAX is not installed")

PLACES = (((0,),) * 2,) * 2


def case_of(op: str, dtype: str, ct: Any, *primals: Any, **params: Param) -> Case:
    arrays = tuple(np.array(x, carrier(dtype)) for x in primals)
    instr = Instr(op, tuple(range(len(arrays))), tuple(sorted(params.items())))
    program = Program(tuple(Spec(x.shape) for x in arrays), (instr,), (len(arrays),))
    return Case(program, arrays, (True,) * len(arrays), (np.array(ct, carrier(dtype)),), dtype)


LEAST = 2.0**-149
CASES = {
    "hypot": case_of("hypot", "float32", [-0.43, 0.5], [LEAST, 1.0], [1e-30, 2.0]),
    "log10": case_of("log10", "float16", [0.5, 3.0], [30000.0, 2.0]),
    "log2": case_of("log2", "float16", [0.5, 3.0], [65504.0, 2.0]),
    "log_ndtr": case_of("log_ndtr", "float32", [2.0, -1.0], [-0.8109301924705505, -138.1551055908203]),
    "binary_cross_entropy_with_logits": case_of(
        "binary_cross_entropy_with_logits", "float32", -1.4233615398406982, 2.0, 1.0, reduction="sum"
    ),
    "scatter_reduce": case_of(
        "scatter_reduce",
        "float32",
        [[[0.5], [1.5]], [[3.0], [0.5]]],
        [[[0.0], [LEAST]], [[1.0], [0.5]]],
        [[[2.0], [1.0]], [[2.0], [3.0]]],
        dim=2,
        index=PLACES,
        reduce="prod",
        include_self=True,
    ),
    "cumprod": case_of("cumprod", "float32", [[1.5, 0.5], [0.5, 0.25]], [[LEAST, 0.5], [0.0, 2.0]], dim=1),
    "conv1d": case_of("conv1d", "bfloat16", [[0.328125]], [[1.0], [-1.0]], [[[1.0], [2.0**-126]]]),
}


JAX_CASES = {
    "logsigmoid": case_of("logsigmoid", "float64", [2.0, 1.0], [-33.23655214182057, 4.0]),
    "mish": case_of("mish", "float64", [3.0, -1.0], [-26.490653560733712, 1.0]),
    "softplus": case_of("softplus", "float64", [2.0, 1.0], [-33.3, 25.7], beta=1.0, threshold=1000.0),
}


@NEEDS_TORCH
@pytest.mark.parametrize("name", CASES)
def test_digits_that_the_formula_loses_are_no_disagreement(name: str) -> None:
    assert [v.kind for v in examine.examine(CASES[name], backends.get("torch"))] == ["agree", "agree"]


@NEEDS_TORCH
@pytest.mark.parametrize("name", sorted(set(CASES) - {"log2", "conv1d"}))
def test_without_the_formula_they_would_be_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examine, "declared_ops", lambda backend: frozenset[str]())
    assert examine.examine(CASES[name], backends.get("torch"))[1].kind == "disagree"


@NEEDS_JAX
@pytest.mark.parametrize("name", JAX_CASES)
def test_digits_that_a_formula_of_jax_loses_are_no_disagreement(name: str) -> None:
    case, engine = JAX_CASES[name], backends.get("jax")
    assert [v.kind for v in examine.examine(case, engine)] == ["agree", "agree"]
    right = engine.prepare(case)()
    wrong = replace(right, grads=tuple(None if g is None else g * (1 + 2.0**-30) for g in right.grads))
    assert examine.examine(case, engine, outcome=wrong)[1].kind == "disagree"


@NEEDS_TORCH
@pytest.mark.parametrize("name", CASES)
def test_a_gradient_that_is_wrong_is_one_under_the_formula(name: str) -> None:
    case, engine = CASES[name], backends.get("torch")
    right = engine.prepare(case)()
    wrong = replace(right, grads=tuple(None if g is None else -g for g in right.grads))
    assert examine.examine(case, engine, outcome=wrong)[1].kind == "disagree"


@NEEDS_TORCH
def test_the_script_of_a_disagreement_has_the_room_of_the_formula() -> None:
    case = CASES["log_ndtr"]
    got = backends.get("torch").prepare(case)().grads[0]
    (pair,) = expected(case, "torch", certify(case))
    assert got is not None and pair is not None
    assert (np.abs(got - pair[0]) <= pair[1]).all()
