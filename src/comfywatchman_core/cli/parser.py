"""The arguments of every command."""

from __future__ import annotations

import argparse
import os
import sys

from comfywatchman_core._version import __version__

COMMANDS = (
    *("get", "scan", "plan", "verify", "backends", "history", "known", "config", "doctor", "clean", "export"),
    "completion",
)
SHELLS = ("bash", "zsh", "fish", "powershell")

_WHAT = (
    "a workflow (.json, or a picture, video or audio file that carries one), a directory of them, - for standard "
    "input, or a model reference: an address, an AIR, civitai:MODEL[@VERSION], hf:OWNER/REPO/PATH[@REVISION], "
    "FOLDER/NAME. Default: the workflows of the ComfyUI installation"
)
_REPORT = "write a page of the run, to look at in a browser"
_EPILOG = (
    "Exit codes: 0 all is there, 1 unexpected, 2 usage, 3 access, 4 not found, 5 network, 6 rate limited, 7 integrity, "
    "8 conflict, 9 disk, 130 Ctrl-C. No command ever asks a question."
)


class _Help(argparse.HelpFormatter):
    """argparse's own; the width is found without shutil, whose import costs a tenth of what ``--help`` takes."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_columns() - 2)


def _columns() -> int:
    """The width of the terminal, as shutil finds it."""
    try:
        columns = int(os.environ.get("COLUMNS", ""))
    except ValueError:
        columns = 0
    if columns <= 0:
        try:
            columns = os.get_terminal_size(sys.__stdout__.fileno()).columns if sys.__stdout__ else 0
        except (OSError, ValueError):
            columns = 0
    return columns if columns > 0 else 80


def make_parser() -> argparse.ArgumentParser:
    """Build the parser; importing this module and calling it costs argparse and nothing more."""
    parser = argparse.ArgumentParser(
        prog="comfywatchman",
        description="Get the model files that ComfyUI workflows name: find, download, verify, place. "
        "Without a command, `get` is meant.",
        epilog=_EPILOG,
        allow_abbrev=False,
        formatter_class=_Help,
    )
    parser.add_argument("--version", action="version", version=f"comfywatchman {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    get = _command(commands, "get", "scan, find what is missing, resolve, download, verify, place")
    _add_places(get)
    _add_resolving(get)
    _add_downloading(get)
    get.add_argument("--plan", metavar="FILE", help="carry out a plan file; nothing is searched for")
    _add_reports(get)
    get.add_argument("--dry-run", action="store_true", help="show what would be downloaded, and download nothing")

    scan = _command(commands, "scan", "what is needed, and whether it is there; no network")
    _add_places(scan)
    scan.add_argument("--report", metavar="FILE", help=_REPORT)

    plan = _command(commands, "plan", "scan and resolve; download nothing")
    _add_places(plan)
    _add_resolving(plan)
    _add_downloading(plan)
    _add_reports(plan)
    plan.add_argument("-o", "--output", metavar="FILE", help="write a plan file that `get --plan FILE` carries out")
    plan.add_argument(
        "--embed", metavar="DIR", help="write copies of the workflows there, with the digest of every model in them"
    )
    plan.add_argument("--check", metavar="FILE", help="say whether the workflows still need just what this plan holds")

    export = _command(commands, "export", "deprecated: write the old download script, for debugging only")
    _add_places(export)
    _add_resolving(export)
    _add_downloading(export)
    export.add_argument("--format", choices=("sh", "aria2", "json"), default="sh", help="default: sh")

    known = _command(commands, "known", "your own tables of known models: add, list, remove, check")
    known.add_argument("words", nargs=argparse.REMAINDER, metavar="add|list|remove|check …")
    add_output(known)
    _add_plugins(known)

    config = _command(commands, "config", "the effective settings, each with where it came from")
    _add_folders(config)
    add_output(config)

    doctor = _command(commands, "doctor", "paths, free space, back ends, tokens, sources, leftovers")
    _add_folders(doctor)
    add_output(doctor)
    _add_plugins(doctor)
    doctor.add_argument("--offline", action="store_true", default=None, help="open no socket")

    clean = _command(commands, "clean", "list and remove leftover staging files and quarantined files")
    _add_folders(clean)
    add_output(clean)
    clean.add_argument("--dry-run", action="store_true", help="only list them")

    verify = _command(commands, "verify", "hash model files, and compare with what is recorded, planned or published")
    verify.add_argument("path", nargs="*", metavar="PATH", help="files or directories; default: every model there is")
    _add_folders(verify)
    what = verify.add_argument_group("what is compared")
    what.add_argument("--plan", metavar="FILE", help="with the files of this plan")
    what.add_argument("--full", action="store_true", help="read every file again, also what did not change")
    what.add_argument("--offline", action="store_true", default=None, help="open no socket: ask no publisher")
    what.add_argument("--quarantine", action="store_true", help="rename corrupt files to NAME.bad-…")
    what.add_argument("--accept", action="store_true", help="from now on hold changed files to what they are")
    add_output(verify)
    _add_plugins(verify)

    history = _command(commands, "history", "what was downloaded when, from where, with which digest and verdict")
    choice = history.add_argument_group("choice of records")
    choice.add_argument("--limit", metavar="N", type=int, default=100, help="the newest N (default: 100); 0 for all")
    choice.add_argument("--only", metavar="GLOB", action="append", default=[], help="by FOLDER/NAME; repeatable")
    choice.add_argument("--failed", action="store_true", help="only what failed")
    add_output(history)

    completion = _command(commands, "completion", "print what makes a shell complete this command")
    completion.add_argument("shell", choices=SHELLS, metavar="SHELL", help=", ".join(SHELLS))

    backends = _command(commands, "backends", "the sources in use, their order, and why others are not")
    add_output(backends)
    _add_plugins(backends)
    return parser


def take_in_words(options: argparse.Namespace) -> None:
    """Read the options among the words of ``known``, which belong to every command; the others are its back end's."""
    parser = argparse.ArgumentParser(prog="comfywatchman known", add_help=False, allow_abbrev=False)
    add_output(parser)
    _add_plugins(parser)
    _, options.words = parser.parse_known_args(options.words, options)


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, help: str
) -> argparse.ArgumentParser:
    return commands.add_parser(
        name,
        help=help,
        description=help[0].upper() + help[1:] + ".",
        epilog=_EPILOG,
        allow_abbrev=False,
        formatter_class=_Help,
    )


