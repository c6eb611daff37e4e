"""A listener is told everything that matters, in order, and nobody waits for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from standins.shelf import Shelf, node, serve_files, write_workflow

import comfywatchman_core as cw
from comfywatchman_core.events import BytesReceived, DownloadFinished, Event, FileSettled, Warned
from comfywatchman_core.telling import Telling
from comfywatchman_core.testing import safetensors


@contextmanager
def telling(listener: Callable[[Event], object]) -> Iterator[Telling]:
    told = Telling(listener)
    told.begin()
    try:
        yield told
    finally:
        told.end()


def progress(label: str, received: int) -> BytesReceived:
    return BytesReceived(label=label, received=received, size=100)


def test_events_are_told_in_the_order_in_which_they_happened() -> None:
    heard: list[Event] = []
    events = [Warned(message=str(number)) for number in range(1000)]

    with telling(heard.append) as told:
        for event in events:
            told(event)

    assert heard == events


def test_what_happens_before_the_beginning_is_told_after_it() -> None:
    heard: list[Event] = []
    told = Telling(heard.append)
    told(Warned(message="early"))
    assert heard == []

    told.begin()
    told.end()

    assert heard == [Warned(message="early")]


def test_nobody_waits_for_a_listener() -> None:
    free = threading.Event()
    heard: list[Event] = []

    def listen(event: Event) -> None:
        assert free.wait(20)
        heard.append(event)

    with telling(listen) as told:
        for number in range(100):
            told(Warned(message=str(number)))  # returns although nothing is heard
        assert heard == []
        free.set()

    assert len(heard) == 100


def test_of_the_progress_that_waits_only_the_newest_of_each_file_is_told_and_everything_else_is() -> None:
    busy, free = threading.Event(), threading.Event()
    heard: list[Event] = []

    def listen(event: Event) -> None:
        busy.set()
        assert free.wait(20)
        heard.append(event)

    with telling(listen) as told:
        told(progress("a", 1))
        assert busy.wait(20)
        for received in (2, 3):
            told(progress("a", received))
            told(progress("b", received))
            told(Warned(message=str(received)))
        free.set()

    assert heard == [progress("a", 1), Warned(message="2"), progress("a", 3), progress("b", 3), Warned(message="3")]


@pytest.mark.parametrize("error", [RuntimeError("the display is gone"), SystemExit(3), KeyboardInterrupt()])
def test_a_listener_that_raises_whatever_it_is_hears_nothing_more(error: BaseException) -> None:
    calls: list[Event] = []

    def listen(event: Event) -> None:
        calls.append(event)
        raise error

    with telling(listen) as told:
        told(Warned(message="1"))
        told(Warned(message="2"))

    assert calls == [Warned(message="1")]


def test_what_is_told_after_the_end_is_heard_by_nobody_and_raises_nothing() -> None:
    """A back end that was given up may still be at work, and tell of it."""
    heard: list[Event] = []
    with telling(heard.append) as told:
        pass

    told(Warned(message="late"))

    assert heard == []


def test_a_file_arrives_while_its_listener_is_still_at_the_first_event_and_all_is_told_in_the_end(
    tmp_path: Path,
) -> None:
    place = tmp_path / "models" / "loras" / "ink.safetensors"
    data = safetensors("ink", 200_000)
    heard: list[Event] = []
    arrived: list[bool] = []

    def listen(event: Event) -> None:
        if not heard:
            until = time.monotonic() + 20
            while not place.exists() and time.monotonic() < until:
                time.sleep(0.01)
            arrived.append(place.exists())
        heard.append(event)

    with serve_files() as (files, origin):
        shelf = Shelf(origin.url)
        files.by_path["ink.safetensors"] = data
        shelf.put("ink.safetensors", data)
        workflow = write_workflow(tmp_path / "w.json", node("ink.safetensors"))
        cw.ensure_models(workflow, models_dir=tmp_path / "models", backends={"shelf": shelf}, on_event=listen)

    assert arrived == [True]
    kinds = [type(event) for event in heard]
    assert DownloadFinished in kinds
    assert kinds[-1] is FileSettled
