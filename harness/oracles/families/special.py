"""Special functions: `ON_BALLS` and `ON_SERIES` are functions of one cell, with parameters as keywords.

`CONSTANTS` are the numbers that the primitive `scaled` multiplies by, which no float equals.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from flint import arb, arb_series

from harness.oracles.families.on_balls import Enclosure, between
from harness.oracles.families.pieces import cellwise, series_cellwise

__all__ = ["CONSTANTS", "ENCLOSURES", "ON_BALLS", "ON_SERIES", "SERIES", "ndtr"]

CONSTANTS: Final[Mapping[str, Callable[[], arb]]] = {
    "2/sqrt(pi)": lambda: 2 / arb.pi().sqrt(),
    "1/sqrt(2 pi)": lambda: 1 / (2 * arb.pi()).sqrt(),
    "sqrt(2/pi)": lambda: (2 / arb.pi()).sqrt(),
    "0.044715": lambda: arb(0.044715),
    "1/6": lambda: 1 / arb(6),
    "selu scale": lambda: arb(1.0507009873554805),
    "selu alpha scale": lambda: arb(1.0507009873554805) * arb(1.6732632423543772),
}


def ndtr(t: Any) -> Any:
    """The distribution function of the standard normal distribution."""
    if isinstance(t, arb_series):
        return (-t / arb(2).sqrt()).erfc() / 2
    return between(t, lambda c: (-c / arb(2).sqrt()).erfc() / 2)


ON_BALLS: Final[Mapping[str, Callable[..., arb]]] = {
    "scaled": lambda c, by: c * CONSTANTS[by](),
    "erf": lambda c: between(c, arb.erf),
    "ndtr": ndtr,
}
ON_SERIES: Final[Mapping[str, Callable[..., arb_series]]] = {
    "scaled": lambda p, by: p * CONSTANTS[by](),
    "erf": arb_series.erf,
    "ndtr": ndtr,
}

ENCLOSURES: Final[Mapping[str, Enclosure]] = {name: cellwise(cell) for name, cell in ON_BALLS.items()}
SERIES: Final[Mapping[str, Enclosure]] = {name: series_cellwise(cell) for name, cell in ON_SERIES.items()}
