"""From a request to the candidates that may be taken, the surest first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from comfywatchman_core.backends import load
from comfywatchman_core.config import Config, Rules
from comfywatchman_core.conversation import Conversation, Surroundings
from comfywatchman_core.errors import AuthRequired, BackendError, ErrorCode, Failure
from comfywatchman_core.events import Event, Warned
from comfywatchman_core.hooks import hookimpl
from comfywatchman_core.http import ApiClient
from comfywatchman_core.models import Candidate, Digest, Match, ModelRequest
from comfywatchman_core.search import Search, confirmed

A, B = "a" * 64, "b" * 64


def offer(match: Match = Match.FILENAME, sha256: str = "", place: str = "x", **more: Any) -> Candidate:
    digests = (Digest("sha256", sha256),) if sha256 else ()
    given: dict[str, Any] = {"match": match, "url": f"https://models.example/{place}", "digests": digests, **more}
    return Candidate(**given)


class Shelf:
    """A back end with one answer to everything: raised, called with the request, or returned."""

    api_version = 1

    def __init__(self, answer: object) -> None:
        self.answer = answer
        self.asked: list[ModelRequest] = []
        self.priority = 0

    @hookimpl
    def resolve_model(self, request: ModelRequest) -> object:
        self.asked.append(request)
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer(request) if callable(self.answer) else self.answer


def request(name: str = "a.safetensors", sha256: str = "", **more: Any) -> ModelRequest:
    digests = (Digest("sha256", sha256),) if sha256 else ()
    return ModelRequest(name=name, folder="loras", digests=digests, **more)


def conversation(shelves: dict[str, Any], events: list[Event] | None = None, config: Config | None = None) -> Any:
    for priority, shelf in enumerate(reversed(shelves.values())):
        shelf.priority = priority if shelf.priority == 0 else shelf.priority
    around = Surroundings(
        backends=load(builtin=shelves, discover=False),
        config=config or Config(),
        http=ApiClient(),
        emit=(events if events is not None else []).append,
        cancelled=lambda: False,
    )
    return Conversation(label="loras/a.safetensors", around=around)


def search(*answers: object, asks: ModelRequest | None = None, **rules: Any) -> Search:
    """A search among shelves ``first``, ``second``, ``third``, asked in that order."""
    names = ("first", "second", "third")
    shelves = {
        name: answer if isinstance(answer, Shelf) else Shelf(answer)
        for name, answer in zip(names, answers, strict=False)
    }
    return Search(request=asks or request(), conversation=conversation(shelves), rules=Rules(**rules))


def places(offers: Sequence[Candidate]) -> list[str]:
    return [one.url.rpartition("/")[2] for one in offers]


class TestSureEnough:
    def test_a_file_of_exactly_this_name_is_taken(self) -> None:
        assert places(list(search((offer(place="x"),)))) == ["x"]

    def test_something_like_it_is_reported_and_never_taken_unasked(self) -> None:
        looked = search((offer(Match.FUZZY, place="near", reference="shelf:7"),))

        assert list(looked) == []
        assert places(looked.reported) == ["near"]
        assert looked.failure.code is ErrorCode.NOT_FOUND
        assert "comfywatchman get shelf:7 --folder loras" in str(looked.failure.hint)

    def test_a_low_priority_certainty_beats_a_high_priority_guess(self) -> None:
        assert places(list(search((offer(Match.FUZZY, place="guess"),), (offer(place="sure"),)))) == ["sure"]

    @pytest.mark.parametrize(
        ("least", "taken"),
        [
            (Match.FUZZY, ["fuzzy", "name", "id", "digest"]),
            (Match.FILENAME, ["name", "id", "digest"]),
            (Match.SOURCE_ID, ["id", "digest"]),
            (Match.DIGEST, ["digest"]),
        ],
    )
    def test_the_least_certainty_is_the_users_to_choose(self, least: Match, taken: list[str]) -> None:
        offers = [
            (Match.FUZZY, "fuzzy", ""),
            (Match.FILENAME, "name", ""),
            (Match.SOURCE_ID, "id", ""),
            (Match.DIGEST, "digest", A),
        ]

        found = [
            places(list(search((offer(match, sha256, place),), asks=request(sha256=A), min_match=least)))
            for match, place, sha256 in offers
        ]

        assert [place for one in found for place in one] == taken

    def test_the_surest_of_one_answer_comes_first(self) -> None:
        answer = (offer(place="name"), offer(Match.SOURCE_ID, place="id"), offer(Match.FUZZY, place="like"))

        assert places(list(search(answer))) == ["id", "name"]

    def test_equal_digests_are_certainty_whatever_the_back_end_claims(self) -> None:
        (taken,) = search((offer(Match.FUZZY, A),), asks=request(sha256=A))

        assert taken.match is Match.DIGEST

    def test_a_claimed_certainty_without_equal_digests_is_none(self) -> None:
        (taken,) = search((offer(Match.DIGEST),))

        assert taken.match is Match.SOURCE_ID

    def test_the_next_is_asked_only_when_the_offer_before_did_not_work_out(self) -> None:
        second = Shelf((offer(place="second"),))
        looked = iter(search((offer(place="first"),), second))

        next(looked)
        assert second.asked == []
        next(looked)
        assert len(second.asked) == 1

    def test_only_the_back_ends_that_the_user_names_are_asked(self) -> None:
        assert places(list(search((offer(place="x"),), (offer(place="y"),), backends=("second",)))) == ["y"]


class TestDigests:
    def test_other_bytes_than_the_request_states_are_never_taken(self) -> None:
        looked = search((offer(Match.SOURCE_ID, B),), asks=request(sha256=A))

        assert list(looked) == []
        assert A in str(looked.reported[0].notes)
        assert B in str(looked.reported[0].notes)

    @pytest.mark.parametrize("accepted", [A, B])
    def test_but_for_a_digest_that_the_user_accepts(self, accepted: str) -> None:
        assert list(search((offer(Match.SOURCE_ID, B),), asks=request(sha256=A), accept_digests=(accepted,)))

    def test_digests_that_are_cut_are_compared_as_far_as_they_go(self) -> None:
        cut = Digest("autov3", "c" * 12)
        whole = Digest("autov3", "c" * 64)
        asks = ModelRequest(name="a.safetensors", folder="loras", digests=(whole,))

        (taken,) = search((Candidate(match=Match.FUZZY, url="https://m.example/", digests=(cut,)),), asks=asks)

        assert taken.match is Match.DIGEST


class TestAmbiguity:
    def test_one_name_for_different_files_is_reported_and_not_decided(self) -> None:
        looked = search((offer(sha256=A, reference="shelf:1"), offer(sha256=B, reference="shelf:2")))

        assert list(looked) == []
        assert looked.failure.code is ErrorCode.AMBIGUOUS
        assert "shelf:1" in str(looked.failure.hint)
        assert "shelf:2" in str(looked.failure.hint)

    def test_nobody_else_decides_it_by_the_name(self) -> None:
        assert list(search((offer(sha256=A), offer(sha256=B)), (offer(sha256=A),))) == []

    def test_an_id_or_a_digest_decides_it(self) -> None:
        both = (offer(sha256=A), offer(sha256=B, place="b"))

        assert places(list(search(both, (offer(Match.SOURCE_ID, place="id"),)))) == ["id"]
        assert places(list(search(both, asks=request(sha256=B)))) == ["b"]

    def test_mirrors_of_the_same_bytes_are_not_ambiguous(self) -> None:
        assert places(list(search((offer(sha256=A, place="x"), offer(sha256=A, place="y"))))) == ["x", "y"]

    def test_namesakes_without_digests_are_told_apart_by_asking_their_source(self) -> None:
        def tell(asked: ModelRequest) -> object:
            known = {"shelf:1": A, "shelf:2": B}
            return (offer(Match.SOURCE_ID, known[asked.reference]),) if asked.reference else None

        looked = search(
            (offer(reference="shelf:1", delegate="second"), offer(reference="shelf:2", delegate="second")), tell
        )

        assert list(looked) == []
        assert looked.failure.code is ErrorCode.AMBIGUOUS


class TestPins:
    refused = Failure(code=ErrorCode.GATED, message="licence")

    def test_other_bytes_of_the_same_name_do_not_stand_in_for_a_file_that_exists_and_is_refused(self) -> None:
        looked = search((offer(sha256=A),), (offer(sha256=B),))
        taken = []
        for candidate in looked:
            taken.append(candidate.sha256)
            looked.failed(candidate, self.refused)

        assert taken == [A]
        assert looked.failure.code is ErrorCode.GATED

    def test_a_mirror_of_its_bytes_does(self) -> None:
        looked = search((offer(sha256=A, place="x", obstacle=self.refused),), (offer(sha256=A, place="y"),))

        assert places(list(looked)) == ["y"]

    @pytest.mark.parametrize("code", [ErrorCode.NOT_FOUND, ErrorCode.CHECKSUM_MISMATCH, ErrorCode.NOT_A_MODEL])
    def test_an_offer_with_nothing_behind_it_binds_nobody(self, code: ErrorCode) -> None:
        looked = search((offer(sha256=A),), (offer(sha256=B),))
        taken = []
        for candidate in looked:
            taken.append(candidate.sha256)
            looked.failed(candidate, Failure(code=code, message="no"))

        assert taken == [A, B]

    def test_what_is_known_not_to_be_had_is_reported_and_not_tried(self) -> None:
        looked = search((offer(obstacle=self.refused),))

        assert list(looked) == []
        assert looked.failure == self.refused
        assert len(looked.reported) == 1


class TestPickles:
    @pytest.mark.parametrize("name", ["a.ckpt", "a.pt", "a.pth", "a.bin", "a.pkl", "A.CKPT"])
    def test_a_file_that_can_run_code_is_not_taken_by_its_name_alone(self, name: str) -> None:
        looked = search((offer(),), asks=request(name))

        assert list(looked) == []
        assert looked.failure.code is ErrorCode.PICKLE_REFUSED
        assert "--allow-pickle" in str(looked.failure.hint)

    @pytest.mark.parametrize(
        ("name", "offered"), [("easynegative", "easynegative.pt"), ("model.v1", "model.v1.ckpt"), (None, "x.pt")]
    )
    def test_where_the_source_gives_the_suffix_that_counts(self, name: str | None, offered: str) -> None:
        asks = ModelRequest(name=name, folder="embeddings", reference="shelf:1")

        looked = search((offer(Match.SOURCE_ID, name=offered),), asks=asks)

        assert list(looked) == []
        assert looked.failure.code is ErrorCode.PICKLE_REFUSED

    def test_a_name_that_only_looks_like_it_has_a_suffix_is_no_pickle(self) -> None:
        assert list(search((offer(name="model.pt.safetensors"),), asks=request("model.pt.safetensors")))

    def test_the_user_may_allow_it(self) -> None:
        assert list(search((offer(),), asks=request("a.pt"), allow_pickle=True))

    def test_a_curated_table_an_explicit_reference_and_the_workflows_own_address_allow_it(self) -> None:
        url = "https://models.example/x"

        assert list(search((offer(trusted=True),), asks=request("a.pt")))
        assert list(search((offer(),), asks=request("a.pt", explicit=True)))
        assert list(search((offer(Match.SOURCE_ID),), asks=request("a.pt", url=url)))

    def test_a_namesake_found_beside_the_workflows_own_address_does_not(self) -> None:
        assert not list(search((offer(),), asks=request("a.pt", url="https://models.example/x")))


class TestWhyNothing:
    """Not found while a source could not be asked is never "not found"."""

    @pytest.mark.parametrize(
        ("answers", "code"),
        [
            (((), ()), ErrorCode.NOT_FOUND),
            ((None, ()), ErrorCode.NOT_FOUND),
            ((None, None), ErrorCode.NOT_FOUND),
            ((BackendError("x", code="network"), ()), ErrorCode.UNAVAILABLE),
            (((), BackendError("x", code="unavailable")), ErrorCode.UNAVAILABLE),
            (((), RuntimeError("boom")), ErrorCode.UNAVAILABLE),
            ((BackendError("x", code="rate_limited"), ()), ErrorCode.RATE_LIMITED),
            ((AuthRequired("x"), ()), ErrorCode.AUTH_REQUIRED),
            ((BackendError("x", code="network"), AuthRequired("x")), ErrorCode.AUTH_REQUIRED),
            # one that looked and says why there is nothing was asked
            ((BackendError("gone", code="not_found"), ()), ErrorCode.NOT_FOUND),
            ((BackendError("gone", code="not_found"), BackendError("x", code="network")), ErrorCode.UNAVAILABLE),
            (((offer(Match.FUZZY),), BackendError("x", code="network")), ErrorCode.UNAVAILABLE),
        ],
    )
    def test_the_code_says_what_the_user_can_do(self, answers: tuple[object, ...], code: ErrorCode) -> None:
        looked = search(*answers)

        assert list(looked) == []
        assert looked.failure.code is code
        assert "loras/a.safetensors" in looked.failure.message
        assert looked.failure.hint or code in (ErrorCode.AUTH_REQUIRED, ErrorCode.RATE_LIMITED, ErrorCode.NOT_FOUND)

    def test_a_file_that_one_source_lost_is_not_called_missing_while_another_could_not_be_asked(self) -> None:
        looked = search((offer(),), BackendError("no network", code="network"))
        for candidate in looked:
            looked.failed(candidate, Failure(code=ErrorCode.NOT_FOUND, message="gone"))

        assert looked.failure.code is ErrorCode.UNAVAILABLE
        assert "no network" in looked.failure.message

    def test_the_reason_that_a_source_gives_for_having_nothing_is_told(self) -> None:
        looked = search(BackendError("there is no model 12", code="not_found", hint="It was removed."))

        assert list(looked) == []
        assert "there is no model 12" in looked.failure.message
        assert looked.failure.hint == "It was removed."

    def test_without_anybody_to_ask_the_way_to_get_sources_is_told(self) -> None:
        looked = search(None)

        assert list(looked) == []
        assert "no back end in use" in looked.failure.message
        assert "pip install" in str(looked.failure.hint)

    def test_the_most_serious_of_several_failed_transfers_is_told(self) -> None:
        looked = search((offer(sha256=A),), (offer(sha256=A),))
        codes = iter([ErrorCode.NETWORK, ErrorCode.AUTH_REQUIRED])
        for candidate in looked:
            looked.failed(candidate, Failure(code=next(codes), message="no"))

        assert looked.failure.code is ErrorCode.AUTH_REQUIRED

    def test_a_hint_can_be_pasted_into_a_shell(self) -> None:
        looked = search((offer(Match.FUZZY, reference="hf:o/r/$(touch x); a.safetensors?token=s3cr3t"),))

        assert list(looked) == []
        assert "get 'hf:o/r/$(touch x); a.safetensors' --folder" in str(looked.failure.hint)

    @pytest.mark.parametrize(
        ("own", "given"),
        [
            ("other.safetensors", " --as styles/a.safetensors"),
            ("a.safetensors", " --as styles/a.safetensors"),  # it would lie beside the folder that is asked for
            ("", " --as styles/a.safetensors"),
            ("a.gguf", ""),  # no loader reads it under the other format's name
        ],
    )
    def test_a_hint_gives_a_file_the_name_that_the_workflow_asks_for(self, own: str, given: str) -> None:
        near = offer(Match.FUZZY, reference="civitai:1@2", name=own)
        looked = search((near,), asks=request("styles/a.safetensors"))

        assert list(looked) == []
        assert str(looked.failure.hint).endswith(f"`comfywatchman get civitai:1@2 --folder loras{given}`.")

    def test_a_hint_names_no_file_that_bears_the_right_name_already(self) -> None:
        near = offer(Match.FUZZY, reference="civitai:1@2", name="loras/a.safetensors")
        looked = search((near,))

        assert list(looked) == []
        assert str(looked.failure.hint).endswith("`comfywatchman get civitai:1@2 --folder loras`.")


class TestOwnAddress:
    def core(self) -> Shelf:
        shelf = Shelf(lambda asked: (offer(Match.SOURCE_ID, place="own"),) if asked.url else None)
        shelf.priority = -1000
        return shelf

    def test_the_address_that_a_request_brings_is_taken_before_anybody_searches_by_its_name(self) -> None:
        shelves = {"searches": Shelf((offer(place="found"),)), "core": self.core()}
        looked = Search(
            request=request(url="https://files.example/a"), conversation=conversation(shelves), rules=Rules()
        )

        assert places([next(iter(looked))]) == ["own"]
        assert shelves["searches"].asked == []

    def test_an_address_of_a_source_is_left_to_that_source(self) -> None:
        source = Shelf((offer(place="source"),))
        source.hosts = frozenset({"files.example"})  # type: ignore[attr-defined]
        shelves = {"source": source, "core": self.core()}
        looked = Search(
            request=request(url="https://files.example/a"), conversation=conversation(shelves), rules=Rules()
        )

        assert places(list(looked)) == ["source"]
        assert shelves["core"].asked == []


class TestWarnings:
    def test_an_offer_that_is_not_used_is_told_with_its_reason(self) -> None:
        events: list[Event] = []
        shelves = {"shelf": Shelf((offer(name="../x"), offer(place="good")))}
        looked = Search(request=request(), conversation=conversation(shelves, events), rules=Rules())

        assert places(list(looked)) == ["good"]
        (warned,) = [event for event in events if isinstance(event, Warned)]
        assert "../x" in warned.message

    def test_a_back_end_none_of_whose_offers_can_be_used_has_failed(self) -> None:
        looked = search((offer(name="../x"),), ())

        assert list(looked) == []
        assert looked.failure.code is ErrorCode.UNAVAILABLE


class TestConfirmed:
    """An offer of a table names the source that confirms and transfers it."""

    known = offer(Match.SOURCE_ID, A, reference="shelf:1", delegate="source", trusted=True, notes=("known",))

    def ask(self, answer: object) -> Candidate:
        return confirmed(self.known, request(), conversation({"source": Shelf(answer)}))

    def test_the_sources_own_candidate_is_what_is_transferred(self) -> None:
        found = self.ask((offer(Match.SOURCE_ID, A, place="theirs", notes=("current",)),))

        assert found.url.endswith("/theirs")
        assert (found.backend, found.trusted, found.notes) == ("source", True, ("known", "current"))
        assert found.sha256 == A

    def test_the_source_is_asked_for_the_reference_and_not_for_the_requests_address(self) -> None:
        source = Shelf((offer(Match.SOURCE_ID, A),))

        confirmed(
            self.known, request(url="https://x.example/", hints=("https://y/",)), conversation({"source": source})
        )

        assert (source.asked[0].reference, source.asked[0].url, source.asked[0].hints) == ("shelf:1", None, ())
        assert source.asked[0].sha256 == A

    def test_other_bytes_at_the_source_are_an_integrity_error_that_names_both(self) -> None:
        with pytest.raises(BackendError, match="changed at its source") as caught:
            self.ask((offer(Match.SOURCE_ID, B),))

        assert caught.value.code is ErrorCode.CHECKSUM_MISMATCH
        assert A in str(caught.value)
        assert f"--accept-digest {B}" in str(caught.value.hint)

    @pytest.mark.parametrize(
        ("answer", "code"),
        [
            ((), ErrorCode.NOT_FOUND),
            (None, ErrorCode.NOT_FOUND),
            (AuthRequired("no"), ErrorCode.AUTH_REQUIRED),
            (RuntimeError("boom"), ErrorCode.BACKEND_FAILED),
            (
                (offer(Match.SOURCE_ID, A, obstacle=Failure(code=ErrorCode.EARLY_ACCESS, message="wait")),),
                ErrorCode.EARLY_ACCESS,
            ),
        ],
    )
    def test_what_the_source_says_instead_is_kept(self, answer: object, code: ErrorCode) -> None:
        with pytest.raises(BackendError) as caught:
            self.ask(answer)

        assert caught.value.code is code


class Copies(Shelf):
    """A back end that keeps copies of others' files."""

    keeps_copies = True


