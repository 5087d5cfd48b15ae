"""Count the disagreements on unmodified engines: every one must be a framework's defect or a declared convention.

    python suites/benchmarks/false_alarms.py --programs 20000 --backends reference,torch
    python suites/benchmarks/false_alarms.py --programs 20000 --block 1000 --seed 7000 --out run.jsonl
    python suites/benchmarks/false_alarms.py --total run.jsonl --total jax.jsonl

A run goes block by block, the seed one higher each time, and keeps sums alone. With `--out` each finished block is a line
of a file; the same command goes on after the last of them. `--total` adds files up. What is printed: programs, points,
elements, verdicts, what stayed undecided, and the disagreements, those that a waiver covers apart from the others, each
of which comes with the first program that showed it.
"""

from __future__ import annotations

import json
import math
import traceback
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from harness import verify, waivers
from harness.environment import cpu_name, versions
from harness.floats import HALF

SUMS = ("verdicts", "judged", "elements", "undecided", "ratios", "drawn")
KEPT = ("seed", "point", "backend", "mode", "dtype", "claim", "aspect", "owner", "waiver", "bucket", "reason")


@click.command()
@click.option("--programs", default=2000, show_default=True, help="How many programs to draw.")
@click.option("--backends", default="reference,torch", show_default=True)
@click.option("--ops", help="Draw programs of these ops only, separated by commas.")
@click.option("--seed", default=0, show_default=True, help="Seed of the first block.")
@click.option("--every-program", is_flag=True, help="Compiling backends get every program, not one in eight.")
@click.option("--budget", default=36000.0, show_default=True, help="Seconds after which to stop.")
@click.option("--block", default=1000, show_default=True, help="Programs to a block.")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="File of finished blocks, written to its end."
)
@click.option("--total", multiple=True, type=click.Path(exists=True, path_type=Path), help="Add up files, run nothing.")
def main(
    programs: int,
    backends: str,
    ops: str | None,
    seed: int,
    every_program: bool,
    budget: float,
    block: int,
    out: Path | None,
    total: tuple[Path, ...],
) -> None:
    """Run the main job without a report and print what it found."""
    if total:
        show([summary for path in total for summary in read(path)])
        return
    if every_program:
        verify.JAX_SHARE = 1
    done = read(out) if out is not None and out.exists() else []
    asked = [backends, ops or "", every_program]
    if any(summary["asked"] != asked for summary in done):
        raise click.UsageError(f"--out: {out} holds blocks of another run: {done[0]['asked']}, not {asked}")
    sizes = [min(block, programs - first) for first in range(0, programs, block)]
    known = waivers.load()
    failure: Exception | None = None
    for number, size in enumerate(sizes, start=seed):
        if any(summary["seed"] == number for summary in done):
            continue
        left = budget - sum(summary["seconds"] for summary in done)
        if left <= 0:
            break
        result = verify.run_verify(
            backends_=backends.split(","),
            ops=None if ops is None else tuple(ops.split(",")),
            max_programs=size,
            seed=number,
            budget_seconds=left,
            known_differences=known,
            command="false_alarms",
        )
        done.append({"asked": asked, **summarised(result)})
        failure = result.failure
        if out is not None and not result.info.interrupted:
            with out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(done[-1]) + "\n")
        if result.info.interrupted:
            break
    if failure is not None:
        traceback.print_exception(failure)
    print(f"{cpu_name()}; " + ", ".join(f"{k} {v}" for k, v in versions().items()))
    show(done)
    if failure is not None:
        raise SystemExit(f"the run ended early, in the block of seed {done[-1]['seed']}: {failure!r}")


