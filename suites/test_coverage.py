"""Every function of the frameworks has a row of coverage that says what a check says; a crash or a hang costs one row."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

pytest.importorskip("torch", reason="the page shows PyTorch's operators")
pytest.importorskip("expecttest", reason="PyTorch's database of operators needs it")
pytest.importorskip("jax", reason="the page shows JAX's functions")

import torch

from harness.cli import cli
from harness.coverage import as_markdown, known_differences, listed, read_rows, run, statuses_on, waived, write_rows
from harness.coverage.checks import Found, check
from harness.coverage.examples import Example, different
from harness.coverage.rows import CoverageRow, row_of
from harness.coverage.running import Worker
from harness.records import RecordError

ABOUT = {"engine": "torch", "engine_version": "0", "area": "torch", "name": "f"}


@pytest.fixture(scope="module")
def functions() -> dict[tuple[str, str], str]:
    return listed(("torch", "jax"))


def test_the_list_has_the_operators_that_support_autograd(functions: dict[tuple[str, str], str]) -> None:
    from torch.testing._internal.common_methods_invocations import op_db

    assert {n for e, n in functions if e == "torch"} == {op.name for op in op_db if op.supports_autograd}


def test_the_list_has_the_public_functions_of_the_modules(functions: dict[tuple[str, str], str]) -> None:
    names = {n for e, n in functions if e == "jax"}
    assert {"jax.numpy.sin", "jax.lax.scan", "jax.nn.gelu", "jax.scipy.special.erf", "jax.numpy.linalg.det"} <= names
    assert not [n for n in names if n.rpartition(".")[2].startswith("_") or n == "jax.numpy.float32"]


class Slope(torch.autograd.Function):
    """The sine with a slope that is too large by one in a million."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        return torch.sin(x)

    @staticmethod
    def backward(ctx: Any, ct: Any) -> Any:
        (x,) = ctx.saved_tensors
        return ct * torch.cos(x) * (1 + 1e-6)


def _example(fn: Any) -> Example:
    return Example(fn, (torch.linspace(0.5, 1.0, 4, dtype=torch.float64),), {}, "f", (), 4)


def test_a_planted_slope_is_wrong() -> None:
    found = check(_example(Slope.apply), budget_seconds=2, call_seconds=5)
    assert (found.word, found.claim, found.operators) == ("wrong", "vjp", ())


def test_a_right_slope_is_certified_with_its_operators() -> None:
    found = check(_example(lambda x: torch.sin(x) * 2), budget_seconds=2, call_seconds=5)
    assert found.word == "certified"
    assert found.operators == ("aten.mul.Tensor", "aten.sin.default")


def test_an_opaque_function_is_cross_checked() -> None:
    found = check(_example(lambda x: torch.linalg.svdvals(x.reshape(2, 2))), budget_seconds=2, call_seconds=5)
    assert (found.word, found.operators) == ("cross-checked", ())
    assert "svd" in found.text


def test_one_wrong_call_makes_the_function_wrong() -> None:
    right, wrong = Found("certified", label="f"), Found("wrong", "vjp: far off", "vjp", label="f.variant")
    row = row_of(ABOUT, [right, wrong, Found("cross-checked", "an operator")])
    assert (row.status, row.reason, row.claim) == ("wrong", "f.variant: vjp: far off", "vjp")
    assert (row.calls, row.proved, row.estimated) == (3, 1, 1)


def test_no_call_is_not_covered_and_says_why() -> None:
    assert row_of(ABOUT, [], reason="returns bool").status == "not covered"
    assert row_of(ABOUT, [], reason="returns bool").reason == "returns bool"


def test_calls_of_different_kinds_come_first_and_small_ones_of_each() -> None:
    calls = [Example(len, (), {}, "f", (k,), size) for k, size in (("a", 9), ("a", 4), ("b", 50), ("a", 1))]
    assert [(e.kind, e.size) for e in different(calls, 3)] == [(("a",), 4), (("b",), 50), (("a",), 9)]


