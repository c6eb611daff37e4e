"""What servers do instead of answering, each by a name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .faulty import Ending, Scene, faulty
from .server import Asked, Reply, serve

_REPLIES = {
    "429": Reply.json({"error": "slow down"}, 429, Retry_After="1200"),
    "500": Reply.json({"error": "boom"}, 500),
    "html": Reply.html("<!doctype html><title>Sign in</title>"),
    "garbage": Reply.json([{"id": None, "modelVersions": "x", "files": [None, 3]}, None, 7]),
}

_SCENES = {
    "cut": Scene(
        status=200,
        headers={"Content-Type": "application/json"},
        body=b'{"items": [' + b" " * 5000,
        sends=11,
        then=Ending.FIN,
    ),
    "reset": Scene(instead=b"HTTP/1.1 2", then=Ending.RST),
    "slow": Scene(delay=600),
    "stalled": Scene(
        status=200,
        headers={"Content-Type": "application/json"},
        body=b'{"items": []}',
        sends=5,
        then=Ending.SILENCE,
    ),
}

MISBEHAVIOURS = (*_REPLIES, *_SCENES)
"""``429`` asks for twenty minutes of rest; ``500``; ``html`` is a sign-in page in the place of JSON; ``garbage`` is
JSON of the wrong shape; ``cut`` ends in the middle of a body, ``reset`` in the middle of the first line; ``slow``
never begins to answer; ``stalled`` begins, and never ends."""


@contextmanager
def misbehaving(how: str) -> Iterator[str]:
    """Run a server that answers every request in the same wrong way, until the block ends; gives its address.

    :param how: One of :data:`MISBEHAVIOURS`.
    """
    if how in _SCENES:
        with faulty() as host:
            host.otherwise = _SCENES[how]
            yield host.url
        return

    def answer(asked: Asked) -> Reply:
        return _REPLIES[how]

    with serve(answer) as origin:
        yield origin.url


@contextmanager
def redirecting() -> Iterator[tuple[str, list[Asked]]]:
    """Run a server that sends every request to another origin, until the block ends.

    :returns: The address of the first, and what the second was asked; it grows.
    """

    def elsewhere(asked: Asked) -> Reply:
        return Reply.json({"items": []})

    with serve(elsewhere, host="localhost") as other:

        def answer(asked: Asked) -> Reply:
            return Reply(status=302, headers={"Location": f"{other.url}{asked.target}"})

        with serve(answer) as origin:
            yield origin.url, other.asked
