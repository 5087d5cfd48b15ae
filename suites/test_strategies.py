"""Drawn programs are valid, varied, worth running and shrink; drawn points are what they claim to be."""

from __future__ import annotations

import contextlib
import io
import itertools
import math
import random
import warnings
from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, event, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import UnsatisfiedAssumption

from harness.cases import Case
from harness.choices import calls, joint_shape, new_shapes
from harness.generation import draw, random_program
from harness.inference import OPS, differentiable_slots, infer
from harness.points import DOMAIN_RANGES, LAYOUTS, live_slots, point
from harness.programs import Instr, Program, Scalar, Spec
from harness.sources import to_source
from harness.strategies import cases, points, programs, simplest

SLOW = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
DRAWS = 2_000


def drawn_programs(count: int, seed: int = 0, **options: object) -> list[Program]:
    rng = random.Random(seed)
    return [random_program(rng, **options) for _ in range(count)]  # type: ignore[arg-type]


# --- validity


@settings(SLOW, max_examples=500)
@given(programs())
def test_every_program_is_valid_and_has_a_gradient_to_compare(program: Program) -> None:
    infer(program)
    live = live_slots(program)
    assert any(live[slot] for slot in program.outputs)
    assert len(program.instrs) <= 15
    assert 1 <= len(program.outputs) <= 3
    event(f"{len(program.instrs)} instructions")


@settings(SLOW, max_examples=300)
@given(cases(kinds=("random",)))
def test_every_slot_has_in_pytorch_the_shape_and_dtype_that_inference_says(case: Case) -> None:
    pytest.importorskip("torch")
    names: dict[str, object] = {}
    with contextlib.redirect_stdout(io.StringIO()):
        exec(compile(to_source(case, "torch"), "<case>", "exec"), names)
    dtypes = {"float": case.dtype, "int": "int64", "bool": "bool"}
    for slot, spec in enumerate(infer(case.program)):
        value = names[f"x{slot}" if slot < len(case.program.inputs) else f"v{slot}"]
        assert tuple(value.shape) == spec.shape  # type: ignore[attr-defined]
        assert str(value.dtype) == f"torch.{dtypes[spec.kind]}"  # type: ignore[attr-defined]
    grads = names["grads"]
    assert isinstance(grads, (tuple, list))
    floats = [i for i, flag in enumerate(case.requires_grad) if flag]
    reached = [grad for grad in grads if grad is not None]
    assert len(grads) == len(floats)
    assert any(grad.numel() > 0 for grad in reached)


def test_nothing_that_is_drawn_is_rejected() -> None:
    drawn, rejected = [0], [0]

    @settings(SLOW, max_examples=500, database=None)
    @given(st.data())
    def draw(data: st.DataObject) -> None:
        try:
            data.draw(cases())
            drawn[0] += 1
        except UnsatisfiedAssumption:
            rejected[0] += 1
            raise

    draw()
    assert drawn[0] >= 500
    assert rejected[0] == 0


@pytest.mark.parametrize("op", OPS)
def test_every_op_alone_makes_programs(op: str) -> None:
    made = drawn_programs(20, ops=(op,))
    for program in made:
        infer(program)
        assert {instr.op for instr in program.instrs} <= {op}
    assert any(program.instrs for program in made)


@pytest.mark.parametrize("ops", [None, ("sin", "mul", "matmul", "cat")])
def test_hypothesis_goes_on_from_the_program_that_was_drawn(ops: tuple[str, ...] | None) -> None:
    for seed in range(40):
        made, asked = draw(seed, ops=ops), list[Program]()
        assert simplest(made, lambda program, asked=asked: asked.append(program)) is None  # type: ignore[misc]
        assert asked == [made.program]


def test_a_drawn_program_shrinks_to_what_shows_the_same() -> None:
    def shows(program: Program) -> bool:
        return any(instr.op == "tanh" for instr in program.instrs)

    made = next(d for d in map(draw, itertools.count()) if len(d.program.instrs) > 3 and shows(d.program))
    least = simplest(made, shows)
    assert least == Program((Spec(()),), (Instr("tanh", (0,)),), (1,))


def test_most_drawn_programs_are_short_and_some_are_long() -> None:
    lengths = [len(draw(seed).program.instrs) for seed in range(1000)]
    assert 2.8 <= sum(lengths) / len(lengths) <= 3.5
    assert sum(n <= 3 for n in lengths) >= 600
    assert sum(n >= 8 for n in lengths) >= 20


def test_an_unknown_op_is_refused_with_the_names_close_to_it() -> None:
    with pytest.raises(ValueError, match="unknown op 'sofmax'; did you mean softmax"):
        programs(ops=["sin", "sofmax"])
    with pytest.raises(ValueError, match="got no op names"):
        programs(ops=[])


def test_options_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="max_instrs is 0"):
        programs(max_instrs=0)
    with pytest.raises(ValueError, match="dtypes is \\('int8',\\)"):
        cases(dtypes=("int8",))
    with pytest.raises(ValueError, match="kinds is \\('nice',\\)"):
        points(random_program(random.Random(0)), kinds=("nice",))


# --- variety


