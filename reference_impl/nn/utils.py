"""`torch.nn.utils`: gradients clipped in place, and the elements of many tensors in one vector."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from reference_impl.factories import tensor
from reference_impl.functions import cat, stack, vector_norm
from reference_impl.modes import no_grad
from reference_impl.tensor import Tensor

__all__ = [
    "clip_grad_norm_",
    "clip_grad_value_",
    "clip_grads_with_norm_",
    "get_total_norm",
    "parameters_to_vector",
    "vector_to_parameters",
]

Tensors = Tensor | Iterable[Tensor]

ROOM = 1e-6
"""What PyTorch adds to the norm that it divides by."""


@no_grad()
def get_total_norm(
    tensors: Tensors, norm_type: float = 2.0, error_if_nonfinite: bool = False, foreach: bool | None = None
) -> Tensor:
    """The norm of all elements of the tensors as of one vector: that of the norms of each. 0 of none.

    Args:
        norm_type: the p of the norm; inf for the largest magnitude.
        foreach: taken and of no effect.

    Raises:
        RuntimeError: `error_if_nonfinite`, and the norm is inf or nan.
    """
    order = float(norm_type)
    every = _several(tensors)
    if not every:
        return tensor(0.0)
    total = vector_norm(stack([vector_norm(x, order) for x in every]), order)
    if error_if_nonfinite and not math.isfinite(total.item()):
        raise RuntimeError(
            f"The total norm of order {order} for gradients from `parameters` is non-finite, so it cannot be clipped: "
            f"{total.item()}. `error_if_nonfinite=False` scales the gradients by it anyway"
        )
    return total


@no_grad()
def clip_grad_norm_(
    parameters: Tensors,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale the gradients in place so that the norm of all of them is at most `max_norm`; return what it was.

    Raises:
        RuntimeError: `error_if_nonfinite`, and the norm is inf or nan; no gradient has been scaled then.
    """
    every = _several(parameters)
    total: Tensor = get_total_norm(
        [p.grad for p in every if p.grad is not None], norm_type, error_if_nonfinite, foreach
    )
    clip_grads_with_norm_(every, max_norm, total, foreach)
    return total


@no_grad()
def clip_grads_with_norm_(
    parameters: Tensors, max_norm: float, total_norm: Tensor, foreach: bool | None = None
) -> None:
    """Scale the gradients in place by max_norm / total_norm where that is less than 1."""
    factor: Any = (float(max_norm) / (total_norm + ROOM)).clamp(max=1.0)
    for p in _several(parameters):
        if p.grad is not None:
            p.grad.mul_(factor)


@no_grad()
def clip_grad_value_(parameters: Tensors, clip_value: float, foreach: bool | None = None) -> None:
    """Limit the elements of the gradients to [-clip_value, clip_value], in place."""
    limit = float(clip_value)
    for p in _several(parameters):
        if p.grad is not None:
            p.grad.clamp_(min=-limit, max=limit)


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """The elements of all parameters, one after the other, in one dimension; differentiable.

    Raises:
        ValueError: there are none.
    """
    out: Tensor = cat([p.reshape(-1) for p in parameters])
    return out


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Make the `data` of each parameter a view of its part of a vector; what is left of the vector is ignored.

    Raises:
        TypeError: `vec` is no tensor.
        RuntimeError: it has too few elements.
    """
    if not isinstance(vec, Tensor):
        raise TypeError(f"expected torch.Tensor, but got: {type(vec).__name__}")
    start = 0
    for p in parameters:
        count = p.numel()
        p.data = vec[start : start + count].view(tuple(p.shape)).data
        start += count


def _several(tensors: Tensors) -> list[Tensor]:
    return [tensors] if isinstance(tensors, Tensor) else list(tensors)
