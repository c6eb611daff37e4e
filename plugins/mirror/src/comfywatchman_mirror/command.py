"""The command ``comfywatchman-mirror``: fill a mirror, list it, read it again, remove from it."""

from __future__ import annotations

import os
import signal
import sys
import threading
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from ._version import __version__

if TYPE_CHECKING:  # --help needs none of these
    from .output import Output
    from .stores import Store

Cancelled = Callable[[], bool]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with *arguments*, the process's own by default; returns its exit code."""
    try:
        options = _parser().parse_args(arguments)
    except SystemExit as stop:
        if stop.code == 2 and "--json" in (sys.argv[1:] if arguments is None else arguments):
            from .output import Output

            output = Output(as_json=True, quiet=False)
            output.problem("the arguments cannot be used", "See --help.", 2)
            output.end(None)
        raise
    interruption = _Interruption()
    before = {number: signal.signal(number, interruption.handle) for number in _CODES}
    try:
        return _run(options, interruption)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the interpreter must not try it at exit
        return 141
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _run(options: Namespace, interruption: _Interruption) -> int:
    from comfywatchman_core import BackendError, Config, errors

    from .layout import LARGEST_DOCUMENT
    from .lookup import expect_mirror
    from .output import Output
    from .settings import Settings
    from .stores import Store

    output = Output(as_json=options.json, quiet=options.quiet)
    try:
        table = Config.load(file=options.config).settings_of("mirror")
        settings = Settings.read({**table, "url": options.mirror} if options.mirror else table)
        if settings is None:
            raise errors.UsageError(
                "nothing says where the mirror is", hint="Pass --mirror URL, or set `url` in [backends.mirror]."
            )
        if settings.is_web:
            raise errors.UsageError(
                f"{settings.url} is a web server, which can be read and not looked after",
                hint="Pass the place that it serves: a directory, sftp:, s3:, gs: or az:.",
            )
        with closing(Store(settings, cancelled=interruption.event.is_set)) as store:
            if options.carry_out is not _push:
                expect_mirror(lambda path: store.read(path, LARGEST_DOCUMENT), settings.url)
            options.carry_out(store, options, output, interruption.event.is_set)
    except errors.Cancelled:
        pass  # the exit code says so
    except errors.UsageError as error:
        output.problem(str(error), error.hint, 2)
    except BackendError as error:
        output.failure(error)
    except BrokenPipeError:
        raise
    except Exception as error:  # a fault of this program: said in one sentence
        output.problem(f"unexpected {type(error).__name__}: {error}", "Please report this.", 1)
    return output.end(interruption.code)


def _push(store: Store, options: Namespace, output: Output, cancelled: Cancelled) -> None:
    from comfywatchman_core import errors

    from . import gathering, pushing
    from .output import described, size_text

    models_dir = Path(options.models_dir) if options.models_dir else None
    if options.plan and models_dir is None:
        raise errors.UsageError("a plan does not say where files are", hint="Pass --models-dir DIR along with --plan.")
    paths = [Path(path) for path in options.path]
    if not options.plan and not paths and models_dir is not None and models_dir.is_dir():
        paths = sorted(path for path in models_dir.iterdir() if path.is_dir() and not path.name.startswith("."))
    if models_dir is not None and not models_dir.is_dir():
        raise errors.UsageError(f"there is no directory {models_dir}", hint="Check --models-dir.")
    files = [one for plan in options.plan for one in gathering.planned(Path(plan), models_dir or Path())]
    files += gathering.named(paths, models_dir, options.folder)
    if not files:
        raise errors.UsageError("nothing is to be pushed", hint="Name files, a --plan, or a --models-dir.")
    files = list({(one.label, one.path): one for one in files}.values())
    if pushing.found(store):  # a share that is not mounted is an empty directory, too
        output.note("there was no mirror at this place: it is a new one")

    def push(file: gathering.LocalFile) -> None:
        with output.failures_of(file.label):
            if cancelled():
                return
            done = pushing.push(store, file, verify=options.verify, cancelled=cancelled)
            state, facts = done.state.value, done.facts
            moved = facts.size if done.state is pushing.State.PUSHED else 0
            output.line(
                state, f"{state:<8} {facts.label}  ({size_text(facts.size)})", counted=moved, **described(facts)
            )
            if done.namesakes:
                output.note(
                    f"{file.label} is the name of {done.namesakes + 1} different files in the mirror now: "
                    "without a digest it is ambiguous"
                )

    with ThreadPoolExecutor(options.jobs, thread_name_prefix="push") as pool:
        list(pool.map(push, files))


def _list(store: Store, options: Namespace, output: Output, cancelled: Cancelled) -> None:
    from . import pushing
    from .layout import FACTS
    from .output import described, size_text

    there = {stored.path.rpartition("/")[2].removesuffix(".json") for stored in store.walk(FACTS)}
    entries = [facts for _, facts in pushing.names_of(store) if facts is not None and facts.sha256 in there]
    for facts in sorted(entries, key=lambda one: (one.folder, one.name, one.sha256)):
        text = f"{facts.sha256[:12]}  {size_text(facts.size):>8}  {facts.label}"
        output.line("listed", text, counted=facts.size, **described(facts))


