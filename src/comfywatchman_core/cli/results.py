"""What a run came to, on stdout, for people: a line for each file, then what to do about those that failed."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Iterator, Sequence

from attrs import frozen

from comfywatchman_core.addresses import printable, redact
from comfywatchman_core.backends import Listing, State
from comfywatchman_core.errors import ErrorCode
from comfywatchman_core.models import Candidate, Verdict
from comfywatchman_core.report import Entry, Problem, Report, Status
from comfywatchman_core.units import size_text, time_text
from comfywatchman_core.wording import advice

from .explanation import explained
from .tally import source_of
from .terminal import cells, lines_of, stdout
from .terminal import use_color as use_color

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

_WITH_PATH = (Status.DOWNLOADED, Status.LINKED, Status.ELSEWHERE, Status.PLANNED)
_NARROW = 60
_MOST_OFFERS = 10
_ALWAYS_TOLD = ("unreadable", "unsafe_name", "usage")
"""Problems that ``--quiet`` does not keep to itself."""


@frozen(kw_only=True)
class Style:
    """How results are written."""

    quiet: bool = False
    verbose: bool = False
    explain: bool = False
    colored: bool = False
    width: int | None = None
    """Of the terminal; ``None`` where nobody looks at it."""

    @property
    def indent(self) -> str:
        """What stands before the lines that belong to the line above."""
        return "  " if self.width is not None and self.width < _NARROW else " " * 11

    def painted(self, text: str, color: str) -> str:
        return f"\x1b[{color}m{text}\x1b[0m" if self.colored else text


def width_of_stdout() -> int | None:
    """Cells in a line of the terminal that stdout is; ``None`` when it is none."""
    try:
        return os.get_terminal_size(stdout().fileno()).columns or None
    except (OSError, ValueError):
        return None


def write(report: Report, style: Style, asked: Sequence[str] = ()) -> None:
    """Print the files that are there, those that are not with what to do about each, notes, and the counts.

    :param asked: Every back end in use, in order, for ``--explain``.
    """
    fine = [entry for entry in report.entries if entry.error is None]
    failed = [entry for entry in report.entries if entry.error is not None]
    for entry in (*(() if style.quiet else fine), *failed):
        for line in _entry_lines(entry, style, asked):
            write_line(line)
    for problem in report.problems:
        if not style.quiet or problem.code in _ALWAYS_TOLD:
            for line in _problem_lines(problem, style):
                write_line(line)
    if not style.quiet:
        for line in lines_of(summary_line(report), style.width, ""):
            write_line(line)


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
        parts.append(f"{planned} to download ({_whole_size(report)})")
    if summary.inactive:
        parts.append(f"{summary.inactive} inactive")
    if summary.bytes:
        parts.append(size_text(summary.bytes))
    workflows = f"{summary.workflows} workflow{'' if summary.workflows == 1 else 's'}, " if report.workflows else ""
    return f"{workflows}{summary.needed} needed: {', '.join(parts)}"


def _whole_size(report: Report) -> str:
    """How much would be downloaded, as far as the sources say it."""
    sizes = [entry.size for entry in report.entries if entry.status is Status.PLANNED]
    known = [size for size in sizes if size is not None]
    if not known:
        return "size unknown"
    return size_text(sum(known)) + (
        f" and {len(sizes) - len(known)} of unknown size" if len(known) < len(sizes) else ""
    )


def _entry_lines(entry: Entry, style: Style, asked: Sequence[str]) -> Iterator[str]:
    status = style.painted(f"{entry.status.value:<10}", _COLORS[entry.status])
    label, details = printable(entry.request.label), ", ".join(_details(entry))
    fits = style.width is None or 11 + cells(label) + cells(details) + 4 <= style.width
    yield f"{status} {label}{f'  ({details})' if details and fits else ''}".rstrip()
    if details and not fits:
        yield f"{style.indent}({details})"
    if entry.path is not None and entry.status in _WITH_PATH:
        yield f"{style.indent}{printable(str(entry.path))}"
    if entry.verification is not None and entry.verification.verdict is Verdict.UNVERIFIED:
        yield f"{style.indent}no published checksum speaks for it"
    if entry.error is not None:
        message = printable(entry.error.message).removeprefix(f"{label}: ")
        yield from lines_of(message, style.width, style.indent)
        if entry.error.code is not ErrorCode.CANCELLED:  # what to do then is said once, at the end
            for line in lines_of(printable(advice(entry.error)), style.width, style.indent):
                yield style.painted(line, "1")
    if entry.error is not None or entry.status is Status.MISSING:
        for candidate in entry.candidates[:_MOST_OFFERS]:
            yield f"{style.indent}· {_offer_text(candidate)}"
        if len(entry.candidates) > _MOST_OFFERS:
            yield f"{style.indent}  and {len(entry.candidates) - _MOST_OFFERS} more; --json lists them all"
    if style.verbose:
        for node in entry.request.wanted_by:
            yield printable(f"{style.indent}wanted by {node.workflow}, node {node.node} ({node.node_class})")
    if style.explain or style.verbose:
        for line in explained(entry, asked):
            yield printable(f"{style.indent}{line}")


def _details(entry: Entry) -> Iterator[str]:
    if entry.status in (Status.DOWNLOADED, Status.PLANNED, Status.LINKED):
        if entry.size is not None:
            yield size_text(entry.size)
        if entry.verification is not None:
            yield entry.verification.verdict.value
        if source := (source_of(entry.candidate) if entry.candidate else entry.backend):
            yield printable(source)  # not who knew of it, but where the bytes are from, as while they came
        if entry.seconds:
            yield time_text(entry.seconds)
    if entry.worker:
        yield printable(f"by {entry.worker}")


def _offer_text(offer: Candidate) -> str:
    parts = (
        shlex.quote(offer.reference) if offer.reference else redact(offer.url),
        ", ".join((*filter(None, (offer.name, offer.sha256 and offer.sha256[:12])),)),
        size_text(offer.size) if offer.size else "size unknown",
        "; ".join((*offer.notes, *((offer.obstacle.message,) if offer.obstacle else ()))),
    )
    return printable("  ".join(part for part in parts if part))


def _problem_lines(problem: Problem, style: Style) -> Iterable[str]:
    first, *rest = lines_of(printable(problem.message), style.width, style.indent)
    yield f"{'note':<10} {first.strip()}"
    yield from rest
    if problem.hint:
        yield from lines_of(printable(problem.hint), style.width, style.indent)


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
        print(line, file=stdout())
    except UnicodeEncodeError:  # a terminal of another encoding shows what it can
        encoding = stdout().encoding or "ascii"
        print(line.encode(encoding, "backslashreplace").decode(encoding), file=stdout())
