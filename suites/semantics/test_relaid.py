"""In-place operations that move no number: `t_`, `squeeze_` and the like, among views and writes."""

from __future__ import annotations

from typing import Any

import pytest

from .support import assert_equal


@pytest.fixture
def x(torch_like: Any) -> Any:
    return torch_like.arange(6.0).reshape(2, 3).clone().requires_grad_()


def test_gradient_is_turned_back(torch_like: Any, x: Any) -> None:
    y = x * 2
    assert y.t_() is y
    assert y.shape == (3, 2)
    assert not y._is_view()
    (y * torch_like.arange(6.0).reshape(3, 2)).sum().backward()
    assert_equal(x.grad, [[0.0, 4.0, 8.0], [2.0, 6.0, 10.0]])


def test_views_from_before_follow_what_is_written_after(torch_like: Any, x: Any) -> None:
    y = x * 1
    row, flat = y[0], y.view(-1)
    y.t_()
    y.mul_(torch_like.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]))
    assert_equal(row, [0.0, 3.0, 10.0])
    assert y._version == 2
    (row * torch_like.tensor([1.0, 10.0, 100.0]) + flat[3:]).sum().backward()
    assert_equal(x.grad, [[1.0, 30.0, 500.0], [2.0, 4.0, 6.0]])


def test_views_from_after_and_turning_twice(torch_like: Any, x: Any) -> None:
    y = x * 1
    before = y[1]
    y.t_().unsqueeze_(0).squeeze_(0).t_()
    after = y[0]
    y.mul_(2)
    (before * 10 + after).sum().backward()
    assert_equal(x.grad, [[2.0, 2.0, 2.0], [20.0, 20.0, 20.0]])


def test_view_is_relaid_and_written_to(torch_like: Any, x: Any) -> None:
    y = x * 2
    row = y[1]
    row.unsqueeze_(0)
    assert row.shape == (1, 3)
    row.mul_(3)
    (y * torch_like.arange(6.0).reshape(2, 3)).sum().backward()
    assert_equal(x.grad, [[0.0, 2.0, 4.0], [18.0, 24.0, 30.0]])


def test_write_gives_a_history_to_what_had_none(torch_like: Any) -> None:
    x = torch_like.arange(6.0).reshape(2, 3).clone()
    row = x[0]
    x.swapaxes_(0, 1)
    w = torch_like.ones(2, requires_grad=True)
    x.mul_(w * 3)
    row.sum().backward()
    assert_equal(w.grad, [9.0, 0.0])


def test_leaf_is_refused_but_for_no_grad(torch_like: Any, x: Any) -> None:
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad is being used in an in-place operation"):
        x.t_()
    with pytest.raises(RuntimeError, match="a view of a leaf Variable that requires grad"):
        x[0].unsqueeze_(0)
    watched = x.detach()
    with torch_like.no_grad():
        x.transpose_(0, 1)
    assert x.is_leaf
    (x * x).sum().backward()
    assert_equal(x.grad, [[0.0, 6.0], [2.0, 8.0], [4.0, 10.0]])
    with torch_like.no_grad():
        x.sub_(x.grad)
    assert_equal(watched, [[0.0, -1.0, -2.0], [-3.0, -4.0, -5.0]])
    x.grad = None
    x.sum().backward()
    assert x.grad.shape == (3, 2)


def test_saved_values_count_the_change(torch_like: Any, x: Any) -> None:
    y = x * 1
    z = y * y
    y.t_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.sum().backward()


def test_shapes_are_those_of_the_ops(torch_like: Any) -> None:
    x = torch_like.zeros(2, 1, 3)
    assert x.squeeze_(1).shape == (2, 3)
    assert x.unsqueeze_(-1).shape == (2, 3, 1)
    assert x.swapdims_(0, 2).shape == (1, 3, 2)
    assert x.squeeze_().shape == (3, 2)
    for wrong in (lambda: x.transpose_(0, 5), lambda: x.unsqueeze_(7)):
        with pytest.raises(IndexError, match="Dimension out of range"):
            wrong()
    assert x.shape == (3, 2)
    assert x.expand(4, 3, 2).transpose_(0, 2).shape == (2, 3, 4)
