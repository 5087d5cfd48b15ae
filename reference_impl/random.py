"""Random tensors, from one generator or from a user's own. The numbers are NumPy's: the same seed gives others in PyTorch.

>>> import reference_impl as torch
>>> g = torch.Generator().manual_seed(7)
>>> x = torch.randn(2, 3, generator=g, requires_grad=True)
>>> x.shape, x.is_leaf
(torch.Size([2, 3]), True)
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from reference_impl.dtypes import DType, default_float, scalar_type
from reference_impl.factories import Shape, leaf, shape_of
from reference_impl.functions import constant_in
from reference_impl.keywords import placed
from reference_impl.tensor import Tensor

__all__ = [
    "Generator",
    "bernoulli",
    "default_generator",
    "get_rng_state",
    "initial_seed",
    "manual_seed",
    "multinomial",
    "normal",
    "rand",
    "rand_like",
    "randint",
    "randint_like",
    "randn",
    "randn_like",
    "randperm",
    "seed",
    "set_rng_state",
]


class Generator:
    """A source of random numbers with a state of its own."""

    __slots__ = ("_seed", "numbers")

    def __init__(self, device: Any = "cpu") -> None:
        self.seed()

    def manual_seed(self, seed: int) -> Generator:
        """Start again from a seed, and return the generator.

        Raises:
            TypeError: the seed is no whole number.
        """
        if not isinstance(seed, (int, np.integer)):
            raise TypeError(f"manual_seed expected a long, but got {type(seed).__name__}")
        self._seed = int(seed)
        self.numbers = np.random.default_rng(self._seed % 2**64)  # PyTorch takes negative seeds, modulo 2**64, too
        return self

    def seed(self) -> int:
        """Start again from a seed that nobody can guess, and return it."""
        drawn = int(np.random.SeedSequence().generate_state(1, np.uint64)[0])
        self.manual_seed(drawn)
        return drawn

    def initial_seed(self) -> int:
        """Return the seed that the generator last started from."""
        return self._seed

    def get_state(self) -> Tensor:
        """Return where the generator is: a vector of uint8, to be given to `set_state`."""
        state = {"seed": self._seed, "numbers": self.numbers.bit_generator.state}
        return Tensor(np.frombuffer(json.dumps(state).encode(), np.uint8).copy())

    def set_state(self, new_state: Tensor) -> Generator:
        """Go on from where `get_state` was called, and return the generator.

        Raises:
            TypeError: not a vector of uint8 as `get_state` returns it.
        """
        try:
            state = json.loads(new_state.array.tobytes())
            numbers = np.random.default_rng(0)
            numbers.bit_generator.state = state["numbers"]
        except (AttributeError, KeyError, ValueError) as error:
            raise TypeError("expected a torch.ByteTensor that get_state returned") from error
        self._seed, self.numbers = state["seed"], numbers
        return self


default_generator = Generator()


def manual_seed(seed: int) -> Generator:
    """Start the numbers that every function here draws by default again from a seed."""
    return default_generator.manual_seed(seed)


def seed() -> int:
    """Start them again from a seed that nobody can guess, and return it."""
    return default_generator.seed()


def initial_seed() -> int:
    """Return the seed that they last started from."""
    return default_generator.initial_seed()


def get_rng_state() -> Tensor:
    """Return where they are: a vector of uint8, to be given to `set_rng_state`."""
    return default_generator.get_state()


def set_rng_state(new_state: Tensor) -> None:
    """Let them go on from where `get_rng_state` was called.

    Raises:
        TypeError: not a vector of uint8 as `get_rng_state` returns it.
    """
    default_generator.set_state(new_state)


def _numbers(generator: Generator | None) -> np.random.Generator:
    return (default_generator if generator is None else generator).numbers


def _made(array: Any, dtype: DType | None, requires_grad: bool) -> Tensor:
    return leaf(np.asarray(array).astype(default_float() if dtype is None else dtype.numpy), requires_grad)


@placed
def rand(
    *sizes: Any,
    size: Shape | None = None,
    generator: Generator | None = None,
    dtype: DType | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Return a tensor of numbers uniform on [0, 1)."""
    return _made(_numbers(generator).random(shape_of(sizes, size)), dtype, requires_grad)


