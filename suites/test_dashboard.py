"""The dashboard shows the times of the rows, compactly and safely, and its address restores its view."""

from __future__ import annotations

import csv
import html
import io
import json
import math
import os
import re
import shlex
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pandas")
pytest.importorskip("jinja2")

from harness.records import ComparisonRow, RecordError, Run, RunInfo, TimingRow, write_run
from reports import history
from reports.dashboard import (
    KEYS,
    _parts,
    change_points,
    exponents,
    left_out,
    pack_times,
    render_dashboard,
    series_points,
    unpack_times,
    write_dashboard,
)

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


def grown(count: int = 40, **changes: object) -> list[Run]:
    """Runs of which one series became 1.3 times slower at the thirtieth, by noise of 1 % a run."""
    rng = np.random.default_rng(3)
    found = []
    for k in range(count):
        rows = []
        for backend in ("reference", "torch"):
            factor = float(np.exp(0.01 * rng.standard_normal())) * (1.3 if backend == "torch" and k >= 30 else 1.0)
            rows.append(timing(k, backend, "gradient", 100, samples_seconds=(3e-6 * factor,) * 3, **changes))
        found.append(
            Run(
                replace(info(0), run_id=f"run{k}", started_utc=f"2030-01-01T{k:02}", git_commit=f"c{k}"),
                (),
                tuple(rows),
            )
        )
    return found


REFUSED = {
    "kind": "refused", "workload": "gmm", "size": "1000", "asked_size": "1", "what": "gradient", "backend": "torch",
    "dtype": "float64", "reason": f"wrong: the value is nan {NASTY}",
}  # fmt: skip


def refused() -> list[Run]:
    """Three runs, of which the last refused a gradient that the others had timed."""
    *before, last = runs()
    kept = tuple(row for row in last.timings if (row.backend, row.what, row.size) != ("torch", "gradient", 1000))
    return [*before, Run(replace(last.info, left_out=(REFUSED,)), (), kept)]


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


def test_processes_of_a_run_are_one_point_and_conditions_are_never_joined() -> None:
    row = timing(0, "torch", "value", 100, samples_seconds=(1e-6, 2e-6))
    again = replace(row, samples_seconds=(3e-6,))
    (point,) = series_points([Run(info(0), (), (row, again))]).to_dict("records")
    assert (point["median"], point["n"]) == (2e-6, 3)
    others = [replace(again, threads=2), replace(again, device="gpu"), replace(again, dtype="float32")]
    points = series_points([Run(info(0), (), (row, *others)), Run(replace(info(1), cpu="other"), (), (row,))])
    assert len(points) == len(points.drop_duplicates(KEYS)) == 5
    assert points["n"].tolist() == [2, 1, 1, 1, 2]


def test_of_two_revisions_of_a_run_the_later_is_its_point() -> None:
    row = timing(0, "torch", "value", 100, revision="before")
    after = replace(row, revision="after", samples_seconds=(7e-6,))
    assert series_points([Run(info(0), (), (row, after))])["median"].tolist() == [7e-6]


def test_change_points_are_the_steps_of_the_rule() -> None:
    some = grown()
    (found,) = change_points(series_points(some), [{"commit": f"c{k}"} for k in range(len(some))])
    assert (found["label"], found["run"], found["revision_before"], found["revision"]) == ("torch", 30, "c29", "c30")
    assert found["low"] < 1.3 < found["high"] and found["low"] < found["ratio"] < found["high"] and not found["common"]
    assert change_points(series_points(some[:12]), [{"commit": ""}] * 12) == []


def test_a_refused_value_is_known_to_the_page_until_it_is_timed_again(tmp_path: Path) -> None:
    (kept,) = left_out(refused())
    assert (kept["workload"], kept["size"], kept["label"], kept["asked"], kept["run"]) == ("gmm", 1000, "torch", 1, 2)
    assert left_out([Run(replace(info(0), left_out=({**REFUSED, "workload": ""},)))]) == []
    assert "wrong" in page_of([Run(replace(info(0), left_out=(REFUSED,)))], tmp_path)


