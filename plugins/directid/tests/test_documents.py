"""The JSON form of a table: what is read, what is refused, and with which words."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

import jsonschema
import pytest
from comfywatchman_directid.documents import TableError, parse_document, render_document
from comfywatchman_directid.sources import CivitaiFile, HubFile, WebFile

SHA = "ab" * 32
ROW: dict[str, Any] = {"name": "a.safetensors", "folders": ["vae"], "source": "hf:o/r/a.safetensors"}
SCHEMA = json.loads((resources.files("comfywatchman_directid") / "data" / "known_models.schema.json").read_bytes())


def document(*rows: object, **more: object) -> bytes:
    return json.dumps({"schema": "comfywatchman-known/1", "models": list(rows), **more}).encode()


def is_valid(data: bytes) -> bool:
    return bool(jsonschema.Draft202012Validator(SCHEMA).is_valid(json.loads(data)))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("hf:o/r/a.safetensors", HubFile(repository="o/r", path="a.safetensors")),
        ("https://huggingface.co/o/r/blob/main/d/a.safetensors", HubFile(repository="o/r", path="d/a.safetensors")),
        ("civitai:4@5+6", CivitaiFile(model=4, version=5, file=6)),
        ("urn:air:sdxl:lora:civitai:4@5", CivitaiFile(model=4, version=5)),
        ("https://example.org/a.safetensors", WebFile(address="https://example.org/a.safetensors")),
        (
            {"kind": "huggingface", "repository": "o/r", "path": "a.safetensors", "commit": "0" * 40},
            HubFile(repository="o/r", path="a.safetensors", commit="0" * 40),
        ),
        (
            {"kind": "civitai", "version": 5, "wish": {"fp": "fp16", "type": "Model"}},
            CivitaiFile(version=5, wish=(("type", "Model"), ("fp", "fp16"))),
        ),
        ({"kind": "url", "url": "https://example.org/a.pt"}, WebFile(address="https://example.org/a.pt")),
    ],
)
def test_a_source_is_written_as_a_person_or_as_a_program_would(source: object, expected: object) -> None:
    data = document({**ROW, "source": source})

    _, (row,) = parse_document(data, "mine.json")

    assert row.source == expected
    assert is_valid(data)


def test_a_table_that_is_written_is_read_back_equal() -> None:
    rows = [
        {**ROW, "sha256": SHA.upper(), "size": 5, "seen_in": ["me"], "checked": "2026-11-22", "match": "filename"},
        {**ROW, "name": "名.gguf", "source": {"kind": "civitai", "version": 5, "model": 4, "file": 3}},
        {**ROW, "folders": [], "source": "https://example.org/a.safetensors"},
    ]
    version, parsed = parse_document(document(*rows, version="7"), "mine.json")

    written = render_document(parsed, version)

    assert parse_document(written, "again") == (version, parsed)
    assert render_document(parse_document(written, "again")[1], version) == written
    assert is_valid(written)


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("a", "models[0] is not an object"),
        ({"source": "hf:o/r/a"}, "models[0].name is missing"),
        ({**ROW, "name": "vae/a.safetensors"}, "models[0].name is 'vae/a.safetensors'"),
        ({**ROW, "sha-256": SHA}, "models[0] has the unknown key 'sha-256'"),
        ({**ROW, "folders": "vae"}, "models[0] ('a.safetensors').folders is not a list"),
        ({**ROW, "sha256": "zzz"}, "models[0] ('a.safetensors').sha256 is 'zzz', not 64 hexadecimal digits"),
        ({**ROW, "sha256": 5}, ".sha256 is '5'"),
        ({**ROW, "size": -1}, ".size is '-1'"),
        ({**ROW, "size": True}, ".size is 'True'"),
        ({**ROW, "size": 1.5}, ".size is '1.5'"),
        ({**ROW, "size": 1 << 63}, ".size is '9223372036854775808'"),
        ({**ROW, "size": float("nan")}, ".size is 'nan'"),
        ({**ROW, "checked": "yesterday"}, ".checked is 'yesterday'"),
        ({**ROW, "match": "digest"}, ".match is 'digest', not one of filename, source-id"),
        ({**ROW, "source": "somewhere"}, ".source names no single file"),
        ({**ROW, "source": "http://example.org/a.safetensors"}, ".source names no single file"),
        ({**ROW, "source": "file:///etc/passwd"}, ".source names no single file"),
        ({"name": "a.safetensors"}, ".source is neither an address nor an object"),
        ({**ROW, "source": {"kind": "ftp"}}, ".source is neither an address nor an object"),
        ({**ROW, "source": {"kind": ["url"]}}, ".source is neither an address nor an object"),
        ({**ROW, "source": {"kind": "url", "url": "http://x.org/a"}}, ".source.url names no single file"),
        ({**ROW, "source": {"kind": "huggingface", "repository": "o/r"}}, ".source needs repository, path"),
        (
            {**ROW, "source": {"kind": "huggingface", "repository": "o/r", "path": "../x"}},
            ".source is no file in a repository",
        ),
        (
            {**ROW, "source": {"kind": "huggingface", "repository": "o/r", "path": "x", "commit": "main"}},
            ".source.commit is 'main'",
        ),
        ({**ROW, "source": {"kind": "civitai"}}, ".source.version is missing"),
        ({**ROW, "source": {"kind": "civitai", "version": "5"}}, ".source.version is '5'"),
        ({**ROW, "source": {"kind": "civitai", "version": 5, "file": 0}}, ".source.file is '0'"),
        ({**ROW, "source": {"kind": "civitai", "version": 5, "wish": {"color": "red"}}}, "unknown key 'color'"),
        ({**ROW, "name": "..safetensors. "}, "is not a safe file name"),
        ({**ROW, "name": "a\u202etxt.safetensors"}, "is not a safe file name"),
        ({**ROW, "name": "con.safetensors"}, "is not a safe file name"),
        ({**ROW, "folders": ["../custom_nodes"]}, "is not a safe file name"),
    ],
)
def test_a_mistake_is_told_with_the_file_and_the_key(row: object, told: str) -> None:
    with pytest.raises(TableError) as caught:
        parse_document(document(row), "mine.json")

    assert str(caught.value).startswith("mine.json: ")
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b'{"schema": "comfywatchman-known/1",\n "models": [,]}', "line 2, column 13"),
        (b"\xff\xfe\x00", "it is not JSON text"),
        (b"[" * 100_000, "it is not JSON text"),
        (b'{"models": [' + b"1" * 5000 + b"]}", "it is not JSON text"),
        (b"[]", "it is not an object"),
        (b'{"models": [{"name": "a.pt", "name": "b.pt"}]}', "'name' stands twice in one object"),
        (b"{}", "schema is missing"),
        (b'{"schema": "comfywatchman-known/2", "models": []}', "only 'comfywatchman-known/1' is understood"),
        (b'{"schema": "comfywatchman-known/1", "models": {}}', "models is not a list"),
        (b'{"schema": "comfywatchman-known/1"}', "models is not a list"),
        (b'{"schema": "comfywatchman-known/1", "models": [], "extra": 1}', "unknown key 'extra'"),
        (b'{"schema": "comfywatchman-known/1", "models": [], "version": 5}', "version is '5'"),
    ],
)
def test_what_is_no_table_is_told_apart(data: bytes, told: str) -> None:
    with pytest.raises(TableError) as caught:
        parse_document(data, "mine.json")

    assert told in str(caught.value)


@pytest.mark.parametrize(
    "row",
    [
        {"source": "hf:o/r/a"},
        {**ROW, "name": "vae/a"},
        {**ROW, "sha-256": SHA},
        {**ROW, "folders": "vae"},
        {**ROW, "sha256": "zzz"},
        {**ROW, "size": 0},
        {**ROW, "match": "digest"},
        {**ROW, "source": {"kind": "ftp"}},
        {**ROW, "source": {"kind": "civitai", "version": 0}},
        {**ROW, "source": {"kind": "civitai", "version": 5, "wish": {"color": "red"}}},
    ],
)
def test_the_schema_refuses_what_the_program_refuses(row: object) -> None:
    assert not is_valid(document(row))
