"""Accumulation: backward adds, and what it adds into belongs to one leaf alone."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from .support import assert_equal, share_memory, values


@pytest.mark.parametrize("times", [1, 2, 5])
@pytest.mark.catalogue("AC01")
def test_each_backward_of_a_new_recording_adds_to_grad(torch_like: Any, times: int) -> None:
    x = torch_like.tensor([1.0, 2.0, 3.0], requires_grad=True)
    for _ in range(times):
        (x * x).sum().backward()
    assert_equal(x.grad, [2.0 * times, 4.0 * times, 6.0 * times])


@given(xs=st.lists(st.integers(-8, 8), min_size=1, max_size=3), a=st.integers(-4, 4), b=st.integers(-4, 4))
@pytest.mark.catalogue("AC02")
def test_the_backwards_of_two_losses_equal_that_of_their_sum(torch_like: Any, xs: list[int], a: int, b: int) -> None:
    def losses(x: Any) -> tuple[Any, Any]:
        shared = x * a
        return (shared * shared).sum(), (shared * x * b).sum()

    x, w = (torch_like.tensor([float(k) for k in xs], dtype=torch_like.float64, requires_grad=True) for _ in range(2))
    for k in range(2):
        losses(x)[k].backward()
    sum(losses(w)).backward()
    assert_equal(x.grad, values(w.grad))


@pytest.mark.catalogue("AC05")
def test_a_preset_grad_is_added_to_in_place(torch_like: Any) -> None:
    x = torch_like.tensor([1.0, 2.0], requires_grad=True)
    preset = torch_like.tensor([10.0, 20.0])
    x.grad = preset
    (x * 3).sum().backward()
    assert x.grad is preset
    assert_equal(preset, [13.0, 23.0])


SHARED_GRADIENTS = {
    "x + y": lambda x, y: (x + y, [x, y]),
    "x - (-y)": lambda x, y: (x - (-y), [x, y]),
    "x + intermediate": lambda x, y: ((m := y + 0) + x, [x, y, m]),
    "chain of intermediates": lambda x, y: (((m := x + y) + 0) * 1, [x, y, m]),
    "root itself": lambda x, y: (m := x + y, [x, y, m]),
}


@pytest.mark.parametrize("function", SHARED_GRADIENTS.values(), ids=SHARED_GRADIENTS.keys())
@pytest.mark.catalogue("AC06")
def test_no_two_tensors_share_one_grad_buffer(torch_like: Any, function: Any) -> None:
    x, y = (torch_like.ones(3, requires_grad=True) for _ in range(2))
    output, tensors = function(x, y)
    for tensor in tensors:
        tensor.retain_grad()
    v = torch_like.tensor([1.0, 2.0, 3.0])
    output.backward(v)
    buffers = [*[tensor.grad for tensor in tensors[:2]], v]
    for a, b in itertools.combinations(buffers, 2):
        assert not share_memory(a, b)
    x.grad.zero_()
    assert_equal(y.grad, [1.0, 2.0, 3.0])


@pytest.mark.catalogue("AC06")
def test_leaf_grads_do_not_alias_an_intermediate_gradient(torch_like: Any) -> None:
    x = torch_like.ones(3, requires_grad=True)
    m = x + 0
    m.retain_grad()
    (m * torch_like.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert not share_memory(x.grad, m.grad)
    x.grad.zero_()
    assert_equal(m.grad, [1.0, 2.0, 3.0])


@pytest.mark.catalogue("AC06")
def test_only_torch_lets_leaves_behind_views_share_one_buffer(torch_like: Any) -> None:
    # Measured on torch 2.13: each reshape hands back a view of one cotangent, and both leaves keep that memory.
    # https://github.com/pytorch/pytorch/issues/34082
    a, b = (torch_like.ones(2, 3, requires_grad=True) for _ in range(2))
    (a.reshape(6) + b.reshape(6)).backward(torch_like.arange(6.0))
    assert share_memory(a.grad, b.grad) == (torch_like.__name__ == "torch")
