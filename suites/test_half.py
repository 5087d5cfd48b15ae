"""float16 and bfloat16 on PyTorch and JAX: right gradients are not blamed, wrong ones are caught, and how much is judged."""

from __future__ import annotations

import contextlib
import io
from dataclasses import replace

import numpy as np
import pytest

from harness import backends, serial
from harness.cases import Case, Outcome
from harness.defects import Defect
from harness.examine import examine, expected
from harness.floats import DTYPES, HALF, about, carrier, is_of, to_dtype
from harness.inference import ProgramError
from harness.judgement import judge
from harness.oracles.bound import enclose_backend
from harness.oracles.certificate import certify
from harness.points import layout_of, point
from harness.programs import Instr, Program, Scalar, Spec
from harness.sources import to_source
from harness.verify import HALF_INSTRS, run_verify
from suites.framework_twins import in_jax, in_torch

AVAILABLE = backends.available()
FRAMEWORKS = [
    pytest.param(name, marks=pytest.mark.skipif(AVAILABLE[name] is not None, reason=f"{name} is not installed"))
    for name in ("torch", "jax")
]
ENGINES = {"torch": in_torch, "jax": in_jax}


def chain(*instrs: Instr, shapes: tuple[tuple[int, ...], ...] = ((2, 3),), domain: str = "real") -> Program:
    return Program(tuple(Spec(s, domain=domain) for s in shapes), instrs, (len(shapes) + len(instrs) - 1,))


PROGRAMS = {
    "sin": chain(Instr("sin", (0,))),
    "mul": chain(Instr("mul", (0, 1)), shapes=((2, 3), (3,))),
    "by a literal": chain(Instr("mul", (0, Scalar(0.1))), Instr("exp", (1,))),
    "softmax": chain(Instr("softmax", (0,), (("dim", 1),))),
    "matmul": chain(Instr("matmul", (0, 1)), Instr("tanh", (2,)), shapes=((2, 3), (3, 2))),
    "shared": chain(Instr("exp", (0,)), Instr("mul", (1, 0)), Instr("sum", (2,), (("dim", 0),))),
    "leaky_relu": chain(Instr("leaky_relu", (0,))),
}


# The numbers


