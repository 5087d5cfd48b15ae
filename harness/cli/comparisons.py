"""What `adjudge bench --against` and `adjudge compare` share: the gate, what is printed, the exit code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from harness.cli.exports import export_runs
from harness.cli.options import AGREE, DISAGREE, INCONCLUSIVE, INTERRUPTED, Failed
from harness.cli.output import printable, write_rows

if TYPE_CHECKING:
    from harness.gate import Gate
    from harness.paired import PairedResult

__all__ = ["comparison_code", "export_comparison", "keep_comparison", "load_gate", "tell_expired"]


def load_gate(path: str | None) -> Gate:
    """The thresholds and accepted changes of a file, or the default ones."""
    from harness.gate import Gate, GateError, load

    try:
        return load(path) if path else Gate()
    except GateError as error:
        raise Failed(f"--gate: {error}") from None


def tell_expired(gate: Gate) -> None:
    """Say which acceptances no longer hold."""
    for entry in gate.expired():
        click.echo(f"expired on {entry.expires}: the acceptance of {entry.series} ({entry.reason})", err=True)


def keep_comparison(out: str, result: PairedResult) -> None:
    """Write the rows, then print each comparison, the largest news first."""
    from harness.gate import describe
    from harness.records import Run

    paths = write_rows(out, Run(result.info, timings=result.timings, comparisons=result.comparisons))
    order = ("slower", "faster", "cannot tell", "no change")
    for row in sorted(result.comparisons, key=lambda row: order.index(row.verdict)):
        click.echo(printable(describe(row)))
    counts = ", ".join(f"{n} {v}" for v in order if (n := sum(row.verdict == v for row in result.comparisons)))
    click.echo(f"{len(result.comparisons)} series: {counts or 'nothing was compared'}")
    if result.comparisons:
        click.echo(
            "(intervals: 95 % each; slower and faster: at most 1 % false over all series together, by Holm's rule)"
        )
    for path in paths:
        click.echo(f"rows: {path}")


def export_comparison(
    code: int, result: PairedResult, fail_on: tuple[str, ...], *, gate: Gate, warnings: Sequence[str] = ()
) -> int:
    """Write what is wanted of a comparison for other programs; return the exit code."""
    from harness.gate import failing
    from harness.records import Run

    run = Run(result.info, timings=result.timings, comparisons=result.comparisons)
    expired = [f"expired on {e.expires}: the acceptance of {e.series} ({e.reason})" for e in gate.expired()]
    failed = failing(result.comparisons, fail_on)
    return export_runs(code, [run], rows="comparisons", failed=failed, warnings=[*warnings, *expired])


def comparison_code(result: PairedResult, fail_on: tuple[str, ...]) -> int:
    """The exit code of a comparison; what makes it fail is printed."""
    from harness.gate import failures

    if result.info.interrupted:
        return INTERRUPTED
    found = failures(result.comparisons, fail_on)
    for line in found:
        click.echo(f"failed: {printable(line)}", err=True)
    if found or any(item.kind == "refused" for item in result.left_out):
        return DISAGREE
    return AGREE if result.comparisons else INCONCLUSIVE
