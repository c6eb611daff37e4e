"""The hooks of the back end: which requests are the Hub's, and what a transfer from it needs."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from weakref import WeakKeyDictionary

from attrs import evolve

from comfywatchman_core import (
    API_VERSION,
    Artifact,
    BackendError,
    Candidate,
    Check,
    Context,
    ModelRequest,
    errors,
    hookimpl,
)

from . import chunks, gitblobs, refusals
from .asking import Asker, origin
from .hub import Hub
from .ladder import Ladder
from .publishers import PublisherIndex
from .references import STORAGE_HOSTS, HubFile, read_reference, read_storage_link
from .run import Run
from .settings import HOME, HOSTS, MIRRORS, VARIABLES, Settings, read_token, unknown_keys


class HuggingFaceBackend:
    """The Hugging Face Hub, or a mirror of it."""

    api_version = API_VERSION
    priority = 60
    hosts = (*HOSTS, *MIRRORS, *STORAGE_HOSTS)
    """Addresses on these are this back end's; the core's own engine does not answer for them."""
    variables = VARIABLES

    def __init__(self) -> None:
        self._runs: WeakKeyDictionary[object, dict[str, Run]] = WeakKeyDictionary()
        self._lock = threading.Lock()

    def prepare(self, requests: Sequence[ModelRequest], context: Context) -> None:
        """Remember all names of a run, so that one question to a repository serves for all of its files."""
        settings = Settings.read(context.settings)
        names = [
            request.name.name
            for request in requests
            if request.name is not None and (request.url is None or read_reference(request.url, settings) is None)
        ]
        self._run(context, settings).want(names)

    def diagnose(self, context: Context) -> Iterator[Check]:
        """Say whether the endpoint answers and the token is accepted; for ``comfywatchman doctor``."""
        settings = Settings.read(context.settings)
        hub = self._hub(context, settings)
        token_is_set = hub.asker.signed_in
        try:
            account = hub.account()
        except BackendError as error:
            yield Check(name="reachable", passed=False, code=error.code, note=str(error))
            return
        yield Check(name="reachable", passed=True, note=settings.endpoint)
        if not token_is_set:
            yield Check(name="token", passed=True, note="not set; gated and private repositories cannot be read")
        elif account is None:
            note = f"set, and not accepted by the Hub; renew it at {HOME}/settings/tokens"
            yield Check(name="token", passed=False, code=errors.ErrorCode.AUTH_REQUIRED, note=note)
        else:
            yield Check(name="token", passed=True, note=f"accepted, of the account {account}")

    @hookimpl
    def resolve_model(self, request: ModelRequest, context: Context) -> Sequence[Candidate] | None:
        """Say where *request* is on the Hub; see the core's contract."""
        settings = Settings.read(context.settings)
        reference = _reference(request, settings)
        if request.reference is not None and reference is None:
            return None
        if request.name is None and reference is None:
            return None
        hub = self._hub(context, settings)
        ladder = Ladder(hub, PublisherIndex(hub, context.cache_dir))
        if reference is not None:
            return ladder.by_reference(reference, request)
        return ladder.by_workflow(request)

    @hookimpl
    def download_artifact(
        self, candidate: Candidate, target: Path, headers: Mapping[str, str], context: Context
    ) -> Artifact | None:
        """Hand the transfer on to the core's engine with the token; see the core's contract."""
        if candidate.backend != context.name and candidate.delegate != context.name:
            return None
        settings = Settings.read(context.settings)
        hub = self._hub(context, settings)
        if settings.offline:
            raise BackendError(
                "nothing is fetched from the Hub: HF_HUB_OFFLINE is set",
                code=errors.ErrorCode.UNAVAILABLE,
                hint="Unset HF_HUB_OFFLINE to download.",
            )
        own = origin(candidate.url) == origin(settings.endpoint)
        if own and chunks.is_worth_it(candidate, settings) and self._may_be_had(hub, candidate):
            fetched = chunks.fetch(candidate, target, token=hub.asker.token, settings=settings, context=context)
            if fetched is not None:
                return fetched
        try:
            return context.fetch(candidate, target, headers={**headers, **(hub.asker.headers if own else {})})
        except BackendError as error:
            answer = error.response
            if answer is None or answer.status < 400 or not own or origin(answer.url) != origin(settings.endpoint):
                raise
            if hub.asker.signed_in and refusals.is_bad_token(answer):
                hub.asker.distrust_token()
                again = candidate
            else:
                file = read_reference(candidate.url, settings) or HubFile(repo="unknown")
                refusal = refusals.refusal(answer, file, settings, signed_in=hub.asker.signed_in)
                moved = self._moved(hub, candidate, file, refusal)
                if moved is None:
                    raise refusal from error
                again = moved
        return context.fetch(again, target, headers={**headers, **hub.asker.headers})

    @hookimpl
    def verify_artifact(self, artifact: Artifact, candidate: Candidate, context: Context) -> Sequence[Check] | None:
        """Compare small files, for which the Hub publishes a git hash only; refuse LFS pointers."""
        if candidate.backend != context.name and candidate.delegate != context.name:
            return None
        return gitblobs.checks(artifact, candidate, context.cancelled)

    def _may_be_had(self, hub: Hub, candidate: Candidate) -> bool:
        """Ask through the core's client, which knows whether this run may use the network at all."""
        file = read_reference(candidate.url, hub.settings)
        try:
            return file is not None and hub.locate(file).facts.sha256 == candidate.sha256
        except BackendError:
            return False

    def _moved(self, hub: Hub, candidate: Candidate, file: HubFile, refusal: BackendError) -> Candidate | None:
        """The same bytes at the present revision, where the pinned one is gone (its history was squashed)."""
        if refusal.code is not errors.ErrorCode.NOT_FOUND or not candidate.sha256 or not file.is_pinned:
            return None
        try:
            located = hub.locate(evolve(file, revision=None))
        except BackendError:
            return None
        if located.facts.sha256 != candidate.sha256:
            return None
        return evolve(candidate, url=located.file.url(hub.settings.endpoint), reference=located.file.reference)

    def _hub(self, context: Context, settings: Settings) -> Hub:
        run = self._run(context, settings)
        asker = Asker(context, settings, run, read_token(context.settings))
        for key in unknown_keys(context.settings):
            asker.warn(f"[backends.{context.name}] has no setting {key!r}; it is ignored.")
        if asker.signed_in and not settings.is_home and not settings.is_local:
            asker.warn(f"The token of the Hub is sent to {settings.endpoint}, the endpoint that is configured.")
        return Hub(asker)

    def _run(self, context: Context, settings: Settings) -> Run:
        """What is remembered as long as the core uses one client: a run."""
        with self._lock:
            return self._runs.setdefault(context.http, {}).setdefault(settings.endpoint, Run())


def _reference(request: ModelRequest, settings: Settings) -> HubFile | None:
    """What the user typed, or put into a plan, if it is the Hub's."""
    text = request.reference or (request.url if request.explicit and request.name is None else None)
    if text is None:
        return None
    found = read_reference(text, settings)
    if found is None and read_storage_link(text) is not None:
        raise BackendError(
            "this is a link to the Hub's storage, which works for an hour only",
            code=errors.ErrorCode.UNAVAILABLE,
            hint="Give the address of the file's page instead (…/blob/… or …/resolve/…).",
        )
    if found is None and text.startswith("hf:"):
        raise BackendError(
            f"{text[:200]!a} names no file of the Hub",
            code=errors.ErrorCode.NOT_FOUND,
            hint="Write hf:OWNER/REPOSITORY/PATH, with @REVISION behind it if need be.",
        )
    return found
