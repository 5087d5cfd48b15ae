"""Priority 2 rows on leaves, the graph, backward, vector-Jacobian products, accumulation and zeroing."""

from __future__ import annotations

import time
import warnings
from typing import Any

import numpy as np
import pytest

from .support import assert_equal, assert_untouched, share_memory, snapshot, values

NOT_A_LEAF = "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed"
MODIFIED = "one of the variables needed for gradient computation has been modified by an inplace operation"


@pytest.mark.catalogue("LF05", priority=2)
def test_an_integer_tensor_may_be_told_not_to_require_grad(torch_like: Any) -> None:
    x = torch_like.tensor([1, 2])
    assert x.requires_grad_(False) is x
    assert not x.requires_grad


@pytest.mark.catalogue("LF07", priority=2)
def test_requiring_grad_of_a_non_leaf_that_does_already_changes_nothing(torch_like: Any) -> None:
    y = torch_like.ones(2, requires_grad=True) * 2
    node = y.grad_fn
    assert y.requires_grad_() is y
    assert y.grad_fn is node
    assert not y.is_leaf


@pytest.mark.catalogue("LF09", priority=2)
def test_reading_grad_of_a_non_leaf_gives_none_and_a_warning(torch_like: Any) -> None:
    y = torch_like.ones(2, requires_grad=True) * 2
    with pytest.warns(UserWarning, match=NOT_A_LEAF):
        assert y.grad is None


@pytest.mark.catalogue("LF09", priority=2)
def test_reading_grad_of_other_tensors_does_not_warn(torch_like: Any) -> None:
    x = torch_like.ones(2, requires_grad=True)
    kept = x * 2
    kept.retain_grad()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [t.grad for t in (x, kept, torch_like.ones(2), (x * 2).detach())] == [None] * 4


@pytest.mark.catalogue("LF11", priority=2)
def test_an_assigned_grad_is_stored_itself_and_del_drops_it(torch_like: Any) -> None:
    x, g = torch_like.ones(2), torch_like.ones(2)
    x.grad = g
    assert x.grad is g
    del x.grad
    assert x.grad is None


@pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad=True to a scalar")
@pytest.mark.catalogue("LF15", priority=2)
def test_a_one_element_tensor_converts_to_python_numbers(torch_like: Any) -> None:
    x = torch_like.tensor([2.5], requires_grad=True)
    converted = (x.item(), float(x), int(x), bool(x), x.tolist())
    assert converted == (2.5, 2.5, 2, True, [2.5])
    assert [type(c) for c in converted] == [float, float, int, bool, list]


@pytest.mark.catalogue("LF16", priority=2)
def test_a_larger_tensor_has_no_truth_value_and_converts_to_no_number(torch_like: Any) -> None:
    x = torch_like.ones(2)
    with pytest.raises(RuntimeError, match="Boolean value of Tensor with more than one value is ambiguous"):
        bool(x)
    with pytest.raises(ValueError, match="only one element tensors"):
        float(x)
    with pytest.raises(RuntimeError, match="cannot be converted to Scalar"):
        x.item()


@pytest.mark.catalogue("LF18", priority=2)
def test_a_cast_to_float_is_differentiable_to_int_cuts_and_to_the_same_is_itself(torch_like: Any) -> None:
    x = torch_like.tensor([1.5, 2.5], requires_grad=True)
    wide = x.to(torch_like.float64)
    wide.sum().backward()
    assert_equal(x.grad, [1.0, 1.0])
    assert x.grad.dtype == torch_like.float32
    assert not x.to(torch_like.int64).requires_grad
    assert x.to(torch_like.float32) is x


@pytest.mark.catalogue("LF22", priority=2)
def test_requires_grad_in_place_works_inside_no_grad(torch_like: Any) -> None:
    with torch_like.no_grad():
        x = torch_like.ones(2).requires_grad_()
    assert x.requires_grad
    assert (x * 2).requires_grad


