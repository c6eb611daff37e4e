"""Models, versions and files as the back end knows them, whichever answer told of them."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import frozen

from comfywatchman_core import Digest


@frozen(kw_only=True)
class FileRecord:
    """One file of a version. Its identity is the id and the SHA256; the name is neither unique nor stable."""

    id: int | None
    """``None`` where an answer does not tell it."""
    name: str
    """As printed today: composed by a rule for most types, as uploaded for some."""
    override: str = ""
    """A name that the maker or a moderator set; the version endpoint does not print it as ``name``."""
    type: str = "Model"
    kibibytes: float | None = None
    format: str = ""
    extent: str = ""
    """``full`` or ``pruned``."""
    precision: str = ""
    quantization: str = ""
    stated: frozenset[str] = frozenset()
    """Keys of the metadata that are there at all; one that is null still counts in the service's choice."""
    digests: tuple[Digest, ...] = ()
    primary: bool = False
    printed_url: str = ""
    """Path and query of ``downloadUrl``; the host in it is not to be trusted."""
    pickle_scan: str = ""
    virus_scan: str = ""

    @property
    def size(self) -> int | None:
        """Bytes, where they can be told exactly; the API states a rounded number for one file in 1,500."""
        if self.kibibytes is None:
            return None
        count = self.kibibytes * 1024
        return round(count) if abs(count - round(count)) < 1e-3 else None

    @property
    def sha256(self) -> str | None:
        return next((digest.value for digest in self.digests if digest.algorithm == "sha256"), None)


@frozen(kw_only=True)
class Gate:
    """Early access: only who paid may download."""

    until: str | None
    """When it ends, as the API writes it; ``None``: it does not."""


@frozen(kw_only=True)
class VersionRecord:
    """One version of a model, with its public files."""

    id: int
    name: str = ""
    base_model: str = ""
    trained_words: tuple[str, ...] = ()
    published_at: str = ""
    usage_control: str = "Download"
    gate: Gate | None = None
    files: tuple[FileRecord, ...] = ()


@frozen(kw_only=True)
class ModelRecord:
    """One model, with the versions that an answer told of, in display order."""

    id: int | None
    name: str
    type: str = "Other"
    mode: str = ""
    """``Archived``, ``TakenDown`` or empty."""
    versions: tuple[VersionRecord, ...] = ()


@frozen
class Listed:
    """A file where it stands: in a version, in a model."""

    model: ModelRecord
    version: VersionRecord
    file: FileRecord


@frozen(kw_only=True)
class MiniRecord:
    """What ``mini`` tells: the uploaded name, and the checksums that other answers may lack."""

    uploaded_name: str
    listed: Listed


def listed(models: Iterable[ModelRecord]) -> list[Listed]:
    """Every file of *models*, in the order of the answers."""
    return [Listed(model, version, file) for model in models for version in model.versions for file in version.files]
