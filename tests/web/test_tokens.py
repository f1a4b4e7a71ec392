"""Mutated tokens over HTTP: none passes."""

from __future__ import annotations

import base64
import random
import string
from collections.abc import Iterator

import httpx
import pytest
from served import Served

ALPHABET = string.ascii_letters + string.digits + "-_"


def _mutated(token: str, chance: random.Random) -> Iterator[str]:
    """Without end: changed, cut, padded, spliced, re-encoded, with another header, with a complement signature."""
    head, claims, signature = token.split(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    # s and n - s both verify under plain ECDSA; the token's own hash tells them apart.
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    other = raw[:32] + (order - int.from_bytes(raw[32:])).to_bytes(32)
    yield f"{head}.{claims}.{base64.urlsafe_b64encode(other).decode().rstrip('=')}"
    for padding in ("=", "==", "A", " ", "%20", "\u200b"):
        yield token + padding
    none = base64.urlsafe_b64encode(b'{"alg":"none","typ":"portability-link+jwt"}').decode().rstrip("=")
    yield f"{none}.{claims}."
    yield f"{none}.{claims}.{signature}"
    while True:
        place = chance.randrange(len(token))
        cut = chance.randrange(len(token))
        kinds = (
            token[:place] + chance.choice(ALPHABET) + token[place + 1 :],
            token[:place] + chance.choice(ALPHABET) + token[place:],
            token[:place] + token[place + 1 :],
            token[:cut],
            token.swapcase() if chance.random() < 0.1 else token[:place] + token[place:].swapcase(),
        )
        yield chance.choice(kinds)


def _none_passes(served: Served, count: int, seed: int) -> None:
    token = served.link(served.ready(f"user:usr_tokens_{seed}")).token
    chance = random.Random(seed)
    mutated = _mutated(token, chance)
    with httpx.Client(base_url=served.url, headers={"Accept": "application/json"}) as client:
        assert client.get(f"/d/{token}").status_code == 200
        seen: set[int] = set()
        for _ in range(count):
            tried = next(mutated)
            if tried in {token, ""}:
                continue
            # An empty token, or one with a slash, is another address.
            seen.add(client.get(f"/d/{tried}").status_code)
        assert seen == {404, 429}
        assert client.get(f"/d/{token}").status_code == 200


def test_three_hundred_mutated_tokens_do_not_pass(served: Served) -> None:
    """Complement, changed and shortened signatures, padding, `alg: none`: all unknown, and soon too many attempts."""
    _none_passes(served, 300, 1)


@pytest.mark.system
@pytest.mark.timeout(1200)
def test_ten_thousand_mutated_tokens_do_not_pass(served: Served) -> None:
    """As above, ten thousand times."""
    _none_passes(served, 10_000, 2)
