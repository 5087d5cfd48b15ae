"""The rows of the coverage table, one a function, and the Parquet file that keeps them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, get_type_hints

import pyarrow as pa
import pyarrow.parquet as pq

from harness.coverage.checks import Found
from harness.records import RecordError, open_file, write_file

__all__ = ["STATUSES", "CoverageRow", "read_rows", "row_of", "write_rows"]

STATUSES = ("certified", "cross-checked", "wrong", "not covered")
_VERSION = 1
_KEY = b"adjudge-coverage"


@dataclass(frozen=True, kw_only=True)
class CoverageRow:
    """What is known about one function.

    Attributes:
        engine: "torch" or "jax".
        engine_version: its version.
        area: the module, or "torch" for its operators.
        name: the function's name.
        status: one of `STATUSES`: wrong if a claim about a call is wrong; else certified if the gradient of a call was
            proved right; else cross-checked if estimates agree with the gradient of a call; else not covered.
        reason: what is wrong, or why it was not proved or not covered.
        claim: the claim that is wrong; "" if none is.
        ended: how the process that checked it was lost; "" if it was not.
        waiver: id of the waiver that knows what is wrong.
        claims: further claims that were found right at a call.
        calls: calls that were tried.
        proved: those whose gradient was proved right.
        estimated: those that estimates agree with.
        digits_lost: those whose rule is right and whose digits are not.
        elements: numbers of gradients that were compared.
        operators: the framework's operators on the way of the calls that were proved.
        seconds: how long it took.
    """

    engine: str
    engine_version: str
    area: str
    name: str
    status: str
    reason: str = ""
    claim: str = ""
    ended: str = ""
    waiver: str = ""
    claims: tuple[str, ...] = ()
    calls: int = 0
    proved: int = 0
    estimated: int = 0
    digits_lost: int = 0
    elements: int = 0
    operators: tuple[str, ...] = ()
    seconds: float = 0.0

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise ValueError(f"status is {self.status!r}, want one of {', '.join(STATUSES)}")
        for name in ("claims", "operators"):
            object.__setattr__(self, name, tuple(getattr(self, name)))


def row_of(
    about: Mapping[str, str], found: Sequence[Found], *, reason: str = "", ended: str = "", seconds: float = 0.0
) -> CoverageRow:
    """The row of a function from its calls.

    Args:
        about: engine, engine_version, area and name.
        found: one entry a call.
        reason: why there is no call.
        ended: how the process was lost.
        seconds: how long all of it took.
    """
    wrong = [f for f in found if f.word == "wrong"]
    by_word = {word: [f for f in found if f.word == word] for word in STATUSES}
    status = next((w for w in ("wrong", "certified", "cross-checked") if by_word[w]), "not covered")
    if wrong:
        text = wrong[0].text if wrong[0].label == about["name"] else f"{wrong[0].label}: {wrong[0].text}"
    else:
        rest = [f.text for f in found if f.text]
        text = reason or next(iter(rest), ended)
    return CoverageRow(
        **about,
        status=status,
        reason=text,
        claim=wrong[0].claim if wrong else "",
        ended=ended,
        claims=tuple(sorted({c for f in found for c in f.claims})),
        calls=len(found),
        proved=len(by_word["certified"]),
        estimated=len(by_word["cross-checked"]),
        digits_lost=sum(f.digits_lost for f in found),
        elements=sum(f.elements for f in found),
        operators=tuple(sorted({o for f in found for o in f.operators})),
        seconds=seconds,
    )


_ARROW = {str: pa.string(), int: pa.int64(), float: pa.float64(), tuple[str, ...]: pa.list_(pa.string())}


def write_rows(path: str | os.PathLike[str], rows: Sequence[CoverageRow], about: Mapping[str, Any]) -> None:
    """Write the rows and what is true of the whole run, whole or not at all.

    Raises:
        RecordError: the file cannot be written.
    """
    hints = get_type_hints(CoverageRow)
    head = {"version": _VERSION, "about": dict(about)}
    schema = pa.schema([pa.field(f.name, _ARROW[hints[f.name]], False) for f in fields(CoverageRow)])
    table = pa.Table.from_pylist([asdict(r) for r in rows], schema=schema)
    sink = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata({_KEY: json.dumps(head).encode()}), sink, compression="zstd")
    write_file(path, sink.getvalue().to_pybytes())


def read_rows(path: str | os.PathLike[str]) -> tuple[list[CoverageRow], dict[str, Any]]:
    """Read what `write_rows` wrote: the rows, and what is true of the run.

    Raises:
        RecordError: the file is no table of coverage, or of another version.
        FileNotFoundError: there is no such file.
    """
    name = os.fspath(path)
    with open_file(name) as file:
        try:
            table = pq.read_table(file)
            head = json.loads((table.schema.metadata or {})[_KEY])
            if head["version"] != _VERSION:
                raise ValueError(f"version {head['version']!r}, this Adjudge reads {_VERSION}")
            return [CoverageRow(**r) for r in table.to_pylist()], dict(head["about"])
        except Exception as error:  # a file of another kind may break the decoder in any way
            raise RecordError(f"{name}: not a table of coverage: {error}") from error
