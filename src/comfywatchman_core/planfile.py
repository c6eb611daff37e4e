"""The plan file: which bytes go where, and from where, in one small file that a team can keep.

Stable and sorted, so that two plans of the same models are equal and a change
shows in a diff. It holds no secret and no path of the machine that wrote it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path, PurePath, PurePosixPath

from attrs import asdict, field, fields, frozen

from .addresses import redact
from .atomic import write_text
from .backends import CORE
from .errors import UnsafeName, UsageError
from .models import Candidate, Digest, Match, ModelRequest, NodeRef
from .names import has_model_extension, safe_name, same_name_key
from .report import Entry, Status

SCHEMA = "comfywatchman-plan/1"
_LARGEST = 16 << 20
_MOST = 100_000
"""Rows: more than the largest collection of models that anybody has told of."""
_LONGEST = 4096
_NO_FILE = 1 << 63
"""No file system has a file of so many bytes."""
_HINT = "Correct it, or write a new one with `comfywatchman plan -o FILE`."


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

    :raises UsageError: It cannot be read, is of another schema, or holds something unsafe or twice.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(_LARGEST + 1)
        if len(data) > _LARGEST:
            raise _unusable(path, f"it has more than {_LARGEST} bytes")
        document = json.loads(data, object_pairs_hook=_once)
    except OSError as error:
        raise UsageError(f"the plan {path} cannot be read: {error.strerror}", hint="Check --plan.") from error
    except (ValueError, RecursionError) as error:
        told = str(error)[:200] if isinstance(error, _Repeated) else "it is not JSON"
        raise UsageError(f"{path} is not a plan: {told}", hint=_HINT) from error
    schema = document.get("schema") if isinstance(document, dict) else None
    if schema != SCHEMA:
        raise UsageError(
            f"{path} is not a plan that this version reads: its schema is {str(schema)[:80]!a}, not {SCHEMA!r}",
            hint=_HINT,
        )
    rows = document.get("models", [])
    if not isinstance(rows, list) or len(rows) > _MOST:
        raise _unusable(path, f"models is no list of at most {_MOST} rows")
    files: dict[tuple[str, str], PlannedFile] = {}
    for number, row in enumerate(rows):
        one = _row(row, path, f"models[{number}]")
        if files.setdefault((one.folder, same_name_key(one.name)), one) is not one:
            raise _unusable(path, f"models[{number}]: {one.folder}/{one.name} stands in it twice")
    return Plan(tuple(sorted(files.values(), key=lambda one: (one.folder, one.name))))


class _Repeated(ValueError):
    """One key stands in an object twice: a person reads the first, and a program the last."""


def _once(members: list[tuple[str, object]]) -> dict[str, object]:
    document = dict(members)
    if len(document) < len(members):
        key = Counter(key for key, _ in members).most_common(1)[0][0]
        raise _Repeated(f"{key[:80]!a} stands twice in one object")
    return document


def _row(row: object, path: Path, where: str) -> PlannedFile:
    """Read one model; ``null`` counts as absent.

    Types are held to, because a converter would make a text of a number, and a number of ``true``.
    """
    if not isinstance(row, dict):
        raise _unusable(path, f"{where} is no object")
    known = {one.name: row[one.name] for one in fields(PlannedFile) if row.get(one.name) is not None}
    for key, value in known.items():
        if key == "size":
            is_sound = type(value) is int and 0 <= value < _NO_FILE
        elif key == "workflows":
            is_sound = isinstance(value, list) and all(isinstance(text, str) for text in value)
        else:
            is_sound = isinstance(value, str) and len(value) <= _LONGEST
        if not is_sound:
            raise _unusable(path, f"{where}.{key} is {str(value)[:80]!a}")
    try:
        one = PlannedFile(**{**known, "workflows": tuple(known.get("workflows", ()))})
    except (UnsafeName, ValueError, TypeError) as error:
        raise _unusable(path, f"{where}: {str(error)[:300]}") from error
    if not has_model_extension(one.name):
        raise _unusable(path, f"{where}: {one.name!a} is no model file")
    return one


def _unusable(path: Path, why: str) -> UsageError:
    return UsageError(f"the plan {path} cannot be used: {why}", hint=_HINT)
