"""Every page in each state that a person of each role can see, for pictures and for the rules of accessibility."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from checked import CheckedExporter, sources_file, undecided_column, undecided_table
from factories import MadeUpExporter, things
from playwright.sync_api import BrowserContext, Page, Route
from pulling import PullClient
from received_steps import decidable, recorded_sender
from sending import sender
from served import CONTACT, OWNER, TENANT, Served
from stating import publish, stated
from transferring import EXPORTER, Provider

from portability.api import Gap, Identity
from portability.database import models
from portability.database.engine import reading, writing
from portability.delivery import codes
from portability.requests import exports, referrals, reviews
from portability.transfers import recipients
from worker.clock import coverage

NEW, WAITING, LATE, WEAK = "usr_new", "usr_waiting", "usr_late", "usr_weak"
"""Without requests; with a copy that is being made; with a late copy; logged in with a password alone."""
SCHEDULED = "usr_scheduled"
SOURCE = "crm"
CODE_BUTTON = "form[action$='/code'] button"
Act = Callable[[Page, Served], object]
"""What a person does on a page before the picture."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A page in a state: who sees it, where, and after which steps."""

    name: str
    room: str
    path: str
    act: tuple[Act, ...] = ()
    who: str = ""
    """Another person than the usual one of the room."""
    status: int = 200


def click(selector: str) -> Act:
    """Click what leads to another page."""

    def act(page: Page, _server: Served) -> None:
        with page.expect_navigation():
            page.locator(selector).first.click()

    return act


def enter(selector: str, text: str) -> Act:
    return lambda page, _server: page.locator(selector).fill(text)


def choose(selector: str, value: str) -> Act:
    return lambda page, _server: page.locator(selector).select_option(value)


def tick(selector: str) -> Act:
    return lambda page, _server: page.locator(selector).first.check()


def unfold(page: Page, _server: Served) -> None:
    """Open all that is folded."""
    page.evaluate("document.querySelectorAll('main details').forEach(each => { each.open = true; })")


def find_provider(page: Page, server: Served) -> None:
    """Enter the domain of the provider that is recorded, whose document is beside its key set."""
    with reading(server.world.engine) as connection:
        row = recipients.rows(connection)[0]
    page.locator("#find-domain").fill(row["domain"])
    page.locator("#find-url").fill(row["jwks_url"].replace("/jwks.json", "/.well-known/portability"))
    click("form[action$='/discover'] button")(page, server)


def ask_until_refused(page: Page, server: Served) -> None:
    """Ask for codes until the limit is reached."""
    while page.locator(CODE_BUTTON).count():
        click(CODE_BUTTON)(page, server)


def enter_code(page: Page, server: Served) -> None:
    """Enter the code that the mail would have."""
    page.locator("#code").fill(code_of(server))
    click("main form.code button")(page, server)


def confirm_identity(page: Page, server: Served) -> None:
    """Log in again with a second factor; the form that was filled in waits."""
    server.issuer.person = server.issuer.claims(WEAK)
    page.goto(f"{server.url}/login?again=1")


def log_out(page: Page, server: Served) -> None:
    """Log out, and stay where the browser would go on to the provider's page."""

    def without_refresh(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, headers={k: v for k, v in answer.headers.items() if k != "refresh"})

    page.route("**/logout", without_refresh)
    click("form[action='/logout'] button")(page, server)


