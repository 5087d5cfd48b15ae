"""Record a Python function, written in PyTorch's spelling, as a program.

`trace(f, *inputs)` calls f on stand-ins for tensors that only know shape and kind; operators, methods, indexing and the
functions of `ops` record an instruction each.

>>> from harness.programs import Spec
>>> def f(x, w):
...     return (ops.tanh(x @ w) ** 2).sum(dim=0), x[0, 1:]
>>> print(trace(f, Spec((2, 3)), Spec((3,))))
def program(x0, x1):  # x0: float[2, 3], x1: float[3]
    v2 = matmul(x0, x1)
    v3 = tanh(v2)
    v4 = pow(v3, 2)
    v5 = sum(v4, dim=0)
    v6 = getitem(x0, index=(0, ('slice', 1, None, None)))
    return v5, v6
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NoReturn

import numpy as np

from harness.inference import OPS, ProgramError, Required, infer_op
from harness.programs import Instr, Param, Program, Scalar, Spec

__all__ = ["Traced", "TracingError", "ops", "trace"]


class TracingError(TypeError):
    """A function does what a program cannot hold: it asks for a value, writes into a tensor, takes a constant array."""


def trace(f: Callable[..., Any], *inputs: Spec | np.ndarray[Any, Any]) -> Program:
    """Call f on stand-ins for `inputs` and return what it did as a program.

    Args:
        f: takes one tensor an input; returns a tensor or a tuple or list of tensors. Python control flow may depend on
            shapes, not on values.
        inputs: a Spec, or an array that lends its shape and kind, for each argument of f.

    Raises:
        TracingError: f needs a tensor's value, writes into a tensor or returns something else.
        ProgramError: an op does not fit its arguments.
    """
    tape = _Tape([_spec(i, value) for i, value in enumerate(inputs)])
    returned = f(*(Traced(tape, slot) for slot in range(len(inputs))))
    results = returned if isinstance(returned, (tuple, list)) else (returned,)
    for j, result in enumerate(results):
        if not isinstance(result, Traced) or result._tape is not tape:
            raise TracingError(f"output {j} of the function is {result!r}, want a tensor of this trace")
    if not results:
        raise TracingError("the function returns no tensor")
    return Program(tuple(tape.specs[: len(inputs)]), tuple(tape.instrs), tuple(result._slot for result in results))


def _spec(i: int, value: object) -> Spec:
    if isinstance(value, Spec):
        return value
    if isinstance(value, (np.ndarray, np.generic)):
        kind = {"f": "float", "i": "int", "u": "int", "b": "bool"}.get(value.dtype.kind)
        if kind is not None:
            return Spec(tuple(value.shape), kind)
    raise TypeError(f"inputs[{i}] is {value!r}, want a Spec or an array of floats, ints or bools")


class _Tape:
    def __init__(self, specs: list[Spec]) -> None:
        self.specs = specs
        self.instrs: list[Instr] = []

    def record(self, op: str, args: Sequence[int | Scalar], params: dict[str, Param]) -> Traced:
        try:
            spec = infer_op(op, [a if isinstance(a, Scalar) else self.specs[a] for a in args], params)
        except ProgramError as error:
            raise ProgramError(f"{op}: {error}") from None
        self.instrs.append(Instr(op, tuple(args), tuple(sorted(params.items()))))
        self.specs.append(spec)
        return Traced(self, len(self.specs) - 1)


def _apply(name: str, args: Sequence[object], keywords: dict[str, object]) -> Traced:
    """Record one op; `args` are its tensors, then parameters in PyTorch's order."""
    op = OPS[name]
    if op.tensors[0] == "*xs":
        if not args or not isinstance(args[0], (tuple, list)):
            raise TracingError(f"{name} takes a list of tensors first, got {args[0] if args else 'nothing'!r}")
        tensors, rest = list(args[0]), list(args[1:])
    else:
        tensors, rest = list(args[: len(op.tensors)]), list(args[len(op.tensors) :])
        for tensor in op.tensors[len(tensors) :]:
            if tensor in keywords:
                tensors.append(keywords.pop(tensor))
    tape = next((t._tape for t in tensors if isinstance(t, Traced)), None)
    if tape is None:
        raise TracingError(f"{name}: none of its arguments is a traced tensor")
    if "dim" in op.params and "axis" in keywords:
        raise TracingError(f"{name}: PyTorch's parameter is dim, not axis")
    names = list(op.params)
    if len(rest) == 1 or len(names) != 1:
        if len(rest) > len(names):
            raise TracingError(f"{name} takes {len(names)} parameters ({', '.join(names)}), got {len(rest)}")
        given = dict(zip(names, rest, strict=False))
    else:  # x.permute(1, 0), x.reshape(2, 3), x.flip(0, 1)
        given = {names[0]: tuple(rest)} if rest else {}
    for key, value in keywords.items():
        if key not in op.params or key in given:
            raise TracingError(f"{name} got {key}={value!r}; it takes {', '.join(names) or 'no parameters'}, each once")
        given[key] = value
    slots = [_argument(name, tape, tensor) for tensor in tensors]
    return tape.record(name, slots, _parameters(name, given, tape, slots))


