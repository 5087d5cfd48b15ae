"""Paired processes: what is planted on one side is found, and a side that breaks costs its own series alone."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness import cli, paired
from harness.environment import describe_run
from harness.paired import BrokenSide, Limits, PairedResult, Side, compare_sides, on_core
from harness.records import ComparisonRow
from harness.workloads import select
from suites.benchmarks import gate_power

ROOT = Path(__file__).parents[1]
PLANT = """

_load_engine = load_engine


def load_engine(name, *, threads=1):
    from dataclasses import replace
    import os, signal, time

    engine = _load_engine(name, threads=threads)

    def prepare(workload, inputs, what, cotangent):
        thunk = engine.prepare(workload, inputs, what, cotangent)
        calls = iter(range(10**9))

        def planted():
            n = next(calls)
            {body}
            return thunk()

        return planted

    return replace(engine, prepare=prepare)
"""


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copied(tmp_path_factory.mktemp("plain") / "tree")


def copied(target: Path, plant: str = "") -> Path:
    """The sources in a folder of their own, with something done before each call of a thunk."""
    for package in ("harness", "reference_impl"):
        shutil.copytree(ROOT / package, target / package, ignore=shutil.ignore_patterns("__pycache__"))
    if plant:
        with open(target / "harness" / "workload_adapters.py", "a") as file:
            file.write(PLANT.replace("{body}", plant.replace("\n", "\n            ")))
    return target


def compare(before: Path, after: Path, workloads: str = "d2l_dot", **options: Any) -> PairedResult:
    # Few rounds and much time: it ends when it is done, however busy the machine is.
    limits = Limits(pairs=5, rounds=6, hang_seconds=options.pop("hang_seconds", 60.0))
    settings: dict[str, Any] = {"sizes": [10], "what": ["gradient", "vjp"], "budget_seconds": 300.0} | options
    return compare_sides(
        Side("old", before), Side("new", after), workloads=workloads.split(), limits=limits, command="test", **settings
    )


def row_of(result: PairedResult, workload: str) -> ComparisonRow:
    (row,) = [row for row in result.comparisons if row.workload == workload]
    return row


def test_a_slowed_side_is_slower_and_every_sample_is_kept(plain: Path, tmp_path: Path) -> None:
    # Each call is made twice; and a first call of 0.5 s more is no steady sample.
    after = copied(tmp_path / "tree", "if n == 0: time.sleep(0.5)\nthunk()")
    for _ in range(3):  # on a machine that others use a run may say that it cannot tell, and none may say anything else
        result = compare(plain, after, "mlp_step", sizes=[64])
        (row,) = result.comparisons
        if row.verdict != "cannot tell":
            break
    assert row.verdict == "slower", row
    assert 1.6 < row.ratio < 2.4
    assert row.counts == "more"
    before, counted = json.loads(row.counts_before), json.loads(row.counts_after)
    assert counted["tape_nodes"] == 2 * before["tape_nodes"] > 0
    old, new = [t for t in result.timings if t.phase == "steady"]
    assert (old.revision, new.revision) == ("old", "new") and old.code_hash != new.code_hash
    assert len(old.samples_seconds) == len(new.samples_seconds) == row.blocks == len(old.cpu_seconds)
    assert set(old.processes).isdisjoint(new.processes) and len(set(old.processes)) >= 5
    assert old.tape_nodes == before["tape_nodes"] and old.peak_bytes > 0
    first = next(t for t in result.timings if t.phase == "first_call" and t.revision == "new")
    assert min(first.samples_seconds) >= 0.5


DEFECTS = """
if workload.name == "d2l_sum": time.sleep(60)
elif workload.name == "d2l_detach" and n > 0: os.kill(os.getpid(), signal.SIGKILL)
elif workload.name == "d2l_dot": return tuple(2 * a for a in thunk())
elif workload.name == "d2l_square" and n > 3: raise RuntimeError("out of cheese")
""".strip()


def test_what_hangs_dies_or_is_wrong_leaves_the_rows_of_the_others(plain: Path, tmp_path: Path) -> None:
    after = copied(tmp_path / "tree", DEFECTS)
    names = "d2l_sum d2l_detach d2l_dot d2l_square logsumexp"
    result = compare(plain, after, names, hang_seconds=15.0)
    assert row_of(result, "logsumexp").log_ratios
    reasons = {item.workload: item.reason for item in result.left_out}
    assert set(reasons) == set(names.split()) - {"logsumexp"}
    assert "new hangs: no answer for 15 s" in reasons["d2l_sum"]
    assert "new was killed by signal 9" in reasons["d2l_detach"]
    assert "new: wrong: the value is" in reasons["d2l_dot"]
    assert "new: raised RuntimeError: out of cheese" in reasons["d2l_square"]
    assert {item.kind for item in result.left_out} == {"refused"}


def test_sides_with_different_inputs_are_not_compared(plain: Path, tmp_path: Path) -> None:
    after = copied(tmp_path / "tree")
    checks = after / "harness" / "bench.py"
    checks.write_text(checks.read_text().replace("np.random.default_rng([seed,", "np.random.default_rng([seed + 1,"))
    result = compare(plain, after)
    assert result.comparisons == ()
    assert "given different inputs" in result.left_out[0].reason


def test_a_revision_from_before_the_comparison_existed_is_compared(plain: Path, tmp_path: Path) -> None:
    before = copied(tmp_path / "tree")
    bench = before / "harness" / "bench.py"
    bench.write_text(bench.read_text().replace("def pose(", "def _no_pose(").replace('"pose", ', ""))
    (row,) = compare(before, plain).comparisons
    assert row.counts == "same" and row.log_ratios


def test_a_revision_that_does_not_build_is_named(plain: Path, tmp_path: Path) -> None:
    broken = copied(tmp_path / "tree")
    (broken / "reference_impl" / "__init__.py").write_text("this is no Python\n")
    with pytest.raises(BrokenSide, match=r"new does not build: raised SyntaxError: invalid syntax"):
        compare(plain, broken)
    with pytest.raises(BrokenSide, match=r"no-such-python cannot be started"):
        compare_sides(Side("old", plain, "/no-such-python"), Side("new", plain), workloads=["d2l_dot"])


def test_a_spent_budget_is_said(plain: Path) -> None:
    result = compare(plain, plain, budget_seconds=1e-6)
    assert result.comparisons == ()
    assert [item.kind for item in result.left_out] == ["budget"]


class JumpingWorker:
    """Answers as a process whose clock goes back by an hour in one block."""

    def __init__(self) -> None:
        self.blocks = 0

    def send(self, do: str, **words: Any) -> None:
        self.blocks += 1

    def receive(self) -> dict[str, Any]:
        wall = -3600.0 if self.blocks == 4 else 1e-3 + 1e-6 * self.blocks
        return {"wall": wall, "cpu": 1e-3, "waited": 0.0, "error": 0.0}


def test_a_clock_that_goes_back_costs_its_round_alone() -> None:
    (workload,) = select(["d2l_dot"])
    one = paired._Series(workload, 10, "value", "reference", "float64")
    limits = Limits(rounds=6)
    run = paired._Run(Side("a", None), Side("b", None), [one], limits, 0, None, 1e9, lambda *_: None, "float64")
    for number in range(5):
        run._take_turns(number, one, (JumpingWorker(), JumpingWorker()), 1e9)  # type: ignore[arg-type]
    for side in one.sides:
        side.first, side.engine = [1e-3], ("reference", "eager", "1")
    run.hashes = {"a": "", "b": ""}
    result = run.result(describe_run(command="test"))
    assert 0.99 < result.comparisons[0].ratio < 1.01 and 1e-3 < result.comparisons[0].before_seconds < 2e-3
    steady = [row for row in result.timings if row.phase == "steady"]
    assert [len(row.samples_seconds) for row in steady] == [55, 55]


@pytest.mark.parametrize(
    ("wall", "cpu", "waited", "seconds"),
    [
        (3.0, 2.0, 1.0, 2.0),  # pre-empted for a second
        (3.0, 1.0, 0.0, 3.0),  # it waited for something else, which is its own time
        (3.0, 1.0, 0.5, 2.5),
        (3.0, 2.0, 9.0, 2.0),  # never less than what it computed
    ],
)
def test_time_without_a_core_is_taken_off_and_no_other(wall: float, cpu: float, waited: float, seconds: float) -> None:
    assert on_core(wall, cpu, waited) == seconds


def git(folder: Path, *words: str) -> None:
    command = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b.c", *words]
    subprocess.run(command, check=True, capture_output=True)


def test_revisions_are_laid_side_by_side_and_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = copied(tmp_path / "checkout")
    git(root, "init")
    git(root, "add", ".")
    git(root, "commit", "-m", "one")
    (root / "harness" / "bench.py").write_text("changed = True\n")
    monkeypatch.setattr(paired, "__file__", str(root / "harness" / "paired.py"))
    with paired.revisions("HEAD") as (before, after):
        assert before.tree is not None and after.tree is not None
        assert after.label == before.label + "+"
        assert "run_bench" in (before.tree / "harness" / "bench.py").read_text()
        assert (after.tree / "harness" / "bench.py").read_text() == "changed = True\n"
        assert len(str(before.tree)) == len(str(after.tree))
    assert not before.tree.exists()
    with pytest.raises(BrokenSide, match="git knows no commit 'nothing'"), paired.revisions("nothing"):
        pass
    git(root, "rm", "-rq", "--cached", "reference_impl")
    git(root, "commit", "-m", "two")
    with pytest.raises(BrokenSide, match="does not build: it has no package reference_impl"), paired.revisions("HEAD"):
        pass
    shutil.rmtree(root / ".git")
    with pytest.raises(BrokenSide, match="is no git checkout"), paired.revisions("HEAD"):
        pass


def test_the_workloads_that_power_is_measured_on_exist_and_the_slow_down_can_be_planted(tmp_path: Path) -> None:
    for name in gate_power.DEFAULT.split(","):
        workload, _, what = name.split("/")
        (found,) = select([workload])
        assert what in found.whats
    planted = gate_power.copy_sources(tmp_path, loops=77) / "reference_impl" / "engine.py"
    assert planted.read_text().count("range(77)") == 1


# The command line


def adjudge(*words: object) -> Any:
    from click.testing import CliRunner

    return CliRunner().invoke(cli.cli, ["bench", *map(str, words)], catch_exceptions=False)


def test_an_unknown_revision_ends_with_2_and_a_sentence(tmp_path: Path) -> None:
    found = adjudge("--against", "no-such-revision", "--out", tmp_path)
    assert found.exit_code == 2
    assert "--against:" in found.stderr and "no-such-revision" in found.stderr


def test_another_python_without_adjudge_ends_with_2(tmp_path: Path) -> None:
    fake = tmp_path / "python"
    fake.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    fake.chmod(0o755)
    found = adjudge(
        "--against-python", fake, "--workloads", "d2l_dot", "--sizes", 4, "--backends", "reference", "--out", tmp_path
    )
    assert found.exit_code == 2
    assert "does not build" in found.stderr and "No module named" in found.stderr


@pytest.mark.parametrize(
    ("changes", "options", "environment", "code"),
    [
        ({}, (), {}, 0),
        ({"verdict": "slower", "ratio": 1.1}, (), {}, 1),
        ({"verdict": "slower", "ratio": 1.1}, (), {"CI": "true"}, 0),
        ({"verdict": "slower", "ratio": 1.1}, ("--fail-on", "slower"), {"CI": "true"}, 1),
        ({"verdict": "slower", "ratio": 1.1}, ("--fail-on", "nothing"), {}, 0),
        (
            {"counts": "more", "counts_before": '{"tape_nodes": 1}', "counts_after": '{"tape_nodes": 2}'},
            (),
            {"CI": "1"},
            1,
        ),
        ({"counts": "fewer"}, (), {}, 0),
        ({"verdict": "cannot tell", "reason": "noise"}, (), {}, 0),
        ({"verdict": "cannot tell", "reason": "noise"}, ("--fail-on", "cannot-tell"), {}, 1),
    ],
)
def test_exit_codes(
    changes: dict[str, Any], options: tuple[str, ...], environment: dict[str, str], code: int,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, comparison: Callable[..., PairedResult],
) -> None:  # fmt: skip
    monkeypatch.delenv("CI", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(paired, "compare_sides", lambda *sides, **words: comparison(**changes))
    found = adjudge("--against", "HEAD", *options, "--no-report", "--out", tmp_path)
    assert found.exit_code == code, found.output
    assert "chain/10/vjp/reference/float64" in found.stdout
    assert len(list(tmp_path.glob("comparisons-*.parquet"))) == 1


def test_an_accepted_change_is_said_and_does_not_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, comparison: Callable[..., PairedResult]
) -> None:
    gate = tmp_path / "gate.toml"
    entry = '[[accept]]\nseries = "chain/*"\nreason = "rounding is exact now"\nexpires = {}\n'
    monkeypatch.setattr(paired, "compare_sides", lambda *sides, **words: comparison(verdict="slower", ratio=1.1))
    gate.write_text(entry.format("2999-01-01"))
    found = adjudge("--against", "HEAD", "--gate", gate, "--fail-on", "slower", "--no-report", "--out", tmp_path)
    assert found.exit_code == 0
    assert "[accepted: rounding is exact now]" in found.stdout
    gate.write_text(entry.format("2020-01-01"))
    found = adjudge("--against", "HEAD", "--gate", gate, "--fail-on", "slower", "--no-report", "--out", tmp_path)
    assert found.exit_code == 1
    assert "expired on 2020-01-01: the acceptance of chain/*" in found.stderr


def test_a_broken_gate_file_ends_with_2(tmp_path: Path) -> None:
    gate = tmp_path / "gate.toml"
    gate.write_text("[[accept]]\nseries = 'x'\n")
    found = adjudge("--against", "HEAD", "--gate", gate, "--out", tmp_path)
    assert found.exit_code == 2
    assert "accept 1: expires is missing" in found.stderr


@pytest.fixture
def comparison() -> Callable[..., PairedResult]:
    from harness.environment import describe_run

    def make(**changes: Any) -> PairedResult:
        info = describe_run(command="test")
        row = ComparisonRow(
            **{
                "run_id": info.run_id, "series": "chain/10/vjp/reference/float64", "workload": "chain", "size": 10,
                "what": "vjp", "backend": "reference", "dtype": "float64", "threads": 1, "before": "a", "after": "b",
                "verdict": "no change", "counts": "same",
            }
            | changes
        )  # fmt: skip
        return PairedResult(info, (row,), (), ())

    return make
