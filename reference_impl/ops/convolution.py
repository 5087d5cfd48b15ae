"""Convolution over any number of spatial dimensions, as three bilinear primitives that are one another's derivatives.

With x of shape (n, c, *space), a weight of shape (out, c / groups, *kernel) and y of shape (n, out, *places), they are
the three ways to contract the same sum of x[n, c, place * stride + k * dilation - before] w[out, c, k] y[n, out, place]:
over c and k (`convolution`), over out and k (`convolution_input`), over n and place (`convolution_weight`).

Windows of x are columns of a matrix, so that each is one product of matrices a group.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from reference_impl.primitives import CONTRACTION, primitive

__all__ = [
    "columns",
    "convolution",
    "convolution_input",
    "convolution_weight",
    "places_of",
    "uncolumns",
    "weight_factors",
]

Sizes = tuple[int, ...]
Pads = tuple[tuple[int, int], ...]  # before and after, a spatial dimension


def places_of(space: Sizes, kernel: Sizes, stride: Sizes, padding: Pads, dilation: Sizes) -> Sizes:
    """Return how many places the kernel has along each spatial dimension."""
    return tuple(
        (n + sum(p) - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(space, kernel, stride, padding, dilation, strict=True)
    )


def columns(x: Any, kernel: Sizes, stride: Sizes, padding: Pads, dilation: Sizes, zero: Any = 0) -> Any:
    """Return the windows of an array (n, c, *space) as (n, c, *kernel, *places); places beyond the edge hold `zero`."""
    rank = len(kernel)
    places = places_of(x.shape[2:], kernel, stride, padding, dilation)
    if any(b or a for b, a in padding):
        wide = np.full((*x.shape[:2], *(n + sum(p) for n, p in zip(x.shape[2:], padding, strict=True))), zero, x.dtype)
        wide[_inside(x.shape[2:], padding)] = x
        x = wide
    strides = x.strides[2:]
    return np.lib.stride_tricks.as_strided(
        x,
        (*x.shape[:2], *kernel, *places),
        (
            *x.strides[:2],
            *(strides[i] * dilation[i] for i in range(rank)),
            *(strides[i] * stride[i] for i in range(rank)),
        ),
        writeable=False,
    )


def _inside(space: Sizes, padding: Pads) -> tuple[slice, ...]:
    """Return where (n, c, *space) lies in the padded array."""
    return (slice(None), slice(None), *(slice(p[0], p[0] + n) for n, p in zip(space, padding, strict=True)))


def uncolumns(
    cols: Any, space: Sizes, kernel: Sizes, stride: Sizes, padding: Pads, dilation: Sizes, zero: Any = 0
) -> Any:
    """Return the sums of windows (n, c, *kernel, *places) where they lie in (n, c, *space): the adjoint of `columns`."""
    places = cols.shape[2 + len(kernel) :]
    wide = (*cols.shape[:2], *(n + sum(p) for n, p in zip(space, padding, strict=True)))
    out = np.full(wide, zero, cols.dtype)
    for at in np.ndindex(kernel):
        where = tuple(
            slice(k * d, k * d + s * (m - 1) + 1, s) for k, d, s, m in zip(at, dilation, stride, places, strict=True)
        )
        part = (slice(None), slice(None), *where)
        out[part] = out[part] + cols[(slice(None), slice(None), *at)]
    return out[_inside(space, padding)]


@primitive(
    CONTRACTION,
    vjps=[
        lambda ct, w, x_shape, stride, padding, dilation, groups: convolution_input(
            ct, w, space=x_shape[2:], stride=stride, padding=padding, dilation=dilation, groups=groups
        ),
        lambda ct, x, w_shape, stride, padding, dilation, groups: convolution_weight(
            ct, x, kernel=w_shape[2:], stride=stride, padding=padding, dilation=dilation, groups=groups
        ),
    ],
)
def convolution(x: Any, w: Any, *, stride: Sizes, padding: Pads, dilation: Sizes, groups: int) -> Any:
    """The correlation of x (n, c, *space) with w (out, c / groups, *kernel): (n, out, *places)."""
    n, c = x.shape[:2]
    out, kernel = w.shape[0], w.shape[2:]
    cols = columns(x, kernel, stride, padding, dilation)
    places = cols.shape[2 + len(kernel) :]
    depth = c // groups * math.prod(kernel)
    y = np.matmul(w.reshape(groups, out // groups, depth), cols.reshape(n, groups, depth, math.prod(places)))
    return y.reshape(n, out, *places)


@primitive(
    CONTRACTION,
    vjps=[
        lambda ct, w, stride, padding, dilation, groups: convolution(
            ct, w, stride=stride, padding=padding, dilation=dilation, groups=groups
        ),
        lambda ct, t, w_shape, stride, padding, dilation, groups: convolution_weight(
            t, ct, kernel=w_shape[2:], stride=stride, padding=padding, dilation=dilation, groups=groups
        ),
    ],
)
def convolution_input(
    t: Any, w: Any, *, space: Sizes, stride: Sizes, padding: Pads, dilation: Sizes, groups: int
) -> Any:
    """The adjoint of `convolution` in x, which is the transposed convolution: (n, out, *places) to (n, c, *space)."""
    n, out = t.shape[:2]
    kernel, places = w.shape[2:], t.shape[2:]
    depth = w.shape[1] * math.prod(kernel)
    left = w.reshape(groups, out // groups, depth).swapaxes(1, 2)
    cols = np.matmul(left, t.reshape(n, groups, out // groups, math.prod(places)))
    cols = cols.reshape(n, groups * w.shape[1], *kernel, *places)
    return uncolumns(cols, space, kernel, stride, padding, dilation)


@primitive(
    CONTRACTION,
    vjps=[
        lambda ct, x, stride, padding, dilation, groups: convolution(
            x, ct, stride=stride, padding=padding, dilation=dilation, groups=groups
        ),
        lambda ct, t, x_shape, stride, padding, dilation, groups: convolution_input(
            t, ct, space=x_shape[2:], stride=stride, padding=padding, dilation=dilation, groups=groups
        ),
    ],
)
def convolution_weight(
    t: Any, x: Any, *, kernel: Sizes, stride: Sizes, padding: Pads, dilation: Sizes, groups: int
) -> Any:
    """The adjoint of `convolution` in the weight: (n, out, *places) and (n, c, *space) to (out, c / groups, *kernel)."""
    n, out = t.shape[:2]
    places = math.prod(t.shape[2:])
    depth = x.shape[1] // groups * math.prod(kernel)
    left = t.reshape(n, groups, out // groups, places)
    right = columns(x, kernel, stride, padding, dilation).reshape(n, groups, depth, places).swapaxes(2, 3)
    if n * out * depth <= _MANY:  # a product a sample, added up: no copy of the windows in another order
        sums = np.matmul(left, right).sum(axis=0)
    else:
        sums = np.zeros((groups, out // groups, depth), t.dtype)
        for i in range(n):
            sums += np.matmul(left[i], right[i])
    return sums.reshape(out, x.shape[1] // groups, *kernel)


_MANY = 1 << 22


def weight_factors(t: Any, cols: Any, groups: int) -> tuple[Any, Any]:
    """Return the two matrices, one pair a group, whose product is the adjoint in the weight."""
    n, out = t.shape[:2]
    places = math.prod(t.shape[2:])
    depth = cols.shape[1] // groups * math.prod(cols.shape[2 : cols.ndim - t.ndim + 2])
    left = t.reshape(n, groups, out // groups, places).transpose(1, 2, 0, 3).reshape(groups, out // groups, n * places)
    right = cols.reshape(n, groups, depth, places).transpose(1, 0, 3, 2).reshape(groups, n * places, depth)
    return left, right
