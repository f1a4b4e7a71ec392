"""People who use several tabs, reload, go back, log out twice, or change the language of an answer to a form."""

from __future__ import annotations

import re
from html import unescape

import httpx
import pytest
from served import OTHER, OWNER, Browser, Served

CHOICE = re.compile(r'action="/language".*?name="next" value="([^"]*)"', re.DOTALL)
HIDDEN = re.compile(r'<input type="hidden" name="(\w+)" value="([^"]*)">')
LONGEST = "/me/" + "a" * 1990
COOKIE_MAX = 4096
"""Bytes of a cookie that each browser keeps (RFC 6265, 6.1)."""


def begun(client: httpx.Client, after: str = "/me") -> str:
    """Begin a login in a tab, and return the address to which the provider sends that tab."""
    address = client.get("/login", params={"next": after}).headers["location"]
    return httpx.get(address).headers["location"]


def spoken(visitor: Browser, answer: httpx.Response, language: str = "de") -> httpx.Response:
    """Choose a language on a page that was the answer to something."""
    found = CHOICE.search(answer.text)
    assert found
    fields = {"language": language, "next": unescape(found[1])}
    return visitor.client.post("/language", data={**fields, "csrf": visitor.token()}, follow_redirects=True)


@pytest.mark.parametrize("first", [0, 1])
def test_a_login_ends_in_the_tab_in_which_it_is_made(served: Served, first: int) -> None:
    """A browser that opens two of our pages again begins two logins; the other tab then says that this was done."""
    served.issuer.person = served.issuer.claims(OWNER)
    with httpx.Client(base_url=served.url, timeout=30) as client:
        pages = ("/me/sessions", "/me")
        tabs = [begun(client, page) for page in pages]
        assert client.get(tabs[first]).headers["location"] == pages[first]
        other = client.get(tabs[1 - first], follow_redirects=True)
        assert other.url.path == "/me"
        assert "You are logged in already" in other.text


def test_an_answer_for_another_account_changes_no_login(served: Served) -> None:
    """Who sends a browser to an answer of their own login gets no one logged in as themselves."""
    with httpx.Client(base_url=served.url, timeout=30) as attacker, served.browser(OWNER) as victim:
        served.issuer.person = served.issuer.claims(OTHER)
        answer = victim.client.get(begun(attacker), follow_redirects=True)
        assert (answer.url.path, OTHER in answer.text, OWNER in answer.text) == ("/me", False, True)


def test_many_tabs_fit_into_a_cookie(served: Served) -> None:
    """The oldest attempts give way; the newest counts, however long the address of its page is."""
    served.issuer.person = served.issuer.claims(OWNER)
    with httpx.Client(base_url=served.url, timeout=30) as client:
        for after in ("/me", "/me/sessions", LONGEST, *["/me"] * 9, LONGEST):
            newest = begun(client, after)
            (cookie,) = client.cookies.jar
            assert len(f"{cookie.name}={cookie.value}") < COOKIE_MAX
        assert client.get(newest).headers["location"] == LONGEST


def test_a_failed_login_leads_to_another(served: Served) -> None:
    """The page has the button that its sentence names."""
    with httpx.Client(base_url=served.url, timeout=30) as client:
        answer = client.get("/login/callback", params={"code": "x", "state": "x"})
    assert answer.status_code == 403
    assert '<a class="button" href="/login">' in answer.text


def test_a_form_that_waits_for_a_second_login_stays_when_its_page_is_loaded_again(served: Served) -> None:
    """It is there until it is sent: a reload, or a browser that loads a page in advance, does not lose it."""
    with served.browser(OWNER, strong=False) as visitor:
        visitor.send("/me/exports", page="/me", profile="access", since="2026-01-07")
        served.issuer.person = served.issuer.claims(OWNER)
        page = visitor.client.get("/login", params={"next": "/me", "again": "1"}, follow_redirects=True)
        for _time in range(2):
            page = visitor.client.get("/login/continue")
            assert 'name="since" value="2026-01-07"' in page.text
        (action,) = re.findall(r'action="(/me/exports[^"]*)"', page.text)
        assert visitor.send(action, page="/me", profile="access", since="2026-01-07").status_code == 303
        assert visitor.client.get("/login/continue").headers["location"] == "/me"


