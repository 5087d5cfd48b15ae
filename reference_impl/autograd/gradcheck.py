"""PyTorch's own check of gradients, for its users: differences of values, and PyTorch's tolerances.

It passes a rule that is wrong by 0.05 %. What proves a gradient is `harness.check_gradients`, which takes the same functions.

>>> import reference_impl as torch
>>> x = torch.ones(2, dtype=torch.float64, requires_grad=True)
>>> gradcheck(lambda x: x.sin() * 2, (x,))
True
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from reference_impl.engine import grad
from reference_impl.functions import allclose
from reference_impl.random import randn
from reference_impl.tensor import Tensor

__all__ = ["GradcheckError", "gradcheck", "gradgradcheck"]


class GradcheckError(RuntimeError):
    """A gradient that differences of values do not bear out."""


def gradcheck(
    func: Callable[..., Any],
    inputs: Tensor | Sequence[Any],
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
    masked: bool | None = None,
) -> bool:
    """Compare the Jacobian that backward gives with central differences.

    Args:
        func: of the inputs; returns a tensor or several.
        inputs: those that require grad are moved; float64 ones, since differences have half the digits.
        eps: how far.
        atol, rtol: elements may differ by atol + rtol * |numerical|.
        raise_exception: raise what is wrong; else return False.
        nondet_tol: how far a second backward may differ.
        check_undefined_grad: outputs that get no cotangent must give no gradient or zeros.
        check_grad_dtypes: gradients must have the dtypes of their inputs.
        check_backward_ad: must be True; there is nothing else to check.
        fast_mode: taken for PyTorch's sake; whole Jacobians are compared here.
        masked: likewise: tensors are dense.

    Raises:
        GradcheckError: a gradient is wrong.
        ValueError: no input requires grad, or `check_backward_ad` is False.
        NotImplementedError: batches or forward mode are asked for, which the tape has not.
    """
    if check_batched_grad or check_batched_forward_grad or check_forward_ad:
        raise NotImplementedError(
            "gradcheck: check_batched_grad, check_batched_forward_grad and check_forward_ad are not supported by this tape"
        )
    if not check_backward_ad:
        raise ValueError("gradcheck: check_backward_ad is False, and there is no forward mode to check")
    given = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    try:
        _check(func, given, eps, atol, rtol, nondet_tol, check_undefined_grad, check_grad_dtypes)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Tensor | Sequence[Any],
    grad_outputs: Tensor | Sequence[Tensor] | None = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    gen_non_contig_grad_outputs: bool = False,
    raise_exception: bool = True,
    **options: Any,
) -> bool:
    """Compare the second derivatives with central differences of the first.

    Args:
        grad_outputs: cotangents of the outputs; random ones by default.
        gen_non_contig_grad_outputs: lay random ones out with gaps.
        func, inputs, eps, atol, rtol, raise_exception, options: as for `gradcheck`.

    Raises:
        GradcheckError: a second derivative is wrong.
    """
    given = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    if grad_outputs is None:
        cotangents = []
        for y in _differentiable(func(*given)):
            double = (*y.shape[:-1], 2 * y.shape[-1]) if gen_non_contig_grad_outputs and y.ndim else tuple(y.shape)
            ct = randn(*double, dtype=y.dtype)
            cotangents.append((ct[..., ::2] if double != tuple(y.shape) else ct).requires_grad_())
    else:
        cotangents = [grad_outputs] if isinstance(grad_outputs, Tensor) else list(grad_outputs)
    count = len(cotangents)

    def first(*args: Any) -> tuple[Tensor, ...]:
        moved, seeds = args[:-count], args[-count:]
        wanted = [x for x in moved if isinstance(x, Tensor) and x.requires_grad]
        grads = grad(_differentiable(func(*moved)), wanted, seeds, create_graph=True, allow_unused=True)
        return tuple([g for g in grads if g is not None])

    return gradcheck(
        first, (*given, *cotangents), eps=eps, atol=atol, rtol=rtol, raise_exception=raise_exception, **options
    )


def _differentiable(outputs: Any) -> list[Tensor]:
    listed = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    return [y for y in listed if isinstance(y, Tensor) and y.requires_grad]


def _check(
    func: Callable[..., Any],
    given: tuple[Any, ...],
    eps: float,
    atol: float,
    rtol: float,
    nondet_tol: float,
    check_undefined_grad: bool,
    check_grad_dtypes: bool,
) -> None:
    moving = [(k, x) for k, x in enumerate(given) if isinstance(x, Tensor) and x.requires_grad]
    if not moving:
        raise ValueError(
            "gradcheck expects at least one input tensor to require gradient, but none of them have requires_grad=True."
        )
    for k, x in moving:
        if x.array.dtype != np.float64:
            warnings.warn(
                f"Input #{k} requires gradient and is not a double precision floating point. This check will likely fail if "
                "all the inputs are not of double precision floating point. ",
                stacklevel=4,
            )
        if any(step == 0 and n > 1 for step, n in zip(x.array.strides, x.array.shape, strict=True)):
            raise RuntimeError(
                f"The {k}th input has a dimension with stride 0. gradcheck only supports inputs that are non-overlapping"
            )
    returned = func(*given)
    outputs = _differentiable(returned)
    if not outputs:
        for found in _numerical(
            func, given, moving, eps, lambda y: isinstance(y, Tensor) and y.array.dtype.kind == "f"
        ):
            if any(np.any(j) for j in found):
                raise GradcheckError("Numerical gradient for function expected to be zero")
        return
    wanted = [x for _, x in moving]
    numerical = _numerical(func, given, moving, eps, lambda y: isinstance(y, Tensor) and y.requires_grad)
    for o, y in enumerate(outputs):
        analytical, again = (_analytical(y, wanted, check_grad_dtypes) for _ in range(2))
        for i, (a, b, n) in enumerate(zip(analytical, again, (row[o] for row in numerical), strict=True)):
            if not allclose(Tensor(a), Tensor(n), rtol, atol):
                raise GradcheckError(
                    f"Jacobian mismatch for output {o} with respect to input {i},\n"
                    f"numerical:{Tensor(n)}\nanalytical:{Tensor(a)}\n"
                )
            if not allclose(Tensor(a), Tensor(b), 0.0, nondet_tol, equal_nan=True):
                raise GradcheckError(
                    "Backward is not reentrant, i.e., running backward with same input and grad_output multiple times gives "
                    f"different values, although analytical gradient matches numerical gradient. The tolerance for "
                    f"nondeterminism was {nondet_tol}."
                )
    if check_undefined_grad and len(outputs) > 1:
        _check_undefined(func, given, moving)


def _analytical(y: Tensor, wanted: Sequence[Tensor], check_dtypes: bool) -> list[Any]:
    """The Jacobian of one output with respect to each input, (elements of the input, elements of the output)."""
    columns: list[list[Any]] = [[] for _ in wanted]
    for index in np.ndindex(tuple(y.shape)):
        seed = np.zeros(tuple(y.shape), y.array.dtype)
        seed[index] = 1
        for column, x, g in zip(
            columns, wanted, grad(y, wanted, Tensor(seed), retain_graph=True, allow_unused=True), strict=True
        ):
            if g is not None and check_dtypes and g.dtype != x.dtype:
                raise GradcheckError("Gradient has dtype mismatch")
            column.append(np.zeros(x.array.size) if g is None else g.array.reshape(-1).astype(np.float64))
    return [np.array(c).reshape(len(c), x.array.size).T for c, x in zip(columns, wanted, strict=True)]


def _numerical(
    func: Callable[..., Any],
    given: tuple[Any, ...],
    moving: Sequence[tuple[int, Tensor]],
    eps: float,
    wanted: Callable[[Any], bool],
) -> list[list[Any]]:
    """The Jacobian of each output with respect to each input, by central differences of the wanted outputs."""

    def values() -> list[Any]:
        returned = func(*given)
        listed = [returned] if isinstance(returned, Tensor) else list(returned)
        return [y.detach().array.reshape(-1).astype(np.float64) for y in listed if wanted(y)]

    found: list[list[Any]] = []
    for _, x in moving:
        rows: list[list[Any]] = []
        for index in np.ndindex(tuple(x.shape)):
            before = float(x.array[index])
            sides = []
            for sign in (1, -1):
                x.array[index] = before + sign * eps  # past the version counter: what was recorded is still good
                sides.append(values())
            x.array[index] = before
            rows.append([(up - down) / (2 * eps) for up, down in zip(*sides, strict=True)])
        width = [len(v) for v in values()]
        found.append([np.array([r[o] for r in rows]).reshape(x.array.size, n) for o, n in enumerate(width)])
    return found


def _check_undefined(func: Callable[..., Any], given: tuple[Any, ...], moving: Sequence[tuple[int, Tensor]]) -> None:
    """Ask for each output alone, the others without a cotangent: their part must be nothing or zero."""
    wanted = [x for _, x in moving]
    for o in range(len(_differentiable(func(*given)))):
        outputs = _differentiable(func(*given))
        whole = [np.zeros(y.array.shape, y.array.dtype) for y in outputs]
        whole[o][...] = 1
        alone = grad(outputs[o], wanted, Tensor(whole[o]), retain_graph=True, allow_unused=True)
        zeros = grad(outputs, wanted, [Tensor(w) for w in whole], allow_unused=True)
        for a, b in zip(alone, zeros, strict=True):
            one, other = np.broadcast_arrays(*[np.zeros(()) if g is None else g.array for g in (a, b)])
            if not np.array_equal(one, other, equal_nan=True):  # a zero changes no sum
                raise GradcheckError(
                    "Expected backward function to handle undefined output grads: what one output alone gives differs from "
                    "what it gives with zeros for the others."
                )
