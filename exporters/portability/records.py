"""The datasets: which columns of the control database a subject gets; `withheld.py` has the other tables."""

from __future__ import annotations

from sqlalchemy import Column, ColumnElement, select

from exporters.portability.tables import ExportedColumn, OfSubject, OwnRows, OwnTable, about, of_request, own_table
from portability.api import Person, Subject, SubjectKind, Withheld, WithheldKind
from portability.database import models

EXPORT, LINK, CLAIM, CODE = models.export.c, models.link.c, models.link_claim.c, models.code.c
APPROVAL, EVENT = models.approval.c, models.deadline_event.c
MESSAGE, AUDIT, UNCHAINED = models.notification.c, models.audit_event.c, models.audit_unchained.c
MANDATE, CONSENT, SENT, RECEIPT = models.mandate.c, models.authorisation.c, models.transfer.c, models.transfer_receipt.c
RECIPIENT, ORDER, HOLD, RECALL = models.recipient.c, models.instruction.c, models.legal_hold.c, models.recall.c
ATTESTATION, RECEIVED, SENDER = models.attestation.c, models.received_transfer.c, models.sender.c
NOTE = models.desk_note.c


def _of_link(link_id: Column[str]) -> OfSubject:
    def where(subject: Subject, identifier: str) -> ColumnElement[bool]:
        return link_id.in_(select(LINK.id).where(of_request(LINK.export_id)(subject, identifier)))

    return where


def _of_transfer(transfer_id: Column[str]) -> OfSubject:
    def where(subject: Subject, identifier: str) -> ColumnElement[bool]:
        return transfer_id.in_(select(SENT.id).where(of_request(SENT.export_id)(subject, identifier)))

    return where


def _ordered(subject: Subject, identifier: str) -> ColumnElement[bool]:
    same_tenant = ORDER.tenant == subject.tenant
    return same_tenant if subject.kind is SubjectKind.TENANT else same_tenant & (ORDER.contact_id == identifier)


def _secret(name: str, what: str, reason: str) -> Withheld:
    return Withheld(name, what, reason, WithheldKind.SECRET)


