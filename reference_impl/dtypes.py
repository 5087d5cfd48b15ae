"""Element types under PyTorch's names, and the rule that says which type a mixed expression has.

`result_dtype` is the whole promotion lattice: kinds are ordered bool < int < float; tensors with dimensions beat
0-d tensors, which beat Python numbers, unless the kind is higher.

>>> result_dtype([float32.numpy], [float64.numpy], [float])
dtype('float32')
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np

__all__ = [
    "DTYPES",
    "DType",
    "can_cast",
    "default_float",
    "from_numpy_dtype",
    "get_default_dtype",
    "result_dtype",
    "scalar_type",
    "set_default_dtype",
]


class DType:
    """An element type; compare with `is` or `==`, as ``torch.float64``."""

    __slots__ = ("is_floating_point", "itemsize", "name", "numpy")

    def __init__(self, name: str) -> None:
        self.name = name
        self.numpy: np.dtype[np.generic] = np.dtype(name)
        self.is_floating_point = self.numpy.kind == "f"
        self.itemsize = self.numpy.itemsize

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self) -> str | tuple[object, ...]:
        return from_numpy_dtype, (self.numpy,)


_ALL = {
    name: DType(name) for name in ("float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint8", "bool")
}
float64, float32, float16, int64, int32, int16, int8, uint8 = (_ALL[n] for n in list(_ALL)[:-1])
bool_ = _ALL["bool"]
DTYPES = tuple(_ALL.values())
_BY_NUMPY = {d.numpy: d for d in _ALL.values()}
_KINDS = {"b": 0, "u": 1, "i": 1, "f": 2}
_PYTHON_KINDS = {bool: 0, int: 1, float: 2}
_default = float32


def from_numpy_dtype(dtype: np.dtype[np.generic]) -> DType:
    """Return the element type of a NumPy dtype.

    Raises:
        TypeError: this tape has no such element type (complex, bfloat16, strings, objects).
    """
    found = _BY_NUMPY.get(np.dtype(dtype))
    if found is None:
        raise TypeError(f"dtype: can't convert np.ndarray of type {dtype}; the supported types are {', '.join(_ALL)}")
    return found


_SCALAR_TYPES = {
    **{"float64": "Double", "float32": "Float", "float16": "Half", "bool": "Bool"},
    **{"int64": "Long", "int32": "Int", "int16": "Short", "int8": "Char", "uint8": "Byte"},
}


def scalar_type(dtype: object) -> str:
    """Return the name that PyTorch's kernels have for a dtype, which their messages show."""
    name = dtype.name if isinstance(dtype, DType) else str(dtype)
    return _SCALAR_TYPES.get(name, name)


def get_default_dtype() -> DType:
    """Return the float type that factories and integer division give."""
    return _default


def set_default_dtype(d: DType) -> None:
    """Make `d` the default float type.

    Raises:
        TypeError: `d` is not a floating point type.
    """
    global _default
    if not isinstance(d, DType) or not d.is_floating_point:
        raise TypeError(f"only floating-point types are supported as the default type, got {d!r}")
    _default = d


def default_float() -> np.dtype[np.generic]:
    """Return the default float type as a NumPy dtype."""
    return _default.numpy


@functools.cache
def _promote(dtypes: tuple[np.dtype[np.generic], ...]) -> np.dtype[np.generic]:
    # Within one class of operands NumPy's lattice is PyTorch's, but an integer never widens a float.
    top = max(_KINDS[d.kind] for d in dtypes)
    return functools.reduce(np.promote_types, [d for d in dtypes if _KINDS[d.kind] == top])


def can_cast(from_: DType, to: DType) -> bool:
    """Tell whether a result of one type may be written into a tensor of another: no float into integers."""
    return _KINDS[from_.numpy.kind] <= _KINDS[to.numpy.kind]


def result_dtype(
    dimensioned: Sequence[np.dtype[np.generic]], zero_dim: Sequence[np.dtype[np.generic]], numbers: Sequence[type]
) -> np.dtype[np.generic]:
    """Return PyTorch's result type of an operation.

    Args:
        dimensioned: dtypes of the tensor operands with at least one dimension.
        zero_dim: dtypes of the 0-d tensor operands.
        numbers: types of the Python numbers among the operands.

    Source: the type promotion rules of the PyTorch documentation ("Tensor Attributes").
    """
    best: np.dtype[np.generic] | None = None
    for group in (tuple(dimensioned), tuple(zero_dim)):
        if group:
            here = _promote(group)
            if best is None or _KINDS[here.kind] > _KINDS[best.kind]:
                best = here
    kind = max((_PYTHON_KINDS[t] for t in numbers), default=-1)
    if best is None or kind > _KINDS[best.kind]:
        return (_ALL["bool"].numpy, _ALL["int64"].numpy, _default.numpy)[kind]
    return best
