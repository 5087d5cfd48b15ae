"""`torch.optim`: gradient descent, which is what a lesson needs to use the gradients that the tape gives.

>>> import reference_impl as torch
>>> w = torch.tensor([1.0, 2.0], requires_grad=True)
>>> descent = torch.optim.SGD([w], lr=0.5)
>>> (w * w).sum().backward()
>>> descent.step()
>>> w
tensor([0., 0.], requires_grad=True)
"""

from __future__ import annotations

from collections.abc import Iterable

from reference_impl.modes import no_grad
from reference_impl.tensor import Tensor
from reference_impl.uncovered import teller_of

__all__ = ["SGD"]


class SGD:
    """Gradient descent with a constant rate and optional momentum.

    Args:
        params: the leaves to update.
        lr: the rate.
        momentum: the factor of the running sum of gradients.

    Raises:
        ValueError: there are no parameters, or a negative rate or momentum.
    """

    def __init__(self, params: Iterable[Tensor], lr: float = 1e-3, momentum: float = 0.0) -> None:
        self.params = list(params)
        if not self.params:
            raise ValueError("optimizer got an empty parameter list")
        for name, value in (("learning rate", lr), ("momentum value", momentum)):
            if value < 0:
                raise ValueError(f"Invalid {name}: {value}")
        self.lr, self.momentum = lr, momentum
        self._running: dict[int, Tensor] = {}

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients, or fill them with zeros, cut off from the graph that made them."""
        for x in self.params:
            if set_to_none:
                x.grad = None
            elif x.grad is not None:
                if x.grad.grad_fn is not None:
                    x.grad.detach_()
                else:
                    x.grad.requires_grad_(False)
                x.grad.zero_()

    def step(self) -> None:
        """Update each parameter that has a gradient, in place."""
        with no_grad():
            for i, x in enumerate(self.params):
                g = x.grad
                if g is None:
                    continue
                if self.momentum:
                    running = self._running.get(i)
                    g = self._running[i] = g.clone() if running is None else running * self.momentum + g
                x.sub_(g * self.lr)


__getattr__ = teller_of(__name__)
