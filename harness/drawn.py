"""What was drawn: how often each op, pair of ops, rank, dtype, layout, size and edge value came, and what never came.

A green run says nothing about what it did not draw. `Drawn` counts while programs are drawn; `rows` gives the counts, with
a 0 for whatever belongs to the run and never came. `adjudge verify --require-coverage` fails on those.

>>> from harness.points import point
>>> from harness.programs import Instr, Program, Spec
>>> drawn = Drawn(("sin", "cos"))
>>> drawn.program(Program((Spec((3,)),), (Instr("sin", (0,)), Instr("sin", (1,))), (2,)))
>>> drawn.counts["sin", "op", "sin"], drawn.counts["sin", "pair", "sin"]
(1, 1)
>>> [value for facet, value in drawn.never() if facet == "op"]
['cos']
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from harness.cases import Array, Case
from harness.inference import OPS, infer
from harness.points import EDGES, LAYOUTS, POINT_KINDS, PRIMAL_LAYOUTS, edges_of, layout_of
from harness.programs import Program, Scalar
from harness.rendering import plan

__all__ = ["EVERYTHING", "FACETS", "Drawn"]

FACETS: Final = {
    "op": "programs that contain the op",
    "pair": "programs in which another op takes what the op makes",
    "rank": "programs by the ranks of the float tensors that go into an op",
    "size": "programs by the number of elements of what an op makes",
    "sharing": "programs in which something is used more than once",
    "output": "programs by what they return",
    "side input": "programs by what goes in beside floats",
    "parameter": "programs with a parameter at an end",
    "detach": "programs that cut the gradient somewhere",
    "dtype": "points by dtype",
    "point": "points by their kind",
    "primal layout": "points by how float inputs lie in memory",
    "cotangent": "points by how cotangents lie in memory",
    "gradient": "points by which inputs require grad",
    "edge": "points by the edge values that they hold",
    "redrawn": "points drawn again, since the truth was not finite, by their kind",
    "rendering": "points at which the op was run in place, on a view or into a slice",
}
"""What is counted, by name."""

_PROGRAMS: Final[dict[str, tuple[str, ...]]] = {
    "rank": ("0", "1", "2", "3"),
    "size": ("0", "1", "more"),
    "sharing": ("a slot in two ops", "a slot twice in one op", "none"),
    "output": ("one", "several", "an intermediate that is used on", "an input"),
    "side input": ("int", "bool", "none"),
    "parameter": ("a negative dim",),
    "detach": ("yes", "no"),
}
EVERYTHING: Final[dict[str, tuple[str, ...]]] = {
    **_PROGRAMS,
    "point": POINT_KINDS,
    "primal layout": PRIMAL_LAYOUTS,
    "cotangent": LAYOUTS,
    "gradient": ("all inputs", "some inputs"),
    "edge": EDGES,
}
"""Facet -> what belongs to every run of all ops."""


@dataclass
class Drawn:
    """Counts of one run.

    Attributes:
        ops: the ops that the run draws from.
        dtypes: the dtypes that it draws.
        counts: (op, facet, value) -> programs or points; op is "" for all ops together.
    """

    ops: Sequence[str] = tuple(OPS)
    dtypes: Sequence[str] = ("float64", "float32")
    counts: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    _last: tuple[Program | None, tuple[str, ...]] = (None, ())

    def program(self, program: Program) -> None:
        """Count a program."""
        self.counts.update(set(_facets(program)))

    def point(self, case: Case, kind: str) -> None:
        """Count a point of a program, "random" or "edge"."""
        if self._last[0] is not case.program:
            self._last = (case.program, ("", *{instr.op for instr in case.program.instrs}))
        found = [
            ("dtype", case.dtype),
            ("point", kind),
            ("gradient", "all inputs" if _all_wanted(case) else "some inputs"),
            *(("edge", name) for name in edges_of(case)),
            *{("primal layout", layout_of(x)) for x in case.primals if x.dtype.kind == "f" and x.size > 1},
            *{("cotangent", _lies(ct)) for ct in case.cotangents},
        ]
        for op in self._last[1]:
            for facet, value in found:
                self.counts[op, facet, value] += 1

    def redrawn(self, program: Program, kind: str) -> None:
        """Count a point that is drawn again."""
        for op in ("", *{instr.op for instr in program.instrs}):
            self.counts[op, "redrawn", kind] += 1

    def rendering(self, program: Program, name: str) -> None:
        """Count a point at which some backend ran the program in another way."""
        for op in ("", *{i.op for i, step in zip(program.instrs, plan(program), strict=True) if step is not None}):
            self.counts[op, "rendering", name] += 1

    def never(self) -> list[tuple[str, str]]:
        """Return (facet, value) of whatever belongs to the run and never came."""
        wanted = [("op", op) for op in self.ops]
        whole = set(self.ops) >= set(OPS)
        for facet, values in EVERYTHING.items():
            wanted += [(facet, value) for value in values if whole or facet not in _PROGRAMS]
        wanted += [("dtype", dtype) for dtype in self.dtypes]
        return [(f, v) for f, v in wanted if not self.counts[v if f == "op" else "", f, v]]

    def rows(self) -> Iterator[tuple[str, str, str, int]]:
        """Yield op, facet, value and count of all that came and, with a 0, of what never did."""
        for key, count in sorted(self.counts.items()):
            yield (*key, count)
        for facet, value in self.never():
            yield (value if facet == "op" else "", facet, value, 0)


def _facets(program: Program) -> Iterator[tuple[str, str, str]]:
    n = len(program.inputs)
    specs = infer(program)
    uses: Counter[int] = Counter()
    twice = several = False
    ops = {instr.op for instr in program.instrs}
    for k, instr in enumerate(program.instrs, n):
        op = instr.op
        yield op, "op", op
        slots = instr.slots
        uses.update(set(slots))
        twice = twice or len(set(slots)) < len(slots)
        for slot in slots:
            if slot >= n:
                yield program.instrs[slot - n].op, "pair", op
            if specs[slot].kind == "float":
                rank = str(len(specs[slot].shape))
                yield op, "rank", rank
                yield "", "rank", rank
        size = _size(specs[k].shape)
        yield op, "size", size
        yield "", "size", size
        if any(_negative(key, value) for key, value in instr.params):
            yield op, "parameter", "a negative dim"
            yield "", "parameter", "a negative dim"
        if any(isinstance(a, Scalar) for a in instr.args):
            yield op, "side input", "a number"
    several = any(count > 1 for count in uses.values())
    for facet, value, there in (
        ("sharing", "a slot in two ops", several),
        ("sharing", "a slot twice in one op", twice),
        ("sharing", "none", not (several or twice)),
        ("output", "one", len(program.outputs) == 1),
        ("output", "several", len(program.outputs) > 1),
        ("output", "an intermediate that is used on", any(o >= n and uses[o] for o in program.outputs)),
        ("output", "an input", any(o < n for o in program.outputs)),
        ("side input", "int", any(s.kind == "int" for s in program.inputs)),
        ("side input", "bool", any(s.kind == "bool" for s in program.inputs)),
        ("side input", "none", all(s.kind == "float" for s in program.inputs)),
        ("detach", "yes", "detach" in ops),
        ("detach", "no", "detach" not in ops),
    ):
        if there:
            for op in ("", *ops):
                yield op, facet, value


def _size(shape: Sequence[int]) -> str:
    n = 1
    for d in shape:
        n *= d
    return str(n) if n < 2 else "more"


def _negative(key: str, value: object) -> bool:
    values: Iterable[object] = value if isinstance(value, tuple) else (value,)
    return key in ("dim", "dims", "dim0", "dim1") and any(isinstance(v, int) and v < 0 for v in values)


def _all_wanted(case: Case) -> bool:
    pairs = zip(case.requires_grad, case.program.inputs, strict=True)
    return all(wants for wants, spec in pairs if spec.kind == "float")


def _lies(ct: Array | None) -> str:
    if ct is None:
        return "unused"
    layout = layout_of(ct)
    return "repeated" if layout == "dense" and ct.size > 1 and (ct == ct.ravel()[0]).all() else layout