@pytest.mark.parametrize(
    ("series", "conditions", "source", "parts"),
    [
        ("gmm/10/gradient/jax-jit/steady", "float64, cpu, 1 threads, X", "run",
         ("gmm", "gradient", "jax jit", "float64", "cpu, 1 threads, X", 10)),
        ("gmm/10/gradient/jax-jit/first_call", "float64, cpu", "run", ("gmm", "", "jax jit", "float64", "cpu", 10)),
        ("gmm/1k/d2/pytorch/primal", "", "gradbench", ("gmm/1k/d2", "value", "pytorch", "", "", 0)),
        ("a/b.py::test[x/1]", "X", "0001.json", ("a/b.py::test[x/1]", "call", "pytest", "", "X", 0)),
    ],
)  # fmt: skip
def test_series_of_a_history_are_taken_apart_by_their_names(
    series: str, conditions: str, source: str, parts: tuple[str, ...]
) -> None:
    assert _parts(series, conditions, source) == parts


def test_a_history_has_a_dashboard_of_its_own(tmp_path: Path) -> None:
    for run in grown():
        write_run(tmp_path / "rows", run.info, timings=run.timings)
    history.append(tmp_path / "history", history.read_rows(tmp_path / "rows").points)
    shown = payload(write_dashboard(tmp_path / "history", tmp_path / "dashboard.html").read_text())
    own = payload(write_dashboard(tmp_path / "rows", tmp_path / "rows.html").read_text())
    assert shown["median"] == own["median"] and shown["low"] == ""
    assert [(c["run"], c["series"]) for c in shown["changes"]] == [(c["run"], c["series"]) for c in own["changes"]]  # type: ignore[attr-defined]
    assert shown["words"]["workload"] == ["gmm"] and shown["series"]["size"] == [100, 100]  # type: ignore[index]


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
    rng = np.random.default_rng(1)
    many["median"] = np.exp(rng.normal(-10, 2, 600_000))
    many["q25"], many["q75"] = (many["median"] * np.exp(rng.normal(s, 0.1, 600_000)) for s in (-0.3, 0.3))
    many["check_error"] = rng.random(600_000)
    changes = [
        {**dict(zip(KEYS, line, strict=True)), "run": 150, "ratio": 1.1, "low": 1.0, "high": 1.2, "noise": 0.01,
         "before": 1e-5, "after": 1.1e-5, "common": False, "revision_before": "0" * 12, "revision": "1" * 12}
        for line in many.drop_duplicates(KEYS)[list(KEYS)].itertuples(index=False, name=None)
    ]  # fmt: skip
    lines = [
        {"run_id": str(k), "started": "2030", "cpu": "", "cores": 1, "threads": 1, "commit": "", "versions": ""}
        for k in range(300)
    ]
    assert len(render_dashboard(many, lines, changes=changes)) < 5_000_000


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


def test_a_full_disk_is_named() -> None:
    with pytest.raises(RecordError, match=r"/dev/full: the dashboard cannot be written: .*No space left"):
        write_dashboard(runs(), "/dev/full")


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
    assert ">slower<" not in panel(document)
    assert "1 of 1 comparisons do not pass the filters" in panel(document)


@pytest.fixture(scope="module")
def stepped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    nasty = f"gmm{NASTY}'; rm -rf ~"
    return write_dashboard(grown(workload=nasty), tmp_path_factory.mktemp("stepped") / "dashboard.html")


def test_change_points_are_listed_with_commits_ratio_interval_and_a_command(stepped: Path) -> None:
    document, console = browse(stepped, "view=history&verdict=stepped")
    assert console == ""
    shown = html.unescape(panel(document))
    assert "1 change points" in shown and "c29 → c30" in shown and "2030-01-01T30" in shown
    assert re.search(r"<td>1\.\d+</td><td>1\.\d+</td><td>1\.\d+</td>", shown)
    assert "History: gmm" in shown
    document, _ = browse(stepped, "view=table&verdict=slower")
    assert "Nothing passes the filters." in panel(document)


