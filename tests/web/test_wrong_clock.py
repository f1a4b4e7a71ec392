"""A web machine whose clock is wrong by ten minutes or hours: the clock of the control database decides."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from factories import MadeUpExporter, things
from pulling import PullClient, asked_server, consented
from sending import offered, recorded, sender
from served import OWNER, Served
from stating import publish, stated
from transferring import Provider, providing
from wrong_clocks import set_machine_wrong

OFFICER = ("olga", "officer")
WRONG = pytest.mark.parametrize("minutes", [-200, 200], ids=["behind", "ahead"])


@pytest.fixture(scope="module")
def served(redis_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with sender(tmp_path_factory.mktemp("sends"), redis_server, MadeUpExporter(things(50))) as server:
        yield server


def post_signed(served: Served, path: str, token: str) -> httpx.Response:
    headers = {"Content-Type": "application/jose"}
    return httpx.post(f"{served.url}/v1/{path}", content=token, headers=headers, timeout=30)


@WRONG
def test_a_valid_receipt_counts(served: Served, other: Provider, monkeypatch: pytest.MonkeyPatch, minutes: int) -> None:
    """And one that was signed an hour in the future does not."""
    transfer_id = offered(served, other)["transfer"]
    valid = other.receipt(served.world, transfer_id)
    early = other.receipt(served.world, transfer_id, iat=int(time.time()) + 3600)
    set_machine_wrong(monkeypatch, minutes=minutes)
    refused = post_signed(served, f"transfers/{transfer_id}/receipt", early)
    assert (refused.status_code, refused.json()["code"]) == (422, "clock_skew")
    assert post_signed(served, f"transfers/{transfer_id}/receipt", valid).status_code == 204


@WRONG
def test_a_recipient_proves_its_keys(
    served: Served, other: Provider, monkeypatch: pytest.MonkeyPatch, minutes: int
) -> None:
    """It answers the challenge, and announces a new key; the webhook has the time of the database."""
    token = other.new_key(served.world.place.settings.iss)
    set_machine_wrong(monkeypatch, minutes=minutes)
    answer = post_signed(served, f"recipients/{other.recipient}/rotation", token)
    assert answer.status_code == 204, answer.text
    sent_at = [int(heard.headers["webhook-timestamp"]) for heard in other.server.heard if heard.path == "/hook"]
    assert abs(sent_at[-1] - time.time()) < 60


@WRONG
def test_a_provider_s_document_is_read_while_it_is_valid(
    served: Served, monkeypatch: pytest.MonkeyPatch, minutes: int
) -> None:
    """A document of now is taken, and one that ended two hours ago is not."""
    set_machine_wrong(monkeypatch, minutes=minutes)
    answers = []
    with providing() as third, served.browser(*OFFICER) as visitor:
        where = {"domain": "localhost", "url": f"{third.server.url}/.well-known/portability"}
        for age in (0, 7 * 86_400 + 7200):
            issued = int(time.time()) - age
            publish(third, stated(third, iat=issued, exp=issued + 7 * 86_400))
            answers.append(visitor.send("/staff/recipients/discover", **where).status_code)
    assert answers == [200, 400]


@WRONG
def test_a_fresh_login_counts(served: Served, other: Provider, monkeypatch: pytest.MonkeyPatch, minutes: int) -> None:
    """An action that needs a second login takes the one of just now."""
    set_machine_wrong(monkeypatch, minutes=minutes)
    gone = served.call("DELETE", f"/v1/recipients/{other.recipient}", *OFFICER)
    assert gone.status_code == httpx.codes.NO_CONTENT, gone.text


@WRONG
def test_a_provider_fetches(
    redis_server: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, minutes: int
) -> None:
    """Its assertion and its proofs hold; a proof of an hour ago does not."""
    with asked_server(tmp_path_factory.mktemp("pulls"), redis_server) as served, recorded(served) as provider:
        set_machine_wrong(monkeypatch, minutes=minutes)
        until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        client = consented(served, PullClient(served.url, provider), person=OWNER, until=until)
        assert client.call("POST", "/v1/pulls").status_code == 201
        token = client.tokens["access_token"]
        old = client.proof("POST", f"{served.url}/v1/pulls", token, iat=int(time.time()) - 3600)
        refused = httpx.post(
            f"{served.url}/v1/pulls", headers={"Authorization": f"DPoP {token}", "DPoP": old}, timeout=30
        )
        assert refused.json()["error"] == "invalid_dpop_proof"
