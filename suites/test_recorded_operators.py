"""Operators of PyTorch and primitives of JAX that are written in the vocabulary of programs: their gradients are proved."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from harness import backends, check_gradients

if backends.available()["torch"] is not None or backends.available()["jax"] is not None:
    pytest.skip("PyTorch or JAX is not installed", allow_module_level=True)

import jax
import jax.numpy as jnp
import torch
from jax import lax

NN = torch.nn.functional
RNG = np.random.default_rng(4)
SQUARE = RNG.uniform(-1, 1, (3, 3)) + 3 * np.eye(3)
ROWS = np.arange(1.0, 13.0).reshape(3, 4)[::-1].copy() / 7

TORCH: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "avg_pool2d": (lambda x: NN.avg_pool2d(x, 2, padding=1), (ROWS[None, None],)),
    "avg_pool3d": (lambda x: NN.avg_pool3d(x, 2), (RNG.normal(size=(1, 1, 2, 3, 2)),)),
    "bilinear": (NN.bilinear, (ROWS[:, :2], ROWS[:, 2:], RNG.normal(size=(2, 2, 2)))),
    "cholesky": (lambda x: torch.linalg.cholesky(x @ x.mT), (SQUARE,)),
    "conv_transpose1d": (
        lambda x, w: NN.conv_transpose1d(x, w, stride=2, padding=1, output_padding=1),
        (RNG.normal(size=(1, 2, 3)), RNG.normal(size=(2, 3, 2))),
    ),
    "conv_transpose2d in groups": (
        lambda x, w: NN.conv_transpose2d(x, w, groups=2, dilation=2),
        (RNG.normal(size=(1, 2, 2, 2)), RNG.normal(size=(2, 1, 2, 2))),
    ),
    "embedding_bag": (lambda w: NN.embedding_bag(torch.tensor([[0, 2], [1, 1]]), w, mode="mean"), (ROWS,)),
    "fractional_max_pool2d": (lambda x: NN.fractional_max_pool2d(x, 2, output_size=2), (ROWS[None, None],)),
    "i0e": (torch.special.i0e, (ROWS,)),
    "logcumsumexp": (lambda x: torch.logcumsumexp(x, 1), (ROWS,)),
    "lu_solve": (
        lambda f, y: torch.linalg.lu_solve(f, torch.tensor([2, 3, 3], dtype=torch.int32), y),
        (SQUARE, RNG.normal(size=(3, 2))),
    ),
    "pdist": (NN.pdist, (ROWS,)),
    "put": (lambda x, y: torch.put(x, torch.tensor([1, 7, 1]), y, accumulate=True), (ROWS, ROWS[0, :3].copy())),
    "scatter_reduce": (
        lambda x, y: torch.scatter_reduce(x, 0, torch.tensor([0, 2, 0]), y, "prod"),
        (ROWS[0].copy(), ROWS[1, :3].copy()),
    ),
    "triangular_solve": (lambda y, a: torch.triangular_solve(y, a, transpose=True)[0], (ROWS, SQUARE)),
}

JAX: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "conv_general_dilated in groups": (
        lambda x, w: lax.conv_general_dilated(
            x, w, (1,), [(1, 0)], lhs_dilation=(2,), rhs_dilation=(2,), feature_group_count=2,
            dimension_numbers=("NWC", "WIO", "NWC"),
        ),
        (RNG.normal(size=(1, 4, 2)), RNG.normal(size=(2, 1, 4))),
    ),
    "cumlogsumexp": (lambda x: lax.cumlogsumexp(x, axis=1), (ROWS,)),
    "cummax": (lambda x: lax.cummax(x, axis=1), (ROWS,)),
    "i0": (jax.scipy.special.i0, (ROWS,)),
    "inv": (jnp.linalg.inv, (SQUARE,)),
    "psum": (lambda x: jax.vmap(lambda v: lax.psum(v, "i") * v, axis_name="i")(x), (ROWS,)),
    "remainder": (lambda x: jnp.remainder(x, 0.375), (ROWS,)),
    "reshape of permuted axes": (jnp.column_stack, (ROWS,)),
    "solve": (jnp.linalg.solve, (SQUARE, ROWS)),
    "stack and unstack": (lambda x: lax.stack(lax.unstack(x)[::-1]), (ROWS,)),
    "top_k": (lambda x: lax.top_k(x, 2)[0], (ROWS,)),
}  # fmt: skip


@pytest.mark.parametrize("name", TORCH)
def test_operator_of_pytorch_is_proved(name: str) -> None:
    fn, arrays = TORCH[name]
    report = check_gradients(fn, *map(torch.from_numpy, arrays), around=False, only=[], raises=False)
    assert (report.verdict, report["vjp"].proved) == ("right", True), str(report)


@pytest.mark.parametrize("name", JAX)
def test_primitive_of_jax_is_proved(name: str) -> None:
    fn, arrays = JAX[name]
    with jax.enable_x64(True):
        given = [jnp.asarray(x) for x in arrays]
    report = check_gradients(fn, *given, around=False, only=[], raises=False)
    assert (report.verdict, report["vjp"].proved) == ("right", True), str(report)


@pytest.mark.parametrize("exponent", [1 / 3, 0.1, 0.7, 2.3, -1.2])
def test_power_whose_next_exponent_rounds_is_proved(exponent: float) -> None:
    x = torch.tensor([0.3, 0.9, 1.7], dtype=torch.float64)
    report = check_gradients(lambda x: x**exponent, x, around=False, only=["second order"], raises=False)
    assert (report.verdict, report["vjp"].proved) == ("right", True), str(report)
    assert report["second order"].verdict == "right", str(report)


def test_cube_root_of_jax_is_proved() -> None:
    with jax.enable_x64(True):
        x = jnp.array([0.3, -0.9, 1.7])
    report = check_gradients(jnp.cbrt, x, around=False, only=[], raises=False)
    assert (report.verdict, report["vjp"].proved) == ("right", True), str(report)
