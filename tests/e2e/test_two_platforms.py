"""Two embedded stacks on one machine: a person's data is transferred from one to the other by its own programs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import create_engine, select
from transferring import Provider, providing
from visits import VisitedStack, approve_provider, ask, follow, log_in, picture, record_provider, standing, visiting
from workers import READY, Deployment, until

from exporters.reference import schema
from receiver.fetch.receipt import load_key


@pytest.fixture(scope="module")
def sender(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VisitedStack]:
    """A: people with data."""
    with standing(tmp_path_factory.mktemp("a"), APPROVALS="policy") as (here, url):
        made = here.json("seed", "--recording-seconds", "1-2")["examples"]
        yield VisitedStack(here, url, made["user"], made["user"], made["contact"], made["contact_tenant"])


def recorded(page: Page, sender: VisitedStack, inbox: Provider, jwks_url: str) -> None:
    """Two officers of A record B: its age key, its key set on B's own pages, and its webhook."""
    fields = {"Name": "B Care", "Domain": "localhost", "Public key": str(inbox.identity.to_public())}
    record_provider(page, sender, {**fields, "Key set": jwks_url, "Webhook": f"{inbox.server.url}/hook"})
    inbox.secret = page.get_by_role("status").locator("code").inner_text()
    approve_provider(page, sender)


@pytest.mark.requirement("R46")
def test_a_person_moves_from_one_platform_to_another(browser: Browser, sender: VisitedStack, tmp_path: Path) -> None:
    """They say yes at A; B fetches, verifies, imports and signs; A says delivered, and B can hand out what came."""
    with standing(tmp_path / "b") as (other, url), providing() as inbox, visiting(browser, sender) as page:
        other.run("keys", "new", "--purpose", "receipt")
        (receipt_key,) = (other.folder / "keys").glob("receipt-*.pem")
        inbox.key = load_key(receipt_key)
        recorded(page, sender, inbox, f"{url}/.well-known/jwks.json")
        log_in(page, sender, "subject", sender.user)
        page.get_by_role("radio", name="My data for another provider").check()
        ask(page)
        expect(page.get_by_role("heading", name="Ready")).to_be_visible()
        page.reload()
        page.get_by_label("I agree that these parts").check()
        follow(page, page.get_by_role("button", name="Send my data"))
        expect(page.get_by_role("heading", name="Transfers to other providers")).to_be_visible()
        until(lambda: bool(inbox.webhooks), "B is notified")
        receive_by_command(other, inbox.event(inbox.webhooks[0])["data"]["url"], inbox, tmp_path, sender.user)

        page.reload()
        expect(page.get_by_text("Delivered", exact=True)).to_be_visible()
        page.evaluate("document.querySelector('#transfers').scrollIntoView()")
        picture(page, "delivered", tmp_path)

        there, here = (address(stack.folder, sender.user) for stack in (sender.here, other))
        assert here == there
        export = other.json(
            "request", "--profile", "access", "--subject", f"user:{sender.user}", "--wait", expect=READY
        )
        lines = {f"{line['exporter']}/{line['dataset']}": line for line in export["datasets"]}
        assert (export["state"], lines["account/profile"]["records"]) == ("ready", 1)


def receive_by_command(other: Deployment, url: str, inbox: Provider, tmp_path: Path, user: str) -> None:
    """By the commands of docs/receiving.md, with B's own key for receipts."""
    identity, (receipt_key,) = tmp_path / "key.txt", (other.folder / "keys").glob("receipt-*.pem")
    identity.write_text(f"{inbox.identity}\n")
    identity.chmod(0o600)
    to = tmp_path / "in"
    keys = ("--identity", str(identity), "--receipt-key", str(receipt_key), "--audience", "localhost")
    assert other.json("receive", url, "--to", str(to), *keys)["receipted"]
    database, files = f"sqlite:///{other.folder}/platform.sqlite", (other.folder / "recordings").as_uri()
    whose = ("--as-user", user, "--as-tenant", "ten_new")
    report = other.json("import", str(to), "--into", database, "--files", files, *whose, expect=(0, 1))
    assert sum(line["new"] for line in report["datasets"]) > 0
    assert {reason for line in report["datasets"] for reason in line["reasons"]} <= {"another_tenant"}


def address(folder: Path, user: str) -> tuple[str, str]:
    """What a platform's own table has of a person."""
    engine = create_engine(f"sqlite:///{folder}/platform.sqlite")
    columns = schema.users.c
    with engine.connect() as connection:
        found = connection.execute(select(columns.full_name, columns.email).where(columns.id == user)).one()
    engine.dispose()
    return found.full_name, found.email