SEND = click("main form[action$='/send'] button")
GO_ON = click("main .actions .button")
BAD_DATE = (unfold, enter("#since", "2026-02-01"), enter("#until", "2026-01-01"), click("#ask ~ form .button"))
LOOK_UP = (enter("#address", "ann@mail.example"), click("form[action$='/look-up'] button"))
NO_REASON = (enter("#id", "usr_9"), enter("#reason", " "), click("main .stack > .button"))
WRONG = (enter("#code", "00000000"), click("main form.code button"))
WRONG_DOMAIN = (enter("#find-domain", "10.0.0.1"), click("form[action$='/discover'] button"))
PEOPLE = {"subject": OWNER, "staff": "sam", "officer": "olga", "auditor": "audrey", "tenant_admin": "adm"}
"""By room, which is named as their role; visitors have not logged in."""
SCENES = (
    Scene("home", "visitor", "/"),
    Scene("address", "visitor", "/login/address"),
    Scene("address-code", "visitor", "/login/address", (enter("#address", "ann@mail.example"), SEND)),
    Scene("address-wrong-code", "visitor", "/login/address", (enter("#address", "ann@mail.example"), SEND, *WRONG)),
    Scene("link-login", "visitor", "/d/{link}"),
    Scene("link-code", "visitor", "/d/{code}"),
    Scene("link-code-sent", "visitor", "/d/{code}", (click("main form button"),)),
    Scene("link-wrong-code", "visitor", "/d/{code}", (click("main form button"), *WRONG)),
    Scene("link-files", "visitor", "/d/{open}", (click("main form button"), enter_code)),
    Scene("link-refused", "visitor", "/d/{refused}", (click("main form button"), enter_code)),
    Scene("link-too-many-codes", "visitor", "/d/{limited}", (ask_until_refused,), status=429),
    Scene("link-dead", "visitor", "/d/none", status=404),
    Scene("problem", "visitor", "/problems/link_invalid"),
    Scene("not-found", "visitor", "/nothing", status=404),
    Scene("components", "visitor", "/development/components"),
    Scene("me-empty", "subject", "/me", who=NEW),
    Scene("me-running", "subject", "/me", who=WAITING),
    Scene("me-late", "subject", "/me", who=LATE),
    Scene("me", "subject", "/me"),
    Scene("me-unfolded", "subject", "/me", (unfold,)),
    Scene("me-bad-date", "subject", "/me", BAD_DATE, status=400),
    Scene("copy-queued", "subject", "/me/exports/{queued}"),
    Scene("copy-running", "subject", "/me/exports/{running}", who=WAITING),
    Scene("copy-ready", "subject", "/me/exports/{ready}"),
    Scene("copy-downloads", "subject", "/me/exports/{ready}", (unfold,)),
    Scene("copy-missing", "subject", "/me/exports/{gaps}", (unfold,)),
    Scene("copy-refused", "subject", "/me/exports/{denied}"),
    Scene("copy-failed", "subject", "/me/exports/{failed}"),
    Scene("copy-cancelled", "subject", "/me/exports/{cancelled}"),
    Scene("copy-expired", "subject", "/me/exports/{expired}"),
    Scene("copy-recalled", "subject", "/me/exports/{recalled}"),
    Scene("copy-sent", "subject", "/me/exports/{sent}"),
    Scene("copy-of-another", "subject", "/me/exports/{ready}", who=NEW, status=404),
    Scene("confirm-identity", "subject", "/me", (click("#ask ~ form .button"),), who=WEAK, status=401),
    Scene("continue", "subject", "/me", (click("#ask ~ form .button"), confirm_identity), who=WEAK),
    Scene("pull", "subject", "/me/pulls/{pull}"),
    Scene("pull-dead", "subject", "/me/pulls/none", status=400),
    Scene("sessions", "subject", "/me/sessions"),
    Scene("logged-out", "subject", "/me", (log_out,), who=NEW),
    Scene("desk-staff", "staff", "/staff"),
    Scene("desk-found", "staff", "/staff", (enter("#q", "Ticket"), click("form[action$='/search'] button"))),
    Scene("desk-nothing-found", "staff", "/staff", (enter("#q", "9999"), click("form[action$='/search'] button"))),
    Scene("new", "staff", "/staff/new"),
    Scene("new-looked-up", "staff", "/staff/new", LOOK_UP),
    Scene("new-without-reason", "staff", "/staff/new", NO_REASON, status=400),
    Scene("request", "staff", "/staff/exports/{ready}"),
    Scene("request-running", "staff", "/staff/exports/{running}"),
    Scene("request-question", "staff", "/staff/exports/{queued}/texts/which_data"),
    Scene("not-allowed", "staff", "/staff/audit", status=403),
    Scene("desk-officer", "officer", "/staff?state=all"),
    Scene("desk-overdue", "officer", "/staff?state=overdue"),
    Scene("request-to-decide", "officer", "/staff/exports/{review}"),
    Scene("request-to-review", "officer", "/staff/exports/{ready}", (unfold,)),
    Scene("request-failed", "officer", "/staff/exports/{failed}"),
    Scene("request-refused", "officer", "/staff/exports/{denied}"),
    Scene(
        "confirm-refusal", "officer", "/staff/exports/{review}",
        (enter("#deny", "The contract does not name you."), click("form[action$='/deny'] button")),
    ),
    Scene(
        "confirm-recall", "officer", "/staff/exports/{ready}",
        (unfold, enter("#recall", "It was sent to another person."), click("form[action$='/recall'] button")),
    ),
    Scene("bulk-asks", "officer", "/staff?state=all", (tick("td input"), click("button[value=cancel]"))),
    Scene(
        "bulk-done", "officer", "/staff?state=all",
        (tick("tr:nth-child(1) input"), tick("tr:nth-child(2) input"), click("button[value=assign]"), GO_ON),
    ),
    Scene("bulk-nothing", "officer", "/staff?state=all", (click("button[value=approve]"),)),
    Scene("report", "officer", "/staff/report"),
    Scene("report-rounded", "officer", "/staff/report?counts=rounded"),
    Scene("recipients", "officer", "/staff/recipients"),
    Scene("provider", "officer", "/staff/recipients", (find_provider,)),
    Scene(
        "provider-to-record", "officer", "/staff/recipients",
        (find_provider, choose("#country", "SG"), click("button[value=record]")),
    ),
    Scene("provider-to-refuse", "officer", "/staff/recipients", (find_provider, click("button[value=refuse]"))),
    Scene("provider-wrong", "officer", "/staff/recipients", WRONG_DOMAIN, status=400),
    Scene("recipient-to-remove", "officer", "/staff/recipients", (click("form[action$='/remove'] button"),)),
    Scene("sources", "officer", "/staff/sources"),
    Scene("inbox", "officer", "/staff/inbox"),
    Scene("received", "officer", "/staff/inbox/{received}"),
    Scene("audit", "officer", "/staff/audit"),
    Scene("audit-checked", "officer", "/staff/audit?check=1"),
    Scene("audit-unfolded", "auditor", "/staff/audit?person={ready}", (unfold,)),
    Scene("audit-nothing", "auditor", "/staff/audit?person=usr_none"),
    Scene("sources-read", "auditor", "/staff/sources"),
    Scene("me-of-company", "tenant_admin", "/me"),
    Scene("copy-to-approve", "tenant_admin", "/me/exports/{review}"),
    Scene("desk-of-company", "tenant_admin", "/staff"),
    Scene("new-of-company", "tenant_admin", "/staff/new"),
    Scene("referrals", "tenant_admin", "/staff/referrals"),
    Scene("me-scheduled", "subject", "/me", (unfold,), who=SCHEDULED),
    Scene("me-filled-again", "subject", "/me", (*BAD_DATE, GO_ON)),
    Scene("new-filled-again", "staff", "/staff/new", (*NO_REASON, GO_ON)),
    Scene("copy-next-revision", "subject", "/me/exports/{gaps}", (click("form[action$='/gaps'] button"),)),
)  # fmt: skip  # one scene, one entry
"""In an order in which no scene changes what a later one shows."""


