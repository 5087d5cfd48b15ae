"""Wrong gradients planted in PyTorch and JAX are found, and put down to the framework."""

from __future__ import annotations

import pytest

from harness import backends
from harness.cases import Case
from harness.defects import Defect
from harness.examine import examine
from harness.judgement import judge
from harness.oracles.bound import enclose_backend
from harness.oracles.certificate import certify
from harness.points import point
from harness.programs import Instr, Program, Spec
from suites.framework_twins import in_jax, in_torch

AVAILABLE = backends.available()
POSITIVE = {"log", "sqrt", "rsqrt", "reciprocal", "log1p", "pow", "div", "atan2"}
_UNARY = "neg abs exp expm1 log log1p sqrt rsqrt reciprocal square sin cos tan sinh cosh tanh atan sigmoid relu clone"
_BINARY = "add sub mul div pow maximum minimum logaddexp atan2"
UNARY, BINARY = _UNARY.split(), _BINARY.split()


def wrong(op: str) -> list[Defect]:
    arguments = (0,) if op in UNARY else (0, 1)
    made = [Defect(op, i, k) for i in arguments for k in ("zero", "sign", "dropped element")]
    made += [Defect(op, i, "factor", size) for i in arguments for size in (1e-3, 1e-8)]
    return made if op in UNARY else [*made, Defect(op, 1, "missing sum")]


def single(op: str) -> Case:
    """The op alone, at a random point of its domain; the second argument of a binary op is broadcast."""
    domain = "positive" if op in POSITIVE else "real"
    shapes: tuple[tuple[int, ...], ...] = ((2, 3),) if op in UNARY else ((2, 3), (3,))
    specs = tuple(Spec(shape, domain=domain) for shape in shapes)
    program = Program(specs, (Instr(op, tuple(range(len(specs)))),), (len(specs),))
    return point(program, seed=11)


def caught(case: Case, backend: str) -> bool:
    certificate = certify(case)
    outcome = backends.get(backend).prepare(case)()
    value, vjp = judge(case, outcome, certificate, enclose_backend(case, backend))
    assert value.kind == "agree", value.reason
    assert vjp.owner in ("", "framework")
    return vjp.kind == "disagree"


@pytest.mark.skipif(AVAILABLE["torch"] is not None, reason="PyTorch is not installed")
@pytest.mark.parametrize("op", [*UNARY, *BINARY])
def test_wrong_gradient_in_torch_is_caught(op: str) -> None:
    case = single(op)
    with in_torch(Defect(op, 0, "sign"), planted=False):
        assert not caught(case, "torch")
    for defect in wrong(op):
        if op in ("relu", "maximum", "minimum") and defect.kind in ("dropped element", "missing sum"):
            continue  # the dropped element may be 0 here
        with in_torch(defect):
            assert caught(case, "torch"), str(defect)


@pytest.mark.skipif(AVAILABLE["jax"] is not None, reason="JAX is not installed")
@pytest.mark.parametrize("op", ["exp", "tanh", "log", "mul", "pow", "logaddexp"])
def test_wrong_gradient_in_jax_is_caught(op: str) -> None:
    case = single(op)
    with in_jax(Defect(op, 0, "sign"), planted=False):
        assert not caught(case, "jax")
    for defect in wrong(op):
        with in_jax(defect):
            assert caught(case, "jax"), str(defect)


@pytest.mark.skipif(AVAILABLE["torch"] is not None, reason="PyTorch is not installed")
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_factor_is_a_wrong_rule_and_no_lost_digits(dtype: str) -> None:
    """Settled against the other precision, a factor stays a matter of the derivative and of the framework."""
    made = single("sin")
    case = point(made.program, seed=11, dtype=dtype)
    with in_torch(Defect("sin", 0, "factor", 1e-3)):
        verdict = examine(case, backends.get("torch"))[1]
    assert (verdict.kind, verdict.aspect, verdict.owner) == ("disagree", "derivative", "framework")
