"""What a request is offered from the tables, and how surely."""

from __future__ import annotations

import pytest
from comfywatchman_directid.choice import Tables, choose
from comfywatchman_directid.rows import KnownModel
from comfywatchman_directid.sources import CivitaiFile, HubFile, WebFile, identify
from comfywatchman_directid.table import Table

from comfywatchman_core import Candidate, Digest, Match, ModelRequest

ONE, TWO = "1" * 64, "2" * 64
HUB = "https://huggingface.co"


def row(name: str, at: str, folder: str = "vae", sha256: str | None = None, size: int | None = None) -> KnownModel:
    source = identify(at)
    assert source is not None
    return KnownModel(name=name, folders=(folder,) if folder else (), source=source, sha256=sha256, size=size)


def hub_row(name: str, repository: str, folder: str = "vae", sha256: str | None = None) -> KnownModel:
    return row(name, f"hf:{repository}/{name}", folder, sha256)


def tables(*rows: KnownModel, mine: tuple[KnownModel, ...] = (), learned: tuple[KnownModel, ...] = ()) -> Tables:
    return Tables(
        users=(Table(mine, label="mine"),) if mine else (),
        packaged=Table(rows, label="packaged"),
        learned=Table(learned, label="learned", curated=False),
    )


def wanted(name: str = "a.safetensors", folder: str = "vae", **more: object) -> ModelRequest:
    return ModelRequest(name=name, folder=folder, **more)  # type: ignore[arg-type]


def offers(request: ModelRequest, known: Tables) -> tuple[Candidate, ...]:
    return choose(request, known) or ()


class TestAName:
    def test_name_and_folder_of_one_known_file_are_certain(self) -> None:
        (offer,) = offers(wanted(), tables(hub_row("a.safetensors", "o/r", sha256=ONE)))

        assert offer.match is Match.SOURCE_ID
        assert offer.reference == "hf:o/r/a.safetensors"
        assert offer.url == f"{HUB}/o/r/resolve/main/a.safetensors"
        assert offer.delegate == "huggingface"
        assert offer.sha256 == ONE
        assert offer.trusted

    def test_letter_case_and_the_workflows_sub_folder_do_not_count(self) -> None:
        known = tables(hub_row("a.safetensors", "o/r"))

        assert offers(wanted("Flux\\A.SafeTensors"), known)[0].match is Match.SOURCE_ID

    @pytest.mark.parametrize("name", ["xa.safetensors", "a.safetensors2.safetensors", "a.ckpt", "a-fp8.safetensors"])
    def test_a_name_that_only_looks_alike_is_not_known(self, name: str) -> None:
        assert choose(wanted(name), tables(hub_row("a.safetensors", "o/r"))) == ()

    @pytest.mark.parametrize(("asked", "known"), [("unet", "diffusion_models"), ("clip", "text_encoders")])
    def test_a_legacy_folder_key_is_the_present_one(self, asked: str, known: str) -> None:
        rows = tables(hub_row("a.safetensors", "o/r", folder=known))

        assert offers(wanted(folder=asked), rows)[0].match is Match.SOURCE_ID
        assert offers(wanted(folder=asked), rows)[0].folder == known

    def test_a_name_known_for_another_folder_is_reported_and_not_taken(self) -> None:
        (offer,) = offers(wanted(folder="checkpoints"), tables(hub_row("a.safetensors", "o/r")))

        assert offer.match is Match.FUZZY
        assert offer.notes == ("known for vae, not for checkpoints",)

    def test_without_a_folder_the_name_alone_is_no_certainty(self) -> None:
        (offer,) = offers(wanted(folder=""), tables(hub_row("a.safetensors", "o/r")))

        assert offer.match is Match.FILENAME
        assert offer.folder == "vae"

    def test_a_row_without_folders_is_for_any(self) -> None:
        (offer,) = offers(wanted(folder="loras"), tables(row("a.safetensors", "hf:o/r/a.safetensors", folder="")))

        assert (offer.match, offer.folder) == (Match.SOURCE_ID, "loras")

    def test_a_name_without_a_suffix_means_the_first_that_a_loader_would_find(self) -> None:
        known = tables(
            row("Ink.pt", "hf:o/r/Ink.pt", "embeddings"),
            row("ink.safetensors", "hf:o/r/ink.safetensors", "embeddings"),
        )

        (offer,) = offers(wanted("Ink", "embeddings"), known)
        assert offer.name == "ink.safetensors"

    def test_a_renamed_file_says_its_own_name(self) -> None:
        (offer,) = offers(wanted(), tables(row("a.safetensors", "hf:o/r/b.safetensors")))

        assert offer.name == "b.safetensors"
        assert offer.notes == ("its source calls it b.safetensors",)

    def test_what_is_not_known_is_found_nowhere_and_not_declined(self) -> None:
        assert choose(wanted("other.safetensors"), tables()) == ()


