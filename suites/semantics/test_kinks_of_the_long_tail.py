"""Kinks, singular and degenerate points of priority 3 among the basic operations, as `test_kinks` has them for the mission."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from .support import assert_equal
from .test_kinks import Points, kink

INF, NAN = math.inf, math.nan
LOG2 = math.log(2.0)

ROWS = [
    kink(
        "KP05",
        lambda m, x: m.clamp(x, 1.0, 1.0),
        [[0.0, 1.0, 2.0]],
        [[0, 1, 0]],
        in_jax=lambda jax, x: jax.numpy.clip(x, 1.0, 1.0),
        jax=[[0, 0.25, 0]],
        name="clamp to one point",
    ),
    kink(
        "KP06",
        lambda m, x: m.clamp(x, 0.0, 1.0),
        [[NAN]],
        [[0]],
        in_jax=lambda jax, x: jax.numpy.clip(x, 0.0, 1.0),
        name="clamp of nan",
    ),
    kink(
        "KP12",
        lambda m, x: m.amax(x, 0),
        [[1.0, 3.0, 3.0, 2.0]],
        [[0, 0.5, 0.5, 0]],
        in_jax=lambda jax, x: jax.numpy.amax(x, 0),
        name="amax along a dim",
    ),
    kink(
        "KP20",
        lambda m, x: m.maximum(x, x),
        [[1.0, 2.0]],
        [[1, 1]],
        in_jax=lambda jax, x: jax.numpy.maximum(x, x),
        name="maximum of x and x",
    ),
    kink(
        "KP22",
        lambda m, x: m.rsqrt(x),
        [[0.0, 1.0]],
        [[-INF, -0.5]],
        in_jax=lambda jax, x: jax.lax.rsqrt(x),
        name="rsqrt",
    ),
    kink(
        "KP24",
        lambda m, x: x.norm(1),
        [[0.0, 1.0]],
        [[0, 1]],
        in_jax=lambda jax, x: jax.numpy.linalg.norm(x, 1),
        jax=[[1, 1]],
        name="1-norm",
    ),
    kink(
        "KP25",
        lambda m, x: x.norm(INF),
        [[1.0, -1.0, 0.5]],
        [[0.5, -0.5, 0]],
        in_jax=lambda jax, x: jax.numpy.linalg.norm(x, INF),
        name="inf-norm at a tie",
    ),
    kink(
        "KP26",
        lambda m, x: x.norm(3),
        [[0.0, 0.0]],
        [[0, 0]],
        in_jax=lambda jax, x: jax.numpy.linalg.norm(x, 3),
        jax=[[NAN, NAN]],
        name="3-norm",
    ),
    kink(
        "KP28",
        lambda m, x: x.norm(dim=1, keepdim=True),
        [[[0.0, 0.0], [0.0, -2.0]]],
        [[[0, 0], [0, -1]]],
        in_jax=lambda jax, x: jax.numpy.linalg.norm(x, axis=1, keepdims=True),
        jax=[[[NAN, NAN], [0, -1]]],
        name="norm partly 0",
    ),
    kink(
        "KP31",
        lambda m, x: x.norm(),
        [-2.0],
        [-1.0],
        in_jax=lambda jax, x: jax.numpy.linalg.norm(x),
        name="0-d norm of a negative number",
    ),
    kink(
        "KP41",
        lambda m, x, y: m.pow(x, y),
        [[0.0], [-1.0]],
        [[-INF], [-INF]],
        in_jax=lambda jax, x, y: x**y,
        jax=[[-INF], [NAN]],
        name="0 to the -1",
    ),
    kink(
        "KP42",
        lambda m, x, y: m.pow(x, y),
        [[-2.0], [0.5]],
        [[NAN], [NAN]],
        in_jax=lambda jax, x, y: x**y,
        name="root of a negative base",
    ),
    kink(
        "KP43",
        lambda m, x: m.pow(2.0, x),
        [[0.0, 1.0]],
        [[LOG2, 2 * LOG2]],
        in_jax=lambda jax, x: 2.0**x,
        name="number to the x",
    ),
    kink(
        "KP44",
        lambda m, x: m.pow(0.0, x),
        [[0.0, 1.0, -1.0]],
        [[0, 0, -INF]],
        in_jax=lambda jax, x: 0.0**x,
        jax=[[0, 0, NAN]],
        name="0 to the x",
    ),
    kink(
        "KP46",
        lambda m, x: m.log1p(x),
        [[-1.0, 0.0]],
        [[INF, 1]],
        in_jax=lambda jax, x: jax.numpy.log1p(x),
        name="log1p",
    ),
    kink(
        "KP47",
        lambda m, x: m.exp(x),
        [[1000.0, -1000.0]],
        [[INF, 0]],
        in_jax=lambda jax, x: jax.numpy.exp(x),
        name="exp out of range",
    ),
    kink(
        "KP48",
        lambda m, x: m.sigmoid(x),
        [[1000.0, -1000.0, 0.0]],
        [[0, 0, 0.25]],
        in_jax=lambda jax, x: jax.nn.sigmoid(x),
        name="sigmoid out of range",
    ),
    kink(
        "KP50",
        lambda m, x: m.tanh(x),
        [[1000.0, 0.0]],
        [[0, 1]],
        in_jax=lambda jax, x: jax.numpy.tanh(x),
        name="tanh out of range",
    ),
    kink("KP52", lambda m, x: x / x, [[0.0]], [[NAN]], in_jax=lambda jax, x: x / x, name="0 / 0"),
    kink(
        "KP53",
        lambda m, x: m.floor(x),
        [[0.5, 1.0]],
        [[0, 0]],
        in_jax=lambda jax, x: jax.numpy.floor(x),
        name="floor",
    ),
    kink(
        "KP60",
        lambda m, x: m.where(x > 0, m.log(m.where(x > 0, x, 1.0)), 0.0),
        [[0.0, 1.0]],
        [[0, 1]],
        in_jax=lambda jax, x: jax.numpy.where(x > 0, jax.numpy.log(jax.numpy.where(x > 0, x, 1.0)), 0.0),
        name="where within and without",
    ),
    kink(
        "KP65",
        lambda m, x: x.var(),
        [[1.0, 1.0]],
        [[0, 0]],
        in_jax=lambda jax, x: jax.numpy.var(x, ddof=1),
        name="var of equal numbers",
    ),
    kink(
        "KP67",
        lambda m, x: x.std(),
        [[1.0]],
        [[NAN]],
        in_jax=lambda jax, x: jax.numpy.std(x, ddof=1),
        name="std of one number",
    ),
    kink("KP68", lambda m, x: x.mean(), [[]], [[]], in_jax=lambda jax, x: x.mean(), name="mean of nothing"),
    kink("KP70", lambda m, x: x.prod(), [[]], [[]], in_jax=lambda jax, x: x.prod(), name="prod of nothing"),
    kink(
        "KP71",
        lambda m, x: m.logsumexp(x, 0),
        [[-INF, -INF]],
        [[NAN, NAN]],
        in_jax=lambda jax, x: jax.nn.logsumexp(x),
        name="logsumexp of -inf alone",
    ),
    kink(
        "KP72",
        lambda m, x: m.logsumexp(x, 0),
        [[-INF, 0.0]],
        [[0, 1]],
        in_jax=lambda jax, x: jax.nn.logsumexp(x),
        name="logsumexp with a -inf",
    ),
    kink(
        "KP73",
        lambda m, x: m.softmax(x, 0)[0],
        [[0.0, -INF]],
        [[0, 0]],
        in_jax=lambda jax, x: jax.nn.softmax(x)[0],
        name="softmax with a -inf",
    ),
    kink(
        "KP74",
        lambda m, x: m.log_softmax(x, 0)[0],
        [[0.0, 1000.0]],
        [[1, -1]],
        in_jax=lambda jax, x: jax.nn.log_softmax(x)[0],
        name="log_softmax far apart",
    ),
    kink(
        "KP75",
        lambda m, y, x: m.atan2(y, x),
        [[0.0], [0.0]],
        [[0], [0]],
        in_jax=lambda jax, y, x: jax.numpy.arctan2(y, x),
        jax=[[NAN], [NAN]],
        name="atan2 at the origin",
    ),
    kink(
        "KP83",
        lambda m, x: x * m.log(x),
        [[0.0]],
        [[NAN]],
        in_jax=lambda jax, x: x * jax.numpy.log(x),
        name="x log x",
    ),
    kink(
        "KP84",
        lambda m, x, y: m.logaddexp(x, y),
        [[-INF], [-INF]],
        [[NAN], [NAN]],
        in_jax=lambda jax, x, y: jax.numpy.logaddexp(x, y),
        name="logaddexp of -inf",
    ),
    kink(
        "KP85",
        lambda m, x, y: m.logaddexp(x, y),
        [[0.0], [0.0]],
        [[0.5], [0.5]],
        in_jax=lambda jax, x, y: jax.numpy.logaddexp(x, y),
        name="logaddexp of equal numbers",
    ),
    kink("KP98", lambda m, x: x ** (1 / 3), [[0.0]], [[INF]], in_jax=lambda jax, x: x ** (1 / 3), name="cube root"),
    kink("KP102", lambda m, x: m.square(x), [[0.0]], [[0]], in_jax=lambda jax, x: jax.numpy.square(x), name="square"),
    kink(
        "KP103",
        lambda m, x: m.reciprocal(x),
        [[0.0]],
        [[-INF]],
        in_jax=lambda jax, x: jax.numpy.reciprocal(x),
        name="reciprocal",
    ),
    kink(
        "KP108",
        lambda m, x: m.gather(x, 0, m.tensor([0, 0, 1])),
        [[1.0, 2.0]],
        [[2, 1]],
        in_jax=lambda jax, x: jax.numpy.take_along_axis(x, jax.numpy.array([0, 0, 1]), 0),
        name="gather with repeats",
    ),
    kink(
        "KP97",
        lambda m, x: (x > 0).double() * x,
        [[0.0, 1.0, -1.0]],
        [[0, 1, 0]],
        in_jax=lambda jax, x: (x > 0) * x,
        name="step times x",
    ),
    kink(
        "KP14",
        lambda m, x: m.max(x),
        [[1.0, NAN, 3.0]],
        [[0, 1, 0]],
        in_jax=lambda jax, x: jax.numpy.max(x),
        jax=[[NAN, NAN, NAN]],
        name="max with a nan",
    ),
    kink(
        "KP15",
        lambda m, x: m.median(x),
        [[3.0, 1.0, 2.0]],
        [[0, 0, 1]],
        in_jax=lambda jax, x: jax.numpy.median(x),
        name="median of three",
    ),
    kink(
        "KP16",
        lambda m, x: m.median(x),
        [[3.0, 1.0, 2.0, 4.0]],
        [[0, 0, 1, 0]],
        in_jax=lambda jax, x: jax.numpy.median(x),
        jax=[[0.5, 0, 0.5, 0]],
        name="median of four",
    ),
    kink(
        "KP63",
        lambda m, x: m.cumprod(x, 0),
        [[2.0, 0.0, 3.0]],
        [[1, 8, 0]],
        in_jax=lambda jax, x: jax.numpy.cumprod(x),
        name="running product with a zero",
    ),
    kink(
        "KP64",
        lambda m, x: m.cummax(x, 0)[0],
        [[1.0, 1.0, 2.0, 2.0]],
        [[1, 1, 1, 1]],
        in_jax=lambda jax, x: jax.lax.cummax(x),
        jax=[[1.5, 0.5, 1.5, 0.5]],
        name="running maximum with ties",
    ),
    kink(
        "KP66",
        lambda m, x: m.std(x),
        [[1.0, 1.0]],
        [[0, 0]],
        in_jax=lambda jax, x: jax.numpy.std(x, ddof=1),
        jax=[[NAN, NAN]],
        name="standard deviation of a constant",
    ),
    kink(
        "KP93",
        lambda m, x: m.sort(x)[0] * m.tensor([1.0, 2.0, 3.0], dtype=m.float64),
        [[2.0, 1.0, 1.0]],
        [[3, 1, 2]],
        in_jax=lambda jax, x: jax.numpy.sort(x) * jax.numpy.array([1.0, 2.0, 3.0]),
        name="sort with ties",
    ),
]


@pytest.mark.filterwarnings("ignore:std:UserWarning")  # PyTorch's, of one number
@pytest.mark.parametrize(("function", "points", "gradients", "_in_jax", "_jax"), ROWS)
def test_the_gradient_at_the_kink_is_the_documented_one(
    torch_like: Any, function: Any, points: Points, gradients: Points, _in_jax: Any, _jax: Any
) -> None:
    leaves = [torch_like.tensor(p, dtype=torch_like.float64, requires_grad=True) for p in points]
    with np.errstate(all="ignore"):
        function(torch_like, *leaves).sum().backward()
    for leaf, gradient in zip(leaves, gradients, strict=True):
        assert_equal(leaf.grad, gradient, nan_matches_nan=True)


@pytest.mark.parametrize(("_function", "points", "_torch", "in_jax", "gradients"), ROWS)
def test_the_gradient_at_the_kink_in_jax_is_the_documented_one(
    jax_x64: Any, _function: Any, points: Points, _torch: Any, in_jax: Any, gradients: Points
) -> None:
    arrays = [jax_x64.numpy.asarray(np.asarray(p, dtype=np.float64)) for p in points]
    found = jax_x64.grad(lambda *xs: in_jax(jax_x64, *xs).sum(), argnums=tuple(range(len(arrays))))(*arrays)
    for got, wanted in zip(found, gradients, strict=True):
        assert got.dtype == np.float64
        assert np.array_equal(np.asarray(got), np.asarray(wanted, dtype=np.float64), equal_nan=True), (got, wanted)
