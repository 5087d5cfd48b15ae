"""What the tests of the oracles compare with: every primitive at exact points, by mpmath at 600 bits.

NumPy moves and folds arrays of exact `mpf` points, on which its comparisons and `np.where` are right; nothing here uses
an enclosure or a gradient rule. `TRIES` are the ways to call every primitive, `ball_arguments` draws balls and points
inside them, `escapes` says where an enclosure fails to contain the truth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import mpmath
import numpy as np
from flint import arb
from hypothesis import strategies as st

from harness.oracles.balls import BallArray, filled, precision

__all__ = [
    "COMPARISONS",
    "JUMPS",
    "TRIES",
    "TRUTH",
    "TRUTH_BITS",
    "VOCABULARY",
    "Try",
    "as_balls",
    "ball_arguments",
    "each",
    "escapes",
    "truth",
]

TRUTH_BITS = 600
inf = float("inf")

VOCABULARY = frozenset(
    word
    for line in (
        "neg abs sign exp expm1 log log1p sqrt rsqrt reciprocal square sin cos tan sinh cosh tanh atan sigmoid relu",
        "add sub mul div pow maximum minimum logaddexp atan2 gt ge lt le eq ne where clamp",
        "sum mean amax amin prod logsumexp vector_norm var cumsum softmax log_softmax",
        "reshape permute transpose expand unsqueeze squeeze flip cat stack tril triu clone detach",
        "getitem index_select gather matmul dot outer getitem_adjoint gather_adjoint index_select_adjoint to",
        "argmax argmin argsort cummax_positions cummin_positions median_position nth_position isnan max min median",
        "std cumprod diagonal unfold add_at",
        "leaky_relu elu selu celu gelu silu mish softplus logsigmoid softshrink hardshrink hardtanh relu6 hardsigmoid",
        "hardswish scaled erf ndtr erfc erfcx erfinv log_ndtr lgamma digamma polygamma i0 i1 i0e i1e entr logit sinc",
        "xlogy xlog1py asin acos asinh acosh atanh log2 log10 exp2 hypot logaddexp2 floor ceil trunc round fmod remainder",
        "copysign fmax fmin",
        "convolution convolution_input convolution_weight first_largest",
        "matrix_solve matrix_inverse determinant log_abs_determinant cholesky_factor triangular_solve",
    )
    for word in line.split()
)
COMPARISONS = frozenset(["gt", "ge", "lt", "le", "eq", "ne"])
JUMPS = COMPARISONS | {"sign", "floor", "ceil", "trunc", "round", "fmod", "remainder", "copysign"}


# -- the truth: NumPy on arrays of mpf


def exact(values: Any) -> Any:
    """Floats as an object array of mpf; always an array."""
    array = np.asarray(values)
    return boxed([mpmath.mpf(v) for v in array.ravel().tolist()], array.shape)


def boxed(items: Iterable[Any], shape: tuple[int, ...]) -> Any:
    return np.fromiter(items, dtype=object).reshape(shape)


def each(function: Callable[..., Any]) -> Callable[..., Any]:
    def apply(*arrays: Any) -> Any:
        wide = np.broadcast_arrays(*[a if isinstance(a, np.ndarray) else exact(a) for a in arrays])
        rows = zip(*[w.ravel().tolist() for w in wide], strict=True)
        return boxed([function(*row) for row in rows], wide[0].shape)

    return apply


def axes(x: Any, dim: Any) -> Any:
    return tuple(range(x.ndim)) if dim is None else dim


def folded(function: Callable[[list[Any]], Any]) -> Callable[..., Any]:
    """A reduction from a function of the list of points that reduce to one."""

    def apply(x: Any, *, dim: Any = None, keepdim: bool = False) -> Any:
        gone = {d % max(x.ndim, 1) for d in ([dim] if isinstance(dim, int) else axes(x, dim))} if x.ndim else set()
        out: dict[tuple[int, ...], list[Any]] = {}
        for index in np.ndindex(x.shape):
            kept = tuple(i for d, i in enumerate(index) if d not in gone)
            out.setdefault(kept, []).append(x[index])
        shape = tuple(1 if d in gone else n for d, n in enumerate(x.shape) if keepdim or d not in gone)
        return boxed([function(out[k]) for k in sorted(out)], shape)

    return apply


def last_best(row: Any) -> Any:
    """For each place of a vector where its largest element so far stands, the last of equals."""
    return np.array([max(range(i + 1), key=lambda j: (row[j], j)) for i in range(len(row))])


def windows(x: Any, dim: int, size: int, step: int) -> Any:
    parts = [np.take(x, range(i, i + size), dim) for i in range(0, x.shape[dim] - size + 1, step)]
    return np.moveaxis(np.stack(parts), [0, dim + 1], [dim, -1])


def product(items: list[Any]) -> Any:
    result = mpmath.mpf(1)
    for item in items:
        result *= item
    return result


def norm(items: list[Any], order: float) -> Any:
    sizes = [abs(v) for v in items]
    if order == 0:
        return mpmath.mpf(sum(v != 0 for v in sizes))
    if order in (inf, -inf):
        return max(sizes) if order > 0 else min(sizes)
    return sum(v ** mpmath.mpf(order) for v in sizes) ** (1 / mpmath.mpf(order))


def variance(items: list[Any], correction: float) -> Any:
    mean = sum(items) / len(items)
    return sum((v - mean) ** 2 for v in items) / (len(items) - mpmath.mpf(correction))


def softmax(x: Any, dim: int) -> Any:
    e = each(mpmath.exp)(x)
    return e / np.sum(e, axis=dim, keepdims=True)


def power(a: Any, b: Any) -> Any:
    if b == 0:
        return mpmath.mpf(1)
    return a**b


def placed(ct: Any, shape: tuple[int, ...], targets: Any) -> Any:
    out = exact(np.zeros(shape))
    flat = out.reshape(-1)
    for place, value in zip(np.ravel(targets).tolist(), ct.ravel().tolist(), strict=True):
        flat[place] = flat[place] + value
    return out


def places(shape: tuple[int, ...]) -> Any:
    return np.arange(int(np.prod(shape))).reshape(shape)


def numpy_index(index: tuple[Any, ...]) -> Any:
    return tuple(slice(*i[1:]) if isinstance(i, tuple) else Ellipsis if i == "..." else i for i in index)


TRUTH: dict[str, Callable[..., Any]] = {
    "neg": each(lambda v: -v),
    "abs": each(abs),
    "sign": each(lambda v: mpmath.mpf((v > 0) - (v < 0))),
    "exp": each(mpmath.exp),
    "expm1": each(mpmath.expm1),
    "log": each(mpmath.log),
    "log1p": each(lambda v: mpmath.log(1 + v)),
    "sqrt": each(mpmath.sqrt),
    "rsqrt": each(lambda v: 1 / mpmath.sqrt(v)),
    "reciprocal": each(lambda v: 1 / v),
    "square": each(lambda v: v * v),
    "sin": each(mpmath.sin),
    "cos": each(mpmath.cos),
    "tan": each(mpmath.tan),
    "sinh": each(mpmath.sinh),
    "cosh": each(mpmath.cosh),
    "tanh": each(mpmath.tanh),
    "atan": each(mpmath.atan),
    "sigmoid": each(lambda v: 1 / (1 + mpmath.exp(-v))),
    "relu": each(lambda v: max(v, mpmath.mpf(0))),
    "add": each(lambda a, b: a + b),
    "sub": each(lambda a, b: a - b),
    "mul": each(lambda a, b: a * b),
    "div": each(lambda a, b: a / b),
    "pow": each(power),
    "maximum": each(max),
    "minimum": each(min),
    "logaddexp": each(lambda a, b: mpmath.log(mpmath.exp(a) + mpmath.exp(b))),
    "atan2": each(mpmath.atan2),
    "gt": each(lambda a, b: mpmath.mpf(a > b)),
    "ge": each(lambda a, b: mpmath.mpf(a >= b)),
    "lt": each(lambda a, b: mpmath.mpf(a < b)),
    "le": each(lambda a, b: mpmath.mpf(a <= b)),
    "eq": each(lambda a, b: mpmath.mpf(a == b)),
    "ne": each(lambda a, b: mpmath.mpf(a != b)),
    "where": lambda c, a, b: np.where(c, a, b),
    "clamp": lambda x, *, min=None, max=None: each(lambda v: _clamped(v, min, max))(x),
    "sum": folded(sum),
    "mean": folded(lambda items: sum(items) / len(items)),
    "amax": folded(max),
    "amin": folded(min),
    "prod": folded(product),
    "logsumexp": folded(lambda items: mpmath.log(sum(mpmath.exp(v) for v in items))),
    "vector_norm": lambda x, *, ord=2.0, **kw: folded(lambda items: norm(items, ord))(x, **kw),
    "var": lambda x, *, correction=1, **kw: folded(lambda items: variance(items, correction))(x, **kw),
    "cumsum": lambda x, *, dim: np.cumsum(x, axis=dim) if x.ndim else x,
    "softmax": lambda x, *, dim: softmax(x, dim),
    "log_softmax": lambda x, *, dim: each(mpmath.log)(softmax(x, dim)),
    "reshape": lambda x, *, shape: x.reshape(shape),
    "permute": lambda x, *, dims: np.transpose(x, dims),
    "transpose": lambda x, *, dim0, dim1: np.swapaxes(x, dim0, dim1),
    "expand": lambda x, *, shape: np.broadcast_to(
        x, tuple(x.shape[i - len(shape) + x.ndim] if n == -1 else n for i, n in enumerate(shape))
    ),
    "unsqueeze": lambda x, *, dim: np.expand_dims(x, dim),
    "squeeze": lambda x, *, dim: np.squeeze(x, dim) if x.shape[dim] == 1 else x,
    "flip": lambda x, *, dims: np.flip(x, dims),
    "cat": lambda *xs, dim: np.concatenate(xs, axis=dim),
    "stack": lambda *xs, dim: np.stack(xs, axis=dim),
    "tril": lambda x, *, diagonal=0: x * np.tril(np.ones(x.shape[-2:], int), diagonal),
    "triu": lambda x, *, diagonal=0: x * np.triu(np.ones(x.shape[-2:], int), diagonal),
    "clone": lambda x: x,
    "detach": lambda x: x,
    "to": lambda x, *, dtype: x,
    "getitem": lambda x, *, index: np.asarray(x[numpy_index(index)], dtype=object),
    "index_select": lambda x, *, dim, index: np.take(x, index, axis=dim),
    "gather": lambda x, *, dim, index: np.take_along_axis(
        x[tuple(slice(None) if d == dim % x.ndim else slice(n) for d, n in enumerate(np.shape(index)))],
        np.array(index),
        axis=dim,
    ),
    "argmax": lambda x, **kw: exact(np.argmax(x, kw["dim"], keepdims=kw.get("keepdim", False))),
    "argmin": lambda x, **kw: exact(np.argmin(x, kw["dim"], keepdims=kw.get("keepdim", False))),
    "argsort": lambda x, *, dim, descending=False, stable=True, first=None: exact(
        np.take(np.argsort(-x if descending else x, dim, "stable"), np.arange(x.shape[dim])[:first], dim)
    ),
    "cummax_positions": lambda x, *, dim: exact(np.apply_along_axis(last_best, dim, x)),
    "cummin_positions": lambda x, *, dim: exact(np.apply_along_axis(last_best, dim, -x)),
    "median_position": lambda x, *, dim: exact(np.take(np.argsort(x, dim), [(x.shape[dim] - 1) // 2], dim)),
    "nth_position": lambda x, *, dim, n: exact(np.take(np.argsort(x, dim), [n], dim)),
    "isnan": lambda x: exact(np.zeros(x.shape)),
    "max": folded(max),
    "min": folded(min),
    "median": folded(lambda items: sorted(items)[(len(items) - 1) // 2]),
    "std": lambda x, *, correction=1, **kw: folded(lambda items: mpmath.sqrt(variance(items, correction)))(x, **kw),
    "cumprod": lambda x, *, dim: np.cumprod(x, axis=dim) if x.ndim else x,
    "diagonal": lambda x, *, offset, dim1, dim2: np.diagonal(x, offset, dim1, dim2),
    "unfold": lambda x, *, dim, size, step: np.moveaxis(
        np.stack([np.take(x, range(i, i + size), dim) for i in range(0, x.shape[dim] - size + 1, step)]),
        [0, dim + 1],
        [dim, -1],
    ),
    "add_at": lambda x, value, *, index: (
        x + placed(np.broadcast_to(value, x[index].shape), x.shape, places(x.shape)[index])
    ),
    "matmul": lambda a, b: np.asarray(np.matmul(a, b), dtype=object),
    "dot": lambda a, b: np.asarray(np.dot(a, b), dtype=object),
    "outer": np.multiply.outer,
    "getitem_adjoint": lambda ct, *, shape, index: placed(ct, shape, places(shape)[numpy_index(index)]),
    "index_select_adjoint": lambda ct, *, shape, dim, index: placed(ct, shape, np.take(places(shape), index, axis=dim)),
    "gather_adjoint": lambda ct, *, shape, dim, index: placed(
        ct, shape, TRUTH["gather"](places(shape), dim=dim, index=index)
    ),
}


def _normal(v: Any) -> Any:
    return mpmath.erfc(-v / mpmath.sqrt(2)) / 2


def _tanh_gelu(v: Any) -> Any:
    inner = mpmath.sqrt(2 / mpmath.pi) * (v + mpmath.mpf(0.044715) * v**3)
    return v * (1 + mpmath.tanh(inner)) / 2


def _softplus(v: Any, beta: Any, threshold: Any) -> Any:
    return v if v * beta > threshold else mpmath.log(1 + mpmath.exp(v * beta)) / beta


SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772
SCALES = {
    "2/sqrt(pi)": lambda: 2 / mpmath.sqrt(mpmath.pi),
    "1/sqrt(2 pi)": lambda: 1 / mpmath.sqrt(2 * mpmath.pi),
    "sqrt(2/pi)": lambda: mpmath.sqrt(2 / mpmath.pi),
    "0.044715": lambda: mpmath.mpf(0.044715),
    "1/6": lambda: mpmath.mpf(1) / 6,
    "selu scale": lambda: mpmath.mpf(SELU_SCALE),
    "selu alpha scale": lambda: mpmath.mpf(SELU_SCALE) * mpmath.mpf(SELU_ALPHA),
}


def _with(function: Callable[..., Any], **defaults: Any) -> Callable[..., Any]:
    """An elementwise function with parameters, which reach it as exact numbers."""

    def apply(x: Any, **params: Any) -> Any:
        given = {k: v if isinstance(v, str) else mpmath.mpf(v) for k, v in {**defaults, **params}.items()}
        return each(lambda v: function(v, **given))(x)

    return apply


TRUTH |= {
    "leaky_relu": _with(lambda v, negative_slope: v if v > 0 else v * negative_slope, negative_slope=0.01),
    "elu": _with(lambda v, alpha: v if v > 0 else alpha * mpmath.expm1(v), alpha=1.0),
    "selu": _with(
        lambda v: (v if v > 0 else mpmath.mpf(SELU_ALPHA) * mpmath.expm1(v)) * mpmath.mpf(SELU_SCALE),
    ),
    "celu": _with(lambda v, alpha: v if v > 0 else alpha * mpmath.expm1(v / alpha), alpha=1.0),
    "gelu": _with(
        lambda v, approximate: v * _normal(v) if approximate == "none" else _tanh_gelu(v), approximate="none"
    ),
    "silu": each(lambda v: v / (1 + mpmath.exp(-v))),
    "mish": each(lambda v: v * mpmath.tanh(mpmath.log(1 + mpmath.exp(v)))),
    "softplus": _with(_softplus, beta=1.0, threshold=20.0),
    "logsigmoid": each(lambda v: -mpmath.log(1 + mpmath.exp(-v))),
    "softshrink": _with(lambda v, lambd: v - lambd if v > lambd else v + lambd if v < -lambd else v * 0, lambd=0.5),
    "hardshrink": _with(lambda v, lambd: v if abs(v) > lambd else v * 0, lambd=0.5),
    "hardtanh": _with(lambda v, min_val, max_val: min(max(v, min_val), max_val), min_val=-1.0, max_val=1.0),
    "relu6": each(lambda v: min(max(v, mpmath.mpf(0)), mpmath.mpf(6))),
    "hardsigmoid": each(lambda v: min(max(v + 3, mpmath.mpf(0)), mpmath.mpf(6)) / 6),
    "hardswish": each(lambda v: v * min(max(v + 3, mpmath.mpf(0)), mpmath.mpf(6)) / 6),
    "scaled": lambda x, *, by: each(lambda v: v * SCALES[by]())(x),
    "erf": each(mpmath.erf),
    "ndtr": each(_normal),
    "erfc": each(mpmath.erfc),
    "erfcx": each(lambda v: mpmath.exp(v * v) * mpmath.erfc(v)),
    "erfinv": each(mpmath.erfinv),
    "log_ndtr": each(lambda v: mpmath.log(_normal(v))),
    "lgamma": each(lambda v: mpmath.log(abs(mpmath.gamma(v)))),
    "digamma": each(mpmath.digamma),
    "polygamma": lambda x, *, n: each(lambda v: mpmath.polygamma(n, v))(x),
    "i0": each(lambda v: mpmath.besseli(0, v)),
    "i1": each(lambda v: mpmath.besseli(1, v)),
    "i0e": each(lambda v: mpmath.exp(-abs(v)) * mpmath.besseli(0, v)),
    "i1e": each(lambda v: mpmath.exp(-abs(v)) * mpmath.besseli(1, v)),
    "entr": each(lambda v: -v * mpmath.log(v)),
    "logit": lambda x, *, eps=None: each(lambda v: _logit(v, eps))(x),
    "sinc": each(lambda v: mpmath.sin(mpmath.pi * v) / (mpmath.pi * v) if v else mpmath.mpf(1)),
    "xlogy": each(lambda a, b: a * mpmath.log(b)),
    "xlog1py": each(lambda a, b: a * mpmath.log(1 + b)),
    "asin": each(mpmath.asin),
    "acos": each(mpmath.acos),
    "asinh": each(mpmath.asinh),
    "acosh": each(mpmath.acosh),
    "atanh": each(mpmath.atanh),
    "log2": each(lambda v: mpmath.log(v) / mpmath.log(2)),
    "log10": each(lambda v: mpmath.log(v) / mpmath.log(10)),
    "exp2": each(lambda v: mpmath.exp(v * mpmath.log(2))),
    "hypot": each(lambda a, b: mpmath.sqrt(a * a + b * b)),
    "logaddexp2": each(lambda a, b: mpmath.log(mpmath.mpf(2) ** a + mpmath.mpf(2) ** b) / mpmath.log(2)),
    "floor": each(mpmath.floor),
    "ceil": each(mpmath.ceil),
    "trunc": each(lambda v: mpmath.floor(v) if v >= 0 else mpmath.ceil(v)),
    "round": each(mpmath.nint),
    "fmod": each(lambda a, b: a - b * (mpmath.floor(a / b) if a / b >= 0 else mpmath.ceil(a / b))),
    "remainder": each(lambda a, b: a - b * mpmath.floor(a / b)),
    "copysign": each(lambda a, b: abs(a) if b >= 0 else -abs(a)),
    "fmax": each(max),
    "fmin": each(min),
}


def _logit(v: Any, eps: float | None) -> Any:
    v = v if eps is None else min(max(v, mpmath.mpf(eps)), 1 - mpmath.mpf(eps))
    return mpmath.log(v / (1 - v))


def _pairs_of(x_shape: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, places: Any) -> Any:
    """The places of x, of the kernel and of the output that meet in one product of a convolution."""
    for place in np.ndindex(*places):
        for k in np.ndindex(*kernel):
            at = tuple(p * s + i * d - b[0] for p, s, i, d, b in zip(place, stride, k, dilation, padding, strict=True))
            if all(0 <= i < n for i, n in zip(at, x_shape, strict=True)):
                yield at, k, place


def convolved(which: str, a: Any, b: Any, **p: Any) -> Any:
    """The triple sum of a convolution, term by term; `which` of its three arrays is the result."""
    settings = {key: p[key] for key in ("stride", "padding", "dilation")}
    groups = p["groups"]
    if which == "y":
        x, w = a, b
        space, kernel = x.shape[2:], w.shape[2:]
        rows = zip(space, kernel, *settings.values(), strict=True)
        places = tuple((n + sum(pad) - d * (k - 1) - 1) // s + 1 for n, k, s, pad, d in rows)
        result = exact(np.zeros((x.shape[0], w.shape[0], *places)))
    elif which == "x":
        t, w = a, b
        space, kernel, places = p["space"], w.shape[2:], t.shape[2:]
        result = exact(np.zeros((t.shape[0], groups * w.shape[1], *space)))
    else:
        t, x = a, b
        space, kernel, places = x.shape[2:], p["kernel"], t.shape[2:]
        result = exact(np.zeros((t.shape[1], x.shape[1] // groups, *kernel)))
    shape = {"y": lambda: (a.shape[0], b.shape[0], b.shape[1]), "x": lambda: (a.shape[0], a.shape[1], b.shape[1])}
    n, out, depth = shape.get(which, lambda: (a.shape[0], a.shape[1], b.shape[1] // groups))()
    for at, k, place in _pairs_of(space, kernel, **settings, places=places):
        for i, o, c in np.ndindex(n, out, depth):
            full = (i, o // (out // groups) * depth + c, *at)
            if which == "y":
                result[(i, o, *place)] += a[full] * b[(o, c, *k)]
            elif which == "x":
                result[full] += a[(i, o, *place)] * b[(o, c, *k)]
            else:
                result[(o, c, *k)] += a[(i, o, *place)] * b[full]
    return result


def eliminated(a: Any, b: Any) -> tuple[Any, Any]:
    """The solution of a x = b by Gauss and Jordan on exact points, and the determinant."""
    n = a.shape[0]
    rows, det = np.concatenate([a, b], axis=1), mpmath.mpf(1)
    for i in range(n):
        pivot = max(range(i, n), key=lambda k: abs(rows[k, i]))
        if pivot != i:
            rows[[i, pivot]], det = rows[[pivot, i]], -det
        det *= rows[i, i]
        rows[i] = rows[i] / rows[i, i]
        for k in range(n):
            if k != i:
                rows[k] = rows[k] - rows[k, i] * rows[i]
    return rows[:, n:], det


def stacked(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of matrices on batches of them."""

    def apply(*arrays: Any, **params: Any) -> Any:
        lead = np.broadcast_shapes(*(x.shape[:-2] for x in arrays))
        wide = [np.broadcast_to(x, (*lead, *x.shape[-2:])) for x in arrays]
        results = [np.asarray(function(*(x[at] for x in wide), **params), dtype=object) for at in np.ndindex(lead)]
        return np.stack(results).reshape((*lead, *results[0].shape))

    return apply


