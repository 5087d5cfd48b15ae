"""The command `adjudge`: `verify` judges gradients, `bench` times them, `run` does both, `report` and `doctor`.

Every command says in its help what it does, with examples. Results go to standard output, progress and notes to
standard error. `main` is the entry point; `cli` is the click group, for tests.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from harness.cli_options import names, seconds, sizes, unknown

if TYPE_CHECKING:
    import pandas as pd

    from harness.bench import BenchResult, Keep
    from harness.gate import Gate
    from harness.paired import PairedResult
    from harness.records import Run, RunInfo, TimingRow
    from harness.verify import VerifyResult

__all__ = ["cli", "main"]

AGREE, DISAGREE, USAGE, INCONCLUSIVE, BROKEN, INTERRUPTED = 0, 1, 2, 3, 70, 130

_EXIT_CODES = """\b
Exit codes:
  0    all agree
  1    a disagreement that no waiver covers, a timed value that is wrong, or what --fail-on names
  2    wrong use: an unknown name, a missing framework, an unwritable folder
  3    more inconclusive than --max-inconclusive allows, or nothing compared
  70   Adjudge itself failed
  130  stopped by Ctrl-C; what was there is kept and reported
"""
_EPILOG = {"epilog": _EXIT_CODES}
_REPORT_PACKAGES = ("pandas", "jinja2", "markupsafe", "matplotlib")
_REPORT_COMMAND = 'pip install "adjudge[reports]"'


class _Failed(click.ClickException):
    """Something outside the run is not as it should be: a file, a folder, a waiver."""

    exit_code = USAGE


def _op_names() -> Collection[str]:
    from harness.inference import OPS

    return OPS


def _measured_op_names() -> Collection[str]:
    from harness.oracles.kernel_errors import ADDING, EXACT

    return (*EXACT, *ADDING)


def _verify_backends() -> Collection[str]:
    from harness.backends import names

    return names()


def _families() -> Collection[str]:
    from harness.workloads import FAMILIES

    return (*FAMILIES, "all")


def _questions() -> Collection[str]:
    from harness.workloads import QUESTIONS

    return QUESTIONS


def _bench_backends() -> Collection[str]:
    from harness.workload_adapters import ENGINES

    return ENGINES


@click.group(
    invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(package_name="adjudge", prog_name="adjudge")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Decide whether gradients are right, and what they cost.

    \b
    Examples:
      adjudge run                      judge, time and report, in about two minutes
      adjudge verify --budget 5m       draw programs for five minutes and judge their gradients
      adjudge bench --workloads 'gmm*' time the Gaussian mixtures
      adjudge doctor                   what is installed, and how to get the rest
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


_OUT = click.option(
    "--out", default="adjudge-out", show_default=True, metavar="DIR", help="Folder or URL for the rows and the report."
)
_SEED = click.option(
    "--seed", type=click.IntRange(0, 2**31), default=0, show_default=True, help="The same seed draws the same."
)
_GATE = click.option(
    "--gate", "gate_file", type=click.Path(dir_okay=False), metavar="FILE",
    help="TOML file of thresholds and accepted changes of single series.",
)  # fmt: skip
_NO_REPORT = click.option("--no-report", is_flag=True, help="Keep the rows, make no HTML page.")
_MAX_INCONCLUSIVE = click.option(
    "--max-inconclusive", type=click.FloatRange(0, 100), default=2.0, show_default=True, metavar="PERCENT",
    help="Largest share of elements that may stay undecided.",
)  # fmt: skip


@cli.command(**_EPILOG)
@click.option(
    "--budget",
    metavar="TIME",
    callback=seconds,
    default="60s",
    show_default=True,
    help="When to stop drawing: 90, 90s, 5m, 1h.",
)
@click.option(
    "--backends",
    "chosen",
    metavar="NAMES",
    callback=names("backend", _verify_backends),
    help="Who is judged.  [default: reference,torch,jax-jit, as far as installed]",
)
@click.option(
    "--ops", metavar="NAMES", callback=names("op", _op_names), help="Draw programs of these ops only.  [default: all]"
)
@click.option(
    "--dtypes",
    metavar="NAMES",
    callback=names("dtype", lambda: ("float64", "float32")),
    default="float64,float32",
    show_default=True,
    help="Dtypes of the points, in turn.",
)
@click.option("--max-programs", type=click.IntRange(1), help="Stop after so many programs.")
@click.option(
    "--waivers",
    type=click.Path(dir_okay=False),
    help="TOML file of known differences.  [default: the one that comes with Adjudge]",
)
@click.option(
    "--jax-cache",
    type=click.Path(file_okay=False),
    metavar="DIR",
    envvar="ADJUDGE_JAX_CACHE",
    show_envvar=True,
    help="Keep what JAX compiles there: a first run takes longer, another of the same seed about half the time.",
)
@_MAX_INCONCLUSIVE
@_SEED
@_OUT
@_NO_REPORT
def verify(
    *,
    budget: float,
    chosen: tuple[str, ...] | None,
    ops: tuple[str, ...] | None,
    dtypes: tuple[str, ...],
    max_programs: int | None,
    waivers: str | None,
    jax_cache: str | None,
    max_inconclusive: float,
    seed: int,
    out: str,
    no_report: bool,
) -> NoReturn:
    """Draw programs, judge every backend's values and gradients, shrink what disagrees.

    \b
    Examples:
      adjudge verify --budget 60s
      adjudge verify --backends torch --ops softmax,logsumexp,matmul --dtypes float32
      adjudge verify --seed 7 --max-programs 500 --out runs/
    """
    code = _verify(
        budget=budget, chosen=chosen, ops=ops, dtypes=dtypes, max_programs=max_programs, waivers=waivers,
        jax_cache=jax_cache, max_inconclusive=max_inconclusive, seed=seed, out=out,
    )  # fmt: skip
    if not no_report:
        _make_report(out)
    raise click.exceptions.Exit(code)


@cli.command(**_EPILOG)
@click.option(
    "--workloads",
    metavar="NAMES",
    help="Workloads by name, separated by commas; 'gmm*' and gmm_adbench_d20_K50 work.  [default: all of the families]",
)
@click.option(
    "--families",
    metavar="NAMES",
    callback=names("family", _families),
    default="core",
    show_default=True,
    help="Families of workloads; 'all' is every one.",
)
@click.option(
    "--sizes", metavar="NUMBERS", callback=sizes, help="Sizes instead of each workload's own, such as 10,1000."
)
@click.option(
    "--backends",
    "chosen",
    metavar="NAMES",
    callback=names("backend", _bench_backends),
    help="Who is timed.  [default: numpy,reference,torch,jax-jit, as far as installed]",
)
@click.option(
    "--what",
    metavar="NAMES",
    callback=names("question", _questions),
    help="What a call computes, such as value,gradient,vjp.  [default: all that a workload has an answer to]",
)
@click.option(
    "--dtype",
    type=click.Choice(["float64", "float32"]),
    default="float64",
    show_default=True,
    help="Dtype of the computation.",
)
@click.option(
    "--budget",
    metavar="TIME",
    callback=seconds,
    default="60s",
    show_default=True,
    help="When to stop: 90, 90s, 5m, 1h.",
)
@click.option(
    "--processes",
    type=click.IntRange(1, 100),
    default=1,
    show_default=True,
    help="Repeat it in so many fresh processes, which share the budget.",
)
@click.option("--rounds", type=click.IntRange(1), default=30, show_default=True, help="Most samples of a series.")
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="Threads of every backend.")
@click.option(
    "--adbench",
    type=click.Path(exists=True, file_okay=False),
    envvar="ADJUDGE_ADBENCH",
    show_envvar=True,
    help="Folder with ADBench's input files; without it inputs of the same sizes are drawn.",
)
@click.option(
    "--against",
    metavar="REV",
    help="Compare this checkout with a git revision, in paired fresh processes.  [backends: reference]",
)
@click.option(
    "--against-python",
    metavar="FILE",
    help="Compare this environment with that of another Python executable; with --against it runs that revision.",
)
@click.option(
    "--pairs", type=click.IntRange(5, 1000), default=8, show_default=True, help="Pairs of processes of a comparison."
)
@_GATE
@click.option(
    "--fail-on",
    metavar="NAMES",
    callback=names("reason", lambda: ("counts", "slower", "cannot-tell", "nothing")),
    help="What of a comparison ends with exit code 1: counts, slower, cannot-tell, nothing."
    "  [default: counts,slower; counts alone where the variable CI is set, as on shared runners]",
)
@click.option(
    "--hang",
    metavar="TIME",
    callback=seconds,
    default="60s",
    show_default=True,
    help="A process of a comparison that does not answer for so long is stopped.",
)
@_SEED
@_OUT
@_NO_REPORT
def bench(
    *,
    workloads: str | None,
    families: tuple[str, ...],
    sizes: tuple[int, ...] | None,
    chosen: tuple[str, ...] | None,
    what: tuple[str, ...] | None,
    dtype: str,
    budget: float,
    processes: int,
    rounds: int,
    threads: int,
    adbench: str | None,
    against: str | None,
    against_python: str | None,
    pairs: int,
    gate_file: str | None,
    fail_on: tuple[str, ...] | None,
    hang: float,
    seed: int,
    out: str,
    no_report: bool,
) -> NoReturn:
    """Time values and gradients of named workloads, only where they are right.

    With --against it says of each of them: slower, faster, no change, or cannot tell.

    \b
    Examples:
      adjudge bench --budget 30s
      adjudge bench --workloads logsumexp,mlp --backends reference,torch --what gradient
      adjudge bench --workloads 'gmm*' --adbench ~/adbench/data
      adjudge bench --families objectives --backends reference,torch
      adjudge bench --against main --workloads chain,mlp_step --fail-on counts,slower
    """
    if against is not None or against_python is not None:
        code = _bench_against(
            against, against_python, names=_workloads(workloads, adbench, families), families=families, sizes=sizes,
            chosen=chosen, what=what,
            dtype=dtype, budget=budget, threads=threads, adbench=adbench, pairs=pairs, gate_file=gate_file,
            fail_on=fail_on, hang=hang, seed=seed, out=out,
        )  # fmt: skip
        if not no_report:
            _make_report(out)
        raise click.exceptions.Exit(code)
    from harness.bench import DEFAULT_BACKENDS, WHATS, run_bench
    from harness.progress import Live
    from harness.records import Run

    names = _workloads(workloads, adbench, families)
    backends = _usable(chosen, DEFAULT_BACKENDS, beside=("numpy",))
    _check_out(out)
    if processes > 1:
        from harness.repeated import run_processes

        words = ["--backends", ",".join(backends), "--dtype", dtype, "--rounds", str(rounds), "--threads", str(threads)]
        words += ["--families", ",".join(families), "--seed", str(seed)]
        for option, values in (("--workloads", names), ("--sizes", sizes), ("--what", what)):
            if values is not None:
                words += [option, ",".join(map(str, values))]
        words += ["--adbench", adbench] if adbench is not None else []
        with Live("timing") as live:
            run, reasons = run_processes(
                words, processes=processes, budget_seconds=budget, hang_seconds=hang, threads=threads, seed=seed,
                command=_command(), progress=live.bench,
            )  # fmt: skip
        _keep(out, run)
        for reason in reasons:
            click.echo(reason, err=True)
        if not no_report:
            _make_report(out)
        wrong = INTERRUPTED if run.info.interrupted and not reasons else DISAGREE if reasons else AGREE
        raise click.exceptions.Exit(wrong if run.timings else wrong or INCONCLUSIVE)
    with Live("timing") as live:
        result = run_bench(
            names, families=families, backends=backends, sizes=sizes, what=what or WHATS, dtype=dtype, budget_seconds=budget,
            rounds=rounds, threads=threads, seed=seed, adbench=adbench, progress=live.bench, keep=_saver(out),
        )  # fmt: skip
    _keep(out, Run(result.info, timings=result.rows))
    _tell_left_out(result)
    if not no_report:
        _make_report(out)
    raise click.exceptions.Exit(_bench_code(result))


@cli.command(**_EPILOG)
@click.option("--budget", metavar="TIME", callback=seconds, default="75s", show_default=True, help="Time for `verify`.")
@click.option(
    "--bench-budget", metavar="TIME", callback=seconds, default="30s", show_default=True, help="Time for `bench`."
)
@_MAX_INCONCLUSIVE
@_SEED
@_OUT
def run(*, budget: float, bench_budget: float, max_inconclusive: float, seed: int, out: str) -> NoReturn:
    """Judge, then time, then report both on one page: `verify` and `bench` in a row.

    \b
    Examples:
      adjudge run
      adjudge run --budget 5m --bench-budget 2m --out runs/
    """
    code = _verify(
        budget=budget, chosen=None, ops=None, dtypes=("float64", "float32"), max_programs=None, waivers=None,
        jax_cache=None, max_inconclusive=max_inconclusive, seed=seed, out=out,
    )  # fmt: skip
    if code != INTERRUPTED:
        # A fresh process: no framework is loaded yet, so its threads can still be set and its import can be timed.
        words = ["bench", "--budget", f"{bench_budget}", "--seed", f"{seed}", "--out", out, "--no-report"]
        timed = _wait(subprocess.Popen([sys.executable, "-m", "harness", *words]))
        code = code or timed
    _make_report(out)
    raise click.exceptions.Exit(code)


@cli.command()
@click.argument("source", default="adjudge-out")
@click.option(
    "--out",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="The page.  [default: report.html in the folder of the rows]",
)
@click.option("--run", "run_ids", multiple=True, metavar="ID", help="Show this run only; may be repeated.")
@click.option("--latest", is_flag=True, help="Show the newest verdicts and the newest timings only.")
def report(*, source: str, out: str | None, run_ids: tuple[str, ...], latest: bool) -> None:
    """Make one self-contained HTML page of the rows in SOURCE: a folder, a Parquet file or a URL.

    \b
    Examples:
      adjudge report
      adjudge report runs/ --latest
      adjudge report s3://bucket/runs --out july.html
    """
    if run_ids and latest:
        raise click.UsageError("--run and --latest exclude each other")
    if lacking := _lacking_for_reports():
        raise _Failed(f"a report needs {', '.join(lacking)}, which is not installed: {_REPORT_COMMAND}")
    click.echo(_write_page(source, out, run_ids=run_ids, latest=latest))


@cli.command(**_EPILOG)
@click.option(
    "--before", "befores", multiple=True, required=True, metavar="FILE", help="May be repeated: one a process."
)
@click.option("--after", "afters", multiple=True, required=True, metavar="FILE", help="May be repeated: one a process.")
@_GATE
@click.option(
    "--fail-on",
    metavar="NAMES",
    callback=names("reason", lambda: ("slower", "cannot-tell", "nothing")),
    default="slower",
    show_default=True,
    help="What ends with exit code 1: slower, cannot-tell, nothing.",
)
@_OUT
def compare(
    *, befores: tuple[str, ...], afters: tuple[str, ...], gate_file: str | None, fail_on: tuple[str, ...], out: str
) -> NoReturn:
    """Judge JSON files of pytest-benchmark, of any project: slower, faster, no change, or cannot tell.

    \b
    Examples:
      adjudge compare --before .benchmarks/Linux/0001_main.json --after .benchmarks/Linux/0002_mine.json
      adjudge compare --before a1.json --before a2.json --before a3.json --after b1.json --after b2.json --after b3.json
    """
    from harness.benchmark_files import BenchmarkFileError, compare_files, read_file
    from harness.environment import describe_run
    from harness.paired import PairedResult

    gate = _gate(gate_file)
    try:
        before, after = ([read_file(path) for path in paths] for paths in (befores, afters))
    except BenchmarkFileError as error:
        raise _Failed(str(error)) from None
    _check_out(out)
    info = describe_run(command=_command())
    limits = {name: gate.threshold(name) for file in before for name in file.benchmarks}
    rows, left_out = compare_files(before, after, run_id=info.run_id, threshold=limits)
    for line in left_out:
        click.echo(f"left out: {line}", err=True)
    result = PairedResult(info, gate.accept(rows), (), ())
    _keep_comparison(out, result)
    _tell_expired(gate)
    raise click.exceptions.Exit(_against_code(result, fail_on))


@cli.group()
def history() -> None:
    """Keep the times of many runs in one dataset, and find the steps in them.

    \b
    Examples:
      adjudge history add adjudge-out --to s3://bucket/history
      adjudge history steps s3://bucket/history
      adjudge history steps nightly.parquet --out steps.csv
      adjudge history compact s3://bucket/history
    """
    if lacking := _lacking_for_reports():
        raise _Failed(f"a history needs {', '.join(lacking)}, which is not installed: {_REPORT_COMMAND}")


@history.command("add")
@click.argument("sources", nargs=-1, required=True)
@click.option("--to", required=True, metavar="DIR", help="Folder or URL of the dataset; it is made if it is missing.")
def history_add(*, sources: tuple[str, ...], to: str) -> None:
    """Add the points of SOURCES to a dataset: run files, folders of them, GradBench's table, pytest-benchmark's JSON."""
    from harness.records import RecordError
    from reports.history import append

    for source in sources:
        frame = _points(source)
        try:
            path = append(to, frame)
        except RecordError as error:
            raise _Failed(str(error)) from None
        click.echo(f"{len(frame):,} points of {source}: {path}")


@history.command("compact")
@click.argument("dataset")
def history_compact(*, dataset: str) -> None:
    """Make one file of all files of DATASET, with the same points."""
    from harness.records import RecordError
    from reports.history import compact

    try:
        click.echo(compact(dataset))
    except RecordError as error:
        raise _Failed(str(error)) from None


@history.command("steps")
@click.argument("source")
@click.option(
    "--out", type=click.Path(dir_okay=False), metavar="FILE", help="Write all steps to a CSV or Parquet file."
)
@click.option("--since", metavar="MOMENT", help="Only steps from that moment on, such as 2026-01-31.")
@click.option("--most", type=click.IntRange(0), default=20, show_default=True, help="Steps to print.")
@click.option("--fail", is_flag=True, help="End with exit code 1 if a single series has become slower.")
def history_steps(*, source: str, out: str | None, since: str | None, most: int, fail: bool) -> NoReturn:
    """Find when series of SOURCE (a dataset, run files, a table) became slower or faster for good."""
    from harness.records import RecordError
    from reports.history import write_steps
    from reports.steps import RATES, steps_of

    frame = _points(source)
    steps = steps_of(frame)
    if since is not None:
        steps = steps.loc[steps["moment"] >= since]
    own, common = steps.loc[~steps["common"]], steps.loc[steps["common"]]
    click.echo(f"{len(frame):,} points of {frame['series'].nunique():,} series: {len(own):,} steps of single series")
    for night, n in common.groupby("moment").size().items():
        click.echo(f"{night}: {n:,} series stepped together (a machine or a tool, more likely than each on its own)")
    for line in own.head(most).to_dict("records"):
        place = f"{line['moment']} ({line['revision_before'] or '?'} -> {line['revision'] or '?'})"
        click.echo(f"{100 * line['change']:+.1f} %  {line['series']}  {place}  {line['conditions']}".rstrip())
    if len(own) > most:
        click.echo(f"and {len(own) - most:,} more" + ("" if out else ": --out writes them all"))
    click.echo(RATES)
    if out is not None:
        try:
            click.echo(f"steps: {write_steps(steps, out)}")
        except RecordError as error:
            raise _Failed(f"--out: {error}") from None
    raise click.exceptions.Exit(DISAGREE if fail and (own["change"] > 0).any() else AGREE)


@cli.command()
@click.option(
    "--kernels",
    is_flag=True,
    help="Measure the kernel errors of every installed backend and write the table of bounds (minutes).",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="With --kernels: where to write.  [default: the table in use]",
)
@click.option(
    "--ops",
    metavar="NAMES",
    callback=names("op with a measured error", _measured_op_names),
    help="With --kernels: measure these ops only and keep the rest of the table.  [default: all]",
)
def doctor(*, kernels: bool, out: str | None, ops: tuple[str, ...] | None) -> None:
    """Say what is installed, on what machine, what is missing and how to get it.

    \b
    Examples:
      adjudge doctor
      adjudge doctor --kernels --out kernel_errors.json
      adjudge doctor --kernels --ops exp,tanh
    """
    for name, value in (("--out", out), ("--ops", ops)):
        if value is not None and not kernels:
            raise click.UsageError(f"{name} goes with --kernels")
    if kernels:
        click.echo(f"wrote {_measure_kernels(out, ops)}")
        return
    from harness.doctor import doctor as examine
    from harness.doctor import render

    click.echo(render(examine()))


@cli.command()
@click.argument("source", metavar="RUNS")
@click.option("--out", metavar="FILE", help="The page.  [default: dashboard.html in the folder of rows]")
def dashboard(*, source: str, out: str | None) -> None:
    """Make one interactive HTML page of the times of many runs: filters, history, changes, export.

    RUNS is a folder of rows, a Parquet file, or a URL such as s3://bucket/runs. The page needs no network; its address
    holds all filters.

    \b
    Example:
      adjudge dashboard runs/
    """
    lacking = _lacking_for_reports()
    if lacking:
        raise _Failed(f"a dashboard needs {', '.join(lacking)}: {_REPORT_COMMAND}")
    from harness.records import RecordError
    from reports.dashboard import write_dashboard

    path = _page_path(source) if out is None else Path(out)
    try:
        made = write_dashboard(source, path.with_name("dashboard.html") if out is None else path)
    except RecordError as error:
        raise _Failed(str(error)) from error
    click.echo(f"dashboard: {made}")


@cli.command()
@click.argument("file", metavar="FILE", type=click.Path(exists=True, dir_okay=False))
@click.option("--backend", metavar="NAME", help="Who is asked.  [default: the one that FILE names, else torch]")
def explain(*, file: str, backend: str | None) -> None:
    """Say step by step where the first wrong value or cotangent of a saved case arises.

    FILE is a case as JSON, an entry of the corpus, or a Parquet file of verdicts with disagreements.

    \b
    Examples:
      adjudge explain adjudge-out/verdicts-20261123T005753Z-f7cc0a.parquet
      adjudge explain suites/corpus/logaddexp_of_large_equals.json --backend jax
    """
    from harness import backends
    from harness.explain import cases_in
    from harness.explain import explain as walk
    from harness.inference import ProgramError
    from harness.records import RecordError

    try:
        saved = cases_in(file)
    except (ProgramError, RecordError, OSError, UnicodeDecodeError) as error:
        raise _Failed(f"{file}: {error}") from error
    wrong = False
    for one in saved:
        name = backend or one.backend or "torch"
        try:
            engine = backends.get(name)
        except (ValueError, backends.BackendUnavailable) as error:
            raise _Failed(str(error)) from error
        found = walk(one.case, engine)
        click.echo(f"{one.name}, on {name}\n{one.case.program}\n")
        for step in (*found.forward, *found.backward):
            verdict, what = (step.value, "value") if step.value is not None else (step.vjp, "cotangents before")
            assert verdict is not None
            mark = " <- here" if step is found.culprit else ""
            click.echo(f"  {what} {step.text}: {verdict.kind}{': ' + verdict.reason if verdict.reason else ''}{mark}")
        if found.culprit is None:
            click.echo("  Every step is right on its own.\n")
        else:
            wrong = True
            click.echo(f"  The first thing wrong is at: {found.culprit.text}\n")
    raise click.exceptions.Exit(DISAGREE if wrong else AGREE)


@cli.command()
def ops() -> None:
    """Print the table of every op: rules, domains, and what each engine does at kinks.

    \b
    Example:
      adjudge ops > reference_impl/docs/ops.md
    """
    from harness.op_table import as_markdown

    try:
        click.echo(as_markdown(), nl=False)
    except ImportError as error:
        raise _Failed(
            f"the table shows PyTorch's and JAX's conventions; {error}. `adjudge doctor` says how to install them"
        ) from error


def main() -> None:
    """Run the command line and exit with its code."""
    # A time limit from outside (SIGTERM) ends a run as Ctrl-C does: with its rows kept.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        code = cli.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        code = INTERRUPTED
    except Exception:  # the interpreter would exit with 1, which means a disagreement
        traceback.print_exc()
        click.echo("Adjudge itself failed; this is no statement about a backend.", err=True)
        code = BROKEN
    sys.exit(code)


# verify


def _verify(
    *,
    budget: float,
    chosen: tuple[str, ...] | None,
    ops: tuple[str, ...] | None,
    dtypes: tuple[str, ...],
    max_programs: int | None,
    waivers: str | None,
    jax_cache: str | None,
    max_inconclusive: float,
    seed: int,
    out: str,
) -> int:
    """Run, keep the rows, print the summary; return the exit code."""
    from harness.progress import Live
    from harness.records import Run
    from harness.strategies import programs
    from harness.verify import DEFAULT_BACKENDS, run_verify
    from harness.waivers import DEFAULT_PATH, WaiverError, load

    try:
        known = load(waivers or DEFAULT_PATH)
        programs(ops=ops)
    except WaiverError as error:
        raise _Failed(f"--waivers: {error}") from None
    except ValueError as error:
        raise click.UsageError(f"--ops: {error}") from None
    backends = _loadable(_usable(chosen, DEFAULT_BACKENDS), asked_for=chosen is not None)
    if jax_cache is not None and any(name.startswith("jax") for name in backends):
        _keep_compilations(jax_cache)
    _check_out(out)
    with Live("judging") as live:
        result = run_verify(
            backends_=backends, ops=ops, dtypes=dtypes, seed=seed, budget_seconds=budget, max_programs=max_programs,
            known_differences=known, command=_command(), progress=live.verify(budget, max_programs),
        )  # fmt: skip
    _keep(out, Run(result.info, verdicts=tuple(result.rows)))
    if result.failure is not None:
        raise result.failure  # with the rows kept
    return _verify_code(result, max_inconclusive)


def _keep_compilations(folder: str) -> None:
    from harness.backends.jax_backend import persist_compilations
    from harness.records import RecordError, check_writable

    try:
        check_writable(folder)
    except RecordError as error:
        raise _Failed(f"--jax-cache: {str(error).removeprefix('out: ')}") from None
    persist_compilations(folder)


def _verify_code(result: VerifyResult, max_inconclusive: float) -> int:
    if result.info.interrupted:
        return INTERRUPTED
    if result.disagreements:
        return DISAGREE
    if not any(row.element_count for row in result.rows):
        click.echo("nothing was compared: a larger --budget may help", err=True)
        return INCONCLUSIVE
    if 100 * result.inconclusive_share > max_inconclusive:
        share = f"{100 * result.inconclusive_share:.2g} %"
        click.echo(f"{share} of the elements are inconclusive, --max-inconclusive is {max_inconclusive:g} %", err=True)
        return INCONCLUSIVE
    return AGREE


def _usable(chosen: tuple[str, ...] | None, default: Sequence[str], *, beside: Sequence[str] = ()) -> tuple[str, ...]:
    """The backends to use: those asked for, which must be there, or those of the default that are.

    Args:
        beside: names that need no framework.
    """
    from harness.backends import available

    missing = {name: reason for name, reason in available().items() if reason is not None and name not in beside}
    if chosen is not None:
        for name in chosen:
            if name in missing:
                raise click.UsageError(f"--backends: {missing[name]}")
        return chosen
    for name in default:
        if name in missing:
            click.echo(f"left out: {missing[name]}", err=True)
    return tuple(name for name in default if name not in missing)


def _loadable(names: Sequence[str], *, asked_for: bool) -> tuple[str, ...]:
    """Those of the backends whose framework can be imported; one that was asked for and cannot is an error."""
    from harness.backends import get

    loaded = []
    for name in names:
        try:
            get(name)
        except Exception as error:  # a framework that is installed may still fail to load, in any way
            problem = f"{name} fails to load: {type(error).__name__}: {error}"
            if asked_for:
                raise _Failed(f"--backends: {problem}") from None
            click.echo(f"left out: {problem}", err=True)
        else:
            loaded.append(name)
    return tuple(loaded)


# bench


def _workloads(text: str | None, adbench: str | None, families: tuple[str, ...]) -> list[str] | None:
    from harness.workloads import select, workloads

    if text is None:
        return None
    names = [word.strip() for word in text.split(",") if word.strip()]
    if not names:
        raise click.UsageError(f"--workloads: no workload is named in {text!r}")
    for name in names:
        try:
            select([name], adbench=adbench, families=families)
        except ValueError:
            known = workloads(adbench=adbench, families=("all",))
            raise click.UsageError(f"--workloads: {unknown('workload', name, known)}") from None
    return names


def _saver(out: str) -> Keep:
    """What saves the rows so far, at most every two seconds."""
    from harness.records import RecordError, write_run

    saved = time.monotonic()

    def save(info: RunInfo, rows: Sequence[TimingRow]) -> None:
        nonlocal saved
        if rows and time.monotonic() - saved >= 2.0:
            try:
                write_run(out, info, timings=rows)
            except RecordError as error:
                raise _Failed(f"{error}; what was saved before is kept") from None
            saved = time.monotonic()

    return save


def _bench_against(
    against: str | None,
    against_python: str | None,
    *,
    names: list[str] | None,
    families: tuple[str, ...],
    sizes: tuple[int, ...] | None,
    chosen: tuple[str, ...] | None,
    what: tuple[str, ...] | None,
    dtype: str,
    budget: float,
    threads: int,
    adbench: str | None,
    pairs: int,
    gate_file: str | None,
    fail_on: tuple[str, ...] | None,
    hang: float,
    seed: int,
    out: str,
) -> int:
    """Compare, keep the rows, say what changed; return the exit code."""
    from harness.bench import DEFAULT_BACKENDS, WHATS
    from harness.paired import BrokenSide, Limits, compare_sides, environments, revisions
    from harness.progress import Live

    gate = _gate(gate_file)
    default = ("reference",) if against_python is None else DEFAULT_BACKENDS
    backends = _usable(chosen, default, beside=("numpy", "reference"))
    _check_out(out)
    limits = Limits(pairs=pairs, threads=threads, hang_seconds=hang, threshold=gate.threshold)
    both = environments(str(against_python)) if against is None else revisions(against, python=against_python)
    try:
        with both as (before, after), Live("comparing") as live:
            click.echo(f"before: {before.label}, after: {after.label}", err=True)
            result = compare_sides(
                before, after, workloads=names, families=families, backends=backends, sizes=sizes,
                what=what or WHATS, dtype=dtype, budget_seconds=budget, limits=limits, seed=seed, adbench=adbench,
                progress=live.bench,
                command=_command(),
            )  # fmt: skip
    except BrokenSide as error:
        raise _Failed(f"--against: {error}") from None
    result = replace(result, comparisons=gate.accept(result.comparisons))
    _keep_comparison(out, result)
    _tell_expired(gate)
    _tell_left_out(result)
    return _against_code(result, fail_on or (("counts",) if os.environ.get("CI") else ("counts", "slower")))


def _gate(path: str | None) -> Gate:
    from harness.gate import Gate, GateError, load

    try:
        return load(path) if path else Gate()
    except GateError as error:
        raise _Failed(f"--gate: {error}") from None


def _tell_expired(gate: Gate) -> None:
    for entry in gate.expired():
        click.echo(f"expired on {entry.expires}: the acceptance of {entry.series} ({entry.reason})", err=True)


def _keep_comparison(out: str, result: PairedResult) -> None:
    from harness.gate import describe
    from harness.records import Run

    paths = _write(out, Run(result.info, timings=result.timings, comparisons=result.comparisons))
    order = ("slower", "faster", "cannot tell", "no change")
    for row in sorted(result.comparisons, key=lambda row: order.index(row.verdict)):
        click.echo(describe(row))
    counts = ", ".join(f"{n} {v}" for v in order if (n := sum(row.verdict == v for row in result.comparisons)))
    click.echo(f"{len(result.comparisons)} series: {counts or 'nothing was compared'}")
    if result.comparisons:
        click.echo(
            "(intervals: 95 % each; slower and faster: at most 1 % false over all series together, by Holm's rule)"
        )
    for path in paths:
        click.echo(f"rows: {path}")


def _against_code(result: PairedResult, fail_on: tuple[str, ...]) -> int:
    from harness.gate import failures

    if result.info.interrupted:
        return INTERRUPTED
    found = failures(result.comparisons, fail_on)
    for line in found:
        click.echo(f"failed: {line}", err=True)
    if found or any(item.kind == "refused" for item in result.left_out):
        return DISAGREE
    return AGREE if result.comparisons else INCONCLUSIVE


def _points(source: str) -> pd.DataFrame:
    """The points of whatever SOURCE is; what of it cannot be read is said."""
    from harness.records import RecordError
    from reports.history import read_any

    try:
        found = read_any(source)
    except RecordError as error:
        raise _Failed(str(error)) from None
    for reason in found.broken:
        click.echo(f"left out: {reason}", err=True)
    return found.points


def _tell_left_out(result: BenchResult | PairedResult) -> None:
    for item in result.left_out:
        if item.kind != "budget":
            click.echo(f"{item.kind}: {item}", err=True)
    late = sum(item.kind == "budget" for item in result.left_out)
    if late:
        click.echo(f"{late} comparisons did not fit into the budget: a larger --budget times them, too", err=True)


def _bench_code(result: BenchResult) -> int:
    if result.info.interrupted:
        return INTERRUPTED
    if result.refused:
        return DISAGREE
    return AGREE if result.rows else INCONCLUSIVE


def _wait(process: subprocess.Popen[bytes]) -> int:
    """The exit code of a child, which gets the terminal's Ctrl-C itself and then keeps what it has."""
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue


