"""PyTorch's differentiable operators and a few calls of each, from the database of PyTorch's own tests.

Complex tensors become pairs of real ones on the way in and out, so that what is asked is the derivative of a real function
of real numbers; sparse tensors are made of their values inside.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.utils import _pytree as pytree

from harness.coverage.examples import Example, NoExample, different

__all__ = ["AREAS", "examples", "names", "version"]

AREAS = ("torch",)
_MOST = 80  # samples of one entry of the database that are looked at


def version() -> str:
    """The version of PyTorch."""
    return str(torch.__version__)


def names() -> dict[str, str]:
    """The operators that support autograd, each with its area, in the order of the alphabet."""
    return dict.fromkeys(sorted(_database()), "torch")


def examples(name: str, count: int) -> list[Example]:
    """Up to `count` calls of an operator, small ones of different parameters.

    Raises:
        NoExample: the database has no sample with an element that could be differentiated.
    """
    refusals: list[str] = []
    found = [e for op in _database()[name] for e in itertools.islice(_samples(op, refusals), _MOST)]
    if not found:
        raise NoExample(refusals[0] if refusals else "no sample has an element that could be differentiated")
    return different(found, count)


@functools.cache
def _database() -> dict[str, list[Any]]:
    from torch.testing._internal.common_methods_invocations import op_db

    table: dict[str, list[Any]] = {}
    for op in op_db:
        if op.supports_autograd:
            table.setdefault(op.name, []).append(op)
    return table


def _samples(op: Any, refusals: list[str]) -> Iterator[Example]:
    known = op.supported_backward_dtypes("cpu") or op.supported_dtypes("cpu")
    order = (torch.float64, torch.complex128, torch.complex64, torch.float32, torch.bfloat16, torch.float16)
    dtype = next((d for d in order if d in known), None)
    if dtype is None:
        refusals.append(f"no floating-point dtype on the CPU: {', '.join(sorted(map(str, known)))}")
        return
    torch.manual_seed(0)
    try:
        for sample in op.sample_inputs("cpu", dtype, requires_grad=True):
            example = _example(op, sample, refusals)
            if example is not None:
                yield example
    except Exception as error:  # what this build of PyTorch lacks
        refusals.append(f"no samples: {type(error).__name__}: {error}".splitlines()[0])


def _example(op: Any, sample: Any, refusals: list[str]) -> Example | None:
    args, kwargs = (sample.input, *sample.args), dict(sample.kwargs)
    leaves, layout = pytree.tree_flatten((args, kwargs))
    if not any(isinstance(v, torch.Tensor) and v.requires_grad and v.numel() for v in leaves):
        return None
    label = f"{op.name}.{op.variant_test_name}" if op.variant_test_name else op.name
    if label in LEFT_OUT:
        refusals.append(LEFT_OUT[label])
        return None
    kind = (label, *sorted(kwargs), *map(_kind, (*args[1:], *kwargs.values())))
    makers: dict[int, Callable[[Any], Any]] = {}
    for i, v in enumerate(leaves):
        if isinstance(v, torch.Tensor):
            leaves[i], make = _dense(v)
            if make is not None:
                makers[i] = make
    fn = _around(op, sample, makers)
    unused = _unused(fn, leaves, layout, refusals)
    if unused is None:
        return None
    for i in unused:
        leaves[i] = leaves[i].detach()
    args, kwargs = pytree.tree_unflatten(leaves, layout)
    return Example(fn, args, kwargs, label, kind, sum(v.numel() for v in leaves if isinstance(v, torch.Tensor)))


# What a function promises of symmetric matrices alone, though the samples are symmetric up to rounding; what it writes into.
ADAPTED: dict[str, Callable[[Any], Any]] = {
    "linalg.cholesky_ex": lambda x: (x + x.mT) / 2,
    **dict.fromkeys(("zero_", "resize_", "resize_as_"), lambda x: x.clone()),
}

# Samples whose gradient is not one value by PyTorch's documentation.
LEFT_OUT = {f"nn.functional.max_unpool{n}d": "an index that names a place twice" for n in (1, 2, 3)}


def _dense(value: Any) -> tuple[Any, Callable[[Any], Any] | None]:
    """A dense real tensor in the place of any, and what makes of it the one that it stands for."""
    asked = value.requires_grad
    kept = value.detach()
    if kept.layout is torch.sparse_coo:
        kept = kept.coalesce()
        places, shape = kept.indices(), kept.shape
        return kept.values().clone().requires_grad_(asked), lambda x: torch.sparse_coo_tensor(places, x, shape)
    if kept.layout is torch.sparse_csr:
        rows, columns, shape = kept.crow_indices(), kept.col_indices(), kept.shape
        return kept.values().clone().requires_grad_(asked), lambda x: torch.sparse_csr_tensor(rows, columns, x, shape)
    if kept.is_complex():
        return torch.view_as_real(kept.resolve_conj()).clone().requires_grad_(asked), torch.view_as_complex
    return value if value.is_leaf else kept.clone(memory_format=torch.preserve_format).requires_grad_(asked), None


def _around(op: Any, sample: Any, makers: dict[int, Callable[[Any], Any]]) -> Callable[..., Any]:
    """The operator as PyTorch's own gradient tests call it, of real dense tensors; itself where that is so already."""
    adapted = ADAPTED.get(op.name)
    after = sample.output_process_fn_grad

    def call(*args: Any, **kwargs: Any) -> Any:
        leaves, layout = pytree.tree_flatten((args, kwargs))
        if any(isinstance(v, torch.Tensor) and v.is_complex() for v in leaves):
            raise TypeError("real numbers are wanted: complex ones are pairs of them")
        for i, make in makers.items():
            leaves[i] = make(leaves[i])
        args, kwargs = pytree.tree_unflatten(leaves, layout)
        if adapted is not None:
            args = (adapted(args[0]), *args[1:])
        return pytree.tree_map(_real, after(op.gradcheck_wrapper(op.op, *args, **kwargs)))

    call.__name__ = op.name.replace(".", "_")
    plain = op.gradcheck_wrapper.__qualname__.startswith("OpInfo.") and after.__qualname__.startswith("SampleInput.")
    if makers or adapted or not plain:
        return call
    try:
        returned = pytree.tree_leaves(op.op(*(sample.input, *sample.args), **sample.kwargs))
    except Exception:  # it is told when the call is made for its gradient
        return call
    return call if any(_real(y) is not y for y in returned) else op.op


