"""Files made to break their reader: each ends quickly, in little memory, and with the documented error at worst."""

from __future__ import annotations

import json
import random
import struct
import subprocess
import sys
import zlib

import pytest
from standins import containers
from standins.graphs import graph, node

from comfywatchman_core.containers import Damaged, Source
from comfywatchman_core.errors import WorkflowError
from comfywatchman_core.workflow import read_workflow_bytes

MEGA = 1 << 20
GRAPH = graph(node("VAELoader", ["ae.safetensors"]), node("CLIPTextEncode", ["(embedding:neg:1.1)"]))
PROMPT = {"1": {"class_type": "VAELoader", "inputs": {"vae_name": "ae.safetensors"}}}


def read(data: bytes) -> list[str]:
    return [request.label for request in read_workflow_bytes(data, label="x").requests]


def bomb(piece: bytes, times: int) -> bytes:
    """A PNG of a few kilobytes whose text unpacks to *times* times *piece*."""
    packer = zlib.compressobj(9)
    body = b"".join(packer.compress(piece) for _ in range(times)) + packer.flush()
    chunk = b"workflow\0\1\0\0\0" + body
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", len(chunk)) + b"iTXt" + chunk + b"\0\0\0\0"


def texts(text: str) -> bytes:
    return json.dumps(graph(node("SomebodysText", [text]), node("VAELoader", ["ae.safetensors"]))).encode()


def doubling(levels: int) -> bytes:
    def twice(name: str) -> list[dict[str, object]]:
        return [{"id": 1, "type": name}, {"id": 2, "type": name}]

    definitions = [{"id": f"d{level}", "nodes": twice(f"d{level + 1}")} for level in range(levels)]
    return json.dumps({"nodes": twice("d0"), "definitions": {"subgraphs": definitions}}).encode()


def nested_boxes(depth: int) -> bytes:
    data = b""
    for _ in range(depth):
        data = struct.pack(">I", len(data) + 8) + b"moov" + data
    return b"\0\0\0\x08ftyp" + data


def many_inputs(count: int) -> bytes:
    inputs = [{"name": f"n{n}", "link": n, "widget": {"name": f"w{n}"}} for n in range(count)]
    links = [[n, 9, 0, 1, n, "*"] for n in range(count)]
    return json.dumps(graph(node("LoraLoader", ["a.safetensors", 1, 1], inputs=inputs), links=links)).encode()


def many_loaders(count: int) -> bytes:
    return json.dumps(graph(*[node("LoraLoader", [f"{n % 9}.safetensors", 1, 1]) for n in range(count)])).encode()


def repeated(inner: dict[str, object], times: int) -> bytes:
    """One definition, and many instances of it."""
    return json.dumps(
        {
            "nodes": [{"id": n, "type": "d"} for n in range(times)],
            "definitions": {"subgraphs": [{"id": "d", "nodes": [inner], "links": [], "inputs": []}]},
        }
    ).encode()


def fed(source: dict[str, object], target: dict[str, object], times: int) -> bytes:
    """One node whose output reaches many others."""
    targets = [
        {**target, "id": n, "inputs": [{"name": "x", "link": n, "widget": {"name": "x"}}]} for n in range(1, times)
    ]
    links = [[n, 0, 0, n, 0, "*"] for n in range(1, times)]
    return json.dumps({"nodes": [{"id": 0, **source}, *targets], "links": links}).encode()


def prompted(times: int) -> bytes:
    nodes = {str(n): {"class_type": "VAELoader", "inputs": {"vae_name": ["0", 0]}} for n in range(1, times)}
    source = {"class_type": "X", "inputs": {f"i{n}": "x" for n in range(100_000)}}
    return json.dumps({"0": source, **nodes}).encode()


def declaring(times: int) -> bytes:
    models = [{"name": f"{n}.pt"} for n in range(times)]
    values = [f"x{n}.pt" for n in range(times)]
    one = {"id": 1, "type": "SomebodysStack", "widgets_values": values, "properties": {"models": models}}
    return json.dumps({"nodes": [one], "models": models}).encode()


