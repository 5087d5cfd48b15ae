"""What functions return that return several tensors at once: tuples whose items have names, printed as PyTorch's.

>>> import reference_impl as torch
>>> torch.tensor([3.0, 5.0]).max(0)
torch.return_types.max(
values=tensor(5.),
indices=tensor(1))
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeVar

from reference_impl.tensor import Tensor

__all__ = [
    "MinMax",
    "SignLogabsdet",
    "SolutionAndCoefficient",
    "ValuesIndices",
    "aminmax",
    "cummax",
    "cummin",
    "kthvalue",
    "linalg_slogdet",
    "max",
    "median",
    "min",
    "mode",
    "nanmedian",
    "sort",
    "topk",
    "triangular_solve",
]


class ValuesIndices(NamedTuple):
    """What `max`, `sort` and their kin return along a dimension."""

    values: Tensor
    indices: Tensor


class MinMax(NamedTuple):
    """What `aminmax` returns."""

    min: Tensor
    max: Tensor


class SignLogabsdet(NamedTuple):
    """What `slogdet` returns."""

    sign: Tensor
    logabsdet: Tensor


class SolutionAndCoefficient(NamedTuple):
    """What `triangular_solve` returns."""

    solution: Tensor
    cloned_coefficient: Tensor


def _show(items: Any) -> str:
    kind = type(items)
    fields = (f"{name}={item!r}" for name, item in zip(kind._fields, items, strict=True))
    return f"torch.return_types.{kind.__name__}(\n" + ",\n".join(fields) + ")"


Fields = TypeVar("Fields")


def _of(name: str, fields: type[Fields]) -> type[Fields]:
    """Return the type of what the function of that name returns."""
    doc = f"What `{name}` returns."
    return type(name, (fields,), {"__slots__": (), "__repr__": _show, "__module__": __name__, "__doc__": doc})


aminmax = _of("aminmax", MinMax)
cummax = _of("cummax", ValuesIndices)
cummin = _of("cummin", ValuesIndices)
kthvalue = _of("kthvalue", ValuesIndices)
linalg_slogdet = _of("linalg_slogdet", SignLogabsdet)
max = _of("max", ValuesIndices)
median = _of("median", ValuesIndices)
min = _of("min", ValuesIndices)
mode = _of("mode", ValuesIndices)
nanmedian = _of("nanmedian", ValuesIndices)
sort = _of("sort", ValuesIndices)
topk = _of("topk", ValuesIndices)
triangular_solve = _of("triangular_solve", SolutionAndCoefficient)
