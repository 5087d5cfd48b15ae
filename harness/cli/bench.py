"""`adjudge bench`: time values and gradients of workloads, or compare two revisions or environments."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

import click

from harness.cli.comparisons import comparison_code, export_comparison, keep_comparison, load_gate, tell_expired
from harness.cli.exports import EXPORTS, export_runs
from harness.cli.options import (
    AGREE,
    DISAGREE,
    EPILOG,
    GATE,
    INCONCLUSIVE,
    INTERRUPTED,
    NO_REPORT,
    OUT,
    SEED,
    Failed,
    names,
    seconds,
    sizes,
    unknown,
    usable,
)
from harness.cli.output import check_out, command_line, keep, make_report

if TYPE_CHECKING:
    from harness.bench import BenchResult, Keep
    from harness.paired import PairedResult
    from harness.records import RunInfo, TimingRow

__all__ = ["bench"]


def _families() -> Collection[str]:
    from harness.workloads import FAMILIES

    return (*FAMILIES, "all")


def _questions() -> Collection[str]:
    from harness.workloads import QUESTIONS

    return QUESTIONS


def _bench_backends() -> Collection[str]:
    from harness.workload_adapters import ENGINES

    return ENGINES


@click.command(epilog=EPILOG)
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
    "--pairs",
    type=click.IntRange(5, 1000),
    default=12,
    show_default=True,
    help="Most pairs of processes of a comparison; time may end it before.",
)
@GATE
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
    help="What does not answer for so long is stopped: a backend at one step, or a process of a comparison.",
)
@SEED
@OUT
@NO_REPORT
@EXPORTS
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
      adjudge bench --against main --markdown summary.md --junit adjudge.xml --github
    """
    if against is not None or against_python is not None:
        code = against_another(
            against, against_python, names=_workloads(workloads, adbench, families), families=families, sizes=sizes,
            chosen=chosen, what=what,
            dtype=dtype, budget=budget, threads=threads, adbench=adbench, pairs=pairs, gate_file=gate_file,
            fail_on=fail_on, hang=hang, seed=seed, out=out,
        )  # fmt: skip
        if not no_report:
            make_report(out)
        raise click.exceptions.Exit(code)
    from harness.bench import DEFAULT_BACKENDS, WHATS, run_bench
    from harness.progress import Live
    from harness.records import Run

    names = _workloads(workloads, adbench, families)
    backends = usable(chosen, DEFAULT_BACKENDS, beside=("numpy",))
    check_out(out)
    if processes > 1:
        from harness.repeated import run_processes

        words = ["--backends", ",".join(backends), "--dtype", dtype, "--rounds", str(rounds), "--threads", str(threads)]
        words += ["--hang", f"{hang}s"]
        words += ["--families", ",".join(families), "--seed", str(seed)]
        for option, values in (("--workloads", names), ("--sizes", sizes), ("--what", what)):
            if values is not None:
                words += [option, ",".join(map(str, values))]
        words += ["--adbench", adbench] if adbench is not None else []
        with Live("timing") as live:
            run, reasons = run_processes(
                words, processes=processes, budget_seconds=budget, hang_seconds=hang, threads=threads, seed=seed,
                command=command_line(), progress=live.bench,
            )  # fmt: skip
        keep(out, run)
        for reason in reasons:
            click.echo(reason, err=True)
        if not no_report:
            make_report(out)
        wrong = INTERRUPTED if run.info.interrupted and not reasons else DISAGREE if reasons else AGREE
        code = wrong if run.timings else wrong or INCONCLUSIVE
        raise click.exceptions.Exit(export_runs(code, [run], rows="timings", problems=reasons))
    with Live("timing") as live:
        result = run_bench(
            names, families=families, backends=backends, sizes=sizes, what=what or WHATS, dtype=dtype, budget_seconds=budget,
            rounds=rounds, threads=threads, hang_seconds=hang, seed=seed, adbench=adbench, progress=live.bench,
            keep=_saver(out), command=command_line(),
        )  # fmt: skip
    run = Run(result.info, timings=result.rows)
    keep(out, run)
    tell_left_out(result)
    if not no_report:
        make_report(out)
    raise click.exceptions.Exit(export_runs(_code(result), [run], rows="timings"))


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
                raise Failed(f"{error}; what was saved before is kept") from None
            saved = time.monotonic()

    return save


def against_another(
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

    gate = load_gate(gate_file)
    default = ("reference",) if against_python is None else DEFAULT_BACKENDS
    backends = usable(chosen, default, beside=("numpy", "reference"))
    check_out(out)
    limits = Limits(pairs=pairs, threads=threads, hang_seconds=hang, threshold=gate.threshold)
    both = environments(str(against_python)) if against is None else revisions(against, python=against_python)
    try:
        with both as (before, after), Live("comparing") as live:
            click.echo(f"before: {before.label}, after: {after.label}", err=True)
            result = compare_sides(
                before, after, workloads=names, families=families, backends=backends, sizes=sizes,
                what=what or WHATS, dtype=dtype, budget_seconds=budget, limits=limits, seed=seed, adbench=adbench,
                progress=live.bench,
                command=command_line(),
            )  # fmt: skip
    except BrokenSide as error:
        raise Failed(f"--against: {error}") from None
    result = replace(result, comparisons=gate.accept(result.comparisons))
    keep_comparison(out, result)
    tell_expired(gate)
    tell_left_out(result)
    fails = fail_on or (("counts",) if os.environ.get("CI") else ("counts", "slower"))
    return export_comparison(comparison_code(result, fails), result, fails, gate=gate)


def tell_left_out(result: BenchResult | PairedResult) -> None:
    for item in result.left_out:
        if item.kind != "budget":
            click.echo(f"{item.kind}: {item}", err=True)
    late = sum(item.kind == "budget" for item in result.left_out)
    if late:
        click.echo(f"{late} comparisons did not fit into the budget: a larger --budget times them, too", err=True)


def _code(result: BenchResult) -> int:
    if result.info.interrupted:
        return INTERRUPTED
    if result.refused:
        return DISAGREE
    return AGREE if result.rows else INCONCLUSIVE
