"""Whether a volume is a bag as its own tag files say: bagit.txt, and Payload-Oxum in bag-info.txt (RFC 8493)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from archive import bag
from archive.verify.faults import ArchiveFault, FaultCode

OXUM = b"Payload-Oxum: "


def faults_of(volume: str, kept: Mapping[str, bytes], files: int, payload_bytes: int) -> Iterator[ArchiveFault]:
    """Yield what is wrong with the tag files of a volume that has no other fault.

    Args:
        volume: file name of the ZIP.
        kept: content of tag files by path inside the bag.
        files: number of payload files that were found.
        payload_bytes: their size.
    """
    for name in (bag.DECLARATION, bag.INFO):
        if name not in kept:
            yield ArchiveFault(FaultCode.MISSING, volume, name, "a bag has this file")
    stated = [line.removeprefix(OXUM) for line in kept.get(bag.INFO, b"").splitlines() if line.startswith(OXUM)]
    found = b"%d.%d" % (payload_bytes, files)
    if bag.INFO in kept and stated != [found]:
        detail = (
            f"the payload has the Payload-Oxum {found.decode()}; the file states another, or does not state it once"
        )
        yield ArchiveFault(FaultCode.COUNT_MISMATCH, volume, bag.INFO, detail)
