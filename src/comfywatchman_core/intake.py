"""What the user named, as requests: workflows, directories of them, standard input, model references."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from attrs import define, evolve, field

from . import addresses
from .errors import BackendError, Cancelled, NoWorkflow, UnsafeName, UsageError, WorkflowError
from .events import Event, Warned, WorkflowRead
from .folders import ModelFolders
from .merging import merge_requests
from .models import Digest, ModelRequest
from .names import has_model_extension, safe_name
from .report import Problem

if TYPE_CHECKING:
    from .workflow import LoaderTable, Workflow

STANDARD_INPUT = "-"
_LARGEST_INPUT = 1 << 30
_FOLDER_HINT = "Name one of ComfyUI's model folders, for example --folder loras."

_REFERENCE = re.compile(r"(?:[a-z][a-z0-9+.-]+:.+|\d+)", re.IGNORECASE | re.DOTALL)
"""``scheme:…`` with more than a drive letter before the colon, or a bare number, which only a source can read."""


@define
class Intake:
    """What was read so far."""

    requests: list[ModelRequest] = field(factory=list)
    problems: list[Problem] = field(factory=list)
    workflows: int = 0
    """Workflows that could be read."""

    def merged(self) -> tuple[ModelRequest, ...]:
        """Every file once, with all that want it."""
        return merge_requests(self.requests)


def take_in(
    named: Iterable[str | os.PathLike[str]],
    folders: ModelFolders,
    *,
    folder: str = "",
    name: str = "",
    loaders: LoaderTable | None = None,
    emit: Callable[[Event], None] = lambda event: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Intake:
    """Read everything that *named* names; one bad file never stops the rest.

    :param folder: For references and names that say no folder.
    :param name: For the one reference that is named, in the place of what its source calls the file.
    :param loaders: What is known of node classes; the packaged table by default.
    :returns: Requests in reading order, not merged yet; what could not be read is in ``problems``.
    :raises UsageError: Something named is neither a file nor a reference, or *folder* or *name* is none
        for models.
    :raises Cancelled: The caller asked to stop.
    """
    intake = Intake()
    folder = _destination(folder, folders)
    for one in named:
        text = os.fspath(one)
        for label, read, found in _readers(text, folders, loaders, cancelled):
            if cancelled():
                raise Cancelled("stopped while reading workflows")
            try:
                workflow = read()
            except WorkflowError as error:
                if found and isinstance(error, NoWorkflow):
                    continue  # a directory may hold pictures and settings as well
                intake.problems.append(Problem(about=label, message=str(error), hint=error.hint, code="unreadable"))
                continue
            except OSError as error:
                reason = f"{label} cannot be read: {error.strerror or error}"
                intake.problems.append(Problem(about=label, message=reason, code="unreadable"))
                continue
            if isinstance(workflow, ModelRequest):
                intake.requests.append(workflow)
                continue
            intake.workflows += 1
            intake.problems += workflow.problems
            intake.requests += workflow.requests
            emit(WorkflowRead(workflow=label, models=len(workflow.requests)))
    if folder:
        intake.requests = [one if one.folder else evolve(one, folder=folder) for one in intake.requests]
    if name:
        intake.requests = [_renamed(intake.requests, name)]
    # Workflows name keys of packs that are not there yet; what a person typed is more likely a slip.
    typed = {folder} | {one.folder for one in intake.requests if not one.wanted_by}
    for key in sorted(typed - {""}):
        if warning := _new_folder(key, folders):
            intake.problems.append(warning)
            emit(Warned(message=f"{warning.message}; {warning.hint}" if warning.hint else warning.message))
    return intake


def _renamed(requests: Sequence[ModelRequest], name: str) -> ModelRequest:
    """The one reference that was passed, under *name*. :raises UsageError: It is not one, or no name of a model."""
    if len(requests) != 1 or not requests[0].explicit:
        raise UsageError(
            "a name of one's own is for one reference that says which file is meant",
            hint="Pass one address, AIR, civitai:… or hf:…, and nothing else, with --as NAME.",
        )
    try:
        safe = safe_name(name)
    except UnsafeName as error:
        raise UsageError(str(error), hint="Pass the name as the workflow spells it.") from error
    if not has_model_extension(safe):
        raise UsageError(
            f"{addresses.printable(name)} does not end like a model file",
            hint="Pass the whole name, such as ink.safetensors.",
        )
    return evolve(requests[0], name=safe)


def _new_folder(key: str, folders: ModelFolders) -> Problem | None:
    """Say that *key* is a folder that nothing here knows: a pack may, or it is misspelt."""
    known = folders.keys()
    head = key.partition("/")[0]
    roots = folders.roots(key)
    if head in known or not roots or roots[0].is_dir():
        return None
    from difflib import get_close_matches  # only for a slip

    near = get_close_matches(head, known, 1)
    return Problem(
        about=key,
        message=f"no folder for models known here is called {addresses.printable(key)}: {roots[0]} would be made",
        hint=f"Is {near[0]} meant?" if near else None,
        code="folder",
    )


def _destination(folder: str, folders: ModelFolders) -> str:
    """The folder key that the user names; empty for none. :raises UsageError: No model is ever put there."""
    if not folder:
        return ""
    try:
        key = _key(str(safe_name(folder)), folders)
    except UnsafeName as error:
        raise UsageError(str(error), hint=_FOLDER_HINT) from error
    if not folders.roots(key):
        raise UsageError(f"{addresses.printable(folder)} is not a folder for models", hint=_FOLDER_HINT)
    return key


def _key(text: str, folders: ModelFolders) -> str:
    """The folder key that *text* means: a known one however its letters are cased, else as it stands."""
    known = tuple(folders.keys())
    for spelled in (text, text.lower()):
        if (key := folders.canonical(spelled)) in known:
            return key
    return next((key for key in known if key.casefold() == text.casefold()), folders.canonical(text))


def _readers(
    text: str, folders: ModelFolders, loaders: LoaderTable | None, cancelled: Callable[[], bool]
) -> Iterator[tuple[str, Callable[[], Workflow | ModelRequest], bool]]:
    """What *text* names, each with the step that reads it, and whether it was only found in a directory."""
    if text == STANDARD_INPUT or os.path.lexists(text):  # an empty text is not the current directory
        yield from _workflow_readers(text, loaders, cancelled)
        return
    request = as_reference(text, folders)
    if request is None:
        raise UsageError(
            f"{addresses.redact_text(text)}: no such file, and not a model reference",
            hint="A reference is an address, an AIR, civitai:…, hf:…, or FOLDER/NAME such as loras/ink.safetensors.",
        )
    yield request.label, lambda: request, False


def _workflow_readers(
    text: str, loaders: LoaderTable | None, cancelled: Callable[[], bool]
) -> Iterator[tuple[str, Callable[[], Workflow], bool]]:
    """The same for standard input, and for a file or directory that is there."""
    from .workflow import find_workflows, read_workflow, read_workflow_bytes, read_workflows  # not for an address

    if text == STANDARD_INPUT:
        yield "-", lambda: read_workflow_bytes(_standard_input(), label="-", loaders=loaders), False
        return
    path = Path(text)
    if os.path.isdir(path):
        for found, result in read_workflows(find_workflows(path), loaders=loaders, cancelled=cancelled):
            yield str(found), lambda result=result: _returned(result), True  # type: ignore[misc]
        return
    yield text, lambda: read_workflow(path, label=text, loaders=loaders), False


def _returned(result: Workflow | WorkflowError) -> Workflow:
    if isinstance(result, WorkflowError):
        raise result
    return result


def as_reference(text: str, folders: ModelFolders) -> ModelRequest | None:
    """Read *text* as a model reference; ``None`` when it is none.

    :raises UsageError: An address that cannot be read, or a ``#sha256=`` that is none.
    """
    if re.match(r"https?://", text, re.IGNORECASE):
        return _from_address(text)
    parts = text.replace("\\", "/").split("/", 1)
    if len(parts) == 2 and folders.is_folder_key(parts[0]) and has_model_extension(text):
        try:
            return ModelRequest(name=safe_name(parts[1]), folder=_key(parts[0], folders))
        except UnsafeName as error:
            raise UsageError(str(error), hint=error.hint) from error
    if _REFERENCE.fullmatch(text):
        return ModelRequest(reference=text, explicit=True)
    return None


def _from_address(text: str) -> ModelRequest:
    url, _, fragment = text.partition("#")
    try:
        name = unquote(addresses.split(url).path.rpartition("/")[2])
    except BackendError as error:
        raise UsageError(str(error), hint=error.hint or "Check the address.") from error
    digests: tuple[Digest, ...] = ()
    if fragment.lower().startswith("sha256="):
        try:
            digests = (Digest("sha256", fragment[7:]),)
        except ValueError as error:
            raise UsageError(
                f"{addresses.redact(url)}: {error}", hint="Write #sha256= and 64 hexadecimal digits."
            ) from error
    safe = None
    if has_model_extension(name):
        try:
            safe = safe_name(name)
        except UnsafeName as error:
            raise UsageError(str(error), hint="Rename it, or pass another address.") from error
    return ModelRequest(name=safe, url=url, reference=url, digests=digests, explicit=True)


def _standard_input() -> bytes:
    data = sys.stdin.buffer.read(_LARGEST_INPUT + 1)
    if len(data) > _LARGEST_INPUT:
        raise WorkflowError("standard input is larger than any workflow", hint="Pass the file's path.")
    return data


def installed_workflows(comfyui: Path) -> Path:
    """Where a ComfyUI installation keeps its user's own workflows."""
    return comfyui / "user" / "default" / "workflows"
