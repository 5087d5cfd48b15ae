"""Windows of an image as columns of a matrix, and back: `unfold` and `fold`.

>>> import reference_impl as torch
>>> x = torch.arange(9.0).reshape(1, 1, 3, 3)
>>> unfold(x, 2).shape
torch.Size([1, 4, 4])
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from reference_impl import functions as F
from reference_impl.nn.convolution import sizes_of
from reference_impl.ops.indexing import getitem, getitem_adjoint
from reference_impl.padding import pad
from reference_impl.tensor import Tensor

__all__ = ["fold", "unfold"]


def _places(space: tuple[int, int], kernel: Any, dilation: Any, padding: Any, stride: Any) -> tuple[Any, Any]:
    """The row and the column of every element of every window, (kernel height, kernel width, down, across).

    Raises:
        RuntimeError: no window fits.
    """
    grids, counts = [], []
    for n, k, d, p, s in zip(space, kernel, dilation, padding, stride, strict=True):
        counts.append((n + 2 * p - d * (k - 1) - 1) // s + 1)
        grids.append(d * np.arange(k)[:, None] + s * np.arange(max(counts[-1], 0)))
    if min(counts) < 1:
        raise RuntimeError(
            f"Given input with spatial size {space}, kernel_size={tuple(kernel)}, dilation={tuple(dilation)}, "
            f"padding={tuple(padding)}, stride={tuple(stride)}, calculated shape of the array of sliding blocks as "
            f"{tuple(counts)}, but its components must be at least one."
        )
    return grids[0][:, None, :, None], grids[1][None, :, None, :]


def unfold(input: Tensor, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Tensor:
    """The windows of (n, c, height, width) as columns, (n, c * kernel's size, number of windows).

    Raises:
        RuntimeError: the input has other dimensions, or no window fits.
    """
    kernel, dilations, pads, steps = (
        sizes_of(v, 2, "unfold", name)
        for v, name in zip(
            (kernel_size, dilation, padding, stride), ("kernel_size", "dilation", "padding", "stride"), strict=True
        )
    )
    if input.array.ndim not in (3, 4):
        raise RuntimeError(f"Expected 3D or 4D (batch mode) tensor for input, but got: {list(input.array.shape)}")
    *lead, h, w = input.array.shape
    rows, columns = _places((h, w), kernel, dilations, pads, steps)
    padded = pad(input, (pads[1], pads[1], pads[0], pads[0])) if any(pads) else input
    windows = getitem(padded, index=(..., *np.broadcast_arrays(rows, columns)))
    count = rows.shape[2] * columns.shape[3]
    return F.reshape(windows, (*lead[:-1], lead[-1] * math.prod(kernel), count))


def fold(
    input: Tensor, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Tensor:
    """The sums of columns where their windows lie: what `unfold` gives, put back and added up.

    Raises:
        RuntimeError: the input has other dimensions, or not as many columns as there are windows.
    """
    size, kernel, dilations, pads, steps = (
        sizes_of(v, 2, "fold", name)
        for v, name in zip(
            (output_size, kernel_size, dilation, padding, stride),
            ("output_size", "kernel_size", "dilation", "padding", "stride"),
            strict=True,
        )
    )
    if input.array.ndim not in (2, 3):
        raise RuntimeError(f"Expected 2D or 3D (batch mode) tensor for input, but got: {list(input.array.shape)}")
    *lead, taken, count = input.array.shape
    if taken % math.prod(kernel):
        raise RuntimeError(
            "Expected size of input's dimension 1 to be divisible by the product of kernel_size, but got input.size(1)="
            f"{taken} and kernel_size={tuple(kernel)}."
        )
    rows, columns = _places((size[0], size[1]), kernel, dilations, pads, steps)
    down, across = rows.shape[2], columns.shape[3]
    if count != down * across:
        raise RuntimeError(
            f"Given output_size={tuple(size)}, kernel_size={tuple(kernel)}, dilation={tuple(dilations)}, "
            f"padding={tuple(pads)}, stride={tuple(steps)}, expected size of input's dimension 2 to match the calculated "
            f"number of sliding blocks {down} * {across} = {down * across}, but got input.size(2)={count}."
        )
    windows = F.reshape(input, (*lead, taken // math.prod(kernel), *kernel, down, across))
    whole = (*windows.array.shape[:-4], size[0] + 2 * pads[0], size[1] + 2 * pads[1])
    places = np.broadcast_arrays(rows, columns)
    laid: Any = getitem_adjoint(windows, shape=whole, index=(..., *places))
    return F.narrow(F.narrow(laid, -2, pads[0], size[0]), -1, pads[1], size[1])
