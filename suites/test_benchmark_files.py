"""Files of pytest-benchmark are judged by what they say: large changes are called, small ones as far as the files allow."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from harness import cli
from harness.benchmark_files import BenchmarkFileError, compare_files, read_file
from harness.records import read_dataset

ROOT = Path(__file__).parents[1]


def write(
    folder: Path, name: str, medians: dict[str, float], *, rounds: int = 100, sd: float = 0.02, seed: int = 0,
    data: bool = True, extra: dict[str, Any] | None = None, **machine: str,
) -> Path:  # fmt: skip
    rng = np.random.default_rng(seed)
    benchmarks = []
    for fullname, median in medians.items():
        times = median * np.exp(sd * rng.standard_normal(rounds))
        q25, q75 = np.quantile(times, [0.25, 0.75])
        stats: dict[str, Any] = {"median": float(np.median(times)), "rounds": rounds, "iqr": float(q75 - q25)}
        if data:
            stats["data"] = times.tolist()
        benchmarks.append({"fullname": fullname, "stats": stats, "extra_info": extra or {}})
    info = {"cpu": {"brand_raw": "Example CPU"}, "machine": "x86_64", "python_version": "3.11.7"} | machine
    path = folder / name
    path.write_text(json.dumps({"machine_info": info, "commit_info": {"id": name * 8}, "benchmarks": benchmarks}))
    return path


def verdicts(before: list[Path], after: list[Path]) -> dict[str, str]:
    rows, _ = compare_files([read_file(p) for p in before], [read_file(p) for p in after], run_id="r")
    return {row.series: row.verdict for row in rows}


@pytest.mark.parametrize("data", [True, False])
def test_one_file_a_side_calls_large_changes_alone(tmp_path: Path, data: bool) -> None:
    a = write(tmp_path, "a", {"same": 1e-3, "half": 1e-3, "twice": 1e-3, "little": 1e-3}, data=data)
    b = write(tmp_path, "b", {"same": 1e-3, "half": 5e-4, "twice": 2e-3, "little": 1.04e-3}, data=data, seed=1)
    assert verdicts([a], [b]) == {"same": "cannot tell", "half": "faster", "twice": "slower", "little": "cannot tell"}
    rows, _ = compare_files([read_file(a)], [read_file(b)], run_id="r")
    assert all(0.05 < row.smallest_effect < 0.3 for row in rows)


def test_many_files_a_side_call_small_changes(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    before, after = (
        [
            write(
                tmp_path, f"{side}{i}", {"x": change * 1e-3 * np.exp(0.01 * rng.standard_normal()), "y": 1e-3}, seed=i
            )
            for i in range(25)
        ]
        for side, change in (("a", 1.0), ("b", 1.05))
    )
    assert verdicts(before, after) == {"x": "slower", "y": "no change"}


def test_files_that_differ_by_more_than_is_assumed_are_believed(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    before, after = (
        [write(tmp_path, f"{side}{i}", {"x": change * 1e-3 * np.exp(0.3 * rng.standard_normal())}) for i in range(5)]
        for side, change in (("a", 1.0), ("b", 1.2))
    )
    assert verdicts(before, after) == {"x": "cannot tell"}


def test_a_file_whose_machine_changed_its_pace_calls_nothing(tmp_path: Path) -> None:
    a = write(tmp_path, "a", {"x": 1e-3})
    b = write(tmp_path, "b", {"x": 1e-3}, seed=1)
    data = json.loads(b.read_text())
    stats = data["benchmarks"][0]["stats"]
    stats["data"] = [t * (1.4 if k < 40 or k > 85 else 1.0) for k, t in enumerate(stats["data"])]
    stats["median"] = float(np.median(stats["data"]))
    b.write_text(json.dumps(data))
    assert verdicts([a], [b]) == {"x": "cannot tell"}
    stats["data"] = [t * 1.4 for t in np.random.default_rng(2).permutation(stats["data"])]  # the same times, all along
    stats["median"] = float(np.median(stats["data"]))
    b.write_text(json.dumps(data))
    assert verdicts([a], [b]) == {"x": "slower"}


def test_identical_projects_raise_no_alarm(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    for run in range(20):
        a, b = (
            write(tmp_path, f"{run}{side}", {f"t{i}": 1e-3 * np.exp(0.012 * rng.standard_normal()) for i in range(20)})
            for side in "ab"
        )
        assert not {"slower", "faster"} & set(verdicts([a], [b]).values())


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"cpu": {"brand_raw": "Other CPU"}}, "the machine differs: Example CPU x86_64 and Other CPU x86_64"),
        ({"python_version": "3.13.0"}, "the python differs: 3.11.7 and 3.13.0"),
        ({"extra": {"threads": 2, "dtype": "float64"}}, "threads differs: 1 and 2"),
        ({"extra": {"threads": 1, "dtype": "float32"}}, "dtype differs: float32 and float64"),
    ],
)
def test_what_was_not_measured_alike_is_not_compared(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    alike = {"extra": {"threads": 1, "dtype": "float64"}}
    a = write(tmp_path, "a", {"x": 1e-3}, **alike)
    b = write(tmp_path, "b", {"x": 9e-3}, **(alike | changes))
    rows, _ = compare_files([read_file(a)], [read_file(b)], run_id="r")
    assert (rows[0].verdict, rows[0].reason) == ("cannot tell", reason)


def test_benchmarks_of_one_side_are_named(tmp_path: Path) -> None:
    a, b = write(tmp_path, "a", {"x": 1e-3, "old": 1e-3}), write(tmp_path, "b", {"x": 1e-3, "new": 1e-3})
    assert compare_files([read_file(a)], [read_file(b)], run_id="r")[1] == ("old: only before", "new: only after")


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    whole = write(tmp_path, "a.json", {"x": 1e-3}).read_text()
    path = tmp_path / "cut.json"
    for text in (whole[:-30], "", "[]", "{}", whole.replace('"median": ', '"median": -')):
        path.write_text(text)
        with pytest.raises(BenchmarkFileError, match=r"cut\.json: not a file of pytest-benchmark's"):
            read_file(path)
    with pytest.raises(BenchmarkFileError, match=r"absent\.json: no such file"):
        read_file(tmp_path / "absent.json")


def adjudge(*words: object) -> Any:
    return CliRunner().invoke(cli.cli, ["compare", *map(str, words)], catch_exceptions=False)


def test_the_command_judges_keeps_rows_and_fails_on_what_is_slower(tmp_path: Path) -> None:
    a, b = write(tmp_path, "a", {"x": 1e-3, "y": 1e-3}), write(tmp_path, "b", {"x": 2e-3, "y": 1e-3})
    out = tmp_path / "out"
    found = adjudge("--before", a, "--after", b, "--out", out)
    assert found.exit_code == 1, found.output
    assert "slower" in found.stdout and "2 series: 1 slower, 1 cannot tell" in found.stdout
    assert len(read_dataset(out).runs[0].comparisons) == 2
    gate = tmp_path / "gate.toml"
    gate.write_text('[[accept]]\nseries = "x"\nreason = "wanted"\nexpires = 2999-01-01\n')
    assert adjudge("--before", a, "--after", b, "--gate", gate, "--out", out).exit_code == 0
    assert adjudge("--before", tmp_path / "absent", "--after", b, "--out", out).exit_code == 2


def test_a_file_that_pytest_benchmark_really_wrote_is_read(tmp_path: Path) -> None:
    pytest.importorskip("pytest_benchmark")
    path = tmp_path / "real.json"
    words = ["suites/benchmarks/test_bench_workloads.py", "--benchmark-only", "-q", "-n0", "-p", "no:cacheprovider"]
    chosen = ["-k", "d2l_dot and numpy", f"--benchmark-json={path}"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words, *chosen], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    file = read_file(path)
    assert len(file.benchmarks) >= 2
    extra = next(iter(file.benchmarks.values())).conditions
    assert extra["workload"] == "d2l_dot" and extra["checked"] is True and extra["threads"] == 1
    assert not {"slower", "faster"} & {row.verdict for row in compare_files([file], [file], run_id="r")[0]}
