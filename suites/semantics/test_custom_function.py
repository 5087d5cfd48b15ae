"""Custom `autograd.Function`: forward and backward in the user's words, recorded as one node."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from .support import assert_equal, values

SMALL = st.lists(st.integers(-8, 8).map(float), min_size=1, max_size=4)


def custom(torch_like: Any, forward: Any, backward: Any = None, name: str = "Own", **more: Any) -> Any:
    """Return a Function of these static methods."""
    methods = {"forward": forward, **({} if backward is None else {"backward": backward}), **more}
    return type(name, (torch_like.autograd.Function,), {k: staticmethod(f) for k, f in methods.items()})


def saving(forward: Any) -> Any:
    """Return a forward that saves all its arguments."""

    def wrapped(ctx: Any, *args: Any) -> Any:
        ctx.save_for_backward(*args)
        return forward(*args)

    return wrapped


def product(torch_like: Any) -> Any:
    def backward(ctx: Any, g: Any) -> Any:
        a, b = ctx.saved_tensors
        return g * b, g * a

    return custom(torch_like, saving(lambda a, b: a * b), backward, "Product")


def cube(torch_like: Any) -> Any:
    return custom(
        torch_like,
        saving(lambda x: x * x * x),
        lambda ctx, g: g * 3 * ctx.saved_tensors[0] * ctx.saved_tensors[0],
        "Cube",
    )


def doubling(torch_like: Any, backward: Any) -> Any:
    return custom(torch_like, lambda ctx, x: x * 2, backward)


@given(x=SMALL, factor=st.integers(-3, 3))
@pytest.mark.catalogue("CF01", priority=2)
def test_a_function_has_the_values_and_gradients_of_the_composition(
    torch_like: Any, x: list[float], factor: int
) -> None:
    own, plain = (torch_like.tensor(x, requires_grad=True) for _ in range(2))
    times, power = product(torch_like), cube(torch_like)
    y = times.apply(power.apply(own) * factor, own)
    assert_equal(y, values(plain * plain * plain * factor * plain))
    y.sum().backward()
    (plain * plain * plain * factor * plain).sum().backward()
    assert_equal(own.grad, values(plain.grad))


@pytest.mark.catalogue("CF01", priority=2)
def test_apply_records_one_node_with_the_name_of_the_function(torch_like: Any) -> None:
    a, b = (torch_like.ones(2, requires_grad=True) for _ in range(2))
    y = product(torch_like).apply(a, b)
    assert y.grad_fn.name() == "ProductBackward"
    assert [node.variable for node, _ in y.grad_fn.next_functions] == [a, b]
    assert y.grad_fn is y.grad_fn
    assert y.output_nr == 0


@pytest.mark.filterwarnings("ignore:.*should not be instantiated")
@pytest.mark.catalogue("CF01", priority=2)
def test_an_instance_cannot_be_called(torch_like: Any) -> None:
    with pytest.raises(RuntimeError, match="Legacy autograd function with non-static forward method is deprecated"):
        cube(torch_like)()(torch_like.ones(2))


@pytest.mark.parametrize(
    ("returned", "phrase"),
    [
        (lambda g: g, r"returned an incorrect number of gradients \(expected 2, got 1\)"),
        (lambda g: (g,), r"returned an incorrect number of gradients \(expected 2, got 1\)"),
        (lambda g: (g, g, g), r"returned an incorrect number of gradients \(expected 2, got 3\)"),
        (lambda g: (g, 2.0), r"expected Variable or None \(got float\)"),
        (lambda g: [g, g], r"returned an incorrect number of gradients \(expected 2, got 1\)"),
    ],
)
@pytest.mark.catalogue("CF02", priority=2)
def test_backward_returns_one_gradient_an_argument(torch_like: Any, returned: Any, phrase: str) -> None:
    x = torch_like.ones(2, requires_grad=True)
    y = custom(torch_like, lambda ctx, a, b: a * b, lambda ctx, g: returned(g)).apply(x, x)
    with pytest.raises(RuntimeError, match=phrase):
        y.sum().backward()
    assert x.grad is None


@pytest.mark.catalogue("CF02", priority=2)
def test_trailing_nones_are_fine_and_a_number_has_no_gradient(torch_like: Any) -> None:
    x = torch_like.ones(2, requires_grad=True)
    custom(torch_like, lambda ctx, x, k: x * k, lambda ctx, g: (g * 5, None, None, None)).apply(x, 3).sum().backward()
    assert_equal(x.grad, [5.0, 5.0])
    y = custom(torch_like, lambda ctx, x, k: x * k, lambda ctx, g: (g, g)).apply(x, 3)
    with pytest.raises(RuntimeError, match="returned a gradient different than None at position 2"):
        y.sum().backward()


@pytest.mark.parametrize(
    ("shape", "gradient", "total"), [((2,), (3, 2), 3.0), ((2,), (1, 2), 1.0), ((1, 2), (4, 2), 4.0), ((), (2, 3), 6.0)]
)
@pytest.mark.catalogue("CF03", priority=2)
def test_a_gradient_that_sums_to_the_input_is_summed(torch_like: Any, shape: Any, gradient: Any, total: float) -> None:
    x = torch_like.ones(shape, requires_grad=True)
    doubling(torch_like, lambda ctx, g: torch_like.ones(gradient)).apply(x).sum().backward()
    assert_equal(x.grad, values(torch_like.ones(shape) * total))


@pytest.mark.parametrize(
    ("shape", "gradient"), [((2,), (3, 3)), ((2,), (1,)), ((2,), ()), ((2, 1), (2,)), ((3,), (2, 1)), ((0,), (2,))]
)
@pytest.mark.catalogue("CF03", priority=2)
def test_a_gradient_of_another_shape_is_refused(torch_like: Any, shape: Any, gradient: Any) -> None:
    x = torch_like.ones(shape, requires_grad=True)
    y = doubling(torch_like, lambda ctx, g: torch_like.ones(gradient)).apply(x)
    with pytest.raises(
        RuntimeError, match=r"returned an invalid gradient at index 0 - got .* but expected shape compatible with"
    ):
        y.sum().backward()


@pytest.mark.parametrize("dtype", ["float64", "int64"])
@pytest.mark.catalogue("CF03", priority=2)
def test_a_gradient_of_another_dtype_is_cast(torch_like: Any, dtype: str) -> None:
    x = torch_like.ones(2, requires_grad=True)
    doubling(torch_like, lambda ctx, g: torch_like.full((2,), 3, dtype=getattr(torch_like, dtype))).apply(
        x
    ).sum().backward()
    assert x.grad.dtype == torch_like.float32
    assert_equal(x.grad, [3.0, 3.0])


@pytest.mark.catalogue("CF04", priority=2)
def test_a_none_gradient_leaves_the_leaf_alone(torch_like: Any) -> None:
    x = torch_like.ones(2, requires_grad=True)
    nothing = doubling(torch_like, lambda ctx, g: None)
    nothing.apply(x).sum().backward()
    assert x.grad is None
    with pytest.raises(RuntimeError, match="appears to not have been used in the graph"):
        torch_like.autograd.grad(nothing.apply(x).sum(), x)
    assert torch_like.autograd.grad(nothing.apply(x).sum(), x, allow_unused=True) == (None,)


@pytest.mark.catalogue("CF04", priority=2)
def test_above_a_none_gradient_built_in_nodes_pass_nothing_and_functions_see_zeros(torch_like: Any) -> None:
    x, seen = torch_like.ones(2, requires_grad=True), []
    upstream = doubling(torch_like, lambda ctx, g: (seen.append(values(g).tolist()), g)[1])
    doubling(torch_like, lambda ctx, g: None).apply(upstream.apply(x).exp() * 3).sum().backward()
    assert seen == [[0.0, 0.0]]
    assert_equal(x.grad, [0.0, 0.0])
    w = torch_like.ones(2, requires_grad=True)
    doubling(torch_like, lambda ctx, g: None).apply(w.exp() * 3).sum().backward()
    assert w.grad is None


@pytest.mark.catalogue("CF05", priority=2)
def test_a_missing_forward_or_backward_is_told_when_it_is_needed(torch_like: Any) -> None:
    x = torch_like.ones(2, requires_grad=True)
    y = custom(torch_like, lambda ctx, x: x * 2).apply(x)
    assert_equal(y, [2.0, 2.0])
    with pytest.raises(NotImplementedError, match="You must implement either the backward or vjp method"):
        y.sum().backward()
    with pytest.raises(NotImplementedError, match="You must implement the forward function"):
        type("Own", (torch_like.autograd.Function,), {}).apply(x)


@pytest.mark.catalogue("CF06", priority=2)
def test_needs_input_grad_says_for_each_argument(torch_like: Any) -> None:
    seen: list[Any] = []

    def forward(ctx: Any, *args: Any) -> Any:
        seen.append(ctx.needs_input_grad)
        return args[0] * 2

    def backward(ctx: Any, g: Any) -> Any:
        seen.append(ctx.needs_input_grad)
        return g, None, None, None

    x = torch_like.ones(2, requires_grad=True)
    own = custom(torch_like, forward, backward)
    own.apply(x, torch_like.ones(2), 3, "word").sum().backward()
    with torch_like.no_grad():
        own.apply(x, x * 1)
    assert seen == [(True, False, False, False), (True, False, False, False), (True, False)]


@pytest.mark.catalogue("CF07", priority=2)
def test_only_tensors_and_none_can_be_saved(torch_like: Any) -> None:
    x, seen = torch_like.ones(2, requires_grad=True), []

    def forward(ctx: Any, x: Any, what: Any) -> Any:
        ctx.save_for_backward(x, what)
        return x * 2

    own = custom(torch_like, forward, lambda ctx, g: (seen.append(ctx.saved_tensors), (g, None))[1])
    with pytest.raises(TypeError, match="save_for_backward can only save variables, but argument 1 is of type int"):
        own.apply(x, 3)
    own.apply(x, None).sum().backward()
    assert seen[0][0] is x
    assert seen[0][1] is None


@pytest.mark.catalogue("CF07", priority=2)
def test_saved_tensors_are_freed_and_checked(torch_like: Any) -> None:
    x = torch_like.ones(2, requires_grad=True)
    y = cube(torch_like).apply(x)
    y.sum().backward(retain_graph=True)
    y.sum().backward()
    assert_equal(x.grad, [6.0, 6.0])
    with pytest.raises(RuntimeError, match="Trying to backward through the graph a second time"):
        y.sum().backward()
    hidden = x * 1
    y = cube(torch_like).apply(hidden)
    hidden.add_(1)
    with pytest.raises(RuntimeError, match="has been modified by an inplace operation"):
        y.sum().backward()


@pytest.mark.catalogue("CF07", priority=2)
def test_a_saved_input_that_was_detached_in_place_still_gives_its_gradient(torch_like: Any) -> None:
    x = torch_like.ones(2, requires_grad=True)
    hidden = x * 2
    y = cube(torch_like).apply(hidden)
    hidden.detach_()
    y.sum().backward()
    assert_equal(x.grad, [24.0, 24.0])


@pytest.mark.catalogue("RG09", priority=2)
def test_attributes_of_the_context_are_not_freed(torch_like: Any) -> None:
    x = torch_like.tensor([1.0, 2.0], requires_grad=True)
    own = custom(torch_like, lambda ctx, x: (setattr(ctx, "x", x), x * x)[1], lambda ctx, g: g * 2 * ctx.x)
    y = own.apply(x)
    y.sum().backward()
    y.sum().backward()
    assert_equal(x.grad, [4.0, 8.0])


def two_outputs(torch_like: Any, seen: list[Any], *, materialize: bool = True) -> Any:
    def forward(ctx: Any, x: Any) -> Any:
        if not materialize:
            ctx.set_materialize_grads(False)
        return x * 2, x * 3

    def backward(ctx: Any, *gs: Any) -> Any:
        seen.append([g if g is None else values(g).tolist() for g in gs])
        return sum((g * k for g, k in zip(gs, (2, 3), strict=True) if g is not None), torch_like.zeros(2))

    return custom(torch_like, forward, backward)


@pytest.mark.catalogue("CF08", priority=2)
def test_an_output_that_nobody_used_gets_zeros_or_none(torch_like: Any) -> None:
    x, seen = torch_like.ones(2, requires_grad=True), []
    two_outputs(torch_like, seen).apply(x)[1].sum().backward()
    two_outputs(torch_like, seen, materialize=False).apply(x)[1].sum().backward()
    assert seen == [[[0.0, 0.0], [1.0, 1.0]], [None, [1.0, 1.0]]]
    assert_equal(x.grad, [6.0, 6.0])


@pytest.mark.catalogue("CF08", priority=2)
def test_backward_runs_once_for_all_outputs(torch_like: Any) -> None:
    x, seen = torch_like.ones(2, requires_grad=True), []
    a, b = two_outputs(torch_like, seen).apply(x)
    assert a.grad_fn is b.grad_fn
    assert (a.output_nr, b.output_nr) == (0, 1)
    (a * 5 + b + a).sum().backward()
    assert seen == [[[6.0, 6.0], [1.0, 1.0]]]
    assert_equal(x.grad, [15.0, 15.0])


@pytest.mark.catalogue("CF08", priority=2)
def test_outputs_are_roots_inputs_and_hooked_one_by_one(torch_like: Any) -> None:
    x, seen = torch_like.ones(2, requires_grad=True), []
    a, b = two_outputs(torch_like, seen).apply(x)
    b.register_hook(lambda g: g * 10)
    b.retain_grad()
    torch_like.autograd.backward([a, b], [torch_like.ones(2), torch_like.ones(2)], retain_graph=True)
    assert seen == [[[1.0, 1.0], [10.0, 10.0]]]
    assert_equal(b.grad, [10.0, 10.0])
    gradients = torch_like.autograd.grad((a * b).sum(), [x, a])
    assert [values(g).tolist() for g in gradients] == [[66.0, 66.0], [3.0, 3.0]]


@pytest.mark.catalogue("CF09", priority=2)
def test_marked_and_integer_outputs_have_no_gradient(torch_like: Any) -> None:
    x, seen = torch_like.ones(2, requires_grad=True), []

    def forward(ctx: Any, x: Any) -> Any:
        constant = x * 5
        ctx.mark_non_differentiable(constant)
        return x * 2, constant, x.argmax()

    own = custom(torch_like, forward, lambda ctx, *gs: (seen.append([values(g).tolist() for g in gs]), gs[0] * 2)[1])
    y, constant, place = own.apply(x)
    assert [t.requires_grad for t in (y, constant, place)] == [True, False, False]
    y.sum().backward()
    assert seen == [[[1.0, 1.0], [0.0, 0.0], 0]]
    assert_equal(x.grad, [2.0, 2.0])


def overwriting(torch_like: Any) -> Any:
    def forward(ctx: Any, x: Any) -> Any:
        ctx.mark_dirty(x)
        return x.mul_(2)

    return custom(torch_like, forward, lambda ctx, g: g * 2)


@pytest.mark.catalogue("CF10", priority=3)
def test_an_input_marked_dirty_is_returned_itself_with_new_history(torch_like: Any) -> None:
    x = torch_like.ones(2, requires_grad=True)
    hidden = x * 3
    y = overwriting(torch_like).apply(hidden)
    assert y is hidden
    assert hidden.grad_fn.name() == "OwnBackward"
    hidden.sum().backward()
    assert_equal(x.grad, [6.0, 6.0])


@pytest.mark.catalogue("CF10", priority=3)
def test_a_dirty_view_changes_its_base(torch_like: Any) -> None:
    x = torch_like.ones(3, requires_grad=True)
    base = x * 3
    part = base[:2]
    assert overwriting(torch_like).apply(part) is part
    base.sum().backward()
    assert_equal(x.grad, [6.0, 6.0, 3.0])


@pytest.mark.catalogue("CF10", priority=3)
def test_without_recording_a_dirty_leaf_comes_back_as_a_constant(torch_like: Any) -> None:
    x = torch_like.ones(2, requires_grad=True)
    with torch_like.no_grad():
        y = overwriting(torch_like).apply(x)
    assert y is not x
    assert not y.requires_grad
    assert_equal(x, [2.0, 2.0])
    assert_equal(y, [2.0, 2.0])


@pytest.mark.filterwarnings("ignore:ctx.mark_dirty")
@pytest.mark.catalogue("CF10", priority=3)
def test_a_dirty_leaf_and_a_dirty_input_that_is_not_returned_are_refused(torch_like: Any) -> None:
    x = torch_like.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad has been used in an in-place operation"):
        overwriting(torch_like).apply(x)
    lost = custom(torch_like, lambda ctx, x: (ctx.mark_dirty(x), x * 2)[1], lambda ctx, g: g)
    with pytest.raises(RuntimeError, match="not returned as output"):
        lost.apply(x * 1)


@pytest.mark.catalogue("CF10", priority=3)
def test_a_dirty_view_among_several_outputs_is_refused(torch_like: Any) -> None:
    def forward(ctx: Any, x: Any) -> Any:
        ctx.mark_dirty(x)
        return x.mul_(2), x + 1

    base = torch_like.ones(3, requires_grad=True) * 1
    with pytest.raises(RuntimeError, match="your Function cannot return more than one Tensor"):
        custom(torch_like, forward, lambda ctx, g, h: g + h).apply(base[:2])


@pytest.mark.catalogue("CF11", priority=2)
def test_an_input_returned_as_is_comes_back_as_a_new_tensor(torch_like: Any) -> None:
    x = torch_like.ones(2, requires_grad=True)
    y = custom(torch_like, lambda ctx, x: x, lambda ctx, g: g * 10).apply(x)
    assert y is not x
    assert y._is_view()
    assert y.grad_fn.name() == "OwnBackward"
    (y + x).sum().backward()
    assert_equal(x.grad, [11.0, 11.0])
    with pytest.raises(RuntimeError, match="is a view and is being modified inplace"):
        y.add_(1)


@pytest.mark.catalogue("CF12", priority=3)
def test_the_context_may_be_set_up_apart(torch_like: Any) -> None:
    x = torch_like.tensor([1.0, 2.0], requires_grad=True)

    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.save_for_backward(inputs[0], output)
        ctx.k = inputs[1]

    def vjp(ctx: Any, g: Any) -> Any:
        x, y = ctx.saved_tensors
        return g * y / x * ctx.k, None

    own = custom(torch_like, lambda x, k=2: x**k, vjp=vjp, setup_context=setup_context)
    own.apply(x).sum().backward()
    assert_equal(x.grad, [2.0, 4.0])
    x.grad = None
    own.apply(x, k=3).sum().backward()
    assert_equal(x.grad, [3.0, 12.0])


@pytest.mark.catalogue("CF12", priority=3)
def test_backward_and_vjp_are_one(torch_like: Any) -> None:
    x = torch_like.ones(2, requires_grad=True)
    both = custom(torch_like, lambda ctx, x: x * 2, lambda ctx, g: g, vjp=lambda ctx, g: g)
    with pytest.raises(RuntimeError, match="Implementing both 'backward' and 'vjp'"):
        both.apply(x).sum().backward()


@pytest.mark.catalogue("CF13", priority=2)
def test_an_exception_keeps_its_type(torch_like: Any) -> None:
    x = torch_like.ones(2, requires_grad=True)
    with pytest.raises(ZeroDivisionError):
        custom(torch_like, lambda ctx, x: 1 / 0).apply(x)
    assert torch_like.is_grad_enabled()
    with pytest.raises(ZeroDivisionError):
        doubling(torch_like, lambda ctx, g: 1 / 0).apply(x).sum().backward()
    assert x.grad is None
    assert torch_like.is_grad_enabled()


@pytest.mark.catalogue("CF13", priority=2)
def test_other_outputs_pass_through_and_tensors_in_lists_are_not_tracked(torch_like: Any) -> None:
    x, seen = torch_like.ones(2, requires_grad=True), []
    mixed = custom(torch_like, lambda ctx, x: (x * 2, "word", None), lambda ctx, *gs: (seen.extend(gs), gs[0])[1])
    y, word, nothing = mixed.apply(x)
    assert (word, nothing) == ("word", None)
    y.sum().backward()
    assert seen[1:] == [None, None]
    listed = custom(torch_like, lambda ctx, xs: xs[0] * 2, lambda ctx, g: None).apply([x])
    assert not listed.requires_grad


@given(x=SMALL)
@pytest.mark.catalogue("CF14", priority=2)
def test_a_recorded_backward_has_derivatives_of_its_own(torch_like: Any, x: list[float]) -> None:
    leaf = torch_like.tensor(x, requires_grad=True)
    (first,) = torch_like.autograd.grad(cube(torch_like).apply(leaf).sum(), leaf, create_graph=True)
    (second,) = torch_like.autograd.grad(first.sum(), leaf, create_graph=True)
    (third,) = torch_like.autograd.grad(second.sum(), leaf)
    assert_equal(first, [3 * v * v for v in x])
    assert_equal(second, [6 * v for v in x])
    assert_equal(third, [6.0] * len(x))


@pytest.mark.catalogue("CF14", priority=2)
def test_a_saved_output_is_part_of_the_graph(torch_like: Any) -> None:
    def forward(ctx: Any, x: Any) -> Any:
        y = x * x
        ctx.save_for_backward(y)
        return y

    # With y = x * x as the gradient's factor the second derivative goes through the saved output: y'' = 2 x y.
    leaf = torch_like.tensor([1.0, 2.0], requires_grad=True)
    y = custom(torch_like, forward, lambda ctx, g: g * ctx.saved_tensors[0]).apply(leaf)
    (saved,) = y.grad_fn.saved_tensors
    assert saved.grad_fn is y.grad_fn
    (first,) = torch_like.autograd.grad(y.sum(), leaf, create_graph=True)
    (second,) = torch_like.autograd.grad(first.sum(), leaf)
    assert_equal(first, [1.0, 4.0])
    assert_equal(second, [1.0, 4.0])


@pytest.mark.catalogue("CF14", priority=2)
def test_a_function_that_saved_its_output_dies_with_it(torch_like: Any) -> None:
    def forward(ctx: Any, x: Any) -> Any:
        y = x * x
        ctx.save_for_backward(x, y)
        return y

    y = custom(torch_like, forward, lambda ctx, g: g).apply(torch_like.ones(2, requires_grad=True))
    watched = weakref.ref(y)
    gc.disable()
    try:
        del y
        assert watched() is None
    finally:
        gc.enable()


@pytest.mark.catalogue("DB08", priority=3)
def test_a_backward_marked_once_differentiable_is_not_recorded(torch_like: Any) -> None:
    once = torch_like.autograd.function.once_differentiable
    x = torch_like.tensor([1.0, 2.0], requires_grad=True)
    own = custom(torch_like, saving(lambda x: x * x), once(lambda ctx, g: g * 2 * ctx.saved_tensors[0]))
    (plain,) = torch_like.autograd.grad(own.apply(x).sum(), x, create_graph=True)
    assert_equal(plain, [2.0, 4.0])
    assert not plain.requires_grad
    (gradient,) = torch_like.autograd.grad((own.apply(x) * x).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="trying to differentiate twice a function that was marked with @once_diff"):
        gradient.sum().backward()


@pytest.mark.catalogue("NG11", priority=2)
def test_forward_runs_without_recording_and_backward_records_under_create_graph(torch_like: Any) -> None:
    seen: list[bool] = []

    def noting(result: Any) -> Any:
        return lambda ctx, x: (seen.append(torch_like.is_grad_enabled()), result(x))[1]

    own = custom(torch_like, noting(lambda x: x * 2), noting(lambda g: g * 2))
    x = torch_like.ones(2, requires_grad=True)
    own.apply(x).sum().backward()
    torch_like.autograd.grad(own.apply(x).sum(), x, create_graph=True)
    assert seen == [False, False, False, True]


@pytest.mark.catalogue("CF15", priority=3)
def test_a_backward_within_backward_leaves_the_outer_one_alone(torch_like: Any) -> None:
    x, seen = torch_like.ones(2, requires_grad=True), []

    def backward(ctx: Any, g: Any) -> Any:
        with torch_like.enable_grad():
            inner = torch_like.tensor([2.0, 3.0], requires_grad=True)
            (inner * inner).sum().backward()
        seen.append(torch_like.is_grad_enabled())
        return g * inner.grad

    (doubling(torch_like, backward).apply(x * 3) * x).sum().backward()
    assert_equal(x.grad, [12.0 + 6.0, 18.0 + 6.0])
    assert seen == [False]


NAMES = (
    "function edges saved values versions shapes frees number primitive free place ctx index of kept like args".split()
)


@pytest.mark.parametrize("name", NAMES)
def test_the_context_keeps_attributes_of_whatever_name(torch_like: Any, name: str) -> None:
    """None of them is a name that the node needs for itself."""
    kept: Any = ((2, 3), "what the user put there")

    class Triple(torch_like.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            setattr(ctx, name, kept)
            ctx.save_for_backward(x)
            return x * 3

        @staticmethod
        def backward(ctx: Any, ct: Any) -> Any:
            assert getattr(ctx, name) is kept
            (x,) = ctx.saved_tensors
            assert x.shape == ct.shape
            return ct * 3

    x = torch_like.ones(2, requires_grad=True)
    y = Triple.apply(x)
    (y * y).sum().backward()
    assert x.grad.tolist() == [18.0, 18.0]


def test_what_was_put_into_the_context_shows_at_the_node(torch_like: Any) -> None:
    class Named(torch_like.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.colour = "red"
            ctx.save_for_backward(x)
            return x * 3

        @staticmethod
        def backward(ctx: Any, ct: Any) -> Any:
            assert ctx.name() == "NamedBackward"
            assert ctx.next_functions[0][0].variable is x
            return ct * 3

    x = torch_like.ones(2, requires_grad=True)
    y = Named.apply(x)
    assert y.grad_fn.colour == "red"
    assert y.grad_fn.saved_tensors[0] is x
    assert y.grad_fn.needs_input_grad == (True,)
    with pytest.raises(AttributeError, match="'NamedBackward' object has no attribute 'taste'"):
        print(y.grad_fn.taste)
    y.sum().backward()


def test_a_function_has_no_rule_for_vmap_unless_it_says_so(torch_like: Any) -> None:
    assert torch_like.autograd.Function.generate_vmap_rule is False
    with pytest.raises(NotImplementedError, match="vmap"):
        torch_like.autograd.Function.vmap(None, None)