def factored(a: Any) -> Any:
    """Cholesky's factor of the lower triangle, column by column."""
    n = a.shape[0]
    rest, low = a.copy(), exact(np.zeros((n, n)))
    for j in range(n):
        low[j:, j] = rest[j:, j] / mpmath.sqrt(rest[j, j])
        for i in range(j + 1, n):
            rest[i:, i] = rest[i:, i] - low[i:, j] * low[i, j]
    return low


def triangle(a: Any, upper: bool) -> Any:
    return np.where((np.triu if upper else np.tril)(np.ones(a.shape, bool)), a, mpmath.mpf(0))


TRUTH |= {
    "matrix_solve": stacked(lambda a, b: eliminated(a, b)[0]),
    "matrix_inverse": stacked(lambda a: eliminated(a, exact(np.eye(a.shape[0])))[0]),
    "determinant": stacked(lambda a: eliminated(a, a)[1]),
    "log_abs_determinant": stacked(lambda a: mpmath.log(abs(eliminated(a, a)[1]))),
    "cholesky_factor": stacked(factored),
    "triangular_solve": stacked(lambda a, b, *, upper: eliminated(triangle(a, upper), b)[0]),
    "convolution": lambda x, w, **p: convolved("y", x, w, **p),
    "convolution_input": lambda t, w, **p: convolved("x", t, w, **p),
    "convolution_weight": lambda t, x, **p: convolved("w", t, x, **p),
    "first_largest": lambda x: folded(max)(x, dim=-1),
}


