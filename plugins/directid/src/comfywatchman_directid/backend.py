"""The back end: which tables are asked, and what is told of those that cannot be."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from comfywatchman_core import BackendError, Candidate, Context, ModelRequest, errors, events, hookimpl

from .choice import Tables, choose
from .documents import parse_document
from .files import Stamp, read_bounded, stamp_of, unreadable
from .learned import FILE_NAME, remember, row_for
from .rows import KnownModel, name_key
from .table import Table

if TYPE_CHECKING:
    from .checking import Ask
    from .command import Write

_PACKAGED = Path(__file__).with_name("data") / "known_models.json"


class DirectIdBackend:
    """Knows models by exact name and folder, by address and by digest; asks no network.

    What it finds, the source's own back end confirms and transfers: an offer
    names it in ``delegate``.
    """

    api_version = 1
    priority = 90

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._read: dict[Path, tuple[Stamp, Table | BackendError]] = {}
        self._packaged: Table | None = None

    @hookimpl
    def resolve_model(self, request: ModelRequest, context: Context) -> Sequence[Candidate] | None:
        """Offer what the user's tables, the packaged one and the learned one know.

        :raises BackendError: Nothing was found, and a table of the user that might know could not be read.
        """
        users, broken = self._user_tables(context)
        answer = choose(request, Tables(users=users, packaged=self.packaged(), learned=self._learned(context)))
        if broken and answer == ():
            raise broken[0]
        return answer

    def learn(self, request: ModelRequest, candidate: Candidate, sha256: str, size: int, context: Context) -> None:
        """Remember a download that a published checksum spoke for. Called by the core; never raises.

        :param sha256: Of the bytes on disk, hexadecimal.
        :param size: Bytes.
        """
        try:
            path = learned_path(context)
            row = row_for(request, candidate, sha256, size, _today())
            if path is None or row is None or self._is_packaged(row):
                return
            remember(path, row, lambda message: context.emit(events.Warned(message=message)))
        except (OSError, BackendError) as error:
            context.emit(events.Warned(message=f"the learned table was not written: {error}", label=request.label))

    def known(self, arguments: Sequence[str], context: Context, ask: Ask, write: Write) -> int:
        """Carry out ``comfywatchman known …``.

        :param ask: Has a request answered by the other back ends, whichever its reference belongs to.
        :param write: Takes one line of output for people, and the same for programs.
        :returns: The exit code.
        :raises UsageError: The words make no sense.
        :raises BackendError: A source does not confirm, or a table cannot be read or written.
        """
        from .checking import looking_at_addresses
        from .command import Desk, run  # argparse and its words: only for this command

        users, broken = self._user_tables(context)
        if broken:
            raise broken[0]
        paths = user_paths(context)
        desk = Desk(
            users=users,
            learned=self._learned(context),
            packaged=self.packaged(),
            default=paths[0] if paths else own_path(context),
            ask=looking_at_addresses(ask, context),
            write=write,
        )
        return run(arguments, desk, _today())

    def packaged(self) -> Table:
        """The table that ships with the package, read when it is first needed."""
        if self._packaged is None:
            version, rows = parse_document(_PACKAGED.read_bytes(), _PACKAGED.name, trusted=True)
            self._packaged = Table(rows, label=f"packaged {version}", version=version)
        return self._packaged

    def _is_packaged(self, row: KnownModel) -> bool:
        known = self.packaged().from_source(row.source)
        return any(one.sha256 == row.sha256 and name_key(one.name) == name_key(row.name) for one in known)

    def _user_tables(self, context: Context) -> tuple[tuple[Table, ...], list[BackendError]]:
        tables: list[Table] = []
        broken: list[BackendError] = []
        for path in user_paths(context):
            read = self._table(path, context, curated=True)
            if isinstance(read, Table):
                tables.append(read)
            else:
                broken.append(read)
        return tuple(tables), broken

    def _learned(self, context: Context) -> Table:
        path = learned_path(context)
        if path is None or stamp_of(path) is None:
            return Table(label="learned", curated=False)
        read = self._table(path, context, curated=False)
        return read if isinstance(read, Table) else Table(label="learned", curated=False)

    def _table(self, path: Path, context: Context, *, curated: bool) -> Table | BackendError:
        """Read a table, or find it read already; what is wrong with it is told once."""
        stamp = stamp_of(path) or (0, 0, 0)
        with self._lock:
            known = self._read.get(path)
            if known is not None and known[0] == stamp:
                return known[1]
            read = _read_table(path, curated=curated)
            self._read[path] = (stamp, read)
        if isinstance(read, BackendError):
            context.emit(events.Warned(message=f"this table of known models is not used: {read}"))
        return read


def _today() -> datetime.date:
    return datetime.datetime.now(datetime.UTC).date()


def _read_table(path: Path, *, curated: bool) -> Table | BackendError:
    try:
        version, rows = parse_document(read_bounded(path), str(path))
    except OSError as error:
        return unreadable(path, error)
    except BackendError as error:
        return error
    return Table(rows, label=str(path), version=version, curated=curated)


def user_paths(context: Context) -> tuple[Path, ...]:
    """The user's own tables in order: those of ``tables``, then the one that ``known add`` writes by default.

    :raises BackendError: The setting is neither a path nor a list of paths.
    """
    value = context.settings.get("tables", [])
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) and text for text in texts):
        raise _bad_setting("tables", "a list of paths")
    paths = [_path(text, "tables") for text in texts]
    own = own_path(context)
    if own is not None and own not in paths and stamp_of(own) is not None:
        paths.append(own)
    return tuple(paths)


def own_path(context: Context) -> Path | None:
    """The table that ``known add`` writes where none is named."""
    return context.cache_dir / "known.json" if context.cache_dir else None


def learned_path(context: Context) -> Path | None:
    """Where verified downloads are remembered; ``None`` where they are not.

    :raises BackendError: The setting ``learned`` is neither a path nor a boolean.
    """
    value = context.settings.get("learned", True)
    if value is False:
        return None
    if isinstance(value, str) and value:
        return _path(value, "learned")
    if value is not True:
        raise _bad_setting("learned", "a path, true or false")
    return context.cache_dir / FILE_NAME if context.cache_dir else None


def _path(text: str, key: str) -> Path:
    # Nothing is read from the current directory: it may be a stranger's workflow repository.
    try:
        path = Path(text).expanduser()
    except RuntimeError:  # ~somebody whom nobody knows
        path = Path(text)
    if not path.is_absolute():
        raise _bad_setting(key, f"a whole path, from the root or from ~: {text[:200]!a}")
    return path


def _bad_setting(key: str, what: str) -> BackendError:
    return BackendError(
        f"[backends.directid] {key} is not {what}",
        code=errors.ErrorCode.BACKEND_FAILED,
        hint=f"Correct {key} in config.toml.",
    )
