"""What other programs are given says the same as the rows, within their limits, and no name in a row is more than text."""

from __future__ import annotations

import html
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

pytest.importorskip("pandas")

import pandas as pd
from click.testing import CliRunner, Result

from harness import cli
from harness.records import (
    ComparisonRow,
    CoverageRow,
    RecordError,
    Run,
    RunInfo,
    TimingRow,
    VerdictRow,
    write_file,
    write_run,
)
from reports import outputs, to_pandas
from reports.outputs import annotation_lines, digest, junit, markdown, step_digest, visible, write_table
from reports.steps import steps_of
from suites.test_history import frame as history_frame

NASTY = (
    '<script>alert(1)</script> | `x` ]]> & "q" *b* @octocat #1 http://a.b\n::error::boo\r\x1b[31m\x00\u202e$(rm)%0A,:'
)
INFO = RunInfo(
    run_id="a", started_utc="2030-01-31T00:00:00+00:00", command="adjudge verify", versions={}, cpu="Example"
)
AGREE = VerdictRow(
    run_id="a", program_id="p", seed=0, point=0, backend="torch", backend_version="1", dtype="float64", claim="vjp",
    aspect="derivative", ops="sin mul", verdict="agree", element_count=3, error_over_bound=0.1,
)  # fmt: skip
WRONG = replace(
    AGREE, program_id="q", ops="atan2 sum", verdict="disagree", owner="framework", error_over_bound=7.0,
    reproducer="import torch\nprint(1)",
)  # fmt: skip
TIMING = TimingRow(
    run_id="a", workload="gmm", size=10, what="gradient", backend="torch", backend_version="1", dtype="float64",
    threads=1, phase="steady", samples_seconds=(1e-3, 2e-3, 3e-3), asked_size=1,
)  # fmt: skip
CHANGE = ComparisonRow(
    run_id="a", series="gmm/10/gradient/torch/float64", workload="gmm", size=10, what="gradient", backend="torch",
    dtype="float64", threads=1, before="old", after="new", verdict="no change", ratio=1.0, low=0.99, high=1.01,
    smallest_effect=0.03, before_seconds=1e-3, after_seconds=1e-3, counts="same",
)  # fmt: skip
SLOWER = replace(CHANGE, series="tests/test_x.py::test_a", verdict="slower", ratio=1.2, low=1.1, high=1.3)
REFUSED = {
    "kind": "refused", "workload": "gmm", "size": "10", "asked_size": "1", "what": "gradient", "backend": "jax-jit",
    "dtype": "float64", "reason": "wrong: the value is nan",
}  # fmt: skip


def verdicts(*rows: VerdictRow) -> Run:
    return Run(INFO, verdicts=rows or (AGREE, WRONG))


def comparisons(*rows: ComparisonRow, **info: Any) -> Run:
    return Run(replace(INFO, **info), comparisons=rows or (CHANGE, SLOWER))


def hostile() -> Run:
    """A name that is something else in every format, wherever a row or a run can have one."""
    info = replace(INFO, cpu=NASTY, command=NASTY, left_out=(dict.fromkeys(REFUSED, NASTY) | {"kind": "refused"},))
    wrong = replace(WRONG, ops=NASTY, reason=NASTY, backend=NASTY, reproducer=NASTY + "\n```\n" + NASTY, claim=NASTY)
    timing = replace(TIMING, workload=NASTY, backend=NASTY)
    change = replace(SLOWER, series=NASTY, reason=NASTY, before=NASTY, accepted="")
    return Run(info, (wrong,), (timing,), (change, replace(change, series=NASTY + "2", accepted=NASTY)))


def test_what_cannot_be_shown_is_spelled_out() -> None:
    assert visible("a\n\x00\u202e\ud800\u202fé") == "a\\n\\x00\\u202e\\ud800 é"


# -- what is said


def test_the_first_line_is_the_verdict() -> None:
    assert markdown(digest([verdicts()])).splitlines()[0].startswith("❌ **2 programs, 2 points: 1 disagreement")
    assert markdown(digest([verdicts(AGREE)])).startswith("✅ **1 program")
    compared = markdown(digest([comparisons()])).splitlines()[0]
    assert compared == "❌ **2 series compared: 1 slower, 1 no change, 1 failed**"
    assert markdown(digest([comparisons(CHANGE)])).startswith("✅ **1 series compared")


