"""A run over hundreds of models must be thinkable for the service."""

from __future__ import annotations

import gzip
import json
import stat
from pathlib import Path
from typing import Any

import pytest
from comfywatchman_civitai.cache import Cache, Kept, slim
from comfywatchman_civitai.pace import BURST, Pace, rest
from standins.civitai import CivitaiStandIn, File, Version
from standins.civitai_desk import Desk, accepted

from comfywatchman_core import BackendError, Digest, errors
from comfywatchman_core.testing import Reply, safetensors, sha256

CODE = errors.ErrorCode
SEARCH = "/api/v1/models"


class Clock:
    """Time that passes when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += max(seconds, 0.001)


def publish(civitai: CivitaiStandIn, name: str = "ink_painting_v2.safetensors") -> None:
    civitai.add_model(name="Ink Painting", versions=[Version("v2", [File(name, safetensors(name))])])


class TestThePace:
    def test_a_handful_of_questions_goes_at_once_and_then_one_a_second(self) -> None:
        clock = Clock()
        pace = Pace(1.0, clock=clock, sleep=clock.sleep)
        asked = []
        for _ in range(BURST + 5):
            pace.wait(lambda: False)
            asked.append(clock.now - 1000.0)

        assert asked[BURST - 1] == 0.0
        assert [round(second) for second in asked[BURST:]] == [1, 2, 3, 4, 5]

    def test_a_pause_fills_the_handful_again_and_no_more(self) -> None:
        clock = Clock()
        pace = Pace(1.0, clock=clock, sleep=clock.sleep)
        for _ in range(BURST):
            pace.wait(lambda: False)
        clock.now += 3600
        start = clock.now

        for _ in range(BURST + 1):
            pace.wait(lambda: False)

        assert clock.now - start == pytest.approx(1.0, abs=0.2)

    def test_no_rate_is_no_wait(self) -> None:
        clock = Clock()
        pace = Pace(0.0, clock=clock, sleep=clock.sleep)
        for _ in range(1000):
            pace.wait(lambda: False)

        assert clock.now == 1000.0

    def test_a_stop_ends_the_wait(self) -> None:
        clock = Clock()

        with pytest.raises(errors.Cancelled):
            rest(3600, lambda: clock.now > 1001, clock=clock, sleep=clock.sleep)

        assert clock.now < 1002


class TestWhatIsKept:
    def test_a_second_question_of_a_run_is_not_asked(self, civitai: CivitaiStandIn, desk: Desk) -> None:
        publish(civitai)
        first = desk.resolve("ink_painting_v2.safetensors", "loras")
        asked = len(civitai.requests)

        assert desk.resolve("ink_painting_v2.safetensors", "loras") == first
        assert len(civitai.requests) == asked

    def test_an_answer_of_an_earlier_run_is_not_asked_for_again(self, civitai: CivitaiStandIn, desk: Desk) -> None:
        publish(civitai)
        first = desk.resolve("ink_painting_v2.safetensors", "loras")
        asked = len(civitai.requests)
        desk.new_run()

        assert desk.resolve("ink_painting_v2.safetensors", "loras") == first
        assert len(civitai.requests) == asked

    def test_an_answer_grows_old(self, civitai: CivitaiStandIn, desk: Desk) -> None:
        publish(civitai)
        desk.resolve("ink_painting_v2.safetensors", "loras")
        asked = len(civitai.requests)
        for path in (desk.folder / "cache").rglob("*.gz"):
            stored = json.loads(gzip.decompress(path.read_bytes()))
            path.write_bytes(gzip.compress(json.dumps({**stored, "at": stored["at"] - 3601}).encode()))
        desk.new_run()

        desk.resolve("ink_painting_v2.safetensors", "loras")

        assert len(civitai.requests) > asked

    def test_what_was_not_there_is_looked_for_again_sooner(self, tmp_path: Path) -> None:
        clock = Clock()
        cache = Cache(tmp_path, now=clock)
        cache.put("there", Kept(200, {"id": 1}))
        cache.put("absent", Kept(404, None))
        clock.now += 1800

        assert cache.get("there", 3600, 900) == Kept(200, {"id": 1})
        assert cache.get("absent", 3600, 900) is None

    def test_pictures_and_descriptions_are_not_kept(self) -> None:
        document = {"items": [{"id": 1, "description": "x" * 999, "modelVersions": [{"id": 2, "images": [1]}]}]}

        assert slim(document) == {"items": [{"id": 1, "modelVersions": [{"id": 2}]}]}

    def test_an_answer_of_absurd_depth_is_cut(self) -> None:
        document: dict[str, Any] = {}
        for _ in range(900):
            document = {"files": [document]}

        assert len(json.dumps(slim(document))) < 200

    def test_an_answer_that_was_kept_reads_like_a_fresh_one(self, civitai: CivitaiStandIn, desk: Desk) -> None:
        version = Version("v1", [File("a.safetensors", safetensors("a"))], early_access_deadline="2126-01-01T00:00:00Z")
        model = civitai.add_model(name="Ink", versions=[version])
        fresh = desk.offer(reference=f"civitai:{model.id}@{version.id}")
        desk.new_run()

        assert desk.offer(reference=f"civitai:{model.id}@{version.id}") == fresh
        assert len(civitai.requests) == 1

    @pytest.mark.parametrize(
        "text", [b"", b"{", gzip.compress(b"[]", mtime=0), gzip.compress(b'{"at": "x"}', mtime=0), b"\x1f\x8b\x08"]
    )
    def test_a_broken_file_counts_as_none(self, tmp_path: Path, text: bytes) -> None:
        cache = Cache(tmp_path)
        cache.put("question", Kept(200, {"id": 1}))
        (path,) = tmp_path.rglob("*.gz")
        path.write_bytes(text)

        assert cache.get("question", 3600, 900) is None

    def test_a_bomb_is_not_unpacked(self, tmp_path: Path) -> None:
        cache = Cache(tmp_path)
        cache.put("question", Kept(200, {"id": 1}))
        (path,) = tmp_path.rglob("*.gz")
        path.write_bytes(gzip.compress(b" " * (64 << 20)))

        assert cache.get("question", 3600, 900) is None

    def test_a_place_that_cannot_be_written_is_no_failure(self, tmp_path: Path) -> None:
        (tmp_path / "answers").write_text("a file where the folder should be")

        Cache(tmp_path).put("question", Kept(200, {"id": 1}))

        assert (tmp_path / "answers").is_file()

    def test_files_are_for_their_owner_only(self, tmp_path: Path) -> None:
        Cache(tmp_path).put("question", Kept(200, {"id": 1}))

        (path,) = tmp_path.rglob("*.gz")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def test_nothing_is_kept_where_the_user_wants_nothing_kept(self, civitai: CivitaiStandIn, desk: Desk) -> None:
        desk.settings["keep_answers"] = False
        publish(civitai)

        desk.resolve("ink_painting_v2.safetensors", "loras")

        assert not (desk.folder / "cache").exists()

    def test_the_oldest_answers_go_when_there_are_too_many(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("comfywatchman_civitai.cache._MOST_FILES", 3)
        for number in range(6):
            Cache(tmp_path).put(f"question {number}", Kept(200, {"id": number}))

        assert len(list(tmp_path.rglob("*.gz"))) == 3


class TestHowItAsks:
    def test_answers_may_come_compressed(self, civitai: CivitaiStandIn, desk: Desk) -> None:
        publish(civitai)
        plain = desk.http.get(f"{civitai.url}{SEARCH}", params={"query": "ink", "nsfw": "true"}).body
        headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
        civitai.answer_next(SEARCH, Reply(headers=headers, body=gzip.compress(plain, mtime=0)))

        assert accepted(desk.resolve("ink_painting_v2.safetensors", "loras"))
        assert civitai.requests[-1].headers["accept-encoding"] == "gzip"

    def test_an_answer_without_end_is_cut_off(self, civitai: CivitaiStandIn, desk: Desk) -> None:
        headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
        civitai.answer_next(SEARCH, Reply(headers=headers, body=gzip.compress(b" " * (40 << 20))))

        with pytest.raises(BackendError) as refused:
            desk.resolve("ink_painting_v2.safetensors", "loras")

        assert refused.value.code is CODE.UNAVAILABLE


class TestWhenTheServiceWantsToBeLeftAlone:
    def test_too_many_questions_end_the_questions_of_the_run(self, civitai: CivitaiStandIn, desk: Desk) -> None:
        civitai.answer_next(SEARCH, Reply(status=429, headers={"Retry-After": "1200"}, body=b"slow down"), times=99)
        codes = []
        for number in range(5):
            with pytest.raises(BackendError) as refused:
                desk.resolve(f"model_number_{number}.safetensors", "loras")
            codes.append(refused.value.code)

        assert set(codes) == {CODE.RATE_LIMITED}
        assert len(civitai.requests) == 1

    def test_a_blocked_region_is_told_and_not_asked_again(self, civitai: CivitaiStandIn, desk: Desk) -> None:
        civitai.region_blocked = True
        for _ in range(3):
            with pytest.raises(BackendError, match="region") as refused:
                desk.resolve("ink_painting.safetensors", "loras")

        assert refused.value.code is CODE.UNAVAILABLE
        assert len(civitai.requests) == 1

    @pytest.mark.parametrize(
        "reply",
        [
            Reply.html("<!DOCTYPE html><title>Just a moment...</title>", 403),  # its protection
            Reply.html("<!DOCTYPE html><title>Maintenance</title>"),  # with status 200
            Reply.html("<!DOCTYPE html><title>404</title>", 404),  # of some other server
            Reply.json({"error": {"name": "ZodError", "message": "[...]"}}, 400),
            Reply.json({"error": "Model search is temporarily overloaded"}, 503),
            Reply.json({"message": "An unexpected error occurred", "error": "x"}, 500),
            Reply.json(["no", "object"]),
        ],
    )
    def test_every_other_refusal_is_a_failure_with_a_hint_and_never_found_nothing(
        self, civitai: CivitaiStandIn, desk: Desk, reply: Reply
    ) -> None:
        civitai.answer_next(SEARCH, reply, times=9)

        with pytest.raises(BackendError) as refused:
            desk.resolve("ink_painting.safetensors", "loras")

        assert refused.value.code is CODE.UNAVAILABLE
        assert refused.value.hint

    def test_a_service_that_does_not_answer_is_left_alone_after_two_tries(
        self, civitai: CivitaiStandIn, desk: Desk
    ) -> None:
        civitai.answer_next(SEARCH, Reply.json({"error": "x"}, 502), times=99)
        for number in range(4):
            with pytest.raises(BackendError):
                desk.resolve(f"model_number_{number}.safetensors", "loras")

        assert len(civitai.requests) == 2

    def test_one_passing_fault_is_forgiven(self, civitai: CivitaiStandIn, desk: Desk) -> None:
        publish(civitai)
        for _ in range(3):
            civitai.answer_next(SEARCH, Reply.json({"error": "x"}, 502))
            with pytest.raises(BackendError):
                desk.resolve("model_number_one.safetensors", "loras")
            desk.backend.prepare([], desk.context)
            assert accepted(desk.resolve("ink_painting_v2.safetensors", "loras"))
            desk.folder = desk.folder / "again"

    def test_the_next_run_asks_again(self, civitai: CivitaiStandIn, desk: Desk) -> None:
        publish(civitai)
        civitai.answer_next(SEARCH, Reply(status=429, headers={"Retry-After": "1200"}))
        with pytest.raises(BackendError):
            desk.resolve("ink_painting_v2.safetensors", "loras")
        desk.new_run()

        assert accepted(desk.resolve("ink_painting_v2.safetensors", "loras"))


def test_two_hundred_missing_models_are_not_two_thousand_questions(civitai: CivitaiStandIn, desk: Desk) -> None:
    known = [safetensors(f"{number}", 64) for number in range(120)]
    for number, data in enumerate(known):
        civitai.add_model(name=f"Model {number}", versions=[Version("v1", [File(f"f{number}.safetensors", data)])])
    asking: list[dict[str, Any]] = [
        {"name": f"w{number}.safetensors", "digests": (Digest("sha256", sha256(data)),)}
        for number, data in enumerate(known)
    ]
    asking += [{"name": f"quite_unknown_thing_{number}.safetensors"} for number in range(80)]

    from comfywatchman_core import ModelRequest

    desk.backend.prepare([ModelRequest(folder="loras", **one) for one in asking], desk.context)
    for one in asking:
        desk.resolve(folder="loras", **one)

    assert len(civitai.requests) < 400
