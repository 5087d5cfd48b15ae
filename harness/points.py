"""A program at a point: primals, flags and cotangents as a function of one seed.

`point(program, seed=..., kind=...)` gives the case; `harness.strategies.points` makes Hypothesis draw its arguments.

>>> from harness.programs import Instr, Program, Spec
>>> case = point(Program((Spec((4,)),), (Instr("sin", (0,)),), (1,)))
>>> case.primals[0]
array([ 1., -1.,  2., -2.])
>>> case.cotangents[0]
array([ 2. , -1. ,  0.5,  3. ])
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from harness.cases import Array, Case
from harness.floats import HALF, about, carrier, to_dtype
from harness.inference import OPS, differentiable_slots, infer
from harness.programs import Program, Scalar, Spec

__all__ = [
    "DOMAIN_RANGES",
    "EDGES",
    "LAYOUTS",
    "POINT_KINDS",
    "PRIMAL_LAYOUTS",
    "edges_of",
    "laid_out",
    "layout_of",
    "live_slots",
    "point",
    "rounded",
]

Shape = tuple[int, ...]

DOMAIN_RANGES: Final[dict[str, tuple[float, float]]] = {
    "real": (-2.0, 2.0),
    "positive": (0.25, 2.0),
    "unit": (-1.0, 1.0),
    "fraction": (0.05, 0.95),
    "above one": (1.05, 3.0),
}
POINT_KINDS: Final = ("random", "edge")
LAYOUTS: Final = ("dense", "repeated", "expanded", "transposed", "strided", "unused")
PRIMAL_LAYOUTS: Final = ("dense", "transposed", "strided", "expanded")
EDGES: Final = (
    *("zero", "minus zero", "one", "subnormal", "tiny", "huge", "wide", "saturated", "tie", "equal inputs", "all zero"),
    *("zero row", "singular matrix", "identity matrix", "end of a domain"),
)
"""What float primals may hold that rules are wrong at; `edges_of` names those of a case."""
_COTANGENTS: Final = (2.0, -1.0, 0.5, 3.0, -0.5, 1.5, -2.0, 0.25)


def point(
    program: Program,
    *,
    seed: int = 0,
    kind: str = "random",
    dtype: str = "float64",
    layouts: Sequence[str] | None = None,
    primal_layouts: Sequence[str] | None = None,
    requires_grad: Sequence[bool] | None = None,
) -> Case:
    """Put a program at a point; the same arguments give the same case.

    Args:
        seed: 0 gives simple distinct numbers (halves, quarters) at a random point, zeros (ones where the domain is
            positive) at an edge.
        dtype: one of `harness.floats.DTYPES`; in a half the literals of the case's program are rounded to it, too.
        kind: "random" (generic values of each input's domain, no ties) or "edge" (zeros of both signs, ties, and seldom
            the others of EDGES).
        layouts: one of LAYOUTS an output: how its cotangent lies in memory; by default all "dense". "unused" (None as
            cotangent) is followed only while another output remains whose gradient has elements.
        primal_layouts: one of PRIMAL_LAYOUTS an input: how it lies in memory; by default all "dense". An "expanded" one
            is its first row over and over.
        requires_grad: one flag an input; by default all float inputs; if nothing differentiable remains, also all.
    """
    if dtype in HALF:  # engines differ in how they round a literal to a half
        program = rounded(program, dtype)
    rng = np.random.default_rng(seed) if seed else None
    primals = _edge_primals(program, dtype, rng) if kind == "edge" else _primals(program, dtype, rng)
    if primal_layouts is not None:
        primals = tuple(laid_out(x, layout) for x, layout in zip(primals, primal_layouts, strict=True))
    floats = tuple(spec.kind == "float" for spec in program.inputs)
    flags = (
        floats if requires_grad is None else tuple(f and bool(r) for f, r in zip(floats, requires_grad, strict=True))
    )
    specs, reached, live = _analysis(program, flags)
    if not any(live[i] for i in program.outputs):
        flags = floats
        specs, reached, live = _analysis(program, flags)
    wanted = list(layouts or ("dense",) * len(program.outputs))
    used = [reached[slot] and layout != "unused" for slot, layout in zip(program.outputs, wanted, strict=True)]
    if not any(u and live[slot] for u, slot in zip(used, program.outputs, strict=True)):
        used = [reached[slot] for slot in program.outputs]
    cotangents = tuple(
        _cotangent(specs[slot].shape, dtype, layout, rng, k) if u else None
        for k, (slot, layout, u) in enumerate(zip(program.outputs, wanted, used, strict=True))
    )
    return Case(program, primals, flags, cotangents, dtype)


def rounded(program: Program, dtype: str) -> Program:
    """Return the program with its literal floats, and defaults that are floats, as they are in that dtype."""

    def number(v: Any) -> Any:
        return float(to_dtype(v, dtype)) if isinstance(v, float) else v

    def numbers(op: str, given: tuple[tuple[str, Any], ...]) -> tuple[tuple[str, Any], ...]:
        defaults = {k: v for k, v in OPS[op].params.items() if isinstance(v, float) and number(v) != v}
        return tuple(sorted((k, v if k == "ord" else number(v)) for k, v in {**defaults, **dict(given)}.items()))

    instrs = tuple(
        replace(
            i,
            args=tuple(Scalar(number(a.value)) if isinstance(a, Scalar) else a for a in i.args),
            params=numbers(i.op, i.params),
        )
        for i in program.instrs
    )
    return replace(program, instrs=instrs)


def live_slots(program: Program, requires_grad: Sequence[bool] | None = None) -> tuple[bool, ...]:
    """Say for every slot whether its gradient in some input that requires grad has elements to compare."""
    specs = infer(program)
    flags = [
        f and math.prod(s.shape) > 0 for f, s in zip(differentiable_slots(program, requires_grad), specs, strict=True)
    ]
    for k, instr in enumerate(program.instrs, len(program.inputs)):
        positions = OPS[instr.op].differentiable
        flags[k] = math.prod(specs[k].shape) > 0 and any(
            not isinstance(a, Scalar) and flags[a]
            for i, a in enumerate(instr.args)
            if positions is None or i in positions
        )
    return tuple(flags)


@lru_cache(maxsize=256)  # a program is put at many points
def _analysis(program: Program, flags: tuple[bool, ...]) -> tuple[tuple[Spec, ...], tuple[bool, ...], tuple[bool, ...]]:
    return infer(program), differentiable_slots(program, flags), live_slots(program, flags)


def _primals(program: Program, dtype: str, rng: np.random.Generator | None) -> tuple[Array, ...]:
    total = sum(math.prod(spec.shape) for spec in program.inputs)
    done, arrays = 0, list[Array]()
    for spec in program.inputs:
        n = math.prod(spec.shape)
        if spec.kind == "float":
            lo, hi = DOMAIN_RANGES[spec.domain]
            flat: Array = _simple(spec.domain, done, n, total) if rng is None else rng.uniform(lo, hi, n)
            arrays.append(to_dtype(flat, dtype).reshape(spec.shape))
        elif spec.kind == "int":
            arrays.append((np.arange(1, n + 1) if rng is None else rng.integers(-3, 4, n)).reshape(spec.shape))
        else:
            arrays.append((np.arange(n) % 2 == 0 if rng is None else rng.random(n) < 0.5).reshape(spec.shape))
        done += n
    return tuple(arrays)


def _simple(domain: str, start: int, n: int, total: int) -> NDArray[np.float64]:
    """Elements start .. start+n-1 of a sequence of distinct short binary fractions inside the domain, without 0."""
    k = np.arange(start, start + n)
    if domain in ("positive", "above one"):
        return (2.0 if domain == "above one" else 1.0) + k / 2.0 ** math.ceil(math.log2(max(total, 1)))
    if domain == "fraction":
        inner: NDArray[np.float64] = np.asarray(k + 1.0, np.float64) / 2.0 ** math.ceil(math.log2(total + 1))
        return inner
    steps = 2.0 ** max(math.ceil(math.log2(max(total, 1) / 4)), 0)
    values: NDArray[np.float64] = (k // 2 + 1) / steps * np.where(k % 2 == 0, 1.0, -1.0)
    return values / 2.0 if domain == "unit" else values


_START: Final = {"positive": 1.0, "fraction": 0.5, "above one": 1.0}
_HUGE_ONES: Final = {"float64": 1e300, "float32": 1e30, "float16": 3e4, "bfloat16": 1e30}
_TINY: Final = {"fraction": (1e-30, 1.0 - 2.0**-20), "above one": (1.0 + 2.0**-20,)}
_POOLS: Final = {
    "positive": (1.0, 0.5, 2.0, 1.0),
    "fraction": (0.5, 0.25, 0.75, 0.5),
    "above one": (1.0, 1.5, 2.0, 2.0),
}


# The flavours of an edge point beside zeros and ties, by number; of FLAVOURS, the others are zeros and ties.
FLAVOURS: Final = 64
_WIDE, _SATURATED, _TINY_ONES, _HUGE, _ZERO_ROW, _SINGULAR, _IDENTITY, _EQUAL, _ENDS = (
    range(38, 45),
    (45, 46, 47, 58),
    range(48, 55),
    range(55, 58),
    59,
    60,
    61,
    62,
    63,
)
_DOMAIN_ENDS: Final = {"positive": (0.0,), "unit": (-1.0, 1.0), "fraction": (0.0, 1.0), "above one": (1.0,)}


def _edge_primals(program: Program, dtype: str, rng: np.random.Generator | None) -> tuple[Array, ...]:
    info = about(dtype)
    flavour = 0 if rng is None else int(rng.integers(FLAVOURS))
    chosen = 0 if rng is None else int(rng.integers(len(program.inputs)))  # the input that may get the huge element
    arrays: list[Array] = []
    for i, spec in enumerate(program.inputs):
        n = math.prod(spec.shape)
        if spec.kind != "float" or rng is None:
            start = _START.get(spec.domain, 0.0)
            whole: Array = np.full(n, start) if rng is None else rng.integers(-1, 2, n)
            arrays.append(
                whole.astype({"float": carrier(dtype), "int": "int64", "bool": "bool"}[spec.kind]).reshape(spec.shape)
            )
            continue
        positive = spec.domain in _POOLS
        pool = list(_POOLS[spec.domain]) if positive else [0.0, -0.0, 1.0, -1.0, 0.0, 0.5, -0.5, 1.0]
        if not positive and spec.domain != "unit":
            pool += [2.0, -2.0, 3.0]
        if flavour in _TINY_ONES:
            smallest = info.smallest_subnormal
            pool += _TINY.get(spec.domain, (1e-30, info.tiny, *(() if positive else (-1e-30, smallest))))
        flat = rng.choice(np.array(pool), n)
        if flavour in _HUGE and i == chosen and n and spec.domain not in ("unit", "fraction"):
            flat[int(rng.integers(n))] = _HUGE_ONES[dtype]
        if flavour in _WIDE and spec.domain in ("real", "positive"):  # the knees of relu6 and hardsigmoid lie here
            flat = rng.uniform(2.0, 15.0, n) if positive else rng.uniform(-8.0, 8.0, n)
        if flavour in _SATURATED and spec.domain in ("real", "positive"):
            flat = rng.uniform(15.0, 40.0, n) * (1.0 if positive else rng.choice([-1.0, 1.0], n))
        if flavour == _ENDS and spec.domain in _DOMAIN_ENDS and n:
            flat[int(rng.integers(n))] = rng.choice(np.array(_DOMAIN_ENDS[spec.domain]))
        whole = to_dtype(flat, dtype).reshape(spec.shape)
        if flavour in (_ZERO_ROW, _SINGULAR, _IDENTITY):
            whole = _as_matrix(whole, flavour, positive)
        if flavour == _EQUAL:
            same = [
                a
                for a, s in zip(arrays, program.inputs, strict=False)
                if (s.shape, s.kind, s.domain) == (spec.shape, spec.kind, spec.domain)
            ]
            whole = same[0].copy() if same else whole
        arrays.append(whole)
    return tuple(arrays)


def _as_matrix(a: Array, flavour: int, positive: bool) -> Array:
    """The array with a row of zeros, with equal last rows, or as identity matrices, where its shape and domain allow."""
    if a.ndim < 1 or a.size == 0:
        return a
    if flavour == _ZERO_ROW and not positive:
        a[(0,) * (a.ndim - 1)] = 0.0
    if flavour == _SINGULAR and a.ndim > 1 and a.shape[-2] > 1:
        a[..., -1, :] = a[..., -2, :]
    if flavour == _IDENTITY and a.ndim > 1 and a.shape[-1] == a.shape[-2] and not positive:
        a[...] = np.eye(a.shape[-1])
    return a


def edges_of(case: Case) -> frozenset[str]:
    """Name those of EDGES that the float primals of a case hold.

    >>> from harness.programs import Instr, Program, Spec
    >>> sorted(edges_of(point(Program((Spec((2,)),), (Instr("sin", (0,)),), (1,)), kind="edge")))
    ['all zero', 'tie', 'zero']
    """
    found: set[str] = set()
    pairs = [(x, s) for x, s in zip(case.primals, case.program.inputs, strict=True) if s.kind == "float" and x.size]
    if not pairs:
        return frozenset()
    info = about(case.dtype)
    whole = np.concatenate([x.ravel() for x, _ in pairs])
    sizes = np.abs(whole)
    zeros = whole == 0
    if zeros.any():
        found.add("zero")
        if np.signbit(whole[zeros]).any():
            found.add("minus zero")
        for x, _ in pairs:
            if not x.any():
                found.add("all zero")
            elif x.ndim > 1 and not x.any(axis=-1).all():
                found.add("zero row")
    small = sizes < math.sqrt(info.tiny)
    if (small & ~zeros).any():
        found.add("subnormal" if ((sizes < info.tiny) & ~zeros).any() else "tiny")
        if ((sizes >= info.tiny) & small).any():
            found.add("tiny")
    largest = float(sizes.max())
    if largest > math.sqrt(info.max):
        found.add("huge")
    if ((sizes > 3.0) & (sizes < 15.0)).any():
        found.add("wide")
    if ((sizes >= 15.0) & (sizes <= 700.0)).any():
        found.add("saturated")
    if (sizes == 1.0).any():
        found.add("one")
    for i, (x, spec) in enumerate(pairs):
        if x.size > 1 and len(set(x.ravel().tolist())) < x.size:
            found.add("tie")
            if x.ndim > 1 and x.shape[-2] > 1:
                if (x[..., -1, :] == x[..., -2, :]).all():
                    found.add("singular matrix")
                if x.shape[-1] == x.shape[-2] and (x == np.eye(x.shape[-1])).all():
                    found.add("identity matrix")
        if any(x.shape == y.shape and x.dtype == y.dtype and (x == y).all() for y, _ in pairs[:i]):
            found.add("equal inputs")
        if spec.domain in _DOMAIN_ENDS and np.isin(x, _DOMAIN_ENDS[spec.domain]).any():
            found.add("end of a domain")
    return frozenset(found)


def layout_of(a: Array) -> str:
    """Say how an array lies in memory: "dense", "expanded", "transposed" or "strided".

    >>> layout_of(np.zeros((2, 3)).T), layout_of(np.zeros((2, 6))[:, ::2]), layout_of(np.broadcast_to(np.zeros(3), (2, 3)))
    ('transposed', 'strided', 'expanded')
    """
    if a.flags.c_contiguous:
        return "dense"
    if any(s == 0 and n > 1 for s, n in zip(a.strides, a.shape, strict=True)):
        return "expanded"
    order = sorted(range(a.ndim), key=lambda d: -a.strides[d])
    return "transposed" if a.transpose(order).flags.c_contiguous else "strided"


def laid_out(a: Array, layout: str) -> Array:
    """A copy of an array in another layout; where its rank is too low for it, the array."""
    if a.size < 2:
        return a
    if layout == "expanded":
        return np.broadcast_to(a[:1].copy(), a.shape)
    if layout == "transposed" and a.ndim > 1:
        return a.transpose().copy().transpose()
    if layout == "strided":
        room = np.zeros((*a.shape[:-1], 2 * a.shape[-1]), a.dtype)
        room[..., ::2] = a
        room[..., 1::2] = np.nan if a.dtype.kind == "f" else 1  # nobody may read what lies between
        return room[..., ::2]
    return a


def _cotangent(shape: Shape, dtype: str, layout: str, rng: np.random.Generator | None, k: int) -> Array:
    def values(size: Shape) -> Array:
        n = math.prod(size)
        flat: Array = np.resize(np.array(_COTANGENTS[k % 4 :]), n) if rng is None else rng.uniform(-2.0, 2.0, n)
        return to_dtype(flat, dtype).reshape(size)

    if layout == "repeated":  # one value, but laid out in full
        return np.full(shape, values((1,))[0], carrier(dtype))
    if layout == "expanded" and shape:
        return np.broadcast_to(values((1, *shape[1:])), shape)
    if layout == "transposed" and len(shape) > 1:
        return values(shape[::-1]).transpose()
    if layout == "strided" and shape:
        return laid_out(values((*shape[:-1], 2 * shape[-1]))[..., ::2], "strided")
    return values(shape)
