"""One volume: a signed ZIP that holds one BagIt bag, written as a stream (docs/archive-format.md)."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import chain

import orjson

from archive import bag, counts
from archive.counts import DatasetCount
from archive.deflate import FAST_LEVEL, STORED_LEVEL, is_packed, media_level, new_zip
from archive.names import FULL_PATH_CHARS, MemberNames, is_safe
from archive.parts import FORMAT, NO_DATA, NO_DATA_PATH, Content, Member, SealedVolume, VolumeMetadata
from archive.summary.pdf import PATH as PDF_PATH
from archive.summary.words import ArchiveSummary
from archive.write.data_package import data_package
from archive.write.facts import VolumeFacts
from archive.write.loading import loading_files
from archive.write.notice import notice_files
from archive.write.output import VolumeOutput
from archive.write.readme import readme
from archive.write.schemas import json_schema, schema_path
from portability.api import JSON
from portability.errors import VolumeFault
from portability.locale import languages, text
from portability.trust.signing import ARCHIVE_TYPE, SigningKey, sign

__all__ = ["MEMBER_BYTES", "Content", "Member", "SealedVolume", "Volume", "VolumeMetadata"]

MEMBER_BYTES = 2_000_000_000
"""Maximum size of a member: every size stays in 31 bits, which Java's streaming reader and macOS need."""
INPUT_BYTES = 1 << 16
"""Smaller blocks are joined before they are compressed, because each block costs a hand-off."""


