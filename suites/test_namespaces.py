"""PyTorch's namespaces are where PyTorch has them, and a name in one of them is the function that PyTorch means."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest
import torch

import reference_impl
from harness.judgement import same_to_rounding

NAMESPACES = ("nn.functional", "special", "linalg")


def named(module: Any, path: str) -> Any:
    for part in path.split("."):
        module = getattr(module, part)
    return module


@pytest.mark.parametrize("path", NAMESPACES)
def test_a_namespace_is_an_attribute_and_a_module(path: str) -> None:
    assert importlib.import_module(f"reference_impl.{path}") is named(reference_impl, path)


@pytest.mark.parametrize("path", NAMESPACES)
def test_every_name_of_a_namespace_is_one_of_pytorch(path: str) -> None:
    ours = named(reference_impl, path)
    assert ours.__all__
    assert [name for name in ours.__all__ if not hasattr(named(torch, path), name)] == []


@pytest.mark.parametrize("name", ["softmax", "softmin", "log_softmax"])
def test_a_softmax_of_layers_takes_a_dtype(name: str) -> None:
    numbers = np.array([[1, 2, 3], [0, 5, 0]])
    ours = named(reference_impl, "nn.functional")
    y = getattr(ours, name)(reference_impl.tensor(numbers), dim=1, dtype=reference_impl.float64)
    expected = getattr(torch.nn.functional, name)(torch.tensor(numbers), dim=1, dtype=torch.float64)
    assert y.dtype == reference_impl.float64
    assert same_to_rounding(y.numpy(), expected.numpy(), 1.0)


def test_relu_of_layers_writes_in_place_on_request() -> None:
    x = reference_impl.tensor([-1.0, 2.0], requires_grad=True)
    y = x * 2
    z = reference_impl.nn.functional.relu(y, inplace=True)
    assert z is y
    assert y.tolist() == [0.0, 4.0]
    z.sum().backward()
    assert x.grad.tolist() == [0.0, 2.0]
