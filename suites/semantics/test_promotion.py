"""Element types and numbers of mixed expressions, integers that divide and overflow, and what makes no tensor."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from .support import assert_equal


def test_where_of_two_numbers(torch_like: Any) -> None:
    condition = torch_like.tensor([True, False])
    for numbers, dtype in (((1, 2), "int64"), ((1.0, 2), "float32"), ((True, False), "bool")):
        found = torch_like.where(condition, *numbers)
        assert found.dtype == getattr(torch_like, dtype)
        assert_equal(found, list(numbers))
    for wrong in (torch_like.tensor([1, 0]), torch_like.tensor([1.0, 0.0])):
        with pytest.raises(
            RuntimeError, match="where expected condition to be a boolean tensor, but got a tensor with dtype"
        ):
            torch_like.where(wrong, 1, 2)


def test_integers_are_not_divided_by_zero(torch_like: Any) -> None:
    five, zero = torch_like.tensor([5]), torch_like.tensor([0])
    for divide in (
        lambda: five // zero,
        lambda: five // 0,
        lambda: five % zero,
        lambda: five % 0,
        lambda: torch_like.fmod(five, zero),
        lambda: torch_like.div(five, 0, rounding_mode="trunc"),
    ):
        with pytest.raises(RuntimeError, match="ZeroDivisionError"):
            divide()
    assert_equal(five // 0.0, [float("inf")])


def test_integers_to_negative_powers(torch_like: Any) -> None:
    base = torch_like.tensor([1, 2, -1, -1])
    assert_equal(base ** torch_like.tensor([-3, -1, -2, -3]), [1, 0, 1, -1])
    assert_equal(2 ** torch_like.tensor([-1, 2]), [0, 4])
    with pytest.raises(RuntimeError, match="Integers to negative integer powers are not allowed"):
        base**-1


def test_numbers_wrap_around_to_small_integers(torch_like: Any) -> None:
    assert_equal(torch_like.tensor([1], dtype=torch_like.int8) + 300, [45])
    assert_equal(torch_like.tensor([1], dtype=torch_like.uint8) * -1, [255])
    assert (torch_like.tensor([5], dtype=torch_like.uint8) // 2).dtype == torch_like.uint8


def test_alpha_of_integers_is_an_integer(torch_like: Any) -> None:
    x = torch_like.tensor([1])
    for add in (torch_like.add, torch_like.sub):
        with pytest.raises(
            RuntimeError, match="For integral input tensors, argument alpha must not be a floating point number"
        ):
            add(x, x, alpha=0.5)
    assert_equal(torch_like.add(x, torch_like.tensor([1.0]), alpha=0.5), [1.5])


def test_integers_have_no_softmax(torch_like: Any) -> None:
    for softmax in (torch_like.softmax, torch_like.log_softmax):
        with pytest.raises(NotImplementedError, match="not implemented for 'Long'"):
            softmax(torch_like.arange(3), 0)
    assert torch_like.softmax(torch_like.arange(3), 0, dtype=torch_like.float64).dtype == torch_like.float64


@pytest.mark.parametrize(("shape", "dim"), [((3,), 0), ((2, 3), 1), ((1, 2, 3), 0), ((1, 2, 3, 4), 1)], ids=str)
def test_missing_dim_of_softmax_is_guessed_with_a_warning(torch_like: Any, shape: Any, dim: int) -> None:
    functional = torch_like.nn.functional
    x = torch_like.arange(float(torch_like.ones(shape).numel())).view(shape)
    for name in ("softmax", "log_softmax", "softmin"):
        with pytest.warns(UserWarning, match=f"Implicit dimension choice for {name} has been deprecated"):
            found = getattr(functional, name)(x)
        assert torch_like.equal(found, getattr(functional, name)(x, dim))


def test_lists_of_tensors_and_numbers_are_promoted(torch_like: Any) -> None:
    one = torch_like.tensor(1.0)
    assert torch_like.tensor([one, 2]).dtype == torch_like.float32
    assert torch_like.tensor([one.double(), 2.0]).dtype == torch_like.float64
    assert torch_like.tensor([[torch_like.tensor(1), 2], [3, 4]]).dtype == torch_like.int64


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        ([[1, 2], [3]], ValueError, r"expected sequence of length 2 at dim 1 \(got 1\)"),
        (["a"], ValueError, "too many dimensions 'str'"),
        ("a", TypeError, "new.*: invalid data type 'str'"),
        ([1, None], RuntimeError, "Could not infer dtype of NoneType"),
        (None, RuntimeError, "Could not infer dtype of NoneType"),
        ([2**70], ValueError, "Overflow when unpacking long"),
    ],
    ids=str,
)
def test_what_makes_no_tensor_is_named(torch_like: Any, data: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        torch_like.tensor(data)


def test_values_without_room_and_sizes_below_zero(torch_like: Any) -> None:
    with pytest.raises(RuntimeError, match=r"value cannot be converted to type uint8.* without overflow"):
        torch_like.tensor([300], dtype=torch_like.uint8)
    with pytest.raises(RuntimeError, match="negative"):
        torch_like.zeros(2, -3)
    for wrong in ("a", 2.5):
        with pytest.raises(TypeError, match=r"must be tuple of ints, not (str|float)"):
            torch_like.zeros(wrong)


def test_types_by_their_old_names(torch_like: Any) -> None:
    x = torch_like.ones(2)
    assert x.type("torch.DoubleTensor").dtype == torch_like.float64
    assert x.type(x.long().type()).dtype == torch_like.int64
    with pytest.raises(ValueError, match="invalid type"):
        x.type("torch.FooTensor")


def test_ends_of_a_range_may_be_tensors_and_named(torch_like: Any) -> None:
    assert_equal(torch_like.arange(end=3), [0, 1, 2])
    found = torch_like.arange(torch_like.tensor(1), torch_like.tensor(4))
    assert found.dtype == torch_like.int64
    assert_equal(found, [1, 2, 3])


def test_operands_that_are_no_tensors_are_refused(torch_like: Any) -> None:
    x = torch_like.ones(2)
    for function in (torch_like.add, torch_like.mul, torch_like.matmul):
        for wrong in ([1.0, 2.0], "a", None):
            with pytest.raises(
                TypeError, match=rf"argument 'other' \(position 2\) must be Tensor, not {type(wrong).__name__}"
            ):
                function(x, wrong)
    for operation in (lambda: x @ 3, lambda: 3 @ x, lambda: x @ [1.0, 2.0]):
        with pytest.raises(TypeError, match="unsupported operand type"):
            operation()
    with pytest.raises(TypeError, match="expected Tensor as element 1 in argument 0, but got int"):
        torch_like.stack([x, 2])
    with pytest.raises(TypeError, match=r"argument 'other' \(position 2\) must be Tensor, not int"):
        torch_like.equal(x, 1)
    with pytest.raises(TypeError, match="invalid combination of arguments"):
        x.sum("a")


@pytest.mark.parametrize(
    ("equation", "shapes", "message"),
    [
        (
            "ij",
            [(2,)],
            "the number of subscripts in the equation .2. does not match the number of dimensions .1. for operand 0",
        ),
        (
            "...ij",
            [(2,)],
            "the number of subscripts in the equation .2. is more than the number of dimensions .1. for operand 0",
        ),
        ("ij->ik", [(2, 2)], "output subscript k does not appear in the equation for any input operand"),
        ("ij->ii", [(2, 2)], "output subscript i appears more than once in the output"),
        ("ij,jk", [(2, 2)], "fewer operands were provided than specified in the equation"),
        ("ij", [(2, 2), (2, 2)], "more operands were provided than specified in the equation"),
        ("ij,jk", [(2, 3), (4, 4)], "subscript j has size .* does not broadcast with previously seen size"),
        ("i%", [(2, 3)], "invalid subscript given"),
    ],
)
def test_equations_that_do_not_fit_are_explained(torch_like: Any, equation: str, shapes: Any, message: str) -> None:
    with pytest.raises(RuntimeError, match=message):
        torch_like.einsum(equation, *(torch_like.ones(shape) for shape in shapes))


def test_matrix_and_vector_that_do_not_fit(torch_like: Any) -> None:
    with pytest.raises(RuntimeError, match=r"size mismatch, got input \(2\), mat \(2x3\), vec \(2\)"):
        torch_like.ones(2, 3) @ torch_like.ones(2)


def test_places_and_types_in_any_order(torch_like: Any) -> None:
    x = torch_like.ones(2)
    for y in (
        x.to("cpu", dtype=torch_like.int32),
        x.to("cpu", torch_like.int32),
        x.to(torch_like.device("cpu"), torch_like.int32, True),
        x.to(torch_like.int32, non_blocking=True, copy=True),
        x.to(dtype=torch_like.int32),
    ):
        assert y.dtype == torch_like.int32
    assert x.to("cpu") is x.to(x) is x
    assert x.to(torch_like.float32, copy=True) is not x
    assert x.is_contiguous(memory_format=torch_like.contiguous_format)


def test_comparison_of_all_wants_one_type_and_shapes_that_fit(torch_like: Any) -> None:
    x = torch_like.ones(2)
    with pytest.raises(RuntimeError, match="Float did not match Double"):
        torch_like.allclose(x, x.double())
    with pytest.raises(RuntimeError, match=r"The size of tensor a \(2\) must match the size of tensor b \(3\)"):
        torch_like.allclose(x, torch_like.ones(3))


@pytest.mark.filterwarnings("ignore:Creating a tensor from a list of numpy:UserWarning")  # slow, in PyTorch
def test_arrays_keep_their_type_and_may_not_run_backwards(torch_like: Any) -> None:
    assert torch_like.tensor([np.ones(2), np.zeros(2)]).dtype == torch_like.float64
    with pytest.raises(ValueError, match="At least one stride in the given numpy array is negative"):
        torch_like.from_numpy(np.ones(3)[::-1])
    for wrong in ("a", 1.5):
        with pytest.raises(TypeError, match=r"must be tuple of ints, not|invalid combination of arguments"):
            torch_like.ones(2).reshape(wrong)
