"""The sanitiser of names: what it accepts opens with the built-in tools of every common system.

Safe: `[A-Za-z0-9._/-]`, no empty, hidden or `..` component, no name that Windows reserves, no trailing dot, at most
PATH_CHARS characters. APPNOTE 4.4.17 and RFC 8493 section 6.1.2.2 name the same dangers.
"""

from __future__ import annotations

import re
from hashlib import sha256
from itertools import count
from pathlib import Path

from portability.api.names import RESERVED

PATH_CHARS = 140
"""Of a path below `data/`; the volume's own folder and `data/` come before it, 200 characters in all."""
FULL_PATH_CHARS = 200

_FORBIDDEN = re.compile(r"[^A-Za-z0-9._-]+")
_DOTS = re.compile(r"^\.{2,}(?=[A-Za-z0-9][A-Za-z0-9.]*$)")
"""What comes before the suffix of a file whose name is dots alone, such as that of a record with the id `.`."""
_SUFFIX_CHARS = 12
_HASH_CHARS = 8


def safe_name(name: str) -> str:
    """Make a safe path from any string: a safe path stays, any other is cleaned and gets a suffix of its hash."""
    if is_safe(name):
        return name
    components = [cleaned for part in re.split(r"[/\\]", name) if (cleaned := _cleaned(part))]
    return _suffixed("/".join(components) or "unnamed", name)


def is_zip(path: Path) -> bool:
    """Return whether a file has the name of a ZIP, in any case. macOS puts other files beside them, named `._NAME`."""
    return path.suffix.lower() == ".zip" and not path.name.startswith("._")


def is_safe(path: str, *, longest: int = PATH_CHARS) -> bool:
    """Return whether a path may be in an archive unchanged."""
    return 0 < len(path) <= longest and all(part != "" and _cleaned(part) == part for part in path.split("/"))


class MemberNames:
    """The paths taken in one volume or export, so that no two meet on a file system that ignores case."""

    def __init__(self) -> None:
        self._files: set[str] = set()
        self._folders: set[str] = set()

    def claim(self, path: str) -> str:
        """Take a safe path for `path`. The same claims in the same order give the same paths."""
        wanted = candidate = safe_name(path)
        for attempt in count(1):
            if not self._is_taken(candidate):
                break
            candidate = _suffixed(self._beside_files(wanted), f"{path}\n{attempt}")
        self._files.add(candidate.lower())
        self._folders.update(_folders(candidate))
        return candidate

    def _is_taken(self, path: str) -> bool:
        key = path.lower()
        return key in self._files or key in self._folders or not self._files.isdisjoint(_folders(path))

    def _beside_files(self, path: str) -> str:
        """Return the path with `-` for each slash below a component that is a file already."""
        taken = [folder for folder in _folders(path) if folder in self._files]
        if not taken:
            return path
        depth = min(len(folder) for folder in taken)
        return path[:depth] + path[depth:].replace("/", "-")


def _folders(path: str) -> list[str]:
    lowered = path.lower()
    return [lowered[:place] for place, letter in enumerate(lowered) if letter == "/"]


def _cleaned(part: str) -> str:
    part = _DOTS.sub("unnamed.", _FORBIDDEN.sub("-", part)).strip(".")
    return f"_{part}" if RESERVED.match(part) else part


def _suffixed(path: str, origin: str) -> str:
    """`a/b.wav` as `a/b-0123abcd.wav`, cut to PATH_CHARS; the digits come from `origin`."""
    digits = sha256(origin.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_CHARS]
    folder, _, file = path.rpartition("/")
    stem, dot, suffix = file.rpartition(".")
    if not stem or len(suffix) > _SUFFIX_CHARS:
        stem, dot, suffix = file, "", ""
    tail = f"-{digits}{dot}{suffix}"
    head = (f"{folder}/{stem}" if folder else stem)[: PATH_CHARS - len(tail)]
    return head.rstrip("./") + tail
