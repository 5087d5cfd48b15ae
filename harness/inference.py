"""The shape and kind of every slot of a program, and what is wrong with a program that has none.

`OPS` is the vocabulary: one row an op, with its parameters, their defaults and the rule that infers its result.
Everything that must know an op's signature (the generator, the tracer, the JSON reader) reads it here. Shapes and kinds
are PyTorch's; what PyTorch would answer with a surprise (a default dtype, a legacy special case) is refused.

>>> from harness.inference import infer
>>> from harness.programs import Instr, Program, Spec
>>> p = Program((Spec((2, 3)),), (Instr("sum", (0,), (("dim", 1),)), Instr("gt", (1, 1))), (1, 2))
>>> [str(spec) for spec in infer(p)]
['float[2, 3]', 'float[2]', 'bool[2]']
>>> infer(Program((Spec((2, 3)),), (Instr("sum", (0,), (("dim", 2),)),), (1,)))
Traceback (most recent call last):
    ...
harness.inference.ProgramError: instruction 0 (sum): dim is 2, out of range for shape (2, 3)
"""

from __future__ import annotations

import difflib
import enum
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from harness.programs import Instr, Param, Program, Scalar, Spec

__all__ = [
    "DOMAINS",
    "KINDS",
    "OPS",
    "REQUIRED",
    "Op",
    "ProgramError",
    "Required",
    "broadcast",
    "differentiable_slots",
    "getitem_shape",
    "infer",
    "infer_op",
    "unknown_op",
    "validate",
]

Shape = tuple[int, ...]
Arg = Spec | Scalar

KINDS: Final = ("float", "int", "bool")
DOMAINS: Final = ("real", "positive", "unit")


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
            "contraction" or "cut": ops of a family take their tensors in the same way.
        tensors: names of the positional arguments; ("*xs",) takes one or more.
        result: infers the result from the arguments and all parameters (defaults filled in); raises ProgramError with
            the bare reason.
        params: the keyword parameters in PyTorch's positional order, with their defaults.
        scalars: a number may stand for one of the tensors (never for all of them, never for a condition).
        differentiable: positions of the tensors that the result is differentiable in; None means all.
    """

    name: str
    family: str
    tensors: tuple[str, ...]
    result: Callable[[Sequence[Arg], Mapping[str, Param]], Spec]
    params: Mapping[str, Param | Required] = field(default_factory=dict)
    scalars: bool = False
    differentiable: tuple[int, ...] | None = None


def infer(program: Program) -> tuple[Spec, ...]:
    """Return the Spec of every slot: the inputs, then one an instruction.

    Raises:
        ProgramError: the program is malformed; the message names the instruction, its op and what is wrong.
    """
    for i, spec in enumerate(program.inputs):
        _check_input(i, spec)
    slots = list(program.inputs)
    for k, instr in enumerate(program.instrs):
        try:
            slots.append(_infer_instr(instr, slots))
        except ProgramError as error:
            raise ProgramError(f"instruction {k} ({instr.op}): {error}") from None
    if not program.outputs:
        raise ProgramError("outputs: the program returns nothing")
    for j, slot in enumerate(program.outputs):
        if type(slot) is not int or not 0 <= slot < len(slots):
            raise ProgramError(f"outputs[{j}] is {slot!r}; the program has slots 0 to {len(slots) - 1}")
    return tuple(slots)


def validate(program: Program) -> None:
    """Raise ProgramError unless every slot of the program has a shape and a kind."""
    infer(program)


def infer_op(name: str, args: Sequence[Arg], params: Mapping[str, Param] | None = None) -> Spec:
    """Infer one op's result from the Specs (or Scalars) of its arguments; raise ProgramError with the bare reason."""
    op = OPS.get(name)
    if op is None:
        raise ProgramError(unknown_op(name))
    given = params or {}
    full: dict[str, Param] = {}
    for key, default in op.params.items():
        value = given.get(key, default)
        if isinstance(value, Required):
            raise ProgramError(f"parameter {key} is missing")
        full[key] = value
    if len(given) > len(full) or not given.keys() <= full.keys():
        extra = ", ".join(sorted(given.keys() - full.keys()))
        raise ProgramError(f"unknown parameter {extra}; it takes {', '.join(full) or 'none'}")
    if op.tensors[0] == "*xs":
        if not args:
            raise ProgramError("it takes at least one tensor, got 0")
    elif len(args) != len(op.tensors):
        raise ProgramError(f"it takes {len(op.tensors)} tensors ({', '.join(op.tensors)}), got {len(args)} arguments")
    scalars = [a for a in args if isinstance(a, Scalar)]
    if scalars:
        if not op.scalars:
            raise ProgramError(f"a number ({scalars[0]}) cannot stand for a tensor here")
        if len(scalars) == len(args) or (op.family == "where" and len(scalars) == 2):
            raise ProgramError("all operands are numbers; at least one must be a tensor")
        for scalar in scalars:
            if type(scalar.value) not in (int, float):
                raise ProgramError(f"the literal {scalar.value!r} is not an int or a float")
    return op.result(args, full)