class TestOneNameForSeveralFiles:
    def test_different_digests_are_all_offered_by_name_only(self) -> None:
        known = tables(hub_row("a.safetensors", "o/one", sha256=ONE), hub_row("a.safetensors", "o/two", sha256=TWO))

        found = offers(wanted(), known)

        assert [(offer.match, offer.sha256) for offer in found] == [(Match.FILENAME, ONE), (Match.FILENAME, TWO)]
        assert all("2 different files" in offer.notes[-1] for offer in found)

    def test_equal_digests_are_mirrors_of_one_certain_file(self) -> None:
        known = tables(hub_row("a.safetensors", "o/one", sha256=ONE), hub_row("a.safetensors", "o/two", sha256=ONE))

        assert [offer.match for offer in offers(wanted(), known)] == [Match.SOURCE_ID] * 2

    def test_a_row_with_a_digest_goes_before_one_without_and_neither_is_certain(self) -> None:
        known = tables(hub_row("a.safetensors", "o/one"), hub_row("a.safetensors", "o/two", sha256=ONE))

        found = offers(wanted(), known)

        assert [offer.reference for offer in found] == ["hf:o/two/a.safetensors", "hf:o/one/a.safetensors"]
        assert {offer.match for offer in found} == {Match.FILENAME}
        assert "not known" in found[0].notes[-1]

    def test_the_workflows_own_address_decides(self) -> None:
        known = tables(hub_row("a.safetensors", "o/one", sha256=ONE), hub_row("a.safetensors", "o/two", sha256=TWO))

        (offer,) = offers(wanted(url=f"{HUB}/o/two/blob/main/a.safetensors?download=true"), known)

        assert (offer.match, offer.sha256) == (Match.SOURCE_ID, TWO)

    def test_an_address_in_a_note_prefers_but_does_not_decide(self) -> None:
        known = tables(hub_row("a.safetensors", "o/one", sha256=ONE), hub_row("a.safetensors", "o/two", sha256=TWO))

        found = offers(wanted(hints=(f"{HUB}/o/two/resolve/main/a.safetensors",)), known)

        assert [(offer.match, offer.sha256) for offer in found] == [(Match.FILENAME, TWO), (Match.FUZZY, ONE)]

    def test_notes_that_mention_both_prefer_neither(self) -> None:
        known = tables(hub_row("a.safetensors", "o/one", sha256=ONE), hub_row("a.safetensors", "o/two", sha256=TWO))
        hints = tuple(f"{HUB}/o/{name}/resolve/main/a.safetensors" for name in ("one", "two"))

        assert [offer.match for offer in offers(wanted(hints=hints), known)] == [Match.FILENAME] * 2


class TestADigest:
    def test_the_requests_digest_is_certainty(self) -> None:
        known = tables(hub_row("a.safetensors", "o/one", sha256=ONE), hub_row("a.safetensors", "o/two", sha256=TWO))

        (offer,) = offers(wanted(digests=(Digest("sha256", TWO),)), known)

        assert (offer.match, offer.reference) == (Match.DIGEST, "hf:o/two/a.safetensors")

    def test_equal_bytes_are_found_under_any_name(self) -> None:
        known = tables(hub_row("flux_ae.safetensors", "o/r", sha256=ONE))

        (offer,) = offers(wanted("ae.safetensors", digests=(Digest("sha256", ONE),)), known)

        assert offer.match is Match.DIGEST

    def test_a_row_with_another_digest_is_not_the_file(self) -> None:
        known = tables(hub_row("a.safetensors", "o/one", sha256=ONE))

        assert choose(wanted(digests=(Digest("sha256", TWO),)), known) == ()

    def test_a_row_without_a_digest_may_still_be_the_file(self) -> None:
        known = tables(hub_row("a.safetensors", "o/one"))

        (offer,) = offers(wanted(digests=(Digest("sha256", TWO),)), known)
        assert (offer.match, offer.digests) == (Match.SOURCE_ID, ())

    def test_another_size_is_another_file(self) -> None:
        known = tables(row("a.safetensors", "hf:o/r/a.safetensors", size=10))

        assert offers(wanted(size=10), known)
        assert choose(wanted(size=11), known) == ()


