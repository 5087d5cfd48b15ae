"""`repr` of a tensor, as PyTorch prints it: four digits, columns of one width, long tensors summarised."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from reference_impl.dtypes import default_float
from reference_impl.tensor import Tensor

__all__ = ["render", "set_printoptions"]


@dataclasses.dataclass
class _Options:
    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None  # None: where the numbers ask for it


_options = _Options()
_PROFILES = {
    "default": _Options(),
    "short": _Options(precision=2, edgeitems=2),
    "full": _Options(threshold=math.inf),
}


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Choose how tensors are printed; what is None stays.

    Args:
        precision: digits after the point.
        threshold: tensors of more elements are summarised.
        edgeitems: how many elements of each end a summary shows.
        linewidth: characters a line.
        profile: "default", "short" or "full": all of these at once.
        sci_mode: write all floats with exponents, or none; with None those that need it.
    """
    global _options
    changed = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    base = _options if profile is None else _PROFILES[profile]
    given = {name: value for name, value in changed.items() if value is not None}
    _options = dataclasses.replace(base, **given, sci_mode=sci_mode)  # type: ignore[arg-type]  # names to their types


def render(x: Tensor) -> str:
    """Return the text of a tensor: values, and what is not the default of dtype, shape and graph."""
    suffixes = []
    array = x.array
    if not isinstance(array, np.ndarray):
        return f"tensor({array!r})"
    if array.size == 0 and array.shape != (0,):
        suffixes.append(f"size={tuple(array.shape)}")
    if array.dtype not in (default_float(), np.dtype(np.int64), np.dtype(bool)) or (
        array.size == 0 and array.dtype != default_float()
    ):
        suffixes.append(f"dtype={x.dtype}")
    if x.grad_fn is not None:
        suffixes.append(f"grad_fn=<{type(x.grad_fn).__name__}>")
    elif x.requires_grad:
        suffixes.append("requires_grad=True")
    body = "[]" if array.size == 0 else _values(array)
    text = f"tensor({body}"
    last = len(text) - text.rfind("\n") + 1  # PyTorch counts two more than there are
    for suffix in suffixes:
        if last + len(suffix) + 2 > _options.linewidth:
            text += ",\n       " + suffix
            last = 7 + len(suffix)
        else:
            text += ", " + suffix
            last += len(suffix) + 2
    return text + ")"


def _values(array: Any) -> str:
    summarise = array.size > _options.threshold
    shown = _edges(array) if summarise else array
    cell, width = _formatter(shown)
    return _nested(array, cell, width, len("tensor("), summarise)


def _edges(array: Any) -> Any:
    for axis, n in enumerate(array.shape):
        if n > 2 * _options.edgeitems:
            array = np.concatenate(
                [array.take(range(_options.edgeitems), axis), array.take(range(n - _options.edgeitems, n), axis)], axis
            )
    return array


def _nested(array: Any, cell: Callable[[Any], str], width: int, indent: int, summarise: bool) -> str:
    if array.ndim == 0:
        return cell(array[()])
    n = len(array)
    cut = summarise and n > 2 * _options.edgeitems
    places = [*range(_options.edgeitems), None, *range(n - _options.edgeitems, n)] if cut else list(range(n))
    if array.ndim == 1:
        words = [" ..." if i is None else cell(array[i]) for i in places]
        per_line = max(1, (_options.linewidth - indent) // (width + 2))
        lines = [", ".join(words[i : i + per_line]) for i in range(0, len(words), per_line)]
        return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"
    parts = ["..." if i is None else _nested(array[i], cell, width, indent + 1, summarise) for i in places]
    return "[" + ("," + "\n" * int(array.ndim - 1) + " " * (indent + 1)).join(parts) + "]"


def _formatter(array: Any) -> tuple[Callable[[Any], str], int]:
    """Return what writes an element, and how wide PyTorch thinks that is: 1 where all are 0, inf or nan."""
    values = array.ravel()
    if array.dtype.kind != "f":
        width = max(len(str(v)) for v in values)
        return lambda v: str(v).rjust(width), width
    usual = np.abs(values[np.isfinite(values) & (values != 0)].astype(np.float64))
    whole = bool(np.all(usual == np.ceil(usual)))
    wide = usual.size > 0 and (usual.max() / usual.min() > 1000.0 or usual.max() > 1.0e8)
    scientific = wide or (not whole and usual.size > 0 and usual.min() < 1.0e-4)
    if _options.sci_mode is not None:
        scientific = _options.sci_mode

    def word(v: float) -> str:
        v = float(v)
        if scientific:
            return f"{v:.{_options.precision}e}"
        if whole:
            return f"{v:.0f}" + ("." if math.isfinite(v) else "")
        return f"{v:.{_options.precision}f}"

    finite = values[np.isfinite(values) & (values != 0)]
    width = max((len(word(v)) for v in finite), default=1)
    return lambda v: word(v).rjust(width), width
