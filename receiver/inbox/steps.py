"""The steps of the receiving service: each brings a received transfer to its next state, or raises to be repeated."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, RowMapping

from portability.api import SubjectKind
from portability.api.errors import PortabilityError, StorageError
from portability.database import deployment
from portability.database.engine import now, reading, writing
from portability.errors import WrongState
from portability.inbox import differences, offers, received, work
from portability.inbox.decisions import ConflictRule
from portability.inbox.differences import DifferenceCollector
from portability.inbox.received import UnknownReceived
from portability.inbox.states import NOT_DECIDED, ReceiptState, ReceivedState
from portability.inbox.transition import transition
from portability.safe_http import SafeHttpClient
from portability.settings import Settings
from portability.storage import open_storage
from portability.transfers import key_sets
from portability.trust.signing import DatedKey
from receiver.binding.target import ImportTarget
from receiver.faults import FeedForked, SenderRefused, TransferRefused, UnknownImport
from receiver.fetch import papers, receipt
from receiver.fetch.checked_client import checked_client
from receiver.fetch.download import FetchPatience
from receiver.fetch.sender import Sender, TransferLinks
from receiver.importer.archive_import import ImportOptions, import_archive
from receiver.importer.contents import Contents, bags
from receiver.importer.database import opened
from receiver.importer.faults import BadArchive, BadTarget, NotImportable
from receiver.importer.hooks import installed_hooks
from receiver.importer.report import ImportReport
from receiver.importer.undo import UndoReport, undo
from receiver.inbox import waits
from receiver.inbox.quarantine import folder_of
from receiver.ledger import runs
from receiver.ledger.merge import OnConflict
from receiver.ledger.seals import JournalKey
from receiver.receive import Received, ReceivingParty, receive

if TYPE_CHECKING:
    from pyrage import x25519

    from portability.api.storages import Storage

REPEATED = (BadTarget, StorageError)
"""Faults of the platform's tables or storage: an operator has to mend them, and the step is repeated."""
RUN_ID_CHARACTERS = 16


@dataclass(frozen=True, slots=True)
class ReceivingService:
    """The keys and connections of the receiving service. Only its process has them."""

    engine: Engine
    settings: Settings
    identities: Sequence[x25519.Identity]
    receipt_key: Callable[[], DatedKey]
    """Returns the key that signs receipts. Raises NoSigningKey."""
    audience: str
    into: str
    """URL of the platform's database."""
    files: str | None
    """URL of the storage for recordings and attachments; None: they are not imported."""
    quarantine: Path
    journal_key: Path

    @property
    def client(self) -> SafeHttpClient:
        """The client with the limits of the settings."""
        return SafeHttpClient.of(self.settings)

    def storage(self) -> Storage | None:
        """Open the storage for recordings and attachments. Raises StorageError."""
        return open_storage(self.files) if self.files else None


def quarantined(service: ReceivingService) -> frozenset[str]:
    """Return the ids of received transfers whose files are kept."""
    with reading(service.engine) as connection:
        return work.quarantined(connection)


def fetch(service: ReceivingService, row: RowMapping, ended: Event) -> None:
    """Fetch, decrypt, verify and unpack what a link offers; the receipt of a refusal is queued.

    Only what was received is refused: after a fault of this side, such as a full disk, the step is repeated.

    Raises: SenderUnavailable, RemoteUnavailable, AddressRefused, NoRoom, ArchiveUnread, BadInput, Stopped, OSError;
    WrongState if it was overtaken.
    """
    settings, url = service.settings, offers.link_of(service.settings.keys, row)
    folder = folder_of(service.quarantine, row["id"])
    party = ReceivingParty(
        identities=service.identities,
        audience=service.audience,
        issuer=row["sender_issuer"],
        jwks=key_sets.fetch(service.client, row["sender_jwks_url"]),
        transfer=row["sent_id"],
        most_bytes=settings.inbox_bytes,
        clock=partial(deployment.clock, service.engine),
    )
    try:
        client = checked_client(service.client, url)
        found = receive(url, folder, party, patience=FetchPatience(ended), client=client)
        columns = {**_described(folder, found, party), "error_code": None}
    except SenderRefused:
        _end(service, row, ReceivedState.EXPIRED)
    except (TransferRefused, BadArchive, NotImportable) as fault:
        if fault.retryable:
            raise
        _end(service, row, ReceivedState.REFUSED, detail={"code": fault.code}, columns=_refused(fault))
    else:
        detail = {"volumes": columns["volumes"], "files": columns["files"]}
        _end(service, row, ReceivedState.FETCHED, detail=detail, columns=columns)
        # The encrypted and the packed files are no longer needed: the import reads the unpacked volumes.
        shutil.rmtree(folder / "volumes", ignore_errors=True)


