"""The verdicts of one claim over many points, summed up as a claim."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.checking.report import Claim, Witness
from harness.judgement import Verdict

__all__ = ["Tally"]


@dataclass(eq=False)
class Tally:
    """The verdicts of one claim over many points."""

    name: str
    seen: int = 0
    elements: int = 0
    undecided: int = 0
    largest: float = 0.0
    lost: list[str] = field(default_factory=list)
    reasons: dict[str, int] = field(default_factory=dict)
    wrong: list[tuple[str, Witness | None]] = field(default_factory=list)
    conventions: int = 0

    def add(self, verdict: Verdict) -> None:
        """Count the verdict of one point that is not wrong."""
        self.seen += 1
        self.elements += verdict.elements - verdict.undecided
        self.undecided += verdict.undecided
        if verdict.ratios and verdict.kind == "agree":
            self.largest = max(self.largest, verdict.error_over_bound)
        for reason, n in (
            verdict.reasons or ({verdict.reason: verdict.undecided} if verdict.undecided else {})
        ).items():
            self.reasons[reason] = self.reasons.get(reason, 0) + n

    def claim(self) -> Claim:
        """Sum up."""
        where = f"{self.elements:,} numbers at {self.seen} points"
        if self.wrong:
            text, witness = self.wrong[0]
            return Claim(self.name, "wrong", text, witness, elements=self.elements)
        if not self.elements:
            common = max(self.reasons, key=lambda r: self.reasons[r]) if self.reasons else "nothing to compare"
            return Claim(self.name, "inconclusive", common)
        text = f"{where}, largest error / bound {self.largest:.2g}"
        if self.undecided:
            text += f", {self.undecided:,} undecided ({', '.join(sorted(self.reasons))})"
        if self.conventions:
            text += f", another convention at {self.conventions} kinks"
        if self.lost:
            return Claim(self.name, "digits lost", f"{self.lost[0]}; {text}", elements=self.elements)
        return Claim(self.name, "right", text, elements=self.elements)
