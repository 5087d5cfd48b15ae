"""The dashboard shows the times of the rows, compactly and safely, and its address restores its view."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pandas")
pytest.importorskip("jinja2")

from harness.records import ComparisonRow, RecordError, Run, RunInfo, TimingRow
from reports.dashboard import exponents, pack_times, render_dashboard, series_points, unpack_times, write_dashboard

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
NASTY = "</script><img src=x onerror=alert(1)>"
SIZES = (100, 1000, 10_000)


def info(k: int) -> RunInfo:
    return RunInfo(
        run_id=f"run{k}",
        started_utc=f"2030-01-{k + 1:02}T00:00:00+00:00",
        command="",
        versions={"numpy": "2"},
        cpu=NASTY,
    )


def timing(k: int, backend: str, what: str, size: int, **changes: object) -> TimingRow:
    base = {"value": 1.0, "gradient": 3.0}[what] * {"reference": 2e-8, "torch": 1e-8}[backend] * size
    fields = {
        "run_id": f"run{k}", "workload": "gmm", "size": size, "what": what, "backend": backend, "backend_version": "1",
        "dtype": "float64", "threads": 1, "phase": "steady",
        "samples_seconds": (base, base * 1.1, base * 0.9, base * (1 + k / 100)), "saved_bytes": size * 8,
    }  # fmt: skip
    return TimingRow(**{**fields, **changes})  # type: ignore[arg-type]


def runs(count: int = 3) -> list[Run]:
    return [
        Run(
            info(k),
            (),
            tuple(timing(k, b, w, s) for b in ("reference", "torch") for w in ("value", "gradient") for s in SIZES),
        )
        for k in range(count)
    ]


def compared() -> Run:
    fields = {"workload": "gmm", "size": 100, "what": "gradient", "backend": "reference", "dtype": "float64"}
    row = ComparisonRow(
        run_id="run9", series="gmm/100/gradient/reference/float64", threads=1, before="a", after="b", verdict="slower",
        ratio=1.2, low=1.1, high=1.3, **fields,
    )  # fmt: skip
    return Run(info(9), (), (), (row,))


def payload(page: str) -> dict[str, object]:
    found = re.search(r'<script type="application/json" id="payload">(.*?)</script>', page, re.DOTALL)
    assert found
    loaded: dict[str, object] = json.loads(found[1])
    return loaded


def page_of(some: list[Run], tmp_path: Path) -> str:
    return write_dashboard(some, tmp_path / "dashboard.html").read_text()


# -- what it is made of


def test_points_are_the_medians_of_the_steady_samples() -> None:
    points = series_points(runs(1))
    one = points[(points["label"] == "torch") & (points["what"] == "value") & (points["size"] == 100)].iloc[0]
    assert (one["median"], one["n"]) == (1e-6, 4)


def test_first_calls_are_not_in_it() -> None:
    assert series_points([Run(info(0), (), (timing(0, "torch", "value", 100, phase="first_call"),))]).empty


def test_packed_times_are_right_to_four_parts_in_ten_thousand() -> None:
    times = np.exp(np.random.default_rng(1).uniform(np.log(1e-9), np.log(1e3), 10_000))
    assert np.abs(unpack_times(pack_times(times)) / times - 1).max() < 4e-4


def test_a_missing_time_stays_missing() -> None:
    assert [math.isnan(v) for v in unpack_times(pack_times(np.array([np.nan, 1.0])))] == [True, False]


def test_the_exponent_of_a_linear_time_is_one() -> None:
    table = exponents(series_points(runs(1)))
    assert table["exponent"].round(6).unique().tolist() == [1.0]


def test_two_sizes_give_no_exponent() -> None:
    rows = tuple(timing(0, "torch", "value", s) for s in SIZES[:2])
    assert exponents(series_points([Run(info(0), (), rows)])).empty


def test_two_thousand_series_of_three_hundred_runs_fit_into_five_megabytes() -> None:
    one = series_points(runs(1))[:1]
    many = one.loc[one.index.repeat(600_000)].reset_index(drop=True)
    many["size"] = np.arange(600_000) // 300 + 1
    many["run"] = np.arange(600_000) % 300
    many["median"] = np.exp(np.random.default_rng(1).normal(-10, 2, 600_000))
    lines = [
        {"run_id": str(k), "started": "2030", "cpu": "", "cores": 1, "threads": 1, "commit": "", "versions": ""}
        for k in range(300)
    ]
    assert len(render_dashboard(many, lines)) < 5_000_000


def test_no_text_of_a_row_can_end_the_script(tmp_path: Path) -> None:
    page = page_of(runs(), tmp_path)
    assert NASTY not in page
    assert payload(page)["runs"][0]["cpu"] == NASTY  # type: ignore[index]


def test_the_page_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    page = page_of(runs(), tmp_path)
    assert re.findall(r"<(?:script|link|img|iframe)[^>]+(?:src|href)=", page) == []
    assert "default-src 'none'" in page


def test_runs_without_times_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="no times"):
        write_dashboard([Run(info(0))], tmp_path / "dashboard.html")


def test_an_unwritable_place_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="nowhere"):
        write_dashboard(runs(), tmp_path / "nowhere" / "dashboard.html")


# -- what a browser makes of it


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dashboard([*runs(), compared()], tmp_path_factory.mktemp("page") / "dashboard.html")


def browse(page: Path, state: str, *more: str) -> tuple[str, str]:
    """The document after its scripts have run, and what the console said."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed: the page is not tested in a browser")
    flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    command = [CHROMIUM, *flags.split(), "--disable-component-update", "--disable-sync", "--enable-logging=stderr"]
    command += [f"--user-data-dir={page.parent / 'profile'}", "--virtual-time-budget=3000", *more]
    done = subprocess.run(
        [*command, "--dump-dom", f"file://{page}#{state}"], capture_output=True, text=True, timeout=120, check=False
    )
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return done.stdout, "\n".join(console)


def panel(document: str) -> str:
    return document[document.index('id="panel"') : document.index('id="payload"')]


@pytest.mark.parametrize("view", ["heat", "size", "ratio", "history", "changes", "error", "memory", "table"])
def test_every_view_draws_without_a_word_on_the_console(page: Path, view: str) -> None:
    document, console = browse(page, f"view={view}")
    assert console == ""
    assert f'data-view="{view}"' in panel(document)
    assert 'data-ready="yes"' in panel(document)


def test_the_address_restores_the_filters(page: Path) -> None:
    document, _ = browse(page, "view=table&tools=torch&size=1000&what=value")
    rows = re.findall(r"<tr><td>gmm</td><td>(\d+)</td><td>(\w+)</td><td>(\w+)</td>", panel(document))
    assert rows == [("1000", "value", "torch")]


def test_a_filter_that_nothing_passes_says_so(page: Path) -> None:
    document, _ = browse(page, "view=table&find=nothing")
    assert "Nothing passes the filters." in panel(document)


def test_the_table_shows_the_time_of_the_newest_run(page: Path) -> None:
    document, _ = browse(page, "view=table&tools=torch&size=100&what=value")
    assert "1.00 µs" in panel(document) or "1.01 µs" in panel(document)


def test_a_change_is_shown_with_its_verdict(page: Path) -> None:
    document, _ = browse(page, "view=changes")
    assert "slower" in panel(document)
    document, _ = browse(page, "view=changes&verdict=faster")
    assert "slower" not in panel(document)


def test_a_screenshot_is_made(page: Path) -> None:
    picture = page.parent / "dashboard.png"
    browse(page, "view=size", f"--screenshot={picture}", "--window-size=1200,900")
    assert picture.stat().st_size > 10_000
