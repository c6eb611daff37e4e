"""The plan file: which bytes go where, and from where, in one small file that a team can keep.

Stable and sorted, so that two plans of the same models are equal and a change
shows in a diff. It holds no secret and no path of the machine that wrote it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path, PurePath, PurePosixPath

from attrs import asdict, field, frozen

from .addresses import redact
from .atomic import write_text
from .backends import CORE
from .errors import UnsafeName, UsageError
from .models import Candidate, Digest, Match, ModelRequest, NodeRef
from .names import has_model_extension, safe_name
from .report import Entry, Status

SCHEMA = "comfywatchman-plan/1"
_LARGEST = 64 << 20


def _match(label: str) -> str:
    Match.from_label(label)
    return label


def _safe(text: str) -> str:
    return str(safe_name(text))


def _sha256(text: str | None) -> str | None:
    return None if text is None else Digest("sha256", text).value


@frozen(kw_only=True)
class PlannedFile:
    """One model of a plan.

    :raises ValueError: A name that is not safe, a digest or a match that is none.
    """

    folder: str = field(converter=_safe)
    name: str = field(converter=_safe)
    sha256: str | None = field(default=None, converter=_sha256)
    """What the bytes are held to; ``None`` where no source publishes one."""
    size: int | None = None
    reference: str = ""
    """What the back end finds the file again by, when ``url`` has expired."""
    url: str = ""
    """Without query and user."""
    backend: str = ""
    """The back end that transfers it."""
    match: str = field(default=Match.FILENAME.label, converter=_match)
    workflows: tuple[str, ...] = ()
    """File names of the workflows that want it."""

    @property
    def request(self) -> ModelRequest:
        """The request that the plan makes."""
        return ModelRequest(
            name=PurePosixPath(self.name),
            folder=self.folder,
            digests=(Digest("sha256", self.sha256),) if self.sha256 else (),
            size=self.size,
            wanted_by=tuple(
                NodeRef(workflow=workflow, node="", node_class="", input="") for workflow in self.workflows
            ),
        )

    @property
    def offer(self) -> Candidate | None:
        """The offer that the plan is bound to; ``None`` where the plan knows no source."""
        if not self.url and not self.reference:
            return None
        return Candidate(
            # A plan is the user's own choice: what it names is named exactly.
            match=max(Match.from_label(self.match), Match.SOURCE_ID),
            url=self.url,
            size=self.size,
            digests=self.request.digests,
            reference=self.reference,
            delegate="" if self.backend == CORE else self.backend,
            trusted=True,
            backend=self.backend,
        )


@frozen
class Plan:
    """The models of a plan file, sorted by folder and name."""

    files: tuple[PlannedFile, ...]

    def text(self) -> str:
        """The document, ending in a line break."""
        models = [{key: value for key, value in asdict(one).items() if value not in (None, "")} for one in self.files]
        return json.dumps({"schema": SCHEMA, "models": models}, indent=2, ensure_ascii=False) + "\n"


def make_plan(entries: Iterable[Entry]) -> Plan:
    """Pin what a run planned, found or downloaded. Files that nobody knows a source of are left out."""
    files: dict[tuple[str, str], PlannedFile] = {}
    for entry in entries:
        request, offer = entry.request, entry.candidate
        if request.name is None or not request.folder or not has_model_extension(request.name):
            continue
        if offer is None and entry.sha256 is None:
            continue
        if entry.status in (Status.INACTIVE, Status.SKIPPED):
            continue
        planned = PlannedFile(
            folder=request.folder,
            name=str(request.name),
            sha256=entry.sha256 or (offer.sha256 if offer else None),
            size=entry.size if entry.size is not None else (offer.size if offer else None),
            reference=redact(offer.reference) if offer else "",
            url=redact(offer.url) if offer else "",
            backend=(offer.backend if offer else "") or "",
            match=offer.match.label if offer else Match.DIGEST.label,
            workflows=tuple(sorted({PurePath(node.workflow).name for node in request.wanted_by})),
        )
        files[planned.folder, planned.name] = planned
    return Plan(tuple(files[key] for key in sorted(files)))


def differences(plan: Plan, entries: Iterable[Entry]) -> tuple[str, ...]:
    """Say what the workflows need and *plan* does not hold, and the other way round, one line each."""
    planned = {f"{one.folder}/{one.name}": one for one in plan.files}
    needed = {entry.request.label: entry for entry in entries if entry.status is not Status.INACTIVE}
    found = [f"+ {label}: needed, and not in the plan" for label in needed if label not in planned]
    found += [f"- {label}: in the plan, and not needed" for label in planned if label not in needed]
    for label in needed.keys() & planned.keys():
        wanted, pinned = needed[label].request.sha256, planned[label].sha256
        if wanted and pinned and wanted != pinned:
            found.append(f"! {label}: the workflow asks for {wanted}, the plan holds {pinned}")
    return tuple(sorted(found, key=lambda line: line[2:]))


def write_plan(plan: Plan, path: Path) -> None:
    """Write the plan file, whole or not at all. :raises UsageError: It cannot be written."""
    try:
        write_text(path, plan.text())
    except OSError as error:
        raise UsageError(f"the plan {path} cannot be written: {error.strerror}", hint="Pass another -o.") from error


def read_plan(path: Path) -> Plan:
    """Read a plan file; keys that a newer version wrote are ignored.

    :raises UsageError: It cannot be read, is of another schema, or holds something unsafe.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(_LARGEST + 1)
        document = json.loads(data if len(data) <= _LARGEST else b"")
    except OSError as error:
        raise UsageError(f"the plan {path} cannot be read: {error.strerror}", hint="Check --plan.") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"{path} is not a plan: it is not JSON", hint="Write one with `comfywatchman plan -o FILE`."
        ) from error
    schema = document.get("schema") if isinstance(document, dict) else None
    if schema != SCHEMA:
        raise UsageError(
            f"{path} is not a plan that this version reads: its schema is {schema!r}, not {SCHEMA!r}",
            hint="Write one with `comfywatchman plan -o FILE`.",
        )
    return Plan(_structured(document, path))


def _structured(document: dict[str, object], path: Path) -> tuple[PlannedFile, ...]:
    from cattrs import BaseValidationError, Converter, transform_error

    try:
        files = Converter().structure(document.get("models", []), tuple[PlannedFile, ...])
    except (BaseValidationError, UnsafeName) as error:
        mistakes = transform_error(error, format_exception=lambda one, _: str(one)) if error else []
        raise UsageError(
            f"the plan {path} cannot be used: {'; '.join(mistakes)[:500]}",
            hint="Correct it, or write a new one with `comfywatchman plan -o FILE`.",
        ) from error
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"the plan {path} cannot be used: {error}",
            hint="Correct it, or write a new one with `comfywatchman plan -o FILE`.",
        ) from error
    for one in files:
        if not has_model_extension(one.name):
            raise UsageError(
                f"the plan {path} names {one.name!a}, which is no model file",
                hint="Correct it, or write a new one with `comfywatchman plan -o FILE`.",
            )
    return tuple(sorted(files, key=lambda one: (one.folder, one.name)))
