"""Non-scalar outputs: vector-Jacobian products, their algebra and their argument checks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from .support import assert_equal, assert_untouched, share_memory, snapshot, values

SHAPES = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)


def integers(shape: tuple[int, ...]) -> st.SearchStrategy[NDArray[np.float64]]:
    """Arrays of small integers: sums and products of a few of them are exact in float64."""
    return hnp.arrays(np.float64, shape, elements=st.integers(-8, 8).map(float))


def three_arrays() -> st.SearchStrategy[tuple[NDArray[np.float64], ...]]:
    return SHAPES.flatmap(lambda shape: st.tuples(integers(shape), integers(shape), integers(shape)))


# Quadratic functions of x: central differences of step 1 are exact, and so is every product of small integers.
QUADRATIC = {
    "square": lambda x: x * x,
    "3x - x": lambda x: 3 * x - x,
    "x * sum(x)": lambda x: x * x.sum(),
    "outer with itself": lambda x: x.reshape(-1, 1) * x.reshape(1, -1),
    "added axis": lambda x: x + x.unsqueeze(0) * x,
}
quadratic = pytest.mark.parametrize("function", QUADRATIC.values(), ids=QUADRATIC.keys())


def vjp(torch_like: Any, function: Any, x: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.float64]:
    leaf = torch_like.tensor(x, requires_grad=True)
    function(leaf).backward(gradient=torch_like.tensor(v))
    return values(leaf.grad)


@pytest.mark.catalogue("VJ01")
def test_backward_with_a_gradient_accumulates_the_product(torch_like: Any) -> None:
    x = torch_like.tensor([1.0, 2.0, 3.0], requires_grad=True)
    (x * x).backward(gradient=torch_like.tensor([1.0, 10.0, -1.0]))
    assert_equal(x.grad, [2.0, 40.0, -6.0])


@quadratic
@given(arrays=three_arrays(), data=st.data())
@pytest.mark.catalogue("VJ01")
def test_three_ways_to_the_product_agree(torch_like: Any, function: Any, arrays: Any, data: st.DataObject) -> None:
    x = arrays[0]
    leaves = [torch_like.tensor(x, requires_grad=True) for _ in range(3)]
    outputs = [function(leaf) for leaf in leaves]
    v = torch_like.tensor(data.draw(integers(tuple(outputs[0].shape))))
    outputs[0].backward(gradient=v)
    (outputs[1] * v).sum().backward()
    (third,) = torch_like.autograd.grad(outputs[2], leaves[2], v)
    assert_equal(leaves[1].grad, values(leaves[0].grad))
    assert_equal(third, values(leaves[0].grad))


@pytest.mark.catalogue("VJ01")
def test_a_gradient_of_ones_equals_the_backward_of_the_sum(torch_like: Any) -> None:
    x, w = (torch_like.tensor([1.0, 2.0, 3.0], requires_grad=True) for _ in range(2))
    (x * x).backward(torch_like.ones(3))
    (w * w).sum().backward()
    assert_equal(x.grad, values(w.grad))


@pytest.mark.parametrize("shape", [(2,), (0,), (1, 2), (2, 0)])
@pytest.mark.catalogue("VJ02")
def test_only_one_element_outputs_have_an_implicit_gradient(torch_like: Any, shape: tuple[int, ...]) -> None:
    x = torch_like.ones(shape, requires_grad=True)
    before = snapshot(x)
    with pytest.raises(RuntimeError, match="grad can be implicitly created only for scalar outputs"):
        (x * 2).backward()
    assert_untouched(before, x)


@pytest.mark.parametrize(
    ("output", "gradient"),
    [((2,), (3,)), ((2,), ()), ((2,), (1,)), ((2,), (1, 2)), ((2, 3), (3, 2)), ((2, 3), (6,)), ((), (1,)), ((1,), ())],
)
@pytest.mark.catalogue("VJ03")
def test_the_gradient_must_have_the_shape_of_the_output(
    torch_like: Any, output: tuple[int, ...], gradient: tuple[int, ...]
) -> None:
    x = torch_like.ones(output, requires_grad=True)
    y = x * x
    before = snapshot(x)
    with pytest.raises(RuntimeError, match=r"Mismatch in shape: grad_output\[0\] has a shape of"):
        y.backward(torch_like.ones(gradient))
    assert_untouched(before, x)
    y.backward(torch_like.ones(output))
    assert_equal(x.grad, np.full(output, 2.0))


@quadratic
@given(arrays=three_arrays(), a=st.integers(-4, 4), b=st.integers(-4, 4), data=st.data())
@pytest.mark.catalogue("VJ05")
def test_the_product_is_linear_in_the_gradient(
    torch_like: Any, function: Any, arrays: Any, a: int, b: int, data: st.DataObject
) -> None:
    x = arrays[0]
    shape = tuple(function(torch_like.tensor(x)).shape)
    u, v = data.draw(integers(shape)), data.draw(integers(shape))
    left = vjp(torch_like, function, x, a * u + b * v)
    right = a * vjp(torch_like, function, x, u) + b * vjp(torch_like, function, x, v)
    assert np.array_equal(left, right)


@quadratic
@given(arrays=three_arrays(), data=st.data())
@pytest.mark.catalogue("VJ06")
def test_the_product_is_dual_to_the_directional_derivative(
    torch_like: Any, function: Any, arrays: Any, data: st.DataObject
) -> None:
    x, u, _ = arrays
    plus, minus = (values(function(torch_like.tensor(x + sign * u))) for sign in (1, -1))
    derivative = (plus - minus) / 2
    v = data.draw(integers(derivative.shape))
    assert np.sum(v * derivative) == np.sum(vjp(torch_like, function, x, v) * u)


IDENTITY_LIKE = {
    "x + 0": lambda x: x + 0,
    "x * 1": lambda x: x * 1,
    "clone": lambda x: x.clone(),
    "slice": lambda x: x[:],
    "itself": lambda x: x,
}
BEHIND_A_VIEW = {
    "reshape": lambda x: x.reshape(3),
    "sum and view": lambda x: (x + 0).reshape(3) + 0,
}


@pytest.mark.parametrize("function", IDENTITY_LIKE.values(), ids=IDENTITY_LIKE.keys())
@pytest.mark.catalogue("VJ07")
def test_the_gradient_argument_is_neither_changed_nor_kept(torch_like: Any, function: Any) -> None:
    x = torch_like.tensor([1.0, 2.0, 3.0], requires_grad=True)
    v = torch_like.tensor([1.0, 2.0, 4.0])
    for times in (1, 2, 3):
        function(x).backward(v)
        assert x.grad is not v
        assert not share_memory(x.grad, v)
        assert_equal(v, [1.0, 2.0, 4.0])
        assert_equal(x.grad, [1.0 * times, 2.0 * times, 4.0 * times])
    v.zero_()
    assert_equal(x.grad, [3.0, 6.0, 12.0])


@pytest.mark.parametrize("function", BEHIND_A_VIEW.values(), ids=BEHIND_A_VIEW.keys())
@pytest.mark.catalogue("VJ07")
def test_only_torch_keeps_the_gradient_argument_behind_a_view(torch_like: Any, function: Any) -> None:
    # Measured on torch 2.13: the view of v that a reshape hands back becomes x.grad, so the next backward writes to v.
    x = torch_like.tensor([1.0, 2.0, 3.0], requires_grad=True)
    v = torch_like.tensor([1.0, 2.0, 4.0])
    function(x).backward(v)
    assert share_memory(x.grad, v) == (torch_like.__name__ == "torch")
