"""The last words of a command, on stderr: what is kept, and which command comes next."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator

from comfywatchman_core.report import ExitCode, Report, Status
from comfywatchman_core.units import size_text

from .advice import Advice
from .tally import Tally

_STOPPED_BY = {
    ExitCode.INTERRUPTED: "Ctrl-C",
    ExitCode.SIGTERM: "SIGTERM",
    ExitCode.SIGHUP: "SIGHUP",
    ExitCode.BROKEN_PIPE: "the end of its reader",
}


def last_words(options: Namespace, report: Report, tally: Tally, advice: Advice) -> Iterator[str]:
    """What the user may want to know, or to type, next."""
    kept = [(received, size) for _, received, size in tally.kept()]
    if kept:
        whole = sum(size or received for received, size in kept)
        here = size_text(sum(received for received, _ in kept))
        files = f"{len(kept)} file{'' if len(kept) == 1 else 's'}"
        yield f"kept for the next run: {here} of {size_text(whole)}, in {files} that {_is(len(kept))} not complete"
    if report.interrupted is not None:
        yield f"stopped by {_STOPPED_BY[report.interrupted]}; to go on: {advice.again()}"
    elif kept:
        yield f"to go on: {advice.again()}"
    elif options.command == "scan":
        if any(entry.status in (Status.MISSING, Status.CORRUPT) for entry in report.entries):
            yield f"to get what is missing: {advice.again(instead='get')}"
    elif any(entry.status is Status.PLANNED for entry in report.entries):
        yield f"to download it: {_download(options, advice)}"


def _download(options: Namespace, advice: Advice) -> str:
    if getattr(options, "output", None) is not None:
        return advice.get("--plan", options.output)
    if getattr(options, "embed", None) is not None:
        return advice.get(options.embed)
    return advice.again(instead="get", without=("--dry-run",))


def _is(count: int) -> str:
    return "is" if count == 1 else "are"