def features(program: Program) -> set[str]:
    specs, live = infer(program), differentiable_slots(program)
    found = {f"rank {len(spec.shape)}" for spec in specs}
    found |= {f"axis of size {n}" for spec in specs for n in spec.shape if n < 2}
    found |= {f"{len(program.inputs)} inputs", f"{len(program.outputs)} outputs"}
    found |= {f"{spec.kind} input" for spec in program.inputs} | {f"{spec.domain} input" for spec in program.inputs}
    uses = Counter(slot for instr in program.instrs for slot in instr.slots)
    found |= {"sharing"} if any(n > 1 for slot, n in uses.items() if slot >= len(program.inputs)) else set()
    found |= {"input shared"} if any(n > 1 for slot, n in uses.items() if slot < len(program.inputs)) else set()
    found |= {"input unused"} if any(not uses[slot] for slot in range(len(program.inputs))) else set()
    for instr in program.instrs:
        shapes = [specs[a].shape for a in instr.slots]
        if instr.op == "detach" and live[instr.slots[0]]:
            found.add("detach")
        if any(isinstance(a, Scalar) for a in instr.args):
            found.add("number right" if isinstance(instr.args[-1], Scalar) else "number left")
        if OPS[instr.op].family == "binary" and len(shapes) == 2:
            out = joint_shape(*shapes)
            found |= {side for side, shape in zip(("left", "right"), shapes, strict=True) if shape != out}
            if all(shape != out for shape in shapes):
                found.add("both sides broadcast")
    return found


def test_all_ops_and_all_features_occur_often_enough() -> None:
    drawn = drawn_programs(DRAWS)
    ops = Counter(op for program in drawn for op in {instr.op for instr in program.instrs})
    counts = Counter(feature for program in drawn for feature in features(program))
    print(f"\nof {DRAWS} programs, mean {sum(len(p.instrs) for p in drawn) / DRAWS:.1f} instructions")
    for name, count in itertools.chain(sorted(counts.items()), sorted(ops.items())):
        print(f"{name:24} {count:5}  {count / DRAWS:6.1%}")
    assert set(ops) == set(OPS)
    assert min(ops.values()) >= sum(ops.values()) / len(OPS) / 4  # no op is four times as rare as the mean
    wanted = [f"rank {n}" for n in range(4)] + [f"axis of size {n}" for n in (0, 1)]
    wanted += [f"{n} inputs" for n in (1, 2, 3, 4)] + [f"{n} outputs" for n in (1, 2, 3)]
    wanted += ["float input", "bool input", "int input", "positive input", "unit input", "detach", "sharing"]
    wanted += ["input shared", "input unused", "number left", "number right", "left", "right", "both sides broadcast"]
    for name in wanted:
        assert counts[name] >= DRAWS / 200, name


def test_most_gradients_at_random_points_are_finite_and_not_zero() -> None:
    pytest.importorskip("torch")
    finite = zero = total = 0
    for seed, program in enumerate(drawn_programs(200, seed=1)):
        names: dict[str, list[object]] = {}
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what PyTorch remarks on var, kl_div and even kernels
            exec(to_source(point(program, seed=seed + 1), "torch"), names)
        for grad in names["grads"]:
            elements = np.zeros(0) if grad is None else np.asarray(grad, np.float64)
            finite += int(np.isfinite(elements).sum())
            zero += int((elements == 0).sum())
            total += elements.size
    print(f"\n{total} elements: {finite / total:.1%} finite, {zero / total:.1%} zero")
    assert finite >= 0.97 * total
    assert zero <= 0.40 * total


# --- points


@settings(SLOW, max_examples=300)
@given(cases(kinds=("random",)))
def test_primals_fit_their_specs_and_domains(case: Case) -> None:
    for spec, primal in zip(case.program.inputs, case.primals, strict=True):
        assert primal.shape == spec.shape
        assert primal.dtype.name == {"float": case.dtype, "int": "int64", "bool": "bool"}[spec.kind]
        if spec.kind == "float":
            low, high = DOMAIN_RANGES[spec.domain]
            assert np.all((np.asarray(primal, np.float64) >= low) & (np.asarray(primal, np.float64) <= high))


def test_random_points_have_no_ties_and_edge_points_have_all_edges() -> None:
    program = Program((Spec((4,)), Spec((2, 3)), Spec((3,), "float", "positive")), (Instr("sin", (0,)),), (3,))
    for seed in range(20):
        values = np.concatenate([a.ravel() for a in point(program, seed=seed).primals[:2]])
        assert len(set(values.tolist())) == values.size
        assert 0.0 not in values
    edges = [point(program, seed=seed, kind="edge", dtype="float32").primals for seed in range(200)]
    real = np.concatenate([a.ravel() for primals in edges for a in primals[:2]])
    positive = np.concatenate([primals[2] for primals in edges])
    assert np.all(positive >= 0)  # 0 ends the domain
    seen = {
        "zero": np.any((real == 0) & ~np.signbit(real)),
        "negative zero": np.any((real == 0) & np.signbit(real)),
        "one": np.any(real == 1),
        "huge": np.any(np.abs(real) >= 1e29),
        "tiny": np.any((np.abs(real) > 0) & (np.abs(real) < 1e-29)),
        "denormal": np.any((np.abs(real) > 0) & (np.abs(real) < np.finfo("float32").tiny)),
    }
    assert all(seen.values()), seen


