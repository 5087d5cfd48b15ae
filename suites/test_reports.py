"""Reports show what the rows say: the tables count right, and the page shows the tables, safely and for any run."""

from __future__ import annotations

import html
import io
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pandas")
pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")

from rich.console import Console

from harness import records
from harness.records import RecordError, Run, RunInfo, TimingRow, VerdictRow
from reports import figures, print_summary, statistics, tables, write_report
from reports.page import render
from reports.summary import headline, percent, totals

OPS = ["abs", "exp", "log", "sqrt", "sin", "tanh", "sigmoid", "relu", "add", "mul", "div", "pow", "maximum", "atan2",
       "where", "clamp", "sum", "mean", "amax", "prod", "logsumexp", "cumsum", "softmax", "reshape", "expand", "cat",
       "getitem", "matmul", "detach"]  # fmt: skip
BACKENDS = (
    ("reference", "eager", "0.1.0"),
    ("torch", "eager", "2.13.0+cpu"),
    ("jax", "eager", "0.10.2"),
    ("jax", "jit", "0.10.2"),
)
CLAIMS = ("value", "vjp", "accumulation", "detach", "hvp")
FACTORS = {"value": 1.0, "gradient": 2.9, "vjp": 3.3}
REASONS = ("kink: relu at 0", "overflow", "tie: amax of equal elements", "bound(too wide)")
REPRODUCER = "import torch\n\nx = torch.zeros(2, requires_grad=True)\ntorch.atan2(x, x).sum().backward()\nprint(x.grad)"

INFO = RunInfo(
    run_id="20300131T093000Z-5f21c0",
    started_utc="2030-01-31T09:30:00+00:00",
    command="adjudge verify --budget 60s --seed 7",
    seed=7,
    budget_seconds=60.0,
    elapsed_seconds=61.2,
    versions={"python": "3.11.7", "adjudge": "0.1.0", "numpy": "2.4.6", "torch": "2.13.0+cpu", "jax": "0.10.2"},
    cpu="Example CPU 3000",
    cores=2,
    threads=1,
    platform="Linux-6.1-x86_64",
    git_commit="7d33245a1b2c3d4e5f60718293a4b5c6d7e8f901",
    git_dirty=False,
)


def verdict(**changes: object) -> VerdictRow:
    """An agreeing row with some fields changed."""
    row = VerdictRow(
        run_id=INFO.run_id,
        program_id="00c0ffee00c0ffee",
        seed=7,
        point=0,
        backend="torch",
        backend_version="2.13.0+cpu",
        dtype="float64",
        claim="vjp",
        aspect="derivative",
        ops="sin mul",
        verdict="agree",
        element_count=10,
        error_over_bound=0.1,
        median_error_over_bound=0.01,
        oracle="certificate",
    )
    return replace(row, **changes)  # type: ignore[arg-type]


def timing(**changes: object) -> TimingRow:
    """A steady series of three samples with some fields changed."""
    row = TimingRow(
        run_id=INFO.run_id,
        workload="logsumexp",
        size=100,
        what="value",
        backend="torch",
        backend_version="2.13.0+cpu",
        dtype="float64",
        threads=1,
        phase="steady",
        samples_seconds=(1e-5, 2e-5, 4e-5),
        rounds=(0, 1, 2),
        check_error=0.0,
    )
    return replace(row, **changes)  # type: ignore[arg-type]


