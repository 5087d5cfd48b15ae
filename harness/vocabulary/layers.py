"""Layers of neural networks: convolutions, pools and what moves pixels."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from harness.programs import Param, Spec
from harness.vocabulary.checks import REQUIRED, Call, Interval, Op, Required, Shape, like_reference

__all__ = ["LAYERS", "ROWS"]

# What every framework's table spells as PyTorch does, in torch.nn.functional.
LAYERS: Final = (
    "linear conv1d conv2d conv_transpose1d conv_transpose2d max_pool1d max_pool2d avg_pool1d avg_pool2d "
    "adaptive_avg_pool1d adaptive_avg_pool2d interpolate"
).split()

Listed = Callable[[Shape], Iterable[Call]]


def _with(*shapes: Shape, **params: Param) -> Call:
    return params, tuple(Spec(s) for s in shapes)


# --- convolutions

_CONVOLVED: Final[tuple[dict[str, Param], ...]] = (
    {},
    {"padding": 1},
    {"stride": 2},
    {"padding": "same"},
    {"dilation": 2, "padding": 1},
    {"stride": 2, "padding": 1},
)
_TRANSPOSED: Final[tuple[dict[str, Param], ...]] = (
    {},
    {"stride": 2},
    {"stride": 2, "output_padding": 1},
    {"padding": 1},
    {"dilation": 2},
)


def _kernels(rank: int, most: int) -> Iterable[Shape]:
    return itertools.product(range(1, most + 1), repeat=rank)


def _conv_calls(rank: int, rows: Sequence[dict[str, Param]]) -> Listed:
    """Weights with 1 and 2 output channels for an input (n, c, ...) or (c, ...), with and without a bias."""

    def listed(shape: Shape) -> Iterable[Call]:
        if len(shape) not in (rank + 1, rank + 2) or 0 in shape[-rank - 1 :]:
            return []
        c = shape[-rank - 1]
        found = []
        for row, kernel in itertools.product(rows, _kernels(rank, 3 if rank == 1 else 2)):
            for out in (1, 2):
                weight = (out, c, *kernel) if rows is _CONVOLVED else (c, out, *kernel)
                found += [_with(weight, **row), _with(weight, (out,), **row)]
            if c == 2:
                grouped = (2, 1, *kernel)
                found.append(_with(grouped, groups=2, **row))
        return found

    return listed


def _largest(x: Interval) -> float:
    return max(abs(x[0]), abs(x[1]))


def _convolved(intervals: Sequence[Interval], params: Mapping[str, Param], shape: Shape, out: Shape) -> Interval:
    size = 12 * _largest(intervals[0]) * _largest(intervals[1]) + (_largest(intervals[2]) if len(intervals) > 2 else 0)
    return -size, size  # at most 3 channels by 4 elements of a kernel


# --- pools


def _pool_calls(rank: int, rows: Sequence[dict[str, Param]]) -> Listed:
    def listed(shape: Shape) -> Iterable[Call]:
        if len(shape) not in (rank + 1, rank + 2) or 0 in shape:
            return []
        return [_with(kernel_size=k, **row) for k in (2, 1, 3) for row in rows]

    return listed


_MAX_POOLED: Final[tuple[dict[str, Param], ...]] = (
    {},
    {"stride": 1},
    {"padding": 1},
    {"stride": 1, "padding": 1},
    {"ceil_mode": True},
    # not a dilation: JAX has no gradient of a maximum over windows with gaps
)
_AVG_POOLED: Final[tuple[dict[str, Param], ...]] = (
    {},
    {"stride": 1},
    {"padding": 1},
    {"stride": 1, "padding": 1, "count_include_pad": False},
    {"ceil_mode": True},
)


def _adaptive_calls(rank: int) -> Listed:
    def listed(shape: Shape) -> Iterable[Call]:
        if len(shape) not in (rank + 1, rank + 2) or 0 in shape:
            return []
        return [_with(output_size=n) for n in (1, 2, 3)]

    return listed


def _around(intervals: Sequence[Interval], params: Mapping[str, Param], shape: Shape, out: Shape) -> Interval:
    """Means with zeros among what is averaged."""
    low, high = intervals[0]
    return min(low, 0.0), max(high, 0.0)


def _interpolate_calls(shape: Shape) -> Iterable[Call]:
    if len(shape) != 3 or 0 in shape:
        return []
    return [_with(scale_factor=2.0), _with(size=(1,)), _with(size=(3,)), _with(size=(5,))]


def _embedding_calls(shape: Shape) -> Iterable[Call]:
    if len(shape) != 2 or 0 in shape:
        return []
    n = shape[0]
    rows: list[Param] = [(0,), (n - 1, 0, n - 1), ((0, n - 1), (n - 1, n - 1)), tuple(range(n))]
    return [_with(index=index) for index in rows]


# --- the table


def _call(
    name: str,
    tensors: tuple[str, ...],
    calls: Listed,
    params: Mapping[str, Param | Required] = MappingProxyType({}),
    values: Callable[..., Interval | None] | None = None,
    *,
    optional: int = 0,
) -> Op:
    result = like_reference(name, *tensors)
    return Op(name, "call", tensors, result, params, calls=calls, values=values, optional=optional)


_CONV: Final = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1}
_CONV_T: Final = {"stride": 1, "padding": 0, "output_padding": 0, "groups": 1, "dilation": 1}
_LAYER: Final = ("input", "weight", "bias")
_MAX: Final = {"kernel_size": REQUIRED, "stride": None, "padding": 0, "dilation": 1, "ceil_mode": False}
_AVG: Final = {"kernel_size": REQUIRED, "stride": None, "padding": 0, "ceil_mode": False, "count_include_pad": True}


def _linear_calls(shape: Shape) -> Iterable[Call]:
    if not shape:
        return []
    n = shape[-1]
    return [_with((out, n), *bias) for out in (1, 2, 3) for bias in ((), ((out,),))] + [_with((n,))]


ROWS: Final = (
    _call("linear", _LAYER, _linear_calls, values=_convolved, optional=1),
    *(_call(f"conv{r}d", _LAYER, _conv_calls(r, _CONVOLVED), _CONV, _convolved, optional=1) for r in (1, 2)),
    *(
        _call(f"conv_transpose{r}d", _LAYER, _conv_calls(r, _TRANSPOSED), _CONV_T, _convolved, optional=1)
        for r in (1, 2)
    ),
    *(_call(f"max_pool{r}d", ("input",), _pool_calls(r, _MAX_POOLED), _MAX) for r in (1, 2)),
    *(_call(f"avg_pool{r}d", ("input",), _pool_calls(r, _AVG_POOLED), _AVG, _around) for r in (1, 2)),
    *(_call(f"adaptive_avg_pool{r}d", ("input",), _adaptive_calls(r), {"output_size": REQUIRED}) for r in (1, 2)),
    _call("interpolate", ("input",), _interpolate_calls, {"size": None, "scale_factor": None}),
    _call("embedding", ("weight",), _embedding_calls, {"index": REQUIRED}),
)