@pytest.mark.parametrize("dtype", HALF)
def test_rounding_is_that_of_the_frameworks(dtype: str) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(3)
    x = np.concatenate(
        [rng.normal(size=500), np.ldexp(rng.normal(size=500), rng.integers(-140, 120, 500)), [0.0, -0.0]]
    )
    x = np.concatenate([x.astype(np.float32), np.float32([np.inf, -np.inf, 65504, 65520, 1 + 2**-8, 1 + 3 * 2**-8])])
    there = torch.from_numpy(x).to(getattr(torch, dtype)).float().numpy()
    assert np.array_equal(to_dtype(x, dtype), there, equal_nan=True)
    assert np.isnan(to_dtype([np.nan], dtype)).all()
    assert is_of(there, dtype) and not is_of(x, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_is_known_of_a_float_type_is_true(dtype: str) -> None:
    known = about(dtype)
    one = to_dtype([1.0, 1.0 + known.eps, 1.0 + known.eps / 4], dtype)
    assert one.tolist() == [1.0, 1.0 + known.eps, 1.0]
    edges = to_dtype([known.max, known.tiny, known.smallest_subnormal, known.smallest_subnormal / 4], dtype)
    assert edges.tolist() == [known.max, known.tiny, known.smallest_subnormal, 0.0]
    assert np.isinf(to_dtype([known.max * (1 + known.eps)], dtype)).all() or dtype == "float64"
    assert edges.dtype == carrier(dtype)


@pytest.mark.parametrize("dtype", HALF)
def test_a_case_holds_numbers_and_literals_of_its_dtype_alone(dtype: str) -> None:
    case = point(PROGRAMS["by a literal"], seed=3, dtype=dtype, primal_layouts=["strided"], layouts=["transposed"])
    assert all(is_of(np.asarray(x), dtype) for x in (*case.primals, *case.cotangents))
    assert case.program.instrs[0].args[1] == Scalar(float(to_dtype(0.1, dtype)))
    assert layout_of(case.primals[0]) == "strided"
    again = serial.loads_case(serial.dumps_case(case))
    assert again.dtype == dtype and np.array_equal(again.primals[0], case.primals[0])


def test_a_saved_case_with_a_number_of_a_wider_type_is_refused() -> None:
    case = point(PROGRAMS["sin"], seed=3, dtype="float32")
    with pytest.raises(ProgramError, match="holds a number that is no bfloat16"):
        serial.loads_case(serial.dumps_case(replace(case, dtype="bfloat16")))


# Judgement


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("name", PROGRAMS)
def test_right_gradients_agree(name: str, dtype: str, framework: str) -> None:
    for seed in range(1, 4):
        case = point(PROGRAMS[name], seed=seed, dtype=dtype, layouts=["transposed"], kind="random")
        for verdict in examine(case, backends.get(framework)):
            assert verdict.kind == "agree", f"{verdict.claim}: {verdict.reason}"
            assert verdict.elements and verdict.undecided <= verdict.elements / 2


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize(("kind", "size"), [("zero", 0.0), ("sign", 0.0), ("dropped element", 0.0), ("factor", 0.125)])
def test_wrong_gradients_are_caught_and_are_no_lost_digits(kind: str, size: float, dtype: str, framework: str) -> None:
    defect = Defect("sin", 0, kind, size)
    case = point(PROGRAMS["sin"], seed=11, dtype=dtype)
    with ENGINES[framework](defect, planted=False):
        assert [v.kind for v in examine(case, backends.get(framework))] == ["agree", "agree"]
    with ENGINES[framework](defect):
        value, vjp = examine(case, backends.get(framework))
    assert (value.kind, vjp.kind, vjp.aspect, vjp.owner) == ("agree", "disagree", "derivative", "framework")


@pytest.mark.parametrize("dtype", HALF)
def test_a_result_of_a_wider_dtype_is_broken(dtype: str) -> None:
    """A kernel that forgets to round back gives float32 numbers, which the carrier would hide."""
    pytest.importorskip("torch")
    case = point(PROGRAMS["sin"], seed=3, dtype=dtype)
    outcome = backends.get("torch").prepare(case)()
    wide = Outcome((np.sin(case.primals[0]),), outcome.grads)  # type: ignore[arg-type]  # NumPy's generic arrays
    value, _ = judge(case, wide, certify(case), enclose_backend(case, "torch"))
    assert (value.kind, value.aspect) == ("disagree", "structure")
    assert f"a number of a wider dtype, expected {dtype}" in value.reason


@pytest.mark.parametrize("dtype", HALF)
def test_what_a_framework_has_not_in_half_is_unsupported_and_not_wrong(dtype: str) -> None:
    pytest.importorskip("torch")
    case = point(chain(Instr("inv", (0,), (("plus", 4.0),)), shapes=((2, 2),)), seed=3, dtype=dtype)
    assert [v.kind for v in examine(case, backends.get("torch"))] == ["unsupported", "unsupported"]
    verdicts = examine(point(PROGRAMS["sin"], dtype=dtype), backends.get("reference"))
    assert [(v.kind, v.reason) for v in verdicts] == [("unsupported", f"does not run {dtype}")] * 2


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("dtype", HALF)
def test_the_script_of_a_half_finds_what_is_wrong(dtype: str, framework: str) -> None:
    case: Case = point(PROGRAMS["by a literal"], seed=5, dtype=dtype)
    truth = expected(case, framework, certify(case))
    for claims, problem in ((truth, False), ([(np.asarray(t[0]) + 1.0, 0.0) for t in truth if t is not None], True)):
        with pytest.raises(SystemExit) as end, contextlib.redirect_stdout(io.StringIO()):
            exec(compile(to_source(case, framework, expected=claims), "<script>", "exec"), {})
        assert (end.value.code is not None) == problem, end.value.code


@pytest.mark.skipif(AVAILABLE["torch"] is not None, reason="PyTorch is not installed")
def test_a_run_judges_short_programs_in_half_beside_the_others() -> None:
    result = run_verify(backends_=("reference", "torch"), max_programs=60, budget_seconds=60.0, seed=4)
    assert result.failure is None
    halves = [row for row in result.rows if row.dtype in HALF]
    assert {row.dtype for row in result.rows} == set(DTYPES)
    assert {row.backend for row in halves} == {"torch"}
    assert all(len(row.ops.split()) <= HALF_INSTRS for row in halves)
    judged = [row for row in halves if row.verdict != "unsupported"]
    elements, undecided = (sum(getattr(r, f"{n}_count") for r in judged) for n in ("element", "inconclusive"))
    assert elements > 100 and undecided < 0.15 * elements
    wide = [row for row in result.rows if row.dtype not in HALF and row.reason != "kink"]
    assert result.inconclusive_share == sum(r.inconclusive_count for r in wide) / sum(
        r.element_count for r in result.rows if r.dtype not in HALF
    )
