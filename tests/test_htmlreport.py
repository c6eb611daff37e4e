"""The page of a run: what it shows, that nothing in it can do anything, and how a browser takes it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from comfywatchman_core.errors import ErrorCode, Failure, UsageError
from comfywatchman_core.htmlreport import page, write_page
from comfywatchman_core.jsonlines import result_line
from comfywatchman_core.models import (
    Attempt,
    Candidate,
    Check,
    Match,
    ModelRequest,
    NodeRef,
    Outcome,
    VerificationReport,
)
from comfywatchman_core.report import Entry, ExitCode, Problem, Report, Status

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def wanted(name: str, *workflows: str, folder: str = "loras") -> ModelRequest:
    nodes = [NodeRef(workflow=one, node="3", node_class="Loader", input="name") for one in workflows]
    return ModelRequest(name=name, folder=folder, wanted_by=tuple(nodes))


VERIFIED = VerificationReport((Check("sha256", True, cryptographic=True),))
OFFER = Candidate(match=Match.DIGEST, url="https://storage.example/ink", backend="huggingface")
CAME = Entry(
    request=wanted("ink.safetensors", "flux.json", "portrait.json"),
    status=Status.DOWNLOADED,
    path=Path("/models/loras/ink.safetensors"),
    backend="directid",
    candidate=OFFER,
    size=2_000_000_000,
    sha256="ab" * 32,
    verification=VERIFIED,
    seconds=20.0,
    attempts=(Attempt(hook="resolve_model", backend="directid", outcome=Outcome.ANSWERED, seconds=0.01, offers=1),),
)
THERE = Entry(
    request=wanted("ae.safetensors", "flux.json", folder="vae"),
    status=Status.PRESENT,
    path=Path("/models/vae/ae.safetensors"),
    size=500_000_000,
)
FAILED = Entry(
    request=wanted("harbour.safetensors", "portrait.json"),
    status=Status.FAILED,
    error=Failure(
        code=ErrorCode.AMBIGUOUS,
        message="loras/harbour.safetensors: different files have this name",
        hint="Choose one: `comfywatchman get civitai:1@2 --folder loras`.",
    ),
    candidates=(evolve(OFFER, reference="civitai:1@2", name="harbour.safetensors", notes=("SDXL, v1",)),),
)
REPORT = Report(
    entries=(CAME, THERE, FAILED),
    problems=(Problem(about="x.json", message="x.json is not JSON", hint="Export it again."),),
    workflows=2,
    transferred=2_000_000_000,
)


class Read(HTMLParser):
    """What a browser makes of a page: elements with their attributes, and the text of each."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def read(report: Report) -> Read:
    return Read(page(result_line(report)))


def strings(value: Any) -> Iterator[str]:
    """Every string in a JSON value that a reader may want to see."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner)


def test_it_shows_of_every_file_what_json_tells() -> None:
    text = read(REPORT).text

    for one in result_line(REPORT)["files"]:
        shown = (one["name"], one["path"], one["url"], one["sha256"], one["status"], *one["workflows"])
        assert [value for value in shown if value and value not in text] == []
    assert "verified: a published checksum agrees" in text
    assert "2.0 GB" in text
    assert "100 MB/s" in text
    assert "0:20" in text or "20 s" in text
    assert "different files have this name" in text
    assert "civitai:1@2" in text
    assert "x.json is not JSON" in text


def test_it_says_what_each_workflow_needs_those_that_lack_something_first() -> None:
    text = read(REPORT).text

    assert text.index("portrait.json 1 of 2 files there") < text.index("flux.json 2 of 2 files there")


def test_a_line_of_a_workflow_leads_to_the_file() -> None:
    found = read(REPORT)

    ids = [str(one["id"]) for _, one in found.elements if "id" in one]
    targets = [str(one["href"])[1:] for one in found.of("a") if str(one["href"]).startswith("#")]
    assert len(ids) == len(set(ids)) == 3
    assert set(targets) == set(ids)


def test_a_command_in_a_hint_is_code_by_itself() -> None:
    assert "<code>comfywatchman get civitai:1@2 --folder loras</code>" in page(result_line(REPORT))


@pytest.mark.parametrize(
    ("report", "title"),
    [
        (REPORT, "1 of 3 files could not be had"),
        (Report(entries=(THERE,), workflows=1), "Everything needed is there"),
        (Report(entries=(evolve(THERE, status=Status.MISSING),)), "1 of 1 file is missing"),
        (Report(entries=(evolve(CAME, status=Status.PLANNED),)), "1 file would be downloaded"),
        (evolve(REPORT, interrupted=ExitCode.INTERRUPTED), "Stopped before it was complete"),
    ],
)
def test_the_title_says_how_it_ended(report: Report, title: str) -> None:
    assert f"<title>comfywatchman: {title}</title>" in page(result_line(report))


def test_an_unanswered_question_is_not_called_not_found() -> None:
    error = Failure(code=ErrorCode.UNAVAILABLE, message="a source could not be asked")
    text = read(Report(entries=(evolve(FAILED, error=error, candidates=()),))).text

    assert "not found" not in text.lower()


HOSTILE = "<script>document.title='x'</script><img src=x onerror=alert(1)>\"'&amp;`</style></title>"


def hostile(value: Any) -> Any:
    """*value* with every string in it made an attack; numbers and booleans stay."""
    if isinstance(value, str):
        return HOSTILE
    if isinstance(value, dict):
        return {key: hostile(inner) for key, inner in value.items()}
    return [hostile(inner) for inner in value] if isinstance(value, list) else value


def test_whatever_a_value_is_it_stays_text() -> None:
    clean, attacked = page(result_line(REPORT)), page(hostile(result_line(REPORT)), written=HOSTILE)
    allowed = {tag for tag, _ in Read(clean).elements}

    found = Read(attacked)
    assert {tag for tag, _ in found.elements} <= allowed
    assert found.of("script") == found.of("img") == []
    assert not [name for _, attributes in found.elements for name in attributes if name.startswith("on")]
    assert HOSTILE.split("`")[0] in "".join(found.texts)


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "data:text/html,<script>alert(1)</script>", "file:///etc/passwd"]
)
def test_only_an_address_of_the_web_can_be_clicked(url: str) -> None:
    result = json.loads(json.dumps(result_line(REPORT)))
    result["files"][0]["url"] = url

    assert [one for one in Read(page(result)).of("a") if not str(one["href"]).startswith(("#", "https://"))] == []


def test_nothing_is_loaded_from_anywhere() -> None:
    text = page(result_line(REPORT))
    found = Read(text)

    assert not [attributes for _, attributes in found.elements if "src" in attributes]
    assert [one["href"] for one in found.of("link")] == ["data:,"]
    assert "default-src 'none'" in str(found.of("meta"))
    assert re.findall(r"@import|url\(", text) == []


def test_a_page_that_cannot_be_written_is_said_so_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written") as caught:
        write_page(REPORT, tmp_path / "no" / "such" / "folder.html")

    assert caught.value.hint is not None
    assert list(tmp_path.iterdir()) == []


def browse(place: Path, url: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Open *url* in a browser without a window."""
    command = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    command += ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars"]
    command += ["--enable-logging=stderr", f"--user-data-dir={place / 'profile'}", *options, url]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
