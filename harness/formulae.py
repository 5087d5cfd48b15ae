"""Ops that a framework computes otherwise than the reference composes them: the same function, rounded in other places.

`harness.conventions.following` puts them in force beside its rules, for the bound: a product to which a kernel adds the
bias as one more term, a normalisation as x a + c, a gradient whose factors are multiplied in another order. The functions
here run on the reference's tape and are for its first derivatives alone: where a framework rounds the gradient by each
argument in its own way, each has a term of its own here in which all other arguments are held, and the value is that of the
formula for the value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import reference_impl
from harness.backends.reference import OPS
from reference_impl import no_grad

__all__ = ["FORMULAE"]

Formula = Callable[..., Any]

tape: Any = reference_impl


def _held(x: Any) -> Any:
    return x.detach() if isinstance(x, tape.Tensor) else x


def _valued(graph: Any, value: Any) -> Any:
    """The gradient of one tensor with the value of another."""
    graph.array = value.array
    return graph


def _summed(a: Any, b: Any, terms: int) -> Any:
    """a + b as parts of one sum of so many terms, in any order: what cancels is rounded before it does."""
    a, b = tape.broadcast_tensors(a, b)
    zeros = [tape.zeros_like(a)] * (terms - 2)
    return tape.sum(tape.stack([a, b, *zeros]), 0)


# -- products to which something is added, in one kernel


def _added(name: str, terms: Callable[[Any, Any], int]) -> Formula:
    """beta * input + alpha * product, whose gradients are multiplied by alpha last."""
    plain = OPS[name]

    def op(input: Any, a: Any, b: Any, *, beta: float = 1, alpha: float = 1) -> Any:
        held = _held(input)
        if alpha == 1:
            graph = plain(input, a, b, beta=beta)
        else:
            graph = plain(input, a * alpha, _held(b), beta=beta) + plain(held, _held(a), b * alpha, beta=0)
        with no_grad():
            product = plain(held, a, b, beta=0, alpha=alpha)
            return _valued(graph, _summed(input if beta == 1 else input * beta, product, terms(a, b) + 1))

    return op


def _with_bias(name: str, terms: Callable[[Any, Any], int], *, channels: bool) -> Formula:
    plain = OPS[name]

    def op(x: Any, weight: Any, bias: Any = None, **params: Any) -> Any:
        graph = plain(x, weight, bias, **params)
        if bias is None:
            return graph
        with no_grad():
            product = plain(x, weight, **params)
            space = product.ndim - (2 if x.ndim == weight.ndim else 1) if channels else 0
            return _valued(graph, _summed(product, bias.reshape((-1, *(1,) * space)), terms(x, weight) + 1))

    return op


def _bilinear(x: Any, y: Any, weight: Any, bias: Any = None) -> Any:
    """Each gradient is a sum of (one factor times the next) times the third, in an order of its own."""
    einsum = tape.einsum
    a, b, w = _held(x), _held(y), _held(weight)
    by_x = einsum("...ij,oij->...o", einsum("...i,...j->...ij", x, b), w)
    by_w = einsum("...i,...oi->...o", a, einsum("oij,...j->...oi", weight, b))
    by_y = einsum("...oj,...j->...o", einsum("...i,oij->...oj", a, w), y)
    graph = by_x + by_w + by_y
    graph = graph if bias is None else graph + bias
    with no_grad():
        return _valued(graph, OPS["bilinear"](x, y, weight, bias))


# -- normalisations, as x a + c


def _normalised(name: str, standing: Callable[[Any, Mapping[str, Any]], tuple[Any, Any, tuple[int, ...]]]) -> Formula:
    """x * scale + (bias - mean * scale), where scale is the weight over the root of the variance.

    Args:
        name: the op.
        standing: of the input and the parameters, what the statistics are taken of, along which dims, and the shape that
            makes weight and bias broadcast.
    """
    plain = OPS[name]

    def op(x: Any, weight: Any = None, bias: Any = None, **params: Any) -> Any:
        given = {k: v for k, v in (("weight", weight), ("bias", bias)) if v is not None}
        graph = plain(x, **given, **params)
        with no_grad():
            wide, dims, shape = standing(x, params)
            mean = tape.mean(wide, dims, keepdim=True)
            root = tape.rsqrt(tape.var(wide, dims, correction=0, keepdim=True) + params.get("eps", 1e-5))
            apart, scale = (
                y.reshape(tuple(x.shape)) for y in (_summed(wide, -mean, 3), root.expand(tuple(wide.shape)))
            )
            scale = scale if weight is None else scale * weight.reshape(shape)
            shift = tape.zeros_like(x) if bias is None else bias.reshape(shape)
            return _valued(graph, _summed(apart * scale, shift, 3))

    return op


def _channels(x: Any) -> tuple[int, ...]:
    return (1, -1, *(1,) * (x.ndim - 2))


def _of_batch(x: Any, params: Mapping[str, Any]) -> tuple[Any, Any, tuple[int, ...]]:
    return x, (0, *range(2, x.ndim)), _channels(x)


def _of_instances(x: Any, params: Mapping[str, Any]) -> tuple[Any, Any, tuple[int, ...]]:
    return x, tuple(range(2, x.ndim)), _channels(x)


def _of_groups(x: Any, params: Mapping[str, Any]) -> tuple[Any, Any, tuple[int, ...]]:
    groups = params["num_groups"]
    return x.reshape((x.shape[0], groups, math.prod(x.shape[1:]) // groups)), (2,), _channels(x)


def _of_layer(x: Any, params: Mapping[str, Any]) -> tuple[Any, Any, tuple[int, ...]]:
    shape = tuple(params["normalized_shape"])
    return x, tuple(range(-len(shape), 0)), shape


# -- elementwise


def _addcmul(input: Any, tensor1: Any, tensor2: Any, *, value: float = 1) -> Any:
    """Each factor's gradient is ct times (the other times `value`)."""
    a, b = _held(tensor1), _held(tensor2)
    graph = input + tensor1 * (b * value) + tensor2 * (a * value)
    return _valued(graph, OPS["addcmul"](_held(input), a, b, value=value))


