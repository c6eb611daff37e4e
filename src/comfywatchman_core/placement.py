"""Which name and which folder the bytes of an offer get."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from attrs import evolve

from .errors import BackendError, ErrorCode, UnsafeName
from .folders import ModelFolders, canonical_key
from .models import Candidate, ModelRequest
from .names import MODEL_EXTENSIONS, has_model_extension, safe_basename
from .report import Entry, Status


def placed(request: ModelRequest, offer: Candidate, folder: str | None) -> ModelRequest:
    """Give the request the name and folder that only its source knew.

    :param folder: The folder that the user wants where the request states none, if any.
    :raises BackendError: Nothing says which folder, or no model file would result.
    """
    name = request.name
    if name is None:
        if not offer.name:
            raise BackendError(
                f"{request.label} does not say a file name",
                code=ErrorCode.NOT_FOUND,
                hint="Pass an address that ends in the file's name.",
            )
        name = _proposed(offer.name)
    suffix = PurePosixPath(offer.name).suffix.lower()
    if not has_model_extension(name) and suffix in MODEL_EXTENSIONS:
        name = name.with_name(name.name + suffix)
    if not has_model_extension(name):
        raise BackendError(
            f"{name} is not written: it does not end like a model file",
            code=ErrorCode.UNSAFE_NAME,
            hint=f"Model files end in {', '.join(sorted(MODEL_EXTENSIONS))}.",
        )
    folder = request.folder or folder or offer.folder
    if not folder:
        raise BackendError(
            f"nothing says which folder {name} belongs to",
            code=ErrorCode.AMBIGUOUS,
            hint="Run again with --folder, for example `--folder loras`.",
        )
    return evolve(request, name=name, folder=canonical_key(folder))


def destination(entry: Entry, request: ModelRequest, folders: ModelFolders) -> Path:
    """Where the file of *request*, which has its name and folder, is written.

    :param entry: What the inventory said of it.
    :raises BackendError: There is no safe place for it.
    """
    assert request.name is not None
    lies = entry.path
    in_the_way = entry.status is Status.CORRUPT or entry.error is not None
    if in_the_way and lies is not None and lies.suffix.lower() == request.name.suffix.lower():
        # What is to be replaced is replaced where it is: ComfyUI reads that one.
        if not _is_inside(lies, (*folders.roots(request.folder), *folders.all_roots())):
            raise BackendError(
                f"{lies} is not replaced: a link leads out of the model folders",
                code=ErrorCode.UNSAFE_NAME,
                hint="Remove the link, or name its target in extra_model_paths.yaml.",
            )
        return lies
    try:
        return folders.destination(request.folder, request.name)
    except UnsafeName as error:
        raise BackendError(str(error), code=ErrorCode.UNSAFE_NAME, hint=error.hint) from error


def _proposed(name: str) -> PurePosixPath:
    """The file name that a source proposes. :raises BackendError: It is not safe."""
    try:
        return safe_basename(name)
    except UnsafeName as error:
        raise BackendError(str(error), code=ErrorCode.UNSAFE_NAME, hint="Pass FOLDER/NAME instead.") from error


def _is_inside(path: Path, roots: Iterable[Path]) -> bool:
    place = Path(os.path.realpath(path.parent))
    return any(place.is_relative_to(os.path.realpath(root)) for root in roots)
