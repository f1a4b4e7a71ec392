"""What the receiving side signs at once: answers to challenges and notices, and the document about itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from portability.transfers import provider_documents
from portability.trust.signing import PROVIDER_TYPE, DatedKey, sign
from receiver.fetch import challenge
from receiver.fetch.acknowledgement import acknowledge

if TYPE_CHECKING:
    from pyrage import x25519


@dataclass(frozen=True, slots=True)
class ReceiverAnswers:
    """The keys of this side, for webhooks whose signature was checked."""

    identities: Sequence[x25519.Identity]
    receipt_key: Callable[[], DatedKey]
    """Returns the key that signs, with the time of the database. Raises NoSigningKey."""
    audience: str
    name: str
    """As people know this provider."""
    base_url: str

    def document(self) -> str:
        """Return the signed document about this provider, with the first age key. Raises NoSigningKey."""
        first = str(self.identities[0].to_public())
        signing = self.receipt_key()
        claims = provider_documents.claims(self.audience, self.name, first, self.base_url, signing.iat)
        return sign(claims, signing.key, typ=PROVIDER_TYPE)

    def to_challenge(self, body: bytes) -> str:
        """Return the proof that our keys and the webhook belong together. Raises BadInput, NoSigningKey."""
        signing = self.receipt_key()
        return challenge.answer(body, self.identities, signing.key, audience=self.audience, issued_at=signing.at)

    def to_notice(self, body: bytes) -> str:
        """Return the statement that we have received a notice. Raises BadInput, NoSigningKey."""
        signing = self.receipt_key()
        return acknowledge(body, signing.key, audience=self.audience, issued_at=signing.at)
