"""The files that a command writes besides models: a plan, a page of the run, copies of workflows."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Iterable, Sequence
from pathlib import Path

from comfywatchman_core import addresses
from comfywatchman_core.backends import CORE
from comfywatchman_core.config import Config
from comfywatchman_core.errors import BackendError, ErrorCode, UsageError
from comfywatchman_core.intake import STANDARD_INPUT
from comfywatchman_core.report import Entry, Report

from .terminal import say


def check(options: Namespace) -> None:
    """Refuse, before hours of work, what could not be written after them. :raises UsageError: It could not."""
    for option, spelled in (("output", "-o"), ("report", "--report")):
        given = getattr(options, option, None)
        if given is None:
            continue
        path = Path(given)
        if path.is_dir():
            raise UsageError(f"{path} is a directory", hint=f"Pass the path of a file as {spelled}.")
        if not path.parent.is_dir():
            raise UsageError(f"there is no directory {path.parent}", hint=f"Make it, or pass another {spelled}.")
        if not os.access(path.parent, os.W_OK):
            raise UsageError(f"{path.parent} cannot be written to", hint=f"Pass another {spelled}.")
    if getattr(options, "embed", None) is not None:
        _check_copies(Path(options.embed), options.what)


def _check_copies(directory: Path, what: Sequence[str]) -> None:
    from comfywatchman_core.declaring import read_graph

    if directory.exists() and not directory.is_dir():
        raise UsageError(f"{directory} is not a directory", hint="Pass a directory as --embed.")
    if STANDARD_INPUT in what:
        raise UsageError("standard input has no file to be copied", hint="Name the workflow, or leave out --embed.")
    for path in (Path(one) for one in what if os.path.isfile(one)):
        read_graph(path)


def write(options: Namespace, report: Report, config: Config) -> None:
    """Write what was asked for. :raises UsageError: It cannot be written."""
    if getattr(options, "output", None) is not None and report.interrupted is None:
        from comfywatchman_core.planfile import make_plan, write_plan

        _check_addresses(report.entries, config)
        write_plan(make_plan(report.entries), Path(options.output))
    if getattr(options, "embed", None) is not None and report.interrupted is None:
        from comfywatchman_core.declaring import write_copies

        copies = write_copies(report.entries, Path(options.embed), replace=options.force)
        if not options.quiet:
            say(f"{len(copies)} workflow{'' if len(copies) == 1 else 's'} with digests written below {options.embed}")
    if getattr(options, "report", None) is not None:
        from comfywatchman_core.htmlreport import write_page

        write_page(report, Path(options.report))


def _check_addresses(entries: Iterable[Entry], config: Config) -> None:
    """Let nothing into a plan that only the word of the one who typed it allows. :raises UsageError: There is such."""
    leads_inside = addresses.spells_private if config.offline else addresses.leads_inside
    for entry in entries:
        offer = entry.candidate
        if not entry.request.explicit or offer is None or offer.backend != CORE:
            continue
        try:
            addresses.check_scheme(offer.url)
            if not config.download.allow_private_urls and leads_inside(offer.url):
                raise addresses.refused_as_private(offer.url)
        except BackendError as error:
            if error.code is ErrorCode.NETWORK:  # the name has no address: whoever carries the plan out will see
                continue
            raise UsageError(
                f"no plan can hold {entry.request.label}, because whoever reads it did not type its address: {error}",
                hint="Pass the address to `get` itself, or give the file an https address that all can reach.",
            ) from error
