"""`adjudge power`: how many planted wrong gradients Adjudge and other checkers catch."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, NoReturn

import click

from harness.cli.options import AGREE, DISAGREE, EPILOG, INTERRUPTED, NO_REPORT, OUT, SEED, Failed, names, seconds
from harness.cli.output import check_out, command_line, has_reports, make_report, write_rows

if TYPE_CHECKING:
    from harness.power import PowerResult
    from harness.records import PowerRow, RunInfo

__all__ = ["power"]


def _engines() -> Collection[str]:
    from harness.power import ENGINES

    return ENGINES


def _groups() -> Collection[str]:
    from harness.defects import GROUPS

    return GROUPS


def _sites() -> Collection[str]:
    from harness.defects.sites import SITES

    return SITES


@click.command(epilog=EPILOG)
@click.option(
    "--engines",
    metavar="NAMES",
    callback=names("engine", _engines),
    help="Where defects are planted.  [default: reference,torch,jax,autograd, as far as installed]",
)
@click.option(
    "--kinds", metavar="NAMES", callback=names("kind", _groups), help="Kinds of defects, such as sign,'tie rule'."
)
@click.option("--ops", metavar="NAMES", callback=names("op", _sites), help="Plant in these ops only.  [default: all]")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Plant so many defects, of mixed kinds.")
@click.option(
    "--budget",
    metavar="TIME",
    callback=seconds,
    default="10m",
    show_default=True,
    help="When to stop; the same command goes on from there.",
)
@click.option("--fresh", is_flag=True, help="Begin anew, even if the newest run in the folder is unfinished.")
@SEED
@OUT
@NO_REPORT
def power(
    *,
    engines: tuple[str, ...] | None,
    kinds: tuple[str, ...] | None,
    ops: tuple[str, ...] | None,
    limit: int | None,
    budget: float,
    fresh: bool,
    seed: int,
    out: str,
    no_report: bool,
) -> NoReturn:
    """Plant wrong gradients and count who complains: Adjudge, gradcheck, check_grads of JAX and of autograd.

    Every checker gets the same functions, the same arguments and its default settings, and is asked about the same
    functions without a defect, too. Exit code 1: Adjudge passes a structural defect or raises a false alarm.

    \b
    Examples:
      adjudge power --limit 40
      adjudge power --engines torch --kinds 'sign,scale,tie rule'
      adjudge power --budget 2h --out power/
    """
    from harness.power import run_power
    from harness.progress import Live

    chosen = _usable(engines)
    check_out(out)
    former = None if fresh else _unfinished(out, seed)
    with Live("asking") as live:
        try:
            result = run_power(
                engines=chosen, groups=kinds, ops=ops, limit=limit, seed=seed, budget_seconds=budget, former=former,
                command=command_line(), progress=live.bench, keep=_saver(out),
            )  # fmt: skip
        except ValueError as error:
            raise click.UsageError(f"--{error}") from None
    _keep(out, result)
    if not no_report:
        make_report(out)
    raise click.exceptions.Exit(_code(result))


def _usable(engines: tuple[str, ...] | None) -> tuple[str, ...]:
    from harness.power import available

    found = available()
    for name, reason in found.items():
        if reason is not None and engines is not None and name in engines:
            raise click.UsageError(f"--engines: {reason}")
        if reason is not None and engines is None:
            click.echo(f"left out: {reason}", err=True)
    return engines or tuple(name for name, reason in found.items() if reason is None)


def _unfinished(out: str, seed: int) -> PowerResult | None:
    """The newest run of the folder if it can be gone on with: the same seed and the same sources."""
    from harness.environment import describe_run
    from harness.power import PowerResult
    from harness.records import RecordError, list_files, read_run

    try:
        files = [name for name in list_files(out) if name.replace("\\", "/").rsplit("/", 1)[-1].startswith("power-")]
        run = read_run(files[-1]) if files else None
    except RecordError:
        return None  # nothing there yet, or nothing that can be read
    if run is None or run.info.seed != seed or run.info.code_hash != describe_run(command="").code_hash:
        return None
    click.echo(f"going on with {run.info.run_id}: {len(run.power):,} answers are there (--fresh begins anew)", err=True)
    return PowerResult(run.info, run.power, 0)


def _saver(out: str) -> Callable[[RunInfo, Sequence[PowerRow]], None]:
    """What saves the answers so far, at most every ten seconds."""
    from harness.records import RecordError, write_run

    saved = -math.inf

    def save(info: RunInfo, rows: Sequence[PowerRow]) -> None:
        nonlocal saved
        if time.monotonic() - saved >= 10.0:
            try:
                write_run(out, info, power=rows)
            except RecordError as error:
                raise Failed(f"{error}; what was saved before is kept") from None
            saved = time.monotonic()

    return save


def _keep(out: str, result: PowerResult) -> None:
    """Write rows and table, print the table and what Adjudge missed."""
    from harness.records import Run, write_file

    paths = list(write_rows(out, Run(result.info, power=result.rows)))
    if has_reports():
        from reports.power import power_markdown, print_power

        print_power(result.rows)
        page = f"{out.rstrip('/')}/power.md"
        write_file(page, power_markdown(result.rows, result.info).encode())
        paths.append(page)
    for row in result.missed:
        click.echo(f"missed: {row.defect} ({row.engine}): {row.answer} {row.detail}".rstrip(), err=True)
    for row in result.alarms:
        click.echo(f"false alarm: {row.op}, {row.form}, {row.dtype} ({row.engine}): {row.detail}", err=True)
    if result.pending:
        click.echo(f"{result.pending:,} questions are left: the same command goes on with them", err=True)
    for path in paths:
        click.echo(f"rows: {path}" if path.endswith(".parquet") else f"table: {path}")


def _code(result: PowerResult) -> int:
    if result.info.interrupted:
        return INTERRUPTED
    return DISAGREE if result.missed or result.alarms else AGREE
