"""NumPy's scalars among tensors: numbers as Python's are, which choose no element type."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from .support import assert_equal

NUMBERS = [np.float64(2), np.float32(2), np.int64(2), np.int32(2)]


@pytest.mark.parametrize("two", NUMBERS, ids=lambda n: type(n).__name__)
def test_operators_and_functions_keep_the_tensors_type(torch_like: Any, two: Any) -> None:
    x = torch_like.tensor([1.0, 3.0], requires_grad=True)
    results = [x + two, two + x, x - two, two - x, x * two, x / two, two / x, x**two]
    results += [x.mul(two), x.pow(two), x.clamp(two), x.clamp_min(two), torch_like.add(x, x, alpha=two)]
    results += [torch_like.where(x > two, two, x), x.masked_fill(x > two, two), torch_like.lerp(x, x, two)]
    for name in ("elu", "leaky_relu", "softplus", "hardshrink"):
        results.append(getattr(torch_like.nn.functional, name)(x, two))
    assert {y.dtype for y in results} == {torch_like.float32}
    gradients = [torch_like.autograd.grad(y.sum(), x)[0] for y in results]
    assert {g.dtype for g in gradients} == {torch_like.float32}
    assert_equal(gradients[4], [2.0, 2.0])


def test_integers_and_floats_of_numpy_promote_as_pythons(torch_like: Any) -> None:
    x = torch_like.arange(3)
    assert (x + np.int32(1)).dtype == torch_like.int64
    assert (x * np.float64(1.5)).dtype == torch_like.float32
    assert_equal(x * np.float64(1.5), [0.0, 1.5, 3.0])


def test_writes_in_place(torch_like: Any) -> None:
    x = torch_like.zeros(2)
    x.fill_(np.float64(2)).add_(np.float64(1)).mul_(np.int64(2))
    x += np.float64(1)
    x /= np.float32(7)
    assert_equal(x, [1.0, 1.0])


def test_sizes_and_values_of_what_is_made(torch_like: Any) -> None:
    n = np.int64(2)
    assert torch_like.zeros(n).shape == torch_like.ones(3).view(n + 1, 1)[:2, 0].shape == (2,)
    assert torch_like.arange(n).dtype == torch_like.int64
    assert torch_like.full((2,), np.float64(2)).dtype == torch_like.float32
    assert torch_like.full((2,), n).dtype == torch_like.int64
    assert torch_like.tensor([np.float64(1), np.float64(2)]).dtype == torch_like.float64
    assert torch_like.tensor([np.float32(1), 2.0]).dtype == torch_like.float32
