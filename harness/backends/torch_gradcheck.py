"""`gradcheck` and `gradgradcheck` with PyTorch's signatures, judged by certificates in the place of tolerances.

    from harness import gradcheck

    assert gradcheck(Tanh.apply, (x,))

Tolerances and step sizes are accepted and mean nothing: there is no tolerance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.autograd.gradcheck import GradcheckError

from harness.checking import Report, check_gradients

__all__ = ["GradcheckFailed", "gradcheck", "gradgradcheck"]


class GradcheckFailed(GradcheckError):
    """A gradient is wrong, or nothing could be decided; `report` has all that was decided."""

    def __init__(self, report: Report) -> None:
        super().__init__(str(report))
        self.report = report


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
    masked: bool | None = None,
) -> bool:
    """Check the gradients of `func` at `inputs`, as `torch.autograd.gradcheck` is called.

    Args:
        func: takes tensors, returns a tensor or a tuple of tensors.
        inputs: a tensor or a tuple of them; those that require grad are checked.
        eps, atol, rtol, nondet_tol, fast_mode, masked: accepted; nothing depends on them.
        raise_exception: raise instead of returning False.
        check_undefined_grad: judge each output's cotangent alone, too.
        check_grad_dtypes: judge shapes and dtypes of the gradients, too.
        check_batched_grad, check_batched_forward_grad: judge `vmap` over the gradient, too.
        check_forward_ad: judge forward mode, too.
        check_backward_ad: must be True.

    Returns:
        True if nothing is wrong, else False.

    Raises:
        GradcheckFailed: a claim is wrong or nothing could be decided, and `raise_exception` is True.
        ValueError: no input requires grad, or `check_backward_ad` is False.
    """
    if not check_backward_ad:
        raise ValueError("check_backward_ad is False: the gradient is what is judged")
    claims = ["linearity", "zero cotangent", "repeatability", "needs_input_grad"]
    claims += ["finite differences", "complex step", "adjoint identity", "float64 twin"]
    claims += ["undefined cotangents"] * check_undefined_grad + ["shape and dtype"] * check_grad_dtypes
    claims += ["batched"] * (check_batched_grad or check_batched_forward_grad) + ["forward mode"] * check_forward_ad
    return _ended(_asked(func, inputs, claims), raise_exception)


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    gen_non_contig_grad_outputs: bool = False,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_fwd_over_rev: bool = False,
    check_rev_over_rev: bool = True,
    fast_mode: bool = False,
    masked: bool = False,
) -> bool:
    """Check gradients and second derivatives, as `torch.autograd.gradgradcheck` is called.

    Arguments are as for `gradcheck`; `grad_outputs` is not needed. `check_fwd_over_rev` judges forward over reverse, too. A
    function that refuses the second order fails.

    Raises:
        GradcheckFailed: a claim is wrong, the second order is refused or nothing could be decided, and `raise_exception` is
            True.
    """
    report = _asked(func, inputs, ["second order"] + ["forward over reverse"] * check_fwd_over_rev)
    names = {c.name: c.verdict for c in report.claims}
    if report.ok and names.get("second order") not in ("right", "digits lost"):
        if raise_exception:
            raise GradcheckFailed(report)
        return False
    return _ended(report, raise_exception)


def _asked(func: Callable[..., Any], inputs: Any, claims: Sequence[str]) -> Report:
    given = (inputs,) if isinstance(inputs, torch.Tensor) else tuple(inputs)
    if not any(isinstance(x, torch.Tensor) and x.requires_grad for x in given):
        raise ValueError("inputs: gradcheck expects at least one input tensor to require grad, none does")
    return check_gradients(func, *given, raises=False, around=False, only=claims)


def _ended(report: Report, raise_exception: bool) -> bool:
    if not report.ok and raise_exception:
        raise GradcheckFailed(report)
    return report.ok
