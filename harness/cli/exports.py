"""What a command gives other programs, on request: Markdown, JUnit XML, CSV, Parquet, and what GitHub shows of a step.

`EXPORTS` adds the options to a command. They are checked before anything is computed; `export_runs` and `export_steps` write
what was asked for once there is something to write.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from harness.cli.options import USAGE
from harness.cli.output import require_reports

if TYPE_CHECKING:
    import pandas as pd

    from harness.records import Run
    from reports.outputs import Digest

__all__ = ["EXPORTS", "asked_for", "export_runs", "export_steps"]

F = TypeVar("F", bound=Callable[..., Any])

_SUMMARY = "GITHUB_STEP_SUMMARY"
_MOST_SUMMARY_BYTES = 1_000_000  # GitHub takes a MiB of all that a step has written


@dataclass
class _Wanted:
    """What the options name: files by format, and whether GitHub is to be told."""

    files: dict[str, str] = field(default_factory=dict)
    github: bool = False


def _wanted() -> _Wanted:
    found: _Wanted = click.get_current_context().find_root().meta.setdefault("adjudge.exports", _Wanted())
    return found


def _note_file(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    if value is None:
        return
    require_reports(f"--{param.name}")
    folder = Path(value).parent
    if "://" not in value:
        if Path(value).is_dir():
            raise click.BadParameter(f"{value!r} is a folder", ctx, param)
        if not folder.is_dir():
            raise click.BadParameter(f"there is no folder {str(folder)!r}", ctx, param)
        if not os.access(folder, os.W_OK):
            raise click.BadParameter(f"the folder {str(folder)!r} cannot be written to", ctx, param)
    _wanted().files[str(param.name)] = value


def _note_github(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        require_reports("--github")
        _wanted().github = True


_FORMATS = {
    "markdown": "Write a summary for a pull request: the verdict in the first line, at most 65 kB.",
    "junit": "Write JUnit XML.",
    "csv": "Write the rows as CSV.",
    "parquet": "Write the rows as one Parquet file.",
}


def EXPORTS(command: F) -> F:  # noqa: N802  a decorator like the options beside it
    """Add the options to a command."""
    command = click.option(
        "--github", is_flag=True, expose_value=False, callback=_note_github,
        help=f"Write the summary to ${_SUMMARY} and print annotations, as GitHub Actions take them.",
    )(command)  # fmt: skip
    for name, text in reversed(_FORMATS.items()):
        command = click.option(f"--{name}", metavar="FILE", expose_value=False, callback=_note_file, help=text)(command)
    return command


def asked_for() -> bool:
    """Whether any output is wanted."""
    wanted = _wanted()
    return bool(wanted.files) or wanted.github


def export_runs(
    code: int,
    runs: Sequence[Run],
    *,
    rows: str | None = None,
    failed: Mapping[str, str] | None = None,
    warnings: Sequence[str] = (),
    problems: Sequence[str] = (),
) -> int:
    """Write what is wanted of some runs; return the exit code: `code`, or wrong use if that is 0 and something failed.

    Args:
        rows: kind of the rows for CSV and Parquet; None where there is one kind.
        failed, warnings, problems: of `reports.outputs.digest`.
    """
    if not asked_for():
        return code
    from reports.outputs import digest, to_pandas

    found = digest(runs, failed=failed, warnings=warnings, problems=problems)
    return _write(code, found, lambda: to_pandas(runs, rows))


def export_steps(code: int, steps: pd.DataFrame, points: pd.DataFrame, *, fail: bool, warnings: Sequence[str]) -> int:
    """Write what is wanted of the steps of a history; return the exit code as `export_runs` does."""
    if not asked_for():
        return code
    from reports.outputs import step_digest
    from reports.steps import RATES

    keys = points[["series", "conditions"]].drop_duplicates()
    series = list(zip(keys["series"], keys["conditions"], strict=True))
    return _write(code, step_digest(steps, series, fail=fail, note=RATES, warnings=warnings), lambda: steps)


def _write(code: int, found: Digest, table: Callable[[], pd.DataFrame]) -> int:
    from harness.records import RecordError, write_file
    from reports.outputs import annotation_lines, junit, markdown, write_table

    makers: dict[str, Callable[[str], None]] = {
        "markdown": lambda name: write_file(name, markdown(found).encode()),
        "junit": lambda name: write_file(name, junit(found)),
        "csv": lambda name: write_table(table(), name, kind="csv"),
        "parquet": lambda name: write_table(table(), name, kind="parquet"),
    }
    wanted, broken = _wanted(), False
    for kind, name in wanted.files.items():
        try:
            makers[kind](name)
        except RecordError as error:  # the others are still written
            click.echo(f"Error: --{kind}: {error}", err=True)
            broken = True
        else:
            click.echo(f"{kind}: {name}", err=True)
    if wanted.github:
        for line in annotation_lines(found):
            click.echo(line)
        broken |= not _summarise(found)
    return code or (USAGE if broken else 0)


def _summarise(found: Digest) -> bool:
    """Add the summary to the file that GitHub shows; whether that went well."""
    from reports.outputs import markdown

    path = os.environ.get(_SUMMARY)
    if not path:
        click.echo(f"{_SUMMARY} is not set, as it is in a step on GitHub: annotations only", err=True)
        return True
    try:
        before = os.path.getsize(path) if os.path.exists(path) else 0
        room = _MOST_SUMMARY_BYTES - before
        if room < 5_000:
            click.echo(f"{_SUMMARY}: {before:,} bytes are in it already, which leaves no room for a summary", err=True)
            return True
        with open(path, "a", encoding="utf-8") as file:
            file.write("\n" * (before > 0) + markdown(found, most_bytes=min(room - 1, 200_000)))
    except OSError as error:
        click.echo(f"Error: {_SUMMARY}: {path}: {error.strerror or error}", err=True)
        return False
    return True
