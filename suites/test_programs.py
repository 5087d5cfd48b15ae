"""A program survives JSON and tracing, and a malformed one is refused with the reason."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from harness.cases import Case
from harness.inference import OPS, ProgramError, differentiable_slots, infer, validate
from harness.points import point
from harness.programs import Instr, Program, Scalar, Spec
from harness.serial import dumps, dumps_case, loads, loads_case, program_id
from harness.strategies import cases, programs
from harness.tracing import TracingError, ops, trace

SIN = Program((Spec((3,)),), (Instr("sin", (0,)),), (1,))
TEXT = dumps(SIN)


# --- inference


def one(op: str, *args: object, **params: object) -> Program:
    """A program of one instruction: tuples are shapes of float inputs, Specs are inputs, numbers are literals."""
    inputs, slots = list[Spec](), list[int | Scalar]()
    for arg in args:
        if isinstance(arg, (int, float)):
            slots.append(Scalar(arg))
        else:
            assert isinstance(arg, (tuple, Spec))
            inputs.append(arg if isinstance(arg, Spec) else Spec(arg))
            slots.append(len(inputs) - 1)
    instr = Instr(op, tuple(slots), tuple(sorted(params.items())))  # type: ignore[arg-type]
    return Program(tuple(inputs), (instr,), (len(inputs),))


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        (one("sine", (3,)), "unknown op 'sine'; did you mean sin"),
        (one("sin", (3,), (3,)), "takes 1 tensors"),
        (one("sin", Spec((3,), "int")), "x is int[3], want kind float"),
        (one("sin", 2.0), "cannot stand for a tensor"),
        (one("sin", (3,), dim=1), "unknown parameter dim; it takes none"),
        (one("add", (2,), (3,)), "shapes (2,) and (3,) do not broadcast"),
        (one("add", 1.0, 2.0), "all operands are numbers"),
        (one("add", (2,), True), "True is not an int or a float"),
        (one("mul", Spec((2,), "int"), 0.5), "float literal 0.5 meets int tensors"),
        (one("add", Spec((2,), "bool"), (2,)), "a is bool[2]"),
        (one("where", (2,), (2,), (2,)), "condition is float[2], want kind bool"),
        (one("clamp", (2,)), "min and max are both None"),
        (one("sum", (2, 3), dim=2), "dim is 2, out of range for shape (2, 3)"),
        (one("sum", (2, 3), dim=(0, -2)), "an axis appears twice"),
        (one("sum", (2, 3), dim=True), "dim is True, want an int"),
        (one("sum", (2, 3), keepdim=True), "keepdim is True without dim"),
        (one("sum", (2, 3), dim=0, keepdim=1), "keepdim is 1, want True or False"),
        (one("prod", (2, 3), dim=(0, 1)), "want an int or None"),
        (one("amax", (0, 3)), "no value over an axis of size 0"),
        (one("logsumexp", (2,)), "parameter dim is missing"),
        (one("reshape", (2, 3), shape=(4,)), "holds 4 elements"),
        (one("reshape", (2, 3), shape=(-1,)), "want sizes >= 0"),
        (one("permute", (2, 3), dims=(0,)), "want every axis"),
        (one("expand", (2, 3), shape=(2, 4)), "does not expand"),
        (one("tril", (3,)), "at least 2 axes"),
        (one("cat", (2, 3), (3, 2), dim=0), "they differ off axis 0"),
        (one("cat"), "at least one tensor"),
        (one("stack", (2,), (3,)), "xs[1] has shape (3,), xs[0] has shape (2,)"),
        (one("getitem", (2, 3), index=(2,)), "2 is out of range for axis 0"),
        (one("getitem", (2,), index=(0, 0)), "2 axes indexed"),
        (one("getitem", (2,), index=("...", "...")), "appears twice"),
        (one("getitem", (2,), index=(("slice", None, None, -1),)), "step must be greater than zero"),
        (one("index_select", (2,), dim=0, index=(2,)), "index 2 is out of range"),
        (one("gather", (2, 2), dim=0, index=((0,), (0, 1))), "ragged"),
        (one("gather", (2, 2), dim=0, index=(0,)), "nested as deep"),
        (one("matmul", (2, 3), (2, 3)), "the inner sizes differ"),
        (one("matmul", (), (2,)), "at least 1 axis"),
        (one("dot", (2,), (2, 2)), "want two vectors"),
    ],
)
def test_a_malformed_instruction_is_refused_with_its_number_op_and_reason(program: Program, reason: str) -> None:
    with pytest.raises(ProgramError) as caught:
        infer(program)
    assert str(caught.value).startswith(f"instruction 0 ({program.instrs[0].op}): ")
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        (Program((Spec((3,)),), (Instr("sin", (1,)),), (1,)), "argument 1 is not an earlier slot (0 to 0)"),
        (Program((Spec((3,)),), (Instr("sin", (-1,)),), (1,)), "argument -1 is not an earlier slot"),
        (Program((Spec((3,)),), (), (1,)), "outputs[0] is 1; the program has slots 0 to 0"),
        (Program((Spec((3,)),), (), ()), "returns nothing"),
        (Program((Spec((-3,)),), (), (0,)), "inputs[0]: shape is (-3,)"),
        (Program((Spec((3,), "complex"),), (), (0,)), "inputs[0]: kind is 'complex'"),
        (Program((Spec((3,), "float", "wide"),), (), (0,)), "inputs[0]: domain is 'wide'"),
        (Program((Spec((2,)),), (Instr("sum", (0,), (("keepdim", True), ("dim", 0))),), (1,)), "not sorted"),
    ],
)
def test_a_malformed_program_is_refused_with_the_reason(program: Program, reason: str) -> None:
    with pytest.raises(ProgramError) as caught:
        validate(program)
    assert reason in str(caught.value)


def test_detach_comparisons_and_conditions_cut_the_gradient() -> None:
    program = Program(
        (Spec((2,)), Spec((2,))),
        (
            Instr("detach", (0,)),
            Instr("gt", (0, 1)),
            Instr("where", (3, 2, Scalar(1.0))),
            Instr("where", (3, 2, 1)),
        ),
        (4, 5),
    )
    assert differentiable_slots(program) == (True, True, False, False, False, True)
    assert differentiable_slots(program, (True, False)) == (True, False, False, False, False, False)


# --- JSON


@settings(deadline=None, max_examples=200)
@given(programs())
def test_a_program_survives_json_and_keeps_its_id(program: Program) -> None:
    text = dumps(program)
    again = loads(text)
    assert again == program
    assert dumps(again) == text
    assert program_id(again) == program_id(program)


@settings(deadline=None, max_examples=100)
@given(cases())
def test_a_case_survives_json_to_the_bit_with_its_layout(case: Case) -> None:
    again = loads_case(dumps_case(case))
    assert (again.program, again.requires_grad, again.dtype) == (case.program, case.requires_grad, case.dtype)
    compared = 0
    for old, new in zip((*case.primals, *case.cotangents), (*again.primals, *again.cotangents), strict=True):
        assert (old is None) == (new is None)
        if old is not None and new is not None:
            assert (new.dtype, new.shape) == (old.dtype, old.shape)
            assert new.tobytes() == old.tobytes()
            assert old.size == 0 or old.flags.c_contiguous or new.strides == old.strides
            compared += 1
    assert compared > 0


def test_a_case_keeps_nan_infinities_and_negative_zero() -> None:
    primal = np.array([math.nan, -math.nan, math.inf, -math.inf, -0.0, 5e-324])
    again = loads_case(dumps_case(Case(one("sin", (6,)), (primal,), (True,), (primal,))))
    assert again.primals[0].tobytes() == primal.tobytes()


def test_programs_that_compute_something_else_have_other_ids() -> None:
    forms = [one("mul", (2,), value) for value in (2, 2.0, 0.0, -0.0, math.inf, -math.inf)]
    forms += [one("mul", Spec((2,), "float", "unit"), 2.0), one("mul", 2.0, (2,)), one("mul", (3,), 2.0)]
    assert len({program_id(form) for form in forms}) == len(forms)


def test_the_id_of_a_program_does_not_change_between_versions() -> None:
    assert program_id(SIN) == "7f17d3e802742cbb"


def changed(key: str, value: object) -> str:
    tree = json.loads(TEXT)
    tree[key] = value
    return json.dumps(tree)


def with_instr(*row: object) -> str:
    return changed("instrs", [list(row)])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not a complete JSON text"),
        (TEXT[:-1], "not a complete JSON text"),
        ("[" * 100_000, "nested too deep"),
        ('{"adjudge_program":' + "9" * 5000 + "}", "cannot be read"),
        ('{"adjudge_program":1,"adjudge_program":1}', "a key appears twice"),
        ("[1]", "program is [1], want an object"),
        ('{"nodes":[]}', "lacks adjudge_program"),
        (changed("adjudge_program", 2), "adjudge_program is 2; this version of Adjudge reads 1"),
        (changed("adjudge_program", True), "adjudge_program is True"),
        (changed("more", 1), "unknown keys ['more']"),
        (changed("inputs", {}), "inputs is {}, want a list"),
        (changed("inputs", [{"shape": [3]}]), "lacks kind"),
        (changed("inputs", [{"shape": [3], "kind": ["float"]}]), "kind is ['float']"),
        (changed("inputs", [{"shape": [2**40], "kind": "float"}]), "at most 1048576 elements"),
        (changed("inputs", [{"shape": [2**20, 2], "kind": "float"}]), "at most 1048576 elements"),
        (changed("inputs", [{"shape": [1] * 17, "kind": "float"}]), "at most 16 sizes"),
        (changed("inputs", [{"shape": [True], "kind": "float"}]), "want sizes"),
        (changed("instrs", [["sin", [0], {}]] * 10_001), "more than 10000"),
        (changed("outputs", [7]), "outputs[0] is 7"),
        (changed("outputs", ["1"]), "outputs[0] is '1'"),
        (changed("outputs", []), "returns nothing"),
        (with_instr("os.system", [0], {}), "unknown op 'os.system'"),
        (with_instr(["sin"], [0], {}), "unknown op"),
        (with_instr("sin", [0]), "want [op, arguments, parameters]"),
        (with_instr("sin", [1], {}), "argument 1 is not an earlier slot"),
        (with_instr("sin", [0.0], {}), "want an object"),
        (with_instr("sin", [0], {"out": 1}), "unknown parameter 'out'"),
        (with_instr("mul", [0, {"scalar": "2"}], {}), "'2' is not an int or a float"),
        (with_instr("mul", [0, {"scalar": 2**63}], {}), "does not fit 64 bits"),
        (with_instr("mul", [0, {"scalar": {"float": "1e5"}}], {}), "want 'inf', '-inf' or 'nan'"),
        (with_instr("sum", [0], {"dim": "0"}), "dim is '0'"),
        (with_instr("expand", [0], {"shape": [2**30, 3]}), "would hold"),
        (with_instr("getitem", [0], {"index": [[[[]]]]}), "is not an int, None"),
        (TEXT.replace('"sin"', "NaN"), "NaN is not JSON"),
        (TEXT.replace("[0]", "[1e999]"), "overflows"),
    ],
)
def test_a_hostile_or_foreign_text_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(ProgramError) as caught:
        loads(text)
    assert reason in str(caught.value)
    assert len(str(caught.value)) < 500


def test_a_deep_parameter_is_refused() -> None:
    index: list[object] = []
    for _ in range(200):
        index = [index]
    with pytest.raises(ProgramError, match="nested deeper"):
        loads(with_instr("getitem", [0], {"index": index}))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"data": "@@"}, "not base64"),
        ({"data": 5}, "not base64"),
        ({"data": "AAAA"}, "data has 3 bytes"),
        ({"dtype": "float32"}, "has dtype 'float32', want 'float64'"),
        ({"dtype": "object"}, "has dtype 'object'"),
        ({"shape": [4]}, "has shape (4,), the program wants (3,)"),
        ({"strides": [-1]}, "want ints from 0"),
        ({"strides": [2**40]}, "want ints from 0"),
        ({"strides": [3_000_000]}, "span 6000001 elements"),
        ({"strides": [0]}, "unequal elements in one place"),
    ],
)
def test_a_hostile_array_is_refused_with_the_reason(change: dict[str, object], reason: str) -> None:
    tree = json.loads(dumps_case(point(SIN)))
    tree["primals"][0] |= change
    with pytest.raises(ProgramError) as caught:
        loads_case(json.dumps(tree))
    assert "primals[0]" in str(caught.value)
    assert reason in str(caught.value)


@settings(deadline=None, max_examples=200)
@given(cases(max_instrs=4), st.data())
def test_a_damaged_case_is_read_or_refused_never_anything_else(case: Case, data: st.DataObject) -> None:
    text = dumps_case(case)
    at = data.draw(st.integers(0, len(text) - 1))
    to = data.draw(st.integers(at, min(at + 5, len(text))))
    damaged = text[:at] + data.draw(st.text('{}[]",:0123456789-.eanslftrudimNI', max_size=4)) + text[to:]
    try:
        again = loads_case(damaged)
    except ProgramError:
        event("refused")
    else:
        event("read")
        validate(again.program)


# --- tracing


def test_trace_records_operators_methods_and_functions() -> None:
    def f(x, w, c):  # type: ignore[no-untyped-def]
        h = ops.tanh(x @ w + 1) / 2.0
        y = ops.where(c, -h, 3 - h).sum(0, keepdim=True)
        z = ops.cat([y, 2**y], dim=-1).reshape(2, -1)
        return z.permute(1, 0), (z > 0), abs(z)[..., None, ::2], ops.linalg.vector_norm(z, ord=1, dim=1), z.T.detach()

    program = trace(f, Spec((2, 3)), np.ones((3, 4)), Spec((2, 1), "bool"))
    assert [i.op for i in program.instrs] == (
        [
            "matmul",
            "add",
            "tanh",
            "div",
            "neg",
            "sub",
            "where",
            "sum",
            "pow",
            "cat",
            "reshape",
            "permute",
            "gt",
            "abs",
            "getitem",
            "vector_norm",
            "permute",
            "detach",
        ]
    )
    specs = infer(program)
    assert [str(specs[slot]) for slot in program.outputs] == [
        "float[4, 2]",
        "bool[2, 4]",
        "float[2, 1, 2]",
        "float[2]",
        "float[4, 2]",
    ]


def test_trace_leaves_defaults_out_and_writes_sizes_of_minus_one_out() -> None:
    program = trace(lambda x: x.sum(dim=None, keepdim=False) + x.view(-1).expand(3, -1), Spec((2, 2)))
    assert [i.params for i in program.instrs] == [(), (("shape", (4,)),), (("shape", (3, 4)),), ()]


def test_trace_unrolls_loops_over_shapes() -> None:
    program = trace(lambda x: [row.sum() for row in x], Spec((3, 2)))
    assert [i.op for i in program.instrs] == ["getitem", "sum"] * 3


@settings(deadline=None, max_examples=100)
@given(programs(int_inputs=False))
def test_trace_of_a_program_is_the_program(program: Program) -> None:
    def call(*inputs: object) -> list[object]:
        slots = list(inputs)
        for instr in program.instrs:
            args = [a.value if isinstance(a, Scalar) else slots[a] for a in instr.args]
            params = dict(instr.params)
            if instr.op == "getitem":
                index = params["index"]
                assert isinstance(index, tuple)
                parts = (... if i == "..." else slice(*i[1:]) if isinstance(i, tuple) else i for i in index)
                slots.append(args[0][tuple(parts)])  # type: ignore[index]
            elif OPS[instr.op].tensors == ("*xs",):
                slots.append(getattr(ops, instr.op)(args, **params))
            else:
                slots.append(getattr(ops, instr.op)(*args, **params))
        return [slots[i] for i in program.outputs]

    traced = trace(call, *program.inputs)
    assert infer(traced) == infer(program)
    assert [i.args for i in traced.instrs] == [i.args for i in program.instrs]
    assert traced.outputs == program.outputs


@pytest.mark.parametrize(
    ("f", "reason"),
    [
        (lambda x: x if x.sum() > 0 else -x, "truth value"),
        (lambda x: x * float(x[0]), "its value as a float"),
        (lambda x: x * x.sum().item(), "for its value"),
        (lambda x: x * np.ones(3), "pass arrays as inputs"),
        (lambda x: np.ones(3) * x, "pass arrays as inputs"),
        (lambda x: x.__setitem__(0, 1.0), "no in-place writes"),
        (lambda x: 3.0, "output 0 of the function is 3.0"),
        (lambda x: (), "returns no tensor"),
        (lambda x: x[[0, 1]], "use index_select"),
        (lambda x: x.sum(axis=0), "PyTorch's parameter is dim"),
        (lambda x: ops.cat(x, dim=0), "takes a list of tensors"),
        (lambda x: ops.sin(1.0), "none of its arguments is a traced tensor"),
        (lambda x: len(x.sum()), "has no len"),
    ],
)
def test_what_a_trace_cannot_hold_is_refused_with_the_reason(f, reason: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(TracingError) as caught:
        trace(f, Spec((3,)))
    assert reason in str(caught.value)


def test_a_shape_mismatch_in_a_trace_names_the_op_and_the_shapes() -> None:
    with pytest.raises(ProgramError, match=r"matmul: a has shape \(2, 3\), b has shape \(2, 3\)"):
        trace(lambda x: x @ x, Spec((2, 3)))
