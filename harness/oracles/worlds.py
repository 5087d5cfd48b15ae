"""Choices that no number decides: each possible world in turn, so that a tie is judged and not excused.

Where two elements are equal, or nearer than rounding, which of them is the largest is not a question about real numbers.
An engine answers it, one way or another, and lives with the answer: the value, the index and the gradient must belong to
the same choice. So the program is run once for each way to choose, and an outcome must agree with one of them throughout.

>>> def program() -> str:
...     first = choose(["a", "b"], ValueError())
...     return first + choose(["x", "y"], ValueError()) if first == "a" else first
>>> [*worlds(program, 8)]
['ax', 'ay', 'b']
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from flint import arb

__all__ = ["MOST", "SEARCHED", "TooManyError", "choose", "nearest", "order", "worlds"]

T = TypeVar("T")

MOST = 24
"""How many worlds a case is run in; one that has more stays undecided, or is searched."""

SEARCHED = 40
"""How many worlds of those that have more are tried in search for one that fits."""


class TooManyError(ArithmeticError):
    """There are more ways to choose than are tried."""


_answers: list[int] | None = None  # of the run in progress: which option was taken at each choice
_counts: list[int] = []  # and how many there were
_orders: dict[Any, tuple[int, arb, arb]] = {}  # the order of two numbers, by their identity, for which they are kept


def choose(options: Sequence[T], otherwise: Exception) -> T:
    """Return the option that this run takes.

    Raises:
        Exception: `otherwise`, outside `worlds`.
    """
    if _answers is None:
        raise otherwise
    k = len(_counts)
    if k == len(_answers):
        _answers.append(0)
    elif _answers[k] >= len(options):  # an answer of another run, whose earlier choices were others
        _answers[k] = 0
    _counts.append(len(options))
    return options[_answers[k]]


def order(p: arb, q: arb, otherwise: Exception) -> int:
    """Return which of two numbers this run takes for the larger one: 1, -1, or 0 if for equal. Once said it holds.

    Raises:
        Exception: `otherwise`, outside `worlds` and `nearest`.
    """
    key = (id(p), float(q.mid()) if q.is_exact() else id(q))
    if key not in _orders:
        gap = p.mid() - q.mid()
        likely = 1 if gap > 0 else -1 if gap < 0 else 0
        options = [likely, *(k for k in (0, 1, -1) if k != likely)]
        impossible = {k for k, never in ((1, p <= q), (-1, p >= q), (0, p != q)) if never}
        _orders[key] = (choose([k for k in options if k not in impossible], otherwise), p, q)
    return _orders[key][0]


def worlds(run: Callable[[], T], most: int) -> Iterator[T]:
    """Yield the result of `run()` for every way to choose, at least one.

    Raises:
        TooManyError: there are more than `most`; raised after so many runs, or after one that had too many choices.
    """
    planned: list[int] = []
    for k in range(most):
        result, planned, counts = _once(run, planned)
        yield result
        if k == 0 and math.prod(counts) > most:
            break
        while planned and planned[-1] + 1 == counts[len(planned) - 1]:
            planned.pop()
        if not planned:
            return
        planned[-1] += 1
    raise TooManyError(f"more than {most} ways to choose")


def nearest(run: Callable[[], T], misfit: Callable[[T], int]) -> tuple[T, bool]:
    """Return the result of the run that fits best, and whether all ways to choose were tried.

    Where the ways are too many, each choice in turn is changed and the change is kept if the result fits better: choices
    of different elements hardly ever hang together. A result that fits is a proof that there is one; that none was found
    proves nothing then.

    Args:
        run: makes choices.
        misfit: how badly a result fits; 0 ends the search.
    """
    best, answers, counts = _once(run, [])
    least = misfit(best)
    runs = 1
    if math.prod(counts) <= MOST:
        try:
            for result in worlds(run, MOST) if least and counts else ():
                if (wrong := misfit(result)) < least:
                    best, least = result, wrong
                if not least:
                    break
        except TooManyError:  # the first run met fewer choices than others
            return best, False
        return best, True
    at = 0
    while least and at < len(counts) and runs < SEARCHED:
        for option in range(counts[at]):
            if option == answers[at] or not least or runs >= SEARCHED:
                continue
            result, tried, found = _once(run, [*answers[:at], option, *answers[at + 1 :]])
            runs += 1
            if (wrong := misfit(result)) < least:
                best, least, answers, counts = result, wrong, tried, found
                break
        at += 1
    return best, False


def _once(run: Callable[[], T], planned: list[int]) -> tuple[T, list[int], list[int]]:
    """The result of a run with these answers, as far as they exist; the answers that it took, and how many it could."""
    global _answers
    before = _answers
    taken = _answers = planned.copy()
    _counts.clear()
    _orders.clear()
    try:
        result = run()
        return result, taken[: len(_counts)], _counts.copy()
    finally:
        _answers = before
        _orders.clear()
