"""Media types of a vCon: those that the draft and the library of its working group know, for others in use."""

from __future__ import annotations

import re
from collections.abc import Mapping

_PREFERRED: Mapping[str, str] = {
    "audio/wav": "audio/x-wav",
    "audio/mpeg": "audio/x-mp3",
    "audio/mp4": "audio/x-mp4",
    "video/mp4": "video/x-mp4",
}
"""The media types that the draft suggests for others in use (section on mediatype of a Dialog Object)."""
_BY_ENDING: Mapping[str, str] = {
    "wav": "audio/x-wav",
    "mp3": "audio/x-mp3",
    "mp4": "audio/x-mp4",
    "m4a": "audio/x-m4a",
    "ogg": "audio/ogg",
    "webm": "audio/webm",
    "aac": "audio/aac",
    "txt": "text/plain",
    "pdf": "application/pdf",
    "jpg": "image/jpeg",
    "png": "image/png",
}
_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]*/[a-z0-9][a-z0-9!#$&^_.+-]*")


def media_type_of(stated: str | None, name: str | None) -> str:
    """Return what the source states, in the draft's spelling; else what the file's name in the archive says."""
    media_type = (stated or "").lower()
    if _MEDIA_TYPE.fullmatch(media_type):
        return _PREFERRED.get(media_type, media_type)
    return _BY_ENDING.get((name or "").rpartition(".")[2].lower(), "application/octet-stream")
