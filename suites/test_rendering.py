"""PyTorch runs programs in place, on views and into slices, and its gradients stay right; a wrong such program is caught."""

from __future__ import annotations

import contextlib
import io
import random
from collections import Counter
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

from harness import backends, verify
from harness.backends import torch_eager
from harness.cases import Case
from harness.examine import examine, expected
from harness.generation import random_program
from harness.judgement import Verdict
from harness.oracles.certificate import certify
from harness.points import point
from harness.programs import Instr, Program, Spec
from harness.rendering import IN_PLACE, Fill, Write, plan
from harness.sources import to_source
from harness.triage import bucket

PLAIN: Any = backends.get("torch")
IN = PLAIN.in_place()

SHARED = Program((Spec((2, 3)),), (Instr("sin", (0,)), Instr("mul", (1, 1)), Instr("add", (1, 2))), (3,))
CHAIN = Program((Spec((2, 3)),), (Instr("mul", (0, 0)), Instr("sin", (1,)), Instr("add", (2, 0))), (3,))
JOINED = Program(
    (Spec((2, 3)), Spec((1, 3))),
    (Instr("exp", (1,)), Instr("cat", (0, 2), (("dim", 0),)), Instr("stack", (3, 3), (("dim", -1),))),
    (4,),
)


def test_inputs_and_what_is_used_again_are_cloned_and_the_rest_is_overwritten() -> None:
    assert plan(SHARED) == (Write("sin_", True, False), Write("mul_", True, True), Write("add_", True, False))
    assert plan(CHAIN) == (Write("mul_", True, False), Write("sin_", False, True), Write("add_", False, False))
    assert plan(JOINED) == (Write("exp_", True, True), Fill((3, 3), 0, (2, 1)), Fill((3, 3, 2), 2, ()))


def test_outputs_are_not_overwritten() -> None:
    program = Program((Spec((2,)),), (Instr("sin", (0,)), Instr("neg", (1,))), (1, 2))
    assert plan(program)[1] == Write("neg_", True, True)


def in_place(programs: int, seed: int) -> tuple[Counter[str], list[tuple[Program, Verdict]]]:
    rng, seen, wrong = random.Random(seed), Counter[str](), []
    for k in range(programs):
        program = random_program(rng, max_instrs=8, ops=(*sorted(IN_PLACE), "cat", "stack", "matmul", "sum", "reshape"))
        seen.update(type(step).__name__ for step in plan(program))
        for verdict in examine(point(program, seed=k + 1, dtype=("float64", "float32")[k % 2]), IN):
            seen[verdict.kind] += 1
            if verdict.kind == "disagree" and verdict.aspect != "accuracy":
                wrong.append((program, verdict))
    return seen, wrong


def test_drawn_programs_in_place_have_right_gradients() -> None:
    seen, wrong = in_place(60, seed=3)
    assert not wrong, f"{wrong[0][1].reason}\n{wrong[0][0]}"
    assert seen["Write"] > 60 and seen["Fill"] > 5 and seen["agree"] > 90


@pytest.mark.parametrize("program", [SHARED, CHAIN, JOINED], ids=["shared", "chain", "joined"])
def test_a_script_in_place_is_the_case_in_place(program: Program) -> None:
    case = point(program, seed=4)
    outcome = IN.prepare(case)()
    names: dict[str, Any] = {}
    script = to_source(case, "torch", in_place=True)
    assert "_(" in script
    with contextlib.redirect_stdout(io.StringIO()):
        exec(compile(script, "<script>", "exec"), names)
    assert [g.tolist() for g in names["grads"]] == [g.tolist() for g in outcome.grads if g is not None]
    assert np.array_equal(names["values"][0].detach().numpy(), outcome.values[0])


def test_only_scripts_of_torch_are_written_in_place() -> None:
    with pytest.raises(ValueError, match="in_place is for 'torch', framework is 'jax'"):
        to_source(point(CHAIN), "jax", in_place=True)


def planted(monkeypatch: pytest.MonkeyPatch, program: Program, at: int, step: Write | Fill) -> Case:
    wrong = tuple(step if k == at else s for k, s in enumerate(plan(program)))
    monkeypatch.setattr(torch_eager, "plan", lambda given: wrong if given == program else plan(given))
    torch_eager._evaluator.cache_clear()
    return point(program, seed=4)


def test_overwriting_what_is_used_again_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    case = planted(monkeypatch, SHARED, 1, Write("mul_", False, True))
    verdicts = examine(case, IN)
    torch_eager._evaluator.cache_clear()
    assert "disagree" in {v.kind for v in verdicts}
    assert {v.kind for v in examine(case, PLAIN)} == {"agree"}
    worst = next(v for v in verdicts if v.kind == "disagree")
    assert bucket(worst, case, IN).backend == "torch in place"


def test_a_slice_in_the_wrong_place_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    case = planted(monkeypatch, JOINED, 1, Fill((3, 3), 0, (1, 2)))
    assert {v.kind for v in examine(case, IN)} == {"disagree"}
    torch_eager._evaluator.cache_clear()


def test_a_run_draws_programs_in_place_and_its_scripts_show_it(monkeypatch: pytest.MonkeyPatch) -> None:
    result = verify.run_verify(backends_=("torch",), max_programs=12, budget_seconds=60.0, dtypes=("float64",), seed=2)
    assert {row.mode for row in result.rows} == {"eager", "in place"}
    assert any(row.facet == "rendering" and row.count for row in result.coverage)
    truth = expected(point(CHAIN), "torch", certify(point(CHAIN)))
    assert "sin_(" in to_source(point(CHAIN), "torch", expected=truth, in_place=True)
