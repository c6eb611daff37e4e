"""The layout: paths that follow from what is known, and documents that are not believed."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from comfywatchman_mirror.layout import (
    LARGEST_DOCUMENT,
    SCHEMA,
    Facts,
    bytes_path,
    facts_path,
    is_marker,
    marker,
    name_path,
    read_facts,
)

SHA = "ab" + "0" * 62
GOOD = {"schema": SCHEMA, "sha256": SHA, "size": 5, "folder": "loras", "name": "SDXL/ink.safetensors"}


def test_a_digest_says_where_its_bytes_and_its_facts_are() -> None:
    assert bytes_path(SHA) == f"sha256/ab/{SHA}"
    assert facts_path(SHA) == f"facts/ab/{SHA}.json"


def test_a_name_says_where_its_facts_are_in_a_way_that_a_shell_can_compute() -> None:
    key = hashlib.sha256(b"loras/ink.safetensors").hexdigest()

    assert name_path("loras", "ink.safetensors", 0) == f"names/{key[:2]}/{key}/0.json"


def test_two_spellings_of_one_accent_are_one_name() -> None:
    assert name_path("loras", "caf\u00e9.safetensors", 0) == name_path("loras", "cafe\u0301.safetensors", 0)


@pytest.mark.parametrize("name", ["../../x", "/etc/passwd", "a" * 5000, "\udcff", "\0"])
def test_no_name_leads_out_of_the_names(name: str) -> None:
    assert len(name_path("loras", name, 0).split("/")) == 4


def test_facts_are_read_as_they_were_written() -> None:
    facts = Facts(sha256=SHA, size=5, folder="loras", name="ink.safetensors", reference="hf:a/b/ink.safetensors")

    assert read_facts(facts.document()) == facts


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("hf:a/b/ink.safetensors@main", "hf:a/b/ink.safetensors@main"),
        ("civitai:1@2", "civitai:1@2"),
        ("urn:air:sdxl:lora:civitai:1@2", "urn:air:sdxl:lora:civitai:1@2"),
        ("https://h.example/ink.safetensors", "https://h.example/ink.safetensors"),
        ("https://u:pw@[::1]:80/x?token=t", "https://[::1]:80/x"),
        (" HTTPS://u@h.example/x#t", "https://h.example/x"),
        ("https://u:p\\@h.example/x", "https://h.example/x"),
        ("s3://key:secret@bucket/x", "s3://bucket/x"),
        ("https:u:pw@h.example/x", ""),  # neither an address nor a reference
        ("https://u:pw@[::1/x", ""),
        ("https://u:pw\u2100.example/x", ""),  # holds a slash, once it is normalised
    ],
)
def test_a_source_is_kept_without_what_may_be_a_secret(written: str, kept: str) -> None:
    facts = read_facts(json.dumps({**GOOD, "reference": written, "url": written}).encode())

    assert facts is not None
    assert (facts.reference, facts.url) == (kept, kept)


def test_what_a_newer_version_adds_is_ignored() -> None:
    facts = read_facts(json.dumps({**GOOD, "mood": "fair"}).encode())

    assert facts is not None
    assert facts.label == "loras/SDXL/ink.safetensors"


@pytest.mark.parametrize(
    "changed",
    [
        {"schema": "comfywatchman-mirror/2"},
        {"sha256": "ab"},
        {"sha256": f"../{SHA}"},
        {"sha256": None},
        {"size": -1},
        {"size": 1 << 60},  # no model: it would fill the disk before a byte came
        {"size": "5"},
        {"size": True},
        {"folder": ""},
        {"folder": "../x"},
        {"name": "../../x.safetensors"},
        {"name": "C:\\x.safetensors"},
        {"name": "con.safetensors"},
        {"name": "a\x1b[2J.safetensors"},
        {"name": "a\\b.safetensors"},  # not as it is stored
        {"name": 5},
        {"reference": "x" * 5000},
        {"url": ["https://example.org"]},
    ],
    ids=str,
)
def test_facts_that_cannot_be_true_are_none(changed: dict[str, Any]) -> None:
    assert read_facts(json.dumps({**GOOD, **changed}).encode()) is None


@pytest.mark.parametrize("document", [b"", b"<html>", b"[]", b"null", b"{", b"[" * 60_000, b"\xff\xfe"])
def test_garbage_is_neither_facts_nor_a_mirror(document: bytes) -> None:
    assert read_facts(document) is None
    assert not is_marker(document)


def test_a_document_that_is_too_large_is_not_read() -> None:
    assert read_facts(json.dumps({**GOOD, "more": "x" * LARGEST_DOCUMENT}).encode()) is None


def test_the_marker_is_recognised() -> None:
    assert is_marker(marker())
