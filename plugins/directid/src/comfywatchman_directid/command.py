"""`comfywatchman known`: the words of the command, and what it prints."""

from __future__ import annotations

import argparse
import datetime
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from attrs import frozen

from comfywatchman_core import BackendError, errors

from . import known
from .checking import Ask, Finding, State
from .files import unreadable
from .rows import KnownModel
from .table import Table

Write = Callable[[str, Mapping[str, Any]], None]
"""Takes one line of output for people, and the same for programs."""

_NOT_FOUND, _NETWORK, _INTEGRITY = 4, 5, 7


@frozen(kw_only=True)
class Desk:
    """What the command works on."""

    users: tuple[Table, ...]
    learned: Table
    packaged: Table
    default: Path | None
    """The table that is changed where the user names none."""
    ask: Ask
    write: Write


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise errors.UsageError(message, hint=f"`{self.prog} --help` shows how it is used.")


def parser() -> argparse.ArgumentParser:
    """The command's words."""
    whole = _Parser(prog="comfywatchman known", description="Tables of known models.")
    words = whole.add_subparsers(dest="word", required=True, metavar="add|list|remove|check", parser_class=_Parser)
    one = words.add_parser("add", help="add a model to your own table, once its source confirms it")
    one.add_argument("reference", help="an https address, hf:OWNER/REPO/PATH, civitai:MODEL@VERSION or an AIR")
    one.add_argument("--folder", default="", help="ComfyUI's folder key, e.g. loras")
    one.add_argument("--name", default="", help="what workflows call the file, where its source calls it otherwise")
    one.add_argument("--sha256", default="", help="hold the file to this digest")
    one = words.add_parser("list", help="show the rows of your own tables and the learned one")
    one.add_argument("pattern", nargs="?", default="*", help="NAME or FOLDER/NAME, with * and ?")
    one.add_argument("--all", action="store_true", help="the packaged table, too")
    one = words.add_parser("remove", help="take rows out of your own table")
    one.add_argument("pattern", help="NAME or FOLDER/NAME, with * and ?")
    one = words.add_parser("check", help="compare your own table with its sources")
    one.add_argument("pattern", nargs="?", default="*")
    one.add_argument("--write", action="store_true", help="fill in what the table does not know yet")
    for name in ("add", "remove", "check"):
        words.choices[name].add_argument("--table", type=Path, default=None, help="this table instead of the default")
    return whole


def run(arguments: Sequence[str], desk: Desk, today: datetime.date) -> int:
    """Carry out one command.

    :returns: The exit code: 0, or 4 for nothing found, 5 for a source that could not be asked, 7 for a file that
        changed at its source.
    :raises UsageError: The words make no sense.
    :raises BackendError: A source does not confirm, or a table cannot be read or written.
    """
    options = parser().parse_args(arguments)
    if options.word == "list":
        return _list(options, desk)
    path = _table(options, desk)
    try:
        if options.word == "add":
            row = known.add(
                path,
                options.reference,
                ask=desk.ask,
                today=today,
                name=options.name,
                folder=options.folder,
                sha256=options.sha256,
            )
            unproven = "" if row.sha256 else "  (its source states no SHA256)"
            desk.write(f"added {_shown(row)}{unproven}  to {path}", _model(row, str(path), "added"))
            return 0
        if options.word == "remove":
            gone = known.remove(path, options.pattern)
            for row in gone:
                desk.write(f"removed {_shown(row)}", _model(row, str(path), "removed"))
            return 0 if gone else _NOT_FOUND
        findings = known.check(path, ask=desk.ask, today=today, pattern=options.pattern, write=options.write)
    except OSError as error:
        raise unreadable(path, error) from error
    return _report(findings, desk.write)


def _list(options: argparse.Namespace, desk: Desk) -> int:
    tables = (*desk.users, desk.learned, *((desk.packaged,) if options.all else ()))
    shown = 0
    for table in tables:
        for row in table.rows:
            if not known.matches(row, options.pattern):
                continue
            shown += 1
            digest = f"sha256 {row.sha256[:8]}…" if row.sha256 else "no digest"
            desk.write(f"{_shown(row)}  {digest}  [{table.label}]", _model(row, table.label, "listed"))
    return 0 if shown or options.pattern == "*" else _NOT_FOUND


def _report(findings: Iterable[Finding], write: Write) -> int:
    states = set()
    for finding in findings:
        states.add(finding.state)
        # a server may have had a hand in the message: nothing of it may steer the terminal
        message = "".join(sign if sign.isprintable() else " " for sign in finding.message)
        told = {"event": "known_check", "state": finding.state.value, "message": message, **_facts(finding.row)}
        write(f"{finding.state:8} {_shown(finding.row)}  {message}".rstrip(), told)
    if State.CHANGED in states:
        return _INTEGRITY
    if State.GONE in states:
        return _NOT_FOUND
    return _NETWORK if State.UNASKED in states else 0


def _table(options: argparse.Namespace, desk: Desk) -> Path:
    path: Path | None = options.table or desk.default
    if path is None:
        raise BackendError(
            "there is no table to work on",
            hint="Name one with --table, or in [backends.directid] tables.",
        )
    return path.expanduser()


def _shown(row: KnownModel) -> str:
    return f"{'|'.join(row.folders) or '*'}/{row.name}  {row.source.reference}"


def _model(row: KnownModel, table: str, done: str) -> Mapping[str, Any]:
    return {"event": "known_model", "done": done, "table": table, **_facts(row)}


def _facts(row: KnownModel) -> Mapping[str, Any]:
    """The row for a program that reads lines: every member in each, whatever is known."""
    return {
        "name": row.name,
        "folders": list(row.folders),
        "source": row.source.reference,
        "sha256": row.sha256,
        "size": row.size,
        "seen_in": list(row.seen_in),
        "checked": row.checked or None,
        "match": row.match.label,
    }
