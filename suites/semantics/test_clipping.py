"""`nn.utils`: clipped gradients, and parameters as one vector."""

from __future__ import annotations

import math
from typing import Any

import pytest

from .support import assert_equal, values


def parameters(torch_like: Any, *grads: list[float] | None) -> list[Any]:
    found = []
    for grad in grads:
        p = torch_like.zeros(2, dtype=torch_like.float64, requires_grad=True)
        if grad is not None:
            p.grad = torch_like.tensor(grad, dtype=torch_like.float64)
        found.append(p)
    return found


@pytest.mark.parametrize("norm_type", [1, 2, 2.5, math.inf])
@pytest.mark.parametrize("max_norm", [0.5, 100.0])
def test_gradients_are_scaled_to_a_norm(torch_like: Any, norm_type: float, max_norm: float) -> None:
    ps = parameters(torch_like, [3.0, -4.0], None, [0.5, 12.0])
    held = [None if p.grad is None else p.grad for p in ps]
    total = torch_like.nn.utils.clip_grad_norm_(iter(ps), max_norm, norm_type=norm_type)
    every = [3.0, 4.0, 0.5, 12.0]
    norm = max(every) if norm_type == math.inf else sum(v**norm_type for v in every) ** (1 / norm_type)
    assert float(total) == pytest.approx(norm, rel=1e-14)
    assert not total.requires_grad
    factor = min(1.0, max_norm / (norm + 1e-6))
    assert ps[1].grad is None
    assert all(p.grad is grad for p, grad in zip(ps, held, strict=True))
    assert values(ps[0].grad) == pytest.approx([3.0 * factor, -4.0 * factor], rel=1e-14)
    assert values(ps[2].grad) == pytest.approx([0.5 * factor, 12.0 * factor], rel=1e-14)


def test_one_tensor_stands_for_itself_and_none_have_norm_zero(torch_like: Any) -> None:
    (p,) = parameters(torch_like, [3.0, 4.0])
    utils = torch_like.nn.utils
    assert float(utils.get_total_norm(p.grad)) == 5.0
    assert float(utils.clip_grad_norm_(p, 1.0)) == 5.0
    assert float(utils.clip_grad_norm_([], 1.0)) == float(utils.get_total_norm([])) == 0.0
    utils.clip_grads_with_norm_(p, 0.5, torch_like.tensor(1.0 - 1e-6, dtype=torch_like.float64))
    assert values(p.grad) == pytest.approx([0.3, 0.4], rel=1e-5)


@pytest.mark.parametrize("strange", [math.nan, math.inf])
def test_a_norm_that_is_not_finite_raises_if_asked(torch_like: Any, strange: float) -> None:
    ps = parameters(torch_like, [1.0, 2.0], [strange, 0.0])
    with pytest.raises(
        RuntimeError, match=r"The total norm of order 2.0 for gradients from `parameters` is non-finite"
    ):
        torch_like.nn.utils.clip_grad_norm_(ps, 1.0, error_if_nonfinite=True)
    assert_equal(ps[0].grad, [1.0, 2.0])
    assert not math.isfinite(float(torch_like.nn.utils.clip_grad_norm_(ps, 1.0)))


def test_elements_are_limited(torch_like: Any) -> None:
    ps = parameters(torch_like, [3.0, -4.0], None, [0.25, -0.5])
    torch_like.nn.utils.clip_grad_value_(ps, 0.5)
    assert_equal(ps[0].grad, [0.5, -0.5])
    assert_equal(ps[2].grad, [0.25, -0.5])


def test_parameters_become_a_vector_that_is_differentiable_and_go_back(torch_like: Any) -> None:
    a = torch_like.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    b = torch_like.tensor(5.0, requires_grad=True)
    vector = torch_like.nn.utils.parameters_to_vector([a, b])
    assert_equal(vector, [1.0, 2.0, 3.0, 4.0, 5.0])
    (vector * vector).sum().backward()
    assert_equal(a.grad, [[2.0, 4.0], [6.0, 8.0]])
    assert_equal(b.grad, 10.0)
    torch_like.nn.utils.vector_to_parameters(torch_like.arange(6.0), iter([a, b]))
    assert_equal(a, [[0.0, 1.0], [2.0, 3.0]])
    assert_equal(b, 4.0)
    assert a.is_leaf
    assert a.requires_grad


def test_what_is_no_vector_of_parameters_is_refused(torch_like: Any) -> None:
    (p,) = parameters(torch_like, None)
    with pytest.raises(ValueError, match="expected a non-empty list of Tensors"):
        torch_like.nn.utils.parameters_to_vector([])
    with pytest.raises(TypeError, match=r"expected torch\.Tensor, but got"):
        torch_like.nn.utils.vector_to_parameters([1.0, 2.0], [p])
    with pytest.raises(RuntimeError, match="invalid for input of size 1"):
        torch_like.nn.utils.vector_to_parameters(torch_like.ones(1), [p])
