"""The place beside a file where its bytes are gathered, and the one step that gives them its name.

Beside ``ink.safetensors`` lies the directory ``.ink.safetensors.cw``:

* ``owner-N.json``: who is at work; the file system lets only one process create each number;
* ``part``: the bytes so far; ``journal.json``: what the engine needs to go on with them.

The directory is on the file system of the file, so that publishing is a
change of name. Nothing in it ends like a model, because ComfyUI lists those.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .claims import Claim, Watch, claim, empty
from .disk import as_disk_error, sync_directory
from .errors import BackendError, Cancelled, ErrorCode
from .owners import HEARTBEAT

SUFFIX = ".cw"
_NAME_BYTES = 255
QUARANTINED = re.compile(r".+\.bad-[0-9a-f]{8}")
_PIECE = 1 << 20
_POLL = 0.2


def staging_place(final: Path) -> Path:
    """The staging directory of *final*; a name that would become too long is cut and told apart by its hash."""
    return final.with_name(_fit(f".{final.name}", SUFFIX))


def _fit(name: str, suffix: str) -> str:
    if len(os.fsencode(name + suffix)) <= _NAME_BYTES:
        return name + suffix
    suffix = f"~{hashlib.sha256(os.fsencode(name)).hexdigest()[:12]}{suffix}"
    return os.fsencode(name)[: _NAME_BYTES - len(suffix)].decode("utf-8", "ignore") + suffix


class Stage:
    """A claimed staging place: this process, and no other, writes to ``target``."""

    def __init__(self, final: Path, owned: Claim, *, waited: bool) -> None:
        self.final = final
        self.target = owned.place / "part"
        """Where the bytes go."""
        self.waited = waited
        """Another process held the place first: what it did must be looked at before anything is transferred."""
        self.lost = False
        """This process was silent for long, and another one has the place: there is nothing more to do here."""
        self._claim = owned

    def publish(self, replace: bool = False, *, keep_mode: bool = False) -> Path:
        """Give the bytes their name, all at once and for good.

        :param replace: Take the place of a file that is there. Otherwise nothing is ever replaced: a file of
            the same bytes that appeared in the meantime is left as it is, and the new one dropped.
        :param keep_mode: Leave the permissions as they are: the staged file is another name of one in use.
        :raises BackendError: ``conflict``: a different file appeared; ``busy``: the place was taken over;
            ``disk_full`` or ``read_only``. The bytes stay in the staging place.
        """
        self.check_owned()
        try:
            if not keep_mode:
                self._seal(replace)
            if replace:
                _replace(self.target, self.final)
            else:
                self._link()
            sync_directory(self.final.parent)
        except OSError as error:
            raise as_disk_error(error, self.final) from error
        return self.final

    def _seal(self, replace: bool) -> None:
        """Give the bytes their permissions, and see to it that they outlive a loss of power."""
        mode = self._claim.mode
        if replace and (old := regular_file(self.final)):
            mode = stat.S_IMODE(old.st_mode) & 0o777
        descriptor = os.open(self.target, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
        try:
            if hasattr(os, "fchmod"):
                os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _link(self) -> None:
        """Name the bytes, unless the name is taken: the file system decides that, not a look before the step."""
        try:
            if os.name == "nt":
                os.rename(self.target, self.final)  # fails on Windows if the name is taken
                return
            os.link(self.target, self.final)
        except FileExistsError:
            if not _same_bytes(self.target, self.final):
                raise BackendError(
                    f"a different file appeared at {self.final}",
                    code=ErrorCode.CONFLICT,
                    hint="Move it aside, or run again with --force to replace it.",
                ) from None
        except OSError:
            # FAT and some network shares know no links. There, a look before the step is the best there is.
            if os.path.lexists(self.final):
                raise
            _replace(self.target, self.final)
            return
        self.target.unlink()

    def discard(self) -> None:
        """Drop the bytes and what is known of them, unless they are another's by now."""
        with suppress(OSError):  # what cannot be removed now is a leftover that `clean` lists
            if self._claim.holds():
                empty(self._claim.place)

    def quarantine(self, sha256: str = "") -> Path:
        """Put refused bytes aside as ``NAME.bad-SHA8``, for the user to look at; an older one makes room.

        :param sha256: Of the bytes; computed where it is not known.
        """
        self.check_owned()
        bad = put_aside(self.target, self.final, sha256 or _sha256(self.target))
        self.discard()
        return bad

    def check_owned(self) -> None:
        """:raises BackendError: ``busy``: another process holds the place by now."""
        if not self._claim.holds():
            raise BackendError(
                f"another process took over the download of {self.final}",
                code=ErrorCode.BUSY,
                hint="This one was silent for long. See what the other one did, then run again.",
            )

    def beat(self) -> None:
        """Show that the owner lives, and find out whether it was taken for dead meanwhile."""
        self._claim.beat()
        self.lost = not self._claim.holds()

    def release(self) -> None:
        """Give the place back: with its bytes where some have arrived, and without a trace otherwise."""
        # What cannot be removed now is a leftover that `clean` lists, and that the next claim takes over.
        with suppress(OSError):
            status = regular_file(self.target)
            self._claim.give_up(keep=status is not None and status.st_size > 0)


