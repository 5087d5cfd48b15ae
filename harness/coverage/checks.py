"""One call of a function, checked: what `check_gradients` says of it, in the words of the table."""

from __future__ import annotations

import importlib
import time
from dataclasses import dataclass
from typing import Any, Literal

from harness import frontends
from harness.checking import Report, check_gradients
from harness.coverage.examples import Example

__all__ = ["Found", "Word", "check", "engine"]

Word = Literal["certified", "cross-checked", "wrong", "not covered"]

_ENGINES = {"torch": "harness.backends.torch_coverage", "jax": "harness.backends.jax_coverage"}


@dataclass(frozen=True)
class Found:
    """What was found about one call.

    Attributes:
        word: "certified": the gradient was proved right; "cross-checked": difference quotients and exact claims agree with
            it; "wrong": a claim is wrong; "not covered": nothing was decided.
        text: what is wrong, or why nothing was decided, or why it was not proved, in a line.
        claim: the claim that is wrong; "" if none is.
        claims: the names of the claims that were found right, beside value and vjp.
        label: the variant of the function.
        elements: numbers of the gradient that were compared.
        digits_lost: the rule is right, the digits are not.
        operators: the framework's operators on the way, if the gradient was proved.
        seconds: how long it took.
    """

    word: Word
    text: str = ""
    claim: str = ""
    claims: tuple[str, ...] = ()
    label: str = ""
    elements: int = 0
    digits_lost: bool = False
    operators: tuple[str, ...] = ()
    seconds: float = 0.0


def engine(name: str) -> Any:
    """The module that lists the functions of "torch" or "jax" and has calls of them.

    Raises:
        ImportError: the framework is not installed.
    """
    return importlib.import_module(_ENGINES[name])


def check(example: Example, *, budget_seconds: float, call_seconds: float, around: bool = True) -> Found:
    """Check one call: at its arguments and around them, or at them alone."""
    started = time.monotonic()
    try:
        report = check_gradients(
            example.fn,
            *example.args,
            kwargs=example.kwargs,
            raises=False,
            budget_seconds=budget_seconds,
            call_seconds=call_seconds,
            around=around,
            only=None if around else ("shape and dtype",),
        )
    except Exception as error:  # of the checker or of the function: neither may cost more than this call
        return Found(
            "not covered", _line(f"{type(error).__name__}: {error}"), label=example.label, seconds=_since(started)
        )
    return _found(report, example, started)


def _found(report: Report, example: Example, started: float) -> Found:
    vjp = report["vjp"]
    wrong = [c for c in report.claims if c.verdict == "wrong"]
    others = tuple(c.name for c in report.claims if c.verdict == "right" and c.name not in ("value", "vjp"))
    opaque = [n for n in report.notes if n.startswith("opaque: ")]
    why = (
        opaque[0].removeprefix("opaque: ").removesuffix("; judged by finite differences, not proved") if opaque else ""
    )
    word: Word
    if vjp.verdict == "wrong" and vjp.text.startswith("backward raised "):
        word, text, wrong = "not covered", f"the framework refuses: {vjp.text.removeprefix('backward raised ')}", []
    elif wrong:
        word, text = "wrong", f"{wrong[0].name}: {wrong[0].text}"
    elif not report.ok:
        word, text = "not covered", vjp.text
    else:
        word, text = ("certified", "") if vjp.proved else ("cross-checked", why)
    operators = _operators(example) if vjp.proved and vjp.verdict in ("right", "digits lost") else ()
    return Found(
        word,
        _line(text),
        claim=wrong[0].name if wrong else "",
        claims=others,
        label=example.label,
        elements=vjp.elements,
        digits_lost=report.verdict == "digits lost",
        operators=operators,
        seconds=_since(started),
    )


def _operators(example: Example) -> tuple[str, ...]:
    """The framework's operators that carry a gradient from the arguments to the results of a call that was proved."""
    subject = frontends.subject(example.fn, example.args, example.kwargs)
    return subject.trace(subject.arrays).operators


def _line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 300 else f"{line[:297]}..."


def _since(started: float) -> float:
    return time.monotonic() - started
