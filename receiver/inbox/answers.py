"""Answers to a sender's webhooks that are signed at once: challenges and notices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from portability.trust.signing import SigningKey
from receiver.fetch import challenge
from receiver.fetch.acknowledgement import acknowledge

if TYPE_CHECKING:
    from pyrage import x25519


@dataclass(frozen=True, slots=True)
class ReceiverAnswers:
    """The keys of this side, for webhooks whose signature was checked."""

    identities: Sequence[x25519.Identity]
    receipt_key: Callable[[], SigningKey]
    """Returns the key that signs. Raises NoSigningKey."""
    audience: str

    def to_challenge(self, body: bytes) -> str:
        """Return the proof that our keys and the webhook belong together. Raises BadInput, NoSigningKey."""
        return challenge.answer(body, self.identities, self.receipt_key(), audience=self.audience)

    def to_notice(self, body: bytes) -> str:
        """Return the statement that we have received a notice. Raises BadInput, NoSigningKey."""
        return acknowledge(body, self.receipt_key(), audience=self.audience)
