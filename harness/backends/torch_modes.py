"""Forward and reverse mode of PyTorch in one another: products of a Hessian with directions, by each composition.

Dual tensors serve where one forward mode is enough, as they take old-fashioned autograd functions, too; two of them in one
another exist in `torch.func` alone.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.autograd.forward_ad as _dual_numbers

__all__ = ["COMPOSED", "has_own_rules", "nests_own_rules"]

Total = Callable[..., Any]
_dual: Any = _dual_numbers


def _duals(xs: Sequence[Any], along: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    leaves = [x.detach().requires_grad_() for x in xs]
    return leaves, [_dual.make_dual(x, d) for x, d in zip(leaves, along, strict=True)]


def _forward_over_reverse(total: Total, xs: Sequence[Any], along: Sequence[Any], across: Sequence[Any]) -> list[Any]:
    with _dual.dual_level():
        leaves, duals = _duals(xs, along)
        grads = torch.autograd.grad(total(*duals), leaves, create_graph=True, allow_unused=True)
        return [None if g is None else _dual.unpack_dual(g).tangent for g in grads]


def _reverse_over_forward(total: Total, xs: Sequence[Any], along: Sequence[Any], across: Sequence[Any]) -> list[Any]:
    with _dual.dual_level():
        leaves, duals = _duals(xs, along)
        slope = _dual.unpack_dual(total(*duals)).tangent
        if slope is None or not slope.requires_grad:
            return [None] * len(leaves)
        return list(torch.autograd.grad(slope, leaves, allow_unused=True))


def _forward_over_forward(total: Total, xs: Sequence[Any], along: Sequence[Any], across: Sequence[Any]) -> Any:
    def slope(*points: Any) -> Any:
        return torch.func.jvp(total, points, tuple(along))[1]

    return torch.func.jvp(slope, tuple(xs), tuple(across))[1]


COMPOSED: dict[str, Callable[..., Any]] = {
    "forward over reverse": _forward_over_reverse,
    "reverse over forward": _reverse_over_forward,
    "forward over forward": _forward_over_forward,
}
"""Each takes a function with one number as its result, the point, and two directions: H along for the first two, a list in
which None stands for zeros; across' H along for the third."""


def has_own_rules(outputs: Sequence[Any]) -> bool:
    """Whether a recorded graph applies the backward of a Python function."""
    waiting = [y.grad_fn for y in outputs if y.grad_fn is not None]
    met = set(waiting)
    while waiting:
        node = waiting.pop()
        if isinstance(node, torch.autograd.function.BackwardCFunction):
            return True
        for other, _ in node.next_functions:
            if other is not None and other not in met:
                met.add(other)
                waiting.append(other)
    return False


class _Square(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Any) -> Any:
        return x * x

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx: Any, ct: Any) -> Any:
        (x,) = ctx.saved_tensors
        return 2 * x * ct

    @staticmethod
    def jvp(ctx: Any, dx: Any) -> Any:
        (x,) = ctx.saved_tensors
        return 2 * x * dx


@functools.cache
def nests_own_rules() -> bool:
    """Whether this PyTorch differentiates the `jvp` of a Python function again in forward mode; 2.13 does not."""
    x = torch.tensor(3.0, dtype=torch.float64)
    one = torch.ones_like(x)
    return bool(_forward_over_forward(_Square.apply, [x], [one], [one]).item() == 2.0)
