"""Twins in the package autograd: primitives with a planted `defvjp`, and that package's own checker of gradients.

Its `check_grads` is asked for reverse mode of both orders, as by default; a primitive without a `defjvp` has no forward mode.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd import make_vjp
from autograd.extend import defvjp_argnum, primitive
from autograd.scipy import special
from autograd.test_util import check_grads
from autograd.tracer import getval

from harness.cases import same_layout
from harness.defects.twins import Kept, Twin

__all__ = ["ARRAYS", "CHECKERS", "OPS", "arguments", "build", "can_build", "plain"]


def _normalised(x: Any, *, dim: int) -> Any:
    e = anp.exp(x - anp.max(x, axis=dim, keepdims=True))
    return e / anp.sum(e, axis=dim, keepdims=True)


_UNARY = "exp expm1 log log1p log2 sqrt reciprocal square sin cos tan sinh cosh tanh"
OPS: dict[str, Callable[..., Any]] = {
    **{name: getattr(anp, name) for name in _UNARY.split()},
    "neg": anp.negative,
    "abs": anp.abs,
    "atan": anp.arctan,
    "asinh": anp.arcsinh,
    "rsqrt": lambda x: 1.0 / anp.sqrt(x),
    "relu": lambda x: anp.maximum(x, 0.0),
    "clone": lambda x: 1.0 * x,
    "sigmoid": lambda x: 0.5 * (anp.tanh(0.5 * x) + 1.0),
    "softplus": lambda x: anp.logaddexp(x, 0.0),
    "silu": lambda x: x * 0.5 * (anp.tanh(0.5 * x) + 1.0),
    "softsign": lambda x: x / (1.0 + anp.abs(x)),
    "logsigmoid": lambda x: -anp.logaddexp(-x, 0.0),
    "erf": special.erf,
    "gelu": lambda x: 0.5 * x * (1.0 + special.erf(x / math.sqrt(2.0))),
    "lgamma": special.gammaln,
    "add": anp.add,
    "sub": anp.subtract,
    "mul": anp.multiply,
    "div": anp.divide,
    "pow": anp.power,
    "logaddexp": anp.logaddexp,
    "atan2": anp.arctan2,
    "hypot": lambda x, y: anp.sqrt(x * x + y * y),
    "maximum": anp.maximum,
    "minimum": anp.minimum,
    "fmax": anp.fmax,
    "sum": lambda x, *, dim, keepdim=False: anp.sum(x, axis=dim, keepdims=keepdim),
    "mean": lambda x, *, dim, keepdim=False: anp.mean(x, axis=dim, keepdims=keepdim),
    "amax": lambda x, *, dim, keepdim=False: anp.max(x, axis=dim, keepdims=keepdim),
    "amin": lambda x, *, dim, keepdim=False: anp.min(x, axis=dim, keepdims=keepdim),
    "prod": lambda x, *, dim, keepdim=False: anp.prod(x, axis=dim, keepdims=keepdim),
    "var": lambda x, *, dim, keepdim=False: anp.var(x, axis=dim, keepdims=keepdim, ddof=1),
    "vector_norm": lambda x, *, dim, keepdim=False: anp.sqrt(anp.sum(x * x, axis=dim, keepdims=keepdim)),
    "logsumexp": lambda x, *, dim: special.logsumexp(x, axis=dim),
    "softmax": _normalised,
    "log_softmax": lambda x, *, dim: x - special.logsumexp(x, axis=dim, keepdims=True),
    "cumsum": lambda x, *, dim: anp.cumsum(x, axis=dim),
    "matmul": anp.matmul,
    "bmm": anp.matmul,
    "outer": anp.outer,
    "dot": anp.dot,
    "linear": lambda x, w, b: anp.matmul(x, anp.transpose(w)) + b,
    "addmm": lambda x, a, b: x + anp.matmul(a, b),
    "cat": lambda *xs, dim: anp.concatenate(xs, axis=dim),
    "stack": lambda *xs, dim: anp.stack(xs, axis=dim),
    "transpose": lambda x, *, dim0, dim1: anp.swapaxes(x, dim0, dim1),
    "permute": lambda x, *, dims: anp.transpose(x, dims),
    "flip": lambda x, *, dims: x[:, ::-1] if dims == (1,) else x[::-1],
    "reshape": lambda x, *, shape: anp.reshape(x, shape),
    "index_select": lambda x, *, dim, index: x[np.array(index)],
    "tril": anp.tril,
    "mse_loss": lambda x, y: anp.mean((x - y) ** 2),
    "lerp": lambda x, end, weight: x + weight * (end - x),
}


class _AutogradArrays:
    """NumPy's arrays, boxed where they are differentiated; see `harness.defects.twins.Arrays`."""

    in_place = True

    def op(self, name: str, xs: Sequence[Any], params: dict[str, Any]) -> Any:
        return OPS[name](*xs, **params)

    def pull(self, function: Callable[..., Any], xs: Sequence[Any], ct: Any) -> list[Any]:
        return list(make_vjp(lambda given: function(*given), 0)(tuple(xs))[0](ct))

    def detach(self, x: Any) -> Any:
        while getval(x) is not x:
            x = getval(x)
        return x

    def take(self, x: Any, index: Any) -> Any:
        return anp.reshape(x, (-1,))[index]

    def spread(self, x: Any, shape: Sequence[int]) -> Any:
        return x + np.zeros(tuple(shape))

    def cast(self, x: Any, dtype: str) -> Any:
        return x.astype(dtype)

    def dtype(self, x: Any) -> str:
        return str(x.dtype)

    def layout(self, x: Any) -> str:
        x = self.detach(x)
        if x.flags.c_contiguous:
            return "dense"
        return "expanded" if any(s == 0 and n > 1 for n, s in zip(x.shape, x.strides, strict=True)) else "other"

    def write(self, x: Any, values: Any) -> None:
        x = self.detach(x)
        if x.ndim:
            x[...] = self.detach(values)