def read(path: Path) -> list[dict[str, Any]]:
    """The blocks of a file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def summarised(result: verify.VerifyResult) -> dict[str, Any]:
    """What is kept of a block: counts, and each disagreement."""
    sums: dict[str, Counter[str]] = {name: Counter() for name in SUMS}
    wrong = []
    for r in result.rows:
        sums["verdicts"][f"{r.backend} {r.claim} {r.aspect} {r.verdict}"] += 1
        width = "half" if r.dtype in HALF else "wide"
        if r.verdict != "unsupported":
            sums["judged"][f"{r.backend} {r.claim} {width}"] += 1
        sums["elements"][f"{r.backend} {width}"] += r.element_count
        if width == "half":
            sums["undecided"][f"{r.backend}\thalf\t{r.reason.split(':')[0]}\t"] += r.inconclusive_count
        if math.isfinite(r.error_over_bound):
            sums["ratios"][f"{r.backend}\t{min(r.error_over_bound, 1.01):.2f}"] += 1
        if r.verdict == "disagree":
            kept = {name: getattr(r, name) for name in KEPT}
            wrong.append({**kept, "waiver": r.waiver, "reproducer": r.reproducer, "ops": r.ops if r.reproducer else ""})
    for (backend, _, reason, op), n in result.undecided_by.items():
        sums["undecided"][f"{backend}\twide\t{reason}\t{op}"] += n
    for c in result.coverage:
        if c.op == "" and c.count and c.facet in ("redrawn", "edge", "rendering"):
            sums["drawn"][f"{c.facet} {c.value}"] += c.count
    info = result.info
    return {
        **{"seed": info.seed, "commit": info.git_commit, "programs": info.programs, "points": info.points},
        **{"seconds": info.elapsed_seconds, "missing": result.missing, "disagreements": wrong},
        **{name: dict(counts) for name, counts in sums.items()},
    }


def show(blocks: Sequence[dict[str, Any]]) -> None:
    """Print the sums of blocks, then their disagreements."""
    sums = {name: sum((Counter(b[name]) for b in blocks), Counter[str]()) for name in SUMS}
    for commit, some in _by(blocks, "commit"):
        seeds = sorted(b["seed"] for b in some)
        drawn = f"{sum(b['programs'] for b in some)} programs, {sum(b['points'] for b in some)} points"
        print(f"{drawn}: {len(some)} blocks of seeds {seeds[0]} to {seeds[-1]}, commit {commit}")
    programs, points, seconds = (sum(b[name] for b in blocks) for name in ("programs", "points", "seconds"))
    print(
        f"in all {programs} programs, {points} points, {seconds:.0f} s, {programs / (seconds or math.nan):.1f} programs/s"
    )
    for name in sorted({name for b in blocks for name in b["missing"]}):
        print(f"{name} did not take part")
    for key, n in sorted(sums["verdicts"].items()):
        print(f"  {n:8d}  {key}")
    for key, n in sorted(sums["elements"].items()):
        show_undecided(key, n, sums)
    for backend in sorted({key.split("\t")[0] for key in sums["ratios"]}):
        ratios = Counter(
            {float(k.split("\t")[1]): n for k, n in sums["ratios"].items() if k.startswith(f"{backend}\t")}
        )
        shares = ", ".join(f"{100 * q:g} % {_quantile(ratios, q):.2f}" for q in (0.5, 0.99, 0.999))
        print(f"{backend}: error / bound of a verdict: {shares}; above 1: {ratios[1.01]}")
    print(
        "drawn: "
        + ", ".join(f"{key} {n / (points or 1):.2%}" for key, n in sorted(sums["drawn"].items()))
        + " of the points"
    )
    show_disagreements([r for b in blocks for r in b["disagreements"]])


def show_undecided(key: str, elements: int, sums: dict[str, Counter[str]]) -> None:
    """Print what stayed undecided of one backend's elements, kinks apart, and the reasons and primitives that it is due to."""
    backend, width = key.split()
    mine = {
        tuple(k.split("\t")[2:]): n for k, n in sums["undecided"].items() if k.startswith(f"{backend}\t{width}\t") and n
    }
    kinks = sum(n for (reason, _), n in mine.items() if reason == "kink")
    most = sorted(mine.items(), key=lambda item: -item[1])[:12]
    parts = ", ".join(f"{reason}{f' in {op}' if op else ''} {n / elements:.3%}" for (reason, op), n in most)
    asked = ", ".join(f"{sums['judged'][f'{backend} {claim} {width}']} of {claim}" for claim in ("value", "vjp"))
    shares = [n / (elements or 1) for n in (sum(mine.values()) - kinks, kinks)]
    dtypes = "float64 and float32" if width == "wide" else "float16 and bfloat16"
    print(
        f"{backend}, {dtypes}: {asked} judged, {elements} elements; {shares[0]:.3%} undecided, {shares[1]:.3%} at kinks"
    )
    print(f"    {parts or 'none'}")


def show_disagreements(rows: Sequence[dict[str, Any]]) -> None:
    """Print the disagreements, those that no waiver covers last and with the program that shows each."""
    waived = Counter(r["waiver"] for r in rows if r["waiver"])
    print(f"\n{sum(waived.values())} disagreements that a waiver covers")
    for name, n in waived.most_common():
        print(f"  {n:8d}  {name}")
    for aspects, title in ((("derivative", "structure"), "wrong"), (("accuracy",), "digits lost")):
        others = [r for r in rows if not r["waiver"] and r["aspect"] in aspects]
        print(f"\n{len(others)} disagreements that none covers: {title}")
        for bucket, some in _by(others, "bucket"):
            first = min(some, key=lambda r: (not r["reproducer"], len(r["reproducer"])))
            owners = ", ".join(f"{n} {owner}" for owner, n in Counter(r["owner"] for r in some).items())
            print(f"  {len(some):8d}  {bucket}; owner: {owners}")
            print(
                f"            first: seed {first['seed']}, point {first['point']}, {first['mode']}; {first['reason']}"
            )
            print("\n".join(f"            | {line}" for line in first["reproducer"].splitlines()))


def _by(rows: Iterable[dict[str, Any]], name: str) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Rows by what they have under a name, the most frequent first."""
    found: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for r in rows:
        found[str(r[name])].append(r)
    yield from sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))


def _quantile(counts: Counter[float], share: float) -> float:
    wanted, so_far = share * counts.total(), 0
    for value, n in sorted(counts.items()):
        so_far += n
        if so_far >= wanted:
            return value
    return math.nan


if __name__ == "__main__":
    main()
