"""Shared by all commands: `--dir`, `--json`, settings, connections, and how errors are reported."""

from __future__ import annotations

import errno
import functools
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from cli.harmless import emit_json, shortened, tell
from portability.api import JSON
from portability.api.errors import BadInput, BadMap, PortabilityError, StorageFull
from portability.api.times import rfc3339
from portability.database.noted import noting

if TYPE_CHECKING:
    from redis import Redis
    from rich.console import Console
    from rich.progress import Progress, ProgressColumn
    from sqlalchemy import Engine

    from portability.api import Exporter
    from portability.api.storages import Storage
    from portability.law.notice import Register
    from portability.settings import Settings

T = TypeVar("T")

EXIT_CODES: dict[type[PortabilityError], int] = {PortabilityError: 1, BadInput: 2}
"""Exit codes by error class; the nearest parent class counts."""

LIMIT_MAX = 2**31 - 1
"""The largest number of rows that a command asks a database for."""
ID_MAX = 2**63 - 1
"""The largest id of a row in a database."""

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
LARGER_HINT = "raise the limit of the process (ulimit -f), or use a folder whose file system takes larger files"
NO_TEMPORARY_FOLDER = "No usable temporary directory"
"""The beginning of the error of Python's tempfile."""
TOO_MANY = frozenset({errno.EMFILE, errno.ENFILE})
UNUSABLE = frozenset({errno.EIO, errno.EROFS})
"""Errors of the operating system without the name of a file: the caller's output, such as standard output."""


class failing_once(cached_property[T]):  # noqa: N801  # named like the property that it is
    """A cached property that remembers an error, too: no one waits a second time for what did not answer."""

    def __get__(self, instance: Any, owner: type | None = None) -> Any:  # noqa: ANN401  # as that of the library
        failed = instance.__dict__.setdefault("failed", {}) if instance is not None else {}
        if self.attrname in failed:
            raise failed[self.attrname]
        try:
            return super().__get__(instance, owner)
        except PortabilityError as error:
            failed[self.attrname] = error
            raise


