"""A person allows another provider to fetch a copy, in a browser; the provider fetches it from a running deployment."""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pyrage
import pytest
from playwright.sync_api import Browser, Page, expect
from pulling import PullClient
from transferring import Provider, providing
from visits import (
    PHONE,
    VisitedStack,
    approve_provider,
    check_accessible,
    follow,
    picture,
    record_provider,
    standing,
    visiting,
)
from workers import until

PARTS = ("account", "calls", "chats")


@pytest.fixture(scope="module")
def asked_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VisitedStack]:
    """`portability up`: pages, a worker and a clock, with people who have data."""
    with standing(tmp_path_factory.mktemp("pulled"), APPROVALS="policy") as (here, url):
        made = here.json("seed", "--recording-seconds", "1-2")["examples"]
        yield VisitedStack(here, url, made["user"], made["user"], made["contact"], made["contact_tenant"])


@pytest.fixture(scope="module")
def b_care(browser: Browser, asked_stack: VisitedStack) -> Iterator[Provider]:
    """Another provider, which two officers have recorded and approved once."""
    with providing() as other, visiting(browser, asked_stack) as page:
        fields = {"Name": "B Care", "Domain": "localhost", "Public key": str(other.identity.to_public())}
        keys = {"Key set": f"{other.server.url}/jwks.json", "Webhook": f"{other.server.url}/hook"}
        record_provider(page, asked_stack, {**fields, **keys, "Redirect URIs": other.returns_to})
        approve_provider(page, asked_stack)
        yield other


def arrived(page: Page, asked_stack: VisitedStack, client: PullClient, until: str | None = None) -> None:
    """The person comes from the provider, and logs in."""
    page.goto(client.address(client.pushed(*PARTS, until=until)))
    page.locator("#role").select_option("subject")
    page.locator("#id").fill(asked_stack.user)
    follow(page, page.locator("main").get_by_role("button"))


@pytest.mark.requirement("R46")
def test_a_person_narrows_what_a_provider_fetches(
    browser: Browser, asked_stack: VisitedStack, b_care: Provider, axe: str, tmp_path: Path
) -> None:
    """Pushed, narrowed, allowed, made by a worker, sent by a clock, fetched and decrypted; no officer acts."""
    client = PullClient(asked_stack.url, b_care)
    with visiting(browser, asked_stack, leads_to=b_care.server.url) as page:
        arrived(page, asked_stack, client)
        expect(page.get_by_role("heading", name="B Care asks for your data")).to_be_visible()
        check_accessible(page, axe)
        picture(page, "pull", tmp_path)
        page.get_by_role("checkbox", name="Phone calls").uncheck()
        follow(page, page.get_by_role("button", name="Allow"))
        page.wait_for_url(re.compile(f"^{b_care.returns_to}"))
    back = client.came_back()
    assert (back["iss"], back["state"]) == (client.server["issuer"], client.state)
    client.tokens = client.exchange(back["code"])
    assert client.tokens["authorization_details"][0]["datasets"] == ["account", "chats"]
    started = client.call("POST", "/v1/pulls").json()

    until(lambda: client.call("GET", f"/v1/pulls/{started['id']}").json()["state"] == "ready", "the copy is ready")

    shown = client.call("GET", f"/v1/pulls/{started['id']}").json()
    for volume in shown["volumes"]:
        fetched = client.call("GET", volume["url"]).content
        assert hashlib.sha256(fetched).hexdigest() == volume["sha256"]
        with zipfile.ZipFile(io.BytesIO(pyrage.decrypt(fetched, [b_care.identity]))) as archive:
            assert archive.testzip() is None
    lines = asked_stack.here.json("show", shown["export"])["datasets"]
    assert {line["exporter"] for line in lines} == {"account", "chats"}


def test_the_consent_page_on_a_phone_in_indonesian_without_script(
    browser: Browser, asked_stack: VisitedStack, b_care: Provider, axe: str, tmp_path: Path
) -> None:
    """The same page, narrow and translated; without script the person comes back all the same."""
    client = PullClient(asked_stack.url, b_care)
    with visiting(browser, asked_stack, PHONE, locale="id-ID") as page:
        arrived(page, asked_stack, client, until="2027-06-30T00:00:00Z")
        expect(page.get_by_role("heading", name="B Care meminta data Anda")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
        check_accessible(page, axe)
        picture(page, "pull-phone", tmp_path)
    plain = {"java_script_enabled": False}
    with visiting(browser, asked_stack, PHONE, locale="id-ID", leads_to=b_care.server.url, **plain) as page:
        arrived(page, asked_stack, client)
        page.get_by_role("button", name="Tolak").click()
        page.wait_for_url(re.compile(f"^{b_care.returns_to}"))
    assert client.came_back()["error"] == "access_denied"
