"""The back end's hooks: which way to look, and in which order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from comfywatchman_core import API_VERSION, Artifact, BackendError, Candidate, Check, ModelRequest, hookimpl

from .credentials import VARIABLES, WHERE_TO_PUT_IT, key_of
from .references import HOSTS, is_catalogue_link, read_reference
from .run import Runs
from .settings import Settings

if TYPE_CHECKING:
    from comfywatchman_core import Context

    from .service import Service


class CivitaiBackend:
    """Finds and downloads models of Civitai."""

    api_version = API_VERSION
    priority = 50
    hosts = HOSTS
    """Links on these hosts mean the configured service."""
    variables = VARIABLES

    def __init__(self) -> None:
        self._runs = Runs()

    @hookimpl
    def resolve_model(self, request: ModelRequest, context: Context) -> Sequence[Candidate] | None:
        """Look by reference, checksum, link, note and name, until one of them leads to a file."""
        from .offers import Offers
        from .resolving import Resolving

        settings = Settings.of(context.settings)
        reference = None
        if request.reference is not None:
            reference = read_reference(request.reference, settings.base_url)
            if reference is None:
                _check_foreign(request.reference, settings)
                return None
        elif request.name is None and not request.digests:
            return None
        key = key_of(context.settings)
        resolving = Resolving(
            request=request,
            service=self._service(settings, context),
            offers=Offers(base_url=settings.base_url, request=request, has_key=key is not None, now=datetime.now(UTC)),
            settings=settings,
            headers=key.headers if key is not None else {},
        )
        if reference is not None:
            return resolving.by_reference(reference)
        return resolving.by_digest() or resolving.by_link() or resolving.by_hint() or resolving.by_name()

    @hookimpl
    def download_artifact(
        self, candidate: Candidate, target: Path, headers: Mapping[str, str], context: Context
    ) -> Artifact | None:
        """Download with the user's key, which goes to the service and not to its storage."""
        if candidate.backend != context.name:
            return None
        from .transfer import Transfer

        settings = Settings.of(context.settings)
        return Transfer(
            service=self._service(settings, context),
            context=context,
            key=key_of(context.settings),
            candidate=candidate,
        ).bring(target)

    @hookimpl
    def verify_artifact(self, artifact: Artifact, candidate: Candidate, context: Context) -> Sequence[Check] | None:
        """Compare with the checksums of the service's own kinds, where it published no SHA256."""
        if candidate.backend != context.name or candidate.sha256 is not None:
            return None
        from .checksums import checks

        return checks(artifact.path, candidate.digests, context.cancelled) or None

    def prepare(self, requests: Sequence[ModelRequest], context: Context) -> None:
        """Remember the checksums of a whole run, so that the first question about one asks about a hundred."""
        expected = self._runs.of(context).expected
        expected.update(dict.fromkeys(request.sha256 for request in requests if request.sha256 is not None))

    def diagnose(self, context: Context) -> Iterator[Check]:
        """Say whether the service answers, and whether it knows the user's key."""
        settings = Settings.of(context.settings)
        service = self._service(settings, context)
        key = key_of(context.settings)
        if key is None:
            service.greet()
            known, note = True, f"not set, and most downloads need one. {WHERE_TO_PUT_IT}"
        else:
            known = service.knows(key)
            note = (
                f"the one from {key.origin} is {'accepted' if known else 'unknown there: mistyped, expired or revoked'}"
            )
        yield Check(name="reachable", passed=True, note=settings.base_url)
        yield Check(name="token", passed=known, code="" if known else "auth_required", note=note)

    def _service(self, settings: Settings, context: Context) -> Service:
        from .service import Service

        return Service(settings.base_url, context, self._runs.of(context))


def _check_foreign(reference: str, settings: Settings) -> None:
    """:raises BackendError: An address on this site that names no model; nobody else will know it."""
    if is_catalogue_link(reference, settings.base_url):
        raise BackendError(
            "the address lies on Civitai and names no model",
            code="not_found",
            hint="Pass the address of the model's page, or of its download button.",
        )
