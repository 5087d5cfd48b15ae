"""Gradient edges: the place of a tensor in the graph, which stands for it where a backward begins or ends.

>>> import reference_impl as torch
>>> x = torch.tensor([1.0, 2.0], requires_grad=True)
>>> edge = torch.autograd.graph.get_gradient_edge(x * x)
>>> torch.autograd.grad(edge, x, grad_outputs=torch.ones(2))
(tensor([2., 4.]),)
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from reference_impl.tensor import AccumulateGrad, Node, Target, Tensor, accumulator, target_of

__all__ = ["GradientEdge", "get_gradient_edge", "root_at", "target_at"]


class _Place:
    """What an edge that was asked for knows: where it leads, and the shape and dtype of the tensor that it stands for."""

    __slots__ = ("array", "target")

    def __init__(self, x: Tensor) -> None:
        self.target = target_of(x)
        # Its elements share one number, so that the tensor's memory is not kept.
        self.array = np.broadcast_to(np.zeros((), x.array.dtype), x.array.shape)


class GradientEdge(NamedTuple):
    """The place of a tensor in the graph without the tensor.

    Attributes:
        node: a tensor's `grad_fn`, or the `AccumulateGrad` of a leaf, as `next_functions` gives them.
        output_nr: which of the node's outputs.
        ownership_token: keeps the graph alive; edges made by hand have none.
    """

    node: Any
    output_nr: int
    ownership_token: Any = None


def get_gradient_edge(tensor: Tensor) -> GradientEdge:
    """Return the tensor's place in the graph, which can stand for it in `backward` and `autograd.grad`.

    Raises:
        RuntimeError: the tensor does not require grad.
    """
    if not tensor.requires_grad:
        raise RuntimeError("It is not possible to get the gradient edge for a Tensor that does not require gradients")
    return GradientEdge(tensor.grad_fn or accumulator(tensor), tensor.output_nr, _Place(tensor))


def target_at(edge: GradientEdge) -> Target:
    """Return where the cotangent goes that arrives at an edge.

    Raises:
        TypeError: the edge's node is none.
    """
    if isinstance(edge.ownership_token, _Place):
        return edge.ownership_token.target
    if isinstance(edge.node, AccumulateGrad):
        return edge.node.variable
    if not isinstance(edge.node, Node):
        raise TypeError(f"the node of a GradientEdge must be a Node, got {type(edge.node).__name__}: {edge.node!r}")
    return edge.node.place(edge.output_nr)


def root_at(edge: GradientEdge, cotangent: Any) -> Tensor:
    """Return a tensor of the edge's shape and dtype in its place; an edge made by hand has those of the cotangent.

    Raises:
        RuntimeError: the edge was made by hand and there is no cotangent.
    """
    target = target_at(edge)
    if isinstance(target, Tensor):
        return target
    if isinstance(edge.ownership_token, _Place):
        return Tensor(edge.ownership_token.array, target)
    if not isinstance(cotangent, Tensor):
        raise RuntimeError(
            f"grad can be implicitly created only for scalar outputs, and {edge} does not know its shape"
        )
    return Tensor(cotangent.array, target)
