"""Who listens to a run: JSON lines, the live display, plain lines, or nobody."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from comfywatchman_core.events import Event
from comfywatchman_core.jsonlines import event_line
from comfywatchman_core.report import ExitCode

from .advice import Advice
from .signals import Interruption
from .tally import Tally
from .terminal import can_repaint, stdout


@contextmanager
def listener(
    options: Namespace, tally: Tally, advice: Advice, interruption: Interruption
) -> Iterator[Callable[[Event], None] | None]:
    """The listener that suits the arguments and the place that output goes to.

    :param tally: Counts along.
    """

    def tell_json(event: Event) -> None:
        tally(event)
        write_while_read(event_line(advice.told(event)), interruption)

    if options.json:
        yield tell_json
    elif options.quiet:
        yield tally
    elif options.no_progress or not can_repaint(sys.stderr):
        from .lines import Lines

        yield Lines(tally, verbose=options.verbose)
    else:
        from .display import display  # the display library: only where somebody looks

        stops = interruption.event.is_set
        with display(tally, verbose=options.verbose, color=options.color, stops=stops) as listen:
            yield listen


def write_while_read(line: dict[str, Any], interruption: Interruption) -> None:
    """Print one line of ``--json``; once nobody reads on, the run is interrupted."""
    try:
        write_json(line)
    except BrokenPipeError:  # nobody reads on: a run that nobody hears of ends, and keeps what has arrived
        interruption.code = ExitCode.BROKEN_PIPE
        interruption.event.set()


def write_json(line: dict[str, Any]) -> None:
    """Print one line of ``--json``, at once."""
    stdout().write(json.dumps(line) + "\n")
    stdout().flush()
