"""Every page in every language: each template is rendered, and no sentence is missing or unfilled."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from factories import MadeUpExporter, things
from jinja2 import Environment, Template
from pulling import PullClient
from received_steps import decidable, recorded_sender
from repository import ROOT
from sending import sender
from served import CONTACT, OTHER, OWNER, TENANT, Browser, Served, serving
from stating import publish, stated
from transferring import EXPORTER, Provider
from untranslated import left_in_source, texts_of

from portability import locale
from portability.api import Identity
from portability.database.engine import writing
from portability.requests import exports, referrals, reviews

UNFILLED = re.compile(r"{\w*}")
TEMPLATES = {path.name for path in (ROOT / "web" / "templates").glob("*.html")}


@dataclass(frozen=True)
class Filled:
    """Requests and a received transfer in the states that pages show in different ways."""

    ready: str
    waiting: str
    denied: str
    of_contact: str
    received: str


@pytest.fixture(scope="module")
def served(redis_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    strict: dict[str, Any] = {"approvals": "policy", "exports_per_month": 100, "sms_url": "http://127.0.0.1:1/"}
    with sender(tmp_path_factory.mktemp("languages"), redis_server, MadeUpExporter(things(5)), **strict) as server:
        yield server


@pytest.fixture
def filled(served: Served, other: Provider) -> Filled:
    """A sent copy, a request in review, a refused one, a contact's, and a copy that another provider sent."""
    ready = served.ready(profile="portability")
    with served.browser(OWNER) as visitor:
        sent = {"recipient": other.recipient, "agreed": "yes"}
        assert visitor.send(f"/me/exports/{ready}/transfers", **sent).status_code == 303
    with served.browser("adm", "tenant_admin", tenant=TENANT) as visitor:
        asked = {"kind": "tenant", "id": TENANT, "reason": "contract ends"}
        waiting = visitor.send("/staff/exports", page="/staff/new", **asked).headers["location"].rpartition("/")[2]
    denied = served.world.request(f"user:{OWNER}")
    with served.browser("olga", "officer") as visitor:
        assert visitor.send(f"/staff/exports/{denied}/deny", reason="Not you.", confirmed="yes").status_code == 303
    with writing(served.world.engine) as connection:
        row = exports.get(connection, ready)
        unclear = Identity("calls", "call_id", "call_9", tenant=TENANT)
        reviews.note(connection, row, [(unclear, "calls/calls")])
        agreed = {**row, "tell_tenants": True}
        referrals.note(connection, served.world.place.settings, agreed, {TENANT: ["con_17"]})
    received = decidable(served.world, recorded_sender(served.world), f"user:{OWNER}")
    return Filled(ready, waiting, denied, served.ready(f"contact:{CONTACT}", tenant=TENANT), received)


