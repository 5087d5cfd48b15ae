"""What a row of the vocabulary is made of: the `Op` record and the checks that its inference is written with.

A check returns what it found valid and raises `ProgramError` with the bare reason otherwise; whoever infers a program
adds the instruction's place.
"""

from __future__ import annotations

import enum
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

import numpy as np

from harness.programs import Param, Scalar, Spec

__all__ = [
    "DOMAINS",
    "KINDS",
    "NUMBERS",
    "REQUIRED",
    "Arg",
    "Call",
    "Interval",
    "Op",
    "ProgramError",
    "Required",
    "Shape",
    "axes_of",
    "axis_of",
    "broadcast",
    "flag",
    "integer",
    "integers",
    "like_reference",
    "new_shape",
    "number",
    "same",
    "shapes_of",
    "tensor_of",
]

Shape = tuple[int, ...]
Arg = Spec | Scalar
Interval = tuple[float, float]
Call = tuple[Mapping[str, Param], tuple[Spec, ...]]

KINDS: Final = ("float", "int", "bool")
NUMBERS: Final = ("float", "int")
DOMAINS: Final = ("real", "positive", "unit", "fraction", "above one")


class ProgramError(ValueError):
    """A program is malformed: the message names the instruction, its op and what is wrong."""


class Required(enum.Enum):
    """Stands where a parameter has no default."""

    REQUIRED = enum.auto()


REQUIRED: Final = Required.REQUIRED


@dataclass(frozen=True)
class Op:
    """One op of the vocabulary.

    Attributes:
        family: "unary", "binary", "comparison", "where", "reduction", "scan", "movement", "join", "indexing",
            "contraction", "call" or "cut": ops of a family take their tensors in the same way.
        tensors: names of the positional arguments; ("*xs",) takes one or more.
        result: infers the result from the arguments and all parameters (defaults filled in); raises ProgramError with
            the bare reason.
        params: the keyword parameters in PyTorch's positional order, with their defaults.
        scalars: a number may stand for one of the tensors (never for all of them, never for a condition).
        differentiable: positions of the tensors that the result is differentiable in; None means all.
        calls: how the op can be applied to a first tensor of a shape: for each way its parameters and the Specs of its
            other tensors, simplest first. What inference refuses or what is too large is left out by the generator, so
            the list may be loose. None for a plain unary or binary op, and for ops of which the generator knows more.
        values: where the values lie, given where those of the tensors lie, the parameters, the shape of the first tensor
            and the result's: (intervals, params, shape, out) -> (low, high), or None where an argument leaves the
            domain. None: between the smallest and the largest of the arguments.
        domain: from which of `DOMAINS` a new input for the first tensor is drawn.
        optional: so many of the last tensors may be left out, as the bias of a linear layer.
        refuses: it raises where another tensor than the first leaves its domain, so that no program takes it there.
    """

    name: str
    family: str
    tensors: tuple[str, ...]
    result: Callable[[Sequence[Arg], Mapping[str, Param]], Spec]
    params: Mapping[str, Param | Required] = field(default_factory=dict)
    scalars: bool = False
    differentiable: tuple[int, ...] | None = None
    calls: Callable[[Shape], Iterable[Call]] | None = None
    values: Callable[[Sequence[Interval], Mapping[str, Param], Shape, Shape], Interval | None] | None = None
    domain: str = "real"
    optional: int = 0
    refuses: bool = False


def broadcast(*shapes: Shape) -> Shape:
    """Return the shape that the shapes broadcast to; raise ProgramError if they do not."""
    rank = max(map(len, shapes))
    out = [1] * rank
    for shape in shapes:
        for i, n in enumerate(shape, rank - len(shape)):
            if n != 1:
                if out[i] != 1 and out[i] != n:
                    raise ProgramError(f"shapes {' and '.join(map(str, shapes))} do not broadcast")
                out[i] = n
    return tuple(out)


# --- arguments


def tensor_of(args: Sequence[Arg], i: int, name: str, kinds: Sequence[str] = ("float",)) -> Spec:
    """Return argument i if it is a tensor of one of the kinds."""
    arg = args[i]
    if isinstance(arg, Scalar):
        raise ProgramError(f"{name} is the number {arg}, want a tensor")
    if arg.kind not in kinds:
        raise ProgramError(f"{name} is {arg}, want kind {' or '.join(kinds)}")
    return arg


