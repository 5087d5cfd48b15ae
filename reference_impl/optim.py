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

from collections.abc import Callable, Iterable
from typing import Any

from reference_impl.modes import enable_grad, no_grad
from reference_impl.tensor import Tensor
from reference_impl.uncovered import teller_of

__all__ = ["SGD"]


class SGD:
    """Gradient descent, with momentum if asked for.

    Args:
        params: the leaves to update, or dicts of ``params`` and of what differs for them.
        lr: the rate.
        momentum: the factor of the running sum of gradients.
        dampening: how much of a gradient stays out of that sum.
        weight_decay: how much of a parameter is added to its gradient.
        nesterov: look ahead along the running sum (Sutskever et al. 2013).
        maximize: climb.

    Attributes:
        param_groups: the dicts; a schedule may change them.
        state: what is kept of each parameter.

    Raises:
        ValueError: there are no parameters, or a negative rate, momentum or decay.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        for name, value in (("learning rate", lr), ("momentum value", momentum), ("weight_decay value", weight_decay)):
            if value < 0:
                raise ValueError(f"Invalid {name}: {value}")
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        self.defaults: dict[str, Any] = {
            **{"lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay},
            **{"nesterov": nesterov, "maximize": maximize},
        }
        self.param_groups: list[dict[str, Any]] = []
        self.state: dict[Tensor, dict[str, Any]] = {}
        given = [params] if isinstance(params, Tensor) else list(params)
        if not given:
            raise ValueError("optimizer got an empty parameter list")
        groups: list[dict[str, Any]] = given if isinstance(given[0], dict) else [{"params": given}]  # type: ignore[assignment]
        for group in groups:
            self.add_param_group(group)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Update more parameters, with the defaults where the group says nothing else.

        Raises:
            TypeError: something is no tensor.
            ValueError: one is no leaf.
        """
        params = param_group["params"]
        listed = [params] if isinstance(params, Tensor) else list(params)
        for x in listed:
            if not isinstance(x, Tensor):
                raise TypeError(f"optimizer can only optimize Tensors, but one of the params is {type(x).__name__}")
            if not x.is_leaf:
                raise ValueError("can't optimize a non-leaf Tensor")
        self.param_groups.append({**self.defaults, **param_group, "params": listed})

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients, or fill them with zeros, cut off from the graph that made them."""
        for x in (x for group in self.param_groups for x in group["params"]):
            if set_to_none:
                x.grad = None
            elif x.grad is not None:
                if x.grad.grad_fn is not None:
                    x.grad.detach_()
                else:
                    x.grad.requires_grad_(False)
                x.grad.zero_()

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update each parameter that has a gradient, in place; of a closure, which makes the gradients, return the loss."""
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        with no_grad():
            for group in self.param_groups:
                for x in group["params"]:
                    if x.grad is not None:
                        x.sub_(self._direction(x, group) * group["lr"])
        return loss

    def _direction(self, x: Tensor, group: dict[str, Any]) -> Any:
        g: Any = x.grad
        g = -g if group["maximize"] else g
        if group["weight_decay"]:
            g = g + x * group["weight_decay"]
        momentum = group["momentum"]
        if not momentum:
            return g
        kept = self.state.setdefault(x, {})
        before = kept.get("momentum_buffer")
        kept["momentum_buffer"] = running = (
            g.clone() if before is None else before * momentum + g * (1 - group["dampening"])
        )
        return g + running * momentum if group["nesterov"] else running

    def state_dict(self) -> dict[str, Any]:
        """Return the groups and what is kept, with numbers for parameters."""
        numbers = {x: i for i, x in enumerate(x for group in self.param_groups for x in group["params"])}
        groups = [{**group, "params": [numbers[x] for x in group["params"]]} for group in self.param_groups]
        return {"state": {numbers[x]: dict(kept) for x, kept in self.state.items()}, "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` returned of the same groups.

        Raises:
            ValueError: the groups have other sizes.
        """
        groups = state_dict["param_groups"]
        if [len(g["params"]) for g in groups] != [len(g["params"]) for g in self.param_groups]:
            raise ValueError(
                "loaded state dict contains a parameter group that doesn't match the size of optimizer's group"
            )
        parameters = [x for group in self.param_groups for x in group["params"]]
        self.param_groups = [
            {**new, "params": old["params"]} for new, old in zip(groups, self.param_groups, strict=True)
        ]
        self.state = {parameters[i]: dict(kept) for i, kept in state_dict["state"].items()}


__getattr__ = teller_of(__name__)
