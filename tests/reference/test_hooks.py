"""The page on the contract: what exists is described, and what is described exists."""

from __future__ import annotations

import inspect
import re

from comfywatchman_core import hooks

from .pages import fields, first_words, page, section


def specified() -> dict[str, list[str]]:
    """Hook → its arguments."""
    return {
        name: list(inspect.signature(function).parameters)[1:]
        for specification in hooks.SPECIFICATIONS
        for name, function in vars(specification).items()
        if hasattr(function, f"{hooks.PROJECT}_spec")
    }


def test_every_hook_is_described_with_its_exact_arguments_and_no_other() -> None:
    described = re.findall(r"^## `(\w+\(.*\))`$", page("hooks.md"), re.MULTILINE)

    assert described == [f"{name}({', '.join(arguments)})" for name, arguments in specified().items()]


def test_every_optional_part_of_a_back_end_is_described_and_no_other() -> None:
    described = re.findall(r"^### `(.+)`$", section("hooks.md", "What a back end may also carry"), re.MULTILINE)

    assert described == re.findall(r"^\s*\* ``(.+?)``", inspect.getdoc(hooks.Backend) or "", re.MULTILINE)


def test_the_context_is_described() -> None:
    assert set(first_words(section("hooks.md", "`Context`"))) == fields(hooks.Context)
