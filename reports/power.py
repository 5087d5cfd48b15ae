"""The power of checkers of gradients: the share of planted defects that each complains of, by kind, and false alarms.

`power_table(rows)` counts; `power_markdown` and `print_power` show it, and the page has it as a section.

>>> low, high = wilson(98, 100)
>>> round(low, 3), round(high, 3)
(0.93, 0.994)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist, median

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.records import PowerRow, RunInfo

__all__ = ["PowerTable", "Share", "milliseconds", "power_markdown", "power_table", "print_power", "wilson"]

CLEAR = 16.0
"""From so many bounds on a factor in float32 is one that a certificate must see."""

_ENGINES = ("reference", "torch", "jax", "autograd")
_NAMES = {"reference": "reference", "torch": "PyTorch", "jax": "JAX", "autograd": "autograd"}


_SHORT = {
    "Adjudge (reference)": "Adjudge\nreference",
    "Adjudge (reference, drawn programs)": "Adjudge\ndrawn",
    "Adjudge (PyTorch)": "Adjudge\nPyTorch",
    "Adjudge (JAX)": "Adjudge\nJAX",
    "PyTorch gradcheck slow": "grad-\ncheck\nslow",
    "PyTorch gradcheck fast": "grad-\ncheck\nfast",
    "PyTorch gradgradcheck": "grad-\ngrad-\ncheck",
    "JAX check_grads order 1": "JAX\ncheck_\ngrads 1",
    "JAX check_grads order 2": "JAX\ncheck_\ngrads 2",
    "autograd check_grads": "auto-\ngrad",
}


@dataclass(frozen=True)
class Share:
    """How many of how many."""

    caught: int
    asked: int

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the share."""
        return wilson(self.caught, self.asked)

    def __str__(self) -> str:
        if not self.asked:
            return "-"
        low, high = (math.floor(1000 * self.interval[0]) / 10, math.ceil(1000 * self.interval[1]) / 10)
        return f"{100 * self.caught / self.asked:.3g} % ({low:g} to {high:g})"


@dataclass(frozen=True)
class PowerTable:
    """The figures.

    Attributes:
        checkers: the columns: a name, and how many functions it was asked about.
        lines: a kind of defect, how many defects were planted, and a share for each checker; lines of sums last.
        alarms: the same for functions without a defect, by what they are.
        seconds: median time of an answer, one a checker.
        undecided: answers that were neither, one a checker.
    """

    checkers: tuple[str, ...]
    lines: tuple[tuple[str, int, tuple[Share, ...]], ...]
    alarms: tuple[tuple[str, int, tuple[Share, ...]], ...]
    seconds: tuple[float, ...]
    undecided: tuple[int, ...]


def wilson(caught: int, asked: int) -> tuple[float, float]:
    """The 95 % interval of a share. Source: E. B. Wilson, J. Am. Stat. Assoc. 22 (1927) 209-212.

    >>> wilson(0, 0)
    (0.0, 1.0)
    """
    if not asked:
        return 0.0, 1.0
    z = NormalDist().inv_cdf(0.975)
    p = caught / asked
    middle = (p + z * z / (2 * asked)) / (1 + z * z / asked)
    half = z / (1 + z * z / asked) * math.sqrt(p * (1 - p) / asked + z * z / (4 * asked * asked))
    return max(middle - half, 0.0), min(middle + half, 1.0)


def milliseconds(seconds: float) -> str:
    """A time in ms with three digits.

    >>> milliseconds(0.00132), milliseconds(5.4231)
    ('1.32 ms', '5,420 ms')
    """
    rounded = float(f"{1e3 * seconds:.3g}")
    return f"{rounded:,.0f} ms" if rounded >= 100 else f"{rounded:g} ms"


def power_table(rows: Iterable[PowerRow]) -> PowerTable:
    """Count the answers, by checker and kind of defect, in the order of the rows."""
    rows = list(rows)
    columns = sorted({(r.engine, r.checker) for r in rows}, key=_column_order)
    planted = [r for r in rows if r.planted]
    right = [r for r in rows if not r.planted]
    lines = _lines(planted, columns, _label)
    sums: list[tuple[str, Callable[[PowerRow], bool]]] = [
        ("all structural kinds", lambda r: r.structural),
        ("scale, 1e-1 to 1e-8", lambda r: r.group == "scale" and r.size >= 0.99e-8),
        ("scale in float32 only, 16 bounds or more", _is_clear),
    ]
    for name, belongs in sums:
        chosen = [r for r in planted if belongs(r)]
        if chosen:
            lines += _lines(chosen, columns, lambda r, name=name: f"**{name}**")  # type: ignore[misc]  # bound now
    alarms = _lines(right, columns, _what_is_right)
    if right:
        alarms += _lines(right, columns, lambda r: "**all**")
    own = [[r for r in rows if (r.engine, r.checker) == c] for c in columns]
    return PowerTable(
        checkers=tuple(_column_name(*c) for c in columns),
        lines=tuple(lines),
        alarms=tuple(alarms),
        seconds=tuple(median(r.seconds for r in part) for part in own),
        undecided=tuple(sum(r.answer == "undecided" for r in part) for part in own),
    )


