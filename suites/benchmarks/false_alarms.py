"""Count the disagreements on unmodified engines: every one must be a framework's defect or a declared convention.

    python suites/benchmarks/false_alarms.py --programs 20000 --backends reference,torch
    python suites/benchmarks/false_alarms.py --programs 2000 --backends jax-jit --every-program

Prints programs, points, elements, verdicts by aspect, the inconclusive share by reason, error / bound quantiles,
programs per second, and the reproducer of each disagreement.
"""

from __future__ import annotations

import collections
import math
import traceback

import click
import numpy as np

from harness import verify
from harness.environment import cpu_name, versions
from harness.floats import HALF


@click.command()
@click.option("--programs", default=2000, show_default=True, help="How many programs to draw.")
@click.option("--backends", default="reference,torch", show_default=True)
@click.option("--ops", help="Draw programs of these ops only, separated by commas.")
@click.option("--seed", default=0, show_default=True)
@click.option("--every-program", is_flag=True, help="Compiling backends get every program, not one in eight.")
@click.option("--budget", default=36000.0, show_default=True, help="Seconds after which to stop.")
def main(programs: int, backends: str, ops: str | None, seed: int, every_program: bool, budget: float) -> None:
    """Run the main job without a report and print what it found."""
    if every_program:
        verify.JAX_SHARE = 1
    result = verify.run_verify(
        backends_=backends.split(","),
        ops=None if ops is None else tuple(ops.split(",")),
        max_programs=programs,
        seed=seed,
        budget_seconds=budget,
        command="false_alarms",
    )
    rows, info = result.rows, result.info
    if result.failure is not None:
        traceback.print_exception(result.failure)
    seconds = info.elapsed_seconds or math.nan
    print(f"{cpu_name()}; " + ", ".join(f"{k} {v}" for k, v in versions().items()))
    drawn = f"{info.programs} programs, {info.points} points, seed {seed}"
    print(f"{drawn}: {seconds:.0f} s, {info.programs / seconds:.1f} programs/s")
    counts = collections.Counter((r.backend, r.claim, r.aspect, r.verdict) for r in rows)
    for key, n in sorted(counts.items()):
        print(f"  {n:8d}  {' '.join(key)}")
    for backend in sorted({r.backend for r in rows}):
        mine = [r for r in rows if r.backend == backend]
        elements = sum(r.element_count for r in mine)
        reasons: collections.Counter[str] = collections.Counter()
        for r in mine:
            reasons[r.reason.split(":")[0]] += r.inconclusive_count
        shares = ", ".join(f"{k} {n / elements:.3%}" for k, n in reasons.most_common() if n)
        ratios = np.array([r.error_over_bound for r in mine if math.isfinite(r.error_over_bound)])
        quantiles = np.quantile(ratios, [0.5, 0.99, 1.0])
        print(
            f"{backend}: {elements} elements; inconclusive: {shares or 'none'}; error / bound of a verdict: "
            f"median {quantiles[0]:.3f}, 99 % {quantiles[1]:.3f}, largest {quantiles[2]:.3f}"
        )
    print_undecided(result)
    for r in rows:
        if r.verdict == "disagree":
            what = f"{r.backend} {r.mode} {r.dtype} {r.claim} {r.aspect}"
            print(f"\n{'-' * 100}\n{what} owner {r.owner}: {r.reason}\n{r.reproducer}")
    if result.failure is not None:
        raise SystemExit(f"the run ended early, after {info.programs} programs: {result.failure!r}")


def print_undecided(result: verify.VerifyResult) -> None:
    """Print what stayed undecided in float64 and float32: the share, by reason and primitive, and what was drawn again."""
    elements: collections.Counter[tuple[str, str]] = collections.Counter()
    for r in result.rows:
        if r.dtype not in HALF:
            elements[r.backend, r.dtype] += r.element_count
    for (backend, dtype), n in sorted(elements.items()):
        mine = {(reason, op): m for (b, d, reason, op), m in result.undecided_by.items() if (b, d) == (backend, dtype)}
        most = sorted(mine.items(), key=lambda item: -item[1])[:12]
        parts = ", ".join(f"{reason} in {op or 'none alone'} {m / n:.3%}" for (reason, op), m in most)
        print(f"{backend} {dtype}: {sum(mine.values()) / n:.3%} of {n} elements undecided: {parts or 'none'}")
    counts = {(c.facet, c.value): c.count for c in result.coverage if c.op == ""}
    points = result.info.points or 1
    again = ", ".join(f"{n} of kind {kind}" for (facet, kind), n in sorted(counts.items()) if facet == "redrawn")
    print(f"drawn again: {again or 'none'}, of {points} points")
    edges = ((value, n) for (facet, value), n in sorted(counts.items()) if facet == "edge")
    print(f"points with edge values: {', '.join(f'{value} {n / points:.2%}' for value, n in edges)}")


if __name__ == "__main__":
    main()
