"""detach: a constant that shares memory and version with the tensor it was cut from."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from .support import assert_equal, share_memory

MODIFIED = "one of the variables needed for gradient computation has been modified by an inplace operation"


@pytest.mark.catalogue("DT01")
def test_detach_gives_a_new_constant_of_the_same_value(torch_like: Any) -> None:
    x = torch_like.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = x * x
    u = y.detach()
    assert u is not y
    assert (u.requires_grad, u.is_leaf, u.grad_fn, u.grad) == (False, True, None, None)
    assert_equal(u, [1.0, 4.0, 9.0])


@pytest.mark.catalogue("DT01")
def test_gradients_do_not_flow_through_detach(torch_like: Any) -> None:
    x = torch_like.tensor([1.0, 2.0, 3.0], requires_grad=True)
    u = (x * x).detach()
    (u * x).sum().backward()
    assert_equal(x.grad, [1.0, 4.0, 9.0])


@pytest.mark.catalogue("DT02")
def test_the_tensor_itself_keeps_its_graph(torch_like: Any) -> None:
    x = torch_like.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = x * x
    u = y.detach()
    (u * x).sum().backward()
    x.grad.zero_()
    assert y.requires_grad
    assert not y.is_leaf
    y.sum().backward()
    assert_equal(x.grad, [2.0, 4.0, 6.0])


@pytest.mark.catalogue("DT03")
def test_writes_show_on_both_sides_of_detach(torch_like: Any) -> None:
    x = torch_like.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = x + 0
    u = y.detach()
    assert share_memory(u, y)
    u.add_(1)
    assert_equal(y, [2.0, 3.0, 4.0])
    y.mul_(2)
    assert_equal(u, [4.0, 6.0, 8.0])


@pytest.mark.catalogue("DT04")
def test_a_write_to_the_detached_tensor_is_seen_by_the_saved_value_check(torch_like: Any) -> None:
    x = torch_like.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = x + 0
    z = y * y
    u = y.detach()
    u.zero_()
    assert u._version == y._version == 1
    with pytest.raises(RuntimeError, match=MODIFIED):
        z.sum().backward()
    assert x.grad is None


@pytest.mark.catalogue("DT05")
def test_a_write_to_the_detached_tensor_is_fine_when_nothing_saved_it(torch_like: Any) -> None:
    x = torch_like.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = x * 3
    z = y + 1
    y.detach().zero_()
    z.sum().backward()
    assert_equal(x.grad, [3.0, 3.0, 3.0])


@given(xs=st.lists(st.integers(-64, 64).map(float), max_size=4))
@pytest.mark.catalogue("DT11")
def test_a_detached_factor_is_a_constant(torch_like: Any, xs: list[float]) -> None:
    x = torch_like.tensor(xs, requires_grad=True)
    (x.detach() * x).sum().backward()
    assert_equal(x.grad, xs)


@given(xs=st.lists(st.integers(-64, 64).map(float), max_size=4))
@pytest.mark.catalogue("DT11")
def test_straight_through_has_value_zero_and_gradient_one(torch_like: Any, xs: list[float]) -> None:
    x = torch_like.tensor(xs, requires_grad=True)
    y = x - x.detach()
    assert_equal(y, [0.0] * len(xs))
    y.sum().backward()
    assert_equal(x.grad, [1.0] * len(xs))
