"""What was drawn is counted, what was never drawn is named, and nothing that belongs to a run stays undrawn for long.

With the Hypothesis profile `nightly` the last test draws thousands of cases and fails on whatever never came; with the
others, which draw less, it only counts. `adjudge verify --require-coverage` does the same for a run.
"""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings

from harness import cli, verify
from harness.cases import Case
from harness.drawn import EVERYTHING, FACETS, Drawn
from harness.generation import random_program
from harness.points import EDGES, edges_of, layout_of, point
from harness.programs import Instr, Program, Scalar, Spec
from harness.records import CoverageRow, read_dataset
from harness.strategies import cases

SHARED = Program(
    (Spec((2, 3)), Spec((3,), "int")),
    (Instr("sin", (0,)), Instr("mul", (2, 2)), Instr("sum", (3,), (("dim", -1),)), Instr("add", (2, Scalar(2.0)))),
    (4, 5),
)


def test_every_facet_is_counted_by_op_and_in_all() -> None:
    drawn = Drawn()
    drawn.program(SHARED)
    drawn.point(point(SHARED, layouts=("expanded", "transposed")), "random")
    one = {
        *(
            ("sin", "op", "sin"),
            ("sin", "pair", "mul"),
            ("mul", "pair", "sum"),
            ("sin", "rank", "2"),
            ("sum", "size", "more"),
        ),
        *(("", "sharing", "a slot in two ops"), ("", "sharing", "a slot twice in one op"), ("", "output", "several")),
        *(("mul", "side input", "int"), ("sum", "parameter", "a negative dim"), ("", "detach", "no")),
        *(("mul", "dtype", "float64"), ("mul", "cotangent", "transposed"), ("", "primal layout", "dense")),
        *(("", "gradient", "all inputs"), ("add", "point", "random"), ("add", "side input", "a number")),
    }
    assert {key: drawn.counts[key] for key in one} == dict.fromkeys(one, 1)
    assert drawn.counts["sin", "pair", "sin"] == 0
    assert {facet for _, facet, _ in drawn.counts} <= FACETS.keys()
    assert EVERYTHING.keys() <= FACETS.keys()


def test_what_never_came_is_named() -> None:
    drawn = Drawn(("sin", "mul", "sum", "add", "cos"), ("float64", "float32"))
    drawn.program(SHARED)
    drawn.point(point(SHARED), "random")
    never = drawn.never()
    assert [value for facet, value in never if facet == "op"] == ["cos"]
    assert ("dtype", "float32") in never and ("dtype", "float64") not in never
    assert ("edge", "subnormal") in never and ("primal layout", "strided") in never
    assert [(facet, value) for _, facet, value, count in drawn.rows() if count == 0] == never


def at(*arrays: object, domains: tuple[str, ...] = ()) -> Case:
    primals = tuple(np.array(a, np.float64) for a in arrays)
    specs = tuple(Spec(x.shape, "float", d) for x, d in zip(primals, domains or ("real",) * len(primals), strict=True))
    program = Program(specs, (Instr("sin", (0,)),), (len(specs),))
    return Case(program, primals, (True,) * len(primals), (np.ones(primals[0].shape),))


@pytest.mark.parametrize(
    ("case", "edges"),
    [
        (at([0.3, 0.4]), set()),
        (at([0.0, 0.4]), {"zero"}),
        (at([-0.0, 0.4]), {"zero", "minus zero"}),
        (at([0.0, 0.0]), {"zero", "all zero", "tie"}),
        (at([1.0, 0.5]), {"one"}),
        (at([5e-324, 0.5]), {"subnormal"}),
        (at([1e-200, 0.5]), {"tiny"}),
        (at([1e200, 0.5]), {"huge"}),
        (at([-5.5, 0.5]), {"wide"}),
        (at([-30.0, 0.5]), {"saturated"}),
        (at([[0.0, 0.0], [0.3, 0.4]]), {"zero", "zero row", "tie"}),
        (at([[0.3, 0.4], [0.3, 0.4]]), {"tie", "singular matrix"}),
        (at([[1.0, 0.0], [0.0, 1.0]]), {"zero", "one", "tie", "identity matrix"}),
        (at([0.3, 0.4], [0.3, 0.4]), {"equal inputs"}),
        (at([0.3, 0.0], domains=("positive",)), {"zero", "end of a domain"}),
    ],
)
def test_edges_are_named_by_what_the_numbers_are(case: Case, edges: set[str]) -> None:
    assert edges_of(case) == edges
    assert edges <= set(EDGES)


