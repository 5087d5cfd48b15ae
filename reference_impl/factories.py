"""Making tensors: from data, filled, in steps. Signatures are PyTorch's; every result is a leaf."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from reference_impl.dtypes import DType, default_float, result_dtype
from reference_impl.keywords import placed
from reference_impl.tensor import Tensor, as_array

__all__ = [
    "arange",
    "as_tensor",
    "asarray",
    "empty",
    "empty_like",
    "eye",
    "from_numpy",
    "full",
    "full_like",
    "linspace",
    "logspace",
    "ones",
    "ones_like",
    "range",
    "scalar_tensor",
    "tensor",
    "zeros",
    "zeros_like",
]


def leaf(array: Any, requires_grad: bool) -> Tensor:
    """Return a leaf that holds an array."""
    out = Tensor(np.asarray(array))
    if requires_grad:
        out.requires_grad = True
    return out


@placed
def tensor(data: Any, *, dtype: DType | None = None, requires_grad: bool = False) -> Tensor:
    """Return a leaf with a copy of the data: numbers, nested sequences, a NumPy array (its dtype is kept) or tensors.

    Raises:
        RuntimeError: `requires_grad` for a dtype that is not floating point.
        ValueError: a ragged sequence.
    """
    if isinstance(data, Tensor):
        warnings.warn(
            "To copy construct from a tensor, it is recommended to use sourceTensor.detach().clone() or "
            "sourceTensor.detach().clone().requires_grad_(True), rather than torch.tensor(sourceTensor).",
            UserWarning,
            stacklevel=2,
        )
        data = data.array
    try:
        plain = _plain(data)
        array = np.array(as_array(plain)) if dtype is None else np.array(plain, dtype=dtype.numpy)
    except (OverflowError, TypeError, ValueError) as error:
        raise _why_not(data, dtype, error) from None
    return leaf(array, requires_grad)


def _why_not(data: Any, dtype: DType | None, error: Exception) -> Exception:
    """Return the error for data that make no tensor, as PyTorch words it."""
    if isinstance(error, OverflowError):
        return RuntimeError(f"value cannot be converted to type {dtype.name if dtype else 'int64'} without overflow")
    if isinstance(data, str):
        return TypeError("new(): invalid data type 'str'")
    shape: list[int] = []
    first = data
    while isinstance(first, list | tuple):
        shape.append(len(first))
        first = first[0] if first else 0.0
    return _first_misfit(data, shape, 0) or error


def _first_misfit(data: Any, shape: list[int], depth: int) -> Exception | None:
    if isinstance(data, list | tuple):
        if depth == len(shape):
            return TypeError(f"must be a number at dim {depth}, not {type(data).__name__}")
        if len(data) != shape[depth]:
            return ValueError(f"expected sequence of length {shape[depth]} at dim {depth} (got {len(data)})")
        return next(filter(None, (_first_misfit(d, shape, depth + 1) for d in data)), None)
    if isinstance(data, str):
        return ValueError("too many dimensions 'str'")
    if not isinstance(data, bool | int | float | np.ndarray | np.generic | Tensor):
        return RuntimeError(f"Could not infer dtype of {type(data).__name__}")
    if isinstance(data, int) and not -(2**63) <= data < 2**63:
        return ValueError(f"Overflow when unpacking long long: {data}")
    return None


def _plain(data: Any) -> Any:
    if isinstance(data, Tensor):
        return data.array
    if isinstance(data, (list, tuple)) and any(isinstance(d, (Tensor, list, tuple)) for d in data):
        items = [_plain(d) for d in data]
        if any(isinstance(d, np.ndarray) for d in items):
            types = [d.dtype if isinstance(d, np.ndarray) else as_array(d).dtype for d in items]
            return np.array(items, result_dtype(types, [], []))
        return items
    return data


@placed
def as_tensor(data: Any, dtype: DType | None = None) -> Tensor:
    """Return the data as a tensor, without a copy where it is an array or a tensor of that dtype."""
    if isinstance(data, Tensor):
        return data if dtype is None else data.to(dtype)
    array = as_array(data)
    return Tensor(array if dtype is None else array.astype(dtype.numpy, copy=False))


@placed
def asarray(
    obj: Any, *, dtype: DType | None = None, copy: bool | None = None, requires_grad: bool | None = None
) -> Tensor:
    """Return the data as a tensor, which shares the memory of an array of that dtype, unless `copy` is true; a tensor
    keeps its history.

    Raises:
        ValueError: `copy` is false, and the memory cannot be shared.
    """
    found = as_tensor(obj, dtype=dtype)
    if isinstance(obj, Tensor) and obj.requires_grad:
        if requires_grad is None:
            warnings.warn(
                "torch.asarray: unspecified requires_grad now defaults to obj.requires_grad instead of False. Pass "
                "requires_grad=False explicitly to get the old behavior and silence this warning.",
                UserWarning,
                stacklevel=3,
            )
        if requires_grad is not False:
            return found.clone() if copy and found is obj else found
    source = obj.array if isinstance(obj, Tensor) else obj
    shared = isinstance(source, np.ndarray) and np.shares_memory(found.array, source)
    if copy is False and not shared:
        raise ValueError("can't alias arbitrary sequence into a tensor. Use copy=None or copy=True instead.")
    return leaf(found.array.copy() if copy and shared else found.array, bool(requires_grad))


@placed
def scalar_tensor(s: Any, *, dtype: DType | None = None, requires_grad: bool = False) -> Tensor:
    """Return a number as a 0-d tensor of the default float type."""
    return leaf(np.asarray(s, default_float() if dtype is None else dtype.numpy), requires_grad)


def from_numpy(ndarray: Any) -> Tensor:
    """Return a tensor that shares the array's memory.

    Raises:
        TypeError: not a NumPy array.
    """
    if not isinstance(ndarray, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(ndarray).__name__})")
    if min(ndarray.strides, default=0) < 0:
        raise ValueError(
            "At least one stride in the given numpy array is negative, and tensors with negative strides are not currently "
            f"supported. (You can probably work around this by making a copy of your array with array.copy().) Got strides "
            f"{ndarray.strides}"
        )
    return Tensor(as_array(ndarray))


Shape = int | Sequence[int]


def shape_of(size: tuple[Any, ...], keyword: Shape | None) -> tuple[int, ...]:
    """Return the shape that sizes name, one by one or as one sequence, or by keyword."""
    if keyword is not None:
        size = (keyword,)
    if len(size) == 1 and (isinstance(size[0], list | tuple) or np.ndim(getattr(size[0], "array", size[0]))):
        size = tuple(size[0])
    for n in size:
        if not isinstance(n, int | np.integer | Tensor):
            raise TypeError(f"argument 'size' must be tuple of ints, not {type(n).__name__}")
        if int(n) < 0:
            raise RuntimeError(
                f"Trying to create tensor with negative dimension {n}: Dimension size must be non-negative."
            )
    return tuple(int(n) for n in size)


def _filler(
    name: str, fill: Callable[[tuple[int, ...]], Any], doc: str
) -> tuple[Callable[..., Tensor], Callable[..., Tensor]]:
    def factory(
        *sizes: Any,
        size: Shape | None = None,
        dtype: DType | None = None,
        requires_grad: bool = False,
    ) -> Tensor:
        array = np.asarray(fill(shape_of(sizes, size)))
        return leaf(array.astype(default_float() if dtype is None else dtype.numpy), requires_grad)

    def like(input: Tensor, *, dtype: DType | None = None, requires_grad: bool = False) -> Tensor:
        kept = input.array.dtype if dtype is None else dtype.numpy
        # In the order of its dimensions, unless they share memory.
        strides = getattr(input.array, "strides", (0,))  # arrays of another type have none
        array = np.empty(input.array.shape, kept) if 0 in strides else np.empty_like(input.array, kept)
        array[...] = fill(())
        return leaf(array, requires_grad)

    factory.__name__ = factory.__qualname__ = name
    factory.__doc__ = f"Return a tensor {doc}."
    like.__name__ = like.__qualname__ = f"{name}_like"
    like.__doc__ = f"Return a tensor of the input's shape and dtype {doc}; it does not require grad unless asked."
    return placed(factory), placed(like)


zeros, zeros_like = _filler("zeros", np.zeros, "of zeros")
ones, ones_like = _filler("ones", np.ones, "of ones")
empty, empty_like = _filler("empty", np.zeros, "of no particular values")


@placed
def full(size: Shape, fill_value: Any, *, dtype: DType | None = None, requires_grad: bool = False) -> Tensor:
    """Return a tensor filled with one value; its dtype is the value's."""
    value = fill_value.item() if isinstance(fill_value, np.generic) else fill_value
    array = np.full(shape_of((size,), None), as_array(value))
    return leaf(array if dtype is None else array.astype(dtype.numpy), requires_grad)


