"""Functions that have no derivative: on bits, on whole numbers, and about the places and the kinds of numbers.

>>> import reference_impl as torch
>>> torch.tensor([6, 5]) & 3
tensor([2, 1])
>>> torch.searchsorted(torch.tensor([1.0, 2.0, 2.0]), torch.tensor([2.0, 0.5]))
tensor([1, 0])
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from reference_impl import dtypes
from reference_impl.checks import axis_of
from reference_impl.keywords import add_keywords
from reference_impl.tensor import Tensor, as_array

__all__ = [
    "bincount",
    "bitwise_and",
    "bitwise_left_shift",
    "bitwise_not",
    "bitwise_or",
    "bitwise_right_shift",
    "bitwise_xor",
    "bucketize",
    "gcd",
    "histc",
    "is_complex",
    "is_floating_point",
    "is_nonzero",
    "is_signed",
    "isin",
    "isreal",
    "lcm",
    "logical_xor",
    "promote_types",
    "searchsorted",
    "unique",
    "unique_consecutive",
    "unravel_index",
]


def _array(x: Any) -> Any:
    return x.array if isinstance(x, Tensor) else as_array(x)


def _both(name: str, a: Any, b: Any, kinds: str) -> tuple[Any, Any]:
    """Return the arrays of two operands in their common dtype."""
    tensors = [x for x in (a, b) if isinstance(x, Tensor)]
    if not tensors:
        raise TypeError(f"{name}() needs a tensor, got {type(a).__name__} and {type(b).__name__}")
    target = dtypes.result_dtype(
        [t.array.dtype for t in tensors if t.array.ndim],
        [t.array.dtype for t in tensors if not t.array.ndim],
        [type(x) for x in (a, b) if not isinstance(x, Tensor)],
    )
    if target.kind not in kinds:
        raise NotImplementedError(f'"{name}_cpu" not implemented for {target}')
    x, y = (_array(v).astype(target) for v in (a, b))
    return x, y


def _binary(name: str, ufunc: Any, kinds: str, does: str) -> Callable[[Any, Any], Tensor]:
    def function(input: Any, other: Any) -> Tensor:
        x, y = _both(name, input, other, kinds)
        try:
            return Tensor(np.asarray(ufunc(x, y)))
        except ValueError:
            raise RuntimeError(f"{name}: the shapes {list(x.shape)} and {list(y.shape)} do not broadcast") from None

    function.__name__ = function.__qualname__ = name
    function.__doc__ = does
    return function


bitwise_and = _binary("bitwise_and", np.bitwise_and, "biu", "The bits that both have; of bools, whether both hold.")
bitwise_or = _binary("bitwise_or", np.bitwise_or, "biu", "The bits that either has; of bools, whether either holds.")
bitwise_xor = _binary(
    "bitwise_xor", np.bitwise_xor, "biu", "The bits that just one has; of bools, whether they differ."
)
bitwise_left_shift = _binary("bitwise_left_shift", np.left_shift, "iu", "The bits moved up: times 2**other.")
bitwise_right_shift = _binary("bitwise_right_shift", np.right_shift, "iu", "The bits moved down: over 2**other, down.")
gcd = _binary("gcd", np.gcd, "iu", "The greatest common divisor.")
lcm = _binary("lcm", np.lcm, "iu", "The least common multiple.")


def bitwise_not(input: Tensor) -> Tensor:
    """All bits turned over; of bools, the contrary.

    Raises:
        TypeError: the input has a float dtype.
    """
    if input.array.dtype.kind not in "biu":
        raise TypeError(
            f"~ (operator.invert) is only implemented on integer and Boolean-type tensors, got {input.dtype}"
        )
    return Tensor(np.asarray(np.invert(input.array)))


def logical_xor(input: Tensor, other: Tensor) -> Tensor:
    """Whether just one of the two is not zero."""
    return Tensor(np.asarray(np.logical_xor(_array(input), _array(other))))


def bincount(input: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often each number from 0 on occurs, or the sum of its weights.

    Raises:
        RuntimeError: the input is not a vector of integers that are not negative, or the weights have another shape.
    """
    x = input.array
    if x.ndim != 1 or x.dtype.kind not in "iu" or (x.size and x.min() < 0):
        raise RuntimeError("bincount only supports 1-d non-negative integral inputs.")
    if minlength < 0:
        raise RuntimeError("minlength should be >= 0")
    if weights is not None and weights.array.shape != x.shape:
        raise RuntimeError("weights should be 1-d and have the same length as input")
    return Tensor(np.bincount(x, None if weights is None else weights.array, minlength))


