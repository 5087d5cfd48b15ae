"""The first line of every report: what was judged, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from harness.records import Run
from reports.tables import disagreements

__all__ = ["Totals", "headline", "percent", "seconds", "totals"]


@dataclass(frozen=True)
class Totals:
    """Counts over all runs of a report.

    Attributes:
        rows: verdicts given.
        elements: array elements compared or found undecidable.
        inconclusive_elements: those of them that could not be decided.
        inconclusive_rows: verdicts that are inconclusive as a whole.
        found: disagreements that no waiver covers, one for each bucket: backend, dtype, claim, ops and kind of difference.
        waived: disagreements that a waiver covers.
        lost: verdicts on the aspect "accuracy": the rule is right, but digits are lost; not among the disagreements.
        timings: series of samples.
        interrupted: some run was stopped before its end.
    """

    programs: int
    points: int
    rejected: int
    rows: int
    elements: int
    inconclusive_elements: int
    inconclusive_rows: int
    found: int
    waived: int
    lost: int
    timings: int
    interrupted: bool

    @property
    def inconclusive_share(self) -> float:
        """Undecided elements over all elements; 0 where there are none."""
        return self.inconclusive_elements / self.elements if self.elements else 0.0


def totals(runs: Sequence[Run], verdicts: pd.DataFrame) -> Totals:
    """Count.

    Args:
        verdicts: `reports.tables.verdict_frame` of the runs' verdict rows.
    """
    wrong = disagreements(verdicts)
    lost = wrong["aspect"] == "accuracy"
    known = wrong["waiver"] != ""
    # A run that was stopped hard may not have counted; its rows still tell.
    distinct = verdicts.drop_duplicates(["run_id", "program_id", "dtype", "point"])
    programs = sum(r.info.programs for r in runs) or len(distinct.drop_duplicates(["run_id", "program_id"]))
    return Totals(
        programs=programs,
        points=sum(r.info.points for r in runs) or len(distinct),
        rejected=sum(r.info.rejected for r in runs),
        rows=len(verdicts),
        elements=int(verdicts["element_count"].sum()),
        inconclusive_elements=int(verdicts["inconclusive_count"].sum()),
        inconclusive_rows=int((verdicts["verdict"] == "inconclusive").sum()),
        found=int((~known & ~lost).sum()),
        waived=int(known.sum()),
        lost=int((lost & ~known).sum()),
        timings=sum(len(r.timings) for r in runs),
        interrupted=any(r.info.interrupted for r in runs),
    )


def headline(total: Totals) -> str:
    """One line such as "20,000 programs, 80,000 points: 0 disagreements, 0.4 % inconclusive"."""
    if total.rows == 0:
        return f"No verdicts, {_count(total.timings, 'timing')}" if total.timings else "Nothing was judged or timed"
    judged = f"{_count(total.programs, 'program')}, {_count(total.points, 'point')}"
    if total.elements == 0 and total.found + total.waived + total.lost == 0:
        return f"{judged}: nothing was compared"
    known = f" (and {total.waived:,} waived)" if total.waived else ""
    lost = f", {_count(total.lost, 'result')} losing digits" if total.lost else ""
    undecided = percent(total.inconclusive_share)
    return f"{judged}: {_count(total.found, 'disagreement')}{known}{lost}, {undecided} inconclusive"


def percent(share: float) -> str:
    """A share in percent with two digits that matter, never rounded to nothing or to everything.

    >>> percent(0.00412), percent(0.0), percent(0.0000001), percent(0.99999)
    ('0.41 %', '0 %', '< 0.001 %', '99.999 %')
    """
    if share == 0 or share == 1:
        return f"{100 * share:.0f} %"
    if share < 1e-5:
        return "< 0.001 %"
    if share > 0.99:
        return f"{min(100 * share, 99.999):.5g} %"
    return f"{100 * share:.2g} %"


def seconds(value: float) -> str:
    """A time with three digits and its unit.

    >>> seconds(1.234e-5).replace("\\u202f", " ")
    '12.3 µs'
    """
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= scale * 0.9995:
            return f"{value / scale:.3g}\u202f{unit}" if value / scale < 999.5 else f"{value / scale:.0f}\u202f{unit}"
    return f"{value / 1e-9:.3g}\u202fns"


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"
