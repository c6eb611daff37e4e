"""The chunk store behind the Hub stand-in: enough of it for the Hub's own client to put a file together.

A file is cut into chunks of equal size, chunks are packed into blocks (xorbs),
and the store says which range of which block holds what. The client does not
look at the hashes, so they are made up.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from attrs import Factory, define, frozen

from comfywatchman_core.testing import Asked, Reply
from comfywatchman_core.testing import sha256 as digest_of

if TYPE_CHECKING:
    from .hub import HubStandIn

_CHUNK = 64 << 10
_CHUNKS_OF_A_BLOCK = 900
"""Below 64 MB, as blocks have to be."""

ACCESS_TOKEN = "chunk-store-access"


@frozen
class _Block:
    """Chunks one after the other, each behind a header of eight bytes: version, two lengths, no compression."""

    name: str
    sizes: tuple[int, ...]
    body: bytes


def _blocks(data: bytes) -> list[_Block]:
    chunks = [data[start : start + _CHUNK] for start in range(0, len(data), _CHUNK)]
    blocks = []
    for start in range(0, len(chunks), _CHUNKS_OF_A_BLOCK):
        part = chunks[start : start + _CHUNKS_OF_A_BLOCK]
        body = b"".join(
            b"\0" + len(one).to_bytes(3, "little") + b"\0" + len(one).to_bytes(3, "little") + one for one in part
        )
        blocks.append(_Block(digest_of(body), tuple(len(one) for one in part), body))
    return blocks


@define
class ChunkStore:
    """What the third origin of the stand-in answers."""

    hub: HubStandIn
    _files: dict[str, list[_Block]] = Factory(dict)
    _by_name: dict[str, _Block] = Factory(dict)
    _released: threading.Event = Factory(threading.Event)

    def release(self) -> None:
        """Let every answer go that hangs."""
        self._released.set()

    def lend_token(self, scenario: str) -> Reply:
        """The Hub's route that lends a token for the store."""
        if scenario == "xet-broken":
            message = "Internal Error - We're working hard to fix this as soon as possible!"
            return self.hub.refusal(500, message=message)
        expires = str(int(time.time()) + 3600)
        url = self.hub.closed_url if scenario == "xet-unreachable" else self.hub.cas_url
        return Reply.json(
            {"casUrl": url, "exp": int(expires), "accessToken": ACCESS_TOKEN},
            X_Xet_Cas_Url=url,
            X_Xet_Access_Token=ACCESS_TOKEN,
            X_Xet_Token_Expiration=expires,
        )

    def answer(self, asked: Asked) -> Reply:
        """Answer a request to the store: ``/v1/reconstructions/HASH``, the same of ``v2``, or a block."""
        match [part for part in asked.path.split("/") if part]:
            case [("v1" | "v2") as version, "reconstructions", xet_hash]:
                return self._reconstruction(asked, xet_hash, version)
            case ["block", name] if name in self._by_name:
                return self._block(asked, self._by_name[name])
        return Reply.json({"error": "not found"}, 404)

    def _block(self, asked: Asked, block: _Block) -> Reply:
        if block.name in self.hub.hanging_blocks:
            self._released.wait(60)
        return Reply.of_bytes(block.body, asked)

    def _reconstruction(self, asked: Asked, xet_hash: str, version: str) -> Reply:
        found = self.hub.by_xet_hash(xet_hash)
        if found is None or asked.headers.get("authorization") != f"Bearer {ACCESS_TOKEN}":
            return Reply.json({"error": "not found"}, 404)
        repository, file = found
        blocks = self._files.setdefault(xet_hash, _blocks(file.data))
        self._by_name |= {block.name: block for block in blocks}
        if repository.scenario == "xet-hangs":
            # The first block arrives, the others never do: what users report as "stuck at 80 %".
            self.hub.hanging_blocks |= {block.name for block in blocks[1:] or blocks}
        first, _, last = asked.headers.get("range", "bytes=0-").removeprefix("bytes=").partition("-")
        start, end = int(first), min(int(last) + 1 if last else len(file.data), len(file.data))
        if start >= len(file.data):
            return Reply(status=416)
        return Reply.json(self._terms(blocks, start, end, version))

    def _terms(self, blocks: list[_Block], start: int, end: int, version: str) -> dict[str, Any]:
        """The ranges of blocks that hold the bytes from *start* to before *end*."""
        terms: list[dict[str, Any]] = []
        fetch: dict[str, Any] = {}
        offset, position = 0, 0
        for block in blocks:
            held: list[int] = []
            size = 0
            for number, length in enumerate(block.sizes):
                if position < end and position + length > start:
                    if not terms and not held:
                        offset = start - position
                    held.append(number)
                    size += length
                position += length
            if held:
                chunks = {"start": held[0], "end": held[-1] + 1}
                first_byte = sum(block.sizes[: held[0]]) + 8 * held[0]
                last_byte = sum(block.sizes[: held[-1] + 1]) + 8 * (held[-1] + 1) - 1
                terms.append({"hash": block.name, "unpacked_length": size, "range": chunks})
                url = f"{self.hub.cas_url}/block/{block.name}"
                span = {"start": first_byte, "end": last_byte}
                fetch[block.name] = (
                    [{"range": chunks, "url": url, "url_range": span}]
                    if version == "v1"
                    else [{"url": url, "ranges": [{"chunks": chunks, "bytes": span}]}]
                )
        where = "fetch_info" if version == "v1" else "xorbs"
        return {"offset_into_first_range": offset, "terms": terms, where: fetch}
