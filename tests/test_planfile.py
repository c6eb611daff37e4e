"""Plan files: what is pinned, how it reads, and that carrying one out gives just that."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field
from standins.shelf import Files, Shelf, node, serve_files, write_workflow

from comfywatchman_core import Config, Report, Watchman
from comfywatchman_core.config import Download
from comfywatchman_core.errors import ErrorCode, UsageError
from comfywatchman_core.planfile import SCHEMA, Plan, differences, make_plan, read_plan, write_plan
from comfywatchman_core.report import Status
from comfywatchman_core.testing import Origin, safetensors, sha256

INK, PEN, OTHER = safetensors("ink"), safetensors("pen", 9000), safetensors("other")


@define
class Place:
    """A source, and as many machines as a test wants."""

    root: Path
    files: Files
    origin: Origin
    shelf: Shelf
    _machines: list[str] = field(factory=list)

    def put(self, name: str, data: bytes, **more: Any) -> None:
        self.files.by_path[name] = data
        self.shelf.put(name, data, **more)

    def workflow(self, *names: str) -> Path:
        return write_workflow(self.root / "team.json", *map(node, names))

    def machine(self, name: str) -> Watchman:
        config = Config(
            models_dir=self.root / name, state_dir=self.root / f"{name}-state", download=Download(max_retries=0)
        )
        return Watchman(config, backends={"shelf": self.shelf})

    def plan(self, workflow: Path, machine: str = "first") -> Plan:
        with self.machine(machine) as watchman:
            return make_plan(watchman.plan(workflow, pin_present=True).entries)

    def carry_out(self, plan: Plan, machine: str = "second") -> Report:
        with self.machine(machine) as watchman:
            return watchman.get_plan(plan)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with serve_files() as (files, origin):
        yield Place(tmp_path, files, origin, Shelf(origin.url))


def test_a_plan_written_on_one_machine_gives_the_same_bytes_on_another(place: Place, tmp_path: Path) -> None:
    place.put("ink.safetensors", INK)
    place.put("pen.safetensors", PEN)
    write_plan(place.plan(place.workflow("ink.safetensors", "pen.safetensors")), tmp_path / "plan.json")

    report = place.carry_out(read_plan(tmp_path / "plan.json"))

    assert [entry.status for entry in report.entries] == [Status.DOWNLOADED, Status.DOWNLOADED]
    assert (tmp_path / "second/loras/ink.safetensors").read_bytes() == INK
    assert (tmp_path / "second/loras/pen.safetensors").read_bytes() == PEN


def test_planning_transfers_nothing(place: Place, tmp_path: Path) -> None:
    place.put("ink.safetensors", INK)

    place.plan(place.workflow("ink.safetensors"))

    assert place.origin.asked == []
    assert not (tmp_path / "first").exists()


def test_a_file_that_is_there_is_pinned_to_its_bytes_and_to_a_source_of_them(place: Place, tmp_path: Path) -> None:
    place.put("ink.safetensors", INK)
    (tmp_path / "first/loras").mkdir(parents=True)
    (tmp_path / "first/loras/ink.safetensors").write_bytes(INK)

    (pinned,) = place.plan(place.workflow("ink.safetensors")).files

    assert pinned.sha256 == sha256(INK)
    assert pinned.reference == "shelf:ink.safetensors"


def test_a_file_that_is_there_is_not_pinned_to_a_source_of_other_bytes(place: Place, tmp_path: Path) -> None:
    place.put("ink.safetensors", OTHER)
    (tmp_path / "first/loras").mkdir(parents=True)
    (tmp_path / "first/loras/ink.safetensors").write_bytes(INK)

    (pinned,) = place.plan(place.workflow("ink.safetensors")).files

    assert pinned.sha256 == sha256(INK)
    assert pinned.reference == ""


def test_bytes_that_changed_at_their_source_are_refused(place: Place, tmp_path: Path) -> None:
    place.put("ink.safetensors", INK)
    plan = place.plan(place.workflow("ink.safetensors"))
    place.files.by_path["ink.safetensors"] = OTHER

    (entry,) = place.carry_out(plan).entries

    assert entry.error is not None
    assert entry.error.code is ErrorCode.CHECKSUM_MISMATCH
    assert not (tmp_path / "second/loras/ink.safetensors").exists()


def test_a_source_that_states_other_bytes_by_now_is_refused_before_the_transfer(place: Place) -> None:
    place.put("ink.safetensors", INK)
    plan = place.plan(place.workflow("ink.safetensors"))
    place.shelf.offers.clear()
    place.put("ink.safetensors", OTHER)

    (entry,) = place.carry_out(plan).entries

    assert entry.error is not None
    assert entry.error.code is ErrorCode.CHECKSUM_MISMATCH
    assert place.origin.asked == []


def test_an_address_that_expired_is_asked_of_its_back_end_again_by_reference(place: Place, tmp_path: Path) -> None:
    place.put("ink.safetensors", INK, url=f"{place.origin.url}/old-place")
    plan = place.plan(place.workflow("ink.safetensors"))
    place.shelf.offers.clear()
    place.put("ink.safetensors", INK)

    (entry,) = place.carry_out(plan).entries

    assert entry.status is Status.DOWNLOADED
    assert [asked.path for asked in place.origin.asked] == ["/ink.safetensors"]


def test_carrying_out_a_plan_searches_for_no_name(place: Place) -> None:
    place.put("ink.safetensors", INK)
    plan = place.plan(place.workflow("ink.safetensors"))
    place.shelf.asked.clear()

    place.carry_out(plan)

    assert [asked.reference for asked in place.shelf.asked] == ["shelf:ink.safetensors"]


def test_a_plan_is_stable_sorted_and_free_of_places_and_secrets(place: Place) -> None:
    for name in ("pen.safetensors", "ink.safetensors"):
        place.put(name, safetensors(name), url=f"{place.origin.url}/{name}?token=s3cr3t")

    once = place.plan(place.workflow("pen.safetensors", "ink.safetensors")).text()
    again = place.plan(place.workflow("ink.safetensors", "pen.safetensors"), "other").text()

    assert once == again
    assert [model["name"] for model in json.loads(once)["models"]] == ["ink.safetensors", "pen.safetensors"]
    assert "s3cr3t" not in once
    assert str(place.root) not in once
    assert json.loads(once)["models"][0]["workflows"] == ["team.json"]


def of(*models: object) -> str:
    return json.dumps({"schema": SCHEMA, "models": models})


X = {"folder": "loras", "name": "x.pt"}


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ("{", "not JSON"),
        ("[]", "schema"),
        ("[" * 100_000, "not JSON"),
        ('{"schema": ' + "7" * 5000 + "}", "not JSON"),
        (json.dumps({"schema": "comfywatchman-plan/9", "models": []}), "comfywatchman-plan/9"),
        (json.dumps({"schema": ["\x1b[31m"] * 9999}), "schema"),
        (json.dumps({"schema": SCHEMA, "models": 5}), "models is no list"),
        (json.dumps({"schema": SCHEMA, "models": {"folder": "loras"}}), "models is no list"),
        (json.dumps({"schema": SCHEMA, "models": [0] * 100_001}), "models is no list"),
        (json.dumps({"schema": SCHEMA, "models": [], "pad": " " * (16 << 20)}), "more than 16777216 bytes"),
        (of(X, None), r"models\[1\] is no object"),
        (of({**X, "name": "../x.safetensors"}), "not a safe"),
        (of({**X, "name": "a/../../x.safetensors"}), "not a safe"),
        (of({**X, "name": "C:\\x.safetensors"}), "not a safe"),
        (of({**X, "name": "x\ud800.safetensors"}), "not a safe"),
        (of({**X, "folder": "../loras"}), "not a safe"),
        (of({**X, "name": "x.py"}), "no model file"),
        (of({**X, "name": 5}), r"models\[0\].name is '5'"),
        (of({**X, "folder": {"a": 1}}), r"models\[0\].folder is"),
        (of({"name": "x.pt"}), "folder"),
        (of({"folder": "loras"}), "name"),
        (of({**X, "sha256": "zz"}), "sha256"),
        (of({**X, "sha256": 5}), "sha256 is '5'"),
        (of({**X, "size": -1}), "size is '-1'"),
        (of({**X, "size": True}), "size is 'True'"),
        (of({**X, "size": "12"}), "size is '12'"),
        (of({**X, "size": 1.5}), "size is '1.5'"),
        (of({**X, "size": 1 << 70}), "size is"),
        (of({**X, "size": float("nan")}), "size is 'nan'"),
        (of({**X, "size": float("inf")}), "size is 'inf'"),
        (of({**X, "match": "surely"}), "no such match"),
        (of({**X, "url": ["https://example.org/x"]}), "url is"),
        (of({**X, "url": "https://example.org/" + "x" * 5000}), "url is"),
        (of({**X, "workflows": "a.json"}), "workflows is"),
        (of({**X, "workflows": [1]}), "workflows is"),
        (of(X, {**X, "sha256": "0" * 64}), "stands in it twice"),
        (of(X, {**X, "name": "X.pt"}), "stands in it twice"),
        (of(X).replace('"folder"', '"name": "y.pt", "folder"'), "'name' stands twice in one object"),
    ],
    ids=lambda value: value[:60] if len(value) < 200 else f"{value[:40]}…",
)
def test_a_file_that_is_no_sound_plan_is_refused_with_the_reason(tmp_path: Path, document: str, told: str) -> None:
    (tmp_path / "plan.json").write_text(document)

    with pytest.raises(UsageError, match=told) as caught:
        read_plan(tmp_path / "plan.json")
    assert len(str(caught.value)) < 1000
    assert str(caught.value).isprintable()


def test_what_a_newer_version_wrote_beside_is_ignored(tmp_path: Path) -> None:
    model = {"folder": "loras", "name": "x.safetensors", "colour": "green"}
    (tmp_path / "plan.json").write_text(json.dumps({"schema": SCHEMA, "models": [model], "more": 1}))

    assert [one.name for one in read_plan(tmp_path / "plan.json").files] == ["x.safetensors"]


def test_the_differences_name_what_is_needed_and_what_is_not_any_more(place: Place) -> None:
    place.put("ink.safetensors", INK)
    plan = place.plan(place.workflow("ink.safetensors"))
    with place.machine("first") as watchman:
        same = watchman.scan(place.workflow("ink.safetensors")).entries
        other = watchman.scan(place.workflow("pen.safetensors")).entries

    assert differences(plan, same) == ()
    assert [line.split(":")[0] for line in differences(plan, other)] == [
        "- loras/ink.safetensors",
        "+ loras/pen.safetensors",
    ]


def test_a_plan_that_cannot_be_written_loses_nothing_of_the_old_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        write_plan(Plan(()), tmp_path / "no-such-folder" / "plan.json")
