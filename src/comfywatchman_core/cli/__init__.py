"""The command ``comfywatchman``: arguments in, results out; everything else is the library's.

Nothing but the standard library is imported before a command runs, so that
``--help`` and ``--version`` answer at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with *arguments*, the process's own by default; returns its exit code."""
    from .parser import COMMANDS, make_parser

    if "_ARGCOMPLETE" in os.environ:
        from .completion import complete

        complete()  # ends the process
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or (given[0] not in COMMANDS and given[0] not in ("-h", "--help", "--version")):
        given.insert(0, "get")
    try:
        options = make_parser().parse_args(given)
        if options.command == "completion":
            from .completion import script

            print(script(options.shell))
            return 0
        options.given = tuple(given)
        return _run(options)
    except BrokenPipeError:
        # The reader of stdout is gone: nothing more can be told, and the interpreter must not try at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _run(options: Namespace) -> int:
    from comfywatchman_core.errors import ComfyWatchmanError, UsageError

    from .terminal import complain

    try:
        from .commands import run

        code = run(options)
        sys.stdout.flush()
        return code
    except UsageError as error:
        complain(str(error), error.hint)
        return _told_as_json(options, str(error), error.hint, 2)
    except ComfyWatchmanError as error:
        complain(str(error), error.hint)
        return _told_as_json(options, str(error), error.hint, 1)
    except KeyboardInterrupt:
        return 130


def _told_as_json(options: Namespace, message: str, hint: str | None, code: int) -> int:
    """With ``--json`` the last line is always a result, whatever happened."""
    if getattr(options, "json", False):
        import json

        from comfywatchman_core.jsonlines import result_line
        from comfywatchman_core.report import Problem, Report

        problem = Problem(about="", message=message, hint=hint, code="usage")
        print(json.dumps({**result_line(Report(entries=(), problems=(problem,))), "ok": False, "exit_code": code}))
    return code