class Volume:
    """A ZIP that is being written: members in, bytes out through `write`, in order and in large blocks.

    Any exception poisons it, also one of `write` or of a member's blocks: after that every call raises VolumeFault,
    and it can never be sealed. zipstream-ng alone would finish a valid ZIP that lacks the broken member.
    """

    def __init__(self, envelope: VolumeMetadata, number: int, write: Callable[[bytes], object]) -> None:
        self._envelope = envelope
        self._number = number
        self._name = envelope.volume_name(number)
        self._output = VolumeOutput(write)
        self._zip = new_zip()
        self._names = MemberNames()
        self._payload: list[Member] = []
        self._tags: dict[str, str] = {}
        self._entries = 0
        if not is_safe(self._name):
            raise VolumeFault(f"{self._name!r} cannot be the name of a volume")
        self._payload_bytes = 0
        self._usable = True
        self.facts = VolumeFacts()
        """What is true of its records; the writer of records adds them."""

    @property
    def envelope(self) -> VolumeMetadata:
        """What the volume says about itself and its export."""
        return self._envelope

    @property
    def name(self) -> str:
        """Name of the folder inside the ZIP, and of the file without `.zip`."""
        return self._name

    @property
    def bytes_written(self) -> int:
        """Bytes of the ZIP so far; `write` may not have received the last bytes yet."""
        return self._output.bytes

    @property
    def members(self) -> int:
        """Number of payload members so far."""
        return len(self._payload)

    @property
    def payload(self) -> Sequence[Member]:
        """The payload members so far."""
        return self._payload

    @property
    def payload_bytes(self) -> int:
        """Bytes of the payload members so far, before compression."""
        return self._payload_bytes

    def add(
        self,
        path: str,
        blocks: Iterable[bytes],
        content: Content | Callable[[str], Content],
        *,
        media_type: str | None = None,
    ) -> Member:
        """Write one payload member to `data/<path>`; the returned member has the path that was really used.

        `content` may be a callable; it is given the member's SHA-256 after the last block, when the state is known.
        `media_type` decides about compression where `content` does not say it beforehand: media are stored unless
        their beginning shrinks, as that of uncompressed sound does; the rest is deflated.

        Raises: VolumeFault where the volume is poisoned or the member exceeds MEMBER_BYTES; what `blocks` raises.
        """
        with self._poisoned_unless_done():
            if isinstance(content, Content):
                media_type = media_type or content.media_type
            if is_packed(media_type or ""):
                blocks = _joined(blocks)
                beginning = next(blocks, b"")
                return self._add(path, chain([beginning], blocks), content, media_level(beginning))
            return self._add(path, blocks, content, FAST_LEVEL)

    def tag(self, path: str, blocks: Iterable[bytes]) -> None:
        """Write a tag file among the members: a file that only the tag manifest lists. Raises as `add` does."""
        with self._poisoned_unless_done():
            self._tag(path, blocks)

    def seal(
        self,
        key: SigningKey,
        *,
        at: datetime | None = None,  # the time of the control database; None: of this machine
        counted: Sequence[DatasetCount] | None = None,
        closing: Mapping[str, JSON] | None = None,
        notice: Mapping[str, JSON] | None = None,
        summary: ArchiveSummary | None = None,
        viewer: Iterable[tuple[str, Iterable[bytes]]] | None = None,
    ) -> SealedVolume:
        """Describe, sign and finish the volume; nothing can be added any more.

        `counted` are the counts of its datasets, for counts.json: every volume of an export has them. `closing` is the
        document export.json; a volume that has one is the closing volume, and may have a notice, the
        document notice.json, a summary, and a viewer: its files as (path, blocks).

        Raises: VolumeFault where the volume is poisoned, or `closing` is not about this export.
        """
        with self._poisoned_unless_done():
            if closing is not None:
                self._check_closing(closing)
            self._describe(closing, summary, has_viewer=viewer is not None, has_notice=notice is not None)
            if counted is not None:
                self._tag(bag.COUNTS, counts.document(counted, self._payload))
            for path, body in notice_files(self._envelope, notice).items() if notice else ():
                self._tag(path, [body])
            for path, blocks in viewer or ():
                self._tag(path, blocks)
            tagmanifest = self._bag(closing)
            head = self._output.sha256()
            claims = self._claims(tagmanifest, head, at or datetime.now(UTC), is_closing=closing is not None)
            token = sign(claims, key, typ=ARCHIVE_TYPE)
            self._entry(bag.SIGNATURE, [token.encode()], STORED_LEVEL)
            self._output.extend(self._zip.footer())
            self._output.flush()
            sealed = SealedVolume(
                number=self._number,
                name=self._name,
                bytes=self._output.bytes,
                sha256=self._output.sha256(),
                tagmanifest_sha256=tagmanifest,
                kid=str(key.kid),
                members=self._entries,
                files=self.members,
                payload_bytes=self.payload_bytes,
            )
        self._usable = False
        return sealed

    @contextmanager
    def _poisoned_unless_done(self) -> Iterator[None]:
        """Mark the volume as unusable while it is written to; an exception leaves it so."""
        if not self._usable:
            raise VolumeFault(
                f"volume {self._name} is unusable after an error, sealed, or being written to: begin a new volume"
            )
        self._usable = False
        yield
        self._usable = True

    def _add(
        self, path: str, blocks: Iterable[bytes], content: Content | Callable[[str], Content], level: int
    ) -> Member:
        path = bag.PAYLOAD + self._names.claim(path)
        size, sha256 = self._entry(path, blocks, level)
        member = Member(path, size, sha256, content if isinstance(content, Content) else content(sha256))
        self._payload.append(member)
        self._payload_bytes += size
        return member

    def _entry(self, path: str, blocks: Iterable[bytes], level: int) -> tuple[int, str]:
        """Write one ZIP entry; returns bytes and SHA-256."""
        full_path = f"{self._name}/{path}"
        if len(full_path) > FULL_PATH_CHARS:
            raise VolumeFault(f"{full_path} is longer than {FULL_PATH_CHARS} characters")
        measured = _Measured(blocks, path)
        self._zip.add(measured.blocks(), full_path, size=MEMBER_BYTES, compress_level=level)
        self._output.extend(self._zip.file())
        self._entries += 1
        return measured.bytes, measured.sha256.hexdigest()

    def _tag(self, path: str, blocks: Iterable[bytes]) -> str:
        _, self._tags[path] = self._entry(path, blocks, FAST_LEVEL)
        return self._tags[path]

    def _describe(self, closing: Mapping[str, JSON] | None, summary: ArchiveSummary | None, **has: bool) -> None:
        """Write what people and programs read first: README.html and summary.pdf, schemas, and the lists of files."""
        programs = loading_files(self._name, self._payload)
        has = {**has, "has_programs": bool(programs)}
        page = readme(self._envelope, self._number, self._payload, closing, summary=summary, **has)
        self._tag(bag.README, [page])
        if summary is not None and summary.pdf is not None:
            self._tag(PDF_PATH, [summary.pdf])
        if not self._payload:
            sentences = [f"{text(language, 'archive.readme.no_contents')}\n".encode() for language in languages()]
            self._add(NO_DATA_PATH, sentences, NO_DATA, FAST_LEVEL)
        described = {(c.exporter, c.dataset.name): c for m in self._payload if (c := m.content).records is not None}
        # A document's shape is its format's: the schema of the record that it was made of would describe no file.
        for content in (content for content in described.values() if not content.dataset.documents):
            schema = json_schema(content.exporter, content.dataset, self.facts)
            path = schema_path(content.exporter, content.dataset)
            self._tag(path, [orjson.dumps(schema, option=orjson.OPT_INDENT_2)])
        self._tag(bag.DATA_PACKAGE, data_package(self._envelope, self._name, self._payload, self.facts))
        for path, program in programs.items():
            self._tag(path, [program])
        if closing is not None:
            self._tag(bag.EXPORT, [orjson.dumps(closing, option=orjson.OPT_INDENT_2)])

    def _bag(self, closing: Mapping[str, JSON] | None) -> str:
        """Write the BagIt files, the tag manifest last; returns the SHA-256 of the tag manifest."""
        listed = closing["volumes"] if closing else None
        info = bag.info(
            self._envelope,
            self._number,
            volumes=len(listed) if isinstance(listed, list | tuple) else None,
            files=self.members,
            payload_bytes=self.payload_bytes,
        )
        self._tag(bag.DECLARATION, [bag.DECLARATION_TEXT])
        self._tag(bag.INFO, [info])
        self._tag(bag.MANIFEST, bag.manifest((m.path, m.sha256) for m in self._payload))
        return self._tag(bag.TAG_MANIFEST, bag.manifest(sorted(self._tags.items())))

    def _claims(self, tagmanifest_sha256: str, head_sha256: str, at: datetime, *, is_closing: bool) -> dict[str, JSON]:
        return {
            "iss": self._envelope.issuer,
            "jti": secrets.token_hex(16),
            "iat": int(at.timestamp()),
            "sub": self._envelope.subject,
            "profile": self._envelope.profile,
            "export": self._envelope.export,
            "volume": self._number,
            "revision": self._envelope.revision,
            "closing": is_closing,
            "tagmanifest_sha256": tagmanifest_sha256,
            "head_sha256": head_sha256,
            "files": self.members,
            "bytes": self.payload_bytes,
        }

    def _check_closing(self, closing: Mapping[str, JSON]) -> None:
        expected: dict[str, JSON] = {
            "format": FORMAT,
            "export": self._envelope.export,
            "profile": self._envelope.profile,
            "subject": self._envelope.subject,
            "revision": self._envelope.revision,
        }
        wrong = sorted(name for name, value in expected.items() if closing.get(name) != value)
        volumes = closing.get("volumes")
        last = volumes[-1] if isinstance(volumes, list | tuple) and volumes else None
        if not isinstance(last, Mapping) or (last.get("number"), last.get("name")) != (self._number, self._name):
            wrong.append("volumes")
        if wrong:
            raise VolumeFault(f"export.json of volume {self._name} is about another export: {', '.join(wrong)} differ")


class _Measured:
    """A member's blocks on their way into the ZIP: joined, counted, hashed, and bounded by MEMBER_BYTES."""

    def __init__(self, blocks: Iterable[bytes], path: str) -> None:
        self.bytes = 0
        self.sha256 = hashlib.sha256()
        self._source = blocks
        self._path = path

    def blocks(self) -> Iterator[bytes]:
        for block in _joined(self._source):
            self.bytes += len(block)
            if self.bytes > MEMBER_BYTES:
                raise VolumeFault(f"{self._path} is larger than {MEMBER_BYTES} bytes", hint="write it in pieces")
            self.sha256.update(block)
            yield block


def _joined(blocks: Iterable[bytes]) -> Iterator[bytes]:
    pending = bytearray()
    for block in blocks:
        if not pending and len(block) >= INPUT_BYTES:
            yield block
            continue
        pending += block
        if len(pending) >= INPUT_BYTES:
            yield bytes(pending)
            pending.clear()
    if pending:
        yield bytes(pending)
