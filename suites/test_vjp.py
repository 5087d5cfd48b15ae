"""Non-scalar VJPs: any cotangent, however it lies in memory, gives the certified gradient; VJPs are linear."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import backends
from harness.cases import Case
from harness.examine import examine
from harness.judgement import compare_arrays
from harness.oracles.certificate import certify
from harness.points import LAYOUTS, point
from harness.programs import Program
from harness.strategies import cases, programs
from suites.tally import Tally, share

AVAILABLE = [name for name, reason in backends.available().items() if reason is None]
EAGER = [n for n in ("reference", "torch") if n in AVAILABLE]


@pytest.mark.parametrize("name", EAGER)
def test_vjp_of_any_cotangent_equals_the_certificate(name: str) -> None:
    """Layouts are drawn: dense, repeated, expanded, transposed, strided, and None where another output remains."""
    backend, tally = backends.get(name), Tally()

    @given(st.data(), programs())
    def check(data: st.DataObject, program: Program) -> None:
        for k, dtype in enumerate(("float64", "float32", "float64")):
            layouts = [data.draw(st.sampled_from(LAYOUTS)) for _ in program.outputs]
            case = point(program, seed=1 + k, kind="edge" if k == 2 else "random", dtype=dtype, layouts=layouts)
            tally.add(examine(case, backend)[1:], case)

    check()
    tally.finish(at_least=50)


@pytest.mark.skipif("jax-jit" not in AVAILABLE, reason="JAX is not installed")
def test_vjp_of_compiled_programs_equals_the_certificate() -> None:
    # Few programs, each at many points: one that is at a kink everywhere (maximum(x, x)) weighs a lot.
    backend, tally = backends.get("jax-jit"), Tally(most_undecided=0.6)

    @share(0.25)
    @given(programs(max_instrs=6))
    def check(program: Program) -> None:
        for k in range(16):
            case = point(program, seed=1 + k, dtype=("float64", "float32")[k % 2])
            tally.add(examine(case, backend)[1:], case)

    check()
    tally.finish(at_least=50)


@pytest.mark.parametrize("layout", [x for x in LAYOUTS if x not in ("dense", "unused")])
def test_layout_of_the_cotangent_changes_no_bit_of_the_reference(layout: str) -> None:
    """The same numbers, laid out in full and through strides, give the same gradient."""
    reference = backends.get("reference")
    compared = 0

    @share(0.5)
    @given(programs(max_instrs=6))
    def check(program: Program) -> None:
        nonlocal compared
        strided = point(program, seed=4, layouts=[layout] * len(program.outputs))
        dense = replace(strided, cotangents=tuple(None if c is None else c.copy(order="C") for c in strided.cotangents))
        certificate = certify(dense)
        for case in (strided, dense):
            verdict = examine(case, reference, certificate=certificate)[1]
            assert verdict.kind != "disagree", verdict.reason
            compared += verdict.elements - verdict.undecided

    check()
    assert compared > 0


# -- relations that need no truth: exact on the reference where a power of two scales, judged by duality elsewhere


def test_vjp_is_homogeneous_in_the_cotangent() -> None:
    """Twice the cotangent is exactly twice the gradient: scaling by 2 rounds nothing inside the range."""
    reference = backends.get("reference")
    compared = 0

    @share(3.0)
    @given(cases(dtypes=("float64",), kinds=("random",)))
    def check(case: Case) -> None:
        nonlocal compared
        doubled = replace(case, cotangents=tuple(None if c is None else 2.0 * c for c in case.cotangents))
        once, twice = reference.prepare(case)(), reference.prepare(doubled)()
        for a, b in zip(once.grads, twice.grads, strict=True):
            if a is None or b is None:
                assert compare_arrays(a, b) == ""
                continue
            safe = _ordinary(a)
            assert compare_arrays(np.where(safe, 2.0 * a, 0.0), np.where(safe, b, 0.0)) == ""
            compared += int(safe.sum())

    check()
    assert compared > 50


def test_vjp_is_additive_in_the_cotangent() -> None:
    """The VJP of c1 + c2 is the sum of the VJPs, judged on the certificates: the intervals overlap."""
    compared = 0

    @share(1.5)
    @given(programs(max_instrs=8))
    def check(program: Program) -> None:
        nonlocal compared
        first, second = point(program, seed=6), point(program, seed=7)
        second = replace(second, primals=first.primals)
        total = replace(
            first,
            cotangents=tuple(
                None if a is None or b is None else _exact_sum(a, b)
                for a, b in zip(first.cotangents, second.cotangents, strict=True)
            ),
        )
        short = [
            replace(c, cotangents=tuple(None if a is None else _short(a) for a in c.cotangents))
            for c in (first, second)
        ]
        one, two, both = (certify(c) for c in (*short, total))
        if {one.status, two.status, both.status} != {"certified"}:
            return
        for a, b, c in zip(one.grads, two.grads, both.grads, strict=True):
            if a is None or b is None or c is None:
                assert a is b is c is None
                continue
            assert (a + b).overlaps(c).all(), str(program)
            compared += c.size

    check()
    assert compared > 50


def test_duality_of_forward_and_reverse() -> None:
    """<ct, J d> by power series equals <J' ct, d> by the tape: the certificate's second pass, for many directions."""
    checked = 0

    @share(0.5)
    @given(programs(max_instrs=8), st.integers(0, 2**32 - 1))
    def check(program: Program, seed: int) -> None:
        nonlocal checked
        case = point(program, seed=8)
        for k in range(3):
            certificate = certify(case, seed=seed + k)
            assert certificate.status != "refuted", f"{certificate.reason}\n{program}"
            checked += certificate.status == "certified"

    check()
    assert checked > 10


def _ordinary(a: Any) -> Any:
    """Elements whose computation cannot have met the ends of the range."""
    size = np.abs(a)
    return np.isfinite(a) & ((a == 0) | (size > 1e-200)) & (size < 1e200)


def _short(a: Any) -> Any:
    """The array rounded to multiples of 2**-20, so that sums of two are exact."""
    return np.round(a * 2.0**20) / 2.0**20


def _exact_sum(a: Any, b: Any) -> Any:
    return _short(a) + _short(b)
