"""Explain a disagreement: where in the program the first wrong value or the first wrong cotangent arises.

`explain(case, backend)` walks the program twice. Forward: every slot is judged as an output of its own. Backward: the
program is cut before each instruction in turn, from the last to the first; what comes after the cut is a program of its
own, whose inputs are the slots that cross the cut, at the floats that the backend itself computed. While its gradients
are right, every cotangent so far was right; the first cut whose gradients are wrong names the instruction whose rule, or
whose place in the sum of cotangents, is wrong.

`cases_in(path)` reads what `adjudge explain` takes: a case as JSON, an entry of the corpus, or a Parquet file of verdicts.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from harness import records, serial
from harness.backends import Engine
from harness.cases import Array, Case
from harness.examine import examine
from harness.inference import differentiable_slots, infer
from harness.judgement import Verdict
from harness.programs import Instr, Program, Scalar

__all__ = ["Explanation", "Saved", "Step", "cases_in", "explain", "suffix"]


@dataclass(frozen=True)
class Step:
    """One instruction judged on its way forward or backward.

    Attributes:
        index: position of the instruction.
        text: the instruction as a program prints it.
        value: the verdict on its value; None on the way backward.
        vjp: the verdict on the cotangents of the slots that cross the cut before it; None on the way forward.
    """

    index: int
    text: str
    value: Verdict | None = None
    vjp: Verdict | None = None


@dataclass(frozen=True)
class Explanation:
    """What the walk found.

    Attributes:
        forward: a step an instruction, in order, up to the first wrong value.
        backward: a step an instruction, from the last, up to the first wrong cotangent.
        culprit: the step that is the first to be wrong, None if every step is right on its own.
    """

    forward: tuple[Step, ...]
    backward: tuple[Step, ...]
    culprit: Step | None


@dataclass(frozen=True)
class Saved:
    """A case that was kept, and the backend that it was kept for ("" where the file names none)."""

    name: str
    case: Case
    backend: str


def explain(case: Case, backend: Engine, *, seed: int = 0) -> Explanation:
    """Judge every instruction on its own, forward until a value is wrong, then backward until a cotangent is."""
    lines = str(case.program).splitlines()[1:-1]
    forward: list[Step] = []
    for k, line in enumerate(lines):
        slot = len(case.program.inputs) + k
        alone = replace(case, program=replace(case.program, outputs=(slot,)), cotangents=(None,))
        step = Step(k, line.strip(), value=examine(alone, backend, seed=seed)[0])
        forward.append(step)
        if _is_wrong(step.value):
            return Explanation(tuple(forward), (), step)
    backward: list[Step] = []
    for k in range(len(lines) - 1, -1, -1):
        rest = suffix(case, backend, k)
        if rest is None:
            continue
        step = Step(k, lines[k].strip(), vjp=examine(rest, backend, seed=seed)[1])
        backward.append(step)
        if _is_wrong(step.vjp):
            return Explanation(tuple(forward), tuple(backward), step)
    return Explanation(tuple(forward), tuple(backward), None)


def _is_wrong(verdict: Verdict | None) -> bool:
    return verdict is not None and verdict.kind == "disagree"


def suffix(case: Case, backend: Engine, start: int) -> Case | None:
    """Return the part of a case from instruction `start` on, at the floats that the backend computed before it.

    Its inputs are the slots that cross the cut. None if no gradient crosses it.

    Raises:
        RuntimeError: the backend cannot compute the slots that cross the cut.
    """
    program = case.program
    n = len(program.inputs)
    first = n + start  # the first slot after the cut
    instrs = program.instrs[start:]
    read = {slot for instr in instrs for slot in instr.slots} | set(program.outputs)
    crossing = sorted(slot for slot in read if slot < first)
    flags = differentiable_slots(program, case.requires_grad)
    specs = infer(program)
    wants = tuple(flags[slot] and specs[slot].kind == "float" for slot in crossing)
    if not any(wants):
        return None
    place = {slot: i for i, slot in enumerate(crossing)}
    place |= {first + k: len(crossing) + k for k in range(len(instrs))}
    moved = tuple(
        Instr(i.op, tuple(a if isinstance(a, Scalar) else place[a] for a in i.args), i.params) for i in instrs
    )
    rest = Program(tuple(specs[s] for s in crossing), moved, tuple(place[s] for s in program.outputs))
    return replace(case, program=rest, primals=_values(case, backend, crossing), requires_grad=wants)


def _values(case: Case, backend: Engine, slots: list[int]) -> tuple[Array, ...]:
    """What the backend computes for some slots; inputs as they are."""
    n = len(case.program.inputs)
    made = [s for s in slots if s >= n]
    outcome = None
    if made:
        forward = replace(case.program, outputs=tuple(made))
        outcome = backend.value_thunk(replace(case, program=forward, cotangents=(None,) * len(made)))()
        if outcome.failure is not None:
            raise RuntimeError(f"{backend.name}: {outcome.failure.kind}: {outcome.failure.message}")
    computed = {} if outcome is None else dict(zip(made, outcome.values, strict=True))
    return tuple(np.asarray(case.primals[s] if s < n else computed[s]) for s in slots)


# -- what was kept


def cases_in(path: str | os.PathLike[str]) -> list[Saved]:
    """Read the cases of a file: a case or a corpus entry as JSON, or the disagreements of a Parquet file of verdicts.

    Raises:
        ProgramError: the JSON is no case.
        RecordError: the Parquet file cannot be read, or it holds no disagreement with its case.
        OSError: the file cannot be read.
    """
    name = os.fspath(path)
    if name.endswith(".parquet"):
        kept: dict[str, Saved] = {}
        for row in records.read_run(name).verdicts:
            if row.verdict == "disagree" and row.program:
                backend = row.backend if row.mode == "eager" else f"{row.backend}-{row.mode}"
                title = f"{row.ops}: {backend} {row.dtype}, {row.claim} ({row.aspect})"
                kept.setdefault(row.program, Saved(title, serial.loads_case(row.program), backend))
        if not kept:
            raise records.RecordError(f"{name}: it holds no disagreement with its case")
        return list(kept.values())
    text = Path(name).read_text(encoding="utf-8")
    try:
        tree = json.loads(text)
    except json.JSONDecodeError:
        tree = None  # the reader of cases says what is wrong, and where
    if isinstance(tree, dict) and "case" in tree:
        text = json.dumps(tree["case"])
    return [Saved(Path(name).stem, serial.loads_case(text), "")]
