"""One declaration per op: a NumPy body, one VJP rule per argument, domain and kinks. `apply` runs and records it.

A rule names what it needs and gets just that: ``ct`` (the cotangent of the output), ``y`` (the output), an argument by
its name, ``x_shape`` or ``x_dtype``, or a parameter. What a rule names is what its node saves; nothing else is kept
alive, and a node whose rules name no values can run backward twice.

>>> import reference_impl as torch
>>> PRIMITIVES["log"].rules[0].needs
('x',)

The same rule text runs at two speeds. An ordinary backward hands it plain arrays, and a primitive that is handed no
tensor computes straight on them. With ``create_graph=True`` it is handed tensors and records itself. A third reader is
the harness: it registers its own array type here (`register_array_type`) and runs every rule in interval arithmetic.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from reference_impl import dtypes
from reference_impl.modes import mode
from reference_impl.tensor import (
    Node,
    Path,
    Storage,
    Tensor,
    _foreign_types,
    first_view,
    node_numbers,
    refresh,
    tensor_of,
    view_of,
)

__all__ = [
    "CONSTANT",
    "CONTRACTION",
    "ELEMENTWISE",
    "FAST",
    "INDEXING",
    "MOVEMENT",
    "NUMBER",
    "PRIMITIVES",
    "REDUCTION",
    "WANTED",
    "WRITTEN",
    "Primitive",
    "Rule",
    "apply",
    "at_once",
    "binary",
    "broadcast_error",
    "counted",
    "cut_out",
    "primitive",
    "recorder",
    "register_array_type",
    "replaced_rules",
    "replay",
    "unbroadcast",
    "unwatch",
    "watch",
    "watched",
]

_F2, _F4, _F8 = np.dtype(np.float16), np.dtype(np.float32), np.dtype(np.float64)
FAST = (_F8, _F4)  # the dtypes that need no care
ndarray, asarray, np_array, _scalar = np.ndarray, np.asarray, np.array, np.generic

ELEMENTWISE = "elementwise"
REDUCTION = "reduction"
MOVEMENT = "movement"
INDEXING = "indexing"
CONTRACTION = "contraction"


@dataclass(frozen=True, eq=False)
class Rule:
    """One VJP: the function from the output's cotangent to an argument's, and the names of what else it needs."""

    function: Callable[..., Any]
    needs: tuple[str, ...]
    values: tuple[int, ...]  # which of (output, argument 0, argument 1, ...) are kept and must not be overwritten


@dataclass(frozen=True, eq=False)
class Primitive:
    """An op of the tape. Attributes are what the tables of the documentation show."""

    name: str
    body: Callable[..., Any]
    kind: str
    arg_names: tuple[str, ...]
    variadic: bool
    params: dict[str, Any]
    rules: tuple[Rule, ...]
    domain: str
    kinks: str
    view: bool
    floats: bool
    promotes: bool
    first_promoted: int  # `where` promotes its branches, not its condition
    doc: str
    node_name: str | Callable[[Node], str]
    add_into: Callable[..., None] | None
    recorders: dict[tuple[int, ...], Callable[..., Node]] = field(default_factory=dict, repr=False)  # see `recorder`
    pulls: tuple[Callable[..., Any], ...] = field(init=False, repr=False)  # the functions of the rules, for the sweep

    def __post_init__(self) -> None:
        object.__setattr__(self, "pulls", tuple(rule.function for rule in self.rules))

    def rule(self, i: int) -> Rule:
        """Return the rule of argument `i`; a variadic primitive has one for all."""
        return self.rules[0 if self.variadic else i]


PRIMITIVES: dict[str, Primitive] = {}
_REQUIRED = inspect.Parameter.empty


def primitive(
    kind: str,
    *,
    vjps: Sequence[Callable[..., Any]] = (),
    domain: str = "all reals",
    kinks: str = "",
    view: bool = False,
    floats: bool = False,
    add_into: Callable[..., None] | None = None,
    node_name: str | Callable[[Node], str] = "",
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declare a primitive from its NumPy body and its rules; the decorated name becomes the op itself.

    Args:
        kind: ELEMENTWISE (arguments broadcast and are promoted, the engine sums a cotangent back to their shapes),
            REDUCTION, MOVEMENT, INDEXING or CONTRACTION (each rule returns its argument's exact shape).
        vjps: one rule an argument, in order; none for an op without derivative.
        domain: where the function is defined, in words.
        kinks: where it is not differentiable, and what the rule returns there.
        view: the body may return a view of its first argument.
        floats: integer tensors are converted to the default float type first.
        add_into: for an op of one argument whose rule makes a new, mostly empty array: ``add_into(total, ct, ...)`` adds
            what the rule would return to a sum in place. A loop over the rows of a matrix is then linear in its length.
        node_name: PyTorch's name of the node's class, or a function that tells it; by default made of the primitive's.
    """

    def declare(body: Callable[..., Any]) -> Callable[..., Any]:
        signature = inspect.signature(body).parameters.values()
        arg_names = tuple(p.name for p in signature if p.kind is not p.KEYWORD_ONLY)
        made = Primitive(
            name=body.__name__.rstrip("_"),
            body=body,
            kind=kind,
            arg_names=arg_names,
            variadic=any(p.kind is p.VAR_POSITIONAL for p in signature),
            params={p.name: p.default for p in signature if p.kind is p.KEYWORD_ONLY},
            rules=tuple(_rule(f, arg_names) for f in vjps),
            domain=domain,
            kinks=kinks,
            view=view,
            floats=floats,
            promotes=floats or kind == ELEMENTWISE or arg_names == ("xs",),
            first_promoted=int(arg_names[0] == "condition"),
            doc=inspect.getdoc(body) or "",
            node_name=node_name or "".join(w.capitalize() for w in body.__name__.split("_")) + "Backward0",
            add_into=add_into,
        )
        PRIMITIVES[made.name] = made
        return _callable(made)

    return declare


