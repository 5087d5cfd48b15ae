"""The script of a case stands alone, keeps to 40 lines and asks its framework exactly what the case asks."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import random
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from numpy.typing import NDArray

from harness import serial
from harness.cases import Case
from harness.generation import random_program
from harness.inference import OPS
from harness.points import layout_of, point
from harness.programs import Instr, Program, Scalar, Spec
from harness.sources import FRAMEWORKS, MAX_LINES, spelled, to_source
from harness.strategies import cases

MODULES = {"torch": "torch", "jax": "jax", "reference": "reference_impl"}
SLOW = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def need(framework: str) -> None:
    if importlib.util.find_spec(MODULES[framework]) is None:
        pytest.skip(f"{MODULES[framework]} is not installed")


def execute(source: str) -> dict[str, Any]:
    """Run a script in this process; return its names."""
    names: dict[str, Any] = {}
    # NumPy warns where a drawn value leaves a domain; the case asks for the value that is then there. PyTorch remarks on
    # the mean of kl_div.
    with contextlib.redirect_stdout(io.StringIO()), np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="reduction: 'mean' divides the total loss")
        exec(compile(source, "<script>", "exec"), names)
    return names


def gradients(case: Case, framework: str) -> list[NDArray[np.float64]]:
    """The gradients that the framework's script finds, zeros for a missing one."""
    names = execute(to_source(case, framework))
    inputs = [spec for spec, flag in zip(case.program.inputs, case.requires_grad, strict=True) if flag]
    found = zip(names["grads"], inputs, strict=True)
    return [np.zeros(s.shape) if g is None else np.array(g.tolist()).reshape(s.shape) for g, s in found]


def start(source: str) -> subprocess.CompletedProcess[str]:
    """Run a script in a fresh interpreter, away from the repository; only the reference is put on its path."""
    home = Path(importlib.util.find_spec("reference_impl").origin or ".").parent.parent  # type: ignore[union-attr]
    env = {**os.environ, "PYTHONPATH": str(home)} if "reference_impl" in source else None
    return subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, check=False, env=env, cwd="/", timeout=120
    )


def sample() -> Case:
    program = Program(
        (Spec((2, 3)), Spec((3,))),
        (Instr("mul", (0, 1)), Instr("sum", (2,), (("dim", 1),)), Instr("pow", (3, Scalar(2)))),
        (4, 2),
    )
    return point(program, seed=4, layouts=("dense", "transposed"))


def true_gradients(case: Case) -> list[NDArray[np.float64]]:
    """The gradients of `sample()`, by hand: y = s ** 2 with s = (x * w).sum(1), and v = x * w itself."""
    x, w = (np.asarray(primal, np.float64) for primal in case.primals)
    ct_y, ct_v = (np.asarray(cotangent, np.float64) for cotangent in case.cotangents)
    ct = ct_v + (2 * ct_y * (x * w).sum(1))[:, None]
    return [ct * w, (ct * x).sum(0)]


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_script_runs_alone_and_prints_values_and_gradients(framework: str) -> None:
    need(framework)
    done = start(to_source(sample(), framework))
    assert (done.returncode, done.stderr) == (0, "")
    heads = [line.split(" = ")[0] for line in done.stdout.splitlines()]
    assert heads == ["v4", "v2", "gradient of x0", "gradient of x1"]


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_script_with_the_true_gradient_passes_and_names_the_element_that_is_wrong(framework: str) -> None:
    need(framework)
    case = sample()
    truth = true_gradients(case)
    bounds = [np.full(t.shape, 1e-12) for t in truth]
    good = start(to_source(case, framework, expected=list(zip(truth, bounds, strict=True))))
    assert (good.returncode, good.stderr) == (0, "")
    truth[1][2] += 1e-3
    bad = start(to_source(case, framework, expected=[None, (truth[1], 1e-12)]))
    assert bad.returncode == 1
    assert bad.stderr.startswith("gradient of x1, element 2: got ")
    assert f"expected {float(truth[1][2])!r} within 1e-12" in bad.stderr
    assert len(bad.stderr.splitlines()) == 1


@pytest.mark.filterwarnings("ignore::UserWarning")  # PyTorch's remarks on kl_div and even kernels
@settings(SLOW, max_examples=150)
@given(cases())
def test_the_primals_and_cotangents_of_a_torch_script_are_those_of_the_case_to_the_bit(case: Case) -> None:
    need("torch")
    names = execute(to_source(case, "torch"))
    for i, primal in enumerate(case.primals):
        assert names[f"x{i}"].detach().numpy().tobytes() == primal.tobytes()
    for k, cotangent in enumerate(case.cotangents):
        if cotangent is not None:
            there = names[f"ct{k}"].numpy()
            assert there.tobytes() == cotangent.tobytes()
            assert cotangent.size == 0 or there.flags.c_contiguous == cotangent.flags.c_contiguous


@settings(SLOW, max_examples=150)
@given(cases())
def test_every_script_of_the_reference_runs(case: Case) -> None:
    need("reference")
    names = execute(to_source(case, "reference"))
    assert len(names["grads"]) == sum(case.requires_grad)


