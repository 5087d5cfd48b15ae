"""Defects in PyTorch's and JAX's ops while programs run: the twin of one op in a backend's table, for a while."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from harness.defects import Defect
from harness.defects.twins import Twin

__all__ = ["in_jax", "in_torch"]


@contextmanager
def in_torch(defect: Defect, *, planted: bool = True) -> Iterator[None]:
    """Let programs on the backend "torch" run the twin of one op inside the block; tensors alone, no literals."""
    from harness.backends import torch_eager
    from harness.backends.torch_twins import build

    op = _twin_of_tensors(build(Twin(defect, planted)), torch_eager.OPS[defect.op], "requires_grad")
    with _replaced(torch_eager.OPS, defect.op, op, [torch_eager._evaluator]):
        yield


@contextmanager
def in_jax(defect: Defect, *, planted: bool = True) -> Iterator[None]:
    """As `in_torch` for the backends "jax" and "jax-jit"."""
    from harness.backends import jax_backend
    from harness.backends.jax_twins import build

    op = _twin_of_tensors(build(Twin(defect, planted)), jax_backend.OPS[defect.op], "dtype")
    with _replaced(jax_backend.OPS, defect.op, op, [jax_backend._eager, jax_backend._compiled]):
        yield


def _twin_of_tensors(twin: Callable[..., Any], true: Callable[..., Any], mark: str) -> Callable[..., Any]:
    def op(*xs: Any, **params: Any) -> Any:
        return twin(*xs) if all(hasattr(x, mark) for x in xs) else true(*xs, **params)

    return op


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
