"""The run over what PyTorch's test database says must be refused agrees, and sees a tape that takes everything."""

from __future__ import annotations

from typing import Any

import pytest

import reference_impl
from suites.benchmarks import op_db_errors


def test_bad_inputs_are_refused_in_pytorchs_words(capsys: pytest.CaptureFixture[str]) -> None:
    names = "cat tril gather nn.functional.conv1d nn.functional.max_pool2d maximum linspace reshape movedim cov".split()
    assert op_db_errors.main(names) == 0
    assert "failed" not in capsys.readouterr().out


def test_what_is_taken_or_refused_otherwise_is_seen(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def takes_all(*args: Any, **named: Any) -> None:
        return None

    def gives_up(*args: Any, **named: Any) -> None:
        raise KeyError("no")

    monkeypatch.setattr(reference_impl, "tril", takes_all)
    monkeypatch.setattr(reference_impl, "movedim", gives_up)
    assert op_db_errors.main(["tril", "movedim"]) == 1
    shown = capsys.readouterr().out
    assert "tril: no error, want RuntimeError" in shown
    assert "movedim: KeyError: 'no', want" in shown