def _add_places(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", nargs="*", metavar="WHAT", help=_WHAT)
    _add_folders(parser)
    choice = parser.add_argument_group("choice of files")
    choice.add_argument(
        "--include-inactive", action="store_true", help="act on what only muted or bypassed nodes name, too"
    )
    choice.add_argument("--only", metavar="GLOB", action="append", default=[], help="by FOLDER/NAME; repeatable")
    choice.add_argument("--skip", metavar="GLOB", action="append", default=[], help="by FOLDER/NAME; repeatable")
    add_output(parser)


def _add_folders(parser: argparse.ArgumentParser) -> None:
    places = parser.add_argument_group("places")
    places.add_argument("--comfyui", metavar="DIR", help="ComfyUI's base directory")
    places.add_argument("--models-dir", metavar="DIR", help="a models directory without a ComfyUI around it")
    places.add_argument(
        "--extra-model-paths", metavar="FILE", action="append", help="one more YAML file of that kind; repeatable"
    )
    places.add_argument(
        "--server", metavar="URL", help="a running ComfyUI that says which loaders, folders and files it has"
    )


def add_output(parser: argparse.ArgumentParser) -> None:
    """What every command takes: how it tells, and which settings it reads."""
    output = parser.add_argument_group("output and settings")
    output.add_argument("--json", action="store_true", help="one JSON object a line on stdout; the last is the result")
    output.add_argument("-q", "--quiet", action="store_true", help="only what is wrong")
    output.add_argument("-v", "--verbose", action="store_true", help="who was asked, and what they said")
    output.add_argument(
        "--color", choices=("auto", "always", "never"), default="auto", help="default: auto, which obeys NO_COLOR"
    )
    output.add_argument("--no-progress", action="store_true", help="no live display")
    output.add_argument("--config", metavar="FILE", help="settings file, in the place of the user's own")
    output.add_argument("--no-config", action="store_true", help="read no settings file")


def _add_reports(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--report", metavar="FILE", help=_REPORT)
    parser.add_argument(
        "--explain", action="store_true", help="who was asked about each file, in which order, and what they said"
    )


def _add_plugins(parser: argparse.ArgumentParser) -> None:
    plugins = parser.add_argument_group("sources")
    plugins.add_argument(
        "--backend", metavar="NAME", action="append", default=[], help="ask only these, in this order; repeatable"
    )
    plugins.add_argument(
        "--disable", metavar="NAME", action="append", default=[], help="do not even import it; repeatable"
    )
    plugins.add_argument("--no-plugins", action="store_true", default=None, help="import no installed source at all")


def _add_resolving(parser: argparse.ArgumentParser) -> None:
    _add_plugins(parser)
    rules = parser.add_argument_group("what is taken")
    rules.add_argument("--folder", metavar="KEY", default="", help="destination for references and names that say none")
    rules.add_argument(
        "--as",
        dest="name",
        metavar="FILENAME",
        default="",
        help="the name that one reference gets, as the workflow spells it; default: the name at its source",
    )
    rules.add_argument(
        "--min-match",
        choices=("digest", "source-id", "filename", "fuzzy"),
        default="filename",
        help="the least certainty that is downloaded unasked (default: filename)",
    )
    rules.add_argument(
        "--require-checksum", action="store_true", help="refuse a file that no published checksum speaks for"
    )
    rules.add_argument(
        "--accept-digest",
        metavar="SHA256",
        action="append",
        default=[],
        help="take a file with exactly this digest although the publisher states another; repeatable",
    )
    rules.add_argument(
        "--allow-pickle", action="store_true", help="take .ckpt .pt .pth .bin .pkl that only their name asks for"
    )
    rules.add_argument(
        "--force", action="store_true", help="replace a different file that is in the way, once the new one is verified"
    )


def _add_downloading(parser: argparse.ArgumentParser) -> None:
    transfer = parser.add_argument_group("transfer")
    transfer.add_argument("--offline", action="store_true", default=None, help="open no socket")
    transfer.add_argument("-j", "--jobs", metavar="N", type=int, help="files at a time (default: 3)")
    transfer.add_argument("--connections", metavar="N", type=int, help="connections for one file (default: 8)")
    transfer.add_argument("--limit-rate", metavar="RATE", help="for example 10M; over all transfers together")
    transfer.add_argument("--retries", metavar="N", type=int, help="attempts without progress (default: 3)")
    transfer.add_argument("--timeout", metavar="SECONDS", type=float, help="for one call or one stalled attempt")
    transfer.add_argument("--delay", metavar="SECONDS", type=float, help="between two downloads from one source")
    transfer.add_argument("--fail-fast", action="store_true", help="stop at the first failure")
