"""Values: every engine computes what the program says, to within what its kernels declare."""

from __future__ import annotations

import pytest
from hypothesis import given

from harness import backends
from harness.cases import Case
from harness.examine import examine
from harness.judgement import compare_arrays
from harness.points import point
from harness.programs import Program
from harness.strategies import points, programs
from suites.tally import Tally, share

AVAILABLE = [name for name, reason in backends.available().items() if reason is None]
DTYPES = ("float64", "float32")


@pytest.mark.parametrize("name", [n for n in ("reference", "torch") if n in AVAILABLE])
def test_values_agree_with_the_certificate(name: str) -> None:
    backend, tally = backends.get(name), Tally()

    @given(programs())
    def check(program: Program) -> None:
        for k, dtype in enumerate(DTYPES * 2):
            case = point(program, seed=1 + k, kind="edge" if k == 3 else "random", dtype=dtype)
            tally.add(examine(case, backend)[:1], case)

    check()
    tally.finish(at_least=50)


@pytest.mark.skipif("jax-jit" not in AVAILABLE, reason="JAX is not installed")
def test_values_of_compiled_programs_agree_with_the_certificate() -> None:
    """Compiling is what costs, so few programs, at 16 points each."""
    backend, tally = backends.get("jax-jit"), Tally(most_undecided=0.6)

    @share(0.25)
    @given(programs(max_instrs=6))
    def check(program: Program) -> None:
        for k in range(16):
            case = point(program, seed=1 + k, kind="edge" if k % 4 == 3 else "random", dtype=DTYPES[k % 2])
            tally.add(examine(case, backend)[:1], case)

    check()
    tally.finish(at_least=50)


@pytest.mark.parametrize("name", [n for n in ("reference", "torch") if n in AVAILABLE])
def test_value_does_not_depend_on_the_gradient_being_asked(name: str) -> None:
    """The forward pass under no_grad gives the same bits as the recorded one."""
    backend = backends.get(name)
    compared = 0

    @given(programs().flatmap(points))
    def check(case: Case) -> None:
        nonlocal compared
        recorded, bare = backend.prepare(case)(), backend.value_thunk(case)()
        assert recorded.failure is None
        assert [compare_arrays(a, b) for a, b in zip(recorded.values, bare.values, strict=True)] == [""] * len(
            recorded.values
        )
        compared += sum(v.size for v in recorded.values)

    check()
    assert compared > 0
