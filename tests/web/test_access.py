"""Every page and form, by every role, with other people's ids; tests/web/test_access_matrix.py has the API."""

from __future__ import annotations

import httpx
import pytest
from served import CONTACT, OWNER, TENANT, Served
from strangers import STRANGERS

FORMS: tuple[tuple[str, dict[str, str] | None], ...] = (
    ("/me/exports/{export}", None),
    ("/me/exports/{export}/standing", None),
    ("/staff/exports/{export}", None),
    ("/me/exports/{export}/cancel", {}),
    ("/me/exports/{export}/revoke", {}),
    ("/me/exports/{export}/transfers", {"recipient": "other.example", "agreed": "yes"}),
    ("/me/exports/{export}/volumes/1", {}),
    ("/staff/exports/{export}/cancel", {}),
    ("/staff/exports/{export}/recall", {"reason": "wrong person", "confirmed": "yes"}),
)

READ = ("/staff/audit", "/staff/report", "/staff/requests.csv")
"""What auditors may read."""


@pytest.fixture(scope="module", params=["user", "contact"])
def ready_and_link(request: pytest.FixtureRequest, served: Served) -> tuple[str, str]:
    """A ready export of a person and a link to it."""
    tenant = {"tenant": TENANT} if request.param == "contact" else {}
    subject = f"contact:{CONTACT}" if tenant else f"user:{OWNER}"
    export_id = served.ready(subject, **tenant)
    return export_id, served.link(export_id, audience="code").id


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


@pytest.mark.parametrize("path", ["/staff", "/staff/new", "/staff/recipients", *READ])
def test_subjects_have_no_desk(served: Served, path: str) -> None:
    """Pages of staff are closed to all other users; auditors reach only the pages that they may read."""
    with served.browser(OWNER) as visitor:
        assert visitor.client.get(path).status_code == httpx.codes.FORBIDDEN
    with served.browser("ann", "auditor") as visitor:
        reads = path in READ
        assert visitor.client.get(path).status_code == (httpx.codes.OK if reads else httpx.codes.FORBIDDEN)
