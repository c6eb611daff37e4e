"""Progress as a live block at the foot of the terminal: one line for each file under way, and the total."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

from comfywatchman_core.addresses import printable
from comfywatchman_core.events import (
    BytesReceived,
    DownloadStarted,
    Event,
    FileSettled,
    StateChanged,
    TransferState,
    Warned,
    WorkflowRead,
)
from comfywatchman_core.report import Status
from comfywatchman_core.units import size_text, time_text

from .terminal import about


class _Amount(ProgressColumn):
    """Bytes so far, of all, at which speed, and how long it will take."""

    def render(self, task: Task) -> Text:
        if task.fields.get("state"):
            return Text(str(task.fields["state"]), style="yellow")
        parts = [size_text(task.completed) + (f"/{size_text(task.total)}" if task.total else "")]
        rate = task.fields.get("rate")
        if rate:
            parts.append(f"{size_text(rate)}/s")
            if task.total and task.total > task.completed:
                parts.append(time_text((task.total - task.completed) / rate))
        return Text("  ".join(parts))


class _Block:
    """Turns events into the lines of the block."""

    def __init__(self, progress: Progress, *, verbose: bool) -> None:
        self._progress = progress
        self._verbose = verbose
        self._tasks: dict[str, Any] = {}
        self._workflows = 0
        self._reading: Any = None

    def __call__(self, event: Event) -> None:
        match event:
            case WorkflowRead():
                self._read()
            case DownloadStarted():
                self._begin(event)
            case BytesReceived():
                self._update(event.label, completed=event.received, total=event.size, rate=event.rate, state="")
            case StateChanged():
                self._update(event.label, state=_words(event))
            case FileSettled():
                self._settle(event)
            case Warned():
                self._progress.console.print(Text(f"warning: {printable(event.message)}", style="yellow"))
            case _:
                pass

    def _read(self) -> None:
        self._workflows += 1
        if self._reading is None:
            self._reading = self._progress.add_task("reading workflows", total=None)
        self._progress.update(self._reading, state=f"{self._workflows} read")

    def _begin(self, event: DownloadStarted) -> None:
        if self._reading is not None:
            self._progress.remove_task(self._reading)
            self._reading = None
        if event.label not in self._tasks:
            self._tasks[event.label] = self._progress.add_task(printable(event.label), total=event.size)
        self._update(event.label, completed=event.resumed_at, total=event.size, state="")

    def _update(self, label: str, **changes: Any) -> None:
        if label in self._tasks:
            self._progress.update(self._tasks[label], **changes)

    def _settle(self, event: FileSettled) -> None:
        task = self._tasks.pop(event.label, None)
        if task is None:
            return
        self._progress.remove_task(task)
        entry = event.entry
        if entry.status is Status.DOWNLOADED:
            taken = f" in {time_text(entry.seconds)}" if entry.seconds else ""
            size = f"  {size_text(entry.size)}" if entry.size else ""
            self._progress.console.print(Text(f"✓ {printable(event.label)}{size}{taken}", style="green"))
        elif entry.error is not None:
            told = f"✗ {printable(about(event.label, entry.error.message))}"
            self._progress.console.print(Text(told, style="red"))


def _words(event: StateChanged) -> str:
    if event.state is TransferState.WAITING and event.seconds:
        return printable(f"waiting {time_text(event.seconds)} {event.reason}".strip())
    return printable(f"{event.state.value} {event.reason}".strip())


@contextmanager
def display(*, verbose: bool, color: str) -> Iterator[Callable[[Event], None]]:
    """Show the block on stderr until it ends; leaves a clean screen whatever happens."""
    console = Console(
        stderr=True,
        no_color=color == "never" or (color == "auto" and bool(os.environ.get("NO_COLOR"))),
        highlight=False,
        markup=False,
    )
    progress = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        _Amount(),
        console=console,
        transient=True,
        refresh_per_second=8,
    )
    with progress:
        yield _Block(progress, verbose=verbose)
