"""The contract kit finds what is wrong with a back end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from comfywatchman_core import BackendError, Candidate, Match, ModelRequest, backends, events, hookimpl
from comfywatchman_core.testing.contract import BackendContract


class Sound:
    """Asks a server for the address of a name, and offers it."""

    api_version = 1
    priority = 50

    def offer(self, request: Any, context: Any) -> Any:
        token = {"Authorization": f"Bearer {context.settings.get('token', '')}"}
        found = context.http.get_json(f"{context.settings['url']}/{request.name}", headers=token, retries=0)
        if not isinstance(found, dict) or not isinstance(found.get("url"), str):
            raise BackendError("the server answered nonsense")
        return [Candidate(match=Match.FILENAME, url=found["url"])]

    @hookimpl
    def resolve_model(self, request, context):  # type: ignore[no-untyped-def]
        return self.offer(request, context) if "url" in context.settings else None


class Contract(BackendContract):
    __test__ = False
    entry_point = "toy"
    endpoint_setting = "url"
    needs_settings = True
    known = ModelRequest(name="ink.safetensors", folder="loras")
    unknown = ModelRequest(name="paper.safetensors", folder="loras")


Kit = Callable[..., None]


@pytest.fixture
def kit(tmp_path: Path) -> Kit:
    """Run one test of the kit on a back end."""

    def kit(test: str, backend: object, settings: Mapping[str, object] | None = None, **more: Any) -> None:
        alone = backends.load(builtin={"toy": backend}, discover=False)
        values = {"alone": alone, "settings": settings or {}, "events": [], "tmp_path": tmp_path, **more}
        method = getattr(Contract(), test)
        names = method.__code__.co_varnames[1 : method.__code__.co_argcount]
        method(**{name: values[name] for name in names})

    return kit


TOKEN = "test_its_token_is_in_no_offer_no_event_and_no_error"
REDIRECT = "test_its_token_does_not_follow_a_redirect_to_another_origin"
MISBEHAVIOUR = "test_a_server_that_misbehaves_is_a_failure_or_nothing_found_and_never_a_crash"


@pytest.mark.parametrize("how", ["429", "500", "html", "garbage", "cut", "reset", "slow", "stalled"])
def test_a_sound_back_end_gets_through_every_misbehaviour(kit: Kit, how: str) -> None:
    kit(MISBEHAVIOUR, Sound(), how=how)


def test_a_sound_back_end_keeps_its_token_where_it_belongs(kit: Kit) -> None:
    kit(REDIRECT, Sound())
    kit("test_declines_while_it_is_not_set_up", Sound())


@pytest.mark.parametrize("where", ["details", "event", "error", "cause"])
def test_a_token_that_gets_out_is_found_wherever_it_went(kit: Kit, where: str) -> None:
    class Leaky(Sound):
        def offer(self, request: Any, context: Any) -> Any:
            token = context.settings["token"]
            if where == "event":
                context.emit(events.Warned(message=f"asking with {token}"))
            if where == "error":
                raise BackendError("refused", hint=f"{token} is not accepted")
            if where == "cause":
                raise BackendError("refused") from ValueError(token)
            return [Candidate(match=Match.FILENAME, url="https://example.org/ink", details={"key": token})]

    with pytest.raises(AssertionError):
        kit(TOKEN, Leaky(), {"url": "http://127.0.0.1:9"})


def test_a_token_that_follows_a_redirect_is_found(kit: Kit) -> None:
    class Follower(Sound):
        def offer(self, request: Any, context: Any) -> Any:
            import urllib.request

            headers = {"X-Key": context.settings["token"]}
            with urllib.request.urlopen(urllib.request.Request(context.settings["url"], headers=headers)):
                return ()

    with pytest.raises(AssertionError):
        kit(REDIRECT, Follower())


def test_a_crash_over_a_wrong_answer_is_found(kit: Kit) -> None:
    class Trusting(Sound):
        def offer(self, request: Any, context: Any) -> Any:
            found = context.http.get_json(context.settings["url"])
            return [Candidate(match=Match.FILENAME, url=found["url"])]

    with pytest.raises(AssertionError):
        kit(MISBEHAVIOUR, Trusting(), how="garbage")


def test_a_back_end_that_answers_without_being_set_up_is_found(kit: Kit) -> None:
    class Eager(Sound):
        @hookimpl
        def resolve_model(self, request, context):  # type: ignore[no-untyped-def]
            return ()

    with pytest.raises(AssertionError):
        kit("test_declines_while_it_is_not_set_up", Eager())
