"""Priority 2 rows on dtypes, control flow, broadcasting, size and lifetime."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from typing import Any

import numpy as np
import pytest

from .support import assert_equal, share_memory


@pytest.mark.parametrize(
    ("function", "dtype"),
    [
        (lambda t: t.ones(2) * 2, "float32"),
        (lambda t: t.ones(2) * t.tensor(2.0, dtype=t.float64), "float32"),
        (lambda t: t.ones(2) * t.ones(2, dtype=t.float64), "float64"),
        (lambda t: t.ones(2) * t.tensor([1, 2]), "float32"),
        (lambda t: t.tensor([1, 2]) * 2, "int64"),
        (lambda t: t.tensor([1, 2]) * 2.0, "float32"),
        (lambda t: t.tensor([1, 2]) / t.tensor([2, 2]), "float32"),
        (lambda t: t.tensor([1, 2]).exp(), "float32"),
        (lambda t: t.tensor([True, False]) + t.tensor([1, 2]), "int64"),
        (lambda t: t.tensor([True, False]).sum(), "int64"),
    ],
)
@pytest.mark.catalogue("TY02", "TY06", priority=2)
def test_results_have_the_promoted_dtype(torch_like: Any, function: Any, dtype: str) -> None:
    assert function(torch_like).dtype == getattr(torch_like, dtype)


@pytest.mark.parametrize(
    ("function", "phrase"),
    [
        (lambda t: t.dot(t.ones(2), t.ones(2, dtype=t.float64)), "expected both vectors to have same dtype"),
        (lambda t: t.ones(2, 2) @ t.ones(2, 2, dtype=t.float64), "same dtype"),
        (lambda t: t.tensor([1, 2]).mean(), "could not infer output dtype|Input dtype must be either"),
        (lambda t: t.tensor([True]) - t.tensor([True]), "two bool tensors is not supported"),
        (lambda t: t.dot(t.ones(2, 2), t.ones(2, 2)), "1D tensors expected"),
        (lambda t: t.dot(t.ones(2), t.ones(3)), "inconsistent tensor size"),
    ],
)
@pytest.mark.catalogue("TY04", "TY05", priority=2)
def test_mixed_and_unfit_operands_are_refused(torch_like: Any, function: Any, phrase: str) -> None:
    with pytest.raises(RuntimeError, match=phrase):
        function(torch_like)


@pytest.mark.catalogue("TY06", priority=2)
def test_a_half_precision_leaf_gets_a_half_precision_grad(torch_like: Any) -> None:
    x = torch_like.ones(2, dtype=torch_like.float16, requires_grad=True)
    (x * torch_like.ones(2)).sum().backward()
    assert x.grad.dtype == torch_like.float16


@pytest.mark.catalogue("TY07", priority=2)
def test_an_integer_factor_is_a_constant(torch_like: Any) -> None:
    x = torch_like.tensor([1.0, 2.0], requires_grad=True)
    (x * torch_like.tensor([3, 4])).sum().backward()
    assert_equal(x.grad, [3.0, 4.0])


@pytest.mark.catalogue("CT05", priority=2)
def test_recursion_closures_and_early_return_are_recorded(torch_like: Any) -> None:
    x = torch_like.tensor(2.0, requires_grad=True)

    def power(n: int) -> Any:
        if n == 0:
            return torch_like.tensor(1.0)
        return power(n - 1) * x

    power(5).backward()
    assert_equal(x.grad, 80.0)


@pytest.mark.catalogue("CT06", priority=2)
def test_iteration_gives_tensors_on_the_graph(torch_like: Any) -> None:
    x = torch_like.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    assert len(x) == 2
    sum(row.sum() * (k + 1) for k, row in enumerate(x)).backward()
    assert_equal(x.grad, [[1.0, 1.0], [2.0, 2.0]])


@pytest.mark.catalogue("CT06", priority=2)
def test_a_zero_dimensional_tensor_has_no_length_and_no_items(torch_like: Any) -> None:
    x = torch_like.tensor(1.0)
    with pytest.raises(TypeError, match="len\\(\\) of a 0-d tensor"):
        len(x)
    with pytest.raises(TypeError, match="iteration over a 0-d tensor"):
        iter(x)
    with pytest.raises(IndexError, match="invalid index of a 0-dim tensor"):
        x[0]


@pytest.mark.catalogue("BC03", priority=2)
def test_broadcasting_against_nothing_gives_zeros_of_the_operand_shape(torch_like: Any) -> None:
    x = torch_like.ones(1, 3, requires_grad=True)
    (x * torch_like.ones(0, 3)).sum().backward()
    assert_equal(x.grad, [[0.0, 0.0, 0.0]])


@pytest.mark.catalogue("BC06", priority=2)
def test_reductions_of_nothing(torch_like: Any) -> None:
    x = torch_like.zeros(0, requires_grad=True)
    assert_equal(x.sum(), 0.0)
    assert_equal(x.prod(), 1.0)
    assert_equal(x.mean(), float("nan"), nan_matches_nan=True)
    assert_equal(x.norm(), 0.0)
    with pytest.raises(RuntimeError, match=r"Expected reduction dim to be specified for input.numel\(\) == 0"):
        x.max()


@pytest.mark.catalogue("BC07", priority=2)
def test_matmul_broadcasts_its_batch_dims(torch_like: Any) -> None:
    a = torch_like.ones(2, 3, 4, requires_grad=True)
    b = torch_like.ones(4, 5, requires_grad=True)
    (a @ b).sum().backward()
    assert_equal(a.grad, np.full((2, 3, 4), 5.0))
    assert_equal(b.grad, np.full((4, 5), 6.0))


@pytest.mark.catalogue("SC01", "SC02", priority=2)
def test_a_long_chain_runs_backward_and_is_freed_without_recursion(torch_like: Any) -> None:
    x = torch_like.tensor(1.0, requires_grad=True)
    started = time.perf_counter()
    y = x
    for _ in range(100_000):
        y = y + 1
    y.backward()
    assert_equal(x.grad, 1.0)
    del y
    assert time.perf_counter() - started < 60


@pytest.mark.catalogue("SC03", priority=2)
def test_wide_graphs_work(torch_like: Any) -> None:
    x = torch_like.tensor(1.0, dtype=torch_like.float64, requires_grad=True)
    sum(x * k for k in range(5000)).backward()
    assert_equal(x.grad, 5000 * 4999 / 2)


@pytest.mark.catalogue("SC05", priority=2)
def test_the_graph_dies_with_its_outputs_by_reference_counting(torch_like: Any) -> None:
    x = torch_like.ones(2, requires_grad=True)
    gc.disable()
    try:
        hidden = x * 2
        y = (hidden * hidden).sum()
        watched = weakref.ref(hidden)
        del hidden, y
        assert watched() is None
    finally:
        gc.enable()


@pytest.mark.catalogue("SC07", priority=2)
def test_backward_from_several_threads_loses_no_contribution(torch_like: Any) -> None:
    x = torch_like.ones(4, dtype=torch_like.float64, requires_grad=True)

    def work() -> None:
        for _ in range(20):
            (x * 2).sum().backward()

    threads = [threading.Thread(target=work) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert_equal(x.grad, [400.0] * 4)


@pytest.mark.catalogue("SC11", priority=2)
def test_numpy_and_from_numpy_share_memory_and_tensor_copies(torch_like: Any) -> None:
    array = np.ones(3)
    shared, copied = torch_like.from_numpy(array), torch_like.tensor(array)
    array[0] = 5.0
    assert_equal(shared, [5.0, 1.0, 1.0])
    assert_equal(copied, [1.0, 1.0, 1.0])
    assert share_memory(shared, shared)
    assert np.shares_memory(shared.numpy(), array)