def test_a_hostile_name_is_text_and_its_command_is_quoted(stepped: Path) -> None:
    document, console = browse(stepped, "view=table")
    assert console == "" and "<img" not in panel(document)
    commands = re.findall(r'<code class="repeat">(.*?)</code>', panel(document))
    words = shlex.split(html.unescape(commands[0]))
    assert words[:2] == ["adjudge", "bench"] and words[words.index("--workloads") + 1] == f"gmm{NASTY}'; rm -rf ~"
    assert len(words) == len(shlex.split("adjudge bench --families all --workloads x --what y --backends z --dtype d"))


def acted(page: Path, state: str, script: str) -> str:
    """What a script writes into the document after the page's own has run, as somebody at the page would act."""
    other = page.with_name("acted.html")
    report = "const out = document.createElement('pre'); out.id = 'acted'; document.body.append(out);"
    other.write_text(page.read_text().replace("</body>", f"<script>{report}{script}</script></body>"))
    document, console = browse(other, state)
    assert console == ""
    return html.unescape(document[document.index('<pre id="acted">') + 16 :].partition("</pre>")[0])


def test_keys_move_between_the_views_and_filters_are_labelled(page: Path) -> None:
    press = """
    const press = (key) => document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {key, bubbles: true}));
    document.getElementById('tab-heat').focus();
    for (const key of ['ArrowRight', 'End', 'ArrowLeft', 'Home', 'ArrowLeft']) {
      press(key); out.append(document.activeElement.id + ' ');
    }
    const all = [...document.querySelectorAll('select, input, button')];
    const unnamed = all.filter((e) => !(e.labels && e.labels.length) && !e.textContent);
    out.append(location.hash + ' ' + unnamed.length);
    """
    assert acted(page, "", press).split() == [
        "tab-size",
        "tab-table",
        "tab-memory",
        "tab-heat",
        "tab-table",
        "#view=table",
        "0",
    ]


def test_tables_are_saved_as_csv(stepped: Path) -> None:
    save = """
    const kept = []; URL.createObjectURL = (blob) => { kept.push(blob.text()); return '#'; };
    HTMLAnchorElement.prototype.click = function () { out.append(this.download + '\\n'); };
    document.getElementById('csv').click(); document.getElementById('steps-csv').click();
    Promise.all(kept).then((texts) => out.append(texts.join('====\\n')));
    """
    names, _, text = acted(stepped, "view=history", save).partition("workload,")
    assert names.split() == ["adjudge-history.csv", "adjudge-change-points.csv"]
    series, steps = (list(csv.DictReader(io.StringIO(part))) for part in f"workload,{text}".split("====\n"))
    assert {row["workload"] for row in series} == {f"gmm{NASTY}'; rm -rf ~"} and len(series) == 2
    assert float(series[0]["median"]) > 0
    assert [row["commits"] for row in steps] == ["c29 → c30"] and 1.2 < float(steps[0]["ratio"]) < 1.4


def test_wrong_results_are_marked_by_hatching_and_a_sign(tmp_path: Path) -> None:
    page = write_dashboard(refused(), tmp_path / "dashboard.html")
    document, console = browse(page, "view=heat")
    assert console == ""
    cells = re.findall(r'<td class="refused"[^>]*>([^<]*)</td>', panel(document))
    assert cells == ["✗ wrong"]
    assert "repeating-linear-gradient" in document
    assert "--sizes 1 " in panel(document) and "<img" not in panel(document)
    document, _ = browse(page, "view=heat&verdict=wrong+or+broke")
    assert panel(document).count("✗ wrong") == 1


def test_a_screenshot_is_made(page: Path) -> None:
    folder = Path(os.environ.get("ADJUDGE_SCREENSHOTS") or page.parent).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    picture = folder / "dashboard.png"
    browse(page, "view=size", f"--screenshot={picture}", "--window-size=1200,900")
    assert picture.stat().st_size > 10_000
