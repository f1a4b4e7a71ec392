"""What all commands share: `--dir`, `--json`, settings, connections, and how errors end."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click
import orjson
from rich import box
from rich.console import Console
from rich.progress import Progress, ProgressColumn
from rich.table import Table
from rich.text import Text

from portability.api import JSON
from portability.errors import BadInput, PortabilityError

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from portability.settings import Settings
    from portability.storage import Storage

EXIT_CODES: dict[type[PortabilityError], int] = {PortabilityError: 1, BadInput: 2}
"""The nearest class of the error's tree decides."""

UNUSABLE = (FileExistsError, IsADirectoryError, NotADirectoryError, PermissionError)
"""What the system says of a folder that the caller named; storage names its own errors."""


@dataclass
class Context:
    """One command's surroundings. Settings, database and storage are read, opened and imported on first use."""

    read_settings: Callable[[], Settings]
    json: bool

    @cached_property
    def settings(self) -> Settings:
        """Raises BadSetting."""
        return self.read_settings()

    @cached_property
    def console(self) -> Console:
        """For people: standard output, or standard error where that belongs to JSON."""
        return Console(stderr=self.json, highlight=False)

    @cached_property
    def engine(self) -> Engine:
        """The control database: migrated by itself on the embedded stack, checked elsewhere."""
        from portability import migrations  # noqa: PLC0415  # as in _load_settings
        from portability.db import open_engine  # noqa: PLC0415  # as above

        if self.settings.database_url is None:
            self.settings.dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        engine = open_engine(self.settings.database)
        if self.settings.database_url is None:
            migrations.upgrade(engine)
        else:
            migrations.check_current(engine)
        return engine

    @cached_property
    def storage(self) -> Storage:
        """Where the archives are; refused where it is another host's folder."""
        from portability import deployment  # noqa: PLC0415  # as in _load_settings
        from portability.storage import open_storage  # noqa: PLC0415  # as above

        storage = open_storage(self.settings.storage, sse=self.settings.storage_sse)
        deployment.check_store(self.engine, storage)
        return storage

    def result(self, document: JSON, human: Callable[[], None]) -> None:
        """The command's answer: JSON for machines, `human` for people."""
        if self.json:
            print(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode())
        else:
            human()

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """A table for people; None is an empty cell."""
        table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
        for number, column in enumerate(columns):
            # The first column is what one copies into the next command: it is never cut.
            table.add_column(column, no_wrap=number == 0, overflow="fold")
        for row in rows:
            table.add_row(*map(_cell, row))
        self.console.print(table)

    def bars(self, *columns: str | ProgressColumn) -> Progress:
        """Progress bars for people at a terminal; nothing in a pipe, and nothing beside JSON."""
        return Progress(*columns, console=self.console, transient=True, disable=not self.console.is_terminal)

    def note(self, text: str) -> None:
        """A line for people, out of the way of the answer."""
        Console(stderr=True, highlight=False).print(text, markup=False)


def _cell(value: object) -> Text:
    if isinstance(value, datetime):
        value = f"{value:%Y-%m-%d %H:%M} UTC"
    return Text("" if value is None else str(value))


def one_of(words: Iterable[str]) -> click.Choice[str]:
    """A choice among words; of an enumeration its values, which click would show by the names in the code."""
    return click.Choice([str(word) for word in words], case_sensitive=False)


def shared(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command `--dir` and `--json`, hand it a Context, and end its errors in one line and an exit code."""

    @click.option("--dir", "folder", type=click.Path(path_type=Path), help="State folder of the embedded stack.")
    @click.option("--json", "as_json", is_flag=True, help="Answer in JSON, for machines.")
    @functools.wraps(function)
    def run(*args: object, folder: Path | None, as_json: bool, **kwargs: object) -> None:
        try:
            if folder is not None:
                # Processes that this command starts, and jobs that it runs, find the same folder.
                os.environ["PORTABILITY_DIR"] = str(folder.absolute())
            function(Context(_load_settings, as_json), *args, **kwargs)
        except PortabilityError as error:
            fail(error, as_json=as_json)
        except UNUSABLE as error:
            hint = "check --dir, --to, PORTABILITY_DIR and PORTABILITY_KEYS_DIR"
            fail(BadInput(f"{error.filename} cannot be used: {error.strerror}", hint=hint), as_json=as_json)

    return run


def _load_settings() -> Settings:
    from portability.settings import load_settings  # noqa: PLC0415  # it costs a command that needs none 0.3 s

    return load_settings()


def fail(error: PortabilityError, *, as_json: bool) -> NoReturn:
    """Tell the error and leave with its exit code."""
    if as_json:
        told = {"code": error.code, "message": str(error), "hint": error.hint or None}
        print(orjson.dumps({"error": told}, option=orjson.OPT_INDENT_2).decode())
    else:
        hint = f"  hint: {error.hint}" if error.hint else ""
        click.echo(f"error: {error} [{error.code}]{hint}", err=True)
    sys.exit(exit_code(error))


def exit_code(error: PortabilityError) -> int:
    """0 is done, 1 it failed, 2 bad input."""
    return next(EXIT_CODES[kind] for kind in type(error).__mro__ if kind in EXIT_CODES)