def _clamped(v: Any, low: Any, high: Any) -> Any:
    v = v if low is None else max(v, mpmath.mpf(low))
    return v if high is None else min(v, mpmath.mpf(high))


# -- what is tried


@dataclass(frozen=True)
class Try:
    """One way to call a primitive: a shape or a literal for each argument, parameters, and where it is defined."""

    name: str
    args: tuple[Any, ...]
    params: dict[str, Any] = field(default_factory=dict)
    domain: str = "real"

    def __str__(self) -> str:
        words = [str(a) for a in self.args] + [f"{k}={v}" for k, v in self.params.items()]
        return f"{self.name}({', '.join(words)})"


def tries() -> list[Try]:
    made: list[Try] = []

    def take(name: str, *args: Any, domain: str = "real", **params: Any) -> None:
        made.append(Try(name, args, params, domain))

    v, m, s, t = (3,), (2, 3), (), (2, 1, 3)
    functions = "neg abs sign exp expm1 square sin cos tan sinh cosh tanh atan sigmoid relu clone detach"
    for name in functions.split():
        take(name, m)
        take(name, s)
    for name in ["log", "sqrt", "rsqrt"]:
        take(name, m, domain="positive")
    take("log1p", m, domain="above -1")
    take("reciprocal", m, domain="nonzero")
    for name in ["add", "sub", "mul", "maximum", "minimum", "logaddexp"]:
        take(name, m, v)
        take(name, s, s)
        take(name, (2, 1), (1, 3))
    for name in ["add", "sub", "mul"]:
        take(name, m, 2.5)
        take(name, -3, m)
    take("div", m, v, domain="nonzero")
    take("div", m, 3)
    take("div", 1.5, m, domain="nonzero")
    take("atan2", m, v, domain="positive")
    take("atan2", m, v, domain="nonzero")
    for exponent in (0, 1, 2, 3, 2.0):
        take("pow", m, exponent)
    for exponent in (-1, -2, -3.0):
        take("pow", m, exponent, domain="nonzero")
    for exponent in (0.5, 1.5, 0.3, -0.5, 7.25):
        take("pow", m, exponent, domain="positive")
    take("pow", m, v, domain="positive")
    take("pow", 2.0, m)
    for name in sorted(COMPARISONS):
        take(name, m, v)
        take(name, m, 0.5)
    take("where", "bool", m, v)
    take("where", "bool", m, 0.0)
    take("clamp", m, min=-0.5, max=1.0)
    take("clamp", m, min=0.25)
    take("clamp", m, max=-0.25)
    take("clamp", m, min=1.0, max=-1.0)
    for dim, keepdim in ((None, False), (0, False), (-1, True), ((0, 2), False), ((0, -1), True)):
        for name in ["sum", "mean", "amax", "amin", "logsumexp", "vector_norm", "var"]:
            if name != "logsumexp" or dim is not None:
                take(name, t, dim=dim, keepdim=keepdim)
        if not isinstance(dim, tuple):
            take("prod", t, dim=dim, keepdim=keepdim)
    for name in ["sum", "mean", "amax", "amin", "prod"]:
        take(name, s, dim=None)
    for order in (1.0, 3.0, 2.5, inf, -inf):
        take("vector_norm", m, ord=order, dim=1)
    for order in (3.0, 2.5):
        take("vector_norm", m, ord=order, dim=0, domain="nonzero")
    take("vector_norm", m, ord=-1.0, dim=1, domain="nonzero")
    take("vector_norm", m, ord=0.0, dim=1, domain="nonzero")
    take("var", m, dim=1, correction=0)
    for name in ["cumsum", "softmax", "log_softmax"]:
        take(name, m, dim=0)
        take(name, t, dim=-1)
    take("reshape", m, shape=(3, -1))
    take("permute", t, dims=(2, 0, 1))
    take("transpose", t, dim0=0, dim1=-1)
    take("expand", (2, 1), shape=(4, -1, 3))
    take("unsqueeze", m, dim=-1)
    take("squeeze", t, dim=1)
    take("squeeze", t, dim=0)
    take("flip", t, dims=(0, 2))
    take("cat", m, (4, 3), dim=0)
    take("stack", v, v, dim=1)
    for name in ("tril", "triu"):
        take(name, (3, 3))
        take(name, (2, 2, 3), diagonal=-1)
    take("to", m, dtype="float32")
    index = (("slice", None, None, 2), None, "...", 1)
    take("getitem", m, index=index)
    take("getitem", m, index=(1, 2))
    take("getitem_adjoint", (1, 1), shape=m, index=index)
    take("index_select", m, dim=1, index=(2, 0, 2, 2))
    take("index_select_adjoint", (2, 4), shape=m, dim=1, index=(2, 0, 2, 2))
    take("gather", m, dim=1, index=((0, 0, 2, 0),))
    take("gather", m, dim=0, index=((0, 1), (1, 1), (1, 0)))
    take("gather_adjoint", (1, 4), shape=m, dim=1, index=((0, 0, 2, 0),))
    for a, b in (((3,), (3,)), (m, v), (v, (3, 2)), (m, (3, 4)), ((2, 2, 3), (3, 2)), ((2, 1, 1, 3), (3, 3, 2))):
        take("matmul", a, b)
    for dim, keepdim in ((1, False), (0, True), (None, False)):
        take("argmax", m, dim=dim, keepdim=keepdim)
        take("argmin", m, dim=dim, keepdim=keepdim)
    for dim in (0, 1):
        take("argsort", m, dim=dim)
        take("argsort", m, dim=dim, descending=True)
        take("argsort", m, dim=dim, descending=True, first=1)
        take("nth_position", m, dim=dim, n=1)
        for name in ("cummax_positions", "cummin_positions", "median_position"):
            take(name, m, dim=dim)
        take("cumprod", m, dim=dim)
        take("cumprod", m, dim=dim, domain="nonzero")
    for name in ("max", "min", "median", "isnan"):
        take(name, m)
    for dim, keepdim in ((None, False), (-1, True), ((0, 2), False)):
        take("std", t, dim=dim, keepdim=keepdim, correction=0)
    take("std", m, dim=1)
    for offset in (0, 1, -1):
        take("diagonal", m, offset=offset, dim1=0, dim2=1)
    take("diagonal", t, offset=0, dim1=2, dim2=0)
    take("unfold", m, dim=1, size=2, step=1)
    take("unfold", (4, 2), dim=0, size=2, step=2)
    take("add_at", m, (2, 4), index=(slice(None), np.array([2, 0, 2, 2])))
    take("add_at", m, (3,), index=(np.array([1, 1]),))
    take("dot", v, v)
    take("outer", v, (2,))
    for name in "selu silu mish logsigmoid relu6 hardsigmoid hardswish erf ndtr".split():
        take(name, m)
    for name in "erfc erfcx log_ndtr i0 i1 i0e i1e sinc asinh exp2 floor ceil trunc round".split():
        take(name, m)
    for name in "lgamma digamma entr log2 log10".split():
        take(name, m, domain="positive")
    take("lgamma", v, domain="negative, not whole")
    take("digamma", v, domain="negative, not whole")
    for n in (0, 1, 3):
        take("polygamma", v, n=n, domain="positive")
    for name in ("asin", "acos", "atanh", "erfinv"):
        take(name, m, domain="inside (-1, 1)")
    take("logit", m, domain="inside (0, 1)")
    take("logit", m, eps=0.125, domain="inside (0, 1)")
    take("acosh", m, domain="above 1")
    for name in ("xlogy", "fmod", "remainder"):
        take(name, m, v, domain="positive")
    for name in ("fmod", "remainder"):
        take(name, m, v, domain="nonzero")
    take("xlog1py", m, v, domain="above -1")
    take("hypot", m, v, domain="nonzero")
    take("copysign", m, v, domain="nonzero")
    for name in ("logaddexp2", "fmax", "fmin"):
        take(name, m, v)
    for name, params in {
        "leaky_relu": ({}, {"negative_slope": -0.25}),
        "elu": ({}, {"alpha": 1.7}),
        "celu": ({}, {"alpha": 1.5}),
        "gelu": ({}, {"approximate": "tanh"}),
        "softplus": ({}, {"beta": 2.0, "threshold": 1.0}, {"beta": 0.7, "threshold": inf}),
        "softshrink": ({}, {"lambd": 0.3}),
        "hardshrink": ({}, {"lambd": 0.3}),
        "hardtanh": ({}, {"min_val": -0.5, "max_val": 2.0}),
        "scaled": tuple({"by": name} for name in SCALES),
    }.items():
        for row in params:
            take(name, m, **row)
    plain = {"stride": (1,), "padding": ((0, 0),), "dilation": (1,), "groups": 1}
    spread = {"stride": (2,), "padding": ((1, 2),), "dilation": (2,), "groups": 2}
    take("convolution", (1, 1, 3), (2, 1, 2), **plain)
    take("convolution", (1, 2, 4), (2, 1, 2), **spread)
    take("convolution_input", (1, 2, 2), (2, 1, 2), space=(3,), **plain)
    take("convolution_input", (1, 2, 3), (2, 1, 2), space=(4,), **spread)
    take("convolution_weight", (2, 1, 2), (2, 1, 3), kernel=(2,), **plain)
    take("convolution_weight", (1, 2, 3), (1, 2, 4), kernel=(2,), **spread)
    square = {"stride": (1, 2), "padding": ((1, 0), (0, 0)), "dilation": (1, 1), "groups": 1}
    take("convolution", (1, 1, 2, 3), (1, 1, 2, 1), **square)
    take("first_largest", m)
    for name in ("matrix_inverse", "determinant", "log_abs_determinant", "cholesky_factor"):
        take(name, (3, 3), domain="dominant")
    take("matrix_inverse", (2, 2, 2), domain="dominant")
    take("determinant", (2, 1, 1), domain="dominant")
    take("matrix_solve", (3, 3), (3, 1), domain="dominant")
    take("matrix_solve", (2, 2), (2, 2, 1), domain="dominant")
    take("triangular_solve", (3, 3), (3, 1), domain="dominant", upper=False)
    take("triangular_solve", (2, 2, 2), (2, 1), domain="dominant", upper=True)
    take("determinant", (5, 5), domain="dominant")
    return made