@placed
def randn(
    *sizes: Any,
    size: Shape | None = None,
    generator: Generator | None = None,
    dtype: DType | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Return a tensor of standard normal numbers."""
    return _made(_numbers(generator).standard_normal(shape_of(sizes, size)), dtype, requires_grad)


@placed
def rand_like(
    input: Tensor, *, generator: Generator | None = None, dtype: DType | None = None, requires_grad: bool = False
) -> Tensor:
    """Return numbers uniform on [0, 1) in the input's shape and dtype; a leaf that does not require grad unless asked."""
    return _made(_numbers(generator).random(tuple(input.shape)), dtype or input.dtype, requires_grad)


@placed
def randn_like(
    input: Tensor, *, generator: Generator | None = None, dtype: DType | None = None, requires_grad: bool = False
) -> Tensor:
    """Return standard normal numbers in the input's shape and dtype; a leaf that does not require grad unless asked."""
    return _made(_numbers(generator).standard_normal(tuple(input.shape)), dtype or input.dtype, requires_grad)


@placed
def randint(
    low: int,
    high: Any = None,
    size: Shape | None = None,
    *,
    generator: Generator | None = None,
    dtype: DType | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Return uniform integers of [low, high); ``randint(high, size)`` starts at 0.

    Raises:
        RuntimeError: there is no integer to draw.
    """
    if high is None or not isinstance(high, (int, np.integer)):
        low, high, size = 0, low, high if size is None else size
    if low >= high:
        raise RuntimeError(f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")
    drawn = _numbers(generator).integers(low, high, shape_of((() if size is None else size,), None))
    return leaf(np.asarray(drawn).astype(np.int64 if dtype is None else dtype.numpy), requires_grad)


@placed
def randint_like(
    input: Tensor, low: int = 0, high: int | None = None, *, dtype: DType | None = None, **more: Any
) -> Tensor:
    """Return uniform integers of [low, high), or of [0, low), in the input's shape and dtype; the rest is for `randint`."""
    return randint(low, high, tuple(input.shape), dtype=dtype or input.dtype, **more)


@placed
def randperm(
    n: int, *, generator: Generator | None = None, dtype: DType | None = None, requires_grad: bool = False
) -> Tensor:
    """Return the whole numbers below n in random order."""
    return leaf(_numbers(generator).permutation(n).astype(np.int64 if dtype is None else dtype.numpy), requires_grad)


@placed
def normal(
    mean: Any = 0.0,
    std: Any = 1.0,
    size: Shape | None = None,
    *,
    generator: Generator | None = None,
    dtype: DType | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Return normal numbers of the given means and standard deviations: numbers with a `size`, or tensors.

    Raises:
        TypeError: both are numbers and there is no size.
        RuntimeError: a standard deviation is negative.
    """
    given = [x for x in (mean, std) if isinstance(x, Tensor)]
    if not given and size is None:
        raise TypeError(f"normal() takes a size, or tensors; got mean={mean}, std={std}")
    mean, std = (x.array if isinstance(x, Tensor) else x for x in (mean, std))
    if np.any(np.asarray(std) < 0):
        raise RuntimeError(f"normal expects all elements of std >= 0.0, got {np.min(std)}")
    if size is None:
        shape = np.broadcast_shapes(np.shape(mean), np.shape(std))
        dtype = dtype or given[0].dtype
    else:
        shape = shape_of((size,), None)
    made = _made(mean + std * _numbers(generator).standard_normal(shape), dtype, requires_grad)
    for x in given:
        made = constant_in(made, x)
    return made


def bernoulli(input: Tensor, p: Any = None, *, generator: Generator | None = None) -> Tensor:
    """Return 1 with the probability that each element is, or with probability `p`, else 0; the gradient of `input` is 0.

    Raises:
        RuntimeError: an element, or `p`, is no probability.
    """
    chances = input.array if p is None else np.broadcast_to(p.array if isinstance(p, Tensor) else p, input.array.shape)
    if not np.all((chances >= 0) & (chances <= 1)):
        raise RuntimeError(
            f"Expected p_in >= 0 && p_in <= 1 to be true, but got false: {chances.min()} to {chances.max()}"
        )
    return constant_in(Tensor((_numbers(generator).random(chances.shape) < chances).astype(input.array.dtype)), input)


def multinomial(
    input: Tensor, num_samples: int, replacement: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """Return `num_samples` places of a vector, or of each row of a matrix, drawn with its elements as weights.

    Raises:
        RuntimeError: no vector or matrix; weights that are negative, infinite, nan or add up to 0; without
            `replacement`, more samples than there are weights that are not 0.
    """
    weights = input.array.astype(np.float64)
    if input.array.dtype.kind != "f":
        raise RuntimeError(
            f"multinomial only supports floating-point dtypes for input, got: {scalar_type(input.array.dtype)}"
        )
    if weights.ndim not in (1, 2):
        raise RuntimeError(f"prob_dist must be 1 or 2 dim, got {weights.ndim}")
    if num_samples <= 0:
        raise RuntimeError(f"cannot sample n_sample <= 0 samples, got {num_samples}")
    if not (np.isfinite(weights).all() and (weights >= 0).all()):
        raise RuntimeError(
            "invalid multinomial distribution: probability tensor contains either `inf`, `nan` or element < 0"
        )
    if not weights.sum(axis=-1).all():
        raise RuntimeError("invalid multinomial distribution (sum of probabilities <= 0)")
    if not replacement and num_samples > np.count_nonzero(weights, axis=-1).min():
        raise RuntimeError("cannot sample n_sample > prob_dist.size(-1) samples without replacement")
    numbers = _numbers(generator)
    rows = [numbers.choice(len(w), num_samples, replacement, w / w.sum()) for w in np.atleast_2d(weights)]
    return Tensor(np.array(rows[0] if weights.ndim == 1 else rows, dtype=np.int64))
