"""Compare the packaged table of known models with the live services, and fill in what it does not know.

    python maintenance/known_models.py check             # tell what changed, moved or is gone
    python maintenance/known_models.py fill              # also write digests, sizes, commits and file ids

Every row is asked of its own source's back end, one request or two each, in the pace of that back end. Tokens are
taken from the environment as the command itself takes them. What changed at its source is never written unless
``--accept PATTERN`` names it, for a person who has looked. Exit code 7: something changed; 4: something is gone;
5: a source could not be asked.
"""

from __future__ import annotations

import argparse
import collections
import datetime
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from comfywatchman_directid.checking import Ask, Finding, State, compare
from comfywatchman_directid.documents import parse_document, render_document
from comfywatchman_directid.files import replace_whole
from comfywatchman_directid.known import filled, matches
from comfywatchman_directid.rows import KnownModel
from comfywatchman_directid.sources import identify

from comfywatchman_core import Artifact, BackendError, Candidate, Context, ModelRequest, Resolver

TABLE = Path(__file__).parents[1] / "plugins/directid/src/comfywatchman_directid/data/known_models.json"

_EXIT_CODES = ((State.CHANGED, 7), (State.GONE, 4), (State.UNASKED, 5))


def asker(settings: Mapping[str, Mapping[str, object]], tell: Callable[[str], None]) -> Ask:
    """Have requests answered by the installed back ends of their sources.

    :param settings: Each back end's own table of the configuration.
    """
    from comfywatchman_civitai import backend as civitai
    from comfywatchman_huggingface import backend as huggingface

    backends: dict[str, Resolver] = {"civitai": civitai, "huggingface": huggingface}
    contexts = {
        name: Context(
            name=name, settings=settings.get(name, {}), emit=lambda event: tell(str(event)), fetch=_no_transfer
        )
        for name in backends
    }

    def ask(request: ModelRequest) -> Sequence[Candidate]:
        source = identify(request.reference)
        if source is None or source.delegate not in backends:
            raise BackendError(f"{request.reference} belongs to no back end")
        return backends[source.delegate].resolve_model(request, contexts[source.delegate]) or ()

    return ask


def findings(rows: Sequence[KnownModel], pattern: str, ask: Ask, today: datetime.date) -> Iterator[Finding]:
    """Compare the rows that match *pattern*, each file once however many names it has."""
    seen: dict[tuple[str, ...], Finding] = {}
    for row in rows:
        if not matches(row, pattern):
            continue
        key = (*row.source.key, row.source.url, row.sha256 or "")
        if key not in seen:
            seen[key] = compare(row, ask, today)
            yield seen[key]
        else:
            yield seen[key].for_row(row)


def refreshed(rows: Sequence[KnownModel], found: Sequence[Finding], accepted: Sequence[str]) -> list[KnownModel]:
    """The rows with what their sources add; with their new digests where *accepted* names them."""
    taken = {
        (one.row.name, one.row.folders, one.row.source): one.fresh
        for one in found
        if one.state is State.CHANGED and one.fresh and any(matches(one.row, pattern) for pattern in accepted)
    }
    return [
        taken.get((old.name, old.folders, old.source), new) for old, new in zip(rows, filled(rows, found), strict=True)
    ]


def report(found: Sequence[Finding], write: Callable[[str], object]) -> int:
    """Write what is not as it was, and the counts. :returns: The exit code."""
    for one in found:
        if one.state not in (State.SAME, State.FILLED):
            write(f"{one.state:8} {one.row.name}  {one.row.source.reference}  {one.message}\n")
    counted = collections.Counter(one.state for one in found)
    write(", ".join(f"{counted[state]} {state}" for state in State if counted[state]) + "\n")
    return next((code for state, code in _EXIT_CODES if counted[state]), 0)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("word", choices=("check", "fill"))
    parser.add_argument("pattern", nargs="?", default="*", help="NAME or FOLDER/NAME, with * and ?")
    parser.add_argument("--table", type=Path, default=TABLE)
    parser.add_argument("--version", default="", help="the table's version; today's date where it is filled")
    parser.add_argument("--accept", action="append", default=[], metavar="PATTERN")
    parser.add_argument("--hub", metavar="URL", help="another endpoint that speaks the Hub's API")
    parser.add_argument("--civitai", metavar="URL", help="another address that speaks Civitai's API")
    options = parser.parse_args(arguments)
    today = datetime.datetime.now(datetime.UTC).date()
    version, rows = parse_document(options.table.read_bytes(), str(options.table))
    settings: dict[str, dict[str, object]] = {
        "huggingface": {"endpoint": options.hub} if options.hub else {},
        "civitai": {"base_url": options.civitai} if options.civitai else {},
    }
    ask = asker(settings, lambda line: None)
    found = list(findings(rows, options.pattern, ask, today))
    if options.word == "fill":
        version = options.version or f"{today.year}.{today.month}.{today.day}"
        replace_whole(options.table, render_document(refreshed(rows, found, options.accept), version))
    return report(found, sys.stdout.write)


def _no_transfer(candidate: Candidate, target: Path, *, headers: Mapping[str, str] | None = None) -> Artifact:
    raise BackendError(f"a check transfers nothing: {candidate.url}")


if __name__ == "__main__":
    sys.exit(main())