@pytest.mark.parametrize("name", ["zeros_like", "ones_like", "randn_like"])
@pytest.mark.catalogue("LF23", priority=2)
def test_a_factory_by_example_does_not_require_grad_unless_asked(torch_like: Any, name: str) -> None:
    x = torch_like.ones(2, 3, dtype=torch_like.float64, requires_grad=True)
    made, asked = getattr(torch_like, name)(x), getattr(torch_like, name)(x, requires_grad=True)
    assert (made.requires_grad, asked.requires_grad) == (False, True)
    assert (tuple(made.shape), made.dtype) == ((2, 3), torch_like.float64)


@pytest.mark.catalogue("LF24", priority=2)
def test_turning_requires_grad_off_keeps_grad_and_later_backwards_skip_the_leaf(torch_like: Any) -> None:
    x, w = (torch_like.tensor([1.0, 2.0], requires_grad=True) for _ in range(2))
    (x * 3).sum().backward()
    y = (x * w).sum()
    x.requires_grad_(False)
    y.backward()
    assert_equal(x.grad, [3.0, 3.0])
    assert_equal(w.grad, [1.0, 2.0])


@pytest.mark.catalogue("LF26", priority=2)
def test_equality_is_elementwise_and_hashing_is_by_identity(torch_like: Any) -> None:
    x, y = torch_like.ones(2), torch_like.ones(2)
    assert values(x == y).tolist() == [True, True]
    assert {x: "x", y: "y"}[x] == "x"
    assert len({x, y}) == 2


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("AddBackward0", lambda x: x + 1),
        ("SubBackward0", lambda x: x - 1),
        ("MulBackward0", lambda x: x * 2),
        ("DivBackward0", lambda x: x / 2),
        ("NegBackward0", lambda x: -x),
        ("SumBackward0", lambda x: x.sum()),
        ("DotBackward0", lambda x: x.dot(x)),
        ("ExpBackward0", lambda x: x.exp()),
        ("PowBackward0", lambda x: x**2),
    ],
)
@pytest.mark.catalogue("GB02", priority=2)
def test_a_node_is_named_after_its_op(torch_like: Any, name: str, function: Any) -> None:
    node = function(torch_like.ones(2, requires_grad=True)).grad_fn
    assert node.name() == name


@pytest.mark.catalogue("GB03", priority=2)
def test_next_functions_has_one_entry_an_input(torch_like: Any) -> None:
    x = torch_like.ones(2, requires_grad=True)
    y = x * 2
    entries = (y * torch_like.ones(2)).grad_fn.next_functions
    assert isinstance(entries, tuple)
    assert entries[0] == (y.grad_fn, 0)
    assert entries[1] == (None, 0)
    assert len((x + 5).grad_fn.next_functions) == 2


@pytest.mark.catalogue("GB04", priority=2)
def test_a_leaf_has_one_accumulating_node_while_in_use(torch_like: Any) -> None:
    x = torch_like.ones(2, requires_grad=True)
    y, z = x * 2, x * 3
    node = y.grad_fn.next_functions[0][0]
    assert node is z.grad_fn.next_functions[0][0]
    assert type(node).__name__ == "AccumulateGrad"
    assert node.variable is x


@pytest.mark.catalogue("GB10", priority=2)
def test_a_numpy_number_on_the_left_gives_a_tensor_that_is_recorded(torch_like: Any) -> None:
    x = torch_like.tensor([1.0, 2.0], requires_grad=True)
    y = np.float64(2) * x
    assert isinstance(y, torch_like.Tensor)
    assert y.dtype == torch_like.float32
    y.sum().backward()
    assert_equal(x.grad, [2.0, 2.0])


@pytest.mark.catalogue("GB12", priority=2)
def test_backward_is_linear_in_the_graph_and_not_in_the_number_of_paths(torch_like: Any) -> None:
    x = torch_like.tensor(1.0, dtype=torch_like.float64, requires_grad=True)
    y = x
    for _ in range(60):
        y = y + y
    started = time.perf_counter()
    y.backward()
    assert time.perf_counter() - started < 5  # 2**60 paths would take centuries
    assert_equal(x.grad, 2.0**60)


@pytest.mark.filterwarnings(f"ignore:{NOT_A_LEAF}")
@pytest.mark.catalogue("BS07", "BS08", priority=2)
def test_an_intermediate_gets_a_grad_only_when_it_retains_it(torch_like: Any) -> None:
    x = torch_like.tensor([1.0, 2.0], requires_grad=True)
    lost, kept = x * 2, x * 3
    kept.retain_grad()
    kept.retain_grad()
    (lost * kept).sum().backward()
    assert lost.grad is None
    assert not lost.retains_grad
    assert kept.retains_grad
    assert_equal(kept.grad, [2.0, 4.0])


