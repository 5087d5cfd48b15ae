"""PyTorch eager on the CPU as a backend: runs a case with leaf tensors and `torch.autograd.backward`.

`OPS` is the spelling table: op name -> a callable that takes the op's tensors and its keyword parameters.
"""

from __future__ import annotations

import contextlib
import functools
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from harness.backends import conventions_of, missing_ops, straighten, value_thunk
from harness.backends.torch_names import CONVENTIONS, spelling
from harness.cases import Array, Case, Outcome, Thunk, failed
from harness.programs import Program
from harness.rendering import Fill, Write, plan

__all__ = ["CONVENTIONS", "OPS", "TorchBackend", "devices", "same_layout", "threads"]

OPS: dict[str, Callable[..., Any]] = spelling(torch)


@functools.lru_cache(maxsize=1024)
def _evaluator(program: Program, in_place: bool = False) -> Callable[[Sequence[Any]], list[Any]]:
    if not in_place:
        return straighten(program, OPS)
    table: dict[str, Callable[..., Any]] = {}
    instrs = []
    for k, (instr, step) in enumerate(zip(program.instrs, plan(program), strict=True)):
        name = f"{instr.op} {k}"
        table[name] = OPS[instr.op] if step is None else _filled(step) if isinstance(step, Fill) else _written(step)
        instrs.append(replace(instr, op=name, params=() if isinstance(step, Fill) else instr.params))
    return straighten(replace(program, instrs=tuple(instrs)), table)


def _written(step: Write) -> Callable[..., Any]:
    def op(x: Any, *rest: Any, **params: Any) -> Any:
        target = x.clone() if step.clone else x
        getattr(target.view_as(target) if step.view else target, step.method)(*rest, **params)
        return target

    return op


def _filled(step: Fill) -> Callable[..., Any]:
    def op(*xs: Any) -> Any:
        buffer, start = xs[0].new_empty(step.shape), 0
        for i, x in enumerate(xs):
            size = step.sizes[i] if step.sizes else 1
            part = buffer.narrow(step.dim, start, size) if step.sizes else buffer.select(step.dim, i)
            part.copy_(x)
            start += size
        return buffer

    return op


def same_layout(array: Array, dtype: str = "") -> Any:
    """Copy a NumPy array into a tensor of the same values, shape and strides, stride 0 included.

    Args:
        dtype: "float16" or "bfloat16" for a tensor of it from the array that carries it; else the array's own.

    PyTorch has no negative strides, and none that are no multiple of the element size: such an array becomes contiguous.
    """
    strides = array.strides
    size = array.itemsize
    half = _HALVES.get(dtype) if array.dtype.kind == "f" else None
    if array.size == 0 or array.flags.c_contiguous or any(s < 0 or s % size for s in strides):
        dense = torch.from_numpy(np.array(array, order="C"))
        return dense if half is None else dense.to(half)
    extent = 1 + sum((n - 1) * (s // size) for n, s in zip(array.shape, strides, strict=True))
    memory = np.lib.stride_tricks.as_strided(array, (extent,), (size,), writeable=False)
    flat = torch.from_numpy(memory.copy())
    return torch.as_strided(flat if half is None else flat.to(half), array.shape, [s // size for s in strides])


_HALVES = {"float16": torch.float16, "bfloat16": torch.bfloat16}


def _copied(t: Any) -> Array:
    """A tensor's numbers in memory of their own; a half in the array that carries it."""
    copy: Array = (t.float() if t.dtype in _CARRIED else t).numpy().copy()
    return copy


_CARRIED = frozenset(_HALVES.values())


def devices() -> tuple[str, ...]:
    """The devices that PyTorch sees; cases run on the first, the CPU."""
    return ("cpu", *(f"cuda:{i} {torch.cuda.get_device_name(i)}" for i in range(torch.cuda.device_count())))


def threads() -> int:
    """Threads that one op may use."""
    return int(torch.get_num_threads())


@dataclass(frozen=True)
class TorchBackend:
    """PyTorch eager on the CPU. Leaves are new at each call; PyTorch's own exceptions become failures.

    Attributes:
        rendering: "eager", or "in place" for programs that write into tensors, views and slices (`harness.rendering`).
    """

    name: str = "torch"
    rendering: str = "eager"

    def in_place(self) -> TorchBackend:
        """The same backend, that runs programs in place."""
        return replace(self, rendering="in place")

    @property
    def version(self) -> str:
        """Version of PyTorch."""
        return str(torch.__version__)

    @property
    def conventions(self) -> Mapping[str, str]:
        """Measured derivatives at kinks and singular points."""
        return conventions_of(self, "torch", CONVENTIONS)

    def supports(self, program: Program) -> str | None:
        """None if every op is known, else the reason."""
        return missing_ops(program, OPS)

    def prepare(self, case: Case) -> Thunk:
        """Copy the case into tensors, keeping strides; the thunk runs forward and backward on new leaves."""
        evaluate = _evaluator(case.program, self.rendering == "in place")
        bases = [same_layout(x, case.dtype) for x in case.primals]
        marked = list(zip(bases, case.requires_grad, strict=True))
        cotangents = [None if ct is None else same_layout(ct, case.dtype) for ct in case.cotangents]
        wanted = [i for i, r in enumerate(case.requires_grad) if r]
        quiet = _quiet(case.program)

        def thunk() -> Outcome:
            try:
                with quiet():
                    inputs = [x.detach().requires_grad_() if r else x for x, r in marked]
                    outputs = evaluate(inputs)
                    roots, grads = [], []
                    for y, ct in zip(outputs, cotangents, strict=True):
                        if ct is not None and y.requires_grad:
                            roots.append(y)
                            grads.append(ct)
                    if roots:
                        torch.autograd.backward(roots, grads)
            except Exception as error:  # whatever the framework raises is its outcome
                return failed(error)
            leaf_grads = [inputs[i].grad for i in wanted]
            return Outcome(
                tuple([_copied(y.detach()) for y in outputs]),
                tuple([None if g is None else _copied(g) for g in leaf_grads]),
            )

        return thunk

    def value_thunk(self, case: Case) -> Thunk:
        """Forward only, under `no_grad`."""
        evaluate = _evaluator(case.program, self.rendering == "in place")
        inputs = [same_layout(x, case.dtype) for x in case.primals]
        return value_thunk(evaluate, inputs, _quiet(case.program), torch.no_grad, _copied)


@contextlib.contextmanager
def _no_warnings() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _quiet(program: Program) -> Callable[[], Any]:
    """A context without PyTorch's remarks on var of too few elements, the mean of kl_div and copies for padding "same"."""
    loud = any(i.op in ("var", "kl_div") or ("padding", "same") in i.params for i in program.instrs)
    return _no_warnings if loud else contextlib.nullcontext
