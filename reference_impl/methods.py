"""Operators and methods of `Tensor`: every function whose first argument is a tensor is a method of that name."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from reference_impl import (
    assembled,
    devices,
    dtypes,
    engine,
    factories,
    inplace,
    integers,
    matrices,
    products,
    random,
    relaying,
)
from reference_impl import functions as F
from reference_impl.hooks import register_hook, register_post_accumulate_grad_hook
from reference_impl.ops import elementwise
from reference_impl.primitives import binary
from reference_impl.tensor import Tensor

__all__ = ["METHODS"]

METHODS = (
    *(
        "abs absolute add allclose arctan2 atan atan2 clamp clip clone contiguous cos cosh div divide dot eq equal exp expm1"
    ).split(),
    *(
        "floor ge greater greater_equal gt isfinite isinf isnan le less less_equal log log1p logaddexp logical_and"
    ).split(),
    *(
        "logical_not logical_or lt matmul maximum minimum mm mul multiply mv ne neg negative not_equal outer pow"
    ).split(),
    *("reciprocal relu rsqrt sigmoid sign sin sinh sqrt square sub subtract tan tanh to tril triu true_divide").split(),
    # reductions and scans
    *(
        "all amax amin aminmax any argmax argmin argsort count_nonzero cummax cummin cumprod cumsum dist kthvalue"
    ).split(),
    *("log_softmax logcumsumexp logsumexp max mean median min mode msort nanmean nanmedian nanquantile nansum").split(),
    *("norm prod quantile softmax sort std sum topk trace var").split(),
    # movement
    *(
        "adjoint as_strided broadcast_to chunk diag diag_embed diagflat diagonal dsplit expand expand_as flatten flip fliplr"
    ).split(),
    *("flipud hsplit moveaxis movedim narrow permute ravel repeat repeat_interleave reshape roll rot90 select").split(),
    *("split split_with_sizes squeeze swapaxes swapdims t tensor_split tile transpose unbind unflatten unfold").split(),
    *("unsqueeze view vsplit").split(),
    # indexing
    *("argwhere gather index_add index_copy index_fill index_put index_select masked_fill masked_scatter").split(),
    *("masked_select nonzero put scatter scatter_add scatter_reduce take take_along_dim where").split(),
    *(
        "acos acosh addcdiv addcmul arccos arccosh arcsin arcsinh arctan arctanh asin asinh atanh ceil clamp_max"
    ).split(),
    *(
        "clamp_min copysign deg2rad digamma erf erfc erfinv exp2 fix float_power floor_divide fmax fmin fmod frac"
    ).split(),
    *("hardshrink heaviside hypot i0 isclose isneginf isposinf ldexp lerp lgamma log10 log2 logaddexp2 logit").split(),
    *("nan_to_num positive prelu rad2deg remainder round sgn signbit sinc trunc xlogy").split(),
)

PRODUCTS = "addbmm addmm addmv addr baddbmm bmm cross dist inner kron vdot".split()
MATRICES = (
    "cholesky cholesky_inverse cholesky_solve det inverse logdet matrix_power slogdet trace triangular_solve".split()
)

ASSEMBLED = (
    *"corrcoef cov diagonal_scatter diff ger mvlgamma narrow_copy nextafter renorm".split(),
    *"select_scatter slice_scatter sum_to_size".split(),
)
INTEGERS = (
    *"bincount bitwise_and bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift bitwise_xor gcd histc".split(),
    *"is_complex is_nonzero is_signed isreal lcm logical_xor unique unique_consecutive".split(),
)

_NUMBERS = (bool, int, float, np.number, np.bool_)


def _operator(
    function: Callable[..., Any], compares: bool = False, numbers: tuple[type, ...] = _NUMBERS
) -> Callable[[Tensor, Any], Any]:
    """Return an operator's method: what is neither tensor nor number nor array may know better what to do with us."""

    def method(x: Tensor, other: Any) -> Any:
        if not isinstance(other, Tensor):
            if isinstance(other, np.ndarray):
                return function(x, Tensor(np.array(other)) if compares else _of_array(x, other))
            if not isinstance(other, numbers):
                return NotImplemented
            other = other.item() if isinstance(other, np.generic) else other
        return function(x, other)

    return method


