"""Thresholds and acceptances of a gate file cover what they name, until they expire, and a wrong file is refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from harness.gate import GateError, describe, failures, load, parse
from harness.records import ComparisonRow

SLOW = ComparisonRow(
    run_id="r", series="chain/10/vjp/reference/float64", workload="chain", size=10, what="vjp", backend="reference",
    dtype="float64", threads=1, before="a", after="b", verdict="slower", ratio=1.1, low=1.08, high=1.12,
    smallest_effect=0.03, counts="same",
)  # fmt: skip
GREW = replace(
    SLOW, verdict="no change", counts="more", counts_before='{"tape_nodes": 3}', counts_after='{"tape_nodes": 4}'
)
ACCEPT = '[[accept]]\nseries = "{}"\nreason = "wanted"\nexpires = 2030-01-31\n'


def test_the_first_matching_threshold_counts() -> None:
    text = '[[threshold]]\nseries = "chain/10/*"\npercent = 10\n[[threshold]]\nseries = "chain/*"\npercent = 5'
    gate = parse(text)
    assert gate.threshold("chain/10/vjp/reference/float64") == 0.1
    assert gate.threshold("chain/100/vjp/reference/float64") == 0.05
    assert gate.threshold("mlp_step/8/gradient/reference/float64") == 0.02


@pytest.mark.parametrize("row", [SLOW, GREW])
def test_an_acceptance_covers_its_series_until_it_expires(row: ComparisonRow) -> None:
    gate = parse(ACCEPT.format("chain/10/*"))
    assert gate.accept([row], today=date(2030, 1, 31))[0].accepted == "wanted"
    assert gate.accept([row], today=date(2030, 2, 1))[0].accepted == ""
    assert gate.expired(today=date(2030, 2, 1)) == gate.acceptances
    assert parse(ACCEPT.format("chain/100/*")).accept([row], today=date(2029, 1, 1)) == (row,)


def test_an_acceptance_changes_no_verdict() -> None:
    (row,) = parse(ACCEPT.format("*")).accept([SLOW], today=date(2029, 1, 1))
    assert row == replace(SLOW, accepted="wanted")
    assert failures([row], ("counts", "slower")) == ()


def test_what_did_not_change_is_not_accepted() -> None:
    same = replace(SLOW, verdict="no change")
    assert parse(ACCEPT.format("*")).accept([same], today=date(2029, 1, 1)) == (same,)


def test_failures_name_series_and_counts() -> None:
    assert failures([SLOW, GREW], ("slower",)) == (f"{SLOW.series}: 10.0 % slower",)
    assert failures([SLOW, GREW], ("counts",)) == (f"{SLOW.series}: tape_nodes 3 -> 4",)


def test_a_line_says_change_interval_resolution_and_counts() -> None:
    assert "+10.0 % (+8.0 % to +12.0 %)" in describe(SLOW) and "sees 3.0 %" in describe(SLOW)
    assert "counts more: tape_nodes 3 -> 4" in describe(GREW)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[accept", "not TOML"),
        ("[[waiver]]", "unknown key 'waiver' at the top"),
        ("accept = 3", "'accept' is not a list of tables"),
        ("[[accept]]\nseries = 'x'\nreason = 'y'", "accept 1: expires is missing"),
        ("[[accept]]\nseries = ''\nreason = 'y'\nexpires = 2030-01-01", "accept 1: series is ''"),
        ("[[accept]]\nseries = 'x'\nreason = 'y'\nexpires = '2030-01-01'", "not a date"),
        ("[[accept]]\nseries = 'x'\nreason = 'y'\nexpires = 2030-01-01\nwhy = 1", "unknown key 'why'"),
        ("[[threshold]]\nseries = 'x'\npercent = -1", "threshold 1: percent is -1"),
        ("[[threshold]]\nseries = 'x'\npercent = true", "threshold 1: percent is True"),
    ],
)
def test_a_wrong_file_is_refused(text: str, message: str) -> None:
    with pytest.raises(GateError, match=message):
        parse(text)


def test_a_missing_file_is_named() -> None:
    with pytest.raises(GateError, match=r"nowhere\.toml: cannot be read"):
        load("nowhere.toml")
