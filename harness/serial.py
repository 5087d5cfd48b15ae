"""Programs and cases as JSON text, and back: exact, versioned, strictly checked, without pickle or eval.

`dumps` writes one canonical text a program, so that `program_id`, a hash of it, names the program. `loads` takes
nothing on trust: whatever is wrong with a text (foreign, truncated, hostile, too large) is one ProgramError that says
what.

>>> from harness.programs import Instr, Program, Scalar, Spec
>>> text = dumps(Program((Spec((3,)),), (Instr("mul", (0, Scalar(2.0))),), (1,)))
>>> text
'{"adjudge_program":1,"inputs":[{"kind":"float","shape":[3]}],"instrs":[["mul",[0,{"scalar":2.0}],{}]],"outputs":[1]}'
>>> print(loads(text))
def program(x0):  # x0: float[3]
    v1 = mul(x0, 2.0)
    return v1
>>> loads(text[:-20])
Traceback (most recent call last):
    ...
harness.vocabulary.checks.ProgramError: not a complete JSON text: Expecting ',' delimiter (line 1, column 97)
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn

import numpy as np

from harness.cases import Array, Case
from harness.floats import DTYPES, carrier, is_of
from harness.inference import DOMAINS, KINDS, OPS, ProgramError, infer, unknown_op
from harness.programs import Instr, Param, Program, Scalar, Spec

__all__ = ["VERSION", "dumps", "dumps_case", "loads", "loads_case", "program_id"]

VERSION: Final = 1

MAX_TEXT: Final = 2**26  # characters
MAX_INSTRS: Final = 10_000
MAX_INPUTS: Final = 1_000
MAX_ARGS: Final = 1_000
MAX_RANK: Final = 16
MAX_DEPTH: Final = 18  # of a nested parameter: an index of the highest rank
MAX_ELEMENTS: Final = 2**20  # of one slot
MAX_TOTAL: Final = 2**24  # of all slots together, which the interpreter holds at once
_DTYPES: Final = {"float64": "<f8", "float32": "<f4", "int64": "<i8", "bool": "|b1"}


def dumps(program: Program) -> str:
    """Write the program as its canonical JSON text; equal programs give equal texts.

    Raises:
        ProgramError: a parameter or a literal is of a type that JSON does not hold.
    """
    return _canonical(_program_tree(program))


def loads(text: str) -> Program:
    """Read a program back from `dumps`.

    Raises:
        ProgramError: the text is not such a program, is malformed or exceeds a limit.
    """
    return _program(_parse(text))


def program_id(program: Program) -> str:
    """Return the program's name: the first 16 hexadecimal digits of the SHA-256 of its canonical JSON text."""
    return hashlib.sha256(dumps(program).encode()).hexdigest()[:16]


def dumps_case(case: Case) -> str:
    """Write a case as canonical JSON; arrays keep every bit, and cotangents their layout in memory (strides >= 0)."""
    return _canonical(
        {
            "adjudge_case": VERSION,
            "program": _program_tree(case.program),
            "dtype": case.dtype,
            "primals": [_array_tree(a) for a in case.primals],
            "requires_grad": list(case.requires_grad),
            "cotangents": [None if a is None else _array_tree(a) for a in case.cotangents],
        }
    )


