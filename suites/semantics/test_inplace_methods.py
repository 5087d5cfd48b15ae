"""Every function that has an in-place form does there what it does out of place, gradient included."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import reference_impl
from reference_impl.inplace import FUNCTIONS, IN_PLACE

from .support import assert_equal, share_memory, values

ROW = [[0.25, 0.5, 0.75], [0.375, 0.625, 0.875]]
OTHER = [[0.5, 0.25, 0.5], [0.75, 0.5, 0.25]]
PAIRS = (
    "add arctan2 atan2 copysign div divide float_power floor_divide fmod heaviside hypot ldexp logical_and logical_or mul "
    "multiply pow remainder sub subtract true_divide xlogy"
).split()
COMPARISONS = "eq ge greater greater_equal gt le less less_equal lt ne not_equal".split()
ARGUMENTS: dict[str, Any] = {
    **dict.fromkeys(PAIRS, (OTHER,)),
    "addcdiv": (OTHER, OTHER),
    "addcmul": (OTHER, OTHER),
    "lerp": (OTHER, 0.25),
    "clamp": (0.3, 0.6),
    "clip": (0.3, 0.6),
    "clamp_max": (0.5,),
    "clamp_min": (0.5,),
    "cumprod": (0,),
    "cumsum": (1,),
    "renorm": (1, 0, 1.0),
}
ELSEWHERE = set(COMPARISONS) | set(
    "addbmm addmm addmv addr baddbmm bernoulli copy exponential fill fill_diagonal index_add index_copy index_fill index_put "
    "masked_fill masked_scatter random normal put resize scatter scatter_add scatter_reduce uniform zero "
    "bitwise_and bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor gcd lcm logical_xor nextafter".split()
)
PLAIN = [name[:-1] for name in IN_PLACE if name[:-1] not in ELSEWHERE]


def run(name: str, *, in_place: bool) -> tuple[Any, Any, list[Any]]:
    """Return what was written to or made, the result, and the gradients."""
    x = reference_impl.tensor(ROW, dtype=reference_impl.float64, requires_grad=True)
    args = [
        reference_impl.tensor(a, dtype=reference_impl.float64, requires_grad=True) if isinstance(a, list) else a
        for a in ARGUMENTS.get(name, ())
    ]
    before = x + 1.0 if name in ("acosh", "arccosh") else x * 1.0
    after = getattr(before, name + "_" if in_place else name)(*args)
    if after.requires_grad:
        after.backward(reference_impl.ones_like(after))
    return before, after, [x.grad, *(a.grad for a in args if isinstance(a, reference_impl.Tensor))]


@pytest.mark.parametrize("name", PLAIN)
def test_in_place_is_what_it_is_out_of_place(name: str) -> None:
    before, written, grads = run(name, in_place=True)
    _, made, expected = run(name, in_place=False)
    assert written is before and before._version == 1
    assert_equal(written, values(made), nan_matches_nan=True)
    if made.requires_grad:
        for grad, right in zip(grads, expected, strict=True):
            assert_equal(grad, values(right), nan_matches_nan=True)


@pytest.mark.parametrize("name", COMPARISONS)
def test_a_comparison_in_place_passes_nothing_on(torch_like: Any, name: str) -> None:
    x = torch_like.tensor(ROW, requires_grad=True)
    y = x * 2
    assert getattr(y, f"{name}_")(0.75) is y
    assert_equal(y, values(getattr(x.detach() * 2, name)(0.75)).astype(np.float32))
    y.backward(torch_like.ones(2, 3))
    assert_equal(x.grad, np.zeros((2, 3)))


@pytest.mark.parametrize("name", ["addbmm", "addmm", "addmv", "addr", "baddbmm"])
def test_products_added_in_place(torch_like: Any, name: str) -> None:
    square, stack, vector = torch_like.ones(2, 2), torch_like.ones(3, 2, 2), torch_like.ones(2)
    args = {"addmm": (square, square), "addmv": (square, vector), "addr": (vector, vector)}.get(name, (stack, stack))
    leaf = {"addmv": vector, "baddbmm": stack}.get(name, square).clone().requires_grad_()
    y = leaf * 4
    assert getattr(y, f"{name}_")(*args) is y
    assert_equal(y, values(getattr(leaf.detach() * 4, name)(*args)))
    y.sum().backward()
    assert_equal(leaf.grad, np.full(leaf.shape, 4.0))


@pytest.mark.parametrize("name", ["uniform_", "normal_", "exponential_", "bernoulli_"])
def test_random_numbers_in_place(torch_like: Any, name: str) -> None:
    x = torch_like.ones(200, requires_grad=True)
    y = x * 1
    assert getattr(y, name)() is y
    assert not (values(y) == 1).all()
    y.sum().backward()
    assert_equal(x.grad, np.zeros(200))
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
        getattr(x, name)()


def test_functions_in_place(torch_like: Any) -> None:
    for name in FUNCTIONS:
        assert callable(getattr(torch_like, name)), name
    x = torch_like.tensor([1.0, 4.0])
    assert torch_like.sqrt_(x) is x
    assert_equal(x, [1.0, 2.0])
    assert share_memory(x, torch_like.neg_(x))


def test_diagonals_are_filled(torch_like: Any) -> None:
    x = torch_like.ones(2, 3, requires_grad=True)
    y = x * 2
    assert y.fill_diagonal_(5.0) is y
    y.sum().backward()
    assert_equal(y, [[5.0, 2.0, 2.0], [2.0, 5.0, 2.0]])
    assert_equal(x.grad, [[0.0, 2.0, 2.0], [2.0, 0.0, 2.0]])
    assert_equal(torch_like.zeros(5, 2).fill_diagonal_(1, wrap=True), [[1, 0], [0, 1], [0, 0], [1, 0], [0, 1]])
    with pytest.raises(RuntimeError, match="all dimensions of input must be of equal length"):
        torch_like.zeros(2, 2, 3).fill_diagonal_(1)


def test_whole_numbers_are_drawn_between_bounds(torch_like: Any) -> None:
    below = torch_like.empty(500, dtype=torch_like.int64).random_(5)
    assert sorted(set(below.tolist())) == [0, 1, 2, 3, 4]
    assert sorted(set(torch_like.empty(100).random_(2, 4).tolist())) == [2.0, 3.0]
    assert set(torch_like.empty(100, dtype=torch_like.bool).random_().tolist()) == {True, False}
    with pytest.raises(RuntimeError, match="random_ expects 'from' to be less than 'to'"):
        torch_like.empty(3).random_(5, 5)
