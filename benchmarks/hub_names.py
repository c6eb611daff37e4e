"""How well the Hub's back end finds the models of the official templates, and what it asks for that.

    python benchmarks/hub_names.py [--strangers 2]

The stand-in holds the templates' own repositories, and around every file others that are easily taken for it: the
same name with other bytes at strangers' and in a publisher's other folder, other versions, precisions and formats.

* right: taken unasked, and the bytes are those that the templates declare under this name;
* wrong: taken unasked, and they are not;
* ambiguous: trusted publishers have different files of this name, so that none is taken;
* proposed: only strangers have it; named in the report with the reference that takes it;
* api, resolvers: requests, in the buckets in which the Hub counts them (500 and 3000 in five minutes, unnamed).

Without a folder nothing speaks against a publisher's file that lies in the wrong one: the decoys of that sort are
ambiguous there, or wrong where the right file is a stranger's.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from standins.hub import HubStandIn
from standins.hub_desk import Desk, taken
from standins.hub_templates import Declared, content, declarations, fill

from comfywatchman_core import Match, ModelRequest
from comfywatchman_core.testing import safetensors, sha256


def main() -> int:
    parser = argparse.ArgumentParser(description="How well the Hub's back end finds the official templates' models.")
    parser.add_argument("--strangers", type=int, default=2, help="more repositories with the same name, for each model")
    arguments = parser.parse_args()
    declared = declarations()
    names = sorted({(one.name, one.folder) for one in declared})
    print(f"{len(names)} names, {len(declared)} addresses, {len({one.repo for one in declared})} repositories")
    wrong = 0
    with HubStandIn() as hub, tempfile.TemporaryDirectory() as folder:
        fill(hub, declared)
        for number in range(arguments.strangers):
            for one in declared:
                stem = one.name.rpartition(".")[0]
                hub.add_repo(f"crowd{number}/{stem}", {one.name: safetensors(f"{number} {one.name}", 64)})
        print(f"{len(hub.repositories)} repositories with the decoys\n")
        heads = ("right", "wrong", "ambig.", "prop.", "none", "api")
        print(f"{'':24} {' '.join(f'{head:>6}' for head in heads)} {'resolv.':>7} {'s':>6}")
        desk = Desk(hub.url, Path(folder))
        right = bytes_by_name(declared)
        with_address = [ModelRequest(name=one.name, folder=one.folder, url=one.url) for one in declared]
        wrong += measure("with addresses", desk, hub, with_address, right)
        by_name = [ModelRequest(name=name, folder=folder) for name, folder in names]
        wrong += measure("names, first run", desk, hub, by_name, right)
        wrong += measure("names, later that day", desk, hub, by_name, right)
        nowhere = [ModelRequest(name=name, folder="") for name, _ in names]
        measure("names without a folder", desk, hub, nowhere, right)
    return 1 if wrong else 0


def bytes_by_name(declared: Sequence[Declared]) -> dict[str, set[str]]:
    """Name → the digests of the files that the templates declare under it, wrong addresses left out."""
    found: dict[str, set[str]] = defaultdict(set)
    for one in declared:
        if one.path.rpartition("/")[2] == one.name:
            found[one.name].add(sha256(content(one.repo, one.path)))
        else:
            found.setdefault(one.name, set())
    for one in declared:  # a file that a template renames
        if not found[one.name]:
            found[one.name].add(sha256(content(one.repo, one.path)))
    return found


def measure(
    what: str, desk: Desk, hub: HubStandIn, requests: Sequence[ModelRequest], right: dict[str, set[str]]
) -> int:
    """Ask for everything in one run, print a line, and return how many were wrong."""
    desk.new_run()
    hub.requests.clear()
    hub.limits.reset()
    outcomes: Counter[str] = Counter()
    started = time.perf_counter()
    desk.backend.prepare(requests, desk.context)
    for request in requests:
        offers = desk.backend.resolve_model(request, desk.context) or ()
        offer = taken(offers)
        if offer is not None:
            outcomes["right" if offer.sha256 in right[str(request.name)] else "wrong"] += 1
        elif any(one.match is Match.FILENAME for one in offers):
            outcomes["ambiguous"] += 1
        else:
            outcomes["proposed" if offers else "none"] += 1
    seconds = time.perf_counter() - started
    counts = [outcomes[key] for key in ("right", "wrong", "ambiguous", "proposed", "none")]
    cells = " ".join(f"{count:6}" for count in (*counts, hub.counted("api")))
    print(f"{what:24} {cells} {hub.counted('resolvers'):7} {seconds:6.1f}")
    return outcomes["wrong"]


if __name__ == "__main__":
    sys.exit(main())
