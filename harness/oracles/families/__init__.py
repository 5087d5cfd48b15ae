"""Enclosures and power series of primitives, one module a family.

`on_balls` and `on_series` hold the first families and the tools that all others are written with; each other module
exports, as far as it has any, `ENCLOSURES` (primitive -> enclosure on balls), `SERIES` (primitive -> function on series)
and `MOVEMENT` (names of primitives that round nothing). To add a family, write its module and add it to `FAMILIES`.
"""

from __future__ import annotations

from types import ModuleType
from typing import Final

from harness.oracles.families import activations, layers, linear_algebra, rounding, selection, special, transcendental

__all__ = ["FAMILIES"]

FAMILIES: Final[tuple[ModuleType, ...]] = (
    activations,
    layers,
    selection,
    special,
    linear_algebra,
    transcendental,
    rounding,
)
