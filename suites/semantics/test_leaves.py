"""Leaves: what a new tensor carries, who may require grad, and what `.grad` accepts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from .support import assert_equal, assert_untouched, share_memory, snapshot

FACTORIES = {
    "tensor": lambda torch_like, **k: torch_like.tensor([1.0, 2.0], **k),
    "zeros": lambda torch_like, **k: torch_like.zeros(2, **k),
    "ones": lambda torch_like, **k: torch_like.ones((2, 3), **k),
    "full": lambda torch_like, **k: torch_like.full((2,), 3.0, **k),
    "arange": lambda torch_like, **k: torch_like.arange(4.0, **k),
    "linspace": lambda torch_like, **k: torch_like.linspace(0.0, 1.0, 5, **k),
    "randn": lambda torch_like, **k: torch_like.randn(3, **k),
}
factories = pytest.mark.parametrize("make", FACTORIES.values(), ids=FACTORIES.keys())
NOT_FLOAT = ("int64", "int32", "bool")


@factories
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.catalogue("LF01")
def test_a_new_tensor_is_a_leaf_without_gradient(torch_like: Any, make: Any, dtype: str) -> None:
    x = make(torch_like, dtype=getattr(torch_like, dtype))
    assert x.dtype == getattr(torch_like, dtype)
    assert (x.requires_grad, x.is_leaf, x.grad, x.grad_fn) == (False, True, None, None)


@pytest.mark.parametrize("dtype", NOT_FLOAT)
@pytest.mark.catalogue("LF01")
def test_a_new_integer_tensor_is_a_leaf_without_gradient(torch_like: Any, dtype: str) -> None:
    x = torch_like.zeros(2, dtype=getattr(torch_like, dtype))
    assert (x.requires_grad, x.is_leaf, x.grad, x.grad_fn) == (False, True, None, None)


@pytest.mark.catalogue("LF02")
def test_requires_grad_in_place_sets_the_flag_and_returns_the_tensor(torch_like: Any) -> None:
    x = torch_like.ones(3)
    assert x.requires_grad_() is x
    assert x.requires_grad
    assert x.grad is None
    assert x.requires_grad_(False) is x
    assert not x.requires_grad
    assert x.requires_grad_(requires_grad=True).requires_grad


@pytest.mark.catalogue("LF02")
def test_the_requires_grad_attribute_can_be_assigned(torch_like: Any) -> None:
    x = torch_like.ones(3)
    x.requires_grad = True
    assert x.requires_grad
    assert x.is_leaf
    assert x.grad is None


@factories
@pytest.mark.catalogue("LF03")
def test_requires_grad_in_a_factory_makes_a_leaf(torch_like: Any, make: Any) -> None:
    x = make(torch_like, requires_grad=True)
    assert (x.requires_grad, x.is_leaf, x.grad, x.grad_fn) == (True, True, None, None)


@pytest.mark.parametrize("dtype", NOT_FLOAT)
@pytest.mark.parametrize("spelling", ["factory", "attribute", "method"])
@pytest.mark.catalogue("LF04")
def test_only_floating_dtypes_may_require_grad(torch_like: Any, dtype: str, spelling: str) -> None:
    kind = getattr(torch_like, dtype)
    x = torch_like.zeros(2, dtype=kind)
    ask = {
        "factory": lambda: torch_like.zeros(2, dtype=kind, requires_grad=True),
        "attribute": lambda: setattr(x, "requires_grad", True),
        "method": lambda: x.requires_grad_(),
    }
    with pytest.raises(RuntimeError, match=r"(?i)floating point"):
        ask[spelling]()
    assert not x.requires_grad


@pytest.mark.parametrize("spelling", ["attribute", "method"])
@pytest.mark.catalogue("LF06")
def test_requires_grad_of_a_non_leaf_cannot_be_turned_off(torch_like: Any, spelling: str) -> None:
    x = torch_like.ones(3, requires_grad=True)
    y = x * 2
    before, node = snapshot(x, y), y.grad_fn
    ask = {"attribute": lambda: setattr(y, "requires_grad", False), "method": lambda: y.requires_grad_(False)}
    with pytest.raises(RuntimeError, match="only change requires_grad flags of leaf variables"):
        ask[spelling]()
    assert_untouched(before, x, y)
    assert y.grad_fn is node


@pytest.mark.catalogue("LF08")
def test_an_op_result_is_a_leaf_unless_an_input_requires_grad_and_grad_mode_is_on(torch_like: Any) -> None:
    x, c = torch_like.ones(2, requires_grad=True), torch_like.ones(2)
    with torch_like.no_grad():
        off = x * c
    results = {"recorded": x * c, "constant": c * c, "grad mode off": off, "detached": (x * c).detach()}
    for y in results.values():
        assert y.is_leaf == (y.grad_fn is None)
    assert {name: y.is_leaf for name, y in results.items()} == {
        "recorded": False,
        "constant": True,
        "grad mode off": True,
        "detached": True,
    }


@pytest.mark.parametrize(
    ("wrong", "kind", "phrase"),
    [
        (lambda torch_like: 1.0, TypeError, "assigned grad expected to be a Tensor or None"),
        (lambda torch_like: [1.0, 1.0, 1.0], TypeError, "assigned grad expected to be a Tensor or None"),
        (lambda torch_like: np.ones(3, dtype=np.float32), TypeError, "assigned grad expected to be a Tensor or None"),
        (lambda torch_like: torch_like.ones(2), RuntimeError, "attempting to assign a gradient of size"),
        (lambda torch_like: torch_like.ones(1, 3), RuntimeError, "attempting to assign a gradient of size"),
        (lambda torch_like: torch_like.ones(()), RuntimeError, "attempting to assign a gradient of size"),
        (
            lambda torch_like: torch_like.ones(3, dtype=torch_like.float64),
            RuntimeError,
            "attempting to assign a gradient with dtype",
        ),
    ],
    ids=["number", "list", "ndarray", "shorter", "another rank", "0-d", "another dtype"],
)
@pytest.mark.catalogue("LF10")
def test_grad_refuses_what_is_not_a_tensor_of_the_same_shape_and_dtype(
    torch_like: Any, wrong: Any, kind: type[Exception], phrase: str
) -> None:
    x = torch_like.ones(3, requires_grad=True)
    held = torch_like.full((3,), 5.0)
    x.grad = held
    with pytest.raises(kind, match=phrase):
        x.grad = wrong(torch_like)
    assert x.grad is held
    assert_equal(x.grad, [5.0, 5.0, 5.0])


@pytest.mark.catalogue("LF10")
def test_grad_accepts_a_tensor_like_the_leaf_and_none(torch_like: Any) -> None:
    x = torch_like.ones(3, requires_grad=True)
    x.grad = torch_like.arange(3.0)
    assert_equal(x.grad, [0.0, 1.0, 2.0])
    x.grad = None
    assert x.grad is None


@pytest.mark.catalogue("LF14")
def test_numpy_refuses_a_tensor_that_requires_grad(torch_like: Any) -> None:
    x = torch_like.ones(3, requires_grad=True)
    for tensor in (x, x * 2):
        with pytest.raises(RuntimeError, match=r"Can't call numpy\(\) on Tensor that requires grad"):
            tensor.numpy()


@pytest.mark.catalogue("LF14")
def test_numpy_of_the_detached_tensor_shares_its_memory(torch_like: Any) -> None:
    x = torch_like.ones(3, requires_grad=True)
    assert share_memory(x, x)
    x.detach().numpy()[1] = 7.0
    assert_equal(x, [1.0, 7.0, 1.0])


@pytest.mark.parametrize("op", ["gt", "ge", "lt", "le", "eq", "ne"])
@pytest.mark.catalogue("LF17")
def test_a_comparison_never_requires_grad(torch_like: Any, op: str) -> None:
    x = torch_like.tensor([1.0, -1.0], requires_grad=True)
    for y in (getattr(torch_like, op)(x, 0.0), getattr(x, op)(x * 2)):
        assert y.dtype == torch_like.bool
        assert (y.requires_grad, y.is_leaf, y.grad_fn) == (False, True, None)


@pytest.mark.catalogue("LF17")
def test_argmax_is_an_integer_that_never_requires_grad(torch_like: Any) -> None:
    x = torch_like.tensor([1.0, 3.0, 2.0], requires_grad=True)
    index = (x * 2).argmax()
    assert index.dtype == torch_like.int64
    assert int(index) == 1
    assert (index.requires_grad, index.grad_fn) == (False, None)


@pytest.mark.catalogue("LF17")
def test_comparison_operators_never_require_grad(torch_like: Any) -> None:
    x = torch_like.tensor([1.0, -1.0], requires_grad=True)
    for y in (x > 0, x >= 0, x < 0, x <= 0, x == 1, x != 1):
        assert y.dtype == torch_like.bool
        assert not y.requires_grad
