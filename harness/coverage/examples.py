"""Calls of a framework's function that coverage asks about.

An engine of the table is a module with `version()`, `names()` and `examples(name, count)`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Example", "NoExample", "different"]


class NoExample(Exception):
    """A function has no call that could be differentiated; the message says why in a line."""


@dataclass(frozen=True, eq=False)
class Example:
    """One call of a function.

    Attributes:
        fn: the function, or one around it that takes and returns real numbers.
        args: its arguments, those that are differentiated among them.
        kwargs: keyword arguments.
        label: the variant of the function and what is special about the call.
        kind: what tells calls apart: of two of one kind the smaller one will do.
        size: elements of all arrays together.
    """

    fn: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    label: str
    kind: tuple[Any, ...]
    size: int


def different(found: Iterable[Example], count: int) -> list[Example]:
    """Up to `count` calls, each of another kind if there are so many, none larger than need be.

    A call of one element shows little, so that two elements count as the smallest size.
    """
    best: dict[tuple[Any, ...], list[Example]] = {}
    for example in found:
        best.setdefault(example.kind, []).append(example)
    for group in best.values():
        group.sort(key=lambda e: e.size if e.size > 1 else 10)
    picked: list[Example] = []
    turn = 0
    while len(picked) < count and any(len(g) > turn for g in best.values()):
        picked += [g[turn] for g in best.values() if len(g) > turn]
        turn += 1
    return picked[:count]
