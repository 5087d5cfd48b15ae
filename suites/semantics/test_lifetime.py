"""Lifetime of graphs, threads, copies, hooks of saved tensors, anomaly mode, and a training loop."""

from __future__ import annotations

import copy
import gc
import pickle
import resource
import threading
import warnings
import weakref
from typing import Any

import numpy as np
import pytest

from harness.judgement import same_to_rounding

from .support import assert_equal, d2l_f, share_memory, values


@pytest.mark.catalogue("SC04", priority=2)
def test_a_backward_that_does_not_retain_lets_saved_values_die(torch_like: Any) -> None:
    x = torch_like.ones(2, requires_grad=True)

    def watched_factor(retain: bool) -> tuple[Any, Any]:
        factor = torch_like.full((2,), 3.0)
        y = (x * factor).sum()
        watched = weakref.ref(factor.numpy() if torch_like.__name__ == "reference_impl" else factor)
        y.backward(retain_graph=retain)
        return y, watched

    y, watched = watched_factor(retain=False)
    assert y.grad_fn is not None
    assert watched() is None
    assert_equal(x.grad, [3.0, 3.0])


@pytest.mark.catalogue("SC04", priority=2)
def test_a_retained_graph_keeps_saved_values(reference: Any) -> None:
    x, factor = reference.ones(2, requires_grad=True), reference.full((2,), 3.0)
    y = (x * factor).sum()
    watched = weakref.ref(factor.numpy())
    del factor
    y.backward(retain_graph=True)
    assert watched() is not None
    y.backward()
    assert watched() is None


@pytest.mark.catalogue("SC05", priority=2)
def test_a_hundred_thousand_iterations_leave_nothing_behind(reference: Any) -> None:
    x = reference.ones(8, requires_grad=True)
    gc.collect()
    gc.disable()
    try:
        sizes = []
        for k in range(100_000):
            (x * x + k).sum().backward() if k % 10 == 0 else x * x
            if k % 25_000 == 0:
                sizes.append((len(gc.get_objects()), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))
    finally:
        gc.enable()
    objects, peaks = zip(*sizes, strict=True)
    assert max(objects[1:]) - objects[1] < 200
    assert peaks[-1] - peaks[1] < 4096  # kilobytes


@pytest.mark.filterwarnings("ignore:Using backward")
@pytest.mark.catalogue("SC06", priority=3)
def test_a_recorded_gradient_in_grad_is_a_cycle_that_resetting_breaks(torch_like: Any) -> None:
    x = torch_like.ones(2, requires_grad=True)
    (x * x * x).sum().backward(create_graph=True)
    assert x.grad.requires_grad
    watched = weakref.ref(x)
    gc.disable()
    try:
        x.grad = None
        del x
        assert watched() is None
    finally:
        gc.enable()


