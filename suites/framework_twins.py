"""PyTorch and JAX ops whose derivative is wrong on purpose: each op's own value, and its own gradient with a defect.

`torch_twin` makes a `torch.autograd.Function`, `jax_twin` a `jax.custom_vjp`. `in_torch` and `in_jax` put a twin into a
backend's table of ops for a while, so that programs run through it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

__all__ = ["KINDS", "RIGHT", "Wrong", "in_jax", "in_torch", "jax_twin", "torch_twin"]

KINDS = ("right", "zero", "sign", "factor", "dropped element", "wrong argument", "missing sum")


@dataclass(frozen=True)
class Wrong:
    """What is wrong with the gradient of one argument; `kind` is one of KINDS, `size` that of a factor 1 + size."""

    kind: str
    argument: int = 0
    size: float = 0.0

    def __str__(self) -> str:
        return f"factor 1+{self.size:g}" if self.kind == "factor" else self.kind


RIGHT = Wrong("right")


def damaged(grads: Sequence[Any], wrong: Wrong, without_first: Callable[[Any], Any]) -> tuple[Any, ...]:
    """The gradients with the defect; operators are all that it needs of an array."""
    made = list(grads)
    i = wrong.argument
    match wrong.kind:
        case "zero":
            made[i] = made[i] * 0.0
        case "sign":
            made[i] = -made[i]
        case "factor":
            made[i] = made[i] * (1.0 + wrong.size)
        case "dropped element":
            made[i] = without_first(made[i])
        case "wrong argument":
            made[i] = made[1 - i]
    return tuple(made)


def torch_twin(op: Callable[..., Any], wrong: Wrong) -> Callable[..., Any]:
    """The op of PyTorch with a wrong gradient; tensors are its positional arguments."""
    import torch

    def without_first(g: Any) -> Any:
        g = g.clone()
        g.view(-1)[:1] = 0.0
        return g

    class Twin(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *xs: Any) -> Any:
            ctx.save_for_backward(*xs)
            return op(*xs)

        @staticmethod
        def backward(ctx: Any, ct: Any) -> Any:
            xs = [x.detach() for x in ctx.saved_tensors]
            if wrong.kind == "missing sum":
                xs[wrong.argument] = xs[wrong.argument].expand(ct.shape).clone()
            with torch.enable_grad():
                xs = [x.requires_grad_(x.is_floating_point()) for x in xs]
                floats = [x for x in xs if x.requires_grad]
                grads = list(torch.autograd.grad(op(*xs), floats, ct, allow_unused=True, materialize_grads=True))
            if wrong.kind == "missing sum":
                shape = ctx.saved_tensors[wrong.argument].shape
                grads[wrong.argument] = grads[wrong.argument][(0,) * (ct.ndim - len(shape))]
            given = iter(damaged(grads, wrong, without_first))
            return tuple(next(given) if x.requires_grad else None for x in xs)

    twin: Callable[..., Any] = Twin.apply
    return twin


def jax_twin(op: Callable[..., Any], wrong: Wrong) -> Callable[..., Any]:
    """The op of JAX with a wrong gradient."""
    import jax

    @jax.custom_vjp
    def twin(*xs: Any) -> Any:
        return op(*xs)

    def forward(*xs: Any) -> Any:
        return op(*xs), xs

    def backward(xs: Any, ct: Any) -> Any:
        wide = list(xs)
        if wrong.kind == "missing sum":
            wide[wrong.argument] = jax.numpy.broadcast_to(wide[wrong.argument], ct.shape)
        grads = list(jax.vjp(op, *wide)[1](ct))
        if wrong.kind == "missing sum":
            grads[wrong.argument] = grads[wrong.argument][(0,) * (ct.ndim - xs[wrong.argument].ndim)]
        return damaged(grads, wrong, lambda g: jax.numpy.asarray(g).reshape(-1).at[:1].set(0.0).reshape(g.shape))

    twin.defvjp(forward, backward)
    return twin


@contextmanager
def in_torch(name: str, wrong: Wrong) -> Iterator[None]:
    """Let programs on the backend "torch" run the twin of one op inside the block; tensors alone, no literals."""
    from harness.backends import torch_eager

    true = torch_eager.OPS[name]

    def op(*xs: Any, **params: Any) -> Any:
        if all(hasattr(x, "requires_grad") for x in xs):
            return torch_twin(lambda *ts: true(*ts, **params), wrong)(*xs)
        return true(*xs, **params)

    with _replaced(torch_eager.OPS, name, op, [torch_eager._evaluator]):
        yield


@contextmanager
def in_jax(name: str, wrong: Wrong) -> Iterator[None]:
    """As `in_torch` for the backends "jax" and "jax-jit"."""
    from harness.backends import jax_backend

    true = jax_backend.OPS[name]

    def op(*xs: Any, **params: Any) -> Any:
        if all(hasattr(x, "dtype") for x in xs):
            return jax_twin(lambda *ts: true(*ts, **params), wrong)(*xs)
        return true(*xs, **params)

    with _replaced(jax_backend.OPS, name, op, [jax_backend._eager, jax_backend._compiled]):
        yield


@contextmanager
def _replaced(table: dict[str, Any], name: str, op: Any, caches: Sequence[Any]) -> Iterator[None]:
    true = table[name]
    table[name] = op
    for cache in caches:
        cache.cache_clear()
    try:
        yield
    finally:
        table[name] = true
        for cache in caches:
            cache.cache_clear()
