"""Completion of the command line in bash, zsh, fish and PowerShell, by argcomplete.

The shell runs the command with ``_ARGCOMPLETE`` set and the line so far in
``COMP_LINE``; what may follow is printed. No back end is imported.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable, Iterator, MutableMapping

from .parser import COMMANDS, make_parser


def script(shell: str) -> str:
    """What makes *shell* complete this command, to be evaluated when it starts."""
    from argcomplete.shell_integration import shellcode  # only when it is used

    return shellcode(["comfywatchman"], shell=shell)


def complete() -> None:
    """Print what may follow, and end the process."""
    import argcomplete  # only when it is used

    name_command(os.environ)
    parser = make_parser()
    _attach(parser)
    argcomplete.autocomplete(parser, always_complete_options="long")


def name_command(environ: MutableMapping[str, str]) -> None:
    """Write ``get`` into the line where its first word is no command, as running the line would."""
    line = environ.get("COMP_LINE", "")
    found = re.match(r"(\s*\S+\s+)(\S+)(\s?)", line)
    if found is None:
        return
    program, first, is_complete = found.groups()
    if first in (*COMMANDS, "-h", "--help", "--version"):
        return
    if not is_complete and not re.search(r"[-./\\~]", first):
        return  # it may become a command
    environ["COMP_LINE"] = f"{program}get {line[len(program) :]}"
    environ["COMP_POINT"] = str(int(environ.get("COMP_POINT") or len(line)) + len("get "))


def _attach(parser: argparse.ArgumentParser) -> None:
    """Say what each argument takes, by what its help calls it."""
    takes: dict[str, Callable[..., list[str]]] = {
        "WHAT": lambda prefix, **_: paths(prefix, _carries_workflow),
        "PATH": lambda prefix, **_: paths(prefix),
        "FILE": lambda prefix, **_: paths(prefix),
        "DIR": lambda prefix, **_: paths(prefix, lambda name: False),
        "KEY": lambda prefix, **_: _folder_keys(),
        "NAME": lambda prefix, **_: _back_ends(),
    }
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                _attach(command)
        elif action.choices is None and action.nargs != 0:
            action.completer = takes.get(str(action.metavar), lambda prefix, **_: [])  # type: ignore[attr-defined]


def paths(prefix: str, wanted: Callable[[str], bool] = lambda name: True) -> list[str]:
    """Files that *wanted* takes by their name, and all directories, that begin with *prefix*."""
    head, name = os.path.split(prefix)
    return sorted(_paths(head, name, wanted))


def _paths(head: str, start: str, wanted: Callable[[str], bool]) -> Iterator[str]:
    try:
        with os.scandir(os.path.expanduser(head) or ".") as entries:
            for entry in entries:
                if not entry.name.startswith(start) or (entry.name.startswith(".") and not start):
                    continue
                path = os.path.join(head, entry.name)
                if entry.is_dir():
                    yield path + os.sep
                elif wanted(entry.name):
                    yield path
    except OSError:
        return


def _carries_workflow(name: str) -> bool:
    from comfywatchman_core.containers import SUFFIXES

    return os.path.splitext(name)[1].lower() in SUFFIXES


def _folder_keys() -> list[str]:
    from comfywatchman_core.folders.keys import key_table

    table = key_table()
    return sorted({*table.core, *table.packs})


def _back_ends() -> list[str]:
    """The names of what is installed; their code is not touched."""
    from importlib.metadata import entry_points

    from comfywatchman_core.hooks import GROUP

    return sorted({entry.name for entry in entry_points(group=GROUP)})
