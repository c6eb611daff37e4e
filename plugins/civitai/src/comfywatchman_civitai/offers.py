"""Turn a file of the catalogue into an offer: what it is, and why it may not be had."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from attrs import frozen

from comfywatchman_core import Candidate, Match, ModelRequest, errors

from .choosing import PICKLES, is_loadable, is_other_format, metadata_of, suffix_of
from .folders import folder_of, folder_warning
from .records import Gate, Listed, ModelRecord, VersionRecord
from .refusals import early_access

Failure = errors.Failure

PRINTED = "printed_url"
"""Key in ``Candidate.details``: path and query that the API itself prints for the file."""


@frozen(kw_only=True)
class Offers:
    """Makes the offers for one request."""

    base_url: str
    request: ModelRequest
    has_key: bool
    """The user gave a key: who bought access may download what is gated."""
    now: datetime

    def of(
        self,
        found: Listed,
        match: Match,
        *,
        notes: Sequence[str] = (),
        folder: str = "",
        obstacle: Failure | None = None,
    ) -> Candidate:
        """Offer *found*.

        :param folder: A better proposal than what the types say.
        :param obstacle: Goes before what is known of the file itself.
        """
        model, version, file = found.model, found.version, found.file
        path = f"/api/download/models/{version.id}"
        address = f"{path}?fileId={file.id}" if file.id is not None else file.printed_url or path
        proposal = folder or folder_of(model, file)
        return Candidate(
            match=match,
            url=self.base_url + address,
            size=file.size,
            digests=file.digests,
            name=_proposed_name(found),
            folder=proposal,
            reference=reference_of(found),
            endpoint=self.base_url,
            details={PRINTED: file.printed_url} if file.printed_url else {},
            notes=(_description(found), *notes, *self._warnings(found)),
            obstacle=obstacle or self._obstacle(found),
        )

    def of_nothing(self, model: ModelRecord, version: VersionRecord | None, match: Match) -> Candidate:
        """Report a model or version that has no file to offer, with the reason."""
        what = _reference(model, version, None)
        if model.mode == "Archived":
            failure = _archived(what)
        else:
            failure = Failure(
                code=errors.ErrorCode.NOT_FOUND,
                message=f"{what} has no public file",
                hint="Its maker may have hidden it; see its page.",
            )
        path = f"/api/download/models/{version.id}" if version else f"/models/{model.id}"
        return Candidate(
            match=match, url=self.base_url + path, reference=what, endpoint=self.base_url, obstacle=failure
        )

    def _obstacle(self, found: Listed) -> Failure | None:
        model, version, file, what = found.model, found.version, found.file, reference_of(found)
        if _is_dangerous(found):
            by = "pickle" if file.pickle_scan == "Danger" else "virus"
            return Failure(
                code=errors.ErrorCode.PICKLE_REFUSED if by == "pickle" else errors.ErrorCode.NOT_A_MODEL,
                message=f"Civitai's {by} scan calls {what} dangerous",
                hint="It is not downloaded; choose another file.",
            )
        if model.mode == "Archived":
            return _archived(what)
        if version.usage_control != "Download":
            return Failure(
                code=errors.ErrorCode.DOWNLOADS_DISABLED,
                message=f"the creator of {what} lets it be used on the site only ({version.usage_control})",
                hint="A key does not help; ask the creator, or choose another model.",
            )
        if version.gate is not None and not self.has_key and self._holds(version.gate):
            return early_access(what, version.gate.until).failure
        if not is_loadable(file):
            return Failure(
                code=errors.ErrorCode.NOT_A_MODEL,
                message=f"{what} is {file.name!r}, which no loader reads ({file.type})",
                hint="Download and unpack it by hand, or pass another file of the version.",
            )
        if self.request.name is not None and is_other_format(self.request.name.name, file):
            return Failure(
                code=errors.ErrorCode.NOT_A_MODEL,
                message=f"{what} is {file.name!r}, and cannot be loaded under the name {self.request.name.name!r}",
                hint="Choose this file's own name in the workflow's loader, or a version with the other format.",
            )
        return None

    def _holds(self, gate: Gate) -> bool:
        if gate.until is None:
            return True
        try:
            until = datetime.fromisoformat(gate.until)
        except ValueError:
            return True
        return until.replace(tzinfo=until.tzinfo or UTC) > self.now

    def _warnings(self, found: Listed) -> list[str]:
        model, version, file = found.model, found.version, found.file
        warnings = []
        if version.gate is not None and self.has_key and self._holds(version.gate):
            until = f" until {version.gate.until}" if version.gate.until else ""
            warnings.append(f"It is in early access{until}: only an account that bought access can download it.")
        if model.mode == "TakenDown":
            warnings.append("Civitai has taken the model down; its file may go away.")
        if suffix_of(file) in PICKLES:
            scan = file.pickle_scan or "nothing"
            warnings.append(f"This format can run code when it is loaded; Civitai's scan of the file says {scan}.")
        if self.request.folder:
            warnings.append(folder_warning(model, file, version.base_model, self.request.folder))
        return [warning for warning in warnings if warning]


def is_out_of_the_question(found: Listed) -> bool:
    """Say whether nobody but its maker can have the file, or nobody should."""
    return _is_dangerous(found) or found.version.usage_control != "Download" or found.model.mode == "Archived"


def _is_dangerous(found: Listed) -> bool:
    return "Danger" in (found.file.pickle_scan, found.file.virus_scan)


def reference_of(found: Listed) -> str:
    """What the user passes to take exactly this file."""
    return _reference(found.model, found.version, found.file.id)


def _reference(model: ModelRecord, version: VersionRecord | None, file: int | None) -> str:
    if model.id is None:
        return f"https://civitai.com/api/download/models/{version.id}" if version else ""
    parts = [f"civitai:{model.id}", f"@{version.id}" if version else "", f"+{file}" if version and file else ""]
    return "".join(parts)


def _archived(what: str) -> Failure:
    return Failure(
        code=errors.ErrorCode.NOT_FOUND,
        message=f"{what} is archived and cannot be downloaded any more",
        hint="Its checksum may be known elsewhere: other sources and archives can be searched for it.",
    )


def _proposed_name(found: Listed) -> str:
    """The printed name, reduced to what may be written on any system; a name of one's own where that fails."""
    name = found.file.name.replace("\\", "/").rpartition("/")[2].strip()
    try:
        ModelRequest(name=name)
    except errors.UnsafeName:
        return f"civitai-{found.version.id}-{found.file.id or 0}{suffix_of(found.file)}"
    return name


def _description(found: Listed) -> str:
    """One line that tells the variants of a model apart."""
    model, version, file = found.model, found.version, found.file
    stated = metadata_of(file)
    traits = [version.base_model, stated["size"], stated["fp"], stated["quantType"], stated["format"]]
    if file.kibibytes is not None:
        traits.append(f"{file.kibibytes / 1024:,.1f} MiB")
    if file.type not in ("Model", "Pruned Model"):
        traits.append(file.type)
    return f"{model.name}, version {version.name or version.id}: {', '.join(filter(None, traits))}"
