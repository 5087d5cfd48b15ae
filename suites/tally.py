"""What a suite compared: it counts verdicts, and a suite that compared nothing fails.

A property runs over drawn cases, of which some decide nothing (overflow, a tie that rounding can cross). One such case
is no failure; a property in which too few elements were decided proves nothing, so `Tally.finish` refuses it.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from hypothesis import settings

from harness import waivers
from harness.cases import Case
from harness.judgement import Verdict

__all__ = ["Tally", "VacuousError", "share"]


class VacuousError(AssertionError):
    """A check compared nothing, or too little to mean anything."""


@dataclass
class Tally:
    """Counts what was judged under one claim.

    Attributes:
        most_undecided: the largest share of elements that may stay undecided. A few drawn programs scatter widely, so
            it only catches a check that went blind; the sharp limit is that of `adjudge verify`.
    """

    most_undecided: float = 0.25
    verdicts: int = 0
    elements: int = 0
    undecided: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, verdicts: Iterable[Verdict], case: Case | None = None) -> None:
        """Count verdicts.

        Raises:
            AssertionError: one of them is "disagree"; the message holds the program. A framework's where the program
                has an op with a known difference counts as undecided: drawn programs meet it at random.
        """
        for verdict in verdicts:
            if verdict.kind == "disagree" and case is not None and _is_waived(verdict, case):
                self.elements += verdict.elements
                self.undecided += verdict.elements
                self.reasons["waived"] += verdict.elements
                continue
            if verdict.kind == "disagree":
                where = "" if case is None else f"\n{case.program}\n{case.dtype} {case.primals}\n{case.cotangents}"
                raise AssertionError(f"{verdict.claim} ({verdict.aspect}, {verdict.owner}): {verdict.reason}{where}")
            self.verdicts += 1
            self.elements += verdict.elements
            self.undecided += verdict.undecided
            self.reasons.update(verdict.reasons)

    @property
    def decided(self) -> int:
        """How many elements were compared and decided."""
        return self.elements - self.undecided

    def finish(self, at_least: int = 1) -> None:
        """Check that the whole proved something.

        Raises:
            VacuousError: fewer than `at_least` elements were decided, or too large a share was not.
        """
        if self.decided < at_least:
            raise VacuousError(f"only {self.decided} elements were compared, want {at_least}: {dict(self.reasons)}")
        if self.undecided > self.most_undecided * self.elements:
            raise VacuousError(f"{self.undecided} of {self.elements} elements undecided: {dict(self.reasons)}")


def _is_waived(verdict: Verdict, case: Case) -> bool:
    ops = {instr.op for instr in case.program.instrs}
    return verdict.owner == "framework" and any(
        w.op in ops and w.claim == verdict.claim and w.dtype in (None, case.dtype) for w in _waivers()
    )


_waivers = functools.cache(waivers.load)


def share(part: float) -> settings:
    """Settings that draw a share of the examples of the profile in force, for a property that costs more."""
    return settings(max_examples=max(3, round(settings().max_examples * part)))
