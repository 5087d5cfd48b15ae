"""Corpus replay: every minimised case keeps the verdicts that it had, on every engine that is installed."""

from __future__ import annotations

import math

import pytest

from harness import backends
from harness.inference import infer
from harness.oracles.certificate import certify
from suites.corpus_entry import BACKENDS, CLAIMS, Entry, entries, judged

CORPUS = entries()
AVAILABLE = [name for name in BACKENDS if backends.available()[name] is None]


@pytest.mark.parametrize("entry", CORPUS, ids=[e.name for e in CORPUS])
@pytest.mark.parametrize("name", AVAILABLE)
def test_case_keeps_its_verdicts(name: str, entry: Entry) -> None:
    assert judged(entry.case, name) == entry.expected[name], f"{entry.why}\n{entry.case.program}"


@pytest.mark.parametrize("entry", CORPUS, ids=[e.name for e in CORPUS])
def test_entry_is_small_complete_and_not_refuted(entry: Entry) -> None:
    assert entry.why
    assert set(entry.expected) == set(BACKENDS)
    assert all(set(claims) == set(CLAIMS) for claims in entry.expected.values())
    assert len(entry.case.program.instrs) <= 5
    assert max(math.prod(spec.shape) for spec in infer(entry.case.program)) <= 64
    assert certify(entry.case).status != "refuted"


def test_corpus_is_not_empty() -> None:
    assert len(CORPUS) >= 10