class TestInABrowser:
    @pytest.fixture
    def written(self, tmp_path: Path) -> Path:
        path = tmp_path / "run.html"
        write_page(evolve(REPORT, entries=(*REPORT.entries, *LONG)), path)
        return path

    @pytest.mark.parametrize(("scheme", "is_dark"), [("1", False), ("0", True)], ids=["light", "dark"])
    def test_it_is_painted_as_the_reader_likes_it_and_the_console_stays_silent(
        self, written: Path, tmp_path: Path, scheme: str, is_dark: bool
    ) -> None:
        image = pytest.importorskip("PIL.Image")
        picture = tmp_path / "page.png"
        scheme_option = f"--blink-settings=preferredColorScheme={scheme}"
        done = browse(tmp_path, written.as_uri(), scheme_option, f"--screenshot={picture}", "--window-size=1000,1400")

        assert "CONSOLE" not in done.stderr
        shades = image.open(picture).convert("L").resize((50, 70))
        pixels = list(shades.get_flattened_data() if hasattr(shades, "get_flattened_data") else shades.getdata())
        ground = sum(pixels) / len(pixels)
        assert ground < 90 if is_dark else ground > 200
        assert max(pixels) - min(pixels) > 60, "there is something on it"

    def test_the_console_would_tell_of_a_script_that_got_in(self, written: Path, tmp_path: Path) -> None:
        written.write_text(written.read_text("utf-8").replace("<main>", "<main><script>alert(1)</script>"), "utf-8")

        assert "CONSOLE" in browse(tmp_path, written.as_uri(), "--dump-dom").stderr

    @pytest.mark.parametrize("width", [320, 390, 1000])
    def test_nothing_runs_over_the_edge(self, written: Path, tmp_path: Path, width: int) -> None:
        outside = tmp_path / "outside.html"
        outside.write_text(
            f'<iframe id="inside" src="{written.as_uri()}" style="width:{width}px;height:900px;border:0"></iframe>'
            '<p id="told"></p><script>inside.onload = () => { told.textContent = '
            '"wide " + inside.contentDocument.documentElement.scrollWidth + "." }</script>'
        )
        done = browse(tmp_path, outside.as_uri(), "--allow-file-access-from-files", "--dump-dom")

        assert f"wide {width}." in done.stdout


LONG = (
    Entry(
        request=wanted(f"{'a_name_without_a_place_to_break' * 6}.safetensors", f"{'workflow' * 20}.json"),
        status=Status.FAILED,
        error=Failure(
            code=ErrorCode.NETWORK,
            message=f"https://storage.example/{'x' * 300} failed",
            hint=f"`comfywatchman get {'y' * 200}`",
        ),
        attempts=(
            Attempt(
                hook="resolve_model",
                backend="huggingface",
                outcome=Outcome.FAILED,
                seconds=30.0,
                failure=Failure(code=ErrorCode.NETWORK, message="z" * 300),
            ),
        ),
    ),
)
"""What does not fit anywhere."""
