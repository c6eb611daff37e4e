"""The pages on the command and on how it ends: what exists is described, and what is described exists."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping

import pytest

from comfywatchman_core import report
from comfywatchman_core.cli.parser import make_parser
from comfywatchman_core.errors import ErrorCode

from .pages import first_words, page, rows, section


def commands() -> Mapping[str, argparse.ArgumentParser]:
    (found,) = (one for one in make_parser()._actions if isinstance(one, argparse._SubParsersAction))
    choices: Mapping[str, argparse.ArgumentParser] = found.choices
    return choices


def groups(command: argparse.ArgumentParser) -> dict[str, set[str]]:
    """Title of a group → its options, spelled in every way; ``options`` are the command's own."""
    return {
        str(group.title): {text for action in group._group_actions for text in action.option_strings} - {"-h", "--help"}
        for group in command._action_groups
    }


def documented_commands() -> dict[str, list[str]]:
    return {row[0].strip("`"): row for row in rows(section("cli.md", "Commands"))}


def test_every_command_is_described_and_no_other() -> None:
    assert set(documented_commands()) == set(commands())


@pytest.mark.parametrize("name", commands())
def test_a_command_has_the_groups_of_options_that_are_described(name: str) -> None:
    there = [title for title, options in groups(commands()[name]).items() if options and title != "options"]

    assert [title for title in documented_commands()[name][2].split(", ") if title] == there


@pytest.mark.parametrize("name", commands())
def test_a_command_has_the_options_of_its_own_that_are_described(name: str) -> None:
    described = set(re.findall(r"`(--?[a-z-]+)[^`]*`", documented_commands()[name][3]))

    assert described == groups(commands()[name])["options"]


@pytest.mark.parametrize("title", sorted({title for one in commands().values() for title in groups(one)}))
def test_a_group_has_the_options_that_are_described(title: str) -> None:
    if title in ("positional arguments", "options"):
        pytest.skip("not a group of options that commands share")
    described = {text.split()[0] for text in first_words(section("cli.md", title.capitalize()))}

    for command in commands().values():
        assert groups(command).get(title, described) == described


@pytest.mark.parametrize("option", ["--color", "--min-match", "--format"])
def test_the_choices_of_an_option_are_described(option: str) -> None:
    (row,) = (row for row in rows(page("cli.md")) if any(f"`{option} " in cell for cell in row))
    actions = (action for one in commands().values() for action in one._actions if option in action.option_strings)

    for choice in next(actions).choices or ():
        assert re.search(rf"\b{choice}\b", " ".join(row))


def test_every_exit_code_is_described_and_no_other() -> None:
    described = {row[0]: row[1].strip("`") for row in rows(section("exit-codes.md", "Exit codes")) if row[0].isdigit()}

    assert described == {str(int(code)): code.name for code in report.ExitCode}


def test_every_error_code_is_described_with_the_exit_code_that_it_leads_to() -> None:
    described = {row[0].strip("`"): int(row[1]) for row in rows(section("exit-codes.md", "Error codes"))}

    assert described == {str(code): int(report.EXIT_CODE_OF[code]) for code in ErrorCode}


def test_the_order_among_exit_codes_is_described() -> None:
    *order_of_failures, last = report.PRECEDENCE
    order = ", ".join(str(int(code)) for code in order_of_failures)

    assert last is report.ExitCode.INTERRUPTED

    assert f"the first of these is taken: {order}." in page("exit-codes.md")
