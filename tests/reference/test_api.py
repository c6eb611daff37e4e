"""The page on the library: what exists is described, and what is described exists."""

from __future__ import annotations

import ast
import re

import pytest

import comfywatchman_core as cw
from comfywatchman_core import models, report
from comfywatchman_core.config import Rules
from comfywatchman_core.errors import Failure

from .pages import fields, first_words, page, rows, section


def test_every_public_name_is_described_and_no_other() -> None:
    described = re.findall(r"^### `(\w+)`$", page("api.md"), re.MULTILINE)

    assert sorted(described) == cw.__all__


@pytest.mark.parametrize("name", ["ModelRequest", "Candidate", "Artifact", "Check", "Digest"])
def test_a_value_has_the_fields_that_are_described(name: str) -> None:
    assert set(first_words(section("api.md", f"`{name}`"))) == fields(getattr(cw, name))


def test_a_report_and_its_entries_have_the_fields_that_are_described() -> None:
    whole, of_entry = section("api.md", "`Report`").split("An entry has these:")

    assert set(first_words(whole)) == fields(report.Report)
    described = {row[0].strip("`") for row in rows(of_entry)}
    assert described == fields(report.Entry)
    assert [name for name in fields(Failure) if f"`{name}`" not in of_entry] == []


def test_every_rule_of_a_call_is_described_with_its_default() -> None:
    described = {row[0].strip("`"): row[1].strip("`") for row in rows(section("api.md", "Rules"))}

    assert set(described) == fields(Rules)
    for name, text in described.items():
        value = getattr(Rules(), name)
        assert (cw.Match[text.removeprefix("Match.")] if "Match." in text else ast.literal_eval(text)) == value, name


def test_every_digest_algorithm_is_described() -> None:
    (told,) = (row[1] for row in rows(section("api.md", "`Digest`")) if row[0] == "`algorithm`")

    assert set(re.findall(r"`([\w-]+)`", told)) == set(models._HEX_LENGTHS)
