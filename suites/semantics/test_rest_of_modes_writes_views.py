"""Rows of priority 2 and 3 on modes, in-place operations and views that stand nowhere else."""

from __future__ import annotations

from typing import Any

import pytest

from .support import assert_equal, assert_untouched, snapshot, values

MODIFIED = "one of the variables needed for gradient computation has been modified by an inplace operation"
NO_GRAD_VIEW = "A view was created in no_grad mode and {} modified inplace with grad mode enabled"


def leaf(torch_like: Any, *numbers: float) -> Any:
    return torch_like.tensor(list(numbers or (1.0, 2.0)), requires_grad=True)


# -- modes


@pytest.mark.parametrize("flag", [None, 1])
@pytest.mark.catalogue("NG05", priority=3)
def test_set_grad_enabled_wants_a_bool(torch_like: Any, flag: Any) -> None:
    with pytest.raises(TypeError, match=f"must be bool, not {type(flag).__name__}"):
        torch_like.set_grad_enabled(flag)
    assert torch_like.is_grad_enabled()


@pytest.mark.catalogue("NG07", priority=3)
def test_a_decorated_generator_runs_each_step_in_its_mode_and_yields_in_the_callers(torch_like: Any) -> None:
    seen: list[Any] = []

    @torch_like.no_grad()
    def steps() -> Any:
        try:
            while True:
                try:
                    seen.append((yield torch_like.is_grad_enabled()))
                except ValueError:
                    yield ("caught", torch_like.is_grad_enabled())
        finally:
            seen.append(("closed", torch_like.is_grad_enabled()))

    running = steps()
    assert next(running) is False
    assert torch_like.is_grad_enabled()
    assert running.send("sent") is False
    assert running.throw(ValueError()) == ("caught", False)
    assert torch_like.is_grad_enabled()
    running.close()
    assert seen == ["sent", ("closed", False)]


@pytest.mark.catalogue("NG11", priority=2)
def test_a_custom_forward_runs_with_grad_mode_off_and_its_backward_on_under_create_graph(torch_like: Any) -> None:
    seen: list[bool] = []

    class Same(torch_like.autograd.Function):  # type: ignore[misc]  # the class is known at run time only
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            seen.append(torch_like.is_grad_enabled())
            return x * 1

        @staticmethod
        def backward(ctx: Any, ct: Any) -> Any:
            seen.append(torch_like.is_grad_enabled())
            return ct

    x = leaf(torch_like)
    torch_like.autograd.grad(Same.apply(x).sum(), x)
    torch_like.autograd.grad(Same.apply(x).sum(), x, create_graph=True)
    assert seen == [False, False, False, True]


@pytest.mark.parametrize("name", ["no_grad", "enable_grad", "inference_mode"])
@pytest.mark.catalogue("NG15", priority=3)
def test_decorating_a_class_is_deprecated(torch_like: Any, name: str) -> None:
    with pytest.warns(FutureWarning, match="Decorating classes is deprecated"):

        @getattr(torch_like, name)()
        class Model:
            def __init__(self) -> None:
                self.mode = torch_like.is_grad_enabled()

    assert Model().mode == (name == "enable_grad")


@pytest.mark.catalogue("NG12", priority=3)
def test_a_view_taken_under_no_grad_seems_to_require_grad_but_lets_none_through(torch_like: Any) -> None:
    x = leaf(torch_like)
    y = x * 2
    with torch_like.no_grad():
        views = [x[:1], y[:1]]
    for view in views:
        assert (view.requires_grad, view.grad_fn, view.is_leaf, view._is_view()) == (True, None, True, True)
        product = view * 3
        assert product.requires_grad
        assert product.grad_fn.next_functions[0][0] is None
        product.sum().backward()
        assert view.grad is None
    assert x.grad is None


@pytest.mark.catalogue("NG12", priority=3)
def test_a_write_with_grad_mode_on_to_a_view_taken_under_no_grad_is_refused(torch_like: Any) -> None:
    x = leaf(torch_like)
    y, buffer = x * 2, torch_like.zeros(2)
    with torch_like.no_grad():
        views = [x[:1], y[:1]]
        of_buffer = buffer[:1]
    before = snapshot(x, buffer)
    for view in views:
        with pytest.raises(RuntimeError, match=NO_GRAD_VIEW.format("is being")):
            view.mul_(2)
    with pytest.raises(RuntimeError, match=NO_GRAD_VIEW.format("is being")):
        of_buffer.mul_(x[:1])
    assert_untouched(before, x, buffer)
    of_buffer.add_(2)  # nothing to record
    assert_equal(buffer, [2.0, 0.0])


