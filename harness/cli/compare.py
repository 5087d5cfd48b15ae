"""`adjudge compare`: judge files of pytest-benchmark of any project."""

from __future__ import annotations

from typing import NoReturn

import click

from harness.cli.comparisons import comparison_code, export_comparison, keep_comparison, load_gate, tell_expired
from harness.cli.exports import EXPORTS
from harness.cli.options import EPILOG, GATE, OUT, Failed, names
from harness.cli.output import check_out, command_line, printable

__all__ = ["compare"]


@click.command(epilog=EPILOG)
@click.option(
    "--before", "befores", multiple=True, required=True, metavar="FILE", help="May be repeated: one a process."
)
@click.option("--after", "afters", multiple=True, required=True, metavar="FILE", help="May be repeated: one a process.")
@GATE
@click.option(
    "--fail-on",
    metavar="NAMES",
    callback=names("reason", lambda: ("slower", "cannot-tell", "nothing")),
    default="slower",
    show_default=True,
    help="What ends with exit code 1: slower, cannot-tell, nothing.",
)
@OUT
@EXPORTS
def compare(
    *, befores: tuple[str, ...], afters: tuple[str, ...], gate_file: str | None, fail_on: tuple[str, ...], out: str
) -> NoReturn:
    """Judge JSON files of pytest-benchmark, of any project: slower, faster, no change, or cannot tell.

    \b
    Examples:
      adjudge compare --before .benchmarks/Linux/0001_main.json --after .benchmarks/Linux/0002_mine.json
      adjudge compare --before a1.json --before a2.json --before a3.json --after b1.json --after b2.json --after b3.json
      adjudge compare --before old.json --after new.json --markdown summary.md --junit adjudge.xml --github
    """
    from harness.benchmark_files import BenchmarkFileError, compare_files, read_file
    from harness.environment import describe_run
    from harness.paired import PairedResult

    gate = load_gate(gate_file)
    try:
        before, after = ([read_file(path) for path in paths] for paths in (befores, afters))
    except BenchmarkFileError as error:
        raise Failed(str(error)) from None
    check_out(out)
    info = describe_run(command=command_line())
    limits = {name: gate.threshold(name) for file in before for name in file.benchmarks}
    rows, left_out = compare_files(before, after, run_id=info.run_id, threshold=limits)
    for line in left_out:
        click.echo(f"left out: {printable(line)}", err=True)
    result = PairedResult(info, gate.accept(rows), (), ())
    keep_comparison(out, result)
    tell_expired(gate)
    code = comparison_code(result, fail_on)
    only = [f"left out: {line}" for line in left_out]
    raise click.exceptions.Exit(export_comparison(code, result, fail_on, gate=gate, warnings=only))
