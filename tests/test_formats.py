"""Whether a file can be what its name says."""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comfywatchman_core.formats import defect, foreign_start
from comfywatchman_core.testing import safetensors

Told = Callable[..., Any]

GOOD = safetensors("a")
LOGIN = b"<!DOCTYPE html><html><head><title>Sign in</title></head></html>"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 5\n"


def header(document: object, data: bytes = b"") -> bytes:
    """A safetensors file with *document* as its header."""
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    return struct.pack("<Q", len(text)) + text + data


def zipped(content: bytes = b"x" * 5000) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", content)
    return buffer.getvalue()


def gguf(version: int = 3, tensors: int = 2, pairs: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, pairs) + b"\0" * 100


@pytest.fixture
def told(tmp_path: Path) -> Told:
    """Say the defect of a file with these bytes, under this name."""

    def told(data: bytes, name: str = "a.safetensors") -> str | None:
        path = tmp_path / "part"
        path.write_bytes(data)
        return defect(path, name)

    return told


class TestSafetensors:
    def test_a_whole_file_has_no_defect(self, told: Told) -> None:
        assert told(GOOD) is None
        assert told(GOOD, "a.SFT") is None

    def test_a_file_without_tensors_has_none_either(self, told: Told) -> None:
        assert told(header({"__metadata__": {"x": "y"}})) is None

    @pytest.mark.parametrize("kept", [1, 9, 40, len(GOOD) // 2, len(GOOD) - 1])
    def test_a_cut_file_is_told(self, told: Told, kept: int) -> None:
        assert told(GOOD[:kept])

    def test_a_file_with_something_behind_it_is_told(self, told: Told) -> None:
        assert "longer than its header says" in told(GOOD + b"x")

    def test_the_lengths_are_in_the_reason(self, told: Told) -> None:
        reason = told(GOOD[:-100])

        assert str(len(GOOD)) in reason
        assert str(len(GOOD) - 100) in reason

    @pytest.mark.parametrize("length", [0, 1, 2**63, 2**64 - 1, 100_000_001])
    def test_an_impossible_header_length_is_told_without_reading_that_much(self, told: Told, length: int) -> None:
        assert told(struct.pack("<Q", length) + b'{"a":1}' + b" " * 200)

    @pytest.mark.parametrize(
        "document",
        [
            b"[]",
            b"{",
            b'{"a": 1}',
            b'{"a": {}}',
            b'{"a": {"data_offsets": []}}',
            b'{"a": {"data_offsets": [0, "x"]}}',
            b'{"a": {"data_offsets": [0, null]}}',
            b'{"a": {"data_offsets": [0, 1e999]}}',  # infinite
            b'{"a": {"data_offsets": [0, NaN]}}',
            b'{"a": {"data_offsets": [0, -5]}}',
            b'{"a": {"data_offsets": [0, ' + b"9" * 5000 + b"]}}",
            b'{"a": ' + b"[" * 20_000,
            b"{\xff\xfe}",
        ],
    )
    def test_a_header_written_by_an_attacker_is_a_defect_and_no_crash(self, told: Told, document: bytes) -> None:
        assert told(header(document, b"\0" * 16))

    def test_a_huge_header_is_judged_by_its_offsets_alone(self, told: Told) -> None:
        document = {
            "__metadata__": {"x": "y" * (17 << 20)},
            "w": {"dtype": "F16", "shape": [4], "data_offsets": [0, 8]},
        }

        assert told(header(document, b"\0" * 8)) is None
        assert "longer" in told(header(document, b"\0" * 9))

    def test_offsets_in_a_huge_header_may_have_any_number_of_digits(self, told: Told) -> None:
        text = b'{"w": {"data_offsets": [0, ' + b"9" * 5000 + b"]}}" + b" " * (17 << 20)

        assert told(header(text, b"\0" * 8))

    @given(st.binary(max_size=300))
    @settings(max_examples=50, deadline=None)
    def test_no_bytes_at_all_are_a_crash(self, data: bytes) -> None:
        import tempfile

        with tempfile.NamedTemporaryFile() as file:
            file.write(data)
            file.flush()
            for name in ("a.safetensors", "a.gguf", "a.pt", "a.onnx"):
                reason = defect(Path(file.name), name)
                assert reason is None or reason


class TestOtherFormats:
    def test_an_empty_file_is_told_whatever_its_name(self, told: Told) -> None:
        assert told(b"", "a.onnx") == "is empty"

    @pytest.mark.parametrize("name", ["a.safetensors", "a.gguf", "a.pt", "a.bin", "a.onnx"])
    @pytest.mark.parametrize(
        ("data", "what"),
        [
            (LOGIN, "web page"),
            (b"\xef\xbb\xbf\n  " + LOGIN, "web page"),
            (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "XML"),
            (POINTER, "Git LFS pointer"),
            (b'{"error": "Unauthorized"}', "JSON"),
            (b' {\n "message": "x"}', "JSON"),
        ],
    )
    def test_what_a_server_sends_instead_of_a_model_is_named(
        self, told: Told, data: bytes, what: str, name: str
    ) -> None:
        assert what in told(data, name)

    def test_a_json_document_is_no_pickle(self, told: Told) -> None:
        assert told(json.dumps({"anything": list(range(100))}).encode(), "a.bin") == "is a JSON document"

    def test_a_gguf_file_is_told_by_its_first_bytes_and_read_no_further(self, told: Told) -> None:
        assert told(gguf(), "a.gguf") is None
        assert told(gguf(version=9), "a.gguf")
        assert told(gguf(tensors=2**60), "a.gguf")
        assert told(gguf(pairs=2**60), "a.gguf")
        assert told(b"GGUF", "a.gguf")
        assert told(GOOD, "a.gguf")

    def test_a_cut_archive_is_told(self, told: Told) -> None:
        assert told(zipped(), "a.pt") is None
        assert "cut off" in told(zipped()[:-60], "a.pt")

    def test_a_pickle_is_neither_loaded_nor_refused_here(self, told: Told) -> None:
        class Bomb:
            def __reduce__(self) -> tuple[object, tuple[object, ...]]:
                return (exec, ("raise SystemExit('a pickle was loaded')",))

        assert told(pickle.dumps(Bomb()), "a.ckpt") is None

    def test_a_format_without_a_header_is_only_held_to_not_being_something_else(self, told: Told) -> None:
        assert told(b"\x08\x07\x12\x04onnx", "a.onnx") is None

    def test_without_a_name_the_path_says_the_format(self, tmp_path: Path) -> None:
        path = tmp_path / "x.safetensors"
        path.write_bytes(GOOD[:-1])

        assert defect(path)

    def test_a_file_that_cannot_be_read_is_the_callers_matter(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            defect(tmp_path / "nothing.safetensors")


def test_a_model_does_not_begin_like_anything_else() -> None:
    for data in (GOOD, gguf(), zipped(), pickle.dumps({"a": 1}), b"\x08\x07", b""):
        assert foreign_start(data[:512]) is None
