"""The command ``comfywatchman``: arguments in, results out; everything else is the library's.

Nothing but the standard library is imported before a command runs, so that
``--help`` and ``--version`` answer at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with *arguments*, the process's own by default; returns its exit code."""
    return while_somebody_reads(lambda: _main(arguments))


def _main(arguments: Sequence[str] | None) -> int:
    from .parser import COMMANDS, make_parser, take_in_words

    if "_ARGCOMPLETE" in os.environ:
        from .completion import complete

        complete()  # ends the process
    given = list(sys.argv[1:] if arguments is None else arguments)
    _open_missing_streams()
    try:
        parser = make_parser()
        if not given or given[0] not in (*COMMANDS, "-h", "--help", "--version"):
            if mistake := _mistaken_command(given, COMMANDS):
                parser.error(mistake)
            given.insert(0, "get")
        options, rest = parser.parse_known_args(given)
        if rest:
            _take_in_rest(options, rest, parser)
        if options.command == "known":
            take_in_words(options)
    except SystemExit as stop:
        if stop.code == 2 and "--json" in given:
            _print_result("the arguments cannot be used", "See --help.", 2)
        raise
    options.given = tuple(given)
    if options.command == "completion":
        from .completion import script

        print(script(options.shell))
        return 0
    return run(options)


def while_somebody_reads(command: Callable[[], int]) -> int:
    """Run *command*; where its output cannot be written, end without more words."""
    try:
        return command()
    except OSError as error:
        # stdout takes nothing more: its reader is gone, or its disk is full. The interpreter must not try at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141 if isinstance(error, BrokenPipeError) else 1


def _open_missing_streams() -> None:
    """Put something where a stream was closed: the next file to be opened, a model, must not become stdout."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  (for as long as the process)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


def _mistaken_command(given: Sequence[str], commands: Sequence[str]) -> str:
    """Say what is wrong with a line that names no command, if it seems to mean one; empty if it does not."""
    word = next((one for one in given if not one.startswith("-")), "")
    if os.path.lexists(word):
        return ""
    if word in commands:
        return f"name the command first: comfywatchman {word} …"
    if word.isalpha() and word == given[0]:
        from difflib import get_close_matches  # only for a mistake

        for command in get_close_matches(word, commands, 1):
            return f"there is no command {word!r}; is {command!r} meant?"
    return ""


def _take_in_rest(options: Namespace, rest: list[str], parser: ArgumentParser) -> None:
    """Accept what is named behind an option as well (``get a.json -q b.json``), which argparse leaves over."""
    named = [one for one in rest if one == "-" or not one.startswith("-")]
    if len(named) < len(rest) or not isinstance(getattr(options, "what", None), list):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    options.what += named


def run(options: Namespace, command: Callable[[Namespace], int] | None = None) -> int:
    """Carry out *command*, by default the one that *options* name; every error becomes a sentence and an exit code."""
    from comfywatchman_core.errors import BackendError, ComfyWatchmanError, UsageError

    from .signals import Interrupted
    from .terminal import complain, stdout_for_results

    message, hint, code = "", None, 1
    try:
        if f"{__name__}.commands" not in sys.modules:
            _import_commands()
        from .commands import run as carry_out
        from .logs import told_logs

        with stdout_for_results(), told_logs(verbose=getattr(options, "verbose", False)):
            code = (command or carry_out)(options)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        raise
    except Interrupted as error:
        message, code = "stopped before there was anything to tell", error.code
    except KeyboardInterrupt:
        message, code = "stopped before there was anything to tell", 130
    except BackendError as error:
        from comfywatchman_core.report import EXIT_CODE_OF

        message, hint, code = str(error), error.hint, EXIT_CODE_OF[error.code]
    except ComfyWatchmanError as error:
        message, hint, code = str(error), error.hint, 2 if isinstance(error, UsageError) else 1
    except Exception as error:  # a fault of this program: said in one sentence, and in full with -v
        if getattr(options, "verbose", False):
            raise
        from comfywatchman_core.addresses import redact_text

        message = redact_text(f"unexpected {type(error).__name__}: {error}")
        hint = "Please report this, with the output of -v."
    complain(message, hint)
    if getattr(options, "json", False):
        _print_result(message, hint, code)
    return int(code)


def _import_commands() -> None:
    """Import what carries out commands, and tell the collector of garbage that none of it ever is garbage.

    Looking for some in it, while it is imported and when the process ends, takes a tenth of a short run.
    """
    import gc

    gc.disable()
    try:
        from . import commands, logs  # noqa: F401
    finally:
        gc.enable()
    gc.freeze()


def _print_result(message: str, hint: str | None, code: int) -> None:
    """With ``--json`` the last line is always a result, whatever happened."""
    import json

    from comfywatchman_core.jsonlines import closing_line
    from comfywatchman_core.report import Problem

    problem = Problem(about="", message=message, hint=hint, code="usage" if code == 2 else "")
    print(json.dumps(closing_line(code, [problem])), flush=True)
