"""Which file names can be written below a models folder."""

from __future__ import annotations

import unicodedata
from pathlib import PurePosixPath

import pytest

from comfywatchman_core.errors import UnsafeName
from comfywatchman_core.models import ModelRequest
from comfywatchman_core.names import has_model_extension, safe_basename, safe_name, same_name_key

ATTACKS = [
    "../../x.safetensors",  # out of the folder
    "..\\..\\x.safetensors",  # the same on Windows
    "loras/../../x.safetensors",
    "/abs.safetensors",
    "\\abs.safetensors",
    "//server/share/x.safetensors",
    "\\\\server\\share\\x.safetensors",  # Windows would send the user's password hash there
    "C:x.safetensors",  # a drive
    "C:\\x.safetensors",
    "\\\\?\\C:\\x.safetensors",
    "x.safetensors:ads",  # a stream of NTFS
    "con.safetensors",  # devices, with any suffix
    "NUL",
    "aux.",
    "COM1.safetensors",
    "com¹.safetensors",  # superscript digits count as digits
    "lpt9.bin",
    "sub/prn.pt",
    "CONIN$",
    "con .safetensors",  # blanks before the suffix are dropped by Windows
    "",
    ".",
    "./x.safetensors",
    "a//x.safetensors",
    "a/",
    "a\0b.safetensors",
    "a\nb.safetensors",
    "a\x1b[2Jb.safetensors",  # clears the terminal
    "a\x7fb.safetensors",
    "a\u202ereverse.safetensors",  # shows the rest from right to left
    "a\u200bb.safetensors",  # looks like ab.safetensors
    "a\u2028b.safetensors",
    "a\ud800b.safetensors",  # no character at all
    "x.safetensors ",
    "x.safetensors.",
    " x.safetensors",
    "folder /x.safetensors",
    "x" * 300 + ".safetensors",
    "ü" * 130 + ".safetensors",  # 255 bytes is the limit, not 255 characters
    "/".join(["d" * 200] * 30),  # a path that is too long though no part is
]


@pytest.mark.parametrize("name", ATTACKS)
def test_a_name_that_could_leave_its_folder_or_be_no_file_is_refused(name: str) -> None:
    with pytest.raises(UnsafeName):
        safe_name(name)


@pytest.mark.parametrize("name", ATTACKS)
def test_no_request_can_be_built_with_such_a_name_or_folder(name: str) -> None:
    with pytest.raises(UnsafeName):
        ModelRequest(name=name, folder="loras")
    if name:  # an empty folder says that it is not known
        with pytest.raises(UnsafeName):
            ModelRequest(name="x.safetensors", folder=name)


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("ink.safetensors", "ink.safetensors"),
        ("SDXL/ink.safetensors", "SDXL/ink.safetensors"),
        ("SDXL\\ink.safetensors", "SDXL/ink.safetensors"),
        ("日本 語 (v1.0) [fp8] #1 100%.safetensors", "日本 語 (v1.0) [fp8] #1 100%.safetensors"),
        ("..ink.safetensors", "..ink.safetensors"),
        ("console.safetensors", "console.safetensors"),
        ("common/null.safetensors", "common/null.safetensors"),
        ("~/x.safetensors", "~/x.safetensors"),  # a folder called ~: nothing expands it
        ("-rf.safetensors", "-rf.safetensors"),
        ("$HOME.safetensors", "$HOME.safetensors"),
    ],
)
def test_an_ordinary_name_is_kept_as_the_workflow_spells_it(name: str, read: str) -> None:
    assert safe_name(name) == PurePosixPath(read)


def test_the_refusal_shows_the_name_escaped_and_says_what_to_do() -> None:
    with pytest.raises(UnsafeName) as caught:
        safe_name("evil\x1b]0;title\x07" + "x" * 5000)

    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 300
    assert caught.value.hint


@pytest.mark.parametrize("offered", ["../../x.safetensors", "C:\\temp\\x.safetensors", "/etc/x.safetensors"])
def test_of_a_name_that_a_server_proposes_only_the_last_part_counts(offered: str) -> None:
    assert safe_basename(offered) == PurePosixPath("x.safetensors")


@pytest.mark.parametrize("offered", ["..", "x/", "a/..", "con", "x:y"])
def test_a_proposed_name_is_held_to_the_same_rules(offered: str) -> None:
    with pytest.raises(UnsafeName):
        safe_basename(offered)


@pytest.mark.parametrize(
    ("name", "is_model"),
    [
        ("a.safetensors", True),
        ("a.SafeTensors", True),
        ("a/b.gguf", True),
        ("a.ckpt", True),
        ("a.py", False),
        ("a.pth.py", False),
        ("a.safetensors.exe", False),
        ("safetensors", False),
        (".safetensors", False),
        ("v1.5", False),
    ],
)
def test_only_files_that_end_like_models_are_written(name: str, is_model: bool) -> None:
    assert has_model_extension(name) is is_model


def test_spellings_of_one_name_compare_equal() -> None:
    composed = "Caf\u00e9\\INK.safetensors"
    decomposed = unicodedata.normalize("NFD", composed).replace("\\", "/").lower()

    assert same_name_key(composed) == same_name_key(decomposed)
    assert same_name_key("ink.safetensors") != same_name_key("ink2.safetensors")
