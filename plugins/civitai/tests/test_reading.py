"""Answers of every shape that was seen, and of some that nobody has seen yet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from comfywatchman_civitai.reading import read_mini, read_model, read_version
from comfywatchman_civitai.records import Gate, listed

SAMPLES = Path(__file__).resolve().parents[4] / "shared" / "data" / "civitai"
SHA256 = "A599C42A9F4F7494C7F410DBC0FD432CF0242720509E9D52FA41AAC7A88D1B69"


def a_file(**members: Any) -> dict[str, Any]:
    return {"id": 3, "name": "a.safetensors", "type": "Model", **members}


def a_version(*files: Any, **members: Any) -> dict[str, Any]:
    return {"id": 2, "modelId": 1, "name": "v1", "files": list(files), **members}


@pytest.mark.parametrize(
    "version",
    [
        {"id": 2},  # /models/{id} leaves out what is null or empty
        {"id": 2, "files": None, "trainedWords": None, "name": None},
        {"id": 2, "files": []},  # an archived model
        {"id": 2, "files": [None, 7, {"id": None, "name": "x"}, {"id": 3, "name": None}]},
    ],
)
def test_missing_and_null_members_are_nothing(version: dict[str, Any]) -> None:
    model = read_model({"id": 1, "modelVersions": [version]})

    assert model is not None
    assert (model.name, model.type, model.mode) == ("", "Other", "")
    assert [one.files for one in model.versions] == [()]


@pytest.mark.parametrize("document", [None, [], "x", 7, {}, {"id": "x"}, {"id": True}, {"id": -1}, {"id": "0"}])
def test_what_is_no_model_is_none(document: object) -> None:
    assert read_model(document) is None
    assert read_version(document) is None
    assert read_mini(document, version=1, file=None) is None


def test_values_of_tomorrow_stay_the_words_they_are() -> None:
    model = read_model(
        {"id": 1, "type": "HoloModel", "modelVersions": [a_version(a_file(type="Neural", metadata={"fp": "fp2"}))]}
    )

    (found,) = listed([model] if model else [])
    assert (found.model.type, found.file.type, found.file.precision) == ("HoloModel", "Neural", "fp2")


def test_a_version_alone_is_read_as_a_model_with_one_version() -> None:
    model = read_version(a_version(a_file(), model={"name": "Ink", "type": "LORA", "mode": "TakenDown"}))

    assert model is not None
    assert (model.id, model.name, model.type, model.mode) == (1, "Ink", "LORA", "TakenDown")
    assert [version.id for version in model.versions] == [2]


def test_checksums_are_read_in_any_case_and_autov3_by_its_first_twelve_digits() -> None:
    hashes = {"SHA256": SHA256, "AutoV2": SHA256[:10], "CRC32": "bf967a66", "AutoV3": "813EA5FB1C67" + "0" * 52}

    model = read_version(a_version(a_file(hashes=hashes)))

    (found,) = listed([model] if model else [])
    assert {str(digest) for digest in found.file.digests} == {
        f"sha256:{SHA256.lower()}",
        f"autov2:{SHA256[:10].lower()}",
        "crc32:bf967a66",
        "autov3:813ea5fb1c67",
    }


@pytest.mark.parametrize("hashes", [None, {}, [], "x", {"SHA256": None}, {"SHA256": "zz"}, {"SHA256": SHA256[:-1]}])
def test_checksums_that_are_none_are_absent(hashes: object) -> None:
    model = read_version(a_version(a_file(hashes=hashes)))

    (found,) = listed([model] if model else [])
    assert found.file.digests == ()


@pytest.mark.parametrize(
    ("kibibytes", "size"),
    [
        (17.017578125, 17426),
        (768888.859375, 787342192),
        (4, 4096),
        (2082642.47, None),  # rounded by the service: not to be relied on
        (None, None),
        ("many", None),
        (float("nan"), None),
        (-1, None),
        (1e300, None),
    ],
)
def test_a_size_is_told_only_where_it_is_exact(kibibytes: object, size: int | None) -> None:
    model = read_version(a_version(a_file(sizeKB=kibibytes)))

    (found,) = listed([model] if model else [])
    assert found.file.size == size


@pytest.mark.parametrize(
    ("members", "gate"),
    [
        ({}, None),
        ({"paidAccess": None, "earlyAccessDeadline": None}, None),
        ({"paidAccess": {"permanent": True, "endsAt": None}}, Gate(until=None)),
        ({"paidAccess": {"permanent": False, "endsAt": "2027-01-01T00:00:00Z"}}, Gate(until="2027-01-01T00:00:00Z")),
        ({"earlyAccessDeadline": "2027-01-01T00:00:00Z"}, Gate(until="2027-01-01T00:00:00Z")),
        ({"earlyAccessEndsAt": "2027-01-01T00:00:00Z"}, Gate(until="2027-01-01T00:00:00Z")),
        # as it was told in 2023
        ({"earlyAccessTimeFrame": 0, "publishedAt": "2023-11-29T01:28:10.937Z"}, None),
        (
            {"earlyAccessTimeFrame": 3, "publishedAt": "2023-11-29T01:28:10+00:00"},
            Gate(until="2023-12-02T01:28:10+00:00"),
        ),
        ({"earlyAccessTimeFrame": 3}, Gate(until=None)),
        ({"availability": "EarlyAccess"}, Gate(until=None)),
        ({"availability": "Public"}, None),
    ],
)
def test_early_access_is_read_as_it_is_told_and_as_it_was(members: dict[str, Any], gate: Gate | None) -> None:
    model = read_version(a_version(a_file(), **members))

    assert model is not None
    assert model.versions[0].gate == gate


@pytest.mark.parametrize(
    ("printed", "kept"),
    [
        ("https://civitai.com/api/download/models/2?type=VAE", "/api/download/models/2?type=VAE"),
        ("https://undefined/api/download/models/2", "/api/download/models/2"),
        ("https://civitai.com/api/download/models/2?token=5ecre7&fileId=3", "/api/download/models/2?fileId=3"),
        ("https://evil.example/elsewhere/2", ""),
        ("/api/download/models/2/../../x", ""),
        ("https://[bad/api/download/models/2", ""),
        (None, ""),
    ],
)  # fmt: skip
def test_of_a_printed_address_only_the_path_is_kept(printed: object, kept: str) -> None:
    model = read_version(a_version(a_file(downloadUrl=printed)))

    (found,) = listed([model] if model else [])
    assert found.file.printed_url == kept


def test_names_lose_what_a_terminal_would_obey() -> None:
    model = read_model({"id": 1, "name": "\x1b[31mInk\u202e\n", "modelVersions": []})

    assert model is not None
    assert model.name == "[31mInk"


def test_mini_tells_the_uploaded_name_and_which_file_it_is() -> None:
    mini = read_mini(
        {
            "air": "urn:air:sdxl:lycoris:civitai:7@2",
            "fileName": "mine.safetensors",
            "modelName": "Ink",
            "size": 4.0,
            "hashes": {"SHA256": SHA256},
            "downloadUrls": ["https://civitai.com/api/download/models/2?fileId=99"],
        },
        version=2,
        file=None,
    )

    assert mini is not None
    assert mini.uploaded_name == "mine.safetensors"
    found = mini.listed
    assert (found.model.id, found.model.type, found.version.id, found.file.id) == (7, "LoCon", 2, 99)
    assert found.file.sha256 == SHA256.lower()


def test_mini_that_tells_of_another_file_than_asked_tells_nothing() -> None:
    url = "https://civitai.com/api/download/models/2?fileId=3"
    answer = {"fileName": "a.safetensors", "downloadUrls": [url]}

    assert read_mini(answer, version=2, file=3) is not None
    assert read_mini(answer, version=2, file=4) is None


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the samples are not beside this checkout")
def test_real_answers_are_read_whole() -> None:
    read = 0
    for path in sorted(SAMPLES.glob("*.json")):
        document = json.loads(path.read_text("utf-8"))
        for item in document.get("items", [document]):
            model = read_model(item) if "modelVersions" in item else read_version(item)
            assert model is not None, path
            raw = item.get("modelVersions", [item])
            assert len(model.versions) == len(raw)
            for version, source in zip(model.versions, raw, strict=True):
                assert [file.name for file in version.files] == [file["name"] for file in source.get("files") or []]
                assert all(file.sha256 for file in version.files) or "synthetic" in path.name
                read += len(version.files)
    assert read > 10
