"""Every endpoint, by every role, with other people's ids: nothing is done, and nothing is revealed."""

from __future__ import annotations

import httpx
import pytest
from served import CONTACT, OTHER, OWNER, TENANT, Served

ABSENT = "a" * 24
ABSENT_LINK = "lnk_" + "0" * 20

CALLS: tuple[tuple[str, str, dict[str, object] | None], ...] = (
    ("GET", "/v1/exports/{export}", None),
    ("POST", "/v1/exports/{export}/cancel", None),
    ("POST", "/v1/exports/{export}/approve", None),
    ("POST", "/v1/exports/{export}/deny", {"reason": "no"}),
    ("POST", "/v1/exports/{export}/recall", {"reason": "wrong person"}),
    ("POST", "/v1/exports/{export}/retry", None),
    ("POST", "/v1/exports/{export}/links", None),
    ("DELETE", "/v1/links/{link}", None),
    ("GET", "/v1/exports/{export}/transfers", None),
    ("POST", "/v1/exports/{export}/transfers", {"recipient": "other.example"}),
)
ELSEWHERE = {
    ("GET", "/v1/transfers/{transfer_id}"),
    ("DELETE", "/v1/transfers/{transfer_id}"),
    ("POST", "/v1/transfers/{transfer_id}/receipt"),
    ("DELETE", "/v1/authorisations/{authorisation_id}"),
    ("POST", "/v1/authorisations/{authorisation_id}/confirm"),
    ("POST", "/v1/recipients/{recipient_id}/approve"),
    ("POST", "/v1/recipients/{recipient_id}/prove"),
    ("POST", "/v1/recipients/{recipient_id}/rotation"),
    ("DELETE", "/v1/recipients/{recipient_id}"),
}
"""Tried by strangers in test_transfers.py, where there is something for them to try."""
FORMS: tuple[tuple[str, dict[str, str] | None], ...] = (
    ("/me/exports/{export}", None),
    ("/me/exports/{export}/standing", None),
    ("/staff/exports/{export}", None),
    ("/me/exports/{export}/cancel", {}),
    ("/me/exports/{export}/revoke", {}),
    ("/me/exports/{export}/transfers", {"recipient": "other.example", "agreed": "yes"}),
    ("/me/exports/{export}/volumes/1", {}),
    ("/staff/exports/{export}/cancel", {}),
    ("/staff/exports/{export}/recall", {"reason": "wrong person"}),
)
STRANGERS = {
    "another subject": (OTHER, (), {}),
    "an administrator of another company": ("adm", ("tenant_admin",), {"tenant": "ten_b"}),
    "an administrator of none": ("adm", ("tenant_admin",), {}),
    "an auditor": ("ann", ("auditor",), {}),
    "a recipient": ("rec", ("recipient",), {}),
    "an unknown role": ("eve", ("root", "operator"), {}),
}


@pytest.fixture(scope="module", params=["user", "contact"])
def ready_and_link(request: pytest.FixtureRequest, served: Served) -> tuple[str, str]:
    """A ready export of a person and a link to it."""
    tenant = {"tenant": TENANT} if request.param == "contact" else {}
    subject = f"contact:{CONTACT}" if tenant else f"user:{OWNER}"
    export_id = served.ready(subject, **tenant)
    return export_id, served.link(export_id, audience="code").id


@pytest.mark.requirement("R17")
@pytest.mark.parametrize("stranger", STRANGERS)
@pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call[0]} {call[1]}")
def test_another_persons_is_as_if_it_were_not_there(
    served: Served, ready_and_link: tuple[str, str], call: tuple[str, str, dict[str, object] | None], stranger: str
) -> None:
    """By an actor that it is not for: the same status and the same words as for an id that does not exist."""
    method, path, body = call
    sub, roles, more = STRANGERS[stranger]
    headers = served.bearer(sub, *roles, **more)
    answers = []
    for export_id, link_id in (ready_and_link, (ABSENT, ABSENT_LINK)):
        address = served.url + path.format(export=export_id, link=link_id)
        answer = httpx.request(method, address, headers=headers, json=body)
        words = answer.text.replace(export_id, "ID").replace(link_id, "ID")
        answers.append((answer.status_code, words.replace(answer.headers["x-request-id"], "REQUEST")))
    assert answers[0] == answers[1]
    assert answers[0][0] == httpx.codes.NOT_FOUND


@pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call[0]} {call[1]}")
def test_without_a_valid_login_the_answer_is_401(
    served: Served, ready_and_link: tuple[str, str], call: tuple[str, str, dict[str, object] | None]
) -> None:
    """Without a login, and with an invalid one: 401, for every endpoint."""
    method, path, body = call
    address = served.url + path.format(export=ready_and_link[0], link=ready_and_link[1])
    foreign = {"Authorization": "Bearer " + served.issuer.signed(served.issuer.claims(OWNER, aud="https://elsewhere"))}
    for headers in ({}, foreign, {"Authorization": "Basic b3duZXI6"}, {"Authorization": "Bearer x"}):
        answer = httpx.request(method, address, headers=headers, json=body)
        assert answer.status_code == httpx.codes.UNAUTHORIZED
        assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("stranger", STRANGERS)
@pytest.mark.parametrize("form", FORMS, ids=lambda form: form[0])
def test_pages_of_another_person_are_not_there(
    served: Served, ready_and_link: tuple[str, str], form: tuple[str, dict[str, str] | None], stranger: str
) -> None:
    """As the API has it: 404 on pages and for forms."""
    sub, roles, more = STRANGERS[stranger]
    path, fields = form
    with served.browser(sub, *roles, **more) as visitor:
        address = path.format(export=ready_and_link[0])
        answer = visitor.client.get(address) if fields is None else visitor.send(address, **fields)
    assert answer.status_code == httpx.codes.NOT_FOUND


@pytest.mark.requirement("R18")
@pytest.mark.parametrize("role", ["staff", "officer"])
def test_staff_cannot_download_by_any_way(served: Served, ready_and_link: tuple[str, str], role: str) -> None:
    """403 or 404 for every way to the content; none of their pages has a button for it."""
    export_id, _ = ready_and_link
    assert served.call("POST", f"/v1/exports/{export_id}/links", "sam", role).status_code == httpx.codes.FORBIDDEN
    with served.browser("sam", role) as visitor:
        page = visitor.client.get(f"/staff/exports/{export_id}")
        assert page.status_code == httpx.codes.OK
        assert "volumes" not in page.text
        assert "/d/" not in page.text
        assert OWNER not in page.text
        assert CONTACT not in page.text
        assert visitor.send(f"/me/exports/{export_id}/volumes/1").status_code == httpx.codes.FORBIDDEN
        assert visitor.client.get(f"/me/exports/{export_id}").status_code == httpx.codes.FORBIDDEN


@pytest.mark.parametrize("path", ["/staff", "/staff/new", "/staff/recipients", "/staff/audit", "/staff/requests.csv"])
def test_subjects_have_no_desk(served: Served, path: str) -> None:
    """Pages of staff are closed to all other users; auditors reach only the pages that they may read."""
    with served.browser(OWNER) as visitor:
        assert visitor.client.get(path).status_code == httpx.codes.FORBIDDEN
    with served.browser("ann", "auditor") as visitor:
        reads = path in {"/staff/audit", "/staff/requests.csv"}
        assert visitor.client.get(path).status_code == (httpx.codes.OK if reads else httpx.codes.FORBIDDEN)


def test_every_endpoint_of_the_api_is_in_this_test(served: Served) -> None:
    """An endpoint that is added is tried by strangers too."""
    document = httpx.get(f"{served.url}/openapi.json").json()
    documented = {
        (method.upper(), path.replace("{export_id}", "{export}").replace("{link_id}", "{link}"))
        for path, operations in document["paths"].items()
        for method in operations
        if "_id}" in path
    }
    assert documented == {(method, path) for method, path, _ in CALLS} | ELSEWHERE
