"""Whether volumes are what their issuer signed, and all of them: needs the ZIPs and a JWK Set, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from archive import bag
from archive.names import is_zip
from archive.verify import counting
from archive.verify.faults import ArchiveFault, FaultCode
from archive.verify.volumes import CheckedVolume, Claims, Progress, check_volume
from portability.api.errors import BadInput
from portability.trust.signing import Jwks

__all__ = ["ArchiveFault", "FaultCode", "Verification", "verified", "verify", "volume_paths"]


@dataclass(frozen=True, slots=True)
class Verification:
    """The result: `files` and `bytes` are those of the payload, as they were found."""

    ok: bool
    volumes: int
    files: int
    bytes: int
    errors: tuple[ArchiveFault, ...]


class _Signed(NamedTuple):
    """A volume whose signature is good."""

    volume: CheckedVolume
    claims: Claims


def verify(
    paths: Sequence[Path], jwks: Jwks, *, partial: bool = False, progress: Progress = lambda _: None
) -> Verification:
    """Check volumes, given as ZIPs or as folders of them: each by itself, then whether they are one whole archive.

    `partial`: it is known that volumes are absent; the closing volume may be among them. `progress` gets the bytes
    read. Memory stays bounded, nothing is unpacked to disk, and whatever a file holds becomes a Fault.

    Raises: BadInput where there is nothing to check.
    """
    return verified([check_volume(path, jwks, progress) for path in volume_paths(paths)], partial=partial)


def verified(volumes: Sequence[CheckedVolume], *, partial: bool = False) -> Verification:
    """Return whether volumes, each of which was checked by itself, are one whole archive."""
    errors = [fault for volume in volumes for fault in volume.faults or _unproved(volume)]
    errors.extend(_whole(volumes, partial=partial))
    return Verification(
        ok=not errors,
        volumes=len(volumes),
        files=sum(volume.files for volume in volumes),
        bytes=sum(volume.bytes for volume in volumes),
        errors=tuple(errors),
    )


def _unproved(volume: CheckedVolume) -> Iterator[ArchiveFault]:
    """Yield a fault for a volume that has neither a fault nor verified claims: only a signature verifies it."""
    if not volume.claims:
        yield ArchiveFault(FaultCode.MISSING, volume.name, bag.SIGNATURE, "no signature of the volume was verified")


def volume_paths(paths: Sequence[Path]) -> list[Path]:
    """Return the given ZIPs, each once, and the ZIPs of each given folder. Raises BadInput if there is no ZIP."""
    found: dict[Path, Path] = {}
    for path in paths:
        volumes = sorted(filter(is_zip, path.iterdir())) if path.is_dir() else [path]
        if not volumes:
            raise BadInput(f"there is no *.zip in the folder {path}", hint="name the volumes themselves")
        found.update({volume.resolve(): volume for volume in volumes})
    absent = [str(path) for path in found.values() if not path.is_file()]
    if absent or not found:
        raise BadInput(f"there is no file {', '.join(absent) or 'named'}", hint="name the volumes, or their folder")
    return list(found.values())


def _whole(volumes: Sequence[CheckedVolume], *, partial: bool) -> Iterator[ArchiveFault]:
    """Yield the faults between volumes with good signatures; the others have a fault already."""
    signed = [_Signed(volume, volume.claims) for volume in volumes if volume.claims is not None]
    closings = [one for one in signed if one.volume.closing is not None]
    closing = max(closings, key=lambda one: one.claims.revision, default=None)
    if closing is None and not partial and not any(volume.holds_export for volume in volumes):
        # The volume that cannot be read may be the closing volume.
        where = "these files" if len(signed) == len(volumes) else "the files whose content could be verified"
        detail = f"the closing volume, which lists all volumes, is not among {where}"
        yield ArchiveFault(FaultCode.MISSING_CLOSING_VOLUME, "", None, detail)
    if signed:
        reference = (closing or signed[0]).claims
        yield from _foreign_volumes(signed, reference)
        yield from _twins([one for one in signed if _same_export(one.claims, reference)])
    if closing is not None:
        yield from _differences_to_list(volumes, signed, closing, partial=partial)
        counted = {one.volume.root: one.volume.counts for one in signed if not one.volume.faults}
        for detail in counting.of_archive(closing.volume.closing or {}, counted):
            yield ArchiveFault(FaultCode.WRONG_COUNTS, closing.volume.name, bag.EXPORT, detail)


def _foreign_volumes(signed: Sequence[_Signed], reference: Claims) -> Iterator[ArchiveFault]:
    for volume, claims in signed:
        if not _same_export(claims, reference):
            detail = f"it is volume {claims.volume} of export {claims.export}, not of {reference.export}"
            yield ArchiveFault(FaultCode.FOREIGN_VOLUME, volume.name, None, detail)


def _twins(signed: Sequence[_Signed]) -> Iterator[ArchiveFault]:
    seen: dict[int, str] = {}
    for volume, claims in signed:
        if (first := seen.setdefault(claims.volume, volume.name)) is not volume.name:
            yield ArchiveFault(FaultCode.EXTRA_VOLUME, volume.name, None, f"{first} is volume {claims.volume} already")


def _differences_to_list(
    volumes: Sequence[CheckedVolume], signed: Sequence[_Signed], closing: _Signed, *, partial: bool
) -> Iterator[ArchiveFault]:
    """Compare the volumes with the list in the closing volume, whose own line, the last, has no hashes."""
    listed = _list(closing.volume)
    if list(listed)[-1:] != [closing.volume.root]:
        yield ArchiveFault(
            FaultCode.BAD_CLOSING, closing.volume.name, bag.EXPORT, "its list does not end with its own name"
        )
        return
    own = {one.volume.root: one.volume for one in signed if _same_export(one.claims, closing.claims)}
    present = own.keys() | {name for volume in volumes for name in (volume.root, Path(volume.name).stem)}
    for name in listed:
        if name not in present and not partial:
            yield ArchiveFault(FaultCode.MISSING_VOLUME, name, None, "the closing volume lists it")
    for root, volume in own.items():
        if root not in listed:
            yield ArchiveFault(FaultCode.EXTRA_VOLUME, volume.name, None, "the closing volume does not list it")
        elif root != closing.volume.root and not volume.faults and not _is_as_listed(volume, listed[root]):
            yield ArchiveFault(
                FaultCode.VOLUME_CHANGED, volume.name, None, "it differs from the volume that the closing volume lists"
            )


def _list(closing: CheckedVolume) -> Mapping[str, Mapping[str, Any]]:
    """Return the lines of the closing volume's list by the name of the volume."""
    lines = (closing.closing or {}).get("volumes")
    lines = lines if isinstance(lines, list) else []
    return {str(line.get("name")): line for line in lines if isinstance(line, dict)}


def _is_as_listed(volume: CheckedVolume, line: Mapping[str, Any]) -> bool:
    tagmanifest = volume.claims.tagmanifest_sha256 if volume.claims else None
    found = (volume.size, volume.sha256, tagmanifest)
    return found == (line.get("bytes"), line.get("sha256"), line.get("tagmanifest_sha256"))


def _same_export(one: Claims, other: Claims) -> bool:
    return (one.iss, one.export, one.sub, one.profile) == (other.iss, other.export, other.sub, other.profile)
