"""The run over PyTorch's own samples agrees where the tape is right, and sees a tape that is wrong."""

from __future__ import annotations

import pytest
import torch

import reference_impl
from suites.benchmarks import op_db_conformance


def test_samples_that_agree_pass(capsys: pytest.CaptureFixture[str]) -> None:
    assert op_db_conformance.main(["cumsum", "quantile", "nn.functional.layer_norm"]) == 0
    assert "3 operators agree, 0 do not, 0 are missing" in capsys.readouterr().out


def test_a_planted_slope_is_seen(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def steep(x: reference_impl.Tensor) -> reference_impl.Tensor:
        y: reference_impl.Tensor = reference_impl.exp(x)
        return y + (x - x.detach()) * 1e-6

    monkeypatch.setitem(op_db_conformance.ADAPTED, "exp", steep)
    assert op_db_conformance.main(["exp"]) == 1
    assert "gradient 0 is off by" in capsys.readouterr().out


def test_what_is_left_out_or_known_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert op_db_conformance.main(["nn.functional.hardsigmoid", "linalg.matrix_norm"]) == 0
    shown = capsys.readouterr().out
    assert "left out: linalg.matrix_norm: " in shown
    assert "known: nn.functional.hardsigmoid: " in shown


def test_the_slope_of_hardsigmoid_is_what_the_table_of_known_differences_says() -> None:
    x = torch.zeros((), dtype=torch.float64, requires_grad=True)
    torch.nn.functional.hardsigmoid(x).backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None
    assert x.grad.item() == torch.tensor(1 / 6, dtype=torch.float32).item()
