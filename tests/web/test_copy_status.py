"""What a person's pages show of a copy: what is missing, that it is late, how long it takes, who downloaded it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from factories import MadeUpExporter, things
from served import CONTACT, OTHER, OWNER, TENANT, Served, serving
from workers import until

from portability.api import Gap
from portability.database import models
from portability.database.engine import writing
from portability.requests import approvals, exports, reversions
from portability.requests.policy import Actor


@dataclass
class Lacking:
    """A server whose source lacks a thing, until `gaps` is cleared."""

    server: Served
    gaps: dict[int, list[Gap]]


@pytest.fixture
def lacking(redis_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lacking]:
    gaps = {0: [Gap("thing", "source_unavailable", retryable=True), Gap("other", "missing")]}
    exporters = {"made_up": MadeUpExporter(things(5), gaps=gaps)}
    with serving(
        tmp_path_factory.mktemp("lacking"), redis_server, exporters=exporters, contact="dpo@t.example"
    ) as made:
        yield Lacking(made, gaps)


def test_the_page_says_what_is_missing_and_reads_it_again(lacking: Lacking) -> None:
    """Each reason in words with its count; the person's own button makes the next revision, which has everything.

    While it is made, it can be stopped: the page says that the copy which was ready stays.
    """
    server = lacking.server
    export_id = server.ready()
    page = f"/me/exports/{export_id}"
    with server.browser(OWNER) as visitor:
        shown = visitor.client.get(page).text
        assert "The system that stores it did not answer." in shown
        assert "It was not found in its place." in shown
        assert shown.count("1 missing") == 2
        lacking.gaps.clear()
        assert visitor.send(f"{page}/gaps").status_code == 303
        assert "reading what is missing again" in visitor.client.get(page).text
        shown = visitor.client.get(page).text
        assert ("Stop the new version" in shown, "The copy stays as it was" in shown) == (True, True)
        assert "The copy that you have can still be downloaded." in shown
        assert visitor.send(f"{page}/volumes/1").status_code == 303
        with server.browser("sam", "officer") as officer:
            assert f"/staff/exports/{export_id}/revoke" in officer.client.get(f"/staff/exports/{export_id}").text
        assert visitor.send(f"{page}/cancel").status_code == 303
        shown = visitor.client.get(page).text
        assert ("Only the new version was stopped" in shown, "1 missing" in shown) == (True, True)
    refused = server.call("POST", f"/v1/exports/{export_id}/cancel", OWNER)
    assert (refused.status_code, refused.json()["code"]) == (409, "wrong_state")
    with server.browser(OWNER) as visitor:
        assert visitor.send(f"{page}/gaps").status_code == 303
        server.world.advance_all()
        assert "did not answer" not in visitor.client.get(page).text
    assert server.world.view(export_id)["revision"] == 2


def test_a_person_learns_that_a_new_version_was_not_made(lacking: Lacking) -> None:
    """They wait for it. Not where they stopped it themselves, and no longer when a later one is ready."""
    server = lacking.server
    export_id = server.ready()
    page = f"/me/exports/{export_id}"
    said = "could not be completed"
    with server.browser(OWNER) as visitor:
        assert visitor.send(f"{page}/gaps").status_code == 303
        assert said not in visitor.client.get(page).text
        assert visitor.send(f"{page}/cancel").status_code == 303
        assert said not in visitor.client.get(page).text
        assert visitor.send(f"{page}/gaps").status_code == 303
        with writing(server.world.engine) as connection:
            row = exports.lock(connection, export_id)
            assert reversions.revert(connection, row, code="storage_refused", actor="worker:1")
        shown = visitor.client.get(page).text
        assert (said in shown, "Try again" in shown, "storage_refused" in shown) == (True, True, False)
        failed = visitor.client.get(f"/v1/exports/{export_id}").json()["failed_revision"]
        assert (failed["revision"], failed["code"]) == (2, "storage_refused")
        lacking.gaps.clear()
        assert visitor.send(f"{page}/gaps").status_code == 303
        server.world.advance_all()
        assert said not in visitor.client.get(page).text


def test_several_are_cancelled_and_the_page_says_what_became_of_each(lacking: Lacking) -> None:
    """One that no worker has begun, one whose copy stays, and one that cannot be cancelled, with its state."""
    server = lacking.server
    ready, revised = server.ready(), server.ready(since="2020-01-01")
    queued = server.world.request(f"user:{OTHER}")
    with server.browser(OWNER) as visitor:
        assert visitor.send(f"/me/exports/{revised}/gaps").status_code == 303
    with server.browser("olga", "officer") as officer:
        shown = officer.send("/staff/bulk", what="cancel", selected=[ready, revised, queued], confirmed="yes").text
    lines = {each[:8]: text for each in (ready, revised, queued) for text in shown.split("<li") if each[:8] in text}
    assert "Done for 2 of 3." in shown
    for export_id, sentence, badge in (
        (ready, "Not done: The status does not allow this.", "Ready"),
        (revised, "Only the new version was stopped.", "Ready"),
        (queued, "", "Cancelled"),
    ):
        assert sentence in lines[export_id[:8]]
        assert f">{badge}" in lines[export_id[:8]]


def test_a_copy_that_no_one_got_has_no_contents(lacking: Lacking) -> None:
    """It would say what is "complete" and "not read yet"; a copy that was there, or is being made, has contents."""
    server = lacking.server
    export_id = server.ready()
    with server.browser(OWNER) as visitor:
        for state in ("running", "ready", "recalled", "expired", "failed", "denied", "cancelled"):
            same = models.export.c.id == export_id
            with writing(server.world.engine) as connection:
                connection.execute(models.export.update().where(same).values(state=state))
            shown = visitor.client.get(f"/me/exports/{export_id}").text
            first = visitor.client.get("/me").text
            has_contents = state not in {"failed", "denied", "cancelled"}
            assert (state, 'id="contents"' in shown) == (state, has_contents)
            assert (state, "ontents</a>" in first) == (state, has_contents)


def test_only_the_person_reads_their_copy_again(lacking: Lacking) -> None:
    """Another person gets the answer for a copy that does not exist, and does not use up the person's attempts."""
    export_id = lacking.server.ready()
    with lacking.server.browser(OTHER) as visitor:
        for _more_than_the_person_may in range(6):
            assert visitor.send(f"/me/exports/{export_id}/gaps").status_code == 404
    assert lacking.server.world.view(export_id)["revision"] == 1
    with lacking.server.browser(OWNER) as visitor:
        assert visitor.send(f"/me/exports/{export_id}/gaps").status_code == 303


