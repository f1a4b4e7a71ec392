"""HEAD where GET works: what GET answers, without the content and without an effect."""

from __future__ import annotations

import httpx
import pytest
from served import OWNER, Served

FLASH = '<p class="flash"'
OPEN = ["/", "/healthz", "/healthz/live", "/healthz/ready", "/v1/regimes", "/v1/register", "/openapi.json"]
OPEN += ["/.well-known/jwks.json", "/.well-known/oauth-authorization-server", "/static/style.css"]


@pytest.mark.parametrize("path", OPEN)
def test_a_load_balancer_gets_the_status_and_headers_of_get(served: Served, path: str) -> None:
    """With the length that GET has, and the same protective headers."""
    head, get = httpx.head(f"{served.url}{path}"), httpx.get(f"{served.url}{path}")
    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-type", "content-length", "cache-control", "etag", "x-frame-options"):
        assert head.headers.get(name) == get.headers.get(name), name


def test_pages_and_calls_with_a_login_take_head(served: Served) -> None:
    """By cookie and by token; who may not see it gets the status that GET has."""
    export_id = served.ready()
    with served.browser(OWNER) as visitor, served.browser("usr_other") as stranger:
        for path in ("/me", f"/me/exports/{export_id}", "/me/sessions"):
            assert visitor.client.head(path).status_code == 200
        assert stranger.client.head(f"/me/exports/{export_id}").status_code == 404
    assert httpx.head(f"{served.url}/v1/exports/{export_id}", headers=served.bearer(OWNER)).status_code == 200
    assert httpx.head(f"{served.url}/v1/exports").status_code == 401
    assert httpx.head(f"{served.url}/nothing").status_code == 404


def test_head_sets_no_cookie_and_uses_nothing_up(served: Served) -> None:
    """What a page shows once is still there for the person; a login that is under way stays the one that was begun."""
    export_id = served.world.request("user:usr_informed")
    with served.browser("usr_informed") as visitor:
        shown = visitor.send(f"/me/exports/{export_id}/cancel").headers["location"]
        for path in (shown, "/me", "/login"):
            assert "set-cookie" not in visitor.client.head(path).headers
        assert [FLASH in visitor.client.get(shown).text for _ in range(2)] == [True, False]
    served.issuer.person = served.issuer.claims(OWNER)
    with httpx.Client(base_url=served.url) as client:
        begun = client.get("/login")
        client.head("/login")
        back = httpx.get(begun.headers["location"]).headers["location"]
        used = client.head(back)
        assert (used.status_code, used.headers["allow"]) == (405, "GET, OPTIONS")
        assert client.get(back).headers["location"] == "/me"


def test_head_of_what_only_post_changes_changes_nothing(served: Served) -> None:
    """405 with what is allowed, as for GET."""
    for path in ("/me/exports", "/logout", "/v1/oauth/token"):
        answer = httpx.head(f"{served.url}{path}")
        assert (answer.status_code, answer.headers["allow"]) == (405, "OPTIONS, POST")
