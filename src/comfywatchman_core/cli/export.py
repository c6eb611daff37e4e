"""``comfywatchman export``: the old download script, for debugging only."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from comfywatchman_core.addresses import redact
from comfywatchman_core.planfile import make_plan
from comfywatchman_core.report import Entry, Report, Status

_SECRET = re.compile(r"token|key|secret|pass|auth|sig|cred|policy|x-amz", re.IGNORECASE)
"""In the name of a parameter of an address."""


def script(report: Report, form: str) -> str:
    """Spell what a plan would download as a shell script, an aria2 input file, or JSON.

    Every value is quoted, every file is checked before it gets its name, and no token is inside: files that
    need one are refused by their source when the script runs.
    """
    planned = [entry for entry in report.entries if entry.status is Status.PLANNED and entry.candidate and entry.path]
    if form == "json":
        return make_plan(planned).text()
    return "".join(_shell(planned) if form == "sh" else _aria2(planned))


def _shell(planned: Iterable[Entry]) -> Iterable[str]:
    yield "#!/bin/sh\n# Downloads what a plan found missing. Needs curl and sha256sum. What is there is left alone.\n"
    yield "set -u\nfailed=0\n"
    yield (
        "fetch() {  # address, place, SHA256 or nothing\n"
        '  if [ -e "$2" ]; then echo "present: $2"; return 0; fi\n'
        '  mkdir -p -- "$(dirname -- "$2")" || return 1\n'
        '  part="$2.part-$$"\n'
        '  curl --fail --location --proto "=https,http" --retry 3 --output "$part" -- "$1" || '
        '{ rm -f -- "$part"; return 1; }\n'
        '  if [ -n "$3" ] && ! printf "%s  %s\\n" "$3" "$part" | sha256sum -c -; then rm -f -- "$part"; return 1; fi\n'
        '  mv -n -- "$part" "$2"\n'
        "}\n"
    )
    for entry in planned:
        url, path, sha256 = _parts(entry)
        yield f"fetch {shlex.quote(url)} {shlex.quote(str(path))} {shlex.quote(sha256)} || failed=1\n"
    yield 'exit "$failed"\n'


def _aria2(planned: Iterable[Entry]) -> Iterable[str]:
    for entry in planned:
        url, path, sha256 = _parts(entry)
        yield f"{url}\n  dir={path.parent}\n  out={path.name}\n  auto-file-renaming=false\n  allow-overwrite=false\n"
        if sha256:
            yield f"  checksum=sha-256={sha256}\n"


def _parts(entry: Entry) -> tuple[str, Path, str]:
    assert entry.candidate is not None
    assert entry.path is not None
    # The query of an API address says which file; one that signs a request is a secret, and dies within the hour.
    url = entry.candidate.url
    parts = urlsplit(url)
    if "@" in parts.netloc or parts.fragment or any(_SECRET.search(key) for key, _ in parse_qsl(parts.query, True)):
        url = redact(url)
    return url, entry.path, entry.sha256 or ""
