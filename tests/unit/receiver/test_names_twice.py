"""Readers of what another program wrote: an object with a name twice is refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime

import httpx
import pytest
import repository
import volumes
from joserfc import jws

from portability.api.errors import BadInput
from portability.bounded_answers import json_of
from portability.pulls import details
from portability.pulls.refusals import PullRefused
from portability.trust.signing import SignatureFault, check
from receiver.fetch.acknowledgement import acknowledge
from receiver.importer import documents
from receiver.importer.faults import BadArchive

TYPE = "portability-archive+jwt"
DETAILS = '[{"type": "portability", "datasets": ["account"]}]'
NOTICE = (
    '{"type": "transfer.withdrawn", "data":'
    ' {"notice": "n", "transfer": "t", "issuer": "https://a.example", "audience": "b.example"}}'
)
FOLDERS = ("archive/verify", "cli", "portability", "receiver", "web")
PARSER = re.compile(r"json\.loads?\b|json import|\.json\(\)")
OWN_TEXTS = {
    "cli/demo.py",
    "portability/api/rows.py",
    "portability/feeds/parts.py",
    "portability/feeds/steps.py",
    "portability/inbox/differences.py",
    "portability/journal/comparison.py",
    "portability/journal/seals.py",
    "portability/requests/audit_comparison.py",
    "portability/shared/unstored.py",
    "portability/strict_json.py",
    "portability/transfers/statement.py",
    "portability/trust/external_keys.py",
    "portability/trust/unchained.py",
    "receiver/conformance/bad_bags.py",
    "receiver/fetch/download.py",
    "receiver/fetch/papers.py",
    "receiver/importer/lines.py",
    "receiver/inbox/steps.py",
    "receiver/ledger/runs.py",
    "receiver/ledger/seals.py",
    "receiver/pulls/records.py",
    "web/sessions.py",
}
"""Modules that parse with a plain parser: JSON of this software itself, or digits of a line that was parsed before."""


def _answer(text: str) -> object:
    return json_of(httpx.Response(200, text=text))


def _details(text: str) -> object:
    recipient = {"id": "b", "datasets": ["account"]}
    return details.parsed(text, recipient, ["account"], datetime(2026, 12, 1, tzinfo=UTC))


def _claims(text: str) -> object:
    header = {"alg": "ES256", "kid": volumes.KEY.kid, "typ": TYPE}
    return check(jws.serialize_compact(header, text, volumes.KEY), volumes.JWKS, typ=TYPE)


def _notice(text: str) -> object:
    return acknowledge(text.encode(), volumes.KEY, audience="b.example")


def _document(text: str) -> object:
    return documents.parsed("export.json", text.encode())


@pytest.mark.parametrize(
    ("read", "text", "member", "error"),
    [
        (_answer, '{"active": true}', '"active": true', ValueError),
        (_details, DETAILS, '"datasets": ["account"]', PullRefused),
        (_claims, '{"iat": 1790000000, "volume": 1}', '"volume": 1', SignatureFault),
        (_notice, NOTICE, '"transfer": "t"', BadInput),
        (_document, '{"volumes": [{"number": 1}]}', '"number": 1', BadArchive),
    ],
)
def test_a_name_twice_is_refused(read: Callable[[str], object], text: str, member: str, error: type[Exception]) -> None:
    """Also with the same value: without the second one the text is read."""
    read(text)
    with pytest.raises(error):
        read(text.replace(member, f"{member}, {member}"))


def test_modules_with_a_plain_parser_are_named() -> None:
    """What another program wrote is parsed by `strict_json`."""
    paths = [path for folder in FOLDERS for path in (repository.ROOT / folder).rglob("*.py")]
    plain = {str(path.relative_to(repository.ROOT)) for path in paths if PARSER.search(path.read_text())}
    assert plain == OWN_TEXTS
