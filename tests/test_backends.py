"""Discovery, order, isolation: what the core adds to pluggy."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from textwrap import dedent
from typing import Any

import pluggy
import pytest
from attrs import define

from comfywatchman_core import backends as b
from comfywatchman_core.errors import AuthRequired, BackendError, Cancelled, ErrorCode
from comfywatchman_core.hooks import PROJECT, SPECIFICATIONS, Context, hookimpl
from comfywatchman_core.models import Artifact, Candidate, Check, Match, ModelRequest, Outcome

REQUEST = ModelRequest(name="a.safetensors", folder="loras")
OFFER = Candidate(match=Match.FILENAME, url="https://models.example/a.safetensors")


def backend(priority: int, answer: object = None) -> Any:
    """A back end that answers every request with *answer*: raises it, calls it, or returns it."""

    class Toy:
        api_version = 1

        @hookimpl
        def resolve_model(self, request: ModelRequest) -> object:
            if isinstance(answer, BaseException):
                raise answer
            return answer() if callable(answer) else answer

    toy = Toy()
    toy.priority = priority  # type: ignore[attr-defined]
    return toy


def context(name: str) -> Context:
    def no_engine(*_: object, **__: object) -> Artifact:
        raise AssertionError("nothing is transferred here")

    return Context(name=name, settings={}, emit=lambda event: None, fetch=no_engine)


def load(**toys: Any) -> b.Backends:
    return b.load(builtin=toys, discover=False)


def ask(used: b.Backends, **options: Any) -> list[b.Answer]:
    return list(used.ask("resolve_model", context, request=REQUEST, **options))


def outcomes(answers: Sequence[b.Answer]) -> dict[str, Outcome]:
    return {answer.attempt.backend: answer.attempt.outcome for answer in answers}


class Site:
    """A directory of installed distributions, as ``pip install`` would leave them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.modules: list[str] = []

    def install(
        self, name: str, code: str, *, distribution: str = "", point: str = "backend", version: str = "1.0"
    ) -> str:
        distribution = distribution or f"toy-{name}"
        module = distribution.replace("-", "_")
        self.modules.append(module)
        (self.directory / f"{module}.py").write_text(dedent(code), encoding="utf-8")
        about = self.directory / f"{module}-{version}.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        (about / "entry_points.txt").write_text(f"[comfywatchman.backends]\n{name} = {module}:{point}\n")
        return module


GOOD = """
    from comfywatchman_core import hookimpl
    class Toy:
        api_version, priority = 1, {priority}
        @hookimpl
        def resolve_model(self, request):
            return ()
    backend = Toy()
"""


