"""Check a user's gradient at arguments that Hypothesis draws and shrinks.

`check_drawn` is what `check_gradients(fn, strategies=...)` calls.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as hypothesis_seed
from hypothesis import strategies as st

from harness.checking import Claim, Report, Undecided, WrongGradient, check_gradients

__all__ = ["check_drawn"]

EXAMPLES = 20


class _Wrong(AssertionError):
    """Tells Hypothesis to shrink."""


def check_drawn(
    fn: Callable[..., Any],
    strategies: Sequence[st.SearchStrategy[Any]],
    *,
    raises: bool,
    budget_seconds: float,
    seed: int,
    **options: Any,
) -> Report:
    """Judge `fn` at drawn arguments; the report is that of the simplest wrong ones, else of the first that were judged.

    Args:
        fn: the function.
        strategies: one an argument; they draw arrays, tensors, numbers, or whatever the function takes.
        raises: as in `check_gradients`.
        budget_seconds: no further example is begun after this time.
        seed: what Hypothesis starts from.
        options: further options of `check_gradients`.

    Raises:
        WrongGradient: a claim is wrong at some arguments.
        Undecided: nothing could be decided at any.
        TypeError: `strategies` is no sequence of strategies.
    """
    drawn = [strategies] if isinstance(strategies, st.SearchStrategy) else list(strategies)
    for i, s in enumerate(drawn):
        if not isinstance(s, st.SearchStrategy):
            raise TypeError(f"strategies[{i}] is {s!r}, want a Hypothesis strategy")
    started = time.monotonic()
    counts = {"drawn": 0, "judged": 0}
    kept: dict[str, Report] = {}

    @hypothesis_seed(seed)
    @settings(
        max_examples=EXAMPLES,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
        print_blob=False,
    )
    @given(st.tuples(*drawn))
    def ask(args: tuple[Any, ...]) -> None:
        if time.monotonic() - started > budget_seconds:
            return
        report = _at(fn, args, seed, budget_seconds, options)
        counts["drawn"] += 1
        counts["judged"] += report.ok
        kind = "wrong" if report.verdict == "wrong" else "ok" if report.ok else "open"
        if kind == "wrong":
            kept[kind] = report
            raise _Wrong
        if kind not in kept or (kind == "ok" and report.verdict == "digits lost"):
            kept[kind] = report

    try:
        ask()
    except _Wrong:
        report = kept["wrong"]
    else:
        report = (
            kept.get("ok") or kept.get("open") or Report(str(fn), "", (Claim("vjp", "inconclusive", "nothing drawn"),))
        )
    note = f"{counts['drawn']} examples drawn, {counts['judged']} judged without a wrong claim"
    report = replace(report, notes=(*report.notes, note), seconds=time.monotonic() - started)
    if raises and report.verdict == "wrong":
        raise WrongGradient(report)
    if raises and report.verdict == "inconclusive":
        raise Undecided(report)
    return report


def _at(
    fn: Callable[..., Any], args: tuple[Any, ...], seed: int, budget_seconds: float, options: Mapping[str, Any]
) -> Report:
    try:
        return check_gradients(
            fn, *args, raises=False, around=False, seed=seed, budget_seconds=budget_seconds, **options
        )
    except TypeError as error:
        if "floating-point tensor with elements" in str(error):  # a size of 0 was drawn
            return Report(str(fn), "", (Claim("vjp", "inconclusive", str(error)),))
        raise
