"""The authorization server of another provider: found by its signed document, and checked (RFC 9728, RFC 8414)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from portability import strict_json
from portability.safe_http import AddressRefused, RemoteUnavailable, SafeHttpClient
from portability.transfers import provider_documents, recipients
from receiver.faults import WrongMetadata

RESOURCE, SERVER = "oauth-protected-resource", "oauth-authorization-server"
ENDPOINTS = (
    "authorization_endpoint",
    "pushed_authorization_request_endpoint",
    "token_endpoint",
    "revocation_endpoint",
)
NEEDED: Mapping[str, str] = {
    "code_challenge_methods_supported": "S256",
    "dpop_signing_alg_values_supported": "ES256",
    "token_endpoint_auth_methods_supported": "private_key_jwt",
    "authorization_details_types_supported": "portability",
}
"""Lists of the metadata, and what each has to contain."""
OK = 200


@dataclass(frozen=True, slots=True)
class PullServer:
    """Where another provider takes requests for people's data."""

    domain: str
    name: str
    """As its document says."""
    jwks_url: str
    """Of the keys that sign its statements and archives."""
    resource: str
    """Where the copies are: the address before `/v1/pulls`."""
    issuer: str
    authorization_endpoint: str
    pushed_authorization_request_endpoint: str
    token_endpoint: str
    revocation_endpoint: str


def found(client: SafeHttpClient, domain: str, url: str | None = None) -> PullServer:
    """Find the authorization server of a domain.

    Args:
        client: with the limits of this deployment.
        domain: of the provider.
        url: where its document is; default: `https://DOMAIN/.well-known/portability`.

    Raises: WrongProvider, WrongMetadata, AddressRefused, RemoteUnavailable, WeakKey, ClockSkew.
    """
    stated = provider_documents.discover(client, domain, url)
    resource = stated.resource
    about = _metadata(client, stated.domain, resource, RESOURCE, "resource")
    servers = _listed(about, "authorization_servers")
    if not servers:
        raise WrongMetadata("the metadata of the resource name no authorization server")
    issuer = str(servers[0])
    server = _metadata(client, stated.domain, issuer, SERVER, "issuer")
    _check_features(server)
    if "protected_resources" in server and resource not in _listed(server, "protected_resources"):
        raise WrongMetadata("the authorization server does not serve this resource (RFC 9728, 4)")
    endpoints = {name: _own(client, stated.domain, server.get(name), name) for name in ENDPOINTS}
    return PullServer(stated.domain, stated.name, stated.jwks_url, resource, issuer, **endpoints)


def _metadata(client: SafeHttpClient, domain: str, identifier: str, kind: str, member: str) -> Mapping[str, Any]:
    """Return metadata that are those of an identifier: else another server could pass its own off as them."""
    _own(client, domain, identifier, member)
    parts = urlsplit(identifier)
    # RFC 8414, 3.1: the path of the identifier comes after the well-known name.
    where = f"{parts.scheme}://{parts.netloc}/.well-known/{kind}{parts.path}"
    answer = client.get(where, headers={"Accept": "application/json"})
    if answer.status != OK:
        raise RemoteUnavailable(f"cannot fetch the metadata {kind}: status {answer.status}")
    try:
        document = strict_json.parse(answer.body)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise WrongMetadata(f"the metadata {kind} are not a JSON object")
    if document.get(member) != identifier:
        raise WrongMetadata(f"the metadata {kind} are of another {member} than was asked for")
    return document


def _check_features(server: Mapping[str, Any]) -> None:
    lacking = [name for name, value in NEEDED.items() if value not in _listed(server, name)]
    if server.get("authorization_response_iss_parameter_supported") is not True:
        # Without `iss` an answer of another server could be passed off as this server's (RFC 9207).
        lacking.append("authorization_response_iss_parameter_supported")
    if lacking:
        raise WrongMetadata(f"the authorization server does not support what is needed: {', '.join(lacking)}")


def _listed(document: Mapping[str, Any], name: str) -> Sequence[Any]:
    value = document.get(name)
    return value if isinstance(value, list) else ()


def _own(client: SafeHttpClient, domain: str, url: object, what: str) -> str:
    """Return an address on the provider's domain or below it. Raises WrongMetadata."""
    if not isinstance(url, str):
        raise WrongMetadata(f"the metadata have no {what}")
    try:
        recipients.check_domain(client, domain, url, what=what)
    except AddressRefused as error:
        raise WrongMetadata(f"the metadata have a {what} that is not on the provider's domain: {error}") from None
    return url
