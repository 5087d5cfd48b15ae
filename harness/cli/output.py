"""What the commands write: rows, the summary, the page."""

from __future__ import annotations

import importlib.util
import signal
import sys
import tempfile
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.options import Failed

if TYPE_CHECKING:
    from harness.records import Run

__all__ = [
    "check_out",
    "command_line",
    "has_reports",
    "keep",
    "make_report",
    "newest",
    "page_path",
    "printable",
    "require_reports",
    "write_page",
    "write_rows",
]

_REPORT_PACKAGES = ("pandas", "jinja2", "markupsafe", "matplotlib")
_REPORT_COMMAND = 'pip install "adjudge[reports]"'


def command_line() -> str:
    """The command as it was typed."""
    return " ".join(["adjudge", *sys.argv[1:]])


def printable(text: str) -> str:
    """The text in one line: a name out of a file must not move the cursor, nor begin a line that a runner obeys."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def check_out(out: str) -> None:
    """Fail before anything is computed if it could not be kept."""
    from harness.records import RecordError, check_writable

    try:
        check_writable(out)
    except RecordError as error:
        raise Failed(f"--{error}") from None
    if lacking := _lacking():
        click.echo(f"no report and no summary: {', '.join(lacking)} is not installed: {_REPORT_COMMAND}", err=True)


def require_reports(what: str) -> None:
    """Fail if a package that `what` is made with is missing, and say how to get it."""
    if lacking := _lacking():
        raise Failed(f"{what} needs {', '.join(lacking)}, which is not installed: {_REPORT_COMMAND}")


def has_reports() -> bool:
    """Whether everything is there that tables and pages are made with."""
    return not _lacking()


def _lacking() -> list[str]:
    return [name for name in _REPORT_PACKAGES if importlib.util.find_spec(name) is None]


def write_rows(out: str, run: Run) -> tuple[str, ...]:
    """Write the rows and return the paths."""
    from harness.records import RecordError, write_run

    before = signal.getsignal(signal.SIGINT)
    # Whoever presses Ctrl-C presses it twice; the second must not cost the rows.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        # A run that refused all of them has no times, and a file that says so.
        timings = run.timings if run.timings or (run.info.left_out and not run.comparisons) else None
        return write_run(
            out, run.info, verdicts=run.verdicts or None, timings=timings, comparisons=run.comparisons or None,
            coverage=run.coverage or None, power=run.power or None,
        )  # fmt: skip
    except RecordError as error:
        raise Failed(f"{error}; {_elsewhere(run)}") from None
    finally:
        signal.signal(signal.SIGINT, before)


def _elsewhere(run: Run) -> str:
    """Keep rows that cannot be written where they should in the system's folder of temporary files; say what came of it."""
    from harness.records import ROW_TYPES, RecordError, write_run

    folder = tempfile.mkdtemp(prefix="adjudge-")
    kinds = {kind: rows for kind in ROW_TYPES if (rows := getattr(run, kind))}
    try:
        write_run(folder, run.info, **kinds)
    except RecordError as error:
        return f"nor can they be kept elsewhere: {error}"
    return f"the rows are in {folder} instead"


def keep(out: str, run: Run) -> None:
    """Write the rows and print the summary; it is printed, too, if they cannot be written."""
    paths: tuple[str, ...] = ()
    try:
        paths = write_rows(out, run)
    finally:
        if _lacking():
            click.echo(f"{run.info.programs:,} programs, {len(run.verdicts):,} verdicts, {len(run.timings):,} timings")
        elif run.verdicts or run.timings:
            from reports import print_summary

            print_summary(run)
        for path in paths:
            click.echo(f"rows: {path}")


def make_report(out: str) -> None:
    """Make the page of the newest verdicts and timings of a folder; its path is the last line."""
    if _lacking():
        return
    try:
        click.echo(f"report: {write_page(out, None, run_ids=(), latest=True)}")
    except Failed as error:  # the run's own outcome decides how the command ends
        click.echo(f"no report: {error.message}", err=True)


def write_page(source: str, out: str | None, *, run_ids: Collection[str], latest: bool) -> Path:
    """Write the page of the rows of `source`, all of them, those of some runs, or the newest ones; return its path."""
    from harness.records import RecordError
    from reports import write_report

    target = Path(out) if out is not None else page_path(source)
    try:
        if latest:
            return write_report(_latest(source), target)
        return write_report(source, target, run_ids=run_ids or None)
    except RecordError as error:
        raise Failed(str(error)) from None


def page_path(source: str) -> Path:
    """Where the page of `source` goes when nothing is said: into its folder, or here if it is a URL."""
    if "://" in source:
        return Path("adjudge-report.html")
    folder = Path(source)
    return (folder.parent if folder.is_file() else folder) / "report.html"


def newest(runs: Sequence[Run]) -> list[Run]:
    """The newest run with verdicts, the newest with timings and the newest with comparisons; all if there is none."""
    kinds = ("verdicts", "timings", "comparisons", "power")
    chosen = {run.info.run_id: run for kind in kinds for run in [r for r in runs if getattr(r, kind)][-1:]}
    return list(chosen.values()) or list(runs)


def _latest(source: str) -> list[Run]:
    """The newest readable run with verdicts and the newest with timings; run files are named by their time."""
    from harness.records import read_dataset

    folder = Path(source)
    if folder.is_dir():
        stems = ("verdicts", "timings", "power")
        runs = [_first_readable(sorted(folder.glob(f"{stem}-*.parquet"), reverse=True)) for stem in stems]
    else:
        found = read_dataset(source).runs
        runs = [[r for r in found if getattr(r, kind)][-1:] for kind in ("verdicts", "timings", "power")]
    chosen = {run.info.run_id: run for newest in runs for run in newest}
    if folder.is_dir():
        for run_id, run in chosen.items():
            counted = folder / f"coverage-{run_id}.parquet"
            if run.verdicts and counted.exists():
                chosen[run_id] = run._replace(coverage=next((r.coverage for r in _first_readable([counted])), ()))
    return list(chosen.values()) or list(read_dataset(source).runs)


def _first_readable(paths: Iterable[Path]) -> list[Run]:
    from harness.records import RecordError, read_run

    for path in paths:
        try:
            return [read_run(path)]
        except RecordError as error:
            click.echo(f"left out: {error}", err=True)
    return []