def tables(extents: int) -> bytes:
    """A picture whose table of items says that each lies in thousands of places of no size."""
    entries = b"".join(struct.pack(">HHH", 9, 0, extents) for _ in range(2000))
    iloc = containers.box(b"iloc", b"\0\0\0\0\0\0" + struct.pack(">H", 2000) + entries)
    infe = containers.box(b"infe", b"\2\0\0\0" + struct.pack(">HH4s", 2, 0, b"Exif") + b"\0")
    iinf = containers.box(b"iinf", b"\0\0\0\0" + struct.pack(">H", 1) + infe)
    return containers.box(b"ftyp", b"avif\0\0\0\0") + containers.box(b"meta", b"\0\0\0\0" + iinf + iloc)


def overlapping() -> bytes:
    """A picture whose thousand Exif values are all the same twenty megabytes."""
    entries = b"".join(struct.pack("<HHII", 0x0110, 2, 20 * MEGA, 8) for _ in range(1000))
    tiff = b"II*\0" + struct.pack("<I", 20 * MEGA) + b"prompt:{".ljust(20 * MEGA - 8, b" ")
    return containers.webp(tiff + struct.pack("<H", 1000) + entries)


def many_bombs() -> bytes:
    """A picture of a megabyte with thousands of prompts that each unpack to twenty."""
    body = b"prompt\0\1\0\0\0" + zlib.compress(b" " * 20 * MEGA, 9)
    return b"\x89PNG\r\n\x1a\n" + (struct.pack(">I", len(body)) + b"iTXt" + body + b"\0\0\0\0") * 2000


TEXT = "embedding:neg " * 70_000
LOADER = {"type": "SomebodysEncoder", "widgets_values": [""]}
ASTRAL = json.dumps(graph(node("X", ["a" * (20 * MEGA) + "\U0001f600"])), ensure_ascii=False)
WEBM = b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67\xff"

