"""`comfywatchman known add|list|remove|check`: every row is confirmed by its source before it is written."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from comfywatchman_directid import DirectIdBackend
from comfywatchman_directid.checking import State, compare, looking_at_addresses
from comfywatchman_directid.documents import parse_document
from comfywatchman_directid.known import add, check, remove
from comfywatchman_directid.rows import KnownModel
from comfywatchman_directid.sources import CivitaiFile, HubFile, identify

from comfywatchman_core import BackendError, Candidate, Context, Digest, Match, ModelRequest, errors

TODAY = datetime.date(2026, 11, 22)
ONE, TWO = "1" * 64, "2" * 64
COMMIT = "c" * 40
HUB = HubFile(repository="o/r", path="d/ink.safetensors")


class Source:
    """A source that states what a test says, and remembers what it was asked."""

    def __init__(self, *answers: Candidate | BackendError) -> None:
        self.answers = answers
        self.asked: list[ModelRequest] = []

    def __call__(self, request: ModelRequest) -> Sequence[Candidate]:
        self.asked.append(request)
        for answer in self.answers:
            if isinstance(answer, BackendError):
                raise answer
        return [answer for answer in self.answers if isinstance(answer, Candidate)]


def stated(reference: str = f"hf:o/r/d/ink.safetensors@{COMMIT}", sha256: str = ONE, **more: Any) -> Candidate:
    known: dict[str, Any] = {"match": Match.SOURCE_ID, "size": 4104, "name": "ink.safetensors", "folder": "loras"}
    digests = (Digest("sha256", sha256),) if sha256 else ()
    return Candidate(url="https://huggingface.co/x", reference=reference, digests=digests, **{**known, **more})


def rows(path: Path) -> tuple[KnownModel, ...]:
    return parse_document(path.read_bytes(), str(path))[1]


class TestAdd:
    def test_writes_what_the_source_confirms(self, tmp_path: Path) -> None:
        path = tmp_path / "known.json"

        row = add(path, "https://huggingface.co/o/r/blob/main/d/ink.safetensors", ask=Source(stated()), today=TODAY)

        assert rows(path) == (row,)
        assert row == KnownModel(
            name="ink.safetensors",
            folders=("loras",),
            source=HubFile(repository="o/r", path="d/ink.safetensors", commit=COMMIT),
            sha256=ONE,
            size=4104,
            seen_in=("the user",),
            checked="2026-11-22",
        )

    def test_takes_an_air_and_learns_the_files_id(self, tmp_path: Path) -> None:
        source = Source(stated("civitai:4@5+6"))

        row = add(tmp_path / "known.json", "urn:air:sdxl:lora:civitai:4@5", ask=source, today=TODAY)

        assert row.source == CivitaiFile(model=4, version=5, file=6)
        assert source.asked[0].reference == "urn:air:sdxl:lora:civitai:4@5"

    def test_the_users_name_and_folder_count(self, tmp_path: Path) -> None:
        row = add(
            tmp_path / "known.json", HUB.reference, ask=Source(stated()), today=TODAY, name="pen.safetensors",
            folder="unet",
        )  # fmt: skip

        assert (row.name, row.folders) == ("pen.safetensors", ("diffusion_models",))

    def test_a_row_of_the_same_name_and_folder_is_replaced(self, tmp_path: Path) -> None:
        path = tmp_path / "known.json"
        add(path, HUB.reference, ask=Source(stated()), today=TODAY)

        add(path, "hf:other/r/ink.safetensors", ask=Source(stated("hf:other/r/ink.safetensors")), today=TODAY)

        assert [row.source.key for row in rows(path)] == [("huggingface", "other/r", "ink.safetensors")]

    @pytest.mark.parametrize(
        ("reference", "source", "options", "told"),
        [
            ("somewhere", Source(stated()), {}, "names no single file"),
            ("http://example.org/x.safetensors", Source(stated()), {}, "names no single file"),
            (HUB.reference, Source(), {}, "no source confirms"),
            (HUB.reference, Source(stated(match=Match.FILENAME)), {}, "no source confirms"),
            (HUB.reference, Source(BackendError("it is gone")), {}, "it is gone"),
            (
                HUB.reference,
                Source(stated(sha256="", obstacle=errors.Failure(code=errors.ErrorCode.NOT_FOUND, message="no file"))),
                {},
                "no file",
            ),
            (HUB.reference, Source(stated()), {"sha256": TWO}, "its source states sha256 1111"),
            (HUB.reference, Source(stated()), {"sha256": "zzz"}, "no SHA256"),
            (HUB.reference, Source(stated(sha256="")), {"sha256": "zzz"}, "no SHA256"),
            (HUB.reference, Source(stated(folder="")), {}, "which folder is meant"),
            ("civitai:4@5", Source(stated(name="")), {}, "which name is meant"),
        ],
    )
    def test_what_is_not_confirmed_is_not_written(
        self, tmp_path: Path, reference: str, source: Source, options: dict[str, str], told: str
    ) -> None:
        path = tmp_path / "known.json"

        with pytest.raises(BackendError, match=told):
            add(path, reference, ask=source, today=TODAY, **options)

        assert not path.exists()

    @pytest.mark.parametrize("name", ["../x.safetensors", "a/b.safetensors", "con.safetensors"])
    def test_an_unsafe_name_is_not_written(self, tmp_path: Path, name: str) -> None:
        with pytest.raises((BackendError, errors.UnsafeName)):
            add(tmp_path / "known.json", HUB.reference, ask=Source(stated()), today=TODAY, name=name)

        assert not (tmp_path / "known.json").exists()

    def test_a_name_of_the_source_keeps_its_last_part_only(self, tmp_path: Path) -> None:
        row = add(
            tmp_path / "known.json", "civitai:4@5", ask=Source(stated("civitai:4@5", name="../x.pt")), today=TODAY
        )

        assert row.name == "x.pt"


class TestAPlainAddress:
    """It is nobody's back end: the address itself is looked at before it counts as confirmed."""

    URL = "https://example.org/d/ink.safetensors"

    class Web:
        """Answers every request alike, as the core's client would hand it over."""

        def __init__(self, status: int = 200, **headers: str) -> None:
            self.status = status
            self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
            self.asked: list[tuple[str, str]] = []

        def request(self, method: str, url: str, **options: object) -> Any:
            self.asked.append((method, url))
            return self

        def error(self) -> BackendError:
            return BackendError(f"answered {self.status}", http_status=self.status)

    def add(self, lend: Callable[..., Context], path: Path, web: Any, reference: str = URL) -> KnownModel:
        ask = looking_at_addresses(Source(), evolve(lend(), http=web))
        return add(path, reference, ask=ask, today=TODAY, folder="loras")

    def test_that_answers_with_a_file_is_added(self, lend: Callable[..., Context], tmp_path: Path) -> None:
        web = self.Web(content_type="application/octet-stream", content_length="4104")

        row = self.add(lend, tmp_path / "known.json", web)

        assert web.asked == [("HEAD", self.URL)]
        assert (row.name, row.size, row.sha256, row.source.url) == ("ink.safetensors", 4104, None, self.URL)

    def test_brings_its_digest_as_pip_would_write_it(self, lend: Callable[..., Context], tmp_path: Path) -> None:
        row = self.add(lend, tmp_path / "known.json", self.Web(), f"{self.URL}#sha256={ONE}")

        assert (row.sha256, row.source.url) == (ONE, self.URL)

    @pytest.mark.parametrize(
        ("web", "reason"),
        [(Web(404), "answered 404"), (Web(content_type="text/html; charset=utf-8"), "not with a file")],
    )
    def test_that_answers_otherwise_is_not(
        self, lend: Callable[..., Context], tmp_path: Path, web: Any, reason: str
    ) -> None:
        with pytest.raises(BackendError, match=reason):
            self.add(lend, tmp_path / "known.json", web)

        assert not (tmp_path / "known.json").exists()

    def test_leaves_every_other_reference_to_its_back_end(self, lend: Callable[..., Context]) -> None:
        source = Source(stated())

        assert looking_at_addresses(source, lend())(ModelRequest(reference=HUB.reference)) == [stated()]


