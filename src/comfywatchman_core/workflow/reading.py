"""Read one file, of whatever container, into the requests it stands for."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from attrs import evolve, frozen

from comfywatchman_core.containers import Carried, Source, open_source, read_container
from comfywatchman_core.errors import NoWorkflow, WorkflowError
from comfywatchman_core.merging import merge_requests
from comfywatchman_core.models import ModelRequest
from comfywatchman_core.names import has_model_extension, same_name_key
from comfywatchman_core.report import Problem

from .documents import graphs, parse
from .effort import Effort
from .graph import is_graph, read_graph
from .loaders import LoaderTable, packaged
from .parameters import Named, named_models
from .prompts import read_prompt
from .requests import Reading, read_nodes, read_parameters


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


def read_workflow_bytes(data: bytes, *, label: str, loaders: LoaderTable | None = None) -> Workflow:
    """Read a workflow that is in memory already, standard input for one. Raises as :func:`read_workflow`."""
    try:
        return _read(Source.of_bytes(data), label, loaders)
    except WorkflowError as error:
        raise type(error)(f"{label}: {error}", hint=error.hint) from error


def _read(source: Source, label: str, loaders: LoaderTable | None) -> Workflow:
    loaders = loaders or packaged()
    carried = read_container(source)
    if carried.is_empty:
        raise NoWorkflow(f"this {carried.container.upper()} file carries no workflow")
    named = list(named_models(carried.parameters)) if carried.parameters is not None else []
    if carried.workflow is None and carried.prompt is None:
        reading = read_parameters(named, label)
        if not reading.requests and not reading.problems:
            raise NoWorkflow("its generation parameters name no model")
    else:
        reading = _with_hashes(_read_graphs(carried, label, loaders), named)
    return Workflow(name=label, requests=reading.requests, problems=reading.problems)


def _read_graphs(carried: Carried, label: str, loaders: LoaderTable) -> Reading:
    """Read the saved graph; the prompt made from it where there is no other, or the other cannot be read."""
    failure: WorkflowError | None = None
    for held in (carried.workflow, carried.prompt):
        if held is not None:
            try:
                return _joined([_read_document(graph, label, loaders) for graph in graphs(parse(held))])
            except WorkflowError as error:
                failure = failure or error
    assert failure is not None  # the caller saw one of the two
    raise failure


def _joined(readings: list[Reading]) -> Reading:
    if len(readings) == 1:
        return readings[0]
    return Reading(
        requests=merge_requests(request for reading in readings for request in reading.requests),
        problems=tuple(dict.fromkeys(problem for reading in readings for problem in reading.problems)),
    )


def _read_document(document: Any, label: str, loaders: LoaderTable) -> Reading:
    effort = Effort()
    if not is_graph(document):
        return read_nodes(read_prompt(document), loaders, label, effort)
    models = document.get("models")
    declared = [entry for entry in models if isinstance(entry, dict)] if isinstance(models, list) else []
    return read_nodes(read_graph(document, loaders, effort), loaders, label, effort, declared)


def _with_hashes(reading: Reading, named: Iterable[Named]) -> Reading:
    """Give the requests of a graph the hashes that generation parameters beside it state for the same names."""
    digests = {(one.folder, _stem(one.name)): one.digests for one in named if one.digests}
    if not digests:
        return reading
    requests = tuple(
        evolve(request, digests=digests.get((request.folder, _stem(str(request.name))), ()))
        if not request.digests
        else request
        for request in reading.requests
    )
    return evolve(reading, requests=requests)


def _stem(name: str) -> str:
    base = same_name_key(name).rpartition("/")[2]
    return base.rpartition(".")[0] if has_model_extension(base) else base
