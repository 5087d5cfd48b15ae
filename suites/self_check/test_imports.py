"""Imports point one way: numpy <- reference_impl <- harness <- suites; reports imports harness.records alone.

Frameworks are imported by their own backend files only, and `import harness` and `import reference_impl` need none.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("reference_impl", "harness", "reports")
FILES = sorted(p for package in PACKAGES for p in (ROOT / package).rglob("*.py"))

# What a package may import of its own house, and from outside beyond the standard library.
HOUSE = {
    "reference_impl": {"reference_impl"},
    "harness": {"harness", "reference_impl"},
    "reports": {"reports", "harness"},
}
FOREIGN = {"reference_impl": {"numpy"}}
# The command line puts the parts together: it alone reaches reports, and only when a report is asked for.
COMMAND_LINE = "harness/cli/"

# Who may import a heavy or optional package; the rest of the three packages may not.
ONLY_IN = {
    "torch": ("harness/backends/torch_",),
    "jax": ("harness/backends/jax_",),
    "flint": ("harness/oracles/",),
    "pandas": ("reports/",),
    "matplotlib": ("reports/",),
    "jinja2": ("reports/",),
    "hypothesis": (
        "harness/strategies.py",
        "harness/session_strategies.py",
        "harness/verify.py",
        "harness/power.py",
        "harness/shrinking.py",
        "harness/gradient_strategies.py",
        "harness/pytest_plugin.py",
    ),
    "click": ("harness/cli/", "harness/progress.py"),
    "pytest": ("harness/pytest_plugin.py",),
}
# Not at the top of a module, so that importing it needs no framework.
LAZY = {"torch": "harness/backends/torch_", "jax": "harness/backends/jax_"}
REPORTS_MAY_IMPORT = {"harness.records"}


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """The modules that a file imports, each with whether it does so at the top level (not inside a function)."""
    tree = ast.parse(path.read_text())
    inner = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for node in ast.walk(function)
    }
    typing_only = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test).endswith("TYPE_CHECKING")
        for node in ast.walk(block)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) not in inner
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import hides where it points"
            yield str(node.module), id(node) not in inner
            if node.module == "harness":
                for alias in node.names:
                    yield f"harness.{alias.name}", id(node) not in inner


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_imports_point_one_way(path: Path) -> None:
    package = relative(path).split("/")[0]
    for module, at_top in imports(path):
        top = module.split(".")[0]
        if top == "reports" and relative(path).startswith(COMMAND_LINE):
            assert not at_top, f"{relative(path)} must import {module} in the command that needs it"
        elif top in (*PACKAGES, "suites"):
            assert top in HOUSE[package], f"{package} must not import {module}"
        elif package in FOREIGN and top not in sys.stdlib_module_names:
            assert top in FOREIGN[package], f"{package} must not import {module}"


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_heavy_packages_stay_in_their_rooms(path: Path) -> None:
    for module, _ in imports(path):
        rooms = ONLY_IN.get(module.split(".")[0])
        if rooms is not None:
            assert relative(path).startswith(rooms), f"{relative(path)} imports {module}"


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_frameworks_are_imported_where_they_are_asked_for(path: Path) -> None:
    for module, at_top in imports(path):
        own = LAZY.get(module.split(".")[0])
        if own is not None and at_top:
            assert relative(path).startswith(own), f"{relative(path)} imports {module} when it is itself imported"


@pytest.mark.parametrize("path", [p for p in FILES if relative(p).startswith("reports/")], ids=relative)
def test_reports_know_the_rows_alone(path: Path) -> None:
    for module, _ in imports(path):
        if module.split(".")[0] == "harness" and module != "harness":
            assert module in REPORTS_MAY_IMPORT or module.startswith(tuple(f"{m}." for m in REPORTS_MAY_IMPORT)), module


def test_the_checks_above_saw_the_code() -> None:
    found = {module.split(".")[0] for path in FILES for module, _ in imports(path)}
    assert {"torch", "jax", "flint", "hypothesis", "pandas", "numpy", "reference_impl", "harness"} <= found


BLOCKED = "torch", "jax", "pandas", "flint", "hypothesis", "pyarrow", "matplotlib", "jinja2"
EASY = (
    "reference_impl",
    "harness",
    "harness.backends",
    "harness.backends.reference",
    "harness.programs",
    "harness.judgement",
)


@pytest.mark.parametrize("module", EASY)
def test_module_needs_no_framework(module: str) -> None:
    code = "\n".join(
        [
            "import sys",
            *[f"sys.modules[{name!r}] = None" for name in BLOCKED],
            f"import {module}",
            f"loaded = [n for n in {BLOCKED!r} if sys.modules.get(n) is not None]",
            "assert not loaded, loaded",
        ]
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("module", ["harness.verify", "harness.cli", "harness.records", "harness.bench"])
def test_module_needs_neither_torch_nor_jax_nor_pandas(module: str) -> None:
    code = f"import sys\nfor n in ('torch', 'jax', 'pandas'): sys.modules[n] = None\nimport {module}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.returncode == 0, done.stderr