# doctor


def _measure_kernels(out: str | None, ops: tuple[str, ...] | None) -> Path:
    from harness.kernels import TABLE
    from harness.oracles.kernel_errors import regenerate

    path = TABLE if out is None else Path(out)
    probe = path.with_suffix(".part")
    try:
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise _Failed(f"--out: cannot write {path}: {error.strerror}") from None
    try:
        regenerate(path, ops=ops, progress=lambda text: click.echo(f"measuring {text}", err=True))
    except ValueError as error:
        raise _Failed(f"--{error}") from None
    return path


# Rows and reports


def _command() -> str:
    return " ".join(["adjudge", *sys.argv[1:]])


def _check_out(out: str) -> None:
    """Fail before anything is computed if it could not be kept."""
    from harness.records import RecordError, check_writable

    try:
        check_writable(out)
    except RecordError as error:
        raise _Failed(f"--{error}") from None
    if lacking := _lacking_for_reports():
        click.echo(f"no report and no summary: {', '.join(lacking)} is not installed: {_REPORT_COMMAND}", err=True)


def _lacking_for_reports() -> list[str]:
    return [name for name in _REPORT_PACKAGES if importlib.util.find_spec(name) is None]


def _write(out: str, run: Run) -> tuple[str, ...]:
    """Write the rows and return the paths."""
    from harness.records import RecordError, write_run

    before = signal.getsignal(signal.SIGINT)
    # Whoever presses Ctrl-C presses it twice; the second must not cost the rows.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return write_run(
            out, run.info, verdicts=run.verdicts or None, timings=run.timings or None,
            comparisons=run.comparisons or None,
        )  # fmt: skip
    except RecordError as error:
        raise _Failed(str(error)) from None
    finally:
        signal.signal(signal.SIGINT, before)


