"""Program of a process of its own: typesets one document. `pdf.py` starts it; its memory ends with it.

Its argument is the folder of the typesetter's library: the interpreter looks for no other libraries. It reads
{"template": ..., "about": ...} from standard input and writes the PDF. It imports nothing of this repository and little
of the standard library, because it starts for each export.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable

if __name__ == "__main__":
    sys.path.append(sys.argv[1])

import typst

PROBE = b'#set document(title: "-")\n#sys.inputs.text'
JOINED = r"\s\u200d\ufe0e\ufe0f"
"""What stands within a run of letters and is not a letter: spaces, and what joins the parts of an emoji."""
FIRST_OTHER = "\u0250"
"""The letters before it, those of the Latin scripts, are in the fonts of the library."""


def typeset(template: bytes, about: dict[str, object]) -> bytes:
    """Return a PDF/UA-1, which demands that each letter can be shown.

    If the fonts of the library lack a letter, the system's are used. `about["unshown"]` stands for the letters that no
    font has, and the template then explains it.
    """
    plain = json.dumps(about, ensure_ascii=False)
    for with_system_fonts in (False, True):
        fonts = typst.Fonts(include_system_fonts=with_system_fonts)
        if found := _compiled(template, {"about": plain}, fonts):
            return found
    others = "".join(sorted({letter for letter in plain if letter >= FIRST_OTHER}))
    for letters in (_lacking(others, fonts), others):
        marked = _marked(plain, letters, str(about["unshown"]))
        if found := _compiled(template, {"about": marked, "unshown": "yes"}, fonts):
            return found
    raise RuntimeError("the fonts lack letters of the template")


def _lacking(letters: str, fonts: typst.Fonts) -> str:
    """Return those of the letters that no font has: halves of them are tried, because a fault names only one."""
    if not letters or _compiled(PROBE, {"text": " ".join(letters)}, fonts):
        return ""
    half = len(letters) // 2
    return _lacking(letters[:half], fonts) + _lacking(letters[half:], fonts) if half else letters


def _marked(plain: str, letters: Iterable[str], mark: str) -> str:
    """Replace each run of these letters in a JSON text."""
    some = "".join(map(re.escape, letters))
    run = f"[{some}](?:[{JOINED}]*[{some}])*[\u200d\ufe0e\ufe0f]*"
    return re.sub(run, lambda _run: json.dumps(mark)[1:-1], plain) if some else plain


def _compiled(template: bytes, inputs: dict[str, str], fonts: typst.Fonts) -> bytes | None:
    """Return the PDF; None where it has a letter that no font has."""
    try:
        return typst.compile(template, format="pdf", font_paths=fonts, sys_inputs=inputs, pdf_standards=["ua-1"])
    except typst.TypstError as error:
        if "could not be displayed" in error.message:
            return None
        raise


if __name__ == "__main__":
    job = json.load(sys.stdin)
    sys.stdout.buffer.write(typeset(job["template"].encode(), job["about"]))
