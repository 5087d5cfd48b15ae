"""What the commands share: exit codes, how they fail, their common options and what an option may be.

A callback gets the text of an option and returns the value (a time, sizes, names that come with their neighbours when
misspelt), or raises a usage error that shows the text.

>>> unknown("op", "sofmax", ["softmax", "log_softmax", "tan"])
"unknown op 'sofmax'; did you mean softmax or log_softmax?"
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Sequence

import click

__all__ = [
    "AGREE",
    "BROKEN",
    "DISAGREE",
    "EPILOG",
    "GATE",
    "INCONCLUSIVE",
    "INTERRUPTED",
    "MAX_INCONCLUSIVE",
    "NO_REPORT",
    "OUT",
    "SEED",
    "USAGE",
    "Failed",
    "names",
    "seconds",
    "sizes",
    "unknown",
    "usable",
]

AGREE, DISAGREE, USAGE, INCONCLUSIVE, BROKEN, INTERRUPTED = 0, 1, 2, 3, 70, 130

EPILOG = """\b
Exit codes:
  0    all agree
  1    a disagreement that no waiver covers, a timed value that is wrong, or what --fail-on names
  2    wrong use: an unknown name, a missing framework, an unwritable folder
  3    more inconclusive than --max-inconclusive allows, nothing compared, or what --require-coverage misses
  70   Adjudge itself failed
  130  stopped by Ctrl-C; what was there is kept and reported
"""

OUT = click.option(
    "--out", default="adjudge-out", show_default=True, metavar="DIR", help="Folder or URL for the rows and the report."
)
SEED = click.option(
    "--seed", type=click.IntRange(0, 2**31), default=0, show_default=True, help="The same seed draws the same."
)
GATE = click.option(
    "--gate", "gate_file", type=click.Path(dir_okay=False), metavar="FILE",
    help="TOML file of thresholds and accepted changes of single series.",
)  # fmt: skip
NO_REPORT = click.option("--no-report", is_flag=True, help="Keep the rows, make no HTML page.")
MAX_INCONCLUSIVE = click.option(
    "--max-inconclusive", type=click.FloatRange(0, 100), default=2.0, show_default=True, metavar="PERCENT",
    help="Largest share of elements that may stay undecided.",
)  # fmt: skip

_LONGEST_SECONDS = 30 * 24 * 3600
_UNITS = {"s": 1, "m": 60, "h": 3600}


class Failed(click.ClickException):
    """Something outside the run is not as it should be: a file, a folder, a waiver."""

    exit_code = USAGE


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


def usable(chosen: tuple[str, ...] | None, default: Sequence[str], *, beside: Sequence[str] = ()) -> tuple[str, ...]:
    """The backends to use: those asked for, which must be there, or those of the default that are.

    Args:
        beside: names that need no framework.
    """
    from harness.backends import available

    missing = {name: reason for name, reason in available().items() if reason is not None and name not in beside}
    if chosen is not None:
        for name in chosen:
            if name in missing:
                raise click.UsageError(f"--backends: {missing[name]}")
        return chosen
    for name in default:
        if name in missing:
            click.echo(f"left out: {missing[name]}", err=True)
    return tuple(name for name in default if name not in missing)
