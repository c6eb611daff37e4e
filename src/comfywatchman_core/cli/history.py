"""``comfywatchman history``: what was downloaded when, from where, with which digest and verdict."""

from __future__ import annotations

import datetime
import fnmatch
from argparse import Namespace
from collections.abc import Iterator
from typing import Any

from comfywatchman_core.addresses import printable
from comfywatchman_core.config import Config
from comfywatchman_core.jsonlines import SCHEMA, closing_line
from comfywatchman_core.report import Status
from comfywatchman_core.state import Memory, Record
from comfywatchman_core.units import size_text, time_text

from .results import use_color, write_line
from .terminal import say


def history(config: Config, options: Namespace) -> int:
    """Print the newest records, the newest last; returns the exit code."""
    memory = Memory(config.state, tell=lambda message: say(f"warning: {message}"), create=False)
    try:
        records = list(_chosen(memory, options))
    finally:
        memory.close()
    if options.json:
        from .listening import write_json

        for record in records:
            write_json(history_line(record))
        write_json(closing_line(0))
        return 0
    colored = use_color(options.color)
    for record in records:
        for line in _lines(record, verbose=options.verbose, colored=colored):
            write_line(line)
    if not records and not options.quiet:
        say("nothing was downloaded so far")
    return 0


def history_line(record: Record) -> dict[str, Any]:
    """The object that a record is printed as."""
    return {
        "schema": SCHEMA,
        "event": "history",
        "at": _time(record.at),
        "status": record.status,
        "folder": record.folder,
        "name": record.name,
        "path": str(record.path) if record.path is not None else None,
        "backend": record.backend or None,
        "match": record.match or None,
        "reference": record.reference or None,
        "url": record.url or None,
        "size": record.size,
        "sha256": record.sha256 or None,
        "verdict": record.verdict or None,
        "seconds": None if record.seconds is None else round(record.seconds, 3),
        "error": record.error,
        "attempts": list(record.attempts),
    }


def _chosen(memory: Memory, options: Namespace) -> Iterator[Record]:
    records = [
        record
        for record in memory.history.records()
        if (not options.failed or record.status == Status.FAILED)
        and (not options.only or any(fnmatch.fnmatchcase(record.label, glob) for glob in options.only))
    ]
    yield from records[-options.limit :] if options.limit > 0 else records


def _lines(record: Record, *, verbose: bool, colored: bool) -> Iterator[str]:
    status = f"{record.status:<10}"
    if colored:
        status = f"\x1b[{'31' if record.status == Status.FAILED else '32'}m{status}\x1b[0m"
    details = [
        size_text(record.size) if record.size is not None and record.sha256 else "",
        record.verdict,
        record.backend,
        time_text(record.seconds) if record.seconds else "",
        f"sha256 {record.sha256[:12]}…" if record.sha256 and not verbose else "",
    ]
    note = ", ".join(filter(None, details))
    when = _time(record.at).replace("T", " ").removesuffix("Z")
    yield f"{when}  {status} {printable(record.label)}{f'  ({printable(note)})' if note else ''}"
    if record.error is not None:
        yield f"                     {printable(str(record.error.get('message', '')))}"
    if verbose:
        for about in (record.path, record.url, record.reference, record.sha256 and f"sha256 {record.sha256}"):
            if about:
                yield f"                     {printable(str(about))}"


def _time(at: float) -> str:
    """Spell a moment in UTC; one that no calendar has, as Unix time."""
    try:
        return datetime.datetime.fromtimestamp(at, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return f"@{at:.0f}"
