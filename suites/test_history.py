"""A history keeps every point of many runs, says what it cannot read, and its steps are those that happened."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pandas")

import pandas as pd
import pyarrow.parquet as pq
from click.testing import CliRunner

from harness import cli, records
from harness.comparison import exact_interval
from harness.records import RecordError, RunInfo, TimingRow
from reports import history
from reports.history import append, compact, points, read_any, read_gradbench, read_history
from reports.steps import find_steps, steps_of
from suites.benchmarks.history_rates import UNCHANGED, halves, null_series, planted, tool

GRADBENCH_VARIABLE = "ADJUDGE_GRADBENCH"


def noisy(n: int, *, sd: float = 0.02, seed: int = 0, step: float = 0.0, at: int = 0) -> Any:
    times = 1e-3 * np.exp(sd * np.random.default_rng(seed).standard_normal(n))
    times[at:] *= 1 + step
    return times


def frame(series: int = 3, nights: int = 30, **options: Any) -> pd.DataFrame:
    return points(
        {"series": f"s{j}", "moment": f"2030-01-{i + 1:02}", "revision": f"r{i}", "seconds": t, "source": "test"}
        for j in range(series)
        for i, t in enumerate(noisy(nights, seed=j, **options))
    )


# Steps


@pytest.mark.parametrize("step", [0.1, 0.5, -0.3])
def test_a_step_is_placed_five_moments_after_it(step: float) -> None:
    placed = 0
    for seed in range(40):
        found = find_steps(noisy(30, seed=seed, step=step, at=25))
        placed += any(abs(s.at - 25) <= 1 and abs(s.change / step - 1) < 0.5 for s in found)
    assert placed >= 36


def test_noise_outliers_and_a_slow_wander_are_no_steps() -> None:
    quiet = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        times = noisy(60, sd=0.02, seed=seed)
        times[rng.integers(0, 60, 4)] *= 3
        times *= np.exp(0.015 * np.sin(np.arange(60) / 8 + seed))
        quiet += find_steps(times) == []
    assert quiet >= 95


def test_two_steps_of_one_series_are_both_found() -> None:
    times = noisy(80, sd=0.01)
    times[30:] *= 1.5
    times[55:] /= 1.4
    assert [s.at for s in find_steps(times)] == [30, 55]


def test_times_that_are_no_times_are_passed_over() -> None:
    times = noisy(40, step=0.5, at=30)
    broken = np.insert(times, [5, 12, 20, 33], [np.nan, 0.0, -1.0, np.inf])
    assert [s.at for s in find_steps(broken)] == [33]  # three were put in before it


@pytest.mark.parametrize("n", [0, 1, 14])
def test_too_few_moments_have_no_steps(n: int) -> None:
    assert find_steps(noisy(n, step=9.0, at=n // 2)) == []


def test_a_step_of_many_series_is_common_and_a_step_of_one_is_not() -> None:
    table = frame(series=40)
    table.loc[(table["moment"] >= "2030-01-16") & (table["series"] != "s7"), "seconds"] *= 1.4
    table.loc[(table["moment"] >= "2030-01-22") & (table["series"] == "s7"), "seconds"] *= 1.4
    found = steps_of(table)
    assert found.loc[~found["common"], ["series", "moment", "revision", "revision_before"]].values.tolist() == [
        ["s7", "2030-01-22", "r21", "r20"]
    ]
    assert found["common"].sum() == 39


def test_series_of_different_conditions_are_not_joined() -> None:
    table = frame(series=1)
    other = table.assign(
        conditions="2 threads", moment=table["moment"].str.replace("01-", "02-"), seconds=table["seconds"] * 3
    )
    assert len(steps_of(pd.concat([table, other]))) == 0
    assert len(steps_of(pd.concat([table, other.assign(conditions="")]))) == 1


# The dataset


@pytest.fixture(params=["folder", "url"])
def dataset(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "folder":
        yield str(tmp_path / "history")
    else:
        url = f"memory://{tmp_path.name}/history"
        yield url


def test_what_is_added_is_read_and_what_is_added_twice_counts_once(dataset: str) -> None:
    a, b = frame(series=2), frame(series=3)
    append(dataset, a)
    append(dataset, b)
    back = read_history(dataset)
    assert back.broken == ()
    assert len(back.points) == len(b)
    pd.testing.assert_frame_equal(back.points, b.sort_values(["series", "moment"], ignore_index=True))


def test_compaction_changes_no_point_and_leaves_one_file(dataset: str) -> None:
    for month in ("2030-01", "2030-02", "2030-03"):
        append(dataset, frame().assign(moment=lambda t, month=month: month + t["moment"].str[7:]))
    before = read_history(dataset).points
    compact(dataset)
    assert len(records.list_files(dataset)) == 1
    pd.testing.assert_frame_equal(read_history(dataset).points, before)
    compact(dataset)
    assert len(records.list_files(dataset)) == 1


def test_a_crash_between_write_and_removal_loses_and_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(tmp_path, frame())
    append(tmp_path, frame(series=5))
    before = read_history(tmp_path).points

    def fail(_: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(history, "remove_file", fail)
    with pytest.raises(KeyboardInterrupt):
        compact(tmp_path)
    assert len(records.list_files(tmp_path)) == 3
    pd.testing.assert_frame_equal(read_history(tmp_path).points, before)


def test_a_cut_file_is_named_kept_and_costs_nothing_else(tmp_path: Path) -> None:
    append(tmp_path, frame())
    cut = Path(append(tmp_path, frame(series=5)))
    cut.write_bytes(cut.read_bytes()[:-100])
    found = read_history(tmp_path)
    assert found.points["series"].nunique() == 3
    assert len(found.broken) == 1 and cut.name in found.broken[0] and "not a readable Parquet file" in found.broken[0]
    compact(tmp_path)
    assert cut.exists()


def test_a_full_disk_leaves_the_dataset_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append(tmp_path, frame())

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    for action in (lambda: append(tmp_path, frame(series=9)), lambda: compact(tmp_path)):
        with pytest.raises(RecordError, match="No space left on device"):
            action()
    assert len(list(tmp_path.iterdir())) == 1
    assert read_history(tmp_path).points["series"].nunique() == 3


def test_a_newer_and_a_foreign_file_are_refused(tmp_path: Path) -> None:
    path = Path(append(tmp_path, frame()))
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata({b"adjudge": b'{"schema_version": 9, "rows": "history"}'}), path)
    with pytest.raises(RecordError, match=r"has history version 9, this Adjudge reads versions up to 1: update it"):
        read_history(tmp_path)
    pq.write_table(table.replace_schema_metadata({}), path)
    with pytest.raises(RecordError, match="not a history of Adjudge's"):
        read_history(path)
    pq.write_table(table.drop_columns(["seconds"]).replace_schema_metadata(table.schema.metadata), path)
    with pytest.raises(RecordError, match="needs the column 'seconds'"):
        read_history(path)


def test_missing_histories_are_named(tmp_path: Path) -> None:
    for source in (tmp_path, tmp_path / "absent"):
        with pytest.raises(RecordError, match=str(source)):
            read_any(source)
    with pytest.raises(RecordError, match="there are no points to add"):
        append(tmp_path, frame(series=0))


INFO = RunInfo(
    run_id="a",
    started_utc="2030-01-31T00:00:00+00:00",
    command="x",
    versions={},
    cpu="Example CPU",
    git_commit="c0ffee",
)
ROW = TimingRow(
    run_id="a", workload="chain", size=10, what="vjp", backend="jax", backend_version="1", mode="jit", dtype="float64",
    threads=1, phase="steady", samples_seconds=(3e-3, 1e-3, 2e-3),
)  # fmt: skip


def test_timing_rows_become_points(tmp_path: Path) -> None:
    records.write_run(tmp_path, INFO, timings=[ROW, replace(ROW, threads=2)])
    table = read_any(tmp_path).points
    assert table["series"].unique().tolist() == ["chain/10/vjp/jax-jit/steady"]
    assert table["conditions"].tolist() == [
        "float64, cpu, 1 threads, Example CPU",
        "float64, cpu, 2 threads, Example CPU",
    ]
    assert table.iloc[0][["moment", "revision", "seconds", "samples"]].tolist() == [INFO.started_utc, "c0ffee", 2e-3, 3]


PYTEST = {
    "datetime": "2030-01-31T00:00:00+00:00", "commit_info": {"id": "c0ffee"},
    "machine_info": {"cpu": {"brand_raw": "Example"}},
    "benchmarks": [{"fullname": "a.py::b", "extra_info": {"threads": 1}, "stats": {"median": 1e-3, "rounds": 5}}],
}  # fmt: skip


def test_files_of_pytest_benchmark_become_points(tmp_path: Path) -> None:
    path = tmp_path / "0001.json"
    path.write_text(json.dumps(PYTEST))
    (point,) = read_any(path).points.to_dict("records")
    assert point == {
        "series": "a.py::b", "conditions": "1 threads, Example", "moment": PYTEST["datetime"], "revision": "c0ffee",
        "seconds": 1e-3, "samples": 5, "source": "0001.json",
    }  # fmt: skip
    for text in (json.dumps(PYTEST)[:-20], "[]", '{"benchmarks": [{}], "datetime": "x"}'):
        path.write_text(text)
        with pytest.raises(RecordError, match=r"0001\.json: not a file of pytest-benchmark's"):
            read_any(path)


# The command line


def adjudge(*words: object) -> Any:
    return CliRunner().invoke(cli.cli, ["history", *map(str, words)], catch_exceptions=False)


def test_the_commands_add_compact_and_find(tmp_path: Path) -> None:
    runs, dataset = tmp_path / "runs", tmp_path / "history"
    for i in range(30):
        info = replace(INFO, run_id=f"run{i}", started_utc=f"2030-01-{i + 1:02}", git_commit=f"c{i}")
        seconds = (1e-3 if i < 20 else 2e-3) * (1 + 0.01 * (i % 3))
        records.write_run(runs, info, timings=[replace(ROW, run_id=info.run_id, samples_seconds=(seconds,))])
    (runs / "timings-cut.parquet").write_bytes(b"PAR1")
    added = adjudge("add", runs, "--to", dataset)
    assert added.exit_code == 0 and "30 points" in added.stdout
    assert "left out:" in added.stderr and "timings-cut.parquet" in added.stderr
    assert adjudge("compact", dataset).exit_code == 0
    found = adjudge("steps", dataset, "--fail", "--out", tmp_path / "steps.csv")
    assert found.exit_code == 1, found.output
    assert "1 steps of single series" in found.stdout and "2030-01-21 (c19 -> c20)" in found.stdout
    assert pd.read_csv(tmp_path / "steps.csv")["moment"].tolist() == ["2030-01-21"]
    assert adjudge("steps", dataset, "--fail", "--since", "2030-01-25").exit_code == 0
    assert adjudge("steps", tmp_path / "absent").exit_code == 2


def test_points_of_a_wrong_clock_are_said(tmp_path: Path) -> None:
    records.write_run(tmp_path / "runs", replace(INFO, started_utc="1970-01-01T00:00:00+00:00"), timings=[ROW])
    assert "1 points are of before 2000 or of the future" in adjudge("add", tmp_path / "runs", "--to", tmp_path).stderr


def test_a_hostile_name_begins_no_line_and_moves_no_cursor(tmp_path: Path) -> None:
    table = frame(series=1).assign(series="a\n::error::x\x1b[2J")
    table.loc[table["moment"] >= "2030-01-20", "seconds"] *= 2
    append(tmp_path, table)
    shown = adjudge("steps", tmp_path).stdout
    assert "a\\n::error::x\\x1b[2J" in shown and "\x1b" not in shown


# Measured on a real history


@pytest.fixture(scope="module")
def gradbench() -> pd.DataFrame:
    path = os.environ.get(GRADBENCH_VARIABLE)
    if not path:
        pytest.skip(f"{GRADBENCH_VARIABLE} does not name GradBench's nightly table")
    return read_gradbench(path)


def test_rates_on_the_nights_of_unchanged_commits(gradbench: pd.DataFrame) -> None:
    """One series in four: `suites/benchmarks/history_rates.py` takes all of them."""
    _, held_out = halves(gradbench)
    flagged, placed, n = (dict.fromkeys(("all", "held out"), 0.0) for _ in range(3))
    for commit in UNCHANGED:
        part = null_series(gradbench, commit)
        steps = steps_of(part)
        own = set(steps.loc[~steps["common"], "series"])
        names = sorted(part["series"].unique())
        chosen = names[::4]
        seen = [near for _, near in planted(part.loc[part["series"].isin(chosen)], 1.1, seed=2)]
        for half in n:
            taken = [half == "all" or tool(name) in held_out for name in chosen]
            n[half] += sum(taken)
            placed[half] += sum(near for near, good in zip(seen, taken, strict=True) if good)
            flagged[half] += sum(half == "all" or tool(name) in held_out for name in own) / 4
    for half in n:
        assert flagged[half] / n[half] <= 0.02, half
    assert exact_interval(int(placed["all"]), int(n["all"]))[1] >= 0.80
    assert placed["held out"] / n["held out"] >= 0.80  # of these the constants know nothing


def test_a_table_that_is_not_gradbenchs_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "nightly.parquet"
    pd.DataFrame({"night": ["2030-01-01"]}).to_parquet(path)
    with pytest.raises(RecordError, match="column 'source_commit' is missing"):
        read_gradbench(path)
