"""retain_graph: which nodes can run backward a second time, and which buffers are freed."""

from __future__ import annotations

from typing import Any

import pytest

from .support import assert_equal

SECOND_TIME = "Trying to backward through the graph a second time"


@pytest.mark.catalogue("RG01")
def test_a_second_backward_through_saved_values_is_refused(torch_like: Any) -> None:
    x = torch_like.tensor([1.0, 2.0], requires_grad=True)
    y = (x * x).sum()
    y.backward()
    with pytest.raises(RuntimeError, match=SECOND_TIME) as caught:
        y.backward()
    assert "Specify retain_graph=True" in str(caught.value)
    assert_equal(x.grad, [2.0, 4.0])


@pytest.mark.catalogue("RG01")
def test_retain_graph_allows_another_backward(torch_like: Any) -> None:
    x = torch_like.tensor([1.0, 2.0], requires_grad=True)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward(retain_graph=True)
    y.backward()
    assert_equal(x.grad, [6.0, 12.0])
    with pytest.raises(RuntimeError, match=SECOND_TIME):
        y.backward()


SAVE_NOTHING = {
    "add": lambda torch_like, x: x + x,
    "sub": lambda torch_like, x: x - 1,
    "neg": lambda torch_like, x: -x,
    "sum": lambda torch_like, x: x.sum(),
    "mean": lambda torch_like, x: x.mean(),
    "view": lambda torch_like, x: x.view(2, 2),
    "reshape": lambda torch_like, x: x.reshape(4, 1),
    "index by int": lambda torch_like, x: x[1],
    "index by slice": lambda torch_like, x: x[1:3],
    "cat": lambda torch_like, x: torch_like.cat([x, x]),
    "stack": lambda torch_like, x: torch_like.stack([x, x]),
    "expand": lambda torch_like, x: x.expand(3, 4),
    "clone": lambda torch_like, x: x.clone(),
    "t": lambda torch_like, x: x.t(),
    "cumsum": lambda torch_like, x: x.cumsum(0),
    "cast": lambda torch_like, x: x.to(torch_like.float64),
    "floor": lambda torch_like, x: x.floor(),
}


@pytest.mark.parametrize("function", SAVE_NOTHING.values(), ids=SAVE_NOTHING.keys())
@pytest.mark.catalogue("RG02")
def test_nodes_that_save_nothing_run_backward_again(torch_like: Any, function: Any) -> None:
    x = torch_like.tensor([1.0, 2.0, 3.0, 4.0], requires_grad=True)
    y = function(torch_like, x)
    ct = torch_like.ones(tuple(y.shape), dtype=y.dtype)
    y.backward(ct)
    once = x.grad.clone()
    y.backward(ct)
    assert_equal(x.grad, (once + once).numpy())


@pytest.mark.catalogue("RG04")
def test_buffers_are_freed_only_of_nodes_that_ran(torch_like: Any) -> None:
    x = torch_like.tensor([1.0, 2.0], requires_grad=True)
    y = x * x
    z = (y * y).sum()
    (g,) = torch_like.autograd.grad(z, y)
    assert_equal(g, [2.0, 8.0])
    y.backward(torch_like.ones(2))
    assert_equal(x.grad, [2.0, 4.0])
    with pytest.raises(RuntimeError, match=SECOND_TIME):
        z.backward()


@pytest.mark.catalogue("RG05")
def test_outputs_that_share_saved_values_cannot_both_run_backward(torch_like: Any) -> None:
    x = torch_like.tensor([1.0, 2.0], requires_grad=True)
    shared = x * x
    first, second = shared.sum(), (shared + 1).sum()
    first.backward()
    with pytest.raises(RuntimeError, match=SECOND_TIME):
        second.backward()


@pytest.mark.catalogue("RG05")
def test_outputs_that_share_a_part_without_saved_values_can_both_run_backward(torch_like: Any) -> None:
    x = torch_like.tensor([1.0, 2.0], requires_grad=True)
    shared = x + x
    first, second = shared.sum(), (shared * shared).sum()
    first.backward()
    second.backward()
    assert_equal(x.grad, [10.0, 18.0])


@pytest.mark.catalogue("RG07")
def test_running_the_forward_again_makes_a_graph_of_its_own(torch_like: Any) -> None:
    x = torch_like.tensor([1.0, 2.0], requires_grad=True)
    for _ in range(3):
        (x * x).sum().backward()
    assert_equal(x.grad, [6.0, 12.0])
