"""The coverage table as a page of Markdown: `harness/docs/coverage.md` is what it printed last."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from harness.coverage.rows import STATUSES, CoverageRow

__all__ = ["as_markdown", "statuses_on", "summary"]

_NAMES = {"torch": "PyTorch", "jax": "JAX"}
_KERNELS = {"torch": "ATen kernels", "jax": "primitives"}


def as_markdown(rows: Sequence[CoverageRow], about: Mapping[str, Any]) -> str:
    """Return the page.

    Args:
        rows: the rows, in the order in which each area shows them.
        about: what is true of the run: "command", "versions", "seconds", "machine".
    """
    lines = [
        "# What of PyTorch and JAX the checks reach",
        "",
        "Made by `adjudge coverage --page harness/docs/coverage.md`; run it again rather than edit this page.",
        "",
        *_counts(rows),
        f"Run: `{about['command']}`, {about['seconds'] / 60:.0f} minutes for all rows together. Versions: {_versions(about)}.",
        "",
        *_EXPLAINED,
        "",
    ]
    lines += _wrong(rows)
    lines += _lost(rows)
    for engine in dict.fromkeys(r.engine for r in rows):
        lines += _kernels(engine, [r for r in rows if r.engine == engine])
    for area in dict.fromkeys(r.area for r in rows):
        lines += _table(area, [r for r in rows if r.area == area])
    return "\n".join(lines).rstrip() + "\n"


_EXPLAINED = (
    "Each function is called a few times with small arrays, in float64, and `check_gradients` is asked about each call: at",
    "its arguments and, as far as time allows, at points around them.",
    "",
    "- **certified**: the forward was recorded as a program, and the gradient proved right for at least one call.",
    "- **cross-checked**: the gradient agrees with difference quotients to within their error, is linear in the cotangent,",
    "  repeatable, and has the right shape. The reason says why it was not proved.",
    "- **wrong**: a claim about a call is wrong. What is known about it stands in `findings.md`.",
    "- **not covered**: nothing was decided, for the reason given.",
    "",
    "A status holds for the calls that were made: *proved* of *calls*, and *estimated* where quotients had to do. PyTorch's",
    "calls are the samples of its own tests, JAX's are declared in `harness/backends/jax_calls.py` or found by trying arrays.",
    "Complex numbers are pairs of real ones on the way in and out.",
)


def summary(rows: Sequence[CoverageRow]) -> str:
    """The counts, one line an engine."""
    lines = []
    for engine in dict.fromkeys(r.engine for r in rows):
        own = [r for r in rows if r.engine == engine]
        counts = Counter(r.status for r in own)
        words = ", ".join(f"{counts[s]} {s}" for s in STATUSES)
        lines.append(
            f"{_NAMES[engine]}: {len(own)} functions: {words}; {len(_operators(own))} {_KERNELS[engine]} proved"
        )
    return "\n".join(lines)


def statuses_on(page: str) -> dict[str, str]:
    """The status of each function on a page, by its name."""
    found = {}
    for line in page.splitlines():
        cells = [c.strip() for c in line.split(" | ")]
        if line.startswith("| `") and len(cells) == 5 and cells[1] in STATUSES:
            found[cells[0].removeprefix("| ").strip("`")] = cells[1]
    return found


def _counts(rows: Sequence[CoverageRow]) -> list[str]:
    lines = [f"| | functions | {' | '.join(STATUSES)} | operators proved |", f"|---|{'---:|' * (len(STATUSES) + 2)}"]
    for engine in dict.fromkeys(r.engine for r in rows):
        own = [r for r in rows if r.engine == engine]
        kernels = f"{len(_operators(own))} {_KERNELS[engine]}"
        areas = list(dict.fromkeys(r.area for r in own))
        for area in areas if len(areas) > 1 else []:
            lines.append(_count(f"`{area}`", [r for r in own if r.area == area], ""))
        lines.append(_count(f"**{_NAMES[engine]} {own[0].engine_version}**", own, kernels))
    return [*lines, ""]


def _count(name: str, rows: Sequence[CoverageRow], kernels: str) -> str:
    counts = Counter(r.status for r in rows)
    return f"| {name} | {len(rows)} | {' | '.join(str(counts[s]) for s in STATUSES)} | {kernels} |"


def _versions(about: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {version}" for name, version in about["versions"].items())


def _operators(rows: Sequence[CoverageRow]) -> list[str]:
    return sorted({o for r in rows for o in r.operators})


def _wrong(rows: Sequence[CoverageRow]) -> list[str]:
    wrong = [r for r in rows if r.status == "wrong"]
    if not wrong:
        return []
    lines = ["## Wrong", "", "| function | claim | what | known as |", "|---|---|---|---|"]
    lines += [f"| `{r.name}` | {r.claim} | {_cell(r.reason)} | {f'`{r.waiver}`' if r.waiver else ''} |" for r in wrong]
    return [*lines, ""]


def _lost(rows: Sequence[CoverageRow]) -> list[str]:
    lost = [r for r in rows if r.ended]
    if not lost:
        return []
    lines = [
        "## Crashes and hangs",
        "",
        "The process that checked it ended, or had to be ended, at one of the calls.",
        "",
    ]
    lines += ["| function | what happened |", "|---|---|"]
    return [*lines, *(f"| `{r.name}` | {_cell(r.ended)} |" for r in lost), ""]


def _kernels(engine: str, rows: Sequence[CoverageRow]) -> list[str]:
    operators = [o.removeprefix("aten.") for o in _operators(rows)]
    if not operators:
        return []
    title = f"## {_NAMES[engine]}: {len(operators)} {_KERNELS[engine]} in proved calls"
    return [title, "", ", ".join(f"`{o}`" for o in operators), ""]


def _table(area: str, rows: Sequence[CoverageRow]) -> list[str]:
    title = "PyTorch's operators" if area == "torch" else f"`{area}`"
    lines = [
        f"## {title}",
        "",
        "| function | status | proved, estimated, calls | further claims | why |",
        "|---|---|---|---|---|",
    ]
    for r in rows:
        calls = f"{r.proved}, {r.estimated}, {r.calls}" if r.calls else ""
        why = "digits are lost" if r.digits_lost and not r.reason else r.reason
        lines.append(f"| `{r.name}` | {r.status} | {calls} | {_claims(r)} | {_cell(why)} |")
    return [*lines, ""]


_SHORT = {"second order": "2nd", "forward mode": "fwd", "batched": "vmap"}


def _claims(row: CoverageRow) -> str:
    return " ".join(short for name, short in _SHORT.items() if name in row.claims)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").strip()
