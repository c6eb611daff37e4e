"""The readers against files that other people's libraries wrote: the counterpart to the files made here by hand."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from standins import containers

from comfywatchman_core.workflow import read_workflow_bytes

GRAPH = {"nodes": [{"id": 4, "type": "VAELoader", "widgets_values": ["größe.safetensors"]}], "version": 0.4}
TEXT = json.dumps(GRAPH, ensure_ascii=False)


def names(data: bytes) -> list[str]:
    return [request.label for request in read_workflow_bytes(data, label="x").requests]


class TestPillow:
    def test_png_texts(self) -> None:
        image = pytest.importorskip("PIL.Image")
        info = pytest.importorskip("PIL.PngImagePlugin").PngInfo()
        info.add_text("prompt", "{}")
        info.add_itxt("workflow", TEXT, zip=True)

        assert names(saved(image.new("L", (8, 8)), "PNG", pnginfo=info)) == ["vae/größe.safetensors"]

    def test_the_own_chunk_of_animated_png(self) -> None:
        image = pytest.importorskip("PIL.Image")
        info = pytest.importorskip("PIL.PngImagePlugin").PngInfo()
        info.add(b"comf", b"workflow\0" + json.dumps(GRAPH).encode("latin-1"), after_idat=True)
        frames = [image.new("L", (8, 8), shade) for shade in (0, 200)]

        data = saved(frames[0], "PNG", pnginfo=info, save_all=True, append_images=frames[1:])

        assert names(data) == ["vae/größe.safetensors"]

    @pytest.mark.parametrize("kind", ["WEBP", "AVIF"])
    def test_exif_of_webp_and_avif(self, kind: str) -> None:
        image = pytest.importorskip("PIL.Image")
        if kind not in image.registered_extensions().values():
            pytest.skip(f"this Pillow writes no {kind}")
        picture = image.new("RGB", (8, 8))
        exif = picture.getexif()
        exif[0x010F] = f"workflow:{json.dumps(GRAPH)}"
        exif[0x0110] = "prompt:{}"

        assert names(saved(picture, kind, exif=exif.tobytes())) == ["vae/größe.safetensors"]


class TestMutagen:
    def test_id3_texts(self, tmp_path: Path) -> None:
        id3 = pytest.importorskip("mutagen.id3")
        path = tmp_path / "song.mp3"
        path.write_bytes(b"")
        tag = id3.ID3()
        tag.add(id3.TXXX(encoding=3, desc="workflow", text=[TEXT]))
        tag.save(path)

        assert names(path.read_bytes()) == ["vae/größe.safetensors"]

    def test_comments_of_flac(self, tmp_path: Path) -> None:
        flac = pytest.importorskip("mutagen.flac")
        path = tmp_path / "song.flac"
        path.write_bytes(containers.flac([]))
        song = flac.FLAC(path)
        song["workflow"] = TEXT
        song.save()

        assert names(path.read_bytes()) == ["vae/größe.safetensors"]

    def test_comments_of_opus_over_many_pages(self, tmp_path: Path) -> None:
        opus = pytest.importorskip("mutagen.oggopus")
        path = tmp_path / "song.opus"
        path.write_bytes(opus_skeleton())
        song = opus.OggOpus(path)
        song["padding"] = "x" * 300_000
        song["workflow"] = TEXT
        song.save()

        assert names(path.read_bytes()) == ["vae/größe.safetensors"]

    def test_the_comment_of_a_film(self, tmp_path: Path) -> None:
        mp4 = pytest.importorskip("mutagen.mp4")
        path = tmp_path / "film.mp4"
        path.write_bytes(containers.mp4_comment("old"))
        tags = mp4.MP4Tags()
        tags["\xa9cmt"] = json.dumps({"prompt": "{}", "workflow": GRAPH})
        tags.save(path)

        assert names(path.read_bytes()) == ["vae/größe.safetensors"]


class TestFfmpeg:
    """Through PyAV, which is what ComfyUI saves sounds and films with; where it is installed."""

    @pytest.mark.parametrize(
        ("suffix", "codec", "options"),
        [
            ("mp4", "mpeg4", {"movflags": "use_metadata_tags"}),
            ("mov", "mpeg4", {"movflags": "use_metadata_tags"}),
            ("webm", "libvpx-vp9", {}),
            ("mkv", "mpeg4", {}),
            ("flac", "flac", {}),
            ("mp3", "libmp3lame", {}),
            ("opus", "libopus", {}),
        ],
    )
    def test_named_texts_of_sounds_and_films(
        self, suffix: str, codec: str, options: dict[str, str], tmp_path: Path
    ) -> None:
        av = pytest.importorskip("av")
        path = tmp_path / f"made.{suffix}"
        with av.open(str(path), "w", options=options) as container:
            container.metadata["prompt"] = "{}"
            container.metadata["workflow"] = TEXT
            stream = container.add_stream(codec, rate=48000 if suffix in ("flac", "mp3", "opus") else 24)
            write_something(av, container, stream)

        assert names(path.read_bytes()) == ["vae/größe.safetensors"]


def saved(picture: Any, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def opus_skeleton() -> bytes:
    """An Opus stream that mutagen accepts: checksums, a first and a last page."""
    ogg = pytest.importorskip("mutagen.ogg")
    head = b"OpusHead" + bytes([1, 1]) + b"\0\0" + (48000).to_bytes(4, "little") + b"\0\0\0"
    pages = []
    for number, packet in enumerate([head, b"OpusTags" + containers.vorbis_comments([]), b"sound"]):
        page = ogg.OggPage()
        page.packets, page.sequence, page.serial, page.position = [packet], number, 1, 0
        page.first, page.last = number == 0, number == 2
        pages.append(page.write())
    return b"".join(pages)


def write_something(av: Any, container: Any, stream: Any) -> None:
    if stream.type == "video":
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        frames = [av.VideoFrame(64, 64, "yuv420p")]
    else:
        stream.layout = "mono"
        formats = stream.codec_context.codec.audio_formats
        frames = [av.AudioFrame(format=formats[0].name, layout="mono", samples=stream.codec_context.frame_size or 1152)]
        frames[0].sample_rate = 48000
    for frame in [*frames, None]:
        for packet in stream.encode(frame):
            container.mux(packet)
