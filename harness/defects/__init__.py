"""The defect library: wrong rules as data, planted in the reference, in PyTorch, in JAX and in the package autograd.

`declared.Defect` says what is wrong; `rules` plants it as a rule of a primitive of the reference; `twins` makes of it a
function with a wrong backward, which the frameworks' files under `harness.backends` build; `library` chooses the defects
that `adjudge power` counts.
"""

from __future__ import annotations

from harness.defects.declared import FACTORS, GROUPS, STRUCTURAL, Defect
from harness.defects.rules import PlantedBackend, all_defects, can_be_planted, defects, planted, wrong_rules

__all__ = [
    "FACTORS",
    "GROUPS",
    "STRUCTURAL",
    "Defect",
    "PlantedBackend",
    "all_defects",
    "can_be_planted",
    "defects",
    "planted",
    "wrong_rules",
]
