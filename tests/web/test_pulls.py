"""A provider asks a person for a copy, and fetches it with the person's consent."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import pyrage
import pytest
import requests
from listener import Heard, Reply
from pulling import SECONDS, PullClient, asked_server, consented, worked
from served import OTHER, OWNER, Served
from sqlalchemy import select, update
from transferring import Provider, providing

from portability.database import models
from portability.database.engine import now, reading, writing
from portability.feeds import feeds
from portability.retention import erasures
from portability.retention.erasures import Whom
from portability.transfers import recipient_removal, recipients
from worker.clock import erasure, pulls, purge
from worker.clock import feeds as clock_feeds
from worker.write.withdraw import withdraw_copies


@pytest.fixture(scope="module")
def served(redis_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with asked_server(tmp_path_factory.mktemp("pulls"), redis_server) as server:
        yield server


@pytest.fixture
def b_care(served: Served, other: Provider) -> PullClient:
    return PullClient(served.url, other)


def refusals(served: Served) -> list[str]:
    """The errors that the audit log has, the newest last."""
    served.app.state.place.observations.end()
    log = models.audit_event
    query = select(log.c.detail).where(log.c.action == "pull.refused").order_by(log.c.id)
    with reading(served.world.engine) as connection:
        return [detail["error"] for detail in connection.scalars(query)]


def assert_refused(served: Served, fault: str, answer: Any, status: int = 400) -> None:
    """An answer has the error of its RFC, and so has the audit log."""
    found, code = (answer, answer["status"]) if isinstance(answer, dict) else (answer.json(), answer.status_code)
    assert (found["error"], code) == (fault, status)
    assert refusals(served)[-1] == fault


def in_a_month() -> str:
    return (datetime.now(UTC) + timedelta(days=30)).isoformat()


def test_a_provider_fetches_what_a_person_allowed(served: Served, b_care: PullClient) -> None:
    """From discovery to the bytes, in parts too; what the person left out is not in the archive."""
    tokens = consented(served, b_care, allowed=("calls",)).tokens
    assert (tokens["token_type"], "refresh_token" in tokens) == ("DPoP", False)
    assert tokens["authorization_details"] == [{"type": "portability", "profile": "portability", "datasets": ["calls"]}]
    started = b_care.call("POST", "/v1/pulls")
    assert (started.status_code, started.json()["state"]) == (201, "preparing")
    here = started.headers["location"]
    assert b_care.call("GET", f"{here}/volumes/1").status_code == 404

    worked(served)

    shown = b_care.call("GET", here).json()
    (volume,) = shown["volumes"]
    assert (shown["state"], shown["datasets"], shown["error_code"]) == ("ready", ["calls"], None)
    whole = b_care.call("GET", volume["url"])
    assert (whole.status_code, hashlib.sha256(whole.content).hexdigest()) == (200, volume["sha256"])
    part = b_care.call("GET", volume["url"], headers={"Range": "bytes=5-14", "If-Range": whole.headers["etag"]})
    assert (part.status_code, part.content) == (206, whole.content[5:15])
    listed = b_care.call("GET", shown["transfer"]["volumes_url"])
    assert listed.json()["transfer"] == shown["transfer"]["id"]
    archive = pyrage.decrypt(whole.content, [b_care.provider.identity])
    assert b"calls" in archive
    with reading(served.world.engine) as connection:
        lines = select(models.ledger.c.exporter).where(models.ledger.c.export_id == shown["export"]).distinct()
        assert connection.scalars(lines).all() == ["calls"]
    again = b_care.call("POST", "/v1/pulls")
    assert (again.status_code, again.json()["id"]) == (200, shown["id"])


def test_a_pushed_request_is_answered_once(served: Served, b_care: PullClient) -> None:
    """The page of a request that was answered, or of another client, says so; nothing is redirected."""
    uri = b_care.pushed("calls")
    with served.browser(OWNER) as visitor:
        b_care.code(visitor, uri, "calls")
        for asked in (b_care.page(uri), {**b_care.page(b_care.pushed("calls")), "client_id": "else.example"}):
            answer = visitor.client.get("/oauth/authorize", params=asked)
            assert (answer.status_code, "invalid_request_uri" in answer.text) == (400, True)
            assert refusals(served)[-1] == "invalid_request_uri"
        page = f"/me/pulls/{uri.rpartition(':')[2]}"
        assert visitor.send(page, answer="allow", datasets="calls").status_code == 400


def test_a_request_that_nobody_answers_expires(served: Served, b_care: PullClient) -> None:
    """After nine minutes a request leads nowhere; a day later its row is deleted."""
    uri = b_care.pushed("calls")
    table = models.pull_request
    with writing(served.world.engine) as connection:
        connection.execute(update(table).where(table.c.decided_at.is_(None)).values(expires_at=now(-86_401)))
    with served.browser(OWNER) as visitor:
        assert visitor.client.get("/oauth/authorize", params=b_care.page(uri)).status_code == 400
    purge.purge(served.world.engine, 24)
    with reading(served.world.engine) as connection:
        assert connection.scalar(select(table.c.id).where(table.c.expires_at < now(-86_400))) is None


def test_a_code_counts_once(served: Served, b_care: PullClient) -> None:
    """A second use ends the consent: its tokens are worthless from then on."""
    with served.browser(OWNER) as visitor:
        code = b_care.code(visitor, b_care.pushed("calls"), "calls")
    b_care.tokens = b_care.exchange(code)
    assert b_care.call("POST", "/v1/pulls").status_code == 201

    assert_refused(served, "invalid_grant", b_care.exchange(code))

    assert_refused(served, "invalid_token", b_care.call("POST", "/v1/pulls"), 401)


@pytest.mark.parametrize("changed", ["code_verifier", "redirect_uri", "key", "provider", "late"])
def test_a_code_belongs_to_its_request(served: Served, b_care: PullClient, changed: str) -> None:
    """Another verifier, redirect URI, key or provider, or a minute later: refused, and the code stays unused."""
    with served.browser(OWNER) as visitor:
        code = b_care.code(visitor, b_care.pushed("calls"), "calls")
    if changed == "late":
        with writing(served.world.engine) as connection:
            connection.execute(update(models.pull_request).values(code_expires_at=now(-1)))
        assert_refused(served, "invalid_grant", b_care.exchange(code))
    elif changed == "key":
        assert_refused(
            served, "invalid_grant", PullClient(b_care.url, b_care.provider, verifier=b_care.verifier).exchange(code)
        )
    elif changed == "provider":
        with providing() as third:
            third.domain = "third.localhost"
            third_id = another_recipient(served, third)
            with writing(served.world.engine) as connection:
                connection.execute(update(models.pull_request).values(recipient_id=third_id))
            assert_refused(served, "invalid_grant", b_care.exchange(code))
    else:
        sent = {changed: b_care.provider.returns_to + "/" if changed == "redirect_uri" else "x" * 43}
        assert_refused(served, "invalid_grant", b_care.exchange(code, **sent))
        assert b_care.exchange(code)["status"] == 200


def another_recipient(served: Served, third: Provider) -> str:
    with reading(served.world.engine) as connection:
        row = dict(recipients.rows(connection)[-1])
    with writing(served.world.engine) as connection:
        row |= {"id": f"rcp_{third.server.port}", "domain": third.domain}
        connection.execute(models.recipient.insert().values(**row))
    return str(row["id"])


def test_a_proof_is_of_the_token_s_key_and_counts_once(served: Served, b_care: PullClient) -> None:
    """Another key, a proof for another request or token, an old one, none, and one for the second time are refused."""
    consented(served, b_care, "calls")
    token, url = b_care.tokens["access_token"], f"{b_care.url}/v1/pulls"
    thief = PullClient(b_care.url, b_care.provider)
    assert_refused(served, "invalid_token", thief.call("POST", url, token=token), 401)
    wrong = [
        b_care.proof("GET", url, token),
        b_care.proof("POST", f"{url}/x", token),
        b_care.proof("POST", url),
        b_care.proof("POST", url, "another"),
        b_care.proof("POST", url, token, iat=int(datetime.now(UTC).timestamp()) - 120),
        "a.b.c",
    ]
    for proof in wrong:
        assert_refused(served, "invalid_dpop_proof", b_care.call("POST", url, proof=proof), 401)
    proof = b_care.proof("POST", url, token)
    assert b_care.call("POST", url, proof=proof).status_code == 201
    answer = b_care.call("POST", url, proof=proof)
    assert_refused(served, "invalid_dpop_proof", answer, 401)
    assert answer.headers["www-authenticate"].startswith('DPoP error="invalid_dpop_proof"')
    bearer = requests.post(url, headers={"Authorization": f"Bearer {token}"}, timeout=30)
    assert_refused(served, "invalid_token", bearer, 401)


def test_what_was_pushed_cannot_be_swapped(served: Served, b_care: PullClient) -> None:
    """Nothing but the two parameters comes with the person, and the consent names only what was asked for."""
    uri = b_care.pushed("calls")
    with served.browser(OWNER) as visitor:
        more = '[{"type": "portability", "datasets": ["calls", "chats"]}]'
        answer = visitor.client.get("/oauth/authorize", params={**b_care.page(uri), "authorization_details": more})
        assert answer.headers["location"].startswith(f"{b_care.provider.returns_to}?error=invalid_request&state=")
        assert refusals(served)[-1] == "invalid_request"
        page = f"/me/pulls/{uri.rpartition(':')[2]}"
        sent = visitor.send(page, answer="allow", datasets=["calls", "chats"])
        assert (sent.status_code, "invalid_authorization_details" in sent.text) == (400, True)
        assert refusals(served)[-1] == "invalid_authorization_details"
        assert b_care.code(visitor, uri, "calls")


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"redirect_uri": "http://127.0.0.1:1/back"}, "invalid_request"),
    ({"code_challenge_method": "plain"}, "invalid_request"),
    ({"code_challenge": "short"}, "invalid_request"),
    ({"state": "x" * 1001}, "invalid_request"),
    ({"request_uri": "urn:x"}, "invalid_request"),
    ({"response_type": "token"}, "unsupported_response_type"),
    ({"dpop_jkt": "x" * 43}, "invalid_dpop_proof"),
    *(
        ({"authorization_details": wrong}, "invalid_authorization_details")
        for wrong in (
            "",
            "{}",
            "[]",
            '[{"type": "other", "datasets": ["calls"]}]',
            '[{"type": "portability", "datasets": []}]',
            '[{"type": "portability", "datasets": ["calls", "calls"]}]',
            '[{"type": "portability", "datasets": ["secrets"]}]',
            '[{"type": "portability", "datasets": ["calls"], "profile": "access"}]',
            '[{"type": "portability", "datasets": ["calls"], "until": "2020-01-01T00:00:00Z"}]',
            '[{"type": "portability", "datasets": ["calls"], "until": "tomorrow"}]',
            '[{"type": "portability", "datasets": ["calls"], "actions": ["x"]}]',
        )
    ),
]


@pytest.mark.parametrize(("sent", "fault"), WRONG, ids=lambda value: str(value)[:60])
def test_a_push_that_the_profile_does_not_allow(
    served: Served, b_care: PullClient, sent: dict[str, Any], fault: str
) -> None:
    """Each is refused with the error of its RFC."""
    assert_refused(served, fault, b_care.push("calls", **sent))


def test_only_an_approved_provider_with_its_key_asks(served: Served, b_care: PullClient) -> None:
    """A stranger, another key, an assertion for another audience, and a removed provider: invalid_b_care."""
    with providing() as stranger:
        stranger.domain = "stranger.example"
        assert_refused(served, "invalid_client", PullClient(served.url, stranger).push("calls"), 401)
    with providing() as forger:
        assert_refused(served, "invalid_client", PullClient(served.url, forger).push("calls"), 401)
    b_care.server["issuer"] = "https://else.example"
    assert_refused(served, "invalid_client", b_care.push("calls"), 401)
    b_care.server["issuer"] = served.url
    assert b_care.push("calls").status_code == 201
    consented(served, b_care, "calls")
    with writing(served.world.engine) as connection:
        recipient_removal.remove(connection, b_care.provider.recipient, actor="operator:test")
    assert_refused(served, "invalid_client", b_care.push("calls"), 401)
    assert_refused(served, "invalid_token", b_care.call("POST", "/v1/pulls"), 401)


def test_a_key_set_that_answers_slowly_occupies_few_threads(served: Served, b_care: PullClient) -> None:
    """Eight requests wait for it; further requests are answered 503 at once, and all pages go on."""
    server, released = b_care.provider.server, threading.Event()
    usual = server.reply

    def reply(heard: Heard) -> Reply:
        if heard.path == "/jwks.json":
            released.wait(SECONDS)
        return usual(heard)

    server.reply = reply
    with ThreadPoolExecutor(11) as pool:
        pushing = [pool.submit(b_care.push, "calls") for _ in range(11)]
        refused = [each.result() for each in islice(as_completed(pushing, SECONDS), 3)]
        assert [(each.status_code, each.json()["code"]) for each in refused] == [(503, "outside_unavailable")] * 3
        assert all(each.headers["retry-after"] for each in refused)
        assert requests.get(f"{served.url}/healthz/ready", timeout=SECONDS).status_code == 200
        released.set()
    assert [each.result().status_code for each in pushing].count(201) == 8
    assert b_care.push("calls").status_code == 201


def test_head_of_a_copy_has_its_own_proof(served: Served, b_care: PullClient) -> None:
    """The proof names the method that is sent: that for GET does not count for HEAD."""
    consented(served, b_care, "calls")
    path = f"/v1/pulls/{b_care.call('POST', '/v1/pulls').json()['id']}"
    proof = b_care.proof("GET", f"{served.url}{path}", b_care.tokens["access_token"])
    assert b_care.call("HEAD", path).status_code == 200
    assert b_care.call("HEAD", path, proof=proof).status_code == 401


def test_a_provider_gets_only_what_it_may_receive(served: Served) -> None:
    """The datasets of the record limit what it can ask for."""
    with providing() as narrow:
        narrow.recorded(served.world, datasets=["chats"])
        try:
            assert_refused(served, "invalid_authorization_details", PullClient(served.url, narrow).push("calls"))
        finally:
            with writing(served.world.engine) as connection:
                recipient_removal.remove(connection, narrow.recipient, actor="operator:test")


def test_a_person_declines(served: Served, b_care: PullClient) -> None:
    """The provider hears access_denied, and no consent is recorded."""
    with served.browser(OWNER) as visitor:
        back = b_care.answered(visitor, b_care.pushed("calls"), answer="decline")
    assert (back["error"], back["iss"], "code" in back) == ("access_denied", b_care.server["issuer"], False)


def test_a_person_withdraws_and_everything_stops(served: Served, b_care: PullClient) -> None:
    """On their page: tokens are worthless, also for volumes that are ready, and no new token is given."""
    consented(served, b_care, "calls", until=in_a_month())
    here = b_care.call("POST", "/v1/pulls").headers["location"]
    worked(served)
    (volume,) = b_care.call("GET", here).json()["volumes"]
    assert b_care.call("GET", volume["url"]).status_code == 200
    mine = served.call("GET", "/v1/authorisations").json()["authorisations"][0]
    assert (mine["pull"], mine["datasets"], mine["once"]) == (True, ["calls"], False)
    with served.browser(OWNER) as visitor:
        assert "may fetch your data" in visitor.client.get("/me").text
        assert visitor.send(f"/me/authorisations/{mine['id']}/revoke").status_code == 303

    assert_refused(served, "invalid_token", b_care.call("GET", volume["url"]), 401)
    fetched = b_care.fetch("refresh_token", refresh_token=b_care.tokens["refresh_token"])
    assert_refused(served, "invalid_grant", fetched)


@pytest.mark.parametrize("is_once", [True, False])
def test_a_consent_whose_tokens_expired_unused_is_expired(served: Served, b_care: PullClient, *, is_once: bool) -> None:
    """A copy that was begun before is still made and sent."""

    def newest() -> list[bool]:
        found = served.call("GET", "/v1/authorisations").json()["authorisations"][0]
        return [found["stands"], found["lapsed"]]

    consented(served, b_care, "calls", until=None if is_once else in_a_month())
    assert newest() == [True, False]
    assert b_care.call("POST", "/v1/pulls").status_code == 201
    with writing(served.world.engine) as connection:
        connection.execute(update(models.pull_token).values(expires_at=now(-1)))
    assert newest() == [True, False]
    worked(served)
    assert newest() == [False, not is_once]


def test_a_consent_whose_code_was_never_exchanged_is_expired(served: Served, b_care: PullClient) -> None:
    """The provider got nothing for it."""
    with served.browser(OWNER) as visitor:
        b_care.code(visitor, b_care.pushed("calls"), "calls")
        mine = served.call("GET", "/v1/authorisations").json()["authorisations"][0]
        assert (mine["stands"], mine["lapsed"]) == (True, False)
        with writing(served.world.engine) as connection:
            connection.execute(update(models.pull_request).values(code_expires_at=now(-1)))
        mine = served.call("GET", "/v1/authorisations").json()["authorisations"][0]
        assert (mine["stands"], mine["lapsed"]) == (False, True)
        shown = visitor.client.get("/me").text.count("start again at the provider")
        assert visitor.send(f"/me/authorisations/{mine['id']}/revoke").status_code == 303
        assert visitor.client.get("/me").text.count("start again at the provider") == shown - 1


def test_a_provider_ends_a_consent(served: Served, b_care: PullClient) -> None:
    """By its token, access or refresh; an unknown or ended token is as good as revoked, and needs the assertion too."""
    consented(served, b_care, "calls", until=in_a_month())
    assert b_care.revoke("unknown").status_code == 200
    assert b_care.call("POST", "/v1/pulls").status_code == 201
    with providing() as stranger:
        stranger.domain = "stranger.example"
        thief = PullClient(served.url, stranger)
        assert_refused(served, "invalid_client", thief.revoke(b_care.tokens["access_token"]), 401)

    assert b_care.revoke(b_care.tokens["refresh_token"]).status_code == 200

    assert_refused(served, "invalid_token", b_care.call("POST", "/v1/pulls"), 401)
    newest = served.call("GET", "/v1/authorisations").json()["authorisations"][0]
    assert newest["revoked_at"] is not None
    assert b_care.revoke(b_care.tokens["access_token"]).status_code == 200


def test_staff_withdraw(served: Served, b_care: PullClient) -> None:
    """An officer ends a consent as any other."""
    consented(served, b_care, "calls")
    newest = served.call("GET", "/v1/authorisations").json()["authorisations"][0]
    assert served.call("DELETE", f"/v1/authorisations/{newest['id']}", "olga", "officer").status_code == 204
    assert_refused(served, "invalid_token", b_care.call("POST", "/v1/pulls"), 401)


def test_an_access_token_expires(served: Served, b_care: PullClient) -> None:
    """After ten minutes, an hour for one copy, a token is refused."""
    assert consented(served, b_care, "calls").tokens["expires_in"] == 3600
    with writing(served.world.engine) as connection:
        connection.execute(update(models.pull_token).values(expires_at=now(-1)))
    assert_refused(served, "invalid_token", b_care.call("POST", "/v1/pulls"), 401)


def test_a_recurring_consent_has_a_refresh_token_that_counts_once(served: Served, b_care: PullClient) -> None:
    """Each use gives another; a second use of an old one ends the consent, because one user may be a thief."""
    first = consented(served, b_care, "calls", until=in_a_month()).tokens
    assert first["expires_in"] == 600
    second = b_care.fetch("refresh_token", refresh_token=first["refresh_token"])
    assert (second["status"], second["authorization_details"][0]["datasets"]) == (200, ["calls"])
    thief = PullClient(b_care.url, b_care.provider)
    assert_refused(served, "invalid_grant", thief.fetch("refresh_token", refresh_token=second["refresh_token"]))
    b_care.tokens = second
    one = b_care.call("POST", "/v1/pulls").json()
    worked(served)
    assert b_care.call("GET", f"/v1/pulls/{one['id']}").json()["state"] == "ready"

    assert_refused(served, "invalid_grant", b_care.fetch("refresh_token", refresh_token=first["refresh_token"]))

    assert_refused(served, "invalid_token", b_care.call("GET", f"/v1/pulls/{one['id']}"), 401)
    assert_refused(served, "invalid_grant", b_care.fetch("refresh_token", refresh_token=second["refresh_token"]))


def test_a_lost_answer_to_a_refresh_token_ends_no_consent(served: Served, b_care: PullClient) -> None:
    """Who repeats the request gets other tokens instead of those that it has not got; a used answer was not lost."""
    first = consented(served, b_care, "calls", until=in_a_month()).tokens
    lost = b_care.fetch("refresh_token", refresh_token=first["refresh_token"])
    again = b_care.fetch("refresh_token", refresh_token=first["refresh_token"])
    assert (again["status"], again["refresh_token"] == lost["refresh_token"]) == (200, False)
    assert_refused(served, "invalid_grant", b_care.fetch("refresh_token", refresh_token=lost["refresh_token"]))

    third = b_care.fetch("refresh_token", refresh_token=again["refresh_token"])
    assert third["status"] == 200
    assert_refused(served, "invalid_grant", b_care.fetch("refresh_token", refresh_token=first["refresh_token"]))
    assert_refused(served, "invalid_grant", b_care.fetch("refresh_token", refresh_token=third["refresh_token"]))


def test_a_refresh_token_is_repeated_for_ten_minutes(served: Served, b_care: PullClient) -> None:
    """Later a second use ends the consent, whatever became of the answer."""
    first = consented(served, b_care, "calls", until=in_a_month()).tokens
    second = b_care.fetch("refresh_token", refresh_token=first["refresh_token"])
    table = models.pull_token
    with writing(served.world.engine) as connection:
        connection.execute(update(table).where(table.c.used_at.is_not(None)).values(used_at=now(-601)))
    assert_refused(served, "invalid_grant", b_care.fetch("refresh_token", refresh_token=first["refresh_token"]))
    assert_refused(served, "invalid_grant", b_care.fetch("refresh_token", refresh_token=second["refresh_token"]))


def test_changes_are_a_feed_of_the_consent(served: Served, b_care: PullClient) -> None:
    """Its archive is sent as the provider's copy, not a second time as the feed's; the feed ends with the consent."""
    consented(served, b_care, "calls", until=in_a_month())
    started = b_care.call(
        "POST", "/v1/pulls?changes=true", proof=b_care.proof("POST", f"{b_care.url}/v1/pulls", token_of(b_care))
    )
    assert started.status_code == 201
    export_id, engine, settings = started.json()["export"], served.world.engine, served.world.place.settings
    served.world.advance_all()
    assert (clock_feeds.send_ready(engine, settings), pulls.send_ready(engine, settings)) == (0, 1)
    mine = served.call("GET", "/v1/authorisations").json()["authorisations"][0]
    with reading(engine) as connection:
        (feed,) = feeds.listed(connection, feeds.TABLE.c.authorisation_id == mine["id"])
    assert (feed["export_id"], feed["number"], feed["ended_at"]) == (export_id, 1, None)
    assert served.call("DELETE", f"/v1/authorisations/{mine['id']}").status_code == 204
    with reading(engine) as connection:
        assert feeds.get(connection, feed["id"])["ended_at"] is not None


def token_of(client: PullClient) -> str:
    return str(client.tokens["access_token"])


def test_an_erasure_deletes_what_a_pull_has(served: Served, b_care: PullClient) -> None:
    """Request, tokens and copy go with the consent of the person; the token is unknown then."""
    consented(served, b_care, "calls", person="usr_gone", until=in_a_month())
    assert b_care.call("POST", "/v1/pulls").status_code == 201
    worked(served)
    engine, place = served.world.engine, served.world.place
    mine = models.authorisation.c.subject_id == "usr_gone"
    tables = (models.pull_request, models.pull_token, models.pull)
    with writing(engine) as connection:
        (consent,) = connection.scalars(select(models.authorisation.c.id).where(mine))
        erasures.begin(connection, Whom("user", "usr_gone", None), reason="t", actor="operator:test", ground="subject")
    for _ in range(3):
        withdraw_copies(engine, lambda: place.storage)
        erasure.advance(engine, lambda: place.storage)
    with reading(engine) as connection:
        for table in tables:
            kept = select(table.c.authorisation_id).where(table.c.authorisation_id == consent)
            assert connection.scalar(kept) is None, table.name
    assert_refused(served, "invalid_token", b_care.call("POST", "/v1/pulls"), 401)


def test_one_person_s_token_shows_no_other_person_s_copy(served: Served, other: Provider) -> None:
    """The copies of two people are apart, for the same provider too."""
    mine = consented(served, PullClient(served.url, other), "calls")
    theirs = consented(served, PullClient(served.url, other), "calls", person=OTHER)
    one, two = (each.call("POST", "/v1/pulls").json() for each in (mine, theirs))
    assert one["export"] != two["export"]
    answer = theirs.call("GET", f"/v1/pulls/{one['id']}")
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_pull")


def test_a_consent_needs_a_second_factor(served: Served, b_care: PullClient) -> None:
    """A weak login sees the page; to allow it the person logs in again, and the request waits meanwhile."""
    uri = b_care.pushed("calls")
    page = f"/me/pulls/{uri.rpartition(':')[2]}"
    with served.browser(OWNER, amr=["pwd"]) as visitor:
        assert "asks for your data" in visitor.client.get(page).text
        answer = visitor.send(page, answer="allow", datasets="calls")
        assert (answer.status_code, "again=1" in answer.text) == (401, True)
    with served.browser() as visitor:
        stranger = visitor.client.get("/oauth/authorize", params=b_care.page(uri), follow_redirects=False)
        login = visitor.client.get(stranger.headers["location"])
        assert (login.status_code, login.headers["location"]) == (303, f"/login?next={page}")


def test_the_token_endpoint_takes_forms_only(served: Served, b_care: PullClient) -> None:
    """JSON, a parameter that comes twice, and an unknown grant type."""
    url = b_care.server["token_endpoint"]
    assert_refused(served, "invalid_request", requests.post(url, json={}, timeout=30))
    twice = requests.post(url, data=[("grant_type", "a"), ("grant_type", "b")], timeout=30)
    assert_refused(served, "invalid_request", twice)
    assert_refused(served, "unsupported_grant_type", b_care.fetch("password"))
