"""Every priority 1 row of the catalogue has a test that names it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from .catalogue import PRIORITY_1

HERE = Path(__file__).parent
ROW_ID = re.compile(r"[A-Z]{2}\d{2,3}")


def marked_rows(source: str) -> Iterator[tuple[str, int]]:
    """Yield (row, priority) of every mark on a test function, and of every row of a table of kinks."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            for call in node.decorator_list:
                if isinstance(call, ast.Call) and ast.unparse(call.func) == "pytest.mark.catalogue":
                    priority = next((ast.literal_eval(k.value) for k in call.keywords if k.arg == "priority"), 1)
                    yield from ((ast.literal_eval(a), priority) for a in call.args)
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "ROWS":
            constants = (n.value for n in ast.walk(node.value) if isinstance(n, ast.Constant))
            yield from ((c, 1) for c in constants if isinstance(c, str) and ROW_ID.fullmatch(c))


def rows_of_all_tests() -> set[tuple[str, int]]:
    return {row for path in sorted(HERE.glob("test_*.py")) for row in marked_rows(path.read_text(encoding="utf-8"))}


def test_the_catalogue_lists_67_rows_of_behaviour_32_kinks_and_11_of_jax() -> None:
    kinks = {row for row in PRIORITY_1 if row.startswith("KP")}
    of_jax = {row for row in PRIORITY_1 if row.startswith("JX")}
    assert (len(PRIORITY_1 - kinks - of_jax), len(kinks), len(of_jax)) == (67, 32, 11)


@pytest.mark.parametrize("row", sorted(PRIORITY_1))
def test_the_row_has_a_test(row: str) -> None:
    assert (row, 1) in rows_of_all_tests()


def test_no_mark_names_an_unknown_priority_1_row() -> None:
    assert {row for row, priority in rows_of_all_tests() if priority == 1} <= PRIORITY_1


def test_a_row_without_a_test_is_noticed() -> None:
    source = "@pytest.mark.catalogue('LF01')\ndef test_x(): ...\n@pytest.mark.catalogue('LF02')\ndef helper(): ...\n"
    assert set(marked_rows(source)) == {("LF01", 1)}
