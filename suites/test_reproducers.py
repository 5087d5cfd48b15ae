"""Every script that is written fails again in a fresh process, and the benchmark of reproducers sees one that does not."""

from __future__ import annotations

from typing import Any

import pytest

from harness import check_gradients
from suites.benchmarks import reproducers
from suites.gradient_zoo import wrong

ZOO = wrong()
# A certified factor, a sign in float32, a kink, a zero, a layout, and functions that close over others.
NAMES = ("factor 1 + 1e-3", "wrong sign in float32 alone", "wrong at ties of a reduction", "wrong at zero only")
NAMES += ("wrong for non-contiguous inputs", "detach leak")


@pytest.mark.parametrize("name", NAMES)
def test_a_script_of_check_gradients_fails_again(name: str) -> None:
    function, args, *_ = ZOO[name]
    script = check_gradients(function, *args, raises=False).script
    assert "put the function here" not in script
    assert reproducers.fails_again(script), script


def test_scripts_that_pass_or_are_no_programs_do_not_count() -> None:
    assert reproducers.fails_again("raise SystemExit('wrong')")
    assert not reproducers.fails_again("print('right')")
    assert not reproducers.fails_again("undefined")
    assert not reproducers.fails_again("raise RuntimeError('view size is not compatible')")


def test_an_exception_counts_where_the_framework_raises() -> None:
    assert reproducers.fails_again("raise RuntimeError('view size is not compatible')", raises=True)
    assert not reproducers.fails_again("undefined", raises=True)
    assert not reproducers.fails_again("print('right')", raises=True)


def test_planted_rules_are_shrunk_to_one_op(capsys: pytest.CaptureFixture[str]) -> None:
    sizes, seconds, unseen = reproducers.planted(3, 120.0)
    assert unseen == 0
    assert len(sizes) == len(seconds) == 3
    assert max(ops for ops, _ in sizes) <= 2
    reproducers.told("planted", sizes)
    assert "planted: 3 reproducers, median 1 ops" in capsys.readouterr().out


def test_a_gradient_whose_sum_is_not_that_of_any_side_of_a_kink_is_wrong() -> None:
    """Of three equal numbers each gets the whole gradient of the maximum: every element lies between the sides."""
    import torch

    class Most(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x.max()

        @staticmethod
        def backward(ctx: Any, ct: Any) -> Any:
            (x,) = ctx.saved_tensors
            return ct * (x == x.max()).to(x.dtype)

    x = torch.tensor([1.0, 2.0, 2.0, 2.0, 0.5], dtype=torch.float64)
    report = check_gradients(Most.apply, x, raises=False, around=False)
    assert report["vjp"].verdict == "wrong"
    assert "have the sum" in report["vjp"].text
    assert reproducers.fails_again(report.script)
    for right in (torch.amax, torch.max, torch.median):
        assert check_gradients(right, x, raises=False, around=False)["vjp"].verdict != "wrong"
