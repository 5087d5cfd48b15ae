"""The coverage page lists every function of the frameworks, and says of a few of each kind what a check says now."""

from __future__ import annotations

from pathlib import Path

import pytest

import harness

pytest.importorskip("torch", reason="the page shows PyTorch's operators")
pytest.importorskip("expecttest", reason="PyTorch's database of operators needs it")
pytest.importorskip("jax", reason="the page shows JAX's functions")

from harness.coverage import listed, run, statuses_on

PAGE = Path(harness.__file__).parent / "docs" / "coverage.md"
AGAIN = "write it again: adjudge coverage --page harness/docs/coverage.md"


@pytest.fixture(scope="module")
def functions() -> dict[tuple[str, str], str]:
    return listed(("torch", "jax"))


@pytest.fixture(scope="module")
def page() -> dict[str, str]:
    return statuses_on(PAGE.read_text())


def test_the_page_lists_every_function(functions: dict[tuple[str, str], str], page: dict[str, str]) -> None:
    assert set(page) == {name for _, name in functions}, AGAIN


FEW = {
    "torch": ("exp", "svd", "block_diag", "nn.functional.one_hot"),
    "jax": ("jax.numpy.sin", "jax.numpy.fft.fft", "jax.numpy.unique", "jax.numpy.argmax"),
}


@pytest.mark.parametrize("engine", FEW)
def test_the_page_says_what_a_check_says_now(
    engine: str, functions: dict[tuple[str, str], str], page: dict[str, str]
) -> None:
    asked = [(engine, name, functions[engine, name]) for name in FEW[engine]]
    now = {row.name: row.status for row in run(asked)}
    assert now == {name: page[name] for name in FEW[engine]}, AGAIN
    assert set(now.values()) == {"certified", "cross-checked", "wrong", "not covered"}
