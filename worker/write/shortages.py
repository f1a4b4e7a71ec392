"""Shortages of this worker that a source's plug-in meets first: they pass, or another process does not have them.

The volume is written again, as after a shortage that the worker meets itself. Its last try takes it for a fault of the
source: a dataset that always needs too much costs itself and not the export.
"""

from __future__ import annotations

from portability.api.errors import SourceUnavailable
from worker.claim.claims import Claim
from worker.claim.fenced_writes import OUTAGE_TRIES
from worker.write.temporary import FULL, NoTemporaryRoom


def raise_own(claim: Claim, attempts_max: int, source: str, error: BaseException) -> None:
    """Raise MemoryError or NoTemporaryRoom if a source's call failed by a shortage, while the volume has more tries."""
    if isinstance(error, MemoryError) and claim.attempts < attempts_max:
        raise MemoryError from error
    if claim.attempts < attempts_max * OUTAGE_TRIES and (seen := _lacks_room(error)):
        raise NoTemporaryRoom(f"export {claim.id}: {source} cannot be read: {seen}") from error


def _lacks_room(error: BaseException) -> str:
    """Return what says that there is no room for temporary files, or nothing.

    A plug-in that has met a full disk was writing: of a file that is only read, the system does not say it.
    """
    if isinstance(error, SourceUnavailable):
        return str(error) if error.is_local else ""
    return str(error.strerror) if isinstance(error, OSError) and error.errno in FULL else ""
