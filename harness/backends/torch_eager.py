"""PyTorch eager on the CPU as a backend: runs a case with leaf tensors and `torch.autograd.backward`.

`OPS` is the spelling table: op name -> a callable that takes the op's tensors and its keyword parameters.
"""

from __future__ import annotations

import contextlib
import functools
import operator
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from harness.backends import basic_index, missing_ops, straighten, value_thunk
from harness.cases import Array, Case, Outcome, Thunk, failed
from harness.programs import Program
from harness.rendering import Fill, Write, plan
from harness.spelling import TORCH, spoken
from harness.vocabulary.layers import LAYERS
from harness.vocabulary.losses import LOSSES

__all__ = ["CONVENTIONS", "OPS", "TorchBackend", "devices", "same_layout", "threads"]

Dim = int | tuple[int, ...] | None


def _all(dim: Dim) -> Any:
    return () if dim is None else dim


def _sum(x: Any, *, dim: Dim = None, keepdim: bool = False) -> Any:
    return torch.sum(x) if dim is None else torch.sum(x, dim, keepdim)


def _mean(x: Any, *, dim: Dim = None, keepdim: bool = False) -> Any:
    return torch.mean(x) if dim is None else torch.mean(x, dim, keepdim)


def _prod(x: Any, *, dim: int | None = None, keepdim: bool = False) -> Any:
    return torch.prod(x) if dim is None else torch.prod(x, dim, keepdim)


@functools.lru_cache(maxsize=4096)
def _long(index: tuple[Any, ...], shape: tuple[int, ...]) -> Any:
    return torch.tensor(index, dtype=torch.int64).reshape(shape)


def _gather(x: Any, *, dim: int, index: tuple[Any, ...]) -> Any:
    # np.shape keeps the shape of an index without elements, ((), ()) is (2, 0), which torch.tensor would lose.
    return torch.gather(x, dim, _long(index, np.shape(index)))


_ACTIVATIONS = (
    "leaky_relu elu selu celu gelu silu mish softplus softsign logsigmoid tanhshrink softshrink hardshrink hardtanh "
    "relu6 hardsigmoid hardswish threshold prelu glu"
)
_SPECIAL = "erf erfc erfcx erfinv ndtr log_ndtr i0 i1 i0e i1e entr sinc xlogy xlog1py logit digamma exp2"
_MORE = (
    "lgamma asin acos asinh acosh atanh log2 log10 deg2rad rad2deg floor ceil trunc round frac hypot logaddexp2 copysign "
    "fmax fmin fmod remainder lerp addcmul addcdiv"
)


def _with_classes(loss: Any, x: Any, *, target: Any, **params: Any) -> Any:
    return loss(x, _long((target,), np.shape(target)), **params)


def _normalised(norm: Any, x: Any, weight: Any = None, bias: Any = None, **params: Any) -> Any:
    return norm(x, None, None, weight, bias, **params)


def _shifted(function: Any, name: str = "") -> Callable[..., Any]:
    """A function of a matrix, to which `plus` times the identity is added and which `gram` multiplies by its transpose."""

    def op(a: Any, *rest: Any, plus: float = 0.0, gram: bool = False, **params: Any) -> Any:
        a = a @ a.mT if gram else a
        a = a + plus * torch.eye(a.shape[-1], dtype=a.dtype) if plus else a
        y = function(a, *rest, **params)
        return getattr(y, name) if name else y

    return op


_LINALG = {
    **{name: _shifted(getattr(torch.linalg, name)) for name in "solve inv det cholesky matrix_power".split()},
    "logabsdet": _shifted(torch.linalg.slogdet, "logabsdet"),
    "solve_triangular": _shifted(torch.linalg.solve_triangular),
}