def _of_array(x: Tensor, array: Any) -> Tensor:
    """Return the array as a tensor, if NumPy could have worked on x as well: in PyTorch it does.

    Raises:
        RuntimeError: x requires grad.
    """
    x.numpy()
    return Tensor(np.array(array))


def _fast_operator(
    function: Callable[..., Any], compares: bool = False, numbers: tuple[type, ...] = _NUMBERS
) -> Callable[[Tensor, Any], Any]:
    """Return the same for an op of two arguments that has a fast path: that first."""
    return binary(function.primitive, otherwise=_operator(function, compares, numbers))  # type: ignore[attr-defined]


def _reflected(function: Callable[..., Any]) -> Callable[[Tensor, Any], Any]:
    def swapped(x: Tensor, other: Any) -> Any:
        if type(x.array) is np.ndarray and x.array.dtype.kind == "f":
            other = Tensor(np.array(other, x.array.dtype))  # so that the fast path takes it
        return function(other, x)

    return _operator(swapped)


def _swap(function: Callable[..., Any], x: Tensor, other: Any) -> Any:
    return function(other, x)


def _augmented(name: str) -> Callable[[Tensor, Any], Any]:
    def method(x: Tensor, other: Any) -> Any:
        return NotImplemented if isinstance(other, np.ndarray) else inplace.IN_PLACE[name](x, other)

    return method


def _where(x: Tensor, condition: Tensor, other: Any) -> Tensor:
    out: Tensor = F.where(condition, x, other)
    return out


def _backward(
    x: Tensor, gradient: Any = None, retain_graph: bool | None = None, create_graph: bool = False, inputs: Any = None
) -> None:
    """Add to the leaves' `.grad` the vector-Jacobian product of this tensor with `gradient` (1 for one element).

    Raises:
        RuntimeError: the tensor needs no gradient, `gradient` is missing or of another shape, or the graph was freed.
    """
    engine.backward(x, gradient, retain_graph, create_graph, inputs=inputs)


def _matrix_transpose(x: Tensor, name: str) -> Tensor:
    if name == "H" and x.ndim not in (0, 2):
        raise RuntimeError(f"tensor.H is only supported on matrices (2-D tensors). Got {x.ndim}-D tensor.")
    if name != "H" and x.ndim == 1:
        raise RuntimeError(
            f"tensor.{name} is only supported on matrices or batches of matrices. Got {x.ndim}-D tensor."
        )
    return x if not x.ndim else F.transpose(x, -2, -1)


def _float(x: Tensor) -> Tensor:
    return F.to(x, dtypes.float32)


def _refuse_to_write(name: str, x: Tensor, *value: Any) -> None:
    raise AttributeError(f"attribute '{name}' of 'reference_impl.Tensor' objects is not writable")