@pytest.mark.catalogue("SC07", priority=2)
def test_ten_threads_give_ten_times_the_gradient(torch_like: Any) -> None:
    x = torch_like.ones(3, dtype=torch_like.float64, requires_grad=True)
    barrier = threading.Barrier(10)

    def work() -> None:
        barrier.wait()
        for _ in range(50):
            ((x * x).sum() * 2).backward()

    threads = [threading.Thread(target=work) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert_equal(x.grad, [10 * 50 * 4.0] * 3)


@pytest.mark.catalogue("SC08", priority=3)
def test_backward_runs_in_the_calling_thread(torch_like: Any) -> None:
    x, seen = torch_like.ones(2, requires_grad=True), []
    y = x * 2
    y.register_hook(lambda g: seen.append(threading.get_ident()))
    worker = threading.Thread(target=lambda: y.sum().backward())
    worker.start()
    worker.join()
    assert seen == [worker.ident]


@pytest.mark.catalogue("SC09", priority=2)
def test_deepcopy_of_a_leaf_copies_values_and_grad(torch_like: Any) -> None:
    x = torch_like.tensor([1.0, 2.0], requires_grad=True)
    (x * x).sum().backward()
    twin = copy.deepcopy(x)
    assert twin.requires_grad
    assert_equal(twin, [1.0, 2.0])
    assert_equal(twin.grad, [2.0, 4.0])
    assert not share_memory(twin, x)
    assert not share_memory(twin.grad, x.grad)
    first, second = copy.deepcopy([x, x])
    assert first is second


@pytest.mark.catalogue("SC09", priority=2)
def test_deepcopy_of_a_non_leaf_is_refused(torch_like: Any) -> None:
    with pytest.raises(RuntimeError, match="Only Tensors created explicitly by the user"):
        copy.deepcopy(torch_like.ones(2, requires_grad=True) * 2)


@pytest.mark.catalogue("SC10", priority=2)
def test_pickle_keeps_values_and_requires_grad_and_drops_grad_and_graph(torch_like: Any) -> None:
    x = torch_like.tensor([1.0, 2.0], requires_grad=True)
    (x * x).sum().backward()
    for tensor in (x, x * 2, torch_like.arange(6.0)[::2], torch_like.tensor([True]), torch_like.tensor(1)):
        back = pickle.loads(pickle.dumps(tensor))
        assert_equal(back, values(tensor))
        assert back.dtype == tensor.dtype
        assert back.requires_grad is tensor.requires_grad
        assert back.is_leaf
        assert back.grad is None
    back.float().requires_grad_().sum().backward()


@pytest.mark.catalogue("SC11", priority=2)
def test_writes_show_through_numpy_both_ways(torch_like: Any) -> None:
    x = torch_like.zeros(2)
    x.numpy()[0] = 1.0
    array = np.zeros(2)
    torch_like.from_numpy(array)[1] = 2.0
    assert_equal(x, [1.0, 0.0])
    assert array.tolist() == [0.0, 2.0]


@pytest.mark.catalogue("SC12", priority=3)
def test_anomaly_mode_names_the_function_that_made_a_nan_and_shows_its_call(torch_like: Any) -> None:
    x = torch_like.tensor([0.0, 1.0], requires_grad=True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with torch_like.autograd.detect_anomaly():
            y = (x.sqrt() * 0).sum()  # the line that is shown
            with pytest.raises(RuntimeError, match=r"Function 'SqrtBackward0' returned nan values in its 0th output\."):
                y.backward()
    shown = [str(w.message) for w in caught if str(w.message).startswith("Error detected in SqrtBackward0.")]
    assert len(shown) == 1
    assert "the line that is shown" in shown[0]
    assert not torch_like.is_anomaly_enabled()
    (x.sqrt() * 0).sum().backward()
    assert_equal(x.grad, [float("nan"), 0.0], nan_matches_nan=True)


@pytest.mark.filterwarnings("ignore:Anomaly Detection has been enabled")
@pytest.mark.catalogue("SC12", priority=3)
def test_anomaly_mode_tells_what_induced_a_gradient(torch_like: Any) -> None:
    x = torch_like.tensor([0.0, 1.0], requires_grad=True)
    with torch_like.autograd.detect_anomaly(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        (first,) = torch_like.autograd.grad((x**1.5).sum(), x, create_graph=True)
        with pytest.raises(RuntimeError, match="returned nan values"):
            torch_like.autograd.grad((first * 0).sum(), x)
    assert any("Previous calculation was induced by PowBackward0" in str(w.message) for w in caught)


@pytest.mark.filterwarnings("ignore:Anomaly Detection has been enabled", "ignore:Error detected in")
@pytest.mark.catalogue("SC12", priority=3)
def test_anomaly_mode_can_let_nans_pass_and_be_set_at_once(torch_like: Any) -> None:
    x = torch_like.tensor([0.0], requires_grad=True)
    with torch_like.autograd.detect_anomaly(check_nan=False):
        (x.sqrt() * 0).sum().backward()
    assert_equal(x.grad, [float("nan")], nan_matches_nan=True)
    y = (x.sqrt() * 0).sum()
    torch_like.autograd.set_detect_anomaly(True)
    try:
        assert torch_like.is_anomaly_enabled()
        with pytest.raises(RuntimeError, match="returned nan values"):
            y.backward()
    finally:
        torch_like.autograd.set_detect_anomaly(False)
    assert not torch_like.is_anomaly_enabled()


def counting(torch_like: Any, seen: list[str]) -> Any:
    def pack(x: Any) -> Any:
        seen.append("pack")
        return values(x)

    def unpack(array: Any) -> Any:
        seen.append("unpack")
        return torch_like.tensor(array)

    return torch_like.autograd.graph.saved_tensors_hooks(pack, unpack)


@pytest.mark.parametrize(
    ("function", "count", "gradient"),
    [
        (lambda x: x * x, 2, [2.0, 4.0]),
        (lambda x: x + 1, 0, [1.0, 1.0]),
        (lambda x: x * 3, 0, [3.0, 3.0]),
        (lambda x: x**2, 1, [2.0, 4.0]),
        (lambda x: (x * x) * x, 4, [3.0, 12.0]),
    ],
)
@pytest.mark.catalogue("SC13", priority=3)
def test_hooks_of_saved_tensors_see_each_save(
    torch_like: Any, function: Any, count: int, gradient: list[float]
) -> None:
    seen: list[str] = []
    x = torch_like.tensor([1.0, 2.0], requires_grad=True)
    with counting(torch_like, seen):
        y = function(x)
    y.sum().backward()
    assert seen == ["pack"] * count + ["unpack"] * count
    assert_equal(x.grad, gradient)


@pytest.mark.catalogue("SC13", priority=3)
def test_hooks_of_saved_tensors_apply_to_custom_functions_and_second_derivatives(torch_like: Any) -> None:
    class Square(torch_like.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * 2 * ctx.saved_tensors[0]

    seen: list[str] = []
    x = torch_like.tensor([1.0, 2.0], requires_grad=True)
    with counting(torch_like, seen):
        y = (Square.apply(x * x) * x).sum()
    (first,) = torch_like.autograd.grad(y, x, create_graph=True)
    (second,) = torch_like.autograd.grad(first.sum(), x)
    assert_equal(first, [5.0, 80.0])
    assert_equal(second, [20.0, 160.0])
    assert seen.count("pack") == 5


@pytest.mark.catalogue("SC13", priority=3)
def test_wrong_hooks_of_saved_tensors_are_told(torch_like: Any) -> None:
    x = torch_like.tensor([1.0, 2.0], requires_grad=True)
    graph = torch_like.autograd.graph
    writing = graph.saved_tensors_hooks(lambda t: t.add_(1), lambda t: t)
    with writing, pytest.raises(RuntimeError, match="pack hook is modifying its input in place"):
        x * x
    with graph.saved_tensors_hooks(lambda t: t, lambda t: 3):
        y = x * x
    with pytest.raises(TypeError, match="unpack_hook expected to be a Tensor but got result of type"):
        y.sum().backward()
    with graph.disable_saved_tensors_hooks("not here"), pytest.raises(RuntimeError, match="not here"):
        counting(torch_like, []).__enter__()


@pytest.mark.catalogue("SC14", priority=3)
def test_a_training_loop_converges_to_least_squares(torch_like: Any) -> None:
    rng = np.random.default_rng(0)
    inputs = np.array([[1.0, k / 16] for k in range(-16, 17)])
    targets = inputs @ np.array([0.5, -2.0]) + rng.integers(-1, 2, size=33) / 64
    x, y = torch_like.tensor(inputs), torch_like.tensor(targets)
    w = torch_like.zeros(2, dtype=torch_like.float64, requires_grad=True)
    for _ in range(600):
        ((x @ w - y) ** 2).mean().backward()
        with torch_like.no_grad():
            w -= 0.5 * w.grad
        w.grad.zero_()
    solution = np.linalg.solve(inputs.T @ inputs, inputs.T @ targets)
    assert same_to_rounding(values(w), solution, 2.0)


@pytest.mark.catalogue("CT04", priority=2)
def test_the_function_of_the_lesson_never_grows_at_zero(torch_like: Any) -> None:
    zero = torch_like.zeros(())
    assert not bool((zero * 2).norm() > 0)
    assert_equal(d2l_f(torch_like.tensor(2.0**-20)), 2.0**10)


@pytest.mark.parametrize("depth", [1, 5, 40])
@pytest.mark.catalogue("CT05", priority=2)
def test_loops_that_use_a_parameter_again_add_up(torch_like: Any, depth: int) -> None:
    x = torch_like.tensor(1.0, dtype=torch_like.float64, requires_grad=True)
    y = torch_like.tensor(0.0, dtype=torch_like.float64)
    for k in range(depth):
        if k % 3 == 2:
            continue
        y = y * x + x
    y.backward()
    expected, factor = 0.0, 0.0
    for k in range(depth):
        if k % 3 != 2:
            expected, factor = expected + factor + 1, factor + 1
    assert_equal(x.grad, expected)


@pytest.mark.catalogue("SC04", priority=2)
def test_a_node_shows_what_it_saved_until_it_is_freed(torch_like: Any) -> None:
    x = torch_like.tensor([1.0, 2.0], requires_grad=True)
    y = x * x
    assert y.grad_fn._saved_self is x
    assert y.grad_fn._saved_other is x
    root = (x + 3).sqrt()
    assert_equal(root.grad_fn._saved_result, values(root))
    assert root.grad_fn._saved_result.grad_fn is root.grad_fn
    with pytest.raises(AttributeError, match="_saved_self"):
        (x + x).grad_fn._saved_self  # noqa: B018 - it is the reading that fails
    y.sum().backward()
    with pytest.raises(RuntimeError, match="directly access saved tensors after they have already been freed"):
        y.grad_fn._saved_self  # noqa: B018


@pytest.mark.catalogue("SC04", priority=2)
def test_a_gradient_edge_stands_for_a_tensor_that_is_gone(torch_like: Any) -> None:
    x = torch_like.tensor([1.0, 2.0], requires_grad=True)
    hidden = x * 2
    edge = torch_like.autograd.graph.get_gradient_edge(hidden)
    assert edge.node is hidden.grad_fn
    y = (hidden * 3).sum()
    del hidden
    found = torch_like.autograd.grad(y, [edge, torch_like.autograd.graph.get_gradient_edge(x)])
    assert [values(g).tolist() for g in found] == [[3.0, 3.0], [6.0, 6.0]]


@pytest.mark.catalogue("SC11", priority=2)
def test_a_copy_of_repeated_memory_is_laid_out_plainly(torch_like: Any) -> None:
    x = torch_like.arange(2.0, requires_grad=True)
    wide = x.expand(3, 2)
    assert wide.clone().stride() == wide.contiguous().stride() == (2, 1)
    assert torch_like.ones(2, 3).T.clone().stride() == (1, 3)
    assert torch_like.ones(2, 3).T.contiguous().stride() == (2, 1)
    (wide.contiguous() * 2).sum().backward()
    assert_equal(x.grad, [6.0, 6.0])


@pytest.mark.catalogue("SC11", priority=2)
def test_new_tensors_take_the_dtype_of_another(torch_like: Any) -> None:
    x = torch_like.ones(2, dtype=torch_like.float64, requires_grad=True)
    made = [x.new_zeros(2), x.new_ones((2,)), x.new_full((2,), 3), x.new_tensor([1, 2])]
    assert [values(t).tolist() for t in made] == [[0.0, 0.0], [1.0, 1.0], [3.0, 3.0], [1.0, 2.0]]
    assert {(t.dtype, t.requires_grad) for t in made} == {(torch_like.float64, False)}
    assert x.new_zeros(2, dtype=torch_like.int64).dtype == torch_like.int64
