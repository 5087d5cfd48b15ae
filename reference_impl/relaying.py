"""In-place operations that move no number: `t_`, `squeeze_` and the like give a tensor another shape over its memory.

The tensor object becomes the view that the out-of-place op returns, and keeps its identity. Where others look at its
memory, a new object takes its old place as the base of them all, so that their paths still begin where they began.

>>> import reference_impl as torch
>>> x = torch.tensor([[1.0, 2.0, 3.0]])
>>> row = x[0]
>>> x.t_().shape
torch.Size([3, 1])
>>> x.mul_(10.0)[2, 0], row
(tensor(30.), tensor([10., 20., 30.]))
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from reference_impl import functions
from reference_impl.inplace import check_history
from reference_impl.modes import enable_grad, mode
from reference_impl.tensor import Tensor

__all__ = ["RELAID"]


def _unshared() -> int:
    x = Tensor(0)
    return sys.getrefcount(x.storage)


UNSHARED = _unshared()
"""What Python counts for a storage that one tensor has."""


def _relaid(name: str) -> Callable[..., Tensor]:
    op = getattr(functions, name)

    def method(x: Tensor, *args: Any, **params: Any) -> Tensor:
        check_history(x)
        alone = x._view is None and sys.getrefcount(x.storage) == UNSHARED
        with enable_grad():  # so that others' paths can be followed through it
            new = op(x if x._view is not None else _in_place_of(x), *args, **params)
        x.array = new.array
        x.storage.version += 1
        if not alone:
            x._view = new._view
            if x._view is not None:
                x._view.version = x.storage.version
        if mode.enabled and new._requires_grad:
            x._node, x._requires_grad = new._node, True
        return x

    method.__name__ = method.__qualname__ = f"{name}_"
    method.__doc__ = f"Give x the shape that `{name}` gives, over the same memory, and return x."
    return method


def _in_place_of(x: Tensor) -> Tensor:
    """Return another tensor of the same memory and history, which can be the base of what x was the base of.

    A leaf stays the leaf that it is: nothing leads from the other one to it.
    """
    base = Tensor(x.array, x._node)
    base.storage = x.storage
    return base


RELAID: dict[str, Callable[..., Tensor]] = {
    f"{name}_": _relaid(name) for name in "as_strided squeeze swapaxes swapdims t transpose unsqueeze".split()
}
