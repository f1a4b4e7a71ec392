"""What a person has typed is not lost with an error: the form comes back filled in, or the page has their text."""

from __future__ import annotations

from html import unescape

import pytest
from given_back import BACK, form_again
from served import OWNER, Served

REASON = 'She called <twice>,\nand "insists".'
OF_STAFF = {"kind": "user", "id": "usr_9", "reason": REASON, "channel": "letter", "received_at": "2026-01-05"}
OWN = {"profile": "portability", "formats": "csv", "since": "2026-02-01", "until": "2026-01-01", "tell_tenants": "yes"}


@pytest.mark.parametrize("wrong", [{"id": "usr/../9"}, {"received_at": "2999-01-01"}, {"id": "usr_ä"}, {"reason": " "}])
def test_the_form_of_staff_comes_back_filled_in(served: Served, wrong: dict[str, str]) -> None:
    """Whatever was wrong with it, also what no field of the form may have; nothing is requested."""
    sent = {**OF_STAFF, **wrong}
    with served.browser("sam", "staff") as visitor:
        refused = visitor.send("/staff/exports", page="/staff/new", **sent)
        again = form_again(visitor, refused)
    text = unescape(again.text)

    assert refused.status_code in {400, 422}
    assert again.status_code == 200
    assert f'name="id" value="{sent["id"]}"' in text
    assert f">{sent['reason']}</textarea>" in text
    assert '<option value="letter" selected>' in text
    assert f'value="{sent["received_at"]}"' in text


def test_the_form_for_a_provider_comes_back_filled_in(served: Served) -> None:
    """With the key and the addresses, one of them wrong; nothing is recorded."""
    sent = {
        "name": "B Care",
        "domain": "b.example",
        "country": "SG",
        "mechanism": "scc",
        "safeguard": "C-17",
        "age_key": "age1wrong",
        "jwks_url": "https://b.example/jwks.json",
        "webhook_url": "https://b.example/ä",
    }
    with served.browser("olga", "officer") as visitor:
        refused = visitor.send("/staff/recipients", page="/staff/recipients", **sent)
        again = form_again(visitor, refused)
    text = unescape(again.text)

    assert (refused.status_code, again.status_code) == (422, 200)
    assert [name for name, value in sent.items() if f'{name}" value="{value}"' not in text] == ["country", "mechanism"]
    assert '<option value="SG" selected>' in text


def test_the_own_form_comes_back_filled_in(served: Served) -> None:
    """With the choices in its folded part, which is open; another part was not chosen."""
    with served.browser(OWNER) as visitor:
        refused = visitor.send("/me/exports", page="/me", **OWN)
        again = form_again(visitor, refused)

    assert (refused.status_code, again.status_code) == (400, 200)
    for part in ('value="portability" checked', 'value="csv" checked', 'name="since" value="2026-02-01"'):
        assert part in again.text
    for part in (
        'name="until" value="2026-01-01"',
        'name="tell_tenants" value="yes" checked',
        "<details open data-filled>",
    ):
        assert part in again.text
    assert 'value="access" checked' not in again.text
    assert 'value="json" checked' not in again.text


def test_a_form_of_an_earlier_session_comes_back_filled_in(served: Served) -> None:
    """If the browser says that it was sent by a page of this application; else none of it is shown."""
    with served.browser("sam", "staff") as visitor:
        for site, is_kept in (("same-origin", True), ("cross-site", False), ("", False)):
            headers = {"Sec-Fetch-Site": site} if site else {}
            fields = {**OF_STAFF, "csrf": "of an earlier session"}
            answer = visitor.client.post("/staff/exports", data=fields, headers=headers)
            assert answer.status_code == 403
            assert ("insists" in answer.text) is is_kept
            if is_kept:
                assert REASON in unescape(form_again(visitor, answer).text)


@pytest.mark.parametrize("csrf", ["x", "x" * 101])
def test_a_text_of_another_site_is_not_shown(served: Served, csrf: str) -> None:
    """Whatever is wrong with its token: the page would say that the person has written it."""
    headers = {"Sec-Fetch-Site": "cross-site"}
    with served.browser() as visitor:
        answer = visitor.client.post("/staff/exports/none/notes", data={"text": REASON, "csrf": csrf}, headers=headers)
    assert answer.status_code in {401, 403, 422}
    assert "insists" not in answer.text


def test_a_text_is_givenform_again(served: Served) -> None:
    """With a form of another page, and where the session has ended: to be copied after the login."""
    with served.browser("sam", "staff") as visitor:
        lost = visitor.send("/staff/exports/none/notes", page="/staff", text=REASON, about="request")
    with served.browser() as visitor:
        ended = visitor.send("/staff/exports", **OF_STAFF)

    for answer, status in ((lost, 404), (ended, 401)):
        assert answer.status_code == status
        assert f'readonly dir="auto">{REASON}</textarea>' in unescape(answer.text)
        assert not BACK.search(answer.text)
