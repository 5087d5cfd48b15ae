"""How the operators of ATen are written in the vocabulary of programs: one row an operator.

`ROWS` maps an operator's name, such as "add.Tensor", to a function of a `Builder` and the operator's arguments, nodes in
the place of tensors; it returns a node, or a tuple of them for several results. Where an operator has no row,
`plain` serves those that have an op of their name with parameters of the same names, `moves` those that only move
elements; PyTorch's own decompositions serve the rest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from harness.frontends import Builder, Node, Untraceable
from harness.inference import OPS

__all__ = ["CONSTANT", "LINEAR", "MOVES", "PICKS", "ROWS", "SAME", "plain"]

Row = Callable[..., Any]

# Operators that pick elements of their tensors and compute nothing: run on the places 0, 1, 2 ... they tell which.
MOVES = frozenset(
    """
    alias alias_copy as_strided as_strided_copy as_strided_scatter
    channel_shuffle copy diagonal diagonal_copy diagonal_scatter embedding
    expand_copy flip gather index index_copy index_select masked_scatter masked_select movedim narrow permute_copy
    pixel_shuffle pixel_unshuffle reflection_pad1d reflection_pad2d reflection_pad3d repeat repeat_interleave
    replication_pad1d replication_pad2d replication_pad3d roll rot90 scatter select select_copy select_scatter slice
    slice_copy slice_scatter split split_with_sizes squeeze squeeze_copy t_copy take transpose_copy unbind unfold
    unfold_copy unsqueeze_copy _unsafe_index unsafe_split unsafe_split_with_sizes upsample_nearest1d
    upsample_nearest2d upsample_nearest3d _upsample_nearest_exact1d _upsample_nearest_exact2d
    """.split()
)

# What these return has derivative zero and does not change near the point, or does not depend on the values at all.
CONSTANT = frozenset(
    """
    all angle any argmax argmin argsort bernoulli bitwise_and bitwise_not bitwise_or bucketize ceil count_nonzero empty_like eq
    equal floor floor_divide full_like ge gt heaviside histc isfinite isin isinf isnan le logical_and logical_not
    logical_or logical_xor lt multinomial ne new_empty new_empty_strided new_full new_ones new_zeros nonzero ones_like
    rand_like randn_like round searchsorted sgn sign signbit trunc zeros_like
    """.split()
)

# What these return is linear in the one tensor that moves: run on unit vectors they tell the matrix.
LINEAR = frozenset(
    """
    avg_pool2d avg_pool3d _embedding_bag segment_reduce _upsample_bicubic2d_aa _upsample_bilinear2d_aa
    """.split()
)

# Rows of these need the results, too: which elements were picked.
PICKS = frozenset(
    """
    adaptive_max_pool2d cummax cummin fractional_max_pool2d fractional_max_pool3d kthvalue max.dim
    max_pool2d_with_indices median min.dim mode nanmedian sort topk
    """.split()
)

ROWS: dict[str, Row] = {}


def row(*names: str) -> Callable[[Row], Row]:
    """Enter a function under the names of the operators that it writes."""

    def enter(function: Row) -> Row:
        for name in names:
            ROWS[name] = function
        return function

    return enter


def plain(b: Builder, func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Node | None:
    """Write an operator whose op has its name and takes its parameters under their names; None if there is none."""
    name = func._schema.name.removeprefix("aten::")
    name = SAME.get(name, name)
    op = OPS.get(name)
    if op is None or len(func._schema.returns) != 1:
        return None
    given = dict(zip([a.name for a in func._schema.arguments], args, strict=False)) | kwargs
    defaults = {a.name: a.default_value for a in func._schema.arguments if a.has_default_value()}
    operands: list[Any] = []
    params: dict[str, Any] = {}
    for key, value in given.items():
        if key in op.params:
            params[key] = value
        elif isinstance(value, Node):
            operands.append(value)
        elif key not in defaults and isinstance(value, (int, float)) and op.scalars:
            operands.append(_exact(value))
        elif value != defaults.get(key):
            return None
    if op.tensors[0] == "*xs" or len(operands) != len(op.tensors):
        return None
    return b.emit(name, *[_number(b, o) if isinstance(o, Node) else o for o in operands], **params)


SAME = {"arctan": "atan", "arctan2": "atan2", "absolute": "abs", "negative": "neg", "clip": "clamp"}
SAME |= {f"special_{name}": name for name in ("erfcx", "i0e", "i1", "i1e", "log_ndtr")}


def _number(b: Builder, x: Node) -> Node:
    return b.floats(x) if x.kind == "bool" else x


def _exact(value: Any) -> Any:
    return int(value) if isinstance(value, bool) else value


def _pair(b: Builder, op: str, x: Any, y: Any) -> Node:
    x, y = (_number(b, v) if isinstance(v, Node) else _exact(v) for v in (x, y))
    if op in ("maximum", "minimum") or not OPS[op].scalars:
        x, y = (v if isinstance(v, Node) else b.constant(np.array(float(v))) for v in (x, y))
    return b.emit(op, x, y)


def _times(b: Builder, x: Node, factor: Any) -> Node:
    return x if factor == 1 else _pair(b, "mul", x, factor)


@row("add.Tensor", "add.Scalar")
def _add(b: Builder, x: Any, y: Any, alpha: Any = 1) -> Node:
    return _pair(b, "add", x, _times(b, y, alpha) if isinstance(y, Node) else y * alpha)


@row("sub.Tensor", "sub.Scalar")
def _sub(b: Builder, x: Any, y: Any, alpha: Any = 1) -> Node:
    return _pair(b, "sub", x, _times(b, y, alpha) if isinstance(y, Node) else y * alpha)


@row("rsub.Scalar", "rsub.Tensor")
def _rsub(b: Builder, x: Node, y: Any, alpha: Any = 1) -> Node:
    return _pair(b, "sub", y, _times(b, x, alpha))


@row("mul.Tensor", "mul.Scalar", "multiply.Tensor")
def _mul(b: Builder, x: Any, y: Any) -> Node:
    return _pair(b, "mul", x, y)


@row("div.Tensor", "div.Scalar", "true_divide.Tensor")
def _div(b: Builder, x: Any, y: Any) -> Node:
    return _pair(b, "div", x, y)


@row("pow.Tensor_Tensor", "pow.Tensor_Scalar", "pow.Scalar", "float_power.Tensor_Tensor", "float_power.Tensor_Scalar")
def _pow(b: Builder, x: Any, y: Any) -> Node:
    # PyTorch computes an integral exponent in the same way whether it is written 2 or 2.0.
    if isinstance(y, float) and y.is_integer() and abs(y) < 2**31 and y >= 0:
        y = int(y)
    return _pair(b, "pow", x, y)


@row("maximum.default", "fmax.default", "max.other")
def _maximum(b: Builder, x: Any, y: Any) -> Node:
    return _pair(b, "maximum", x, y)


@row("minimum.default", "fmin.default", "min.other")
def _minimum(b: Builder, x: Any, y: Any) -> Node:
    return _pair(b, "minimum", x, y)


@row("clamp.default")
def _clamp(b: Builder, x: Node, min: Any = None, max: Any = None) -> Node:
    return b.emit("clamp", x, min=min, max=max)


@row("clamp_min.default")
def _clamp_min(b: Builder, x: Node, min: Any) -> Node:
    return b.emit("clamp", x, min=min)


@row("clamp_max.default")
def _clamp_max(b: Builder, x: Node, max: Any) -> Node:
    return b.emit("clamp", x, max=max)


@row("hardtanh.default")
def _hardtanh(b: Builder, x: Node, min_val: float = -1.0, max_val: float = 1.0) -> Node:
    return b.emit("clamp", x, min=min_val, max=max_val)


@row("clamp.Tensor")
def _clamp_tensor(b: Builder, x: Node, min: Any = None, max: Any = None) -> Node:
    y = x if min is None else _pair(b, "maximum", x, min)
    return y if max is None else _pair(b, "minimum", y, max)


@row("where.self", "where.ScalarOther", "where.ScalarSelf")
def _where(b: Builder, condition: Node, x: Any, y: Any) -> Node:
    if not isinstance(x, Node) and not isinstance(y, Node):
        raise Untraceable("where between two numbers on a condition that is computed")
    x, y = (_number(b, v) if isinstance(v, Node) else float(v) for v in (x, y))
    return b.emit("where", condition, x, y)


@row("masked_fill.Scalar", "masked_fill.Tensor")
def _masked_fill(b: Builder, x: Node, mask: Node, value: Any) -> Node:
    return b.emit("where", mask, value if isinstance(value, Node) else float(value), x)


@row("sum.default", "sum.dim_IntList")
def _sum(b: Builder, x: Node, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Node:
    return _reduction(b, "sum", x, dim, keepdim)


@row("mean.default", "mean.dim")
def _mean(b: Builder, x: Node, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Node:
    return _reduction(b, "mean", x, dim, keepdim)


@row("amax.default")
def _amax(b: Builder, x: Node, dim: Any = (), keepdim: bool = False) -> Node:
    return _reduction(b, "amax", x, dim, keepdim)


@row("amin.default")
def _amin(b: Builder, x: Node, dim: Any = (), keepdim: bool = False) -> Node:
    return _reduction(b, "amin", x, dim, keepdim)


@row("max.default")
def _max(b: Builder, x: Node) -> Node:
    return _reduction(b, "amax", x, None, False)


@row("min.default")
def _min(b: Builder, x: Node) -> Node:
    return _reduction(b, "amin", x, None, False)


@row("prod.default")
def _prod(b: Builder, x: Node, dtype: Any = None) -> Node:
    return b.emit("prod", x)


@row("prod.dim_int")
def _prod_dim(b: Builder, x: Node, dim: int, keepdim: bool = False, dtype: Any = None) -> Node:
    return _reduction(b, "prod", x, dim, keepdim)


@row("logsumexp.default")
def _logsumexp(b: Builder, x: Node, dim: Any, keepdim: bool = False) -> Node:
    return _reduction(b, "logsumexp", x, dim, keepdim)


@row("linalg_vector_norm.default")
def _vector_norm(b: Builder, x: Node, ord: Any = 2, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Node:
    return _reduction(b, "vector_norm", x, dim, keepdim, ord=float(ord))


@row("norm.Scalar", "norm.ScalarOpt_dim")
def _norm(b: Builder, x: Node, p: Any = 2, dim: Any = None, keepdim: bool = False) -> Node:
    return _reduction(b, "vector_norm", x, dim, keepdim, ord=2.0 if p is None else float(p))


@row("var.correction")
def _var(b: Builder, x: Node, dim: Any = None, correction: Any = 1, keepdim: bool = False) -> Node:
    return _reduction(b, "var", x, dim, keepdim, correction=1 if correction is None else correction)


@row("var.default", "var.dim")
def _var_old(b: Builder, x: Node, *rest: Any, keepdim: bool = False) -> Node:
    dim, unbiased = (None, rest[0] if rest else True) if not rest or isinstance(rest[0], bool) else (rest[0], True)
    if len(rest) > 1:
        unbiased = rest[1]
    return _reduction(
        b, "var", x, dim, rest[2] if len(rest) > 2 else keepdim, correction=1 if unbiased in (None, True) else 0
    )


@row("std.correction")
def _std(b: Builder, x: Node, dim: Any = None, correction: Any = 1, keepdim: bool = False) -> Node:
    return b.emit("sqrt", _var(b, x, dim, correction, keepdim))


@row("var_mean.correction")
def _var_mean(b: Builder, x: Node, dim: Any = None, correction: Any = 1, keepdim: bool = False) -> tuple[Node, Node]:
    return _var(b, x, dim, correction, keepdim), _reduction(b, "mean", x, dim, keepdim)


def _reduction(b: Builder, op: str, x: Node, dim: Any, keepdim: bool, **params: Any) -> Node:
    """Write a reduction; no axes (None or an empty list) are all, and a 0-d tensor has one."""
    if isinstance(dim, int):
        dim = (dim,)
    if not x.shape:
        return b.shaped(_reduction(b, op, b.shaped(x, (1,)), (0,), False, **params), ())
    dims = tuple(range(len(x.shape))) if dim is None or len(dim) == 0 else tuple(d % len(x.shape) for d in dim)
    if op == "prod":
        y = b.emit(op, x, dim=dims[0], keepdim=keepdim)
    elif len(dims) == len(x.shape) and not keepdim and op != "logsumexp":
        y = b.emit(op, x, **params)
    else:
        y = b.emit(op, x, dim=dims[0] if len(dims) == 1 else dims, keepdim=keepdim, **params)
    return y


@row("_softmax.default", "softmax.int")
def _softmax(b: Builder, x: Node, dim: int, other: Any = None) -> Node:
    return _along(b, "softmax", x, dim)


@row("_log_softmax.default", "log_softmax.int")
def _log_softmax(b: Builder, x: Node, dim: int, other: Any = None) -> Node:
    return _along(b, "log_softmax", x, dim)


@row("cumsum.default")
def _cumsum(b: Builder, x: Node, dim: int, dtype: Any = None) -> Node:
    return _along(b, "cumsum", x, dim)


@row("cumprod.default")
def _cumprod(b: Builder, x: Node, dim: int, dtype: Any = None) -> Node:
    return _along(b, "cumprod", x, dim)


def _along(b: Builder, op: str, x: Node, dim: int) -> Node:
    return b.emit(op, x, dim=dim) if x.shape else b.shaped(b.emit(op, b.shaped(x, (1,)), dim=0), ())


@row("mm.default", "bmm.default", "mv.default", "matmul.default")
def _matmul(b: Builder, x: Node, y: Node) -> Node:
    return b.emit("matmul", x, y)


@row("dot.default", "vdot.default")
def _dot(b: Builder, x: Node, y: Node) -> Node:
    return b.emit("dot", x, y)


@row("addmm.default", "baddbmm.default", "addmv.default")
def _addmm(b: Builder, c: Node, x: Node, y: Node, beta: Any = 1, alpha: Any = 1) -> Node:
    return b.emit("add", _times(b, c, beta), _times(b, b.emit("matmul", x, y), alpha))


@row("addr.default")
def _addr(b: Builder, c: Node, x: Node, y: Node, beta: Any = 1, alpha: Any = 1) -> Node:
    return b.emit("add", _times(b, c, beta), _times(b, b.emit("outer", x, y), alpha))


@row("linear.default")
def _linear(b: Builder, x: Node, w: Node, bias: Node | None = None) -> Node:
    y = b.emit("matmul", x, b.emit("transpose", w, dim0=0, dim1=1))
    return y if bias is None else b.emit("add", y, bias)


@row("addcmul.default")
def _addcmul(b: Builder, c: Node, x: Node, y: Node, value: Any = 1) -> Node:
    return b.emit("add", c, _times(b, b.emit("mul", x, y), value))


@row("addcdiv.default")
def _addcdiv(b: Builder, c: Node, x: Node, y: Node, value: Any = 1) -> Node:
    return b.emit("add", c, _times(b, b.emit("div", x, y), value))


@row("lerp.Scalar", "lerp.Tensor")
def _lerp(b: Builder, x: Node, y: Node, w: Any) -> Node:
    return b.emit("add", x, _pair(b, "mul", b.emit("sub", y, x), w))


@row("tril.default")
def _tril(b: Builder, x: Node, diagonal: int = 0) -> Node:
    return b.emit("tril", x, diagonal=diagonal)


@row("triu.default")
def _triu(b: Builder, x: Node, diagonal: int = 0) -> Node:
    return b.emit("triu", x, diagonal=diagonal)


@row("view.default", "reshape.default", "_unsafe_view.default", "_reshape_alias.default", "view_copy.default")
def _view(b: Builder, x: Node, shape: Any, *rest: Any) -> Node:
    shape = list(shape)
    if -1 in shape:
        others = math.prod(n for n in shape if n != -1)
        shape[shape.index(-1)] = math.prod(x.shape) // others if others else 0
    return b.shaped(x, shape)


@row("permute.default")
def _permute(b: Builder, x: Node, dims: Any) -> Node:
    return b.emit("permute", x, dims=dims) if x.shape else x


@row("t.default")
def _t(b: Builder, x: Node) -> Node:
    return b.emit("transpose", x, dim0=0, dim1=1) if len(x.shape) == 2 else x


@row("transpose.int")
def _transpose(b: Builder, x: Node, i: int, j: int) -> Node:
    return b.emit("transpose", x, dim0=i, dim1=j) if x.shape else x


@row("expand.default")
def _expand(b: Builder, x: Node, shape: Any, implicit: bool = False) -> Node:
    lead = len(shape) - len(x.shape)
    full = tuple(x.shape[i - lead] if n == -1 else n for i, n in enumerate(shape))
    return x if full == x.shape else b.emit("expand", x, shape=full)


@row("unsqueeze.default")
def _unsqueeze(b: Builder, x: Node, dim: int) -> Node:
    return b.emit("unsqueeze", x, dim=dim)


@row("detach.default", "clone.default", "alias.default", "lift_fresh.default", "contiguous.default", "_conj.default")
def _same_elements(b: Builder, x: Node, **rest: Any) -> Node:
    return x


@row("cat.default")
def _cat(b: Builder, xs: Sequence[Node], dim: int = 0) -> Node:
    full = [b.floats(x) for x in xs if x.shape != (0,)]
    return full[0] if len(full) == 1 else b.emit("cat", *full, dim=dim)


@row("stack.default")
def _stack(b: Builder, xs: Sequence[Node], dim: int = 0) -> Node:
    return b.emit("stack", *[b.floats(x) for x in xs], dim=dim)


@row("constant_pad_nd.default")
def _pad(b: Builder, x: Node, pad: Sequence[int], value: Any = 0) -> Node:
    places = torch.arange(math.prod(x.shape)).reshape(x.shape)
    moved = torch.constant_pad_nd(places, list(pad), math.prod(x.shape)).numpy()
    return b.moved([x, b.constant(np.array([float(value)]))], moved)


@row("scatter.value", "index_fill.int_Scalar")
def _scatter_value(b: Builder, x: Node, dim: int, index: Node, value: Any) -> Node:
    places = torch.arange(math.prod(x.shape)).reshape(x.shape)
    put = places.scatter if index.shape and len(index.shape) == len(x.shape) else places.index_fill
    moved = put(dim, _tensor(index), math.prod(x.shape)).numpy()
    return b.moved([x, b.constant(np.array([float(value)]))], moved)


@row("scatter_add.default")
def _scatter_add(b: Builder, x: Node, dim: int, index: Node, source: Node) -> Node:
    used = b.moved([source], _places(source)[tuple(slice(n) for n in index.shape)])
    return _added(b, x, torch.gather(torch.from_numpy(_places(x)), dim, _tensor(index)).numpy(), used)


@row("index_add.default")
def _index_add(b: Builder, x: Node, dim: int, index: Node, source: Node, alpha: Any = 1) -> Node:
    return _added(b, x, np.take(_places(x), _array(index), axis=dim), _times(b, source, alpha))


@row("index_put.default")
def _index_put(b: Builder, x: Node, indices: Sequence[Node | None], values: Node, accumulate: bool = False) -> Node:
    where = [None if i is None else _tensor(i) for i in indices]
    places = torch.from_numpy(_places(x))
    if not accumulate:
        source = torch.from_numpy(_places(values)) + places.numel()
        if torch.ops.aten.index(places, where).unique().numel() < torch.ops.aten.index(places, where).numel():
            raise Untraceable("an index that names a place twice")
        return b.moved([x, values], torch.ops.aten.index_put(places, where, source).numpy())
    targets = torch.ops.aten.index(places, where).numpy()
    return _added(b, x, targets, b.emit("expand", values, shape=targets.shape))


def _added(b: Builder, x: Node, targets: Any, source: Node) -> Node:
    """x with each element of the source added at its target, as a product with a matrix of zeros and ones."""
    n, m = math.prod(x.shape), math.prod(source.shape)
    if n * m > 1 << 20:
        raise Untraceable(f"a sum of {m} scattered elements into {n}")
    matrix = np.zeros((n, m))
    matrix[targets.ravel(), np.arange(m)] = 1.0
    total = b.emit("matmul", b.constant(matrix), b.flat(source))
    return b.emit("add", x, b.shaped(total, x.shape))


def _places(x: Node) -> Any:
    return np.arange(math.prod(x.shape)).reshape(x.shape)


def _array(x: Node) -> Any:
    if x.value is None:
        raise Untraceable("an index that is computed")
    return x.value


def _tensor(x: Node) -> Any:
    return torch.from_numpy(_array(x))


@row("convolution.default")
def _convolution(
    b: Builder,
    x: Node,
    weight: Node,
    bias: Node | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
) -> Node:
    """Write a convolution as one product of matrices over its windows."""
    if transposed:
        if any(p - d * (k - 1) > 0 for p, d, k in zip(padding, dilation, weight.shape[2:], strict=True)):
            raise Untraceable("a transposed convolution that cuts off elements")
        x, weight = _between_zeros(b, x, stride, output_padding), _turned(b, weight, groups)
        padding = [d * (k - 1) - p for p, d, k in zip(padding, dilation, weight.shape[2:], strict=True)]
        more = tuple(output_padding)
        stride = [1] * len(padding)
    else:
        more = (0,) * len(padding)
    batch, out, kernel = x.shape[0], weight.shape[0], weight.shape[2:]
    n = math.prod(x.shape)
    sides = [(p, p + m) for p, m in zip(padding, more, strict=True)]
    padded = np.pad(_places(x), [(0, 0), (0, 0), *sides], constant_values=n)
    spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    windows = np.lib.stride_tricks.sliding_window_view(padded, spans, axis=tuple(range(2, padded.ndim)))
    steps = tuple(slice(None, None, s) for s in stride)
    windows = windows[(slice(None), slice(None), *steps, *[slice(None, None, d) for d in dilation])]
    sizes = windows.shape[2 : 2 + len(kernel)]
    rank = len(kernel)
    windows = windows.reshape(batch, groups, -1, *sizes, *kernel)
    windows = np.moveaxis(windows, 2, 2 + rank).reshape(batch, groups, math.prod(sizes), -1)
    columns = b.moved([x, b.constant(np.zeros(1))], windows)
    kernels = b.shaped(weight, (groups, out // groups, math.prod(weight.shape[1:])))
    product = b.emit("matmul", columns, b.emit("transpose", kernels, dim0=1, dim1=2))
    y = b.shaped(b.emit("transpose", product, dim0=2, dim1=3), (batch, out, *sizes))
    return y if bias is None else b.emit("add", y, b.shaped(bias, (out, *[1] * rank)))


def _between_zeros(b: Builder, x: Node, stride: Sequence[int], output_padding: Sequence[int]) -> Node:
    """x with stride - 1 zeros between neighbours: what a transposed convolution slides over."""
    places = np.full(
        [*x.shape[:2], *[s * (n - 1) + 1 for n, s in zip(x.shape[2:], stride, strict=True)]], math.prod(x.shape)
    )
    places[(slice(None), slice(None), *[slice(None, None, s) for s in stride])] = _places(x)
    return b.moved([x, b.constant(np.zeros(1))], places)


def _turned(b: Builder, weight: Node, groups: int) -> Node:
    """The kernels of a transposed convolution as those of a plain one: in and out exchanged, each axis reversed."""
    inner, outer, *kernel = weight.shape
    places = _places(weight).reshape(groups, inner // groups, outer, *kernel).swapaxes(1, 2)
    places = np.flip(places, tuple(range(3, places.ndim))).reshape(groups * outer, inner // groups, *kernel)
    return b.moved([weight], places)


@row("max_pool2d_with_indices.default", "adaptive_max_pool2d.default", "fractional_max_pool2d.default")
def _max_pool(b: Builder, results: Sequence[Any], x: Node, *rest: Any, **more: Any) -> Node:
    return _pooled(b, results[1].numpy(), x, 2)


@row("fractional_max_pool3d.default")
def _max_pool_3d(b: Builder, results: Sequence[Any], x: Node, *rest: Any, **more: Any) -> Node:
    return _pooled(b, results[1].numpy(), x, 3)


def _pooled(b: Builder, index: Any, x: Node, rank: int) -> Node:
    lead = x.shape[:-rank]
    planes = _places(x).reshape(*lead, -1)
    picked = np.take_along_axis(planes, index.reshape(*lead, -1), axis=-1)
    return b.moved([x], picked.reshape(index.shape))


@row("max.dim", "min.dim", "kthvalue.default", "median.dim", "nanmedian.dim", "mode.default")
def _picked_one(b: Builder, results: Sequence[Any], x: Node, *rest: Any, **more: Any) -> Node:
    index = results[1].numpy()
    ints = [r for r in rest if isinstance(r, int) and not isinstance(r, bool)]
    dim = more.get("dim", ints[-1] if ints else -1)
    if not x.shape:
        return x
    keeps = index.ndim == len(x.shape)
    picked = np.take_along_axis(_places(x), index if keeps else np.expand_dims(index, dim), axis=dim)
    return b.moved([x], picked if keeps else np.squeeze(picked, dim))


@row("sort.default", "sort.stable", "topk.default", "cummax.default", "cummin.default")
def _picked_many(b: Builder, results: Sequence[Any], x: Node, *rest: Any, **more: Any) -> Node:
    index = results[1].numpy()
    if not x.shape:
        return x
    differ = [d for d, (n, m) in enumerate(zip(x.shape, index.shape, strict=True)) if n != m]
    ints = [r for r in rest if isinstance(r, int) and not isinstance(r, bool)]
    dim = differ[0] if differ else more.get("dim", ints[-1] if ints else -1)
    return b.moved([x], np.take_along_axis(_places(x), index, axis=dim))


@row("median.default", "nanmedian.default")
def _median(b: Builder, results: Sequence[Any], x: Node) -> Node:
    raise Untraceable("the median of a whole tensor")


@row("div.Tensor_mode", "div.Scalar_mode")
def _div_mode(b: Builder, x: Any, y: Any, rounding_mode: str | None = None) -> Node | None:
    return _div(b, x, y) if rounding_mode is None else None


@row("silu.default")
def _silu(b: Builder, x: Node) -> Node:
    return b.emit("silu", x) if "silu" in OPS else b.emit("mul", x, b.emit("sigmoid", x))


@row("mse_loss.default")
def _mse_loss(b: Builder, x: Node, y: Node, reduction: int = 1) -> Node:
    loss = b.emit("square", b.emit("sub", x, y))
    return loss if reduction == 0 else b.emit("mean" if reduction == 1 else "sum", loss)


@row("linalg_cholesky_ex.default")
def _cholesky(b: Builder, a: Node, upper: bool = False, check_errors: bool = False) -> tuple[Node, None]:
    return b.emit("cholesky", a, upper=upper), None


@row("triangular_solve.default")
def _triangular_solve(
    b: Builder, y: Node, a: Node, upper: bool = True, transpose: bool = False, unitriangular: bool = False
) -> tuple[Node, Node]:
    if unitriangular:
        raise Untraceable("a triangular solve with ones on the diagonal")
    kept = b.emit("triu" if upper else "tril", a)
    if not transpose:
        return b.emit("solve_triangular", kept, y, upper=upper), a
    turned = b.emit("transpose", kept, dim0=-2, dim1=-1)
    return b.emit("solve_triangular", turned, y, upper=not upper), a


@row("linalg_lu_solve.default")
def _lu_solve(b: Builder, factors: Node, pivots: Node, y: Node, left: bool = True, adjoint: bool = False) -> Node:
    if not left or adjoint:
        raise Untraceable("a solve from the right, or with the transposed")
    # The pivots count from 1 and are integers of 32 bits.
    numbers = _tensor(pivots).to(torch.int32)
    swaps = torch.lu_unpack(torch.zeros(factors.shape, dtype=torch.float64), numbers, unpack_data=False)[0].mT.numpy()
    _, lower, upper = _lu_unpack(b, factors, pivots)
    x = b.emit("solve_triangular", lower, b.emit("matmul", b.constant(swaps), y), upper=False)
    return b.emit("solve_triangular", upper, x, upper=True)


@row("logcumsumexp.default")
def _logcumsumexp(b: Builder, x: Node, dim: int) -> Node:
    """Write the logarithm of a running sum as one of each beginning."""
    if not x.shape:
        return b.shaped(b.emit("logsumexp", b.shaped(x, (1,)), dim=0), ())
    d = dim % len(x.shape)
    begins = [b.moved([x], np.take(_places(x), range(k + 1), axis=d)) for k in range(x.shape[d])]
    return b.emit("stack", *[b.emit("logsumexp", y, dim=d) for y in begins], dim=d)


@row("lu_unpack.default")
def _lu_unpack(b: Builder, factors: Node, pivots: Node, unpack_data: bool = True, unpack_pivots: bool = True) -> Any:
    if not unpack_data:
        raise Untraceable("a permutation alone")
    *_, m, n = factors.shape
    k = min(m, n)
    lower = b.moved([factors], _places(factors)[..., :, :k])
    upper = b.moved([factors], _places(factors)[..., :k, :])
    ones = b.constant(np.broadcast_to(np.eye(m, k), lower.shape))
    return None, b.emit("add", b.emit("tril", lower, diagonal=-1), ones), b.emit("triu", upper)


@row("_pdist_forward.default")
def _pdist(b: Builder, x: Node, p: float = 2.0) -> Node:
    rows, columns = np.triu_indices(x.shape[0], 1)
    gap = b.emit("sub", b.moved([x], _places(x)[rows]), b.moved([x], _places(x)[columns]))
    return b.emit("vector_norm", gap, dim=1, ord=float(p))


@row("scatter_reduce.two")
def _scatter_reduce(
    b: Builder, x: Node, dim: int, index: Node, source: Node, reduce: str, include_self: bool = True
) -> Node:
    places = _array(index).tolist()
    return b.emit("scatter_reduce", x, source, dim=dim, index=places, reduce=reduce, include_self=include_self)


@row("put.default")
def _put(b: Builder, x: Node, index: Node, source: Node, accumulate: bool = False) -> Node:
    targets = _array(index).ravel() % max(math.prod(x.shape), 1)
    if accumulate:
        return _added(b, x, targets, b.flat(source))
    if np.unique(targets).size < targets.size:
        raise Untraceable("an index that names a place twice")
    places = np.arange(math.prod(x.shape))
    places[targets] = places.size + np.arange(targets.size)
    return b.moved([x, source], places.reshape(x.shape))


@row("_trilinear.default")
def _trilinear(
    b: Builder,
    x: Node,
    y: Node,
    z: Node,
    expand1: Sequence[int],
    expand2: Sequence[int],
    expand3: Sequence[int],
    sumdim: Sequence[int],
    unroll_dim: int = 1,
) -> Node:
    """Write the sum of products over some axes, after axes of size 1 have been put in."""
    spread = [_with_axes(b, v, dims) for v, dims in ((x, expand1), (y, expand2), (z, expand3))]
    product = b.emit("mul", b.emit("mul", spread[0], spread[1]), spread[2])
    return b.emit("sum", product, dim=tuple(sumdim)) if sumdim else product


def _with_axes(b: Builder, x: Node, dims: Sequence[int]) -> Node:
    shape = list(x.shape)
    for d in sorted(dims):
        shape.insert(d, 1)
    return b.shaped(x, shape)


@row("_cdist_forward.default")
def _cdist(b: Builder, x: Node, y: Node, p: float, compute_mode: Any = None) -> Node:
    return b.emit("cdist", x, y, p=float(p))


@row("_linalg_solve_ex.default")
def _solve(
    b: Builder, a: Node, y: Node, left: bool = True, check_errors: bool = False
) -> tuple[Node, None, None, None]:
    if not left:
        raise Untraceable("a solve from the right")
    return b.emit("solve", a, y), None, None, None


@row("linalg_inv_ex.default")
def _inv(b: Builder, a: Node, check_errors: bool = False) -> tuple[Node, None]:
    return b.emit("inv", a), None


@row("_linalg_det.default")
def _det(b: Builder, a: Node) -> tuple[Node, None, None]:
    return b.emit("det", a), None, None


@row("_linalg_slogdet.default")
def _slogdet(b: Builder, a: Node) -> tuple[None, Node, None, None]:
    return None, b.emit("logabsdet", a), None, None


@row("linalg_solve_triangular.default")
def _solve_triangular(
    b: Builder, a: Node, y: Node, upper: bool, left: bool = True, unitriangular: bool = False
) -> Node:
    if unitriangular:
        raise Untraceable("a triangular solve with ones on the diagonal")
    if left:
        return b.emit("solve_triangular", a, y, upper=upper)
    turned, right = (b.emit("transpose", z, dim0=-2, dim1=-1) for z in (a, y))
    return b.emit("transpose", b.emit("solve_triangular", turned, right, upper=not upper), dim0=-2, dim1=-1)


@row("cholesky_solve.default")
def _cholesky_solve(b: Builder, y: Node, factor: Node, upper: bool = False) -> Node:
    kept = b.emit("triu" if upper else "tril", factor)
    turned = b.emit("transpose", kept, dim0=-2, dim1=-1)
    first, second = (turned, kept) if upper else (kept, turned)
    x = b.emit("solve_triangular", first, y, upper=False)
    return b.emit("solve_triangular", second, x, upper=True)
