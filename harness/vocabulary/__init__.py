"""The vocabulary of programs: one row an op, one module a family.

`OPS` is read by everything that must know an op's signature: inference, the generator, the tracer, the JSON reader. To
add an op, add its row to the module of its family.

>>> OPS["sum"].params
{'dim': None, 'keepdim': False}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from harness.vocabulary import (
    activations,
    contraction,
    elementwise,
    indexing,
    layers,
    losses,
    matrices,
    movement,
    moving,
    picking,
    reductions,
    selection,
    special,
)
from harness.vocabulary.checks import Op

__all__ = ["OPS"]

_FAMILIES = (
    elementwise,
    reductions,
    movement,
    indexing,
    contraction,
    layers,
    losses,
    matrices,
    activations,
    special,
    selection,
    moving,
    picking,
)

OPS: Final[Mapping[str, Op]] = {op.name: op for family in _FAMILIES for op in family.ROWS}
