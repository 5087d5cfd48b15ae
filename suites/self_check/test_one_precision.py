"""A rule that is wrong in float32 alone is told from lost digits, in drawn programs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from flint import arb

from harness import backends
from harness.cases import Case, Outcome, Thunk
from harness.defects import Defect, PlantedBackend
from harness.examine import examine
from harness.judgement import Verdict
from harness.oracles import bound
from harness.oracles.balls import filled
from harness.points import point
from harness.strategies import programs_of
from reference_impl.primitives import PRIMITIVES, replaced_rules

REFERENCE: Any = backends.get("reference")
PROGRAMS, POINTS = 6, 3


def verdicts(op: str, backend: Any, dtype: str = "float32", programs: int = PROGRAMS) -> Iterator[tuple[Case, Verdict]]:
    for program in programs_of(op, programs, 77):
        for k in range(POINTS):
            case = point(program, seed=11 + k, kind=("random", "edge")[k == 2], dtype=dtype)
            yield case, examine(case, backend, seed=k)[1]


WRONG = [
    Defect(op, 0, kind, size, "float32")
    for op, kind, size in (
        ("mul", "sign", 0.0),
        ("sin", "zero", 0.0),
        ("softmax", "factor", 0.5),
        ("cosh", "sign", 0.0),
        ("maximum", "factor", 0.5),
        ("prod", "sign", 0.0),
        ("tan", "factor", 1e-3),
        ("amax", "factor", 1e-3),
        ("matmul", "factor", 1e-4),
        ("permute", "factor", 1e-4),
    )
]


@pytest.mark.parametrize("defect", WRONG, ids=str)
def test_a_rule_that_is_wrong_in_float32_alone_is_a_wrong_rule(defect: Defect) -> None:
    found = [v for _, v in verdicts(defect.op, PlantedBackend(defect)) if v.kind == "disagree"]
    caught = [v for v in found if v.aspect == "derivative"]
    assert any(v.reason.startswith("in float32 alone") for v in caught)
    assert {v.owner for v in caught} == {"reference"}


def test_a_rule_that_is_wrong_in_float32_alone_is_right_in_float64() -> None:
    for defect in WRONG[:4]:
        assert "disagree" not in {v.kind for _, v in verdicts(defect.op, PlantedBackend(defect), "float64")}


# -- rules that are right and lose digits, by as much as one likes, in both precisions

LOSSES: dict[str, Callable[[Any], Any]] = {
    "8": lambda g: (g + 8.0) - 8.0,
    "-1e3": lambda g: (g - 1e3) + 1e3,
    "3e4": lambda g: (g + 3e4) - 3e4,
    "1e6": lambda g: (g + 1e6) - 1e6,
    "1e12": lambda g: (g + 1e12) - 1e12,
    "doubled": lambda g: 300.0 * g - 299.0 * g,
    "a third": lambda g: (g + 1e3 * (g / 3.0)) - 1e3 * g / 3.0,
}


@dataclass(frozen=True)
class Lossy:
    """The reference with a rule after which digits are lost."""

    op: str
    loss: str
    name: str = "reference"

    version = REFERENCE.version
    conventions = REFERENCE.conventions

    def supports(self, program: Any) -> str | None:
        return None

    def prepare(self, case: Case) -> Thunk:
        return self._inside(REFERENCE.prepare(case))

    def value_thunk(self, case: Case) -> Thunk:
        return self._inside(REFERENCE.value_thunk(case))

    def _inside(self, thunk: Thunk) -> Thunk:
        rules = [_losing(rule, LOSSES[self.loss]) for rule in PRIMITIVES[self.op].rules]

        def run() -> Outcome:
            with replaced_rules(self.op, rules), np.errstate(all="ignore"):
                return thunk()

        return run


def _losing(rule: Any, loss: Callable[[Any], Any]) -> Any:
    from harness.defects.rules import _as_declared

    return _as_declared(replace(rule, function=lambda ct, *kept: loss(rule.function(ct, *kept))))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("op", ["sin", "mul", "sum", "matmul", "softmax"])
def test_digits_that_a_formula_loses_are_no_wrong_rule(op: str, loss: str) -> None:
    """Whatever is left of a gradient: few digits, or none, in which case it is 0 or as wrong as one likes."""
    found = [v for _, v in verdicts(op, Lossy(op, loss)) if v.kind == "disagree"]
    assert [v.reason for v in found if v.aspect == "derivative" and v.reason.startswith("in float32 alone")] == []
    assert found, "no digits were lost"


# -- kernels that are right, held against bounds that they cannot keep

TIGHTER = 64
ROUNDED_OPS = (
    *("sigmoid", "tanh", "erf", "logaddexp", "lgamma", "exp", "cumprod", "pow", "div", "sinc", "i0e", "kl_div"),
    *("logsumexp", "softmax", "var", "vector_norm", "matmul", "conv2d", "layer_norm", "cholesky", "atan2", "gelu"),
)


def _tightened(honest: Any) -> Any:
    def tighten(balls: Any) -> Any:
        if balls is None:
            return None
        cells = [arb(c.mid(), float(c.rad()) / TIGHTER) if c.is_finite() else c for c in balls.cells.ravel().tolist()]
        return balls.like(filled(balls.shape, cells))

    return replace(honest, grads=tuple(tighten(g) for g in honest.grads))


@pytest.mark.parametrize("engine", ["reference", "torch"])
def test_rounding_is_no_wrong_rule_however_small_the_bound(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """If declared errors are far too small, results lie outside their bounds for rounding alone."""
    if engine != "reference":
        pytest.importorskip(engine)
    honest = bound.enclose_backend
    monkeypatch.setattr("harness.examine.enclose_backend", lambda *args, **given: _tightened(honest(*args, **given)))
    found = [v for op in ROUNDED_OPS for _, v in verdicts(op, backends.get(engine), programs=2) if v.kind == "disagree"]
    assert len(found) > len(ROUNDED_OPS)
    assert [v.reason for v in found if v.reason.startswith("in float32 alone")] == []
