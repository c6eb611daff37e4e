"""Plans and mirrors: a plan is carried out from the mirror alone, and names no mirror."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from standins.hub import HubStandIn

from comfywatchman_core.cli import main

from .conftest import INK, INK_SHA256, Place, Run

Command = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubStandIn]:
    """A Hub that has the file, and the settings of a machine that asks it and no other site."""
    with HubStandIn() as hub:
        hub.add_repo("Comfy-Org/kit", {"loras/ink.safetensors": INK})
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("COMFYWATCHMAN_DISABLE", "directid,civitai,shelf,share")
        monkeypatch.setenv("COMFYWATCHMAN_STATE_DIR", str(tmp_path / "state"))
        yield hub


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    """Run ``comfywatchman`` with ``--json``; returns the exit code and the result line."""

    def command(*arguments: str) -> tuple[int, dict[str, Any]]:
        code = main([*arguments, "--models-dir", str(tmp_path / "models"), "--json"])
        return code, json.loads(capsys.readouterr().out.splitlines()[-1])

    return command


@pytest.fixture
def plan(hub: HubStandIn, filled: Place, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A plan that was made on a machine that has the mirror."""
    monkeypatch.setenv("COMFYWATCHMAN_MIRROR_URL", filled.url)
    assert command("plan", "loras/ink.safetensors", "-o", str(tmp_path / "models.lock.json"))[0] == 0
    hub.requests.clear()
    return tmp_path / "models.lock.json"


def test_a_plan_names_the_source_and_not_the_copy_near_by(plan: Path) -> None:
    (model,) = json.loads(plan.read_text())["models"]

    assert model["backend"] == "huggingface"
    assert model["sha256"] == INK_SHA256
    assert "mirror" not in plan.read_text()


def test_a_file_that_only_the_mirror_has_is_planned_from_there_without_saying_where_it_is(
    filled: Place, models: Path, command: Command, run: Run, hub: HubStandIn, monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:  # fmt: skip
    (models / "loras" / "ours.safetensors").write_bytes(INK + b"")
    run("push", "--models-dir", str(models), at=filled)
    monkeypatch.setenv("COMFYWATCHMAN_MIRROR_URL", filled.url)
    lock = tmp_path / "ours.lock.json"

    command("plan", "loras/ours.safetensors", "-o", str(lock))
    code, result = command("get", "--plan", str(lock))

    (model,) = json.loads(lock.read_text())["models"]
    assert model["url"] == f"mirror:{INK_SHA256}"
    assert filled.url not in lock.read_text()
    assert code == 0
    assert result["files"][0]["backend"] == "mirror"


def test_a_plan_is_carried_out_from_the_mirror_without_its_sources_being_asked(
    plan: Path, hub: HubStandIn, command: Command
) -> None:
    code, result = command("get", "--plan", str(plan))

    assert code == 0
    assert (result["files"][0]["backend"], result["files"][0]["verdict"]) == ("mirror", "verified")
    assert hub.requests == []


@pytest.mark.parametrize("fault", ["empty", "corrupt", "away"])
def test_where_the_mirror_cannot_serve_a_plan_its_sources_do(
    plan: Path, hub: HubStandIn, command: Command, filled: Place, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Path(filled.url) / "sha256" / INK_SHA256[:2] / INK_SHA256
    if fault == "empty":
        (Path(filled.url) / "facts" / INK_SHA256[:2] / f"{INK_SHA256}.json").unlink()
    elif fault == "corrupt":
        place.write_bytes(INK[:-1] + b"?")
    else:
        monkeypatch.setenv("COMFYWATCHMAN_MIRROR_URL", filled.url + "-nowhere")

    code, result = command("get", "--plan", str(plan))

    assert code == 0
    assert (result["files"][0]["backend"], result["files"][0]["sha256"]) == ("huggingface", INK_SHA256)


def test_a_run_that_makes_no_plan_takes_the_copy(
    hub: HubStandIn, filled: Place, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMFYWATCHMAN_MIRROR_URL", filled.url)

    _, result = command("get", "loras/ink.safetensors")

    assert result["files"][0]["backend"] == "mirror"
    assert hub.requests == []


def test_an_address_is_explained_by_its_site_and_its_bytes_come_from_the_mirror(
    hub: HubStandIn, filled: Place, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMFYWATCHMAN_MIRROR_URL", filled.url)

    code, result = command("get", "hf:Comfy-Org/kit/loras/ink.safetensors", "--folder", "loras")

    assert code == 0
    assert result["files"][0]["backend"] == "huggingface"
    assert hub.requests
    assert hub.cdn_requests == []
    assert [one["backend"] for one in result["files"][0]["attempts"] if one["hook"] == "download_artifact"] == [
        "mirror",
        "huggingface",
    ]


def test_what_a_plan_says_of_its_sources_reaches_the_mirror_without_user_query_and_fragment(
    disk: Place, models: Path, run: Run, tmp_path: Path
) -> None:
    """Plans are edited by hand, and a mirror is read by everybody."""
    lock = tmp_path / "models.lock.json"
    source = "https://ada:pass-9c1e@models.example:8443/ink.safetensors?token=tok-4b7d#sig-2f6a"
    model = {
        "folder": "loras", "name": "ink.safetensors", "sha256": INK_SHA256,
        "backend": "site", "reference": source, "url": source,
    }  # fmt: skip
    lock.write_text(json.dumps({"schema": "comfywatchman-plan/1", "models": [model]}))

    code, pushed = run("push", "--plan", str(lock), "--models-dir", str(models), at=disk)
    _, listed = run("list", at=disk)

    assert code == 0
    assert listed[0]["url"] == listed[0]["reference"] == "https://models.example:8443/ink.safetensors"
    stored = [path.read_text() for path in Path(disk.url).rglob("*.json")]
    assert len(stored) == 3  # of the mirror, the digest and the name
    for secret in ("ada", "pass-9c1e", "tok-4b7d", "sig-2f6a"):
        assert secret not in f"{stored}{pushed}{listed}"
