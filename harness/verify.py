"""Draw programs, examine them on every backend, shrink what disagrees: the main job behind `adjudge verify`.

A program is drawn once and examined at several points, since structure is what costs. Each has a seed of its own, so that
a run can be repeated and stopped at any moment. The first disagreement of each kind (`harness.triage`) is put down to the
instruction that is wrong on its own, or else shrunk by Hypothesis, and kept with a script that shows it.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import signal
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import FrameType

from harness import backends, serial, waivers
from harness.backends import BackendUnavailable, Compiling, Engine, Rendering
from harness.cases import Case
from harness.drawn import Drawn
from harness.environment import describe_run
from harness.examine import examine, expected
from harness.floats import DTYPES, HALF
from harness.generation import Draw, check_ops, draw
from harness.inference import OPS
from harness.judgement import Verdict
from harness.kernels import RUN_HALVES
from harness.oracles.certificate import Certificate, certify
from harness.oracles.responsible import responsible
from harness.points import LAYOUTS, PRIMAL_LAYOUTS, edges_of, layout_of, point
from harness.programs import Program
from harness.records import CoverageRow, RunInfo, VerdictRow
from harness.sources import spelled, to_source
from harness.strategies import simplest
from harness.triage import Bucket, bucket, difference, isolated, smallest

__all__ = ["DEFAULT_BACKENDS", "Progress", "VerifyResult", "run_verify"]

DEFAULT_BACKENDS = ("reference", "torch", "jax-jit")
JAX_SHARE = 8  # one program in so many goes to a compiling backend too ...
JAX_POINTS = 16  # ... and is examined at so many points there: compiling is what costs
SHRINK_SECONDS = 10.0
REDRAWS = 2  # how often a point is drawn again where more of what is asked for than LOST has no finite truth, ...
LOST = 0.1
KEPT = 4  # ... but for one point in so many: what frameworks do there is run all the same
HALF_INSTRS = 3  # the longest program that is judged in float16 and bfloat16 ...
HALF_POINTS = 2  # ... at so many points beside the others ...
HALF_JAX_POINTS = 4  # ... and at so many where it is compiled for them ...
HALF_JAX_SHARE = 2  # ... which one such program in so many is, beside the other dtypes
OPTIMISED_SHARE = 8  # one compiled program in so many is compiled as the framework does by default, the others quickly


@dataclass(frozen=True)
class Progress:
    """How far a run has come."""

    programs: int
    points: int
    disagreements: int
    elements: int
    undecided: int
    seconds: float


@dataclass(frozen=True)
class VerifyResult:
    """What a run found.

    Attributes:
        info: the run: machine, versions, counts, whether it was interrupted.
        rows: every verdict.
        coverage: how often what was drawn, a 0 for what belongs to the run and never was.
        undecided_by: (backend, dtype, reason, primitive) -> elements that stayed undecided, in float64 and float32.
        missing: backend name -> why it did not take part.
        failure: an exception of the harness itself that ended the run early; what was judged until then is kept.
    """

    info: RunInfo
    rows: list[VerdictRow]
    missing: dict[str, str]
    failure: Exception | None = None
    coverage: list[CoverageRow] = field(default_factory=list)
    undecided_by: Mapping[tuple[str, str, str, str], int] = field(default_factory=dict)

    @property
    def disagreements(self) -> list[VerdictRow]:
        """The verdicts that say something is wrong and that no waiver covers; lost digits are not among them."""
        return [r for r in self.rows if r.verdict == "disagree" and r.aspect != "accuracy" and not r.waiver]

    @property
    def never_drawn(self) -> list[tuple[str, str]]:
        """(facet, value) of whatever belongs to the run and never came."""
        return [(r.facet, r.value) for r in self.coverage if r.count == 0]

    @property
    def inconclusive_share(self) -> float:
        """Share of the elements that could not be decided, kinks apart: those are judged by convention elsewhere.

        Half precision is apart, too: its bounds are wide. A run of nothing else counts it.
        """
        rows = [r for r in self.rows if r.dtype not in HALF] or self.rows
        elements = sum(r.element_count for r in rows)
        undecided = sum(r.inconclusive_count for r in rows if r.reason != "kink")
        return undecided / elements if elements else 0.0


@dataclass
class _State:
    """The counts and rows of a run while it goes on."""

    info: RunInfo
    deadline: float
    limit: int | None
    report: Callable[[Progress], None] | None
    waivers: Sequence[waivers.Waiver]
    drawn: Drawn
    started: float = field(default_factory=time.monotonic)
    rows: list[VerdictRow] = field(default_factory=list)
    programs: int = 0
    points: int = 0
    elements: int = 0
    undecided: int = 0
    undecided_by: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)
    disagreements: int = 0
    known: dict[Bucket, str] = field(default_factory=dict)  # bucket -> the waiver that covers it, or ""
    small: dict[Program, None] = field(default_factory=dict)  # what disagreements were shrunk to
    here: dict[Bucket, Bucket] = field(default_factory=dict)  # of the present program -> what it was shrunk to
    stopped: bool = False

    def finished(self) -> bool:
        return (
            self.stopped or time.monotonic() > self.deadline or (self.limit is not None and self.programs >= self.limit)
        )

    def tell(self) -> None:
        if self.report is not None:
            seconds = time.monotonic() - self.started
            self.report(
                Progress(self.programs, self.points, self.disagreements, self.elements, self.undecided, seconds)
            )


def run_verify(
    *,
    backends_: Sequence[str] = DEFAULT_BACKENDS,
    ops: Iterable[str] | None = None,
    dtypes: Sequence[str] = DTYPES,
    seed: int = 0,
    budget_seconds: float = 60.0,
    max_programs: int | None = None,
    points_per_program: int = 4,
    max_instrs: int = 15,
    progress: Callable[[Progress], None] | None = None,
    known_differences: Sequence[waivers.Waiver] = (),
    command: str = "",
) -> VerifyResult:
    """Examine drawn programs until the budget is spent.

    Args:
        backends_: names of `harness.backends`; one that is not installed is left out and named in the result.
        ops: the op names to draw from; by default all.
        dtypes: some of `harness.floats.DTYPES`. Points alternate between float64 and float32; float16 and bfloat16 get
            points of their own, of programs of at most HALF_INSTRS ops and on backends that run them.
        seed: the same seed, versions and number of programs give the same verdicts.
        budget_seconds: when to stop drawing.
        max_programs: stop after so many programs, too.
        points_per_program: how many points each program is examined at; the last is one of edge values.
        max_instrs: the longest program.
        progress: called after each program.
        known_differences: waivers; a disagreement that one covers keeps its row and is not counted.
        command: what to write down as the command line.

    Returns:
        The result; after Ctrl-C, or an exception of the harness, what there was, marked as interrupted.

    Raises:
        ValueError: an unknown backend, op or dtype, or a number below 1.
    """
    for name, value in (("points_per_program", points_per_program), ("max_instrs", max_instrs)):
        if value < 1:
            raise ValueError(f"{name} is {value}, want at least 1")
    for dtype in dtypes:
        if dtype not in DTYPES:
            raise ValueError(f"dtypes: {dtype!r} is not one of {', '.join(DTYPES)}")
    if not dtypes:
        raise ValueError(f"dtypes is empty: name some of {', '.join(DTYPES)}")
    if set(dtypes) <= set(HALF):
        max_instrs = min(max_instrs, HALF_INSTRS)
    ops = None if ops is None else tuple(ops)
    check_ops(ops)
    engines: list[Engine] = []
    missing: dict[str, str] = {}
    for name in backends_:
        try:
            engines.append(backends.get(name))
        except BackendUnavailable as error:
            missing[name] = str(error)
    info = describe_run(command=command, seed=seed, budget_seconds=budget_seconds)
    if not any(engine.name in RUN_HALVES for engine in engines):
        dtypes = [dtype for dtype in dtypes if dtype not in HALF] or dtypes
    drawn = Drawn(ops or tuple(OPS), tuple(dtypes))
    state = _State(info, time.monotonic() + budget_seconds, max_programs, progress, known_differences, drawn)
    interrupted = False
    failure: Exception | None = None
    with _noting_interrupts(state), _seldom_collecting():
        try:
            while engines and not state.finished():
                number = seed * 1_000_003 + state.programs
                drawn_program = draw(number, max_instrs=max_instrs, ops=ops)
                _examine_program(state, drawn_program, engines, dtypes, number, points_per_program)
        except KeyboardInterrupt:
            interrupted = True
        except Exception as error:  # the caller gets it with the rows: nothing that was computed is lost
            interrupted, failure = True, error
    interrupted = interrupted or state.stopped
    info = replace(
        info,
        elapsed_seconds=time.monotonic() - state.started,
        interrupted=interrupted,
        programs=state.programs,
        points=state.points,
    )
    coverage = [
        CoverageRow(run_id=info.run_id, op=op, facet=facet, value=value, count=count)
        for op, facet, value, count in drawn.rows()
    ]
    return VerifyResult(info, state.rows, missing, failure, coverage, state.undecided_by)


@contextlib.contextmanager
def _seldom_collecting() -> Iterator[None]:
    """Let Python look for cycles of garbage seldom, and never among what was there before: that takes a tenth of a run."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


