"""torch.autograd.grad: gradients as values, without touching `.grad`."""

from __future__ import annotations

from typing import Any

import pytest

from .support import assert_equal, assert_untouched, snapshot


@pytest.mark.catalogue("AG01")
def test_grad_returns_one_gradient_an_input_in_order(torch_like: Any) -> None:
    x = torch_like.tensor([1.0, 2.0], requires_grad=True)
    w = torch_like.tensor([3.0, 4.0], requires_grad=True)
    gradients = torch_like.autograd.grad((x * x * w).sum(), [w, x])
    assert isinstance(gradients, tuple)
    assert len(gradients) == 2
    assert_equal(gradients[0], [1.0, 4.0])
    assert_equal(gradients[1], [6.0, 16.0])
    assert not gradients[0].requires_grad


@pytest.mark.catalogue("AG01")
def test_grad_takes_a_single_input_and_returns_a_tuple(torch_like: Any) -> None:
    x = torch_like.tensor(3.0, requires_grad=True)
    gradients = torch_like.autograd.grad(x * x, x)
    assert isinstance(gradients, tuple)
    assert len(gradients) == 1
    assert_equal(gradients[0], 6.0)


@pytest.mark.catalogue("AG01")
def test_grad_touches_no_grad_attribute(torch_like: Any) -> None:
    x = torch_like.tensor([1.0, 2.0], requires_grad=True)
    w = torch_like.tensor([3.0, 4.0], requires_grad=True)
    w.grad = torch_like.tensor([5.0, 5.0])
    before = snapshot(x, w)
    torch_like.autograd.grad((x * w).sum(), [x, w])
    assert_untouched(before, x, w)
