"""Tables of the control database that no copy contains, each with the reason; `records.py` has the others."""

from __future__ import annotations

from collections.abc import Mapping

WITHHELD_TABLES: Mapping[str, str] = {
    "audit_unchained": "events that the audit log chains within a moment; what it cannot chain is a gap of `events`",
    "code": "a one-time code is a secret until it is used; `links` and the events say when the archive was opened",
    "colleague": "when a member of staff last logged in, for lists of colleagues; deleted 90 days later",
    "desk_view": "which lists of requests a member of staff has saved; it names no other person",
    "download": "counts the bytes of running downloads and is deleted within a day; `downloads` has each download",
    "earlier_revision": "what an archive contained while its next revision is made; deleted when that is ready",
    "erasure": "no export begins while an erasure runs, and at its end the row names no subject",
    "deleted_volume": "each deletion is in a signed statement, which is exported",
    "feed": "each archive of a feed is a request, which is exported; the rest says how the next archive is made",
    "feed_archive": "counts of each archive of a feed; the archives have what they count",
    "feed_part": "which records were delivered, encrypted; the archives themselves have them",
    "feed_pseudonym": "digests of other people",
    "feed_step": "which records an archive reads while it is written, encrypted; deleted when it is ready",
    "gap": "what is missing in an archive is in `export.json` of the archive itself",
    "idempotency_key": "a digest that repeats a request of a program; it says nothing more",
    "journal": "how far the audit log is copied to storage",
    "ledger": "what an archive contains is in `export.json` of the archive itself",
    "lost_event": "which events a restore of the database brought back; the events themselves are exported",
    "pseudonym": "digests of other people",
    "pull": "ids of copies that providers fetched; the requests and the transfers are exported",
    "pull_request": "what a provider asked for, deleted within days; what you allowed is in the consents",
    "pull_token": "hashes of a provider's secrets, deleted a day after their end",
    "received_difference": "encrypted and deleted with the decision; what was imported is in the other datasets",
    "recipient_notice": "ids and times of notices to recipients, also after an erasure; transfers are exported",
    "referral": "which tenants decide over data, and what they answered, is in `export.json` of the archive itself",
    "review": "names records that may be about other people; `export.json` counts the decisions",
    "schedule": "each scheduled copy is a request, which is exported; the page of the person shows the dates",
    "session": "encrypted and deleted within hours; the page of sessions shows them, and the events are exported",
    "slice": "state of the work of this software, without content",
    "subject_ref": "links the subject to a pseudonym: with it, the pseudonym would identify the subject to others",
    "transfer_copy": "technical data of encrypted copies; transfers and receipts are exported",
    "turn": "when work for a tenant was last done",
    "volume": "technical data of archive files; downloads are exported",
    "webhook": "calls to a recipient's program, with an encrypted content; transfers are exported",
}
"""Tables with data of subjects that are not exported, each with the reason."""
_OF_SOURCES = {"source_check", "source_map", "source_secret"}
TABLES_WITHOUT_SUBJECT = _OF_SOURCES | {"audit_head", "deployment", "incident", "recipient", "sender", "signing_key"}
"""Tables about the deployment itself and its sources, about other providers, and about keys."""
