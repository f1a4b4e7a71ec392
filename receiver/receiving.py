"""A link received: fetched, decrypted, verified, unpacked, receipted. Interrupted anywhere, the next run goes on.

Below the target folder lie `transfer.jwt`, `volumes/` with the signed ZIPs, `archive/` with what they hold, and
`receipt.jwt` when the sender has taken it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from joserfc.jwk import ECKey

from portability.errors import BadInput, PortabilityError
from portability.signing import Jwks
from receiver import receipt, statement
from receiver.faults import ArchiveTooLarge, TransferRefused, WrongAudience
from receiver.fetch import Patience, Progress, fetch, is_as_promised
from receiver.sender import Offer, Sender
from receiver.statement import Parcel, Statement
from receiver.unpack import SPARE_BYTES, Unpacked, unpack
from receiver.unseal import unseal

if TYPE_CHECKING:
    from pyrage import x25519

PARALLEL = 3
STATEMENT, VOLUMES, ARCHIVE, RECEIPT = "transfer.jwt", "volumes", "archive", "receipt.jwt"


@dataclass(frozen=True, slots=True)
class Recipient:
    """Who receives, and what that one demands."""

    identities: Sequence[x25519.Identity] = ()
    audience: str | None = None
    """Our domain, as the sender has it; None: whoever the statement names."""
    issuer: str | None = None
    """Whose statement and archive it has to be; None: the one behind the link."""
    jwks: Jwks | None = None
    """The issuer's keys; None: those that the sender publishes."""
    receipt_key: ECKey | None = None
    most_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Received:
    """What was received. Without a statement it was a person's own download."""

    unpacked: Unpacked
    volumes: tuple[Path, ...]
    statement: Statement | None
    receipted: bool


Began = Callable[[str, int], Progress]
"""Told of a step and its bytes; gives back who is told of each of them."""


def receive(
    url: str,
    target: Path,
    recipient: Recipient,
    *,
    began: Began = lambda _step, _total: lambda _: None,
    patience: Patience | None = None,
) -> Received:
    """Take what a link offers. Where it is refused, the sender is told why, if there is a key to sign that with.

    Raises: BadInput, TransferRefused and its children, SenderRefused, SenderUnavailable, OSError.
    """
    with Sender(url) as sender, _alone(target), _full_named():
        offer = sender.offer()
        job = _Job(sender, target, recipient, began, patience or Patience())
        if offer.transfer is None:
            return Received(*job.take(offer.parcels, job.keys(None), {"export": offer.export}), None, receipted=False)
        return _transfer(job, offer)


