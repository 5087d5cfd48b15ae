"""Zeroing: zero_() keeps the buffer, None drops it, and the leaf itself is protected."""

from __future__ import annotations

from typing import Any

import pytest

from .support import assert_equal, assert_untouched, snapshot


@pytest.mark.catalogue("ZE01")
def test_zero_in_place_keeps_the_buffer_and_bumps_its_version(torch_like: Any) -> None:
    x = torch_like.tensor([1.0, 2.0], requires_grad=True)
    (x * x).sum().backward()
    buffer, version = x.grad, x.grad._version
    assert buffer.zero_() is buffer
    assert x.grad is buffer
    assert buffer._version == version + 1
    assert_equal(x.grad, [0.0, 0.0])


@pytest.mark.catalogue("ZE01")
def test_backward_after_zero_in_place_adds_to_zeros_in_the_same_buffer(torch_like: Any) -> None:
    x = torch_like.tensor([1.0, 2.0], requires_grad=True)
    (x * x).sum().backward()
    buffer = x.grad.zero_()
    (x * 3).sum().backward()
    assert x.grad is buffer
    assert_equal(x.grad, [3.0, 3.0])


@pytest.mark.catalogue("ZE02")
def test_grad_is_none_before_backward_so_zero_in_place_fails(torch_like: Any) -> None:
    x = torch_like.ones(2, requires_grad=True)
    with pytest.raises(AttributeError, match="'NoneType' object has no attribute 'zero_'"):
        x.grad.zero_()


@pytest.mark.catalogue("ZE03")
def test_none_drops_the_buffer_and_the_next_backward_makes_a_new_one(torch_like: Any) -> None:
    x = torch_like.tensor([1.0, 2.0], requires_grad=True)
    (x * x).sum().backward()
    old = x.grad
    x.grad = None
    assert x.grad is None
    (x * 3).sum().backward()
    assert x.grad is not old
    assert_equal(x.grad, [3.0, 3.0])
    assert_equal(old, [2.0, 4.0])


@pytest.mark.catalogue("ZE04")
def test_zero_in_place_on_the_leaf_itself_is_refused(torch_like: Any) -> None:
    x = torch_like.tensor([1.0, 2.0], requires_grad=True)
    before = snapshot(x)
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad is being used in an in-place operation"):
        x.zero_()
    assert_untouched(before, x)