def test_each_tab_keeps_its_form_during_its_second_login(served: Served) -> None:
    """Both ask for a second login, one after the other, and both send what was filled in there."""
    with served.browser(OWNER, strong=False) as visitor:
        links = []
        for since in ("2026-01-03", "2026-01-04"):
            refused = visitor.send("/me/exports", page="/me", profile="access", since=since)
            links += re.findall(r'href="(/login\?[^"]*again=1[^"]*)"', refused.text)
        served.issuer.person = served.issuer.claims(OWNER)
        pages = [visitor.client.get(unescape(link), follow_redirects=True) for link in links]
        for page, since in zip(pages, ("2026-01-03", "2026-01-04"), strict=True):
            assert f'name="since" value="{since}"' in page.text
            fields = dict(
                re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page.text.split("<main")[1])
            )
            (action,) = re.findall(r'action="(/me/exports[^"]*)"', page.text)
            sent = visitor.client.post(unescape(action), data={**fields, "csrf": visitor.token()})
            assert sent.status_code == 303
        assert visitor.client.get("/login/continue").headers["location"] == "/me"


def test_a_session_keeps_the_forms_of_the_last_tabs(served: Served) -> None:
    """They are bounded: the oldest gives way, and one that is sent twice is kept once."""
    with served.browser(OWNER, strong=False) as visitor:
        refused = [
            visitor.send("/me/exports", page="/me", profile="access", since=f"2026-01-{day:02}")
            for day in (1, 2, 3, 4, 5, 6, 6)
        ]
        keys = [re.findall(r"&amp;form=([\w-]+)", answer.text)[0] for answer in refused]
        shown = [visitor.client.get("/login/continue", params={"form": key}).status_code for key in keys]
    assert shown == [303, 200, 200, 200, 200, 303, 200]


@pytest.mark.parametrize(
    ("method", "path", "page"),
    [
        ("POST", "/me/exports", "/me"),
        ("POST", "/me/exports/none/cancel", "/me/exports/none"),
        ("POST", "/staff/search", "/staff"),
        ("POST", "/staff/bulk", "/staff"),
        ("POST", "/staff/look-up", "/staff/new"),
        ("POST", "/staff/recipients/discover", "/staff/recipients"),
        ("POST", "/login/development", "/"),
        ("GET", "/staff?state=overdue", "/staff?state=overdue"),
        ("GET", "/staff?state=all&q=%C3%A4", "/staff"),
        ("GET", "/nothing", "/"),
        ("GET", "/problems/link_invalid", "/problems/link_invalid"),
    ],
)
def test_another_language_leads_to_a_page(served: Served, method: str, path: str, page: str) -> None:
    """Also from an answer to a form, which has no address of its own: to the page of the form."""
    with served.browser("olga", "officer") as visitor:
        fields = {"data": {"csrf": visitor.token(), "q": "nothing"}} if method == "POST" else {}
        answer = visitor.client.request(method, path, **fields)  # type: ignore[arg-type]  # of no or one argument
        shown = spoken(visitor, answer)
        spoken(visitor, shown, "en")
    assert str(shown.url).removeprefix(served.url) == page
    assert shown.status_code == (404 if "none" in page else 200)
    assert '<html lang="de"' in shown.text


def test_who_is_logged_out_can_log_out(served: Served) -> None:
    """By a double click, or in a tab that is still open: the answer is that of the first logout."""
    with served.browser(OWNER) as visitor:
        token = visitor.token()
        for _time in range(2):
            answer = visitor.client.post("/logout", data={"csrf": token})
            assert answer.status_code in {200, 303}
        assert answer.headers["location"] == "/"


def test_another_site_logs_no_one_out(served: Served) -> None:
    """A form without the token of the session ends no session."""
    with served.browser(OWNER) as visitor:
        assert visitor.client.post("/logout", data={"csrf": "x"}).status_code == 403
        assert visitor.client.get("/me").status_code == 200


def test_a_bookmark_of_a_list_is_that_list_after_the_login(served: Served) -> None:
    """A URL keeps list and order."""
    served.issuer.person = served.issuer.claims("olga", "officer")
    with httpx.Client(base_url=served.url, timeout=30, follow_redirects=True) as client:
        answer = client.get("/staff?state=all&sort=received")
    assert str(answer.url) == f"{served.url}/staff?state=all&sort=received"
