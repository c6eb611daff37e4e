"""A checksum goes before every name: of any kind, in any case, one by one and a hundred at once."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from standins.civitai import CivitaiStandIn, File, Version
from standins.civitai_catalogue import hash_kinds
from standins.civitai_desk import Desk

from comfywatchman_core import Digest, Match, ModelRequest
from comfywatchman_core.testing import Reply, safetensors, sha256

BIG = safetensors("big", 3 << 20)  # AutoV1 needs two MiB
BY_HASH = "/api/v1/model-versions/by-hash"


def asking(*datas: bytes) -> list[ModelRequest]:
    return [ModelRequest(name=f"{place}.safetensors", folder="loras", digests=(Digest("sha256", sha256(data)),))
            for place, data in enumerate(datas)]  # fmt: skip


@pytest.mark.parametrize("kind", ["SHA256", "AutoV1", "AutoV2", "AutoV3", "CRC32", "BLAKE3"])
def test_every_kind_finds_the_file_under_any_name(civitai: CivitaiStandIn, desk: Desk, kind: str) -> None:
    civitai.add_model(name="Ink", versions=[Version("v1", [File("ink.safetensors", BIG)])])
    value = hash_kinds(BIG, "ink.safetensors")[kind]

    offer = desk.offer("renamed.safetensors", "loras", digests=(Digest(kind.lower(), value),))

    assert (offer.match, offer.sha256) == (Match.DIGEST, sha256(BIG))
    assert len(civitai.requests) == 1


def test_autov3_is_compared_on_twelve_digits_however_many_are_given(civitai: CivitaiStandIn, desk: Desk) -> None:
    civitai.add_model(name="Ink", versions=[Version("v1", [File("ink.safetensors", BIG)])])
    value = hash_kinds(BIG, "ink.safetensors")["AutoV3"] + "0" * 52

    assert desk.offer("x.safetensors", digests=(Digest("autov3", value),)).sha256 == sha256(BIG)


def test_the_file_that_has_the_checksum_is_chosen_and_not_the_primary_one(civitai: CivitaiStandIn, desk: Desk) -> None:
    first, second = safetensors("first"), safetensors("second")
    civitai.add_model(
        name="Two",
        type="Checkpoint",
        versions=[
            Version(
                "v1",
                [
                    File("a.safetensors", first, metadata={"format": "SafeTensor", "size": "pruned"}),
                    File("b.safetensors", second, metadata={"format": "SafeTensor", "size": "full"}),
                ],
            )
        ],
    )

    (request,) = asking(second)

    assert desk.offer(str(request.name), "checkpoints", digests=request.digests).sha256 == sha256(second)


def test_bytes_that_were_published_twice_resolve_to_the_oldest(civitai: CivitaiStandIn, desk: Desk) -> None:
    data = safetensors("twice")
    for year in (2026, 2023, 2025):
        civitai.add_model(
            name=f"Ink {year}",
            versions=[Version("v1", [File("ink.safetensors", data)], published_at=f"{year}-01-01T00:00:00.000Z")],
        )

    (request,) = asking(data)

    assert desk.offer(str(request.name), "loras", digests=request.digests).notes[0].startswith("Ink 2023")


def test_a_weaker_checksum_is_asked_when_a_stronger_one_is_not_known(civitai: CivitaiStandIn, desk: Desk) -> None:
    data = safetensors("autov2")
    civitai.add_model(name="Ink", versions=[Version("v1", [File("ink.safetensors", data)])])
    digests = (Digest("autov2", sha256(data)[:10]), Digest("blake3", "0" * 64))

    assert desk.offer("x.safetensors", "loras", digests=digests).sha256 == sha256(data)


def test_a_file_that_agrees_in_one_checksum_and_not_in_another_is_not_taken(
    civitai: CivitaiStandIn, desk: Desk
) -> None:
    data = safetensors("crc")
    civitai.add_model(name="Ink", versions=[Version("v1", [File("ink.safetensors", data)])])
    crc32 = hash_kinds(data, "ink.safetensors")["CRC32"]

    found = desk.resolve("x.safetensors", "loras", digests=(Digest("sha256", "0" * 64), Digest("crc32", crc32)))

    assert found == []


def test_an_archived_owner_is_told(civitai: CivitaiStandIn, desk: Desk) -> None:
    data = safetensors("archived")
    civitai.add_model(name="Ink", mode="Archived", versions=[Version("v1", [File("ink.safetensors", data)])])

    (request,) = asking(data)
    offer = desk.offer("ink.safetensors", "loras", digests=request.digests)

    assert offer.obstacle is not None
    assert "archived" in offer.obstacle.message


def test_an_autov1_says_what_it_is_worth(civitai: CivitaiStandIn, desk: Desk) -> None:
    civitai.add_model(name="Ink", versions=[Version("v1", [File("ink.safetensors", BIG)])])
    value = hash_kinds(BIG, "ink.safetensors")["AutoV1"]

    assert any("64 KiB" in note for note in desk.offer("x.safetensors", digests=(Digest("autov1", value),)).notes)


def test_a_checksum_nobody_knows_is_found_nothing_and_no_name_is_guessed(civitai: CivitaiStandIn, desk: Desk) -> None:
    civitai.add_model(name="Ink", versions=[Version("v1", [File("ink.safetensors", safetensors("a"))])])

    assert desk.resolve("ink.safetensors", "loras", digests=(Digest("sha256", "0" * 64),)) == []
    assert len(civitai.requests) == 1


def test_a_workflow_hears_of_another_file_of_that_name(civitai: CivitaiStandIn, desk: Desk) -> None:
    civitai.add_model(name="Ink", versions=[Version("v1", [File("ink.safetensors", safetensors("a"))])])

    (offer,) = desk.resolve("ink.safetensors", "loras", digests=(Digest("sha256", "0" * 64),), explicit=True) or []

    assert offer.sha256 == sha256(safetensors("a"))


class TestManyAtOnce:
    @pytest.fixture
    def datas(self, civitai: CivitaiStandIn) -> list[bytes]:
        datas = [safetensors(f"file {number}", 64) for number in range(120)]
        for number, data in enumerate(datas):
            civitai.add_model(name=f"Model {number}", versions=[Version("v1", [File(f"f{number}.safetensors", data)])])
        return datas

    def test_a_hundred_checksums_are_one_question(
        self, civitai: CivitaiStandIn, desk: Desk, datas: list[bytes]
    ) -> None:
        requests = asking(*datas)

        desk.backend.prepare(requests, desk.context)
        offers = [desk.offer(str(one.name), "loras", digests=one.digests) for one in requests]

        assert [offer.sha256 for offer in offers] == [sha256(data) for data in datas]
        assert [(asked.method, asked.path) for asked in civitai.requests] == [("POST", BY_HASH)] * 2
        assert [len(json.loads(asked.body)) for asked in civitai.requests] == [100, 20]

    def test_misses_and_nulls_in_the_answer_are_misses(
        self, civitai: CivitaiStandIn, desk: Desk, datas: list[bytes]
    ) -> None:
        requests = asking(datas[0], b"unknown", datas[1])

        desk.backend.prepare(requests, desk.context)
        found = [desk.resolve(str(one.name), "loras", digests=one.digests) for one in requests]

        assert [bool(offers) for offers in found] == [True, False, True]
        assert len(civitai.requests) == 1

    def test_twins_in_the_answer_resolve_to_the_oldest(self, civitai: CivitaiStandIn, desk: Desk) -> None:
        data, other = safetensors("twin"), safetensors("other")
        young = civitai.add_model(name="Young", versions=[Version("v1", [File("t.safetensors", data)])])
        old = civitai.add_model(
            name="Old", versions=[Version("v1", [File("t.safetensors", data)], published_at="2022-01-01T00:00:00.000Z")]
        )
        documents = [
            civitai.documents.version(model, model.versions[0], "https://undefined", honour_override=True)
            for model in (young, old)
        ]
        civitai.answer_next(BY_HASH, Reply.json([None, *documents, None]))
        requests = asking(data, other)

        desk.backend.prepare(requests, desk.context)

        assert desk.offer("t.safetensors", "loras", digests=requests[0].digests).notes[0].startswith("Old")

    def test_nothing_is_asked_before_somebody_asks_about_one(
        self, civitai: CivitaiStandIn, desk: Desk, datas: list[bytes]
    ) -> None:
        desk.backend.prepare(asking(*datas), desk.context)

        assert civitai.requests == []

    def test_one_checksum_alone_needs_no_batch(self, civitai: CivitaiStandIn, desk: Desk, datas: list[bytes]) -> None:
        requests = asking(datas[0], datas[0])
        desk.backend.prepare(requests, desk.context)

        desk.offer("x.safetensors", "loras", digests=requests[0].digests)

        assert [asked.method for asked in civitai.requests] == ["GET"]

    def test_several_workers_ask_once(self, civitai: CivitaiStandIn, desk: Desk, datas: list[bytes]) -> None:
        requests = asking(*datas[:30])
        desk.backend.prepare(requests, desk.context)
        context = desk.context

        with ThreadPoolExecutor(6) as pool:
            found = list(pool.map(lambda one: desk.backend.resolve_model(one, context), requests))

        assert all(found)
        assert len(civitai.requests) == 1

    def test_what_an_earlier_run_learnt_is_not_asked_again(
        self, civitai: CivitaiStandIn, desk: Desk, datas: list[bytes]
    ) -> None:
        for count in (50, 52):
            requests = asking(*datas[:count])
            desk.backend.prepare(requests, desk.context)
            desk.offer("x.safetensors", "loras", digests=requests[-1].digests)
            desk.new_run()

        assert [len(json.loads(asked.body)) for asked in civitai.requests] == [50, 2]

    def test_a_host_without_the_batch_is_asked_one_by_one(
        self, civitai: CivitaiStandIn, desk: Desk, datas: list[bytes]
    ) -> None:
        civitai.answer_next(BY_HASH, Reply.json({"error": "Method not allowed"}, 405))
        requests = asking(*datas[:2])

        desk.backend.prepare(requests, desk.context)

        assert desk.offer("x.safetensors", "loras", digests=requests[1].digests).match is Match.DIGEST