def _keep(out: str, run: Run) -> None:
    """Write the rows, then print the summary."""
    paths = _write(out, run)
    if _lacking_for_reports():
        click.echo(f"{run.info.programs:,} programs, {len(run.verdicts):,} verdicts, {len(run.timings):,} timings")
    elif paths:
        from reports import print_summary

        print_summary(run)
    for path in paths:
        click.echo(f"rows: {path}")


def _make_report(out: str) -> None:
    """Make the page of the newest verdicts and timings of a folder; its path is the last line."""
    if _lacking_for_reports():
        return
    try:
        click.echo(f"report: {_write_page(out, None, run_ids=(), latest=True)}")
    except _Failed as error:  # the run's own outcome decides how the command ends
        click.echo(f"no report: {error.message}", err=True)


def _write_page(source: str, out: str | None, *, run_ids: Collection[str], latest: bool) -> Path:
    from harness.records import RecordError
    from reports import write_report

    target = Path(out) if out is not None else _page_path(source)
    try:
        if latest:
            return write_report(_latest(source), target)
        return write_report(source, target, run_ids=run_ids or None)
    except RecordError as error:
        raise _Failed(str(error)) from None


def _page_path(source: str) -> Path:
    if "://" in source:
        return Path("adjudge-report.html")
    folder = Path(source)
    return (folder.parent if folder.is_file() else folder) / "report.html"


def _latest(source: str) -> list[Run]:
    """The newest readable run with verdicts and the newest with timings; run files are named by their time."""
    from harness.records import read_dataset

    folder = Path(source)
    if folder.is_dir():
        stems = ("verdicts", "timings")
        runs = [_first_readable(sorted(folder.glob(f"{stem}-*.parquet"), reverse=True)) for stem in stems]
    else:
        found = read_dataset(source).runs
        runs = [[r for r in found if r.verdicts][-1:], [r for r in found if r.timings][-1:]]
    chosen = {run.info.run_id: run for newest in runs for run in newest}
    return list(chosen.values()) or list(read_dataset(source).runs)


def _first_readable(paths: Iterable[Path]) -> list[Run]:
    from harness.records import RecordError, read_run

    for path in paths:
        try:
            return [read_run(path)]
        except RecordError as error:
            click.echo(f"left out: {error}", err=True)
    return []
