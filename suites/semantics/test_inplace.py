"""In-place operations: leaves that require grad are protected while grad mode is on."""

from __future__ import annotations

from typing import Any

import pytest

from .support import assert_equal, assert_untouched, snapshot

LEAF = "a leaf Variable that requires grad is being used in an in-place operation"
VIEW = "a view of a leaf Variable that requires grad is being used in an in-place operation"


def iadd(torch_like: Any, x: Any) -> None:
    x += 1


def setitem(index: Any) -> Any:
    def write(torch_like: Any, x: Any) -> None:
        x[index] = 9.0

    return write


ON_THE_LEAF = {
    "add_": lambda torch_like, x: x.add_(1),
    "+=": iadd,
    "mul_": lambda torch_like, x: x.mul_(2),
    "copy_": lambda torch_like, x: x.copy_(torch_like.ones(2, 3)),
    "fill_": lambda torch_like, x: x.fill_(3.0),
    "zero_": lambda torch_like, x: x.zero_(),
    "x[:] =": setitem(slice(None)),
}
THROUGH_A_VIEW = {
    "x[0] =": setitem(0),
    "x[0:1] =": setitem(slice(0, 1)),
    "x[0, 1] =": setitem((0, 1)),
    "x[0].add_": lambda torch_like, x: x[0].add_(1),
    "x.reshape().zero_": lambda torch_like, x: x.reshape(3, 2).zero_(),
    "x.transpose().mul_": lambda torch_like, x: x.transpose(0, 1).mul_(2),
}


@pytest.mark.parametrize("write", ON_THE_LEAF.values(), ids=ON_THE_LEAF.keys())
@pytest.mark.catalogue("IP02")
def test_writing_to_a_leaf_that_requires_grad_is_refused(torch_like: Any, write: Any) -> None:
    x = torch_like.ones(2, 3, requires_grad=True)
    before = snapshot(x)
    with pytest.raises(RuntimeError, match=LEAF):
        write(torch_like, x)
    assert_untouched(before, x)


@pytest.mark.parametrize("write", THROUGH_A_VIEW.values(), ids=THROUGH_A_VIEW.keys())
@pytest.mark.catalogue("IP03")
def test_writing_to_a_view_of_such_a_leaf_is_refused(torch_like: Any, write: Any) -> None:
    x = torch_like.ones(2, 3, requires_grad=True)
    before = snapshot(x)
    with pytest.raises(RuntimeError, match=VIEW):
        write(torch_like, x)
    assert_untouched(before, x)


@pytest.mark.parametrize("write", [*ON_THE_LEAF.values(), *THROUGH_A_VIEW.values()])
@pytest.mark.catalogue("IP02", "IP03")
def test_writing_to_a_leaf_without_requires_grad_is_allowed(torch_like: Any, write: Any) -> None:
    x = torch_like.zeros(2, 3)
    write(torch_like, x)
    assert x._version == 1
    assert x.is_leaf
    assert not x.requires_grad


def test_writes_over_what_is_still_to_be_read_are_refused(torch_like: Any) -> None:
    def square() -> Any:
        return torch_like.arange(4.0).reshape(2, 2).clone()

    x = torch_like.arange(4.0)
    for write in (
        lambda: x[1:].add_(x[:-1]),
        lambda: x[1:].copy_(x[:-1]),
        lambda: x.__setitem__(slice(1, None), x[:-1]),
        lambda: (y := square()).add_(y.t()),
        lambda: (y := square()).sub_(y[0]),
    ):
        with pytest.raises(
            RuntimeError, match="some elements of the input tensor and the written-to tensor refer to a single"
        ):
            write()
    assert_equal(x, [0.0, 1.0, 2.0, 3.0])
    x.add_(x).view(2, 2).mul_(x.view(2, 2))
    x[:2].add_(x[2:])
    x[::2].add_(x[1::2])
    assert_equal(x, [56.0, 40.0, 52.0, 36.0])