@pytest.mark.catalogue("NG12", priority=3)
def test_a_view_taken_under_no_grad_has_no_history_after_a_write_to_its_base(torch_like: Any) -> None:
    y = leaf(torch_like) * 2
    with torch_like.no_grad():
        view = y[:1]
    y.mul_(2)
    with pytest.raises(RuntimeError, match=NO_GRAD_VIEW.format("its base or another view of its base has been")):
        _ = view.grad_fn


# -- in-place operations


@pytest.mark.parametrize("write", [lambda y: y.mul_(y), lambda y: y.__imul__(y)], ids=["mul_", "*="])
@pytest.mark.catalogue("IP12", priority=3)
def test_a_tensor_multiplied_by_itself_in_place_is_refused_in_backward(torch_like: Any, write: Any) -> None:
    x = leaf(torch_like)
    y = x * 2
    write(y)
    with pytest.raises(RuntimeError, match=MODIFIED):
        y.sum().backward()
    assert x.grad is None


@pytest.mark.catalogue("IP05", priority=2)
def test_the_error_names_the_type_shape_and_versions_of_what_was_overwritten(torch_like: Any) -> None:
    x = leaf(torch_like)
    y = x + 0
    z = y * y
    y.add_(1)
    with pytest.raises(
        RuntimeError,
        match=r"\[torch.FloatTensor \[2\]\], which is output 0 of Add\w*, is at version 1; expected version 0",
    ):
        z.sum().backward()
    constant = torch_like.ones(2, 2, dtype=torch_like.float64)
    z = constant @ x.double()
    constant.add_(1)
    with pytest.raises(RuntimeError, match=r"\[torch.DoubleTensor \[2, 2\]\] is at version 1; expected version 0"):
        z.sum().backward()


@pytest.mark.catalogue("IP18", priority=3)
def test_resizing_a_tensor_that_requires_grad_is_refused(torch_like: Any) -> None:
    x = leaf(torch_like)
    for tensor in (x, x * 2):
        with pytest.raises(RuntimeError, match="cannot resize variables that require grad"):
            tensor.resize_(3)
    assert tuple(torch_like.ones(2).resize_(3, 1).shape) == (3, 1)
    assert_equal(torch_like.tensor([1.0, 2.0]).resize_(1), [1.0])


@pytest.mark.parametrize("index", [slice(None), ..., slice(0, 2), ()], ids=str)
@pytest.mark.catalogue("IP03")
def test_a_write_to_all_of_a_leaf_is_one_to_the_leaf_itself(torch_like: Any, index: Any) -> None:
    x = leaf(torch_like)
    with pytest.raises(
        RuntimeError, match=r"^a leaf Variable that requires grad is being used in an in-place operation"
    ):
        x[index] = 1.0
    y = x * 2
    y[index] = 5.0
    assert y.grad_fn.next_functions[0][0].name() == "MulBackward0"
    assert_equal(y, [5.0, 5.0])


@pytest.mark.catalogue("IP14", priority=2)
def test_a_value_with_leading_ones_fits_a_smaller_place(torch_like: Any) -> None:
    v = torch_like.tensor([[[7.0]]], requires_grad=True)
    y = leaf(torch_like) * 2
    y[1] = v
    y.sum().backward()
    assert_equal(y, [2.0, 7.0])
    assert_equal(v.grad, [[[1.0]]])


@pytest.mark.parametrize("op", ["mul_", "div_", "pow_"])
@pytest.mark.parametrize("constant", [True, False])
@pytest.mark.catalogue("IP11", "IP13", priority=2)
def test_an_operand_gets_its_gradient_from_the_value_that_was_overwritten(
    torch_like: Any, op: str, constant: bool
) -> None:
    def gradients(in_place: bool) -> list[Any]:
        x, w = leaf(torch_like, 2.0, 4.0), leaf(torch_like, 1.0, 2.0)
        y = torch_like.tensor([2.0, 4.0]) if constant else x * 1
        y = getattr(y, op if in_place else op[:-1])(w)
        y.sum().backward()
        return [None if t.grad is None else values(t.grad).tolist() for t in (x, w)]

    assert gradients(True) == gradients(False)


@pytest.mark.parametrize("op", ["sin_", "cos_", "sinh_", "log_", "log1p_", "atan_", "abs_", "square_", "exp_", "tanh_"])
@pytest.mark.catalogue("IP11", priority=2)
def test_a_function_in_place_has_the_gradient_of_the_function(torch_like: Any, op: str) -> None:
    x, w = leaf(torch_like), leaf(torch_like)
    getattr(x * 1, op)().sum().backward()
    getattr(w * 1, op[:-1])().sum().backward()
    assert_equal(x.grad, values(w.grad))


@pytest.mark.catalogue("IP11", priority=2)
def test_clamping_in_place_by_a_tensor_passes_the_gradient_on(torch_like: Any) -> None:
    x, low = leaf(torch_like), leaf(torch_like, 1.5, 1.5)
    y = x * 1
    y.clamp_(min=low)
    (y * torch_like.tensor([1.0, 10.0])).sum().backward()
    assert_equal(x.grad, [0.0, 10.0])
    assert_equal(low.grad, [1.0, 0.0])


