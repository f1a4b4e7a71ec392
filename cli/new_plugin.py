"""Makes the package of a new plug-in from the templates of its kind."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template

from portability.api.errors import BadInput
from portability.files import naming

TEMPLATES = files("cli") / "plugin_templates"
KINDS = ("sql", "http", "python")
NAME = re.compile(r"[a-z][a-z0-9]*([_-][a-z0-9]+)*")
NAME_MAX = 50
SUFFIX = ".tmpl"


def make(name: str, kind: str, folder: Path) -> list[Path]:
    """Write the package of a plug-in into a folder that is empty or missing; returns its files.

    Raises: BadInput.
    """
    if not NAME.fullmatch(name) or len(name) > NAME_MAX:
        raise BadInput(f"invalid name {name!r}", hint=f"use 1 to {NAME_MAX} of a-z 0-9 _ -, beginning with a letter")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadInput(f"{folder} exists and is not an empty folder", hint="name another folder with --to")
    words = re.split("[_-]", name)
    package = f"{'_'.join(words)}_{'exporter' if kind == 'python' else 'map'}"
    names = {
        "name": name,
        "package": package,
        "class_name": "".join(word.capitalize() for word in words),
        "variable": "_".join(words).upper(),
    }
    written: list[Path] = []
    for path, template in _templates(TEMPLATES / kind):
        target = folder / path.replace("package", package).removesuffix(SUFFIX)
        target.parent.mkdir(parents=True, exist_ok=True)
        with naming(target):
            target.write_text(Template(template.read_text("utf-8")).substitute(names), "utf-8")
        written.append(target)
    return written


def _templates(folder: Traversable, below: str = "") -> Iterator[tuple[str, Traversable]]:
    """Yield each template with its path, sorted."""
    for entry in sorted(folder.iterdir(), key=lambda one: one.name):
        if entry.is_dir():
            yield from _templates(entry, f"{below}{entry.name}/")
        elif entry.name.endswith(SUFFIX):
            yield f"{below}{entry.name}", entry
