"""What stands between brackets: lists, masks, bytes and NumPy's numbers; and what may be written to such a place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from .support import assert_equal

# Of PyTorch, which does so all the same.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Using a non-tuple sequence:UserWarning"),
    pytest.mark.filterwarnings("ignore:indexing with dtype torch.uint8:UserWarning"),
]


def test_list_that_holds_lists_stands_for_its_items(torch_like: Any) -> None:
    x = torch_like.arange(24).view(2, 3, 4)
    assert_equal(x[[[0, 1], [2, 0]]], x[[0, 1], [2, 0]].numpy())
    assert_equal(x[[torch_like.tensor(1), torch_like.tensor(2)]], x[1, 2].numpy())
    assert_equal(x[[slice(0, 1), slice(0, 2)]], x[0:1, 0:2].numpy())
    assert x[[0, None]].shape == (1, 3, 4)
    assert x[[..., 0]].shape == (2, 3)
    assert x[[(0, 1), (1, 0)]].shape == (2, 4)
    assert x[np.array([[0, 1], [1, 0]])].shape == (2, 2, 3, 4)
    y = torch_like.zeros(2, 3)
    y[[[0, 1], [1, 2]]] = 1.0
    assert_equal(y, [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])


def test_bytes_are_a_mask(torch_like: Any) -> None:
    x = torch_like.arange(5)
    assert_equal(x[torch_like.tensor([1, 0, 2, 0, 1], dtype=torch_like.uint8)], [0, 2, 4])
    assert x[torch_like.tensor(1, dtype=torch_like.uint8)].shape == (1, 5)


@pytest.mark.parametrize("dtype", ["int8", "int16", "float32"])
def test_indices_of_other_types_are_refused(torch_like: Any, dtype: str) -> None:
    for numbers in ([0, 1], []):
        with pytest.raises(IndexError, match="tensors used as indices must be long, int, byte or bool tensors"):
            torch_like.zeros(3)[torch_like.tensor(numbers, dtype=getattr(torch_like, dtype))]
    assert torch_like.zeros(3)[[]].shape == (0,)


def test_what_is_no_index_is_refused(torch_like: Any) -> None:
    x = torch_like.zeros(3)
    with pytest.raises(IndexError, match=r"only integers, slices \(`:`\), ellipsis.*got float"):
        x[1.0]
    with pytest.raises(TypeError, match="invalid data type 'str'"):
        x["a"]
    with pytest.raises(ValueError, match="slice step cannot be zero"):
        x[::0]
    with pytest.raises(TypeError, match="Tensor does not support deleting items"):
        del x[0]
    with pytest.raises(RuntimeError, match=r"Tensor\.__contains__ only supports Tensor or scalar"):
        assert "a" in x


@pytest.mark.parametrize("index", [0, slice(0, 2), [0, 1]], ids=["number", "slice", "list"])
@pytest.mark.parametrize("value", ["a", [1.0], None, np.array([2.0])], ids=["str", "list", "None", "array"])
def test_only_numbers_and_tensors_are_written(torch_like: Any, index: Any, value: Any) -> None:
    with pytest.raises(TypeError, match=r"can't assign a .* to a torch.FloatTensor"):
        torch_like.zeros(3)[index] = value


def test_numbers_of_numpy_are_written(torch_like: Any) -> None:
    x = torch_like.zeros(3)
    x[0], x[1:], x[[2]] = np.float64(3), np.int64(2), np.float64(1)
    assert_equal(x, [3.0, 2.0, 1.0])


def test_booleans_take_any_number(torch_like: Any) -> None:
    x = torch_like.zeros(2, 3, dtype=torch_like.bool)
    x[0], x[1, 1], x[[1], [2]] = 2, 0.5, 3
    assert_equal(x, [[True, True, True], [False, True, True]])


def test_numbers_that_have_no_room_are_refused(torch_like: Any) -> None:
    for dtype, value in (("int64", 1e30), ("int64", float("nan")), ("uint8", 300), ("int8", -129)):
        x = torch_like.zeros(2, dtype=getattr(torch_like, dtype))
        for write in (lambda x=x, v=value: x.__setitem__(0, v), lambda x=x, v=value: x.fill_(v)):
            with pytest.raises(RuntimeError, match=r"value cannot be converted to type .* without overflow"):
                write()
    x = torch_like.zeros(2, dtype=torch_like.uint8)
    x[0] = -1
    assert_equal(x, [255, 0])


def test_element_types_must_be_the_same_at_positions(torch_like: Any) -> None:
    x = torch_like.zeros(2, 3)
    for index, shape in (([0, 1], (2, 3)), (x == 0, (6,))):
        with pytest.raises(
            RuntimeError, match="Index put requires the source and destination dtypes match, got Float for"
        ):
            x[index] = torch_like.ones(shape, dtype=torch_like.float64)
    x[:, torch_like.tensor([True, False, True])] = torch_like.tensor(1)  # one number is filled in
    x[0] = torch_like.tensor([2.0, 3.0, 4.0], dtype=torch_like.float64)  # a view is copied to
    assert_equal(x, [[2.0, 3.0, 4.0], [1.0, 0.0, 1.0]])


def test_values_broadcast_to_the_place(torch_like: Any) -> None:
    x = torch_like.zeros(2, 3)
    x[[0, 1], [0, 1]] = torch_like.tensor([[[1.0, 2.0]]])
    assert_equal(x, [[1.0, 0.0, 0.0], [0.0, 2.0, 0.0]])
    with pytest.raises(
        RuntimeError, match=r"shape mismatch: value tensor of shape \[5\] cannot be broadcast to indexing res"
    ):
        x[torch_like.ones(2, 3, dtype=torch_like.bool)] = torch_like.arange(5.0)
    with pytest.raises(RuntimeError, match=r"The expanded size of the tensor \(3\) must match the existing size \(4\)"):
        x[:] = torch_like.arange(4.0)
    with pytest.raises(RuntimeError, match=r"the number of sizes provided \(1\) must be greater or equal"):
        x[0] = torch_like.ones(2, 3)
    with pytest.raises(TypeError, match=r"argument 'indices' .* must be tuple of Tensors, not Tensor"):
        x.index_put_(torch_like.tensor([0]), torch_like.tensor([1.0]))