def _real(value: Any) -> Any:
    if not isinstance(value, torch.Tensor):
        return value
    if value.layout is not torch.strided:
        value = value.to_dense()
    return torch.view_as_real(value.resolve_conj()) if value.is_complex() else value


def _unused(fn: Callable[..., Any], leaves: list[Any], layout: Any, refusals: list[str]) -> list[int] | None:
    """The places of tensors that require grad and get none; None if none gets one, or the call fails."""
    places = [i for i, v in enumerate(leaves) if isinstance(v, torch.Tensor) and v.requires_grad]
    try:
        args, kwargs = pytree.tree_unflatten(list(leaves), layout)
        results = [y for y in pytree.tree_leaves(fn(*args, **kwargs)) if isinstance(y, torch.Tensor)]
        returned = [y for y in results if y.requires_grad]
        if not any(y.numel() for y in returned):
            refusals.append("the results have no elements" if returned else "no result requires grad")
            return None
        ones = [torch.ones_like(y) for y in returned]
        grads = torch.autograd.grad(returned, [leaves[i] for i in places], ones, allow_unused=True)
    except Exception as error:  # whatever PyTorch says of its own sample
        refusals.append(f"raises {type(error).__name__}: {error}".splitlines()[0])
        return None
    if all(g is None for g in grads):
        refusals.append("no argument gets a gradient")
        return None
    return [i for i, g in zip(places, grads, strict=True) if g is None]


def _kind(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return ("tensor", value.dtype, value.ndim > 0)
    return value if isinstance(value, (bool, str, type(None))) else type(value).__name__
