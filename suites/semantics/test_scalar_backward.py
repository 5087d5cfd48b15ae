"""backward() on scalars: what it accumulates, into which leaves, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from .support import assert_equal, assert_untouched, snapshot


@pytest.mark.catalogue("BS01")
def test_backward_fills_grad_of_every_reachable_leaf_and_returns_none(torch_like: Any) -> None:
    x = torch_like.tensor([1.0, 2.0, 3.0], requires_grad=True)
    w = torch_like.tensor([4.0, 5.0, 6.0], requires_grad=True)
    assert (x * w).sum().backward() is None
    assert_equal(x.grad, [4.0, 5.0, 6.0])
    assert_equal(w.grad, [1.0, 2.0, 3.0])


@pytest.mark.parametrize("shape", [(), (1,), (1, 1), (1, 1, 1)])
@pytest.mark.catalogue("BS02")
def test_scalar_means_one_element_of_any_rank(torch_like: Any, shape: tuple[int, ...]) -> None:
    x = torch_like.full(shape, 3.0, requires_grad=True)
    (x * x).backward()
    assert_equal(x.grad, np.full(shape, 6.0))


@pytest.mark.parametrize(
    "make",
    [
        lambda torch_like: torch_like.ones(()),
        lambda torch_like: torch_like.ones(2).sum(),
        lambda torch_like: torch_like.ones(2),
    ],
)
@pytest.mark.catalogue("BS03")
def test_backward_on_a_tensor_without_grad_is_refused(torch_like: Any, make: Any) -> None:
    y = make(torch_like)
    with pytest.raises(RuntimeError, match="element 0 of tensors does not require grad and does not have a grad_fn"):
        y.backward()
    assert y.grad is None


@pytest.mark.catalogue("BS04")
def test_backward_on_a_leaf_scalar_adds_one_to_itself(torch_like: Any) -> None:
    x = torch_like.tensor(5.0, requires_grad=True)
    x.backward()
    assert_equal(x.grad, 1.0)
    x.backward()
    assert_equal(x.grad, 2.0)


@pytest.mark.catalogue("BS05")
def test_a_leaf_that_does_not_take_part_keeps_grad_none(torch_like: Any) -> None:
    x, other = torch_like.ones(2, requires_grad=True), torch_like.ones(2, requires_grad=True)
    unused = other * x
    x.sum().backward()
    assert other.grad is None
    assert unused.requires_grad


@pytest.mark.parametrize("x_dtype", ["float32", "float64"])
@pytest.mark.parametrize("w_dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("x_shape", "w_shape"), [((), (3,)), ((3,), (2, 3)), ((2, 1), (1, 3)), ((1,), ()), ((0,), (1,))]
)
@pytest.mark.catalogue("BS06")
def test_a_gradient_has_the_shape_and_dtype_of_its_leaf(
    torch_like: Any, x_dtype: str, w_dtype: str, x_shape: tuple[int, ...], w_shape: tuple[int, ...]
) -> None:
    x = torch_like.ones(x_shape, dtype=getattr(torch_like, x_dtype), requires_grad=True)
    w = torch_like.ones(w_shape, dtype=getattr(torch_like, w_dtype), requires_grad=True)
    (x * w).sum().backward()
    for leaf in (x, w):
        assert leaf.grad.dtype == leaf.dtype
        assert tuple(leaf.grad.shape) == tuple(leaf.shape)


@pytest.mark.catalogue("BS09")
def test_several_roots_give_the_sum_of_their_gradients(torch_like: Any) -> None:
    x = torch_like.tensor([1.0, 2.0], requires_grad=True)
    torch_like.autograd.backward([(x * x).sum(), (3 * x).sum()])
    assert_equal(x.grad, [5.0, 7.0])


@pytest.mark.catalogue("BS09")
def test_a_root_may_depend_on_another_root_and_occur_twice(torch_like: Any) -> None:
    x = torch_like.tensor(2.0, requires_grad=True)
    y = x * x
    z = 3 * y
    torch_like.autograd.backward([y, z, y])
    assert_equal(x.grad, (1 + 3 + 1) * 4.0)


@pytest.mark.catalogue("BS09")
def test_several_roots_take_a_gradient_each(torch_like: Any) -> None:
    x = torch_like.tensor([1.0, 2.0], requires_grad=True)
    torch_like.autograd.backward([x * 2, (x * x).sum()], [torch_like.tensor([1.0, 10.0]), None])
    assert_equal(x.grad, [4.0, 24.0])


@pytest.mark.catalogue("BS10")
def test_inputs_restrict_accumulation_to_themselves(torch_like: Any) -> None:
    x, w = torch_like.ones(2, requires_grad=True), torch_like.ones(2, requires_grad=True)
    w.grad = torch_like.full((2,), 9.0)
    (x * w * 2).sum().backward(inputs=[x])
    assert_equal(x.grad, [2.0, 2.0])
    assert_equal(w.grad, [9.0, 9.0])


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
@pytest.mark.catalogue("BS10")
def test_a_non_leaf_among_the_inputs_gets_a_grad(torch_like: Any) -> None:
    x = torch_like.tensor([1.0, 2.0], requires_grad=True)
    y = x * 3
    (y * y).sum().backward(inputs=[y])
    assert_equal(y.grad, [6.0, 12.0])
    assert x.grad is None


@pytest.mark.catalogue("BS10")
def test_inputs_may_be_a_single_tensor(torch_like: Any) -> None:
    x, w = torch_like.ones(2, requires_grad=True), torch_like.ones(2, requires_grad=True)
    (x * w).sum().backward(inputs=x)
    assert_equal(x.grad, [1.0, 1.0])
    assert w.grad is None


@pytest.mark.catalogue("BS15")
def test_backward_works_inside_no_grad_on_a_graph_built_outside(torch_like: Any) -> None:
    x = torch_like.tensor([1.0, 2.0], requires_grad=True)
    y = (x * x).sum()
    with torch_like.no_grad():
        y.backward()
    assert_equal(x.grad, [2.0, 4.0])
    assert not x.grad.requires_grad


@pytest.mark.catalogue("BS03")
def test_a_refused_backward_changes_nothing(torch_like: Any) -> None:
    x = torch_like.ones(2, requires_grad=True)
    x.grad = torch_like.full((2,), 4.0)
    before = snapshot(x)
    with pytest.raises(RuntimeError, match="does not require grad"):
        torch_like.autograd.backward([x.sum(), torch_like.ones(())])
    assert_untouched(before, x)
