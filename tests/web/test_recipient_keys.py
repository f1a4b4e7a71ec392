"""Recipients prove that what is recorded for them is theirs, and get new keys without losing consents: over HTTP."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pyrage
import pytest
from factories import MadeUpExporter, things
from joserfc.jwk import ECKey
from listener import Heard, Reply
from sending import announced, sender, sent, shown
from served import Served
from sqlalchemy import update
from transferring import Provider, encrypted, providing, step

from portability.database import models
from portability.database.engine import now, reading, writing
from portability.safe_http import SafeHttpClient
from portability.transfers import proofs, recipients, sending
from portability.transfers.recipients import NotProven
from portability.trust import audit
from portability.trust.signing import CHALLENGE_TYPE, RECEIPT_TYPE, ROTATION_TYPE, ClockSkew, Jwks, check, sign
from receiver.fetch import challenge

OFFICER = ("olga", "officer")
STRANGER = ECKey.generate_key("P-256", {"kid": "their-1", "use": "sig"})


@pytest.fixture(scope="module")
def served(redis_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("sends")
    small = {"volume_bytes": 1 << 16, "piece_bytes": 1 << 13}
    with sender(folder, redis_server, MadeUpExporter(things(3000), batch_records=50), **small) as server:
        yield server


def row_of(served: Served, other: Provider) -> Any:
    with reading(served.world.engine) as connection:
        return recipients.get(connection, other.recipient)


def fields(other: Provider) -> dict[str, str]:
    return {
        "name": "Third Ltd",
        "domain": "127.0.0.1",
        "country": "DE",
        "age_key": str(other.identity.to_public()),
        "jwks_url": f"{other.server.url}/jwks.json",
        "webhook_url": f"{other.server.url}/hook",
    }


def test_a_recipient_proves_itself_when_it_is_recorded(served: Served) -> None:
    """The answer says when it was proven, or why not; an officer can challenge it again."""
    with providing() as third:
        third.domain, third.answers = "127.0.0.1", False
        made = served.call("POST", "/v1/recipients", *OFFICER, json=fields(third)).json()
        assert (made["proven_at"], made["proof_fault"]) == (None, "not_proven")
        path = f"/v1/recipients/{made['id']}"
        refused = served.call("POST", f"{path}/prove", *OFFICER)
        assert (refused.status_code, refused.json()["code"]) == (409, "not_proven")
        third.answers = True
        assert served.call("POST", f"{path}/prove").status_code == httpx.codes.FORBIDDEN
        proven = served.call("POST", f"{path}/prove", *OFFICER).json()
        assert proven["proven_at"] is not None
        assert served.call("DELETE", path, *OFFICER).status_code == httpx.codes.NO_CONTENT
        again = served.call("POST", "/v1/recipients", *OFFICER, json=fields(third)).json()
        assert (again["proven_at"] is not None, again["proof_fault"]) == (True, None)
        assert served.call("DELETE", f"/v1/recipients/{again['id']}", *OFFICER).status_code == httpx.codes.NO_CONTENT


Change = Callable[[Heard, Provider], Reply]


def _signed(
    heard: Heard, other: Provider, *, key: ECKey | None = None, typ: str = CHALLENGE_TYPE, **more: Any
) -> Reply:
    """The right answer with changes."""
    right = challenge.answer(heard.body, [other.identity], other.key, audience="localhost")
    claims = check(right, Jwks.parse(other.jwks()), typ=CHALLENGE_TYPE)
    return 200, {}, sign({**claims, **more}, key or other.key, typ=typ).encode()


ANSWERS: dict[str, tuple[Change, type[Exception], str]] = {
    "an error": (lambda _heard, _other: (500, {}, b""), NotProven, "status 500"),
    "nothing": (lambda _heard, _other: (200, {}, b""), NotProven, "malformed_jws"),
    "another key": (lambda heard, other: _signed(heard, other, key=STRANGER), NotProven, "bad_signature"),
    "another type": (lambda heard, other: _signed(heard, other, typ=RECEIPT_TYPE), NotProven, "wrong_type"),
    "another domain": (lambda heard, other: _signed(heard, other, iss="x.example"), NotProven, "claims: iss"),
    "another sender": (lambda heard, other: _signed(heard, other, aud="x.example"), NotProven, "claims: aud"),
    "not decrypted": (lambda heard, other: _signed(heard, other, proof="0" * 64), NotProven, "claims: proof"),
    "another time": (lambda heard, other: _signed(heard, other, iat=1), ClockSkew, "seconds too early"),
}


@pytest.mark.requirement("R46")
@pytest.mark.parametrize("name", ANSWERS)
def test_only_all_three_together_prove_it(served: Served, other: Provider, name: str) -> None:
    """The webhook must answer, with the decrypted text, signed by the key set."""
    reply, kind, message = ANSWERS[name]
    usual = other.server.reply
    other.server.reply = lambda heard: usual(heard) if heard.path == "/jwks.json" else reply(heard, other)
    settings, client = served.world.place.settings, SafeHttpClient(loopback=True)
    with pytest.raises(kind, match=message):
        proofs.challenge(client, settings, row_of(served, other))
    other.server.reply = usual
    proofs.challenge(client, settings, row_of(served, other))
    assert other.event(other.server.heard[-2])["type"] == "recipient.challenge"


def test_a_recipient_without_the_key_cannot_answer(served: Served, other: Provider) -> None:
    """It has the webhook and the key set, and another age key than the recorded one."""
    other.identity = pyrage.x25519.Identity.generate()
    other.server.raw = None
    other.server.reply = lambda heard: (400, {}, b"") if heard.path == "/hook" else (200, {}, b"{}")
    with pytest.raises(NotProven, match="status 400"):
        proofs.challenge(SafeHttpClient(loopback=True), served.world.place.settings, row_of(served, other))


def rotated(served: Served, other: Provider, token: str) -> httpx.Response:
    headers = {"Content-Type": "application/jose"}
    url = f"{served.url}/v1/recipients/{other.recipient}/rotation"
    return httpx.post(url, content=token, headers=headers, timeout=30)


def statement(served: Served, other: Provider, **changed: Any) -> str:
    claims = {
        "iss": "localhost",
        "aud": served.world.place.settings.iss,
        "iat": int(time.time()),
        "recipient": other.recipient,
        "replaces": row_of(served, other)["age_key"],
        "age_key": str(other.identity.to_public()),
        **changed,
    }
    return sign(claims, other.key, typ=ROTATION_TYPE)


@pytest.mark.requirement("R46")
def test_a_new_key_keeps_the_consents(served: Served, other: Provider) -> None:
    """Signed by the recorded key set and proven: the next transfer is encrypted to it, under the same consent."""
    _export_id, first = sent(served, other)
    assert step(served.world)  # one volume of several is encrypted to the old key
    old = other.identity
    token = other.new_key(served.world.place.settings.iss)
    answer = rotated(served, other, token)
    assert answer.status_code == httpx.codes.NO_CONTENT, answer.text

    row = row_of(served, other)
    assert row["age_key"] == str(other.identity.to_public())
    assert row["proven_at"] == row["rotated_at"]
    encrypted(served.world)
    _export_id, second = sent(served, other)
    encrypted(served.world)
    assert shown(served, first)["state"] == shown(served, second)["state"] == "offered"
    for transfer_id, identity in ((first, old), (second, other.identity)):
        with reading(served.world.engine) as connection:
            copies = sending.copies(connection, transfer_id)
            assert len(copies) > 1
        for copy in copies:
            sealed = b"".join(served.world.place.storage.read(copy["object_key"]))
            assert pyrage.decrypt(sealed, [identity])
    with reading(served.world.engine) as connection:
        events = [event["action"] for event in audit.events(connection)]
        consents = connection.execute(models.authorisation.select()).mappings().all()
    assert "recipient.rotated" in events
    assert all(consent["revoked_at"] is None for consent in consents if consent["recipient_id"] == other.recipient)
    assert announced(served, other)["transfer"] == second
    # The same statement again, and one that is older than the change: an old key does not come back.
    assert rotated(served, other, token).json()["code"] == "wrong_rotation"
    early = statement(served, other, iat=int(time.time()) - 200, age_key=str(old.to_public()))
    assert rotated(served, other, early).json()["code"] == "wrong_rotation"


def test_strangers_do_not_use_up_the_attempts_of_a_recipient(served: Served, other: Provider) -> None:
    """Statements that it has not signed, from another address, end in a limit of that address alone."""
    url = f"{served.url}/v1/recipients/{other.recipient}/rotation"
    with httpx.Client(transport=httpx.HTTPTransport(local_address="127.0.0.3")) as stranger:
        sent = [
            stranger.post(url, content="x", headers={"Content-Type": "application/jose"}).status_code for _ in range(21)
        ]
    token = other.new_key(served.world.place.settings.iss)
    assert (sent[0], sent[-1]) == (httpx.codes.CONFLICT, httpx.codes.TOO_MANY_REQUESTS)
    assert rotated(served, other, token).status_code == httpx.codes.NO_CONTENT


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"iss": "x.example"}, "wrong_rotation"),
        ({"aud": "x.example"}, "wrong_rotation"),
        ({"recipient": "rcp_00000000000000000000"}, "wrong_rotation"),
        ({"replaces": "age1x"}, "wrong_rotation"),
        ({"iat": 1 << 40}, "clock_skew"),
        ({"age_key": 7}, "wrong_rotation"),
        ({"age_key": "age1abc"}, "weak_key"),
        ({"webhook_url": "https://10.0.0.1/"}, "address_refused"),
        ({"jwks_url": "https://elsewhere.example/jwks.json"}, "address_refused"),
    ],
)
def test_a_statement_that_does_not_hold_changes_nothing(
    served: Served, other: Provider, changed: dict[str, Any], code: str
) -> None:
    """Another party, another key to replace, a wrong time, a weak key, an address that is not allowed."""
    before = dict(row_of(served, other))
    answer = rotated(served, other, statement(served, other, **changed))
    assert answer.json()["code"] == code
    assert dict(row_of(served, other)) == before


def test_a_new_key_needs_the_old_signature_and_the_new_proof(served: Served, other: Provider) -> None:
    """A stranger's signature, and a key that its webhook cannot decrypt with, are refused."""
    before = dict(row_of(served, other))
    forged = sign({"iat": int(time.time())}, STRANGER, typ=ROTATION_TYPE)
    assert rotated(served, other, forged).json()["code"] == "wrong_rotation"
    foreign = str(pyrage.x25519.Identity.generate().to_public())
    other.answers = False
    assert rotated(served, other, statement(served, other, age_key=foreign)).json()["code"] == "not_proven"
    assert dict(row_of(served, other)) == before


def test_a_proof_is_of_the_key_that_was_challenged(served: Served, other: Provider) -> None:
    """The key was changed between challenge and record: the proof counts for nothing."""
    row = row_of(served, other)
    key = str(pyrage.x25519.Identity.generate().to_public())
    with writing(served.world.engine) as connection:
        changed = update(models.recipient).where(models.recipient.c.id == other.recipient)
        connection.execute(changed.values(age_key=key, rotated_at=now()))
        with pytest.raises(NotProven):
            proofs.record(connection, row, actor="operator:test")
        with pytest.raises(proofs.WrongRotation):
            proofs.rotate(connection, row, proofs.KeyRotation(key, "", ""), actor="operator:test")