def shapes_of(args: Iterable[Arg]) -> list[Shape]:
    """Return the shapes of the tensors among the arguments."""
    return [a.shape for a in args if isinstance(a, Spec)]


def same(kinds: Sequence[str] = ("float",)) -> Callable[..., Spec]:
    """The result has the shape and kind of the one tensor."""

    def result(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
        x = tensor_of(args, 0, "x", kinds)
        return Spec(x.shape, x.kind)

    return result


def like_reference(
    name: str, *tensors: str, kinds: Mapping[str, Sequence[str]] = MappingProxyType({})
) -> Callable[[Sequence[Arg], Mapping[str, Param]], Spec]:
    """The result is what the reference makes of zeros of these shapes: for ops whose rules of shape are long.

    Args:
        name: the op, a key of the reference's spelling table.
        tensors: the names of its tensors, for messages.
        kinds: the kinds of those that are not float.
    """

    def result(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
        specs = [
            tensor_of(args, i, label, kinds.get(label, ("float",)))
            for i, label in enumerate(tensors[: len(args)] if tensors[0] != "*xs" else ["xs"] * len(args))
        ]
        made = _made_by_reference(name, tuple((s.shape, s.kind) for s in specs), tuple(sorted(params.items())))
        if isinstance(made, str):
            raise ProgramError(made)
        return made

    return result


_ZEROS: Final = {"float": np.float64, "int": np.int64, "bool": np.bool_}


@functools.lru_cache(maxsize=16384)
def _made_by_reference(
    name: str, tensors: tuple[tuple[Shape, str], ...], params: tuple[tuple[str, Param], ...]
) -> Spec | str:
    """Return the Spec of the result, or the reference's error."""
    import reference_impl
    from harness.backends.reference import OPS  # backends read programs, so they cannot be imported above

    zeros = [reference_impl.Tensor(np.zeros(shape, _ZEROS[kind])) for shape, kind in tensors]
    try:
        with np.errstate(all="ignore"):
            y = OPS[name](*zeros, **dict(params))
    except (RuntimeError, IndexError, TypeError, ValueError) as error:
        return f"{error}"
    return Spec(tuple(y.shape), {"f": "float", "i": "int", "b": "bool"}[y.array.dtype.kind])


# --- parameters


def integer(value: Param, name: str) -> int:
    """Return an int."""
    if type(value) is not int:
        raise ProgramError(f"{name} is {value!r}, want an int")
    return value


def number(value: Param, name: str) -> float:
    """Return an int or a float."""
    if type(value) is not int and type(value) is not float:
        raise ProgramError(f"{name} is {value!r}, want a number")
    return value


def flag(value: Param, name: str) -> bool:
    """Return a bool."""
    if type(value) is not bool:
        raise ProgramError(f"{name} is {value!r}, want True or False")
    return value


def integers(value: Param, name: str) -> Shape:
    """Return a tuple of ints."""
    if not isinstance(value, tuple) or not all(type(v) is int for v in value):
        raise ProgramError(f"{name} is {value!r}, want a tuple of ints")
    return tuple(v for v in value if isinstance(v, int))


def axis_of(value: Param, shape: Shape, name: str = "dim", extra: int = 0) -> int:
    """Check one axis of `shape` (`extra` more are allowed, for ops that insert one); return it counted from 0."""
    dim, rank = integer(value, name), len(shape) + extra
    if not -rank <= dim < rank:
        raise ProgramError(f"{name} is {dim}, out of range for shape {shape}")
    return dim % rank


def axes_of(value: Param, shape: Shape, name: str = "dim") -> Shape:
    """Check axes without repeats; return them counted from 0, in the order given."""
    dims = tuple(axis_of(d, shape, name) for d in (value if isinstance(value, tuple) else (value,)))
    if len(set(dims)) != len(dims):
        raise ProgramError(f"{name} is {value!r}: an axis appears twice")
    return dims


def new_shape(value: Param) -> Shape:
    """Return a shape with all sizes written out."""
    shape = integers(value, "shape")
    if any(n < 0 for n in shape):
        raise ProgramError(f"shape is {shape}, want sizes >= 0 (write out a size of -1)")
    return shape
