"""`adjudge dashboard`: one interactive page of the times of many runs."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.options import Failed
from harness.cli.output import page_path, require_reports

__all__ = ["dashboard"]


@click.command()
@click.argument("source", metavar="RUNS")
@click.option("--out", metavar="FILE", help="The page.  [default: dashboard.html in the folder of rows]")
def dashboard(*, source: str, out: str | None) -> None:
    """Make one interactive HTML page of the times of many runs: filters, history, changes, export.

    RUNS is a folder of rows, a Parquet file, a URL such as s3://bucket/runs, or a history: a dataset, GradBench's table, a
    JSON file of pytest-benchmark. The page needs no network; its address holds all filters.

    \b
    Examples:
      adjudge dashboard runs/
      adjudge dashboard s3://bucket/history --out history.html
    """
    require_reports("a dashboard")
    from harness.records import RecordError
    from reports.dashboard import write_dashboard

    path = page_path(source) if out is None else Path(out)
    try:
        made = write_dashboard(source, path.with_name("dashboard.html") if out is None else path, tell=_tell)
    except RecordError as error:
        raise Failed(str(error)) from error
    click.echo(f"dashboard: {made}")


def _tell(broken: str) -> None:
    click.echo(f"left out: {broken}", err=True)
