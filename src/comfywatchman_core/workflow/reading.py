"""Read one file, of whatever container, into the requests it stands for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from attrs import frozen

from comfywatchman_core.containers import Carried, Source, open_source, read_container, source_of
from comfywatchman_core.errors import NoWorkflow, WorkflowError
from comfywatchman_core.models import ModelRequest
from comfywatchman_core.report import Problem

from .documents import graphs, parse
from .graph import is_graph, read_graph
from .loaders import LoaderTable, packaged
from .prompts import read_prompt
from .requests import Reading, read_nodes


@frozen(kw_only=True)
class Workflow:
    """A workflow file, read."""

    name: str
    """As the user calls it."""
    requests: tuple[ModelRequest, ...]
    """Every model file that it names, each once, in the order of its nodes."""
    problems: tuple[Problem, ...] = ()
    """What it names that is no file to be fetched, and names that were refused."""


def read_workflow(path: Path, *, label: str = "", loaders: LoaderTable | None = None) -> Workflow:
    """Read the workflow at *path*: JSON in either form, or a picture, sound or film that carries one.

    :param label: How the user calls it; the path by default.
    :param loaders: What is known of node classes; the packaged table by default.
    :raises NoWorkflow: The file is sound and carries none.
    :raises WorkflowError: It cannot be read.
    """
    label = label or str(path)
    try:
        with open_source(path) as source:
            return _read(source, label, loaders)
    except WorkflowError as error:
        raise type(error)(f"{label}: {error}", hint=error.hint) from error
    except OSError as error:
        raise WorkflowError(f"{label}: it cannot be read: {error.strerror or error}") from error


def read_workflow_bytes(data: bytes, *, label: str, loaders: LoaderTable | None = None) -> Workflow:
    """Read a workflow that is in memory already, standard input for one. Raises as :func:`read_workflow`."""
    try:
        return _read(source_of(data), label, loaders)
    except WorkflowError as error:
        raise type(error)(f"{label}: {error}", hint=error.hint) from error


def _read(source: Source, label: str, loaders: LoaderTable | None) -> Workflow:
    loaders = loaders or packaged()
    carried = read_container(source)
    if carried.is_empty:
        raise NoWorkflow(f"this {carried.container.upper()} file carries no workflow")
    reading = _read_carried(carried, label, loaders)
    return Workflow(name=label, requests=reading.requests, problems=reading.problems)


def _read_carried(carried: Carried, label: str, loaders: LoaderTable) -> Reading:
    failure: WorkflowError | None = None
    for text in (carried.workflow, carried.prompt):
        if text is not None:
            try:
                return _read_documents(graphs(parse(text)), label, loaders)
            except WorkflowError as error:
                failure = failure or error
    assert failure is not None
    raise failure


def _read_documents(documents: list[Any], label: str, loaders: LoaderTable) -> Reading:
    if len(documents) == 1:
        return _read_document(documents[0], label, loaders)
    readings = [_read_document(document, label, loaders) for document in documents]
    from .merging import merge_requests

    return Reading(
        requests=merge_requests(request for reading in readings for request in reading.requests),
        problems=tuple(dict.fromkeys(problem for reading in readings for problem in reading.problems)),
    )


def _read_document(document: Any, label: str, loaders: LoaderTable) -> Reading:
    if not is_graph(document):
        return read_nodes(read_prompt(document), loaders, label)
    models = document.get("models")
    declared = [entry for entry in models if isinstance(entry, dict)] if isinstance(models, list) else []
    return read_nodes(read_graph(document, loaders), loaders, label, declared)