def differentiable_slots(program: Program, requires_grad: Sequence[bool] | None = None) -> tuple[bool, ...]:
    """Say for every slot whether gradient flows from it to an input that requires grad (PyTorch's `requires_grad`).

    Args:
        requires_grad: one flag an input; by default every float input requires grad.
    """
    flags = [spec.kind == "float" for spec in program.inputs]
    if requires_grad is not None:
        flags = [is_float and bool(wanted) for is_float, wanted in zip(flags, requires_grad, strict=True)]
    for instr in program.instrs:
        positions = OPS[instr.op].differentiable
        flags.append(
            any(
                not isinstance(arg, Scalar) and flags[arg]
                for i, arg in enumerate(instr.args)
                if positions is None or i in positions
            )
        )
    return tuple(flags)


def unknown_op(name: object) -> str:
    """The message for an op name that the vocabulary lacks, with the names that look like it."""
    close = difflib.get_close_matches(str(name)[:80], OPS, n=3, cutoff=0.5)
    hint = f"; did you mean {', '.join(close)}?" if close else ""
    return f"unknown op {str(name)[:80]!r}{hint}"


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


# --- programs, arguments


def _check_input(i: int, spec: Spec) -> None:
    if not isinstance(spec.shape, tuple) or not all(type(n) is int and n >= 0 for n in spec.shape):
        raise ProgramError(f"inputs[{i}]: shape is {spec.shape!r}, want a tuple of sizes >= 0")
    if spec.kind not in KINDS:
        raise ProgramError(f"inputs[{i}]: kind is {spec.kind!r}, want one of {', '.join(KINDS)}")
    if spec.domain not in DOMAINS:
        raise ProgramError(f"inputs[{i}]: domain is {spec.domain!r}, want one of {', '.join(DOMAINS)}")


def _infer_instr(instr: Instr, slots: Sequence[Spec]) -> Spec:
    args: list[Arg] = []
    for arg in instr.args:
        if isinstance(arg, Scalar):
            args.append(arg)
        elif type(arg) is not int or not 0 <= arg < len(slots):
            raise ProgramError(f"argument {arg!r} is not an earlier slot (0 to {len(slots) - 1})")
        else:
            args.append(slots[arg])
    keys = [key for key, _ in instr.params]
    if keys != sorted(set(keys)):
        raise ProgramError(f"parameters {', '.join(keys)} are not sorted by name without repeats")
    return infer_op(instr.op, args, dict(instr.params))


def _tensor(args: Sequence[Arg], i: int, name: str, kinds: Sequence[str] = ("float",)) -> Spec:
    arg = args[i]
    if isinstance(arg, Scalar):
        raise ProgramError(f"{name} is the number {arg}, want a tensor")
    if arg.kind not in kinds:
        raise ProgramError(f"{name} is {arg}, want kind {' or '.join(kinds)}")
    return arg


