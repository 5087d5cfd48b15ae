"""`adjudge verify`: draw programs and judge every backend's values and gradients."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, NamedTuple, NoReturn

import click

from harness.cli.exports import EXPORTS, export_runs
from harness.cli.options import (
    AGREE,
    DISAGREE,
    EPILOG,
    INCONCLUSIVE,
    INTERRUPTED,
    MAX_INCONCLUSIVE,
    NO_REPORT,
    OUT,
    SEED,
    Failed,
    names,
    seconds,
    usable,
)
from harness.cli.output import check_out, command_line, keep, make_report

if TYPE_CHECKING:
    from harness.records import Run
    from harness.verify import VerifyResult

__all__ = ["Judged", "judge", "verify"]


def _op_names() -> Collection[str]:
    from harness.inference import OPS

    return OPS


def _verify_backends() -> Collection[str]:
    from harness.backends import names

    return names()


@click.command(epilog=EPILOG)
@click.option(
    "--budget",
    metavar="TIME",
    callback=seconds,
    default="60s",
    show_default=True,
    help="When to stop drawing: 90, 90s, 5m, 1h.",
)
@click.option(
    "--backends",
    "chosen",
    metavar="NAMES",
    callback=names("backend", _verify_backends),
    help="Who is judged.  [default: reference,torch,jax-jit, as far as installed]",
)
@click.option(
    "--ops", metavar="NAMES", callback=names("op", _op_names), help="Draw programs of these ops only.  [default: all]"
)
@click.option(
    "--dtypes",
    metavar="NAMES",
    callback=names("dtype", lambda: ("float64", "float32", "float16", "bfloat16")),
    default="float64,float32,float16,bfloat16",
    show_default=True,
    help="Dtypes of the points; of float16 and bfloat16 short programs alone, beside the others.",
)
@click.option("--max-programs", type=click.IntRange(1), help="Stop after so many programs.")
@click.option(
    "--waivers",
    type=click.Path(dir_okay=False),
    help="TOML file of known differences.  [default: the one that comes with Adjudge]",
)
@click.option(
    "--jax-cache",
    type=click.Path(file_okay=False),
    metavar="DIR",
    envvar="ADJUDGE_JAX_CACHE",
    show_envvar=True,
    help="Keep what JAX compiles there: a first run takes longer, another of the same seed about half the time.",
)
@click.option(
    "--require-coverage",
    is_flag=True,
    help="End with 3 if an op, rank, layout, dtype, size or edge value was never drawn.",
)
@MAX_INCONCLUSIVE
@SEED
@OUT
@NO_REPORT
@EXPORTS
def verify(
    *,
    budget: float,
    chosen: tuple[str, ...] | None,
    ops: tuple[str, ...] | None,
    dtypes: tuple[str, ...],
    max_programs: int | None,
    waivers: str | None,
    jax_cache: str | None,
    require_coverage: bool,
    max_inconclusive: float,
    seed: int,
    out: str,
    no_report: bool,
) -> NoReturn:
    """Draw programs, judge every backend's values and gradients, shrink what disagrees.

    \b
    Examples:
      adjudge verify --budget 60s
      adjudge verify --backends torch --ops softmax,logsumexp,matmul --dtypes float32
      adjudge verify --seed 7 --max-programs 500 --out runs/
      adjudge verify --markdown summary.md --junit adjudge.xml --github
      adjudge verify --budget 2h --require-coverage
    """
    judged = judge(
        budget=budget, chosen=chosen, ops=ops, dtypes=dtypes, max_programs=max_programs, waivers=waivers,
        jax_cache=jax_cache, max_inconclusive=max_inconclusive, seed=seed, out=out, require_coverage=require_coverage,
    )  # fmt: skip
    if not no_report:
        make_report(out)
    raise click.exceptions.Exit(export_runs(judged.code, [judged.run], rows="verdicts", problems=judged.problems))


class Judged(NamedTuple):
    """How it went: the exit code, the run, and what besides disagreements makes it no success."""

    code: int
    run: Run
    problems: tuple[str, ...]


def judge(
    *,
    budget: float,
    chosen: tuple[str, ...] | None,
    ops: tuple[str, ...] | None,
    dtypes: tuple[str, ...],
    max_programs: int | None,
    waivers: str | None,
    jax_cache: str | None,
    max_inconclusive: float,
    seed: int,
    out: str,
    require_coverage: bool = False,
) -> Judged:
    """Run, keep the rows, print the summary."""
    from harness.progress import Live
    from harness.records import Run
    from harness.strategies import programs
    from harness.verify import DEFAULT_BACKENDS, run_verify
    from harness.waivers import DEFAULT_PATH, WaiverError, load

    try:
        known = load(waivers or DEFAULT_PATH)
        programs(ops=ops)
    except WaiverError as error:
        raise Failed(f"--waivers: {error}") from None
    except ValueError as error:
        raise click.UsageError(f"--ops: {error}") from None
    backends = _loadable(usable(chosen, DEFAULT_BACKENDS), asked_for=chosen is not None)
    if jax_cache is not None and any(name.startswith("jax") for name in backends):
        _keep_compilations(jax_cache)
    check_out(out)
    with Live("judging") as live:
        result = run_verify(
            backends_=backends, ops=ops, dtypes=dtypes, seed=seed, budget_seconds=budget, max_programs=max_programs,
            known_differences=known, command=command_line(), progress=live.verify(budget, max_programs),
        )  # fmt: skip
    run = Run(result.info, verdicts=tuple(result.rows), coverage=tuple(result.coverage))
    keep(out, run)
    if result.failure is not None:
        raise result.failure  # with the rows kept
    code, problem = _code(result, max_inconclusive, require_coverage=require_coverage)
    if problem:
        click.echo(problem, err=True)
    return Judged(code, run, (problem,) if problem else ())


def _loadable(names: Sequence[str], *, asked_for: bool) -> tuple[str, ...]:
    """Those of the backends whose framework can be imported; one that was asked for and cannot is an error."""
    from harness.backends import get

    loaded = []
    for name in names:
        try:
            get(name)
        except Exception as error:  # a framework that is installed may still fail to load, in any way
            problem = f"{name} fails to load: {type(error).__name__}: {error}"
            if asked_for:
                raise Failed(f"--backends: {problem}") from None
            click.echo(f"left out: {problem}", err=True)
        else:
            loaded.append(name)
    return tuple(loaded)


def _keep_compilations(folder: str) -> None:
    from harness.backends.jax_backend import persist_compilations
    from harness.records import RecordError, check_writable

    try:
        check_writable(folder)
    except RecordError as error:
        raise Failed(f"--jax-cache: {str(error).removeprefix('out: ')}") from None
    persist_compilations(folder)


def _code(result: VerifyResult, max_inconclusive: float, *, require_coverage: bool) -> tuple[int, str]:
    """The exit code, and why it is that of an inconclusive run if it is."""
    if result.info.interrupted:
        return INTERRUPTED, ""
    if result.disagreements:
        return DISAGREE, ""
    if not any(row.element_count for row in result.rows):
        return INCONCLUSIVE, "nothing was compared: a larger --budget may help"
    if 100 * result.inconclusive_share > max_inconclusive:
        share = f"{100 * result.inconclusive_share:.2g} %"
        return INCONCLUSIVE, f"{share} of the elements are inconclusive, --max-inconclusive is {max_inconclusive:g} %"
    if require_coverage and (never := result.never_drawn):
        words = [f"{facet} {value}" for facet, value in never]
        more = f" and {len(words) - 20} more" if len(words) > 20 else ""
        return INCONCLUSIVE, f"never drawn: {', '.join(words[:20])}{more}; a larger --budget may help"
    return AGREE, ""
