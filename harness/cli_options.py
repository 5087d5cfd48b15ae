"""What the options of the command line may be: times, sizes, and names that come with their neighbours when misspelt.

Each is a callback of click: it gets the text and returns the value, or raises a usage error that shows the text.

>>> unknown("op", "sofmax", ["softmax", "log_softmax", "tan"])
"unknown op 'sofmax'; did you mean softmax or log_softmax?"
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection

import click

__all__ = ["names", "seconds", "sizes", "unknown"]

_LONGEST_SECONDS = 30 * 24 * 3600
_UNITS = {"s": 1, "m": 60, "h": 3600}


def names(
    noun: str, known: Callable[[], Collection[str]]
) -> Callable[[click.Context, click.Parameter, str | None], tuple[str, ...] | None]:
    """Return a callback for names separated by commas, each one of `known()`."""

    def parse(ctx: click.Context, param: click.Parameter, text: str | None) -> tuple[str, ...] | None:
        if text is None:
            return None
        found = tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
        if not found:
            raise click.BadParameter(f"no {noun} is named in {text!r}", ctx, param)
        for name in found:
            if name not in known():
                raise click.BadParameter(unknown(noun, name, known()), ctx, param)
        return found

    return parse


def seconds(ctx: click.Context, param: click.Parameter, text: str) -> float:
    """A time such as 90, 90s, 1.5m or 1h, in seconds."""
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?|\.\d{1,9})\s*([smh]?)", text.strip(), re.ASCII)
    value = float(found[1]) * _UNITS[found[2] or "s"] if found else 0.0
    if not 0 < value <= _LONGEST_SECONDS:
        message = f"{text!r} is not a time such as 90, 90s, 1.5m or 1h (more than 0, at most 720h)"
        raise click.BadParameter(message, ctx, param)
    return value


def sizes(ctx: click.Context, param: click.Parameter, text: str | None) -> tuple[int, ...] | None:
    """Whole numbers above 0, separated by commas."""
    if text is None:
        return None
    words = [word.strip() for word in text.split(",")]
    if not all(re.fullmatch(r"[1-9]\d{0,11}", word, re.ASCII) for word in words):
        raise click.BadParameter(f"{text!r} is not a list of sizes such as 10,1000", ctx, param)
    return tuple(map(int, words))


def unknown(noun: str, name: str, known: Collection[str]) -> str:
    """Say that a name is not known, and which ones are close to it."""
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(sorted(known))}"
    return f"unknown {noun} {name!r}; {hint}"
