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

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

__all__ = ["MOST", "TooManyError", "choose", "worlds"]

T = TypeVar("T")

MOST = 24
"""How many worlds a case is run in; one that has more stays undecided."""


class TooManyError(ArithmeticError):
    """There are more ways to choose than are tried."""


_answers: list[int] | None = None  # of the run in progress: which option was taken at each choice
_counts: list[int] = []  # and how many there were


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
    _counts.append(len(options))
    return options[_answers[k]]


def worlds(run: Callable[[], T], most: int) -> Iterator[T]:
    """Yield the result of `run()` for every way to choose, at least one.

    Raises:
        TooManyError: there are more than `most`; raised after so many runs.
    """
    global _answers
    planned: list[int] = []
    for _ in range(most):
        before = _answers
        _answers = planned
        _counts.clear()
        try:
            result = run()
            counts = _counts.copy()
        finally:
            _answers = before
        yield result
        while planned and planned[-1] + 1 == counts[len(planned) - 1]:
            planned.pop()
        if not planned:
            return
        planned[-1] += 1
    raise TooManyError(f"more than {most} ways to choose")
