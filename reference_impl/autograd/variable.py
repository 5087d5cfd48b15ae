"""`Variable`, the name that tensors with gradients had before PyTorch 0.4. Old code still wraps its tensors in it."""

from __future__ import annotations

from typing import Any

from reference_impl.tensor import Tensor

__all__ = ["Variable"]


class _IsTensor(type):
    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Tensor)


class Variable(metaclass=_IsTensor):
    """``Variable(x)`` is a tensor with the memory of x and no history; every tensor is an instance.

    >>> import reference_impl as torch
    >>> x = torch.autograd.Variable(torch.ones(2), requires_grad=True)
    >>> x
    tensor([1., 1.], requires_grad=True)
    >>> isinstance(x, torch.autograd.Variable)
    True
    """

    def __new__(cls, data: Tensor, requires_grad: bool = False) -> Any:
        """Return the tensor.

        Raises:
            TypeError: `data` is no tensor.
        """
        if not isinstance(data, Tensor):
            raise TypeError(f"Variable data has to be a tensor, but got {type(data).__name__}")
        return data.detach().requires_grad_(requires_grad)