def test_what_compared_nothing_is_no_success() -> None:
    undecided = replace(AGREE, verdict="inconclusive", reason="kink", inconclusive_count=3)
    for run in (verdicts(undecided), Run(INFO), comparisons(replace(CHANGE, verdict="cannot tell", reason="noise"))):
        assert digest([run]).state == "nothing"
        assert markdown(digest([run])).startswith("⚠️")
    assert digest([verdicts(AGREE)], problems=["5 % are inconclusive"]).state == "failed"


def test_a_disagreement_is_one_failure_and_what_agrees_is_one_result_for_each_op() -> None:
    results = digest([verdicts(AGREE, WRONG, replace(WRONG, point=1))]).results
    assert [(r.name, r.status) for r in results] == [
        ("vjp of atan2 sum, float64, derivative", "failed"),
        ("vjp of mul", "passed"),
        ("vjp of sin", "passed"),
    ]
    assert "at 2 points" in results[0].message and results[0].details == WRONG.reproducer


@pytest.mark.parametrize("changes", [{"waiver": "known"}, {"aspect": "accuracy"}])
def test_what_is_known_or_only_loses_digits_is_skipped(changes: dict[str, Any]) -> None:
    found = digest([verdicts(AGREE, replace(WRONG, **changes))])
    assert Counter(r.status for r in found.results) == {"passed": 2, "skipped": 1}
    assert found.state == "passed"


@pytest.mark.parametrize(
    ("row", "failed", "status"),
    [
        (SLOWER, None, "failed"),
        (SLOWER, {}, "passed"),
        (SLOWER, {SLOWER.series: "20 % slower"}, "failed"),
        (replace(SLOWER, accepted="wanted"), None, "skipped"),
        (replace(CHANGE, counts="more"), None, "failed"),
        (replace(CHANGE, verdict="cannot tell", reason="noise"), None, "skipped"),
        (replace(CHANGE, verdict="faster", ratio=0.8), None, "passed"),
    ],
)
def test_a_comparison_fails_where_it_is_told_to(row: ComparisonRow, failed: Any, status: str) -> None:
    assert [r.status for r in digest([comparisons(row)], failed=failed).results] == [status]


def test_a_refused_value_is_a_failure_and_a_time_is_none() -> None:
    run = Run(replace(INFO, left_out=(REFUSED, REFUSED | {"kind": "budget"})), timings=(TIMING,))
    found = digest([run])
    assert [(r.suite, r.status) for r in found.results] == [
        ("times of torch", "passed"), ("times of jax-jit", "failed"), ("times of jax-jit", "skipped"),
    ]  # fmt: skip
    assert found.line == "1 series timed, 1 refused, 1 not timed"
    assert "wrong: the value is nan" in markdown(found)


def test_steps_that_make_a_series_slower_fail_if_they_should() -> None:
    table = history_frame(series=3)
    table.loc[(table["series"] == "s1") & (table["moment"] >= "2030-01-20"), "seconds"] *= 1.5
    keys = list(zip(table["series"], table["conditions"], strict=True))
    found = step_digest(steps_of(table), keys)
    assert found.line == "3 series searched: 1 step of single series (1 slower, 0 faster)"
    assert [r.status for r in found.results] == ["failed", "passed", "passed"]
    assert "2030-01-20" in found.results[0].message and "r18 -> r19" in found.results[0].message
    assert step_digest(steps_of(table), keys, fail=False).state == "passed"


# -- Markdown


def many() -> Run:
    rows = [
        replace(CHANGE, series=f"series/{i}/{'x' * 80}", verdict="cannot tell", reason="noise") for i in range(3000)
    ]
    wrong = [replace(SLOWER, series=f"slow/{i}") for i in range(1500)]
    return comparisons(*rows, *wrong)


@pytest.mark.parametrize("limit", [4_000, 10_000, outputs.MARKDOWN_BYTES])
def test_a_summary_keeps_its_limit_and_says_what_it_leaves_out(limit: int) -> None:
    text = markdown(digest([many()]), most_bytes=limit)
    assert len(text.encode()) <= limit
    assert text.splitlines()[0].startswith("❌ **4,500 series compared")
    assert "Left out here for lack of space" in text.splitlines()[-1]
    whole = re.search(r"([\d,]+) of 4,500 lines of “Comparisons” \(([^)]*)\)", text)
    assert whole is not None
    shown = len(re.findall(r"^\| .*<code>", text, re.MULTILINE))
    left = int(whole[1].replace(",", ""))
    assert shown + left == 4_500
    assert sum(int(n.replace(",", "")) for n in re.findall(r"([\d,]+) (?:slower|cannot tell)", whole[2])) == left


