"""A waiver covers exactly the difference that it names, until its last day, and a wrong entry is named."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import pytest

from harness import waivers
from harness.waivers import WaiverError

TEXT = """
[[waiver]]
id = "atan2-tie"
backend = "torch"
versions = ">=2.13,<2.15"
claim = "vjp"
op = "atan2"
dtype = "float32"
reason = "declared convention"
link = "https://example.org/1"
expires = 2030-01-31
"""
WAIVERS = waivers.parse(TEXT)
DAY = date(2030, 1, 31)


@dataclass(frozen=True)
class Judged:
    """The part of a row that a waiver looks at."""

    backend: str = "torch"
    backend_version: str = "2.13.0+cpu"
    claim: str = "vjp"
    ops: str = "sin atan2"
    dtype: str = "float32"
    difference: str = "value"


def test_the_shipped_file_is_valid_and_not_expired() -> None:
    assert waivers.expired(waivers.load()) == ()


def test_a_waiver_covers_what_it_names() -> None:
    assert waivers.match(WAIVERS, Judged(), today=DAY) == WAIVERS[0]


@pytest.mark.parametrize(
    "row",
    [
        Judged(backend="jax"),
        Judged(backend_version="2.15.0"),
        Judged(backend_version="2.12.9"),
        Judged(backend_version="of the day"),
        Judged(claim="value"),
        Judged(ops="sin atan"),
        Judged(ops="atan22"),
        Judged(dtype="float64"),
    ],
)
def test_a_waiver_covers_nothing_else(row: Judged) -> None:
    assert waivers.match(WAIVERS, row, today=DAY) is None


def test_with_a_difference_it_covers_that_kind_alone() -> None:
    raising = [replace(WAIVERS[0], difference="raises")]
    assert waivers.match(raising, Judged(), today=DAY) is None
    assert waivers.match(raising, Judged(difference="raises"), today=DAY) is not None


def test_without_dtype_it_covers_every_dtype() -> None:
    anywhere = [replace(WAIVERS[0], dtype=None)]
    assert waivers.match(anywhere, Judged(dtype="float64"), today=DAY) is not None


def test_an_expired_waiver_covers_nothing_and_is_listed() -> None:
    after = date(2030, 2, 1)
    assert waivers.match(WAIVERS, Judged(), today=after) is None
    assert waivers.expired(WAIVERS, today=after) == WAIVERS
    assert waivers.expired(WAIVERS, today=DAY) == ()


def test_an_unused_waiver_is_listed() -> None:
    assert waivers.unused(WAIVERS, ["", "atan2-tie"]) == ()
    assert waivers.unused(WAIVERS, [""]) == WAIVERS


@pytest.mark.parametrize("key", ["id", "backend", "versions", "claim", "op", "reason", "link", "expires"])
def test_a_missing_key_is_named(key: str) -> None:
    text = "\n".join(line for line in TEXT.splitlines() if not line.startswith(f"{key} "))
    with pytest.raises(WaiverError, match=rf"entry 1.*: {key} is missing"):
        waivers.parse(text)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('op = "atan2"', "op = 3", "entry 1 .'atan2-tie'.: op is 3, not a text"),
        ('reason = "declared convention"', 'reason = " "', "reason is ' ', not a text"),
        ('dtype = "float32"', 'dtyp = "float32"', "unknown key 'dtyp'"),
        (">=2.13,<2.15", "2.13 or so", "versions is '2.13 or so'"),
        ("2030-01-31", '"2030-01-31"', "expires is '2030-01-31', not a date"),
        ("2030-01-31", "2030-01-31T00:00:00Z", "expires is .*, not a date"),
        ("https://example.org/1", "somewhere", "link is 'somewhere', not a web address"),
        ("[[waiver]]", "[waiver]", "'waiver' is not a list of tables"),
        ("[[waiver]]", "[[waivers]]", "unknown key 'waivers' at the top"),
        ("[[waiver]]", "[[", "not TOML"),
    ],
)
def test_a_wrong_entry_is_named(old: str, new: str, message: str) -> None:
    with pytest.raises(WaiverError, match=message):
        waivers.parse(TEXT.replace(old, new))


def test_two_entries_of_one_id_are_refused() -> None:
    with pytest.raises(WaiverError, match="two entries have id 'atan2-tie'"):
        waivers.parse(TEXT + TEXT)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WaiverError, match=r"absent\.toml: cannot be read"):
        waivers.load(tmp_path / "absent.toml")
