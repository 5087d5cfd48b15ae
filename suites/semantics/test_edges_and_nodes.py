"""Gradient edges in the place of tensors, nodes that are called, and what is left of PyTorch before 0.4."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import pytest

from .support import assert_equal


@pytest.fixture
def x(torch_like: Any) -> Any:
    return torch_like.tensor([1.0, 2.0], requires_grad=True)


def edge_of(torch_like: Any, tensor: Any) -> Any:
    return torch_like.autograd.graph.get_gradient_edge(tensor)


def test_edge_among_inputs_leaves_retained_gradients_to_their_tensor(torch_like: Any, x: Any) -> None:
    y = x * x
    y.retain_grad()
    z = (y * 3).sum()
    z.backward(inputs=(edge_of(torch_like, y),), retain_graph=True)
    z.backward(inputs=(edge_of(torch_like, y), x))
    assert_equal(y.grad, [6.0, 6.0])
    assert_equal(x.grad, [6.0, 12.0])


def test_backward_and_grad_start_at_edges(torch_like: Any, x: Any) -> None:
    edge = edge_of(torch_like, x * x)
    ones = torch_like.ones(2)
    assert_equal(torch_like.autograd.grad(edge, x, grad_outputs=ones, retain_graph=True)[0], [2.0, 4.0])
    torch_like.autograd.backward([edge, edge], [ones, ones])
    assert_equal(x.grad, [4.0, 8.0])
    (g,) = torch_like.autograd.grad(edge_of(torch_like, (x * x).sum()), x)
    assert_equal(g, [2.0, 4.0])
    with pytest.raises(RuntimeError, match="grad can be implicitly created only for scalar outputs"):
        torch_like.autograd.grad(edge_of(torch_like, x * x), x)


def test_edges_start_batched_gradients(torch_like: Any, x: Any) -> None:
    (rows,) = torch_like.autograd.grad(
        edge_of(torch_like, x * x), x, grad_outputs=torch_like.tensor([[1.0, 0.0], [0.0, 2.0]]), is_grads_batched=True
    )
    assert_equal(rows, [[2.0, 0.0], [0.0, 8.0]])


def test_edges_are_made_by_hand_from_nodes(torch_like: Any, x: Any) -> None:
    GradientEdge = torch_like.autograd.graph.GradientEdge
    y = (x * x).sum()
    inner = GradientEdge(y.grad_fn.next_functions[0][0], 0)
    assert_equal(torch_like.autograd.grad(y, inner, retain_graph=True)[0], [1.0, 1.0])
    leaf = GradientEdge(inner.node.next_functions[0][0], 0)
    assert_equal(torch_like.autograd.grad(y, leaf, retain_graph=True)[0], [2.0, 4.0])
    root = GradientEdge(y.grad_fn, 0)
    assert_equal(torch_like.autograd.grad(root, x, torch_like.tensor(2.0))[0], [4.0, 8.0])


def test_edge_of_a_custom_functions_second_output(torch_like: Any, x: Any) -> None:
    class Two(torch_like.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2, x * 3

        @staticmethod
        def backward(ctx: Any, first: Any, second: Any) -> Any:
            return first * 2 + second * 3

    a, b = Two.apply(x)
    edge = torch_like.autograd.graph.GradientEdge(b.grad_fn, 1)
    (g,) = torch_like.autograd.grad((a * b).sum(), edge)
    assert_equal(g, [2.0, 4.0])


def test_unused_edge_has_no_zeros(torch_like: Any, x: Any) -> None:
    other = torch_like.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="materialize_grads cannot be used when the given input is a GradientEdge"):
        torch_like.autograd.grad((x * x).sum(), edge_of(torch_like, other), materialize_grads=True)
    assert torch_like.autograd.grad((x * x).sum(), edge_of(torch_like, other), allow_unused=True) == (None,)


def test_materialized_zeros_can_be_differentiated_if_a_graph_is_created(torch_like: Any) -> None:
    grad = torch_like.autograd.grad
    x = torch_like.tensor(0.5, requires_grad=True)
    y = x * torch_like.tensor(1.0, requires_grad=True)
    (first,) = grad(y, x, create_graph=True)
    (second,) = grad(first, x, create_graph=True, materialize_grads=True)
    assert second.requires_grad
    assert second.grad_fn is None
    (third,) = grad(second, x, materialize_grads=True)
    assert float(third) == 0.0
    assert not third.requires_grad


def test_node_that_is_called_pulls_back_one_cotangent(torch_like: Any, x: Any) -> None:
    w = torch_like.tensor([3.0, 4.0], requires_grad=True)
    y = x * w
    for_x, for_w = y.grad_fn(torch_like.ones(2))
    assert_equal(for_x, [3.0, 4.0])
    assert for_w.requires_grad  # the mode is to record
    assert (x * 2).grad_fn(torch_like.ones(2))[1] is None
    power = x.exp()
    with torch_like.no_grad():
        alone = power.grad_fn(torch_like.zeros(2))
    assert_equal(alone, [0.0, 0.0])
    assert not alone.requires_grad
    assert x.grad is None
    leaf = y.grad_fn.next_functions[0][0]
    assert leaf(torch_like.ones(2)) == ()
    assert_equal(x.grad, [1.0, 1.0])
    for wrong in ((), (torch_like.ones(2), torch_like.ones(2)), (3.0,)):
        with pytest.raises(TypeError, match=r"expected 1 arguments, got \d instead|argument 0 is not a Variable"):
            y.grad_fn(*wrong)
    freed = x.exp()
    freed.sum().backward()
    with pytest.raises(RuntimeError, match="Trying to backward through the graph a second time"):
        freed.grad_fn(torch_like.ones(2))


def test_node_of_a_custom_function_is_not_called(torch_like: Any, x: Any) -> None:
    class Twice(torch_like.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2

        @staticmethod
        def backward(ctx: Any, ct: Any) -> Any:
            return ct * 2

    assert Twice.generate_vmap_rule is False
    with pytest.raises(TypeError, match="'TwiceBackward' object is not callable"):
        Twice.apply(x).grad_fn(torch_like.ones(2))


def test_hooks_of_a_custom_functions_outputs_run_from_the_first_on(torch_like: Any, x: Any) -> None:
    class Three(torch_like.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2, x * 3, x * 4

        @staticmethod
        def backward(ctx: Any, a: Any, b: Any, c: Any) -> Any:
            return a * 2 + b * 3 + c * 4

    seen: list[int] = []
    outputs = Three.apply(x)
    for k, y in enumerate(outputs):
        y.register_hook(lambda ct, k=k: seen.append(k))
    (outputs[2] * outputs[0] + outputs[1]).sum().backward()
    assert seen == [0, 1, 2]
    assert_equal(x.grad, [19.0, 35.0])  # (8 x^2 + 3 x)'


def test_outputs_without_gradient_may_get_none(torch_like: Any, x: Any) -> None:
    class Marked(torch_like.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any, materialize: bool) -> Any:
            ctx._materialize_non_diff_grads = materialize
            constant = x * 3
            ctx.mark_non_differentiable(constant)
            return x * 2, constant

        @staticmethod
        def backward(ctx: Any, ct: Any, of_constant: Any) -> Any:
            seen.append(None if of_constant is None else of_constant.tolist())
            return ct * 2, None

    seen: list[Any] = []
    for materialize in (True, False):
        y, _ = Marked.apply(x, materialize)
        y.sum().backward()
    assert seen == [[0.0, 0.0], None]


def test_old_names_of_saved_tensors_and_of_tensors(torch_like: Any, x: Any) -> None:
    class Square(torch_like.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx: Any, ct: Any) -> Any:
            (x,) = ctx.saved_variables
            return ct * 2 * x

    Variable = torch_like.autograd.Variable
    with pytest.warns(DeprecationWarning, match="'saved_variables' is deprecated; use 'saved_tensors'"):
        Square.apply(x).sum().backward()
    assert_equal(x.grad, [2.0, 4.0])
    made = Variable(torch_like.ones(2), requires_grad=True)
    assert made.requires_grad
    assert made.is_leaf
    assert isinstance(made, Variable)
    assert isinstance(x, Variable)
    assert not isinstance(1.0, Variable)


def test_hooks_of_saved_tensors_end_without_an_error_to_tell(torch_like: Any, x: Any) -> None:
    packed: list[Any] = []
    hooks = torch_like.autograd.graph.saved_tensors_hooks(lambda t: packed.append(t) or t, lambda t: t)
    hooks.__enter__()
    x.exp()
    hooks.__exit__()
    x.exp()
    assert len(packed) == 1

    @torch_like.autograd.graph.disable_saved_tensors_hooks("not in here")
    def refused() -> None:
        with hooks:
            pass

    with pytest.raises(RuntimeError, match="not in here"):
        refused()


def described(node: Any) -> str:
    """Write the graph below a node with the names of the nodes' classes."""
    if node is None:
        return "None"
    return f"{type(node).__name__}({', '.join(described(n) for n, _ in node.next_functions)})"


