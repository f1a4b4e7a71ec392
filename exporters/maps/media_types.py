"""Media types of files, and the extension of the file's name in an archive.

Sources state types in many spellings, wrong, or not at all. What is known by its type or its first bytes gets the
extension with which other programs open it; all else is opaque. A type that may contain programs, such as office
documents with macros and pages, is never known.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

# The row's own extension is ignored, because an extension decides what opens the file.
EXTENSIONS: Mapping[str, str] = {
    "application/json": "json",
    "application/pdf": "pdf",
    "application/vnd.oasis.opendocument.spreadsheet": "ods",
    "application/vnd.oasis.opendocument.text": "odt",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": "pptx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/zip": "zip",
    "audio/3gpp": "3gp",
    "audio/aac": "aac",
    "audio/amr": "amr",
    "audio/flac": "flac",
    "audio/mp4": "m4a",
    "audio/mpeg": "mp3",
    "audio/ogg": "ogg",
    "audio/wav": "wav",
    "audio/webm": "webm",
    "audio/x-wav": "wav",
    "image/avif": "avif",
    "image/bmp": "bmp",
    "image/gif": "gif",
    "image/heic": "heic",
    "image/jpeg": "jpg",
    "image/png": "png",
    "image/tiff": "tiff",
    "image/webp": "webp",
    "text/csv": "csv",
    "text/plain": "txt",
    "text/vcard": "vcf",
    "video/3gpp": "3gp",
    "video/mp4": "mp4",
    "video/quicktime": "mov",
    "video/webm": "webm",
}
ALIASES: Mapping[str, str] = {
    "application/ogg": "audio/ogg",
    "application/x-pdf": "application/pdf",
    "application/x-zip-compressed": "application/zip",
    "audio/m4a": "audio/mp4",
    "audio/mp3": "audio/mpeg",
    "audio/mpeg3": "audio/mpeg",
    "audio/opus": "audio/ogg",
    "audio/vnd.wave": "audio/wav",
    "audio/wave": "audio/wav",
    "audio/x-aac": "audio/aac",
    "audio/x-flac": "audio/flac",
    "audio/x-m4a": "audio/mp4",
    "audio/x-mp3": "audio/mpeg",
    "audio/x-mpeg-3": "audio/mpeg",
    "audio/x-pn-wav": "audio/wav",
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "image/x-png": "image/png",
    "text/x-vcard": "text/vcard",
}
"""Other spellings of these types."""
OPAQUE = "application/octet-stream"
SHA256 = re.compile(r"[0-9a-f]{64}")
_MAGIC: tuple[tuple[re.Pattern[bytes], str], ...] = (
    (re.compile(rb"RIFF.{4}WAVE", re.DOTALL), "audio/wav"),
    (re.compile(rb"OggS"), "audio/ogg"),
    (re.compile(rb"fLaC"), "audio/flac"),
    (re.compile(rb"ID3|\xff[\xfb\xf3\xf2]"), "audio/mpeg"),
    (re.compile(rb"#!AMR"), "audio/amr"),
    (re.compile(rb".{4}ftypM4A ", re.DOTALL), "audio/mp4"),
    (re.compile(rb".{4}ftyp(isom|iso2|mp4[12]|avc1)", re.DOTALL), "video/mp4"),
    (re.compile(rb"\x1aE\xdf\xa3.{0,60}webm", re.DOTALL), "video/webm"),
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "image/png"),
    (re.compile(rb"\xff\xd8\xff"), "image/jpeg"),
    (re.compile(rb"GIF8[79]a"), "image/gif"),
    (re.compile(rb"RIFF.{4}WEBP", re.DOTALL), "image/webp"),
    (re.compile(rb"%PDF-"), "application/pdf"),
)
"""The first bytes of recordings, pictures and PDF; those of a ZIP may be an office document with macros."""


def known_type(stated: object) -> str:
    """Return the type that a source states, without parameters and in its usual spelling; OPAQUE if it is not known."""
    if not isinstance(stated, str):
        return OPAQUE
    plain = stated.partition(";")[0].strip().lower()
    plain = ALIASES.get(plain, plain)
    return plain if plain in EXTENSIONS else OPAQUE


def type_of_bytes(beginning: bytes) -> str:
    """Return the type of a file that begins with these bytes; OPAQUE if it is not known."""
    return next((found for pattern, found in _MAGIC if pattern.match(beginning)), OPAQUE)


def file_name(stem: str, media_type: str) -> str:
    """Return the name of a file of this type in an archive."""
    return f"{stem}.{EXTENSIONS.get(media_type, 'bin')}"
