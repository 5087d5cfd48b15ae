"""Rounding, remainders and signs: functions that jump.

Where a ball does not tell the side of a jump the policy of `undecided` applies: an error, or the union of both sides. A
series whose constant lies at a jump, or may, has no derivative.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from flint import arb, arb_series

from harness.oracles.balls import Undecidable, current_policy
from harness.oracles.families.on_balls import Enclosure, absolute, hull, larger, pairwise, smaller
from harness.oracles.families.on_series import elementwise as series_elementwise
from harness.oracles.families.on_series import larger_of, side_of
from harness.oracles.families.on_series import pairwise as series_pairwise
from harness.oracles.families.pieces import cellwise
from harness.oracles.worlds import choose

__all__ = ["ENCLOSURES", "MOVEMENT", "ON_BALLS", "ON_SERIES", "PAIRS_ON_BALLS", "PAIRS_ON_SERIES", "SERIES"]

_NAN = arb("nan")
_HALF = arb(0.5)


def _floor_of(c: arb) -> arb:
    """The floor of an exact number."""
    return c if c.is_integer() else c.floor()


def _rint_of(c: arb) -> arb:
    """The integer nearest to an exact number, the even one of two."""
    n = _floor_of(c + _HALF)
    return n - 1 if n - c == _HALF and not (n / 2).is_integer() else n


_ROUND: Final[Mapping[str, Callable[[arb], arb]]] = {
    "floor": _floor_of,
    "ceil": lambda c: -_floor_of(-c),
    "trunc": lambda c: _floor_of(c) if c >= 0 else -_floor_of(-c),
    "round": _rint_of,
}


def _is_choice(low: arb, high: arb) -> bool:
    """Whether it is one of two neighbouring integers, and one of them is to be chosen."""
    return current_policy() == "choose" and bool(high - low == 1)


def _likely_first(low: arb, high: arb, x: arb) -> list[arb]:
    """The two integers, first the one that a number exactly at the jump is rounded to."""
    return [high, low] if x.mid() >= high else [low, high]


def _rounded(name: str) -> Callable[[arb], arb]:
    to_integer = _ROUND[name]

    def cell(c: arb) -> arb:
        if not c.is_finite():
            return c if c.is_exact() else _NAN
        low, high = to_integer(c.lower()), to_integer(c.upper())
        if low == high:
            return low
        undecidable = Undecidable(name, (), c)
        if current_policy() == "raise":
            raise undecidable
        return choose(_likely_first(low, high, c), undecidable) if _is_choice(low, high) else hull(low, high)

    return cell


def _constant_beside(name: str) -> Callable[[arb_series], arb_series]:
    at_a_half = name == "round"

    def cell(p: arb_series) -> arb_series:
        c = p[0]
        shifted = c + _HALF if at_a_half else c
        if shifted.contains_integer() and not (name == "trunc" and abs(c) < 1):
            raise Undecidable(name, (), c)
        return arb_series([_ROUND[name](c.lower())])

    return cell


def _quotient(name: str, a: arb, b: arb) -> tuple[arb, arb]:
    """The smallest and largest integer that trunc(a / b) or floor(a / b) may be."""
    q = a / b
    to_integer = _ROUND["trunc" if name == "fmod" else "floor"]
    nearest = (q + _HALF).floor()
    if nearest.is_exact() and a - nearest * b == 0:  # whatever the quotient's own rounding says
        return nearest, nearest
    if not q.is_finite():
        return _NAN, _NAN
    return to_integer(q.lower()), to_integer(q.upper())


def _modulo(name: str) -> Callable[[arb, arb], arb]:
    def cell(a: arb, b: arb) -> arb:
        if b.contains(0) or not (a.is_finite() and b.is_finite()):
            return _NAN
        low, high = _quotient(name, a, b)
        if low == high:
            return a - low * b
        if not (low.is_finite() and high.is_finite()):
            return _NAN
        undecidable = Undecidable(name, (), a / b)
        if current_policy() == "raise":
            raise undecidable
        if _is_choice(low, high):
            return a - choose(_likely_first(low, high, a / b), undecidable) * b
        size = b.abs_upper()
        return hull(a - low * b, a - high * b) if high - low == 1 else hull(-size, size)

    return cell


def _modulo_series(name: str) -> Callable[[arb_series, arb_series], arb_series]:
    def cell(a: arb_series, b: arb_series) -> arb_series:
        if b[0].contains(0) or not (a[0].is_finite() and b[0].is_finite()):
            return arb_series([_NAN, _NAN, _NAN])
        q = a[0] / b[0]
        if q.contains_integer() and not (name == "fmod" and abs(q) < 1):
            raise Undecidable(name, (), q)
        return a - b * _ROUND["trunc" if name == "fmod" else "floor"](q.lower())

    return cell


def _copysign(a: arb, b: arb) -> arb:
    size = absolute(a)
    if b > 0:
        return size
    if b < 0:
        return -size
    undecidable = Undecidable("copysign", (), b)
    if b != 0 and current_policy() == "raise":
        raise undecidable
    # the sign of a float 0 does not reach the ball
    if current_policy() == "choose" and b.is_finite():
        return choose([size, -size], undecidable)
    return _NAN if b.is_nan() else hull(-size, size)


def _copysign_series(a: arb_series, b: arb_series) -> arb_series:
    same = side_of("copysign", a, arb(0), ()) == side_of("copysign", b, arb(0), ())
    return a if same else -a


ON_BALLS: Final[Mapping[str, Callable[..., arb]]] = {name: _rounded(name) for name in _ROUND}
ON_SERIES: Final[Mapping[str, Callable[..., arb_series]]] = {name: _constant_beside(name) for name in _ROUND}
PAIRS_ON_BALLS: Final[Mapping[str, Callable[[arb, arb], arb]]] = {
    "fmod": _modulo("fmod"),
    "remainder": _modulo("remainder"),
    "copysign": _copysign,
    "fmax": larger,
    "fmin": smaller,
}
PAIRS_ON_SERIES: Final[Mapping[str, Callable[[arb_series, arb_series], arb_series]]] = {
    "fmod": _modulo_series("fmod"),
    "remainder": _modulo_series("remainder"),
    "copysign": _copysign_series,
    "fmax": larger_of(1, "fmax"),
    "fmin": larger_of(-1, "fmin"),
}

ENCLOSURES: Final[Mapping[str, Enclosure]] = {
    **{name: cellwise(cell) for name, cell in ON_BALLS.items()},
    **{name: pairwise(cell) for name, cell in PAIRS_ON_BALLS.items()},
}
SERIES: Final[Mapping[str, Any]] = {
    **{name: series_elementwise(cell) for name, cell in ON_SERIES.items()},
    **{name: series_pairwise(cell) for name, cell in PAIRS_ON_SERIES.items()},
}
MOVEMENT: Final = (*_ROUND, "copysign", "fmax", "fmin")
