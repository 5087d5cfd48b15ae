"""Every defect of PyTorch and JAX in the findings is still there and is found; if a test fails, it may have been mended.

Those that a drawn program can have are in `suites/corpus/`; here are the others, and those that end the process.
"""

from __future__ import annotations

import signal
import subprocess
import sys
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
from jax.scipy.special import bessel_jn

NN = torch.nn.functional
Call = tuple[Callable[..., Any], tuple[Any, ...]]


def of_torch(*numbers: Any) -> Any:
    return torch.tensor(numbers, dtype=torch.float64)


def of_jax(*numbers: Any) -> Any:
    with jax.enable_x64(True):
        return jnp.array(numbers, dtype=jnp.float64)


def normalised(x: Any) -> Any:
    return torch.native_group_norm(x, None, None, 1, 2, 3, 1, 1e-5)[1]


# Name -> the wrong claim, the function, its arguments.
WRONG: dict[str, tuple[str, Callable[..., Any], tuple[Any, ...]]] = {
    "as_strided_scatter": (
        "vjp",
        lambda x, y: torch.as_strided_scatter(x, y, (), (), 0),
        (of_torch(5.0, 6.0, 7.0), of_torch(2.0)[0]),
    ),
    "binary_cross_entropy": (
        "second order",
        lambda x: NN.binary_cross_entropy(x, of_torch(0.25)),
        (of_torch(0.3),),
    ),
    "block_diag": ("vjp", lambda y: torch.block_diag(of_torch(), y), (of_torch(1.0, 2.0),)),
    "clamp": ("vjp", torch.clamp, (of_torch(0.0), of_torch(1.0), of_torch(1.0))),
    "cosine_similarity": (
        "vjp",
        lambda x: NN.cosine_similarity(x, of_torch(1.0, 1.0), dim=0),
        (of_torch(1e-9, 2e-9),),
    ),
    "gaussian_nll_loss": (
        "vjp",
        lambda v: NN.gaussian_nll_loss(of_torch(0.0), of_torch(1.0), v),
        (of_torch(1e-9),),
    ),
    "ldexp": ("vjp", lambda x: torch.ldexp(x, torch.tensor([-1])), (of_torch(3.0),)),
    "native_group_norm": ("vjp", normalised, (of_torch(0.5, 1.0, -1.0, 2.0, 0.25, 3.0).reshape(1, 2, 3),)),
    "normal": ("vjp", lambda m: torch.normal(m, 1.0), (of_torch(0.5, 1.0),)),
    "polar": ("vjp", lambda a: torch.view_as_real(torch.polar(a, of_torch(0.5))), (of_torch(0.0),)),
    "polyfit": ("vjp", lambda t: jnp.polyfit(t, of_jax(1.0, 0.3, -1.0, 2.0), 2), (of_jax(-1.0, 0.0, 0.5, 1.0),)),
    "weight_norm": (
        "second order",
        lambda v, g: torch._weight_norm(v, g, 0),
        (of_torch(3.0, 4.0).reshape(1, 2), of_torch(1.0).reshape(1, 1)),
    ),
    "unique": ("vjp", jnp.unique, (of_jax(3.0, 1.0, 2.0),)),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_gradient_is_found(name: str) -> None:
    claim, fn, args = WRONG[name]
    report = check_gradients(fn, *args, around=False, only=[claim], raises=False)
    assert report[claim].verdict == "wrong", str(report)


def test_second_derivative_through_copysign_loses_digits() -> None:
    fn = lambda x: torch.tanh(torch.copysign(x, of_torch(-1.0, 1.0)))
    report = check_gradients(fn, of_torch(1e-9, -2e-9), around=False, only=["second order"], raises=False)
    assert report["vjp"].verdict == "right"
    assert report["second order"].verdict in ("wrong", "digits lost"), str(report)


def test_margin_losses_of_no_rows_are_left_unwritten() -> None:
    x, t = of_torch().reshape(0, 3), torch.zeros(0, dtype=torch.long)
    found = set()
    for k in range(1, 40):  # what was freed last is what is handed out next
        junk = torch.full((1,), float(k), dtype=torch.float64)
        del junk
        found.add(float(NN.multi_margin_loss(x, t, reduction="sum")))
    assert found != {0.0}


def test_gradient_of_the_weight_of_empty_groups_is_nan() -> None:
    x = of_torch(*range(60)).reshape(2, 6, 5)
    report = check_gradients(torch.nn.GroupNorm(3, 6, dtype=torch.float64), x, only=[], raises=False)
    assert report["vjp"].verdict == "wrong", str(report)
    assert "at an axis of size 0" in report["vjp"].text
    assert "is nan, true 0.0" in report["vjp"].text


@pytest.mark.parametrize("name", ["CubeGenVmap", "NumpySort", "NumpyCubeNotComposable"])
def test_custom_function_of_pytorchs_tests_is_wrong(name: str) -> None:
    from torch.testing._internal import autograd_function_db

    fn = getattr(autograd_function_db, name).apply
    args = (of_torch(3.0, 1.0, 2.0), 0) if name == "NumpySort" else (of_torch(1.5),)
    report = check_gradients(fn, *args, around=False, only=[], raises=False)
    assert report["vjp"].verdict == "wrong", str(report)


def test_gradient_of_the_padding_value_alone_is_refused() -> None:
    with pytest.raises(TypeError, match="reduce_sum"):
        jax.grad(lambda v: lax.pad(jnp.ones(3), v, [(1, 2, 1)]).sum())(0.5)


def test_backward_of_vander_is_refused() -> None:
    x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.vander(x).sum().backward()


def test_a_second_gradient_on_top_of_that_of_sgn_is_refused() -> None:
    x = torch.tensor([0.5], requires_grad=True)
    torch.sgn(x).sum().backward()
    with pytest.raises(RuntimeError, match="ZeroTensors are immutable"):
        (2 * x).sum().backward()


def test_write_after_detach_of_a_tensor_that_retains_its_grad_is_an_internal_error() -> None:
    x = torch.ones(2, requires_grad=True)
    y = x * 2
    y.retain_grad()
    y.detach_()
    with pytest.raises(RuntimeError, match="INTERNAL ASSERT FAILED"):
        y.mul_(x)


ENDING = {
    "an empty batch, normalised": (
        signal.SIGFPE,
        "x, w = torch.ones(0, 1, requires_grad=True), torch.ones(1)\n"
        "torch.native_batch_norm(x, w, w, w.clone(), w.clone(), False, 0.1, 1e-5)[0].sum().backward()",
    ),
    "a weight of no rows, normalised": (
        signal.SIGFPE,
        "torch._weight_norm(torch.zeros(0, 3), torch.ones(0, 1), 0)",
    ),
    "distances of no points": (
        signal.SIGSEGV,
        "torch.nn.functional.pdist(torch.ones(0, 3, requires_grad=True)).sum().backward()",
    ),
}


@pytest.mark.parametrize("name", ENDING)
def test_a_call_on_an_empty_tensor_ends_the_process(name: str) -> None:
    number, script = ENDING[name]
    ended = subprocess.run([sys.executable, "-c", f"import torch\n{script}"], capture_output=True, timeout=120)
    assert ended.returncode == -number, ended.stderr.decode()


def test_gradient_of_batch_norm_takes_a_strided_weight_for_a_contiguous_one() -> None:
    x = torch.tensor([[1.0, 2.0], [3.0, 5.0], [4.0, 1.0]], dtype=torch.float64, requires_grad=True)
    weight = of_torch(1.0, 100.0, 2.0, 100.0)[::2]
    slopes = []
    for w in (weight, weight.clone()):
        y = NN.batch_norm(x, of_torch(0.0, 0.0), of_torch(1.0, 1.0), w)
        slopes.append(float(torch.autograd.grad(y[1, 1], x)[0][1, 1]))
    assert slopes[0] > 99 and slopes[1] < 2


def test_median_along_a_stride_of_0_chooses_no_element() -> None:
    """What it returns is whatever stands there; the place in memory that it names is none of the tensor's own."""
    expanded = of_torch(-1.0).expand(3)
    assert any(float(expanded.median(0).values) != -1.0 for _ in range(20))


def test_gradient_of_vander_at_zero_is_nan() -> None:
    # Of t**0, which is 1 everywhere: 0 * t**-1. In a composition it counts as an overflow on the way.
    assert np.isnan(np.asarray(jax.grad(lambda t: jnp.vander(t, 2).sum())(jnp.array([0.0, 0.5])))).tolist() == [
        True,
        False,
    ]


def test_gradient_of_bessel_jn_near_zero_is_off() -> None:
    # J2'(z) = z / 4 - z**3 / 24 + ...
    with jax.enable_x64(True):
        got = float(jax.grad(lambda z: bessel_jn(z, v=2, n_iter=50)[2])(0.005))
    assert abs(got - 0.00125) > 0.01
    assert np.isfinite(got)
