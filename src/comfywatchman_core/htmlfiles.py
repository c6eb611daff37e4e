"""One file of a run on its page: a line below its workflow, and a card with all that is known of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrs import frozen

from .markup import Html, tag
from .units import size_text, time_text

_TONES = {
    **dict.fromkeys(("present", "downloaded", "linked", "complete"), "good"),
    **dict.fromkeys(("elsewhere", "planned"), "warn"),
    **dict.fromkeys(("corrupt", "missing", "failed", "open"), "bad"),
}

_STEPS = {"resolve_model": "searched", "download_artifact": "fetched", "verify_artifact": "checked"}


@frozen
class Scale:
    """What bars are measured by."""

    size: int
    """Bytes of the largest file."""
    speed: float
    """Bytes a second of the fastest transfer."""

    @classmethod
    def of(cls, listed: Sequence[Mapping[str, Any]]) -> Scale:
        sizes = (one["size"] or 0 for one in listed)
        return cls(max(sizes, default=0), max((speed(one) for one in listed), default=0.0))


def speed(one: Mapping[str, Any]) -> float:
    """Bytes a second at which it came; 0 where it did not come, or nobody measured."""
    if one["status"] != "downloaded" or not one["seconds"]:
        return 0.0
    return float(one["size"] or 0) / float(one["seconds"])


def chip(status: str, text: str = "") -> Html:
    """A word on coloured ground."""
    return tag("span", text or status, class_=f"chip {_TONES.get(status, 'soft')}")


def label(one: Mapping[str, Any]) -> str:
    """``FOLDER/NAME``, or the reference."""
    return f"{one['folder']}/{one['name']}" if one["folder"] else str(one["name"])


def row(one: Mapping[str, Any], number: int) -> Html:
    """The line of a file below its workflow; it leads to its card."""
    size = tag("span", size_text(one["size"]), class_="soft number") if one["size"] is not None else None
    return tag("li", chip(one["status"]), tag("a", label(one), href=f"#file-{number}", class_="name"), size)


def card(one: Mapping[str, Any], number: int, scale: Scale) -> Html:
    """Everything that is known of one file."""
    tone = _TONES.get(one["status"], "soft")
    head = tag("div", chip(one["status"]), tag("span", label(one), class_="name"), class_="head")
    return tag(
        "article",
        head,
        _bar("size", one["size"] or 0, scale.size, size_text(one["size"] or 0)),
        _bar("speed", speed(one), scale.speed, f"{size_text(speed(one))}/s"),
        _error(one["error"], label(one)),
        _offers(one["candidates"]),
        tag("dl", list(_facts(one))),
        _attempts(one["attempts"]),
        class_=f"file {tone}",
        id=f"file-{number}",
    )


def _bar(kind: str, value: float, largest: float, told: str) -> Html | None:
    if not value or not largest:
        return None
    full = tag("span", class_=f"bar {kind}", style=f"width:{max(0.5, 100 * value / largest):.2f}%")
    caption, number = tag("span", kind, class_="soft caption"), tag("span", told, class_="number")
    return tag("div", caption, tag("span", full, class_="track"), number, class_="gauge")


def _error(error: Mapping[str, Any] | None, about: str) -> Html | None:
    if error is None:
        return None
    hint = tag("p", commands(error["hint"]), class_="hint") if error["hint"] else None
    return tag("div", tag("p", error["message"].removeprefix(f"{about}: ")), hint, class_="error")


def commands(text: str) -> list[object]:
    """*text* with what stands between backquotes as code, which one click selects."""
    return [tag("code", part) if index % 2 else part for index, part in enumerate(text.split("`"))]


def _offers(offers: Sequence[Mapping[str, Any]]) -> Html | None:
    """What was offered and not taken, with the reference that takes it."""
    if not offers:
        return None
    listed = []
    for offer in offers:
        size = size_text(offer["size"]) if offer["size"] else "size unknown"
        reasons = [*offer["notes"], *([offer["error"]["message"]] if offer["error"] else [])]
        told = "; ".join((offer["name"], size, *reasons) if offer["name"] else (size, *reasons))
        listed.append(tag("li", tag("code", offer["reference"] or offer["url"]), " ", told))
    return tag("div", tag("p", "Offered, and not taken unasked:", class_="soft"), tag("ul", listed), class_="offers")


def _facts(one: Mapping[str, Any]) -> Iterator[Html]:
    facts: dict[str, object] = {
        "path": _code(one["path"]),
        "from": _link(one["url"]),
        "found by": f"{one['backend']}, by {_MATCHES.get(one['match'], one['match'])}" if one["backend"] else None,
        "SHA256": _code(one["sha256"]),
        "verdict": _VERDICTS.get(one["verdict"], one["verdict"]),
        "time": time_text(one["seconds"]) if one["seconds"] else None,
        "wanted by": ", ".join(one["workflows"]),
    }
    for name, value in facts.items():
        if value:
            yield tag("dt", name)
            yield tag("dd", value)


_MATCHES = {
    "digest": "its checksum",
    "source-id": "its address or id",
    "filename": "its exact name",
    "fuzzy": "a name that comes near",
}

_VERDICTS = {
    "verified": "verified: a published checksum agrees with the bytes on disk",
    "unverified": "unverified: no published checksum speaks for it, and nothing against it",
    "refused": "refused",
}


def _code(text: str | None) -> Html | None:
    return tag("code", text) if text else None


def _link(url: str | None) -> Html | None:
    """The address; one that a browser may follow can be clicked."""
    if not url:
        return None
    if url.startswith(("https://", "http://")):
        return tag("a", url, href=url, rel="noreferrer noopener")
    return _code(url)


def _attempts(attempts: Sequence[Mapping[str, Any]]) -> Html | None:
    """Who was asked, in which order, what each said, and how long it took."""
    if not attempts:
        return None
    rows = [
        tag(
            "tr",
            tag("td", _STEPS.get(one["hook"], one["hook"])),
            tag("td", one["backend"]),
            tag("td", f"{one['seconds']:.2f} s", class_="number"),
            tag("td", one["error"]["message"] if one["error"] else _said(one)),
        )
        for one in attempts
    ]
    return tag("details", tag("summary", "who was asked"), tag("table", rows), class_="attempts")


def _said(attempt: Mapping[str, Any]) -> str:
    if attempt["outcome"] == "declined":
        return "declined"
    return f"answered: {attempt['offers']}" if attempt["hook"] != "download_artifact" else "brought it"