def compare(service: ReceivingService, row: RowMapping, _ended: Event) -> None:
    """Compute the difference that an import would make.

    Raises: BadTarget, TargetUnavailable, StorageError, NoSigningKey, WrongState.
    """
    collector = DifferenceCollector()

    def note(line: str) -> None:
        collector.add(json.loads(line))

    try:
        key = JournalKey.at(service.journal_key, make=False) if service.journal_key.exists() else None
        report = _imported(service, row, journal_key=key, dry_run=True, difference=note)
    except PortabilityError as fault:
        _send_back(service, row, fault)
        return
    with writing(service.engine) as connection:
        transition(
            connection, row, ReceivedState.COMPARED, actor=work.ACTOR, columns={"report": report, "error_code": None}
        )
        differences.store(connection, service.settings.keys, row["id"], collector.kept)


def import_(service: ReceivingService, row: RowMapping, _ended: Event) -> None:
    """Import as the target that an officer has chosen. After a final error nothing of it stays.

    Raises: BadTarget, TargetUnavailable, StorageError, WrongState.
    """
    import_id, key = _run_id(row), JournalKey.at(service.journal_key, make=True)
    days = service.settings.inbox_journal_days
    # Again as the run is begun: who takes the step, or erases, has a turn there before, or undoes or forgets the run.
    check = partial(_check_claim, service, row)
    check()
    try:
        report = _imported(service, row, journal_key=key, journal_days=days, import_id=import_id, begun=check)
    except WrongState:
        _undo_overtaken(service, row, key)
        raise
    except PortabilityError as fault:
        if not (fault.retryable or isinstance(fault, REPEATED)):
            # Else another process has made this import meanwhile, and the fault is that its files are deleted.
            _check_claim(service, row)
            _undo(service, import_id, key)
        _send_back(service, row, fault)
        return
    columns = {"report": report, "import_id": import_id, "error_code": None}
    _end(service, row, ReceivedState.IMPORTED, detail={"import": import_id}, columns=columns)


def undo_import(service: ReceivingService, row: RowMapping, _ended: Event) -> None:
    """Undo an import; its report lists the rows that stay. Raises as `import_`."""
    reports = [row["report"] or {}]

    def note(undone: UndoReport) -> None:
        reports.append({**reports[0], "undone": undone.as_json()})
        work.note_report(service.engine, row, reports[-1])

    try:
        _undo(service, row["import_id"], JournalKey.at(service.journal_key, make=False), note)
    except PortabilityError as fault:
        if fault.retryable or isinstance(fault, REPEATED):
            raise
        _end(service, row, ReceivedState.IMPORTED, columns={"error_code": fault.code, "ended_at": row["ended_at"]})
    else:
        # Without a note a process that was killed has undone it, and its report is in the row.
        _end(service, row, ReceivedState.UNDONE, columns={"report": reports[-1]})


def send_receipt(service: ReceivingService, row: RowMapping, _ended: Event) -> None:
    """Send the receipt of what was decided. Raises SenderRefused, SenderUnavailable, NoSigningKey.

    There is one receipt of a received transfer, with one id: a process that was killed may have sent it.
    """
    said = receipt.StoredStatement(service.audience, row["sender_issuer"], row["sent_id"], row["statement"])
    codes = {
        ReceivedState.DECLINED: row["reason"],
        ReceivedState.EXPIRED: NOT_DECIDED,
        ReceivedState.REFUSED: row["error_code"],
    }
    code, signing = codes.get(ReceivedState(row["state"])), service.receipt_key()
    jti = f"{row['id']}.{'refused' if code else 'received'}"
    about = {"volumes": row["volumes"], "possession": None if code else row["possession"], "code": code, "jti": jti}
    token = receipt.signed(said, signing.key, **about, issued_at=signing.at)
    with Sender(row["receipt_url"], checked_client(service.client, row["receipt_url"])) as sender:
        sender.post_receipt(TransferLinks(row["sent_id"], "", row["receipt_url"], ""), token)
    work.settle_receipt(service.engine, row, ReceiptState.SENT, code)


def target_of(row: Mapping[Any, Any]) -> ImportTarget:
    """Return the target that an officer has chosen."""
    kind, identifier = row["subject_kind"], row["subject_id"]
    return ImportTarget(
        tenant=row["tenant"] or row["company"],
        user=identifier if kind == SubjectKind.USER else None,
        contact=identifier if kind == SubjectKind.CONTACT else None,
        email=identifier if kind == SubjectKind.EMAIL else None,
    )