@contextmanager
def _full_named() -> Iterator[None]:
    """A disk that somebody else fills meanwhile is no surprise; the sender need not hear of it."""
    try:
        yield
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise ArchiveTooLarge("no space is left on the disk") from None


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """One run at a time in a folder: two would write into each other's files. Raises BadInput."""
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(target, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            hint = "wait for it, or name another folder"
            raise BadInput(f"another run is receiving into {target}", hint=hint) from None
        yield
    finally:
        os.close(handle)


def _transfer(job: _Job, offer: Offer) -> Received:
    links, recipient = offer.transfer, job.recipient
    assert links is not None  # noqa: S101  # the caller has looked
    jwks = job.keys(links.jwks_url)
    token = job.sender.statement(links)
    issuer = recipient.issuer or job.sender.origin
    said = statement.checked(token, jwks, issuer=issuer, audience=None, transfer=links.id)
    try:
        if recipient.audience not in {None, said.audience}:
            raise WrongAudience("the transfer is for somebody else")
        if not recipient.identities:
            raise BadInput("the volumes are encrypted", hint="--identity KEYFILE, as age-keygen wrote it")
        job.remember(said)
        claims = {"iss": said.issuer, "export": said.export, "sub": said.subject, "profile": said.profile}
        unpacked, volumes = job.take(said.parcels, jwks, claims)
    except TransferRefused as fault:
        if recipient.receipt_key is not None:
            told = receipt.signed(said, recipient.receipt_key, volumes=len(said.parcels), code=fault.code)
            # The refusal is what counts; a sender that does not listen changes nothing about it.
            with suppress(PortabilityError):
                job.sender.post_receipt(links, told)
        raise
    receipted = (job.target / RECEIPT).exists()
    if recipient.receipt_key is not None and not receipted:
        told = receipt.signed(said, recipient.receipt_key, volumes=len(said.parcels))
        job.sender.post_receipt(links, told)
        _write(job.target / RECEIPT, told)
        receipted = True
    return Received(unpacked, volumes, said, receipted)


@dataclass(frozen=True, slots=True)
class _Job:
    """What all steps of one run need."""

    sender: Sender
    target: Path
    recipient: Recipient
    began: Began
    patience: Patience

    def keys(self, url: str | None) -> Jwks:
        return self.recipient.jwks or self.sender.jwks(url)

    def remember(self, said: Statement) -> None:
        """One folder is for one transfer. Raises BadInput."""
        path = self.target / STATEMENT
        if not path.exists():
            _write(path, said.token)
        elif path.read_text() != said.token:
            raise BadInput(f"{self.target} holds another transfer", hint="name an empty folder")

    def take(
        self, parcels: Sequence[Parcel], jwks: Jwks, claims: Mapping[str, str]
    ) -> tuple[Unpacked, tuple[Path, ...]]:
        """The volumes, and what they hold."""
        volumes = self.target / VOLUMES
        volumes.mkdir(mode=0o700, exist_ok=True)
        self._check_room(parcels)
        paths = self._volumes(parcels, volumes)
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
        """Before anything is fetched; what there is of an earlier run is not asked for again, and not counted."""
        volumes = self.target / VOLUMES
        there = sum(path.stat().st_size for path in volumes.iterdir() if path.is_file())
        # Encrypted and decrypted are there side by side, as many as are dealt with at a time.
        largest = sorted((parcel.sent.size for parcel in parcels), reverse=True)[:PARALLEL]
        wanted = sum(parcel.plain.size for parcel in parcels) + sum(largest) - there
        if wanted > (room := shutil.disk_usage(self.target).free - SPARE_BYTES):
            raise ArchiveTooLarge(f"the volumes have {wanted} bytes, there is room for {max(room, 0)}")

    def _volumes(self, parcels: Sequence[Parcel], folder: Path) -> tuple[Path, ...]:
        progress = self.began("fetching", sum(parcel.sent.size for parcel in parcels))
        with self._pool() as pool:
            futures = [pool.submit(self._volume, parcel, folder, progress) for parcel in parcels]
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            for error in filter(None, (future.exception() for future in done)):
                raise error
        return tuple(future.result() for future in futures)

    @contextmanager
    def _pool(self) -> Iterator[ThreadPoolExecutor]:
        """Few at a time; where one fails or somebody interrupts, the others stop soon, and keep what they have."""
        pool = ThreadPoolExecutor(PARALLEL, thread_name_prefix="receive")
        try:
            yield pool
        except BaseException:
            self.patience.stop.set()
            raise
        finally:
            pool.shutdown(cancel_futures=True)

    def _volume(self, parcel: Parcel, folder: Path, progress: Progress) -> Path:
        path, sent = folder / parcel.plain.name, folder / parcel.sent.name
        if is_as_promised(path, parcel.plain, self.patience):
            progress(parcel.sent.size)
            return path
        if is_as_promised(sent, parcel.sent, self.patience):
            progress(parcel.sent.size)
        else:
            fetch(self.sender, parcel, sent, self.patience, progress)
        if parcel.is_sealed:
            unseal(sent, parcel, path, self.recipient.identities, self.patience)
            sent.unlink()
        return path


def _write(path: Path, text: str) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(text)
