"""A long run on unmodified engines loses nothing when it is stopped, and its parts add up."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from suites.benchmarks.false_alarms import main, read

RUN = ("--backends", "reference", "--ops", "tanh,mul,sum", "--block", "3")


def run(*arguments: str) -> str:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    return result.output


def test_a_run_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    out = tmp_path / "run.jsonl"
    run(*RUN, "--programs", "3", "--out", str(out))
    before = out.read_text()
    run(*RUN, "--programs", "8", "--out", str(out))
    assert out.read_text().startswith(before)
    assert [(block["seed"], block["programs"]) for block in read(out)] == [(0, 3), (1, 3), (2, 2)]


def test_another_run_is_not_mixed_in(tmp_path: Path) -> None:
    out = tmp_path / "run.jsonl"
    run(*RUN, "--programs", "3", "--out", str(out))
    result = CliRunner().invoke(main, (*RUN, "--every-program", "--programs", "6", "--out", str(out)))
    assert result.exit_code == 2
    assert len(read(out)) == 1


def test_files_add_up(tmp_path: Path) -> None:
    paths = [tmp_path / "one.jsonl", tmp_path / "two.jsonl"]
    for seed, path in enumerate(paths):
        run(*RUN, "--programs", "3", "--seed", str(seed), "--out", str(path))
    text = run("--total", str(paths[0]), "--total", str(paths[1]))
    points = sum(block["points"] for path in paths for block in read(path))
    assert f"in all 6 programs, {points} points" in text
    agreed = sum(block["verdicts"]["reference vjp derivative agree"] for path in paths for block in read(path))
    assert f"{agreed}  reference vjp derivative agree" in text


def test_what_a_waiver_covers_is_told_from_the_rest(tmp_path: Path) -> None:
    out = tmp_path / "run.jsonl"
    run(*RUN, "--programs", "3", "--out", str(out))
    (block,) = read(out)
    row = {
        **dict.fromkeys(("seed", "point", "mode", "dtype", "claim", "reason", "ops"), ""),
        **{"backend": "torch", "aspect": "derivative", "owner": "framework"},
    }
    known = {**row, "waiver": "known-thing", "bucket": "torch float64 vjp: kron: value", "reproducer": "import known"}
    new = {**row, "waiver": "", "bucket": "torch float64 vjp: sin: value", "reproducer": "import new"}
    lost = {**new, "aspect": "accuracy", "bucket": "torch float64 vjp: exp: digits lost", "reproducer": ""}
    out.write_text(json.dumps({**block, "disagreements": [known, known, new, lost]}) + "\n")
    text = run("--total", str(out))
    assert "2 disagreements that a waiver covers\n         2  known-thing" in text
    assert "1 disagreements that none covers: wrong" in text
    assert "1 disagreements that none covers: digits lost" in text
    assert "| import new" in text
    assert "import known" not in text
