"""Moving elements around: shapes, order, joining. Each rule is the inverse move, or the sum over what was copied."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from reference_impl.ops.elementwise import zeros_like
from reference_impl.ops.indexing import BasicIndex, getitem, getitem_adjoint
from reference_impl.primitives import MOVEMENT, apply, primitive, unbroadcast

__all__ = [
    "cat",
    "diagonal",
    "diagonal_places",
    "expand",
    "flip",
    "inverse",
    "permute",
    "reshape",
    "squeeze",
    "stack",
    "to_the_end",
    "transpose",
    "tril",
    "triu",
    "unfold",
    "unsqueeze",
    "view_scatter",
]


@primitive(MOVEMENT, vjps=[lambda ct, x_shape: reshape(ct, shape=x_shape)], view=True, node_name="ViewBackward0")
def reshape(x: Any, *, shape: tuple[int, ...]) -> Any:
    """The same elements in row-major order under another shape; a view where strides allow, else a copy."""
    return x.reshape(shape)


def inverse(dims: tuple[int, ...]) -> tuple[int, ...]:
    """Return the inverse of a permutation, which may count from the end."""
    back = [0] * len(dims)
    for i, d in enumerate(dims):
        back[d] = i
    return tuple(back)


@primitive(MOVEMENT, vjps=[lambda ct, dims: permute(ct, dims=inverse(dims))], view=True)
def permute(x: Any, *, dims: tuple[int, ...]) -> Any:
    """Dimension i of the result is dimension dims[i] of x."""
    return x.transpose(dims)


@primitive(MOVEMENT, vjps=[lambda ct, dim0, dim1: transpose(ct, dim0=dim0, dim1=dim1)], view=True)
def transpose(x: Any, *, dim0: int, dim1: int) -> Any:
    """Two dimensions exchanged."""
    return x.swapaxes(dim0, dim1) if x.ndim else x[...]


@primitive(MOVEMENT, vjps=[lambda ct, x_shape: unbroadcast(ct, x_shape)], view=True)
def expand(x: Any, *, shape: tuple[int, ...]) -> Any:
    """x repeated to `shape` without copying: stride 0 along the new and the stretched dimensions."""
    if x.ndim == 0:
        return np.ndarray(shape, x.dtype, x, 0, (0,) * len(shape))  # a fifth of the time that `broadcast_to` takes
    return np.broadcast_to(x, shape)


@primitive(MOVEMENT, vjps=[lambda ct, dim: squeeze(ct, dim=dim)], view=True)
def unsqueeze(x: Any, *, dim: int) -> Any:
    """A dimension of length 1 inserted at `dim`."""
    own, place = x.shape, dim if dim >= 0 else dim + x.ndim + 1
    return x.reshape(*own[:place], 1, *own[place:])  # a quarter of the time that `expand_dims` takes


@primitive(MOVEMENT, vjps=[lambda ct, x_shape: reshape(ct, shape=x_shape)], view=True)
def squeeze(x: Any, *, dim: int | tuple[int, ...] | None = None) -> Any:
    """x without those of the named dimensions that have length 1."""
    if dim is None:
        return x[...].squeeze()
    dims = (dim,) if isinstance(dim, int) else dim
    return x[...].squeeze(tuple(d for d in dims if x.ndim and x.shape[d] == 1))


@primitive(MOVEMENT, vjps=[lambda ct, dims: flip(ct, dims=dims)])
def flip(x: Any, *, dims: tuple[int, ...]) -> Any:
    """The order of the elements reversed along `dims`."""
    return np.flip(x, dims).copy()


def _matrices(name: str, x: Any) -> None:
    if x.ndim < 2:
        raise RuntimeError(f"{name}: input tensor must have at least 2 dimensions, got {x.ndim}")


@primitive(MOVEMENT, vjps=[lambda ct, diagonal: tril(ct, diagonal=diagonal)])
def tril(x: Any, *, diagonal: int = 0) -> Any:
    """The lower triangle of the last two dimensions, zeros above."""
    _matrices("tril", x)
    return np.tril(x, diagonal)


@primitive(MOVEMENT, vjps=[lambda ct, diagonal: triu(ct, diagonal=diagonal)])
def triu(x: Any, *, diagonal: int = 0) -> Any:
    """The upper triangle of the last two dimensions, zeros below."""
    _matrices("triu", x)
    return np.triu(x, diagonal)


def _piece(ct: Any, i: int, shapes: tuple[tuple[int, ...], ...], dim: int) -> Any:
    shape, start = shapes[i], 0
    dim %= len(shape)
    if i:
        for before in shapes[:i]:
            start += before[dim]
    piece = slice(start, start + shape[dim])
    if type(ct) is np.ndarray:
        return ct[piece] if not dim else ct[(*(slice(None),) * dim, piece)]
    return getitem(ct, index=BasicIndex((*(slice(None),) * dim, piece, ...)))


@primitive(MOVEMENT, vjps=[_piece])
def cat(*xs: Any, dim: int = 0) -> Any:
    """The tensors one after the other along `dim`."""
    return np.concatenate(xs, dim)


@primitive(MOVEMENT, vjps=[lambda ct, i, dim: getitem(ct, index=(slice(None),) * (dim % ct.ndim) + (i,))])
def stack(*xs: Any, dim: int = 0) -> Any:
    """The tensors, all of one shape, along a new dimension."""
    return np.stack(xs, dim)


def to_the_end(ndim: int, *dims: int) -> tuple[int, ...]:
    """Return the order of dimensions that puts some of them last."""
    last = [d % ndim for d in dims]
    return (*(d for d in range(ndim) if d not in last), *last)


def diagonal_places(rows: int, columns: int, offset: int) -> tuple[Any, Any]:
    """Return the rows and the columns of the elements of a diagonal."""
    n = max(min(rows + min(offset, 0), columns - max(offset, 0)), 0)
    steps = np.arange(n)
    return steps - min(offset, 0), steps + max(offset, 0)


def _diagonal_vjp(ct: Any, x_shape: tuple[int, ...], offset: int, dim1: int, dim2: int) -> Any:
    order = to_the_end(len(x_shape), dim1, dim2)
    shape = tuple(x_shape[d] for d in order)
    places = diagonal_places(shape[-2], shape[-1], offset)
    return permute(getitem_adjoint(ct, shape=shape, index=(Ellipsis, *places)), dims=inverse(order))


@primitive(MOVEMENT, vjps=[_diagonal_vjp], view=True)
def diagonal(x: Any, *, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    """The elements with equal positions in two dimensions, which one at the end replaces; `offset` goes right of them."""
    picked = np.diagonal(x, offset, dim1, dim2)
    if x.flags.writeable:
        picked.flags.writeable = True  # NumPy makes it read-only for historical reasons
    return picked


def _unfold_vjp(ct: Any, x_shape: tuple[int, ...], dim: int, size: int, step: int) -> Any:
    order = to_the_end(len(x_shape), dim)
    shape = tuple(x_shape[d] for d in order)
    places = np.arange(0, shape[-1] - size + 1, step)[:, None] + np.arange(size)
    moved = permute(ct, dims=(*order, len(x_shape)))
    return permute(getitem_adjoint(moved, shape=shape, index=(Ellipsis, places)), dims=inverse(order))


@primitive(MOVEMENT, vjps=[_unfold_vjp], view=True)
def unfold(x: Any, *, dim: int, size: int, step: int) -> Any:
    """All slices of `size` elements along `dim`, `step` apart, which may overlap; their elements in a new last dimension."""
    windows = np.lib.stride_tricks.sliding_window_view(x, size, dim, writeable=x.flags.writeable)
    return windows[(slice(None),) * (dim % x.ndim) + (slice(None, None, step),)]


def _follow(x: Any, path: Any) -> Any:
    return functools.reduce(lambda a, step: apply(step[0], a, **step[1]), path, x)


@primitive(
    MOVEMENT,
    vjps=[
        lambda ct, path: view_scatter(ct, zeros_like(_follow(ct, path)), path=path),
        lambda ct, path: _follow(ct, path),
    ],
)
def view_scatter(x: Any, value: Any, *, path: Any) -> Any:
    """A copy of x in which the view that `path` leads to holds `value`: what an in-place write to a view does to its base."""
    out = np.array(x)
    _follow(out, path)[...] = value
    return out
