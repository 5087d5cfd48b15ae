"""Figures: SVG text that is laid into the page and takes its colours from it, so that it is right in light and dark.

Matplotlib draws with stand-in colours, which are then replaced by CSS variables (``--ink``, ``--grid``, ``--s0`` ...).
Series differ by marker and dash as well as by colour, in the palette of Okabe and Ito.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

__all__ = [
    "HIGHEST",
    "LOWEST",
    "MARKS",
    "error_over_bound",
    "ratio_against_size",
    "series_numbers",
    "time_against_size",
    "time_limits",
]

LOWEST, HIGHEST = 1e-6, 1e3
"""Error / bound outside of these is drawn at their edge."""

MARKS = ("o", "s", "^", "D", "v", "P", "X", "*")

_INK, _GRID, _WARN = "#0a0b01", "#0a0b02", "#0a0b03"
_SERIES = tuple(f"#0a0c{i:02x}" for i in range(len(MARKS)))
_VARIABLES = {_INK: "--ink", _GRID: "--grid", _WARN: "--warn"} | {c: f"--s{i}" for i, c in enumerate(_SERIES)}
_DASHES: dict[str, tuple[float, tuple[float, ...]]] = {"float64": (0, ()), "float32": (0, (4, 2))}
_OTHER_DASH: tuple[float, tuple[float, ...]] = (0, (1, 1.5))

_STYLE: Any = {
    "svg.fonttype": "none",
    "font.size": 8,
    "axes.edgecolor": _GRID,
    "axes.labelcolor": _INK,
    "text.color": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _GRID,
    "grid.linewidth": 0.5,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "lines.linewidth": 1.4,
    "lines.markersize": 3.6,
    "path.simplify": True,
}


def series_numbers(labels: Sequence[str]) -> dict[str, int]:
    """The colour and marker number of each label, the same all over the page."""
    return {label: i % len(MARKS) for i, label in enumerate(sorted(set(labels), key=lambda x: (x != "reference", x)))}


def error_over_bound(verdicts: pd.DataFrame, numbers: Mapping[str, int], *, name: str) -> str:
    """Share of checks whose error / bound exceeds a value, on logarithmic axes, with the line at 1.

    Args:
        verdicts: columns label, dtype, error_over_bound.
        name: prefix of the ids in the SVG; unique in the page.
    """
    with mpl.rc_context(_STYLE):
        figure, axes = _axes(8.2, 3.3)
        lowest = 1.0
        for label, dtype, checks in _series(verdicts):
            sizes = np.sort(checks["error_over_bound"].dropna().to_numpy(dtype=np.float64))
            if not len(sizes):
                continue
            share = 1.0 - np.arange(len(sizes)) / len(sizes)  # of values at least this large
            keep = _thin(share)
            lowest = min(lowest, float(share[-1]))
            x = np.clip(np.nan_to_num(sizes[keep], posinf=HIGHEST), LOWEST, HIGHEST)
            line = _DASHES.get(dtype, _OTHER_DASH)
            axes.step([LOWEST, *x], [1.0, *share[keep]], where="pre", color=_SERIES[numbers[label]], linestyle=line)
            axes.plot(x[-1:], share[keep][-1:], MARKS[numbers[label]], color=_SERIES[numbers[label]])
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlim(LOWEST, HIGHEST * 1.2 if (verdicts["error_over_bound"] > 10).any() else 10)
        axes.set_ylim(lowest / 2, 1.4)
        axes.axvline(1.0, color=_WARN, linewidth=1.2)
        axes.annotate("bound", (1.0, 1.0), xytext=(4, -2), textcoords="offset points", color=_WARN, va="top")
        axes.set_xlabel("error / bound")
        axes.set_ylabel("share of checks at or above")
        _log_ticks(axes, "x", _power)
        _log_ticks(axes, "y", _percent)
        return _svg(figure, name, "Share of checks whose error over bound is at least a value, per backend and dtype")


def time_limits(table: pd.DataFrame) -> tuple[float, float]:
    """Common limits of the time axes of several panels, in seconds.

    Args:
        table: rows of `reports.tables.timing_table`.
    """
    return float(table["q25_seconds"].min()) / 1.6, float(table["q75_seconds"].max()) * 1.6


def time_against_size(
    table: pd.DataFrame, numbers: Mapping[str, int], *, limits: tuple[float, float], title: str, name: str
) -> str:
    """Median time per call against the elements of the largest input, with the quartiles as a band.

    Args:
        table: rows of `reports.tables.timing_table` of one workload, one `what`, steady state.
    """
    with mpl.rc_context(_STYLE):
        figure, axes = _axes(3.5, 2.5)
        for label, dtype, line in _series(table):
            _band(axes, line, numbers[label], dtype, "median_seconds", "q25_seconds", "q75_seconds")
        axes.set_yscale("log")
        axes.set_ylim(*limits)
        _size_axis(axes, table["size"])
        axes.set_ylabel("time per call")
        _log_ticks(axes, "y", _seconds)
        return _svg(figure, name, f"{title}: time per call against input size")


def ratio_against_size(table: pd.DataFrame, numbers: Mapping[str, int], *, factor: float, title: str, name: str) -> str:
    """Ratio of gradient time to value time against size with its 95 % interval, and a line at `factor`.

    Args:
        table: rows of `reports.tables.gradient_ratios` of one workload and one `what`.
    """
    with mpl.rc_context(_STYLE):
        figure, axes = _axes(3.5, 2.5)
        for label, dtype, line in _series(table):
            _band(axes, line, numbers[label], dtype, "ratio", "low", "high")
        highest = float(np.nanmax(table[["ratio", "high"]].to_numpy(dtype=np.float64)))
        lowest = float(np.nanmin(table[["ratio", "low"]].to_numpy(dtype=np.float64)))
        axes.set_yscale("log")
        axes.set_ylim(min(0.9, lowest / 1.2), max(factor * 1.6, highest * 1.2))
        axes.axhline(factor, color=_WARN, linewidth=1.2)
        axes.annotate(
            f"factor {factor:g}", (1, factor), xycoords=("axes fraction", "data"), xytext=(-2, 3),
            textcoords="offset points", color=_WARN, ha="right",
        )  # fmt: skip
        _size_axis(axes, table["size"])
        axes.set_ylabel("gradient / value")
        low, high = axes.get_ylim()
        axes.yaxis.set_major_locator(
            FixedLocator([t for t in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100) if low <= t <= high])
        )
        axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}\N{MULTIPLICATION SIGN}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
        return _svg(figure, name, f"{title}: ratio of gradient time to value time against input size")


def _series(table: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame]]:
    for label, dtype in sorted(set(zip(table["label"], table["dtype"], strict=True))):
        yield label, dtype, table.loc[(table["label"] == label) & (table["dtype"] == dtype)]


def _axes(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height))
    FigureCanvasSVG(figure)
    figure.patch.set_alpha(0)
    # Room for the labels in inches; the automatic layouts cost more time than the drawing.
    figure.subplots_adjust(left=0.66 / width, right=1 - 0.08 / width, bottom=0.44 / height, top=1 - 0.08 / height)
    axes = figure.subplots()
    axes.patch.set_alpha(0)
    return figure, axes


def _band(axes: Axes, table: pd.DataFrame, number: int, dtype: str, middle: str, low: str, high: str) -> None:
    line = table.sort_values("size")
    x, y, a, b = (line[key].to_numpy(dtype=np.float64) for key in ("size", middle, low, high))
    colour = _SERIES[number]
    if len(x) > 1:
        axes.fill_between(x, a, b, color=colour, alpha=0.2, linewidth=0)
    axes.vlines(x, a, b, color=colour, linewidth=1)
    axes.plot(x, y, marker=MARKS[number], color=colour, linestyle=_DASHES.get(dtype, _OTHER_DASH))


def _size_axis(axes: Axes, sizes: pd.Series[int]) -> None:
    axes.set_xscale("log")
    low, high = max(int(sizes.min()), 1), max(int(sizes.max()), 1)
    axes.set_xlim(low / 1.5, high * 1.5)
    axes.set_xlabel("elements of the largest input")
    if high / low >= 10:
        _log_ticks(axes, "x", _elements)
    else:
        axes.xaxis.set_major_locator(FixedLocator(sorted({low, high})))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: _elements(v)))
        axes.xaxis.set_minor_locator(NullLocator())


def _log_ticks(axes: Axes, which: str, text: Callable[[float], str]) -> None:
    axis = axes.xaxis if which == "x" else axes.yaxis
    low, high = axis.get_view_interval()
    few = high / low < 40  # one or two powers of ten would leave the axis bare
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if few else (1.0,), numticks=12 if few else 8))
    axis.set_major_formatter(FuncFormatter(lambda v, _: text(v)))
    axis.set_minor_formatter(NullFormatter())


def _seconds(value: float) -> str:
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("\N{MICRO SIGN}s", 1e-6), ("ns", 1e-9)):
        if value >= scale * 0.999:
            return f"{value / scale:g}\N{NARROW NO-BREAK SPACE}{unit}"
    return f"{value:g}\N{NARROW NO-BREAK SPACE}s"


def _elements(value: float) -> str:
    for unit, scale in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= scale * 0.999:
            return f"{value / scale:.3g}{unit}"
    return f"{value:g}"


def _percent(value: float) -> str:
    return f"{100 * value:g} %"


def _power(value: float) -> str:
    return f"{value:g}" if 1e-3 <= value <= 1e4 else f"1e{round(np.log10(value))}"


def _thin(share: np.ndarray[tuple[int], np.dtype[np.float64]]) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """At most some 400 places: evenly spaced on the logarithm of the share, and the last one."""
    n = len(share)
    picks = n - np.unique(np.round(np.geomspace(1, n, 400))).astype(np.intp)
    return np.sort(picks)


def _svg(figure: Figure, name: str, title: str) -> str:
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", text).replace("xlink:href", "href")
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = text.replace("url(#", f"url(#{name}-").replace('href="#', f'href="#{name}-')
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    text = re.sub(r"font: (?:[\w.]+ )?([\d.]+px) [^;\"]*", r"font-size: \1", text)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, f"var({variable})")
    label = title.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    return text.replace("<svg", f'<svg role="img" aria-label="{label}"', 1).strip()
