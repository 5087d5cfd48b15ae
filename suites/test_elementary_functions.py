"""Rounding, remainders, interpolation and their kin are called as PyTorch's are, and give its values, dtypes and gradients.

All numbers are short binary fractions, so that both results are exact and must be the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import reference_impl

A = np.array([-2.5, -0.5, 0.0, 0.5, 1.5, 6.0])
B = np.array([2.0, -2.0, 4.0, 0.25, -0.5, 4.0])
CALLS: dict[str, Callable[..., Any]] = {
    "div trunc": lambda m, x, y: m.div(x, y, rounding_mode="trunc"),
    "div floor": lambda m, x, y: m.div(x, y, rounding_mode="floor"),
    "round": lambda m, x, y: m.round(x) + y,
    "round decimals": lambda m, x, y: m.round(x, decimals=0) + y.round(),
    "frac": lambda m, x, y: m.frac(x) * y,
    "fmod": lambda m, x, y: m.fmod(x, y),
    "fmod number": lambda m, x, y: x.fmod(2.0) * y,
    "remainder": lambda m, x, y: m.remainder(x, y),
    "operator %": lambda m, x, y: x % y,
    "lerp": lambda m, x, y: m.lerp(x, y, 0.25),
    "lerp from the end": lambda m, x, y: x.lerp(y, 0.75),
    "lerp tensor": lambda m, x, y: m.lerp(x, y, m.tensor([0.25, 0.5, 0.75, 1.0, 0.0, 2.0], dtype=x.dtype)),
    "addcmul": lambda m, x, y: m.addcmul(x, x, y, value=0.5),
    "addcdiv": lambda m, x, y: x.addcdiv(x, y, value=2),
    "rsub": lambda m, x, y: m.rsub(x, y, alpha=2),
    "clamp tensors": lambda m, x, y: m.clamp(x, min=-m.abs(y), max=m.abs(y)),
    "clamp_min": lambda m, x, y: m.clamp_min(x, 0.5) * y,
    "clamp_max": lambda m, x, y: x.clamp_max(0.5) * y,
    "nan_to_num": lambda m, x, y: m.nan_to_num(m.where(x > 1.0, float("nan"), x), nan=3.0) * y,
    "positive": lambda m, x, y: m.positive(x) * y,
    "copysign": lambda m, x, y: m.copysign(x, y),
    "ldexp": lambda m, x, y: m.ldexp(x, m.tensor([1, 2, 4, 0, 3, 1])) * y,
    "fmax": lambda m, x, y: m.fmax(x, y),
    "fmin": lambda m, x, y: x.fmin(y),
    "hypot of one": lambda m, x, y: m.hypot(x[-1:], m.zeros(1, dtype=x.dtype)) * y,
    "heaviside": lambda m, x, y: m.heaviside(x.detach(), m.ones(1, dtype=x.dtype)) * y,
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", CALLS)
def test_a_call_gives_exactly_what_it_gives_in_pytorch(name: str, dtype: str) -> None:
    found = []
    for module in (reference_impl, torch):
        x, y = (module.tensor(v, dtype=getattr(module, dtype), requires_grad=True) for v in (A, B))
        out = CALLS[name](module, x, y)
        out.sum().backward()
        found.append([out.detach().numpy(), *(np.zeros(6) if t.grad is None else t.grad.numpy() for t in (x, y))])
    for ours, theirs in zip(*found, strict=True):
        assert np.array_equal(ours, theirs), (ours, theirs)
    assert found[0][0].dtype == found[1][0].dtype


@pytest.mark.parametrize(
    "call",
    [
        lambda m: m.div(m.tensor([7, -7, 6]), 2, rounding_mode="trunc"),
        lambda m: m.div(m.tensor([7, -7, 6]), 2, rounding_mode="floor"),
        lambda m: m.floor_divide(m.tensor([7.0, -7.0]), 2.0),
        lambda m: m.tensor([7, -7]) // 2,
        lambda m: m.tensor([7, -7]) % 4,
        lambda m: m.floor(m.tensor([1, -2])),
        lambda m: m.sgn(m.tensor([-2.0, 0.0, 3.0])),
        lambda m: m.signbit(m.tensor([-0.0, 0.0, -1.0])),
        lambda m: m.isposinf(m.tensor([float("inf"), 1.0])),
        lambda m: m.isneginf(m.tensor([-float("inf"), 1.0])),
        lambda m: m.float_power(m.tensor([2, 3]), 2),
        lambda m: m.isclose(m.tensor([1.0, 2.0]), m.tensor([1.0, 2.5])),
        lambda m: m.copysign(m.tensor([1, -2]), -1.0),
        lambda m: m.exp2(m.tensor([1, 3])),
        lambda m: m.special.xlogy(m.tensor([0.0]), m.tensor([0.0])),
        lambda m: m.special.expit(m.tensor([0.0])),
        lambda m: m.special.psi(m.tensor([float("nan")])),
        lambda m: m.polygamma(1, m.tensor([0.0])),
    ],
)
def test_a_result_without_gradient_is_pytorchs(call: Callable[[Any], Any]) -> None:
    ours, theirs = (call(module).numpy() for module in (reference_impl, torch))
    assert ours.dtype == theirs.dtype
    assert np.array_equal(ours, theirs, equal_nan=ours.dtype.kind == "f")


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda m: m.div(m.ones(2), 2.0, rounding_mode="up"), "rounding_mode"),
        (lambda m: m.polygamma(-1, m.ones(2)), "negative n"),
        (lambda m: m.positive(m.tensor([True])), "bool"),
        (lambda m: m.heaviside(m.ones(2), m.ones(2, dtype=m.float64)), "dtypes"),
    ],
)
def test_wrong_use_raises_as_in_pytorch(call: Callable[[Any], Any], match: str) -> None:
    for module in (reference_impl, torch):
        with pytest.raises(RuntimeError, match=match):
            call(module)


def test_ldexp_of_a_negative_exponent_has_the_gradient_that_pytorch_loses() -> None:
    x = reference_impl.tensor([3.0], requires_grad=True)
    y = reference_impl.ldexp(x, reference_impl.tensor([-1]))
    y.backward()
    assert (y.item(), x.grad.item()) == (1.5, 0.5)


def test_sinc_has_a_second_derivative_at_zero_which_pytorch_loses() -> None:
    """PyTorch's is nan; see `harness/docs/findings.md`."""
    x = reference_impl.tensor([0.0, 0.5], dtype=reference_impl.float64, requires_grad=True)
    (first,) = reference_impl.autograd.grad(reference_impl.sinc(x).sum(), x, create_graph=True)
    (second,) = reference_impl.autograd.grad(first.sum(), x)
    assert first[0].item() == 0.0
    assert second[0].item() == -(math.pi**2) / 3
    y = torch.zeros((), dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(torch.sinc(y), y, create_graph=True)
    assert math.isnan(torch.autograd.grad(slope, y)[0].item())


SPECIAL = "erf erfc erfcx erfinv ndtr log_ndtr i0 i1 i0e i1e gammaln digamma entr logit sinc".split()


@pytest.mark.parametrize("name", SPECIAL)
def test_a_special_function_is_finite_where_pytorchs_is(name: str) -> None:
    """Up to where exp of a square leaves the range, and beyond: an overflow is inf and no error of Python.

    Of infinite numbers i0 and i1 are nan in PyTorch, and infinite here.
    """
    numbers = np.concatenate([np.linspace(-40.0, 40.0, 3201), [-1e300, -745.2, 709.0, 1e300, math.nan]])
    found = []
    for module in (torch, reference_impl):
        x: Any = module.tensor(numbers, requires_grad=True)
        y = getattr(module.special, name)(x)
        y.backward(module.ones_like(y))
        found.append(y.detach().numpy())
    theirs, ours = found
    assert (np.isfinite(theirs) == np.isfinite(ours)).all(), numbers[np.isfinite(theirs) != np.isfinite(ours)]
    assert (np.isnan(theirs) == np.isnan(ours)).all()


def test_sums_that_leave_the_range_do_not_warn() -> None:
    """Warnings of others than the tape's own modules are errors here."""
    x = reference_impl.tensor([math.inf, -math.inf])
    large = reference_impl.tensor([3e38, 3e38])
    assert math.isnan(x.sum().item()) and math.isnan(x.mean().item())
    assert large.sum().item() == large.prod().item() == math.inf
