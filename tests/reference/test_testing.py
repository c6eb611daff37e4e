"""The page about testing names what there is, and nothing else."""

from __future__ import annotations

import inspect
import re

import pytest

from comfywatchman_core import testing
from comfywatchman_core.testing import BackendContract, fixtures

from .pages import fields, first_words, page, section


def test_every_name_has_a_section_and_every_section_a_name() -> None:
    assert sorted(re.findall(r"^### `(\w+)`$", page("testing.md"), re.MULTILINE)) == sorted(testing.__all__)


@pytest.mark.parametrize("name", testing.__all__)
def test_every_name_is_there_and_says_what_it_is(name: str) -> None:
    assert getattr(testing, name).__doc__


def test_the_attributes_of_the_contract_are_its_annotations() -> None:
    assert set(first_words(section("testing.md", "`BackendContract`"))) == set(BackendContract.__annotations__)


def test_the_fields_of_a_scene_are_those_that_stand_there() -> None:
    assert set(re.findall(r"`([a-z_]+)`", section("testing.md", "`Scene`"))) == fields(testing.Scene)


def test_the_fixtures_are_those_that_stand_there() -> None:
    there = set(re.findall(r"^@pytest.fixture\ndef (\w+)", inspect.getsource(fixtures), re.MULTILINE))

    assert set(first_words(section("testing.md", "Fixtures"))) == there