@functools.lru_cache(maxsize=4096)
def _rule(function: Callable[..., Any], arg_names: tuple[str, ...]) -> Rule:
    names = tuple(inspect.signature(function).parameters)
    if names[0] != "ct":
        raise TypeError(f"a rule takes the cotangent first, as `ct`; got the parameters {names}")
    needs = names[1:]
    order = ("y", *arg_names)
    return Rule(function, needs, tuple(order.index(n) for n in needs if n in order))


def _callable(p: Primitive) -> Callable[..., Any]:
    """Return the op: the function that users and rules call."""
    count = len(p.arg_names)
    if p.params:
        op = _with_params(p)
    elif p.kind == ELEMENTWISE and count == 1:
        op = _unary(p)
    elif p.kind in (ELEMENTWISE, CONTRACTION) and not p.first_promoted and _public(p) == ["input", "other"]:
        op = binary(p, _general(p))
    else:
        op = _general(p)
    op.__name__ = op.__qualname__ = p.body.__name__
    op.__doc__ = p.doc
    op.__module__ = p.body.__module__
    op.primitive = p  # type: ignore[attr-defined]  # functions carry attributes at run time
    return op


def _general(p: Primitive) -> Callable[..., Any]:
    body = p.body

    def op(*args: Any, **named: Any) -> Any:
        if named:
            args = _in_order(p, args, named)
        for a in args:
            if type(a) is not ndarray and type(a) is not float:
                return _apply(p, args, {})
        return body(*args)  # bare arrays: a rule at work

    return op


# What users call an argument is PyTorch's name; the rules have the shorter ones of a textbook.
_PUBLIC = {"x": "input", "a": "input", "b": "other"}


def _public(p: Primitive) -> list[str]:
    """Return the names of the arguments that a user may pass by keyword."""
    second = {"dot": "tensor", "outer": "vec2"}.get(p.name)
    return [second if i == 1 and second else _PUBLIC.get(name, name) for i, name in enumerate(p.arg_names)]


def _in_order(p: Primitive, args: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, ...]:
    """Return all arguments by position.

    Raises:
        TypeError: a name that there is not, an argument given twice, or one missing.
    """
    missing = [] if p.variadic else _public(p)[len(args) :]
    for name in named:
        if name not in missing:
            raise TypeError(f"{p.name}() got an unexpected keyword argument {name!r}")
    if len(named) < len(missing):
        raise TypeError(f"{p.name}() missing required arguments: {', '.join(n for n in missing if n not in named)}")
    return (*args, *(named[name] for name in missing))


