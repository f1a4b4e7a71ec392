"""On PostgreSQL, which takes no text that is too long and no number that is too large: never an internal error."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
import servers
from served import Served, serving


@pytest.fixture(scope="module")
def served(
    redis_server: str, pg_server: servers.Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    name = pg_server.create_database()
    url = pg_server.url(name)
    with serving(tmp_path_factory.mktemp("served"), redis_server, database_url=url) as server:
        yield server
        server.world.engine.dispose()
    pg_server.drop_database(name)


LONG_PATHS = [
    f"/v1/exports/{'a' * 24}",
    f"/v1/exports/{'a' * 300}",
    f"/me/exports/{'x' * 300}",
    "/staff?q=%00",
    "/staff?q=%00%ff",
    "/staff?cursor=%00",
    "/staff?state=%00",
    f"/staff/audit?before={10**20}",
    f"/staff/audit?before={2**63 - 1}",
    "/staff/audit?check=%00",
    f"/v1/exports?cursor={'9' * 200}",
    "/v1/exports?cursor=%00",
    "/v1/requests?cursor=%00",
    "/v1/erasure-holds?subject=user:%00",
    f"/v1/erasure-holds?subject=contact:con_1&tenant={'t' * 200}",
    f"/d/{'x' * 3000}",
    "/d/%00",
    f"/problems/{'x' * 300}%00",
    "/login?next=%00",
    "/login/callback?code=%00&state=%00",
]


@pytest.mark.parametrize("path", LONG_PATHS)
def test_no_address_is_an_internal_error(served: Served, path: str) -> None:
    """By a login with all roles, on pages and API."""
    with served.browser("olga", "officer", "staff", "tenant_admin", tenant="ten_1") as visitor:
        assert visitor.client.get(path, follow_redirects=True).status_code < 500
        headers = served.bearer("olga", "officer", "staff", "tenant_admin", tenant="ten_1")
        assert httpx.get(f"{served.url}{path}", headers=headers, follow_redirects=True).status_code < 500


def test_a_volume_with_a_number_of_thirty_digits(served: Served) -> None:
    """It does not exist."""
    export_id = served.ready("user:usr_1")
    url = served.link(export_id).url(served.url)
    answers = [httpx.get(f"{url}/volumes/{number}?claim=x") for number in (10**29, 0, -1, "x", 2**31)]
    assert {answer.status_code for answer in answers} <= {404, 422}
    with served.browser("usr_1") as visitor:
        path = f"/me/exports/{export_id}/volumes/{10**29}"
        assert visitor.send(path, page=f"/me/exports/{export_id}").status_code == 422


@pytest.mark.parametrize("length", [181, 255, 4000])
def test_an_id_that_is_too_long_cannot_log_in(served: Served, length: int) -> None:
    """OpenID Connect allows 255 characters; an account here has at most 180."""
    served.issuer.person = served.issuer.claims("s" * length)
    with httpx.Client(base_url=served.url) as client:
        assert client.get("/login", follow_redirects=True).status_code == 403
    assert httpx.get(f"{served.url}/v1/exports", headers=served.bearer("s" * length)).status_code == 401


def test_the_longest_id_works_in_each_role(served: Served) -> None:
    """Its owner asks, and an officer with such an id decides."""
    sub = "s" * 180
    asked = served.call("POST", "/v1/exports", sub, json={"profile": "access", "subject": f"user:{sub}"})
    assert asked.status_code == 201
    reason = {"reason": "not the person"}
    denied = served.call("POST", f"/v1/exports/{asked.json()['id']}/deny", "o" * 180, "officer", json=reason)
    assert denied.status_code == 200


@pytest.mark.parametrize("sub", ["usr\x00", "usr\n1", "usr\x7f", ""])
def test_an_id_with_a_character_that_cannot_be_stored(served: Served, sub: str) -> None:
    """It is refused at the login, not by the database."""
    assert httpx.get(f"{served.url}/v1/exports", headers=served.bearer(sub)).status_code == 401


def test_a_tenant_that_is_no_id(served: Served) -> None:
    """A claim that is too long, or has the character NUL, finds nothing."""
    for tenant in ("t" * 5000, "ten\x00"):
        headers = served.bearer("adm", "tenant_admin", tenant=tenant)
        assert httpx.get(f"{served.url}/v1/exports", headers=headers).status_code < 500
