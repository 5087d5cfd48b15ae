"""How strong are checkers of gradients? `run_power` asks each of them about the functions of the defect library.

Every checker of a framework gets the same function and the same example arguments, and its default settings. Each is also
asked about the same functions without the defects: what it complains of there is a false alarm. `adjudge power` is the
command, `reports.power` makes the table.
"""

from __future__ import annotations

import importlib
import importlib.util
import math
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from harness import backends
from harness.cases import Case
from harness.checking import check_gradients
from harness.defects import Defect, PlantedBackend, can_be_planted
from harness.defects.library import library, unplanted
from harness.defects.twins import Twin
from harness.environment import describe_run
from harness.examine import examine
from harness.judgement import Verdict
from harness.oracles.bound import enclose_backend
from harness.oracles.certificate import certify
from harness.oracles.second_order import bound_hvp, certify_hvp, judge_hvp, run_hvp
from harness.points import point
from harness.programs import Instr, Program, Spec
from harness.records import PowerRow, RunInfo
from harness.strategies import programs_of

__all__ = ["ADJUDGE", "ENGINES", "PowerResult", "available", "is_adjudge", "run_power"]

ENGINES: Final = ("reference", "torch", "jax", "autograd")
ADJUDGE: Final = "Adjudge"
DRAWN: Final = "Adjudge, drawn programs"
PROGRAMS, POINTS = 96, 4  # drawn for one op; of each program


@dataclass(frozen=True)
class PowerResult:
    """All answers.

    Attributes:
        info: the run.
        rows: one a question.
        pending: how many questions are left, since time ran out or it was interrupted.
    """

    info: RunInfo
    rows: tuple[PowerRow, ...]
    pending: int

    @property
    def missed(self) -> list[PowerRow]:
        """Functions with a structural defect that `check_gradients` passes."""
        return [r for r in self.rows if r.checker == ADJUDGE and r.planted and r.structural and r.answer != "complains"]

    @property
    def alarms(self) -> list[PowerRow]:
        """Right functions that Adjudge complains of."""
        return [r for r in self.rows if is_adjudge(r) and not r.planted and r.answer == "complains"]


def is_adjudge(row: PowerRow) -> bool:
    """Whether the answer is Adjudge's own."""
    return row.checker in (ADJUDGE, DRAWN)


def available() -> dict[str, str | None]:
    """For each engine None, or why it cannot take part."""
    known = backends.available()
    found: dict[str, str | None] = {name: known[name] for name in ENGINES if name in known}
    lacking = importlib.util.find_spec("autograd") is None
    found["autograd"] = "autograd is not installed: pip install autograd" if lacking else None
    return found


@dataclass(frozen=True)
class _Question:
    twin: Twin
    engine: str
    checker: str

    @property
    def key(self) -> tuple[Any, ...]:
        return (str(self.twin.defect), self.twin.planted, self.twin.form, self.twin.dtype, self.engine, self.checker)