TRIES = tries()


def sixteenths(bound: int) -> st.SearchStrategy[float]:
    return st.integers(-bound, bound).map(lambda k: k / 16)


@st.composite
def ball_arguments(draw: st.DrawFn, attempt: Try, *, fat: bool) -> tuple[list[Any], list[Any]]:
    """The arguments as balls, and as points inside them (exact floats); both literal where the try says so."""
    balls: list[Any] = []
    points: list[Any] = []
    for shape in attempt.args:
        if shape == "bool":
            mask = np.array(draw(st.lists(st.booleans(), min_size=6, max_size=6))).reshape(2, 3)
            balls.append(mask)
            points.append(mask)
        elif not isinstance(shape, tuple):
            balls.append(shape)
            points.append(exact(float(shape)))
        else:
            size = int(np.prod(shape))
            mids = np.array(draw(st.lists(sixteenths(48), min_size=size, max_size=size)))
            radius = st.sampled_from([0.0, 2.0**-30, 0.125, 1.0]) if fat else st.just(0.0)
            radii = np.array(draw(st.lists(radius, min_size=size, max_size=size)))
            if attempt.domain.startswith(("inside", "negative")):
                radii = radii / 16  # so that the ball lies there, too
            part = np.array(draw(st.lists(st.integers(-8, 8), min_size=size, max_size=size))) / 8
            mids = moved_into(attempt.domain, mids.reshape(shape), radii.reshape(shape))
            radii, part = radii.reshape(shape), part.reshape(shape)
            balls.append(BallArray.from_midpoints(mids, radii))
            points.append(exact(mids + part * radii))
    return balls, points


