"""What it costs to bring models to many machines: bytes over each line, and time; for four ways of doing it.

    python examples/studio_cost.py --machines 40 --size 2T --internet 1G --link 10G --mirror 20G

Sizes are in bytes, speeds in bits a second, as disks and lines are sold; K, M, G and T are powers of 1000.
The assumptions are those of the page on the cost model.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from attrs import frozen

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


@frozen(kw_only=True)
class Studio:
    """Machines, lines and models. Speeds are bytes a second."""

    machines: int
    size: float
    """Bytes of all models."""
    largest: float
    """Bytes of the largest one."""
    files: int
    internet: float
    link: float
    """Of each machine."""
    mirror: float
    """What the mirror, or the common tree, gives and takes, over all machines together."""
    source: float
    """What the sources give to one file; more than the lines bear counts for nothing."""
    jobs: int
    """Files at a time from one source."""
    overhead: float = 0.005
    """Seconds for each file, beyond its transfer."""


@frozen(kw_only=True)
class Cost:
    """Of one way."""

    way: str
    internet: float
    """Bytes over the line to the internet."""
    local: float
    """Bytes out of the mirror, or into the common tree."""
    seconds: float


def costs(studio: Studio) -> Iterator[Cost]:
    """The four ways, from none of the packages to both."""
    size, machines = studio.size, studio.machines
    once = fetching(studio, workers=1)
    spread = max(machines * size / studio.mirror, size / studio.link) + studio.files * studio.overhead
    alone = max(machines * size / studio.internet, size / min(studio.link, studio.source * studio.jobs))
    yield Cost(
        way="every machine for itself",
        internet=machines * size,
        local=0,
        seconds=alone + studio.files * studio.overhead,
    )
    yield Cost(way="a mirror, filled by one machine", internet=size, local=machines * size, seconds=once + spread)
    filled = fetching(studio, workers=machines)
    yield Cost(way="one tree, fetched by the fleet", internet=size, local=size, seconds=filled)
    yield Cost(way="a mirror, filled by the fleet", internet=size, local=(machines + 1) * size, seconds=filled + spread)


def fetching(studio: Studio, *, workers: int) -> float:
    """Seconds until everything has come over the internet once, fetched by *workers* machines."""
    at_once = min(studio.jobs, studio.files)  # whatever the number of machines
    speed = min(studio.internet, workers * studio.link, studio.mirror, at_once * studio.source)
    one = min(studio.internet, studio.link, studio.mirror, studio.source)
    return max(studio.size / speed, studio.largest / one) + studio.files * studio.overhead / workers


def amount(text: str) -> float:
    """Read ``2T``, ``500M`` or ``1000``."""
    unit = text[-1:].upper() if text[-1:].isalpha() else ""
    try:
        return float(text[: len(text) - len(unit)]) * _UNITS[unit]
    except (KeyError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"not an amount: {text!r}; for example 500M or 2T") from error


def main(arguments: list[str] | None = None) -> None:
    """Print the four ways."""
    parser = argparse.ArgumentParser(description="What it costs to bring models to many machines.")
    parser.add_argument("--machines", type=int, default=40)
    parser.add_argument("--size", type=amount, default=amount("2T"), help="bytes of all models")
    parser.add_argument("--largest", type=amount, default=amount("40G"), help="bytes of the largest")
    parser.add_argument("--files", type=int, default=300)
    parser.add_argument("--internet", type=amount, default=amount("1G"), help="bits a second to the internet")
    parser.add_argument("--link", type=amount, default=amount("10G"), help="bits a second of each machine")
    parser.add_argument("--mirror", type=amount, default=amount("20G"), help="bits a second of mirror or common tree")
    parser.add_argument(
        "--source", type=amount, default=amount("400M"), help="bits a second that a source gives a file"
    )
    parser.add_argument("--jobs", type=int, default=3, help="files at a time from one source")
    options = parser.parse_args(arguments)
    studio = Studio(
        machines=options.machines,
        size=options.size,
        largest=options.largest,
        files=options.files,
        internet=options.internet / 8,
        link=options.link / 8,
        mirror=options.mirror / 8,
        source=options.source / 8,
        jobs=options.jobs,
    )
    print(f"{'':<34}{'internet':>12}{'local':>12}{'hours':>9}")
    for cost in costs(studio):
        print(f"{cost.way:<34}{cost.internet / 1e12:>10.1f}TB{cost.local / 1e12:>10.1f}TB{cost.seconds / 3600:>9.1f}")


if __name__ == "__main__":
    main()