def run_power(
    *,
    engines: Sequence[str] = ENGINES,
    groups: Collection[str] | None = None,
    ops: Collection[str] | None = None,
    limit: int | None = None,
    seed: int = 0,
    budget_seconds: float = math.inf,
    former: PowerResult | None = None,
    command: str = "",
    progress: Callable[[int, int, str], None] | None = None,
    keep: Callable[[RunInfo, Sequence[PowerRow]], None] | None = None,
) -> PowerResult:
    """Ask every checker about every function, the kinds mixed, until all is asked, time is up or Ctrl-C comes.

    Args:
        engines: of `ENGINES`; each must be available.
        groups: names of `harness.defects.GROUPS`; all by default.
        ops: plant in these ops only.
        limit: take so many defects, the first of the library's order.
        seed: chooses the defects and the example arguments.
        budget_seconds: no further question is begun after this time.
        former: an unfinished run with the same seed: its rows are kept and not asked for again.
        progress: called with the questions answered, their number, and the one that comes.
        keep: called with what there is, now and then.

    Raises:
        ValueError: no defect is of these groups and ops.
    """
    chosen = [d for d in library(seed) if (groups is None or d.group in groups) and (ops is None or d.op in ops)]
    if not chosen:
        raise ValueError("kinds, ops: the library has no defect of these")
    questions = list(_questions(chosen[:limit], engines))
    info = former.info if former is not None else describe_run(command=command, seed=seed)
    rows = list(former.rows) if former is not None else []
    done = {(r.defect, r.planted, r.form, r.dtype, r.engine, r.checker) for r in rows}
    pending = [q for q in questions if q.key not in done]
    before, started = info.elapsed_seconds or 0.0, time.monotonic()
    interrupted = False
    asked = 0

    def now() -> RunInfo:
        return replace(
            info,
            elapsed_seconds=before + time.monotonic() - started,
            interrupted=interrupted,
        )

    try:
        _warm_up(engines)
        for question in pending:
            if time.monotonic() - started > budget_seconds:
                break
            if progress is not None:
                progress(
                    len(questions) - len(pending) + asked, len(questions), f"{question.engine}: {question.twin.defect}"
                )
            rows.append(_answer(question, info.run_id, seed))
            asked += 1
            if keep is not None:
                keep(now(), rows)
    except KeyboardInterrupt:
        interrupted = True
    return PowerResult(now(), tuple(rows), len(pending) - asked)


def _questions(chosen: Sequence[Defect], engines: Sequence[str]) -> Iterator[_Question]:
    """The questions about each defect, and of each third time those about a function without one."""
    right = list(unplanted(chosen))
    share = len(right) / len(chosen)
    taken = 0
    for k, defect in enumerate(chosen):
        yield from _about(Twin(defect), engines)
        while taken < min(len(right), math.ceil((k + 1) * share)):
            yield from _about(right[taken], engines)
            taken += 1


def _about(twin: Twin, engines: Sequence[str]) -> Iterator[_Question]:
    for engine in engines:
        module = _twins(engine)
        if module.can_build(twin):
            continue
        own = [] if engine == "autograd" else [ADJUDGE]
        if engine == "reference" and can_be_planted(twin.defect):
            own.append(DRAWN)
        for checker in [*own, *module.CHECKERS]:
            yield _Question(twin, engine, checker)


def _twins(engine: str) -> Any:
    return importlib.import_module(f"harness.backends.{engine}_twins")


def _warm_up(engines: Sequence[str]) -> None:
    """Ask once before the clock counts: imports and first calls are no part of the time."""
    for question in _about(Twin(Defect("exp", 0, "sign"), planted=False), engines):
        _asked(question, 0)


def _answer(question: _Question, run_id: str, seed: int) -> PowerRow:
    start = time.perf_counter()
    answer, detail = _asked(question, seed)
    seconds = time.perf_counter() - start
    twin, defect = question.twin, question.twin.defect
    return PowerRow(
        run_id=run_id,
        defect=str(defect),
        op=defect.op,
        argument=defect.argument,
        kind=defect.kind,
        group=defect.group,
        size=defect.size,
        where=defect.where,
        structural=defect.structural,
        planted=twin.planted,
        form=twin.form,
        dtype=twin.dtype,
        engine=question.engine,
        checker=question.checker,
        answer=answer,
        detail=detail[:400],
        seconds=seconds,
        bounds=_in_bounds(twin, question.engine, seed),
    )


def _asked(question: _Question, seed: int) -> tuple[str, str]:
    twin = question.twin
    if question.checker == DRAWN:
        return _drawn(twin, seed)
    module = _twins(question.engine)
    fn, xs = module.build(twin), module.arguments(twin.example(seed))
    if question.checker != ADJUDGE:
        complaint = module.CHECKERS[question.checker](fn, xs)
        return ("complains" if complaint else "passes"), complaint
    # PyTorch's autograd is off inside a custom function, so that a detach there says nothing of what is meant.
    spec = module.plain(twin) if twin.form == "op(x) detach(sum(x))" else None
    report = check_gradients(fn, *xs, spec=spec, raises=False)
    words = {"wrong": "complains", "inconclusive": "undecided"}
    told = [f"{c.name} {c.verdict}: {c.text}" for c in report.claims if c.verdict == report.verdict != "right"]
    return words.get(report.verdict, "passes"), "; ".join(told)


