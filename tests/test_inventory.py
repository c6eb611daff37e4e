"""What the disk says about a request: at its place, elsewhere, broken, or not there."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from comfywatchman_core.folders import ModelFolders
from comfywatchman_core.inventory import Inventory, locate
from comfywatchman_core.models import ModelRequest
from comfywatchman_core.report import Status
from comfywatchman_core.testing import safetensors

links = pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")


@pytest.fixture
def base(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    return tmp_path


def put(base: Path, place: str, data: bytes | None = None) -> Path:
    path = base / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(safetensors(place) if data is None else data)
    return path


def look(base: Path, folder: str, name: str, extra: str = "") -> tuple[Status, Path | None]:
    if extra:
        (base / "extra_model_paths.yaml").write_text(extra)
    found = locate(ModelRequest(name=name, folder=folder), ModelFolders.for_comfyui(base))
    return found.status, found.path


class TestPresent:
    def test_a_file_under_the_exact_name(self, base: Path) -> None:
        path = put(base, "models/loras/sub/ink.safetensors")

        assert look(base, "loras", "sub/ink.safetensors") == (Status.PRESENT, path)

    def test_a_name_with_backslashes(self, base: Path) -> None:
        path = put(base, "models/loras/sub/ink.safetensors")

        assert look(base, "loras", "sub\\ink.safetensors") == (Status.PRESENT, path)

    def test_any_root_of_the_key_will_do(self, base: Path) -> None:
        path = put(base, "models/unet/flux.safetensors")

        assert look(base, "diffusion_models", "flux.safetensors") == (Status.PRESENT, path)
        assert look(base, "unet", "flux.safetensors") == (Status.PRESENT, path)

    def test_folders_of_the_extra_file_count(self, base: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
        other = tmp_path_factory.mktemp("other")
        path = put(other, "VAE/ae.safetensors")

        assert look(base, "vae", "ae.safetensors", f"a:\n  base_path: {other}\n  vae: VAE\n") == (Status.PRESENT, path)

    def test_what_comfyui_saved_itself_counts(self, base: Path) -> None:
        path = put(base, "output/checkpoints/merged.safetensors")

        assert look(base, "checkpoints", "merged.safetensors") == (Status.PRESENT, path)

    @links
    def test_links_are_followed(self, base: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
        other = tmp_path_factory.mktemp("other")
        put(other, "ink.safetensors")
        (base / "models" / "loras").symlink_to(other)

        assert look(base, "loras", "ink.safetensors")[0] is Status.PRESENT

    @pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".bin"])
    def test_an_embedding_without_a_suffix_in_any_sub_folder(self, suffix: str, base: Path) -> None:
        path = put(base, f"models/embeddings/deep/sub/neg{suffix}", safetensors("x") if suffix[1] == "s" else b"\x80\2")

        assert look(base, "embeddings", "neg") == (Status.PRESENT, path)

    def test_safetensors_are_tried_before_the_other_suffixes(self, base: Path) -> None:
        put(base, "models/embeddings/neg.pt", b"\x80\2")
        path = put(base, "models/embeddings/neg.safetensors")

        assert look(base, "embeddings", "neg") == (Status.PRESENT, path)

    def test_a_lora_that_is_called_without_its_suffix(self, base: Path) -> None:
        path = put(base, "models/loras/sub/ink_v1.5.safetensors")

        assert look(base, "loras", "ink_v1.5") == (Status.PRESENT, path)

    def test_one_half_of_an_approximation(self, base: Path) -> None:
        path = put(base, "models/vae_approx/taesd_encoder.pth", b"\x80\2")

        assert look(base, "vae_approx", "taesd_encoder") == (Status.PRESENT, path)
        assert look(base, "vae_approx", "taesd_decoder")[0] is Status.MISSING

    def test_a_gguf_beside_the_plain_files(self, base: Path) -> None:
        path = put(base, "models/unet/q4.gguf", b"GGUF\3\0\0\0" + b"\0" * 16)

        assert look(base, "unet_gguf", "q4.gguf") == (Status.PRESENT, path)


class TestElsewhere:
    @pytest.mark.parametrize(
        ("there", "asked"),
        [
            ("models/loras/SDXL/ink.safetensors", "ink.safetensors"),
            ("models/loras/ink.safetensors", "SDXL/ink.safetensors"),
            ("models/loras/Ink.safetensors", "ink.SAFETENSORS"),
            ("models/loras/gro\u0308ße.safetensors", "gr\u00f6ße.safetensors"),
        ],
        ids=["deeper", "higher", "case", "normal form"],
    )
    def test_the_same_name_at_another_place_of_the_folder(self, there: str, asked: str, base: Path) -> None:
        path = put(base, there)

        assert look(base, "loras", asked) == (Status.ELSEWHERE, path)

    @pytest.mark.skipif(os.name == "nt", reason="a backslash is no character of a name there")
    def test_a_file_whose_name_holds_a_backslash(self, base: Path) -> None:
        path = put(base, "models/loras/SDXL\\ink.safetensors")

        assert look(base, "loras", "SDXL/ink.safetensors") == (Status.ELSEWHERE, path)

    def test_a_broken_file_elsewhere_is_no_help(self, base: Path) -> None:
        put(base, "models/loras/sub/ink.safetensors", b"")

        assert look(base, "loras", "ink.safetensors") == (Status.MISSING, None)

    def test_a_request_without_a_folder_finds_any_file_of_that_name(self, base: Path) -> None:
        path = put(base, "models/controlnet/x.safetensors")

        assert look(base, "", "x.safetensors") == (Status.ELSEWHERE, path)

    def test_the_same_name_in_another_kind_of_folder_is_another_file(self, base: Path) -> None:
        put(base, "models/controlnet/diffusion_pytorch_model.safetensors")

        assert look(base, "loras", "diffusion_pytorch_model.safetensors") == (Status.MISSING, None)


class TestCorrupt:
    @pytest.mark.parametrize(
        ("data", "reason"),
        [
            (b"", "is empty"),
            (b"<!DOCTYPE html><html>", "is a web page"),
            (b'{"error": "Unauthorized"}', "is an error message"),
            (b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer"),
            (safetensors("x")[:-1], "is shorter than its header says"),
            (safetensors("x") + b"x", "is longer than its header says"),
        ],
    )
    def test_a_file_that_nothing_can_load(self, data: bytes, reason: str, base: Path) -> None:
        path = put(base, "models/loras/ink.safetensors", data)

        found = locate(ModelRequest(name="ink.safetensors", folder="loras"), ModelFolders.for_comfyui(base))

        assert (found.status, found.path) == (Status.CORRUPT, path)
        assert found.reason.startswith(reason)

    def test_the_one_that_comfyui_reads_is_the_one_to_repair(self, base: Path) -> None:
        broken = put(base, "models/unet/flux.safetensors", b"")
        put(base, "models/diffusion_models/flux.safetensors")

        assert look(base, "diffusion_models", "flux.safetensors") == (Status.CORRUPT, broken)

    def test_a_directory_of_that_name_is_no_file(self, base: Path) -> None:
        (base / "models" / "loras" / "ink.safetensors").mkdir(parents=True)

        assert look(base, "loras", "ink.safetensors") == (Status.MISSING, None)


def test_files_that_an_earlier_root_hides_are_told(base: Path) -> None:
    put(base, "models/unet/flux.safetensors")
    hidden = put(base, "models/diffusion_models/flux.safetensors")

    found = locate(ModelRequest(name="flux.safetensors", folder="unet"), ModelFolders.for_comfyui(base))

    assert found.hides == (hidden,)


@links
def test_a_link_that_leads_nowhere_is_told_and_hides_nothing(base: Path) -> None:
    (base / "models" / "unet").mkdir()
    dangling = base / "models" / "unet" / "flux.safetensors"
    dangling.symlink_to(base / "nowhere")
    request = ModelRequest(name="flux.safetensors", folder="unet")

    assert locate(request, ModelFolders.for_comfyui(base)).dangling == dangling

    put(base, "models/diffusion_models/flux.safetensors")

    assert locate(request, ModelFolders.for_comfyui(base)).status is Status.PRESENT


@links
def test_two_links_to_one_directory_are_two_directories(base: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other")
    put(other, "ink.safetensors")
    loras = base / "models" / "loras"
    loras.mkdir()
    for name in ("one", "two"):
        (loras / name).symlink_to(other)

    for name in ("one", "two"):
        assert look(base, "loras", f"{name}/ink.safetensors")[0] is Status.PRESENT


@links
def test_loops_of_links_end(base: Path) -> None:
    (base / "models" / "loras").mkdir()
    (base / "models" / "loras" / "again").symlink_to(base / "models" / "loras")

    assert look(base, "loras", "ink.safetensors") == (Status.MISSING, None)


def test_git_is_passed_over(base: Path) -> None:
    put(base, "models/loras/.git/ink.safetensors")

    assert look(base, "loras", "ink.safetensors") == (Status.MISSING, None)


class TestSharing:
    def test_each_root_is_walked_once_for_any_number_of_requests(
        self, base: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put(base, "models/loras/ink.safetensors")
        inventory = Inventory(ModelFolders.for_comfyui(base))
        requests = [ModelRequest(name=f"{number}.safetensors", folder="loras") for number in range(500)]
        listed: list[str] = []
        scandir = os.scandir
        monkeypatch.setattr(os, "scandir", lambda path: listed.append(str(path)) or scandir(path))

        inventory.prepare(requests)
        for request in requests:
            inventory.locate(request)

        assert len(listed) == len(set(listed)) == 1  # the output folder is not there

    def test_a_file_that_was_placed_is_seen_after_a_refresh(self, base: Path) -> None:
        inventory = Inventory(ModelFolders.for_comfyui(base))
        request = ModelRequest(name="ink.safetensors", folder="loras")
        assert inventory.locate(request).status is Status.MISSING

        inventory.refresh(put(base, "models/loras/ink.safetensors"))

        assert inventory.locate(request).status is Status.PRESENT

    def test_a_file_that_went_away_is_missing_without_one(self, base: Path) -> None:
        path = put(base, "models/loras/ink.safetensors")
        inventory = Inventory(ModelFolders.for_comfyui(base))
        request = ModelRequest(name="ink.safetensors", folder="loras")
        assert inventory.locate(request).status is Status.PRESENT

        path.unlink()

        assert inventory.locate(request).status is Status.MISSING

    def test_many_threads_may_ask(self, base: Path) -> None:
        put(base, "models/loras/ink.safetensors")
        inventory = Inventory(ModelFolders.for_comfyui(base))
        seen: list[Status] = []
        request = ModelRequest(name="ink.safetensors", folder="loras")
        threads = [threading.Thread(target=lambda: seen.append(inventory.locate(request).status)) for _ in range(8)]

        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert seen == [Status.PRESENT] * 8


def test_a_request_without_a_name_is_missing(base: Path) -> None:
    assert locate(ModelRequest(reference="hf:a/b/c"), ModelFolders.for_comfyui(base)).status is Status.MISSING
