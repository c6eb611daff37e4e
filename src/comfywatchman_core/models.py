"""The values that travel from a workflow file to a verified file.

All of them are frozen: a stage receives a value and returns a new one.
None of them holds a secret: reports, plans and the history store them.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from attrs import Factory, field, frozen

from .addresses import redact
from .errors import Failure
from .names import safe_name


class Match(enum.IntEnum):
    """How sure a back end is that a candidate is the requested model."""

    FUZZY = 10
    """Something like it. Reported, never downloaded unasked."""
    FILENAME = 20
    """A file of exactly this name."""
    SOURCE_ID = 30
    """The file that an id, an address or a table entry of this request names."""
    DIGEST = 40
    """The request states a checksum, and the source states the same."""

    @property
    def label(self) -> str:
        """The spelling of ``--min-match`` and of ``--json``: ``digest``, ``source-id``, ``filename``, ``fuzzy``."""
        return self.name.lower().replace("_", "-")

    @classmethod
    def from_label(cls, label: str) -> Match:
        """Read :attr:`label` back. :raises ValueError: No such step."""
        for match in cls:
            if match.label == label:
                return match
        raise ValueError(f"no such match: {label!r}")


class Outcome(enum.StrEnum):
    """What became of asking one back end."""

    ANSWERED = "answered"
    DECLINED = "declined"
    FAILED = "failed"


_HEX_LENGTHS = {
    "sha256": (64,),
    "sha512": (128,),
    "sha1": (40,),
    "md5": (32,),
    "blake3": (64,),
    "git-sha1": (40,),
    "crc32": (8,),
    "autov1": (8,),
    "autov2": (10,),
    "autov3": (12, 64),
}
"""Hexadecimal digits per algorithm. ``autov*`` and the byte-swapped ``crc32`` are Civitai's, ``git-sha1`` is
the SHA-1 of a git blob."""


def _lower(text: str) -> str:
    return str(text).strip().lower()


@frozen(order=True)
class Digest:
    """A checksum, e.g. ``Digest("sha256", "9f86d0…")``; lower case, its length checked.

    Sources also write ``sha256:9f86d0…`` as the value, which means the same.

    :raises ValueError: An unknown algorithm, or not as many hexadecimal digits as it has.
    """

    algorithm: str = field(converter=_lower)
    value: str = field(converter=_lower)

    def __attrs_post_init__(self) -> None:
        lengths = _HEX_LENGTHS.get(self.algorithm)
        if lengths is None:
            raise ValueError(f"unknown digest algorithm {self.algorithm!r}")
        object.__setattr__(self, "value", self.value.removeprefix(f"{self.algorithm}:").strip())
        if len(self.value) not in lengths or not set(self.value) <= set("0123456789abcdef"):
            raise ValueError(f"not a {self.algorithm} digest: {self.value[:140]!r}")

    @classmethod
    def parse(cls, text: str) -> Digest:
        """Read ``algorithm:hex``. :raises ValueError: as the constructor."""
        algorithm, _, value = text.partition(":")
        return cls(algorithm, value)

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.value}"


def sha256_of(digests: tuple[Digest, ...]) -> str | None:
    """Pick the SHA256 out of *digests*; ``None`` where there is none."""
    return next((digest.value for digest in digests if digest.algorithm == "sha256"), None)


@frozen(kw_only=True)
class NodeRef:
    """Where a workflow names a model."""

    workflow: str
    """The workflow as the user passed it, or found below a directory that the user passed."""
    node: str
    """The node's id; path ids such as ``11:3`` inside subgraphs."""
    node_class: str
    input: str
    """Name of the widget or input."""


def _shown(text: str | tuple[str, ...] | None) -> str:
    """The ``repr`` of an address: listeners print values, and addresses may hold tokens and signatures."""
    if isinstance(text, tuple):
        return repr(tuple(redact(one) for one in text))
    return repr(text and redact(text))


def _optional_name(text: str | PurePosixPath | None) -> PurePosixPath | None:
    return None if text is None else safe_name(text)


def _folder(text: str) -> str:
    return str(safe_name(text)) if text else ""


