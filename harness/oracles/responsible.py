"""Which primitive is responsible for what stays undecided: the first whose result is unbounded, or that cannot decide.

>>> from harness.points import point
>>> from harness.programs import Instr, Program, Spec
>>> case = point(Program((Spec((2,)),), (Instr("sin", (0,)), Instr("log", (1,))), (2,)), seed=2)
>>> responsible(case, "reference", "not finite")
'log'
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from harness.cases import Case
from harness.conventions import as_in, following
from harness.oracles.balls import BallArray, Undecidable, precision, undecided, widening
from harness.oracles.bound import BITS, sums_in_any_order, widener
from harness.oracles.certificate import FIRST_BITS, pull_back_balls

__all__ = ["responsible"]


def responsible(case: Case, backend: str, reason: str) -> str:
    """Return the primitive where, in the order of the program and its backward, the reason arises; "" if none is found.

    Args:
        case: the program at a point.
        backend: whose bound left elements undecided.
        reason: of a verdict: "not finite" is looked for in the exact balls, "overflow" and "domain" in those of the
            backend, and a comparison that cannot be decided for all others.
    """
    bounded = reason in ("overflow", "domain", "not finite")
    widen = None if reason in ("not finite", "kink") else widener(backend, case.dtype)
    found: list[str] = []

    def note(name: str, args: tuple[Any, ...], params: Mapping[str, Any], result: Any) -> Any:
        wide = result if widen is None else widen(name, args, params, result)
        if not found and bounded and not _is_bounded(wide) and all(map(_is_bounded, args)):
            found.append(name)
        return wide

    bits = FIRST_BITS if widen is None else BITS[case.dtype]
    meant = replace(case, program=as_in(backend, case.program))
    conventions = following(backend, {i.op for i in case.program.instrs})
    with conventions, precision(bits), undecided("union" if bounded else "raise"), widening(note):
        try:
            pull_back_balls(meant, backward=sums_in_any_order)
        except Undecidable as error:
            found.append(error.primitive)
    return found[0] if found else ""


def _is_bounded(x: Any) -> bool:
    return type(x) is not BallArray or all(c.is_finite() for c in x.cells.ravel().tolist())
