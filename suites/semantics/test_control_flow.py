"""Python control flow: the path that was taken is the function that is differentiated."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from .support import assert_equal, d2l_f, values

# 100 * b is exact in float32 for these, so d / a is exactly the factor of the path.
SHORT = st.integers(-(2**10), 2**10).filter(bool).map(lambda k: k / 64)


@given(a=SHORT)
@pytest.mark.catalogue("CT01")
def test_the_gradient_of_the_path_taken_is_d_over_a(torch_like: Any, a: float) -> None:
    leaf = torch_like.tensor(a, requires_grad=True)
    d = d2l_f(leaf)
    d.backward()
    assert bool(leaf.grad == d / leaf)
    assert_equal(leaf.grad, float(d.detach()) / a)


@given(a=st.floats(2.0**-20, 2.0**20, width=32))
@pytest.mark.catalogue("CT01")
def test_the_number_of_loops_follows_the_value(torch_like: Any, a: float) -> None:
    leaf = torch_like.tensor(a, requires_grad=True)
    d = d2l_f(leaf)
    d.backward()
    assert_equal(leaf.grad, float(d.detach()) / a)


@given(a=st.lists(SHORT, min_size=1, max_size=4))
@pytest.mark.catalogue("CT02")
def test_a_vector_takes_one_path_and_its_gradient_is_d_over_a(torch_like: Any, a: list[float]) -> None:
    leaf = torch_like.tensor(a, requires_grad=True)
    d = d2l_f(leaf)
    d.sum().backward()
    assert_equal(leaf.grad, values(d) / values(leaf))


@pytest.mark.catalogue("CT02")
def test_a_vector_needs_a_sum_or_a_gradient(torch_like: Any) -> None:
    leaf = torch_like.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(RuntimeError, match="only for scalar outputs"):
        d2l_f(leaf).backward()
    d2l_f(leaf).backward(torch_like.ones(2))
    assert_equal(leaf.grad, [512.0, 512.0])


@pytest.mark.catalogue("CT03")
def test_a_comparison_steers_if_and_while_and_leaves_the_graph_alone(torch_like: Any) -> None:
    x = torch_like.tensor(1.0, requires_grad=True)
    y = x * 1
    while y < 100:
        y = y * 3 if y > 10 else y * 2
    assert y.requires_grad
    y.backward()
    assert_equal(x.grad, 144.0)
    assert_equal(y, 144.0)
