"""What is to be pushed: files of a models folder, each with the folder and the name that ComfyUI knows it by."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from attrs import frozen

from comfywatchman_core import Digest, ModelRequest, errors

PLAN_SCHEMA = "comfywatchman-plan/1"
_LARGEST_PLAN = 64 << 20
_SUFFIXES = (
    ".safetensors", ".sft", ".ckpt", ".pt", ".pt2", ".pth", ".bin", ".pkl", ".gguf", ".onnx", ".patch",
)  # fmt: skip
_OLDER = {"unet": "diffusion_models", "clip": "text_encoders"}
"""Directories that ComfyUI still reads → the folder key that they belong to today."""


@frozen(kw_only=True)
class LocalFile:
    """A file of this machine, and what it is called."""

    path: Path
    folder: str
    name: str
    sha256: str | None = None
    """What a plan states; ``None`` where the bytes themselves say."""
    backend: str = ""
    reference: str = ""
    url: str = ""

    @property
    def label(self) -> str:
        """``FOLDER/NAME``."""
        return f"{self.folder}/{self.name}"


def planned(plan: Path, models_dir: Path) -> Iterator[LocalFile]:
    """The files that *plan* names, where they belong below *models_dir*, whether they are there or not.

    :raises UsageError: It cannot be read, or is no plan.
    """
    below: list[Path] | None = None
    for model in read_plan(plan):
        folder, name = str(model["folder"]), str(model["name"])
        place = models_dir / folder / name
        if not place.is_file() and model.get("sha256"):
            # Packs keep models under other directories than their keys say; which file it is, its digest says.
            below = list(_models_below(models_dir)) if below is None else below
            same_name = [one for one in below if one.as_posix().endswith(f"/{name}")]
            same_size = [one for one in same_name if one.stat().st_size == model.get("size")]
            place = (same_size or same_name or [place])[0]
        yield LocalFile(
            path=place,
            folder=folder,
            name=name,
            sha256=model.get("sha256"),
            **{key: str(model.get(key, "")) for key in ("backend", "reference", "url")},
        )


def read_plan(path: Path) -> list[dict[str, Any]]:
    """The models of a plan file, their names and digests looked at. :raises UsageError: As :func:`planned`."""
    hint = "Write one with `comfywatchman plan -o FILE`."
    try:
        with open(path, "rb") as file:
            document = json.loads(file.read(_LARGEST_PLAN))
    except OSError as error:
        raise errors.UsageError(f"the plan {path} cannot be read: {error.strerror}", hint="Check --plan.") from error
    except (ValueError, RecursionError) as error:
        raise errors.UsageError(f"{path} is not a plan: it is not JSON", hint=hint) from error
    if not isinstance(document, dict) or document.get("schema") != PLAN_SCHEMA:
        raise errors.UsageError(f"{path} is not a plan that this version reads", hint=hint)
    try:
        models = [dict(model) for model in document.get("models", [])]
        for model in models:
            request = ModelRequest(name=model["name"], folder=model["folder"])
            model["name"], model["folder"] = str(request.name), request.folder
            if model.get("sha256") is not None:
                model["sha256"] = Digest("sha256", model["sha256"]).value
    except (KeyError, TypeError, ValueError) as error:
        raise errors.UsageError(f"the plan {path} cannot be used: {error}", hint=hint) from error
    return models


def named(paths: Sequence[Path], models_dir: Path | None, folder: str) -> Iterator[LocalFile]:
    """Files, and what lies below directories, that *paths* name.

    :param models_dir: Says folder and name of what lies below it.
    :param folder: The folder of what lies elsewhere.
    :raises UsageError: A path does not exist, or nothing says which folder it belongs to.
    """
    for path in paths:
        if path.is_dir():
            for found in _models_below(path):
                yield _local(found, path, models_dir, folder)
        elif path.is_file():
            yield _local(path, path.parent, models_dir, folder)
        else:
            raise errors.UsageError(f"there is no file {path}", hint="Check the path.")


def _local(path: Path, base: Path, models_dir: Path | None, folder: str) -> LocalFile:
    absolute = Path(os.path.abspath(path))
    if models_dir is not None and absolute.is_relative_to(os.path.abspath(models_dir)):
        parts = absolute.relative_to(os.path.abspath(models_dir)).parts
        if len(parts) > 1 and not folder:
            return _checked(path, _OLDER.get(parts[0], parts[0]), PurePosixPath(*parts[1:]))
    if not folder:
        raise errors.UsageError(
            f"nothing says which folder {path} belongs to",
            hint="Pass the models folder that it is in as --models-dir, or the folder's name as --folder.",
        )
    return _checked(path, folder, PurePosixPath(path.relative_to(base).as_posix()))


def _checked(path: Path, folder: str, name: PurePosixPath) -> LocalFile:
    try:
        request = ModelRequest(name=name, folder=folder)
    except errors.UnsafeName as error:
        raise errors.UsageError(str(error), hint=error.hint) from error
    return LocalFile(path=path, folder=request.folder, name=str(request.name))


def _models_below(directory: Path) -> Iterator[Path]:
    for here, folders, files in os.walk(directory, followlinks=True):
        folders[:] = sorted(one for one in folders if not one.startswith("."))
        for name in sorted(files):
            if name.lower().endswith(_SUFFIXES) and not name.startswith("."):
                yield Path(here, name)