def put_aside(path: Path, final: Path, sha256: str) -> Path:
    """Rename the file at *path*, which is or was to become *final*, to ``NAME.bad-SHA8``; an older one makes room.

    :raises BackendError: ``read_only`` or the like.
    """
    bad = final.with_name(_fit(final.name, f".bad-{sha256[:8]}"))
    try:
        for older in final.parent.iterdir():
            if QUARANTINED.fullmatch(older.name) and older.name[:-8] == bad.name[:-8]:
                older.unlink()
        os.replace(path, bad)
    except OSError as error:
        raise as_disk_error(error, bad) from error
    return bad


class Staging:
    """Claims staging places for one run, and keeps showing that the run lives."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stages: set[Stage] = set()
        self._over = threading.Event()
        self._beats: threading.Thread | None = None

    @contextmanager
    def claim(
        self,
        final: Path,
        *,
        wait: bool = True,
        cancelled: Callable[[], bool] = lambda: False,
        on_wait: Callable[[str], None] = lambda reason: None,
    ) -> Iterator[Stage]:
        """Be the only one who works on *final*, until the block ends.

        The folder is made where it is missing. What a dead process left is taken over, bytes and journal
        included. When the block ends without :meth:`Stage.publish`, bytes that have arrived stay for the next run.

        :param wait: Wait for another process that is at work; otherwise it is an error.
        :param on_wait: Told once, in words, what is waited for.
        :raises BackendError: ``busy``, ``conflict``, ``read_only``, ``disk_full`` or ``unsafe_name``.
        :raises Cancelled: The caller asked to stop waiting.
        """
        place = staging_place(final)
        try:
            if not final.parent.is_dir():
                final.parent.mkdir(parents=True, exist_ok=True)
            waited, watch = False, Watch()
            while (owned := claim(place, watch)) is None:
                if not wait:
                    raise _busy(final)
                if not waited:
                    on_wait(f"another process is downloading {final.name}")
                waited = True
                if cancelled():
                    raise Cancelled(f"stopped while waiting for {final.name}")
                time.sleep(_POLL)
        except OSError as error:
            raise as_disk_error(error, final) from error
        stage = Stage(final, owned, waited=waited)
        with self._lock:
            self._stages.add(stage)
            if self._beats is None:
                self._beats = threading.Thread(target=self._beat, name="comfywatchman-heartbeat", daemon=True)
                self._beats.start()
        try:
            _drop_foreign(stage.target)
            if owned.from_afar:
                _detach(stage.target)
            yield stage
        finally:
            with self._lock:
                self._stages.discard(stage)
            stage.release()

    def close(self) -> None:
        """End the heartbeat."""
        self._over.set()

    def _beat(self) -> None:
        while not self._over.wait(HEARTBEAT):
            with self._lock:
                stages = tuple(self._stages)
            for stage in stages:
                stage.beat()


def regular_file(path: Path) -> os.stat_result | None:
    """The status of *path* if it is an ordinary file, not a link to one."""
    with suppress(OSError):
        status = path.lstat()
        if stat.S_ISREG(status.st_mode):
            return status
    return None


def _drop_foreign(target: Path) -> None:
    """Remove what must not be written to: links, and bytes that have their name already.

    A process that ended between naming the bytes and removing the old name
    leaves one file under two names. Writing to it would change the published one.
    """
    try:
        with suppress(FileNotFoundError):
            status = target.lstat()
            if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
                target.unlink()
    except OSError as error:
        raise as_disk_error(error, target) from error


def _detach(target: Path) -> None:
    """Make the bytes so far a file of our own: a process that wakes up on another host writes to the old one."""
    if regular_file(target) is None:
        return
    copy = target.with_name("copy")
    try:
        copy.unlink(missing_ok=True)
        with target.open("rb") as old, copy.open("xb") as new:  # a link that somebody planted is not followed
            shutil.copyfileobj(old, new, _PIECE)
        os.replace(copy, target)
    except OSError as error:
        with suppress(OSError):
            copy.unlink(missing_ok=True)
        raise as_disk_error(error, target) from error


def _replace(source: Path, target: Path) -> None:
    for pause in (0.05, 0.1, 0.2, 0.4, 0.8):
        try:
            os.replace(source, target)
            return
        except PermissionError:  # a virus scanner on Windows holds new files open for a moment
            time.sleep(pause)
    os.replace(source, target)


def _same_bytes(one: Path, other: Path) -> bool:
    if not other.is_file() or one.stat().st_size != other.stat().st_size:
        return False
    return _sha256(one) == _sha256(other)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _busy(final: Path) -> BackendError:
    return BackendError(
        f"another process is downloading {final}",
        code=ErrorCode.BUSY,
        hint="Wait for it to end, then run again.",
    )
