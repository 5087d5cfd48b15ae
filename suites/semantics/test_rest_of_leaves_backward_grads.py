"""Rows of priority 2 and 3 on leaves, roots, gradients, accumulation, zeroing and detaching that stand nowhere else."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from .support import assert_equal, share_memory, values

REPEATS = "more than one element of the written-to tensor refers to a single memory location"
CYCLE = "ignore:Using backward\\(\\) with create_graph=True"


def leaf(torch_like: Any, *numbers: float) -> Any:
    return torch_like.tensor(list(numbers or (1.0, 2.0)), requires_grad=True)


@pytest.mark.catalogue("LF12", priority=3)
def test_a_tensor_cannot_be_its_own_grad(torch_like: Any) -> None:
    x = leaf(torch_like)
    with pytest.raises(RuntimeError, match="can't assign Variable as its own grad"):
        x.grad = x
    assert x.grad is None


@pytest.mark.parametrize("name", ["grad_fn", "is_leaf", "output_nr", "shape", "dtype", "_version", "retains_grad"])
@pytest.mark.catalogue("LF13", priority=3)
def test_what_describes_a_tensor_is_read_only(torch_like: Any, name: str) -> None:
    x = leaf(torch_like)
    with pytest.raises(AttributeError, match=f"'{name}' .* not writable"):
        setattr(x, name, None)
    with pytest.raises(AttributeError, match="not writable"):
        delattr(x, name)


@pytest.mark.catalogue("LF13", priority=3)
def test_data_and_requires_grad_cannot_be_deleted(torch_like: Any) -> None:
    x = leaf(torch_like)
    with pytest.raises(RuntimeError, match="Deleting tensor data is not allowed"):
        del x.data
    with pytest.raises(RuntimeError, match="requires_grad must be a bool"):
        del x.requires_grad
    with pytest.raises(RuntimeError, match="requires_grad must be a bool"):
        x.requires_grad = 1
    assert x.requires_grad


@pytest.mark.catalogue("LF06")
def test_the_flag_of_a_non_leaf_cannot_be_assigned_at_all(torch_like: Any) -> None:
    y = leaf(torch_like) * 2
    for flag in (True, False):
        with pytest.raises(RuntimeError, match="you can only change requires_grad flags of leaf variables"):
            y.requires_grad = flag
    assert y.requires_grad


@pytest.mark.catalogue("LF19", priority=2)
def test_a_tensor_made_of_tensors_is_a_constant_copy(torch_like: Any) -> None:
    x = leaf(torch_like)
    with pytest.warns(UserWarning, match="To copy construct from a tensor"):
        copied = torch_like.tensor(x)
    stacked = torch_like.tensor([x.detach()[0], x.detach()[1]])
    for made in (copied, stacked):
        assert not made.requires_grad
        assert not share_memory(made, x)
        assert_equal(made, [1.0, 2.0])


@pytest.mark.catalogue("LF20", "IP10", priority=2)
def test_writes_through_data_are_not_noticed_and_give_wrong_gradients(torch_like: Any) -> None:
    x = leaf(torch_like)
    alias, y = x.data, x * x
    assert (alias.requires_grad, alias.is_leaf, alias._version) == (False, True, 0)
    alias.mul_(10)
    assert (alias._version, x._version) == (1, 0)
    y.sum().backward()
    assert_equal(x.grad, [20.0, 40.0])


@pytest.mark.catalogue("IP10", priority=2)
def test_writes_through_numpy_are_not_noticed(torch_like: Any) -> None:
    x = leaf(torch_like)
    y = x * x
    x.detach().numpy()[:] = [10.0, 20.0]
    y.sum().backward()
    assert_equal(x.grad, [20.0, 40.0])


@pytest.mark.catalogue("LF21", priority=2)
def test_repr_shows_the_place_in_the_graph(torch_like: Any) -> None:
    x = leaf(torch_like)
    assert repr(x) == "tensor([1., 2.], requires_grad=True)"
    assert repr(x * 2) == "tensor([2., 4.], grad_fn=<MulBackward0>)"
    assert repr((x * 2).sum()) == "tensor(6., grad_fn=<SumBackward0>)"
    assert repr((x * 2).detach()) == "tensor([2., 4.])"


@pytest.mark.catalogue("LF25", priority=3)
def test_assigning_data_replaces_the_values_and_nothing_else(torch_like: Any) -> None:
    x = leaf(torch_like)
    x.data = torch_like.tensor([3.0, 4.0, 5.0])
    assert (x.requires_grad, x.is_leaf, x._version) == (True, True, 0)
    assert_equal(x, [3.0, 4.0, 5.0])
    with pytest.raises(RuntimeError, match="must be floating point or complex dtype"):
        x.data = torch_like.tensor([1, 2])
    with pytest.raises(TypeError, match="Variable data has to be a tensor, but got int"):
        x.data = 5


@pytest.mark.catalogue("VJ09", priority=2)
def test_gradients_may_come_in_a_list_with_none_for_scalars(torch_like: Any) -> None:
    x, v = leaf(torch_like), torch_like.tensor([3.0, 5.0])
    (x * 2).backward([v])
    (x * 2).sum().backward([None])
    assert_equal(x.grad, [8.0, 12.0])
    for given in (v, [v], (v,)):
        assert_equal(torch_like.autograd.grad(x * 2, x, given)[0], [6.0, 10.0])
    assert_equal(torch_like.autograd.grad([x.sum(), x * 2], x, [None, v])[0], [7.0, 11.0])


@pytest.mark.catalogue("VJ13", priority=3)
def test_the_arguments_of_backward_may_be_given_by_position(torch_like: Any) -> None:
    x, w = leaf(torch_like), leaf(torch_like)
    y = x * x * w
    v = torch_like.ones(2)
    y.backward(v, True)
    y.backward(v, False, False, [w])
    assert_equal(x.grad, [2.0, 8.0])
    assert_equal(w.grad, [2.0, 8.0])


@pytest.mark.catalogue("VJ14", priority=3)
def test_grad_variables_is_the_old_name_of_grad_tensors(torch_like: Any) -> None:
    x, v = leaf(torch_like), torch_like.tensor([3.0, 5.0])
    with pytest.warns(FutureWarning, match="`grad_variables` is deprecated"):
        torch_like.autograd.backward([x * 2], grad_variables=[v])
    assert_equal(x.grad, [6.0, 10.0])
    with pytest.warns(FutureWarning), pytest.raises(RuntimeError, match="arguments both passed to `backward"):
        torch_like.autograd.backward([x * 2], [v], grad_variables=[v])


@pytest.mark.catalogue("AC08", priority=3)
def test_one_tensor_as_the_grad_of_two_leaves_gets_both_sums(torch_like: Any) -> None:
    x, w, shared = leaf(torch_like), leaf(torch_like), torch_like.zeros(2)
    x.grad = w.grad = shared
    (x * 2 + w * 3).sum().backward()
    assert_equal(shared, [5.0, 5.0])


@pytest.mark.catalogue("AC09", priority=3)
def test_a_grad_that_repeats_memory_cannot_be_added_to(torch_like: Any) -> None:
    x = leaf(torch_like)
    x.grad = torch_like.ones(1).expand(2)
    with pytest.raises(RuntimeError, match=REPEATS):
        (x * torch_like.tensor([1.0, 2.0])).sum().backward()
    assert_equal(x.grad, [1.0, 1.0])


@pytest.mark.catalogue("AC10", priority=3)
def test_a_new_grad_is_laid_out_as_a_leaf_without_gaps(torch_like: Any) -> None:
    dense = torch_like.ones(4, 3).t().requires_grad_()
    gaps = torch_like.ones(4, 6)[:, ::2].requires_grad_()
    (dense * dense).sum().backward()
    (gaps * gaps).sum().backward()
    assert (dense.stride(), dense.grad.stride()) == ((1, 3), (1, 3))
    assert (gaps.stride(), gaps.grad.stride()) == ((6, 2), (3, 1))


@pytest.mark.catalogue("AC11", priority=2)
def test_an_engine_error_leaves_grads_that_were_not_reached_alone(torch_like: Any) -> None:
    x, early = leaf(torch_like), leaf(torch_like)
    y = x * 2
    z = y * y
    with torch_like.no_grad():
        y.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        (z + early).sum().backward()
    assert x.grad is None
    assert early.grad is None or values(early.grad).tolist() == [1.0, 1.0]
    x.sum().backward()
    assert_equal(x.grad, [1.0, 1.0])


@pytest.mark.catalogue("BS01")
def test_a_leaf_that_joined_a_graph_after_its_use_is_refused(torch_like: Any) -> None:
    x = leaf(torch_like)
    y = x * 2
    x.requires_grad_(False)
    x.add_(leaf(torch_like))
    with pytest.raises(RuntimeError, match="leaf variable has been moved into the graph interior"):
        y.sum().backward()


@pytest.mark.catalogue("BS08", priority=2)
def test_a_retained_grad_is_accumulated_into_a_new_tensor(torch_like: Any) -> None:
    y = leaf(torch_like) * 2
    y.retain_grad()
    y.sum().backward(retain_graph=True)
    first = y.grad
    y.sum().backward()
    assert y.grad is not first
    assert_equal(first, [1.0, 1.0])
    assert_equal(y.grad, [2.0, 2.0])


@pytest.mark.catalogue("BS10")
def test_a_non_leaf_among_the_inputs_runs_its_node(torch_like: Any) -> None:
    x = leaf(torch_like)
    y = x * x
    y.sum().backward(inputs=[y])
    assert x.grad is None
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        y.sum().backward()


@pytest.mark.catalogue("ZE05", priority=2)
@pytest.mark.filterwarnings(CYCLE)
def test_an_optimizer_drops_grads_or_zeroes_them_in_place(torch_like: Any) -> None:
    x = leaf(torch_like)
    descent = torch_like.optim.SGD([x], lr=0.5)
    (x * x).sum().backward(create_graph=True)
    buffer = x.grad
    descent.zero_grad(set_to_none=False)
    assert x.grad is buffer
    assert not buffer.requires_grad
    assert_equal(buffer, [0.0, 0.0])
    descent.zero_grad()
    assert x.grad is None
    (x * x).sum().backward()
    descent.step()
    assert_equal(x, [0.0, 0.0])
    assert (x.is_leaf, x._version) == (True, 1)


@pytest.mark.parametrize("momentum", [0.0, 0.5])
@pytest.mark.catalogue("ZE05", priority=2)
def test_gradient_descent_with_momentum_follows_the_running_sum(torch_like: Any, momentum: float) -> None:
    x = leaf(torch_like, 8.0)
    descent = torch_like.optim.SGD([x], lr=0.5, momentum=momentum)
    for _ in range(2):
        descent.zero_grad()
        (x * 2).sum().backward()
        descent.step()
    assert_equal(x, [6.0 - momentum])


@pytest.mark.filterwarnings(CYCLE)
@pytest.mark.catalogue("ZE06", priority=2)
def test_zeroing_a_grad_that_has_a_graph_is_recorded(torch_like: Any) -> None:
    x = leaf(torch_like)
    (x**3).sum().backward(create_graph=True)
    x.grad.zero_()
    assert x.grad.requires_grad
    assert x.grad.grad_fn.name() == "ZeroBackward0"
    x.grad = None


@pytest.mark.catalogue("ZE07", priority=2)
def test_writes_to_a_grad_are_ordinary_writes(torch_like: Any) -> None:
    x = leaf(torch_like)
    x.sum().backward()
    g = x.grad
    start = g._version
    g.fill_(4.0)
    g.sub_(1.0)
    g[0] = 7.0
    assert_equal(x.grad, [7.0, 3.0])
    assert g._version == start + 3
    g.data.zero_()
    assert_equal(x.grad, [0.0, 0.0])
    assert g._version == start + 3


@pytest.mark.catalogue("DT10", priority=2)
def test_detaching_a_base_in_place_leaves_its_views_attached(torch_like: Any) -> None:
    x = leaf(torch_like)
    y = x * 2
    view = y[:1]
    y.detach_()
    assert (y.requires_grad, view.requires_grad, view.is_leaf) == (False, True, False)
    (view * 3).sum().backward()
    assert_equal(x.grad, [6.0, 0.0])


@pytest.mark.catalogue("DT10", priority=2)
def test_a_write_to_a_base_that_was_detached_cuts_its_views_off(torch_like: Any) -> None:
    x = leaf(torch_like)
    y = x * 2
    view = y[:1]
    y.detach_()
    y.mul_(3)
    assert view.grad_fn is not None
    (view * 3).sum().backward()
    assert x.grad is None


@pytest.mark.catalogue("DT15", priority=2)
def test_three_ways_to_detach_agree_and_data_counts_its_own_writes(torch_like: Any) -> None:
    x = leaf(torch_like)
    aliases = [torch_like.detach(x), x.detach(), x.data]
    for alias in aliases:
        assert_equal(alias, [1.0, 2.0])
        assert share_memory(alias, x)
    with torch_like.no_grad():
        x.add_(1)
    assert [alias._version for alias in aliases] == [1, 1, 0]


@pytest.mark.catalogue("DT09", priority=2)
def test_a_saved_input_that_was_detached_is_noticed_whichever_gradient_is_asked_for(torch_like: Any) -> None:
    x, w = leaf(torch_like), leaf(torch_like)
    y = x * 2
    z = y * w
    y.detach_()
    y.requires_grad_()
    with pytest.raises(RuntimeError, match="Trying to use a saved tensor that has been detached in-place"):
        torch_like.autograd.grad(z.sum(), w)


@pytest.mark.catalogue("DT09", priority=2)
def test_a_saved_output_may_be_detached(torch_like: Any) -> None:
    x = leaf(torch_like, 0.0)
    y = x.exp()
    z = y + 1
    y.detach_()
    z.sum().backward()
    assert_equal(x.grad, [1.0])


@pytest.mark.parametrize("framework", ["reference_impl", "torch"])
@pytest.mark.catalogue("DB05", priority=3)
def test_backward_with_create_graph_warns_of_a_cycle_once_a_process(framework: str) -> None:
    pytest.importorskip(framework)
    script = f"""
