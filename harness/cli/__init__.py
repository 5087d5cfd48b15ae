"""The command `adjudge`: one module a command, what they share in `options`, `output` and `comparisons`.

Every command says in its help what it does, with examples. Results go to standard output, progress and notes to
standard error. `main` is the entry point; `cli` is the click group, for tests. A new command is a module here that
imports what is heavy when it runs, and its name in `_COMMANDS`.
"""

from __future__ import annotations

import signal
import sys
import traceback

import click

from harness.cli import (
    bench,
    compare,
    coverage,
    dashboard,
    doctor,
    explain,
    export,
    history,
    ops,
    power,
    report,
    run,
    verify,
)
from harness.cli.options import BROKEN, INTERRUPTED

__all__ = ["cli", "main"]

_COMMANDS = (
    bench.bench,
    compare.compare,
    coverage.coverage,
    dashboard.dashboard,
    doctor.doctor,
    explain.explain,
    export.export,
    history.history,
    ops.ops,
    power.power,
    report.report,
    run.run,
    verify.verify,
)


@click.group(
    invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(package_name="adjudge", prog_name="adjudge")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Decide whether gradients are right, and what they cost.

    \b
    Examples:
      adjudge run                      judge, time and report, in about two minutes
      adjudge verify --budget 5m       draw programs for five minutes and judge their gradients
      adjudge bench --workloads 'gmm*' time the Gaussian mixtures
      adjudge doctor                   what is installed, and how to get the rest
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


for _command in _COMMANDS:
    cli.add_command(_command)


def main() -> None:
    """Run the command line and exit with its code."""
    # A time limit from outside (SIGTERM) ends a run as Ctrl-C does: with its rows kept.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        code = cli.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        code = INTERRUPTED
    except Exception:  # the interpreter would exit with 1, which means a disagreement
        traceback.print_exc()
        click.echo("Adjudge itself failed; this is no statement about a backend.", err=True)
        code = BROKEN
    sys.exit(code)