# -- the rule of a primitive, wrong while drawn programs run


def _drawn(twin: Twin, seed: int) -> tuple[str, str]:
    """Examine drawn programs of the op, with the wrong rule in the tape, until one disagrees."""
    backend = PlantedBackend(twin.defect) if twin.planted else backends.get("reference")
    decided = 0
    for number, program in enumerate(programs_of(twin.defect.op, PROGRAMS, seed)):
        for k in range(POINTS):
            # Half of the points in each precision; what is wrong in float32 alone shows there. Edge values come in many
            # kinds, a kind a seed, so that each program has seeds of its own.
            case = point(
                program,
                seed=1 + number * POINTS + k,
                kind=("random", "edge")[k == 3],
                dtype=("float64", "float32")[k % 2],
            )
            for verdict in [*examine(case, backend), _second(case, twin)]:
                if verdict.kind == "disagree" and verdict.claim != "value" and verdict.aspect != "accuracy":
                    return "complains", f"{program}: {verdict.claim}: {verdict.reason}"
                decided += verdict.elements - verdict.undecided
    return ("passes" if decided else "undecided"), ""


def _second(case: Case, twin: Twin) -> Verdict:
    """Judge the second order, too, of what is twice differentiable there."""
    nothing = Verdict("inconclusive", "hvp", reason="not asked")
    if twin.defect.kind != "second order" or case.dtype != "float64":
        return nothing
    truth = certify_hvp(_squared(case))
    if truth.certificate.status != "certified":
        return nothing
    case = _squared(case)
    if twin.planted:
        from harness.defects import planted

        with planted(twin.defect):
            outcome = run_hvp(case, truth.directions, "reference")
    else:
        outcome = run_hvp(case, truth.directions, "reference")
    return judge_hvp(case, outcome, truth, bound_hvp(case, truth.directions, "reference"))


def _squared(case: Case) -> Case:
    """The case with its outputs squared beside them, so that there is a second derivative."""
    program = case.program
    n = len(program.inputs) + len(program.instrs)
    squares = tuple(Instr("mul", (slot, slot)) for slot in program.outputs)
    extended = replace(
        program,
        instrs=program.instrs + squares,
        outputs=program.outputs + tuple(n + j for j in range(len(squares))),
    )
    return replace(case, program=extended, cotangents=case.cotangents * 2)


# -- how large a factor is, measured by what rounding may do


def _in_bounds(twin: Twin, engine: str, seed: int) -> float:
    """The size of a factor in bounds, at the element of the example that shows it best; nan if there is no bound."""
    if twin.defect.kind != "factor" or twin.form != "op(xs)" or engine == "autograd":
        return math.nan
    xs = tuple(np.array(x) for x in twin.example(seed))
    n = len(xs)
    program = Program(
        tuple(Spec(x.shape) for x in xs), (Instr(twin.defect.op, tuple(range(n)), twin.site.params),), (n,)
    )
    ct = point(program, dtype=twin.dtype).cotangents[0]
    case = Case(program, xs, (True,) * n, (ct,), twin.dtype)
    return _bounds_of(case, engine, twin.defect.argument) * twin.defect.size


def _bounds_of(case: Case, engine: str, argument: int) -> float:
    certificate = certify(case)
    if certificate.status != "certified":
        return math.nan
    bound = enclose_backend(case, engine)
    true, room = certificate.grads[argument], bound.grads[argument]
    if true is None or room is None:
        return math.nan
    with np.errstate(all="ignore"):
        ratios = np.abs(true.midpoints()) / room.radii()
    return float(np.nanmax(ratios, initial=0.0))
