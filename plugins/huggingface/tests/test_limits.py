"""Request limits, dead endpoints and working offline: told in seconds, waited for only when it is short."""

from __future__ import annotations

import time

import pytest
from comfywatchman_huggingface.run import Run
from standins.hub import HubStandIn
from standins.hub_desk import Desk, taken

from comfywatchman_core import BackendError, errors, events
from comfywatchman_core.testing import Asked, Reply, safetensors, serve, sha256

MODEL = safetensors("ae", 3000)
URL = "https://huggingface.co/Comfy-Org/flux/resolve/main/vae/ae.safetensors"


@pytest.fixture(autouse=True)
def flux(hub: HubStandIn) -> None:
    hub.add_repo("Comfy-Org/flux", {"vae/ae.safetensors": MODEL})


def test_a_limit_that_lasts_is_told_with_the_time_to_come_back(desk: Desk, hub: HubStandIn) -> None:
    hub.limits.exhaust("api", seconds=250)

    with pytest.raises(BackendError) as refused:
        desk.resolve()

    assert refused.value.code is errors.ErrorCode.RATE_LIMITED
    assert refused.value.retry_after == pytest.approx(250, abs=5)
    assert "HF_TOKEN" in (refused.value.hint or "")
    assert len(hub.requests) == 1


def test_a_limit_once_met_is_not_run_into_again(desk: Desk, hub: HubStandIn) -> None:
    hub.limits.exhaust("api", seconds=250)

    for _ in range(3):
        with pytest.raises(BackendError):
            desk.resolve()

    assert len(hub.requests) == 1


def test_an_address_is_confirmed_although_the_limit_of_the_other_kind_is_used_up(desk: Desk, hub: HubStandIn) -> None:
    hub.limits.exhaust("api", seconds=250)
    with pytest.raises(BackendError):
        desk.resolve()

    assert taken(desk.resolve(url=URL)).sha256 == sha256(MODEL)


def test_a_short_limit_is_waited_for_and_said(desk: Desk, hub: HubStandIn) -> None:
    hub.limits.exhaust("resolvers", seconds=1)

    assert taken(desk.resolve(url=URL)).sha256 == sha256(MODEL)

    (waiting,) = [event for event in desk.told if isinstance(event, events.StateChanged)]
    assert waiting.state is events.TransferState.WAITING
    assert waiting.seconds is not None
    assert 0 < waiting.seconds <= 2


def test_a_wait_ends_when_the_user_stops(desk: Desk, hub: HubStandIn) -> None:
    hub.limits.exhaust("resolvers", seconds=30)
    asked: list[int] = []

    def stop() -> bool:
        asked.append(1)
        return len(asked) > 2

    desk.cancelled = stop
    started = time.monotonic()

    with pytest.raises(errors.Cancelled):
        desk.resolve(url=URL)

    assert time.monotonic() - started < 15


def test_how_long_is_waited_is_a_setting(desk: Desk, hub: HubStandIn) -> None:
    hub.limits.exhaust("resolvers", seconds=30)
    desk.settings["longest_wait"] = 0

    with pytest.raises(BackendError) as refused:
        desk.resolve(url=URL)

    assert refused.value.code is errors.ErrorCode.RATE_LIMITED


def test_the_last_request_of_a_window_closes_the_next_one(desk: Desk, hub: HubStandIn) -> None:
    hub.limits.exhaust("api", seconds=250)
    hub.limits._counts["", "api"] -= 2  # two requests are left: the two publishers

    with pytest.raises(BackendError) as refused:
        desk.resolve()

    assert refused.value.code is errors.ErrorCode.RATE_LIMITED
    assert len(hub.requests) == 2