@pytest.mark.parametrize("layout", ["dense", "transposed", "strided", "expanded"])
def test_primals_lie_as_asked_for_with_the_same_numbers(layout: str) -> None:
    program = Program((Spec((2, 3)), Spec((3, 2), "int")), (Instr("sin", (0,)),), (2,))
    plain, laid = point(program, seed=3), point(program, seed=3, primal_layouts=(layout, layout))
    for a, b in zip(plain.primals, laid.primals, strict=True):
        assert layout_of(b) == layout
        assert np.array_equal(b, np.broadcast_to(a[:1], a.shape) if layout == "expanded" else a)


def test_an_input_equals_others_of_its_kind_alone() -> None:
    program = Program((Spec((2,), "bool"), Spec((2,)), Spec((2,))), (Instr("where", (0, 1, 2)),), (3,))
    made = [point(program, seed=seed, kind="edge").primals for seed in range(1, 400)]
    assert all([x.dtype.name for x in primals] == ["bool", "float64", "float64"] for primals in made)
    assert any(len(set(a.tolist())) == 2 and np.array_equal(a, b) for _, a, b in made)


def test_a_run_draws_all_that_belongs_to_it() -> None:
    """The generator and the points of `adjudge verify`, without the judging: 800 programs."""
    rng, drawn = random.Random(7), Drawn()
    for seed in range(800):
        program = random_program(rng)
        drawn.program(program)
        for k in range(4):
            case = verify._case(program, ("float64", "float32")[k % 2], seed, k, 4, k, plain=k == 0)
            drawn.point(case, verify._kind(k, 4))
    assert drawn.never() == []


def test_a_run_that_misses_something_fails_where_coverage_is_required(tmp_path: Path) -> None:
    words = [
        "verify",
        "--backends",
        "reference",
        "--ops",
        "sin,cos",
        "--max-programs",
        "3",
        "--max-inconclusive",
        "100",
    ]
    done = CliRunner().invoke(cli.cli, [*words, "--out", str(tmp_path), "--no-report"])
    assert done.exit_code == 0, done.output
    done = CliRunner().invoke(cli.cli, [*words, "--out", str(tmp_path), "--require-coverage"])
    assert done.exit_code == 3, done.output
    assert "never drawn: " in done.stderr and "edge huge" in done.stderr
    assert "Never drawn:" in (tmp_path / "report.html").read_text()
    runs = read_dataset(tmp_path).runs
    assert all(run.coverage and all(isinstance(row, CoverageRow) for row in run.coverage) for run in runs)
    assert sum(row.count for row in runs[0].coverage if row.facet == "op") >= 3


def test_the_strategies_draw_whatever_is_declared() -> None:
    """In the nightly profile everything; in the others as much as their examples hold."""
    seen = Drawn()

    # Hypothesis repeats what it drew with changes, so that rare ops need more examples than in `adjudge verify`.
    @settings(suppress_health_check=list(HealthCheck), max_examples=3 * settings().max_examples)
    @given(cases())
    def look(case: Case) -> None:
        seen.program(case.program)
        seen.point(case, "edge" if edges_of(case) else "random")

    look()
    drawn = sum(count for (op, facet, _), count in seen.counts.items() if facet == "dtype" and op == "")
    assert drawn >= min(settings().max_examples, 50)
    if settings().max_examples >= 2000:
        assert seen.never() == []


def test_points_that_leave_the_domain_are_drawn_again_but_for_some() -> None:
    """A root of zeros has an infinite derivative; ops that have one everywhere lose no point."""
    kept = verify.run_verify(
        backends_=["reference"], ops=["square", "mul"], max_programs=40, seed=3, dtypes=["float64"]
    )
    counts = {(row.facet, row.value): row.count for row in kept.coverage if row.op == ""}
    assert counts.get(("redrawn", "edge"), 0) == 0
    left = verify.run_verify(backends_=["reference"], ops=["acosh"], max_programs=40, seed=3, dtypes=["float64"])
    counts = {(row.facet, row.value): row.count for row in left.coverage if row.op == ""}
    assert counts["redrawn", "edge"] > 5
    assert counts["edge", "end of a domain"] > 5  # they are run all the same
    assert any(row.reason == "not finite" and row.inconclusive_count for row in left.rows)
