"""The page of faults names every case, and tests that exist."""

from __future__ import annotations

import ast
import re

from .pages import ROOT, page, rows

CASES = range(1, 41)
TABLES = ("test_faults.py", "test_resuming.py", "test_sources.py")


def names_of_tests() -> set[str]:
    """The names of all tests of the core."""
    return {
        name for file in (ROOT / "tests").rglob("test_*.py") for name in re.findall(r"def (test_\w+)", file.read_text())
    }


def numbers_in(table: str) -> set[str]:
    """What the names of the cases in the table of a test file begin with."""
    tree = ast.parse((ROOT / "tests" / "transfer" / table).read_text())
    (cases,) = (
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "CASES"
    )
    assert isinstance(cases, ast.Dict)
    return {str(key.value).partition(" ")[0] for key in cases.keys if isinstance(key, ast.Constant)}


def shown_by() -> dict[str, list[str]]:
    """Number to what is named in its row; ``-`` for all rows without one."""
    found: dict[str, list[str]] = {}
    for row in rows(page("faults.md")):
        if row[-1] != "shown by":
            number = row[0] if row[0].isdecimal() else "-"
            found.setdefault(number, []).extend(re.findall(r"`([^`]+)`", row[-1]))
    return found


def test_every_case_stands_on_the_page_with_something_that_shows_it() -> None:
    shown = shown_by()

    assert [number for number in shown if number != "-"] == [str(number) for number in CASES]
    assert all(shown.values())


def test_every_test_that_the_page_names_exists() -> None:
    named = {name for names in shown_by().values() for name in names} - set(TABLES)

    assert named - names_of_tests() == set()


def test_the_page_names_just_the_tables_that_play_a_case() -> None:
    played = {table: numbers_in(table) for table in TABLES}
    named = {table: {number for number, names in shown_by().items() if table in names} for table in TABLES}

    assert named == played
