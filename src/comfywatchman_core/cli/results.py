"""What a run came to, on stdout, for people."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence

from comfywatchman_core.addresses import printable, redact
from comfywatchman_core.backends import Listing, State
from comfywatchman_core.models import Candidate, Outcome, Verdict
from comfywatchman_core.report import Entry, Problem, Report, Status
from comfywatchman_core.units import size_text, time_text

_COLORS = {
    Status.PRESENT: "32",
    Status.DOWNLOADED: "32",
    Status.LINKED: "32",
    Status.ELSEWHERE: "33",
    Status.PLANNED: "36",
    Status.CORRUPT: "31",
    Status.MISSING: "31",
    Status.FAILED: "31",
    Status.INACTIVE: "2",
    Status.SKIPPED: "2",
}


def use_color(choice: str) -> bool:
    """Decide by ``--color``, ``NO_COLOR`` and whether stdout is a terminal."""
    if choice == "auto":
        return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return choice == "always"


def write(report: Report, *, quiet: bool, verbose: bool, color: str) -> None:
    """Print one line for each file, what to do about those that failed, and the counts."""
    colored = use_color(color)
    for entry in report.entries:
        if not quiet or entry.error is not None:
            for line in _entry_lines(entry, verbose=verbose, colored=colored):
                write_line(line)
    for problem in report.problems:
        if not quiet or problem.code in ("unreadable", "unsafe_name", "usage"):
            for line in _problem_lines(problem):
                write_line(line)
    if not quiet:
        write_line(summary_line(report))


def summary_line(report: Report) -> str:
    """The counts in one line: those that are always there, and those that are not zero."""
    summary = report.summary
    parts = [
        f"{summary.present} present",
        f"{summary.downloaded} downloaded",
        f"{summary.failed} failed" if any(entry.error for entry in report.entries) else f"{summary.failed} missing",
        f"{summary.skipped} skipped",
    ]
    planned = sum(entry.status is Status.PLANNED for entry in report.entries)
    if planned:
        size = sum(entry.size or 0 for entry in report.entries if entry.status is Status.PLANNED)
        parts.append(f"{planned} to download ({size_text(size)})")
    if summary.inactive:
        parts.append(f"{summary.inactive} inactive")
    if summary.bytes:
        parts.append(size_text(summary.bytes))
    workflows = f"{summary.workflows} workflow{'' if summary.workflows == 1 else 's'}"
    return f"{workflows}, {summary.needed} needed: {', '.join(parts)}"


def _entry_lines(entry: Entry, *, verbose: bool, colored: bool) -> Iterable[str]:
    status = f"{entry.status.value:<10}"
    if colored:
        status = f"\x1b[{_COLORS[entry.status]}m{status}\x1b[0m"
    details = []
    if entry.status is Status.ELSEWHERE:
        details.append(f"at {printable(str(entry.path))}")
    elif entry.status in (Status.DOWNLOADED, Status.PLANNED, Status.LINKED):
        if entry.size is not None:
            details.append(size_text(entry.size))
        if entry.verification is not None:
            details.append(entry.verification.verdict.value)
        if entry.backend:
            details.append(entry.backend)
        if entry.seconds:
            details.append(time_text(entry.seconds))
    note = f"  ({', '.join(details)})" if details else ""
    yield f"{status} {printable(entry.request.label)}{note}"
    if entry.status in (Status.DOWNLOADED, Status.LINKED) and entry.path is not None:
        yield f"           {printable(str(entry.path))}"
        if entry.verification is not None and entry.verification.verdict is Verdict.UNVERIFIED:
            yield "           no published checksum speaks for it"
    if entry.error is not None:
        yield f"           {printable(entry.error.message)}"
        if entry.error.hint:
            yield f"           {printable(entry.error.hint)}"
    if entry.error is not None or entry.status is Status.MISSING:
        for candidate in entry.candidates[:10]:
            about = ", ".join((*filter(None, (candidate.name, candidate.sha256 and candidate.sha256[:12])),))
            size = size_text(candidate.size) if candidate.size else "size not known"
            notes = "; ".join(candidate.notes)
            yield printable(
                f"           · {candidate.reference or candidate.url.partition('?')[0]}  {about}  {size}  {notes}"
            )
    if verbose:
        for node in entry.request.wanted_by:
            yield printable(f"           wanted by {node.workflow}, node {node.node} ({node.node_class})")
        for attempt in entry.attempts:
            if attempt.outcome is not Outcome.DECLINED or attempt.hook == "resolve_model":
                said = attempt.failure.message if attempt.failure else f"{attempt.outcome.value}, {attempt.offers}"
                yield printable(f"           {attempt.backend} {attempt.hook}: {said} ({attempt.seconds:.2f} s)")


def _candidate_text(candidate: Candidate) -> str:
    parts = (
        candidate.reference or redact(candidate.url),
        candidate.name,
        size_text(candidate.size) if candidate.size else "size not known",
        f"sha256 {candidate.sha256[:12]}…" if candidate.sha256 else "",
        "; ".join(candidate.notes),
        candidate.obstacle.message if candidate.obstacle else "",
    )
    return printable("  ".join(part for part in parts if part))


def _problem_lines(problem: Problem) -> Iterable[str]:
    yield printable(f"note       {problem.message}")
    if problem.hint:
        yield printable(f"           {problem.hint}")


def write_backends(listings: Sequence[Listing]) -> None:
    """Print the back ends in the order in which they are asked, then those that are not."""
    rows = [("NAME", "PRIORITY", "STATE", "VERSION", "HOOKS")]
    for one in listings:
        version = f"{one.distribution} {one.version}".strip()
        hooks = ", ".join(hook.partition("_")[0] for hook in one.hooks)
        rows.append((one.name, "" if one.priority is None else str(one.priority), one.state, version, hooks))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for index, row in enumerate(rows):
        write_line(printable("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()))
        if index and listings[index - 1].state != State.READY:
            write_line(printable(f"    {listings[index - 1].reason}"))


def write_line(line: str) -> None:
    """Print one line to stdout, in whatever characters the terminal has."""
    try:
        print(line)
    except UnicodeEncodeError:  # a terminal of another encoding shows what it can
        encoding = sys.stdout.encoding or "ascii"
        print(line.encode(encoding, "backslashreplace").decode(encoding))