class TestTheWorkflowsAddress:
    def test_an_address_that_no_row_has_is_left_to_its_source(self) -> None:
        (offer,) = offers(
            wanted(url=f"{HUB}/somebody/else/resolve/main/a.safetensors"), tables(hub_row("a.safetensors", "o/r"))
        )

        assert offer.match is Match.FUZZY
        assert "another address" in offer.notes[0]

    def test_a_page_about_several_files_is_no_address_of_the_file(self) -> None:
        (offer,) = offers(wanted(url=f"{HUB}/somebody/else"), tables(hub_row("a.safetensors", "o/r")))

        assert offer.match is Match.SOURCE_ID

    def test_a_pull_request_to_a_known_repository_is_not_the_known_file(self) -> None:
        known = tables(hub_row("a.safetensors", "o/r", sha256=ONE))

        (offer,) = offers(wanted(url=f"{HUB}/o/r/resolve/refs%2Fpr%2F1/a.safetensors"), known)

        assert offer.match is Match.FUZZY

    def test_an_address_that_leads_to_another_known_model_is_a_slip(self) -> None:
        known = tables(hub_row("a_sft.safetensors", "o/r"), hub_row("a_base.safetensors", "o/r"))

        (offer,) = offers(wanted("a_sft.safetensors", url=f"{HUB}/o/r/resolve/main/a_base.safetensors"), known)

        assert (offer.match, offer.reference) == (Match.SOURCE_ID, "hf:o/r/a_sft.safetensors")
        assert "leads to a_base.safetensors" in offer.notes[0]

    def test_a_known_file_may_be_given_a_name_of_the_workflows_own(self) -> None:
        known = tables(hub_row("a.safetensors", "o/r", sha256=ONE))

        (offer,) = offers(wanted("mine.safetensors", url=f"{HUB}/o/r/resolve/main/a.safetensors"), known)

        assert (offer.match, offer.sha256) == (Match.SOURCE_ID, ONE)

    def test_an_address_counts_for_whatever_folder_the_loader_reads(self) -> None:
        known = tables(hub_row("a.safetensors", "o/r", folder="checkpoints"))

        (offer,) = offers(wanted(folder="diffusion_models", url=f"{HUB}/o/r/resolve/main/a.safetensors"), known)

        assert (offer.match, offer.folder) == (Match.SOURCE_ID, "diffusion_models")

    def test_a_version_alone_does_not_give_one_of_its_files_another_name(self) -> None:
        source = CivitaiFile(version=5, file=7)
        known = tables(KnownModel(name="a.safetensors", folders=("loras",), source=source))
        url = "https://civitai.com/api/download/models/5"

        assert choose(wanted("other.safetensors", "loras", url=url), known) == ()
        assert offers(wanted("a.safetensors", "loras", url=url), known)[0].match is Match.SOURCE_ID


class TestAGenericName:
    def test_is_nothing_to_go_by(self) -> None:
        known = tables(row("model.safetensors", "hf:o/r/vae/model.safetensors", sha256=ONE))

        assert choose(wanted("model.safetensors"), known) == ()

    def test_is_enough_with_the_workflows_own_address(self) -> None:
        known = tables(row("model.safetensors", "hf:o/r/vae/model.safetensors", sha256=ONE))

        (offer,) = offers(wanted("model.safetensors", url=f"{HUB}/o/r/resolve/main/vae/model.safetensors"), known)
        assert offer.match is Match.SOURCE_ID

    def test_is_enough_with_the_end_of_its_path(self) -> None:
        known = tables(
            row("model.safetensors", "hf:o/r/vae/model.safetensors", sha256=ONE),
            row("model.safetensors", "hf:o/s/encoder/model.safetensors", sha256=TWO),
        )

        assert offers(wanted("r/vae/model.safetensors"), known)[0].sha256 == ONE
        assert [offer.match for offer in offers(wanted("vae/model.safetensors"), known)] == [Match.SOURCE_ID]
        assert choose(wanted("ae/model.safetensors"), known) == ()

    @pytest.mark.parametrize(
        "name",
        [
            "diffusion_pytorch_model.safetensors",
            "diffusion_pytorch_model.fp16.safetensors",
            "diffusion_pytorch_model-00001-of-00003.safetensors",
            "model.fp16.safetensors",
            "pytorch_model.bin",
            "pytorch_lora_weights.safetensors",
            "adapter_model.safetensors",
            "ip-adapter.bin",
            "wan-00002-of-00007.safetensors",
        ],
    )
    def test_names_that_every_other_repository_uses(self, name: str) -> None:
        assert choose(wanted(name), tables(row(name, f"hf:o/r/{name}"))) == ()


