"""`check_gradients` finds planted defects in users' functions, and lets right functions pass."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from harness import backends, check_gradients
from harness.checking import Undecided, WrongGradient
from suites.gradient_zoo import right, wrong

if backends.available()["torch"] is not None:
    pytest.skip("PyTorch is not installed", allow_module_level=True)

WRONG, RIGHT = wrong(), right()


@pytest.mark.parametrize("name", WRONG)
def test_planted_defect_is_caught(name: str) -> None:
    fn, args, claim = WRONG[name]
    with pytest.raises(WrongGradient) as caught:
        check_gradients(fn, *args)
    report = caught.value.report
    assert report[claim].verdict == "wrong", str(report)


@pytest.mark.parametrize("name", RIGHT)
def test_right_function_passes(name: str) -> None:
    fn, args, options = RIGHT[name]
    report = check_gradients(fn, *args, raises=False, **options)
    assert report.verdict == "right", str(report)


def undecided(fn: Any, *args: Any, **options: Any) -> str:
    with pytest.raises(Undecided) as caught:
        check_gradients(fn, *args, **options)
    return caught.value.report["vjp"].text


@pytest.mark.parametrize(
    ("name", "where"), [("missing sum", "x1, element 0"), ("two arguments in one memory", "x0, element 0")]
)
def test_script_shows_the_wrong_gradient(name: str, where: str) -> None:
    fn, args, _ = WRONG[name]
    report = check_gradients(fn, *args, raises=False)
    done = subprocess.run([sys.executable, "-c", report.script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1, report.script + done.stderr
    assert f"gradient of {where}" in done.stderr


@pytest.mark.parametrize("size", [1, 1000])
def test_mask_stays_a_mask_far_from_the_example(size: int) -> None:
    import torch

    q = torch.linspace(-size, size, 12, dtype=torch.float64).reshape(1, 4, 3).flip(1).contiguous()
    report = check_gradients(lambda q: torch.nn.functional.scaled_dot_product_attention(q, q, q, is_causal=True), q)
    assert report["value"].proved
    assert not [note for note in report.notes if "recorded forward" in note]  # as there was at 1,000 times the example


@pytest.mark.parametrize(("factor", "verdict"), [(1.0, "right"), (1.0005, "wrong")])
def test_iteration_whose_rounding_has_no_bound_is_judged_by_estimates(factor: float, verdict: str) -> None:
    import torch

    def newton(a: Any) -> Any:
        x = torch.ones_like(a)
        for _ in range(60):
            x = x - (x**3 - a) / (3 * x * x)
        return x

    class Root(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, a: Any) -> Any:
            x = newton(a)
            ctx.save_for_backward(x)
            return x

        @staticmethod
        def backward(ctx: Any, ct: Any) -> Any:
            (x,) = ctx.saved_tensors
            return factor * ct / (3 * x * x)

    report = check_gradients(Root.apply, torch.tensor([2.0, 0.75], dtype=torch.float64), raises=False)
    assert report.verdict == verdict, str(report)


def test_function_that_returns_no_tensor_is_named() -> None:
    import torch

    assert "returns no tensor" in undecided(lambda x: 3, torch.ones(3))


def test_cut_graph_is_named() -> None:
    import torch

    assert "no output carries a gradient" in undecided(lambda x: x.detach() * 2, torch.ones(3))


def test_integers_are_refused() -> None:
    import torch

    with pytest.raises(TypeError, match="floating-point tensor with elements"):
        check_gradients(lambda x: x * 2, torch.arange(3))


def test_error_of_the_forward_is_named() -> None:
    import torch

    assert "forward raised ZeroDivisionError" in undecided(lambda x: x / (1 // 0), torch.ones(3))


def test_error_of_the_backward_is_wrong() -> None:
    import torch

    class Broken(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2

        @staticmethod
        def backward(ctx: Any, ct: Any) -> Any:
            raise KeyError("lost")

    with pytest.raises(WrongGradient, match="backward raised KeyError"):
        check_gradients(Broken.apply, torch.ones(3))


def test_nan_is_named() -> None:
    import torch

    assert "not finite" in undecided(lambda x: x.log(), -torch.ones(3))


def test_hang_ends_at_the_limit() -> None:
    import time

    import torch

    def sleepy(x: Any) -> Any:
        time.sleep(60)
        return x

    assert "lasted longer than 0.2 s" in undecided(sleepy, torch.ones(3), call_seconds=0.2)


def test_hidden_state_is_named() -> None:
    import torch

    calls: list[int] = []

    def counting(x: Any) -> Any:
        calls.append(1)
        return x * len(calls)

    assert "two calls at the example differ" in undecided(counting, torch.ones(3))


def test_complex_output_is_named() -> None:
    import torch

    assert "real numbers are wanted" in undecided(torch.fft.rfft, torch.ones(3))


def test_large_example_is_cut_and_the_whole_estimated() -> None:
    import torch

    class Large(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x.sin()

        @staticmethod
        def backward(ctx: Any, ct: Any) -> Any:
            (x,) = ctx.saved_tensors
            return ct * x.cos() * (1.0 if x.numel() < 50_000 else 1.001)

    x = torch.linspace(-2, 2, 60_000, dtype=torch.float64)
    with pytest.raises(WrongGradient, match="at the whole example"):
        check_gradients(Large.apply, x, around=False)
    report = check_gradients(torch.sin, x, around=False, only=[])
    assert any("corner of the example" in n for n in report.notes)


def test_gradcheck_takes_its_place() -> None:
    import torch
    from torch.autograd.gradcheck import GradcheckError

    from harness import gradcheck, gradgradcheck

    fn, args, _ = WRONG["factor 1 + 1e-3"]
    inputs = tuple(a.clone().requires_grad_() for a in args)
    assert torch.autograd.gradcheck(fn, inputs)
    assert not gradcheck(fn, inputs, eps=1e-6, atol=1e-4, raise_exception=False)
    with pytest.raises(GradcheckError):
        gradcheck(fn, inputs)
    assert gradcheck(torch.sin, inputs)
    assert gradgradcheck(torch.sin, inputs)


def test_strategies_draw_the_arguments() -> None:
    import torch
    from hypothesis.extra import numpy as npst

    arrays = npst.arrays(
        "float64", npst.array_shapes(max_dims=2, max_side=3), elements={"min_value": -4, "max_value": 4}
    )
    assert check_gradients(torch.sin, strategies=[arrays]).ok
    fn, _, _ = WRONG["wrong for size 1"]
    with pytest.raises(WrongGradient):
        check_gradients(fn, strategies=[arrays])


@pytest.mark.check_gradients(budget_seconds=5)
def test_fixture_passes_a_right_function(check_gradients: Any) -> None:
    import torch

    assert check_gradients(torch.tanh, torch.linspace(-1, 1, 3)).verdict == "right"


def test_fixture_fails_a_wrong_function(check_gradients: Any) -> None:
    fn, args, _ = WRONG["wrong sign"]
    with pytest.raises(pytest.fail.Exception, match=r"vjp\s+wrong") as failed:
        check_gradients(fn, *args)
    assert failed.value.__suppress_context__  # or pytest prints the report twice


# -- the reference


def test_function_on_the_reference_is_proved() -> None:
    import reference_impl

    report = check_gradients(lambda x, w: (x @ w).tanh().sum(), reference_impl.ones(3, 2), reference_impl.ones(2))
    assert report.verdict == "right"
    assert report["vjp"].proved


def test_opaque_function_on_the_reference_is_estimated() -> None:
    import reference_impl

    report = check_gradients(lambda x: x.sin() if float(x.sum().array) > 0 else x.cos(), reference_impl.ones(3))
    assert report.verdict == "right"
    assert not report["vjp"].proved


def test_digits_of_complex_numbers_of_32_bits_are_known() -> None:
    import torch

    class Steep(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x.clone()

        @staticmethod
        def backward(ctx: Any, ct: Any) -> Any:
            return ct * 1.01

    x = torch.linspace(0.1, 1.0, 5, dtype=torch.float64)
    report = check_gradients(lambda y: torch.view_as_real(y.to(torch.complex64)), x, raises=False)
    assert report["vjp"].verdict == "right", str(report)
    with pytest.raises(WrongGradient):
        check_gradients(lambda y: torch.view_as_real(Steep.apply(y).to(torch.complex64)), x)


def test_gradient_without_memory_behind_it_is_read() -> None:
    import torch

    report = check_gradients(torch.sgn, torch.tensor([0.5, -2.0], dtype=torch.float64), around=False)
    assert report["vjp"].verdict == "right"


def test_one_element_on_the_same_side_of_many_is_a_side_of_the_kink() -> None:
    """The bound meets four numbers; PyTorch gives the ties to them, and 0 to it, which is right."""
    import torch

    x, most = torch.ones(4, 2, dtype=torch.float64), torch.ones(2, dtype=torch.float64)
    for seed in range(5):
        report = check_gradients(torch.fmax, x, most, around=False, only=[], seed=seed, raises=False)
        assert report["vjp"].verdict != "wrong", str(report)


def test_a_branch_that_zero_alone_takes_has_not_the_slope_of_the_function() -> None:
    """The slope of (exp(x) - 1) / x at 0 is 1/2; autograd gives that of the constant there."""
    import torch

    def relative(x: Any) -> Any:
        safe = torch.where(x == 0, 1.0, x)
        return torch.where(x == 0, 1.0, safe.expm1() / safe)

    for x in ([0.5, 1.0], [0.0, 1.0]):
        report = check_gradients(relative, torch.tensor(x, dtype=torch.float64), raises=False)
        assert report["vjp"].verdict == "wrong"
        assert "a branch there that is not its own beside the point" in report["vjp"].text


def test_a_branch_of_zero_with_the_slope_of_the_function_or_none_is_right() -> None:
    import torch

    def entropy(x: Any) -> Any:  # whose slope grows without end
        return torch.where(x == 0, 0.0, x * torch.where(x == 0, 1.0, x).log())

    def length(x: Any) -> Any:  # which has a kink there
        return torch.where((x == 0).all(), 0.0, x.norm())

    for function in (entropy, length, torch.relu, lambda x: torch.where(x == 0, 0.0, x.abs())):
        report = check_gradients(function, torch.tensor([0.0, 1.0], dtype=torch.float64), raises=False)
        assert report.verdict == "right", str(report)


def test_digits_that_a_rule_loses_inside_its_bound() -> None:
    import torch

    tail = torch.tensor([20.0, 0.5], dtype=torch.float64)
    report = check_gradients(torch.tanh, tail)
    assert report["vjp"].verdict == "right"
    assert report["digits"].verdict == report.verdict == "digits lost"
    assert "element (0,) is 0.0, true " in report["digits"].text
    assert check_gradients(torch.tanh, tail / 10)["digits"].verdict == "right"


def test_digits_of_a_second_derivative_that_a_first_one_hides() -> None:
    """softplus'' is s (1 - s), which is 0 at 40 where s rounds to 1; beside the square of the first it would not show."""
    import torch

    class Softplus(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return torch.where(x > 0, x, 0) + x.abs().neg().exp().log1p()

        @staticmethod
        def backward(ctx: Any, ct: Any) -> Any:
            (x,) = ctx.saved_tensors
            return ct * torch.sigmoid(x)

    report = check_gradients(Softplus.apply, torch.tensor([40.0, 0.5], dtype=torch.float64))
    assert report["vjp"].verdict == report["digits"].verdict == "right"
    assert report["second order"].verdict == "digits lost"
    assert "0.0, true " in report["second order"].text
    few = check_gradients(Softplus.apply, torch.tensor([4.0, 0.5], dtype=torch.float64))
    assert few["second order"].verdict == few.verdict == "right"
    line = check_gradients(lambda x: 3 * x, torch.tensor([4.0, 0.5], dtype=torch.float64))
    assert line["second order"].verdict == line.verdict == "right"


def test_digits_that_the_question_loses_are_nobodys_fault() -> None:
    """Two terms of the gradient cancel, and numbers that differ in the last place have another one."""
    import torch

    def cancels(x: Any, y: Any, z: Any) -> Any:
        return (x * y).sum() - (x * z).sum()

    x = torch.tensor([0.7, 1.3], dtype=torch.float64)
    report = check_gradients(cancels, x, x / 3, x / 3 * (1 + 2.0**-50))
    assert report["digits"].verdict == "right", str(report)
    assert "what the numbers given do not have" in report["digits"].text


def test_the_second_order_at_a_kink_of_the_program_is_held_against_differences_of_the_gradient() -> None:
    import torch

    def cardinal(x: Any) -> Any:  # whose slope at 0 is 0, as that of the constant; its second derivative is -1/3
        safe = torch.where(x == 0, 1.0, x)
        return torch.where(x == 0, 1.0, safe.sin() / safe)

    x = torch.tensor([0.0, 1.0], dtype=torch.float64)
    report = check_gradients(cardinal, x)
    assert report.verdict == "right"
    assert any("differences of the gradient tend to" in note for note in report.notes)
    name = "second order at the example"
    asked = check_gradients(cardinal, x, only=[name], raises=False)
    assert asked[name].verdict == asked.verdict == "wrong"
    for kinked in (lambda x: x.relu() ** 2, lambda x: x.abs() ** 3, lambda x: x * x.abs(), torch.abs, torch.special.i0):
        assert check_gradients(kinked, x, only=[name], raises=False).verdict == "right"


@pytest.mark.parametrize("row", [0, 1, 2])
def test_a_layout_is_asked_where_the_gradient_is_not_zero(row: int) -> None:
    import torch

    class Larger(torch.autograd.Function):
        """The larger of two, wrong if the first has one number in memory for all."""

        @staticmethod
        def forward(ctx: Any, a: Any, b: Any) -> Any:
            ctx.save_for_backward(a, b)
            return torch.maximum(a, b)

        @staticmethod
        def backward(ctx: Any, ct: Any) -> Any:
            a, b = ctx.saved_tensors
            once = a.ndim and a.shape[0] > 1 and a.stride(0) == 0
            return ct * (a > b) * (1.5 if once else 1.0), ct * (b >= a)

    a = torch.tensor([-1.0, -2.0, -3.0], dtype=torch.float64)
    a[row] = 2.5
    report = check_gradients(Larger.apply, a, torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64), raises=False)
    assert report["vjp"].verdict == "wrong"
    assert "expanded in memory" in report["vjp"].text


def test_a_drawn_point_that_takes_too_long_costs_no_verdict() -> None:
    import time

    import torch

    def slow_if_large(x: Any) -> Any:
        if bool((x.abs() > 20).any()):
            time.sleep(30.0)
        return x.sin()

    report = check_gradients(slow_if_large, torch.ones(3, dtype=torch.float64), call_seconds=1.0)
    assert report["vjp"].verdict == "right"
    assert any("refused" in note for note in report.notes)


@pytest.mark.parametrize("seed", [5, 7, 11])
def test_two_kinks_may_have_two_conventions(seed: int) -> None:
    """The slope of hardtanh is that of its left side at -1 and that of its right side at 1: no mixture of sides is both."""
    import torch

    class Hardtanh(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return torch.nn.functional.hardtanh(x)

        @staticmethod
        def backward(ctx: Any, ct: Any) -> Any:
            (x,) = ctx.saved_tensors
            return ct * ((x > -1) & (x < 1))

    torch.manual_seed(seed)
    report = check_gradients(Hardtanh.apply, torch.randn(2, 2, dtype=torch.float64), raises=False, seed=seed, only=[])
    assert report["vjp"].verdict == "right", str(report)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_far_from_the_example_half_of_the_digits_will_do(dtype: str) -> None:
    """The rule of softplus is right, and PyTorch's function is x itself from 20 on."""
    import torch

    class Softplus(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return torch.nn.functional.softplus(x)

        @staticmethod
        def backward(ctx: Any, ct: Any) -> Any:
            (x,) = ctx.saved_tensors
            return ct * torch.sigmoid(x)

    torch.manual_seed(0)
    report = check_gradients(Softplus.apply, torch.randn(6, dtype=getattr(torch, dtype)), raises=False)
    assert report["vjp"].verdict == "right", str(report)
