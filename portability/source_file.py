"""The file of sources that `PORTABILITY_SOURCES` names: its sections, checked (docs/settings.md#sources)."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from portability.api import SourceDeclaration
from portability.api.errors import BadSetting
from portability.api.names import name_fault, same_names

OWN_RECORDS = "portability"
"""The exporter of this software's own records: every deployment has it, beside those of the file."""


@cache
def read_sections(path: Path) -> Sequence[SourceDeclaration]:
    """Read the sections, once a process, so that all parts see the same. Raises BadSetting."""
    try:
        document = tomllib.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise BadSetting(f"PORTABILITY_SOURCES: cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadSetting(f"PORTABILITY_SOURCES: {path} is not UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise BadSetting(f"PORTABILITY_SOURCES: {path} is not TOML: {error}") from None
    if not document:
        raise BadSetting(f"PORTABILITY_SOURCES: {path} declares no source")
    declared = [_declaration(path, name, section) for name, section in document.items()]
    if same := same_names(one.name for one in declared):
        raise BadSetting(
            f"{path}: [{same[1]}]: [{same[0]}] has the same name but for the case of its letters",
            hint="their files in an archive would have the same names on Windows and macOS",
        )
    return declared


def _declaration(path: Path, name: str, section: object) -> SourceDeclaration:
    if not isinstance(section, dict):
        raise BadSetting(f"{path}: {name} is outside of a section")
    if fault := name_fault(name):
        raise BadSetting(f"{path}: [{name}]: invalid name: it {fault}")
    if name.lower() == OWN_RECORDS:
        raise BadSetting(f"{path}: [{name}]: this name belongs to the records of requests: use another name")
    kind = section.get("kind")
    if not isinstance(kind, str):
        raise BadSetting(f"{path}: [{name}]: `kind` is missing or is not a text")
    keys = {key: value for key, value in section.items() if key not in {"kind", "trusts"}}
    trusts = _trusts(f"{path}: [{name}]", section.get("trusts"))
    return SourceDeclaration(name, kind, keys, path.parent, trusts, path)


def _trusts(section: str, names: object) -> tuple[str, ...] | None:
    if names is None:
        return None
    if not isinstance(names, list) or not all(isinstance(one, str) for one in names):
        raise BadSetting(f'{section}: trusts must be a list of names of sections, such as ["account"]')
    return tuple(names)
