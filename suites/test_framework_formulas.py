"""A gradient that a framework makes by its own formula is judged by that: what it rounds away is no disagreement."""

from __future__ import annotations

import random
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from harness import backends, examine, formulae
from harness.cases import Case
from harness.conventions import RULES, following
from harness.examine import expected
from harness.floats import carrier
from harness.generation import random_program
from harness.oracles.balls import BallArray, precision, undecided
from harness.oracles.bound import enclose_backend
from harness.oracles.certificate import certify, pull_back_balls
from harness.points import point
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

SMALL = 5.960464477539063e-08  # the smallest float16
FORMULAE = {
    "addmm": case_of(
        "addmm",
        "float64",
        [
            [1.756514936825162, 1.806684886568513, 0.5569897191111877],
            [-0.3197812784939198, -1.038198195670172, -0.02334622671690445],
        ],
        [
            [1.431731322870609, 0.30270831173154855, -1.4429396050761207],
            [1.3162788554522469, -1.2261814778675686, -0.14691782674460008],
        ],
        [
            [-0.7109677144879627, -0.5570263126493336, 1.5254750937635677],
            [0.6662262832476515, 0.0380579029107837, 0.011260799225779827],
        ],
        [
            [0.39643002697897334, 0.1684359210334554, -1.4565212219079782],
            [-0.9372164095174842, -1.7974651457432125, -1.5627128442109917],
            [-0.6312103518869181, -1.0104985560701532, 1.2513370305849505],
        ],
        alpha=-0.5,
    ),
    "addbmm": case_of(
        "addbmm",
        "float32",
        [[2.0, -1.0], [0.5, 3.0], [-0.5, 1.5], [-2.0, 0.25]],
        [
            [1.7106119394302368, 0.4012189507484436],
            [0.10765093564987183, 1.3611911535263062],
            [1.1696629524230957, 0.6270307302474976],
            [1.1816082000732422, 0.9897632002830505],
        ],
        [
            [
                [1.208715558052063, -1.1218585968017578],
                [-1.3049393892288208, 0.8043528199195862],
                [-0.1284235417842865, 0.09809745103120804],
                [0.7597801685333252, 1.2945061922073364],
            ]
        ],
        [[[1.1863257884979248, 0.6748539805412292], [0.39772769808769226, 1.891811490058899]]],
    ),
    "addr": case_of("addr", "float16", [[-1.0], [1.5]], 2.0**-14, [0.75, 200.0], [SMALL], alpha=3.0, beta=0.5),
    "bilinear": case_of(
        "bilinear", "float32", [-0.5], [LEAST, 1e10], [LEAST, 1e10], [[[1.0, 2.0], [1.0, -3.0]]], [1e-30]
    ),
    "conv1d": case_of("conv1d", "float32", [[[1.0, 1.0]]], [[[-1.103, -0.725, -0.782]]], [[[0.053, -0.05]]], [1.136]),
    "conv2d": case_of(
        "conv2d",
        "float32",
        np.ones((2, 3, 2)),
        [[[1.101, 0.338], [-0.54, -1.26], [-1.895, 0.019]]],
        [[[[-0.162, -0.174]]], [[[-0.044, -0.01]]]],
        [1.604, 1.084],
        padding="same",
    ),
    "batch_norm": case_of("batch_norm", "float32", np.ones((3, 1)), [[-0.802], [-1.324], [-0.248]], [0.042], [1.054]),
    "instance_norm": case_of(
        "instance_norm",
        "float32",
        [[[0.25, -1.0, -0.5]], [[1.0, 0.25, -10.0]]],
        [[[1.0, 1.5, 1.0]], [[-3.0, 1.5, -3.0]]],
        [LEAST],
        eps=0.5,
    ),
    "addcmul": case_of("addcmul", "float64", [1e200, -0.5], [-1.0, 0.25], [1e200, 2.0], [2.0**-1074, 1.0], value=-0.5),
    "addcdiv": case_of("addcdiv", "float64", 1.0, 1e-200, 1e200, 1e200, value=-0.5),
    "glu": case_of("glu", "float32", [0.5, -1e30], [2.0, LEAST, LEAST, -0.5]),
    "reciprocal": case_of("reciprocal", "float16", [200.0, 2.0], [30000.0, 0.5]),
    "rsqrt": case_of("rsqrt", "float16", [0.5, SMALL], [1.0, 0.5]),
    "atan2": case_of("atan2", "float32", [0.629732072353363], [-0.5], [LEAST]),
    "vector_norm": case_of("vector_norm", "float32", 1e10, [2.0**-126, -3.0, LEAST], ord=2.0),
    "norm": case_of("norm", "float32", 1e10, [2.0**-126, -3.0, LEAST], dim=0, p=2.0, keepdim=False),
    "var": case_of(
        "var", "float16", [-SMALL, 1.0], [[1.0, 2.0**-14], [2.0, 0.5], [200.0, 2.0**-14]], correction=0, dim=0
    ),
    "gelu": case_of("gelu", "float32", [0.1, -1.0, 3.0], [-3.3333332538604736, -3.2470455169677734, 1.0]),
    "ndtr": case_of(
        "ndtr",
        "float64",
        [[0.0, -0.5, 1.0], [-0.1, 1.3, -0.1]],
        [[2.0, -2 / 7, -3 / 7], [-2 / 7, -1 / 7, 36 / 7]],
    ),
}
"""For each op digits that PyTorch's own order of operations rounds away, in a value or a gradient."""