def histc(input: Tensor, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
    """How many elements lie in each of equal bins between two numbers, by default the least and the largest element.

    Raises:
        RuntimeError: there are no bins, or the bounds are not finite or the wrong way round.
    """
    if bins <= 0:
        raise RuntimeError(f"histogram(): bins must be > 0, but got {bins}")
    x = input.array.ravel()
    low, high = (float(x.min()), float(x.max())) if min == max and x.size else (float(min), float(max))
    if low == high:
        low, high = low - 1, high + 1
    if not (np.isfinite(low) and np.isfinite(high)):
        raise RuntimeError(f"range of [{low}, {high}] is not finite")
    if low > high:
        raise RuntimeError("max must be larger than min")
    return Tensor(np.histogram(x, bins, (low, high))[0].astype(x.dtype))


def unravel_index(indices: Tensor, shape: Any) -> tuple[Tensor, ...]:
    """The positions in each dimension of positions that are counted in row-major order.

    Raises:
        ValueError: a position lies outside.
    """
    sizes = (int(shape),) if isinstance(shape, int) else tuple(int(n) for n in shape)
    places = np.unravel_index(indices.array % int(np.prod(sizes)) if indices.array.size else indices.array, sizes)
    return tuple(Tensor(np.asarray(p)) for p in places)


def searchsorted(
    sorted_sequence: Tensor,
    input: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Tensor | None = None,
) -> Tensor:
    """Where each number would stand in a sorted sequence: before its equals, or behind them if `right`.

    Args:
        sorted_sequence: its last dimension is sorted; a vector serves all numbers, else the other dimensions are the input's.
        input: numbers.
        out_int32: give int32 instead of int64.
        right: behind equals.
        side: "left" or "right", another way to say it.
        sorter: the places that sort the sequence, if it is not sorted itself; integers of its shape.

    Raises:
        RuntimeError: the shapes do not go together, or `right` and `side` contradict each other.
    """
    if side not in (None, "left", "right") or (side == "left" and right):
        raise RuntimeError(f"side and right can't be set to opposites, got side of {side} while right was {right}")
    rows, values = sorted_sequence.array, _array(input)
    if sorter is not None:
        if sorter.array.shape != rows.shape or sorter.array.dtype != np.int64:
            raise RuntimeError(
                f"torch.searchsorted(): boundary and sorter must have the same size, and sorter must be a tensor of long, "
                f"got {list(rows.shape)} and {list(sorter.shape)} of {sorter.dtype}"
            )
        rows = np.take_along_axis(rows, sorter.array, axis=-1)
    where: Literal["left", "right"] = "right" if right or side == "right" else "left"
    if rows.ndim == 1:
        found = np.searchsorted(rows, values, where)
    elif rows.shape[:-1] != values.shape[:-1]:
        raise RuntimeError(
            "boundaries tensor should be 1 dimension or the first N-1 dimensions of boundaries tensor and input value "
            f"tensor must match, but we got boundaries tensor {list(rows.shape)} and input value tensor {list(values.shape)}"
        )
    else:
        found = np.zeros(values.shape, np.int64)
        for place in np.ndindex(rows.shape[:-1]):
            found[place] = np.searchsorted(rows[place], values[place], where)
    return Tensor(np.asarray(found, np.int32 if out_int32 else np.int64))


def bucketize(input: Any, boundaries: Tensor, *, out_int32: bool = False, right: bool = False) -> Tensor:
    """The number of the interval between sorted boundaries that each number lies in.

    Raises:
        RuntimeError: the boundaries are no vector.
    """
    if boundaries.array.ndim != 1:
        raise RuntimeError(f"bucketize(): boundaries tensor must be 1 dimension, but got dim({boundaries.array.ndim})")
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)


def isin(elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False) -> Tensor:
    """Whether each element is among the others."""
    found = np.isin(_array(elements), _array(test_elements), assume_unique=assume_unique, invert=invert)
    return Tensor(np.asarray(found))


def isreal(input: Tensor) -> Tensor:
    """True everywhere: there are no complex numbers here."""
    return Tensor(np.ones(input.array.shape, bool))


def unique(
    input: Tensor,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The different elements in rising order, or the different slices along a dimension, without a gradient.

    Args:
        input: any tensor.
        sorted: PyTorch's; they always are here, as on its CPU.
        return_inverse: give the place of each element among the unique ones, too.
        return_counts: give how often each occurs, too.
        dim: compare slices along this dimension; by default elements.
    """
    axis = None if dim is None else axis_of(dim, input.ndim)
    values, inverse, counts = np.unique(input.array, return_inverse=True, return_counts=True, axis=axis)
    inverse = inverse.reshape(input.array.shape if axis is None else -1)
    return _told(values, (return_inverse, inverse), (return_counts, counts))


def unique_consecutive(
    input: Tensor, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """The elements, or slices along a dimension, without those that equal the one just before them."""
    x = input.array.reshape(-1) if dim is None else np.moveaxis(input.array, axis_of(dim, input.ndim), 0)
    fresh = np.ones(len(x), bool)
    fresh[1:] = (x[1:] != x[:-1]).reshape(max(len(x) - 1, 0), -1).any(1)
    inverse = np.cumsum(fresh) - 1
    values = x[fresh] if dim is None else np.moveaxis(x[fresh], 0, axis_of(dim, input.ndim))
    inverse = inverse.reshape(input.array.shape) if dim is None else inverse
    return _told(values, (return_inverse, inverse), (return_counts, np.bincount(inverse.reshape(-1))))


def _told(values: Any, *asked: tuple[bool, Any]) -> Any:
    found = [Tensor(values), *(Tensor(np.asarray(x, np.int64)) for wanted, x in asked if wanted)]
    return found[0] if len(found) == 1 else tuple(found)


def is_floating_point(input: Tensor) -> bool:
    """Tell whether a tensor holds floats."""
    return bool(input.array.dtype.kind == "f")


def is_complex(input: Tensor) -> bool:
    """Tell whether a tensor holds complex numbers: none does here."""
    return False


def is_signed(input: Tensor) -> bool:
    """Tell whether the dtype has negative numbers."""
    return bool(input.array.dtype.kind in "if")


def is_nonzero(input: Tensor) -> bool:
    """Tell whether the only element is not zero.

    Raises:
        RuntimeError: there is another number of elements than one.
    """
    return bool(input)


def promote_types(type1: dtypes.DType, type2: dtypes.DType) -> dtypes.DType:
    """The smallest dtype that holds the numbers of both, by PyTorch's rules for tensors of one dimension or more."""
    return dtypes.from_numpy_dtype(dtypes.result_dtype([type1.numpy, type2.numpy], [], []))


add_keywords(__all__, globals())
