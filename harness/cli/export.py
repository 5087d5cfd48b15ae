"""`adjudge export`: kept rows for other programs."""

from __future__ import annotations

from typing import NoReturn

import click

from harness.cli.exports import EXPORTS, asked_for, export_runs
from harness.cli.options import AGREE, Failed, names
from harness.cli.output import newest, require_reports

__all__ = ["export"]


@click.command()
@click.argument("source", default="adjudge-out")
@EXPORTS
@click.option("--run", "run_ids", multiple=True, metavar="ID", help="Take this run only; may be repeated.")
@click.option("--latest", is_flag=True, help="Take the newest run with verdicts, with timings and with comparisons.")
@click.option(
    "--rows",
    type=click.Choice(["verdicts", "timings", "comparisons", "coverage", "power"]),
    help="Which rows CSV and Parquet hold; needed where several of the first three are there.",
)
@click.option(
    "--fail-on",
    metavar="NAMES",
    callback=names("reason", lambda: ("counts", "slower", "cannot-tell", "nothing")),
    default="counts,slower",
    show_default=True,
    help="What of a comparison is shown as a failure.",
)
def export(
    *, source: str, run_ids: tuple[str, ...], latest: bool, rows: str | None, fail_on: tuple[str, ...]
) -> NoReturn:
    """Write the rows in SOURCE (a folder, a Parquet file or a URL) for pull requests, CI and other programs.

    It ends with 0 whatever the rows say: the run that made them has had its exit code. `verify`, `bench`, `run`, `compare`
    and `history steps` take the same options.

    \b
    Examples:
      adjudge export --latest --markdown summary.md --junit adjudge.xml
      adjudge export runs/ --rows timings --csv times.csv
      adjudge export s3://bucket/runs --latest --github
    """
    if run_ids and latest:
        raise click.UsageError("--run and --latest exclude each other")
    if not asked_for():
        raise click.UsageError("nothing to write: name --markdown, --junit, --csv, --parquet or --github")
    require_reports("an export")
    from harness.gate import failing
    from harness.records import RecordError, read_dataset

    try:
        found = read_dataset(source)
    except RecordError as error:
        raise Failed(str(error)) from None
    for broken in found.broken:
        click.echo(f"left out: {broken}", err=True)
    runs = newest(found.runs) if latest else list(found.runs)
    if run_ids:
        known = [run.info.run_id for run in runs]
        if absent := sorted(set(run_ids) - set(known)):
            raise Failed(f"run {absent[0]!r} is not among {', '.join(known)}")
        runs = [run for run in runs if run.info.run_id in run_ids]
    compared = [row for run in runs for row in run.comparisons]
    warnings = [f"not read: {broken}" for broken in found.broken]
    try:
        code = export_runs(AGREE, runs, rows=rows, failed=failing(compared, fail_on), warnings=warnings)
    except ValueError as error:
        raise click.UsageError(f"--rows: {error}") from None
    raise click.exceptions.Exit(code)