def _with_params(p: Primitive) -> Callable[..., Any]:
    """Return the op with its parameters spelled out: Python then checks and fills them in, twice as fast as we could.

    PyTorch takes most parameters by position too, as in ``x.sum(0, True)``, so they may be. For `sum` it reads::

        def op(input, dim=..., keepdim=...):
            if type(input) is ndarray:
                return body(input, dim=dim, keepdim=keepdim)  # a bare array: a rule at work
            if type(input) is not Tensor or type(array := input.array) is not ndarray or not (...float64 or float32):
                return apply(p, (input,), {'dim': dim, 'keepdim': keepdim})
            if (view := input._view) is not None and (input._node is None or view.version != input.storage.version):
                refresh(input)
            try:
                y = body(array, dim=dim, keepdim=keepdim)
            except ValueError as error:
                raise shape_error(p, [array], error) from error
            return wrapped(p, input, array, y, {'dim': dim, 'keepdim': keepdim})
    """
    given = ", ".join(f"{k}={k}" for k in p.params)
    params = "{" + ", ".join(f"{k!r}: {k}" for k in p.params) + "}"
    names_of_args = [f"*{p.arg_names[0]}"] if p.variadic else _public(p)
    spelled = [k if default is _REQUIRED else f"{k}=defaults[{k!r}]" for k, default in p.params.items()]
    lines = [f"def op({', '.join([*names_of_args, *spelled])}):"]
    if p.variadic:
        lines.append(f"    return apply(p, xs, {params}) if (y := at_once(p, xs, {params})) is None else y")
    elif len(p.arg_names) == 1:
        (x,) = names_of_args
        lines.append(f"    if type({x}) is ndarray: return body({x}, {given})")
        lines += [
            f"    if type({x}) is not Tensor or type(array := {x}.array) is not ndarray"
            f" or not (array.dtype is F8 or array.dtype is F4): return apply(p, ({x},), {params})",
            f"    if (view := {x}._view) is not None"
            f" and ({x}._node is None or view.version != {x}.storage.version): refresh({x})",
            f"    try: y = body(array, {given})",
            "    except ValueError as error: raise shape_error(p, [array], error) from error",
            f"    return wrapped(p, {x}, array, y, {params})",
        ]
    else:
        lines.append(f"    return apply(p, ({', '.join(names_of_args)},), {params})")
    names: dict[str, Any] = {"defaults": p.params, "ndarray": ndarray, "body": p.body}
    names |= {"p": p, "apply": _apply, "wrapped": cut_out if p.view else _wrapped, "shape_error": _shape_error}
    names |= {"at_once": at_once, "Tensor": Tensor, "F8": _F8, "F4": _F4, "refresh": refresh}
    exec("\n".join(lines), names)
    op: Callable[..., Any] = names["op"]
    return op


def at_once(p: Primitive, xs: tuple[Any, ...], params: dict[str, Any]) -> Tensor | None:
    """Apply a variadic primitive to tensors of one float type; None if they are others, or do not fit each other."""
    found = _of_one_float(xs)
    if found is None:
        return None
    arrays, kinds = found
    try:
        out = tensor_of(p.body(*arrays, **params))
    except ValueError:
        return None
    if WANTED in kinds and mode.enabled:
        key = tuple(kinds)
        out._node = (p.recorders.get(key) or recorder(p, key))(p, xs, arrays, out, params)
        out._requires_grad = True
    return out


def _wrapped(p: Primitive, x: Tensor, array: Any, y: Any, params: dict[str, Any]) -> Tensor:
    """Return the tensor of what a primitive made of one of a float type, recorded as `apply` does it."""
    if y.dtype is not array.dtype and _has_scalars(params):
        return _apply(p, (x,), params)  # type: ignore[no-any-return]
    out = tensor_of(y if type(y) is ndarray else asarray(y))
    if x._requires_grad and mode.enabled and p.rules:
        out._node = (p.recorders.get(_WANTED) or recorder(p, _WANTED))(p, (x,), (array,), out, params)
        out._requires_grad = True
    return out


def cut_out(p: Primitive, x: Tensor, array: Any, y: Any, params: dict[str, Any]) -> Tensor:
    """Do the same for a primitive whose result is a view, unless it had to copy."""
    if type(y) is not ndarray:
        y = asarray(y)
    recording = mode.enabled
    if recording and y.base is array and x._view is None and x.storage.__class__ is Storage:
        out = first_view(y, x, ((p, params),))
    else:
        out = tensor_of(y)
        _link_view(p, params, x, out)
    if recording and x._requires_grad:
        out._node = (p.recorders.get(_WANTED) or recorder(p, _WANTED))(p, (x,), (array,), out, params)
        out._requires_grad = True
    return out


def _of_one_float(xs: tuple[Any, ...]) -> tuple[list[Any], list[int]] | None:
    """Return the arrays of tensors that all hold NumPy arrays of one float type, and which are WANTED; else None."""
    arrays, kinds = [], []
    dtype = None
    for x in xs:
        if type(x) is not Tensor or type(array := x.array) is not ndarray:
            return None
        if (view := x._view) is not None and (x._node is None or view.version != x.storage.version):
            refresh(x)
            array = x.array
        if dtype is None:
            dtype = array.dtype
            if dtype is not _F8 and dtype is not _F4:
                return None
        elif array.dtype is not dtype:
            return None
        arrays.append(array)
        kinds.append(WANTED if x._requires_grad else CONSTANT)
    return arrays, kinds


