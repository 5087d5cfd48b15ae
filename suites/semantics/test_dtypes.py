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
