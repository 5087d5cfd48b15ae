"""What `check_gradients` says: claims with their verdicts, a report, and what is raised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harness.cases import Array
from harness.gradient_points import Point

__all__ = ["CheckFailed", "Claim", "Report", "Undecided", "Witness", "Word", "WrongGradient"]

Word = Literal["right", "wrong", "digits lost", "inconclusive", "not promised", "not applicable"]


@dataclass(frozen=True, eq=False)
class Witness:
    """A point at which a claim is wrong.

    Attributes:
        point: where.
        cotangents: what was pulled back.
        element: which array, and which element of it.
        got: what came.
        true: an interval that holds the true value.
    """

    point: Point
    cotangents: tuple[Array | None, ...]
    element: tuple[str, tuple[int, ...]]
    got: float
    true: tuple[float, float]


@dataclass(frozen=True, eq=False)
class Claim:
    """What was decided about one claim.

    Attributes:
        name: "value", "vjp", "linearity", ...
        verdict: "right": proved right at these points to within the bound, or for an opaque function right as far as
            estimates tell. "digits lost": the rule is right, the digits are not. "not promised": the framework refuses,
            aloud. "not applicable": the question has no meaning for the function; the text says why.
        text: the figures, or what is wrong, or why nothing was decided.
        witness: a point that shows it, if it is wrong.
        proved: the verdict rests on a certificate, not on estimates.
        elements: how many numbers were compared.
    """

    name: str
    verdict: Word
    text: str = ""
    witness: Witness | None = None
    proved: bool = True
    elements: int = 0


@dataclass(frozen=True, eq=False)
class Report:
    """Everything that was decided about a function.

    Attributes:
        name: the function.
        framework: its framework.
        claims: one entry a claim.
        notes: what the reader should know: refused points, randomness, how the truth was found.
        script: a stand-alone program that shows the first wrong claim; "" if there is none.
        seconds: how long it took.
    """

    name: str
    framework: str
    claims: tuple[Claim, ...]
    notes: tuple[str, ...] = ()
    script: str = ""
    seconds: float = 0.0

    @property
    def verdict(self) -> Word:
        """wrong if a claim is; else inconclusive if nothing is decided on the gradient; digits lost; right."""
        words = {c.name: c.verdict for c in self.claims}
        if "wrong" in words.values():
            return "wrong"
        if words.get("vjp", "inconclusive") in ("inconclusive", "not promised"):
            return "inconclusive"
        return "digits lost" if "digits lost" in words.values() else "right"

    @property
    def ok(self) -> bool:
        """No claim is wrong, and something was decided about the gradient."""
        return self.verdict in ("right", "digits lost")

    def __getitem__(self, name: str) -> Claim:
        for claim in self.claims:
            if claim.name == name:
                return claim
        raise KeyError(f"no claim {name!r}; there are {', '.join(c.name for c in self.claims)}")

    def __str__(self) -> str:
        lines = [f"{self.name} ({self.framework}): {self.verdict}  [{self.seconds:.2f} s]"]
        width = max((len(c.name) for c in self.claims), default=0)
        for c in self.claims:
            lines.append(f"  {c.name:<{width}}  {c.verdict}{': ' if c.text else ''}{c.text}")
        lines += [f"  note: {n}" for n in self.notes]
        if self.script:
            lines += ["", "A script that shows it:", "", self.script.rstrip()]
        return "\n".join(lines)


class CheckFailed(AssertionError):
    """A check did not end well; `report` has all that was decided."""

    def __init__(self, report: Report) -> None:
        super().__init__(str(report))
        self.report = report


class WrongGradient(CheckFailed):
    """A claim about the function is wrong."""


class Undecided(CheckFailed):
    """Nothing could be decided about the gradient; the report says why."""
