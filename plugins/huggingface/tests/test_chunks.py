"""The optional way through the Hub's chunk store: faster where it works, and never worse than HTTP."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from comfywatchman_huggingface import chunks
from comfywatchman_huggingface.settings import Settings
from standins.hub import HubStandIn
from standins.hub_desk import Desk

from comfywatchman_core import Candidate, errors, events
from comfywatchman_core.testing import safetensors

LARGE = safetensors("large", 3_000_000)


@pytest.fixture(autouse=True)
def small_files_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "WORTH_IT", 1)


@pytest.fixture
def xet_desk(desk: Desk) -> Iterator[Desk]:
    desk.settings |= {"engine": "xet", "xet_silence": 30.0}
    yield desk
    assert not list(desk.folder.glob("chunks-*")), "the staging folder stays behind"


def offer(desk: Desk, hub: HubStandIn, scenario: str) -> Candidate:
    hub.add_repo("Comfy-Org/large", {"vae/large.safetensors": LARGE}, scenario=scenario)
    (found,) = desk.resolve(name="", reference="hf:Comfy-Org/large/vae/large.safetensors") or []
    return found


def test_a_file_comes_out_of_the_chunk_store_when_the_settings_say_so(xet_desk: Desk, hub: HubStandIn) -> None:
    assert xet_desk.download(offer(xet_desk, hub, "xet")) == LARGE

    assert hub.cas_requests
    assert not hub.cdn_requests
    received = [event.received for event in xet_desk.told if isinstance(event, events.BytesReceived)]
    assert received == sorted(received)
    assert received[-1] == len(LARGE)


def test_the_chunk_store_is_left_alone_unless_the_settings_say_so(desk: Desk, hub: HubStandIn) -> None:
    assert desk.download(offer(desk, hub, "xet")) == LARGE

    assert not hub.cas_requests


def test_the_users_own_switch_turns_the_chunk_store_off(
    xet_desk: Desk, hub: HubStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")

    assert xet_desk.download(offer(xet_desk, hub, "xet")) == LARGE
    assert not hub.cas_requests


@pytest.mark.parametrize("scenario", ["xet-hangs", "xet-unreachable", "xet-broken"])
def test_a_chunk_store_that_fails_gives_way_to_http_in_seconds(xet_desk: Desk, hub: HubStandIn, scenario: str) -> None:
    started = time.monotonic()
    xet_desk.settings["xet_silence"] = 2.0

    assert xet_desk.download(offer(xet_desk, hub, scenario)) == LARGE

    assert hub.cdn_requests
    assert any("the file is fetched by HTTP" in message for message in xet_desk.warnings)
    assert time.monotonic() - started < 60  # the client itself waits for minutes


def test_a_transfer_that_is_stopped_ends_its_process(xet_desk: Desk, hub: HubStandIn) -> None:
    found = offer(xet_desk, hub, "xet-hangs")
    xet_desk.cancelled = lambda: True

    with pytest.raises(errors.Cancelled):
        xet_desk.download(found)


def test_a_file_that_may_not_be_had_any_more_starts_no_process(xet_desk: Desk, hub: HubStandIn) -> None:
    found = offer(xet_desk, hub, "xet")
    hub.repositories["models", "Comfy-Org/large"].gated = "manual"

    with pytest.raises(errors.AuthRequired):
        xet_desk.download(found)

    assert not hub.cas_requests
    assert not any(isinstance(event, events.DownloadStarted) for event in xet_desk.told)


def test_the_process_ends_with_whoever_started_it(hub: HubStandIn, xet_desk: Desk) -> None:
    found = offer(xet_desk, hub, "xet-hangs")
    settings = Settings(endpoint=hub.url, engine="xet")
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "comfywatchman_huggingface.chunk_child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    assert child.stdin is not None
    child.stdin.write(chunks._task(found, xet_desk.folder, None, settings) + "\n")
    child.stdin.flush()

    child.stdin.close()

    assert child.wait(30) == 3


def test_the_token_reaches_the_endpoint_and_neither_store_nor_arguments(
    xet_desk: Desk, hub: HubStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", hub.token)
    seen: list[object] = []
    start = chunks.subprocess.Popen
    monkeypatch.setattr(chunks.subprocess, "Popen", lambda *a, **k: seen.append(a) or start(*a, **k))

    assert xet_desk.download(offer(xet_desk, hub, "xet")) == LARGE

    assert any(asked.headers.get("authorization") == f"Bearer {hub.token}" for asked in hub.requests)
    assert seen
    assert hub.token not in repr(seen)
    assert not any(hub.token in repr(asked.headers) for asked in hub.cas_requests)