def test_a_script_that_does_not_fit_is_counted() -> None:
    long = verdicts(AGREE, replace(WRONG, reproducer="x = 1\n" * 50_000))
    text = markdown(digest([long]))
    assert "1 of 1 lines of “scripts”" in text and len(text.encode()) <= outputs.MARKDOWN_BYTES


def test_a_limit_that_is_too_small_is_refused() -> None:
    with pytest.raises(ValueError, match="most_bytes is 100"):
        markdown(digest([verdicts()]), most_bytes=100)


def test_hostile_names_are_text_in_markdown() -> None:
    text = markdown(digest([hostile()]))
    outside = re.sub(r"\n(`{3,})\n.*?\n\1\n", "\n", text, flags=re.DOTALL)
    assert set(re.findall(r"</?([a-z]+)", outside)) <= {"code", "details", "summary"}
    for sign in ("@", "`", "]]>", "http://", "#1", "*b*", "\x1b", "\u202e", "\x00", "::error"):
        assert sign not in re.sub(r"&#\d+;", "", outside), sign
    assert not re.search(r"(?<!<code>)&#(35|64);", re.sub("<code>.*?</code>", "", outside))  # nobody is mentioned
    tables = [line for line in outside.splitlines() if line.startswith("|")]
    sizes = [len(line.split("|")) for line in tables]
    assert len(set(sizes)) <= 4 and len(tables) > 6  # no cell has opened another
    assert visible(NASTY)[:20] in html.unescape(outside)
    assert re.findall(r"^`{3,}$", text, re.MULTILINE) == ["````", "```", "````"]


# -- JUnit


COUNTS = {"tests", "failures", "errors", "skipped"}
ATTRIBUTES = {
    "testsuites": COUNTS | {"name", "time"},
    "testsuite": COUNTS | {"name", "time", "timestamp", "hostname", "id", "package"},
    "testcase": {"classname", "name", "time", "file", "line", "assertions"},
    "failure": {"message", "type"},
    "error": {"message", "type"},
    "skipped": {"message", "type"},
    "system-out": set(),
}
CHILDREN = {
    "testsuites": {"testsuite"},
    "testsuite": {"properties", "testcase", "system-out", "system-err"},
    "testcase": {"failure", "error", "skipped", "system-out", "system-err"},
}


def checked(data: bytes) -> ElementTree.Element:
    """The file, held against what consumers of JUnit XML agree on."""
    root = ElementTree.fromstring(data)
    assert root.tag == "testsuites"
    for element in root.iter():
        assert set(element.attrib) <= ATTRIBUTES[element.tag], element.tag
        assert {child.tag for child in element} <= CHILDREN.get(element.tag, set()), element.tag
        if "time" in element.attrib:
            assert float(element.attrib["time"]) >= 0
    for element in (root, *root.iter("testsuite")):
        cases = list(element.iter("testcase"))
        number = {"tests": len(cases)} | {
            name: sum(case.find(tag) is not None for case in cases)
            for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped"))
        }
        assert {name: int(element.attrib[name]) for name in COUNTS} == number
        names = [(case.get("classname"), case.get("name")) for case in cases]
        assert len(set(names)) == len(names)
        assert all(len(case) <= 1 for case in cases)
    return root


def test_junit_counts_what_it_holds() -> None:
    left = replace(INFO, left_out=(REFUSED, REFUSED | {"kind": "missing"}))
    for run in (verdicts(), comparisons(), Run(left, timings=(TIMING, TIMING)), hostile(), Run(INFO)):
        checked(junit(digest([run], problems=["x"])))


def test_junit_shows_the_script_of_a_failure_and_the_file_of_a_test() -> None:
    (failure,) = checked(junit(digest([verdicts()]))).iter("failure")
    assert failure.text is not None and failure.text.endswith("import torch\nprint(1)")
    files = [case.get("file") for case in checked(junit(digest([comparisons()]))).iter("testcase")]
    assert files == [None, "tests/test_x.py"]


def test_hostile_names_are_text_in_junit() -> None:
    data = junit(digest([hostile()]))
    checked(data)
    assert b"<script>" not in data and b"]]>" not in data
    text = data.decode("utf-8")
    assert not re.search("[^\n\x20-\x7e\x80-\ud7ff\ue000-\uffff]", text.replace("\u202f", ""))
    assert any(visible(NASTY) in str(case.get("name")) for case in checked(data).iter("testcase"))


# -- GitHub


