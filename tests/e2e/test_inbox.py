"""Two embedded stacks with mail: a transfer arrives in the inbox of the other, and an officer decides in a browser."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pyrage
import pytest
from playwright.sync_api import Browser, Page, expect
from postbox import Postbox, bodies
from servers.process import free_ports
from sqlalchemy import create_engine, insert, select
from visits import VisitedStack, check_accessible, follow, log_in, picture, standing, visiting
from workers import READY, Deployment, until

from exporters.reference import schema

HERE = "usr_here"
HOSTILE = '<img src=x onerror="window.pwned = 1">'


@pytest.fixture(scope="module")
def sender(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VisitedStack]:
    """A: people with data; one has HTML as job title."""
    folder = tmp_path_factory.mktemp("a")
    with standing(folder, BASE_URL=free_address()) as (here, url):
        made = here.json("seed", "--recording-seconds", "1-2")["examples"]
        with create_engine(f"sqlite:///{folder}/platform.sqlite").begin() as connection:
            changed = schema.users.update().where(schema.users.c.id == made["user"])
            connection.execute(changed.values(job_title=HOSTILE))
        yield VisitedStack(here, url, made["user"], made["user"], made["contact"], made["contact_tenant"])


@pytest.fixture(scope="module")
def receiver(box: Postbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VisitedStack]:
    """B: a platform with an account whose address is verified, an inbox, and a mail server."""
    folder = tmp_path_factory.mktemp("b")
    identity, platform = pyrage.x25519.Identity.generate(), f"sqlite:///{folder}/platform.sqlite"
    (folder / "key.txt").write_text(f"{identity}\n")
    schema.metadata.create_all(engine := create_engine(platform))
    moment = datetime(2024, 1, 2, tzinfo=UTC)
    own = {"id": HERE, "email": "ann@here.example", "email_verified_at": moment, "full_name": "Ann Here"}
    with engine.begin() as connection:
        connection.execute(insert(schema.users).values(**own, created_at=moment, mfa_enabled=True, legal_hold=False))
    inbox = {"INBOX_IDENTITY": str(folder / "key.txt"), "INBOX_AUDIENCE": "localhost", "INBOX_INTO": platform}
    mail = {"SMTP_URL": box.url, "MAIL_FROM": "data@b.example"}
    with standing(folder, BASE_URL=free_address(), **inbox, **mail) as (here, url):
        (folder / "public.txt").write_text(str(identity.to_public()))
        yield VisitedStack(here, url, HERE, HERE, "", "")


def free_address() -> str:
    """An address of this machine that nothing listens at."""
    (port,) = free_ports(1)
    return f"http://localhost:{port}"


def known_to_each_other(sender: VisitedStack, receiver: VisitedStack) -> None:
    """A records B as a recipient, B records A as a sender, and A challenges B."""
    a, b = sender.here, receiver.here
    key = (b.folder / "public.txt").read_text()
    names = ("--name", "B Care", "--domain", "localhost", "--country", "DE", "--age-key", key)
    places = ("--jwks-url", f"{receiver.url}/.well-known/jwks.json", "--webhook-url", f"{receiver.url}/v1/inbox")
    (b.folder / "secret.txt").write_text(a.json("recipients", "add", *names, *places)["webhook_secret"])
    b.json("senders", "add", "--name", "A Care", "--issuer", sender.url, "--secret", str(b.folder / "secret.txt"))
    assert a.json("recipients", "prove", "localhost")["proven_at"]


def copy_sent(here: Deployment, user: str) -> tuple[str, str]:
    """A consent, a copy and its transfer; returns the ids of copy and transfer."""
    parts = ("account", "marketing", "devices")
    export = here.json(
        "request", "--profile", "portability", "--subject", f"user:{user}", "--include", ",".join(parts), "--wait",
        expect=READY,
    )["id"]  # fmt: skip  # one call
    consent = ("--subject", f"user:{user}", "--to", "localhost", "--include", ",".join(parts), "--evidence", "T-17")
    here.json("authorisations", "add", *consent)
    return export, here.json("transfer", export, "--to", "localhost")["id"]


def in_language(page: Page, name: str) -> None:
    """The same page in another language."""
    follow(page, page.get_by_role("button", name=name, exact=True))


def looks(page: Page, text: str) -> None:
    """Reload the page of a received transfer until it says something: the process works beside the pages."""

    def says() -> bool:
        page.reload()
        return page.locator("main .badge").first.inner_text() == text

    until(says, text)


@pytest.mark.requirement("R39", "R46")
def test_an_officer_imports_what_another_platform_has_sent(
    browser: Browser, axe: str, sender: VisitedStack, receiver: VisitedStack, box: Postbox, tmp_path: Path
) -> None:
    """From the consent at A to the account at B: A has the receipt, the person a mail, and it can be undone."""
    known_to_each_other(sender, receiver)
    export, transfer = copy_sent(sender.here, sender.user)
    with visiting(browser, receiver) as page:
        log_in(page, receiver, "officer", "olga")
        page.goto(f"{receiver.url}/staff/inbox")
        until(lambda: page.reload() is not None and page.locator("tbody a").count() == 1, "it arrives")
        follow(page, page.locator("tbody a"))
        looks(page, "Choose the target")
        page.get_by_label("ID or e-mail address here").fill(HERE)
        page.get_by_label("Values that were changed on both sides").select_option("take")
        follow(page, page.get_by_role("button", name="Show the difference"))
        looks(page, "Decide")
        expect(page.get_by_text(HOSTILE)).to_be_visible()
        assert page.evaluate("window.pwned") is None
        check_accessible(page, axe)
        picture(page, "received", tmp_path)
        in_language(page, "DE, Deutsch")
        expect(page.get_by_role("button", name="Importieren", exact=True)).to_be_visible()
        page.evaluate("document.querySelector('#counts').scrollIntoView()")
        picture(page, "received-difference", tmp_path)
        in_language(page, "EN, English")
        follow(page, page.get_by_role("button", name="Import", exact=True))
        looks(page, "Imported")

        until(lambda: box.recipients == ["ann@here.example"], "the person gets a mail")
        assert "A Care" in bodies(box.taken[0])[0]
        until(lambda: sender.here.json("transfers", "show", transfer)["state"] == "delivered", "A has the receipt")
        assert job_title(receiver.here.folder) == HOSTILE

        follow(page, page.get_by_role("button", name="Undo the import"))
        looks(page, "Undone")
        assert job_title(receiver.here.folder) is None
    until(lambda: len(box.recipients) == 2, "the person hears of that too")
    assert export


def job_title(folder: Path) -> str | None:
    """What B's own table has of the account."""
    engine = create_engine(f"sqlite:///{folder}/platform.sqlite")
    with engine.connect() as connection:
        found = connection.scalar(select(schema.users.c.job_title).where(schema.users.c.id == HERE))
    engine.dispose()
    return found
