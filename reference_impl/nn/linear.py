"""Linear layers: products with a weight, plus a bias."""

from __future__ import annotations

from reference_impl.ops.contraction import matmul
from reference_impl.ops.elementwise import add
from reference_impl.ops.movement import transpose
from reference_impl.products import einsum
from reference_impl.tensor import Tensor, rename

__all__ = ["bilinear", "linear"]


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """input @ weight.T + bias, with a weight of shape (out, in) or (in,)."""
    product = matmul(input, weight if weight.array.ndim == 1 else transpose(weight, dim0=-1, dim1=-2))
    if bias is None:
        return product  # type: ignore[no-any-return]
    out: Tensor = add(product, bias)
    rename(out._node, "AddmmBackward0")
    return out


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """The sums over i, j of input1[..., i] * weight[o, i, j] * input2[..., j], plus a bias.

    Raises:
        RuntimeError: the shapes do not fit.
    """
    if input1.array.shape[:-1] != input2.array.shape[:-1]:
        raise RuntimeError(
            f"bilinear(): input batch dimensions do not match: got {list(input1.shape)} and {list(input2.shape)}"
        )
    if weight.array.shape[1:] != (input1.array.shape[-1], input2.array.shape[-1]):
        raise RuntimeError(
            f"bilinear(): weight has shape {list(weight.shape)}, the inputs have {input1.array.shape[-1]} and "
            f"{input2.array.shape[-1]} features"
        )
    half = einsum("...i,oij->...oj", input1, weight)
    y = einsum("...oj,...j->...o", half, input2)
    out: Tensor = y if bias is None else add(y, bias)
    return out
