"""Keyword arguments that PyTorch's functions take beside their own: other names, where a tensor lies, where a result goes.

>>> import reference_impl as torch
>>> torch.arange(4.0, device="cpu").reshape(2, 2).sum(axis=1, keepdims=True)
tensor([[1.],
        [5.]])
>>> y = torch.empty(2)
>>> torch.add(torch.ones(2), 1, out=y) is y, y
(True, tensor([2., 2.]))
"""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from reference_impl.devices import check_place
from reference_impl.dtypes import scalar_type
from reference_impl.modes import is_grad_enabled
from reference_impl.tensor import Tensor

__all__ = ["MUST_BE_TENSORS", "WITH_OUT", "add_keywords", "placed", "with_out", "with_tensors"]

_NUMPYS = {"axis": "dim", "keepdims": "keepdim"}
_PARTS = {"sections": "indices_or_sections", "indices": "indices_or_sections"}
_OTHERS = {
    # what PyTorch calls an argument in another place, or for another type of it -> our name
    "broadcast_to": {"size": "shape"},
    "cholesky_inverse": {"input": "L"},
    "cholesky_solve": {"input": "B", "input2": "L"},
    "det": {"input": "A"},
    "dsplit": _PARTS,
    "expand": {"size": "shape"},
    "hsplit": _PARTS,
    "inverse": {"input": "A"},
    "isin": {"element": "elements", "test_element": "test_elements"},
    "matrix_power": {"input": "A"},
    "max": {"other": "dim"},
    "min": {"other": "dim"},
    "slogdet": {"input": "A"},
    "split": {"split_size": "split_size_or_sections"},
    "swapaxes": {"axis0": "dim0", "axis1": "dim1"},
    "tensor_split": {"tensor_indices_or_sections": "indices_or_sections", **_PARTS},
    "triangular_solve": {"input": "b"},
    "vsplit": _PARTS,
}

WITH_OUT = (
    *"abs acos acosh add addbmm addcdiv addcmul addmm addmv addr all amax amin aminmax any arange argmax argmin".split(),
    *"asin asinh atan atan2 atanh baddbmm bernoulli bitwise_and bitwise_not bitwise_or bitwise_xor bmm bucketize".split(),
    *"cat ceil cholesky cholesky_inverse cholesky_solve clamp clamp_max clamp_min clip concat copysign cos cosh".split(),
    *"cross cummax cummin cumprod cumsum deg2rad diag diff digamma div divide dot eq erf erfc erfinv exp exp2".split(),
    *"expm1 eye fix float_power floor floor_divide fmax fmin fmod frac full gather gcd ge greater gt heaviside".split(),
    *"hypot i0 index_add index_copy index_fill index_select inner inverse isin isneginf isposinf kron kthvalue".split(),
    *"lcm ldexp le lerp less lgamma linspace log log10 log1p log2 logaddexp logaddexp2 logcumsumexp logical_and".split(),
    *"logical_not logical_or logical_xor logit logspace logsumexp lt masked_select matmul matrix_power max".split(),
    *"maximum mean median min minimum mm mode msort mul multinomial multiply mv nan_to_num nanmean nanmedian".split(),
    *"nanquantile nansum narrow_copy ne neg negative nextafter nonzero norm normal not_equal ones outer ger".split(),
    *"polygamma pow prod quantile rad2deg rand randint randn randperm reciprocal remainder round rsqrt".split(),
    *"scatter scatter_add scatter_reduce searchsorted sgn sigmoid sign signbit sin sinc sinh softmax log_softmax".split(),
    *"sort sqrt square stack std sub subtract sum take take_along_dim tan tanh tensordot topk tril triu".split(),
    *"true_divide trunc var vdot vstack hstack dstack where xlogy zeros empty".split(),
)
"""The functions that PyTorch lets write into a tensor that exists already."""

_BOTH_TENSORS = (
    *"arctan2 atan2 fmax fmin gcd heaviside hypot isclose lcm ldexp logaddexp logaddexp2 logical_and logical_or".split(),
    *"logical_xor maximum minimum nextafter".split(),
)
_FIRST_TENSOR = (
    *"clamp_max clamp_min copysign eq fmod ge greater gt le less lt max min ne not_equal rsub".split(),
    *"greater_equal less_equal".split(),
)
_A_TENSOR = "float_power pow remainder xlogy".split()
MUST_BE_TENSORS: dict[str, tuple[int, ...]] = (
    dict.fromkeys(_BOTH_TENSORS, (0, 1)) | dict.fromkeys(_FIRST_TENSOR, (0,)) | dict.fromkeys(_A_TENSOR, ())
)
"""Functions to which PyTorch takes no plain number at these places; () where one of the two has to be a tensor."""


