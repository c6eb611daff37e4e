"""A running ComfyUI as the truth about its own nodes, folders and files."""

from __future__ import annotations

from pathlib import Path

import pytest
from standins.comfyui import comfyui
from standins.graphs import graph, node, read

from comfywatchman_core.errors import BackendError
from comfywatchman_core.folders import ModelFolders
from comfywatchman_core.http import ApiClient
from comfywatchman_core.inventory import Inventory
from comfywatchman_core.models import ModelRequest
from comfywatchman_core.report import Status
from comfywatchman_core.server import Installation, ask_server
from comfywatchman_core.testing import Reply, safetensors, serve
from comfywatchman_core.workflow.loaders import packaged


def ask(url: str) -> Installation:
    return ask_server(url, ApiClient())


@pytest.fixture(scope="module", params=["new", "middle", "old"])
def installation(request: pytest.FixtureRequest) -> Installation:
    with comfyui(age=request.param) as origin:
        return ask(origin.url + "/")


def test_a_loader_of_an_unknown_pack_is_known_by_the_files_it_offers(installation: Installation) -> None:
    document = graph(node("SomebodysLoraStack", [2, "a.safetensors", "b.safetensors"]))

    assert [one.label for one in read(document).requests] == ["a.safetensors", "b.safetensors"]
    assert [one.label for one in read(document, loaders=installation.loaders).requests] == [
        "loras/a.safetensors",
        "loras/b.safetensors",
    ]


def test_the_order_of_its_widgets_is_the_servers(installation: Installation) -> None:
    assert installation.classes["SomebodysLoraStack"].widgets == ("count", "first", "second")


def test_where_table_and_server_agree_the_table_stays(installation: Installation) -> None:
    assert installation.classes["CheckpointLoaderSimple"].keys("ckpt_name") == ("checkpoints",)
    assert installation.loaders.node_class("LoraLoader") == packaged().node_class("LoraLoader")


def test_what_the_installation_offers_beats_the_table(installation: Installation) -> None:
    assert installation.classes["UNETLoader"].keys("unet_name") == ("unet_gguf",)


def test_approximations_among_the_choices_do_not_hide_the_files(installation: Installation) -> None:
    document = graph(node("VAELoader", ["taesd"]), node("VAELoader", ["ae.safetensors"]))

    assert {one.folder for one in read(document, loaders=installation.loaders).requests} == {"vae", "vae_approx"}


def test_pictures_and_lists_that_lie_in_no_folder_make_no_loader(installation: Installation) -> None:
    assert "LoadImage" not in installation.classes
    assert "DWPreprocessor" not in installation.classes


def test_keys_of_its_packs_are_known_and_code_is_none(installation: Installation) -> None:
    assert "their_pack" in installation.loaders.folder_keys
    assert "custom_nodes" not in installation.listed


def test_names_are_listed_with_forward_slashes(installation: Installation) -> None:
    assert installation.listed["checkpoints"] == {"ink.safetensors", "sub/photo.ckpt"}


def test_folders_of_another_machine_are_none_of_ours(installation: Installation) -> None:
    assert installation.folders is None


@pytest.mark.parametrize(
    ("folder", "name", "status"),
    [
        ("checkpoints", "sub/photo.ckpt", Status.PRESENT),
        ("checkpoints", "photo.ckpt", Status.ELSEWHERE),
        ("checkpoints", "missing.ckpt", Status.MISSING),
        ("vae", "photo.ckpt", Status.MISSING),
        ("loras", "a", Status.PRESENT),
        ("", "photo.ckpt", Status.ELSEWHERE),
    ],
)
def test_what_another_machine_lists_is_there(
    folder: str, name: str, status: Status, installation: Installation, tmp_path: Path
) -> None:
    inventory = Inventory(ModelFolders.for_models_dir(tmp_path), listed=installation.listed)

    found = inventory.locate(ModelRequest(name=name, folder=folder))

    assert (found.status, found.path) == (status, None)


@pytest.mark.parametrize("age", ["new", "middle"])
def test_folders_of_this_machine_are_used(age: str, tmp_path: Path) -> None:
    for place in ("models/checkpoints", "big/loras", "custom_nodes"):
        (tmp_path / place).mkdir(parents=True)
    (tmp_path / "big" / "loras" / "a.safetensors").write_bytes(safetensors("a"))
    directories = {
        "checkpoints": [str(tmp_path / "models" / "checkpoints")],
        "loras": [str(tmp_path / "models" / "loras"), str(tmp_path / "big" / "loras")],
        "clip": ["relative/is/not/believed"],
        "bad": [str(tmp_path / "custom_nodes" / "x")],
    }

    with comfyui(directories, age=age) as origin:
        folders = ask(origin.url).folders

    assert folders is not None
    assert folders.roots("loras")[1] == tmp_path / "big" / "loras"
    assert folders.roots("text_encoders") == ()
    assert Inventory(folders).locate(ModelRequest(name="a.safetensors", folder="loras")).status is Status.PRESENT
    assert folders.target_root("loras") == tmp_path / "models" / "loras"
    if age == "new":
        assert folders.extensions("loras") == {".safetensors"}
    with pytest.raises(ValueError, match="not a folder for models"):
        folders.target_root("bad")


@pytest.mark.parametrize(
    "reply", [Reply.html("<html>"), Reply.json([1, 2]), Reply.json({}, status=500), Reply.json({}, status=404)]
)
def test_what_is_no_comfyui_is_an_error(reply: Reply) -> None:
    with serve(lambda asked: reply) as origin, pytest.raises(BackendError):
        ask(origin.url)


def test_a_server_that_is_not_there_is_an_error() -> None:
    with serve(lambda asked: Reply.json({})) as origin:
        gone = origin.url

    with pytest.raises(BackendError) as caught:
        ask(gone)

    assert caught.value.failure.message