TABLES: tuple[OwnTable, ...] = (
    own_table(
        "requests",
        "Requests for your data",
        "Each request for a copy of your data, also this request, as known when this copy began.",
        ExportedColumn("id", EXPORT.id, "Id of the request."),
        ExportedColumn("profile", EXPORT.profile, "The right: access, portability or switch."),
        ExportedColumn("channel", EXPORT.channel, "How the request was received."),
        ExportedColumn("requested_by", EXPORT.requested_by, "Role of the person who made the request.", is_role=True),
        ExportedColumn("reason", EXPORT.reason, "Reason, if another person made the request.", third_party=True),
        ExportedColumn("language", EXPORT.language, "Language of the page on which you made the request."),
        ExportedColumn("residence", EXPORT.residence, "Country of residence that was stated with the request."),
        ExportedColumn("tell_tenants", EXPORT.tell_tenants, "Whether you agreed that companies are informed of it."),
        ExportedColumn("exporters", EXPORT.include, "Sources that were asked for; null: all."),
        ExportedColumn("formats", EXPORT.formats, "Formats that were asked for."),
        ExportedColumn("since", EXPORT.since, "Only records from then on were asked for, in UTC."),
        ExportedColumn("until", EXPORT.until, "Only records before then were asked for, in UTC."),
        ExportedColumn("received_at", EXPORT.received_at, "When the request was received, in UTC."),
        ExportedColumn("notice_ends_at", EXPORT.notice_ends_at, "End of the company's notice period, in UTC."),
        ExportedColumn("began_at", EXPORT.began_at, "When the copy was begun, in UTC.", set_at=EXPORT.began_at),
        ExportedColumn("ended_at", EXPORT.ended_at, "When the request ended, in UTC.", set_at=EXPORT.ended_at),
        ExportedColumn("outcome_own", EXPORT.outcome_own, "The answer for data that we decide on.", EXPORT.ended_at),
        ExportedColumn(
            "outcome_processor", EXPORT.outcome_processor, "The answer for data of companies.", EXPORT.ended_at
        ),
        ExportedColumn("created_at", EXPORT.created_at, "When the request was recorded, in UTC."),
        created=EXPORT.created_at,
        where=about(models.export),
        withheld=[
            _secret("pseudonym_key", "a key that derives the pseudonyms of other people", "it would identify them"),
            Withheld("assignee", "who works on the request", "it names a member of staff", WithheldKind.OTHER_PERSON),
        ],
    ),
    own_table(
        "decisions",
        "Decisions about your requests",
        "Each approval that was needed for a request, and the decision. Members of staff are not named.",
        ExportedColumn("id", APPROVAL.id, "Id of the approval."),
        ExportedColumn("request_id", APPROVAL.export_id, "Id of the request."),
        ExportedColumn("cause", APPROVAL.cause, "Why an approval was needed."),
        ExportedColumn("asked_at", APPROVAL.asked_at, "When the approval was asked for, in UTC."),
        ExportedColumn(
            "decided_by", APPROVAL.decided_by, "Role of the person who decided.", APPROVAL.decided_at, is_role=True
        ),
        ExportedColumn("decided_at", APPROVAL.decided_at, "When it was decided, in UTC.", APPROVAL.decided_at),
        ExportedColumn("basis", APPROVAL.basis, "The rule that a refusal is based on.", APPROVAL.decided_at),
        ExportedColumn("reason", APPROVAL.reason, "The reason of a refusal.", APPROVAL.decided_at),
        created=APPROVAL.asked_at,
        where=of_request(APPROVAL.export_id),
    ),
    own_table(
        "notes",
        "Notes about your requests",
        "Each note that staff wrote about you or a request of yours. Members of staff are not named.",
        ExportedColumn("id", NOTE.id, "Id of the note."),
        ExportedColumn("request_id", NOTE.export_id, "Id of the request on whose page it was written."),
        ExportedColumn("about", NOTE.about, "What it is about: the request or the person."),
        ExportedColumn("text", NOTE.text, "The note.", person=Person.NOTE),
        ExportedColumn("written_by", NOTE.written_by, "Role of the person who wrote it.", is_role=True),
        ExportedColumn("written_at", NOTE.written_at, "When it was written, in UTC."),
        created=NOTE.written_at,
        where=of_request(NOTE.export_id),
    ),
    own_table(
        "deadlines",
        "Changes of the due dates of your requests",
        "Each extension and each pause of a due date, with its reason.",
        ExportedColumn("id", EVENT.id, "Number of the change."),
        ExportedColumn("request_id", EVENT.export_id, "Id of the request."),
        ExportedColumn("kind", EVENT.kind, "What was changed: extended, prolonged, paused or resumed."),
        ExportedColumn("reason", EVENT.reason, "The reason."),
        ExportedColumn("ground", EVENT.ground, "The ground that the law requires for an extension."),
        ExportedColumn("ends_at", EVENT.ends_at, "The end that was chosen, in UTC."),
        ExportedColumn("actor", EVENT.actor, "Role of the person who made the change.", is_role=True),
        ExportedColumn("at", EVENT.at, "When it was changed, in UTC."),
        created=EVENT.at,
        where=of_request(EVENT.export_id),
    ),
    own_table(
        "messages",
        "Messages about your requests",
        "Each message to you about a request. Addresses are not stored.",
        ExportedColumn("id", MESSAGE.id, "Id of the message."),
        ExportedColumn("request_id", MESSAGE.export_id, "Id of the request."),
        ExportedColumn("kind", MESSAGE.kind, "What the message is about."),
        ExportedColumn("language", MESSAGE.language, "Language of the mail.", MESSAGE.sent_at),
        ExportedColumn("created_at", MESSAGE.created_at, "When the message was written, in UTC."),
        ExportedColumn("sent_at", MESSAGE.sent_at, "When it was sent by mail, in UTC.", MESSAGE.sent_at),
        created=MESSAGE.created_at,
        where=of_request(MESSAGE.export_id),
    ),
    own_table(
        "links",
        "Links to your copies",
        "Each link to a copy of your data.",
        ExportedColumn("id", LINK.id, "Id of the link."),
        ExportedColumn("request_id", LINK.export_id, "Id of the request."),
        ExportedColumn("audience", LINK.audience, "Who may open it: login, code, tenant_admin or recipient."),
        ExportedColumn("created_by", LINK.created_by, "Role of the person who made it.", is_role=True),
        ExportedColumn("created_at", LINK.created_at, "When it was made, in UTC."),
        ExportedColumn("expires_at", LINK.expires_at, "When it expires, in UTC."),
        ExportedColumn("revoked_at", LINK.revoked_at, "When it was revoked, in UTC.", LINK.revoked_at),
        created=LINK.created_at,
        where=of_request(LINK.export_id),
        withheld=[_secret("token_sha256", "a hash of the link's token", "it is part of a login secret")],
    ),
    own_table(
        "downloads",
        "Downloads of your copies",
        "Each download that was begun with a link.",
        ExportedColumn("id", CLAIM.id, "Number of the download."),
        ExportedColumn("link_id", CLAIM.link_id, "Id of the link."),
        ExportedColumn("volume", CLAIM.volume, "Number of the file."),
        ExportedColumn("created_at", CLAIM.created_at, "When it was begun, in UTC."),
        ExportedColumn("downloaded_at", CLAIM.downloaded_at, "When all bytes were sent, in UTC.", CLAIM.downloaded_at),
        created=CLAIM.created_at,
        where=_of_link(CLAIM.link_id),
        withheld=[_secret("claim_sha256", "a hash of the download's token", "it is part of a login secret")],
    ),
    own_table(
        "mandates",
        "Mandates to act for you",
        "Each mandate of another person to ask for your data.",
        ExportedColumn("id", MANDATE.id, "Id of the mandate."),
        ExportedColumn("agent", MANDATE.agent, "Role of the person who may ask.", is_role=True),
        ExportedColumn("scope", MANDATE.scope, "The rights that it covers."),
        ExportedColumn("issuer", MANDATE.issuer, "Who granted it.", third_party=True),
        ExportedColumn("created_at", MANDATE.created_at, "When it was recorded, in UTC."),
        ExportedColumn("expires_at", MANDATE.expires_at, "When it expires, in UTC."),
        ExportedColumn("ended_at", MANDATE.ended_at, "When it was ended, in UTC.", MANDATE.ended_at),
        created=MANDATE.created_at,
        where=about(models.mandate),
    ),
    own_table(
        "authorisations",
        "Consents to send your data to other providers",
        "Each consent to send data to another provider.",
        ExportedColumn("id", CONSENT.id, "Id of the consent."),
        ExportedColumn("recipient", RECIPIENT.name, "Name of the provider."),
        ExportedColumn("domain", RECIPIENT.domain, "Internet domain of the provider."),
        ExportedColumn("datasets", CONSENT.datasets, "The data that may be sent."),
        ExportedColumn("once", CONSENT.once, "Whether it is for a single transfer."),
        ExportedColumn("evidence", CONSENT.evidence, "Where the consent is stored, if another person recorded it."),
        ExportedColumn("document", CONSENT.document, "Where your signed consent is stored, if it was needed."),
        ExportedColumn("created_by", CONSENT.created_by, "Role of the person who recorded it.", is_role=True),
        ExportedColumn("created_at", CONSENT.created_at, "When it was recorded, in UTC."),
        ExportedColumn("expires_at", CONSENT.expires_at, "When it expires, in UTC."),
        ExportedColumn("used_at", CONSENT.used_at, "When it was used for a single transfer, in UTC.", CONSENT.used_at),
        ExportedColumn("revoked_at", CONSENT.revoked_at, "When it was revoked, in UTC.", CONSENT.revoked_at),
        created=CONSENT.created_at,
        where=about(models.authorisation),
        origin=models.authorisation.join(models.recipient),
    ),
    own_table(
        "transfers",
        "Transfers of your data to other providers",
        "Each transfer of a copy to another provider.",
        ExportedColumn("id", SENT.id, "Id of the transfer."),
        ExportedColumn("request_id", SENT.export_id, "Id of the request."),
        ExportedColumn("authorisation_id", SENT.authorisation_id, "Id of the consent."),
        ExportedColumn("recipient", RECIPIENT.name, "Name of the provider."),
        ExportedColumn("created_by", SENT.created_by, "Role of the person who began it.", is_role=True),
        ExportedColumn("created_at", SENT.created_at, "When it was begun, in UTC."),
        ExportedColumn("offered_at", SENT.offered_at, "When it was offered to the provider, in UTC.", SENT.offered_at),
        ExportedColumn("ended_at", SENT.ended_at, "When it was delivered or ended, in UTC.", SENT.ended_at),
        created=SENT.created_at,
        where=of_request(SENT.export_id),
        origin=models.transfer.join(models.recipient, SENT.recipient_id == RECIPIENT.id),
    ),
    own_table(
        "receipts",
        "Receipts of other providers",
        "Each signed answer of a provider to a transfer.",
        ExportedColumn("id", RECEIPT.id, "Number of the receipt."),
        ExportedColumn("transfer_id", RECEIPT.transfer_id, "Id of the transfer."),
        ExportedColumn("status", RECEIPT.status, "received or refused."),
        ExportedColumn("code", RECEIPT.code, "Code of the reason of a refusal."),
        ExportedColumn("volumes", RECEIPT.volumes, "Number of files."),
        ExportedColumn("receipt", RECEIPT.receipt, "The receipt, signed by the provider."),
        ExportedColumn("received_at", RECEIPT.received_at, "When it was received, in UTC."),
        created=RECEIPT.received_at,
        where=_of_transfer(RECEIPT.transfer_id),
    ),
    own_table(
        "received_transfers",
        "Data that other providers have sent for you",
        "Each transfer of another provider that was assigned to you here.",
        ExportedColumn("id", RECEIVED.id, "Id of the received transfer."),
        ExportedColumn("sender", SENDER.name, "Name of the provider."),
        ExportedColumn("state", RECEIVED.state, "What became of it: imported, undone, declined and others."),
        ExportedColumn("reason", RECEIVED.reason, "Code of the reason of a refusal."),
        ExportedColumn("decided_by", RECEIVED.decided_by, "Role of the person who decided.", is_role=True),
        ExportedColumn("created_at", RECEIVED.created_at, "When it was offered, in UTC."),
        ExportedColumn("decided_at", RECEIVED.decided_at, "When it was decided, in UTC.", RECEIVED.decided_at),
        created=RECEIVED.created_at,
        where=about(models.received_transfer),
        origin=models.received_transfer.join(models.sender),
        withheld=[_secret("sealed", "the encrypted link of the offer", "it is part of a login secret")],
    ),
    own_table(
        "instructions",
        "Instructions of the company",
        "Each instruction of the company to deliver data that is processed for it.",
        ExportedColumn("id", ORDER.id, "Id of the instruction."),
        ExportedColumn("exporters", ORDER.exporters, "The sources that it covers; null: all."),
        ExportedColumn("delivery", ORDER.delivery, "Who receives the copy: subject or tenant_admin."),
        ExportedColumn("created_by", ORDER.created_by, "Role of the person who gave it.", is_role=True),
        ExportedColumn("created_at", ORDER.created_at, "When it was given, in UTC."),
        ExportedColumn("withdrawn_at", ORDER.withdrawn_at, "When it was withdrawn, in UTC.", ORDER.withdrawn_at),
        created=ORDER.created_at,
        where=_ordered,
        kinds=frozenset({SubjectKind.CONTACT, SubjectKind.TENANT}),
    ),
    own_table(
        "legal_holds",
        "Legal holds",
        "Each time for which your data was protected from erasure, for a legal reason.",
        ExportedColumn("id", HOLD.id, "Id of the legal hold."),
        ExportedColumn("created_at", HOLD.created_at, "When it began, in UTC."),
        ExportedColumn("until", HOLD.until, "When it ends by itself, in UTC."),
        ExportedColumn("released_at", HOLD.released_at, "When it was ended, in UTC.", HOLD.released_at),
        created=HOLD.created_at,
        where=about(models.legal_hold),
        withheld=[
            Withheld(
                "reason",
                "the reason of a legal hold",
                "it may concern the defence of legal claims (GDPR Art. 23(1)(j)); ask the contact of this archive",
                WithheldKind.INTERNAL,
            )
        ],
    ),
    own_table(
        "recalls",
        "Copies that were sent to the wrong person",
        "Each recall of a copy of your data because it went, or may have gone, to another person.",
        ExportedColumn("id", RECALL.id, "Id of the recall."),
        ExportedColumn("request_id", RECALL.export_id, "Id of the request."),
        ExportedColumn("opened_at", RECALL.opened_at, "When it became known, in UTC."),
        ExportedColumn("closed_at", RECALL.closed_at, "When the case was closed, in UTC.", RECALL.closed_at),
        ExportedColumn("outcome", RECALL.outcome, "The outcome.", RECALL.closed_at, third_party=True),
        created=RECALL.opened_at,
        where=of_request(RECALL.export_id),
    ),
    own_table(
        "attestations",
        "Statements about deleted copies",
        "Each signed statement that a copy of your data was deleted.",
        ExportedColumn("id", ATTESTATION.id, "Id of the statement."),
        ExportedColumn("request_id", ATTESTATION.export_id, "Id of the request."),
        ExportedColumn("token", ATTESTATION.token, "The signed statement."),
        ExportedColumn("created_at", ATTESTATION.created_at, "When it was signed, in UTC."),
        created=ATTESTATION.created_at,
        where=of_request(ATTESTATION.export_id),
    ),
    own_table(
        "events",
        "Events of your requests",
        "Each event of a request in the audit log. Members of staff are not named. A value that was damaged is null.",
        ExportedColumn("id", AUDIT.id, "Number of the event."),
        ExportedColumn("request_id", AUDIT.export_id, "Id of the request."),
        ExportedColumn("action", AUDIT.action, "What was done."),
        ExportedColumn("actor", AUDIT.actor, "Role of the person or process.", is_role=True),
        ExportedColumn("at", AUDIT.at, "When it was done, in UTC."),
        created=AUDIT.at,
        where=of_request(AUDIT.export_id),
        waiting=OwnRows(models.audit_unchained, UNCHAINED.at, UNCHAINED.id, of_request(UNCHAINED.export_id)),
    ),
)
