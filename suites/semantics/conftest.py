"""The frameworks that a catalogue test runs on, and the marker that names the catalogue's rows."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from .known_gaps import KNOWN_GAPS

HERE = Path(__file__).parent
MODULES = {"reference": "reference_impl", "torch": "torch"}


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "catalogue(*ids, priority=1): the rows of the catalogue that the test states")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.name in KNOWN_GAPS and item.path.parent == HERE:
            item.add_marker(pytest.mark.xfail(reason=KNOWN_GAPS[item.name], strict=True))


@pytest.fixture(scope="session", params=list(MODULES))
def torch_like(request: pytest.FixtureRequest) -> ModuleType:
    """A module with PyTorch's API: the reference, then PyTorch itself, whose behaviour the claims were measured on."""
    if request.param == "reference":
        return importlib.import_module(MODULES["reference"])
    return pytest.importorskip(MODULES[request.param], reason="PyTorch is not installed: pip install 'adjudge[torch]'")


@pytest.fixture(scope="session")
def reference() -> ModuleType:
    """The reference alone, for what PyTorch does otherwise."""
    return importlib.import_module(MODULES["reference"])


@pytest.fixture(scope="session")
def jax() -> Any:
    return pytest.importorskip("jax", reason="JAX is not installed: pip install 'adjudge[jax]'")


@pytest.fixture
def jax_x64(jax: Any) -> Iterator[Any]:
    """JAX with float64 switched on for the length of one test."""
    with jax.enable_x64(True):
        yield jax
