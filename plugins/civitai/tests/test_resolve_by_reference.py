"""Whoever pastes a link, an AIR or an id gets exactly that file."""

from __future__ import annotations

from typing import Any

import pytest
from standins.civitai import CivitaiStandIn, File, Model, Version
from standins.civitai_desk import Desk

from comfywatchman_core import BackendError, Digest, Match, errors
from comfywatchman_core.testing import Reply, safetensors, sha256

CODE = errors.ErrorCode
NEW, OLD = safetensors("new"), safetensors("old")


@pytest.fixture
def ink(civitai: CivitaiStandIn) -> Model:
    """A model with two versions, the newer one shown first."""
    return civitai.add_model(
        name="Ink Style",
        type="LORA",
        versions=[Version("v2", [File("ink_v2.safetensors", NEW)]), Version("v1", [File("ink.safetensors", OLD)])],
    )


@pytest.fixture
def variants(civitai: CivitaiStandIn) -> Model:
    """A checkpoint of several files, the pruned one primary."""
    return civitai.add_model(
        name="Painter",
        type="Checkpoint",
        versions=[
            Version(
                "v1",
                [
                    File("notes.zip", b"PK", type="Archive"),
                    File("p-full.ckpt", b"full", metadata={"format": "PickleTensor", "size": "full", "fp": "fp32"}),
                    File("p.safetensors", NEW, metadata={"format": "SafeTensor", "size": "pruned", "fp": "fp16"}),
                    File("p8.safetensors", OLD, metadata={"format": "SafeTensor", "size": "pruned", "fp": "fp8"}),
                    File("p.vae.safetensors", safetensors("vae"), type="VAE", metadata={"format": "SafeTensor"}),
                ],
            )
        ],
    )


def ids(model: Model, version: int = 0, file: int = 0) -> tuple[int, int, int]:
    return model.id, model.versions[version].id, model.versions[version].files[file].id


def test_the_file_of_a_version_is_offered_with_everything_that_identifies_it(
    civitai: CivitaiStandIn, desk: Desk, ink: Model
) -> None:
    model, version, file = ids(ink)

    offer = desk.offer(reference=f"civitai:{model}@{version}+{file}")

    assert offer.match is Match.SOURCE_ID
    assert offer.url == f"{civitai.url}/api/download/models/{version}?fileId={file}"
    assert offer.endpoint == civitai.url
    assert (offer.size, offer.sha256) == (len(NEW), sha256(NEW))
    assert (offer.name, offer.folder) == ("ink_v2.safetensors", "loras")
    assert offer.reference == f"civitai:{model}@{version}+{file}"
    assert offer.obstacle is None


def test_every_form_of_reference_leads_to_the_same_file(civitai: CivitaiStandIn, desk: Desk, ink: Model) -> None:
    model, version, file = ids(ink, 1)
    forms = [
        f"civitai:{model}@{version}",
        f"urn:air:sdxl:lora:civitai:{model}@{version}",
        f"urn:air:sdxl:lora:civitai:{model}@{version}+{file}.safetensors",
        f"https://civitai.com/models/{model}/ink-style?modelVersionId={version}",
        f"https://civitai.red/models/{model}?modelVersionId={version}",
        f"https://civitai.com/model-versions/{version}",
        f"https://www.civitai.com/api/download/models/{version}?type=Model&token=5ecre7",
        f"{civitai.url}/api/v1/model-versions/{version}",
    ]

    offers = [desk.offer(reference=form) for form in forms]

    assert {offer.sha256 for offer in offers} == {sha256(OLD)}
    assert {offer.reference for offer in offers} == {f"civitai:{model}@{version}+{file}"}
    assert all("5ecre7" not in repr(offer) for offer in offers)
    assert all("5ecre7" not in asked.target for asked in civitai.requests)


def test_a_model_without_a_version_means_the_one_its_page_shows_and_says_so(desk: Desk, ink: Model) -> None:
    offer = desk.offer(reference=f"civitai:{ink.id}")

    assert offer.sha256 == sha256(NEW)
    assert any("no version" in note and "v2" in note for note in offer.notes)


def test_a_link_of_the_workflow_means_the_configured_service(desk: Desk, ink: Model) -> None:
    model, version, _ = ids(ink, 1)

    offer = desk.offer(
        "whatever.safetensors", "loras", url=f"https://civitai.com/models/{model}?modelVersionId={version}"
    )

    assert (offer.match, offer.sha256) == (Match.SOURCE_ID, sha256(OLD))