def make_verdicts(programs: int, *, points: int = 4, wrong: bool = True) -> list[VerdictRow]:
    """Rows as a run makes them: agreement, some inconclusive elements, unsupported ops and two disagreements."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(programs):
        ops = " ".join(rng.choice(OPS, size=rng.integers(1, 8)))
        dtype = ("float64", "float32")[number % 2]
        for (backend, mode, version), point in ((b, p) for b in BACKENDS for p in range(points)):
            for claim in CLAIMS:
                if claim == "hvp" and number % 3:
                    continue
                row = verdict(
                    program_id=f"{number:016x}",
                    point=point,
                    backend=backend,
                    mode=mode,
                    backend_version=version,
                    dtype=dtype,
                    claim=claim,
                    aspect="structure" if claim in ("accumulation", "detach") else "derivative",
                    ops=ops,
                    element_count=int(rng.integers(1, 40)),
                    error_over_bound=float(min(rng.lognormal(-4.5, 1.6), 0.8)),
                    median_error_over_bound=0.003,
                )
                if backend == "jax" and "cumsum" in ops.split() and claim == "hvp":
                    row = replace(
                        row,
                        verdict="unsupported",
                        reason="no rule",
                        element_count=0,
                        error_over_bound=math.nan,
                        median_error_over_bound=math.nan,
                    )
                elif rng.random() < 0.03:
                    part = max(1, row.element_count // 8)
                    row = replace(
                        row,
                        inconclusive_count=part,
                        reason=str(rng.choice(REASONS)),
                        verdict="inconclusive" if part == row.element_count else "agree",
                    )
                rows.append(row)
    if wrong:
        rows += [
            verdict(
                program_id="f" * 16,
                point=p,
                ops="atan2 sum",
                verdict="disagree",
                owner="framework",
                aspect="derivative",
                reason="does not shrink with precision",
                error_over_bound=2.4e6,
                reproducer=REPRODUCER,
                program='{"instrs": []}',
            )
            for p in range(3)
        ]
        rows.append(
            verdict(
                program_id="e" * 16,
                backend="jax",
                mode="jit",
                ops="pow",
                dtype="float32",
                verdict="disagree",
                owner="framework",
                aspect="accuracy",
                waiver="xla-denormals",
                reason="flushed denormals",
                error_over_bound=3.5,
                reproducer="import jax\nprint(jax.grad(lambda x: x**2)(1e-30))",
            )
        )
    return rows


def make_timings(workloads: Sequence[str], *, samples: int = 15) -> list[TimingRow]:
    """Times of every backend over four sizes: an overhead and a slope, with a long upper tail."""
    rng = np.random.default_rng(1)
    rows = []
    for w, workload in enumerate(workloads):
        for backend, mode, version in BACKENDS[:2] + BACKENDS[3:]:
            base = {"reference": 9e-6, "torch": 1.4e-5, "jax": 3.1e-5}[backend] * (1 + w)
            slope = {"reference": 1.5e-9, "torch": 0.8e-9, "jax": 0.6e-9}[backend]
            for size, (what, factor) in (
                (s, f) for s in (100, 1000, 10_000, 100_000) for f in (("value", 1.0), ("gradient", 2.9), ("vjp", 3.3))
            ):
                times = (base + slope * size) * factor * (1 + rng.exponential(0.08, samples))
                rows.append(
                    timing(
                        workload=workload,
                        size=size,
                        what=what,
                        backend=backend,
                        mode=mode,
                        backend_version=version,
                        samples_seconds=tuple(times.tolist()),
                        rounds=tuple(range(samples)),
                        calls_per_sample=100,
                    )
                )
            rows.append(
                timing(
                    workload=workload,
                    what="gradient",
                    backend=backend,
                    mode=mode,
                    backend_version=version,
                    phase="first_call",
                    samples_seconds=(0.21 if mode == "jit" else 0.002,),
                    rounds=(),
                )
            )
    return rows


def make_run(programs: int = 30, *, wrong: bool = True, timed: bool = True) -> Run:
    """A whole synthetic run."""
    rows = make_verdicts(programs, wrong=wrong)
    info = replace(INFO, programs=programs + 2 * wrong, points=4 * programs + 4 * wrong, rejected=programs // 40)
    return Run(info, tuple(rows), tuple(make_timings(("d2l_chain", "gmm", "mlp_step")) if timed else ()))


@pytest.fixture(scope="module")
def run() -> Run:
    return make_run()


@pytest.fixture(scope="module")
def page(run: Run) -> str:
    return render([run])


def text_of(page: str) -> str:
    """What a reader sees: the page without styles and tags."""
    body = re.sub(r"<(style|svg).*?</\1>", " ", page, flags=re.DOTALL)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", body)))


# Tables.


def test_counts_add_up(run: Run) -> None:
    counts = tables.verdict_counts(run.verdicts)
    assert counts["rows"].sum() == len(run.verdicts)
    assert (counts[["agree", "disagree", "inconclusive", "unsupported"]].sum(axis=1) == counts["rows"]).all()
    assert counts["elements"].sum() == sum(r.element_count for r in run.verdicts)


def test_a_row_counts_once_for_every_op_of_its_program() -> None:
    matrix = tables.verdict_matrix([verdict(ops="sin mul sin"), verdict(ops="mul")])
    assert matrix.set_index("op")["rows"].to_dict() == {"mul": 2, "sin": 1}


def test_the_matrix_keeps_backend_modes_and_waivers_apart() -> None:
    wrong = verdict(backend="jax", mode="jit", verdict="disagree", owner="framework", waiver="w", ops="sin")
    matrix = tables.verdict_matrix([verdict(backend="jax", ops="sin"), wrong])
    found = matrix.set_index("label")[["agree", "disagree", "waived"]].T.to_dict()
    assert found["jax"] == {"agree": 1, "disagree": 0, "waived": 0}
    assert found["jax jit"] == {"agree": 0, "disagree": 1, "waived": 1}


def test_error_quantiles_are_those_of_numpy() -> None:
    values = [0.1, 0.2, 0.4, 0.8]
    line = tables.lines(tables.error_quantiles([verdict(error_over_bound=v) for v in [*values, math.nan]]))[0]
    assert (line["n"], line["median"], line["largest"]) == (4, np.quantile(values, 0.5, method="higher"), 0.8)


def test_reasons_are_grouped_by_their_keyword_and_shared_over_all_elements() -> None:
    rows = [
        verdict(element_count=90),
        verdict(element_count=5, inconclusive_count=5, verdict="inconclusive", reason="kink: relu"),
        verdict(element_count=5, inconclusive_count=1, reason="kink(abs)"),
    ]
    assert tables.lines(tables.inconclusive_by_reason(rows)) == [
        {"label": "torch", "dtype": "float64", "reason": "kink", "rows": 2, "elements": 6, "share": 0.06}
    ]


def test_points_of_one_program_are_one_disagreement() -> None:
    wrong = verdict(verdict="disagree", owner="reference", error_over_bound=2.0)
    rows = [wrong, replace(wrong, point=1, error_over_bound=9.0), replace(wrong, point=2, reproducer="print(1)")]
    (line,) = tables.lines(tables.disagreements(rows))
    assert (line["points"], line["reproducer"]) == (3, "print(1)")


def test_programs_of_one_bucket_are_one_line_with_the_smallest_reproducer() -> None:
    wrong = verdict(verdict="disagree", owner="framework", bucket="torch float64 vjp: sin: value", ops="mul sin")
    kept = replace(wrong, program_id="b" * 16, ops="sin", element_count=2, reproducer="print(2)", error_over_bound=5.0)
    rows = [wrong, kept, replace(kept, program_id="c" * 16, element_count=1, reproducer="print(1)")]
    (line,) = tables.lines(tables.disagreements([*rows, replace(wrong, error_over_bound=8.0, point=1)]))
    assert (line["reproducer"], line["points"], line["programs"], line["largest"]) == ("print(1)", 4, 3, 8.0)
    other = replace(wrong, bucket="torch float64 vjp: sin: not finite")
    assert len(tables.disagreements([*rows, other, replace(wrong, backend="jax")])) == 3


def test_timing_table_gives_median_and_quartiles() -> None:
    line = tables.lines(tables.timing_table([timing()]))[0]
    assert (line["n"], line["median_seconds"], line["iqr_seconds"]) == (3, 2e-5, pytest.approx(1.5e-5))


def test_gradient_ratio_pairs_rounds() -> None:
    rows = [timing(), timing(what="gradient", samples_seconds=(8e-5, 3e-5, 6e-5), rounds=(2, 0, 1))]
    line = tables.lines(tables.gradient_ratios(rows))[0]
    assert line["paired"] and line["n"] == 3
    assert line["ratio"] == pytest.approx(3.0)


def test_backends_are_not_ranked_across_threads_or_dtypes() -> None:
    rows = [timing(), timing(backend="reference", threads=2), timing(backend="reference", dtype="float32")]
    assert tables.backend_ratios(rows, baseline="torch").empty
    assert len(tables.backend_ratios([*rows, timing(backend="reference")], baseline="torch")) == 1


@pytest.mark.parametrize("rows", [[], ()])
def test_tables_of_no_rows_have_columns_and_no_lines(rows: Sequence[VerdictRow]) -> None:
    made = [
        f(rows)
        for f in (
            tables.verdict_counts,
            tables.verdict_matrix,
            tables.error_quantiles,
            tables.inconclusive_by_reason,
            tables.disagreements,
        )
    ]
    made += [tables.timing_table([]), tables.gradient_ratios([]), tables.backend_ratios([], baseline="torch")]
    assert all(len(t) == 0 and len(t.columns) > 3 for t in made)


# Statistics.


def test_a_ratio_of_identical_pairs_is_exact() -> None:
    found = statistics.paired_ratio([2.0, 4.0, 6.0], [1.0, 2.0, 3.0])
    assert found == (2.0, 2.0, 2.0, 3, True)
    assert found.resolution == 0


def test_the_interval_of_a_ratio_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(2)
    hits = 0
    for _ in range(200):
        pairs = rng.lognormal(0, 0.1, size=(2, 25))
        found = statistics.paired_ratio((3 * pairs[0]).tolist(), pairs[1].tolist())
        hits += found.low <= 3 <= found.high
    assert hits >= 180


def test_series_without_shared_rounds_are_not_paired() -> None:
    found = statistics.ratio([1.0, 3.0], [1.0, 1.0], numerator_rounds=[0, 1], denominator_rounds=[2, 3])
    assert (found.median, found.paired) == (2.0, False)


def test_statistics_of_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="samples is empty"):
        statistics.spread([])
    with pytest.raises(ValueError, match="denominator is empty"):
        statistics.unpaired_ratio([1.0], [])
    with pytest.raises(ValueError, match="numerator has 1 samples"):
        statistics.paired_ratio([1.0], [1.0, 2.0])


def test_one_sample_has_no_interval() -> None:
    assert math.isnan(statistics.paired_ratio([1.0], [1.0]).low)


# The headline.


def test_the_headline_says_what_was_judged_and_found(run: Run) -> None:
    clean = make_run(wrong=False, timed=False)
    total = totals([clean], tables.verdict_frame(clean.verdicts))
    share = percent(sum(r.inconclusive_count for r in clean.verdicts) / sum(r.element_count for r in clean.verdicts))
    assert headline(total) == f"30 programs, 120 points: 0 disagreements, {share} inconclusive"
    total = totals([run], tables.verdict_frame(run.verdicts))
    assert "32 programs, 124 points: 1 disagreement (and 1 waived)" in headline(total)


def test_a_run_that_compared_nothing_does_not_look_green() -> None:
    page = render([Run(INFO, (verdict(verdict="unsupported", element_count=0, error_over_bound=math.nan),))])
    assert "nothing was compared" in page and "No disagreement" not in page


@pytest.mark.parametrize(
    ("share", "text"), [(0.0, "0 %"), (1e-9, "< 0.001 %"), (0.004, "0.4 %"), (0.0199, "2 %"), (1.0, "100 %")]
)
def test_a_share_never_rounds_to_nothing(share: float, text: str) -> None:
    assert percent(share) == text


# The page.


def test_the_page_needs_no_network_and_no_script(page: str) -> None:
    assert not re.findall(r"(?:https?:)?//[\w.]+", re.sub(r"<pre.*?</pre>", "", page, flags=re.DOTALL))
    assert "<script" not in page and "@import" not in page
    assert not re.findall(r"\b(?:src|srcset)=", page)
    assert set(re.findall(r'href="(.)', page)) <= {"#", "d"}  # anchors and the empty icon


def test_the_page_is_small(page: str) -> None:
    assert len(page.encode()) < 5_000_000


def test_ids_are_unique_and_references_resolve(page: str) -> None:
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', page)) | set(re.findall(r"url\(#([^)]+)\)", page)) <= set(ids)


@pytest.mark.parametrize(
    "field", ["ops", "claim", "dtype", "backend", "reason", "reproducer", "program", "waiver", "oracle"]
)
def test_a_hostile_text_is_escaped(field: str) -> None:
    evil = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
    row = verdict(verdict="disagree", owner="framework", inconclusive_count=1, **{field: evil})
    page = render([Run(replace(INFO, command=evil, cpu=evil, versions={evil: evil}), (row,))], broken=[evil])
    assert "<script" not in page and "<img" not in page
    assert "&lt;script&gt;" in page


def test_a_hostile_workload_is_escaped() -> None:
    evil = '"><script>alert(1)</script>$x_1$ &'
    rows = tuple(
        timing(workload=evil, backend=evil, dtype=evil, what=what, size=s)
        for what in ("value", "gradient")
        for s in (1, 100)
    )
    assert "<script" not in render([Run(INFO, (), rows)])


def test_numbers_of_the_page_are_those_of_the_tables(run: Run, page: str) -> None:
    text = text_of(page)
    for line in tables.lines(tables.verdict_counts(run.verdicts)):
        keys = ("agree", "disagree", "waived", "inconclusive", "unsupported", "elements", "inconclusive_elements")
        shown = " ".join(f"{line[k]:,}" for k in keys)
        assert f"{line['label']} {line['dtype']} {shown} {percent(line['inconclusive_share'])}" in text
    for line in tables.lines(tables.error_quantiles(run.verdicts)):
        assert f"{line['label']} {line['dtype']} {line['n']:,} {line['median']:.3g} {line['p90']:.3g}" in text
    for line in tables.lines(tables.inconclusive_by_reason(run.verdicts)):
        shown = f"{line['rows']:,} {line['elements']:,} {percent(line['share'])}"
        assert f"{line['reason']} {line['label']} {line['dtype']} {shown}" in text
    for line in tables.lines(tables.gradient_ratios(run.timings)):
        shown = f"{line['size']:,} {line['ratio']:.3g} {line['low']:.3g} {line['high']:.3g} {line['n']:,}"
        assert f"{line['workload']} {line['what']} {line['label']} {line['dtype']} {shown}" in text


def test_cells_of_the_matrix_are_those_of_the_table(run: Run, page: str) -> None:
    for line in tables.lines(tables.verdict_matrix(run.verdicts)):
        words = [f"{line[v]:,} {v}" for v in ("agree", "disagree", "inconclusive", "unsupported") if line[v]]
        assert f'title="{line["op"]}, {line["label"]}, {line["claim"]}: {", ".join(words)}"' in page


def test_a_disagreement_shows_its_owner_reproducer_and_waiver(page: str) -> None:
    assert html.escape(REPRODUCER, quote=False) in page
    assert re.search(r"<dt>owner</dt><dd>framework</dd>", page)
    assert "xla-denormals" in page


def test_every_figure_states_n(page: str) -> None:
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", page, flags=re.DOTALL)
    assert len(captions) == page.count("<figure") == 1 + 9 + 6
    assert all("n = " in c for c in captions)
    assert page.count(INFO.cpu) >= 4


def test_a_page_without_times_says_so() -> None:
    assert "These runs hold no times" in render([make_run(2, timed=False)])


def test_what_has_no_time_is_said_with_its_reason() -> None:
    entry = {
        "kind": "refused", "workload": "gmm", "size": "10", "asked_size": "1", "what": "gradient", "backend": "jax-jit",
        "dtype": "float64", "reason": "wrong: <b>nan</b>",
    }  # fmt: skip
    others = (entry | {"kind": "missing", "reason": "not installed"}, entry | {"kind": "budget"})
    text = render([Run(replace(INFO, left_out=(entry, *others)))])
    assert "gmm 10 gradient, jax-jit float64: wrong: &lt;b&gt;nan&lt;/b&gt;" in text
    assert "1 without a time" in text and "not installed" in text and "1 series did not fit" in text


def test_a_page_without_verdicts_says_so() -> None:
    page = render([Run(INFO, (), tuple(make_timings(["gmm"])))])
    assert "These runs hold no verdicts" in page and "No verdicts, 39 timings" in page


def test_a_page_of_nothing_says_so() -> None:
    assert "Nothing was judged or timed" in render([Run(INFO)])
    with pytest.raises(ValueError, match="runs is empty"):
        render([])


def test_a_partial_run_says_so(run: Run, page: str) -> None:
    assert "Partial" not in page
    assert "Partial" in render([Run(replace(run.info, interrupted=True), run.verdicts[:5])])


def test_one_size_and_one_sample_can_be_shown() -> None:
    rows = [timing(samples_seconds=(1e-5,), rounds=()), timing(what="gradient", samples_seconds=(0.0002,), rounds=())]
    assert "20" in render([Run(INFO, (), tuple(rows))])


def test_a_program_without_ops_can_be_shown() -> None:
    assert "1 verdicts" in render([Run(INFO, (verdict(ops=""),))])


def test_many_disagreements_stay_within_the_size_limit() -> None:
    rows = [
        verdict(
            program_id=f"{i:016x}",
            verdict="disagree",
            owner="framework",
            reproducer="x = 1\n" * 9000,
            program="[]" * 9000,
        )
        for i in range(300)
    ]
    page = render([Run(INFO, tuple(rows))])
    assert len(page.encode()) < 5_000_000
    assert "200 more are in the Parquet files" in page and "54,000 characters" in page


def test_an_infinite_error_can_be_shown() -> None:
    row = verdict(verdict="disagree", owner="framework", error_over_bound=math.inf)
    assert "inf (largest)" in render([Run(INFO, (row, verdict(error_over_bound=0.0)))])


def test_a_report_of_a_folder_names_the_files_that_it_could_not_read(tmp_path: Path) -> None:
    run = make_run(2, timed=False)
    records.write_run(tmp_path, run.info, verdicts=run.verdicts)
    (tmp_path / "verdicts-broken.parquet").write_bytes(b"PAR1")
    path = write_report(tmp_path, tmp_path / "sub" / "report.html")
    assert "1 file could not be read" in text_of(path.read_text(encoding="utf-8"))
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]


def test_a_report_can_show_one_run_of_many(tmp_path: Path) -> None:
    for name in ("one", "two"):
        records.write_run(tmp_path, replace(INFO, run_id=name), verdicts=[verdict(run_id=name)])
    assert "2 verdicts" in write_report(tmp_path, tmp_path / "all.html").read_text(encoding="utf-8")
    assert "1 verdicts" in write_report(tmp_path, tmp_path / "one.html", run_ids=["one"]).read_text(encoding="utf-8")
    with pytest.raises(RecordError, match="run 'three' is not among one, two"):
        write_report(tmp_path, tmp_path / "no.html", run_ids=["three"])


def test_a_page_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RecordError, match=r"report\.html: cannot write the report"):
        write_report(Run(INFO), tmp_path / "file" / "report.html")


def test_labels_keep_their_colour_wherever_they_appear() -> None:
    assert figures.series_numbers(["torch", "reference", "jax", "torch"]) == {"reference": 0, "jax": 1, "torch": 2}


# The terminal.


def printed(run: Run) -> str:
    console = Console(file=io.StringIO(), width=160)
    print_summary(run, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_terminal_shows_headline_counts_and_disagreements(run: Run) -> None:
    text = printed(run)
    assert "1 disagreement (and 1 waived)" in text
    assert "atan2 sum: torch float64, vjp (derivative), owner framework" in text
    assert "waived by xla-denormals" in text and "Undecided: " in text and "gmm" in text


def test_the_terminal_says_partial_and_fails_on_nothing() -> None:
    assert "Partial" in printed(Run(replace(INFO, interrupted=True)))


def test_the_terminal_does_not_read_markup_in_names() -> None:
    assert "[red]evil[/nothing]" in printed(Run(INFO, (verdict(backend="[red]evil[/nothing]"),)))
