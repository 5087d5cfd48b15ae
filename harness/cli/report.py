"""`adjudge report`: one HTML page of kept rows."""

from __future__ import annotations

import click

from harness.cli.output import require_reports, write_page

__all__ = ["report"]


@click.command()
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
    require_reports("a report")
    click.echo(write_page(source, out, run_ids=run_ids, latest=latest))