def test_a_late_copy_apologises(served: Served) -> None:
    """It names the time that has passed and whom to ask, and no longer a time at which it would be ready.

    A deadline of days ends at midnight, so its date alone would be the day after the last day.
    """
    export_id = served.world.request(f"user:{OWNER}", since="2022-01-01")
    with served.browser(OWNER) as visitor:
        assert "Answer by" in visitor.client.get("/me").text
        _change(served, export_id, due_at=datetime(2026, 1, 31, tzinfo=UTC))
        page = visitor.client.get(f"/me/exports/{export_id}").text.partition('id="refusal"')[0]
    assert "We are sorry" in page
    assert ">31 January 2026, 00:00 UTC</time>" in page.partition("We are sorry")[2].partition("</p>")[0]
    assert '<p class="soft">Answer by' not in page
    _cancel(served, export_id)


def test_a_copy_that_was_ready_is_not_late_while_its_next_revision_is_made(served: Served) -> None:
    """The page says that the copy can be downloaded, and does not apologise."""
    export_id = served.ready()
    _change(served, export_id, state="running", revision=2, due_at=datetime(2026, 1, 31, tzinfo=UTC))
    with served.browser(OWNER) as visitor:
        page = visitor.client.get(f"/me/exports/{export_id}").text
    _change(served, export_id, state="ready", revision=1)
    assert "We are sorry" not in page


def test_the_form_states_the_time_at_which_the_request_is_due(redis_server: str, tmp_path: Path) -> None:
    """By the laws that apply to a person with an account: not by one for the contacts of companies alone.

    Midnight belongs to the day after the last day: its date alone would promise a day more than the law gives.
    """
    own = tmp_path / "regimes.toml"
    own.write_text('[uu_pdp]\nsubject_kinds = ["contact"]\n')
    of_laws = serving(tmp_path, redis_server, regimes="gdpr,uu_pdp,data_act", regimes_file=str(own))
    with of_laws as served, served.browser(OWNER) as visitor:
        page = visitor.client.get("/me").text
        said = page.partition("Free of charge. We answer by ")[2].partition(" at the latest")[0]
        visitor.send("/me/exports", profile="access")
        (row,) = visitor.client.get("/v1/exports").json()["exports"]
    due_at = row["due_at"]
    assert f'"{due_at.replace("Z", "+00:00")}">' in said
    assert said.endswith(", 00:00 UTC</time>")


@pytest.fixture
def without_copies(redis_server: str, tmp_path: Path) -> Iterator[Served]:
    """A server on which no other test makes copies: all of a profile count in an estimate."""
    with serving(tmp_path, redis_server) as made:
        yield made


