"""Get what a workflow needs, with one tqdm bar for each file; Ctrl-C stops, and what has arrived is kept.

python examples/progress_tqdm.py workflow.json ComfyUI/models
"""

from __future__ import annotations

import signal
import sys
import threading

from tqdm import tqdm

import comfywatchman_core as cw


class TqdmBars:
    """A listener for `on_event=`: a bar appears when bytes begin to arrive, and goes when nothing more happens."""

    def __init__(self) -> None:
        self._bars: dict[str, tqdm[None]] = {}

    def __call__(self, event: cw.events.Event) -> None:
        match event:
            case cw.events.DownloadStarted():
                self._close(event.label)  # a second offer is tried, after a first one failed
                self._bars[event.label] = tqdm(
                    desc=event.label, total=event.size, initial=event.resumed_at, unit="B", unit_scale=True
                )
            case cw.events.BytesReceived():
                self._move(event.label, event.received, event.size)
            case cw.events.DownloadFinished():
                self._move(event.label, event.artifact.size, event.artifact.size)
            case cw.events.FileSettled():
                self._close(event.label)
                tqdm.write(f"{event.entry.status}: {event.label}", file=sys.stderr)

    def _move(self, label: str, received: int, size: int | None) -> None:
        if (bar := self._bars.get(label)) is not None:
            bar.total = size
            bar.update(received - bar.n)  # events tell how far it is, tqdm wants to know how much came

    def _close(self, label: str) -> None:
        if (bar := self._bars.pop(label, None)) is not None:
            bar.close()


def main(workflow: str, models_dir: str) -> int:
    """Run once; returns an exit code."""
    stop = threading.Event()
    signal.signal(signal.SIGINT, lambda number, frame: stop.set())
    try:
        report = cw.ensure_models(workflow, models_dir=models_dir, on_event=TqdmBars(), cancel=stop)
    except cw.errors.Cancelled:  # before there was anything to report
        return 130
    for entry in report.entries:
        if entry.error is not None:
            print(f"{entry.request.label}: {entry.error.message}", entry.error.hint or "", file=sys.stderr)
    return report.exit_code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
