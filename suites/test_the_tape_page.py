"""The page that teaches the tape tells the truth: each of its examples runs and prints what it says."""

from __future__ import annotations

import doctest
from pathlib import Path

import reference_impl

PAGE = Path(reference_impl.__file__).parent / "docs" / "the_tape.md"
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def test_the_examples_of_the_page_run() -> None:
    examples = doctest.DocTestParser().get_doctest(_code(), {}, PAGE.name, str(PAGE), 0)
    assert len(examples.examples) > 40
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    report: list[str] = []
    runner.run(examples, out=report.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(report)


def test_a_wrong_example_is_noticed() -> None:
    examples = doctest.DocTestParser().get_doctest(_code().replace("(12.0, 12.0)", "(12.0, 13.0)"), {}, "", "", 0)
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    runner.run(examples, out=lambda text: None)
    assert runner.summarize(verbose=False).failed == 1


def _code() -> str:
    """Return the code blocks of the page, each with an empty line behind it, where an expected output ends."""
    return PAGE.read_text(encoding="utf-8").replace("\n```", "\n\n```")
