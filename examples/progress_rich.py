"""Get what a workflow needs, with a live table of rich: a line for each file, and what it waits for.

python examples/progress_rich.py workflow.json ComfyUI/models
"""

from __future__ import annotations

import sys
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

import comfywatchman_core as cw


class RichProgress:
    """A listener for `on_event=`, and a context manager: the table stands while the block runs."""

    def __init__(self, console: Console | None = None) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[doing]}", markup=False),
            console=console or Console(stderr=True),
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> RichProgress:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, event: cw.events.Event) -> None:
        match event:
            case cw.events.DownloadStarted():
                self._update(event.label, completed=event.resumed_at, total=event.size, doing=event.candidate.backend)
            case cw.events.BytesReceived():
                self._update(event.label, completed=event.received, total=event.size, doing="")
            case cw.events.StateChanged() if event.label in self._tasks:
                self._update(event.label, doing=f"{event.state} {event.reason}".strip())
            case cw.events.FileSettled():
                if event.label in self._tasks:
                    self._progress.remove_task(self._tasks.pop(event.label))
                # Names come from workflows, which come from anywhere: they are no markup.
                self._progress.console.print(f"{event.entry.status}: {event.label}", markup=False, highlight=False)

    def _update(self, label: str, **what: Any) -> None:
        if label not in self._tasks:
            self._tasks[label] = self._progress.add_task(label, total=None, doing="")
        self._progress.update(self._tasks[label], **what)


def main(workflow: str, models_dir: str) -> int:
    """Run once; returns an exit code."""
    with RichProgress() as progress:
        report = cw.ensure_models(workflow, models_dir=models_dir, on_event=progress)
    return report.exit_code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