ARRAYS = _AutogradArrays()


def can_build(twin: Twin) -> str:
    """Why the twin cannot be written in autograd; "" if it can."""
    return "" if twin.site.op in OPS else f"autograd has no {twin.site.op}"


def build(twin: Twin) -> Callable[..., Any]:
    """The function with the twin's backward."""
    former: list[Any] = []
    writes = twin.planted and twin.defect.kind == "writes argument"
    copies: dict[int, Any] = {}

    @primitive  # type: ignore[untyped-decorator]
    def planted(*xs: Any) -> Any:
        if twin.defect.kind == "stale call":
            former[:] = [ARRAYS.detach(x).copy() for x in xs]
        y = twin.forward(ARRAYS, *xs)
        if writes:
            y = np.array(y)
            copies[0] = [np.array(x) for x in xs]
            ARRAYS.write(xs[0], xs[0] + 1.0)
        return y

    def vjp(argnum: int, ans: Any, args: Any, kwargs: Any) -> Any:
        memory: dict[str, Any] = {}
        kept = copies.get(0, args)
        return lambda ct: twin.backward(ARRAYS, Kept(kept, memory, former), ct)[argnum]

    defvjp_argnum(planted, vjp)
    made: Callable[..., Any] = planted
    return made


def plain(twin: Twin) -> Callable[..., Any]:
    """The forward without a backward of its own: what is meant."""
    return lambda *xs: twin.forward(ARRAYS, *xs)


def arguments(arrays: Sequence[Any]) -> tuple[Any, ...]:
    """The arrays themselves, copied in their layout in memory."""
    return tuple(same_layout(x) for x in arrays)


def _check_grads(function: Callable[..., Any], xs: Sequence[Any]) -> str:
    state = np.random.get_state()  # noqa: NPY002 (it draws from NumPy's global generator)
    np.random.seed(0)  # noqa: NPY002
    try:
        check_grads(function, tuple(range(len(xs))), modes=["rev"])(*xs)  # all arguments, as the others do
    except Exception as error:  # what it raises is its answer
        return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    finally:
        np.random.set_state(state)  # noqa: NPY002
    return ""


CHECKERS: Mapping[str, Callable[[Callable[..., Any], Sequence[Any]], str]] = {"check_grads": _check_grads}
"""Name -> a function that returns what the checker complains of; "" if it is content."""
