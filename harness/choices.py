"""What an op can take: its parameters on a shape, the shapes of its partners, and where its values then lie.

`harness.generation` builds programs from these lists. All of them are ordered simplest first, computed once a shape and
checked by inference, so whatever is chosen from them is valid.

>>> options("sum", (2, 3))[0]
((), ())
>>> mates((2, 1))[:3]
((2, 1), (), (1,))
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Final

from harness.inference import OPS, ProgramError, infer_op
from harness.programs import Param, Spec
from harness.vocabulary.checks import Interval, Shape

__all__ = [
    "LIMIT",
    "MAX_ELEMENTS",
    "Interval",
    "Option",
    "Params",
    "Shape",
    "binary_range",
    "calls",
    "cat_dims",
    "domain_of",
    "has_options",
    "joint_shape",
    "mates",
    "matmul_mates",
    "matmul_shape",
    "new_shapes",
    "options",
    "power_range",
    "product_range",
    "range_after",
    "square_range",
    "takes",
    "unary_range",
]

Params = tuple[tuple[str, Param], ...]
Option = tuple[Params, Shape]
Fitting = tuple[Params, tuple[Spec, ...], Shape]

LIMIT: Final = 1e4  # no slot of an ordinary program exceeds this at an ordinary point
MAX_ELEMENTS: Final = 64

SHAPES: Final[tuple[Shape, ...]] = (
    *((), (1,), (2,), (3,), (2, 2), (2, 3), (3, 2), (1, 3), (2, 1), (3, 3), (3,), (2, 3), (2,), (3, 1), (), (1, 1)),
    *((2, 2, 3), (2, 1, 3), (1, 3, 2), (2, 3, 1), (3, 2, 2), (2, 2, 2), (1, 1, 2), (4,), (3, 4), (4, 2), (2, 3, 4)),
    *((3, 4, 3), (0,), (0, 3), (2, 0), (2, 0, 3)),
)

# --- intervals


def _monotone(f: Callable[[float], float]) -> Callable[[float, float], Interval | None]:
    return lambda lo, hi: (f(lo), f(hi))


def _within(low: float, high: float, f: Callable[[float], float]) -> Callable[[float, float], Interval | None]:
    """An increasing f, for arguments inside [low, high] only."""
    return lambda lo, hi: (f(lo), f(hi)) if low <= lo and hi <= high else None


def _absolute(lo: float, hi: float) -> Interval:
    return (0.0 if lo <= 0.0 <= hi else min(abs(lo), abs(hi)), max(abs(lo), abs(hi)))


def square_range(lo: float, hi: float) -> Interval:
    """Where x * x lies."""
    low, high = _absolute(lo, hi)
    return low * low, high * high


def _reciprocal(lo: float, hi: float) -> Interval | None:
    return (1.0 / hi, 1.0 / lo) if lo >= 1e-2 or hi <= -1e-2 else None


def _sigmoid(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-min(max(x, -30.0), 30.0)))


# Where the values of a unary op lie, given where its argument lies; None: the argument leaves the domain.
_UNARY_RANGES: Final[dict[str, Callable[[float, float], Interval | None]]] = {
    "neg": lambda lo, hi: (-hi, -lo),
    "abs": _absolute,
    "sign": lambda lo, hi: (-1.0, 1.0),
    "exp": _within(-30.0, 9.2, math.exp),
    "expm1": _within(-30.0, 9.2, math.expm1),
    "log": _within(1e-3, 1e4, math.log),
    "log1p": _within(-0.9, 1e4, math.log1p),
    "sqrt": _within(1e-3, 1e4, math.sqrt),
    "rsqrt": lambda lo, hi: (hi**-0.5, lo**-0.5) if lo >= 1e-2 else None,
    "reciprocal": _reciprocal,
    "square": square_range,
    "sin": lambda lo, hi: (-1.0, 1.0) if lo >= -100.0 and hi <= 100.0 else None,
    "cos": lambda lo, hi: (-1.0, 1.0) if lo >= -100.0 and hi <= 100.0 else None,
    "tan": _within(-1.3, 1.3, math.tan),
    "sinh": _within(-9.2, 9.2, math.sinh),
    "cosh": lambda lo, hi: (1.0, math.cosh(max(-lo, hi))) if lo >= -9.2 and hi <= 9.2 else None,
    "tanh": _monotone(math.tanh),
    "atan": _monotone(math.atan),
    "sigmoid": _monotone(_sigmoid),
    "relu": _monotone(lambda x: max(x, 0.0)),
    "detach": _monotone(lambda x: x),
    "clone": _monotone(lambda x: x),
}
_NEEDED_DOMAINS: Final = {
    "log": "positive",
    "sqrt": "positive",
    "rsqrt": "positive",
    "reciprocal": "positive",
    "tan": "unit",
}


def unary_range(op: str, x: Interval) -> Interval | None:
    """Where the values of a unary op lie, given where its argument lies; None: the argument leaves the domain."""
    known = _UNARY_RANGES.get(op)
    return known(*x) if known is not None else values_of(op, (x,), {}, (), ())


def values_of(
    op: str, tensors: Sequence[Interval], params: Mapping[str, Param], shape: Shape, out: Shape
) -> Interval | None:
    """Where the values of an op lie by its own row of the vocabulary."""
    given = OPS[op].values
    if given is not None:
        return given(tensors, params, shape, out)
    return min(low for low, _ in tensors), max(high for _, high in tensors)


def domain_of(op: str) -> str:
    """From which domain a new input for the first tensor of an op is drawn."""
    return _NEEDED_DOMAINS.get(op, OPS[op].domain)


def product_range(a: Interval, b: Interval) -> Interval:
    """Where a * b lies."""
    corners = (a[0] * b[0], a[0] * b[1], a[1] * b[0], a[1] * b[1])
    return min(corners), max(corners)


def _divide(a: Interval, b: Interval) -> Interval | None:
    inverse = _reciprocal(*b)
    return None if inverse is None else product_range(a, inverse)


def power_range(a: Interval, b: Interval) -> Interval | None:
    """Where a ** b lies for a base above 0; None for other bases and where it is extreme."""
    if a[0] < 1e-2:
        return None
    logs = product_range((math.log(a[0]), math.log(a[1])), b)
    return (math.exp(logs[0]), math.exp(logs[1])) if abs(logs[0]) < 30.0 and logs[1] < 9.2 else None


_BINARY_RANGES: Final[dict[str, Callable[[Interval, Interval], Interval | None]]] = {
    "add": lambda a, b: (a[0] + b[0], a[1] + b[1]),
    "sub": lambda a, b: (a[0] - b[1], a[1] - b[0]),
    "mul": product_range,
    "div": _divide,
    "pow": power_range,
    "maximum": lambda a, b: (max(a[0], b[0]), max(a[1], b[1])),
    "minimum": lambda a, b: (min(a[0], b[0]), min(a[1], b[1])),
    "logaddexp": lambda a, b: (max(a[0], b[0]), max(a[1], b[1]) + 0.7),
    "atan2": lambda a, b: (-math.pi, math.pi),
}


def binary_range(op: str, a: Interval, b: Interval) -> Interval | None:
    """Where the values of a binary op lie; None: an argument leaves the domain."""
    known = _BINARY_RANGES.get(op)
    return known(a, b) if known is not None else values_of(op, (a, b), {}, (), ())


def range_after(op: str, x: Interval, shape: Shape, params: Params, out: Shape) -> Interval | None:
    """Where the values of an op of one tensor and some parameters lie; None: the argument leaves the domain."""
    lo, hi = x
    if OPS[op].calls is not None:
        return values_of(op, (x,), dict(params), shape, out)
    if op in ("sum", "cumsum", "prod", "logsumexp", "vector_norm"):
        n = math.prod(shape) if op == "cumsum" else max(math.prod(shape) // max(math.prod(out), 1), 1)
        big = max(abs(lo), abs(hi))
        if op == "prod":
            return (-(big**n) if lo < 0 else min(lo**n, lo), max(big**n, big)) if n * math.log2(big + 1) < 60 else None
        if op == "logsumexp":
            return lo, hi + math.log(n)
        return (0.0, big * n) if op == "vector_norm" else (min(lo, lo * n), max(hi, hi * n))
    if op == "var":
        return 0.0, (hi - lo) ** 2
    if op == "softmax":
        return 0.0, 1.0
    if op == "log_softmax":
        return lo - hi - math.log(max(math.prod(shape), 1)), 0.0
    if op in ("tril", "triu"):
        return min(lo, 0.0), max(hi, 0.0)
    if op == "clamp":
        bounds = dict(params)
        low, high = bounds.get("min"), bounds.get("max")
        if isinstance(low, float):
            lo, hi = max(lo, low), max(hi, low)
        if isinstance(high, float):
            lo, hi = min(lo, high), min(hi, high)
    return lo, hi


# --- options


def _reduction_options(op: str, shape: Shape) -> list[dict[str, Param]]:
    rank = len(shape)
    dims: list[Param] = [None] if op != "logsumexp" else []
    dims += [*range(rank), *range(-1, -rank - 1, -1)]
    if op != "prod":
        dims += [c for n in range(2, rank + 1) for c in itertools.combinations(range(rank), n)]
        dims += [(-1, 0)] if rank >= 2 else []
    rows: list[dict[str, Param]] = [{"dim": d} for d in dims] + [
        {"dim": d, "keepdim": True} for d in dims if d is not None
    ]
    if op == "vector_norm":
        rows = [{"ord": order, **row} for row in rows for order in (2.0, 1.0, 3.0, math.inf)]
    if op == "var":
        rows = [{"correction": c, **row} for row in rows for c in (1, 0)]
    return [{key: value for key, value in row.items() if value is not None} for row in rows]


def _reduces_well(op: str, shape: Shape, row: dict[str, Param]) -> bool:
    """Say whether the reduction is more than NaN: mean and the like need elements, var more than its correction."""
    dim = row.get("dim")
    dims = dim if isinstance(dim, tuple) else range(len(shape)) if dim is None else (dim,)
    n = math.prod(shape[d] for d in dims if isinstance(d, int))
    correction = row.get("correction", 0)
    if op == "var" and 0 in shape:  # PyTorch warns of degrees of freedom even where there is no result to spoil
        return False
    return op in ("sum", "prod") or n > (correction if isinstance(correction, int) else 0)


def _getitem_options(shape: Shape) -> list[dict[str, Param]]:
    def items(n: int) -> list[Param]:
        some: list[Param] = [("slice", None, None, None), ("slice", 1, None, None), ("slice", None, None, 2)]
        some += [("slice", None, -1, None), ("slice", 0, 0, None), ("slice", -2, None, None)]
        return ([0, -1, n // 2] if n else []) + some

    rows: list[tuple[Param, ...]] = [(item,) for item in items(shape[0])] if shape else []
    if len(shape) >= 2:
        rows += [(a, b) for i, a in enumerate(items(shape[0])) for j, b in enumerate(items(shape[1])) if (i + j) % 2]
        rows += [("...", item) for item in items(shape[-1])]
    if len(shape) >= 3:
        rows += [(0, "...", -1), (("slice", None, None, None), 0, ("slice", 1, None, None)), ("...", None, 0)]
        rows = [row for row in rows if all(not isinstance(i, int) or i in (0, -1) for i in row) or 0 not in shape]
    rows += [(None,), ("...",), ("...", None), (None, "...", None)]
    return [{"index": row} for row in rows]


def _nest(flat: Sequence[int], shape: Shape) -> Param:
    if not shape:
        return flat[0]
    step = len(flat) // shape[0]
    return tuple(_nest(flat[i * step : (i + 1) * step], shape[1:]) for i in range(shape[0]))


def _gather_options(shape: Shape) -> list[dict[str, Param]]:
    if 0 in shape:
        return []
    rng = random.Random(len(shape))
    rows: list[dict[str, Param]] = []
    for dim in range(len(shape)):
        for taken in (tuple(1 for _ in shape), shape, (*shape[:dim], 2, *shape[dim + 1 :]), shape):
            flat = [0 if not rows else rng.randrange(shape[dim]) for _ in range(math.prod(taken))]
            rows.append({"dim": dim if len(rows) % 3 else dim - len(shape), "index": _nest(flat, taken)})
    return rows


def _index_select_options(shape: Shape) -> list[dict[str, Param]]:
    rows: list[dict[str, Param]] = []
    for dim in range(len(shape)):
        n = shape[dim]
        picks = [(0,), (0, 0), (n - 1, 0), tuple(range(n - 1, -1, -1)), (n - 1, 0, n - 1)] if n else []
        rows += [{"dim": dim if i % 2 else dim - len(shape), "index": pick} for i, pick in enumerate([*picks, ()])]
    return rows


def _shapes_of_size(n: int, rank: int) -> list[Shape]:
    if rank == 0:
        return [()] if n == 1 else []
    if n == 0:
        return [s for s in ((0,), (0, 2), (3, 0), (1, 0, 2)) if len(s) == rank]
    return [(d, *rest) for d in range(1, n + 1) if n % d == 0 for rest in _shapes_of_size(n // d, rank - 1)]


def _movement_options(op: str, shape: Shape) -> list[dict[str, Param]]:
    rank = len(shape)
    axes = tuple(range(rank))
    rows: list[dict[str, Param]] = []
    if op == "reshape":
        same_size = [s for r in range(4) for s in _shapes_of_size(math.prod(shape), r) if s != shape]
        rows = [{"shape": s} for s in same_size[:20]]
    elif op == "permute":
        rows = [{"dims": p} for p in sorted(itertools.permutations(axes), reverse=True)]
        rows += [{"dims": tuple(d - rank for d in axes[::-1])}] if rank > 1 else []
    elif op == "transpose":
        rows = [{"dim0": i, "dim1": j} for i, j in itertools.combinations(axes, 2)]
        rows += [{"dim0": -1, "dim1": -2}] if rank > 1 else []
    elif op == "expand":
        grown = itertools.product(*([n, 2, 3] if n == 1 else [n] for n in shape))
        shapes: list[Shape] = [(*lead, *s) for s in grown for lead in ((), (2,), (1,), (3,), (2, 2))] + [(0, *shape)]
        rows = [{"shape": s} for s in shapes if s != shape and len(s) <= 3]
    elif op == "unsqueeze":
        rows = [{"dim": d} for d in range(-rank - 1, rank + 1)] if rank < 3 else []
    elif op == "squeeze":
        ones = [d for d in axes if shape[d] == 1]
        rows = [{"dim": d} for d in [*ones, *(d - rank for d in ones), *axes]]
    elif op == "flip":
        rows = [{"dims": c} for n in range(1, rank + 1) for c in itertools.combinations(axes, n)]
        rows += [{"dims": (-1,)}] if rank else []
    elif op in ("tril", "triu"):
        rows = [{"diagonal": d} if d else {} for d in (0, 1, -1, 2)] if rank >= 2 else []
    return rows


@cache
def options(op: str, shape: Shape) -> tuple[Option, ...]:
    """The parameters that an op of one tensor can take on a shape, simplest first, each with the result's shape."""
    return tuple(_options(op, shape))


