"""The command ``comfywatchman-fleet``: arguments in, results out, as ``comfywatchman get --plan`` does it."""

from __future__ import annotations

import argparse
import logging
import os
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from attrs import evolve

from comfywatchman_core.addresses import redact_text
from comfywatchman_core.cli import run, while_somebody_reads
from comfywatchman_core.cli.advice import Advice
from comfywatchman_core.cli.commands import settings, tell
from comfywatchman_core.cli.listening import listener, write_while_read
from comfywatchman_core.cli.parser import add_output
from comfywatchman_core.cli.signals import Interruption, interruptible
from comfywatchman_core.cli.tally import Tally
from comfywatchman_core.cli.terminal import say
from comfywatchman_core.config import Config
from comfywatchman_core.errors import BackendError, ErrorCode, UsageError
from comfywatchman_core.events import Event, Surveyed, WorkflowRead
from comfywatchman_core.jsonlines import event_line
from comfywatchman_core.planfile import read_plan

from ._version import __version__


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with *arguments*, the process's own by default; returns its exit code."""
    options = make_parser().parse_args(arguments)
    return while_somebody_reads(lambda: run(options, _get))


def make_parser() -> argparse.ArgumentParser:
    """Build the parser; Dask is not imported for it."""
    parser = argparse.ArgumentParser(
        prog="comfywatchman-fleet", description="Carry out a plan on many machines.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"comfywatchman-fleet {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    get = commands.add_parser("get", help="carry out a plan file", allow_abbrev=False)
    fleet = get.add_argument_group("fleet")
    fleet.add_argument("--scheduler", metavar="ADDRESS", required=True, help="of Dask's scheduler, or its JSON file")
    fleet.add_argument("--plan", metavar="FILE", required=True, help="what `comfywatchman plan -o FILE` wrote")
    fleet.add_argument(
        "--mode",
        choices=("shared", "each"),
        default="shared",
        help="shared: all machines see one tree, and each file is fetched by one of them (default); "
        "each: every machine has a disk of its own, and gets every file",
    )
    fleet.add_argument(
        "--patience",
        metavar="SECONDS",
        type=float,
        default=60.0,
        help="how long files wait for workers to come, or to come back (default: 60)",
    )
    fleet.add_argument(
        "--machines",
        metavar="N",
        type=int,
        default=1,
        help="wait until workers of so many machines are there (default: 1)",
    )
    places = get.add_argument_group("places, as the workers see them")
    places.add_argument("--models-dir", metavar="DIR", help="a models directory")
    places.add_argument("--comfyui", metavar="DIR", help="ComfyUI's base directory")
    places.add_argument("--extra-model-paths", metavar="FILE", action="append", help="as `comfywatchman get` takes it")
    sources = get.add_argument_group("what sources are spared, over the whole fleet")
    sources.add_argument("-j", "--jobs", metavar="N", type=int, help="files at a time from one source (default: 3)")
    sources.add_argument(
        "--unbounded",
        metavar="SOURCE",
        action="append",
        help="a back end whose source takes as many as there are; repeatable (default: mirror)",
    )
    sources.add_argument("--delay", metavar="SECONDS", type=float, help="between two downloads from one source")
    transfer = get.add_argument_group("transfer")
    transfer.add_argument("--connections", metavar="N", type=int, help="connections for one file (default: 8)")
    transfer.add_argument("--limit-rate", metavar="RATE", help="for example 10M; of each worker")
    transfer.add_argument("--retries", metavar="N", type=int, help="attempts without progress (default: 3)")
    transfer.add_argument("--timeout", metavar="SECONDS", type=float, help="for one call or one stalled attempt")
    transfer.add_argument(
        "--require-checksum", action="store_true", help="refuse what no published checksum speaks for"
    )
    transfer.add_argument("--force", action="store_true", help="replace a different file that is in the way")
    transfer.add_argument("--fail-fast", action="store_true", help="stop at the first failure")
    add_output(get)
    return parser


def _get(options: Namespace) -> int:
    config = _with_whole_paths(settings(options))
    if config.models_dir is None and config.comfyui is None:
        raise UsageError("nothing says where models go", hint="Pass --models-dir DIR, as the workers see it.")
    plan = read_plan(Path(options.plan))
    if not options.verbose:
        logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what matters of it is said in the report
    # heavy: only once the arguments make sense
    from distributed import Client

    from .fleet import Fleet, Mode
    from .turns import Limits

    with interruptible() as interruption:
        named = "scheduler_file" if os.path.isfile(options.scheduler) else "address"
        try:
            client = Client(**{named: options.scheduler}, set_as_default=False)
        except (OSError, ValueError) as error:
            raise BackendError(
                redact_text(f"no scheduler answers at {options.scheduler}: {error}"),
                code=ErrorCode.NETWORK,
                hint="Start one with `dask scheduler`, and pass the address that it prints.",
            ) from error
        with client, _listening(options, interruption) as listen:
            fleet = Fleet(client, listen, interruption.event.is_set, options.patience, options.machines)
            limits = Limits(
                at_a_time=config.download.jobs,
                delay=config.download.delay_between_downloads,
                unbounded=tuple(options.unbounded or ("mirror",)),
            )
            report = fleet.get(plan, config, Mode(options.mode), limits)
    report = evolve(report, interrupted=interruption.code)
    code = tell(options, report)
    if not (options.json or options.quiet) and not report.ok:
        say("to go on, run the same command again: what has arrived is kept")
    return code


def _with_whole_paths(config: Config) -> Config:
    """Workers have other working directories."""
    return evolve(
        config,
        models_dir=config.models_dir and Path(os.path.abspath(config.models_dir)),
        comfyui=config.comfyui and Path(os.path.abspath(config.comfyui)),
        extra_model_paths=tuple(Path(os.path.abspath(path)) for path in config.extra_model_paths),
    )


@contextmanager
def _listening(options: Namespace, interruption: Interruption) -> Iterator[Callable[[Event, str, str], None]]:
    """The listener of ``comfywatchman get``, for events of many machines."""
    tally = Tally()
    with listener(options, tally, Advice(options), interruption) as listen:

        def tell_all(event: Event, worker: str, machine: str) -> None:
            if options.json:
                write_while_read({**event_line(event), **({"worker": worker} if worker else {})}, interruption)
            elif listen is not None:
                listen(_labelled(event, machine))

        yield tell_all


def _labelled(event: Event, machine: str) -> Event:
    """The same file is told of by every machine that gets it."""
    if not machine or isinstance(event, (Surveyed, WorkflowRead)):
        return event
    return evolve(event, label=f"{machine}: {event.label}")
