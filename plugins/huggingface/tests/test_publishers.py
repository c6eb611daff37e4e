"""The publishers' files are listed once a day, kept on disk, and asked for again only when that is due."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from comfywatchman_huggingface import publishers
from standins.hub import HubStandIn
from standins.hub_desk import Desk, taken

from comfywatchman_core import BackendError
from comfywatchman_core.testing import Asked, Reply, safetensors, serve, sha256

MODEL = safetensors("ae", 3000)


@pytest.fixture(autouse=True)
def flux(hub: HubStandIn) -> None:
    hub.add_repo("Comfy-Org/flux", {"vae/ae.safetensors": MODEL, "README.md": b"#"})


def lists(hub: HubStandIn) -> int:
    return sum(asked.path == "/api/models" and "author" in asked.query for asked in hub.requests)


def test_a_later_run_uses_the_list_of_an_earlier_one(desk: Desk, hub: HubStandIn) -> None:
    desk.resolve()
    desk.new_run()

    assert taken(desk.resolve()).sha256 == sha256(MODEL)
    assert lists(hub) == 2  # two publishers, once


def test_a_list_is_asked_for_again_when_it_is_too_old(
    desk: Desk, hub: HubStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.resolve()
    now = publishers.time.time()
    monkeypatch.setattr(publishers.PublisherIndex.__init__, "__kwdefaults__", {"now": lambda: now + 25 * 3600})
    hub.add_repo("Comfy-Org/newer", {"vae/newer.safetensors": MODEL})
    desk.new_run()

    assert taken(desk.resolve("newer.safetensors")).sha256 == sha256(MODEL)
    assert lists(hub) == 4


def test_the_settings_say_how_old_is_too_old(desk: Desk, hub: HubStandIn) -> None:
    desk.settings["index_hours"] = 0
    desk.resolve()
    desk.new_run()
    desk.resolve()

    assert lists(hub) == 4


def test_a_list_that_cannot_be_refreshed_is_used_as_it_is_and_that_is_said(desk: Desk, hub: HubStandIn) -> None:
    desk.resolve()
    desk.settings["index_hours"] = 0
    desk.new_run()
    hub.lists = False

    assert taken(desk.resolve()).sha256 == sha256(MODEL)
    assert any("is not fresh" in message for message in desk.warnings)


def test_a_list_that_never_was_there_is_a_search_that_could_not_be_made(desk: Desk, hub: HubStandIn) -> None:
    hub.lists = False

    with pytest.raises(BackendError):
        desk.resolve()


@pytest.mark.parametrize(
    "damage",
    [
        "",
        "{",
        "[]",
        '{"schema": "another/9"}',
        '{"schema": "comfywatchman-huggingface/publisher/1", "repositories": 7}',
    ],
)
def test_a_damaged_list_is_asked_for_again(desk: Desk, hub: HubStandIn, damage: str) -> None:
    desk.resolve()
    for path in desk.folder.rglob("publishers/*.json"):
        path.write_text(damage)
    desk.new_run()

    assert taken(desk.resolve()).sha256 == sha256(MODEL)
    assert lists(hub) == 4


def test_a_list_on_disk_is_the_users_alone_and_holds_model_files_only(desk: Desk) -> None:
    desk.resolve()

    kept = list(desk.folder.rglob("publishers/*.json"))
    assert len(kept) == 2
    assert {stat.S_IMODE(path.stat().st_mode) for path in kept} == {0o600}
    text = "".join(path.read_text() for path in kept)
    assert "ae.safetensors" in text
    assert "README.md" not in text


def test_lists_of_two_endpoints_are_not_mixed_up(desk: Desk, hub: HubStandIn) -> None:
    desk.resolve()

    with HubStandIn() as other:
        desk.endpoint = other.url
        assert desk.resolve() == []


def test_every_page_of_a_long_list_is_read(desk: Desk, hub: HubStandIn) -> None:
    hub.page_size = 3
    for number in range(10):
        hub.add_repo(f"Kijai/model-{number}", {f"vae/part_{number}.safetensors": safetensors(str(number), 10)})

    assert taken(desk.resolve("part_9.safetensors")).sha256 == sha256(safetensors("9", 10))


def test_a_mirrors_next_page_is_asked_of_the_endpoint_whatever_it_says(desk: Desk) -> None:
    pages = {
        "": (
            [{"id": "Comfy-Org/a", "sha": "a" * 40, "siblings": []}],
            '<https://evil.example/api/models?cursor=2>; rel="next"',
        ),
        "2": ([{"id": "Comfy-Org/b", "sha": "b" * 40, "siblings": [{"rfilename": "ae.safetensors"}]}], ""),
    }

    def answer(asked: Asked) -> Reply:
        if asked.path != "/api/models":
            return Reply.json(
                [{"type": "file", "path": "ae.safetensors", "size": 1, "lfs": {"oid": "c" * 64, "size": 1}}]
            )
        body, link = pages[asked.query.get("cursor", [""])[0]]
        return Reply.json(body, **({"Link": link} if link else {}))

    desk.settings["publishers"] = ["Comfy-Org"]
    with serve(answer) as mirror:
        desk.endpoint = mirror.url
        (offer,) = desk.resolve() or []

    assert offer.sha256 == "c" * 64


def test_a_mirror_that_ignores_whose_models_are_asked_for_makes_nobody_trusted(desk: Desk) -> None:
    listed = [{"id": "somebody/flux", "sha": "a" * 40, "siblings": [{"rfilename": "ae.safetensors"}]}]
    with serve(lambda asked: Reply.json(listed)) as mirror:
        desk.endpoint = mirror.url

        assert desk.resolve() == []


def test_a_folder_that_cannot_be_written_to_costs_a_warning_only(desk: Desk, hub: HubStandIn, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file is in the way")

    assert taken(desk.resolve()).sha256 == sha256(MODEL)
    assert any("cannot be kept" in message for message in desk.warnings)


def test_the_schema_of_a_list_is_written_into_it(desk: Desk) -> None:
    desk.resolve()

    schemas = {json.loads(path.read_text())["schema"] for path in desk.folder.rglob("publishers/*.json")}
    assert schemas == {"comfywatchman-huggingface/publisher/1"}
