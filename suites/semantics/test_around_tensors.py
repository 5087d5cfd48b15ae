"""What people do with tensors beside computing: attributes of their own, NumPy's arrays, old constructors, descent."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

# Of PyTorch, whose tensors take what NumPy made in an old way.
pytestmark = pytest.mark.filterwarnings("ignore:__array_wrap__ must accept context:DeprecationWarning")


def test_tensors_take_attributes(torch_like: Any) -> None:
    x = torch_like.ones(2, requires_grad=True)
    y = x * 2
    x.tag, y.history = "weights", [1]
    assert (x.tag, y.history) == ("weights", [1])
    with pytest.raises(AttributeError):
        print(x.history)
    y.sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]


@pytest.mark.parametrize("name", ["__add__", "__sub__", "__mul__", "__truediv__", "__pow__"])
def test_arithmetic_with_an_array_is_numpys(torch_like: Any, name: str) -> None:
    x, array = torch_like.tensor([1.0, 4.0]), np.array([2.0, 3.0])
    expected = getattr(x.numpy(), name)(array)
    y = {"__add__": x + array, "__sub__": x - array, "__mul__": x * array, "__truediv__": x / array}.get(name, x**array)
    assert isinstance(y, torch_like.Tensor)
    assert y.dtype == torch_like.float64
    assert y.tolist() == pytest.approx(expected.tolist())
    with pytest.raises(RuntimeError, match=r"Can't call numpy\(\) on Tensor that requires grad"):
        x.requires_grad_() + array


def test_functions_of_numpy_give_tensors(torch_like: Any) -> None:
    x = torch_like.tensor([0.0, 1.0])
    for y in (np.sin(x), np.add(x, x), np.maximum(x, 0.5)):
        assert isinstance(y, torch_like.Tensor)
        assert y.dtype == torch_like.float32
    assert np.add(x, x).tolist() == [0.0, 2.0]
    assert np.isnan(x).dtype == torch_like.uint8
    assert (np.float32(2) * x.requires_grad_()).requires_grad
    with pytest.raises(RuntimeError, match="requires grad"):
        np.sin(x)


def test_comparisons_and_writes_with_arrays(torch_like: Any) -> None:
    x, array = torch_like.tensor([1.0, 2.0]), np.array([1.0, 3.0])
    assert (x == array).tolist() == [True, False]
    y = torch_like.tensor([1.0, 2.0])
    y -= array  # which makes another tensor
    assert y.dtype == torch_like.float64
    assert y.tolist() == [0.0, -1.0]
    with pytest.raises(TypeError, match=r"argument 'other' \(position 2\) must be Tensor, not numpy.ndarray"):
        torch_like.add(x, array)


def test_old_constructors(torch_like: Any) -> None:
    for name, dtype in (
        ("Float", "float32"),
        ("Double", "float64"),
        ("Long", "int64"),
        ("Byte", "uint8"),
        ("Bool", "bool"),
    ):
        constructor = getattr(torch_like, f"{name}Tensor")
        x = constructor([1, 0])
        assert x.dtype == getattr(torch_like, dtype)
        assert x.tolist() == [1, 0]
        assert isinstance(x, constructor)
        assert not isinstance(x, torch_like.ShortTensor)
        assert tuple(constructor(2, 3).shape) == tuple(constructor(torch_like.Size((2, 3))).shape) == (2, 3)
    assert tuple(torch_like.Tensor(2, 3).shape) == (2, 3)
    assert tuple(torch_like.Tensor(4).shape) == (4,)
    assert tuple(torch_like.Tensor().shape) == (0,)
    assert torch_like.Tensor([1, 2]).tolist() == [1.0, 2.0]
    old = torch_like.ones(2, dtype=torch_like.float64)
    assert old.new(3).dtype == torch_like.float64
    assert old.new([1, 2]).tolist() == [1.0, 2.0]


def test_offsets_of_views(torch_like: Any) -> None:
    x = torch_like.zeros(3, 4)
    assert [v.storage_offset() for v in (x, x[1], x[1:, 2:], x.t()[3], x[1][2])] == [0, 4, 6, 3, 6]


def test_what_may_be_written_into_what(torch_like: Any) -> None:
    pairs = [
        ("float32", "float64"),
        ("float64", "float32"),
        ("float32", "int64"),
        ("int64", "float32"),
        ("int64", "bool"),
    ]
    pairs += [("bool", "uint8"), ("int64", "uint8")]
    found = [torch_like.can_cast(getattr(torch_like, a), getattr(torch_like, b)) for a, b in pairs]
    assert found == [True, True, False, True, False, True, True]


def test_a_long_vector_is_printed_with_its_ends(torch_like: Any) -> None:
    assert repr(torch_like.arange(2000)) == "tensor([   0,    1,    2,  ..., 1997, 1998, 1999])"


OPTIONS: list[dict[str, Any]] = [
    {},
    {"momentum": 0.9},
    {"momentum": 0.9, "dampening": 0.3},
    {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
    {"weight_decay": 0.1, "maximize": True},
]


@pytest.mark.parametrize("options", OPTIONS)
def test_descent_goes_pytorchs_way(torch_like: Any, options: dict[str, Any]) -> None:
    import torch

    def walk(m: Any) -> Any:
        w = m.tensor([1.0, 2.0], dtype=m.float64, requires_grad=True)
        v = m.tensor([3.0], dtype=m.float64, requires_grad=True)
        descent = m.optim.SGD([{"params": [w]}, {"params": v, "lr": 0.05}], lr=0.1, **options)
        for _ in range(4):
            descent.zero_grad()
            ((w * w).sum() * v.sum()).backward()
            descent.step()
        again = m.optim.SGD([{"params": [w]}, {"params": v}], lr=0.1)
        again.load_state_dict(descent.state_dict())
        (w.sum() + v.sum()).backward()
        again.step()
        return w.tolist() + v.tolist() + [len(again.param_groups), again.param_groups[1]["lr"], len(again.state_dict())]

    assert walk(torch_like) == pytest.approx(walk(torch), rel=1e-12)


def test_what_descent_refuses(torch_like: Any) -> None:
    x = torch_like.ones(2, requires_grad=True)
    for options, phrase in (
        ({"lr": -1.0}, "Invalid learning rate: -1.0"),
        ({"momentum": -1.0}, "Invalid momentum value"),
        ({"weight_decay": -1.0}, "Invalid weight_decay value"),
        ({"nesterov": True}, "Nesterov momentum requires a momentum and zero dampening"),
    ):
        with pytest.raises(ValueError, match=phrase):
            torch_like.optim.SGD([x], **{"lr": 0.1, **options})
    with pytest.raises(ValueError, match="optimizer got an empty parameter list"):
        torch_like.optim.SGD([], lr=0.1)
    with pytest.raises(ValueError, match="can't optimize a non-leaf Tensor"):
        torch_like.optim.SGD([x * 2], lr=0.1)
    with pytest.raises(TypeError, match="can only optimize Tensors, but one of the params is float"):
        torch_like.optim.SGD([1.0], lr=0.1)
    descent = torch_like.optim.SGD([x], lr=0.1)

    def closure() -> Any:
        descent.zero_grad()
        loss = (x * x).sum()
        loss.backward()
        return loss

    assert descent.step(closure).item() == 2.0
    assert x.tolist() == pytest.approx([0.8, 0.8])


def test_asarray_shares_memory_and_history(torch_like: Any) -> None:
    array = np.ones(2)
    shared, copied = torch_like.asarray(array), torch_like.asarray(array, copy=True)
    array[0] = 5.0
    assert (shared.tolist(), copied.tolist()) == ([5.0, 1.0], [1.0, 1.0])
    assert torch_like.asarray([1, 2], dtype=torch_like.float32).dtype == torch_like.float32
    leaf = torch_like.ones(2, requires_grad=True)
    assert torch_like.asarray(leaf, requires_grad=True).requires_grad
    with pytest.warns(UserWarning, match="unspecified requires_grad now defaults to obj.requires_grad"):
        assert torch_like.asarray(leaf * 2).requires_grad
    assert torch_like.asarray([1.0], requires_grad=True).is_leaf
    with pytest.raises(ValueError, match="can't alias arbitrary sequence"):
        torch_like.asarray([1.0], copy=False)


def test_numbers_and_inclusive_ranges(torch_like: Any) -> None:
    assert torch_like.scalar_tensor(3).dtype == torch_like.float32
    with pytest.warns(UserWarning, match="torch.range is deprecated"):
        assert torch_like.range(1, 2, 0.5).tolist() == [1.0, 1.5, 2.0]


def test_counts_in_bins_and_positions_of_flat_ones(torch_like: Any) -> None:
    x = torch_like.tensor([1.0, 2.0, 1.0])
    assert torch_like.histc(x, bins=4, min=0, max=3).tolist() == [0.0, 2.0, 1.0, 0.0]
    assert x.histc(2).tolist() == [2.0, 1.0]
    with pytest.raises(RuntimeError, match="bins must be > 0"):
        x.histc(0)
    rows, columns = torch_like.unravel_index(torch_like.tensor([1, 5]), (2, 3))
    assert (rows.tolist(), columns.tolist()) == ([0, 1], [1, 2])