class TestRemove:
    @pytest.mark.parametrize("pattern", ["ink.safetensors", "loras/INK.safetensors", "loras/*", "*"])
    def test_takes_out_what_is_meant(self, tmp_path: Path, pattern: str) -> None:
        path = tmp_path / "known.json"
        add(path, HUB.reference, ask=Source(stated()), today=TODAY)

        assert [row.name for row in remove(path, pattern)] == ["ink.safetensors"]
        assert rows(path) == ()

    def test_leaves_a_table_alone_that_has_nothing_of_it(self, tmp_path: Path) -> None:
        assert remove(tmp_path / "known.json", "vae/*") == ()
        assert not (tmp_path / "known.json").exists()


class TestCheck:
    def row(self, sha256: str | None = ONE, **more: Any) -> KnownModel:
        known: dict[str, Any] = {"source": HUB, "size": 4104}
        return KnownModel(name="ink.safetensors", folders=("loras",), sha256=sha256, **{**known, **more})

    @pytest.mark.parametrize(
        ("known", "answer", "state"),
        [
            (ONE, stated("hf:o/r/d/ink.safetensors"), State.SAME),
            (ONE, stated(), State.FILLED),  # the commit is news
            (None, stated(), State.FILLED),
            (TWO, stated(), State.CHANGED),
            (ONE, stated(f"hf:new/r/d/ink.safetensors@{COMMIT}"), State.MOVED),
            (ONE, stated(sha256=""), State.UNKNOWN),
            (ONE, BackendError("no file", code="not_found"), State.GONE),
            (ONE, BackendError("silence", code="network"), State.UNASKED),
            (ONE, stated(match=Match.FUZZY), State.GONE),
            (
                ONE,
                stated(sha256="", obstacle=errors.Failure(code=errors.ErrorCode.NOT_FOUND, message="no such file")),
                State.GONE,
            ),
            (
                ONE,
                stated(sha256="", obstacle=errors.Failure(code=errors.ErrorCode.GATED, message="licence")),
                State.UNASKED,
            ),
        ],
    )
    def test_says_what_became_of_a_file(
        self, known: str | None, answer: Candidate | BackendError, state: State
    ) -> None:
        assert compare(self.row(known), Source(answer), TODAY).state is state

    def test_asks_where_the_file_is_now_and_not_for_what_was_seen(self) -> None:
        source = Source(stated())

        compare(self.row(source=HubFile(repository="o/r", path="d/ink.safetensors", commit=COMMIT)), source, TODAY)

        assert source.asked[0].reference == "hf:o/r/d/ink.safetensors"
        assert source.asked[0].digests == ()

    def test_one_file_in_two_folders_stays_in_both(self, tmp_path: Path) -> None:
        path = tmp_path / "known.json"
        for folder in ("checkpoints", "diffusion_models"):
            add(path, HUB.reference, ask=Source(stated(sha256="")), today=TODAY, folder=folder)

        check(path, ask=Source(stated()), today=TODAY, write=True)

        assert [(row.folders, row.sha256) for row in rows(path)] == [
            (("checkpoints",), ONE),
            (("diffusion_models",), ONE),
        ]

    def test_fills_in_and_never_overwrites(self, tmp_path: Path) -> None:
        path = tmp_path / "known.json"
        add(path, HUB.reference, ask=Source(stated(sha256="")), today=TODAY)

        check(path, ask=Source(stated()), today=TODAY, write=True)
        assert rows(path)[0].sha256 == ONE

        (finding,) = check(path, ask=Source(stated(sha256=TWO)), today=TODAY, write=True)
        assert finding.state is State.CHANGED
        assert rows(path)[0].sha256 == ONE


