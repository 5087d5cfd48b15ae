"""The table primitive -> function on truncated power series: FLINT's own derivative arithmetic, with no rule of ours.

`SeriesArray.from_floats(x, d)` is x + d t + O(t^length), exactly; a program that runs on it through `SERIES` returns
f(x + d t). The entries are written in `harness.oracles.families`.

>>> import numpy as np
>>> with series_length(3):
...     y = SERIES["exp"](SeriesArray.from_floats(np.array(0.0), np.array(2.0)))
>>> [float(y.coefficient(k).midpoints()) for k in range(3)]
[1.0, 2.0, 2.0]
"""

from __future__ import annotations

from harness.oracles.families import FAMILIES, on_series
from harness.oracles.families.on_balls import Enclosure
from harness.oracles.families.on_series import SeriesArray, series_length

__all__ = ["SERIES", "SeriesArray", "series_length"]

SERIES: dict[str, Enclosure] = dict(on_series.SERIES)
for _family in FAMILIES:
    SERIES.update(getattr(_family, "SERIES", {}))