@cache
def takes(op: str, shape: Shape) -> bool:
    """Whether an op with `options` or `calls` applies to a first tensor of a shape: far cheaper than to list them."""
    found = _options(op, shape) if has_options(op) else _calls(op, shape)
    return next(found, None) is not None


def _options(op: str, shape: Shape) -> Iterator[Option]:
    if OPS[op].calls is not None:
        yield from ((params, out) for params, others, out in _calls(op, shape) if not others)
        return
    family = OPS[op].family
    if family == "reduction":
        rows = [row for row in _reduction_options(op, shape) if _reduces_well(op, shape, row)]
    elif family == "scan":
        rows = [{"dim": d} for d in [*range(len(shape)), *range(-1, -len(shape) - 1, -1)]]
    elif op == "getitem":
        rows = _getitem_options(shape)
    elif op == "gather":
        rows = _gather_options(shape)
    elif op == "index_select":
        rows = _index_select_options(shape)
    elif op == "clamp":
        rows = [{"min": -0.5, "max": 0.5}, {"min": 0.0}, {"max": 0.5}, {"min": -1.0, "max": 1.0}, {"max": 0.0}]
    else:
        rows = _movement_options(op, shape)
    seen: set[str] = set()
    for row in rows:
        params = tuple(sorted(row.items()))
        try:
            out = infer_op(op, (Spec(shape),), row).shape
        except ProgramError:  # the enumerations above are loose at size-0 axes; inference is the judge, once a shape
            continue
        if math.prod(out) <= MAX_ELEMENTS and len(out) <= 3 and (name := repr(params)) not in seen:
            seen.add(name)
            yield params, out


