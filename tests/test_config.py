"""The settings of a run: argument over environment over file over default, each with where it came from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import attrs
import pytest

from comfywatchman_core.cli.configuration import effective
from comfywatchman_core.config import BackendTable, Config, Download, Rules, read_rate
from comfywatchman_core.errors import UsageError
from comfywatchman_core.models import Match
from comfywatchman_core.settings import is_secret, user_file

TOKEN = "s3cr3t-token"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def load(file: Path | None = None, environ: dict[str, str] | None = None, **arguments: Any) -> Config:
    named = {name.replace("__", "."): value for name, value in arguments.items()}
    return Config.load(file=file, environ=environ or {}, arguments=named, use_file=file is not None)


def vars_of(value: attrs.AttrsInstance) -> dict[str, Any]:
    return attrs.asdict(value, recurse=False)


def refused(file: Path, text: str, environ: dict[str, str] | None = None) -> str:
    file.write_text(text)
    with pytest.raises(UsageError) as caught:
        load(file, environ)
    assert caught.value.hint
    return str(caught.value)


class TestPrecedence:
    def test_an_argument_beats_the_environment_beats_the_file_beats_the_default(self, file: Path) -> None:
        file.write_text("[download]\njobs = 5\nconnections = 6\nmax_retries = 7\n")
        environ = {"COMFYWATCHMAN_JOBS": "9", "COMFYWATCHMAN_CONNECTIONS": "10"}

        config = load(file, environ, download__jobs=11)

        assert (config.download.jobs, config.download.connections, config.download.max_retries) == (11, 10, 7)
        assert config.download.timeout_seconds == 300.0

    def test_each_value_says_where_it_came_from(self, file: Path) -> None:
        file.write_text('comfyui = "~/c"\n[download]\njobs = 5\n')

        origins = load(file, {"COMFYWATCHMAN_CONNECTIONS": "2"}, offline=True).origins

        assert origins == {
            "comfyui": str(file),
            "download.jobs": str(file),
            "download.connections": "environment",
            "offline": "argument",
        }

    def test_an_argument_that_is_not_given_decides_nothing(self) -> None:
        assert load(None, {"COMFYWATCHMAN_JOBS": "9"}, download__jobs=None).download.jobs == 9

    def test_an_argument_that_names_one_place_replaces_the_other_kind_of_place(self, file: Path) -> None:
        file.write_text('comfyui = "/a"\nmodels_dir = "/b"\n')

        assert load(file, models_dir="/c").comfyui is None
        assert load(file, comfyui="/c").models_dir is None
        assert load(file, comfyui="/c", models_dir="/d").models_dir == Path("/d")

    def test_the_defaults_are_those_of_the_integration_plan(self) -> None:
        assert attrs.asdict(Download()) == {
            "auto_download": True,
            "verify_hashes": True,
            "max_retries": 3,
            "timeout_seconds": 300.0,
            "delay_between_downloads": 0.0,
            "jobs": 3,
            "connections": 8,
            "limit_rate": 0,
            "allow_private_urls": False,
            "link": "auto",
        }

    def test_every_setting_can_be_given(self) -> None:
        """A field of a kind that nothing reads would fail only for the first user who sets it."""
        values = Config(
            comfyui=Path("/srv"), models_dir=Path("/m"), server="http://127.0.0.1:8188", state_dir=Path("/s")
        )
        tables, later = ("download", "backends"), ("rules", "origins", "warnings")
        given = {name: value for name, value in vars_of(values).items() if name not in (*tables, *later)}
        for table in tables:
            given |= {f"{table}.{name}": value for name, value in vars_of(getattr(values, table)).items()}
        del given["backends.settings"]  # whole tables, of back ends

        config = load(None, **given)

        assert attrs.evolve(config, origins={}) == values


class TestFiles:
    def test_the_users_own_file_is_read(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
        user_file().parent.mkdir(parents=True)
        user_file().write_text("[download]\njobs = 5\n")

        assert Config.load(environ={}).download.jobs == 5
        assert Config.load(environ={}, use_file=False).download.jobs == 3

    def test_no_file_is_read_from_the_current_directory(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """A workflow repository that somebody cloned must not redirect endpoints and tokens."""
        for name in ("config.toml", "comfywatchman.toml", ".comfywatchman.toml", "pyproject.toml", ".env"):
            (tmp_path / name).write_text("[download]\njobs = 5\n[backends.civitai]\nbase_url = 'https://evil.tld'\n")
        (tmp_path / "comfywatchman").mkdir()
        (tmp_path / "comfywatchman" / "config.toml").write_text("[download]\njobs = 5\n")
        monkeypatch.chdir(tmp_path)

        assert Config.load() == Config()

    def test_the_environment_may_name_the_file_and_an_argument_another(self, tmp_path: Path) -> None:
        one, other = tmp_path / "one.toml", tmp_path / "other.toml"
        one.write_text("[download]\njobs = 5\n")
        other.write_text("[download]\njobs = 6\n")

        assert Config.load(environ={"COMFYWATCHMAN_CONFIG": str(one)}).download.jobs == 5
        assert Config.load(environ={"COMFYWATCHMAN_CONFIG": str(one)}, file=other).download.jobs == 6

    @pytest.mark.parametrize("kind", ["missing", "directory", "not-toml", "not-utf8"])
    def test_a_file_that_was_named_and_cannot_be_read_is_an_error(self, file: Path, kind: str) -> None:
        if kind == "directory":
            file.mkdir()
        elif kind == "not-toml":
            file.write_text("jobs = = 3")
        elif kind == "not-utf8":
            file.write_bytes(b"x = '\xff'")

        with pytest.raises(UsageError, match=r"config\.toml"):
            load(file)

    def test_a_byte_order_mark_does_not_matter(self, file: Path) -> None:
        file.write_bytes(b"\xef\xbb\xbf[download]\njobs = 5\n")

        assert load(file).download.jobs == 5

    @pytest.mark.skipif(os.name != "posix", reason="modes are posix")
    def test_a_token_in_a_file_that_others_can_read_is_told(self, file: Path) -> None:
        file.write_text(f"[backends.civitai]\ntoken = '{TOKEN}'\n")
        file.chmod(0o644)
        (warning,) = load(file).warnings
        file.chmod(0o600)

        assert str(file) in warning
        assert TOKEN not in warning
        assert load(file).warnings == ()


class TestEnvironment:
    @pytest.mark.parametrize(
        ("name", "text", "setting", "value"),
        [
            ("COMFYWATCHMAN_COMFYUI", "/c", "comfyui", Path("/c")),
            ("COMFYUI_PATH", "/c", "comfyui", Path("/c")),
            ("COMFYUI_ROOT", "/c", "comfyui", Path("/c")),
            ("COMFYWATCHMAN_STATE_DIR", "/s", "state_dir", Path("/s")),
            ("COMFYWATCHMAN_OFFLINE", "1", "offline", True),
            ("COMFYWATCHMAN_OFFLINE", "no", "offline", False),
            ("COMFYWATCHMAN_NO_PLUGINS", "true", "plugins", False),
            ("COMFYWATCHMAN_DISABLE", "a, b,", "backends.disabled", ("a", "b")),
            ("COMFYWATCHMAN_JOBS", "5", "download.jobs", 5),
            ("COMFYWATCHMAN_CONNECTIONS", "5", "download.connections", 5),
            ("COMFYWATCHMAN_LIMIT_RATE", "2M", "download.limit_rate", 2 << 20),
            ("COMFYWATCHMAN_AUTO_DOWNLOAD", "off", "download.auto_download", False),
        ],
    )
    def test_each_variable_is_its_setting(self, name: str, text: str, setting: str, value: object) -> None:
        config: Any = load(None, {name: text})
        for part in setting.split("."):
            config = getattr(config, part)

        assert config == value

    def test_the_projects_own_name_wins_over_those_that_are_also_accepted(self) -> None:
        environ = {"COMFYUI_ROOT": "/3", "COMFYUI_PATH": "/2", "COMFYWATCHMAN_COMFYUI": "/1"}

        assert load(None, environ).comfyui == Path("/1")
        del environ["COMFYWATCHMAN_COMFYUI"]
        assert load(None, environ).comfyui == Path("/2")

    def test_a_setting_of_any_back_end_can_be_given_without_the_core_knowing_it(self) -> None:
        config = load(None, {"COMFYWATCHMAN_SHELF_BASE_URL": "https://shelf.example"})

        assert config.settings_of("shelf") == {"base_url": "https://shelf.example"}

    def test_an_empty_variable_is_none(self) -> None:
        assert load(None, {"COMFYWATCHMAN_JOBS": "", "COMFYWATCHMAN_OFFLINE": "", "COMFYUI_PATH": ""}) == Config()

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("COMFYWATCHMAN_JOBS", "many"),
            ("COMFYWATCHMAN_JOBS", "0"),
            ("COMFYWATCHMAN_JOBS", "2.5"),
            ("COMFYWATCHMAN_OFFLINE", "perhaps"),
            ("COMFYWATCHMAN_NO_PLUGINS", "perhaps"),
            ("COMFYWATCHMAN_LIMIT_RATE", "fast"),
        ],
    )
    def test_a_variable_that_makes_no_sense_is_told(self, name: str, text: str) -> None:
        with pytest.raises(UsageError, match="environment"):
            load(None, {name: text})


class TestMistakes:
    def test_all_mistakes_are_told_at_once(self, file: Path) -> None:
        told = refused(
            file,
            'modles_dir = "/x"\noffline = "false"\n"a.b" = 1\nrules = 3\n'
            "[download]\njobs = 0\nconections = 3\ntimeout_seconds = -1\n"
            "[backends]\norder = 'civitai'\n",
            {"COMFYWATCHMAN_CONNECTIONS": "99"},
        )

        for word in ("modles_dir", "offline", "a.b", "rules", "jobs", "conections", "timeout_seconds", "order"):
            assert word in told
        assert "download.connections" in told or "'connections'" in told
        assert str(file) in told

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("download = 3", "download is a table"),
            ("backends = 3", "backends is a table"),
            ("[download]\njobs = true", "whole number"),
            ("[download]\njobs = 3.7", "whole number"),
            ("[download]\nverify_hashes = 'false'", "true or false"),
            ("[download]\nverify_hashes = 0", "true or false"),
            ("[download]\nlimit_rate = true", "rate"),
            ("[download]\nlimit_rate = '10 potatoes'", "rate"),
            ("[download]\ntimeout_seconds = nan", "timeout_seconds"),
            ("[download]\ntimeout_seconds = inf", "timeout_seconds"),
            ("[download]\ndelay_between_downloads = inf", "delay_between_downloads"),
            ("[download]\nlink = 'soft'", "link"),
            ("[backends]\ndisabled = [1]", "list of texts"),
            ("[backends]\nsettings = 'x'", "settings"),
            ("comfyui = 5", "path"),
            ("extra_model_paths = 'x'", "list of paths"),
            ("[wherever]\nx = 1", "wherever"),
            ("origins = {}", "origins"),
            ("'x.y' = 1", "x.y"),
        ],
    )
    def test_a_value_is_read_as_what_it_is_written_as(self, file: Path, text: str, told: str) -> None:
        assert told in refused(file, text, {"COMFYWATCHMAN_CONNECTIONS": "3", "COMFYWATCHMAN_SHELF_URL": "x"})

    def test_a_mistake_shows_no_secret(self, file: Path) -> None:
        assert TOKEN not in refused(file, f"token = '{TOKEN}'\n[backends]\ntoken = '{TOKEN}'\n")


class TestBackEndTables:
    def test_the_table_of_a_back_end_is_handed_over_unread(self, file: Path) -> None:
        file.write_text(
            "[backends.shelf]\nbase_url = 'https://s.example'\npublishers = ['a']\n[backends.shelf.deeper]\nx = 1\n"
        )

        assert load(file).settings_of("shelf") == {
            "base_url": "https://s.example",
            "publishers": ["a"],
            "deeper": {"x": 1},
        }
        assert load(file).settings_of("nobody") == {}

    def test_layers_meet_setting_by_setting(self, file: Path) -> None:
        file.write_text("[backends.shelf]\nbase_url = 'https://s.example'\nx = 1\n")

        settings = load(file, {"COMFYWATCHMAN_SHELF_BASE_URL": "https://t.example"}).settings_of("shelf")

        assert settings == {"base_url": "https://t.example", "x": 1}

    def test_what_is_printed_of_settings_holds_no_token(self) -> None:
        config = Config(backends=BackendTable(settings={"shelf": {"token": TOKEN}}))

        assert TOKEN not in repr(config)

    @pytest.mark.parametrize("name", ["backends.civitai.token", "x.api_key", "x.PASSWORD", "x.client_secret"])
    def test_what_must_not_be_shown_is_told_by_its_name(self, name: str) -> None:
        assert is_secret(name)
        assert not is_secret("backends.civitai.base_url")


class TestRates:
    @pytest.mark.parametrize(
        ("text", "rate"),
        [
            ("0", 0),
            (0, 0),
            (5000, 5000),
            ("500k", 500 << 10),
            ("10M", 10 << 20),
            ("1.5 MiB/s", 3 << 19),
            ("2GB", 2 << 30),
        ],
    )
    def test_a_rate_is_read_with_its_unit(self, text: str | int, rate: int) -> None:
        assert read_rate(text) == rate

    @pytest.mark.parametrize("text", ["", "fast", "-5", "10 potatoes", "1e6", "M", "10MM"])
    def test_anything_else_is_none(self, text: str) -> None:
        with pytest.raises(ValueError, match="not a rate"):
            read_rate(text)


class TestRules:
    def test_one_text_is_a_list_of_one_and_not_of_its_letters(self) -> None:
        """``only="vae/*"`` must not mean ``*``."""
        rules = Rules(only="vae/*", skip="loras/*", backends="shelf", accept_digests="A" * 64)  # type: ignore[arg-type]

        assert (rules.only, rules.skip, rules.backends) == (("vae/*",), ("loras/*",), ("shelf",))
        assert rules.accept_digests == ("a" * 64,)

    def test_a_certainty_may_be_given_by_its_label(self) -> None:
        assert Rules(min_match="source-id").min_match is Match.SOURCE_ID  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="certain"):
            Rules(min_match="certain")  # type: ignore[arg-type]

    @pytest.mark.parametrize("digest", ["sha256:" + "a" * 64, " " + "A" * 64])
    def test_a_digest_is_accepted_however_it_is_spelled(self, digest: str) -> None:
        assert Rules(accept_digests=(digest,)).accept_digests == ("a" * 64,)

    @pytest.mark.parametrize("digest", ["zzz", "a" * 63, ""])
    def test_a_digest_that_is_none_is_told(self, digest: str) -> None:
        with pytest.raises(UsageError, match="not a SHA256"):
            Rules(accept_digests=(digest,))


class TestEffective:
    """What ``comfywatchman config`` shows."""

    VARIABLES = (("shelf", "token", ("SHELF_TOKEN", "OLD_TOKEN")), ("shelf", "endpoint", ("SHELF_URL",)))

    def shown(self, config: Config) -> dict[str, tuple[object, str]]:
        return {name: (value, origin) for name, value, origin in effective(config, self.VARIABLES)}

    def test_what_a_back_end_reads_from_the_environment_stands_there_with_its_variable(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OLD_TOKEN", "s3cr3t")
        monkeypatch.setenv("SHELF_URL", "https://user:s3cr3t@shelf.example/models?key=s3cr3t")

        told = self.shown(Config())

        assert told["backends.shelf.token"] == ("set", "OLD_TOKEN")
        assert told["backends.shelf.endpoint"] == ("https://shelf.example/models", "SHELF_URL")

    def test_a_token_that_is_nowhere_is_not_set(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("SHELF_TOKEN", "OLD_TOKEN", "SHELF_URL"):
            monkeypatch.delenv(name, raising=False)

        told = self.shown(Config())

        assert told["backends.shelf.token"] == ("not set", "default")
        assert "backends.shelf.endpoint" not in told

    def test_a_switch_is_told_as_the_settings_file_spells_it(self, tmp_path: Path) -> None:
        (tmp_path / "config.toml").write_text("plugins = false")

        told = self.shown(Config.load(environ={}, file=tmp_path / "config.toml"))

        assert told["plugins"] == (False, str(tmp_path / "config.toml"))


class TestAUserWithoutAHome:
    @pytest.fixture(autouse=True)
    def _nobody(self, monkeypatch: pytest.MonkeyPatch) -> None:
        pwd = pytest.importorskip("pwd")
        for name in ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"):
            monkeypatch.delenv(name)

        def unknown(number: int) -> None:
            raise KeyError(number)

        monkeypatch.setattr(pwd, "getpwuid", unknown)

    def test_has_settings_and_state_all_the_same(self) -> None:
        config = Config.load(environ={})

        assert config.state == Path("/.local/state/comfywatchman")

    def test_may_write_a_path_with_a_tilde(self) -> None:
        assert Config.load(environ={"COMFYWATCHMAN_STATE_DIR": "~/state"}).state == Path("~/state")


def test_settings_that_cannot_be_reached_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", f"/{'x' * 300}")

    assert Config.load(environ={}).comfyui is None