@settings(SLOW, max_examples=100)
@given(cases())
def test_every_script_keeps_to_forty_lines(case: Case) -> None:
    expected = [
        (np.zeros(spec.shape), 1.0) for spec, flag in zip(case.program.inputs, case.requires_grad, strict=True) if flag
    ]
    ops = {instr.op for instr in case.program.instrs}
    for framework in [f for f in FRAMEWORKS if ops <= set(spelled(f))]:
        source = to_source(case, framework, expected=expected)
        assert len(source.splitlines()) <= MAX_LINES
        compile(source, "<script>", "exec")


def test_a_long_program_still_fits_forty_lines_and_runs() -> None:
    need("reference")
    chain = tuple(Instr("sin", (k,)) for k in range(300))
    for framework in FRAMEWORKS:
        source = to_source(Program((Spec((2,)),), chain, (300,)), framework)
        assert len(source.splitlines()) <= MAX_LINES
        compile(source, "<script>", "exec")
    execute(to_source(Program((Spec((2,)),), chain, (300,)), "reference"))


def test_values_that_are_not_finite_are_written_out() -> None:
    need("reference")
    program = Program((Spec((3,)),), (Instr("maximum", (0, 0)), Instr("mul", (1, Scalar(float("inf"))))), (2,))
    primal = np.array([np.inf, -np.inf, np.nan])
    names = execute(to_source(Case(program, (primal,), (True,), (np.array([0.5, -0.0, 2.0]),)), "reference"))
    assert np.array(names["x0"].tolist()).tobytes() == primal.tobytes()


def test_outputs_without_a_gradient_are_printed_and_not_pulled_back() -> None:
    program = Program((Spec((2,)),), (Instr("detach", (0,)), Instr("gt", (0, Scalar(0.0)))), (1, 2))
    case = Case(program, (np.array([1.0, -1.0]),), (True,), (None, None))
    for framework in FRAMEWORKS:
        need(framework)
        names = execute(to_source(case, framework))
        assert names["grads"] == [None]
        assert names["values"][1].tolist() == [True, False]


@pytest.mark.filterwarnings("ignore::UserWarning")  # PyTorch's remarks on kl_div and even kernels
@pytest.mark.parametrize("framework", ["jax", "reference"])
@pytest.mark.parametrize("op", OPS)
def test_the_scripts_of_an_op_mean_what_pytorch_means(op: str, framework: str) -> None:
    """PyTorch's gradient, with room for rounding alone, is the expectation of the other scripts: a wrong word shows."""
    need("torch")
    need(framework)
    if op not in spelled(framework):
        with pytest.raises(ValueError, match=f"framework {framework} has no op {op}"):
            to_source(random_program(random.Random(op), ops=(op,), max_instrs=1), framework)
        return
    rng = random.Random(OPS[op].name)
    extra = ("where",) if op in ("gt", "ge", "lt", "le", "eq", "ne") else ()
    made = [random_program(rng, ops=(op, *extra), max_instrs=2, int_inputs=False) for _ in range(12)]
    made = [program for program in made if any(instr.op == op for instr in program.instrs)][:2]
    assert made
    for seed, program in enumerate(made, 1):
        case = point(program, seed=seed)
        truth = gradients(case, "torch")
        digits = 1e-7 if op in ("hardsigmoid", "celu") else 1e-9  # PyTorch rounds a constant to float32 there
        expected = [(t, digits * (1.0 + np.abs(t))) for t in truth]
        with pytest.raises(SystemExit) as left:
            execute(to_source(case, framework, expected=expected))
        assert left.value.code is None


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("inputs", [1, 8, 20, 30])
def test_a_script_of_many_inputs_keeps_to_forty_lines(inputs: int, framework: str) -> None:
    sums = [Instr("add", (0, 1) if k == 1 else (inputs + k - 2, k)) for k in range(1, inputs)]
    sines = [Instr("sin", (k,)) for k in range(inputs)]
    n = inputs + len(sums) + len(sines)
    case = point(Program((Spec((2,)),) * inputs, (*sums, *sines), tuple(range(inputs, n))))
    for expected in (None, [(np.zeros(2), 1.0)] * inputs):
        source = to_source(case, framework, expected=expected)
        assert len(source.splitlines()) <= MAX_LINES
        compile(source, "<script>", "exec")


def test_wrong_use_is_refused_with_the_argument() -> None:
    with pytest.raises(ValueError, match="framework is 'tensorflow'"):
        to_source(sample(), "tensorflow")
    with pytest.raises(ValueError, match="expected has 1 entries, 2 inputs require grad"):
        to_source(sample(), "torch", expected=[None])
    with pytest.raises(ValueError, match="expected for input 0: shapes"):
        to_source(sample(), "torch", expected=[(np.zeros(6), 1.0), None])


def test_a_script_leaves_nan_between_the_elements_of_a_strided_array() -> None:
    """A kernel that reads there shows it in every process; numbers that happen to lie there might hide it."""
    program = Program((Spec((2, 2)), Spec((2,), "bool")), (Instr("where", (1, 0, 0)),), (2,))
    case = point(program, seed=1, layouts=["strided"], primal_layouts=["strided", "strided"])
    again = serial.loads_case(serial.dumps_case(case))
    for array in (case.primals[0], case.cotangents[0], again.primals[0], again.cotangents[0]):
        assert array is not None and layout_of(array) == "strided"
        between = np.lib.stride_tricks.as_strided(array, (7,), (8,))[1::2]
        assert np.isnan(between).all()
    lines = to_source(case, "torch").splitlines()
    assert sum("nan" in line and line.endswith(("[..., ::2]", "[..., ::2].requires_grad_()")) for line in lines) == 2