@cache
def calls(op: str, shape: Shape) -> tuple[Fitting, ...]:
    """How an op with a list of calls applies to a first tensor of a shape: parameters, the other tensors, the result."""
    return tuple(_calls(op, shape))


def _calls(op: str, shape: Shape) -> Iterator[Fitting]:
    listed = OPS[op].calls
    seen: set[str] = set()
    for row, others in listed(shape) if listed is not None else ():
        params = tuple(sorted(row.items()))
        try:
            out = infer_op(op, (Spec(shape), *others), row).shape
        except ProgramError:  # the lists are loose; inference is the judge, once a shape
            continue
        small = len(out) <= 3 and all(math.prod(s) <= MAX_ELEMENTS for s in (out, *(o.shape for o in others)))
        if small and (name := repr((params, others))) not in seen:
            seen.add(name)
            yield params, others, out


@cache
def mates(shape: Shape) -> tuple[Shape, ...]:
    """Shapes that broadcast with a shape: the same, fewer axes, axes of size 1 on either side, more axes."""
    some: list[Shape] = [shape, ()]
    some += [shape[i:] for i in range(1, len(shape))]
    some += [(*shape[:i], 1, *shape[i + 1 :]) for i in range(len(shape))]
    some += [(*shape[:i], k, *shape[i + 1 :]) for i, n in enumerate(shape) if n == 1 for k in (2, 3)]
    if len(shape) < 3:
        some += [(k, *shape) for k in (2, 1, 3)]
        some += [(2, *(1 for _ in shape))] if shape else []
    sized = [
        s for s in dict.fromkeys(some) if (out := joint_shape(s, shape)) is not None and math.prod(out) <= MAX_ELEMENTS
    ]
    return tuple(sized)


