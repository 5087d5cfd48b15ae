"""The reference tape as a backend: `reference_impl` runs the case as a user of it would.

`OPS` is the spelling table: op name -> a callable that takes the op's tensors and its keyword parameters. The names are
the reference's own, so the table only wraps what PyTorch spells otherwise than a program does.
"""

from __future__ import annotations

import contextlib
import functools
import operator
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import reference_impl
from harness.backends import basic_index, missing_ops, straighten, value_thunk
from harness.cases import Array, Case, Outcome, Thunk, failed
from harness.programs import Program
from harness.spelling import TORCH, spoken
from harness.vocabulary.layers import LAYERS
from harness.vocabulary.losses import LOSSES

__all__ = ["CONVENTIONS", "OPS", "ReferenceBackend"]

_api: Any = reference_impl  # most of its names are made at import, where no type checker sees them

_SAME_SPELLING = (
    "neg abs sign exp expm1 log log1p sqrt rsqrt reciprocal square sin cos tan sinh cosh tanh atan sigmoid relu "
    "maximum minimum logaddexp atan2 where clamp sum mean amax amin prod logsumexp var cumsum softmax log_softmax "
    "reshape permute transpose unsqueeze squeeze flip tril triu clone matmul dot outer detach"
)
_ACTIVATIONS = (
    "leaky_relu elu selu celu gelu silu mish softplus softsign logsigmoid tanhshrink softshrink hardshrink hardtanh "
    "relu6 hardsigmoid hardswish threshold prelu glu"
)
_SPECIAL = "erf erfc erfcx erfinv ndtr log_ndtr i0 i1 i0e i1e entr sinc xlogy xlog1py logit digamma exp2"
_MORE = (
    "lgamma asin acos asinh acosh atanh log2 log10 deg2rad rad2deg floor ceil trunc round frac hypot logaddexp2 copysign "
    "fmax fmin fmod remainder lerp addcmul addcdiv"
)


@functools.lru_cache(maxsize=4096)
def _indices(index: tuple[Any, ...], shape: tuple[int, ...]) -> Any:
    # The shape is given since an index without elements, ((), ()), does not show it.
    return _api.tensor(np.array(index, dtype=np.int64).reshape(shape))


def _with_classes(loss: Any, x: Any, *, target: Any, **params: Any) -> Any:
    return loss(x, _indices((target,), np.shape(target)), **params)


def _normalised(norm: Any, x: Any, weight: Any = None, bias: Any = None, **params: Any) -> Any:
    return norm(x, None, None, weight, bias, **params)


def _shifted(function: Any, name: str = "") -> Callable[..., Any]:
    """A function of a matrix, to which `plus` times the identity is added and which `gram` multiplies by its transpose."""

    def op(a: Any, *rest: Any, plus: float = 0.0, gram: bool = False, **params: Any) -> Any:
        a = a @ a.mT if gram else a
        a = a + plus * _api.Tensor(np.eye(a.shape[-1], dtype=a.array.dtype)) if plus else a
        y = function(a, *rest, **params)
        return getattr(y, name) if name else y

    return op


_LINALG = {
    **{name: _shifted(getattr(_api.linalg, name)) for name in "solve inv det cholesky matrix_power".split()},
    "logabsdet": _shifted(_api.linalg.slogdet, "logabsdet"),
    "solve_triangular": _shifted(_api.linalg.solve_triangular),
}

OPS: dict[str, Callable[..., Any]] = {
    **{name: getattr(_api, name) for name in _SAME_SPELLING.split()},
    **{name: getattr(_api.nn.functional, name) for name in _ACTIVATIONS.split()},
    **{name: getattr(_api.special, name) for name in _SPECIAL.split()},
    **{name: getattr(_api, name) for name in _MORE.split()},
    "polygamma": lambda x, *, n: _api.polygamma(n, x),
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "pow": operator.pow,
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
    "eq": operator.eq,
    "ne": operator.ne,
    "vector_norm": _api.linalg.vector_norm,
    "expand": lambda x, *, shape: x.expand(shape),
    "cat": lambda *xs, dim=0: _api.cat(xs, dim=dim),
    "stack": lambda *xs, dim=0: _api.stack(xs, dim=dim),
    "getitem": lambda x, *, index: x[basic_index(index)],
    "index_select": lambda x, *, dim, index: _api.index_select(x, dim, _indices(index, (len(index),))),
    "gather": lambda x, *, dim, index: _api.gather(x, dim, _indices(index, np.shape(index))),
    **{name: getattr(_api, name) for name in "bmm tensordot inner kron addmm addmv addr baddbmm addbmm cdist".split()},
    "einsum": lambda *xs, equation: _api.einsum(equation, *xs),
    "vecdot": _api.linalg.vecdot,
    "cross": _api.linalg.cross,
    **_LINALG,
    "multi_dot": lambda *xs: _api.linalg.multi_dot(xs),
    "bilinear": _api.nn.functional.bilinear,
    **{name: getattr(_api.nn.functional, name) for name in (*LAYERS, *LOSSES)},
    **{
        name: functools.partial(_with_classes, getattr(_api.nn.functional, name))
        for name in ("cross_entropy", "nll_loss")
    },
    "batch_norm": functools.partial(_normalised, _api.nn.functional.batch_norm, training=True),
    "instance_norm": functools.partial(_normalised, _api.nn.functional.instance_norm),
    "embedding": lambda weight, *, index: _api.nn.functional.embedding(_indices(index, np.shape(index)), weight),
    **{name: spoken(name, line, _api.tensor, torch=_api) for name, line in TORCH.items()},
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
