"""The shelf in use: a workflow's model comes from the folder, and from nowhere else."""

import pytest
from comfywatchman_shelf import ShelfBackend

import comfywatchman_core as cw
from comfywatchman_core.testing import safetensors

INK = safetensors("ink")


@pytest.fixture
def config(tmp_path):
    """A shelf with one model, an empty models folder, and no other source."""
    (tmp_path / "shelf" / "loras").mkdir(parents=True)
    (tmp_path / "shelf" / "loras" / "ink.safetensors").write_bytes(INK)
    (tmp_path / "models").mkdir()
    file = tmp_path / "config.toml"
    file.write_text(f"[backends.shelf]\nroot = '{tmp_path / 'shelf'}'\n")
    arguments = {"models_dir": tmp_path / "models", "state_dir": tmp_path / "state"}
    return cw.Config.load(arguments=arguments, environ={}, file=file)


def get(config, what):
    with cw.Watchman(config, backends={"shelf": ShelfBackend()}) as watchman:
        return watchman.ensure_models(what)


def test_a_model_on_the_shelf_lands_under_the_name_that_is_asked_for(config):
    report = get(config, "loras/ink.safetensors")

    assert report.ok
    assert (config.models_dir / "loras" / "ink.safetensors").read_bytes() == INK
    assert report.entries[0].backend == "shelf"


def test_what_is_not_on_the_shelf_is_not_found(config):
    report = get(config, "loras/paper.safetensors")

    assert report.entries[0].error.code == cw.errors.ErrorCode.NOT_FOUND


def test_a_shelf_without_a_root_is_not_asked_for_anything(config, tmp_path):
    empty = cw.Config.load(arguments={"models_dir": tmp_path / "models"}, environ={}, use_file=False)

    (resolving,) = (a for a in get(empty, "loras/ink.safetensors").entries[0].attempts if a.backend == "shelf")

    assert resolving.outcome == "declined"
