"""Only the issued token opens a link: not a million others, and not any similar one."""

from __future__ import annotations

import base64
import hmac
import random
import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
from factories import World, world
from joserfc import jws
from joserfc.jwk import ECKey
from sqlalchemy import delete, insert

from portability.database import models
from portability.database.engine import now, reading, writing
from portability.delivery import link_tokens, links
from portability.delivery.links import Link
from portability.errors import LinkInvalid
from portability.trust import keys
from portability.trust.signing import ARCHIVE_TYPE, LINK_TYPE, Jwks, sign

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
ALPHABET = string.ascii_letters + string.digits + "-_"
ODD = "=.+/ %\n\t\0" + "é" + "．"  # noqa: RUF001  # the full-width dot must not count as a dot
CHOICES: list[Callable[[random.Random, str], str]]


@dataclass(frozen=True)
class Issued:
    """A link, and what checks it."""

    world: World
    link: Link
    jwks: Jwks
    key: ECKey

    def opens(self, token: str) -> bool:
        with reading(self.world.engine) as connection:
            try:
                links.resolve(connection, self.world.place.settings.keys, token)
            except LinkInvalid:
                return False
            return True


@pytest.fixture(scope="module")
def issued(tmp_path_factory: pytest.TempPathFactory) -> Issued:
    made = world(tmp_path_factory.mktemp("links"), {})
    folder = made.place.settings.keys
    export_id = made.request()
    with writing(made.engine) as connection:
        keys.ensure(connection, folder, actor="operator:test")
        connection.execute(models.export.update().values(state="ready", ended_at=now()))
        link = links.issue(connection, folder, export_id, audience="login", ttl_seconds=600, actor="operator:test")
        key = keys.private(folder, keys.signing(connection, folder, purpose="link").kid or "")
        jwks = keys.own(connection, folder, purpose="link")
    return Issued(made, link, jwks, key)


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def complement(token: str) -> str:
    """The other signature that ECDSA gives for free: (r, n - s) holds wherever (r, s) does."""
    head, body, signature = token.split(".")
    raw = decoded(signature)
    other = (P256_ORDER - int.from_bytes(raw[32:])).to_bytes(32)
    return f"{head}.{body}.{base64url(raw[:32] + other)}"


def alike(issued: Issued) -> Iterator[str]:
    """Tokens that a lenient reader takes for the same, or for signed."""
    token = issued.link.token
    head, body, signature = token.split(".")
    yield complement(token)
    yield from (f"{token}=", f"{token}==", f"{head}=.{body}.{signature}", f" {token}", f"{token}\n", f"{token}.")
    yield from (token.upper(), token.lower(), f"{head}.{body}.", f"{head}.{body}", f".{body}.{signature}", "")
    # The last character of 64 bytes has four unused bits: fifteen other spellings of one signature.
    yield from (token[:-1] + other for other in ALPHABET if other != token[-1])
    header: dict[str, Any] = orjson.loads(decoded(head))
    claims = decoded(body)
    changes: list[dict[str, Any]] = [{"alg": name} for name in ("none", "None", "HS256", "ES384", "")]
    changes += [{"typ": "JWT"}, {"kid": "other"}, {"jwk": {}}, {"crit": ["exp"]}]
    for change in changes:
        changed = base64url(orjson.dumps({**header, **change}))
        yield from (f"{changed}.{body}.{signature}", f"{changed}.{body}.")
    spaced = base64url(decoded(head).replace(b",", b", "))
    yield f"{spaced}.{body}.{signature}"
    public = issued.key.as_pem(private=False)
    confused = {"alg": "HS256", "kid": header["kid"], "typ": LINK_TYPE}
    signed = f"{base64url(orjson.dumps(confused))}.{body}"
    yield f"{signed}.{base64url(hmac.digest(public, signed.encode(), 'sha256'))}"
    yield sign(orjson.loads(claims), ECKey.generate_key("P-256", {"kid": header["kid"]}), typ=LINK_TYPE)
    # Signed with the right key, and yet unknown: another type, another signature of the same, other claims.
    yield sign(orjson.loads(claims), issued.key, typ=ARCHIVE_TYPE)
    yield sign(orjson.loads(claims), issued.key, typ=LINK_TYPE)
    yield sign({**orjson.loads(claims), "exp": 2**40}, issued.key, typ=LINK_TYPE)


