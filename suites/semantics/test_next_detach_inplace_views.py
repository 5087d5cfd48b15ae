"""Priority 2 rows on detach, modes, freed graphs, second order, in-place writes, views and autograd.grad."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from .support import assert_equal, share_memory, values

MODIFIED = "one of the variables needed for gradient computation has been modified by an inplace operation"
SECOND_TIME = "Trying to backward through the graph a second time"


@pytest.mark.catalogue("DT06", priority=2)
def test_a_detached_tensor_that_requires_grad_is_a_leaf_of_its_own(torch_like: Any) -> None:
    x = torch_like.tensor([1.0, 2.0], requires_grad=True)
    u = (x * x).detach().requires_grad_()
    (u * u).sum().backward()
    assert_equal(u.grad, [2.0, 8.0])
    assert x.grad is None


@pytest.mark.catalogue("DT07", priority=2)
def test_detach_in_place_cuts_the_tensor_and_returns_it(torch_like: Any) -> None:
    x = torch_like.tensor([1.0, 2.0], requires_grad=True)
    y = x * x
    assert y.detach_() is y
    assert (y.requires_grad, y.is_leaf, y.grad_fn) == (False, True, None)
    assert not x.detach_().requires_grad


@pytest.mark.catalogue("DT08", priority=2)
def test_detach_in_place_of_a_view_is_refused(torch_like: Any) -> None:
    x = torch_like.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match=r"Can't detach views in-place. Use detach\(\) instead"):
        (x * 2)[0:1].detach_()


@pytest.mark.catalogue("DT09", priority=2)
def test_graphs_made_before_detach_in_place_still_flow(torch_like: Any) -> None:
    x = torch_like.tensor([1.0, 2.0], requires_grad=True)
    y = x * 2
    z = y + 1
    y.detach_()
    z.sum().backward()
    assert_equal(x.grad, [2.0, 2.0])


@pytest.mark.catalogue("DT09", priority=2)
def test_a_saved_input_that_was_detached_in_place_is_noticed(torch_like: Any) -> None:
    x = torch_like.tensor([1.0, 2.0], requires_grad=True)
    y = x * 2
    z = y * y
    y.detach_()
    with pytest.raises(RuntimeError, match="Trying to use a saved tensor that has been detached in-place"):
        z.sum().backward()


@pytest.mark.catalogue("DT12", "DT13", priority=2)
def test_detach_and_clone_make_new_objects_that_share_or_copy(torch_like: Any) -> None:
    x = torch_like.tensor([1.0, 2.0])
    assert x.detach() is not x
    assert share_memory(x.detach(), x)
    for copy in (x.clone(), x.detach().clone(), x.clone().detach()):
        assert not share_memory(copy, x)


@pytest.mark.catalogue("DT13", priority=2)
def test_clone_is_differentiable(torch_like: Any) -> None:
    x = torch_like.tensor([1.0, 2.0], requires_grad=True)
    x.clone().sum().backward()
    assert_equal(x.grad, [1.0, 1.0])


@pytest.mark.parametrize("detached", [True, False])
@pytest.mark.catalogue("DT14", priority=2)
def test_backward_each_step_of_a_recurrence_needs_detach(torch_like: Any, detached: bool) -> None:
    w, h = torch_like.tensor(2.0, requires_grad=True), torch_like.tensor(1.0)
    h = h * w
    h.backward()
    h = (h.detach() if detached else h) * w
    if detached:
        h.backward()
        assert_equal(w.grad, 3.0)
    else:
        with pytest.raises(RuntimeError, match=SECOND_TIME):
            h.backward()


@pytest.mark.catalogue("NG06", priority=2)
def test_a_mode_has_no_effect_until_entered_and_can_be_entered_again(torch_like: Any) -> None:
    mode = torch_like.no_grad()
    assert torch_like.is_grad_enabled()
    for _ in range(2):
        with mode:
            assert not torch_like.is_grad_enabled()
        assert torch_like.is_grad_enabled()


@pytest.mark.catalogue("NG08", priority=2)
def test_a_new_thread_starts_with_grad_mode_on(torch_like: Any) -> None:
    seen: list[bool] = []
    with torch_like.no_grad():
        thread = threading.Thread(target=lambda: seen.append(torch_like.is_grad_enabled()))
        thread.start()
        thread.join()
        assert not torch_like.is_grad_enabled()
    assert seen == [True]


SAVING = {
    "mul": lambda torch_like, x: x * x,
    "mul by a number": lambda torch_like, x: x * 2,
    "div by a number": lambda torch_like, x: x / 2,
    "pow": lambda torch_like, x: x**2,
    "exp": lambda torch_like, x: x.exp(),
    "log": lambda torch_like, x: x.log(),
    "sqrt": lambda torch_like, x: x.sqrt(),
    "sin": lambda torch_like, x: x.sin(),
    "tanh": lambda torch_like, x: x.tanh(),
    "sigmoid": lambda torch_like, x: x.sigmoid(),
    "relu": lambda torch_like, x: x.relu(),
    "abs": lambda torch_like, x: x.abs(),
    "clamp": lambda torch_like, x: x.clamp(min=0),
    "max": lambda torch_like, x: x.max(),
    "norm": lambda torch_like, x: x.norm(),
    "var": lambda torch_like, x: x.var(),
    "softmax": lambda torch_like, x: x.softmax(0),
    "logsumexp": lambda torch_like, x: x.logsumexp(0),
    "prod": lambda torch_like, x: x.prod(),
    "where": lambda torch_like, x: torch_like.where(x > 1, x, -x),
    "matmul": lambda torch_like, x: x @ x,
    "dot": lambda torch_like, x: torch_like.dot(x, x),
    "maximum": lambda torch_like, x: torch_like.maximum(x, x * 1),
}


@pytest.mark.parametrize("function", SAVING.values(), ids=SAVING.keys())
@pytest.mark.catalogue("RG03", priority=2)
def test_nodes_that_save_something_cannot_run_backward_again(torch_like: Any, function: Any) -> None:
    y = function(torch_like, torch_like.tensor([1.0, 2.0], requires_grad=True)).sum()
    y.backward()
    with pytest.raises(RuntimeError, match=SECOND_TIME):
        y.backward()


@pytest.mark.catalogue("RG06", priority=2)
def test_after_backward_the_output_keeps_everything_but_its_buffers(torch_like: Any) -> None:
    x = torch_like.tensor([1.0, 2.0], requires_grad=True)
    y = (x * x).sum()
    node = y.grad_fn
    y.backward()
    assert y.requires_grad
    assert y.grad_fn is node
    assert_equal(y, 5.0)
    with pytest.raises(RuntimeError, match=SECOND_TIME):
        (y * 2).backward()


@pytest.mark.catalogue("RG08", "DB01", priority=2)
def test_create_graph_gives_derivatives_of_every_order(torch_like: Any) -> None:
    x = torch_like.tensor(3.0, dtype=torch_like.float64, requires_grad=True)
    y, found = x**3, []
    for _ in range(3):
        (y,) = torch_like.autograd.grad(y, x, create_graph=True)
        found.append(float(y.detach()))
    assert found == [27.0, 18.0, 6.0]


@pytest.mark.catalogue("DB02", priority=2)
def test_a_gradient_without_create_graph_is_a_constant(torch_like: Any) -> None:
    x = torch_like.tensor(3.0, requires_grad=True)
    (g,) = torch_like.autograd.grad(x**3, x)
    with pytest.raises(RuntimeError, match="does not require grad"):
        g.backward()


@pytest.mark.catalogue("DB03", priority=2)
def test_a_constant_gradient_has_no_graph(torch_like: Any) -> None:
    x = torch_like.tensor(3.0, requires_grad=True)
    (g,) = torch_like.autograd.grad(x * 2, x, create_graph=True)
    assert not g.requires_grad


@pytest.mark.filterwarnings("ignore:Using backward\\(\\) with create_graph=True")
@pytest.mark.catalogue("DB04", priority=2)
def test_backward_of_grad_adds_the_second_derivative_to_it(torch_like: Any) -> None:
    x = torch_like.tensor(3.0, dtype=torch_like.float64, requires_grad=True)
    (x**3).backward(create_graph=True)
    x.grad.backward()
    assert_equal(x.grad, 45.0)
    x.grad = None


@pytest.mark.catalogue("DB06", "DB07", priority=2)
def test_the_hessian_is_symmetric_with_the_right_mixed_partials(torch_like: Any) -> None:
    x = torch_like.tensor([1.0, 2.0, 3.0], dtype=torch_like.float64, requires_grad=True)
    (g,) = torch_like.autograd.grad(x[0] * x[1] * x[2] + x[0] * x[0] * x[1], x, create_graph=True)
    rows = [values(torch_like.autograd.grad(g[k], x, retain_graph=True)[0]) for k in range(3)]
    assert np.array_equal(np.stack(rows), [[4.0, 5.0, 2.0], [5.0, 0.0, 1.0], [2.0, 1.0, 0.0]])


@pytest.mark.parametrize(
    "write",
    [
        lambda x: x.add_(1),
        lambda x: x.mul_(2),
        lambda x: x.zero_(),
        lambda x: x.fill_(2.0),
        lambda x: x.copy_(x.clone()),
        lambda x: x.__setitem__(0, 1.0),
        lambda x: x.__iadd__(1),
    ],
)
@pytest.mark.catalogue("IP01", priority=2)
def test_each_write_adds_one_to_the_version_of_all_views(torch_like: Any, write: Any) -> None:
    x = torch_like.ones(2, 2)
    view, copy = x[0], x * 1
    write(x)
    assert (x._version, view._version, copy._version) == (1, 1, 0)


@pytest.mark.catalogue("IP04", priority=2)
def test_a_write_to_a_non_leaf_rewrites_its_history(torch_like: Any) -> None:
    x = torch_like.tensor([1.0, 2.0], requires_grad=True)
    y = x * 2
    node = y.grad_fn
    y.mul_(3)
    assert y.grad_fn is not node
    y.sum().backward()
    assert_equal(x.grad, [6.0, 6.0])


@pytest.mark.parametrize("write", [lambda y: y.add_(1), lambda y: y.add_(0), lambda y: y.__setitem__(0, 1.0)])
@pytest.mark.catalogue("IP05", "IP08", priority=2)
def test_a_saved_value_that_was_written_to_is_noticed(torch_like: Any, write: Any) -> None:
    x = torch_like.tensor([1.0, 2.0], requires_grad=True)
    y = x + 0
    z = y * y
    write(y)
    with pytest.raises(RuntimeError, match=MODIFIED):
        z.sum().backward()
    assert x.grad is None


@pytest.mark.parametrize(
    "function", [lambda y: y + 1, lambda y: y - 1, lambda y: y * 2, lambda y: y.sum()], ids=["add", "sub", "2y", "sum"]
)
@pytest.mark.catalogue("IP06", priority=2)
def test_nodes_that_save_nothing_tolerate_a_write(torch_like: Any, function: Any) -> None:
    x = torch_like.tensor([1.0, 2.0], requires_grad=True)
    y = x + 0
    z = function(y)
    y.zero_()
    z.sum().backward()
    assert x.grad is not None


@pytest.mark.catalogue("IP06", priority=2)
def test_sin_saves_its_input_and_exp_its_output(torch_like: Any) -> None:
    x = torch_like.tensor([0.0, 0.0], requires_grad=True)
    s = x.sin()
    s.zero_()
    y = x + 0
    e = y.exp()
    y.zero_()
    e.sum().backward()
    assert_equal(x.grad, [1.0, 1.0])


@pytest.mark.catalogue("IP07", "IP09", priority=2)
def test_a_constant_or_a_leaf_that_was_written_to_is_noticed(torch_like: Any) -> None:
    x, c = torch_like.tensor([1.0, 2.0], requires_grad=True), torch_like.ones(2)
    y = x * c
    c.add_(1)
    with pytest.raises(RuntimeError, match=MODIFIED):
        y.sum().backward()
    z = x * x
    with torch_like.no_grad():
        x.sub_(1)
    with pytest.raises(RuntimeError, match=MODIFIED):
        z.sum().backward()


@pytest.mark.parametrize(
    ("write", "gradient"),
    [
        (lambda y, w: y.pow_(2), [2.0, 4.0]),
        (lambda y, w: y.square_(), [2.0, 4.0]),
        (lambda y, w: y.div_(2), [0.5, 0.5]),
        (lambda y, w: y.relu_(), [1.0, 1.0]),
        (lambda y, w: y.abs_(), [1.0, 1.0]),
        (lambda y, w: y.neg_(), [-1.0, -1.0]),
        (lambda y, w: y.zero_(), [0.0, 0.0]),
        (lambda y, w: y.mul_(w), [3.0, 5.0]),
        (lambda y, w: y.copy_(w), [0.0, 0.0]),
    ],
    ids=["pow_", "square_", "div_", "relu_", "abs_", "neg_", "zero_", "mul_", "copy_"],
)
@pytest.mark.catalogue("IP11", priority=2)
def test_in_place_ops_compute_right_gradients(torch_like: Any, write: Any, gradient: list[float]) -> None:
    x = torch_like.tensor([1.0, 2.0], requires_grad=True)
    y = x + 0
    write(y, torch_like.tensor([3.0, 5.0]))
    y.sum().backward()
    assert_equal(x.grad, gradient)


@pytest.mark.catalogue("IP13", "IP14", priority=2)
def test_a_buffer_joins_the_graph_when_it_is_written_to(torch_like: Any) -> None:
    x = torch_like.tensor(3.0, requires_grad=True)
    buffer = torch_like.zeros(3)
    view = buffer[1:]
    buffer[1] = x * x
    assert buffer.requires_grad
    assert view.requires_grad
    assert not buffer.is_leaf
    (buffer * torch_like.tensor([1.0, 10.0, 100.0])).sum().backward()
    assert_equal(x.grad, 60.0)


@pytest.mark.catalogue("IP14", priority=2)
def test_overwritten_places_have_gradient_zero(torch_like: Any) -> None:
    x = torch_like.tensor([1.0, 2.0, 3.0], requires_grad=True)
    v = torch_like.tensor(5.0, requires_grad=True)
    y = x * 2
    y[1:] = v
    y.sum().backward()
    assert_equal(x.grad, [2.0, 0.0, 0.0])
    assert_equal(v.grad, 2.0)


@pytest.mark.catalogue("IP15", priority=2)
def test_an_in_place_result_must_fit_the_tensor(torch_like: Any) -> None:
    with pytest.raises(RuntimeError, match=r"output with shape \[3\] doesn't match the broadcast shape \[2, 3\]"):
        torch_like.ones(3).add_(torch_like.ones(2, 3))
    with pytest.raises(RuntimeError, match="result type Float can't be cast to the desired output type Long"):
        torch_like.tensor([1, 2]).add_(0.5)


@pytest.mark.catalogue("IP16", priority=2)
def test_augmented_assignment_shows_through_every_name(torch_like: Any) -> None:
    a = b = torch_like.ones(2)
    a += 1
    assert a is b
    assert_equal(b, [2.0, 2.0])


VIEWS = {
    "view": (lambda x: x.view(6), True),
    "reshape": (lambda x: x.reshape(3, 2), True),
    "T": (lambda x: x.T, True),
    "transpose": (lambda x: x.transpose(0, 1), True),
    "permute": (lambda x: x.permute(1, 0), True),
    "index": (lambda x: x[0], True),
    "slice": (lambda x: x[:, 1:], True),
    "expand": (lambda x: x.expand(4, 2, 3), True),
    "squeeze": (lambda x: x[0:1].squeeze(0), True),
    "unsqueeze": (lambda x: x.unsqueeze(0), True),
    "flatten": (lambda x: x.flatten(), True),
    "detach": (lambda x: x.detach(), True),
    "clone": (lambda x: x.clone(), False),
    "mask": (lambda x: x[x > 0], False),
    "list": (lambda x: x[[0, 1]], False),
    "reshape of a transpose": (lambda x: x.T.reshape(6), False),
}


@pytest.mark.parametrize(("function", "shares"), VIEWS.values(), ids=VIEWS.keys())
@pytest.mark.catalogue("VW01", priority=2)
def test_views_share_memory_and_copies_do_not(torch_like: Any, function: Any, shares: bool) -> None:
    x = torch_like.ones(2, 3)
    assert share_memory(function(x), x) == shares


@pytest.mark.catalogue("VW02", priority=2)
def test_a_write_to_a_view_changes_the_base_and_its_gradient(torch_like: Any) -> None:
    x = torch_like.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = x * 1
    y[1:].mul_(10)
    assert_equal(y, [1.0, 20.0, 30.0])
    y.sum().backward()
    assert_equal(x.grad, [1.0, 10.0, 10.0])


@pytest.mark.catalogue("VW03", priority=2)
def test_a_write_to_the_base_changes_existing_views_and_their_gradient(torch_like: Any) -> None:
    x = torch_like.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = x * 1
    view = y[1:]
    node = view.grad_fn
    y.mul_(10)
    assert view.grad_fn is not node
    assert_equal(view, [20.0, 30.0])
    view.sum().backward()
    assert_equal(x.grad, [0.0, 10.0, 10.0])


@pytest.mark.catalogue("VW04", priority=2)
def test_a_disjoint_view_keeps_its_value_and_gradient(torch_like: Any) -> None:
    x = torch_like.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = x * 1
    head, tail = y[:1], y[1:]
    tail.zero_()
    assert_equal(head, [1.0])
    head.sum().backward()
    assert_equal(x.grad, [1.0, 0.0, 0.0])


@pytest.mark.catalogue("VW07", priority=2)
def test_a_write_to_an_expanded_tensor_is_refused(torch_like: Any) -> None:
    with pytest.raises(RuntimeError, match="more than one element of the written-to tensor refers to a single memory"):
        torch_like.ones(1).expand(3).add_(1)


@pytest.mark.catalogue("VW08", priority=2)
def test_view_refuses_strides_that_reshape_copies(torch_like: Any) -> None:
    x = torch_like.ones(2, 3).transpose(0, 1)
    with pytest.raises(RuntimeError, match="view size is not compatible with input tensor's size and stride"):
        x.view(6)
    assert tuple(x.reshape(6).shape) == (6,)


@pytest.mark.catalogue("VW09", priority=2)
def test_a_view_knows_the_root_of_its_chain(torch_like: Any) -> None:
    x = torch_like.ones(2, 3, requires_grad=True)
    view = x[0][1:]
    assert view._base is x
    assert view._is_view()
    assert not x._is_view()
    assert not view.is_leaf


@pytest.mark.catalogue("VW10", priority=2)
def test_indexing_with_duplicates_adds_up(torch_like: Any) -> None:
    x = torch_like.tensor([1.0, 2.0], requires_grad=True)
    x[[0, 0, 1]].backward(torch_like.tensor([1.0, 10.0, 100.0]))
    assert_equal(x.grad, [11.0, 100.0])


@pytest.mark.catalogue("AG02", priority=2)
def test_an_unused_input_is_refused_none_or_zeros(torch_like: Any) -> None:
    x, w = torch_like.ones(2, requires_grad=True), torch_like.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match=r"appears to not have been used in the graph. Set allow_unused=True"):
        torch_like.autograd.grad(x.sum(), w)
    assert torch_like.autograd.grad(x.sum(), w, allow_unused=True) == (None,)
    assert_equal(torch_like.autograd.grad(x.sum(), w, materialize_grads=True)[0], [0.0, 0.0])


@pytest.mark.catalogue("AG03", priority=2)
def test_inputs_must_require_grad_and_outputs_must_have_a_graph(torch_like: Any) -> None:
    x, c = torch_like.ones(2, requires_grad=True), torch_like.ones(2)
    with pytest.raises(RuntimeError, match="One of the differentiated Tensors does not require grad"):
        torch_like.autograd.grad(x.sum(), c)
    with pytest.raises(RuntimeError, match="element 0 of tensors does not require grad"):
        torch_like.autograd.grad(c.sum(), x)
    with pytest.raises(RuntimeError, match=r"`inputs` argument to `grad\(\)` cannot be empty"):
        torch_like.autograd.grad(x.sum(), [])


@pytest.mark.catalogue("AG04", "AG05", priority=2)
def test_inputs_may_be_non_leaves_outputs_or_repeated(torch_like: Any) -> None:
    x = torch_like.tensor([1.0, 2.0], requires_grad=True)
    y = x * 3
    z = (y * y).sum()
    gradients = torch_like.autograd.grad([z, y], [y, z, x, x], [None, torch_like.ones(2)])
    wanted = ([7.0, 13.0], 1.0, [21.0, 39.0], [21.0, 39.0])
    for gradient, expected in zip(gradients, wanted, strict=True):
        assert_equal(gradient, expected)
