"""Inference by trial: the shape and kind of a result from running the op once on the tape, on arrays of ones.

For ops that move or pick elements, whose result depends on nothing but shapes and parameters. Whether the tape's own idea of
a shape is right is judged where it runs beside other backends: a result of another shape is a disagreement.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from harness.programs import Param, Spec
from harness.vocabulary.checks import Arg, ProgramError, tensor_of

__all__ = ["by_trial"]

_DTYPES: Final = {"float": "float64", "int": "int64", "bool": "bool"}
_KINDS: Final = {"f": "float", "i": "int", "b": "bool"}


def by_trial(name: str, *kinds: str) -> Callable[[Sequence[Arg], Mapping[str, Param]], Spec]:
    """Return the inference of an op whose tensors are of the given kinds, the last one for all further ones too."""

    def result(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
        wanted = kinds or ("float",)
        specs = tuple(tensor_of(args, i, f"tensor {i}", (wanted[min(i, len(wanted) - 1)],)) for i in range(len(args)))
        try:
            key = tuple(sorted(params.items()))
            hash(key)
        except TypeError:
            raise ProgramError(f"a parameter is not made of numbers, words and tuples: {dict(params)!r}") from None
        return _run(name, tuple((s.shape, s.kind) for s in specs), key)

    return result


@functools.lru_cache(maxsize=1 << 16)
def _run(name: str, specs: tuple[tuple[tuple[int, ...], str], ...], params: tuple[tuple[str, Any], ...]) -> Spec:
    from harness.backends.reference import OPS  # the backends read the vocabulary
    from reference_impl import Tensor

    tensors = [Tensor(np.ones(shape, _DTYPES[kind])) for shape, kind in specs]
    try:
        array = OPS[name](*tensors, **dict(params)).array
    except (RuntimeError, IndexError, ValueError, TypeError, NotImplementedError, AttributeError) as error:
        raise ProgramError(str(error).splitlines()[0]) from None
    return Spec(tuple(array.shape), _KINDS[array.dtype.kind])
