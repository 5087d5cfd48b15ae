"""`adjudge ops`: the table of every op."""

from __future__ import annotations

import click

from harness.cli.options import Failed

__all__ = ["ops"]


@click.command()
def ops() -> None:
    """Print the table of every op: rules, domains, and what each engine does at kinks.

    \b
    Example:
      adjudge ops > reference_impl/docs/ops.md
    """
    from harness.op_table import as_markdown

    try:
        click.echo(as_markdown(), nl=False)
    except ImportError as error:
        raise Failed(
            f"the table shows PyTorch's and JAX's conventions; {error}. `adjudge doctor` says how to install them"
        ) from error
