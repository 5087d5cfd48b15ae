"""In-place operations: the result of the out-of-place op is written into the tensor's memory and takes over its history.

Writing to a view writes to its base, too: the base's node becomes `view_scatter` of its old node and the new value, and
every other view of it notices at its next use (`tensor.refresh`). Each write adds 1 to the storage's version, which all
aliases share, so a node that saved the old values refuses to run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from reference_impl import assembled, functions, integers, products, random
from reference_impl.modes import mode
from reference_impl.ops import elementwise, indexing
from reference_impl.primitives import CONSTANT, PRIMITIVES, WANTED, apply, counted, recorder
from reference_impl.tensor import (
    JointNode,
    Node,
    Output,
    Path,
    Tensor,
    View,
    hand_over_retain,
    new_number,
    refresh,
    rename,
    rewritten,
    type_name,
)

__all__ = [
    "FUNCTIONS",
    "IN_PLACE",
    "assign",
    "check_history",
    "check_memory",
    "check_writable",
    "rewrite_base",
    "set_item",
]


def check_writable(x: Tensor, *others: Any) -> None:
    """Refuse a write that would falsify the graph, and prepare x for one that would not.

    Args:
        x: what is to be written to.
        others: the operands: the write is recorded if one of them requires grad.

    Raises:
        RuntimeError: as `check_history`; or x repeats memory (`expand`), is an inference tensor outside inference mode, or
            shares some elements with an operand, but not each with the same one.
    """
    check_history(x, *others)
    check_memory(x)
    for other in others:
        if type(other) is Tensor and other.storage is x.storage and other is not x:
            _check_overlap(x.array, other.array)
    if mode.enabled and x._view is not None and x._node is not None:
        x._node = _without_hooks(x._node, len(x._view.path or ()))


def check_history(x: Tensor, *others: Any) -> None:
    """Refuse to give a tensor another history where that would falsify the graph.

    Raises:
        RuntimeError: x is a leaf that requires grad, or a view of one, or a view whose history cannot be rewritten.
    """
    refresh(x)
    if mode.enabled and (x._requires_grad or any(isinstance(o, Tensor) and o.requires_grad for o in others)):
        view = x._view
        if view is not None:
            if view.kind:
                raise rewritten(x, "is being")
            if x._requires_grad and view.base._node is None:
                raise RuntimeError(
                    "a view of a leaf Variable that requires grad is being used in an in-place operation."
                )
        if x._requires_grad and x._node is None:
            raise RuntimeError("a leaf Variable that requires grad is being used in an in-place operation.")


def _without_hooks(node: Node, steps: int) -> Node:
    """Return the nodes that lead from a base to its view, without their hooks, if there are any.

    A write to a view becomes part of its base's history; the view as it was is no part of that, nor are hooks on it.
    """
    chain = [node]
    while len(chain) < steps and isinstance(above := chain[-1].edges[0], Node):
        chain.append(above)
    if all(link._hooks is None for link in chain) or any(isinstance(link, (JointNode, Output)) for link in chain):
        return node
    copies: list[Node] = []
    for link in reversed(chain):
        edges = (copies[-1],) if copies else link.edges
        copies.append(Node(link.primitive, edges, link.saved, link.versions, link.shapes, link.frees))
        copies[-1].number = link.number
    hand_over_retain(node, copies[-1])
    return copies[-1]


def check_memory(x: Tensor) -> None:
    """Refuse a write to memory that is not a tensor's own.

    Raises:
        RuntimeError: x is an inference tensor and this is not inference mode; or elements share memory, as after `expand`.
    """
    if x.is_inference() and not mode.inference:
        raise RuntimeError(
            "Inplace update to inference tensor outside InferenceMode is not allowed. You can make a clone to get a normal "
            "tensor before doing inplace update."
        )
    array = x.array
    if (
        type(array) is np.ndarray
        and array.size
        and (not array.flags.writeable or (0 in array.strides and _repeats(array)))
    ):
        raise RuntimeError(
            "unsupported operation: more than one element of the written-to tensor refers to a single memory location. "
            "Please clone() the tensor before performing the operation."
        )


def _check_overlap(written: Any, read: Any) -> None:
    """Refuse to write where other elements have yet to be read; arrays with gaps are not looked into, as in PyTorch."""
    dense = all(a.flags.c_contiguous or a.flags.f_contiguous for a in (written, read))
    if not dense or not written.size or not read.size:
        return
    start, other = (a.__array_interface__["data"][0] for a in (written, read))
    if (start, written.nbytes, written.strides) == (other, read.nbytes, read.strides):
        return
    if start < other + read.nbytes and other < start + written.nbytes:
        raise RuntimeError(
            "unsupported operation: some elements of the input tensor and the written-to tensor refer to a single memory "
            "location. Please clone() the tensor before performing the operation."
        )


def _repeats(array: Any) -> bool:
    return any(s == 0 and n > 1 for s, n in zip(array.strides, array.shape, strict=True))


def assign(x: Tensor, new: Tensor) -> Tensor:
    """Write `new` into x's memory, give x its history, and return x.

    Raises:
        RuntimeError: `new` has another shape, or a dtype that does not cast to x's.
    """
    if new.array.shape != x.array.shape:
        raise RuntimeError(f"output with shape {list(x.shape)} doesn't match the broadcast shape {list(new.shape)}")
    if new.array.dtype != x.array.dtype:
        if "biuf".index(new.array.dtype.kind) > max("biuf".index(x.array.dtype.kind), 2 * (x.array.dtype.kind in "iu")):
            raise RuntimeError(f"result type {_name(new)} can't be cast to the desired output type {_name(x)}")
        new = apply(PRIMITIVES["to"], new, dtype=x.array.dtype)
    if new.array.size:  # what is empty may be read-only
        x.array[...] = new.array
    if not x.is_inference():
        x.storage.version += 1
    if mode.enabled and new._requires_grad:
        view = x._view
        if view is None:
            _adopt(x, new)
        else:
            rewrite_base(view, new)
            refresh(x)
    return x


def rewrite_base(view: View, new: Tensor) -> None:
    """Give the base of a view the history of `new`, which was written to the view."""
    base = view.base
    before, base._node = base._node, _scattered(base, new, view.path or ())
    base._requires_grad = True
    hand_over_retain(before, base._node)


def _name(x: Tensor) -> str:
    return type_name(x.array.dtype).removeprefix("torch.").removesuffix("Tensor")


def _scattered(base: Tensor, new: Tensor, path: Path) -> Node:
    """Return the node of a base after `new` was written to the view that `path` leads to."""
    p = PRIMITIVES["view_scatter"]
    make = recorder(p, (WANTED if base._requires_grad else CONSTANT, WANTED))
    node = make(p, (base, new), (base.array, new.array), base, {"path": path})
    rename(node, "torch::autograd::CopySlices")
    node.frees = True  # it keeps no values, yet PyTorch lets it run once only
    return node


def _adopt(x: Tensor, new: Tensor) -> None:
    node = new._node
    if node is None:  # the new value is a leaf itself, as in copy_
        new = apply(PRIMITIVES["clone"], new)
        node = new._node
    assert node is not None
    # What the node saved as its output is x's memory from now on, and later writes to x must be noticed.
    node.versions = tuple((x.storage, x.storage.version) if s is new.storage else (s, v) for s, v in node.versions)
    before, x._node = x._node, node
    x._requires_grad = True
    hand_over_retain(before, node)


def _in_place(op: Callable[..., Any]) -> Callable[..., Tensor]:
    name = op.__name__.rstrip("_")

    def method(x: Tensor, *args: Any, **params: Any) -> Tensor:
        check_writable(x, *args, *params.values())
        before = new_number()
        new = op(x, *args, **params)
        node = new._node
        if node is not None:
            if any(isinstance(end, Node) and end.number > before for end in node.edges):
                new = op(x.clone(), *args, **params)  # composed of several ops, any of which may have saved x
            else:
                _save_a_copy(node, x)
        return assign(x, new)

    method.__name__ = method.__qualname__ = f"{name}_"
    method.__doc__ = f"Replace x by `{name}` of it, in place, and return x."
    return method


def _save_a_copy(node: Node, x: Tensor) -> None:
    """Let a node that needs the first argument of its op keep a copy of it, since x itself is about to be overwritten."""
    values, first = node.values, node.primitive.arg_names[0]
    if values is None:
        return
    copy, saved, versions = None, [list(v) for v in values], []
    for (i, j, name), pair in zip(counted(node, values), node.versions, strict=False):
        if name == first and values[i][j] is x.array:
            saved[i][j] = copy = x.array.copy() if copy is None else copy
        else:
            versions.append(pair)
    if copy is not None:
        node.values, node.versions = tuple(map(tuple, saved)), tuple(versions)


def zero_(input: Tensor) -> Tensor:
    """Fill with zeros in place and return the tensor."""
    check_writable(input)
    return assign(input, _overwritten(input, 0.0, "ZeroBackward0"))


def fill_(input: Tensor, value: Any) -> Tensor:
    """Fill with one value in place and return the tensor; a 0-d tensor's gradient is the sum of the cotangent.

    Raises:
        RuntimeError: the value is a tensor of one dimension or more.
    """
    if isinstance(value, Tensor) and value.array.ndim:
        raise RuntimeError(
            f"fill_ only supports 0-dimension value tensor but got tensor with {value.array.ndim} dimensions."
        )
    check_writable(input, value)
    return assign(input, _overwritten(input, value, "FillBackward0"))


def copy_(x: Tensor, src: Tensor, non_blocking: bool = False) -> Tensor:
    """Copy the broadcast values of `src` in place and return x: gradient 0 to the old values, all to `src`."""
    check_writable(x, src)
    return assign(x, _overwritten(x, src, "torch::autograd::CopyBackwards"))


def _overwritten(x: Tensor, value: Any, name: str) -> Tensor:
    if isinstance(value, Tensor):
        try:
            np.broadcast_to(value.array, x.array.shape)
        except ValueError:
            raise RuntimeError(
                f"output with shape {list(x.shape)} doesn't match the broadcast shape {list(value.shape)}"
            ) from None
        if value.array.dtype != x.array.dtype:
            value = apply(PRIMITIVES["to"], value, dtype=x.array.dtype)
    else:
        value = _plain_number(x, value)
    result: Tensor = elementwise.overwrite(x, value)
    rename(result._node, name)
    return result


def _compared(op: Callable[..., Any]) -> Callable[..., Tensor]:
    def method(x: Tensor, other: Any) -> Tensor:
        check_writable(x, other)
        return assign(x, _overwritten(x, op(x, other), f"{op.__name__.capitalize()}Backward1"))

    method.__name__ = method.__qualname__ = f"{op.__name__}_"
    method.__doc__ = (
        f"Replace x by `{op.__name__}` of it, as 0 and 1, in place, and return x: gradient 0 to the old values."
    )
    return method


def _drawn(name: str, draw: Callable[..., Any]) -> Callable[..., Tensor]:
    def method(x: Tensor, *args: Any, generator: Any = None, **params: Any) -> Tensor:
        check_writable(x)
        numbers = (random.default_generator if generator is None else generator).numbers
        drawn = np.asarray(draw(numbers, x.array.shape, *args, **params)).astype(x.array.dtype)
        return assign(x, _overwritten(x, Tensor(drawn), f"{name.capitalize()}Backward0"))

    method.__name__ = method.__qualname__ = f"{name}_"
    method.__doc__ = f"Fill x with random numbers, {name}, in place, and return x: gradient 0 to the old values."
    return method


def resize_(x: Tensor, *sizes: Any, size: Any = None, memory_format: Any = None) -> Tensor:
    """Give x another shape in place and return x: its first elements in order, then zeros where there are more.

    Raises:
        RuntimeError: x requires grad.
    """
    if x.requires_grad:
        raise RuntimeError("cannot resize variables that require grad")
    sizes = sizes if size is None else (size,)
    shape = tuple(sizes[0]) if len(sizes) == 1 and not isinstance(sizes[0], int) else sizes
    made = np.zeros(shape, x.array.dtype)
    n = min(made.size, x.array.size)
    made.reshape(-1)[:n] = x.array.reshape(-1)[:n]
    x.array = made
    return x


def fill_diagonal_(x: Tensor, fill_value: Any, wrap: bool = False) -> Tensor:
    """Write a number to the places whose positions are equal in all dimensions, and return x.

    Args:
        wrap: in a matrix of more rows than columns go on below, after a row left out.

    Raises:
        RuntimeError: x has less than two dimensions, or more and of several lengths.
    """
    shape = tuple(x.array.shape)
    if len(shape) < 2:
        raise RuntimeError("dimensions must larger than 1")
    if len(shape) > 2 and len(set(shape)) > 1:
        raise RuntimeError("all dimensions of input must be of equal length")
    places = np.arange(min(shape))
    index = (places,) * len(shape)
    if wrap and len(shape) == 2 and shape[0] > shape[1]:
        flat = np.arange(0, x.array.size, shape[1] + 1)
        index = (flat // shape[1], flat % shape[1])
    set_item(x, index, fill_value)
    return x


def random_(x: Tensor, *bounds: int | None, generator: Any = None, **named: int) -> Tensor:
    """Fill x with whole numbers, each as likely: below `to`, from `from` to below `to`, or all that the type can count.

    Raises:
        RuntimeError: there is no number between the bounds.
    """
    check_writable(x)
    dtype = x.array.dtype
    low, high = (0, bounds[0]) if len(bounds) == 1 else bounds or (named.get("from", 0), named.get("to"))
    if high is None:
        mantissa = np.finfo(dtype).nmant + 1 if dtype.kind == "f" else 0
        high = (
            2**mantissa + 1 if mantissa else 2 if dtype.kind == "b" else int(np.iinfo(dtype).max) + (dtype.itemsize < 8)
        )
    if low is None or low >= high:
        raise RuntimeError(f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")
    numbers = (random.default_generator if generator is None else generator).numbers
    drawn = numbers.integers(low, high, x.array.shape).astype(dtype)
    return assign(x, _overwritten(x, Tensor(np.asarray(drawn)), "RandomBackward0"))


def set_item(x: Tensor, index: Any, value: Any) -> None:
    """x[index] = value: through a view for a basic index, through `index_put` for arrays of integers or bools.

    Raises:
        RuntimeError: x is a leaf that requires grad, or the value does not broadcast to the place.
        IndexError: the index is out of range.
    """
    if not isinstance(value, Tensor):
        value = _plain_number(x, value)
    plain, picks = indexing.in_two_steps(index, x.array.shape)
    if picks is None:
        piece = x if _selects_all(plain, x.array.shape) else apply(PRIMITIVES["getitem"], x, index=plain)
        check_writable(piece, value)
        name = "torch::autograd::CopyBackwards" if isinstance(value, Tensor) else "FillBackward0"
        value = _without_leading_ones(value, piece.array.ndim)
        if isinstance(value, Tensor) and not _fits(value.array.shape, piece.array.shape):
            functions.expand(value, piece.array.shape)  # which says why not
        assign(piece, _overwritten(piece, value, name))
        return
    check_writable(x, value)
    piece = x if plain is None else apply(PRIMITIVES["getitem"], x, index=plain)
    value = value if isinstance(value, Tensor) else Tensor(np.asarray(value, dtype=x.array.dtype))
    place = piece.array[picks].shape
    value = _without_leading_ones(value, len(place))
    if not _fits(value.array.shape, place):
        raise RuntimeError(
            f"shape mismatch: value tensor of shape {list(value.shape)} cannot be broadcast to indexing result of shape "
            f"{list(place)}"
        )
    if value.array.dtype != x.array.dtype:
        if value.array.size != 1 or not _is_mask(picks):
            raise RuntimeError(
                "Index put requires the source and destination dtypes match, got "
                f"{_name(x)} for the destination and {_name(value)} for the source."
            )
        value = apply(PRIMITIVES["to"], value, dtype=x.array.dtype)
    assign(piece, apply(PRIMITIVES["index_put"], piece, value, index=picks))


def _plain_number(x: Tensor, value: Any) -> Any:
    """Return a number as one of Python's, in the kind of x.

    Raises:
        TypeError: it is something else.
        RuntimeError: x's element type has no room for it.
    """
    dtype = x.array.dtype
    if dtype.kind == "f" and (type(value) is float or type(value) is int):
        return value
    if isinstance(value, np.float64):
        value = float(value)
    elif isinstance(value, np.integer | np.bool_):
        value = value.item()
    if not isinstance(value, bool | int | float):
        kind = type(value)
        what = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
        raise TypeError(f"can't assign a {what} to a {type_name(dtype)}")
    if dtype.kind == "b":
        return bool(value)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        low = -limits.max if dtype.kind == "u" else limits.min
        if value != value or not low <= value <= limits.max:
            raise RuntimeError(f"value cannot be converted to type {dtype.name}_t without overflow: {value!r}")
        return int(value) % (limits.max + 1) if dtype.kind == "u" else int(value)
    return value


def _is_mask(picks: Any) -> bool:
    """Tell whether the only array of an index is a mask: one number is then filled in, which casts."""
    arrays = [i for i in picks if isinstance(i, np.ndarray)]
    return len(arrays) == 1 and arrays[0].dtype == bool


def _fits(shape: tuple[int, ...], place: tuple[int, ...]) -> bool:
    return len(shape) <= len(place) and all(n in (1, m) for n, m in zip(reversed(shape), reversed(place), strict=False))


def _selects_all(index: Any, shape: tuple[int, ...]) -> bool:
    """Tell whether a basic index takes all of a tensor: PyTorch then writes to the tensor itself, not to a view of it."""
    items = [i for i in (index if isinstance(index, tuple) else (index,)) if i is not Ellipsis]
    return all(type(i) is slice for i in items) and all(
        i.indices(n) == (0, n, 1) for i, n in zip(items, shape, strict=False)
    )


def _without_leading_ones(value: Any, ndim: int) -> Any:
    """Return a value without those leading dimensions of length 1 that the place does not have."""
    if isinstance(value, Tensor) and value.array.ndim > ndim:
        extra = value.array.ndim - ndim
        if value.array.shape[:extra] == (1,) * extra:
            return functions.reshape(value, value.array.shape[extra:])
    return value


IN_PLACE: dict[str, Callable[..., Tensor]] = {
    f"{name}_": _in_place(getattr(functions, name))
    for name in (
        *("abs", "add", "atan", "clamp", "cos", "cosh", "div", "exp", "expm1", "log", "log1p", "mul", "neg", "pow"),
        *("reciprocal", "relu", "rsqrt", "sigmoid", "sign", "sin", "sinh", "sqrt", "square", "sub", "tan", "tanh"),
        *("tril", "triu", "cumprod", "cumsum"),
        *("index_add", "index_copy", "index_fill", "index_put", "masked_fill", "masked_scatter", "put"),
        *("scatter", "scatter_add", "scatter_reduce"),
        *(
            "absolute acos acosh addcdiv addcmul arccos arccosh arcsin arcsinh arctan arctan2 arctanh asin asinh"
        ).split(),
        *("atan2 atanh ceil clamp_max clamp_min clip copysign deg2rad digamma divide erf erfc erfinv exp2 fix").split(),
        *(
            "float_power floor fmod frac hypot i0 ldexp lerp lgamma log10 log2 logical_and logical_not logical_or"
        ).split(),
        *(
            "logit multiply nan_to_num negative rad2deg remainder round sgn sinc subtract true_divide trunc xlogy"
        ).split(),
    )
}
IN_PLACE |= {f"{name}_": _in_place(getattr(products, name)) for name in "addbmm addmm addmv addr baddbmm".split()}
IN_PLACE |= {
    f"{name}_": _compared(getattr(functions, name))
    for name in "eq ge greater greater_equal gt le less less_equal lt ne not_equal".split()
}
IN_PLACE |= {
    f"{name}_": _compared(getattr(integers, name))
    for name in (
        "bitwise_and bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor gcd lcm logical_xor".split()
    )
}
IN_PLACE |= {f"{name}_": _compared(getattr(functions, name)) for name in ("floor_divide", "heaviside")}
IN_PLACE |= {"nextafter_": _in_place(assembled.nextafter)}
IN_PLACE |= {"fill_diagonal_": fill_diagonal_, "random_": random_, "renorm_": _in_place(assembled.renorm)}
IN_PLACE |= {"zero_": zero_, "fill_": fill_, "copy_": copy_, "resize_": resize_}
IN_PLACE |= {
    "uniform_": _drawn("uniform", lambda g, shape, a=0.0, b=1.0: a + (b - a) * g.random(shape)),
    "normal_": _drawn("normal", lambda g, shape, mean=0.0, std=1.0: mean + std * g.standard_normal(shape)),
    "exponential_": _drawn("exponential", lambda g, shape, lambd=1.0: g.standard_exponential(shape) / lambd),
    "bernoulli_": _drawn(
        "bernoulli", lambda g, shape, p=0.5: g.random(shape) < (p.array if isinstance(p, Tensor) else p)
    ),
}

# Those that PyTorch has as functions, too: ``torch.exp_(x)``.
FUNCTIONS = tuple(
    f"{name}_"
    for name in (
        *("abs acos acosh addmv arccos arccosh arcsin arcsinh arctan arctanh asin asinh atan atanh ceil clamp").split(),
        *(
            "clamp_max clamp_min clip cos cosh deg2rad erf erfc exp exp2 expm1 fill fix floor frac i0 index_put ldexp"
        ).split(),
        *(
            "log log10 log1p log2 logit nan_to_num neg negative rad2deg reciprocal relu round rsqrt sigmoid sin sinc"
        ).split(),
        *("sinh sqrt square tan tanh trunc xlogy zero").split(),
    )
)
