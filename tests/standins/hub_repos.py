"""What the Hub stand-in stores: repositories, their commits, and what git and LFS know of each file."""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Mapping

from attrs import Factory, define, evolve, field, frozen

from comfywatchman_core.testing import git_blob_sha1, sha256

_SMALL = 10 << 20
"""Bytes above which the Hub wants LFS whatever the suffix."""

_LFS_SUFFIXES = frozenset(
    {".bin", ".ckpt", ".gguf", ".npz", ".onnx", ".pkl", ".pt", ".pth", ".safetensors", ".sft", ".zip"}
)
"""What the Hub's default ``.gitattributes`` hands to LFS, as far as model files go."""


@frozen(kw_only=True)
class StoredFile:
    """One file of one commit. Its claims can be bent, so that a server can lie."""

    data: bytes = field(repr=False)
    lfs: bool
    size: int
    """Bytes, as the Hub states them."""
    sha256: str
    """As the Hub states it; only LFS files have one there."""

    @property
    def pointer(self) -> bytes:
        """What git holds in place of an LFS file."""
        return f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\nsize {self.size}\n".encode()

    @property
    def oid(self) -> str:
        """The git blob: of the pointer where there is one, else of the file."""
        return git_blob_sha1(self.pointer if self.lfs else self.data)

    @property
    def xet_hash(self) -> str:
        """A third value of 64 digits that is not the SHA256."""
        return hashlib.sha256(b"xet" + self.data).hexdigest()


def stored(path: str, data: bytes | StoredFile) -> StoredFile:
    """Store *data* as the Hub would under *path*: models in LFS, small text in git."""
    if isinstance(data, StoredFile):
        return data
    lfs = posixpath.splitext(path)[1].lower() in _LFS_SUFFIXES or len(data) > _SMALL
    return StoredFile(data=data, lfs=lfs, size=len(data), sha256=sha256(data))


def lying(data: bytes, *, size: int | None = None, digest: str | None = None) -> StoredFile:
    """An LFS file of which the Hub states another size or another SHA256 than it has."""
    honest = stored("x.safetensors", data)
    return evolve(honest, size=honest.size if size is None else size, sha256=digest or honest.sha256)


@define(kw_only=True)
class Repository:
    """One repository and its history."""

    kind: str
    """``models``, ``datasets`` or ``spaces``."""
    id: str
    gated: str | bool = False
    private: bool = False
    disabled: bool = False
    downloads: int = 0
    card: str = ""
    scenario: str = "plain"
    commits: dict[str, Mapping[str, StoredFile]] = Factory(dict)
    refs: dict[str, str] = Factory(dict)

    def commit(self, files: Mapping[str, bytes | StoredFile], *, ref: str = "main") -> str:
        """Add a commit that holds exactly *files* and point *ref* at it; returns its 40 digits."""
        held = {path: stored(path, data) for path, data in files.items()}
        text = "\n".join([self.id, str(len(self.commits)), *(f"{path} {held[path].oid}" for path in sorted(held))])
        commit = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
        self.commits[commit] = held
        self.refs[ref] = commit
        return commit

    @property
    def head(self) -> str:
        return self.refs["main"]

    def commit_of(self, revision: str) -> str | None:
        """Look up a branch, a tag, a commit or the start of one; ``HEAD`` is main."""
        if revision == "HEAD":
            return self.head
        if revision in self.refs:
            return self.refs[revision]
        if len(revision) >= 7:
            return next((commit for commit in self.commits if commit.startswith(revision)), None)
        return None
