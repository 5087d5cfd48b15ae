"""A case is a program at a point: primals, which of them require grad, cotangents; an outcome is what a backend made of it.

Arrays are NumPy arrays of the case's dtype (float inputs), int64 or bool. They are the exact values that every backend
gets, so a backend that needs another layout or a leaf must copy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from harness.programs import Program

__all__ = ["Array", "Backend", "Case", "Failure", "Outcome", "Thunk", "failed"]

Array = NDArray[np.generic]


@dataclass(frozen=True, eq=False)
class Case:
    """One question: the value of `program` at `primals`, and the VJP of `cotangents` for the inputs that require grad.

    Attributes:
        primals: one array an input, of the input's shape; float inputs have dtype `dtype`.
        requires_grad: one flag an input; False for int and bool inputs.
        cotangents: one a output, of the output's shape and dtype; None where the output takes no part in the backward
            (an output that is bool, is cut off by detach, or is left unused).
        dtype: of the float inputs and of the whole computation: "float64", "float32", or "float16" and "bfloat16", whose
            arrays are float32 ones of such numbers (`harness.floats`).
    """

    program: Program
    primals: tuple[Array, ...]
    requires_grad: tuple[bool, ...]
    cotangents: tuple[Array | None, ...]
    dtype: str = "float64"


@dataclass(frozen=True)
class Failure:
    """An exception that a backend raised: its type's name and its message. An outcome, not an accident of the harness."""

    kind: str
    message: str


def same_layout(array: Array) -> Array:
    """Copy an array into new memory of the same strides, stride 0 included; negative ones become contiguous."""
    size = array.itemsize
    if array.size == 0 or array.flags.c_contiguous or any(s < 0 or s % size for s in array.strides):
        return np.array(array, order="C")
    extent = 1 + sum((n - 1) * (s // size) for n, s in zip(array.shape, array.strides, strict=True))
    memory = np.lib.stride_tricks.as_strided(array, (extent,), (size,), writeable=False).copy()
    laid: Array = np.lib.stride_tricks.as_strided(memory, array.shape, array.strides)
    return laid


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a backend returned, as copies that nothing else refers to.

    Attributes:
        values: one array an output.
        grads: one array an input that requires grad, in order of the inputs, None where the backend says "no gradient"
            (PyTorch leaves `.grad` None when the outputs do not depend on the input).
        failure: the exception, if it raised; then values and grads are empty.
    """

    values: tuple[Array, ...] = ()
    grads: tuple[Array | None, ...] = ()
    failure: Failure | None = None


def failed(error: BaseException) -> Outcome:
    """The outcome of whoever raised."""
    return Outcome(failure=Failure(type(error).__name__, str(error)))


Thunk = Callable[[], Outcome]


class Backend(Protocol):
    """Something that can run a case."""

    @property
    def name(self) -> str:
        """Short name used in rows and on the command line, such as "torch" or "jax-jit"."""
        ...

    @property
    def version(self) -> str:
        """Version of the framework behind it."""
        ...

    def supports(self, program: Program) -> str | None:
        """None if the backend can run the program, else the reason why not."""
        ...

    def prepare(self, case: Case) -> Thunk:
        """Do everything that need not be repeated; the thunk runs forward and backward once and returns copies."""
        ...