@dataclass
class Context:
    """The context of one command. Settings, database and storage are loaded on first use."""

    read_settings: Callable[[], Settings]
    json: bool
    begins: bool = True
    """Whether the command may begin a new embedded deployment, in a folder that does not exist yet."""

    @cached_property
    def settings(self) -> Settings:
        """Load the settings. Raises BadSetting."""
        return self.read_settings()

    @cached_property
    def console(self) -> Console:
        """Return the console for people: standard output, or standard error if standard output is for JSON."""
        from cli.terminal import open_console  # noqa: PLC0415  # as in _load_settings

        return open_console(stderr=self.json)

    @failing_once
    def engine(self) -> Engine:
        """Open the control database: migrated automatically on the embedded stack, checked elsewhere."""
        from portability.database import migrations  # noqa: PLC0415  # as in _load_settings
        from portability.database.engine import open_engine  # noqa: PLC0415  # as above
        from portability.database.sqlite_files import check_exists  # noqa: PLC0415  # as above

        if self.settings.database_url:
            check_exists(self.settings.database)
        else:
            self._make_folder()
        engine = open_engine(self.settings.database, prepared=self.settings.prepared_statements)
        if self.settings.database_url is None:
            migrations.upgrade(engine)
        else:
            migrations.check_current(engine)
        return engine

    def _make_folder(self) -> None:
        folder = self.settings.dir
        if self.begins:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        elif not folder.is_dir():
            hint = "correct --dir or PORTABILITY_DIR; `portability up` or `portability db upgrade` makes a new one"
            seen = "it is a file" if folder.exists() else "there is no such folder"
            raise BadInput(f"no deployment is in {folder.absolute()}: {seen}", hint=hint)

    @failing_once
    def redis(self) -> Redis:
        """Connect to Redis, and ask whether it is there. Raises QueueUnavailable."""
        from redis.exceptions import RedisError  # noqa: PLC0415  # as in _load_settings

        from portability.queue import connect, not_reached, redis_url  # noqa: PLC0415  # as above

        connection = connect(redis_url(self.settings))
        try:
            connection.ping()
        except RedisError as error:
            raise not_reached(error) from error
        return connection

    @cached_property
    def exporters(self) -> Mapping[str, Exporter]:
        """Open the deployment's exporters. Raises BadSetting, UnknownExporter, DuplicatePlugin, BrokenPlugin."""
        from portability.sources import PlatformSources, open_exporters  # noqa: PLC0415  # as in _load_settings

        return open_exporters(self.settings, PlatformSources(self.settings))

    @cached_property
    def notice(self) -> Register:
        """Load the notice register: the information for people about the processing. Raises NoticeHole."""
        from portability.law import notice  # noqa: PLC0415  # as in _load_settings

        return notice.load(self.settings.notice_dir, reference=self.settings.has_reference)

    @cached_property
    def storage(self) -> Storage:
        """Open the storage of archives; a folder of another host is refused."""
        from portability.database import deployment  # noqa: PLC0415  # as in _load_settings
        from portability.storage import open_storage  # noqa: PLC0415  # as above

        storage = open_storage(self.settings.storage, sse=self.settings.storage_sse)
        deployment.check_store(self.engine, storage)
        return storage

    def ensure_key(self, purpose: str, *, actor: str) -> None:
        """Check that a key signs for a purpose; on the embedded stack, make it. Raises NoSigningKey elsewhere."""
        from portability.database.engine import writing  # noqa: PLC0415  # as in _load_settings
        from portability.trust import keys  # noqa: PLC0415  # as above

        folder = self.settings.keys
        with writing(self.engine) as connection:
            if self.settings.embedded:
                keys.ensure(connection, folder, purposes=(purpose,), actor=actor)
            else:
                keys.signing(connection, folder, purpose=purpose)

    @contextmanager
    def shipped(self) -> Iterator[None]:
        """Wait at the end until what the block has recorded is in the journal, two seconds at the most.

        Raises: DatabaseBehind if a failover has lost it.
        """
        with noting() as events:
            try:
                yield
            finally:
                if events:
                    self._ship(events)

    def _ship(self, events: Sequence[str]) -> None:
        from portability.journal.shipping import Journal  # noqa: PLC0415  # as in _load_settings

        Journal(self.engine, lambda: self.storage, self.settings.keys, self.settings.iss).flush(events)

    def result(self, document: JSON, human: Callable[[], None]) -> None:
        """Print the command's result: JSON for machines, `human` for people."""
        if self.json:
            emit_json(document)
        else:
            human()

    def written(self, document: JSON, human: Callable[[], None]) -> None:
        """Print a result that is shown only once, before the caller commits what it opens. Raises OSError."""
        self.result(document, human)
        sys.stdout.flush()

    def say(self, *parts: str | tuple[str, str]) -> None:
        """Print a line for people: texts, and pairs of a text and its style."""
        from cli.terminal import styled  # noqa: PLC0415  # as in _load_settings

        self.console.print(styled(*parts))

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Print a table for people; None is an empty cell."""
        from cli.terminal import print_table, table  # noqa: PLC0415  # as in _load_settings

        print_table(self.console, table(title, columns, rows))

    def listing(
        self, title: str, rows: Sequence[Mapping[Any, Any]], names: Sequence[str], times: Sequence[str]
    ) -> None:
        """Print the result of a command that lists rows: the columns `names`, then the columns of times."""
        columns = (*names, *times)
        document: list[JSON] = [{n: rfc3339(row[n]) if n in times else row[n] for n in columns} for row in rows]
        self.result(document, lambda: self.table(title, columns, [[row[n] for n in columns] for row in rows]))

    def bars(self, *columns: str | ProgressColumn) -> Progress:
        """Make progress bars for people at a terminal; invisible in a pipe and with JSON."""
        from cli.terminal import bars  # noqa: PLC0415  # as in _load_settings

        return bars(self.console, *columns)

    def note(self, text: str) -> None:
        """Print a line for people that is not part of the result."""
        from cli.terminal import open_console  # noqa: PLC0415  # as in _load_settings

        open_console(stderr=True).print(text)


def start_hint(context: Context, process: str) -> str:
    """Return what to start if a process is missing: `portability up` refuses a deployment with servers."""
    return "start `portability up`" if context.settings.embedded else f"start `portability {process}`"


def one_of(words: Iterable[str]) -> click.Choice[str]:
    """Make a choice among words; for an enumeration its values, where click would show the names."""
    return click.Choice([str(word) for word in words], case_sensitive=False)


def shared(function: Callable[..., None], *, begins: bool = False) -> Callable[..., None]:
    """Give a command `--dir` and `--json`, pass it a Context, and report errors as one line with an exit code.

    Most commands look for something in a deployment; one that begins may make the folder of an embedded one.
    """

    @click.option("--dir", "folder", type=click.Path(path_type=Path), help="State folder of the embedded stack.")
    @click.option("--json", "as_json", is_flag=True, help="Print the result as JSON, for machines.")
    @functools.wraps(function)
    def run(*args: object, folder: Path | None, as_json: bool, **kwargs: object) -> None:
        try:
            if folder is not None:
                # Child processes and jobs of this command use the same folder.
                os.environ["PORTABILITY_DIR"] = str(folder.absolute())
            context = Context(_load_settings, as_json, begins)
            with context.shipped():
                function(context, *args, **kwargs)
            if sys.stdout is not None:  # the caller may have closed it
                sys.stdout.flush()
        except PortabilityError as error:
            fail(error, as_json=as_json)
        except OSError as error:
            fail(of_system(error), as_json=as_json)
        except MemoryError:
            hint = "raise the limit of the process (ulimit -v, or that of its container), or run it on a larger machine"
            fail(BadInput("the command has too little memory", hint=hint), as_json=as_json)

    return run


beginning = functools.partial(shared, begins=True)
"""As `shared`, for a command that may begin an embedded deployment."""


def of_system(error: OSError) -> PortabilityError:
    """Return an error of the operating system about the caller's folders and output. Raises what is anything else."""
    is_named = error.filename is not None
    seen = f"cannot use {error.filename}" if is_named else "cannot write"
    if error.errno in TOO_MANY:
        # The file that is named is any file, often one of this program.
        return BadInput("the command may open too few files", hint="raise the limit of open files: ulimit -n")
    if error.errno in FULL:
        return StorageFull(f"{seen}: {error.strerror}", hint=LARGER_HINT if error.errno == errno.EFBIG else None)
    if isinstance(error, FileNotFoundError) and not is_named:
        if str(error.strerror).startswith(NO_TEMPORARY_FOLDER):
            hint = "set TMPDIR to a folder where this account may write"
            return BadInput("found no folder for temporary files", hint=hint)
        return BadInput("the folder in which the command runs is gone", hint="change to another folder")
    if isinstance(error, FileExistsError | NotADirectoryError) and is_named:
        hint = "name a folder: check the paths of the command, PORTABILITY_DIR and PORTABILITY_KEYS_DIR"
        return BadInput(f"{seen}: a file is where a folder is needed", hint=hint)
    if is_named or error.errno in UNUSABLE:
        hint = "check the paths of the command, PORTABILITY_DIR and PORTABILITY_KEYS_DIR"
        return BadInput(f"{seen}: {error.strerror}", hint=hint)
    raise error


