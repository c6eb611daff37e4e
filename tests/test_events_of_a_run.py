"""What a listener is told of a run: how much lies ahead, and everything about one file under one label."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from standins.shelf import Files, Shelf, node, serve_files, write_workflow

import comfywatchman_core as cw
from comfywatchman_core.events import (
    BackendAsked,
    DownloadStarted,
    Event,
    FileSettled,
    Queued,
    StateChanged,
    Surveyed,
    TransferState,
)
from comfywatchman_core.http import ApiClient
from comfywatchman_core.pacing import HostGates
from comfywatchman_core.testing import Reply, safetensors, serve

INK, TIDE = safetensors("ink"), safetensors("tide")


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    with serve_files() as (files, origin):
        shelf = Shelf(origin.url)
        _fill(files, shelf)
        yield shelf


def _fill(files: Files, shelf: Shelf) -> None:
    for name, data in (("ink.safetensors", INK), ("tide.safetensors", TIDE)):
        files.by_path[name] = data
        shelf.put(name, data)


@pytest.fixture
def told() -> list[Event]:
    return []


def test_how_much_is_missing_is_told_once_before_anybody_is_asked(
    shelf: Shelf, told: list[Event], tmp_path: Path
) -> None:
    workflow = write_workflow(
        tmp_path / "w.json", *map(node, ("ink.safetensors", "tide.safetensors", "no.safetensors"))
    )
    there = tmp_path / "models" / "loras" / "tide.safetensors"
    there.parent.mkdir(parents=True)
    there.write_bytes(TIDE)

    cw.ensure_models(workflow, models_dir=tmp_path / "models", backends={"shelf": shelf}, on_event=told.append)

    assert [event for event in told if isinstance(event, Surveyed)] == [Surveyed(needed=3, missing=2)]
    kinds = [type(event) for event in told]
    assert kinds.index(Surveyed) < kinds.index(BackendAsked)


def test_what_is_found_is_told_with_its_size_before_its_first_byte_and_what_nobody_knows_is_not(
    shelf: Shelf, told: list[Event], tmp_path: Path
) -> None:
    workflow = write_workflow(tmp_path / "w.json", *map(node, ("ink.safetensors", "no.safetensors")))

    cw.ensure_models(workflow, models_dir=tmp_path / "models", backends={"shelf": shelf}, on_event=told.append)

    (queued,) = (event for event in told if isinstance(event, Queued))
    assert (queued.label, queued.candidate.size) == ("loras/ink.safetensors", len(INK))
    kinds = [type(event) for event in told]
    assert kinds.index(Queued) < kinds.index(DownloadStarted)


def test_a_reference_keeps_its_label_although_its_file_gets_a_name(
    shelf: Shelf, told: list[Event], tmp_path: Path
) -> None:
    report = cw.ensure_models(
        "shelf:ink.safetensors",
        models_dir=tmp_path / "models",
        backends={"shelf": shelf},
        folder="loras",
        on_event=told.append,
    )

    assert report.entries[0].request.label == "loras/ink.safetensors"
    labels = {event.label for event in told if isinstance(event, (Queued, DownloadStarted, BackendAsked, FileSettled))}
    assert labels == {"shelf:ink.safetensors"}


class Clock:
    """Time passes when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_a_client_that_waits_for_its_turn_says_for_whom_and_how_long() -> None:
    clock, waits = Clock(), []
    gates = HostGates(clock=clock, sleep=clock.sleep)
    with serve(lambda asked: Reply.json({})) as origin:
        client = ApiClient(gates=gates, on_wait=lambda origin, seconds: waits.append((origin, seconds)))
        client.get_json(origin.url)
        assert waits == []

        gates.close(origin.url, 12.0)
        client.get_json(origin.url)

    assert waits == [(origin.url, 12.0)]


def test_a_source_that_keeps_the_search_waiting_is_told_of(told: list[Event], tmp_path: Path) -> None:
    """By a state without a label: several files wait."""
    answers = iter([Reply.json({}, 429, Retry_After="2")])

    class Asking:
        api_version = 1
        priority = 50

        @cw.hookimpl
        def resolve_model(self, request: cw.ModelRequest, context: cw.Context) -> tuple[cw.Candidate, ...]:
            context.http.get_json(url)
            return ()

    with serve(lambda asked: next(answers, Reply.json({}))) as origin:
        url = origin.url
        workflow = write_workflow(tmp_path / "w.json", node("ink.safetensors"))
        cw.ensure_models(workflow, models_dir=tmp_path / "m", backends={"asking": Asking()}, on_event=told.append)

    (wait,) = (event for event in told if isinstance(event, StateChanged) and event.state is TransferState.WAITING)
    assert wait.label == ""
    assert wait.seconds == pytest.approx(2, abs=0.9)
    assert wait.reason == f"before asking {origin.url} again"
