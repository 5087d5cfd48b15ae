"""Arguments by keyword: PyTorch's names, and NumPy's where PyTorch takes them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import reference_impl

from .support import assert_equal, values

BY_NAME: dict[str, Callable[[Any, Any], Any]] = {
    "exp": lambda t, x: t.exp(input=x),
    "mul": lambda t, x: t.mul(input=x, other=x),
    "mul by a number": lambda t, x: t.mul(x, other=2),
    "add": lambda t, x: t.add(input=x, other=x, alpha=2),
    "sub": lambda t, x: x.sub(other=x),
    "div": lambda t, x: t.div(input=x, other=x),
    "pow": lambda t, x: t.pow(input=x, exponent=2),
    "maximum": lambda t, x: t.maximum(input=x, other=x),
    "where": lambda t, x: t.where(condition=x > 1, input=x, other=x * 2),
    "matmul": lambda t, x: t.matmul(input=x, other=x.T),
    "dot": lambda t, x: t.dot(input=x[0], tensor=x[1]),
    "outer": lambda t, x: t.outer(input=x[0], vec2=x[1]),
    "tril": lambda t, x: t.tril(input=x, diagonal=-1),
    "split": lambda t, x: t.split(tensor=x, split_size_or_sections=1)[1],
    "zeros_like": lambda t, x: t.zeros_like(input=x),
    "full_like": lambda t, x: t.full_like(input=x, fill_value=3.0),
    "sum": lambda t, x: t.sum(input=x, dim=1, keepdim=True),
    "axis": lambda t, x: x.sum(axis=1),
    "keepdims": lambda t, x: t.mean(x, 1, keepdims=True),
    "axis of max": lambda t, x: t.max(x, axis=0, keepdims=True).values,
    "axis of softmax": lambda t, x: t.cumsum(x, axis=1),
    "axis of norm": lambda t, x: t.linalg.vector_norm(x[:, :1], axis=1, keepdims=True),
    "axis of cat": lambda t, x: t.cat([x, x], axis=1),
    "size of broadcast_to": lambda t, x: t.broadcast_to(x[0], size=(2, 3)),
    "size of expand": lambda t, x: x[0].expand(size=(2, 3)),
    "size of view": lambda t, x: x.view(size=(3, 2)),
    "other of max": lambda t, x: t.max(x, other=x.flip(1)),
    "split_size of split": lambda t, x: x.split(split_size=1)[1],
    "axis0 of swapaxes": lambda t, x: t.swapaxes(x, axis0=0, axis1=1),
    "sections of tensor_split": lambda t, x: t.tensor_split(x, sections=2)[0],
    "indices of hsplit": lambda t, x: t.hsplit(x, indices=(1,))[1],
    "input of det": lambda t, x: t.det(input=x[:1, :1]),
    "input of inverse": lambda t, x: t.inverse(input=t.diag(x[0])),
    "input of matrix_power": lambda t, x: t.matrix_power(input=x[:, :2], n=2),
    "element of isin": lambda t, x: t.isin(elements=x, test_element=2.0),
    "sorter": lambda t, x: t.searchsorted(x[0].flip(0), x[1], sorter=t.tensor([2, 1, 0])),
    "input of zero_": lambda t, x: t.zero_(input=x * 1),
    "input of fill_": lambda t, x: t.fill_(input=x * 1, value=4.0),
    "axis of unsqueeze": lambda t, x: x.unsqueeze(axis=1) if t is reference_impl else x.unsqueeze(dim=1),
}


@pytest.mark.parametrize("call", BY_NAME.values(), ids=BY_NAME.keys())
def test_arguments_by_name(torch_like: Any, call: Callable[[Any, Any], Any]) -> None:
    x = np.array([[1.0, 2.0, 4.0], [8.0, 16.0, 32.0]])
    torch = pytest.importorskip("torch", reason="the results are compared with PyTorch's")
    assert_equal(call(torch_like, torch_like.tensor(x)), values(call(torch, torch.tensor(x))))


WRONG: dict[str, Callable[[Any, Any], Any]] = {
    "twice": lambda t, x: x.sum(dim=1, axis=1),
    "unknown": lambda t, x: t.exp(inputs=x),
    "unknown second": lambda t, x: t.matmul(x, others=x),
    "missing": lambda t, x: t.matmul(input=x),
    "unknown in a reduction": lambda t, x: x.sum(dims=1),
    "given by place and by name": lambda t, x: t.matmul(x, x, other=x),
}


@pytest.mark.parametrize("call", WRONG.values(), ids=WRONG.keys())
def test_wrong_names_are_refused(torch_like: Any, call: Callable[[Any, Any], Any]) -> None:
    with pytest.raises(TypeError):
        call(torch_like, torch_like.ones(2, 2))


def test_names_are_pytorchs() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch says what its arguments are called")
    unknown = {}
    for function, declared in torch.overrides.get_testing_overrides().items():
        name = getattr(function, "__name__", "")
        ours = getattr(reference_impl, name, None) if getattr(torch, name, None) is function else None
        if not inspect.isfunction(ours):
            continue
        first = next(iter(inspect.signature(declared).parameters.values()), None)
        taken = inspect.signature(ours).parameters
        if first is not None and first.name == "input" and "input" not in taken and "args" not in taken:
            unknown[name] = list(taken)
    # What takes a matrix is called A, L or B, in PyTorch's documentation, too.
    assert all(next(iter(taken)) in ("A", "B", "L", "b") for taken in unknown.values()), unknown
