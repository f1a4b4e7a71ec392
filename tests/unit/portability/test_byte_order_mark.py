"""Files that an operator has saved on Windows: they begin with a byte order mark, and end lines by CR LF."""

from __future__ import annotations

from pathlib import Path

import pytest

from portability.api.errors import BadInput
from portability.law import notice, regimes, tenants
from portability.source_file import read_sections

LAW = """
["own_law"]
title = "A law of our own"
"""


def saved(folder: Path, text: str) -> Path:
    path = folder / "own.toml"
    path.write_text(text, "utf-8-sig", newline="\r\n")
    return path


def test_sources_are_read(tmp_path: Path) -> None:
    """The mark is before the first section."""
    assert [one.name for one in read_sections(saved(tmp_path, '[crm]\nkind = "sql"\n'))] == ["crm"]


def test_tenants_are_read(tmp_path: Path) -> None:
    """As above."""
    assert tenants.load(saved(tmp_path, '[ten_1]\nname = "Acme"\n')).named("ten_1") == "Acme"


def test_the_register_is_read(tmp_path: Path) -> None:
    """As above."""
    saved(tmp_path, 'version = "of the operator"\nvalid_from = 2026-12-01\n')
    assert notice.load(tmp_path).version == "of the operator"


def test_laws_are_read(tmp_path: Path) -> None:
    """What is refused is a law without figures, not the mark."""
    with pytest.raises(BadInput, match="own_law"):
        regimes.known_with(saved(tmp_path, LAW))


def test_a_fault_in_the_file_of_tenants_has_its_place(tmp_path: Path) -> None:
    """An operator looks at the line."""
    with pytest.raises(BadInput, match=r"own.toml: invalid TOML: .*line 2"):
        tenants.load(saved(tmp_path, "[ten_1]\nname = Acme\n"))