class TestTheCommand:
    @pytest.fixture
    def run(self, lend: Callable[..., Context], tmp_path: Path) -> Callable[..., tuple[int, list[str]]]:
        def known(*words: str, source: Source | None = None, **settings: object) -> tuple[int, list[str]]:
            lines: list[str] = []
            context = lend(settings, cache_dir=tmp_path / "state")
            code = DirectIdBackend().known(
                words, context, source or Source(stated()), lambda line, facts: lines.append(line)
            )
            return code, lines

        return known

    def test_adds_lists_checks_and_removes(self, run: Callable[..., tuple[int, list[str]]], tmp_path: Path) -> None:
        path = tmp_path / "state" / "known.json"

        assert run("add", HUB.reference) == (
            0,
            [f"added loras/ink.safetensors  hf:o/r/d/ink.safetensors@{COMMIT}  to {path}"],
        )
        code, lines = run("list")
        assert (code, lines) == (
            0,
            [f"loras/ink.safetensors  hf:o/r/d/ink.safetensors@{COMMIT}  sha256 {ONE[:8]}…  [{path}]"],
        )
        assert run("check") == (0, [f"same     loras/ink.safetensors  hf:o/r/d/ink.safetensors@{COMMIT}"])
        assert run("remove", "loras/ink.safetensors")[0] == 0
        assert run("list") == (0, [])

    def test_works_on_the_first_table_of_the_settings(
        self, run: Callable[..., tuple[int, list[str]]], tmp_path: Path
    ) -> None:
        first = tmp_path / "first.json"
        first.write_text('{"schema": "comfywatchman-known/1", "models": []}')

        run("add", HUB.reference, tables=[str(first)])

        assert len(rows(first)) == 1

    def test_a_named_table_counts_more(self, run: Callable[..., tuple[int, list[str]]], tmp_path: Path) -> None:
        run("add", HUB.reference, "--table", str(tmp_path / "other.json"))

        assert len(rows(tmp_path / "other.json")) == 1

    def test_lists_the_packaged_table_when_asked(self, run: Callable[..., tuple[int, list[str]]]) -> None:
        code, lines = run("list", "--all", "vae/ae.safetensors")

        assert code == 0
        assert any("hf:Comfy-Org/z_image_turbo" in line and "[packaged" in line for line in lines)

    @pytest.mark.parametrize(
        ("source", "code"),
        [
            (Source(stated(sha256=TWO)), 7),
            (Source(BackendError("no file", code="not_found")), 4),
            (Source(BackendError("silence", code="network")), 5),
        ],
    )
    def test_says_by_its_exit_code_what_a_check_found(
        self, run: Callable[..., tuple[int, list[str]]], source: Source, code: int
    ) -> None:
        run("add", HUB.reference)

        assert run("check", source=source)[0] == code

    def test_finding_nothing_is_exit_code_4(self, run: Callable[..., tuple[int, list[str]]]) -> None:
        assert run("remove", "vae/none.safetensors") == (4, [])
        assert run("list", "vae/none.safetensors") == (4, [])

    @pytest.mark.parametrize("words", [[], ["add"], ["burn"], ["list", "--colour"]])
    def test_words_that_make_no_sense_are_a_usage_error(
        self, run: Callable[..., tuple[int, list[str]]], words: list[str]
    ) -> None:
        with pytest.raises(errors.UsageError):
            run(*words)

    def test_a_table_that_cannot_be_written_is_told(
        self, run: Callable[..., tuple[int, list[str]]], tmp_path: Path
    ) -> None:
        (tmp_path / "file").touch()

        with pytest.raises(BackendError, match=r"file/known\.json"):
            run("add", HUB.reference, "--table", str(tmp_path / "file" / "known.json"))

    def test_a_broken_table_is_told_before_anything_is_written(
        self, run: Callable[..., tuple[int, list[str]]], tmp_path: Path
    ) -> None:
        broken = tmp_path / "broken.json"
        broken.write_text("{")

        with pytest.raises(BackendError, match=r"broken\.json: line 1"):
            run("add", HUB.reference, tables=[str(broken)])
        assert broken.read_text() == "{"


def test_a_reference_of_the_hub_is_read_as_the_file_that_the_tests_mean() -> None:
    assert identify(HUB.reference) == HUB
