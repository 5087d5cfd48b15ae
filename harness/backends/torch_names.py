"""PyTorch's spelling of the ops of programs, for PyTorch and for the tape, which has PyTorch's names.

`spelling(T)` is the table of a module: op name -> a callable that takes the op's tensors and its keyword parameters. An op
that one line of text spells is in `harness.spelling`. `CONVENTIONS` is what both give at kinks and singular points.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from harness.backends import basic_index
from harness.spelling import TORCH, spoken
from harness.vocabulary.layers import LAYERS
from harness.vocabulary.losses import LOSSES

__all__ = ["CONVENTIONS", "spelling"]

_SAME = (
    "neg abs sign exp expm1 log log1p sqrt rsqrt reciprocal square sin cos tan sinh cosh tanh atan sigmoid relu "
    "maximum minimum logaddexp atan2 where clamp cumsum softmax log_softmax reshape permute unsqueeze squeeze flip "
    "tril triu clone matmul dot outer detach"
)
_ACTIVATIONS = (
    "leaky_relu elu selu celu gelu silu mish softplus softsign logsigmoid tanhshrink softshrink hardshrink hardtanh "
    "relu6 hardsigmoid hardswish threshold prelu glu"
)
_SPECIAL = "erf erfc erfcx erfinv ndtr log_ndtr i0 i1 i0e i1e entr sinc xlogy xlog1py logit digamma exp2"
_MORE = (
    "lgamma asin acos asinh acosh atanh log2 log10 deg2rad rad2deg floor ceil trunc round frac hypot logaddexp2 copysign "
    "fmax fmin fmod remainder lerp addcmul addcdiv"
)


def _normalised(norm: Any, x: Any, weight: Any = None, bias: Any = None, **params: Any) -> Any:
    return norm(x, None, None, weight, bias, **params)


def _shifted(T: Any, function: Any, name: str = "") -> Callable[..., Any]:
    """A function of a matrix, to which `plus` times the identity is added and which `gram` multiplies by its transpose."""

    def op(a: Any, *rest: Any, plus: float = 0.0, gram: bool = False, **params: Any) -> Any:
        a = a @ a.mT if gram else a
        a = a + plus * T.eye(a.shape[-1], dtype=a.dtype) if plus else a
        y = function(a, *rest, **params)
        return getattr(y, name) if name else y

    return op


def spelling(T: Any) -> dict[str, Callable[..., Any]]:
    """Return the table of `torch`, or of a module that has its names.

    Raises:
        AttributeError: the module lacks a name.
    """

    @functools.lru_cache(maxsize=4096)
    def long(index: tuple[Any, ...], shape: tuple[int, ...]) -> Any:
        # The shape is given since an index without elements, ((), ()), does not show it.
        return T.tensor(np.array(index, dtype=np.int64).reshape(shape))

    def with_classes(loss: Any, x: Any, *, target: Any, **params: Any) -> Any:
        return loss(x, long((target,), np.shape(target)), **params)

    return {
        **{name: getattr(T, name) for name in _SAME.split()},
        **{name: getattr(T.nn.functional, name) for name in _ACTIVATIONS.split()},
        **{name: getattr(T.special, name) for name in _SPECIAL.split()},
        **{name: getattr(T, name) for name in _MORE.split()},
        "polygamma": lambda x, *, n: T.polygamma(n, x),
        "add": operator.add,
        "sub": operator.sub,
        "mul": operator.mul,
        "div": operator.truediv,
        "pow": operator.pow,
        "gt": operator.gt,
        "ge": operator.ge,
        "lt": operator.lt,
        "le": operator.le,
        "eq": operator.eq,
        "ne": operator.ne,
        "sum": lambda x, *, dim=None, keepdim=False: T.sum(x) if dim is None else T.sum(x, dim, keepdim),
        "mean": lambda x, *, dim=None, keepdim=False: T.mean(x) if dim is None else T.mean(x, dim, keepdim),
        "amax": lambda x, *, dim=None, keepdim=False: T.amax(x, () if dim is None else dim, keepdim),
        "amin": lambda x, *, dim=None, keepdim=False: T.amin(x, () if dim is None else dim, keepdim),
        "prod": lambda x, *, dim=None, keepdim=False: T.prod(x) if dim is None else T.prod(x, dim, keepdim),
        "logsumexp": lambda x, *, dim, keepdim=False: T.logsumexp(x, dim, keepdim),
        "vector_norm": lambda x, *, ord=2.0, dim=None, keepdim=False: T.linalg.vector_norm(x, ord, dim, keepdim),
        "var": lambda x, *, dim=None, correction=1, keepdim=False: T.var(
            x, dim, correction=correction, keepdim=keepdim
        ),
        "transpose": lambda x, *, dim0, dim1: T.transpose(x, dim0, dim1),
        "expand": lambda x, *, shape: x.expand(shape),
        "cat": lambda *xs, dim=0: T.cat(xs, dim),
        "stack": lambda *xs, dim=0: T.stack(xs, dim),
        "getitem": lambda x, *, index: x[basic_index(index)],
        "index_select": lambda x, *, dim, index: T.index_select(x, dim, long(index, (len(index),))),
        "gather": lambda x, *, dim, index: T.gather(x, dim, long(index, np.shape(index))),
        **{name: getattr(T, name) for name in "bmm tensordot inner kron addmm addmv addr baddbmm addbmm cdist".split()},
        "einsum": lambda *xs, equation: T.einsum(equation, *xs),
        "vecdot": T.linalg.vecdot,
        "cross": T.linalg.cross,
        **{name: _shifted(T, getattr(T.linalg, name)) for name in "solve inv det cholesky matrix_power".split()},
        "logabsdet": _shifted(T, T.linalg.slogdet, "logabsdet"),
        "solve_triangular": _shifted(T, T.linalg.solve_triangular),
        "multi_dot": lambda *xs: T.linalg.multi_dot(xs),
        "bilinear": T.nn.functional.bilinear,
        **{name: getattr(T.nn.functional, name) for name in (*LAYERS, *LOSSES)},
        **{
            name: functools.partial(with_classes, getattr(T.nn.functional, name))
            for name in ("cross_entropy", "nll_loss")
        },
        "batch_norm": functools.partial(_normalised, T.nn.functional.batch_norm, training=True),
        "instance_norm": functools.partial(_normalised, T.nn.functional.instance_norm),
        "embedding": lambda weight, *, index: T.nn.functional.embedding(long(index, np.shape(index)), weight),
        **{name: spoken(name, line, T.as_tensor, torch=T) for name, line in TORCH.items()},
    }


CONVENTIONS: dict[str, str] = {
    "abs": "at [-1, 0, -0, 1]: [-1, 0, 0, 1]",
    "relu": "at [-1, 0, -0, 1]: [0, 0, 0, 1]",
    "sign": "at [-1, 0, 1]: [0, 0, 0]",
    "clamp": "at [-1, 0, 0.5, 1, 2]: [0, 1, 1, 1, 0]",
    "maximum": "at [1, 2, 3]; [1, 3, 2]: [0.5, 0, 1]; [0.5, 1, 0]",
    "minimum": "at [1, 2, 3]; [1, 3, 2]: [0.5, 1, 0]; [0.5, 0, 1]",
    "amax": "at [1, 3, 3, 2]: [0, 0.5, 0.5, 0]",
    "amin": "at [1, 1, 1]: [0.333333, 0.333333, 0.333333]",
    "max": "at [1, 3, 3, 2]: [0, 1, 0, 0]",
    "min": "at [1, 1, 1]: [1, 0, 0]",
    "cummax": "at [1, 1, 2, 2]: [1, 1, 1, 1]",
    "cummin": "at [2, 1, 1]: [1, 1, 1]",
    "sort": "at [2, 1, 1]: [1, 1, 1]",
    "std": "at [1, 1]: [0, 0]",
    "vector_norm": "at [0, 0]: [0, 0]",
    "vector_norm ord=1": "at [0, 1]: [0, 1]",
    "sqrt": "at [0, 1, -1]: [inf, 0.5, nan]",
    "rsqrt": "at [0, 1]: [-inf, -0.5]",
    "log": "at [0, 1, -1]: [inf, 1, -1]",
    "reciprocal": "at [0]: [-inf]",
    "atan2": "at [0]; [0]: [0]; [-0]",
    "pow": "at [0, 0, 0, 2, -2]; [0, 1, 2, 0, 2]: [0, 1, 0, 0, -4]; [0, 0, 0, 0.693147, nan]",
    "pow exponent 0.0": "at [0, 2]: [0, 0]",
    "pow exponent 0.5": "at [0, 4, -1]: [inf, 0.25, nan]",
    "pow exponent 2": "at [0, -1]: [0, -2]",
    "pow base 0.0": "at [0, 1, -1]: [0, 0, -inf]",
    "where": "at [0, 1]: [nan, 0.5]",
    "prod": "at [0, 2, 3]: [6, 0, 0]",
    "prod two zeros": "at [0, 0, 3]: [0, 0, 0]",
    "leaky_relu": "at [-1, 0, -0, 1]: [0.1, 0.1, 0.1, 1]",
    "elu": "at [-1, 0, 1]: [0.735759, 2, 1]",
    "selu": "at [0]: [1.7581]",
    "celu": "at [0]: [1]",
    "hardtanh": "at [-1, 0, 1]: [0, 1, 0]",
    "hardtanh with limits": "at [-0.5, 0, 2]: [0, 1, 0]",
    "relu6": "at [0, 1, 6]: [0, 1, 0]",
    "hardsigmoid": "at [-3, 3]: [0, 0]",
    "hardswish": "at [-3, 3]: [0, 1]",
    "softshrink": "at [-0.5, 0, 0.5, 1]: [0, 0, 0, 1]",
    "hardshrink": "at [-0.5, 0, 0.5, 1]: [0, 0, 0, 1]",
    "softplus": "at [20]: [1]",
    "threshold": "at [0, 0.5, 1]: [0, 0, 1]",
    "softsign": "at [-1, 0, 1]: [0.25, 1, 0.25]",
    "prelu": "at [-1, 0, -0, 1]; [0.25]: [0.25, 0.25, 0.25, 1]; [-1]",
    "asin": "at [-1, 1]: [inf, inf]",
    "acos": "at [-1, 1]: [-inf, -inf]",
    "acosh": "at [1]: [inf]",
    "atanh": "at [-1, 1]: [inf, inf]",
    "erfinv": "at [-1, 1]: [inf, inf]",
    "log2": "at [0, 1]: [inf, 1.4427]",
    "hypot": "at [0]; [0]: [nan]; [nan]",
    "floor": "at [0.5, 1]: [0, 0]",
    "ceil": "at [0.5, 1]: [0, 0]",
    "trunc": "at [0.5, 1]: [0, 0]",
    "round": "at [0.5, 1.5]: [0, 0]",
    "frac": "at [0.5, 1]: [1, 1]",
    "fmod": "at [3, -3, 4]; [2, 2, 2]: [1, 1, 1]; [-1, 1, -2]",
    "remainder": "at [3, -3, 4]; [2, 2, 2]: [1, 1, 1]; [-1, 2, -2]",
    "copysign": "at [0, -0, -2]; [1, 1, 1]: [0, 0, -1]; [0, 0, 0]",
    "fmax": "at [1, 1]; [1, 2]: [1, 0]; [0, 1]",
    "fmin": "at [1, 2]; [1, 1]: [1, 0]; [0, 1]",
    "xlogy": "at [0, 0]; [0, 1]: [0, 0]; [nan, 0]",
    "xlog1py": "at [0, 0]; [-1, 1]: [0, 0.693147]; [nan, 0]",
    "entr": "at [0, 1]: [inf, -1]",
    "logit": "at [0, 1]: [inf, inf]",
    "logit with eps": "at [0, 0.125, 0.875, 1]: [0, 9.14286, 9.14286, 0]",
    "sinc": "at [0]: [0]",
    "i0e": "at [0]: [0]",
    "i1": "at [0]: [0.5]",
    "i1e": "at [0]: [0.5]",
    "lgamma": "at [0]: [-inf]",
    "digamma": "at [0]: [inf]",
    "log_ndtr": "at [0]: [0.797885]",
}