# What a worker says, without what it does: at "cos" it dies after one call, at "tan" it says nothing.
SCRIPT = """
import json, os, signal, sys, time
for line in sys.stdin:
    name = json.loads(line)["name"]
    if name == "tan":
        time.sleep(60)
    print(json.dumps({"begun": name}), flush=True)
    found = {"word": "certified", "label": name, "claims": [], "operators": ["aten.%s.default" % name]}
    print(json.dumps({"found": found}), flush=True)
    if name == "cos":
        os.kill(os.getpid(), signal.SIGSEGV)
    print(json.dumps({"done": True, "reason": ""}), flush=True)
"""


class Scripted(Worker):
    def __init__(self, engine: str, silent_seconds: float) -> None:
        super().__init__(engine, silent_seconds)
        self.command = [sys.executable, "-c", SCRIPT]


def rows_of(monkeypatch: pytest.MonkeyPatch, *names: str) -> dict[str, CoverageRow]:
    monkeypatch.setattr("harness.coverage.running.Worker", Scripted)
    return {row.name: row for row in run([("torch", n, "torch") for n in names], silent_seconds=2.0)}


def test_a_crash_costs_one_row_which_keeps_what_was_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = rows_of(monkeypatch, "exp", "cos", "sin")
    assert rows["cos"].ended == "cos: the process was killed by SIGSEGV"
    assert (rows["cos"].status, rows["cos"].proved, rows["cos"].calls) == ("certified", 1, 2)
    assert [(rows[n].status, rows[n].ended) for n in ("exp", "sin")] == [("certified", "")] * 2


def test_a_hang_costs_one_row(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = rows_of(monkeypatch, "tan", "sin")
    assert (rows["tan"].status, rows["sin"].status) == ("not covered", "certified")
    assert "no answer within 2 s" in rows["tan"].ended


def test_a_stopped_run_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = CoverageRow(
        engine="torch",
        engine_version=torch.__version__,
        area="torch",
        name="exp",
        status="certified",
        calls=1,
        proved=1,
    )
    write_rows(tmp_path / "coverage.parquet", [row], {"seconds": 5.0})
    monkeypatch.setattr("harness.coverage.running.Worker", None)  # nothing is left to check
    result = CliRunner().invoke(cli, ["coverage", "--engines", "torch", "--ops", "exp", "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert "PyTorch: 1 functions: 1 certified" in result.output
    assert statuses_on((tmp_path / "coverage.md").read_text()) == {"exp": "certified"}


def test_an_unknown_function_is_named_with_its_neighbours(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["coverage", "--engines", "torch", "--ops", "expp", "--out", str(tmp_path)])
    assert result.exit_code == 2
    assert "unknown function 'expp'; did you mean" in result.output


def test_rows_come_back_as_they_were_written(tmp_path: Path) -> None:
    rows = [row_of(ABOUT, [Found("certified", operators=("aten.exp.default",), claims=("linearity",))], seconds=0.5)]
    write_rows(tmp_path / "rows.parquet", rows, {"seconds": 1.0})
    assert read_rows(tmp_path / "rows.parquet") == (rows, {"seconds": 1.0})


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rows.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(RecordError, match="not a table of coverage"):
        read_rows(tmp_path / "rows.parquet")


def test_the_page_shows_what_is_wrong_and_what_crashed() -> None:
    wrong = row_of(ABOUT, [Found("wrong", "vjp: 1 | 2", "vjp", label="f")])
    ended = row_of(ABOUT | {"name": "g"}, [Found("certified")], ended="g: the process was killed by SIGFPE")
    text = as_markdown([wrong, ended], {"command": "adjudge coverage", "versions": {"torch": "0"}, "seconds": 60.0})
    assert "| `f` | vjp | vjp: 1 \\| 2 |  |" in text
    assert "| `g` | g: the process was killed by SIGFPE |" in text
    assert statuses_on(text) == {"f": "wrong", "g": "certified"}


def test_what_is_wrong_and_known_carries_its_waiver() -> None:
    about = {"engine": "torch", "engine_version": "2.13.0", "area": "torch", "name": "nn.functional.cosine_similarity"}
    known = waived(row_of(about, [Found("wrong", "vjp: far off", "vjp")]), known_differences())
    assert known.waiver == "torch-cosine-similarity-eps"
    assert waived(row_of(about, [Found("wrong", "linearity: far off", "linearity")]), known_differences()).waiver == ""
