"""How small the reproducers are, how long they take to shrink, and whether their scripts fail again in a fresh process.

    python -m suites.benchmarks.reproducers --defects 200 --programs 6000 --jax-programs 400

Three kinds of disagreements are shrunk as a run of `adjudge verify` does it: wrong rules planted in the tape (one program
each, the first that shows it); what the frameworks get wrong, without any waiver; and the wrong gradients of the zoo that
`check_gradients` is tested with. The scripts of the last two run with their framework alone: one that ends with exit code 1
shows the defect again.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import click
import numpy as np

from harness import backends, check_gradients, serial, verify
from harness.defects import PlantedBackend
from harness.defects.rules import all_defects
from harness.environment import cpu_name, versions
from harness.inference import OPS
from harness.records import VerdictRow

Size = tuple[int, int]


class Stop(KeyboardInterrupt):
    """Ends a run at its first disagreement, as Ctrl-C does, which keeps the rows."""


def shrunk_sizes(rows: Iterable[VerdictRow]) -> list[Size]:
    """Ops and elements of what disagreements were shrunk to."""
    cases = [serial.loads_case(row.program) for row in rows if row.verdict == "disagree" and row.program]
    return [(len(c.program.instrs), sum(x.size for x in c.primals)) for c in cases]


def until_first(progress: Any) -> None:
    """Stop a run once it has a disagreement."""
    if progress.disagreements:
        raise Stop


def planted(count: int, seconds_each: float) -> tuple[list[Size], list[float], int]:
    """Shrink the first disagreement of so many planted rules: sizes, seconds of it, and how many showed in no program."""
    rng = np.random.default_rng(0)
    every = [defect for defect in all_defects() if defect.op in OPS]  # the others are met inside other ops
    sizes: list[Size] = []
    seconds: list[float] = []
    unseen = 0
    plain = verify._note
    for k in rng.permutation(len(every))[:count]:
        defect = every[int(k)]
        spent: list[float] = []

        def timed(
            state: Any, made: Any, identity: str, case: Any, verdict: Any, *rest: Any, to: list[float] = spent
        ) -> None:
            started = time.process_time()
            plain(state, made, identity, case, verdict, *rest)
            if verdict.kind == "disagree":
                to.append(time.process_time() - started)

        with (
            mock.patch.object(backends, "get", lambda name, d=defect: PlantedBackend(d)),
            mock.patch.object(verify, "_note", timed),
        ):
            result = verify.run_verify(
                backends_=["reference"],
                ops=None,
                dtypes=("float64",),
                seed=int(k),
                budget_seconds=seconds_each,
                progress=until_first,
            )
        found = shrunk_sizes(result.rows)
        unseen += not found
        sizes += found[:1]
        seconds += spent[:1]
    return sizes, seconds, unseen


def fails_again(script: str, raises: bool = False) -> bool:
    """Whether a script ends with exit code 1 in a process of its own, and not because it is no program.

    An exception counts only where the framework raising one is the defect.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "script.py"
        path.write_text(script, encoding="utf-8")
        ended = subprocess.run([sys.executable, str(path)], capture_output=True, timeout=300, cwd=folder, text=True)
    if raises:
        return ended.returncode == 1 and not any(error in ended.stderr for error in _NO_PROGRAM)
    return ended.returncode == 1 and ("Traceback" not in ended.stderr or "AssertionError" in ended.stderr)


_NO_PROGRAM = ("SyntaxError", "NameError", "ImportError", "ModuleNotFoundError", "AttributeError")


def in_frameworks(names: Sequence[str], programs: int) -> tuple[list[Size], list[tuple[str, bool]]]:
    """What a run without waivers writes down: sizes, and scripts with whether the framework raises in them."""
    result = verify.run_verify(backends_=names, max_programs=programs, budget_seconds=3600.0, seed=77)
    rows = [row for row in result.rows if row.verdict == "disagree" and row.reproducer]
    return shrunk_sizes(rows), [(row.reproducer, row.bucket.endswith(": raises")) for row in rows]


def in_the_zoo() -> list[tuple[str, bool]]:
    """The scripts of `check_gradients` for the wrong gradients of the zoo."""
    from suites.gradient_zoo import wrong

    found = []
    for function, args, *_ in wrong().values():
        report = check_gradients(function, *args, raises=False)
        if report.script:
            found.append((report.script, False))
    return found


def told(what: str, sizes: Sequence[Size]) -> None:
    """Print medians and extremes."""
    ops, elements = (np.array(column) for column in zip(*sizes, strict=True))
    share = float(np.mean((ops <= 2) & (elements <= 2)))
    print(
        f"{what}: {len(sizes)} reproducers, median {np.median(ops):g} ops and {np.median(elements):g} elements, "
        f"95 % at most {np.quantile(ops, 0.95):g} and {np.quantile(elements, 0.95):g}, {share:.0%} of at most 2 and 2"
    )


@click.command()
@click.option("--defects", default=200, show_default=True, help="Rules to plant.")
@click.option("--seconds-each", default=60.0, show_default=True, help="How long a planted rule may stay unseen.")
@click.option("--programs", default=6000, show_default=True, help="Programs to run on PyTorch.")
@click.option("--jax-programs", default=400, show_default=True, help="Programs to draw where JAX is run, too.")
def main(defects: int, seconds_each: float, programs: int, jax_programs: int) -> None:
    """Print the figures."""
    print(f"{cpu_name()}; " + ", ".join(f"{k} {v}" for k, v in versions().items()))
    if defects:
        sizes, seconds, unseen = planted(defects, seconds_each)
        told("planted in the tape", sizes)
        print(
            f"    shrunk in {np.median(seconds):.2f} s (median), {np.quantile(seconds, 0.95):.1f} s (95 %), "
            f"{np.mean(np.array(seconds) < 10.0):.0%} within 10 s; {unseen} showed in no program within {seconds_each:g} s"
        )
    runs: list[tuple[str, Callable[[], tuple[list[Size], list[tuple[str, bool]]]]]] = []
    if programs:
        runs.append(("PyTorch, no waivers", lambda: in_frameworks(["torch"], programs)))
    if jax_programs:
        runs.append(("JAX, no waivers", lambda: in_frameworks(["jax-jit"], jax_programs)))
    scripts: list[tuple[str, bool]] = []
    for what, run in runs:
        sizes, written = run()
        if sizes:
            told(what, sizes)
        scripts += written
    zoo = in_the_zoo()
    for what, some in (("drawn programs", scripts), ("check_gradients", zoo)):
        again = [fails_again(*script) for script in some]
        print(f"scripts of {what}: {sum(again)} of {len(again)} fail again in a fresh process")


if __name__ == "__main__":
    main()