def _addcdiv(input: Any, tensor1: Any, tensor2: Any, *, value: float = 1) -> Any:
    """Numerator: ct times (value / denominator). Denominator: ct times (value * numerator / denominator^2)."""
    a, b = _held(tensor1), _held(tensor2)
    graph = input + tensor1 * (value / b) - tensor2 * (a * value / (b * b))
    return _valued(graph, OPS["addcdiv"](_held(input), a, b, value=value))


def _glu(x: Any, *, dim: int = -1) -> Any:
    """The gradient by the second half is ct times ((1 - s) s times the first half), with s its sigmoid."""
    n = x.shape[dim] // 2
    first, second = x.narrow(dim, 0, n), x.narrow(dim, n, n)
    s = tape.sigmoid(_held(second))
    graph = first * s + second * ((1 - s) * s * _held(first))
    return _valued(graph, OPS["glu"](_held(x), dim=dim))


def _rows(a: Any, b: Any) -> int:
    return int(a.shape[-1])


def _kernel(x: Any, weight: Any) -> int:
    return math.prod(map(int, weight.shape[1:]))


def _kernel_of_channels(x: Any, weight: Any) -> int:
    return math.prod(map(int, (weight.shape[0], *weight.shape[2:])))


FORMULAE: Mapping[str, Mapping[str, Formula]] = {
    "torch": {
        **{name: _added(name, _rows) for name in ("addmm", "addmv", "baddbmm")},
        "addbmm": _added("addbmm", lambda a, b: a.shape[0] * a.shape[-1]),
        "addr": _added("addr", lambda a, b: 1),
        "linear": _with_bias("linear", _rows, channels=False),
        **{name: _with_bias(name, _kernel, channels=True) for name in ("conv1d", "conv2d")},
        **{
            name: _with_bias(name, _kernel_of_channels, channels=True)
            for name in ("conv_transpose1d", "conv_transpose2d")
        },
        "bilinear": _bilinear,
        "batch_norm": _normalised("batch_norm", _of_batch),
        "instance_norm": _normalised("instance_norm", _of_instances),
        "group_norm": _normalised("group_norm", _of_groups),
        "layer_norm": _normalised("layer_norm", _of_layer),
        "addcmul": _addcmul,
        "addcdiv": _addcdiv,
        "glu": _glu,
    }
}
"""framework -> op -> how that framework computes it, on the reference's tensors."""
