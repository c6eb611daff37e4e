"""directid finds, the source's own back end transfers: the logs of both services say who was asked for what."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import comfywatchman_core as cw
from comfywatchman_core.testing import safetensors, sha256

pytest.importorskip("comfywatchman_huggingface.backend")
pytest.importorskip("comfywatchman_civitai.backend")
pytest.importorskip("standins.hub", reason="the stand-ins are not part of a package")

from standins.civitai import CivitaiStandIn, File, Version
from standins.hub import HubStandIn

INK = safetensors("ink")
KEY = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def hub() -> Iterator[Any]:
    with HubStandIn() as hub:
        yield hub


@pytest.fixture
def civitai() -> Iterator[Any]:
    with CivitaiStandIn(keys=(KEY,)) as civitai:
        yield civitai


@pytest.fixture
def get(
    hub: Any, civitai: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[cw.Report, Path]]:
    """Run the whole program over a workflow with one LoRA, into a tree of its own."""
    from comfywatchman_core.config import BackendTable

    monkeypatch.setenv("HF_TOKEN", hub.token)
    monkeypatch.setenv("CIVITAI_API_KEY", KEY)

    def run(*rows: dict[str, Any], name: str = "ink.safetensors", tree: str = "one") -> tuple[cw.Report, Path]:
        table = tmp_path / f"{tree}.json"
        table.write_text(json.dumps({"schema": "comfywatchman-known/1", "models": list(rows)}))
        workflow = tmp_path / "workflow.json"
        inputs = {"lora_name": name, "strength_model": 1.0, "model": ["2", 0]}
        workflow.write_text(json.dumps({"1": {"class_type": "LoraLoaderModelOnly", "inputs": inputs}}))
        config = cw.Config(
            models_dir=tmp_path / tree,
            state_dir=tmp_path / "state",
            backends=BackendTable(
                settings={
                    "directid": {"tables": [str(table)] if rows else []},
                    "huggingface": {"endpoint": hub.url},
                    "civitai": {"base_url": civitai.url},
                }
            ),
        )
        with cw.Watchman(config) as watchman:
            return watchman.ensure_models(workflow), tmp_path / tree / "loras" / name

    return run


def row(source: object = "hf:o/r/d/ink.safetensors", **more: Any) -> dict[str, Any]:
    return {"name": "ink.safetensors", "folders": ["loras"], "source": source, **more}


def paths(requests: list[Any]) -> set[str]:
    return {asked.path for asked in requests}


def code(report: cw.Report) -> str:
    (entry,) = report.entries
    return str(entry.error.code) if entry.error else "ok"


def test_the_hub_is_asked_for_the_known_file_alone_and_civitai_for_nothing(
    get: Callable[..., tuple[cw.Report, Path]], hub: Any, civitai: Any
) -> None:
    hub.add_repo("o/r", {"d/ink.safetensors": INK, "ink.safetensors": safetensors("other")}, gated="auto")

    report, path = get(row(sha256=sha256(INK)))

    report.raise_if_failed()
    assert path.read_bytes() == INK
    assert civitai.requests == []
    assert hub.counted("api") == 0
    assert all(asked.path.endswith("/d/ink.safetensors") for asked in hub.requests), paths(hub.requests)


def test_the_token_of_the_source_goes_with_the_transfer_and_not_to_its_storage(
    get: Callable[..., tuple[cw.Report, Path]], hub: Any
) -> None:
    hub.add_repo("o/r", {"d/ink.safetensors": INK}, gated="auto")

    report, _ = get(row())

    report.raise_if_failed()
    assert any(asked.headers.get("authorization") == f"Bearer {hub.token}" for asked in hub.requests)
    assert hub.cdn_requests
    assert all("authorization" not in asked.headers for asked in hub.cdn_requests)
    assert hub.token not in repr(report)


def test_a_row_without_a_digest_is_confirmed_by_its_source_and_verified(
    get: Callable[..., tuple[cw.Report, Path]], hub: Any
) -> None:
    hub.add_repo("o/r", {"d/ink.safetensors": INK})

    report, _ = get(row())

    (entry,) = report.entries
    assert entry.verification is not None
    assert entry.verification.verdict == "verified"
    assert entry.backend == "directid"


def test_a_file_that_changed_at_its_source_is_refused_before_it_is_transferred(
    get: Callable[..., tuple[cw.Report, Path]], hub: Any
) -> None:
    hub.add_repo("o/r", {"d/ink.safetensors": safetensors("changed")})

    report, path = get(row(sha256=sha256(INK)))

    assert code(report) == "checksum_mismatch"
    assert not path.exists()
    assert hub.cdn_requests == []


def test_a_pinned_row_gets_its_bytes_although_the_branch_moved_on(
    get: Callable[..., tuple[cw.Report, Path]], hub: Any
) -> None:
    repository = hub.add_repo("o/r", {"d/ink.safetensors": INK})
    (commit,) = repository.commits
    repository.commit({"d/ink.safetensors": safetensors("newer")})
    source = {"kind": "huggingface", "repository": "o/r", "path": "d/ink.safetensors", "commit": commit}

    report, path = get(row(source, sha256=sha256(INK)))

    report.raise_if_failed()
    assert path.read_bytes() == INK


def test_one_name_for_two_files_is_ambiguous_and_nobody_is_asked(
    get: Callable[..., tuple[cw.Report, Path]], hub: Any, civitai: Any
) -> None:
    hub.add_repo("o/r", {"d/ink.safetensors": INK})

    report, path = get(row(sha256=sha256(INK)), row("hf:o/s/ink.safetensors", sha256="1" * 64))

    assert code(report) == "ambiguous"
    assert not path.exists()
    assert hub.cdn_requests == []
    assert civitai.storage_requests == []


def test_sources_whose_bytes_nobody_stated_are_asked_and_found_to_be_mirrors(
    get: Callable[..., tuple[cw.Report, Path]], hub: Any
) -> None:
    hub.add_repo("o/r", {"d/ink.safetensors": INK})
    hub.add_repo("o/s", {"ink.safetensors": INK})

    report, path = get(row(), row("hf:o/s/ink.safetensors"))

    report.raise_if_failed()
    assert path.read_bytes() == INK


def test_sources_whose_bytes_nobody_stated_are_asked_and_found_to_differ(
    get: Callable[..., tuple[cw.Report, Path]], hub: Any
) -> None:
    hub.add_repo("o/r", {"d/ink.safetensors": INK})
    hub.add_repo("o/s", {"ink.safetensors": safetensors("another ink")})

    report, path = get(row(), row("hf:o/s/ink.safetensors"))

    assert code(report) == "ambiguous"
    assert not path.exists()
    assert hub.cdn_requests == []


def test_civitai_transfers_what_the_table_knows_to_be_there_with_its_own_key(
    get: Callable[..., tuple[cw.Report, Path]], hub: Any, civitai: Any
) -> None:
    twin = File("ink.safetensors", safetensors("twin"))
    version = Version("v1", [twin, File("ink.safetensors", INK)], require_auth=True)
    civitai.add_model(name="Ink", type="LORA", versions=[version])
    source = {"kind": "civitai", "version": version.id, "file": version.files[1].id}

    report, path = get(row(source))

    report.raise_if_failed()
    assert path.read_bytes() == INK
    assert hub.requests == []
    assert not [asked for asked in civitai.requests if asked.path == "/api/v1/models"]
    assert all("authorization" not in asked.headers for asked in civitai.storage_requests)


@pytest.mark.parametrize("spelling", ["address", "air"])
def test_a_model_is_added_from_an_address_or_an_air_once_its_service_confirms_it(
    hub: Any,
    civitai: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    spelling: str,
) -> None:
    from comfywatchman_core.cli import main

    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("COMFYWATCHMAN_CIVITAI_BASE_URL", civitai.url)
    monkeypatch.setenv("COMFYWATCHMAN_STATE_DIR", str(tmp_path / "state"))
    hub.add_repo("o/r", {"d/ink.safetensors": INK})
    version = Version("v1", [File("ink.safetensors", INK)])
    model = civitai.add_model(name="Ink", type="LORA", versions=[version])
    known = {
        "address": "https://huggingface.co/o/r/blob/main/d/ink.safetensors",
        "air": f"urn:air:sdxl:lora:civitai:{model.id}@{version.id}",
    }
    unknown = {
        "address": "https://huggingface.co/o/r/blob/main/d/none.safetensors",
        "air": f"urn:air:sdxl:lora:civitai:{model.id}@{version.id + 1000}",
    }

    assert main(["known", "add", unknown[spelling], "--folder", "loras"]) != 0
    assert main(["known", "add", known[spelling], "--folder", "loras"]) == 0
    capsys.readouterr()

    assert main(["known", "list", "--json"]) == 0
    model, result = map(json.loads, capsys.readouterr().out.splitlines())
    assert (model["name"], model["sha256"]) == ("ink.safetensors", sha256(INK))
    assert (result["event"], result["exit_code"]) == ("result", 0)
    assert main(["known", "check"]) == 0


def test_what_one_search_found_is_found_without_a_search_ever_after(
    get: Callable[..., tuple[cw.Report, Path]], civitai: Any
) -> None:
    civitai.add_model(name="Ink", type="LORA", versions=[Version("v1", [File("ink.safetensors", INK)])])
    first, _ = get(tree="one")
    first.raise_if_failed()
    searched = sum(asked.path == "/api/v1/models" for asked in civitai.requests)

    second, path = get(tree="two")

    second.raise_if_failed()
    assert path.read_bytes() == INK
    assert searched > 0
    assert sum(asked.path == "/api/v1/models" for asked in civitai.requests) == searched
    assert [entry.backend for entry in second.entries] == ["directid"]


@pytest.mark.parametrize(
    ("words", "event", "code"),
    [
        (["add", "hf:o/r/d/ink.safetensors", "--folder", "loras"], "known_model", 0),
        (["list"], "known_model", 0),
        (["list", "--all", "vae/*"], "known_model", 0),
        (["check"], "known_check", 0),
        (["check", "--write"], "known_check", 0),
        (["remove", "ink.safetensors"], "known_model", 0),
        (["remove", "none.safetensors"], None, 4),
        (["list", "none.safetensors"], None, 4),
        (["add", "hf:o/r/d/none.safetensors", "--folder", "loras"], None, 4),
        (["add", "https://nobody@example.org/x?token=secret#sha256=1"], None, 4),
        (["add"], None, 2),
        (["burn"], None, 2),
        (["list", "--color", "loud"], None, 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
@pytest.mark.parametrize("place", ["before", "behind"])
def test_every_line_of_the_command_is_of_the_schema_and_the_last_is_the_result(
    hub: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    event: str | None,
    code: int,
    place: str,
) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    from comfywatchman_core.cli import main
    from comfywatchman_core.jsonlines import line_schema

    schema = jsonschema.Draft202012Validator(line_schema())
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("COMFYWATCHMAN_STATE_DIR", str(tmp_path))
    hub.add_repo("o/r", {"d/ink.safetensors": INK})
    if words[0] != "add":
        assert main(["known", "add", "hf:o/r/d/ink.safetensors", "--folder", "loras"]) == 0
        capsys.readouterr()

    try:
        ended = main(["known", "--json", *words] if place == "before" else ["known", *words, "--json"])
    except SystemExit as stop:
        ended = int(stop.code or 0)

    told = capsys.readouterr().out
    lines = [json.loads(line) for line in told.splitlines()]
    for line in lines:
        schema.validate(line)
    assert {line["event"] for line in lines[:-1]} == ({event} if event else set())
    assert (lines[-1]["event"], lines[-1]["exit_code"], ended) == ("result", code, code)
    assert "secret" not in told