@contextlib.contextmanager
def _noting_interrupts(state: _State) -> Iterator[None]:
    """Note Ctrl-C in the state, too: Python loses an exception that a signal raises inside a callback of its collector."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return
    previous = before

    def note(number: int, frame: FrameType | None) -> None:
        state.stopped = True
        previous(number, frame)

    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _examine_program(
    state: _State, made: Draw, engines: Sequence[Engine], dtypes: Sequence[str], seed: int, points: int
) -> None:
    program = made.program
    identity = serial.program_id(program)
    state.here.clear()
    turn, rest = divmod(state.programs, JAX_SHARE)
    compiling = rest == 0
    state.programs += 1
    state.drawn.program(program)
    wide, halves = [d for d in dtypes if d not in HALF], [d for d in dtypes if d in HALF]
    jitted = compiling and any(e.name.startswith("jax") for e in engines)
    last = (JAX_POINTS if jitted and points < JAX_POINTS else points) if wide else 0
    half_jitted = jitted and (not wide or turn % HALF_JAX_SHARE == 0)
    count = last
    if halves and len(program.instrs) <= HALF_INSTRS:  # the bound of a longer program exceeds its gradient
        count += max(HALF_POINTS if wide else points, HALF_JAX_POINTS if half_jitted else 0)
    redraws = True
    for k in range(count):
        # Halves take turns at the kinds of points and with each other.
        at, kinds = (k, wide) if k < last else (k - last, halves)
        number = at if k < last else at + HALF_POINTS * (state.programs % 2)
        turned = number if k < last else number + state.programs // 2
        if jitted and (k < last or half_jitted):
            turned = turn if k < last or not wide else turn // HALF_JAX_SHARE
        plain, kind = jitted or number % points == 0, _kind(number, points)
        draw_point = functools.partial(_case, program, kinds[turned % len(kinds)], seed, number, points, k, plain=plain)
        case, certificate, found = _inside(state, draw_point, kind, k, redraws=redraws and (seed + k) % KEPT != 0)
        redraws = redraws and (
            found or kind == "edge"
        )  # if ordinary points leave the domain, it is the program that does
        state.points += 1
        state.drawn.point(case, kind)
        for engine in engines:
            few = points if k < last or not wide else HALF_POINTS
            takes_part = compiling and (k < last or half_jitted) if engine.name.startswith("jax") else at < few
            if not takes_part:
                continue
            if k >= last and engine.name not in RUN_HALVES:
                continue
            asked = engine
            if number % points == 1 + state.programs % 2 and not jitted and isinstance(engine, Rendering):
                asked = engine.in_place()
                state.drawn.rendering(program, "in place")
            if compiling and isinstance(engine, Compiling) and turn // len(kinds) % OPTIMISED_SHARE:
                asked = engine.quickly()
            verdicts = examine(case, asked, seed=k, certificate=certificate)
            if any(v.kind == "disagree" for v in verdicts) and isinstance(engine, Compiling):
                # What counts is what users get, and scripts show.
                asked, quick = engine, verdicts
                verdicts = examine(case, engine, seed=k, certificate=certificate)
                if [v.kind for v in verdicts] != [v.kind for v in quick]:
                    state.drawn.counts["", "rendering", "wrong only if compiled quickly"] += 1
            for verdict in verdicts:
                _note(state, made, identity, case, verdict, asked, seed, k)
    state.tell()


def _inside(
    state: _State, draw_point: Callable[..., Case], kind: str, k: int, *, redraws: bool
) -> tuple[Case, Certificate, bool]:
    """Return a point with its certificate, drawn again where the truth is hardly finite; and whether that helped."""
    for again in range(REDRAWS + 1):
        case = draw_point(again=again)
        certificate = certify(case, seed=k)
        if not redraws or certificate.lost <= LOST:
            return case, certificate, True
        if again < REDRAWS:
            state.drawn.redrawn(case.program, kind)
    return case, certificate, False


def _case(
    program: Program, dtype: str, seed: int, number: int, points: int, k: int, *, plain: bool, again: int = 0
) -> Case:
    """Return point k: a plain one has dense arrays and all gradients, the others other layouts and fewer gradients.

    `again` counts how often it was drawn before: each time the numbers are others.

    A compiling backend would compile each combination of dtype, layout and gradients anew, so there the points differ in
    their numbers alone.
    """
    outputs, inputs = len(program.outputs), len(program.inputs)
    return point(
        program,
        seed=seed * 131 + k + 1 + (again << 40),
        kind=_kind(number, points),
        dtype=dtype,
        layouts=None if plain else [LAYOUTS[(seed + k + 3 * i) % len(LAYOUTS)] for i in range(outputs)],
        primal_layouts=None if plain else [_LYING[(seed + 3 * k + i) % len(_LYING)] for i in range(inputs)],
        requires_grad=None if plain or inputs == 1 else [(seed + k + i) % 4 != 0 for i in range(inputs)],
    )


# Equal rows are ties, where many ops have no derivative: they are drawn seldom.
_LYING = ("dense", "transposed", "strided") * 3 + PRIMAL_LAYOUTS


def _kind(k: int, points: int) -> str:
    """Return the kind of point k: the last point of each round is one of edge values: zeros, ties, huge and tiny numbers."""
    return "edge" if k % points == points - 1 and points > 1 else "random"


def _note(
    state: _State, made: Draw, identity: str, case: Case, verdict: Verdict, engine: Engine, seed: int, k: int
) -> None:
    if case.dtype not in HALF:
        state.elements += verdict.elements
        state.undecided += verdict.undecided
        for reason, count in verdict.reasons.items():
            op = responsible(case, engine.name, reason)
            state.undecided_by[engine.name.partition("-")[0], case.dtype, reason, op] += count
    row = _row(state, made.program, case, verdict, engine, seed, k, identity)
    if verdict.kind == "disagree":
        whole = bucket(verdict, case, engine)
        found = whole if whole in state.known else state.here.get(whole)
        if found is None:
            parts = [(bucket(v, c, engine), c, v) for c, v in isolated(case, engine, verdict, seed=k)]
            new = [(c, v) for b, c, v in parts if b not in state.known]
            if not parts:
                before = _shown_before(state, made.program, case, verdict, engine, seed, k)
                if before is None:
                    new = [_shrunk(made, case, verdict, engine, seed, k)]
                elif (name := bucket(before[1], before[0], engine)) in state.known:
                    parts = [(name, *before)]
                else:
                    new = [before]
            if new:
                state.here[whole] = _keep(state, new, engine, seed, k)
                return
            found = state.here[whole] = parts[0][0]
        row = replace(row, bucket=str(found), waiver=state.known[found])
    state.rows.append(row)


def _shown_before(
    state: _State, program: Program, case: Case, verdict: Verdict, engine: Engine, seed: int, k: int
) -> tuple[Case, Verdict] | None:
    """Return a program that another disagreement was shrunk to, of ops of this one, if it shows this disagreement, too."""
    ops = {instr.op for instr in program.instrs}
    for small in state.small:
        if small != program and ops >= {instr.op for instr in small.instrs}:
            again = _shown_by(small, case, verdict, engine, seed, k)
            if again is not None:
                return again
    return None


def _shrunk(made: Draw, case: Case, verdict: Verdict, engine: Engine, seed: int, k: int) -> tuple[Case, Verdict]:
    """Look for the simplest program that shows a disagreement, at a simple point or at one like the first."""
    until = time.monotonic() + SHRINK_SECONDS
    shown = {made.program: (case, verdict)}  # for when Hypothesis asks again, also after the time is up

    def shows(program: Program) -> bool:
        if program not in shown and time.monotonic() < until:
            again = _shown_by(program, case, verdict, engine, seed, k)
            if again is not None:
                shown[program] = again
        return program in shown

    return shown[simplest(made, shows) or made.program]


def _shown_by(
    program: Program, case: Case, verdict: Verdict, engine: Engine, seed: int, k: int
) -> tuple[Case, Verdict] | None:
    if engine.supports(program) is not None:
        return None  # Hypothesis tries other ops, too
    kind = "edge" if edges_of(case) else "random"
    for point_seed, primal, cotangent in _points_like(case, seed * 131 + k + 1):
        candidate = point(
            program,
            seed=point_seed,
            kind=kind,
            dtype=case.dtype,
            primal_layouts=[primal] * len(program.inputs),
            layouts=[cotangent] * len(program.outputs),
        )
        outcome = engine.prepare(candidate)()
        if outcome.failure is None and difference(verdict) == "raises":
            continue
        for again in examine(candidate, engine, seed=k, outcome=outcome):
            if (again.kind, again.claim, again.aspect) == ("disagree", verdict.claim, verdict.aspect) and difference(
                again
            ) == difference(verdict):
                return candidate, again
    return None


def _points_like(case: Case, seed: int) -> Iterator[tuple[int, str, str]]:
    """Yield seed and layouts of points that may show what the case shows, the simplest first."""
    for simple in (0, seed, 1, 2, 3):
        yield simple, "dense", "dense"
    layouts = [{layout_of(x) for x in xs if x is not None} - {"dense"} for xs in (case.primals, case.cotangents)]
    for primal, cotangent in [(name, "dense") for name in layouts[0]] + [("dense", name) for name in layouts[1]]:
        for simple in (0, seed):
            yield simple, primal, cotangent


def _keep(state: _State, found: Sequence[tuple[Case, Verdict]], engine: Engine, seed: int, k: int) -> Bucket:
    """Write down what is wrong, each with a script that shows it; return the bucket of the first."""
    parts = [
        part for case, verdict in found for part in list(isolated(case, engine, verdict, seed=k)) or [(case, verdict)]
    ]
    names: list[Bucket] = []
    for part in parts:
        case, verdict = smallest(part[0], engine, part[1], seed=k)
        name = bucket(verdict, case, engine)
        names.append(name)
        state.small[case.program] = None
        if name in state.known and len(names) > 1:
            continue
        row = _row(state, case.program, case, verdict, engine, seed, k)
        certificate = certify(case, seed=k)
        row = replace(
            row,
            bucket=str(name),
            program=serial.dumps_case(case),
            reproducer=_reproducer(case, engine, certificate),
        )
        if name not in state.known:
            waiver = waivers.match(state.waivers, row)
            state.known[name] = waiver.id if waiver else ""
            state.disagreements += verdict.aspect != "accuracy"
        state.rows.append(replace(row, waiver=state.known[name]))
    return names[0]


def _reproducer(case: Case, engine: Engine, certificate: Certificate) -> str:
    framework = "jax" if engine.name.startswith("jax") else "torch" if engine.name == "torch" else "reference"
    judged = "reference" if engine.name == "finite-differences" else engine.name  # whose values were differenced
    truth = None if certificate.status == "undecided" else expected(case, judged, certificate)
    unspelled = sorted({i.op for i in case.program.instrs} - set(spelled(framework)))
    if unspelled:
        note = f"# There is no spelling of {', '.join(unspelled)} for a script of {framework}: the program of the reference."
        return f"{note}\n{to_source(case, 'reference', expected=truth)}"
    written = getattr(engine, "rendering", "") == "in place"
    return to_source(case, framework, expected=truth, in_place=written)


def _row(
    state: _State, program: Program, case: Case, verdict: Verdict, engine: Engine, seed: int, k: int, identity: str = ""
) -> VerdictRow:
    name, _, mode = engine.name.partition("-") if engine.name.startswith("jax") else (engine.name, "", "")
    return VerdictRow(
        run_id=state.info.run_id,
        program_id=identity or serial.program_id(program),
        seed=seed,
        point=k,
        backend=name,
        backend_version=engine.version,
        mode=" ".join(w for w in (mode, getattr(engine, "rendering", "")) if w) or "eager",
        dtype=case.dtype,
        claim=verdict.claim,
        aspect=verdict.aspect,
        ops=" ".join(i.op for i in program.instrs),
        verdict=verdict.kind,
        reason=verdict.reason,
        owner=verdict.owner,
        difference=difference(verdict) if verdict.kind == "disagree" else "",
        element_count=verdict.elements,
        inconclusive_count=verdict.undecided,
        error_over_bound=verdict.error_over_bound,
        median_error_over_bound=statistics.median(verdict.ratios) if verdict.ratios else float("nan"),
        oracle="certificate",
    )
