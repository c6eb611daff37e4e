"""From a request to offers: by what the user typed, by checksum, by the workflow's own links, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import define, evolve

from comfywatchman_core import BackendError, Candidate, Digest, Match, ModelRequest, errors, events

from .choosing import agrees, choose, suffix_of
from .folders import folder_of, may_be_bare
from .header import is_whole_pipeline
from .hunt import Hunt
from .matching import REDUCED, Wanted, evidence
from .naming import names_of
from .offers import Offers
from .records import Listed, ModelRecord, VersionRecord, listed
from .references import Reference, read_reference
from .service import Service
from .settings import Settings

_KINDS = ("sha256", "blake3", "autov3", "autov2", "autov1", "crc32")
"""Checksums that the service looks up, the surest first."""
_MOST_HINTS = 3
"""Links in notes that are followed; a workflow may hold hundreds."""


@define(kw_only=True)
class Resolving:
    """One question of the core."""

    request: ModelRequest
    service: Service
    offers: Offers
    settings: Settings
    headers: Mapping[str, str]
    """What carries the key."""

    def by_reference(self, reference: Reference) -> tuple[Candidate, ...]:
        """Offer exactly the file that *reference* names.

        :raises BackendError: ``not_found``: the service does not have it; or it could not be asked.
        """
        model = self._version(reference) if reference.version is not None else self._first_version(reference)
        if model is None or (not model.versions and model.mode != "Archived"):
            raise _absent(f"Civitai has no {reference}", "It was deleted or unpublished, or never was.")
        if reference.model is not None and model.id is not None and model.id != reference.model:
            raise _absent(
                f"{reference} does not exist: version {reference.version} is of another model",
                f"Pass civitai:{model.id}@{reference.version} if that is meant.",
            )
        version = model.versions[0] if model.versions else None
        if version is None or not version.files:
            return (self.offers.of_nothing(model, version, Match.SOURCE_ID),)
        files = [Listed(model, version, file) for file in version.files]
        chosen = choose(files, reference, self.request)
        if chosen is None and reference.file is not None:
            chosen = self._by_file_id(version, reference.file)
        if chosen is None:
            raise _absent(f"{reference}: the version has no such file", f"Pass civitai:{model.id}@{version.id}.")
        chosen = self._with_hashes(chosen)
        folder, remarks = self._whole(chosen)
        notes = (*self._remarks(reference, model, version, files, chosen), *remarks)
        return (self.offers.of(chosen, Match.SOURCE_ID, notes=notes, folder=folder),)

    def by_digest(self) -> tuple[Candidate, ...]:
        """Offer the file that has a checksum of the request; empty where the service knows none of them."""
        known = [one for one in self.request.digests if one.algorithm in _KINDS]
        for digest in sorted(known, key=lambda one: _KINDS.index(one.algorithm))[: len(_KINDS)]:
            model = self._owner(digest)
            if model is None:
                continue
            for found in listed([model]):
                if agrees(found.file.digests, digest) and not self._contradicts(found):
                    return (self.offers.of(found, Match.DIGEST, notes=_remark_on(digest)),)
            if model.versions and not model.versions[0].files:
                return (self.offers.of_nothing(model, model.versions[0], Match.DIGEST),)
        return ()

    def by_link(self) -> tuple[Candidate, ...]:
        """Offer the file that the workflow's own link leads to; empty where it leads nowhere any more."""
        link = read_reference(self.request.url, self.settings.base_url) if self.request.url is not None else None
        try:
            return self.by_reference(link) if link is not None else ()
        except BackendError as error:
            if error.code != errors.ErrorCode.NOT_FOUND:
                raise
            self.service.context.emit(events.Warned(message=f"the link in the workflow leads nowhere: {error}"))
            return ()

    def by_hint(self) -> tuple[Candidate, ...]:
        """Offer the file that a link in the workflow's notes leads to, where it bears the wanted name."""
        if self.request.name is None:
            return ()
        wanted = Wanted.of(str(self.request.name))
        for link in self.request.hints[:_MOST_HINTS]:
            reference = read_reference(link, self.settings.base_url) if link.lower().startswith("http") else None
            if reference is None:
                continue
            model = (
                self.service.version(reference.version)
                if reference.version is not None
                else self.service.model(reference.model or 0)
            )
            named = [one for one in listed([model] if model else []) if evidence(wanted, names_of(one)) >= REDUCED]
            if len({one.file.sha256 or one.file.id for one in named}) == 1:
                return (self.offers.of(named[0], Match.SOURCE_ID),)
        return ()

    def by_name(self) -> tuple[Candidate, ...]:
        """Search for the file name.

        Where the service does not know the bytes that are asked for, a file of the same name is another one: a
        workflow's reader may want to hear of it, and that is worth one question.
        """
        if self.request.name is None:
            return ()
        budget = self.settings.budget
        if self.request.sha256 is not None:
            budget = 1 if self.request.wanted_by or self.request.explicit else 0
        hunt = Hunt(service=self.service, offers=self.offers, wanted=Wanted.of(str(self.request.name)), budget=budget)
        return hunt.candidates()

    def _version(self, reference: Reference) -> ModelRecord | None:
        return self.service.version(reference.version or 0) or self._unrated(reference)

    def _first_version(self, reference: Reference) -> ModelRecord | None:
        """The version that the model's page opens with; its own endpoint tells more of it than the model's."""
        model = self.service.model(reference.model or 0)
        if model is None or not model.versions:
            return model
        alone = self.service.version(model.versions[0].id)
        return evolve(model, versions=alone.versions + model.versions[1:]) if alone is not None else model

    def _unrated(self, reference: Reference) -> ModelRecord | None:
        """A version that nobody rated yet is absent from its own endpoint; ``mini`` tells of it."""
        mini = self.service.mini(reference.version or 0, reference.file)
        return mini.listed.model if mini else None

    def _by_file_id(self, version: VersionRecord, file: int) -> Listed | None:
        mini = self.service.mini(version.id, file)
        return mini.listed if mini else None

    def _owner(self, digest: Digest) -> ModelRecord | None:
        if digest.algorithm == "sha256":
            self.service.learn_expected(digest.value)
        value = digest.value[:12] if digest.algorithm == "autov3" else digest.value
        return self.service.by_hash(value)

    def _contradicts(self, found: Listed) -> bool:
        sha256 = self.request.sha256
        return sha256 is not None and found.file.sha256 not in (None, sha256)

    def _whole(self, found: Listed) -> tuple[str, tuple[str, ...]]:
        """Decide between ``checkpoints`` and ``diffusion_models`` where nothing but the file itself tells.

        :returns: A folder key, empty where the types say enough or nothing can be told; and what to remark.
        """
        base_model = found.version.base_model
        if self.request.folder or folder_of(found.model, found.file) != "checkpoints" or not may_be_bare(base_model):
            return "", ()
        offer = self.offers.of(found, Match.SOURCE_ID)
        whole = None
        if offer.obstacle is None and suffix_of(found.file) == ".safetensors":
            whole = is_whole_pipeline(
                offer.url, context=self.service.context, endpoint=self.offers.base_url, headers=self.headers
            )
        if whole is None:
            return "", (
                f"Checkpoints for {base_model} are often bare diffusion models; those belong into diffusion_models "
                "(--folder diffusion_models).",
            )
        return ("checkpoints" if whole else "diffusion_models"), ()

    def _with_hashes(self, found: Listed) -> Listed:
        """Checksums may be missing while a scan is pending; ``mini`` may have them."""
        if found.file.sha256 is not None or found.file.id is None:
            return found
        mini = self.service.mini(found.version.id, found.file.id)
        if mini is None or not mini.listed.file.digests:
            return found
        return Listed(found.model, found.version, evolve(found.file, digests=mini.listed.file.digests))

    def _remarks(
        self,
        reference: Reference,
        model: ModelRecord,
        version: VersionRecord,
        files: Sequence[Listed],
        chosen: Listed,
    ) -> list[str]:
        remarks = []
        if reference.version is None:
            remarks.append(
                f"The reference names no version: {version.name or version.id}, which the model's page shows first, "
                f"is taken of {len(model.versions)}."
            )
        if reference.file is None and len(files) > 1:
            others = ", ".join(
                f"civitai:{model.id}@{version.id}+{one.file.id} ({one.file.name})" for one in files if one is not chosen
            )
            remarks.append(f"The version has other files as well: {others[:500]}.")
        return remarks


def _absent(message: str, hint: str) -> BackendError:
    return BackendError(message, code=errors.ErrorCode.NOT_FOUND, hint=hint)


def _remark_on(digest: Digest) -> tuple[str, ...]:
    if digest.algorithm == "autov1":
        return ("An AutoV1 checksum covers 64 KiB of a file only; relatives of a model may share it.",)
    return ()
