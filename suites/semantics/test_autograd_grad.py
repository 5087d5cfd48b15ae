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


@pytest.mark.catalogue("AG06", priority=2)
def test_only_nodes_on_a_path_to_an_input_run(torch_like: Any) -> None:
    x = torch_like.tensor([1.0, 2.0], requires_grad=True)
    w = torch_like.tensor([3.0, 4.0], requires_grad=True)
    ran: list[str] = []

    class Noted(torch_like.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, x: Any, name: str) -> Any:
            ctx.who = name
            return x * 2

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            ran.append(ctx.who)
            return g * 2, None

    y = Noted.apply(x, "x") + Noted.apply(w, "w")
    torch_like.autograd.grad(y.sum(), x)
    assert ran == ["x"]


@pytest.mark.catalogue("AG07", priority=2)
def test_grad_frees_what_was_saved_unless_it_is_retained(torch_like: Any) -> None:
    x = torch_like.tensor([1.0, 2.0], requires_grad=True)
    y = (x * x).sum()
    for retain in (True, False):
        (found,) = torch_like.autograd.grad(y, x, retain_graph=retain)
        assert_equal(found, [2.0, 4.0])
    with pytest.raises(RuntimeError, match="Trying to backward through the graph a second time"):
        torch_like.autograd.grad(y, x)


@pytest.mark.catalogue("AG08", priority=3)
def test_a_batch_of_cotangents_gives_the_stack_of_gradients(torch_like: Any) -> None:
    x = torch_like.tensor([1.0, 2.0], requires_grad=True)
    w = torch_like.tensor([1.0, 2.0], requires_grad=True)
    batch = torch_like.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, -1.0]])
    found, unused = torch_like.autograd.grad(x * x, [x, w], batch, is_grads_batched=True, allow_unused=True)
    assert_equal(found, [[2.0, 0.0], [0.0, 4.0], [4.0, -4.0]])
    assert unused is None
    (both,) = torch_like.autograd.grad([x * x, x.sum()], x, [batch, torch_like.ones(3)], is_grads_batched=True)
    assert_equal(both, [[3.0, 1.0], [1.0, 5.0], [5.0, -3.0]])


@pytest.mark.catalogue("AG08", priority=3)
def test_a_batch_of_another_shape_is_refused(torch_like: Any) -> None:
    x = torch_like.tensor([1.0, 2.0], requires_grad=True)
    for ct in (torch_like.ones(2), torch_like.ones(2, 3)):
        with pytest.raises(RuntimeError, match="If `is_grads_batched=True`, we interpret the first dimension"):
            torch_like.autograd.grad(x * x, x, ct, is_grads_batched=True)
    with pytest.raises(ValueError, match="Expected all tensors to have the same size in the mapped dimension"):
        torch_like.autograd.grad(
            [x * x, x * 2], x, [torch_like.ones(2, 2), torch_like.ones(3, 2)], is_grads_batched=True
        )


@pytest.mark.catalogue("AG09", priority=3)
def test_the_gradient_of_an_identity_equals_the_cotangent(torch_like: Any) -> None:
    x, v = torch_like.ones(2, requires_grad=True), torch_like.tensor([3.0, 4.0])
    (found,) = torch_like.autograd.grad(x + 0, x, v)
    assert_equal(found, [3.0, 4.0])


@pytest.mark.catalogue("AG10", priority=3)
def test_the_version_before_an_in_place_operation_is_another_tensor(torch_like: Any) -> None:
    x = torch_like.ones(2, requires_grad=True)
    y = x * 2
    z = (y * 3).sum()
    y.add_(1)
    assert torch_like.autograd.grad(z, y, allow_unused=True, retain_graph=True) == (None,)
    with pytest.raises(RuntimeError, match="appears to not have been used in the graph"):
        torch_like.autograd.grad(z, y)
