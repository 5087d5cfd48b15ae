"""The float types that cases come in, and how NumPy carries those that it has not.

float64 and float32 are NumPy's own. A case in float16 or bfloat16 (`HALF`) carries float32 arrays whose numbers all are of
that type; backends turn them into tensors of it, and turn what comes back into float32, which is exact.

>>> about("bfloat16").eps, carrier("bfloat16")
(0.0078125, 'float32')
>>> to_dtype([1.0, 1.00390625, 1.01], "bfloat16").tolist()
[1.0, 1.0, 1.0078125]
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["DTYPES", "HALF", "Float", "about", "carrier", "is_of", "to_dtype"]

HALF: Final = ("float16", "bfloat16")
DTYPES: Final = ("float64", "float32", *HALF)


@dataclass(frozen=True)
class Float:
    """What is known of a float type, by NumPy's names.

    Attributes:
        eps: distance from 1 to the next number; half of it is the unit roundoff.
        tiny: smallest normal number.
        max: largest finite number.
        smallest_subnormal: smallest number above 0.
        minexp, maxexp: exponents of the smallest normal number, and of the smallest power of two that overflows.
    """

    eps: float
    tiny: float
    max: float
    smallest_subnormal: float
    minexp: int
    maxexp: int


@functools.cache
def about(dtype: str) -> Float:
    """Return what is known of a float type.

    Raises:
        ValueError: it is none of DTYPES.
    """
    if dtype not in DTYPES:
        raise ValueError(f"dtype is {dtype!r}, want one of {', '.join(DTYPES)}")
    if dtype == "bfloat16":
        return Float(2.0**-7, 2.0**-126, (2.0 - 2.0**-7) * 2.0**127, 2.0**-133, -126, 128)
    info = np.finfo(dtype)
    least = float(info.smallest_subnormal)
    return Float(float(info.eps), float(info.tiny), float(info.max), least, int(info.minexp), int(info.maxexp))


def carrier(dtype: str) -> str:
    """Return the name of the NumPy dtype that holds numbers of that type."""
    return "float32" if dtype in HALF else dtype


def to_dtype(x: Any, dtype: str) -> NDArray[Any]:
    """Round numbers to a float type, to the nearest and ties to even; the result is of its carrier."""
    with np.errstate(all="ignore"):
        if dtype == "float16":
            return np.asarray(x).astype(np.float16).astype(np.float32)
        if dtype != "bfloat16":
            return np.asarray(x).astype(dtype)
        wide = np.array(x, np.float32)
        bits = wide.view(np.uint32)
        rounded = (bits + (np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1)))) & np.uint32(0xFFFF0000)
        return np.where(np.isnan(wide), wide, rounded.view(np.float32))


def is_of(x: NDArray[Any], dtype: str) -> bool:
    """Tell whether an array is of the type's carrier and every number in it is of the type."""
    if x.dtype != np.dtype(carrier(dtype)):
        return False
    return dtype not in HALF or np.array_equal(to_dtype(x, dtype), x, equal_nan=True)
