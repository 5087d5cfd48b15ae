"""JAX on the CPU as two backends: `eager` dispatches op by op, `jitted` compiles a whole program with its VJP once.

`OPS` is the spelling table. Importing this module turns on 64-bit numbers and selects the CPU for the process, both of
which JAX keeps globally. `persist_compilations(folder)` keeps compiled programs between runs.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import jax.scipy.special
import numpy as np

from harness.backends import basic_index, conventions_of, jax_layers, missing_ops, straighten
from harness.backends.jax_versions import QUICK, jit
from harness.cases import Array, Case, Outcome, Thunk, failed
from harness.floats import HALF
from harness.programs import Program
from harness.spelling import JAX, spoken

__all__ = ["CONVENTIONS", "OPS", "JaxBackend", "devices", "eager", "jitted", "persist_compilations", "unrewritten"]

_set: Callable[[str, Any], None] = jax.config.update
_set("jax_enable_x64", True)
_set("jax_platforms", "cpu")

Dim = int | tuple[int, ...] | None


def _lifted(op: Callable[..., Any]) -> Callable[..., Any]:
    """Let an op with `dim` take a 0-d array as PyTorch does: as if it had one dimension of size 1."""

    def lifted(x: Any, **params: Any) -> Any:
        return op(x.reshape(1), **params).reshape(()) if x.ndim == 0 else op(x, **params)

    return lifted


def _vector_norm(x: Any, *, ord: Any = 2.0, dim: Dim = None, keepdim: bool = False) -> Any:
    return jnp.linalg.vector_norm(x, ord=ord, axis=dim, keepdims=keepdim)


def _expand(x: Any, *, shape: tuple[int, ...]) -> Any:
    own = (0,) * (len(shape) - x.ndim) + x.shape
    return jnp.broadcast_to(x, tuple(n if n != -1 else m for n, m in zip(shape, own, strict=True)))


def _squeeze(x: Any, *, dim: int) -> Any:
    return jnp.squeeze(x, dim) if x.ndim and x.shape[dim] == 1 else x


def _gather(x: Any, *, dim: int, index: tuple[Any, ...]) -> Any:
    where: Array = np.array(index, dtype=np.int64).reshape(np.shape(index))
    dim %= x.ndim
    # PyTorch lets the index be smaller than x off the gathered dim; take_along_axis wants equal sizes there.
    part = x[tuple(slice(None) if d == dim else slice(n) for d, n in enumerate(where.shape))]
    return jnp.take_along_axis(part, where, axis=dim)


def _index_select(x: Any, *, dim: int, index: tuple[int, ...]) -> Any:
    return jnp.take(x, np.array(index, dtype=np.int64), axis=dim)


def _einsum(*xs: Any, equation: str) -> Any:
    """Two operands at a time from the left, as PyTorch does: another order rounds otherwise."""
    path: Any = [(0, 1)] + [(0, len(xs) - k) for k in range(2, len(xs))]
    return jnp.einsum(equation, *xs, optimize=path if len(xs) > 1 else [(0,)])


def _added(product: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """beta * input + alpha * product; with beta = 0 the input counts as zeros."""

    def added(x: Any, a: Any, b: Any, *, beta: float = 1, alpha: float = 1) -> Any:
        return (beta * x if beta else 0 * jax.lax.stop_gradient(x)) + alpha * product(a, b)

    return added


def _cdist(x1: Any, x2: Any, *, p: Any = 2.0) -> Any:
    return jnp.linalg.vector_norm(x1[..., :, None, :] - x2[..., None, :, :], ord=p, axis=-1)


def _bilinear(x1: Any, x2: Any, weight: Any, bias: Any = None) -> Any:
    y = jnp.einsum("...oj,...j->...o", jnp.einsum("...i,oij->...oj", x1, weight), x2)
    return y if bias is None else y + bias


def _hardtanh(x: Any, *, min_val: float = -1.0, max_val: float = 1.0) -> Any:
    if (min_val, max_val) == (-1.0, 1.0):
        return jax.nn.hard_tanh(x)
    return jnp.where(x > max_val, max_val, jnp.where(x < min_val, min_val, x))


def _softplus(x: Any, *, beta: float = 1.0, threshold: float = 20.0) -> Any:
    return jnp.where(beta * x > threshold, x, jax.nn.softplus(beta * x) / beta)


def _softshrink(x: Any, *, lambd: float = 0.5) -> Any:
    return jnp.where(x > lambd, x - lambd, jnp.where(x < -lambd, x + lambd, 0.0))


def _hardshrink(x: Any, *, lambd: float = 0.5) -> Any:
    return jnp.where((x >= -lambd) & (x <= lambd), 0.0, x)


# PyTorch's functions that JAX has not are written as its users write them.
_ACTIVATIONS: dict[str, Callable[..., Any]] = {
    "leaky_relu": lambda x, *, negative_slope=0.01: jax.nn.leaky_relu(x, negative_slope),
    "elu": lambda x, *, alpha=1.0: jax.nn.elu(x, alpha),
    "selu": jax.nn.selu,
    "celu": lambda x, *, alpha=1.0: jax.nn.celu(x, alpha),
    "gelu": lambda x, *, approximate="none": jax.nn.gelu(x, approximate=approximate == "tanh"),
    "silu": jax.nn.silu,
    "mish": jax.nn.mish,
    "softplus": _softplus,
    "softsign": jax.nn.soft_sign,
    "logsigmoid": jax.nn.log_sigmoid,
    "tanhshrink": lambda x: x - jnp.tanh(x),
    "softshrink": _softshrink,
    "hardshrink": _hardshrink,
    "hardtanh": _hardtanh,
    "relu6": jax.nn.relu6,
    "hardsigmoid": jax.nn.hard_sigmoid,
    "hardswish": jax.nn.hard_swish,
    "threshold": lambda x, *, threshold, value: jnp.where(x <= threshold, value, x),
    "glu": lambda x, *, dim=-1: jax.nn.glu(x, axis=dim),
}

_SPECIAL: dict[str, Callable[..., Any]] = {
    "erf": jax.scipy.special.erf,
    "ndtr": jax.scipy.special.ndtr,
    "erfc": jax.scipy.special.erfc,
    "erfinv": jax.scipy.special.erfinv,
    "log_ndtr": jax.scipy.special.log_ndtr,
    "lgamma": jax.scipy.special.gammaln,
    "digamma": jax.scipy.special.digamma,
    "polygamma": lambda x, *, n: jax.scipy.special.polygamma(n, x),
    "i0": jax.scipy.special.i0,
    "i1": jax.scipy.special.i1,
    "i0e": jax.scipy.special.i0e,
    "i1e": jax.scipy.special.i1e,
    "entr": jax.scipy.special.entr,
    "xlogy": jax.scipy.special.xlogy,
    "xlog1py": jax.scipy.special.xlog1py,
    "logit": lambda x, *, eps=None: jax.scipy.special.logit(x if eps is None else jnp.clip(x, eps, 1 - eps)),
    "sinc": jnp.sinc,
    "asin": jnp.arcsin,
    "acos": jnp.arccos,
    "asinh": jnp.arcsinh,
    "acosh": jnp.arccosh,
    "atanh": jnp.arctanh,
    "log2": jnp.log2,
    "log10": jnp.log10,
    "exp2": jnp.exp2,
    "deg2rad": jnp.deg2rad,
    "rad2deg": jnp.rad2deg,
    "floor": jnp.floor,
    "ceil": jnp.ceil,
    "trunc": jnp.trunc,
    "round": jnp.round,
    "frac": lambda x: x - jnp.trunc(x),
    "hypot": jnp.hypot,
    "logaddexp2": jnp.logaddexp2,
    "copysign": jnp.copysign,
    "fmax": jnp.fmax,
    "fmin": jnp.fmin,
    "fmod": jnp.fmod,
    "remainder": jnp.remainder,
    "lerp": lambda x, end, w: jnp.where(jnp.abs(w) < 0.5, x + w * (end - x), end - (end - x) * (1 - w)),
    "addcmul": lambda x, a, b, *, value=1: x + value * a * b,
    "addcdiv": lambda x, a, b, *, value=1: x + value * a / b,
}


def _shifted(function: Any, name: str = "") -> Callable[..., Any]:
    """A function of a matrix, to which `plus` times the identity is added and which `gram` multiplies by its transpose."""

    def op(a: Any, *rest: Any, plus: float = 0.0, gram: bool = False, **params: Any) -> Any:
        a = a @ a.mT if gram else a
        a = a + plus * jnp.eye(a.shape[-1], dtype=a.dtype) if plus else a
        y = function(a, *rest, **params)
        return getattr(y, name) if name else y

    return op


def _cholesky(a: Any, *, upper: bool = False) -> Any:
    low = jnp.linalg.cholesky(a)
    return low.mT if upper else low


def _solve(a: Any, b: Any) -> Any:
    vector = b.ndim == 1 or (a.ndim - 1 == b.ndim and b.shape == a.shape[:-1])  # PyTorch also takes a batch of vectors
    return jnp.linalg.solve(a, b[..., None])[..., 0] if vector else jnp.linalg.solve(a, b)


def _solve_triangular(a: Any, b: Any, *, upper: bool) -> Any:
    lead = jnp.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a, b = jnp.broadcast_to(a, (*lead, *a.shape[-2:])), jnp.broadcast_to(b, (*lead, *b.shape[-2:]))
    return jax.lax.linalg.triangular_solve(a, b, left_side=True, lower=not upper)


_LINALG = {
    **{name: _shifted(getattr(jnp.linalg, name)) for name in ("inv", "det", "matrix_power")},
    "solve": _shifted(_solve),
    "cholesky": _shifted(_cholesky),
    "logabsdet": _shifted(jnp.linalg.slogdet, "logabsdet"),
    "solve_triangular": _shifted(_solve_triangular),
}


OPS: dict[str, Callable[..., Any]] = {
    **_ACTIVATIONS,
    **_SPECIAL,
    "neg": jnp.negative,
    "abs": jnp.abs,
    "sign": jnp.sign,
    "exp": jnp.exp,
    "expm1": jnp.expm1,
    "log": jnp.log,
    "log1p": jnp.log1p,
    "sqrt": jnp.sqrt,
    "rsqrt": jax.lax.rsqrt,
    "reciprocal": jnp.reciprocal,
    "square": jnp.square,
    "sin": jnp.sin,
    "cos": jnp.cos,
    "tan": jnp.tan,
    "sinh": jnp.sinh,
    "cosh": jnp.cosh,
    "tanh": jnp.tanh,
    "atan": jnp.arctan,
    "sigmoid": jax.nn.sigmoid,
    "relu": jax.nn.relu,
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "pow": operator.pow,
    "maximum": jnp.maximum,
    "minimum": jnp.minimum,
    "logaddexp": jnp.logaddexp,
    "atan2": jnp.arctan2,
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
    "eq": operator.eq,
    "ne": operator.ne,
    "where": jnp.where,
    "clamp": lambda x, *, min=None, max=None: jnp.clip(x, min, max),
    "sum": _lifted(lambda x, *, dim=None, keepdim=False: jnp.sum(x, axis=dim, keepdims=keepdim)),
    "mean": _lifted(lambda x, *, dim=None, keepdim=False: jnp.mean(x, axis=dim, keepdims=keepdim)),
    "amax": _lifted(lambda x, *, dim=None, keepdim=False: jnp.max(x, axis=dim, keepdims=keepdim)),
    "amin": _lifted(lambda x, *, dim=None, keepdim=False: jnp.min(x, axis=dim, keepdims=keepdim)),
    "prod": _lifted(lambda x, *, dim=None, keepdim=False: jnp.prod(x, axis=dim, keepdims=keepdim)),
    "logsumexp": _lifted(lambda x, *, dim, keepdim=False: jax.scipy.special.logsumexp(x, axis=dim, keepdims=keepdim)),
    "vector_norm": _lifted(_vector_norm),
    "var": _lifted(
        lambda x, *, dim=None, correction=1, keepdim=False: jnp.var(x, axis=dim, ddof=correction, keepdims=keepdim)
    ),
    "cumsum": _lifted(lambda x, *, dim: jnp.cumsum(x, axis=dim)),
    "softmax": _lifted(lambda x, *, dim: jax.nn.softmax(x, axis=dim)),
    "log_softmax": _lifted(lambda x, *, dim: jax.nn.log_softmax(x, axis=dim)),
    "reshape": lambda x, *, shape: jnp.reshape(x, shape),
    "permute": lambda x, *, dims: jnp.transpose(x, dims),
    "transpose": _lifted(lambda x, *, dim0, dim1: jnp.swapaxes(x, dim0, dim1)),
    "expand": _expand,
    "unsqueeze": lambda x, *, dim: jnp.expand_dims(x, dim),
    "squeeze": _squeeze,
    "flip": _lifted(lambda x, *, dims: jnp.flip(x, axis=dims)),
    "cat": lambda *xs, dim=0: jnp.concatenate(xs, axis=dim),
    "stack": lambda *xs, dim=0: jnp.stack(xs, axis=dim),
    "tril": lambda x, *, diagonal=0: jnp.tril(x, diagonal),
    "triu": lambda x, *, diagonal=0: jnp.triu(x, diagonal),
    "clone": jnp.copy,
    "getitem": lambda x, *, index: x[basic_index(index)],
    "index_select": _lifted(_index_select),
    "gather": _gather,
    "matmul": jnp.matmul,
    "dot": jnp.dot,
    "outer": jnp.outer,
    "detach": jax.lax.stop_gradient,
    "bmm": jnp.matmul,
    "einsum": _einsum,
    "tensordot": lambda a, b, *, dims=2: jnp.tensordot(a, b, axes=dims),
    "inner": jnp.inner,
    "vecdot": lambda x, y, *, dim=-1: jnp.vecdot(x, y, axis=dim),
    "kron": jnp.kron,
    "addmm": _added(jnp.matmul),
    "addmv": _added(jnp.matmul),
    "addr": _added(jnp.outer),
    "baddbmm": _added(jnp.matmul),
    "addbmm": _added(lambda a, b: jnp.einsum("bij,bjk->ik", a, b)),
    "cross": lambda a, b, *, dim=-1: jnp.cross(a, b, axis=dim),
    "cdist": _cdist,
    "bilinear": _bilinear,
    **jax_layers.OPS,
    **_LINALG,
    **{name: spoken(name, line, np.asarray, jax=jax, jnp=jnp) for name, line in JAX.items()},
}

CONVENTIONS: dict[str, str] = {
    "abs": "at [-1, 0, -0, 1]: [-1, 1, 1, 1]",
    "relu": "at [-1, 0, -0, 1]: [0, 0, 0, 1]",
    "sign": "at [-1, 0, 1]: [0, 0, 0]",
    "clamp": "at [-1, 0, 0.5, 1, 2]: [0, 0.5, 1, 0.5, 0]",
    "maximum": "at [1, 2, 3]; [1, 3, 2]: [0.5, 0, 1]; [0.5, 1, 0]",
    "minimum": "at [1, 2, 3]; [1, 3, 2]: [0.5, 1, 0]; [0.5, 0, 1]",
    "amax": "at [1, 3, 3, 2]: [0, 0.5, 0.5, 0]",
    "amin": "at [1, 1, 1]: [0.333333, 0.333333, 0.333333]",
    "max": "at [1, 3, 3, 2]: [0, 0.5, 0.5, 0]",
    "min": "at [1, 1, 1]: [0.333333, 0.333333, 0.333333]",
    "cummax": "at [1, 1, 2, 2]: [1.5, 0.5, 1.5, 0.5]",
    "cummin": "at [2, 1, 1]: [1, 1.5, 0.5]",
    "sort": "at [2, 1, 1]: [1, 1, 1]",
    "std": "at [1, 1]: [nan, nan]",
    "vector_norm": "at [0, 0]: [nan, nan]",
    "vector_norm ord=1": "at [0, 1]: [1, 1]",
    "sqrt": "at [0, 1, -1]: [inf, 0.5, nan]",
    "rsqrt": "at [0, 1]: [-inf, -0.5]",
    "log": "at [0, 1, -1]: [inf, 1, -1]",
    "reciprocal": "at [0]: [-inf]",
    "atan2": "at [0]; [0]: [nan]; [nan]",
    "pow": "at [0, 0, 0, 2, -2]; [0, 1, 2, 0, 2]: [nan, 1, 0, 0, -4]; [0, 0, 0, 0.693147, nan]",
    "pow exponent 0.0": "at [0, 2]: [nan, 0]",
    "pow exponent 0.5": "at [0, 4, -1]: [inf, 0.25, nan]",
    "pow exponent 2": "at [0, -1]: [0, -2]",
    "pow base 0.0": "at [0, 1, -1]: [0, 0, nan]",
    "where": "at [0, 1]: [nan, 0.5]",
    "prod": "at [0, 2, 3]: [6, 0, 0]",
    "prod two zeros": "at [0, 0, 3]: [0, 0, 0]",
    "leaky_relu": "at [-1, 0, -0, 1]: [0.1, 1, 1, 1]",
    "elu": "at [-1, 0, 1]: [0.735759, 2, 1]",
    "selu": "at [0]: [1.7581]",
    "celu": "at [0]: [1]",
    "hardtanh": "at [-1, 0, 1]: [1, 1, 1]",
    "hardtanh with limits": "at [-0.5, 0, 2]: [1, 1, 1]",
    "relu6": "at [0, 1, 6]: [0, 1, 0]",
    "hardsigmoid": "at [-3, 3]: [0, 0]",
    "hardswish": "at [-3, 3]: [0, 1]",
    "softshrink": "at [-0.5, 0, 0.5, 1]: [0, 0, 0, 1]",
    "hardshrink": "at [-0.5, 0, 0.5, 1]: [0, 0, 0, 1]",
    "softplus": "at [20]: [1]",
    "threshold": "at [0, 0.5, 1]: [0, 0, 1]",
    "softsign": "at [-1, 0, 1]: [0.25, 1, 0.25]",
    "asin": "at [-1, 1]: [inf, inf]",
    "acos": "at [-1, 1]: [-inf, -inf]",
    "acosh": "at [1]: [inf]",
    "atanh": "at [-1, 1]: [inf, inf]",
    "erfinv": "at [-1, 1]: [inf, inf]",
    "log2": "at [0, 1]: [inf, 1.4427]",
    "hypot": "at [0]; [0]: [0.5]; [0.5]",
    "floor": "at [0.5, 1]: [0, 0]",
    "ceil": "at [0.5, 1]: [0, 0]",
    "trunc": "at [0.5, 1]: [0, 0]",
    "round": "at [0.5, 1.5]: [0, 0]",
    "frac": "at [0.5, 1]: [1, 1]",
    "fmod": "at [3, -3, 4]; [2, 2, 2]: [1, 1, 1]; [-1, 1, -2]",
    "remainder": "at [3, -3, 4]; [2, 2, 2]: [1, 1, 1]; [-1, 2, -2]",
    "copysign": "at [0, -0, -2]; [1, 1, 1]: [1, 1, -1]; [0, 0, 0]",
    "fmax": "at [1, 1]; [1, 2]: [0, 0]; [1, 1]",
    "fmin": "at [1, 2]; [1, 1]: [0, 0]; [1, 1]",
    "xlogy": "at [0, 0]; [0, 1]: [-inf, 0]; [nan, 0]",
    "xlog1py": "at [0, 0]; [-1, 1]: [-inf, 0.693147]; [nan, 0]",
    "entr": "at [0, 1]: [inf, -1]",
    "logit": "at [0, 1]: [inf, inf]",
    "logit with eps": "at [0, 0.125, 0.875, 1]: [0, 4.57143, 4.57143, 0]",
    "sinc": "at [0]: [0]",
    "i0e": "at [0]: [0]",
    "i1": "at [0]: [0.5]",
    "i1e": "at [0]: [0.5]",
    "lgamma": "at [0]: [nan]",
    "digamma": "at [0]: [inf]",
    "log_ndtr": "at [0]: [0.797885]",
}

Flags = tuple[bool, ...]


def devices() -> tuple[str, ...]:
    """The devices that JAX uses here: the CPU alone, since this module selects it."""
    return tuple(f"{d.platform}:{d.id}" for d in jax.devices())


def persist_compilations(folder: str | Path) -> None:
    """Keep compiled programs in `folder` and reuse them in later runs; holds for the process."""
    _set("jax_compilation_cache_dir", str(folder))
    _set("jax_persistent_cache_min_compile_time_secs", 0.0)
    _set("jax_persistent_cache_min_entry_size_bytes", -1)


def _pull_back(program: Program, wanted: Flags, rooted: Flags) -> Callable[[Any, Any], tuple[Any, Any]]:
    """The function (inputs, cotangents of the rooted outputs) -> (outputs, grads of the wanted inputs)."""
    evaluate = straighten(program, OPS)
    diff = [i for i, w in enumerate(wanted) if w]
    roots = [i for i, r in enumerate(rooted) if r]

    def pull_back(inputs: Sequence[Any], cotangents: Sequence[Any]) -> tuple[Any, Any]:
        if not (diff and roots):
            return evaluate(inputs), [None] * len(diff)

        def forward(*primals: Any) -> tuple[list[Any], list[Any]]:
            filled = list(inputs)
            for i, x in zip(diff, primals, strict=True):
                filled[i] = x
            outputs = evaluate(filled)
            return [outputs[i] for i in roots], outputs

        # Outputs go out as aux too: one that is bool, or takes no part, has no place among the differentiated ones.
        _, vjp, outputs = jax.vjp(forward, *[inputs[i] for i in diff], has_aux=True)
        return outputs, list(vjp(list(cotangents)))

    return pull_back


@functools.lru_cache(maxsize=512)
def _eager(program: Program, wanted: Flags, rooted: Flags, dtype: str) -> Callable[[Any, Any], tuple[Any, Any]]:
    return _pull_back(program, wanted, rooted)


@functools.lru_cache(maxsize=512)
def _compiled(
    program: Program, wanted: Flags, rooted: Flags, dtype: str, rewrites: bool = True, quick: bool = False
) -> Callable[[Any, Any], tuple[Any, Any]]:
    # dtype is part of the key so that dropping an entry drops the executables of that dtype alone.
    compiled: Callable[[Any, Any], tuple[Any, Any]] = _jit(_pull_back(program, wanted, rooted), rewrites, quick)
    return compiled


def _jit(function: Any, rewrites: bool, quick: bool) -> Any:
    options: dict[str, Any] = {} if rewrites else {"xla_disable_hlo_passes": "algsimp"}
    return jit(function, options | (QUICK if quick else {}))


@functools.lru_cache(maxsize=512)
def _value(program: Program, dtype: str, jit: bool, rewrites: bool, quick: bool) -> Callable[[Any], list[Any]]:
    evaluate: Callable[[Any], list[Any]] = straighten(program, OPS)
    return _jit(evaluate, rewrites, quick) if jit else evaluate


def _given(x: Array, dtype: str) -> Any:
    """A contiguous private copy; of an array that carries halves as what JAX calls them."""
    halves = x.dtype.kind == "f" and dtype in HALF
    return np.array(x, jnp.dtype(dtype), order="C") if halves else np.array(x, order="C")


def _copied(y: Any) -> Array:
    """A copy as a NumPy array; a half in the array that carries it."""
    made: Array = np.array(y)
    return made.astype(np.float32) if y.dtype in (jnp.float16, jnp.bfloat16) else made


@dataclass(frozen=True)
class JaxBackend:
    """JAX on the CPU with 64-bit numbers; whole programs are compiled if `jit`. Its exceptions become failures.

    XLA rewrites what it compiles by algebra: exp(a) * exp(b) becomes exp(a + b), exp(a) ** b becomes exp(a * b),
    log(exp(a)) becomes a. Most of it gains accuracy, but the first two lose |a + b| and |a b| units in the last place,
    so that the declared errors of single kernels do not bound the whole; with `rewrites` off they do.

    Attributes:
        quick: machine code is made in a fifth of the time and not optimised, by other options than JAX's own.
    """

    name: str
    jit: bool
    rewrites: bool = True
    quick: bool = False

    def quickly(self) -> JaxBackend:
        """The same backend, compiling quickly if it compiles programs at all."""
        return replace(self, quick=self.jit)

    @property
    def rendering(self) -> str:
        """What is unusual about how it runs, for the rows."""
        return "quick" if self.quick else ""

    @property
    def version(self) -> str:
        """Version of JAX."""
        return str(jax.__version__)

    @property
    def conventions(self) -> Mapping[str, str]:
        """Measured derivatives at kinks and singular points."""
        return conventions_of(self.quickly(), "jax", CONVENTIONS)

    def supports(self, program: Program) -> str | None:
        """None if every op is known, else the reason."""
        return missing_ops(program, OPS)

    def prepare(self, case: Case) -> Thunk:
        """Copy the case to JAX; the thunk compiles at the first call if it must, and waits for its results."""
        rooted = tuple(ct is not None for ct in case.cotangents)
        key = (case.program, case.requires_grad, rooted, case.dtype)
        pull_back = _compiled(*key, self.rewrites, self.quick) if self.jit else _eager(*key)
        # A contiguous private copy: JAX may alias the memory of the array that it is given. It converts a NumPy array at
        # the call faster than `jnp.array` does beforehand.
        inputs = [_given(x, case.dtype) for x in case.primals]
        cotangents = [_given(ct, case.dtype) for ct in case.cotangents if ct is not None]

        def thunk() -> Outcome:
            try:
                values, grads = pull_back(inputs, cotangents)
                return Outcome(
                    tuple([_copied(y) for y in values]), tuple([None if g is None else _copied(g) for g in grads])
                )
            except Exception as error:  # whatever the framework raises is its outcome
                return failed(error)

        return thunk

    def value_thunk(self, case: Case) -> Thunk:
        """Forward only."""
        evaluate = _value(case.program, case.dtype, self.jit, self.rewrites, self.quick)
        inputs = [jnp.array(_given(x, case.dtype)) for x in case.primals]

        def thunk() -> Outcome:
            try:
                return Outcome(tuple([_copied(y) for y in evaluate(inputs)]))
            except Exception as error:  # whatever the framework raises is its outcome
                return failed(error)

        return thunk


def eager() -> JaxBackend:
    """JAX op by op, named "jax"."""
    return JaxBackend("jax", jit=False)


def jitted() -> JaxBackend:
    """JAX with whole programs compiled, named "jax-jit"."""
    return JaxBackend("jax-jit", jit=True)


def unrewritten() -> JaxBackend:
    """As `jitted` without XLA's algebraic rewriting: where this one agrees and "jax-jit" does not, rewriting did it."""
    return JaxBackend("jax-jit-unrewritten", jit=True, rewrites=False)
