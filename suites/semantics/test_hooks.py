"""Hooks: of tensors, of nodes, of accumulation; what they see, what they may change, and in which order they run."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from .support import assert_equal, assert_untouched, snapshot, values


def leaf(torch_like: Any, *numbers: float) -> Any:
    return torch_like.tensor(list(numbers or (1.0, 2.0)), requires_grad=True)


@pytest.mark.catalogue("HK01", priority=2)
def test_a_hook_sees_the_whole_gradient_once_a_backward(torch_like: Any) -> None:
    x, seen = leaf(torch_like), []
    y = x * 2
    handle = y.register_hook(lambda g: seen.append(values(g).tolist()))
    for _ in range(2):
        (y * 3 + y).sum().backward(retain_graph=True)
    assert seen == [[4.0, 4.0]] * 2
    handle.remove()
    handle.remove()
    (y * 3).sum().backward()
    assert len(seen) == 2


@pytest.mark.parametrize("of_leaf", [True, False])
@pytest.mark.catalogue("HK01", priority=2)
def test_a_tensor_that_a_hook_returns_replaces_the_gradient(torch_like: Any, of_leaf: bool) -> None:
    x = leaf(torch_like)
    y = x * 2
    (x if of_leaf else y).register_hook(lambda g: g * 10)
    (x if of_leaf else y).register_hook(lambda g: None)
    y.sum().backward()
    assert_equal(x.grad, [20.0, 20.0])


@pytest.mark.catalogue("HK02", priority=2)
def test_hooks_run_in_the_order_of_registration_and_leave_the_old_grad_alone(torch_like: Any) -> None:
    x = leaf(torch_like, 1.0)
    x.grad = torch_like.tensor([100.0])
    x.register_hook(lambda g: g * 10)
    x.register_hook(lambda g: g + 1)
    (x * 3).sum().backward()
    assert_equal(x.grad, [131.0])


@pytest.mark.catalogue("HK03", priority=2)
def test_a_hook_needs_a_tensor_that_requires_grad(torch_like: Any) -> None:
    with pytest.raises(RuntimeError, match="cannot register a hook on a tensor that doesn't require gradient"):
        torch_like.ones(2).register_hook(lambda g: g)


@pytest.mark.parametrize("of_leaf", [True, False])
@pytest.mark.parametrize(
    ("hook", "error", "phrase"),
    [
        (lambda g: 3, TypeError, "expected Variable, but hook returned 'int'"),
        (lambda g: (g,), TypeError, "expected Variable, but hook returned 'tuple'"),
        (lambda g: g.sum(), RuntimeError, "hook '<lambda>' has changed the size of value"),
        (lambda g: g.double(), RuntimeError, "has changed the type of value .was torch.FloatTensor got torch.Double"),
    ],
    ids=["number", "tuple", "shape", "dtype"],
)
@pytest.mark.catalogue("HK04", priority=3)
def test_a_hook_returns_a_gradient_of_the_same_shape_and_dtype(
    torch_like: Any, of_leaf: bool, hook: Any, error: type[Exception], phrase: str
) -> None:
    x = leaf(torch_like)
    y = x * 2
    (x if of_leaf else y).register_hook(hook)
    with pytest.raises(error, match=phrase):
        y.sum().backward()
    assert x.grad is None


@pytest.mark.catalogue("HK05", priority=2)
def test_an_exception_in_a_hook_keeps_its_type_and_what_was_not_reached_is_unchanged(torch_like: Any) -> None:
    x, w = leaf(torch_like), leaf(torch_like)
    y = x * 2
    handle = y.register_hook(lambda g: 1 // 0)
    loss, before = (y + w).sum(), snapshot(x)
    with torch_like.no_grad():
        with pytest.raises(ZeroDivisionError):
            loss.backward()
        assert not torch_like.is_grad_enabled()
    assert torch_like.is_grad_enabled()
    assert_untouched(before, x)
    handle.remove()
    (x * 2 + w).sum().backward()
    assert_equal(x.grad, [2.0, 2.0])


@pytest.mark.catalogue("HK05", "AC11", priority=2)
def test_a_leaf_whose_gradient_was_complete_has_it_when_a_hook_fails(torch_like: Any) -> None:
    early, late = leaf(torch_like), leaf(torch_like)
    y = late * 2
    y.register_hook(lambda g: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        (y + early).sum().backward()
    assert_equal(early.grad, [1.0, 1.0])
    assert late.grad is None


@pytest.mark.catalogue("HK06", priority=2)
def test_hooks_of_inputs_change_what_grad_returns(torch_like: Any) -> None:
    x = leaf(torch_like)
    y = x * 2
    x.register_hook(lambda g: g * 10)
    y.register_hook(lambda g: g + 1)
    z = (y * 3).sum()
    assert_equal(torch_like.autograd.grad(z, x, retain_graph=True)[0], [80.0, 80.0])
    assert_equal(torch_like.autograd.grad(z, y, retain_graph=True)[0], [4.0, 4.0])
    assert x.grad is None


@pytest.mark.catalogue("HK06", priority=2)
def test_of_an_input_on_the_way_to_another_grad_returns_what_its_hook_was_given(torch_like: Any) -> None:
    x = leaf(torch_like)
    y = x * 2
    y.register_hook(lambda g: g * 10)
    to_y, to_x = torch_like.autograd.grad((y * 3).sum(), [y, x])
    assert_equal(to_y, [3.0, 3.0])
    assert_equal(to_x, [60.0, 60.0])


@pytest.mark.catalogue("HK07", priority=3)
def test_a_hook_belongs_to_the_value_that_the_tensor_had(torch_like: Any) -> None:
    seen: list[Any] = []
    y = leaf(torch_like) * 2
    y.register_hook(lambda g: seen.append(("old", values(g).tolist())))
    y.mul_(3)
    y.register_hook(lambda g: seen.append(("new", values(g).tolist())))
    y.sum().backward()
    assert seen == [("new", [1.0, 1.0]), ("old", [3.0, 3.0])]


@pytest.mark.catalogue("HK08", priority=2)
def test_a_post_accumulate_hook_sees_the_leaf_with_its_new_grad_and_may_drop_it(torch_like: Any) -> None:
    x, seen = leaf(torch_like), []

    def hook(parameter: Any) -> None:
        seen.append((parameter is x, values(parameter.grad).tolist()))
        parameter.grad = None

    handle = x.register_post_accumulate_grad_hook(hook)
    (x * 2).sum().backward()
    assert seen == [(True, [2.0, 2.0])]
    assert x.grad is None
    torch_like.autograd.grad((x * 2).sum(), x)
    handle.remove()
    (x * 2).sum().backward()
    assert len(seen) == 1


@pytest.mark.catalogue("HK08", priority=2)
def test_a_leaf_may_be_updated_in_its_post_accumulate_hook(torch_like: Any) -> None:
    x = leaf(torch_like)

    def step(parameter: Any) -> None:
        with torch_like.no_grad():
            parameter.sub_(parameter.grad)
        parameter.grad = None

    x.register_post_accumulate_grad_hook(step)
    for _ in range(2):
        x.sum().backward()
    assert_equal(x, [-1.0, 0.0])


@pytest.mark.catalogue("HK08", priority=2)
def test_a_post_accumulate_hook_belongs_to_a_leaf_and_returns_none(torch_like: Any) -> None:
    x = leaf(torch_like)
    with pytest.raises(RuntimeError, match="post accumulate grad hooks cannot be registered on non-leaf tensors"):
        (x * 2).register_post_accumulate_grad_hook(lambda p: None)
    with pytest.raises(RuntimeError, match="cannot register a hook on a tensor that doesn't require gradient"):
        torch_like.ones(2).register_post_accumulate_grad_hook(lambda p: None)
    x.register_post_accumulate_grad_hook(lambda p: p.grad)
    with pytest.raises(RuntimeError, match="post accumulate grad hooks should return None"):
        x.sum().backward()
    assert_equal(x.grad, [1.0, 1.0])


@pytest.mark.catalogue("HK09", priority=3)
def test_node_hooks_see_and_replace_what_the_node_takes_and_gives(torch_like: Any) -> None:
    x, seen = leaf(torch_like), []
    y = x * 2
    y.grad_fn.register_prehook(lambda taken: (taken[0] + 1,))
    y.grad_fn.register_hook(lambda given, taken: seen.append((len(given), given[1], values(taken[0]).tolist())))
    y.grad_fn.register_hook(lambda given, taken: (given[0] * 10, None))
    y.sum().backward()
    assert seen == [(2, None, [2.0, 2.0])]
    assert_equal(x.grad, [40.0, 40.0])


@pytest.mark.parametrize(
    ("register", "hook", "error", "phrase"),
    [
        ("register_prehook", lambda g: (g[0], g[0]), RuntimeError, "incorrect number of values .got 2, but expected 1"),
        ("register_prehook", lambda g: g[0], TypeError, "expected tuple, but hook returned 'Tensor'"),
        ("register_hook", lambda g, _: (g[0],), RuntimeError, "returned an incorrect number of values"),
        ("register_hook", lambda g, _: (g[0].sum(), None), RuntimeError, "has changed the size of value"),
        ("register_hook", lambda g, _: (1, None), TypeError, "expected Variable, but hook returned 'int'"),
    ],
)
@pytest.mark.catalogue("HK09", priority=3)
def test_node_hooks_return_a_tuple_that_fits(
    torch_like: Any, register: str, hook: Any, error: type[Exception], phrase: str
) -> None:
    x = leaf(torch_like)
    y = x * 2
    getattr(y.grad_fn, register)(hook)
    with pytest.raises(error, match=phrase):
        y.sum().backward()
    assert x.grad is None


@pytest.mark.catalogue("HK09", priority=3)
def test_a_node_that_gives_none_ends_the_path(torch_like: Any) -> None:
    x, w = leaf(torch_like), leaf(torch_like)
    y = x * 2
    y.grad_fn.register_hook(lambda given, taken: (None, None))
    (y + w).sum().backward()
    assert x.grad is None
    assert_equal(w.grad, [1.0, 1.0])


@pytest.mark.catalogue("HK10", priority=3)
def test_the_hooks_of_a_node_and_of_a_leaf_run_in_a_fixed_order(torch_like: Any) -> None:
    x, log = leaf(torch_like), []
    y = x * 2
    accumulator = y.grad_fn.next_functions[0][0]
    y.grad_fn.register_hook(lambda given, taken: log.append("node"))
    y.grad_fn.register_prehook(lambda taken: log.append(f"before node, retained: {y.grad is not None}"))
    y.register_hook(lambda g: log.append("tensor"))
    y.retain_grad()
    accumulator.register_hook(lambda given, taken: log.append(f"accumulator {len(given)} {len(taken)}"))
    x.register_post_accumulate_grad_hook(lambda p: log.append(f"accumulated: {p.grad is not None}"))
    accumulator.register_prehook(lambda taken: log.append(f"before accumulator, grad: {x.grad is not None}"))
    x.register_hook(lambda g: log.append("leaf"))
    y.sum().backward()
    assert log == [
        "tensor",
        "before node, retained: True",
        "node",
        "leaf",
        "before accumulator, grad: False",
        "accumulated: True",
        "accumulator 0 1",
    ]


@pytest.mark.catalogue("HK11", priority=3)
def test_a_retained_grad_is_what_all_tensor_hooks_made(torch_like: Any) -> None:
    y = leaf(torch_like) * 2
    y.register_hook(lambda g: g * 10)
    y.retain_grad()
    y.register_hook(lambda g: g + 1)
    y.sum().backward()
    assert_equal(y.grad, [11.0, 11.0])


@pytest.mark.catalogue("HK12", priority=3)
def test_a_handle_is_a_context_manager(torch_like: Any) -> None:
    x = leaf(torch_like)
    with x.register_hook(lambda g: g * 10):
        x.sum().backward()
    x.sum().backward()
    assert_equal(x.grad, [11.0, 11.0])


@pytest.mark.catalogue("HK12", priority=3)
def test_removing_a_hook_in_another_one_counts_where_it_has_not_started(torch_like: Any) -> None:
    x, log = leaf(torch_like), []
    y = x * 2
    y.register_hook(lambda g: (handles[0].remove(), handles[1].remove())[0])
    handles = [y.register_hook(lambda g: log.append("of the same tensor")), x.register_hook(lambda g: log.append("x"))]
    y.sum().backward(retain_graph=True)
    y.sum().backward()
    assert log == ["of the same tensor"]


@pytest.mark.catalogue("HK13", priority=3)
def test_a_multi_grad_hook_runs_once_with_all_gradients_that_the_backward_reaches(torch_like: Any) -> None:
    x, w, seen = leaf(torch_like), leaf(torch_like), []

    def note(gradients: Any) -> None:
        seen.append([None if g is None else values(g).tolist() for g in gradients])

    handle = torch_like.autograd.graph.register_multi_grad_hook((x, w), note)
    (x * 2 + w).sum().backward()
    (x * 2).sum().backward()
    (x * 2 + w).sum().backward(inputs=[w])
    handle.remove()
    (x * 2 + w).sum().backward()
    assert seen == [[[2.0, 2.0], [1.0, 1.0]], [[2.0, 2.0], None], [None, [1.0, 1.0]]]


@pytest.mark.catalogue("HK13", priority=3)
def test_a_multi_grad_hook_of_any_runs_on_the_first_gradient(torch_like: Any) -> None:
    x, seen = leaf(torch_like), []
    y = x * 2
    with torch_like.autograd.graph.register_multi_grad_hook((x, y), lambda g: seen.append(g), mode="any"):
        for _ in range(2):
            y.sum().backward(retain_graph=True)
    assert [values(g).tolist() for g in seen] == [[1.0, 1.0]] * 2
    with pytest.raises(ValueError, match=r"Expects mode to be one of \('all', 'any'\)"):
        torch_like.autograd.graph.register_multi_grad_hook((x,), lambda g: None, mode="some")


@pytest.mark.parametrize(
    "copied",
    [lambda x: x.detach().requires_grad_(), copy.deepcopy],
    ids=["detach", "deepcopy"],
)
@pytest.mark.catalogue("HK14", priority=3)
def test_copies_carry_no_hooks(torch_like: Any, copied: Any) -> None:
    x = leaf(torch_like)
    handle = x.register_hook(called_in_a_copy)
    y = copied(x)
    handle.remove()
    y.sum().backward()
    assert_equal(y.grad, [1.0, 1.0])


def called_in_a_copy(g: Any) -> None:
    raise AssertionError("a copy has a hook")


@pytest.mark.catalogue("NG11", priority=2)
def test_hooks_run_with_grad_mode_on_only_under_create_graph(torch_like: Any) -> None:
    seen: list[bool] = []
    x = leaf(torch_like)
    y = x * x
    y.register_hook(lambda g: seen.append(torch_like.is_grad_enabled()))
    torch_like.autograd.grad(y.sum(), x, retain_graph=True)
    torch_like.autograd.grad(y.sum(), x, create_graph=True)
    assert seen == [False, True]


@pytest.mark.catalogue("BS14", priority=2)
def test_nodes_run_youngest_first_and_leaves_as_soon_as_they_are_complete(torch_like: Any) -> None:
    x, y, order = leaf(torch_like), leaf(torch_like), []

    def noted(tensor: Any, name: str) -> Any:
        tensor.register_hook(lambda g: order.append(name))
        return tensor

    noted(x, "x")
    noted(y, "y")
    a = noted(x * 2, "a")
    b = noted(y * 3, "b")
    noted(a + b, "o").sum().backward()
    assert order == ["o", "b", "y", "a", "x"]


@pytest.mark.catalogue("BS14", priority=2)
def test_a_hook_sees_the_grads_of_the_leaves_that_are_complete(torch_like: Any) -> None:
    early, late, seen = leaf(torch_like), leaf(torch_like), []
    y = late * 2
    y.register_hook(lambda g: seen.append((early.grad is None, late.grad is None)))
    (y * early).sum().backward()
    assert seen == [(False, True)]


@pytest.mark.catalogue("VW12", priority=3)
def test_a_retained_grad_follows_the_tensor_through_in_place_operations(torch_like: Any) -> None:
    x = leaf(torch_like)
    y = x * 2
    y.retain_grad()
    y.mul_(3)
    y.sum().backward()
    assert_equal(y.grad, [1.0, 1.0])
    base = x * 2
    view = base[:1]
    view.retain_grad()
    base.mul_(3)
    (view * 5).sum().backward()
    assert view.retains_grad
    assert_equal(view.grad, [5.0])


def test_the_last_hook_of_a_leaf_sees_its_gradient_as_hooks_before_it_left_it(torch_like: Any) -> None:
    x = torch_like.ones(2, requires_grad=True)
    seen: list[Any] = []

    def add_one(leaf: Any) -> None:
        leaf.grad.add_(1.0)

    leaf = x.clone().grad_fn.next_functions[0][0]
    x.register_hook(lambda ct: ct * 2)
    x.register_post_accumulate_grad_hook(add_one)
    leaf.register_hook(lambda given, taken: seen.append(taken[0].tolist()))
    x.sum().backward()
    assert seen == [[3.0, 3.0]]


def test_an_exit_too_many_of_saved_tensors_hooks_is_ignored(torch_like: Any) -> None:
    inner: Any = None

    def leave(value: Any) -> Any:
        inner.__exit__()
        return value

    inner = torch_like.autograd.graph.saved_tensors_hooks(lambda t: t, leave)
    x = torch_like.ones(2, requires_grad=True)
    with torch_like.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: t):
        inner.__enter__()
        x.exp().sum().backward()
    inner.__exit__()
    packed: list[Any] = []
    with torch_like.autograd.graph.saved_tensors_hooks(lambda t: packed.append(1) or t, lambda t: t):
        x.exp().sum().backward()
    assert packed == [1]
    x.exp()
    assert packed == [1]


def test_saved_tensors_may_be_written_to_on_request(torch_like: Any) -> None:
    allowed = torch_like.autograd.graph.allow_mutation_on_saved_tensors
    x = torch_like.tensor([1.0, 2.0], requires_grad=True)
    with allowed():
        y = x.clone()
        z = y**3
        y.mul_(5)
        (first,) = torch_like.autograd.grad(z.sum(), x, create_graph=True)
        first.sum().backward()
    assert_equal(first, [3.0, 12.0])
    assert_equal(x.grad, [6.0, 12.0])
    with allowed():
        y = x**2
        with pytest.raises(RuntimeError, match="allow_mutation_on_saved_tensors contexts cannot be nested"), allowed():
            pass
    with pytest.raises(
        AssertionError, match="Trying to backward outside of the 'allow_mutation_on_saved_tensors' context"
    ):
        y.sum().backward()
