"""The corpus: minimised cases that once showed something, each with what every engine must make of it.

An entry is a JSON file in `suites/corpus/`: "name", "why" it is kept, the "case" as `harness.serial` writes it, and
"expected": for each backend the verdicts on value and vjp, as `describe` words them ("agree", "agree; 1 of 3
undecided: overflow", "inconclusive: tie", "disagree: accuracy"). To add one, call `add` with the case and read what it
wrote before committing it: the expected verdicts are what was judged when it was added.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from harness import backends
from harness.cases import Case
from harness.examine import examine
from harness.judgement import Verdict
from harness.serial import dumps_case, loads_case

__all__ = ["FOLDER", "Entry", "add", "describe", "entries", "judged"]

FOLDER = Path(__file__).parent / "corpus"
BACKENDS = ("reference", "torch", "jax", "jax-jit")
CLAIMS = ("value", "vjp")


@dataclass(frozen=True)
class Entry:
    """One file of the corpus."""

    name: str
    why: str
    case: Case
    expected: dict[str, dict[str, str]]


def entries() -> tuple[Entry, ...]:
    """Read the whole corpus.

    Raises:
        ValueError: a file is no entry; the message names it.
    """
    return tuple(_read(path) for path in sorted(FOLDER.glob("*.json")))


def add(name: str, why: str, case: Case) -> Entry:
    """Write an entry with the verdicts of now."""
    expected = {b: judged(case, b) for b in BACKENDS}
    tree = {"name": name, "why": why, "case": json.loads(dumps_case(case)), "expected": expected}
    (FOLDER / f"{name}.json").write_text(json.dumps(tree, indent=1) + "\n")
    return Entry(name, why, case, expected)


def judged(case: Case, backend: str) -> dict[str, str]:
    """What a backend's verdicts are now, in the words of the corpus."""
    verdicts = examine(case, backends.get(backend))
    return {v.claim: describe(v) for v in verdicts}


def describe(verdict: Verdict) -> str:
    """A verdict in a word or two."""
    if verdict.kind == "disagree":
        return f"disagree: {verdict.aspect}"
    if verdict.kind == "inconclusive":
        return f"inconclusive: {verdict.reason}"
    if verdict.undecided:
        return f"{verdict.kind}; {verdict.undecided} of {verdict.elements} undecided: {verdict.reason}"
    return verdict.kind


def _read(path: Path) -> Entry:
    tree = json.loads(path.read_text())
    wanted = {"name", "why", "case", "expected"}
    if not isinstance(tree, dict) or set(tree) != wanted:
        raise ValueError(f"{path}: not an entry of the corpus; it wants the keys {', '.join(sorted(wanted))}")
    if tree["name"] != path.stem:
        raise ValueError(f"{path}: its name is {tree['name']!r}")
    return Entry(tree["name"], tree["why"], loads_case(json.dumps(tree["case"])), tree["expected"])