def moved_into(domain: str, mids: Any, radii: Any) -> Any:
    if domain == "positive":
        return abs(mids) + radii + 0.0625
    if (
        domain == "dominant" and mids.shape[-2:].count(mids.shape[-1]) == 2
    ):  # a matrix far from singular, with its radii
        return mids + 32 * np.eye(mids.shape[-1])
    if domain == "above -1":
        return abs(mids) + radii - 0.9375
    if domain == "above 1":
        return abs(mids) + radii + 1.0625
    if domain == "negative, not whole":
        return -np.floor(abs(mids)) - 0.5
    if domain == "inside (-1, 1)":
        return mids / 3.5
    if domain == "inside (0, 1)":
        return mids / 7 + 0.5
    if domain == "nonzero":
        return np.where(mids < 0, mids - radii - 0.0625, mids + radii + 0.0625)
    return mids


def as_balls(points: Any) -> BallArray:
    """The truth as balls that allow for its own rounding at 600 bits."""
    cells = [arb(v, (1 + abs(arb(v))) * arb(2) ** -480) for v in points.ravel().tolist()]
    return BallArray(filled(points.shape, cells))


def truth(attempt: Try, points: list[Any]) -> BallArray:
    with mpmath.workprec(TRUTH_BITS), precision(TRUTH_BITS):
        params = dict(attempt.params)
        return as_balls(TRUTH[attempt.name](*points, **params))


def escapes(enclosure: Callable[..., Any], attempt: Try, balls: list[Any], points: list[Any]) -> list[str]:
    """Why the enclosure of the balls is wrong at the points, in words; empty if it contains the truth."""
    expected = truth(attempt, points)
    result = enclosure(*balls, **attempt.params)
    if isinstance(result, np.ndarray):
        result = BallArray.from_floats(result)
    if result.shape != expected.shape:
        return [f"shape {result.shape}, expected {expected.shape}"]
    inside = result.overlaps(expected)
    return [
        f"{i}: {result.cells[i]} does not contain {expected.cells[i]}"
        for i in np.ndindex(inside.shape)
        if not inside[i]
    ]
