"""The reference tape as a backend: `reference_impl` runs the case as a user of it would.

`OPS` is the spelling table: op name -> a callable that takes the op's tensors and its keyword parameters. It is PyTorch's.
"""

from __future__ import annotations

import contextlib
import functools
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import reference_impl
from harness.backends import missing_ops, straighten, value_thunk
from harness.backends.torch_names import CONVENTIONS, spelling
from harness.cases import Array, Case, Outcome, Thunk, failed
from harness.programs import Program

__all__ = ["CONVENTIONS", "OPS", "ReferenceBackend"]

_api: Any = reference_impl  # most of its names are made at import, where no type checker sees them

OPS: dict[str, Callable[..., Any]] = spelling(reference_impl)


@functools.lru_cache(maxsize=1024)
def _evaluator(program: Program) -> Callable[[Sequence[Any]], list[Any]]:
    return straighten(program, OPS)


def _copy(array: Array) -> Any:
    """A private copy with the strides of the array, stride 0 included: the tape must cope with any layout."""
    if array.flags.c_contiguous or 0 not in array.strides:
        return array.copy(order="K")
    core = array[tuple(slice(0, 1) if s == 0 else slice(None) for s in array.strides)]
    return np.broadcast_to(core.copy(order="K"), array.shape)


@dataclass(frozen=True)
class ReferenceBackend:
    """The NumPy tape. Leaves are new at each call; its own exceptions become failures."""

    name: str = "reference"

    @property
    def version(self) -> str:
        """Version of NumPy, whose kernels do the arithmetic."""
        return np.__version__

    @property
    def conventions(self) -> Mapping[str, str]:
        """Measured derivatives at kinks and singular points."""
        return CONVENTIONS

    def supports(self, program: Program) -> str | None:
        """None if every op is known, else the reason."""
        return missing_ops(program, OPS)

    def prepare(self, case: Case) -> Thunk:
        """Copy the case; the thunk runs forward and backward on new leaves."""
        evaluate = _evaluator(case.program)
        Tensor, backward = _api.Tensor, _api.autograd.backward
        marked = list(zip([_copy(x) for x in case.primals], case.requires_grad, strict=True))
        cotangents = [None if ct is None else Tensor(_copy(ct)) for ct in case.cotangents]
        wanted = [i for i, r in enumerate(case.requires_grad) if r]
        quiet = _quiet(case.program)

        def thunk() -> Outcome:
            try:
                with quiet():
                    inputs = [Tensor(x) for x, _ in marked]
                    for x, (_, r) in zip(inputs, marked, strict=True):
                        if r:
                            x.requires_grad_()
                    outputs = evaluate(inputs)
                    roots, grads = [], []
                    for y, ct in zip(outputs, cotangents, strict=True):
                        if ct is not None and y.requires_grad:
                            roots.append(y)
                            grads.append(ct)
                    if roots:
                        backward(roots, grads)
            except Exception as error:  # whatever the tape raises is its outcome
                return failed(error)
            leaf_grads = [inputs[i].grad for i in wanted]
            return Outcome(
                tuple([y.array.copy() for y in outputs]),
                tuple([None if g is None else g.array.copy() for g in leaf_grads]),
            )

        return thunk

    def value_thunk(self, case: Case) -> Thunk:
        """Forward only, under `no_grad`."""
        inputs = [_api.Tensor(_copy(x)) for x in case.primals]
        quiet = _quiet(case.program)
        return value_thunk(_evaluator(case.program), inputs, quiet, _api.no_grad, lambda y: y.array.copy())


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


def _quiet(program: Program) -> Callable[[], Any]:
    """A context in which NumPy reports no overflow, and the tape makes no remark on a var of too few elements."""
    return _silent if any(i.op == "var" for i in program.instrs) else functools.partial(np.errstate, all="ignore")
