"""The old constructors of PyTorch, one for each element type: `FloatTensor([1, 2])` is `tensor([1, 2], dtype=float32)`.

>>> import reference_impl as torch
>>> torch.LongTensor([1, 2])
tensor([1, 2])
"""

from __future__ import annotations

from typing import Any

import numpy as np

from reference_impl import dtypes
from reference_impl.tensor import Size, Tensor

__all__ = [
    "BoolTensor",
    "ByteTensor",
    "CharTensor",
    "DoubleTensor",
    "FloatTensor",
    "HalfTensor",
    "IntTensor",
    "LongTensor",
    "ShortTensor",
]


class _OfOneType(type):
    """The constructors are no subclasses of Tensor, but a tensor of the right type is an instance of them."""

    dtype: dtypes.DType

    def __instancecheck__(cls, x: object) -> bool:
        return isinstance(x, Tensor) and x.dtype is cls.dtype

    def __call__(cls, *given: Any) -> Tensor:
        if not given or all(type(n) is int for n in given) or isinstance(given[0], Size):
            sizes = given[0] if given and isinstance(given[0], Size) else given or (0,)
            return Tensor(np.zeros(sizes, cls.dtype.numpy))
        (data,) = given
        return Tensor(np.array(data.array if isinstance(data, Tensor) else data, cls.dtype.numpy))


def _constructor(name: str, dtype: dtypes.DType) -> _OfOneType:
    doc = f"Make a tensor of {dtype} of nested lists, or one of zeros from sizes."
    return _OfOneType(name, (), {"dtype": dtype, "__doc__": doc, "__module__": __name__})


DoubleTensor = _constructor("DoubleTensor", dtypes.float64)
FloatTensor = _constructor("FloatTensor", dtypes.float32)
HalfTensor = _constructor("HalfTensor", dtypes.float16)
LongTensor = _constructor("LongTensor", dtypes.int64)
IntTensor = _constructor("IntTensor", dtypes.int32)
ShortTensor = _constructor("ShortTensor", dtypes.int16)
CharTensor = _constructor("CharTensor", dtypes.int8)
ByteTensor = _constructor("ByteTensor", dtypes.uint8)
BoolTensor = _constructor("BoolTensor", dtypes.bool_)
