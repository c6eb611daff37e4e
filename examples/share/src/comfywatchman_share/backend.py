"""Look a model up on the share, and say what is known of it."""

from __future__ import annotations

import re
import stat
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from comfywatchman_core import (
    Artifact,
    BackendError,
    Candidate,
    Context,
    Digest,
    Match,
    ModelRequest,
    errors,
    hookimpl,
)

from .lending import LINKS, lend

_SCHEME = "share:"


class ShareBackend:
    """Offers the files below `root` of `[backends.share]`; without that setting it declines."""

    api_version = 1
    priority = 80  # nearer than the internet, less certain than a table of known models

    @hookimpl
    def resolve_model(self, request: ModelRequest, context: Context) -> Sequence[Candidate] | None:
        if "root" not in context.settings:
            return None
        if request.reference is not None:
            return self._referenced(request, context)
        if request.name is None:
            return None
        root = _root(context)
        # As ComfyUI lays its folders out, or one heap of files.
        for key in (f"{request.folder}/{request.name}".lstrip("/"), str(request.name), request.name.name):
            offer = _offer(root, key, request)
            if offer is not None:
                return (offer,)
        return ()

    @hookimpl
    def download_artifact(self, candidate: Candidate, target: Path, context: Context) -> Artifact | None:
        if candidate.backend != context.name:
            return None
        source = _root(context) / _safe(candidate.reference.removeprefix(_SCHEME))
        try:
            return lend(source, target, _link(context), candidate, context)
        except OSError as error:
            raise BackendError(
                f"{source} could not be copied: {error.strerror}",
                code=errors.ErrorCode.UNAVAILABLE,
                hint="See whether the share is still there, then run again; `link` says how files are taken.",
            ) from error

    def _referenced(self, request: ModelRequest, context: Context) -> Sequence[Candidate] | None:
        """What a plan asks for is a path below `root`, and is held to the rules of names like any other."""
        assert request.reference is not None
        if not request.reference.startswith(_SCHEME):
            return None
        offer = _offer(_root(context), str(_safe(request.reference.removeprefix(_SCHEME))), request)
        return () if offer is None else (offer,)


def _safe(key: str) -> PurePosixPath:
    """A path below `root`. :raises BackendError: It could lead out of it."""
    try:
        name = ModelRequest(name=PurePosixPath(key)).name
    except errors.UnsafeName as error:
        raise BackendError(str(error), code=errors.ErrorCode.UNSAFE_NAME, hint=error.hint) from error
    assert name is not None
    return name


def _root(context: Context) -> Path:
    """The share. :raises BackendError: It is not there, so that nobody takes "not mounted" for "not found"."""
    root = Path(str(context.settings["root"])).expanduser()
    if not root.is_dir():
        raise BackendError(
            f"the share {root} is not there",
            code=errors.ErrorCode.UNAVAILABLE,
            hint="Mount it, or change `root` in [backends.share].",
        )
    return root


def _link(context: Context) -> str:
    link = str(context.settings.get("link", "auto"))
    if link not in LINKS:
        raise BackendError(
            f"link = {link!r} in [backends.share] is none of {', '.join(LINKS)}", hint="Correct the setting."
        )
    return link


def _offer(root: Path, key: str, request: ModelRequest) -> Candidate | None:
    file = root / key
    try:
        status = file.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise BackendError(
            f"{file} could not be looked at: {error.strerror}",
            code=errors.ErrorCode.UNAVAILABLE,
            hint="See whether the share answers, then run again.",
        ) from error
    if not stat.S_ISREG(status.st_mode):
        return None
    digests = _published(file)
    same = any(digest in request.digests for digest in digests)
    return Candidate(
        match=Match.DIGEST if same else Match.SOURCE_ID if request.reference else Match.FILENAME,
        url=f"{_SCHEME}{key}",
        reference=f"{_SCHEME}{key}",
        name=file.name,
        folder=request.folder,
        size=status.st_size,
        digests=digests,
    )


def _published(file: Path) -> tuple[Digest, ...]:
    """The SHA256 that stands beside a file, in ``NAME.sha256`` as sha256sum writes it; nothing where none does."""
    try:
        with open(f"{file}.sha256", encoding="utf-8", errors="replace") as stream:
            found = re.match(r"\\?([0-9a-fA-F]{64})(?:\s|$)", stream.readline(200))
    except OSError:
        return ()
    return (Digest("sha256", found[1]),) if found else ()
