"""Inference mode: what is made in it can be used, but never saved, written to or made a leaf outside."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from .support import assert_equal

WRITE = "Inplace update to inference tensor outside InferenceMode is not allowed"


@pytest.fixture
def made_inside(torch_like: Any) -> Any:
    with torch_like.inference_mode():
        return torch_like.ones(2)


@pytest.mark.catalogue("NG13", priority=3)
def test_nothing_is_recorded_and_results_are_inference_tensors(torch_like: Any) -> None:
    x = torch_like.ones(2, requires_grad=True)
    with torch_like.inference_mode():
        y = x * 2
        modes = (torch_like.is_inference_mode_enabled(), torch_like.is_grad_enabled())
    assert modes == (True, False)
    assert (y.requires_grad, y.is_leaf, y.is_inference(), x.is_inference()) == (False, True, True, False)
    assert not torch_like.is_inference_mode_enabled()
    assert torch_like.is_grad_enabled()


@pytest.mark.catalogue("NG13", priority=3)
def test_an_inference_tensor_has_no_version(made_inside: Any) -> None:
    with pytest.raises(RuntimeError, match="Inference tensors do not track version counter"):
        _ = made_inside._version


@pytest.mark.catalogue("NG13", priority=3)
def test_an_inference_tensor_cannot_be_saved_for_backward(torch_like: Any, made_inside: Any) -> None:
    x = torch_like.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="Inference tensors cannot be saved for backward"):
        x * made_inside
    (x + made_inside).sum().backward()  # which saves nothing
    assert_equal(x.grad, [1.0, 1.0])


@pytest.mark.parametrize(
    "write",
    [lambda x: x.add_(1), lambda x: x.zero_(), lambda x: x.__setitem__(0, 1.0), lambda x: x.copy_(x.clone())],
    ids=["add_", "zero_", "setitem", "copy_"],
)
@pytest.mark.catalogue("NG13", priority=3)
def test_an_inference_tensor_is_written_to_inside_only(torch_like: Any, made_inside: Any, write: Any) -> None:
    with pytest.raises(RuntimeError, match=WRITE):
        write(made_inside)
    with torch_like.inference_mode():
        write(made_inside)


@pytest.mark.catalogue("NG13", priority=3)
def test_an_inference_tensor_cannot_become_a_leaf_outside(torch_like: Any, made_inside: Any) -> None:
    with pytest.raises(RuntimeError, match="Setting requires_grad=True on inference tensor outside InferenceMode"):
        made_inside.requires_grad_()
    assert not made_inside.requires_grad_(False).requires_grad
    with torch_like.inference_mode():
        assert made_inside.requires_grad_().requires_grad


@pytest.mark.catalogue("NG13", priority=3)
def test_a_clone_made_outside_is_a_normal_tensor_and_a_view_is_not(made_inside: Any) -> None:
    assert not made_inside.clone().is_inference()
    assert not (made_inside + 1).is_inference()
    assert made_inside[:1].is_inference()
    assert not made_inside[:1]._is_view()
    assert made_inside.detach().is_inference()


@pytest.mark.catalogue("NG13", priority=3)
def test_a_view_of_a_normal_tensor_stays_normal_but_cannot_be_written_to_outside(torch_like: Any) -> None:
    y = torch_like.ones(2, requires_grad=True) * 2
    with torch_like.inference_mode():
        view = y[:1]
    assert (view.is_inference(), view._is_view(), view.requires_grad, view.grad_fn) == (False, True, True, None)
    with pytest.raises(RuntimeError, match="A view was created in inference mode and is being modified inplace"):
        view.mul_(2)


@pytest.mark.catalogue("NG13", priority=3)
def test_a_normal_tensor_may_be_written_to_inside(torch_like: Any) -> None:
    x = torch_like.ones(2, requires_grad=True)
    y = x * x
    with torch_like.inference_mode():
        y.add_(1)
        x.mul_(2)
    assert (x._version, y._version) == (1, 1)
    assert y.grad_fn is not None
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


@pytest.mark.catalogue("NG13", priority=3)
def test_backward_inside_gives_inference_tensors(torch_like: Any) -> None:
    x = torch_like.ones(2, requires_grad=True)
    y = (x * x).sum()
    with torch_like.inference_mode():
        y.backward()
    assert x.grad.is_inference()
    assert_equal(x.grad, [2.0, 2.0])
    loss = x.sum()
    with pytest.raises(RuntimeError, match=WRITE):
        loss.backward()


@pytest.mark.catalogue("NG13", priority=3)
def test_inference_mode_decorates_with_and_without_parentheses(torch_like: Any) -> None:
    @torch_like.inference_mode
    def bare(x: Any) -> Any:
        return x * 2

    @torch_like.inference_mode()
    def called(x: Any) -> Any:
        return x * 2

    @torch_like.inference_mode(mode=False)
    def off(x: Any) -> Any:
        return x * 2

    x = torch_like.ones(2, requires_grad=True)
    assert [f(x).is_inference() for f in (bare, called, off)] == [True, True, False]
    assert [f.__name__ for f in (bare, called, off)] == ["bare", "called", "off"]


@pytest.mark.catalogue("NG13", priority=3)
def test_inference_mode_can_be_left_and_is_restored_on_an_error(torch_like: Any) -> None:
    x = torch_like.ones(2, requires_grad=True)
    with torch_like.inference_mode():
        with torch_like.inference_mode(False):
            assert (x * 2).requires_grad
            assert not (x * 2).is_inference()
        assert torch_like.ones(1).is_inference()
    with pytest.raises(ZeroDivisionError), torch_like.inference_mode():
        _ = 1 // 0
    assert not torch_like.is_inference_mode_enabled()
    assert not torch_like.ones(1).is_inference()


@pytest.mark.catalogue("NG13", priority=3)
def test_inference_mode_is_per_thread(torch_like: Any) -> None:
    seen: list[bool] = []
    with torch_like.inference_mode():
        thread = threading.Thread(target=lambda: seen.append(torch_like.ones(1).is_inference()))
        thread.start()
        thread.join()
    assert seen == [False]


@pytest.mark.catalogue("NG14", priority=3)
def test_enable_grad_inside_does_not_record(torch_like: Any) -> None:
    x = torch_like.ones(2, requires_grad=True)
    with torch_like.inference_mode(), torch_like.enable_grad():
        assert torch_like.is_grad_enabled()
        assert not (x * 2).requires_grad
    assert torch_like.is_grad_enabled()
