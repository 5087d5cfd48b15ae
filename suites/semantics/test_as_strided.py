"""Memory under any shape and steps, or as another element type; and the layout of what is made like a tensor."""

from __future__ import annotations

from typing import Any

import pytest

from .support import assert_equal, share_memory


@pytest.mark.parametrize(
    ("size", "stride", "offset"),
    [((3, 2), (4, 1), None), ((2, 2), (1, 1), 5), ((3,), (0,), 2), ((), (), 4), ((2, 2, 2), (1, 3, 0), 1)],
    ids=str,
)
def test_elements_steps_and_gradient(torch_like: Any, size: Any, stride: Any, offset: Any) -> None:
    base = torch_like.arange(12.0)
    x = base.clone().requires_grad_()
    y = x.as_strided(size, stride, offset)
    assert (y.shape, y.stride(), y.storage_offset()) == (size, stride, offset or 0)
    assert share_memory(x, y)
    assert y.grad_fn.name() == "AsStridedBackward0"
    places = base.long().as_strided(size, stride, offset)
    weights = torch_like.arange(float(y.numel())).view(size) + 1
    (y * weights).sum().backward()
    assert_equal(x.grad, torch_like.zeros(12).index_add(0, places.reshape(-1), weights.reshape(-1)).numpy())


def test_offset_counts_from_the_start_of_the_memory(torch_like: Any) -> None:
    x = torch_like.arange(12.0)
    part = x[3:]
    assert_equal(part.as_strided((2,), (2,)), [3.0, 5.0])
    assert_equal(part.as_strided((2,), (2,), 0), [0.0, 2.0])
    assert_equal(x.view(3, 4).t().as_strided((2, 2), (4, 1), 1), [[1.0, 2.0], [5.0, 6.0]])
    assert_equal(x.view(3, 4)[:, ::2].as_strided((3,), (1,), 1), [1.0, 2.0, 3.0])
    assert x.as_strided((2, 0), (3, 1)).shape == (2, 0)
    assert_equal(x.view(3, 4).t().clone().as_strided((4,), (1,)), [0.0, 1.0, 2.0, 3.0])


def test_write_is_part_of_the_bases_history(torch_like: Any) -> None:
    x = torch_like.ones(2, 3, requires_grad=True)
    y = x * 1
    y.as_strided((2,), (3,), 1).mul_(5)
    y.sum().backward()
    assert_equal(x.grad, [[1.0, 5.0, 1.0], [1.0, 5.0, 1.0]])
    z = torch_like.arange(6.0)
    assert z.as_strided_((2, 2), (3, 1)) is z
    assert_equal(z, [[0.0, 1.0], [3.0, 4.0]])


@pytest.mark.parametrize(
    ("size", "stride", "offset", "message"),
    [
        ((3, 5), (5, 1), 0, "requiring a storage size of 60 are out of bounds for storage of size 48"),
        ((3,), (-1,), 0, "as_strided: Negative strides are not supported at the moment"),
        ((3,), (1, 1), 0, "mismatch in length of strides and shape"),
        ((3,), (1,), -1, "invalid storage offset -1"),
    ],
)
def test_what_leaves_the_memory_is_refused(torch_like: Any, size: Any, stride: Any, offset: int, message: str) -> None:
    with pytest.raises(RuntimeError, match=message):
        torch_like.arange(12.0).as_strided(size, stride, offset)


def test_bytes_as_another_type(torch_like: Any) -> None:
    x = torch_like.tensor([[1.0, 0.0], [0.0, 2.0]])
    y = x.view(torch_like.int32)
    assert_equal(y, [[1065353216, 0], [0, 1073741824]])
    y[0] = 0
    assert_equal(x, [[0.0, 0.0], [0.0, 2.0]])
    assert x._version == y._version == 1
    assert x.view(torch_like.uint8).shape == (2, 8)
    assert x.view(torch_like.float64).shape == (2, 1)
    with pytest.raises(RuntimeError, match=r"self.size\(-1\) must be divisible by 2 to view Float as Double"):
        torch_like.zeros(3).view(torch_like.float64)
    with pytest.raises(RuntimeError, match=r"self.dim\(\) cannot be 0 to view Float as Double"):
        torch_like.tensor(1.0).view(torch_like.float64)
    with pytest.raises(RuntimeError, match=r"self.stride\(-1\) must be 1 to view Float as Double"):
        x.t().view(torch_like.float64)


def test_tensors_made_like_another_have_its_order(torch_like: Any) -> None:
    x = torch_like.arange(6.0).view(2, 3)
    for like in (torch_like.zeros_like, torch_like.ones_like, torch_like.empty_like):
        assert like(x.t()).stride() == (1, 3)
        assert like(x.expand(4, 2, 3)).stride() == (6, 3, 1)
        assert like(x[:, ::2]).stride() == (2, 1)


def test_same_view_of_the_same_memory(torch_like: Any) -> None:
    x = torch_like.zeros(2, 3)
    assert x.is_set_to(x.view(2, 3))
    assert not x.is_set_to(x.t())
    assert not x.is_set_to(x.clone())


def test_names_of_nodes_of_views(torch_like: Any) -> None:
    x = torch_like.ones(2, 3, requires_grad=True)
    for y in (x.view(3, 2), x.flatten(), x.view_as(x), x.unflatten(1, (3, 1))):
        assert y.grad_fn.name() == "ViewBackward0"
    assert x.t().grad_fn.name() == "TBackward0"
    y = x.clone()
    y[0] = 2
    assert y.grad_fn.name() == "torch::autograd::CopySlices"
    assert type(y.grad_fn).__name__ == "CopySlices"
    assert repr(y).endswith("grad_fn=<CopySlices>)")


def test_shapes_that_do_not_fit_are_named(torch_like: Any) -> None:
    x = torch_like.zeros(2, 3)
    with pytest.raises(IndexError, match="Dimension out of range"):
        x.stride(2)
    with pytest.raises(
        RuntimeError, match=r"The size of tensor a \(3\) must match the size of tensor b \(4\) at non-singleton"
    ):
        torch_like.broadcast_tensors(x, torch_like.zeros(4))
    with pytest.raises(RuntimeError, match="Attempting to broadcast a dimension"):
        torch_like.broadcast_shapes((3,), (4,))
    with pytest.raises(RuntimeError, match="unflatten: sizes must be non-empty"):
        x.unflatten(1, ())
    with pytest.raises(RuntimeError, match="Trying to create tensor with negative dimension"):
        x.repeat(-1, 1)
    with pytest.raises(TypeError, match=r"argument 'tensors' \(position 1\) must be tuple of Tensors, not Tensor"):
        torch_like.stack(x)
    with pytest.raises(TypeError, match="unsupported format string"):
        format(x, ".2f")
