"""The servers that the kit lends do what their names say."""

from __future__ import annotations

import pytest

from comfywatchman_core import BackendError
from comfywatchman_core.http import ApiClient
from comfywatchman_core.testing import Ending, Faulty, Scene, safetensors, spelled_out
from comfywatchman_core.testing.fixtures import faulty_host as faulty_host
from comfywatchman_core.testing.fixtures import no_network as no_network
from comfywatchman_core.testing.misbehaviour import MISBEHAVIOURS, misbehaving, redirecting

INK = safetensors("ink")


@pytest.mark.parametrize("how", MISBEHAVIOURS)
def test_no_misbehaving_server_gives_a_usable_answer(how: str) -> None:
    with misbehaving(how) as url:
        try:
            found = ApiClient(retries=0, timeout=0.5).get_json(f"{url}/any/path?x=1")
        except BackendError as error:
            found = error

    assert not isinstance(found, dict)  # garbage is a list where everybody expects an object


def test_a_redirecting_server_leads_to_another_origin() -> None:
    with redirecting() as (url, arrived):
        ApiClient(retries=0).get(f"{url}/models?query=ink", headers={"Authorization": "Bearer x"})

    assert [asked.target for asked in arrived] == ["/models?query=ink"]
    assert "authorization" not in arrived[0].headers


def test_a_faulty_host_plays_its_script_and_then_serves_the_file(faulty_host: Faulty) -> None:
    faulty_host.files["/ink"] = INK
    faulty_host.play("/ink", Scene(sends=100, then=Ending.RST), Scene())
    client = ApiClient(retries=0)

    with pytest.raises(BackendError):
        client.get(f"{faulty_host.url}/ink")

    assert client.get(f"{faulty_host.url}/ink").body == INK


def test_what_has_no_script_is_played_as_everything_else(faulty_host: Faulty) -> None:
    faulty_host.otherwise = Scene(status=503, body=b"{}")

    with pytest.raises(BackendError) as caught:
        ApiClient(retries=0).get(f"{faulty_host.url}/anything")

    assert caught.value.http_status == 503


def test_the_guard_lets_loopback_through(no_network: list[str], faulty_host: Faulty) -> None:
    faulty_host.files["/ink"] = INK

    ApiClient(retries=0).get(f"{faulty_host.url}/ink")

    assert no_network == []


def test_what_a_value_hides_in_its_repr_is_spelled_out() -> None:
    error = BackendError("refused", hint="h1")
    error.__cause__ = ValueError("c1")
    scene = Scene(body=b"b1", headers={"X": "x1"})

    text = spelled_out((error, [scene]))

    assert "b1" not in repr(scene)
    assert {"refused", "h1", "c1", "b1", "x1"} <= set(text.splitlines())


def test_a_value_that_holds_itself_is_spelled_out_once() -> None:
    one: list[object] = ["x"]
    one.append(one)

    assert spelled_out(one) == "x"
