"""The lines of ``--json``: one object for each event, and the result as the last.

The shape is public. ``schema/output.json`` describes every line, and real
output is tested against it.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite
from typing import Any

from .addresses import redact
from .errors import Failure
from .events import (
    BackendAsked,
    BytesReceived,
    DownloadFinished,
    DownloadStarted,
    Event,
    FileSettled,
    Queued,
    StateChanged,
    Surveyed,
    Warned,
    WorkflowRead,
)
from .models import Attempt, Candidate
from .report import Entry, Problem, Report

SCHEMA = "comfywatchman/1"


def event_line(event: Event) -> dict[str, Any]:
    """The object that *event* is printed as."""
    match event:
        case WorkflowRead():
            told: dict[str, Any] = {"event": "workflow", "workflow": event.workflow, "models": event.models}
        case Surveyed():
            told = {"event": "surveyed", "needed": event.needed, "missing": event.missing}
        case BackendAsked():
            told = {"event": "asked", "file": event.label, "attempt": attempt_object(event.attempt)}
        case Queued():
            told = {
                "event": "queued",
                "file": event.label,
                "backend": event.candidate.backend,
                "match": event.candidate.match.label,
                "url": redact(event.candidate.url),
                "size": event.candidate.size,
            }
        case DownloadStarted():
            told = {
                "event": "started",
                "file": event.label,
                "backend": event.candidate.backend,
                "url": redact(event.candidate.url),
                "resumed_at": event.resumed_at,
                "size": event.size,
            }
        case BytesReceived():
            told = {
                "event": "progress",
                "file": event.label,
                "received": event.received,
                "size": event.size,
                "rate": round(event.rate) if event.rate is not None and isfinite(event.rate) else None,
                "connections": event.connections,
            }
        case StateChanged():
            told = {
                "event": "state",
                "file": event.label,
                "state": event.state.value,
                "seconds": event.seconds if event.seconds is not None and isfinite(event.seconds) else None,
                "reason": event.reason,
            }
        case DownloadFinished():
            told = {"event": "received", "file": event.label, "size": event.artifact.size}
        case FileSettled():
            told = {"event": "file", "file": event.label, **file_object(event.entry)}
        case Warned():
            told = {"event": "warning", "file": event.label, "message": event.message}
    return {"schema": SCHEMA, **told}


def result_line(report: Report) -> dict[str, Any]:
    """The last line."""
    summary = report.summary
    return {
        "schema": SCHEMA,
        "event": "result",
        "ok": report.ok,
        "exit_code": int(report.exit_code),
        "summary": {
            "workflows": summary.workflows,
            "needed": summary.needed,
            "present": summary.present,
            "downloaded": summary.downloaded,
            "skipped": summary.skipped,
            "inactive": summary.inactive,
            "failed": summary.failed,
            "bytes": summary.bytes,
        },
        "files": [file_object(entry) for entry in report.entries],
        "problems": [problem_object(problem) for problem in report.problems],
    }


def closing_line(exit_code: int, problems: Iterable[Problem] = ()) -> dict[str, Any]:
    """The last line of a command that got no file, or did not come to an end."""
    empty = result_line(Report(entries=(), problems=tuple(problems)))
    return {**empty, "ok": exit_code == 0, "exit_code": int(exit_code)}


def line_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of every line."""
    import json
    from importlib.resources import files

    schema: dict[str, Any] = json.loads(files(__package__).joinpath("schema", "output.json").read_text("utf-8"))
    return schema


def file_object(entry: Entry) -> dict[str, Any]:
    """One element of ``files``."""
    request, candidate = entry.request, entry.candidate
    return {
        "name": str(request.name) if request.name is not None else request.label,
        "folder": request.folder,
        "path": str(entry.path) if entry.path is not None else None,
        "workflows": sorted({node.workflow for node in request.wanted_by}),
        "status": entry.status.value,
        "backend": entry.backend,
        "match": candidate.match.label if candidate else None,
        "url": redact(candidate.url) if candidate else None,
        "size": entry.size,
        "sha256": entry.sha256,
        "verdict": entry.verification.verdict.value if entry.verification else None,
        "seconds": None if entry.seconds is None else round(entry.seconds, 3),
        "candidates": [candidate_object(one) for one in entry.candidates],
        "attempts": [attempt_object(one) for one in entry.attempts],
        "error": error_object(entry.error),
        **({} if entry.worker is None else {"worker": entry.worker}),
    }


def candidate_object(candidate: Candidate) -> dict[str, Any]:
    """One offer that was not taken."""
    return {
        "backend": candidate.backend,
        "match": candidate.match.label,
        "name": candidate.name,
        "reference": redact(candidate.reference),
        "url": redact(candidate.url),
        "size": candidate.size,
        "sha256": candidate.sha256,
        "notes": list(candidate.notes),
        "error": error_object(candidate.obstacle),
    }


def attempt_object(attempt: Attempt) -> dict[str, Any]:
    """One question and what came of it."""
    return {
        "hook": attempt.hook,
        "backend": attempt.backend,
        "outcome": attempt.outcome.value,
        "offers": attempt.offers,
        "seconds": round(attempt.seconds, 4),
        "error": error_object(attempt.failure),
    }


def error_object(failure: Failure | None) -> dict[str, Any] | None:
    """``error``, or ``null``."""
    if failure is None:
        return None
    return {
        "code": failure.code.value,
        "message": failure.message,
        "hint": failure.hint,
        "http_status": failure.http_status,
        "retry_after": failure.retry_after,
    }


def problem_object(problem: Problem) -> dict[str, Any]:
    """One element of ``problems``."""
    return {"about": problem.about, "code": problem.code, "message": problem.message, "hint": problem.hint}
