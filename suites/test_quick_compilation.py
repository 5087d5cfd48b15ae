"""Most drawn programs are compiled quickly; what disagrees then is asked again of the framework as it compiles by default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest

from harness import backends, verify
from harness.backends import reference
from harness.cases import Case, Outcome, Thunk
from harness.examine import examine
from harness.points import point
from harness.programs import Instr, Program, Spec

needs_jax = pytest.mark.skipif(backends.available()["jax-jit"] is not None, reason="JAX is not installed")
WRONG_ALONE = ("", "rendering", "wrong only if compiled quickly")


@dataclass(frozen=True)
class Compiler:
    """The reference under the name of a backend that compiles, with gradients that are wrong as it is told."""

    wrong: bool = False
    wrong_quickly: bool = False
    quick: bool = False
    name: str = "jax-jit"
    version: str = "0"

    @property
    def conventions(self) -> Mapping[str, str]:
        return reference.CONVENTIONS

    @property
    def rendering(self) -> str:
        return "quick" if self.quick else ""

    def quickly(self) -> Compiler:
        return replace(self, quick=True)

    def supports(self, program: Program) -> str | None:
        return None

    def value_thunk(self, case: Case) -> Thunk:
        return reference.ReferenceBackend().value_thunk(case)

    def prepare(self, case: Case) -> Thunk:
        thunk = reference.ReferenceBackend().prepare(case)
        factor = 1.5 if (self.wrong_quickly if self.quick else self.wrong) else 1.0

        def scaled() -> Outcome:
            found = thunk()
            return replace(found, grads=tuple(None if g is None else (g * factor).astype(g.dtype) for g in found.grads))

        return scaled


def run(monkeypatch: pytest.MonkeyPatch, engine: Any, programs: int) -> verify.VerifyResult:
    monkeypatch.setattr(verify, "JAX_SHARE", 1)
    monkeypatch.setattr(verify, "JAX_POINTS", 4)
    monkeypatch.setattr(backends, "get", lambda name: engine)
    found = verify.run_verify(
        backends_=("jax-jit",), ops=("sin", "mul"), dtypes=("float64", "float32"), max_programs=programs, seed=3
    )
    assert found.failure is None
    return found


def noted(found: verify.VerifyResult) -> int:
    return sum(r.count for r in found.coverage if (r.op, r.facet, r.value) == WRONG_ALONE)


def test_one_program_in_eight_is_compiled_as_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    found = run(monkeypatch, Compiler(), 32)
    modes = {dtype: [r.mode for r in found.rows if r.dtype == dtype] for dtype in ("float64", "float32")}
    for dtype, seen in modes.items():
        assert 7 * seen.count("jit") == seen.count("jit quick") > 0, dtype
    assert not found.disagreements
    assert noted(found) == 0


def test_what_is_wrong_by_default_is_found_in_programs_that_are_compiled_quickly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = run(monkeypatch, Compiler(wrong=True, wrong_quickly=True), 8)
    assert found.disagreements
    assert {r.mode for r in found.rows if r.verdict == "disagree"} == {"jit"}, "the script of one compiles by default"


def test_what_is_wrong_only_quickly_is_counted_and_no_disagreement(monkeypatch: pytest.MonkeyPatch) -> None:
    found = run(monkeypatch, Compiler(wrong_quickly=True), 8)
    assert not found.disagreements
    assert noted(found) > 0


@needs_jax
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_jax_compiled_quickly_agrees_and_compiles_anew(dtype: str) -> None:
    program = Program((Spec((2, 3)), Spec((3,))), (Instr("matmul", (0, 1)), Instr("tanh", (2,))), (3,))
    engine: Any = backends.get("jax-jit")
    for quick in (engine, engine.quickly()):
        assert [v.kind for v in examine(point(program, seed=3, dtype=dtype), quick)] == ["agree", "agree"]
    assert engine.quickly() != engine
    eager: Any = backends.get("jax")
    assert eager.quickly() == eager


@needs_jax
@pytest.mark.parametrize("takes_options", [True, False])
def test_options_that_this_xla_lacks_are_left_out(takes_options: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    import numpy as np

    from harness.backends import jax_versions

    monkeypatch.setattr(jax_versions, "_TAKES_OPTIONS", takes_options)
    options = {"xla_backend_optimization_level": 0, "xla_no_such_option": True}
    assert not jax_versions._known("xla_no_such_option", True)
    double = jax_versions.jit(lambda xs, y: [x + y for x in xs], options)
    for dtype in ("float64", "float32"):  # a function compiled ahead takes no other arguments than it was compiled for
        (found,) = double([np.ones(2, dtype)], np.ones(2, dtype))
        assert found.dtype == dtype
        assert found.tolist() == [2, 2]
