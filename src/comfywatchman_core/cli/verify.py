"""``comfywatchman verify``: hash model files, and say which are not what they should be."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attrs import evolve

from comfywatchman_core.addresses import printable
from comfywatchman_core.audited import AuditReport, Condition, Verified
from comfywatchman_core.config import Config
from comfywatchman_core.events import BackendAsked, Event, Warned
from comfywatchman_core.jsonlines import SCHEMA, error_object, event_line, result_line
from comfywatchman_core.planfile import read_plan
from comfywatchman_core.units import size_text
from comfywatchman_core.watchman import Watchman

from .results import use_color, write_line
from .signals import interruptible
from .terminal import say

_COLORS = {
    Condition.OK: "32",
    Condition.UNKNOWN: "33",
    Condition.CHANGED: "31",
    Condition.CORRUPT: "31",
    Condition.MISSING: "31",
}


def verify(config: Config, options: Namespace) -> int:
    """Carry out the command; returns the exit code."""
    plan = read_plan(Path(options.plan)) if options.plan else None
    with interruptible() as interruption, Watchman(config) as watchman:
        report = watchman.verify(
            options.path,
            plan=plan,
            full=options.full,
            quarantine=options.quarantine,
            accept=options.accept,
            on_verified=_teller(options),
            on_reading=_tell_reading if not (options.quiet or options.json) else lambda files, size: None,
            on_event=_listener(options),
            cancel=interruption.event,
        )
    report = evolve(report, interrupted=interruption.code)
    if options.json:
        from .listening import write_json

        write_json(_result_line(report))
    else:
        for problem in report.problems:
            say(f"note: {problem.message}")
        if not options.quiet:
            write_line(_summary(report))
    return int(report.exit_code)


def verified_line(verified: Verified) -> dict[str, Any]:
    """The object that a file is printed as."""
    return {
        "schema": SCHEMA,
        "event": "verified",
        "path": str(verified.path),
        "folder": verified.folder,
        "name": verified.name,
        "status": verified.condition.value,
        "size": verified.size,
        "sha256": verified.sha256,
        "expected": verified.expected,
        "against": verified.against or None,
        "note": verified.note or None,
        "read": verified.was_read,
        "seconds": round(verified.seconds, 3),
        "quarantined": str(verified.quarantined) if verified.quarantined else None,
        "error": error_object(verified.failure),
    }


def _result_line(report: AuditReport) -> dict[str, Any]:
    """The last line: ``files`` holds what is not as it should be, and ``summary`` counts all."""
    line = result_line(report.report)
    files, size = report.read
    counts = {condition.value: report.count(condition) for condition in Condition}
    summary = {
        **line["summary"],
        "needed": len(report.files),
        "present": counts["ok"] + counts["unknown"],
        **{name: counts[name] for name in ("ok", "changed", "corrupt", "unknown", "missing")},
        "read": files,
        "bytes_read": size,
    }
    return {**line, "summary": summary}


def _listener(options: Namespace) -> Callable[[Event], None]:
    if options.json:
        from .listening import write_json

        return lambda event: write_json(event_line(event))

    def tell(event: Event) -> None:
        if isinstance(event, Warned) and not options.quiet:
            say(f"warning: {event.message}")
        elif isinstance(event, BackendAsked) and options.verbose:
            attempt = event.attempt
            said = attempt.failure.message if attempt.failure else attempt.outcome.value
            say(f"{attempt.backend} about {event.label}: {said}")

    return tell


def _teller(options: Namespace) -> Callable[[Verified], None]:
    if options.json:
        from .listening import write_json

        return lambda verified: write_json(verified_line(verified))
    colored = use_color(options.color)

    def tell(verified: Verified) -> None:
        if options.quiet and verified.condition in (Condition.OK, Condition.UNKNOWN):
            return
        status = f"{verified.condition.value:<8}"
        if colored:
            status = f"\x1b[{_COLORS[verified.condition]}m{status}\x1b[0m"
        about = f"  ({verified.against})" if verified.against and verified.condition is Condition.OK else ""
        write_line(f"{status} {printable(verified.label)}{about}")
        if verified.note:
            write_line(f"         {printable(f'{verified.path}: {verified.note}')}")
        if verified.failure is not None and verified.failure.hint:
            write_line(f"         {printable(verified.failure.hint)}")
        if options.verbose and verified.sha256:
            write_line(f"         sha256 {verified.sha256}{'' if verified.was_read else ', from memory'}")

    return tell


def _tell_reading(files: int, size: int) -> None:
    say(f"reading {files} file{'' if files == 1 else 's'}, {size_text(size)}")


def _summary(report: AuditReport) -> str:
    files, size = report.read
    shown = [Condition.OK, Condition.CHANGED, Condition.CORRUPT, Condition.UNKNOWN]
    if report.count(Condition.MISSING):
        shown.append(Condition.MISSING)
    counts = ", ".join(f"{report.count(one)} {one.value}" for one in shown)
    read = f"{files} read, {size_text(size)}" if files else "none had to be read"
    total = len(report.files)
    return f"{total} file{'' if total == 1 else 's'}: {counts} ({read})"