def test_size_and_time_are_estimated_before_and_during(without_copies: Served) -> None:
    """By three copies of 40 minutes: the form says both, a copy that waits says both, one at half says its own pace."""
    served = without_copies
    began = datetime(2026, 11, 1, tzinfo=UTC)
    for number in range(3):
        made = served.ready(f"user:usr_measured_{number}")
        _change(served, made, began_at=began, ended_at=began + timedelta(minutes=40))
        with writing(served.world.engine) as connection:
            of_export = models.volume.c.export_id == made
            connection.execute(models.volume.update().where(of_export).values(bytes=2_500_000))
    with served.browser("usr_new") as visitor:
        form = visitor.client.get("/me").text
        assert "about 2.5 MB" in form
        assert "take about 40 minutes" in form
        address = visitor.send("/me/exports", page="/me", profile="access").headers["location"]
        assert "About 40 minutes left." in visitor.client.get(address).text
        _change(served, address[-24:], state="running", began_at=datetime.now(UTC) - timedelta(minutes=30))
        assert "About 9 minutes left." in visitor.client.get(address).text
        _change(served, address[-24:], state="queued")
    _cancel(served, address[-24:])


def test_copies_are_listed_page_by_page(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page has the newest copies, and a link to older copies where there are any."""
    made = [served.ready("user:usr_listed", since=f"{year}-01-01") for year in (2019, 2020)]
    with served.browser("usr_listed") as visitor:
        monkeypatch.setattr("web.pages.me.SHOWN", len(made))
        assert 'href="/me?cursor=' not in visitor.client.get("/me").text
        monkeypatch.setattr("web.pages.me.SHOWN", 1)
        page = visitor.client.get("/me").text
        older = visitor.client.get(_next_page(page, "/me")).text
    assert made[1] in page
    assert made[0] not in page
    assert made[0] in older
    assert made[1] not in older
    assert 'href="/me?cursor=' not in older


def test_an_administrator_finds_the_copies_of_the_company(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Newer requests of the company's contacts hide none of them: each is on one page, as their own."""
    own = served.ready("user:usr_both", since="2019-01-01")
    of_company = served.world.request("tenant:ten_paged", profile="switch")
    for person in "abc":
        served.world.request(f"contact:con_{person}", tenant="ten_paged")
    monkeypatch.setattr("web.pages.me.SHOWN", 1)
    found, path = list[str](), "/me"
    with served.browser("usr_both", "subject", "tenant_admin", tenant="ten_paged") as visitor:
        while path:
            page = visitor.client.get(path).text
            rows = page.partition('<ul class="rows">')[2].partition("</ul>")[0]
            found += [part[:24] for part in rows.split('href="/me/exports/')[1:]]
            path = _next_page(page, "/me")
    assert found == [of_company, own]


def _next_page(page: str, path: str) -> str:
    rest = page.partition(f'href="{path}?cursor=')[2]
    return f"{path}?cursor={rest.partition('#')[0]}" if rest else ""


def test_a_refusal_names_ground_and_authorities_in_the_persons_language(served: Served) -> None:
    """German: the ground, the words of the officer, and the authorities of the register with their addresses."""
    export_id = served.world.request(f"user:{OTHER}", since="2023-01-01")
    with writing(served.world.engine) as connection:
        approvals.deny(connection, export_id, reason="Ticket 9", actor=Actor("officer", "olga"), basis="identity")
    with served.browser(OTHER) as visitor:
        page = visitor.client.get(f"/me/exports/{export_id}", headers={"Accept-Language": "de"}).text
    assert "Ticket 9" in page
    assert "Die Identität" in page
    assert "edpb.europa.eu" in page
    assert "DSGVO Art. 77" in page
    assert "European Economic Area" not in page


def test_the_downloads_of_a_copy_are_listed(served: Served) -> None:
    """Each with its time, device and file; before the first there is no list."""
    export_id = served.ready(f"user:{OWNER}", since="2024-01-01")
    page = f"/me/exports/{export_id}"
    with served.browser(OWNER) as visitor:
        assert 'id="downloads"' not in visitor.client.get(page).text
        claimed = visitor.send(f"{page}/volumes/1").headers["location"]
        assert visitor.client.get(claimed).status_code == 200
        until(lambda: "Downloads (1)" in visitor.client.get(page).text, "the end of the download is recorded")
        assert "file 1 · complete" in visitor.client.get(page).text


def test_a_wrong_code_is_an_error(served: Served) -> None:
    """It has the role of an alert, belongs to the field, and is not in the box of what was done."""
    link = served.link(served.ready(f"contact:{CONTACT}", tenant=TENANT), audience="code")
    page = f"/d/{link.token}"
    with served.browser() as visitor:
        visitor.send(f"{page}/code", page=page)
        visitor.send(f"{page}/code/check", page=page, code="00000000")
        shown = visitor.client.get(page).text
    assert '<p class="flash error" role="alert" id="alert">This code is wrong' in shown
    assert 'aria-invalid="true" aria-describedby="alert"' in shown


def _change(served: Served, export_id: str, **values: object) -> None:
    with writing(served.world.engine) as connection:
        connection.execute(models.export.update().where(models.export.c.id == export_id).values(**values))


def _cancel(served: Served, export_id: str) -> None:
    with writing(served.world.engine) as connection:
        exports.cancel(connection, export_id, actor="operator:test")
