"""From a workflow file to a verified model under its own name, through the core and its engine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from comfywatchman_huggingface.backend import HuggingFaceBackend
from standins.hub import HubStandIn
from standins.hub_repos import lying

from comfywatchman_core import Config, Report, Watchman
from comfywatchman_core.testing import safetensors

MODEL = safetensors("ae", 400_000)


@pytest.fixture(autouse=True)
def endpoint(hub: HubStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", hub.url)


def get(place: Path, *files: tuple[str, str, str | None], what: str | None = None, **settings: Any) -> Report:
    """Fetch what a workflow with these loaders (class, name, address) needs."""
    nodes = [
        {
            "id": number,
            "type": kind,
            "mode": 0,
            "inputs": [],
            "outputs": [],
            "widgets_values": [name],
            "properties": {"models": [{"name": name, "url": url, "directory": "vae"}]} if url else {},
        }
        for number, (kind, name, url) in enumerate(files, start=1)
    ]
    workflow = place / "workflow.json"
    workflow.write_text(json.dumps({"nodes": nodes, "links": [], "version": 0.4}))
    config = Config(models_dir=place / "models", state_dir=place / "state", **settings)
    with Watchman(config, backends={"huggingface": HuggingFaceBackend()}) as watchman:
        return watchman.ensure_models(what or workflow)


def test_a_workflow_that_only_names_its_file_gets_it_verified(hub: HubStandIn, tmp_path: Path) -> None:
    hub.add_repo("Comfy-Org/flux", {"split_files/vae/ae.safetensors": MODEL})

    report = get(tmp_path, ("VAELoader", "ae.safetensors", None))

    (entry,) = report.entries
    assert report.ok, report
    assert entry.path == tmp_path / "models" / "vae" / "ae.safetensors"
    assert entry.path.read_bytes() == MODEL
    assert entry.verification is not None
    assert entry.verification.verdict == "verified"


def test_nothing_of_the_repositorys_folders_and_of_the_clients_cache_comes_along(
    hub: HubStandIn, tmp_path: Path
) -> None:
    hub.add_repo("Comfy-Org/flux", {"split_files/vae/ae.safetensors": MODEL})

    get(tmp_path, ("VAELoader", "ae.safetensors", None))

    found = sorted(path.relative_to(tmp_path / "models") for path in (tmp_path / "models").rglob("*"))
    assert found == [Path("vae"), Path("vae/ae.safetensors")]


@pytest.mark.parametrize("scenario", ["cut", "limited-once", "ignores-range", "relative", "same-host", "no-commit"])
def test_a_server_in_trouble_is_outlasted(hub: HubStandIn, tmp_path: Path, scenario: str) -> None:
    hub.add_repo("Comfy-Org/flux", {"vae/ae.safetensors": MODEL}, scenario=scenario)

    report = get(
        tmp_path,
        ("VAELoader", "ae.safetensors", "https://huggingface.co/Comfy-Org/flux/resolve/main/vae/ae.safetensors"),
    )

    assert report.ok, report.entries[0].error
    assert (tmp_path / "models" / "vae" / "ae.safetensors").read_bytes() == MODEL


@pytest.mark.parametrize("scenario", ["short", "html", "pointer"])
def test_a_server_that_delivers_something_else_leaves_no_file(hub: HubStandIn, tmp_path: Path, scenario: str) -> None:
    hub.add_repo("Comfy-Org/flux", {"vae/ae.safetensors": MODEL}, scenario=scenario)

    report = get(tmp_path, ("VAELoader", "ae.safetensors", None))

    assert not report.ok
    assert not (tmp_path / "models" / "vae" / "ae.safetensors").exists()


def test_a_server_that_lies_about_the_digest_leaves_no_file(hub: HubStandIn, tmp_path: Path) -> None:
    hub.add_repo("Comfy-Org/flux", {"vae/ae.safetensors": lying(MODEL, digest="0" * 64)})

    (entry,) = get(tmp_path, ("VAELoader", "ae.safetensors", None)).entries

    assert entry.error is not None
    assert entry.error.code == "checksum_mismatch"
    assert not (tmp_path / "models" / "vae" / "ae.safetensors").exists()


def test_a_gated_file_is_told_with_its_licence_and_its_steps(hub: HubStandIn, tmp_path: Path) -> None:
    hub.add_repo("Comfy-Org/flux", {"vae/ae.safetensors": MODEL}, gated="auto")

    report = get(tmp_path, what="hf:Comfy-Org/flux/vae/ae.safetensors")

    (entry,) = report.entries
    assert entry.error is not None
    assert (entry.error.code, report.exit_code) == ("gated", 3)
    assert "Accept the licence at" in (entry.error.hint or "")


def test_a_gated_file_arrives_from_an_open_repository_with_the_same_bytes(hub: HubStandIn, tmp_path: Path) -> None:
    hub.add_repo("maker/flux", {"ae.safetensors": MODEL}, gated="auto")
    hub.add_repo("Comfy-Org/repackaged", {"split_files/vae/ae.safetensors": MODEL})

    report = get(
        tmp_path, ("VAELoader", "ae.safetensors", "https://huggingface.co/maker/flux/resolve/main/ae.safetensors")
    )

    assert report.ok, report.entries[0].error
    assert report.entries[0].candidate is not None
    assert report.entries[0].candidate.details["repo"] == "Comfy-Org/repackaged"


def test_a_name_that_stands_for_two_files_is_ambiguous_and_nothing_is_fetched(hub: HubStandIn, tmp_path: Path) -> None:
    hub.add_repo("Comfy-Org/flux", {"ae.safetensors": MODEL})
    hub.add_repo("Kijai/flux", {"ae.safetensors": safetensors("other")})

    report = get(tmp_path, ("VAELoader", "ae.safetensors", None))

    (entry,) = report.entries
    assert entry.error is not None
    assert (entry.error.code, report.exit_code) == ("ambiguous", 4)
    assert len(entry.candidates) == 2
    assert not (tmp_path / "models" / "vae" / "ae.safetensors").exists()
    assert all("range" in asked.headers for asked in hub.cdn_requests)  # their lists of tensors, which decide nothing


def test_a_missing_reference_is_not_found_and_a_dead_endpoint_is_no_such_answer(
    hub: HubStandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add_repo("Comfy-Org/flux", {"ae.safetensors": MODEL})

    missing = get(tmp_path, what="hf:Comfy-Org/flux/none.safetensors")
    monkeypatch.setenv("HF_ENDPOINT", hub.closed_url)
    unasked = get(tmp_path, what="hf:Comfy-Org/flux/none.safetensors")

    assert [report.exit_code for report in (missing, unasked)] == [4, 5]


def test_the_token_reaches_the_endpoint_alone_and_stays_out_of_every_file(
    hub: HubStandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add_repo("maker/flux", {"ae.safetensors": MODEL}, gated="auto")
    monkeypatch.setenv("HF_TOKEN", hub.token)

    report = get(
        tmp_path, ("VAELoader", "ae.safetensors", "https://huggingface.co/maker/flux/resolve/main/ae.safetensors")
    )

    assert report.ok, report.entries[0].error
    assert all(asked.headers.get("authorization") == f"Bearer {hub.token}" for asked in hub.requests)
    assert hub.cdn_requests
    assert not any("authorization" in asked.headers for asked in hub.cdn_requests)
    assert hub.token not in repr(report)
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or hub.token.encode() not in path.read_bytes()