def test_a_link_in_a_note_counts_where_its_file_bears_the_wanted_name(desk: Desk, ink: Model) -> None:
    link = f"https://civitai.com/models/{ink.id}?modelVersionId={ink.versions[1].id}"

    named = desk.offer("ink.safetensors", "loras", hints=(link,))

    assert (named.match, named.sha256) == (Match.SOURCE_ID, sha256(OLD))


def test_a_link_in_a_note_to_another_file_does_not_count(desk: Desk, ink: Model) -> None:
    link = f"https://civitai.com/models/{ink.id}?modelVersionId={ink.versions[0].id}"

    found = desk.resolve("wash_painting.safetensors", "loras", hints=(link, "no link"))

    assert [offer for offer in found or () if offer.match > Match.FUZZY] == []


def test_of_many_links_in_notes_a_few_are_followed(civitai: CivitaiStandIn, desk: Desk) -> None:
    links = tuple(f"https://civitai.com/models/{number}" for number in range(7000, 7200))

    desk.resolve("wash_painting.safetensors", "loras", hints=links)

    assert len([asked for asked in civitai.requests if "/models/7" in asked.path]) == 3


@pytest.mark.parametrize("reference", ["hf:owner/repo/a.safetensors", "https://example.org/a.safetensors"])
def test_a_reference_of_another_source_is_declined(desk: Desk, reference: str) -> None:
    assert desk.resolve(reference=reference) is None


def test_a_reference_of_another_source_is_declined_whatever_its_name(civitai: CivitaiStandIn, desk: Desk) -> None:
    link = "https://example.org/ink.safetensors"

    assert desk.resolve("ink.safetensors", "loras", reference=link, url=link, explicit=True) is None
    assert civitai.requests == []


def test_a_page_that_is_no_model_is_told_with_what_to_pass_instead(desk: Desk) -> None:
    with pytest.raises(BackendError, match="names no model") as told:
        desk.resolve(reference="https://civitai.com/articles/7")

    assert told.value.code is CODE.NOT_FOUND
    assert told.value.hint


def test_a_bare_number_is_ambiguous(desk: Desk) -> None:
    with pytest.raises(BackendError) as refused:
        desk.resolve(reference="128713")

    assert refused.value.code is CODE.AMBIGUOUS


@pytest.mark.parametrize("reference", ["civitai:77", "civitai:77@78", "https://civitai.com/model-versions/78"])
def test_what_is_not_there_is_told_as_not_found(desk: Desk, reference: str) -> None:
    with pytest.raises(BackendError, match="Civitai has no") as told:
        desk.resolve(reference=reference)

    assert told.value.code is CODE.NOT_FOUND
    assert "deleted or unpublished" in (told.value.hint or "")


def test_a_link_of_the_workflow_that_leads_nowhere_leaves_the_name(
    civitai: CivitaiStandIn, desk: Desk, ink: Model
) -> None:
    offer, *_ = desk.resolve("ink_v2.safetensors", "loras", url="https://civitai.com/models/77") or []

    assert (offer.match, offer.sha256) == (Match.FILENAME, sha256(NEW))
    assert any("leads nowhere" in warning for warning in desk.warnings)


def test_a_version_of_another_model_is_not_taken_for_the_one_named(desk: Desk, ink: Model, variants: Model) -> None:
    version = variants.versions[0].id

    with pytest.raises(BackendError, match="of another model") as told:
        desk.resolve(reference=f"civitai:{ink.id}@{version}")

    assert f"civitai:{variants.id}@{version}" in (told.value.hint or "")


def test_a_version_that_nobody_rated_yet_is_confirmed_with_mini(civitai: CivitaiStandIn, desk: Desk) -> None:
    fresh = civitai.add_model(name="Fresh", versions=[Version("v1", [File("f.safetensors", NEW)], nsfw_level=0)])
    model, version, file = ids(fresh)

    offer = desk.offer(reference=f"civitai:{model}@{version}")

    assert (offer.match, offer.sha256) == (Match.SOURCE_ID, sha256(NEW))
    assert offer.url.endswith(f"/api/download/models/{version}?fileId={file}")


