"""Waivers: differences that are known, explained and dated, so that a run can tell them from new ones.

They live in a TOML file outside the tests (`harness/waivers.toml`, whose head explains the keys). A waiver never turns
a disagreement into agreement: the row keeps its verdict and carries the waiver's id. Past its expiry it covers nothing.

>>> known = parse('''
... [[waiver]]
... id = "flushed-denormals"
... backend = "jax"
... versions = ">=0.10,<0.12"
... claim = "value"
... op = "exp"
... reason = "XLA flushes denormals on CPU"
... link = "https://example.org/issue/1"
... expires = 2030-01-31
... ''')
>>> known[0].expires.year
2030
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Protocol

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

__all__ = ["DEFAULT_PATH", "Judged", "Waiver", "WaiverError", "expired", "load", "match", "parse", "unused"]

DEFAULT_PATH = Path(__file__).with_name("waivers.toml")

_TEXT_KEYS = ("id", "backend", "versions", "claim", "op", "reason", "link")
_OPTIONAL = ("dtype", "difference")


class WaiverError(ValueError):
    """A waiver file is wrong; the message names the file, the entry and the key."""


@dataclass(frozen=True)
class Waiver:
    """One known difference.

    Attributes:
        id: short name, unique in the file; rows carry it.
        backend: whose difference it is.
        versions: versions of the backend that have it, as a packaging specifier such as ">=2.13,<2.15".
        claim: the claim that fails.
        op: the op that fails.
        reason: why it is no defect of Adjudge.
        link: where it is reported or documented.
        expires: last day on which it holds.
        dtype: the only dtype that it holds for; None for all.
        difference: the only kind of difference (`harness.triage.DIFFERENCES`) that it holds for; None for all.
    """

    id: str
    backend: str
    versions: str
    claim: str
    op: str
    reason: str
    link: str
    expires: date
    dtype: str | None = None
    difference: str | None = None


class Judged(Protocol):
    """What a waiver looks at; a `VerdictRow` has it."""

    @property
    def backend(self) -> str: ...
    @property
    def backend_version(self) -> str: ...
    @property
    def claim(self) -> str: ...
    @property
    def ops(self) -> str: ...
    @property
    def dtype(self) -> str: ...
    @property
    def difference(self) -> str: ...


def load(path: str | Path = DEFAULT_PATH) -> tuple[Waiver, ...]:
    """Read a waiver file.

    Raises:
        WaiverError: it cannot be read, is not TOML, or an entry is wrong.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise WaiverError(f"{path}: cannot be read: {error}") from error
    return parse(text, name=str(path))


def parse(text: str, *, name: str = "waivers") -> tuple[Waiver, ...]:
    """The waivers of a TOML text; `name` is what errors call it.

    Raises:
        WaiverError: the text is not TOML, or an entry is wrong.
    """
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise WaiverError(f"{name}: not TOML: {error}") from error
    if strange := sorted(set(data) - {"waiver"}):
        raise WaiverError(f"{name}: unknown key {strange[0]!r} at the top; entries begin with [[waiver]]")
    entries = data.get("waiver", [])
    if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
        raise WaiverError(f"{name}: 'waiver' is not a list of tables; entries begin with [[waiver]]")
    waivers = tuple(_read_entry(f"{name}: entry {i}", entry) for i, entry in enumerate(entries, start=1))
    seen: set[str] = set()
    for waiver in waivers:
        if waiver.id in seen:
            raise WaiverError(f"{name}: two entries have id {waiver.id!r}")
        seen.add(waiver.id)
    return waivers


def match(waivers: Iterable[Waiver], row: Judged, *, today: date | None = None) -> Waiver | None:
    """The first waiver that covers a disagreement, or None.

    Args:
        row: backend, version, claim, dtype and difference of the disagreement, and the ops of its *minimised* program: before
            shrinking, a program that merely contains a waived op would hide a new defect of another one.
        today: the day on which it is asked; the current day in UTC by default.
    """
    day = today or _today()
    for waiver in waivers:
        if (
            waiver.backend == row.backend
            and waiver.claim == row.claim
            and waiver.op in row.ops.split()
            and waiver.dtype in (None, row.dtype)
            and waiver.difference in (None, row.difference)
            and day <= waiver.expires
            and _covers(waiver.versions, row.backend_version)
        ):
            return waiver
    return None


def expired(waivers: Iterable[Waiver], *, today: date | None = None) -> tuple[Waiver, ...]:
    """The waivers that no longer hold and must be renewed or removed."""
    day = today or _today()
    return tuple(w for w in waivers if day > w.expires)


def unused(waivers: Sequence[Waiver], used_ids: Iterable[str]) -> tuple[Waiver, ...]:
    """The waivers that a full run did not need: the difference may be gone.

    Args:
        used_ids: the `waiver` column of the run's rows; empty strings are ignored.
    """
    used = set(used_ids)
    return tuple(w for w in waivers if w.id not in used)


def _read_entry(where: str, entry: dict[str, Any]) -> Waiver:
    if isinstance(entry.get("id"), str):
        where += f" ({entry['id']!r})"
    for key in (*_TEXT_KEYS, "expires"):
        if key not in entry:
            raise WaiverError(f"{where}: {key} is missing")
    if strange := sorted(set(entry) - {*_TEXT_KEYS, "expires", *_OPTIONAL}):
        raise WaiverError(f"{where}: unknown key {strange[0]!r}")
    for key in (*_TEXT_KEYS, *_OPTIONAL):
        value = entry.get(key, "-")
        if not isinstance(value, str) or not value.strip():
            raise WaiverError(f"{where}: {key} is {value!r}, not a text")
    if not entry["link"].startswith(("https://", "http://")):
        raise WaiverError(f"{where}: link is {entry['link']!r}, not a web address")
    try:
        SpecifierSet(entry["versions"])
    except InvalidSpecifier as error:
        raise WaiverError(f"{where}: versions is {entry['versions']!r}, not a specifier like '>=2.13,<2.15'") from error
    day = entry["expires"]
    if not isinstance(day, date) or isinstance(day, datetime):
        raise WaiverError(f"{where}: expires is {day!r}, not a date like 2030-01-31 (without quotes)")
    return Waiver(**entry)


def _covers(versions: str, version: str) -> bool:
    try:
        public = Version(version).public  # "2.13.0+cpu" is release 2.13.0
    except InvalidVersion:
        return False
    return SpecifierSet(versions).contains(public, prereleases=True)


def _today() -> date:
    return datetime.now(UTC).date()
