"""Try every op alone at numbers from the least to the largest of a dtype: what a framework's own formula loses shows there.

    python suites/benchmarks/extremes.py --backend torch --points 300
    python suites/benchmarks/extremes.py --backend jax --ops atanh,gelu,reciprocal --points 60

Drawn programs meet such numbers seldom; here most points have them, among primals and cotangents. Every disagreement is
printed once for each op, dtype, claim and aspect, at the fewest numbers that showed it; defects that waivers know are among
them.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from typing import Any

import click
import numpy as np

from harness import backends
from harness.cases import Array, Case
from harness.examine import examine
from harness.floats import DTYPES, about, to_dtype
from harness.generation import random_program
from harness.judgement import Verdict
from harness.points import point
from harness.vocabulary import OPS

MOST = 40  # elements of a case: what is wrong in a large one is wrong in a small one


@click.command()
@click.option("--backend", default="torch", show_default=True)
@click.option("--ops", help="Try these ops only, separated by commas.")
@click.option("--points", default=100, show_default=True, help="How many points of each op.")
@click.option("--seed", default=0, show_default=True)
def main(backend: str, ops: str | None, points: int, seed: int) -> None:
    """Print where a backend disagrees."""
    engine, kinds = backends.get(backend), Counter[str]()
    for op in sorted(OPS) if ops is None else ops.split(","):
        found: dict[tuple[str, str, str], list[tuple[Case, Verdict]]] = {}
        for k in range(points):
            case = drawn(op, k, seed)
            for verdict in () if case is None else examine(case, engine):
                kinds[verdict.kind] += 1
                if verdict.kind == "disagree" and case is not None:
                    found.setdefault((case.dtype, verdict.claim, verdict.aspect), []).append((case, verdict))
        for key, some in found.items():
            case, verdict = min(some, key=lambda pair: sum(x.size for x in pair[0].primals))
            print(op, *key, f"at {len(some)} points:", verdict.reason)
            print("   ", str(case.program).splitlines()[1].strip(), *(x.tolist() for x in case.primals))
            print("    cotangents", *(None if ct is None else ct.tolist() for ct in case.cotangents))
    print(", ".join(f"{n} {kind}" for kind, n in kinds.most_common()))


def drawn(op: str, k: int, seed: int) -> Case | None:
    """Point k of an op, one in five as runs draw it and the others stirred; None if it is large."""
    program = random_program(random.Random(7 * k + 1), ops=(op,), max_instrs=1)
    if sum(int(np.prod(spec.shape)) for spec in program.inputs) > MOST:
        return None
    dtype = DTYPES[k % len(DTYPES)]
    case = point(program, seed=k + 1, kind=("random", "edge")[k // len(DTYPES) % 2], dtype=dtype)
    rng, way = np.random.default_rng([seed, k]), k // 2 % 5
    if way == 4:
        return case
    return replace(
        case,
        primals=tuple(
            stirred(x, way, dtype, rng, spec.domain) for x, spec in zip(case.primals, program.inputs, strict=True)
        ),
        cotangents=tuple(
            None if ct is None else stirred(ct, int(rng.integers(1, 4)), dtype, rng) for ct in case.cotangents
        ),
    )


def stirred(x: Array, way: int, dtype: str, rng: Any, domain: str = "real") -> Array:
    """The array times powers of 10: of moderate size, from end to end, some of them tiny, or a few."""
    if x.dtype.kind != "f" or not x.size:
        return x
    info = about(dtype)
    low, high = np.log10(float(info.tiny)) - 2, np.log10(float(info.max)) - 1
    if way == 0:
        exponents = rng.uniform(low / 2, high / 2, x.shape)
    elif way == 1:
        exponents = rng.uniform(low, high, x.shape)
    elif way == 2:
        exponents = np.where(rng.random(x.shape) < 0.5, 0.0, rng.uniform(low, 0, x.shape))
    else:
        exponents = np.where(rng.random(x.shape) < 0.7, 0.0, rng.uniform(-3, 2, x.shape))
    factors = 10.0**exponents
    with np.errstate(all="ignore"):
        numbers = x.astype(np.float64) * (np.minimum(factors, 1.0) if domain == "unit" else factors)
        return np.asarray(to_dtype(np.clip(numbers, -float(info.max), float(info.max)).astype(x.dtype), dtype))


if __name__ == "__main__":
    main()
