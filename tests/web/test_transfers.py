"""Transfers as a recipient's program and a person's see them: over real HTTP, with every wrong turn."""

from __future__ import annotations

import hashlib
import re
import time
from base64 import urlsafe_b64decode
from collections.abc import Iterator, Sequence
from typing import Any

import httpx
import orjson
import pyrage
import pytest
import redis
from factories import MadeUpExporter, things
from joserfc.jwk import ECKey
from sending import offered, sender, sent, shown
from served import OTHER, OWNER, Served
from sqlalchemy import update
from transferring import EXPORTER, Provider, encrypted

from portability.database import models
from portability.database.engine import now, writing
from portability.transfers import sending
from portability.trust import keys
from portability.trust.signing import TRANSFER_TYPE, Jwks, check, sign
from worker.write.withdraw import withdraw_copies


@pytest.fixture(scope="module")
def served(redis_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with sender(
        tmp_path_factory.mktemp("sends"), redis_server, MadeUpExporter(things(50)), link_claims_max=5
    ) as server:
        yield server


def offer(served: Served, other: Provider) -> tuple[str, str]:
    """The transfer's id and the link in the recipient's webhook."""
    data = offered(served, other)
    return data["transfer"], data["url"]


def post_receipt(served: Served, transfer_id: str, token: str, **more: Any) -> httpx.Response:
    headers = {"Content-Type": "application/jose", **more}
    return httpx.post(f"{served.url}/v1/transfers/{transfer_id}/receipt", content=token, headers=headers, timeout=30)


def test_a_recipient_fetches_checks_and_signs(served: Served, other: Provider) -> None:
    """The whole way with nothing but HTTP, a JOSE library and age: as docs/receiving.md tells it."""
    transfer_id, url = offer(served, other)
    document = httpx.get(url, headers={"Accept": "application/json"}).raise_for_status().json()
    transfer = document["transfer"]
    statement = httpx.get(transfer["statement_url"]).raise_for_status().text
    jwks = Jwks.parse(httpx.get(transfer["jwks_url"]).raise_for_status().json())
    claims = check(statement, jwks, typ=TRANSFER_TYPE)
    announced = httpx.get(transfer["volumes_url"]).raise_for_status().content
    (listed,), (named,) = document["volumes"], orjson.loads(announced)["volumes"]
    begun = httpx.post(f"{url}/volumes/{listed['number']}")
    assert begun.status_code == 303
    where = httpx.URL(url).join(begun.headers["Location"])
    first = httpx.get(where, headers={"Range": "bytes=0-99"})
    rest = httpx.get(where, headers={"Range": "bytes=100-", "If-Range": first.headers["ETag"]})
    content = first.content + rest.content

    assert (len(announced), hashlib.sha256(announced).hexdigest()) == (
        claims["list"]["bytes"],
        claims["list"]["sha256"],
    )
    assert transfer["id"] == transfer_id
    assert transfer["receipt_url"] == f"{served.url}/v1/transfers/{transfer_id}/receipt"
    assert (first.status_code, rest.status_code) == (206, 206)
    assert rest.headers["Content-Type"] == "application/octet-stream"
    assert listed["name"] in rest.headers["Content-Disposition"]
    assert {name: listed[name] for name in ("name", "bytes", "sha256")} == named["encrypted"]
    assert hashlib.sha256(content).hexdigest() == listed["sha256"]
    assert hashlib.sha256(pyrage.decrypt(content, [other.identity])).hexdigest() == named["sha256"]

    proof = hashlib.sha256(hashlib.sha256(bytes.fromhex(claims["nonce"]) + content).digest()).hexdigest()
    receipt = other.signed(transfer_id, statement, 1, aud=claims["iss"], possession=proof)
    assert post_receipt(served, transfer_id, receipt).status_code == 204

    seen = shown(served, transfer_id)
    assert seen["state"] == "delivered"
    steps = [step["what"] for step in seen["timeline"]]
    assert steps == ["started", "offered", "announced", "download_begun", "delivered"]


def test_what_cannot_be_opened_is_refused_and_the_sender_sees_why(served: Served, other: Provider) -> None:
    """Refused with a code; the recipient may still come to terms with it, and after that its word stands."""
    transfer_id, _url = offer(served, other)
    no = other.receipt(served.world, transfer_id, status="refused", code="wrong_key", volumes=0)
    assert post_receipt(served, transfer_id, no).status_code == 204
    assert (shown(served, transfer_id)["state"], shown(served, transfer_id)["error_code"]) == ("refused", "wrong_key")

    assert post_receipt(served, transfer_id, other.receipt(served.world, transfer_id)).status_code == 204
    assert (shown(served, transfer_id)["state"], shown(served, transfer_id)["error_code"]) == ("delivered", None)

    again = other.receipt(served.world, transfer_id)
    assert post_receipt(served, transfer_id, again).status_code == 204
    late = other.receipt(served.world, transfer_id, status="refused", code="changed")
    assert post_receipt(served, transfer_id, late).json()["code"] == "receipt_replayed"
    assert shown(served, transfer_id)["state"] == "delivered"


def test_a_receipt_counts_once(served: Served, other: Provider) -> None:
    """The same receipt again is 409, for this transfer and for any other of that recipient."""
    transfer_id, _url = offer(served, other)
    token = other.receipt(served.world, transfer_id, status="refused", code="changed")

    assert post_receipt(served, transfer_id, token).status_code == 204
    answer = post_receipt(served, transfer_id, token)

    assert (answer.status_code, answer.json()["code"]) == (409, "receipt_replayed")


STRANGER = ECKey.generate_key("P-256", {"kid": "their-1", "use": "sig"})


REFUSED: Sequence[tuple[dict[str, Any], int, str]] = (
    ({"key": STRANGER}, 401, "forged_receipt"),
    ({"key": ECKey.generate_key("P-256", {"kid": "nobody", "use": "sig"})}, 401, "forged_receipt"),
    ({"typ": TRANSFER_TYPE}, 401, "forged_receipt"),
    ({"iat": "now"}, 401, "forged_receipt"),
    ({"iss": "another.example"}, 422, "wrong_receipt"),
    ({"aud": "https://another.example"}, 422, "wrong_receipt"),
    ({"transfer": "trf_00000000000000000000"}, 422, "wrong_receipt"),
    ({"transfer_sha256": "0" * 64}, 422, "wrong_receipt"),
    ({"iat": 1}, 422, "clock_skew"),
    ({"iat": 1 << 40}, 422, "clock_skew"),
    ({"jti": "short"}, 422, "wrong_receipt"),
    ({"jti": None}, 422, "wrong_receipt"),
    ({"status": "maybe"}, 422, "wrong_receipt"),
    ({"status": ["received"]}, 422, "wrong_receipt"),
    ({"code": "No Code\n"}, 422, "wrong_receipt"),
    ({"volumes": -1}, 422, "wrong_receipt"),
    ({"volumes": True}, 422, "wrong_receipt"),
    ({"volumes": 0}, 422, "wrong_receipt"),
    ({"volumes": 2}, 422, "wrong_receipt"),
    ({"code": "wrong_key", "volumes": 0}, 422, "wrong_receipt"),
    ({"code": "wrong_key"}, 422, "wrong_receipt"),
    ({"status": "refused"}, 422, "wrong_receipt"),
    ({"status": "refused", "code": "changed", "volumes": 2}, 422, "wrong_receipt"),
    ({"possession": None}, 422, "wrong_receipt"),
    ({"possession": "0" * 64}, 422, "wrong_receipt"),
    ({"possession": ["0" * 64]}, 422, "wrong_receipt"),
)
"""What is wrong in a receipt, and how it is refused."""


@pytest.mark.parametrize("cases", [REFUSED[::2], REFUSED[1::2]], ids=["one half", "the other half"])  # 20 an address
def test_a_receipt_that_does_not_hold_changes_nothing(
    served: Served, other: Provider, cases: Sequence[tuple[dict[str, Any], int, str]]
) -> None:
    """Another key, type, issuer, audience, transfer, statement or time; an invalid id, status, count, code or proof."""
    transfer_id, _url = offer(served, other)
    for more, status, code in cases:
        answer = post_receipt(served, transfer_id, other.receipt(served.world, transfer_id, **more))

        assert (answer.status_code, answer.json()["code"]) == (status, code), more
        assert shown(served, transfer_id)["state"] == "offered", more


def test_nothing_downloaded_is_nothing_received(served: Served, other: Provider) -> None:
    """The hashes of the list are public to the recipient before the download; they prove nothing."""
    transfer_id, url = offer(served, other)
    claims = orjson.loads(urlsafe_b64decode(httpx.get(f"{url}/transfer.jwt").text.split(".")[1] + "=="))
    (named,) = httpx.get(f"{url}/volumes.json").json()["volumes"]
    nonce, sent = bytes.fromhex(claims["nonce"]), bytes.fromhex(named["encrypted"]["sha256"])
    for guess in (sent, hashlib.sha256(nonce + sent).digest(), hashlib.sha256(sent + nonce).digest()):
        proof = hashlib.sha256(guess).hexdigest()
        answer = post_receipt(served, transfer_id, other.receipt(served.world, transfer_id, possession=proof))
        assert (answer.status_code, "possession" in answer.json()["detail"]) == (422, True)
    assert shown(served, transfer_id)["state"] == "offered"


def test_a_clock_that_is_wrong_is_named_with_figures(served: Served, other: Provider) -> None:
    """The answer has the difference in seconds and both times, so that the recipient sees which clock is wrong."""
    transfer_id, _url = offer(served, other)
    issued = int(time.time()) + 4000
    answer = post_receipt(served, transfer_id, other.receipt(served.world, transfer_id, iat=issued)).json()
    assert answer["code"] == "clock_skew"
    assert re.search(rf"(3999|4000) seconds in the future: iat is {issued}.*differ by 300 seconds", answer["detail"])


def ended(served: Served, transfer_id: str, days_ago: int) -> None:
    """The transfer was offered some days ago, and was not confirmed in time."""
    transfer = models.transfer
    this = update(transfer).where(transfer.c.id == transfer_id)
    with writing(served.world.engine) as connection:
        connection.execute(this.values(offered_at=now(-days_ago * 86_400), expires_at=now(-1)))
        assert sending.expire(connection, transfer_id, actor="clock") == 1


def test_a_receipt_counts_when_the_link_has_ended(served: Served, other: Provider) -> None:
    """For 30 days after the offer: what was downloaded in time is delivered, also when its receipt comes later."""
    transfer_id, url = offer(served, other)
    receipt = other.receipt(served.world, transfer_id)
    refusal = other.receipt(served.world, transfer_id, status="refused", code="changed", volumes=0)
    ended(served, transfer_id, 29)
    withdraw_copies(served.world.engine, lambda: served.world.place.storage)
    assert httpx.get(url, headers={"Accept": "application/json"}).status_code == 404
    assert shown(served, transfer_id)["state"] == "expired"

    assert post_receipt(served, transfer_id, refusal).status_code == 204
    assert shown(served, transfer_id)["state"] == "expired"
    assert post_receipt(served, transfer_id, receipt).status_code == 204
    assert shown(served, transfer_id)["state"] == "delivered"


def test_a_receipt_after_thirty_days_is_too_late(served: Served, other: Provider) -> None:
    """The transfer is as unknown as one that was never offered."""
    transfer_id, _url = offer(served, other)
    receipt = other.receipt(served.world, transfer_id)
    ended(served, transfer_id, 31)
    assert post_receipt(served, transfer_id, receipt).json()["code"] == "unknown_transfer"
    assert shown(served, transfer_id)["state"] == "expired"


def test_an_offer_of_the_first_release_needs_no_proof(served: Served, other: Provider) -> None:
    """Its statement contains the list and no nonce: the number of volumes still has to be that of the statement."""
    transfer_id, url = offer(served, other)
    keys_folder = served.world.place.settings.keys
    with writing(served.world.engine) as connection:
        key = keys.signing(connection, keys_folder, purpose="transfer")
        old = sign({"iat": int(time.time()), "volumes": [{"number": 1}]}, key, typ=TRANSFER_TYPE)
        columns = {"statement": old, "closing": None, "volumes": None, "nonce": None, "possession": None}
        connection.execute(update(models.transfer).where(models.transfer.c.id == transfer_id).values(**columns))
    assert httpx.get(f"{url}/volumes.json").status_code == httpx.codes.NOT_FOUND
    for volumes, status in ((0, 422), (2, 422), (1, 204)):
        receipt = other.receipt(served.world, transfer_id, volumes=volumes, possession=None)
        assert post_receipt(served, transfer_id, receipt).status_code == status
    assert shown(served, transfer_id)["state"] == "delivered"


def test_an_altered_receipt_is_none(served: Served, other: Provider) -> None:
    """A changed byte in any of its three parts; no JWS at all; another content type; far too much."""
    transfer_id, _url = offer(served, other)
    token = other.receipt(served.world, transfer_id)
    head, body, signature = token.split(".")
    flipped = "A" if body[20] != "A" else "B"
    for wrong in (
        f"{head}.{body[:20]}{flipped}{body[21:]}.{signature}",
        f"{head}.{body}.{signature[:-4]}AAAA",
        f"{head}.{body}.",
        "no jws",
        "",
    ):
        assert post_receipt(served, transfer_id, wrong).status_code == 401
    assert post_receipt(served, transfer_id, token, **{"Content-Type": "application/json"}).status_code == 415
    assert post_receipt(served, transfer_id, "x" * 20_000).status_code == 413
    assert shown(served, transfer_id)["state"] == "offered"


def test_keys_that_cannot_be_had_are_not_the_receipts_fault(served: Served, other: Provider) -> None:
    """The recipient's key set is down, or none: come back later."""
    transfer_id, _url = offer(served, other)
    token = other.receipt(served.world, transfer_id)
    good = other.server.reply
    for status, content in ((500, b""), (200, b"no json"), (200, orjson.dumps({"keys": 1})), (302, b"")):
        other.server.reply = lambda _heard, status=status, content=content: (status, {}, content)  # type: ignore[misc]
        assert post_receipt(served, transfer_id, token).status_code == 503
    other.server.reply = good
    assert post_receipt(served, transfer_id, token).status_code == 204


def test_an_unknown_transfer_takes_no_receipt(served: Served, other: Provider) -> None:
    """Unknown, not offered yet, revoked: one answer; the recipient's keys are not fetched."""
    export_id, transfer_id = sent(served, other)
    for one in (transfer_id, "trf_00000000000000000000"):
        assert post_receipt(served, one, "x.y.z").json()["code"] == "unknown_transfer"
    encrypted(served.world)
    assert served.call("DELETE", f"/v1/transfers/{transfer_id}").status_code == 204
    assert post_receipt(served, transfer_id, "x.y.z").json()["code"] == "unknown_transfer"
    assert not [heard for heard in other.server.heard if heard.path == "/jwks.json"]
    listed = served.call("GET", f"/v1/exports/{export_id}/transfers").json()["transfers"]
    assert [each["state"] for each in listed] == ["revoked"]


def test_a_link_that_was_taken_back_is_dead(served: Served, other: Provider) -> None:
    """Landing, statement, claims: 404 in the same moment, also for a download that is claimed already."""
    transfer_id, url = offer(served, other)
    where = httpx.URL(url).join(httpx.post(f"{url}/volumes/1").headers["Location"])
    assert httpx.get(where).status_code == 200
    given = served.call("GET", "/v1/authorisations").json()["authorisations"]
    consent = next(each["id"] for each in given if each["id"] == shown(served, transfer_id)["authorisation"])

    assert served.call("DELETE", f"/v1/authorisations/{consent}").status_code == 204

    as_json = {"Accept": "application/json"}
    for answer in (
        httpx.get(url, headers=as_json),
        httpx.get(f"{url}/transfer.jwt", headers=as_json),
        httpx.post(f"{url}/volumes/1", headers=as_json),
        httpx.get(where, headers=as_json),
    ):
        assert answer.status_code == 404
    assert shown(served, transfer_id)["state"] == "revoked"


def test_a_persons_link_has_no_statement_and_needs_its_form(served: Served, other: Provider) -> None:
    """What is the recipients' alone opens nothing for people: no statement, no download without our own form."""
    export_id, _transfer_id = sent(served, other)
    link = served.link(export_id)

    assert httpx.get(link.url(served.url) + "/transfer.jwt", headers={"Accept": "application/json"}).status_code == 404
    refused = httpx.post(link.url(served.url) + "/volumes/1", headers={"Accept": "application/json"})
    assert refused.json()["code"] == "forged_form"


def test_people_can_send_and_see_only_their_own(served: Served, other: Provider) -> None:
    """Another person, staff, another tenant's administrator: not found, or not allowed; only the subject consents."""
    export_id, transfer_id = sent(served, other)
    given = {"subject": f"user:{OWNER}", "recipient": "localhost", "datasets": [EXPORTER]}
    for who, roles, status in ((OTHER, (), 404), ("sam", ("staff",), 403), ("ann", ("auditor",), 404)):
        for method, path, body in (
            ("POST", f"/v1/exports/{export_id}/transfers", {"recipient": other.recipient}),
            ("GET", f"/v1/exports/{export_id}/transfers", None),
            ("GET", f"/v1/transfers/{transfer_id}", None),
            ("DELETE", f"/v1/transfers/{transfer_id}", None),
            ("POST", "/v1/authorisations", given),
        ):
            assert served.call(method, path, who, *roles, json=body).status_code == status, (who, method, path)
    assert served.call("GET", "/v1/authorisations", OTHER).json() == {"authorisations": []}
    weak = served.bearer(OWNER, strong=False)
    assert httpx.post(f"{served.url}/v1/authorisations", json=given, headers=weak).status_code == 401


@pytest.mark.requirement("R17")
@pytest.mark.parametrize(
    ("sub", "roles", "more"),
    [
        (OTHER, (), {}),
        ("adm", ("tenant_admin",), {"tenant": "ten_b"}),
        ("adm", ("tenant_admin",), {}),
        ("ann", ("auditor",), {}),
        ("rec", ("recipient",), {}),
        ("eve", ("root", "operator"), {}),
    ],
)
def test_another_persons_transfer_is_as_if_it_were_not_there(
    served: Served, other: Provider, sub: str, roles: tuple[str, ...], more: dict[str, str]
) -> None:
    """Another person's transfer and authorisation: the words of an id that does not exist; and 401 without login."""
    _export_id, transfer_id = sent(served, other)
    consent = shown(served, transfer_id)["authorisation"]
    calls = [("GET", "transfers", transfer_id), ("DELETE", "transfers", transfer_id)]
    for method, kind, identifier in [*calls, ("DELETE", "authorisations", consent)]:
        answers = []
        for one in (identifier, identifier[:4] + "0" * 20):
            answer = httpx.request(
                method, f"{served.url}/v1/{kind}/{one}", headers=served.bearer(sub, *roles, **more), timeout=30
            )
            words = answer.text.replace(one, "ID").replace(answer.headers["x-request-id"], "REQUEST")
            answers.append((answer.status_code, words))
        assert answers[0] == answers[1]
        assert answers[0][0] == httpx.codes.NOT_FOUND
        assert httpx.request(method, f"{served.url}/v1/{kind}/{identifier}").status_code == httpx.codes.UNAUTHORIZED
    for method, path in (
        ("POST", f"{other.recipient}/approve"),
        ("POST", f"{other.recipient}/prove"),
        ("DELETE", other.recipient),
    ):
        address = f"{served.url}/v1/recipients/{path}"
        assert httpx.request(method, address).status_code == httpx.codes.UNAUTHORIZED
        refused = httpx.request(method, address, headers=served.bearer(sub, *roles, **more))
        assert refused.status_code == httpx.codes.FORBIDDEN
    assert shown(served, transfer_id)["state"] == "queued"


def test_recipients_are_recorded_by_officers_and_seen_by_all(served: Served, other: Provider) -> None:
    """Its secret is shown once; a person sees only recipients that data may be sent to."""
    values = {
        "name": "Third Ltd",
        "domain": "127.0.0.1",
        "country": "ID",
        "age_key": str(pyrage.x25519.Identity.generate().to_public()),
        "jwks_url": f"{other.server.url}/jwks.json",
        "webhook_url": f"{other.server.url}/hook",
    }
    assert served.call("POST", "/v1/recipients", json=values).status_code == 403
    made = served.call("POST", "/v1/recipients", "olga", "officer", json=values)
    assert made.status_code == 201, made.text
    assert made.json()["webhook_secret"].startswith("whsec_")
    listed = served.call("GET", "/v1/recipients").json()["recipients"]
    assert {each["id"] for each in listed} == {other.recipient, made.json()["id"]}
    assert "webhook_secret" not in str(listed)
    inside = values | {"domain": "[::1]", "webhook_url": "https://169.254.169.254/"}
    assert served.call("POST", "/v1/recipients", "olga", "officer", json=inside).json()["code"] == "address_refused"
    gone = served.call("DELETE", f"/v1/recipients/{made.json()['id']}", "olga", "officer")
    assert gone.status_code == 204
    assert [each["id"] for each in served.call("GET", "/v1/recipients").json()["recipients"]] == [other.recipient]


def test_receipts_are_bounded(served: Served, other: Provider, redis_server: str) -> None:
    """Each makes us ask the recipient: not more often than it can have reason to."""
    transfer_id, _url = offer(served, other)
    with redis.Redis.from_url(redis_server) as client:
        client.flushall()
    codes = [post_receipt(served, transfer_id, "x.y.z").status_code for _ in range(21)]
    assert codes == [401] * 20 + [429]
