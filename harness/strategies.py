"""Hypothesis strategies for programs, points and cases.

`programs()` draws programs, `points(program)` puts one at a point, `cases()` does both. All are valid by construction
and shrink towards few instructions, small shapes, zeros and ones.

>>> from hypothesis import find
>>> print(find(programs(), lambda program: any(instr.op == "sin" for instr in program.instrs)))
def program(x0):  # x0: float[]
    v1 = sin(x0)
    return v1
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache, lru_cache
from typing import Final

from hypothesis import HealthCheck, Phase, find, given, seed, settings
from hypothesis import strategies as st
from hypothesis.database import InMemoryExampleDatabase, choices_to_bytes
from hypothesis.errors import NoSuchExample

from harness.cases import Case
from harness.floats import DTYPES
from harness.generation import Draw, check_ops, generate
from harness.points import LAYOUTS, POINT_KINDS, PRIMAL_LAYOUTS, point
from harness.programs import Program

__all__ = ["cases", "points", "programs", "programs_of", "simplest"]

WIDE: Final = ("float64", "float32")


def programs(
    *, max_instrs: int = 15, ops: Iterable[str] | None = None, max_inputs: int = 4, int_inputs: bool = True
) -> st.SearchStrategy[Program]:
    """Draw programs of 1 to `max_instrs` ops; at least one output has a gradient with elements in some float input.

    Args:
        ops: the op names to draw from; by default the whole vocabulary.
        max_inputs: about how many inputs at most (one more where nothing else would give a gradient).
        int_inputs: int tensors may meet float ones in arithmetic and comparisons.

    Raises:
        ValueError: ops is empty or names an unknown op; max_instrs or max_inputs is below 1.
    """
    names = None if ops is None else tuple(ops)
    check_ops(names)
    for name, value in (("max_instrs", max_instrs), ("max_inputs", max_inputs)):
        if value < 1:
            raise ValueError(f"{name} is {value}, want at least 1")
    return _programs(max_instrs, names, max_inputs, int_inputs)


@lru_cache(maxsize=1024)
def programs_of(op: str, count: int, number: int) -> tuple[Program, ...]:
    """Draw short programs of one op, each once: the same for the same seed `number`, at most `count`."""
    found: dict[Program, None] = {}

    @seed(number)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(programs(ops=(op,), max_instrs=2, max_inputs=3))
    def collect(program: Program) -> None:
        found[program] = None

    collect()
    return tuple(found)


def simplest(drawn: Draw, shows: Callable[[Program], bool]) -> Program | None:
    """Return the simplest program that Hypothesis finds from a drawn one on among those that show something.

    None if the drawn program, which is asked first, does not show it.
    """
    database = InMemoryExampleDatabase()
    # Hypothesis takes what it stored itself for shrunk; a choice too many says that this is not.
    database.save(_DRAWN, choices_to_bytes((*drawn.choices, 0)))
    wanted = settings(database=database, deadline=None, phases=(Phase.reuse, Phase.shrink), print_blob=False)
    strategy = programs(max_instrs=drawn.max_instrs, ops=drawn.ops)
    try:
        return find(strategy, shows, settings=wanted, database_key=_DRAWN)
    except NoSuchExample:
        return None


_DRAWN: Final = b"drawn"


def points(
    program: Program,
    *,
    dtypes: Sequence[str] = ("float64",),
    kinds: Sequence[str] = POINT_KINDS,
    layouts: Sequence[str] = LAYOUTS,
    primal_layouts: Sequence[str] = PRIMAL_LAYOUTS,
) -> st.SearchStrategy[Case]:
    """Draw cases of one program: its primals, the inputs that require grad, its cotangents.

    Args:
        dtypes: some of "float64", "float32", and "float16", "bfloat16" for short programs.
        kinds: some of `harness.points.POINT_KINDS`: "random", "edge".
        layouts: some of `harness.points.LAYOUTS`: how cotangents may lie in memory.
        primal_layouts: some of `harness.points.PRIMAL_LAYOUTS`: how primals may.

    Raises:
        ValueError: a name is unknown, or there is none.
    """
    _check_names("dtypes", dtypes, DTYPES)
    _check_names("kinds", kinds, POINT_KINDS)
    _check_names("layouts", layouts, LAYOUTS)
    _check_names("primal_layouts", primal_layouts, PRIMAL_LAYOUTS)
    return _points(program, tuple(dtypes), tuple(kinds), tuple(layouts), tuple(primal_layouts))


def cases(
    *,
    max_instrs: int = 15,
    ops: Iterable[str] | None = None,
    max_inputs: int = 4,
    int_inputs: bool = True,
    dtypes: Sequence[str] = WIDE,
    kinds: Sequence[str] = POINT_KINDS,
    layouts: Sequence[str] = LAYOUTS,
    primal_layouts: Sequence[str] = PRIMAL_LAYOUTS,
) -> st.SearchStrategy[Case]:
    """Draw a program and a point of it; options as for `programs` and `points`."""
    _check_names("dtypes", dtypes, DTYPES)
    _check_names("kinds", kinds, POINT_KINDS)
    _check_names("layouts", layouts, LAYOUTS)
    _check_names("primal_layouts", primal_layouts, PRIMAL_LAYOUTS)
    drawn = programs(max_instrs=max_instrs, ops=ops, max_inputs=max_inputs, int_inputs=int_inputs)
    return _cases(drawn, tuple(dtypes), tuple(kinds), tuple(layouts), tuple(primal_layouts))


@cache
def _below(n: int) -> st.SearchStrategy[int]:
    return st.integers(0, n - 1)


_SEEDS: Final = st.integers(0, 2**32 - 1)


@st.composite
def _programs(
    draw: st.DrawFn, max_instrs: int, ops: tuple[str, ...] | None, max_inputs: int, int_inputs: bool
) -> Program:
    def choose(n: int) -> int:
        return draw(_below(n)) if n > 1 else 0

    return generate(choose, max_instrs=max_instrs, ops=ops, max_inputs=max_inputs, int_inputs=int_inputs)


@st.composite
def _points(
    draw: st.DrawFn,
    program: Program,
    dtypes: tuple[str, ...],
    kinds: tuple[str, ...],
    layouts: tuple[str, ...],
    primal_layouts: tuple[str, ...],
) -> Case:
    return _draw_point(draw, program, dtypes, kinds, layouts, primal_layouts)


@st.composite
def _cases(
    draw: st.DrawFn,
    drawn: st.SearchStrategy[Program],
    dtypes: tuple[str, ...],
    kinds: tuple[str, ...],
    layouts: tuple[str, ...],
    primal_layouts: tuple[str, ...],
) -> Case:
    return _draw_point(draw, draw(drawn), dtypes, kinds, layouts, primal_layouts)


def _draw_point(
    draw: st.DrawFn,
    program: Program,
    dtypes: Sequence[str],
    kinds: Sequence[str],
    layouts: Sequence[str],
    primal_layouts: Sequence[str],
) -> Case:
    def one_of(names: Sequence[str]) -> str:
        return names[draw(_below(len(names)))] if len(names) > 1 else names[0]

    dtype, kind = one_of(dtypes), one_of(kinds)
    wanted = [one_of(layouts) for _ in program.outputs]
    # One draw for all inputs: dense in half of the cases, else a layout for the first and its successors for the others.
    first = draw(_below(2 * len(primal_layouts))) - len(primal_layouts) if len(primal_layouts) > 1 else 0
    lying = [primal_layouts[0 if first < 0 else (first + i) % len(primal_layouts)] for i in range(len(program.inputs))]
    # One case in eight leaves one input out of the gradient; `point` takes it back where nothing else would remain.
    left_out = draw(_below(8 * len(program.inputs))) - 7 * len(program.inputs)
    flags = [i != left_out for i in range(len(program.inputs))]
    return point(
        program,
        seed=draw(_SEEDS),
        kind=kind,
        dtype=dtype,
        layouts=wanted,
        primal_layouts=lying,
        requires_grad=flags,
    )


def _check_names(argument: str, names: Sequence[str], known: Sequence[str]) -> None:
    if not names or not set(names) <= set(known):
        raise ValueError(f"{argument} is {tuple(names)!r}, want some of {', '.join(known)}")
