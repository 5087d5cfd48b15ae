"""The portfolio of `check_gradients`: each kind of evidence finds its planted defect, and none accuses a right function.

The functions here are opaque: NumPy computes inside, so that nothing but estimates speaks of their gradients.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from harness import backends, check_gradients
from harness.checking import Report
from harness.judgement import judge_same, judge_sharply, judge_twin
from harness.oracles.complex_step import on_circle

if backends.available()["torch"] is not None:
    pytest.skip("PyTorch is not installed", allow_module_level=True)

Rule = Callable[..., Any]


def numpy_function(forward: Callable[[Any], Any], backward: Rule, jvp: Callable[..., Any] | None = None) -> Any:
    """An autograd function whose forward is computed by NumPy."""
    import torch

    class Opaque(torch.autograd.Function):
        @staticmethod
        def forward(x: Any) -> Any:
            return torch.from_numpy(np.asarray(forward(x.detach().resolve_conj().numpy())))

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            ctx.save_for_backward(*inputs)
            ctx.save_for_forward(*inputs)

        @staticmethod
        def backward(ctx: Any, ct: Any) -> Any:
            return backward(ct, *ctx.saved_tensors)

    if jvp is not None:
        Opaque.jvp = staticmethod(lambda ctx, t: jvp(t, *ctx.saved_tensors))  # type: ignore[assignment]  # as PyTorch does
    return Opaque.apply


def point(dtype: str = "float64") -> Any:
    import torch

    return torch.linspace(-1.2, 1.7, 6, dtype=getattr(torch, dtype)).reshape(2, 3)


def asked(fn: Any, *args: Any, only: str, **options: Any) -> Report:
    report = check_gradients(fn, *args, raises=False, around=False, only=[only], **options)
    assert not report["vjp"].proved
    return report


# -- planted defects


def test_finite_differences_find_a_factor() -> None:
    fn = numpy_function(np.sin, lambda ct, x: ct * x.cos() * (1 + 1e-6))
    assert asked(fn, point(), only="linearity")["vjp"].verdict == "wrong"


def test_complex_step_finds_digits_that_quotients_do_not_see() -> None:
    fn = numpy_function(np.sin, lambda ct, x: ct * x.cos() * (1 + 1e-9))
    report = asked(fn, point(), only="complex step")
    assert report["vjp"].verdict == "right"
    assert report["complex step"].verdict == "digits lost", str(report)


def test_forward_against_reverse_finds_a_wrong_jvp() -> None:
    fn = numpy_function(np.sin, lambda ct, x: ct * x.cos(), lambda t, x: t * x.cos() * (1 + 1e-6))
    assert asked(fn, point(), only="forward against reverse").verdict == "wrong"


def test_adjoint_identity_finds_a_backward_that_skips_sparse_cotangents() -> None:
    fn = numpy_function(np.sin, lambda ct, x: ct * x.cos() if (ct == 0).sum() != 1 else 0.5 * ct * x.cos())
    assert asked(fn, point(), only="linearity").verdict == "right"
    assert asked(fn, point(), only="adjoint identity").verdict == "wrong"


def test_transposing_twice_finds_a_backward_that_cuts_its_cotangent_off() -> None:
    fn = numpy_function(np.sin, lambda ct, x: ct.detach() * x.cos())
    report = asked(fn, point(), only="transposed twice")
    assert report["transposed twice"].verdict == "wrong", str(report)


def test_float64_twin_finds_a_rule_that_is_wrong_in_float32_alone() -> None:
    fn = numpy_function(np.sin, lambda ct, x: ct * x.cos() * (1.001 if x.element_size() == 4 else 1.0))
    report = asked(fn, point("float32"), only="float64 twin")
    assert report["vjp"].verdict == "right"
    assert report["float64 twin"].verdict == "wrong", str(report)


def test_spec_is_what_quotients_of_a_surrogate_speak_of() -> None:
    fn = numpy_function(np.round, lambda ct, x: ct)
    opaque = numpy_function(lambda x: x * 1.0, lambda ct, x: ct)
    twice = numpy_function(lambda x: x * 2.0, lambda ct, x: 2 * ct)
    assert asked(fn, point(), only="adjoint identity", spec=opaque).verdict == "right"
    assert asked(fn, point(), only="adjoint identity", spec=twice).verdict == "wrong"


def test_circle_tells_what_is_not_analytic() -> None:
    real = lambda f: lambda t: (float(f(t)), abs(float(f(t))))
    for f in (abs, np.real, np.conj, lambda z: z * z + 1e-6 * abs(z)):
        estimate = on_circle(f, real(f), centre=2.0, radii=(0.25,))
        assert estimate.note == "not analytic"
        true = 1.0 if f in (abs, np.real, np.conj) else 4 + 1e-6
        assert abs(estimate.value - true) <= estimate.error


def test_circle_tells_where_complex_and_real_values_differ() -> None:
    assert on_circle(lambda z: z * z, lambda t: (3 * t, 3.0), centre=1.0, radii=(0.25,)).note == "not analytic"


def test_circle_is_as_good_as_rounding_lets_it_be() -> None:
    estimate = on_circle(np.exp, lambda t: (math.exp(t), math.exp(t)), centre=1.0, radii=(0.125,))
    assert abs(estimate.value - math.e) <= estimate.error
    assert estimate.note == ""


# -- what judges them


def test_sharp_judgement_keeps_wrong_and_lost_digits_apart() -> None:
    ask = lambda factor: judge_sharply("", np.array([factor]), np.ones(1), np.full(1, 1e-15), [1.0], 2.0**-52)
    assert ask(1.0).kind == "agree"
    assert (ask(1 + 1e-9).kind, ask(1 + 1e-9).aspect) == ("disagree", "accuracy")
    assert (ask(1 + 1e-6).kind, ask(1 + 1e-6).aspect) == ("disagree", "derivative")
    assert ask(math.nan).kind == "disagree"


def test_twin_keeps_rounding_and_wrong_apart() -> None:
    rng = np.random.default_rng(0)
    wide = [[rng.normal(size=4)] for _ in range(6)]
    rounded = [[x[0].astype(np.float32)] for x in wide]
    wrong = [[np.float32(1.01) * x[0]] for x in rounded]
    same = [[np.ones(3, np.float32) * np.float32(1.01)]] * 6
    assert judge_twin("", rounded, wide, 1.0, "float32").kind == "agree"
    assert judge_twin("", wrong, wide, 1.0, "float32").kind != "disagree"  # the points are too far from one another
    assert judge_twin("", same, [[np.ones(3)]] * 6, 1.0, "float32").kind == "disagree"
    assert judge_twin("", [[np.full(3, np.nan)]] * 6, [[np.ones(3)]] * 6, 1.0, "float32").kind == "inconclusive"


def test_no_gradient_is_one_of_zeros() -> None:
    assert judge_same("", [None, np.ones(2)], [np.zeros(2), np.ones(2)]).kind == "agree"
    assert judge_same("", [None], [np.ones(2)]).kind == "disagree"


# -- right functions


def right() -> dict[str, tuple[Any, tuple[Any, ...], dict[str, str]]]:
    """Name -> (function, arguments, what some claims must say)."""
    import torch

    x = point()
    spd = x.mT @ x + torch.eye(3, dtype=torch.float64)

    cube = torch.library.custom_op(
        "suites_portfolio::cube",
        lambda t: torch.from_numpy(t.detach().numpy() ** 3),
        mutates_args=(),
        schema="(Tensor t) -> Tensor",
    )
    cube.register_autograd(
        lambda ctx, ct: ct * 3 * ctx.saved_tensors[0] ** 2,
        setup_context=lambda ctx, inputs, output: ctx.save_for_backward(*inputs),
    )

    def eps_of_the_dtype(v: Any) -> Any:
        return np.log(v * v + 1e3 * np.finfo(v.dtype).eps)

    rounded = lambda v: np.sin(v.astype(np.complex64 if v.dtype.kind == "c" else np.float32)).astype(v.dtype)
    return {
        "analytic": (
            numpy_function(np.sinh, lambda ct, t: ct * t.cosh(), lambda v, t: v * t.cosh()),
            (x,),
            {"complex step": "right", "forward against reverse": "right", "transposed twice": "right"},
        ),
        "absolute value": (
            numpy_function(np.abs, lambda ct, t: ct * t.sgn()),
            (x,),
            {"complex step": "not applicable"},
        ),
        "absolute value at its kink": (numpy_function(np.abs, lambda ct, t: ct * t.sgn()), (0 * x,), {}),
        "real part": (
            numpy_function(lambda v: v.real * np.cos(v), lambda ct, t: ct * (t.cos() - t * t.sin())),
            (x,),
            {"complex step": "not applicable"},
        ),
        "conjugate": (
            numpy_function(lambda v: np.conj(v) * v, lambda ct, t: 2 * ct * t),
            (x,),
            {"complex step": "not applicable"},
        ),
        "a little conjugate": (
            numpy_function(lambda v: v * v + 1e-9 * np.abs(v) ** 2, lambda ct, t: ct * (2 + 2e-9) * t),
            (x,),
            {},
        ),
        "maximum": (
            numpy_function(
                lambda v: np.maximum(v, -v[::-1]),
                lambda ct, t: ct * (t > -t.flip(0)) - (ct * (t <= -t.flip(0))).flip(0),
            ),
            (x,),
            {},
        ),
        "a reduction": (
            numpy_function(lambda v: (v**2).sum(), lambda ct, t: 2 * ct * t),
            (x,),
            {"adjoint identity": "not applicable"},
        ),
        "a symmetric matrix": (
            numpy_function(np.linalg.inv, lambda ct, t: -(t.inverse().mT @ ct @ t.inverse().mT)),
            (spd,),
            {"adjoint identity": "right"},
        ),
        "a custom operator": (cube, (x,), {"complex step": "right", "transposed twice": "right"}),
        "a kernel of PyTorch": (lambda t: torch.cdist(t, t + 3), (x,), {}),
        "rounded to float32 inside": (numpy_function(rounded, lambda ct, t: (ct * t.float().cos()).double()), (x,), {}),
        "in float32": (
            numpy_function(np.tanh, lambda ct, t: ct * (1 - t.tanh() ** 2)),
            (point("float32"),),
            {"float64 twin": "right"},
        ),
        "in float32, where digits are lost": (
            numpy_function(lambda v: 1 - np.cos(v), lambda ct, t: ct * t.sin()),
            (point("float32") * 1e-3,),
            {},
        ),
        "in float32, with a constant of its own": (
            numpy_function(eps_of_the_dtype, lambda ct, t: ct * 2 * t / (t * t + 1e3 * torch.finfo(t.dtype).eps)),
            (point("float32") * 1e-2,),
            {},
        ),
        "once differentiable": (
            numpy_function(np.sin, lambda ct, t: torch.from_numpy(ct.detach().numpy() * np.cos(t.detach().numpy()))),
            (x,),
            {"transposed twice": "not promised"},
        ),
    }


@pytest.mark.parametrize("name", right())
def test_right_function_passes(name: str) -> None:
    fn, args, words = right()[name]
    report = check_gradients(fn, *args, raises=False, around=False)
    assert "wrong" not in {c.verdict for c in report.claims}, str(report)
    assert {n: report[n].verdict for n in words} == words, str(report)


def test_function_on_the_reference_has_its_portfolio() -> None:
    import reference_impl

    report = check_gradients(lambda x: x.sin() * x if float(x.sum().array) > 0 else x, reference_impl.ones(3))
    words = {c.name: c.verdict for c in report.claims}
    assert words["adjoint identity"] == words["transposed twice"] == "right", str(report)
    assert (words["complex step"], words["forward against reverse"]) == ("not applicable", "not promised"), str(report)


def test_what_is_cut_off_is_not_held_against_values() -> None:
    import torch

    x = point()
    report = check_gradients(lambda t: t * t.sin().detach(), x)
    assert report["finite differences"].verdict == report["complex step"].verdict == "not applicable"
    shifted = lambda t: (t - t.amax(-1, keepdim=True).detach()).exp().sum(-1).log() + t.amax(-1).detach()
    assert check_gradients(shifted, torch.exp(x))["finite differences"].verdict == "right"


def test_defect_of_logcumsumexp_is_found() -> None:
    """A defect of PyTorch; see the findings. If this fails, it may have been mended."""
    import torch

    x = torch.tensor([0.0, 20.0], dtype=torch.float64)
    report = check_gradients(lambda t: torch.logcumsumexp(t, -1), x, around=False, raises=False)
    assert report["vjp"].verdict == "right"
    assert report["forward against reverse"].verdict == "wrong"


def test_defect_of_scatter_reduce_is_found() -> None:
    """A defect of PyTorch; see the findings. If this fails, it may have been mended."""
    import torch

    x, i = torch.tensor([1.5, 2.0, 0.5], dtype=torch.float64), torch.tensor([0, 0, 1])
    report = check_gradients(lambda t: torch.scatter_reduce(t, 0, i, 2 * t, "prod"), x, around=False, raises=False)
    assert report["vjp"].verdict == "right"
    assert report["forward against reverse"].verdict == "wrong"


def test_gradient_that_cancels_to_rounding_is_not_accused() -> None:
    """The correlation of a row with itself is 1: its gradient is zero, and every way to it leaves other rounding."""
    import torch

    report = check_gradients(torch.corrcoef, point()[:1], around=False, raises=False)
    assert "wrong" not in {c.verdict for c in report.claims}, str(report)


def test_gradient_that_another_choice_leaves_out_is_missed_by_no_rounding() -> None:
    def rule(ct: Any, x: Any, y: Any) -> Any:
        return ct * y, (ct * x if x.requires_grad else None)

    import torch

    class Product(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any, y: Any) -> Any:
            ctx.save_for_backward(x, y)
            return torch.from_numpy(x.detach().numpy() * y.detach().numpy())

        @staticmethod
        def backward(ctx: Any, ct: Any) -> Any:
            return rule(ct, *ctx.saved_tensors)

    report = check_gradients(Product.apply, point(), point() + 3, around=False, raises=False)
    assert not report["vjp"].proved
    assert report["needs_input_grad"].verdict == "wrong", str(report)


@pytest.mark.parametrize(("factor", "verdict"), [(1.0, "right"), (1.001, "wrong")])
def test_the_second_order_of_an_opaque_function_is_held_against_differences(factor: float, verdict: str) -> None:
    import torch

    class Cosine(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return torch.from_numpy(np.cos(x.detach().numpy()))

        @staticmethod
        def backward(ctx: Any, ct: Any) -> Any:
            (x,) = ctx.saved_tensors
            return ct * -Sine.apply(x) * factor

    class Sine(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return torch.from_numpy(np.sin(x.detach().numpy()))

        @staticmethod
        def backward(ctx: Any, ct: Any) -> Any:
            (x,) = ctx.saved_tensors
            return ct * Cosine.apply(x)

    report = check_gradients(Sine.apply, torch.linspace(-1, 1, 5, dtype=torch.float64), raises=False)
    assert report["vjp"].verdict == "right" and not report["vjp"].proved
    assert report["second order"].verdict == verdict
