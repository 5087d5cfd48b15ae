"""`adjudge history`: the times of many runs in one dataset, and the steps in them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NoReturn

import click

from harness.cli.exports import EXPORTS, export_steps
from harness.cli.options import AGREE, DISAGREE, Failed
from harness.cli.output import printable, require_reports

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["history"]


@click.group()
def history() -> None:
    """Keep the times of many runs in one dataset, and find the steps in them.

    \b
    Examples:
      adjudge history add adjudge-out --to s3://bucket/history
      adjudge history steps s3://bucket/history
      adjudge history steps nightly.parquet --out steps.csv
      adjudge history compact s3://bucket/history
    """
    require_reports("a history")


@history.command("add")
@click.argument("sources", nargs=-1, required=True)
@click.option("--to", required=True, metavar="DIR", help="Folder or URL of the dataset; it is made if it is missing.")
def add_points(*, sources: tuple[str, ...], to: str) -> None:
    """Add the points of SOURCES to a dataset: run files, folders of them, GradBench's table, pytest-benchmark's JSON."""
    from harness.records import RecordError
    from reports.history import append

    for source in sources:
        frame, _ = _points(source)
        tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
        odd = int(((frame["moment"] < "2000") | (frame["moment"] > tomorrow)).sum())
        if odd:
            click.echo(f"{source}: {odd:,} points are of before 2000 or of the future: was a clock wrong?", err=True)
        try:
            path = append(to, frame)
        except RecordError as error:
            raise Failed(str(error)) from None
        click.echo(f"{len(frame):,} points of {source}: {path}")


@history.command("compact")
@click.argument("dataset")
def compact_dataset(*, dataset: str) -> None:
    """Make one file of all files of DATASET, with the same points."""
    from harness.records import RecordError
    from reports.history import compact

    try:
        click.echo(compact(dataset))
    except RecordError as error:
        raise Failed(str(error)) from None


@history.command("steps")
@click.argument("source")
@click.option(
    "--out", type=click.Path(dir_okay=False), metavar="FILE", help="Write all steps to a CSV or Parquet file."
)
@click.option("--since", metavar="MOMENT", help="Only steps from that moment on, such as 2026-01-31.")
@click.option("--most", type=click.IntRange(0), default=20, show_default=True, help="Steps to print.")
@click.option("--fail", is_flag=True, help="End with exit code 1 if a single series has become slower.")
@EXPORTS
def find_steps(*, source: str, out: str | None, since: str | None, most: int, fail: bool) -> NoReturn:
    """Find when series of SOURCE (a dataset, run files, a table) became slower or faster for good.

    \b
    Examples:
      adjudge history steps s3://bucket/history --since 2026-01-01 --fail
      adjudge history steps history/ --fail --markdown summary.md --junit steps.xml --github
    """
    from harness.records import RecordError
    from reports.history import write_steps
    from reports.steps import RATES, steps_of

    frame, unread = _points(source)
    steps = steps_of(frame)
    if since is not None:
        steps = steps.loc[steps["moment"] >= since]
    own, common = steps.loc[~steps["common"]], steps.loc[steps["common"]]
    click.echo(f"{len(frame):,} points of {frame['series'].nunique():,} series: {len(own):,} steps of single series")
    for night, n in common.groupby("moment").size().items():
        click.echo(f"{night}: {n:,} series stepped together (a machine or a tool, more likely than each on its own)")
    for line in own.head(most).to_dict("records"):
        place = f"{line['moment']} ({line['revision_before'] or '?'} -> {line['revision'] or '?'})"
        text = f"{100 * line['change']:+.1f} %  {line['series']}  {place}  {line['conditions']}"
        click.echo(printable(text.rstrip()))
    if len(own) > most:
        click.echo(f"and {len(own) - most:,} more" + ("" if out else ": --out writes them all"))
    click.echo(RATES)
    if out is not None:
        try:
            click.echo(f"steps: {write_steps(steps, out)}")
        except RecordError as error:
            raise Failed(f"--out: {error}") from None
    code = DISAGREE if fail and (own["change"] > 0).any() else AGREE
    raise click.exceptions.Exit(export_steps(code, steps, frame, fail=fail, warnings=unread))


def _points(source: str) -> tuple[pd.DataFrame, list[str]]:
    """The points of whatever SOURCE is, and what of it cannot be read, which is said, too."""
    from harness.records import RecordError
    from reports.history import read_any

    try:
        found = read_any(source)
    except RecordError as error:
        raise Failed(str(error)) from None
    unread = [f"left out: {reason}" for reason in found.broken]
    for line in unread:
        click.echo(line, err=True)
    return found.points, unread
