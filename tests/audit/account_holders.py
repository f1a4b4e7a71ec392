"""People with an account, people who wrote without one, and what the platform stores about them as controller."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from audit.companies import AURORA, BOREALIS, CUMULUS
from audit.source_rows import SourceRow, call, chat, days_ago, row


def account_rows() -> Iterator[SourceRow]:
    """Make all people with an account, in the order of expected.toml."""
    for made in (_closed, _bad_cells, _future, _complete, _addresses, _agents, _readers, _others):
        yield from made()


def _user(name: str, **given: Any) -> SourceRow:
    return row("users", f"usr_{name}", **{"email": f"{name}@mail.example", **given})


def _closed() -> Iterator[SourceRow]:
    yield _user("closed", closed_at=days_ago(179), created_at=days_ago(900))
    own: dict[str, Any] = {"user_id": "usr_closed"}
    for number, age in ((1, 400), (2, 200)):
        issued = {"issued_on": days_ago(age).date(), "created_at": days_ago(age)}
        yield row("invoices", f"inv_closed_{number}", tenant_id=AURORA, **own, **issued)
    yield row("consents", "cns_closed", decided_at=days_ago(500), created_at=days_ago(500), **own)
    yield row("processing_trail", "trl_closed", created_at=days_ago(200), **own)
    yield row("page_views", "pgv_closed", created_at=days_ago(200), **own)
    yield row("inquiries", "inq_closed", created_at=days_ago(190), **own)
    yield row("inquiry_replies", "rep_closed", inquiry_id="inq_closed", created_at=days_ago(189))

    yield _user("held", closed_at=days_ago(179), legal_hold=True)
    yield row("page_views", "pgv_held", user_id="usr_held")

    yield _user("old", created_at=days_ago(5000))
    own = {"user_id": "usr_old"}
    for number, age in ((1, 2200), (2, 30)):
        yield row("processing_trail", f"trl_old_{number}", created_at=days_ago(age), occurred_at=days_ago(age), **own)
    for number, age in ((1, 4100), (2, 3000)):
        issued = {"issued_on": days_ago(age).date(), "created_at": days_ago(age)}
        yield row("invoices", f"inv_old_{number}", tenant_id=AURORA, **own, **issued)
    yield row("memberships", "mem_old", tenant_id=BOREALIS, role="member", ended_at=days_ago(900), **own)


def _bad_cells() -> Iterator[SourceRow]:
    own: dict[str, Any] = {"user_id": "usr_badprice"}
    yield _user("badprice")
    wrong = {"sqlite": {"price": "'99,95'"}, "postgresql": {"price": "'NaN'::numeric"}}
    yield row("subscriptions", "sub_badprice_1", wrong, tenant_id=AURORA, **own)
    yield row("subscriptions", "sub_badprice_2", tenant_id=AURORA, **own)

    yield _user("badtext")
    wrong = {
        "sqlite": {"message": "CAST(x'4772fc6e' AS TEXT)"},
        "postgresql": {"closed_at": "'infinity'::timestamptz"},
    }
    for number in (1, 2, 3):
        yield row("inquiries", f"inq_badtext_{number}", wrong if number == 2 else None, user_id="usr_badtext")

    yield _user("badjson")
    wrong = {"sqlite": {"context": "'{not json'"}, "postgresql": {"occurred_at": "'0044-03-15 BC'::timestamptz"}}
    for number in (1, 2, 3):
        yield row("error_logs", f"err_badjson_{number}", wrong if number == 2 else None, user_id="usr_badjson")


def _future() -> Iterator[SourceRow]:
    yield _user("future")
    yield row("page_views", "pgv_future_1", user_id="usr_future")
    yield row("page_views", "pgv_future_2", user_id="usr_future", created_at=days_ago(-1))
    yield row("page_views", "pgv_future_3", user_id="usr_future", created_at=days_ago(-1900))


def _complete() -> Iterator[SourceRow]:
    """One row in every dataset that is about a person with an account."""
    own: dict[str, Any] = {"user_id": "usr_card"}
    yield _user("card", phone="+4930901820101", security_question=None, security_answer=None, government_id=None)
    yield row("subscriptions", "sub_card", tenant_id=AURORA, **own)
    yield row("invoices", "inv_card", tenant_id=AURORA, billing_email="card@mail.example", **own)
    yield row("payment_methods", "pay_card", tenant_id=AURORA, cvv=None, bank_account_number=None, **own)
    yield row("inquiries", "inq_card", email="card@mail.example", **own)
    yield row("inquiry_replies", "rep_card", inquiry_id="inq_card")
    for table, name in (
        *(("marketing_preferences", "mkp"), ("consents", "cns"), ("campaigns_received", "cam")),
        *(("devices", "dev"), ("ip_addresses", "ipa"), ("user_agents", "uag"), ("page_views", "pgv")),
        *(("clicks", "clk"), ("navigation_paths", "nav"), ("api_timings", "api"), ("error_logs", "err")),
        *(("cookie_sessions", "cks"), ("cookie_preferences", "ckp"), ("analytics_ids", "anl")),
        ("processing_trail", "trl"),
    ):
        email = {"email": "card@mail.example"} if table in {"marketing_preferences", "consents"} else {}
        yield row(table, f"{name}_card", **own, **email)
    yield row("feature_uses", "fea_card", tenant_id=AURORA, **own)
    yield _user("everycard")
    yield row("payment_methods", "pay_everycard", tenant_id=AURORA, user_id="usr_everycard")
    yield _user("nocard", security_question=None, security_answer=None, government_id=None, mfa_seed=None)


def _addresses() -> Iterator[SourceRow]:
    """Rows without account under an address, and people whose addresses differ by one letter."""
    yield _user("writer")
    for number, address in ((1, "Writer@Mail.Example"), (2, "writer@mail.example")):
        yield row("inquiries", f"inq_writer_{number}", email=address)
    yield row("inquiry_replies", "rep_writer", inquiry_id="inq_writer_1")
    yield row("consents", "cns_writer", email="writer@mail.example")

    yield _user("unproven", email_verified_at=None)
    yield row("inquiries", "inq_unproven", email="unproven@mail.example")
    yield row("inquiries", "inq_unproven_own", user_id="usr_unproven")

    yield _user("ann", email="ann@mail.example", full_name="Ann Example")
    yield _user("ann_accent", email="\u00e1nn@mail.example", full_name="Ann Example")
    yield row("inquiries", "inq_ann", email="ann@mail.example", name="Ann Example")
    yield row("inquiries", "inq_ann_accent", email="\u00e1nn@mail.example", name="Ann Example")
    yield row("devices", "dev_ann", user_id="usr_ann")
    yield row("devices", "dev_ann_accent", user_id="usr_ann_accent")


def _agents() -> Iterator[SourceRow]:
    """Members of staff of two companies, whose voices are in calls of customers."""
    for name, tenant in (("agent_a", AURORA), ("agent_c", CUMULUS)):
        user = f"usr_{name}"
        yield _user(name)
        yield row("memberships", f"mem_{name}", tenant_id=tenant, user_id=user, role="member", invited_by="usr_boss")
        customer = f"con_of_{name}"
        yield row("contacts", customer, tenant_id=tenant, email=f"{customer}@mail.example")
        yield from call(name, tenant, contact_id=customer, staff_id=user, handled_by="human_agent")
        yield from chat(name, tenant, contact_id=customer, staff_id=user)
        yield row("tickets", f"tic_{name}", tenant_id=tenant, contact_id=customer, assignee_id=user)
        yield row("activities", f"act_{name}", tenant_id=tenant, contact_id=customer, staff_id=user)


def _readers() -> Iterator[SourceRow]:
    """People without an account, who are known by their address only."""
    for table, name in (("marketing_preferences", "mkp"), ("consents", "cns"), ("campaigns_received", "cam")):
        yield row(table, f"{name}_reader", email="reader@news.example")
    yield row("inquiries", "inq_lead", email="lead@news.example", name="Lea Lead")
    yield row("inquiry_replies", "rep_lead", inquiry_id="inq_lead")
    for number, name in ((1, "Sam First"), (2, "Pat Second")):
        yield row("inquiries", f"inq_family_{number}", email="family@news.example", name=name)


def _others() -> Iterator[SourceRow]:
    yield _user("nousage")
    yield _user("twice")
    yield row("devices", "dev_twice", user_id="usr_twice")
    # Her verified address is that of a contact of Aurora, and of a contact of Cumulus, who has not instructed anything.
    yield _user("customer")
    for name, tenant in (("a", AURORA), ("c", CUMULUS)):
        yield row("contacts", f"con_customer_{name}", tenant_id=tenant, email="customer@mail.example")
        yield from call(f"customer_{name}", tenant, contact_id=f"con_customer_{name}")