def _imported(service: ReceivingService, row: RowMapping, **options: Any) -> Mapping[str, Any]:  # noqa: ANN401  # fields of ImportOptions
    """Import, or only compare; returns the report. Raises what `import_archive` raises."""
    folders = bags(service.quarantine / row["id"])
    rule = OnConflict.TAKE if row["on_conflict"] == ConflictRule.TAKE else OnConflict.KEEP
    options["waits"] = partial(waits.note, _run_id(row))
    chosen = ImportOptions(storage=service.storage(), on_conflict=rule, hooks=installed_hooks(), **options)
    report: ImportReport = import_archive(folders, service.into, target_of(row), chosen)
    return report.as_json()


def _described(folder: Path, found: Received, party: ReceivingParty) -> dict[str, Any]:
    """Return the columns that say what was received. Raises BadArchive, NotImportable."""
    said = found.statement
    assert said is not None  # noqa: S101  # a link without a transfer is refused before anything is fetched
    with Contents(found.unpacked.folders, party.jwks) as contents:
        kind = contents.export.get("subject_kind")
    return {
        "statement": said.token,
        "receipt_url": found.receipt_url,
        "possession": papers.possession(folder, said.parcels, said.nonce),
        "profile": said.profile,
        "archive_kind": kind if kind in {*SubjectKind} else None,
        "archive_subject": said.subject[:200],
        "archive_export": said.export[:200],
        "revision": said.revision,
        "consent": said.consent[:200],
        "volumes": said.volumes,
        "files": found.unpacked.files,
        "bytes": found.unpacked.bytes,
        "fetched_at": now(),
    }


def _refused(fault: PortabilityError) -> dict[str, Any]:
    """Return the columns of a refusal, with what its receipt names."""
    known: dict[str, Any] = {"error_code": fault.code}
    if isinstance(fault, TransferRefused) and fault.receipt:
        said = fault.receipt
        known |= {"statement": said.statement, "receipt_url": said.receipt_url, "volumes": said.volumes}
    return known


def _send_back(service: ReceivingService, row: RowMapping, fault: PortabilityError) -> None:
    """Let the officer choose again after a final error; raise the others."""
    if fault.retryable or isinstance(fault, REPEATED):
        raise fault
    undo = list(fault.undo) if isinstance(fault, FeedForked) else []
    columns = {"error_code": fault.code, "report": {"undo": undo} if undo else None, "comparison": None}
    _end(service, row, ReceivedState.FETCHED, detail={"code": fault.code}, columns=columns)


def _undo(
    service: ReceivingService,
    import_id: str,
    key: JournalKey,
    ending: Callable[[UndoReport], object] = lambda _: None,
) -> None:
    """Undo an import, unless it was undone before or is by now, or nothing was imported."""
    with opened(service.into, make=False, waits=partial(waits.note, import_id)) as engine:
        try:
            undo(engine, import_id, key, storage=service.storage(), ending=ending)
        except UnknownImport:
            with engine.begin() as connection:
                if runs.state_of(connection, import_id):
                    raise


def _undo_overtaken(service: ReceivingService, row: RowMapping, key: JournalKey) -> None:
    """Undo a run that this process has begun after another had ended it: it would stand in the way of later imports.

    While the transfer has the same comparison, the run is that of the other process.
    """
    with suppress(UnknownReceived), reading(service.engine) as connection:
        present = received.get(connection, row["id"])
        if present["comparison"] == row["comparison"] and present["state"] != ReceivedState.UNDONE:
            return
    _undo(service, _run_id(row), key)


def _check_claim(service: ReceivingService, row: RowMapping) -> None:
    """Renew the claim: the process may have been stopped, and another has taken the step. Raises WrongState."""
    if not work.renew(service.engine, row, service.settings.lease_seconds):
        raise WrongState(f"received transfer {row['id']} was taken by another process")


def _run_id(row: Mapping[Any, Any]) -> str:
    """Return the id of an import: the same after a kill, and another after another choice of the target."""
    return str(row["comparison"])[:RUN_ID_CHARACTERS]


def _end(
    service: ReceivingService,
    row: RowMapping,
    to: ReceivedState,
    *,
    detail: Mapping[str, Any] | None = None,
    columns: Mapping[str, Any] | None = None,
) -> None:
    with writing(service.engine) as connection:
        transition(connection, row, to, actor=work.ACTOR, detail=detail, columns=columns)