def loads_case(text: str) -> Case:
    """Read a case back from `dumps_case`.

    Raises:
        ProgramError: the text is not such a case, is malformed or exceeds a limit; or an array does not fit its slot.
    """
    tree = _record(_parse(text), "case", ("adjudge_case", "program", "dtype", "primals", "requires_grad", "cotangents"))
    _version(tree["adjudge_case"], "adjudge_case")
    program = _program(tree["program"])
    specs = infer(program)
    dtype = tree["dtype"]
    if dtype not in DTYPES:
        raise ProgramError(f"dtype is {_short(dtype)}, want one of {', '.join(map(repr, DTYPES))}")
    dtypes = {"float": carrier(dtype), "int": "int64", "bool": "bool"}
    primals = []
    for i, (spec, item) in enumerate(zip(program.inputs, _rows(tree, "primals", len(program.inputs)), strict=True)):
        primals.append(_array(item, f"primals[{i}]", spec.shape, dtypes[spec.kind]))
    for i, x in enumerate(primals):
        if x.dtype.kind == "f" and not is_of(x, dtype):
            raise ProgramError(f"primals[{i}] holds a number that is no {dtype}")
    flags = _rows(tree, "requires_grad", len(program.inputs))
    for i, (spec, flag) in enumerate(zip(program.inputs, flags, strict=True)):
        if type(flag) is not bool or (flag and spec.kind != "float"):
            raise ProgramError(f"requires_grad[{i}] is {_short(flag)}, but the input is {spec}")
    cotangents: list[Array | None] = []
    for i, (slot, item) in enumerate(
        zip(program.outputs, _rows(tree, "cotangents", len(program.outputs)), strict=True)
    ):
        if item is not None and specs[slot].kind != "float":
            raise ProgramError(f"cotangents[{i}] is given, but the output is {specs[slot]}")
        cotangents.append(
            None if item is None else _array(item, f"cotangents[{i}]", specs[slot].shape, dtypes["float"])
        )
    return Case(program, tuple(primals), tuple(flags), tuple(cotangents), dtype)


# --- writing


