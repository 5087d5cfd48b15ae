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
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from harness.cases import Array, Case
from harness.inference import OPS, differentiable_slots, infer
from harness.programs import Program, Scalar, Spec

__all__ = ["DOMAIN_RANGES", "LAYOUTS", "POINT_KINDS", "live_slots", "point"]

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
_COTANGENTS: Final = (2.0, -1.0, 0.5, 3.0, -0.5, 1.5, -2.0, 0.25)


def point(
    program: Program,
    *,
    seed: int = 0,
    kind: str = "random",
    dtype: str = "float64",
    layouts: Sequence[str] | None = None,
    requires_grad: Sequence[bool] | None = None,
) -> Case:
    """Put a program at a point; the same arguments give the same case.

    Args:
        seed: 0 gives simple distinct numbers (halves, quarters) at a random point, zeros (ones where the domain is
            positive) at an edge.
        kind: "random" (generic values of each input's domain, no ties) or "edge" (zeros of both signs, ties, tiny and
            denormal, seldom huge).
        layouts: one of LAYOUTS an output: how its cotangent lies in memory; by default all "dense". "unused" (None as
            cotangent) is followed only while another output remains whose gradient has elements.
        requires_grad: one flag an input; by default all float inputs; if nothing differentiable remains, also all.
    """
    rng = np.random.default_rng(seed) if seed else None
    primals = _edge_primals(program, dtype, rng) if kind == "edge" else _primals(program, dtype, rng)
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
            arrays.append(flat.astype(dtype).reshape(spec.shape))
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
_TINY: Final = {"fraction": (1e-30, 1.0 - 2.0**-20), "above one": (1.0 + 2.0**-20,)}
_POOLS: Final = {
    "positive": (1.0, 0.5, 2.0, 1.0),
    "fraction": (0.5, 0.25, 0.75, 0.5),
    "above one": (1.0, 1.5, 2.0, 2.0),
}


def _edge_primals(program: Program, dtype: str, rng: np.random.Generator | None) -> tuple[Array, ...]:
    info = np.finfo(dtype)
    flavour = 0 if rng is None else int(rng.integers(16))  # 0-12: zeros and ties; 13, 14: tiny; 15: one huge
    chosen = 0 if rng is None else int(rng.integers(len(program.inputs)))  # the input that may get the huge element
    arrays: list[Array] = []
    for i, spec in enumerate(program.inputs):
        n = math.prod(spec.shape)
        if spec.kind != "float" or rng is None:
            start = _START.get(spec.domain, 0.0)
            whole: Array = np.full(n, start) if rng is None else rng.integers(-1, 2, n)
            arrays.append(whole.astype({"float": dtype, "int": "int64", "bool": "bool"}[spec.kind]).reshape(spec.shape))
            continue
        positive = spec.domain in _POOLS
        pool = list(_POOLS[spec.domain]) if positive else [0.0, -0.0, 1.0, -1.0, 0.0, 0.5, -0.5, 1.0]
        if not positive and spec.domain != "unit":
            pool += [2.0, -2.0, 3.0]
        if 13 <= flavour <= 14:
            smallest = float(info.smallest_subnormal)
            pool += _TINY.get(spec.domain, (1e-30, float(info.tiny), *(() if positive else (-1e-30, smallest))))
        flat = rng.choice(np.array(pool), n)
        if flavour == 15 and i == chosen and n and spec.domain not in ("unit", "fraction"):
            flat[int(rng.integers(n))] = 1e30 if dtype == "float32" else 1e300
        arrays.append(flat.astype(dtype).reshape(spec.shape))
    return tuple(arrays)


def _cotangent(shape: Shape, dtype: str, layout: str, rng: np.random.Generator | None, k: int) -> Array:
    def values(size: Shape) -> Array:
        n = math.prod(size)
        flat: Array = np.resize(np.array(_COTANGENTS[k % 4 :]), n) if rng is None else rng.uniform(-2.0, 2.0, n)
        return flat.astype(dtype).reshape(size)

    if layout == "repeated":  # one value, but laid out in full
        return np.full(shape, values((1,))[0], dtype)
    if layout == "expanded" and shape:
        return np.broadcast_to(values((1, *shape[1:])), shape)
    if layout == "transposed" and len(shape) > 1:
        return values(shape[::-1]).transpose()
    if layout == "strided" and shape:
        return values((*shape[:-1], 2 * shape[-1]))[..., ::2]
    return values(shape)
