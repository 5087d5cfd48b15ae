"""Every row of the catalogue has a test that names it, or an error that tells a user that it is not covered."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .catalogue import NOT_COVERED, PENDING, PRIORITIES, PRIORITY_1

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
            # A table says nothing of priorities: they are the catalogue's.
            yield from ((c, PRIORITIES.get(c, 0)) for c in constants if isinstance(c, str) and ROW_ID.fullmatch(c))


def rows_of_all_tests() -> set[tuple[str, int]]:
    return {row for path in sorted(HERE.glob("test_*.py")) for row in marked_rows(path.read_text(encoding="utf-8"))}


def test_the_catalogue_lists_67_rows_of_behaviour_32_kinks_and_11_of_jax() -> None:
    kinks = {row for row in PRIORITY_1 if row.startswith("KP")}
    of_jax = {row for row in PRIORITY_1 if row.startswith("JX")}
    assert (len(PRIORITY_1 - kinks - of_jax), len(kinks), len(of_jax)) == (67, 32, 11)


def test_the_catalogue_lists_248_rows_of_behaviour_109_kinks_and_25_of_jax() -> None:
    sections = Counter(row[:2] for row in PRIORITIES)
    assert (sections.total() - sections["KP"] - sections["JX"], sections["KP"], sections["JX"]) == (248, 109, 25)


def test_every_row_has_a_test_or_an_error_that_tells() -> None:
    tested = {row for row, _ in rows_of_all_tests()}
    assert set(PRIORITIES) - tested - set(NOT_COVERED) == PENDING


def test_a_row_is_tested_or_not_covered_and_never_both() -> None:
    tested = {row for row, _ in rows_of_all_tests()}
    assert not tested & set(NOT_COVERED)


def test_every_row_of_the_mission_is_covered() -> None:
    assert not PRIORITY_1 & set(NOT_COVERED)


def test_each_mark_names_a_row_with_its_priority() -> None:
    assert {(row, priority) for row, priority in rows_of_all_tests() if PRIORITIES.get(row) != priority} == set()


@pytest.mark.parametrize("row", NOT_COVERED)
def test_a_user_of_a_row_that_is_not_covered_is_told(reference: Any, row: str) -> None:
    refusal = NOT_COVERED[row]
    with pytest.raises(refusal.error, match=re.escape(refusal.phrase)):
        exec(refusal.does, {"torch": reference})


def test_a_row_without_a_test_is_noticed() -> None:
    source = "@pytest.mark.catalogue('LF01')\ndef test_x(): ...\n@pytest.mark.catalogue('LF02')\ndef helper(): ...\n"
    assert set(marked_rows(source)) == {("LF01", 1)}


def test_a_table_takes_the_priorities_of_the_catalogue() -> None:
    assert set(marked_rows("ROWS = [kink('KP01'), kink('KP05'), 'no row']")) == {("KP01", 1), ("KP05", 3)}