@pytest.mark.catalogue("BS08", priority=2)
def test_retain_grad_accumulates_and_is_a_no_op_on_a_leaf(torch_like: Any) -> None:
    x = torch_like.tensor([1.0, 2.0], requires_grad=True)
    x.retain_grad()
    assert not x.retains_grad
    y = x * 1
    y.retain_grad()
    for _ in range(2):
        (y + 0).sum().backward(retain_graph=True)
    assert_equal(y.grad, [2.0, 2.0])


@pytest.mark.catalogue("BS08", priority=2)
def test_retain_grad_needs_requires_grad(torch_like: Any) -> None:
    with pytest.raises(RuntimeError, match="can't retain_grad on Tensor that has requires_grad=False"):
        torch_like.ones(2).retain_grad()


@pytest.mark.catalogue("BS10")
@pytest.mark.catalogue("BS08", priority=2)
def test_a_non_leaf_among_the_inputs_retains_its_grad_from_then_on(torch_like: Any) -> None:
    x = torch_like.tensor([1.0, 2.0], requires_grad=True)
    y = x + 0
    y.sum().backward(inputs=[y])
    assert y.retains_grad
    y.sum().backward(inputs=[y])
    assert_equal(y.grad, [2.0, 2.0])


@pytest.mark.catalogue("BS11", priority=2)
def test_empty_inputs_are_refused_and_unreachable_ones_stay_none(torch_like: Any) -> None:
    x, w = torch_like.ones(2, requires_grad=True), torch_like.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match=r"`inputs` argument to `backward\(\)` cannot be empty"):
        x.sum().backward(inputs=[])
    x.sum().backward(inputs=[w])
    assert x.grad is None
    assert w.grad is None


@pytest.mark.parametrize(
    ("call", "phrase"),
    [
        (lambda y: y.backward(), "only for scalar outputs"),
        (lambda y: y.backward(y.detach()[:1]), "Mismatch in shape"),
    ],
)
@pytest.mark.catalogue("BS12", priority=2)
def test_a_refused_call_consumes_nothing(torch_like: Any, call: Any, phrase: str) -> None:
    x = torch_like.tensor([1.0, 2.0], requires_grad=True)
    y = x * x
    before = snapshot(x)
    with pytest.raises(RuntimeError, match=phrase):
        call(y)
    assert_untouched(before, x)
    y.backward(torch_like.ones(2))
    assert_equal(x.grad, [2.0, 4.0])


@pytest.mark.catalogue("BS13", priority=2)
def test_roots_and_gradients_must_agree_in_number(torch_like: Any) -> None:
    x = torch_like.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="got 2 tensors and 1 gradients"):
        torch_like.autograd.backward([x * 2, x * 3], [torch_like.ones(2)])


@pytest.mark.parametrize("dtype", ["float64", "int64", "bool"])
@pytest.mark.catalogue("VJ04", priority=2)
def test_a_gradient_of_another_dtype_is_cast(torch_like: Any, dtype: str) -> None:
    x = torch_like.ones(2, requires_grad=True)
    (x * 3).backward(torch_like.ones(2, dtype=getattr(torch_like, dtype)))
    assert x.grad.dtype == torch_like.float32
    assert_equal(x.grad, [3.0, 3.0])


@pytest.mark.parametrize("gradient", [10.0, [1.0, 1.0]])
@pytest.mark.catalogue("VJ08", priority=2)
def test_a_gradient_that_is_no_tensor_is_refused(torch_like: Any, gradient: Any) -> None:
    x = torch_like.ones(2, requires_grad=True)
    with pytest.raises(TypeError):
        x.sum().backward(gradient)
    x.sum().backward(torch_like.tensor(10.0))
    assert_equal(x.grad, [10.0, 10.0])


