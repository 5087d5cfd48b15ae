"""Graph building: what is recorded, what stays alive, and sharing."""

from __future__ import annotations

import gc
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from .support import assert_equal


@pytest.mark.catalogue("GB01")
def test_an_op_records_one_node_that_stays_the_same_object(torch_like: Any) -> None:
    x = torch_like.ones(2, requires_grad=True)
    y = x * 2
    assert y.requires_grad
    assert y.grad_fn is not None
    assert y.grad_fn is y.grad_fn


@pytest.mark.catalogue("GB01")
def test_nothing_is_recorded_without_an_input_that_requires_grad(torch_like: Any) -> None:
    x = torch_like.ones(2)
    y = x * 2
    assert not y.requires_grad
    assert y.grad_fn is None


@pytest.mark.catalogue("GB01")
def test_nothing_is_recorded_when_grad_mode_is_off(torch_like: Any) -> None:
    x = torch_like.ones(2, requires_grad=True)
    with torch_like.no_grad():
        y = x * 2
    assert not y.requires_grad
    assert y.grad_fn is None


@pytest.mark.catalogue("GB06")
def test_rebinding_a_name_leaves_the_old_leaf_in_the_graph(torch_like: Any) -> None:
    leaf = x = torch_like.tensor([1.0, 2.0], requires_grad=True)
    x = x * 2
    x = x * x
    assert leaf.is_leaf
    assert not x.is_leaf
    x.sum().backward()
    assert_equal(leaf.grad, [8.0, 16.0])


@pytest.mark.catalogue("GB07")
def test_tensors_out_of_scope_stay_alive_while_the_graph_needs_them(torch_like: Any) -> None:
    x = torch_like.tensor([1.0, 2.0], requires_grad=True)

    def build() -> Any:
        weight = torch_like.tensor([3.0, 5.0], requires_grad=True)
        hidden = x * weight
        return hidden * hidden

    y = build()
    gc.collect()
    y.sum().backward()
    assert_equal(x.grad, [18.0, 100.0])


@pytest.mark.catalogue("GB07")
def test_a_leaf_out_of_scope_still_receives_its_gradient(torch_like: Any) -> None:
    def build() -> Any:
        leaf = torch_like.tensor([1.0, 2.0], requires_grad=True)
        return leaf, leaf * leaf

    leaf, y = build()
    kept = [leaf]
    del leaf
    gc.collect()
    y.sum().backward()
    assert_equal(kept[0].grad, [2.0, 4.0])


@pytest.mark.catalogue("GB08")
def test_numbers_and_tensors_without_grad_are_constants(torch_like: Any) -> None:
    x = torch_like.tensor([1.0, 2.0], requires_grad=True)
    c = torch_like.tensor([3.0, 4.0])
    (c * x * 2 + 5 - True * c).sum().backward()
    assert_equal(x.grad, [6.0, 8.0])
    assert c.grad is None
    assert not c.requires_grad


OPERATORS = {
    "x+2": (lambda x: x + 2, 1.0),
    "2+x": (lambda x: 2 + x, 1.0),
    "x-2": (lambda x: x - 2, 1.0),
    "2-x": (lambda x: 2 - x, -1.0),
    "x*2": (lambda x: x * 2, 2.0),
    "2*x": (lambda x: 2 * x, 2.0),
    "x/2": (lambda x: x / 2, 0.5),
    "2/x": (lambda x: 2 / x, -0.125),
    "x**2": (lambda x: x**2, 8.0),
    "2**x": (lambda x: 2**x, 16.0 * math.log(2.0)),
    "-x": (lambda x: -x, -1.0),
    "abs(-x)": (lambda x: abs(-x), 1.0),
    "sum([x, x])": (lambda x: sum([x, x]), 2.0),
    "max(x, 3x)": (lambda x: max(x, 3 * x), 3.0),
    "min(x, 3x)": (lambda x: min(x, 3 * x), 1.0),
    "x@x": (lambda x: x.reshape(1) @ x.reshape(1), 8.0),
}


@pytest.mark.parametrize(("function", "slope"), OPERATORS.values(), ids=OPERATORS.keys())
@pytest.mark.catalogue("GB09")
def test_every_operator_is_recorded_on_either_side(torch_like: Any, function: Any, slope: float) -> None:
    x = torch_like.tensor(4.0, dtype=torch_like.float64, requires_grad=True)
    function(x).backward()
    assert_equal(x.grad, slope)


@given(edges=st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7), st.integers(-3, 3)), max_size=8))
@pytest.mark.catalogue("GB11")
def test_a_tensor_used_often_gets_the_sum_over_all_paths(torch_like: Any, edges: list[tuple[int, int, int]]) -> None:
    # Node k + 1 is weight * node[a] + node[b]: the number of weighted paths from the leaf is the gradient.
    x = torch_like.tensor(1.0, dtype=torch_like.float64, requires_grad=True)
    nodes, paths = [x * 1], [1]
    for a, b, weight in edges:
        a, b = a % len(nodes), b % len(nodes)
        nodes.append(nodes[a] * weight + nodes[b])
        paths.append(paths[a] * weight + paths[b])
    nodes[-1].backward()
    assert_equal(x.grad, float(paths[-1]))


@pytest.mark.parametrize("uses", [1, 2, 3, 17])
@pytest.mark.catalogue("GB11")
def test_a_tensor_used_k_times_in_a_product_gets_every_path(torch_like: Any, uses: int) -> None:
    x = torch_like.tensor(2.0, dtype=torch_like.float64, requires_grad=True)
    y = torch_like.ones((), dtype=torch_like.float64)
    for _ in range(uses):
        y = y * x
    y.backward()
    assert_equal(x.grad, uses * 2.0 ** (uses - 1))
