"""What of PyTorch and JAX the checks reach: every differentiable operator and function, checked with a few calls.

`run` checks them in worker processes, so that a crash or a hang costs one row; `as_markdown` makes the page
`harness/docs/coverage.md` of the rows. `adjudge coverage` does both.
"""

from __future__ import annotations

from harness.coverage.page import as_markdown, statuses_on, summary
from harness.coverage.rows import STATUSES, CoverageRow, read_rows, write_rows
from harness.coverage.running import ENGINES, known_differences, listed, run, waived

__all__ = [
    "ENGINES",
    "STATUSES",
    "CoverageRow",
    "as_markdown",
    "known_differences",
    "listed",
    "read_rows",
    "run",
    "statuses_on",
    "summary",
    "waived",
    "write_rows",
]