def good(priority: int = 50) -> str:
    return GOOD.format(priority=priority)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Nothing is installed but what the test installs."""
    directory = tmp_path / "site"
    directory.mkdir()
    made = Site(directory)
    monkeypatch.syspath_prepend(directory)
    from importlib import metadata

    real = metadata.MetadataPathFinder.find_distributions

    def only_here(context: Any = metadata.DistributionFinder.Context()) -> Any:  # noqa: B008
        return real(metadata.DistributionFinder.Context(path=[str(directory), *extra]))

    extra: list[str] = []
    made.extra = extra  # type: ignore[attr-defined]
    monkeypatch.setattr(metadata.MetadataPathFinder, "find_distributions", staticmethod(only_here))
    yield made
    for module in made.modules:
        sys.modules.pop(module, None)


def reason(used: b.Backends, name: str) -> str:
    (found,) = [listing for listing in used.listings if listing.name == name]
    assert found.state in (b.State.REFUSED, b.State.MISSING, b.State.DISABLED)
    assert name not in used.names
    return found.reason


class TestOrder:
    def test_installed_back_ends_are_asked_in_order_of_priority(self, site: Site) -> None:
        site.install("low", good(10))
        site.install("high", good(90))
        site.install("middle", good(50))

        used = b.load(builtin={"core": backend(-1000)})

        assert used.names == ("high", "middle", "low", "core")
        assert [answer.attempt.backend for answer in ask(used)] == ["high", "middle", "low", "core"]

    def test_the_users_order_beats_priority_and_the_others_follow(self) -> None:
        used = b.load(
            builtin={"a": backend(90), "b": backend(50), "c": backend(60)}, discover=False, order=["b", "nobody"]
        )

        assert used.names == ("b", "a", "c")

    def test_equal_priority_is_decided_by_name(self) -> None:
        assert load(zeta=backend(5), alpha=backend(5)).names == ("alpha", "zeta")

    def test_a_name_twice_in_the_order_counts_where_it_stands_first(self) -> None:
        used = b.load(builtin={"a": backend(9), "b": backend(8)}, discover=False, order=["b", "a", "b"])

        assert used.names == ("b", "a")

    def test_the_order_is_that_of_a_direct_pluggy_call_too(self) -> None:
        """Whoever traces ``manager.hook`` sees the same order."""
        called: list[str] = []

        def noting(name: str) -> Callable[[], None]:
            return lambda: called.append(name)

        used = load(a=backend(1, noting("a")), b=backend(2, noting("b")), c=backend(3, noting("c")))
        used._manager.hook.resolve_model(request=REQUEST, context=context("x"))

        assert called == ["c", "b", "a"]

    def test_one_that_is_named_in_the_order_and_not_installed_is_a_problem(self) -> None:
        used = b.load(discover=False, order=["nobody"])

        assert "not installed" in reason(used, "nobody")
        assert [problem.name for problem in used.problems] == ["nobody"]

    def test_the_one_that_offered_goes_first(self) -> None:
        used = load(a=backend(3), b=backend(2), c=backend(1))

        assert [answer.attempt.backend for answer in ask(used, first="c")] == ["c", "a", "b"]

    def test_only_some_can_be_asked_and_some_left_out(self) -> None:
        used = load(a=backend(3), b=backend(2), c=backend(1))

        assert [answer.attempt.backend for answer in ask(used, only=("a", "b"), skip=("a",))] == ["b"]

    def test_the_next_is_not_asked_before_the_consumer_wants_it(self) -> None:
        called: list[str] = []
        used = load(a=backend(2, lambda: called.append("a")), b=backend(1, lambda: called.append("b")))

        next(used.ask("resolve_model", context, request=REQUEST))

        assert called == ["a"]


class TestRefusal:
    """One broken plugin never stops a run, and is shown with its reason."""

    def test_one_whose_import_does_not_end_is_left_behind(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(b, "_IMPORT", 0.3)
        site.install("hangs", "import threading\nthreading.Event().wait()")
        site.install("works", good())

        used = b.load()

        assert used.names == ("works",)
        assert reason(used, "hangs") == "its import did not end within 0.3 seconds"

    @pytest.mark.parametrize(
        ("code", "expected"),
        [
            ("import nonexistent_module_7f3a", "nonexistent_module_7f3a"),
            ("raise RuntimeError('boom at import')", "boom at import"),
            ("raise SystemExit(3)", "SystemExit"),
            ("this is no Python", "SyntaxError"),
            ("other = 1", "has no attribute 'backend'"),
            ("backend = None", "API version None"),
            ("class backend:\n    api_version, priority = 1, 5", "names the class"),
            ("class T:\n    api_version, priority = 99, 5\nbackend = T()", "API version 99"),
            ("class T:\n    priority = 5\nbackend = T()", "API version None"),
            ("class T:\n    api_version, priority = [1], 5\nbackend = T()", "API version [1]"),
            ("class T:\n    api_version = 1\nbackend = T()", "priority"),
            ("class T:\n    api_version, priority = 1, '5'\nbackend = T()", "priority"),
            ("class T:\n    api_version, priority = 1, True\nbackend = T()", "priority"),
            ("class T:\n    api_version, priority, __hash__ = 1, 5, None\nbackend = T()", "not hashable"),
            ("class T:\n    api_version, priority = 1, 5\nbackend = T()", "implements none of the hooks"),
            ("class T:\n    priority, api_version = 5, property(lambda self: {}['odd'])\nbackend = T()", "odd"),
        ],
    )
    def test_a_broken_one_is_refused_with_the_reason_and_the_others_work(
        self, site: Site, code: str, expected: str
    ) -> None:
        site.install("broken", code)
        site.install("good", good())

        used = b.load()

        assert used.names == ("good",)
        assert expected in reason(used, "broken")
        assert outcomes(ask(used)) == {"good": Outcome.ANSWERED}

    @pytest.mark.parametrize(
        ("hooks", "expected"),
        [
            ("def resolve_model(self, request, wishes): ...", "wishes"),
            ("def resolve_modell(self, request): ...", "resolve_modell"),
        ],
    )
    def test_a_hook_that_the_core_does_not_know_is_refused(self, site: Site, hooks: str, expected: str) -> None:
        site.install(
            "misspelt",
            f"""
            from comfywatchman_core import hookimpl
            class Toy:
                api_version, priority = 1, 5
                @hookimpl
                {hooks}
                @hookimpl
                def verify_artifact(self, artifact): ...
            backend = Toy()
            """,
        )
        site.install("good", good())

        used = b.load()

        assert used.names == ("good",)
        assert expected in reason(used, "misspelt")
        assert outcomes(ask(used)) == {"good": Outcome.ANSWERED}
        assert list(used.ask("verify_artifact", context, artifact=None, candidate=OFFER)) == []

    def test_a_property_that_raises_refuses_its_owner_only(self) -> None:
        class Odd:
            api_version, priority = 1, 5

            @property
            def resolve_model(self) -> object:
                raise OSError("odd")

        used = load(odd=Odd(), good=backend(1, ()))

        assert used.names == ("good",)
        assert reason(used, "odd")

    def test_one_object_under_two_names_is_used_once(self) -> None:
        one = backend(5, ())

        used = load(a=one, b=one)

        assert used.names == ("a",)
        assert "same object" in reason(used, "b")

    def test_back_ends_that_compare_equal_are_both_refused_or_both_used_and_no_crash(self) -> None:
        @define
        class Equal:
            api_version = 1
            priority = 5

            @hookimpl
            def resolve_model(self, request: ModelRequest) -> tuple[()]:
                return ()

        used = load(a=Equal(), good=backend(1, ()))

        assert "hashable" in reason(used, "a")
        assert used.names == ("good",)

    def test_a_reason_is_one_printable_line_without_secrets(self, site: Site) -> None:
        site.install("broken", r"raise RuntimeError('\x1b[2Jtoken=s3cr3t\n' + 'x' * 5000)")

        told = reason(b.load(), "broken")

        assert "\x1b" not in told
        assert "\n" not in told
        assert "s3cr3t" not in told
        assert len(told) <= 500

    def test_an_interruption_while_a_plugin_is_imported_is_not_swallowed(self, site: Site) -> None:
        site.install("slow", "raise KeyboardInterrupt")

        with pytest.raises(KeyboardInterrupt):
            b.load()

    def test_the_listing_says_where_each_comes_from(self, site: Site) -> None:
        site.install("good", good(7), version="2.3")

        (listing,) = b.load().listings

        assert (listing.name, listing.distribution, listing.version) == ("good", "toy-good", "2.3")
        assert (listing.state, listing.priority, listing.hooks) == (b.State.READY, 7, ("resolve_model",))

    def test_a_distribution_with_broken_metadata_hides_no_other(self, site: Site) -> None:
        site.install("good", good())
        broken = site.directory / "broken-1.0.dist-info"
        broken.mkdir()
        (broken / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
        (broken / "entry_points.txt").write_text("[comfywatchman.backends]\nno equals sign\n")

        assert "good" in b.load().names

    def test_a_distribution_without_metadata_is_no_crash(self, site: Site) -> None:
        site.install("good", good())
        (site.directory / "toy_good-1.0.dist-info" / "METADATA").unlink()

        assert b.load().names == ("good",)


class TestNamesClaimedTwice:
    @pytest.fixture
    def both(self, site: Site) -> Site:
        site.install("shelf", good(), distribution="shelf-one")
        site.install("shelf", good(), distribution="shelf-two")
        site.install("good", good())
        return site

    def test_two_distributions_that_claim_one_name_are_both_refused_and_named(self, both: Site) -> None:
        used = b.load()

        assert used.names == ("good",)
        assert "shelf-one, shelf-two" in reason(used, "shelf")
        assert "distribution" in reason(used, "shelf")

    def test_neither_is_imported(self, both: Site) -> None:
        b.load()

        assert {"shelf_one", "shelf_two"}.isdisjoint(sys.modules)

    @pytest.mark.parametrize("spelled", ["shelf-two", "Shelf_Two", "shelf.two"])
    def test_the_settings_name_the_one_to_use(self, both: Site, spelled: str) -> None:
        used = b.load(distributions={"shelf": spelled})

        assert "shelf" in used.names
        assert "shelf_two" in sys.modules
        assert "shelf_one" not in sys.modules

    def test_a_name_for_a_distribution_that_does_not_claim_it_settles_nothing(self, both: Site) -> None:
        used = b.load(distributions={"shelf": "shelf-three", "good": "other"})

        assert used.names == ()
        assert "other" in reason(used, "good")

    def test_no_package_takes_the_name_of_what_is_built_in(self, site: Site) -> None:
        site.install("core", good(5))
        built_in = backend(-1000, ())

        used = b.load(builtin={"core": built_in})

        assert used.get("core") is built_in
        assert "toy_core" not in sys.modules
        assert any(problem.name == "core" for problem in used.problems)

    def test_one_distribution_found_twice_on_the_path_counts_once(self, site: Site, tmp_path: Path) -> None:
        """An editable install and its build directory, for instance."""
        import shutil

        site.install("shelf", good())
        shutil.copytree(site.directory / "toy_shelf-1.0.dist-info", tmp_path / "again" / "toy_shelf-1.0.dist-info")
        site.extra.append(str(tmp_path / "again"))  # type: ignore[attr-defined]

        assert b.load().names == ("shelf",)


class TestDisabled:
    def test_a_disabled_back_end_is_not_imported(self, site: Site) -> None:
        site.install("evil", "raise SystemExit('it was imported')")
        site.install("good", good())

        used = b.load(disabled=["evil", "unheard-of"])

        assert used.names == ("good",)
        assert "toy_evil" not in sys.modules
        assert "disabled" in reason(used, "evil")
        assert "not installed" in reason(used, "unheard-of")
        assert used.problems == ()

    def test_without_plugins_nobody_looks_for_any(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        from importlib import metadata

        site.install("evil", "raise SystemExit('it was imported')")
        monkeypatch.setattr(metadata, "entry_points", lambda **options: pytest.fail("somebody looked"))

        used = b.load(builtin={"core": backend(-1)}, discover=False)

        assert used.names == ("core",)
        assert "toy_evil" not in sys.modules

    @pytest.mark.parametrize(
        ("arguments", "environment"),
        [
            (["--no-plugins"], {}),
            ([], {"COMFYWATCHMAN_NO_PLUGINS": "1"}),
            (["--disable", "evil"], {}),
            ([], {"COMFYWATCHMAN_DISABLE": "evil"}),
        ],
    )
    def test_the_command_imports_none_that_it_is_told_to_leave_out(
        self, tmp_path: Path, arguments: list[str], environment: dict[str, str]
    ) -> None:
        """In a process of its own, with a hook on every import."""
        import os

        site = Site(tmp_path)
        site.install("evil", "raise SystemExit('it was imported')", distribution="evil-plugin")
        code = f"""
            import sys
            class Hook:
                def find_spec(self, name, path=None, target=None):
                    if name == "evil_plugin":
                        print("IMPORTED")
            sys.meta_path.insert(0, Hook())
            sys.path.insert(0, {str(tmp_path)!r})
            from comfywatchman_core.cli import main
            sys.exit(main(["backends", "--json", *{arguments!r}]))
        """

        done = subprocess.run(
            [sys.executable, "-c", dedent(code)],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
        )

        assert done.returncode == 0, done.stderr
        assert "IMPORTED" not in done.stdout
        assert '"name": "core", "state": "ready"' in done.stdout


class TestAsking:
    @pytest.mark.parametrize(
        ("answer", "outcome"),
        [
            (None, Outcome.DECLINED),
            ((), Outcome.ANSWERED),
            ((OFFER,), Outcome.ANSWERED),
            (BackendError("no network"), Outcome.FAILED),
            (RuntimeError("boom"), Outcome.FAILED),
        ],
    )
    def test_declined_found_nothing_and_failed_stay_three_things(self, answer: object, outcome: Outcome) -> None:
        (told,) = ask(load(toy=backend(1, answer)))

        assert told.attempt.outcome is outcome
        assert (told.attempt.failure is not None) is (outcome is Outcome.FAILED)
        assert told.attempt.hook == "resolve_model"

    def test_offers_are_counted(self) -> None:
        (told,) = ask(load(toy=backend(1, (OFFER, OFFER))))

        assert told.attempt.offers == 2

    @pytest.mark.parametrize(
        "trouble",
        [RuntimeError("boom"), SystemExit(3), KeyError("x"), RecursionError(), GeneratorExit(), BackendError("x")],
    )
    def test_one_that_raises_does_not_stop_the_next(self, trouble: BaseException) -> None:
        answers = ask(load(bad=backend(9, trouble), good=backend(1, ())))

        assert outcomes(answers) == {"bad": Outcome.FAILED, "good": Outcome.ANSWERED}

    def test_an_error_of_a_back_end_keeps_what_it_says(self) -> None:
        error = AuthRequired("the shelf wants a token", hint="Set SHELF_TOKEN.", http_status=401)

        (told,) = ask(load(shelf=backend(1, error)))

        assert told.error is error
        assert told.attempt.failure == error.failure

    def test_an_unforeseen_error_is_named_with_the_way_to_leave_the_back_end_out(self) -> None:
        (told,) = ask(load(shelf=backend(1, ZeroDivisionError("division by zero"))))

        failure = told.attempt.failure
        assert failure is not None
        assert failure.code is ErrorCode.BACKEND_FAILED
        assert "shelf failed: ZeroDivisionError: division by zero" in failure.message
        assert "--disable shelf" in str(failure.hint)

    def test_no_secret_of_an_error_reaches_the_record(self) -> None:
        error = BackendError(
            "GET https://me:s3cr3t@h/x?token=s3cr3t with Authorization: Bearer s3cr3t",
            hint="see https://h/?key=s3cr3t",
        )
        for trouble in (error, RuntimeError(str(error))):
            (told,) = ask(load(shelf=backend(1, trouble)))
            assert "s3cr3t" not in repr(told.attempt)

    def test_a_whole_page_in_an_error_is_cut(self) -> None:
        for trouble in (BackendError("x" * 100_000, hint="y" * 100_000), RuntimeError("x" * 100_000)):
            (told,) = ask(load(shelf=backend(1, trouble)))
            failure = told.attempt.failure
            assert failure is not None
            assert len(failure.message) <= 1000
            assert len(failure.hint or "") <= 1000

    def test_numbers_that_no_json_can_hold_do_not_reach_the_record(self) -> None:
        (told,) = ask(load(shelf=backend(1, BackendError("x", retry_after=float("inf")))))

        assert told.attempt.failure is not None
        assert told.attempt.failure.retry_after is None

    def test_an_answer_of_the_wrong_kind_is_a_failure(self) -> None:
        def check(value: object) -> object:
            raise TypeError(f"{value!r} is no sequence")

        (told,) = ask(load(shelf=backend(1, 42)), check=check)

        assert told.attempt.outcome is Outcome.FAILED
        assert told.value is None

    @pytest.mark.parametrize("stop", [Cancelled("stop"), MemoryError()])
    def test_being_told_to_stop_is_no_failure_of_the_back_end(self, stop: BaseException) -> None:
        with pytest.raises(type(stop)):
            ask(load(a=backend(9, stop), b=backend(1, ())))

    def test_one_that_hangs_is_given_up_by_name_and_the_next_is_asked(self) -> None:
        over = threading.Event()

        answers = ask(load(slow=backend(9, lambda: over.wait(20)), good=backend(1, ())), seconds=0.1)
        over.set()

        assert outcomes(answers) == {"slow": Outcome.FAILED, "good": Outcome.ANSWERED}
        failure = answers[0].attempt.failure
        assert failure is not None
        assert failure.code is ErrorCode.UNAVAILABLE
        assert "slow" in failure.message
        assert "0.1 seconds" in failure.message

    def test_one_that_makes_progress_is_not_given_up(self) -> None:
        ticks = iter(range(1000))
        done = threading.Event()

        def slow() -> tuple[()]:
            done.wait(0.5)
            return ()

        answers = ask(load(slow=backend(9, slow)), seconds=0.05, progress=lambda: next(ticks))

        assert outcomes(answers) == {"slow": Outcome.ANSWERED}

    def test_whoever_stops_does_not_wait_for_one_that_hangs(self) -> None:
        over, stop = threading.Event(), threading.Event()

        def hang() -> None:
            stop.set()
            over.wait(20)

        def lend(name: str) -> Context:
            from attrs import evolve

            return evolve(context(name), cancelled=stop.is_set)

        with pytest.raises(Cancelled):
            list(load(slow=backend(9, hang)).ask("resolve_model", lend, request=REQUEST, seconds=60.0, grace=0.1))
        over.set()

    def test_the_built_in_one_watches_its_own_time(self) -> None:
        def slow() -> tuple[()]:
            threading.Event().wait(0.2)
            return ()

        assert outcomes(ask(load(core=backend(1, slow)), seconds=0.01)) == {"core": Outcome.ANSWERED}

    def test_each_is_lent_a_context_of_its_own(self) -> None:
        seen: list[str] = []

        class Toy:
            api_version = 1

            def __init__(self, priority: int) -> None:
                self.priority = priority

            @hookimpl
            def resolve_model(self, request: ModelRequest, context: Context) -> None:
                seen.append(context.name)

        ask(load(a=Toy(2), b=Toy(1)))

        assert seen == ["a", "b"]

    def test_what_is_printed_of_a_context_holds_no_settings(self) -> None:
        from attrs import evolve

        assert "s3cr3t" not in repr(evolve(context("a"), settings={"token": "s3cr3t"}))

    def test_every_verifier_answers_for_itself(self) -> None:
        class Verifier:
            api_version = 1

            def __init__(self, priority: int, checks: object) -> None:
                self.priority, self.checks = priority, checks

            @hookimpl
            def verify_artifact(self, artifact: Artifact) -> object:
                return self.checks

        used = load(a=Verifier(3, [Check("x", True)]), b=Verifier(2, None), c=Verifier(1, ()))
        answers = list(used.ask("verify_artifact", context, artifact=None, candidate=OFFER))

        assert [(a.attempt.outcome, a.attempt.offers) for a in answers] == [
            (Outcome.ANSWERED, 1),
            (Outcome.DECLINED, 0),
            (Outcome.ANSWERED, 0),
        ]


class TestWrappers:
    def tracer(self, seen: list[object]) -> Any:
        class Tracer:
            api_version, priority = 1, 0

            @hookimpl(wrapper=True)
            def resolve_model(self, request: ModelRequest) -> Any:
                answer = yield
                seen.append(answer)
                return answer

        return Tracer()

    def test_one_that_only_wraps_sees_every_single_answer_and_is_never_asked_itself(self) -> None:
        seen: list[object] = []

        answers = ask(load(a=backend(9, (OFFER,)), b=backend(8, ()), tracer=self.tracer(seen)))

        assert [answer.attempt.backend for answer in answers] == ["a", "b"]
        assert seen == [(OFFER,), ()]

    def test_a_wrapper_may_change_an_answer(self) -> None:
        class Cache:
            api_version, priority = 1, 0

            @hookimpl(wrapper=True)
            def resolve_model(self, request: ModelRequest) -> Any:
                yield
                return (OFFER,)

        (told,) = ask(load(a=backend(9, ()), cache=Cache()))

        assert told.value == (OFFER,)


class TestOptionalParts:
    def test_methods_beyond_the_hooks_are_found_in_order(self) -> None:
        first, second, none = backend(9), backend(5), backend(7)
        first.prepare = second.prepare = print

        assert [name for name, _ in load(b=second, a=first, c=none).with_method("prepare")] == ["a", "b"]

    def test_hosts_say_which_addresses_belong_to_a_source(self) -> None:
        shelf = backend(5)
        shelf.hosts = frozenset({"shelf.example", "127.0.0.1:8080"})
        used = load(shelf=shelf, odd=backend(9))

        assert used.owner_of("https://SHELF.example/x") == "shelf"
        assert used.owner_of("http://127.0.0.1:8080/x") == "shelf"
        assert used.owner_of("http://127.0.0.1:8081/x") is None
        assert used.owner_of("https://shelf.example.evil.tld/x") is None
        assert used.owner_of("https://[broken") is None

    def test_an_endpoint_in_the_settings_belongs_to_its_source(self) -> None:
        used = load(shelf=backend(5))

        assert used.owner_of("http://nas:9/hub/x", {"shelf": {"base_url": "http://nas:9/hub"}}) == "shelf"
        assert used.owner_of("http://nas:9/other", {"shelf": {"base_url": "http://nas:9/hub"}}) is None

    @pytest.mark.parametrize("hosts", ["shelf.example", 5, None, property(lambda self: 1 / 0)])
    def test_hosts_of_the_wrong_kind_claim_nothing(self, hosts: object) -> None:
        class Odd:
            api_version, priority = 1, 5

            @hookimpl
            def resolve_model(self, request: ModelRequest) -> None: ...

        Odd.hosts = hosts  # type: ignore[attr-defined]

        assert load(odd=Odd()).owner_of("https://shelf.example/x") is None

    def test_an_address_of_the_request_is_tried_before_anybody_searches(self) -> None:
        used = load(core=backend(-1000), knows=backend(90), shelf=backend(80), searches=backend(50))

        assert used.with_core_before_searches() == ("knows", "shelf", "core", "searches")

    def test_one_that_is_not_in_use_cannot_be_had(self) -> None:
        with pytest.raises(KeyError):
            load(a=backend(1)).get("b")


class TestWhatPluggyAloneDoes:
    """Facts that the core leans on, or works around; they hold from pluggy 1.5 on."""

    def manager(self) -> pluggy.PluginManager:
        manager = pluggy.PluginManager(PROJECT)
        for specification in SPECIFICATIONS:
            manager.add_hookspecs(specification)
        return manager

    def test_it_calls_the_last_registered_first_and_stops_at_the_first_answer(self) -> None:
        manager = self.manager()
        manager.register(backend(9, ("first",)))
        manager.register(backend(1, ("last",)))

        assert manager.hook.resolve_model(request=REQUEST, context=None) == ("last",)

    def test_one_plugin_that_raises_ends_the_whole_call(self) -> None:
        manager = self.manager()
        manager.register(backend(1, ("good",)))
        manager.register(backend(9, RuntimeError("boom")))

        with pytest.raises(RuntimeError, match="boom"):
            manager.hook.resolve_model(request=REQUEST, context=None)

    def test_a_subset_caller_leaves_plugins_out_and_keeps_wrappers(self) -> None:
        manager = self.manager()
        left_out, asked = backend(9, RuntimeError("not asked")), backend(1, ("asked",))
        manager.register(asked)
        manager.register(left_out)

        caller = manager.subset_hook_caller("resolve_model", [left_out])

        assert caller(request=REQUEST, context=None) == ("asked",)

    def test_a_misspelt_hook_registers_without_a_word(self) -> None:
        class Misspelt:
            @hookimpl
            def resolve_modell(self, request: ModelRequest) -> None: ...

        manager = self.manager()
        manager.register(Misspelt())

        with pytest.raises(pluggy.PluginValidationError):
            manager.check_pending()

    def test_implementations_are_given_only_the_arguments_they_name(self) -> None:
        class Terse:
            @hookimpl
            def resolve_model(self) -> tuple[str]:
                return ("terse",)

        manager = self.manager()
        manager.register(Terse())

        assert manager.hook.resolve_model(request=REQUEST, context=None, more=1) == ("terse",)

    def test_a_blocked_name_is_not_registered(self) -> None:
        manager = self.manager()
        manager.set_blocked("a")

        assert manager.register(backend(1), name="a") is None
