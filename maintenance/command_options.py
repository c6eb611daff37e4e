"""Write the reference page of every command and option, as the parser has them.

    python maintenance/command_options.py
    python maintenance/command_options.py --check

The page is made of the parser's own values, not of its ``--help``, whose
layout differs between versions of Python.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from comfywatchman_core.cli.parser import make_parser

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "options.md"

_HEAD = """\
# Every option of every command

This page is generated from the parser; [the command](cli.md) explains what belongs together.
`comfywatchman COMMAND --help` prints the same.
"""


def main(arguments: list[str] | None = None) -> int:
    """Write the page, or say whether it would change."""
    parser = argparse.ArgumentParser(description="Write the reference page of every command and option.")
    parser.add_argument("--page", type=Path, default=PAGE, help="the page to write")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if something would change")
    options = parser.parse_args(arguments)
    text = page()
    if options.check:
        is_current = options.page.is_file() and options.page.read_text("utf-8") == text
        if not is_current:
            sys.stderr.write(f"{options.page} is not what the parser has; run maintenance/command_options.py\n")
        return int(not is_current)
    options.page.write_text(text, "utf-8")
    return 0


def page() -> str:
    """The page as Markdown."""
    (commands,) = (one for one in make_parser()._actions if isinstance(one, argparse._SubParsersAction))
    sections = ["\n".join(_section(name, command)) for name, command in commands.choices.items()]
    return "\n".join((_HEAD, *sections))


def _section(name: str, command: argparse.ArgumentParser) -> Iterator[str]:
    named = [action for action in command._actions if not action.option_strings]
    yield f"## `{name}`\n"
    yield f"{command.description}\n"
    yield f"`comfywatchman {name} [OPTION …]{''.join(f' {_placeholder(action)}' for action in named)}`\n"
    for group in command._action_groups:
        actions = [action for action in group._group_actions if action.dest != "help"]
        if not actions:
            continue
        yield f"| {group.title} | |"
        yield "|---|---|"
        for action in actions:
            yield f"| {_spelled(action)} | {_cell(action.help or '')} |"
        yield ""


def _placeholder(action: argparse.Action) -> str:
    name = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    if action.nargs == argparse.REMAINDER:
        return f"{name}"
    return f"[{name} …]" if action.nargs in ("*", "+") else name


def _spelled(action: argparse.Action) -> str:
    """Every spelling of an option with what it takes, or the name of an argument."""
    if not action.option_strings:
        return f"`{_cell(_placeholder(action))}`"
    takes = ""
    if action.nargs != 0:
        choices = action.choices and "|".join(map(str, action.choices))
        takes = f" {action.metavar or choices or action.dest.upper()}"
    return ", ".join(f"`{_cell(option + takes)}`" for option in action.option_strings)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    raise SystemExit(main())
