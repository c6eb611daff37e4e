"""Turn what nodes name into requests: folder, address, checksum, and what is told instead of requested."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import evolve, frozen

from comfywatchman_core.errors import UnsafeName
from comfywatchman_core.folders import canonical_key
from comfywatchman_core.models import Digest, ModelRequest, NodeRef
from comfywatchman_core.names import same_name_key
from comfywatchman_core.report import Problem

from .loaders import LoaderTable
from .merging import merge_requests
from .nodes import Node, names_a_file, texts
from .parameters import Named
from .prose import links
from .references import Kind, Reference, references

_MAX_HINTS = 8
_LONGEST_URL = 4096

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


@frozen(kw_only=True)
class _Declaration:
    """One entry of ``properties.models``, as far as it can be believed."""

    name: str
    key: str
    """``name``, comparable."""
    folder: str
    url: str | None
    digests: tuple[Digest, ...]


@frozen
class _Asked:
    reference: Reference
    declaration: _Declaration | None


@frozen(kw_only=True)
class Reading:
    """What one workflow asks for, and what has to be said about it."""

    requests: tuple[ModelRequest, ...] = ()
    problems: tuple[Problem, ...] = ()


def read_nodes(
    nodes: Iterable[Node], loaders: LoaderTable, label: str, declared: Sequence[Mapping[str, Any]] = ()
) -> Reading:
    """Collect the requests of all *nodes* of one workflow.

    :param label: How the user calls the workflow.
    :param declared: ``models`` at the root of the workflow, an older place for declarations.
    """
    asked: list[_Asked] = []
    notes: list[str] = []
    at_root = _read_declarations(declared)
    for node in nodes:
        if node.node_class in loaders.notes:
            notes += [text.value for text in texts(node.widgets)]
            continue
        own = _read_declarations(node.declarations)
        for reference in references(node, loaders):
            asked.append(_Asked(reference, _match(reference, own) or _match(reference, at_root)))
    addresses = _addresses(notes) if asked else {}
    problems: dict[tuple[str, str], Problem] = {}
    requests: list[ModelRequest] = []
    for one in asked:
        problem = _tell(one.reference, label)
        if problem is not None:
            problems.setdefault((problem.code, one.reference.name), problem)
            continue
        try:
            requests.append(_request(one, loaders, label, addresses))
        except UnsafeName as error:
            if one.reference.kind is Kind.EMBEDDING:
                continue  # ComfyUI goes on without it, and prose may look like it
            refused = Problem(
                about=label,
                message=f"node {one.reference.node.id} ({one.reference.node.node_class}): {error}",
                hint=error.hint,
                code="unsafe_name",
            )
            problems.setdefault(("unsafe_name", one.reference.name), refused)
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
        about=label,
        message=f"{reference.name[:200]!a}, wanted by node {reference.node.id} ({reference.node.node_class}), {why}",
        hint=hint,
        code=code,
    )


def _request(asked: _Asked, loaders: LoaderTable, label: str, addresses: Mapping[str, Sequence[str]]) -> ModelRequest:
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
        hints=_hints(spelled, addresses) if addresses else (),
        wanted_by=(
            NodeRef(
                workflow=label,
                node=reference.node.id,
                node_class=reference.node.node_class,
                input=reference.input,
            ),
        ),
        active=reference.node.active and reference.live,
    )


def _place(reference: Reference, declaration: _Declaration | None, loaders: LoaderTable, name: str) -> tuple[str, str]:
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


def _hints(name: str, addresses: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    key = same_name_key(name).rpartition("/")[2]
    found = addresses.get(key, ())
    if not found and not names_a_file(name):
        found = [url for known in addresses if known.rpartition(".")[0] == key for url in addresses[known]]
    return tuple(found)[:_MAX_HINTS]


def _addresses(notes: Iterable[str]) -> dict[str, list[str]]:
    """Collect the addresses of files that the notes of a workflow mention, by the comparable name of the file."""
    found: dict[str, list[str]] = {}
    for text in notes:
        for key, address in links(text):
            known = found.setdefault(key, [])
            if address not in known and len(known) < _MAX_HINTS and len(address) <= _LONGEST_URL:
                known.append(address)
    return found


def _read_declarations(entries: Sequence[Mapping[str, Any]]) -> tuple[_Declaration, ...]:
    found = []
    for entry in entries:
        name, url, folder = entry.get("name"), entry.get("url"), entry.get("directory")
        if not isinstance(name, str):
            continue
        is_url = isinstance(url, str) and len(url) <= _LONGEST_URL and url.lower().startswith(("https://", "http://"))
        found.append(
            _Declaration(
                name=name,
                key=same_name_key(name),
                folder=canonical_key(folder) if isinstance(folder, str) else "",
                url=url if is_url else None,
                digests=_digests(entry),
            )
        )
    return tuple(found)


def _digests(entry: Mapping[str, Any]) -> tuple[Digest, ...]:
    value, algorithm = entry.get("hash"), entry.get("hash_type")
    if not isinstance(value, str) or not isinstance(algorithm, str):
        return ()
    try:
        return (Digest(algorithm.replace("-", ""), value),)
    except ValueError:
        return ()


def _match(reference: Reference, declarations: Sequence[_Declaration]) -> _Declaration | None:
    """Find the declaration of the very file that is selected; one for another file is stale and does not count."""
    if not declarations:
        return None
    key = same_name_key(reference.name)
    for declaration in declarations:
        if declaration.key == key:
            return declaration
    base = key.rpartition("/")[2]
    for declaration in declarations:
        if declaration.key.rpartition("/")[2] == base:
            return declaration
    if not names_a_file(reference.name):
        for declaration in declarations:
            if declaration.key.rpartition("/")[2].rpartition(".")[0] == base:
                return declaration
    return None


def _lend_addresses(requests: Sequence[ModelRequest], asked: Iterable[_Asked]) -> list[ModelRequest]:
    """Give a request without an address those that other nodes of the workflow declare for the same name, as hints."""
    declared: dict[str, list[str]] = {}
    for one in asked:
        if one.declaration is not None and one.declaration.url is not None:
            urls = declared.setdefault(one.declaration.key, [])
            if one.declaration.url not in urls:
                urls.append(one.declaration.url)
    if all(request.url is not None for request in requests):
        return list(requests)
    lent = []
    for request in requests:
        if request.url is None and request.name is not None and same_name_key(request.name) in declared:
            others = declared[same_name_key(request.name)]
            hints = tuple(dict.fromkeys((*request.hints, *others)))[:_MAX_HINTS]
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
