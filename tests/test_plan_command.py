"""Plans through the command: one machine plans, another carries out, and both have their own place, key and mirror."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field
from standins.civitai import CivitaiStandIn, File, Version
from standins.hub import HubStandIn
from standins.shelf import node, serve_files, write_workflow

from comfywatchman_core.cli import main
from comfywatchman_core.testing import safetensors, sha256

pytest.importorskip("comfywatchman_huggingface.backend")
pytest.importorskip("comfywatchman_civitai.backend")
pytest.importorskip("comfywatchman_directid.backend")

INK, PEN = safetensors("ink", 5000), safetensors("pen", 9000)
KEY = "0123456789abcdef0123456789abcdef"


@define
class Sources:
    """The Hub and the catalogue, as one machine reaches them."""

    hub: Any
    civitai: Any

    def stock(self, ink: bytes = INK, pen: bytes = PEN) -> Any:
        """Put a model into each, the same files under the same ids wherever this is called; returns the repository."""
        repository = self.hub.add_repo("owner/brush", {"d/ink.safetensors": ink})
        version = Version("v1", [File("pen.safetensors", pen)], id=9002)
        self.civitai.add_model(name="Pen", type="LORA", id=9001, versions=[version])
        return repository


@define
class Machine:
    """A place with a memory of its own."""

    root: Path
    sources: Sources
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]
    result: dict[str, Any] = field(factory=dict)

    def run(self, *arguments: str) -> int:
        """Run the command here; the last line that it prints is kept as ``result``."""
        with self.monkeypatch.context() as here:
            here.setenv("COMFYWATCHMAN_STATE_DIR", str(self.root / "state"))
            here.setenv("COMFYWATCHMAN_MODELS_DIR", str(self.root / "models"))
            here.setenv("HF_ENDPOINT", self.sources.hub.url)
            here.setenv("HF_TOKEN", self.sources.hub.token)
            here.setenv("COMFYWATCHMAN_CIVITAI_BASE_URL", self.sources.civitai.url)
            here.setenv("CIVITAI_API_KEY", KEY)
            code = main([*arguments, "--json", "--no-config", "--retries", "0"])
        self.result = json.loads(self.capsys.readouterr().out.splitlines()[-1])
        return code

    @property
    def digests(self) -> dict[str, str]:
        """What lies in the models folder."""
        place = self.root / "models"
        files = (path for path in place.rglob("*") if path.is_file() and not path.name.startswith("."))
        return {str(path.relative_to(place)): sha256(path.read_bytes()) for path in files}

    @property
    def errors(self) -> dict[str, str]:
        return {file["name"]: file["error"]["code"] for file in self.result["files"] if file["error"]}


@pytest.fixture
def sources() -> Iterator[Sources]:
    with HubStandIn() as hub, CivitaiStandIn(keys=(KEY,)) as civitai:
        yield Sources(hub, civitai)


@pytest.fixture
def mirror() -> Iterator[Sources]:
    """The same services at other addresses."""
    with HubStandIn() as hub, CivitaiStandIn(keys=(KEY,)) as civitai:
        yield Sources(hub, civitai)


@pytest.fixture
def first(
    sources: Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Machine:
    return Machine(tmp_path / "first", sources, monkeypatch, capsys)


@pytest.fixture
def second(
    sources: Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Machine:
    return Machine(tmp_path / "second", sources, monkeypatch, capsys)


@pytest.fixture
def workflow(tmp_path: Path) -> str:
    address = "https://huggingface.co/owner/brush/resolve/main/d/ink.safetensors"
    models = [{"name": "ink.safetensors", "directory": "loras", "url": address}]
    ink = {**node("ink.safetensors"), "properties": {"models": models}}
    return str(write_workflow(tmp_path / "team.json", ink, node("pen.safetensors")))


@pytest.fixture
def plan(first: Machine, workflow: str, tmp_path: Path) -> Path:
    """The plan that the first machine made."""
    first.sources.stock()
    path = tmp_path / "models.lock.json"
    assert first.run("plan", workflow, "-o", str(path)) == 0
    return path


WANTED = {"loras/ink.safetensors": sha256(INK), "loras/pen.safetensors": sha256(PEN)}


def test_a_second_tree_gets_the_very_bytes_of_the_first(
    first: Machine, second: Machine, workflow: str, plan: Path
) -> None:
    assert first.run("get", workflow) == 0
    assert second.run("get", "--plan", str(plan)) == 0

    assert second.digests == first.digests == WANTED
    assert {file["verdict"] for file in second.result["files"]} == {"verified"}


def test_the_plan_of_files_that_are_there_is_the_plan_that_fetched_them(
    second: Machine, workflow: str, plan: Path, tmp_path: Path
) -> None:
    second.run("get", "--plan", str(plan))

    assert second.run("plan", workflow, "-o", str(tmp_path / "again.json")) == 0

    pinned = [
        [(one["folder"], one["name"], one["sha256"], one["size"]) for one in json.loads(path.read_text())["models"]]
        for path in (plan, tmp_path / "again.json")
    ]
    assert pinned[0] == pinned[1]


def test_a_plan_is_the_same_whatever_the_order_of_the_workflow_and_the_machine(
    second: Machine, plan: Path, workflow: str, tmp_path: Path
) -> None:
    document = json.loads(Path(workflow).read_text())
    document["nodes"].reverse()
    Path(workflow).write_text(json.dumps(document))

    second.run("plan", workflow, "-o", str(tmp_path / "other.json"))

    assert (tmp_path / "other.json").read_bytes() == plan.read_bytes()


def test_the_order_of_its_rows_does_not_matter(second: Machine, plan: Path) -> None:
    document = json.loads(plan.read_text())
    random.Random(7).shuffle(document["models"])
    for one in document["models"]:
        one["later"] = "a member that this version does not know"
    plan.write_text(json.dumps(document))

    assert second.run("get", "--plan", str(plan)) == 0
    assert second.digests == WANTED


def test_addresses_that_lead_nowhere_by_now_are_asked_again_by_reference(
    second: Machine, mirror: Sources, plan: Path
) -> None:
    mirror.stock()
    dead = second.sources
    before = len(dead.hub.requests), len(dead.civitai.requests)
    second.sources = mirror

    assert second.run("get", "--plan", str(plan)) == 0

    assert second.digests == WANTED
    assert (len(dead.hub.requests), len(dead.civitai.requests)) == before


def test_a_file_that_changed_at_its_source_is_refused_and_nothing_is_written(
    second: Machine, mirror: Sources, plan: Path
) -> None:
    mirror.stock(ink=safetensors("another ink", 5000), pen=safetensors("another pen", 9000))
    second.sources = mirror

    code = second.run("get", "--plan", str(plan))

    assert code != 0
    assert second.digests == {}
    assert set(second.errors) == {"ink.safetensors", "pen.safetensors"}
    assert set(second.errors.values()) <= {"checksum_mismatch", "not_found"}


def test_a_commit_that_the_plan_pins_is_what_comes_though_the_branch_moved_on(
    first: Machine, second: Machine, workflow: str, tmp_path: Path
) -> None:
    repository = first.sources.stock()
    plan = tmp_path / "models.lock.json"
    first.run("plan", workflow, "-o", str(plan))
    repository.commit({"d/ink.safetensors": safetensors("newer ink")})

    assert second.run("get", "--plan", str(plan)) == 0
    assert second.digests == WANTED


def test_bytes_that_were_tampered_with_are_refused(second: Machine, plan: Path) -> None:
    document = json.loads(plan.read_text())
    for one in document["models"]:
        one["sha256"] = "0" * 64
    plan.write_text(json.dumps(document))

    assert second.run("get", "--plan", str(plan)) == 7
    assert second.digests == {}


class TestChecking:
    def test_is_silent_about_a_plan_of_just_these_models(self, first: Machine, workflow: str, plan: Path) -> None:
        assert first.run("plan", "--check", str(plan), workflow) == 0
        assert first.result["problems"] == []

    def test_names_what_came_and_what_went_and_ends_with_8(
        self, first: Machine, workflow: str, plan: Path, tmp_path: Path
    ) -> None:
        write_workflow(tmp_path / "team.json", node("ink.safetensors"), node("quill.safetensors"))

        assert first.run("plan", "--check", str(plan), workflow) == 8
        assert [problem["message"] for problem in first.result["problems"]] == [
            "- loras/pen.safetensors: in the plan, and not needed",
            "+ loras/quill.safetensors: needed, and not in the plan",
        ]

    def test_asks_nobody(self, first: Machine, workflow: str, plan: Path) -> None:
        asked = len(first.sources.hub.requests), len(first.sources.civitai.requests)

        first.run("plan", "--check", str(plan), workflow)

        assert (len(first.sources.hub.requests), len(first.sources.civitai.requests)) == asked


class TestSecrets:
    def test_neither_token_nor_key_nor_place_stands_in_a_plan(self, first: Machine, plan: Path) -> None:
        text = plan.read_text()

        for secret in (first.sources.hub.token, KEY, str(first.root), "?", "127.0.0.1@"):
            assert secret not in text

    @pytest.mark.parametrize("secret", ["?token=s3cr3t", "?X-Amz-Signature=s3cr3t", "#s3cr3t"])
    def test_what_an_address_brings_along_is_left_behind(self, first: Machine, tmp_path: Path, secret: str) -> None:
        workflow = write_workflow(
            tmp_path / "secret.json",
            {
                **node("ink.safetensors"),
                "properties": {
                    "models": [
                        {
                            "name": "ink.safetensors",
                            "directory": "loras",
                            "url": f"https://user:s3cr3t@example.org/ink.safetensors{secret}",
                        }
                    ]
                },
            },
        )

        first.run("plan", str(workflow), "-o", str(tmp_path / "plan.json"), "--no-plugins", "--embed", str(tmp_path))

        assert '"url": "https://example.org/ink.safetensors"' in (tmp_path / "plan.json").read_text()
        assert "s3cr3t" not in (tmp_path / "plan.json").read_text()


class TestAddressesThatWereTyped:
    def test_are_planned_for_the_one_who_typed_them(self, first: Machine) -> None:
        with serve_files() as (files, origin):
            files.by_path["ink.safetensors"] = INK

            assert first.run("plan", f"{origin.url}/ink.safetensors", "--folder", "loras") == 0
            assert [file["status"] for file in first.result["files"]] == ["planned"]

    @pytest.mark.parametrize("scheme", ["http", "https"])
    def test_do_not_get_into_a_plan_where_only_that_word_allows_them(
        self, first: Machine, tmp_path: Path, scheme: str
    ) -> None:
        url = f"{scheme}://127.0.0.1:9/ink.safetensors#sha256={sha256(INK)}"

        code = first.run("plan", url, "--folder", "loras", "-o", str(tmp_path / "plan.json"))

        assert code == 2
        assert "no plan can hold loras/ink.safetensors" in first.result["problems"][0]["message"]
        assert not (tmp_path / "plan.json").exists()

    def test_in_a_plan_of_somebody_else_are_not_asked(self, second: Machine, tmp_path: Path) -> None:
        with serve_files() as (files, origin):
            files.by_path["ink.safetensors"] = INK
            model = {"folder": "loras", "name": "ink.safetensors", "url": f"{origin.url}/ink.safetensors"}
            for backend in ("core", "", "directid", "nobody"):
                document = {"schema": "comfywatchman-plan/1", "models": [{**model, "backend": backend}]}
                (tmp_path / "plan.json").write_text(json.dumps(document))

                assert second.run("get", "--plan", str(tmp_path / "plan.json")) != 0

        assert origin.asked == []
        assert second.digests == {}
