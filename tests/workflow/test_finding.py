"""Walking a directory for files that may carry workflows."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from comfywatchman_core.errors import Cancelled, NoWorkflow, WorkflowError
from comfywatchman_core.workflow import Workflow, find_workflows, finding, read_workflow, read_workflows


def found(directory: Path) -> list[str]:
    return [path.relative_to(directory).as_posix() for path in find_workflows(directory)]


def test_every_kind_of_file_that_may_carry_one_is_found_below(tmp_path: Path) -> None:
    for name in ("b.json", "a.PNG", "sub/c.webm", "sub/deep/d.mp3", "readme.txt", "model.safetensors", "photo.jpg"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()

    assert found(tmp_path) == ["a.PNG", "b.json", "sub/c.webm", "sub/deep/d.mp3"]


def test_the_inside_of_git_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "x.json").touch()

    assert found(tmp_path) == []


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_links_are_followed_and_loops_end(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "x.json").touch()
    (tmp_path / "real" / "back").symlink_to(tmp_path)
    (tmp_path / "zlink").symlink_to(tmp_path / "real")
    (tmp_path / "dangling.json").symlink_to(tmp_path / "nowhere")

    assert found(tmp_path) == ["dangling.json", "real/x.json"]


def test_a_directory_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    assert found(tmp_path / "nowhere") == []


class TestReadingMany:
    GOOD = '{"nodes": [{"id": 1, "type": "VAELoader", "widgets_values": ["ae.safetensors"]}]}'

    def test_one_bad_file_stops_none_of_the_others(self, tmp_path: Path) -> None:
        for number in range(200):
            (tmp_path / f"{number:03}.json").write_text("{" if number % 3 == 0 else self.GOOD)

        read = list(read_workflows(find_workflows(tmp_path)))

        assert [path.name for path, _ in read] == [f"{number:03}.json" for number in range(200)]
        assert [isinstance(one, WorkflowError) for _, one in read] == [number % 3 == 0 for number in range(200)]

    def test_slow_files_are_read_at_the_same_time(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        together = threading.Barrier(4, timeout=30)  # breaks unless four are under way at once

        def slow(path: Path, **options: object) -> Workflow:
            together.wait()
            return Workflow(name=str(path), requests=())

        monkeypatch.setattr(finding, "read_workflow", slow)

        assert len(list(read_workflows([tmp_path / str(number) for number in range(8)]))) == 8

    def test_a_caller_who_asks_to_stop_is_heard(self, tmp_path: Path) -> None:
        (tmp_path / "a.json").write_text(self.GOOD)
        asked: list[bool] = []

        def cancelled() -> bool:
            asked.append(True)
            return len(asked) > 2

        with pytest.raises(Cancelled):
            list(read_workflows([tmp_path / "a.json"] * 500, cancelled=cancelled))

        assert len(asked) == 3


class TestReadingWhatWasFound:
    def test_the_path_and_the_reason_are_in_the_error(self, tmp_path: Path) -> None:
        path = tmp_path / "broken.json"
        path.write_text("{")

        with pytest.raises(WorkflowError, match=r"broken\.json: not JSON"):
            read_workflow(path)

    def test_a_picture_without_a_workflow_is_told_apart_from_a_broken_one(self, tmp_path: Path) -> None:
        image = pytest.importorskip("PIL.Image")
        image.new("L", (4, 4)).save(tmp_path / "plain.png")

        with pytest.raises(NoWorkflow, match="PNG file carries no workflow"):
            read_workflow(tmp_path / "plain.png")

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
    def test_a_pipe_is_read_where_it_is_named_and_passed_over_in_a_directory(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe.json")
        writer = threading.Thread(target=(tmp_path / "pipe.json").write_text, args=(TestReadingMany.GOOD,))

        assert found(tmp_path) == []
        writer.start()
        read = read_workflow(tmp_path / "pipe.json")
        writer.join()

        assert [request.label for request in read.requests] == ["vae/ae.safetensors"]

    @pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="no such device here")
    def test_a_device_that_never_ends_is_given_up(self) -> None:
        with pytest.raises(WorkflowError, match="gives more than"):
            read_workflow(Path("/dev/zero"))

    def test_a_directory_and_a_missing_file_are_errors(self, tmp_path: Path) -> None:
        for path in (tmp_path, tmp_path / "nowhere.json"):
            with pytest.raises(WorkflowError):
                read_workflow(path)

    @pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="everything may be read")
    def test_a_file_that_may_not_be_read_is_an_error(self, tmp_path: Path) -> None:
        path = tmp_path / "secret.json"
        path.touch(0o000)

        with pytest.raises(WorkflowError, match="cannot be opened"):
            read_workflow(path)

    def test_the_label_is_what_the_user_called_it(self, tmp_path: Path) -> None:
        path = tmp_path / "w.json"
        path.write_text('{"nodes": [{"id": 1, "type": "VAELoader", "widgets_values": ["ae.safetensors"]}]}')

        assert read_workflow(path, label="mine").requests[0].wanted_by[0].workflow == "mine"
        assert read_workflow(path).name == str(path)