HOSTILE = {
    "unpacks to a thousand times its size": lambda: bomb(b" " * MEGA, 100),
    "unpacks to a million objects": lambda: bomb(b"[{}," * (MEGA // 4), 20),
    "claims a chunk of four gigabytes": lambda: b"\x89PNG\r\n\x1a\n\xff\xff\xff\xfftEXtworkflow\0{",
    "has empty chunks without end": lambda: b"\x89PNG\r\n\x1a\n" + b"\0\0\0\0junk\0\0\0\0" * 100_000,
    "has boxes within boxes": lambda: nested_boxes(2000),
    "has empty boxes without end": lambda: b"\0\0\0\x08ftyp" + b"\0\0\0\x08free" * 500_000,
    "has a box that ends before it begins": lambda: b"\0\0\0\x08ftyp\0\0\0\x01moov" + b"\0" * 8,
    "has elements of no size without end": lambda: WEBM + b"\xec\x80" * 500_000,
    "has clusters of unknown size without end": lambda: WEBM + b"\x1f\x43\xb6\x75\xff" * 200_000,
    "claims a billion comments": lambda: b"fLaC\x84\0\0\x0c" + struct.pack("<III", 0, 0xFFFFFFFF, 0),
    "has frames of no size without end": lambda: b"ID3\4\0\0\x7f\x7f\x7f\x7f" + b"TXXX\0\0\0\0\0\0" * 100_000,
    "has pages without end": lambda: (b"OggS" + b"\0" * 22 + b"\x01\xff" + b"x" * 255) * 20_000,
    "has metadata without end": lambda: b"<svg>" + b"<metadata><![CDATA[{}]]></metadata>" * 200_000,
    "has a header of tensors without end": lambda: struct.pack("<Q", 20 * MEGA) + b'{"a":[' + b"{}," * (7 * MEGA),
    "has a scene without end": lambda: b"glTF" + struct.pack("<IIII", 2, 99, 20 * MEGA, 0x4E4F534A) + b"[" * 20 * MEGA,
    "has subgraphs of subgraphs": lambda: doubling(60),
    "opens a million parentheses": lambda: texts("(" * MEGA + "embedding:neg"),
    "pairs half a million parentheses": lambda: texts("(" * (MEGA // 2) + "embedding:neg" + ")" * (MEGA // 2)),
    "names one embedding a hundred thousand times": lambda: texts("embedding:neg " * 100_000),
    "has tags that never end": lambda: texts("<lora:" * 150_000),
    "has a number of a million digits": lambda: b'{"nodes": [' + b"1" * MEGA + b"]}",
    "has settings that never end": lambda: containers.png([("parameters", "Steps: 1, " + 'a: "' * 200_000)]),
    "is one long string of wide characters": lambda: ASTRAL.encode(),
    "has thousands of loaders": lambda: many_loaders(20_000),
    "has thousands of inputs": lambda: many_inputs(20_000),
    "repeats a heavy subgraph": lambda: repeated(
        {"id": 1, "type": "LoraLoader", "widgets_values": ["a.pt"] * 50_000}, 20_000
    ),
    "repeats a long text": lambda: repeated({"id": 1, "type": "X", "widgets_values": [TEXT]}, 20_000),
    "feeds one long text to thousands": lambda: fed(
        {"type": "PrimitiveNode", "widgets_values": [TEXT]}, LOADER, 20_000
    ),
    "feeds from a node of many values": lambda: fed({"type": "X", "widgets_values": ["x"] * 200_000}, LOADER, 20_000),
    "feeds a prompt from a node of many values": lambda: prompted(20_000),
    "declares thousands of models": lambda: declaring(20_000),
    "has items in thousands of places": lambda: tables(65_535),
    "has overlapping values": overlapping,
    "has thousands of prompts to unpack": many_bombs,
}

READER = """
import sys, time
from pathlib import Path
from comfywatchman_core.errors import WorkflowError
from comfywatchman_core.workflow import read_workflow
for path in sorted(Path(sys.argv[1]).iterdir()):
    start = time.process_time()
    try:
        read_workflow(path)
        outcome = "read"
    except WorkflowError as error:
        outcome = "refused"
    status = Path("/proc/self/status")
    peak = 0
    if status.exists():
        peak = next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    print(int(path.name), outcome, time.process_time() - start, peak // 1024)
"""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, float, int]]:
    """All hostile files read one after the other by one process: outcome, seconds of work, peak in megabytes so far."""
    directory = tmp_path_factory.mktemp("hostile")
    for number, make in enumerate(HOSTILE.values()):
        (directory / f"{number:02}").write_bytes(make())
    done = subprocess.run([sys.executable, "-c", READER, str(directory)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    return {list(HOSTILE)[int(number)]: (what, float(took), int(peak)) for number, what, took, peak in lines}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_costs_little_time_and_memory(name: str, outcomes: dict[str, tuple[str, float, int]]) -> None:
    _, seconds, megabytes = outcomes[name]

    assert seconds < 20  # of work; what these files are made for takes hours
    assert megabytes < 300


def test_what_stands_before_the_damage_is_used() -> None:
    whole = containers.png([("prompt", json.dumps(PROMPT))])

    assert read(whole[: whole.index(b"IDAT")] + b"\xff\xff\xff\xfftEXt") == ["vae/ae.safetensors"]


@pytest.mark.parametrize("name", [name for name, _ in containers.every_kind({"prompt": PROMPT, "workflow": GRAPH})])
def test_a_file_cut_off_anywhere_is_read_or_refused(name: str) -> None:
    data = dict(containers.every_kind({"prompt": PROMPT, "workflow": GRAPH}))[name]

    for length in sorted({*range(0, min(len(data), 64)), *range(0, len(data), max(1, len(data) // 60))}):
        try:
            found = read(data[:length])
        except WorkflowError:
            continue
        assert set(found) <= {"vae/ae.safetensors", "embeddings/neg"}


@pytest.mark.parametrize("name", [name for name, _ in containers.every_kind({"prompt": PROMPT, "workflow": GRAPH})])
def test_a_file_with_broken_bytes_is_read_or_refused(name: str) -> None:
    data = dict(containers.every_kind({"prompt": PROMPT, "workflow": GRAPH}))[name]
    dice = random.Random(name)

    for _ in range(150):
        broken = bytearray(data)
        for _ in range(dice.choice((1, 1, 2, 8))):
            at = dice.randrange(len(broken))
            kind = dice.randrange(4)
            if kind == 0:
                broken[at] = dice.randrange(256)
            elif kind == 1:
                broken[at : at + 4] = struct.pack(
                    dice.choice("<>") + "I", dice.choice((0, 1, 8, 255, 2**31, 2**32 - 1))
                )
            elif kind == 2:
                del broken[at : at + dice.choice((1, 4, 100))]
            else:
                broken[at:at] = dice.randbytes(dice.choice((1, 4, 8)))
            broken = broken or bytearray(b"x")
        try:
            read(bytes(broken))
        except WorkflowError:
            continue


def test_reading_one_file_again_and_again_is_given_up() -> None:
    source = Source.of_bytes(b"x" * 100)

    def read_on() -> None:
        for _ in range(200_000):
            source.read(0, 10)

    with pytest.raises(Damaged, match="too much reading"):
        read_on()