def _lines(
    rows: Sequence[PowerRow], columns: Sequence[tuple[str, str]], label: Callable[[PowerRow], str]
) -> list[tuple[str, int, tuple[Share, ...]]]:
    found: dict[str, list[PowerRow]] = {}
    for row in rows:
        found.setdefault(label(row), []).append(row)
    made = []
    for name, part in found.items():
        shares = []
        for column in columns:
            own = [r for r in part if (r.engine, r.checker) == column]
            shares.append(Share(sum(r.answer == "complains" for r in own), len(own)))
        made.append((name, len({(r.defect, r.form, r.dtype) for r in part}), tuple(shares)))
    return made


def _label(row: PowerRow) -> str:
    if row.group == "scale":
        return f"scale 1 + {row.size:g}"
    if row.group == "scale in float32 only":
        return f"{row.group}, {'16 bounds or more' if _is_clear(row) else 'less, or unknown'}"
    return row.group


def _is_clear(row: PowerRow) -> bool:
    return row.group == "scale in float32 only" and row.bounds >= CLEAR


def _what_is_right(row: PowerRow) -> str:
    if "detach" in row.form:
        return "detached on purpose"
    return "float32" if row.dtype == "float32" else "plain"


def _column_order(column: tuple[str, str]) -> tuple[bool, int, str]:
    engine, checker = column
    return not checker.startswith("Adjudge"), _ENGINES.index(engine), checker.replace("slow", "a")


def _column_name(engine: str, checker: str) -> str:
    if checker == "Adjudge, drawn programs":
        return f"Adjudge ({_NAMES[engine]}, drawn programs)"
    return f"{checker} ({_NAMES[engine]})" if checker == "Adjudge" else f"{_NAMES[engine]} {checker}"


def power_markdown(rows: Iterable[PowerRow], info: RunInfo) -> str:
    """The table as a Markdown page, with the machine, the versions and the command."""
    rows = list(rows)
    table = power_table(rows)
    defects = len({r.defect for r in rows if r.planted})
    versions = ", ".join(f"{name} {version}" for name, version in info.versions.items())
    head = [
        "# Power",
        "",
        f"`{info.command}`: {defects:,} planted defects, {len(rows):,} answers, seed {info.seed}"
        + (", stopped before its end." if info.interrupted else "."),
        f"{info.cpu or 'unknown processor'}, {info.cores} cores, {info.threads} threads, {info.platform}; {versions}.",
        "",
        "Share of the functions with a wrong gradient that each checker complains of, with its 95 % interval (Wilson);",
        '"-" where the framework cannot express the defect.',
        "",
    ]
    body = _markdown("planted", table, table.lines)
    body += ["", "False alarms on the same functions with the right gradient:", ""]
    body += _markdown("function", table, table.alarms)
    body += ["", "| | " + " | ".join(table.checkers) + " |", "|---|" + "---:|" * len(table.checkers)]
    body.append("| median time of an answer | " + " | ".join(milliseconds(s) for s in table.seconds) + " |")
    body.append("| undecided | " + " | ".join(f"{n:,}" for n in table.undecided) + " |")
    return "\n".join([*head, *body, ""])


def _markdown(first: str, table: PowerTable, lines: Sequence[tuple[str, int, tuple[Share, ...]]]) -> list[str]:
    made = [f"| {first} | n | " + " | ".join(table.checkers) + " |", "|---|---:|" + "---:|" * len(table.checkers)]
    made += [f"| {name} | {n} | " + " | ".join(map(str, shares)) + " |" for name, n, shares in lines]
    return made


def print_power(rows: Iterable[PowerRow], console: Console | None = None) -> None:
    """Print the table: shares in percent, the functions asked about in the second column."""
    table = power_table(rows)
    view = Table(box=None, pad_edge=False, header_style="dim")
    view.add_column("planted", vertical="bottom")
    view.add_column("n", justify="right", vertical="bottom")
    for name in table.checkers:
        view.add_column(_SHORT.get(name, name), justify="right", vertical="bottom", no_wrap=True)
    for name, n, shares in table.lines:
        sums = name.startswith("**")
        view.add_row(Text(name.strip("*")), f"{n:,}", *map(_percent, shares), style="bold" if sums else "")
    view.add_section()
    for name, n, shares in table.alarms:
        told = ["-" if not s.asked else f"{s.caught:,}" for s in shares]
        view.add_row(Text(f"false alarms: {name.strip('*')}"), f"{n:,}", *told)
    view.add_row("median of an answer", "", *(milliseconds(s) for s in table.seconds))
    (console or Console()).print(view)


def _percent(share: Share) -> str:
    return f"{100 * share.caught / share.asked:.3g} %" if share.asked else "-"
