"""Get what several workflows need from a program of asyncio: in threads, events in the loop, cancelled cleanly.

python examples/in_asyncio.py ComfyUI/models one.json another.json
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable

import comfywatchman_core as cw


async def ensure(
    watchman: cw.Watchman, workflow: str, on_event: Callable[[cw.events.Event], object] = lambda event: None
) -> cw.Report:
    """Await one run.

    :param on_event: Called in the event loop, so that it may touch what belongs to it.
    :raises asyncio.CancelledError: The task was cancelled; the run has ended by then, and what has arrived is kept.
    """
    loop = asyncio.get_running_loop()
    stop = threading.Event()

    def tell(event: cw.events.Event) -> None:
        loop.call_soon_threadsafe(on_event, event)

    run = asyncio.ensure_future(asyncio.to_thread(watchman.ensure_models, workflow, on_event=tell, cancel=stop))
    try:
        # A thread cannot be interrupted, only asked: without the shield, it would go on behind our back.
        return await asyncio.shield(run)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait([run])
        run.exception()  # looked at, so that the loop does not complain about it
        raise


async def main(models_dir: str, *workflows: str) -> int:
    """Run all of them at once; returns the highest exit code."""
    config = cw.Config.load(arguments={"models_dir": models_dir})
    with cw.Watchman(config) as watchman:
        reports = await asyncio.gather(*(ensure(watchman, workflow) for workflow in workflows))
    for workflow, report in zip(workflows, reports, strict=True):
        print(f"{workflow}: {report.summary.downloaded} downloaded, {report.summary.failed} missing")
    return max(report.exit_code for report in reports)


if __name__ == "__main__":
    sys.exit(asyncio.run(main(*sys.argv[1:])))
