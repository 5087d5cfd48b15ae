"""`adjudge coverage`: check every differentiable operator and function of PyTorch and JAX, and make the page of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import click

from harness.cli.options import AGREE, DISAGREE, EPILOG, INTERRUPTED, Failed, names, seconds, unknown
from harness.cli.output import check_out, command_line

if TYPE_CHECKING:
    from harness.coverage import CoverageRow

__all__ = ["coverage"]


@click.command(epilog=EPILOG)
@click.option(
    "--engines",
    metavar="NAMES",
    callback=names("engine", lambda: ("torch", "jax")),
    help="Whose functions are checked.  [default: torch,jax, as far as installed]",
)
@click.option(
    "--ops",
    metavar="NAMES",
    help="Check these functions only, such as exp,nn.functional.gelu,jax.numpy.sin; a last * stands for any ending.",
)
@click.option("--budget", metavar="TIME", callback=seconds, default="2h", show_default=True, help="When to stop.")
@click.option(
    "--out",
    metavar="DIR",
    default="adjudge-out/coverage",
    show_default=True,
    help="Folder for the rows and the page. Functions that have a row there are not checked again.",
)
@click.option("--again", is_flag=True, help="Check them again.")
@click.option(
    "--page", type=click.Path(dir_okay=False), help="Where the page goes.  [default: coverage.md in the folder]"
)
def coverage(
    *, engines: tuple[str, ...] | None, ops: str | None, budget: float, out: str, again: bool, page: str | None
) -> NoReturn:
    """Check every differentiable operator of PyTorch and function of JAX with a few calls each.

    A worker process does the checks, so that a crash or a hang costs one row. A run that was stopped goes on where it was.

    \b
    Examples:
      adjudge coverage
      adjudge coverage --engines torch --ops 'nn.functional.*'
      adjudge coverage --page harness/docs/coverage.md
    """
    from pathlib import Path

    from harness.coverage import as_markdown, known_differences, listed, read_rows, run, summary, waived, write_rows
    from harness.environment import describe_run
    from harness.progress import Live
    from harness.records import RecordError

    functions = _chosen(listed(_installed(engines)), ops)
    check_out(out)
    rows_path, page_path = f"{out.rstrip('/')}/coverage.parquet", Path(page or f"{out.rstrip('/')}/coverage.md")
    info = describe_run(command=command_line(), budget_seconds=budget)
    about: dict[str, Any] = {"command": info.command, "versions": info.versions, "seconds": 0.0, "machine": info.cpu}
    kept: dict[tuple[str, str], CoverageRow] = {}
    try:
        before, earlier = read_rows(rows_path)
        kept = {(r.engine, r.name): r for r in before}
        about["seconds"] = earlier["seconds"]
    except FileNotFoundError:
        pass  # a first run
    except RecordError as error:
        raise Failed(f"--out: {error}") from None
    versions = {name: info.versions.get(name, "") for name in ("torch", "jax")}
    asked = [f for f in functions if again or not _is_current(kept.get(f[:2]), versions)]
    stopped = False
    with Live("checking") as live:
        try:
            done = 0
            tell = lambda engine, name: live.tell(done / max(len(asked), 1), f"{done}/{len(asked)}  {engine}  {name}")
            for row in run(asked, budget_seconds=budget, begun=tell):
                kept[row.engine, row.name] = row
                about["seconds"] += row.seconds
                done += 1
                if done % 20 == 0:
                    write_rows(rows_path, list(kept.values()), about)
        except KeyboardInterrupt:
            stopped = True
    known = known_differences()
    rows = [waived(kept[key], known) for key in sorted(kept, key=lambda k: (k[0] != "torch", kept[k].area, k[1]))]
    write_rows(rows_path, rows, about)
    page_path.parent.mkdir(parents=True, exist_ok=True)
    page_path.write_text(as_markdown(rows, about))
    shown = [r for r in rows if any(f[:2] == (r.engine, r.name) for f in functions)]
    click.echo(summary(shown))
    left = len(functions) - len(shown)
    if left:
        click.echo(f"{left} functions are left: run the command again to go on", err=True)
    for row in shown:
        if row.status == "wrong" or row.ended:
            click.echo(f"  {row.name}: {row.ended or row.reason}{f' (known: {row.waiver})' if row.waiver else ''}")
    click.echo(f"rows: {rows_path}")
    click.echo(f"page: {page_path}")
    raise click.exceptions.Exit(INTERRUPTED if stopped else _code(shown))


def _code(rows: Sequence[CoverageRow]) -> int:
    return DISAGREE if any(r.status == "wrong" and not r.waiver for r in rows) else AGREE


def _is_current(row: CoverageRow | None, versions: dict[str, str]) -> bool:
    return row is not None and row.engine_version == versions[row.engine]


def _installed(engines: tuple[str, ...] | None) -> list[str]:
    from harness.coverage import ENGINES
    from harness.coverage.checks import engine

    found = []
    for name in engines or ENGINES:
        try:
            engine(name)
        except ImportError as error:
            if engines:
                raise Failed(f"--engines: {name} is not installed: {error}") from None
            click.echo(f"left out: {name}: {error}", err=True)
        else:
            found.append(name)
    if not found:
        raise Failed("neither PyTorch nor JAX is installed; `adjudge doctor` says how to get them")
    return found


def _chosen(functions: dict[tuple[str, str], str], ops: str | None) -> list[tuple[str, str, str]]:
    """(engine, name, area) of the functions that are named, or of all."""
    everything = [(engine, name, area) for (engine, name), area in functions.items()]
    if ops is None:
        return everything
    found: list[tuple[str, str, str]] = []
    for word in filter(None, (w.strip() for w in ops.split(","))):
        matching = [f for f in everything if f[1] == word or (word.endswith("*") and f[1].startswith(word[:-1]))]
        if not matching:
            raise click.BadParameter(unknown("function", word, [f[1] for f in everything]), param_hint="--ops")
        found += [f for f in matching if f not in found]
    if not found:
        raise click.BadParameter(f"no function is named in {ops!r}", param_hint="--ops")
    return found
