"""A run as one self-contained page: no script, no address outside itself, every value escaped.

It shows what ``--json`` prints, and nothing that is not in there.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from .atomic import write_text
from .errors import UsageError
from .htmlfiles import Scale, card, chip, commands, row
from .jsonlines import result_line
from .markup import Html, tag, together
from .report import ExitCode, Report
from .units import size_text

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""Nothing is loaded, whatever a name manages to smuggle in; the empty icon keeps a browser from asking for one."""

_THERE = ("present", "elsewhere", "downloaded", "linked")
_STOPPED = (ExitCode.INTERRUPTED, ExitCode.SIGTERM, ExitCode.SIGHUP, ExitCode.BROKEN_PIPE)

_GROUPS: Mapping[str, Sequence[str]] = {
    "Not there, and why": ("failed", "missing", "corrupt"),
    "Would be downloaded": ("planned",),
    "Came in this run": ("downloaded", "linked"),
    "Under another path": ("elsewhere",),
    "Was there": ("present",),
    "Left alone": ("inactive", "skipped"),
}
"""Heading → the statuses below it, in the order in which a reader asks for them."""

_SHARES = (("present", "was there"), ("downloaded", "came now"), ("failed", "not there"), ("skipped", "left out"))
_FOLDED_FROM = 12
"""Workflows from which on their lists are folded."""


def write_page(report: Report, path: Path) -> None:
    """Write the page of *report* to *path*, whole or not at all. :raises UsageError: It cannot be written."""
    written = time.strftime("%Y-%m-%d %H:%M")
    try:
        write_text(path, page(result_line(report), written=written))
    except OSError as error:
        reason = f"the report {path} cannot be written: {error.strerror}"
        raise UsageError(reason, hint="Pass another --report.") from error


def page(result: Mapping[str, Any], *, written: str = "") -> str:
    """Spell *result*, the last line of ``--json``, as HTML.

    :param written: When, for the reader; left out where it is empty.
    """
    style = files("comfywatchman_core").joinpath("data/report.css").read_text("utf-8")
    listed = result["files"]
    scale = Scale.of(listed)
    numbers = {id(one): number for number, one in enumerate(listed, start=1)}
    title = _title(result)
    body = together(
        (
            _head(result, title, written),
            _workflows(listed, numbers),
            *_groups(listed, numbers, scale),
            _notes(result["problems"]),
        )
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<link rel="icon" href="data:,">\n'
        f"{tag('title', f'comfywatchman: {title}')}\n<style>\n{style}</style>\n</head>\n"
        f"<body>\n<main>\n{body}</main>\n</body>\n</html>\n"
    )


def _title(result: Mapping[str, Any]) -> str:
    summary = result["summary"]
    planned = sum(one["status"] == "planned" for one in result["files"])
    if result["exit_code"] in _STOPPED:
        return "Stopped before it was complete"
    if summary["failed"]:
        was_tried = any(one["status"] == "failed" for one in result["files"])
        rest = "could not be had" if was_tried else "is missing" if summary["failed"] == 1 else "are missing"
        return f"{summary['failed']} of {_plural(summary['needed'], 'file')} {rest}"
    if planned:
        return f"{_plural(planned, 'file')} would be downloaded"
    return "Everything needed is there" if result["ok"] else "Not complete"


def _head(result: Mapping[str, Any], title: str, written: str) -> Html:
    summary = result["summary"]
    facts = [_plural(summary["workflows"], "workflow"), f"{_plural(summary['needed'], 'file')} needed"]
    facts += [f"exit code {result['exit_code']}"] + ([written] if written else [])
    tiles = [tag("li", tag("b", summary[name]), words) for name, words in _SHARES]
    if summary["inactive"]:
        tiles.append(tag("li", tag("b", summary["inactive"]), "inactive"))
    tiles.append(tag("li", tag("b", size_text(summary["bytes"])), "transferred"))
    tone = "good" if result["ok"] else "bad"
    return tag(
        "header",
        tag("h1", tag("span", "✓" if result["ok"] else "!", class_=f"seal {tone}"), title),
        tag("p", " · ".join(facts), class_="soft"),
        _shares(summary),
        tag("ul", tiles, class_="counts"),
    )


def _shares(summary: Mapping[str, Any]) -> Html | None:
    """One bar for all files, cut by what became of them."""
    counts = {name: summary[name] for name, _ in _SHARES}
    whole = sum(counts.values())
    if not whole:
        return None
    parts = [
        tag("span", class_=f"share {name}", style=f"width:{100 * count / whole:.2f}%", title=f"{count} {words}")
        for (name, words), count in zip(_SHARES, counts.values(), strict=True)
        if count
    ]
    told = ", ".join(f"{counts[name]} {words}" for name, words in _SHARES)
    return tag("div", parts, class_="shares", role="img", aria_label=told)


def _workflows(listed: Sequence[Mapping[str, Any]], numbers: Mapping[int, int]) -> Html | None:
    """What each workflow needs, and whether it has it."""
    needs: dict[str, list[Mapping[str, Any]]] = {}
    for one in listed:
        for workflow in one["workflows"]:
            needs.setdefault(workflow, []).append(one)
    if not needs:
        return None
    sections = []
    for workflow, wanted in sorted(needs.items(), key=lambda item: (_lacks(item[1]) == 0, item[0])):
        active = [one for one in wanted if one["status"] != "inactive"]
        there = len(active) - _lacks(active)
        told = f"{there} of {_plural(len(active), 'file')} there"
        summary = tag(
            "summary", tag("span", workflow, class_="name"), chip("complete" if there == len(active) else "open", told)
        )
        rows = tag("ul", [row(one, numbers[id(one)]) for one in wanted], class_="rows")
        sections.append(tag("details", summary, rows, open=len(needs) < _FOLDED_FROM, class_="workflow"))
    return tag("section", tag("h2", "What each workflow needs"), sections)


def _lacks(wanted: Sequence[Mapping[str, Any]]) -> int:
    return sum(one["status"] not in (*_THERE, "inactive") for one in wanted)


def _groups(listed: Sequence[Mapping[str, Any]], numbers: Mapping[int, int], scale: Scale) -> Iterator[Html]:
    for heading, statuses in _GROUPS.items():
        members = [one for one in listed if one["status"] in statuses]
        if members:
            size = sum(one["size"] or 0 for one in members)
            about = _plural(len(members), "file") + (f", {size_text(size)}" if size else "")
            title = tag("h2", heading, " ", tag("span", about, class_="soft"))
            yield tag("section", title, [card(one, numbers[id(one)], scale) for one in members])


def _notes(problems: Sequence[Mapping[str, Any]]) -> Html | None:
    if not problems:
        return None
    notes = [
        tag("li", one["message"], tag("span", " ", commands(one["hint"]), class_="soft") if one["hint"] else None)
        for one in problems
    ]
    return tag("section", tag("h2", "Notes"), tag("ul", notes, class_="notes"))


def _plural(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
