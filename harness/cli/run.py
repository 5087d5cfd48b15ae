"""`adjudge run`: judge, then time, then report both."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, NoReturn

import click

from harness.cli.exports import EXPORTS, asked_for, export_runs
from harness.cli.options import EPILOG, INTERRUPTED, MAX_INCONCLUSIVE, OUT, SEED, seconds
from harness.cli.output import make_report
from harness.cli.verify import judge

if TYPE_CHECKING:
    from harness.records import Run

__all__ = ["run"]


@click.command(epilog=EPILOG)
@click.option("--budget", metavar="TIME", callback=seconds, default="75s", show_default=True, help="Time for `verify`.")
@click.option(
    "--bench-budget", metavar="TIME", callback=seconds, default="30s", show_default=True, help="Time for `bench`."
)
@MAX_INCONCLUSIVE
@SEED
@OUT
@EXPORTS
def run(*, budget: float, bench_budget: float, max_inconclusive: float, seed: int, out: str) -> NoReturn:
    """Judge, then time, then report both on one page: `verify` and `bench` in a row.

    \b
    Examples:
      adjudge run
      adjudge run --budget 5m --bench-budget 2m --out runs/
      adjudge run --markdown summary.md --junit adjudge.xml --github
    """
    judged = judge(
        budget=budget, chosen=None, ops=None, dtypes=("float64", "float32", "float16", "bfloat16"),
        max_programs=None, waivers=None, jax_cache=None, max_inconclusive=max_inconclusive, seed=seed, out=out,
    )  # fmt: skip
    code, runs = judged.code, [judged.run]
    if code != INTERRUPTED:
        # A fresh process: no framework is loaded yet, so its threads can still be set and its import can be timed.
        words = ["bench", "--budget", f"{bench_budget}", "--seed", f"{seed}", "--out", out, "--no-report"]
        timed = _wait(subprocess.Popen([sys.executable, "-m", "harness", *words]))
        code = code or timed
        runs += _timed_since(judged.run, out)
    make_report(out)
    raise click.exceptions.Exit(export_runs(code, runs, rows="verdicts", problems=judged.problems))


def _timed_since(judged: Run, out: str) -> list[Run]:
    """The run that has timed since another was judged."""
    from harness.records import RecordError, read_dataset

    if not asked_for():
        return []
    try:
        found = read_dataset(out).runs
    except RecordError:
        return []  # the run itself has said that its rows cannot be kept
    later = [run for run in found if run.info.started_utc >= judged.info.started_utc and run.info != judged.info]
    return [run for run in later if run.timings or run.info.left_out][-1:]


def _wait(process: subprocess.Popen[bytes]) -> int:
    """The exit code of a child, which gets the terminal's Ctrl-C itself and then keeps what it has."""
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue
