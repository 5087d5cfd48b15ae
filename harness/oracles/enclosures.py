"""The table primitive -> enclosure: for balls that contain the operands, a ball that is certain to contain the result.

`enclose(name, args, params)` is what a backward on balls calls: it evaluates `ENCLOSURES[name]` and widens an inexact
result by the error that the current `widening` declares. `MOVEMENT` names the primitives that no floating-point
implementation rounds: they move, select, compare or negate.

The entries are written in `harness.oracles.families`.

>>> import numpy as np
>>> from harness.oracles.balls import BallArray
>>> x = BallArray.from_floats(np.array([3.0]))
>>> enclose("sqrt", (x,), {}).midpoints().round(3)
array([1.732])
"""

from __future__ import annotations

import math
from typing import Any

from harness.oracles.balls import widened
from harness.oracles.families import FAMILIES, on_balls
from harness.oracles.families.on_balls import Enclosure

__all__ = ["ENCLOSURES", "MOVEMENT", "enclose"]

ENCLOSURES: dict[str, Enclosure] = dict(on_balls.ENCLOSURES)
_MOVED = frozenset(
    [
        "neg",
        "abs",
        "sign",
        "relu",
        "maximum",
        "minimum",
        "clamp",
        "where",
        "gt",
        "ge",
        "lt",
        "le",
        "eq",
        "ne",
        "amax",
        "amin",
        "reshape",
        "permute",
        "transpose",
        "expand",
        "unsqueeze",
        "squeeze",
        "flip",
        "cat",
        "stack",
        "tril",
        "triu",
        "clone",
        "detach",
        "getitem",
        "getitem_adjoint",
        "index_select",
        "gather",
        "logical_and",
        "logical_or",
        "logical_not",
        "overwrite",
        "index_put",
        "view_scatter",
        "zeros_like",
        "ones_like",
        "full_like",
    ]
)
for _family in FAMILIES:
    ENCLOSURES.update(getattr(_family, "ENCLOSURES", {}))
MOVEMENT: frozenset[str] = _MOVED.union(*(getattr(family, "MOVEMENT", ()) for family in FAMILIES))


def enclose(name: str, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
    """The enclosure of one primitive, widened by the declared error if one is in force.

    Returns:
        a BallArray, or a bool ndarray for a decided comparison.
    Raises:
        KeyError: the table lacks the primitive.
        Undecidable: a discrete decision falls inside a ball.
    """
    result = ENCLOSURES[name](*args, **params)
    if name in MOVEMENT or (name == "vector_norm" and math.isinf(params.get("ord", 2.0))):
        return result
    return widened(name, args, params, result)
