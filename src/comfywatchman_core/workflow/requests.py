"""Turn what nodes name into requests: folder, address, checksum, and what is told instead of requested."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import evolve, frozen

from comfywatchman_core.addresses import printable
from comfywatchman_core.errors import UnsafeName
from comfywatchman_core.folders import canonical_key
from comfywatchman_core.merging import merge_requests
from comfywatchman_core.models import ModelRequest, NodeRef
from comfywatchman_core.names import same_name_key
from comfywatchman_core.report import Problem

from .declared import Declaration, Declared, addresses_by_name
from .effort import REFERENCE, Effort
from .loaders import LoaderTable
from .nodes import Node, names_a_file, texts
from .notes import MOST_HINTS, Notes
from .parameters import Named
from .references import Kind, Reference, references

_LONGEST_INPUT = 200

_TOLD = {
    Kind.SELF_DOWNLOADING: ("self_downloading", "is fetched by the node pack itself", None),
    Kind.FOLDER: (
        "folder",
        "is a folder or a repository, not one file",
        "Fetch it as its node pack describes.",
    ),
    Kind.MACHINE_BUILT: (
        "machine_built",
        "is an engine, which is built on the machine that uses it",
        "Build it with the nodes of its pack.",
    ),
}


@frozen
class _Asked:
    reference: Reference
    declaration: Declaration | None


@frozen(kw_only=True)
class Reading:
    """What one workflow asks for, and what has to be said about it."""

    requests: tuple[ModelRequest, ...] = ()
    problems: tuple[Problem, ...] = ()


def read_nodes(
    nodes: Iterable[Node],
    loaders: LoaderTable,
    label: str,
    effort: Effort,
    declared: Sequence[Mapping[str, Any]] = (),
) -> Reading:
    """Collect the requests of all *nodes* of one workflow.

    :param label: How the user calls the workflow.
    :param declared: ``models`` at the root of the workflow, an older place for declarations.
    """
    asked: list[_Asked] = []
    notes: list[str] = []
    at_root = Declared(declared)
    for node in nodes:
        if node.node_class in loaders.notes:
            notes += [text.value for text in texts(node.widgets)]
            continue
        own = Declared(node.declarations)
        for reference in references(node, loaders, own, effort):
            effort.spend(REFERENCE)
            asked.append(_Asked(reference, own.match(reference.name) or at_root.match(reference.name)))
    problems: dict[tuple[str, str], Problem] = {}
    requests: list[ModelRequest] = []
    hinted = Notes(notes if asked else ())
    for one in asked:
        problem = _tell(one.reference, label)
        if problem is None:
            if one.declaration is not None and one.declaration.misread:
                problems.setdefault(("digest", one.reference.name), _no_digest(one, one.declaration.misread, label))
            try:
                requests.append(_request(one, loaders, label, hinted))
                continue
            except UnsafeName as error:
                if one.reference.kind is Kind.EMBEDDING:
                    continue  # ComfyUI goes on without it, and prose may look like it
                problem = _refusal(one.reference, label, error)
        problems.setdefault((problem.code, one.reference.name), problem)
    merged = _without_unplaced_twins(_lend_addresses(merge_requests(requests), asked))
    return Reading(requests=merged, problems=tuple(problems.values()))


def read_parameters(named: Iterable[Named], label: str) -> Reading:
    """Make requests of what generation parameters name."""
    requests, problems = [], []
    for one in named:
        where = NodeRef(workflow=label, node="", node_class="", input="parameters")
        try:
            requests.append(ModelRequest(name=one.name, folder=one.folder, digests=one.digests, wanted_by=(where,)))
        except UnsafeName as error:
            problems.append(Problem(about=label, message=str(error), hint=error.hint, code="unsafe_name"))
    return Reading(requests=merge_requests(requests), problems=tuple(problems))


def _tell(reference: Reference, label: str) -> Problem | None:
    if reference.kind not in _TOLD:
        return None
    code, why, hint = _TOLD[reference.kind]
    return Problem(
        about=label, message=f"{reference.name[:200]!a}, wanted by {_where(reference)}, {why}", hint=hint, code=code
    )


def _refusal(reference: Reference, label: str, error: UnsafeName) -> Problem:
    return Problem(about=label, message=f"{_where(reference)}: {error}", hint=error.hint, code="unsafe_name")


def _no_digest(asked: _Asked, reason: str, label: str) -> Problem:
    name = asked.reference.name[:200]
    return Problem(
        about=label,
        message=printable(f"what is declared of {name!a}, wanted by {_where(asked.reference)}, is {reason}"),
        hint="It counts as none: the file is held to what its source states, if it states anything.",
        code="digest",
    )


def _where(reference: Reference) -> str:
    return printable(f"node {reference.node.id} ({reference.node.node_class})")


def _request(asked: _Asked, loaders: LoaderTable, label: str, notes: Notes) -> ModelRequest:
    reference, declaration = asked.reference, asked.declaration
    spelled = reference.name
    if declaration is not None and not names_a_file(spelled) and names_a_file(declaration.name):
        spelled = declaration.name
    folder, spelled = _place(reference, declaration, loaders, spelled)
    return ModelRequest(
        name=spelled,
        folder=folder,
        url=declaration.url if declaration else None,
        digests=declaration.digests if declaration else (),
        hints=notes.hints(spelled),
        wanted_by=(
            NodeRef(
                workflow=label,
                node=reference.node.id,
                node_class=reference.node.node_class,
                input=reference.input[:_LONGEST_INPUT],
            ),
        ),
        active=reference.node.active and reference.live,
    )


def _place(reference: Reference, declaration: Declaration | None, loaders: LoaderTable, name: str) -> tuple[str, str]:
    """Choose the folder key: what the class's input lists, else what is declared, else what the input's name says.

    :returns: The key, empty when nothing says it, and the name below that key's folder.
    """
    keys = tuple(canonical_key(key) for key in reference.keys)
    declared = declaration.folder if declaration and declaration.folder in loaders.folder_keys else ""
    if not keys:
        guessed = loaders.fallback(reference.input.rpartition(".")[2] or reference.input)
        return declared or (canonical_key(guessed) if guessed else ""), name
    if len(keys) == 1:
        return keys[0], name
    # Detectors list two folders as one, with the kind in front: bbox/face_yolov8m.pt
    kind, separator, rest = name.replace("\\", "/").partition("/")
    for key in keys:
        if separator and key.endswith(f"_{kind.lower()}"):
            return key, rest
    is_gguf = name.lower().endswith(".gguf")
    fitting = [key for key in keys if key.endswith("_gguf") == is_gguf] or list(keys)
    return declared if declared in fitting else fitting[0], name


def _lend_addresses(requests: Sequence[ModelRequest], asked: Iterable[_Asked]) -> list[ModelRequest]:
    """Give a request without an address those that other nodes of the workflow declare for the same name, as hints."""
    if all(request.url is not None for request in requests):
        return list(requests)
    declared = addresses_by_name([one.declaration for one in asked if one.declaration is not None], MOST_HINTS)
    lent = []
    for request in requests:
        if request.url is None and request.name is not None and same_name_key(request.name) in declared:
            others = declared[same_name_key(request.name)]
            hints = tuple(dict.fromkeys((*request.hints, *others)))[:MOST_HINTS]
            request = evolve(request, hints=hints)
        lent.append(request)
    return lent


def _without_unplaced_twins(requests: Sequence[ModelRequest]) -> tuple[ModelRequest, ...]:
    """Let a file whose folder nothing tells be the one of the same name whose folder is known.

    A string that a text node hands to a loader shows up at both.
    """
    if all(request.folder for request in requests):
        return tuple(requests)
    placed = {same_name_key(request.name or "") for request in requests if request.folder}
    return tuple(request for request in requests if request.folder or same_name_key(request.name or "") not in placed)