JAX_CASES = {
    "softsign": case_of("softsign", "float64", [2.0, 1.0], [1e9, 4.0]),
    "gelu": case_of("gelu", "float64", [4e-304, 1.0], [-4.5, 1.0], approximate="tanh"),
    "exact gelu": case_of("gelu", "float64", [0.5, 1.0], [-20.032774880644347, 1.0], approximate="none"),
    "flushed softplus": case_of("softplus", "float32", [0.229, 1.0], [-42.689277, 1.0], beta=2.0, threshold=20.0),
    "logsigmoid": case_of("logsigmoid", "float64", [2.0, 1.0], [-33.23655214182057, 4.0]),
    "mish": case_of("mish", "float64", [3.0, -1.0], [-26.490653560733712, 1.0]),
    "ndtr": case_of("ndtr", "float64", [1.0, -2.0], [-23.5, 13.0]),
    "softplus": case_of("softplus", "float64", [2.0, 1.0], [-33.3, 25.7], beta=1.0, threshold=1000.0),
}


@NEEDS_TORCH
@pytest.mark.parametrize("name", CASES)
def test_digits_that_the_formula_loses_are_no_disagreement(name: str) -> None:
    assert [v.kind for v in examine.examine(CASES[name], backends.get("torch"))] == ["agree", "agree"]


def widened(case: Case, op: str) -> bool:
    """Whether PyTorch's own formula of an op makes the bound of some number wider: what it may round differs by processor."""
    with following("torch", {op}):
        own = enclose_backend(case, "torch")
    plain = enclose_backend(case, "torch")
    pairs = zip(own.values + own.grads, plain.values + plain.grads, strict=True)
    return any(bool(np.any(o.radii() > 1.5 * p.radii())) for o, p in pairs if o is not None and p is not None)


@NEEDS_TORCH
@pytest.mark.parametrize("name", sorted(set(CASES) - {"log2", "conv1d"}))
def test_without_the_formula_they_would_be_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examine, "following", lambda backend, ops: nullcontext())
    assert examine.examine(CASES[name], backends.get("torch"))[1].kind == "disagree"


@NEEDS_TORCH
@pytest.mark.parametrize("name", FORMULAE)
def test_what_a_kernel_rounds_in_an_order_of_its_own_is_no_disagreement(name: str) -> None:
    case = FORMULAE[name]
    assert [v.kind for v in examine.examine(case, backends.get("torch"))] == ["agree", "agree"]
    assert widened(case, name)


