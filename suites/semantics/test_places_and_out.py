"""Where tensors lie and results go: `device`, `out`; arguments of old, and plain numbers that are refused."""

from __future__ import annotations

from typing import Any

import pytest

from .support import assert_equal


@pytest.mark.catalogue("IP17", priority=3)
def test_out_refuses_what_requires_grad(torch_like: Any) -> None:
    x, y = torch_like.ones(2, requires_grad=True), torch_like.zeros(2)
    message = "don't support automatic differentiation, but one of the arguments requires grad"
    for given, out in ((x, y), (y, x)):
        with pytest.raises(RuntimeError, match=message):
            torch_like.exp(given, out=out)
    with torch_like.no_grad():
        assert torch_like.mul(x, 3, out=y) is y
    assert_equal(y, [3.0, 3.0])


@pytest.mark.catalogue("IP17", priority=3)
def test_out_is_written_resized_and_counted(torch_like: Any) -> None:
    x = torch_like.tensor([3.0, 1.0, 2.0])
    out = torch_like.empty(0)
    assert torch_like.add(x, 1, out=out) is out
    assert_equal(out, [4.0, 2.0, 3.0])
    values, places = torch_like.empty(3), torch_like.empty(3, dtype=torch_like.int64)
    torch_like.sort(x, out=(values, places))
    assert places.tolist() == [1, 2, 0]
    with pytest.warns(UserWarning, match="An output with one or more elements was resized"):
        torch_like.sum(x, 0, out=values)
    assert_equal(values, 6.0)
    with pytest.raises(RuntimeError, match="result type Float can't be cast to the desired output type Long"):
        torch_like.exp(x, out=places)
    w = torch_like.ones(3, requires_grad=True)
    saved = torch_like.ones(3)
    y = (w * saved).sum()
    torch_like.add(x, 1, out=saved)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


def test_tensors_lie_on_the_cpu(torch_like: Any) -> None:
    cpu = torch_like.device("cpu")
    x = torch_like.arange(3.0, device=cpu, requires_grad=True)
    assert x.device == cpu
    assert (x.device.type, str(x.device), repr(x.device)) == ("cpu", "cpu", "device(type='cpu')")
    assert x.to(x.device) is x
    assert x.to("cpu", torch_like.float64).dtype is torch_like.float64
    assert x.to(torch_like.zeros(1, dtype=torch_like.float64)).dtype is torch_like.float64
    assert x.to(device="cpu", dtype=torch_like.float64, non_blocking=True).dtype is torch_like.float64
    for made in (
        torch_like.zeros_like(x, device=x.device, memory_format=torch_like.preserve_format),
        torch_like.full((3,), 2.0, device=x.device, layout=torch_like.strided, pin_memory=False),
        torch_like.linspace(0, 1, 3, device="cpu"),
        torch_like.eye(3, device=x.device),
        torch_like.randn_like(x, device=x.device),
        torch_like.as_tensor([1.0], device=x.device),
        x.new_zeros(3, device=x.device),
        x.new_ones((3,), device=x.device),
        torch_like.tril_indices(3, 3, device=x.device),
    ):
        assert made.device == cpu
        assert not made.requires_grad
    assert x.clone(memory_format=torch_like.contiguous_format).requires_grad
    assert x.contiguous(memory_format=torch_like.contiguous_format) is x


def test_another_device_is_refused(reference: Any) -> None:
    assert not reference.cuda.is_available()
    assert reference.cuda.device_count() == 0
    for call in (
        lambda: reference.zeros(2, device="cuda"),
        lambda: reference.ones(2).to("cuda:0"),
        lambda: reference.ones(2).to(reference.device("cuda", 1)),
    ):
        with pytest.raises(NotImplementedError, match="the tape computes on the CPU, got cuda"):
            call()
    with pytest.raises(NotImplementedError, match=r"memory_format: .* got channels_last"):
        reference.ones(2).contiguous(memory_format="channels_last")


def test_rows_of_an_embedding_that_are_too_long_are_shortened(torch_like: Any) -> None:
    weight = torch_like.tensor([[3.0, 4.0], [0.3, 0.4], [6.0, 8.0]], requires_grad=True)
    version = weight._version
    y = torch_like.nn.functional.embedding(torch_like.tensor([0, 1]), weight * 1, max_norm=1.0)
    assert [[round(v, 5) for v in row] for row in y.tolist()] == [[0.6, 0.8], [0.3, 0.4]]
    y.sum().backward()
    assert_equal(weight.grad, [[1.0, 1.0], [1.0, 1.0], [0.0, 0.0]])
    assert weight._version == version


@pytest.mark.filterwarnings("ignore:size_average and reduce args will be deprecated")
def test_losses_take_the_arguments_of_old(torch_like: Any) -> None:
    loss = torch_like.nn.functional.mse_loss
    x, t = torch_like.tensor([1.0, 3.0]), torch_like.zeros(2)
    assert loss(x, t, size_average=False).item() == 10.0
    assert loss(x, t, size_average=True).item() == 5.0
    assert loss(x, t, reduce=False).tolist() == [1.0, 9.0]


def test_plain_numbers_are_refused_where_a_tensor_is_wanted(torch_like: Any) -> None:
    x = torch_like.ones(2)
    with pytest.raises(TypeError, match=r"maximum\(\): argument 'other' \(position 2\) must be Tensor, not int"):
        torch_like.maximum(x, 2)
    with pytest.raises(TypeError, match=r"atan2\(\): argument 'input' \(position 1\) must be Tensor, not float"):
        torch_like.atan2(2.0, x)
    with pytest.raises(TypeError):
        torch_like.gt(1, x)
    with pytest.raises(TypeError, match=r"pow\(\) received an invalid combination of arguments"):
        torch_like.pow(2, 3)
    assert_equal(torch_like.remainder(5, 2 * x), [1.0, 1.0])
    assert_equal(torch_like.pow(2, x), [2.0, 2.0])


def test_what_a_tensor_tells_of_itself(torch_like: Any) -> None:
    x = torch_like.tensor([[1.5, 2.0], [3.0, -4.0]], requires_grad=True)
    assert (x.is_cpu, x.is_cuda, x.is_sparse, x.is_meta, x.is_quantized) == (True, False, False, False, False)
    assert (x.itemsize, x.nbytes, x.get_device(), x.is_conj()) == (4, 16, -1, False)
    assert x.layout is torch_like.strided
    assert x.real is x
    assert x.conj() is x
    assert x.resolve_conj() is x
    assert x.is_same_size(x.detach())
    assert x.detach().abs().byte().dtype is torch_like.uint8
    assert_equal(x.detach().clone().floor_divide_(2), [[0.0, 1.0], [1.0, -2.0]])
    assert_equal(x.detach().clone().heaviside_(torch_like.tensor(0.5)), [[1.0, 1.0], [1.0, 0.0]])


def test_only_inputs_is_ignored_with_a_warning(torch_like: Any) -> None:
    x = torch_like.tensor([1.0, 2.0], requires_grad=True)
    (g,) = torch_like.autograd.grad((x * x).sum(), x, only_inputs=True)
    assert_equal(g, [2.0, 4.0])
    with pytest.warns(FutureWarning, match="only_inputs argument is deprecated and is ignored now"):
        torch_like.autograd.grad((x * x).sum(), x, None, None, False, False)