def test_classes_of_nodes_are_named_as_the_nodes(torch_like: Any, x: Any) -> None:
    y = ((x * 2).exp() + x).sum()
    assert described(y.grad_fn) == (
        "SumBackward0(AddBackward0(ExpBackward0(MulBackward0(AccumulateGrad(), None)), AccumulateGrad()))"
    )
    y.backward()
    assert type(y.grad_fn).__name__ == "SumBackward0"
    last = x[1]
    assert type(last.grad_fn).__name__ == "SelectBackward0"


def test_gradients_of_a_once_differentiable_function_end_at_an_error(torch_like: Any, x: Any) -> None:
    class Twice(torch_like.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any, factor: float) -> Any:
            return x * factor

        @staticmethod
        @torch_like.autograd.function.once_differentiable
        def backward(ctx: Any, ct: Any) -> Any:
            return ct * 2, None

    (g,) = torch_like.autograd.grad(Twice.apply(x, 2.0).prod(), x, create_graph=True)
    assert described(g.grad_fn) == "Error(AccumulateGrad(), None)"
    with pytest.raises(RuntimeError, match="trying to differentiate twice a function that was marked with"):
        g.sum().backward()


def test_inputs_in_a_dict_give_a_dict(torch_like: Any, x: Any) -> None:
    y = torch_like.tensor([3.0, 4.0], requires_grad=True)
    found = torch_like.autograd.grad((x * y).sum(), {"x": x, 7: y})
    assert list(found) == ["x", 7]
    assert_equal(found["x"], [3.0, 4.0])
    assert_equal(found[7], [1.0, 2.0])
    assert torch_like.autograd.grad((x * x).sum(), {"y": y}, allow_unused=True) == {"y": None}
    (x * y).sum().backward(inputs={"y": y})
    assert x.grad is None
    assert_equal(y.grad, [1.0, 2.0])
    with pytest.raises(RuntimeError, match="cannot be empty"):
        torch_like.autograd.grad((x * x).sum(), {})
    with pytest.raises(RuntimeError, match="cannot be empty"):
        (x * x).sum().backward(inputs={})
    with pytest.raises(TypeError, match="must be a dict"):
        torch_like.autograd.grad((x * x).sum(), OrderedDict(x=x))


def test_nodes_keep_a_dict_for_users_and_are_counted(torch_like: Any, x: Any) -> None:
    y = x * 2
    z = y * 2
    y.grad_fn.metadata["colour"] = "red"
    assert (y.grad_fn.metadata, z.grad_fn.metadata) == ({"colour": "red"}, {})
    assert z.grad_fn._sequence_nr() > y.grad_fn._sequence_nr()
