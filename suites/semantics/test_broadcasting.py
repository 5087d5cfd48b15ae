"""Broadcasting, 0-d and size 0: gradients are summed back to the operand's shape."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from .support import assert_equal

Array = NDArray[np.float64]
SHAPE_PAIRS = hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=3, min_side=0)


def sum_to(shape: tuple[int, ...], ct: Array) -> Array:
    """Sum `ct` over the axes that broadcasting added to `shape` or stretched, on index by index."""
    total = np.zeros(shape)
    for index in np.ndindex(ct.shape):
        kept = index[len(index) - len(shape) :]
        total[tuple(0 if size == 1 else k for k, size in zip(kept, shape, strict=True))] += ct[index]
    return total


# name: (op, partial derivative in a, partial derivative in b), exact on the values that are drawn
BINARY = {
    "add": (lambda torch_like, a, b: a + b, lambda a, b: 1 + 0 * a, lambda a, b: 1 + 0 * b),
    "sub": (lambda torch_like, a, b: a - b, lambda a, b: 1 + 0 * a, lambda a, b: -1 + 0 * b),
    "mul": (lambda torch_like, a, b: a * b, lambda a, b: b, lambda a, b: a),
    "div": (lambda torch_like, a, b: a / b, lambda a, b: 1 / b, lambda a, b: -a / b**2),
    "pow": (lambda torch_like, a, b: a**b, lambda a, b: b * a ** (b - 1), None),
    "maximum": (
        lambda torch_like, a, b: torch_like.maximum(a, b),
        lambda a, b: (a > b) + 0.5 * (a == b),
        lambda a, b: (b > a) + 0.5 * (a == b),
    ),
    "minimum": (
        lambda torch_like, a, b: torch_like.minimum(a, b),
        lambda a, b: (a < b) + 0.5 * (a == b),
        lambda a, b: (b < a) + 0.5 * (a == b),
    ),
}
POWERS_OF_TWO = st.sampled_from([-4.0, -2.0, -1.0, 0.5, 1.0, 2.0, 4.0])
POSITIVE = st.sampled_from([1.0, 2.0, 3.0])


@pytest.mark.parametrize("name", BINARY)
@given(shapes=SHAPE_PAIRS, data=st.data())
@pytest.mark.catalogue("BC01")
def test_the_gradient_of_a_broadcast_operand_is_summed_to_its_shape(
    torch_like: Any, name: str, shapes: Any, data: st.DataObject
) -> None:
    op, *partials = BINARY[name]
    elements = POSITIVE if name == "pow" else POWERS_OF_TWO
    arrays = [data.draw(hnp.arrays(np.float64, shape, elements=elements)) for shape in shapes.input_shapes]
    ct = data.draw(hnp.arrays(np.float64, shapes.result_shape, elements=st.integers(-8, 8).map(float)))
    leaves = [
        torch_like.tensor(array, requires_grad=partial is not None)
        for array, partial in zip(arrays, partials, strict=True)
    ]
    op(torch_like, *leaves).backward(torch_like.tensor(ct))
    full = np.broadcast_arrays(*arrays)
    for leaf, partial in zip(leaves, partials, strict=True):
        if partial is not None:
            assert_equal(leaf.grad, sum_to(tuple(leaf.shape), ct * partial(*full)))


@pytest.mark.parametrize("op", ["add", "sub", "mul", "div", "maximum"])
@pytest.mark.parametrize(
    ("a", "b", "phrase"),
    [
        ((2,), (3,), r"The size of tensor a \(2\) must match the size of tensor b \(3\) at non-singleton dimension 0"),
        (
            (4, 2),
            (4, 3),
            r"The size of tensor a \(2\) must match the size of tensor b \(3\) at non-singleton dimension 1",
        ),
        (
            (2, 1),
            (3, 1),
            r"The size of tensor a \(2\) must match the size of tensor b \(3\) at non-singleton dimension 0",
        ),
        ((0,), (3,), r"The size of tensor a \(0\) must match the size of tensor b \(3\) at non-singleton dimension 0"),
    ],
)
@pytest.mark.catalogue("BC02")
def test_incompatible_shapes_are_refused(
    torch_like: Any, op: str, a: tuple[int, ...], b: tuple[int, ...], phrase: str
) -> None:
    with pytest.raises(RuntimeError, match=phrase):
        getattr(torch_like, op)(torch_like.ones(a, requires_grad=True), torch_like.ones(b))


@pytest.mark.catalogue("BC04")
def test_a_zero_dimensional_tensor_has_one_element_and_no_axis(torch_like: Any) -> None:
    x = torch_like.tensor(3.0, requires_grad=True)
    assert (tuple(x.shape), x.dim(), x.ndim, x.numel()) == ((), 0, 0, 1)
    y = x.sum()
    assert tuple(y.shape) == ()
    y.backward()
    assert_equal(x.grad, 1.0)


@pytest.mark.catalogue("BC04")
def test_a_zero_dimensional_tensor_broadcasts_against_one_element(torch_like: Any) -> None:
    x, w = torch_like.tensor(3.0, requires_grad=True), torch_like.tensor([2.0], requires_grad=True)
    y = x * w
    assert tuple(y.shape) == (1,)
    y.backward()
    assert_equal(x.grad, 2.0)
    assert_equal(w.grad, [3.0])


@pytest.mark.catalogue("BC04")
def test_results_are_tensors_also_when_they_are_zero_dimensional(torch_like: Any) -> None:
    x = torch_like.tensor(3.0)
    for y in (x + 1, x * x, x.sum(), x.exp(), x > 0, torch_like.dot(torch_like.ones(2), torch_like.ones(2))):
        assert isinstance(y, torch_like.Tensor)
        assert tuple(y.shape) == ()


@pytest.mark.catalogue("BC05")
def test_randn_of_the_empty_size_is_a_zero_dimensional_leaf(torch_like: Any) -> None:
    a = torch_like.randn(size=(), requires_grad=True)
    assert (tuple(a.shape), a.is_leaf, a.requires_grad, a.dtype) == ((), True, True, torch_like.float32)
