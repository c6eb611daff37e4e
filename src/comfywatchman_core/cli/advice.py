"""Hints that repeat what the user typed, so that the command they speak of can be copied."""

from __future__ import annotations

import os
import re
import shlex
from argparse import Namespace
from collections.abc import Mapping, Sequence

from attrs import evolve

from comfywatchman_core.addresses import redact
from comfywatchman_core.errors import ErrorCode, Failure
from comfywatchman_core.events import Event, FileSettled
from comfywatchman_core.report import Entry, Report
from comfywatchman_core.units import size_text
from comfywatchman_core.wording import advice

from .tally import Tally

_COMMAND = re.compile(r"`(comfywatchman (?:get|plan) [^`]+)`")
_WITH = re.compile(r"\bagain with (--(?:force|allow-pickle)\b|--accept-digest [0-9a-f]{64})", re.IGNORECASE)
_WITHOUT = re.compile(r"\b(?:leave out|again without) (--[a-z-]+)", re.IGNORECASE)


class Advice:
    """What was typed, for hints to repeat.

    :param options: As parsed; ``given`` holds the arguments themselves.
    """

    def __init__(self, options: Namespace) -> None:
        self._given: tuple[str, ...] = tuple(_without_secrets(one) for one in getattr(options, "given", ()))
        self._places = _places(options)

    def completed(self, report: Report, tally: Tally | None = None) -> Report:
        """*report* with hints that can be copied.

        :param tally: Knows how far the files were that were stopped.
        """
        kept = {label: (received, size) for label, received, size in tally.kept()} if tally else {}
        return evolve(report, entries=tuple(self._entry(entry, kept) for entry in report.entries))

    def told(self, event: Event) -> Event:
        """*event*, likewise."""
        return evolve(event, entry=self._entry(event.entry, {})) if isinstance(event, FileSettled) else event

    def again(self, *more: str, instead: str = "", without: Sequence[str] = ()) -> str:
        """The user's own command.

        :param more: Arguments to add to it.
        :param instead: Another command, such as ``get``, with the same arguments.
        :param without: Arguments to leave out.
        """
        words = [word for word in self._given if word not in without]
        if instead and words:
            words[0] = instead
        return quoted(("comfywatchman", *words, *more))

    def get(self, *arguments: str) -> str:
        """``get`` with *arguments*, for the place that the user named."""
        return f"{quoted(('comfywatchman', 'get', *arguments))}{self._places}"

    def hint(self, failure: Failure) -> str:
        """What to do about *failure*, the user's arguments in it."""
        hint = _COMMAND.sub(lambda found: f"`{found[1]}{self._places}`", advice(failure))
        if found := _WITH.search(hint):
            return _with_command(hint, self.again(*found[1].split()))
        if (found := _WITHOUT.search(hint)) and found[1] in self._given:
            return _with_command(hint, self.again(without=(found[1],)))
        return hint

    def _entry(self, entry: Entry, kept: Mapping[str, tuple[int, int | None]]) -> Entry:
        if entry.error is None:
            return entry
        label, message = entry.request.label, entry.error.message
        if entry.error.code is ErrorCode.CANCELLED and label in kept:
            received, size = kept[label]
            whole = f" of {size_text(size)}" if size is not None else ""
            message = f"{label}: stopped at {size_text(received)}{whole}, which are kept"
        return evolve(entry, error=evolve(entry.error, message=message, hint=self.hint(entry.error)))


def quoted(words: Sequence[str]) -> str:
    """Spell a command so that the shell of this system reads these words."""
    if os.name != "nt":
        return shlex.join(words)
    from subprocess import list2cmdline

    return list2cmdline(words)


def _with_command(hint: str, command: str) -> str:
    return f"{hint.rstrip('. ')}: `{command}`"


def _places(options: Namespace) -> str:
    """Where things are, as the user said it."""
    words: list[str] = []
    for option in ("comfyui", "models_dir", "server", "config"):
        if value := getattr(options, option, None):
            words += [f"--{option.replace('_', '-')}", value]
    for value in getattr(options, "extra_model_paths", None) or ():
        words += ["--extra-model-paths", value]
    if getattr(options, "no_config", False):
        words.append("--no-config")
    return f" {quoted(words)}" if words else ""


def _without_secrets(word: str) -> str:
    """An address may carry a token in its query: it is not repeated. A digest behind it is."""
    if not word.lower().startswith(("http://", "https://")):
        return word
    fragment = re.search(r"#sha256=[0-9a-f]{64}$", word, re.IGNORECASE)
    return redact(word) + (fragment.group() if fragment else "")
