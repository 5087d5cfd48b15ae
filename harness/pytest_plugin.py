"""The pytest plugin that comes with Adjudge: the fixtures `check_gradients` and `adjudge_check`, and quiet domains.

A user's test needs no import:

    @pytest.mark.check_gradients(budget_seconds=5)  # options for the fixture, if they are wanted
    def test_my_function(check_gradients):
        check_gradients(MyFunction.apply, torch.ones(3))

    def test_my_loss_has_the_right_gradient(adjudge_check):
        adjudge_check(lambda x, w: (x @ w).tanh().sum(), np.ones((4, 3)), np.ones(3), backend="torch")

Importing this module imports neither a framework nor the harness, since pytest does so at every start.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from harness.checking import Report
    from harness.judgement import Verdict

__all__ = ["adjudge_check", "check_gradients"]


def pytest_configure(config: pytest.Config) -> None:
    """Let the reference leave a domain as quietly as PyTorch does, where warnings are errors."""
    config.addinivalue_line("filterwarnings", "ignore::RuntimeWarning:reference_impl")
    config.addinivalue_line("markers", "check_gradients(**options): options of the fixture of that name")


@pytest.fixture
def check_gradients(request: pytest.FixtureRequest) -> Callable[..., Report]:
    """`harness.check_gradients`, with the options of the marker `check_gradients` as defaults.

    A wrong gradient, and one about which nothing could be decided, fails the test with the report as its message.
    """
    marker = request.node.get_closest_marker("check_gradients")
    defaults = dict(marker.kwargs) if marker is not None else {}

    def check(fn: Callable[..., Any], *args: Any, **options: Any) -> Report:
        from harness.checking import CheckFailed
        from harness.checking import check_gradients as judge

        __tracebackhide__ = True
        try:
            return judge(fn, *args, **{**defaults, **options})
        except CheckFailed as failed:
            # Without `from None` pytest would print the report twice: once as the cause of itself.
            raise pytest.fail.Exception(str(failed.report), pytrace=False) from None

    return check


@pytest.fixture(scope="session")
def adjudge_check() -> Callable[..., tuple[Verdict, ...]]:
    """Check a function's value and gradient on one backend against the proved ones.

    The fixture is a function: ``adjudge_check(f, *primals, backend="reference", seed=1)``. `f` takes tensors and is
    written in PyTorch's spelling; it is traced into a program, so that it may branch on shapes and not on values. The
    float primals require grad, their dtype (float64 or float32) is the case's, and cotangents are drawn from `seed`.
    It returns the verdicts, and fails the test if one disagrees or nothing could be decided.
    """
    return _check


def _check(f: Callable[..., Any], *primals: Any, backend: str = "reference", seed: int = 1) -> tuple[Verdict, ...]:
    from dataclasses import replace

    import numpy as np

    from harness import backends
    from harness.examine import examine
    from harness.points import point
    from harness.tracing import trace

    __tracebackhide__ = True
    arrays = tuple(np.asarray(p) for p in primals)
    dtypes = sorted({a.dtype.name for a in arrays if a.dtype.kind == "f"})
    if len(dtypes) != 1 or dtypes[0] not in ("float64", "float32"):
        raise TypeError(f"primals: the float ones have dtypes {dtypes}, want float64 or float32 for all")
    program = trace(f, *arrays)
    case = replace(point(program, seed=seed, dtype=dtypes[0]), primals=arrays)
    verdicts = examine(case, backends.get(backend), seed=seed)
    wrong = [v for v in verdicts if v.kind == "disagree"]
    if wrong:
        pytest.fail("\n".join(f"{v.claim} ({v.aspect}) on {backend}: {v.reason}" for v in wrong))
    if not any(v.elements > v.undecided for v in verdicts):
        pytest.fail(f"nothing could be decided on {backend}: {', '.join(v.reason for v in verdicts)}")
    return verdicts
