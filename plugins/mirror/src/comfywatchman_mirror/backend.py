"""The hooks of the back end: which requests a mirror answers, and which transfers it takes over."""

from __future__ import annotations

import re
import threading
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from attrs import evolve

from comfywatchman_core import (
    API_VERSION,
    Artifact,
    BackendError,
    Candidate,
    Check,
    Context,
    Digest,
    Match,
    ModelRequest,
    errors,
    hookimpl,
)

from . import lookup
from .access import Access
from .layout import Facts, bytes_path
from .lending import lend
from .settings import Settings, unknown_keys
from .streaming import arrived, stream

_REFERENCE = re.compile(r"mirror:([0-9a-f]{64})", re.IGNORECASE)


class MirrorBackend:
    """The mirror at ``url`` of ``[backends.mirror]``; without that setting it declines everything."""

    api_version = API_VERSION
    priority = 95  # nearer than any table's source: a digest that it has is had at the network's own speed
    keeps_copies = True
    """Asked by digest even where a plan names the source."""

    def __init__(self) -> None:
        self._runs: WeakKeyDictionary[object, dict[str, Access]] = WeakKeyDictionary()
        self._lock = threading.Lock()

    def diagnose(self, context: Context) -> Iterator[Check]:
        """Say whether the mirror answers; for ``comfywatchman doctor``."""
        access = self._access(context)
        if access is None:
            return
        try:
            access.ask(context, lambda read: None)
        except BackendError as error:
            yield Check(name="reachable", passed=False, code=error.code, note=str(error))
        else:
            yield Check(name="reachable", passed=True, note=access.settings.url)

    @hookimpl
    def resolve_model(self, request: ModelRequest, context: Context) -> Sequence[Candidate] | None:
        """Offer what the mirror has under the request's digest; without one, under its name."""
        access = self._access(context)
        if access is None:
            return None
        named = _REFERENCE.fullmatch(request.reference or "")
        sha256 = named[1].lower() if named else request.sha256
        if sha256 is not None:
            facts = access.ask(context, lambda read: lookup.by_digest(read, sha256))
            certainty = Match.SOURCE_ID if named else Match.DIGEST
            return () if facts is None else (_offer(facts, certainty),)
        # An address, a reference or another digest says more exactly what is wanted than a name does.
        if request.reference or request.url or request.digests or request.name is None or not request.folder:
            return None
        folder, name = request.folder, str(request.name)
        found = access.ask(context, lambda read: lookup.by_name(read, folder, name))
        return [_offer(facts, Match.FILENAME) for facts in found]

    @hookimpl
    def download_artifact(self, candidate: Candidate, target: Path, context: Context) -> Artifact | None:
        """Bring the mirror's own offers, and the bytes of anybody's offer whose digest the mirror has."""
        access = self._access(context)
        sha256 = candidate.sha256
        if access is None or sha256 is None:
            return None
        is_own = context.name in (candidate.backend, candidate.delegate)
        if not is_own:
            try:
                facts = access.ask(context, lambda read: lookup.by_digest(read, sha256))
            except BackendError:  # told already
                return None
            if facts is None:
                return None
            candidate = evolve(candidate, size=facts.size)
        try:
            return self._bring(access, sha256, candidate, target, context)
        except BackendError as error:
            if not is_own or error.code is errors.ErrorCode.CHECKSUM_MISMATCH:
                access.warn(context, f"{error}; another source follows. {error.hint or ''}".strip())
            if is_own or error.code is errors.ErrorCode.DISK_FULL:
                raise
            return None

    def _bring(self, access: Access, sha256: str, candidate: Candidate, target: Path, context: Context) -> Artifact:
        """:raises BackendError: ``checksum_mismatch``: the mirror has other bytes under this digest."""
        path = bytes_path(sha256)
        store = access.store
        address = f"{access.settings.url}/{path}" if store is None else store.signed(path)
        if address is not None:
            endpoint = access.settings.url if store is None else _origin(address)
            source = evolve(candidate, url=address, endpoint=endpoint, backend=context.name)
            artifact = context.fetch(source, target)
        else:
            artifact = self._from_store(access, path, candidate, target, context)
        actual = next((one.value for one in artifact.digests if one.algorithm == "sha256"), None)
        if actual != sha256:
            target.unlink(missing_ok=True)
            raise BackendError(
                f"the mirror {access.settings.url} holds other bytes as {sha256}: {actual}; they are refused",
                code=errors.ErrorCode.CHECKSUM_MISMATCH,
                hint="Run `comfywatchman-mirror check --remove`, then push the file again.",
            )
        return artifact

    def _from_store(self, access: Access, path: str, candidate: Candidate, target: Path, context: Context) -> Artifact:
        store, settings = access.store, access.settings
        assert store is not None
        stored = store.stat(path)
        if stored is None:
            raise BackendError(f"{path} is not in the mirror {settings.url}", code=errors.ErrorCode.NOT_FOUND)
        if candidate.size not in (None, stored.size):
            raise BackendError(
                f"the mirror {settings.url} has {stored.size} bytes of {path}, where {candidate.size} are stated",
                code=errors.ErrorCode.SIZE_MISMATCH,
                hint="Run `comfywatchman-mirror check --remove`, then push the file again.",
            )
        if settings.scheme == "file" and lend(settings.directory / path, target, settings.link):
            return arrived(target, candidate, context)
        sha256 = path.rpartition("/")[2]
        return stream(lambda start: store.pieces(path, start), target, sha256, stored.size, candidate, context)

    def _access(self, context: Context) -> Access | None:
        """What is remembered of the mirror as long as the core uses one client: a run."""
        settings = Settings.read(context.settings)
        if settings is None:
            return None
        with self._lock:
            known = self._runs.setdefault(context.http, {})
            access = known.get(settings.url)
            if access is None:
                access = known[settings.url] = Access(settings)
                weakref.finalize(context.http, access.close)
        for key in unknown_keys(context.settings):
            access.warn(context, f"[backends.{context.name}] has no setting {key!r}; it is ignored.")
        return access


def _offer(facts: Facts, match: Match) -> Candidate:
    return Candidate(
        match=match,
        url=f"mirror:{facts.sha256}",  # not where this machine has its mirror: offers are stored, and travel
        size=facts.size,
        digests=(Digest("sha256", facts.sha256),),
        name=facts.name,
        folder=facts.folder,
        reference=f"mirror:{facts.sha256}",
        notes=(f"pushed from {facts.reference}",) if facts.reference else (),
    )


def _origin(address: str) -> str:
    """Where a signed address leads: the endpoint that the user, or the store's library for him, configured."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}"
