"""Reports: tables, statistics, figures, the HTML page and the terminal summary of what runs have kept.

>>> from reports import print_summary, write_report

`write_report(OUT, "report.html")` makes the page from a folder of run files; `print_summary(run)` prints the end of a
run. `to_pandas("adjudge-out", "timings")` gives the rows as a pandas DataFrame, `reports.tables` every number of both, and
`reports.outputs` Markdown, JUnit XML and the like. This is the only package that knows pandas.
"""

from __future__ import annotations

from reports.outputs import to_pandas
from reports.page import render, write_report
from reports.terminal import print_summary

__all__ = ["print_summary", "render", "to_pandas", "write_report"]
