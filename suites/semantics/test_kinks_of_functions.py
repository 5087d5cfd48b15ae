"""Kinks of activations and special functions, as `test_kinks` has them for the basic operations."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from .support import assert_equal
from .test_kinks import THIRD, Points, kink

INF, NAN = math.inf, math.nan
# The float64 next to a number that its text does not say: 2/sqrt(pi), exp(-1).
ERF_SLOPE, DECAY = 2 / math.sqrt(math.pi), math.exp(-1.0)

ROWS = [
    kink(
        "KP49",
        lambda m, x: m.nn.functional.softplus(x),
        [[1000.0, -1000.0, 0.0]],
        [[1, 0, 0.5]],
        in_jax=lambda jax, x: jax.nn.softplus(x),
        name="softplus",
    ),
    kink(
        "KP86",
        lambda m, x: m.nn.functional.leaky_relu(x, 0.1),
        [[0.0, -0.0, -1.0]],
        [[0.1, 0.1, 0.1]],
        in_jax=lambda jax, x: jax.nn.leaky_relu(x, 0.1),
        jax=[[1, 1, 0.1]],
        name="leaky_relu",
    ),
    kink(
        "KP87",
        lambda m, x: m.nn.functional.elu(x),
        [[0.0, -1.0]],
        [[1, DECAY]],
        in_jax=lambda jax, x: jax.nn.elu(x),
        name="elu",
    ),
    kink(
        "KP88",
        lambda m, x: m.nn.functional.gelu(x),
        [[0.0]],
        [[0.5]],
        in_jax=lambda jax, x: jax.nn.gelu(x, approximate=False),
        name="gelu",
    ),
    kink(
        "KP89",
        lambda m, x: m.nn.functional.hardtanh(x),
        [[-1.0, 0.0, 1.0]],
        [[0, 1, 0]],
        in_jax=lambda jax, x: jax.nn.hard_tanh(x),
        jax=[[1, 1, 1]],
        name="hardtanh",
    ),
    kink(
        "KP90",
        lambda m, x: m.nn.functional.relu6(x),
        [[0.0, 6.0]],
        [[0, 0]],
        in_jax=lambda jax, x: jax.nn.relu6(x),
        name="relu6",
    ),
    kink(
        "KP19",
        lambda m, x, y: m.fmax(x, y),
        [[1.0, NAN], [1.0, 1.0]],
        [[1, 0], [0, 1]],
        in_jax=lambda jax, x, y: jax.numpy.fmax(x, y),
        jax=[[0, 0], [1, 1]],
        name="fmax",
    ),
    *(
        kink(
            row,
            lambda m, x, name=name: getattr(m, name)(x),
            [x],
            [g],
            in_jax=lambda jax, x, name=name: getattr(jax.numpy, name)(x),
            name=name,
        )
        for row, name, x, g in [
            ("KP53", "floor", [0.5, 1.0], [0, 0]),
            ("KP54", "round", [0.5, 1.5], [0, 0]),
            ("KP55", "trunc", [0.5], [0]),
            ("KP81", "sinc", [0.0, 1.0], [0, -1]),
        ]
    ),
    *(
        kink(
            row,
            lambda m, x, name=name: getattr(m, name)(x),
            [x],
            [g],
            in_jax=lambda jax, x, name=name: getattr(jax.numpy, f"arc{name[1:]}")(x),
            name=name,
        )
        for row, name, x, g in [
            ("KP77", "asin", [1.0, 0.0], [INF, 1]),
            ("KP78", "acos", [1.0], [-INF]),
            ("KP79", "acosh", [1.0], [INF]),
            ("KP80", "atanh", [1.0], [INF]),
        ]
    ),
    kink(
        "KP56",
        lambda m, x: m.fmod(x, 2.0),
        [[3.0, -3.0, 2.0]],
        [[1, 1, 1]],
        in_jax=lambda jax, x: jax.numpy.fmod(x, 2.0),
        name="fmod",
    ),
    kink(
        "KP57",
        lambda m, x: m.remainder(x, 2.0),
        [[3.0, -3.0, 2.0]],
        [[1, 1, 1]],
        in_jax=lambda jax, x: jax.numpy.remainder(x, 2.0),
        name="remainder",
    ),
    kink(
        "KP58",
        lambda m, x, y: m.remainder(x, y),
        [[3.0, -3.0], [2.0, 2.0]],
        [[1, 1], [-1, 2]],
        in_jax=lambda jax, x, y: jax.numpy.remainder(x, y),
        name="remainder by the divisor",
    ),
    kink(
        "KP76",
        lambda m, x, y: m.hypot(x, y),
        [[0.0], [0.0]],
        [[NAN], [NAN]],
        in_jax=lambda jax, x, y: jax.numpy.hypot(x, y),
        jax=[[0.5], [0.5]],
        name="hypot",
    ),
    kink(
        "KP82",
        lambda m, x, y: m.xlogy(x, y),
        [[0.0], [0.0]],
        [[0], [NAN]],
        in_jax=lambda jax, x, y: jax.scipy.special.xlogy(x, y),
        jax=[[-INF], [NAN]],
        name="xlogy",
    ),
    kink(
        "KP99",
        lambda m, x: m.copysign(x, 0.0),
        [[0.0, -0.0, -2.0]],
        [[0, 0, -1]],
        in_jax=lambda jax, x: jax.numpy.copysign(x, 0.0),
        jax=[[1, 1, -1]],
        name="copysign",
    ),
    kink(
        "KP100",
        lambda m, x: m.nan_to_num(x),
        [[NAN, INF, 1.0]],
        [[0, 0, 1]],
        in_jax=lambda jax, x: jax.numpy.nan_to_num(x),
        name="nan_to_num",
    ),
    kink(
        "KP101",
        lambda m, x: m.erf(x),
        [[0.0]],
        [[ERF_SLOPE]],
        in_jax=lambda jax, x: jax.scipy.special.erf(x),
        name="erf",
    ),
    kink(
        "KP91",
        lambda m, x: m.nn.functional.smooth_l1_loss(x, m.zeros(3, dtype=m.float64)),
        [[0.0, 1.0, -1.0]],
        [[0, THIRD, -THIRD]],
        name="smooth_l1_loss",
    ),
    kink(
        "KP91",
        lambda m, x: m.nn.functional.huber_loss(x, m.zeros(3, dtype=m.float64)),
        [[0.0, 1.0, -1.0]],
        [[0, THIRD, -THIRD]],
        name="huber_loss",
    ),
    kink(
        "KP92",
        lambda m, x: m.nn.functional.l1_loss(x, m.zeros(2, dtype=m.float64)),
        [[0.0, 1.0]],
        [[0, 0.5]],
        name="l1_loss",
    ),
    kink(
        "KP94",
        lambda m, x: m.linalg.det(x),
        [[[1.0, 2.0], [2.0, 4.0]]],
        [[[0, -0.0], [-0.0, 0]]],
        in_jax=lambda jax, x: jax.numpy.linalg.det(x),
        jax=[[[4, -2], [-2, 1]]],
        name="det of a singular matrix",
    ),
    kink(
        "KP95",
        lambda m, x: m.linalg.inv(x)[0, 0] * 2.0,
        [[[4.0, 0.0], [0.0, 2.0]]],
        [[[-0.125, 0], [0, 0]]],
        in_jax=lambda jax, x: jax.numpy.linalg.inv(x)[0, 0] * 2.0,
        name="inv",
    ),
    kink(
        "KP96",
        lambda m, x, y: m.dot(x, y),
        [[1.0, 2.0], [3.0, 4.0]],
        [[3, 4], [1, 2]],
        in_jax=lambda jax, x, y: jax.numpy.dot(x, y),
        name="dot",
    ),
    kink("KP104", lambda m, x, y: m.dist(x, y), [[1.0, 2.0], [1.0, 2.0]], [[0, 0], [0, 0]], name="dist"),
    kink("KP105", lambda m, x, y: m.cdist(x, y), [[[1.0, 2.0]], [[1.0, 2.0]]], [[[0, 0]], [[0, 0]]], name="cdist"),
    kink(
        "KP106",
        lambda m, x, y: m.nn.functional.cosine_similarity(x, y, dim=0),
        [[0.0, 0.0], [1.0, 2.0]],
        [[1 / math.sqrt(5.0) / 1e-8, 2 / math.sqrt(5.0) / 1e-8], [0, 0]],
        name="cosine_similarity",
    ),
    kink(
        "KP107",
        lambda m, x: m.nn.functional.normalize(x, dim=0),
        [[0.0, 0.0]],
        [[1 / 1e-12, 1 / 1e-12]],
        name="normalize",
    ),
    kink(
        "KP109",
        lambda m, x: m.matmul(m.zeros(2, 0, dtype=m.float64), x.reshape(0, 3)),
        [[]],
        [[]],
        in_jax=lambda jax, x: jax.numpy.zeros((2, 0)) @ x.reshape(0, 3),
        name="matmul of size 0",
    ),
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
    if in_jax is None:
        pytest.skip("JAX has no such function")
    arrays = [jax_x64.numpy.asarray(np.asarray(p, dtype=np.float64)) for p in points]
    found = jax_x64.grad(lambda *xs: in_jax(jax_x64, *xs).sum(), argnums=tuple(range(len(arrays))))(*arrays)
    for got, wanted in zip(found, gradients, strict=True):
        assert got.dtype == np.float64
        assert np.array_equal(np.asarray(got), np.asarray(wanted, dtype=np.float64), equal_nan=True), (got, wanted)