OPS: dict[str, Callable[..., Any]] = {
    **{name: getattr(torch.nn.functional, name) for name in _ACTIVATIONS.split()},
    **{name: getattr(torch.special, name) for name in _SPECIAL.split()},
    **{name: getattr(torch, name) for name in _MORE.split()},
    "polygamma": lambda x, *, n: torch.polygamma(n, x),
    "neg": torch.neg,
    "abs": torch.abs,
    "sign": torch.sign,
    "exp": torch.exp,
    "expm1": torch.expm1,
    "log": torch.log,
    "log1p": torch.log1p,
    "sqrt": torch.sqrt,
    "rsqrt": torch.rsqrt,
    "reciprocal": torch.reciprocal,
    "square": torch.square,
    "sin": torch.sin,
    "cos": torch.cos,
    "tan": torch.tan,
    "sinh": torch.sinh,
    "cosh": torch.cosh,
    "tanh": torch.tanh,
    "atan": torch.atan,
    "sigmoid": torch.sigmoid,
    "relu": torch.relu,
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "pow": operator.pow,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "logaddexp": torch.logaddexp,
    "atan2": torch.atan2,
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
    "eq": operator.eq,
    "ne": operator.ne,
    "where": torch.where,
    "clamp": torch.clamp,
    "sum": _sum,
    "mean": _mean,
    "amax": lambda x, *, dim=None, keepdim=False: torch.amax(x, _all(dim), keepdim),
    "amin": lambda x, *, dim=None, keepdim=False: torch.amin(x, _all(dim), keepdim),
    "prod": _prod,
    "logsumexp": lambda x, *, dim, keepdim=False: torch.logsumexp(x, dim, keepdim),
    "vector_norm": lambda x, *, ord=2.0, dim=None, keepdim=False: torch.linalg.vector_norm(x, ord, dim, keepdim),
    "var": lambda x, *, dim=None, correction=1, keepdim=False: torch.var(
        x, dim, correction=correction, keepdim=keepdim
    ),
    "cumsum": torch.cumsum,
    "softmax": torch.softmax,
    "log_softmax": torch.log_softmax,
    "reshape": torch.reshape,
    "permute": torch.permute,
    "transpose": lambda x, *, dim0, dim1: torch.transpose(x, dim0, dim1),
    "expand": lambda x, *, shape: x.expand(shape),
    "unsqueeze": torch.unsqueeze,
    "squeeze": torch.squeeze,
    "flip": torch.flip,
    "cat": lambda *xs, dim=0: torch.cat(xs, dim),
    "stack": lambda *xs, dim=0: torch.stack(xs, dim),
    "tril": torch.tril,
    "triu": torch.triu,
    "clone": torch.clone,
    "getitem": lambda x, *, index: x[basic_index(index)],
    "index_select": lambda x, *, dim, index: torch.index_select(x, dim, _long(index, (len(index),))),
    "gather": _gather,
    "matmul": torch.matmul,
    "dot": torch.dot,
    "outer": torch.outer,
    "detach": torch.detach,
    **{name: getattr(torch, name) for name in "bmm tensordot inner kron addmm addmv addr baddbmm addbmm cdist".split()},
    "einsum": lambda *xs, equation: torch.einsum(equation, *xs),
    "vecdot": torch.linalg.vecdot,
    "cross": torch.linalg.cross,
    **_LINALG,
    "multi_dot": lambda *xs: torch.linalg.multi_dot(xs),
    "bilinear": torch.nn.functional.bilinear,
    **{name: getattr(torch.nn.functional, name) for name in (*LAYERS, *LOSSES)},
    **{
        name: functools.partial(_with_classes, getattr(torch.nn.functional, name))
        for name in ("cross_entropy", "nll_loss")
    },
    "batch_norm": functools.partial(_normalised, torch.nn.functional.batch_norm, training=True),
    "instance_norm": functools.partial(_normalised, torch.nn.functional.instance_norm),
    "embedding": lambda weight, *, index: torch.nn.functional.embedding(_long(index, np.shape(index)), weight),
    **{name: spoken(name, line, torch.as_tensor, torch=torch) for name, line in TORCH.items()},
}