def _argument(name: str, tape: _Tape, value: object) -> int | Scalar:
    if isinstance(value, Traced):
        if value._tape is not tape:
            raise TracingError(f"{name}: a tensor of another trace")
        return value._slot
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, (int, float)):
        return Scalar(value)
    raise TracingError(f"{name}: {value!r} is no traced tensor and no number; pass arrays as inputs of the function")


def _parameters(name: str, given: dict[str, object], tape: _Tape, slots: Sequence[int | Scalar]) -> dict[str, Param]:
    """Plain Python values, sizes of -1 written out; parameters that equal their default are left out."""
    params = {key: _plain(name, key, value) for key, value in given.items()}
    if name in ("reshape", "expand", "permute", "flip"):
        key = next(iter(OPS[name].params))
        if isinstance(params.get(key), int):
            params[key] = (params[key],)
    first = slots[0]
    shape = params.get("shape")
    if isinstance(shape, tuple) and isinstance(first, int) and shape.count(-1) > 0:
        params["shape"] = _written_out(name, shape, tape.specs[first].shape)
    default = OPS[name].params
    return {k: v for k, v in params.items() if isinstance(default[k], Required) or v != default[k]}


def _written_out(name: str, shape: tuple[Param, ...], old: tuple[int, ...]) -> tuple[Param, ...]:
    if name == "expand":
        lead = len(shape) - len(old)
        return tuple(old[i - lead] if n == -1 and i >= lead else n for i, n in enumerate(shape))
    rest = math.prod(n for n in shape if isinstance(n, int) and n != -1)
    if shape.count(-1) > 1 or rest == 0 or math.prod(old) % rest:
        raise ProgramError(f"reshape: x has shape {old}, which does not fill shape {shape}")
    return tuple(math.prod(old) // rest if n == -1 else n for n in shape)


def _plain(name: str, key: str, value: object) -> Param:
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return tuple(_plain(name, key, item) for item in value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TracingError(f"{name}: {key} is {value!r}, want numbers and tuples of numbers")


def _index(item: object) -> Param:
    if item is Ellipsis:
        return "..."
    if isinstance(item, slice):
        return ("slice", *(None if v is None else _whole(v) for v in (item.start, item.stop, item.step)))
    return None if item is None else _whole(item)


def _whole(value: object) -> int:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise TracingError(f"index item {value!r}: only ints, slices, None and ... ; use index_select, gather or where")
    return int(value)


def _operator(op: str, *, reflected: bool = False) -> Callable[[Any, Any], Traced]:
    return lambda self, other: _apply(op, (other, self) if reflected else (self, other), {})


class Traced:
    """A tensor of a trace: it knows its shape and kind, not its value."""

    __slots__ = ("_slot", "_tape")
    __array_ufunc__ = None  # so that array * tensor comes here and is refused with a reason
    __hash__ = object.__hash__

    def __init__(self, tape: _Tape, slot: int) -> None:
        self._tape = tape
        self._slot = slot

    def __repr__(self) -> str:
        return f"Traced({self._tape.specs[self._slot]})"

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes of its axes."""
        return self._tape.specs[self._slot].shape

    @property
    def ndim(self) -> int:
        """How many axes it has."""
        return len(self.shape)

    @property
    def T(self) -> Traced:  # noqa: N802 (PyTorch's name)
        """The tensor with its axes in reverse order."""
        return _apply("permute", (self, tuple(range(self.ndim))[::-1]), {})

    def dim(self) -> int:
        """How many axes it has."""
        return self.ndim

    def size(self, dim: int | None = None) -> int | tuple[int, ...]:
        """Its shape, or the size of one axis."""
        return self.shape if dim is None else self.shape[dim]

    def numel(self) -> int:
        """How many elements it has."""
        return math.prod(self.shape)

    def view(self, *shape: Any) -> Traced:
        """reshape under its other name."""
        return _apply("reshape", (self, *shape), {})

    def t(self) -> Traced:
        """The transpose of a tensor of at most 2 axes."""
        if self.ndim > 2:
            raise TracingError(f"t() takes at most 2 axes, x has shape {self.shape}")
        return self.T

    __add__ = _operator("add")
    __radd__ = _operator("add", reflected=True)
    __sub__ = _operator("sub")
    __rsub__ = _operator("sub", reflected=True)
    __mul__ = _operator("mul")
    __rmul__ = _operator("mul", reflected=True)
    __truediv__ = _operator("div")
    __rtruediv__ = _operator("div", reflected=True)
    __pow__ = _operator("pow")
    __rpow__ = _operator("pow", reflected=True)
    __matmul__ = _operator("matmul")
    __rmatmul__ = _operator("matmul", reflected=True)
    __gt__ = _operator("gt")
    __ge__ = _operator("ge")
    __lt__ = _operator("lt")
    __le__ = _operator("le")
    __eq__ = _operator("eq")  # type: ignore[assignment]
    __ne__ = _operator("ne")  # type: ignore[assignment]

    def __neg__(self) -> Traced:
        return _apply("neg", (self,), {})

    def __abs__(self) -> Traced:
        return _apply("abs", (self,), {})

    def __getitem__(self, index: object) -> Traced:
        items = index if isinstance(index, tuple) else (index,)
        return self._tape.record("getitem", (self._slot,), {"index": tuple(_index(item) for item in items)})

    def __iter__(self) -> Iterator[Traced]:
        if not self.shape:
            raise TracingError("iteration over a 0-d tensor")
        return (self[i] for i in range(self.shape[0]))

    def __len__(self) -> int:
        if not self.shape:
            raise TracingError("a 0-d tensor has no len()")
        return self.shape[0]

    def __getattr__(self, name: str) -> Callable[..., Traced]:
        if name not in OPS:
            raise AttributeError(f"a traced tensor has no attribute {name!r}")
        return lambda *args, **keywords: _apply(name, (self, *args), keywords)

    def __bool__(self) -> bool:
        return self._no_value("its truth value (a branch on values; use where)")

    def __float__(self) -> NoReturn:
        self._no_value("its value as a float")

    def __int__(self) -> NoReturn:
        self._no_value("its value as an int")

    def __index__(self) -> int:
        return self._no_value("its value as an index")

    def __array__(self, *args: object, **keywords: object) -> NoReturn:
        self._no_value("its value as an array")

    def item(self) -> NoReturn:
        """Refuse: there is no value."""
        self._no_value("its value")

    def tolist(self) -> NoReturn:
        """Refuse: there is no value."""
        self._no_value("its value")

    def __setitem__(self, index: object, value: object) -> NoReturn:
        raise TracingError("a program has no in-place writes; build the result with where, cat or stack")

    def _no_value(self, what: str) -> NoReturn:
        raise TracingError(f"the function asks {self!r} for {what}, which a trace does not have")


_NAMESPACES: Final = ("functional", "linalg", "nn", "special")


class _Ops:
    """The functions of the vocabulary on traced tensors; `ops.linalg.vector_norm` is where PyTorch has it."""

    def __getattr__(self, name: str) -> Any:
        if name in _NAMESPACES:
            return self
        if name not in OPS:
            raise AttributeError(f"harness.tracing.ops has no op {name!r}")
        return lambda *args, **keywords: _apply(name, args, keywords)

    def __dir__(self) -> list[str]:
        return [*OPS, *_NAMESPACES]


ops: Final = _Ops()
