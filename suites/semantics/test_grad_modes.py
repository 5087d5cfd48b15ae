"""Grad modes: no_grad, enable_grad, set_grad_enabled, nesting, decorating, and updates of leaves."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from .support import assert_equal


@pytest.mark.catalogue("NG01")
def test_results_inside_no_grad_are_constants_and_inputs_keep_their_flags(torch_like: Any) -> None:
    x = torch_like.ones(2, requires_grad=True)
    y = x * 2
    with torch_like.no_grad():
        for z in (x * 3, y * 3, y.sum()):
            assert (z.requires_grad, z.is_leaf, z.grad_fn) == (False, True, None)
        assert x.requires_grad
        assert y.requires_grad
        assert y.grad_fn is not None
    assert (x * 3).requires_grad


@given(
    modes=st.lists(st.sampled_from(["no_grad", "enable_grad", "set_true", "set_false"]), max_size=6), fail=st.booleans()
)
@pytest.mark.catalogue("NG02")
def test_modes_nest_as_a_stack_and_are_restored(torch_like: Any, modes: list[str], fail: bool) -> None:
    recorded = {"no_grad": False, "enable_grad": True, "set_true": True, "set_false": False}
    x = torch_like.ones(2, requires_grad=True)

    def enter(rest: list[str], outer: bool) -> None:
        assert torch_like.is_grad_enabled() is outer
        assert (x * 2).requires_grad is outer
        if rest:
            inner = recorded[rest[0]]
            named = not rest[0].startswith("set_")
            mode = getattr(torch_like, rest[0])() if named else torch_like.set_grad_enabled(inner)
            with mode:
                enter(rest[1:], inner)
            assert torch_like.is_grad_enabled() is outer
        elif fail:
            raise KeyError("leave through every mode")

    if fail:
        with pytest.raises(KeyError, match="leave through every mode"):
            enter(modes, True)
    else:
        enter(modes, True)
    assert torch_like.is_grad_enabled() is True


@pytest.mark.parametrize("mode", ["no_grad", "enable_grad"])
@pytest.mark.parametrize("called", [True, False], ids=["with parentheses", "without parentheses"])
@pytest.mark.catalogue("NG03")
def test_a_mode_decorates_a_function_and_keeps_its_name(torch_like: Any, mode: str, called: bool) -> None:
    decorator = getattr(torch_like, mode)
    x = torch_like.ones(2, requires_grad=True)

    def double(t: Any, *, by: int = 2) -> Any:
        return t * by

    decorated = (decorator() if called else decorator)(double)
    assert decorated.__name__ == "double"
    with torch_like.set_grad_enabled(mode == "no_grad"):
        y = decorated(x, by=3)
        assert y.requires_grad is (mode == "enable_grad")
        assert torch_like.is_grad_enabled() is (mode == "no_grad")
    assert_equal(y, [3.0, 3.0])


@pytest.mark.catalogue("NG04")
def test_set_grad_enabled_acts_at_the_call(torch_like: Any) -> None:
    x = torch_like.ones(2, requires_grad=True)
    try:
        torch_like.set_grad_enabled(False)
        assert not torch_like.is_grad_enabled()
        assert not (x * 2).requires_grad
    finally:
        torch_like.set_grad_enabled(True)
    assert torch_like.is_grad_enabled()
    assert (x * 2).requires_grad


@pytest.mark.parametrize("flag", [True, False])
@pytest.mark.catalogue("NG04")
def test_set_grad_enabled_restores_on_exit(torch_like: Any, flag: bool) -> None:
    with torch_like.set_grad_enabled(not flag):
        with torch_like.set_grad_enabled(flag):
            assert torch_like.is_grad_enabled() is flag
        assert torch_like.is_grad_enabled() is (not flag)
    assert torch_like.is_grad_enabled() is True


@pytest.mark.catalogue("NG09")
def test_a_leaf_may_be_updated_in_place_under_no_grad(torch_like: Any) -> None:
    w = torch_like.tensor([1.0, 2.0], requires_grad=True)
    (w * w).sum().backward()
    with torch_like.no_grad():
        w -= 0.5 * w.grad
        w.add_(1)
    assert (w.requires_grad, w.is_leaf, w.grad_fn, w._version) == (True, True, None, 2)
    assert_equal(w, [1.0, 1.0])
    (w * 3).sum().backward()
    assert_equal(w.grad, [5.0, 7.0])


@pytest.mark.catalogue("NG10")
def test_an_update_out_of_place_under_no_grad_loses_requires_grad(torch_like: Any) -> None:
    w = leaf = torch_like.tensor([1.0, 2.0], requires_grad=True)
    (w * w).sum().backward()
    with torch_like.no_grad():
        w = w - 0.5 * w.grad
    assert w is not leaf
    assert (w.requires_grad, w.is_leaf, w.grad) == (False, True, None)
    assert_equal(leaf, [1.0, 2.0])
