"""A run as one self-contained page: no script, no address outside itself, every value escaped.

It shows what ``--json`` prints, and nothing that is not in there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from .atomic import write_text
from .errors import UsageError
from .jsonlines import result_line
from .report import Report
from .units import size_text, time_text

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""Nothing is loaded, whatever a name manages to smuggle in; the empty icon keeps a browser from asking for one."""

_TONES = {
    "present": "good",
    "downloaded": "good",
    "linked": "good",
    "elsewhere": "warn",
    "planned": "warn",
    "corrupt": "bad",
    "missing": "bad",
    "failed": "bad",
}


def write_page(report: Report, path: Path) -> None:
    """Write the page of *report* to *path*, whole or not at all. :raises UsageError: It cannot be written."""
    try:
        write_text(path, page(result_line(report)))
    except OSError as error:
        reason = f"the report {path} cannot be written: {error.strerror}"
        raise UsageError(reason, hint="Pass another --report.") from error


def page(result: Mapping[str, Any]) -> str:
    """Spell *result*, the last line of ``--json``, as HTML."""
    style = files("comfywatchman_core").joinpath("data/report.css").read_text("utf-8")
    summary, listed = result["summary"], result["files"]
    largest = max((one["size"] or 0 for one in listed), default=0)
    verdict = "Everything needed is there" if result["ok"] else f"Not complete (exit code {result['exit_code']})"
    body = "".join(
        (
            f"<h1>{escape(verdict)}</h1>",
            f'<p class="soft">{_plural(summary["workflows"], "workflow")}, ',
            f"{_plural(summary['needed'], 'file')} needed</p>",
            _counts(summary),
            *_groups(listed, largest),
            *_problems(result["problems"]),
        )
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<link rel="icon" href="data:,">\n'
        f"<title>comfywatchman: {escape(verdict)}</title>\n<style>\n{style}</style>\n</head>\n"
        f"<body>\n<main>\n{body}</main>\n</body>\n</html>\n"
    )


def _counts(summary: Mapping[str, Any]) -> str:
    shown = {name: summary[name] for name in ("present", "downloaded", "failed", "skipped", "inactive")}
    cells = [f"<li><b>{count}</b>{escape(name)}</li>" for name, count in shown.items()]
    cells.append(f"<li><b>{escape(size_text(summary['bytes']))}</b>transferred</li>")
    return f'<ul class="counts">{"".join(cells)}</ul>\n'


def _groups(listed: Iterable[Mapping[str, Any]], largest: int) -> Iterator[str]:
    """What went wrong first, then what came, then what was there."""
    titles = {
        "bad": "Not there",
        "warn": "To look at",
        "downloaded": "Came in this run",
        "good": "Was there",
        "": "Left alone",
    }
    groups: dict[str, list[Mapping[str, Any]]] = {group: [] for group in titles}
    for one in listed:
        tone = _TONES.get(one["status"], "")
        groups["downloaded" if one["status"] in ("downloaded", "linked") else tone].append(one)
    for group, members in groups.items():
        if members:
            yield f"<h2>{escape(titles[group])}</h2>\n"
            yield from (_file(one, largest) for one in members)


def _file(one: Mapping[str, Any], largest: int) -> str:
    label = f"{one['folder']}/{one['name']}" if one["folder"] else one["name"]
    facts = {
        "path": one["path"],
        "from": one["url"],
        "found by": _found_by(one),
        "SHA256": one["sha256"],
        "verdict": one["verdict"],
        "time": _time(one),
        "wanted by": ", ".join(one["workflows"]),
    }
    error = one["error"]
    told = [
        f"<dt>{escape(name)}</dt><dd><code>{escape(str(value))}</code></dd>" for name, value in facts.items() if value
    ]
    lines = [
        f'<section class="file {_TONES.get(one["status"], "")}">',
        f'<div class="head"><span class="status">{escape(one["status"])}</span>',
        f'<span class="name">{escape(label)}</span>',
        f'<span class="soft">{escape(size_text(one["size"])) if one["size"] is not None else ""}</span></div>',
    ]
    if one["size"] and largest:
        lines.append(f'<div class="bar" style="width:{max(1, round(100 * one["size"] / largest))}%"></div>')
    if error:
        lines.append(f'<p class="hint">{escape(error["message"])}</p>')
        if error["hint"]:
            lines.append(f'<p class="hint soft">{escape(error["hint"])}</p>')
    for offer in one["candidates"]:
        size = size_text(offer["size"]) if offer["size"] else "size not known"
        about = "; ".join((size, *offer["notes"]))
        lines.append(f'<p class="hint"><code>{escape(offer["reference"] or offer["url"])}</code> {escape(about)}</p>')
    return "\n".join((*lines, f"<dl>{''.join(told)}</dl></section>\n"))


def _found_by(one: Mapping[str, Any]) -> str:
    return f"{one['backend']} ({one['match']})" if one["backend"] else ""


def _time(one: Mapping[str, Any]) -> str:
    if not one["seconds"]:
        return ""
    rate = f", {size_text((one['size'] or 0) / one['seconds'])}/s" if one["status"] == "downloaded" else ""
    return f"{time_text(one['seconds'])}{rate}"


def _problems(problems: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    listed = [
        f'<li>{escape(one["message"])} <span class="soft">{escape(one["hint"] or "")}</span></li>' for one in problems
    ]
    if listed:
        yield f"<h2>Notes</h2>\n<ul>{''.join(listed)}</ul>\n"


def _plural(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
