"""The key is seen by the service's own origin, and by nobody else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from standins.civitai import CivitaiStandIn, File, Model, Version
from standins.civitai_desk import Desk

from comfywatchman_core.report import Status
from comfywatchman_core.testing import Asked, Reply, safetensors, serve

KEY = "s3cr3t-k3y-of-th3-us3r"


@pytest.fixture
def civitai() -> Any:
    with CivitaiStandIn(keys=(KEY,), needs_login=True) as running:
        yield running


@pytest.fixture
def ink(civitai: CivitaiStandIn, monkeypatch: pytest.MonkeyPatch) -> Model:
    monkeypatch.setenv("CIVITAI_API_KEY", f"{KEY}\n")
    version = Version("v1", [File("ink_painting.safetensors", safetensors("ink"))])
    return civitai.add_model(name="Ink Painting", versions=[version])


def carries_the_key(asked: Asked) -> bool:
    return KEY in f"{asked.target} {dict(asked.headers)} {asked.body!r}"


def reference(model: Model) -> str:
    return f"civitai:{model.id}@{model.versions[0].id}"


def test_it_goes_to_the_service_in_a_header_and_never_in_an_address(
    civitai: CivitaiStandIn, desk: Desk, ink: Model
) -> None:
    assert desk.get(reference(ink)).status is Status.DOWNLOADED

    seen = [asked for asked in civitai.requests if carries_the_key(asked)]
    assert [asked.headers["authorization"] for asked in seen] == [f"Bearer {KEY}"]
    assert not any(KEY in asked.target for asked in civitai.requests)


def test_the_storage_never_sees_it(civitai: CivitaiStandIn, desk: Desk, ink: Model) -> None:
    desk.get(reference(ink))

    assert civitai.storage_requests
    assert not any(carries_the_key(asked) for asked in civitai.storage_requests)
    assert not any("authorization" in asked.headers for asked in civitai.storage_requests)


def test_a_redirect_to_a_stranger_does_not_carry_it(civitai: CivitaiStandIn, desk: Desk, ink: Model) -> None:
    with serve(lambda asked: Reply(status=403), host="localhost") as stranger:
        civitai.downloads.redirect = lambda url: f"{stranger.url}/collect"

        desk.get(reference(ink))

        assert stranger.asked
        assert not any(carries_the_key(asked) for asked in stranger.asked)


def test_a_stranger_that_redirects_back_does_not_bring_it_out(civitai: CivitaiStandIn, desk: Desk, ink: Model) -> None:
    with serve(lambda asked: Reply(status=302, headers={"Location": f"{civitai.url}/api/v1/me"})) as stranger:
        civitai.downloads.redirect = lambda url: f"{stranger.url}/bounce"

        desk.get(reference(ink))

        returned = [asked for asked in civitai.requests if asked.path == "/api/v1/me"]
        assert returned
        assert not any(carries_the_key(asked) for asked in returned)


def test_questions_that_need_no_key_carry_none(civitai: CivitaiStandIn, desk: Desk, ink: Model) -> None:
    desk.resolve("ink_painting.safetensors", "loras")

    assert civitai.requests
    assert not any(carries_the_key(asked) for asked in civitai.requests)


def test_an_entry_in_netrc_does_not_replace_it(
    civitai: CivitaiStandIn, desk: Desk, ink: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password wrong\nmachine localhost login me password wrong\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))

    assert desk.get(reference(ink)).status is Status.DOWNLOADED

    sent = [asked.headers["authorization"] for asked in civitai.requests if "authorization" in asked.headers]
    assert sent == [f"Bearer {KEY}"]
    assert not any("authorization" in asked.headers for asked in civitai.storage_requests)


def test_a_proxy_sees_no_more_of_it_than_the_request_to_the_service(
    civitai: CivitaiStandIn, desk: Desk, ink: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forward(asked: Asked) -> Reply:
        """A proxy for plain http: it is asked for whole addresses, and asks on."""
        bare = asked.target.partition("://")[2].partition("/")[2]
        target = Asked(method=asked.method, target=f"/{bare}", headers=asked.headers, body=asked.body)
        if asked.target.startswith(civitai.url):
            civitai.requests.append(target)
            return civitai.answer(target)
        civitai.storage_requests.append(target)
        return civitai.storage_answer(target)

    with serve(forward) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", "")

        assert desk.get(reference(ink)).status is Status.DOWNLOADED

        with_key = [asked for asked in proxy.asked if carries_the_key(asked)]
        assert [asked.target.partition("?")[0] for asked in with_key] == [
            f"{civitai.url}/api/download/models/{ink.versions[0].id}"
        ]
        assert not any("proxy-authorization" in asked.headers for asked in proxy.asked)


def test_it_stands_in_no_file_no_event_and_no_report(
    civitai: CivitaiStandIn, desk: Desk, ink: Model, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    report = desk.run([reference(ink), "civitai:99999", "loras/ink_painting.safetensors"])

    files = [path.read_bytes() for path in desk.folder.rglob("*") if path.is_file()]
    assert files
    assert not any(KEY.encode() in data for data in files)
    assert KEY not in f"{report!r} {desk.told!r} {caplog.text}"


def test_a_pasted_token_is_kept_nowhere(civitai: CivitaiStandIn, desk: Desk, ink: Model) -> None:
    link = f"https://civitai.com/api/download/models/{ink.versions[0].id}?token=5ecre7"

    desk.run(link)

    stored = [path.read_bytes() for path in (desk.folder / "state").rglob("*") if path.is_file()]
    assert not any(b"5ecre7" in data for data in stored)
    assert not any("5ecre7" in asked.target for asked in (*civitai.requests, *civitai.storage_requests))