def _check(store: Store, options: Namespace, output: Output, cancelled: Cancelled) -> None:
    from . import upkeep

    for one in upkeep.check(store, sample=options.sample, jobs=options.jobs, cancelled=cancelled):
        told: dict[str, Any] = {
            "sha256": one.sha256,
            "size": one.size,
            "status": one.condition.value,
            "actual": one.actual or None,
        }
        if one.condition is upkeep.Condition.OK:
            output.line("checked", f"ok       {one.sha256}", counted=one.size, **told)
        else:
            if options.remove:
                upkeep.discard(store, one.sha256)
            why = f"its bytes are {one.actual}" if one.actual else "its bytes are gone"
            output.line("checked", f"{one.condition.value:<8} {one.sha256}: {why}", important=True, **told)
            hint = "Push it again." if options.remove else "Run again with --remove, then push it again."
            output.problem(f"{one.sha256} is {one.condition.value}", hint, 7)


def _prune(store: Store, options: Namespace, output: Output, cancelled: Cancelled) -> None:
    from comfywatchman_core import errors

    from . import gathering, upkeep
    from .output import size_text

    if not options.plan and options.older_than is None:
        raise errors.UsageError(
            "nothing says what may go", hint="Pass --plan FILE, whose models stay, or --older-than DAYS, or both."
        )
    models = [model for plan in options.plan for model in gathering.read_plan(Path(plan))]
    found = list(
        upkeep.unwanted(
            store,
            wanted={model["sha256"] for model in models if model.get("sha256")} if options.plan else None,
            labels={f"{model['folder']}/{model['name']}" for model in models if not model.get("sha256")},
            older_than=None if options.older_than is None else options.older_than * 86_400.0,
            jobs=options.jobs,
        )
    )
    for one in found:
        if cancelled():
            raise errors.Cancelled("stopped")
        if options.yes:
            upkeep.remove(store, one)
        word = "removed" if options.yes else "would go"
        output.line(
            "pruned",
            f"{word:<8} {one.path}  ({one.why}, {size_text(one.size)})",
            path=one.path,
            sha256=one.sha256 or None,
            size=one.size,
            why=one.why,
            removed=options.yes,
            counted=one.size,
        )
    if options.yes:
        upkeep.remove_names(store, {one.sha256 for one in found if one.sha256})
    elif found:
        output.note("nothing was removed: run again with --yes")


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="comfywatchman-mirror", description="Fill and look after a mirror of models.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, carry_out: Callable[..., None], about: str) -> ArgumentParser:
        one = commands.add_parser(name, help=about, description=about)
        one.set_defaults(carry_out=carry_out)
        one.add_argument(
            "--mirror", metavar="URL", help="a directory, or file:, sftp:, s3:, gs:, az:; else the setting"
        )
        one.add_argument("--config", metavar="FILE", help="the settings file of comfywatchman")
        one.add_argument("--json", action="store_true", help="one JSON object a line")
        one.add_argument("-q", "--quiet", action="store_true", help="problems only")
        one.add_argument("-j", "--jobs", type=_count, default=4, metavar="N", help="files at a time (default 4)")
        return one

    push = command("push", _push, "Bring files into the mirror; what it has already is left alone.")
    push.add_argument("path", nargs="*", metavar="PATH", help="model files, or directories of them")
    push.add_argument("--plan", action="append", default=[], metavar="FILE", help="the models of a plan; repeatable")
    push.add_argument("--models-dir", metavar="DIR", help="the models folder that files are in; alone: all of it")
    push.add_argument("--folder", default="", metavar="KEY", help="the folder of files that lie elsewhere")
    push.add_argument("--verify", action="store_true", help="read the bytes back from the mirror")

    command("list", _list, "Say what the mirror holds, by name.")

    check = command("check", _check, "Read what the mirror holds, and compare it with its digests.")
    check.add_argument("--sample", type=_count, metavar="N", help="as many files, chosen at random; default all")
    check.add_argument("--remove", action="store_true", help="remove what is corrupt, so that it can be pushed again")

    prune = command("prune", _prune, "List what no plan names, or what is old; removes it with --yes.")
    prune.add_argument("--plan", action="append", default=[], metavar="FILE", help="its models stay; repeatable")
    prune.add_argument("--older-than", type=float, metavar="DAYS", help="only what was pushed longer ago")
    prune.add_argument("--yes", action="store_true", help="remove; without it nothing is")
    return parser


class _Interruption:
    """Which signal asked the command to end; the second one ends it at once."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.code: int | None = None

    def handle(self, number: int, frame: FrameType | None) -> None:
        if self.event.is_set():
            os._exit(_CODES[number])
        self.code = _CODES[number]
        self.event.set()


_CODES: dict[int, int] = {
    number: 128 + number
    for number in (getattr(signal, name, None) for name in ("SIGINT", "SIGTERM", "SIGHUP"))
    if number is not None
}


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1000:
        raise ArgumentTypeError(f"{text!r} is no number from 1 to 1000")
    return int(text)
