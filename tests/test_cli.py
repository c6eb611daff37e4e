"""The command: how it reads its arguments, what it prints where, and how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from standins.shelf import TOKEN, Files, node, serve_files, write_workflow

from comfywatchman_core.cli import main
from comfywatchman_core.cli.parser import make_parser
from comfywatchman_core.testing import Asked, Origin, Reply, safetensors, sha256

INK = safetensors("ink")
INTERFACE = Path(__file__).parents[2] / "shared" / "design" / "interface.md"


@pytest.fixture(autouse=True)
def _core_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No back end of this environment, and a models folder of the test's own."""
    (tmp_path / "models").mkdir()
    monkeypatch.setenv("COMFYWATCHMAN_NO_PLUGINS", "1")
    monkeypatch.setenv("COMFYWATCHMAN_MODELS_DIR", str(tmp_path / "models"))
    monkeypatch.setenv("COMFYWATCHMAN_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def server() -> Iterator[tuple[Files, Origin]]:
    with serve_files() as served:
        yield served


def run(*arguments: str) -> int:
    """The exit code of the command, however it is told."""
    try:
        return main(list(arguments))
    except SystemExit as stop:
        return int(stop.code or 0)


def started(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    """The command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "comfywatchman_core", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def workflow(*nodes: str, name: str = "workflow.json") -> str:
    return str(write_workflow(Path(name), *(node(one) for one in nodes)))


class TestCommands:
    def test_without_a_command_it_is_get(self, server: tuple[Files, Origin]) -> None:
        files, origin = server
        files.by_path["ink.safetensors"] = INK

        assert run(f"{origin.url}/ink.safetensors", "--folder", "loras", "-q") == 0
        assert Path("models/loras/ink.safetensors").read_bytes() == INK

    def test_without_anything_it_takes_the_workflows_of_the_installation(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        place = Path("ComfyUI/user/default/workflows")
        place.mkdir(parents=True)
        workflow("ink.safetensors", name=str(place / "a.json"))
        monkeypatch.setenv("COMFYWATCHMAN_COMFYUI", "ComfyUI")

        assert run() == 4
        assert "loras/ink.safetensors" in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            (["verfiy", "x"], "'verify'"),
            (["scann"], "'scan'"),
            (["--json", "scan", "w.json"], "comfywatchman scan"),
            (["-q", "backends"], "comfywatchman backends"),
        ],
    )
    def test_a_word_that_seems_to_mean_a_command_is_told(
        self, arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(*arguments) == 2
        assert told in capsys.readouterr().err

    def test_a_file_that_is_called_like_one_is_a_file(self) -> None:
        Path("scann").write_text("{}")

        assert run("scann") == 2  # read, and no workflow
        assert run("./scann") == 2

    @pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["get", "--help"], ["-h"]])
    def test_help_and_version_end_with_0_on_stdout(
        self, arguments: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(*arguments) == 0
        captured = capsys.readouterr()
        assert captured.out
        assert captured.err == ""

    def test_what_is_named_behind_an_option_counts_as_well(self, capsys: pytest.CaptureFixture[str]) -> None:
        one, other = workflow("a.safetensors", name="a.json"), workflow("b.safetensors", name="b.json")

        run("scan", one, "--json", other)

        result = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert [file["name"] for file in result["files"]] == ["a.safetensors", "b.safetensors"]

    def test_options_are_not_abbreviated(self) -> None:
        assert run("scan", workflow("a.safetensors"), "--includ") == 2

    @pytest.mark.skipif(not INTERFACE.exists(), reason="the page of the interface is not beside this checkout")
    def test_every_option_of_the_interface_exists(self) -> None:
        actions = {
            name: {option for action in parser._actions for option in action.option_strings}
            for name, parser in next(
                action.choices for action in make_parser()._actions if isinstance(action.choices, dict)
            ).items()
        }
        text = INTERFACE.read_text("utf-8")
        table = text[text.index("| option | meaning |") : text.index("Exit codes:")]
        rows = [line.split("|")[1] for line in table.splitlines()[2:] if line.startswith("|")]
        options = [re.findall(r"`(-{1,2}[a-z-]+)", row) for row in rows]
        first_block = next(index for index, found in enumerate(options) if "--backend" in found)

        for found in options[:first_block]:
            assert set(found) <= actions["scan"], found
        for found in options:
            for command in ("get", "plan"):
                if command == "plan" and found in (["--dry-run"], ["--plan"]):
                    continue  # a plan is a dry run, and makes the file that the other takes
                assert set(found) <= actions[command], (command, found)


class TestOutput:
    def test_results_go_to_stdout_and_everything_else_to_stderr(
        self, server: tuple[Files, Origin], capsys: pytest.CaptureFixture[str]
    ) -> None:
        files, origin = server
        files.by_path["ink.safetensors"] = INK

        run(f"{origin.url}/ink.safetensors", "--folder", "loras")

        captured = capsys.readouterr()
        assert "loras/ink.safetensors" in captured.out
        assert "models/loras/ink.safetensors" in captured.out
        assert "1 downloaded" in captured.out
        assert "downloading" in captured.err
        assert "downloading" not in captured.out

    def test_quiet_says_only_what_is_wrong(self, capsys: pytest.CaptureFixture[str]) -> None:
        path = Path("models/loras/a.safetensors")
        path.parent.mkdir()
        path.write_bytes(INK)

        assert run("scan", "-q", workflow("a.safetensors")) == 0
        captured = capsys.readouterr()
        assert (captured.out, captured.err) == ("", "")

        assert run("get", "-q", workflow("nobody-has-it.safetensors")) == 4
        assert "nobody-has-it.safetensors" in capsys.readouterr().out

    def test_every_failure_is_told_with_what_to_do_about_it(self, capsys: pytest.CaptureFixture[str]) -> None:
        run("get", workflow("nobody-has-it.safetensors"))

        out = capsys.readouterr().out
        assert "no back end in use can look for it" in out
        assert "pip install comfywatchman" in out

    def test_with_json_stdout_is_lines_of_json_and_nothing_else(
        self, server: tuple[Files, Origin], capsys: pytest.CaptureFixture[str]
    ) -> None:
        files, origin = server
        files.by_path["ink.safetensors"] = INK

        code = run("--json", f"{origin.url}/ink.safetensors?token={TOKEN}", "--folder", "loras")

        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert all(line["schema"] == "comfywatchman/1" for line in lines)
        assert lines[-1]["event"] == "result"
        assert (lines[-1]["ok"], lines[-1]["exit_code"], code) == (True, 0, 0)
        assert lines[-1]["files"][0]["sha256"] == sha256(INK)

    def test_no_token_of_an_address_is_printed_or_stored(
        self, server: tuple[Files, Origin], capsys: pytest.CaptureFixture[str]
    ) -> None:
        files, origin = server
        files.by_path["ink.safetensors"] = INK
        files.by_path["bad.safetensors"] = lambda asked: Reply.json({"error": TOKEN}, 403)
        for name in ("ink", "bad"):
            url = f"{origin.url.replace('http://', f'http://me:{TOKEN}@')}/{name}.safetensors?token={TOKEN}"
            for more in ([], ["--json"], ["-v"]):
                run(url, "--folder", "loras", *more)
        run("history", "--json")

        captured = capsys.readouterr()
        stored = "".join(path.read_bytes().decode("latin-1") for path in Path().rglob("*") if path.is_file())
        assert TOKEN not in captured.out + captured.err + stored

    @pytest.mark.parametrize("more", [[], ["-v"], ["--json"], ["-q"], ["--color", "always"]])
    def test_escape_sequences_in_names_and_answers_are_not_printed_raw(
        self, server: tuple[Files, Origin], capsys: pytest.CaptureFixture[str], more: list[str]
    ) -> None:
        files, origin = server
        evil = "\x1b]0;owned\x07\x9b2J\u202eevil"
        files.by_path["x.safetensors"] = lambda asked: Reply(status=403, headers={"X": "y"}, body=evil.encode())
        place = Path("workflows" + evil)
        place.mkdir()
        workflow("ink.safetensors", "../" + evil + ".safetensors", name=str(place / "w.json"))
        (place / "bad.json").write_text("{" + evil)

        run("get", str(place), *more)
        run("get", f"civitai:1{evil}", *more)
        run("get", f"{origin.url}/x.safetensors?{evil}", "--folder", "loras", *more)
        run("get", "nothing" + evil, *more)

        captured = capsys.readouterr()
        printed = re.sub(r"\x1b\[[0-9;]*m", "", captured.out) + captured.err
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", printed)

    @pytest.mark.parametrize(
        ("arguments", "environment", "colored"),
        [
            (["--color", "always"], {}, True),
            (["--color", "always"], {"NO_COLOR": "1"}, True),  # the user's word on this very line
            (["--color", "never"], {}, False),
            ([], {}, False),  # stdout is no terminal
            ([], {"NO_COLOR": "1"}, False),
        ],
    )
    def test_colour_is_used_where_it_is_wanted(
        self,
        arguments: list[str],
        environment: dict[str, str],
        colored: bool,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        for name, text in environment.items():
            monkeypatch.setenv(name, text)

        run("scan", workflow("a.safetensors"), *arguments)

        assert ("\x1b[" in capsys.readouterr().out) is colored

    def test_a_name_that_the_terminals_encoding_lacks_is_printed_somehow(self) -> None:
        path = workflow("日本語.safetensors")
        done = started("scan", path, env={**os.environ, "PYTHONIOENCODING": "ascii"})
        out, err = done.communicate(timeout=60)

        assert done.returncode == 4, err
        assert "Traceback" not in err
        assert "\\u65e5" in out


class TestExitCodes:
    """One test for each code of the interface."""

    def failing(
        self, server: tuple[Files, Origin], answer: Any, *more: str, capsys: pytest.CaptureFixture[str]
    ) -> tuple[int, str]:
        """The exit code and the error code of a download that is answered like this."""
        files, origin = server
        files.by_path["x.safetensors"] = answer
        arguments = [f"{origin.url}/x.safetensors", "--folder", "loras", "--retries", "0", "--json", *more]
        code = run(*arguments)
        result = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert result["exit_code"] == code
        assert not Path("models/loras/x.safetensors").exists()
        return code, result["files"][0]["error"]["code"]

    @pytest.mark.skipif(os.name != "posix", reason="file names are UTF-16 elsewhere")
    def test_7_a_name_that_cannot_be_spelled_where_the_locale_is_c(self, server: tuple[Files, Origin]) -> None:
        address = f"{server[1].url}/%E5%A2%A8%E6%B0%B4.safetensors"
        plain = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}

        process = started("get", address, "--folder", "loras", "--json", env=plain)
        out, err = process.communicate(timeout=60)

        error = json.loads(out.splitlines()[-1])["files"][0]["error"]
        assert (process.returncode, error["code"]) == (7, "unsafe_name"), err
        assert "PYTHONUTF8=1" in error["hint"]

    def test_0_everything_needed_is_present(self) -> None:
        path = Path("models/loras/a.safetensors")
        path.parent.mkdir()
        path.write_bytes(INK)

        assert run("get", workflow("a.safetensors"), "-q") == 0

    @pytest.mark.parametrize(
        "arguments",
        [
            ["--bogus"],
            ["get", "--jobs", "many", "w.json"],
            ["get", "--jobs", "0", "w.json"],
            ["get", "--min-match", "certain", "w.json"],
            ["get", "--accept-digest", "zzz", "w.json"],
            ["get", "--config", "nowhere.toml", "w.json"],
            ["get", "nothing.json"],
            ["get", "unreadable.json"],
            ["get", "https://h.example/a.safetensors", "--folder", "../x"],
            ["get", "https://h.example/a.safetensors", "--folder", "custom_nodes"],
            ["get", "w.json", "--backend", "nobody"],
            ["get", "w.json", "--comfyui", "nowhere"],
            ["get", "w.json", "--limit-rate", "fast"],
            ["get", "w.json", "--plan", "nowhere.json"],
            ["scan", "--extra-model-paths", "nowhere.yaml", "w.json"],
        ],
        ids=" ".join,
    )
    def test_2_usage_configuration_or_an_unreadable_workflow(
        self, arguments: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        workflow("a.safetensors", name="w.json")
        Path("unreadable.json").write_text("{")

        assert run(*arguments) == 2
        captured = capsys.readouterr()
        assert captured.err + captured.out
        assert "Traceback" not in captured.err

    @pytest.mark.parametrize(
        ("reply", "exit_code", "code"),
        [
            (Reply.json({"error": "login"}, 401), 3, "auth_required"),
            (Reply.json({"error": "no"}, 403), 3, "auth_required"),
            (Reply.json({"error": "no"}, 404), 4, "not_found"),
            (Reply.json({"error": "no"}, 503), 5, "unavailable"),
            (Reply(status=429, headers={"Retry-After": "99999"}), 6, "rate_limited"),
            (Reply.html("<!doctype html><title>Sign in</title>"), 7, "not_a_model"),
            (Reply(body=INK[:-5]), 7, "not_a_model"),
        ],
    )
    def test_3_to_7_by_what_the_source_answers(
        self,
        server: tuple[Files, Origin],
        reply: Reply,
        exit_code: int,
        code: str,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        assert self.failing(server, lambda asked: reply, capsys=capsys) == (exit_code, code)

    def test_4_for_a_scan_with_missing_models(self) -> None:
        assert run("scan", workflow("a.safetensors"), "-q") == 4

    def test_5_nobody_answers(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("https://nobody.invalid/x.safetensors", "--folder", "loras", "--retries", "0", "-q") == 5

    def test_7_other_bytes_than_the_digest_asks_for(
        self, server: tuple[Files, Origin], capsys: pytest.CaptureFixture[str]
    ) -> None:
        server[0].by_path["x.safetensors"] = INK

        code = run(f"{server[1].url}/x.safetensors#sha256={'0' * 64}", "--folder", "loras", "-q")

        assert code == 7
        assert not Path("models/loras/x.safetensors").exists()

    def test_8_a_different_file_is_in_the_way(self, server: tuple[Files, Origin]) -> None:
        server[0].by_path["x.safetensors"] = INK
        path = Path("models/loras/x.safetensors")
        path.parent.mkdir()
        path.write_bytes(safetensors("theirs"))

        assert run(f"{server[1].url}/x.safetensors#sha256={sha256(INK)}", "--folder", "loras", "-q") == 8
        assert path.read_bytes() == safetensors("theirs")

    @pytest.mark.skipif(os.name != "posix", reason="limits are posix")
    def test_9_the_disk_takes_no_more(self, server: tuple[Files, Origin]) -> None:
        server[0].by_path["x.safetensors"] = safetensors("big", 3 << 20)
        limited = ["sh", "-c", 'ulimit -f 2048; exec "$@"', "sh", sys.executable, "-m", "comfywatchman_core"]

        done = subprocess.run(
            [*limited, f"{server[1].url}/x.safetensors", "--folder", "loras", "--json"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

        assert done.returncode == 9, done.stderr
        assert json.loads(done.stdout.splitlines()[-1])["files"][0]["error"]["code"] == "disk_full"
        assert not Path("models/loras/x.safetensors").exists()

    def test_1_a_fault_of_the_program_is_one_sentence_and_still_a_result(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        from comfywatchman_core import watchman

        def broken(*_: object, **__: object) -> None:
            raise ZeroDivisionError("oops")

        monkeypatch.setattr(watchman.Watchman, "scan", broken)

        assert run("scan", workflow("a.safetensors"), "--json") == 1
        captured = capsys.readouterr()
        assert "ZeroDivisionError: oops" in captured.err
        assert "Traceback" not in captured.err
        assert json.loads(captured.out.splitlines()[-1])["exit_code"] == 1

    @pytest.mark.parametrize("verbose", [False, True])
    def test_a_fault_at_one_file_is_told_and_its_traceback_only_on_demand(
        self,
        server: tuple[Files, Origin],
        verbose: bool,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        from comfywatchman_core.delivery import Delivery

        def broken(*_: object) -> None:
            raise ZeroDivisionError(f"oops at https://h.example/?token={TOKEN}")

        server[0].by_path["x.safetensors"] = INK
        monkeypatch.setattr(Delivery, "deliver", broken)

        run(f"{server[1].url}/x.safetensors", "--folder", "loras", *(["-v"] if verbose else []))

        captured = capsys.readouterr()
        assert "ZeroDivisionError" in captured.out
        assert ("Traceback" in captured.err) is verbose
        assert TOKEN not in captured.out + captured.err


@pytest.mark.skipif(os.name != "posix", reason="signals are posix")
class TestInterruptions:
    @pytest.mark.parametrize(
        ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)], ids=str
    )
    def test_a_signal_ends_the_run_cleanly_with_its_code_and_a_result(
        self, server: tuple[Files, Origin], number: signal.Signals, code: int
    ) -> None:
        asked_for, over = threading.Event(), threading.Event()

        def hang(asked: Asked) -> Reply:
            asked_for.set()
            over.wait(30)
            return Reply(body=INK)

        server[0].by_path["x.safetensors"] = hang
        child = started(f"{server[1].url}/x.safetensors", "--folder", "loras", "--json")
        try:
            assert asked_for.wait(30)
            child.send_signal(number)
            out, err = child.communicate(timeout=30)
        finally:
            over.set()
            child.kill()

        assert child.returncode == code, err
        result = json.loads(out.splitlines()[-1])
        assert (result["event"], result["exit_code"], result["ok"]) == ("result", code, False)
        assert result["files"][0]["error"]["code"] == "cancelled"
        assert "Traceback" not in err

    def test_a_signal_while_workflows_are_read_ends_with_its_code_as_well(self) -> None:
        fifo = Path("wait.json")
        os.mkfifo(fifo)
        workflow("a.safetensors", name="z.json")
        child = started("scan", "wait.json", "z.json", "--json")
        try:
            # it opens once the command reads it, which the signal may end at once
            with suppress(BrokenPipeError), open(fifo, "w") as writer:
                child.send_signal(signal.SIGINT)
                writer.write("{}")
            out, err = child.communicate(timeout=30)
        finally:
            child.kill()

        assert child.returncode == 130, err
        assert json.loads(out.splitlines()[-1])["exit_code"] == 130

    def test_a_reader_of_stdout_that_goes_away_ends_the_run_with_141_and_without_a_traceback(
        self, server: tuple[Files, Origin]
    ) -> None:
        begun, over = threading.Event(), threading.Event()

        def slow(asked: Asked) -> Reply:
            begun.set()
            over.wait(30)
            return Reply(body=INK)

        for name in ("a", "b"):
            server[0].by_path[f"{name}.safetensors"] = slow
        urls = [f"{server[1].url}/{name}.safetensors" for name in ("a", "b")]
        child = started(*urls, "--folder", "loras", "--json", "--jobs", "1")
        try:
            assert begun.wait(30)
            assert child.stdout is not None
            child.stdout.close()
            over.set()
            _, err = child.communicate(timeout=30)
        finally:
            over.set()
            child.kill()

        assert child.returncode == 141, err
        assert "Traceback" not in err
        assert "Exception ignored" not in err

    @pytest.mark.parametrize(
        "arguments", [["scan", "workflow.json"], ["scan", "workflow.json", "--json"], ["backends"]]
    )
    def test_nobody_reads_at_all(self, arguments: list[str]) -> None:
        workflow("a.safetensors")
        reader, writer = os.pipe()
        os.close(reader)

        done = subprocess.run(
            [sys.executable, "-m", "comfywatchman_core", *arguments],
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
        os.close(writer)

        assert done.returncode == 141, done.stderr
        assert "Traceback" not in done.stderr

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
    @pytest.mark.parametrize("arguments", [["scan", "workflow.json"], ["scan", "workflow.json", "--json"]])
    def test_a_stdout_that_is_full_is_told_in_one_sentence(self, arguments: list[str]) -> None:
        workflow("a.safetensors")
        with open("/dev/full", "w") as full:
            done = subprocess.run(
                [sys.executable, "-m", "comfywatchman_core", *arguments],
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                timeout=60,
                check=False,
            )

        assert done.returncode == 1
        assert "No space left" in done.stderr
        assert "Traceback" not in done.stderr
        assert "Exception ignored" not in done.stderr

    def test_a_closed_stdout_and_stderr_end_no_run_and_reach_no_file(self, server: tuple[Files, Origin]) -> None:
        server[0].by_path["x.safetensors"] = INK
        url = f"{server[1].url}/x.safetensors"

        done = subprocess.run(
            [
                "sh",
                "-c",
                'exec "$@" >&- 2>&-',
                "sh",
                sys.executable,
                "-m",
                "comfywatchman_core",
                url,
                "--folder",
                "loras",
            ],
            timeout=60,
            check=False,
        )

        assert done.returncode == 0
        assert Path("models/loras/x.safetensors").read_bytes() == INK


class TestBackends:
    def test_it_shows_what_is_in_use_in_order_and_why_others_are_not(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        from comfywatchman_core import installed

        site = tmp_path / "site"
        (site / "broken-1.5.dist-info").mkdir(parents=True)
        (site / "broken-1.5.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.5\n")
        (site / "broken-1.5.dist-info" / "entry_points.txt").write_text(
            "[comfywatchman.backends]\nbroken = nowhere:x\n"
        )
        from importlib.metadata import distributions

        monkeypatch.delenv("COMFYWATCHMAN_NO_PLUGINS")
        points = [point for one in distributions(path=[str(site)]) for point in one.entry_points]
        monkeypatch.setattr(installed, "_entry_points", lambda: {"broken": points})

        assert run("backends") == 0
        out = capsys.readouterr().out
        assert re.search(r"^core +-1000 +ready +comfywatchman-core", out, re.MULTILINE)
        assert re.search(r"^broken +refused +broken 1\.5", out, re.MULTILINE)
        assert "No module named 'nowhere'" in out

        assert run("backends", "--json", "--disable", "broken") == 0
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert {line["name"]: line["state"] for line in lines[:-1]} == {"core": "ready", "broken": "disabled"}

    def test_what_a_back_end_prints_is_not_among_the_results(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        from importlib.metadata import EntryPoint

        from comfywatchman_core import installed

        (tmp_path / "chatty_back_end.py").write_text(
            "from comfywatchman_core import hookimpl\n"
            "print('hello from the import')\n"
            "class Chatty:\n"
            "    api_version = priority = 1\n"
            "    @hookimpl\n"
            "    def resolve_model(self, request):\n"
            "        print('hello from the search')\n"
            "        return ()\n"
            "backend = Chatty()\n"
        )
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.delenv("COMFYWATCHMAN_NO_PLUGINS")
        point = EntryPoint("chatty", "chatty_back_end:backend", "comfywatchman.backends")
        monkeypatch.setattr(installed, "_entry_points", lambda: {"chatty": [point]})

        assert run("get", workflow("a.safetensors"), "--json") == 4

        captured = capsys.readouterr()
        assert [json.loads(line)["schema"] for line in captured.out.splitlines()]
        assert "hello from the import" in captured.err
        assert "hello from the search" in captured.err