@frozen(kw_only=True)
class ModelRequest:
    """A model file that a workflow, a plan or the user asks for.

    :raises UnsafeName: ``name`` or ``folder`` could lead out of the models folder on some system.
    """

    name: PurePosixPath | None = field(converter=_optional_name, default=None)
    """Path below ``folder``, as the workflow spells it, with forward slashes (``SDXL/foo.safetensors``).
    Without a suffix where the workflow gives none (embeddings); ``None`` for a ``reference`` whose
    file name only its source knows."""
    folder: str = field(converter=_folder, default="")
    """Folder key of ComfyUI (``checkpoints``, ``loras``, …); empty while nothing says which."""
    url: str | None = field(default=None, repr=_shown)
    """An address that the workflow, or the user, gives for this file. Untrusted unless ``explicit``."""
    digests: tuple[Digest, ...] = ()
    """Checksums that the bytes are held to."""
    size: int | None = None
    """Bytes, where the workflow or the plan states them."""
    reference: str | None = field(default=None, repr=_shown)
    """What the user typed instead of a workflow: a URL, an AIR, ``civitai:…``, ``hf:…``."""
    explicit: bool = False
    """The user named this very file on the command line, or in a plan."""
    hints: tuple[str, ...] = field(default=(), repr=_shown)
    """Addresses in the workflow's notes whose last part is this name. Hints, nothing more."""
    wanted_by: tuple[NodeRef, ...] = ()
    active: bool = True
    """False where only muted or bypassed nodes name it."""

    @property
    def label(self) -> str:
        """``FOLDER/NAME`` as the user would type it, or the reference."""
        if self.name is None:
            return redact(self.reference or self.url or "?")
        return f"{self.folder}/{self.name}" if self.folder else str(self.name)

    @property
    def sha256(self) -> str | None:
        return sha256_of(self.digests)


@frozen(kw_only=True)
class Candidate:
    """A file that a back end offers for a request."""

    match: Match
    url: str = field(repr=_shown)
    """Where the bytes are. A back end that downloads by itself may use a scheme of its own."""
    size: int | None = None
    """Bytes, where the source states them exactly."""
    digests: tuple[Digest, ...] = ()
    """Checksums that the source publishes for this file."""
    name: str = ""
    """The file's name at its source: a proposal where the request has none, display otherwise."""
    folder: str = ""
    """The folder key that fits by what the source says of the file; a proposal as well."""
    reference: str = field(default="", repr=_shown)
    """What the user passes to take exactly this file, e.g. ``civitai:123@456``."""
    endpoint: str = field(default="", repr=_shown)
    """The base URL that the *user* configured, where ``url`` lies below it: only there, and at the storage
    host that it redirects to, are plain ``http`` and private addresses accepted."""
    details: Mapping[str, str] = Factory(dict)
    """What the back end wants to find again in ``download_artifact``; opaque to the core."""
    notes: tuple[str, ...] = ()
    """Sentences for the user: precision, version, a warning."""
    obstacle: Failure | None = None
    """Why it is known before the transfer that this file cannot be had. Such an offer is reported, not tried."""
    trusted: bool = False
    """A curated table vouches for the file, so that a pickle format may be taken from it."""
    delegate: str = ""
    """The back end whose file ``reference`` names. It is asked to confirm the offer, and does the transfer with
    its own token; without it the core's engine takes ``url`` as it is."""
    backend: str = ""
    """Filled in by the core with the name of the back end that answered."""

    @property
    def sha256(self) -> str | None:
        return sha256_of(self.digests)


@frozen(kw_only=True)
class Attempt:
    """One back end asked once, and what came of it."""

    hook: str
    backend: str
    outcome: Outcome
    seconds: float
    offers: int = 0
    """Candidates offered, or checks made."""
    failure: Failure | None = None


@frozen(kw_only=True)
class Artifact:
    """A file on disk that is not yet trusted."""

    path: Path
    size: int
    digests: tuple[Digest, ...] = ()
    """Computed while the bytes arrived, so that nothing is read twice."""


@frozen
class Check:
    """One statement about an artifact."""

    name: str
    passed: bool
    cryptographic: bool = False
    """True where the statement is a published checksum that the bytes were compared with."""
    note: str = ""
    code: str = ""
    """The :class:`~comfywatchman_core.errors.ErrorCode` under which a failed check is reported."""


class Verdict(enum.StrEnum):
    """What the checks say together."""

    VERIFIED = "verified"
    """A published checksum agrees with the bytes on disk, and nothing speaks against the file."""
    UNVERIFIED = "unverified"
    """Nothing speaks against the file, and no checksum speaks for it."""
    REFUSED = "refused"
    """At least one check failed."""


@frozen
class VerificationReport:
    """All checks of one artifact."""

    checks: tuple[Check, ...]

    @property
    def verdict(self) -> Verdict:
        if not all(check.passed for check in self.checks):
            return Verdict.REFUSED
        if any(check.cryptographic for check in self.checks):
            return Verdict.VERIFIED
        return Verdict.UNVERIFIED
