"""`adjudge run`: judge, then time, then report both."""

from __future__ import annotations

import subprocess
import sys
from typing import NoReturn

import click

from harness.cli.options import EPILOG, INTERRUPTED, MAX_INCONCLUSIVE, OUT, SEED, seconds
from harness.cli.output import make_report
from harness.cli.verify import judge

__all__ = ["run"]


@click.command(epilog=EPILOG)
@click.option("--budget", metavar="TIME", callback=seconds, default="75s", show_default=True, help="Time for `verify`.")
@click.option(
    "--bench-budget", metavar="TIME", callback=seconds, default="30s", show_default=True, help="Time for `bench`."
)
@MAX_INCONCLUSIVE
@SEED
@OUT
def run(*, budget: float, bench_budget: float, max_inconclusive: float, seed: int, out: str) -> NoReturn:
    """Judge, then time, then report both on one page: `verify` and `bench` in a row.

    \b
    Examples:
      adjudge run
      adjudge run --budget 5m --bench-budget 2m --out runs/
    """
    code = judge(
        budget=budget, chosen=None, ops=None, dtypes=("float64", "float32"), max_programs=None, waivers=None,
        jax_cache=None, max_inconclusive=max_inconclusive, seed=seed, out=out,
    )  # fmt: skip
    if code != INTERRUPTED:
        # A fresh process: no framework is loaded yet, so its threads can still be set and its import can be timed.
        words = ["bench", "--budget", f"{bench_budget}", "--seed", f"{seed}", "--out", out, "--no-report"]
        timed = _wait(subprocess.Popen([sys.executable, "-m", "harness", *words]))
        code = code or timed
    make_report(out)
    raise click.exceptions.Exit(code)


def _wait(process: subprocess.Popen[bytes]) -> int:
    """The exit code of a child, which gets the terminal's Ctrl-C itself and then keeps what it has."""
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue
