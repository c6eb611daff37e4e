"""The Civitai stand-in, held to what is known of the service."""

from __future__ import annotations

import importlib.util
import json
import random
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlencode

import pytest
from standins.civitai import CivitaiStandIn, DownloadAnswer, File, StorageFault, Version
from standins.civitai_documents import chosen_file, selected_for_download
from standins.civitai_naming import printed_name
from standins.civitai_neighbourhood import settle

from comfywatchman_core import BackendError
from comfywatchman_core.answer import HttpAnswer
from comfywatchman_core.http import ApiClient
from comfywatchman_core.testing import safetensors, sha256

CONTRACTS = Path(__file__).resolve().parents[3] / "shared" / "contracts"
DATA = safetensors("payload", 5000)
Get = Callable[..., HttpAnswer]


@pytest.fixture
def civitai() -> Iterator[CivitaiStandIn]:
    with CivitaiStandIn(keys=("good-key",)) as running:
        yield running


@pytest.fixture
def get(civitai: CivitaiStandIn) -> Get:
    """Ask the stand-in; redirects are shown, not followed."""
    client = ApiClient(retries=0)

    def ask(
        target: str, *, method: str = "GET", query: Mapping[str, Any] | None = None, key: str = "", **headers: str
    ) -> HttpAnswer:
        url = target if target.startswith("http") else civitai.url + target
        body = headers.pop("body", "").encode() or None
        credentials = {name.replace("_", "-"): text for name, text in headers.items()}
        if key:
            credentials["Authorization"] = f"Bearer {key}"
        if query:
            url += "?" + urlencode(query, doseq=True)
        every = range(400, 600)
        return client.request(method, url, headers=credentials, body=body, follow=False, final=every, endpoint=url)

    return ask


