"""How well the Civitai back end finds models by file name, measured in a town of look-alikes.

    python benchmarks/civitai_names.py [--models 6000] [--lookups 2000] [--seed 1] [--fills-pages] [--ambiguous]

The stand-in's search follows the rules of the real one: it looks at titles, makers, trigger words and checksums,
never at file names. A name is *reachable* when any of many queries made of its words, far more than a client should
ask, shows a model that bears it. Counted over the names that exactly one set of bytes bears:

* recall: accepted unasked, of those that are reachable;
* requests: questions to the service for one model, searches and look-ups of uploaded names together.

And counted over all names:

* wrong: accepted, and the bytes are not those of the one bearer; or several bear the name, and not just one of them
  is reachable. The same where all but one are out of reach is counted beside it: nobody could know;
* ambiguous: reported as such, of the names that several bear and of which more than one is reachable.

``--ambiguous`` looks up nothing but names that several bear: what the drawn look-ups meet now and then, at its worst.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from itertools import combinations
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from comfywatchman_civitai import CivitaiBackend
from standins.civitai import CivitaiStandIn
from standins.civitai_neighbourhood import Lookup, Neighbourhood, settle
from standins.civitai_search import words_of

from comfywatchman_core import Artifact, Candidate, Context, Match, ModelRequest
from comfywatchman_core.http import ApiClient, Transport

_DEEP = 200
"""Hits that the search for what is reachable looks at: two pages."""


def main() -> int:
    parser = argparse.ArgumentParser(description="How well the Civitai back end finds models by file name.")
    parser.add_argument("--models", type=int, default=6000)
    parser.add_argument("--lookups", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--fills-pages", action="store_true", help="the search goes on to weaker hits in one page")
    parser.add_argument("--ambiguous", action="store_true", help="look up only names that several files bear")
    parser.add_argument("--show", default="", help="print the look-ups of this outcome")
    arguments = parser.parse_args()
    with CivitaiStandIn(fills_pages=arguments.fills_pages) as service:
        town = settle(service, arguments.models, arguments.seed)
        draw = town.ambiguous_lookups if arguments.ambiguous else town.lookups
        lookups = draw(arguments.lookups, arguments.seed + 1)
        service.listing.still = True
        started = time.perf_counter()
        counts, costs = measure(service, town, lookups, arguments.show)
        seconds = time.perf_counter() - started
    report(arguments, counts, costs, seconds)
    return 1 if any(outcome == "WRONG" for _, outcome in counts) else 0


def measure(
    service: CivitaiStandIn, town: Neighbourhood, lookups: list[Lookup], show: str
) -> tuple[Counter[tuple[str, str]], Counter[str]]:
    counts: Counter[tuple[str, str]] = Counter()
    costs: Counter[str] = Counter()
    backend = CivitaiBackend()
    transport = Transport()
    for lookup in lookups:
        before = len(service.requests)
        context = Context(
            name="civitai",
            settings={"base_url": service.url},
            emit=lambda event: None,
            fetch=_no_transfer,
            http=ApiClient(
                transport, retries=0
            ),  # one client for each: what one look-up learnt is not lent to the next
        )
        offers = backend.resolve_model(ModelRequest(name=lookup.name, folder=lookup.folder), context) or ()
        asked = len(service.requests) - before
        accepted = [offer for offer in offers if offer.match >= Match.FILENAME]
        result = outcome_of(service, lookup, accepted)
        group = lookup.group
        counts[group, result] += 1
        counts[f"  {lookup.kind}", result] += 1
        costs["requests"] += asked
        costs[f"requests {group}"] += asked
        costs[f"requests   {lookup.kind}"] += asked
        costs["most"] = max(costs["most"], asked)
        if result == show:
            titles = [service.catalogue.models[model].name for model in lookup.models]
            print(lookup.kind, lookup.folder, lookup.name, asked, titles, [offer.notes[0] for offer in offers[:3]])
    return counts, costs


def outcome_of(service: CivitaiStandIn, lookup: Lookup, accepted: list[Candidate]) -> str:
    """Name what came of a look-up, strictly: one wrong file taken is WRONG."""
    taken = {offer.sha256 or f"unhashed {offer.reference.rpartition('+')[2]}" for offer in accepted}
    if any(offer.obstacle is not None for offer in accepted) or len(taken) > 1:
        return "ambiguous" if len(lookup.bearers) != 1 else "over-careful"
    if taken and len(lookup.bearers) > 1:
        others = [model for model in lookup.models if _is_reachable(service, lookup, model)]
        return "WRONG" if len(others) > 1 else "accepted, twins out of reach"
    if taken:
        return "found" if taken <= lookup.bearers else "WRONG"
    if not lookup.bearers:
        return "absent"
    return "missed" if any(_is_reachable(service, lookup, model) for model in lookup.models) else "out of reach"


def _is_reachable(service: CivitaiStandIn, lookup: Lookup, model: int) -> bool:
    """Whether any of many queries made of the name's words shows *model*."""
    stem = lookup.name.rpartition("/")[2].rpartition(".")[0]
    spaced = "".join(f" {letter}" if letter.isupper() else letter for letter in stem)
    words = list(dict.fromkeys(words_of(stem) + words_of(spaced)))[:8]
    queries = {stem, spaced, *words, *(" ".join(pair) for pair in combinations(words, 2))}
    shown = service.catalogue.models[model]
    if shown.minor and not shown.nsfw_level & 1:
        return False  # neither form of the search shows it to anybody
    loras = {"LORA", "LoCon", "DoRA"}
    types = loras if shown.type in loras else {shown.type, "Checkpoint"}

    def allowed(one: int) -> bool:
        return service.catalogue.models[one].type in types

    return any(model in service.index.search(query, allowed)[:_DEEP] for query in queries)


def report(
    arguments: argparse.Namespace, counts: Counter[tuple[str, str]], costs: Counter[str], seconds: float
) -> None:
    groups = list(dict.fromkeys(group for group, _ in counts))
    print(f"{arguments.models} models, {arguments.lookups} look-ups, seed {arguments.seed}, {seconds:.0f} s")
    for group in sorted(groups, key=lambda group: (group.startswith(" "), group)):
        row = {result: count for (of, result), count in sorted(counts.items()) if of == group}
        total = sum(row.values())
        cost = f", {costs[f'requests {group}'] / total:.2f} requests" if f"requests {group}" in costs else ""
        print(f"{group:12} {total:5}  " + ", ".join(f"{result} {count}" for result, count in row.items()) + cost)
    found, missed = counts["unique", "found"], counts["unique", "missed"]
    careful = counts["unique", "over-careful"]
    wrong = sum(count for (group, result), count in counts.items() if result == "WRONG" and not group.startswith(" "))
    told, lost = counts["ambiguous", "ambiguous"], counts["ambiguous", "missed"]
    taken = counts["ambiguous", "WRONG"]
    unknowable = counts["ambiguous", "accepted, twins out of reach"]
    asked = sum(count for (group, _), count in counts.items() if not group.startswith(" "))
    if not arguments.ambiguous:
        print(f"recall of what is reachable: {found / max(1, found + missed + careful):.3f}")
    print(f"wrong: {wrong}; {unknowable} more whose twins no search shows")
    print(f"ambiguous: {told} told of {told + lost + taken} that a search shows, {lost} found nothing")
    print(f"requests for one model: {costs['requests'] / asked:.2f} on average, {costs['most']} at most")


def _no_transfer(candidate: Candidate, target: Path, *, headers: object = None) -> Artifact:
    raise AssertionError("nothing is transferred here")


if __name__ == "__main__":
    raise SystemExit(main())
