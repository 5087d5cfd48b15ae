"""Checkpoints: forward keeps the inputs alone, and backward runs the function again for what its ops would have saved.

>>> import reference_impl as torch
>>> x = torch.ones(2, requires_grad=True)
>>> y = checkpoint(lambda a: a.exp().sin(), x, use_reentrant=False)
>>> y.sum().backward()
>>> x.grad
tensor([-2.4784, -2.4784])
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

from reference_impl import engine
from reference_impl.autograd.function import Function
from reference_impl.modes import enable_grad, no_grad
from reference_impl.random import get_rng_state, set_rng_state
from reference_impl.saving import saved_tensors_hooks
from reference_impl.tensor import Tensor

__all__ = ["CheckpointError", "checkpoint", "checkpoint_sequential"]

Contexts = Callable[[], tuple[AbstractContextManager[Any], AbstractContextManager[Any]]]


class CheckpointError(RuntimeError):
    """The function did something else when it ran again."""


def noop_context_fn() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """Two contexts that do nothing."""
    return contextlib.nullcontext(), contextlib.nullcontext()


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    context_fn: Contexts = noop_context_fn,
    determinism_check: str = "default",
    debug: bool = False,
    early_stop: bool = True,
    preserve_rng_state: bool = True,
    **kwargs: Any,
) -> Any:
    """Run a function without keeping what its ops save; backward runs it again.

    Args:
        function: of the arguments. It must do the same when it runs again.
        args: of the function.
        use_reentrant: True hides the function from the graph: its own backward runs inside the outer one, which then works
            for ``backward()`` alone. False stands for hooks of saved tensors, which work everywhere. To leave it out is
            deprecated and means True.
        context_fn: makes one context for the function and one for its second run; without reentrance only.
        determinism_check: "default" compares shapes and dtypes of what both runs save, "none" does not.
        debug: taken for PyTorch's sake; errors here say all there is.
        early_stop: likewise: the second run always ends.
        preserve_rng_state: the second run draws the same random numbers.
        kwargs: of the function, without reentrance.

    Raises:
        ValueError: an option that the way chosen has not.
        CheckpointError: in backward, if the second run saved something else.
    """
    if use_reentrant is None:
        warnings.warn(
            "torch.utils.checkpoint: the use_reentrant parameter should be passed explicitly. use_reentrant=False is "
            "recommended; True is what is taken.",
            stacklevel=2,
        )
        use_reentrant = True
    if determinism_check not in ("default", "none"):
        raise ValueError(f"determinism_check should be one of ['default', 'none'] but got {determinism_check}")
    if not use_reentrant:
        return _with_hooks(function, args, kwargs, context_fn, determinism_check != "none", preserve_rng_state)
    if kwargs:
        raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
    if context_fn is not noop_context_fn or debug:
        raise ValueError("Passing `context_fn` or `debug` is only supported when use_reentrant=False.")
    if not any(isinstance(a, Tensor) and a.requires_grad for a in args):
        warnings.warn("None of the inputs have requires_grad=True. Gradients will be None", stacklevel=2)
    return _Reentrant.apply(function, preserve_rng_state, *args)


def checkpoint_sequential(
    functions: Sequence[Callable[..., Any]],
    segments: int,
    input: Any,
    use_reentrant: bool | None = None,
    **kwargs: Any,
) -> Any:
    """Run functions one after the other, all but the last segment of them under checkpoints.

    Args:
        functions: each takes what the one before returned.
        segments: how many parts the sequence is cut into.
        input: of the first.
        use_reentrant, kwargs: as for `checkpoint`.
    """

    def run(start: int, end: int) -> Callable[[Any], Any]:
        def piece(x: Any) -> Any:
            for function in functions[start:end]:
                x = function(x)
            return x

        return piece

    length = len(functions) // segments
    end = 0
    for start in range(0, length * (segments - 1), length):
        end = start + length
        input = checkpoint(run(start, end), input, use_reentrant=use_reentrant, **kwargs)
    return run(end, len(functions))(input)


@contextlib.contextmanager
def _random_numbers_from(state: Tensor | None) -> Iterator[None]:
    """Draw from a state inside the block, and leave the numbers behind it as they were."""
    if state is None:
        yield
        return
    before = get_rng_state()
    set_rng_state(state)
    try:
        yield
    finally:
        set_rng_state(before)


def _with_hooks(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    context_fn: Contexts,
    checked: bool,
    preserve_rng_state: bool,
) -> Any:
    """Saved tensors are packed as numbers; the first that is unpacked has the function run again for all of them."""
    first, second = context_fn()
    state = get_rng_state() if preserve_rng_state else None
    saved: list[tuple[tuple[int, ...], Any]] = []
    made: dict[int, Tensor] = {}

    def pack(x: Tensor) -> int:
        saved.append((tuple(x.shape), x.dtype))
        return len(saved) - 1

    def unpack(number: int) -> Tensor:
        if number not in made:
            made.update(enumerate(again()))
        return made.pop(number)

    def again() -> list[Tensor]:
        found: list[Tensor] = []
        keeping = saved_tensors_hooks(lambda x: found.append(x.detach()), _never)
        with _random_numbers_from(state), second, enable_grad(), keeping:
            function(*args, **kwargs)
        if len(found) != len(saved):
            raise CheckpointError(
                "torch.utils.checkpoint: A different number of tensors was saved during the original forward and "
                f"recomputation.\nNumber of tensors saved during forward: {len(saved)}\n"
                f"Number of tensors saved during recomputation: {len(found)}."
            )
        differ = [k for k, (x, like) in enumerate(zip(found, saved, strict=True)) if (tuple(x.shape), x.dtype) != like]
        if checked and differ:
            raise CheckpointError(
                "torch.utils.checkpoint: Recomputed values for the following tensors have different metadata than during the "
                "forward pass.\n"
                + "\n".join(
                    f"tensor at position {k}: {saved[k]}, then {(*found[k].shape, found[k].dtype)}" for k in differ
                )
            )
        return found

    with first, saved_tensors_hooks(pack, unpack):
        return function(*args, **kwargs)


def _never(value: Any) -> Tensor:
    raise CheckpointError("torch.utils.checkpoint: the graph of a second run has no backward")


class _Reentrant(Function):
    """One node whose backward runs the function again, with its own backward inside."""

    @staticmethod
    def forward(ctx: Any, function: Callable[..., Any], preserve_rng_state: bool, *args: Any) -> Any:
        ctx.function, ctx.state = function, get_rng_state() if preserve_rng_state else None
        ctx.arguments = [None if isinstance(a, Tensor) else a for a in args]
        ctx.places = [k for k, a in enumerate(args) if isinstance(a, Tensor)]
        ctx.save_for_backward(*[args[k] for k in ctx.places])
        with no_grad():
            return function(*args)

    @staticmethod
    def backward(ctx: Any, *cotangents: Any) -> Any:
        running = engine.current_pass()
        if running is not None and not running.accumulate:
            raise RuntimeError(
                "When use_reentrant=True, torch.utils.checkpoint is incompatible with .grad() or passing an `inputs` "
                "parameter to .backward(). To resolve this error, you can either set use_reentrant=False, or call .backward() "
                "without passing the `inputs` argument."
            )
        given = list(ctx.arguments)
        for k, x in zip(ctx.places, ctx.saved_tensors, strict=True):
            given[k] = x.detach().requires_grad_(x.requires_grad)
        with _random_numbers_from(ctx.state), enable_grad():
            outputs = ctx.function(*given)
        pairs = [
            (y, ct)
            for y, ct in zip((outputs,) if isinstance(outputs, Tensor) else outputs, cotangents, strict=True)
            if isinstance(y, Tensor) and y.requires_grad
        ]
        if not pairs:
            raise RuntimeError("none of output has requires_grad=True, this checkpoint() is not necessary")
        roots, seeds = (list(side) for side in zip(*pairs, strict=True))
        engine.backward(roots, seeds)
        return (None, None, *(a.grad if isinstance(a, Tensor) else None for a in given))