@cache
def joint_shape(a: Shape, b: Shape) -> Shape | None:
    """The shape that two shapes broadcast to, or None."""
    if len(a) < len(b):
        a, b = b, a
    tail = a[len(a) - len(b) :]
    if any(m != n and m != 1 and n != 1 for m, n in zip(tail, b, strict=True)):
        return None
    return a[: len(a) - len(b)] + tuple(n if m == 1 else m for m, n in zip(tail, b, strict=True))


@cache
def matmul_shape(a: Shape, b: Shape) -> Shape | None:
    """The shape of a matrix product, or None where there is none or it is too large."""
    try:
        out = infer_op("matmul", (Spec(a), Spec(b))).shape
    except ProgramError:
        return None
    return out if math.prod(out) <= MAX_ELEMENTS else None


@cache
def matmul_mates(shape: Shape) -> tuple[Shape, ...]:
    """Shapes that a shape can be multiplied with from the right as matrices."""
    k = shape[-1]
    some: list[Shape] = [(k,), (k, 2), (k, 1), (k, 3), (2, k, 2), (1, k, 3), (k, 0)]
    some += [(*shape[:-2], k, 2)] if len(shape) > 2 else []
    return tuple(s for s in some if matmul_shape(shape, s) is not None)


@cache
def cat_dims(a: Shape, b: Shape) -> tuple[int, ...]:
    """The axes along which two shapes concatenate."""
    if len(a) != len(b):
        return ()
    off = [i for i in range(len(a)) if a[i] != b[i]]
    dims = tuple(range(len(a))) if not off else tuple(off) if len(off) == 1 else ()
    return tuple(d for d in dims if math.prod(a) + math.prod(b) <= MAX_ELEMENTS)


@cache
def new_shapes(op: str) -> tuple[Shape, ...]:
    """The shapes of new inputs on which an op has something to do."""
    if op in ("dot", "outer"):
        return tuple(s for s in SHAPES if len(s) == 1)
    if op in ("matmul", "cat"):
        return tuple(s for s in SHAPES if s)
    if op == "stack":
        return tuple(s for s in SHAPES if len(s) < 3)
    if OPS[op].calls is not None:  # small ones first: an op of three tensors shrinks to few elements
        return tuple(sorted((s for s in SHAPES if takes(op, s)), key=lambda s: (0 in s, math.prod(s))))
    if not has_options(op):
        return SHAPES
    return tuple(s for s in SHAPES if takes(op, s))


def has_options(op: str) -> bool:
    """Say whether the op takes one tensor and parameters that depend on its shape."""
    row = OPS[op]
    return row.tensors == ("x",) and op not in _UNARY_RANGES and (row.family != "unary" or bool(row.params))