class TestAReference:
    def test_to_a_known_file_brings_its_folder_and_digest(self) -> None:
        request = ModelRequest(reference="hf:o/r/a.safetensors", explicit=True)

        (offer,) = offers(request, tables(hub_row("a.safetensors", "o/r", sha256=ONE)))

        assert (offer.match, offer.folder, offer.sha256) == (Match.SOURCE_ID, "vae", ONE)

    def test_to_an_unknown_file_is_left_to_its_source(self) -> None:
        request = ModelRequest(reference="hf:o/r/b.safetensors", explicit=True)

        assert choose(request, tables(hub_row("a.safetensors", "o/r"))) is None

    def test_to_a_version_is_left_to_its_source_which_knows_the_files(self) -> None:
        known = tables(KnownModel(name="a.pt", folders=("loras",), source=CivitaiFile(version=5, file=7)))

        assert choose(ModelRequest(reference="civitai:4@5", explicit=True), known) is None

    def test_of_a_plan_is_never_answered_with_another_place_of_the_same_bytes(self) -> None:
        request = wanted(reference="hf:o/elsewhere/a.safetensors", digests=(Digest("sha256", ONE),))

        assert choose(request, tables(hub_row("a.safetensors", "o/r", sha256=ONE))) is None

    def test_with_two_folders_in_the_table_proposes_none(self) -> None:
        both = KnownModel(
            name="a.safetensors",
            folders=("checkpoints", "diffusion_models"),
            source=HubFile(repository="o/r", path="a.safetensors"),
        )

        (offer,) = offers(ModelRequest(reference="hf:o/r/a.safetensors", explicit=True), tables(both))
        assert offer.folder == ""


class TestWhoseWordCounts:
    def test_the_users_own_table_is_final(self) -> None:
        known = tables(hub_row("a.safetensors", "o/r", sha256=ONE), mine=(hub_row("a.safetensors", "me/r"),))

        assert [offer.reference for offer in offers(wanted(), known)] == ["hf:me/r/a.safetensors"]

    def test_the_users_own_table_counts_more_than_the_workflows_address_and_says_so(self) -> None:
        known = tables(mine=(hub_row("a.safetensors", "me/r"),))

        (offer,) = offers(wanted(url="https://example.org/a.safetensors"), known)

        assert (offer.match, offer.reference) == (Match.SOURCE_ID, "hf:me/r/a.safetensors")
        assert "your table is followed" in offer.notes[0]

    def test_what_was_learned_never_disturbs_what_is_packaged(self) -> None:
        known = tables(
            hub_row("a.safetensors", "o/r", sha256=ONE), learned=(hub_row("a.safetensors", "evil/r", sha256=TWO),)
        )

        assert [(offer.match, offer.sha256) for offer in offers(wanted(), known)] == [(Match.SOURCE_ID, ONE)]

    def test_what_was_learned_answers_where_nobody_else_knows(self) -> None:
        (offer,) = offers(wanted(), tables(learned=(hub_row("a.safetensors", "o/r", sha256=ONE),)))

        assert offer.match is Match.SOURCE_ID
        assert not offer.trusted
        assert offer.notes == ("it was downloaded on this machine before",)

    def test_a_row_claims_no_more_than_it_may(self) -> None:
        source = HubFile(repository="o/r", path="a.safetensors")
        modest = KnownModel(name="a.safetensors", folders=("vae",), source=source, match=Match.FILENAME)

        assert [offer.match for offer in offers(wanted(), tables(learned=(modest,)))] == [Match.FILENAME]

    def test_a_plain_address_in_a_table_has_no_back_end(self) -> None:
        row_ = KnownModel(
            name="a.safetensors", folders=("vae",), source=WebFile(address="https://example.org/a.safetensors")
        )

        (offer,) = offers(wanted(), tables(mine=(row_,)))
        assert (offer.delegate, offer.url) == ("", "https://example.org/a.safetensors")
