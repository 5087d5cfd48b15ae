"""What can be wrong about a derivative, as data: one `Defect` says what, in which rule, by how much, and where it shows.

>>> print(Defect("mul", 1, "factor", 0.5, "float32"))
mul[1]: factor 1+0.5, float32 only
>>> Defect("mul", 1, "factor", 0.5, "float32").group
'one dtype only'
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["FACTORS", "GROUPS", "KINDS", "STRUCTURAL", "WHERE", "Defect"]

FACTORS: Final = (1e-3, 1e-8)
KINDS: Final[dict[str, str]] = {
    # kind -> the group that it is counted in
    "zero": "no-op",
    "cotangent": "no-op",
    "sign": "sign",
    "factor": "scale",
    "wrong axis": "wrong axis",
    "missing sum": "missing unbroadcast",
    "lost use": "lost accumulation",
    "stale call": "stale saved value",
    "stale copy": "stale saved value",
    "wrong value": "stale saved value",
    "writes cotangent": "aliasing",
    "writes saved": "aliasing",
    "writes argument": "aliasing",
    "leak": "detach leak",
    "cut": "detach leak",
    "dtype": "wrong dtype",
    "tie": "tie rule",
    "second order": "second order only",
    "dropped element": "misplaced",
    "dropped term": "misplaced",
    "wrong argument": "misplaced",
    "wrong place": "misplaced",
    "not zero": "misplaced",
}
STRUCTURAL: Final = tuple(kind for kind in KINDS if kind != "factor")
WHERE: Final[dict[str, str]] = {
    # where a defect shows -> the group that it is counted in
    "everywhere": "",
    "float32": "one dtype only",
    "non-contiguous": "one layout only",
    "expanded": "one layout only",
    "size 0": "size 0 or 1 only",
    "size 1": "size 0 or 1 only",
    "large": "large magnitude only",
}
SMALL: Final = 1e-2
GROUPS: Final = (*dict.fromkeys([*KINDS.values(), *filter(None, WHERE.values())]), "scale in float32 only")


@dataclass(frozen=True)
class Defect:
    """One wrong rule.

    Attributes:
        op: the op, or the primitive of the reference.
        argument: the position of the argument whose rule is wrong.
        kind: one of `KINDS`.
        size: of a factor 1 + size; 0 otherwise.
        where: one of `WHERE`.
    """

    op: str
    argument: int
    kind: str
    size: float = 0.0
    where: str = "everywhere"

    def __post_init__(self) -> None:
        for name, value, known in (("kind", self.kind, KINDS), ("where", self.where, WHERE)):
            if value not in known:
                raise ValueError(f"{name}: unknown defect {value!r}; known: {', '.join(known)}")

    def __str__(self) -> str:
        text = f"{self.op}[{self.argument}]: {self.kind}" + (f" 1+{self.size:g}" if self.size else "")
        return text if self.where == "everywhere" else f"{text}, {self.where} only"

    @property
    def structural(self) -> bool:
        """Whether the rule is wrong in kind, or grossly, rather than by a factor near 1."""
        return self.kind != "factor" or (self.where != "everywhere" and self.size > SMALL)

    @property
    def group(self) -> str:
        """What it is counted among: one of `GROUPS`."""
        if self.where == "float32" and not self.structural:
            return "scale in float32 only"
        return WHERE[self.where] or KINDS[self.kind]