# The two fast paths. On small arrays the interpreter is the whole cost, and nearly every op is elementwise on arrays of one
# float type. These two do for that case, in one pass, what `apply` does for all; whatever else comes goes to `apply`.


def _kernel(p: Primitive) -> Callable[..., Any]:
    """Return the ufunc that is all of a body, as in ``return np.sin(x)``, which saves its frame; else the body."""
    code = p.body.__code__
    if len(code.co_names) != 2 or code.co_names[0] != "np":
        return p.body
    ufunc = getattr(np, code.co_names[1], None)
    shape = {1: lambda x: np.sin(x), 2: lambda a, b: np.add(a, b)}.get(code.co_argcount)
    if not isinstance(ufunc, np.ufunc) or shape is None or code.co_code != shape.__code__.co_code:
        return p.body
    return ufunc


def _unary(p: Primitive) -> Callable[..., Any]:
    body, recorders, recorded = _kernel(p), p.recorders, bool(p.rules)

    def op(input: Any) -> Any:
        if type(input) is not Tensor:
            return body(input) if type(input) is ndarray else _apply(p, (input,), {})
        array = input.array
        if type(array) is not ndarray or not (array.dtype is _F8 or array.dtype is _F4):
            return _apply(p, (input,), {})
        if (view := input._view) is not None and (input._node is None or view.version != input.storage.version):
            refresh(input)
        y = body(array)
        out = tensor_of(y if type(y) is ndarray else asarray(y))
        if input._requires_grad and recorded and mode.enabled:
            out._node = (recorders.get(_WANTED) or recorder(p, _WANTED))(p, (input,), (array,), out, None)
            out._requires_grad = True
        return out

    return op


