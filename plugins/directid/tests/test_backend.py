"""The back end: settings, the user's tables, and what is told of a table that cannot be used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from comfywatchman_directid import DirectIdBackend

from comfywatchman_core import BackendError, Candidate, Context, Match, ModelRequest

Lend = Callable[..., Context]
Write = Callable[..., Path]

MINE = {"name": "mine.safetensors", "folders": ["loras"], "source": "hf:me/r/mine.safetensors"}
REQUEST = ModelRequest(name="mine.safetensors", folder="loras")
OFFICIAL = ModelRequest(name="clip_l.safetensors", folder="text_encoders")


@pytest.fixture
def directid() -> DirectIdBackend:
    return DirectIdBackend()


def offered(directid: DirectIdBackend, request: ModelRequest, context: Context) -> list[Candidate]:
    return list(directid.resolve_model(request, context) or ())


def test_the_entry_point_is_a_back_end_that_is_asked_first() -> None:
    (found,) = entry_points(group="comfywatchman.backends", name="directid")

    backend = found.load()

    assert (backend.api_version, backend.priority) == (1, 90)


def test_importing_it_reads_no_table_and_nothing_heavy() -> None:
    code = (
        "import sys, comfywatchman_directid as d;"
        "heavy = ('requests', 'httpx', 'huggingface_hub', 'urllib3', 'sqlite3', 'argparse');"
        "print([m for m in heavy if m in sys.modules], d.backend._packaged)"
    )

    output = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout

    assert output.strip() == "[] None"


def test_what_is_packaged_is_known_without_settings_and_without_a_place_to_write(
    directid: DirectIdBackend, lend: Lend
) -> None:
    (offer,) = offered(directid, OFFICIAL, lend())

    assert (offer.match, offer.delegate) == (Match.SOURCE_ID, "huggingface")


def test_a_table_of_the_user_is_read(directid: DirectIdBackend, lend: Lend, write_table: Write) -> None:
    (offer,) = offered(directid, REQUEST, lend({"tables": [str(write_table(MINE))]}))

    assert offer.reference == "hf:me/r/mine.safetensors"


def test_one_path_need_not_be_a_list(directid: DirectIdBackend, lend: Lend, write_table: Write) -> None:
    assert offered(directid, REQUEST, lend({"tables": str(write_table(MINE))}))


def test_a_tilde_is_the_users_home(
    directid: DirectIdBackend, lend: Lend, write_table: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(write_table(MINE).parent))
    monkeypatch.setenv("USERPROFILE", str(write_table(MINE).parent))

    assert offered(directid, REQUEST, lend({"tables": ["~/mine.json"]}))


def test_the_first_table_that_knows_the_name_is_final(
    directid: DirectIdBackend, lend: Lend, write_table: Write
) -> None:
    first = write_table({**MINE, "source": "hf:first/r/mine.safetensors"}, name="first.json")
    second = write_table({**MINE, "source": "hf:second/r/mine.safetensors"}, name="second.json")

    found = offered(directid, REQUEST, lend({"tables": [str(first), str(second)]}))

    assert [offer.reference for offer in found] == ["hf:first/r/mine.safetensors"]


def test_a_changed_table_is_read_again(directid: DirectIdBackend, lend: Lend, write_table: Write) -> None:
    context = lend({"tables": [str(write_table())]})
    assert offered(directid, REQUEST, context) == []

    write_table(MINE)

    assert offered(directid, REQUEST, context)


def test_the_table_that_known_add_writes_needs_no_setting(
    directid: DirectIdBackend, lend: Lend, write_table: Write, tmp_path: Path
) -> None:
    write_table(MINE, name="known.json")

    assert offered(directid, REQUEST, lend(cache_dir=tmp_path))


class TestABrokenTable:
    def test_is_told_once_and_the_others_are_used(
        self, directid: DirectIdBackend, lend: Lend, write_table: Write, tmp_path: Path, told: list[Any]
    ) -> None:
        broken = tmp_path / "broken.json"
        broken.write_text('{"schema": "comfywatchman-known/1",\n "models": [,]}')
        context = lend({"tables": [str(broken), str(write_table(MINE))]})

        assert offered(directid, REQUEST, context)
        assert offered(directid, OFFICIAL, context)

        (warning,) = told
        assert f"{broken}: line 2" in warning.message

    def test_makes_not_found_a_failure_because_it_might_have_known(
        self, directid: DirectIdBackend, lend: Lend, tmp_path: Path
    ) -> None:
        context = lend({"tables": [str(tmp_path / "gone.json")]})

        with pytest.raises(BackendError, match=r"gone\.json: No such file") as caught:
            directid.resolve_model(REQUEST, context)
        assert caught.value.hint is not None

    def test_is_used_again_once_it_is_mended(
        self, directid: DirectIdBackend, lend: Lend, write_table: Write, tmp_path: Path
    ) -> None:
        context = lend({"tables": [str(tmp_path / "mine.json")]})
        with pytest.raises(BackendError):
            directid.resolve_model(REQUEST, context)

        write_table(MINE)

        assert offered(directid, REQUEST, context)

    @pytest.mark.parametrize("kind", ["directory", "pipe", "device", "huge"])
    def test_is_never_waited_for_and_never_read_without_end(
        self, directid: DirectIdBackend, lend: Lend, tmp_path: Path, kind: str
    ) -> None:
        path = tmp_path / "table.json"
        if kind == "directory":
            path.mkdir()
        elif kind == "pipe":
            os.mkfifo(path)
        elif kind == "device":
            path.symlink_to("/dev/zero")
        else:
            path.touch()
            os.truncate(path, 1 << 30)

        with pytest.raises(BackendError, match=r"table\.json"):
            directid.resolve_model(REQUEST, lend({"tables": [str(path)]}))

    @pytest.mark.parametrize(
        "settings",
        [
            {"tables": 5},
            {"tables": [5]},
            {"tables": [""]},
            {"learned": 5},
            {"learned": ""},
            # the current directory may be a stranger's workflow repository
            {"tables": ["mine.json"]},
            {"learned": "learned.json"},
        ],
    )
    def test_a_setting_that_makes_no_sense_is_named(
        self, directid: DirectIdBackend, lend: Lend, settings: dict[str, object]
    ) -> None:
        with pytest.raises(BackendError, match=rf"\[backends.directid\] {next(iter(settings))}"):
            directid.resolve_model(REQUEST, lend(settings))


class TestLearning:
    def learn(self, directid: DirectIdBackend, context: Context, **more: Any) -> None:
        candidate = Candidate(
            match=Match.FILENAME,
            url="https://huggingface.co/o/r/resolve/" + "c" * 40 + "/ink.safetensors",
            reference="hf:o/r/ink.safetensors@" + "c" * 40,
            name="ink.safetensors",
            backend="huggingface",
        )
        request = ModelRequest(name="styles/ink.safetensors", folder="loras", **more)
        directid.learn(request, candidate, "A" * 64, 4104, context)

    def test_what_was_verified_is_known_afterwards(self, directid: DirectIdBackend, lend: Lend, tmp_path: Path) -> None:
        context = lend(cache_dir=tmp_path)

        self.learn(directid, context)

        (offer,) = offered(DirectIdBackend(), ModelRequest(name="ink.safetensors", folder="loras"), context)
        assert offer.reference == "hf:o/r/ink.safetensors@" + "c" * 40
        assert (offer.sha256, offer.size) == ("a" * 64, 4104)

    def test_a_name_that_only_a_workflow_gave_stays_a_name(
        self, directid: DirectIdBackend, lend: Lend, tmp_path: Path
    ) -> None:
        self.learn(directid, lend(cache_dir=tmp_path))

        (offer,) = offered(directid, ModelRequest(name="ink.safetensors", folder="loras"), lend(cache_dir=tmp_path))

        assert (offer.match, offer.trusted) == (Match.FILENAME, False)

    def test_a_name_that_the_user_gave_is_certain(self, directid: DirectIdBackend, lend: Lend, tmp_path: Path) -> None:
        self.learn(directid, lend(cache_dir=tmp_path), explicit=True)

        (offer,) = offered(directid, ModelRequest(name="ink.safetensors", folder="loras"), lend(cache_dir=tmp_path))

        assert offer.match is Match.SOURCE_ID

    def test_the_setting_says_where_or_not_at_all(self, directid: DirectIdBackend, lend: Lend, tmp_path: Path) -> None:
        elsewhere = tmp_path / "deep" / "shared.json"

        self.learn(directid, lend({"learned": str(elsewhere)}))
        self.learn(directid, lend({"learned": False}, cache_dir=tmp_path / "state"))

        assert json.loads(elsewhere.read_bytes())["models"][0]["name"] == "ink.safetensors"
        assert not (tmp_path / "state").exists()

    def test_what_is_packaged_need_not_be_learned(self, directid: DirectIdBackend, lend: Lend, tmp_path: Path) -> None:
        row = next(row for row in directid.packaged().rows if row.sha256 and row.source.delegate == "huggingface")
        candidate = Candidate(match=Match.SOURCE_ID, url=row.source.url, reference=row.source.reference)

        directid.learn(
            ModelRequest(name=row.name, folder=row.folders[0]), candidate, row.sha256 or "", 5, lend(cache_dir=tmp_path)
        )

        assert list(tmp_path.iterdir()) == []

    def test_a_place_that_cannot_be_written_is_told_and_stops_nothing(
        self, directid: DirectIdBackend, lend: Lend, tmp_path: Path, told: list[Any]
    ) -> None:
        (tmp_path / "file").touch()

        self.learn(directid, lend(cache_dir=tmp_path / "file" / "below"))

        (warning,) = told
        assert "the learned table was not written" in warning.message

    def test_a_damaged_learned_table_is_told_and_stops_nothing(
        self, directid: DirectIdBackend, lend: Lend, tmp_path: Path, told: list[Any]
    ) -> None:
        (tmp_path / "learned.json").write_bytes(b"\0\1garbage")

        assert directid.resolve_model(REQUEST, lend(cache_dir=tmp_path)) == ()
        assert "learned.json: it is not JSON text" in told[0].message
