"""What each command does with its arguments: settings, one call of the library, output.

What only one of them needs is imported where it is used: every command waits for what stands at the top.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import evolve

from comfywatchman_core.addresses import redact, redact_text
from comfywatchman_core.config import Config, Rules
from comfywatchman_core.conversation import Conversation
from comfywatchman_core.errors import Cancelled, UsageError, error_of
from comfywatchman_core.jsonlines import SCHEMA, closing_line, result_line
from comfywatchman_core.models import Candidate, Check, Match, ModelRequest
from comfywatchman_core.report import ExitCode, Problem, Report
from comfywatchman_core.run import model_folders
from comfywatchman_core.units import size_text
from comfywatchman_core.watchman import Watchman

from . import outputs, results
from .advice import Advice
from .closing import last_words
from .listening import listener, write_json
from .signals import interruptible
from .tally import Tally
from .terminal import about, complain, say, stdout


def run(options: Namespace) -> int:
    """Carry out the command that *options* name; returns its exit code."""
    commands: dict[str, Callable[[Namespace], int]] = {
        "get": _get,
        "scan": _scan,
        "plan": _plan,
        "backends": _backends,
        "config": _config,
        "doctor": _doctor,
        "clean": _clean,
        "export": _export,
        "known": _known,
        "verify": _verify,
        "history": _history,
    }
    return commands[options.command](options)


def settings(options: Namespace) -> Config:
    """Put arguments, environment and file together. :raises UsageError: They make no sense."""
    disabled = getattr(options, "disable", [])
    config = Config.load(
        arguments={
            "comfyui": getattr(options, "comfyui", None),
            "models_dir": getattr(options, "models_dir", None),
            "extra_model_paths": getattr(options, "extra_model_paths", None),
            "server": getattr(options, "server", None),
            "offline": getattr(options, "offline", None),
            "no_plugins": getattr(options, "no_plugins", None),
            "download.jobs": getattr(options, "jobs", None),
            "download.connections": getattr(options, "connections", None),
            "download.limit_rate": getattr(options, "limit_rate", None),
            "download.max_retries": getattr(options, "retries", None),
            "download.timeout_seconds": getattr(options, "timeout", None),
            "download.delay_between_downloads": getattr(options, "delay", None),
        },
        file=options.config,
        use_file=not options.no_config,
        rules=Rules(
            include_inactive=getattr(options, "include_inactive", False),
            only=tuple(getattr(options, "only", ())),
            skip=tuple(getattr(options, "skip", ())),
            backends=tuple(getattr(options, "backend", ())),
            folder=getattr(options, "folder", ""),
            name=getattr(options, "name", ""),
            min_match=Match.from_label(getattr(options, "min_match", "filename")),
            require_checksum=getattr(options, "require_checksum", False),
            accept_digests=tuple(getattr(options, "accept_digest", ())),
            allow_pickle=getattr(options, "allow_pickle", False),
            force=getattr(options, "force", False),
            fail_fast=getattr(options, "fail_fast", False),
        ),
    )
    if disabled:  # on top of the settings: an argument must not bring back what they switch off
        tables = evolve(config.backends, disabled=(*config.backends.disabled, *disabled))
        config = evolve(config, backends=tables)
    for warning in config.warnings:
        say(f"warning: {warning}")
    return config


def _get(options: Namespace) -> int:
    if options.plan is not None:
        return _get_plan(options)
    method = "plan" if options.dry_run else "ensure_models"
    return _told(options, lambda watchman, how: getattr(watchman, method)(options.what, **how))


def _get_plan(options: Namespace) -> int:
    from comfywatchman_core.planfile import read_plan

    if options.what:
        raise UsageError("--plan says what is wanted", hint="Leave out the workflows, or leave out --plan.")
    config = settings(options)
    if options.dry_run:
        config = evolve(config, download=evolve(config.download, auto_download=False))
    plan = read_plan(Path(options.plan))
    return _told(options, lambda watchman, how: watchman.get_plan(plan, **how), config)


def _plan(options: Namespace) -> int:
    if options.check is not None:
        return _check_plan(options)
    pin_present = options.output is not None or options.embed is not None
    return _told(options, lambda watchman, how: watchman.plan(options.what, pin_present=pin_present, **how))


def _check_plan(options: Namespace) -> int:
    from comfywatchman_core.planfile import differences, read_plan

    plan = read_plan(Path(options.check))
    with interruptible() as interruption, Watchman(settings(options)) as watchman:
        report = watchman.scan(options.what, cancel=interruption.event)
    changes = differences(plan, report.entries)
    code = ExitCode.CONFLICT if changes else ExitCode.OK
    if options.json:
        write_json(closing_line(code, [Problem(about="", message=change, code="plan") for change in changes]))
        return int(code)
    for change in changes:
        results.write_line(change)
    if not changes:
        say("the workflows need just what the plan holds")
    return int(code)


def _scan(options: Namespace) -> int:
    return _told(options, lambda watchman, how: watchman.scan(options.what, **how))


def _told(options: Namespace, step: Callable[[Watchman, dict[str, Any]], Report], config: Config | None = None) -> int:
    """Run *step* with a listener and a way to stop it, and print what it came to."""
    outputs.check(options)
    tally, advice = Tally(), Advice(options)
    with interruptible() as interruption, Watchman(config or settings(options)) as watchman:
        with listener(options, tally, advice, interruption) as listen:
            try:
                report = step(watchman, {"on_event": listen, "cancel": interruption.event})
            except Cancelled:
                if interruption.code is None:
                    raise
                report = Report(entries=())  # stopped while it read and looked, before there were entries
        report = advice.completed(evolve(report, interrupted=interruption.code), tally)
        outputs.write(options, report, watchman.config)
        asked = () if options.command == "scan" else watchman.backends.names
        tell(options, report, asked)
    if not (options.json or options.quiet):
        for line in last_words(options, report, tally, advice):
            say(line)
    return int(report.exit_code)


def tell(options: Namespace, report: Report, asked: Sequence[str] = ()) -> int:
    """Print what a run came to, as *options* want it; returns its exit code."""
    if options.json:
        write_json(result_line(report))
    else:
        style = results.Style(
            quiet=options.quiet,
            verbose=options.verbose,
            explain=getattr(options, "explain", False),
            colored=results.use_color(options.color),
            width=results.width_of_stdout(),
        )
        results.write(report, style, asked)
        stdout().flush()
    return int(report.exit_code)


def _backends(options: Namespace) -> int:
    with Watchman(settings(options)) as watchman:
        listings = watchman.backends.listings
    if options.json:
        for listing in listings:
            write_json(
                {
                    "schema": SCHEMA,
                    "event": "backend",
                    "name": listing.name,
                    "state": listing.state,
                    "reason": listing.reason,
                    "distribution": listing.distribution,
                    "version": listing.version,
                    "priority": listing.priority,
                    "hooks": list(listing.hooks),
                }
            )
        write_json(closing_line(0))
    else:
        results.write_backends(listings)
    return 0


def _config(options: Namespace) -> int:
    from .configuration import show

    return show(settings(options), options)


def _verify(options: Namespace) -> int:
    from .verify import verify

    return verify(settings(options), options)


def _history(options: Namespace) -> int:
    from .history import history

    return history(settings(options), options)


def _clean(options: Namespace) -> int:
    from .clean import clean

    return clean(model_folders(settings(options)), options)


def _export(options: Namespace) -> int:
    from .export import script

    say("warning: export is deprecated and for debugging only; `get` does all this and more")
    advice = Advice(options)
    with (
        interruptible() as interruption,
        Watchman(settings(options)) as watchman,
        listener(options, Tally(), advice, interruption) as listen,
    ):
        report = watchman.plan(options.what, on_event=listen, cancel=interruption.event)
    report = advice.completed(evolve(report, interrupted=interruption.code))
    if options.json:
        return tell(options, report)
    stdout().write(script(report, options.format))
    for entry in report.entries:
        if entry.error is not None:
            complain(about(entry.request.label, entry.error.message), entry.error.hint)
    return int(report.exit_code)


def _asking(conversation: Conversation, without: str) -> Callable[[ModelRequest], Sequence[Candidate]]:
    """Make the question that a table puts to the sources of its rows."""

    def ask(request: ModelRequest) -> Sequence[Candidate]:
        failures = []
        for answer in conversation.resolve(request, skip=(without,)):
            if answer.value:
                offers: tuple[Candidate, ...] = answer.value
                return offers
            if answer.attempt.failure is not None:
                failures.append(answer.attempt.failure)
        if failures:
            raise error_of(failures[0])
        return ()

    return ask


def _known(options: Namespace) -> int:
    def write(text: str, facts: Mapping[str, Any]) -> None:
        if options.json:
            write_json({"schema": SCHEMA, **facts, "source": redact(str(facts.get("source", "")))})
        else:
            results.write_line(redact_text(text))

    with Watchman(settings(options)) as watchman:
        for name, known in watchman.backends.with_method("known"):
            conversation = watchman.conversation("known")
            ask = _asking(conversation, name)
            code: int = known(options.words, conversation.lend(name), ask, write)  # type: ignore[assignment]
            if options.json:
                write_json(closing_line(code))
            return code
    raise UsageError(
        "no back end in use keeps tables of known models", hint="`pip install comfywatchman-directid` brings one."
    )


def _doctor(options: Namespace) -> int:
    from comfywatchman_core.doctor import Finding, examine

    from .clean import found_below

    config = settings(options)
    try:
        folders = model_folders(config)
    except UsageError:
        folders = None
    with Watchman(config) as watchman:
        findings = list(examine(config, folders, watchman.conversation("doctor")))
    left = found_below(folders) if folders is not None else []
    note = f"{len(left)} ({size_text(sum(one.size for one in left))}); `comfywatchman clean` removes them"
    findings.append(Finding("leftovers", Check("leftovers", True, note=note if left else "none")))
    for finding in findings:
        check = finding.check
        if options.json:
            told = {"about": finding.about, "check": check.name, "passed": check.passed, "note": check.note}
            write_json({"schema": SCHEMA, "event": "check", **told})
        elif not (options.quiet and check.passed):
            results.write_line(f"{'ok' if check.passed else 'WRONG':<6} {finding.about:<12} {check.name}: {check.note}")
    code = 0 if all(finding.check.passed for finding in findings) else 1
    if options.json:
        write_json(closing_line(code))
    return code
