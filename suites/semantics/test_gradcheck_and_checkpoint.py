"""What stands around the engine: PyTorch's own check of gradients, checkpoints, states of random numbers, modes by module."""

from __future__ import annotations

import importlib
from typing import Any

import pytest


def checkpoints(torch_like: Any) -> Any:
    return importlib.import_module(f"{torch_like.__name__}.utils.checkpoint")


def doubled(torch_like: Any, factor: float) -> Any:
    class Double(torch_like.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2

        @staticmethod
        def backward(ctx: Any, ct: Any) -> Any:
            return ct * factor

    return Double.apply


# -- gradcheck


def test_gradcheck_passes_what_is_right_and_what_is_nearly(torch_like: Any) -> None:
    check = torch_like.autograd.gradcheck
    x = torch_like.rand(2, 3, dtype=torch_like.float64, requires_grad=True)
    y = torch_like.rand(3, dtype=torch_like.float64, requires_grad=True)
    before = x.tolist()
    assert check(lambda a, b, c: (a * b.sin() * c, a.sum()), (x, y, 3.0))
    assert x.tolist() == before
    assert x.grad is None
    assert check(torch_like.sin, x[:1])
    assert check(doubled(torch_like, 2.0009), (x,))  # a tolerance of 1e-3
    assert not check(doubled(torch_like, 2.0009), (x,), rtol=1e-5, atol=0.0, raise_exception=False)


def test_gradcheck_says_what_is_wrong(torch_like: Any) -> None:
    check = torch_like.autograd.gradcheck
    x = torch_like.rand(3, dtype=torch_like.float64, requires_grad=True)
    with pytest.raises(RuntimeError, match="Jacobian mismatch for output 0 with respect to input 0,\nnumerical:tensor"):
        check(doubled(torch_like, 2.01), (x,))
    with pytest.raises(ValueError, match="at least one input tensor to require gradient"):
        check(torch_like.sin, (x.detach(),))
    with pytest.raises(RuntimeError, match="Numerical gradient for function expected to be zero"):
        check(lambda a: a.detach() * 2, (x,))
    with pytest.raises(RuntimeError, match="stride 0"):
        check(torch_like.sin, (x[:1].detach().expand(3).requires_grad_(),))
    with pytest.warns(UserWarning, match="not a double precision floating point"):
        check(torch_like.sin, (torch_like.rand(2, requires_grad=True),), raise_exception=False)
    count = iter(range(100))

    class Drifting(torch_like.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2

        @staticmethod
        def backward(ctx: Any, ct: Any) -> Any:
            return ct * (2 + 1e-7 * next(count))

    with pytest.raises(RuntimeError, match="Backward is not reentrant"):
        check(Drifting.apply, (x,))
    assert check(Drifting.apply, (x,), nondet_tol=1e-3)


def test_gradgradcheck(torch_like: Any) -> None:
    check = torch_like.autograd.gradgradcheck
    x = torch_like.rand(2, 2, dtype=torch_like.float64, requires_grad=True)
    assert check(lambda a: (a.exp() * a, a.sin().sum()), (x,))
    assert check(torch_like.exp, (x,), gen_non_contig_grad_outputs=True)
    assert check(torch_like.exp, x, torch_like.ones(2, 2, dtype=torch_like.float64, requires_grad=True))

    class Exp(torch_like.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x.exp()

        @staticmethod
        def backward(ctx: Any, ct: Any) -> Any:
            (x,) = ctx.saved_tensors
            return ct * x.detach().exp()

    assert torch_like.autograd.gradcheck(Exp.apply, (x,))
    with pytest.raises(RuntimeError, match="Jacobian mismatch"):
        check(Exp.apply, (x,))


# -- checkpoints


@pytest.mark.parametrize("reentrant", [True, False])
def test_a_checkpoint_gives_the_same_gradients_and_runs_the_function_twice(torch_like: Any, reentrant: bool) -> None:
    runs = []

    def function(a: Any, b: Any, k: int) -> Any:
        runs.append(torch_like.is_grad_enabled())
        return (a * b).sin() * k, a.exp()

    def gradients(call: Any) -> Any:
        a, b = (torch_like.tensor(v, requires_grad=True) for v in ([1.0, 2.0], [0.5, -1.0]))
        y, z = call(a, b)
        (y.sum() + (z * z).sum()).backward()
        return a.grad.tolist(), b.grad.tolist()

    plain = gradients(lambda a, b: function(a, b, 3))
    del runs[:]
    run = checkpoints(torch_like).checkpoint
    assert gradients(lambda a, b: run(function, a, b, 3, use_reentrant=reentrant)) == plain
    assert runs == [not reentrant, True]


def test_without_reentrance_grad_and_second_order_work(torch_like: Any) -> None:
    run = checkpoints(torch_like).checkpoint
    x = torch_like.tensor([0.5, 2.0], requires_grad=True)
    (g,) = torch_like.autograd.grad(run(lambda a: (a * a * a).sum(), x, use_reentrant=False), x, create_graph=True)
    (h,) = torch_like.autograd.grad(g.sum(), x)
    assert h.tolist() == [3.0, 12.0]
    y = run(lambda a: a.exp(), x, use_reentrant=False).sum()
    y.backward(retain_graph=True)
    first = x.grad.tolist()
    y.backward()
    assert x.grad.tolist() == [2 * v for v in first]
    reentrant = run(lambda a: a.exp(), x, use_reentrant=True).sum()
    with pytest.raises(
        RuntimeError, match=r"use_reentrant=True, torch.utils.checkpoint is incompatible with \.grad\(\)"
    ):
        torch_like.autograd.grad(reentrant, x)


@pytest.mark.parametrize("reentrant", [True, False])
def test_random_numbers_come_again(torch_like: Any, reentrant: bool) -> None:
    run = checkpoints(torch_like).checkpoint
    x = torch_like.ones(6, requires_grad=True)
    y = run(lambda a: a * torch_like.rand(6) * a, x, use_reentrant=reentrant)
    torch_like.rand(3)
    expected = (2 * y).tolist()
    y.sum().backward()
    assert x.grad.tolist() == pytest.approx(expected)


def test_a_function_that_does_something_else_is_told(torch_like: Any) -> None:
    run, error = checkpoints(torch_like).checkpoint, checkpoints(torch_like).CheckpointError
    x = torch_like.ones(2, requires_grad=True)
    for other, phrase in (
        (lambda a: a.sum() * 1, "different number of tensors was saved|Recomputed values"),
        (lambda a: (a[:1] * a[:1]).expand(2), "different metadata"),
    ):
        turns = iter([lambda a: a * a, other])
        y = run(lambda a, turns=turns: next(turns)(a), x, use_reentrant=False)
        with pytest.raises(error, match=phrase):
            y.sum().backward()


def test_what_checkpoints_refuse(torch_like: Any) -> None:
    run = checkpoints(torch_like).checkpoint
    x = torch_like.ones(2, requires_grad=True)
    with pytest.raises(ValueError, match="Unexpected keyword arguments: k"):
        run(torch_like.exp, x, use_reentrant=True, k=3)
    with pytest.raises(ValueError, match="only supported when"):
        run(torch_like.exp, x, use_reentrant=True, debug=True)
    with pytest.warns(UserWarning, match="use_reentrant"):
        run(torch_like.exp, x)
    with pytest.warns(UserWarning, match="None of the inputs have requires_grad=True"):
        run(torch_like.exp, x.detach(), use_reentrant=True)


@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpoints_of_a_sequence(torch_like: Any, reentrant: bool) -> None:
    run = checkpoints(torch_like).checkpoint_sequential
    x = torch_like.tensor([0.5, 2.0], requires_grad=True)
    functions = [torch_like.sin, torch_like.exp, torch_like.cos, torch_like.tanh, torch_like.exp]
    run(functions, 2, x, use_reentrant=reentrant).sum().backward()
    z = x.detach().requires_grad_()
    y = z
    for function in functions:
        y = function(y)
    y.sum().backward()
    assert x.grad.tolist() == pytest.approx(z.grad.tolist())


# -- states, modes, shapes


def test_the_state_of_random_numbers(torch_like: Any) -> None:
    state = torch_like.get_rng_state()
    assert state.dtype == torch_like.uint8
    first = torch_like.rand(3).tolist()
    torch_like.set_rng_state(state)
    assert torch_like.rand(3).tolist() == first
    own = torch_like.Generator().manual_seed(3)
    state = own.get_state()
    first = torch_like.rand(3, generator=own).tolist()
    assert torch_like.rand(3, generator=own.set_state(state)).tolist() == first
    with pytest.raises(TypeError):
        torch_like.set_rng_state("state")


def test_threads_of_backward_are_a_mode(torch_like: Any) -> None:
    autograd = torch_like.autograd
    x = torch_like.ones(2, requires_grad=True)
    assert autograd.is_multithreading_enabled()
    with autograd.set_multithreading_enabled(False):
        assert not autograd.is_multithreading_enabled()
        (x * 2).sum().backward()

    assert autograd.is_multithreading_enabled()

    @autograd.grad_mode.set_multithreading_enabled(False)  # type: ignore[untyped-decorator]
    def inside() -> Any:
        return autograd.is_multithreading_enabled()

    assert not autograd.is_multithreading_enabled()  # PyTorch sets it at once, here too
    autograd.set_multithreading_enabled(True)
    assert (inside(), autograd.is_multithreading_enabled()) == (False, True)


def test_parts_of_a_shape_are_shapes(torch_like: Any) -> None:
    shape = torch_like.ones(2, 3, 4).shape
    parts = (shape[:2], shape[1:], shape + (5,), (1,) + shape, shape * 2)  # noqa: RUF005 - the operators are what is asked
    assert all(type(part) is torch_like.Size for part in parts)
    assert [tuple(part) for part in parts] == [(2, 3), (3, 4), (2, 3, 4, 5), (1, 2, 3, 4), (2, 3, 4) * 2]
    assert shape[:2].numel() == 6
    assert shape[0] == 2
