"""A program: a straight-line typed DAG of ops that every backend can run.

Build one by hand from `Instr` rows, draw one with `harness.strategies.programs()`, or record one from a Python function
with `harness.tracing.trace`. `run` is the one interpreter: it evaluates a program on whatever arrays the given table of
ops understands.

A program has slots. The inputs fill slots 0 .. n-1; instruction k defines slot n + k. An argument of an instruction is
a slot number or a `Scalar` literal (a weak Python number, as in ``x * 2.0``).

>>> p = Program((Spec((3,)),), (Instr("sin", (0,)), Instr("mul", (1, Scalar(2.0)))), (2,))
>>> print(p)
def program(x0):  # x0: float[3]
    v1 = sin(x0)
    v2 = mul(v1, 2.0)
    return v2
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

__all__ = ["Instr", "Param", "Program", "Scalar", "Spec", "run"]

Param = None | bool | int | float | str | tuple["Param", ...]


@dataclass(frozen=True)
class Scalar:
    """A literal Python number among the arguments of an instruction; it never widens a dtype."""

    value: float | int | bool

    def __eq__(self, other: object) -> bool:
        # 2 and 2.0 are different programs (an integer exponent takes another kernel), and so are 0.0 and -0.0.
        return isinstance(other, Scalar) and repr(self.value) == repr(other.value)

    def __hash__(self) -> int:
        return hash(repr(self.value))

    def __str__(self) -> str:
        return repr(self.value)


@dataclass(frozen=True)
class Spec:
    """What is known of an input before it has a value: its shape, its kind and the domain that its values come from.

    Attributes:
        kind: "float", "int" or "bool".
        domain: of a float input, "real" (about -2 to 2), "positive" (about 1/4 to 2), "unit" (-1 to 1), "fraction" (0 to 1)
            or "above one" (1 to 3): where primals are drawn from, so that the log of an input is seldom the log of a
            negative number. It binds nobody.
    """

    shape: tuple[int, ...]
    kind: str = "float"
    domain: str = "real"

    def __str__(self) -> str:
        note = "" if self.domain == "real" else f" {self.domain}"
        return f"{self.kind}[{', '.join(map(str, self.shape))}]{note}"


@dataclass(frozen=True)
class Instr:
    """One application of an op: its name, its arguments and its keyword parameters sorted by name."""

    op: str
    args: tuple[int | Scalar, ...]
    params: tuple[tuple[str, Param], ...] = ()

    @property
    def slots(self) -> tuple[int, ...]:
        """The slots that it reads, in order, repeats included."""
        return tuple(a for a in self.args if not isinstance(a, Scalar))


@dataclass(frozen=True)
class Program:
    """Inputs, instructions and the slots that are returned. Hashable; equal programs compute the same."""

    inputs: tuple[Spec, ...]
    instrs: tuple[Instr, ...]
    outputs: tuple[int, ...]

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:  # kept, since a program is the key of many caches at every point
        return hash((self.inputs, self.instrs, self.outputs))

    def __reduce__(self) -> tuple[Any, ...]:
        return Program, (self.inputs, self.instrs, self.outputs)  # another process hashes otherwise

    def __str__(self) -> str:
        n = len(self.inputs)

        def name(slot: int) -> str:
            return f"x{slot}" if slot < n else f"v{slot}"

        head = ", ".join(map(name, range(n)))
        note = ", ".join(f"{name(i)}: {s}" for i, s in enumerate(self.inputs))
        lines = [f"def program({head}):  # {note}"]
        for k, instr in enumerate(self.instrs):
            words = [str(a) if isinstance(a, Scalar) else name(a) for a in instr.args]
            words += [f"{key}={value!r}" for key, value in instr.params]
            lines.append(f"    v{n + k} = {instr.op}({', '.join(words)})")
        lines.append(f"    return {', '.join(map(name, self.outputs))}")
        return "\n".join(lines)


def run(program: Program, inputs: Sequence[Any], ops: Mapping[str, Callable[..., Any]]) -> list[Any]:
    """Evaluate the program on `inputs` with the ops of one table; return its outputs in order.

    Raises:
        ValueError: as many inputs as the program has were not given.
        KeyError: the table lacks an op of the program.
    """
    if len(inputs) != len(program.inputs):
        raise ValueError(f"inputs: the program takes {len(program.inputs)}, got {len(inputs)}")
    slots = list(inputs)
    for instr in program.instrs:
        args = [a.value if isinstance(a, Scalar) else slots[a] for a in instr.args]
        slots.append(ops[instr.op](*args, **dict(instr.params)))
    return [slots[i] for i in program.outputs]
