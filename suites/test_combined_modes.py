"""Forward over reverse, reverse over forward and forward over forward of a user's function, as claims of `check_gradients`."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import pytest
import torch

from harness import check_gradients, gradgradcheck
from harness.backends.torch_modes import nests_own_rules
from harness.checking.combined import MODES

X = torch.linspace(-1, 1, 4, dtype=torch.float64)


class Cube(torch.autograd.Function):
    """x³ with a rule of forward mode that can be differentiated, and one of reverse mode that uses another function's."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Any) -> Any:
        return x**3

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx: Any, ct: Any) -> Any:
        (x,) = ctx.saved_tensors
        return 3 * x**2 * ct

    @staticmethod
    def jvp(ctx: Any, dx: Any) -> Any:
        (x,) = ctx.saved_tensors
        return 3 * x**2 * dx


class Frozen(Cube):
    """The tangent is right and has no derivative of its own."""

    @staticmethod
    def jvp(ctx: Any, dx: Any) -> Any:
        (x,) = ctx.saved_tensors
        return 3 * x.detach() ** 2 * dx


class Slope(Cube):
    """3 x², with a wrong rule of forward mode."""

    @staticmethod
    def forward(x: Any) -> Any:
        return 3 * x**2

    @staticmethod
    def backward(ctx: Any, ct: Any) -> Any:
        (x,) = ctx.saved_tensors
        return 6 * x * ct

    @staticmethod
    def jvp(ctx: Any, dx: Any) -> Any:
        (x,) = ctx.saved_tensors
        return 6.001 * x * dx


class BySlope(Cube):
    """x³, whose backward asks `Slope`: what is wrong shows where the backward is pushed forward."""

    @staticmethod
    def backward(ctx: Any, ct: Any) -> Any:
        (x,) = ctx.saved_tensors
        return Slope.apply(x) * ct


def test_what_is_composed_of_operators_is_right_in_all_modes() -> None:
    report = check_gradients(lambda x, y: (x.sin() * y).cumsum(0).exp(), X, X + 2)
    assert [report[mode].verdict for mode in MODES] == ["right"] * 3
    assert report.verdict == "right"


def test_rules_of_ones_own_are_right_in_all_modes_that_pytorch_has() -> None:
    report = check_gradients(Cube.apply, X)
    assert report["forward over reverse"].verdict == report["reverse over forward"].verdict == "right"
    assert report["forward over forward"].verdict == ("right" if nests_own_rules() else "not promised")
    assert report.verdict == "right"


def test_a_tangent_without_a_derivative_is_wrong() -> None:
    report = check_gradients(Frozen.apply, X, raises=False)
    assert report["forward mode"].verdict == report["second order"].verdict == "right"
    assert report["reverse over forward"].verdict == "wrong"
    assert "by reverse over reverse" in report["reverse over forward"].text
    assert report.verdict == "wrong"


def test_a_backward_that_is_pushed_forward_wrongly_is_wrong() -> None:
    report = check_gradients(BySlope.apply, X, raises=False)
    assert report["second order"].verdict == report["reverse over forward"].verdict == "right"
    assert report["forward over reverse"].verdict == "wrong"
    x = X.clone().requires_grad_()
    assert gradgradcheck(BySlope.apply, (x,))
    assert not gradgradcheck(BySlope.apply, (x,), check_fwd_over_rev=True, raise_exception=False)


@pytest.mark.parametrize(
    ("name", "function", "x"),
    [
        ("det", torch.linalg.det, torch.tensor([[2.0, 1.0], [1.0, 3.0]], dtype=torch.float64)),
        ("layer_norm", lambda x: torch.nn.functional.layer_norm(x, (4,)), X),
        ("cumprod of a zero", lambda x: torch.cumprod(x, 0), torch.tensor([1.0, 0.0, 2.0, 3.0], dtype=torch.float64)),
        ("recorded by nothing", torch.linalg.householder_product, torch.eye(3, 2, dtype=torch.float64) + 0.25),
    ],
)
def test_what_the_framework_loses_is_told_and_counts_if_asked_for(name: str, function: Any, x: Any) -> None:
    args = (x, torch.tensor([0.5, 0.75], dtype=torch.float64)) if name == "recorded by nothing" else (x,)
    report = check_gradients(function, *args)
    assert report.verdict == "right"
    lost = [n for n in report.notes if "the framework's own rules lose a part there" in n]
    assert [n.partition(":")[0] for n in lost] == ["reverse over forward", "forward over forward"]
    asked = check_gradients(function, *args, modes=True, raises=False)
    assert asked["forward over reverse"].verdict == "right"
    assert asked["reverse over forward"].verdict == asked["forward over forward"].verdict == "wrong"
    assert asked.verdict == "wrong"
    alone = check_gradients(function, *args, only=["forward over forward"], raises=False)
    assert [c.name for c in alone.claims if c.verdict == "wrong"] == ["forward over forward"]
    assert not any(mode in str(check_gradients(function, *args, modes=False)) for mode in MODES)


def test_a_function_that_cuts_gradients_off_is_not_asked() -> None:
    report = check_gradients(lambda x: x * x.detach(), X)
    assert report.verdict == "right"
    assert not any(mode in str(report) for mode in MODES)


def test_jax_is_asked_on_demand() -> None:
    @jax.custom_jvp
    def cube(x: Any) -> Any:
        return x**3

    @cube.defjvp
    def _frozen(primals: Any, tangents: Any) -> Any:
        (x,), (dx,) = primals, tangents
        return cube(x), 3 * jax.lax.stop_gradient(x) ** 2 * dx

    x = jnp.linspace(0.5, 1, 3)
    report = check_gradients(lambda x: jnp.sin(x) ** 2, x, modes=True)
    assert [report[mode].verdict for mode in MODES] == ["right"] * 3
    assert not any(mode in str(check_gradients(jnp.sin, x)) for mode in MODES)
    assert check_gradients(cube, x, modes=True, raises=False)["second order"].verdict == "wrong"
