"""Another way to write a program down for PyTorch: in place, on views and into slices, with the same mathematics.

`plan(program)` says for each instruction how: as a method that writes into its first argument, or as copies into the slices
of a buffer; None where the op is called as usual. What may not be overwritten is cloned first. The backend runs the plan
(`TorchBackend.in_place`), and `harness.sources` writes it.

>>> from harness.programs import Instr, Program, Spec
>>> plan(Program((Spec((2,)),), (Instr("sin", (0,)), Instr("neg", (1,)), Instr("exp", (2,))), (3,)))[1:]
(Write(method='neg_', clone=False, view=True), Write(method='exp_', clone=False, view=False))
"""

from __future__ import annotations

import functools
from collections import Counter
from dataclasses import dataclass
from typing import Final

from harness.inference import infer
from harness.programs import Program, Scalar

__all__ = ["IN_PLACE", "Fill", "Write", "plan"]

IN_PLACE: Final = frozenset(
    "add sub mul div pow neg abs exp expm1 log log1p sqrt rsqrt reciprocal square sin cos tan sinh cosh tanh atan sigmoid "
    "relu atan2 clamp cumsum tril triu erf erfc erfinv exp2 log2 log10 asin acos floor ceil trunc round "
    "frac hypot copysign fmod remainder lerp addcmul addcdiv xlogy logit digamma lgamma i0 sinc sign "
    "deg2rad rad2deg cumprod".split()
)
"""Ops that PyTorch has as a method with an underscore behind its name, with the same arguments.

Those of acosh, asinh and atanh are there, and refuse to be differentiated.
"""

# Ops whose result nobody else refers to: it is no view, and the op's own backward does not need it.
_FREE: Final = frozenset(
    "add sub mul neg abs sin cos square log log1p atan sum mean matmul clone maximum minimum where cat stack sinh cosh "
    "gather index_select cumsum floor ceil trunc round tril triu".split()
)


@dataclass(frozen=True)
class Write:
    """A method that writes into its first argument.

    Attributes:
        method: its name, such as "mul_".
        clone: the argument is cloned first, since its numbers are needed elsewhere.
        view: the method is that of a view of the tensor, which is returned itself.
    """

    method: str
    clone: bool
    view: bool


@dataclass(frozen=True)
class Fill:
    """A buffer whose slices along `dim` take copies of the arguments.

    Attributes:
        shape: of the buffer.
        dim: the axis, not negative.
        sizes: how much of it each argument takes; empty for a stack, where each takes one index.
    """

    shape: tuple[int, ...]
    dim: int
    sizes: tuple[int, ...]


@functools.lru_cache(maxsize=1024)
def plan(program: Program) -> tuple[Write | Fill | None, ...]:
    """Return how each instruction is written."""
    n = len(program.inputs)
    specs = infer(program)
    uses = Counter(slot for instr in program.instrs for slot in instr.slots)
    steps: list[Write | Fill | None] = []
    for k, instr in enumerate(program.instrs, n):
        first = instr.args[0]
        out = specs[k]
        if instr.op in ("cat", "stack"):
            dim = dict(instr.params).get("dim", 0)
            assert isinstance(dim, int)
            dim %= len(out.shape)
            sizes = tuple(specs[s].shape[dim] for s in instr.slots) if instr.op == "cat" else ()
            steps.append(Fill(out.shape, dim, sizes))
            continue
        if instr.op not in IN_PLACE or isinstance(first, Scalar) or specs[first].kind != "float":
            steps.append(None)
            continue
        if specs[first].shape != out.shape:
            steps.append(None)
            continue
        made = program.instrs[first - n].op if first >= n else ""
        # What an in-place method made may be kept by its backward, as `exp_` keeps its result.
        free = made in _FREE and uses[first] == 1 and first not in program.outputs
        steps.append(Write(f"{instr.op}_", clone=not free, view=k % 2 == 0))
    return tuple(steps)