def test_a_server_in_trouble_is_asked_again(desk: Desk) -> None:
    replies = [Reply.json({"error": "x"}, 503), Reply.json({"error": "x"}, 502)]

    def answer(asked: Asked) -> Reply:
        if replies:
            return replies.pop()
        headers = {"X-Repo-Commit": "a" * 40, "X-Linked-Etag": f'"{sha256(MODEL)}"', "X-Linked-Size": "5"}
        return Reply(status=302, headers={**headers, "Location": "https://cdn.example.org/x"})

    with serve(answer) as server:
        desk.endpoint = server.url
        (offer,) = desk.resolve(url=URL) or []

    assert offer.sha256 == sha256(MODEL)


def test_a_dead_endpoint_is_told_in_seconds_and_not_asked_for_every_file(desk: Desk, hub: HubStandIn) -> None:
    desk.endpoint = hub.closed_url
    started = time.monotonic()

    for _ in range(20):
        with pytest.raises(BackendError) as failed:
            desk.resolve(url=URL)
        assert failed.value.code is errors.ErrorCode.NETWORK

    assert time.monotonic() - started < 8


def test_an_endpoint_with_no_address_is_told_at_once(desk: Desk) -> None:
    desk.endpoint = "https://hub.nowhere.invalid"

    with pytest.raises(BackendError) as failed:
        desk.resolve(url=URL)

    assert failed.value.code is errors.ErrorCode.NETWORK
    assert "hub.nowhere.invalid" in str(failed.value)


def test_a_dead_endpoint_is_asked_again_after_a_minute() -> None:
    now = [0.0]
    run = Run(clock=lambda: now[0])
    run.died(BackendError("nobody there", code=errors.ErrorCode.NETWORK))

    now[0] = 59
    with pytest.raises(BackendError, match="nobody there"):
        run.check_alive()
    now[0] = 61
    run.check_alive()


@pytest.mark.parametrize("variable", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
def test_offline_opens_no_socket(desk: Desk, hub: HubStandIn, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "1")

    with pytest.raises(BackendError) as refused:
        desk.resolve(url=URL)

    assert refused.value.code is errors.ErrorCode.UNAVAILABLE
    assert "HF_HUB_OFFLINE" in str(refused.value)
    assert not hub.requests


def test_offline_still_declines_what_is_somebody_elses(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    assert desk.resolve("", "", reference="civitai:1@2") is None


@pytest.mark.parametrize(
    "reply",
    [Reply.html("<!DOCTYPE html><title>Sign in to the hotel</title>"), Reply.json({"error": "what"})],
)
def test_an_endpoint_that_is_no_hub_is_said(desk: Desk, reply: Reply) -> None:
    with serve(lambda asked: reply) as server:
        desk.endpoint = server.url
        with pytest.raises(BackendError) as failed:
            desk.resolve()

    assert failed.value.code is errors.ErrorCode.UNAVAILABLE


@pytest.mark.parametrize(
    "listed",
    [
        [],
        [None, 7, "x", [], {}],
        [{"id": None}, {"id": "Comfy-Org/x"}, {"id": "Comfy-Org/x", "siblings": 7}],
        [{"id": "Comfy-Org/x", "siblings": [None, {}, {"rfilename": None}, {"rfilename": 7}]}],
        [{"id": "../x", "siblings": [{"rfilename": "ae.safetensors"}]}],
        [{"id": "Comfy-Org/x", "sha": 7, "downloads": "many", "siblings": [{"rfilename": "other.safetensors"}]}],
    ],
)
def test_a_list_of_nonsense_finds_nothing(desk: Desk, listed: list[object]) -> None:
    with serve(lambda asked: Reply.json(listed)) as server:
        desk.endpoint = server.url

        assert desk.resolve() == []


def test_a_mirror_that_lists_nothing_says_that_names_cannot_be_found_there(desk: Desk, hub: HubStandIn) -> None:
    hub.lists = False

    with pytest.raises(BackendError) as refused:
        desk.resolve()

    assert refused.value.code is errors.ErrorCode.UNAVAILABLE
    assert "does not list models" in str(refused.value)
    assert taken(desk.resolve(url=URL)).sha256 == sha256(MODEL)
