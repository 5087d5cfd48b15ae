"""Triage: which disagreements are one, and the smallest program that shows each.

A run may meet one defect in a hundred programs. Disagreements are put into buckets by who was judged, the claim, the
dtype, the ops of the smallest program that shows it, and the kind of difference; one bucket is one line of a report.
`isolated` finds the ops that are wrong on their own, at the numbers that they met, which settles most of them at once.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from harness.backends import Engine
from harness.cases import Array, Case
from harness.examine import examine
from harness.generation import random_program
from harness.inference import infer
from harness.judgement import Verdict
from harness.points import laid_out, layout_of, point
from harness.programs import Instr, Program, Scalar

__all__ = ["DIFFERENCES", "Bucket", "bucket", "difference", "isolated", "size", "smallest"]

DIFFERENCES = ("raises", "shape", "dtype", "structure", "refuted", "digits lost", "not finite", "value")
"""The kinds of difference; `difference` says which one a disagreement is.

They are coarse on purpose: one wrong sign is a zero where an operand is used twice, and a wrong number elsewhere.
"""


@dataclass(frozen=True, order=True)
class Bucket:
    """What disagreements are counted as one by.

    Attributes:
        backend: name of the engine, and "in place" where it ran the program so.
        claim: "value", "vjp", ...
        dtype: of the case.
        ops: the distinct ops of the smallest program that shows it, sorted.
        difference: one of `DIFFERENCES`.
    """

    backend: str
    claim: str
    dtype: str
    ops: tuple[str, ...]
    difference: str

    def __str__(self) -> str:
        return f"{self.backend} {self.dtype} {self.claim}: {' '.join(self.ops)}: {self.difference}"


def difference(verdict: Verdict) -> str:
    """Say of which kind a disagreement is, by its worst element.

    >>> from harness.judgement import Element
    >>> difference(Verdict("disagree", "vjp", worst=Element(0, (), -2.0, 2.0, 1e-15)))
    'value'
    >>> difference(Verdict("disagree", "vjp", "structure", "raised TypeError: no"))
    'raises'
    """
    if verdict.aspect == "structure":
        words = verdict.reason.split(":")[0]
        return next(
            (w for k, w in (("raised", "raises"), ("shape", "shape"), ("dtype", "dtype")) if k in words), "structure"
        )
    if verdict.worst is None:
        return "refuted"
    if verdict.aspect == "accuracy":
        return "digits lost"
    return "value" if math.isfinite(verdict.worst.got) else "not finite"


def bucket(verdict: Verdict, case: Case, engine: Engine) -> Bucket:
    """Return the bucket of a disagreement, its program being the smallest that shows it."""
    ops = tuple(sorted({instr.op for instr in case.program.instrs}))
    written = getattr(engine, "rendering", "") == "in place"
    return Bucket(
        f"{engine.name} in place" if written else engine.name, verdict.claim, case.dtype, ops, difference(verdict)
    )


def size(case: Case) -> tuple[int, int, int]:
    """Order cases by what a reader has to read: instructions, elements, inputs."""
    return len(case.program.instrs), sum(x.size for x in case.primals), len(case.primals)


def isolated(case: Case, engine: Engine, verdict: Verdict, *, seed: int = 0) -> Iterator[tuple[Case, Verdict]]:
    """Yield each instruction as a case of its own that shows a disagreement of the same claim and aspect.

    Its inputs are the numbers that the backend computed on the way, in memory as inputs of the case lie; its cotangents are
    simple ones. Where no instruction has a wrong gradient, those that have a wrong value are yielded: what follows goes on
    from it. Nothing is yielded where the disagreement needs several instructions, as a lost sum of cotangents does, or where
    the backend raises.
    """
    program = case.program
    if len(program.instrs) < 2:
        return
    n = len(program.inputs)
    slots = tuple(range(n + len(program.instrs)))
    outcome = engine.value_thunk(replace(case, program=replace(program, outputs=slots)))()
    if outcome.failure is not None:
        return
    specs = infer(program)
    lying = {layout_of(x) for x in case.primals} - {"dense"}
    seen: set[Program] = set()
    spoiling: list[tuple[Program, Case, Verdict]] = []
    found = False
    for instr in program.instrs:
        used = tuple(dict.fromkeys(instr.slots))
        place = {slot: i for i, slot in enumerate(used)}
        args = tuple(a if isinstance(a, Scalar) else place[a] for a in instr.args)
        inputs = tuple(program.inputs[s] if s < n else specs[s] for s in used)
        alone = Program(inputs, (Instr(instr.op, args, instr.params),), (len(used),))
        if alone in seen or not any(spec.kind == "float" for spec in inputs):
            continue
        seen.add(alone)
        made = point(alone, dtype=case.dtype)
        numbers = tuple(np.array(outcome.values[s]) for s in used)
        laid = [primals for layout in sorted(lying) for primals in _lying_so(numbers, layout)]
        for at in (made, *(replace(made, primals=primals) for primals in (numbers, *laid))):  # simple numbers first
            verdicts = examine(at, engine, seed=seed)
            again = next((v for v in verdicts if _same(v, verdict)), None)
            if again is not None:
                found = True
                yield at, again
                break
            spoiling.extend((alone, at, v) for v in verdicts if _spoils(v, verdict))
    if not found:
        yield from {alone: (at, v) for alone, at, v in reversed(spoiling)}.values()


def _lying_so(numbers: Sequence[Array], layout: str) -> Iterator[tuple[Array, ...]]:
    """The numbers in a layout; "expanded" in each dim, since a view may have moved it."""
    if layout != "expanded":
        yield tuple(laid_out(x, layout) for x in numbers)
        return
    for dim in range(max(x.ndim for x in numbers)):
        first = [x[(slice(None),) * dim + (slice(1),)].copy() if x.ndim > dim else x for x in numbers]
        yield tuple(np.broadcast_to(x, whole.shape) for x, whole in zip(first, numbers, strict=True))


def _same(verdict: Verdict, other: Verdict) -> bool:
    return (verdict.kind, verdict.claim, verdict.aspect) == (other.kind, other.claim, other.aspect)


def _spoils(value: Verdict, verdict: Verdict) -> bool:
    """Whether a gradient may be wrong for the reason that a value is."""
    numbers = "structure" not in (value.aspect, verdict.aspect)
    return numbers and (value.kind, value.claim) == ("disagree", "value") and verdict.claim != "value"


def smallest(
    case: Case, engine: Engine, verdict: Verdict, *, seed: int = 0, seconds: float = 2.0
) -> tuple[Case, Verdict]:
    """Look for the same disagreement of a single instruction with fewer elements; return the case itself if there is none.

    The instruction is drawn anew, the smallest first, and put at simple points.
    """
    if len(case.program.instrs) != 1:
        return case, verdict
    op, wanted, until = case.program.instrs[0].op, bucket(verdict, case, engine), time.monotonic() + seconds
    drawn = {random_program(random.Random(i), ops=(op,), max_instrs=1) for i in range(DRAWS)}
    made = [point(program, dtype=case.dtype) for program in drawn]
    for simple in sorted((c for c in made if size(c) < size(case)), key=lambda c: (size(c), str(c.program))):
        for number, kind in ((0, "random"), (1, "random"), (0, "edge"), (1, "edge"), (2, "edge")):
            if time.monotonic() > until:
                return case, verdict
            at = point(simple.program, seed=number, kind=kind, dtype=case.dtype)
            for again in examine(at, engine, seed=seed):
                if _same(again, verdict) and bucket(again, at, engine) == wanted:
                    return at, again
    return case, verdict


DRAWS = 100
