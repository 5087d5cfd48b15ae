"""The shape and kind of every slot of a program, and what is wrong with a program that has none.

The signatures are the rows of `harness.vocabulary`. Shapes and kinds are PyTorch's; what PyTorch would answer with a
surprise (a default dtype, a legacy special case) is refused.

>>> from harness.inference import infer
>>> from harness.programs import Instr, Program, Spec
>>> p = Program((Spec((2, 3)),), (Instr("sum", (0,), (("dim", 1),)), Instr("gt", (1, 1))), (1, 2))
>>> [str(spec) for spec in infer(p)]
['float[2, 3]', 'float[2]', 'bool[2]']
>>> infer(Program((Spec((2, 3)),), (Instr("sum", (0,), (("dim", 2),)),), (1,)))
Traceback (most recent call last):
    ...
harness.vocabulary.checks.ProgramError: instruction 0 (sum): dim is 2, out of range for shape (2, 3)
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

from harness.programs import Instr, Param, Program, Scalar, Spec
from harness.vocabulary import OPS
from harness.vocabulary.checks import DOMAINS, KINDS, REQUIRED, Arg, Op, ProgramError, Required, broadcast
from harness.vocabulary.indexing import getitem_shape

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
    elif not len(op.tensors) - op.optional <= len(args) <= len(op.tensors):
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


# --- programs


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
