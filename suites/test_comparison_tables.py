"""The table of a comparison shows what changed first, and revisions are told apart in tables of times."""

from __future__ import annotations

from dataclasses import replace

import pytest

pytest.importorskip("pandas")

from harness.records import ComparisonRow, TimingRow
from reports import tables

ROW = ComparisonRow(
    run_id="r", series="chain/10/vjp/reference/float64", workload="chain", size=10, what="vjp", backend="reference",
    dtype="float64", threads=1, before="a", after="b", verdict="no change", ratio=1.01, low=0.99, high=1.03,
    log_ratios=(0.01, 0.02), blocks=12, counts="more", counts_before='{"tape_nodes": 1000, "peak_bytes": 5}',
    counts_after='{"tape_nodes": 1001, "peak_bytes": 9}',
)  # fmt: skip


def test_what_changed_comes_first_with_its_counts() -> None:
    verdicts = ("no change", "cannot tell", "slower", "faster", "slower")
    table = tables.comparison_table([replace(ROW, verdict=v, series=f"s{i}") for i, v in enumerate(verdicts)])
    assert table["series"].tolist() == ["s2", "s4", "s3", "s1", "s0"]
    assert table["changed_counts"].unique().tolist() == ["tape_nodes 1,000 -> 1,001"]
    assert table["pairs"].tolist() == [2] * 5
    assert round(table["change"][0], 9) == 0.01


def test_a_table_of_no_comparisons_has_its_columns() -> None:
    assert len(tables.comparison_table([])) == 0
    assert set(tables.comparison_table([]).columns) == set(tables.comparison_table([ROW]).columns)


def test_times_of_two_revisions_are_two_labels() -> None:
    row = TimingRow(
        run_id="r", workload="chain", size=10, what="vjp", backend="reference", backend_version="1", dtype="float64",
        threads=1, phase="steady", samples_seconds=(1e-3,), revision="abc",
    )  # fmt: skip
    table = tables.timing_table([row, replace(row, revision="def"), replace(row, revision="")])
    assert sorted(table["label"]) == ["reference", "reference @abc", "reference @def"]