@pytest.fixture
def rendered(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Collect the names of the templates that the server loads."""
    names: set[str] = set()
    load = Environment._load_template  # what pages, includes and imports go through

    def loaded(self: Environment, name: str, more: object) -> Template:
        names.add(name)
        return load(self, name, more)  # type: ignore[arg-type]  # handed on as it came

    monkeypatch.setattr(Environment, "_load_template", loaded)
    return names


def check(answer: httpx.Response, language: str, status: int = 200) -> None:
    """Check that a page is in the language: no English sentence, no unfilled placeholder, no error of a template."""
    assert answer.status_code == status, answer.text
    assert f'<html lang="{language}"' in answer.text
    assert locale.text(language, "pages.skip") in answer.text
    assert not UNFILLED.search(answer.text), UNFILLED.findall(answer.text)
    assert language == locale.SOURCE or left_in_source(texts_of(answer.text, language), language) == []


def check_pulls(visitor: Browser, asking: PullClient, language: str) -> None:
    """Check what a person sees of a provider that asks for a copy: the request, the way back, and a used request."""
    path = f"/me/pulls/{asking.pushed(EXPORTER).rpartition(':')[2]}"
    check(visitor.client.get(path), language)
    check(visitor.send(path, page=path, answer="allow", datasets=EXPORTER), language)
    check(visitor.client.get(path), language, 400)


def check_providers(visitor: Browser, other: Provider, language: str) -> None:
    """Check what an officer sees of a provider's document, before a decision, and of a domain without a document."""
    publish(other, stated(other, resource=other.server.url))
    here = "/staff/recipients"
    asked = {"page": here, "domain": "localhost", "url": f"{other.server.url}/.well-known/portability"}
    shown = visitor.send(f"{here}/discover", **asked)
    check(shown, language)
    seen = shown.text.partition('name="seen" value="')[2][:64]
    for answer in ("record", "refuse"):
        check(visitor.send(f"{here}/discovered", **asked, seen=seen, answer=answer, country="DE"), language)
    check(visitor.send(f"{here}/discovered", **asked, seen=seen, answer="record"), language, 400)
    check(visitor.send(f"{here}/discovered", **asked, seen="old", answer="record"), language, 400)
    check(visitor.send(f"{here}/discover", page=here, domain="10.0.0.1"), language, 400)
    check(visitor.send(f"{here}/{other.recipient}/remove", page=here), language)


@pytest.mark.parametrize("language", locale.languages())
def test_each_page_is_in_each_language(
    served: Served, filled: Filled, other: Provider, rendered: set[str], language: str
) -> None:
    """Pages of a person, staff, officers and auditors, of links and of errors."""
    spoken = {"Accept-Language": language}
    link, code = served.link(filled.ready).token, served.link(filled.of_contact, audience="code").token
    with served.browser() as visitor:
        visitor.client.headers.update(spoken)
        for path in ("/", f"/d/{link}", f"/d/{code}", "/problems/link_invalid"):
            check(visitor.client.get(path), language)
        check(visitor.client.get("/login/address"), language)
        visitor.send("/login/address/send", page="/login/address", address="+493090182020")
        check(visitor.client.get("/login/address"), language)
        visitor.send(f"/d/{code}/code", page=f"/d/{code}")
        check(visitor.client.get(f"/d/{code}"), language)
        visitor.send(f"/d/{code}/code/check", page=f"/d/{code}", code="1")
        check(visitor.client.get(f"/d/{code}"), language)
        for path in ("/d/none", "/nothing", "/problems/nothing"):
            check(visitor.client.get(path), language, 404)
    with served.browser(OWNER) as visitor:
        visitor.client.headers.update(spoken)
        for path in ("/me", *(f"/me/exports/{each}" for each in (filled.ready, filled.denied))):
            check(visitor.client.get(path), language)
        check(visitor.send("/me/exports", page="/me", profile="access", since="never"), language, 400)
        visitor.send("/me/exports", page="/me", profile="access", every="two_months")
        check(visitor.client.get("/me"), language)
        check(visitor.send("/me/exports", page="/me", profile="access", every="two_months"), language, 409)
        visitor.send("/me/schedule/stop", page="/me")
        check_pulls(visitor, PullClient(served.url, other), language)
    with served.browser(OTHER, strong=False) as visitor:
        visitor.client.headers.update(spoken)
        check(visitor.send("/me/exports", page="/me", profile="access"), language, 401)
        served.issuer.person = served.issuer.claims(OTHER)
        check(visitor.client.get("/login?again=1", follow_redirects=True), language)
        check(visitor.client.get("/me/sessions"), language)
        check(visitor.send("/logout"), language)
    with served.browser("olga", "officer", "auditor") as visitor:
        visitor.client.headers.update(spoken)
        exports = (f"/staff/exports/{each}" for each in (filled.ready, filled.waiting, filled.denied))
        desk = ("/staff", "/staff?state=all", "/staff/new", "/staff/recipients", "/staff/report", "/staff/sources")
        inbox = ("/staff/inbox", f"/staff/inbox/{filled.received}")
        texts = (f"/staff/exports/{filled.waiting}/texts/{name}" for name in ("no_mandate", "which_data"))
        for path in (*desk, *inbox, "/staff/audit?check=1", *exports, *texts):
            check(visitor.client.get(path), language)
        check_providers(visitor, other, language)
        check(visitor.send("/staff/search", page="/staff", q="ann@mail.example"), language)
        check(visitor.send("/staff/look-up", page="/staff/new", address="ann@mail.example"), language)
        for what in ("approve", "cancel", "assign", "assign_to", "release"):
            chosen = {"what": what, "selected": filled.waiting, "assignee": "olga" if what == "assign_to" else ""}
            check(visitor.send("/staff/bulk", page="/staff", **chosen), language)
        for what in ("deny", "recall"):
            export_id = filled.waiting if what == "deny" else filled.ready
            check(visitor.send(f"/staff/exports/{export_id}/{what}", page="/staff", reason="12"), language)
    with served.browser("adm", "tenant_admin", tenant=TENANT) as visitor:
        visitor.client.headers.update(spoken)
        check(visitor.client.get("/staff/referrals"), language)
    assert rendered == TEMPLATES - {"login.html", "components.html"}


@pytest.mark.parametrize("language", locale.languages())
def test_the_login_of_a_trial_is_in_each_language(redis_server: str, tmp_path: Path, language: str) -> None:
    """With the form of the embedded stack, and the page of all components."""
    none: dict[str, Any] = {"oidc_issuer": None, "oidc_client_id": None, "oidc_client_secret": None}
    with serving(tmp_path, redis_server, development_login=True, **none) as server:
        for path in ("/login", "/development/components"):
            check(httpx.get(f"{server.url}{path}", headers={"Accept-Language": language}), language)


def test_buttons_offer_each_language(served: Served) -> None:
    """By its own name; the choice stays, whatever the browser prefers."""
    with served.browser(OWNER) as visitor:
        page = visitor.client.get("/me").text
        for language in locale.languages():
            assert f'aria-label="{language.upper()}, {locale.own_name(language)}"' in page
            visitor.send("/language", language=language, next="/me")
            check(visitor.client.get("/me", headers={"Accept-Language": "en"}), language)
        visitor.send("/language", language="xx", next="/me")
        check(visitor.client.get("/me"), locale.languages()[-1])


@pytest.mark.parametrize("language", locale.languages())
def test_a_failure_is_explained_in_each_language(served: Served, filled: Filled, language: str) -> None:
    """An officer and a reader of a problem's type read its sentence; the message for operators is folded."""
    with served.browser("olga", "officer") as visitor:
        visitor.client.headers["Accept-Language"] = language
        page = visitor.client.get(f"/staff/exports/{filled.denied}").text
        problem = visitor.client.get("/problems/storage_full").text
    assert locale.text(language, "errors.denied") in page
    assert page.index(locale.text(language, "pages.error_message")) < page.index('lang="en">a privacy officer')
    assert f'<p class="lead">{locale.text(language, "errors.storage_full")}</p>' in problem
