"""Receives a link: fetch, decrypt, verify, unpack, send the receipt. After an interruption the next run continues.

The target folder contains `transfer.jwt`, `volumes.json`, `volumes/` with the signed ZIPs, `archive/` with their
content, and `receipt.jwt` once the sender has accepted it. If the link has ended after the download, the next run only
sends the receipt.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from portability.api.errors import BadInput, PortabilityError
from portability.trust.signing import Jwks, SigningKey
from receiver.faults import (
    ArchiveRefused,
    ArchiveTooLarge,
    BadStatement,
    NoRoom,
    RefusalReceipt,
    SenderRefused,
    TransferChanged,
    TransferRefused,
    WrongAudience,
)
from receiver.fetch import papers, receipt, statement
from receiver.fetch.decryption import unseal
from receiver.fetch.download import FetchPatience, Progress, fetch, is_as_announced
from receiver.fetch.papers import TransferPapers
from receiver.fetch.sender import Sender
from receiver.fetch.statement import Parcel, Statement
from receiver.verify.room import room_in
from receiver.verify.unpack import SPARE_BYTES, UNFINISHED, UnpackedVolumes, remove_unfinished, unpack

if TYPE_CHECKING:
    from pyrage import x25519

PARALLEL = 3
VOLUMES, ARCHIVE, RECEIPT = "volumes", "archive", "receipt.jwt"


@dataclass(frozen=True, slots=True)
class ReceivingParty:
    """The receiving side and its requirements."""

    identities: Sequence[x25519.Identity] = ()
    audience: str | None = None
    """Our domain as the sender has recorded it; None: any audience of the statement."""
    issuer: str | None = None
    """The required issuer of statement and archive; None: the origin of the link."""
    jwks: Jwks | None = None
    """The issuer's keys; None: those that the sender publishes."""
    receipt_key: SigningKey | None = None
    """None: no receipt is sent; a refusal has what the caller needs to send it (`TransferRefused.receipt`)."""
    transfer: str | None = None
    """The required id of the transfer; None: that of the link."""
    most_bytes: int | None = None
    clock: Callable[[], datetime] | None = None
    """The clock that decides whether the statement is valid; None: that of this machine."""


@dataclass(frozen=True, slots=True)
class Received:
    """The result. Without a statement it was a person's own download."""

    unpacked: UnpackedVolumes
    volumes: tuple[Path, ...]
    statement: Statement | None
    receipted: bool
    receipt_url: str | None = None
    """Where the sender takes a receipt."""


Began = Callable[[str, int], Progress]
"""Called with a step and its bytes; returns a function that is called with each progress."""


def receive(
    url: str,
    target: Path,
    recipient: ReceivingParty,
    *,
    began: Began = lambda _step, _total: lambda _: None,
    patience: FetchPatience | None = None,
    client: httpx.Client | None = None,
) -> Received:
    """Receive what a link offers. If it is refused and there is a key, the sender gets a receipt with the reason.

    `client` is closed at the end; None: a client without restrictions of its addresses.

    Raises: BadInput, TransferRefused and its children, ArchiveUnread, SenderRefused, SenderUnavailable, OSError.
    """
    with Sender(url, client) as sender, _alone(target), room_in(target):
        job = _Job(sender, target, recipient, began, patience or FetchPatience())
        job.sweep()
        return _received(job)


def _received(job: _Job) -> Received:
    try:
        offer = job.sender.offer()
    except SenderRefused:
        # The link has ended. What was downloaded before can still be receipted.
        kept = papers.kept(job.target, job.sender)
        if not kept:
            raise
        return _transferred(job, kept)
    if offer.transfer:
        return _transferred(job, papers.fetched(job.sender, offer.transfer))
    if job.recipient.transfer:
        raise BadStatement("the link offers no transfer")
    others = job.stored_names() - {parcel.plain.name for parcel in offer.parcels}
    with job.discarding(is_own=not (papers.statement_in(job.target) or others)):
        taken = job.take(offer.parcels, job.keys(None), {"export": offer.export})
    return Received(*taken, None, receipted=False)