class SometimesLacking(MadeUpExporter):
    """Made-up records; from time to time a thing is missing."""

    lacks = False

    def lack(self, *, lacks: bool) -> None:
        found = [Gap("rec_4f9a21", "source_unavailable", retryable=True), Gap("rec_77c0d3", "missing")]
        self.gaps = {0: found} if lacks else {}


@contextmanager
def stage(folder: Path, redis_url: str) -> Iterator[Served]:
    """A server of a company with a contact, a source to check, and another provider that may send."""
    exporter = SometimesLacking(things(1204), batch_records=400)
    crm = CheckedExporter(things(12))
    crm.found = [
        undecided_column("linkedin_url"),
        undecided_column("birthday", "contacts"),
        undecided_table("audit_archive", 7),
    ]
    settings: dict[str, Any] = {
        "approvals": "policy",
        "exports_per_month": 100,
        "contact": "privacy@example.com",
        "brand_name": "Example Care",
        "development_login": True,
        "sms_url": "http://127.0.0.1:1/",
        "smtp_url": "smtp://127.0.0.1:1",
        "mail_from": "data@example.com",
        "sources": sources_file(folder, EXPORTER, "chats", "account", SOURCE),
    }
    others = {"chats": MadeUpExporter(things(3)), "account": MadeUpExporter(things(1)), SOURCE: crm}
    with sender(folder, redis_url, exporter, exporters={EXPORTER: exporter, **others}, **settings) as server:
        yield server


