"""The key sets of recipients: fetched from the address that was recorded, each time that a signature is checked."""

from __future__ import annotations

from portability import strict_json
from portability.api.errors import BadInput
from portability.safe_http import RemoteUnavailable, SafeHttpClient
from portability.trust.signing import Jwks

OK = 200


def fetch(client: SafeHttpClient, url: str) -> Jwks:
    """Fetch a recipient's key set: call it outside of a transaction. Raises AddressRefused, RemoteUnavailable."""
    answer = client.get(url, headers={"Accept": "application/jwk-set+json, application/json"})
    if answer.status != OK:
        raise RemoteUnavailable(f"cannot fetch the recipient's key set: status {answer.status}")
    try:
        return Jwks.parse(strict_json.parse(answer.body))
    except (ValueError, BadInput):
        raise RemoteUnavailable("the recipient's key set is not a valid JWK Set") from None
