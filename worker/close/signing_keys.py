"""The keys that signed the volumes of an export: none of them is revoked when a volume is committed."""

from __future__ import annotations

from sqlalchemy import Connection, select

from archive.parts import SealedVolume
from portability.api.errors import ArchiveError
from portability.database import models
from portability.errors import VolumeFault
from portability.requests.states import VolumeState
from portability.trust import keys

VOLUME = models.volume


class KeyRevoked(ArchiveError):
    """A stored volume of an export has a key that was revoked meanwhile: its archive would not verify."""

    code = "key_revoked"
    default_hint = "`portability retry` makes the archive anew, with the key that signs now"


def check(connection: Connection, export_id: str, sealed: SealedVolume) -> None:
    """Check the key of a volume that is being committed, and those of the volumes that are stored.

    Raises: VolumeFault for its own key: it is written again, with the key that signs then; KeyRevoked for a stored one.
    """
    revoked = keys.revoked(connection, purpose="archive", used=sealed.kid)
    if any(key.kid == sealed.kid for key in revoked):
        raise VolumeFault(f"{sealed.name}: its key {sealed.kid} was revoked before the volume was committed")
    if not revoked:
        return
    stored = (VOLUME.c.export_id == export_id, VOLUME.c.state == VolumeState.STORED)
    for volume in connection.execute(select(VOLUME).where(*stored).order_by(VOLUME.c.number)):
        for key in revoked:
            if key.may_have_signed(volume.began_at, volume.stored_at):
                raise KeyRevoked(f"export {export_id}: volume {volume.number} has the key {key.kid}, which was revoked")
