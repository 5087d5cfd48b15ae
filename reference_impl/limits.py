"""What element types can hold, as `torch.finfo` and `torch.iinfo` tell it.

>>> import reference_impl as torch
>>> torch.finfo(torch.float32).eps, torch.iinfo(torch.int8).max
(1.1920928955078125e-07, 127)
"""

from __future__ import annotations

import numpy as np

from reference_impl.dtypes import DType, get_default_dtype

__all__ = ["finfo", "iinfo"]


class finfo:  # noqa: N801 - PyTorch's name
    """The limits of a float type.

    Attributes:
        bits: of one number.
        eps: the gap between 1 and the next number.
        max, min: the largest and the least finite number.
        tiny, smallest_normal: the smallest positive number with all digits.
        resolution: what decimal digits tell apart.
        dtype: the type's name.
    """

    def __init__(self, type: DType | None = None) -> None:
        of = get_default_dtype() if type is None else type
        if not isinstance(of, DType) or not of.is_floating_point:
            raise TypeError(f"torch.finfo() requires a floating point input type. Use torch.iinfo to handle '{of}'")
        info = np.finfo(of.numpy)  # type: ignore[type-var]  # a float type
        self.bits, self.dtype = int(info.bits), of.name
        self.eps, self.max, self.min = float(info.eps), float(info.max), float(info.min)
        self.tiny = self.smallest_normal = float(info.tiny)
        self.resolution = float(str(info.resolution))  # the decimal power itself, not the nearest number of the type

    def __repr__(self) -> str:
        return (
            f"finfo(resolution={self.resolution:g}, min={self.min:g}, max={self.max:g}, eps={self.eps:g}, "
            f"smallest_normal={self.smallest_normal:g}, tiny={self.tiny:g}, dtype={self.dtype})"
        )


class iinfo:  # noqa: N801 - PyTorch's name
    """The limits of an integer type.

    Attributes:
        bits: of one number.
        max, min: the largest and the least.
        dtype: the type's name.
    """

    def __init__(self, type: DType) -> None:
        if not isinstance(type, DType) or type.numpy.kind not in "iu":
            raise TypeError(f"torch.iinfo() requires an integer input type. Use torch.finfo to handle '{type}'")
        info = np.iinfo(type.numpy)  # type: ignore[type-var]  # an integer type
        self.bits, self.max, self.min, self.dtype = int(info.bits), int(info.max), int(info.min), type.name

    def __repr__(self) -> str:
        return f"iinfo(min={self.min:g}, max={self.max:g}, dtype={self.dtype})"
