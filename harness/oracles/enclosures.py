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
from collections.abc import Callable
from typing import Any

import numpy as np

from harness.oracles.balls import noted, widened
from harness.oracles.families import FAMILIES, on_balls
from harness.oracles.families.on_balls import Enclosure, basic_index

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


def _without_arrays(index: Any) -> bool:
    """Whether an index picks no element twice because it is made of integers and slices."""
    plain = basic_index(index)
    return not any(isinstance(i, np.ndarray) for i in (plain if isinstance(plain, tuple) else (plain,)))


_SOMETIMES_EXACT: dict[str, Callable[[dict[str, Any]], bool]] = {
    "vector_norm": lambda params: math.isinf(params.get("ord", 2.0)),
    "getitem_adjoint": lambda params: _without_arrays(params["index"]),
}


def enclose(name: str, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
    """The enclosure of one primitive, widened by the declared error if one is in force.

    Returns:
        a BallArray, or a bool ndarray for a decided comparison.
    Raises:
        KeyError: the table lacks the primitive.
        Undecidable: a discrete decision falls inside a ball.
    """
    function = ENCLOSURES[name]
    result = function(*args, **params)
    rounds = not (name in MOVEMENT or (name in _SOMETIMES_EXACT and _SOMETIMES_EXACT[name](params)))
    if rounds:
        result = widened(name, args, params, result)
    return noted(name, function, args, params, rounds, result)
