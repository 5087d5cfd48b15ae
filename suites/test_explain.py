"""An explanation names the instruction at which the first wrong value or cotangent arises."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from harness import backends
from harness.cases import Case
from harness.cli import cli
from harness.defects import Defect, PlantedBackend
from harness.explain import Explanation, cases_in, explain, suffix
from harness.generation import random_program
from harness.judgement import agree_exactly
from harness.points import point
from harness.records import RecordError, RunInfo, VerdictRow, write_run
from harness.serial import dumps_case

REFERENCE = backends.get("reference")
CORPUS = Path(__file__).parent / "corpus"
OPS = ("sin", "exp", "tanh", "mul", "add", "sum", "matmul", "softmax", "getitem", "cat", "where")


def longer_cases(op: str, count: int) -> Iterator[Case]:
    """Programs of at least four instructions with the op among them, at ordinary points."""
    rng = random.Random(17)
    found = 0
    while found < count:
        program = random_program(rng, ops=OPS, max_instrs=9, max_inputs=3)
        if len(program.instrs) >= 4 and op in {i.op for i in program.instrs}:
            found += 1
            yield point(program, seed=found)


def name_of(explanation: Explanation) -> str:
    return "" if explanation.culprit is None else explanation.culprit.text.split(" = ")[1].split("(")[0]


@pytest.mark.parametrize(
    "defect",
    [
        Defect("sin", 0, "sign"), Defect("tanh", 0, "factor", 1e-3), Defect("mul", 1, "factor", 1e-6),
        Defect("matmul", 0, "sign"), Defect("softmax", 0, "zero"), Defect("exp", 0, "factor", 1e-3),
    ],
    ids=str,
)  # fmt: skip
def test_a_planted_wrong_rule_is_named(defect: Defect) -> None:
    engine = PlantedBackend(defect)
    named = []
    for case in longer_cases(defect.op, 12):
        if not agree_exactly(REFERENCE.prepare(case)(), engine.prepare(case)()):
            continue  # it makes no difference here
        named.append(name_of(explain(case, engine)))
    assert len(named) >= 4
    assert set(named) <= {defect.op, ""}
    assert named.count(defect.op) >= 0.75 * len(named)  # the rest drowns in what rounding allows


def test_the_unplanted_backend_is_right_at_every_step() -> None:
    for case in longer_cases("mul", 8):
        assert explain(case, REFERENCE).culprit is None


@dataclass(frozen=True)
class WrongValue:
    """The reference, but what it returns for `exp` is off by a part in a thousand."""

    name: str = "reference"
    version: str = "0"
    conventions: Any = None

    def supports(self, program: Any) -> None:
        return None

    def prepare(self, case: Case) -> Callable[[], Any]:
        return lambda: self._spoilt(case, REFERENCE.prepare(case)())

    def value_thunk(self, case: Case) -> Callable[[], Any]:
        return lambda: self._spoilt(case, REFERENCE.value_thunk(case)())

    def _spoilt(self, case: Case, outcome: Any) -> Any:
        n = len(case.program.inputs)
        spoilt = [
            v * 1.001 if s >= n and case.program.instrs[s - n].op == "exp" else v
            for s, v in zip(case.program.outputs, outcome.values, strict=True)
        ]
        return replace(outcome, values=tuple(spoilt))


def test_a_wrong_value_is_named_before_any_cotangent() -> None:
    engine = WrongValue(conventions=REFERENCE.conventions)
    case = next(longer_cases("exp", 1))
    found = explain(case, engine)
    assert name_of(found) == "exp"
    assert found.backward == ()


def test_a_suffix_has_the_slots_that_cross_the_cut_as_inputs() -> None:
    case = next(longer_cases("mul", 1))
    rest = suffix(case, REFERENCE, len(case.program.instrs) - 1)
    assert rest is not None
    assert len(rest.program.instrs) == 1
    again = REFERENCE.prepare(rest)()
    whole = REFERENCE.prepare(case)()
    assert [np.array_equal(a, b) for a, b in zip(again.values, whole.values, strict=True)] == [True] * len(whole.values)


def test_cases_are_read_from_a_case_and_from_the_corpus(tmp_path: Path) -> None:
    entry = CORPUS / "logaddexp_of_large_equals.json"
    (from_corpus,) = cases_in(entry)
    path = tmp_path / "case.json"
    path.write_text(dumps_case(from_corpus.case))
    (again,) = cases_in(path)
    assert again.case.program == from_corpus.case.program


def rows(*verdicts: str, folder: Path) -> Path:
    case = dumps_case(cases_in(CORPUS / "logaddexp_of_large_equals.json")[0].case)
    info = RunInfo(run_id="r", started_utc="2030-01-01T00:00:00+00:00", command="", versions={})
    made = tuple(
        VerdictRow(
            run_id="r", program_id="0", seed=0, point=0, backend="jax", backend_version="0", mode="jit", dtype="float64",
            claim="vjp", aspect="derivative", ops="logaddexp", verdict=v, owner="framework" if v == "disagree" else "",
            program=case if v == "disagree" else "",
        )
        for v in verdicts
    )  # fmt: skip
    (path,) = write_run(folder, info, verdicts=made)
    return Path(path)


def test_cases_are_read_from_the_rows_of_disagreements(tmp_path: Path) -> None:
    saved = cases_in(rows("agree", "disagree", "disagree", folder=tmp_path))
    assert [s.backend for s in saved] == ["jax-jit"]


def test_a_file_without_disagreements_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="no disagreement"):
        cases_in(rows("agree", folder=tmp_path))


def test_the_command_names_the_instruction_and_fails() -> None:
    done = CliRunner().invoke(cli, ["explain", str(CORPUS / "logaddexp_of_large_equals.json"), "--backend", "jax"])
    assert done.exit_code == 1
    assert "The first thing wrong is at: v1 = logaddexp(x0, x0)" in done.output


def test_the_command_says_when_every_step_is_right() -> None:
    done = CliRunner().invoke(cli, ["explain", str(CORPUS / "logaddexp_of_large_equals.json"), "--backend", "torch"])
    assert done.exit_code == 0
    assert "Every step is right on its own." in done.output


def test_a_file_that_is_no_case_is_wrong_use(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps({"a": 1}))
    done = CliRunner().invoke(cli, ["explain", str(path)])
    assert done.exit_code == 2
    assert "x.json" in done.output