def _canonical(tree: Any) -> str:
    return json.dumps(tree, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _program_tree(program: Program) -> dict[str, Any]:
    return {
        "adjudge_program": VERSION,
        "inputs": [_spec_tree(spec) for spec in program.inputs],
        "instrs": [
            [i.op, [_arg_tree(a) for a in i.args], {key: _value_tree(value) for key, value in i.params}]
            for i in program.instrs
        ],
        "outputs": list(program.outputs),
    }


def _spec_tree(spec: Spec) -> dict[str, Any]:
    tree: dict[str, Any] = {"shape": list(spec.shape), "kind": spec.kind}
    return tree if spec.domain == "real" else {**tree, "domain": spec.domain}


def _arg_tree(arg: int | Scalar) -> Any:
    return {"scalar": _value_tree(arg.value)} if isinstance(arg, Scalar) else arg


def _value_tree(value: Param) -> Any:
    if isinstance(value, tuple):
        return [_value_tree(item) for item in value]
    if type(value) is float and not math.isfinite(value):
        return {"float": repr(value)}
    if value is None or type(value) in (bool, int, float, str):
        return value
    raise ProgramError(f"{value!r} is a {type(value).__name__}; a program holds None, bool, int, float, str and tuples")


def _array_tree(a: Array) -> dict[str, Any]:
    """The elements in row-major order, little-endian; the strides (in elements) where it is not contiguous."""
    if a.dtype.name not in _DTYPES:
        raise ProgramError(f"an array has dtype {a.dtype.name}, want one of {', '.join(_DTYPES)}")
    data = np.ascontiguousarray(a, _DTYPES[a.dtype.name]).tobytes()
    tree = {"dtype": a.dtype.name, "shape": list(a.shape), "data": base64.b64encode(data).decode()}
    strides = [s // a.itemsize for s in a.strides]
    if a.flags.c_contiguous or any(s < 0 for s in a.strides) or any(s % a.itemsize for s in a.strides):
        return tree
    return {**tree, "strides": strides}


# --- reading


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _parse(text: str) -> Any:
    if not isinstance(text, str):
        raise ProgramError(f"text is a {type(text).__name__}, want a str")
    if len(text) > MAX_TEXT:
        raise ProgramError(f"text has {len(text)} characters, more than {MAX_TEXT}")
    try:
        return json.loads(text, parse_constant=_no_constant, parse_float=_finite, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise ProgramError(f"not a complete JSON text: {error.msg} ({where})") from None
    except RecursionError:
        raise ProgramError("the JSON text is nested too deep") from None
    except ProgramError:
        raise
    except ValueError as error:  # an integer of more digits than Python reads
        raise ProgramError(f"a number in the JSON text cannot be read: {error}") from None


def _no_constant(name: str) -> NoReturn:
    raise ProgramError(f"{name} is not JSON; a float that is not finite is written {{'float': 'inf'}}")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ProgramError(f"the number {_short(text)} overflows")
    return value


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    tree = dict(pairs)
    if len(tree) != len(pairs):
        raise ProgramError(f"a key appears twice among {_short([key for key, _ in pairs])}")
    return tree


def _record(tree: Any, what: str, keys: Sequence[str], optional: Sequence[str] = ()) -> Mapping[str, Any]:
    if not isinstance(tree, dict):
        raise ProgramError(f"{what} is {_short(tree)}, want an object")
    missing = [key for key in keys if key not in tree]
    extra = [key for key in tree if key not in keys and key not in optional]
    if missing:
        raise ProgramError(f"{what} lacks {', '.join(missing)}; is this an Adjudge file?")
    if extra:
        raise ProgramError(f"{what} has unknown keys {_short(extra)}")
    return tree


def _version(value: object, key: str) -> None:
    if value is True or value != VERSION:
        raise ProgramError(f"{key} is {_short(value)}; this version of Adjudge reads {VERSION}")


def _rows(tree: Mapping[str, Any], key: str, count: int | None = None, most: int = MAX_INSTRS) -> list[Any]:
    rows = tree[key]
    if not isinstance(rows, list):
        raise ProgramError(f"{key} is {_short(rows)}, want a list")
    if count is not None and len(rows) != count:
        raise ProgramError(f"{key} has {len(rows)} entries, the program wants {count}")
    if len(rows) > most:
        raise ProgramError(f"{key} has {len(rows)} entries, more than {most}")
    return rows


def _program(tree: Any) -> Program:
    fields = _record(tree, "program", ("adjudge_program", "inputs", "instrs", "outputs"))
    _version(fields["adjudge_program"], "adjudge_program")
    inputs = tuple(_spec(i, item) for i, item in enumerate(_rows(fields, "inputs", most=MAX_INPUTS)))
    instrs = tuple(_instr(k, item) for k, item in enumerate(_rows(fields, "instrs")))
    program = Program(inputs, instrs, tuple(_rows(fields, "outputs", most=MAX_INPUTS)))
    sizes = [math.prod(spec.shape) for spec in infer(program)]
    for slot, size in enumerate(sizes):
        if size > MAX_ELEMENTS:
            raise ProgramError(f"slot {slot} would hold {size} elements, more than {MAX_ELEMENTS}")
    if sum(sizes) > MAX_TOTAL:
        raise ProgramError(f"the slots would hold {sum(sizes)} elements together, more than {MAX_TOTAL}")
    return program


def _shape(value: Any, what: str) -> tuple[int, ...]:
    if not isinstance(value, list) or len(value) > MAX_RANK:
        raise ProgramError(f"{what}: shape is {_short(value)}, want a list of at most {MAX_RANK} sizes")
    if not all(type(n) is int and 0 <= n <= MAX_ELEMENTS for n in value) or math.prod(value) > MAX_ELEMENTS:
        raise ProgramError(f"{what}: shape is {_short(value)}, want sizes from 0, at most {MAX_ELEMENTS} elements")
    return tuple(value)


def _spec(i: int, item: Any) -> Spec:
    fields = _record(item, f"inputs[{i}]", ("shape", "kind"), ("domain",))
    kind, domain = fields["kind"], fields.get("domain", "real")
    for key, value, known in (("kind", kind, KINDS), ("domain", domain, DOMAINS)):
        if value not in known:
            raise ProgramError(f"inputs[{i}]: {key} is {_short(value)}, want one of {', '.join(known)}")
    return Spec(_shape(fields["shape"], f"inputs[{i}]"), kind, domain)


def _instr(k: int, item: Any) -> Instr:
    if not isinstance(item, list) or len(item) != 3:
        raise ProgramError(f"instruction {k} is {_short(item)}, want [op, arguments, parameters]")
    op, args, params = item
    if not isinstance(op, str) or op not in OPS:
        raise ProgramError(f"instruction {k}: {unknown_op(op)}")
    if not isinstance(args, list) or len(args) > MAX_ARGS:
        raise ProgramError(f"instruction {k} ({op}): arguments are {_short(args)}, want a list of at most {MAX_ARGS}")
    if not isinstance(params, dict):
        raise ProgramError(f"instruction {k} ({op}): parameters are {_short(params)}, want an object")
    unknown = [key for key in params if key not in OPS[op].params]
    if unknown:
        known = ", ".join(OPS[op].params) or "none"
        raise ProgramError(f"instruction {k} ({op}): unknown parameter {_short(unknown[0])}; it takes {known}")
    try:
        arguments = tuple(_arg(a) for a in args)
        return Instr(op, arguments, tuple((key, _value(params[key], MAX_DEPTH)) for key in sorted(params)))
    except ProgramError as error:
        raise ProgramError(f"instruction {k} ({op}): {error}") from None


def _arg(item: Any) -> int | Scalar:
    if type(item) is int:
        return item
    value = _value(_record(item, "an argument that is no slot", ("scalar",))["scalar"], 1)
    if type(value) not in (int, float):
        raise ProgramError(f"the literal {_short(value)} is not an int or a float")
    return Scalar(value)  # type: ignore[arg-type]


def _value(item: Any, depth: int) -> Param:
    if isinstance(item, list):
        if depth == 0:
            raise ProgramError(f"a parameter is nested deeper than {MAX_DEPTH}")
        return tuple(_value(part, depth - 1) for part in item)
    if isinstance(item, dict):
        text = _record(item, "a float", ("float",))["float"]
        if text not in ("inf", "-inf", "nan"):
            raise ProgramError(f"a float is {_short(text)}, want 'inf', '-inf' or 'nan'")
        return float(text)
    if type(item) is int and abs(item) >= 2**63:
        raise ProgramError(f"the int {_short(item)} does not fit 64 bits")
    if isinstance(item, str) and len(item) > 100:
        raise ProgramError(f"the string {_short(item)} is too long")
    value: Param = item
    return value


def _array(item: Any, what: str, shape: tuple[int, ...], dtype: str) -> Array:
    fields = _record(item, what, ("dtype", "shape", "data"), ("strides",))
    if fields["dtype"] != dtype:
        raise ProgramError(f"{what} has dtype {_short(fields['dtype'])}, want {dtype!r}")
    if _shape(fields["shape"], what) != shape:
        raise ProgramError(f"{what} has shape {tuple(fields['shape'])}, the program wants {shape}")
    form = np.dtype(_DTYPES[dtype])
    try:
        data = base64.b64decode(fields["data"], validate=True)
    except (binascii.Error, ValueError, TypeError):
        raise ProgramError(f"{what}: data is not base64: {_short(fields['data'])}") from None
    if len(data) != math.prod(shape) * form.itemsize:
        raise ProgramError(
            f"{what}: data has {len(data)} bytes, shape {shape} of {dtype} has {math.prod(shape) * form.itemsize}"
        )
    if dtype == "bool" and data.strip(b"\x00\x01"):
        raise ProgramError(f"{what}: data has bytes other than 0 and 1")
    a: Array = np.frombuffer(data, form).astype(dtype).reshape(shape)
    return a if "strides" not in fields else _laid_out(a, fields["strides"], what)


def _laid_out(a: Array, strides: Any, what: str) -> Array:
    """Copy the elements into memory with the given strides (in elements, not negative)."""
    limit = 4 * MAX_ELEMENTS
    if not isinstance(strides, list) or len(strides) != a.ndim:
        raise ProgramError(f"{what}: strides are {_short(strides)}, want {a.ndim} ints")
    if not all(type(s) is int and 0 <= s <= limit for s in strides):
        raise ProgramError(f"{what}: strides are {_short(strides)}, want ints from 0 to {limit}")
    if a.size == 0:
        return a
    room = 1 + sum((n - 1) * s for n, s in zip(a.shape, strides, strict=True))
    if room > limit:
        raise ProgramError(f"{what}: strides {_short(strides)} span {room} elements, more than {limit}")
    memory = np.full(room, np.nan if a.dtype.kind == "f" else 1, a.dtype)  # nobody may read what lies between
    view: Array = np.lib.stride_tricks.as_strided(memory, a.shape, [s * a.itemsize for s in strides])
    view[...] = a
    if view.tobytes() != a.tobytes():
        raise ProgramError(f"{what}: strides {_short(strides)} put unequal elements in one place")
    return view
