"""What a back end may ask of the core's client beyond a plain question."""

from __future__ import annotations

from comfywatchman_core.http import ApiClient
from comfywatchman_core.testing import Asked, Reply, serve


def test_shared_headers_are_sent_at_every_hop_and_credentials_are_not() -> None:
    with serve(lambda asked: Reply.of_bytes(b"0123456789", asked), host="localhost") as storage:

        def redirect(asked: Asked) -> Reply:
            return Reply(status=302, headers={"Location": storage.url + "/file"})

        with serve(redirect) as api:
            answer = ApiClient().get(
                api.url, headers={"Authorization": "Bearer secret"}, shared={"Range": "bytes=0-3"}, limit=4
            )

    assert (answer.status, answer.body) == (206, b"0123")
    assert "authorization" in api.asked[0].headers
    assert "authorization" not in storage.asked[0].headers


def test_a_status_that_the_caller_deals_with_is_returned_at_once() -> None:
    with serve(lambda asked: Reply.json({}, 429)) as api:
        answer = ApiClient(retries=3).get(api.url, final=(429,))

    assert answer.status == 429
    assert len(api.asked) == 1