def _load_settings() -> Settings:
    from portability.settings import load_settings  # noqa: PLC0415  # loading takes 0.3 s, which not every command needs

    return load_settings()


def fail(error: PortabilityError, *, as_json: bool) -> NoReturn:
    """Print the error and exit with its exit code."""
    message = shortened(str(error), sys.argv[1:])
    is_written = False
    with suppress(OSError):  # the output may be what has failed
        if as_json:
            content = {"code": error.code, "message": message, "hint": error.hint or None}
            emit_json({"error": content})
            is_written = True
    with suppress(OSError):  # as above: the exit code says it
        if not is_written:
            hint = f"  hint: {error.hint}" if error.hint else ""
            # A name of a file or of a column in it may have ends of lines, and characters that a terminal obeys.
            parts = message.split("\n") if isinstance(error, BadMap) else [message]
            tell(f"error: {'; '.join(parts)} [{error.code}]{hint}")
    sys.exit(exit_code(error))


def exit_code(error: PortabilityError) -> int:
    """Return the exit code: 0 is success, 1 a failure, 2 invalid input; an ended process of the stack has its own."""
    if status := getattr(error, "exit_status", None):
        return int(status)
    return next(EXIT_CODES[kind] for kind in type(error).__mro__ if kind in EXIT_CODES)