def test_annotations_are_commands_of_one_line_and_hostile_names_no_others() -> None:
    lines = annotation_lines(digest([hostile()], warnings=[NASTY]))
    assert lines
    for line in lines:
        assert re.fullmatch(r"::(error|warning) (title|file)=[^:\n\r]*::[^\n\r]+", line)
        assert "\x1b" not in line and "%0A" not in line.replace("%250A", "")
    named = annotation_lines(digest([comparisons()]))
    assert named == [
        "::error title=Adjudge%3A comparison of old and new,file=tests/test_x.py::tests/test_x.py::test_a: slower; slower "
        "+20.0 % (+10.0 % to +30.0 %), counts same".replace("% ", "%25 ").replace("%)", "%25)")
    ]


def test_no_more_annotations_than_github_shows() -> None:
    lines = annotation_lines(digest([many()]))
    assert len(lines) == 10 and "and 1,491 more" in lines[-1]


# -- tables


def test_tables_give_the_rows_as_they_are(tmp_path: Path) -> None:
    run = Run(INFO, verdicts=(AGREE, WRONG), timings=(TIMING,), comparisons=(CHANGE,))
    assert to_pandas(run, "timings").loc[0, ["workload", "samples_seconds", "cpu"]].tolist() == [
        "gmm", (1e-3, 2e-3, 3e-3), "Example",
    ]  # fmt: skip
    write_run(tmp_path, INFO, verdicts=run.verdicts)
    assert to_pandas(tmp_path)["verdict"].tolist() == ["agree", "disagree"]
    with pytest.raises(ValueError, match="hold verdicts and timings and comparisons: say which"):
        to_pandas(run)
    with pytest.raises(ValueError, match="rows is 'all'"):
        to_pandas(run, "all")
    assert len(to_pandas(Run(INFO), "comparisons")) == 0
    counted = Run(INFO, verdicts=(AGREE,), coverage=(CoverageRow(run_id="a", op="sin", facet="op", value="", count=3),))
    assert to_pandas(counted)["verdict"].tolist() == ["agree"]  # what goes with the verdicts has to be asked for
    assert to_pandas(counted, "coverage")["count"].tolist() == [3]


def test_csv_and_parquet_hold_every_row(tmp_path: Path) -> None:
    table = to_pandas(Run(INFO, timings=(TIMING, replace(TIMING, workload="=1+1"))), "timings")
    write_table(table, tmp_path / "a.csv")
    write_table(table, tmp_path / "a.parquet", kind="parquet")
    back = pd.read_csv(tmp_path / "a.csv")
    assert back["samples_seconds"][0].split() == ["0.001", "0.002", "0.003"]
    assert back["workload"].tolist() == ["gmm", "'=1+1"]  # no formula in a spreadsheet
    whole = pd.read_parquet(tmp_path / "a.parquet")
    assert whole["workload"].tolist() == ["gmm", "=1+1"]
    assert whole["samples_seconds"][0].tolist() == [1e-3, 2e-3, 3e-3]


def test_hostile_names_stay_in_their_cell(tmp_path: Path) -> None:
    write_table(to_pandas(hostile(), "comparisons"), tmp_path / "a.csv")
    back = pd.read_csv(tmp_path / "a.csv", keep_default_na=False)
    assert len(back) == 2 and "<script>" in back["series"][0]


def test_a_device_is_written_to_and_not_replaced() -> None:
    write_file("/dev/null", b"x")
    assert not Path("/dev/null").is_file()
    with pytest.raises(RecordError, match=r"/dev/full: cannot write: .*No space left"):
        write_file("/dev/full", b"x")


# -- the command line


def adjudge(*words: object, **environment: str) -> Result:
    return CliRunner(env=environment).invoke(cli.cli, [str(word) for word in words], catch_exceptions=False)


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    folder = tmp_path / "rows"
    write_run(folder, replace(INFO, run_id="v"), verdicts=[replace(r, run_id="v") for r in (AGREE, WRONG)])
    write_run(folder, INFO, comparisons=[CHANGE, SLOWER])
    return folder


def test_export_writes_every_format(rows: Path, tmp_path: Path) -> None:
    names = {kind: tmp_path / f"out.{kind}" for kind in ("markdown", "junit", "csv", "parquet")}
    words = [word for kind, path in names.items() for word in (f"--{kind}", path)]
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    done = adjudge("export", rows, *words, "--rows", "verdicts", "--github", GITHUB_STEP_SUMMARY=str(summary))
    assert done.exit_code == 0, done.output
    assert names["markdown"].read_text().startswith("❌ **2 programs")
    assert len(list(checked(names["junit"].read_bytes()).iter("failure"))) == 2
    assert len(pd.read_csv(names["csv"])) == len(pd.read_parquet(names["parquet"])) == 2
    assert summary.read_text().startswith("before\n\n❌ **2 programs")
    assert done.stdout.count("::error ") == 2