@NEEDS_TORCH
@pytest.mark.parametrize("name", FORMULAE)
@pytest.mark.parametrize("claim", [0, 1], ids=["value", "gradient"])
def test_a_number_some_bounds_off_is_one_all_the_same(name: str, claim: int) -> None:
    case, engine = FORMULAE[name], backends.get("torch")
    right = engine.prepare(case)()
    with following("torch", {name}):
        bound = enclose_backend(case, "torch")
    balls, arrays = (bound.values, right.values) if claim == 0 else (bound.grads, right.grads)
    radii = [np.where(np.isfinite(b.radii()), b.radii(), 0.0) for b in balls if b is not None]
    k = int(np.argmax([r.max() for r in radii]))
    at = np.unravel_index(np.argmax(radii[k]), radii[k].shape)
    moved = np.array(arrays[k])
    moved[at] += max(3 * radii[k][at], 2 * np.spacing(np.abs(moved[at])))
    changed = tuple(moved if i == k else x for i, x in enumerate(arrays))
    wrong = replace(right, values=changed) if claim == 0 else replace(right, grads=changed)  # type: ignore[arg-type]  # none is None
    assert examine.examine(case, engine, outcome=wrong)[claim].kind == "disagree"


@pytest.mark.parametrize("name", ["reference", pytest.param("torch", marks=NEEDS_TORCH)])
def test_a_product_is_divided_by_a_factor_that_rounding_may_make_zero(name: str) -> None:
    """The product underflows, so that the gradient by that factor is 0; had it been 0, it would be that of the others."""
    program = Program((Spec((3,)),), (Instr("leaky_relu", (0,)), Instr("prod", (1,))), (2,))
    x = np.array([-1e-30, 2.0, LEAST], np.float32)
    case, engine = Case(program, (x,), (True,), (np.array(0.5, np.float32),), "float32"), backends.get(name)
    assert examine.examine(case, engine)[1].kind != "disagree"
    fine = replace(case, primals=(np.array([-1e-5, 2.0, 0.5], np.float32),))
    assert examine.examine(fine, engine)[1].kind == "agree"
    right = engine.prepare(fine)()
    wrong = replace(right, grads=tuple(None if g is None else g * np.float32(1.0001) for g in right.grads))
    assert examine.examine(fine, engine, outcome=wrong)[1].kind == "disagree"


SAME = (
    *(("torch", name) for name in (*RULES["torch"], *formulae.FORMULAE["torch"])),
    *(("jax", name) for name in ("atanh", "gelu", "reciprocal", "logsigmoid", "softplus", "mish", "div", "ndtr")),
)


@pytest.mark.parametrize(("framework", "name"), SAME)
def test_a_formula_is_the_same_function(framework: str, name: str) -> None:
    """In exact arithmetic, at edges of the domain as elsewhere: only rounding differs."""
    compared = 0
    for k in range(12):
        program = random_program(random.Random(k), ops=(name,), max_instrs=1)
        case = point(program, seed=k + 1, kind="edge" if k % 4 == 3 else "random")
        with precision(128), undecided("union"):
            ours = pull_back_balls(case)
            with following(framework, {name}):
                theirs = pull_back_balls(case)
        for one, other in zip((*ours[0], *ours[1]), (*theirs[0], *theirs[1]), strict=True):
            if type(one) is BallArray and type(other) is BallArray:
                assert one.overlaps(other).all()
                compared += one.size
    assert compared


@NEEDS_JAX
@pytest.mark.parametrize("name", JAX_CASES)
def test_digits_that_a_formula_of_jax_loses_are_no_disagreement(name: str) -> None:
    case, engine = JAX_CASES[name], backends.get("jax")
    assert [v.kind for v in examine.examine(case, engine)] == ["agree", "agree"]
    right = engine.prepare(case)()
    factor = np.ones((), case.dtype) + np.asarray(2.0**-30 if case.dtype == "float64" else 2.0**-12, case.dtype)
    wrong = replace(right, grads=tuple(None if g is None else g * factor for g in right.grads))
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


@pytest.mark.parametrize("name", ["prod", "cumprod"])
@pytest.mark.parametrize("factor", [LEAST, 3 * LEAST, 1e-30])
def test_a_product_that_underflows_keeps_the_digits_of_the_others(name: str, factor: float) -> None:
    case = case_of(name, "float32", 1.5 if name == "prod" else [0.0, 0.0, 1.5], [-0.48, factor, 1e-10], dim=0)
    (grad,) = backends.get("reference").prepare(case)().grads
    assert grad is not None
    others = np.float32(1.5 * -0.48 * 1e-10)
    assert abs(grad[1] - others) <= 2 * np.spacing(abs(others))
    assert [v.kind for v in examine.examine(case, backends.get("reference"))] == ["agree", "agree"]
