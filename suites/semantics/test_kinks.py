"""Kinks, singular and degenerate points: the gradient that each framework gives there, in float64.

The gradient is that of the sum of the outputs. The reference follows PyTorch; the JAX column is stated where the same
function exists there, so that a change of convention in either framework shows up as a failure of this table.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from .support import assert_equal

INF, NAN = math.inf, math.nan
Points = Sequence[Any]


def kink(
    row: str,
    function: Callable[..., Any],
    points: Points,
    torch: Points,
    *,
    jax: Points | None = None,
    in_jax: Callable[..., Any] | None = None,
    name: str = "",
) -> Any:
    """One row: arguments, the gradient for each in PyTorch, and in JAX (the same one unless `jax` is given)."""
    return pytest.param(
        function,
        points,
        torch,
        in_jax,
        torch if jax is None else jax,
        marks=pytest.mark.catalogue(row),
        id=f"{row} {name}".strip(),
    )


THIRD = 1.0 / 3.0
LOG2 = math.log(2.0)
ROWS = [
    kink(
        "KP01",
        lambda m, x: m.relu(x),
        [[-1.0, 0.0, -0.0, 1.0, INF, NAN]],
        [[0, 0, 0, 1, 1, 1]],
        in_jax=lambda jax, x: jax.nn.relu(x),
        jax=[[0, 0, 0, 1, 1, 0]],
        name="relu",
    ),
    kink(
        "KP02",
        lambda m, x: m.maximum(x, m.zeros((), dtype=m.float64)),
        [[-1.0, 0.0, 1.0]],
        [[0, 0.5, 1]],
        in_jax=lambda jax, x: jax.numpy.maximum(x, 0.0),
        name="maximum with 0",
    ),
    kink(
        "KP03",
        lambda m, x: m.clamp(x, min=0),
        [[-1.0, 0.0, 1.0]],
        [[0, 1, 1]],
        in_jax=lambda jax, x: jax.numpy.clip(x, 0.0),
        jax=[[0, 0.5, 1]],
        name="clamp from below",
    ),
    kink(
        "KP04",
        lambda m, x: m.clamp(x, min=0, max=1),
        [[-1.0, 0.0, 0.5, 1.0, 2.0]],
        [[0, 1, 1, 1, 0]],
        in_jax=lambda jax, x: jax.numpy.clip(x, 0.0, 1.0),
        jax=[[0, 0.5, 1, 0.5, 0]],
        name="clamp to an interval",
    ),
    kink(
        "KP07",
        lambda m, x: m.abs(x),
        [[-1.0, 0.0, -0.0, 1.0]],
        [[-1, 0, 0, 1]],
        in_jax=lambda jax, x: jax.numpy.abs(x),
        jax=[[-1, 1, 1, 1]],
        name="abs",
    ),
    kink(
        "KP08",
        lambda m, x: m.sign(x),
        [[-1.0, 0.0, 1.0]],
        [[0, 0, 0]],
        in_jax=lambda jax, x: jax.numpy.sign(x),
        name="sign",
    ),
    kink(
        "KP09",
        lambda m, x: x.max(),
        [[1.0, 3.0, 3.0, 2.0]],
        [[0, 0.5, 0.5, 0]],
        in_jax=lambda jax, x: x.max(),
        name="max of all",
    ),
    kink(
        "KP10",
        lambda m, x: x.min(),
        [[1.0, 1.0, 1.0]],
        [[THIRD, THIRD, THIRD]],
        in_jax=lambda jax, x: x.min(),
        name="min of all",
    ),
    kink(
        "KP11",
        lambda m, x: m.amax(x),
        [[1.0, 3.0, 3.0, 2.0]],
        [[0, 0.5, 0.5, 0]],
        in_jax=lambda jax, x: jax.numpy.amax(x),
        name="amax",
    ),
    kink(
        "KP13",
        lambda m, x: x.max(0).values,
        [[1.0, 3.0, 3.0, 2.0]],
        [[0, 1, 0, 0]],
        in_jax=lambda jax, x: x.max(axis=0),
        jax=[[0, 0.5, 0.5, 0]],
        name="max along a dim",
    ),
    kink(
        "KP17",
        lambda m, x, y: m.maximum(x, y),
        [[1.0, 2.0, 3.0], [1.0, 3.0, 2.0]],
        [[0.5, 0, 1], [0.5, 1, 0]],
        in_jax=lambda jax, x, y: jax.numpy.maximum(x, y),
        name="maximum",
    ),
    kink(
        "KP18",
        lambda m, x, y: m.minimum(x, y),
        [[1.0, 2.0, 3.0], [1.0, 3.0, 2.0]],
        [[0.5, 1, 0], [0.5, 0, 1]],
        in_jax=lambda jax, x, y: jax.numpy.minimum(x, y),
        name="minimum",
    ),
    kink(
        "KP21",
        lambda m, x: m.sqrt(x),
        [[0.0, 1.0, -1.0]],
        [[INF, 0.5, NAN]],
        in_jax=lambda jax, x: jax.numpy.sqrt(x),
        name="sqrt",
    ),
    kink(
        "KP23",
        lambda m, x: x.norm(),
        [[0.0, 0.0]],
        [[0, 0]],
        in_jax=lambda jax, x: jax.numpy.linalg.norm(x),
        jax=[[NAN, NAN]],
        name="norm",
    ),
    kink(
        "KP27",
        lambda m, x: m.linalg.vector_norm(x),
        [[0.0, 0.0]],
        [[0, 0]],
        in_jax=lambda jax, x: jax.numpy.linalg.norm(x),
        jax=[[NAN, NAN]],
        name="vector_norm",
    ),
    kink(
        "KP29",
        lambda m, x: m.sqrt((x * x).sum()),
        [[0.0, 0.0]],
        [[NAN, NAN]],
        in_jax=lambda jax, x: jax.numpy.sqrt((x * x).sum()),
        name="sqrt of a sum of squares",
    ),
    kink(
        "KP30",
        lambda m, x: x.norm(),
        [0.0],
        [0.0],
        in_jax=lambda jax, x: jax.numpy.linalg.norm(x),
        jax=[NAN],
        name="0-d norm",
    ),
    *(
        kink(
            row, lambda m, x, p=p: m.pow(x, p), [x], [g], in_jax=lambda jax, x, p=p: x**p, jax=j, name=f"pow(x, {p!r})"
        )
        for row, p, x, g, j in [
            ("KP32", 2, [0.0, -1.0], [0, -2], None),
            ("KP33", 0, [0.0, 2.0], [0, 0], None),
            ("KP34", 0.0, [0.0, 2.0], [0, 0], [[NAN, 0]]),
            ("KP35", 1, [0.0, 2.0], [1, 1], None),
            ("KP36", 0.5, [0.0, 4.0, -1.0], [INF, 0.25, NAN], None),
            ("KP37", -1, [0.0, 2.0], [-INF, -0.25], None),
            ("KP38", 3, [0.0, -2.0], [0, 12], None),
        ]
    ),
    kink(
        "KP39",
        lambda m, x, y: m.pow(x, y),
        [[0.0, 0.0, 0.0, 2.0, -2.0], [0.0, 1.0, 2.0, 0.0, 2.0]],
        [[0, 1, 0, 0, -4], [0, 0, 0, LOG2, NAN]],
        in_jax=lambda jax, x, y: x**y,
        jax=[[NAN, 1, 0, 0, -4], [0, 0, 0, LOG2, NAN]],
        name="pow of two tensors",
    ),
    kink(
        "KP40",
        lambda m, x, y: m.pow(x, y),
        [[0.0], [0.0]],
        [[0], [0]],
        in_jax=lambda jax, x, y: x**y,
        jax=[[NAN], [0]],
        name="0 to the 0",
    ),
    kink(
        "KP45",
        lambda m, x: m.log(x),
        [[0.0, 1.0, -1.0]],
        [[INF, 1, -1]],
        in_jax=lambda jax, x: jax.numpy.log(x),
        name="log",
    ),
    kink("KP51", lambda m, x: 1 / x, [[0.0]], [[-INF]], in_jax=lambda jax, x: 1 / x, name="1 / 0"),
    kink(
        "KP59",
        lambda m, x: m.where(x > 0, m.log(x), m.zeros((), dtype=m.float64)),
        [[0.0, 1.0]],
        [[NAN, 1]],
        in_jax=lambda jax, x: jax.numpy.where(x > 0, jax.numpy.log(x), 0.0),
        name="where hides a value but not its gradient",
    ),
    kink(
        "KP61",
        lambda m, x: x.prod(),
        [[0.0, 2.0, 3.0]],
        [[6, 0, 0]],
        in_jax=lambda jax, x: x.prod(),
        name="prod with one zero",
    ),
    kink(
        "KP62",
        lambda m, x: x.prod(),
        [[0.0, 0.0, 3.0]],
        [[0, 0, 0]],
        in_jax=lambda jax, x: x.prod(),
        name="prod with two zeros",
    ),
    kink("KP69", lambda m, x: x.sum(), [[]], [[]], in_jax=lambda jax, x: x.sum(), name="sum of nothing"),
]


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