def reference(name: str) -> ModuleType:
    path = CONTRACTS / f"{name}.py"
    if not path.is_file():
        pytest.skip("the reference is not beside this checkout")
    spec = importlib.util.spec_from_file_location(f"{name}_of_the_contract", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class TestRules:
    def test_files_are_chosen_as_the_reference_chooses(self) -> None:
        rule, dice = reference("civitai_reference"), random.Random(4)
        for _ in range(500):
            files = [
                File(
                    f"{number}.safetensors",
                    id=number,
                    type=dice.choice(["Model", "Pruned Model", "VAE", "UNet"]),
                    metadata={
                        key: dice.choice(values)
                        for key, values in {
                            "format": ["SafeTensor", "GGUF", None], "size": ["full", "pruned"], "fp": ["fp16", "fp8"]
                        }.items()
                        if dice.random() < 0.7
                    },
                )
                for number in range(1, dice.randint(2, 5))
            ]  # fmt: skip
            raw = [{"id": file.id, "type": file.type, "metadata": file.metadata} for file in files]
            query = {
                key: dice.choice(values)
                for key, values in {"type": ["VAE", "Model"], "fp": ["fp16"], "size": ["full", "pruned"]}.items()
                if dice.random() < 0.4
            }
            wanted, chosen = rule.select_for_download(raw, query), selected_for_download(files, query, {})
            first = chosen_file(files)
            assert (chosen.id if chosen else None) == (wanted["id"] if wanted else None)
            assert first is not None
            assert first.id == rule.primary_file(raw)["id"]

    def test_names_are_composed_as_the_reference_composes(self) -> None:
        rule, dice = reference("civitai_naming"), random.Random(6)
        words = ["Ink", "Style", "XL", "v1.0", "It's", "3D", "(beta)", "水墨", "inpainting", "-"]
        with CivitaiStandIn() as civitai:
            for _ in range(300):
                title, label = (" ".join(dice.choices(words, k=dice.randint(1, 4))) for _ in range(2))
                kind = dice.choice(["Checkpoint", "LORA", "DoRA", "TextualInversion"])
                names = dice.choices(["a.safetensors", "a-inpainting.ckpt"], k=dice.randint(1, 3))
                files = [File(name, metadata={"fp": dice.choice(["fp16", None])}) for name in names]
                model = civitai.add_model(name=title, type=kind, versions=[Version(label, files, trained_words=["w"])])
                raw = [{"id": f.id, "name": f.name, "type": f.type, "metadata": f.metadata} for f in files]
                for one, file in zip(raw, files, strict=True):
                    version = model.versions[0]
                    assert printed_name(model, version, file) == rule.name_v2(title, kind, label, one, raw, ["w"])
                    before = rule.name_v1(title, kind, label, file.name, file.type, None, ["w"])
                    assert printed_name(model, version, file, rule="v1") == before

    def test_checksums_are_those_of_the_reference(self, tmp_path: Path) -> None:
        path = tmp_path / "x.safetensors"
        path.write_bytes(safetensors("big", 3 << 20))
        wanted = reference("civitai_reference").hashes_of(path)

        kinds = File("x.safetensors", path.read_bytes()).all_hashes()

        assert {kind: kinds[kind] for kind in wanted} == wanted
        assert set(kinds) - set(wanted) == {"BLAKE3"}


class TestTheList:
    @pytest.fixture(autouse=True)
    def models(self, civitai: CivitaiStandIn) -> None:
        add = civitai.add_model
        file = [Version("Anniversary", [File("needle.safetensors", DATA)], trained_words=["brushwork"])]
        add(name="Ink Style", versions=file, likes=5, tags=["haystack"])
        for level, name in ((4, "Ink Mature"), (28, "Ink Explicit"), (0, "Ink Unrated")):
            add(name=name, nsfw_level=level, versions=[Version("v1", [File("x.safetensors")])])
        add(name="Ink Young", minor=True, versions=[Version("v1", [File("x.safetensors")])])
        add(name="Ink Person", poi=True, versions=[Version("v1", [File("x.safetensors")])])
        add(name="Ink Archived", mode="Archived", versions=[Version("v1", [File("x.safetensors")])])
        add(name="Ink Draft", status="Draft", versions=[Version("v1", [File("x.safetensors")])])
        add(name="Absolute Lens", type="Checkpoint", likes=900, versions=[Version("v1", [File("x.safetensors")])])

    def names(self, get: Get, **query: Any) -> list[str]:
        document = get("/api/v1/models", query=query).json()
        return [item["name"] for item in document["items"]]

    def test_without_nsfw_only_what_is_fit_for_everybody_is_shown(self, get: Get) -> None:
        assert set(self.names(get, query="ink")) == {"Ink Style", "Ink Young"}

    def test_with_nsfw_everything_but_minors_is_shown(self, get: Get) -> None:
        assert set(self.names(get, query="ink", nsfw="true")) == {"Ink Style", "Ink Mature", "Ink Explicit"}

    @pytest.mark.parametrize("query", ["needle", "Anniversary", "haystack"])
    def test_file_names_versions_and_tags_are_never_searched(self, get: Get, query: str) -> None:
        assert self.names(get, query=query) == []

    @pytest.mark.parametrize("query", ["ink style", "brushwork", "maker", "INK", "sty", sha256(DATA)[:10]])
    def test_titles_makers_trigger_words_and_checksums_are(self, get: Get, query: str) -> None:
        assert "Ink Style" in self.names(get, query=query)

    def test_words_are_dropped_from_the_end_and_the_first_must_match(self, get: Get) -> None:
        assert self.names(get, query="ink style nonsense words") == ["Ink Style"]
        assert self.names(get, query="nonsense ink style") == []

    @pytest.mark.parametrize("query", ["absolutelens", "abso lute lens", "water colouring", "watercoluring"])
    def test_words_may_be_glued_or_split_or_misspelt(self, civitai: CivitaiStandIn, get: Get, query: str) -> None:
        civitai.add_model(name="Watercolouring", versions=[Version("v1", [File("x.safetensors")])])

        assert len(self.names(get, query=query)) == 1

    def test_a_liked_model_goes_before_a_closer_name(self, civitai: CivitaiStandIn, get: Get) -> None:
        for name, likes in (("Lens", 1), ("Lens of the Ancients", 700)):
            civitai.add_model(name=name, likes=likes, versions=[Version("v1", [File("x.safetensors")])])

        assert self.names(get, query="lens")[:2] == ["Absolute Lens", "Lens of the Ancients"]

    def test_types_are_repeated_and_not_a_list_with_commas(self, get: Get) -> None:
        assert self.names(get, query="absolute", types=["LORA", "Checkpoint"]) == ["Absolute Lens"]
        refused = get("/api/v1/models", query={"types": "LORA,LoCon"})
        assert refused.status == 400
        assert refused.json()["error"]["name"] == "ZodError"

    def test_a_search_has_cursors_and_no_pages(self, get: Get) -> None:
        refused = get("/api/v1/models", query={"query": "ink", "page": 1})
        first = get("/api/v1/models", query={"query": "ink", "limit": 1}).json()
        second = get(
            "/api/v1/models", query={"query": "ink", "limit": 1, "cursor": first["metadata"]["nextCursor"]}
        ).json()

        assert refused.status == 400
        assert first["metadata"]["nextCursor"] == "1"
        assert first["items"][0]["id"] != second["items"][0]["id"]
        assert "nextCursor" not in second["metadata"]

    def test_pages_end_at_a_thousand_models(self, get: Get) -> None:
        assert get("/api/v1/models", query={"page": 11, "limit": 100}).status == 429
        assert get("/api/v1/models", query={"page": 1}).json()["metadata"]["currentPage"] == 1

    @pytest.mark.parametrize("query", [{"limit": 101}, {"nsfw": "perhaps"}, {"sort": "Best"}, {"cursor": "x"}])
    def test_a_bad_parameter_is_refused_with_an_object(self, get: Get, query: dict[str, Any]) -> None:
        refused = get("/api/v1/models", query=query)

        assert refused.status == 400
        assert isinstance(refused.json()["error"], dict)

    def test_ids_are_overridden_by_a_query(self, civitai: CivitaiStandIn, get: Get) -> None:
        lens = next(model for model in civitai.catalogue.models.values() if model.name == "Absolute Lens")

        assert self.names(get, ids=lens.id) == ["Absolute Lens"]
        assert self.names(get, ids=lens.id, query="ink style") == ["Ink Style"]

    def test_filters_other_than_type_act_after_the_search(self, get: Get) -> None:
        assert self.names(get, query="ink", tag="haystack", limit=1) in ([], ["Ink Style"])
        assert get("/api/v1/models", query={"username": "nobody"}).status == 404

    @pytest.mark.parametrize("key", ["favorites", "hidden"])
    def test_private_lists_need_a_login(self, get: Get, key: str) -> None:
        assert get("/api/v1/models", query={key: "false"}).status == 401

    def test_nothing_found_is_an_empty_page(self, get: Get) -> None:
        assert get("/api/v1/models", query={"query": "zzzz"}).json() == {"items": [], "metadata": {}}


class TestLookups:
    def test_a_models_versions_leave_out_what_is_empty(self, civitai: CivitaiStandIn, get: Get) -> None:
        model = civitai.add_model(
            name="Ink", creator=None, null_stats=True, commercial_use="{Image,Rent}",
            versions=[Version("v1", [File("a.safetensors")])],
        )  # fmt: skip

        document = get(f"/api/v1/models/{model.id}").json()

        assert "creator" not in document
        assert document["stats"]["downloadCount"] is None
        assert isinstance(document["allowCommercialUse"], str)
        assert "description" not in document["modelVersions"][0]
        assert "images" not in document["modelVersions"][0]

    @pytest.mark.parametrize("path", ["/api/v1/models/x", "/api/v1/models/0", "/api/v1/model-versions/x"])
    def test_what_is_no_id_is_400(self, get: Get, path: str) -> None:
        assert get(path).status == 400

    def test_an_unrated_version_is_404_everywhere_but_in_mini_and_by_hash(
        self, civitai: CivitaiStandIn, get: Get
    ) -> None:
        model = civitai.add_model(
            name="Ink", nsfw_level=0, versions=[Version("v1", [File("a.safetensors", DATA)], nsfw_level=0)]
        )
        version = model.versions[0].id

        assert get(f"/api/v1/models/{model.id}").json() == {"error": f"No model with id {model.id}"}
        assert get(f"/api/v1/model-versions/{version}").json() == {"error": "Model not found"}
        assert get(f"/api/v1/model-versions/mini/{version}").json()["fileName"] == "a.safetensors"
        assert get(f"/api/v1/model-versions/by-hash/{sha256(DATA)}").json()["id"] == version

    def test_an_override_is_told_by_all_but_the_version_endpoint(self, civitai: CivitaiStandIn, get: Get) -> None:
        model = civitai.add_model(
            name="Ink", type="Checkpoint", versions=[Version("v1", [File("mine.ckpt", DATA, override="chosen.ckpt")])]
        )
        version = model.versions[0].id

        alone = get(f"/api/v1/model-versions/{version}").json()
        by_hash = get(f"/api/v1/model-versions/by-hash/{sha256(DATA)}").json()

        assert alone["files"][0]["name"] == "ink_v1.ckpt"
        assert by_hash["files"][0]["name"] == "chosen.ckpt"
        assert get(f"/api/v1/model-versions/mini/{version}").json()["fileName"] == "mine.ckpt"

    def test_mini_answers_for_one_file(self, civitai: CivitaiStandIn, get: Get) -> None:
        model = civitai.add_model(name="Ink", versions=[Version("v1", [File("a.safetensors"), File("b.safetensors")])])
        version, second = model.versions[0].id, model.versions[0].files[1].id

        assert get(f"/api/v1/model-versions/mini/{version}?modelFileId={second}").json()["fileName"] == "b.safetensors"
        assert get(f"/api/v1/model-versions/mini/{version}?modelFileId=7").status == 404

    def test_a_batch_drops_misses_and_may_hold_null(self, civitai: CivitaiStandIn, get: Get) -> None:
        hashes = []
        for number in range(2):
            data = safetensors(str(number))
            civitai.add_model(name=f"Ink {number}", versions=[Version("v1", [File("a.safetensors", data)])])
            hashes.append(sha256(data))
        path = "/api/v1/model-versions/by-hash"

        found = get(path, method="POST", body=json.dumps([*hashes, "0" * 64])).json()
        pairs = get(f"{path}/ids", method="POST", body=json.dumps([*hashes, "0" * 64])).json()

        assert [item["id"] if item else None for item in found][-1] is None
        assert len(found) == 3
        assert found[0]["downloadUrl"].startswith("https://undefined/")
        assert {pair["hash"].lower() for pair in pairs} == set(hashes)
        assert get(path, method="POST", body=json.dumps([hashes[0]] * 101)).status == 400
        assert get(path, method="POST", body='{"no": "list"}').status == 400

    def test_only_a_known_key_has_an_account(self, get: Get) -> None:
        assert get("/api/v1/me").json() == {"error": "Unauthorized"}
        assert get("/api/v1/me", key="wrong").status == 401
        assert get("/api/v1/me", key="good-key").json()["username"] == "tester"
        assert get("/api/v1/me?token=good-key").status == 200
        assert get("/api/v1/me?token=good-key", key="wrong").status == 401

    def test_other_methods_are_refused_where_they_are_looked_at(self, get: Get) -> None:
        assert get("/api/v1/models", method="POST").json() == {"error": "Method not allowed"}

    def test_a_blocked_region_is_451(self, civitai: CivitaiStandIn, get: Get) -> None:
        civitai.region_blocked = True

        assert get("/api/v1/models").json()["code"] == "REGION_BLOCKED"


class TestDownloads:
    def address(self, civitai: CivitaiStandIn, **of_file: Any) -> str:
        model = civitai.add_model(name="Ink", versions=[Version("v1", [File("ink.safetensors", DATA, **of_file)])])
        return f"/api/download/models/{model.versions[0].id}"

    @pytest.mark.parametrize(
        ("answer", "status", "words"),
        [
            (DownloadAnswer.BLOCKED, 403, "Forbidden"),
            (DownloadAnswer.QUOTA, 429, "unusual amount"),
            (DownloadAnswer.BAD_PARAMETER, 400, "Invalid"),
            (DownloadAnswer.MISSING, 404, "File not found"),
            (DownloadAnswer.ARCHIVED, 410, "archived"),
            (DownloadAnswer.DISABLED, 401, "disabled downloads"),
            (DownloadAnswer.LOGIN, 401, "logged in"),
            (DownloadAnswer.EARLY_ACCESS, 403, "deadline"),
            (DownloadAnswer.PAYWALL, 403, "Early Access"),
            (DownloadAnswer.NO_ACCESS, 403, "do not have access"),
            (DownloadAnswer.FILE_MISSING, 404, "File not found"),
            (DownloadAnswer.SERVER_ERROR, 500, "error"),
        ],
    )
    def test_every_row_of_the_table_can_be_had(
        self, civitai: CivitaiStandIn, get: Get, answer: DownloadAnswer, status: int, words: str
    ) -> None:
        refused = get(self.address(civitai, answer=answer))

        assert refused.status == status
        assert words in refused.text
        assert refused.headers["content-type"] == "application/json"

    def test_browsers_get_pages_and_plain_text(self, civitai: CivitaiStandIn, get: Get) -> None:
        agent = {"User_Agent": "Mozilla/5.0"}

        login = get(self.address(civitai, answer=DownloadAnswer.LOGIN), **agent)
        early = get(self.address(civitai, answer=DownloadAnswer.EARLY_ACCESS), **agent)
        gone = get(self.address(civitai, answer=DownloadAnswer.ARCHIVED), **agent)

        assert "reason=download-auth" in login.headers["location"]
        assert get(login.headers["location"]).headers["content-type"].startswith("text/html")
        assert "/model-versions/" in early.headers["location"]
        assert gone.headers["content-type"] == "text/plain"

    def test_the_answer_is_a_signed_address_on_another_host(self, civitai: CivitaiStandIn, get: Get) -> None:
        found = get(self.address(civitai))

        assert found.status == 307
        assert found.headers["location"].startswith(civitai.storage_url)
        assert "X-Amz-Signature=" in found.headers["location"]
        assert civitai.storage_url.partition("://")[2].partition(":")[0] != "127.0.0.1"

    def test_the_storage_serves_ranges_and_refuses_what_lies_behind_the_end(
        self, civitai: CivitaiStandIn, get: Get
    ) -> None:
        location = get(self.address(civitai)).headers["location"]

        assert get(location).body == DATA
        part = get(location, Range="bytes=10-19")
        assert (part.status, part.body) == (206, DATA[10:20])
        assert get(location, Range="bytes=999999-").status == 416
        assert get(location, method="HEAD").status == 403

    @pytest.mark.parametrize(("style", "status"), [("r2", 400), ("b2", 401)])
    def test_the_storage_does_not_like_a_key(self, style: Any, status: int, get: Get) -> None:
        with CivitaiStandIn(style=style) as civitai:
            location = get(civitai.url + self.address(civitai)).headers["location"]

            assert get(location, key="good-key").status == status

    @pytest.mark.parametrize(("style", "status"), [("r2", 403), ("b2", 401)])
    def test_a_signed_address_runs_out(self, style: Any, status: int, get: Get) -> None:
        with CivitaiStandIn(style=style) as civitai:
            location = get(civitai.url + self.address(civitai)).headers["location"]
            civitai.downloads.revoke()

            assert get(location).status == status
            assert get(get(civitai.url + self.address(civitai)).headers["location"]).status == 200

    def test_an_address_that_was_tampered_with_is_refused(self, civitai: CivitaiStandIn, get: Get) -> None:
        location = get(self.address(civitai)).headers["location"]

        assert get(location.replace("Signature=", "Signature=0")).status == 403

    def test_a_404_may_heal(self, civitai: CivitaiStandIn, get: Get) -> None:
        address = self.address(civitai, misses=1)

        assert [get(address).status for _ in range(2)] == [404, 307]

    def test_head_is_not_answered(self, civitai: CivitaiStandIn, get: Get) -> None:
        assert get(self.address(civitai), method="HEAD", key="good-key").status == 401

    @pytest.mark.parametrize(
        ("fault", "status", "body"),
        [
            (StorageFault.IGNORES_RANGE, 200, DATA),
            (StorageFault.OTHER_BYTES, 206, DATA[:100]),
            (StorageFault.LOGIN_PAGE, 200, b"<!DOCTYPE html>"),
            (StorageFault.JSON_ERROR, 200, b'{"error"'),
        ],
    )
    def test_the_storage_can_answer_wrongly_and_heal(
        self, civitai: CivitaiStandIn, get: Get, fault: StorageFault, status: int, body: bytes
    ) -> None:
        location = get(self.address(civitai, fault=fault, faults=1)).headers["location"]

        first = get(location, Range="bytes=0-99")

        assert first.status == status
        assert first.body.startswith(body)
        assert get(location).body == DATA

    @pytest.mark.parametrize("fault", [StorageFault.CUT, StorageFault.WRONG_LENGTH])
    def test_the_storage_can_end_a_connection_early(
        self, civitai: CivitaiStandIn, get: Get, fault: StorageFault
    ) -> None:
        location = get(self.address(civitai, fault=fault, faults=1)).headers["location"]

        with pytest.raises(BackendError):
            get(location)

        assert get(location).body == DATA

    def test_a_twin_with_size_makes_the_printed_address_of_the_other_404(
        self, civitai: CivitaiStandIn, get: Get
    ) -> None:
        files = [
            File("a.safetensors", DATA, type="UNet", metadata={"format": "SafeTensor", "fp": "int8"}),
            File("b.safetensors", DATA, type="UNet", metadata={"format": "SafeTensor", "fp": "fp8", "size": "pruned"}),
        ]
        model = civitai.add_model(name="Ink", type="UNet", versions=[Version("v1", files)])
        version = model.versions[0].id

        assert get(f"/api/download/models/{version}?type=UNet&format=SafeTensor&fp=int8").status == 404
        assert get(f"/api/download/models/{version}?fileId={files[0].id}").status == 307

    def test_the_preferences_of_an_account_change_what_a_bare_address_gives(
        self, civitai: CivitaiStandIn, get: Get
    ) -> None:
        files = [File(f"{fp}.safetensors", DATA, metadata={"fp": fp}) for fp in ("fp16", "fp32")]
        model = civitai.add_model(name="Ink", type="Checkpoint", versions=[Version("v1", files)])
        civitai.downloads.preferences = {"fp": "fp32"}
        address = f"/api/download/models/{model.versions[0].id}"

        assert f"/{files[0].id}-" in get(address).headers["location"]
        assert f"/{files[1].id}-" in get(address, key="good-key").headers["location"]


class TestTheNeighbourhood:
    def test_one_seed_makes_one_town(self) -> None:
        with CivitaiStandIn() as one, CivitaiStandIn() as other:
            first, second = settle(one, 60, seed=3), settle(other, 60, seed=3)

            assert first.lookups(40) == second.lookups(40)

    def test_it_has_everything_that_makes_names_hard(self) -> None:
        with CivitaiStandIn() as civitai:
            town = settle(civitai, 1500)

            groups = {(lookup.kind, lookup.group) for lookup in town.lookups(1500)}

        assert {("printed", "unique"), ("printed", "ambiguous"), ("composed", "ambiguous"), ("uploaded", "unique"),
                ("near", "absent"), ("absent", "absent"), ("generic", "generic")} <= groups  # fmt: skip