@placed
def full_like(input: Tensor, fill_value: Any, *, dtype: DType | None = None, requires_grad: bool = False) -> Tensor:
    """Return a tensor of the input's shape and dtype filled with one value."""
    return leaf(
        np.full(tuple(input.shape), fill_value, input.array.dtype if dtype is None else dtype.numpy), requires_grad
    )


@placed
def arange(
    start: float = 0,
    end: float | None = None,
    step: float = 1,
    *,
    dtype: DType | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Return start, start + step, ... below end; with one argument from 0. Integers give int64, floats the default float."""
    first, last, step = (
        v.item() if isinstance(v, Tensor) else v for v in ((0, start, step) if end is None else (start, end, step))
    )
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if not (math.isfinite(first) and math.isfinite(last)):
        raise RuntimeError(f"unsupported range: {first} -> {last}")
    if (last - first) * step < 0:
        raise RuntimeError(f"upper bound and lower bound inconsistent with step sign: {first}, {last}, {step}")
    whole = all(isinstance(v, int | np.integer) for v in (first, last, step))
    array = np.arange(first, last, step)
    return leaf(array.astype(dtype.numpy if dtype else np.int64 if whole else default_float()), requires_grad)


@placed
def range(
    start: float, end: float | None = None, step: float = 1, *, dtype: DType | None = None, requires_grad: bool = False
) -> Tensor:
    """Return start, start + step, ... up to end, which is one of them; the old way, with a warning. See `arange`."""
    warnings.warn(
        "torch.range is deprecated and will be removed in a future release because its behavior is inconsistent with Python's "
        "range builtin. Instead, use torch.arange, which produces values in [start, end).",
        UserWarning,
        stacklevel=3,
    )
    first, last = (0, start) if end is None else (start, end)
    count = int((last - first) / step) + 1
    kept = default_float() if dtype is None else dtype.numpy
    return leaf((first + step * np.arange(count)).astype(kept), requires_grad)


def _ends(name: str, start: Any, end: Any, steps: Any) -> tuple[float, float]:
    if any(isinstance(x, Tensor) and x.ndim for x in (start, end)):
        raise RuntimeError(
            f"{name} only supports 0-dimensional start and end tensors, but got "
            f"{' and '.join(f'{np.ndim(x.array if isinstance(x, Tensor) else x)} dimension(s)' for x in (start, end))}"
        )
    if not isinstance(steps, (int, np.integer)):
        raise TypeError(
            f"{name}() received an invalid combination of arguments - got ({type(start).__name__}, {type(end).__name__}, "
            f"{type(steps).__name__}): steps must be int"
        )
    if steps < 0:
        raise RuntimeError(f"number of steps must be non-negative, got {steps}")
    return float(start), float(end)


@placed
def linspace(
    start: float, end: float, steps: int, *, dtype: DType | None = None, requires_grad: bool = False
) -> Tensor:
    """Return `steps` evenly spaced numbers from start to end, both included.

    Raises:
        RuntimeError: `steps` is negative, or an end is a tensor with dimensions.
        TypeError: `steps` is no integer.
    """
    start, end = _ends("linspace", start, end, steps)
    return leaf(np.linspace(start, end, steps).astype(dtype.numpy if dtype else default_float()), requires_grad)


@placed
def logspace(
    start: float,
    end: float,
    steps: int,
    base: float = 10.0,
    *,
    dtype: DType | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Return `steps` numbers from base**start to base**end, each the same multiple of the one before.

    Raises:
        RuntimeError: `steps` is negative, or an end is a tensor with dimensions.
        TypeError: `steps` is no integer.
    """
    start, end = _ends("logspace", start, end, steps)
    powers = np.logspace(start, end, steps, base=base)
    return leaf(powers.astype(dtype.numpy if dtype else default_float()), requires_grad)


@placed
def eye(n: int, m: int | None = None, *, dtype: DType | None = None, requires_grad: bool = False) -> Tensor:
    """Return an (n, m) matrix with ones on the diagonal.

    Raises:
        RuntimeError: a size is negative.
    """
    for name, size in (("n", n), ("m", m)):
        if size is not None and size < 0:
            raise RuntimeError(f"{name} must be greater or equal to 0, got {size}")
    return leaf(np.eye(n, m).astype(dtype.numpy if dtype else default_float()), requires_grad)


def deepcopy_leaf(x: Tensor, memo: dict[int, Any]) -> Tensor:
    """Return an independent copy of a leaf with its `.grad`; the graph is nobody's to copy.

    Raises:
        RuntimeError: x is not a leaf.
    """
    if not x.is_leaf:
        raise RuntimeError(
            "Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol at the moment."
        )
    if id(x) in memo:
        known: Tensor = memo[id(x)]
        return known
    out = memo[id(x)] = leaf(x.array.copy(), x.requires_grad)
    out._grad = copy.deepcopy(x._grad, memo)
    return out


def pickled(x: Tensor, protocol: int) -> tuple[Callable[..., Tensor], tuple[Any, bool]]:
    """Return how to make x anew: values and `requires_grad`. The graph, `.grad` and hooks stay behind."""
    return unpickled, (x.array, x.requires_grad)


def unpickled(array: Any, requires_grad: bool) -> Tensor:
    """Return a leaf that holds the array."""
    return leaf(array.view(np.dtype(array.dtype.type)), requires_grad)


@placed
def new_full(
    x: Tensor, size: Shape, fill_value: Any, *, dtype: DType | None = None, requires_grad: bool = False
) -> Tensor:
    """Return a tensor of another shape, filled with one value, of x's dtype unless one is given."""
    return full(size, fill_value, dtype=dtype or x.dtype, requires_grad=requires_grad)


def new_zeros(x: Tensor, *sizes: Any, dtype: DType | None = None, **more: Any) -> Tensor:
    """Return a tensor of zeros of x's dtype unless one is given; the rest is for `zeros`."""
    return zeros(*sizes, dtype=dtype or x.dtype, **more)


def new_ones(x: Tensor, *sizes: Any, dtype: DType | None = None, **more: Any) -> Tensor:
    """Return a tensor of ones of x's dtype unless one is given; the rest is for `ones`."""
    return ones(*sizes, dtype=dtype or x.dtype, **more)


@placed
def new_tensor(x: Tensor, data: Any, *, dtype: DType | None = None, requires_grad: bool = False) -> Tensor:
    """Return a tensor of the data, of x's dtype unless one is given."""
    return tensor(data, dtype=dtype or x.dtype, requires_grad=requires_grad)
