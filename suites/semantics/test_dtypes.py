"""dtypes: defaults, and the dtype in which a gradient comes back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from .support import assert_equal


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        (1.5, "float32"),
        ([1.0, 2.0], "float32"),
        ([1, 2.0], "float32"),
        (1, "int64"),
        ([1, 2], "int64"),
        (True, "bool"),
        ([True, False], "bool"),
        ([True, 1], "int64"),
        ([], "float32"),
    ],
)
@pytest.mark.catalogue("TY01")
def test_python_data_takes_the_default_dtype_of_its_kind(torch_like: Any, data: Any, dtype: str) -> None:
    assert torch_like.tensor(data).dtype == getattr(torch_like, dtype)


@pytest.mark.catalogue("TY01")
def test_factories_take_the_default_dtypes(torch_like: Any) -> None:
    made = [torch_like.zeros(2), torch_like.ones(2), torch_like.randn(2), torch_like.arange(3.0), torch_like.arange(3)]
    assert [x.dtype for x in made] == [torch_like.float32] * 4 + [torch_like.int64]


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64", "bool"])
@pytest.mark.parametrize("shape", [(), (2,), (0, 3)])
@pytest.mark.catalogue("TY01")
def test_tensor_keeps_the_dtype_of_a_numpy_array(torch_like: Any, dtype: str, shape: tuple[int, ...]) -> None:
    x = torch_like.tensor(np.ones(shape, dtype=dtype))
    assert x.dtype == getattr(torch_like, dtype)
    assert_equal(x, np.ones(shape, dtype=dtype))


MIXED = {
    "add": lambda torch_like, a, b: a + b,
    "sub": lambda torch_like, a, b: a - b,
    "mul": lambda torch_like, a, b: a * b,
    "div": lambda torch_like, a, b: a / b,
    "where": lambda torch_like, a, b: torch_like.where(a > 0, a, b),
    "cat": lambda torch_like, a, b: torch_like.cat([a, b]),
    "cast": lambda torch_like, a, b: a.to(torch_like.float64) * b.to(torch_like.float32),
}


@pytest.mark.parametrize("function", MIXED.values(), ids=MIXED.keys())
@given(
    dtypes=st.tuples(*[st.sampled_from(["float32", "float64"])] * 2), size=st.integers(0, 3), depth=st.integers(1, 3)
)
@pytest.mark.catalogue("TY03")
def test_each_gradient_has_the_dtype_of_its_own_input(
    torch_like: Any, function: Any, dtypes: tuple[str, str], size: int, depth: int
) -> None:
    a, b = (torch_like.ones(size, dtype=getattr(torch_like, d), requires_grad=True) for d in dtypes)
    y = function(torch_like, a, b)
    for _ in range(depth - 1):
        y = y[:size] * a + b
    y.sum().backward()
    for leaf in (a, b):
        assert leaf.grad.dtype == leaf.dtype
        assert tuple(leaf.grad.shape) == (size,)


ALL = ["float16", "float32", "float64", "uint8", "int8", "int16", "int32", "int64", "bool"]
NUMBERS: list[Any] = [True, 1, 1.0]


def operands(torch_like: Any) -> list[Any]:
    """Return an operand of every dtype with and without dimensions, and a Python number of every kind."""
    made = [torch_like.ones(shape, dtype=getattr(torch_like, d)) for shape in ((2,), ()) for d in ALL]
    return [*made, *NUMBERS]


RESULTS = {
    "result_type": lambda t, a, b: t.result_type(a, b),
    "add": lambda t, a, b: t.add(a, b).dtype,
    "mul": lambda t, a, b: t.mul(a, b).dtype,
    "sub": lambda t, a, b: t.sub(a, b).dtype,
    "div": lambda t, a, b: t.div(a, b).dtype,
    "greater": lambda t, a, b: (a > b).dtype,
    "where": lambda t, a, b: t.where(t.tensor([True, False]), a, b).dtype,
}


def dtype_or_error(function: Any, torch_like: Any, a: Any, b: Any) -> str:
    try:
        return str(function(torch_like, a, b))
    except RuntimeError:
        return "refused"


@pytest.mark.parametrize("function", RESULTS.values(), ids=RESULTS.keys())
@pytest.mark.catalogue("TY02", priority=2)
def test_the_table_of_result_types_is_that_of_torch(reference: Any, function: Any) -> None:
    torch = pytest.importorskip("torch")
    tables = [
        {
            (i, j): dtype_or_error(function, torch_like, a, b)
            for i, a in enumerate(operands(torch_like))
            for j, b in enumerate(operands(torch_like))
            if not (i >= 2 * len(ALL) and j >= 2 * len(ALL))
        }
        for torch_like in (reference, torch)
    ]
    assert len(tables[0]) == 21 * 21 - 9
    assert tables[0] == tables[1]


UNARY = ("exp", "sin", "sqrt", "sigmoid", "log", "neg", "sum", "prod", "mean", "amax", "reciprocal", "argmax")


@pytest.mark.parametrize("name", UNARY)
@pytest.mark.catalogue("TY02", "TY06", priority=2)
def test_a_function_of_one_tensor_has_the_dtype_of_torch(reference: Any, name: str) -> None:
    torch = pytest.importorskip("torch")
    tables = [
        {
            d: dtype_or_error(lambda t, x, _: getattr(x, name)().dtype, t, t.ones(2, dtype=getattr(t, d)), None)
            for d in ALL
        }
        for t in (reference, torch)
    ]
    if name == "argmax":  # PyTorch refuses bools here
        tables = [{d: v for d, v in table.items() if d != "bool"} for table in tables]
    assert tables[0] == tables[1]


@given(x=st.lists(st.floats(-4, 4, width=16), min_size=2, max_size=5))
@pytest.mark.catalogue("TY06", priority=2)
def test_a_float16_op_rounds_once(torch_like: Any, x: list[float]) -> None:
    a = np.array(x, dtype=np.float16)
    leaf = torch_like.tensor(a, requires_grad=True)
    ((leaf + 0.1) * leaf).backward(torch_like.ones(len(x), dtype=torch_like.float16))
    wide = a.astype(np.float32)
    shifted = (wide + np.float32(np.float16(0.1))).astype(np.float16)
    assert leaf.grad.dtype == torch_like.float16
    assert_equal(leaf.grad, (shifted + a).astype(np.float16))


@pytest.mark.catalogue("TY06", priority=2)
def test_a_sum_of_float16_is_added_up_in_float32(torch_like: Any) -> None:
    x = torch_like.ones(4000, 1, dtype=torch_like.float16, requires_grad=True)
    w = torch_like.ones(1, 3, dtype=torch_like.float16, requires_grad=True)
    y = x * w
    assert_equal(y.sum(0), [4000.0] * 3)
    assert_equal(y.mean(), 1.0)
    y.backward(torch_like.ones(4000, 3, dtype=torch_like.float16))
    assert_equal(w.grad, [[4000.0] * 3])
    assert_equal(x.grad, np.full((4000, 1), 3.0))
    assert_equal((x.T @ x).sum(), 4000.0)


@pytest.mark.catalogue("TY06", priority=2)
def test_second_derivatives_in_float16(torch_like: Any) -> None:
    x = torch_like.tensor([1.0, 2.0, -3.0], dtype=torch_like.float16, requires_grad=True)
    (first,) = torch_like.autograd.grad((x * x * x).sum(), x, create_graph=True)
    (second,) = torch_like.autograd.grad(first.sum(), x)
    assert_equal(first, [3.0, 12.0, 27.0])
    assert_equal(second, [6.0, 12.0, -18.0])
    assert second.dtype == torch_like.float16


@pytest.mark.catalogue("TY06", priority=2)
def test_float16_graphs_are_freed_checked_and_views_stay_views(torch_like: Any) -> None:
    x = torch_like.ones(4, dtype=torch_like.float16, requires_grad=True)
    y = x * x
    y.sum().backward()
    with pytest.raises(RuntimeError, match="Trying to backward through the graph a second time"):
        y.sum().backward()
    hidden = x * 1
    part = hidden.reshape(2, 2)[0]
    z = hidden * hidden
    part.mul_(2)
    assert_equal(hidden, [2.0, 2.0, 1.0, 1.0])
    with pytest.raises(RuntimeError, match="has been modified by an inplace operation"):
        z.sum().backward()
    x.grad = None
    hidden.sum().backward()
    assert_equal(x.grad, [2.0, 2.0, 1.0, 1.0])


@pytest.mark.catalogue("TY06", priority=2)
def test_hooks_and_retained_gradients_of_float16_tensors(torch_like: Any) -> None:
    x, seen = torch_like.ones(2, dtype=torch_like.float16, requires_grad=True), []
    y = x * 3
    y.register_hook(lambda g: (seen.append(g.dtype), g * 2)[1])
    y.retain_grad()
    (y * 5).sum().backward()
    assert seen == [torch_like.float16]
    assert_equal(y.grad, [10.0, 10.0])
    assert_equal(x.grad, [30.0, 30.0])


@pytest.mark.catalogue("TY06", priority=2)
def test_half_is_float16_and_names_itself(torch_like: Any) -> None:
    x = torch_like.tensor([1.5], dtype=torch_like.half)
    assert x.dtype == torch_like.float16
    assert repr(x) == "tensor([1.5000], dtype=torch.float16)"
    assert x.float().dtype == torch_like.float32
    assert x.float().half().dtype == torch_like.float16


@pytest.mark.parametrize(
    ("name", "phrase"),
    [
        ("bfloat16", "bfloat16 is not supported by this tape: NumPy has no such element type"),
        ("complex64", "complex64 is not supported by this tape: it has no complex numbers"),
        ("vmap", "vmap is not supported by this tape"),
        ("nothing", "has no attribute 'nothing'"),
    ],
)
@pytest.mark.catalogue("TY06", priority=2)
def test_what_the_reference_does_not_have_says_so(reference: Any, name: str, phrase: str) -> None:
    with pytest.raises(AttributeError, match=phrase):
        getattr(reference, name)
