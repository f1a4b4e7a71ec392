"""Sending to another provider on the pages: a person's yes, what became of it, taking it back; an officer's list."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from factories import MadeUpExporter, things
from given_back import form_again
from sending import sender
from served import OTHER, OWNER, Browser, Served
from transferring import EXPORTER, Provider, encrypted, providing, view

from portability.api.errors import ObjectMissing
from portability.database.engine import reading, writing
from portability.locale import values
from portability.requests import exports
from portability.requests.states import ExportState
from portability.requests.transition import transition
from portability.transfers import authorisations, recipient_removal, recipients, sending


@pytest.fixture(scope="module")
def served(redis_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    strict: dict[str, Any] = {"approvals": "policy", "exports_per_month": 100, "time_zone": "Asia/Jakarta"}
    with sender(tmp_path_factory.mktemp("pages"), redis_server, MadeUpExporter(things(50)), **strict) as server:
        yield server


def send(visitor: Browser, export_id: str, other: Provider, **more: str) -> int:
    fields = {"recipient": other.recipient, "agreed": "yes", **more}
    return visitor.send(f"/me/exports/{export_id}/transfers", **fields).status_code


def only(served: Served, export_id: str) -> str:
    with reading(served.world.engine) as connection:
        (row,) = sending.of(connection, export_id)
        return str(row["id"])


def test_a_person_sends_a_copy_and_takes_it_back(served: Served, other: Provider) -> None:
    """One confirmation is the consent and the transfer; the page shows each step, and one button ends it."""
    export_id = served.ready(profile="portability")
    with served.browser(OWNER) as visitor:
        page = visitor.client.get(f"/me/exports/{export_id}").text
        assert "Send to another provider" in page
        assert "Phone calls" in page
        assert send(visitor, export_id, other) == 303
        transfer_id = only(served, export_id)
        assert "Being prepared" in visitor.client.get(f"/me/exports/{export_id}").text
        encrypted(served.world)
        page = visitor.client.get(f"/me/exports/{export_id}").text
        assert "Waiting for download" in page
        assert "The provider can download it until" in page
        assert "may receive your data" in visitor.client.get("/me").text

        gone = visitor.send(f"/me/exports/{export_id}/transfers/{transfer_id}/revoke")

        assert gone.status_code == 303
        page = visitor.client.get(f"/me/exports/{export_id}").text
        assert "Withdrawn" in page
        assert "may receive your data" not in visitor.client.get("/me").text
    assert view(served.world, transfer_id)["state"] == "revoked"


def test_a_refused_transfer_leaves_the_copy(served: Served) -> None:
    """The person reads why, and still has the copy; the log has no refused request."""
    export_id = served.ready(profile="portability", since="2019-01-01")
    with providing() as abroad, served.browser(OWNER) as visitor, served.browser("olga", "officer") as officer:
        abroad.recorded(served.world, country="SG")
        assert send(visitor, export_id, abroad) == 303
        denied = {"reason": "No safeguard there.", "basis": "others", "confirmed": "yes"}
        assert officer.send(f"/staff/exports/{export_id}/deny", **denied).status_code == 303
        landing = visitor.client.get(f"/d/{served.link(export_id).token}").text
        for page in (visitor.client.get(f"/me/exports/{export_id}").text, landing):
            assert "Why we refused the transfer</h2>" in page
            assert "No safeguard there." in page
        assert "Download" in landing
        assert "reviewed this request and refused it" not in landing
        with writing(served.world.engine) as connection:
            recipient_removal.remove(connection, abroad.recipient, actor="operator:test")
    rows = served.call("GET", "/v1/requests", "olga", "officer").json()["requests"]
    (logged,) = (row for row in rows if row["id"] == export_id)
    assert [logged[name] for name in ("response", "basis", "denial")] == ["complied", None, None]


def test_without_a_yes_nothing_is_sent(served: Served, other: Provider) -> None:
    """No box ticked, an unknown provider, an invalid day: nothing is authorised, and nothing begins."""
    export_id = served.ready(profile="portability")
    with served.browser(OWNER) as visitor:
        assert send(visitor, export_id, other, agreed="") == 400
        assert send(visitor, export_id, other, recipient="rcp_00000000000000000000") == 404
        assert send(visitor, export_id, other, until="soon") == 400
        assert send(visitor, export_id, other, until="2020-01-01") == 400
    with served.browser(OTHER) as visitor:
        assert send(visitor, export_id, other) == 404
    with served.browser(OWNER, strong=False) as visitor:
        assert send(visitor, export_id, other) == 401
    with reading(served.world.engine) as connection:
        assert sending.of(connection, export_id) == []
        assert [row for row in authorisations.of(connection) if row["recipient_id"] == other.recipient] == []


def test_the_form_comes_back_filled_in(served: Served, other: Provider) -> None:
    """With provider and day. The agreement is given anew: it is for what is sent, and nothing was sent."""
    page = f"/me/exports/{served.ready(profile='portability')}"
    asked = {"recipient": other.recipient, "agreed": "yes"}
    with served.browser(OWNER) as visitor:
        for until in ("2020-01-01", "+12020-01-01"):
            refused = visitor.send(f"{page}/transfers", **asked, until=until)
            again = form_again(visitor, refused)
            assert refused.status_code in {400, 422}
            assert (again.status_code, again.url.path) == (200, page)
            assert f'name="until" value="{until}"' in again.text
            assert f'<option value="{other.recipient}" selected>' in again.text
            assert 'name="agreed" value="yes" required>' in again.text


def test_one_second_login_is_enough_to_send(served: Served, other: Provider) -> None:
    """It counts for the consent and the transfer of this copy, and for no other copy."""
    export_id, second = served.ready(profile="portability"), served.ready(profile="portability", since="2021-01-01")
    with served.browser(OWNER, strong=False) as visitor:
        assert send(visitor, export_id, other) == 401
        served.issuer.person = served.issuer.claims(OWNER)
        visitor.client.get("/login", params={"again": "1"}, follow_redirects=True)
        assert send(visitor, export_id, other) == 303
        assert send(visitor, second, other) == 401
        headers = {"X-CSRF-Token": visitor.token("/me")}
        transfer = f"/v1/transfers/{only(served, export_id)}"
        assert visitor.client.delete(transfer, headers=headers).status_code == 204


def test_what_is_allowed_until_a_day_is_on_the_account_and_ends_there(served: Served, other: Provider) -> None:
    """Where the deployment is. It holds for the next copies too, and its button ends it with what is under way."""
    export_id = served.ready(profile="portability")
    day = (datetime.now(UTC) + timedelta(days=30)).date().isoformat()
    ends_at = datetime.fromisoformat(f"{day}T23:59:59.999999+07:00")
    with served.browser(OWNER) as visitor:
        assert send(visitor, export_id, other, until=day) == 303
        page = visitor.client.get("/me").text
        assert f"until {values.date('en', datetime.fromisoformat(day))}</small>" in page
        given = page.partition("/me/authorisations/")[2].partition("/")[0]
        with reading(served.world.engine) as connection:
            assert authorisations.get(connection, given)["expires_at"] == ends_at
        assert visitor.send(f"/me/authorisations/{given}/revoke").status_code == 303
        assert "may receive your data" not in visitor.client.get("/me").text
    assert view(served.world, only(served, export_id))["state"] == "revoked"


def test_a_transfer_whose_archive_was_lost_has_failed(served: Served, other: Provider) -> None:
    """Its badge and its last step said that it had expired, as if the provider had not come in time."""
    export_id = served.ready(profile="portability")
    with served.browser(OWNER) as visitor:
        assert send(visitor, export_id, other) == 303
        encrypted(served.world)
        with writing(served.world.engine) as connection:
            lost = ObjectMissing("storage has lost volume 1")
            transition(connection, exports.lock(connection, export_id), ExportState.FAILED, actor="clock", error=lost)
        shown = (
            visitor.client.get(f"/me/exports/{export_id}").text.partition("card transfer")[2].partition("</section")[0]
        )
    assert '<span class="badge failed">Failed</span>' in shown
    assert "<li>Failed" in shown
    assert ">Expired" not in shown


def test_a_copy_for_oneself_has_no_such_form(served: Served, other: Provider) -> None:
    """`access` is for the person; and where no provider may get it, there is nothing to choose."""
    export_id = served.ready(profile="access")
    with served.browser(OWNER) as visitor:
        assert other.recipient not in visitor.client.get(f"/me/exports/{export_id}").text


def test_an_officer_decides_on_a_transfer_abroad(served: Served) -> None:
    """The transfer waits until an officer approves it by the button of its request; staff do not have the button."""
    with providing() as provider:
        provider.recorded(served.world, country="SG")
        export_id = served.ready(profile="portability")
        with served.browser(OWNER) as visitor:
            assert send(visitor, export_id, provider) == 303
            assert "Waiting for approval" in visitor.client.get(f"/me/exports/{export_id}").text
        with served.browser("sam", "staff") as visitor:
            assert "/approve" not in visitor.client.get(f"/staff/exports/{export_id}").text
        with served.browser("olga", "officer") as visitor:
            page = visitor.client.get(f"/staff/exports/{export_id}").text
            assert "Transfer started" in page
            assert "another country" in page.partition("<h2")[0]
            assert visitor.send(f"/staff/exports/{export_id}/approve").status_code == 303
        assert view(served.world, only(served, export_id))["state"] == "queued"
        with writing(served.world.engine) as connection:
            recipient_removal.remove(connection, provider.recipient, actor="operator:test")


def test_officers_record_and_approve_providers(served: Served, other: Provider) -> None:
    """The secret is in the answer only; the person who recorded it cannot approve it; a weak key is refused."""
    fields = {
        "name": "Fourth Ltd",
        "domain": "127.0.0.1",
        "country": "DE",
        "age_key": str(other.identity.to_public()),
        "jwks_url": f"{other.server.url}/jwks.json",
        "webhook_url": f"{other.server.url}/hook",
    }
    other.domain = "127.0.0.1"
    with served.browser("sam", "staff") as visitor:
        assert visitor.client.get("/staff/recipients").status_code == 403
    with served.browser("olga", "officer") as visitor:
        assert "/staff/recipients" in visitor.client.get("/staff").text
        weak = visitor.send("/staff/recipients", **{**fields, "age_key": "age1" + "q" * 58})
        assert weak.status_code == 400
        made = visitor.send("/staff/recipients", **fields)
        assert made.status_code == 200
        assert "whsec_" in made.text
        page = visitor.client.get("/staff/recipients").text
        assert "whsec_" not in page
        identifier = page.partition("/approve")[0].rpartition("/")[2]
        assert visitor.send(f"/staff/recipients/{identifier}/approve").status_code == 403
    with served.browser("otto", "officer") as visitor:
        assert visitor.send(f"/staff/recipients/{identifier}/approve", confirmed="yes").status_code == 303
        with reading(served.world.engine) as connection:
            fingerprint = recipients.view(recipients.get(connection, identifier))["fingerprint"]
        assert str(fingerprint) in visitor.client.get("/staff/recipients").text
        assert visitor.send(f"/staff/recipients/{identifier}/remove", confirmed="yes").status_code == 303
        assert visitor.send(f"/staff/recipients/{identifier}/fly").status_code == 400


def test_the_page_says_who_has_proven_their_keys(served: Served) -> None:
    """A recipient that does not answer is not proven; the button challenges it again."""
    with providing() as third, served.browser("olga", "officer") as visitor:
        third.domain, third.answers = "127.0.0.1", False
        addresses = {"jwks_url": f"{third.server.url}/jwks.json", "webhook_url": f"{third.server.url}/hook"}
        names = {
            "name": "Fifth Ltd",
            "domain": "127.0.0.1",
            "country": "DE",
            "age_key": str(third.identity.to_public()),
        }
        page = visitor.send("/staff/recipients", **names, **addresses).text
        assert "Not proven yet" in page
        identifier = page.partition("/prove")[0].rpartition("/")[2]
        assert visitor.send(f"/staff/recipients/{identifier}/prove").status_code == 409
        third.answers = True
        assert visitor.send(f"/staff/recipients/{identifier}/prove").status_code == 303
        page = visitor.client.get("/staff/recipients").text
        assert f"{identifier}/prove" not in page
        assert "Proven" in page
        assert visitor.send(f"/staff/recipients/{identifier}/remove", confirmed="yes").status_code == 303


def test_a_person_confirms_what_was_recorded_for_them(served: Served, other: Provider) -> None:
    """An officer alone sends nothing; the page says what was recorded, and a button confirms it."""
    export_id = served.ready(profile="portability")
    given = {"subject": f"user:{OWNER}", "recipient": other.recipient, "datasets": [EXPORTER], "evidence": "x"}
    recorded = served.call("POST", "/v1/authorisations", "olga", "officer", json=given)
    assert (recorded.status_code, recorded.json()["stands"], recorded.json()["confirmed"]) == (201, False, False)
    confirm = f"/v1/authorisations/{recorded.json()['id']}/confirm"

    def start() -> httpx.Response:
        wanted = {"recipient": other.recipient}
        return served.call("POST", f"/v1/exports/{export_id}/transfers", "olga", "officer", json=wanted)

    assert (start().status_code, start().json()["code"]) == (403, "not_authorised")
    assert served.call("POST", confirm, "olga", "officer").status_code == 403
    unknown = f"/v1/authorisations/aut_{'0' * 20}/confirm"
    foreign, missing = served.call("POST", confirm, OTHER), served.call("POST", unknown, OTHER)
    assert (foreign.status_code, foreign.json()["code"]) == (missing.status_code, missing.json()["code"])
    assert foreign.status_code == 404
    assert httpx.post(served.url + confirm, headers=served.bearer(OWNER, strong=False)).status_code == 401
    with served.browser(OWNER) as visitor:
        page = visitor.client.get("/me").text
        assert "your consent was recorded by another person. Nothing is sent until you confirm it." in page
        assert "Phone calls, one transfer" in page
        assert visitor.send(f"/me/authorisations/{recorded.json()['id']}/confirm").status_code == 303
        page = visitor.client.get("/me").text
        assert "may receive your data" in page
        assert "recorded by another person" not in page
    assert start().status_code == 201
    served.call("DELETE", f"/v1/authorisations/{recorded.json()['id']}")


@pytest.mark.usefixtures("other")
def test_a_signed_consent_needs_two_people(served: Served) -> None:
    """Who recorded it is refused, in each role; a colleague countersigns; strangers get the words of an unknown id."""
    given = {"subject": f"user:{OWNER}", "recipient": "localhost", "datasets": [EXPORTER], "evidence": "T-1"}
    recorded = served.call("POST", "/v1/authorisations", "olga", "officer", json=given)
    address, seen = f"/v1/authorisations/{recorded.json()['id']}/countersign", {"document": "D-7"}
    for roles in (("officer",), ("officer", "staff")):
        assert served.call("POST", address, "olga", *roles, json=seen).status_code == 403
    assert served.call("POST", address, OWNER, json=seen).status_code == 403
    unknown = f"/v1/authorisations/aut_{'0' * 20}/countersign"
    foreign, missing = (served.call("POST", each, OTHER, json=seen) for each in (address, unknown))
    assert foreign.status_code == missing.status_code == 404
    answer = served.call("POST", address, "paul", "officer", json=seen)
    assert answer.status_code == 200
    assert (answer.json()["stands"], answer.json()["confirmed"]) == (False, False)
    assert answer.json()["countersigned_at"]
    with served.browser(OWNER) as visitor:
        assert "valid 24 hours after we have told you" in visitor.client.get("/me").text