def test_export_takes_some_runs_and_says_what_is_not_there(rows: Path, tmp_path: Path) -> None:
    target = tmp_path / "a.md"
    assert adjudge("export", rows, "--run", "a", "--fail-on", "nothing", "--markdown", target).exit_code == 0
    assert target.read_text().startswith("✅ **2 series compared")
    (rows / "timings-cut.parquet").write_bytes(b"PAR1")
    done = adjudge("export", rows, "--latest", "--markdown", target)
    assert done.exit_code == 0 and "timings-cut.parquet" in done.stderr
    assert "timings-cut.parquet" in html.unescape(target.read_text())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "nothing to write"),
        (("--csv", "{}/a.csv"), "--rows: the runs hold verdicts and comparisons"),
        (("--run", "x", "--junit", "{}/a.xml"), "run 'x' is not among a, v"),
        (("--junit", "{}/nowhere/a.xml"), "there is no folder"),
        (("--junit", "{}"), "is a folder"),
        (("--markdown", "/dev/full"), "--markdown: /dev/full: cannot write: .*No space left on device"),
    ],
)
def test_what_cannot_be_exported_ends_with_2_and_says_why(
    words: tuple[str, ...], message: str, rows: Path, tmp_path: Path
) -> None:
    done = adjudge("export", rows, *(word.format(tmp_path) for word in words))
    assert done.exit_code == 2, done.output
    assert re.search(message, " ".join(done.stderr.split()))


def test_an_output_that_fails_costs_neither_the_others_nor_the_rows(tmp_path: Path) -> None:
    words = ("--backends", "reference", "--max-programs", "1", "--no-report", "--out", tmp_path / "rows")
    done = adjudge("verify", *words, "--markdown", "/dev/full", "--junit", tmp_path / "a.xml")
    assert done.exit_code == 2, done.output
    checked((tmp_path / "a.xml").read_bytes())
    assert len(list((tmp_path / "rows").glob("verdicts-*.parquet"))) == 1


def test_the_workflow_uses_options_that_there_are() -> None:
    text = (Path(__file__).parents[1] / ".github" / "workflows" / "ci.yml").read_text().replace("\\\n", " ")
    used = {"run": r"first-run (.*)", "bench": r"harness bench (.*)", "dashboard": r"harness dashboard (.*)"}
    for name, pattern in used.items():
        (line,) = re.findall(pattern, text)
        known = {option for parameter in cli.cli.commands[name].params for option in parameter.opts}
        assert set(re.findall(r"(?<!\S)--[a-z-]+", line)) <= known, name
        if name != "dashboard":
            assert {"--github", "--markdown", "--junit"} <= set(line.split())
    assert "upload-artifact" in text.partition("harness dashboard")[2]


def test_without_githubs_variable_it_says_so(rows: Path) -> None:
    done = adjudge("export", rows, "--github", GITHUB_STEP_SUMMARY="")
    assert done.exit_code == 0 and "GITHUB_STEP_SUMMARY is not set" in done.stderr


def test_a_full_step_summary_is_left_alone(rows: Path, tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    summary.write_bytes(b"x" * 999_000)
    done = adjudge("export", rows, "--github", GITHUB_STEP_SUMMARY=str(summary))
    assert done.exit_code == 0 and "leaves no room" in done.stderr and summary.stat().st_size == 999_000
    summary.write_bytes(b"x" * 900_000)
    assert adjudge("export", rows, "--github", GITHUB_STEP_SUMMARY=str(summary)).exit_code == 0
    assert 900_000 < summary.stat().st_size < 2**20


def test_the_commands_write_what_they_have_found(tmp_path: Path) -> None:
    dataset = tmp_path / "history"
    from reports.history import append

    table = history_frame(series=2)
    table.loc[(table["series"] == "s1") & (table["moment"] >= "2030-01-20"), "seconds"] *= 1.5
    append(dataset, table)
    target, cases = tmp_path / "steps.md", tmp_path / "steps.xml"
    words = ("history", "steps", dataset, "--markdown", target, "--junit", cases, "--csv", tmp_path / "steps.csv")
    assert adjudge(*words, "--fail").exit_code == 1
    assert target.read_text().startswith("❌ **2 series searched: 1 step")
    assert len(list(checked(cases.read_bytes()).iter("failure"))) == 1
    assert pd.read_csv(tmp_path / "steps.csv")["series"].tolist() == ["s1"]
    assert adjudge(*words).exit_code == 0
    assert target.read_text().startswith("✅")