def test_the_simplest_points_are_zeros_ones_and_short_fractions() -> None:
    program = Program((Spec((3,)), Spec((2,), "float", "positive")), (Instr("sin", (0,)),), (2,))
    assert [a.tolist() for a in point(program).primals] == [[0.5, -0.5, 1.0], [1.375, 1.5]]
    assert [a.tolist() for a in point(program, kind="edge").primals] == [[0.0, 0.0, 0.0], [1.0, 1.0]]


@settings(SLOW, max_examples=300)
@given(cases())
def test_cotangents_fit_the_outputs_that_they_pull_back(case: Case) -> None:
    specs = infer(case.program)
    reached, live = differentiable_slots(case.program, case.requires_grad), live_slots(case.program, case.requires_grad)
    compared = False
    for slot, cotangent in zip(case.program.outputs, case.cotangents, strict=True):
        if cotangent is not None:
            assert reached[slot]
            assert (cotangent.shape, cotangent.dtype.name) == (specs[slot].shape, case.dtype)
            assert cotangent.size == 0 or not np.all(cotangent == 1.0)
            compared |= live[slot]
    assert compared


def test_every_layout_of_a_cotangent_is_what_its_name_says() -> None:
    program = Program((Spec((2, 3)), Spec((2, 3))), (Instr("sin", (0,)), Instr("mul", (0, 1))), (2, 3))
    found = {}
    for layout in LAYOUTS:
        found[layout] = point(program, seed=5, layouts=(layout, "dense")).cotangents[0]
    assert found["unused"] is None
    laid_out = {name: a for name, a in found.items() if a is not None}
    assert laid_out["dense"].flags.c_contiguous
    assert len(np.unique(laid_out["repeated"])) == 1
    assert laid_out["repeated"].flags.c_contiguous
    assert laid_out["expanded"].strides[0] == 0
    assert laid_out["transposed"].flags.f_contiguous
    assert laid_out["strided"].strides == (48, 16)
    both = point(program, layouts=("unused", "unused")).cotangents
    assert any(cotangent is not None for cotangent in both)


def test_inputs_are_left_out_of_the_gradient_now_and_then() -> None:
    program = Program((Spec((2,)), Spec((2,))), (Instr("mul", (0, 1)),), (2,))
    case = find(points(program), lambda case: not all(case.requires_grad))
    assert any(case.requires_grad)
    assert point(program, requires_grad=(False, False)).requires_grad == (True, True)


def test_the_same_seed_gives_the_same_case() -> None:
    for program in drawn_programs(20):
        first, second = (point(program, seed=9, kind="edge") for _ in range(2))
        for a, b in zip((*first.primals, *first.cotangents), (*second.primals, *second.cotangents), strict=True):
            assert (a is None and b is None) or (a is not None and b is not None and a.tobytes() == b.tobytes())


# --- shrinking


COMPANIONS = ("add", "mul", "sin", "exp", "sum", "where", "reshape", "matmul", "log", "gt")


def applies_to_a_gradient(op: str, program: Program) -> bool:
    flags = differentiable_slots(program)
    return any(instr.op == op and any(flags[slot] for slot in instr.slots) for instr in program.instrs)


@pytest.mark.parametrize("op", OPS)
def test_a_program_with_an_op_shrinks_to_at_most_two_instructions(op: str) -> None:
    # Ops whose calls are listed are many and drawn by one function of the generator: fewer draws in less company will do.
    listed = OPS[op].calls is not None
    strategy = programs(ops=(*(("mul", "sin", "sum") if listed else COMPANIONS), op))
    quick = settings(SLOW, database=None, max_examples=300 if listed else 2_000, derandomize=True)
    program = find(strategy, lambda program: applies_to_a_gradient(op, program), settings=quick)
    assert len(program.instrs) <= 2
    assert sum(math.prod(spec.shape) for spec in program.inputs) <= max(4, fewest_elements(op))


def fewest_elements(op: str) -> int:
    """Of the calls that the vocabulary lists for an op, how many elements the smallest takes."""
    return min(
        (
            math.prod(shape) + sum(math.prod(other.shape) for other in others)
            for shape in new_shapes(op)
            for _, others, out in calls(op, shape)
            if 0 not in (*shape, *out)
        ),
        default=0,
    )


def test_a_defect_among_all_ops_shrinks_to_one_instruction_and_simple_numbers() -> None:
    def is_caught(case: Case) -> bool:
        return applies_to_a_gradient("tanh", case.program)

    quick = settings(SLOW, database=None, max_examples=5_000, derandomize=True)
    case = find(cases(), is_caught, settings=quick)
    assert [instr.op for instr in case.program.instrs] == ["tanh"]
    assert [primal.tolist() for primal in case.primals] == [1.0]
    assert [cotangent.tolist() for cotangent in case.cotangents if cotangent is not None] == [2.0]
    assert case.dtype == "float64"