def add_keywords(names: Iterable[str], module: dict[str, Any]) -> None:
    """Let those functions of a module that PyTorch, or NumPy, gives other names of arguments take these as well."""
    for name in names:
        function = module[name]
        if inspect.isfunction(function) and (aliases := _aliases(name, function)):
            module[name] = _renaming(function, aliases)


def _aliases(name: str, function: Callable[..., Any]) -> dict[str, str]:
    parameters = inspect.signature(function).parameters
    known = _NUMPYS | _OTHERS.get(name, {})
    return {alias: ours for alias, ours in known.items() if ours in parameters and alias not in parameters}


def _renaming(function: Callable[..., Any], aliases: dict[str, str]) -> Callable[..., Any]:
    @functools.wraps(function)
    def renamed(*args: Any, **named: Any) -> Any:
        if named:
            for alias, ours in aliases.items():
                if alias in named:
                    if ours in named:
                        raise TypeError(f"{function.__name__}() got both {ours!r} and {alias!r}")
                    named[ours] = named.pop(alias)
        return function(*args, **named)

    return renamed


def placed(factory: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Let a function that makes tensors be told where they lie, as long as that is the CPU's memory, dense."""

    @functools.wraps(factory)
    def made(
        *args: Any,
        device: Any = None,
        layout: Any = None,
        pin_memory: bool = False,
        memory_format: Any = None,
        **named: Any,
    ) -> Tensor:
        check_place(device, layout, memory_format)
        return factory(*args, **named)

    return made


def with_tensors(function: Callable[..., Any]) -> Callable[..., Any]:
    """Refuse plain numbers where PyTorch does."""
    name = function.__name__
    places = MUST_BE_TENSORS[name]

    @functools.wraps(function)
    def strict(*args: Any, **named: Any) -> Any:
        if type(args[0] if args else None) in _NUMBERS or type(args[1] if len(args) > 1 else None) in _NUMBERS:
            for k in places:
                if k < len(args) and type(args[k]) in _NUMBERS:
                    raise TypeError(
                        f"{name}(): argument {('input', 'other')[k]!r} (position {k + 1}) must be Tensor, not "
                        f"{type(args[k]).__name__}"
                    )
            if all(type(a) in _NUMBERS for a in args[:2]):
                kinds = ", ".join(type(a).__name__ for a in args)
                raise TypeError(f"{name}() received an invalid combination of arguments - got ({kinds}), want a Tensor")
        return function(*args, **named)

    return strict


_NUMBERS = frozenset((bool, int, float))


def with_out(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let a function write what it returns into tensors that the caller has: `out`, one or a tuple of them."""
    name = function.__name__

    @functools.wraps(function)
    def writing(*args: Any, out: Any = None, **named: Any) -> Any:
        return write(args, named, out) if out is not None else function(*args, **named)

    @functools.wraps(function)
    def writing_one(input: Any, *, out: Any = None) -> Any:  # twice as fast to go through
        return write((input,), {}, out) if out is not None else function(input)

    def write(args: tuple[Any, ...], named: dict[str, Any], out: Any) -> Any:
        if is_grad_enabled() and any(x.requires_grad for x in _tensors((args, tuple(named.values()), out))):
            raise RuntimeError(
                f"{name}(): functions with out=... arguments don't support automatic differentiation, but one of the "
                "arguments requires grad."
            )
        found = function(*args, **named)
        if isinstance(out, Tensor):
            _write(name, out, found)
        else:
            for target, y in zip(out, found, strict=True):
                _write(name, target, y)
        return out

    return writing_one if [*inspect.signature(function).parameters] == ["input"] else writing


def _tensors(given: Any) -> Iterator[Tensor]:
    if isinstance(given, Tensor):
        yield given
    elif isinstance(given, list | tuple):
        for part in given:
            yield from _tensors(part)


def _write(name: str, out: Tensor, y: Tensor) -> None:
    if not isinstance(out, Tensor):
        raise TypeError(f"{name}(): argument 'out' must be Tensor, not {type(out).__name__}")
    if any(step == 0 and n > 1 for step, n in zip(out.array.strides, out.array.shape, strict=True)):
        raise RuntimeError(
            "unsupported operation: more than one element of the written-to tensor refers to a single memory location. Please "
            f"clone() the tensor before performing the operation: out of {name}() is expanded."
        )
    kinds = "biuf"
    if kinds.index(y.array.dtype.kind) > kinds.index(out.array.dtype.kind):
        raise RuntimeError(
            f"result type {scalar_type(y.dtype)} can't be cast to the desired output type {scalar_type(out.dtype)}"
        )
    if out.array.shape == y.array.shape:
        np.copyto(out.array, y.array, casting="unsafe")
    else:
        if out.array.size:
            warnings.warn(
                f"An output with one or more elements was resized since it had shape {list(out.shape)}, which does not "
                f"match the required output shape {list(y.shape)}.",
                UserWarning,
                stacklevel=4,
            )
        out.array = y.array.astype(out.array.dtype)
    out.storage.version += 1