def filled(server: Served, other: Provider) -> Mapping[str, str]:
    """Requests, links, a transfer and a received copy in all states, by name."""
    owner, company = f"user:{OWNER}", {"kind": "tenant", "id": TENANT, "reason": "Ticket 4711: the contract ends"}
    years = enumerate(("expired", "recalled", "ready"), 2020)
    made = {name: server.ready(owner, since=f"{year}-01-01") for year, name in years}
    made["sent"] = server.ready(owner, profile="portability", include=[EXPORTER])
    exporter = server.world.place.exporters[EXPORTER]
    assert isinstance(exporter, SometimesLacking)
    exporter.lack(lacks=True)
    made["gaps"] = server.ready(owner, since="2019-01-01")
    exporter.lack(lacks=False)
    made["contact"] = server.ready(f"contact:{CONTACT}", tenant=TENANT)
    for year, name in enumerate(("failed", "cancelled", "denied", "denied_contact"), 14):
        subject = (
            {"subject": f"contact:{CONTACT}", "tenant": TENANT} if name == "denied_contact" else {"subject": owner}
        )
        made[name] = server.world.request(**subject, since=f"20{year}-01-01")
    made["queued"] = server.world.request(owner)
    made["running"] = server.world.request(f"user:{WAITING}")
    made["late"] = server.world.request(f"user:{LATE}")
    with server.browser("adm", "tenant_admin", tenant=TENANT) as admin:
        made["review"] = (
            admin.send("/staff/exports", page="/staff/new", **company).headers["location"].rpartition("/")[2]
        )
    _decide(server, made)
    _deliver(server, other, made)
    with server.browser(SCHEDULED) as visitor:
        visitor.send("/me/exports", page="/me", profile="access", every="two_months")
    with server.browser("olga", "officer") as officer:
        officer.send(f"/staff/sources/{SOURCE}/test")
    checked = {SOURCE: server.world.place.exporters[SOURCE]}
    coverage.check_due(server.world.engine, lambda: checked, server.world.place.settings)
    made["received"] = decidable(server.world, recorded_sender(server.world), owner)
    return made


def _decide(server: Served, made: dict[str, str]) -> None:
    """What officers and workers have done with the requests."""
    past = datetime.now(UTC) - timedelta(days=2)
    with server.browser("olga", "officer") as officer:
        for name in ("denied", "denied_contact"):
            reason = {"reason": "The contract does not name you.", "basis": "identity", "confirmed": "yes"}
            assert officer.send(f"/staff/exports/{made[name]}/deny", **reason).status_code == 303
        recalled = {"reason": "It was sent to another person.", "confirmed": "yes"}
        assert officer.send(f"/staff/exports/{made['recalled']}/recall", **recalled).status_code == 303
    with writing(server.world.engine) as connection:
        exports.cancel(connection, made["cancelled"], actor="operator:test")
        unclear = Identity("calls", "call_id", "call_9", tenant=TENANT)
        reviews.note(connection, exports.get(connection, made["ready"]), [(unclear, "calls/calls")])
        agreed = {**exports.get(connection, made["ready"]), "tell_tenants": True}
        referrals.note(connection, server.world.place.settings, agreed, {TENANT: ["con_17"]})
        changes: dict[str, dict[str, Any]] = {
            "expired": {"state": "expired"},
            "failed": {"state": "failed", "error_code": "source_error", "error_message": "the source refuses"},
            "running": {"state": "running", "began_at": past},
            "late": {"due_at": past},
        }
        for name, values in changes.items():
            connection.execute(models.export.update().where(models.export.c.id == made[name]).values(**values))


def _deliver(server: Served, other: Provider, made: dict[str, str]) -> None:
    """A download, a transfer, and links: for a login, for a code, and with the code entered."""
    with server.browser(OWNER) as visitor:
        visitor.client.get(visitor.send(f"/me/exports/{made['ready']}/volumes/1").headers["location"])
        agreed = {"recipient": other.recipient, "agreed": "yes"}
        answer = visitor.send(f"/me/exports/{made['sent']}/transfers", **agreed)
        assert answer.status_code == 303, answer.text
    made["link"] = server.link(made["ready"]).token
    for name in ("code", "open", "limited"):
        made[name] = server.link(made["contact"], audience="code").token
    made["refused"] = server.link(made["denied_contact"], audience="code").token
    publish(other, stated(other, resource=other.server.url, redirect_uris=[other.returns_to]))
    made["pull"] = PullClient(server.url, other).pushed(EXPORTER).rpartition(":")[2]


def add_session(context: BrowserContext, server: Served, who: str, *roles: str, **more: Any) -> None:
    """Log a person in, without the pages of their provider."""
    with server.browser(who, *roles, **more) as visitor:
        for each in visitor.client.cookies.jar:
            context.add_cookies([{"name": each.name, "value": each.value or "", "url": server.url}])


def code_of(server: Served) -> str:
    """The newest code for a link, which a mail would have."""
    with writing(server.world.engine) as connection:
        newest = models.code.select().order_by(models.code.c.created_at.desc())
        row = connection.execute(newest).mappings().first()
        assert row
        text = codes.text(connection, server.world.place.settings.keys, row["id"])
    assert text
    return text