def test_a_file_whose_scan_is_pending_gets_its_checksum_from_mini(
    civitai: CivitaiStandIn, desk: Desk, ink: Model
) -> None:
    file = ink.versions[0].files[0]
    document = civitai.documents.version(ink, ink.versions[0], civitai.url, honour_override=False)
    document["files"][0]["hashes"] = {}
    civitai.answer_next("/api/v1/model-versions/", Reply.json(document))

    offer = desk.offer(reference=f"civitai:{ink.id}@{ink.versions[0].id}+{file.id}")

    assert offer.sha256 == sha256(NEW)


class TestWhichFileOfAVersion:
    def test_the_file_that_the_site_itself_would_send(self, desk: Desk, variants: Model) -> None:
        offer = desk.offer(reference=f"civitai:{variants.id}@{variants.versions[0].id}")

        assert offer.sha256 == sha256(NEW)
        assert any("other files" in note and f"+{variants.versions[0].files[3].id}" in note for note in offer.notes)

    @pytest.mark.parametrize(
        ("query", "place"),
        [
            ("type=Model&format=SafeTensor&size=pruned&fp=fp16", 2),
            ("type=Model&format=SafeTensor&size=pruned&fp=fp8", 3),
            ("type=Model&format=PickleTensor&size=full&fp=fp32", 1),
            ("type=VAE&format=SafeTensor", 4),
            ("fp=fp64", 2),  # the site would answer 404; what it sends without the wish is meant
        ],
    )
    def test_the_file_that_the_link_asks_for(self, desk: Desk, variants: Model, query: str, place: int) -> None:
        version = variants.versions[0]

        offer = desk.offer(reference=f"https://civitai.com/api/download/models/{version.id}?{query}")

        assert offer.reference.endswith(f"+{version.files[place].id}")

    @pytest.mark.parametrize(
        ("wanted", "place"),
        [
            ({"name": "painter_v1_pruned_fp8.safetensors", "folder": "checkpoints"}, 3),  # by name
            ({"name": "mine.ckpt", "folder": "checkpoints"}, 1),  # by format
            ({"name": "mine.safetensors", "folder": "vae"}, 4),  # by folder
            ({"name": "mine.safetensors", "digests": (Digest("sha256", sha256(OLD)),)}, 3),  # by checksum
            ({"name": "mine.safetensors", "folder": "checkpoints"}, 2),  # none of them: the primary one
        ],
    )
    def test_the_file_that_the_request_asks_for(
        self, desk: Desk, variants: Model, wanted: dict[str, Any], place: int
    ) -> None:
        version = variants.versions[0]

        offer = desk.offer(**wanted, reference=f"civitai:{variants.id}@{version.id}")

        assert offer.reference.endswith(f"+{version.files[place].id}")

    def test_a_file_id_that_the_version_does_not_show_is_asked_for(self, civitai: CivitaiStandIn, desk: Desk) -> None:
        model = civitai.add_model(
            name="Two", versions=[Version("v1", [File("a.safetensors", NEW), File("b.safetensors", OLD)])]
        )
        version, hidden = model.versions[0], model.versions[0].files[1]
        document = civitai.documents.version(model, version, civitai.url, honour_override=False)
        document["files"] = document["files"][:1]
        civitai.answer_next(f"/api/v1/model-versions/{version.id}", Reply.json(document))

        offer = desk.offer(reference=f"civitai:{model.id}@{version.id}+{hidden.id}")

        assert offer.sha256 == sha256(OLD)

    def test_a_file_id_that_nobody_knows_is_told(self, desk: Desk, ink: Model) -> None:
        with pytest.raises(BackendError, match="no such file") as told:
            desk.resolve(reference=f"civitai:{ink.id}@{ink.versions[0].id}+999999")

        assert told.value.code is CODE.NOT_FOUND

    def test_no_primary_file_is_no_reason_to_take_the_first(self, civitai: CivitaiStandIn, desk: Desk) -> None:
        hidden = File("h.safetensors", NEW, public=False, metadata={"format": "SafeTensor", "size": "pruned"})
        model = civitai.add_model(
            name="Odd",
            type="Checkpoint",
            versions=[
                Version("v1", [hidden, File("a.zip", b"PK", type="Archive"), File("o.safetensors", OLD)]),
            ],
        )

        assert desk.offer(reference=f"civitai:{model.id}").sha256 == sha256(OLD)
