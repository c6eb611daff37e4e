"""Where ComfyUI looks for each kind of model, and where a new file goes."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from comfywatchman_core.errors import UnsafeName, UsageError
from comfywatchman_core.folders import ModelFolders, canonical_key, is_folder_key

NAME = PurePosixPath("sub/ink.safetensors")
links = pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")


def install(base: Path, yaml: str = "", **options: Any) -> ModelFolders:
    """A ComfyUI in *base* whose ``extra_model_paths.yaml`` is *yaml*."""
    base.mkdir(exist_ok=True)
    if yaml:
        (base / "extra_model_paths.yaml").write_text(yaml)
    return ModelFolders.for_comfyui(base, **options)


def below(base: Path, paths: tuple[Path, ...]) -> list[str]:
    return [path.relative_to(base).as_posix() for path in paths]


class TestRoots:
    def test_unet_is_searched_before_diffusion_models(self, tmp_path: Path) -> None:
        assert below(tmp_path, install(tmp_path).roots("diffusion_models")) == [
            "models/unet",
            "models/diffusion_models",
            "output/diffusion_models",
        ]

    def test_the_output_folders_come_last(self, tmp_path: Path) -> None:
        folders = install(tmp_path, "a:\n  loras: /mnt/loras\n")

        assert folders.roots("loras") == (
            tmp_path / "models" / "loras",
            Path("/mnt/loras"),
            tmp_path / "output" / "loras",
        )

    @pytest.mark.parametrize(("alias", "key"), [("unet", "diffusion_models"), ("clip", "text_encoders")])
    def test_legacy_keys_are_aliases(self, alias: str, key: str, tmp_path: Path) -> None:
        folders = install(tmp_path, f"a:\n  {alias}: /mnt/more\n")

        assert folders.roots(alias) == folders.roots(key)
        assert Path("/mnt/more") in folders.roots(key)
        assert folders.canonical(alias) == canonical_key(alias) == key

    def test_keys_of_packs_have_their_folders(self, tmp_path: Path) -> None:
        folders = install(tmp_path)

        assert below(tmp_path, folders.roots("ultralytics_bbox")) == ["models/ultralytics/bbox"]
        assert below(tmp_path, folders.roots("LLM/checkpoints")) == ["models/LLM/checkpoints"]

    def test_gguf_lies_where_the_plain_files_lie(self, tmp_path: Path) -> None:
        folders = install(tmp_path, "a:\n  unet: /mnt/unet\n")

        assert folders.roots("unet_gguf") == folders.roots("diffusion_models")
        assert folders.extensions("unet_gguf") == {".gguf"}
        assert ".gguf" not in folders.extensions("diffusion_models")

    def test_an_unknown_key_may_be_that_of_a_pack(self, tmp_path: Path) -> None:
        assert below(tmp_path, install(tmp_path).roots("some_pack")) == ["models/some_pack"]

    @pytest.mark.parametrize(
        "key",
        [
            *("custom_nodes", "Custom_Nodes", "user", "input", "web", "datasets", "fonts", "configs", "output", "temp"),
            *("download_model_base", "", ".", "..", "../x", "a/../b", "/abs", "C:", "a\\b", "a b", "con.", ".git"),
            "x" * 200,
        ],
    )
    def test_what_is_no_model_folder_has_no_roots(self, key: str, tmp_path: Path) -> None:
        folders = install(tmp_path)

        assert not is_folder_key(key)
        assert folders.roots(key) == ()
        with pytest.raises(UnsafeName):
            folders.destination(key, NAME)

    def test_directories_may_be_replaced_one_by_one(self, tmp_path: Path) -> None:
        folders = install(tmp_path, models_dir=tmp_path / "m", output_dir=tmp_path / "o")

        assert folders.roots("vae") == (tmp_path / "m" / "vae", tmp_path / "o" / "vae")

    def test_a_models_directory_needs_no_comfyui_around_it(self, tmp_path: Path) -> None:
        assert ModelFolders.for_models_dir(tmp_path).roots("vae") == (tmp_path / "vae",)


class TestExtraModelPaths:
    def test_the_file_beside_comfyui_is_read_before_those_that_are_named(self, tmp_path: Path) -> None:
        more = tmp_path / "more.yaml"
        more.write_text("b:\n  vae: /mnt/second\n")

        folders = install(tmp_path, "a:\n  vae: /mnt/first\n", extra=[more])

        assert folders.roots("vae")[1:3] == (Path("/mnt/first"), Path("/mnt/second"))

    def test_paths_are_relative_to_the_base_path(self, tmp_path: Path) -> None:
        folders = install(tmp_path, "a:\n  base_path: /mnt/sd\n  vae: models/VAE\n")

        assert Path("/mnt/sd/models/VAE") in folders.roots("vae")

    def test_without_a_base_path_they_are_relative_to_the_file(self, tmp_path: Path) -> None:
        assert tmp_path / "shared" in install(tmp_path, "a:\n  vae: ./shared/\n").roots("vae")

    def test_a_relative_base_path_is_relative_to_the_file(self, tmp_path: Path) -> None:
        folders = install(tmp_path / "comfy", "a:\n  base_path: ../sd\n  vae: VAE\n")

        assert tmp_path / "sd" / "VAE" in folders.roots("vae")

    def test_home_and_variables_are_read_in_the_base_path_and_nowhere_else(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
        monkeypatch.setenv("MODELS", "many")

        folders = install(tmp_path, "a:\n  base_path: ~/$MODELS\n  vae: VAE\n  loras: ~/x\nb:\n  vae: $MODELS/y\n")

        assert tmp_path / "home" / "many" / "VAE" in folders.roots("vae")
        assert tmp_path / "home" / "many" / "~" / "x" in folders.roots("loras")
        assert tmp_path / "$MODELS" / "y" in folders.roots("vae")

    def test_several_lines_are_several_paths(self, tmp_path: Path) -> None:
        folders = install(tmp_path, "a:\n  base_path: /mnt\n  unet: |\n    one\n\n    two\n")

        assert folders.roots("diffusion_models")[2:4] == (Path("/mnt/one"), Path("/mnt/two"))

    def test_empty_sections_are_passed_over(self, tmp_path: Path) -> None:
        assert install(tmp_path, "a:\nb:\n  vae: /mnt/vae\n").roots("vae")[1] == Path("/mnt/vae")

    def test_a_file_of_comments_adds_nothing(self, tmp_path: Path) -> None:
        assert len(install(tmp_path, "# a:\n#   vae: x\n").roots("vae")) == 2

    def test_paths_are_normalised_and_listed_once(self, tmp_path: Path) -> None:
        folders = install(tmp_path, "a:\n  vae: |\n    /mnt/x/../vae\n    /mnt/vae/\n")

        assert folders.roots("vae").count(Path("/mnt/vae")) == 1

    @pytest.mark.parametrize("value", ["true", '"true"', "1", '"false"'])
    def test_a_default_section_comes_first_whatever_true_value_says_so(self, value: str, tmp_path: Path) -> None:
        folders = install(tmp_path, f"a:\n  is_default: {value}\n  vae: /mnt/vae\n")

        assert folders.roots("vae")[0] == Path("/mnt/vae")

    @pytest.mark.parametrize("value", ["false", '""', "0", "null"])
    def test_a_section_that_is_no_default_is_appended(self, value: str, tmp_path: Path) -> None:
        folders = install(tmp_path, f"a:\n  is_default: {value}\n  vae: /mnt/vae\n")

        assert folders.roots("vae")[1] == Path("/mnt/vae")

    def test_a_default_section_moves_a_known_path_to_the_front(self, tmp_path: Path) -> None:
        folders = install(tmp_path, "a:\n  is_default: true\n  diffusion_models: models/diffusion_models\n")

        assert below(tmp_path, folders.roots("unet"))[:2] == ["models/diffusion_models", "models/unet"]

    def test_an_unknown_key_lists_every_file(self, tmp_path: Path) -> None:
        folders = install(tmp_path, "a:\n  my_key: /mnt/mine\n")

        assert folders.roots("my_key") == (Path("/mnt/mine"),)
        assert folders.extensions("my_key") == frozenset()

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("a: [", "not valid YAML"),
            ("- a\n- b\n", "no list of named sections"),
            ("a: text\n", "section 'a' holds no folders"),
            ("a:\n  vae: [x, y]\n", "'vae' of section 'a' is no path"),
            ("a:\n  base_path: 3\n", "base_path of section 'a' is no path"),
        ],
    )
    def test_a_file_that_comfyui_could_not_use_is_told_with_the_place(
        self, text: str, message: str, tmp_path: Path
    ) -> None:
        with pytest.raises(UsageError, match=message) as caught:
            install(tmp_path, text)

        assert "extra_model_paths.yaml" in str(caught.value)

    def test_a_file_that_is_named_must_be_there(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="cannot be read"):
            ModelFolders.for_comfyui(tmp_path, extra=[tmp_path / "nowhere.yaml"])

    def test_yaml_runs_nothing(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="not valid YAML"):
            install(tmp_path, "a:\n  vae: !!python/object/apply:os.system ['true']\n")


class TestDestination:
    def test_the_folder_that_bears_the_keys_name_is_taken(self, tmp_path: Path) -> None:
        folders = install(tmp_path)

        assert folders.destination("diffusion_models", NAME) == tmp_path / "models" / "diffusion_models" / NAME
        assert folders.destination("unet", NAME) == tmp_path / "models" / "diffusion_models" / NAME
        assert folders.destination("text_encoders", NAME) == tmp_path / "models" / "text_encoders" / NAME

    def test_a_gguf_goes_where_its_plain_files_go(self, tmp_path: Path) -> None:
        name = PurePosixPath("q4.gguf")

        assert install(tmp_path).destination("unet_gguf", name) == tmp_path / "models" / "diffusion_models" / name

    def test_a_default_section_is_where_the_user_wants_new_files(self, tmp_path: Path) -> None:
        folders = install(tmp_path, "a:\n  vae: /mnt/plain/vae\nb:\n  is_default: yes\n  vae: /mnt/default\n")

        assert folders.target_root("vae") == Path("/mnt/default")

    def test_a_section_that_is_no_default_is_not(self, tmp_path: Path) -> None:
        folders = install(tmp_path, "a:\n  vae: /mnt/vae\n")

        assert folders.target_root("vae") == tmp_path / "models" / "vae"

    def test_the_managers_download_base_comes_first_where_comfyui_looks_below_it(self, tmp_path: Path) -> None:
        folders = install(
            tmp_path,
            "a:\n  base_path: /mnt/dl\n  download_model_base: .\n  vae: vae\nb:\n  is_default: yes\n  vae: /x\n",
        )

        assert folders.target_root("vae") == Path("/mnt/dl/vae")
        assert folders.target_root("loras") == tmp_path / "models" / "loras"

    def test_a_packs_key_goes_where_the_user_configured_it(self, tmp_path: Path) -> None:
        folders = install(tmp_path, "a:\n  ipadapter: /mnt/ip\n")

        assert folders.target_root("ipadapter") == Path("/mnt/ip")
        assert folders.target_root("pulid") == tmp_path / "models" / "pulid"

    @pytest.mark.parametrize("name", ["../x.safetensors", "/x.safetensors", "a/../../x.safetensors", "c:x.safetensors"])
    def test_a_name_that_leaves_the_root_is_refused(self, name: str, tmp_path: Path) -> None:
        with pytest.raises(UnsafeName):
            install(tmp_path).destination("vae", PurePosixPath(name))

    @pytest.mark.parametrize("name", ["evil.py", "x.yaml", "x.engine", "x.zip", "EasyNegative", "x.safetensors.exe"])
    def test_a_name_that_is_no_models_is_refused(self, name: str, tmp_path: Path) -> None:
        with pytest.raises(UnsafeName, match="does not end like a model file"):
            install(tmp_path).destination("vae", PurePosixPath(name))

    def test_classifiers_have_no_suffix(self, tmp_path: Path) -> None:
        assert install(tmp_path).destination("classifiers", PurePosixPath("yes")).name == "yes"

    @pytest.mark.parametrize("where", ["custom_nodes", "web/x", "user", "input", "."])
    def test_a_configured_folder_inside_code_or_settings_is_never_written_to(self, where: str, tmp_path: Path) -> None:
        folders = install(tmp_path, f"a:\n  is_default: true\n  my_key: {where}\n")

        with pytest.raises(UnsafeName, match="not a folder for models"):
            folders.destination("my_key", NAME)

    def test_an_alias_of_the_file_leads_no_model_there_either(self, tmp_path: Path) -> None:
        folders = install(tmp_path, "a:\n  is_default: true\n  loras: custom_nodes/pack\n")

        assert folders.destination("loras", NAME) == tmp_path / "models" / "loras" / NAME
        assert tmp_path / "custom_nodes" / "pack" in folders.roots("loras")

    @links
    def test_a_root_may_be_a_link(self, tmp_path: Path) -> None:
        big = tmp_path / "big"
        big.mkdir()
        (tmp_path / "comfy" / "models").mkdir(parents=True)
        (tmp_path / "comfy" / "models" / "vae").symlink_to(big)

        folders = install(tmp_path / "comfy")

        assert folders.destination("vae", NAME) == tmp_path / "comfy" / "models" / "vae" / NAME

    @links
    def test_a_link_below_a_root_that_leaves_all_roots_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "elsewhere").mkdir()
        vae = tmp_path / "comfy" / "models" / "vae"
        vae.mkdir(parents=True)
        (vae / "sub").symlink_to(tmp_path / "elsewhere")

        with pytest.raises(UnsafeName, match="leads out of the model folders"):
            install(tmp_path / "comfy").destination("vae", NAME)

    @links
    def test_a_link_below_a_root_into_another_root_is_followed(self, tmp_path: Path) -> None:
        vae, loras = tmp_path / "models" / "vae", tmp_path / "models" / "loras"
        vae.mkdir(parents=True)
        loras.mkdir()
        (vae / "sub").symlink_to(loras)

        assert install(tmp_path).destination("vae", NAME) == vae / NAME

    @links
    def test_a_link_into_the_code_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "custom_nodes").mkdir()
        (tmp_path / "models").mkdir()
        (tmp_path / "models" / "vae").symlink_to(tmp_path / "custom_nodes")

        folders = install(tmp_path)

        assert tmp_path / "custom_nodes" not in folders.destination("vae", NAME).parents
        assert Path(os.path.realpath(folders.destination("vae", NAME))).is_relative_to(tmp_path / "output")


def test_extensions_are_those_of_comfyui(tmp_path: Path) -> None:
    folders = install(tmp_path)

    assert folders.extensions("checkpoints") == {
        ".ckpt", ".pt", ".pt2", ".bin", ".pth", ".safetensors", ".pkl", ".sft"
    }  # fmt: skip
    assert folders.extensions("clip") == folders.extensions("text_encoders")
    assert folders.extensions("classifiers") == {""}
    assert folders.extensions("sams") == frozenset()