@pytest.mark.catalogue("VJ10", priority=2)
def test_with_create_graph_the_product_depends_on_the_gradient(torch_like: Any) -> None:
    x = torch_like.tensor([1.0, 2.0], requires_grad=True)
    v = torch_like.tensor([1.0, 1.0], requires_grad=True)
    (g,) = torch_like.autograd.grad(x * x, x, v, create_graph=True)
    g.backward(torch_like.tensor([3.0, 5.0]))
    assert_equal(v.grad, [6.0, 20.0])


@pytest.mark.catalogue("VJ11", priority=2)
def test_nan_in_the_gradient_reaches_only_what_depends_on_it(torch_like: Any) -> None:
    x = torch_like.tensor([1.0, 2.0, 3.0], requires_grad=True)
    (x * x).backward(torch_like.tensor([1.0, float("nan"), float("inf")]))
    assert_equal(x.grad, [2.0, float("nan"), float("inf")], nan_matches_nan=True)


@pytest.mark.catalogue("VJ12", priority=2)
def test_an_expanded_gradient_gives_a_dense_grad(torch_like: Any) -> None:
    x = torch_like.tensor([1.0, 2.0, 3.0], requires_grad=True)
    (x + 0).backward(torch_like.tensor(2.0).expand(3))
    x.grad.add_(1)
    assert_equal(x.grad, [3.0, 3.0, 3.0])


@pytest.mark.catalogue("AC03", priority=2)
def test_accumulation_is_in_place_without_create_graph(torch_like: Any) -> None:
    x = torch_like.tensor([1.0, 2.0], requires_grad=True)
    (x * 2).sum().backward()
    buffer, version = x.grad, x.grad._version
    (x * 2).sum().backward()
    assert x.grad is buffer
    assert buffer._version == version + 1


@pytest.mark.filterwarnings("ignore:Using backward\\(\\) with create_graph=True")
@pytest.mark.catalogue("AC04", priority=2)
def test_accumulation_is_out_of_place_with_create_graph(torch_like: Any) -> None:
    x = torch_like.tensor([1.0, 2.0], requires_grad=True)
    (x * x).sum().backward()
    old = x.grad
    (x * x).sum().backward(create_graph=True)
    assert x.grad is not old
    assert x.grad.requires_grad
    assert_equal(old, [2.0, 4.0])
    assert_equal(x.grad, [4.0, 8.0])
    x.grad = None


@pytest.mark.catalogue("AC07", priority=2)
def test_a_clone_of_grad_is_a_snapshot_and_grad_itself_is_not(torch_like: Any) -> None:
    x = torch_like.tensor([1.0, 2.0], requires_grad=True)
    (x * 2).sum().backward()
    copied, same = x.grad.clone(), x.grad
    (x * 2).sum().backward()
    assert_equal(copied, [2.0, 2.0])
    assert_equal(same, [4.0, 4.0])
    assert not share_memory(copied, x.grad)


@pytest.mark.catalogue("ZE08", priority=2)
def test_a_grad_that_was_saved_and_then_zeroed_is_noticed(torch_like: Any) -> None:
    x, w = torch_like.tensor([1.0, 2.0], requires_grad=True), torch_like.ones(2, requires_grad=True)
    (x * x).sum().backward()
    y = (w * x.grad).sum()
    x.grad.zero_()
    with pytest.raises(RuntimeError, match=MODIFIED):
        y.backward()


@pytest.mark.catalogue("ZE08", priority=2)
def test_a_grad_that_was_saved_and_then_dropped_is_fine(torch_like: Any) -> None:
    x, w = torch_like.tensor([1.0, 2.0], requires_grad=True), torch_like.ones(2, requires_grad=True)
    (x * x).sum().backward()
    y = (w * x.grad).sum()
    x.grad = None
    y.backward()
    assert_equal(w.grad, [2.0, 4.0])


@pytest.mark.parametrize("function", [lambda x: x * 0, lambda x: x.sign(), lambda x: x - x], ids=["0x", "sign", "x-x"])
@pytest.mark.catalogue("ZE09", priority=2)
def test_the_gradient_of_a_result_that_does_not_change_is_zeros(torch_like: Any, function: Any) -> None:
    x = torch_like.tensor([1.0, 2.0], requires_grad=True)
    function(x).sum().backward()
    assert_equal(x.grad, [0.0, 0.0])
