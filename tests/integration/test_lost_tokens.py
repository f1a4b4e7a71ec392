"""A run of `pull consent` is killed, or gets no answer: the next gets the tokens, or ends a consent without use."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
from faults import Killed
from inboxes import LOOPBACK
from joserfc.jwk import ECKey
from served import OWNER
from two_stacks import TwoStacks, two_stacks

from portability.safe_http import HttpAnswer, RemoteUnavailable, SafeHttpClient
from receiver.pulls import asking, consents, records
from receiver.pulls.records import PullRecord


@pytest.fixture(scope="module")
def stacks(redis_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoStacks]:
    with two_stacks(tmp_path_factory.mktemp("two"), redis_server) as made:
        yield made


@dataclass(frozen=True, slots=True, kw_only=True)
class InterruptedClient(SafeHttpClient):
    """Its process is killed, or its connection lost, before the request arrives or before the answer does."""

    fault: BaseException
    arrives: bool

    def post(self, url: str, content: bytes, *, headers: Mapping[str, str] | None = None) -> HttpAnswer:
        if self.arrives:
            assert LOOPBACK.post(url, content, headers=headers).status == 200
        raise self.fault


FAULTS = [Killed(), RemoteUnavailable("gone")]


def taken(stacks: TwoStacks, request: str, answer: Mapping[str, str], client: SafeHttpClient) -> PullRecord:
    return consents.take(stacks.pulls, request, client, lambda _client_id: stacks.us, answer)


def interrupted(stacks: TwoStacks, fault: BaseException, *, arrives: bool) -> tuple[str, str]:
    """A run that a fault ends; returns the request and the address that the person came back with."""
    begun = stacks.begun("account")
    address = stacks.returned(begun["address"], "account")
    client = InterruptedClient(loopback=True, fault=fault, arrives=arrives)
    with pytest.raises(type(fault)):
        taken(stacks, begun["id"], asking.returned(address), client)
    return begun["id"], address


def consents_there(stacks: TwoStacks) -> list[Any]:
    """The person's consents that stand at the first deployment."""
    shown = stacks.there.call("GET", "/v1/authorisations", sub=OWNER).json()["authorisations"]
    return [one for one in shown if not one["revoked_at"]]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
@pytest.mark.parametrize("repeat", [lambda _address: (), lambda address: ("--address", address)], ids=["none", "same"])
def test_a_code_that_did_not_arrive_gives_the_tokens(
    stacks: TwoStacks, fault: BaseException, repeat: Callable[[str], tuple[str, ...]]
) -> None:
    request, address = interrupted(stacks, fault, arrives=False)
    assert records.load(stacks.pulls, request).view()["state"] == "asked"
    assert stacks.json("pull", "consent", request, *repeat(address))["state"] == "allowed"
    assert records.load(stacks.pulls, request).code == ""


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
def test_a_consent_whose_tokens_were_lost_ends_on_both_sides(stacks: TwoStacks, fault: BaseException) -> None:
    """The person sees no consent without use, and the next answer is to another request."""
    request, _address = interrupted(stacks, fault, arrives=True)
    before = len(consents_there(stacks))

    done = stacks.run("pull", "consent", request)

    assert (done.returncode, "did not arrive" in done.stdout, "pull begin" in done.stdout) == (1, True, True)
    assert len(consents_there(stacks)) == before - 1
    ended = records.load(stacks.pulls, request)
    assert (ended.view()["state"], ended.code, ended.verifier, ended.key) == ("ended", "", "", {})
    assert stacks.json("pull", "consent", request) == "bad_input"


def test_a_refusal_for_another_reason_ends_nothing(stacks: TwoStacks) -> None:
    """This side may have the wrong key for a moment."""
    request, _address = interrupted(stacks, FAULTS[0], arrives=False)
    assert stacks.json("pull", "consent", request, "--key", str(_key_file(stacks))) == "provider_refused"
    assert stacks.json("pull", "consent", request)["state"] == "allowed"


def _key_file(stacks: TwoStacks) -> Path:
    path = stacks.folder / "other.jwk"
    key = ECKey.generate_key("P-256", {"kid": "other"})
    path.write_bytes(orjson.dumps(key.as_dict(private=True)))
    return path
