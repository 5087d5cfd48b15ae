"""`adjudge doctor`: what is installed, and the measured errors of its kernels."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import click

from harness.cli.options import Failed, names

__all__ = ["doctor"]


def _measured_op_names() -> Collection[str]:
    from harness.oracles.kernel_errors import ADDING, CONVOLUTIONS, EXACT

    return (*EXACT, *ADDING, *CONVOLUTIONS)


@click.command()
@click.option(
    "--kernels",
    is_flag=True,
    help="Measure the kernel errors of every installed backend and write the table of bounds (minutes).",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="With --kernels: where to write.  [default: the table in use]",
)
@click.option(
    "--ops",
    metavar="NAMES",
    callback=names("op with a measured error", _measured_op_names),
    help="With --kernels: measure these ops only and keep the rest of the table.  [default: all]",
)
def doctor(*, kernels: bool, out: str | None, ops: tuple[str, ...] | None) -> None:
    """Say what is installed, on what machine, what is missing and how to get it.

    \b
    Examples:
      adjudge doctor
      adjudge doctor --kernels --out kernel_errors.json
      adjudge doctor --kernels --ops exp,tanh
    """
    for name, value in (("--out", out), ("--ops", ops)):
        if value is not None and not kernels:
            raise click.UsageError(f"{name} goes with --kernels")
    if kernels:
        click.echo(f"wrote {_measure_kernels(out, ops)}")
        return
    from harness.doctor import doctor as examine
    from harness.doctor import render

    click.echo(render(examine()))


def _measure_kernels(out: str | None, ops: tuple[str, ...] | None) -> Path:
    from harness.kernels import TABLE
    from harness.oracles.kernel_errors import regenerate

    path = TABLE if out is None else Path(out)
    probe = path.with_suffix(".part")
    try:
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise Failed(f"--out: cannot write {path}: {error.strerror}") from None
    try:
        regenerate(path, ops=ops, progress=lambda text: click.echo(f"measuring {text}", err=True))
    except ValueError as error:
        raise Failed(f"--{error}") from None
    return path
