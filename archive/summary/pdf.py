"""The summary as a PDF of one or two pages, typeset in a process of its own.

Only that process has the memory of the typesetter, 40 MB, and a fault of its native code ends nothing else.
"""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from archive.parts import VolumeMetadata
from archive.summary.words import SummaryText, readable
from portability.api import JSON
from portability.brand import LIGHT
from portability.locale import text
from portability.locale.values import moment

PATH = "summary.pdf"
TIMEOUT_SECONDS = 30
_FOLDER = Path(__file__).parent
_PROGRAM, _TEMPLATE = _FOLDER / "typeset.py", _FOLDER / "summary.typ"


class TypesettingFailed(RuntimeError):
    """The PDF cannot be made here: its process failed or took too long, or the typesetter is not installed."""


class Typesetter:
    """The process that typesets one summary. It can be started before there is one: starting takes longest."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process, which waits for the summary; a fault is raised by `pdf`."""
        with suppress(OSError):
            self._process = _started()

    def pdf(self, one: SummaryText, envelope: VolumeMetadata) -> bytes:
        """Typeset the summary; `envelope` is of the closing volume. Raises TypesettingFailed."""
        job = {"template": _TEMPLATE.read_text("utf-8"), "about": _shown(one, envelope)}
        try:
            self._process = process = self._process or _started()
            found, fault = process.communicate(json.dumps(job).encode(), TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            raise TypesettingFailed(f"the program for {PATH} took longer than {TIMEOUT_SECONDS} s") from None
        except OSError as error:
            raise TypesettingFailed(f"the program for {PATH} cannot start: {error.strerror}") from None
        if process.returncode:
            # The message may quote a text of the data; the type of the fault does not.
            kind = fault.decode(errors="replace").strip().rpartition("\n")[2].partition(":")[0]
            raise TypesettingFailed(f"the program for {PATH} ended with {process.returncode}: {kind}")
        return found

    def close(self) -> None:
        """End the process, also if it had nothing to do."""
        if self._process:
            with self._process as process:
                process.kill()
            self._process = None


def _started() -> subprocess.Popen[bytes]:
    """Start this interpreter with a program of this package. Raises OSError.

    Without `site`, which would read the folders of packages: that takes a third of the time.
    """
    library = find_spec("typst")
    if not (library and library.origin):
        raise FileNotFoundError(errno.ENOENT, "the library typst is not installed")
    packages = Path(library.origin).parents[1]
    command, pipe = [sys.executable, "-I", "-S", str(_PROGRAM), str(packages)], subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, env={})


def _shown(one: SummaryText, envelope: VolumeMetadata) -> dict[str, JSON]:
    """Return everything that summary.typ shows."""

    def say(code: str, **values: object) -> str:
        return text(one.language, f"archive.{code}", **values)

    contact = readable(envelope.contact or envelope.issuer)
    return {
        **one.to_json(),
        "accent": envelope.brand.accent or LIGHT,
        "issuer": readable(envelope.sender),
        "questions": say("summary.questions", contact=contact, export=envelope.export),
        "files": say("summary.files"),
        "unshown": say("summary.unshown"),
        "unshown_note": say("summary.unshown_note"),
        "page": say("summary.page"),
        "footer": f"{say('readme.made')}: {moment(one.language, envelope.produced_at)}",
    }
