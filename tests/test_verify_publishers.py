"""The command ``verify`` against both services: what publishers state about files that nobody here knows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import define
from standins.civitai import CivitaiStandIn, File, Version
from standins.hub import HubStandIn

from comfywatchman_core.cli import main
from comfywatchman_core.testing import safetensors, sha256

pytest.importorskip("comfywatchman_huggingface.backend")
pytest.importorskip("comfywatchman_civitai.backend")
pytest.importorskip("comfywatchman_directid.backend")

INK, PEN, OTHER = safetensors("ink", 5000), safetensors("pen", 9000), safetensors("other", 7000)


@define
class Place:
    """Files that were put there by hand, and the services that may know them."""

    models: Path
    hub: Any
    civitai: Any
    capsys: pytest.CaptureFixture[str]

    def put(self, name: str, data: bytes, folder: str = "loras") -> Path:
        path = self.models / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def verify(self, *arguments: str) -> tuple[int, dict[str, tuple[str, str | None]], list[str]]:
        """Run the command: its exit code, condition and witness of each file, and the problems that were told."""
        self.capsys.readouterr()
        code = main(["verify", *arguments, "--models-dir", str(self.models), "--json"])
        lines = [json.loads(line) for line in self.capsys.readouterr().out.splitlines()]
        found = {one["name"]: (one["status"], one["against"]) for one in lines if one["event"] == "verified"}
        return code, found, [problem["about"] for problem in lines[-1]["problems"]]

    @property
    def asked(self) -> tuple[int, int]:
        """Requests to the Hub and to the catalogue so far."""
        return len(self.hub.requests), len(self.civitai.requests)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Place]:
    config = tmp_path / "config.toml"
    config.write_text('[backends.huggingface]\npublishers = ["owner"]\n')
    with HubStandIn() as hub, CivitaiStandIn() as civitai:
        monkeypatch.setenv("COMFYWATCHMAN_CONFIG", str(config))
        monkeypatch.setenv("COMFYWATCHMAN_STATE_DIR", str(tmp_path / "state"))
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("COMFYWATCHMAN_CIVITAI_BASE_URL", civitai.url)
        hub.add_repo("owner/brushes", {"loras/ink.safetensors": INK})
        civitai.add_model(name="Pen", type="LORA", versions=[Version("v1", [File("pen.safetensors", PEN)])])
        yield Place(tmp_path / "models", hub, civitai, capsys)


def test_a_file_is_ok_by_the_word_of_the_service_that_publishes_it(place: Place) -> None:
    place.put("ink.safetensors", INK)
    place.put("pen.safetensors", PEN)

    code, found, problems = place.verify()

    assert (code, problems) == (0, [])
    assert found == {"ink.safetensors": ("ok", "huggingface"), "pen.safetensors": ("ok", "civitai")}


def test_the_catalogue_knows_its_bytes_under_any_name(place: Place) -> None:
    place.put("my own name.safetensors", PEN)

    assert place.verify()[1] == {"my own name.safetensors": ("ok", "civitai")}


def test_other_bytes_under_the_name_of_a_published_file_are_unknown_and_no_failure(place: Place) -> None:
    place.put("ink.safetensors", OTHER)

    code, found, _ = place.verify()

    assert (code, found) == (0, {"ink.safetensors": ("unknown", None)})


def test_nobody_is_asked_again_about_what_they_said(place: Place) -> None:
    place.put("ink.safetensors", INK)
    place.put("pen.safetensors", PEN)
    place.put("own.safetensors", OTHER)
    first = place.verify()
    asked = place.asked

    assert place.verify() == first
    assert place.asked == asked


def test_offline_nobody_is_asked(place: Place) -> None:
    place.put("ink.safetensors", INK)

    assert place.verify("--offline")[1] == {"ink.safetensors": ("unknown", None)}
    assert place.asked == (0, 0)


def test_a_service_that_cannot_be_asked_is_told_and_asked_the_next_time(place: Place) -> None:
    place.put("pen.safetensors", PEN)
    place.civitai.region_blocked = True
    code, found, problems = place.verify()
    assert (code, found, problems) == (0, {"pen.safetensors": ("unknown", None)}, ["civitai"])
    place.civitai.region_blocked = False

    assert place.verify()[1] == {"pen.safetensors": ("ok", "civitai")}


def test_other_bytes_than_the_table_has_are_changed(place: Place, tmp_path: Path) -> None:
    table = tmp_path / "mine.json"
    row = {"name": "ink.safetensors", "folders": ["loras"], "source": "hf:owner/brushes/loras/ink.safetensors"}
    table.write_text(json.dumps({"schema": "comfywatchman-known/1", "models": [{**row, "sha256": sha256(INK)}]}))
    (tmp_path / "config.toml").write_text(f"[backends.directid]\ntables = [{json.dumps(str(table))}]\n")
    place.put("ink.safetensors", OTHER)

    code, found, _ = place.verify("--offline")

    assert (code, found) == (7, {"ink.safetensors": ("changed", "directid")})
    assert place.verify("--offline", "--accept")[0] == 0


def test_a_pointer_of_the_hub_in_the_place_of_a_model_is_corrupt_and_put_aside_only_when_asked(place: Place) -> None:
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256(INK)}\nsize 5000\n".encode()
    path = place.put("ink.safetensors", pointer)

    assert place.verify()[:2] == (7, {"ink.safetensors": ("corrupt", None)})
    assert path.read_bytes() == pointer
    assert place.verify("--quarantine")[0] == 7
    assert not path.exists()
    assert [one.name.startswith("ink.safetensors.bad-") for one in path.parent.iterdir()] == [True]
    assert place.verify()[:2] == (0, {})
