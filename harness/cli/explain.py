"""`adjudge explain`: where in a saved case the first wrong number arises."""

from __future__ import annotations

import click

from harness.cli.options import AGREE, DISAGREE, Failed

__all__ = ["explain"]


@click.command()
@click.argument("file", metavar="FILE", type=click.Path(exists=True, dir_okay=False))
@click.option("--backend", metavar="NAME", help="Who is asked.  [default: the one that FILE names, else torch]")
def explain(*, file: str, backend: str | None) -> None:
    """Say step by step where the first wrong value or cotangent of a saved case arises.

    FILE is a case as JSON, an entry of the corpus, or a Parquet file of verdicts with disagreements.

    \b
    Examples:
      adjudge explain adjudge-out/verdicts-20261123T005753Z-f7cc0a.parquet
      adjudge explain suites/corpus/logaddexp_of_large_equals.json --backend jax
    """
    from harness import backends
    from harness.explain import cases_in
    from harness.explain import explain as walk
    from harness.inference import ProgramError
    from harness.records import RecordError

    try:
        saved = cases_in(file)
    except (ProgramError, RecordError, OSError, UnicodeDecodeError) as error:
        raise Failed(f"{file}: {error}") from error
    wrong = False
    for one in saved:
        name = backend or one.backend or "torch"
        try:
            engine = backends.get(name)
        except (ValueError, backends.BackendUnavailable) as error:
            raise Failed(str(error)) from error
        found = walk(one.case, engine)
        click.echo(f"{one.name}, on {name}\n{one.case.program}\n")
        for step in (*found.forward, *found.backward):
            verdict, what = (step.value, "value") if step.value is not None else (step.vjp, "cotangents before")
            assert verdict is not None
            mark = " <- here" if step is found.culprit else ""
            click.echo(f"  {what} {step.text}: {verdict.kind}{': ' + verdict.reason if verdict.reason else ''}{mark}")
        if found.culprit is None:
            click.echo("  Every step is right on its own.\n")
        else:
            wrong = True
            click.echo(f"  The first thing wrong is at: {found.culprit.text}\n")
    raise click.exceptions.Exit(DISAGREE if wrong else AGREE)