def _shapes(args: Iterable[Arg]) -> list[Shape]:
    return [a.shape for a in args if isinstance(a, Spec)]


# --- parameters


def _integer(value: Param, name: str) -> int:
    if type(value) is not int:
        raise ProgramError(f"{name} is {value!r}, want an int")
    return value


def _number(value: Param, name: str) -> float:
    if type(value) is not int and type(value) is not float:
        raise ProgramError(f"{name} is {value!r}, want a number")
    return value


def _flag(value: Param, name: str) -> bool:
    if type(value) is not bool:
        raise ProgramError(f"{name} is {value!r}, want True or False")
    return value


def _integers(value: Param, name: str) -> Shape:
    if not isinstance(value, tuple) or not all(type(v) is int for v in value):
        raise ProgramError(f"{name} is {value!r}, want a tuple of ints")
    return tuple(v for v in value if isinstance(v, int))


def _dim(value: Param, shape: Shape, name: str = "dim", extra: int = 0) -> int:
    """Check one axis of `shape` (`extra` more are allowed, for ops that insert one); return it counted from 0."""
    dim, rank = _integer(value, name), len(shape) + extra
    if not -rank <= dim < rank:
        raise ProgramError(f"{name} is {dim}, out of range for shape {shape}")
    return dim % rank


def _dims(value: Param, shape: Shape, name: str = "dim") -> Shape:
    """Check axes without repeats; return them counted from 0, in the order given."""
    dims = tuple(_dim(d, shape, name) for d in (value if isinstance(value, tuple) else (value,)))
    if len(set(dims)) != len(dims):
        raise ProgramError(f"{name} is {value!r}: an axis appears twice")
    return dims


def _new_shape(value: Param) -> Shape:
    shape = _integers(value, "shape")
    if any(n < 0 for n in shape):
        raise ProgramError(f"shape is {shape}, want sizes >= 0 (write out a size of -1)")
    return shape


# --- elementwise


