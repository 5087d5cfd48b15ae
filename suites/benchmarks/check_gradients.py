"""How long `check_gradients` takes beside `torch.autograd.gradcheck` in its slow and fast mode.

    python -m suites.benchmarks.check_gradients --sizes 100 1000 4000

The function is a custom one of ten operators, with a right backward, in float64. Each row is the median of interleaved
rounds, in seconds, after imports and one call of each. The function of JAX (`custom_vjp`) is another object in each round,
so that it is traced and compiled each time.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

__all__ = ["main"]


def function() -> Any:
    """A custom function of ten operators."""
    import torch

    class Ten(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return (x.sin() * x.exp() + (x * x + 1).log()) / (x.tanh() + 2) - x.cos()

        @staticmethod
        def backward(ctx: Any, ct: Any) -> Any:
            (x,) = ctx.saved_tensors
            top = x.sin() * x.exp() + (x * x + 1).log()
            inner = (x.sin() + x.cos()) * x.exp() + 2 * x / (x * x + 1)
            low = x.tanh() + 2
            return ct * (inner / low - top * (1 - x.tanh() ** 2) / low**2 + x.sin())

    return Ten.apply


def function_of_jax() -> Any:
    """The same as a `custom_vjp`."""
    import jax
    import jax.numpy as jnp

    def forward(x: Any) -> Any:
        return (jnp.sin(x) * jnp.exp(x) + jnp.log(x * x + 1)) / (jnp.tanh(x) + 2) - jnp.cos(x)

    def backward(x: Any, ct: Any) -> Any:
        top = jnp.sin(x) * jnp.exp(x) + jnp.log(x * x + 1)
        inner = (jnp.sin(x) + jnp.cos(x)) * jnp.exp(x) + 2 * x / (x * x + 1)
        low = jnp.tanh(x) + 2
        return (ct * (inner / low - top * (1 - jnp.tanh(x) ** 2) / low**2 + jnp.sin(x)),)

    ten = jax.custom_vjp(lambda x: forward(x))
    ten.defvjp(lambda x: (forward(x), x), backward)
    return ten


def seconds(call: Callable[[], Any]) -> float:
    """How long one call takes."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def main() -> None:
    """Print one row a size."""
    import torch

    from harness import check_gradients

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 1000, 4000])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    fn = function()
    for n in options.sizes:
        x = torch.linspace(-2, 2, n, dtype=torch.float64).requires_grad_()
        calls = {
            "check_gradients": lambda x=x: check_gradients(fn, x),
            "check_gradients, example alone": lambda x=x: check_gradients(fn, x, around=False),
            "gradcheck slow": lambda x=x: torch.autograd.gradcheck(fn, (x,)),
            "gradcheck fast": lambda x=x: torch.autograd.gradcheck(fn, (x,), fast_mode=True),
            "check_gradients on JAX": lambda x=x: check_gradients(function_of_jax(), x.detach().numpy()),
        }
        taken: dict[str, list[float]] = {name: [] for name in calls}
        for k in range(options.rounds + 1):
            for name, call in calls.items():
                spent = seconds(call)
                if k:
                    taken[name].append(spent)
        row = ", ".join(f"{name} {statistics.median(s):.3f} s" for name, s in taken.items())
        print(f"{n} elements: {row}")


if __name__ == "__main__":
    main()
