"""The conformance kit against recipients: our own inbox, and the receiver in Node."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import node_receiver
import pytest
from conforming import SECRET, accepting, conformed, failures, kit_address, record_kit
from inboxes import Inbox, inboxes

from portability.delivery import limits
from portability.delivery.limits import AttemptRule

FEW = "discovery,challenge*,notice*,webhook-with-another-secret,good-one-volume,changed-file,statement-changed"
"""Rules of each kind, for the usual runs of the tests."""


@pytest.fixture
def inbox(tmp_path: Path, redis_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Inbox]:
    """Our own inbox. The kit posts more webhooks in a minute than a sender does."""
    monkeypatch.setattr(limits, "INBOX", AttemptRule("inbox", 10_000, 60))
    with inboxes(tmp_path, redis_server, inbox_transfers_max=50, backoff_seconds=2.0) as found:
        yield found


@pytest.mark.requirement("R39", "R46")
@pytest.mark.parametrize("only", [FEW, pytest.param("*", marks=pytest.mark.system)])
def test_our_own_inbox_conforms(inbox: Inbox, only: str) -> None:
    """Each rule is kept, and the officer's imports send receipts with the proof of possession."""
    url, port = kit_address()
    record_kit(inbox, url)

    with accepting(inbox):
        report = conformed(f"{inbox.receiver.url}/v1/inbox", url, port, only=only)

    assert failures(report.results) == {}
    assert report.ok
    assert len(report.results) >= (165 if only == "*" else 12)


@pytest.mark.requirement("R39")
@pytest.mark.parametrize("only", [FEW, pytest.param("*", marks=pytest.mark.system)])
def test_the_receiver_in_node_conforms(tmp_path: Path, only: str) -> None:
    """A receiver that shares no code with this software keeps each rule."""
    url, port = kit_address()

    with node_receiver.receiving(tmp_path, url, SECRET) as receiver:
        report = conformed(receiver.webhook, url, port, only=only)

    assert failures(report.results) == {}
    assert len(report.results) >= (165 if only == "*" else 12)


@dataclass(frozen=True)
class PlantedError:
    """An error of a receiver, and the rule by which the kit finds it."""

    rule: str
    file: str
    old: str
    new: str


PLANTED = {
    "skips the signature of webhooks": PlantedError(
        "webhook-with-another-secret", "lib/webhook.mjs", "return isSigned ?", "return true ?"
    ),
    "accepts old webhooks": PlantedError(
        "webhook-of-the-past", "lib/webhook.mjs", "TOLERANCE_SECONDS = 300", "TOLERANCE_SECONDS = 86400"
    ),
    "skips the signature of statements": PlantedError(
        "statement-by-a-substituted-key", "lib/jose.mjs", "if (!isSigned) throw", "if (false) throw"
    ),
    "accepts revoked keys": PlantedError(
        "statement-by-a-revoked-key", "lib/jose.mjs", "if (key.revoked_at) throw", "if (false) throw"
    ),
    "accepts tokens of other types": PlantedError(
        "statement-of-another-type", "lib/jose.mjs", "if (header.typ !== typ) throw", "if (false) throw"
    ),
    "accepts other spellings of base64url": PlantedError(
        "statement-not-canonical", "lib/jose.mjs", 'if (bytes.toString("base64url") !== text) throw', "if (false) throw"
    ),
    "ignores the audience": PlantedError(
        "statement-for-another", "lib/offer.mjs", "if (claims.aud !== audience) throw", "if (false) throw"
    ),
    "ignores the end of an offer": PlantedError(
        "statement-expired", "lib/offer.mjs", "if (claims.exp + SKEW_SECONDS < at) throw", "if (false) throw"
    ),
    "ignores the hash of the list": PlantedError(
        "list-with-another-hash", "lib/offer.mjs", "|| sha256(body) !== claims.list.sha256", ""
    ),
    "believes addresses at other hosts": PlantedError(
        "statement-at-another-host", "lib/offer.mjs", "|| new URL(transfer[name]).origin !== origin", ""
    ),
    "ignores the hash of decrypted volumes": PlantedError(
        "decrypted-with-another-hash", "lib/transfer.mjs", '|| hash.digest("hex") !== volume.sha256', ""
    ),
    "follows redirects": PlantedError(
        "statement-redirected",
        "lib/http.mjs",
        "const answer = await this.request(url, { headers",
        "const answer = await this.request((await this.request(url)).headers.location ?? url, { headers",
    ),
    "claims at other hosts": PlantedError(
        "claim-at-another-host",
        "lib/download.mjs",
        "if (url.origin !== new URL(link).origin) throw",
        "if (false) throw",
    ),
    "never asks for a range": PlantedError(
        "download-interrupted", "lib/download.mjs", "const headers = have ? {", "const headers = false ? {"
    ),
    "proves possession without the nonce": PlantedError(
        "good-one-volume", "lib/transfer.mjs", 'await hashOf(sent, Buffer.from(nonce, "hex"))', "await hashOf(sent)"
    ),
    "accepts any path": PlantedError("hidden-file", "lib/zip.mjs", "if (!isSafe(name) || ", "if ("),
    "accepts symbolic links": PlantedError(
        "symbolic-link", "lib/archive.mjs", "if (zip.entries.some((entry) => !entry.isPlain)) throw", "if (false) throw"
    ),
    "overlooks missing volumes": PlantedError(
        "missing-volume",
        "lib/archive.mjs",
        "if (!volumes.some(({ root }) => root === line.name)) throw",
        "if (false) throw",
    ),
    "ignores hashes of files": PlantedError(
        "wrong-hash-signed", "lib/archive.mjs", "if (hashes.get(path) !== hash) throw", "if (false) throw"
    ),
    "ignores counts": PlantedError(
        "wrong-sum-of-records", "lib/archive.mjs", "if (sums(found) !== sums(stated)) throw", "if (false) throw"
    ),
    "decrypts anything for a sender": PlantedError(
        "challenge-with-another-text", "receiver.mjs", 'begin !== "recipient-challenge-1" || ', ""
    ),
    "acknowledges notices to others": PlantedError(
        "notice-for-another-recipient", "receiver.mjs", " || audience !== this.config.domain) return", ") return"
    ),
    "receives a repeated offer again": PlantedError(
        "offer-repeated", "receiver.mjs", "if (!this.known.has(name)) {", "{"
    ),
    "names another reason": PlantedError(
        "volume-to-another-key", "lib/transfer.mjs", 'throw new Refused("wrong_key"', 'throw new Refused("changed"'
    ),
}
USUAL = ("skips the signature of webhooks", "ignores hashes of files")
"""The errors of the usual runs of the tests."""


@pytest.mark.requirement("R39")
@pytest.mark.parametrize(
    "name", [name if name in USUAL else pytest.param(name, marks=pytest.mark.system) for name in PLANTED]
)
def test_an_error_of_a_receiver_is_found(tmp_path: Path, name: str) -> None:
    """A receiver with one error breaks the rule that names it; without the error it keeps that rule."""
    error = PLANTED[name]
    url, port = kit_address()

    with node_receiver.receiving(tmp_path, url, SECRET, {error.file: (error.old, error.new)}) as receiver:
        report = conformed(receiver.webhook, url, port, only=error.rule, settle_seconds=20.0)

    assert [result.name for result in report.failed] == [error.rule]