def binary(p: Primitive, otherwise: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Return the op of a primitive of two arguments, elementwise or a product; `otherwise` takes what the fast path does
    not."""
    body, recorders, recorded = _kernel(p), p.recorders, bool(p.rules)
    takes_numbers = p.kind == ELEMENTWISE and p.name != "pow"  # whose rule asks whether the exponent is a number

    def op(input: Any, other: Any) -> Any:
        if type(input) is not Tensor:
            return body(input, other) if type(input) is type(other) is ndarray else otherwise(input, other)
        x, kind_b = input.array, NUMBER
        if type(x) is not ndarray or not (x.dtype is _F8 or x.dtype is _F4):
            return otherwise(input, other)
        if (view := input._view) is not None and (input._node is None or view.version != input.storage.version):
            refresh(input)
        if type(other) is Tensor:
            z = other.array
            if type(z) is not ndarray or z.dtype is not x.dtype:
                return otherwise(input, other)
            if (view := other._view) is not None and (other._node is None or view.version != other.storage.version):
                refresh(other)
            kind_b = WANTED if other._requires_grad else CONSTANT
        elif takes_numbers and (type(other) is float or type(other) is int):
            # NumPy takes twice as long to combine an array with a Python number.
            z = number_array(other, x.dtype) if x.ndim else other
        else:
            return otherwise(input, other)
        try:
            y = body(x, z)
        except ValueError as error:
            raise _shape_error(p, [x, z], error) from error
        out = tensor_of(y if type(y) is ndarray else asarray(y))
        if (input._requires_grad or kind_b == WANTED) and recorded and mode.enabled:
            kinds = (WANTED if input._requires_grad else CONSTANT, kind_b)
            out._node = (recorders.get(kinds) or recorder(p, kinds))(p, (input, other), (x, z), out, None)
            out._requires_grad = True
        return out

    return op


def number_array(value: float, dtype: Any) -> Any:
    """Return a number as a 0-d array; the same array for the same number, since loops use few and making one is slow."""
    key = (value, dtype)
    made = _number_arrays.get(key)
    if made is None:
        made = np_array(value, dtype)
        if value:  # 0.0 and -0.0 are one key
            if len(_number_arrays) >= 256:
                _number_arrays.clear()
            _number_arrays[key] = made
    return made


_number_arrays: dict[tuple[float, Any], Any] = {}


def apply(p: Primitive, *args: Any, **params: Any) -> Any:
    """Run a primitive on tensors (and record it), or on bare arrays and numbers (and record nothing).

    Raises:
        RuntimeError: the shapes do not fit; an error of the body keeps its own type otherwise.
    """
    return _apply(p, args, params)


def _apply(p: Primitive, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
    arrays, kinds = [], []
    traced = half = scalars = strange = False
    handler = None
    for a in args:
        if isinstance(a, Tensor):
            traced = True
            if a._view is not None:
                refresh(a)
            kinds.append(WANTED if a._requires_grad else CONSTANT)
            a = a.array
        else:
            kinds.append(BARE if hasattr(a, "shape") else NUMBER)
            scalars = scalars or isinstance(a, _scalar)
            strange = strange or not (kinds[-1] == BARE or isinstance(a, int | float))
        if type(a) is ndarray:
            half = half or a.dtype is _F2
        elif type(a) in _foreign_types:
            handler = _foreign_types[type(a)]
        arrays.append(a)
    if traced and strange:
        raise _no_operand(p, args)
    if traced and (scalars or _has_scalars(params)):
        return _apply(p, tuple(map(_weak, args)), {k: _weak(v) for k, v in params.items()})
    if p.name in _REFUSE_BOOLS and traced:
        _refuse_bools(p.name, arrays)
    if traced and p.promotes and _needs_cast(p, arrays):
        return _apply(p, _cast(p, args), params)
    body = p.body
    if half and traced and p.kind not in (MOVEMENT, INDEXING) and p.name != "to":
        body = functools.partial(half_precision, p)
    if traced and p.name in _DIVIDE_WITH_REST:
        _refuse_zeros(arrays[1], arrays[0])
    try:
        y = body(*arrays, **params) if handler is None else handler(p.name, tuple(arrays), params)
    except OverflowError:
        y = body(*_wrapped_around(arrays), **params)
    except ValueError as error:
        if handler is not None:
            raise
        raise _shape_error(p, arrays, error) from error
    if not traced:
        return y
    if type(y) is not ndarray and type(y) not in _foreign_types:
        y = asarray(y)  # NumPy turns 0-d results into scalars
    if y.dtype.kind == "u" and y.dtype.itemsize == 8:
        y = y.astype(np.int64)  # sums of uint8
    out = Tensor(y)
    if p.view:
        _link_view(p, params, args[0], out)
    if WANTED in kinds and p.rules and mode.enabled:
        record = p.recorders.get(key := tuple(kinds)) or recorder(p, key)
        node = record(p, args, arrays, out, params)
        out._node = _indirect(node) if half else node
        out._requires_grad = True
    return out


_DIVIDE_WITH_REST = ("remainder", "fmod")


def _refuse_zeros(divisor: Any, number: Any) -> None:
    """Refuse to divide integers by 0.

    Raises:
        RuntimeError: a divisor is 0, and neither is a float.
    """
    kinds = {getattr(x, "dtype", np.dtype(type(x))).kind for x in (divisor, number)}
    if "f" not in kinds and not np.all(divisor):
        raise RuntimeError("ZeroDivisionError")


def _wrapped_around(arrays: list[Any]) -> list[Any]:
    """Return arguments whose numbers are too large for the integers beside them as those they wrap around to.

    Raises:
        RuntimeError: a number is too large for 64 bits.
    """
    dtype = next(a.dtype for a in arrays if type(a) is ndarray)
    for a in arrays:
        if type(a) is int and not -(2**63) <= a < 2**63:
            raise RuntimeError(f"Overflow when unpacking long: {a}")
    return [np_array(a).astype(dtype) if type(a) is int else a for a in arrays]


def _has_scalars(params: dict[str, Any]) -> bool:
    return any(isinstance(v, _scalar) for v in params.values())


def _weak(value: Any) -> Any:
    """Return one of NumPy's scalars as a number of Python's, which never widens a tensor; anything else as it is."""
    return value.item() if isinstance(value, _scalar) else value


_REFUSE_BOOLS = {
    "sub": (
        "Subtraction, the `-` operator, with {} not supported. Use the `^` or `logical_xor()` operator instead, or, if you "
        "are trying to invert a mask, the `~` or `logical_not()` operator."
    ),
    "neg": (
        "Negation, the `-` operator, on {} not supported. If you are trying to invert a mask, use the `~` or "
        "`logical_not()` operator instead."
    ),
    "relu": "Boolean inputs not supported for relu: {} not a number",
}


def _refuse_bools(name: str, arrays: list[Any]) -> None:
    bools = [type(a) is bool or getattr(a, "dtype", None) == np.bool_ for a in arrays]
    if any(bools):
        many = len(bools) > 1 and all(bools)
        raise RuntimeError(_REFUSE_BOOLS[name].format("two bool tensors is" if many else "a bool tensor is"))


def half_precision(p: Primitive, *arrays: Any, **params: Any) -> Any:
    """Run the body of an op in float32 where its arrays are float16, and round the result once: PyTorch's way.

    NumPy would round in between, and would add up many numbers in float16. As in PyTorch a number is rounded to float16
    first, except by which one multiplies or divides.
    """
    kept = p.name in ("mul", "div")
    if p.kind == CONTRACTION and len({a.dtype for a in arrays}) > 1:
        return p.body(*arrays, **params)  # which refuses them
    wide = [
        a.astype(_F4)
        if getattr(a, "dtype", None) is _F2
        else a
        if type(a) is not float or kept
        else float(np.float16(a))
        for a in arrays
    ]
    y = asarray(p.body(*wide, **params))
    return y.astype(_F2) if y.dtype is _F4 else y


def _indirect(node: Node) -> Node:
    from reference_impl.indirect import IndirectNode

    return node if isinstance(node, IndirectNode) else watched(IndirectNode(node))


NUMBER, CONSTANT, WANTED, BARE = range(4)  # what an argument is to a node: a tensor is WANTED if it requires grad
_WANTED = (WANTED,)


Watcher = Callable[[Node, tuple[int, ...]], Node]  # takes a node and the kinds of its arguments
_watchers: list[Watcher] = []


def watch(watcher: Watcher) -> None:
    """Let a function see every node that is recorded from now on; what it returns takes the node's place.

    While nobody watches this costs nothing: a watched recorder is not kept, so that ops ask for it each time.
    """
    _watchers.append(watcher)
    for p in PRIMITIVES.values():
        p.recorders.clear()


def unwatch(watcher: Watcher) -> None:
    """End what `watch` began."""
    _watchers.remove(watcher)


def watched(node: Node, kinds: tuple[int, ...] = ()) -> Node:
    """Return a new node as those who watch leave it."""
    for watcher in list(_watchers):
        node = watcher(node, kinds)
    return node


def recorder(p: Primitive, kinds: tuple[int, ...]) -> Callable[..., Node]:
    """Return the function that makes the node of an application whose arguments are of these kinds."""
    if _watchers:
        made = _written(p, kinds)
        return lambda *given: watched(made(*given), kinds)
    if len(p.recorders) >= 1024:  # `cat` of ever other numbers of tensors
        p.recorders.clear()
    p.recorders[kinds] = made = _written(p, kinds)
    if _watchers:  # another thread has just begun
        p.recorders.clear()
    return made


WRITTEN = "<recorder>"
"""The name of the file that recorders are in, as a profiler shows it."""


def _written(p: Primitive, kinds: tuple[int, ...]) -> Callable[..., Node]:
    """Write a recorder.

    What goes into a node depends on nothing else, so it is written out and compiled once, and does what ``Node(...)`` does
    without the call. For ``a * b`` of two tensors that require grad it reads, in part::

        node.edges = (args[0]._node or args[0], args[1]._node or args[1])
        node.saved = ((arrays[1],), (arrays[0],))
    """
    edges: list[str] = []
    saved: list[str] = []
    kept: list[int] = []
    for i, kind in enumerate(kinds):
        needs = ""
        if kind == WANTED:
            rule = p.rule(i)
            needs = "".join(f"{_place(p, name, i)}, " for name in rule.needs)
            kept += rule.values
        edges.append(f"args[{i}]._node or args[{i}], " if kind == WANTED else "None, ")
        saved.append(f"({needs}), ")
    tensors = ["out" if k == 0 else f"args[{k - 1}]" for k in kept if k == 0 or kinds[k - 1] in (CONSTANT, WANTED)]
    versions = "".join(f"({t}.storage, {t}.storage.version), " for t in tensors)
    lengths = ["()" if kind == NUMBER else f"arrays[{i}].shape" for i, kind in enumerate(kinds)]
    arrays = [shape for shape in lengths if shape != "()"]
    shapes = "None"
    if p.kind == ELEMENTWISE and len(arrays) > 1:
        shapes = f"None if {' == '.join(arrays)} else ({', '.join(lengths)})"
    lines = [
        "def record(p, args, arrays, out, params):",
        "node = new(Node)",
        "node.primitive = p",
        f"node.edges = ({''.join(edges)})",
        f"node.saved = ({''.join(saved)})",
        f"node.versions = ({versions})",
        f"node.shapes = {shapes}",
        f"node.frees = {bool(kept)}",  # a number counts as saved, too: a node that kept one cannot run twice
        "node.number = next(numbers)",
        "node._hooks = None",
        "return node",
    ]
    if p.variadic:
        lines.insert(1, f"shapes = ({''.join(f'arrays[{i}].shape, ' for i in range(len(kinds)))})")
    return _made("\n ".join(lines))


@functools.lru_cache(maxsize=4096)
def _made(text: str) -> Callable[..., Node]:
    names: dict[str, Any] = {"new": object.__new__, "Node": Node, "numbers": node_numbers}
    exec(compile(text, WRITTEN, "exec"), names)
    made: Callable[..., Node] = names["record"]
    return made


def counted(node: Node, saved: tuple[tuple[Any, ...], ...]) -> list[tuple[int, int, str]]:
    """Return which saved values the versions of a node belong to, in their order: (edge, position, name) of each."""
    p = node.primitive
    found = [
        (i, j, name)
        for i, values in enumerate(saved)
        for j, (name, value) in enumerate(zip(p.rule(i).needs, values, strict=False))
        if name == "y" or (name in p.arg_names and not isinstance(value, (bool, int, float)))
    ]
    if len(found) > len(node.versions):  # numbers, which the fast path makes 0-d arrays of
        numbers = [
            k for k, (_, _, name) in enumerate(found) if name != "y" and node.edges[p.arg_names.index(name)] is None
        ]
        found = [f for k, f in enumerate(found) if k not in numbers]
    return found


def _place(p: Primitive, name: str, i: int) -> str:
    """Return the expression for what the rule of argument `i` calls `name`."""
    if name == "y":
        return "out.array"
    if name in p.params:
        return f"params[{name!r}]"
    if p.variadic:
        return {"i": str(i), "shapes": "shapes"}[name]
    if name in p.arg_names:
        return f"arrays[{p.arg_names.index(name)}]"
    argument, _, what = name.rpartition("_")
    return f"arrays[{p.arg_names.index(argument)}].{what}"


def replay(base: Tensor, path: Path) -> Node:
    """Apply a path of view primitives to a tensor, recording them, and return the node of the result."""
    before, mode.enabled = mode.enabled, True
    try:
        for p, params in path:
            base = _apply(p, (base,), params)
    finally:
        mode.enabled = before
    # Where the base was cut off with `detach_` its view keeps a node, which leads nowhere.
    return base._node or Node(PRIMITIVES["clone"], (None,), ((),), (), None, False)


def _link_view(p: Primitive, params: dict[str, Any], x: Tensor, out: Tensor) -> None:
    mine, theirs = getattr(out.array, "base", None), x.array
    while mine is not None and not (mine is theirs or mine is theirs.base):
        mine = getattr(mine, "base", None)
    if mine is None:
        return  # reshape had to copy
    storage = out.storage = x.storage
    if storage.__class__ is not Storage:
        return  # of an inference tensor; nobody follows its history
    above = x._view
    if above is None and mode.enabled:
        out._view = view_of(x, ((p, params),), "", storage.version, False)
        return
    base, path, kind = (x, (), "") if above is None else (above.base, above.path, above.kind)
    inherited = False
    if not mode.enabled:
        kind = "inference" if mode.inference else "no_grad"
        inherited = out._requires_grad = base._requires_grad
    out._view = view_of(base, None if kind or path is None else (*path, (p, params)), kind, storage.version, inherited)


def _needs_cast(p: Primitive, arrays: list[Any]) -> bool:
    first: Any = None  # the dtype of the first operand that has one
    if p.first_promoted:
        arrays = arrays[1:]
    for a in arrays:
        dtype = getattr(a, "dtype", None)
        if dtype is None:
            continue
        if first is None:
            first = dtype
        elif dtype is not first and dtype != first:
            return True
    if first is None or first.kind == "f":
        return first is None
    return p.floats or any(type(a) is float or (type(a) is int and first.kind == "b") for a in arrays)


def _cast(p: Primitive, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Convert tensor operands to PyTorch's result type; the conversion is recorded, so each gradient comes back in its own."""
    operands = args[p.first_promoted :]
    tensors = [a for a in operands if isinstance(a, Tensor)]
    target = dtypes.result_dtype(
        [t.array.dtype for t in tensors if t.array.ndim],
        [t.array.dtype for t in tensors if not t.array.ndim],
        [type(a) for a in operands if type(a) in (bool, int, float)],
    )
    if p.floats and target.kind != "f":
        target = dtypes.default_float()
    cast = PRIMITIVES["to"]
    if not tensors:  # where(condition, 1.0, 0.0)
        operands = tuple(Tensor(np.asarray(a, dtype=target)) for a in operands)
    done = tuple(
        apply(cast, a, dtype=target) if isinstance(a, Tensor) and a.array.dtype != target else a for a in operands
    )
    if all(a is b for a, b in zip(done, args[p.first_promoted :], strict=True)):
        raise _no_operand(p, args)
    return (*args[: p.first_promoted], *done)


def _no_operand(p: Primitive, args: tuple[Any, ...]) -> TypeError:
    """Return the error for the first argument that is neither a tensor nor a number."""
    k = next(k for k, a in enumerate(args) if not isinstance(a, Tensor | bool | int | float))
    kind = type(args[k])
    what = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
    names = _public(p)
    return TypeError(
        f"{p.name}(): argument {names[min(k, len(names) - 1)]!r} (position {k + 1}) must be Tensor, not {what}"
    )


def _shape_error(p: Primitive, arrays: list[Any], error: ValueError) -> Exception:
    shapes = [a.shape for a in arrays if hasattr(a, "shape")]
    if p.kind == ELEMENTWISE and len(shapes) > 1 and (found := broadcast_error(shapes[-2], shapes[-1])):
        return found
    if isinstance(error, np.exceptions.AxisError):
        return IndexError(f"{p.name}(): Dimension out of range: {error}")
    return RuntimeError(f"{p.name}(): {error} (shapes {', '.join(str(list(s)) for s in shapes)})")


def broadcast_error(a: tuple[int, ...], b: tuple[int, ...]) -> RuntimeError | None:
    """Return the error that says where two shapes do not broadcast; None if they do."""
    for k in range(1, min(len(a), len(b)) + 1):
        if a[-k] != b[-k] and 1 not in (a[-k], b[-k]):
            return RuntimeError(
                f"The size of tensor a ({a[-k]}) must match the size of tensor b ({b[-k]}) at non-singleton "
                f"dimension {max(len(a), len(b)) - k}"
            )
    return None


def unbroadcast(ct: Any, shape: tuple[int, ...]) -> Any:
    """Sum a cotangent over the dimensions that broadcasting added or stretched, to `shape`."""
    if tuple(ct.shape) == tuple(shape):
        return ct
    extra = ct.ndim - len(shape)
    stretched = [extra + i for i, n in enumerate(shape) if n == 1 and ct.shape[extra + i] != 1]
    dims = (*range(extra), *stretched)
    if dims:
        ct = apply(PRIMITIVES["sum"], ct, dim=dims, keepdim=True)
    return ct if tuple(ct.shape) == tuple(shape) else apply(PRIMITIVES["reshape"], ct, shape=tuple(shape))


def register_array_type(cls: type, handler: Callable[[str, tuple[Any, ...], dict[str, Any]], Any]) -> None:
    """Let primitives run on another array type: they then call ``handler(name, args, params)`` instead of the body.

    The type needs `shape`, `ndim`, `dtype`, and operators that give its own type. A `Tensor` may hold it, so the whole
    tape, its rules and its accumulation, runs on it.
    """
    _foreign_types[cls] = handler


@contextlib.contextmanager
def replaced_rules(name: str, rules: Sequence[Callable[..., Any]]) -> Iterator[None]:
    """Give a primitive other rules inside the block: to plant a defect, or to follow another framework's conventions.

    For all threads, and for what is recorded and run backward inside the block: a node keeps what the rules of its day
    name.

    Args:
        name: a key of `PRIMITIVES`.
        rules: one an argument, written as in a declaration.

    Raises:
        KeyError: there is no such primitive.
        ValueError: not as many rules as the primitive has.

    >>> import reference_impl as torch
    >>> x = torch.tensor([-1.0, 0.0, 1.0], requires_grad=True)
    >>> with replaced_rules("relu", [lambda ct, x: ct * (x >= 0)]):
    ...     torch.relu(x).sum().backward()
    >>> x.grad
    tensor([0., 1., 1.])
    """
    p = PRIMITIVES[name]
    if len(rules) != len(p.rules):
        raise ValueError(f"rules: {name} has {len(p.rules)}, got {len(rules)}")
    before, add_into = p.rules, p.add_into
    object.__setattr__(p, "rules", tuple(_rule(f, p.arg_names) for f in rules))
    p.__post_init__()
    object.__setattr__(p, "add_into", None)  # which would go past the rule
    recorders = p.recorders.copy()
    p.recorders.clear()
    try:
        yield
    finally:
        object.__setattr__(p, "rules", before)
        p.__post_init__()
        object.__setattr__(p, "add_into", add_into)
        p.recorders.clear()
        if not _watchers:  # one that began inside has to see every node
            p.recorders.update(recorders)