def _install() -> None:
    for name in METHODS:
        setattr(Tensor, name, getattr(F, name))
    for name in PRODUCTS:
        setattr(Tensor, name, getattr(products, name))
    for name in MATRICES:
        setattr(Tensor, name, getattr(matrices, name))
    for name in ASSEMBLED:
        setattr(Tensor, name, getattr(assembled, name))
    for name in INTEGERS:
        setattr(Tensor, name, getattr(integers, name))
    for name, function in (inplace.IN_PLACE | relaying.RELAID).items():
        setattr(Tensor, name, function)
    for name, function in {
        "add": elementwise.add,
        "sub": elementwise.sub,
        "mul": elementwise.mul,
        "truediv": elementwise.div,
    }.items():
        setattr(Tensor, f"__{name}__", _fast_operator(function))
    for name, function in {"sub": F.sub, "truediv": elementwise.div}.items():
        setattr(Tensor, f"__r{name}__", _reflected(function))
    for name, function in {
        "pow": F.pow,
        "mod": F.remainder,
        "floordiv": F.floor_divide,
    }.items():
        setattr(Tensor, f"__{name}__", _operator(function))
        setattr(Tensor, f"__r{name}__", _operator(functools.partial(_swap, function)))
    for name, method in (
        ("matmul", _fast_operator(F.matmul, numbers=())),
        ("rmatmul", _operator(functools.partial(_swap, F.matmul), numbers=())),
    ):
        setattr(Tensor, f"__{name}__", method)
    for name, function in {
        "and": integers.bitwise_and,
        "or": integers.bitwise_or,
        "xor": integers.bitwise_xor,
        "lshift": integers.bitwise_left_shift,
        "rshift": integers.bitwise_right_shift,
    }.items():
        setattr(Tensor, f"__{name}__", _operator(function))
        setattr(Tensor, f"__r{name}__", _operator(functools.partial(_swap, function)))
    for name in ("and", "or", "xor", "left_shift", "right_shift"):
        short = name.replace("left_", "l").replace("right_", "r")
        setattr(Tensor, f"__i{short}__", _augmented(f"bitwise_{name}_"))
    for name in ("add", "sub", "mul", "pow"):
        setattr(Tensor, f"__i{name}__", _augmented(f"{name}_"))
    for name in ("eq", "ne", "lt", "le", "gt", "ge"):
        setattr(Tensor, f"__{name}__", _fast_operator(getattr(F, name), compares=True))
    more: dict[str, Any] = {
        "where": _where,
        "__radd__": Tensor.__add__,
        "__rmul__": Tensor.__mul__,
        "__itruediv__": _augmented("div_"),
        "__neg__": F.neg,
        "__pos__": lambda x: x,
        "__abs__": F.abs,
        "__invert__": integers.bitwise_not,
        "__getitem__": F.getitem,
        "__setitem__": inplace.set_item,
        "__iter__": F.iterate,
        "new_full": factories.new_full,
        "new_zeros": factories.new_zeros,
        "new_empty": factories.new_zeros,
        "new_ones": factories.new_ones,
        "new_tensor": factories.new_tensor,
        "__deepcopy__": factories.deepcopy_leaf,
        "__reduce_ex__": factories.pickled,
        "backward": _backward,
        "register_hook": register_hook,
        "register_post_accumulate_grad_hook": register_post_accumulate_grad_hook,
        "float": _float,
        "half": lambda x: F.to(x, dtypes.float16),
        "double": lambda x: F.to(x, dtypes.float64),
        "long": lambda x: F.to(x, dtypes.int64),
        "int": lambda x: F.to(x, dtypes.int32),
        "bool": lambda x: F.to(x, dtypes.bool_),
        "type_as": lambda x, other: F.to(x, other.dtype),
        "view_as": lambda x, other: F.view(x, tuple(other.shape)),
        "reshape_as": lambda x, other: F.reshape(x, tuple(other.shape)),
        "short": lambda x: F.to(x, dtypes.int16),
        "byte": lambda x: F.to(x, dtypes.uint8),
        "char": lambda x: F.to(x, dtypes.int8),
        "cpu": lambda x, memory_format=None: x,
        "ndimension": lambda x: x.array.ndim,
        "polygamma": lambda x, n: F.polygamma(n, x),
        "bernoulli": random.bernoulli,
        "multinomial": random.multinomial,
        "is_cpu": property(lambda x: True),
        **{f"is_{kind}": property(lambda x: False) for kind in ("cuda", "meta", "quantized", "sparse")},
        "itemsize": property(lambda x: x.array.itemsize),
        "layout": property(lambda x: devices.strided),
        "nbytes": property(lambda x: x.array.nbytes),
        "real": property(lambda x: x),
        **{name: lambda x: x for name in ("conj", "resolve_conj", "resolve_neg")},
        "get_device": lambda x: -1,
        "is_conj": lambda x: False,
        "is_same_size": lambda x, other: x.array.shape == other.array.shape,
        "T": property(lambda x: F.permute(x, tuple(range(x.ndim))[::-1])),
        "H": property(lambda x: _matrix_transpose(x, "H")),
        "mT": property(lambda x: _matrix_transpose(x, "mT")),
        "mH": property(lambda x: _matrix_transpose(x, "mH")),
    }
    for name, value in more.items():
        setattr(Tensor, name, value)
    for name in (
        "T",
        "mT",
        "_base",
        "_version",
        "dtype",
        "grad_fn",
        "is_leaf",
        "ndim",
        "output_nr",
        "retains_grad",
        "shape",
    ):
        refuse = functools.partial(_refuse_to_write, name)
        setattr(Tensor, name, getattr(Tensor, name).setter(refuse).deleter(refuse))
    # Overflow and division by zero give inf and nan in silence, as in PyTorch; NumPy would warn about ours.
    warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"reference_impl\b")


_install()
