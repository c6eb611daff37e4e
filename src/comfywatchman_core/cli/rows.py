"""The lines of the live display: one for each file under way, and the total, at any width."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from attrs import frozen
from rich.cells import cell_len
from rich.text import Text

from comfywatchman_core.events import TransferState
from comfywatchman_core.units import size_text, time_text

from .cells import Glyphs, cut_end, cut_middle, first_that_fits, padded, shown
from .tally import Tally, Transfer

_GOOD_NAME = 20
"""Cells that a name keeps before it costs another column."""
_GOOD_NAME_BESIDE_A_BAR = 44
"""The bar shows what the percentage says; a name says more."""
_LONGEST_SOURCE = 16
_GAP = "  "

_WIDTHS = {"bar": 20, "percent": 5, "amount": 12, "speed": 9, "left": 7}
_SCALES = {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}
_LAYOUTS: tuple[tuple[str, ...], ...] = (
    ("bar", "percent", "amount", "speed", "left", "source"),
    ("percent", "amount", "speed", "left", "source"),
    ("percent", "amount", "speed", "left"),
    ("percent", "speed", "left"),
    ("percent", "speed"),
    ("percent",),
)


class _Layout(NamedTuple):
    name: int
    columns: dict[str, int]


@frozen(kw_only=True)
class Rows:
    """Spells what is under way. Every line is shorter than the terminal is wide.

    :param encoding: Of the terminal.
    """

    encoding: str
    glyphs: Glyphs

    def transfers(self, transfers: Sequence[Transfer], width: int, now: float) -> list[Text]:
        """One line for each file, in columns that fit *width*."""
        layout = self._layout(transfers, width - 1)
        return [self._row(one, layout, now) for one in transfers]

    def total(self, tally: Tally, width: int, now: float) -> list[Text]:
        """What the run as a whole is doing."""
        spin, room = self._spin(now), width - 1 - 2
        lines = []
        if tally.pause is not None and (wait := tally.pause.remaining(now)):
            told = (f"waiting {time_text(wait)} {tally.pause.reason}", f"waiting {time_text(wait)}")
            lines.append(Text(f"{spin} {self._fit(told, room)}", style="yellow"))
        if tally.missing is None:
            told = (f"reading workflows: {tally.workflows}", f"reading: {tally.workflows}")
            lines.append(Text(f"{spin} {self._fit(told, room)}"))
        elif tally.missing:
            lines.append(Text(f"{spin} {self._fit(_total_texts(tally, self.glyphs.between), room)}", style="bold"))
        return lines

    def stopping(self, width: int, now: float) -> list[Text]:
        """The user asked to stop, and connections are being closed."""
        told = ("stopping; what has arrived is kept; Ctrl-C again ends at once", "stopping; what has arrived is kept")
        return [Text(f"{self._spin(now)} {self._fit((*told, 'stopping'), width - 1 - 2)}", style="bold yellow")]

    def _spin(self, now: float) -> str:
        return self.glyphs.spin[int(now * 8) % len(self.glyphs.spin)]

    def settled(self, sign: str, label: str, details: Sequence[str], width: int) -> str:
        """What became of one file, in one line; *details* are left out from the end where there is no room."""
        room = width - 1 - cell_len(sign) - 1
        label, details = self._spelled(label), [self._spelled(one) for one in details]
        while details and room - cell_len(", ".join(details)) - len(_GAP) < min(_GOOD_NAME, cell_len(label)):
            details.pop()
        told = _GAP + ", ".join(details) if details else ""
        return f"{sign} {cut_middle(label, room - cell_len(told), self.glyphs.cut)}{told}"

    def _spelled(self, text: str) -> str:
        return shown(text, self.encoding)

    def _fit(self, texts: tuple[str, ...], width: int) -> str:
        return first_that_fits(tuple(self._spelled(text) for text in texts), width, self.glyphs.cut)

    def _layout(self, transfers: Sequence[Transfer], width: int) -> _Layout:
        longest = max((cell_len(self._spelled(one.label)) for one in transfers), default=0)
        source = max((min(cell_len(one.source), _LONGEST_SOURCE) for one in transfers), default=0)
        widths = {**_WIDTHS, "source": source}
        for names in _LAYOUTS:
            columns = {name: widths[name] for name in names if widths[name]}
            room = width - sum(columns.values()) - len(_GAP) * len(columns)
            if room >= min(longest, _GOOD_NAME_BESIDE_A_BAR if "bar" in columns else _GOOD_NAME):
                return _Layout(min(longest, room), columns)
        return _Layout(min(longest, width), {})

    def _row(self, one: Transfer, layout: _Layout, now: float) -> Text:
        name = cut_middle(self._spelled(one.label), layout.name, self.glyphs.cut)
        row = Text(padded(name, layout.name))
        columns = dict(layout.columns)
        if one.state is not None and columns:
            # What it waits for is told in the place of the figures, which say nothing now.
            keep = {name: columns.pop(name) for name in ("source",) if name in columns}
            room = sum(columns.values()) + len(_GAP) * (len(columns) - 1)
            row.append(_GAP + padded(self._fit(_state_texts(one, now), room), room), style="yellow")
            columns = keep
        for column, width in columns.items():
            row.append(_GAP)
            row.append_text(self._cell(one, column, width))
        row.rstrip()
        return row

    def _cell(self, one: Transfer, column: str, width: int) -> Text:
        if column == "bar":
            full = round(width * one.received / one.size) if one.size else 0
            full = min(full, width)
            return Text(self.glyphs.full * full, style="cyan").append(self.glyphs.empty * (width - full), style="dim")
        if column == "source":
            return Text(padded(cut_middle(self._spelled(one.source), width, self.glyphs.cut), width), style="dim")
        text = {
            "percent": _percent(one.received, one.size),
            "amount": _amount(one.received, one.size),
            "speed": f"{size_text(one.rate)}/s" if one.rate else "",
            "left": "" if one.left is None else time_text(one.left),
        }[column]
        return Text(f"{cut_end(text, width, self.glyphs.cut):>{width}}")


def _percent(received: int, size: int | None) -> str:
    return f"{min(100, 100 * received // size)} %" if size else ""


def _amount(received: int, size: int | None) -> str:
    """``1.2/2.8 GB``: both in the unit and to the place of the whole, so that the column keeps its width."""
    if not size:
        return size_text(received)
    whole = size_text(size)
    number, _, unit = whole.partition(" ")
    return f"{received / _SCALES[unit]:.{1 if '.' in number else 0}f}/{whole}"


def _state_texts(one: Transfer, now: float) -> tuple[str, ...]:
    """What a file waits for, from long to short."""
    at = size_text(one.received)
    match one.state:
        case TransferState.WAITING:
            wait = one.remaining(now)
            if wait is None:
                return (f"waiting: {one.reason}" if one.reason else "waiting", "waiting")
            long = time_text(wait)
            by_source = (f"waiting {long} for {one.source}",) if one.source else ()
            return (*by_source, f"waiting {long}")
        case TransferState.STALLED:
            long = time_text(now - one.since)
            return (f"stalled for {long} at {at}", f"stalled for {long}", "stalled")
        case TransferState.RESUMING:
            return (f"resuming at {at}", "resuming") if one.received else ("resuming",)
        case state:
            return (str(state),)


def _total_texts(tally: Tally, between: str) -> tuple[str, ...]:
    """The whole run in one line, from long to short."""
    moves = bool(tally.transfers or tally.received)  # a plan knows sizes, and moves nothing
    percent = _percent(tally.received, tally.size) if moves else ""
    speed = f"{size_text(tally.rate)}/s" if tally.rate else ""
    left = f"{time_text(tally.left)} left" if tally.left is not None else ""
    size = ("" if tally.is_size_complete else "at least ") + size_text(tally.size)
    bytes_told = f"{size_text(tally.received)} of {size}, {percent}" if tally.size and moves else ""
    searched = f"{tally.unsearched} to search for" if tally.unsearched else ""
    files = f"{tally.settled} of {tally.missing} files"
    return (
        _joined(between, files, bytes_told, speed, left, searched),
        _joined(between, files, _amount(tally.received, tally.size) if tally.size and moves else "", speed, left),
        _joined(_GAP, f"{tally.settled}/{tally.missing} files", percent, speed, left),
        _joined(_GAP, f"{tally.settled}/{tally.missing}", percent, speed),
    )


def _joined(between: str, *parts: str) -> str:
    return between.join(part for part in parts if part)
