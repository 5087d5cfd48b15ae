"""`adjudge power` asks every checker about the same functions, goes on where it was stopped, and shows what it counted."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from harness import power
from harness.cli import cli
from harness.cli.options import AGREE, DISAGREE, INTERRUPTED, USAGE
from harness.power import PowerResult, run_power
from harness.records import PowerRow, read_run, write_run
from reports import render
from reports.power import power_markdown, power_table

ENGINES = ("reference",)


@pytest.fixture(scope="module")
def result() -> PowerResult:
    return run_power(engines=ENGINES, limit=8)


def test_every_function_is_asked_about_with_the_defect_and_without(result: PowerResult) -> None:
    assert not result.pending
    assert len({r.defect for r in result.rows if r.planted}) == 8
    right = {(r.op, r.form, r.dtype) for r in result.rows if not r.planted}
    assert right == {(r.op, r.form, r.dtype) for r in result.rows if r.planted}
    assert {r.checker for r in result.rows} == {power.ADJUDGE, power.DRAWN}
    assert (result.missed, result.alarms) == ([], [])


def test_a_factor_knows_its_size_in_bounds(result: PowerResult) -> None:
    factors = [r for r in result.rows if r.group == "scale" and r.checker == power.ADJUDGE and r.planted]
    assert factors and all(math.isnan(r.bounds) or r.bounds > 16 for r in factors)


@pytest.mark.parametrize("engine", ["torch", "autograd"])
def test_each_checker_of_a_framework_gets_the_function(engine: str) -> None:
    if (reason := power.available()[engine]) is not None:
        pytest.skip(reason)
    found = run_power(engines=[engine], groups=["sign"], limit=3)
    own = {"torch": ["gradcheck slow", "gradcheck fast", "gradgradcheck"], "autograd": ["check_grads"]}[engine]
    answers = {(r.checker, r.planted): r.answer for r in found.rows}
    for checker in own:
        assert answers[checker, False] == "passes"
    assert answers[own[0], True] == "complains"


def test_a_stopped_run_goes_on(result: PowerResult) -> None:
    kept: list[Any] = []

    def stop(done: int, total: int, text: str) -> None:
        if done == 6:
            raise KeyboardInterrupt

    part = run_power(engines=ENGINES, limit=8, progress=stop, keep=lambda info, rows: kept.append(len(rows)))
    assert part.info.interrupted and len(part.rows) == 6 and part.pending == len(result.rows) - 6
    assert kept == list(range(1, 7))
    whole = run_power(engines=ENGINES, limit=8, former=part)
    assert not whole.info.interrupted and not whole.pending and whole.info.run_id == part.info.run_id

    def said(rows: Any) -> Any:
        return [(r.defect, r.planted, r.checker, r.answer, r.detail) for r in rows]

    assert said(whole.rows) == said(result.rows)


def test_rows_come_back_as_they_were(result: PowerResult, tmp_path: Path) -> None:
    (path,) = write_run(tmp_path, result.info, power=result.rows)
    assert [replace(r, bounds=0.0) for r in read_run(path).power] == [replace(r, bounds=0.0) for r in result.rows]


def row(**changes: Any) -> PowerRow:
    base: dict[str, Any] = {
        "run_id": "r", "defect": "sin[0]: sign", "op": "sin", "argument": 0, "kind": "sign", "group": "sign",
        "structural": True, "planted": True, "form": "op(xs)", "dtype": "float64", "engine": "torch",
        "checker": "Adjudge", "answer": "complains", "seconds": 0.5,
    }  # fmt: skip
    return PowerRow(**(base | changes))


def test_an_unknown_answer_is_refused() -> None:
    with pytest.raises(ValueError, match="answer is 'maybe'"):
        row(answer="maybe")


def test_the_table_counts_what_was_said() -> None:
    rows = [
        row(),
        row(defect="cos[0]: sign", answer="passes"),
        row(checker="gradcheck slow", answer="passes", seconds=0.25),
        row(planted=False, answer="complains"),
        row(planted=False, checker="gradcheck slow", answer="passes", seconds=0.75),
    ]
    table = power_table(rows)
    assert table.checkers == ("Adjudge (PyTorch)", "PyTorch gradcheck slow")
    name, n, (ours, theirs) = table.lines[0]
    assert (name, n, ours.caught, ours.asked, theirs.caught, theirs.asked) == ("sign", 2, 1, 2, 0, 1)
    assert [s.caught for s in table.alarms[-1][2]] == [1, 0]
    assert table.seconds == (0.5, 0.5)


def test_factors_in_float32_are_split_by_their_bounds() -> None:
    common = {"group": "scale in float32 only", "kind": "factor", "size": 1e-5, "where": "float32", "structural": False}
    table = power_table([row(**common, bounds=20.0), row(**common, bounds=3.0, answer="passes", defect="b")])
    assert [(line[0], line[2][0].caught, line[2][0].asked) for line in table.lines] == [
        ("scale in float32 only, 16 bounds or more", 1, 1),
        ("scale in float32 only, less, or unknown", 0, 1),
        ("**scale in float32 only, 16 bounds or more**", 1, 1),
    ]


def test_page_and_markdown_show_the_table(result: PowerResult) -> None:
    from harness.records import Run

    run = Run(result.info, power=result.rows)
    page = render([run])
    assert "answers of checkers of gradients" in page
    assert 'id="power"' in page and "false alarms: " in page and "Adjudge (reference, drawn programs)" in page
    assert "| **all structural kinds** |" in power_markdown(result.rows, result.info)
    assert 'id="power"' not in render([Run(result.info)])


def command(tmp_path: Path, *words: str) -> Any:
    return CliRunner().invoke(cli, ["power", "--out", str(tmp_path), "--no-report", *words])


def test_the_command_writes_rows_and_table(tmp_path: Path) -> None:
    done = command(tmp_path, "--engines", "reference", "--kinds", "sign,tie rule", "--ops", "abs,exp,sin,amax")
    assert done.exit_code == AGREE, done.output
    assert "tie rule" in (tmp_path / "power.md").read_text()
    assert len(list(tmp_path.glob("power-*.parquet"))) == 1
    again = command(tmp_path, "--engines", "reference", "--kinds", "sign,tie rule", "--ops", "abs,exp,sin,amax")
    assert "going on with" in again.output
    assert len(list(tmp_path.glob("power-*.parquet"))) == 1


def test_the_command_fails_if_adjudge_passes_a_structural_defect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(power, "_asked", lambda question, seed: ("passes", ""))
    done = command(tmp_path, "--engines", "reference", "--kinds", "sign", "--limit", "1")
    assert done.exit_code == DISAGREE
    assert "missed: " in done.output


def test_the_command_fails_at_a_false_alarm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(power, "_asked", lambda question, seed: ("complains", "because"))
    done = command(tmp_path, "--engines", "reference", "--kinds", "sign", "--limit", "1")
    assert done.exit_code == DISAGREE
    assert "false alarm: " in done.output and "because" in done.output


def test_ctrl_c_keeps_what_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def answer(question: Any, seed: int) -> tuple[str, str]:
        asked.append(question)
        if len(asked) == 6:
            raise KeyboardInterrupt
        return "complains" if question.twin.planted else "passes", ""

    monkeypatch.setattr(power, "_asked", answer)
    done = command(tmp_path, "--engines", "reference", "--kinds", "sign", "--limit", "9")
    assert done.exit_code == INTERRUPTED
    assert "questions are left" in done.output
    (path,) = tmp_path.glob("power-*.parquet")
    assert read_run(path).info.interrupted and read_run(path).power


def test_wrong_names_are_refused_with_their_neighbours(tmp_path: Path) -> None:
    done = command(tmp_path, "--kinds", "signs")
    assert done.exit_code == USAGE and "did you mean sign" in done.output
    done = command(tmp_path, "--engines", "reference", "--kinds", "tie rule", "--ops", "exp")
    assert done.exit_code == USAGE and "the library has no defect of these" in done.output