@pytest.mark.catalogue("IP01", priority=2)
def test_a_write_to_an_expanded_tensor_without_elements_is_a_write(torch_like: Any) -> None:
    x = torch_like.zeros(0)
    x.expand(2, 0).add_(1)
    assert x._version == 1


# -- views


@pytest.mark.catalogue("VW05", priority=3)
def test_a_saved_disjoint_view_counts_as_modified(torch_like: Any) -> None:
    x = leaf(torch_like, 1.0, 2.0, 3.0)
    y = x * 1
    head, tail = y[:1], y[1:]
    z = head * head
    tail.zero_()
    with pytest.raises(RuntimeError, match=MODIFIED):
        z.sum().backward()


SEVERAL = {
    "unbind": lambda y: y.unbind()[0],
    "split": lambda y: y.split(1)[0],
    "chunk": lambda y: y.chunk(2)[0],
    "iteration": lambda y: next(iter(y)),
}


@pytest.mark.parametrize("take", SEVERAL.values(), ids=SEVERAL.keys())
@pytest.mark.catalogue("VW06", priority=3)
def test_an_output_of_an_op_with_several_views_cannot_be_written_to(torch_like: Any, take: Any) -> None:
    x = leaf(torch_like)
    phrase = (
        "Output 0 of (Unbind|Split) is a view and is being modified inplace. This view is the output of a function that"
    )
    for tensor in (x, x * 2):
        with pytest.raises(RuntimeError, match=phrase):
            take(tensor).mul_(2)
    with pytest.raises(RuntimeError, match="is the output of a function that returns multiple views"):
        take(x * 2)[...].mul_(2)
    assert_equal(x, [1.0, 2.0])


@pytest.mark.parametrize("take", SEVERAL.values(), ids=SEVERAL.keys())
@pytest.mark.catalogue("VW06", priority=3)
def test_an_output_of_several_views_has_no_history_after_a_write_to_its_base(torch_like: Any, take: Any) -> None:
    y = leaf(torch_like) * 2
    view = take(y)
    y.mul_(2)
    assert view.requires_grad
    with pytest.raises(RuntimeError, match="its base or another view of its base has been modified inplace"):
        _ = view.grad_fn
    with pytest.raises(RuntimeError, match="its base or another view of its base has been modified inplace"):
        view * 2


@pytest.mark.parametrize("take", SEVERAL.values(), ids=SEVERAL.keys())
@pytest.mark.catalogue("VW06", priority=3)
def test_of_constants_such_an_output_may_be_written_to(torch_like: Any, take: Any) -> None:
    y = torch_like.ones(2)
    take(y).mul_(2)
    assert_equal(y, [2.0, 1.0])


@pytest.mark.catalogue("VW11", priority=3)
def test_a_view_of_a_constant_can_be_a_leaf(torch_like: Any) -> None:
    base = torch_like.ones(3)
    view = base[:2].requires_grad_()
    assert (view.is_leaf, view._is_view(), view.requires_grad, base.requires_grad) == (True, True, True, False)
    (view * 2).sum().backward()
    assert_equal(view.grad, [2.0, 2.0])
    for tensor in (view, view[:1]):
        with pytest.raises(
            RuntimeError, match="a view of a leaf Variable that requires grad is being used in an in-place"
        ):
            tensor.mul_(2)


@pytest.mark.catalogue("VW11", priority=3)
def test_a_leaf_that_is_a_view_joins_the_graph_that_its_base_joins(torch_like: Any) -> None:
    base, x = torch_like.ones(3), leaf(torch_like, 1.0, 2.0, 3.0)
    view = base[:2].requires_grad_()
    base.mul_(2)
    assert (view.grad_fn, view.is_leaf) == (None, True)
    base.mul_(x)
    assert view.grad_fn is not None
    assert not view.is_leaf
    view.sum().backward()
    assert_equal(x.grad, [2.0, 2.0, 0.0])


@pytest.mark.catalogue("VW03", "VW02", priority=2)
def test_the_nodes_of_a_written_base_and_of_its_views_have_names_of_their_own(torch_like: Any) -> None:
    y = leaf(torch_like) * 2
    view = y[:1]
    view.mul_(3)
    assert "CopySlices" in y.grad_fn.name()
    assert view.grad_fn.name() == "AsStridedBackward0"


@pytest.mark.catalogue("VW09", priority=2)
def test_a_view_of_a_leaf_requires_grad_as_the_leaf_does(torch_like: Any) -> None:
    base = torch_like.ones(3)
    view = base[:2]
    base.requires_grad_()
    assert view.requires_grad
    (view * 2).sum().backward()
    assert base.grad is None