def _unary(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    return Spec(_tensor(args, 0, "x").shape)


def _unary_keeping_ints(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    x = _tensor(args, 0, "x", ("float", "int"))
    return Spec(x.shape, x.kind)


def _arithmetic_kind(args: Sequence[Arg], names: Sequence[str]) -> str:
    """float if any tensor is float; int if all are; a float literal among int tensors is refused."""
    tensors = [_tensor(args, i, name, ("float", "int")) for i, name in enumerate(names) if isinstance(args[i], Spec)]
    if any(t.kind == "float" for t in tensors):
        return "float"
    for arg in args:
        if isinstance(arg, Scalar) and isinstance(arg.value, float):
            raise ProgramError(f"the float literal {arg} meets int tensors only; the result would have a default dtype")
    return "int"


def _arithmetic(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    return Spec(broadcast(*_shapes(args)), _arithmetic_kind(args, ("a", "b")))


def _float_arithmetic(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    spec = _arithmetic(args, params)
    if spec.kind != "float":
        raise ProgramError("both operands are int; at least one must be a float tensor")
    return spec


def _float_binary(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    return Spec(broadcast(_tensor(args, 0, "a").shape, _tensor(args, 1, "b").shape))


def _comparison(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    _arithmetic_kind(args, ("a", "b"))
    return Spec(broadcast(*_shapes(args)), "bool")


def _where(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    condition = _tensor(args, 0, "condition", ("bool",))
    return Spec(broadcast(condition.shape, *_shapes(args[1:])), _arithmetic_kind(args[1:], ("a", "b")))


def _clamp(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    bounds = [_number(params[key], key) for key in ("min", "max") if params[key] is not None]
    if not bounds:
        raise ProgramError("min and max are both None; give at least one")
    return Spec(_tensor(args, 0, "x").shape)


# --- reductions


def _reduced(x: Spec, params: Mapping[str, Param]) -> tuple[Shape, Shape]:
    """Return the axes that a reduction sums over and the shape it leaves."""
    keepdim, dim = _flag(params["keepdim"], "keepdim"), params["dim"]
    if dim is None:
        if keepdim:
            raise ProgramError("keepdim is True without dim")
        return tuple(range(len(x.shape))), ()
    if dim == ():
        raise ProgramError("dim is (); name the axes or leave dim out")
    dims = _dims(dim, x.shape)
    if keepdim:
        return dims, tuple(1 if i in dims else n for i, n in enumerate(x.shape))
    return dims, tuple(n for i, n in enumerate(x.shape) if i not in dims)


def _reduction(kinds: Sequence[str] = ("float",), *, empty: bool = True, one_dim: bool = False) -> Callable[..., Spec]:
    """A reduction of tensors of `kinds`; not `empty`: no reduced axis has size 0; `one_dim`: dim is no tuple."""

    def result(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
        x = _tensor(args, 0, "x", kinds)
        if one_dim and isinstance(params["dim"], tuple):
            raise ProgramError(f"dim is {params['dim']!r}, want an int or None")
        dims, shape = _reduced(x, params)
        if not empty and any(x.shape[d] == 0 for d in dims):
            raise ProgramError(f"it has no value over an axis of size 0 (shape {x.shape}, dim {params['dim']!r})")
        return Spec(shape, "int" if x.kind == "bool" else x.kind)

    return result


def _logsumexp(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    if params["dim"] is None:
        raise ProgramError("dim is None, want an int or a tuple of ints")
    return Spec(_reduced(_tensor(args, 0, "x"), params)[1])


def _vector_norm(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    x, order = _tensor(args, 0, "x"), _number(params["ord"], "ord")
    dims, shape = _reduced(x, params)
    if (order < 0 or order == math.inf) and any(x.shape[d] == 0 for d in dims):
        raise ProgramError(f"ord {order!r} has no value over an axis of size 0 (shape {x.shape})")
    return Spec(shape)


def _var(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    _number(params["correction"], "correction")
    return Spec(_reduced(_tensor(args, 0, "x"), params)[1])


def _scan(kinds: Sequence[str] = ("float",)) -> Callable[..., Spec]:
    def result(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
        x = _tensor(args, 0, "x", kinds)
        _dim(params["dim"], x.shape)
        return Spec(x.shape, x.kind)

    return result


# --- movement


def _reshape(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    x, shape = _tensor(args, 0, "x", KINDS), _new_shape(params["shape"])
    if math.prod(shape) != math.prod(x.shape):
        raise ProgramError(f"shape {shape} holds {math.prod(shape)} elements, x has shape {x.shape}")
    return Spec(shape, x.kind)


def _permute(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    x = _tensor(args, 0, "x", KINDS)
    dims = _dims(_integers(params["dims"], "dims"), x.shape, "dims")
    if len(dims) != len(x.shape):
        raise ProgramError(f"dims is {params['dims']!r}, want every axis of shape {x.shape} once")
    return Spec(tuple(x.shape[d] for d in dims), x.kind)


def _transpose(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    x = _tensor(args, 0, "x", KINDS)
    i, j = _dim(params["dim0"], x.shape, "dim0"), _dim(params["dim1"], x.shape, "dim1")
    shape = list(x.shape)
    shape[i], shape[j] = shape[j], shape[i]
    return Spec(tuple(shape), x.kind)


def _expand(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    x, shape = _tensor(args, 0, "x", KINDS), _new_shape(params["shape"])
    tail = shape[len(shape) - len(x.shape) :] if len(shape) >= len(x.shape) else None
    if tail is None or any(n not in (1, m) for n, m in zip(x.shape, tail, strict=True)):
        raise ProgramError(f"x has shape {x.shape}, which does not expand to shape {shape}")
    return Spec(shape, x.kind)


def _unsqueeze(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    x = _tensor(args, 0, "x", KINDS)
    dim = _dim(params["dim"], x.shape, extra=1)
    return Spec((*x.shape[:dim], 1, *x.shape[dim:]), x.kind)


def _squeeze(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    x = _tensor(args, 0, "x", KINDS)
    dim = _dim(params["dim"], x.shape)
    return Spec(x.shape[:dim] + x.shape[dim + 1 :], x.kind) if x.shape[dim] == 1 else Spec(x.shape, x.kind)


def _flip(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    x = _tensor(args, 0, "x", KINDS)
    _dims(_integers(params["dims"], "dims"), x.shape, "dims")
    return Spec(x.shape, x.kind)


def _triangle(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    x = _tensor(args, 0, "x", KINDS)
    _integer(params["diagonal"], "diagonal")
    if len(x.shape) < 2:
        raise ProgramError(f"x has shape {x.shape}, want at least 2 axes")
    return Spec(x.shape, x.kind)


def _same(kinds: Sequence[str]) -> Callable[..., Spec]:
    def result(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
        x = _tensor(args, 0, "x", kinds)
        return Spec(x.shape, x.kind)

    return result


def _joined(args: Sequence[Arg]) -> list[Spec]:
    xs = [_tensor(args, i, f"xs[{i}]", KINDS) for i in range(len(args))]
    for i, x in enumerate(xs):
        if x.kind != xs[0].kind:
            raise ProgramError(f"xs[{i}] is {x}, xs[0] is {xs[0]}: the kinds differ")
    return xs


def _cat(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    xs = _joined(args)
    first = xs[0].shape
    dim = _dim(params["dim"], first)
    for i, x in enumerate(xs):
        if len(x.shape) != len(first) or any(d != dim and x.shape[d] != n for d, n in enumerate(first)):
            raise ProgramError(f"xs[{i}] has shape {x.shape}, xs[0] has shape {first}: they differ off axis {dim}")
    return Spec((*first[:dim], sum(x.shape[dim] for x in xs), *first[dim + 1 :]), xs[0].kind)


def _stack(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    xs = _joined(args)
    first = xs[0].shape
    for i, x in enumerate(xs):
        if x.shape != first:
            raise ProgramError(f"xs[{i}] has shape {x.shape}, xs[0] has shape {first}")
    dim = _dim(params["dim"], first, extra=1)
    return Spec((*first[:dim], len(xs), *first[dim:]), xs[0].kind)


# --- indexing


def getitem_shape(shape: Shape, index: Param) -> Shape:
    """Return the shape of ``x[index]`` for a basic index; raise ProgramError for any other index.

    Args:
        index: a tuple of ints, None (a new axis), "..." and ("slice", start, stop, step) with step None or > 0.
    """
    if not isinstance(index, tuple):
        raise ProgramError(f"index is {index!r}, want a tuple of items")
    consumed = sum(item is not None and item != "..." for item in index)
    dots = [i for i, item in enumerate(index) if item == "..."]
    if len(dots) > 1:
        raise ProgramError(f"index is {index!r}: '...' appears twice")
    if consumed > len(shape):
        raise ProgramError(f"index is {index!r}: {consumed} axes indexed, x has shape {shape}")
    rest = len(shape) - consumed
    out: list[int] = []
    axis = 0
    for item in index if dots else (*index, "..."):
        if item is None:
            out.append(1)
        elif item == "...":
            out.extend(shape[axis : axis + rest])
            axis += rest
        elif type(item) is int:
            if not -shape[axis] <= item < shape[axis]:
                raise ProgramError(f"index is {index!r}: {item} is out of range for axis {axis} of shape {shape}")
            axis += 1
        elif isinstance(item, tuple) and len(item) == 4 and item[0] == "slice":
            out.append(len(range(*_slice(item).indices(shape[axis]))))
            axis += 1
        else:
            raise ProgramError(f"index item {item!r} is not an int, None, '...' or ('slice', start, stop, step)")
    return tuple(out)


def _slice(item: tuple[Param, ...]) -> slice:
    start, stop, step = (None if part is None else _integer(part, "a part of a slice") for part in item[1:])
    if step is not None and step <= 0:
        raise ProgramError(f"index item {item!r}: step must be greater than zero")
    return slice(start, stop, step)


def _getitem(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    x = _tensor(args, 0, "x", KINDS)
    return Spec(getitem_shape(x.shape, params["index"]), x.kind)


def _in_range(index: Iterable[int], size: int) -> None:
    for i in index:
        if not 0 <= i < size:
            raise ProgramError(f"index {i} is out of range for an axis of size {size} (negative ones are not allowed)")


def _index_select(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    x = _tensor(args, 0, "x", KINDS)
    dim, index = _dim(params["dim"], x.shape), _integers(params["index"], "index")
    _in_range(index, x.shape[dim])
    return Spec((*x.shape[:dim], len(index), *x.shape[dim + 1 :]), x.kind)


def _nested(index: Param, rank: int, leaves: list[int]) -> Shape:
    """Return the shape of a nested tuple of ints that is `rank` deep, and append its ints to `leaves`."""
    if rank == 0:
        leaves.append(_integer(index, "an element of index"))
        return ()
    if not isinstance(index, tuple) or not index:
        raise ProgramError(f"index must be a tuple of ints nested as deep as x has axes and not empty, got {index!r}")
    shapes = {_nested(item, rank - 1, leaves) for item in index}
    if len(shapes) > 1:
        raise ProgramError(f"index is ragged: rows of shapes {sorted(shapes)}")
    return (len(index), *shapes.pop())


def _gather(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    x = _tensor(args, 0, "x", KINDS)
    dim, leaves = _dim(params["dim"], x.shape), list[int]()
    shape = _nested(params["index"], len(x.shape), leaves)
    if any(n > m for d, (n, m) in enumerate(zip(shape, x.shape, strict=True)) if d != dim):
        raise ProgramError(f"index has shape {shape}, larger than x's shape {x.shape} off axis {dim}")
    _in_range(leaves, x.shape[dim])
    return Spec(shape, x.kind)


# --- contraction


def _matmul(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    a, b = _tensor(args, 0, "a").shape, _tensor(args, 1, "b").shape
    if not a or not b:
        raise ProgramError(f"a has shape {a}, b has shape {b}; both need at least 1 axis")
    if a[-1] != (b[-2] if len(b) > 1 else b[0]):
        raise ProgramError(f"a has shape {a}, b has shape {b}: the inner sizes differ")
    return Spec(broadcast(a[:-2], b[:-2]) + a[-2:-1] + (b[-1:] if len(b) > 1 else ()))


def _vectors(args: Sequence[Arg]) -> tuple[int, int]:
    a, b = _tensor(args, 0, "a").shape, _tensor(args, 1, "b").shape
    if len(a) != 1 or len(b) != 1:
        raise ProgramError(f"a has shape {a}, b has shape {b}, want two vectors")
    return a[0], b[0]


def _dot(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    m, n = _vectors(args)
    if m != n:
        raise ProgramError(f"a has shape ({m},), b has shape ({n},): the sizes differ")
    return Spec(())


def _outer(args: Sequence[Arg], params: Mapping[str, Param]) -> Spec:
    return Spec(_vectors(args))


# --- the table


def _table() -> dict[str, Op]:
    reduce: dict[str, Param | Required] = {"dim": None, "keepdim": False}
    number = ("float", "int")
    x = ("x",)
    rows: list[Op] = []
    for name in [
        "exp",
        "expm1",
        "log",
        "log1p",
        "sqrt",
        "rsqrt",
        "reciprocal",
        "sin",
        "cos",
        "tan",
        "sinh",
        "cosh",
        "tanh",
        "atan",
        "sigmoid",
    ]:
        rows.append(Op(name, "unary", x, _unary))
    for name in ["neg", "abs", "sign", "square", "relu"]:
        rows.append(Op(name, "unary", x, _unary_keeping_ints))
    for name in ["add", "sub", "mul"]:
        rows.append(Op(name, "binary", ("a", "b"), _arithmetic, scalars=True))
    for name in ["div", "pow"]:
        rows.append(Op(name, "binary", ("a", "b"), _float_arithmetic, scalars=True))
    for name in ["maximum", "minimum"]:
        rows.append(Op(name, "binary", ("a", "b"), _arithmetic))
    for name in ["logaddexp", "atan2"]:
        rows.append(Op(name, "binary", ("a", "b"), _float_binary))
    for name in ["gt", "ge", "lt", "le", "eq", "ne"]:
        rows.append(Op(name, "comparison", ("a", "b"), _comparison, scalars=True, differentiable=()))
    rows += [
        Op("where", "where", ("condition", "a", "b"), _where, scalars=True, differentiable=(1, 2)),
        Op("clamp", "unary", x, _clamp, {"min": None, "max": None}),
        Op("sum", "reduction", x, _reduction(KINDS), reduce),
        Op("mean", "reduction", x, _reduction(), reduce),
        Op("amax", "reduction", x, _reduction(number, empty=False), reduce),
        Op("amin", "reduction", x, _reduction(number, empty=False), reduce),
        Op("prod", "reduction", x, _reduction(number, one_dim=True), reduce),
        Op("logsumexp", "reduction", x, _logsumexp, {"dim": REQUIRED, "keepdim": False}),
        Op("vector_norm", "reduction", x, _vector_norm, {"ord": 2.0, **reduce}),
        Op("var", "reduction", x, _var, {"dim": None, "correction": 1, "keepdim": False}),
        Op("cumsum", "scan", x, _scan(number), {"dim": REQUIRED}),
        Op("softmax", "scan", x, _scan(), {"dim": REQUIRED}),
        Op("log_softmax", "scan", x, _scan(), {"dim": REQUIRED}),
        Op("reshape", "movement", x, _reshape, {"shape": REQUIRED}),
        Op("permute", "movement", x, _permute, {"dims": REQUIRED}),
        Op("transpose", "movement", x, _transpose, {"dim0": REQUIRED, "dim1": REQUIRED}),
        Op("expand", "movement", x, _expand, {"shape": REQUIRED}),
        Op("unsqueeze", "movement", x, _unsqueeze, {"dim": REQUIRED}),
        Op("squeeze", "movement", x, _squeeze, {"dim": REQUIRED}),
        Op("flip", "movement", x, _flip, {"dims": REQUIRED}),
        Op("tril", "movement", x, _triangle, {"diagonal": 0}),
        Op("triu", "movement", x, _triangle, {"diagonal": 0}),
        Op("clone", "movement", x, _same(KINDS)),
        Op("cat", "join", ("*xs",), _cat, {"dim": 0}),
        Op("stack", "join", ("*xs",), _stack, {"dim": 0}),
        Op("getitem", "indexing", x, _getitem, {"index": REQUIRED}),
        Op("index_select", "indexing", x, _index_select, {"dim": REQUIRED, "index": REQUIRED}),
        Op("gather", "indexing", x, _gather, {"dim": REQUIRED, "index": REQUIRED}),
        Op("matmul", "contraction", ("a", "b"), _matmul),
        Op("dot", "contraction", ("a", "b"), _dot),
        Op("outer", "contraction", ("a", "b"), _outer),
        Op("detach", "cut", x, _same(KINDS), differentiable=()),
    ]
    return {op.name: op for op in rows}


OPS: Final[Mapping[str, Op]] = _table()
