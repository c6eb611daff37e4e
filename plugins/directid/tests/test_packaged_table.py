"""Invariants of the table that ships with the package."""

from __future__ import annotations

import collections
import json
import re
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from comfywatchman_directid.documents import parse_document, render_document
from comfywatchman_directid.generic import is_generic
from comfywatchman_directid.rows import KnownModel, name_key
from comfywatchman_directid.sources import HubFile, WebFile, identify

from comfywatchman_core import ModelRequest

DATA = resources.files("comfywatchman_directid") / "data"
TABLE = (DATA / "known_models.json").read_bytes()
VERSION, ROWS = parse_document(TABLE, "known_models.json")
FACTS = Path(__file__).parents[4] / "shared" / "data" / "known" / "known_mit.json"


def test_it_is_valid_by_its_schema() -> None:
    schema = json.loads((DATA / "known_models.schema.json").read_bytes())

    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(json.loads(TABLE))


def test_it_has_a_version_and_at_least_380_names() -> None:
    assert re.fullmatch(r"\d{4}\.\d{1,2}\.\d{1,2}", VERSION)
    assert len({name_key(row.name) for row in ROWS}) >= 380


def test_it_is_written_as_the_program_writes_it() -> None:
    assert render_document(ROWS, VERSION) == TABLE


def test_every_row_says_folder_source_and_who_states_it() -> None:
    for row in ROWS:
        assert row.folders, row.name
        assert row.seen_in, row.name
        assert not isinstance(row.source, WebFile), row.name


def test_every_name_and_folder_can_be_asked_for() -> None:
    for row in ROWS:
        for folder in row.folders:
            assert ModelRequest(name=row.name, folder=folder).label == f"{folder}/{row.name}"


def test_name_and_source_stand_in_one_row_only() -> None:
    counted = collections.Counter((name_key(row.name), row.source.key) for row in ROWS)

    assert [key for key, times in counted.items() if times > 1] == []


def test_one_file_of_a_repository_has_one_digest() -> None:
    digests: dict[tuple[Any, ...], set[str | None]] = {}
    for row in ROWS:
        if isinstance(row.source, HubFile):
            digests.setdefault((*row.source.key, row.source.pinned), set()).add(row.sha256)

    assert [key for key, stated in digests.items() if len(stated) > 1] == []


def test_address_and_reference_of_every_row_lead_back_to_it() -> None:
    for row in ROWS:
        for spelling in (row.source.url, row.source.reference):
            read = identify(spelling)
            assert read is not None, spelling
            assert row.source.accepts(read), spelling


def test_a_renamed_file_competes_with_none_that_has_the_name_itself() -> None:
    by_name: dict[str, list[KnownModel]] = {}
    for row in ROWS:
        by_name.setdefault(name_key(row.name), []).append(row)

    for row in ROWS:
        rightful = [one for one in by_name[name_key(row.name)] if not one.is_renamed and one.source.name]
        if row.is_renamed and rightful and not is_generic(name_key(row.name)):
            assert row.sha256 in {one.sha256 for one in rightful}, row.name


def test_no_name_leaves_out_the_precision_that_the_file_itself_states() -> None:
    precision = re.compile(r"fp4|fp8|fp16|bf16|int8|nf4|scaled|mixed")

    for row in ROWS:
        if row.is_renamed and not is_generic(name_key(row.source.name)):
            stated = set(precision.findall(row.source.name.lower()))
            assert stated <= set(precision.findall(row.name.lower())), row.name


def test_the_one_wrong_declaration_of_the_templates_is_not_in_it() -> None:
    paths = [
        row.source.path
        for row in ROWS
        if name_key(row.name) == "moss_image_sft_int8_convrot.safetensors" and isinstance(row.source, HubFile)
    ]

    assert paths == ["diffusion_models/moss_image_sft_int8_convrot.safetensors"]


@pytest.mark.skipif(not FACTS.exists(), reason="the collected facts are not beside this checkout")
def test_every_digest_that_was_collected_is_known() -> None:
    stated = {row["sha256"] for row in json.loads(FACTS.read_bytes()) if row["sha256"]}

    assert stated - {row.sha256 for row in ROWS} == set()