def mutated(chance: random.Random, token: str) -> str:
    """One to three changes anywhere: characters exchanged, dropped, doubled, swapped, or bits of what they encode."""
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        token = chance.choice(CHOICES)(chance, token)
    return token


def _exchange(chance: random.Random, token: str) -> str:
    place = chance.randrange(len(token))
    return token[:place] + chance.choice(ALPHABET + ODD) + token[place + 1 :]


def _drop(chance: random.Random, token: str) -> str:
    place = chance.randrange(len(token))
    return token[:place] + token[place + 1 :]


def _double(chance: random.Random, token: str) -> str:
    place = chance.randrange(len(token))
    return token[:place] + token[place] + token[place:]


def _swap(chance: random.Random, token: str) -> str:
    place = chance.randrange(len(token) - 1)
    return token[:place] + token[place + 1] + token[place] + token[place + 2 :]


def _flip(chance: random.Random, token: str) -> str:
    parts = token.split(".")
    place = chance.randrange(len(parts))
    try:
        raw = bytearray(decoded(parts[place]))
    except ValueError:
        return _exchange(chance, token)
    if not raw:
        return _exchange(chance, token)
    raw[chance.randrange(len(raw))] ^= 1 << chance.randrange(8)
    return ".".join([*parts[:place], base64url(bytes(raw)), *parts[place + 1 :]])


CHOICES = [_exchange, _drop, _double, _swap, _flip]


def none_passes(issued: Issued, count: int, seed: int) -> None:
    """Through the signature check only, without the database: what would pass there is reported."""
    chance = random.Random(seed)
    token = issued.link.token
    for number in range(count):
        other = mutated(chance, token)
        if other != token and link_tokens.read(other, issued.jwks) is not None:
            assert not issued.opens(other), f"token number {number} of seed {seed} opens the link"


def test_the_token_itself_opens(issued: Issued) -> None:
    """Or all that follows would prove nothing."""
    assert issued.opens(issued.link.token)
    assert link_tokens.read(issued.link.token, issued.jwks) is not None


def test_none_that_is_alike_opens(issued: Issued) -> None:
    """Complement signatures, padding, other spellings of base64url, `alg` none and HS256, other types and keys."""
    others = [other for other in alike(issued) if other != issued.link.token]
    assert len(others) > 90
    assert [other for other in others if issued.opens(other)] == []


def test_whatever_is_wrong_costs_one_signature(issued: Issued, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unreadable, forged, unknown and valid tokens cost the same work: the time does not reveal which one it was."""
    checks: list[int] = []
    real = jws.deserialize_compact

    def counted(*arguments: Any, **named: Any) -> jws.CompactSignature:
        checks.append(1)
        return real(*arguments, **named)

    monkeypatch.setattr(jws, "deserialize_compact", counted)
    for other in (issued.link.token, *alike(issued), "x" * 5000):
        checks.clear()
        issued.opens(other)
        assert len(checks) == 1, other


def test_what_is_planted_beside_its_signature_does_not_open(issued: Issued) -> None:
    """The database knows the hash of each mutated token, and only tokens that we signed are accepted."""
    signed_by_us = 4
    others = [other for other in dict.fromkeys(alike(issued)) if other != issued.link.token]
    with writing(issued.world.engine) as connection:
        for number, other in enumerate(others):
            row = {"id": f"lnk_planted{number}", "export_id": issued.link.export_id, "audience": "login"}
            row |= {"token_sha256": links._sha256(other), "created_by": "x"}
            connection.execute(insert(models.link).values(**row, created_at=now(), expires_at=now(600)))
    opened = [other for other in others if issued.opens(other)]
    with writing(issued.world.engine) as connection:
        connection.execute(delete(models.link).where(models.link.c.id.startswith("lnk_planted")))
    assert len(opened) <= signed_by_us
    assert all(link_tokens.read(other, issued.jwks) is not None for other in opened)


def test_five_thousand_mutations_open_nothing(issued: Issued) -> None:
    """A seeded few of the million."""
    none_passes(issued, 5_000, seed=1)


@pytest.mark.system
@pytest.mark.timeout(1800)
def test_a_million_mutations_open_nothing(issued: Issued) -> None:
    """The whole of it."""
    none_passes(issued, 1_000_000, seed=2)
