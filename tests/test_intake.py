"""What the user named, as requests."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from comfywatchman_core.config import Config
from comfywatchman_core.errors import Cancelled, UsageError
from comfywatchman_core.events import Event, Warned, WorkflowRead
from comfywatchman_core.folders import ModelFolders
from comfywatchman_core.intake import Intake, as_reference, take_in
from comfywatchman_core.models import ModelRequest
from comfywatchman_core.run import model_folders

SHA = "a" * 64


@pytest.fixture
def folders(tmp_path: Path) -> ModelFolders:
    return ModelFolders.for_models_dir(tmp_path / "models")


def prompt(name: str = "ae.safetensors") -> str:
    return json.dumps({"1": {"class_type": "VAELoader", "inputs": {"vae_name": name}}})


def labels(intake: Intake) -> list[str]:
    return [request.label for request in intake.merged()]


class TestWorkflows:
    def test_a_file_is_read(self, folders: ModelFolders, tmp_path: Path) -> None:
        path = tmp_path / "a.json"
        path.write_text(prompt())
        events: list[Event] = []

        intake = take_in([path], folders, emit=events.append)

        assert labels(intake) == ["vae/ae.safetensors"]
        assert events == [WorkflowRead(workflow=str(path), models=1)]

    def test_a_directory_is_searched_and_what_carries_no_workflow_is_passed_over_in_silence(
        self, folders: ModelFolders, tmp_path: Path
    ) -> None:
        place = tmp_path / "workflows"
        (place / "deep").mkdir(parents=True)
        (place / "a.json").write_text(prompt("a.safetensors"))
        (place / "deep" / "b.json").write_text(prompt("b.safetensors"))
        (place / "package.json").write_text('{"name": "not-a-workflow"}')
        (place / "notes.txt").write_text("no")

        intake = take_in([place], folders)

        assert (labels(intake), intake.problems) == (["vae/a.safetensors", "vae/b.safetensors"], [])
        assert intake.workflows == 2

    def test_one_bad_file_is_named_with_its_reason_and_does_not_stop_the_rest(
        self, folders: ModelFolders, tmp_path: Path
    ) -> None:
        (tmp_path / "bad.json").write_text("{ not json")
        (tmp_path / "good.json").write_text(prompt())

        intake = take_in([tmp_path], folders)

        (problem,) = intake.problems
        assert labels(intake) == ["vae/ae.safetensors"]
        assert (problem.about, problem.code) == (str(tmp_path / "bad.json"), "unreadable")
        assert "bad.json" in problem.message

    @pytest.mark.parametrize("text", ["", "{ not json", '{"name": "not-a-workflow"}', "[]"])
    def test_a_file_that_was_named_and_carries_no_workflow_is_a_problem(
        self, folders: ModelFolders, tmp_path: Path, text: str
    ) -> None:
        path = tmp_path / "a.json"
        path.write_text(text)

        assert [problem.code for problem in take_in([path], folders).problems] == ["unreadable"]

    def test_a_link_that_leads_nowhere_is_a_problem_and_no_crash(self, folders: ModelFolders, tmp_path: Path) -> None:
        (tmp_path / "a.json").symlink_to(tmp_path / "nowhere")

        assert [problem.code for problem in take_in([tmp_path / "a.json"], folders).problems] == ["unreadable"]

    def test_standard_input_is_read_as_a_workflow(self, folders: ModelFolders, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(prompt().encode())))

        intake = take_in(["-"], folders)

        assert labels(intake) == ["vae/ae.safetensors"]
        assert intake.requests[0].wanted_by[0].workflow == "-"

    def test_whoever_stops_does_not_wait_for_the_rest(self, folders: ModelFolders, tmp_path: Path) -> None:
        (tmp_path / "a.json").write_text(prompt())

        with pytest.raises(Cancelled):
            take_in([tmp_path], folders, cancelled=lambda: True)


class TestReferences:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("loras/ink.safetensors", ModelRequest(name="ink.safetensors", folder="loras")),
            ("loras\\SDXL\\ink.safetensors", ModelRequest(name="SDXL/ink.safetensors", folder="loras")),
            ("unet/x.gguf", ModelRequest(name="x.gguf", folder="diffusion_models")),
            ("civitai:12@34", ModelRequest(reference="civitai:12@34", explicit=True)),
            ("urn:air:sdxl:lora:civitai:1@2", ModelRequest(reference="urn:air:sdxl:lora:civitai:1@2", explicit=True)),
            ("hf:o/r/a.safetensors@main", ModelRequest(reference="hf:o/r/a.safetensors@main", explicit=True)),
        ],
    )
    def test_each_form_is_told_from_the_others(self, folders: ModelFolders, text: str, expected: ModelRequest) -> None:
        assert as_reference(text, folders) == expected

    def test_an_address_says_a_name_and_may_carry_a_digest(self, folders: ModelFolders) -> None:
        url = "http://nas.local:8080/a%20b.safetensors?download=1"

        request = as_reference(f"{url}#sha256={SHA.upper()}", folders)

        assert request is not None
        assert (request.url, str(request.name), request.sha256) == (url, "a b.safetensors", SHA)
        assert request.explicit

    def test_another_fragment_is_no_digest_and_is_not_sent(self, folders: ModelFolders) -> None:
        request = as_reference("https://h.example/a.safetensors#top", folders)

        assert request is not None
        assert (request.url, request.digests) == ("https://h.example/a.safetensors", ())

    def test_an_address_that_ends_in_no_model_name_leaves_it_to_the_source(self, folders: ModelFolders) -> None:
        request = as_reference("https://h.example/api/download/models/12?type=Model", folders)

        assert request is not None
        assert request.name is None

    @pytest.mark.parametrize(
        "text",
        [
            "https://h.example/a.safetensors#sha256=zzz",
            "https://",
            "https://[broken/a.safetensors",
            "https://h.example/..%2F..%2Fa.safetensors",
            "https://h.example/con.safetensors",
            "loras/../../a.safetensors",
            "loras/a\0.safetensors",
            "nothing.json",
            "nowhere/a.json",
            "custom_nodes/a.safetensors",
            "a.safetensors",
            "",
            "x" * 5000,
            "a\0b",
            "verfiy",
        ],
    )
    def test_what_is_neither_a_file_nor_a_reference_is_a_mistake_of_the_user(
        self, folders: ModelFolders, text: str
    ) -> None:
        with pytest.raises(UsageError) as caught:
            take_in([text], folders)

        assert caught.value.hint
        assert str(caught.value).isprintable()

    def test_an_address_with_a_long_query_is_no_file_name(self, folders: ModelFolders) -> None:
        intake = take_in(["https://h.example/a.safetensors?signature=" + "x" * 2000], folders)

        assert intake.requests[0].url is not None

    def test_a_mistake_shows_no_secret(self, folders: ModelFolders) -> None:
        with pytest.raises(UsageError) as caught:
            take_in(["https://me:s3cr3t@h.example:x/a?token=s3cr3t"], folders)

        assert "s3cr3t" not in f"{caught.value} {caught.value.hint}"


class TestFolder:
    def test_it_is_for_references_that_name_none(self, folders: ModelFolders) -> None:
        intake = take_in(["https://h.example/a.safetensors", "vae/b.safetensors"], folders, folder="unet")

        assert [request.folder for request in intake.requests] == ["diffusion_models", "vae"]

    @pytest.mark.parametrize(
        ("folder", "key"),
        [("VAE", "vae"), ("Unet", "diffusion_models"), ("ipadapter", "ipadapter"), ("my_pack", "my_pack")],
    )
    def test_a_known_key_is_meant_however_its_letters_are_cased(
        self, folders: ModelFolders, folder: str, key: str
    ) -> None:
        """On a disk that tells cases apart, ComfyUI never looks into ``VAE``."""
        named = take_in(["https://h.example/a.safetensors"], folders, folder=folder)

        assert named.requests[0].folder == key
        assert take_in([f"{folder}/a.safetensors"], folders).requests[0].folder == key

    @pytest.mark.parametrize("folder", ["../loras", "/etc", "custom_nodes", "input", "a\0b", "user"])
    def test_one_that_is_none_for_models_is_a_mistake_of_the_user(self, folders: ModelFolders, folder: str) -> None:
        with pytest.raises(UsageError, match=r".") as caught:
            take_in(["https://h.example/a.safetensors"], folders, folder=folder)

        assert "--folder" in str(caught.value.hint)

    @pytest.mark.parametrize("typed", [["https://h.example/a.safetensors"], ["lorras/a.safetensors"]])
    def test_a_folder_that_nothing_knows_is_accepted_and_told_with_the_one_that_is_near(
        self, folders: ModelFolders, typed: list[str]
    ) -> None:
        told: list[Event] = []

        intake = take_in(typed, folders, folder="lorras", emit=told.append)

        assert [request.folder for request in intake.requests] == ["lorras"]
        assert [(problem.code, problem.hint) for problem in intake.problems] == [("folder", "Is loras meant?")]
        assert str(folders.models / "lorras") in intake.problems[0].message
        assert [type(event) for event in told] == [Warned]

    def test_a_folder_that_is_there_already_is_no_slip(self, folders: ModelFolders) -> None:
        (folders.models / "my_pack").mkdir(parents=True)

        assert take_in(["my_pack/a.safetensors"], folders).problems == []

    def test_what_a_workflow_names_is_no_slip_of_the_user(self, folders: ModelFolders, tmp_path: Path) -> None:
        (tmp_path / "w.json").write_text(prompt())

        assert take_in([str(tmp_path / "w.json")], folders, folder="loras").problems == []


class TestName:
    def test_a_reference_gets_the_name_that_the_workflow_asks_for(self, folders: ModelFolders) -> None:
        intake = take_in(["civitai:1@2"], folders, folder="loras", name="styles/wash.safetensors")

        assert labels(intake) == ["loras/styles/wash.safetensors"]

    @pytest.mark.parametrize(
        "named",
        [["civitai:1@2", "civitai:3@4"], ["loras/ink.safetensors"], []],
        ids=["two references", "a name, which is one already", "nothing"],
    )
    def test_it_is_for_one_reference_and_nothing_else(self, folders: ModelFolders, named: list[str]) -> None:
        with pytest.raises(UsageError, match="one reference") as caught:
            take_in(named, folders, name="wash.safetensors")

        assert "--as" in str(caught.value.hint)

    @pytest.mark.parametrize(
        "name", ["../wash.safetensors", "/etc/wash.safetensors", "wash", "wash.exe", "nul.safetensors"]
    )
    def test_one_that_no_model_can_have_is_a_mistake_of_the_user(self, folders: ModelFolders, name: str) -> None:
        with pytest.raises(UsageError, match=r"wash|nul"):
            take_in(["civitai:1@2"], folders, name=name)


class TestPlaces:
    def test_comfyuis_own_folders_are_kept_where_its_models_lie_elsewhere(self, tmp_path: Path) -> None:
        """Both are set in one settings file."""
        base, models = tmp_path / "ComfyUI", tmp_path / "models"
        base.mkdir()
        (base / "extra_model_paths.yaml").write_text(f"share:\n  base_path: {tmp_path}/share\n  loras: loras\n")

        roots = model_folders(Config(comfyui=base, models_dir=models)).roots("loras")

        assert models / "loras" in roots
        assert tmp_path / "share" / "loras" in roots
        assert base / "models" / "loras" not in roots

    @pytest.mark.parametrize("kind", ["nothing", "missing-comfyui", "models-is-a-file"])
    def test_a_place_that_is_none_is_a_mistake_of_the_user(self, tmp_path: Path, kind: str) -> None:
        file = tmp_path / "file"
        file.touch()
        config = {
            "nothing": Config(),
            "missing-comfyui": Config(comfyui=tmp_path / "nowhere"),
            "models-is-a-file": Config(models_dir=file),
        }[kind]

        with pytest.raises(UsageError) as caught:
            model_folders(config)

        assert "--" in str(caught.value.hint)