def _transferred(job: _Job, found: TransferPapers) -> Received:
    stated = papers.statement_in(job.target)
    with job.discarding(is_own=stated == found.token if stated else not job.stored_names()):
        return _transfer(job, found)


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """Allow one run at a time in a folder, because two would overwrite each other's files. Raises BadInput."""
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(target, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            hint = "wait until it ends, or use another folder"
            raise BadInput(f"another run is already receiving into {target}", hint=hint) from None
        yield
    finally:
        os.close(handle)


def _transfer(job: _Job, found: TransferPapers) -> Received:
    recipient = job.recipient
    jwks = job.keys(found.links.jwks_url)
    issuer = recipient.issuer or job.sender.origin
    wanted = recipient.transfer or found.links.id
    present = recipient.clock() if recipient.clock else None
    said = statement.checked(
        found.token, jwks, issuer=issuer, audience=None, transfer=wanted, late=found.late, present=present
    )
    try:
        if recipient.audience not in {None, said.audience}:
            raise WrongAudience("the transfer is addressed to another recipient")
        if not recipient.identities:
            raise BadInput(
                "the volumes are encrypted, and no key was given",
                hint="add --identity KEYFILE with the file of age-keygen",
            )
        papers.remember(job.target, found)
        said = papers.complete(job.target, job.sender, found.links, said)
        claims = {"iss": said.issuer, "export": said.export, "sub": said.subject, "profile": said.profile}
        unpacked, volumes = job.take(said.parcels, jwks, claims, said.nonce)
    except NoRoom:
        raise  # it can be received later
    except TransferRefused as fault:
        fault.receipt = RefusalReceipt(found.token, found.links.receipt_url, len(said.parcels))
        if recipient.receipt_key is not None:
            # A statement for another recipient does not make this side that recipient.
            own = replace(said, audience=recipient.audience or said.audience)
            receipt_text = receipt.signed(own, recipient.receipt_key, volumes=len(said.parcels), code=fault.code)
            # The refusal is the error to report, even if the sender does not accept the receipt.
            with suppress(PortabilityError):
                job.sender.post_receipt(found.links, receipt_text)
        raise
    return Received(unpacked, volumes, said, _receipted(job, found, said), found.links.receipt_url)


def _receipted(job: _Job, found: TransferPapers, said: Statement) -> bool:
    """Send the receipt if there is a key and none was sent; returns whether the sender has one."""
    path, key = job.target / RECEIPT, job.recipient.receipt_key
    if key is not None and not path.exists():
        proof = papers.possession(job.target, said.parcels, said.nonce)
        # A run that was killed may have sent it: the sender takes each id once.
        jti = papers.receipt_id(job.target)
        receipt_text = receipt.signed(said, key, volumes=said.volumes, possession=proof, jti=jti)
        try:
            job.sender.post_receipt(found.links, receipt_text)
        except SenderRefused:
            papers.forget_receipt_id(job.target)
            raise
        papers.write(path, receipt_text.encode())
    papers.forget_receipt_id(job.target)
    return path.exists()


@dataclass(frozen=True, slots=True)
class _Job:
    """The shared state of the steps of one run."""

    sender: Sender
    target: Path
    recipient: ReceivingParty
    began: Began
    patience: FetchPatience

    def sweep(self) -> None:
        """Remove what a killed run has left half decrypted or half unpacked."""
        if (self.target / papers.STATEMENT).exists():
            # Of a transfer these are decrypted; of a person's own link they are downloads, which continue.
            for path in (self.target / VOLUMES).glob("*.zip.part"):
                path.unlink()
        remove_unfinished(self.target / ARCHIVE)

    def stored_names(self) -> set[str]:
        """Return the names of the volumes in the folder."""
        return {path.name for path in (self.target / VOLUMES).glob("*.zip")}

    @contextmanager
    def discarding(self, *, is_own: bool) -> Iterator[None]:
        """Discard the archive in the folder if the block refuses it. Raises BadInput if it is another archive.

        An archive that an earlier run has unpacked was verified. It stays, unless the refusal is about its content: the
        time, the papers or an option of a later run say nothing about it.
        """
        if not is_own:
            raise BadInput(f"{self.target} contains another archive", hint="use an empty folder")
        try:
            yield
        except TransferRefused as fault:
            is_judged = isinstance(fault, ArchiveRefused | TransferChanged)
            if not fault.retryable and (is_judged or not self._is_unpacked()):
                self._discard()
            raise

    def _is_unpacked(self) -> bool:
        """Return whether a volume is unpacked, which happens after the verification of all volumes."""
        archive = self.target / ARCHIVE
        return archive.is_dir() and any(not path.name.startswith(UNFINISHED) for path in archive.iterdir())

    def _discard(self) -> None:
        """Remove everything that is decrypted: data that was refused does not stay here."""
        for pattern in ("*.zip", "*.zip.part", "*.zip.part.claim"):
            for path in (self.target / VOLUMES).glob(pattern):
                path.unlink()
        archive = self.target / ARCHIVE
        if archive.is_dir() and not archive.is_symlink():
            shutil.rmtree(archive)

    def keys(self, url: str | None) -> Jwks:
        return self.recipient.jwks or self.sender.jwks(url)

    def take(
        self, parcels: Sequence[Parcel], jwks: Jwks, claims: Mapping[str, str], nonce: bytes | None = None
    ) -> tuple[UnpackedVolumes, tuple[Path, ...]]:
        """Fetch and decrypt the volumes, verify and unpack them."""
        volumes = self.target / VOLUMES
        volumes.mkdir(mode=0o700, exist_ok=True)
        self._check_room(parcels)
        paths = self._volumes(parcels, volumes, nonce)
        progress = self.began("checking", 2 * sum(parcel.plain.size for parcel in parcels))
        unpacked = unpack(
            paths,
            jwks,
            self.target / ARCHIVE,
            expected=claims,
            most_bytes=self.recipient.most_bytes,
            progress=progress,
        )
        return unpacked, paths

    def _check_room(self, parcels: Sequence[Parcel]) -> None:
        """Check the limit and the free space before fetching; files of an earlier run are not counted."""
        volumes, most = self.target / VOLUMES, self.recipient.most_bytes
        packed = sum(parcel.plain.size for parcel in parcels)
        if most is not None and packed > most:
            raise ArchiveTooLarge(f"the volumes have {packed} bytes; the limit is {most}")
        there = sum(path.stat().st_size for path in volumes.iterdir() if path.is_file())
        # Encrypted and decrypted files exist at the same time, for as many volumes as are processed in parallel.
        largest = sorted((parcel.sent.size for parcel in parcels), reverse=True)[:PARALLEL]
        wanted = packed + sum(largest) - there
        if wanted > (room := shutil.disk_usage(self.target).free - SPARE_BYTES):
            raise NoRoom(f"the volumes have {wanted} bytes, but only {max(room, 0)} bytes are free in {self.target}")

    def _volumes(self, parcels: Sequence[Parcel], folder: Path, nonce: bytes | None) -> tuple[Path, ...]:
        progress = self.began("fetching", sum(parcel.sent.size for parcel in parcels))
        with self._pool() as pool:
            futures = [pool.submit(self._volume, parcel, folder, nonce, progress) for parcel in parcels]
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            for error in filter(None, (future.exception() for future in done)):
                raise error
        return tuple(future.result() for future in futures)

    @contextmanager
    def _pool(self) -> Iterator[ThreadPoolExecutor]:
        """Open a pool of few threads; if one fails or the user interrupts, the others stop soon and keep their data."""
        pool = ThreadPoolExecutor(PARALLEL, thread_name_prefix="receive")
        try:
            yield pool
        except BaseException:
            self.patience.stop.set()
            self.sender.cut()  # a thread that waits for a silent sender does not see the event
            raise
        finally:
            pool.shutdown(cancel_futures=True)

    def _volume(self, parcel: Parcel, folder: Path, nonce: bytes | None, progress: Progress) -> Path:
        path, sent = folder / parcel.plain.name, folder / parcel.sent.name
        is_done = papers.is_proven(self.target, parcel, nonce) and is_as_announced(path, parcel.plain, self.patience)
        if is_done:
            progress(parcel.sent.size)
            if parcel.is_sealed:
                sent.unlink(missing_ok=True)  # an earlier run may have been killed before it did
            return path
        if is_as_announced(sent, parcel.sent, self.patience):
            progress(parcel.sent.size)
        else:
            fetch(self.sender, parcel, sent, self.patience, progress)
        if parcel.is_sealed:
            papers.keep_proof(self.target, parcel, sent, nonce, self.patience)
            unseal(sent, parcel, path, self.recipient.identities, self.patience)
            sent.unlink()
        return path