class TestCopies:
    def test_the_bytes_of_a_plan_are_taken_from_a_copy_before_their_source(self) -> None:
        copies, site = Copies((offer(Match.DIGEST, A, "copy"),)), Shelf((offer(Match.DIGEST, A, "site"),))
        pinned = offer(Match.SOURCE_ID, A, "planned", backend="site", trusted=True)
        talk = conversation({"copies": copies, "site": site})

        taken = list(Search(request=request(sha256=A), conversation=talk, rules=Rules(), pinned_to=pinned))

        assert [one.url.rpartition("/")[2] for one in taken] == ["copy", "planned"]
        assert [one.trusted for one in taken] == [True, True]
        assert site.asked == []

    @pytest.mark.parametrize(
        "answer",
        [
            (offer(Match.DIGEST, B, "other"),),  # not the bytes of the plan
            (offer(Match.SOURCE_ID, "", "unsaid"),),  # nobody says which bytes
            BackendError("down", code=ErrorCode.UNAVAILABLE),
            (),
            None,
        ],
        ids=["other", "unsaid", "down", "nothing", "declined"],
    )
    def test_a_copy_that_is_none_leaves_the_plan_to_its_source(self, answer: object) -> None:
        pinned = offer(Match.SOURCE_ID, A, "planned", backend="site")
        talk = conversation({"copies": Copies(answer)})

        search = Search(request=request(sha256=A), conversation=talk, rules=Rules(), pinned_to=pinned)

        assert list(search) == [pinned]

    def test_a_plan_without_a_digest_is_not_looked_for_among_copies(self) -> None:
        copies = Copies((offer(Match.FILENAME, A),))
        pinned = offer(Match.SOURCE_ID, "", "planned", backend="site")
        search = Search(
            request=request(), conversation=conversation({"copies": copies}), rules=Rules(), pinned_to=pinned
        )

        assert list(search) == [pinned]
        assert copies.asked == []

    @pytest.mark.parametrize(("names_sources", "first"), [(True, "site"), (False, "copy")])
    def test_a_plan_names_a_source_before_a_copy_and_a_download_takes_the_copy(
        self, names_sources: bool, first: str
    ) -> None:
        back_ends = {
            "copies": Copies((offer(Match.DIGEST, A, "copy"),)),
            "site": Shelf((offer(Match.DIGEST, A, "site"),)),
        }
        search = Search(
            request=request(sha256=A), conversation=conversation(back_ends), rules=Rules(), names_sources=names_sources
        )

        assert next(iter(search)).url.rpartition("/")[2] == first
