"""Products that sum."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from harness.programs import Param, Spec
from harness.vocabulary.checks import (
    REQUIRED,
    Arg,
    Call,
    Interval,
    Op,
    ProgramError,
    Required,
    Shape,
    broadcast,
    like_reference,
    tensor_of,
)

__all__ = ["ROWS"]


def _matmul(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    a, b = tensor_of(args, 0, "a").shape, tensor_of(args, 1, "b").shape
    if not a or not b:
        raise ProgramError(f"a has shape {a}, b has shape {b}; both need at least 1 axis")
    if a[-1] != (b[-2] if len(b) > 1 else b[0]):
        raise ProgramError(f"a has shape {a}, b has shape {b}: the inner sizes differ")
    return Spec(broadcast(a[:-2], b[:-2]) + a[-2:-1] + (b[-1:] if len(b) > 1 else ()))


def _vectors(args: Sequence[Arg]) -> tuple[int, int]:
    a, b = tensor_of(args, 0, "a").shape, tensor_of(args, 1, "b").shape
    if len(a) != 1 or len(b) != 1:
        raise ProgramError(f"a has shape {a}, b has shape {b}, want two vectors")
    return a[0], b[0]


def _dot(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    m, n = _vectors(args)
    if m != n:
        raise ProgramError(f"a has shape ({m},), b has shape ({n},): the sizes differ")
    return Spec(())


def _outer(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    return Spec(_vectors(args))


# --- how they are called


def _with(*shapes: Shape, **params: Param) -> Call:
    return params, tuple(Spec(s) for s in shapes)


def _einsum_calls(shape: Shape) -> Iterable[Call]:
    words: list[tuple[str, *tuple[Shape, ...]]] = []
    if len(shape) == 1:
        (n,) = shape
        words = [("i,i->", (n,)), ("i->",), ("i,j->ij", (2,)), ("i,i->i", (n,)), ("i,ij->j", (n, 2))]
        words += [("i,ij,j->", (n, 2), (2,)), ("i,j", (3,)), ("...,...->...", (2, 1))]
    elif len(shape) == 2:
        m, n = shape
        words = [("ij,jk->ik", (n, 2)), ("ij->ji",), ("ij->",), ("ij->j",), ("ij,j->i", (n,)), ("ij,kj->ik", (2, n))]
        words += [("ij,ij->i", shape), ("ij,ij->ij", shape), ("ij,ik->jk", (m, 2)), ("ij,jk,kl->il", (n, 2), (2, 3))]
        words += [
            ("...j,j->...", (n,)),
            ("ij,ij", shape),
            ("ij,j->ij", (1,)),
            ("ji,k->ijk", (2,)),
            ("ij,ik,il->jkl", (m, 2), (m, 2)),
        ]
        words += [("ii->",), ("ii->i",), ("ii,i->i", (n,)), ("iij->ij",)] if m == n else []
    elif len(shape) == 3:
        b, m, n = shape
        words = [("bij,bjk->bik", (b, n, 2)), ("bij,bij->b", shape), ("bij,jk->bik", (n, 2)), ("...ij->...ji",)]
        words += [("bij,bj->bi", (b, n)), ("bij->i",), ("bij,kij->bk", (2, m, n)), ("...ij,...jk->...ik", (n, 2))]
        words += [("bii->bi",), ("bii->b",)] if m == n else []
    return [_with(*shapes, equation=word) for word, *shapes in words]


def _tensordot_calls(shape: Shape) -> Iterable[Call]:
    rank = len(shape)
    rows = [_with((*shape[rank - k :], *more), dims=k) for k in range(1, rank + 1) for more in ((2,), (), (1, 2))]
    rows += [_with((*more, n), dims=((d,), (-1,))) for d, n in enumerate(shape) for more in ((), (2,))]
    rows += [_with((2,), dims=0)]
    if rank >= 2:
        rows += [_with((shape[1], shape[0], 2), dims=((0, 1), (1, 0)))]
    return rows


def _inner_calls(shape: Shape) -> Iterable[Call]:
    n = shape[-1:]
    return [_with(n), _with((2, *n)), _with((2, 1, *n)), _with(())]


def _vecdot_calls(shape: Shape) -> Iterable[Call]:
    rows = [_with(shape), *(_with(shape, dim=d) for d in range(len(shape)))]
    rows += [_with((*shape[:-2], 1, shape[-1])), _with(shape[1:])] if len(shape) > 1 else []
    return [*rows, _with((2, *shape))] if shape else []


def _kron_calls(shape: Shape) -> Iterable[Call]:
    return [_with(s) for s in ((2,), (2, 2), (), (1, 3), (2, 1, 2))]


def _bmm_calls(shape: Shape) -> Iterable[Call]:
    return [_with((shape[0], shape[2], n)) for n in (1, 2, 3, 0)] if len(shape) == 3 else []


def _scalings() -> Iterable[dict[str, Param]]:
    return ({}, {"beta": 2.0}, {"alpha": -0.5}, {"beta": 0.5, "alpha": 3.0}, {"beta": 0.0}, {"alpha": 2, "beta": -1})


def _added_calls(shapes: Callable[[Shape], Iterable[tuple[Shape, Shape]]]) -> Callable[[Shape], Iterable[Call]]:
    """Calls of beta * input + alpha * product for the pairs of factors that fit an input of a shape."""

    def listed(shape: Shape) -> Iterable[Call]:
        return [_with(*pair, **row) for row, pair in itertools.product(_scalings(), shapes(shape))]

    return listed


def _addmm_factors(shape: Shape) -> Iterable[tuple[Shape, Shape]]:
    m, n = ((1, 1, *shape))[-2:]
    rows = [((m, k), (k, n)) for k in (1, 2, 3)] if len(shape) <= 2 else []
    return [*rows, ((2, 3), (3, n)), ((3, 0), (0, n))] if len(shape) <= 1 else rows


def _addmv_factors(shape: Shape) -> Iterable[tuple[Shape, Shape]]:
    return [((n, k), (k,)) for n in (*shape, 2) for k in (1, 2, 3)] if len(shape) <= 1 else []


def _addr_factors(shape: Shape) -> Iterable[tuple[Shape, Shape]]:
    m, n = ((1, 1, *shape))[-2:]
    return [((m,), (n,)), ((2,), (n,)), ((2,), (3,))] if len(shape) <= 2 else []


def _baddbmm_factors(shape: Shape) -> Iterable[tuple[Shape, Shape]]:
    b, m, n = ((1, 1, 1, *shape))[-3:]
    return [((b, m, k), (b, k, n)) for k in (1, 2, 3)] + [((2, m, 2), (2, 2, n))]


def _addbmm_factors(shape: Shape) -> Iterable[tuple[Shape, Shape]]:
    m, n = ((1, 1, *shape))[-2:]
    return [((b, m, k), (b, k, n)) for b in (1, 2) for k in (1, 2)] if len(shape) <= 2 else []


def _cross_calls(shape: Shape) -> Iterable[Call]:
    return [_with(shape, **({"dim": d} if d != -1 else {})) for d, n in enumerate(shape, -len(shape)) if n == 3][::-1]


def _cdist_calls(shape: Shape) -> Iterable[Call]:
    if len(shape) < 2:
        return []
    return [_with((m, shape[-1]), **row) for row in ({}, {"p": 1.0}, {"p": 3.0}) for m in (1, 2, 3)]


def _chain_calls(shape: Shape) -> Iterable[Call]:
    if len(shape) not in (1, 2):
        return []
    n = shape[-1]
    return [
        _with(*rest)
        for rest in (
            ((n, 2),),
            ((n,),),
            ((n, 2), (2, 3)),
            ((n, 3), (3, 1)),
            ((n, 2), (2, 2), (2,)),
            ((n, 1), (1, 3), (3, 2)),
        )
    ]


def _bilinear_calls(shape: Shape) -> Iterable[Call]:
    if not shape or 0 in shape:
        return []
    rows = [((*shape[:-1], m), (o, shape[-1], m)) for m in (1, 2) for o in (1, 2)]
    return [_with(*pair, *bias) for pair in rows for bias in ((), ((pair[1][0],),))]


# --- where their values lie


def _largest(x: Interval) -> float:
    return max(abs(x[0]), abs(x[1]))


def _product_of(intervals: Sequence[Interval], params: Mapping[str, Param], shape: Shape, out: Shape) -> Interval:
    """Sums of products of one element of each: as many terms as the first tensor has elements, times 2 for each other."""
    size = math.prod(map(_largest, intervals)) * max(math.prod(shape), 1) * 2 ** (len(intervals) - 1)
    return -size, size


def _added(intervals: Sequence[Interval], params: Mapping[str, Param], shape: Shape, out: Shape) -> Interval:
    x, a, b = map(_largest, intervals)
    size = 3 * x + 3 * a * b * 4  # the factors in the lists above are at most 3, the sums have at most 4 terms
    return -size, size


def _distance(intervals: Sequence[Interval], params: Mapping[str, Param], shape: Shape, out: Shape) -> Interval:
    return 0.0, (_largest(intervals[0]) + _largest(intervals[1])) * max(shape[-1], 1)


# --- the table

_AB = ("a", "b")
_SCALED: Final[Mapping[str, Param]] = {"beta": 1, "alpha": 1}
Values = Callable[[Sequence[Interval], Mapping[str, Param], Shape, Shape], Interval | None]


def _call(
    name: str,
    tensors: tuple[str, ...],
    calls: Callable[[Shape], Iterable[Call]],
    params: Mapping[str, Param | Required] = MappingProxyType({}),
    values: Values = _product_of,
    *,
    optional: int = 0,
) -> Op:
    result = like_reference(name, *tensors)
    return Op(name, "call", tensors, result, params, calls=calls, values=values, optional=optional)


ROWS: Final = (
    Op("matmul", "contraction", _AB, _matmul),
    Op("dot", "contraction", _AB, _dot),
    Op("outer", "contraction", _AB, _outer),
    _call("bmm", ("input", "mat2"), _bmm_calls),
    _call("einsum", ("*xs",), _einsum_calls, {"equation": REQUIRED}),
    _call("tensordot", _AB, _tensordot_calls, {"dims": 2}),
    _call("inner", ("input", "other"), _inner_calls),
    _call("vecdot", ("x", "y"), _vecdot_calls, {"dim": -1}),
    _call("kron", ("input", "other"), _kron_calls),
    _call("addmm", ("input", "mat1", "mat2"), _added_calls(_addmm_factors), _SCALED, _added),
    _call("addmv", ("input", "mat", "vec"), _added_calls(_addmv_factors), _SCALED, _added),
    _call("addr", ("input", "vec1", "vec2"), _added_calls(_addr_factors), _SCALED, _added),
    _call("baddbmm", ("input", "batch1", "batch2"), _added_calls(_baddbmm_factors), _SCALED, _added),
    _call("addbmm", ("input", "batch1", "batch2"), _added_calls(_addbmm_factors), _SCALED, _added),
    _call("cross", ("input", "other"), _cross_calls, {"dim": -1}),
    _call("cdist", ("x1", "x2"), _cdist_calls, {"p": 2.0}, _distance),
    _call("multi_dot", ("*xs",), _chain_calls),
    _call("bilinear", ("input1", "input2", "weight", "bias"), _bilinear_calls, optional=1),
)
