"""A conformance kit for back ends.

Subclass :class:`BackendContract` in the back end's own test suite::

    from comfywatchman_core import ModelRequest
    from comfywatchman_core.testing import BackendContract

    class TestContract(BackendContract):
        entry_point = "shelf"
        known = ModelRequest(name="a.safetensors", folder="loras")
        unknown = ModelRequest(name="no-such-model-7f3a.safetensors", folder="loras")

Override the fixture ``settings`` where the back end needs its configuration
table to answer, for instance the address of a server that the test runs. The
attributes of the class say what else the kit may try.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from inspect import Parameter, signature
from pathlib import Path

import pytest

from comfywatchman_core import backends as _backends
from comfywatchman_core.config import BackendTable, Config, Download
from comfywatchman_core.conversation import Conversation, Surroundings
from comfywatchman_core.errors import BackendError
from comfywatchman_core.events import Event
from comfywatchman_core.hooks import GROUP, PROJECT, Backend, Context
from comfywatchman_core.http import ApiClient, Transport
from comfywatchman_core.models import Artifact, Candidate, Match, ModelRequest, Outcome

from .misbehaviour import MISBEHAVIOURS, misbehaving, redirecting
from .spelling import spelled_out

HEAVY = ("requests", "urllib3", "httpx", "httpx2", "aiohttp", "huggingface_hub")
"""Modules that no back end may import before it is asked something."""

_LONGEST_ANSWER = 30.0
"""Seconds in which a back end must have said something, whatever its server does."""


def _no_engine(candidate: Candidate, target: Path, *, headers: Mapping[str, str] = {}) -> Artifact:
    raise BackendError(f"the contract kit downloads nothing: {candidate.url}")


class BackendContract:
    """What every back end must do, whatever its source."""

    entry_point: str
    """Its name in the group ``comfywatchman.backends``."""
    known: ModelRequest
    """A request that it answers with candidates, under the fixture ``settings``."""
    unknown: ModelRequest
    """A request that it has nothing for."""
    needs_settings: bool = False
    """Without its settings it knows nothing, and declines."""
    endpoint_setting: str = ""
    """The setting that holds its server's address; with it, the kit also plays a server that misbehaves."""
    token_setting: str = "token"
    """The setting that holds its token."""
    secret: str = "kit-secret-5f2b9c"
    """A value that the tests put where the back end looks for its token, and then look for everywhere else."""

    @pytest.fixture
    def settings(self) -> Mapping[str, object]:
        """The back end's configuration table."""
        return {}

    @pytest.fixture
    def events(self) -> list[Event]:
        """What the back end told."""
        return []

    @pytest.fixture
    def context(self, events: list[Event], settings: Mapping[str, object], tmp_path: Path) -> Context:
        """What the core would lend."""
        return self._context(settings, events, tmp_path / "cache")

    @pytest.fixture
    def backend(self) -> Backend:
        """The installed back end."""
        loaded: Backend = self._found().load()
        return loaded

    @pytest.fixture
    def alone(self, backend: Backend) -> _backends.Backends:
        """The back end, loaded by the core and nothing beside it."""
        return _backends.load(builtin={self.entry_point: backend}, discover=False)

    def _found(self) -> EntryPoint:
        (found,) = entry_points(group=GROUP, name=self.entry_point)
        return found

    def _context(self, settings: Mapping[str, object], events: list[Event], cache: Path) -> Context:
        return Context(
            name=self.entry_point,
            settings=settings,
            emit=events.append,
            fetch=_no_engine,
            http=ApiClient(Transport(), retries=0, timeout=5),
            cache_dir=cache,
        )

    def _conversation(
        self,
        alone: _backends.Backends,
        settings: Mapping[str, object],
        events: list[Event],
        place: Path,
        *,
        silence: float = 5.0,
    ) -> Conversation:
        """Ask as the core does, with everything that it checks in answers, and with little patience."""
        config = Config(
            backends=BackendTable(settings={self.entry_point: dict(settings)}),
            download=Download(timeout_seconds=_LONGEST_ANSWER),
            state_dir=place,
        )
        around = Surroundings(
            backends=alone,
            config=config,
            http=ApiClient(Transport(), retries=0, timeout=silence),
            emit=events.append,
            cancelled=lambda: False,
        )
        return Conversation(label="kit", around=around)

    def test_is_accepted_by_the_core(self, alone: _backends.Backends) -> None:
        assert [problem.reason for problem in alone.problems] == []
        assert alone.names == (self.entry_point,)

    def test_import_stays_light(self) -> None:
        code = f"import {self._found().module}, sys; print([m for m in {HEAVY!r} if m in sys.modules])"
        output = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
        assert output.strip() == "[]"

    def test_hooks_take_no_defaults_and_no_order_of_their_own(self, backend: Backend) -> None:
        """pluggy before 1.7 never fills an argument that has a default; the core alone decides the order."""
        for name in dir(type(backend)):
            options = getattr(getattr(type(backend), name), f"{PROJECT}_impl", None)
            if options is not None:
                parameters = signature(getattr(backend, name)).parameters.values()
                assert all(parameter.default is Parameter.empty for parameter in parameters), name
                assert not options["tryfirst"], name
                assert not options["trylast"], name

    def test_answers_a_request_it_knows_with_offers_that_the_core_accepts(
        self, alone: _backends.Backends, settings: Mapping[str, object], events: list[Event], tmp_path: Path
    ) -> None:
        (answer,) = self._conversation(alone, settings, events, tmp_path).resolve(self.known)
        assert answer.attempt.failure is None
        assert answer.attempt.outcome is Outcome.ANSWERED
        assert answer.value

    def test_offers_nothing_for_a_request_it_does_not_know(
        self, alone: _backends.Backends, settings: Mapping[str, object], events: list[Event], tmp_path: Path
    ) -> None:
        (answer,) = self._conversation(alone, settings, events, tmp_path).resolve(self.unknown)
        assert answer.attempt.failure is None
        assert not [offer for offer in answer.value or () if offer.match > Match.FUZZY]

    def test_same_question_same_answer(
        self, alone: _backends.Backends, settings: Mapping[str, object], events: list[Event], tmp_path: Path
    ) -> None:
        conversation = self._conversation(alone, settings, events, tmp_path)
        first, second = (next(conversation.resolve(self.known)).value for _ in range(2))
        assert first == second

    def test_does_not_answer_a_name_that_only_ends_like_one_it_knows(
        self, alone: _backends.Backends, settings: Mapping[str, object], events: list[Event], tmp_path: Path
    ) -> None:
        if self.known.name is None:
            return  # asked for by reference: there is no name to come near to
        near = ModelRequest(name=f"zz9-{self.known.name.name}", folder=self.known.folder)
        (answer,) = self._conversation(alone, settings, events, tmp_path).resolve(near)
        assert not [offer for offer in answer.value or () if offer.match > Match.FUZZY]

    def test_leaves_another_back_ends_candidate_alone(
        self, alone: _backends.Backends, context: Context, tmp_path: Path
    ) -> None:
        foreign = Candidate(match=Match.FILENAME, url="unknown://somewhere", backend="someone-else")
        target = tmp_path / "target"
        for answer in alone.ask(
            "download_artifact", lambda name: context, candidate=foreign, target=target, headers={}
        ):
            assert answer.attempt.outcome is Outcome.DECLINED
        assert not target.exists()

    def test_declines_while_it_is_not_set_up(
        self, alone: _backends.Backends, events: list[Event], tmp_path: Path
    ) -> None:
        if not self.needs_settings:
            pytest.skip("this back end works without settings")
        (answer,) = self._conversation(alone, {}, events, tmp_path).resolve(self.known)
        assert answer.attempt.failure is None
        assert answer.attempt.outcome is Outcome.DECLINED

    def test_its_token_is_in_no_offer_no_event_and_no_error(
        self, alone: _backends.Backends, settings: Mapping[str, object], events: list[Event], tmp_path: Path
    ) -> None:
        changed = {**settings, self.token_setting: self.secret}
        answers = [
            answer
            for request in (self.known, self.unknown)
            for answer in self._conversation(alone, changed, events, tmp_path).resolve(request)
        ]
        assert answers
        assert self.secret not in spelled_out((answers, events))

    def test_its_token_does_not_follow_a_redirect_to_another_origin(
        self, alone: _backends.Backends, settings: Mapping[str, object], events: list[Event], tmp_path: Path
    ) -> None:
        self._skip_without_a_server()
        with redirecting() as (address, arrived):
            changed = {**settings, self.endpoint_setting: address, self.token_setting: self.secret}
            answers = list(self._conversation(alone, changed, events, tmp_path).resolve(self.known))
        assert self.secret not in spelled_out((arrived, answers, events))

    @pytest.mark.parametrize("how", MISBEHAVIOURS)
    def test_a_server_that_misbehaves_is_a_failure_or_nothing_found_and_never_a_crash(
        self,
        alone: _backends.Backends,
        settings: Mapping[str, object],
        events: list[Event],
        tmp_path: Path,
        how: str,
    ) -> None:
        self._skip_without_a_server()
        with misbehaving(how) as address:
            changed = {**settings, self.endpoint_setting: address, self.token_setting: self.secret}
            conversation = self._conversation(alone, changed, events, tmp_path, silence=1.0)
            answers = list(conversation.resolve(self.known))
        assert answers
        for answer in answers:
            assert not [offer for offer in answer.value or () if offer.match > Match.FUZZY]
            assert answer.error is None or isinstance(answer.error, BackendError), repr(answer.error)
            assert not isinstance(answer.error, _backends.TimedOut), "it waited for ever"
        assert self.secret not in spelled_out((answers, events))

    def _skip_without_a_server(self) -> None:
        if not self.endpoint_setting:
            pytest.skip("this back end asks no server, or does not say which setting holds its address")