CONVENTIONS: dict[str, str] = {
    "abs": "at [-1, 0, -0, 1]: [-1, 0, 0, 1]",
    "relu": "at [-1, 0, -0, 1]: [0, 0, 0, 1]",
    "sign": "at [-1, 0, 1]: [0, 0, 0]",
    "clamp": "at [-1, 0, 0.5, 1, 2]: [0, 1, 1, 1, 0]",
    "maximum": "at [1, 2, 3]; [1, 3, 2]: [0.5, 0, 1]; [0.5, 1, 0]",
    "minimum": "at [1, 2, 3]; [1, 3, 2]: [0.5, 1, 0]; [0.5, 0, 1]",
    "amax": "at [1, 3, 3, 2]: [0, 0.5, 0.5, 0]",
    "amin": "at [1, 1, 1]: [0.333333, 0.333333, 0.333333]",
    "max": "at [1, 3, 3, 2]: [0, 1, 0, 0]",
    "min": "at [1, 1, 1]: [1, 0, 0]",
    "cummax": "at [1, 1, 2, 2]: [1, 1, 1, 1]",
    "cummin": "at [2, 1, 1]: [1, 1, 1]",
    "sort": "at [2, 1, 1]: [1, 1, 1]",
    "std": "at [1, 1]: [0, 0]",
    "vector_norm": "at [0, 0]: [0, 0]",
    "vector_norm ord=1": "at [0, 1]: [0, 1]",
    "sqrt": "at [0, 1, -1]: [inf, 0.5, nan]",
    "rsqrt": "at [0, 1]: [-inf, -0.5]",
    "log": "at [0, 1, -1]: [inf, 1, -1]",
    "reciprocal": "at [0]: [-inf]",
    "atan2": "at [0]; [0]: [0]; [-0]",
    "pow": "at [0, 0, 0, 2, -2]; [0, 1, 2, 0, 2]: [0, 1, 0, 0, -4]; [0, 0, 0, 0.693147, nan]",
    "pow exponent 0.0": "at [0, 2]: [0, 0]",
    "pow exponent 0.5": "at [0, 4, -1]: [inf, 0.25, nan]",
    "pow exponent 2": "at [0, -1]: [0, -2]",
    "pow base 0.0": "at [0, 1, -1]: [0, 0, -inf]",
    "where": "at [0, 1]: [nan, 0.5]",
    "prod": "at [0, 2, 3]: [6, 0, 0]",
    "prod two zeros": "at [0, 0, 3]: [0, 0, 0]",
    "leaky_relu": "at [-1, 0, -0, 1]: [0.1, 0.1, 0.1, 1]",
    "elu": "at [-1, 0, 1]: [0.735759, 2, 1]",
    "selu": "at [0]: [1.7581]",
    "celu": "at [0]: [1]",
    "hardtanh": "at [-1, 0, 1]: [0, 1, 0]",
    "hardtanh with limits": "at [-0.5, 0, 2]: [0, 1, 0]",
    "relu6": "at [0, 1, 6]: [0, 1, 0]",
    "hardsigmoid": "at [-3, 3]: [0, 0]",
    "hardswish": "at [-3, 3]: [0, 1]",
    "softshrink": "at [-0.5, 0, 0.5, 1]: [0, 0, 0, 1]",
    "hardshrink": "at [-0.5, 0, 0.5, 1]: [0, 0, 0, 1]",
    "softplus": "at [20]: [1]",
    "threshold": "at [0, 0.5, 1]: [0, 0, 1]",
    "softsign": "at [-1, 0, 1]: [0.25, 1, 0.25]",
    "prelu": "at [-1, 0, -0, 1]; [0.25]: [0.25, 0.25, 0.25, 1]; [-1]",
    "asin": "at [-1, 1]: [inf, inf]",
    "acos": "at [-1, 1]: [-inf, -inf]",
    "acosh": "at [1]: [inf]",
    "atanh": "at [-1, 1]: [inf, inf]",
    "erfinv": "at [-1, 1]: [inf, inf]",
    "log2": "at [0, 1]: [inf, 1.4427]",
    "hypot": "at [0]; [0]: [nan]; [nan]",
    "floor": "at [0.5, 1]: [0, 0]",
    "ceil": "at [0.5, 1]: [0, 0]",
    "trunc": "at [0.5, 1]: [0, 0]",
    "round": "at [0.5, 1.5]: [0, 0]",
    "frac": "at [0.5, 1]: [1, 1]",
    "fmod": "at [3, -3, 4]; [2, 2, 2]: [1, 1, 1]; [-1, 1, -2]",
    "remainder": "at [3, -3, 4]; [2, 2, 2]: [1, 1, 1]; [-1, 2, -2]",
    "copysign": "at [0, -0, -2]; [1, 1, 1]: [0, 0, -1]; [0, 0, 0]",
    "fmax": "at [1, 1]; [1, 2]: [1, 0]; [0, 1]",
    "fmin": "at [1, 2]; [1, 1]: [1, 0]; [0, 1]",
    "xlogy": "at [0, 0]; [0, 1]: [0, 0]; [nan, 0]",
    "xlog1py": "at [0, 0]; [-1, 1]: [0, 0.693147]; [nan, 0]",
    "entr": "at [0, 1]: [inf, -1]",
    "logit": "at [0, 1]: [inf, inf]",
    "logit with eps": "at [0, 0.125, 0.875, 1]: [0, 9.14286, 9.14286, 0]",
    "sinc": "at [0]: [0]",
    "i0e": "at [0]: [0]",
    "i1": "at [0]: [0.5]",
    "i1e": "at [0]: [0.5]",
    "lgamma": "at [0]: [-inf]",
    "digamma": "at [0]: [inf]",
    "log_ndtr": "at [0]: [0.797885]",
}


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
        return CONVENTIONS

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
