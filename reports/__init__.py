"""Reports: tables, statistics, figures, the HTML page and the terminal summary of what runs have kept.

>>> from reports import print_summary, write_report

`write_report(OUT, "report.html")` makes the page from a folder of run files; `print_summary(run)` prints the end of a
run. `reports.tables` gives every number of both as a pandas DataFrame. This is the only package that knows pandas.
"""

from __future__ import annotations

from reports.page import render, write_report
from reports.terminal import print_summary

__all__ = ["print_summary", "render", "write_report"]
