"""Write the reference page and the man page of every command and option, as the parser has them.

    python maintenance/command_options.py
    python maintenance/command_options.py --check

They are made of the parser's own values, not of its ``--help``, whose
layout differs between versions of Python.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from comfywatchman_core.cli.parser import make_parser

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "options.md"
CODES = ROOT / "docs" / "reference" / "exit-codes.md"
MAN = ROOT / "man" / "comfywatchman.1"

_HEAD = """\
# Every option of every command

This page is generated from the parser; [the command](cli.md) explains what belongs together.
`comfywatchman COMMAND --help` prints the same.
"""


def main(arguments: list[str] | None = None) -> int:
    """Write both pages, or say which of them would change."""
    parser = argparse.ArgumentParser(description="Write the reference page and the man page of every command.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if something would change")
    options = parser.parse_args(arguments)
    changed = 0
    for path, text in ((PAGE, page()), (MAN, man())):
        if path.is_file() and path.read_text("utf-8") == text:
            continue
        changed = 1
        if options.check:
            sys.stderr.write(f"{path} is not what the parser has; run maintenance/command_options.py\n")
        else:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, "utf-8")
    return changed if options.check else 0


def _commands(parser: argparse.ArgumentParser) -> Mapping[str, argparse.ArgumentParser]:
    (commands,) = (one for one in parser._actions if isinstance(one, argparse._SubParsersAction))
    choices: Mapping[str, argparse.ArgumentParser] = commands.choices
    return choices


def page() -> str:
    """The reference page, as Markdown."""
    sections = ["\n".join(_section(name, command)) for name, command in _commands(make_parser()).items()]
    return "\n".join((_HEAD, *sections))


def man() -> str:
    """The man page, as roff."""
    parser = make_parser()
    lines = ['.TH COMFYWATCHMAN 1 "" comfywatchman "User Commands"', ".SH NAME"]
    lines += [r"comfywatchman \- get the model files that ComfyUI workflows name", ".SH SYNOPSIS"]
    lines += [r".B comfywatchman", r"[\fICOMMAND\fR] [\fIOPTION\fR ...] [\fIWHAT\fR ...]", ".SH DESCRIPTION"]
    lines += [_roff(f"{parser.description} No command ever asks a question."), ".SH COMMANDS"]
    for name, command in _commands(parser).items():
        lines += [f".SS {name}", _roff(str(command.description))]
        for action in (one for one in command._actions if one.dest != "help"):
            spelled = _roff(_spelled(action).replace(r"\|", "|"))
            lines += [".TP", rf"\fB{spelled}\fR", _roff(action.help or "")]
    lines.append(".SH EXIT STATUS")
    for code, meaning in re.findall(r"^\| (\d+) \| `\w+` \| (.+) \|$", CODES.read_text("utf-8"), re.MULTILINE):
        lines += [".TP", rf"\fB{code}\fR", _roff(meaning)]
    return "\n".join(lines) + "\n"


def _roff(text: str) -> str:
    """Text that roff takes for nothing but text."""
    escaped = text.replace("\\", r"\e").replace("-", r"\-").replace("…", "...").replace("`", "")
    return re.sub(r"^([.'])", r"\\&\1", escaped)


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