import warnings
import {framework} as torch
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    x = torch.ones(2, requires_grad=True)
    torch.autograd.grad((x * x).sum(), x, create_graph=True)
    assert not caught
    for _ in range(2):
        (x * x).sum().backward(create_graph=True)
print([str(w.message)[:58] for w in caught])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['Using backward() with create_graph=True will create a refe']"


@pytest.mark.catalogue("DB09", priority=2)
def test_a_gradient_penalty_trains_like_any_loss(torch_like: Any) -> None:
    x = leaf(torch_like, 0.0, 2.0)
    loss = (x * x).sum()
    (g,) = torch_like.autograd.grad(loss, x, create_graph=True)
    (loss + g.norm()).backward()
    assert_equal(x.grad, [0.0, 4.0 + 2.0])


@pytest.mark.catalogue("GB05", priority=2)
def test_output_nr_counts_the_outputs_of_a_node(torch_like: Any) -> None:
    class Both(torch_like.autograd.Function):  # type: ignore[misc]  # the class is known at run time only
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2, x * 3

        @staticmethod
        def backward(ctx: Any, a: Any, b: Any) -> Any:
            return a * 2 + b * 3

    x = leaf(torch_like)
    a, b = Both.apply(x)
    assert (x.output_nr, a.output_nr, b.output_nr) == (0, 0, 1)
    assert a.grad_fn is b.grad_fn
    assert (a * b).grad_fn.next_functions == ((a.grad_fn, 0), (a.grad_fn, 1))
