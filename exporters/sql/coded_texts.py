"""Texts of MariaDB that are compared by their bytes.

In some character sets two texts may be read as the same text, or as `?`: Unicode does not keep them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from portability.api.errors import SourceRefused

NUL = "\0"

KEPT = (
    *("utf8mb4", "utf8mb3", "utf8", "utf16", "utf16le", "utf32", "ucs2"),
    *("latin1", "latin2", "latin5", "latin7", "cp850", "cp852", "cp866", "koi8r", "koi8u", "keybcs2"),
    *("macce", "macroman"),
)
"""Character sets of which every stored text is a different text in Unicode, and the same text when converted back."""
UNPADDED = "_nopad_"
"""In names of collations of MariaDB for which blanks at the end of a text count."""


class CodedText(Text):
    """A text of MariaDB whose keys are compared by their bytes in its character set, by the column's collation."""

    cache_ok = True

    def __init__(self, character_set: str, collation: str) -> None:
        super().__init__()
        self.character_set = character_set
        self.collated_by = collation

    @property
    def is_unpadded(self) -> bool:
        """Return whether the database sorts a text as if it had no characters of code 0 at its end."""
        return UNPADDED in self.collated_by

    def of_bytes(self, value: str) -> str:
        """Return the SQL for a text of the column from SQL for its bytes."""
        return f"CONVERT({value} USING {self.character_set}) COLLATE {self.collated_by}"


class with_bytes(FunctionElement[str]):  # noqa: N801  # named like an SQL function
    """A text behind its bytes in hexadecimal digits and a blank."""

    type = Text()
    name = "with_bytes"
    inherit_cache = True


@compiles(with_bytes)
def _with_bytes(element: with_bytes, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401  # the compiler's own
    text = compiler.process(element.clauses, **options)
    # Some character sets, such as swe7, cannot be joined with others.
    return f"CONCAT(HEX({text}), ' ', CONVERT({text} USING utf8mb4))"


def texts_of(column: Sequence[Any]) -> Sequence[Any]:
    """Return the texts of a column that was selected `with_bytes`."""
    return [value.partition(" ")[2] if isinstance(value, str) else value for value in column]


def keys_of_texts(kind: CodedText, column: Sequence[Any]) -> Sequence[bytes | None]:
    """Return the bytes of texts that were selected `with_bytes`.

    Raises SourceRefused for a text that the database sorts otherwise than it compares it: rows could be missing.
    """
    if kind.is_unpadded and any(value.endswith(NUL) for value in column if isinstance(value, str)):
        raise SourceRefused(
            f"a key ends with a character of code 0, by which {kind.collated_by} does not sort",
            hint="order by other columns that are together unique",
        )
    return [bytes.fromhex(value.partition(" ")[0]) if isinstance(value, str) else None for value in column]
